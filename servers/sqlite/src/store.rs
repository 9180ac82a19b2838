//! The database file: opening, seeding, reading all of it.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use busload_engine::{BalanceSum, EngineError, check_seeding};
use busload_wire::control::Verification;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use crate::config::{CheckpointMode, Config};
use crate::durability::Pragmas;
use crate::error::Error;
use crate::layout;
use crate::ledger_files::{self, OpenFiles, SUFFIXES, beside};
use crate::lock_file::{DatabaseLock, LockFile};
use crate::preflight;
use crate::transfer_ids;
use crate::vfs::IoMeter;
use busload_engine::Apply;

/// First SQLite without the WAL-reset corruption bug (a checkpoint on one connection
/// against a write on another).
const SQLITE_VERSION_MIN: i32 = 3_051_003;

/// How long a statement waits for a lock that a foreign connection holds, such as a
/// person's `sqlite3` reading the file in rollback-journal mode.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The page cache of the connection that checkpoints. It copies pages past its cache.
const SECOND_CACHE_KIB: u32 = 64;

/// An open ledger and what guards it. The order of the fields is the order of closing: the locks
/// go last, that of the database file not before SQLite's last connection.
pub(crate) struct Store {
    /// For checkpoints beside the writer, and what counts its syncs. Closed before the other.
    second: Option<Connection>,
    second_meter: Option<IoMeter>,
    pub(crate) connection: Connection,
    pub(crate) meter: IoMeter,
    pub(crate) pragmas: Pragmas,
    pub(crate) page_bytes: u32,
    /// By how much the log grows between two checkpoints.
    pub(crate) checkpoint_bytes: u64,
    /// The ledger has other pages than were asked for.
    pub(crate) other_pages: Option<String>,
    pub(crate) made_here: bool,
    /// What a ledger held when it was opened whose initial balance nobody told.
    opening: Option<BalanceSum>,
    database_lock: DatabaseLock,
    _lock: LockFile,
}

impl Store {
    /// Opens the database, takes the lock, sets and reads back the pragmas, and seeds the
    /// ledger if the file holds none.
    pub(crate) fn open(config: &Config) -> Result<Self, EngineError> {
        Self::open_unexplained(config)
            .map_err(|error| preflight::explain(&config.database, error).into())
    }

    fn open_unexplained(config: &Config) -> Result<Self, Error> {
        if rusqlite::version_number() < SQLITE_VERSION_MIN {
            let error = SqliteTooOld(rusqlite::version());
            return Err(EngineError::CannotServe(Arc::new(error)).into());
        }
        layout::check_page_size(config)?;
        let path = &config.database;
        if path.is_dir() {
            return Err(EngineError::NotALedger {
                database: path.clone(),
                why: "it is a directory".to_owned(),
            }
            .into());
        }
        if config.fresh || !path.exists() {
            check_seeding(config.seed_accounts, config.seed_balance)?;
        }
        // Names that are symbolic links have one lock with their target; other names are refused.
        let path = &ledger_files::resolve(path);
        ledger_files::check(path)?;
        let lock = LockFile::take(path)?;
        let meter = IoMeter::register()?;
        if config.durability.syncs() && meter.sees_directory_syncs() {
            preflight::check_directory(path)?;
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut database_lock = DatabaseLock::take(path)?;
        if config.fresh {
            remove_ledger(path, flags, &meter)?;
            // Of the new file: the old one is nobody's any more.
            database_lock = DatabaseLock::take(path)?;
        }
        let connection = Connection::open_with_flags_and_vfs(path, flags, meter.vfs_name())?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        check_ledger(&connection, path)?;
        // Before the log is begun, which fixes it.
        let page_bytes = layout::set_page_size(&connection, config)?;
        let other_pages = config.page_bytes.filter(|&asked| asked != page_bytes);
        let other_pages = other_pages.map(|asked| layout::keeps_its_pages(page_bytes, asked));
        let pragmas = config.durability.apply(&connection, config.cache_kib)?;
        let made_here = !connection.table_exists(None, "accounts")?;
        let mut store = Self {
            second: None,
            second_meter: None,
            connection,
            meter,
            pragmas,
            page_bytes,
            checkpoint_bytes: 0,
            other_pages,
            made_here,
            opening: None,
            database_lock,
            _lock: lock,
        };
        if store.made_here {
            store.seed(config.seed_accounts, config.seed_balance)?;
        } else if let Some(balance) = config.initial_balance {
            store.remember_initial_balance(balance)?;
        }
        if config.apply == Apply::Coalesced {
            store.check_integers(path)?;
        }
        if store.initial_balance()?.is_none() {
            // What cannot be read as balances is served as far as it can be, and not verified.
            store.opening = store.balances().ok();
        }
        // Of a new ledger: now that it is there.
        store.checkpoint_bytes = layout::checkpoint_bytes(&store.connection, page_bytes, config)?;
        if config.durability.has_wal() && config.checkpoint_mode == CheckpointMode::Background {
            store.open_second(config, path, flags)?;
        }
        Ok(store)
    }

    fn open_second(&mut self, config: &Config, path: &Path, flags: OpenFlags) -> Result<(), Error> {
        let meter = IoMeter::register()?;
        let connection = Connection::open_with_flags_and_vfs(path, flags, meter.vfs_name())?;
        config.durability.apply(&connection, SECOND_CACHE_KIB)?;
        self.second = Some(connection);
        self.second_meter = Some(meter);
        Ok(())
    }

    /// The second connection, if there is one, and what counts its syncs. Once.
    pub(crate) fn take_second(&mut self) -> Option<(Connection, IoMeter)> {
        self.second.take().zip(self.second_meter.clone())
    }

    /// Of every connection.
    pub(crate) fn meters(&self) -> impl Iterator<Item = &IoMeter> {
        [&self.meter].into_iter().chain(&self.second_meter)
    }

    /// The files that are open now, to be looked after.
    pub(crate) fn open_files(&self, config: &Config) -> Result<OpenFiles, EngineError> {
        let path = ledger_files::resolve(&config.database);
        let has_log = config.durability.has_wal();
        let mut files = OpenFiles::new(&path, self.database_file(), has_log)
            .map_err(|error| ledger_files::gone_at_start(path, &error))?;
        files.check()?;
        Ok(files)
    }

    pub(crate) fn database_file(&self) -> &File {
        self.database_lock.file()
    }

    /// Copies what the log holds into the database as it is open, wherever its name has gone, and
    /// empties the log, which must not be taken for that of another database. False when it could
    /// not be done.
    pub(crate) fn rescue_log(&self) -> bool {
        let copied = self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
                row.get::<_, i64>(0)
            });
        matches!(copied, Ok(0))
    }

    /// Leaves the log as it is when the last connection closes: after a failed sync the next
    /// start and its recovery decide what of it counts.
    pub(crate) fn leave_log(&self) {
        let keep_log = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
        // Without it SQLite copies at closing what it knows to be committed, no more.
        let _ = self.connection.set_db_config(keep_log, true);
    }

    /// Writes as a batch of one transfer would, and changes nothing.
    pub(crate) fn probe(&self) -> Result<(), rusqlite::Error> {
        let transaction = self.connection.unchecked_transaction()?;
        // There and back: SQLite does not write a row that stays as it is.
        transaction.execute_batch(
            "UPDATE accounts SET balance = balance - 1 WHERE id = (SELECT min(id) FROM accounts);
             UPDATE accounts SET balance = balance + 1 WHERE id = (SELECT min(id) FROM accounts);",
        )?;
        transaction.commit()
    }

    /// Wipes the ledger, remembered ids with it, and creates `accounts` accounts of
    /// `initial_balance` each, in one transaction.
    pub(crate) fn seed(&self, accounts: i64, initial_balance: i64) -> Result<(), Error> {
        check_seeding(accounts, initial_balance)?;
        let transaction = self.connection.unchecked_transaction()?;
        transaction.execute_batch(
            "DROP TABLE IF EXISTS accounts;
             DROP TABLE IF EXISTS transfer_ids;
             CREATE TABLE accounts(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL) STRICT;",
        )?;
        {
            let mut insert =
                transaction.prepare("INSERT INTO accounts(id, balance) VALUES (?1, ?2)")?;
            for id in 0..accounts {
                insert.raw_bind_parameter(1, id)?;
                insert.raw_bind_parameter(2, initial_balance)?;
                insert.raw_execute()?;
            }
        }
        self.remember_initial_balance(initial_balance)?;
        transaction.commit()?;
        // A long log from the seeding must not be the first run's first checkpoint. That the
        // seeding is durable does not depend on it: the next checkpoint reports what is wrong.
        let _ = self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        Ok(())
    }

    fn remember_initial_balance(&self, balance: i64) -> Result<(), rusqlite::Error> {
        self.connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS busload(key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;",
        )?;
        self.connection.execute(
            "INSERT INTO busload(key, value) VALUES ('initial_balance', ?1)
             ON CONFLICT(key) DO UPDATE SET value = excluded.value",
            [balance],
        )?;
        Ok(())
    }

    /// Only whole numbers can be reckoned with outside of SQLite. A table of ours holds nothing
    /// else.
    fn check_integers(&self, path: &Path) -> Result<(), Error> {
        let foreign: bool = self.connection.query_row(
            "SELECT NOT (SELECT strict FROM pragma_table_list WHERE name = 'accounts')
                AND EXISTS (SELECT 1 FROM accounts WHERE typeof(balance) <> 'integer')",
            [],
            |row| row.get(0),
        )?;
        if foreign {
            return Err(EngineError::CannotOpen {
                database: path.to_owned(),
                why: "it has balances that are not whole numbers, which only SQLite can calculate with"
                    .to_owned(),
                remedy: "serve it with --apply per-transfer",
            }
            .into());
        }
        Ok(())
    }

    /// What `seed` stored, or what the server was told; `None` for a foreign file.
    fn initial_balance(&self) -> Result<Option<i64>, rusqlite::Error> {
        if !self.connection.table_exists(None, "busload")? {
            return Ok(None);
        }
        self.connection
            .query_row(
                "SELECT value FROM busload WHERE key = 'initial_balance'",
                [],
                |row| row.get(0),
            )
            .optional()
    }

    pub(crate) fn verify(&self) -> Result<Verification, Error> {
        let Some(initial) = self.initial_balance()? else {
            return Ok(match &self.opening {
                Some(opening) => self.balances()?.verify_since(opening)?,
                None => Verification::Skipped { skipped: true },
            });
        };
        let (mut sum, mut changed) = (BalanceSum::default(), 0);
        self.each_balance(|id, balance| {
            sum.add(id, balance);
            changed += u64::from(balance != initial);
        })?;
        Ok(sum.verify(initial, changed)?)
    }

    /// Whether the ledger is what a seeding with these arguments would leave, so that nothing is
    /// lost by not doing it: those accounts and balances, and no transfer remembered.
    pub(crate) fn is_just_seeded(
        &self,
        accounts: i64,
        initial_balance: i64,
    ) -> Result<bool, Error> {
        let seeded: bool = self.connection.query_row(
            "SELECT count(*) = ?1 AND min(id) = 0 AND max(id) = ?1 - 1
                AND min(balance) = ?2 AND max(balance) = ?2 FROM accounts",
            [accounts, initial_balance],
            |row| row.get::<_, Option<bool>>(0),
        )? == Some(true);
        if !seeded || !self.connection.table_exists(None, transfer_ids::TABLE)? {
            return Ok(seeded);
        }
        let remembered = format!("SELECT EXISTS (SELECT 1 FROM {})", transfer_ids::TABLE);
        let remembered: bool = self
            .connection
            .query_row(&remembered, [], |row| row.get(0))?;
        Ok(!remembered)
    }

    pub(crate) fn balances(&self) -> Result<BalanceSum, Error> {
        let mut sum = BalanceSum::default();
        self.each_balance(|id, balance| sum.add(id, balance))?;
        Ok(sum)
    }

    /// A balance that is no integer (only a table that is not STRICT can hold one) is an
    /// error, not a number.
    fn each_balance(&self, mut see: impl FnMut(i64, i64)) -> Result<(), rusqlite::Error> {
        let mut statement = self
            .connection
            .prepare("SELECT id, balance FROM accounts")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            see(row.get(0)?, row.get(1)?);
        }
        Ok(())
    }
}

/// Removes a ledger and its log, but nothing that is not a ledger.
fn remove_ledger(path: &Path, flags: OpenFlags, meter: &IoMeter) -> Result<(), Error> {
    let connection = Connection::open_with_flags_and_vfs(path, flags, meter.vfs_name())?;
    check_ledger(&connection, path)?;
    drop(connection);
    for suffix in SUFFIXES {
        match std::fs::remove_file(beside(path, suffix)) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(EngineError::NotALedger {
                    database: path.to_owned(),
                    why: format!("it cannot be replaced: {error}"),
                }
                .into());
            }
        }
    }
    Ok(())
}

/// Refuses what is no ledger, and leaves it as it was.
fn check_ledger(connection: &Connection, path: &Path) -> Result<(), Error> {
    // Closing the last connection moves the log into the database, which for somebody else's
    // file is not ours to do. Without a log, closing only removes what opening created.
    let log = beside(path, "-wal");
    let has_log = std::fs::metadata(log).is_ok_and(|log| log.len() > 0);
    let keep_log = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
    connection.set_db_config(keep_log, has_log)?;
    // The first statement that reads the header tells what kind of file this is.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    check_schema(connection, path)?;
    connection.set_db_config(keep_log, false)?;
    Ok(())
}

/// A ledger holds its own tables and nothing else, and the table of accounts has its two
/// columns and no others: many a program has a table of that name.
fn check_schema(connection: &Connection, path: &Path) -> Result<(), Error> {
    let not_a_ledger = |why: &str| {
        Err(EngineError::NotALedger {
            database: path.to_owned(),
            why: why.to_owned(),
        }
        .into())
    };
    let foreign: i64 = connection.query_row(
        "SELECT count(*) FROM sqlite_schema
         WHERE type IN ('table', 'view', 'trigger') AND name NOT GLOB 'sqlite_*'
         AND NOT (type = 'table' AND name IN ('accounts', 'busload', 'transfer_ids'))",
        [],
        |row| row.get(0),
    )?;
    let has_accounts = connection.table_exists(None, "accounts")?;
    if foreign > 0 {
        return not_a_ledger(if has_accounts {
            "it holds more than the table accounts"
        } else {
            "it holds tables but no table accounts"
        });
    }
    let (columns, ours): (i64, i64) = connection.query_row(
        "SELECT count(*), count(*) FILTER (WHERE upper(type) LIKE '%INT%'
            AND (lower(name) = 'id' AND pk = 1 OR lower(name) = 'balance' AND pk = 0))
         FROM pragma_table_xinfo('accounts')",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    if has_accounts && (columns, ours) != (2, 2) {
        return not_a_ledger(
            "its table accounts has other columns than id INTEGER PRIMARY KEY and balance INTEGER",
        );
    }
    let columns: Option<String> = connection.query_row(
        "SELECT group_concat(name, ' ' ORDER BY cid) FROM pragma_table_xinfo(?1)",
        [transfer_ids::TABLE],
        |row| row.get(0),
    )?;
    if columns.is_some_and(|columns| columns != transfer_ids::COLUMNS) {
        return not_a_ledger("its table transfer_ids has other columns than a server's");
    }
    Ok(())
}

/// The `SQLite` that is linked in loses data.
#[derive(Debug, thiserror::Error)]
#[error("sqlite {0} has the wal-reset bug: build with the bundled sqlite")]
struct SqliteTooOld(&'static str);
