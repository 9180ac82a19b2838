//! `bench-client torture --states`: crash states replayed from a trace of a run, as a user has
//! it. Without root; where strace is missing, a test says by name that it was skipped.

#![cfg(target_os = "linux")]

mod common;

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use bench_client::torture::crash_states::strace_works;
use busload_sqlite::inspect;
use common::{Ended, Running, bench_client, count, directory, machine, run};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// Whether runs can be recorded here; else the test says that it was skipped. Not by `eprintln`,
/// which the test harness keeps to itself when a test passes.
fn can_record(test: &str) -> bool {
    let Err(why) = strace_works() else {
        return true;
    };
    let line = format!("skipped crash_states::{test}: {why}\n");
    let mut stderr = std::io::stderr();
    stderr
        .write_all(line.as_bytes())
        .expect("stderr takes a line");
    false
}

/// An audit of power cuts, with short runs.
fn torture(directory: &Path, flags: &[&str]) -> Ended {
    let mut command = bench_client(directory);
    command.args(["torture", "--json", "--faults=power-cut", "--concurrency=4"]);
    run(command.arg("--cycle-time=0.6").args(flags))
}

fn kinds(record: &Value) -> Vec<&str> {
    let findings = record["findings"].as_array().expect("a list");
    findings
        .iter()
        .filter_map(|finding| finding["kind"].as_str())
        .collect()
}

/// The replays of all runs of a record.
fn replays(record: &Value) -> Vec<&Value> {
    let runs = record["crash_states"]["runs"].as_array().expect("a list");
    runs.iter()
        .flat_map(|run| run["replays"].as_array().expect("a list"))
        .collect()
}

/// The runs that are recorded of a server with a log.
const RUNS: [usize; 3] = [0, 1, 2];

#[test]
fn case_03_crash_states_of_coalesced_batches_have_lost_nothing() {
    if !can_record("case_03_crash_states_of_coalesced_batches_have_lost_nothing") {
        return;
    }
    let _machine = machine();
    let directory = directory();
    let flags = ["--cuts=0", "--states=200", "--apply=coalesced"];
    let ended = torture(directory.path(), &flags);
    ended.expect_code(0);
    let record = ended.json();
    assert_eq!(record["findings"], json!([]), "{record:#}");
    let states = &record["crash_states"];
    assert_eq!(states["states"], 200);
    assert!(count(&states["acknowledged"]) > 50, "{states:#}");
    assert_eq!(states["runs"][0]["apply"], "coalesced");
}

#[test]
fn case_03_crash_states_of_wal_full_have_lost_nothing() {
    if !can_record("case_03_crash_states_of_wal_full_have_lost_nothing") {
        return;
    }
    let _machine = machine();
    let directory = directory();
    let ended = torture(directory.path(), &["--cuts=0", "--states=300"]);
    ended.expect_code(0);
    let record = ended.json();
    let states = &record["crash_states"];
    for (field, expected) in [
        ("asked", 300),
        ("states", 300),
        ("lost", 0),
        ("lost_transfers_max", 0),
        ("twice", 0),
        ("gaps", 0),
        ("torn", 0),
        ("integrity", 0),
        ("early_answers", 0),
        ("unsynced_answers", 0),
    ] {
        assert_eq!(states[field], expected, "{field}: {states:#}");
    }
    let distinct = count(&states["distinct_images"]);
    assert!((10..=300).contains(&distinct), "{states:#}");
    let of_runs: u64 = RUNS
        .map(|run| count(&states["runs"][run]["acknowledged"]))
        .iter()
        .sum();
    assert_eq!(count(&states["acknowledged"]), of_runs);
    assert!(of_runs > 50, "too little happened: {states:#}");
    // With checkpoints as often as always, and often, and with pages that share a block.
    let files = RUNS.map(|run| {
        let run = &states["runs"][run];
        (count(&run["checkpoint_kib"]), count(&run["page_bytes"]))
    });
    assert_eq!(files, [(800, 4096), (80, 4096), (80, 512)]);
    // Every model of the disk has its share.
    let mut models: Vec<_> = replays(&record)
        .into_iter()
        .map(|replay| {
            assert_eq!(count(&replay["states"]), 25, "{replay:#}");
            let comes_back = replay["removals_may_come_back"].as_bool();
            (
                count(&replay["sector_bytes"]),
                comes_back.expect("yes or no"),
            )
        })
        .collect();
    models.sort_unstable();
    models.dedup();
    assert_eq!(
        models,
        [(512, false), (512, true), (4096, false), (4096, true)]
    );
    assert_eq!(record["findings"], json!([]));
    assert_eq!((&record["cuts"], &record["kills"]), (&json!(0), &json!(0)));
    assert_eq!(record["server"]["durability"], "wal-full");
    assert_eq!(record["kept"], json!([]), "nothing is left behind");
    let left = std::fs::read_dir(directory.path().join(".data"));
    assert_eq!(left.expect("it was made").count(), 0);
}

/// The positive control, which needs no root: a mode that promises nothing for a power cut.
#[test]
fn case_02_crash_states_of_wal_normal_must_be_found_to_lose() {
    if !can_record("case_02_crash_states_of_wal_normal_must_be_found_to_lose") {
        return;
    }
    let _machine = machine();
    let directory = directory();
    let flags = ["--cuts=0", "--states=300", "--durability=wal-normal"];
    let ended = torture(directory.path(), &flags);
    ended.expect_code(4);
    let record = ended.json();
    let states = &record["crash_states"];
    assert_eq!(record["valid"], false);
    assert!(count(&states["lost"]) > 30, "{states:#}");
    assert!(count(&states["early_answers"]) > 0, "{states:#}");
    assert!(count(&states["unsynced_answers"]) > 0, "{states:#}");
    let found = kinds(&record);
    assert!(
        found.contains(&"lost") && found.contains(&"answered_early"),
        "{found:?}"
    );
    for replay in replays(&record) {
        let examples = replay["examples"].as_array().expect("a list");
        assert!(examples.len() <= 10, "they are bounded");
    }
    // What was found can be looked at.
    let kept = record["kept"][0].as_str().expect("it was kept");
    let run = directory.path().join(kept).join("crash-states/run-1");
    let list = std::fs::read_to_string(run.join("states.txt")).expect("bad states are listed");
    let first = list.lines().next().expect("there is one");
    let (name, why) = first.split_once(": ").expect("a name and a reason");
    assert!(why.contains("before line"), "{first}");
    inspect(&run.join(name)).expect("the image is a ledger");
    let trace = std::fs::metadata(run.join("trace")).expect("the trace is kept");
    assert_eq!(trace.len(), count(&states["runs"][0]["trace_bytes"]));
    inspect(&run.join("began.sqlite")).expect("what it began with is a ledger");
}

/// What commits with a rollback journal is its removal. That lasts only if the directory is
/// synced, which tells the models apart.
#[test]
fn case_02_crash_states_of_delete_full_lose_where_removals_come_back() {
    if !can_record("case_02_crash_states_of_delete_full_lose_where_removals_come_back") {
        return;
    }
    let _machine = machine();
    let directory = directory();
    let flags = [
        "--cuts=0",
        "--states=400",
        "--durability=delete-full",
        "--connector=http",
    ];
    let ended = torture(directory.path(), &flags);
    ended.expect_code(4);
    let record = ended.json();
    let lost = |comes_back: bool| -> u64 {
        let replays = replays(&record).into_iter();
        replays
            .filter(|replay| replay["removals_may_come_back"] == comes_back)
            .map(|replay| count(&replay["lost"]))
            .sum()
    };
    assert_eq!(lost(false), 0, "{record:#}");
    assert!(lost(true) > 0, "{record:#}");
}

#[test]
fn nothing_to_do_is_refused_in_one_line() {
    let directory = directory();
    let ended = torture(directory.path(), &["--cuts=0", "--states=0"]);
    ended.expect_code(2);
    assert_eq!(
        ended.stderr.trim_end().lines().count(),
        1,
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("--states 0"), "{}", ended.stderr);
}

/// A user without strace: what can be done is done, and the rest is named.
#[test]
fn without_strace_it_is_skipped_by_name() {
    let _machine = machine();
    let directory = directory();
    let audit = |flags: &[&str]| {
        let mut command = bench_client(directory.path());
        command.env("PATH", directory.path());
        command.args([
            "torture",
            "--json",
            "--cuts=0",
            "--concurrency=2",
            "--cycle-time=0.3",
        ]);
        run(command.args(flags))
    };
    let ended = audit(&["--faults=kill,power-cut", "--kills=1"]);
    ended.expect_code(0);
    let record = ended.json();
    assert_eq!(record["skipped"][0]["fault"], "power-cut");
    let why = record["skipped"][0]["why"].as_str().expect("a text");
    assert!(why.starts_with("no crash states: strace"), "{why}");
    assert_eq!(record["crash_states"], Value::Null);
    assert!(
        ended.stderr.contains("skipped power-cut: no crash states"),
        "{ended:#?}"
    );
    let ended = audit(&["--faults=power-cut"]);
    ended.expect_code(2);
    assert!(ended.stderr.contains("none of the faults"), "{ended:#?}");
}

/// Servers of other people are not recorded, and that is said.
#[test]
fn a_server_of_others_is_skipped_by_name() {
    let _machine = machine();
    let directory = directory();
    let port = common::free_port();
    let server = env!("CARGO_BIN_EXE_bench-client");
    let command =
        format!("{server} serve ws --port {port} --database {{database}} --until-stdin-ends");
    let ended = run(bench_client(directory.path()).args([
        "torture",
        "--json",
        "--faults=kill,power-cut",
        "--kills=1",
        "--cuts=0",
        "--concurrency=2",
        "--cycle-time=0.3",
        "--reseed",
        &format!("--server-command={command}"),
        &format!("--url=ws://127.0.0.1:{port}"),
    ]));
    ended.expect_code(0);
    let why = &ended.json()["skipped"][0]["why"];
    let why = why.as_str().expect("a text");
    assert!(why.contains("only this program's own server"), "{why}");
}

/// Ctrl-C ends the work after the state at hand, and what was judged is reported.
#[test]
fn ctrl_c_ends_it_with_what_was_judged() {
    if !can_record("ctrl_c_ends_it_with_what_was_judged") {
        return;
    }
    let _machine = machine();
    let directory = directory();
    let audit = Running::start(bench_client(directory.path()).args([
        "torture",
        "--json",
        "--faults=power-cut",
        "--cuts=0",
        "--states=10000000",
        "--concurrency=2",
        "--cycle-time=0.3",
    ]));
    // Its lines are some seconds apart, and none comes before the first state.
    std::thread::sleep(Duration::from_secs(8));
    audit.signal(Signal::SIGINT);
    let ended = audit.wait();
    ended.expect_code(130);
    let record = ended.json();
    assert_eq!(record["interrupted"], true);
    let states = count(&record["crash_states"]["states"]);
    assert!((1..10_000_000).contains(&states), "{record:#}");
    assert!(ended.stderr.contains("crash states: "), "{}", ended.stderr);
}
