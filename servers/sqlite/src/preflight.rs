//! Whether a ledger can be where it is to be, and what to do when not.

use std::io::{ErrorKind, Write as _};
use std::path::Path;

use busload_engine::EngineError;
use libsqlite3_sys::{
    SQLITE_IOERR_DIR_FSYNC, SQLITE_IOERR_FSTAT, SQLITE_IOERR_READ, SQLITE_IOERR_SHORT_READ,
};
use rusqlite::{Connection, ErrorCode};

use crate::error::Error;
use crate::ledger_files::{directory_of, is_storage_full};
use crate::lock_file::LockError;

/// What SQLite answers when the operating system could not read.
const READ_ERRORS: [i32; 3] = [
    SQLITE_IOERR_READ,
    SQLITE_IOERR_SHORT_READ,
    SQLITE_IOERR_FSTAT,
];

/// A directory that can be written to but not opened cannot be synced. The first commit would say
/// so, and by then somebody waits for its outcome.
pub(crate) fn check_directory(path: &Path) -> Result<(), EngineError> {
    let Err(error) = std::fs::File::open(directory_of(path)) else {
        return Ok(());
    };
    let why = format!("its directory cannot be opened, and so not be synced ({error})");
    let database = path.to_owned();
    Err(if error.kind() == ErrorKind::PermissionDenied {
        let why = format!("{why}: permit the server to read it");
        EngineError::NotALedger { database, why }
    } else {
        EngineError::CannotOpen {
            database,
            why,
            remedy: "let the server open more files (ulimit -n), or choose another place",
        }
    })
}

/// What a file beside the database may need at once: the log's index takes 32 KiB.
const PROBE_BYTES: usize = 64 << 10;

/// Whether a new file beside the database finds no room, for itself or for what is in it. SQLite
/// does not say so of a file that it cannot create, nor of the log's index.
pub(crate) fn is_full_beside(database: &Path) -> bool {
    let tried = tempfile::Builder::new()
        .prefix(".busload-room-")
        .tempfile_in(directory_of(database))
        .and_then(|mut file| {
            file.write_all(&vec![0; PROBE_BYTES])?;
            file.as_file().sync_data()
        });
    tried.is_err_and(|error| is_storage_full(&error))
}

/// Whether a statement failed for want of room: SQLite says so, or could not create its rollback
/// journal, and nothing else can be created either.
pub(crate) fn is_disk_full(error: &rusqlite::Error, connection: &Connection) -> bool {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => true,
        Some(ErrorCode::CannotOpen) => connection
            .path()
            .is_some_and(|database| is_full_beside(Path::new(database))),
        _ => false,
    }
}

/// Says of an error at the start which file it is about, and what to do.
pub(crate) fn explain(database: &Path, error: Error) -> Error {
    let disk_full = || EngineError::CannotOpen {
        database: database.to_owned(),
        why: "its disk is full".to_owned(),
        remedy: "make room there (bytes, inodes or a quota), or choose another place",
    };
    match error {
        Error::Lock(LockError::Io { source, .. } | LockError::File { source, .. })
            if is_storage_full(&source) =>
        {
            disk_full().into()
        }
        Error::Sqlite(error) => {
            let code = error.sqlite_error_code();
            let may_be_full = matches!(
                code,
                Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen)
            );
            if code == Some(ErrorCode::DiskFull) || may_be_full && is_full_beside(database) {
                return disk_full().into();
            }
            explain_sqlite(database, &error).into()
        }
        other => other,
    }
}

fn explain_sqlite(path: &Path, error: &rusqlite::Error) -> EngineError {
    let code = error.sqlite_error().map_or(0, |it| it.extended_code);
    let database = path.to_owned();
    let not_a_ledger = |why: &str| EngineError::NotALedger {
        database: path.to_owned(),
        why: why.to_owned(),
    };
    let (why, remedy) = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => return not_a_ledger("it is not an sqlite database"),
        Some(ErrorCode::DatabaseCorrupt) => return not_a_ledger("it is corrupt"),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            return not_a_ledger("another process holds it locked");
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => (
            "it cannot be written to".to_owned(),
            "permit the server to write to it and to its directory",
        ),
        Some(ErrorCode::CannotOpen) => (
            "it, or a file beside it, cannot be opened or created".to_owned(),
            "permit the server to read and write it and its directory, and let it open enough \
             files (ulimit -n)",
        ),
        Some(ErrorCode::SystemIoFailure) if code == SQLITE_IOERR_DIR_FSYNC => (
            "its directory cannot be synced".to_owned(),
            "look for disk errors in the kernel's log and let the server open enough files \
             (ulimit -n); on a file system that cannot sync directories choose another place",
        ),
        Some(ErrorCode::SystemIoFailure) if READ_ERRORS.contains(&code) => (
            format!("the disk failed to read it, or a file beside it (sqlite's code {code})"),
            "the ledger may be intact: keep it, look for disk errors in the kernel's log, and \
             try again or copy it, with its -wal or -journal, to another disk",
        ),
        Some(ErrorCode::SystemIoFailure) => (
            format!("{error} (sqlite's code {code})"),
            "look for disk errors in the kernel's log, and at the limits of file sizes and \
             of open files (ulimit -f, ulimit -n)",
        ),
        _ => (
            error.to_string(),
            "look at it with sqlite3, or choose another file",
        ),
    };
    EngineError::CannotOpen {
        database,
        why,
        remedy,
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn said(code: i32) -> String {
        let failure = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        explain(Path::new("a.sqlite"), failure.into()).to_string()
    }

    #[test]
    fn every_error_names_the_file_and_says_what_to_do() {
        for (code, what) in [
            (ffi::SQLITE_FULL, "make room"),
            (ffi::SQLITE_IOERR_WRITE, "ulimit -f"),
            (ffi::SQLITE_IOERR_READ, "the ledger may be intact: keep it"),
            (ffi::SQLITE_IOERR_DIR_FSYNC, "cannot be synced"),
            (ffi::SQLITE_CANTOPEN, "ulimit -n"),
            (ffi::SQLITE_READONLY, "permit"),
            (ffi::SQLITE_NOTADB, "choose another file"),
            (ffi::SQLITE_CORRUPT, "it is corrupt"),
            (ffi::SQLITE_BUSY, "another process"),
            (ffi::SQLITE_TOOBIG, "choose another file"),
        ] {
            let said = said(code);
            assert!(said.contains("a.sqlite") && said.contains(what), "{said}");
            assert_eq!(said.lines().count(), 1, "{said}");
            assert!(!said.contains("  "), "{said}");
        }
    }

    #[test]
    fn other_errors_stay() {
        let error = explain(Path::new("a.sqlite"), EngineError::ShuttingDown.into());
        assert!(
            matches!(error, Error::Engine(EngineError::ShuttingDown)),
            "{error}"
        );
    }
}
