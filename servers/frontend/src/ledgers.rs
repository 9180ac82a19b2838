//! The ledgers that a server can have, one for each crate that makes some.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use busload_engine::{EngineError, NullLedger, NullPace, Storage};
use busload_sqlite::SqliteLedger;

/// What stores the transfers of a server, and how.
#[derive(Debug, Clone)]
pub enum LedgerConfig {
    /// A database in a file.
    Sqlite(busload_sqlite::Config),
    /// A database that speaks PostgreSQL's protocol.
    Postgres(busload_postgres::Config),
    /// Nothing: for measuring the load generator.
    Null(NullConfig),
}

/// What a ledger pretends that stores nothing.
#[derive(Debug, Clone)]
pub struct NullConfig {
    /// Accounts that it pretends to have.
    pub seed_accounts: i64,
    /// The balance of each.
    pub seed_balance: i64,
    /// What it spends.
    pub pace: NullPace,
}

impl LedgerConfig {
    /// One for each writer.
    pub(crate) fn open(&self) -> Result<Vec<Box<dyn Storage>>, EngineError> {
        Ok(match self {
            Self::Sqlite(config) => {
                make_directory_of(&config.database)?;
                vec![Box::new(SqliteLedger::open(config)?)]
            }
            Self::Postgres(config) => busload_postgres::open(config)?,
            Self::Null(config) => vec![Box::new(NullLedger::new(
                config.seed_accounts,
                config.seed_balance,
                config.pace,
            )?)],
        })
    }
}

/// What a durability promises, by its name in `info`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise {
    /// Whether acknowledged transfers survive a power cut; `None` where the database does not say.
    pub survives_power_cut: Option<bool>,
    /// Whether COMMIT waits for a sync.
    pub syncs_at_commit: bool,
}

/// The promise of a durability of any of the ledgers; `None` for a name that none of them has.
#[must_use]
pub fn promise(durability: &str) -> Option<Promise> {
    if let Ok(mode) = durability.parse::<busload_sqlite::Durability>() {
        return Some(Promise {
            survives_power_cut: Some(mode.survives_power_cut()),
            syncs_at_commit: mode.syncs_at_commit(),
        });
    }
    let mode: busload_postgres::Durability = durability.parse().ok()?;
    Some(Promise {
        survives_power_cut: mode.survives_power_cut(),
        syncs_at_commit: mode.syncs_at_commit(),
    })
}

/// There is no directory for the database, and none can be made.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot create the directory {} of the database: choose another place (--database, or \
     --data-dir)",
    directory.display()
)]
struct NoDirectory {
    directory: PathBuf,
    source: io::Error,
}

/// Makes the directory of a database, and those that it is in, as the original's server does; a
/// person who mistyped the path reads where the ledger is.
fn make_directory_of(database: &Path) -> Result<(), EngineError> {
    let Some(directory) = database.parent() else {
        return Ok(());
    };
    if directory.as_os_str().is_empty() || directory.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(directory).map_err(|source| {
        let directory = directory.to_owned();
        EngineError::CannotServe(Arc::new(NoDirectory { directory, source }))
    })?;
    eprintln!("note: made the directory {}", directory.display());
    Ok(())
}
