//! A server: how it starts and how it stops.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::AtomicBool;
#[cfg(feature = "echo")]
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use busload_engine::{Engine, EngineError, WriterThread};
use busload_wire::control::{EngineInfo, Info};
use tokio::sync::{Semaphore, watch};

use crate::access::Unprotected;
use crate::completion::{Completion, completion};
use crate::counters::FrontCounters;
use crate::http::accept;
use crate::input_memory::InputMemory;
use crate::listener::Listener;
use crate::mailbox::Mailbox;
use crate::process::allocator;
use crate::settings::{Settings, Transport};
use crate::shared::Shared;
use crate::timings::Timings;

/// Why a server could not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The ledger.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Everybody could connect, and nobody said that they may.
    #[error(transparent)]
    Unprotected(#[from] Unprotected),
    /// The address is taken or not ours.
    #[error("cannot listen on {address} (choose another port with --port)")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
}

/// How a server ended that was told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Connections that had not taken all their answers within the shutdown timeout.
    pub dropped: usize,
}

/// A server that is bound and has its ledger open.
pub struct Server {
    listener: Arc<Listener>,
    address: SocketAddr,
    shared: Arc<Shared>,
    writer: WriterThread,
    completion: Completion,
}

impl Server {
    /// Opens the ledger and binds the address. Call inside a tokio runtime.
    ///
    /// # Errors
    /// The ledger cannot be opened, the address not bound, or who may connect there was not
    /// said.
    pub fn start(settings: &Settings) -> Result<Self, ServeError> {
        let listen = |source| ServeError::Listen {
            address: settings.listen,
            source,
        };
        settings.access.check_address(settings.listen)?;
        // Bound before the ledger is opened: a port in use must not cost a seeding.
        let backlog = settings.limits.backlog;
        let listener = Arc::new(Listener::bind(settings.listen, backlog).map_err(listen)?);
        let address = listener.address().map_err(listen)?;
        let front = FrontCounters {
            timings: Arc::new(Timings::new(settings.engine.stage_timings)),
            input_memory: InputMemory::new(settings.limits.input_memory),
            listener: Arc::clone(&listener),
        };
        let (port, completion) = completion(front.clone());
        let ledgers = settings.ledger.open()?;
        let ports = vec![port; ledgers.len()];
        let (engine, writer) = Engine::start_several(&settings.engine, ledgers, ports)?;
        let info = info(settings, &engine);
        let may_seed = settings.access.may_seed(engine.about().made_here);
        let shared = Arc::new(Shared {
            engine,
            info,
            limits: settings.limits.clone(),
            access: settings.access.clone(),
            may_seed,
            transport: settings.transport,
            front,
            packing: Semaphore::new(1),
            stopping: AtomicBool::new(false),
            #[cfg(feature = "echo")]
            echo: AtomicBool::new(false),
            tasks: Mutex::default(),
        });
        Ok(Self {
            listener,
            address,
            shared,
            writer,
            completion,
        })
    }

    /// What the person who started it should be told, each in a line.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.shared.engine.about().warnings
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What clients use as the URL.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = match (self.shared.transport, &self.shared.access.tls) {
            (Transport::Http, Some(_)) => "https",
            (Transport::Ws, Some(_)) => "wss",
            (plain, None) => plain.as_str(),
        };
        format!("{scheme}://{}/rpc", self.address)
    }

    /// What it runs with, as `info` answers it.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.shared.info
    }

    /// From now on a WebSocket message is sent back as it came, by the same connection code that
    /// else serves it: for suites that test the WebSocket alone.
    #[cfg(feature = "echo")]
    pub fn echo(&self) {
        self.shared.echo.store(true, Ordering::Release);
    }

    /// Serves until `shutdown` completes or the engine stops by itself; then stops
    /// accepting, commits and answers what is queued, within the shutdown timeout.
    ///
    /// # Errors
    /// What stopped the engine.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<Stopped, ServeError> {
        let Self {
            listener,
            shared,
            writer,
            completion,
            ..
        } = self;
        let (stop, stopped) = watch::channel(false);
        let wind_down = async {
            tokio::select! {
                () = shutdown => {}
                () = completion.engine_stopped() => {}
                () = accept(&listener, &shared, &stopped) => {}
            }
            shared.stop_reading();
            let _ = stop.send(true);
            let mut tasks = shared.take_tasks();
            let all = async { while tasks.join_next().await.is_some() {} };
            // Past the limit the connections are dropped; what was queued is committed
            // all the same below.
            let _ = tokio::time::timeout(shared.limits.shutdown_timeout, all).await;
            tasks.len()
        };
        let dropped = tokio::select! {
            dropped = wind_down => dropped,
            () = completion.deliver() => 0,
            () = shared.front.input_memory.give_back(allocator::trim) => 0,
        };
        drop(listener);
        shared.engine.close();
        let ended = tokio::task::spawn_blocking(move || writer.join()).await;
        ended.unwrap_or_else(|error| Err(EngineError::Writer(error.to_string())))?;
        Ok(Stopped { dropped })
    }
}

fn info(settings: &Settings, engine: &Engine<Arc<Mailbox>>) -> Info {
    let about = engine.about();
    let config = &settings.engine;
    let encodings: &[&str] = match settings.transport {
        Transport::Http => &["json"],
        Transport::Ws => &["json", "binary"],
    };
    Info {
        server: match settings.transport {
            Transport::Http => "sqlite-rpc-server".to_owned(),
            Transport::Ws => "sqlite-ws-rpc-server".to_owned(),
        },
        version: env!("CARGO_PKG_VERSION").to_owned(),
        transport: settings.transport.as_str().to_owned(),
        encodings: encodings.iter().map(ToString::to_string).collect(),
        engine: Some(EngineInfo {
            name: about.engine.to_owned(),
            version: about.version.clone(),
            settings: about.settings.clone(),
        }),
        durability: about.durability.clone(),
        pragmas: if about.engine == "sqlite" {
            about.settings.clone()
        } else {
            BTreeMap::new()
        },
        checkpoint_bytes: about.checkpoint_bytes,
        sqlite_version: busload_sqlite::version().to_owned(),
        database: shown_path(Path::new(&about.database)),
        batch_size: config.batch_size as u64,
        batch_timeout_us: config.batch_timeout.as_secs_f64() * 1e6,
        apply: about.apply.map(str::to_owned),
        writers: Some(engine.writers() as u64),
        ordered: Some(engine.writers() == 1),
        queue_transfers: config.queue_transfers as u64,
        max_inflight_per_connection: settings.limits.inflight_per_connection as u64,
        exactly_once: Some(about.id_horizon.is_some()),
        id_horizon_seconds: about.id_horizon.map(|horizon| horizon.as_secs_f64()),
        pid: std::process::id(),
        tls: Some(settings.access.tls.is_some()),
        authenticated: Some(settings.access.token.is_some()),
        time_unix_us: None,
    }
}

/// A path below the current directory is shown relative to it: records travel.
fn shown_path(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let relative = here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned));
    relative
        .unwrap_or_else(|| path.to_owned())
        .display()
        .to_string()
}
