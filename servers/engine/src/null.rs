//! A writer without a database: what is left of a server when nothing is stored.
//!
//! It takes the same batches from the same queue and hands the outcomes out the same way, so
//! a run against it measures the load generator and the wire. It can spend what a real one
//! spends, per transfer and per batch, to take turns with the transport at the same pace.

use std::sync::Arc;
use std::time::{Duration, Instant};

use busload_wire::Transfer;
use busload_wire::control::{Account, Balances, Verification};

use crate::batch::begin_batch;
use crate::engine::{Config, ControlCall, ControlReply, EngineError};
use crate::ledger::{Outcome, Rejection};
use crate::queue::{Control, Job, Queue, Reply, ReplyPort, Taken};
use crate::stats::{BatchRecord, SharedStats, nanos};
use crate::store::{check_seeding, mix};
use crate::vfs::IoCounts;
use crate::writer::guard;

/// What the null writer spends. Zero is as fast as it can.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NullPace {
    /// CPU time for each transfer of a batch, spent in one go.
    pub apply: Duration,
    /// Sleep for each batch, where a real one waits for its sync.
    pub sync: Duration,
}

pub(crate) struct NullWriter<P: ReplyPort> {
    accounts: i64,
    initial_balance: i64,
    pace: NullPace,
    queue: Arc<Queue<P::Address>>,
    stats: Arc<SharedStats>,
    port: P,
    batch_timeout: Duration,
}

impl<P: ReplyPort> NullWriter<P> {
    pub(crate) fn new(
        config: &Config,
        pace: NullPace,
        queue: Arc<Queue<P::Address>>,
        stats: Arc<SharedStats>,
        port: P,
    ) -> Result<Self, EngineError> {
        check_seeding(config.seed_accounts, config.seed_balance)?;
        Ok(Self {
            accounts: config.seed_accounts,
            initial_balance: config.seed_balance,
            pace,
            queue,
            stats,
            port,
            batch_timeout: config.batch_timeout,
        })
    }

    /// Works until the queue is closed and empty.
    pub(crate) fn run(mut self) -> Result<(), EngineError> {
        sleep_precisely();
        let (queue, stats) = (Arc::clone(&self.queue), Arc::clone(&self.stats));
        guard(
            &queue,
            &stats,
            &mut self,
            |writer| {
                writer.serve();
                Ok(())
            },
            |writer| &mut writer.port,
        )
    }

    fn serve(&mut self) {
        let mut replies = Vec::new();
        while let Some(Taken { work, control }) = self.queue.take(self.batch_timeout, None) {
            if !work.is_empty() {
                let mut record = self.answer_batch(work, &mut replies);
                self.stats.count(&record);
                let answering = Instant::now();
                self.port.transfers(&mut replies);
                record.answer = answering.elapsed();
                self.stats.time(&record);
            }
            if let Some(Control { to, id, call }) = control {
                let reply = self.answer(&call);
                self.port.control(to, id, reply);
            }
        }
    }

    fn answer_batch(
        &self,
        jobs: Vec<Job<P::Address>>,
        replies: &mut Vec<Reply<P::Address>>,
    ) -> BatchRecord {
        let mut record = BatchRecord {
            committed: true,
            imitated: true,
            ..BatchRecord::default()
        };
        let began = Instant::now();
        begin_batch(jobs, began, &mut record, replies);
        for one in replies.iter_mut().flat_map(|reply| &mut reply.work) {
            one.outcome = self.judge(&one.transfer);
            record.outcomes.count(one.outcome);
        }
        let transfers = u32::try_from(record.transfers).unwrap_or(u32::MAX);
        let apply = self.pace.apply.saturating_mul(transfers);
        while began.elapsed() < apply {
            std::hint::spin_loop();
        }
        let committing = Instant::now();
        record.apply = committing - began;
        if !self.pace.sync.is_zero() {
            pause(self.pace.sync);
            record.commit = committing.elapsed();
            record.syncs_ns.push(nanos(record.commit));
        }
        record
    }

    /// The rules that need no balance.
    fn judge(&self, transfer: &Transfer) -> Outcome {
        let accounts = 0..self.accounts;
        if transfer.amount < 1 || transfer.from == transfer.to {
            Outcome::Rejected(Rejection::InvalidTransfer)
        } else if !accounts.contains(&transfer.from) || !accounts.contains(&transfer.to) {
            Outcome::Rejected(Rejection::AccountMissing)
        } else {
            Outcome::Committed
        }
    }

    fn answer(&mut self, call: &ControlCall) -> Result<ControlReply, EngineError> {
        match *call {
            ControlCall::GetAccount { id } => {
                let exists = (0..self.accounts).contains(&id);
                Ok(ControlReply::Account(exists.then(|| Account {
                    id,
                    balance: self.initial_balance.to_string(),
                })))
            }
            ControlCall::Seed {
                accounts,
                initial_balance,
                may_wipe,
            } => {
                check_seeding(accounts, initial_balance)?;
                if !may_wipe && (accounts, initial_balance) != (self.accounts, self.initial_balance)
                {
                    return Err(EngineError::MustNotWipe);
                }
                self.accounts = accounts;
                self.initial_balance = initial_balance;
                Ok(ControlReply::Seeded)
            }
            ControlCall::Verify => Ok(ControlReply::Verified(Verification::Skipped {
                skipped: true,
            })),
            ControlCall::Stats { histograms } => {
                let (io, queue) = (IoCounts::default(), self.queue.counts());
                let snapshot = self.stats.snapshot(&io, queue, histograms);
                let snapshot = snapshot.with_balances(self.balances());
                Ok(ControlReply::Stats(Box::new(snapshot)))
            }
        }
    }

    /// Of a ledger in which nothing ever moved, which is what a null server's is.
    fn balances(&self) -> Balances {
        let digest = (0..self.accounts)
            .map(|id| mix(id, self.initial_balance))
            .fold(0, u64::wrapping_add);
        let total = i128::from(self.initial_balance) * i128::from(self.accounts);
        Balances {
            accounts: self.accounts.unsigned_abs(),
            total: total.to_string(),
            lowest: self.initial_balance.to_string(),
            digest: format!("{digest:016x}"),
        }
    }
}

/// How much too long a sleep may be: Linux lets timers be 50 µs late unless told otherwise
/// (`PR_SET_TIMERSLACK`), which is as long as a fast sync.
#[cfg(target_os = "linux")]
const OVERSLEEP: Duration = Duration::ZERO;
#[cfg(not(target_os = "linux"))]
const OVERSLEEP: Duration = Duration::from_micros(100);

/// Makes the sleeps of this thread as long as they are asked to be.
fn sleep_precisely() {
    // Without it sleeps are 50 µs longer; the timings show what they were.
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_timerslack(1);
}

/// Sleeps, and does without sleep what sleep is too coarse for.
fn pause(duration: Duration) {
    let began = Instant::now();
    std::thread::sleep(duration.saturating_sub(OVERSLEEP));
    while began.elapsed() < duration {
        std::hint::spin_loop();
    }
}
