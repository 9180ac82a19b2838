//! Markdown, text and CSV, whose readers are people and spreadsheets.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{fixture, reproduction, shown, with_everything};
use crate::common::directory;

#[test]
fn markdown_says_what_a_comment_needs() {
    let (directory, path, _) = with_everything();
    let text = shown(
        directory.path(),
        &[&reproduction(), &path],
        &["--format=md"],
    );
    for expected in [
        "### reproduce.json\n\n- Command: `bench-client reproduce --output reproduce.json`",
        "- Machine: AMD EPYC, 2 cores",
        "| true default | **1,417** | valid |",
        "| http json | delete-full | 1 | 50×1 | 1.5 |",
        "| fake (updates never run) |",
        "| **INVALID** (42,053) | **INVALID: fake** |",
        "closed loop: ",
        "--rate",
        "| **at least** 1,200,000 | **valid, generator-bound** |",
        "| **null server** 1,200,000 | **null server: nothing stored** |",
        "## Open loop",
        "## Repetitions",
        "the interval is wide",
        "## Verdicts",
        "- **INVALID**, fake (updates never run): ",
        "Remedy: check that the server executes its UPDATEs.",
        "## Time budget",
        "wait for the batch",
        "A second of the writer",
        "writer CPU",
        "&lt;script&gt;",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    assert!(!text.contains("<script"));
    // A name with a bar in it does not make another column.
    let unescaped = |line: &str| line.replace("\\|", "").matches('|').count();
    let table = text.lines().skip_while(|line| !line.starts_with("| row |"));
    let table: Vec<_> = table.take_while(|line| line.starts_with('|')).collect();
    assert!(table.len() > 30, "{table:?}");
    assert!(table.iter().all(|line| unescaped(line) == 16), "{table:#?}");
}

#[test]
fn text_fits_the_terminal_and_says_everything() {
    let (directory, path, record) = with_everything();
    let widths = ["40", "80", "100", "160"];
    for width in widths {
        let text = shown(
            directory.path(),
            &[&path],
            &["--format=text", "--width", width],
        );
        let columns: usize = width.parse().expect("a number");
        for line in text.lines().filter(|line| line.chars().count() > columns) {
            // A single word may be longer than the room for it.
            let words: Vec<&str> = line.split_whitespace().collect();
            assert!(words.len() <= 3, "{width}: {line:?}");
        }
        for row in &record.rows {
            let tps = bench_client::figures::rate(row.tps);
            assert!(text.contains(&tps), "{tps} at {width}");
        }
        for expected in ["1 INVALID", "µs", "Remedy: ", "Where and how"] {
            assert!(text.contains(expected), "{expected} at {width}");
        }
    }
    let text = shown(directory.path(), &[&path], &["--format=text"]);
    let verified = text.lines().filter(|line| line.starts_with("verified "));
    assert_eq!(verified.count(), record.rows.len(), "{text}");
}

#[test]
fn an_open_loop_alone_is_not_called_closed() {
    let (directory, _, record) = with_everything();
    let mut record = record;
    record.summaries.clear();
    record.rows.retain(|row| row.open_loop.is_some());
    let path = directory.path().join("open.json");
    record.write_to(&path).expect("it can be written");
    for format in ["md", "html"] {
        let flag = format!("--format={format}");
        let text = shown(directory.path(), &[&path], &[&flag]);
        assert!(!text.contains("closed loop:"), "{text}");
    }
}

fn table(text: &str) -> (Vec<String>, Vec<BTreeMap<String, String>>) {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header: Vec<String> = reader
        .headers()
        .expect("there is a header")
        .iter()
        .map(str::to_owned)
        .collect();
    let lines = reader.deserialize().map(|line| line.expect("a line"));
    (header, lines.collect())
}

#[test]
fn csv_has_a_line_for_each_row_and_the_same_columns_always() {
    let (directory, path, record) = with_everything();
    let (header, lines) = table(&shown(directory.path(), &[&path], &["--format=csv"]));
    assert_eq!(lines.len(), record.rows.len());
    for (line, row) in lines.iter().zip(&record.rows) {
        assert_eq!(line["tps"], row.tps.to_string());
        assert_eq!(
            line["latency_ms.p99"],
            row.latency_ms.p99.unwrap().to_string()
        );
        assert_eq!(line["valid"], row.valid.to_string());
        let offered = row
            .open_loop
            .as_ref()
            .map(|open| open.offered_tps.to_string());
        assert_eq!(line["open_loop.offered_tps"], offered.unwrap_or_default());
    }
    assert_eq!(lines[3]["row"], fixture::HOSTILE);
    assert_eq!(lines[3]["verdicts"], "fake");
    assert_eq!(lines[0]["budget.second.sync_ms"], "300");
    assert_eq!(lines[0]["article.tps"], "");
    let (old_header, old) = table(&shown(
        directory.path(),
        &[&reproduction()],
        &["--format=csv"],
    ));
    assert_eq!(old_header, header);
    assert_eq!(old[1]["row"], "true default");
    assert_eq!(old[1]["article.tps"], "360");
    assert_ne!(old[1]["disk_ceiling_tps"], "");
    let labels: std::collections::BTreeSet<_> = lines.iter().map(|line| &line["row"]).collect();
    assert_eq!(labels.len(), lines.len(), "no two rows are called the same");
}

#[test]
fn csv_of_the_series_has_a_line_for_each_interval() {
    let (directory, path, record) = with_everything();
    let flags = ["--format=csv", "--series"];
    let (header, lines) = table(&shown(directory.path(), &[&path], &flags));
    let intervals: Vec<_> = record.rows.iter().flat_map(|row| &row.intervals).collect();
    assert!(intervals.len() > 8);
    assert_eq!(lines.len(), intervals.len());
    for (line, interval) in lines.iter().zip(intervals) {
        let p99 = interval
            .p99_ms
            .map_or_else(String::new, |p99| p99.to_string());
        assert_eq!(line["p99_ms"], p99);
        assert_eq!(
            line["checkpoints"],
            interval.checkpoints.unwrap_or(0).to_string()
        );
    }
    // Without intervals there is a header all the same.
    let (empty_header, none) = table(&shown(directory.path(), &[&reproduction()], &flags));
    assert_eq!((empty_header, none.len()), (header, 0));
}

#[test]
fn a_reproduction_names_its_edition_and_who_was_skipped() {
    let directory = directory();
    let text = std::fs::read_to_string(reproduction()).expect("the reproduction is there");
    let mut record: Value = serde_json::from_str(&text).expect("it is JSON");
    record["skipped"] = serde_json::json!([{"name": "bun-sqlite", "why": "bun is not installed"}]);
    // A peer's row repeats the one of the table, and its server counted leftovers.
    let place = record["rows"].as_array().expect("rows").iter();
    let place = place
        .clone()
        .position(|row| row["name"] == "batch 100")
        .expect("it is there");
    let mut row = record["rows"][place].clone();
    let mut compared = record["article"][place].clone();
    row["name"] = "batch 100, node-sqlite-ws".into();
    row["server"]["leftovers"] = 1_234.into();
    compared["name"] = row["name"].clone();
    compared["rung"] = "batch 100".into();
    record["rows"].as_array_mut().expect("rows").push(row);
    record["article"]
        .as_array_mut()
        .expect("rows")
        .push(compared);
    let path = directory.path().join("peers.json");
    std::fs::write(&path, record.to_string()).expect("it can be written");
    for format in ["text", "md", "html"] {
        let text = shown(directory.path(), &[&path], &[&format!("--format={format}")]);
        for expected in [
            "The article's table on this machine: at best ",
            "1 of 12 rows INVALID",
            "On its own technology",
            "left over, by the rule",
            "1,234",
            "Skipped, bun-sqlite: bun is not installed.",
            "A commit makes ",
        ] {
            assert!(
                text.contains(expected),
                "{format}: {expected} is not in\n{text}"
            );
        }
    }
}
