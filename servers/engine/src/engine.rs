//! The handle that front ends hold: configuration, submission, control calls, shutdown.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use busload_wire::RequestId;
use busload_wire::control::{Account, Stats, Verification};

use crate::apply::Apply;
use crate::checkpoint::CheckpointMode;
use crate::durability::{Durability, DurabilityError, Pragmas};
use crate::layout::OtherPages;
use crate::lock_file::LockError;
use crate::null::{NullPace, NullWriter};
use crate::place;
use crate::queue::{Control, Queue, ReplyPort, Work};
use crate::stats::{SharedStats, Snapshot};
use crate::store::Store;
use crate::transfer_ids::Remembered;
use crate::trouble::{Trouble, Troubles};
use crate::vfs::{IoCounts, IoMeter, VfsError};
use crate::writer::Writer;

/// Everything that the engine can be told. No `Default`: the defaults a person reads are
/// those of the command line.
#[derive(Debug, Clone)]
pub struct Config {
    /// The database file. Its directory must exist.
    pub database: PathBuf,
    /// Throw away the ledger that the file holds and start with an empty file: a run of
    /// the load generator must not inherit the layout of an earlier one.
    pub fresh: bool,
    /// What survives what.
    pub durability: Durability,
    /// Most transfers in one transaction, at least 1.
    pub batch_size: usize,
    /// How long the oldest waiting transfer may wait for its batch to fill; zero commits
    /// whatever waits the moment the writer is free.
    pub batch_timeout: Duration,
    /// Most transfers waiting in the queue, at least 1.
    pub queue_transfers: usize,
    /// How a batch is applied. Not looked at with [`Durability::DiscardWrites`], which applies
    /// nothing.
    pub apply: Apply,
    /// Accounts to create when the file holds no ledger.
    pub seed_accounts: i64,
    /// Balance of each account created.
    pub seed_balance: i64,
    /// The initial balance of a ledger that somebody else seeded, so that it can be
    /// verified; `None` leaves what is stored.
    pub initial_balance: Option<i64>,
    /// Bytes of a page of a new ledger, one of [`PAGE_BYTES`](crate::PAGE_BYTES); `None` leaves
    /// it to the number of accounts ([`default_page_bytes`](crate::default_page_bytes)). A ledger
    /// that is there keeps its pages.
    pub page_bytes: Option<u32>,
    /// SQLite's page cache, in KiB.
    pub cache_kib: u32,
    /// The engine checkpoints when the write-ahead log has grown by this much, in KiB; `None`
    /// leaves it to the size of the database.
    pub checkpoint_kib: Option<u32>,
    /// Who does it.
    pub checkpoint_mode: CheckpointMode,
    /// Transfers are refused as on a full disk while the write-ahead log is this long: another
    /// process reads from it and keeps it from starting again.
    pub log_limit_bytes: u64,
    /// On a full disk, how long to wait between two tries to write.
    pub probe_interval: Duration,
    /// How long the outcome of a transfer with an id is remembered, at least.
    pub id_horizon: Duration,
    /// Most ids that are remembered. When all of them are younger than the horizon,
    /// transfers with new ids are answered as overloaded.
    pub max_ids: usize,
    /// Whether the stages are timed; without, their distributions stay empty.
    pub stage_timings: bool,
    /// Processor time wasted per transfer while applying; zero but in tests of what a
    /// comparison of servers can see.
    pub busy_wait: Duration,
}

/// A call that is not a transfer. It sees every transfer that was submitted before it. A transfer
/// submitted after it may be applied before it all the same: whoever must not have that waits for
/// the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlCall {
    /// Read one balance.
    GetAccount {
        /// The account.
        id: i64,
    },
    /// Wipe and create, or find it done.
    Seed {
        /// How many accounts.
        accounts: i64,
        /// The balance of each.
        initial_balance: i64,
        /// Whether what is there may be wiped. If not, the ledger must be just that already.
        may_wipe: bool,
    },
    /// Compare with the seeding.
    Verify,
    /// All balances, and the counters and timings that go with them. Counters alone are
    /// [`Engine::stats`] and [`Engine::totals`], which end no batch.
    Stats {
        /// With the histograms of the timings.
        histograms: bool,
    },
}

/// The answer to a [`ControlCall`]. `S` is the answer to `Stats`, which is packed only
/// after it has left the writer thread.
#[derive(Debug, Clone, PartialEq)]
pub enum ControlReply<S = Box<Snapshot>> {
    /// The account, `None` when there is no such account.
    Account(Option<Account>),
    /// The ledger was seeded.
    Seeded,
    /// The ledger adds up.
    Verified(Verification),
    /// Counters and timings.
    Stats(S),
}

/// Everything that can go wrong in the engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Another server has the database, or the lock file cannot be created.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The counting VFS could not be installed.
    #[error(transparent)]
    Vfs(#[from] VfsError),
    /// The pragmas are not what the durability mode needs.
    #[error(transparent)]
    Durability(#[from] DurabilityError),
    /// The file is no ledger and was left alone.
    #[error("cannot use {database} as a ledger: {why}; choose another file")]
    NotALedger {
        /// The file.
        database: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The ledger cannot be opened where it is, or could not be safely.
    #[error("cannot open {database}: {why}; {remedy}")]
    CannotOpen {
        /// The file.
        database: PathBuf,
        /// What is in the way.
        why: String,
        /// What to do.
        remedy: &'static str,
    },
    /// SQLite has the WAL-reset bug.
    #[error("sqlite {found} has the wal-reset bug: build with the bundled sqlite")]
    SqliteTooOld {
        /// The version.
        found: &'static str,
    },
    /// Accounts or balance of a seeding are out of range.
    #[error(
        "cannot seed {accounts} accounts of {initial_balance}: \
         accounts go from 2 to 10000000, balances from 0"
    )]
    SeedOutOfRange {
        /// Accounts asked for.
        accounts: i64,
        /// Balance asked for.
        initial_balance: i64,
    },
    /// Pages of another size than there are.
    #[error("no page has {page_bytes} bytes: it is a power of two from 512 to 65536")]
    NoPageSize {
        /// What was asked for.
        page_bytes: u32,
    },
    /// A seeding was asked for that would wipe a ledger that must not be.
    #[error("the ledger is not to be wiped, and is not as a seeding would leave it")]
    MustNotWipe,
    /// The number of accounts is off.
    #[error("there are {accounts} accounts, not {expected} as when the ledger was opened")]
    AccountsChanged {
        /// How many there are.
        accounts: u64,
        /// How many there should be.
        expected: u64,
    },
    /// The sum of all balances is off.
    #[error("money is not conserved: the balances sum up to {total}, not {expected}")]
    NotConserved {
        /// What they sum up to.
        total: i128,
        /// What they should.
        expected: i128,
    },
    /// The sum of all balances is that of another seeding.
    #[error(
        "the balances sum up to {accounts} accounts of {found} each, not of {expected}: another \
         program has seeded this file; tell the server with --initial-balance, or seed through it"
    )]
    SeededElsewhere {
        /// How many accounts there are.
        accounts: u64,
        /// The initial balance that their sum is one of.
        found: i128,
        /// The initial balance of the last seeding that the server knows of.
        expected: i64,
    },
    /// No balance differs from the initial balance.
    #[error("nothing changed since the seeding")]
    NothingChanged,
    /// Too many control calls wait.
    #[error("too many calls are waiting")]
    Overloaded,
    /// The disk is full; what was begun was rolled back.
    #[error("no room to write: make room on the disk of the database")]
    StorageFull,
    /// The engine takes no more.
    #[error("the engine is shutting down")]
    ShuttingDown,
    /// A COMMIT, or a statement before it, failed in a way that leaves its outcome open.
    /// The engine has stopped.
    #[error("the outcome of a batch is unknown, stopping: {0}")]
    OutcomeUnknown(rusqlite::Error),
    /// A sync failed in a checkpoint. Every acknowledged transfer is in the write-ahead log, which
    /// the next start copies anew. The engine has stopped.
    #[error(
        "a sync failed in a checkpoint, stopping: {0}; every acknowledged transfer is in the \
         write-ahead log: keep it beside the database, see to the disk and start again"
    )]
    CheckpointUnsynced(rusqlite::Error),
    /// A file of the ledger was removed, renamed or replaced while it was open. The engine has
    /// stopped.
    #[error("{file}: {why}, although this server has it open, stopping; {remedy}")]
    FileGone {
        /// The file.
        file: PathBuf,
        /// What became of it.
        why: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The writer thread could not be started, or panicked.
    #[error("writer thread: {0}")]
    Writer(String),
    /// SQLite said no.
    #[error("sqlite: {0}")]
    Sqlite(rusqlite::Error),
}

/// Not as a source: the message has its text, and would be printed twice.
impl From<rusqlite::Error> for EngineError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// What the engine runs with, as read back.
#[derive(Debug, Clone)]
pub struct About {
    /// The pragmas of the writing connection.
    pub pragmas: Pragmas,
    /// The mode that these pragmas are those of; [`Durability::DiscardWrites`], which runs with
    /// another mode's, is called by its own name. `None` for pragmas of no mode.
    pub durability: Option<Durability>,
    /// How batches are applied; `None` when nothing is.
    pub apply: Option<Apply>,
    /// The version of the SQLite that is linked in.
    pub sqlite_version: &'static str,
    /// This engine made the ledger: the file held none, or was told to start afresh.
    pub made_here: bool,
    /// By how many bytes the write-ahead log grows between two checkpoints; `None` without a log.
    pub checkpoint_bytes: Option<u64>,
    /// The ledger has other pages than were asked for.
    pub other_pages: Option<OtherPages>,
    /// How long ids are remembered; `None` when they are not looked at.
    pub id_horizon: Option<Duration>,
}

/// A running ledger. Dropping it closes the queue and leaves the writer to
/// finish by itself.
pub struct Engine<A> {
    queue: Arc<Queue<A>>,
    stats: Arc<SharedStats>,
    troubles: Arc<Troubles>,
    /// One for each connection; none when there is no database.
    meters: Vec<IoMeter>,
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
    /// Opens the database and starts the writer thread.
    ///
    /// # Errors
    /// The database cannot be opened as a ledger with this durability.
    pub fn start<P>(config: &Config, port: P) -> Result<(Self, WriterThread), EngineError>
    where
        P: ReplyPort<Address = A>,
    {
        let store = Store::open(config)?;
        let ids = Remembered::load(&store.connection, config.id_horizon, config.max_ids)
            .map_err(|error| place::explain(&config.database, error.into()))?;
        let ids = ids.ok_or_else(|| EngineError::NotALedger {
            database: config.database.clone(),
            why: "its table transfer_ids holds what no server wrote".to_owned(),
        })?;
        let (queue, stats) = shared(config);
        let troubles = Arc::<Troubles>::default();
        let meters = store.meters().cloned().collect();
        let about = About {
            pragmas: store.pragmas.clone(),
            durability: match config.durability {
                Durability::DiscardWrites => Some(Durability::DiscardWrites),
                _ => store.pragmas.durability(),
            },
            apply: (config.durability != Durability::DiscardWrites).then_some(config.apply),
            sqlite_version: rusqlite::version(),
            made_here: store.made_here,
            checkpoint_bytes: config
                .durability
                .has_wal()
                .then_some(store.checkpoint_bytes),
            other_pages: store.other_pages,
            id_horizon: (config.durability != Durability::DiscardWrites)
                .then_some(config.id_horizon),
        };
        let writer = Writer::new(
            (store, ids),
            config,
            Arc::clone(&queue),
            Arc::clone(&stats),
            Arc::clone(&troubles),
            port,
        );
        let thread = start_thread(move || writer.run())?;
        let engine = Self {
            queue,
            stats,
            troubles,
            meters,
            about,
        };
        Ok((engine, thread))
    }

    /// Starts a writer thread that answers without a database, for measuring what is around
    /// the engine. What `config` says about the database is not looked at; accounts and
    /// balance are what it pretends to have.
    ///
    /// # Errors
    /// Accounts or balance are out of range, or the thread cannot be started.
    pub fn start_null<P>(
        config: &Config,
        pace: NullPace,
        port: P,
    ) -> Result<(Self, WriterThread), EngineError>
    where
        P: ReplyPort<Address = A>,
    {
        let (queue, stats) = shared(config);
        let about = About {
            pragmas: Pragmas(BTreeMap::new()),
            durability: None,
            apply: None,
            sqlite_version: rusqlite::version(),
            made_here: true,
            checkpoint_bytes: None,
            other_pages: None,
            id_horizon: None,
        };
        let (waiting, counted) = (Arc::clone(&queue), Arc::clone(&stats));
        let writer = NullWriter::new(config, pace, waiting, counted, port)?;
        let thread = start_thread(move || writer.run())?;
        let engine = Self {
            queue,
            stats,
            troubles: Arc::default(),
            meters: Vec::new(),
            about,
        };
        Ok((engine, thread))
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
        let snapshot = self.stats.snapshot(&self.io(), self.queue.counts(), true);
        snapshot.pack()
    }

    /// The same without histograms, so cheap that it may be asked for many times a second:
    /// every distribution has its exact count and sum.
    #[must_use]
    pub fn totals(&self) -> Stats {
        self.stats.totals(&self.io(), self.queue.counts())
    }

    fn io(&self) -> IoCounts {
        let counts = self.meters.iter().map(IoMeter::counts);
        counts.fold(IoCounts::default(), |sum, one| sum.plus(&one))
    }

    /// What is wrong while it goes on. Empty when nothing is.
    #[must_use]
    pub fn troubles(&self) -> Vec<Trouble> {
        self.troubles.now()
    }

    /// What the engine runs with.
    #[must_use]
    pub fn about(&self) -> &About {
        &self.about
    }
}

/// What the writer and the handle share.
fn shared<A>(config: &Config) -> (Arc<Queue<A>>, Arc<SharedStats>) {
    let queue = Queue::new(config.queue_transfers.max(1), config.batch_size.max(1));
    let stats = SharedStats::new(config.stage_timings);
    (Arc::new(queue), Arc::new(stats))
}

fn start_thread(
    run: impl FnOnce() -> Result<(), EngineError> + Send + 'static,
) -> Result<WriterThread, EngineError> {
    let thread = thread::Builder::new().name("writer".to_owned());
    let started = thread.spawn(run);
    started
        .map(WriterThread)
        .map_err(|error| EngineError::Writer(error.to_string()))
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
