//! The load: what transfers there are, how they are offered, and how the ledger is checked.
//!
//! A field that is no part of what makes two rows comparable says so once, as `x-compared` in
//! the schema ([`super::compared`]).

use std::time::Duration;

use busload_frontend::cli::{DEFAULT_INITIAL_BALANCE, parse_inflight};
use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::{DurationMilliSecondsWithFrac, DurationSecondsWithFrac, serde_as};

use super::kinds::Arrival;
use super::values::{
    parse_accounts, parse_alpha, parse_interval, parse_op_timeout, parse_rate, parse_read_time,
    parse_resolve_timeout, parse_seconds, parse_warmup,
};

/// When the measurement ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Measure {
    /// After this long.
    For(Duration),
    /// After this many transfers were answered.
    Transfers(u64),
}

/// When transfers start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// A closed loop: the next transfer starts when an earlier one was answered.
    Closed,
    /// An open loop: transfers start when they are due, whatever the server does.
    Open {
        /// Transfers per second over all workers.
        rate: f64,
        /// How their intended starts are spaced.
        arrival: Arrival,
        /// Response time above which a transfer is late, and above which it is not sent any
        /// more.
        latency_limit: Option<Duration>,
    },
}

/// How far a transfer of unknown outcome is followed: it is sent again with the same id until
/// it has an outcome, or until one of these is reached. Then it stays unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolve {
    /// Longest time after the transfer became unknown. With the operation timeout it must
    /// be shorter than the server remembers ids.
    pub timeout: Duration,
    /// Most times that it is sent again.
    pub tries: u32,
}

/// What transfers there are.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize, JsonSchema)]
pub struct WorkloadConfig {
    /// Exponent of the Zipf distribution of accounts; 0 is uniform
    #[arg(long, default_value = "1.5", value_parser = parse_alpha)]
    pub alpha: f64,
    /// Number of accounts [2 … 10000000]
    #[arg(long, value_name = "N", env = "SEED_ACCOUNTS", default_value = "100000", value_parser = parse_accounts)]
    pub accounts: u32,
    /// What each account starts with
    #[arg(long, value_name = "UNITS", env = "SEED_INITIAL_BALANCE", default_value_t = DEFAULT_INITIAL_BALANCE, value_parser = clap::value_parser!(i64).range(0..))]
    pub initial_balance: i64,
    /// What each transfer moves
    #[arg(long, value_name = "UNITS", default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..))]
    pub amount: i64,
    /// The random seed: the same seed draws the same accounts on any machine
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[schemars(extend("x-compared" = false))]
    pub seed: u64,
}

impl Default for WorkloadConfig {
    fn default() -> Self {
        Self {
            alpha: 1.5,
            accounts: 100_000,
            initial_balance: DEFAULT_INITIAL_BALANCE,
            amount: 1,
            seed: 1,
        }
    }
}

/// How transfers are offered.
#[serde_as]
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize, JsonSchema)]
pub struct LoadConfig {
    /// Workers, each with a session of its own [1 … 100000]
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub concurrency: u32,
    /// Transfers in flight per worker [1 … 16384; default: 1 for HTTP, 16 for WebSocket, 16384 for
    /// spacetimedb, under --rate 16, 4096 and 4096; env: MAX_INFLIGHT_PER_WORKER, where 0 is the largest]
    #[arg(long, value_name = "N", value_parser = parse_inflight)]
    pub max_inflight_per_worker: usize,
    /// Open loop: offer this many transfers per second over all workers, whatever the server
    /// does; latency then counts from the intended start
    #[arg(long, value_name = "TPS", value_parser = parse_rate)]
    pub rate: Option<f64>,
    /// How the intended starts of an open loop are spaced [default: constant]
    #[arg(long, value_enum)]
    pub arrival: Option<Arrival>,
    /// A transfer answered later than this after its intended start is late; one that cannot
    /// be sent by then is skipped. Such as 10ms
    #[arg(long, value_name = "TIME", value_parser = parse_op_timeout)]
    #[serde_as(as = "Option<DurationMilliSecondsWithFrac<f64>>")]
    #[serde(rename = "latency_limit_ms", default)]
    pub latency_limit: Option<Duration>,
    /// Client threads [1 … 256]
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_threads)]
    pub threads: usize,
    /// Length of the warm-up, in seconds [0 … 3600]
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = parse_warmup)]
    #[serde_as(as = "DurationSecondsWithFrac<f64>")]
    #[serde(rename = "warmup_seconds")]
    pub warmup: Duration,
    /// Length of the measured window, in seconds [default: 10]
    #[arg(long = "seconds", value_name = "SECONDS", value_parser = parse_seconds, conflicts_with = "transfers")]
    #[serde_as(as = "Option<DurationSecondsWithFrac<f64>>")]
    #[serde(rename = "window_seconds", default)]
    pub window: Option<Duration>,
    /// Measure this many transfers instead of a time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub transfers: Option<u64>,
    /// After this long without an answer the outcome of a transfer is unknown, such as 15s
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = parse_op_timeout)]
    #[serde_as(as = "DurationSecondsWithFrac<f64>")]
    #[serde(rename = "op_timeout_seconds")]
    pub op_timeout: Duration,
    /// Give every transfer an id, and send those of unknown outcome again with the same id until
    /// they have one. The server must say that it applies them once
    #[arg(long)]
    #[serde(rename = "transfer_ids")]
    pub exactly_once: bool,
    /// How long a transfer of unknown outcome is sent again [10ms … 1h, default 30s]; with
    /// --op-timeout less than the server's --id-horizon
    #[arg(long, requires = "exactly_once", value_name = "TIME", value_parser = parse_resolve_timeout)]
    #[serde_as(as = "Option<DurationSecondsWithFrac<f64>>")]
    #[serde(rename = "resolve_timeout_seconds", default)]
    #[schemars(extend("x-compared" = false))]
    pub resolve_timeout: Option<Duration>,
    /// How often a transfer of unknown outcome is sent again at most [default: 100]
    #[arg(long, requires = "exactly_once", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    #[schemars(extend("x-compared" = false))]
    pub resolve_tries: Option<u32>,
    /// Length of an interval of the time series [100ms … 1h]
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_interval)]
    #[serde_as(as = "DurationSecondsWithFrac<f64>")]
    #[serde(rename = "interval_seconds")]
    #[schemars(extend("x-compared" = false))]
    pub interval: Duration,
    /// Record no time series
    #[arg(long, conflicts_with = "interval")]
    #[schemars(extend("x-compared" = false))]
    pub no_intervals: bool,
}

fn parse_threads(text: &str) -> Result<usize, String> {
    busload_frontend::cli::parse_within(text, 1, 256)
}

impl Default for LoadConfig {
    /// The WebSocket connector's.
    fn default() -> Self {
        Self {
            concurrency: 50,
            max_inflight_per_worker: super::ConnectorKind::SqliteWsRpc.default_inflight(),
            rate: None,
            arrival: None,
            latency_limit: None,
            threads: 1,
            warmup: Duration::from_secs(2),
            window: Some(WINDOW),
            transfers: None,
            op_timeout: Duration::from_secs(15),
            exactly_once: false,
            resolve_timeout: None,
            resolve_tries: None,
            interval: Duration::from_secs(1),
            no_intervals: false,
        }
    }
}

/// The window when nothing is said of its length.
const WINDOW: Duration = Duration::from_secs(10);
/// How long a transfer is sent again when nothing else is said.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(30);
/// How often.
const RESOLVE_TRIES: u32 = 100;

impl LoadConfig {
    /// How load is offered.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.rate.map_or(Pace::Closed, |rate| Pace::Open {
            rate,
            arrival: self.arrival.unwrap_or(Arrival::Constant),
            latency_limit: self.latency_limit,
        })
    }

    /// How much is measured.
    #[must_use]
    pub fn measure(&self) -> Measure {
        match self.transfers {
            Some(transfers) => Measure::Transfers(transfers),
            None => Measure::For(self.window.unwrap_or(WINDOW)),
        }
    }

    /// How far a transfer of unknown outcome is followed; `None` sends each once and without an
    /// id.
    #[must_use]
    pub fn resolve(&self) -> Option<Resolve> {
        self.exactly_once.then(|| Resolve {
            timeout: self.resolve_timeout.unwrap_or(RESOLVE_TIMEOUT),
            tries: self.resolve_tries.unwrap_or(RESOLVE_TRIES),
        })
    }

    /// Length of an interval of the time series; `None` records none.
    #[must_use]
    pub fn interval(&self) -> Option<Duration> {
        (!self.no_intervals).then_some(self.interval)
    }
}

/// How the ledger is verified.
#[serde_as]
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize, JsonSchema)]
pub struct VerifyConfig {
    /// Do not verify
    #[arg(long)]
    #[schemars(extend("x-compared" = false))]
    pub no_verify: bool,
    /// Accounts whose balances are read after the load and compared; a ledger with no more is
    /// compared whole
    #[arg(
        long, value_name = "N", default_value_t = 1024,
        value_parser = clap::value_parser!(u32).range(1..=10_000_000), conflicts_with = "no_verify"
    )]
    #[schemars(extend("x-compared" = false))]
    pub verify_accounts: u32,
    /// Balances asked for at the same time, each on a connection of its own [1 … 1024]
    #[arg(
        long, value_name = "N", default_value_t = 64,
        value_parser = clap::value_parser!(u16).range(1..=1024), conflicts_with = "no_verify"
    )]
    #[schemars(extend("x-compared" = false))]
    pub verify_inflight: u16,
    /// How long balances are read before the load, where this program does not seed: all of them,
    /// or as many as that allows [0ms … 1h]
    #[arg(
        long, value_name = "TIME", default_value = "5s", value_parser = parse_read_time,
        conflicts_with = "no_verify"
    )]
    #[serde_as(as = "DurationSecondsWithFrac<f64>")]
    #[serde(rename = "verify_read_time_seconds")]
    #[schemars(extend("x-compared" = false))]
    pub verify_read_time: Duration,
}

impl Default for VerifyConfig {
    fn default() -> Self {
        Self {
            no_verify: false,
            verify_accounts: 1024,
            verify_inflight: 64,
            verify_read_time: Duration::from_secs(5),
        }
    }
}
