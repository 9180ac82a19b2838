//! What a client thread records: per phase, one plain histogram and counts; per account,
//! what is in flight and what became of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::accounts::Accounts;
use super::edges::Edges;
use super::series::Series;
use super::tally::{Offered, Tally, Times, Timing};
use super::{LoadPlan, Pace, Phase, Progress, Schedule};
use crate::connector::Outcome;
use crate::workload::AccountPair;

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
