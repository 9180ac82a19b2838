//! What becomes of transfers when the database, or the way to it, fails: no acknowledged one is
//! lost, none is applied twice, and what is open is resolved by its id.

use std::thread;
use std::time::{Duration, Instant};

use busload_engine::{Apply, Degradation, Outcome};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::load::{Load, PLENTY};
use crate::proxy::{Cut, LATE, Proxy};
use crate::support::database::programs;
use crate::support::{Bank, Database, config, is_full_size, once, tell, transfer};

/// Times that something is killed, scaled down in CI.
fn kills() -> usize {
    if is_full_size() { 100 } else { 4 }
}

#[test]
fn case_01_a_killed_database_loses_nothing_that_was_acknowledged() {
    let name = "case_01_a_killed_database_loses_nothing_that_was_acknowledged";
    let Some(programs) = programs(name) else {
        return;
    };
    let mut database = Database::start(&programs, &[]);
    for apply in Apply::ALL {
        let mut config = config(&database);
        config.postgres.apply = apply;
        config.postgres.fresh = true;
        config.postgres.seed_balance = PLENTY;
        let bank = Bank::start(&config);
        let mut load = Load::default();
        for number in 0..kills() {
            let until = Instant::now() + Duration::from_millis(100 + 37 * (number as u64 % 7));
            let victim = if number % 2 == 0 {
                database.backends().pop()
            } else {
                None
            };
            let whom = victim.unwrap_or(database.pid());
            thread::scope(|scope| {
                let killing = scope.spawn(move || {
                    thread::sleep(until.saturating_duration_since(Instant::now()));
                    // A backend takes all others with it, and the database recovers.
                    kill(Pid::from_raw(whom), Signal::SIGKILL).expect("it is ours");
                });
                let open = load.open.len();
                while load.open.len() == open {
                    load.batch(&bank);
                }
                killing.join().expect("it was killed");
            });
            if victim.is_none() {
                database.killed();
                database.run();
            }
            // It goes on by itself.
            load.resolve(&bank);
            load.nothing_is_lost(&database);
        }
        assert_eq!(bank.engine.health(), [], "{apply}");
        assert!(
            bank.notices()
                .contains(&(Degradation::StorageUnavailable, true))
        );
        tell(
            name,
            &format!(
                "{apply}: {} kills, {} acknowledged, {} in doubt, 0 lost",
                kills(),
                load.acknowledged.len(),
                load.in_doubt
            ),
        );
        bank.stop_cleanly();
    }
}

/// With `synchronous_commit=off` a killed database loses what it has acknowledged: the test above
/// would see it.
#[test]
fn without_a_sync_at_commit_a_killed_database_loses() {
    let Some(programs) = programs("without_a_sync_at_commit_a_killed_database_loses") else {
        return;
    };
    // The walwriter comes as seldom as it can.
    let mut database = Database::start(
        &programs,
        &["wal_writer_delay=10s", "wal_writer_flush_after=1GB"],
    );
    let mut config = config(&database);
    config.postgres.url += "?options=-c%20synchronous_commit%3Doff";
    config.postgres.seed_balance = PLENTY;
    let bank = Bank::start(&config);
    assert_eq!(bank.engine.about().durability, "postgres-async-commit");
    let mut load = Load::default();
    for _ in 0..20 {
        load.batch(&bank);
    }
    database.kill();
    database.run();
    let found = database.ask("SELECT count(*) FROM busload.transfer_ids");
    let found: usize = found.parse().expect("a count");
    assert!(
        found < load.acknowledged.len(),
        "{found} of {}",
        load.acknowledged.len()
    );
    bank.stop().1.expect("it ends well");
}

#[test]
fn a_connection_cut_at_commit_is_in_doubt_and_resolved_by_the_id() {
    let name = "a_connection_cut_at_commit_is_in_doubt_and_resolved_by_the_id";
    let Some(programs) = programs(name) else {
        return;
    };
    let database = Database::start(&programs, &[]);
    let proxy = Proxy::start(database.port);
    for apply in Apply::ALL {
        let mut config = config(&database);
        config.postgres.url = database
            .url()
            .replace(&database.port.to_string(), &proxy.port.to_string());
        config.postgres.apply = apply;
        config.postgres.fresh = true;
        let bank = Bank::start(&config);
        let mut balance = 1000;
        for (id, cut) in [(1, Cut::Answer), (2, Cut::Commit), (3, Cut::Late)] {
            let what = format!("{apply}, {cut:?}");
            let one = once(id, 0, 1, 5);
            proxy.cut(cut);
            let began = Instant::now();
            assert_eq!(bank.apply(&[one]), [Outcome::InDoubt], "{what}");
            assert!(proxy.has_cut(), "{what}");
            // With a new connection, while the old one may still be committing. Until there is
            // one, it is not asked.
            let again = loop {
                match bank.apply(&[one])[0] {
                    Outcome::Failed(_) => thread::sleep(Duration::from_millis(20)),
                    other => break other,
                }
            };
            assert_eq!(again, Outcome::Committed, "{what}");
            if cut == Cut::Late {
                assert!(
                    began.elapsed() >= LATE,
                    "it waits for the old transaction: {what}"
                );
            }
            balance -= 5;
            assert_eq!(bank.balances(2), [balance, 2000 - balance], "once: {what}");
            assert_eq!(bank.apply(&[one]), [Outcome::Committed]);
            assert_eq!(bank.balance(0), Some(balance), "{what}");
        }
        // Without an id nobody knows, and the server does not try again.
        proxy.cut(Cut::Answer);
        assert_eq!(bank.apply(&[transfer(0, 1, 1)]), [Outcome::InDoubt]);
        let stats = loop {
            if bank.engine.health().is_empty() {
                break bank.stats();
            }
            thread::sleep(Duration::from_millis(20));
        };
        assert_eq!((stats.unknown, stats.retries), (4, 0), "{apply}");
        let committed = bank.balance(0) == Some(balance - 1);
        assert!(committed, "the database had it: {apply}");
        bank.stop_cleanly();
    }
}

/// Nobody answers for the standby that is waited for; somebody cancels the wait. The COMMIT
/// returns, with a warning.
#[test]
fn a_commit_that_did_not_wait_for_replication_is_in_doubt() {
    let name = "a_commit_that_did_not_wait_for_replication_is_in_doubt";
    let Some(programs) = programs(name) else {
        return;
    };
    let database = Database::start(&programs, &[]);
    let mut config = config(&database);
    Bank::start(&config).stop_cleanly();
    database.ask("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    database.ask("SELECT pg_reload_conf()");
    for apply in Apply::ALL {
        config.postgres.apply = apply;
        let bank = Bank::start(&config);
        assert_eq!(bank.engine.about().durability, "postgres-remote-flush");
        thread::scope(|scope| {
            let cancelling = scope.spawn(|| {
                let waiting = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity
                    WHERE application_name = 'busload' AND wait_event = 'SyncRep'";
                while !database.ask(waiting).contains('t') {
                    thread::sleep(Duration::from_millis(20));
                }
            });
            assert_eq!(
                bank.apply(&[once(apply as u128, 0, 1, 5)]),
                [Outcome::InDoubt],
                "{apply}"
            );
            cancelling.join().expect("it was cancelled");
        });
        bank.stop().1.expect("it goes on");
    }
    // It is there, on this machine alone.
    assert_eq!(
        database.ask("SELECT count(*) FROM busload.transfer_ids"),
        "2"
    );
}
