//! The measured figures, in the form in which they are written down.

use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Method, Pattern};
use crate::statistics::Percentile;

/// Every method and pattern measured in one directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Baseline {
    /// The size of each write.
    pub block_bytes: u32,
    /// One entry for each method and pattern, made durable by system calls of this program.
    pub methods: Vec<SyncMeasurement>,
    /// `fdatasync` and `overwrite` once more, through the C library as SQLite does it: far
    /// faster than by system call, somebody swallows syncs. Absent in records of earlier
    /// versions.
    #[serde(default)]
    pub by_c_library: Option<SyncMeasurement>,
}

impl Baseline {
    /// The figures of one method and pattern, if they were measured.
    #[must_use]
    pub fn find(&self, method: Method, pattern: Pattern) -> Option<&SyncMeasurement> {
        self.methods
            .iter()
            .find(|entry| entry.method == method && entry.pattern == pattern)
    }
}

/// The cost of one durable write, by one method and pattern.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SyncMeasurement {
    /// How each block was made durable.
    pub method: Method,
    /// Where the blocks went.
    pub pattern: Pattern,
    /// How many blocks were measured: fewer than asked for when time ran out.
    pub count: u64,
    /// Time from before the write until it was durable, in microseconds.
    pub latency_us: LatencyUs,
    /// Durable writes per second, one after another.
    pub syncs_per_second: f64,
    /// The median of each round in which it was measured in turn with the others, in
    /// microseconds. Absent in records of earlier versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub round_p50_us: Vec<f64>,
}

impl SyncMeasurement {
    /// The median, or the least of too few for one, in microseconds: slow syncs give few
    /// samples in a given time.
    #[must_use]
    pub fn typical_us(&self) -> f64 {
        self.latency_us.p50.unwrap_or(self.latency_us.min)
    }

    /// Sums up the latencies, in nanoseconds, of one method and pattern.
    pub(super) fn from_nanoseconds(
        method: Method,
        pattern: Pattern,
        latency_ns: &Histogram<u64>,
    ) -> Self {
        let mean_ns = latency_ns.mean();
        Self {
            method,
            pattern,
            count: latency_ns.len(),
            latency_us: LatencyUs::from_nanoseconds(latency_ns),
            syncs_per_second: if mean_ns > 0.0 { 1e9 / mean_ns } else { 0.0 },
            round_p50_us: Vec::new(),
        }
    }
}

/// Latencies in microseconds, each exact to three significant digits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LatencyUs {
    /// The fastest.
    pub min: f64,
    /// The arithmetic mean.
    pub mean: f64,
    /// The median; absent below 20 writes.
    pub p50: Option<f64>,
    /// The 99th percentile; absent below 1,000 writes.
    pub p99: Option<f64>,
    /// The slowest.
    pub max: f64,
}

impl LatencyUs {
    fn from_nanoseconds(latency_ns: &Histogram<u64>) -> Self {
        Self {
            min: micros(latency_ns.min()),
            mean: (latency_ns.mean()).round() / 1e3,
            p50: Percentile::P50.of(latency_ns).map(micros),
            p99: Percentile::P99.of(latency_ns).map(micros),
            max: micros(latency_ns.max()),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "2^53 nanoseconds are 104 days")]
fn micros(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measurement() -> SyncMeasurement {
        let mut latency_ns = Histogram::new(3).unwrap();
        for microseconds in 1..=100 {
            latency_ns.record_n(microseconds * 1_000, 10).unwrap();
        }
        SyncMeasurement::from_nanoseconds(Method::ODsync, Pattern::Append, &latency_ns)
    }

    fn assert_near(actual: f64, expected: f64) {
        assert!(
            (actual / expected - 1.0).abs() < 1e-3,
            "{actual} is not about {expected}"
        );
    }

    #[test]
    fn percentiles_of_a_known_distribution() {
        let SyncMeasurement {
            count,
            latency_us,
            syncs_per_second,
            ..
        } = measurement();
        assert_eq!(count, 1_000);
        assert_near(latency_us.min, 1.0);
        assert_near(latency_us.mean, 50.5);
        assert_near(latency_us.p50.unwrap(), 50.0);
        assert_near(latency_us.p99.unwrap(), 99.0);
        assert_near(latency_us.max, 100.0);
        assert_near(syncs_per_second, 1e6 / 50.5);
    }

    #[test]
    fn json_has_the_published_shape() {
        let baseline = Baseline {
            block_bytes: 4096,
            methods: vec![measurement()],
            by_c_library: None,
        };
        let json = serde_json::to_value(&baseline).unwrap();
        let entry = json["methods"][0].as_object().unwrap();
        let mut keys: Vec<_> = entry.keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(
            keys,
            [
                "count",
                "latency_us",
                "method",
                "pattern",
                "syncs_per_second"
            ]
        );
        assert_eq!(entry["method"], "o_dsync");
        assert_eq!(entry["pattern"], "append");
        let mut keys: Vec<_> = entry["latency_us"]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        keys.sort_unstable();
        assert_eq!(keys, ["max", "mean", "min", "p50", "p99"]);
        assert_eq!(serde_json::from_value::<Baseline>(json).unwrap(), baseline);
    }
}
