//! A bank of the engine's tests on a ledger in `SQLite`, and its files as others see them.

#![allow(dead_code, reason = "each test crate uses its own part")]

#[path = "../../../engine/tests/support/mod.rs"]
mod bank;

use std::path::{Path, PathBuf};
use std::time::Duration;

use busload_engine::EngineError;
use busload_sqlite::{Apply, CheckpointMode, Durability, SqliteLedger};
use rusqlite::Connection;

pub(crate) use bank::*;

/// What the engine and its ledger are told, in one.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) database: PathBuf,
    pub(crate) fresh: bool,
    pub(crate) durability: Durability,
    pub(crate) batch_size: usize,
    pub(crate) batch_timeout: Duration,
    pub(crate) queue_transfers: usize,
    pub(crate) apply: Apply,
    pub(crate) seed_accounts: i64,
    pub(crate) seed_balance: i64,
    pub(crate) initial_balance: Option<i64>,
    pub(crate) page_bytes: Option<u32>,
    pub(crate) cache_kib: u32,
    pub(crate) checkpoint_kib: Option<u32>,
    pub(crate) checkpoint_mode: CheckpointMode,
    pub(crate) log_limit_bytes: u64,
    pub(crate) probe_interval: Duration,
    pub(crate) id_horizon: Duration,
    pub(crate) max_ids: usize,
    pub(crate) stage_timings: bool,
    pub(crate) busy_wait: Duration,
}

impl Config {
    fn engine(&self) -> busload_engine::Config {
        busload_engine::Config {
            batch_size: self.batch_size,
            batch_timeout: self.batch_timeout,
            queue_transfers: self.queue_transfers,
            stage_timings: self.stage_timings,
        }
    }

    fn sqlite(&self) -> busload_sqlite::Config {
        busload_sqlite::Config {
            database: self.database.clone(),
            fresh: self.fresh,
            durability: self.durability,
            apply: self.apply,
            seed_accounts: self.seed_accounts,
            seed_balance: self.seed_balance,
            initial_balance: self.initial_balance,
            page_bytes: self.page_bytes,
            cache_kib: self.cache_kib,
            checkpoint_kib: self.checkpoint_kib,
            checkpoint_mode: self.checkpoint_mode,
            log_limit_bytes: self.log_limit_bytes,
            probe_interval: self.probe_interval,
            id_horizon: self.id_horizon,
            max_ids: self.max_ids,
            busy_wait: self.busy_wait,
        }
    }
}

impl Bank {
    pub(crate) fn open(config: &Config) -> Result<Self, EngineError> {
        let ledger = SqliteLedger::open(&config.sqlite())?;
        Self::on(&config.engine(), Box::new(ledger))
    }

    pub(crate) fn start(config: &Config) -> Self {
        Self::open(config).expect("the engine starts")
    }
}

/// Ten accounts of 1000 each, batches as large as can be, no timeout.
pub(crate) fn config(directory: &Path, durability: Durability) -> Config {
    Config {
        database: directory.join("ledger.sqlite"),
        fresh: false,
        durability,
        batch_size: 4096,
        batch_timeout: Duration::ZERO,
        queue_transfers: 1 << 20,
        apply: Apply::PerTransfer,
        seed_accounts: 10,
        seed_balance: 1000,
        initial_balance: None,
        cache_kib: 1024,
        page_bytes: None,
        checkpoint_kib: Some(4000),
        id_horizon: Duration::from_hours(1),
        max_ids: 1 << 20,
        stage_timings: true,
        checkpoint_mode: CheckpointMode::Background,
        log_limit_bytes: 1 << 34,
        probe_interval: Duration::from_millis(20),
        busy_wait: Duration::ZERO,
    }
}

/// As the original benchmark's tool makes it.
pub(crate) fn original_file(path: &Path, balances: &[i64]) {
    create_ledger(path, "", balances);
}

pub(crate) fn strict_file(path: &Path, balances: &[i64]) {
    create_ledger(path, "STRICT", balances);
}

fn create_ledger(path: &Path, options: &str, balances: &[i64]) {
    let mut connection = Connection::open(path).expect("a new file");
    let transaction = connection.transaction().expect("nobody else is there");
    transaction
        .execute_batch(&format!(
            "CREATE TABLE accounts(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL) {options}"
        ))
        .expect("an empty file");
    for (id, balance) in (0_i64..).zip(balances) {
        transaction
            .execute("INSERT INTO accounts VALUES (?1, ?2)", [id, *balance])
            .expect("a new account");
    }
    transaction.commit().expect("a small ledger");
}

/// Balances as another program finds them in the file.
pub(crate) fn balances_in(path: &Path) -> Vec<i64> {
    let connection = Connection::open(path).expect("the file is there");
    let mut statement = connection
        .prepare("SELECT balance FROM accounts ORDER BY id")
        .expect("a ledger");
    let rows = statement.query_map([], |row| row.get(0)).expect("a ledger");
    rows.collect::<Result<_, _>>()
        .expect("balances are integers")
}

/// Every file of a directory but lock files, with its content.
pub(crate) fn snapshot(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = directory
        .read_dir()
        .expect("the directory is there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.is_file() && path.extension().is_none_or(|name| name != "lock"))
        .map(|path| {
            let content = std::fs::read(&path).expect("readable");
            (path, content)
        })
        .collect();
    files.sort();
    files
}
