//! Mann and Whitney's statistic: its distribution, and the ranks between which an interval lies.

use super::tail;

/// Most differences between the two samples for which the distribution is counted out.
const EXACT_MAX: usize = 2_500;

/// The rank, from 1, of the difference that is the lower end of the interval with this
/// probability of error, among all differences of one value of either sample; the upper end
/// has the same rank from above. 0 when so few values cannot reach it.
///
/// The interval holds every shift that the two-sided rank-sum test does not reject (Hollander
/// & Wolfe, *Nonparametric Statistical Methods*, 2nd ed. 1999, section 4.3): the rank is the
/// largest c with P(U ≤ c - 1) ≤ error / 2.
pub(super) fn lower_rank(first: usize, second: usize, error: f64) -> usize {
    if first * second <= EXACT_MAX {
        exact_rank(first, second, error / 2.0)
    } else {
        normal_rank(first, second, error / 2.0)
    }
}

/// The largest of i + j values is one of the j with probability j / (i + j), and then is above
/// all i: P(i, j; u) = i/(i+j) · P(i-1, j; u) + j/(i+j) · P(i, j-1; u-i).
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn exact_rank(first: usize, second: usize, tail: f64) -> usize {
    let limit = first * second / 2 + 1;
    let mut certain = vec![0.0; limit];
    if let Some(none) = certain.first_mut() {
        *none = 1.0;
    }
    // Row i holds P(i, j; ·) for every j.
    let mut row = vec![certain.clone(); second + 1];
    for i in 1..=first {
        let mut next = vec![certain.clone()];
        for (j, above) in row.iter().enumerate().skip(1) {
            let share = i as f64 / (i + j) as f64;
            let left = &next[j - 1];
            let entry = (0..limit)
                .map(|u| {
                    let shifted = u.checked_sub(i).map_or(0.0, |before| left[before]);
                    share * above[u] + (1.0 - share) * shifted
                })
                .collect();
            next.push(entry);
        }
        row = next;
    }
    tail::counted(&row[second], tail)
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn normal_rank(first: usize, second: usize, tail: f64) -> usize {
    let (m, n) = (first as f64, second as f64);
    let mean = m * n / 2.0;
    let deviation = (m * n * (m + n + 1.0) / 12.0).sqrt();
    tail::approximated(mean, deviation, tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_those_of_the_tables() {
        // Critical values of the two-sided test: the largest U that is significant, which is
        // one less than the rank.
        for (first, second, error, critical) in [
            (4, 4, 0.05, 0),
            (5, 5, 0.05, 2),
            (8, 10, 0.05, 17),
            (10, 10, 0.05, 23),
            (10, 10, 0.01, 16),
            (20, 20, 0.05, 127),
            (20, 20, 0.01, 105),
            (7, 19, 0.01, 22),
        ] {
            let rank = lower_rank(first, second, error);
            assert_eq!(rank, critical + 1, "{first} and {second} at {error}");
            assert_eq!(rank, lower_rank(second, first, error));
        }
        assert_eq!(lower_rank(3, 3, 0.05), 0, "2 / 20 > 0.05");
        assert_eq!(lower_rank(0, 3, 0.05), 0);
    }

    #[test]
    fn the_approximation_takes_over_without_a_step() {
        for error in [0.05, 0.01, 0.0025] {
            let exact = exact_rank(50, 50, error / 2.0);
            let normal = normal_rank(50, 50, error / 2.0);
            // Of 2,500.
            assert!(exact.abs_diff(normal) <= 6, "{exact} {normal}");
        }
    }
}
