//! The servers' command line and environment, shared by both binaries and by
//! `bench-client serve`.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

mod access_args;
mod config;
mod engine;
mod limit_args;
mod messages;
mod null_args;
mod page;
mod quantities;
mod serving;
#[cfg(test)]
mod tests;
mod values;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use busload_sqlite::Config;
use clap::Args;

use crate::ledgers::{LedgerConfig, NullConfig};
use crate::process::descriptors;
use crate::settings::{Settings, Transport};
use access_args::AccessArgs;
use limit_args::LimitArgs;
use null_args::NullArgs;

pub use config::ServerConfig;
pub use engine::Engine;
pub use messages::{in_one_line, parse_arguments};
pub use page::{Page, WIDTH_MAX};
pub use quantities::{
    count, grouped, parse_duration, parse_duration_within, parse_number, parse_time,
    parse_time_within,
};
pub use serving::ending;
pub use values::{
    Mode, parse_accounts, parse_batch_size, parse_batch_timeout, parse_durability,
    parse_id_horizon, parse_inflight, parse_max_ids, parse_page_size, parse_queue, parse_within,
};
use values::{parse_env_batch_size, parse_listen, parse_milliseconds, parse_switch};

/// Accounts of a new ledger.
const DEFAULT_ACCOUNTS: i64 = 100_000;
/// What each account of a new ledger starts with.
pub const DEFAULT_INITIAL_BALANCE: i64 = 10_000_000;
/// Most transfers in one transaction.
pub const DEFAULT_BATCH_SIZE: usize = 4_096;
/// The directory of databases that nobody named, below the current directory: the file
/// system is what is measured, so never a temporary directory.
pub const DEFAULT_DATA_DIR: &str = ".data";

/// Above the flags of what a server is, in the help text.
const HEADING: &str = "Server";

/// The flags of the HTTP server.
#[derive(Debug, Args)]
pub struct HttpArgs {
    /// Port to listen on; 0 takes a free one
    #[arg(short, long, help_heading = HEADING, env = "SQLITE_RPC_PORT", default_value_t = 4103)]
    port: u16,
    #[command(flatten)]
    common: CommonArgs,
}

/// The flags of the WebSocket server.
#[derive(Debug, Args)]
pub struct WsArgs {
    /// Port to listen on; 0 takes a free one
    #[arg(short, long, help_heading = HEADING, env = "SQLITE_WS_RPC_PORT", default_value_t = 4107)]
    port: u16,
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    environment: BatchEnvironment,
}

/// The batch knobs as the environment of the article's server has them.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_field_names,
    reason = "clap names an argument by its field, and batch_size is the flag's"
)]
pub struct BatchEnvironment {
    #[arg(long, hide = true, env = "SQLITE_WS_RPC_BATCH_SIZE", value_parser = parse_env_batch_size)]
    env_batch_size: Option<usize>,
    #[arg(long, hide = true, env = "SQLITE_WS_RPC_BATCH_MS", value_parser = parse_milliseconds)]
    env_batch_ms: Option<Duration>,
    #[arg(long, hide = true, env = "SQLITE_WS_RPC_BATCHING", value_parser = parse_switch)]
    env_batching: Option<bool>,
    #[arg(long, hide = true, env = "SQLITE_WS_RPC_GROUP_COMMIT", value_parser = parse_switch)]
    env_group_commit: Option<bool>,
}

impl BatchEnvironment {
    /// The batch size, 1 when batching or group commit is switched off.
    #[must_use]
    pub fn batch_size(&self) -> Option<usize> {
        let off = self.env_batching == Some(false) || self.env_group_commit == Some(false);
        if off { Some(1) } else { self.env_batch_size }
    }

    /// The batch timeout.
    #[must_use]
    pub fn batch_timeout(&self) -> Option<Duration> {
        self.env_batch_ms
    }
}

#[derive(Debug, Args)]
struct CommonArgs {
    /// Address to listen on
    ///
    /// Any other than loopback needs --token-file or --allow-unauthenticated.
    #[arg(long, help_heading = HEADING, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_parser = parse_listen)]
    listen: IpAddr,
    /// Database file [default: a name in --data-dir]
    ///
    /// busload-http.sqlite or busload-ws.sqlite. Its directory is made if there is none.
    #[arg(long, help_heading = HEADING, env = "SQLITE_FILE", value_name = "FILE")]
    database: Option<PathBuf>,
    /// Throw away an existing ledger
    ///
    /// A new one is seeded.
    #[arg(long, help_heading = HEADING, alias = "fresh")]
    reseed: bool,
    /// Directory of the database when no file is named
    #[arg(long, help_heading = HEADING, default_value = DEFAULT_DATA_DIR, value_name = "DIR")]
    data_dir: PathBuf,
    /// Accounts of a new ledger [2 … 10000000]
    #[arg(long, help_heading = HEADING, alias = "seed-accounts", env = "SEED_ACCOUNTS", value_name = "N", default_value_t = DEFAULT_ACCOUNTS, value_parser = parse_accounts)]
    accounts: i64,
    /// Balance of each account of a new ledger, 0 or more [default: 10000000]
    ///
    /// For a file that another tool has seeded: what verify compares with.
    #[arg(long, help_heading = HEADING, env = "SEED_INITIAL_BALANCE", value_name = "UNITS", value_parser = count::<i64>(0..=i64::MAX as u64))]
    initial_balance: Option<i64>,
    #[command(flatten, next_help_heading = HEADING)]
    config: ServerConfig,
    #[command(flatten, next_help_heading = "What clients may use")]
    limits: LimitArgs,
    #[command(flatten)]
    access: AccessArgs,
    #[command(flatten)]
    null: NullArgs,
    /// Stop when standard input ends: how a server dies with the program that started it
    #[arg(long, hide = true)]
    until_stdin_ends: bool,
}

impl HttpArgs {
    /// What the flags say, for a server in this process.
    ///
    /// # Errors
    /// They contradict each other.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        self.common.settings(
            Transport::Http,
            self.port,
            &self.config(),
            connections_allowed(),
        )
    }

    /// Runs the server until it is told to stop.
    ///
    /// # Errors
    /// It could not start, or its engine failed.
    pub fn serve(&self) -> anyhow::Result<()> {
        self.common
            .serve(Transport::Http, self.port, &self.config())
    }

    fn config(&self) -> ServerConfig {
        self.common.config.clone().with_batches()
    }
}

impl WsArgs {
    /// What the flags say, for a server in this process.
    ///
    /// # Errors
    /// They contradict each other.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        self.common.settings(
            Transport::Ws,
            self.port,
            &self.config(),
            connections_allowed(),
        )
    }

    /// Runs the server until it is told to stop.
    ///
    /// # Errors
    /// It could not start, or its engine failed.
    pub fn serve(&self) -> anyhow::Result<()> {
        self.common.serve(Transport::Ws, self.port, &self.config())
    }

    fn config(&self) -> ServerConfig {
        let flags = self.common.config.clone();
        flags.with_batches_of(&self.environment)
    }
}

fn connections_allowed() -> usize {
    descriptors::connections_within(descriptors::raise_limit())
}

impl CommonArgs {
    fn settings(
        &self,
        transport: Transport,
        port: u16,
        config: &ServerConfig,
        connections_allowed: usize,
    ) -> anyhow::Result<Settings> {
        let listen = SocketAddr::new(self.listen, port);
        // First of all: nothing is created for a server that must not start.
        let access = self.access.access(listen)?;
        config.check()?;
        self.limits.check()?;
        anyhow::ensure!(
            config.engine.is_file() || self.database.is_none(),
            "--database (SQLITE_FILE) names a file, and the ledger of --engine {} is none: leave \
             one of them out",
            config.engine
        );
        let seed_balance = self.initial_balance.unwrap_or(DEFAULT_INITIAL_BALANCE);
        let database = if let Some(file) = &self.database {
            file.clone()
        } else if self.null.pace().is_some() {
            PathBuf::new()
        } else {
            self.data_dir
                .join(format!("busload-{}.sqlite", transport.as_str()))
        };
        Ok(Settings {
            transport,
            listen,
            engine: busload_engine::Config {
                batch_size: config.batch_size.unwrap_or(DEFAULT_BATCH_SIZE),
                batch_timeout: config.batch_timeout.unwrap_or_default(),
                queue_transfers: config.queue,
                stage_timings: !config.no_stage_timings,
            },
            ledger: match (self.null.pace(), &config.engine) {
                (Some(pace), _) => LedgerConfig::Null(NullConfig {
                    seed_accounts: self.accounts,
                    seed_balance,
                    pace,
                }),
                (None, Engine::Postgres(url)) => LedgerConfig::Postgres(busload_postgres::Config {
                    url: url.clone().unwrap_or_default(),
                    fresh: self.reseed,
                    apply: config.apply,
                    isolation: config.isolation,
                    writers: config.writers,
                    seed_accounts: self.accounts,
                    seed_balance,
                    id_horizon: config.id_horizon,
                }),
                (None, Engine::Sqlite | Engine::Unknown) => LedgerConfig::Sqlite(Config {
                    database,
                    fresh: self.reseed,
                    durability: config.durability.durability,
                    apply: config.apply,
                    seed_accounts: self.accounts,
                    seed_balance,
                    initial_balance: self.initial_balance,
                    page_bytes: config.page_size,
                    cache_kib: config.cache_kib,
                    checkpoint_kib: config.checkpoint_kib,
                    checkpoint_mode: config.checkpoint,
                    log_limit_bytes: config.log_limit_bytes()?,
                    probe_interval: config.probe_interval,
                    id_horizon: config.id_horizon,
                    max_ids: config.max_ids,
                    busy_wait: config.busy_wait,
                }),
            },
            limits: self.limits.limits(connections_allowed),
            access,
        })
    }
}
