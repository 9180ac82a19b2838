//! The bounded queue between the front end and the writer thread.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use busload_wire::{RequestId, Transfer};

use crate::engine::{ControlCall, ControlReply, EngineError};
use crate::ledger::{Failure, Outcome};
use crate::trouble::Notice;

/// One transfer on its way through the engine and, with its outcome, back.
#[derive(Debug, Clone)]
pub struct Work {
    /// What the answer is to carry, if the transport has ids.
    pub id: Option<RequestId>,
    /// What to do.
    pub transfer: Transfer,
    /// What became of it.
    pub outcome: Outcome,
}

impl Work {
    /// Work that is still to be done.
    #[must_use]
    pub fn new(id: Option<RequestId>, transfer: Transfer) -> Self {
        Self {
            id,
            transfer,
            outcome: Outcome::Pending,
        }
    }
}

/// The outcomes of one vector (or of the part of it that went into one batch).
#[derive(Debug)]
pub struct Reply<A> {
    /// Who submitted it.
    pub to: A,
    /// The same vector, outcomes filled in, in the same order.
    pub work: Vec<Work>,
}

/// How outcomes get back to the front end. Called on the writer thread: must not block.
pub trait ReplyPort: Send + 'static {
    /// Names who waits for an answer.
    type Address: Clone + Send + 'static;

    /// All outcomes of one batch, after its COMMIT has returned. Takes what is in `batch`.
    fn transfers(&mut self, batch: &mut Vec<Reply<Self::Address>>);

    /// The answer to a control call.
    fn control(
        &mut self,
        to: Self::Address,
        id: Option<RequestId>,
        reply: Result<ControlReply, EngineError>,
    );

    /// A trouble that does not stop the engine has begun or ended.
    fn notice(&mut self, notice: Notice);

    /// The writer has ended: nothing more will come.
    fn stopped(&mut self);
}

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

enum Item<A> {
    Work(Job<A>),
    Control(Control<A>),
}

/// What the writer does next. The work comes first, the control call after its COMMIT:
/// a control call sees every transfer that was submitted before it.
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
    items: VecDeque<Item<A>>,
    transfers: usize,
    controls: usize,
    peak: usize,
    overloaded: u64,
    awaited: Awaited,
    batch_size: usize,
    closed: bool,
}

/// A queue bounded in transfers.
pub(crate) struct Queue<A> {
    state: Mutex<State<A>>,
    arrived: Condvar,
    capacity: usize,
}

/// The depth of the queue and what it refused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueCounts {
    pub(crate) depth: usize,
    pub(crate) peak: usize,
    pub(crate) overloaded: u64,
}

/// Control calls that may wait at the same time, besides the transfers.
const MAX_CONTROLS: usize = 1024;

impl<A> Queue<A> {
    pub(crate) fn new(capacity: usize, batch_size: usize) -> Self {
        let state = State {
            items: VecDeque::new(),
            transfers: 0,
            controls: 0,
            peak: 0,
            overloaded: 0,
            awaited: Awaited::Nothing,
            batch_size,
            closed: false,
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
            state.items.push_back(Item::Work(Job {
                to,
                work,
                queued_at: Instant::now(),
            }));
            self.wake(state);
        }
        refuse(refused, Failure::Overloaded)
    }

    /// Queues a control call behind everything that is queued now.
    pub(crate) fn push_control(&self, control: Control<A>) -> Result<(), EngineError> {
        let mut state = self.lock();
        if state.closed {
            return Err(EngineError::ShuttingDown);
        }
        if state.controls == MAX_CONTROLS {
            return Err(EngineError::Overloaded);
        }
        state.controls += 1;
        state.items.push_back(Item::Control(control));
        self.wake(state);
        Ok(())
    }

    fn wake(&self, mut state: MutexGuard<'_, State<A>>) {
        let reached = match state.awaited {
            Awaited::Nothing => false,
            Awaited::Anything => true,
            Awaited::FullBatch => {
                state.closed || state.controls > 0 || state.transfers >= state.batch_size
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
            if let Some(first) = state.items.front() {
                let full = state.transfers >= state.batch_size || state.controls > 0;
                if full || state.closed || timeout.is_zero() {
                    break;
                }
                let Item::Work(oldest) = first else { break };
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
                if waited.timed_out() && state.items.is_empty() && !state.closed {
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
        self.arrived.notify_one();
    }

    pub(crate) fn counts(&self) -> QueueCounts {
        let state = self.lock();
        QueueCounts {
            depth: state.transfers,
            peak: state.peak,
            overloaded: state.overloaded,
        }
    }
}

impl<A: Clone> State<A> {
    /// At most `batch_size` transfers, up to the first control call: a vector that does
    /// not fit is split, its rest goes first in the next batch.
    fn take(&mut self) -> Taken<A> {
        let mut taken = Taken {
            work: Vec::new(),
            control: None,
        };
        let mut room = self.batch_size;
        while let Some(item) = self.items.front_mut() {
            match item {
                Item::Work(job) if job.work.len() > room => {
                    if room > 0 {
                        let rest = job.work.split_off(room);
                        let part = std::mem::replace(&mut job.work, rest);
                        self.transfers -= part.len();
                        taken.work.push(Job {
                            to: job.to.clone(),
                            work: part,
                            ..*job
                        });
                    }
                    break;
                }
                Item::Work(_) => {
                    let Some(Item::Work(job)) = self.items.pop_front() else {
                        break;
                    };
                    room -= job.work.len();
                    self.transfers -= job.work.len();
                    taken.work.push(job);
                }
                Item::Control(_) => {
                    if let Some(Item::Control(control)) = self.items.pop_front() {
                        self.controls -= 1;
                        taken.control = Some(control);
                    }
                    break;
                }
            }
        }
        taken
    }
}

fn refuse(mut work: Vec<Work>, failure: Failure) -> Vec<Work> {
    for one in &mut work {
        one.outcome = Outcome::Failed(failure);
    }
    work
}
