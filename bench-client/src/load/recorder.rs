//! What a client thread records: per phase, one plain histogram and counts; per account,
//! what is in flight and what was acknowledged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use busload_wire::ErrorCode;
use hdrhistogram::Histogram;

use super::{LoadPlan, Phase, Progress};
use crate::connector::Outcome;
use crate::workload::AccountPair;

/// Longest latency that is told apart: 60 s; longer ones count as this.
const HIGHEST_NS: u64 = 60_000_000_000;
/// Hottest accounts whose balances are checked after the run.
const HOTTEST: u32 = 64;
/// Further accounts that are checked, spread by a fixed stride.
const SPREAD: u32 = 192;
/// Numbers of error codes, and 0.
const CODES: usize = ErrorCode::ALL.len() + 1;

/// Outcomes of transfers, kept apart.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Acknowledged.
    pub committed: u64,
    /// Outcome unknown.
    pub unknown: u64,
    rejected: [u64; CODES],
    /// At 0: never left the client.
    failed: [u64; CODES],
}

/// The place of a code in the counts: codes are numbered from 1 without a gap.
fn place(code: Option<ErrorCode>) -> usize {
    code.map_or(0, |code| usize::from(code.number()).min(CODES - 1))
}

fn by_reason(counts: &[u64; CODES]) -> BTreeMap<String, u64> {
    let names = std::iter::once("not_sent").chain(ErrorCode::ALL.iter().map(|c| c.as_str()));
    names
        .zip(counts)
        .filter(|(_, n)| **n > 0)
        .map(|(name, n)| (name.to_owned(), *n))
        .collect()
}

impl Counts {
    fn count(&mut self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Committed => &mut self.committed,
            Outcome::Unknown => &mut self.unknown,
            Outcome::Rejected(code) => &mut self.rejected[place(Some(code))],
            Outcome::Failed(code) => &mut self.failed[place(code)],
        };
        *counter += 1;
    }

    /// Adds other counts to these.
    pub fn add(&mut self, other: &Self) {
        self.committed += other.committed;
        self.unknown += other.unknown;
        for (sum, n) in self.rejected.iter_mut().zip(other.rejected) {
            *sum += n;
        }
        for (sum, n) in self.failed.iter_mut().zip(other.failed) {
            *sum += n;
        }
    }

    /// Rejected transfers by reason.
    #[must_use]
    pub fn rejected(&self) -> BTreeMap<String, u64> {
        by_reason(&self.rejected)
    }

    /// Failed transfers by reason.
    #[must_use]
    pub fn failed(&self) -> BTreeMap<String, u64> {
        by_reason(&self.failed)
    }

    /// All outcomes.
    #[must_use]
    pub fn total(&self) -> u64 {
        let others: u64 = self.rejected.iter().chain(&self.failed).sum();
        self.committed + self.unknown + others
    }
}

/// What one phase saw.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Outcomes.
    pub counts: Counts,
    /// Latency of committed transfers, in nanoseconds.
    pub latency_ns: Histogram<u64>,
    /// Their exact sum, in nanoseconds: the histogram's mean is rounded.
    pub latency_sum_ns: u128,
}

impl Tally {
    fn new() -> Self {
        let latency_ns = Histogram::new_with_max(HIGHEST_NS, 3).expect("constant bounds are valid");
        Self {
            counts: Counts::default(),
            latency_ns,
            latency_sum_ns: 0,
        }
    }

    fn record(&mut self, outcome: Outcome, latency: Duration) {
        self.counts.count(outcome);
        if outcome == Outcome::Committed {
            let ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
            self.latency_ns.saturating_record(ns);
            self.latency_sum_ns += u128::from(ns);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        self.latency_ns
            .add(&other.latency_ns)
            .expect("the same bounds on every thread");
        self.latency_sum_ns += other.latency_sum_ns;
    }
}

/// The accounts whose balances are checked after a run: the hottest and a set spread over
/// the rest.
#[must_use]
pub fn sampled_accounts(account_count: u32) -> Vec<u32> {
    let stride = (account_count / SPREAD).max(1);
    let spread = (0..account_count)
        .step_by(stride as usize)
        .filter(|account| *account >= HOTTEST);
    (0..account_count.min(HOTTEST)).chain(spread).collect()
}

/// One account as a client thread sees it.
#[derive(Debug, Clone, Copy, Default)]
struct AccountState {
    inflight: u32,
    /// Its place among the sampled accounts, from 1; 0 is not sampled.
    sampled: u32,
}

/// What one client thread records.
#[derive(Debug, Clone)]
pub(crate) struct ThreadRecorder {
    pub(super) warmup: Tally,
    pub(super) window: Tally,
    pub(super) drain: Tally,
    pub(super) submitted: u64,
    pub(super) collisions: u64,
    pub(super) unexpected_answers: u64,
    pub(super) last_window_answer: Option<Instant>,
    pub(super) stopped_at: Option<Instant>,
    accounts: Vec<AccountState>,
    sample: Vec<(u32, i64)>,
    amount: i64,
    committed: u64,
    progress: Arc<Progress>,
    thread: usize,
}

impl ThreadRecorder {
    pub(crate) fn new(plan: &LoadPlan, progress: Arc<Progress>, thread: usize) -> Self {
        let account_count = plan.zipf.account_count();
        let mut accounts = vec![AccountState::default(); account_count as usize];
        let sample: Vec<_> = sampled_accounts(account_count)
            .into_iter()
            .map(|account| (account, 0))
            .collect();
        for (place, (account, _)) in (1..).zip(&sample) {
            accounts[*account as usize].sampled = place;
        }
        Self {
            warmup: Tally::new(),
            window: Tally::new(),
            drain: Tally::new(),
            submitted: 0,
            collisions: 0,
            unexpected_answers: 0,
            last_window_answer: None,
            stopped_at: None,
            accounts,
            sample,
            amount: plan.amount,
            committed: 0,
            progress,
            thread,
        }
    }

    /// A transfer is about to be submitted.
    pub(super) fn enter(&mut self, pair: AccountPair, phase: Phase) {
        let from = &mut self.accounts[pair.from as usize];
        let mut collides = from.inflight > 0;
        from.inflight += 1;
        let to = &mut self.accounts[pair.to as usize];
        collides |= to.inflight > 0;
        to.inflight += 1;
        if phase == Phase::Window {
            self.submitted += 1;
            self.collisions += u64::from(collides);
        }
    }

    /// A transfer has its outcome.
    pub(super) fn leave(
        &mut self,
        pair: AccountPair,
        outcome: Outcome,
        latency: Duration,
        phase: Phase,
    ) {
        for (account, delta) in [(pair.from, -self.amount), (pair.to, self.amount)] {
            let state = &mut self.accounts[account as usize];
            state.inflight -= 1;
            if state.sampled > 0 && outcome == Outcome::Committed {
                self.sample[state.sampled as usize - 1].1 += delta;
            }
        }
        self.committed += u64::from(outcome == Outcome::Committed);
        match phase {
            Phase::Warmup => self.warmup.record(outcome, latency),
            Phase::Window => self.window.record(outcome, latency),
            Phase::Drain => self.drain.record(outcome, latency),
        }
    }

    /// Once per turn.
    pub(super) fn end_turn(&mut self, now: Instant, phase: Phase) {
        if phase == Phase::Window {
            self.last_window_answer = self.last_window_answer.max(Some(now));
        }
        self.progress.per_thread[self.thread].store(self.committed, Ordering::Relaxed);
    }

    /// The run was stopped from outside.
    pub(super) fn note_stop(&mut self, now: Instant) {
        self.stopped_at.get_or_insert(now);
    }

    pub(super) fn deltas(&self) -> Vec<(u32, i64)> {
        self.sample.clone()
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.warmup.merge(&other.warmup);
        self.window.merge(&other.window);
        self.drain.merge(&other.drain);
        self.submitted += other.submitted;
        self.collisions += other.collisions;
        self.unexpected_answers += other.unexpected_answers;
        self.last_window_answer = self.last_window_answer.max(other.last_window_answer);
        self.stopped_at = match (self.stopped_at, other.stopped_at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        for ((_, sum), (_, delta)) in self.sample.iter_mut().zip(&other.sample) {
            *sum += delta;
        }
    }
}
