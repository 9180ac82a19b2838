//! The record of an audit of durability: whether a server syncs before it answers, as it is seen
//! from outside.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use crate::config::target_file::Promise;
use crate::config::{ConnectorKind, Encoding};
use crate::host::environment::Environment;
use crate::record::naming::Naming;

/// The version of this form.
pub const AUDIT_VERSION: u32 = 1;

/// What follows from all checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DurabilityVerdict {
    /// No answer left before a sync had covered what was written for its transfer.
    #[serde(rename = "durable")]
    Durable,
    /// Transfers are acknowledged that a power cut may take back.
    #[serde(rename = "not durable")]
    NotDurable,
    /// Transfers are acknowledged and nothing is stored.
    #[serde(rename = "fake")]
    Fake,
    /// What was seen shows neither.
    #[serde(rename = "cannot tell")]
    CannotTell,
}

impl DurabilityVerdict {
    /// As records and people have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Durable => "durable",
            Self::NotDurable => "not durable",
            Self::Fake => "fake",
            Self::CannotTell => "cannot tell",
        }
    }
}

/// What the server was watched with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WatchedWith {
    /// Its system calls, seen and changed by `strace`.
    Strace,
    /// `/proc/PID/io` of its processes and the counters of the block device, which others use as
    /// well: they can show that something is not stored, and never that it is.
    Counters,
}

/// What is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckKind {
    /// One transfer in flight: is what was written for it synced when its answer leaves?
    SyncedBeforeAnswer,
    /// Each sync takes longer: does an answer come sooner?
    SlowedSync,
    /// A sync fails: is what it should have covered acknowledged?
    FailedSync,
    /// Many in flight: does each answer follow a sync, and how many share one?
    SharedSyncs,
    /// The server is killed and started again: is what it acknowledged there?
    Restart,
    /// The counters of processes and device: is anything written and flushed at all?
    Counters,
}

impl CheckKind {
    /// As records have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SyncedBeforeAnswer => "synced_before_answer",
            Self::SlowedSync => "slowed_sync",
            Self::FailedSync => "failed_sync",
            Self::SharedSyncs => "shared_syncs",
            Self::Restart => "restart",
            Self::Counters => "counters",
        }
    }
}

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckOutcome {
    /// Nothing speaks against it.
    Passed,
    /// Something acknowledged is not durable.
    Failed,
    /// It was done and says nothing.
    ShowsNothing,
    /// It was not done.
    Skipped,
}

impl CheckOutcome {
    /// As people read it.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "FAILED",
            Self::ShowsNothing => "shows nothing",
            Self::Skipped => "skipped",
        }
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// Which.
    pub check: CheckKind,
    /// What it came to.
    pub outcome: CheckOutcome,
    /// The same in a sentence, with its figures.
    pub message: String,
    /// Its figures by name; those that end in `_ms` are milliseconds, the others counts.
    pub figures: BTreeMap<String, f64>,
}

impl Check {
    /// A check without figures.
    #[must_use]
    pub fn new(check: CheckKind, outcome: CheckOutcome, message: impl Into<String>) -> Self {
        Self {
            check,
            outcome,
            message: message.into(),
            figures: BTreeMap::new(),
        }
    }

    /// The same with figures.
    #[must_use]
    pub fn with(mut self, figures: impl IntoIterator<Item = (&'static str, f64)>) -> Self {
        let figures = figures.into_iter();
        self.figures
            .extend(figures.map(|(name, figure)| (name.to_owned(), figure)));
        self
    }
}

/// What was done to a file between the first request of a transfer and the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileTally {
    /// Its name, without its directories.
    pub file: String,
    /// Transfers during which it was written, one in flight.
    pub transfers: u64,
    /// Bytes written to it meanwhile.
    pub bytes: u64,
    /// Syncs of it that succeeded.
    pub syncs: u64,
    /// Of the transfers during which it was written, those whose answer left before a sync had
    /// covered that.
    pub not_synced: u64,
}

/// What was audited. Two audits are of the same server when name, version and settings are the
/// same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditedTarget {
    /// The target's name: the connector's, for a server of this project.
    pub name: String,
    /// Its version, where that is known.
    pub version: Option<String>,
    /// Its knobs; of a command that starts it a hash, and one of its files.
    pub settings: BTreeMap<String, Value>,
    /// How requests travelled.
    pub connector: ConnectorKind,
    /// How transfers were written.
    pub encoding: Encoding,
    /// The durability mode as the server says it; absent for one that does not tell.
    pub durability: Option<String>,
    /// What it promises.
    pub promise: Promise,
}

/// Syncs and bytes of the transfers that were made one after another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PerAcknowledgement {
    /// Acknowledged transfers.
    pub acknowledged: u64,
    /// Syncs per acknowledged transfer. Where only counters are, flushes of the device.
    pub syncs: Option<f64>,
    /// Bytes written to files per acknowledged transfer.
    pub bytes: Option<f64>,
    /// Syncs by call: those of the names in the manual, and `O_DSYNC` for writes that sync.
    pub by_call: BTreeMap<String, u64>,
}

/// What `audit` writes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AuditRecord {
    /// The version of this form.
    pub audit_version: u32,
    /// What a person calls it.
    #[serde(flatten)]
    pub naming: Naming,
    /// Where and by what it was done.
    pub environment: Environment,
    /// What was audited.
    pub target: AuditedTarget,
    /// What follows.
    pub verdict: DurabilityVerdict,
    /// Why, in a sentence or two.
    pub because: String,
    /// What the server was watched with.
    pub watched_with: WatchedWith,
    /// Why it could not be watched with `strace`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_traced: Option<String>,
    /// Transfers that share a sync when many are in flight; absent where nothing was synced or
    /// syncs could not be seen.
    pub transfers_per_sync: Option<f64>,
    /// Syncs and bytes when one is in flight; absent when nothing was acknowledged.
    pub per_acknowledgement: Option<PerAcknowledgement>,
    /// What was checked, in order.
    pub checks: Vec<Check>,
    /// The files that were written, most often written first.
    pub files: Vec<FileTally>,
    /// The random seed that amounts were drawn from.
    pub seed: u64,
    /// Where traces and database were kept (`--keep`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
    /// It was stopped from outside: not all was checked.
    pub interrupted: bool,
}

impl AuditRecord {
    /// What a row repeats of it.
    #[must_use]
    pub fn beside_a_row(&self) -> RowAudit {
        RowAudit {
            verdict: self.verdict,
            at: self.environment.started_at.clone(),
        }
    }
}

/// What the last audit of a row's server came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RowAudit {
    /// Its verdict.
    pub verdict: DurabilityVerdict,
    /// When it began.
    pub at: String,
}
