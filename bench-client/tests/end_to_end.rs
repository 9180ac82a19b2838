//! The main job as a user sees it: the real binary, in a directory of its own, from its
//! arguments to its exit code, its record and what it leaves behind.

#![cfg(target_os = "linux")]

mod common;

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener};
use std::path::Path;
use std::thread;
use std::time::Duration;

use bench_client::control::ControlClient;
use busload_frontend::Transport;
use common::{
    Ended, InProcess, Running, Served, bench_client, count, directory, is_alive, number, record,
    records, row, rows, run, server_of, settings, until, verdicts, within,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// A load that takes a moment and not seconds.
const SHORT: [&str; 8] = [
    "--seconds=0.5",
    "--warmup=0.2",
    "--accounts=1000",
    "--concurrency=8",
    "--seed=7",
    "--amount=1",
    "--threads=1",
    "--op-timeout=15s",
];

/// A load that nobody waits for: it is stopped from outside.
const LONG: [&str; 4] = [
    "--seconds=300",
    "--warmup=0",
    "--accounts=1000",
    "--concurrency=4",
];

fn short_run(directory: &Path, flags: &[&str]) -> Ended {
    run(bench_client(directory).arg("run").args(SHORT).args(flags))
}

/// Every field that the issue names is there; `null` only where a server cannot tell.
#[track_caller]
fn has_the_promised_fields(row: &Value) {
    for field in [
        "connector",
        "transport",
        "encoding",
        "durability",
        "batch_size",
        "batch_timeout_us",
        "concurrency",
        "max_inflight_per_worker",
        "alpha",
        "accounts",
        "seed",
        "seconds",
        "tps",
        "committed",
        "rejected",
        "failed",
        "unknown",
        "latency_ms",
        "collision_rate",
        "server",
        "cpu",
        "sync_baseline",
        "verify",
        "verdicts",
        "valid",
    ] {
        assert!(!row[field].is_null(), "no {field} in {row:#}");
    }
    for field in ["p50", "p95", "p99", "p999", "max", "mean"] {
        assert!(number(&row["latency_ms"][field]) > 0.0, "{field}");
    }
    for field in ["commits", "syncs", "mean_batch"] {
        assert!(number(&row["server"][field]) > 0.0, "{field}");
    }
    for field in ["client_s", "server_s", "steal_s"] {
        assert!(number(&row["cpu"][field]) >= 0.0, "{field}");
    }
    for field in [
        "conserved",
        "changed",
        "acknowledged",
        "applied",
        "ledger_ok",
        "fake",
    ] {
        assert!(!row["verify"][field].is_null(), "{field}");
    }
    for moment in ["before", "after"] {
        let methods = row["sync_baseline"][moment]["methods"]
            .as_array()
            .expect("a baseline");
        assert!(
            !methods.is_empty(),
            "the disk was measured {moment} the run"
        );
    }
}

#[test]
fn one_record_with_a_row_per_connector() {
    let directory = directory();
    let ended = short_run(
        directory.path(),
        &["--connectors=sqlite_rpc,sqlite_ws_rpc", "--json"],
    );
    ended.expect_code(0);
    assert_eq!(
        ended.stderr, "",
        "nothing to complain of, no progress line without a terminal"
    );
    let printed = ended.json();
    assert_eq!(
        printed,
        record(directory.path()),
        "what is printed is what is recorded"
    );
    assert!(count(&printed["schema_version"]) >= 1);
    let environment = &printed["environment"];
    for pointer in [
        "/started_at",
        "/command_line",
        "/program/version",
        "/program/git_revision",
        "/machine/cpu_model",
        "/machine/logical_cores",
        "/machine/kernel",
        "/storage/file_system",
        "/storage/mount_source",
    ] {
        let value = environment.pointer(pointer).unwrap_or(&Value::Null);
        assert!(!value.is_null(), "no {pointer} in {environment:#}");
    }
    let rows = rows(&printed);
    assert_eq!(rows.len(), 2);
    let expected = [("sqlite_rpc", "http", 1), ("sqlite_ws_rpc", "ws", 16)];
    for (row, (connector, transport, inflight)) in rows.iter().zip(expected) {
        has_the_promised_fields(row);
        assert_eq!(row["connector"], connector);
        assert_eq!(row["transport"], transport);
        assert_eq!(row["max_inflight_per_worker"], inflight);
        assert_eq!(row["encoding"], "json");
        assert_eq!(row["durability"], "wal-full");
        assert_eq!(row["batch_size"], 4096);
        assert_eq!(row["batch_timeout_us"], 0.0);
        assert_eq!(
            (&row["concurrency"], &row["accounts"]),
            (&json!(8), &json!(1000))
        );
        assert_eq!((&row["seed"], &row["alpha"]), (&json!(7), &json!(1.5)));
        assert_eq!(row["seconds"], 0.5);
        let committed = count(&row["committed"]);
        assert!(committed > 0);
        assert!((number(&row["tps"]) - number(&row["committed"]) / 0.5).abs() < 1.0);
        let verify = &row["verify"];
        assert_eq!(
            (&verify["conserved"], &verify["changed"]),
            (&json!(true), &json!(true))
        );
        assert_eq!(
            (&verify["ledger_ok"], &verify["fake"]),
            (&json!(true), &json!(false))
        );
        assert_eq!(verify["acknowledged"], verify["applied"]);
        assert!(
            count(&verify["acknowledged"]) >= committed,
            "warm-up and drain count too"
        );
        assert!(count(&verify["sampled_accounts"]) > 0);
        let server = &row["server"];
        assert_eq!(server["pragmas"]["journal_mode"], "wal");
        assert_eq!(server["pragmas"]["synchronous"], "2");
        assert!(
            server["sqlite_version"]
                .as_str()
                .expect("a version")
                .starts_with('3')
        );
        assert!(
            count(&server["commit_syncs"]) >= count(&server["commits_that_wrote"]),
            "WAL/FULL syncs every batch that wrote: {server:#}"
        );
        assert_eq!(
            (&row["valid"], &row["interrupted"]),
            (&json!(true), &json!(false))
        );
        assert!(verdicts(row, true).is_empty());
    }
    let left: Vec<_> = std::fs::read_dir(directory.path().join(".data"))
        .expect("the data directory stays")
        .map(|entry| entry.expect("it can be listed").file_name())
        .collect();
    assert!(left.is_empty(), "the databases are removed: {left:?}");
}

#[test]
fn people_read_a_table_and_where_the_record_is() {
    let directory = directory();
    let ended = short_run(directory.path(), &["--encoding=binary"]);
    ended.expect_code(0);
    for word in ["TPS", "p50", "p95", "p99", "VALID", "results/runs/"] {
        assert!(ended.stdout.contains(word), "no {word} in {}", ended.stdout);
    }
    let record = record(directory.path());
    assert_eq!(row(&record)["encoding"], "binary");
}

#[test]
fn a_record_goes_where_it_is_told() {
    let directory = directory();
    short_run(
        directory.path(),
        &["--output=deep/er/a.json", "--no-verify"],
    )
    .expect_code(0);
    assert!(records(directory.path()).is_empty());
    let text = std::fs::read_to_string(directory.path().join("deep/er/a.json"));
    let record: Value = serde_json::from_str(&text.expect("it is there")).expect("it is JSON");
    let row = row(&record);
    assert!(verdicts(row, false).contains(&"not_verified".to_owned()));
    assert_eq!(row["valid"], true);
}

#[test]
fn a_server_that_discards_writes_is_caught_by_what_it_measures() {
    let directory = directory();
    let flags = [
        "--durability=discard-writes",
        "--connectors=sqlite_rpc,sqlite_ws_rpc",
    ];
    short_run(directory.path(), &flags).expect_code(4);
    let record = record(directory.path());
    assert_eq!(
        rows(&record).len(),
        2,
        "an invalid row does not stop the others"
    );
    for row in rows(&record) {
        assert_eq!(row["valid"], false);
        assert_eq!(row["durability_requested"], "discard-writes");
        assert_ne!(
            row["durability"], "discard-writes",
            "the server declares what it pretends"
        );
        assert!(
            count(&row["committed"]) > 0,
            "it answers as if nothing was the matter"
        );
        let verify = &row["verify"];
        assert_eq!(
            (&verify["fake"], &verify["changed"]),
            (&json!(true), &json!(false))
        );
        assert_eq!(
            (&verify["ledger_ok"], &verify["applied"]),
            (&json!(false), &json!(0))
        );
        let codes: BTreeSet<_> = verdicts(row, true).into_iter().collect();
        for code in ["fake", "ledger_mismatch", "nothing_changed"] {
            assert!(codes.contains(code), "{codes:?}");
        }
    }
}

#[test]
fn weaker_durability_is_valid_and_labelled() {
    let modes = [
        ("wal-normal", "wal", "1"),
        ("memory", "memory", "0"),
        ("delete-full", "delete", "2"),
        ("delete-extra", "delete", "3"),
    ];
    for (mode, journal, synchronous) in modes {
        let directory = directory();
        short_run(directory.path(), &["--durability", mode]).expect_code(0);
        let record = record(directory.path());
        let row = row(&record);
        assert_eq!(
            (&row["durability"], &row["valid"]),
            (&json!(mode), &json!(true))
        );
        assert_eq!(row["server"]["pragmas"]["journal_mode"], journal);
        assert_eq!(row["server"]["pragmas"]["synchronous"], synchronous);
        let labelled = verdicts(row, false).contains(&"not_durable".to_owned());
        assert_eq!(labelled, mode != "delete-extra", "{mode}");
    }
}

#[test]
fn every_help_names_every_durability() {
    let directory = directory();
    let modes = busload_engine::Durability::ALL.map(busload_engine::Durability::as_str);
    for verb in [
        &["run"][..],
        &["predict"],
        &["torture"],
        &["serve", "http"],
        &["serve", "ws"],
    ] {
        let help = run(bench_client(directory.path()).args(verb).arg("--help"));
        help.expect_code(0);
        for mode in modes {
            // There is nothing to audit in what never writes.
            let named =
                help.stdout.contains(mode) || (verb[0], mode) == ("torture", "discard-writes");
            assert!(named, "no {mode} in the help of {verb:?}");
        }
    }
}

#[test]
fn lists_give_one_row_per_combination() {
    let directory = directory();
    let ended = run(bench_client(directory.path()).arg("run").args([
        "--seconds=0.1",
        "--warmup=0",
        "--accounts=500",
        "--concurrency=2",
        "--alpha=0,1",
        "--max-inflight-per-worker=1,3",
        "--batch-size=1,64",
    ]));
    ended.expect_code(0);
    let record = record(directory.path());
    let combinations: BTreeSet<_> = rows(&record)
        .iter()
        .map(|row| {
            format!(
                "{} {} {}",
                row["alpha"], row["max_inflight_per_worker"], row["batch_size"]
            )
        })
        .collect();
    assert_eq!(rows(&record).len(), 8);
    assert_eq!(combinations.len(), 8, "{combinations:?}");
    for row in rows(&record) {
        let server = &row["server"];
        assert!(
            count(&server["commits"]) > 0,
            "a short window without warm-up has its counters"
        );
        if row["batch_size"] == 1 {
            assert_eq!(server["mean_batch"], 1.0, "a transaction per transfer");
        }
    }
}

/// More connections than the limit of the server's flag, were each transfer one.
#[test]
fn many_transfers_in_flight_over_websocket_need_few_connections() {
    let directory = directory();
    let flags = [
        "--concurrency=70",
        "--max-inflight-per-worker=16384",
        "--transfers=2000",
        "--warmup=0",
        "--accounts=1000",
    ];
    run(bench_client(directory.path()).arg("run").args(flags)).expect_code(0);
}

#[test]
fn a_counted_run_measures_exactly_as_many_as_asked() {
    let flags: [&[&str]; 3] = [
        &["--transfers=5000", "--warmup=0.2"],
        &[
            "--transfers=777",
            "--warmup=0",
            "--threads=3",
            "--max-inflight-per-worker=5",
        ],
        &["--transfers=3", "--warmup=0.1", "--connectors=sqlite_rpc"],
    ];
    for flags in flags {
        let directory = directory();
        let base = ["run", "--accounts=1000", "--concurrency=8"];
        run(bench_client(directory.path()).args(base).args(flags)).expect_code(0);
        let record = record(directory.path());
        let row = row(&record);
        let asked: u64 = flags[0]["--transfers=".len()..].parse().expect("a number");
        let others = ["rejected", "failed", "unknown"].map(|field| count(&row[field]));
        assert_eq!((count(&row["committed"]), others), (asked, [0, 0, 0]));
        let tps = number(&row["committed"]) / number(&row["seconds"]);
        assert!((number(&row["tps"]) / tps - 1.0).abs() < 1e-6);
    }
}

#[test]
fn a_run_is_the_same_at_any_seed_but_its_own() {
    let draw = |seed: &str| {
        let directory = directory();
        let flags = [
            "run",
            "--transfers=300",
            "--warmup=0",
            "--concurrency=1",
            "--accounts=50",
            "--alpha=1",
            "--keep-db",
            "--seed",
            seed,
            "--max-inflight-per-worker=1",
        ];
        run(bench_client(directory.path()).args(flags)).expect_code(0);
        balances(&directory.path().join(".data/busload-ws.sqlite"))
    };
    let first = draw("11");
    assert_eq!(first, draw("11"));
    assert_ne!(first, draw("12"));
}

/// All balances of a database that nobody has open.
fn balances(database: &Path) -> Vec<i64> {
    let connection = rusqlite::Connection::open(database).expect("it is a database");
    let mut statement = connection
        .prepare("SELECT balance FROM accounts ORDER BY id")
        .expect("it is a ledger");
    let rows = statement
        .query_map([], |row| row.get(0))
        .expect("it can be read");
    rows.collect::<Result<_, _>>()
        .expect("balances are integers")
}

fn control(served: &Served) -> ControlClient {
    if served.url().starts_with("http") {
        ControlClient::http(served.target())
    } else {
        ControlClient::ws(served.target())
    }
}

/// Number of accounts, their sum and their digest.
fn books(served: &Served) -> (u64, String, String) {
    let stats = within(async { control(served).stats(true).await });
    let balances = stats
        .expect("an answer")
        .expect("stats")
        .balances
        .expect("balances");
    (balances.accounts, balances.total, balances.digest)
}

#[test]
fn a_server_at_a_url_is_wiped_only_when_asked() {
    for (transport, connector) in [("http", "sqlite_rpc"), ("ws", "sqlite_ws_rpc")] {
        let directory = directory();
        let flags = [
            "--seed-accounts=1000",
            "--initial-balance=5000",
            "--database=a.sqlite",
        ];
        let mut served = Served::bench_client(directory.path(), transport, &flags);
        let connector = format!("--connectors={connector}");
        let url = format!("--url={}", served.url());
        let fresh = books(&served);
        assert_eq!((fresh.0, fresh.1.as_str()), (1000, "5000000"));

        short_run(directory.path(), &[&connector, &url]).expect_code(0);
        let worked = books(&served);
        assert_eq!(worked.1, fresh.1, "money is conserved");
        assert_ne!(worked.2, fresh.2, "and moved");

        // The second run finds what the first left, and judges by what it changes itself.
        short_run(directory.path(), &[&connector, &url]).expect_code(0);
        assert_ne!(books(&served).2, worked.2);
        for file in records(directory.path()) {
            let text = std::fs::read_to_string(file).expect("it can be read");
            let record: Value = serde_json::from_str(&text).expect("it is JSON");
            let row = row(&record);
            assert_eq!(
                (&row["valid"], &row["verify"]["applied"]),
                (&json!(true), &row["verify"]["acknowledged"])
            );
            assert!(row["durability_requested"].is_null());
            assert!(
                row["sync_baseline"]["before"].is_null(),
                "whose disk would that be?"
            );
        }

        let larger = |flags: &[&str]| {
            let base = [
                "run",
                "--seconds=0.3",
                "--warmup=0.1",
                "--concurrency=4",
                "--accounts=2000",
            ];
            run(bench_client(directory.path()).args(base).args(flags))
        };
        // Wrong number of accounts: refused, not seeded.
        let before = books(&served);
        let ended = larger(&[&connector, &url]);
        ended.expect_code(2);
        assert!(ended.stderr.contains("--reseed"), "{}", ended.stderr);
        assert_eq!(books(&served), before);

        larger(&[&connector, &url, "--reseed", "--initial-balance=70"]).expect_code(0);
        let reseeded = books(&served);
        assert_eq!((reseeded.0, reseeded.1.as_str()), (2000, "140000"));
        assert!(
            served.is_alive(),
            "a server that is not ours is not stopped"
        );
        assert_eq!(served.terminate(), Some(0));
    }
}

/// The control plane's connection is idle for the whole window, and servers close such.
#[test]
fn a_connection_that_was_closed_while_idle_is_opened_again() {
    let directory = directory();
    let mut settings = settings(directory.path(), Transport::Http);
    settings.limits.header_timeout = Duration::from_millis(250);
    let server = InProcess::start(settings);
    let mut command = bench_client(directory.path());
    command.args([
        "run",
        "--json",
        "--seconds=1",
        "--warmup=0.5",
        "--concurrency=2",
    ]);
    command.args(["--accounts=1000", "--connectors=sqlite_rpc"]);
    command.arg(format!("--url=http://{}", server.target.authority));
    let ended = run(&mut command);
    let record = ended.expect_code(0).json();
    let row = row(&record);
    assert!(
        !row["server"].is_null(),
        "its counters were read at both ends: {row:#}"
    );
    assert_eq!(row["verify"]["ledger_ok"], true);
    server.stop();
}

/// Waits until transfers are being committed: the write-ahead log grows.
#[track_caller]
fn transfers_are_running(directory: &Path, transport: &str) {
    let log = directory.join(format!(".data/busload-{transport}.sqlite-wal"));
    until("the first transfers are committed", || {
        let length = std::fs::metadata(&log).ok()?.len();
        (length > 64 * 1024).then_some(())
    });
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
    client.signal(Signal::SIGINT);
    let ended = client.wait();
    ended.expect_code(0);
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
        "--seconds=1",
        "--accounts=1000",
        "--concurrency=2",
    ];
    let client = Running::start(bench_client(directory.path()).args(flags));
    let server = server_of(&client);
    transfers_are_running(directory.path(), "ws");
    client.signal(Signal::SIGINT);
    let ended = client.wait();
    ended.expect_code(130);
    one_clear_line(&ended);
    assert!(records(directory.path()).is_empty());
    assert!(!is_alive(server));
}

#[test]
fn a_server_dies_with_a_client_that_is_killed() {
    for (transport, connector) in [("http", "sqlite_rpc"), ("ws", "sqlite_ws_rpc")] {
        let directory = directory();
        let mut command = bench_client(directory.path());
        command
            .arg("run")
            .args(LONG)
            .args(["--connectors", connector]);
        let client = Running::start(&mut command);
        let server = server_of(&client);
        transfers_are_running(directory.path(), transport);
        client.signal(Signal::SIGKILL);
        client.wait();
        until("the server is gone", || (!is_alive(server)).then_some(()));
    }
}

#[test]
fn a_server_that_dies_in_mid_run_is_an_invalid_row() {
    for (transport, connector) in [("http", "sqlite_rpc"), ("ws", "sqlite_ws_rpc")] {
        let directory = directory();
        let mut command = bench_client(directory.path());
        command
            .arg("run")
            .args(LONG)
            .args(["--connectors", connector]);
        let client = Running::start(&mut command);
        let server = server_of(&client);
        transfers_are_running(directory.path(), transport);
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

/// The first row's server lives, the second's dies: the first row's record is there.
#[test]
fn rows_are_recorded_as_they_end() {
    let directory = directory();
    let mut command = bench_client(directory.path());
    let flags = [
        "--connectors=sqlite_rpc,sqlite_ws_rpc",
        "--accounts=1000",
        "--seconds=1",
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

#[track_caller]
fn one_clear_line(ended: &Ended) {
    assert_eq!(
        ended.stderr.lines().count(),
        1,
        "one line: {}",
        ended.stderr
    );
    assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
    assert!(
        !ended.stderr.contains("--env-"),
        "names what nobody wrote: {}",
        ended.stderr
    );
    assert_eq!(ended.stdout, "");
}

/// A run that cannot be: the exit code, one line that holds `says`, and no record.
#[track_caller]
fn refused(directory: &Path, variables: &[(&str, &str)], flags: &[&str], code: i32, says: &str) {
    let mut command = bench_client(directory);
    command.args(flags).envs(variables.iter().copied());
    let ended = run(&mut command);
    assert_eq!(
        ended.code(),
        Some(code),
        "{variables:?} {flags:?}: {ended:?}"
    );
    one_clear_line(&ended);
    assert!(
        ended.stderr.contains(says),
        "{flags:?}: no '{says}' in {}",
        ended.stderr
    );
    assert!(
        !directory.join("results").exists(),
        "{flags:?} left a record"
    );
}

/// Arguments that cannot be, and a word that the one line must hold.
const REFUSED: &[(&[&str], &str)] = &[
    (&["run", "--connectors=mysql"], "sqlite_ws_rpc"),
    (&["run", "--connectors="], "--connectors"),
    (
        &["run", "--connectors=sqlite_rpc,,sqlite_ws_rpc"],
        "--connectors",
    ),
    (&["run", "--batch-size=0"], "--batch-size"),
    (&["run", "--batch-size=1,0"], "--batch-size"),
    (&["run", "--batch-size=1048577"], "--batch-size"),
    (&["run", "--batch-timeout=2"], "unit"),
    (&["run", "--batch-timeout=-1ms"], "--batch-timeout"),
    (&["run", "--batch-timeout=61s"], "60s"),
    (&["run", "--alpha=-1"], "--alpha"),
    (&["run", "--alpha=NaN"], "--alpha"),
    (&["run", "--alpha=inf"], "--alpha"),
    (&["run", "--alpha=1.5,x"], "--alpha"),
    (&["run", "--accounts=1"], "--accounts"),
    (&["run", "--accounts=10000001"], "--accounts"),
    (&["run", "--concurrency=0"], "--concurrency"),
    (
        &["run", "--max-inflight-per-worker=0"],
        "--max-inflight-per-worker",
    ),
    (
        &["run", "--max-inflight-per-worker=16385"],
        "--max-inflight-per-worker",
    ),
    (&["run", "--seconds=0"], "--seconds"),
    (&["run", "--seconds=-3"], "--seconds"),
    (&["run", "--seconds=NaN"], "--seconds"),
    (&["run", "--seconds=1e99"], "--seconds"),
    (&["run", "--warmup=-1"], "--warmup"),
    (&["run", "--transfers=0"], "--transfers"),
    (&["run", "--transfers=5", "--seconds=5"], "--seconds"),
    (&["run", "--amount=0"], "--amount"),
    (&["run", "--amount=-1"], "--amount"),
    (&["run", "--amount=9223372036854775808"], "--amount"),
    (&["run", "--initial-balance=-1"], "--initial-balance"),
    (
        &["run", "--initial-balance=9223372036854775807"],
        "--initial-balance",
    ),
    (&["run", "--threads=0"], "--threads"),
    (&["run", "--seed=-1"], "--seed"),
    (&["run", "--op-timeout=0s"], "--op-timeout"),
    (&["run", "--durability=hopeful"], "wal-full"),
    (&["run", "--queue=0"], "--queue"),
    (&["run", "--encoding=xml"], "--encoding"),
    (
        &["run", "--encoding=binary", "--connectors=sqlite_rpc"],
        "sqlite_ws_rpc",
    ),
    (
        &[
            "run",
            "--encoding=binary",
            "--connectors=sqlite_ws_rpc,sqlite_rpc",
        ],
        "sqlite_ws_rpc",
    ),
    (
        &[
            "run",
            "--concurrency=50000",
            "--connectors=sqlite_rpc",
            "--max-inflight-per-worker=16384",
        ],
        "ulimit",
    ),
    (
        &[
            "run",
            "--url=ws://127.0.0.1:1",
            "--connectors=sqlite_rpc,sqlite_ws_rpc",
        ],
        "--url",
    ),
    (
        &["run", "--url=ws://127.0.0.1:1", "--durability=memory"],
        "--durability",
    ),
    (
        &["run", "--url=ws://127.0.0.1:1", "--batch-size=5"],
        "--batch-size",
    ),
    (&["run", "--url=ftp://127.0.0.1:1"], "ftp"),
    (
        &["run", "--url=ws://127.0.0.1:1", "--ca=no/such"],
        "no/such",
    ),
    (&["run", "--token-file=no/such"], "--url"),
    (
        &["run", "--url=ws://127.0.0.1:1", "--token-file=no/such"],
        "no/such",
    ),
    (
        &["serve", "ws", "--port=0", "--token-file=no/such"],
        "no/such",
    ),
    (
        &["serve", "http", "--port=0", "--tls-cert=no/such"],
        "--tls-key",
    ),
    (&["run", "--url=nonsense"], "nonsense"),
    (&["run", "--url="], "URL"),
    (&["run", "--reseed"], "--url"),
    (&["run", "--data-dir=file/below"], "--data-dir"),
    (&["run", "--data-dir=file"], "file"),
    (&["run", "--data-dir=/proc"], "/proc"),
    (&["run", "--frobnicate"], "--frobnicate"),
    (&["run", "surplus"], "surplus"),
    (&["run", "--secnods=3"], "--seconds"),
    (&["frobnicate"], "frobnicate"),
    (&["serve", "smtp"], "smtp"),
    (&["serve", "ws", "--port=70000"], "--port"),
    (&["serve", "ws", "--listen=nowhere"], "--listen"),
    (
        &["serve", "ws", "--port=0", "--batch-size=0"],
        "--batch-size",
    ),
    (
        &["serve", "ws", "--port=0", "--database=no/such/dir/a.sqlite"],
        "no/such/dir",
    ),
    (&["serve", "http", "--port=0", "--database=."], "directory"),
    (&["serve", "http", "--port=0", "--data-dir=file"], "file"),
    (&["fsync", "--count=0"], "--count"),
    (&["fsync", "--dir=no/such"], "no/such"),
];

#[test]
fn what_cannot_be_is_said_in_one_line() {
    let directory = directory();
    let here = directory.path();
    std::fs::write(here.join("file"), "x").expect("it can be written");
    for (flags, says) in REFUSED {
        refused(here, &[], flags, 2, says);
    }
}

#[test]
fn variables_are_refused_by_their_own_names() {
    let directory = directory();
    let here = directory.path();
    for (variable, value) in [
        ("SQLITE_MODE", "nonsense"),
        ("SQLITE_MODE", ""),
        ("SEED_ACCOUNTS", "1"),
        ("SEED_ACCOUNTS", "many"),
        ("SEED_INITIAL_BALANCE", "-1"),
        ("MAX_INFLIGHT_PER_WORKER", "-1"),
        ("MAX_INFLIGHT_PER_WORKER", "16385"),
        ("SQLITE_WS_RPC_BATCH_SIZE", "x"),
        ("SQLITE_WS_RPC_BATCH_MS", "-1"),
        ("SQLITE_WS_RPC_BATCH_MS", "NaN"),
        ("SQLITE_WS_RPC_BATCHING", "perhaps"),
        ("SQLITE_WS_RPC_GROUP_COMMIT", "2"),
    ] {
        refused(here, &[(variable, value)], &["run"], 2, variable);
        if variable != "MAX_INFLIGHT_PER_WORKER" {
            refused(
                here,
                &[(variable, value)],
                &["serve", "ws", "--port=0"],
                2,
                variable,
            );
        }
    }
    refused(
        here,
        &[("SQLITE_WS_RPC_URL", "gopher://x")],
        &["run"],
        2,
        "gopher",
    );
    refused(
        here,
        &[("SQLITE_RPC_PORT", "x")],
        &["serve", "http"],
        2,
        "SQLITE_RPC_PORT",
    );
    refused(
        here,
        &[("SQLITE_WS_RPC_PORT", "70000")],
        &["serve", "ws"],
        2,
        "SQLITE_WS_RPC_PORT",
    );
    // What a person wrote goes before what was inherited, also in the blame.
    refused(
        here,
        &[("SEED_ACCOUNTS", "7")],
        &["run", "--accounts=0"],
        2,
        "--accounts",
    );
}

#[test]
fn a_file_of_somebody_elses_is_left_alone() {
    let directory = directory();
    let here = directory.path();
    std::fs::write(here.join("text.sqlite"), "Dear diary, ".repeat(1000)).expect("written");
    let connection = rusqlite::Connection::open(here.join("other.sqlite")).expect("made");
    connection
        .execute_batch("CREATE TABLE cats(name TEXT); INSERT INTO cats VALUES ('Tom')")
        .expect("sql");
    let narrow = rusqlite::Connection::open(here.join("narrow.sqlite")).expect("made");
    narrow
        .execute_batch("CREATE TABLE accounts(iban TEXT, euros REAL)")
        .expect("sql");
    drop((connection, narrow));
    for file in ["text.sqlite", "other.sqlite", "narrow.sqlite"] {
        let before = std::fs::read(here.join(file)).expect("it can be read");
        refused(
            here,
            &[("SQLITE_FILE", file)],
            &["run", "--seconds=0.1", "--warmup=0"],
            2,
            file,
        );
        refused(
            here,
            &[("SQLITE_FILE", file)],
            &["serve", "ws", "--port=0"],
            2,
            file,
        );
        let fresh = ["serve", "http", "--port=0", "--fresh", "--database", file];
        refused(here, &[], &fresh, 2, file);
        let after = std::fs::read(here.join(file)).expect("it is still there");
        assert!(before == after, "{file} was changed");
    }
}

/// A file that a person named is that person's: wiped when told to, never removed.
#[test]
fn a_named_database_is_wiped_only_when_asked_and_never_removed() {
    let directory = directory();
    let file = directory.path().join("mine.sqlite");
    let named = [("SQLITE_FILE", "mine.sqlite")];
    let base = [
        "run",
        "--seconds=0.2",
        "--warmup=0",
        "--concurrency=2",
        "--accounts=50",
        "--seed=1",
        "--initial-balance=1000",
    ];
    let client = |flags: &[&str]| {
        run(bench_client(directory.path())
            .envs(named)
            .args(base)
            .args(flags))
    };
    client(&[]).expect_code(0);
    let first = balances(&file);
    assert_eq!((first.len(), first.iter().sum::<i64>()), (50, 50_000));
    let ended = client(&[]);
    ended.expect_code(2);
    one_clear_line(&ended);
    assert!(ended.stderr.contains("--reseed"), "{}", ended.stderr);
    assert_eq!(balances(&file), first, "and it is as it was");
    client(&["--reseed", "--durability=wal-normal"]).expect_code(0);
    let second = balances(&file);
    assert_eq!((second.len(), second.iter().sum::<i64>()), (50, 50_000));

    // Somebody else's file is not even wiped when asked.
    let other = directory.path().join("other.sqlite");
    let connection = rusqlite::Connection::open(&other).expect("made");
    connection
        .execute_batch("CREATE TABLE cats(name TEXT)")
        .expect("sql");
    drop(connection);
    let before = std::fs::read(&other).expect("it can be read");
    let mut command = bench_client(directory.path());
    let ended = run(command
        .env("SQLITE_FILE", "other.sqlite")
        .args(base)
        .arg("--reseed"));
    ended.expect_code(2);
    one_clear_line(&ended);
    assert!(std::fs::read(&other).expect("it is still there") == before);
}

#[test]
fn a_database_that_a_server_has_open_is_refused() {
    for (transport, connector) in [("http", "sqlite_rpc"), ("ws", "sqlite_ws_rpc")] {
        let directory = directory();
        let here = directory.path();
        let mut served = Served::bench_client(here, transport, &["--seed-accounts=100"]);
        let before = books(&served);
        let connector = format!("--connectors={connector}");
        refused(
            here,
            &[],
            &["run", "--accounts=100", &connector],
            2,
            "another server",
        );
        refused(
            here,
            &[],
            &["serve", transport, "--port=0"],
            2,
            "another server",
        );
        assert!(served.is_alive());
        assert_eq!(books(&served), before, "and it has its database still");
        assert_eq!(served.terminate(), Some(0));
        // The lock goes with the server, however it went.
        let served = Served::bench_client(here, transport, &[]);
        served.kill();
        let served = Served::bench_client(here, transport, &[]);
        assert_eq!(books(&served), before);
    }
}

#[test]
fn a_port_in_use_is_refused() {
    let directory = directory();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    for transport in ["http", "ws"] {
        refused(
            directory.path(),
            &[],
            &["serve", transport, "--port", &port],
            2,
            "--port",
        );
    }
    assert!(
        !directory.path().join(".data/busload-ws.sqlite").exists(),
        "and nothing is seeded"
    );
}

/// A port where `answer` is said to whoever connects, after its first bytes.
fn stranger(answer: Option<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                match answer {
                    Some(text) => {
                        let _ = stream.write_all(text.as_bytes());
                        let _ = stream.shutdown(Shutdown::Write);
                    }
                    // Says nothing, and keeps the line.
                    None => thread::sleep(common::PATIENCE),
                }
            });
        }
    });
    address.to_string()
}

#[test]
fn a_server_that_does_not_speak_the_protocol_is_code_five() {
    let directory = directory();
    let answers: [&str; 9] = [
        "",
        "SSH-2.0-OpenSSH_9.9\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n<html></html",
        "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 500 Oops\r\ncontent-length: 4\r\nconnection: close\r\n\r\noops",
        "HTTP/1.1 301 Moved\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnull",
        "HTTP/1.1 200 OK\r\ncontent-length: 27\r\n\r\n{\"ok\":true,\"result\":\"cats\"}",
        "HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: x\r\n\r\n",
    ];
    for answer in answers {
        let address = stranger(Some(answer));
        for connector in ["sqlite_rpc", "sqlite_ws_rpc"] {
            let url = format!("--url=http://{address}");
            let connector = format!("--connectors={connector}");
            refused(
                directory.path(),
                &[],
                &["run", &url, &connector],
                5,
                &address,
            );
        }
    }
    // Nobody there.
    let closed = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = closed.local_addr().expect("it is bound").to_string();
    drop(closed);
    for connector in ["sqlite_rpc", "sqlite_ws_rpc"] {
        let url = format!("--url=http://{address}");
        let connector = format!("--connectors={connector}");
        refused(
            directory.path(),
            &[],
            &["run", &url, &connector],
            5,
            &address,
        );
        refused(
            directory.path(),
            &[],
            &["run", &url, &connector, "--reseed"],
            5,
            &address,
        );
    }
}

#[test]
fn a_server_that_says_nothing_is_not_waited_for_for_ever() {
    let directory = directory();
    let address = stranger(None);
    thread::scope(|scope| {
        for connector in ["sqlite_rpc", "sqlite_ws_rpc"] {
            let (address, directory) = (&address, directory.path());
            scope.spawn(move || {
                let url = format!("--url=http://{address}");
                let connector = format!("--connectors={connector}");
                refused(directory, &[], &["run", &url, &connector], 5, "");
            });
        }
    });
}

/// The handshake with a connector of the other transport's server.
#[test]
fn the_wrong_transport_is_code_five() {
    let directory = directory();
    let http = Served::bench_client(directory.path(), "http", &["--seed-accounts=100"]);
    let ws = Served::bench_client(directory.path(), "ws", &["--seed-accounts=100"]);
    let cases = [("sqlite_rpc", &ws), ("sqlite_ws_rpc", &http)];
    for (connector, served) in cases {
        let url = format!("--url={}", served.url());
        let connector = format!("--connectors={connector}");
        refused(directory.path(), &[], &["run", &url, &connector], 5, "");
    }
}

/// More workers than the server has places for: it accepts no more and says nothing.
#[test]
fn a_server_without_a_place_left_is_code_five() {
    let directory = directory();
    let flags = ["--seed-accounts=100", "--max-connections=3"];
    let served = Served::bench_client(directory.path(), "ws", &flags);
    let url = format!("--url={}", served.url());
    let flags = [
        "run",
        &url,
        "--accounts=100",
        "--concurrency=8",
        "--seconds=0.2",
        "--warmup=0",
    ];
    refused(directory.path(), &[], &flags, 5, "--concurrency");
}

#[test]
fn the_originals_variables_are_honoured() {
    let directory = directory();
    let mut command = bench_client(directory.path());
    command.args([
        "run",
        "--seconds=0.2",
        "--warmup=0",
        "--concurrency=3",
        "--json",
        "--keep-db",
    ]);
    command.envs([
        ("SQLITE_MODE", "realistic_fast"),
        ("SQLITE_FILE", "ledgers/mine.sqlite"),
        ("SQLITE_WS_RPC_BATCH_SIZE", "7"),
        ("SQLITE_WS_RPC_BATCH_MS", "0.5"),
        ("SEED_ACCOUNTS", "321"),
        ("SEED_INITIAL_BALANCE", "1000"),
        ("MAX_INFLIGHT_PER_WORKER", "3"),
    ]);
    let ended = run(&mut command);
    let record = ended.expect_code(0).json();
    let row = row(&record);
    assert_eq!(row["durability"], "wal-normal");
    assert_eq!(
        (&row["batch_size"], &row["batch_timeout_us"]),
        (&json!(7), &json!(500.0))
    );
    assert_eq!(
        (&row["accounts"], &row["max_inflight_per_worker"]),
        (&json!(321), &json!(3))
    );
    let kept = balances(&directory.path().join("ledgers/mine.sqlite"));
    assert_eq!((kept.len(), kept.iter().sum::<i64>()), (321, 321_000));
    assert!(
        !directory.path().join(".data").exists(),
        "SQLITE_FILE says where"
    );
}

#[test]
fn flags_go_before_variables() {
    let directory = directory();
    let mut command = bench_client(directory.path());
    command.args([
        "run",
        "--seconds=0.2",
        "--warmup=0",
        "--concurrency=3",
        "--json",
    ]);
    command.args([
        "--durability=memory",
        "--batch-size=9",
        "--batch-timeout=2ms",
        "--accounts=99",
    ]);
    command.args(["--max-inflight-per-worker=2"]);
    command.envs([
        ("SQLITE_MODE", "baseline"),
        ("SQLITE_WS_RPC_BATCH_SIZE", "7"),
        ("SQLITE_WS_RPC_BATCH_MS", "0.5"),
        ("SQLITE_WS_RPC_GROUP_COMMIT", "0"),
        ("SEED_ACCOUNTS", "321"),
        ("MAX_INFLIGHT_PER_WORKER", "3"),
    ]);
    let ended = run(&mut command);
    let record = ended.expect_code(0).json();
    let row = row(&record);
    assert_eq!(
        (&row["durability"], &row["batch_size"]),
        (&json!("memory"), &json!(9))
    );
    assert_eq!(
        (&row["batch_timeout_us"], &row["accounts"]),
        (&json!(2000.0), &json!(99))
    );
    assert_eq!(row["max_inflight_per_worker"], 2);
}

/// Every mode of the original by what SQLite reads back; group commit switched off.
#[test]
fn serve_honours_the_originals_variables() {
    let modes = [
        (
            "baseline",
            "delete-full",
            Some(("SQLITE_WS_RPC_BATCHING", "0")),
            1,
        ),
        (
            "default",
            "delete-full",
            Some(("SQLITE_WS_RPC_GROUP_COMMIT", "false")),
            1,
        ),
        (
            "realistic",
            "wal-full",
            Some(("SQLITE_WS_RPC_BATCH_SIZE", "0")),
            1_048_576,
        ),
        (
            "realistic_fast",
            "wal-normal",
            Some(("SQLITE_WS_RPC_BATCH_SIZE", "64")),
            64,
        ),
        ("realistic_cached", "wal-normal", None, 4096),
        (
            "fastest",
            "memory",
            Some(("SQLITE_WS_RPC_GROUP_COMMIT", "1")),
            4096,
        ),
        ("Wal-Full", "wal-full", None, 4096),
    ];
    for (mode, durability, further, batch) in modes {
        let directory = directory();
        let mut command = bench_client(directory.path());
        command.args(["serve", "ws"]).envs(further).envs([
            ("SQLITE_MODE", mode),
            ("SQLITE_WS_RPC_PORT", "0"),
            ("SQLITE_FILE", "named.sqlite"),
            ("SEED_ACCOUNTS", "12"),
            ("SEED_INITIAL_BALANCE", "5"),
        ]);
        let served = Served::start(&mut command);
        let line = &served.announced;
        assert!(
            line.contains(&format!("durability {durability} ")),
            "{mode}: {line}"
        );
        assert!(
            line.contains(&format!("batch size {batch},")),
            "{mode}: {line}"
        );
        assert!(
            line.contains("sqlite 3.") && line.contains("journal_mode="),
            "{line}"
        );
        let (accounts, total, _) = books(&served);
        assert_eq!((accounts, total.as_str()), (12, "60"));
        assert!(directory.path().join("named.sqlite").exists());
        assert_eq!(served.terminate(), Some(0));
    }
}

#[test]
fn the_invalid_pragma_of_the_original_is_warned_of() {
    let directory = directory();
    let mut command = bench_client(directory.path());
    command.args([
        "run",
        "--seconds=0.1",
        "--warmup=0",
        "--accounts=50",
        "--concurrency=1",
    ]);
    let ended = run(command.env("SQLITE_MODE", "realistic_cached"));
    ended.expect_code(0);
    assert!(ended.stderr.starts_with("warning: ") && ended.stderr.contains("NORMAL"));
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    let record = record(directory.path());
    assert_eq!(row(&record)["durability"], "wal-normal");
}

#[test]
fn urls_come_from_the_environment_too() {
    let directory = directory();
    let http = Served::bench_client(directory.path(), "http", &["--seed-accounts=100"]);
    let ws = Served::bench_client(directory.path(), "ws", &["--seed-accounts=100"]);
    let mut command = bench_client(directory.path());
    command.args([
        "run",
        "--seconds=0.2",
        "--warmup=0",
        "--concurrency=2",
        "--accounts=100",
    ]);
    command.args(["--connectors=sqlite_rpc,sqlite_ws_rpc", "--json"]);
    // As the original's clients: the path does not matter, http stands for ws.
    let url = ws
        .url()
        .replace("ws://", "http://")
        .replace("/rpc", "/elsewhere?x=y");
    command.envs([("SQLITE_RPC_URL", http.url()), ("SQLITE_WS_RPC_URL", url)]);
    let ended = run(&mut command);
    let record = ended.expect_code(0).json();
    assert_eq!(rows(&record).len(), 2);
    for (row, served) in rows(&record).iter().zip([&http, &ws]) {
        assert!(
            row["durability_requested"].is_null(),
            "no server of our own was started"
        );
        let stats = within(async { control(served).stats(false).await });
        let committed = stats.expect("an answer").expect("stats").committed;
        assert_eq!(row["verify"]["acknowledged"], committed);
    }
}
