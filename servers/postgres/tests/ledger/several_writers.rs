//! Several writers on one ledger: nothing is lost or made, whatever meets.

use std::collections::HashMap;
use std::thread;

use busload_engine::{Apply, Outcome, Rejection};
use busload_postgres::Isolation;

use crate::support::database::programs;
use crate::support::{Bank, Database, balances_in, config, transfer, work};

const THREADS: i64 = 4;
const EACH: i64 = 61;
const ACCOUNTS: i64 = 3;

/// Amounts that no two transfers share, between so few accounts that most transactions meet.
fn path(thread: i64, n: i64) -> (i64, i64, i64) {
    let from = (thread + n) % ACCOUNTS;
    (from, (from + 1 + n % 2) % ACCOUNTS, 1 + thread * EACH + n)
}

#[test]
fn transactions_that_meet_lose_and_make_no_money() {
    let Some(programs) = programs("transactions_that_meet_lose_and_make_no_money") else {
        return;
    };
    let database = Database::start(&programs, &["fsync=off", "deadlock_timeout=50ms"]);
    let mut retries = HashMap::new();
    for isolation in Isolation::ALL {
        for (apply, batch_size) in [
            (Apply::PerTransfer, 1),
            (Apply::PerTransfer, 7),
            (Apply::Coalesced, 1),
            (Apply::Coalesced, 7),
        ] {
            let mut config = config(&database);
            config.postgres.apply = apply;
            config.postgres.isolation = isolation;
            config.postgres.writers = 6;
            config.postgres.fresh = true;
            config.postgres.seed_accounts = ACCOUNTS;
            config.postgres.seed_balance = 1_000_000;
            config.batch_size = batch_size;
            let bank = Bank::start(&config);
            assert_eq!(bank.engine.writers(), 6);
            thread::scope(|scope| {
                for thread in 0..THREADS {
                    let engine = &bank.engine;
                    scope.spawn(move || {
                        for n in 0..EACH {
                            let (from, to, amount) = path(thread, n);
                            // One that is refused stays so beside others.
                            let both = [transfer(from, to, amount), transfer(from, to, i64::MAX)];
                            assert!(engine.submit(1, work(&both)).is_empty());
                        }
                    });
                }
            });
            let count = usize::try_from(THREADS * EACH).expect("few");
            let outcomes = bank.outcomes(2 * count);
            let committed = outcomes
                .iter()
                .filter(|one| **one == Outcome::Committed)
                .count();
            let refused = Outcome::Rejected(Rejection::InsufficientFunds);
            let refused = outcomes.iter().filter(|one| **one == refused).count();
            let what = format!("{isolation}, {apply}, {batch_size}");
            assert_eq!((committed, refused), (count, count), "{what}");
            let mut expected = vec![1_000_000; 3];
            for (from, to, amount) in
                (0..THREADS).flat_map(|thread| (0..EACH).map(move |n| path(thread, n)))
            {
                expected[usize::try_from(from).expect("small")] -= amount;
                expected[usize::try_from(to).expect("small")] += amount;
            }
            assert_eq!(balances_in(&database), expected, "{what}");
            let stats = bank.stats();
            assert_eq!(
                (stats.applied, stats.committed),
                (count as u64, count as u64),
                "{what}"
            );
            retries.insert((isolation, apply, batch_size), stats.retries);
            bank.verify().expect("it adds up");
            bank.stop_cleanly();
        }
    }
    for ((isolation, apply, batch_size), retries) in retries {
        // Rows are locked in the order of their ids: nobody has to give way.
        let expected = isolation == Isolation::Serializable;
        assert_eq!(
            retries > 0,
            expected,
            "{isolation}, {apply}, {batch_size}: {retries}"
        );
    }
}
