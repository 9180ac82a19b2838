//! How sure a comparison has to be before it says anything.

/// Probability with which a comparison of equal sides may call any of its metrics faster or
/// slower, all metrics together.
pub const FAMILY_ERROR: f64 = 0.01;

/// An error that several comparisons share.
///
/// The correction is Bonferroni's: each of m comparisons is judged at the family's error
/// divided by m, so that their sum bounds the probability that any of them is wrong, however
/// they hang together (Dunn, *Multiple comparisons among means*, 1961). The four metrics of a
/// run hang together strongly, so it is more careful than need be. Holm's step-down method
/// would find a little more, but has no intervals of its own: verdict and printed interval
/// could contradict each other, and gates are judged on the interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    family_error: f64,
    comparisons: u32,
}

impl Level {
    /// [`FAMILY_ERROR`] over the four metrics of a comparison: each at 99.75 %.
    pub const METRICS: Self = Self {
        family_error: FAMILY_ERROR,
        comparisons: 4,
    };

    /// So many comparisons that share this error, a probability above 0 and below 1; one
    /// comparison for 0.
    #[must_use]
    pub fn new(family_error: f64, comparisons: u32) -> Self {
        Self {
            family_error,
            comparisons: comparisons.max(1),
        }
    }

    /// Probability of error of one comparison.
    #[must_use]
    pub fn error(self) -> f64 {
        self.family_error / f64::from(self.comparisons)
    }

    /// Confidence level of one comparison's interval, such as 0.9975.
    #[must_use]
    pub fn confidence(self) -> f64 {
        1.0 - self.error()
    }

    /// Fewest pairs with which a signed-rank test can reach this level: all n differences
    /// have the same sign with probability 2 / 2^n. Ten for [`METRICS`](Self::METRICS).
    #[must_use]
    pub fn rounds_min(self) -> u32 {
        let mut rounds = 1;
        let mut smallest = 1.0;
        while smallest > self.error() && rounds < u32::from(u16::MAX) {
            rounds += 1;
            smallest /= 2.0;
        }
        rounds
    }

    /// Fewest runs of a candidate that can be told from so many of a recorded base: the two do
    /// not overlap at all with probability 2 / C(base + runs, base). `None` when more than
    /// `limit` would be needed, as with a base of one run.
    #[must_use]
    pub fn runs_min(self, base: u32, limit: u32) -> Option<u32> {
        let mut smallest = 2.0;
        for runs in 1..=limit {
            // C(base + runs, base) from C(base + runs - 1, base).
            smallest *= f64::from(runs) / f64::from(base + runs);
            // Up to rounding.
            if smallest <= self.error() * (1.0 + 1e-9) {
                return Some(runs);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewest_rounds_are_those_whose_signs_alone_suffice() {
        assert_eq!(
            Level::METRICS.rounds_min(),
            10,
            "2 / 1024 < 0.0025 < 2 / 512"
        );
        assert_eq!(Level::new(0.05, 1).rounds_min(), 6);
        assert_eq!(Level::new(0.01, 1).rounds_min(), 8);
    }

    #[test]
    fn fewest_runs_depend_on_the_other_side() {
        // 2 / C(12, 6) = 0.0022, 2 / C(11, 5) = 0.0043.
        assert_eq!(Level::METRICS.runs_min(6, 1000), Some(6));
        // C(18, 3) = 816 > 800 > C(17, 3).
        assert_eq!(Level::METRICS.runs_min(3, 1000), Some(15));
        assert_eq!(Level::METRICS.runs_min(1, 1000), Some(799));
        assert_eq!(Level::METRICS.runs_min(1, 700), None);
        assert_eq!(Level::METRICS.runs_min(0, 1000), None);
    }
}
