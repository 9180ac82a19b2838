//! The flags that describe a load and the server it is put on, and what they amount to.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

mod once;
mod swept;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bench_client::connector::{Encoding, Target};
use bench_client::load::{Arrival, Measure, Pace};
use bench_client::row::{ConnectorKind, RowPlan, ServerChoice};
use bench_client::target::ServerSpec;
use bench_client::workload::Zipf;
use busload_engine::{CheckpointMode, Durability};
use busload_frontend::cli::{
    BatchEnvironment, DEFAULT_BATCH_SIZE, DEFAULT_DATA_DIR, DEFAULT_INITIAL_BALANCE, Mode,
    parse_accounts, parse_batch_size, parse_batch_timeout, parse_durability, parse_duration,
    parse_inflight, parse_queue, parse_within,
};
use clap::{Args, ValueEnum};

use super::UsageError;
use super::credential_args::CredentialArgs;

/// Descriptors besides those of the load: database, control plane, standard streams.
const OTHER_DESCRIPTORS: u64 = 64;

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
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own on the command line"
)]
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
    /// Do not verify
    #[arg(long)]
    no_verify: bool,
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
    /// Most transfers in one transaction [default: 4096; env: SQLITE_WS_RPC_BATCH_SIZE]
    #[arg(long, value_delimiter = ',', value_name = "N", value_parser = parse_batch_size)]
    batch_size: Vec<usize>,
    /// How long the oldest waiting transfer waits for its batch to fill, such as 2ms
    /// [default: 0ms, commit whatever waits; env: SQLITE_WS_RPC_BATCH_MS]
    #[arg(long, value_parser = parse_batch_timeout)]
    batch_timeout: Option<Duration>,
    #[command(flatten)]
    batch_environment: BatchEnvironment,
    /// Most transfers waiting for the writer [default: 1048576]
    #[arg(long, value_name = "TRANSFERS", value_parser = parse_queue)]
    queue: Option<usize>,
    /// Checkpoint when the write-ahead log has grown by this many pages [default: 4000]
    #[arg(long, value_name = "PAGES", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    checkpoint_pages: Option<u32>,
    /// SQLite's page cache, in KiB [default: 65536]
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
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
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

fn parse_env_inflight(text: &str) -> Result<usize, String> {
    parse_within(text, 0, 16_384).map(|n| if n == 0 { 16_384 } else { n })
}

fn parse_alpha(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(alpha) if alpha.is_finite() && alpha >= 0.0 => Ok(alpha),
        _ => Err(format!("'{text}' is no finite number from 0")),
    }
}

pub(crate) fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= 86_400.0 => Ok(seconds),
        _ => Err(format!(
            "'{text}' is no number of seconds above 0, up to 86400"
        )),
    }
}

pub(crate) fn parse_warmup(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err(format!("'{text}' is no number of seconds from 0 to 3600")),
    }
}

fn parse_op_timeout(text: &str) -> Result<Duration, String> {
    let timeout = parse_duration(text)?;
    let bounds = Duration::from_millis(1)..=Duration::from_hours(1);
    if bounds.contains(&timeout) {
        Ok(timeout)
    } else {
        Err("from 1ms to 3600s".to_owned())
    }
}

/// A rate of transfers per second.
pub(crate) fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.1..=10e6).contains(&rate) => Ok(rate),
        _ => Err(format!(
            "'{text}' is no number of transfers per second from 0.1 to 10000000"
        )),
    }
}

pub(crate) fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval = parse_duration(text)?;
    let bounds = Duration::from_millis(100)..=Duration::from_hours(1);
    if bounds.contains(&interval) {
        Ok(interval)
    } else {
        Err("an interval lasts from 100ms to 1h".to_owned())
    }
}

/// What differs from row to row.
#[derive(Debug, Clone, Copy)]
struct Knobs {
    pace: Pace,
    durability: Durability,
    batch_size: usize,
    batch_timeout: Duration,
    max_inflight: usize,
}

impl ServerKnobs {
    pub(crate) fn data_dir(&self) -> PathBuf {
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
    fn named_database(&self) -> Option<PathBuf> {
        let file = self.env_file.as_ref().filter(|_| self.data_dir.is_none())?;
        let bare = file.parent() == Some(Path::new(""));
        Some(if bare {
            Path::new(".").join(file)
        } else {
            file.clone()
        })
    }

    fn mode(&self) -> Option<Mode> {
        self.durability.or(self.env_mode)
    }

    fn batch_sizes(&self) -> Vec<usize> {
        if !self.batch_size.is_empty() {
            return self.batch_size.clone();
        }
        let from_env = self.batch_environment.batch_size();
        vec![from_env.unwrap_or(DEFAULT_BATCH_SIZE)]
    }

    /// The flags that were given and make no sense for a server at a URL.
    fn given(&self) -> Option<&'static str> {
        [
            (self.durability.is_some(), "--durability"),
            (!self.batch_size.is_empty(), "--batch-size"),
            (self.batch_timeout.is_some(), "--batch-timeout"),
            (self.queue.is_some(), "--queue"),
            (self.checkpoint_pages.is_some(), "--checkpoint-pages"),
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
    pub(crate) fn connectors(&self) -> impl Iterator<Item = ConnectorKind> + '_ {
        self.connectors.iter().map(|connector| connector.kind())
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.server.data_dir()
    }

    /// One plan per combination of the lists, in the order in which they were written.
    pub(crate) fn plans(&self) -> anyhow::Result<Vec<RowPlan>> {
        self.check_open_loop()?;
        let plans = self.combinations()?;
        self.check(&plans)?;
        Ok(plans)
    }

    fn combinations(&self) -> anyhow::Result<Vec<RowPlan>> {
        let mut plans = Vec::new();
        for connector in self.connectors() {
            let inflight = if self.max_inflight_per_worker.is_empty() {
                let default = if self.rate.is_empty() {
                    connector.default_inflight()
                } else {
                    connector.default_inflight_at_a_rate()
                };
                vec![self.env_max_inflight.unwrap_or(default)]
            } else {
                self.max_inflight_per_worker.clone()
            };
            for &alpha in &self.alpha {
                let zipf = self.zipf(alpha)?;
                for &max_inflight in &inflight {
                    let paces = self.paces();
                    let batch_sizes = self.server.batch_sizes();
                    let pairs = batch_sizes
                        .iter()
                        .flat_map(|size| paces.iter().map(move |pace| (*size, *pace)));
                    for (batch_size, pace) in pairs {
                        let knobs = Knobs {
                            pace,
                            durability: self
                                .server
                                .mode()
                                .map_or(Durability::WalFull, |mode| mode.durability),
                            batch_size,
                            batch_timeout: self
                                .server
                                .batch_timeout
                                .or(self.server.batch_environment.batch_timeout())
                                .unwrap_or_default(),
                            max_inflight,
                        };
                        plans.push(self.plan(connector, Arc::clone(&zipf), knobs)?);
                    }
                }
            }
        }
        Ok(plans)
    }

    /// A closed loop, or one open loop per rate.
    fn paces(&self) -> Vec<Pace> {
        let open = |&rate: &f64| Pace::Open {
            rate,
            arrival: self.arrival.map_or(Arrival::Constant, ArrivalArg::arrival),
            latency_limit: self.latency_limit,
        };
        if self.rate.is_empty() {
            vec![Pace::Closed]
        } else {
            self.rate.iter().map(open).collect()
        }
    }

    pub(crate) fn zipf(&self, alpha: f64) -> anyhow::Result<Arc<Zipf>> {
        let accounts = u32::try_from(self.accounts).context("too many accounts")?;
        Ok(Arc::new(Zipf::new(accounts, alpha)?))
    }

    fn plan(
        &self,
        connector: ConnectorKind,
        zipf: Arc<Zipf>,
        knobs: Knobs,
    ) -> anyhow::Result<RowPlan> {
        let encoding = match self.encoding {
            EncodingArg::Json => Encoding::Json,
            EncodingArg::Binary if connector == ConnectorKind::SqliteRpc => {
                return Err(usage("--encoding binary needs --connectors sqlite_ws_rpc"));
            }
            EncodingArg::Binary => Encoding::Binary,
        };
        let server = match self.target(connector)? {
            Some(target) => ServerChoice::Url {
                target,
                reseed: self.reseed,
            },
            None => self.own_server(connector, &knobs)?,
        };
        Ok(RowPlan {
            name: None,
            connector,
            encoding,
            server,
            concurrency: self.concurrency,
            max_inflight: knobs.max_inflight,
            threads: usize::from(self.threads),
            pace: knobs.pace,
            zipf,
            initial_balance: self.initial_balance,
            amount: self.amount,
            seed: self.seed,
            warmup: Duration::from_secs_f64(self.warmup),
            measure: match self.transfers {
                Some(n) => Measure::Transfers(n),
                None => Measure::For(Duration::from_secs_f64(self.seconds)),
            },
            op_timeout: self.op_timeout,
            exactly_once: self.once.resolve(),
            interval: (!self.no_intervals).then_some(self.interval),
            verify: !self.no_verify,
            null_server: (!self.no_null_server)
                .then(|| {
                    null_server(&NullServer {
                        connector,
                        batch_size: knobs.batch_size,
                        batch_timeout: knobs.batch_timeout,
                        accounts: self.accounts,
                        connections: connections(connector, self.concurrency, knobs.max_inflight),
                        io_threads: self.server.io_threads,
                    })
                })
                .transpose()?,
        })
    }

    /// The URL given for this connector, by flag or environment.
    fn target(&self, connector: ConnectorKind) -> anyhow::Result<Option<Target>> {
        let from_env = match connector {
            ConnectorKind::SqliteRpc => &self.env_rpc_url,
            ConnectorKind::SqliteWsRpc => &self.env_ws_rpc_url,
        };
        let url = self
            .url
            .as_ref()
            .or(from_env.as_ref().filter(|url| !url.is_empty()));
        url.map(|url| self.credentials.target(url)).transpose()
    }

    fn own_server(&self, connector: ConnectorKind, knobs: &Knobs) -> anyhow::Result<ServerChoice> {
        let server = &self.server;
        let directory = server.data_dir();
        let further = [
            ("queue", server.queue.map(|n| n.to_string())),
            (
                "checkpoint-pages",
                server.checkpoint_pages.map(|n| n.to_string()),
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

    /// A rate may be given by a sweep as well, which is why clap does not check this.
    fn check_open_loop(&self) -> anyhow::Result<()> {
        let flags = [
            (self.arrival.is_some(), "--arrival"),
            (self.latency_limit.is_some(), "--latency-limit"),
        ];
        match flags.into_iter().find(|(given, _)| *given) {
            Some((_, flag)) if self.rate.is_empty() => {
                Err(usage(&format!("{flag} is for an open loop: give a --rate")))
            }
            _ => Ok(()),
        }
    }

    fn check(&self, plans: &[RowPlan]) -> anyhow::Result<()> {
        if let Some(warning) = self.server.mode().and_then(|mode| mode.warning) {
            eprintln!("warning: {warning}");
        }
        if self.url.is_some() && self.connectors.len() > 1 {
            return Err(usage(
                "--url goes with one connector: name it with --connectors",
            ));
        }
        let at_url = plans
            .iter()
            .any(|plan| matches!(plan.server, ServerChoice::Url { .. }));
        if let Some(flag) = self.server.given().filter(|_| at_url) {
            return Err(usage(&format!(
                "{flag} is for a server that this program starts, not for one at a URL \
                 (--url, SQLITE_RPC_URL, SQLITE_WS_RPC_URL)"
            )));
        }
        if let Some(flag) = self.credentials.given().filter(|_| !at_url) {
            return Err(usage(&format!(
                "{flag} goes with --url: a server that this program starts needs none"
            )));
        }
        if self.reseed && !at_url && self.server.named_database().is_none() {
            return Err(usage(
                "--reseed goes with --url: a database of this program's own is always seeded",
            ));
        }
        if i128::from(self.initial_balance) * i128::from(self.accounts) > i128::from(i64::MAX) {
            return Err(usage(
                "accounts times initial balance does not fit 64 bits: lower --initial-balance",
            ));
        }
        check_descriptors(plans)
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
fn connections(connector: ConnectorKind, concurrency: u32, max_inflight: usize) -> usize {
    concurrency as usize
        * match connector {
            ConnectorKind::SqliteRpc => max_inflight,
            ConnectorKind::SqliteWsRpc => 1,
        }
}

/// Every connection needs a descriptor here; a server of our own, as many in its process.
pub(crate) fn check_descriptors(plans: &[RowPlan]) -> anyhow::Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let of_plan = |plan: &RowPlan| connections(plan.connector, plan.concurrency, plan.max_inflight);
    let needed = plans.iter().map(of_plan).max().unwrap_or(0) as u64 + OTHER_DESCRIPTORS;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("cannot read ulimit -n")?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("cannot raise ulimit -n")?;
    }
    if needed > hard {
        return Err(usage(&format!(
            "the load needs {needed} descriptors and the limit is {hard}: lower --concurrency or \
             --max-inflight-per-worker (over HTTP each transfer in flight has a connection of \
             its own), or raise ulimit -n"
        )));
    }
    Ok(())
}

fn usage(what: &str) -> anyhow::Error {
    UsageError(what.to_owned()).into()
}
