//! The ledger as the engine sees it: connections to a database, one for each writer.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use busload_engine::{
    About, BalanceSum, Batch, Degradation, Ended, EngineError, Failure, IoReader, Ledger, Monitor,
    Outcome, Storage, is_invalid,
};
use busload_wire::control::{Account, TransferIds, Verification};
use tokio::runtime::Runtime;

use crate::address::Address;
use crate::apply::{Applied, How, transact};
use crate::config::{Config, Isolation};
use crate::durability::{Durability, Settings};
use crate::error::{Fault, cannot_open};
use crate::ids::{IdCounts, LOOK_INTERVAL_IDS};
use crate::session::{Bare, Session};
use crate::store;
use crate::wal::WalMeter;

/// What `info` calls the engine.
pub const NAME: &str = "postgresql";

/// Most tries of a batch that meets another transaction. Past it the batch is answered as of a
/// server with too much to do.
const TRIES_MAX: u32 = 1_000;
/// Longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_millis(10);
/// From one try to connect to the next, while nobody answers.
const CONNECT_INTERVAL: Duration = Duration::from_millis(100);
/// From one look at the database's counters to the next.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What the writers of a server share.
struct Shared {
    address: Address,
    config: Config,
    about: About,
    durability: Durability,
    ids: IdCounts,
    wal: WalMeter,
}

/// Connects, finds or makes the ledger, reads the settings back, and connects once more for every
/// further writer. Blocks; may be called from within a runtime.
///
/// # Errors
/// The database cannot be reached, or holds something else.
pub fn open(config: &Config) -> Result<Vec<Box<dyn Storage>>, EngineError> {
    // A runtime cannot wait in a thread that another one has.
    thread::scope(|scope| {
        let opening = scope.spawn(|| open_here(config));
        opening.join().unwrap_or_else(|_| {
            Err(EngineError::Writer(
                "panicked while opening the ledger".to_owned(),
            ))
        })
    })
}

fn open_here(config: &Config) -> Result<Vec<Box<dyn Storage>>, EngineError> {
    let address = Address::new(&config.url).map_err(|e| EngineError::CannotServe(Arc::new(e)))?;
    let runtime = Own::new()?;
    let name = address.name.clone();
    let opened = runtime.get().block_on(async {
        let unreachable = |fault: Fault| cannot_open(&name, &fault);
        let bare = Bare::connect(&address).await.map_err(unreachable)?;
        let (accounts, balance) = (config.seed_accounts, config.seed_balance);
        let made_here = store::open(&bare.client, &name, config.fresh, accounts, balance).await?;
        let session = bare.prepare().await.map_err(unreachable)?;
        let settings = Settings::read(&session).await.map_err(unreachable)?;
        let ids = IdCounts::default();
        ids.load(&session.client).await.map_err(unreachable)?;
        let wal = WalMeter::default();
        // Another database has a log of its own, whatever its views of PostgreSQL's say.
        if settings.durability != Durability::NotTold {
            session.begin(&wal).await;
        }
        Ok::<_, EngineError>((session, settings, made_here, ids, wal))
    });
    let (session, settings, made_here, ids, wal) = opened?;
    let mut warnings = settings.warnings();
    if config.isolation == Isolation::Serializable && config.writers == 1 {
        warnings.push(
            "--isolation serializable with one writer meets no other transaction of this server"
                .to_owned(),
        );
    }
    let mut all = settings.all;
    let told = [
        ("isolation", config.isolation.to_string()),
        ("writers", config.writers.to_string()),
    ];
    all.extend(told.map(|(name, value)| (name.to_owned(), value)));
    let version = all.get("server_version").cloned().unwrap_or_default();
    let shared = Arc::new(Shared {
        about: About {
            engine: NAME,
            version,
            settings: all,
            durability: settings.durability.to_string(),
            database: name,
            apply: Some(config.apply.as_str()),
            made_here,
            checkpoint_bytes: None,
            id_horizon: Some(config.id_horizon),
            warnings,
        },
        address,
        config: config.clone(),
        durability: settings.durability,
        ids,
        wal,
    });
    let first = PostgresLedger::new(&shared, runtime, session);
    let mut writers: Vec<Box<dyn Storage>> = vec![Box::new(first)];
    for _ in 1..config.writers {
        let runtime = Own::new()?;
        let session = runtime.get().block_on(Session::connect(&shared.address));
        let session = session.map_err(|fault| cannot_open(&shared.address.name, &fault))?;
        writers.push(Box::new(PostgresLedger::new(&shared, runtime, session)));
    }
    Ok(writers)
}

/// A runtime that can be dropped anywhere, within another one too.
struct Own(Option<Runtime>);

impl Own {
    fn new() -> Result<Self, EngineError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| EngineError::Writer(error.to_string()))?;
        Ok(Self(Some(runtime)))
    }

    fn get(&self) -> &Runtime {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// One writer's connection.
struct PostgresLedger {
    // Before the runtime that its task runs in.
    session: Option<Session>,
    runtime: Own,
    shared: Arc<Shared>,
    /// Why the connection was given up, or transfers refused, until the engine is told.
    trouble: Option<String>,
    is_in_trouble: bool,
    changed: Option<EngineError>,
    tried_at: Option<Instant>,
    looked_at: Instant,
    ids_since_forgetting: u64,
    /// For pauses of different length.
    random: u64,
}

impl PostgresLedger {
    fn new(shared: &Arc<Shared>, runtime: Own, session: Session) -> Self {
        Self {
            random: std::ptr::from_ref(&session) as u64 | 1,
            session: Some(session),
            runtime,
            shared: Arc::clone(shared),
            trouble: None,
            is_in_trouble: false,
            changed: None,
            tried_at: None,
            looked_at: Instant::now(),
            ids_since_forgetting: 0,
        }
    }

    /// The connection, made anew if it was lost. What is behind a new one must promise what the
    /// first one did.
    fn connected(&mut self) -> Result<&Session, Fault> {
        if self.session.is_none() {
            let waits = self
                .tried_at
                .map(|at| CONNECT_INTERVAL.saturating_sub(at.elapsed()));
            if waits.is_some_and(|waits| !waits.is_zero()) {
                return Err(Fault::Lost("no answer has come yet".to_owned()));
            }
            self.tried_at = Some(Instant::now());
            let address = &self.shared.address;
            let (session, settings) = self.runtime.get().block_on(async {
                let session = Session::connect(address).await?;
                let settings = Settings::read(&session).await?;
                Ok::<_, Fault>((session, settings))
            })?;
            let (opened, now) = (self.shared.durability, settings.durability);
            if now != opened {
                self.changed = Some(EngineError::DurabilityChanged {
                    opened: opened.to_string(),
                    now: now.to_string(),
                });
                return Err(Fault::Refused("its durability is another".to_owned()));
            }
            self.session = Some(session);
            self.tried_at = None;
        }
        (self.session.as_ref()).ok_or_else(|| Fault::Lost("there is no connection".to_owned()))
    }

    /// Tries a batch, again and again where it meets another transaction.
    fn apply(&mut self, batch: &mut Batch) -> Result<Applied, Fault> {
        let config = &self.shared.config;
        let how = How {
            apply: config.apply,
            begin: config.isolation.begin(),
            has_others: config.writers > 1,
            forgets: (self.ids_since_forgetting >= LOOK_INTERVAL_IDS).then_some(config.id_horizon),
        };
        self.connected()?;
        let mut tries = 1;
        loop {
            let Some(session) = &self.session else {
                return Err(Fault::Lost("there is no connection".to_owned()));
            };
            match self.runtime.get().block_on(transact(session, &how, batch)) {
                Err(Fault::Conflict(_)) if tries < TRIES_MAX => {
                    batch.retries += 1;
                    tries += 1;
                    thread::sleep(self.pause(tries));
                }
                other => return other,
            }
        }
    }

    /// Longer with every try, and never the same as another writer's (xorshift, Marsaglia 2003).
    fn pause(&mut self, tries: u32) -> Duration {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let most = PAUSE_MAX.min(Duration::from_micros(50) * tries);
        most * u32::try_from(self.random % 1_000).unwrap_or(0) / 1_000
    }

    /// Gives up the connection where it is of no use any more.
    fn noted(&mut self, fault: &Fault) {
        if fault.ends_the_session() {
            self.session = None;
        }
        if !matches!(fault, Fault::Conflict(_)) {
            self.trouble = Some(fault.to_string());
        }
    }

    /// Does what is asked between two batches.
    fn ask<T>(
        &mut self,
        ask: impl AsyncFnOnce(&Session) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        self.connected()?;
        let Some(session) = &self.session else {
            return Err(Fault::Lost("there is no connection".to_owned()).into());
        };
        let answer = self.runtime.get().block_on(ask(session));
        if session.client.is_closed() {
            self.session = None;
        }
        answer
    }

    fn tell(&mut self, monitor: &mut Monitor) {
        let sick = Degradation::StorageUnavailable;
        match self.trouble.take() {
            Some(trouble) => {
                self.is_in_trouble = true;
                monitor.began(sick, || trouble);
            }
            None if self.is_in_trouble && self.session.is_some() => {
                self.is_in_trouble = false;
                monitor.over(sick);
            }
            None => {}
        }
    }
}

impl Storage for PostgresLedger {
    fn about(&self) -> About {
        self.shared.about.clone()
    }

    fn io(&self) -> IoReader {
        self.shared.wal.reader()
    }

    fn with_ledger(
        &mut self,
        serve: &mut dyn FnMut(&mut dyn Ledger) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        serve(self)
    }
}

impl Ledger for PostgresLedger {
    fn commit(&mut self, batch: &mut Batch) -> Ended {
        let applied = self.apply(batch);
        let fault = match applied {
            Ok(Applied { changes, ids }) => {
                batch.ended();
                batch.changes = changes;
                self.ids_since_forgetting =
                    if ids.forgotten == 0 && self.ids_since_forgetting >= LOOK_INTERVAL_IDS {
                        0
                    } else {
                        self.ids_since_forgetting + ids.added
                    };
                self.shared.ids.add(&ids);
                return Ended::Committed;
            }
            Err(fault) => fault,
        };
        batch.ended();
        self.noted(&fault);
        let (ended, outcome) = match fault {
            Fault::InDoubt(_) => (Ended::Unconfirmed, Outcome::InDoubt),
            Fault::Full(_) => {
                let full = Failure::StorageFull;
                (Ended::RolledBack(full), Outcome::Failed(full))
            }
            Fault::Lost(_) | Fault::Conflict(_) | Fault::Refused(_) => {
                let busy = Failure::Overloaded;
                (Ended::RolledBack(busy), Outcome::Failed(busy))
            }
        };
        for one in batch.work.iter_mut().flatten() {
            // What no ledger would do is refused by whatever answers.
            one.outcome = if one.transfer.transfer_id.is_none() && is_invalid(&one.transfer) {
                Outcome::Rejected(busload_engine::Rejection::InvalidTransfer)
            } else {
                outcome
            };
        }
        ended
    }

    fn account(&mut self, id: i64) -> Result<Option<Account>, EngineError> {
        let balance = self.ask(async |session| Ok(store::balance(&session.client, id).await?))?;
        Ok(balance.map(|balance| Account {
            id,
            balance: balance.to_string(),
        }))
    }

    fn seed(&mut self, accounts: i64, initial_balance: i64) -> Result<(), EngineError> {
        let seeded = self.ask(async |session| {
            Ok(store::seed(&session.client, accounts, initial_balance).await?)
        });
        seeded?;
        self.shared.ids.seeded();
        Ok(())
    }

    fn is_just_seeded(&mut self, accounts: i64, initial_balance: i64) -> Result<bool, EngineError> {
        self.ask(async |session| {
            Ok(store::is_just_seeded(&session.client, accounts, initial_balance).await?)
        })
    }

    fn verify(&mut self) -> Result<Verification, EngineError> {
        self.ask(async |session| store::verify(&session.client).await)
    }

    /// And what the database counted until now.
    fn balances(&mut self) -> Result<BalanceSum, EngineError> {
        let wal = self.shared.wal.clone();
        self.ask(async |session| {
            let balances = store::balances(&session.client).await?;
            session.refresh(&wal).await;
            Ok(balances)
        })
    }

    fn transfer_ids(&self) -> Option<TransferIds> {
        Some(self.shared.ids.now())
    }

    fn next_look(&self) -> Option<Duration> {
        Some(if self.session.is_some() {
            LOOK_INTERVAL
        } else {
            CONNECT_INTERVAL
        })
    }

    fn look(&mut self, is_idle: bool, monitor: &mut Monitor) -> Result<(), EngineError> {
        if self.session.is_none() && is_idle {
            // What nobody waits for may fail quietly: the trouble is known.
            let _ = self.connected();
        }
        if let Some(changed) = self.changed.take() {
            return Err(changed);
        }
        if let Some(session) = &self.session
            && self.looked_at.elapsed() >= LOOK_INTERVAL
        {
            self.looked_at = Instant::now();
            self.runtime
                .get()
                .block_on(session.refresh(&self.shared.wal));
            if session.client.is_closed() {
                self.noted(&Fault::Lost("it was closed".to_owned()));
            }
        }
        self.tell(monitor);
        Ok(())
    }

    fn after_write(&mut self, monitor: &mut Monitor) -> Result<(), EngineError> {
        self.tell(monitor);
        self.changed.take().map_or(Ok(()), Err)
    }
}
