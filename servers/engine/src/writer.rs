//! Group commit: the one thread that writes.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, Statement};

use crate::checkpoint::Checkpointer;
use crate::durability::Durability;
use crate::engine::{Config, ControlCall, ControlReply, EngineError};
use crate::failpoint;
use crate::ledger::{Failure, Ledger, Outcome};
use crate::queue::{Control, Job, Queue, Reply, ReplyPort, Taken};
use crate::room::Room;
use crate::stats::{BatchRecord, SharedStats};
use crate::store::Store;
use crate::transfer_ids::Remembered;
use crate::trouble::{Reporter, Troubles};
use crate::vfs::{IoMeter, SyncSample};

pub(crate) struct Writer<P: ReplyPort> {
    store: Store,
    ids: Remembered,
    queue: Arc<Queue<P::Address>>,
    stats: Arc<SharedStats>,
    troubles: Arc<Troubles>,
    port: P,
    config: Config,
}

/// What the transaction of a batch came to.
enum Ended {
    /// COMMIT has returned.
    Committed,
    /// Rolled back as a whole; the engine goes on.
    RolledBack(Failure),
    /// It may be durable or not. The engine must stop: SQLite would reuse the place in the
    /// log, and the kernel has marked the pages clean.
    Unknown(rusqlite::Error),
}

impl<P: ReplyPort> Writer<P> {
    pub(crate) fn new(
        (store, ids): (Store, Remembered),
        config: &Config,
        queue: Arc<Queue<P::Address>>,
        stats: Arc<SharedStats>,
        troubles: Arc<Troubles>,
        port: P,
    ) -> Self {
        failpoint::arm();
        Self {
            store,
            ids,
            queue,
            stats,
            troubles,
            port,
            config: config.clone(),
        }
    }

    /// Works until the queue is closed and empty, or an outcome is unknown.
    pub(crate) fn run(mut self) -> Result<(), EngineError> {
        let (queue, stats) = (Arc::clone(&self.queue), Arc::clone(&self.stats));
        guard(&queue, &stats, &mut self, Self::serve, |writer| {
            &mut writer.port
        })
    }

    fn serve(&mut self) -> Result<(), EngineError> {
        let second = self.store.take_second();
        let result = self.serve_with(second);
        if matches!(result, Err(EngineError::OutcomeUnknown(_))) {
            self.store.leave_log();
        }
        result
    }

    fn serve_with(&mut self, second: Option<(Connection, IoMeter)>) -> Result<(), EngineError> {
        let Self {
            store,
            ids,
            queue,
            stats,
            troubles,
            port,
            config,
        } = self;
        let mut transaction = Transaction::prepare(&store.connection)?;
        let discard_writes = config.durability == Durability::DiscardWrites;
        let mut ledger = Ledger::prepare(&store.connection, ids, discard_writes)?;
        stats.record_transfer_ids(ledger.id_counts());
        let mut checkpointer = Checkpointer::new(store, stats, config, second);
        let mut room = Room::new(config.probe_interval);
        let mut samples = Vec::new();
        let mut replies = Vec::new();
        while let Some(Taken { work, control }) =
            queue.take(config.batch_timeout, room.look_again())
        {
            let mut reporter = Reporter { troubles, port };
            if room.is_due() {
                room.probe(store, &mut checkpointer, &mut reporter)
                    .map_err(EngineError::OutcomeUnknown)?;
            }
            if room.is_full() {
                refuse(work, Failure::StorageFull, stats, port);
            } else if !work.is_empty() {
                store.meter.take_sync_samples(&mut samples);
                samples.clear();
                let mut record = BatchRecord::default();
                let ended = commit_batch(
                    work,
                    &mut transaction,
                    &mut ledger,
                    config.busy_wait,
                    &mut record,
                    &mut replies,
                );
                store.meter.take_sync_samples(&mut samples);
                record
                    .syncs_ns
                    .extend(samples.iter().map(|s: &SyncSample| s.latency_ns));
                let answering = Instant::now();
                port.transfers(&mut replies);
                record.answer = answering.elapsed();
                stats.record(&record);
                failpoint::reach(failpoint::AFTER_ANSWER);
                let mut reporter = Reporter { troubles, port };
                match ended {
                    Ended::Unknown(error) => return Err(EngineError::OutcomeUnknown(error)),
                    Ended::RolledBack(Failure::StorageFull) => room.is_gone(&mut reporter),
                    Ended::Committed | Ended::RolledBack(_) => {}
                }
                checkpointer
                    .after_batch(&mut reporter)
                    .map_err(EngineError::OutcomeUnknown)?;
                if checkpointer.is_at_limit() {
                    room.is_gone(&mut reporter);
                }
            }
            if let Some(Control { to, id, call }) = control {
                let seeding = matches!(call, ControlCall::Seed { .. });
                let reply = answer(&call, store, stats, queue, &mut ledger);
                let broken = reply
                    .as_ref()
                    .err()
                    .and_then(io_failure)
                    .filter(|_| seeding);
                port.control(to, id, reply);
                if let Some(error) = broken {
                    return Err(EngineError::OutcomeUnknown(error));
                }
                // Only a seeding empties the log. After any other call the count goes on,
                // or whoever asks often enough would keep the log growing for ever.
                if seeding {
                    checkpointer.seeded();
                }
            }
        }
        checkpointer
            .run_last(&mut Reporter { troubles, port })
            .map_err(EngineError::OutcomeUnknown)
    }
}

/// Lets a writer serve, and sees to it that everybody is answered whatever ends it.
pub(crate) fn guard<W, P: ReplyPort>(
    queue: &Queue<P::Address>,
    stats: &SharedStats,
    writer: &mut W,
    serve: impl FnOnce(&mut W) -> Result<(), EngineError>,
    port: impl FnOnce(&mut W) -> &mut P,
) -> Result<(), EngineError> {
    let result = catch_unwind(AssertUnwindSafe(|| serve(writer)));
    // Nobody may go on queueing for a dead writer, whatever it died of.
    queue.close();
    let port = port(writer);
    if !matches!(result, Ok(Ok(()))) {
        refuse_the_rest(queue, stats, port);
    }
    port.stopped();
    result.unwrap_or_else(|panic| resume_unwind(panic))
}

/// What was queued and not started when the writer stopped was not applied.
fn refuse_the_rest<P: ReplyPort>(queue: &Queue<P::Address>, stats: &SharedStats, port: &mut P) {
    while let Some(Taken { work, control }) = queue.take(Duration::ZERO, None) {
        refuse(work, Failure::ShuttingDown, stats, port);
        if let Some(Control { to, id, .. }) = control {
            port.control(to, id, Err(EngineError::ShuttingDown));
        }
    }
}

/// Answers what was never begun.
fn refuse<P: ReplyPort>(
    jobs: Vec<Job<P::Address>>,
    failure: Failure,
    stats: &SharedStats,
    port: &mut P,
) {
    if jobs.is_empty() {
        return;
    }
    let mut record = BatchRecord::default();
    let mut replies = Vec::with_capacity(jobs.len());
    for Job { to, mut work, .. } in jobs {
        for one in &mut work {
            one.outcome = Outcome::Failed(failure);
            record.outcomes.count(one.outcome);
        }
        replies.push(Reply { to, work });
    }
    stats.record_refused(&record);
    port.transfers(&mut replies);
}

/// BEGIN, COMMIT and ROLLBACK, prepared once.
struct Transaction<'c> {
    begin: Statement<'c>,
    commit: Statement<'c>,
    rollback: Statement<'c>,
    connection: &'c Connection,
}

impl<'c> Transaction<'c> {
    fn prepare(connection: &'c Connection) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            begin: connection.prepare("BEGIN IMMEDIATE")?,
            commit: connection.prepare("COMMIT")?,
            rollback: connection.prepare("ROLLBACK")?,
            connection,
        })
    }

    /// COMMIT, unless all that was written was taken back: a batch of rejections syncs
    /// nothing.
    fn end(&mut self, ledger: &mut Ledger<'_>) -> Result<(), rusqlite::Error> {
        if ledger.took_everything_back() {
            self.rollback.raw_execute()?;
            ledger.take_changes();
        } else {
            self.commit.raw_execute()?;
        }
        Ok(())
    }

    /// Ends the transaction that `error` broke before COMMIT was tried, and judges it.
    fn give_up(&mut self, error: rusqlite::Error) -> Ended {
        let rolled_back =
            self.connection.is_autocommit() || self.connection.execute_batch("ROLLBACK").is_ok();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) if rolled_back => Ended::RolledBack(Failure::StorageFull),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) if rolled_back => {
                Ended::RolledBack(Failure::Overloaded)
            }
            _ => Ended::Unknown(error),
        }
    }
}

/// Turns the jobs of a batch into the replies to them, outcomes still open, and notes how
/// long they waited.
pub(crate) fn begin_batch<A>(
    jobs: Vec<Job<A>>,
    began: Instant,
    record: &mut BatchRecord,
    replies: &mut Vec<Reply<A>>,
) {
    for Job {
        to,
        work,
        queued_at,
    } in jobs
    {
        let transfers = work.len() as u64;
        record
            .waits
            .push((began.saturating_duration_since(queued_at), transfers));
        record.transfers += transfers;
        replies.push(Reply { to, work });
    }
}

/// One transaction for all of `jobs`; fills `replies` and `record`.
fn commit_batch<A>(
    jobs: Vec<Job<A>>,
    transaction: &mut Transaction<'_>,
    ledger: &mut Ledger<'_>,
    busy_wait: Duration,
    record: &mut BatchRecord,
    replies: &mut Vec<Reply<A>>,
) -> Ended {
    let began = Instant::now();
    begin_batch(jobs, began, record, replies);
    let applied = transaction.begin.raw_execute().and_then(|_| {
        for one in replies.iter_mut().flat_map(|reply| &mut reply.work) {
            one.outcome = ledger.apply(&one.transfer)?;
        }
        Ok(())
    });
    if !busy_wait.is_zero() {
        let transfers = u32::try_from(record.transfers).unwrap_or(u32::MAX);
        let until = Instant::now() + busy_wait.saturating_mul(transfers);
        while Instant::now() < until {
            std::hint::spin_loop();
        }
    }
    failpoint::reach(failpoint::BEFORE_COMMIT);
    let committing = Instant::now();
    record.apply = committing - began;
    let ended = match applied.and_then(|()| transaction.end(ledger)) {
        Ok(()) => Ended::Committed,
        Err(error) => transaction.give_up(error),
    };
    record.commit = committing.elapsed();
    failpoint::reach(failpoint::AFTER_COMMIT);
    record.changes = ledger.take_changes();
    record.committed = matches!(ended, Ended::Committed);
    record.wrote_ids = ledger.end_batch(record.committed);
    record.transfer_ids = ledger.id_counts();
    let overruled = match &ended {
        Ended::Committed => None,
        Ended::RolledBack(failure) => Some(Outcome::Failed(*failure)),
        Ended::Unknown(_) => Some(Outcome::Unknown),
    };
    for one in replies.iter_mut().flat_map(|reply| &mut reply.work) {
        if let Some(outcome) = overruled
            && !ledger.stands(&one.transfer, one.outcome)
        {
            one.outcome = outcome;
        }
        record.outcomes.count(one.outcome);
    }
    ended
}

/// The I/O error behind a failed call. After one at a COMMIT that is not a batch's the engine
/// must stop as well.
fn io_failure(error: &EngineError) -> Option<rusqlite::Error> {
    let EngineError::Sqlite(rusqlite::Error::SqliteFailure(failure, message)) = error else {
        return None;
    };
    (failure.code == ErrorCode::SystemIoFailure)
        .then(|| rusqlite::Error::SqliteFailure(*failure, message.clone()))
}

fn answer<A: Clone>(
    call: &ControlCall,
    store: &Store,
    stats: &SharedStats,
    queue: &Queue<A>,
    ledger: &mut Ledger<'_>,
) -> Result<ControlReply, EngineError> {
    match *call {
        ControlCall::GetAccount { id } => {
            let balance = ledger.balance_of(id)?;
            Ok(ControlReply::Account(balance.map(|balance| {
                busload_wire::control::Account {
                    id,
                    balance: balance.to_string(),
                }
            })))
        }
        ControlCall::Seed {
            accounts,
            initial_balance,
        } => {
            store.seed(accounts, initial_balance)?;
            ledger.forget_ids();
            stats.record_transfer_ids(ledger.id_counts());
            Ok(ControlReply::Seeded)
        }
        ControlCall::Verify => Ok(ControlReply::Verified(store.verify()?)),
        ControlCall::Stats {
            balances,
            histograms,
        } => {
            let snapshot = stats.snapshot(&store.io(), queue.counts(), histograms);
            let snapshot = if balances {
                snapshot.with_balances(store.balances()?)
            } else {
                snapshot
            };
            Ok(ControlReply::Stats(Box::new(snapshot)))
        }
    }
}
