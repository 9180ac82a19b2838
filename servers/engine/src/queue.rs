//! The bounded queue between the front end and the writer thread.

mod several;

pub(crate) use several::Turn;

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use busload_wire::RequestId;
use busload_wire::control::QueueStats;

use crate::call::ControlCall;
use crate::error::EngineError;
use crate::outcome::{Failure, Outcome, Work};

pub(crate) struct Job<A> {
    pub(crate) to: A,
    pub(crate) work: Vec<Work>,
    pub(crate) queued_at: Instant,
}

pub(crate) struct Control<A> {
    pub(crate) to: A,
    pub(crate) id: Option<RequestId>,
    pub(crate) call: ControlCall,
}

/// A control call and what it has to see.
struct Waiting<A> {
    control: Control<A>,
    /// Transfers that were queued before it, since the start.
    after: u64,
}

/// What the writer does next. The work comes first, the control call after its COMMIT:
/// a control call sees every transfer that was submitted before it. Transfers wait for no control
/// call that has not begun: there is a batch of them between two.
pub(crate) struct Taken<A> {
    pub(crate) work: Vec<Job<A>>,
    pub(crate) control: Option<Control<A>>,
}

/// What the writer sleeps for. A push that does not bring it about wakes nobody.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Nothing,
    Anything,
    FullBatch,
}

struct State<A> {
    work: VecDeque<Job<A>>,
    controls: VecDeque<Waiting<A>>,
    /// Transfers in `work`.
    transfers: usize,
    /// Transfers taken from it, since the start.
    taken: u64,
    peak: usize,
    overloaded: u64,
    awaited: Awaited,
    batch_size: usize,
    closed: bool,
    several: several::Turns,
}

pub(crate) struct Queue<A> {
    state: Mutex<State<A>>,
    arrived: Condvar,
    capacity: usize,
}

/// Control calls that may wait at the same time, besides the transfers.
const CONTROLS_MAX: usize = 1024;

impl<A> Queue<A> {
    pub(crate) fn new(capacity: usize, batch_size: usize) -> Self {
        let state = State {
            work: VecDeque::new(),
            controls: VecDeque::new(),
            transfers: 0,
            taken: 0,
            peak: 0,
            overloaded: 0,
            awaited: Awaited::Nothing,
            batch_size,
            closed: false,
            several: several::Turns::default(),
        };
        Self {
            state: Mutex::new(state),
            arrived: Condvar::new(),
            capacity,
        }
    }

    /// The state is valid after every statement under the lock, so a panic of another
    /// holder does not spoil it.
    fn lock(&self) -> MutexGuard<'_, State<A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues what fits and returns the rest with its outcome: `Overloaded`, or
    /// `ShuttingDown` once the queue is closed.
    pub(crate) fn push(&self, to: A, mut work: Vec<Work>) -> Vec<Work> {
        if work.is_empty() {
            return work;
        }
        let mut state = self.lock();
        if state.closed {
            drop(state);
            return refuse(work, Failure::ShuttingDown);
        }
        let room = self.capacity - state.transfers;
        let refused = if work.len() > room {
            work.split_off(room)
        } else {
            Vec::new()
        };
        state.overloaded += refused.len() as u64;
        if !work.is_empty() {
            state.transfers += work.len();
            state.peak = state.peak.max(state.transfers);
            state.work.push_back(Job {
                to,
                work,
                queued_at: Instant::now(),
            });
            debug_assert!(state.transfers <= self.capacity, "the queue is bounded");
            self.wake(state);
        }
        refuse(refused, Failure::Overloaded)
    }

    /// Queues a control call behind every transfer and control call that is queued now.
    pub(crate) fn push_control(&self, control: Control<A>) -> Result<(), EngineError> {
        let mut state = self.lock();
        if state.closed {
            return Err(EngineError::ShuttingDown);
        }
        if state.controls.len() == CONTROLS_MAX {
            return Err(EngineError::Overloaded);
        }
        let after = state.taken + state.transfers as u64;
        state.controls.push_back(Waiting { control, after });
        self.wake(state);
        Ok(())
    }

    fn wake(&self, mut state: MutexGuard<'_, State<A>>) {
        let reached = match state.awaited {
            Awaited::Nothing => false,
            Awaited::Anything => true,
            Awaited::FullBatch => {
                state.closed || !state.controls.is_empty() || state.transfers >= state.batch_size
            }
        };
        if reached {
            state.awaited = Awaited::Nothing;
            drop(state);
            self.arrived.notify_one();
        }
    }

    /// Takes the next batch: waits for a first item, then until the batch is full, a
    /// control call is queued, or the oldest transfer has waited for `timeout`. Comes back with
    /// nothing after `idle` without a first item.
    /// `None` when the queue is closed and empty.
    pub(crate) fn take(&self, timeout: Duration, idle: Option<Duration>) -> Option<Taken<A>>
    where
        A: Clone,
    {
        let mut state = self.lock();
        loop {
            if !state.controls.is_empty() {
                break;
            }
            if let Some(oldest) = state.work.front() {
                let full = state.transfers >= state.batch_size;
                if full || state.closed || timeout.is_zero() {
                    break;
                }
                let left = timeout.saturating_sub(oldest.queued_at.elapsed());
                if left.is_zero() {
                    break;
                }
                state.awaited = Awaited::FullBatch;
                state = self
                    .arrived
                    .wait_timeout(state, left)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
            } else if state.closed {
                return None;
            } else if let Some(idle) = idle {
                state.awaited = Awaited::Anything;
                let (locked, waited) = self
                    .arrived
                    .wait_timeout(state, idle)
                    .unwrap_or_else(PoisonError::into_inner);
                state = locked;
                if waited.timed_out() && state.is_empty() && !state.closed {
                    state.awaited = Awaited::Nothing;
                    break;
                }
            } else {
                state.awaited = Awaited::Anything;
                state = self
                    .arrived
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            state.awaited = Awaited::Nothing;
        }
        Some(state.take())
    }

    /// Refuses everything from now on; what is queued stays to be taken.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.awaited = Awaited::Nothing;
        drop(state);
        self.arrived.notify_all();
    }

    pub(crate) fn counts(&self) -> QueueStats {
        let state = self.lock();
        QueueStats {
            depth: state.transfers as u64,
            peak: state.peak as u64,
            overloaded: state.overloaded,
        }
    }
}

impl<A> State<A> {
    /// Looks at every vector: for assertions only.
    fn transfers_add_up(&self) -> bool {
        self.work.iter().map(|job| job.work.len()).sum::<usize>() == self.transfers
    }

    fn is_empty(&self) -> bool {
        self.work.is_empty() && self.controls.is_empty()
    }
}

impl<A: Clone> State<A> {
    /// At most `batch_size` transfers, whoever waits before them: a vector that does not fit is
    /// split, its rest goes first in the next batch. Then the next control call, if no transfer
    /// that was queued before it is left.
    fn take(&mut self) -> Taken<A> {
        let work = self.take_work();
        let control = self.take_control();
        Taken { work, control }
    }

    fn take_work(&mut self) -> Vec<Job<A>> {
        let mut work = Vec::new();
        let mut room = self.batch_size;
        while let Some(job) = self.work.front_mut() {
            if job.work.len() > room {
                if room > 0 {
                    let rest = job.work.split_off(room);
                    let part = std::mem::replace(&mut job.work, rest);
                    work.push(Job {
                        to: job.to.clone(),
                        work: part,
                        ..*job
                    });
                    room = 0;
                }
                break;
            }
            room -= job.work.len();
            work.extend(self.work.pop_front());
        }
        let taken = self.batch_size - room;
        self.transfers -= taken;
        self.taken += taken as u64;
        debug_assert!(self.transfers_add_up(), "each transfer is counted once");
        work
    }

    fn take_control(&mut self) -> Option<Control<A>> {
        let is_next = |waiting: &mut Waiting<A>| waiting.after <= self.taken;
        let waiting = self.controls.pop_front_if(is_next);
        waiting.map(|waiting| waiting.control)
    }
}

fn refuse(mut work: Vec<Work>, failure: Failure) -> Vec<Work> {
    for one in &mut work {
        one.outcome = Outcome::Failed(failure);
    }
    work
}

#[cfg(test)]
mod tests {
    use busload_wire::Transfer;

    use super::*;

    const TRANSFER: Transfer = Transfer {
        from: 0,
        to: 1,
        amount: 1,
        transfer_id: None,
    };

    fn push(queue: &Queue<u32>, to: u32, transfers: usize) {
        let refused = queue.push(to, vec![Work::new(None, TRANSFER); transfers]);
        assert!(refused.is_empty());
    }

    fn call(queue: &Queue<u32>, to: u32) {
        let (id, call) = (None, ControlCall::Verify);
        assert!(queue.push_control(Control { to, id, call }).is_ok());
    }

    /// Whose transfers are in the next batch, how many of each, and whose call follows it.
    fn take(queue: &Queue<u32>) -> (Vec<(u32, usize)>, Option<u32>) {
        let taken = queue.take(Duration::ZERO, None).unwrap();
        let work = taken.work.iter().map(|job| (job.to, job.work.len()));
        (work.collect(), taken.control.map(|control| control.to))
    }

    #[test]
    fn a_transfer_waits_for_no_call_that_has_not_begun() {
        let queue = Queue::new(100, 10);
        for caller in 0..50 {
            call(&queue, caller);
        }
        assert_eq!(take(&queue), (vec![], Some(0)));
        for caller in 1..50 {
            push(&queue, 99, 3);
            assert_eq!(take(&queue), (vec![(99, 3)], Some(caller)));
        }
    }

    #[test]
    fn a_call_waits_for_the_transfers_before_it_and_at_most_a_batch_with_others() {
        let queue = Queue::new(100, 4);
        push(&queue, 1, 6);
        call(&queue, 7);
        call(&queue, 8);
        for _ in 0..10 {
            push(&queue, 2, 4);
        }
        assert_eq!(take(&queue), (vec![(1, 4)], None));
        assert_eq!(take(&queue), (vec![(1, 2), (2, 2)], Some(7)));
        assert_eq!(take(&queue), (vec![(2, 2), (2, 2)], Some(8)));
        assert_eq!(take(&queue), (vec![(2, 2), (2, 2)], None));
    }
}
