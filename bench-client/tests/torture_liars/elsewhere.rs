//! What the kills hit is not the server.

use std::collections::BTreeSet;
use std::path::Path;

use bench_client::control::ControlClient;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use super::audited::kinds;
use super::common::{Served, bench_client, directory, free_port, is_alive, machine, run, within};

/// Kills of a command that is not the server prove nothing about the server.
#[test]
fn case_36_a_command_beside_a_server_that_was_there() {
    let _machine = machine();
    let directory = directory();
    let server = Served::bench_client(directory.path(), "ws", &["--seed-accounts=1000"]);
    let balances = || {
        within(async {
            let mut control = ControlClient::ws(server.target());
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
        errors[0].contains("a server is there already") && errors[0].contains("--url"),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.stdout, "");
    assert!(balances() == before, "nothing is wiped");
    let left = std::fs::read_dir(directory.path().join("data")).expect("it was made");
    assert_eq!(left.count(), 0);
}

/// A daemon; killed when dropped.
struct Daemon(Pid);

impl Daemon {
    /// The one that left its process id in this file.
    fn of(file: &Path) -> Self {
        let pid = std::fs::read_to_string(file).expect("it was started");
        Self(Pid::from_raw(pid.trim().parse().expect("a process id")))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGKILL);
    }
}

/// The kills hit what started it, and the server has not noticed.
#[test]
fn case_36_a_server_that_went_into_the_background() {
    let _machine = machine();
    let directory = directory();
    let port = free_port();
    let command = format!(
        "sh -c 'setsid {} serve ws --port {port} --database {{database}} & echo $! > pid; \
         exec sleep 1000'",
        env!("CARGO_BIN_EXE_bench-client"),
    );
    let ended = run(bench_client(directory.path()).args([
        "torture",
        "--json",
        "--reseed",
        "--kills=3",
        "--faults=kill",
        "--seconds-per-cycle=1",
        &format!("--server-command={command}"),
        &format!("--url=ws://127.0.0.1:{port}"),
    ]));
    let daemon = Daemon::of(&directory.path().join("pid"));
    assert!(is_alive(daemon.0), "the test has its subject: {ended:?}");
    ended.expect_code(4);
    let record = ended.json();
    assert_eq!(
        kinds(&record),
        BTreeSet::from(["still_answers".to_owned()]),
        "{record:#}"
    );
    let finding = &record["findings"][0];
    assert_eq!(
        (&finding["fails"], &finding["cycle"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(record["valid"], false);
    let cycles = record["cycles"].as_array().expect("a list");
    assert_eq!(cycles.len(), 1, "the audit ends there");
    assert_eq!(cycles[0]["struck"], false);
}
