//! The ledger as the engine sees it: a database that is open, and what its one writer thread does
//! with it.

use std::time::{Duration, Instant};

use busload_engine::{
    About, BalanceSum, Batch, Ended, EngineError, Failure, Io, IoReader, Ledger, Monitor, Outcome,
    Storage,
};
use busload_wire::control::{Account, TransferIds, Verification};
use rusqlite::{Connection, ErrorCode};

use crate::applier::Applier;
use crate::checkpoint::Checkpointer;
use crate::commit::Transaction;
use crate::config::Config;
use crate::disk_full::DiskFull;
use crate::durability::Durability;
use crate::error::{Error, in_doubt};
use crate::ledger_files::{self, OpenFiles};
use crate::preflight;
use crate::store::Store;
use crate::transfer_ids::Remembered;
use crate::vfs::{IoCounts, IoMeter, SyncSample};

/// A ledger in a database file that is open.
pub struct SqliteLedger {
    store: Store,
    ids: Remembered,
    config: Config,
}

impl SqliteLedger {
    /// Opens the database, takes its locks, sets and reads back the pragmas, and seeds the ledger
    /// if the file holds none.
    ///
    /// # Errors
    /// The file cannot be opened as a ledger with this durability.
    pub fn open(config: &Config) -> Result<Self, EngineError> {
        let store = Store::open(config)?;
        let ids = Remembered::load(&store.connection, config.id_horizon, config.max_ids)
            .map_err(|error| preflight::explain(&config.database, error.into()))?;
        let ids = ids.ok_or_else(|| EngineError::NotALedger {
            database: config.database.clone(),
            why: "its table transfer_ids holds what no server wrote".to_owned(),
        })?;
        let config = config.clone();
        Ok(Self { store, ids, config })
    }

    fn applies(&self) -> bool {
        self.config.durability != Durability::DiscardWrites
    }

    fn lend(
        &mut self,
        second: Option<(Connection, IoMeter)>,
        serve: &mut dyn FnMut(&mut dyn Ledger) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let applies = self.applies();
        let Self { store, ids, config } = self;
        let store: &Store = store;
        let prepared = |error| EngineError::from(Error::Sqlite(error));
        serve(&mut Writing {
            transaction: Transaction::prepare(&store.connection).map_err(prepared)?,
            applier: Applier::prepare(&store.connection, ids, config.apply, !applies)
                .map_err(prepared)?,
            checkpointer: Checkpointer::new(store, config, second),
            disk_full: DiskFull::new(config.probe_interval),
            files: store.open_files(config)?,
            store,
            busy_wait: config.busy_wait,
            samples: Vec::new(),
            found_full: false,
            seeded: None,
        })
    }
}

impl Storage for SqliteLedger {
    fn about(&self) -> About {
        let Self { store, config, .. } = self;
        let pragmas = store.pragmas.0.iter();
        // What discards writes runs with the pragmas of another mode and is called by its name.
        let durability = match config.durability {
            Durability::DiscardWrites => Some(Durability::DiscardWrites),
            _ => store.pragmas.durability(),
        };
        About {
            engine: "sqlite",
            version: rusqlite::version().to_owned(),
            settings: pragmas
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
            durability: durability.map_or("custom", Durability::as_str).to_owned(),
            database: config.database.display().to_string(),
            apply: self.applies().then_some(config.apply.as_str()),
            made_here: store.made_here,
            checkpoint_bytes: config
                .durability
                .has_wal()
                .then_some(store.checkpoint_bytes),
            id_horizon: self.applies().then_some(config.id_horizon),
            warnings: store.other_pages.iter().cloned().collect(),
        }
    }

    fn io(&self) -> IoReader {
        let meters: Vec<IoMeter> = self.store.meters().cloned().collect();
        Box::new(move || {
            let counts = meters.iter().map(IoMeter::counts);
            let counts = counts.fold(IoCounts::default(), |sum, one| sum.plus(&one));
            Some(Io {
                syncs: counts.syncs,
                bytes_written: counts.bytes_written,
            })
        })
    }

    fn with_ledger(
        &mut self,
        serve: &mut dyn FnMut(&mut dyn Ledger) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let second = self.store.take_second();
        let result = self.lend(second, serve);
        match result {
            Err(gone @ EngineError::FileGone { .. }) => {
                let is_copied = self.store.rescue_log();
                // The name of the log may lead to somebody else's by now: it is not removed.
                self.store.leave_log();
                let database = self.store.database_file();
                Err(ledger_files::with_remedy(gone, database, is_copied))
            }
            Err(stopped @ (EngineError::InDoubt(_) | EngineError::CheckpointUnsynced(_))) => {
                self.store.leave_log();
                Err(stopped)
            }
            other => other,
        }
    }
}

struct Writing<'w> {
    checkpointer: Checkpointer<'w>,
    disk_full: DiskFull,
    files: OpenFiles,
    transaction: Transaction<'w>,
    applier: Applier<'w>,
    store: &'w Store,
    busy_wait: Duration,
    /// Kept from batch to batch for the room that it has.
    samples: Vec<SyncSample>,
    /// The batch that is being answered found no room.
    found_full: bool,
    /// A seeding is being answered; with an error the engine is to stop.
    seeded: Option<Result<(), EngineError>>,
}

impl Writing<'_> {
    /// Processor time for nothing, where that was asked for.
    fn waste(&self, transfers: u64) {
        if !self.busy_wait.is_zero() {
            let transfers = u32::try_from(transfers).unwrap_or(u32::MAX);
            let until = Instant::now() + self.busy_wait.saturating_mul(transfers);
            while Instant::now() < until {
                std::hint::spin_loop();
            }
        }
    }

    /// One transaction for all of the batch; the outcomes are those that a commit would give.
    fn transact(&mut self, batch: &mut Batch) -> Ended {
        let applied = self.transaction.apply(&mut self.applier, &mut batch.work);
        self.waste(batch.transfers());
        batch.applied();
        let ended = match applied.and_then(|()| self.transaction.end(&mut self.applier)) {
            Ok(()) => Ended::Committed,
            Err(error) => self.transaction.give_up(error),
        };
        let ended_at = batch.ended();
        match ended {
            // Durable, but perhaps where no server will find it.
            Ended::Committed if self.files.is_due(ended_at) => self.files.check().err(),
            // SQLite looks after its files too, in some modes, and says less of it.
            Ended::InDoubt(_) => self.files.check().err(),
            Ended::Committed | Ended::RolledBack(_) | Ended::Unconfirmed => None,
        }
        .map_or(ended, Ended::InDoubt)
    }
}

impl Ledger for Writing<'_> {
    fn commit(&mut self, batch: &mut Batch) -> Ended {
        self.store.meter.take_sync_samples(&mut self.samples);
        self.samples.clear();
        let ended = self.transact(batch);
        let overruled = match &ended {
            Ended::Committed => None,
            Ended::RolledBack(failure) => Some(Outcome::Failed(*failure)),
            Ended::InDoubt(_) | Ended::Unconfirmed => Some(Outcome::InDoubt),
        };
        batch.changes = self.applier.end_batch(overruled.is_none());
        if let Some(outcome) = overruled {
            self.found_full = outcome == Outcome::Failed(Failure::StorageFull);
            for one in batch.work.iter_mut().flatten() {
                if !self.applier.stands(&one.transfer, one.outcome) {
                    one.outcome = outcome;
                }
            }
        }
        self.store.meter.take_sync_samples(&mut self.samples);
        let syncs = self.samples.iter().map(|sample| sample.latency_ns);
        batch.syncs_ns.extend(syncs);
        ended
    }

    fn account(&mut self, id: i64) -> Result<Option<Account>, EngineError> {
        let balance = self.applier.balance_of(id).map_err(Error::from)?;
        Ok(balance.map(|balance| Account {
            id,
            balance: balance.to_string(),
        }))
    }

    fn seed(&mut self, accounts: i64, initial_balance: i64) -> Result<(), EngineError> {
        let result = self.store.seed(accounts, initial_balance);
        let broken = result.as_ref().err().and_then(io_failure);
        let checked = self.files.check();
        self.seeded = Some(match broken {
            Some(error) if checked.is_ok() => Err(in_doubt(error)),
            _ => checked.clone(),
        });
        checked?;
        result.map_err(|error| storage_full(error, self.store))?;
        // Only a seeding empties the log. After any other call the count goes on, or whoever
        // asks often enough would keep the log growing for ever.
        self.applier.forget_ids();
        self.checkpointer.seeded();
        Ok(())
    }

    fn is_just_seeded(&mut self, accounts: i64, initial_balance: i64) -> Result<bool, EngineError> {
        Ok(self.store.is_just_seeded(accounts, initial_balance)?)
    }

    fn verify(&mut self) -> Result<Verification, EngineError> {
        Ok(self.store.verify()?)
    }

    fn balances(&mut self) -> Result<BalanceSum, EngineError> {
        Ok(self.store.balances()?)
    }

    fn transfer_ids(&self) -> Option<TransferIds> {
        self.applier.id_counts()
    }

    fn next_look(&self) -> Option<Duration> {
        let files = self.files.next_look();
        let disk = self.disk_full.next_look();
        Some(disk.map_or(files, |disk| disk.min(files)))
    }

    fn look(&mut self, is_idle: bool, monitor: &mut Monitor) -> Result<(), EngineError> {
        if is_idle {
            self.files.check()?;
            // What the other thread met is not to wait for the next batch.
            self.checkpointer.after_batch(monitor)?;
        }
        if self.disk_full.is_due() {
            self.disk_full
                .probe(self.store, &mut self.checkpointer, monitor)?;
        }
        Ok(())
    }

    fn after_write(&mut self, monitor: &mut Monitor) -> Result<(), EngineError> {
        if let Some(seeded) = self.seeded.take() {
            return seeded;
        }
        if std::mem::take(&mut self.found_full) {
            self.disk_full.began(monitor);
        }
        if self.checkpointer.is_due() {
            self.files.check()?;
        }
        self.checkpointer.after_batch(monitor)?;
        if self.checkpointer.is_at_limit() {
            self.disk_full.began(monitor);
        }
        Ok(())
    }

    /// The last look at the files, and the last checkpoint.
    fn close(&mut self, monitor: &mut Monitor) -> Result<(), EngineError> {
        self.files.check()?;
        self.checkpointer.run_last(monitor)
    }
}

/// The I/O error behind a failed call. After one at a COMMIT that is not a batch's the engine
/// must stop as well.
fn io_failure(error: &Error) -> Option<rusqlite::Error> {
    let Error::Sqlite(rusqlite::Error::SqliteFailure(failure, message)) = error else {
        return None;
    };
    (failure.code == ErrorCode::SystemIoFailure)
        .then(|| rusqlite::Error::SqliteFailure(*failure, message.clone()))
}

/// A seeding that found no room, as a batch is answered that did not.
fn storage_full(error: Error, store: &Store) -> EngineError {
    match &error {
        Error::Sqlite(sqlite)
            if store.connection.is_autocommit()
                && preflight::is_disk_full(sqlite, &store.connection) =>
        {
            EngineError::StorageFull
        }
        _ => error.into(),
    }
}
