//! `bench-client report`: every form of a report, read back by somebody else's reader.
//!
//! The readers of `HdrHistogram` files are those of the npm package `hdr-histogram-js`, in
//! `tests/browser`; pages are loaded in headless Chromium. Without them a test is skipped by
//! name, with the reason; with `BUSLOAD_REQUIRE_INTEROP=1` that is a failure.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "made-up figures are small"
)]

pub(crate) mod fixture;
pub(crate) mod readers;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::common::{Directory, Ended, bench_client, directory, run};
use bench_client::record::Record;
use busload_wire::histogram::decode_text;
use readers::{can_run, chromium, no_chromium, no_package, read_by};
use serde_json::Value;

/// What `reproduce` wrote in version 1 of the record.
fn reproduction() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/records/reproduce.json")
}

/// The record of [`fixture::record`] in a file of its own.
fn everything(directory: &Path) -> (PathBuf, Record) {
    let text = std::fs::read_to_string(reproduction()).expect("the reproduction is there");
    let reproduction: Value = serde_json::from_str(&text).expect("it is JSON");
    let record = fixture::record(&reproduction["environment"].to_string());
    let path = directory.join("everything.json");
    record.write_to(&path).expect("the record can be written");
    (path, record)
}

fn report(directory: &Path, records: &[&Path], flags: &[&str]) -> Ended {
    run(bench_client(directory)
        .arg("report")
        .args(records)
        .args(flags))
}

/// A report that must succeed, on standard output.
#[track_caller]
fn shown(directory: &Path, records: &[&Path], flags: &[&str]) -> String {
    let ended = report(directory, records, flags);
    ended.expect_code(0);
    ended.stdout
}

fn with_everything() -> (Directory, PathBuf, Record) {
    let directory = directory();
    let (path, record) = everything(directory.path());
    (directory, path, record)
}

#[test]
fn what_is_no_record_is_refused_with_the_reason() {
    let directory = directory();
    let whole = std::fs::read_to_string(reproduction()).expect("the reproduction is there");
    let cases = [
        ("cut.json", &whole[..whole.len() / 2], "is cut off"),
        ("empty.json", "", "is cut off"),
        ("other.json", "{\"rows\": []}", "is not a record"),
        ("text.json", "not JSON", "is not a record"),
        (
            "newer.json",
            &whole.replacen("\"schema_version\":3", "\"schema_version\":99", 1),
            "schema_version 99",
        ),
        (
            "older.json",
            &whole.replacen("\"schema_version\":3", "\"schema_version\":2", 1),
            "schema_version 2, and this program reads records from schema_version 3 on",
        ),
        (
            "histogram.json",
            &whole.replacen(
                "\"latency_histogram\":\"HIST",
                "\"latency_histogram\":\"ABCD",
                1,
            ),
            "cannot be decoded",
        ),
    ];
    for (name, text, expected) in cases {
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("the file can be written");
        let ended = report(directory.path(), &[&path], &["--format=hlog"]);
        ended.expect_code(2);
        assert!(ended.stderr.contains(expected), "{name}: {}", ended.stderr);
        assert!(ended.stderr.contains(name), "{name}: {}", ended.stderr);
        assert_eq!(ended.stdout, "");
    }
    let ended = report(
        directory.path(),
        &[Path::new("missing.json")],
        &["--format=md"],
    );
    ended.expect_code(2);
    assert!(
        ended.stderr.contains("cannot read missing.json"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_record_of_torture_is_shown_as_it_was_printed() {
    let record = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/records/torture.json");
    let directory = tempfile::tempdir().expect("a directory");
    let ended = report(directory.path(), &[&record], &["--format=md"]);
    ended.expect_code(0);
    assert!(
        ended.stdout.starts_with("## NOTHING LOST: "),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.contains("| fault | cycles | injected |"),
        "{}",
        ended.stdout
    );
    for format in ["--format=text", "--format=html"] {
        let ended = report(directory.path(), &[&record], &[format]);
        ended.expect_code(0);
        assert!(ended.stdout.contains("NOTHING LOST: "), "{}", ended.stdout);
    }
    let ended = report(directory.path(), &[&record], &[]);
    let screen = &ended.expect_code(0).stdout;
    let lines = screen.lines().count();
    assert!(
        lines <= 12 && screen.starts_with("NOTHING LOST "),
        "{screen}"
    );
    let ended = report(directory.path(), &[&record], &["-v"]);
    assert!(
        ended.expect_code(0).stdout.contains("findings"),
        "the table"
    );
    let ended = report(directory.path(), &[&record], &["-q"]);
    assert_eq!(ended.expect_code(0).stdout.lines().count(), 1);
    // One that is named twice is one.
    let twice = report(directory.path(), &[&record, &record], &["-q"]);
    assert_eq!(twice.expect_code(0).stdout.lines().count(), 1);
    let other = directory.path().join("torture.json");
    std::fs::copy(&record, &other).expect("a copy");
    let both: &[&Path] = &[&record, &other];
    for (files, format) in [(&both[..1], "--format=csv"), (both, "--format=md")] {
        let ended = report(directory.path(), files, &[format]);
        ended.expect_code(2);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        let says = "torture.json is a record of `torture`";
        assert!(ended.stderr.contains(says), "{}", ended.stderr);
    }
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results");
    let older = results.join("2026-11-21-vm-2core-torture/kills-ws.json");
    let ended = report(directory.path(), &[&older], &["--format=md"]);
    ended.expect_code(2);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("torture_version 1"),
        "{}",
        ended.stderr
    );
}

#[test]
fn what_makes_no_sense_is_refused() {
    let (directory, path, _) = with_everything();
    for (flags, expected) in [
        (
            &["--format=pdf"][..],
            "possible values: text, md, html, csv, hlog, hgrm, github-benchmark, bmf, junit, gobench",
        ),
        (
            &["--format=md", "--series"],
            "--series goes with --format csv",
        ),
        (
            &["--format=md", "--width=80"],
            "--width goes with --format text only",
        ),
        (&["--format=text", "--width=9"], "write a number from 20"),
        (
            &["--format=csv", "--row=1"],
            "--row goes with --format hgrm",
        ),
        (&["--format=hgrm"], "choose it with --row"),
        (&["--format=hgrm", "--row=0"], "there is no row 0"),
        (&["--format=hgrm", "--row=999"], "there is no row 999"),
    ] {
        let ended = report(directory.path(), &[&path], flags);
        ended.expect_code(2);
        assert!(
            ended.stderr.contains(expected),
            "{flags:?}: {}",
            ended.stderr
        );
    }
}

#[test]
fn a_file_is_written_as_a_whole_and_is_what_is_printed() {
    let (directory, path, _) = with_everything();
    for format in ["text", "md", "html", "csv", "hlog"] {
        let flag = format!("--format={format}");
        let printed = shown(directory.path(), &[&path], &[&flag]);
        let output = format!("--output=made/{format}.out");
        assert_eq!(shown(directory.path(), &[&path], &[&flag, &output]), "");
        let written = directory.path().join(format!("made/{format}.out"));
        let written = std::fs::read_to_string(written).expect("it was written");
        assert_eq!(written.trim_end(), printed.trim_end(), "{format}");
        assert!(!written.is_empty());
    }
    let ended = report(
        directory.path(),
        &[&path],
        &["--format=md", "--output=/proc/none/a"],
    );
    ended.expect_code(2);
    assert!(
        ended.stderr.contains("cannot write /proc/none/a"),
        "{}",
        ended.stderr
    );
    let left = std::fs::read_dir(directory.path().join("made")).expect("it is there");
    assert_eq!(left.count(), 5, "no temporary file is left");
}

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

fn no_hdr_reader() -> Option<String> {
    no_package("hdr-histogram-js")
}

#[test]
fn another_reader_reads_the_interval_log() {
    if !can_run("another_reader_reads_the_interval_log", no_hdr_reader) {
        return;
    }
    let (directory, path, record) = with_everything();
    let text = shown(
        directory.path(),
        &[&path],
        &["--format=hlog", "--output=a.hlog"],
    );
    assert_eq!(text, "");
    let file = directory.path().join("a.hlog");
    let log = std::fs::read_to_string(&file).expect("it was written");
    assert!(
        log.starts_with("#[Histogram log format version 1.3]\n"),
        "{log}"
    );
    for header in ["#[StartTime: ", "#[BaseTime: "] {
        let line = log.lines().find(|line| line.starts_with(header));
        assert!(
            line.is_some_and(|line| line.ends_with(" (seconds since epoch)]")),
            "{header}"
        );
    }
    let read = read_by("hdr.mjs", &["hlog", file.to_str().expect("a path")]);
    let read = read.as_array().expect("a list");
    // A row without intervals has a line for its whole window.
    let expected: Vec<_> = record
        .rows
        .iter()
        .flat_map(|row| {
            let whole = (row.seconds, &row.latency_histogram);
            let intervals = row
                .intervals
                .iter()
                .map(|one| (one.seconds, &one.latency_histogram));
            let intervals: Vec<_> = intervals.collect();
            if intervals.is_empty() {
                vec![whole]
            } else {
                intervals
            }
        })
        .collect();
    assert_eq!(read.len(), expected.len());
    for (read, (seconds, histogram)) in read.iter().zip(expected) {
        let histogram = decode_text(histogram).expect("a histogram");
        assert_eq!(read["count"], histogram.len());
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999)] {
            assert_eq!(read[name], histogram.value_at_quantile(quantile), "{read}");
        }
        assert_eq!(read["max"], histogram.max());
        let length =
            read["end_ms"].as_f64().expect("a time") - read["start_ms"].as_f64().expect("a time");
        assert!((length - seconds * 1e3).abs() < 2.0, "{read}");
    }
    let tags: std::collections::BTreeSet<_> = read.iter().map(|one| one["tag"].as_str()).collect();
    assert_eq!(
        tags.len(),
        record.rows.len(),
        "a tag for each row: {tags:?}"
    );
    let start = read[0]["start_ms"].as_f64().expect("a time");
    // The record was started on 2026-11-21, and its first row warmed up for two seconds.
    assert!((start - 1_795_236_554_224.0).abs() < 2.0, "{start}");
}

#[test]
fn another_reader_prints_the_same_distribution() {
    if !can_run("another_reader_prints_the_same_distribution", no_hdr_reader) {
        return;
    }
    let (directory, path, record) = with_everything();
    for row in ["1", "4", "10"] {
        let flags = ["--format=hgrm", "--row", row];
        let ours = shown(directory.path(), &[&path], &flags);
        let place: usize = row.parse().expect("a number");
        let theirs = read_by(
            "hdr.mjs",
            &["hgrm", &record.rows[place - 1].latency_histogram],
        );
        let theirs = theirs.as_str().expect("a text");
        let rows = |text: &str| -> Vec<Vec<String>> {
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            let tokens = lines.map(|line| line.split_whitespace().map(str::to_owned).collect());
            tokens
                .filter(|tokens: &Vec<String>| !tokens.is_empty())
                .collect()
        };
        let (ours_rows, theirs_rows) = (rows(&ours), rows(theirs));
        assert!(ours_rows.len() > 20);
        assert!(ours_rows.iter().all(|tokens| tokens.len() == 4), "{ours}");
        assert_eq!(
            ours_rows[0].join(" "),
            "Value Percentile TotalCount 1/(1-Percentile)"
        );
        // Theirs ends in three columns, which the plotter drops.
        let last = ours_rows.last().expect("there are rows");
        assert_eq!(last[..3], theirs_rows.last().expect("there are rows")[..3]);
        assert_eq!(last[3], "inf");
        let but_last = |rows: &[Vec<String>]| rows[..rows.len() - 1].to_vec();
        assert_eq!(but_last(&ours_rows), but_last(&theirs_rows));
        let footer = |text: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| line.starts_with('#'));
            lines.map(|line| line.replace(' ', "")).collect()
        };
        assert_eq!(footer(&ours), footer(theirs));
    }
}

/// Titles of the charts that a record with everything has.
const CHARTS: [&str; 12] = [
    "TPS ladder",
    "Fitted and measured TPS",
    "Latency percentile spectrum",
    "Offered rate and latency",
    "Batch size",
    "Transfers in flight",
    "Contention",
    "Batch size and transfers in flight",
    "Time budget of a transfer",
    "A second of the writer",
    "Time series: ",
    "Sync latency",
];

/// What is printed is as wide as the paper, and dark text is on white whatever the screen has.
#[track_caller]
fn on_paper(view: &Value) {
    let printed = &view["printed"];
    assert_eq!(printed["overflow"], 0, "{printed:#}");
    assert_eq!(printed["background"], "rgb(255, 255, 255)", "{printed:#}");
}

#[test]
fn the_page_is_whole_in_a_browser() {
    let name = "the_page_is_whole_in_a_browser";
    if !can_run(name, no_chromium) {
        return;
    }
    let (directory, path, _) = with_everything();
    let reproduction = reproduction();
    for (file, records) in [
        ("all.html", &[path.as_path(), &reproduction][..]),
        ("old.html", &[reproduction.as_path()]),
    ] {
        let output = format!("--output={file}");
        shown(directory.path(), records, &["--format=html", &output]);
        let page = directory.path().join(file);
        let page = page.to_str().expect("a path");
        let browser = chromium().expect("it was there");
        let seen = read_by("page.mjs", &[browser, page, "390", "1200"]);
        let seen = seen.as_array().expect("a list");
        // Two widths, in light and in dark.
        assert_eq!(seen.len(), 4);
        for view in seen {
            assert_eq!(view["problems"], serde_json::json!([]), "{view:#}");
            assert_eq!(view["requests"], serde_json::json!([]), "{view:#}");
            assert_eq!(
                view["overflow"], 0,
                "the page does not scroll sideways: {view:#}"
            );
            let charts = view["charts"].as_array().expect("a list");
            let titles: Vec<_> = charts
                .iter()
                .filter_map(|one| one["title"].as_str())
                .collect();
            if file == "all.html" {
                for title in CHARTS {
                    assert!(
                        titles.iter().any(|one| one.starts_with(title)),
                        "{title}: {titles:?}"
                    );
                }
            } else {
                // What was not measured has no chart.
                assert_eq!(charts.len(), 2, "{titles:?}");
            }
            on_paper(view);
            let switches = view["switches"].as_array().expect("a list");
            assert!(switches.len() > 10, "every curve has one: {switches:?}");
            assert!(switches.iter().all(|works| *works == true), "{switches:?}");
            for chart in charts {
                assert!(chart["marks"].as_u64() > Some(0), "{chart:#}");
                assert!(
                    chart["cells"].as_u64() > Some(0),
                    "it has a table: {chart:#}"
                );
                assert!(chart["width"].as_f64() > Some(200.0), "{chart:#}");
                let labels = chart["labels"].as_array().expect("a list");
                let long = |label: &Value| label.as_str().is_some_and(|label| label.len() > 20);
                assert!(!labels.is_empty() && labels.iter().all(long), "{chart:#}");
                assert_eq!(chart["clipped"], serde_json::json!([]), "{chart:#}");
                assert_eq!(chart["unpainted"], 0, "{chart:#}");
            }
        }
        let backgrounds: std::collections::BTreeSet<_> = seen
            .iter()
            .map(|view| view["background"].as_str())
            .collect();
        assert_eq!(
            backgrounds.len(),
            2,
            "light and dark differ: {backgrounds:?}"
        );
    }
}

#[test]
fn the_page_needs_nothing_else_and_escapes_what_it_shows() {
    let (directory, path, _) = with_everything();
    let page = shown(directory.path(), &[&path], &["--format=html"]);
    assert!(
        !page.contains("<script"),
        "no script, and no name that becomes one"
    );
    assert!(page.contains("&lt;script&gt;alert("));
    assert!(page.contains("what to do &lt;about&gt; it &amp; why"));
    let addresses = page.replace("http://www.w3.org/2000/svg", "");
    for outside in ["http:", "https:", "@import", "url(", "src="] {
        assert!(!addresses.contains(outside), "{outside}");
    }
    assert!(page.contains("INVALID: fake"));
    assert!(page.contains("1 INVALID"));
    assert!(page.contains("<span class=\"mark warn\">at least</span> 1,200,000"));
    assert!(
        page.contains(">\nat least 1,200,000\n</text>"),
        "in the ladder too"
    );
    // Every colour of a drawing is the style sheet's.
    assert!(!page.contains("=\"#"), "a fixed colour is left");
    assert_eq!(
        page.matches("<figure ").count(),
        page.matches("<details><summary>Data: ").count()
    );
    assert!(page.matches("<svg ").count() > page.matches("<figure ").count());
}

/// A directory of results: records, one that is too old, one that is cut off, and other files.
fn results(directory: &Path) -> PathBuf {
    let results = directory.join("results");
    std::fs::create_dir_all(results.join("2026-11-21-vm")).expect("it can be made");
    let reproduction = std::fs::read_to_string(reproduction()).expect("the reproduction is there");
    let again = reproduction.replacen("2026-11-21T", "2026-11-22T", 1);
    assert_ne!(again, reproduction);
    let torture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/records/torture.json");
    let torture = std::fs::read_to_string(torture).expect("the record is there");
    let older = reproduction.replacen("\"schema_version\":3", "\"schema_version\":2", 1);
    for (name, text) in [
        ("2026-11-21-vm/reproduce.json", reproduction.as_str()),
        ("2026-11-21-vm/older.json", &older),
        ("again.json", &again),
        ("cut.json", &reproduction[..1_000]),
        ("torture.json", &torture),
        ("README.md", "# Results"),
        (".hidden.json", "{}"),
    ] {
        std::fs::write(results.join(name), text).expect("it can be written");
    }
    everything(&results);
    results
}

#[test]
fn a_directory_has_an_index_and_each_record_its_page() {
    let directory = directory();
    let results = results(directory.path());
    let flags = ["--format=html", "--output=site/"];
    assert_eq!(shown(directory.path(), &[&results], &flags), "");
    let site = directory.path().join("site");
    let read = |name: &str| std::fs::read_to_string(site.join(name)).expect("it was written");
    let index = read("index.html");
    assert!(
        !index.contains("<script"),
        "no script, and no name that becomes one"
    );
    let pages = [
        "2026-11-21-vm-reproduce.html",
        "again.html",
        "everything.html",
        "torture.html",
    ];
    for page in pages {
        assert!(index.contains(&format!("href=\"{page}\"")), "{page}");
        assert!(read(page).contains("</html>"), "{page}");
    }
    let written = std::fs::read_dir(&site).expect("it is there").count();
    assert_eq!(written, pages.len() + 1, "and no other");
    // Each row leads to its own, which is there.
    let anchors = index.matches("again.html#row-").count();
    assert_eq!(anchors, 11, "{index}");
    assert!(read("again.html").contains("<tr id=\"row-11\">"));
    for (file, why) in [
        (
            "2026-11-21-vm/older.json",
            "schema_version 2, and this program",
        ),
        ("cut.json", "is cut off"),
    ] {
        let line = index
            .split("<li>")
            .find(|line| line.contains(&format!("{file}</code>")));
        assert!(
            line.is_some_and(|line| line.contains(why)),
            "{file}: {line:?}"
        );
    }
    assert!(!index.contains("hidden") && !index.contains("README"));
    assert!(index.contains("NOTHING LOST"), "what torture found");
    // In a file by itself nothing leads anywhere.
    let alone = shown(directory.path(), &[&results], &["--format=md"]);
    assert!(
        alone.contains("## Not shown") && !alone.contains("]("),
        "{alone}"
    );
    let ended = report(directory.path(), &[&results], &["--format=csv"]);
    ended.expect_code(2);
    ended.expect_one_line("which has text, md and html, and no csv");
    std::fs::create_dir(directory.path().join("empty")).expect("a directory");
    for (named, output, said) in [
        ("empty", "a.md", "there is no record in empty"),
        ("results", "a.pdf", ".pdf is no form"),
        ("results", "a.xml", "--format junit"),
    ] {
        let ended = report(directory.path(), &[Path::new(named)], &["--output", output]);
        ended.expect_code(2).expect_one_line(said);
    }
    let cut = results.join("cut.json");
    let ended = report(directory.path(), &[&results, &cut], &["--format=md"]);
    ended.expect_code(2).expect_one_line("is cut off");
}

#[test]
fn the_index_is_filtered_in_a_browser_without_a_script() {
    let name = "the_index_is_filtered_in_a_browser_without_a_script";
    if !can_run(name, no_chromium) {
        return;
    }
    let directory = directory();
    let results = results(directory.path());
    let flags = ["--format=html", "--output-dir=site"];
    shown(directory.path(), &[&results], &flags);
    let page = directory.path().join("site/index.html");
    let browser = chromium().expect("it was there");
    let seen = read_by(
        "page.mjs",
        &[browser, page.to_str().expect("a path"), "390", "1200"],
    );
    for view in seen.as_array().expect("a list") {
        assert_eq!(view["problems"], serde_json::json!([]), "{view:#}");
        assert_eq!(view["requests"], serde_json::json!([]), "{view:#}");
        assert_eq!(view["overflow"], 0, "{view:#}");
        on_paper(view);
        let choices = view["choices"].as_array().expect("a list");
        let all = choices[0]["shown"].as_u64().expect("a count");
        assert!(choices.len() > 8 && all > 40, "{choices:#?}");
        let count = |choice: &Value| choice["shown"].as_u64().expect("a count");
        for choice in choices {
            assert_eq!(choice["shown"], choice["right"], "{choice}");
            assert!(count(choice) > 0, "{choice}");
        }
        let wal = choices
            .iter()
            .find(|choice| choice["value"] == "delete-full");
        assert!(
            wal.is_some_and(|choice| count(choice) < all),
            "{choices:#?}"
        );
    }
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
