//! Coalesced batches against those that are applied transfer by transfer: the same answers, the
//! same ledger, the same ids; only fewer rows are written.

mod support;

use std::path::Path;

use busload_engine::{ControlCall, EngineError, Outcome, Rejection};
use busload_sqlite::{Apply, Durability};
use busload_wire::{Transfer, TransferId};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;
use rusqlite::Connection;
use support::{Bank, Config, balances_in, config, original_file, strict_file, transfer};

const LIMIT: i64 = i64::MAX;

fn applying(directory: &Path, apply: Apply) -> Config {
    Config {
        database: directory.join(format!("{apply}.sqlite")),
        apply,
        ..config(directory, Durability::WalFull)
    }
}

/// What is remembered of ids: all of the table but the times.
fn remembered(path: &Path) -> Vec<(i64, String, [i64; 4])> {
    let connection = Connection::open(path).expect("the file is there");
    if !connection
        .table_exists(None, "transfer_ids")
        .expect("a ledger")
    {
        return Vec::new();
    }
    let mut statement = connection
        .prepare("SELECT seq, hex(id), payer, receiver, amount, outcome FROM transfer_ids")
        .expect("a table of ids");
    let rows = statement.query_map([], |row| {
        let numbers = [row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?];
        Ok((row.get(0)?, row.get(1)?, numbers))
    });
    rows.expect("a table of ids")
        .collect::<Result<_, _>>()
        .expect("as servers write it")
}

fn initial_balances() -> impl Strategy<Value = Vec<i64>> {
    let any = vec![0, 1, 5, 100, 1 << 40, LIMIT / 2, LIMIT - 5, LIMIT];
    let ample = vec![60, 1000, 1 << 40];
    prop_oneof![vec(select(any), 2..7), vec(select(ample), 5..7)]
}

/// Transfers most of which can be made, without ids.
fn tame(one: Transfer) -> Transfer {
    Transfer {
        from: one.from.rem_euclid(5),
        to: one.to.rem_euclid(5),
        amount: one.amount.clamp(1, 7),
        transfer_id: None,
    }
}

/// Some accounts are missing, some transfers are to oneself or of amounts that no ledger moves,
/// and ids and payloads meet again.
fn transfers() -> impl Strategy<Value = Transfer> {
    let accounts = || prop_oneof![12 => 0..6_i64, 1 => select(vec![-1, 6, LIMIT, i64::MIN])];
    let amounts = prop_oneof![
        8 => 1..8_i64,
        2 => select(vec![0, -1, i64::MIN, 100, 1 << 40, LIMIT / 2, LIMIT - 5, LIMIT]),
    ];
    let anew =
        (accounts(), accounts(), amounts).prop_map(|(from, to, amount)| transfer(from, to, amount));
    // Few payloads, so that one comes again with its id.
    let repeated =
        (0..2_i64, 1..4_i64, 1..3_i64).prop_map(|(from, to, amount)| transfer(from, to, amount));
    let ids = prop_oneof![2 => Just(None), 3 => (0..12_u128).prop_map(Some)];
    (prop_oneof![2 => anew, 1 => repeated], ids).prop_map(|(one, id)| Transfer {
        transfer_id: id.map(TransferId::from_u128),
        ..one
    })
}

#[derive(Debug, Clone)]
enum Step {
    /// Vectors that are all queued before the writer looks.
    Load(Vec<Vec<Transfer>>),
    GetAccount(i64),
    Seed(i64, i64),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => vec(vec(transfers(), 1..14), 1..5).prop_map(Step::Load),
        4 => vec(vec(transfers().prop_map(tame), 1..14), 1..5).prop_map(Step::Load),
        2 => (-1..7_i64).prop_map(Step::GetAccount),
        1 => (2..6_i64, select(vec![0, 3, LIMIT / 8])).prop_map(|(n, b)| Step::Seed(n, b)),
        2 => Just(Step::Reopen),
    ];
    vec(step, 1..8)
}

/// The same cases in every run, unless `PROPTEST_RNG_SEED` says otherwise.
fn same_cases() -> ProptestConfig {
    let mut config = ProptestConfig::with_cases(192);
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(1126);
    }
    config
}

proptest! {
    #![proptest_config(same_cases())]

    #[test]
    fn both_ways_are_the_same_ledger(
        initial in initial_balances(),
        steps in steps(),
        batch_sizes in (1..24_usize, 1..24_usize),
        max_ids in select(vec![3, 1000]),
        strict in any::<bool>(),
    ) {
        let directory = tempfile::tempdir().unwrap();
        // Where the batches are cut makes no difference either.
        let configs = [(Apply::PerTransfer, batch_sizes.0), (Apply::Coalesced, batch_sizes.1)]
            .map(|(apply, batch_size)| Config {
                batch_size,
                max_ids,
                ..applying(directory.path(), apply)
            });
        for config in &configs {
            if strict {
                strict_file(&config.database, &initial);
            } else {
                original_file(&config.database, &initial);
            }
        }
        let mut banks = [0, 1].map(|n: usize| Bank::start(&configs[n]));
        let mut applied = [0, 0];
        for step in &steps {
            match step {
                Step::Load(vectors) => {
                    let count = vectors.iter().map(Vec::len).sum();
                    let outcomes = [0, 1].map(|n: usize| {
                        let hold = banks[n].hold();
                        for (to, vector) in (0..).zip(vectors) {
                            assert_eq!(banks[n].submit(to, vector).len(), 0);
                        }
                        drop(hold);
                        banks[n].outcomes(count)
                    });
                    prop_assert_eq!(&outcomes[0], &outcomes[1]);
                }
                Step::GetAccount(id) => {
                    prop_assert_eq!(banks[0].balance(*id), banks[1].balance(*id));
                }
                Step::Seed(accounts, initial_balance) => {
                    for bank in &banks {
                        bank.call(ControlCall::Seed {
                            accounts: *accounts,
                            initial_balance: *initial_balance,
                            may_wipe: true,
                        })
                        .expect("there is room");
                    }
                }
                Step::Reopen => {
                    let [one, other] = banks;
                    for (bank, applied) in [&one, &other].into_iter().zip(&mut applied) {
                        *applied += bank.stats().applied;
                    }
                    one.stop_cleanly();
                    other.stop_cleanly();
                    let [one, other] = configs.each_ref().map(|config| {
                        (balances_in(&config.database), remembered(&config.database))
                    });
                    prop_assert_eq!(one, other);
                    banks = [0, 1].map(|n: usize| Bank::start(&configs[n]));
                }
            }
        }
        let stats = banks.each_ref().map(Bank::stats);
        let [one, other] = stats.each_ref();
        prop_assert_eq!(one.applied + applied[0], other.applied + applied[1]);
        prop_assert_eq!(one.committed, other.committed);
        prop_assert_eq!(&one.rejected, &other.rejected);
        prop_assert_eq!(&one.failed, &other.failed);
        prop_assert_eq!(one.transfer_ids, other.transfer_ids);
        prop_assert_eq!(&one.balances, &other.balances);
        prop_assert!(other.row_changes <= 2 * other.applied);
        prop_assert_eq!((other.refunds, other.unknown), (0, 0));
        for bank in banks {
            bank.stop_cleanly();
        }
        let [one, other] = configs.each_ref().map(|config| {
            (balances_in(&config.database), remembered(&config.database))
        });
        prop_assert_eq!(one, other);
    }
}

/// Each account is written once, however many transfers name it, and counted by the server.
#[test]
fn an_account_is_written_once() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let bank = Bank::start(&applying(directory.path(), Apply::Coalesced));
    assert_eq!(bank.engine.about().apply, Some("coalesced"));
    let many = [transfer(0, 1, 3), transfer(1, 2, 1)].repeat(100);
    assert_eq!(bank.apply(&many), [Outcome::Committed; 200]);
    let stats = bank.stats();
    assert_eq!((stats.committed, stats.applied), (200, 200));
    assert_eq!((stats.row_changes, stats.refunds), (3, 0));
    assert_eq!(stats.batches_that_wrote, 1);
    assert!(stats.commit_syncs >= Some(1));
    assert_eq!(bank.balances(3), [700, 1200, 1100]);
    bank.stop_cleanly();
}

/// A refusal for a balance is found when some of the batch is written already: all of it is
/// decided anew, and so is what comes after it, for a while.
#[test]
fn what_cannot_be_made_is_refused_alone() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let bank = Bank::start(&applying(directory.path(), Apply::Coalesced));
    for has in [1000, 1010, 1020] {
        let batch = [
            transfer(1, 2, 10),
            // It gets more only afterwards.
            transfer(3, 4, has + 1),
            transfer(2, 3, 10),
            transfer(2, 99, 1),
            transfer(1, 2, 0),
        ];
        let outcomes = [
            Outcome::Committed,
            Outcome::Rejected(Rejection::InsufficientFunds),
            Outcome::Committed,
            Outcome::Rejected(Rejection::AccountMissing),
            Outcome::Rejected(Rejection::InvalidTransfer),
        ];
        assert_eq!(bank.apply(&batch), outcomes, "{has}");
        for _ in 0..40 {
            assert_eq!(bank.apply(&[transfer(5, 6, 1)]), [Outcome::Committed]);
        }
    }
    let stats = bank.stats();
    assert_eq!((stats.committed, stats.applied), (126, 126));
    // Account 2 has what it had, each time.
    assert_eq!((stats.row_changes, stats.refunds), (2 * 3 + 2 * 120, 0));
    assert_eq!(bank.balances(7), [1000, 970, 1000, 1030, 1000, 880, 1120]);
    bank.stop_cleanly();
}

/// There is nothing to make durable, and nothing is counted as if there were.
#[test]
fn a_batch_that_takes_back_what_it_gave_writes_nothing() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let bank = Bank::start(&applying(directory.path(), Apply::Coalesced));
    let there_and_back = [transfer(0, 1, 5), transfer(1, 0, 5)];
    assert_eq!(bank.apply(&there_and_back), [Outcome::Committed; 2]);
    let stats = bank.stats();
    assert_eq!((stats.batches, stats.applied), (1, 2));
    assert_eq!((stats.batches_that_wrote, stats.commit_syncs), (0, Some(0)));
    // An id is something to write.
    let with_ids = [1, 2].map(|id| Transfer {
        transfer_id: Some(TransferId::from_u128(id)),
        ..there_and_back[usize::from(id == 2)]
    });
    assert_eq!(bank.apply(&with_ids), [Outcome::Committed; 2]);
    let stats = bank.stats();
    assert_eq!((stats.batches, stats.applied, stats.row_changes), (2, 4, 0));
    assert_eq!(stats.batches_that_wrote, 1);
    assert!(stats.commit_syncs >= Some(1));
    bank.stop_cleanly();
}

/// One write that fails takes the whole batch with it, ids and all.
#[test]
fn a_write_that_fails_rolls_the_whole_batch_back() {
    for apply in Apply::ALL {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let config = applying(directory.path(), apply);
        let connection = Connection::open(&config.database).expect("a new file");
        connection
            .execute_batch(
                "CREATE TABLE accounts(id INTEGER PRIMARY KEY,
                    balance INTEGER NOT NULL CHECK (id <> 2 OR balance < 1100)) STRICT;
                 INSERT INTO accounts VALUES (0, 1000), (1, 1000), (2, 1000), (3, 1000);",
            )
            .expect("an empty file");
        drop(connection);
        let bank = Bank::start(&config);
        let with_id = |id, one: Transfer| Transfer {
            transfer_id: Some(TransferId::from_u128(id)),
            ..one
        };
        assert_eq!(
            bank.apply(&[with_id(1, transfer(0, 1, 10))]),
            [Outcome::Committed]
        );
        let batch = [
            with_id(2, transfer(0, 1, 1)),
            transfer(3, 3, 1),
            transfer(1, 3, 1),
            transfer(3, 2, 200),
            transfer(0, 1, 1),
        ];
        let invalid = Outcome::Rejected(Rejection::InvalidTransfer);
        let mut expected = [Outcome::InDoubt; 5];
        expected[1] = invalid;
        assert_eq!(bank.apply(&batch), expected, "{apply}");
        let (rest, ended) = bank.stop();
        assert!(rest.is_empty());
        assert!(
            matches!(ended, Err(EngineError::InDoubt(_))),
            "{apply}: {ended:?}"
        );
        assert_eq!(balances_in(&config.database), [990, 1010, 1000, 1000]);
        assert_eq!(remembered(&config.database).len(), 1, "{apply}");
    }
}

/// SQLite reckons with what is no whole number in ways of its own.
#[test]
fn balances_that_are_no_whole_numbers_are_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let config = applying(directory.path(), Apply::Coalesced);
    original_file(&config.database, &[10, 10]);
    let connection = Connection::open(&config.database).expect("the file is there");
    connection
        .execute("UPDATE accounts SET balance = 1.5 WHERE id = 1", [])
        .expect("the table is not strict");
    drop(connection);
    let error = Bank::open(&config).err().expect("it is refused");
    assert!(matches!(error, EngineError::CannotOpen { .. }), "{error}");
    assert!(
        error.to_string().contains("--apply per-transfer"),
        "{error}"
    );
    let per_transfer = Config {
        apply: Apply::PerTransfer,
        ..config
    };
    Bank::start(&per_transfer).stop_cleanly();
}
