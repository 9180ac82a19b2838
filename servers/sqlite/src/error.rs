//! What can go wrong in SQLite and around its files, and which of the engine's errors it is.

use std::sync::Arc;

use busload_engine::EngineError;

use crate::lock_file::LockError;
use crate::vfs::VfsError;

/// An error on its way to the engine's: until then it can be told which file it is about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Another server has the database, or it cannot be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// SQLite said no. Not as a source: the message has its text, and would be printed twice.
    #[error("sqlite: {0}")]
    Sqlite(rusqlite::Error),
    /// One of the engine's already.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<VfsError> for Error {
    fn from(error: VfsError) -> Self {
        Self::Engine(EngineError::CannotServe(Arc::new(error)))
    }
}

impl From<Error> for EngineError {
    fn from(error: Error) -> Self {
        match error {
            Error::Engine(error) => error,
            Error::Lock(LockError::Held { .. } | LockError::HeldFile { .. }) => {
                Self::Busy(Arc::new(error))
            }
            Error::Lock(LockError::Io { .. } | LockError::File { .. }) => {
                Self::CannotServe(Arc::new(error))
            }
            Error::Sqlite(_) => Self::Storage(Arc::new(error)),
        }
    }
}

pub(crate) fn in_doubt(error: rusqlite::Error) -> EngineError {
    EngineError::InDoubt(Arc::new(error))
}
