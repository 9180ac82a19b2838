//! What was swept, and the knee of a search.

use crate::figures;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Row;

/// What can be swept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Knob {
    /// Exponent of the Zipf distribution of accounts: contention.
    Alpha,
    /// Workers.
    Concurrency,
    /// Transfers in flight per worker.
    MaxInflightPerWorker,
    /// Most transfers in one transaction.
    BatchSize,
    /// How long the oldest waiting transfer waits for its batch to fill, in microseconds.
    BatchTimeout,
    /// Offered transfers per second over all workers.
    Rate,
}

impl Knob {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Alpha,
        Self::Concurrency,
        Self::MaxInflightPerWorker,
        Self::BatchSize,
        Self::BatchTimeout,
        Self::Rate,
    ];

    /// The name of its flag, without the dashes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alpha => "alpha",
            Self::Concurrency => "concurrency",
            Self::MaxInflightPerWorker => "inflight",
            Self::BatchSize => "batch-size",
            Self::BatchTimeout => "batch-timeout",
            Self::Rate => "rate",
        }
    }

    /// What a row has it at; `None` when the row does not tell.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub fn of_row(self, row: &Row) -> Option<f64> {
        match self {
            Self::Alpha => Some(row.config.workload.alpha),
            Self::Concurrency => Some(f64::from(row.config.load.concurrency)),
            Self::MaxInflightPerWorker => Some(row.config.load.max_inflight_per_worker as f64),
            Self::BatchSize => row.batch_size.map(|size| size as f64),
            Self::BatchTimeout => row.batch_timeout_us,
            Self::Rate => row.open_loop.as_ref().map(|open| open.offered_tps),
        }
    }

    /// A value as people write it.
    #[must_use]
    pub fn show(self, value: f64) -> String {
        match self {
            Self::BatchTimeout if value != 0.0 && value < 1000.0 => format!("{value}µs"),
            Self::BatchTimeout => format!("{}ms", value / 1e3),
            _ => value.to_string(),
        }
    }
}

/// One swept knob and its values, batch timeouts in microseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Axis {
    /// The knob.
    pub knob: Knob,
    /// Its values, in the order in which they are measured.
    pub values: Vec<f64>,
}

/// What a record of a sweep was asked to hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sweep {
    /// The swept knobs; none when the knee was searched.
    pub over: Vec<Axis>,
    /// Fields of the configuration that every row shares, by their names in rows.
    pub settings: BTreeMap<String, serde_json::Value>,
    /// What was different when the sweep was resumed all the same (`--resume-anyway`): the rows
    /// are then not of one environment, and the record's is that of the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resumed_despite: Vec<String>,
}

/// What the search came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KneeOutcome {
    /// A rate passes and a higher one fails.
    Found,
    /// No knee in the range: its upper end passes.
    AllPass,
    /// No knee in the range: its lower end fails.
    LowestFails,
}

/// A rate that was tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KneePoint {
    /// Offered transfers per second.
    pub rate: f64,
    /// 99th percentile of the response time, in milliseconds; absent below 1,000 transfers.
    pub p99_ms: Option<f64>,
    /// Committed transfers per second.
    pub achieved_tps: f64,
    /// Why it fails; absent when it passes.
    pub why: Option<String>,
    /// Its measurements: places among the record's rows, from 0.
    pub rows: Vec<usize>,
}

/// The highest offered rate that a server keeps up with, between two rates, or that there is
/// none to be found there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Knee {
    /// Lower end of the range.
    pub from_tps: f64,
    /// Upper end of the range.
    pub to_tps: f64,
    /// Highest 99th percentile of the response time that passes, in milliseconds.
    pub p99_limit_ms: f64,
    /// Least share of the offered transfers that must be committed.
    pub achieved_share_min: f64,
    /// What the search came to.
    pub outcome: KneeOutcome,
    /// The highest rate that passes below the lowest that fails: the knee, when one was found.
    pub passes: Option<KneePoint>,
    /// The lowest rate that fails.
    pub fails: Option<KneePoint>,
}

impl std::fmt::Display for Knee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let passes = self.passes.as_ref().map(|point| {
            let rate = figures::rate(point.rate);
            format!("{rate}/s (p99 {})", figures::in_ms(point.p99_ms))
        });
        let fails = self.fails.as_ref().map(|point| {
            let why = point.why.as_deref().unwrap_or("no reason told");
            format!("{}/s ({why})", figures::rate(point.rate))
        });
        let (passes, fails) = (passes.unwrap_or_default(), fails.unwrap_or_default());
        let (from, to) = (figures::rate(self.from_tps), figures::rate(self.to_tps));
        match self.outcome {
            KneeOutcome::Found => write!(f, "knee: {passes}, fails at {fails}"),
            KneeOutcome::AllPass => write!(
                f,
                "no knee found between {from} and {to}: all pass, the highest too, {passes}; \
                 raise --to"
            ),
            KneeOutcome::LowestFails => write!(
                f,
                "no knee found between {from} and {to}: the lowest fails already, {fails}; \
                 lower --from or raise --p99-limit"
            ),
        }
    }
}
