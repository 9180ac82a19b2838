//! What waits for one connection.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Instant;

use busload_engine::{ControlReply, EngineError, Work};
use busload_wire::RequestId;
use busload_wire::control::Stats;
use futures_util::task::AtomicWaker;

/// The answer to a control call, on its way to the connection.
pub(crate) type ControlAnswer = (
    Option<RequestId>,
    Result<ControlReply<Box<Stats>>, EngineError>,
);

pub(crate) struct Delivery {
    /// When the writer began to hand out their batch, if stages are timed.
    pub(crate) posted: Option<Instant>,
    /// A vector that the connection submitted, or a part of one.
    pub(crate) work: Vec<Work>,
}

#[derive(Default)]
struct Contents {
    transfers: Vec<Delivery>,
    controls: Vec<ControlAnswer>,
}

/// What waits for one connection. Bounded by what the connection has in flight.
#[derive(Default)]
pub(crate) struct Mailbox {
    contents: Mutex<Contents>,
    waker: AtomicWaker,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Says who is to be woken when something arrives. Register before looking.
    pub(crate) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Moves everything that has arrived to the ends of the two vectors.
    pub(crate) fn empty_into(
        &self,
        transfers: &mut Vec<Delivery>,
        controls: &mut Vec<ControlAnswer>,
    ) {
        let mut contents = self.lock();
        transfers.append(&mut contents.transfers);
        controls.append(&mut contents.controls);
    }

    /// What has arrived for a connection that has one transfer in flight.
    pub(crate) fn take_transfer(&self) -> Option<Delivery> {
        self.lock().transfers.pop()
    }

    /// What has arrived for a connection that has one control call in flight.
    pub(crate) fn take_control(&self) -> Option<ControlAnswer> {
        self.lock().controls.pop()
    }

    /// Puts outcomes in. Whoever does it wakes the connection, or has it woken.
    pub(crate) fn put_transfers(&self, delivery: Delivery) {
        self.lock().transfers.push(delivery);
    }

    pub(crate) fn put_control(&self, answer: ControlAnswer) {
        self.lock().controls.push(answer);
    }

    pub(crate) fn wake(&self) {
        self.waker.wake();
    }
}
