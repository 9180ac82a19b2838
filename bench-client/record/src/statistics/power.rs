//! How large a difference must be to be seen, before anything is compared.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};
use statrs::distribution::{ContinuousCDF as _, Normal};

use super::level::Level;
use super::ratio::LINGERING;
use super::signed_rank::{lower_rank, walsh_count};

/// Series that are drawn per number of rounds.
const DRAWS: usize = 1_000;
/// Most rounds for which series are drawn; beyond, the normal approximation.
const DRAWN_MAX: u32 = 60;
/// Most rounds that are ever named.
const ROUNDS_MAX: u32 = 1_000;

/// The smallest change that a paired comparison of so many rounds calls faster or slower with
/// probability `power`, as a log ratio (0.05 is about 5 %), when the pairs' log ratios are
/// normal with the standard deviation `spread`. `None` with fewer rounds than the level needs.
///
/// By simulation, seeded: a series of n standard normal differences is called slower or faster
/// once it is shifted by more than the end of its interval lies below 0, so the quantile of
/// that distance at `power` is the answer. Beyond 60 rounds by its approximation,
/// (w · z(1 - error/2) + z(power)) · √(π/3) · spread / √n: π/3 is what the signed-rank test
/// loses against Student's (Hollander & Wolfe, section 3.11), and w how much
/// [`Ratio::paired`](super::Ratio::paired) widens its intervals.
#[must_use]
pub fn smallest_effect(spread: f64, rounds: u32, level: Level, power: f64) -> Option<f64> {
    if rounds < level.rounds_min() {
        return None;
    }
    let shift = if rounds <= DRAWN_MAX {
        drawn_shift(rounds as usize, level, power)
    } else {
        let normal = Normal::standard();
        let quantiles =
            LINGERING * normal.inverse_cdf(1.0 - level.error() / 2.0) + normal.inverse_cdf(power);
        quantiles * std::f64::consts::FRAC_PI_3.sqrt() / f64::from(rounds).sqrt()
    };
    Some(shift * spread)
}

/// Rounds after which a change of this log ratio is found with probability `power`: the inverse
/// of [`smallest_effect`]. `None` above 1,000, or for no change at all.
#[must_use]
pub fn rounds_for(effect: f64, spread: f64, level: Level, power: f64) -> Option<u32> {
    let found = |rounds: u32| {
        smallest_effect(spread, rounds, level, power).is_some_and(|smallest| smallest <= effect)
    };
    if effect <= 0.0 || !found(ROUNDS_MAX) {
        return None;
    }
    let (mut without, mut with) = (level.rounds_min().saturating_sub(1), ROUNDS_MAX);
    while with - without > 1 {
        let middle = u32::midpoint(without, with);
        if found(middle) {
            with = middle;
        } else {
            without = middle;
        }
    }
    Some(with)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a place among the draws, and 53 random bits"
)]
fn drawn_shift(rounds: usize, level: Level, power: f64) -> f64 {
    let normal = Normal::standard();
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(rounds as u64);
    let place = lower_rank(rounds, level.error()).saturating_sub(1);
    let mut averages = Vec::with_capacity(walsh_count(rounds));
    let mut shifts: Vec<f64> = std::iter::repeat_with(|| {
        let values: Vec<f64> = std::iter::repeat_with(|| {
            let uniform = ((rng.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
            normal.inverse_cdf(uniform)
        })
        .take(rounds)
        .collect();
        averages.clear();
        for (place, first) in values.iter().enumerate() {
            let means = values[place..]
                .iter()
                .map(|second| f64::midpoint(*first, *second));
            averages.extend(means);
        }
        let middle = averages.len() / 2;
        let (below, estimate, _) = averages.select_nth_unstable_by(middle, f64::total_cmp);
        let (_, end, _) = below.select_nth_unstable_by(place, f64::total_cmp);
        LINGERING * (*estimate - *end) - *estimate
    })
    .take(DRAWS)
    .collect();
    let quantile = ((DRAWS as f64 * power) as usize).min(DRAWS - 1);
    let (_, shift, _) = shifts.select_nth_unstable_by(quantile, f64::total_cmp);
    *shift
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEVEL: Level = Level::METRICS;

    #[test]
    fn the_approximation_takes_over_without_a_step() {
        let effect = |rounds| smallest_effect(1.0, rounds, LEVEL, 0.9).unwrap();
        let step = effect(DRAWN_MAX) / effect(DRAWN_MAX + 1);
        assert!((0.95..1.1).contains(&step), "{step}");
    }

    #[test]
    fn effects_shrink_with_rounds_and_grow_with_spread_and_power() {
        assert_eq!(smallest_effect(0.05, 9, LEVEL, 0.9), None);
        let effect = |rounds| smallest_effect(0.05, rounds, LEVEL, 0.9).unwrap();
        assert!(effect(10) > effect(20) && effect(20) > effect(40) && effect(40) > effect(400));
        let halved = effect(100) / effect(400);
        assert!((halved - 2.0).abs() < 1e-9, "{halved}");
        let doubled = smallest_effect(0.1, 20, LEVEL, 0.9).unwrap() / effect(20);
        assert!((doubled - 2.0).abs() < 1e-9);
        assert!(smallest_effect(0.05, 20, LEVEL, 0.5).unwrap() < effect(20));
    }

    #[test]
    fn rounds_are_the_inverse_of_effects() {
        let rounds = rounds_for(0.05, 0.2, LEVEL, 0.9).unwrap();
        assert!(smallest_effect(0.2, rounds, LEVEL, 0.9).unwrap() <= 0.05);
        assert!(smallest_effect(0.2, rounds - 1, LEVEL, 0.9).unwrap() > 0.05);
        assert_eq!(rounds_for(1.0, 0.01, LEVEL, 0.9), Some(10));
        assert_eq!(rounds_for(0.001, 0.2, LEVEL, 0.9), None);
        assert_eq!(rounds_for(0.0, 0.2, LEVEL, 0.9), None);
    }
}
