//! Distributions, read back by another reader of `HdrHistogram` files.

use busload_wire::histogram::decode_text;

use super::readers::{can_run, no_package, read_by};
use super::{shown, with_everything};

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
