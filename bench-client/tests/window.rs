//! What the window counts, and what a row says when that is not what it looks like.

mod common;

use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use bench_client::config::ConnectorKind;
use bench_client::control::ControlClient;
use busload_frontend::Transport;
use common::{
    Peer, Running, Served, bench_client, count, directory, number, record, row, run, until,
    verdicts, within,
};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// The one row of a `run` with these flags.
#[track_caller]
fn measured(flags: &[&str]) -> Value {
    let directory = directory();
    let ended = run(bench_client(directory.path())
        .args(["run", "--accounts=1000", "--no-null-server"])
        .args(flags));
    ended.expect_code(0);
    row(&record(directory.path())).clone()
}

fn histogram(row: &Value) -> Histogram<u64> {
    let text = row["latency_histogram"].as_str().expect("it is recorded");
    let bytes = base64::prelude::BASE64_STANDARD
        .decode(text)
        .expect("it is base64");
    Deserializer::new()
        .deserialize(&mut bytes.as_slice())
        .expect("it is a histogram")
}

#[test]
fn looking_at_the_window_ends_no_batch() {
    let row = measured(&[
        "--connector=sqlite_ws_rpc",
        "--concurrency=2",
        "--inflight=3",
        "--warmup=1",
        "--duration=2",
        "--interval=100ms",
        "--batch-timeout=700ms",
    ]);
    // The window opens in the middle of a wait, and is looked into every 100 ms: nobody's answer
    // comes before the timeout.
    let histogram = histogram(&row);
    assert!(histogram.min() > 699_000_000, "{}", histogram.min());
    let batches = count(&row["server"]["commits"]);
    assert!((1..=3).contains(&batches), "{batches}");
    assert_eq!(count(&row["committed"]) % 6, 0, "whole batches of six");
}

/// A peer that answers no transfer in the first `hold` after the first one came, and each after
/// `delay` from then on. What it is asked it does at once.
fn holds_back(hold: Duration, delay: Duration) -> Peer {
    let first = Arc::new(OnceLock::new());
    Peer::new(Transport::Ws, 1000).delays(move |request| {
        if request["name"] != "transfer" {
            return Duration::ZERO;
        }
        let since = first.get_or_init(Instant::now).elapsed();
        hold.saturating_sub(since).max(delay)
    })
}

#[test]
fn answers_held_back_into_the_window_are_told() {
    let (hold, delay) = (Duration::from_millis(1050), Duration::from_millis(400));
    let closed = holds_back(hold, delay).start();
    let open = holds_back(hold, Duration::ZERO).start();
    let honest = holds_back(Duration::ZERO, Duration::from_millis(20)).start();
    let measured = |url: &str, flags: &[&str]| {
        let target = ["--connector=sqlite_ws_rpc", "--url", url];
        let load = ["--concurrency=4", "--warmup=1", "--duration=1"];
        measured(&[&target[..], &load[..], flags].concat())
    };
    for (url, flags, edges) in [
        (&closed.url, &["--inflight=50"][..], 200),
        (&open.url, &["--rate=400"][..], 300),
    ] {
        let row = measured(url, flags);
        let told = verdicts(&row, false);
        assert!(told.contains(&"held_back".to_owned()), "{told:?}");
        assert!(!told.contains(&"littles_law".to_owned()), "{told:?}");
        let found = &row["window_edges"];
        assert!(count(&found["began_before"]) >= edges, "{found}");
        assert!(number(&found["waited_before_ms"]) > number(&found["waited_within_ms"]));
        assert!(number(&found["tps_begun_within"]) < number(&row["tps"]));
    }
    let row = measured(&honest.url, &["--inflight=50"]);
    let told = verdicts(&row, false);
    assert!(!told.contains(&"held_back".to_owned()), "{told:?}");
    assert!(count(&row["window_edges"]["began_before"]) > 0);
}

/// Stops a process once the server has committed something, for a second and a half.
fn stopped(whose: impl Fn(&Served, &Running) -> Pid) -> Value {
    let directory = directory();
    let server = Served::bench_client(directory.path(), "ws", &["--reseed"]);
    let client = Running::start(bench_client(directory.path()).args([
        "run",
        "--connector=sqlite_ws_rpc",
        "--url",
        &server.url(),
        "--reseed",
        "--accounts=1000",
        "--concurrency=4",
        "--warmup=0",
        "--duration=5",
        "--no-null-server",
    ]));
    let target = server.target();
    until("the load is on", || {
        let mut control = ControlClient::new(ConnectorKind::SqliteWsRpc, target.clone());
        let stats = within(async { control.totals().await });
        let committed = stats.ok().flatten().map(|stats| stats.committed);
        committed.filter(|committed| *committed > 0)
    });
    thread::sleep(Duration::from_secs(1));
    let pid = whose(&server, &client);
    kill(pid, Signal::SIGSTOP).expect("it runs");
    thread::sleep(Duration::from_millis(1500));
    kill(pid, Signal::SIGCONT).expect("it runs");
    client.wait().expect_code(0);
    row(&record(directory.path())).clone()
}

#[test]
fn a_stand_still_says_when_and_whose() {
    for generator in [false, true] {
        let row = stopped(|server, client| {
            if generator {
                client.pid()
            } else {
                server.pid()
            }
        });
        let told = verdicts(&row, false);
        assert!(told.contains(&"stand_still".to_owned()), "{told:?}");
        let gap = &row["stand_still"];
        assert_eq!(gap["generator"], generator, "{gap}");
        assert!(number(&gap["seconds"]) >= 1.2, "{gap}");
        let from = number(&gap["from_seconds"]);
        assert!((0.5..3.6).contains(&from), "{gap}");
    }
}

#[test]
fn a_load_that_ends_early_counts_over_the_time_it_ran() {
    let directory = directory();
    let peer = Peer::new(Transport::Ws, 1000).start();
    let client = Running::start(bench_client(directory.path()).args([
        "run",
        "--connector=sqlite_ws_rpc",
        "--url",
        &peer.url,
        "--accounts=1000",
        "--concurrency=2",
        "--warmup=0",
        "--duration=100",
        "--no-null-server",
    ]));
    until("transfers are running", || {
        (peer.ledger().applied > 100).then_some(())
    });
    drop(peer);
    client.wait().expect_code(4);
    let record = record(directory.path());
    let row = row(&record);
    assert_eq!(verdicts(row, true), ["server_died"]);
    let seconds = number(&row["seconds"]);
    assert!(seconds < 60.0, "{seconds}");
    let tps = number(&row["committed"]) / seconds;
    assert!((number(&row["tps"]) - tps).abs() < 1e-6 * tps, "{row:#}");
}

#[test]
fn a_warning_fails_when_it_is_named() {
    let directory = directory();
    let ended = |verb: &[&str], codes: &str| {
        let mut command = bench_client(directory.path());
        command.args(verb).args([
            "--accounts=1000",
            "--concurrency=2",
            "--warmup=0",
            "--duration=0.2",
            "--no-null-server",
        ]);
        run(command.args(["--fail-on", codes]))
    };
    let all: [&[&str]; 3] = [
        &["run"],
        &["sweep", "--over=inflight=1,2"],
        &["compare", "sqlite_ws_rpc", "sqlite_ws_rpc", "--rounds=1"],
    ];
    for verb in all {
        let ended = ended(verb, "held_back,short_window");
        ended.expect_code(3);
        let said = "--fail-on names short_window: the window was 0.2";
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
    }
    ended(&["run"], "held_back").expect_code(0);
    let refused = ended(&["run"], "shortwindow");
    refused.expect_code(2);
    for name in ["shortwindow", "short_window", "money_not_conserved"] {
        assert!(refused.stderr.contains(name), "{}", refused.stderr);
    }
}
