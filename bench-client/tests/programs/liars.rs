//! Servers that cheat, each in its own way, measured by the real program: every one is caught
//! by what it leaves behind, with the server's own counters and without.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::common::{
    Answer, Ended, Ledger, Peer, Running, Served, Serving, bench_client, count, directory, record,
    records, row, rows, run, until, verdicts,
};
use busload_frontend::Transport;
use busload_wire::control::{Balances, BytesByFile, Stats, SyncsByFile};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const ACCOUNTS: usize = 100;

/// How a server treats transfers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Treatment {
    /// Applies, then answers: the control.
    Honest,
    /// Answers and applies nothing.
    NeverApplies,
    /// Answers, applies all but every 50th.
    SwallowsSome,
    /// Applies all, does not answer every 50th of the first 500: fewer than fill the windows.
    DropsAnswers,
    /// Applies nothing, and drops a few answers so that outcomes are unknown.
    NeverAppliesAndDropsAFew,
    /// Applies everything twice.
    AppliesTwice,
    /// Debits and does not credit.
    LosesMoney,
    /// Answers everything twice.
    AnswersTwice,
    /// Applies and answers so many transfers, and no more.
    FallsSilentAfter(u64),
}

/// What it says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counters {
    /// `stats` with what it really did.
    True,
    /// `stats` with what it should have done.
    False,
    /// True ones but for two that stand still: `committed` and `row_changes`.
    Stuck,
    /// No such method, like the original's servers.
    None,
}

/// A liar: a peer that treats transfers in its own way, and says what it likes about itself.
struct Liar {
    serving: Serving,
    treatment: Arc<Mutex<Treatment>>,
}

impl Liar {
    fn seen(&self) -> u64 {
        self.serving.ledger().seen
    }
}

/// Does to a transfer what this server does to it, and answers it so often.
fn treat(treatment: Treatment, ledger: &mut Ledger, args: &Value) -> Answer {
    ledger.seen += 1;
    let seen = ledger.seen;
    let every_50th = seen.is_multiple_of(50);
    let (applied, answered) = match treatment {
        Treatment::Honest | Treatment::LosesMoney => (1, 1),
        Treatment::NeverApplies => (0, 1),
        Treatment::SwallowsSome => (usize::from(!every_50th), 1),
        Treatment::DropsAnswers => (1, usize::from(!every_50th || seen > 500)),
        Treatment::NeverAppliesAndDropsAFew => (0, usize::from(!(50..53).contains(&seen))),
        Treatment::AppliesTwice => (2, 1),
        Treatment::AnswersTwice => (1, 2),
        Treatment::FallsSilentAfter(count) => {
            let answers = usize::from(seen <= count);
            (answers, answers)
        }
    };
    let (from, to, amount) = Ledger::parts(args);
    for _ in 0..applied {
        ledger.balances[from] -= amount;
        if treatment != Treatment::LosesMoney {
            ledger.balances[to] += amount;
        }
        ledger.applied += 1;
    }
    let mut answer = Answer::of(json!({"ok": true}));
    answer.times = answered;
    answer
}

fn stats(ledger: &Ledger, lies: bool) -> Stats {
    let claimed = ledger.seen - ledger.unanswered;
    let applied = if lies { claimed } else { ledger.applied };
    let seeded = ledger.initial * i64::try_from(ledger.balances.len()).expect("small");
    let total = if lies { seeded } else { ledger.total() };
    let digest = ledger.balances.iter().fold(0_u64, |digest, balance| {
        digest
            .wrapping_mul(31)
            .wrapping_add(balance.cast_unsigned())
    });
    Stats {
        committed: claimed,
        applied,
        row_changes: 2 * applied,
        syncs: SyncsByFile {
            wal: applied,
            ..SyncsByFile::default()
        },
        batches: applied,
        batches_that_wrote: applied,
        commit_syncs: Some(applied),
        bytes_written: BytesByFile {
            wal: applied * 4096,
            ..BytesByFile::default()
        },
        balances: Some(Balances {
            accounts: ledger.balances.len() as u64,
            total: total.to_string(),
            lowest: "0".to_owned(),
            digest: (if lies { claimed } else { digest }).to_string(),
        }),
        ..Stats::default()
    }
}

/// Starts a liar; it ends when dropped.
fn start(transport: Transport, treatment: Treatment, counters: Counters) -> Liar {
    let treatment = Arc::new(Mutex::new(treatment));
    let habit = Arc::clone(&treatment);
    let peer = Peer::new(transport, ACCOUNTS).answers(move |ledger, request| match request["name"]
        .as_str()
    {
        Some("transfer") => {
            let treatment = *habit.lock().expect("nobody panicked");
            treat(treatment, ledger, &request["args"])
        }
        Some("stats") if counters != Counters::None => {
            let mut stats = stats(ledger, counters == Counters::False);
            if counters == Counters::Stuck {
                (stats.committed, stats.row_changes) = (0, 0);
            }
            Answer::ok(serde_json::to_value(stats).expect("plain numbers"))
        }
        Some("verify") if counters != Counters::None => Answer::ok(json!({"skipped": true})),
        _ => ledger.answer(request),
    });
    Liar {
        serving: peer.start(),
        treatment,
    }
}

fn connector(transport: Transport) -> &'static str {
    match transport {
        Transport::Http => "sqlite_rpc",
        Transport::Ws => "sqlite_ws_rpc",
    }
}

/// Measures a liar; its row, and the exit code.
fn measure(
    directory: &Path,
    transport: Transport,
    treatment: Treatment,
    counters: Counters,
) -> (Value, Option<i32>, Liar) {
    let liar = start(transport, treatment, counters);
    let url = &liar.serving.url;
    let connector = connector(transport);
    let ended = run(bench_client(directory).args([
        "run",
        "--json",
        "--reseed",
        "--duration=0.5",
        "--warmup=0.1",
        "--concurrency=4",
        "--inflight=4",
        "--accounts=100",
        "--alpha=1",
        "--timeout=400ms",
        &format!("--url={url}"),
        &format!("--connector={connector}"),
    ]));
    let record = ended.json();
    (row(&record).clone(), ended.code(), liar)
}

const TRANSPORTS: [Transport; 2] = [Transport::Http, Transport::Ws];

#[track_caller]
fn caught(treatment: Treatment, counters: Counters, expected: &[&str]) {
    for transport in TRANSPORTS {
        let directory = directory();
        let (row, code, liar) = measure(directory.path(), transport, treatment, counters);
        let what = format!("{transport:?} {treatment:?} {counters:?}: {row:#}");
        let seen = liar.seen();
        assert!(seen > 60, "too little happened to say anything: {what}");
        let codes: BTreeSet<_> = verdicts(&row, true).into_iter().collect();
        let expected: BTreeSet<_> = expected.iter().map(|code| (*code).to_owned()).collect();
        assert_eq!(codes, expected, "{what}");
        assert_eq!((code, &row["valid"]), (Some(4), &json!(false)), "{what}");
        assert_eq!(row["verify"]["ledger_ok"], false, "{what}");
    }
}

/// Without it the others would prove nothing.
#[test]
fn an_honest_server_is_believed() {
    for transport in TRANSPORTS {
        for counters in [Counters::True, Counters::None] {
            let directory = directory();
            let (row, code, liar) =
                measure(directory.path(), transport, Treatment::Honest, counters);
            assert_eq!((code, &row["valid"]), (Some(0), &json!(true)), "{row:#}");
            let verify = &row["verify"];
            assert_eq!(
                (&verify["ledger_ok"], &verify["changed"]),
                (&json!(true), &json!(true))
            );
            assert_eq!(
                (&verify["conserved"], &verify["unknown"]),
                (&json!(true), &json!(0))
            );
            let sample = (&verify["sampled_accounts"], &verify["sample_mismatches"]);
            assert_eq!(sample, (&json!(100), &json!(0)));
            assert_eq!(verify["acknowledged"], liar.seen());
            assert_eq!(verify["applied"].is_null(), counters == Counters::None);
            assert!(verdicts(&row, false).contains(&"durability_unknown".to_owned()));
        }
    }
}

/// What only the server says is held against itself.
#[test]
fn counters_that_stand_still_are_warned_of() {
    for transport in TRANSPORTS {
        for counters in [Counters::True, Counters::Stuck] {
            let directory = directory();
            let (row, code, _) = measure(directory.path(), transport, Treatment::Honest, counters);
            assert_eq!(code, Some(0), "the ledger is right: {row:#}");
            let warned = verdicts(&row, false).contains(&"counters_contradict".to_owned());
            assert_eq!(warned, counters == Counters::Stuck, "{row:#}");
        }
    }
}

fn caught_applying_nothing(treatment: Treatment) {
    caught(
        treatment,
        Counters::True,
        &["fake", "ledger_mismatch", "nothing_changed"],
    );
    caught(treatment, Counters::False, &["ledger_mismatch"]);
    // That its own verification fails as well says no more.
    let foreign = ["ledger_mismatch", "nothing_changed"];
    caught(treatment, Counters::None, &foreign);
}

#[test]
fn answering_without_applying() {
    caught_applying_nothing(Treatment::NeverApplies);
}

#[test]
fn answering_early_and_swallowing() {
    for counters in [Counters::True, Counters::False, Counters::None] {
        caught(Treatment::SwallowsSome, counters, &["ledger_mismatch"]);
    }
}

#[test]
fn applying_twice() {
    for counters in [Counters::True, Counters::False, Counters::None] {
        caught(Treatment::AppliesTwice, counters, &["ledger_mismatch"]);
    }
}

#[test]
fn losing_money() {
    let both = ["ledger_mismatch", "money_not_conserved"];
    caught(Treatment::LosesMoney, Counters::True, &both);
    caught(Treatment::LosesMoney, Counters::False, &["ledger_mismatch"]);
    caught(Treatment::LosesMoney, Counters::None, &both);
}

/// A few answers dropped on purpose make outcomes unknown; that excuses no more than it
/// explains.
#[test]
fn hiding_behind_a_few_unknown_outcomes() {
    caught_applying_nothing(Treatment::NeverAppliesAndDropsAFew);
}

/// What was applied and not answered is never counted as done, and exactly what is unknown.
#[test]
fn dropping_answers() {
    for transport in TRANSPORTS {
        for counters in [Counters::True, Counters::None] {
            let directory = directory();
            let (row, code, liar) = measure(
                directory.path(),
                transport,
                Treatment::DropsAnswers,
                counters,
            );
            let bank = liar.serving.ledger();
            let verify = &row["verify"];
            assert!(bank.unanswered > 0, "nothing was dropped: {row:#}");
            assert_eq!(verify["unknown"], bank.unanswered, "{row:#}");
            assert_eq!(verify["acknowledged"], bank.applied - bank.unanswered);
            assert_eq!(code, Some(0), "unknown is not wrong: {row:#}");
            let warnings = verdicts(&row, false);
            assert!(
                warnings.contains(&"unknown_outcomes".to_owned()),
                "{warnings:?}"
            );
            if counters == Counters::True {
                assert_eq!(verify["applied"], bank.applied, "all of them were applied");
                assert_eq!(verify["ledger_ok"], true, "within what is unknown");
            } else {
                assert_eq!(verify["ledger_ok"], true, "of what is not unknown");
                assert!(count(&verify["sampled_accounts"]) < 100, "{row:#}");
            }
        }
    }
}

/// Over HTTP a second answer is no answer to anything; over WebSocket it names its request.
#[test]
fn answering_twice() {
    for counters in [Counters::True, Counters::None] {
        let directory = directory();
        let (row, code, _) = measure(
            directory.path(),
            Transport::Ws,
            Treatment::AnswersTwice,
            counters,
        );
        assert_eq!(
            (code, verdicts(&row, true)),
            (Some(4), vec!["ledger_mismatch".to_owned()])
        );
    }
}

/// A load on a server that falls silent: what it does not answer is waited for until the
/// timeout, which an interruption must precede.
const SILENT: [&str; 7] = [
    "--reseed",
    "--warmup=0",
    "--concurrency=1",
    "--accounts=100",
    "--alpha=1",
    "--timeout=3s",
    "--no-null-server",
];

/// Interrupts the program when so many transfers have come, the last of them never answered.
fn interrupted_at(command: &mut Command, liar: &Liar, seen: u64) -> Ended {
    let client = Running::start(command.args(SILENT));
    until("a transfer waits for its answer", || {
        (liar.seen() >= seen).then_some(())
    });
    client.signal(Signal::SIGINT);
    client.wait()
}

#[test]
fn interrupted_before_the_first_answer_nothing_was_measured() {
    thread::scope(|scope| {
        for transport in TRANSPORTS {
            scope.spawn(move || {
                let directory = directory();
                let liar = start(transport, Treatment::FallsSilentAfter(0), Counters::None);
                let mut command = bench_client(directory.path());
                command.args(["run", "--duration=300", "--connector", connector(transport)]);
                let ended = interrupted_at(command.args(["--url", &liar.serving.url]), &liar, 1);
                ended.expect_code(130);
                let said =
                    "error: interrupted before anything was measured: nothing was recorded\n";
                assert_eq!((ended.stderr.as_str(), ended.stdout.as_str()), (said, ""));
                assert!(records(directory.path()).is_empty());
            });
        }
    });
}

/// The first row is whole; the second is interrupted before its first answer, twice.
#[test]
fn a_sweep_is_gone_on_with_at_a_row_that_measured_nothing() {
    let directory = directory();
    let treatment = Treatment::FallsSilentAfter(50);
    let liar = start(Transport::Ws, treatment, Counters::True);
    let sweep = || {
        let mut command = bench_client(directory.path());
        command.args(["sweep", "--over=inflight=1,2", "--transfers=50"]);
        command.args(["--output=a.json", "--url", &liar.serving.url]);
        command
    };
    let recorded = || {
        let text = std::fs::read_to_string(directory.path().join("a.json"));
        let record: Value = serde_json::from_str(&text.expect("it is kept")).expect("JSON");
        let valid = rows(&record).iter().map(|row| row["valid"] == true);
        valid.collect::<Vec<_>>()
    };
    let mut seen = 50;
    for skipped in ["", "skipped 1 of 2 rows, already in a.json\n"] {
        let ended = interrupted_at(&mut sweep(), &liar, seen + 1);
        ended.expect_code(130);
        let left = "interrupted: 1 row left; go on with --output a.json\n";
        let rows = ended
            .stderr
            .strip_suffix(left)
            .expect("it says what is left");
        if skipped.is_empty() {
            assert!(
                rows.contains("1 of 2 ") && rows.contains("  inflight 1  not shown to be durable"),
                "{rows}"
            );
        } else {
            assert_eq!(rows, skipped);
        }
        assert_eq!(recorded(), [true]);
        seen = liar.seen();
    }
    *liar.treatment.lock().expect("nobody panicked") = Treatment::Honest;
    run(sweep().args(SILENT)).expect_code(0);
    assert_eq!(recorded(), [true, true]);
}

/// Killed and started again behind the same address, within the client's patience.
#[test]
fn a_server_that_was_restarted_in_mid_run_is_no_whole_measurement() {
    for (transport, connector) in [("http", "sqlite_rpc"), ("ws", "sqlite_ws_rpc")] {
        let directory = directory();
        let flags = ["--database=a.sqlite", "--accounts=100"];
        let served = Served::bench_client(directory.path(), transport, &flags);
        let port = served
            .url()
            .split(':')
            .nth(2)
            .expect("a port")
            .replace("/rpc", "");
        let client = Running::start(bench_client(directory.path()).args([
            "run",
            "--duration=2",
            "--warmup=0",
            "--accounts=100",
            "--concurrency=4",
            &format!("--url={}", served.url()),
            &format!("--connector={connector}"),
        ]));
        let log = directory.path().join("a.sqlite-wal");
        until("transfers run", || {
            (std::fs::metadata(&log).ok()?.len() > 64 * 1024).then_some(())
        });
        thread::sleep(Duration::from_millis(200));
        served.kill();
        let mut again = bench_client(directory.path());
        again.args(["serve", transport, "--database=a.sqlite", "--port", &port]);
        let _served = Served::start(&mut again);
        client.wait().expect_code(4);
        let record = record(directory.path());
        let codes = verdicts(row(&record), true);
        assert!(codes.contains(&"server_died".to_owned()), "{codes:?}");
    }
}
