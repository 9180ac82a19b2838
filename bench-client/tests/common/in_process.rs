//! A server in this process.

use std::path::Path;
use std::thread;
use std::time::Duration;

use bench_client::connector::{Endpoint, parse_url};
use busload_frontend::{Access, LedgerConfig, Limits, Server, Settings, Transport};
use busload_sqlite::{Apply, CheckpointMode, Config, Durability};
use tokio::sync::oneshot;

use super::{PATIENCE, runtime};

/// The settings of a server in this process: port 0, a database in `directory`.
pub(crate) fn settings(directory: &Path, transport: Transport) -> Settings {
    Settings {
        transport,
        listen: ([127, 0, 0, 1], 0).into(),
        engine: busload_engine::Config {
            batch_size: 4096,
            batch_timeout: Duration::ZERO,
            queue_transfers: 1 << 20,
            stage_timings: true,
        },
        ledger: LedgerConfig::Sqlite(Config {
            database: directory.join(format!("{}.sqlite", transport.as_str())),
            fresh: false,
            durability: Durability::WalFull,
            apply: busload_sqlite::Apply::PerTransfer,
            seed_accounts: 1000,
            seed_balance: 1_000_000,
            initial_balance: None,
            cache_kib: 8192,
            page_bytes: None,
            checkpoint_kib: Some(16000),
            id_horizon: Duration::from_hours(1),
            max_ids: 1 << 20,
            checkpoint_mode: busload_sqlite::CheckpointMode::Background,
            log_limit_bytes: 1 << 34,
            probe_interval: Duration::from_millis(20),
            busy_wait: Duration::ZERO,
        }),
        limits: Limits::standard(),
        access: Access::standard(),
    }
}

/// A server in this process, on a thread and a runtime of its own.
pub(crate) struct InProcess {
    pub(crate) target: Endpoint,
    stop: Option<oneshot::Sender<bool>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl InProcess {
    pub(crate) fn start(settings: Settings) -> Self {
        let (send, started) = std::sync::mpsc::sync_channel(1);
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            runtime().block_on(async move {
                let server = Server::start(&settings).expect("the server starts");
                send.send(server.url()).expect("the test waits");
                let (graceful, shutdown) = oneshot::channel::<()>();
                let run = server.run(async {
                    let _ = shutdown.await;
                });
                tokio::pin!(run);
                let gracefully = tokio::select! {
                    _ = &mut run => return,
                    how = stopped => how.unwrap_or(false),
                };
                // Else everything is dropped where it stands, as if the process died.
                if gracefully {
                    let _ = graceful.send(());
                    run.await.expect("it stops without an error");
                }
            });
        });
        let url = started
            .recv_timeout(PATIENCE)
            .expect("the server starts in time");
        let target = parse_url(&url).expect("a server's URL is of the protocol");
        Self {
            target,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    fn end(&mut self, gracefully: bool) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(gracefully);
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !thread::panicking()
        {
            panic!("the server panicked");
        }
    }

    /// Drops its connections and everything else, without a word to anybody.
    pub(crate) fn die(mut self) {
        self.end(false);
    }

    /// Stops it gracefully.
    pub(crate) fn stop(mut self) {
        self.end(true);
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        self.end(false);
    }
}
