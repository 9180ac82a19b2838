//! The lock file that keeps a second server off a database.
//!
//! A file beside the database and not a lock on the database itself: closing any other
//! descriptor of the database file would drop SQLite's own POSIX locks.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Holds the lock until dropped. The operating system releases it when the process dies,
/// however it dies; the empty-handed file stays behind and is no obstacle.
#[derive(Debug)]
pub(crate) struct LockFile {
    _file: File,
}

/// Why the lock could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("another server has {database} open (it holds {lock}): stop it or choose another file")]
    Held {
        /// The database.
        database: PathBuf,
        /// The lock file.
        lock: PathBuf,
    },
    /// The lock file could not be created.
    #[error("cannot create the lock file {lock}: {source}")]
    Io {
        /// The lock file.
        lock: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl LockFile {
    pub(crate) fn take(database: &Path) -> Result<Self, LockError> {
        let mut lock = database.as_os_str().to_owned();
        lock.push(".lock");
        let lock = PathBuf::from(lock);
        let io_error = |source| LockError::Io {
            lock: lock.clone(),
            source,
        };
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock)
            .map_err(io_error)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held {
                    database: database.to_owned(),
                    lock,
                });
            }
            Err(TryLockError::Error(source)) => return Err(LockError::Io { lock, source }),
        }
        // The process id is for a person who finds the file; nothing reads it.
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(io_error)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_until_the_first_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("a.sqlite");
        let first = LockFile::take(&database).unwrap();
        assert!(matches!(
            LockFile::take(&database),
            Err(LockError::Held { .. })
        ));
        drop(first);
        LockFile::take(&database).unwrap();
    }
}
