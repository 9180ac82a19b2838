//! Records, and what is in them.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// Files below `directory`, records by default place.
pub(crate) fn records(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory.join("results/runs")) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    // A record that is being written has another name until it is whole.
    let mut files: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .collect();
    files.sort();
    files
}

/// The one record of a run.
#[track_caller]
pub(crate) fn record(directory: &Path) -> Value {
    let files = records(directory);
    assert_eq!(files.len(), 1, "{files:?}");
    let text = std::fs::read_to_string(&files[0]).expect("it can be read");
    serde_json::from_str(&text).expect("a record is JSON")
}

/// The rows of a record.
#[track_caller]
pub(crate) fn rows(record: &Value) -> &[Value] {
    record["rows"].as_array().expect("a record has rows")
}

/// The one row of a record.
#[track_caller]
pub(crate) fn row(record: &Value) -> &Value {
    let rows = rows(record);
    assert_eq!(rows.len(), 1);
    &rows[0]
}

/// The codes of a row's verdicts that make it invalid, or of the others.
pub(crate) fn verdicts(row: &Value, invalidating: bool) -> Vec<String> {
    let verdicts = row["verdicts"].as_array().expect("a row has verdicts");
    verdicts
        .iter()
        .filter(|verdict| verdict["invalidates"] == invalidating)
        .map(|verdict| {
            verdict["code"]
                .as_str()
                .expect("a verdict has a code")
                .to_owned()
        })
        .collect()
}

/// A number of a record.
#[track_caller]
pub(crate) fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

/// A count of a record.
#[track_caller]
pub(crate) fn count(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is no count"))
}

/// The journals of the audits that run below `directory`, as far as they are there.
pub(crate) fn journals(directory: &Path) -> Vec<PathBuf> {
    let list = |directory: &Path| {
        let entries = std::fs::read_dir(directory).into_iter().flatten();
        entries.flatten().map(|entry| entry.path())
    };
    let audits = list(&directory.join(".data"));
    let mut files: Vec<_> = audits.flat_map(|audit| list(&audit)).collect();
    files.retain(|file| file.file_stem().is_some_and(|stem| stem == "journal"));
    files
}

/// How many files and directories there are below where audits work; an audit leaves none.
pub(crate) fn left_behind(directory: &Path) -> usize {
    std::fs::read_dir(directory.join(".data")).map_or(0, Iterator::count)
}
