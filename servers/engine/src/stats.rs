//! Counters and stage timings of the engine, updated once per batch.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use busload_wire::control::{BytesByFile, Checkpoints, QueueStats, Stages, Stats, SyncsByFile};

use crate::histogram::Recorded;
use crate::ledger::{Changes, Failure, Outcome, Rejection};
use crate::queue::QueueCounts;
use crate::vfs::IoCounts;

/// Outcomes of one batch, counted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OutcomeCounts {
    pub(crate) committed: u64,
    invalid_transfer: u64,
    account_missing: u64,
    insufficient_funds: u64,
    balance_overflow: u64,
    overloaded: u64,
    shutting_down: u64,
    storage_full: u64,
    pub(crate) unknown: u64,
}

impl OutcomeCounts {
    pub(crate) fn count(&mut self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Committed => &mut self.committed,
            Outcome::Rejected(Rejection::InvalidTransfer) => &mut self.invalid_transfer,
            Outcome::Rejected(Rejection::AccountMissing) => &mut self.account_missing,
            Outcome::Rejected(Rejection::InsufficientFunds) => &mut self.insufficient_funds,
            Outcome::Rejected(Rejection::BalanceOverflow) => &mut self.balance_overflow,
            Outcome::Failed(Failure::Overloaded) => &mut self.overloaded,
            Outcome::Failed(Failure::ShuttingDown) => &mut self.shutting_down,
            Outcome::Failed(Failure::StorageFull) => &mut self.storage_full,
            Outcome::Pending | Outcome::Unknown => &mut self.unknown,
        };
        *counter += 1;
    }

    fn add(&mut self, other: &Self) {
        self.committed += other.committed;
        self.invalid_transfer += other.invalid_transfer;
        self.account_missing += other.account_missing;
        self.insufficient_funds += other.insufficient_funds;
        self.balance_overflow += other.balance_overflow;
        self.overloaded += other.overloaded;
        self.shutting_down += other.shutting_down;
        self.storage_full += other.storage_full;
        self.unknown += other.unknown;
    }

    fn rejected(&self) -> BTreeMap<String, u64> {
        named([
            ("invalid_transfer", self.invalid_transfer),
            ("account_missing", self.account_missing),
            ("insufficient_funds", self.insufficient_funds),
            ("balance_overflow", self.balance_overflow),
        ])
    }

    fn failed(&self, refused_when_full: u64) -> BTreeMap<String, u64> {
        named([
            ("overloaded", self.overloaded + refused_when_full),
            ("shutting_down", self.shutting_down),
            ("storage_full", self.storage_full),
        ])
    }
}

fn named<const N: usize>(counts: [(&str, u64); N]) -> BTreeMap<String, u64> {
    counts
        .into_iter()
        .filter(|(_, n)| *n > 0)
        .map(|(name, n)| (name.to_owned(), n))
        .collect()
}

/// What the writer saw of one batch.
#[derive(Debug, Default)]
pub(crate) struct BatchRecord {
    pub(crate) outcomes: OutcomeCounts,
    pub(crate) transfers: u64,
    /// Per vector of the batch: how long it waited, and how many transfers it held.
    pub(crate) waits: Vec<(Duration, u64)>,
    pub(crate) apply: Duration,
    pub(crate) commit: Duration,
    pub(crate) answer: Duration,
    /// Row changes of the transaction; zero when it was rolled back.
    pub(crate) changes: Changes,
    pub(crate) committed: bool,
    /// Duration of every sync in the COMMIT, in nanoseconds.
    pub(crate) syncs_ns: Vec<u64>,
}

#[derive(Clone)]
struct Inner {
    outcomes: OutcomeCounts,
    changes: Changes,
    batches: u64,
    batches_that_wrote: u64,
    commit_syncs: u64,
    checkpoints: Checkpoints,
    wait: Recorded,
    apply: Recorded,
    commit: Recorded,
    answer: Recorded,
    sync: Recorded,
    batch_size: Recorded,
}

/// Shared between the writer, which locks it once per batch, and whoever reads.
pub(crate) struct SharedStats(Mutex<Inner>);

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl SharedStats {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Inner {
            outcomes: OutcomeCounts::default(),
            changes: Changes::default(),
            batches: 0,
            batches_that_wrote: 0,
            commit_syncs: 0,
            checkpoints: Checkpoints::default(),
            wait: Recorded::new(),
            apply: Recorded::new(),
            commit: Recorded::new(),
            answer: Recorded::new(),
            sync: Recorded::new(),
            batch_size: Recorded::new(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn record(&self, batch: &BatchRecord) {
        let mut inner = self.lock();
        inner.outcomes.add(&batch.outcomes);
        if batch.committed {
            inner.changes.rows += batch.changes.rows;
            inner.changes.refunds += batch.changes.refunds;
            inner.batches += 1;
            inner.batches_that_wrote += u64::from(batch.changes.rows > 0);
        }
        inner.commit_syncs += batch.syncs_ns.len() as u64;
        for (wait, transfers) in &batch.waits {
            inner.wait.record_n(nanos(*wait), *transfers);
        }
        inner.apply.record(nanos(batch.apply));
        inner.commit.record(nanos(batch.commit));
        inner.answer.record(nanos(batch.answer));
        for sync in &batch.syncs_ns {
            inner.sync.record(*sync);
        }
        inner.batch_size.record(batch.transfers);
    }

    /// Outcomes of work that never came to a batch.
    pub(crate) fn record_refused(&self, batch: &BatchRecord) {
        self.lock().outcomes.add(&batch.outcomes);
    }

    pub(crate) fn record_checkpoint(&self, duration: Duration, syncs: u64, ok: bool) {
        let checkpoints = &mut self.lock().checkpoints;
        checkpoints.count += 1;
        checkpoints.errors += u64::from(!ok);
        checkpoints.duration_ns += nanos(duration);
        checkpoints.syncs += syncs;
    }

    pub(crate) fn snapshot(&self, io: &IoCounts, queue: QueueCounts) -> Stats {
        // A copy, because packing the histograms takes milliseconds, for which the writer
        // would wait.
        let inner = self.lock().clone();
        Stats {
            committed: inner.outcomes.committed,
            rejected: inner.outcomes.rejected(),
            failed: inner.outcomes.failed(queue.overloaded),
            unknown: inner.outcomes.unknown,
            applied: inner.changes.applied(),
            row_changes: inner.changes.rows,
            refunds: inner.changes.refunds,
            batches: inner.batches,
            batches_that_wrote: inner.batches_that_wrote,
            commit_syncs: inner.commit_syncs,
            syncs: SyncsByFile {
                database: io.database_syncs,
                wal: io.wal_syncs,
                journal: io.journal_syncs,
                directory: io.directory_syncs,
                other: io.other_syncs,
            },
            bytes_written: BytesByFile {
                database: io.database_written_bytes,
                wal: io.wal_written_bytes,
                journal: io.journal_written_bytes,
                other: io.other_written_bytes,
            },
            checkpoints: inner.checkpoints,
            queue: QueueStats {
                depth: queue.depth as u64,
                peak: queue.peak as u64,
                overloaded: queue.overloaded,
            },
            stages: Stages {
                wait_ns: inner.wait.to_wire(),
                apply_ns: inner.apply.to_wire(),
                commit_ns: inner.commit.to_wire(),
                answer_ns: inner.answer.to_wire(),
                sync_ns: inner.sync.to_wire(),
                batch_size: inner.batch_size.to_wire(),
            },
            balances: None,
        }
    }
}
