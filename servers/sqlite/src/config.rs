//! What a ledger in SQLite can be told.

use std::path::PathBuf;
use std::time::Duration;

use crate::durability::Durability;
use busload_engine::{Apply, named};

/// Everything that a ledger in SQLite can be told. No `Default`: the defaults a person reads are
/// those of the command line.
#[derive(Debug, Clone)]
pub struct Config {
    /// The database file. Its directory must exist.
    pub database: PathBuf,
    /// Throw away the ledger that the file holds and start with an empty file: a run of
    /// the load generator must not inherit the layout of an earlier one.
    pub fresh: bool,
    /// What survives what.
    pub durability: Durability,
    /// How a batch is applied. Not looked at with [`Durability::DiscardWrites`], which applies
    /// nothing.
    pub apply: Apply,
    /// Accounts to create when the file holds no ledger.
    pub seed_accounts: i64,
    /// Balance of each account created.
    pub seed_balance: i64,
    /// The initial balance of a ledger that somebody else seeded, so that it can be
    /// verified; `None` leaves what is stored.
    pub initial_balance: Option<i64>,
    /// Bytes of a page of a new ledger, one of [`PAGE_BYTES`](crate::PAGE_BYTES); `None` leaves
    /// it to the number of accounts ([`default_page_bytes`](crate::default_page_bytes)). A ledger
    /// that is there keeps its pages.
    pub page_bytes: Option<u32>,
    /// SQLite's page cache, in KiB.
    pub cache_kib: u32,
    /// The engine checkpoints when the write-ahead log has grown by this much, in KiB; `None`
    /// leaves it to the size of the database.
    pub checkpoint_kib: Option<u32>,
    /// Who does it.
    pub checkpoint_mode: CheckpointMode,
    /// Transfers are refused as on a full disk while the write-ahead log is this long: another
    /// process reads from it and keeps it from starting again.
    pub log_limit_bytes: u64,
    /// On a full disk, how long to wait between two tries to write.
    pub probe_interval: Duration,
    /// How long the outcome of a transfer with an id is remembered, at least.
    pub id_horizon: Duration,
    /// Most ids that are remembered. When all of them are younger than the horizon,
    /// transfers with new ids are answered as overloaded.
    pub max_ids: usize,
    /// Processor time wasted per transfer while applying; zero but in tests of what a
    /// comparison of servers can see.
    pub busy_wait: Duration,
}

named! {
    /// Who copies the log into the database.
    CheckpointMode, UnknownCheckpointMode =
        "no way to checkpoint '{0}': use background or between-batches";
    /// A thread of its own, and the writer only the rest.
    Background = "background",
    /// The writer, all of it between two batches.
    BetweenBatches = "between-batches",
}
