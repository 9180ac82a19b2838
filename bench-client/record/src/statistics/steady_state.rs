//! Whether a window was steady from its start: MSER-5.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Ticks in a batch: the 5 of MSER-5.
const BATCH_TICKS: usize = 5;
/// Fewest ticks of a series that anything is said about: with fewer, single checkpoint stalls
/// look like phases of their own.
pub const TICKS_MIN: usize = 100;
/// Batches at the end of a series where a truncation point is not looked for: the mean of
/// fewer has an error by chance close to 0, which MSER takes for steadiness.
const LAST_BATCHES: usize = 5;
/// A beginning that differs by less, as a share of the rest, is as good as steady: it moves
/// the TPS of a window, of which it is at most half, by half of this.
const DIFFERENCE_MIN: f64 = 0.03;
/// A beginning that differs by fewer standard errors may be noise. The truncation point was
/// chosen to make the difference stand out, so the usual 2 would call one series of noise in
/// ten unsteady; 4 calls fewer than one in a hundred so (see the tests).
const STANDARD_ERRORS_MIN: f64 = 4.0;

/// Whether the warm-up had ended when the window opened.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SteadyState {
    /// Length of the beginning of the window that differs from the rest, in seconds; 0 when
    /// it was steady from the start. Half the window means at least that: where the change
    /// ends cannot be told.
    pub transient_seconds: f64,
    /// TPS in that beginning over TPS in the rest; 1 when it was steady from the start.
    pub transient_ratio: f64,
    /// Whether the window was steady from its start.
    pub steady: bool,
}

impl SteadyState {
    const STEADY: Self = Self {
        transient_seconds: 0.0,
        transient_ratio: 1.0,
        steady: true,
    };

    /// Looks for a beginning that differs from the rest in a series of equal ticks: TPS, or
    /// transfers committed, per tick of `tick_seconds`, over the measured window. Ticks of a
    /// hundredth of the window, and 100 ms at the most, are right.
    ///
    /// `None` when nothing can be said: fewer than [`TICKS_MIN`] ticks, a rest without any
    /// transfer, a value that is not finite, or a truncation point in the second half
    /// without a difference between the halves.
    ///
    /// # Method
    /// MSER-5: the series is cut into batches of 5 ticks, and the truncation point is the one
    /// that makes the standard error of the mean of what follows smallest (White, *An
    /// effective truncation heuristic for bias reduction in simulation output*, 1997; batches
    /// of 5 by Spratt, 1998; White & Franklin, *A parametric expression for MSER with
    /// geometrically decaying bias*, 2010). A point in the second half is no answer, as its
    /// authors say; the halves are then held against each other instead.
    ///
    /// MSER always finds a point, also in noise, so the window is called unsteady only if
    /// what lies before it differs by 3 % and by 4 standard errors. Those
    /// take batches for independent: a series whose batches hang together (stalls that last a
    /// second, say) is called unsteady more often, about 1 in 10 where neighbouring ticks
    /// correlate by 0.8.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub fn of(series: &[f64], tick_seconds: f64) -> Option<Self> {
        if series.len() < TICKS_MIN || series.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let batches: Vec<f64> = series.chunks_exact(BATCH_TICKS).map(mean).collect();
        let half = batches.len() / 2;
        let found = truncation_point(&batches);
        let point = found.min(half);
        if point == 0 {
            return Some(Self::STEADY);
        }
        let (beginning, rest) = batches.split_at(point);
        let (before, after) = (mean(beginning), mean(rest));
        if after <= 0.0 {
            return None;
        }
        let variance = squares(rest) / (rest.len() - 1) as f64;
        let error = (variance * (1.0 / beginning.len() as f64 + 1.0 / rest.len() as f64)).sqrt();
        let difference = (before - after).abs();
        if difference > DIFFERENCE_MIN * after && difference > STANDARD_ERRORS_MIN * error {
            return Some(Self {
                transient_seconds: (point * BATCH_TICKS) as f64 * tick_seconds,
                transient_ratio: before / after,
                steady: false,
            });
        }
        (found <= half).then_some(Self::STEADY)
    }
}

/// The number of batches to cut off. Of several that are equally good the smallest.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn truncation_point(batches: &[f64]) -> usize {
    let error = |point: usize| {
        let rest = &batches[point..];
        squares(rest) / (rest.len() as f64).powi(2)
    };
    let candidates = 0..=batches.len().saturating_sub(LAST_BATCHES);
    let best = candidates.map(|point| (error(point), point));
    best.min_by(|a, b| a.0.total_cmp(&b.0))
        .map_or(0, |(_, point)| point)
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Sum of squared deviations from the mean.
fn squares(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|value| (value - mean).powi(2)).sum()
}

#[cfg(test)]
#[expect(clippy::cast_precision_loss, reason = "small counts")]
mod tests {
    use rand_distr::{Distribution, Normal};
    use rand_xoshiro::Xoshiro256PlusPlus;
    use rand_xoshiro::rand_core::SeedableRng;

    use super::*;

    const TICK: f64 = 0.1;

    /// Ticks around 1,000 with independent noise.
    fn noise(rng: &mut Xoshiro256PlusPlus, ticks: usize, variation: f64) -> Vec<f64> {
        let normal = Normal::new(1000.0, 1000.0 * variation).unwrap();
        (0..ticks).map(|_| normal.sample(rng)).collect()
    }

    fn unsteady(series: &[f64]) -> bool {
        SteadyState::of(series, TICK).is_some_and(|state| !state.steady)
    }

    /// How many of 500 seeded series are called unsteady.
    fn count(ticks: usize, variation: f64, change: impl Fn(usize) -> f64) -> usize {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(ticks as u64);
        let series = (0..500).map(|_| {
            let mut series = noise(&mut rng, ticks, variation);
            for (tick, value) in series.iter_mut().enumerate() {
                *value *= change(tick);
            }
            series
        });
        series.filter(|series| unsteady(series)).count()
    }

    #[test]
    fn noise_is_steady() {
        for ticks in [100, 300, 1000] {
            for variation in [0.02, 0.1, 0.3] {
                let called = count(ticks, variation, |_| 1.0);
                assert!(called <= 10, "{ticks} {variation}: {called} of 500");
            }
        }
    }

    #[test]
    fn a_warm_up_in_the_window_is_found() {
        for ticks in [100, 300, 1000] {
            for variation in [0.02, 0.1, 0.2] {
                let slow = |tick| if tick < ticks / 5 { 0.7 } else { 1.0 };
                let called = count(ticks, variation, slow);
                let nearly_all = if variation > 0.1 && ticks == 100 {
                    380
                } else {
                    490
                };
                assert!(called >= nearly_all, "{ticks} {variation}: {called} of 500");
                let fast = |tick| if tick < ticks / 5 { 1.4 } else { 1.0 };
                let called = count(ticks, variation, fast);
                assert!(called >= nearly_all, "{ticks} {variation}: {called} of 500");
            }
        }
    }

    #[test]
    fn its_length_and_its_ratio_are_told() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut series = noise(&mut rng, 200, 0.05);
        for value in &mut series[..40] {
            *value *= 0.7;
        }
        let state = SteadyState::of(&series, TICK).unwrap();
        assert!(!state.steady);
        // MSER cuts where the rest looks best, which is at the change or a little after.
        assert!((4.0..=6.0).contains(&state.transient_seconds), "{state:?}");
        assert!((0.68..0.82).contains(&state.transient_ratio), "{state:?}");
    }

    #[test]
    fn a_change_over_the_whole_window_is_not_steady() {
        let rising = |tick: usize| 0.5 + tick as f64 / 200.0;
        assert!(count(100, 0.05, rising) >= 490);
    }

    /// Two ticks at a fifth of the speed every four seconds, as a checkpoint makes them.
    #[test]
    fn stalls_that_come_again_are_no_warm_up() {
        for phase in [0, 7, 20, 33] {
            let stall = |tick: usize| if (tick + phase) % 40 < 2 { 0.2 } else { 1.0 };
            let called = count(300, 0.05, stall);
            assert!(called <= 10, "{phase}: {called} of 500");
        }
    }

    #[test]
    fn a_small_difference_is_as_good_as_steady() {
        let slightly = |tick: usize| if tick < 20 { 0.985 } else { 1.0 };
        assert!(count(100, 0.001, slightly) == 0);
    }

    #[test]
    fn nothing_is_said_of_too_little() {
        assert_eq!(SteadyState::of(&[1.0; TICKS_MIN - 1], TICK), None);
        assert_eq!(SteadyState::of(&[f64::NAN; TICKS_MIN], TICK), None);
        // A server that stood still after its beginning.
        let mut died = vec![0.0; 200];
        died[..50].fill(1000.0);
        assert_eq!(SteadyState::of(&died, TICK), None);
        let same = SteadyState::of(&[5.0; TICKS_MIN], TICK);
        assert_eq!(same, Some(SteadyState::STEADY));
    }
}
