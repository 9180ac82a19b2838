//! Interrupted, killed, or without a server in the middle of it.

use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::common::{
    Running, bench_client, count, directory, is_alive, number, record, records, row, run,
    server_of, until, verdicts,
};
use crate::end_to_end::short_run;

/// A load that nobody waits for: it is stopped from outside.
const LONG: [&str; 4] = [
    "--duration=300",
    "--warmup=0",
    "--accounts=1000",
    "--concurrency=4",
];

/// Waits until transfers are being committed: the write-ahead log grows.
#[track_caller]
fn transfers_are_running(directory: &Path, transport: &str) {
    let log = directory.join(format!(".data/busload-{transport}.sqlite-wal"));
    until("the first transfers are committed", || {
        let length = std::fs::metadata(&log).ok()?.len();
        (length > 64 * 1024).then_some(())
    });
}

/// A client whose transfers are running, and the server that it has started.
#[track_caller]
fn under_load(directory: &Path, transport: &str, connector: &str) -> (Running, Pid) {
    let mut command = bench_client(directory);
    command
        .arg("run")
        .args(LONG)
        .args(["--connector", connector]);
    let client = Running::start(&mut command);
    let server = server_of(&client);
    transfers_are_running(directory, transport);
    (client, server)
}

#[test]
fn an_interrupted_measurement_is_written_and_marked() {
    let directory = directory();
    let client = Running::start(
        bench_client(directory.path())
            .arg("run")
            .args(LONG)
            .arg("--json"),
    );
    let server = server_of(&client);
    transfers_are_running(directory.path(), "ws");
    thread::sleep(Duration::from_millis(300));
    // Twice at once, as from `timeout(1)`, is one wish.
    client.signal(Signal::SIGINT);
    client.signal(Signal::SIGINT);
    let ended = client.wait();
    ended.expect_code(130);
    let record = record(directory.path());
    assert_eq!(ended.json(), record);
    let row = row(&record);
    assert_eq!(
        (&row["interrupted"], &row["valid"]),
        (&json!(true), &json!(true))
    );
    assert!(verdicts(row, false).contains(&"interrupted".to_owned()));
    assert!(count(&row["committed"]) > 0);
    let seconds = number(&row["seconds"]);
    assert!(
        seconds > 0.2 && seconds < 60.0,
        "the window as long as it was: {seconds}"
    );
    assert_eq!(row["verify"]["acknowledged"], row["verify"]["applied"]);
    assert!(!is_alive(server), "the server is stopped");
}

#[test]
fn interrupted_before_anything_was_measured() {
    let directory = directory();
    let flags = [
        "run",
        "--warmup=300",
        "--duration=1",
        "--accounts=1000",
        "--concurrency=2",
    ];
    let client = Running::start(bench_client(directory.path()).args(flags));
    let server = server_of(&client);
    transfers_are_running(directory.path(), "ws");
    client.signal(Signal::SIGINT);
    let ended = client.wait();
    ended.expect_code(130);
    ended.expect_one_line("");
    assert!(records(directory.path()).is_empty());
    assert!(!is_alive(server));
}

#[test]
fn a_server_dies_with_a_client_that_is_killed() {
    for (transport, connector) in [("http", "sqlite_rpc"), ("ws", "sqlite_ws_rpc")] {
        let directory = directory();
        let (client, server) = under_load(directory.path(), transport, connector);
        client.signal(Signal::SIGKILL);
        client.wait();
        until("the server is gone", || (!is_alive(server)).then_some(()));
    }
}

#[test]
fn a_server_that_dies_in_mid_run_is_an_invalid_row() {
    for (transport, connector) in [("http", "sqlite_rpc"), ("ws", "sqlite_ws_rpc")] {
        let directory = directory();
        let (client, server) = under_load(directory.path(), transport, connector);
        nix::sys::signal::kill(server, Signal::SIGKILL).expect("the server runs");
        client.wait().expect_code(4);
        let record = record(directory.path());
        let row = row(&record);
        assert_eq!(
            (&row["valid"], &row["interrupted"]),
            (&json!(false), &json!(false))
        );
        assert_eq!(
            verdicts(row, true),
            ["server_died"],
            "and nothing else is claimed"
        );
        assert!(count(&row["committed"]) > 0, "what was measured is kept");
    }
}

/// Nobody starts it again, so nobody waits for one that says what became of the transfers that
/// were in flight: neither in the window nor, when it stood still until then, after it.
#[test]
fn a_dead_server_is_not_waited_for_to_resolve_what_is_unknown() {
    for (seconds, stands_still) in [("--duration=300", false), ("--duration=1", true)] {
        let directory = directory();
        let mut command = bench_client(directory.path());
        command.args(["run", "--exactly-once", "--warmup=0", "--accounts=1000"]);
        // Longer than the patience of a test.
        command.args(["--resolve-timeout=8min", "--id-horizon=1h", seconds]);
        command.args(["--concurrency=4", "--connector=sqlite_ws_rpc"]);
        let client = Running::start(&mut command);
        let server = server_of(&client);
        transfers_are_running(directory.path(), "ws");
        let signal = |signal| nix::sys::signal::kill(server, signal).expect("the server runs");
        if stands_still {
            signal(Signal::SIGSTOP);
            thread::sleep(Duration::from_secs(2));
        }
        signal(Signal::SIGKILL);
        let ended = client.wait();
        ended.expect_code(4);
        let lines: Vec<_> = ended.stderr.lines().collect();
        let said = lines.iter().filter(|line| line.contains("stay unknown"));
        assert_eq!(said.count(), 1, "{lines:?}");
        assert!(ended.stderr.contains("SIGKILL"), "{lines:?}");
        let record = record(directory.path());
        let row = row(&record);
        assert_eq!(verdicts(row, true), ["server_died"]);
        assert!(count(&row["exactly_once"]["unknown"]) > 0, "{row:#}");
        assert_eq!(row["exactly_once"]["resolved"], 0);
    }
}

/// The first row's server lives, the second's dies: the first row's record is there.
#[test]
fn rows_are_recorded_as_they_end() {
    let directory = directory();
    let mut command = bench_client(directory.path());
    let flags = [
        "--connector=sqlite_rpc,sqlite_ws_rpc",
        "--accounts=1000",
        "--duration=1",
        "--warmup=0",
    ];
    let client = Running::start(command.arg("run").args(flags));
    until("the first row is recorded", || {
        records(directory.path()).pop()
    });
    client.signal(Signal::SIGKILL);
    client.wait();
    let record = record(directory.path());
    assert_eq!(row(&record)["connector"], "sqlite_rpc");
}

/// Every row of a list has to meet its gates; an invalid row says more than a gate.
#[test]
fn a_gate_that_a_row_fails_ends_the_run_with_3_and_an_invalid_row_with_4() {
    let directory = directory();
    let gates = ["--fail-if=tps<1", "--fail-if=tps<100M", "--no-null-server"];
    let flags = ["--connector=sqlite_ws_rpc", "--inflight=1,8"];
    let ended = short_run(directory.path(), &[&flags[..], &gates].concat());
    ended.expect_code(3);
    assert_eq!(ended.stdout.matches("FAILED").count(), 2, "{ended:?}");
    for says in [
        "FAILED   tps<100M, ",
        "worse than 100,000,000",
        "passed   tps<1, ",
    ] {
        assert!(ended.stdout.contains(says), "no '{says}': {ended:?}");
    }
    let all = record(directory.path());
    let gates_of = |record: &Value| record["gates"].as_array().expect("gates").clone();
    let outcomes: Vec<_> = gates_of(&all)
        .iter()
        .map(|gate| (gate["outcome"].clone(), gate["rows"].clone()))
        .collect();
    let both = [json!("passed"), json!("failed")];
    let expected = [0, 1].map(|row| both.clone().map(|outcome| (outcome, json!([row]))));
    assert_eq!(outcomes, expected.concat());
    let file = records(directory.path()).pop().expect("a record");
    for (format, says) in [
        ("junit", "classname=\"gates.tps\""),
        ("html", "worse than 100,000,000"),
        ("md", "worse than 100,000,000"),
    ] {
        let mut report = bench_client(directory.path());
        let shown = run(report.args(["report", "--format", format]).arg(&file));
        shown.expect_code(0);
        assert!(shown.stdout.contains(says), "{format}: {shown:?}");
    }
    let mut in_a_step = bench_client(directory.path());
    in_a_step.env("GITHUB_STEP_SUMMARY", "summary.md");
    let in_a_step = in_a_step.arg("run").args(super::SHORT);
    run(in_a_step.args([gates[2]])).expect_code(0);
    let summary = directory.path().join("summary.md");
    assert!(!summary.exists(), "only where there are gates");
    run(in_a_step.args([gates[1]])).expect_code(3);
    let summary = std::fs::read_to_string(summary).expect("it is written");
    assert!(summary.contains("**FAILED**: tps&lt;100M: "), "{summary}");
    let invalid = short_run(
        directory.path(),
        &["--durability=discard-writes", gates[1], gates[2]],
    );
    invalid.expect_code(4);
    assert!(
        invalid
            .stdout
            .contains("undecided tps<100M: TPS is of no valid run")
    );
    let share = short_run(directory.path(), &["--fail-if=tps<-5%"]);
    share.expect_code(2);
    assert!(share.stderr.contains("which compare measures"), "{share:?}");
}
