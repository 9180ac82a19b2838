//! `bench-client torture`, ended by its user: under load, between two cycles, before the first
//! server has come, while one does not come back.

use std::path::Path;
use std::process::Command;

use crate::common::{
    Running, bench_client, count, directory, free_port, is_alive, journals, left_behind, records,
    server_of, until,
};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::{Value, json};

/// While it is there, a server sleeps in the place of starting.
const GATE: &str = "gate";
/// The error output of the audit.
const SAID: &str = "said";

/// An audit of a server that comes back until there is the gate.
fn audit(directory: &Path, flags: &[&str]) -> Running {
    let script = format!(
        "[ -e {GATE} ] && exec sleep 1000
         exec '{}' serve ws --allow-seed --until-stdin-ends \"$@\"",
        env!("CARGO_BIN_EXE_bench-client")
    );
    std::fs::write(directory.join("server.sh"), script).expect("written");
    let port = free_port();
    let server = format!("sh server.sh --port={port} --database={{database}}");
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("exec \"$@\" 2>{SAID}"), "sh"])
        .args([env!("CARGO_BIN_EXE_bench-client"), "torture"])
        .args(["--faults=kill", "--reseed", "--output=record.json"])
        .args(["--server-command", &server])
        .args(["--url", &format!("ws://127.0.0.1:{port}")])
        .args(flags)
        .current_dir(directory);
    Running::start(&mut command)
}

fn said(directory: &Path) -> String {
    std::fs::read_to_string(directory.join(SAID)).unwrap_or_default()
}

/// Shuts the gate once the cycle has begun.
fn shut_in_cycle(directory: &Path, cycle: u32) {
    let name = format!("journal.{cycle}");
    until("the cycle has begun", || {
        let audits = std::fs::read_dir(directory.join(".data")).ok()?;
        let mut audits = audits.flatten();
        audits.find(|audit| audit.path().join(&name).exists())
    });
    std::fs::write(directory.join(GATE), "").expect("written");
}

fn sleeping(audit: &Running) -> Pid {
    until("the command that never listens is started", || {
        let server = server_of(audit);
        let name = std::fs::read_to_string(format!("/proc/{server}/comm")).ok()?;
        (name.trim() == "sleep").then_some(server)
    })
}

fn nothing_is_left(directory: &Path, server: Pid) {
    until("the server is gone", || (!is_alive(server)).then_some(()));
    assert_eq!(left_behind(directory), 0);
}

fn record(directory: &Path) -> Value {
    let text = std::fs::read_to_string(directory.join("record.json")).expect("written");
    serde_json::from_str(&text).expect("it is JSON")
}

#[test]
fn a_server_that_does_not_come_back_is_told_of_and_does_not_hold_up_the_end() {
    let directory = directory();
    let here = directory.path();
    let audit = audit(here, &["--cycle-time=0.3"]);
    shut_in_cycle(here, 2);
    let server = sleeping(&audit);
    until("the audit says what it waits for", || {
        let said = said(here);
        let mut lines = said.lines();
        let waiting = |line: &&str| {
            line.starts_with("waiting for the server: nothing accepted connections at 127")
        };
        lines.find(waiting).map(|_| ())
    });
    audit.signal(Signal::SIGINT);
    let ended = audit.wait();
    let said = said(here);
    ended.expect_code(130);
    let record = record(here);
    assert_eq!(record["interrupted"], true);
    assert_eq!(record["findings"], json!([]), "{record:#}");
    let kills = count(&record["kills"]);
    assert!(kills >= 1, "{record:#}");
    let next = format!("cycle {} is not judged", kills + 1);
    assert!(said.contains(&next), "{said}");
    nothing_is_left(here, server);
}

/// Then there is a little time for the cycle to be judged, and not more.
#[test]
fn ended_under_load_an_audit_does_not_wait_for_long() {
    let directory = directory();
    let here = directory.path();
    let audit = audit(here, &["--cycle-time=3000"]);
    shut_in_cycle(here, 1);
    audit.signal(Signal::SIGINT);
    let server = sleeping(&audit);
    let ended = audit.wait();
    ended.expect_code(130);
    let said = said(here);
    assert!(said.contains("cycle 1 is not judged"), "{said}");
    assert_eq!(records(here).len(), 0);
    nothing_is_left(here, server);
}

#[test]
fn an_interrupted_audit_writes_what_it_has() {
    let directory = directory();
    let audit = Running::start(bench_client(directory.path()).args([
        "torture",
        "--faults=kill",
        "--kills=1000",
        "--cycle-time=0.3",
        "--verbose",
        "--output=record.json",
    ]));
    // A cycle has a journal from its beginning.
    let second = Path::new("journal.2");
    until("a cycle is over", || {
        let mut journals = journals(directory.path()).into_iter();
        journals.find(|journal| journal.ends_with(second))
    });
    audit.signal(Signal::SIGINT);
    let ended = audit.wait();
    ended.expect_code(130);
    let record = record(directory.path());
    assert_eq!(record["interrupted"], true);
    let kills = count(&record["kills"]);
    assert!((1..1000).contains(&kills), "{kills}");
    assert!(ended.stderr.lines().count() as u64 >= kills, "a line each");
    assert_eq!(left_behind(directory.path()), 0);
}

/// The moment that was meant did not come: it is not said that it did.
#[test]
fn a_cycle_that_was_ended_early_has_not_struck() {
    let directory = directory();
    let audit = Running::start(bench_client(directory.path()).args([
        "torture",
        "--faults=kill",
        "--kills=3",
        "--cycle-time=3000",
        "--verbose",
        "--output=record.json",
    ]));
    until("the load is on", || {
        let journal = std::fs::read_to_string(journals(directory.path()).first()?);
        journal.ok()?.contains("\nanswer ").then_some(())
    });
    audit.signal(Signal::SIGINT);
    let ended = audit.wait();
    ended.expect_code(130);
    let record = record(directory.path());
    let cycles = record["cycles"].as_array().expect("a list");
    assert_eq!(cycles.len(), 1, "{record:#}");
    assert_eq!(cycles[0]["injected"], false, "{record:#}");
    assert_eq!(record["faults"][0]["injected"], 0);
    assert_eq!(record["found"], json!([]), "it is no finding");
    assert!(ended.stderr.contains("not reached"), "{}", ended.stderr);
    let warning = "kill was injected in none of its 1 cycle";
    assert!(ended.stdout.contains(warning), "{}", ended.stdout);
}

/// An audit that waits for a server which never listens.
fn waiting(directory: &Path) -> (Running, Pid) {
    let port = free_port();
    let audit = Running::start(bench_client(directory).args([
        "torture",
        "--faults=kill",
        "--reseed",
        "--server-command=sleep 1000",
        &format!("--url=ws://127.0.0.1:{port}"),
    ]));
    let server = sleeping(&audit);
    (audit, server)
}

#[test]
fn waiting_for_a_server_can_be_interrupted() {
    let directory = directory();
    let (audit, server) = waiting(directory.path());
    audit.signal(Signal::SIGINT);
    let ended = audit.wait();
    ended.expect_code(130);
    assert_eq!(ended.stdout, "");
    assert_eq!(records(directory.path()).len(), 0);
    nothing_is_left(directory.path(), server);
}

#[test]
fn an_audit_that_is_killed_takes_the_server_with_it() {
    let directory = directory();
    let (audit, server) = waiting(directory.path());
    let children = format!("/proc/{0}/task/{0}/children", audit.pid());
    until("it has something that outlives it", || {
        let children = std::fs::read_to_string(&children).ok()?;
        (children.split_whitespace().count() > 1).then_some(())
    });
    audit.signal(Signal::SIGKILL);
    until("the server is gone", || (!is_alive(server)).then_some(()));
    let ended = audit.wait();
    assert_eq!(ended.code(), None, "{}", ended.stderr);
}
