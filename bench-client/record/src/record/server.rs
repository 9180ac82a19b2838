//! What the server counted, and what the disk below it did.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Spread;

/// What the server counted over the window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerRow {
    /// Batches committed.
    pub commits: u64,
    /// Batches that changed at least one row.
    pub commits_that_wrote: u64,
    /// All syncs, of all files; absent where the server cannot count them.
    pub syncs: Option<u64>,
    /// Syncs inside the COMMITs of batches; absent where the server cannot count them.
    pub commit_syncs: Option<u64>,
    /// Transfers per committed batch.
    pub mean_batch: f64,
    /// Batch sizes, in transfers.
    pub batch: Option<Spread>,
    /// Per transfer: waiting for its batch to begin.
    pub wait_us: Option<Spread>,
    /// Per batch: applying.
    pub apply_us: Option<Spread>,
    /// Per batch: the COMMIT with its syncs.
    pub commit_us: Option<Spread>,
    /// Per batch: handing out the outcomes.
    pub answer_us: Option<Spread>,
    /// Per sync at COMMIT.
    pub sync_us: Option<Spread>,
    /// The same as a histogram: HdrHistogram V2, deflated, base64, in nanoseconds.
    #[serde(default)]
    pub sync_histogram: Option<String>,
    /// Bytes written by SQLite; absent where the server cannot count them.
    pub bytes_written: Option<u64>,
    /// Checkpoints of the write-ahead log; absent where the server does not make them itself.
    pub checkpoints: Option<u64>,
    /// Time spent in checkpoints, in milliseconds; absent as their number is.
    pub checkpoint_ms: Option<f64>,
    /// Of it, the time in which no batch could be committed, in milliseconds; absent in records
    /// of earlier versions, where it was all of it.
    #[serde(default)]
    pub checkpoint_stalled_ms: Option<f64>,
    /// Most transfers that waited in the queue, since the server started.
    pub queue_peak: u64,
    /// How often a connection found the server's listen backlog full since it began to listen,
    /// by the kernel's count, which is of all servers in the network namespace; absent where the
    /// server does not tell.
    #[serde(default)]
    pub listen_overflows: Option<u64>,
    /// Largest resident set of the server process, in bytes.
    pub peak_memory_bytes: Option<u64>,
    /// Bytes that the server process caused to be written to storage (from /proc, outside
    /// of the server's own counting).
    pub storage_bytes_written: Option<u64>,
    /// By how much the write-ahead log grew between two checkpoints, in bytes; absent where there
    /// is no log, and where the server does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_bytes: Option<u64>,
    /// Version of SQLite.
    pub sqlite_version: String,
    /// The pragmas as read back from the writing connection; empty of a ledger that is not in
    /// SQLite.
    pub pragmas: BTreeMap<String, String>,
    /// What stores the transfers, and what it runs with; absent in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<Engine>,
    /// Transactions that may be open at the same time; absent when the server does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writers: Option<u64>,
    /// Whether transfers of one connection are applied in the order in which they came; absent
    /// when the server does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered: Option<bool>,
    /// Transactions begun anew because they met another one; absent when there were none.
    #[serde(default, skip_serializing_if = "is_none")]
    pub retries: u64,
    /// Batches that were what a full batch left over of the transfers that came with it; absent
    /// from a server that has no such rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leftovers: Option<u64>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_none(count: &u64) -> bool {
    *count == 0
}

/// What stores the transfers of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Engine {
    /// Its name, such as `sqlite` or `postgresql`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it runs with, as read back from it; `not told` where it does not know a setting.
    pub settings: BTreeMap<String, String>,
}

/// What the block device that holds the database wrote over the whole run, for everybody: seen
/// from outside of the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Device {
    /// Name, such as `nvme0n1p2`.
    pub name: String,
    /// Writes completed.
    pub writes: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Flushes completed by the disks below it; absent where a sync need not flush (no volatile
    /// write cache) or the operating system does not count.
    pub flushes: Option<u64>,
}
