//! `audit`, from outside: our own modes, and small servers that are honest or not, each in a way
//! of its own. Every verdict is held against what the server is known to do.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{
    Ended, Running, bench_client, can_trace, count, directory, free_port, is_alive, run, server_of,
    skipped, until,
};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::Value;

/// One of the servers of `audit_servers/server.py`, which audits start.
fn foreign(directory: &Path, how: &str, flags: &[&str]) -> Ended {
    let port = free_port();
    let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/audit_servers/server.py");
    let command = format!("python3 {} {how} {port} {{database}}", server.display());
    run(bench_client(directory)
        .args(["audit", "--json", "--keep", "--transfers=30"])
        .arg(format!("--server-command={command}"))
        .arg(format!("--url=http://127.0.0.1:{port}"))
        .args(flags))
}

fn own(directory: &Path, flags: &[&str]) -> Ended {
    run(bench_client(directory)
        .args(["audit", "--json", "--transfers=40"])
        .args(flags))
}

/// Whether the servers of this file can be audited here.
fn can_audit(name: &str) -> bool {
    let python = Command::new("python3").arg("--version").output();
    if !python.is_ok_and(|output| output.status.success()) {
        skipped(name, "there is no python3");
        return false;
    }
    can_trace(name)
}

/// The same for what takes long and shows less: with `BUSLOAD_LONG=1`.
fn can_audit_at_length(name: &str) -> bool {
    if std::env::var_os("BUSLOAD_LONG").is_none() {
        skipped(name, "it takes long: set BUSLOAD_LONG=1");
        return false;
    }
    can_audit(name)
}

/// The outcome of a check.
#[track_caller]
fn outcome<'r>(record: &'r Value, check: &str) -> &'r str {
    let checks = record["checks"].as_array().expect("a list");
    let found = checks.iter().find(|one| one["check"] == check);
    let found = found.unwrap_or_else(|| panic!("no {check} in {record:#}"));
    found["outcome"].as_str().expect("a word")
}

#[track_caller]
fn figure(record: &Value, check: &str, name: &str) -> f64 {
    let checks = record["checks"].as_array().expect("a list");
    let found = checks.iter().find(|one| one["check"] == check);
    let found = found.unwrap_or_else(|| panic!("no {check} in {record:#}"));
    found["figures"][name]
        .as_f64()
        .unwrap_or_else(|| panic!("no {name} in {found:#}"))
}

#[track_caller]
fn expect(ended: &Ended, verdict: &str) -> Value {
    let code = match verdict {
        "durable" => 0,
        "cannot tell" => 6,
        _ => 4,
    };
    let record = ended.json();
    assert_eq!(record["verdict"], verdict, "{record:#}\n{}", ended.stderr);
    ended.expect_code(code);
    record
}

/// A server that is durable passes every check.
#[track_caller]
fn expect_durable(ended: &Ended) -> Value {
    let record = expect(ended, "durable");
    for check in [
        "synced_before_answer",
        "restart",
        "shared_syncs",
        "slowed_sync",
        "failed_sync",
    ] {
        assert_eq!(outcome(&record, check), "passed", "{check}: {record:#}");
    }
    assert_eq!(record["watched_with"], "strace");
    assert!(figure(&record, "slowed_sync", "soonest_ms") >= 100.0);
    assert!(figure(&record, "failed_sync", "failed") >= 1.0);
    record
}

/// A server that is not fails this check.
#[track_caller]
fn expect_not_durable(ended: &Ended, check: &str) -> Value {
    let record = expect(ended, "not durable");
    assert_eq!(outcome(&record, check), "failed", "{record:#}");
    record
}

#[test]
fn honest_servers_are_durable() {
    if !can_audit("honest_servers_are_durable") {
        return;
    }
    for how in [
        "honest",
        "chunked",
        "two_processes",
        "dsync",
        "mapped",
        "replaced_and_synced",
    ] {
        let directory = directory();
        let ended = foreign(directory.path(), how, &[]);
        let record = expect_durable(&ended);
        let per = &record["per_acknowledgement"];
        assert!(
            per["syncs"].as_f64().expect("a figure") >= 0.9,
            "{how}: {per:#}"
        );
        let call = match how {
            "dsync" => "O_DSYNC",
            "mapped" => "msync",
            _ => "fsync",
        };
        assert!(count(&per["by_call"][call]) >= 29, "{how}: {per:#}");
        assert_nothing_runs(directory.path(), &record);
    }
}

/// Every process of the server is gone: its first one has left its id in each start.
#[track_caller]
fn assert_nothing_runs(directory: &Path, record: &Value) {
    let kept = PathBuf::from(record["kept"].as_str().expect("it was kept"));
    let pids = directory.join(kept).join("data/ledger.sqlite.pids");
    let pids = std::fs::read_to_string(pids).expect("each start left a line");
    assert!(pids.lines().count() >= 4, "{pids}");
    for pid in pids.lines() {
        let pid = Pid::from_raw(pid.parse().expect("a process id"));
        let gone = || (!is_alive(pid)).then_some(());
        until("the server is gone", gone);
    }
}

#[test]
fn an_answer_before_the_sync_is_seen() {
    if !can_audit("an_answer_before_the_sync_is_seen") {
        return;
    }
    let directory = directory();
    let ended = foreign(directory.path(), "early", &[]);
    let record = expect_not_durable(&ended, "synced_before_answer");
    let early = figure(&record, "synced_before_answer", "answered_before_sync");
    let acknowledged = figure(&record, "synced_before_answer", "acknowledged");
    assert!(early >= acknowledged - 1.0, "{early} of {acknowledged}");
    assert_eq!(outcome(&record, "slowed_sync"), "failed", "{record:#}");
}

#[test]
fn a_sync_of_another_file_is_none() {
    if !can_audit_at_length("a_sync_of_another_file_is_none") {
        return;
    }
    let directory = directory();
    let ended = foreign(directory.path(), "decoy", &[]);
    let record = expect_not_durable(&ended, "synced_before_answer");
    let files = record["files"].as_array().expect("a list");
    let ledger = files.iter().find(|file| file["file"] == "ledger.sqlite");
    let ledger = ledger.expect("it was written");
    assert_eq!(ledger["not_synced"], ledger["transfers"], "{ledger}");
    let other = files
        .iter()
        .find(|file| file["file"] == "ledger.sqlite.other");
    assert_eq!(other.expect("it was written")["not_synced"], 0);
}

#[test]
fn a_failed_sync_that_is_ignored_is_seen() {
    if !can_audit("a_failed_sync_that_is_ignored_is_seen") {
        return;
    }
    for how in ["ignores", "dsync_ignored"] {
        let directory = directory();
        let ended = foreign(directory.path(), how, &[]);
        let record = expect_not_durable(&ended, "failed_sync");
        assert_eq!(outcome(&record, "synced_before_answer"), "passed", "{how}");
        assert_eq!(outcome(&record, "slowed_sync"), "passed", "{how}");
    }
}

#[test]
fn what_is_synced_at_some_time_or_never_is_not_durable() {
    if !can_audit_at_length("what_is_synced_at_some_time_or_never_is_not_durable") {
        return;
    }
    for how in ["background", "unsynced", "mapped_unsynced"] {
        let directory = directory();
        let ended = foreign(directory.path(), how, &[]);
        let record = expect_not_durable(&ended, "synced_before_answer");
        assert_eq!(
            outcome(&record, "slowed_sync"),
            "failed",
            "{how}: {record:#}"
        );
    }
}

#[test]
fn what_flushes_no_disk_is_not_durable() {
    if !can_audit("what_flushes_no_disk_is_not_durable") {
        return;
    }
    let directory = directory();
    let ended = foreign(directory.path(), "range", &[]);
    let record = expect_not_durable(&ended, "synced_before_answer");
    let range = figure(&record, "synced_before_answer", "range_only");
    assert!(range >= 29.0, "{record:#}");
}

#[test]
fn a_name_that_is_not_synced_is_not_durable() {
    if !can_audit_at_length("a_name_that_is_not_synced_is_not_durable") {
        return;
    }
    let directory = directory();
    let ended = foreign(directory.path(), "replaced", &[]);
    let record = expect_not_durable(&ended, "synced_before_answer");
    let names = figure(&record, "synced_before_answer", "name_not_synced");
    assert!(names >= 29.0, "{record:#}");
}

#[test]
fn a_ledger_in_memory_is_a_fake() {
    if !can_audit_at_length("a_ledger_in_memory_is_a_fake") {
        return;
    }
    let directory = directory();
    let ended = foreign(directory.path(), "memory", &[]);
    let record = expect(&ended, "fake");
    assert_eq!(outcome(&record, "restart"), "failed", "{record:#}");
}

/// What was acknowledged was in memory when the server was killed, and is written when it is told
/// to stop: it stores something.
#[test]
fn a_ledger_that_is_saved_at_the_end_is_not_durable() {
    if !can_audit_at_length("a_ledger_that_is_saved_at_the_end_is_not_durable") {
        return;
    }
    let directory = directory();
    let ended = foreign(directory.path(), "saved_at_stop", &[]);
    let record = expect_not_durable(&ended, "restart");
    let bytes = figure(&record, "synced_before_answer", "bytes");
    assert!(bytes.abs() < f64::EPSILON, "{record:#}");
}

/// A verdict needs all checks, and nothing is left running.
#[test]
fn an_interrupted_audit_tells_nothing() {
    if !can_audit("an_interrupted_audit_tells_nothing") {
        return;
    }
    let directory = directory();
    let mut command = bench_client(directory.path());
    command.args([
        "audit",
        "sqlite_ws_rpc",
        "--json",
        "--keep",
        "--transfers=10000",
    ]);
    let audit = Running::start(&mut command);
    let data = directory.path().join(".data");
    until("the first run is traced", || {
        let places = data.read_dir().ok()?;
        let mut traces = places.filter_map(|place| {
            let trace = place.ok()?.path().join("watched.strace");
            trace.metadata().ok().filter(|it| it.len() > 100_000)
        });
        traces.next()
    });
    let server = server_of(&audit);
    audit.signal(Signal::SIGINT);
    let ended = audit.wait();
    ended.expect_code(130);
    let record = ended.json();
    assert_eq!(record["verdict"], "cannot tell");
    assert_eq!(record["interrupted"], true);
    until("the server is gone", || (!is_alive(server)).then_some(()));
    // It does not stand for the server.
    let row = run(bench_client(directory.path()).args([
        "run",
        "--json",
        "--duration=0.3",
        "--no-null-server",
    ]));
    assert_eq!(row.json()["rows"][0]["audit"], Value::Null);
}

#[test]
fn nothing_is_told_of_a_server_with_io_uring() {
    const NAME: &str = "nothing_is_told_of_a_server_with_io_uring";
    if !can_audit(NAME) {
        return;
    }
    let directory = directory();
    let ended = foreign(directory.path(), "io_uring", &[]);
    if ended.json()["verdict"] == "durable" {
        skipped(NAME, "this kernel has no io_uring");
        return;
    }
    let record = expect(&ended, "cannot tell");
    let because = record["because"].as_str().expect("a sentence");
    assert!(because.contains("io_uring"), "{because}");
}

/// As their documentation says.
#[test]
fn own_modes_are_what_they_say() {
    if !can_trace("own_modes_are_what_they_say") {
        return;
    }
    for (mode, verdict) in [
        ("wal-full", "durable"),
        ("delete-extra", "durable"),
        ("delete-full", "not durable"),
        ("wal-normal", "not durable"),
        ("memory", "not durable"),
        ("discard-writes", "fake"),
    ] {
        let directory = directory();
        let flag = format!("--durability={mode}");
        let ended = own(directory.path(), &["sqlite_ws_rpc", &flag]);
        let record = expect(&ended, verdict);
        assert_eq!(record["target"]["name"], "sqlite_ws_rpc");
        assert_eq!(record["target"]["settings"]["durability"], mode);
        match mode {
            "wal-full" => {
                expect_durable(&ended);
                let per_sync = record["transfers_per_sync"].as_f64().expect("a figure");
                assert!(per_sync > 1.5, "they share syncs: {record:#}");
            }
            "delete-extra" => drop(expect_durable(&ended)),
            "delete-full" => {
                let gaps = figure(&record, "synced_before_answer", "name_not_synced");
                assert!(gaps >= 40.0, "{record:#}");
            }
            "discard-writes" => {
                let bytes = figure(&record, "synced_before_answer", "bytes");
                assert!(bytes.abs() < f64::EPSILON, "{record:#}");
            }
            _ => {}
        }
        let left = directory
            .path()
            .join(".data")
            .read_dir()
            .expect("it is there");
        assert_eq!(left.count(), 0, "nothing is kept without --keep");
    }
}

#[test]
fn transfers_over_http_and_in_binary_are_read() {
    if !can_trace("transfers_over_http_and_in_binary_are_read") {
        return;
    }
    for flags in [&["sqlite_rpc"][..], &["sqlite_ws_rpc", "--encoding=binary"]] {
        let directory = directory();
        let ended = own(directory.path(), flags);
        expect_durable(&ended);
    }
}

/// Counters show that nothing is stored, and never that something is durable.
#[test]
fn without_strace_nothing_is_durable() {
    for (mode, verdict) in [("wal-full", "cannot tell"), ("discard-writes", "fake")] {
        let directory = directory();
        let ended = run(bench_client(directory.path())
            .env("PATH", directory.path())
            .args(["audit", "sqlite_ws_rpc", "--json", "--transfers=50"])
            .arg(format!("--durability={mode}")));
        let record = expect(&ended, verdict);
        assert_eq!(record["watched_with"], "counters");
        let why = record["not_traced"].as_str().expect("it says why");
        assert!(why.contains("strace"), "{why}");
        assert_eq!(record["transfers_per_sync"], Value::Null);
        assert!(figure(&record, "counters", "acknowledged") >= 50.0);
    }
}

/// A row repeats the last verdict of the same server with the same knobs, and no other.
#[test]
fn a_row_repeats_the_last_verdict() {
    if !can_trace("a_row_repeats_the_last_verdict") {
        return;
    }
    let directory = directory();
    let row = |flags: &[&str]| {
        let ended = run(bench_client(directory.path())
            .args(["run", "--json", "--duration=0.3", "--no-null-server"])
            .args(flags));
        let record = ended.json();
        record["rows"][0]["audit"].clone()
    };
    assert_eq!(row(&[]), Value::Null);
    let ended = run(bench_client(directory.path()).args([
        "audit",
        "sqlite_ws_rpc",
        "--transfers=30",
        "--durability=wal-normal",
    ]));
    ended.expect_code(4);
    assert!(
        ended
            .stdout
            .starts_with("NOT DURABLE  sqlite_ws_rpc, durability wal-normal"),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains("record"), "{}", ended.stdout);
    let audit = row(&["--durability=wal-normal"]);
    assert_eq!(audit["verdict"], "not durable");
    let at = audit["at"].as_str().expect("a date");
    assert!(at.starts_with("20"), "{at}");
    assert_eq!(row(&[]), Value::Null, "another mode");
    let text = run(bench_client(directory.path()).args([
        "run",
        "--duration=0.3",
        "--no-null-server",
        "--durability=wal-normal",
    ]));
    let line = format!("audited  not durable, at {at}");
    assert!(text.stdout.contains(&line), "{}", text.stdout);
}

#[test]
fn what_cannot_be_audited_is_refused_in_one_line() {
    let directory = directory();
    let refused = |flags: &[&str], says: &str| {
        let ended = run(bench_client(directory.path()).arg("audit").args(flags));
        ended.expect_code(2);
        ended.expect_one_line(says);
    };
    refused(&["nobody"], "there is no target 'nobody'");
    let url = "--url=http://127.0.0.1:9";
    refused(&["--server-command=true", url], "--reseed");
    refused(
        &["--server-command=true {database}", "--url=ftp://a"],
        "ftp",
    );
    refused(&["--server-command=' {database}", url], "quotation mark");
    refused(&["sqlite_rpc", "--encoding=binary"], "ws only");
    refused(&["sqlite_rpc", "--transfers=1"], "--transfers");
    refused(
        &["--server-command=a {database}", url, "--durability=memory"],
        "leave out the flags",
    );
}

#[test]
fn a_server_that_does_not_start_is_told_of() {
    let directory = directory();
    let ended = run(bench_client(directory.path()).args([
        "audit",
        "--server-command=false {database}",
        &format!("--url=http://127.0.0.1:{}", free_port()),
    ]));
    ended.expect_code(5);
    let last = ended.stderr.lines().last().expect("a line");
    assert!(
        last.starts_with("error: the server did not start"),
        "{last}"
    );
    let left = directory
        .path()
        .join(".data")
        .read_dir()
        .expect("it is there");
    assert_eq!(left.count(), 0);
}
