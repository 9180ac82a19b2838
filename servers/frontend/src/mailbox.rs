//! How outcomes get from the writer thread to the connections.
//!
//! The writer puts each connection's outcomes into that connection's mailbox, then wakes
//! the runtime **once**; the [`Postman`] task wakes the connections from inside the
//! runtime, where a wake-up is a push to a local queue and no system call.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use busload_engine::{ControlReply, EngineError, Reply, ReplyPort, Work};
use busload_wire::RequestId;
use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

/// The answer to a control call, on its way to the connection.
pub type ControlAnswer = (Option<RequestId>, Result<ControlReply, EngineError>);

#[derive(Default)]
struct Contents {
    transfers: Vec<Vec<Work>>,
    controls: Vec<ControlAnswer>,
}

/// What waits for one connection. Bounded by what the connection has in flight.
#[derive(Default)]
pub struct Mailbox {
    contents: Mutex<Contents>,
    waker: AtomicWaker,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Mailbox {
    /// An empty mailbox.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Says who is to be woken when something arrives. Register before looking.
    pub fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Moves everything that has arrived to the ends of the two vectors.
    pub fn empty_into(&self, transfers: &mut Vec<Vec<Work>>, controls: &mut Vec<ControlAnswer>) {
        let mut contents = lock(&self.contents);
        transfers.append(&mut contents.transfers);
        controls.append(&mut contents.controls);
    }

    /// Wakes the connection.
    pub fn wake(&self) {
        self.waker.wake();
    }
}

#[derive(Default)]
struct Round {
    /// Who has mail; a connection may be in it twice.
    to_wake: Mutex<Vec<Arc<Mailbox>>>,
    mail: Notify,
    stopped: Notify,
}

/// The engine's side: the [`ReplyPort`] of the front end.
pub struct Port(Arc<Round>);

/// The runtime's side.
pub struct Postman(Arc<Round>);

/// The two ends of the way from the writer to the connections.
#[must_use]
pub fn post_office() -> (Port, Postman) {
    let round = Arc::new(Round::default());
    (Port(Arc::clone(&round)), Postman(round))
}

impl Postman {
    /// Wakes connections that have mail, for ever.
    pub async fn deliver(&self) {
        let mut round = Vec::new();
        loop {
            self.0.mail.notified().await;
            std::mem::swap(&mut round, &mut *lock(&self.0.to_wake));
            for mailbox in round.drain(..) {
                mailbox.wake();
            }
        }
    }

    /// Until the engine's writer has ended, for whatever reason.
    pub async fn engine_stopped(&self) {
        self.0.stopped.notified().await;
    }
}

impl ReplyPort for Port {
    type Address = Arc<Mailbox>;

    fn transfers(&mut self, batch: &mut Vec<Reply<Arc<Mailbox>>>) {
        let mut to_wake = lock(&self.0.to_wake);
        for Reply { to, work } in batch.drain(..) {
            lock(&to.contents).transfers.push(work);
            to_wake.push(to);
        }
        drop(to_wake);
        self.0.mail.notify_one();
    }

    fn control(
        &mut self,
        to: Arc<Mailbox>,
        id: Option<RequestId>,
        reply: Result<ControlReply, EngineError>,
    ) {
        lock(&to.contents).controls.push((id, reply));
        lock(&self.0.to_wake).push(to);
        self.0.mail.notify_one();
    }

    fn stopped(&mut self) {
        self.0.stopped.notify_one();
        self.0.mail.notify_one();
    }
}
