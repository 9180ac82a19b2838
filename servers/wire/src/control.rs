//! What the control plane's methods answer. Everything but transfers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The answer of `health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `ok`, or `degraded`: it serves, and something is wrong.
    pub status: String,
    /// What is wrong; none when nothing is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub troubles: Vec<String>,
}

/// The answer of `getAccount` for an account that exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The account.
    pub id: i64,
    /// Its balance as a decimal string: JavaScript's numbers end at 2^53.
    pub balance: String,
}

/// The answer of `verify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Verification {
    /// There is nothing to compare with, so nothing can be said.
    Skipped {
        /// Always true.
        skipped: bool,
    },
    /// Money is conserved and something changed.
    Verified {
        /// How many accounts there are.
        accounts: String,
        /// The sum of all balances.
        total: String,
        /// How many balances differ from the initial balance; compared with the opening, the
        /// fewest that can: 0 or 2.
        changed: String,
        /// `opening` when the initial balance is not known: compared with what was there when
        /// the server opened the ledger.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        compared_with: Option<String>,
    },
}

/// What stores the transfers of a server, whatever it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineInfo {
    /// Its name, such as `sqlite`; `null` where nothing is stored.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it runs with, as read back from it.
    pub settings: BTreeMap<String, String>,
}

/// The answer of `info`: what the server is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Info {
    /// The server's name.
    pub server: String,
    /// The server's version.
    pub version: String,
    /// `http` or `ws`.
    pub transport: String,
    /// The encodings that it understands.
    pub encodings: Vec<String>,
    /// What stores the transfers; absent from a server of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineInfo>,
    /// The durability mode as the pragmas that were read back show it; `custom` for
    /// values that belong to no mode. A server that discards writes says `discard-writes`,
    /// whatever pragmas it runs with.
    pub durability: String,
    /// Of an engine in SQLite the pragmas as read back from the writing connection, which are the
    /// settings of [`engine`](Self::engine); empty of another.
    pub pragmas: BTreeMap<String, String>,
    /// By how much the write-ahead log grows between two checkpoints, in bytes; absent where
    /// there is no log, and from a server of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_bytes: Option<u64>,
    /// The version of the SQLite that is linked in.
    pub sqlite_version: String,
    /// The database file, as the server was told it.
    pub database: String,
    /// Most transfers in one transaction.
    pub batch_size: u64,
    /// How long the oldest waiting transfer may wait for the batch to fill,
    /// in microseconds; 0 is natural batching.
    pub batch_timeout_us: f64,
    /// How a batch is applied: `per-transfer` or `coalesced`; absent where nothing is applied, and
    /// from servers of earlier versions, which apply transfer by transfer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apply: Option<String>,
    /// How many transactions are open at the same time; absent from servers of earlier versions,
    /// which have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writers: Option<u64>,
    /// Whether transfers of one connection are applied in the order in which they came; absent
    /// from servers of earlier versions, which keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered: Option<bool>,
    /// Most transfers that may be queued.
    pub queue_transfers: u64,
    /// Most transfers in flight on one connection; past it the server stops reading.
    pub max_inflight_per_connection: u64,
    /// Whether a transfer that is sent again with the same id is applied once; absent from a
    /// server that does not know ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exactly_once: Option<bool>,
    /// How long ids are remembered, at least, in seconds; absent where they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_horizon_seconds: Option<f64>,
    /// The server's process id.
    pub pid: u32,
    /// Whether it speaks TLS; `None` for a server of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<bool>,
    /// Whether requests must carry a token; `None` for a server of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticated: Option<bool>,
    /// What the server's clock said when it answered, in microseconds since 1970; absent from a
    /// server of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_unix_us: Option<u64>,
}

impl Info {
    /// Bytes of a page of the database, as read back.
    #[must_use]
    pub fn page_bytes(&self) -> Option<u32> {
        self.pragmas.get("page_size")?.parse().ok()
    }
}

/// The distribution of one quantity since the server started.
///
/// The histogram allows a reader to subtract an earlier answer from a later one and so
/// get exact counts for the time between. Of answers without histograms, `count` and `sum`
/// can be subtracted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// How many values.
    pub count: u64,
    /// Their exact sum, in the unit of the quantity.
    pub sum: u64,
    /// `HdrHistogram` V2, deflated, base64; three significant digits. Empty when `stats`
    /// was asked for without histograms.
    pub histogram: String,
}

/// Counts of syncs (fsync or fdatasync) by what was synced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncsByFile {
    /// Of the database file.
    pub database: u64,
    /// Of the write-ahead log.
    pub wal: u64,
    /// Of the rollback journal.
    pub journal: u64,
    /// Of the directory that holds them.
    pub directory: u64,
    /// Of anything else.
    pub other: u64,
}

impl SyncsByFile {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.database + self.wal + self.journal + self.directory + self.other
    }
}

/// Bytes that SQLite wrote, by file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BytesByFile {
    /// To the database file.
    pub database: u64,
    /// To the write-ahead log.
    pub wal: u64,
    /// To the rollback journal.
    pub journal: u64,
    /// To anything else.
    pub other: u64,
}

impl BytesByFile {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.database + self.wal + self.journal + self.other
    }
}

/// Checkpoints that the engine ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoints {
    /// How many were tried.
    pub count: u64,
    /// How many failed.
    pub errors: u64,
    /// How long they took together, in nanoseconds.
    pub duration_ns: u64,
    /// Of it, the time in which no batch could be committed, in nanoseconds; none from a server
    /// that does not tell, and before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stalled_ns: Option<u64>,
    /// Syncs that they made.
    pub syncs: u64,
    /// How long the write-ahead log was at the end of the last one, in bytes; 0 before the first.
    #[serde(default)]
    pub log_bytes: u64,
    /// The most that it was at the end of one.
    #[serde(default)]
    pub log_peak_bytes: u64,
}

impl Checkpoints {
    /// The time in which no batch could be committed, in nanoseconds. All of it where the server
    /// does not tell: such servers checkpoint between batches.
    #[must_use]
    pub fn stalled_ns(&self) -> u64 {
        self.stalled_ns.unwrap_or(self.duration_ns)
    }
}

/// What the bounded queue saw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueStats {
    /// Transfers waiting now.
    pub depth: u64,
    /// The most that ever waited.
    pub peak: u64,
    /// Transfers refused because the queue was full.
    pub overloaded: u64,
}

/// The stages of a transfer inside the engine. All in nanoseconds but the batch size.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stages {
    /// Per transfer: from entering the queue until its batch began.
    pub wait_ns: Distribution,
    /// Per batch: from BEGIN until the last transfer was applied.
    pub apply_ns: Distribution,
    /// Per batch: the COMMIT, its syncs included.
    pub commit_ns: Distribution,
    /// Per batch: handing the outcomes to the front end.
    pub answer_ns: Distribution,
    /// Per sync at COMMIT.
    pub sync_ns: Distribution,
    /// Transfers per batch.
    pub batch_size: Distribution,
}

/// The stages of a transfer as the transfers see them: every value counts once per transfer
/// that went through it, so that means add up to a transfer's time in the server. All in
/// nanoseconds.
///
/// In the order of a transfer's way: `read_ns`, then `wait_ns` of [`Stages`], then
/// `apply_ns`, `commit_write_ns`, `sync_ns`, and `reply_ns`, which has `answer_ns` in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TransferStages {
    /// From the beginning of the turn in which the server read it from its connection until
    /// all transfers of that turn were queued.
    pub read_ns: Distribution,
    /// Its whole batch's time from BEGIN until the last transfer was applied.
    pub apply_ns: Distribution,
    /// The COMMIT of its batch less the syncs in it.
    pub commit_write_ns: Distribution,
    /// All syncs of its batch's COMMIT together; 0 when there was none.
    pub sync_ns: Distribution,
    /// Handing the outcomes of its whole batch to the front end.
    pub answer_ns: Distribution,
    /// From the beginning of that handing out until its answer was given to the operating
    /// system (WebSocket: flushed; HTTP: the response was handed to the HTTP library).
    pub reply_ns: Distribution,
}

/// What is remembered of transfers with an id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferIds {
    /// Ids whose first outcome is known now.
    pub remembered: u64,
    /// Transfers whose id was known, answered as the first time.
    pub repeated: u64,
    /// Transfers whose id was known, of another transfer.
    pub conflicts: u64,
}

/// What the sockets of the server saw since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkStats {
    /// How often a connection found the listen backlog full, of all servers in the same network
    /// namespace; absent where the system does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen_overflows: Option<u64>,
    /// Connections and requests refused because unfinished requests of all connections together
    /// took more memory than they may.
    pub refused_inputs: u64,
}

/// All balances together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balances {
    /// How many accounts there are.
    pub accounts: u64,
    /// The sum of all balances, as a decimal string.
    pub total: String,
    /// The lowest balance, as a decimal string.
    pub lowest: String,
    /// A digest over all (id, balance): equal digests, equal ledgers.
    pub digest: String,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The answer of `stats`: counters since the server started.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Transfers answered as committed.
    pub committed: u64,
    /// Transfers rejected, by error code.
    pub rejected: BTreeMap<String, u64>,
    /// Transfers failed (known not to be committed), by error code.
    pub failed: BTreeMap<String, u64>,
    /// Transfers whose outcome is unknown.
    pub unknown: u64,
    /// Transfers applied according to SQLite: row changes that it reported in committed
    /// transactions, less those that took a debit back, halved. Of a server that coalesces
    /// ([`Info::apply`]) it is that server's own count.
    pub applied: u64,
    /// Row changes of transfers that SQLite reported in committed transactions.
    pub row_changes: u64,
    /// Debits taken back within their batch because the credit was impossible.
    pub refunds: u64,
    /// Batches committed.
    pub batches: u64,
    /// Batches in which at least one row changed.
    pub batches_that_wrote: u64,
    /// Syncs made inside the COMMITs of batches. Absent from a server that cannot count its
    /// writes: nothing is known then of `syncs`, `bytes_written` and `checkpoints` either, which
    /// are 0 here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_syncs: Option<u64>,
    /// Transactions begun anew because they met another one (a serialization failure or a
    /// deadlock); absent where there were none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: u64,
    /// Batches that were what a full batch left over of the transfers that came with it, committed
    /// at once; absent from a server that has no such rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leftovers: Option<u64>,
    /// All syncs of all files.
    #[serde(default)]
    pub syncs: SyncsByFile,
    /// Bytes written to all files.
    #[serde(default)]
    pub bytes_written: BytesByFile,
    /// Checkpoints of the write-ahead log.
    #[serde(default)]
    pub checkpoints: Checkpoints,
    /// The queue before the writer.
    pub queue: QueueStats,
    /// Where the time goes; empty from a server that does not know it.
    #[serde(default)]
    pub stages: Stages,
    /// Where a transfer's time goes; empty from a server that does not know it.
    #[serde(default)]
    pub transfer_stages: TransferStages,
    /// Transfers with an id; absent from a server that does not remember ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer_ids: Option<TransferIds>,
    /// What the sockets saw; absent from a server that does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkStats>,
    /// All balances, when asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balances: Option<Balances>,
}
