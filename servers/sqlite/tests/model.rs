//! The engine against a model in memory: the same transfers, the same outcomes, the same
//! ledger, the same counts.

#[path = "../../engine/tests/support/rules.rs"]
mod rules;
mod support;

use std::collections::BTreeMap;

use busload_engine::Outcome;
use busload_sqlite::Durability;
use busload_wire::Transfer;
use busload_wire::histogram::decode as decode_histogram;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;
use rules::{Model, balances, rounds, transfers};
use support::{Bank, config, original_file, strict_file};

/// The same cases in every run, unless `PROPTEST_RNG_SEED` says otherwise.
fn same_cases() -> ProptestConfig {
    let mut config = ProptestConfig::with_cases(96);
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(360);
    }
    config
}

proptest! {
    #![proptest_config(same_cases())]

    #[test]
    fn the_engine_is_the_model(
        initial in balances(),
        rounds in rounds(),
        batch_size in 1..10_usize,
        strict in any::<bool>(),
        durability in select(vec![Durability::Memory, Durability::WalNormal, Durability::WalFull]),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let config = support::Config { batch_size, ..config(directory.path(), durability) };
        if strict {
            strict_file(&config.database, &initial);
        } else {
            original_file(&config.database, &initial);
        }
        let mut model = Model { balances: initial.clone(), ..Model::default() };
        let bank = Bank::start(&config);
        for vectors in &rounds {
            let hold = bank.hold();
            for (to, vector) in (0..).zip(vectors) {
                prop_assert_eq!(bank.submit(to, vector).len(), 0);
            }
            drop(hold);
            let queued: Vec<Transfer> = vectors.concat();
            // Exactly as many at a time as fit, whatever the vectors.
            for expected in queued.chunks(batch_size) {
                let outcomes = model.batch(expected);
                let batch = bank.next_batch();
                prop_assert!(batch.iter().all(|reply| !reply.work.is_empty()));
                let answered: Vec<_> = batch.iter().flat_map(|reply| &reply.work).collect();
                prop_assert_eq!(
                    answered.iter().map(|one| one.transfer).collect::<Vec<_>>(),
                    expected
                );
                prop_assert_eq!(answered.iter().map(|one| one.outcome).collect::<Vec<_>>(), outcomes);
            }
            prop_assert_eq!(bank.balances(initial.len()), &model.balances[..]);
        }

        let stats = bank.stats();
        prop_assert_eq!(stats.committed, model.committed);
        prop_assert_eq!(stats.applied, model.committed);
        prop_assert_eq!(stats.row_changes, model.row_changes);
        prop_assert_eq!(stats.refunds, model.refunds);
        prop_assert_eq!(stats.batches, model.batches);
        prop_assert_eq!(stats.batches_that_wrote, model.batches_that_wrote);
        let rejected = model.rejected.iter().map(|(code, count)| ((*code).to_owned(), *count));
        prop_assert_eq!(stats.rejected, rejected.collect());
        prop_assert_eq!((stats.failed.len(), stats.unknown), (0, 0));
        let sizes = decode_histogram(&stats.stages.batch_size).unwrap();
        prop_assert!(sizes.max() <= batch_size as u64);
        prop_assert_eq!(stats.stages.batch_size.count, model.batches);
        let total = initial.iter().map(|balance| i128::from(*balance)).sum::<i128>();
        let all = stats.balances.unwrap();
        prop_assert_eq!(all.total, total.to_string());
        prop_assert_eq!(all.lowest, model.balances.iter().min().unwrap().to_string());

        bank.stop_cleanly();
        prop_assert_eq!(support::balances_in(&config.database), model.balances);
    }

    /// Each vector's outcomes come back to who sent it, in its order, however it was split.
    #[test]
    fn answers_go_to_their_senders_in_order(
        vectors in vec((0..3_u32, vec(transfers(), 1..9)), 1..8),
        batch_size in 1..6_usize,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path(), Durability::Memory);
        let bank = Bank::start(&support::Config { batch_size, ..config });
        let hold = bank.hold();
        let mut sent: BTreeMap<u32, Vec<_>> = BTreeMap::new();
        for (to, vector) in &vectors {
            let work = support::work(vector);
            sent.entry(*to).or_default().extend(work.iter().map(|one| (one.id, one.transfer)));
            prop_assert_eq!(bank.submit(*to, vector).len(), 0);
        }
        drop(hold);
        let mut left: usize = vectors.iter().map(|(_, vector)| vector.len()).sum();
        let mut answered: BTreeMap<u32, Vec<_>> = BTreeMap::new();
        while left > 0 {
            for reply in bank.next_batch() {
                left -= reply.work.len();
                for one in reply.work {
                    prop_assert_ne!(one.outcome, Outcome::Pending);
                    answered.entry(reply.to).or_default().push((one.id, one.transfer));
                }
            }
        }
        prop_assert_eq!(answered, sent);
        bank.stop_cleanly();
    }
}
