//! The stream of transfers of one worker.

use std::sync::Arc;

use rand_xoshiro::{Xoshiro256PlusPlus, rand_core::SeedableRng};

use super::Zipf;

/// Two distinct accounts of one transfer, 0-based.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AccountPair {
    /// The account that pays.
    pub from: u32,
    /// The account that receives.
    pub to: u32,
}

/// Endless stream of account pairs for one worker, fixed by the run's seed and the worker's index.
///
/// As in the original benchmark, both accounts are Zipf-distributed, and the second is drawn again
/// until it is not the first ([`Zipf::sample_other`]). Streams of different workers are
/// independent of each other and of the number of workers, and share one table.
#[derive(Debug, Clone)]
pub struct TransferSource {
    accounts: Arc<Zipf>,
    rng: Xoshiro256PlusPlus,
}

impl TransferSource {
    /// The stream of worker `worker_index` (0-based) in a run with the random seed `seed`.
    #[must_use]
    pub fn new(accounts: Arc<Zipf>, seed: u64, worker_index: u32) -> Self {
        let rng = Xoshiro256PlusPlus::seed_from_u64(worker_seed(seed, worker_index));
        Self { accounts, rng }
    }

    /// Draws the next transfer.
    #[inline]
    pub fn next_pair(&mut self) -> AccountPair {
        let from = self.accounts.sample(&mut self.rng);
        let to = self.accounts.sample_other(from, &mut self.rng);
        AccountPair { from, to }
    }
}

/// The seed of one worker's generator: output number `worker_index` (0-based) of a `SplitMix64`
/// whose state starts at the first output of a `SplitMix64` that starts at `seed`.
///
/// Two levels, because with one, worker w+1 of a seed s would be worker w of the seed s + φ. For
/// one run seed all workers' seeds differ, `SplitMix64` being a bijection of its state. Each then
/// fills the 256-bit state of its generator (by `SplitMix64` again, as the authors of xoshiro
/// advise), so that streams overlap with a probability of about 2^-190 for any run's length.
///
/// Source: Steele, Lea and Flood, *Fast Splittable Pseudorandom Number Generators*, 2014, with
/// the constants of <https://prng.di.unimi.it/splitmix64.c>.
#[must_use]
pub fn worker_seed(seed: u64, worker_index: u32) -> u64 {
    split_mix(split_mix(seed, 0), u64::from(worker_index))
}

/// Output number `index` (0-based) of a `SplitMix64` whose state starts at `state`.
fn split_mix(state: u64, index: u64) -> u64 {
    const PHI: u64 = 0x9e37_79b9_7f4a_7c15;
    let z = state.wrapping_add(PHI.wrapping_mul(index + 1));
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand_xoshiro::{SplitMix64, rand_core::Rng};
    use std::collections::HashSet;

    fn source(account_count: u32, alpha: f64, seed: u64, worker_index: u32) -> TransferSource {
        TransferSource::new(
            Arc::new(Zipf::new(account_count, alpha).unwrap()),
            seed,
            worker_index,
        )
    }

    fn pairs<const N: usize>(mut source: TransferSource) -> [(u32, u32); N] {
        std::array::from_fn(|_| source.next_pair()).map(|pair| (pair.from, pair.to))
    }

    #[test]
    fn split_mix_is_the_published_one() {
        let mut reference = SplitMix64::seed_from_u64(7);
        for index in 0..10 {
            assert_eq!(split_mix(7, index), reference.next_u64());
        }
    }

    /// Any change here changes every seeded run: say so in CHANGELOG.md under Measurement.
    #[test]
    fn streams_do_not_depend_on_the_platform() {
        assert_eq!(worker_seed(0, 0), GOLDEN_SEEDS[0]);
        assert_eq!(worker_seed(42, 7), GOLDEN_SEEDS[1]);
        assert_eq!(pairs(source(100_000, 1.5, 42, 0)), GOLDEN_WORKER_0);
        assert_eq!(pairs(source(100_000, 1.5, 42, 1)), GOLDEN_WORKER_1);
        assert_eq!(pairs(source(100_000, 6.0, 42, 0)), GOLDEN_STEEP);
    }

    #[test]
    fn workers_and_seeds_have_streams_of_their_own() {
        let accounts = Arc::new(Zipf::new(100_000, 0.0).unwrap());
        let mut seen = HashSet::new();
        for seed in [0, 1, 2, 0x9e37_79b9_7f4a_7c15, u64::MAX] {
            for worker_index in (0..200).chain([u32::MAX]) {
                let source = TransferSource::new(Arc::clone(&accounts), seed, worker_index);
                assert!(seen.insert(pairs::<8>(source)), "{seed} {worker_index}");
            }
        }
    }

    /// The hard case: the hottest account has all but 2^-50 of the probability.
    #[test]
    fn steepest_distribution_still_ends() {
        for account_count in [2, 3, 100_000] {
            for alpha in [50.0, f64::MAX] {
                for (from, to) in pairs::<1_000>(source(account_count, alpha, 1, 0)) {
                    assert_eq!((from, to), (0, 1));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn accounts_are_distinct_and_in_range(
            account_count in 2_u32..2_000,
            alpha in prop_oneof![Just(0.0), 0.0..3.0, 3.0..6.0, 6.0..100.0],
            seed: u64,
            worker_index: u32,
        ) {
            for (from, to) in pairs::<100>(source(account_count, alpha, seed, worker_index)) {
                prop_assert_ne!(from, to);
                prop_assert!(from < account_count && to < account_count);
            }
        }
    }

    // All drawn by a second implementation in Python too, written from the doc comments.
    const GOLDEN_SEEDS: [u64; 2] = [12_035_550_249_420_947_055, 13_553_200_262_973_777_806];
    const GOLDEN_WORKER_0: [(u32, u32); 6] = [(44, 5), (1, 6), (39, 1), (3, 0), (0, 1), (0, 85)];
    const GOLDEN_WORKER_1: [(u32, u32); 6] =
        [(0, 236), (3, 0), (27, 0), (0, 54_828), (3, 0), (0, 2_561)];
    const GOLDEN_STEEP: [(u32, u32); 6] = [(0, 1), (0, 1), (0, 1), (0, 1), (0, 1), (0, 2)];
}
