//! The hot loop: one worker keeps its window of transfers in flight on one session.

mod again;
mod slots;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use busload_wire::{RequestId, Transfer};

use super::alarm::Alarm;
use super::recorder::ThreadRecorder;
use super::resolve::Resolver;
use super::tally::Timing;
use super::{Due, LoadPlan, Measure, Pacer, Phase, Schedule, Signals};
use crate::connector::{Connector, Outcome, Reply, Session, TransportError, WorkerId};
use crate::workload::TransferSource;
use slots::Slots;

/// How often a worker looks for timeouts when no answer comes, at most.
const LONGEST_TICK: Duration = Duration::from_millis(50);
/// First pause before a broken session is opened again; doubles up to the longest tick.
const RECONNECT_PAUSE: Duration = Duration::from_millis(1);
/// A server that cannot be reached for this long is gone.
const RECONNECT_PATIENCE: Duration = Duration::from_secs(2);

/// How a worker ended.
#[derive(Debug, Default)]
pub(super) struct WorkerEnd {
    pub(super) reconnects: u64,
    pub(super) late_answers: u64,
    pub(super) contradictory_answers: u64,
    pub(super) idle_reconnects: u64,
    /// Transfers of unknown outcome that had one after all.
    pub(super) resolved: u64,
    /// Transfers sent again to find that out.
    pub(super) sent_again: u64,
    /// The server was gone.
    pub(super) gave_up: bool,
    /// Why the last session broke.
    pub(super) error: Option<String>,
}

pub(super) struct Worker<C: Connector, P> {
    id: WorkerId,
    connector: Arc<C>,
    session: C::Session,
    source: TransferSource,
    pacer: P,
    schedule: Schedule,
    signals: Signals,
    recorder: Rc<RefCell<ThreadRecorder>>,
    slots: Slots,
    /// Since when there has been a free slot.
    room_since: Instant,
    amount: i64,
    op_timeout: Duration,
    /// Transfers still to be answered inside the window, when they are counted.
    quota: Option<u64>,
    /// Names the transfers and follows those of unknown outcome, if that is asked for.
    resolver: Option<Resolver>,
    end: WorkerEnd,
}

/// Completes when the next transfer is due; never, when none is waited for.
async fn ring(alarm: Option<&mut Alarm>, due: Option<Instant>) {
    match (alarm, due) {
        (Some(alarm), Some(due)) => alarm.at(due).await,
        _ => std::future::pending().await,
    }
}

/// What the worker may do next.
enum Next {
    Submit,
    Drain,
}

impl<C: Connector, P: Pacer> Worker<C, P> {
    #[expect(
        clippy::too_many_arguments,
        reason = "called once; a struct would repeat the fields"
    )]
    pub(super) fn new(
        id: WorkerId,
        connector: Arc<C>,
        session: C::Session,
        plan: &LoadPlan,
        source: TransferSource,
        pacer: P,
        schedule: Schedule,
        signals: Signals,
        recorder: Rc<RefCell<ThreadRecorder>>,
        resolver: Option<Resolver>,
    ) -> Self {
        let workers = u64::from(plan.workers);
        let quota = match plan.measure {
            Measure::For(_) => None,
            Measure::Transfers(n) => Some(n / workers + u64::from(u64::from(id.0) < n % workers)),
        };
        Self {
            id,
            connector,
            session,
            source,
            pacer,
            schedule,
            signals,
            recorder,
            slots: Slots::new(plan.max_inflight, Instant::now()),
            // The making of a worker is the generator's own time, not the server's.
            room_since: schedule.start,
            amount: plan.amount,
            op_timeout: plan.op_timeout,
            quota,
            resolver,
            end: WorkerEnd::default(),
        }
    }

    /// Works until the window has ended and everything in flight has its outcome.
    pub(super) async fn run(mut self) -> WorkerEnd {
        let tick = (self.op_timeout / 8)
            .min(LONGEST_TICK)
            .max(Duration::from_millis(1));
        let mut timer = Box::pin(tokio::time::sleep(tick));
        // Without one, the ticks have to do.
        let mut alarm = Alarm::new().ok();
        let mut replies = Vec::new();
        let mut last_scan = Instant::now();
        loop {
            let now = Instant::now();
            self.recorder.borrow_mut().turn(now);
            let again = self.send_again(now);
            let submitted = match self.next(now) {
                _ if again.is_err() => again.map(|()| None),
                Next::Submit => self.fill(now),
                Next::Drain if self.slots.outstanding() == 0 => break,
                Next::Drain => Ok(None),
            };
            let waited = match submitted {
                Ok(next_due) => tokio::select! {
                    biased;
                    waited = self.session.replies(&mut replies) => waited,
                    () = ring(alarm.as_mut(), next_due) => Ok(()),
                    () = &mut timer => {
                        timer.as_mut().reset(tokio::time::Instant::now() + tick);
                        Ok(())
                    }
                },
                Err(error) => Err(error),
            };
            let now = Instant::now();
            self.recorder.borrow_mut().turn(now);
            self.take_replies(&mut replies, now);
            if now.duration_since(last_scan) >= tick {
                last_scan = now;
                self.expire(now);
            }
            if let Err(error) = waited
                && !self.recover(&error).await
            {
                break;
            }
        }
        self.abandon();
        self.end.late_answers += self.session.late_answers();
        self.end.contradictory_answers += self.session.contradictory_answers();
        self.end.idle_reconnects += self.session.idle_reconnects();
        if let Some(remark) = self.session.remark() {
            self.end.error.get_or_insert(remark);
        }
        self.session.close().await;
        if let Some(resolver) = &self.resolver {
            self.end.resolved = resolver.resolved;
            self.end.sent_again = resolver.sent_again;
        }
        self.end
    }

    /// What was due and was never sent.
    fn abandon(&mut self) {
        let mut recorder = self.recorder.borrow_mut();
        // A counted window ends with its last answer: what was due until then and found no
        // room was offered as well.
        let end = match self.schedule.window_end {
            Some(end) => recorder.stopped_at.map_or(end, |stopped| end.min(stopped)),
            None => match recorder.last_window_answer {
                Some(last) => last,
                None => return,
            },
        };
        let abandoned = self.pacer.abandon_before(end, self.schedule.window_start);
        recorder.dropped(abandoned);
    }

    /// The phase of what happens now. After a stop nothing is measured any more.
    fn phase(&self, now: Instant) -> Phase {
        if self.signals.stop.load(Ordering::Relaxed) {
            Phase::Drain
        } else {
            self.schedule.phase(now)
        }
    }

    fn next(&mut self, now: Instant) -> Next {
        if self.signals.stop.load(Ordering::Relaxed) {
            self.recorder.borrow_mut().note_stop(now);
            return Next::Drain;
        }
        if self.phase(now) == Phase::Drain {
            return Next::Drain;
        }
        // Of a counted run, no more is submitted than is still to be answered.
        match self.quota {
            Some(quota)
                if self.schedule.phase(now) == Phase::Window
                    && self.slots.outstanding() as u64 >= quota =>
            {
                Next::Drain
            }
            _ => Next::Submit,
        }
    }

    /// Fills the free slots with transfers that are due. Tells when the next one is, if there
    /// is room for it.
    fn fill(&mut self, now: Instant) -> Result<Option<Instant>, TransportError> {
        let phase = self.phase(now);
        let limit = self.pacer.latency_limit();
        let mut recorder = self.recorder.borrow_mut();
        while !self.slots.is_full() {
            if phase == Phase::Window
                && self
                    .quota
                    .is_some_and(|quota| self.slots.outstanding() as u64 >= quota)
            {
                break;
            }
            let intended = match self.pacer.next(now) {
                Due::Now(intended) => intended,
                Due::At(due) => return Ok(Some(due)),
            };
            let waited = now.saturating_duration_since(intended);
            if limit.is_some_and(|limit| waited > limit) {
                recorder.skip(intended);
                continue;
            }
            let pair = self.source.next_pair();
            let Some(id) = self.slots.take(intended, now, pair) else {
                break;
            };
            // A transfer that waited for a slot says nothing about the generator.
            let lag = (intended >= self.room_since).then_some(waited);
            recorder.was_due(intended, lag);
            recorder.enter(pair, phase);
            let slots = &self.slots;
            let resolver = self.resolver.as_mut();
            let transfer_id = resolver.and_then(|resolver| Some(resolver.name(slots.find(id)?)));
            let transfer = Transfer {
                from: i64::from(pair.from),
                to: i64::from(pair.to),
                amount: self.amount,
                transfer_id,
            };
            if let Err(error) = self.session.submit(id, transfer) {
                self.slots.release(id);
                let timing = Timing {
                    intended,
                    sent: now,
                    answered: now,
                };
                recorder.leave(pair, Outcome::Failed(None), &timing, phase);
                drop(recorder);
                self.settle(phase);
                return Err(error);
            }
        }
        Ok(None)
    }

    fn take_replies(&mut self, replies: &mut Vec<Reply>, now: Instant) {
        if replies.is_empty() {
            return;
        }
        let phase = self.phase(now);
        let recorder = Rc::clone(&self.recorder);
        let mut recorder = recorder.borrow_mut();
        if self.slots.is_full() {
            self.room_since = now;
        }
        let mut measured = false;
        for Reply { id, outcome } in replies.drain(..) {
            let Some(slot) = self.slots.find(id) else {
                recorder.unexpected_answers += 1;
                continue;
            };
            let Some((outcome, first_sent)) = self.conclude(slot, outcome, now) else {
                continue;
            };
            let phase = self.phase_for_quota(phase);
            measured |= phase == Phase::Window;
            self.close(&mut recorder, slot, outcome, first_sent, now, phase);
        }
        recorder.end_turn(measured.then_some(now));
    }

    /// The transfer in this slot has its outcome.
    fn close(
        &mut self,
        recorder: &mut ThreadRecorder,
        slot: u32,
        outcome: Outcome,
        first_sent: Option<Instant>,
        now: Instant,
        phase: Phase,
    ) {
        let slot = self.slots.vacate(slot);
        let mut timing = slot.answered(now);
        timing.sent = first_sent.unwrap_or(timing.sent);
        recorder.leave(slot.pair, outcome, &timing, phase);
        self.settle(phase);
    }

    /// What comes after the counted transfers is not measured.
    fn phase_for_quota(&self, phase: Phase) -> Phase {
        if phase == Phase::Window && self.quota == Some(0) {
            Phase::Drain
        } else {
            phase
        }
    }

    fn settle(&mut self, phase: Phase) {
        if phase == Phase::Window
            && let Some(quota) = &mut self.quota
        {
            *quota = quota.saturating_sub(1);
        }
    }

    /// Gives up what has waited longer than the operation timeout.
    fn expire(&mut self, now: Instant) {
        let Some(deadline) = now.checked_sub(self.op_timeout) else {
            return;
        };
        for id in self.slots.sent_before(Some(deadline)) {
            self.room_since = now;
            self.session.forget(id);
            self.lose(id, now);
        }
    }

    /// The outcome of a transfer in flight is unknown.
    fn lose(&mut self, id: RequestId, now: Instant) {
        let Some(slot) = self.slots.find(id) else {
            return;
        };
        let Some((outcome, first_sent)) = self.conclude(slot, Outcome::Unknown, now) else {
            return;
        };
        let phase = self.phase_for_quota(self.phase(now));
        let recorder = Rc::clone(&self.recorder);
        let recorder = &mut recorder.borrow_mut();
        self.close(recorder, slot, outcome, first_sent, now, phase);
    }

    /// The session broke: everything in flight is unknown. Opens a new one while the run
    /// lasts, or while there are transfers to be sent again; false when there is no point in
    /// going on.
    async fn recover(&mut self, error: &TransportError) -> bool {
        let broke = Instant::now();
        self.recorder.borrow_mut().turn(broke);
        self.end.error = Some(error.to_string());
        self.end.late_answers += self.session.late_answers();
        self.end.contradictory_answers += self.session.contradictory_answers();
        self.end.idle_reconnects += self.session.idle_reconnects();
        for id in self.slots.sent_before(None) {
            self.lose(id, broke);
        }
        let mut pause = RECONNECT_PAUSE;
        loop {
            let now = Instant::now();
            self.give_up_overdue(now);
            if matches!(self.next(now), Next::Drain) && !self.has_open() {
                return false;
            }
            // Bounded: a server that hangs must not hold up the end of the run.
            let connecting = self.connector.connect(self.id);
            let error = match tokio::time::timeout(RECONNECT_PATIENCE, connecting).await {
                Ok(Ok(session)) => {
                    self.session = session;
                    // Without a session there was no room: that is no lag of the generator.
                    self.room_since = Instant::now();
                    self.end.reconnects += 1;
                    return true;
                }
                Ok(Err(error)) => crate::with_causes(&error),
                Err(_) => format!("no session within {RECONNECT_PATIENCE:?}"),
            };
            if broke.elapsed() >= RECONNECT_PATIENCE && !self.has_open() {
                self.end.error = Some(error);
                self.end.gave_up = true;
                return false;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_TICK);
        }
    }
}
