//! The servers that this program starts for its rows, and how they are told what to do.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use bench_client::connector::ConnectorKind;
use bench_client::row::ServerChoice;
use bench_client::target::ServerSpec;
use busload_frontend::cli::{DEFAULT_BATCH_SIZE, DEFAULT_DATA_DIR, Mode};
use busload_sqlite::{Apply, Durability};

use super::plans::Knobs;
use super::{LoadArgs, ServerKnobs};
use crate::cli::usage;

impl ServerKnobs {
    pub(super) fn data_dir(&self) -> PathBuf {
        let beside = self
            .env_file
            .as_ref()
            .and_then(|file| file.parent().map(Path::to_owned));
        let chosen = self
            .data_dir
            .clone()
            .or(beside.filter(|dir| !dir.as_os_str().is_empty()));
        chosen.unwrap_or_else(|| PathBuf::from(DEFAULT_DATA_DIR))
    }

    /// The file of the environment variable, unless a directory was given by flag.
    pub(super) fn named_database(&self) -> Option<PathBuf> {
        let file = self.env_file.as_ref().filter(|_| self.data_dir.is_none())?;
        let bare = file.parent() == Some(Path::new(""));
        Some(if bare {
            Path::new(".").join(file)
        } else {
            file.clone()
        })
    }

    pub(super) fn mode(&self) -> Option<Mode> {
        self.durability.or(self.env_mode)
    }

    pub(super) fn batch_sizes(&self) -> Vec<usize> {
        if !self.batch_size.is_empty() {
            return self.batch_size.clone();
        }
        let from_env = self.batch_environment.batch_size();
        vec![from_env.unwrap_or(DEFAULT_BATCH_SIZE)]
    }

    /// The flags that were given and make no sense for a server at a URL.
    pub(super) fn given(&self) -> Option<&'static str> {
        [
            (self.durability.is_some(), "--durability"),
            (!self.batch_size.is_empty(), "--batch-size"),
            (self.batch_timeout.is_some(), "--batch-timeout"),
            (self.apply.is_some(), "--apply"),
            (self.queue.is_some(), "--queue"),
            (self.page_size.is_some(), "--page-size"),
            (self.checkpoint_kib.is_some(), "--checkpoint-kib"),
            (self.checkpoint.is_some(), "--checkpoint"),
            (self.cache_kib.is_some(), "--cache-kib"),
            (self.io_threads.is_some(), "--io-threads"),
            (self.no_stage_timings, "--no-stage-timings"),
            (self.busy_wait.is_some(), "--busy-wait"),
            (self.ids.id_horizon.is_some(), "--id-horizon"),
            (self.ids.max_ids.is_some(), "--max-ids"),
            (self.data_dir.is_some(), "--data-dir"),
            (self.keep_db, "--keep-db"),
        ]
        .into_iter()
        .find_map(|(given, flag)| given.then_some(flag))
    }
}

impl LoadArgs {
    /// A server that this program starts for the row.
    pub(super) fn own_server(
        &self,
        connector: ConnectorKind,
        knobs: &Knobs,
    ) -> anyhow::Result<ServerChoice> {
        let server = &self.server;
        let directory = server.data_dir();
        // What is a server's default is not said to it, so that an older one can be measured.
        let apply = server.apply.filter(|apply| *apply != Apply::PerTransfer);
        let further = [
            ("apply", apply.map(|apply| apply.to_string())),
            ("queue", server.queue.map(|n| n.to_string())),
            ("page-size", server.page_size.map(|n| n.to_string())),
            (
                "checkpoint-kib",
                server.checkpoint_kib.map(|n| n.to_string()),
            ),
            ("checkpoint", server.checkpoint.map(|mode| mode.to_string())),
            ("cache-kib", server.cache_kib.map(|n| n.to_string())),
            ("io-threads", server.io_threads.map(|n| n.to_string())),
            (
                "busy-wait",
                server
                    .busy_wait
                    .map(|wait| format!("{}ns", wait.as_nanos())),
            ),
            ("id-horizon", server.ids.horizon()),
            ("max-ids", server.ids.max_ids.map(|n| n.to_string())),
        ];
        let named = server.named_database();
        if let Some(file) = named.as_ref().filter(|file| file.exists() && !self.reseed) {
            return Err(usage(&format!(
                "SQLITE_FILE names {}, which exists: --reseed wipes it; or unset the variable for \
                 a database of this program's own",
                file.display()
            )));
        }
        OwnServer {
            connector,
            data_dir: &directory,
            // A file that a person named is that person's, also after the run.
            keep_db: server.keep_db || named.is_some(),
            database: named,
            durability: knobs.durability,
            batch_size: knobs.batch_size,
            batch_timeout: knobs.batch_timeout,
            accounts: self.accounts,
            initial_balance: self.initial_balance,
            connections: connections(connector, self.concurrency, knobs.max_inflight),
            further: further
                .into_iter()
                .filter_map(|(flag, value)| Some(format!("--{flag}={}", value?)))
                .chain(
                    server
                        .no_stage_timings
                        .then(|| "--no-stage-timings".to_owned()),
                )
                .collect(),
        }
        .choice()
    }
}

/// A reference server on a database of its own.
pub(crate) struct OwnServer<'a> {
    pub(crate) connector: ConnectorKind,
    pub(crate) data_dir: &'a Path,
    /// The database, if a person named one; else it has a fixed name in the directory.
    pub(crate) database: Option<PathBuf>,
    pub(crate) durability: Durability,
    pub(crate) batch_size: usize,
    pub(crate) batch_timeout: Duration,
    pub(crate) accounts: i64,
    pub(crate) initial_balance: i64,
    /// Connections that the load opens.
    pub(crate) connections: usize,
    pub(crate) further: Vec<String>,
    pub(crate) keep_db: bool,
}

impl OwnServer<'_> {
    /// This same program, told to serve.
    pub(crate) fn choice(self) -> anyhow::Result<ServerChoice> {
        std::fs::create_dir_all(self.data_dir).map_err(|error| {
            usage(&format!(
                "cannot create the data directory {}: {error}; choose another with --data-dir",
                self.data_dir.display()
            ))
        })?;
        let transport = self.connector.transport();
        let database = self
            .database
            .unwrap_or_else(|| self.data_dir.join(format!("busload-{transport}.sqlite")));
        let flags = [
            ("port", "0".to_owned()),
            ("database", database.display().to_string()),
            ("durability", self.durability.to_string()),
            ("batch-size", self.batch_size.to_string()),
            (
                "batch-timeout",
                format!("{}us", self.batch_timeout.as_secs_f64() * 1e6),
            ),
            ("seed-accounts", self.accounts.to_string()),
            ("initial-balance", self.initial_balance.to_string()),
            // As many as the load opens, and room for the control plane.
            ("max-connections", (self.connections + 64).to_string()),
        ];
        let mut args = vec!["serve".to_owned(), transport.to_owned()];
        let flags = flags.into_iter();
        args.extend(flags.map(|(name, value)| format!("--{name}={value}")));
        args.extend(self.further);
        args.extend(["--fresh".to_owned(), "--until-stdin-ends".to_owned()]);
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        Ok(ServerChoice::Own {
            spec: ServerSpec { program, args },
            database,
            durability: self.durability.to_string(),
            keep_db: self.keep_db,
        })
    }
}

/// A server without a database beside a reference server.
pub(crate) struct NullServer {
    pub(crate) connector: ConnectorKind,
    pub(crate) batch_size: usize,
    pub(crate) batch_timeout: Duration,
    pub(crate) accounts: i64,
    /// Connections that the load opens.
    pub(crate) connections: usize,
    pub(crate) io_threads: Option<u16>,
}

/// How this same program is told to answer without a database.
pub(crate) fn null_server(like: &NullServer) -> anyhow::Result<ServerSpec> {
    let mut args = vec![
        "serve".to_owned(),
        like.connector.transport().to_owned(),
        "--null-server".to_owned(),
        "--port=0".to_owned(),
        format!("--batch-size={}", like.batch_size),
        format!(
            "--batch-timeout={}us",
            like.batch_timeout.as_secs_f64() * 1e6
        ),
        format!("--seed-accounts={}", like.accounts),
        format!("--max-connections={}", like.connections + 64),
        "--until-stdin-ends".to_owned(),
    ];
    args.extend(like.io_threads.map(|n| format!("--io-threads={n}")));
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    Ok(ServerSpec { program, args })
}

/// Connections that a load opens: over HTTP each transfer in flight has one of its own.
pub(super) fn connections(
    connector: ConnectorKind,
    concurrency: u32,
    max_inflight: usize,
) -> usize {
    concurrency as usize
        * match connector {
            ConnectorKind::SqliteRpc => max_inflight,
            ConnectorKind::SqliteWsRpc => 1,
        }
}
