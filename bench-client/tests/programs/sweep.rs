//! Repetitions and sweeps as a user sees them: the real binary, from its arguments to its exit
//! code, its record and what a second call makes of that.

use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::common::{
    Ended, Running, Served, bench_client, directory, record, records, rows, run, server_of, until,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// Rows that take a moment.
const TINY: [&str; 6] = [
    "--duration=0.4",
    "--warmup=0.05",
    "--accounts=500",
    "--concurrency=2",
    "--timeout=15s",
    "--no-null-server",
];

fn sweep(directory: &Path, flags: &[&str]) -> Ended {
    run(bench_client(directory).arg("sweep").args(TINY).args(flags))
}

#[track_caller]
fn read(directory: &Path, file: &str) -> Value {
    let text = std::fs::read_to_string(directory.join(file)).expect("the record is there");
    serde_json::from_str(&text).expect("a record is JSON")
}

/// One field of all rows, in their order.
fn column(record: &Value, field: &str) -> Vec<Value> {
    rows(record).iter().map(|row| row[field].clone()).collect()
}

/// What is said of a server is said of all its rows together.
#[test]
fn a_person_is_warned_once() {
    let directory = directory();
    let flags = ["--over=alpha=0,1", "--durability=discard-writes"];
    let ended = sweep(directory.path(), &flags);
    ended.expect_code(4);
    assert_eq!(ended.stderr.matches("warning: discard-writes").count(), 1);
}

#[test]
fn repetitions_take_turns_and_are_summarised() {
    let directory = directory();
    let flags = ["--runs=3", "--alpha=0,1", "--json"];
    let mut command = bench_client(directory.path());
    let ended = run(command.arg("run").args(TINY).args(flags));
    let record = ended.expect_code(0).json();
    let [zero, one] = [json!(0.0), json!(1.0)];
    let expected = [&zero, &one, &zero, &one, &zero, &one];
    assert_eq!(
        column(&record, "alpha").iter().collect::<Vec<_>>(),
        expected
    );
    let numbers = [1, 1, 2, 2, 3, 3].map(|number| json!({ "number": number, "of": 3 }));
    assert_eq!(column(&record, "repetition"), numbers);
    let summaries = record["summaries"].as_array().expect("summaries");
    assert_eq!(summaries.len(), 2);
    for (summary, places) in summaries.iter().zip([[0, 2, 4], [1, 3, 5]]) {
        assert_eq!(summary["rows"], json!(places));
        let mut tps = places.map(|place| rows(&record)[place]["tps"].as_f64().expect("TPS"));
        tps.sort_by(f64::total_cmp);
        let estimate = &summary["tps"];
        assert_eq!(
            [&estimate["low"], &estimate["median"], &estimate["high"]],
            [&json!(tps[0]), &json!(tps[1]), &json!(tps[2])]
        );
        assert_eq!(
            (&estimate["count"], &estimate["confidence"]),
            (&json!(3), &json!(0.75))
        );
        for metric in ["p50_ms", "p95_ms", "p99_ms"] {
            assert!(summary[metric]["median"].as_f64() > Some(0.0), "{metric}");
        }
        if let Some(warning) = summary.get("warning") {
            assert_eq!(warning["code"], "wide_spread");
            assert_ne!(warning["remedy"], "");
        }
    }
}

#[test]
fn a_single_run_has_no_summary() {
    let directory = directory();
    let mut command = bench_client(directory.path());
    let ended = run(command.arg("run").args(TINY).arg("--json"));
    let record = ended.expect_code(0).json();
    assert!(record.get("summaries").is_none() && record.get("sweep").is_none());
    assert_eq!(column(&record, "repetition"), [Value::Null]);
}

#[test]
fn people_read_medians_with_their_intervals() {
    let directory = directory();
    let mut command = bench_client(directory.path());
    let ended = run(command.arg("run").args(TINY).arg("--runs=2"));
    ended.expect_code(0);
    for word in ["runs", "interval", "50 %", "variation"] {
        assert!(ended.stdout.contains(word), "no {word} in {}", ended.stdout);
    }
}

#[test]
fn an_interrupted_repetition_leaves_the_others_summarised() {
    let directory = directory();
    let mut command = bench_client(directory.path());
    let flags = [
        "run",
        "--runs=50",
        "--duration=1",
        "--warmup=0",
        "--accounts=500",
    ];
    let client = Running::start(command.args(flags));
    until("two repetitions are recorded", || {
        let file = records(directory.path()).pop()?;
        let text = std::fs::read_to_string(file).ok()?;
        (text.matches("\"repetition\"").count() >= 2).then_some(())
    });
    client.signal(Signal::SIGINT);
    client.wait().expect_code(130);
    let record = record(directory.path());
    let count = rows(&record).len();
    assert!((2..50).contains(&count), "{count}");
    let complete = column(&record, "interrupted")
        .iter()
        .filter(|row| **row == json!(false))
        .count();
    assert_eq!(record["summaries"][0]["tps"]["count"], json!(complete));
}

#[test]
fn contention_is_swept_and_seen() {
    let directory = directory();
    let ended = sweep(directory.path(), &["--over=alpha=0,2", "--inflight=8"]);
    ended.expect_code(0);
    for word in [
        "alpha",
        "TPS",
        "p50 ms",
        "p99 ms",
        "collisions",
        "per commit",
        "results/runs/",
    ] {
        assert!(ended.stdout.contains(word), "no {word} in {}", ended.stdout);
    }
    let record = record(directory.path());
    assert_eq!(column(&record, "alpha"), [json!(0.0), json!(2.0)]);
    let collisions = column(&record, "collision_rate");
    assert!(
        collisions[0].as_f64() < collisions[1].as_f64(),
        "{collisions:?}"
    );
    assert_eq!(
        record["sweep"]["over"],
        json!([{ "knob": "alpha", "values": [0.0, 2.0] }])
    );
}

#[test]
fn two_knobs_are_swept_against_each_other() {
    let directory = directory();
    let flags = [
        "--over=batch-size=geometric:1:64:2",
        "--over=batch-timeout=0ms..1ms/1ms",
        "--connector=sqlite_rpc,sqlite_ws_rpc",
    ];
    let ended = sweep(directory.path(), &flags);
    ended.expect_code(0);
    assert!(
        ended.stdout.contains("batch-size \\ batch-timeout"),
        "{}",
        ended.stdout
    );
    let record = record(directory.path());
    assert_eq!(
        column(&record, "batch_size"),
        [1, 1, 1, 1, 64, 64, 64, 64].map(|n| json!(n))
    );
    let timeouts = [0.0, 0.0, 1e3, 1e3].repeat(2);
    assert_eq!(
        column(&record, "batch_timeout_us"),
        timeouts.into_iter().map(|us| json!(us)).collect::<Vec<_>>()
    );
    let connectors = ["sqlite_rpc", "sqlite_ws_rpc"].repeat(4);
    assert_eq!(column(&record, "connector"), connectors);
}

#[test]
fn the_other_knobs_can_be_swept_too() {
    let directory = directory();
    let base = [
        "sweep",
        "--duration=0.4",
        "--warmup=0",
        "--accounts=500",
        "--no-null-server",
        "--json",
    ];
    let flags = ["--over=concurrency=1,3", "--over=inflight=2..4/2"];
    let ended = run(bench_client(directory.path()).args(base).args(flags));
    let record = ended.expect_code(0).json();
    assert_eq!(
        column(&record, "concurrency"),
        [1, 1, 3, 3].map(|n| json!(n))
    );
    assert_eq!(
        column(&record, "max_inflight_per_worker"),
        [2, 4, 2, 4].map(|n| json!(n))
    );
}

#[test]
fn rates_are_swept_in_an_open_loop() {
    let directory = directory();
    let flags = [
        "--over=rate=geometric:100:400:3",
        "--arrival=poisson",
        "--latency-limit=5s",
        "--json",
    ];
    let record = sweep(directory.path(), &flags).expect_code(0).json();
    let open: Vec<_> = column(&record, "open_loop");
    let rates: Vec<_> = open
        .iter()
        .map(|open| open["offered_tps"].clone())
        .collect();
    assert_eq!(rates, [json!(100.0), json!(200.0), json!(400.0)]);
    for open in open {
        assert_eq!(
            (&open["arrival"], &open["latency_limit_ms"]),
            (&json!("poisson"), &json!(5000.0))
        );
    }
}

/// A p99 needs 1,000 transfers, so that these windows ask for 2,750 per second at least; no
/// machine that runs this is too slow for them, and none commits 3 million.
#[test]
fn a_knee_is_found_between_what_holds_and_what_cannot() {
    let directory = directory();
    let path = directory.path();
    let flags = [
        "--find-knee",
        "--from=2750",
        "--to=3000000",
        "--steps=2",
        "--p99-limit=5s",
        "--output=a.json",
    ];
    let ended = sweep(path, &flags);
    assert!([Some(0), Some(4)].contains(&ended.code()), "{ended:?}");
    assert!(ended.stdout.contains("knee: "), "{}", ended.stdout);
    let record = read(path, "a.json");
    let knee = &record["knee"];
    assert_eq!(knee["outcome"], "found");
    let (passes, fails) = (&knee["passes"], &knee["fails"]);
    assert!(passes["rate"].as_f64() < fails["rate"].as_f64(), "{knee:#}");
    assert!(
        !fails["why"].is_null() && passes["why"].is_null(),
        "{knee:#}"
    );
    for (point, least) in [(passes, 1), (fails, 2)] {
        let places = point["rows"].as_array().expect("its rows");
        assert!(places.len() >= least, "{knee:#}");
        for place in places {
            let place = usize::try_from(place.as_u64().expect("a place")).expect("it fits");
            assert_eq!(
                rows(&record)[place]["open_loop"]["offered_tps"],
                point["rate"]
            );
        }
    }
    // All of it is there: the same knee from the same rows.
    let again = sweep(path, &flags);
    if rows(&record).iter().all(|row| row["valid"] == true) {
        assert_eq!(read(path, "a.json")["knee"], *knee);
        assert_eq!(
            rows(&read(path, "a.json")).len(),
            rows(&record).len(),
            "{again:?}"
        );
    }
}

#[test]
fn no_knee_is_made_up() {
    let directory = directory();
    let flags = [
        "--find-knee",
        "--from=2750",
        "--to=3000",
        "--p99-limit=10s",
        "--json",
    ];
    let record = sweep(directory.path(), &flags).expect_code(0).json();
    assert_eq!(record["knee"]["outcome"], "all_pass");
    assert_eq!(rows(&record).len(), 2);
    // Nobody commits within a microsecond.
    let flags = ["--find-knee", "--from=2750", "--to=3000", "--p99-limit=1us"];
    let ended = sweep(directory.path(), &flags);
    ended.expect_code(0);
    assert!(
        ended
            .stdout
            .contains("no knee found between 2,750 and 3,000: the lowest fails already"),
        "{}",
        ended.stdout
    );
}

/// A rate at which a run has too few transfers for a p99 neither passes nor fails: it is refused.
#[test]
fn a_knee_below_which_there_is_no_p99_is_refused() {
    let directory = directory();
    let flags = ["--find-knee", "--from=50", "--to=3000", "--output=a.json"];
    let ended = sweep(directory.path(), &flags);
    ended.expect_code(2);
    assert!(
        ended.stderr.contains("a p99 needs 1,000 transfers")
            && ended.stderr.contains("--from to 2750"),
        "{}",
        ended.stderr
    );
}

#[test]
fn without_ends_the_search_goes_by_a_closed_loop() {
    let directory = directory();
    let flags = ["--find-knee", "--p99-limit=1us", "--json"];
    let record = sweep(directory.path(), &flags).expect_code(0).json();
    let open = column(&record, "open_loop");
    assert!(open[0].is_null() && !open[1].is_null());
    let tps = rows(&record)[0]["tps"].as_f64().expect("TPS");
    assert_eq!(record["knee"]["to_tps"].as_f64(), Some((tps * 1.25).ceil()));
    let inflight = column(&record, "max_inflight_per_worker");
    assert_eq!(inflight[..2], [json!(16), json!(4096)], "as run has them");
}

#[test]
fn a_sweep_goes_on_where_it_was_left() {
    let directory = directory();
    let path = directory.path();
    let output = "--output=a.json";
    sweep(path, &["--over=inflight=1,2", output]).expect_code(0);
    let first = read(path, "a.json");

    let again = sweep(path, &["--over=inflight=1,2", output]);
    again.expect_code(0);
    assert!(
        again.stderr.contains("skipped 2 of 2 rows"),
        "{}",
        again.stderr
    );
    assert!(
        again.stdout.contains("TPS"),
        "what is there is shown: {}",
        again.stdout
    );
    assert_eq!(rows(&read(path, "a.json")), rows(&first));

    let wider = sweep(path, &["--over=inflight=1,2,3", output]);
    wider.expect_code(0);
    assert!(
        wider.stderr.contains("skipped 2 of 3 rows"),
        "{}",
        wider.stderr
    );
    let record = read(path, "a.json");
    assert_eq!(rows(&record)[..2], *rows(&first));
    assert_eq!(
        column(&record, "max_inflight_per_worker"),
        [1, 2, 3].map(|n| json!(n))
    );

    // Another seed is another row.
    let other = sweep(path, &["--over=inflight=1", "--seed=8", output]);
    assert!(
        !other.expect_code(0).stderr.contains("skipped"),
        "{}",
        other.stderr
    );

    // What was measured once counts as the first of two.
    let repeated = sweep(path, &["--over=inflight=1,2", "--runs=2", output]);
    repeated.expect_code(0);
    assert!(
        repeated.stderr.contains("skipped 2 of 4 rows"),
        "{}",
        repeated.stderr
    );
    let record = read(path, "a.json");
    let places: Vec<_> = record["summaries"]
        .as_array()
        .expect("summaries")
        .iter()
        .map(|summary| summary["rows"].clone())
        .collect();
    assert_eq!(places, [json!([0, 4]), json!([1, 5])]);
}

#[test]
fn an_invalid_row_is_measured_again() {
    let directory = directory();
    let path = directory.path();
    let flags = ["--over=inflight=1,2", "--output=a.json"];
    sweep(path, &flags).expect_code(0);
    let mut record = read(path, "a.json");
    record["rows"][0]["valid"] = json!(false);
    std::fs::write(path.join("a.json"), record.to_string()).expect("it can be written");
    let again = sweep(path, &flags);
    again.expect_code(0);
    assert!(
        again.stderr.contains("skipped 1 of 2 rows"),
        "{}",
        again.stderr
    );
    let record = read(path, "a.json");
    assert_eq!(
        column(&record, "max_inflight_per_worker"),
        [1, 2, 1].map(|n| json!(n))
    );
    assert_eq!(
        column(&record, "valid"),
        [false, true, true].map(Value::from),
        "and not forgotten"
    );
}

#[test]
fn an_invalid_row_is_the_exit_code() {
    let directory = directory();
    let flags = ["--over=inflight=1,2", "--durability=discard-writes"];
    let ended = sweep(directory.path(), &flags);
    ended.expect_code(4);
    assert!(ended.stdout.contains("INVALID"), "{}", ended.stdout);
    assert_eq!(
        rows(&record(directory.path())).len(),
        2,
        "the others are measured all the same"
    );
}

#[test]
fn rows_of_other_conditions_are_not_mixed_unless_asked() {
    let directory = directory();
    let path = directory.path();
    sweep(path, &["--over=inflight=1", "--output=a.json"]).expect_code(0);
    let mut record = read(path, "a.json");
    record["environment"]["machine"]["kernel"] = json!("Linux 0.01");
    record["environment"]["program"]["git_revision"] = json!("0123456");
    let text = record.to_string();
    std::fs::write(path.join("a.json"), &text).expect("it can be written");

    let flags = ["--over=inflight=1,2", "--output=a.json"];
    let ended = sweep(path, &flags);
    ended.expect_code(2);
    ended.expect_one_line("machine kernel was Linux 0.01");
    ended.expect_one_line("program git_revision was 0123456");
    ended.expect_one_line("--resume-anyway");
    assert_eq!(
        std::fs::read_to_string(path.join("a.json")).expect("it is there"),
        text
    );

    let anyway = sweep(path, &[&flags[..], &["--resume-anyway"]].concat());
    anyway.expect_code(0);
    assert!(
        anyway.stdout.contains("rows of different conditions"),
        "{}",
        anyway.stdout
    );
    let record = read(path, "a.json");
    assert_eq!(rows(&record).len(), 2);
    assert_eq!(
        record["environment"]["machine"]["kernel"], "Linux 0.01",
        "of the first row"
    );
    let noted = record["sweep"]["resumed_despite"].to_string();
    assert!(noted.contains("git_revision"), "{noted}");
    // Another setting that no row names.
    let queue = sweep(
        path,
        &["--over=inflight=3", "--queue=5000", "--output=a.json"],
    );
    queue.expect_code(2).expect_one_line("setting queue");
}

#[test]
fn an_interrupted_sweep_is_gone_on_with() {
    let directory = directory();
    let path = directory.path();
    let base = [
        "sweep",
        "--over=inflight=1,2,3,4",
        "--warmup=0",
        "--accounts=500",
    ];
    let flags = ["--concurrency=2", "--duration=1", "--output=a.json"];
    let client = Running::start(bench_client(path).args(base).args(flags));
    until("a row is recorded", || {
        path.join("a.json").exists().then_some(())
    });
    server_of(&client);
    thread::sleep(Duration::from_millis(100));
    client.signal(Signal::SIGTERM);
    let ended = client.wait();
    ended.expect_code(130);
    assert!(
        ended.stderr.contains("go on with --output a.json"),
        "{}",
        ended.stderr
    );
    let complete = column(&read(path, "a.json"), "interrupted");
    let complete = complete.iter().filter(|row| **row == json!(false)).count();
    // The one that was begun is left, too.
    let left = format!("interrupted: {} row", 4 - complete);
    assert!(ended.stderr.contains(&left), "{}", ended.stderr);
    let again = run(bench_client(path).args(base).args(flags));
    again.expect_code(0);
    assert!(
        again.stderr.contains(&format!("skipped {complete} of 4")),
        "{}",
        again.stderr
    );
    let record = read(path, "a.json");
    let interrupted = column(&record, "interrupted");
    assert_eq!(
        interrupted,
        vec![json!(false); 4],
        "none beside its repetition"
    );
}

#[test]
fn a_server_at_a_url_is_swept() {
    let directory = directory();
    let served = Served::bench_client(directory.path(), "ws", &["--accounts=500"]);
    let url = format!("--url={}", served.url());
    let flags = [url.as_str(), "--over=inflight=1,2", "--output=a.json"];
    sweep(directory.path(), &flags).expect_code(0);
    let again = sweep(directory.path(), &flags);
    again.expect_code(0);
    assert!(again.stderr.contains("skipped 2 of 2"), "{}", again.stderr);
    assert_eq!(served.terminate(), Some(0));
}

/// Arguments that cannot be, and a word that the one line must hold.
const REFUSED: &[(&[&str], &str)] = &[
    (&["run", "--runs=0"], "--runs"),
    (&["run", "--runs=1001"], "--runs"),
    (&["sweep", "--over=alpha"], "KNOB=SPEC"),
    (&["sweep", "--over=colour=1"], "colour"),
    (&["sweep", "--over=alpha=0..1"], "FROM..TO/STEP"),
    (&["sweep", "--over=alpha=2..1/1"], "lower to a higher"),
    (&["sweep", "--over=concurrency=1.5"], "whole"),
    (&["sweep", "--over=batch-timeout=2"], "unit"),
    (&["sweep", "--over=alpha=geometric:0:1:3"], "above 0"),
    (
        &["sweep", "--over=alpha=0", "--alpha=1"],
        "--alpha is fixed and swept",
    ),
    (
        &["sweep", "--over=alpha=0", "--alpha=1.5"],
        "--alpha is fixed and swept",
    ),
    (
        &["sweep", "--over=concurrency=1", "--concurrency=50"],
        "--concurrency is fixed",
    ),
    (
        &["sweep", "--over=inflight=1", "--inflight=1"],
        "fixed and swept",
    ),
    (
        &["sweep", "--over=batch-size=1", "--batch-size=2"],
        "--batch-size is fixed",
    ),
    (
        &["sweep", "--over=batch-timeout=1ms", "--batch-timeout=2ms"],
        "--batch-timeout is fixed",
    ),
    (
        &["sweep", "--over=alpha=0", "--over=alpha=1"],
        "given twice",
    ),
    (
        &[
            "sweep",
            "--over=alpha=0",
            "--over=inflight=1",
            "--over=batch-size=1",
        ],
        "once or twice",
    ),
    (
        &["sweep", "--over=alpha=0", "--batch-size=1,2"],
        "--over batch-size",
    ),
    (&["sweep", "--over=alpha=0", "--from=1"], "--find-knee"),
    (&["sweep", "--over=alpha=0", "--resume-anyway"], "--output"),
    (&["sweep", "--over=alpha=0", "--find-knee"], "--find-knee"),
    (&["sweep", "--over=rate=1", "--rate=1"], "--rate is fixed"),
    (&["sweep", "--over=rate=0"], "0.1"),
    (&["sweep", "--find-knee", "--rate=5"], "--from and --to"),
    (&["sweep", "--over=alpha=0", "--arrival=poisson"], "--rate"),
    (&["run", "--latency-limit=5ms"], "--rate"),
    (&["sweep", "--find-knee", "--from=0"], "--from"),
    (
        &["sweep", "--find-knee", "--from=5", "--to=5"],
        "--from must be below",
    ),
    (&["sweep", "--find-knee", "--p99-limit=10"], "unit"),
    (&["sweep", "--find-knee", "--steps=0"], "--steps"),
    (&["sweep", "--find-knee", "--runs=2"], "--runs"),
    (&["sweep", "--find-knee", "--alpha=1,2"], "--over alpha"),
    (
        &[
            "sweep",
            "--find-knee",
            "--connector=sqlite_rpc,sqlite_ws_rpc",
        ],
        "one connector",
    ),
];

#[test]
fn what_cannot_be_is_refused_in_one_line() {
    let directory = directory();
    for (flags, says) in REFUSED {
        let ended = run(bench_client(directory.path()).args(*flags));
        assert_eq!(ended.code(), Some(2), "{flags:?}: {ended:?}");
        ended.expect_one_line(says);
    }
    assert!(!directory.path().join("results").exists());
}

#[test]
fn a_file_that_is_no_sweep_is_refused_and_left() {
    let directory = directory();
    let path = directory.path();
    std::fs::write(path.join("diary"), "dear diary").expect("it can be written");
    let ended = sweep(path, &["--over=alpha=0", "--output=diary"]);
    ended
        .expect_code(2)
        .expect_one_line("is not a record of a sweep");
    let text = std::fs::read_to_string(path.join("diary"));
    assert_eq!(text.expect("it is there"), "dear diary");

    let mut command = bench_client(path);
    run(command.arg("run").args(TINY).arg("--output=run.json")).expect_code(0);
    let ended = sweep(
        path,
        &["--over=alpha=0", "--output=run.json", "--resume-anyway"],
    );
    ended
        .expect_code(2)
        .expect_one_line("is not a record of a sweep");
}
