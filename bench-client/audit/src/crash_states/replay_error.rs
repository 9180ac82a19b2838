//! Why crash states could not be replayed.

use std::io;
use std::path::PathBuf;

use busload_engine::EngineError;

/// The replay could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The files that the run began with are no ledger.
    #[error("the database that the run began with cannot be read")]
    Base(#[source] EngineError),
    /// They do not have the accounts of the run.
    #[error("account {0} of the run is not in the database that it began with")]
    Account(i64),
    /// Images cannot be written.
    #[error("cannot write images of the database to {}", directory.display())]
    Write {
        /// Where to.
        directory: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}
