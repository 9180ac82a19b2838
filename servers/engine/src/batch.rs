//! A batch on its way through a ledger, and what was seen of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use busload_wire::control::TransferIds;
use busload_wire::{ErrorCode, OutcomeClass};

use crate::error::EngineError;
use crate::failpoint;
use crate::outcome::{Failure, Outcome, Work};

/// How the transaction of a batch ended.
#[derive(Debug)]
pub enum Ended {
    /// COMMIT has returned: it is as durable as the ledger promises.
    Committed,
    /// Rolled back as a whole; the engine goes on.
    RolledBack(Failure),
    /// It may be durable or not, or is durable where the next server may not find it. The engine
    /// stops with this error.
    InDoubt(EngineError),
    /// It may be durable or not, as after [`InDoubt`](Self::InDoubt), and the engine goes on: what
    /// stores the ledger is another process, which has not lost track of it, and whoever asks next
    /// waits there for what is still being committed.
    Unconfirmed,
}

/// What was written for the transfers of a batch, in a transaction that was committed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes {
    /// Transfers applied, by whatever the ledger can count that does not rest on its answers.
    pub applied: u64,
    /// Rows changed.
    pub rows: u64,
    /// Debits taken back within the batch because the credit was impossible.
    pub refunds: u64,
    /// What is remembered of ids has changed.
    pub ids: bool,
}

/// The transfers that one transaction is to apply. The engine fills it, hands it to
/// [`Ledger::commit`](crate::Ledger::commit) and reads what the ledger noted in it.
#[derive(Debug)]
pub struct Batch {
    /// The vectors as they were submitted, or parts of them, in their order. The ledger fills in
    /// every outcome.
    pub work: Vec<Vec<Work>>,
    /// What was written.
    pub changes: Changes,
    /// Duration of every sync in the COMMIT, in nanoseconds.
    pub syncs_ns: Vec<u64>,
    /// How often its transaction was begun anew because of another one.
    pub retries: u64,
    pub(crate) transfers: u64,
    /// Per vector: how long it waited, and how many transfers it holds.
    pub(crate) waits: Vec<(Duration, u64)>,
    began: Instant,
    committing: Instant,
    pub(crate) apply: Duration,
    pub(crate) commit: Duration,
    pub(crate) answer: Duration,
    pub(crate) outcomes: OutcomeCounts,
    pub(crate) is_committed: bool,
    pub(crate) transfer_ids: Option<TransferIds>,
}

impl Batch {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self {
            work: Vec::new(),
            changes: Changes::default(),
            syncs_ns: Vec::new(),
            retries: 0,
            transfers: 0,
            waits: Vec::new(),
            began: now,
            committing: now,
            apply: Duration::ZERO,
            commit: Duration::ZERO,
            answer: Duration::ZERO,
            outcomes: OutcomeCounts::default(),
            is_committed: false,
            transfer_ids: None,
        }
    }

    /// Begins the next one now, in the same room.
    pub(crate) fn renew(&mut self) {
        let mut next = Self::new();
        std::mem::swap(&mut next.work, &mut self.work);
        std::mem::swap(&mut next.syncs_ns, &mut self.syncs_ns);
        std::mem::swap(&mut next.waits, &mut self.waits);
        next.work.clear();
        next.syncs_ns.clear();
        next.waits.clear();
        *self = next;
    }

    pub(crate) fn push(&mut self, work: Vec<Work>, queued_at: Instant) {
        let transfers = work.len() as u64;
        self.waits
            .push((self.began.saturating_duration_since(queued_at), transfers));
        self.transfers += transfers;
        self.work.push(work);
    }

    /// Transfers in it.
    #[must_use]
    pub fn transfers(&self) -> u64 {
        self.transfers
    }

    /// When its transaction began.
    #[must_use]
    pub fn began(&self) -> Instant {
        self.began
    }

    /// To be called between the last transfer and COMMIT: one stage ends, the next one begins.
    pub fn applied(&mut self) {
        failpoint::reach(failpoint::BEFORE_COMMIT);
        self.committing = Instant::now();
        self.apply = self.committing - self.began;
    }

    /// To be called when COMMIT has returned, or what was done instead; where nothing was, the
    /// stage takes no time. Says when it was.
    pub fn ended(&mut self) -> Instant {
        let now = Instant::now();
        self.commit = now - self.committing;
        now
    }

    /// Counts the outcomes, which are all there now.
    pub(crate) fn count(&mut self) {
        for vector in &self.work {
            for one in vector {
                debug_assert_ne!(one.outcome, Outcome::Pending, "the ledger decides each one");
                self.outcomes.count(one.outcome);
            }
        }
        debug_assert_eq!(self.outcomes.total(), self.transfers);
    }
}

/// Outcomes, counted by the number of their code on the wire; 0 is committed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OutcomeCounts([u64; 1 + ErrorCode::ALL.len()]);

impl OutcomeCounts {
    #[inline]
    pub(crate) fn count(&mut self, outcome: Outcome) {
        match outcome.code() {
            Ok(()) => self.0[0] += 1,
            Err(code) => self.0[usize::from(code.number())] += 1,
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            *sum += more;
        }
    }

    fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    pub(crate) fn committed(&self) -> u64 {
        self.0[0]
    }

    /// Those of one class that there are, by their codes.
    pub(crate) fn of(&self, class: OutcomeClass) -> BTreeMap<String, u64> {
        let codes = ErrorCode::ALL.iter().filter(|code| code.class() == class);
        codes
            .map(|code| (code.to_string(), self.0[usize::from(code.number())]))
            .filter(|(_, n)| *n > 0)
            .collect()
    }
}
