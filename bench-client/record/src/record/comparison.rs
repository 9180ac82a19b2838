//! The record of a comparison: base and candidate, measured in turn, and what that allows to say.

use crate::figures::{ms, rate};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Row;
use crate::host::environment::Environment;
use crate::record::naming::Naming;
use crate::statistics::{Estimate, Percentile};

/// The version of this form.
pub const COMPARISON_VERSION: u32 = 2;

/// What `compare` writes. Every ratio is candidate ÷ base.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ComparisonRecord {
    /// The version of this form.
    pub comparison_version: u32,
    /// What a person calls it.
    #[serde(flatten)]
    pub naming: Naming,
    /// Where and by what it was measured.
    pub environment: Environment,
    /// A, what is compared with.
    pub base: Side,
    /// B, what is judged.
    pub candidate: Side,
    /// What the two sides set differently: what is compared, or what `--allow-unlike` let pass.
    pub differences: Vec<Difference>,
    /// The pairs, in the order in which they were measured.
    pub rounds: Vec<Round>,
    /// One entry per metric.
    pub metrics: Vec<MetricComparison>,
    /// Metrics that were not compared, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_compared: Vec<NotCompared>,
    /// What differences this machine makes by itself: runs of the same side held against each
    /// other.
    pub noise_floor: Vec<NoiseFloor>,
    /// The gates that were asked for, in that order.
    pub gates: Vec<GateResult>,
    /// Why no further round was measured.
    pub stopped: Stopped,
    /// How narrow intervals were to be (`--until-precision`): 0.02 is ± 2 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<f64>,
    /// A side compared with itself before (`--calibrate`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// Every run of both sides, in the order in which they were measured (those of a baseline
    /// first).
    pub rows: Vec<Row>,
    /// Whether every run of both sides is valid.
    pub valid: bool,
}

/// One of the two sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Side {
    /// As it was given: `sqlite_ws_rpc,batch-size=1000`, or the name of a baseline.
    pub label: String,
    /// Hash over everything that makes rows comparable.
    pub fingerprint: String,
    /// Where its figures come from: a baseline's file, absent when it was measured here and now.
    pub baseline: Option<String>,
}

/// A field in which the two sides differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// Its name, that of the flag where there is one.
    pub field: String,
    /// The base's value.
    pub base: String,
    /// The candidate's value.
    pub candidate: String,
}

/// One pair of runs, next to each other in time and with the same seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Round {
    /// Place of the base's run among the rows, from 0.
    pub base_row: usize,
    /// Place of the candidate's.
    pub candidate_row: usize,
    /// Whether the base was measured first: rounds alternate (ABBA), so that drift hits both.
    pub base_first: bool,
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Committed transfers per second: more is better.
    Tps,
    /// Median latency: less is better.
    P50,
    /// 95th percentile: less is better.
    P95,
    /// 99th percentile: less is better.
    P99,
}

impl Metric {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 4] = [Self::Tps, Self::P50, Self::P95, Self::P99];

    /// `tps`, `p50`, `p95`, `p99`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tps => "tps",
            Self::P50 => "p50",
            Self::P95 => "p95",
            Self::P99 => "p99",
        }
    }

    /// The percentile that it is; `None` for throughput.
    #[must_use]
    pub const fn percentile(self) -> Option<Percentile> {
        match self {
            Self::Tps => None,
            Self::P50 => Some(Percentile::P50),
            Self::P95 => Some(Percentile::P95),
            Self::P99 => Some(Percentile::P99),
        }
    }

    /// Whether more is better.
    #[must_use]
    pub const fn more_is_better(self) -> bool {
        matches!(self, Self::Tps)
    }

    /// The value of a row: transfers per second, or milliseconds. `None` for a percentile of
    /// too few transfers.
    #[must_use]
    pub fn of(self, row: &Row) -> Option<f64> {
        match self {
            Self::Tps => Some(row.tps),
            Self::P50 => row.latency_ms.p50,
            Self::P95 => row.latency_ms.p95,
            Self::P99 => row.latency_ms.p99,
        }
    }
}

/// What can be said of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// The candidate is better.
    Faster,
    /// The candidate is worse.
    Slower,
    /// Any difference is smaller than this share (0.02 is 2 %).
    NoDifference {
        /// The larger end of the interval's distance from 1.
        within: f64,
    },
    /// The interval is too wide to say either.
    Inconclusive {
        /// About how many more rounds it would take; absent when there is nothing to go by.
        more_rounds: Option<u32>,
    },
}

/// One metric of both sides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MetricComparison {
    /// Which.
    pub metric: Metric,
    /// The base's runs; transfers per second, or milliseconds.
    pub base: Estimate,
    /// The candidate's runs.
    pub candidate: Estimate,
    /// Candidate ÷ base, paired.
    pub ratio: f64,
    /// Lower end of its interval.
    pub low: f64,
    /// Upper end of its interval.
    pub high: f64,
    /// Confidence level of the interval, corrected for looking at several metrics.
    pub confidence: f64,
    /// What can be said.
    pub change: Change,
}

impl MetricComparison {
    /// Half the width of the interval, as a share of the ratio: 0.02 for ± 2 %.
    #[must_use]
    pub fn half_width(&self) -> f64 {
        ((self.high / self.low).ln() / 2.0).exp_m1()
    }
}

/// A metric that was not compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotCompared {
    /// Which.
    pub metric: Metric,
    /// Why, and what to do about it.
    pub why: String,
}

/// What one metric does between runs of the same side.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NoiseFloor {
    /// Which.
    pub metric: Metric,
    /// Pairs of neighbouring runs of the same side.
    pub pairs: u32,
    /// Typical difference of such a pair: 0.03 is 3 %. Median of the absolute log ratio.
    pub typical: f64,
    /// Half width of the interval that a comparison of A with A of as many rounds has here:
    /// effects below it cannot be seen. Absent when the comparison beside it has seen a smaller
    /// one, which refutes it.
    pub smallest_effect: Option<f64>,
}

/// A comparison of a side with itself: whatever it shows, the machine does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Calibration {
    /// The side as it was given.
    pub label: String,
    /// Pairs of runs.
    pub rounds: u32,
    /// One entry per metric, as of two sides.
    pub metrics: Vec<MetricComparison>,
}

/// A gate and how it ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GateResult {
    /// As it was given: `tps<-5%`.
    pub gate: String,
    /// What it is about.
    pub metric: Metric,
    /// How it ended.
    pub outcome: GateOutcome,
    /// What was found, in words.
    pub message: String,
    /// Places of the rows that were held against it, among those of the record, from 0; none of a
    /// comparison.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<usize>,
}

/// How a gate ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateOutcome {
    /// The whole interval is beyond the threshold: the build fails.
    Failed,
    /// The whole interval is on the good side.
    Passed,
    /// The threshold is inside the interval: nothing is proven, the build does not fail.
    Undecided,
}

/// Why no further round was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stopped {
    /// The asked number was done.
    Rounds,
    /// The asked precision was reached.
    Precision,
    /// The time was over.
    TimeLimit,
    /// Stopped from outside.
    Interrupted,
    /// A run was invalid.
    Invalid,
}

impl Metric {
    /// `TPS`, `p50`, `p95`, `p99`.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Tps => "TPS",
            Self::P50 => "p50",
            Self::P95 => "p95",
            Self::P99 => "p99",
        }
    }

    /// With the unit: `TPS`, `p99 ms`.
    #[must_use]
    pub const fn with_unit(self) -> &'static str {
        match self {
            Self::Tps => "TPS",
            Self::P50 => "p50 ms",
            Self::P95 => "p95 ms",
            Self::P99 => "p99 ms",
        }
    }

    /// The unit of its values: `TPS` or `ms`.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Tps => "TPS",
            Self::P50 | Self::P95 | Self::P99 => "ms",
        }
    }

    /// A value without its unit.
    #[must_use]
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Tps => rate(value),
            Self::P50 | Self::P95 | Self::P99 => ms(value),
        }
    }
}
