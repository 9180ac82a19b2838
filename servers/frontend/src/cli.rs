//! The servers' command line and environment, shared by both binaries and by
//! `bench-client serve`.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

mod access_args;
mod limit_args;
mod messages;
mod null_args;
mod serving;
#[cfg(test)]
mod tests;
mod values;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use busload_sqlite::{Apply, CheckpointMode, Config, DEFAULT_CACHE_KIB, Durability};
use clap::Args;

use crate::ledgers::{LedgerConfig, NullConfig};
use crate::process::descriptors;
use crate::settings::{Settings, Transport};
use access_args::AccessArgs;
use limit_args::LimitArgs;
use null_args::NullArgs;

pub use messages::{in_one_line, parse_arguments};
pub use serving::ending;
pub use values::{
    Mode, parse_accounts, parse_batch_size, parse_batch_timeout, parse_durability, parse_duration,
    parse_duration_within, parse_id_horizon, parse_inflight, parse_max_ids, parse_page_size,
    parse_queue, parse_within,
};
use values::{
    parse_env_batch_size, parse_listen, parse_milliseconds, parse_probe_interval, parse_switch,
};

/// Accounts of a new ledger.
const DEFAULT_ACCOUNTS: i64 = 100_000;
/// What each account of a new ledger starts with.
pub const DEFAULT_INITIAL_BALANCE: i64 = 10_000_000;
/// Most transfers in one transaction.
pub const DEFAULT_BATCH_SIZE: usize = 4_096;
/// Most transfers waiting for the writer.
const DEFAULT_QUEUE: usize = 1_048_576;
/// How long the ids of transfers are remembered.
const DEFAULT_ID_HORIZON: &str = "10min";
/// Most ids that are remembered.
const DEFAULT_MAX_IDS: usize = 16_777_216;
/// The directory of databases that nobody named, below the current directory: the file
/// system is what is measured, so never a temporary directory.
pub const DEFAULT_DATA_DIR: &str = ".data";
/// The flags of the HTTP server.
#[derive(Debug, Args)]
pub struct HttpArgs {
    /// Port to listen on; 0 takes a free one
    #[arg(long, env = "SQLITE_RPC_PORT", default_value_t = 4103)]
    port: u16,
    #[command(flatten)]
    common: CommonArgs,
    /// Most transfers in one transaction [1 … 1048576]
    #[arg(long, default_value_t = DEFAULT_BATCH_SIZE, value_parser = parse_batch_size)]
    batch_size: usize,
    /// How long the oldest waiting transfer waits for its batch to fill, such as 2ms or 0.5ms;
    /// 0ms commits whatever waits the moment the writer is free [0ms … 60s]
    #[arg(long, default_value = "0ms", value_parser = parse_batch_timeout)]
    batch_timeout: Duration,
}

/// The flags of the WebSocket server.
#[derive(Debug, Args)]
pub struct WsArgs {
    /// Port to listen on; 0 takes a free one
    #[arg(long, env = "SQLITE_WS_RPC_PORT", default_value_t = 4107)]
    port: u16,
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    batch: WsBatchArgs,
}

/// The batch knobs with the environment variables of the article's server.
#[derive(Debug, Args)]
struct WsBatchArgs {
    /// Most transfers in one transaction [1 … 1048576] [default: 4096] [env:
    /// SQLITE_WS_RPC_BATCH_SIZE; 1 where SQLITE_WS_RPC_BATCHING or SQLITE_WS_RPC_GROUP_COMMIT is 0
    /// or false]
    #[arg(long, value_parser = parse_batch_size)]
    batch_size: Option<usize>,
    /// How long the oldest waiting transfer waits for its batch to fill, such as 2ms or 0.5ms;
    /// 0ms, the default, commits whatever waits the moment the writer is free [0ms … 60s]
    /// [env: SQLITE_WS_RPC_BATCH_MS, in milliseconds]
    #[arg(long, value_parser = parse_batch_timeout)]
    batch_timeout: Option<Duration>,
    #[command(flatten)]
    environment: BatchEnvironment,
}

impl WsBatchArgs {
    /// Flags go before the environment, the environment before the defaults.
    fn resolve(&self) -> (usize, Duration) {
        let from_env = &self.environment;
        let size = self.batch_size.or(from_env.batch_size());
        let timeout = self.batch_timeout.or(from_env.batch_timeout());
        (
            size.unwrap_or(DEFAULT_BATCH_SIZE),
            timeout.unwrap_or_default(),
        )
    }
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
    /// Address to listen on; another than loopback needs --token-file or
    /// --allow-unauthenticated
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_parser = parse_listen)]
    listen: IpAddr,
    /// Database file, whose directory is made if there is none [default: busload-http.sqlite or busload-ws.sqlite in the data directory]
    #[arg(long, env = "SQLITE_FILE", value_name = "FILE")]
    database: Option<PathBuf>,
    /// Throw away the ledger that the file holds and seed anew
    #[arg(long)]
    fresh: bool,
    /// Directory of the database when no file is named
    #[arg(long, default_value = DEFAULT_DATA_DIR, value_name = "DIR")]
    data_dir: PathBuf,
    /// What survives what: delete-extra and wal-full a power cut, delete-full (SQLite's default)
    /// and wal-normal a killed process, memory neither; discard-writes reads and answers, never
    /// writes (for testing the judge)
    #[arg(long, env = "SQLITE_MODE", default_value = "wal-full", value_parser = parse_durability)]
    durability: Mode,
    /// How a batch is applied: per-transfer (two statements for each transfer), or coalesced
    /// (decided in memory, each account read once and written once): same answers
    #[arg(long, value_name = "HOW", default_value_t = Apply::PerTransfer)]
    apply: Apply,
    /// Most transfers waiting for the writer; further ones are answered overloaded
    /// [1 … 16777216]
    #[arg(long, value_name = "TRANSFERS", default_value_t = DEFAULT_QUEUE, value_parser = parse_queue)]
    queue: usize,
    /// Accounts to create when the file holds no ledger [2 … 10000000]
    #[arg(long, env = "SEED_ACCOUNTS", default_value_t = DEFAULT_ACCOUNTS, value_parser = parse_accounts)]
    seed_accounts: i64,
    /// Balance of each account created, 0 or more [default: 10000000]; for a file that another
    /// tool seeded, what verify compares with
    #[arg(long, env = "SEED_INITIAL_BALANCE", value_parser = clap::value_parser!(i64).range(0..))]
    initial_balance: Option<i64>,
    #[command(flatten)]
    limits: LimitArgs,
    /// Bytes of a page of a new ledger, a power of two, such as 4096 or 4KiB; a ledger that is
    /// there keeps its pages [512 … 65536] [default: by --seed-accounts]
    #[arg(long, value_name = "BYTES", value_parser = parse_page_size)]
    page_size: Option<u32>,
    /// Checkpoint when the write-ahead log has grown by this many KiB [1 … 16777216]
    /// [default: 16384, and 262144 for a database of 3 MiB or more, but at most an eighth of
    /// --log-limit-mib]
    #[arg(long, value_name = "KIB", value_parser = clap::value_parser!(u32).range(1..=16_777_216))]
    checkpoint_kib: Option<u32>,
    /// Who checkpoints: background (a thread of its own, the writer only the rest) or
    /// between-batches (the writer all of it)
    #[arg(long, value_name = "MODE", default_value_t = CheckpointMode::Background)]
    checkpoint: CheckpointMode,
    /// Refuse transfers as on a full disk while the write-ahead log is this long, because another
    /// process reads from it [1 … 1048576] [default: 16384, or more for a high --checkpoint-kib]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    log_limit_mib: Option<u64>,
    /// On a full disk, how long to wait between two tries to write [1ms … 60s]
    #[arg(long, value_name = "DURATION", default_value = "100ms", value_parser = parse_probe_interval)]
    probe_interval: Duration,
    /// SQLite's page cache, in KiB [64 … 16777216]
    #[arg(long, default_value_t = DEFAULT_CACHE_KIB, value_parser = clap::value_parser!(u32).range(64..=16_777_216))]
    cache_kib: u32,
    /// How long the outcome of a transfer with an id is remembered, at least [1s … 168h]
    #[arg(long, default_value = DEFAULT_ID_HORIZON, value_parser = parse_id_horizon)]
    id_horizon: Duration,
    /// Most ids remembered, at most 58 bytes of memory each; when all are younger than the
    /// horizon, transfers with new ids are answered overloaded [1 … 268435456]
    #[arg(long, value_name = "IDS", default_value_t = DEFAULT_MAX_IDS, value_parser = parse_max_ids)]
    max_ids: usize,
    /// Threads that read requests and write answers [1 … 256]
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    io_threads: u16,
    #[command(flatten)]
    access: AccessArgs,
    #[command(flatten)]
    null: NullArgs,
    /// Leaves the stages in the answer of stats empty: for measuring what the timings cost
    #[arg(long)]
    no_stage_timings: bool,
    /// Waste this much of a processor per transfer: a slower server, to test what a comparison
    /// sees
    #[arg(long, hide = true, default_value = "0ns", value_parser = parse_duration)]
    busy_wait: Duration,
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
        let batch = (self.batch_size, self.batch_timeout);
        let allowed = descriptors::connections_within(descriptors::raise_limit());
        self.common
            .settings(Transport::Http, self.port, batch, allowed)
    }

    /// Runs the server until it is told to stop.
    ///
    /// # Errors
    /// It could not start, or its engine failed.
    pub fn serve(&self) -> anyhow::Result<()> {
        let batch = (self.batch_size, self.batch_timeout);
        self.common.serve(Transport::Http, self.port, batch)
    }
}

impl WsArgs {
    /// What the flags say, for a server in this process.
    ///
    /// # Errors
    /// They contradict each other.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        let batch = self.batch.resolve();
        let allowed = descriptors::connections_within(descriptors::raise_limit());
        self.common
            .settings(Transport::Ws, self.port, batch, allowed)
    }

    /// Runs the server until it is told to stop.
    ///
    /// # Errors
    /// It could not start, or its engine failed.
    pub fn serve(&self) -> anyhow::Result<()> {
        self.common
            .serve(Transport::Ws, self.port, self.batch.resolve())
    }
}

/// Whether a server of this durability can apply its batches so.
///
/// # Errors
/// It applies nothing.
pub fn check_apply(apply: Apply, durability: Durability) -> anyhow::Result<()> {
    anyhow::ensure!(
        apply == Apply::PerTransfer || durability != Durability::DiscardWrites,
        "--apply {apply} is for a server that applies transfers, and discard-writes does not: \
         leave it out, or choose another --durability"
    );
    Ok(())
}

impl CommonArgs {
    fn settings(
        &self,
        transport: Transport,
        port: u16,
        (batch_size, batch_timeout): (usize, Duration),
        connections_allowed: usize,
    ) -> anyhow::Result<Settings> {
        let listen = SocketAddr::new(self.listen, port);
        // First of all: nothing is created for a server that must not start.
        let access = self.access.access(listen)?;
        let log_limit_mib = self.log_limit_mib()?;
        check_apply(self.apply, self.durability.durability)?;
        self.limits.check()?;
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
                batch_size,
                batch_timeout,
                queue_transfers: self.queue,
                stage_timings: !self.no_stage_timings,
            },
            ledger: match self.null.pace() {
                Some(pace) => LedgerConfig::Null(NullConfig {
                    seed_accounts: self.seed_accounts,
                    seed_balance: self.initial_balance.unwrap_or(DEFAULT_INITIAL_BALANCE),
                    pace,
                }),
                None => LedgerConfig::Sqlite(Config {
                    database,
                    fresh: self.fresh,
                    durability: self.durability.durability,
                    apply: self.apply,
                    seed_accounts: self.seed_accounts,
                    seed_balance: self.initial_balance.unwrap_or(DEFAULT_INITIAL_BALANCE),
                    initial_balance: self.initial_balance,
                    page_bytes: self.page_size,
                    cache_kib: self.cache_kib,
                    checkpoint_kib: self.checkpoint_kib,
                    checkpoint_mode: self.checkpoint,
                    log_limit_bytes: log_limit_mib * 1024 * 1024,
                    probe_interval: self.probe_interval,
                    id_horizon: self.id_horizon,
                    max_ids: self.max_ids,
                    busy_wait: self.busy_wait,
                }),
            },
            limits: self.limits.limits(connections_allowed),
            access,
        })
    }

    /// A log that reaches its limit in the ordinary course of checkpoints would refuse transfers
    /// for no reason.
    fn log_limit_mib(&self) -> anyhow::Result<u64> {
        // Eight times what it grows by between two checkpoints.
        let asked = self.checkpoint_kib.unwrap_or(0);
        let lowest = u64::from(asked).div_ceil(128);
        let limit = self.log_limit_mib.unwrap_or(lowest.max(16_384));
        anyhow::ensure!(
            limit >= lowest,
            "--log-limit-mib {limit} is too low for --checkpoint-kib {asked}: use {lowest} or more, \
             or a lower --checkpoint-kib"
        );
        Ok(limit)
    }
}
