//! The handle that front ends hold: submission, control calls, counters, shutdown.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use busload_wire::RequestId;
use busload_wire::control::Stats;

use crate::call::ControlCall;
use crate::config::Config;
use crate::error::EngineError;
use crate::health::{Degradation, Health};
use crate::ledger::{About, IoReader, Storage};
use crate::monitor::Monitor;
use crate::outcome::Work;
use crate::port::ReplyPort;
use crate::queue::{Control, Queue};
use crate::stats::SharedStats;
use crate::writer::Writer;

/// A running ledger. Dropping it closes the queue and leaves the writer to
/// finish by itself.
pub struct Engine<A> {
    queue: Arc<Queue<A>>,
    stats: Arc<SharedStats>,
    health: Arc<Health>,
    io: Arc<IoReader>,
    about: About,
}

/// The writer thread of an [`Engine`].
#[derive(Debug)]
pub struct WriterThread(JoinHandle<Result<(), EngineError>>);

impl WriterThread {
    /// Waits for the writer to end: after [`Engine::close`], once everything queued is
    /// answered; or after an error that stopped it.
    ///
    /// # Errors
    /// What stopped it.
    pub fn join(self) -> Result<(), EngineError> {
        match self.0.join() {
            Ok(result) => result,
            Err(panic) => {
                let what = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
                let what = what.or_else(|| panic.downcast_ref::<String>().cloned());
                Err(EngineError::Writer(
                    what.unwrap_or_else(|| "panicked".to_owned()),
                ))
            }
        }
    }
}

impl<A: Clone + Send + 'static> Engine<A> {
    /// Starts the thread that writes to `storage` and answers through `port`.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start<P>(
        config: &Config,
        storage: Box<dyn Storage>,
        port: P,
    ) -> Result<(Self, WriterThread), EngineError>
    where
        P: ReplyPort<Address = A>,
    {
        let queue = Queue::new(config.queue_transfers.max(1), config.batch_size.max(1));
        let queue = Arc::new(queue);
        let stats = Arc::new(SharedStats::new(config.stage_timings));
        let health = Arc::<Health>::default();
        let io = Arc::new(storage.io());
        let about = storage.about();
        let writer = Writer::new(
            Arc::clone(&queue),
            Monitor::new(Arc::clone(&health), Arc::clone(&stats)),
            Arc::clone(&io),
            port,
            config.batch_timeout,
        );
        let thread = thread::Builder::new().name("writer".to_owned());
        let thread = thread
            .spawn(move || writer.run(storage))
            .map_err(|error| EngineError::Writer(error.to_string()))?;
        let engine = Self {
            queue,
            stats,
            health,
            io,
            about,
        };
        Ok((engine, WriterThread(thread)))
    }

    /// Queues a vector of transfers. What could not be queued comes back with its
    /// outcome: it was not and will not be applied.
    #[must_use = "what was refused must be answered"]
    pub fn submit(&self, to: A, work: Vec<Work>) -> Vec<Work> {
        self.queue.push(to, work)
    }

    /// Queues a control call behind everything submitted so far. Transfers do not wait for calls
    /// that have not begun.
    ///
    /// # Errors
    /// Too many calls wait, or the engine is closed.
    pub fn control(
        &self,
        to: A,
        id: Option<RequestId>,
        call: ControlCall,
    ) -> Result<(), EngineError> {
        self.queue.push_control(Control { to, id, call })
    }

    /// Counters and timings, without waiting in the queue: a batch that fills goes on filling.
    /// Copies some MiB and packs them, which takes milliseconds.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let snapshot = self.stats.snapshot((self.io)(), self.queue.counts(), true);
        snapshot.pack()
    }

    /// The same without histograms, so cheap that it may be asked for many times a second:
    /// every distribution has its exact count and sum.
    #[must_use]
    pub fn totals(&self) -> Stats {
        self.stats.totals((self.io)(), self.queue.counts())
    }

    /// What is wrong while it goes on. Empty when nothing is.
    #[must_use]
    pub fn health(&self) -> Vec<Degradation> {
        self.health.now()
    }

    /// What the ledger runs with.
    #[must_use]
    pub fn about(&self) -> &About {
        &self.about
    }
}

impl<A> Engine<A> {
    /// Takes no more work. What is queued is committed and answered.
    pub fn close(&self) {
        self.queue.close();
    }
}

impl<A> Drop for Engine<A> {
    fn drop(&mut self) {
        self.close();
    }
}
