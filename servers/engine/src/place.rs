//! Whether a ledger can be where it is to be, and what to do when not.

use std::io::ErrorKind;
use std::path::Path;

use libsqlite3_sys::SQLITE_IOERR_DIR_FSYNC;
use rusqlite::ErrorCode;

use crate::durability::DurabilityError;
use crate::engine::EngineError;

/// A directory that can be written to but not opened cannot be synced. The first commit would say
/// so, and by then somebody waits for its outcome.
pub(crate) fn check_directory(path: &Path) -> Result<(), EngineError> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let Err(error) = std::fs::File::open(parent.unwrap_or(Path::new("."))) else {
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

/// Refuses a file that has a second name: lock, log and journal are found by the name of the
/// database, so a server at each name would not know of the other and destroy the file.
#[cfg(unix)]
pub(crate) fn check_names(path: &Path) -> Result<(), EngineError> {
    use std::os::unix::fs::MetadataExt as _;

    match std::fs::metadata(path) {
        Ok(file) if file.nlink() > 1 => Err(EngineError::CannotOpen {
            database: path.to_owned(),
            why: format!(
                "it has {} names (hard links), and under another one a second server could open it",
                file.nlink()
            ),
            remedy: "remove the other names, or use a copy (cp) that no server has open",
        }),
        // Whatever is wrong with it shows when it is opened.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Elsewhere nobody counts them.
#[cfg(not(unix))]
pub(crate) fn check_names(_path: &Path) -> Result<(), EngineError> {
    Ok(())
}

/// Says of an error of SQLite at the start which file it is about, and what to do.
pub(crate) fn explain(path: &Path, error: EngineError) -> EngineError {
    let (EngineError::Sqlite(error) | EngineError::Durability(DurabilityError::Sqlite(error))) =
        error
    else {
        return error;
    };
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
        Some(ErrorCode::DiskFull) => (
            "its disk is full".to_owned(),
            "make room there, or choose another place",
        ),
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
            "look for errors of the disk in the kernel's log and let the server open enough files \
             (ulimit -n); on a file system that cannot sync directories choose another place",
        ),
        Some(ErrorCode::SystemIoFailure) => (
            format!("{error} (sqlite's code {code})"),
            "look for errors of the disk in the kernel's log, and at the limits of file sizes and \
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
    fn pragmas_that_fail_are_explained_too_and_other_errors_stay() {
        let full = rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_FULL), None);
        let error = EngineError::Durability(DurabilityError::Sqlite(full));
        let said = explain(Path::new("a.sqlite"), error).to_string();
        assert!(said.contains("make room"), "{said}");
        let error = explain(Path::new("a.sqlite"), EngineError::ShuttingDown);
        assert!(matches!(error, EngineError::ShuttingDown), "{error}");
    }
}
