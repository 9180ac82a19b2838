//! Where the time of a transfer goes, and where the time of a second goes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A stage of a transfer, in the order in which it passes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// In the client, from the intended start until it was submitted. Closed loop: nothing.
    ClientQueue,
    /// There and back between client and server, as it takes with the null server at the same
    /// load: encoding, sockets, wake-ups.
    Wire,
    /// In the server, from the beginning of the turn that read it until it was queued.
    Read,
    /// In the server's queue, until its batch began.
    Wait,
    /// Its batch being applied.
    Apply,
    /// Its batch's COMMIT without the syncs: writing pages.
    CommitWrite,
    /// The syncs of its batch's COMMIT: what the disk takes.
    Sync,
    /// From the end of the COMMIT until the answer was given to the operating system.
    Answer,
    /// What is left: the mean latency less all of the above. Below zero by a little when the
    /// null server was slower than the real one.
    Unexplained,
}

impl Stage {
    /// In words.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::ClientQueue => "client queue",
            Self::Wire => "wire",
            Self::Read => "server reads",
            Self::Wait => "wait for the batch",
            Self::Apply => "apply",
            Self::CommitWrite => "commit, writing",
            Self::Sync => "sync",
            Self::Answer => "answer",
            Self::Unexplained => "unexplained",
        }
    }
}

/// One stage of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StageTime {
    /// Which.
    pub stage: Stage,
    /// Arithmetic mean over the transfers of the window, in microseconds. These add up to the
    /// mean latency.
    pub mean_us: f64,
    /// Median, in microseconds, where the distribution is known and holds 20 transfers. Medians
    /// do not add up.
    pub p50_us: Option<f64>,
    /// 99th percentile, likewise, from 1,000 transfers on.
    pub p99_us: Option<f64>,
}

/// What the writer did in a second, in milliseconds: the parts sum up to 1,000.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SecondBudget {
    /// Asleep in the syncs of COMMITs.
    pub sync_ms: f64,
    /// In COMMITs besides their syncs.
    pub commit_write_ms: f64,
    /// Applying transfers.
    pub apply_ms: f64,
    /// Handing out outcomes.
    pub answer_ms: f64,
    /// Standing still in checkpoints of the write-ahead log.
    pub checkpoint_ms: f64,
    /// Waiting for work, or for a batch to fill.
    pub idle_ms: f64,
}

/// The time budget of a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Budget {
    /// Mean latency of committed transfers, in microseconds: what the stages sum up to.
    pub mean_us: f64,
    /// The stages, in the order in which a transfer passes them; none when together they are
    /// longer than the mean latency.
    pub stages: Vec<StageTime>,
    /// A second of the writer thread; absent when its parts are more than a second.
    pub second: Option<SecondBudget>,
    /// What is left out since the figures beside it refute it, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withheld: Vec<String>,
}
