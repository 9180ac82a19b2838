//! Counters and stage timings of the engine, updated once per batch.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use busload_wire::control::{
    Balances, BytesByFile, Checkpoints, Distribution, QueueStats, Stages, Stats, SyncsByFile,
    TransferIds, TransferStages,
};

use crate::batch::{Batch, Changes, OutcomeCounts};
use busload_wire::histogram::Recorded;
use busload_wire::{ErrorCode, OutcomeClass};

/// What a checkpoint was.
#[derive(Debug, Clone, Copy)]
pub struct CheckpointRecord {
    /// Of all connections that had a part in it.
    pub duration: Duration,
    /// Of it, while the writer stood still.
    pub stalled: Duration,
    /// Syncs that it made.
    pub syncs: u64,
    /// Whether it did what it was to do.
    pub ok: bool,
    /// How long the log was at its end.
    pub log_bytes: u64,
}

/// What a ledger has synced and written since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Io {
    /// Syncs, by what was synced.
    pub syncs: SyncsByFile,
    /// Bytes written, by file.
    pub bytes_written: BytesByFile,
}

/// Everything that is counted and not timed.
#[derive(Clone, Copy, Default)]
struct Counters {
    outcomes: OutcomeCounts,
    changes: Changes,
    batches: u64,
    batches_that_wrote: u64,
    commit_syncs: u64,
    retries: u64,
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
    fn record(&mut self, batch: &Batch) {
        debug_assert_eq!(
            batch.waits.iter().map(|(_, n)| n).sum::<u64>(),
            batch.transfers,
            "every transfer waits once"
        );
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

/// Shared between the writers, which lock it twice per batch, and whoever reads.
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
    pub(crate) fn count(&self, batch: &Batch) {
        let counters = &mut self.lock().counters;
        counters.outcomes.add(&batch.outcomes);
        counters.retries += batch.retries;
        let wrote = batch.changes.rows > 0 || batch.changes.ids;
        if batch.is_committed {
            counters.changes.applied += batch.changes.applied;
            counters.changes.rows += batch.changes.rows;
            counters.changes.refunds += batch.changes.refunds;
            counters.batches += 1;
            counters.batches_that_wrote += u64::from(wrote);
        }
        counters.transfer_ids = batch.transfer_ids;
        // What was all taken back was rolled back: under `delete-extra` that syncs, and no COMMIT
        // may be credited with it.
        if wrote || !batch.is_committed {
            counters.commit_syncs += batch.syncs_ns.len() as u64;
        }
    }

    /// Records how long the stages of a batch took, when the last of them is over.
    pub(crate) fn time(&self, batch: &Batch) {
        if self.timed {
            self.lock().timings.record(batch);
        }
    }

    /// Outcomes of work that never came to a batch.
    pub(crate) fn record_refused(&self, outcomes: &OutcomeCounts) {
        self.lock().counters.outcomes.add(outcomes);
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
    pub(crate) fn totals(&self, io: Option<Io>, queue: QueueStats) -> Stats {
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
    pub(crate) fn snapshot(&self, io: Option<Io>, queue: QueueStats, histograms: bool) -> Snapshot {
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

fn stats(counters: &Counters, io: Option<Io>, queue: QueueStats) -> Stats {
    let mut failed = counters.outcomes.of(OutcomeClass::Failed);
    if queue.overloaded > 0 {
        // These never came to a batch.
        *failed.entry(ErrorCode::Overloaded.to_string()).or_default() += queue.overloaded;
    }
    Stats {
        committed: counters.outcomes.committed(),
        rejected: counters.outcomes.of(OutcomeClass::Rejected),
        failed,
        unknown: counters.outcomes.of(OutcomeClass::Unknown).values().sum(),
        applied: counters.changes.applied,
        row_changes: counters.changes.rows,
        refunds: counters.changes.refunds,
        batches: counters.batches,
        batches_that_wrote: counters.batches_that_wrote,
        commit_syncs: io.map(|_| counters.commit_syncs),
        retries: counters.retries,
        // A batch is full or leaves: nothing of it is committed by itself.
        leftovers: None,
        syncs: io.unwrap_or_default().syncs,
        bytes_written: io.unwrap_or_default().bytes_written,
        checkpoints: counters.checkpoints,
        queue,
        stages: Stages::default(),
        transfer_stages: TransferStages::default(),
        transfer_ids: counters.transfer_ids,
        // The front end's.
        network: None,
        balances: None,
    }
}
