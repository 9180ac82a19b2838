//! A transfer with an id is applied once, however often it comes, and always answered as it
//! was the first time (docs/reliability-evidence.md, case 7).

mod support;

use std::collections::HashMap;
use std::path::Path;
use std::thread;
use std::time::Duration;

use busload_engine::{ControlCall, ControlReply, EngineError, Failure, Outcome, Rejection};
use busload_sqlite::Durability;
use busload_wire::control::{Stats, TransferIds};
use busload_wire::{Transfer, TransferId};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;
use rusqlite::Connection;
use support::{Bank, Config, balances_in, config, strict_file, transfer};
use tempfile::TempDir;

const OVERLOADED: Outcome = Outcome::Failed(Failure::Overloaded);
const CONFLICT: Outcome = Outcome::Rejected(Rejection::Conflict);
const NO_FUNDS: Outcome = Outcome::Rejected(Rejection::InsufficientFunds);

/// A transfer with an id.
fn once(id: u128, from: i64, to: i64, amount: i64) -> Transfer {
    Transfer {
        transfer_id: Some(TransferId::from_u128(id)),
        ..transfer(from, to, amount)
    }
}

fn with(change: impl FnOnce(&mut Config)) -> (TempDir, Config) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut config = config(directory.path(), Durability::Memory);
    change(&mut config);
    (directory, config)
}

fn ids(remembered: u64, repeated: u64, conflicts: u64) -> TransferIds {
    TransferIds {
        remembered,
        repeated,
        conflicts,
    }
}

fn told(stats: &Stats) -> TransferIds {
    stats.transfer_ids.expect("it remembers")
}

fn restarted(bank: Bank, config: &Config) -> Bank {
    bank.stop_cleanly();
    Bank::start(config)
}

fn has_table(path: &Path) -> bool {
    let connection = Connection::open(path).expect("the file is there");
    connection
        .table_exists(None, "transfer_ids")
        .expect("a database")
}

#[test]
fn case_07_the_same_id_in_one_batch() {
    let (_directory, config) = with(|_| {});
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
        ]
    );
    let stats = bank.stats();
    assert_eq!((stats.batches, stats.committed, stats.applied), (1, 4, 2));
    assert_eq!(stats.rejected.get("conflict"), Some(&1));
    assert_eq!(told(&stats), ids(1, 2, 1));
    assert_eq!(bank.balances(2), [990, 1010]);
    bank.stop_cleanly();
}

/// Each part of the payload counts.
#[test]
fn case_07_the_same_id_with_another_payload_is_a_conflict() {
    let (_directory, config) = with(|_| {});
    let bank = Bank::start(&config);
    assert_eq!(bank.apply(&[once(1, 0, 1, 5)]), [Outcome::Committed]);
    for other in [once(1, 2, 1, 5), once(1, 0, 2, 5), once(1, 0, 1, 4)] {
        assert_eq!(bank.apply(&[other]), [CONFLICT]);
    }
    // Not even what can never be applied takes the id's place.
    assert_eq!(bank.apply(&[once(1, 0, 0, 0)]), [CONFLICT]);
    assert_eq!(bank.apply(&[once(1, 0, 1, 5)]), [Outcome::Committed]);
    assert_eq!(told(&bank.stats()), ids(1, 1, 4));
    assert_eq!(bank.balances(3), [995, 1005, 1000]);
    bank.stop_cleanly();
}

/// The upper and the lower half of an id count, and its bytes are in the order of its digits.
#[test]
fn ids_have_128_bits() {
    let (_directory, config) = with(|_| {});
    let bank = Bank::start(&config);
    let all = [0, 1, 1 << 64, (1 << 64) | 1, u128::MAX, u128::MAX - 1];
    let transfers = all.map(|id| once(id, 0, 1, 1));
    assert_eq!(bank.apply(&transfers), [Outcome::Committed; 6]);
    assert_eq!(bank.apply(&transfers), [Outcome::Committed; 6]);
    assert_eq!(bank.balances(2), [994, 1006]);
    bank.stop_cleanly();
    let connection = Connection::open(&config.database).expect("the file is there");
    let digits: String = connection
        .query_row(
            "SELECT hex(id) FROM transfer_ids WHERE seq = 3",
            [],
            |row| row.get(0),
        )
        .expect("a row");
    assert_eq!(digits, format!("{:032X}", 1_u128 << 64));
}

#[test]
fn case_07_the_same_id_from_many_threads_at_once() {
    const THREADS: u32 = 8;
    const EACH: usize = 50;
    let (_directory, config) = with(|config| config.batch_size = 7);
    let bank = Bank::start(&config);
    thread::scope(|scope| {
        for to in 0..THREADS {
            let engine = &bank.engine;
            scope.spawn(move || {
                for n in 0..EACH {
                    let id = (n % 10) as u128;
                    let refused = engine.submit(to, support::work(&[once(id, 0, 1, 1)]));
                    assert_eq!(refused.len(), 0);
                }
            });
        }
    });
    let answers = THREADS as usize * EACH;
    assert_eq!(bank.outcomes(answers), vec![Outcome::Committed; answers]);
    assert_eq!(bank.balances(2), [990, 1010], "ten ids");
    assert_eq!(told(&bank.stats()), ids(10, answers as u64 - 10, 0));
    bank.stop_cleanly();
}

#[test]
fn case_07_ids_are_remembered_over_a_restart() {
    for durability in [
        Durability::WalFull,
        Durability::DeleteFull,
        Durability::DeleteExtra,
        Durability::WalNormal,
    ] {
        let (_directory, config) = with(|config| config.durability = durability);
        let bank = Bank::start(&config);
        let transfers = [once(1, 0, 1, 5), once(2, 0, 1, 5000)];
        assert_eq!(bank.apply(&transfers), [Outcome::Committed, NO_FUNDS]);
        let bank = restarted(bank, &config);
        assert_eq!(told(&bank.stats()), ids(2, 0, 0), "before the first");
        assert_eq!(bank.apply(&transfers), [Outcome::Committed, NO_FUNDS]);
        assert_eq!(bank.apply(&[once(1, 0, 1, 6)]), [CONFLICT]);
        assert_eq!(bank.apply(&[once(3, 0, 1, 5)]), [Outcome::Committed]);
        let bank = restarted(bank, &config);
        assert_eq!(bank.apply(&[once(3, 0, 1, 5)]), [Outcome::Committed]);
        assert_eq!(bank.balances(2), [990, 1010]);
        assert_eq!(told(&bank.stats()), ids(3, 1, 0));
        bank.stop_cleanly();
    }
}

/// A rejection is an outcome as well: whoever asks again must not be told another story.
#[test]
fn a_rejection_is_repeated_when_the_transfer_would_be_possible_now() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let config = config(directory.path(), Durability::WalFull);
    strict_file(&config.database, &[10, i64::MAX, 0]);
    let bank = Bank::start(&config);
    let rejected = [
        (once(1, 0, 0, 1), Rejection::InvalidTransfer),
        (once(2, 0, 2, 0), Rejection::InvalidTransfer),
        (once(3, 0, 7, 1), Rejection::AccountMissing),
        (once(4, 0, 2, 11), Rejection::InsufficientFunds),
        (once(5, 0, 1, 1), Rejection::BalanceOverflow),
    ];
    // Each in a batch of its own: those that take a debit back must not take the id with it.
    for (number, (one, reason)) in (1..).zip(rejected) {
        assert_eq!(bank.apply(&[one]), [Outcome::Rejected(reason)]);
        let stats = bank.stats();
        assert_eq!((stats.batches_that_wrote, stats.applied), (number, 0));
        assert!(
            stats.commit_syncs >= Some(number),
            "it is durable: {stats:?}"
        );
    }
    assert_eq!(bank.apply(&[transfer(1, 0, 1000)]), [Outcome::Committed]);
    let bank = restarted(bank, &config);
    for (one, reason) in rejected {
        assert_eq!(bank.apply(&[one]), [Outcome::Rejected(reason)]);
    }
    let possible = [once(6, 0, 2, 11), once(7, 0, 1, 1)];
    assert_eq!(bank.apply(&possible), [Outcome::Committed; 2]);
    assert_eq!(bank.balances(3), [1010 - 12, i64::MAX - 999, 11]);
    bank.stop_cleanly();
}

#[test]
fn without_ids_there_is_no_table() {
    let (_directory, config) = with(|config| config.durability = Durability::WalFull);
    let bank = Bank::start(&config);
    assert_eq!(
        bank.apply(&[transfer(0, 1, 5), transfer(0, 1, 5000)]),
        [Outcome::Committed, NO_FUNDS]
    );
    assert_eq!(told(&bank.stats()), ids(0, 0, 0));
    bank.stop_cleanly();
    assert!(!has_table(&config.database));
    let bank = Bank::start(&config);
    assert_eq!(bank.apply(&[once(1, 0, 1, 5)]), [Outcome::Committed]);
    bank.stop_cleanly();
    assert!(has_table(&config.database), "or nothing was tested");
}

#[test]
fn a_seeding_forgets_the_ids() {
    let (_directory, config) = with(|_| {});
    let bank = Bank::start(&config);
    let one = once(1, 0, 1, 5);
    assert_eq!(bank.apply(&[one, one]), [Outcome::Committed; 2]);
    let seed = ControlCall::Seed {
        accounts: 3,
        initial_balance: 100,
        may_wipe: true,
    };
    assert!(matches!(bank.call(seed), Ok(ControlReply::Seeded)));
    assert!(!has_table(&config.database));
    assert_eq!(told(&bank.stats()), ids(0, 1, 0));
    assert_eq!(bank.apply(&[once(1, 0, 1, 6)]), [Outcome::Committed]);
    assert_eq!(bank.balances(3), [94, 106, 100]);
    // One that is refused changes nothing.
    let refused = bank.call(ControlCall::Seed {
        accounts: 1,
        initial_balance: 100,
        may_wipe: true,
    });
    assert!(matches!(refused, Err(EngineError::SeedOutOfRange { .. })));
    assert_eq!(bank.apply(&[once(1, 0, 1, 6)]), [Outcome::Committed]);
    let bank = restarted(bank, &config);
    assert_eq!(bank.apply(&[once(1, 0, 1, 6)]), [Outcome::Committed]);
    assert_eq!(bank.balances(3), [94, 106, 100]);
    bank.stop_cleanly();
}

#[test]
fn ids_are_forgotten_after_the_horizon() {
    let (_directory, mut config) = with(|config| config.id_horizon = Duration::from_millis(20));
    let bank = Bank::start(&config);
    assert_eq!(bank.apply(&[once(1, 0, 1, 5)]), [Outcome::Committed]);
    thread::sleep(Duration::from_millis(40));
    // Only ids make others be forgotten.
    assert_eq!(bank.apply(&[transfer(2, 3, 1)]), [Outcome::Committed]);
    assert_eq!(told(&bank.stats()), ids(1, 0, 0));
    assert_eq!(bank.apply(&[once(2, 0, 1, 5)]), [Outcome::Committed]);
    assert_eq!(told(&bank.stats()), ids(1, 0, 0), "the other one");
    assert_eq!(bank.apply(&[once(1, 0, 1, 7)]), [Outcome::Committed]);
    assert_eq!(bank.balances(2), [983, 1017], "applied anew");
    thread::sleep(Duration::from_millis(40));
    // After a restart, too, and its time goes on where it was.
    let bank = restarted(bank, &config);
    assert_eq!(told(&bank.stats()), ids(2, 0, 0));
    thread::sleep(Duration::from_millis(40));
    assert_eq!(bank.apply(&[once(3, 0, 1, 5)]), [Outcome::Committed]);
    assert_eq!(told(&bank.stats()), ids(1, 0, 0));
    assert_eq!(bank.apply(&[once(1, 0, 1, 7)]), [Outcome::Committed]);
    assert_eq!(bank.balances(2), [971, 1029], "applied anew");
    // An id that has two rows is the later one's.
    config.id_horizon = Duration::from_hours(1);
    let bank = restarted(bank, &config);
    assert_eq!(bank.apply(&[once(1, 0, 1, 7)]), [Outcome::Committed]);
    assert_eq!(bank.balances(2), [971, 1029]);
    bank.stop_cleanly();
}

/// Moves the times of all rows, which is what a wall clock does that is set the other way.
fn shift_times(path: &Path, by: Duration, into_the_past: bool) {
    let by = i64::try_from(by.as_millis()).expect("a short time");
    let by = if into_the_past { -by } else { by };
    let connection = Connection::open(path).expect("the file is there");
    let changed = connection
        .execute("UPDATE transfer_ids SET at_ms = at_ms + ?1", [by])
        .expect("the server's own table");
    assert!(changed > 0, "or nothing was tested");
}

/// Issue 10: with the clock an hour ahead at a restart, an id that was seconds old was applied
/// twice. A ledger that stood still for an hour is the same to it.
#[test]
fn case_07_a_clock_that_is_wrong_at_a_restart_makes_no_id_older() {
    for into_the_past in [true, false] {
        let (_directory, config) = with(|config| config.id_horizon = Duration::from_mins(1));
        let bank = Bank::start(&config);
        assert_eq!(bank.apply(&[once(1, 0, 1, 5)]), [Outcome::Committed]);
        bank.stop_cleanly();
        shift_times(&config.database, Duration::from_hours(1), into_the_past);
        let bank = Bank::start(&config);
        assert_eq!(told(&bank.stats()), ids(1, 0, 0));
        // A new id, so that there is a look for old ones, and the old one again.
        let both = [once(2, 0, 1, 5), once(1, 0, 1, 5)];
        assert_eq!(bank.apply(&both), [Outcome::Committed; 2]);
        assert_eq!(told(&bank.stats()), ids(2, 1, 0));
        assert_eq!(bank.balances(2), [990, 1010], "once each");
        bank.stop_cleanly();
    }
}

/// Nor does one that was ahead before keep them for ever.
#[test]
fn ids_of_a_clock_that_was_ahead_are_forgotten_after_the_horizon() {
    let (_directory, config) = with(|config| config.id_horizon = Duration::from_millis(20));
    let bank = Bank::start(&config);
    assert_eq!(bank.apply(&[once(1, 0, 1, 5)]), [Outcome::Committed]);
    bank.stop_cleanly();
    shift_times(&config.database, Duration::from_hours(1), false);
    let bank = Bank::start(&config);
    thread::sleep(Duration::from_millis(40));
    assert_eq!(bank.apply(&[once(2, 0, 1, 5)]), [Outcome::Committed]);
    assert_eq!(told(&bank.stats()), ids(1, 0, 0), "the other one");
    bank.stop_cleanly();
}

/// A few at a time, so that no batch has to wait for the forgetting of millions.
#[test]
fn so_many_ids_are_forgotten_at_once_and_no_more() {
    const MANY: u64 = 3000;
    const AT_ONCE: u64 = 1024;
    let (_directory, config) = with(|config| {
        config.id_horizon = Duration::from_millis(20);
        config.seed_balance = 1_000_000;
    });
    let bank = Bank::start(&config);
    let hold = bank.hold();
    let many: Vec<_> = (0..u128::from(MANY)).map(|id| once(id, 0, 1, 1)).collect();
    assert_eq!(bank.submit(1, &many).len(), 0);
    drop(hold);
    assert_eq!(
        bank.outcomes(many.len()),
        vec![Outcome::Committed; many.len()]
    );
    thread::sleep(Duration::from_millis(40));
    let mut left = MANY;
    // The horizon is over again for the new ones only by chance, and they come last.
    for new in 0..2 {
        let id = u128::from(MANY + new);
        assert_eq!(bank.apply(&[once(id, 0, 1, 1)]), [Outcome::Committed]);
        left = left - AT_ONCE + 1;
        assert_eq!(told(&bank.stats()), ids(left, 0, 0));
    }
    // In a large batch forgetting keeps up.
    let more: Vec<_> = (10_000..14_000).map(|id| once(id, 0, 1, 1)).collect();
    assert_eq!(bank.apply(&more), vec![Outcome::Committed; more.len()]);
    let remembered = bank.stats().transfer_ids.expect("it remembers").remembered;
    assert!((4000..=4002).contains(&remembered), "{remembered}");
    bank.stop_cleanly();
}

#[test]
fn past_the_bound_new_ids_are_refused_and_not_applied() {
    let (_directory, mut config) = with(|config| config.max_ids = 3);
    let bank = Bank::start(&config);
    let five: Vec<_> = (0..5).map(|id| once(id, 0, 1, 1)).collect();
    let outcomes = [
        Outcome::Committed,
        Outcome::Committed,
        Outcome::Committed,
        OVERLOADED,
        OVERLOADED,
    ];
    assert_eq!(bank.apply(&five), outcomes);
    assert_eq!(bank.apply(&five), outcomes, "what is known is known");
    assert_eq!(bank.apply(&[transfer(0, 1, 1)]), [Outcome::Committed]);
    assert_eq!(bank.balances(2), [996, 1004]);
    let stats = bank.stats();
    assert_eq!(told(&stats), ids(3, 3, 0));
    assert_eq!(stats.failed.get("overloaded"), Some(&4));
    // A smaller bound makes none be forgotten.
    config.max_ids = 1;
    let bank = restarted(bank, &config);
    assert_eq!(bank.apply(&five), outcomes);
    // The horizon makes room again.
    config.id_horizon = Duration::from_millis(1);
    config.max_ids = 3;
    let bank = restarted(bank, &config);
    thread::sleep(Duration::from_millis(10));
    // Those that are known are answered as before, the others find room.
    assert_eq!(bank.apply(&five), [Outcome::Committed; 5]);
    assert_eq!(bank.balances(2), [994, 1006]);
    bank.stop_cleanly();
}

/// When a batch is rolled back, what it had remembered is forgotten, what it had forgotten is
/// remembered, and no rejection is told that could be another one next time.
#[test]
fn a_batch_that_is_rolled_back_leaves_no_ids() {
    let (_directory, config) = with(|config| config.durability = Durability::DeleteFull);
    let bank = Bank::start(&config);
    let transfers = [
        once(1, 0, 1, 5),
        once(2, 0, 1, 5000),
        once(1, 0, 1, 6),
        transfer(0, 1, 5000),
        transfer(0, 1, 5),
    ];
    let blocked = |bank: &Bank, transfers: &[Transfer]| {
        // With a rollback journal a reader keeps a writer from its COMMIT.
        let reader = Connection::open(&config.database).expect("the file is there");
        let reading = reader.unchecked_transaction().expect("nobody writes");
        let read = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
        reading
            .query_row("SELECT count(*) FROM accounts", [], read)
            .expect("a ledger");
        bank.apply(transfers)
    };
    assert_eq!(
        blocked(&bank, &transfers),
        [OVERLOADED, OVERLOADED, OVERLOADED, NO_FUNDS, OVERLOADED]
    );
    assert_eq!(told(&bank.stats()), ids(0, 0, 1));
    assert!(!has_table(&config.database));
    let outcomes = [
        Outcome::Committed,
        NO_FUNDS,
        CONFLICT,
        NO_FUNDS,
        Outcome::Committed,
    ];
    assert_eq!(bank.apply(&transfers), outcomes);
    // What an earlier batch has stored stands, whatever becomes of this one.
    let more = [once(1, 0, 1, 5), once(2, 0, 1, 5), once(3, 0, 1, 5)];
    assert_eq!(
        blocked(&bank, &more),
        [Outcome::Committed, CONFLICT, OVERLOADED]
    );
    assert_eq!(bank.apply(&[once(3, 0, 1, 7)]), [Outcome::Committed]);
    assert_eq!(bank.balances(2), [983, 1017]);
    let bank = restarted(bank, &config);
    assert_eq!(told(&bank.stats()), ids(3, 0, 0));
    bank.stop_cleanly();
}

/// The judge is tested with it: it must not write, also not ids.
#[test]
fn without_writes_no_id_is_remembered() {
    let (_directory, config) = with(|config| config.durability = Durability::DiscardWrites);
    let bank = Bank::start(&config);
    assert_eq!(bank.engine.about().id_horizon, None);
    let transfers = [once(1, 0, 1, 5), once(1, 0, 1, 6)];
    assert_eq!(bank.apply(&transfers), [Outcome::Committed; 2]);
    assert_eq!(bank.stats().transfer_ids, None);
    bank.stop_cleanly();
    assert!(!has_table(&config.database));
}

#[test]
fn a_table_of_somebody_else_is_no_ledger() {
    for (create, rows) in [
        ("CREATE TABLE transfer_ids(id INTEGER PRIMARY KEY)", ""),
        (
            "CREATE TABLE transfer_ids(seq INTEGER PRIMARY KEY, id, payer, receiver, amount,
             outcome, at_ms)",
            "INSERT INTO transfer_ids VALUES (1, x'00', 0, 1, 1, 0, 0)",
        ),
        (
            "CREATE TABLE transfer_ids(seq INTEGER PRIMARY KEY, id, payer, receiver, amount,
             outcome, at_ms)",
            "INSERT INTO transfer_ids VALUES (1, zeroblob(16), 0, 1, 1, 99, 0)",
        ),
    ] {
        let (_directory, config) = with(|_| {});
        strict_file(&config.database, &[10, 10]);
        let connection = Connection::open(&config.database).expect("the file is there");
        connection.execute_batch(create).expect("a new table");
        connection.execute_batch(rows).expect("a new row");
        drop(connection);
        let error = Bank::open(&config).err().expect("it is refused");
        assert!(matches!(error, EngineError::NotALedger { .. }), "{error}");
        assert!(error.to_string().contains("transfer_ids"), "{error}");
        assert_eq!(balances_in(&config.database), [10, 10]);
    }
}

/// What was said of each id, and the balances.
#[derive(Debug)]
struct Model {
    balances: [i64; 4],
    known: HashMap<TransferId, (Transfer, Outcome)>,
    max_ids: usize,
    applied: u64,
}

impl Model {
    fn apply(&mut self, one: &Transfer) -> Outcome {
        let Some(id) = one.transfer_id else {
            return self.apply_anew(one);
        };
        match self.known.get(&id) {
            Some((first, outcome)) if first == one => *outcome,
            Some(_) => CONFLICT,
            None if self.known.len() >= self.max_ids => OVERLOADED,
            None => {
                let outcome = self.apply_anew(one);
                self.known.insert(id, (*one, outcome));
                outcome
            }
        }
    }

    fn apply_anew(&mut self, one: &Transfer) -> Outcome {
        let account = |id: i64| usize::try_from(id).ok().filter(|id| *id < 4);
        if one.amount < 1 || one.from == one.to {
            return Outcome::Rejected(Rejection::InvalidTransfer);
        }
        let (Some(from), Some(to)) = (account(one.from), account(one.to)) else {
            return Outcome::Rejected(Rejection::AccountMissing);
        };
        if self.balances[from] < one.amount {
            return NO_FUNDS;
        }
        self.balances[from] -= one.amount;
        self.balances[to] += one.amount;
        self.applied += 1;
        Outcome::Committed
    }
}

fn transfers() -> impl Strategy<Value = Transfer> {
    // Few of everything, so that ids and payloads meet again.
    let ids = prop_oneof![1 => Just(None), 5 => (0..9_u128).prop_map(Some)];
    (ids, 0..2_i64, 1..5_i64, 0..4_i64).prop_map(|(id, from, to, amount)| Transfer {
        transfer_id: id.map(TransferId::from_u128),
        ..transfer(from, to, amount)
    })
}

/// The same cases in every run, unless `PROPTEST_RNG_SEED` says otherwise.
fn same_cases() -> ProptestConfig {
    let mut config = ProptestConfig::with_cases(96);
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(683);
    }
    config
}

proptest! {
    #![proptest_config(same_cases())]

    #[test]
    fn the_engine_is_the_model(
        rounds in vec((vec(vec(transfers(), 1..10), 1..5), any::<bool>()), 1..5),
        batch_size in 1..10_usize,
        max_ids in select(vec![1, 4, 1000]),
    ) {
        let (_directory, config) = with(|config| {
            config.batch_size = batch_size;
            config.max_ids = max_ids;
        });
        let mut model = Model {
            balances: [10, 10, 0, 0],
            known: HashMap::new(),
            max_ids,
            applied: 0,
        };
        strict_file(&config.database, &model.balances);
        let mut bank = Bank::start(&config);
        for (vectors, restart) in &rounds {
            let hold = bank.hold();
            for (to, vector) in (0..).zip(vectors) {
                prop_assert_eq!(bank.submit(to, vector).len(), 0);
            }
            drop(hold);
            let queued = vectors.concat();
            let expected: Vec<_> = queued.iter().map(|one| model.apply(one)).collect();
            prop_assert_eq!(bank.outcomes(queued.len()), expected);
            prop_assert_eq!(bank.balances(4), &model.balances[..]);
            let stats = bank.stats();
            prop_assert_eq!(stats.applied, model.applied);
            let remembered = stats.transfer_ids.map(|ids| ids.remembered);
            prop_assert_eq!(remembered, Some(model.known.len() as u64));
            if *restart {
                bank = restarted(bank, &config);
                model.applied = 0;
            }
        }
        bank.stop_cleanly();
    }
}
