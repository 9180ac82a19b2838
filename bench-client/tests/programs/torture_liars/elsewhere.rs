//! What the kills hit is not the server.

use std::collections::BTreeSet;

use bench_client::config::ConnectorKind;
use bench_client::control::ControlClient;
use nix::unistd::Pid;
use serde_json::json;

use super::audited::{audit_of, kinds};
use super::bank::Lie;
use super::front::{Daemon, Front};
use crate::common::{Served, bench_client, count, directory, free_port, is_alive, run, within};

/// Kills of a command that is not the server prove nothing about the server.
#[test]
fn case_36_a_command_beside_a_server_that_was_there() {
    let directory = directory();
    let server = Served::bench_client(directory.path(), "ws", &["--accounts=1000"]);
    let balances = || {
        within(async {
            let mut control = ControlClient::new(ConnectorKind::SqliteWsRpc, server.target());
            let stats = control.stats(true).await.expect("it answers");
            stats.expect("it has stats").balances.expect("it has them")
        })
    };
    let before = balances();
    assert_eq!(before.accounts, 1000);
    let ended = run(bench_client(directory.path()).args([
        "torture",
        "--reseed",
        "--kills=3",
        "--faults=kill",
        "--server-command=sleep 1000",
        "--data-dir=data",
        &format!("--url={}", server.url()),
    ]));
    ended.expect_code(2);
    let errors: Vec<_> = ended
        .stderr
        .lines()
        .filter(|line| !line.starts_with("warning: "))
        .collect();
    assert_eq!(errors.len(), 1, "{}", ended.stderr);
    assert!(
        errors[0].contains("a server already listens at") && errors[0].contains("--url"),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.stdout, "");
    assert!(balances() == before, "nothing is wiped");
    let left = std::fs::read_dir(directory.path().join("data")).expect("it was made");
    assert_eq!(left.count(), 0);
}

/// The ledger is in the memory of a daemon, which does not notice that the front before it is
/// killed; without an end of its own nothing would ever be lost.
#[test]
fn case_36_a_server_that_lives_on_in_a_daemon() {
    for how in [Daemon::Child, Daemon::Grandchild] {
        let directory = directory();
        let front = Front::of(Lie::OnlyInMemory, how, directory.path());
        let command = (front.command.as_str(), front.port);
        let flags = ["--faults=kill"];
        let ended = audit_of(directory.path(), Lie::OnlyInMemory, command, &flags, 1);
        ended.expect_code(4);
        let record = ended.json();
        assert_eq!(
            kinds(&record),
            BTreeSet::from(["lost".to_owned()]),
            "{how:?}: {record:#}"
        );
        assert_eq!(
            record["lost"], record["acknowledged"],
            "{how:?}: all of them"
        );
        assert!(count(&record["lost"]) > 0);
        // One for each start of a front: each kill has reached the daemon behind it.
        assert_eq!(front.daemons().len(), 4, "{how:?}");
        assert_eq!(front.living(), 0, "{how:?}");
    }
}

/// An honest server in the background of what is started is killed with it, and nothing is lost.
#[test]
fn a_server_that_went_into_the_background_is_audited() {
    let directory = directory();
    let port = free_port();
    let command = format!(
        "sh -c 'setsid {} serve ws --port {port} --database {{database}} & echo $! >> pids; \
         exec sleep 1000'",
        env!("CARGO_BIN_EXE_bench-client"),
    );
    let command = (command.as_str(), port);
    let ended = audit_of(directory.path(), Lie::None, command, &["--faults=kill"], 1);
    ended.expect_code(0);
    let record = ended.json();
    assert_eq!(record["findings"], json!([]), "{record:#}");
    assert_eq!(record["kills"], 3);
    let pids = std::fs::read_to_string(directory.path().join("pids")).expect("they were started");
    let pids: Vec<_> = pids
        .lines()
        .map(|pid| pid.parse().expect("a process id"))
        .collect();
    assert_eq!(pids.len(), 4);
    assert!(
        pids.into_iter()
            .map(Pid::from_raw)
            .all(|pid| !is_alive(pid))
    );
}

/// What answers was never started by the audit: it cannot be killed, and so not be vouched for.
#[test]
fn case_36_a_daemon_that_was_there_and_takes_the_port() {
    let directory = directory();
    let front = Front::of(Lie::OnlyInMemory, Daemon::Listening, directory.path());
    let command = (front.command.as_str(), front.port);
    let flags = ["--faults=kill"];
    let ended = audit_of(directory.path(), Lie::OnlyInMemory, command, &flags, 1);
    ended.expect_code(4);
    let record = ended.json();
    assert!(kinds(&record).contains("still_answers"), "{record:#}");
    assert_eq!(record["valid"], false);
    let cycles = record["cycles"].as_array().expect("a list");
    assert_eq!(cycles.len(), 1, "the audit ends there");
    assert_eq!(cycles[0]["injected"], false);
    assert_eq!(front.living(), 1, "it is nobody's to kill");
}

/// The front owns the port and is killed; what it passes everything on to was there before it, and
/// stays.
#[test]
fn case_36_a_daemon_that_was_there_behind_a_front() {
    let directory = directory();
    let front = Front::of(Lie::OnlyInMemory, Daemon::Beforehand, directory.path());
    let command = (front.command.as_str(), front.port);
    let flags = ["--faults=kill"];
    let ended = audit_of(directory.path(), Lie::OnlyInMemory, command, &flags, 1);
    ended.expect_code(4);
    let record = ended.json();
    let expected = BTreeSet::from(["served_elsewhere".to_owned()]);
    assert_eq!(kinds(&record), expected, "{record:#}");
    let findings = record["findings"].as_array().expect("a list");
    assert_eq!(findings.len(), 1, "told once");
    let message = findings[0]["message"].as_str().expect("a text");
    let daemon = front.daemons()[0];
    assert!(message.contains(&format!("process {daemon})")), "{message}");
    assert_eq!(record["lost"], 0);
    assert_eq!(front.living(), 1, "it is nobody's to kill");
}
