//! A batch on its way through a ledger, and what was seen of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use busload_wire::control::TransferIds;

use crate::error::EngineError;
use crate::failpoint;
use crate::outcome::{Failure, Outcome, Rejection, Work};

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
    /// An empty one, which begins now.
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self {
            work: Vec::new(),
            changes: Changes::default(),
            syncs_ns: Vec::new(),
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
        for one in self.work.iter().flatten() {
            debug_assert_ne!(one.outcome, Outcome::Pending, "the ledger decides each one");
            self.outcomes.count(one.outcome);
        }
        debug_assert_eq!(self.outcomes.total(), self.transfers);
    }
}

/// Outcomes, counted: each in its place of [`OUTCOMES`].
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OutcomeCounts([u64; OUTCOMES.len()]);

const OUTCOMES: [&str; 10] = [
    "committed",
    "in_doubt",
    "invalid_transfer",
    "account_missing",
    "insufficient_funds",
    "balance_overflow",
    "conflict",
    "overloaded",
    "shutting_down",
    "storage_full",
];
const REJECTED: std::ops::Range<usize> = 2..7;
const FAILED: std::ops::Range<usize> = 7..10;
const OVERLOADED: usize = 7;

const fn place_of(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Committed => 0,
        Outcome::Pending | Outcome::InDoubt => 1,
        Outcome::Rejected(Rejection::InvalidTransfer) => 2,
        Outcome::Rejected(Rejection::AccountMissing) => 3,
        Outcome::Rejected(Rejection::InsufficientFunds) => 4,
        Outcome::Rejected(Rejection::BalanceOverflow) => 5,
        Outcome::Rejected(Rejection::Conflict) => 6,
        Outcome::Failed(Failure::Overloaded) => OVERLOADED,
        Outcome::Failed(Failure::ShuttingDown) => 8,
        Outcome::Failed(Failure::StorageFull) => 9,
    }
}

impl OutcomeCounts {
    pub(crate) fn count(&mut self, outcome: Outcome) {
        self.0[place_of(outcome)] += 1;
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

    pub(crate) fn in_doubt(&self) -> u64 {
        self.0[1]
    }

    /// By the wire's code.
    pub(crate) fn rejected(&self) -> BTreeMap<String, u64> {
        self.named(REJECTED)
    }

    /// By the wire's code; those that never came to a batch are added.
    pub(crate) fn failed(mut self, refused_when_full: u64) -> BTreeMap<String, u64> {
        self.0[OVERLOADED] += refused_when_full;
        self.named(FAILED)
    }

    fn named(&self, places: std::ops::Range<usize>) -> BTreeMap<String, u64> {
        let all = OUTCOMES.into_iter().zip(self.0);
        all.skip(places.start)
            .take(places.len())
            .filter(|(_, n)| *n > 0)
            .map(|(name, n)| (name.to_owned(), n))
            .collect()
    }
}
