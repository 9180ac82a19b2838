//! A server killed in the middle of its work, again and again: what it acknowledged is there
//! when it comes back, nothing is there twice, and the money is all there.
//!
//! The judge is the client's own ledger. Every worker moves money between two accounts that
//! nobody else touches, always one unit and always the same way, so that its balances count
//! the transfers that were applied. `kill -9` proves nothing about syncs (the page cache
//! survives it); that is for the engine's fault tests.

#![cfg(target_os = "linux")]

mod common;

use std::path::Path;
use std::time::Duration;

use bench_client::connector::{
    Connector, Encoding, HttpConnector, Outcome, Reply, Session, WorkerId, WsConnector,
};
use bench_client::control::ControlClient;
use busload_wire::{RequestId, Transfer};
use common::{PATIENCE, Served, directory, machine};
use nix::sys::signal::{Signal, kill};

const KILLS: u64 = 10;
const WORKERS: u32 = 12;
const INITIAL: i64 = 1_000_000;
/// In flight per worker.
const WINDOW: usize = 8;

/// What one worker knows of its two accounts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Ledger {
    acknowledged: i64,
    unknown: i64,
}

impl Ledger {
    /// How many transfers were applied by the balances of the two accounts, if that agrees
    /// with what was answered.
    fn applied(self, payer: i64, receiver: i64) -> Result<i64, String> {
        let (paid, gained) = (INITIAL - payer, receiver - INITIAL);
        if paid != gained {
            return Err(format!("{paid} paid, {gained} received"));
        }
        if paid < self.acknowledged {
            return Err(format!(
                "{} acknowledged, {paid} applied",
                self.acknowledged
            ));
        }
        if paid > self.acknowledged + self.unknown {
            return Err(format!("{self:?} and {paid} applied"));
        }
        Ok(paid)
    }
}

/// Moves money until the server is gone; what became of it.
async fn work<C: Connector>(connector: &C, worker: u32, mut ledger: Ledger) -> Ledger {
    let Ok(mut session) = connector.connect(WorkerId(worker)).await else {
        return ledger;
    };
    let payer = i64::from(2 * worker);
    let transfer = Transfer {
        from: payer,
        to: payer + 1,
        amount: 1,
        transfer_id: None,
    };
    let (mut next, mut inflight, mut gone) = (1, 0, false);
    let mut out = Vec::new();
    while !gone {
        while inflight < WINDOW {
            let id = RequestId::new(next).expect("it is small");
            if session.submit(id, transfer).is_err() {
                gone = true;
                break;
            }
            (next, inflight) = (next + 1, inflight + 1);
        }
        gone |= session.replies(&mut out).await.is_err();
        for Reply { outcome, .. } in out.drain(..) {
            inflight -= 1;
            match outcome {
                Outcome::Committed => ledger.acknowledged += 1,
                // The killed server's last words.
                Outcome::Unknown => (ledger.unknown, gone) = (ledger.unknown + 1, true),
                Outcome::Failed(None) => gone = true,
                other => panic!("a transfer that can be made was answered {other:?}"),
            }
        }
    }
    ledger.unknown += i64::try_from(inflight).expect("it is small");
    ledger
}

/// Puts the load on and kills the server after `patience`.
async fn until_killed<C: Connector>(
    connector: C,
    served: Served,
    ledgers: &mut [Ledger],
    patience: Duration,
) {
    let workers = (0..).zip(ledgers.iter()).map(|(worker, &ledger)| {
        let connector = &connector;
        async move { work(connector, worker, ledger).await }
    });
    let pid = served.pid();
    let killer = async {
        tokio::time::sleep(patience).await;
        kill(pid, Signal::SIGKILL).expect("it runs");
    };
    let (after, ()) = tokio::join!(futures_util::future::join_all(workers), killer);
    ledgers.copy_from_slice(&after);
    served.kill();
}

fn balances(served: &Served) -> Vec<i64> {
    let mut control = if served.url().starts_with("http") {
        ControlClient::http(served.target())
    } else {
        ControlClient::ws(served.target())
    };
    run(async {
        let mut balances = Vec::new();
        for account in 0..i64::from(2 * WORKERS) {
            let balance = control.balance(account).await.expect("an answer");
            balances.push(balance.expect("the account is there"));
        }
        let stats = control
            .stats(true)
            .await
            .expect("an answer")
            .expect("stats");
        let all = stats.balances.expect("asked for");
        assert_eq!(
            all.total,
            (INITIAL * i64::from(2 * WORKERS)).to_string(),
            "the sum"
        );
        balances
    })
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime
        .expect("a runtime can be started")
        .block_on(async { tokio::time::timeout(PATIENCE, future).await })
        .expect("nothing hangs")
}

/// SQLite's own opinion of the file.
fn is_sound(database: &Path) -> bool {
    let connection = rusqlite::Connection::open(database).expect("it is a database");
    let said: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .expect("it can be checked");
    said == "ok"
}

#[test]
fn every_acknowledged_transfer_survives_a_kill() {
    let _machine = machine();
    let directory = directory();
    let mut ledgers = [Ledger::default(); WORKERS as usize];
    let mut acknowledged_in_all = 0;
    for round in 0..=KILLS {
        let transport = if round % 3 == 0 { "http" } else { "ws" };
        // Recovery from a write-ahead log and from a rollback journal.
        let durability = if round % 4 == 3 {
            "delete-full"
        } else {
            "wal-full"
        };
        let flags = [
            "--database=a.sqlite",
            &format!("--seed-accounts={}", 2 * WORKERS),
            &format!("--initial-balance={INITIAL}"),
            &format!("--durability={durability}"),
            // So that checkpoints are interrupted too.
            "--checkpoint-pages=20",
        ];
        let served = Served::bench_client(directory.path(), transport, &flags);
        let balances = balances(&served);
        for (worker, (ledger, pair)) in ledgers.iter_mut().zip(balances.chunks(2)).enumerate() {
            let applied = ledger.applied(pair[0], pair[1]);
            let applied =
                applied.unwrap_or_else(|why| panic!("round {round}, worker {worker}: {why}"));
            // What was unknown is known now.
            *ledger = Ledger {
                acknowledged: applied,
                unknown: 0,
            };
        }
        assert!(
            is_sound(&directory.path().join("a.sqlite")),
            "round {round}"
        );
        acknowledged_in_all = ledgers.iter().map(|ledger| ledger.acknowledged).sum();
        if round == KILLS {
            assert_eq!(served.terminate(), Some(0));
            break;
        }
        let patience = Duration::from_millis(60 + 41 * (round * 7 % KILLS));
        let target = served.target();
        match (transport, round % 2) {
            ("http", _) => {
                run(until_killed(
                    HttpConnector::new(target),
                    served,
                    &mut ledgers,
                    patience,
                ));
            }
            (_, 0) => {
                let connector = WsConnector::new(target, Encoding::Json);
                run(until_killed(connector, served, &mut ledgers, patience));
            }
            _ => {
                let connector = WsConnector::new(target, Encoding::Binary);
                run(until_killed(connector, served, &mut ledgers, patience));
            }
        }
    }
    assert!(
        acknowledged_in_all > 100,
        "too little happened: {acknowledged_in_all}"
    );
}

/// The ledger must be able to tell, or the test above proves nothing.
#[test]
fn the_ledger_would_notice() {
    let ledger = Ledger {
        acknowledged: 10,
        unknown: 2,
    };
    let applied = |n: i64| ledger.applied(INITIAL - n, INITIAL + n);
    assert!(applied(9).is_err(), "one lost");
    assert_eq!(
        (applied(10), applied(11), applied(12)),
        (Ok(10), Ok(11), Ok(12))
    );
    assert!(applied(13).is_err(), "one twice");
    assert!(
        ledger.applied(INITIAL - 11, INITIAL + 10).is_err(),
        "half of one"
    );
}
