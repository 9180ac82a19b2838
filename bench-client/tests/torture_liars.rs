//! reliability.md case 36, the honesty of the harness: servers that cheat, each in its own way,
//! audited by the real program. Every one is caught with exit code 4, and the honest one is not.
//!
//! A liar is a process of its own, since it is killed: this test binary, started again with
//! [`LIE`] set. Its ledger is a file of lines, written before the answer and replayed at the
//! start, which outlives the process (not the machine, which nobody cuts off here).

#![cfg(target_os = "linux")]

mod common;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bench_client::control::ControlClient;
use common::{
    Ended, Served, bench_client, count, directory, is_alive, machine, run, runtime, within,
};
use futures_util::{SinkExt as _, StreamExt as _};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

/// Set in the process that is a liar: how it lies.
const LIE: &str = "BUSLOAD_LIE";
/// Where it listens and keeps its ledger.
const PORT: &str = "BUSLOAD_LIAR_PORT";
const FILE: &str = "BUSLOAD_LIAR_FILE";

/// Of every hundred transfers this one is lied about.
const FIRST: u64 = 10;

/// How a server treats transfers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    /// Writes, applies, answers: the control.
    None,
    /// Answers, and writes 100 ms later.
    AnswersEarly,
    /// Applies every 100th and does not answer it.
    DropsAnswers,
    /// Cannot write every 100th, and answers as if it had.
    SwallowsErrors,
    /// Answers every 100th as refused, and applies it.
    RefusesAndApplies,
    /// Applies every 100th twice.
    AppliesTwice,
    /// Answers every 100th twice.
    AnswersTwice,
    /// Writes only the seeding.
    OnlyInMemory,
    /// Every 100th arrives nowhere.
    LosesMoney,
    /// Rejects every 100th for want of money that is there.
    RejectsWrongly,
    /// Loses the last ten lines of its ledger at each start.
    ForgetsTheEnd,
    /// Claims to remember ids, and applies whatever comes.
    ForgetsIds,
}

const LIES: [Lie; 12] = [
    Lie::None,
    Lie::AnswersEarly,
    Lie::DropsAnswers,
    Lie::SwallowsErrors,
    Lie::RefusesAndApplies,
    Lie::AppliesTwice,
    Lie::AnswersTwice,
    Lie::OnlyInMemory,
    Lie::LosesMoney,
    Lie::RejectsWrongly,
    Lie::ForgetsTheEnd,
    Lie::ForgetsIds,
];

struct Bank {
    lie: Lie,
    balances: Vec<i64>,
    seen: u64,
    file: File,
}

impl Bank {
    /// What the file says.
    fn open(lie: Lie, path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let mut lines: Vec<_> = text.lines().collect();
        if lie == Lie::ForgetsTheEnd && lines.len() > 11 {
            lines.truncate(lines.len() - 10);
        }
        let mut balances = Vec::new();
        let mut kept = String::new();
        for line in lines {
            writeln!(kept, "{line}").expect("a string takes all");
            let numbers: Vec<i64> = line
                .split(' ')
                .map(|word| word.parse().expect("a number"))
                .collect();
            match numbers[..] {
                [accounts, initial] => {
                    balances = vec![initial; usize::try_from(accounts).expect("small")];
                }
                [from, to, paid, received] => {
                    balances[usize::try_from(from).expect("small")] -= paid;
                    balances[usize::try_from(to).expect("small")] += received;
                }
                _ => panic!("{line}"),
            }
        }
        std::fs::write(path, kept).expect("the ledger can be written");
        let file = File::options().append(true).open(path);
        Self {
            lie,
            balances,
            seen: 0,
            file: file.expect("the ledger can be opened"),
        }
    }

    fn write(&mut self, line: &str) {
        // In one call: a kill leaves a line whole or not there.
        let line = format!("{line}\n");
        self.file.write_all(line.as_bytes()).expect("it is written");
    }

    /// Moves money; the line for the ledger.
    fn apply(&mut self, args: &Value, received: bool) -> String {
        let number = |name: &str| args[name].as_i64().expect("a number");
        let (from, to, amount) = (number("from_id"), number("to_id"), number("amount"));
        let received = if received { amount } else { 0 };
        self.balances[usize::try_from(from).expect("small")] -= amount;
        self.balances[usize::try_from(to).expect("small")] += received;
        format!("{from} {to} {amount} {received}")
    }

    /// How often and with what a transfer is answered, and what is written only afterwards.
    fn transfer(&mut self, args: &Value) -> (usize, Value, Option<String>) {
        self.seen += 1;
        let special = self.seen % 100 == FIRST;
        let refused = |code: &str| json!({"ok": false, "error": code});
        let mut answer = (1, json!({"ok": true}), None);
        match self.lie {
            Lie::RejectsWrongly if special => return (1, refused("insufficient_funds"), None),
            Lie::SwallowsErrors if special => return answer,
            Lie::OnlyInMemory => {
                self.apply(args, true);
                return answer;
            }
            Lie::DropsAnswers if special => answer.0 = 0,
            Lie::AnswersTwice if special => answer.0 = 2,
            Lie::RefusesAndApplies if special => answer.1 = refused("storage_full"),
            Lie::AppliesTwice if special => {
                let line = self.apply(args, true);
                self.write(&line);
            }
            _ => {}
        }
        let received = self.lie != Lie::LosesMoney || !special;
        let line = self.apply(args, received);
        if self.lie == Lie::AnswersEarly {
            answer.2 = Some(line);
        } else {
            self.write(&line);
        }
        answer
    }

    /// As a server that is not ours: without `info` and `stats`.
    fn answer(&mut self, request: &Value) -> (usize, Value, Option<String>) {
        let args = &request["args"];
        let result = match request["name"].as_str().unwrap_or_default() {
            "transfer" => return self.transfer(args),
            "info" if self.lie == Lie::ForgetsIds => json!({
                "server": "liar",
                "version": "1",
                "transport": "ws",
                "encodings": ["json"],
                "durability": "custom",
                "pragmas": {},
                "sqlite_version": "none",
                "database": "lines",
                "batch_size": 1,
                "batch_timeout_us": 0.0,
                "queue_transfers": 1,
                "max_inflight_per_connection": 1_000,
                "exactly_once": true,
                "pid": std::process::id(),
            }),
            "getAccount" => {
                let id = usize::try_from(args["id"].as_u64().expect("an account")).expect("small");
                let found = self.balances.get(id);
                found.map_or(Value::Null, |b| json!({"id": id, "balance": b.to_string()}))
            }
            "seed" => {
                let accounts = args["accounts"].as_u64().expect("a number");
                let initial = args["initialBalance"].as_i64().expect("a number");
                self.balances = vec![initial; usize::try_from(accounts).expect("small")];
                self.write(&format!("{accounts} {initial}"));
                Value::Null
            }
            name => {
                let error = format!("unknown method: {name}");
                return (1, json!({"ok": false, "error": error}), None);
            }
        };
        (1, json!({"ok": true, "result": result}), None)
    }
}

async fn serve(stream: TcpStream, bank: Arc<Mutex<Bank>>) {
    let Ok(mut socket) = accept_async(stream).await else {
        return;
    };
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(request) = message else {
            continue;
        };
        let request: Value = serde_json::from_str(&request).expect("the client sends JSON");
        let (times, mut body, later) = bank.lock().expect("no panic").answer(&request);
        body["id"] = request["id"].clone();
        if bank.lock().expect("no panic").lie == Lie::ForgetsIds {
            // So that a kill finds what was applied and not answered.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        for _ in 0..times {
            if socket.send(Message::text(body.to_string())).await.is_err() {
                return;
            }
        }
        if let Some(line) = later {
            let bank = Arc::clone(&bank);
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(100)).await;
                bank.lock().expect("no panic").write(&line);
            });
        }
    }
}

/// Not a test but the liar itself: does nothing unless [`LIE`] is set.
#[test]
fn the_liar_itself() {
    let Ok(lie) = std::env::var(LIE) else { return };
    let lie = LIES.into_iter().find(|one| format!("{one:?}") == lie);
    let variable = |name| std::env::var(name).expect("it is set");
    let bank = Bank::open(lie.expect("it is one of them"), Path::new(&variable(FILE)));
    let bank = Arc::new(Mutex::new(bank));
    runtime().block_on(async {
        let address = format!("127.0.0.1:{}", variable(PORT));
        let listener = TcpListener::bind(address).await.expect("the port is free");
        loop {
            let (stream, _) = listener.accept().await.expect("somebody connects");
            tokio::spawn(serve(stream, Arc::clone(&bank)));
        }
    });
}

/// Audits a liar with these flags and with cycles as long as that.
fn audit(directory: &Path, lie: Lie, flags: &[&str], seconds: u32) -> Ended {
    // A busy machine answers late, and that is no lie.
    let timeout = match lie {
        Lie::DropsAnswers => "250ms",
        _ => "60s",
    };
    let port = common::free_port();
    let liar = std::env::current_exe().expect("the test knows its own path");
    let command = format!(
        "env {LIE}={lie:?} {PORT}={port} {FILE}={{database}} {} --exact the_liar_itself --nocapture",
        liar.display()
    );
    let mut audit = bench_client(directory);
    audit.args([
        "torture",
        "--json",
        "--reseed",
        "--kills=3",
        &format!("--seconds-per-cycle={seconds}"),
        "--workers=3",
        "--inflight=4",
        &format!("--answer-timeout={timeout}"),
        &format!("--server-command={command}"),
        &format!("--url=ws://127.0.0.1:{port}"),
    ]);
    run(audit.args(flags))
}

/// The same, with longer cycles until it is `enough`: on a busy machine little happens in short
/// ones.
fn audit_until(lie: Lie, enough: impl Fn(&Ended) -> bool) -> (TempDir, Ended) {
    let mut seconds = 1;
    loop {
        let directory = directory();
        let ended = audit(directory.path(), lie, &["--faults=kill"], seconds);
        if enough(&ended) || seconds > 30 {
            return (directory, ended);
        }
        seconds *= 4;
    }
}

/// Whether the liar had its chance: far more was answered than comes before the first lie and can
/// be under way.
fn had_its_chance(lie: Lie, record: &Value) -> bool {
    let cycles = record["cycles"].as_array().expect("a list");
    let answered = |cycle: &Value| count(&cycle["acknowledged"]);
    // What is never answered must also be waited for in vain, for some part of a cycle.
    lie != Lie::DropsAnswers && cycles.iter().any(|cycle| answered(cycle) > 10 * FIRST)
}

fn kinds(record: &Value) -> BTreeSet<String> {
    let findings = record["findings"].as_array().expect("a list");
    let kinds = findings
        .iter()
        .map(|one| one["kind"].as_str().expect("a name").to_owned());
    kinds.collect()
}

/// Audits a liar; its record. `expected` must be among what is found, and nothing outside of
/// `possible`.
#[track_caller]
fn caught(lie: Lie, expected: &[&str], possible: &[&str]) -> Value {
    let _machine = machine();
    let (directory, ended) = audit_until(lie, |ended| {
        ended.code() != Some(0) || had_its_chance(lie, &ended.json())
    });
    ended.expect_code(4);
    let record = ended.json();
    assert_eq!(record["valid"], false);
    let found = kinds(&record);
    for kind in expected {
        assert!(found.contains(*kind), "{lie:?}: {kind} not in {found:?}");
    }
    for kind in &found {
        let known = expected.iter().chain(possible).any(|one| one == kind);
        assert!(known, "{lie:?}: {kind} is wrong: {record:#}");
    }
    let kept = record["kept"][0].as_str().expect("the evidence is kept");
    let first = record["findings"][0]["cycle"].as_u64().expect("a number");
    let journal = directory.path().join(kept).join(format!("journal.{first}"));
    let contents = bench_client::torture::journal::read(&journal).expect("it can be read");
    assert!(contents.records.len() > 10);
    record
}

/// What damage of every 100th transfer can look like: with more of it on one connection than can
/// be told apart it is said that something is wrong, and not what. Money that moved without the
/// client's knowledge can bring a balance below 0.
const DAMAGED: [&str; 6] = [
    "refused_present",
    "applied_twice",
    "lost",
    "hole",
    "unexplained",
    "negative_balance",
];

/// Without it the others would prove nothing.
#[test]
fn case_36_an_honest_server_is_believed() {
    let _machine = machine();
    let (_directory, ended) = audit_until(Lie::None, |ended| {
        ended.code() != Some(0) || had_its_chance(Lie::None, &ended.json())
    });
    ended.expect_code(0);
    let record = ended.json();
    assert_eq!(record["findings"], json!([]));
    assert!(had_its_chance(Lie::None, &record), "{record:#}");
    assert_eq!(record["replay_matches"], true);
    assert_eq!(record["snapshots"], 0, "it has no stats");
}

/// A server of other people may end as it likes, as long as nothing is lost.
#[test]
fn an_end_without_grace_is_a_warning() {
    let _machine = machine();
    let directory = directory();
    let ended = audit(directory.path(), Lie::None, &["--faults=term"], 1);
    ended.expect_code(0);
    let record = ended.json();
    assert_eq!(
        kinds(&record),
        BTreeSet::from(["unexpected_end".to_owned()])
    );
    assert_eq!(
        (&record["valid"], &record["lost"]),
        (&json!(true), &json!(0))
    );
}

#[test]
fn case_36_an_answer_faked_early() {
    let record = caught(Lie::AnswersEarly, &["lost"], &["hole", "unexplained"]);
    let transfers = record["findings"].as_array().expect("a list");
    let lost = transfers.iter().find(|one| one["kind"] == "lost");
    let lost = &lost.expect("there is one")["transfer"];
    assert_eq!(
        (&lost["answer"], &lost["applied"]),
        (&json!("ok"), &json!(0))
    );
}

#[test]
fn case_36_an_answer_dropped() {
    let record = caught(Lie::DropsAnswers, &["unanswered"], &[]);
    assert_eq!(record["lost"], 0, "it was applied: {record:#}");
}

#[test]
fn case_36_an_error_swallowed() {
    let _ = caught(Lie::SwallowsErrors, &[], &DAMAGED);
}

#[test]
fn case_36_refused_and_applied() {
    let _ = caught(Lie::RefusesAndApplies, &[], &DAMAGED);
}

#[test]
fn case_36_applied_twice() {
    let _ = caught(Lie::AppliesTwice, &[], &DAMAGED);
}

#[test]
fn case_36_answered_twice() {
    let record = caught(Lie::AnswersTwice, &["answered_twice"], &[]);
    assert_eq!(record["lost"], 0);
}

#[test]
fn case_36_a_ledger_in_memory_only() {
    let record = caught(Lie::OnlyInMemory, &["lost"], &[]);
    assert_eq!(record["lost"], record["acknowledged"], "all of them");
    assert_eq!(record["unknown_present"], 0);
}

#[test]
fn case_36_a_ledger_that_forgets_its_end() {
    let _ = caught(Lie::ForgetsTheEnd, &["lost"], &["hole", "unexplained"]);
}

#[test]
fn case_36_money_that_arrives_nowhere() {
    let broken = ["wrong_total", "pair_not_conserved"];
    let _ = caught(Lie::LosesMoney, &broken, &DAMAGED);
}

/// What is of unknown outcome is sent again with its id: that this moves nothing twice is seen
/// in the balances.
#[test]
fn case_36_ids_that_are_forgotten() {
    let _machine = machine();
    let directory = directory();
    let flags = ["--faults=kill", "--exactly-once"];
    let ended = audit(directory.path(), Lie::ForgetsIds, &flags, 1);
    ended.expect_code(4);
    let record = ended.json();
    assert!(kinds(&record).contains("applied_twice"), "{record:#}");
    assert!(count(&record["exactly_once"]["resolved_committed"]) > 0);
    // Without ids it would have been believed.
    let ended = audit(directory.path(), Lie::ForgetsIds, &["--faults=kill"], 1);
    ended.expect_code(0);
    assert_eq!(ended.json()["exactly_once"], Value::Null);
}

#[test]
fn a_server_that_knows_no_ids_is_refused() {
    let _machine = machine();
    let directory = directory();
    let flags = ["--faults=kill", "--exactly-once"];
    let ended = audit(directory.path(), Lie::None, &flags, 1);
    ended.expect_code(2);
    let errors = ended
        .stderr
        .lines()
        .filter(|line| line.starts_with("error: "));
    assert_eq!(errors.count(), 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("--exactly-once"), "{}", ended.stderr);
}

#[test]
fn case_36_a_rejection_without_a_reason() {
    let record = caught(Lie::RejectsWrongly, &["wrong_rejection"], &[]);
    assert_eq!(record["lost"], 0);
}

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
    let port = common::free_port();
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
