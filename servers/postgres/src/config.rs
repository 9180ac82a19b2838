//! What a ledger in PostgreSQL can be told.

use std::fmt;
use std::time::Duration;

use busload_engine::{Apply, named};

/// Most writers of a server: each is a thread and a connection.
pub const WRITERS_MAX: u16 = 256;

/// Everything that a ledger in PostgreSQL can be told. No `Default`: the defaults a person reads
/// are those of the command line.
#[derive(Clone)]
pub struct Config {
    /// Where the database is: `postgres://USER@HOST:PORT/DATABASE?…`, without a password. That is
    /// the variable `PGPASSWORD`'s, or the passfile's.
    pub url: String,
    /// Throw away the ledger that the database holds.
    pub fresh: bool,
    /// How a batch is applied.
    pub apply: Apply,
    /// What its transactions see of others.
    pub isolation: Isolation,
    /// Connections that write, and the threads that have them; at least 1, at most
    /// [`WRITERS_MAX`].
    pub writers: u16,
    /// Accounts to create when the database holds no ledger.
    pub seed_accounts: i64,
    /// Balance of each account created.
    pub seed_balance: i64,
    /// How long the outcome of a transfer with an id is remembered, at least, by the clock of the
    /// database.
    pub id_horizon: Duration,
}

impl fmt::Debug for Config {
    /// Without the URL: it says where somebody's database is, and might hold a password that
    /// [`open`](crate::open) refuses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            fresh,
            apply,
            isolation,
            writers,
            ..
        } = self;
        f.debug_struct("Config")
            .field("fresh", fresh)
            .field("apply", apply)
            .field("isolation", isolation)
            .field("writers", writers)
            .finish_non_exhaustive()
    }
}

named! {
    /// What a transaction sees of those beside it.
    Isolation, UnknownIsolation = "no isolation '{0}': use read-committed or serializable";
    /// Rows are locked before they are read, in the order of their ids.
    ReadCommitted = "read-committed",
    /// The same, and a transaction that the database refuses for another one's sake is begun
    /// again, up to a bound.
    Serializable = "serializable",
}

impl Isolation {
    pub(crate) const fn begin(self) -> &'static str {
        match self {
            Self::ReadCommitted => "BEGIN ISOLATION LEVEL READ COMMITTED",
            Self::Serializable => "BEGIN ISOLATION LEVEL SERIALIZABLE",
        }
    }
}
