//! What a client thread records: per phase, one plain histogram and counts; per account,
//! what is in flight and what became of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use busload_wire::ErrorCode;
use hdrhistogram::Histogram;

use super::accounts::Accounts;
use super::edges::Edges;
use super::series::Series;
use super::{LoadPlan, Pace, Phase, Progress, Schedule};
use crate::connector::Outcome;
use crate::workload::AccountPair;

/// Latencies up to 60 s find their room; for longer ones it grows.
const EXPECTED_NS: u64 = 60_000_000_000;
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

/// Times with an exact sum beside the histogram, whose mean is rounded.
#[derive(Debug, Clone)]
pub struct Times {
    /// In nanoseconds.
    pub ns: Histogram<u64>,
    /// Their exact sum, in nanoseconds.
    pub sum_ns: u128,
}

impl Times {
    pub(super) fn new() -> Self {
        let mut ns = Histogram::new_with_max(EXPECTED_NS, 3).expect("constant bounds are valid");
        // An exact mean beside a clipped maximum could exceed it.
        ns.auto(true);
        Self { ns, sum_ns: 0 }
    }

    pub(super) fn record(&mut self, time: Duration) {
        let ns = nanos(time);
        // What grows takes every value.
        self.ns.record(ns).expect("the histogram grows");
        self.sum_ns += u128::from(ns);
    }

    /// Adds what another thread or interval recorded.
    ///
    /// # Panics
    /// Never: the histogram grows to the longest of both.
    pub fn merge(&mut self, other: &Self) {
        self.ns.add(&other.ns).expect("the histogram grows");
        self.sum_ns += other.sum_ns;
    }

    /// The arithmetic mean in nanoseconds, 0 of nothing.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds far below 2^52")]
    pub fn mean_ns(&self) -> f64 {
        match self.ns.len() {
            0 => 0.0,
            count => self.sum_ns as f64 / count as f64,
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// When a transfer was due, sent and answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    pub(super) intended: Instant,
    pub(super) sent: Instant,
    pub(super) answered: Instant,
}

impl Timing {
    fn response(&self) -> Duration {
        self.answered.saturating_duration_since(self.intended)
    }

    fn service(&self) -> Duration {
        self.answered.saturating_duration_since(self.sent)
    }
}

/// What one phase saw.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Outcomes.
    pub counts: Counts,
    /// Latency of committed transfers: from the intended start to the answer.
    pub latency: Times,
    /// Time of committed transfers from being sent to the answer: summed up, in nanoseconds.
    pub service_sum_ns: u128,
    /// The same of all transfers, whatever became of them.
    pub all_service_sum_ns: u128,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            counts: Counts::default(),
            latency: Times::new(),
            service_sum_ns: 0,
            all_service_sum_ns: 0,
        }
    }

    fn record(&mut self, outcome: Outcome, timing: &Timing) {
        self.counts.count(outcome);
        let service = timing.service().as_nanos();
        self.all_service_sum_ns += service;
        if outcome == Outcome::Committed {
            self.latency.record(timing.response());
            self.service_sum_ns += service;
        }
    }

    /// Adds what another thread or interval recorded.
    pub fn merge(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        self.latency.merge(&other.latency);
        self.service_sum_ns += other.service_sum_ns;
        self.all_service_sum_ns += other.all_service_sum_ns;
    }
}

/// What an open loop has besides: of the transfers whose intended start was inside the window,
/// whenever they were answered.
#[derive(Debug, Clone)]
pub struct Offered {
    /// Transfers that were due.
    pub due: u64,
    /// From the intended start to the answer, of committed ones.
    pub response: Times,
    /// From being sent to the answer, of committed ones.
    pub service: Times,
    /// How late those were sent for which there was room when they were due.
    pub schedule_lag: Times,
    /// Committed, and later than the limit.
    pub late: u64,
    /// Not sent, because the limit had passed before there was room.
    pub skipped: u64,
    /// Never sent: no room until the window ended.
    pub dropped: u64,
}

impl Offered {
    fn new() -> Self {
        Self {
            due: 0,
            response: Times::new(),
            service: Times::new(),
            schedule_lag: Times::new(),
            late: 0,
            skipped: 0,
            dropped: 0,
        }
    }

    fn merge(&mut self, other: &Self) {
        self.due += other.due;
        self.response.merge(&other.response);
        self.service.merge(&other.service);
        self.schedule_lag.merge(&other.schedule_lag);
        self.late += other.late;
        self.skipped += other.skipped;
        self.dropped += other.dropped;
    }
}

/// What one client thread records.
pub(super) struct ThreadRecorder {
    pub(super) warmup: Tally,
    pub(super) window: Tally,
    pub(super) drain: Tally,
    pub(super) offered: Option<Box<Offered>>,
    pub(super) series: Series,
    pub(super) loop_lag: Times,
    /// When the event loop stood still for the longest time, whatever the phase.
    pub(super) stalled: Option<(Instant, Instant)>,
    /// What crossed the ends of the window.
    pub(super) edges: Edges,
    pub(super) submitted: u64,
    pub(super) collisions: u64,
    pub(super) unexpected_answers: u64,
    pub(super) last_window_answer: Option<Instant>,
    pub(super) stopped_at: Option<Instant>,
    /// When the last worker had ended.
    pub(super) ended_at: Option<Instant>,
    schedule: Schedule,
    latency_limit: Option<Duration>,
    pub(super) accounts: Accounts,
    committed: u64,
    progress: Arc<Progress>,
    thread: usize,
}

impl ThreadRecorder {
    pub(super) fn new(
        plan: &LoadPlan,
        schedule: Schedule,
        progress: Arc<Progress>,
        thread: usize,
        series: Series,
    ) -> Self {
        let (offered, latency_limit) = match plan.pace {
            Pace::Closed => (None, None),
            Pace::Open { latency_limit, .. } => (Some(Box::new(Offered::new())), latency_limit),
        };
        Self {
            warmup: Tally::new(),
            window: Tally::new(),
            drain: Tally::new(),
            offered,
            series,
            loop_lag: Times::new(),
            stalled: None,
            edges: Edges::default(),
            submitted: 0,
            collisions: 0,
            unexpected_answers: 0,
            last_window_answer: None,
            stopped_at: None,
            ended_at: None,
            schedule,
            latency_limit,
            accounts: Accounts::new(plan.zipf.account_count()),
            committed: 0,
            progress,
            thread,
        }
    }

    /// A transfer is about to be submitted.
    pub(super) fn enter(&mut self, pair: AccountPair, phase: Phase) {
        let collides = self.accounts.enter(pair);
        self.series.enter();
        if phase == Phase::Window {
            self.submitted += 1;
            self.collisions += u64::from(collides);
        }
    }

    /// What is recorded of an open loop's transfer that was due at this time: nothing, unless
    /// that was inside the window.
    fn offered_at(&mut self, intended: Instant) -> Option<&mut Offered> {
        let inside = self.schedule.phase(intended) == Phase::Window;
        self.offered.as_deref_mut().filter(|_| inside)
    }

    /// An open loop's transfer that was due at this time is sent; `lag` later, if there was
    /// room for it when it was due.
    pub(super) fn was_due(&mut self, intended: Instant, lag: Option<Duration>) {
        if let Some(offered) = self.offered_at(intended) {
            offered.due += 1;
            if let Some(lag) = lag {
                offered.schedule_lag.record(lag);
            }
        }
    }

    /// An open loop's transfer that was due at this time is not sent any more.
    pub(super) fn skip(&mut self, intended: Instant) {
        if let Some(offered) = self.offered_at(intended) {
            offered.due += 1;
            offered.skipped += 1;
        }
    }

    /// An open loop's transfers that were due in the window and never sent.
    pub(super) fn dropped(&mut self, count: u64) {
        if let Some(offered) = &mut self.offered {
            offered.due += count;
            offered.dropped += count;
        }
    }

    /// A transfer has its outcome.
    pub(super) fn leave(
        &mut self,
        pair: AccountPair,
        outcome: Outcome,
        timing: &Timing,
        phase: Phase,
    ) {
        if outcome == Outcome::Committed {
            self.accounts.commit(pair);
        } else {
            self.accounts.leave(pair, outcome == Outcome::Unknown);
        }
        self.series.leave();
        self.committed += u64::from(outcome == Outcome::Committed);
        match phase {
            Phase::Warmup => self.warmup.record(outcome, timing),
            Phase::Window => self.series.current.record(outcome, timing),
            Phase::Drain => self.drain.record(outcome, timing),
        }
        if outcome != Outcome::Committed {
            return;
        }
        self.cross(timing, phase);
        let limit = self.latency_limit;
        if let Some(offered) = self.offered_at(timing.intended) {
            let response = timing.response();
            offered.late += u64::from(limit.is_some_and(|limit| response > limit));
            offered.response.record(response);
            offered.service.record(timing.service());
        }
    }

    /// A committed transfer may cross an end of the window.
    fn cross(&mut self, timing: &Timing, phase: Phase) {
        let opening = self.schedule.window_start;
        match phase {
            Phase::Window if timing.intended < opening => {
                self.edges.cross_opening(timing, opening);
            }
            Phase::Drain => {
                let closing = self
                    .schedule
                    .window_end
                    .into_iter()
                    .chain(self.stopped_at)
                    .min();
                if let Some(closing) = closing.or(self.last_window_answer)
                    && (opening..closing).contains(&timing.intended)
                    && closing <= timing.answered
                {
                    self.edges.cross_closing(timing, closing);
                }
            }
            Phase::Warmup | Phase::Window => {}
        }
    }

    /// At the beginning of every turn, before anything is entered or left: closes what ended
    /// before `now`.
    pub(super) fn turn(&mut self, now: Instant) {
        self.series.turn(now, &mut self.window);
    }

    /// The event loop was late: a timer was due, and is handled now.
    pub(super) fn note_loop_lag(&mut self, due: Instant, now: Instant) {
        let lag = now.saturating_duration_since(due);
        if self.schedule.phase(now) == Phase::Window {
            self.loop_lag.record(lag);
        }
        if self.stalled.is_none_or(|(from, to)| lag > to - from) {
            self.stalled = Some((due, due + lag));
        }
    }

    /// Once per turn; `measured` is its time, if any of its answers counts in the window.
    pub(super) fn end_turn(&mut self, measured: Option<Instant>) {
        if measured.is_some() {
            self.last_window_answer = self.last_window_answer.max(measured);
            self.series.mark();
        }
        self.progress.per_thread[self.thread].store(self.committed, Ordering::Relaxed);
    }

    /// The run was stopped from outside: the window ends here, however long it takes until
    /// everything in flight is answered.
    pub(super) fn note_stop(&mut self, now: Instant) {
        if self.stopped_at.is_none() {
            self.stopped_at = Some(now);
            let end = self.schedule.window_end.map_or(now, |end| end.min(now));
            self.series.finish(end, &mut self.window);
        }
    }

    /// All workers have ended: closes what is still open.
    pub(super) fn finish(&mut self, now: Instant) {
        self.ended_at = Some(now);
        let end = self
            .stopped_at
            .or(self.schedule.window_end)
            .or(self.last_window_answer)
            .unwrap_or(now);
        let end = end.min(now);
        // A worker that gave up has not turned since.
        self.series.turn(end, &mut self.window);
        self.series.finish(end, &mut self.window);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.warmup.merge(&other.warmup);
        self.window.merge(&other.window);
        self.drain.merge(&other.drain);
        if let (Some(sum), Some(offered)) = (&mut self.offered, &other.offered) {
            sum.merge(offered);
        }
        self.series.merge(&other.series);
        self.loop_lag.merge(&other.loop_lag);
        // The time in which all of them stood still.
        self.stalled = self.stalled.zip(other.stalled).and_then(|(mine, theirs)| {
            let both = (mine.0.max(theirs.0), mine.1.min(theirs.1));
            (both.0 < both.1).then_some(both)
        });
        self.edges.merge(&other.edges);
        self.submitted += other.submitted;
        self.collisions += other.collisions;
        self.unexpected_answers += other.unexpected_answers;
        self.last_window_answer = self.last_window_answer.max(other.last_window_answer);
        self.ended_at = self.ended_at.max(other.ended_at);
        self.stopped_at = match (self.stopped_at, other.stopped_at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.accounts.merge(&other.accounts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From 1 us to 60 s, three significant digits.
    #[test]
    fn times_keep_three_significant_digits_from_a_microsecond_to_a_minute() {
        let mut all = Times::new();
        let mut sum = 0_u128;
        let mut ns = 1_000_u64;
        let mut counts = 0;
        while ns <= EXPECTED_NS {
            let mut times = Times::new();
            times.record(Duration::from_nanos(ns));
            all.record(Duration::from_nanos(ns));
            for told in [
                times.ns.value_at_quantile(0.5),
                times.ns.max(),
                times.ns.min(),
            ] {
                assert!(told.abs_diff(ns) * 1_000 <= ns, "{told} for {ns}");
            }
            assert_eq!(times.sum_ns, u128::from(ns));
            sum += u128::from(ns);
            counts += 1;
            // Steps of 0.37 %, which hit every kind of place in a bucket.
            ns += ns * 37 / 10_000;
        }
        assert!(counts > 4_000);
        assert_eq!((all.ns.len(), all.sum_ns), (counts, sum));
    }

    #[test]
    fn what_takes_longer_than_a_minute_is_told_as_it_is() {
        let mut times = Times::new();
        let hours = Duration::from_hours(30);
        for time in [hours, Duration::from_mins(10), Duration::ZERO] {
            times.record(time);
        }
        let mut merged = Times::new();
        merged.record(Duration::from_secs(1));
        merged.merge(&times);
        for (times, count) in [(times, 3), (merged, 4)] {
            assert_eq!(times.ns.len(), count);
            let longest = nanos(hours);
            assert!(times.ns.max().abs_diff(longest) * 1_000 <= longest);
            assert!(times.sum_ns / u128::from(count) <= u128::from(longest));
        }
        assert!(Times::new().mean_ns().abs() < f64::EPSILON);
    }
}
