//! The time series of a row: one entry per interval of the window.

use busload_wire::histogram::encode;
use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::statistics::Percentile;

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
