//! Where the lower tail of a rank statistic ends: the same for every such statistic, counted out
//! or approximated.

use statrs::distribution::{ContinuousCDF as _, Normal};

/// What sums of probabilities may be off by.
const ROUNDING: f64 = 1.0 + 1e-9;

/// How many of the lowest values have at most the probability `tail` together; `probability` is
/// that of 0, 1, 2, …
pub(super) fn counted(probability: &[f64], tail: f64) -> usize {
    let mut below = 0.0;
    probability
        .iter()
        .take_while(|share| {
            below += **share;
            below <= tail * ROUNDING
        })
        .count()
}

/// The same of a normal distribution, with half a step of continuity correction.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank, of which there are far fewer than 2^52"
)]
pub(super) fn approximated(mean: f64, deviation: f64, tail: f64) -> usize {
    let quantile = Normal::standard().inverse_cdf(tail);
    (mean + quantile * deviation + 0.5).floor().max(0.0) as usize
}
