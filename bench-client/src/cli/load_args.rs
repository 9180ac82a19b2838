//! The flags that describe a load and the server it is put on, and what they amount to.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

mod check;
mod once;
mod own_server;
mod plans;
mod swept;
mod values;
pub(crate) mod verify;

use std::path::PathBuf;
use std::time::Duration;

use bench_client::connector::ConnectorKind;
use bench_client::record::Arrival;
use busload_frontend::cli::{
    BatchEnvironment, DEFAULT_INITIAL_BALANCE, Mode, parse_accounts, parse_batch_size,
    parse_batch_timeout, parse_durability, parse_duration, parse_inflight, parse_page_size,
    parse_queue,
};
use busload_sqlite::{Apply, CheckpointMode};
use clap::{Args, ValueEnum};

use super::credential_args::CredentialArgs;
pub(crate) use check::check_descriptors;
pub(crate) use own_server::{NullServer, OwnServer, null_server};
use values::{parse_alpha, parse_op_timeout};
pub(crate) use values::{
    parse_env_inflight, parse_interval, parse_rate, parse_seconds, parse_warmup,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ConnectorArg {
    /// HTTP
    #[value(name = "sqlite_rpc")]
    SqliteRpc,
    /// WebSocket
    #[value(name = "sqlite_ws_rpc")]
    SqliteWsRpc,
}

impl ConnectorArg {
    pub(crate) fn kind(self) -> ConnectorKind {
        match self {
            Self::SqliteRpc => ConnectorKind::SqliteRpc,
            Self::SqliteWsRpc => ConnectorKind::SqliteWsRpc,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EncodingArg {
    /// One JSON object per transfer
    Json,
    /// Fixed-width records, many per message (WebSocket only)
    Binary,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ArrivalArg {
    /// At equal distances
    Constant,
    /// At exponentially distributed distances, as independent users arrive
    Poisson,
}

impl ArrivalArg {
    fn arrival(self) -> Arrival {
        match self {
            Self::Constant => Arrival::Constant,
            Self::Poisson => Arrival::Poisson,
        }
    }
}

/// The load.
#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    /// What to measure: sqlite_rpc (HTTP), sqlite_ws_rpc (WebSocket); one row each
    #[arg(long, value_delimiter = ',', default_value = "sqlite_ws_rpc")]
    connectors: Vec<ConnectorArg>,
    /// Workers, each with a session of its own
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    concurrency: u32,
    /// Transfers in flight per worker [1 … 16384; default: 1 for HTTP, 16 for WebSocket, under
    /// --rate 16 and 4096; env: MAX_INFLIGHT_PER_WORKER, where 0 is the largest]
    #[arg(long, value_delimiter = ',', value_name = "N", value_parser = parse_inflight)]
    max_inflight_per_worker: Vec<usize>,
    #[arg(long, hide = true, env = "MAX_INFLIGHT_PER_WORKER", value_parser = parse_env_inflight)]
    env_max_inflight: Option<usize>,
    /// Open loop: offer this many transfers per second over all workers, whatever the server
    /// does; one row each. Latency then counts from the intended start
    #[arg(long, value_delimiter = ',', value_name = "TPS", value_parser = parse_rate)]
    rate: Vec<f64>,
    /// How the intended starts of an open loop are spaced [default: constant]
    #[arg(long, value_enum)]
    arrival: Option<ArrivalArg>,
    /// A transfer answered later than this after its intended start is late; one that cannot
    /// be sent by then is skipped. Such as 10ms
    #[arg(long, value_parser = parse_op_timeout)]
    latency_limit: Option<Duration>,
    /// Exponent of the Zipf distribution of accounts; 0 is uniform
    #[arg(long, value_delimiter = ',', default_value = "1.5", value_parser = parse_alpha)]
    alpha: Vec<f64>,
    /// Number of accounts [2 … 10000000]
    #[arg(long, env = "SEED_ACCOUNTS", default_value = "100000", value_parser = parse_accounts)]
    accounts: i64,
    /// What each account starts with
    #[arg(long, env = "SEED_INITIAL_BALANCE", default_value_t = DEFAULT_INITIAL_BALANCE, value_parser = clap::value_parser!(i64).range(0..))]
    initial_balance: i64,
    /// What each transfer moves
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..))]
    amount: i64,
    /// The random seed: the same seed draws the same accounts on any machine
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Length of the measured window, in seconds
    #[arg(long, default_value = "10", value_parser = parse_seconds, conflicts_with = "transfers")]
    seconds: f64,
    /// Length of the warm-up, in seconds
    #[arg(long, default_value = "2", value_parser = parse_warmup)]
    warmup: f64,
    /// Measure this many transfers instead of a time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    transfers: Option<u64>,
    /// Client threads
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// After this long without an answer the outcome of a transfer is unknown, such as 15s
    #[arg(long, default_value = "15s", value_parser = parse_op_timeout)]
    op_timeout: Duration,
    #[command(flatten)]
    once: once::OnceArgs,
    /// Length of an interval of the time series [100ms … 1h]
    #[arg(long, default_value = "1s", value_parser = parse_interval)]
    interval: Duration,
    /// Record no time series
    #[arg(long, conflicts_with = "interval")]
    no_intervals: bool,
    /// How transfers are written on the wire
    #[arg(long, value_enum, default_value = "json")]
    encoding: EncodingArg,
    #[command(flatten)]
    verify: verify::VerifyArgs,
    /// Do not hold the row against the null server: saves some seconds, and leaves open whether
    /// the generator was the limit and what the wire takes
    #[arg(long)]
    no_null_server: bool,
    /// Measure the server at this URL instead of starting one
    #[arg(long)]
    url: Option<String>,
    /// Wipe and seed the server at --url, or the file that SQLITE_FILE names, first
    #[arg(long)]
    reseed: bool,
    #[command(flatten)]
    credentials: CredentialArgs,
    #[arg(long, hide = true, env = "SQLITE_RPC_URL")]
    env_rpc_url: Option<String>,
    #[arg(long, hide = true, env = "SQLITE_WS_RPC_URL")]
    env_ws_rpc_url: Option<String>,
    #[command(flatten)]
    server: ServerKnobs,
}

/// The knobs of a server that this program starts.
#[derive(Debug, Args)]
#[command(next_help_heading = "Server (when this program starts it)")]
pub(crate) struct ServerKnobs {
    /// What survives what: delete-extra and wal-full a power cut, delete-full (SQLite's default)
    /// and wal-normal a killed process, memory neither; discard-writes never writes
    /// [default: wal-full; env: SQLITE_MODE]
    #[arg(long, value_parser = parse_durability)]
    durability: Option<Mode>,
    #[arg(long, hide = true, env = "SQLITE_MODE", value_parser = parse_durability)]
    env_mode: Option<Mode>,
    /// Most transfers in one transaction [default: 4096; env: SQLITE_WS_RPC_BATCH_SIZE; 1 where
    /// SQLITE_WS_RPC_BATCHING or SQLITE_WS_RPC_GROUP_COMMIT is 0 or false]
    #[arg(long, value_delimiter = ',', value_name = "N", value_parser = parse_batch_size)]
    batch_size: Vec<usize>,
    /// How long the oldest waiting transfer waits for its batch to fill, such as 2ms
    /// [default: 0ms, commit whatever waits; env: SQLITE_WS_RPC_BATCH_MS]
    #[arg(long, value_parser = parse_batch_timeout)]
    batch_timeout: Option<Duration>,
    #[command(flatten)]
    batch_environment: BatchEnvironment,
    /// How the server applies a batch: per-transfer (two statements for each transfer), or
    /// coalesced (decided in memory, each account read once and written once) [default:
    /// per-transfer]
    #[arg(long, value_name = "HOW")]
    apply: Option<Apply>,
    /// Most transfers waiting for the writer [default: 1048576]
    #[arg(long, value_name = "TRANSFERS", value_parser = parse_queue)]
    queue: Option<usize>,
    /// Bytes of a page of the database, a power of two from 512 to 65536, such as 4096 or 4KiB
    /// [default: by --accounts]
    #[arg(long, value_name = "BYTES", value_parser = parse_page_size)]
    page_size: Option<u32>,
    /// Checkpoint when the write-ahead log has grown by this many KiB [default: 16384, and
    /// 262144 for a database of 3 MiB or more]
    #[arg(long, value_name = "KIB", value_parser = clap::value_parser!(u32).range(1..=16_777_216))]
    checkpoint_kib: Option<u32>,
    /// SQLite's page cache, in KiB [default: 262144]
    #[arg(long, value_name = "KIB", value_parser = clap::value_parser!(u32).range(64..=16_777_216))]
    cache_kib: Option<u32>,
    /// Threads of the server that read requests and write answers [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    io_threads: Option<u16>,
    /// Who checkpoints in the server: background or between-batches [default: background]
    #[arg(long, value_name = "MODE")]
    checkpoint: Option<CheckpointMode>,
    /// Let the server record no stage timings: for measuring what they cost
    #[arg(long)]
    no_stage_timings: bool,
    /// Let the server waste this much of a processor per transfer: to test what a comparison
    /// sees
    #[arg(long, hide = true, value_name = "TIME", value_parser = parse_duration)]
    busy_wait: Option<Duration>,
    #[command(flatten)]
    ids: once::IdArgs,
    /// Directory of the database: its file system is what is measured [default: .data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[arg(long, hide = true, env = "SQLITE_FILE")]
    env_file: Option<PathBuf>,
    /// Leave the database there after the run
    #[arg(long)]
    keep_db: bool,
}
