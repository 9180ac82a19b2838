//! What the connections of a server share.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use busload_engine::Engine;
use busload_wire::control::{Info, Stats};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::access::Access;
use crate::counters::FrontCounters;
use crate::input_memory::Input;
use crate::limits::Limits;
use crate::mailbox::Mailbox;
use crate::settings::Transport;

pub(crate) struct Shared {
    pub(crate) engine: Engine<Arc<Mailbox>>,
    pub(crate) info: Info,
    pub(crate) limits: Limits,
    pub(crate) access: Access,
    pub(crate) may_seed: bool,
    pub(crate) transport: Transport,
    pub(crate) front: FrontCounters,
    /// Whose histograms are packed now: a copy has a few MiB.
    pub(crate) packing: Semaphore,
    /// No request is read any more; what is in flight is answered.
    pub(crate) stopping: AtomicBool,
    /// Messages are sent back as they came.
    #[cfg(feature = "echo")]
    pub(crate) echo: AtomicBool,
    pub(crate) tasks: Mutex<Tasks>,
}

/// One accepted connection, as HTTP and after the upgrade.
pub(crate) struct Client {
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) input: Arc<Input>,
    /// Its place among the connections, free again when it is gone.
    pub(crate) _place: OwnedSemaphorePermit,
}

/// What runs, and whom to wake when the server stops.
#[derive(Default)]
pub(crate) struct Tasks {
    running: JoinSet<()>,
    mailboxes: Vec<Weak<Mailbox>>,
}

impl Shared {
    /// What the server is, with its clock as it is now: load machines agree on the time by it.
    pub(crate) fn info_now(&self) -> Info {
        let now = jiff::Timestamp::now().as_microsecond();
        Info {
            time_unix_us: u64::try_from(now).ok(),
            ..self.info.clone()
        }
    }

    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a task that the server waits for when it stops.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks();
        while tasks.running.try_join_next().is_some() {}
        tasks.running.spawn(task);
    }

    /// The answer of `stats` without histograms, at once.
    pub(crate) fn totals(&self) -> Stats {
        let mut stats = self.engine.totals();
        self.front.add(&mut stats, false);
        stats
    }

    /// The answer of `stats` with histograms. Packing takes milliseconds, in which the runtime
    /// must not be held up; one is packed at a time, so that memory does not grow with who asks.
    pub(crate) async fn histograms(self: &Arc<Self>) -> Stats {
        let _turn = self.packing.acquire().await;
        let shared = Arc::clone(self);
        let packed = tokio::task::spawn_blocking(move || {
            let mut stats = shared.engine.stats();
            shared.front.add(&mut stats, true);
            stats
        });
        // A defect of the packing itself costs the histograms, not the answer.
        packed.await.unwrap_or_else(|_| self.totals())
    }

    /// A mailbox that is woken when the server stops.
    pub(crate) fn mailbox(&self) -> Arc<Mailbox> {
        let mailbox = Mailbox::new();
        let mut tasks = self.tasks();
        if tasks.mailboxes.len() == tasks.mailboxes.capacity() {
            tasks.mailboxes.retain(|mailbox| mailbox.strong_count() > 0);
        }
        tasks.mailboxes.push(Arc::downgrade(&mailbox));
        mailbox
    }

    /// Wakes everybody, to answer what is in flight and to read no more.
    pub(crate) fn stop_reading(&self) {
        self.stopping.store(true, Ordering::Release);
        let tasks = self.tasks();
        for mailbox in tasks.mailboxes.iter().filter_map(Weak::upgrade) {
            mailbox.wake();
        }
    }

    /// All that runs; whatever is spawned from now on is not waited for.
    pub(crate) fn take_tasks(&self) -> JoinSet<()> {
        std::mem::take(&mut self.tasks().running)
    }
}
