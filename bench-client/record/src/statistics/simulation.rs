//! Runs of a machine that exists in tests only: noise of every bad kind, and known effects.

#![allow(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "for tests, which panic"
)]

use rand_distr::{Cauchy, Distribution as _, LogNormal, Normal, StudentT};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng as _;

use super::level::Level;
use super::signed_rank::lower_rank;

/// How a machine's runs differ from each other, on the log scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noise {
    /// The normal distribution.
    Normal,
    /// Most runs alike, a few much slower.
    Skewed,
    /// Student's t with 2 degrees of freedom: no variance.
    HeavyTails,
    /// Normal, and one run in ten off by a Cauchy variate.
    Outliers,
    /// Normal, and each run slower than the last by half the noise.
    LinearDrift,
    /// Each run differs from the last by as much as the noise.
    RandomWalk,
    /// Normal, and from some run on, slower by eight times the noise.
    Step,
    /// Each run keeps 0.4 of what the last was off by: where alternation helps least.
    Lingering,
}

impl Noise {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Normal,
        Self::Skewed,
        Self::HeavyTails,
        Self::Outliers,
        Self::LinearDrift,
        Self::RandomWalk,
        Self::Step,
        Self::Lingering,
    ];

    /// Those whose pairs do not hang together, so that coverage holds as promised.
    pub const INDEPENDENT: [Self; 4] =
        [Self::Normal, Self::Skewed, Self::HeavyTails, Self::Outliers];

    /// Logarithms of successive runs, around 0 at first, of scale 1.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "small counts"
    )]
    pub fn runs(self, count: usize, rng: &mut Xoshiro256PlusPlus) -> Vec<f64> {
        let normal = Normal::new(0.0, 1.0).unwrap();
        let outliers = Cauchy::new(0.0_f64, 3.0).unwrap();
        let uniform = rand_distr::Uniform::new(0.0, 1.0).unwrap();
        let step = (uniform.sample(rng) * count as f64) as usize;
        let mut last = normal.sample(rng);
        let run = |place: usize| {
            let plain = normal.sample(rng);
            match self {
                Self::Skewed => LogNormal::new(0.0, 1.0).unwrap().sample(rng),
                Self::HeavyTails => StudentT::new(2.0).unwrap().sample(rng),
                Self::Outliers if uniform.sample(rng) < 0.1 => {
                    plain + outliers.sample(rng).clamp(-1000.0, 1000.0)
                }
                Self::Normal | Self::Outliers => plain,
                Self::LinearDrift => plain + 0.5 * place as f64,
                Self::RandomWalk => {
                    last += plain;
                    last
                }
                Self::Step => plain + if place >= step { 8.0 } else { 0.0 },
                Self::Lingering => {
                    last = 0.4 * last + (1.0_f64 - 0.16).sqrt() * plain;
                    last
                }
            }
        };
        (0..count).map(run).collect()
    }
}

/// Random numbers of this seed.
#[must_use]
pub fn generator(seed: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed)
}

/// Pairs in ABBA order of runs with such logarithms; the candidate is `ratio` times the base.
#[must_use]
pub fn abba(logs: &[f64], ratio: f64) -> Vec<(f64, f64)> {
    let pair = |(round, runs): (usize, &[f64])| {
        let (base, candidate) = if round.is_multiple_of(2) {
            (runs[0], runs[1])
        } else {
            (runs[1], runs[0])
        };
        (base.exp(), ratio * candidate.exp())
    };
    logs.chunks_exact(2).enumerate().map(pair).collect()
}

/// The signed-rank test alone, for so many pairs. What it does not reject is in the united
/// interval: there, no bootstrap need be computed.
pub struct SignedRank {
    rank: usize,
}

impl SignedRank {
    /// Of so many pairs, at this level.
    #[must_use]
    pub fn new(pairs: usize, level: Level) -> Self {
        Self {
            rank: lower_rank(pairs, level.error()),
        }
    }

    /// Whether it rejects this log ratio.
    #[must_use]
    pub fn rejects(&self, pairs: &[(f64, f64)], log_ratio: f64) -> bool {
        let distance = |&(base, candidate): &(f64, f64)| (candidate / base).ln() - log_ratio;
        let mut distances: Vec<f64> = pairs.iter().map(distance).collect();
        distances.sort_unstable_by(|a, b| a.abs().total_cmp(&b.abs()));
        let (mut positive, mut negative) = (0, 0);
        for (distance, rank) in distances.into_iter().zip(1..) {
            if distance > 0.0 {
                positive += rank;
            } else {
                negative += rank;
            }
        }
        positive.min(negative) < self.rank
    }
}
