//! The engine on PostgreSQL against a model in memory: the same transfers, the same outcomes, the
//! same ledger, however a batch is applied.

#[path = "../../engine/tests/support/rules.rs"]
mod rules;
mod support;

use std::collections::HashMap;

use busload_engine::{Apply, Outcome, Rejection};
use busload_postgres::Isolation;
use busload_wire::{Transfer, TransferId};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{RngSeed, TestRunner};
use rules::{Model, balances, rounds, transfers};
use support::{Bank, Config, Database, balances_in, config, database::programs, once};

const WAYS: [(Apply, Isolation); 3] = [
    (Apply::Coalesced, Isolation::ReadCommitted),
    (Apply::PerTransfer, Isolation::ReadCommitted),
    (Apply::PerTransfer, Isolation::Serializable),
];

/// The same cases in every run, unless `PROPTEST_RNG_SEED` says otherwise.
fn same_cases(cases: u32) -> ProptestConfig {
    let mut config = ProptestConfig::with_cases(cases);
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(360);
    }
    config
}

/// A ledger with just these balances.
fn start(database: &Database, way: (Apply, Isolation), batch_size: usize, initial: &[i64]) -> Bank {
    let mut config = config(database);
    (config.postgres.apply, config.postgres.isolation) = way;
    config.postgres.fresh = true;
    let bank = Bank::start(&Config {
        batch_size,
        ..config
    });
    let rows = initial
        .iter()
        .enumerate()
        .map(|(id, balance)| format!("({id}, {balance})"));
    let rows = rows.collect::<Vec<_>>().join(", ");
    database.ask(&format!(
        "TRUNCATE busload.accounts; INSERT INTO busload.accounts VALUES {rows}"
    ));
    bank
}

#[test]
fn the_ledger_is_the_model() {
    let Some(programs) = programs("the_ledger_is_the_model") else {
        return;
    };
    // Nothing is to survive here.
    let database = Database::start(&programs, &["fsync=off"]);
    let cases = (balances(), rounds(), 1..10_usize, select(WAYS.to_vec()));
    let run = TestRunner::new(same_cases(60)).run(&cases, |(initial, rounds, batch_size, way)| {
        let mut model = Model {
            balances: initial.clone(),
            ..Model::default()
        };
        let bank = start(&database, way, batch_size, &initial);
        for vectors in &rounds {
            let hold = bank.hold();
            for (to, vector) in (0..).zip(vectors) {
                prop_assert_eq!(bank.submit(to, vector).len(), 0);
            }
            drop(hold);
            let queued: Vec<Transfer> = vectors.concat();
            for expected in queued.chunks(batch_size) {
                let outcomes = model.batch(expected);
                let answered: Vec<_> = bank
                    .next_batch()
                    .into_iter()
                    .flat_map(|reply| reply.work)
                    .collect();
                prop_assert_eq!(
                    answered.iter().map(|one| one.transfer).collect::<Vec<_>>(),
                    expected
                );
                prop_assert_eq!(
                    answered.iter().map(|one| one.outcome).collect::<Vec<_>>(),
                    outcomes,
                    "{:?}",
                    way
                );
            }
        }
        let stats = bank.stats();
        prop_assert_eq!(stats.committed, model.committed);
        prop_assert_eq!(stats.applied, model.committed);
        prop_assert_eq!(stats.batches, model.batches);
        if way.0 == Apply::PerTransfer {
            prop_assert_eq!(stats.row_changes, 2 * model.committed);
            prop_assert_eq!(stats.batches_that_wrote, model.batches_that_wrote);
        }
        prop_assert_eq!((stats.failed.len(), stats.unknown), (0, 0));
        let total = initial
            .iter()
            .map(|balance| i128::from(*balance))
            .sum::<i128>();
        prop_assert_eq!(stats.balances.expect("asked for").total, total.to_string());
        bank.stop_cleanly();
        prop_assert_eq!(balances_in(&database), model.balances);
        Ok(())
    });
    if let Err(failed) = run {
        panic!("{failed}");
    }
}

/// Some transfers have one of a few ids, so that ids come again, and with other transfers.
fn with_ids() -> impl Strategy<Value = Transfer> {
    (
        transfers(),
        prop_oneof![1 => Just(None), 3 => (0..6_u128).prop_map(Some)],
    )
        .prop_map(|(one, id)| match id {
            Some(id) => once(id, one.from, one.to, one.amount),
            None => one,
        })
}

#[test]
fn an_id_is_applied_once_and_answered_as_the_first_time() {
    let Some(programs) = programs("an_id_is_applied_once_and_answered_as_the_first_time") else {
        return;
    };
    let database = Database::start(&programs, &["fsync=off"]);
    let cases = (
        balances(),
        vec(vec(with_ids(), 1..12), 1..4),
        select(WAYS.to_vec()),
    );
    let run = TestRunner::new(same_cases(60)).run(&cases, |(initial, batches, way)| {
        let mut model = Model {
            balances: initial.clone(),
            ..Model::default()
        };
        let mut first: HashMap<u128, (Transfer, Outcome)> = HashMap::new();
        let bank = start(&database, way, 4096, &initial);
        for batch in &batches {
            let expected: Vec<Outcome> = batch
                .iter()
                .map(|one| {
                    let id = one.transfer_id.map(TransferId::to_u128);
                    if let Some((earlier, outcome)) = id.and_then(|id| first.get(&id)) {
                        return if earlier == one {
                            *outcome
                        } else {
                            Outcome::Rejected(Rejection::Conflict)
                        };
                    }
                    let outcome = model.batch(&[*one])[0];
                    if let Some(id) = id {
                        first.insert(id, (*one, outcome));
                    }
                    outcome
                })
                .collect();
            prop_assert_eq!(bank.apply(batch), expected, "{:?}", way);
        }
        let stats = bank.stats();
        prop_assert_eq!(stats.applied, model.committed);
        prop_assert_eq!(support::remembered(&stats).0, first.len() as u64);
        bank.stop_cleanly();
        prop_assert_eq!(balances_in(&database), model.balances);
        Ok(())
    });
    if let Err(failed) = run {
        panic!("{failed}");
    }
}
