//! The record of a run: what `--json` prints and `results/` keeps. Its JSON Schema is
//! `docs/record.schema.json`.
//!
//! The record is a form apart from what is measured in memory: it changes only with
//! [`SCHEMA_VERSION`].

mod apply;
mod budget;
pub mod comparison;
pub mod crash_states;
pub mod durability;
mod findings;
pub mod fsync;
mod generator;
mod last_audit;
mod latency;
pub mod load_record;
mod machine;
pub mod naming;
mod prediction;
mod read_error;
mod reproduction;
pub mod series;
mod server;
mod server_end;
mod shard;
pub mod sides;
mod spec;
pub mod standing;
mod sweep;
pub mod torture;
mod verdict;
mod verification;

pub use apply::with_apply;
pub use budget::{Budget, SecondBudget, Stage, StageTime};
pub use generator::{Generator, LittlesLaw, StandStill, WindowEdges};
pub use last_audit::{AuditKey, last_audit};
pub use latency::{Latency, Spread, between, difference};
pub use machine::{Cpu, ProcessorSpeed, Stalls, Throttled};
pub use prediction::{Bottleneck, Limit, Prediction};
pub use reproduction::{Comparison, Edition, Reproduction, SkippedPeer, VendorFigure};
pub use server::{Device, Engine, ServerRow};
pub use server_end::ServerEnd;
pub use shard::{ClockOffset, ShardRow};
pub use spec::{SpecError, VALUES_MAX};
pub use sweep::{Axis, Knee, KneeOutcome, KneePoint, Knob, Sweep};
pub use verdict::{Verdict, VerdictCode};
pub use verification::{AppliedBy, BalancesBefore, Verification};

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{Arrival, RunConfig};
use crate::disk::Baseline;
use crate::host::environment::{Environment, Sqlite};
use crate::output::{self, Existing};
use crate::statistics::{Estimate, SteadyState};
use comparison::GateResult;
use durability::RowAudit;
use naming::Naming;
use series::Interval;

/// The version of the record's form. Records of earlier versions are not read: they lack the
/// configuration of their rows.
pub const SCHEMA_VERSION: u32 = 3;

/// Everything that one invocation measured.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// The version of this form.
    pub schema_version: u32,
    /// What a person calls it.
    #[serde(flatten)]
    pub naming: Naming,
    /// Where and by what it was measured.
    pub environment: Environment,
    /// One row per combination of connector and knobs.
    pub rows: Vec<Row>,
    /// Repetitions of the same row, taken together (`--runs`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub summaries: Vec<Summary>,
    /// What the gates of its rows came to (`run --fail-if`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateResult>,
    /// What was swept (`sweep`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<Sweep>,
    /// The highest rate that the server keeps up with (`sweep --find-knee`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub knee: Option<Knee>,
}

impl Record {
    /// A record without rows.
    #[must_use]
    pub fn new(environment: Environment) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            naming: Naming::default(),
            environment,
            rows: Vec::new(),
            summaries: Vec::new(),
            gates: Vec::new(),
            sweep: None,
            knee: None,
        }
    }

    /// Adds a row.
    pub fn push(&mut self, row: Row) {
        let is_sqlite = |server: &&ServerRow| {
            let engine = server.engine.as_ref();
            engine.is_none_or(|engine| engine.name == "sqlite")
        };
        if let Some(server) = row.server.as_ref().filter(is_sqlite) {
            self.environment.sqlite.get_or_insert_with(|| Sqlite {
                version: server.sqlite_version.clone(),
                pragmas: server.pragmas.clone(),
            });
        }
        self.rows.push(row);
    }

    /// Writes the record as a whole or not at all.
    ///
    /// # Errors
    /// The directory cannot be written to.
    pub fn write_to(&self, path: &Path) -> std::io::Result<()> {
        write_json(path, self)
    }
}

/// Writes a value as JSON into a file that is complete at every moment, or into a device.
///
/// # Errors
/// The directory cannot be written to.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> std::io::Result<()> {
    output::write_json(path, value, Existing::Replaced)
}

/// One measurement.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// What was asked for: workload, load, verification and target.
    #[serde(flatten)]
    pub config: RunConfig,
    /// `http` or `ws`.
    pub transport: String,
    /// Where the server listened, without credentials and query; absent in records of earlier
    /// versions.
    #[serde(default)]
    pub server_url: Option<String>,
    /// What the server calls itself: name and version by `info`, else the header `Server` or
    /// `X-Powered-By` of an answer over HTTP; absent when it does not say.
    #[serde(default)]
    pub server_name: Option<String>,
    /// The durability mode as the server read it back from SQLite; `unknown` for a server
    /// that does not tell.
    pub durability: String,
    /// How the server applied a batch, as it says: `per-transfer` or `coalesced`; absent for a
    /// server that does not tell, and in records of earlier versions, which knew but the first.
    #[serde(default)]
    pub apply: Option<String>,
    /// Most transfers in one transaction.
    pub batch_size: Option<u64>,
    /// How long the oldest transfer may wait for its batch to fill, in microseconds; 0 is
    /// natural batching.
    pub batch_timeout_us: Option<f64>,
    /// Bytes of a page of the database, as the server read it back from SQLite; absent for a
    /// server that does not tell, and in records of earlier versions, where it is among the
    /// pragmas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_size: Option<u32>,
    /// Length of the measured window in seconds, as it was.
    pub seconds: f64,
    /// Committed transfers per second of the window.
    pub tps: f64,
    /// Transfers acknowledged inside the window.
    pub committed: u64,
    /// Transfers rejected inside the window.
    pub rejected: u64,
    /// The same by error code.
    pub rejected_by_reason: BTreeMap<String, u64>,
    /// Transfers inside the window that are known not to be committed.
    pub failed: u64,
    /// The same by error code.
    pub failed_by_reason: BTreeMap<String, u64>,
    /// Transfers inside the window whose outcome is unknown.
    pub unknown: u64,
    /// Latency of committed transfers, from the intended start to the answer.
    pub latency_ms: Latency,
    /// The same as a histogram: HdrHistogram V2, deflated, base64, in nanoseconds.
    pub latency_histogram: String,
    /// From sending to the answer, under `--rate`.
    #[serde(default)]
    pub service_ms: Option<Latency>,
    /// From the intended start to the answer, under `--rate`: the same as `latency_ms`.
    #[serde(default)]
    pub response_ms: Option<Latency>,
    /// Service times as a histogram, like `latency_histogram`, under `--rate`.
    #[serde(default)]
    pub service_histogram: Option<String>,
    /// Offered against achieved, under `--rate`; absent in a closed loop, whose latency does
    /// not show what would have waited while the server stood still.
    #[serde(default)]
    pub open_loop: Option<OpenLoop>,
    /// Which repetition of the same row this is (`--runs`).
    #[serde(default)]
    pub repetition: Option<Repetition>,
    /// Hash over workload, knobs, storage and machine: rows with the same one can be compared
    /// with each other, whenever they were measured.
    #[serde(default)]
    pub fingerprint: Option<String>,
    /// What the last `audit` of this server, with these knobs, came to; absent when there is none
    /// among the records of `results/runs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<RowAudit>,
    /// The machines that put on the load, where it were several (`merge`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shards: Vec<ShardRow>,
    /// The window, interval by interval.
    #[serde(default)]
    pub intervals: Vec<Interval>,
    /// Share of the submitted transfers that named an account in flight.
    pub collision_rate: f64,
    /// `global` with one client thread, else `per client thread`: a lower bound.
    pub collision_scope: String,
    /// The server's own counters over the window; absent for a server without `stats`.
    pub server: Option<ServerRow>,
    /// Libraries that are loaded before the C library into the server (`LD_PRELOAD`,
    /// `/etc/ld.so.preload`): file names; absent for a server whose process cannot be looked at.
    #[serde(default)]
    pub server_preload: Option<Vec<String>>,
    /// How the server ended, if this program started it; absent in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_end: Option<ServerEnd>,
    /// Processor time over the window.
    pub cpu: Cpu,
    /// For how long something had to wait; absent where the kernel does not count it.
    #[serde(default)]
    pub stalls: Option<Stalls>,
    /// How fast a processor computed before and after; absent in records of earlier versions.
    #[serde(default)]
    pub processor_speed: Option<ProcessorSpeed>,
    /// What the block device wrote meanwhile; absent where there is none to ask.
    #[serde(default)]
    pub device: Option<Device>,
    /// Sync latency of the database's directory before and after.
    pub sync_baseline: BeforeAndAfter,
    /// What was checked, over warm-up, window and drain together.
    pub verify: Verification,
    /// Sessions that were opened again.
    pub reconnects: u64,
    /// Answers that came after their transfer's timeout.
    pub late_answers: u64,
    /// Answers that contradicted themselves, such as `ok` with an HTTP status of failure: their
    /// transfers are of unknown outcome.
    #[serde(default)]
    pub contradictory_answers: u64,
    /// Keep-alive connections that the server had closed while nothing was asked on them, and
    /// that were replaced before anything was sent.
    #[serde(default)]
    pub idle_reconnects: u64,
    /// What became of transfers of unknown outcome, under `--exactly-once`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exactly_once: Option<ExactlyOnce>,
    /// Why sessions broke: the first few reasons.
    pub errors: Vec<String>,
    /// The measurement was stopped from outside.
    pub interrupted: bool,
    /// Where the time went.
    #[serde(default)]
    pub budget: Option<Budget>,
    /// What the group-commit model says this row should have done.
    #[serde(default)]
    pub prediction: Option<Prediction>,
    /// How busy the load generator was.
    #[serde(default)]
    pub generator: Option<Generator>,
    /// Throughput, latency and what was in flight, held against each other.
    #[serde(default)]
    pub littles_law: Option<LittlesLaw>,
    /// Whether the warm-up had ended when the window opened.
    #[serde(default)]
    pub steady_state: Option<SteadyState>,
    /// What crossed the ends of the window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_edges: Option<WindowEdges>,
    /// The longest time in which nothing was committed, if it was notable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stand_still: Option<StandStill>,
    /// What the numbers say about themselves.
    pub verdicts: Vec<Verdict>,
    /// Whether the row may be quoted.
    pub valid: bool,
}

/// The offered load of an open loop, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OpenLoop {
    /// How intended starts are spaced.
    pub arrival: Arrival,
    /// Transfers per second that were asked for, over all workers.
    pub offered_tps: f64,
    /// Transfers whose intended start was inside the window.
    pub offered: u64,
    /// Of those, committed per second of the window, also when the answer came after it.
    pub achieved_tps: f64,
    /// A transfer answered later than this after its intended start is late, in milliseconds.
    pub latency_limit_ms: Option<f64>,
    /// Committed, but later than the limit allows.
    pub late: u64,
    /// Not sent, because the limit had passed before there was room to send it.
    pub skipped: u64,
    /// Due inside the window and never sent: no room until the window ended.
    pub dropped: u64,
    /// How late the generator was with transfers that there was room for, in microseconds.
    pub schedule_lag_us: Option<Spread>,
}

/// Transfers of unknown outcome that were sent again with the same id, over warm-up, window and
/// drain together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExactlyOnce {
    /// A transfer is sent again for this long after it became unknown, in seconds.
    pub resolve_timeout_seconds: f64,
    /// And this often at most.
    pub resolve_tries: u32,
    /// Transfers that had an outcome after all.
    pub resolved: u64,
    /// Transfers that stay unknown.
    pub unknown: u64,
    /// How often transfers were sent again.
    pub sent_again: u64,
}

/// One of several measurements of the same row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Repetition {
    /// From 1.
    pub number: u32,
    /// How many there are to be.
    pub of: u32,
}

/// Repetitions of the same row, taken together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Places of the repetitions among the record's rows, from 0. Invalid and interrupted ones
    /// are left out.
    pub rows: Vec<usize>,
    /// Committed transfers per second.
    pub tps: Estimate,
    /// Median latency in milliseconds; like the other percentiles absent when one of the
    /// repetitions had too few transfers to tell it.
    pub p50_ms: Option<Estimate>,
    /// 95th percentile in milliseconds.
    pub p95_ms: Option<Estimate>,
    /// 99th percentile in milliseconds.
    pub p99_ms: Option<Estimate>,
    /// Why nothing should be concluded from them, and what to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<Verdict>,
}

/// The disk's sync latency around a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct BeforeAndAfter {
    /// Before the server was started.
    pub before: Option<Baseline>,
    /// After it was stopped.
    pub after: Option<Baseline>,
}

/// Records for tests.
#[cfg(any(test, feature = "fixtures"))]
#[allow(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "for tests, which panic"
)]
pub mod fixtures {
    use super::{Arrival, OpenLoop, Row};

    /// A row as a record has it.
    #[must_use]
    pub fn row() -> Row {
        let text = include_str!("../../../tests/records/reproduce.json");
        let record: serde_json::Value = serde_json::from_str(text).unwrap();
        let mut rows = record["rows"].as_array().unwrap().iter();
        let valid = rows.find(|row| row["valid"] == true && row["connector"] == "sqlite_ws_rpc");
        let mut row: Row = serde_json::from_value(valid.unwrap().clone()).unwrap();
        row.config.name = None;
        row
    }

    /// An open loop at this rate that kept up.
    #[must_use]
    pub fn open(rate: f64) -> OpenLoop {
        OpenLoop {
            arrival: Arrival::Poisson,
            offered_tps: rate,
            offered: 0,
            achieved_tps: rate,
            latency_limit_ms: Some(10.0),
            late: 0,
            skipped: 0,
            dropped: 0,
            schedule_lag_us: None,
        }
    }
}
