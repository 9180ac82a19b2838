//! The time series of a row: one entry per interval of the window.

use busload_wire::histogram::encode;
use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Row;
use crate::statistics::{Percentile, deviation};

/// An interval at least this share of its length is a whole one: clocks are read a moment late.
const WHOLE: f64 = 0.99;

/// What happened in one interval of the measured window.
///
/// Latencies are of the transfers that were answered in it. What the server counted is read
/// a moment after the interval's end: its rates are over the time between two readings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    /// Its beginning, in seconds since the window opened.
    pub start_s: f64,
    /// Its length in seconds.
    pub seconds: f64,
    /// Transfers acknowledged in it.
    pub committed: u64,
    /// The same per second.
    pub tps: f64,
    /// Median latency of committed transfers, in milliseconds; absent below 20 of them.
    pub p50_ms: Option<f64>,
    /// 95th percentile; absent below 200.
    pub p95_ms: Option<f64>,
    /// 99th percentile; absent below 1,000.
    pub p99_ms: Option<f64>,
    /// Longest.
    pub max_ms: f64,
    /// Mean number of transfers in flight.
    pub in_flight: f64,
    /// Transfers per committed batch.
    pub mean_batch: Option<f64>,
    /// Syncs at COMMIT per second.
    pub syncs_per_second: Option<f64>,
    /// Mean sync at COMMIT, in microseconds.
    pub sync_us: Option<f64>,
    /// Checkpoints of the write-ahead log.
    pub checkpoints: Option<u64>,
    /// Time in them, in milliseconds.
    pub checkpoint_ms: Option<f64>,
    /// Of it, the time in which no batch could be committed, in milliseconds; absent in records
    /// of earlier versions, where it was all of it.
    #[serde(default)]
    pub checkpoint_stalled_ms: Option<f64>,
    /// Processor time of this process per second: cores in use.
    pub client_cpu: Option<f64>,
    /// Processor time of the server process per second: cores in use.
    pub server_cpu: Option<f64>,
    /// The latencies: HdrHistogram V2, deflated, base64, in nanoseconds.
    pub latency_histogram: String,
}

impl Interval {
    /// With the latencies of what was committed in it, in nanoseconds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds far below 2^52")]
    pub fn with_latencies(self, latencies: &Histogram<u64>) -> Self {
        debug_assert_eq!(latencies.len(), self.committed);
        let ms = |percentile: Percentile| Some(percentile.of(latencies)? as f64 / 1e6);
        Self {
            p50_ms: ms(Percentile::P50),
            p95_ms: ms(Percentile::P95),
            p99_ms: ms(Percentile::P99),
            max_ms: latencies.max() as f64 / 1e6,
            latency_histogram: encode(latencies),
            ..self
        }
    }
}

impl Row {
    /// Standard deviation (with n − 1) of the TPS of its whole intervals; `None` with fewer than
    /// two, such as of a record without a time series.
    #[must_use]
    pub fn tps_deviation(&self) -> Option<f64> {
        tps_deviation(&self.intervals, self.config.load.interval.as_secs_f64())
    }
}

fn tps_deviation(intervals: &[Interval], length: f64) -> Option<f64> {
    // The last one is what is left of the window.
    let whole = intervals.iter().filter(|one| one.seconds >= length * WHOLE);
    let tps: Vec<f64> = whole.map(|one| one.tps).collect();
    deviation(&tps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intervals(of: &[(f64, f64)]) -> Vec<Interval> {
        let one = |(seconds, tps): &(f64, f64)| Interval {
            seconds: *seconds,
            tps: *tps,
            ..Interval::default()
        };
        of.iter().map(one).collect()
    }

    /// 2, 4, 4, 4, 5, 5, 7, 9 have the mean 5 and squares of 32: with n − 1 it is √(32 ÷ 7).
    #[test]
    fn the_deviation_is_of_a_sample_of_whole_seconds() {
        let tps = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        let mut all = intervals(&tps.map(|tps| (1.0, tps)));
        let deviation = tps_deviation(&all, 1.0).unwrap();
        assert!(
            (deviation - (32.0_f64 / 7.0).sqrt()).abs() < 1e-12,
            "{deviation}"
        );
        // The rest of the window is no second.
        all.extend(intervals(&[(0.4, 1e6)]));
        assert_eq!(tps_deviation(&all, 1.0), Some(deviation));
    }

    #[test]
    fn one_second_has_no_deviation_and_equal_ones_have_none_either() {
        assert_eq!(tps_deviation(&[], 1.0), None);
        assert_eq!(
            tps_deviation(&intervals(&[(1.0, 7.0), (0.5, 9.0)]), 1.0),
            None
        );
        let equal = intervals(&[(1.001, 7.0), (0.999, 7.0)]);
        assert_eq!(tps_deviation(&equal, 1.0), Some(0.0));
    }
}
