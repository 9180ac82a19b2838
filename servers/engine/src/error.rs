//! Everything that can go wrong in the engine or in a ledger behind it.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

/// The error of whatever a ledger is made of, as text and source: no library's type is named.
pub type Source = Arc<dyn Error + Send + Sync>;

/// Everything that can go wrong, by what follows from it. A ledger says of its own errors which of
/// these they are.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    /// Another server has the ledger.
    #[error(transparent)]
    Busy(Source),
    /// What is there is no ledger and was left alone.
    #[error("cannot use {database} as a ledger: {why}; choose another file")]
    NotALedger {
        /// Where the ledger was to be.
        database: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The ledger cannot be opened where it is, or could not be safely.
    #[error("cannot open {database}: {why}; {remedy}")]
    CannotOpen {
        /// Where the ledger is to be.
        database: PathBuf,
        /// What is in the way.
        why: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The ledger cannot run with what it was told, or on this system.
    #[error(transparent)]
    CannotServe(Source),
    /// Accounts or balance of a seeding are out of range.
    #[error(
        "cannot seed {accounts} accounts of {initial_balance}: \
         accounts go from 2 to 10,000,000, balances from 0"
    )]
    SeedOutOfRange {
        /// Accounts asked for.
        accounts: i64,
        /// Balance asked for.
        initial_balance: i64,
    },
    /// A seeding was asked for that would wipe a ledger that must not be.
    #[error("the ledger must not be wiped, and is not what a seeding would leave")]
    MustNotWipe,
    /// The number of accounts is off.
    #[error("there are {accounts} accounts, not {expected} as when the ledger was opened")]
    AccountsChanged {
        /// How many there are.
        accounts: u64,
        /// How many there should be.
        expected: u64,
    },
    /// The sum of all balances is off.
    #[error("money is not conserved: the balances sum up to {total}, not {expected}")]
    NotConserved {
        /// What they sum up to.
        total: i128,
        /// What they should.
        expected: i128,
    },
    /// The sum of all balances is that of another seeding.
    #[error(
        "the balances sum up to {accounts} accounts of {found} each, not of {expected}: another \
         program has seeded this file; tell the server with --initial-balance, or seed through it"
    )]
    SeededElsewhere {
        /// How many accounts there are.
        accounts: u64,
        /// The initial balance that their sum is one of.
        found: i128,
        /// The initial balance of the last seeding that the server knows of.
        expected: i64,
    },
    /// No balance differs from the initial balance.
    #[error("nothing changed since the seeding")]
    NothingChanged,
    /// Too many control calls wait.
    #[error("too many calls are waiting")]
    Overloaded,
    /// The disk is full; what was begun was rolled back.
    #[error("no room to write: make room on the disk of the database")]
    StorageFull,
    /// The engine takes no more.
    #[error("the engine is shutting down")]
    ShuttingDown,
    /// A COMMIT, or a statement before it, failed in a way that leaves its outcome open.
    /// The engine has stopped.
    #[error("the outcome of a batch is unknown, stopping: {0}")]
    InDoubt(Source),
    /// A sync failed in a checkpoint. Every acknowledged transfer is in the write-ahead log, which
    /// the next start copies anew. The engine has stopped.
    #[error(
        "a sync failed in a checkpoint, stopping: {0}; every acknowledged transfer is in the \
         write-ahead log: keep it beside the database, repair the disk and start again"
    )]
    CheckpointUnsynced(Source),
    /// A file of the ledger was removed, renamed or replaced while it was open. The engine has
    /// stopped.
    #[error("{file}: {why}, although this server has it open, stopping; {remedy}")]
    FileGone {
        /// The file.
        file: PathBuf,
        /// What became of it.
        why: String,
        /// What to do.
        remedy: &'static str,
    },
    /// What is behind a connection that was made anew promises less than what was there when the
    /// ledger was opened. The engine has stopped.
    #[error(
        "the database runs with durability {now}, and {opened} when this server started, \
         stopping: start again, so that `info` and records say what it is now"
    )]
    DurabilityChanged {
        /// What it was.
        opened: String,
        /// What it is.
        now: String,
    },
    /// The writer thread could not be started, or panicked.
    #[error("writer thread: {0}")]
    Writer(String),
    /// What the ledger is stored in said no, and nothing follows from it but that the call failed.
    #[error(transparent)]
    Storage(Source),
}

impl EngineError {
    /// Whether the engine stops after it although nobody told it to.
    #[must_use]
    pub const fn stops_the_engine(&self) -> bool {
        matches!(
            self,
            Self::InDoubt(_)
                | Self::CheckpointUnsynced(_)
                | Self::FileGone { .. }
                | Self::DurabilityChanged { .. }
                | Self::Writer(_)
        )
    }
}
