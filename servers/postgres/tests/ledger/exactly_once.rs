//! A transfer with an id is applied once, however often it comes, and always answered as it was
//! the first time (docs/reliability-evidence.md, case 7).

use std::thread;
use std::time::Duration;

use busload_engine::{Apply, ControlCall, ControlReply, EngineError, Outcome, Rejection};

use crate::support::database::programs;
use crate::support::{Bank, Config, Database, config, once, remembered, transfer, work};

const CONFLICT: Outcome = Outcome::Rejected(Rejection::Conflict);

fn applying(database: &Database, apply: Apply) -> Config {
    let mut config = config(database);
    config.postgres.apply = apply;
    config.postgres.fresh = true;
    config
}

#[test]
fn case_07_ids_in_a_batch_over_restarts_and_with_other_payloads() {
    let name = "case_07_ids_in_a_batch_over_restarts_and_with_other_payloads";
    let Some(programs) = programs(name) else {
        return;
    };
    let database = Database::start(&programs, &[]);
    for apply in Apply::ALL {
        let mut config = applying(&database, apply);
        let bank = Bank::start(&config);
        let (first, other) = (once(1, 0, 1, 5), once(1, 0, 1, 6));
        assert_eq!(
            bank.apply(&[first, first, other, first, transfer(0, 1, 5)]),
            [
                Outcome::Committed,
                Outcome::Committed,
                CONFLICT,
                Outcome::Committed,
                Outcome::Committed
            ],
            "{apply}"
        );
        let stats = bank.stats();
        assert_eq!((stats.batches, stats.committed, stats.applied), (1, 4, 2));
        assert_eq!(remembered(&stats), (1, 2, 1));
        for other in [
            once(1, 2, 1, 5),
            once(1, 0, 2, 5),
            once(1, 0, 1, 4),
            once(1, 0, 0, 0),
        ] {
            assert_eq!(bank.apply(&[other]), [CONFLICT]);
        }
        let all = [0, 2, 1 << 64, (1 << 64) | 1, u128::MAX, u128::MAX - 1];
        let transfers = all.map(|id| once(id, 0, 1, 1));
        assert_eq!(bank.apply(&transfers), [Outcome::Committed; 6]);
        bank.stop_cleanly();
        config.postgres.fresh = false;
        let bank = Bank::start(&config);
        assert_eq!(remembered(&bank.stats()), (7, 0, 0), "before the first");
        assert_eq!(bank.apply(&transfers), [Outcome::Committed; 6]);
        assert_eq!(bank.apply(&[first, other]), [Outcome::Committed, CONFLICT]);
        assert_eq!(bank.balances(2), [984, 1016]);
        bank.stop_cleanly();
    }
}

/// A rejection is an outcome as well: whoever asks again must not be told another story.
#[test]
fn a_rejection_is_repeated_when_the_transfer_would_be_possible_now() {
    let name = "a_rejection_is_repeated_when_the_transfer_would_be_possible_now";
    let Some(programs) = programs(name) else {
        return;
    };
    let database = Database::start(&programs, &[]);
    for apply in Apply::ALL {
        let bank = Bank::start(&applying(&database, apply));
        let full = format!(
            "UPDATE busload.accounts SET balance = {} WHERE id = 1",
            i64::MAX
        );
        database.ask(&full);
        let rejected = [
            (once(1, 0, 0, 1), Rejection::InvalidTransfer),
            (once(2, 0, 2, 0), Rejection::InvalidTransfer),
            (once(3, 0, 77, 1), Rejection::AccountMissing),
            (once(4, 0, 2, 1001), Rejection::InsufficientFunds),
            (once(5, 0, 1, 1), Rejection::BalanceOverflow),
        ];
        for (one, reason) in rejected {
            assert_eq!(bank.apply(&[one]), [Outcome::Rejected(reason)], "{apply}");
        }
        let stats = bank.stats();
        assert_eq!((stats.batches_that_wrote, stats.applied), (5, 0));
        assert_eq!(bank.apply(&[transfer(1, 0, 1000)]), [Outcome::Committed]);
        for (one, reason) in rejected {
            assert_eq!(bank.apply(&[one]), [Outcome::Rejected(reason)], "{apply}");
        }
        let possible = [once(6, 0, 2, 1001), once(7, 0, 1, 1)];
        assert_eq!(bank.apply(&possible), [Outcome::Committed; 2]);
        bank.stop_cleanly();
    }
}

/// In different batches, of different writers, at the same time: the index decides.
#[test]
fn case_07_the_same_id_from_many_threads_and_writers_at_once() {
    const THREADS: u32 = 8;
    const EACH: usize = 25;
    let Some(programs) = programs("case_07_the_same_id_from_many_threads_and_writers_at_once")
    else {
        return;
    };
    let database = Database::start(&programs, &[]);
    for apply in Apply::ALL {
        let mut config = applying(&database, apply);
        (config.postgres.writers, config.batch_size) = (4, 3);
        let bank = Bank::start(&config);
        thread::scope(|scope| {
            for to in 0..THREADS {
                let engine = &bank.engine;
                scope.spawn(move || {
                    for n in 0..EACH {
                        let id = (n % 10) as u128;
                        assert!(engine.submit(to, work(&[once(id, 0, 1, 1)])).is_empty());
                    }
                });
            }
        });
        let answers = THREADS as usize * EACH;
        assert_eq!(
            bank.outcomes(answers),
            vec![Outcome::Committed; answers],
            "{apply}"
        );
        assert_eq!(bank.balances(2), [990, 1010], "ten ids");
        assert_eq!(remembered(&bank.stats()), (10, answers as u64 - 10, 0));
        bank.stop_cleanly();
    }
}

#[test]
fn a_seeding_forgets_the_ids_and_the_horizon_some() {
    let Some(programs) = programs("a_seeding_forgets_the_ids_and_the_horizon_some") else {
        return;
    };
    let database = Database::start(&programs, &["fsync=off"]);
    let mut config = applying(&database, Apply::Coalesced);
    config.postgres.id_horizon = Duration::from_millis(1);
    let bank = Bank::start(&config);
    assert_eq!(bank.apply(&[once(1, 0, 1, 5)]), [Outcome::Committed]);
    let seed = |accounts, may_wipe| ControlCall::Seed {
        accounts,
        initial_balance: 5_000,
        may_wipe,
    };
    assert!(matches!(
        bank.call(seed(3, false)),
        Err(EngineError::MustNotWipe)
    ));
    assert!(matches!(
        bank.call(seed(1, true)),
        Err(EngineError::SeedOutOfRange { .. })
    ));
    assert!(matches!(bank.call(seed(3, true)), Ok(ControlReply::Seeded)));
    assert!(
        matches!(bank.call(seed(3, false)), Ok(ControlReply::Seeded)),
        "it is so already"
    );
    assert!(matches!(bank.verify(), Err(EngineError::NothingChanged)));
    assert_eq!(remembered(&bank.stats()), (0, 0, 0));
    assert_eq!(bank.apply(&[once(1, 0, 1, 6)]), [Outcome::Committed]);
    assert_eq!(bank.balances(3), [4994, 5006, 5000]);
    bank.verify().expect("it adds up");
    // Past so many new ones the old ones are looked for.
    for round in 0..4_u128 {
        let new: Vec<_> = (0..600)
            .map(|n| once(10_000 * (round + 1) + n, 0, 1, 1))
            .collect();
        assert_eq!(bank.apply(&new), vec![Outcome::Committed; 600]);
        thread::sleep(Duration::from_millis(5));
    }
    let (now, _, _) = remembered(&bank.stats());
    assert!(now < 2_401, "{now}");
    let rows = database.ask("SELECT count(*) FROM busload.transfer_ids");
    assert_eq!(rows, now.to_string());
    bank.stop_cleanly();
}
