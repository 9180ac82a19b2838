//! The locks that keep a second server off a database: one of its name, one of the file itself.
//!
//! The name's is a file beside the database, which there is on every file system and before there
//! is a database. It knows nothing of a second name, by which a bind mount or a renaming leads to
//! the same file: hence the other one.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use crate::ledger_files::beside;

/// Holds the lock of a name until dropped. The operating system releases it when the process dies,
/// however it dies; the empty-handed file stays behind and is no obstacle.
#[derive(Debug)]
pub(crate) struct LockFile {
    _file: File,
}

/// Why the lock could not be taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    #[error(
        "another server has {database} open (it holds {lock}): stop it, or choose another file \
         (--data-dir, or --database of a server)"
    )]
    Held { database: PathBuf, lock: PathBuf },
    /// Another process holds the file itself, which it found by another name.
    #[error(
        "another server has {database} open under another name: stop it, or choose another file \
         (--data-dir, or --database of a server)"
    )]
    HeldFile { database: PathBuf },
    #[error("cannot open {database} to lock it")]
    File {
        database: PathBuf,
        source: io::Error,
    },
    #[error(
        "cannot create the lock file {lock} (choose another place for the database: --database of a \
         server, --data-dir of bench-client)"
    )]
    Io { lock: PathBuf, source: io::Error },
}

impl LockFile {
    pub(crate) fn take(database: &Path) -> Result<Self, LockError> {
        let lock = beside(database, ".lock");
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

/// Holds the database file itself, whatever its name, until dropped.
///
/// It must be taken before SQLite opens the file and dropped after SQLite has closed it for the
/// last time: closing any descriptor of a file drops all POSIX locks that the process has on it,
/// and those are SQLite's.
#[derive(Debug)]
pub(crate) struct DatabaseLock(File);

impl DatabaseLock {
    /// Creates the database, empty, if there is none.
    pub(crate) fn take(database: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::File {
            database: database.to_owned(),
            source,
        };
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            // As SQLite creates it.
            options.mode(0o644);
        }
        let file = options.open(database).map_err(failed)?;
        if is_lockable_beside_sqlite(&file) {
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let database = database.to_owned();
                    return Err(LockError::HeldFile { database });
                }
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
        Ok(Self(file))
    }

    pub(crate) fn file(&self) -> &File {
        &self.0
    }
}

/// Whether the lock that is taken here (`flock`) is another than SQLite's (`fcntl`). On network
/// file systems the kernel makes one of the other, and SQLite would wait for its own process.
#[cfg(target_os = "linux")]
fn is_lockable_beside_sqlite(file: &File) -> bool {
    /// NFS, SMB in its three versions, 9P: magic numbers of linux/magic.h.
    const NETWORK: [u32; 5] = [0x6969, 0x517B, 0xFF53_4D42, 0xFE53_4D42, 0x0102_1997];

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a magic number has 32 bits, in a field whose type depends on the machine"
    )]
    rustix::fs::fstatfs(file).is_ok_and(|found| !NETWORK.contains(&(found.f_type as u32)))
}

/// On the BSDs and macOS the two are one, and on Windows a lock keeps SQLite from reading.
#[cfg(not(target_os = "linux"))]
fn is_lockable_beside_sqlite(_file: &File) -> bool {
    false
}

/// The process id is for a person who finds the file. A file that holds anything else is
/// somebody else's (`Cargo.lock` beside a database called `Cargo`) and stays as it is.
fn write_process_id(file: &mut File) -> io::Result<()> {
    const PROCESS_ID_BYTES_MAX: u64 = 20;
    let mut found = Vec::new();
    (&mut *file)
        .take(PROCESS_ID_BYTES_MAX + 1)
        .read_to_end(&mut found)?;
    let ours = |byte: &u8| byte.is_ascii_digit() || *byte == b'\n';
    if found.len() as u64 > PROCESS_ID_BYTES_MAX || !found.iter().all(ours) {
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

    #[cfg(target_os = "linux")]
    #[test]
    fn the_file_itself_is_held_whatever_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let (database, other) = (dir.path().join("a.sqlite"), dir.path().join("b.sqlite"));
        let first = DatabaseLock::take(&database).unwrap();
        std::fs::rename(&database, &other).unwrap();
        let error = DatabaseLock::take(&other).unwrap_err();
        assert!(matches!(error, LockError::HeldFile { .. }), "{error}");
        // The name is free, and another file.
        DatabaseLock::take(&database).unwrap();
        drop(first);
        DatabaseLock::take(&other).unwrap();
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
