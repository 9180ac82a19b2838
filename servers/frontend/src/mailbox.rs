//! How outcomes get from the writer thread to the connections.
//!
//! The writer puts each connection's outcomes into that connection's mailbox, then wakes
//! the runtime **once**; the [`Postman`] task wakes the connections from inside the
//! runtime, where a wake-up is a push to a local queue and no system call.
//!
//! Packing histograms takes milliseconds, in which neither the writer nor the runtime may
//! be held up: a thread of its own does it.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::thread;
use std::time::Instant;

use busload_engine::{ControlReply, EngineError, Notice, Reply, ReplyPort, Snapshot, Work};
use busload_wire::RequestId;
use busload_wire::control::Stats;
use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

use crate::counters::FrontCounters;

/// Errands that may wait; histograms to be packed have a few MiB each. The writer packs what is
/// above.
const ERRANDS_WAITING: usize = 4;

/// The answer to a control call, on its way to the connection.
pub(crate) type ControlAnswer = (
    Option<RequestId>,
    Result<ControlReply<Box<Stats>>, EngineError>,
);

/// Outcomes on their way to the connection.
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Mailbox {
    /// An empty mailbox.
    #[must_use]
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
        let mut contents = lock(&self.contents);
        transfers.append(&mut contents.transfers);
        controls.append(&mut contents.controls);
    }

    /// What has arrived for a connection that has one transfer in flight.
    pub(crate) fn take_transfer(&self) -> Option<Delivery> {
        lock(&self.contents).transfers.pop()
    }

    /// What has arrived for a connection that has one control call in flight.
    pub(crate) fn take_control(&self) -> Option<ControlAnswer> {
        lock(&self.contents).controls.pop()
    }

    /// The answer to a call that came from the runtime itself, not from the writer thread.
    pub(crate) fn post(&self, answer: ControlAnswer) {
        lock(&self.contents).controls.push(answer);
        self.wake();
    }

    /// Wakes the connection.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }
}

struct Round {
    front: FrontCounters,
    /// Who has mail; a connection may be in it twice.
    to_wake: Mutex<Vec<Arc<Mailbox>>>,
    mail: Notify,
    stopped: Notify,
}

impl Round {
    fn post_control(&self, to: Arc<Mailbox>, answer: ControlAnswer) {
        lock(&to.contents).controls.push(answer);
        lock(&self.to_wake).push(to);
        self.mail.notify_one();
    }

    /// Packs, and adds what the front end knows.
    fn post_snapshot(&self, Parcel { to, id, snapshot }: Parcel) {
        let with_histograms = snapshot.has_histograms();
        let mut stats = snapshot.pack();
        if with_histograms {
            self.front.add_histograms(&mut stats);
        } else {
            self.front.add_totals(&mut stats);
        }
        self.post_control(to, (id, Ok(ControlReply::Stats(Box::new(stats)))));
    }
}

/// What the writer has no time for.
enum Errand {
    Pack(Parcel),
    /// Standard error may be a pipe that nobody reads.
    Say(Notice),
}

/// Stats that are still to be packed.
struct Parcel {
    to: Arc<Mailbox>,
    id: Option<RequestId>,
    snapshot: Box<Snapshot>,
}

/// The engine's side: the [`ReplyPort`] of the front end.
pub(crate) struct Port {
    round: Arc<Round>,
    /// The thread that packs and says, if it could be started. It ends with the port.
    clerk: Option<SyncSender<Errand>>,
}

/// The runtime's side.
pub(crate) struct Postman(Arc<Round>);

/// The two ends of the way from the writer to the connections. `front` is what
/// the connections count and measure.
#[must_use]
pub(crate) fn post_office(front: FrontCounters) -> (Port, Postman) {
    let round = Arc::new(Round {
        front,
        to_wake: Mutex::default(),
        mail: Notify::new(),
        stopped: Notify::new(),
    });
    let port = Port {
        round: Arc::clone(&round),
        clerk: start_clerk(Arc::clone(&round)),
    };
    (port, Postman(round))
}

fn start_clerk(round: Arc<Round>) -> Option<SyncSender<Errand>> {
    let (sender, errands): (_, Receiver<Errand>) = sync_channel(ERRANDS_WAITING);
    let thread = thread::Builder::new().name("clerk".to_owned());
    let started = thread.spawn(move || {
        for errand in errands {
            match errand {
                Errand::Pack(parcel) => round.post_snapshot(parcel),
                Errand::Say(notice) => eprintln!("warning: {notice}"),
            }
        }
    });
    started.is_ok().then_some(sender)
}

impl Postman {
    /// Wakes connections that have mail, for ever.
    pub(crate) async fn deliver(&self) {
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
    pub(crate) async fn engine_stopped(&self) {
        self.0.stopped.notified().await;
    }
}

impl ReplyPort for Port {
    type Address = Arc<Mailbox>;

    fn transfers(&mut self, batch: &mut Vec<Reply<Arc<Mailbox>>>) {
        let posted = self.round.front.timings.now();
        let mut to_wake = lock(&self.round.to_wake);
        for Reply { to, work } in batch.drain(..) {
            let delivery = Delivery { posted, work };
            lock(&to.contents).transfers.push(delivery);
            to_wake.push(to);
        }
        drop(to_wake);
        self.round.mail.notify_one();
    }

    fn control(
        &mut self,
        to: Arc<Mailbox>,
        id: Option<RequestId>,
        reply: Result<ControlReply, EngineError>,
    ) {
        let reply = match reply {
            Ok(ControlReply::Stats(snapshot)) => {
                return self.stats(Parcel { to, id, snapshot });
            }
            Ok(ControlReply::Account(account)) => Ok(ControlReply::Account(account)),
            Ok(ControlReply::Seeded) => Ok(ControlReply::Seeded),
            Ok(ControlReply::Verified(verification)) => Ok(ControlReply::Verified(verification)),
            Err(error) => Err(error),
        };
        self.round.post_control(to, (id, reply));
    }

    fn notice(&mut self, notice: Notice) {
        // When the thread is behind, the trouble is still in health and metrics.
        if let Some(clerk) = &self.clerk {
            let _ = clerk.try_send(Errand::Say(notice));
        }
    }

    fn stopped(&mut self) {
        self.round.stopped.notify_one();
        self.round.mail.notify_one();
    }
}

impl Port {
    fn stats(&self, parcel: Parcel) {
        let clerk = self
            .clerk
            .as_ref()
            .filter(|_| parcel.snapshot.has_histograms());
        let left = match clerk {
            Some(clerk) => match clerk.try_send(Errand::Pack(parcel)) {
                Ok(()) => return,
                Err(TrySendError::Full(errand) | TrySendError::Disconnected(errand)) => errand,
            },
            None => Errand::Pack(parcel),
        };
        if let Errand::Pack(parcel) = left {
            self.round.post_snapshot(parcel);
        }
    }
}
