//! Durability modes: which pragmas each one sets, and what SQLite made of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use busload_engine::EngineError;
use rusqlite::Connection;

use crate::error::Error;
use busload_engine::named;

named! {
    /// What survives what, the strongest promise first.
    Durability, UnknownDurability = "no durability mode '{0}': use delete-extra, wal-full, \
        delete-full, wal-normal, memory or discard-writes";
    /// Rollback journal, and the directory synced after its removal: survives a power cut,
    /// for more syncs per transaction than any other mode.
    DeleteExtra = "delete-extra",
    /// Write-ahead log, one sync per transaction: survives a power cut. The default.
    WalFull = "wal-full",
    /// Rollback journal as SQLite has it by default. The journal's removal is what commits, and
    /// nothing syncs the directory after it: the last transactions survive a killed process, but
    /// a power cut may bring the journal back, and it takes them back.
    DeleteFull = "delete-full",
    /// Write-ahead log, synced at checkpoints only: a power cut loses answered transfers.
    WalNormal = "wal-normal",
    /// Journal in memory, no sync at all: a power cut may lose the whole file, and a process that
    /// is killed while it writes leaves half a transaction.
    Memory = "memory",
    /// Reads, answers and never writes: the defect of the benchmark behind the article,
    /// kept so that the judge can be shown catching it. Runs with the pragmas of
    /// [`DeleteFull`](Self::DeleteFull).
    DiscardWrites = "discard-writes",
}

impl Durability {
    /// `journal_mode` and `synchronous` (by number, as SQLite reads it back).
    const fn settings(self) -> (&'static str, i64) {
        match self {
            Self::DeleteExtra => ("delete", 3),
            Self::WalFull => ("wal", 2),
            Self::DeleteFull | Self::DiscardWrites => ("delete", 2),
            Self::WalNormal => ("wal", 1),
            Self::Memory => ("memory", 0),
        }
    }

    /// Whether the mode keeps a write-ahead log.
    #[must_use]
    pub const fn has_wal(self) -> bool {
        matches!(self, Self::WalFull | Self::WalNormal)
    }

    /// Whether the mode ever syncs anything.
    pub(crate) const fn syncs(self) -> bool {
        self.settings().1 > 0
    }

    /// Whether COMMIT does not return before what it wrote is synced. That makes at least one
    /// sync per transaction, and is not yet [`survives_power_cut`](Self::survives_power_cut).
    #[must_use]
    pub const fn syncs_at_commit(self) -> bool {
        self.settings().1 >= 2
    }

    /// Whether a transaction is there after a power cut when its COMMIT has returned. Every mode
    /// that is called durable is one of these.
    #[must_use]
    pub const fn survives_power_cut(self) -> bool {
        matches!(self, Self::DeleteExtra | Self::WalFull)
    }

    /// Sets the pragmas of this mode on a connection and reads all of them back.
    ///
    /// `wal_autocheckpoint` is 0: the engine owns the checkpoints, because errors of an
    /// automatic one are swallowed. On macOS plain fsync does not reach the platter, so
    /// `fullfsync` is set; elsewhere the pragma has no effect.
    pub(crate) fn apply(self, connection: &Connection, cache_kib: u32) -> Result<Pragmas, Error> {
        let (journal_mode, synchronous) = self.settings();
        connection.pragma_update(None, "journal_mode", journal_mode)?;
        connection.pragma_update(None, "synchronous", synchronous)?;
        connection.pragma_update(None, "locking_mode", "NORMAL")?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.pragma_update(None, "cache_size", -i64::from(cache_kib))?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        if cfg!(target_os = "macos") {
            connection.pragma_update(None, "fullfsync", 1)?;
            connection.pragma_update(None, "checkpoint_fullfsync", 1)?;
        }
        let pragmas = Pragmas::read_back(connection)?;
        let full_sync = i32::from(cfg!(target_os = "macos")).to_string();
        let wanted = [
            ("fullfsync", full_sync.clone()),
            ("checkpoint_fullfsync", full_sync),
            ("journal_mode", journal_mode.to_owned()),
            ("synchronous", synchronous.to_string()),
            ("locking_mode", "normal".to_owned()),
            ("wal_autocheckpoint", "0".to_owned()),
            ("cache_size", (-i64::from(cache_kib)).to_string()),
        ];
        for (name, wanted) in wanted {
            let found = pragmas.0.get(name).cloned().unwrap_or_default();
            if found != wanted {
                let error = NotTaken {
                    name,
                    wanted,
                    found,
                };
                return Err(EngineError::CannotServe(Arc::new(error)).into());
            }
        }
        Ok(pragmas)
    }
}

/// The pragmas of a connection, as read back from SQLite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pragmas(pub(crate) BTreeMap<&'static str, String>);

impl Pragmas {
    const NAMES: [&'static str; 10] = [
        "journal_mode",
        "synchronous",
        "locking_mode",
        "wal_autocheckpoint",
        "cache_size",
        "page_size",
        "mmap_size",
        "temp_store",
        "fullfsync",
        "checkpoint_fullfsync",
    ];

    fn read_back(connection: &Connection) -> Result<Self, rusqlite::Error> {
        let mut values = BTreeMap::new();
        for name in Self::NAMES {
            let value = connection.pragma_query_value(None, name, |row| {
                Ok(match row.get_ref(0)? {
                    rusqlite::types::ValueRef::Integer(n) => n.to_string(),
                    other => other.as_str().unwrap_or_default().to_owned(),
                })
            });
            match value {
                Ok(value) => values.insert(name, value),
                // Some pragmas answer no row in some states (mmap_size before first use).
                Err(rusqlite::Error::QueryReturnedNoRows) => None,
                Err(error) => return Err(error),
            };
        }
        Ok(Self(values))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The mode whose settings these are, judged by the values alone.
    pub(crate) fn durability(&self) -> Option<Durability> {
        // What discards writes pretends to be another.
        let modes = Durability::ALL.into_iter();
        let mut honest = modes.filter(|mode| *mode != Durability::DiscardWrites);
        honest.find(|mode| {
            let (journal_mode, synchronous) = mode.settings();
            self.get("journal_mode") == Some(journal_mode)
                && self.get("synchronous") == Some(synchronous.to_string().as_str())
        })
    }
}

/// SQLite took something else than was set.
#[derive(Debug, thiserror::Error)]
#[error("sqlite reads back {name} = {found} after it was set to {wanted}")]
struct NotTaken {
    name: &'static str,
    wanted: String,
    found: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_reads_back_as_itself() {
        for mode in Durability::ALL {
            let dir = tempfile::tempdir().unwrap();
            let connection = Connection::open(dir.path().join("a.sqlite")).unwrap();
            let pragmas = mode.apply(&connection, 1024).unwrap();
            let shown = if mode == Durability::DiscardWrites {
                Durability::DeleteFull
            } else {
                mode
            };
            assert_eq!(pragmas.durability(), Some(shown));
            assert_eq!(mode.as_str().parse(), Ok(mode));
        }
    }

    #[test]
    fn what_each_mode_sets_and_promises() {
        for (mode, journal, synchronous, syncs, survives) in [
            (Durability::DeleteExtra, "delete", "3", true, true),
            (Durability::WalFull, "wal", "2", true, true),
            (Durability::DeleteFull, "delete", "2", true, false),
            (Durability::WalNormal, "wal", "1", false, false),
            (Durability::Memory, "memory", "0", false, false),
            (Durability::DiscardWrites, "delete", "2", true, false),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let connection = Connection::open(dir.path().join("a.sqlite")).unwrap();
            let pragmas = mode.apply(&connection, 1024).unwrap();
            assert_eq!(pragmas.get("journal_mode"), Some(journal), "{mode}");
            assert_eq!(pragmas.get("synchronous"), Some(synchronous), "{mode}");
            assert_eq!(mode.syncs_at_commit(), syncs, "{mode}");
            assert_eq!(mode.survives_power_cut(), survives, "{mode}");
        }
    }

    /// A log with `synchronous=EXTRA` is no mode of ours.
    #[test]
    fn other_settings_are_no_mode() {
        let dir = tempfile::tempdir().unwrap();
        let connection = Connection::open(dir.path().join("a.sqlite")).unwrap();
        Durability::WalFull.apply(&connection, 1024).unwrap();
        connection.pragma_update(None, "synchronous", 3).unwrap();
        let pragmas = Pragmas::read_back(&connection).unwrap();
        assert_eq!(pragmas.durability(), None);
    }

    #[test]
    fn a_name_that_is_none_is_answered_with_all_that_are() {
        let text = "fast".parse::<Durability>().unwrap_err().to_string();
        for mode in Durability::ALL {
            assert!(text.contains(mode.as_str()), "no {mode} in {text}");
        }
    }

    #[test]
    fn a_pragma_that_is_not_taken_is_an_error() {
        // A database in memory cannot have a write-ahead log.
        let connection = Connection::open_in_memory().unwrap();
        let error = Durability::WalFull.apply(&connection, 1024).unwrap_err();
        let said = error.to_string();
        assert!(said.contains("reads back journal_mode"), "{said}");
    }
}
