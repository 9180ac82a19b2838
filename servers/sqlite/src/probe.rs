//! How many syncs one commit makes, counted and not assumed.
//!
//! The number depends on the journal mode, on how SQLite was built and on the system: with a
//! rollback journal on Linux it is four (the journal twice, its directory, the database), not the
//! two that are often assumed, and a fifth under `synchronous=EXTRA` (the directory once more).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use busload_engine::EngineError;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, params};

use crate::durability::Durability;
use crate::error::Error;
use crate::vfs::{IoCounts, IoMeter};

/// Commits made before counting starts: the first commits of a write-ahead log also sync its
/// header and its directory, once in the life of the file.
const WARM_UP_COMMITS: u32 = 3;

/// The probe's database is this small; SQLite refuses less than ten pages of cache.
const CACHE_KIB: u32 = 256;

/// Enough accounts that the two of a transfer are on different pages.
const ACCOUNTS: u32 = 1_000;

/// Syncs made by a number of commits, by what was synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyncsPerCommit {
    /// How many commits were counted.
    pub commits: u32,
    /// Syncs of the database file in all of them.
    pub database: u64,
    /// Syncs of the write-ahead log.
    pub wal: u64,
    /// Syncs of the rollback journal.
    pub journal: u64,
    /// Syncs of the directory: one for each journal newly created and, in the mode
    /// [`DeleteExtra`](Durability::DeleteExtra), one for each that was removed.
    pub directory: u64,
    /// Syncs of anything else.
    pub other: u64,
}

impl SyncsPerCommit {
    /// All syncs of one commit.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.per_commit(self.database + self.wal + self.journal + self.directory + self.other)
    }

    /// Those of [`total`](Self::total) that also had to make newly allocated space durable, and
    /// therefore cost as much as appending to a file; the others cost as much as overwriting.
    ///
    /// A file newly created has its directory synced once and is itself synced once after it has
    /// grown: the one is counted for the other. The directory of a removed file is synced by
    /// itself, and costs the same commit of the file system's log.
    #[must_use]
    pub fn appending(&self) -> f64 {
        self.per_commit(self.directory)
    }

    fn per_commit(&self, syncs: u64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "nobody waits for 2^53 syncs")]
        let syncs = syncs as f64;
        syncs / f64::from(self.commits.max(1))
    }

    fn new(commits: u32, io: &IoCounts) -> Self {
        Self {
            commits,
            database: io.syncs.database,
            wal: io.syncs.wal,
            journal: io.syncs.journal,
            directory: io.syncs.directory,
            other: io.syncs.other,
        }
    }
}

/// The probe's own directory could not be created.
#[derive(Debug, thiserror::Error)]
#[error("cannot create a directory in {}", dir.display())]
struct NoDirectory {
    dir: PathBuf,
    source: io::Error,
}

/// Counts the syncs of `commits` transactions of one transfer each, on a database of its own in
/// `dir`, which is removed again.
///
/// Checkpoints are not among them: they belong to the size of the log, not to the commit.
///
/// # Errors
/// When `dir` cannot be written, or SQLite fails or refuses the durability mode.
pub fn syncs_per_commit(
    dir: &Path,
    durability: Durability,
    commits: u32,
) -> Result<SyncsPerCommit, EngineError> {
    count(dir, durability, commits).map_err(EngineError::from)
}

fn count(dir: &Path, durability: Durability, commits: u32) -> Result<SyncsPerCommit, Error> {
    let own = tempfile::Builder::new()
        .prefix(".busload-probe-")
        .tempdir_in(dir)
        .map_err(|source| {
            let dir = dir.to_owned();
            EngineError::CannotServe(Arc::new(NoDirectory { dir, source }))
        })?;
    let meter = IoMeter::register()?;
    // Declared after the directory, so closed before it is removed.
    let mut connection = Connection::open_with_flags_and_vfs(
        own.path().join("probe.sqlite"),
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        meter.vfs_name(),
    )?;
    durability.apply(&connection, CACHE_KIB)?;
    create_accounts(&connection)?;
    for number in 0..WARM_UP_COMMITS {
        commit_transfer(&mut connection, durability, number)?;
    }
    let before = meter.counts();
    for number in 0..commits {
        commit_transfer(&mut connection, durability, number)?;
    }
    Ok(SyncsPerCommit::new(commits, &meter.counts().since(&before)))
}

fn create_accounts(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "CREATE TABLE accounts(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL) STRICT",
    )?;
    connection.execute(
        "WITH RECURSIVE ids(id) AS (SELECT 0 UNION ALL SELECT id + 1 FROM ids LIMIT ?1)
         INSERT INTO accounts SELECT id, 1000000 FROM ids",
        params![ACCOUNTS],
    )?;
    Ok(())
}

fn commit_transfer(
    connection: &mut Connection,
    durability: Durability,
    number: u32,
) -> rusqlite::Result<()> {
    let from = number % (ACCOUNTS / 2);
    let to = from + ACCOUNTS / 2;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if durability != Durability::DiscardWrites {
        add(&transaction, from, -1)?;
        add(&transaction, to, 1)?;
    }
    transaction.commit()
}

fn add(transaction: &Transaction<'_>, account: u32, amount: i64) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE accounts SET balance = balance + ?2 WHERE id = ?1")?
        .execute(params![account, amount])
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(durability: Durability) -> SyncsPerCommit {
        let dir = tempfile::tempdir().unwrap();
        let counted = syncs_per_commit(dir.path(), durability, 4).unwrap();
        assert_eq!(
            dir.path().read_dir().unwrap().count(),
            0,
            "nothing stays behind"
        );
        counted
    }

    #[test]
    fn a_rollback_journal_syncs_itself_twice_its_directory_and_the_database() {
        let counted = count(Durability::DeleteFull);
        assert_eq!(
            counted,
            SyncsPerCommit {
                commits: 4,
                database: 4,
                wal: 0,
                journal: 8,
                directory: 4,
                other: 0
            }
        );
        assert!((counted.total() - 4.0).abs() < f64::EPSILON);
        assert!((counted.appending() - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn extra_syncs_the_directory_once_more_when_the_journal_is_gone() {
        let counted = count(Durability::DeleteExtra);
        assert_eq!(
            counted,
            SyncsPerCommit {
                commits: 4,
                database: 4,
                wal: 0,
                journal: 8,
                directory: 8,
                other: 0
            }
        );
        assert!((counted.total() - 5.0).abs() < f64::EPSILON);
        assert!((counted.appending() - 2.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_write_ahead_log_syncs_once_when_full_and_never_when_normal() {
        let full = count(Durability::WalFull);
        assert_eq!(
            full,
            SyncsPerCommit {
                commits: 4,
                database: 0,
                wal: 4,
                journal: 0,
                directory: 0,
                other: 0
            }
        );
        assert!(count(Durability::WalNormal).total().abs() < f64::EPSILON);
    }

    #[test]
    fn what_never_writes_never_syncs() {
        assert!(count(Durability::Memory).total().abs() < f64::EPSILON);
        assert!(count(Durability::DiscardWrites).total().abs() < f64::EPSILON);
    }

    #[test]
    fn a_missing_directory_is_named() {
        let error = syncs_per_commit(Path::new("/no/such"), Durability::WalFull, 1).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot create a directory in /no/such"),
            "{error}"
        );
    }
}
