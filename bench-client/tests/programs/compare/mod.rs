//! Comparisons as a user sees them: the real binary, from its sides to its exit code, its record
//! and its baselines.

mod baselines;
mod endings;
mod sides;

use std::path::Path;

use bench_client::record::comparison::ComparisonRecord;
use serde_json::{Value, json};

use crate::common::{Ended, bench_client, directory, machine, records, rows, run};

/// Runs that take a moment.
const TINY: [&str; 4] = [
    "--duration=0.4",
    "--warmup=0.05",
    "--accounts=500",
    "--concurrency=2",
];

/// What a comparison ends with.
const GATE_FAILED: i32 = 3;
const INVALID: i32 = 4;

fn compare(directory: &Path, words: &[&str]) -> Ended {
    let mut command = bench_client(directory);
    run(command.arg("compare").args(TINY).args(words))
}

/// The record of a comparison, which must be what was printed and of the published form.
#[track_caller]
fn comparison(directory: &Path, ended: &Ended) -> Value {
    let printed = ended.json();
    let file = compared(directory).pop().expect("a record is written");
    let text = std::fs::read_to_string(file).expect("it can be read");
    let written: Value = serde_json::from_str(&text).expect("a record is JSON");
    assert_eq!(written, printed);
    // The published schema is that of this type; nothing is in the record that it lacks.
    let typed: ComparisonRecord = serde_json::from_str(&text).expect("it is a comparison");
    let again = serde_json::to_value(typed).expect("it can be written");
    assert_eq!(fields(&again), fields(&printed));
    printed
}

/// The places of all values, without their numbers.
fn fields(value: &Value) -> Vec<String> {
    fn walk(value: &Value, place: &str, places: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                for (name, value) in object {
                    walk(value, &format!("{place}/{name}"), places);
                }
            }
            Value::Array(array) => {
                for (number, value) in array.iter().enumerate() {
                    walk(value, &format!("{place}/{number}"), places);
                }
            }
            _ => places.push(place.to_owned()),
        }
    }
    let mut places = Vec::new();
    walk(value, "", &mut places);
    places
}

/// The records of comparisons.
fn compared(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut files = records(directory);
    files.retain(|file| file.to_string_lossy().contains("-compare-"));
    files
}

fn seeds(record: &Value) -> Vec<u64> {
    let seed = |row: &Value| row["seed"].as_u64().expect("a row has a seed");
    rows(record).iter().map(seed).collect()
}

fn batch_sizes(record: &Value) -> Vec<u64> {
    let size = |row: &Value| row["batch_size"].as_u64().expect("ours tells");
    rows(record).iter().map(size).collect()
}

#[track_caller]
fn refused(directory: &Path, words: &[&str], says: &[&str]) {
    let ended = compare(directory, words);
    ended.expect_code(2);
    assert_eq!(ended.stdout, "");
    assert_eq!(
        ended.stderr.trim_end().lines().count(),
        1,
        "{}",
        ended.stderr
    );
    for says in says {
        assert!(
            ended.stderr.contains(says),
            "no '{says}' in {}",
            ended.stderr
        );
    }
    assert_eq!(compared(directory), Vec::<std::path::PathBuf>::new());
}

/// Sides that apply otherwise are told apart by the condition's name and their fingerprints.
#[test]
fn sides_that_apply_otherwise_are_unlike() {
    let directory = directory();
    let words = [
        "--rounds=1",
        "--json",
        "sqlite_ws_rpc",
        "sqlite_ws_rpc,apply=coalesced",
    ];
    let ended = compare(directory.path(), &words);
    let record = comparison(directory.path(), &ended);
    let applies: Vec<_> = rows(&record)
        .iter()
        .map(|row| row["apply"].clone())
        .collect();
    assert!(applies.contains(&json!("per-transfer")) && applies.contains(&json!("coalesced")));
    let apart = json!({ "field": "apply", "base": "per-transfer", "candidate": "coalesced" });
    let differences = record["differences"].as_array().expect("differences");
    assert!(differences.contains(&apart), "{differences:?}");
}

#[test]
fn what_is_no_comparison_is_refused_in_one_line() {
    let directory = directory();
    let directory = directory.path();
    let ws = "sqlite_ws_rpc";
    refused(directory, &[], &["two sides"]);
    refused(directory, &[ws], &["two sides", "--baseline"]);
    refused(
        directory,
        &["redis", ws],
        &["there is no target 'redis'", ws],
    );
    refused(
        directory,
        &["sqlite_ws_rpc,batchsize=1", ws],
        &["'batchsize' is not a knob", "batch-size, batch-timeout"],
    );
    refused(
        directory,
        &[ws, "sqlite_ws_rpc,batch-size=0"],
        &["side 'sqlite_ws_rpc,batch-size=0'", "--batch-size"],
    );
    refused(
        directory,
        &["sqlite_ws_rpc,seed=2", ws],
        &["'seed' is not a knob"],
    );
    refused(
        directory,
        &["sqlite_rpc,encoding=binary", ws],
        &["side 'sqlite_rpc,encoding=binary'", "sqlite_ws_rpc"],
    );
    refused(
        directory,
        &["sqlite_ws_rpc,url=ws://127.0.0.1:1,batch-size=2", ws],
        &["--batch-size is for a server that this program starts"],
    );
    refused(
        directory,
        &["sqlite_ws_rpc,server-bin=/bin/true", ws],
        &["server-bin=/bin/true is none of"],
    );
    refused(
        directory,
        &["sqlite_ws_rpc,server-bin=./none", ws],
        &["server-bin=./none cannot be started"],
    );
    refused(
        directory,
        &["sqlite_ws_rpc,server-bin=x,url=ws://127.0.0.1:1", ws],
        &["server-bin is for a server that this program starts"],
    );
    refused(directory, &[ws, ws, "--connector", ws], &["--connector"]);
    refused(directory, &[ws, ws, "--batch-size=1,2"], &["one value"]);
    refused(directory, &[ws, ws, "--fail-if=tps<+5%"], &["tps<-5%"]);
    refused(directory, &[ws, ws, "--fail-if=tps>-5%"], &["tps>-5%"]);
    for gate in ["--fail-if=tps<100000000", "--fail-if=p99>+10%"] {
        refused(
            directory,
            &[ws, ws, "--rounds=9", gate],
            &["can never be decided in 9 rounds: it takes --rounds 10"],
        );
    }
    refused(
        directory,
        &[ws, ws, "--rounds=2", "--until-precision=2%"],
        &["--until-precision"],
    );
    refused(directory, &[ws, "--baseline=none"], &["no baseline none"]);
    refused(directory, &[ws, "--baseline=./none.json"], &["none.json"]);
    refused(directory, &[ws, ws, "--baseline=x"], &["the baseline is A"]);
}

#[test]
fn rounds_turn_around_and_share_their_seeds() {
    let directory = directory();
    let words = [
        "sqlite_ws_rpc,batch-size=3",
        "sqlite_ws_rpc,batch-size=4,queue=5000",
        "--rounds=3",
        "--seed=40",
        "--json",
    ];
    let ended = compare(directory.path(), &words);
    ended.expect_code(0);
    let record = comparison(directory.path(), &ended);
    assert_eq!(seeds(&record), [40, 40, 41, 41, 42, 42]);
    assert_eq!(batch_sizes(&record), [3, 4, 4, 3, 3, 4]);
    let rounds = json!([
        { "base_row": 0, "candidate_row": 1, "base_first": true },
        { "base_row": 3, "candidate_row": 2, "base_first": false },
        { "base_row": 4, "candidate_row": 5, "base_first": true },
    ]);
    assert_eq!(record["rounds"], rounds);
    let differences = json!([
        { "field": "batch-size", "base": "3", "candidate": "4" },
        { "field": "queue", "base": "1048576", "candidate": "5000" },
    ]);
    assert_eq!(record["differences"], differences);
    assert_eq!(
        (&record["stopped"], &record["valid"]),
        (&json!("rounds"), &json!(true))
    );
    let fingerprints: Vec<&Value> = rows(&record)
        .iter()
        .map(|row| &row["fingerprint"])
        .collect();
    let [a, b] = [
        &record["base"]["fingerprint"],
        &record["candidate"]["fingerprint"],
    ];
    assert_eq!(fingerprints, [a, b, b, a, a, b]);
    assert_ne!(a, b);
    // Three rounds prove nothing, and say so.
    let metrics = record["metrics"].as_array().expect("metrics");
    // So short runs may have too few transfers for the higher percentiles, and say that too.
    let left_out = record["not_compared"].as_array().map_or(0, Vec::len);
    assert_eq!(metrics.len() + left_out, 4);
    assert_eq!(metrics[0]["metric"], "tps");
    for metric in metrics {
        assert_eq!(metric["change"]["change"], "inconclusive", "{metric}");
    }
    for row in rows(&record) {
        assert!(row["generator"]["ceiling_tps"].is_null(), "no null server");
    }
}

#[test]
fn people_read_verdicts_noise_gates_and_calibration() {
    let _machine = machine();
    let directory = directory();
    let sides = ["sqlite_ws_rpc", "sqlite_ws_rpc"];
    let flags = ["--rounds=3", "--calibrate", "--fail-if=tps<1"];
    let ended = compare(
        directory.path(),
        &[&sides[..], &flags[..2], &["-v"]].concat(),
    );
    ended.expect_code(0);
    for says in [
        "both sides are alike",
        "sqlite_ws_rpc against itself",
        "3 rounds of both sides in turn",
        "75 % interval",
        "p99 ms",
        "inconclusive",
        "neighbouring runs of one side",
        "-compare-",
    ] {
        assert!(
            ended.stdout.contains(says),
            "no '{says}' in {}",
            ended.stdout
        );
    }
    assert!(!ended.stderr.contains(", p99 "), "{}", ended.stderr);
    let progress = ended.stderr.matches("round 3: base ").count();
    assert_eq!(progress, 2, "of A/A and of A/B: {}", ended.stderr);
    // The time is over before there are enough rounds: undecided, which fails nothing unless that
    // is asked for.
    for (strict, code) in [(None, 0), (Some("--fail-undecided"), GATE_FAILED)] {
        let words = sides.into_iter().chain(["--time-limit=10ms", flags[2]]);
        let mut command = bench_client(directory.path());
        let command = command
            .arg("compare")
            .args(TINY)
            .args(words.chain(strict))
            .env("GITHUB_STEP_SUMMARY", "summary.md");
        let ended = run(command);
        ended.expect_code(code);
        let mut lines = ended.stdout.lines();
        let gate = lines.find(|line| line.starts_with("undecided "));
        assert!(
            gate.is_some_and(|line| line.contains(" tps<1: ")),
            "{}",
            ended.stdout
        );
        assert!(ended.stdout.lines().count() <= 18, "{}", ended.stdout);
    }
    let summary = std::fs::read_to_string(directory.path().join("summary.md"));
    let summary = summary.expect("it is appended");
    assert_eq!(
        summary.matches("tps&lt;1 | undecided").count(),
        2,
        "{summary}"
    );
}

#[test]
fn what_is_much_slower_is_called_slower_and_fails_its_gates() {
    let _machine = machine();
    let directory = directory();
    let words = [
        "sqlite_ws_rpc,batch-size=4096",
        "sqlite_ws_rpc,batch-size=1",
        "--duration=0.3",
        "--concurrency=20",
        "--rounds=10",
        "--fail-if=tps<-5%",
        "--fail-if=tps<1",
        "--fail-if=p50>+10%",
        "--note=batches of one",
        "--json",
    ];
    let mut command = bench_client(directory.path());
    let ended = run(command
        .args(["compare", "--warmup=0.05", "--accounts=500"])
        .args(words));
    ended.expect_code(GATE_FAILED);
    // What a gate is about stands beside TPS while it goes.
    let rounds = ended
        .stderr
        .lines()
        .filter(|line| line.starts_with("round "));
    let told = |line: &&str| line.contains(" and ") && line.contains(", p50 ");
    assert_eq!(rounds.filter(told).count(), 10, "{}", ended.stderr);
    let record = comparison(directory.path(), &ended);
    assert_eq!(record["note"], "batches of one");
    let metrics = record["metrics"].as_array().expect("metrics");
    for metric in metrics.iter().take(2) {
        assert_eq!(metric["change"], json!({ "change": "slower" }), "{metric}");
        assert_eq!(metric["base"]["count"], 10);
    }
    assert_eq!(metrics[0]["metric"], "tps");
    assert!(metrics[0]["high"].as_f64() < Some(0.9), "{}", metrics[0]);
    let gates = record["gates"].as_array().expect("gates");
    let outcomes: Vec<_> = gates
        .iter()
        .map(|gate| (&gate["gate"], &gate["outcome"]))
        .collect();
    assert_eq!(
        outcomes,
        [
            (&json!("tps<-5%"), &json!("failed")),
            (&json!("tps<1"), &json!("passed")),
            (&json!("p50>+10%"), &json!("failed")),
        ]
    );
    // Without those of p95 and p99 where the slower side had too few transfers for them.
    let floors = record["noise_floor"].as_array().map(Vec::len);
    assert!(matches!(floors, Some(2..=4)), "{}", record["noise_floor"]);
}
