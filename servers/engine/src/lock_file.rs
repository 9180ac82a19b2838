//! The lock file that keeps a second server off a database.
//!
//! A file beside the database and not a lock on the database itself: closing any other
//! descriptor of the database file would drop SQLite's own POSIX locks.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
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
    #[error(
        "cannot create the lock file {lock} (choose another place for the database: --database of a \
         server, --data-dir of bench-client)"
    )]
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
            .read(true)
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
        write_process_id(&mut file).map_err(io_error)?;
        Ok(Self { _file: file })
    }
}

/// The process id is for a person who finds the file. A file that holds anything else is
/// somebody else's (`Cargo.lock` beside a database called `Cargo`) and stays as it is.
fn write_process_id(file: &mut File) -> io::Result<()> {
    const LONGEST_BYTES: u64 = 20;
    let mut found = Vec::new();
    (&mut *file)
        .take(LONGEST_BYTES + 1)
        .read_to_end(&mut found)?;
    let ours = |byte: &u8| byte.is_ascii_digit() || *byte == b'\n';
    if found.len() as u64 > LONGEST_BYTES || !found.iter().all(ours) {
        return Err(io::Error::other(
            "it exists and is not a lock file of this program",
        ));
    }
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
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

    #[test]
    fn a_file_of_somebody_elses_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let lock = dir.path().join("Cargo.lock");
        for content in ["version = 4\n", "123456789012345678901", "12 34"] {
            std::fs::write(&lock, content).unwrap();
            let error = LockFile::take(&dir.path().join("Cargo")).unwrap_err();
            assert!(matches!(error, LockError::Io { .. }), "{error}");
            assert_eq!(std::fs::read_to_string(&lock).unwrap(), content);
        }
        std::fs::write(&lock, "4194304\n").unwrap();
        let _held = LockFile::take(&dir.path().join("Cargo")).unwrap();
        let process_id = format!("{}\n", std::process::id());
        assert_eq!(std::fs::read_to_string(&lock).unwrap(), process_id);
    }
}
