//! Wilcoxon's signed-rank statistic: its distribution, and the ranks between which an interval
//! lies.

use super::tail;

/// Most pairs for which the distribution is counted out; beyond, its normal approximation is
/// right to far more places than matter.
const EXACT_MAX: usize = 200;

/// How many Walsh averages n values have: one per pair, and each value with itself.
pub(super) const fn walsh_count(count: usize) -> usize {
    count * (count + 1) / 2
}

/// The rank, from 1, of the Walsh average that is the lower end of the interval with this
/// probability of error; the upper end has the same rank from above. 0 when so few values
/// cannot reach it.
///
/// The interval holds every shift that the two-sided signed-rank test does not reject
/// (Hollander & Wolfe, *Nonparametric Statistical Methods*, 2nd ed. 1999, section 3.3): the
/// rank is the largest c with P(T ≤ c - 1) ≤ error / 2, where T is the sum of those of the
/// ranks 1 … n whose difference is positive.
pub(super) fn lower_rank(count: usize, error: f64) -> usize {
    if count <= EXACT_MAX {
        exact_rank(count, error / 2.0)
    } else {
        normal_rank(count, error / 2.0)
    }
}

/// With equal signs equally likely, rank k adds k or nothing with 1/2 each: n convolutions.
/// Only the lower half of the distribution is needed.
fn exact_rank(count: usize, tail: f64) -> usize {
    let limit = walsh_count(count) / 2 + 1;
    let mut probability = vec![0.0; limit];
    if let Some(none) = probability.first_mut() {
        *none = 1.0;
    }
    for rank in 1..=count {
        for sum in (0..limit).rev() {
            let with = sum
                .checked_sub(rank)
                .map_or(0.0, |before| probability[before]);
            probability[sum] = f64::midpoint(probability[sum], with);
        }
    }
    tail::counted(&probability, tail)
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn normal_rank(count: usize, tail: f64) -> usize {
    let n = count as f64;
    let mean = n * (n + 1.0) / 4.0;
    let deviation = (n * (n + 1.0) * (2.0 * n + 1.0) / 24.0).sqrt();
    tail::approximated(mean, deviation, tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_those_of_the_tables() {
        // Critical values of the two-sided test, as in Wilcoxon's tables: the largest sum that
        // is significant, which is one less than the rank.
        for (count, error, critical) in [
            (6, 0.05, 0),
            (8, 0.05, 3),
            (10, 0.05, 8),
            (10, 0.01, 3),
            (15, 0.05, 25),
            (20, 0.05, 52),
            (20, 0.01, 37),
            (25, 0.01, 68),
            (50, 0.05, 434),
            (50, 0.01, 373),
        ] {
            assert_eq!(lower_rank(count, error), critical + 1, "{count} at {error}");
        }
        assert_eq!(lower_rank(5, 0.05), 0, "2 / 32 > 0.05");
        assert_eq!(lower_rank(10, 0.0025), 1);
        assert_eq!(lower_rank(9, 0.0025), 0);
        assert_eq!(lower_rank(0, 0.05), 0);
    }

    #[test]
    fn the_approximation_takes_over_without_a_step() {
        for error in [0.05, 0.01, 0.0025] {
            let exact = exact_rank(EXACT_MAX, error / 2.0);
            let normal = normal_rank(EXACT_MAX, error / 2.0);
            // Of 20,100.
            assert!(exact.abs_diff(normal) <= 12, "{exact} {normal}");
        }
    }
}
