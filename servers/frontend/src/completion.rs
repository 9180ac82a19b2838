//! How outcomes get from the writer thread to the connections.
//!
//! The writer puts each connection's outcomes into that connection's mailbox, then wakes
//! the runtime **once**; the [`Completion`] task wakes the connections from inside the
//! runtime, where a wake-up is a push to a local queue and no system call.
//!
//! Packing histograms takes milliseconds, in which neither the writer nor the runtime may
//! be held up: a background thread does it.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use busload_engine::{ControlReply, EngineError, Notice, Reply, ReplyPort, Snapshot};
use busload_wire::RequestId;
use tokio::sync::Notify;

use crate::counters::FrontCounters;
use crate::mailbox::{ControlAnswer, Delivery, Mailbox};

/// Jobs that may wait for the background thread; histograms to be packed have a few MiB each. The
/// writer packs what is above.
const JOBS_MAX: usize = 4;

/// What the writer's side and the runtime's share.
struct Completed {
    front: FrontCounters,
    /// Who has mail; a connection may be in it twice.
    to_wake: Mutex<Vec<Arc<Mailbox>>>,
    mail: Notify,
    stopped: Notify,
}

impl Completed {
    fn to_wake(&self) -> MutexGuard<'_, Vec<Arc<Mailbox>>> {
        self.to_wake.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn post_control(&self, to: Arc<Mailbox>, answer: ControlAnswer) {
        to.put_control(answer);
        self.to_wake().push(to);
        self.mail.notify_one();
    }

    /// Packs, and adds what the front end knows.
    fn post_stats(&self, Packing { to, id, snapshot }: Packing) {
        let with_histograms = snapshot.has_histograms();
        let mut stats = snapshot.pack();
        self.front.add(&mut stats, with_histograms);
        self.post_control(to, (id, Ok(ControlReply::Stats(Box::new(stats)))));
    }
}

/// What the writer has no time for.
enum Job {
    Pack(Packing),
    /// Standard error may be a pipe that nobody reads.
    Say(Notice),
}

/// Stats that are still to be packed.
struct Packing {
    to: Arc<Mailbox>,
    id: Option<RequestId>,
    snapshot: Box<Snapshot>,
}

/// The engine's side: the [`ReplyPort`] of the front end; each of several writers has a copy.
#[derive(Clone)]
pub(crate) struct Port {
    completed: Arc<Completed>,
    /// The thread that packs and says, if it could be started. It ends with the last port.
    background: Option<SyncSender<Job>>,
}

pub(crate) struct Completion(Arc<Completed>);

/// The two ends of the way from the writer to the connections. `front` is what
/// the connections count and measure.
pub(crate) fn completion(front: FrontCounters) -> (Port, Completion) {
    let completed = Arc::new(Completed {
        front,
        to_wake: Mutex::default(),
        mail: Notify::new(),
        stopped: Notify::new(),
    });
    let port = Port {
        completed: Arc::clone(&completed),
        background: start_background(Arc::clone(&completed)),
    };
    (port, Completion(completed))
}

fn start_background(completed: Arc<Completed>) -> Option<SyncSender<Job>> {
    let (sender, jobs): (_, Receiver<Job>) = sync_channel(JOBS_MAX);
    let thread = thread::Builder::new().name("background".to_owned());
    let started = thread.spawn(move || {
        for job in jobs {
            match job {
                Job::Pack(packing) => completed.post_stats(packing),
                Job::Say(notice) => eprintln!("warning: {notice}"),
            }
        }
    });
    started.is_ok().then_some(sender)
}

impl Completion {
    /// Wakes connections that have mail, for ever.
    pub(crate) async fn deliver(&self) {
        let mut woken = Vec::new();
        loop {
            self.0.mail.notified().await;
            std::mem::swap(&mut woken, &mut *self.0.to_wake());
            for mailbox in woken.drain(..) {
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
        let posted = self.completed.front.timings.now();
        let mut to_wake = self.completed.to_wake();
        for Reply { to, work } in batch.drain(..) {
            to.put_transfers(Delivery { posted, work });
            to_wake.push(to);
        }
        drop(to_wake);
        self.completed.mail.notify_one();
    }

    fn control(
        &mut self,
        to: Arc<Mailbox>,
        id: Option<RequestId>,
        reply: Result<ControlReply, EngineError>,
    ) {
        let reply = match reply {
            Ok(ControlReply::Stats(snapshot)) => {
                return self.stats(Packing { to, id, snapshot });
            }
            Ok(ControlReply::Account(account)) => Ok(ControlReply::Account(account)),
            Ok(ControlReply::Seeded) => Ok(ControlReply::Seeded),
            Ok(ControlReply::Verified(verification)) => Ok(ControlReply::Verified(verification)),
            Err(error) => Err(error),
        };
        self.completed.post_control(to, (id, reply));
    }

    fn notice(&mut self, notice: Notice) {
        // When the thread is behind, it is still in the answer of `health`.
        if let Some(background) = &self.background {
            let _ = background.try_send(Job::Say(notice));
        }
    }

    fn stopped(&mut self) {
        self.completed.stopped.notify_one();
        self.completed.mail.notify_one();
    }
}

impl Port {
    fn stats(&self, packing: Packing) {
        let background = self.background.as_ref();
        let left = match background.filter(|_| packing.snapshot.has_histograms()) {
            Some(background) => match background.try_send(Job::Pack(packing)) {
                Ok(()) => return,
                Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => job,
            },
            None => Job::Pack(packing),
        };
        if let Job::Pack(packing) = left {
            self.completed.post_stats(packing);
        }
    }
}
