//! Looking at a ledger that no server has open, such as one that was found after a crash.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use busload_engine::EngineError;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::error::Error;
use crate::vfs::IoMeter;

/// Most complaints of SQLite's own check that are kept.
const COMPLAINTS_MAX: u32 = 10;

/// What a ledger holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Every balance, by account.
    pub balances: BTreeMap<i64, i64>,
    /// What `PRAGMA integrity_check` complains of, at most ten things; empty for a sound
    /// file.
    pub complaints: Vec<String>,
}

impl Inspection {
    /// The sum of all balances.
    #[must_use]
    pub fn total(&self) -> i128 {
        self.balances.values().copied().map(i128::from).sum()
    }
}

/// The virtual file system of the servers, which tells a disk that cannot read from a ledger that
/// is damaged. One for all: it is never freed.
fn meter() -> Result<&'static IoMeter, Error> {
    static METER: OnceLock<IoMeter> = OnceLock::new();
    if let Some(meter) = METER.get() {
        return Ok(meter);
    }
    let meter = IoMeter::register()?;
    Ok(METER.get_or_init(|| meter))
}

/// Opens a ledger as its server would after a crash and reads all of it. Recovery happens as
/// it would there: a hot rollback journal is played back into the file, a write-ahead log is
/// read and left where it is.
///
/// The lock file is not taken, which a child that this process starts meanwhile would inherit
/// for a moment. SQLite's own locks keep this away from a log that a server writes.
///
/// # Errors
/// A server has the log open, the database is not there, it is damaged beyond reading, or it
/// is no ledger.
pub fn inspect(database: &Path) -> Result<Inspection, EngineError> {
    read_all(database).map_err(EngineError::from)
}

fn read_all(database: &Path) -> Result<Inspection, Error> {
    let not_a_ledger = |why: &str| EngineError::NotALedger {
        database: database.to_owned(),
        why: why.to_owned(),
    };
    if !database.is_file() {
        return Err(not_a_ledger("it is not there").into());
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags_and_vfs(database, flags, meter()?.vfs_name())?;
    // Whoever has the log open keeps it: there is nothing to wait for.
    connection.busy_timeout(Duration::ZERO)?;
    // Closing the last connection would move the log into the database.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // The log's index stays in memory: nothing is left behind.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    let mut complaints = Vec::new();
    connection.pragma(None, "integrity_check", COMPLAINTS_MAX, |row| {
        let said: String = row.get(0)?;
        if said != "ok" {
            complaints.push(said);
        }
        Ok(())
    })?;
    let mut statement = connection.prepare("SELECT id, balance FROM accounts")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let balances = rows.collect::<Result<BTreeMap<i64, i64>, _>>()?;
    Ok(Inspection {
        balances,
        complaints,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Durability;

    fn ledger(database: &Path, durability: Durability) -> Connection {
        let connection = Connection::open(database).unwrap();
        durability.apply(&connection, 1024).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE accounts(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL) STRICT;
                 INSERT INTO accounts VALUES (0, 10), (1, 20);",
            )
            .unwrap();
        connection
    }

    #[test]
    fn what_a_crash_left_is_recovered_and_read() {
        for durability in [
            Durability::WalFull,
            Durability::DeleteFull,
            Durability::DeleteExtra,
        ] {
            let dir = tempfile::tempdir().unwrap();
            let (live, crashed) = (dir.path().join("live"), dir.path().join("crashed"));
            std::fs::create_dir(&crashed).unwrap();
            let connection = ledger(
                &{
                    std::fs::create_dir(&live).unwrap();
                    live.join("a")
                },
                durability,
            );
            connection
                .execute_batch("UPDATE accounts SET balance = 9 WHERE id = 0;")
                .unwrap();
            // In the middle of a transaction that must not be seen.
            connection
                .execute_batch("BEGIN; UPDATE accounts SET balance = 0;")
                .unwrap();
            connection.cache_flush().unwrap();
            for suffix in ["", "-wal", "-journal"] {
                let name = format!("a{suffix}");
                if live.join(&name).exists() {
                    std::fs::copy(live.join(&name), crashed.join(&name)).unwrap();
                }
            }
            let found = inspect(&crashed.join("a")).unwrap();
            assert_eq!(found.balances, [(0, 9), (1, 20)].into(), "{durability}");
            assert_eq!((found.total(), found.complaints.len()), (29, 0));
            assert!(!crashed.join("a-shm").exists());
            assert_eq!(crashed.join("a-wal").exists(), durability.has_wal());
            // The same again: nothing of it was used up.
            assert_eq!(inspect(&crashed.join("a")).unwrap(), found);
        }
    }

    #[test]
    fn a_log_that_somebody_writes_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("a");
        let connection = ledger(&database, Durability::WalFull);
        assert!(inspect(&database).is_err());
        connection
            .execute_batch("UPDATE accounts SET balance = 9 WHERE id = 0;")
            .unwrap();
        drop(connection);
        assert_eq!(inspect(&database).unwrap().total(), 29);
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("a");
        assert!(inspect(&database).is_err(), "it is not there");
        std::fs::write(&database, [7_u8; 8192]).unwrap();
        assert!(inspect(&database).is_err(), "it is no database");
        std::fs::write(&database, "").unwrap();
        assert!(inspect(&database).is_err(), "it is empty");
    }

    #[test]
    fn damage_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("a");
        drop(ledger(&database, Durability::DeleteFull));
        let mut bytes = std::fs::read(&database).unwrap();
        // The page of the accounts: its first free block points nowhere.
        bytes[4096 + 1] = 0x7f;
        std::fs::write(&database, bytes).unwrap();
        assert!(!inspect(&database).unwrap().complaints.is_empty());
    }
}
