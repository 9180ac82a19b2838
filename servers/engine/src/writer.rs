//! Group commit: the one thread that writes.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

use crate::batch::{Ended, Transaction, commit_batch};
use crate::checkpoint::Checkpointer;
use crate::durability::Durability;
use crate::engine::{Config, ControlCall, ControlReply, EngineError};
use crate::failpoint;
use crate::ledger::{Failure, Ledger, Outcome};
use crate::ledger_files::{self, OpenFiles};
use crate::place;
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
        match result {
            Err(gone @ EngineError::FileGone { .. }) => {
                let is_copied = self.store.rescue_log();
                // The name of the log may lead to somebody else's by now: it is not removed.
                self.store.leave_log();
                let database = self.store.database_file();
                Err(ledger_files::with_remedy(gone, database, is_copied))
            }
            Err(
                stopped @ (EngineError::OutcomeUnknown(_) | EngineError::CheckpointUnsynced(_)),
            ) => {
                self.store.leave_log();
                Err(stopped)
            }
            other => other,
        }
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
        let store: &Store = store;
        let transaction = Transaction::prepare(&store.connection)?;
        let discard_writes = config.durability == Durability::DiscardWrites;
        let ledger = Ledger::prepare(&store.connection, ids, config.apply, discard_writes)?;
        stats.record_transfer_ids(ledger.id_counts());
        let mut shift = Shift {
            checkpointer: Checkpointer::new(store, stats, config, second),
            room: Room::new(config.probe_interval),
            files: store.open_files(config)?,
            transaction,
            ledger,
            store,
            queue,
            stats,
            troubles,
            port,
            busy_wait: config.busy_wait,
            samples: Vec::new(),
            replies: Vec::new(),
        };
        while let Some(taken) = queue.take(config.batch_timeout, Some(shift.look_again())) {
            shift.serve(taken)?;
        }
        shift.end()
    }
}

/// The writer from its first batch to its last.
struct Shift<'w, P: ReplyPort> {
    checkpointer: Checkpointer<'w>,
    room: Room,
    files: OpenFiles,
    transaction: Transaction<'w>,
    ledger: Ledger<'w>,
    store: &'w Store,
    queue: &'w Queue<P::Address>,
    stats: &'w SharedStats,
    troubles: &'w Troubles,
    port: &'w mut P,
    busy_wait: Duration,
    /// Kept from batch to batch for the room that they have, as the next ones are.
    samples: Vec<SyncSample>,
    replies: Vec<Reply<P::Address>>,
}

impl<P: ReplyPort> Shift<'_, P> {
    /// How long the writer may sleep without work.
    fn look_again(&self) -> Duration {
        let files = self.files.look_again();
        self.room.look_again().map_or(files, |room| room.min(files))
    }

    fn serve(&mut self, taken: Taken<P::Address>) -> Result<(), EngineError> {
        let Taken { work, control } = taken;
        if work.is_empty() && control.is_none() {
            self.files.check()?;
            // What the other thread met is not to wait for the next batch.
            self.checkpointer.after_batch(&mut Reporter {
                troubles: self.troubles,
                port: self.port,
            })?;
        }
        if self.room.is_due() {
            let mut reporter = Reporter {
                troubles: self.troubles,
                port: self.port,
            };
            self.room
                .probe(self.store, &mut self.checkpointer, &mut reporter)?;
        }
        if self.room.is_full() {
            refuse(work, Failure::StorageFull, self.stats, self.port);
        } else if !work.is_empty() {
            self.transfers(work)?;
        }
        match control {
            Some(control) => self.call(control),
            None => Ok(()),
        }
    }

    /// Commits a batch, answers it, and sees to the log.
    ///
    /// # Errors
    /// One after which the engine must stop.
    fn transfers(&mut self, work: Vec<Job<P::Address>>) -> Result<(), EngineError> {
        self.store.meter.take_sync_samples(&mut self.samples);
        self.samples.clear();
        let mut record = BatchRecord::default();
        let ended = commit_batch(
            work,
            &mut self.transaction,
            &mut self.ledger,
            &mut self.files,
            self.busy_wait,
            &mut record,
            &mut self.replies,
        );
        self.store.meter.take_sync_samples(&mut self.samples);
        record
            .syncs_ns
            .extend(self.samples.iter().map(|sample| sample.latency_ns));
        self.stats.count(&record);
        let answering = Instant::now();
        self.port.transfers(&mut self.replies);
        record.answer = answering.elapsed();
        self.stats.time(&record);
        failpoint::reach(failpoint::AFTER_ANSWER);
        let mut reporter = Reporter {
            troubles: self.troubles,
            port: self.port,
        };
        match ended {
            Ended::Unknown(error) => return Err(error),
            Ended::RolledBack(Failure::StorageFull) => self.room.is_gone(&mut reporter),
            Ended::Committed | Ended::RolledBack(_) => {}
        }
        if self.checkpointer.is_due() {
            self.files.check()?;
        }
        self.checkpointer.after_batch(&mut reporter)?;
        if self.checkpointer.is_at_limit() {
            self.room.is_gone(&mut reporter);
        }
        Ok(())
    }

    /// Answers a call that is not a transfer.
    fn call(&mut self, control: Control<P::Address>) -> Result<(), EngineError> {
        let Control { to, id, call } = control;
        let seeding = matches!(call, ControlCall::Seed { may_wipe: true, .. });
        let mut reply = answer(&call, self.store, self.stats, self.queue, &mut self.ledger);
        let mut broken = None;
        if seeding {
            // A COMMIT as well, of which the same must be known.
            let failed = reply.as_ref().err().and_then(io_failure);
            let gone = self.files.check().err();
            broken = gone.or(failed.map(EngineError::OutcomeUnknown));
            if matches!(broken, Some(EngineError::FileGone { .. })) {
                reply = self.files.check().and(reply);
            }
        }
        self.port.control(to, id, reply);
        if let Some(error) = broken {
            return Err(error);
        }
        // Only a seeding empties the log. After any other call the count goes on, or whoever
        // asks often enough would keep the log growing for ever.
        if seeding {
            self.checkpointer.seeded();
        }
        Ok(())
    }

    /// The last look at the files, and the last checkpoint.
    fn end(mut self) -> Result<(), EngineError> {
        self.files.check()?;
        let mut reporter = Reporter {
            troubles: self.troubles,
            port: self.port,
        };
        self.checkpointer.run_last(&mut reporter)
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

/// The I/O error behind a failed call. After one at a COMMIT that is not a batch's the engine
/// must stop as well.
fn io_failure(error: &EngineError) -> Option<rusqlite::Error> {
    let EngineError::Sqlite(rusqlite::Error::SqliteFailure(failure, message)) = error else {
        return None;
    };
    (failure.code == ErrorCode::SystemIoFailure)
        .then(|| rusqlite::Error::SqliteFailure(*failure, message.clone()))
}

/// A seeding that found no room, as a batch is answered that did not.
fn storage_full(error: EngineError, store: &Store) -> EngineError {
    match &error {
        EngineError::Sqlite(sqlite)
            if store.connection.is_autocommit()
                && place::is_disk_full(sqlite, &store.connection) =>
        {
            EngineError::StorageFull
        }
        _ => error,
    }
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
            may_wipe,
        } => {
            if !may_wipe {
                return if store.is_just_seeded(accounts, initial_balance)? {
                    Ok(ControlReply::Seeded)
                } else {
                    Err(EngineError::MustNotWipe)
                };
            }
            store
                .seed(accounts, initial_balance)
                .map_err(|error| storage_full(error, store))?;
            ledger.forget_ids();
            stats.record_transfer_ids(ledger.id_counts());
            Ok(ControlReply::Seeded)
        }
        ControlCall::Verify => Ok(ControlReply::Verified(store.verify()?)),
        ControlCall::Stats { histograms } => {
            let snapshot = stats.snapshot(&store.io(), queue.counts(), histograms);
            let snapshot = snapshot.with_balances(store.balances()?);
            Ok(ControlReply::Stats(Box::new(snapshot)))
        }
    }
}
