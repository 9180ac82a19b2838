//! Percentiles, and how many samples each of them needs.

use hdrhistogram::Histogram;

/// A percentile that this program tells of, and from how many samples on.
///
/// A percentile is told when at least ten samples are expected beyond it. From fewer it is the
/// fate of the slowest one or two, which the maximum tells already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Percentile {
    /// The median.
    P50,
    /// The 95th.
    P95,
    /// The 99th.
    P99,
    /// The 99.9th.
    P999,
}

impl Percentile {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::P50, Self::P95, Self::P99, Self::P999];

    /// Fewest samples that it is taken from: 20, 200, 1,000 and 10,000.
    #[must_use]
    pub const fn samples_min(self) -> u64 {
        match self {
            Self::P50 => 20,
            Self::P95 => 200,
            Self::P99 => 1_000,
            Self::P999 => 10_000,
        }
    }

    /// The share of the samples at or below it, from 0 to 1.
    #[must_use]
    pub const fn quantile(self) -> f64 {
        match self {
            Self::P50 => 0.5,
            Self::P95 => 0.95,
            Self::P99 => 0.99,
            Self::P999 => 0.999,
        }
    }

    /// Whether so many samples are enough.
    #[must_use]
    pub const fn is_known_from(self, samples: u64) -> bool {
        samples >= self.samples_min()
    }

    /// Its value, in the histogram's unit; `None` from too few samples.
    #[must_use]
    pub fn of(self, histogram: &Histogram<u64>) -> Option<u64> {
        self.is_known_from(histogram.len())
            .then(|| histogram.value_at_quantile(self.quantile()))
    }
}

/// Fewest samples from which anything is said about speed, be it a mean: those of a median.
pub const SPEED_SAMPLES_MIN: u64 = Percentile::P50.samples_min();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn ten_samples_are_expected_beyond_each() {
        for percentile in Percentile::ALL {
            let beyond = percentile.samples_min() as f64 * (1.0 - percentile.quantile());
            assert!((beyond - 10.0).abs() < 1e-6, "{percentile:?}: {beyond}");
        }
    }

    #[test]
    fn each_is_known_from_its_own_number_of_samples_on() {
        let mut histogram = Histogram::<u64>::new(3).unwrap();
        let mut known_from = Vec::new();
        for sample in 1..=10_000 {
            histogram.record(1 + sample % 7).unwrap();
            for percentile in Percentile::ALL {
                let known = percentile.of(&histogram).is_some();
                if known && !known_from.iter().any(|(found, _)| *found == percentile) {
                    known_from.push((percentile, sample));
                }
            }
        }
        let expected: Vec<_> = Percentile::ALL
            .into_iter()
            .zip([20, 200, 1_000, 10_000])
            .collect();
        assert_eq!(known_from, expected);
    }
}
