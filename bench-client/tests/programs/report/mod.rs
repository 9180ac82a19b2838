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
mod histograms;
mod index;
mod pages;
pub(crate) mod readers;
mod without_rows;
mod written;

use std::path::{Path, PathBuf};

use crate::common::{Directory, Ended, bench_client, directory, run};
use bench_client::record::Record;
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
