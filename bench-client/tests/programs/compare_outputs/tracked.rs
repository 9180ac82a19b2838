//! What tools that follow figures over time are given, by their JSON Schemas.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Files, here};
use crate::report::readers::{can_run, no_package, read_by};

/// What ajv says about JSON by a schema of this directory; fails with its reasons.
#[track_caller]
fn holds(schema: &str, text: &str, files: &Files) -> bool {
    let document = files.path().join("document.json");
    std::fs::write(&document, text).expect("it can be written");
    let schema = here(schema);
    let said = read_by(
        "schema.mjs",
        &[
            schema.to_str().expect("a path"),
            document.to_str().expect("a path"),
        ],
    );
    said.as_array().expect("a list of reasons").is_empty()
}

/// Bencher's form: one run has no interval.
fn has_intervals_of_several_runs(files: &Files) {
    for (record, benchmarks) in [(&files.comparison, 1), (&files.runs, 19)] {
        let text = files.shown(record, &["--format=bmf"]);
        assert!(holds("bmf.schema.json", &text, files), "{text}");
        let all: BTreeMap<String, BTreeMap<String, Value>> =
            serde_json::from_str(&text).expect("it is JSON");
        assert_eq!(all.len(), benchmarks);
        let several = all
            .values()
            .filter(|all| all["tps"]["lower_value"].is_number());
        assert_eq!(
            several.count(),
            1,
            "of repetitions, or of a comparison's runs"
        );
        for measures in all.values() {
            let names: Vec<_> = measures.keys().collect();
            assert_eq!(names, ["p50-ms", "p95-ms", "p99-ms", "tps"]);
            for measure in measures.values() {
                let [low, value, high] =
                    ["lower_value", "value", "upper_value"].map(|key| measure[key].as_f64());
                assert!(low.is_none() == high.is_none() && (low.is_none() || low <= value));
                assert!(high.is_none() || high >= value);
            }
        }
    }
}

#[test]
fn tracked_figures_follow_their_schemas() {
    let name = "tracked::tracked_figures_follow_their_schemas";
    if !can_run(name, || no_package("ajv")) {
        return;
    }
    let files = Files::new();
    let output = files.report(
        &[&files.comparison],
        &["--format=github-benchmark", "--output-dir=made"],
    );
    output.expect_code(0);
    let expected = [
        ("bigger-is-better.json", "--direction=bigger", &["TPS"][..]),
        (
            "smaller-is-better.json",
            "--direction=smaller",
            &["p50", "p95", "p99"],
        ),
    ];
    for (file, direction, metrics) in expected {
        let flags = ["--format=github-benchmark", direction];
        let text = files.shown(&files.comparison, &flags);
        let written = std::fs::read_to_string(files.path().join("made").join(file));
        assert_eq!(written.expect("it was written").trim(), text.trim());
        assert!(
            holds("github-benchmark.schema.json", &text, &files),
            "{text}"
        );
        let entries: Vec<Value> = serde_json::from_str(&text).expect("it is JSON");
        let expected: Vec<String> = metrics
            .iter()
            .map(|metric| {
                format!(
                    "sqlite_ws_rpc/json/wal-full/batch-size=4096/in-flight=50x16/\
                     accounts=100000/alpha=1.5 {metric}"
                )
            })
            .collect();
        let names: Vec<_> = entries
            .iter()
            .filter_map(|one| one["name"].as_str())
            .collect();
        assert_eq!(names, expected);
        let runs = files.shown(&files.runs, &flags);
        assert!(
            holds("github-benchmark.schema.json", &runs, &files),
            "{runs}"
        );
        let entries: Vec<Value> = serde_json::from_str(&runs).expect("it is JSON");
        let names: BTreeSet<_> = entries.iter().map(|one| one["name"].as_str()).collect();
        assert_eq!(
            names.len(),
            entries.len(),
            "no two figures are called the same"
        );
        // One row of the fixture is invalid, and three are repetitions of one.
        assert_eq!(entries.len(), 19 * metrics.len());
        assert!(!runs.contains("script"), "an invalid row is not tracked");
    }
    let tps: Value = serde_json::from_str(&files.shown(
        &files.comparison,
        &["--format=github-benchmark", "--direction=bigger"],
    ))
    .expect("it is JSON");
    assert_eq!(tps[0]["unit"], "TPS");
    assert_eq!(
        tps[0]["extra"],
        "median of 8 runs; against the base -9.0 % (-10.5 % to -7.9 %)"
    );
    has_intervals_of_several_runs(&files);
    // And the schemas refuse what is wrong.
    assert!(!holds(
        "bmf.schema.json",
        "{\"a\": {\"tps\": {\"value\": \"1\"}}}",
        &files
    ));
    assert!(!holds(
        "github-benchmark.schema.json",
        "[{\"name\": \"a\"}]",
        &files
    ));
}
