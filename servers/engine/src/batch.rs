//! The transaction of a batch: BEGIN, every transfer, COMMIT, and what became of each.

use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, Statement};

use crate::engine::EngineError;
use crate::failpoint;
use crate::ledger::{Failure, Ledger, Outcome};
use crate::ledger_files::OpenFiles;
use crate::place;
use crate::queue::{Job, Reply};
use crate::stats::BatchRecord;

/// What the transaction of a batch came to.
pub(crate) enum Ended {
    /// COMMIT has returned.
    Committed,
    /// Rolled back as a whole; the engine goes on.
    RolledBack(Failure),
    /// It may be durable or not. The engine must stop: SQLite would reuse the place in the
    /// log, and the kernel has marked the pages clean. Or it is durable in a file that the next
    /// server may not find.
    Unknown(EngineError),
}

/// BEGIN, COMMIT and ROLLBACK, prepared once.
pub(crate) struct Transaction<'c> {
    begin: Statement<'c>,
    commit: Statement<'c>,
    rollback: Statement<'c>,
    connection: &'c Connection,
}

impl<'c> Transaction<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            begin: connection.prepare("BEGIN IMMEDIATE")?,
            commit: connection.prepare("COMMIT")?,
            rollback: connection.prepare("ROLLBACK")?,
            connection,
        })
    }

    /// BEGIN, and every transfer of the batch.
    fn apply<A>(
        &mut self,
        ledger: &mut Ledger<'_>,
        batch: &mut [Reply<A>],
    ) -> Result<(), rusqlite::Error> {
        loop {
            self.begin.raw_execute()?;
            if ledger.apply_all(batch)? {
                return Ok(());
            }
            self.rollback.raw_execute()?;
            ledger.take_changes();
        }
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
        if rolled_back && place::is_disk_full(&error, self.connection) {
            return Ended::RolledBack(Failure::StorageFull);
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) if rolled_back => {
                Ended::RolledBack(Failure::Overloaded)
            }
            _ => Ended::Unknown(EngineError::OutcomeUnknown(error)),
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
pub(crate) fn commit_batch<A>(
    jobs: Vec<Job<A>>,
    transaction: &mut Transaction<'_>,
    ledger: &mut Ledger<'_>,
    files: &mut OpenFiles,
    busy_wait: Duration,
    record: &mut BatchRecord,
    replies: &mut Vec<Reply<A>>,
) -> Ended {
    let began = Instant::now();
    begin_batch(jobs, began, record, replies);
    let applied = transaction.apply(ledger, replies);
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
    let ended_at = Instant::now();
    record.commit = ended_at - committing;
    let ended = match ended {
        // Durable, but perhaps where no server will find it.
        Ended::Committed if files.is_due(ended_at) => files.check().err(),
        // SQLite looks after its files too, in some modes, and says less of it.
        Ended::Unknown(_) => files.check().err(),
        Ended::Committed | Ended::RolledBack(_) => None,
    }
    .map_or(ended, Ended::Unknown);
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
