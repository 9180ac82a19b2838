//! Several writers on one queue: each takes a batch of its own, and a control call is done while
//! none of them has one.
//!
//! A writer alone comes past none of this: [`Queue::take`] is its own.

use std::sync::PoisonError;
use std::time::Duration;

use super::{Awaited, Queue, State, Taken};

/// Who does what, of several writers.
#[derive(Default)]
pub(super) struct Turns {
    /// Writers that have a batch and are not done with it.
    at_work: usize,
    /// One of them does a control call, and the others wait.
    alone: bool,
    /// Writers that wait.
    waiting: usize,
}

/// What a writer has taken, to be given back to [`Queue::done`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing came.
    Nothing,
    Batch,
    Call,
}

impl<A: Clone> State<A> {
    /// A control call that is next: everything queued before it was taken. Until it is done nobody
    /// takes a batch, so that the writers at work become none.
    fn call_is_next(&self) -> bool {
        let first = self.controls.front();
        first.is_some_and(|waiting| waiting.after <= self.taken)
    }

    /// What one of several writers can do now; `Err` is how long to wait for a batch to fill,
    /// `None` inside for something to come or somebody to be done.
    fn take_turn(&mut self, timeout: Duration) -> Result<Taken<A>, Option<Duration>> {
        if self.several.alone {
            return Err(None);
        }
        if self.call_is_next() {
            if self.several.at_work > 0 {
                return Err(None);
            }
            self.several.alone = true;
            let (work, control) = (Vec::new(), self.take_control());
            return Ok(Taken { work, control });
        }
        let Some(oldest) = self.work.front() else {
            return Err(None);
        };
        let at_once = self.closed || timeout.is_zero() || !self.controls.is_empty();
        if !at_once && self.transfers < self.batch_size {
            let left = timeout.saturating_sub(oldest.queued_at.elapsed());
            if !left.is_zero() {
                return Err(Some(left));
            }
        }
        let (work, control) = (self.take_work(), None);
        Ok(Taken { work, control })
    }
}

impl<A: Clone> Queue<A> {
    /// [`Queue::take`] for one of several writers, which calls [`done`](Self::done) when it is
    /// done with what it took: there is a batch in it or a control call, never both.
    pub(crate) fn take_turn(
        &self,
        timeout: Duration,
        idle: Option<Duration>,
    ) -> Option<(Taken<A>, Turn)> {
        let mut state = self.lock();
        let mut is_idle = false;
        let taken = loop {
            match state.take_turn(timeout) {
                Ok(taken) => break taken,
                Err(_) if state.closed && state.is_empty() => return None,
                Err(None) if is_idle => {
                    let (work, control) = (Vec::new(), None);
                    return Some((Taken { work, control }, Turn::Nothing));
                }
                Err(fills_within) => {
                    state.awaited = Awaited::Anything;
                    state.several.waiting += 1;
                    let waits = [fills_within, idle].into_iter().flatten().min();
                    let waited = (self.arrived).wait_timeout(state, waits.unwrap_or(Duration::MAX));
                    let (locked, timed_out) = waited.unwrap_or_else(PoisonError::into_inner);
                    state = locked;
                    state.several.waiting -= 1;
                    is_idle = timed_out.timed_out() && fills_within.is_none();
                }
            }
        };
        let turn = if taken.control.is_some() {
            Turn::Call
        } else {
            state.several.at_work += 1;
            Turn::Batch
        };
        // A push wakes one of those that wait, which may have left something for another.
        let others_wait = state.several.waiting > 0;
        let wakes_another = others_wait && !state.is_empty();
        state.awaited = if others_wait && !wakes_another {
            Awaited::Anything
        } else {
            Awaited::Nothing
        };
        drop(state);
        if wakes_another {
            self.arrived.notify_one();
        }
        Some((taken, turn))
    }

    /// One of several writers is done with what it took, or is no more.
    pub(crate) fn done(&self, turn: Turn) {
        let mut state = self.lock();
        match turn {
            Turn::Nothing => return,
            Turn::Batch => {
                debug_assert!(state.several.at_work > 0, "who is done has taken something");
                state.several.at_work -= 1;
            }
            Turn::Call => state.several.alone = false,
        }
        let wakes_all = turn == Turn::Call || state.call_is_next();
        drop(state);
        if wakes_all {
            self.arrived.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::thread;

    use busload_wire::Transfer;

    use super::super::Control;
    use super::*;
    use crate::call::ControlCall;
    use crate::outcome::Work;

    const TRANSFER: Transfer = Transfer {
        from: 0,
        to: 1,
        amount: 1,
        transfer_id: None,
    };

    fn push(queue: &Queue<u32>, to: u32) {
        assert!(queue.push(to, vec![Work::new(None, TRANSFER)]).is_empty());
    }

    fn call(queue: &Queue<u32>, to: u32) {
        let (id, call) = (None, ControlCall::Verify);
        assert!(queue.push_control(Control { to, id, call }).is_ok());
    }

    #[test]
    fn a_call_is_done_alone_after_every_batch_before_it() {
        let queue = Queue::new(100, 1);
        push(&queue, 1);
        push(&queue, 2);
        call(&queue, 7);
        push(&queue, 3);
        let take = || {
            queue
                .take_turn(Duration::ZERO, Some(Duration::ZERO))
                .unwrap()
        };
        assert_eq!(take().0.work[0].to, 1);
        assert_eq!(take().0.work[0].to, 2);
        // Two are at work: neither the call nor what came after it.
        assert_eq!(take().1, Turn::Nothing);
        queue.done(Turn::Batch);
        assert_eq!(take().1, Turn::Nothing);
        queue.done(Turn::Batch);
        let (called, turn) = take();
        assert_eq!((called.control.unwrap().to, turn), (7, Turn::Call));
        assert_eq!(take().1, Turn::Nothing, "it is done alone");
        queue.done(Turn::Call);
        assert_eq!(take().0.work[0].to, 3);
    }

    #[test]
    fn whatever_they_take_each_transfer_is_taken_once_and_calls_see_those_before_them() {
        let queue = Arc::new(Queue::new(10_000, 3));
        let applied = Arc::new(AtomicUsize::new(0));
        let writers: Vec<_> = (0..4)
            .map(|_| {
                let (queue, applied) = (Arc::clone(&queue), Arc::clone(&applied));
                thread::spawn(move || {
                    let mut calls = 0;
                    while let Some((taken, turn)) = queue.take_turn(Duration::ZERO, None) {
                        let transfers: usize = taken.work.iter().map(|job| job.work.len()).sum();
                        applied.fetch_add(transfers, SeqCst);
                        if let Some(control) = taken.control {
                            let before = applied.load(SeqCst);
                            assert!(before >= control.to as usize, "{before} {}", control.to);
                            thread::yield_now();
                            let after = applied.load(SeqCst);
                            assert_eq!(before, after, "the others stand still");
                            calls += 1;
                        }
                        queue.done(turn);
                    }
                    calls
                })
            })
            .collect();
        for n in 1..=5_000 {
            push(&queue, 0);
            if n % 50 == 0 {
                call(&queue, n);
            }
        }
        queue.close();
        let calls: usize = writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .sum();
        assert_eq!((calls, applied.load(SeqCst)), (100, 5_000));
    }
}
