//! Latencies and other distributions, as a row shows them.

use busload_wire::control::Distribution;
use busload_wire::histogram::decode;
use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::statistics::Percentile;

/// Quantiles of a latency, in milliseconds. Each is absent when there are too few transfers to
/// tell it ([`Percentile::samples_min`]).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// Median; absent below 20 transfers.
    pub p50: Option<f64>,
    /// 95th percentile; absent below 200.
    pub p95: Option<f64>,
    /// 99th percentile; absent below 1,000.
    pub p99: Option<f64>,
    /// 99.9th percentile; absent below 10,000.
    pub p999: Option<f64>,
    /// Longest.
    pub max: f64,
    /// Arithmetic mean.
    pub mean: f64,
}

/// A distribution over the window, in microseconds (or transfers, for batch sizes).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Spread {
    /// How many values.
    pub count: u64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Median; absent below 20 values.
    pub p50: Option<f64>,
    /// 99th percentile; absent below 1,000.
    pub p99: Option<f64>,
    /// Largest.
    pub max: f64,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts and nanoseconds far below 2^52"
)]
impl Spread {
    /// The spread of a histogram whose exact sum is known; `unit` is what one of the
    /// record's units is in the histogram's.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>, sum: u64, unit: f64) -> Option<Self> {
        let count = histogram.len();
        if count == 0 {
            return None;
        }
        let at = |percentile: Percentile| Some(percentile.of(histogram)? as f64 / unit);
        Some(Self {
            count,
            mean: sum as f64 / count as f64 / unit,
            p50: at(Percentile::P50),
            p99: at(Percentile::P99),
            max: histogram.max() as f64 / unit,
        })
    }
}

/// What was counted between two readings of a distribution.
#[must_use]
pub fn difference(later: &Distribution, earlier: &Distribution) -> Option<Histogram<u64>> {
    let mut histogram = decode(later)?;
    histogram.subtract(&decode(earlier)?).ok()?;
    Some(histogram)
}

/// What lies between two distributions, in `unit`s.
#[must_use]
pub fn between(later: &Distribution, earlier: &Distribution, unit: f64) -> Option<Spread> {
    let histogram = difference(later, earlier)?;
    Spread::of(&histogram, later.sum.saturating_sub(earlier.sum), unit)
}
