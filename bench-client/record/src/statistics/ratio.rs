//! How two sides of positive measurements compare: their ratio, with an interval.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

use super::estimate::below;
use super::level::Level;
use super::{rank_sum, signed_rank};

/// Most bootstrap samples: at 99.75 % a dozen of them lie beyond either end.
const RESAMPLES_MAX: usize = 10_000;
/// Fewest. Efron & Tibshirani (1993, section 14.3) ask for 1,000 or more.
const RESAMPLES_MIN: usize = 2_000;
/// Steps of all bootstrap samples together, above which there are fewer of them: less than a
/// tenth of a second.
const RESAMPLING_STEPS: usize = 10_000_000;

/// By how much intervals of pairs in ABBA order are widened, √((1 + √2) / 2).
///
/// When each run keeps the share φ of what the last was off by, differences of successive
/// pairs have the correlation φ (1 - φ) / 2, and each further pair's is -φ² times the last.
/// The variance of their mean is 1 + φ (1 - φ) / (1 + φ²) times that of independent ones, at
/// most (1 + √2) / 2, at φ = √2 - 1. How much noise lingers cannot be told from tens of runs,
/// so the most is assumed.
pub(super) const LINGERING: f64 = 1.098_684_113_467_81;

/// Candidate ÷ base, as far as the measurements say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    /// The estimate.
    pub ratio: f64,
    /// Lower end of its interval.
    pub low: f64,
    /// Upper end of its interval.
    pub high: f64,
    /// What the interval's confidence is: that of the level, or less with too few
    /// measurements for it.
    pub confidence: f64,
}

impl Ratio {
    /// The ratio of measurements made in pairs: of each, base and candidate, next to each other
    /// in time. `None` without pairs, or when a value is not finite or not above 0.
    ///
    /// # Estimate
    /// Of the log ratios ln(candidate / base), Hodges and Lehmann's estimator: the median of
    /// the means of all pairs of them (Hodges & Lehmann, *Estimates of location based on rank
    /// tests*, 1963). Outliers hardly move it, and normal noise costs it 5 % against the mean.
    ///
    /// # Interval
    /// The union of two, so that the weakness of neither makes a claim:
    ///
    /// - The one that inverts Wilcoxon's exact signed-rank test (Hollander & Wolfe, *Nonparametric
    ///   Statistical Methods*, 2nd ed. 1999, section 3.3). Between equal sides each pair is
    ///   exchangeable: its two runs differ in nothing but their place, and have the same seed.
    ///   So log ratios are symmetric about 0 whatever the tails of the noise, and the test is
    ///   exact however few there are. Between unlike sides, symmetry is an assumption.
    /// - The percentile bootstrap of the same estimator (Efron & Tibshirani, *An Introduction to
    ///   the Bootstrap*, 1993, chapter 13), with a fixed seed. It needs no symmetry, but is too
    ///   narrow for few pairs.
    ///
    /// Drift makes a pair's second run differ from its first, with opposite signs in successive
    /// pairs as long as they alternate in order (ABBA): it widens the interval and does not
    /// move it. Noise that outlasts a run makes neighbouring pairs hang together, for which
    /// the interval is widened by `LINGERING`. Noise that swings with the period of ABBA
    /// itself, four runs, keeps its phase to the order and **cannot be told from an effect**.
    ///
    /// With fewer pairs than [`Level::rounds_min`] the interval rests on the smallest and the
    /// largest log ratio, and `confidence` says what that covers.
    #[must_use]
    pub fn paired(pairs: &[(f64, f64)], level: Level) -> Option<Self> {
        let logs = log_ratios(pairs)?;
        Some(Self::of_log_ratios(&logs, level))
    }

    /// The ratio of measurements that are not paired: a base that was recorded earlier, and a
    /// candidate. `None` when either is empty, or a value is not finite or not above 0.
    ///
    /// The estimate is Hodges and Lehmann's of the shift of the logarithms: the median of all
    /// differences between one of the candidate and one of the base. The interval is the union
    /// of the one that inverts Mann and Whitney's rank-sum test (Hollander & Wolfe, section
    /// 4.3), which is exact while both sides have the same distribution, and of the percentile
    /// bootstrap of both sides apart. **What the machine did between the two is not in it**: a
    /// disk that became slower since looks like a slower candidate.
    #[must_use]
    pub fn unpaired(base: &[f64], candidate: &[f64], level: Level) -> Option<Self> {
        let (base, candidate) = (logarithms(base)?, logarithms(candidate)?);
        let differences = Combinations::of_samples(&base, &candidate);
        let rank = rank_sum::lower_rank(base.len(), candidate.len(), level.error());
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let (mut drawn_base, mut drawn) = (vec![0; base.len()], vec![0; candidate.len()]);
        let bootstrap = differences.bootstrap(level, || {
            draw(&mut rng, &mut drawn_base);
            draw(&mut rng, &mut drawn);
            differences.median(|i, j| u64::from(drawn_base[i]) * u64::from(drawn[j]))
        });
        let reached = 1.0 - two_in_combinations(base.len(), candidate.len());
        Some(differences.judge(rank, bootstrap, 1.0, level.confidence().min(reached)))
    }

    pub(super) fn of_log_ratios(logs: &[f64], level: Level) -> Self {
        let averages = Combinations::walsh(logs);
        let rank = signed_rank::lower_rank(logs.len(), level.error());
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut drawn = vec![0_u32; logs.len()];
        let bootstrap = averages.bootstrap(level, || {
            draw(&mut rng, &mut drawn);
            // A value drawn k times has k · (k+1) / 2 averages with itself.
            averages.median(|i, j| {
                let (first, second) = (u64::from(drawn[i]), u64::from(drawn[j]));
                if i == j {
                    first * (first + 1) / 2
                } else {
                    first * second
                }
            })
        });
        let pairs = i32::try_from(logs.len()).unwrap_or(i32::MAX);
        let reached = 1.0 - 2.0 * 0.5_f64.powi(pairs);
        averages.judge(rank, bootstrap, LINGERING, level.confidence().min(reached))
    }

    /// Half the width of the interval, as a share of the ratio: 0.02 for ± 2 %.
    #[must_use]
    pub fn half_width(&self) -> f64 {
        ((self.high / self.low).ln() / 2.0).exp_m1()
    }
}

/// ln(candidate / base) of each pair. `None` without pairs, or when a value is not finite or
/// not above 0.
#[must_use]
pub fn log_ratios(pairs: &[(f64, f64)]) -> Option<Vec<f64>> {
    let usable = |value: f64| value.is_finite() && value > 0.0;
    let log = |&(base, candidate): &(f64, f64)| {
        (usable(base) && usable(candidate)).then(|| (candidate / base).ln())
    };
    let logs: Option<Vec<f64>> = pairs.iter().map(log).collect();
    logs.filter(|logs| !logs.is_empty())
}

fn logarithms(values: &[f64]) -> Option<Vec<f64>> {
    let log = |value: &f64| (value.is_finite() && *value > 0.0).then(|| value.ln());
    let logs: Option<Vec<f64>> = values.iter().map(log).collect();
    logs.filter(|logs| !logs.is_empty())
}

/// 2 / C(first + second, first): that the samples do not overlap.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn two_in_combinations(first: usize, second: usize) -> f64 {
    let step = |share: f64, place: usize| share * place as f64 / (first + place) as f64;
    (1..=second).fold(2.0, step)
}

/// How often each of a sample's values is drawn in a bootstrap sample.
fn draw(rng: &mut Xoshiro256PlusPlus, drawn: &mut [u32]) {
    drawn.fill(0);
    let count = drawn.len() as u64;
    for _ in 0..count {
        drawn[below(rng.next_u64(), count)] += 1;
    }
}

/// What is made of two values each, in order, with the values' places. That order stays the
/// same in every bootstrap sample: only how often each occurs changes.
struct Combinations {
    sorted: Vec<(f64, usize, usize)>,
}

impl Combinations {
    /// The means of every value with itself and every other.
    fn walsh(values: &[f64]) -> Self {
        let with = |(i, first): (usize, &f64)| {
            let first = *first;
            let mean = move |(j, second): (usize, &f64)| (f64::midpoint(first, *second), i, j);
            values.iter().enumerate().skip(i).map(mean)
        };
        Self::sorted(values.iter().enumerate().flat_map(with).collect())
    }

    /// The differences second - first.
    fn of_samples(first: &[f64], second: &[f64]) -> Self {
        let with = |(i, base): (usize, &f64)| {
            let base = *base;
            let difference = move |(j, value): (usize, &f64)| (value - base, i, j);
            second.iter().enumerate().map(difference)
        };
        Self::sorted(first.iter().enumerate().flat_map(with).collect())
    }

    fn sorted(mut combinations: Vec<(f64, usize, usize)>) -> Self {
        combinations.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        Self {
            sorted: combinations,
        }
    }

    /// Their median when each occurs this often. All together occur as often as there are
    /// combinations.
    fn median(&self, weight: impl Fn(usize, usize) -> u64) -> f64 {
        let total = self.sorted.len() as u64;
        let (lower, upper) = (total.div_ceil(2), total / 2 + 1);
        let mut passed = 0;
        let mut low = None;
        for &(value, i, j) in &self.sorted {
            passed += weight(i, j);
            if passed >= lower && low.is_none() {
                low = Some(value);
            }
            if passed >= upper {
                return f64::midpoint(low.unwrap_or(value), value);
            }
        }
        low.unwrap_or(f64::NAN)
    }

    /// The interval of the estimates of bootstrap samples.
    fn bootstrap(&self, level: Level, estimate: impl FnMut() -> f64) -> (f64, f64) {
        let resamples =
            (RESAMPLING_STEPS / self.sorted.len().max(1)).clamp(RESAMPLES_MIN, RESAMPLES_MAX);
        let mut estimates: Vec<f64> = std::iter::repeat_with(estimate).take(resamples).collect();
        estimates.sort_unstable_by(f64::total_cmp);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "a place among the resamples"
        )]
        let tail = (resamples as f64 * level.error() / 2.0) as usize;
        (estimates[tail], estimates[resamples - 1 - tail])
    }

    /// The estimate, and the union of both intervals, widened around it, as ratios.
    fn judge(&self, rank: usize, bootstrap: (f64, f64), widening: f64, confidence: f64) -> Ratio {
        let place = rank.saturating_sub(1);
        let low = self.sorted[place].0.min(bootstrap.0);
        let high = self.sorted[self.sorted.len() - 1 - place]
            .0
            .max(bootstrap.1);
        let estimate = self.median(|_, _| 1);
        Ratio {
            ratio: estimate.exp(),
            low: (estimate - widening * (estimate - low)).exp(),
            high: (estimate + widening * (high - estimate)).exp(),
            confidence,
        }
    }
}

#[cfg(test)]
mod tests;
