//! Counters and stage timings of the engine, updated once per batch.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use busload_wire::control::{
    Balances, BytesByFile, Checkpoints, Distribution, QueueStats, Stages, Stats, SyncsByFile,
    TransferIds, TransferStages,
};

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
    conflict: u64,
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
            Outcome::Rejected(Rejection::Conflict) => &mut self.conflict,
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
        self.conflict += other.conflict;
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
            ("conflict", self.conflict),
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
    /// The transaction changed what is remembered of ids.
    pub(crate) wrote_ids: bool,
    /// What is remembered of ids after it.
    pub(crate) transfer_ids: Option<TransferIds>,
    /// There was no transaction: its syncs were none, though they have durations.
    pub(crate) imitated: bool,
    /// Duration of every sync in the COMMIT, in nanoseconds.
    pub(crate) syncs_ns: Vec<u64>,
}

/// What a checkpoint was.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CheckpointRecord {
    /// Of all connections that had a part in it.
    pub(crate) duration: Duration,
    /// Of it, while the writer stood still.
    pub(crate) stalled: Duration,
    pub(crate) syncs: u64,
    pub(crate) ok: bool,
    /// How long the log was at its end.
    pub(crate) log_bytes: u64,
}

/// Everything that is counted and not timed.
#[derive(Clone, Copy, Default)]
struct Counters {
    outcomes: OutcomeCounts,
    changes: Changes,
    batches: u64,
    batches_that_wrote: u64,
    commit_syncs: u64,
    checkpoints: Checkpoints,
    transfer_ids: Option<TransferIds>,
}

/// [`Stages`], then [`TransferStages`].
#[derive(Debug, Clone, Default, PartialEq)]
struct Timings {
    wait: Recorded,
    apply: Recorded,
    commit: Recorded,
    answer: Recorded,
    sync: Recorded,
    batch_size: Recorded,
    transfer_apply: Recorded,
    transfer_commit_write: Recorded,
    transfer_sync: Recorded,
    transfer_answer: Recorded,
}

impl Timings {
    fn record(&mut self, batch: &BatchRecord) {
        for (wait, transfers) in &batch.waits {
            self.wait.record_n(nanos(*wait), *transfers);
        }
        let (apply, commit) = (nanos(batch.apply), nanos(batch.commit));
        let answer = nanos(batch.answer);
        self.apply.record(apply);
        self.commit.record(commit);
        self.answer.record(answer);
        let mut syncs = 0_u64;
        for sync in &batch.syncs_ns {
            self.sync.record(*sync);
            syncs = syncs.saturating_add(*sync);
        }
        self.batch_size.record(batch.transfers);
        let n = batch.transfers;
        self.transfer_apply.record_n(apply, n);
        self.transfer_commit_write
            .record_n(commit.saturating_sub(syncs), n);
        self.transfer_sync.record_n(syncs, n);
        self.transfer_answer.record_n(answer, n);
    }

    /// Each distribution as `how` shows it.
    fn show(&self, how: fn(&Recorded) -> Distribution) -> (Stages, TransferStages) {
        let stages = Stages {
            wait_ns: how(&self.wait),
            apply_ns: how(&self.apply),
            commit_ns: how(&self.commit),
            answer_ns: how(&self.answer),
            sync_ns: how(&self.sync),
            batch_size: how(&self.batch_size),
        };
        let transfer_stages = TransferStages {
            apply_ns: how(&self.transfer_apply),
            commit_write_ns: how(&self.transfer_commit_write),
            sync_ns: how(&self.transfer_sync),
            answer_ns: how(&self.transfer_answer),
            // The front end's.
            read_ns: Distribution::default(),
            reply_ns: Distribution::default(),
        };
        (stages, transfer_stages)
    }
}

/// Counters and timings at one moment, the histograms still to be packed: that takes
/// milliseconds, which the writer thread does not have.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Without histograms.
    stats: Stats,
    /// Only when the histograms are wanted.
    timings: Option<Timings>,
}

impl Snapshot {
    /// The answer of `stats`.
    #[must_use]
    pub fn pack(self) -> Stats {
        let Some(timings) = self.timings else {
            return self.stats;
        };
        let (stages, transfer_stages) = timings.show(Recorded::to_wire);
        Stats {
            stages,
            transfer_stages,
            ..self.stats
        }
    }

    /// Whether there is something to pack.
    #[must_use]
    pub fn has_histograms(&self) -> bool {
        self.timings.is_some()
    }

    pub(crate) fn with_balances(mut self, balances: Balances) -> Self {
        self.stats.balances = Some(balances);
        self
    }
}

#[derive(Default)]
struct Inner {
    counters: Counters,
    timings: Timings,
}

/// Shared between the writer, which locks it twice per batch, and whoever reads.
pub(crate) struct SharedStats {
    inner: Mutex<Inner>,
    /// Whether the timings are recorded.
    timed: bool,
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl SharedStats {
    pub(crate) fn new(timed: bool) -> Self {
        Self {
            inner: Mutex::default(),
            timed,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a batch. To be called before its answers leave, so that nobody who has one finds
    /// it missing in the counters.
    pub(crate) fn count(&self, batch: &BatchRecord) {
        let counters = &mut self.lock().counters;
        counters.outcomes.add(&batch.outcomes);
        let wrote = batch.changes.rows > 0 || batch.wrote_ids;
        if batch.committed {
            counters.changes.add(batch.changes);
            counters.batches += 1;
            counters.batches_that_wrote += u64::from(wrote);
        }
        counters.transfer_ids = batch.transfer_ids;
        // What was all taken back was rolled back: under `delete-extra` that syncs, and no COMMIT
        // may be credited with it.
        if !batch.imitated && (wrote || !batch.committed) {
            counters.commit_syncs += batch.syncs_ns.len() as u64;
        }
    }

    /// Records how long the stages of a batch took, when the last of them is over.
    pub(crate) fn time(&self, batch: &BatchRecord) {
        if self.timed {
            self.lock().timings.record(batch);
        }
    }

    /// Outcomes of work that never came to a batch.
    pub(crate) fn record_refused(&self, batch: &BatchRecord) {
        self.lock().counters.outcomes.add(&batch.outcomes);
    }

    /// What is remembered of ids, outside of a batch.
    pub(crate) fn record_transfer_ids(&self, ids: Option<TransferIds>) {
        self.lock().counters.transfer_ids = ids;
    }

    pub(crate) fn record_checkpoint(&self, record: &CheckpointRecord) {
        let checkpoints = &mut self.lock().counters.checkpoints;
        checkpoints.count += 1;
        checkpoints.errors += u64::from(!record.ok);
        checkpoints.duration_ns += nanos(record.duration);
        *checkpoints.stalled_ns.get_or_insert(0) += nanos(record.stalled);
        checkpoints.syncs += record.syncs;
        checkpoints.log_bytes = record.log_bytes;
        checkpoints.log_peak_bytes = checkpoints.log_peak_bytes.max(record.log_bytes);
    }

    /// Everything but histograms: copies a few hundred bytes under the lock.
    pub(crate) fn totals(&self, io: &IoCounts, queue: QueueCounts) -> Stats {
        let inner = self.lock();
        let (stages, transfer_stages) = inner.timings.show(Recorded::totals);
        let counters = inner.counters;
        drop(inner);
        Stats {
            stages,
            transfer_stages,
            ..stats(&counters, io, queue)
        }
    }

    /// With `histograms`, copies some MiB under the lock, so that whoever packs them does
    /// not keep the writer waiting.
    pub(crate) fn snapshot(&self, io: &IoCounts, queue: QueueCounts, histograms: bool) -> Snapshot {
        if !histograms {
            return Snapshot {
                stats: self.totals(io, queue),
                timings: None,
            };
        }
        let inner = self.lock();
        let timings = Some(inner.timings.clone());
        let counters = inner.counters;
        drop(inner);
        Snapshot {
            stats: stats(&counters, io, queue),
            timings,
        }
    }
}

fn stats(counters: &Counters, io: &IoCounts, queue: QueueCounts) -> Stats {
    Stats {
        committed: counters.outcomes.committed,
        rejected: counters.outcomes.rejected(),
        failed: counters.outcomes.failed(queue.overloaded),
        unknown: counters.outcomes.unknown,
        applied: counters.changes.applied(),
        row_changes: counters.changes.rows,
        refunds: counters.changes.refunds,
        batches: counters.batches,
        batches_that_wrote: counters.batches_that_wrote,
        commit_syncs: counters.commit_syncs,
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
        checkpoints: counters.checkpoints,
        queue: QueueStats {
            depth: queue.depth as u64,
            peak: queue.peak as u64,
            overloaded: queue.overloaded,
        },
        stages: Stages::default(),
        transfer_stages: TransferStages::default(),
        transfer_ids: counters.transfer_ids,
        // The front end's.
        network: None,
        balances: None,
    }
}
