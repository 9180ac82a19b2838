//! What group commit can be told.

use std::time::Duration;

use crate::named;

/// How transfers are gathered into batches, whatever stores them. No `Default`: the defaults a
/// person reads are those of the command line.
#[derive(Debug, Clone)]
pub struct Config {
    /// Most transfers in one transaction, at least 1.
    pub batch_size: usize,
    /// How long the oldest waiting transfer may wait for its batch to fill; zero commits
    /// whatever waits the moment the writer is free.
    pub batch_timeout: Duration,
    /// Most transfers waiting in the queue, at least 1.
    pub queue_transfers: usize,
    /// Whether the stages are timed; without, their distributions stay empty.
    pub stage_timings: bool,
}

named! {
    /// How the transfers of a batch become changes of the ledger. The answers are the same.
    Apply, UnknownApply = "no way to apply a batch '{0}': use per-transfer or coalesced";
    /// Statements for each transfer: the database checks it and changes both rows.
    PerTransfer = "per-transfer",
    /// The rules are applied in memory, in order: each account that the batch names is read once,
    /// and written once where it has another balance then.
    Coalesced = "coalesced",
}
