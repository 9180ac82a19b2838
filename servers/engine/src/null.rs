//! The ledger of a server that stores nothing: what is left when there is no database.
//!
//! It is served as every other one, in the same batches from the same queue, so a run against it
//! measures the load generator and the wire. It can spend what a real one spends, per transfer and
//! per batch, to take turns with the transport at the same pace.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use busload_wire::Transfer;
use busload_wire::control::{Account, Verification};

use crate::balances::BalanceSum;
use crate::batch::{Batch, Ended};
use crate::call::check_seeding;
use crate::error::EngineError;
use crate::ledger::{About, IoReader, Ledger, Storage};
use crate::outcome::{Outcome, Rejection, is_invalid};
use crate::stats::{Io, nanos};

/// What `info` calls the engine and the durability of a server that answers without a database.
pub const NULL: &str = "null";

/// What the null ledger spends. Zero is as fast as it can.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NullPace {
    /// CPU time for each transfer of a batch, spent in one go.
    pub apply: Duration,
    /// Sleep for each batch, where a real one waits for its sync.
    pub sync: Duration,
}

/// A ledger without balances: it answers by the rules that need none.
#[derive(Debug)]
pub struct NullLedger {
    accounts: i64,
    initial_balance: i64,
    pace: NullPace,
}

impl NullLedger {
    /// One that pretends to have so many accounts of such a balance.
    ///
    /// # Errors
    /// They are out of range.
    pub fn new(accounts: i64, initial_balance: i64, pace: NullPace) -> Result<Self, EngineError> {
        check_seeding(accounts, initial_balance)?;
        Ok(Self {
            accounts,
            initial_balance,
            pace,
        })
    }

    /// The rules that need no balance.
    fn judge(&self, transfer: &Transfer) -> Outcome {
        let accounts = 0..self.accounts;
        if is_invalid(transfer) {
            Outcome::Rejected(Rejection::InvalidTransfer)
        } else if !accounts.contains(&transfer.from) || !accounts.contains(&transfer.to) {
            Outcome::Rejected(Rejection::AccountMissing)
        } else {
            Outcome::Committed
        }
    }
}

impl Storage for NullLedger {
    fn about(&self) -> About {
        About {
            engine: NULL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            settings: BTreeMap::new(),
            durability: NULL.to_owned(),
            database: "none".to_owned(),
            apply: None,
            made_here: true,
            checkpoint_bytes: None,
            id_horizon: None,
            warnings: Vec::new(),
        }
    }

    fn io(&self) -> IoReader {
        Box::new(|| Some(Io::default()))
    }

    fn with_ledger(
        &mut self,
        serve: &mut dyn FnMut(&mut dyn Ledger) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        sleep_precisely();
        serve(self)
    }
}

impl Ledger for NullLedger {
    fn commit(&mut self, batch: &mut Batch) -> Ended {
        for one in batch.work.iter_mut().flatten() {
            one.outcome = self.judge(&one.transfer);
        }
        let transfers = u32::try_from(batch.transfers()).unwrap_or(u32::MAX);
        let apply = self.pace.apply.saturating_mul(transfers);
        while batch.began().elapsed() < apply {
            std::hint::spin_loop();
        }
        batch.applied();
        if !self.pace.sync.is_zero() {
            pause(self.pace.sync);
            batch.ended();
            batch.syncs_ns.push(nanos(batch.commit));
        }
        Ended::Committed
    }

    fn account(&mut self, id: i64) -> Result<Option<Account>, EngineError> {
        let exists = (0..self.accounts).contains(&id);
        Ok(exists.then(|| Account {
            id,
            balance: self.initial_balance.to_string(),
        }))
    }

    fn seed(&mut self, accounts: i64, initial_balance: i64) -> Result<(), EngineError> {
        self.accounts = accounts;
        self.initial_balance = initial_balance;
        Ok(())
    }

    fn is_just_seeded(&mut self, accounts: i64, initial_balance: i64) -> Result<bool, EngineError> {
        Ok((accounts, initial_balance) == (self.accounts, self.initial_balance))
    }

    fn verify(&mut self) -> Result<Verification, EngineError> {
        Ok(Verification::Skipped { skipped: true })
    }

    /// Of a ledger in which nothing ever moved, which is what a null server's is.
    fn balances(&mut self) -> Result<BalanceSum, EngineError> {
        let mut sum = BalanceSum::default();
        (0..self.accounts).for_each(|id| sum.add(id, self.initial_balance));
        Ok(sum)
    }
}

/// How much too long a sleep may be: Linux lets timers be 50 µs late unless told otherwise
/// (`PR_SET_TIMERSLACK`), which is as long as a fast sync.
#[cfg(target_os = "linux")]
const OVERSLEEP_MAX: Duration = Duration::ZERO;
#[cfg(not(target_os = "linux"))]
const OVERSLEEP_MAX: Duration = Duration::from_micros(100);

/// Makes the sleeps of this thread as long as they are asked to be.
fn sleep_precisely() {
    // Without it sleeps are 50 µs longer; the timings show what they were.
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_timerslack(1);
}

/// Sleeps, and does without sleep what sleep is too coarse for.
fn pause(duration: Duration) {
    let began = Instant::now();
    std::thread::sleep(duration.saturating_sub(OVERSLEEP_MAX));
    while began.elapsed() < duration {
        std::hint::spin_loop();
    }
}
