//! The seam behind group commit: where transfers are stored.
//!
//! A database is a crate that implements [`Storage`] and [`Ledger`]; the engine knows none
//! (`docs/adr/0029-the-engine-knows-no-database.md`). There are two traits because a ledger on its
//! writer thread borrows from what was opened, as statements do from their connection: the
//! [`Storage`] is opened anywhere and moved to the thread, where it lends its [`Ledger`].
//!
//! **Several writer threads.** A ledger belongs to one thread and shares nothing with the engine
//! but its [`Monitor`], so a database that allows several writers is served by as many pairs of
//! thread and storage on one queue ([`Engine::start_several`](crate::Engine::start_several)). The
//! queue holds a control call back until the batches that were taken before it have ended. What is
//! rolled back for a conflict with another writer the ledger applies again itself, and it looks ids
//! up in the database, where every writer sees them
//! (`docs/adr/0035-several-writers.md`).

use std::collections::BTreeMap;
use std::time::Duration;

use busload_wire::control::{Account, TransferIds, Verification};

use crate::balances::BalanceSum;
use crate::batch::{Batch, Ended};
use crate::error::EngineError;
use crate::monitor::Monitor;
use crate::stats::Io;

/// What a ledger runs with, as read back where that can be.
#[derive(Debug, Clone)]
pub struct About {
    /// What stores the transfers: `sqlite`.
    pub engine: &'static str,
    /// Its version.
    pub version: String,
    /// Its settings as it says them, not as they were set.
    pub settings: BTreeMap<String, String>,
    /// The durability that these settings are those of, by its name.
    pub durability: String,
    /// Where the ledger is, as the server was told it.
    pub database: String,
    /// How batches are applied; `None` when nothing is.
    pub apply: Option<&'static str>,
    /// It was made when it was opened: there was none, or it was told to start afresh.
    pub made_here: bool,
    /// By how many bytes a log grows between two checkpoints; `None` without a log.
    pub checkpoint_bytes: Option<u64>,
    /// How long ids are remembered; `None` when they are not looked at.
    pub id_horizon: Option<Duration>,
    /// What the person who started the server should be told, each in a line.
    pub warnings: Vec<String>,
}

/// Reads what a ledger has synced and written, `None` where that is not told. Asked from any
/// thread, at any time.
pub type IoReader = Box<dyn Fn() -> Option<Io> + Send + Sync>;

/// A ledger that is open, on its way to the thread that writes. Dropping it closes it, after
/// everybody was answered.
pub trait Storage: Send + 'static {
    /// What it runs with.
    fn about(&self) -> About;

    /// What it counts; called once.
    fn io(&self) -> IoReader;

    /// Lends the ledger to `serve`, once, on the thread that calls, and does what is to be done
    /// after an error that stopped it.
    ///
    /// # Errors
    /// Those of `serve`, perhaps with more said; or the ledger cannot be made ready.
    fn with_ledger(
        &mut self,
        serve: &mut dyn FnMut(&mut dyn Ledger) -> Result<(), EngineError>,
    ) -> Result<(), EngineError>;
}

/// A ledger as its one writer thread has it. One call per batch: nothing is dispatched per
/// transfer.
///
/// An error for which [`EngineError::stops_the_engine`] holds stops it, whatever returned it but
/// an answer.
pub trait Ledger {
    /// Applies the transfers of a batch in their order and commits them, one transaction for all.
    /// A rejected transfer leaves the batch as if it had not been there. Fills in every outcome,
    /// also where the batch is not committed.
    fn commit(&mut self, batch: &mut Batch) -> Ended;

    /// One account, `None` when it does not exist.
    ///
    /// # Errors
    /// It cannot be read.
    fn account(&mut self, id: i64) -> Result<Option<Account>, EngineError>;

    /// Wipes the ledger, remembered ids with it, and creates accounts; the numbers are in range.
    ///
    /// # Errors
    /// It could not be done. Whether the engine must stop is what
    /// [`after_write`](Self::after_write) says then.
    fn seed(&mut self, accounts: i64, initial_balance: i64) -> Result<(), EngineError>;

    /// Whether the ledger is what such a seeding would leave, so that nothing is lost by not
    /// doing it.
    ///
    /// # Errors
    /// It cannot be read.
    fn is_just_seeded(&mut self, accounts: i64, initial_balance: i64) -> Result<bool, EngineError>;

    /// Compares the ledger with its seeding.
    ///
    /// # Errors
    /// It does not add up, or cannot be read.
    fn verify(&mut self) -> Result<Verification, EngineError>;

    /// All balances.
    ///
    /// # Errors
    /// They cannot be read.
    fn balances(&mut self) -> Result<BalanceSum, EngineError>;

    /// What is remembered of ids; `None` when nothing ever is.
    fn transfer_ids(&self) -> Option<TransferIds> {
        None
    }

    /// How long the writer may sleep without work before it calls [`look`](Self::look); `None` for
    /// ever.
    fn next_look(&self) -> Option<Duration> {
        None
    }

    /// The time between two batches is the ledger's: before whatever comes next, and, with
    /// `is_idle`, when nothing has come for so long as [`next_look`](Self::next_look) said.
    ///
    /// # Errors
    /// One that stops the engine.
    fn look(&mut self, is_idle: bool, monitor: &mut Monitor) -> Result<(), EngineError> {
        let _ = (is_idle, monitor);
        Ok(())
    }

    /// A batch, or a seeding, was answered.
    ///
    /// # Errors
    /// One that stops the engine.
    fn after_write(&mut self, monitor: &mut Monitor) -> Result<(), EngineError> {
        let _ = monitor;
        Ok(())
    }

    /// Everything is answered, and nothing more will come.
    ///
    /// # Errors
    /// What was acknowledged may not be found by the next server.
    fn close(&mut self, monitor: &mut Monitor) -> Result<(), EngineError> {
        let _ = monitor;
        Ok(())
    }
}
