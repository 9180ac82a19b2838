//! The load: what transfers there are, how they are offered, and how the ledger is checked.
//!
//! A field that is no part of what makes two rows comparable says so once, as `x-compared` in
//! the schema ([`super::compared`]).

use std::time::Duration;

use busload_frontend::cli::{DEFAULT_INITIAL_BALANCE, count, parse_inflight};
use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::{DurationMilliSecondsWithFrac, DurationSecondsWithFrac, serde_as};

use super::heading::{LOAD, VERIFICATION, WORKLOAD};
use super::kinds::Arrival;
use super::values::{
    parse_accounts, parse_alpha, parse_interval, parse_latency_limit, parse_op_timeout, parse_rate,
    parse_read_time, parse_resolve_timeout, parse_seconds, parse_warmup,
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
    /// Zipf exponent of accounts, 0 is uniform
    #[arg(long, help_heading = WORKLOAD, default_value = "1.5", value_parser = parse_alpha)]
    pub alpha: f64,
    /// Number of accounts [2 … 10000000]
    #[arg(long, help_heading = WORKLOAD, value_name = "N", env = "SEED_ACCOUNTS", default_value = "100000", value_parser = parse_accounts)]
    pub accounts: u32,
    /// What each account starts with
    #[arg(long, help_heading = WORKLOAD, value_name = "UNITS", env = "SEED_INITIAL_BALANCE", default_value_t = DEFAULT_INITIAL_BALANCE, value_parser = count::<i64>(0..=i64::MAX as u64))]
    pub initial_balance: i64,
    /// What each transfer moves
    #[arg(long, help_heading = WORKLOAD, value_name = "UNITS", default_value_t = 1, value_parser = count::<i64>(1..=i64::MAX as u64))]
    pub amount: i64,
    /// Random seed: the same seed draws the same accounts on any machine
    #[arg(long, help_heading = WORKLOAD, value_name = "N", default_value_t = 1)]
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
    /// Workers, each with its own session [1 … 100000]
    #[arg(short, long, help_heading = LOAD, value_name = "N", default_value_t = 50, value_parser = count::<u32>(1..=100_000))]
    pub concurrency: u32,
    /// Transfers in flight per worker [1 … 16384] [default: 16, HTTP 1]
    ///
    /// With --rate the default is 4096, over HTTP 16; spacetimedb has 16384, and 4096 with --rate.
    /// The environment variable MAX_INFLIGHT_PER_WORKER, where 0 is the largest, replaces the
    /// default.
    #[arg(long = "inflight", alias = "max-inflight-per-worker", help_heading = LOAD, value_name = "N", value_parser = parse_inflight)]
    pub max_inflight_per_worker: usize,
    /// Offer this many transfers per second (open loop)
    ///
    /// Over all workers, and whatever the server does. Latency then counts from the intended start of each transfer.
    #[arg(short, long, help_heading = LOAD, value_name = "TPS", value_parser = parse_rate)]
    pub rate: Option<f64>,
    /// How an open loop spaces its intended starts: constant or poisson [default: constant]
    ///
    /// poisson: at exponentially distributed distances, as independent users arrive.
    #[arg(long, help_heading = LOAD, value_name = "ARRIVAL", value_enum, hide_possible_values = true)]
    pub arrival: Option<Arrival>,
    /// With --rate, how long after its intended start an answer is late, such as 10ms
    ///
    /// A transfer that cannot be sent by then is skipped. [1ms … 1h]
    #[arg(long, help_heading = LOAD, value_name = "TIME", value_parser = parse_latency_limit)]
    #[serde_as(as = "Option<DurationMilliSecondsWithFrac<f64>>")]
    #[serde(rename = "latency_limit_ms", default)]
    pub latency_limit: Option<Duration>,
    /// Client threads [1 … 256]
    #[arg(long, help_heading = LOAD, value_name = "N", default_value = "1", value_parser = parse_threads)]
    pub threads: usize,
    /// Length of the warm-up [0s … 1h]
    #[arg(long, help_heading = LOAD, value_name = "TIME", default_value = "2s", value_parser = parse_warmup)]
    #[serde_as(as = "DurationSecondsWithFrac<f64>")]
    #[serde(rename = "warmup_seconds")]
    pub warmup: Duration,
    /// How long to measure: 10, 500ms, 2m [default: 10s]
    ///
    /// In seconds, unless there is a unit: so are --warmup and all timeouts.
    #[arg(short = 'd', long = "duration", alias = "seconds", help_heading = LOAD, value_name = "TIME", value_parser = parse_seconds, conflicts_with = "transfers")]
    #[serde_as(as = "Option<DurationSecondsWithFrac<f64>>")]
    #[serde(rename = "window_seconds", default)]
    pub window: Option<Duration>,
    /// Measure this many transfers instead of a time
    #[arg(short = 'n', long, help_heading = LOAD, value_name = "N", value_parser = count::<u64>(1..=u64::MAX))]
    pub transfers: Option<u64>,
    /// How long to wait for an answer; then the outcome of a transfer is unknown [1ms … 1h]
    #[arg(long = "timeout", alias = "op-timeout", help_heading = LOAD, value_name = "TIME", default_value = "15s", value_parser = parse_op_timeout)]
    #[serde_as(as = "DurationSecondsWithFrac<f64>")]
    #[serde(rename = "op_timeout_seconds")]
    pub op_timeout: Duration,
    /// Give every transfer an id, and send it again until its outcome is known
    ///
    /// The same id is sent each time. The server must say that it applies transfers once.
    #[arg(long, help_heading = LOAD)]
    #[serde(rename = "transfer_ids")]
    pub exactly_once: bool,
    /// How long a transfer of unknown outcome is sent again [10ms … 1h] [default: 30s]
    ///
    /// Together with --timeout it must be less than the server's --id-horizon.
    #[arg(long, help_heading = LOAD, requires = "exactly_once", value_name = "TIME", value_parser = parse_resolve_timeout)]
    #[serde_as(as = "Option<DurationSecondsWithFrac<f64>>")]
    #[serde(rename = "resolve_timeout_seconds", default)]
    #[schemars(extend("x-compared" = false))]
    pub resolve_timeout: Option<Duration>,
    /// How often a transfer of unknown outcome is sent again at most [default: 100]
    #[arg(long, help_heading = LOAD, requires = "exactly_once", value_name = "N", value_parser = count::<u32>(1..=1_000_000))]
    #[schemars(extend("x-compared" = false))]
    pub resolve_tries: Option<u32>,
    /// Length of an interval of the time series [100ms … 1h]
    #[arg(long, help_heading = LOAD, value_name = "TIME", default_value = "1s", value_parser = parse_interval)]
    #[serde_as(as = "DurationSecondsWithFrac<f64>")]
    #[serde(rename = "interval_seconds")]
    #[schemars(extend("x-compared" = false))]
    pub interval: Duration,
    /// Record no time series
    #[arg(long, help_heading = LOAD, conflicts_with = "interval")]
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
    #[arg(long, help_heading = VERIFICATION)]
    #[schemars(extend("x-compared" = false))]
    pub no_verify: bool,
    /// Accounts whose balances are compared after the load [1 … 10000000]
    ///
    /// A ledger of fewer accounts is compared whole.
    #[arg(
        long, help_heading = VERIFICATION, value_name = "N", default_value_t = 1024,
        value_parser = count::<u32>(1..=10_000_000), conflicts_with = "no_verify"
    )]
    #[schemars(extend("x-compared" = false))]
    pub verify_accounts: u32,
    /// Balances asked for at the same time, each on its own connection [1 … 1024]
    #[arg(
        long, help_heading = VERIFICATION, value_name = "N", default_value_t = 64,
        value_parser = count::<u16>(1..=1024), conflicts_with = "no_verify"
    )]
    #[schemars(extend("x-compared" = false))]
    pub verify_inflight: u16,
    /// How long balances may be read before the load, where they are not seeded [0s … 1h]
    ///
    /// Where this program does not seed, all balances are read, or as many as this time allows.
    #[arg(
        long, help_heading = VERIFICATION, value_name = "TIME", default_value = "5s",
        value_parser = parse_read_time, conflicts_with = "no_verify"
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
