//! The handle that front ends hold: submission, control calls, counters, shutdown.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
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
    writers: usize,
}

/// The writer thread of an [`Engine`], or several.
#[derive(Debug)]
pub struct WriterThread(Vec<JoinHandle<Result<(), EngineError>>>);

impl WriterThread {
    /// Waits for the writers to end: after [`Engine::close`], once everything queued is
    /// answered; or after an error that stopped it.
    ///
    /// # Errors
    /// What stopped it, or the first of several that something stopped.
    pub fn join(self) -> Result<(), EngineError> {
        let ended = self.0.into_iter().map(|thread| match thread.join() {
            Ok(result) => result,
            Err(panic) => {
                let what = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
                let what = what.or_else(|| panic.downcast_ref::<String>().cloned());
                Err(EngineError::Writer(
                    what.unwrap_or_else(|| "panicked".to_owned()),
                ))
            }
        });
        // All of them first.
        let ended: Vec<_> = ended.collect();
        ended.into_iter().collect()
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
        Self::start_several(config, vec![storage], vec![port])
    }

    /// Starts a thread for each of `storages`, which are connections to one ledger, and answers
    /// through the port that goes with it. Several take batches as they are free to, so that
    /// neither the order of a connection nor that of its answers is kept; a control call is done
    /// while no batch is. The first storage says what the ledger runs with and counts.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start_several<P>(
        config: &Config,
        storages: Vec<Box<dyn Storage>>,
        ports: Vec<P>,
    ) -> Result<(Self, WriterThread), EngineError>
    where
        P: ReplyPort<Address = A>,
    {
        debug_assert_eq!(storages.len(), ports.len(), "each writer has its port");
        let Some(first) = storages.first() else {
            return Err(EngineError::Writer("there is no ledger".to_owned()));
        };
        let queue = Queue::new(config.queue_transfers.max(1), config.batch_size.max(1));
        let queue = Arc::new(queue);
        let stats = Arc::new(SharedStats::new(config.stage_timings));
        let health = Arc::<Health>::default();
        let io = Arc::new(first.io());
        let about = first.about();
        let writers = storages.len();
        let several = (writers > 1).then(|| Arc::new(AtomicUsize::new(writers)));
        let mut threads = Vec::with_capacity(writers);
        for (storage, port) in storages.into_iter().zip(ports) {
            let writer = Writer::new(
                Arc::clone(&queue),
                Monitor::new(Arc::clone(&health), Arc::clone(&stats)),
                Arc::clone(&io),
                port,
                config.batch_timeout,
                several.clone(),
            );
            let thread = thread::Builder::new().name("writer".to_owned());
            let thread = thread.spawn(move || writer.run(storage)).map_err(|error| {
                // Those that run end with it.
                queue.close();
                EngineError::Writer(error.to_string())
            })?;
            threads.push(thread);
        }
        let engine = Self {
            queue,
            stats,
            health,
            io,
            about,
            writers,
        };
        Ok((engine, WriterThread(threads)))
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

    /// Threads that write. The order of a connection is kept by one alone.
    #[must_use]
    pub fn writers(&self) -> usize {
        self.writers
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
