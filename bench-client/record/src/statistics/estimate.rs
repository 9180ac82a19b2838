//! A quantity measured several times: median, interval, spread, and how many more runs it takes.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF as _, StudentsT};

/// Confidence level that is aimed at.
pub const CONFIDENCE: f64 = 0.95;

/// Fewest measurements whose smallest and largest enclose the median with [`CONFIDENCE`]:
/// 1 - 2 · (1/2)^6 = 0.969, and 0.938 with five.
pub const RUNS_MIN: u32 = 6;

/// Most runs that are ever asked for; past it, another remedy is meant.
pub const RUNS_MAX: u32 = 1000;

/// Widest half of an interval that still allows a conclusion, as a share of the median. Rows
/// of one ladder differ by some 10 % where a choice between them is open; intervals of
/// ± 5 % then just do not overlap.
pub const HALF_WIDTH_MAX: f64 = 0.05;

/// Largest coefficient of variation that still allows a conclusion: above it the runs
/// differ from each other more than most knobs matter, so that what was measured is the
/// machine's mood, whatever the interval's width.
pub const VARIATION_MAX: f64 = 0.10;

/// Bootstrap samples. Efron & Tibshirani (1993, section 14.3) ask for 1,000 or more for an
/// interval.
const RESAMPLES: usize = 1_000;

/// A quantity that was measured several times.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// Measurements.
    pub count: u32,
    /// Their median.
    pub median: f64,
    /// Lower end of the bootstrap confidence interval of the median.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// Confidence level of the interval, such as 0.95; less with fewer than six measurements,
    /// and 0 with one.
    pub confidence: f64,
    /// Coefficient of variation: standard deviation over mean.
    pub variation: f64,
}

impl Estimate {
    /// The estimate from measurements, in any order; `None` for none, or when one is not finite.
    ///
    /// # The interval
    /// The percentile bootstrap of the median (Efron & Tibshirani, *An Introduction to the
    /// Bootstrap*, 1993, chapter 13), with a fixed seed, so that the same measurements give the
    /// same interval. Alone it covers too little here: a resample's median is (nearly) one of
    /// few measurements, so its ends move in steps, and the 95 % interval of 7 measurements is
    /// the second and the sixth, which cover 87.5 %. It is therefore widened to the pair of
    /// order statistics that encloses the median with at least 95 % whatever the distribution
    /// (Conover, *Practical Nonparametric Statistics*, 1999, section 3.2): at least k of n
    /// independent measurements lie on either side with 1 - 2 · P(Bin(n, 1/2) < k). Up to
    /// eight measurements that pair is the smallest and the largest. Below
    /// [`RUNS_MIN`] even these do not reach 95 %: `confidence` then says what they reach,
    /// 0.5 for two, 0.75 for three.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        Self::at(values, CONFIDENCE)
    }

    /// As [`of`](Self::of), with an interval of another confidence level. What is asked of the
    /// estimate afterwards ([`half_width`](Self::half_width) and what rests on it) is meant
    /// for [`CONFIDENCE`].
    #[must_use]
    pub fn at(values: &[f64], confidence: f64) -> Option<Self> {
        if values.is_empty() || values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let count = u32::try_from(values.len()).ok()?;
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (low, high) = interval(&sorted, confidence);
        Some(Self {
            count,
            median: median_of(&mut sorted),
            low,
            high,
            confidence: confidence.min(1.0 - 0.5_f64.powf(f64::from(count) - 1.0)),
            variation: variation(values),
        })
    }

    /// Half the width of the interval at [`CONFIDENCE`], as a share of the median.
    ///
    /// With fewer than [`RUNS_MIN`] measurements, whose interval has less confidence than
    /// that, what a normal distribution of their variation would give: the median's standard
    /// error is √(π/2) times the mean's, at Student's quantile for so few.
    #[must_use]
    pub fn half_width(&self) -> f64 {
        if self.count >= RUNS_MIN {
            let width = (self.high - self.low) / 2.0;
            return if width == 0.0 {
                0.0
            } else {
                width / self.median.abs()
            };
        }
        self.expected_half_width(self.count)
    }

    /// Whether the measurements lie close enough together to conclude from:
    /// [`HALF_WIDTH_MAX`] and [`VARIATION_MAX`].
    #[must_use]
    pub fn is_conclusive(&self) -> bool {
        self.half_width() <= HALF_WIDTH_MAX && self.variation <= VARIATION_MAX
    }

    /// Runs after which the interval is likely narrow enough: [`HALF_WIDTH_MAX`] to either
    /// side. It narrows with the square root of their number. `None` above [`RUNS_MAX`].
    #[must_use]
    pub fn runs_needed(&self) -> Option<u32> {
        let expected = self.expected_half_width(self.count);
        // How the interval found compares with that of a normal distribution.
        let shape = if self.count >= RUNS_MIN && expected > 0.0 {
            self.half_width() / expected
        } else {
            1.0
        };
        if self.half_width() <= HALF_WIDTH_MAX {
            return Some(self.count.max(RUNS_MIN));
        }
        let enough = |runs: &u32| self.expected_half_width(*runs) * shape <= HALF_WIDTH_MAX;
        (self.count.max(RUNS_MIN)..=RUNS_MAX).find(enough)
    }

    /// What [`half_width`](Self::half_width) would be after so many runs of this variation,
    /// normally distributed.
    fn expected_half_width(&self, runs: u32) -> f64 {
        if runs < 2 {
            // One measurement says nothing about the next.
            return f64::INFINITY;
        }
        let degrees = f64::from(runs - 1);
        let Ok(student) = StudentsT::new(0.0, 1.0, degrees) else {
            return f64::INFINITY;
        };
        let quantile = student.inverse_cdf(f64::midpoint(1.0, CONFIDENCE));
        let median_over_mean = std::f64::consts::FRAC_PI_2.sqrt();
        quantile * median_over_mean * self.variation / f64::from(runs).sqrt()
    }
}

/// The median; orders the values on the way.
fn median_of(values: &mut [f64]) -> f64 {
    let middle = values.len() / 2;
    let even = values.len().is_multiple_of(2);
    let (below, upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let upper = *upper;
    if even {
        let lower = below.iter().copied().max_by(f64::total_cmp);
        f64::midpoint(lower.unwrap_or(upper), upper)
    } else {
        upper
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The standard deviation of a sample, with n − 1; `None` of fewer than two values.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub fn deviation(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (values.len() as f64 - 1.0)).sqrt())
}

fn variation(values: &[f64]) -> f64 {
    let mean = mean(values);
    match deviation(values) {
        Some(deviation) if deviation > 0.0 && mean != 0.0 => deviation / mean.abs(),
        _ => 0.0,
    }
}

/// Both intervals together: bootstrap and order statistics.
fn interval(sorted: &[f64], confidence: f64) -> (f64, f64) {
    let outer = order_statistic(sorted.len(), confidence);
    let (low, high) = (sorted[outer], sorted[sorted.len() - 1 - outer]);
    let (bootstrap_low, bootstrap_high) = bootstrap(sorted, confidence);
    (low.min(bootstrap_low), high.max(bootstrap_high))
}

/// The innermost place from either end, from 0, where the two still enclose the median with
/// this confidence; 0 if none does.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn order_statistic(count: usize, confidence: f64) -> usize {
    // Of a binomial distribution of `count` fair coins, summed from below.
    let log_all = count as f64 * std::f64::consts::LN_2;
    let (mut log_ways, mut below) = (0.0_f64, 0.0);
    for place in 0..count / 2 {
        below += (log_ways - log_all).exp();
        if 2.0 * below > 1.0 - confidence {
            return place.saturating_sub(1);
        }
        log_ways += ((count - place) as f64 / (place + 1) as f64).ln();
    }
    (count / 2).saturating_sub(1)
}

fn bootstrap(values: &[f64], confidence: f64) -> (f64, f64) {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let count = values.len() as u64;
    let mut resample = vec![0.0; values.len()];
    let mut medians: Vec<f64> = std::iter::repeat_with(|| {
        for value in &mut resample {
            *value = values[below(rng.next_u64(), count)];
        }
        median_of(&mut resample)
    })
    .take(RESAMPLES)
    .collect();
    medians.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a place among the resamples"
    )]
    let tail = (RESAMPLES as f64 * (1.0 - confidence) / 2.0) as usize;
    (medians[tail], medians[RESAMPLES - 1 - tail])
}

/// Maps 64 random bits to 0 … count-1 by multiplication.
#[expect(
    clippy::cast_possible_truncation,
    reason = "below count, which is a length"
)]
pub(super) fn below(random: u64, count: u64) -> usize {
    ((u128::from(random) * u128::from(count)) >> 64) as usize
}

#[cfg(test)]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::float_cmp,
    reason = "small counts, and values that come through unchanged"
)]
mod tests {
    use proptest::prelude::*;
    use rand_distr::{Distribution, LogNormal, Normal, StudentT};

    use super::*;

    /// The share of series of `count` whose interval encloses the median that they were drawn
    /// around.
    fn coverage(count: usize, median: f64, distribution: &impl Distribution<f64>) -> f64 {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(count as u64);
        let trials = 500;
        let covered = (0..trials).filter(|_| {
            let values: Vec<f64> = (0..count).map(|_| distribution.sample(&mut rng)).collect();
            let estimate = Estimate::of(&values).unwrap();
            (estimate.low..=estimate.high).contains(&median)
        });
        covered.count() as f64 / f64::from(trials)
    }

    #[test]
    fn the_interval_covers_the_median_as_often_as_it_says() {
        let normal = Normal::new(50_000.0, 2_000.0).unwrap();
        let log_normal = LogNormal::new(2.0, 1.0).unwrap();
        let heavy = StudentT::new(2.0).unwrap();
        // 7 and 13 are where the bootstrap alone covers 0.875 and 0.91.
        for count in [7, 13, 20] {
            let covered = [
                coverage(count, 50_000.0, &normal),
                coverage(count, 2.0_f64.exp(), &log_normal),
                coverage(count, 0.0, &heavy),
            ];
            for share in covered {
                // 0.95 less three standard errors of 500 trials.
                assert!(share >= 0.92, "{count}: {covered:?}");
            }
        }
    }

    #[test]
    fn few_measurements_say_how_little_they_say() {
        let normal = Normal::new(50_000.0, 2_000.0).unwrap();
        for (count, confidence) in [(1, 0.0), (2, 0.5), (3, 0.75), (4, 0.875), (5, 0.9375)] {
            let values: Vec<f64> = (0..count).map(f64::from).collect();
            let estimate = Estimate::of(&values).unwrap();
            assert_eq!(estimate.confidence, confidence);
            assert_eq!((estimate.low, estimate.high), (0.0, f64::from(count - 1)));
            if count > 1 {
                let covered = coverage(count as usize, 50_000.0, &normal);
                assert!((covered - confidence).abs() < 0.07, "{count}: {covered}");
            }
        }
        assert_eq!(Estimate::of(&[1.0; 6]).unwrap().confidence, 0.95);
    }

    #[test]
    fn the_interval_narrows_with_more_measurements() {
        let normal = Normal::new(100.0, 5.0).unwrap();
        let width = |count: usize| {
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(3);
            let widths = (0..50).map(|_| {
                let values: Vec<f64> = (0..count).map(|_| normal.sample(&mut rng)).collect();
                let estimate = Estimate::of(&values).unwrap();
                estimate.high - estimate.low
            });
            widths.sum::<f64>() / 50.0
        };
        let ratio = width(25) / width(100);
        assert!((1.7..2.4).contains(&ratio), "√4 to be expected: {ratio}");
    }

    #[test]
    fn places_are_those_of_the_tables() {
        // Conover's table of intervals for the median at 95 %, from 0 here.
        for (count, place) in [
            (6, 0),
            (8, 0),
            (9, 1),
            (11, 1),
            (12, 2),
            (15, 3),
            (20, 5),
            (50, 17),
        ] {
            assert_eq!(order_statistic(count, CONFIDENCE), place, "{count}");
        }
        assert_eq!(order_statistic(1, CONFIDENCE), 0);
        // 2 · P(Bin(10, 1/2) = 0) = 0.002; of twenty, P(≤ 2) makes 0.0004 and P(≤ 3) 0.0026.
        assert_eq!(order_statistic(10, 0.9975), 0);
        assert_eq!(order_statistic(20, 0.9975), 2);
        // Where 2^-n is far below what a float can hold: 550 - 0.98 · √1100.
        assert_eq!(order_statistic(1100, CONFIDENCE), 517);
    }

    #[test]
    fn nothing_and_nonsense_give_nothing() {
        assert_eq!(Estimate::of(&[]), None);
        assert_eq!(Estimate::of(&[1.0, f64::NAN]), None);
        assert_eq!(Estimate::of(&[f64::INFINITY]), None);
        let one = Estimate::of(&[7.0]).unwrap();
        assert_eq!((one.median, one.low, one.high), (7.0, 7.0, 7.0));
        assert!(!one.is_conclusive(), "one run says nothing about the next");
        let zeros = Estimate::of(&[0.0; 8]).unwrap();
        assert!(zeros.is_conclusive());
    }

    /// Runs of a machine whose TPS varies by `variation`, at quantiles so that no luck is in it.
    fn runs(count: u32, variation: f64) -> Estimate {
        use statrs::distribution::Normal;
        let normal = Normal::new(100.0, 100.0 * variation).unwrap();
        let quantile = |i| normal.inverse_cdf((f64::from(i) + 0.5) / f64::from(count));
        Estimate::of(&(0..count).map(quantile).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn runs_close_together_are_conclusive_and_others_say_how_many_it_takes() {
        assert!(runs(3, 0.01).is_conclusive());
        assert!(runs(10, 0.03).is_conclusive());
        let two = runs(2, 0.03);
        assert!(!two.is_conclusive(), "two runs at 3 %: {two:?}");
        let wide = runs(8, 0.08);
        assert!(!wide.is_conclusive(), "{wide:?}");
        let needed = wide.runs_needed().unwrap();
        assert!((12..60).contains(&needed), "{needed}");
        // Those many of the same variation are enough, or nearly.
        assert!(runs(needed, 0.08).half_width() < 1.3 * HALF_WIDTH_MAX);
        assert!(
            runs(10, 0.3)
                .runs_needed()
                .is_some_and(|needed| needed > 200)
        );
        assert_eq!(runs(10, 2.0).runs_needed(), None);
        assert!(!runs(1000, 0.2).is_conclusive(), "the variation stays");
        assert_eq!(runs(4, 0.001).runs_needed(), Some(RUNS_MIN));
    }

    proptest! {
        #[test]
        fn moves_and_scales_with_its_measurements(
            values in prop::collection::vec(1.0..1e6_f64, 1..40),
            shift in 0.0..1e6_f64,
            scale in 0.01..100.0_f64,
        ) {
            let plain = Estimate::of(&values).unwrap();
            let moved: Vec<f64> = values.iter().map(|value| value * scale + shift).collect();
            let moved = Estimate::of(&moved).unwrap();
            let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * (a.abs() + shift);
            prop_assert!(near(moved.median, plain.median * scale + shift));
            prop_assert!(near(moved.low, plain.low * scale + shift));
            prop_assert!(near(moved.high, plain.high * scale + shift));
            let scaled: Vec<f64> = values.iter().map(|value| value * scale).collect();
            let scaled = Estimate::of(&scaled).unwrap();
            prop_assert!((scaled.variation - plain.variation).abs() < 1e-9);
        }

        #[test]
        fn lies_within_its_measurements_in_any_order(
            mut values in prop::collection::vec(-1e6..1e6_f64, 1..40),
        ) {
            let estimate = Estimate::of(&values).unwrap();
            let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
            let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            prop_assert!(lowest <= estimate.low && estimate.low <= estimate.median);
            prop_assert!(estimate.median <= estimate.high && estimate.high <= highest);
            values.reverse();
            let reversed = Estimate::of(&values).unwrap();
            prop_assert_eq!((estimate.low, estimate.high), (reversed.low, reversed.high));
        }
    }
}
