//! `bench-client predict`: what the group-commit model expects, without running anything.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

mod from_record;
mod text;

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use bench_client::config::heading::{LOAD, OUTPUT};
use bench_client::config::{ConnectorKind, parse_env_inflight};
use bench_client::disk::{self, Ceilings};
use bench_client::host::environment::Environment;
use bench_client::judge::model::{
    ARTICLE_CPU_US, Costs, ModelInputs, PipelinedCosts, SharedThreadCosts, predict,
};
use bench_client::record::Prediction;
use busload_frontend::cli::{
    BatchEnvironment, DEFAULT_BATCH_SIZE, DEFAULT_DATA_DIR, Mode, count, grouped, parse_batch_size,
    parse_batch_timeout, parse_durability, parse_duration_within, parse_inflight, parse_number,
};
use busload_sqlite::Durability;
use clap::{Args, ValueHint};
use serde::Serialize;

use super::load_flags::make_data_dir;
use super::{UsageError, VALID, fsync, print, show, usage};
use crate::cli::verbosity;
use from_record::Basis;

/// Longest sync and largest cost per transfer: anything longer is a slip of the unit.
const LONGEST: Duration = Duration::from_mins(1);
/// Workers, unless told otherwise.
const DEFAULT_CONCURRENCY: u32 = 50;
/// Most combinations of one command: what a person can read.
const MAX_COMBINATIONS: usize = 10_000;

/// Above the flags about what things take, in the help text.
const COSTS: &str = "Costs";

#[derive(Debug, Args)]
pub(crate) struct PredictArgs {
    /// Take knobs and costs from a record of run or sweep [default: those recorded]
    ///
    /// What a row of this machine cost, at the knobs that are given; of what is not given, the row's.
    /// Recorded are those of results/2026-11-21-vm-2core.
    #[arg(long, help_heading = COSTS, value_name = "RECORD", value_hint = ValueHint::FilePath)]
    #[arg(conflicts_with_all = ["shared_thread", "connector", "durability", "data_dir", "io_threads"])]
    from: Option<PathBuf>,
    /// Which row of --from, from 1 [default: the only one]
    ///
    /// Of repetitions of one row (--runs) the one of median TPS.
    #[arg(long, help_heading = COSTS, value_name = "N", requires = "from", value_parser = count::<u16>(1..=u64::from(u16::MAX)))]
    row: Option<u16>,
    /// How long one sync takes [default: measured]
    ///
    /// With a unit, such as 76us or 3.86ms. It is measured in --data-dir.
    #[arg(long, help_heading = COSTS, value_delimiter = ',', value_name = "TIME", value_parser = parse_cost)]
    sync_latency: Vec<Duration>,
    /// Writer's CPU per transfer [default: 610ns]
    ///
    /// That of this project's server, as recorded in results/2026-11-21-vm-2core. With --shared-thread, of the one thread
    /// [default: 6.1us, the article's].
    #[arg(long, help_heading = COSTS, value_name = "TIME", value_parser = parse_cost)]
    cpu_per_transfer: Option<Duration>,
    /// CPU per transfer of the server's reading and answering [default: as recorded]
    ///
    /// In the same results, by transport and transfers in flight per worker; none with
    /// --shared-thread.
    #[arg(long, help_heading = COSTS, value_name = "TIME", value_parser = parse_cost)]
    transport_cpu_per_transfer: Option<Duration>,
    /// CPU per transfer of the load generator [default: as recorded]
    #[arg(long, help_heading = COSTS, value_name = "TIME", value_parser = parse_cost, conflicts_with = "shared_thread")]
    client_cpu_per_transfer: Option<Duration>,
    /// The sync blocks the rest of the server
    ///
    /// As in Node.js.
    #[arg(long, help_heading = COSTS)]
    shared_thread: bool,
    /// sqlite_ws_rpc (WebSocket) or sqlite_rpc (HTTP)
    #[arg(long, alias = "connectors", help_heading = LOAD, value_name = "NAME", hide_possible_values = true, value_delimiter = ',', default_value = "sqlite_ws_rpc")]
    connector: Vec<ConnectorKind>,
    /// Workers, each with its own session [1 … 100000] [default: 50]
    #[arg(short, long, help_heading = LOAD, value_name = "N", value_delimiter = ',', value_parser = count::<u32>(1..=100_000))]
    concurrency: Vec<u32>,
    /// Transfers in flight per worker [1 … 16384] [default: 16, HTTP 1]
    ///
    /// With --rate the default is 4096, over HTTP 16, as that of run. The environment variable MAX_INFLIGHT_PER_WORKER, where 0 is the largest, replaces the
    /// default.
    #[arg(long = "inflight", alias = "max-inflight-per-worker", help_heading = LOAD, value_delimiter = ',', value_name = "N", value_parser = parse_inflight)]
    max_inflight_per_worker: Vec<usize>,
    #[arg(long, hide = true, env = "MAX_INFLIGHT_PER_WORKER", value_parser = parse_env_inflight)]
    env_max_inflight: Option<usize>,
    /// Transfers per second offered [default: closed loop]
    #[arg(short, long, help_heading = LOAD, value_delimiter = ',', value_name = "TPS", value_parser = parse_rate)]
    rate: Vec<f64>,
    /// Client threads [1 … 256] [default: 1]
    #[arg(long, help_heading = LOAD, value_name = "N", value_parser = count::<u16>(1..=256))]
    threads: Option<u16>,
    /// Cores of client and server [1 … 4096] [default: all]
    #[arg(long, help_heading = COSTS, value_name = "N", value_parser = count::<u32>(1..=4096), conflicts_with = "shared_thread")]
    cores: Option<u32>,
    /// Print the prediction as JSON, and nothing else
    ///
    /// An object, or an array with one for each combination.
    #[arg(long, help_heading = OUTPUT)]
    json: bool,
    #[command(flatten)]
    server: ServerKnobs,
}

/// The server's knobs, as `run` has them.
#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
struct ServerKnobs {
    /// Journal and sync mode [default: wal-full]
    ///
    /// What transfers survive: with wal-full and delete-extra a power cut, with wal-normal and
    /// delete-full (SQLite's default) a killed process, with memory neither. discard-writes never
    /// writes. [env: SQLITE_MODE]
    #[arg(long, value_name = "MODE", value_parser = parse_durability)]
    durability: Option<Mode>,
    #[arg(long, hide = true, env = "SQLITE_MODE", value_parser = parse_durability)]
    env_mode: Option<Mode>,
    /// Most transfers per commit [1 … 1048576] [default: 4096]
    ///
    /// The environment: SQLITE_WS_RPC_BATCH_SIZE; 1 where SQLITE_WS_RPC_BATCHING or
    /// SQLITE_WS_RPC_GROUP_COMMIT is 0 or false.
    #[arg(long, value_delimiter = ',', value_name = "N", value_parser = parse_batch_size)]
    batch_size: Vec<usize>,
    /// How long a batch waits to fill [0ms … 60s] [default: 0ms]
    ///
    /// With a unit, such as 2ms. The time of its oldest transfer counts. 0ms commits whatever waits. The
    /// environment: SQLITE_WS_RPC_BATCH_MS, in milliseconds.
    #[arg(long, value_delimiter = ',', value_name = "TIME", value_parser = parse_batch_timeout)]
    batch_timeout: Vec<Duration>,
    #[command(flatten)]
    batch_environment: BatchEnvironment,
    /// Threads that read requests and write answers [1 … 256] [default: 1]
    #[arg(long, value_name = "N", value_parser = count::<u16>(1..=256), conflicts_with = "shared_thread")]
    io_threads: Option<u16>,
    /// Where to measure the sync [default: .data]
    ///
    /// Unless --sync-latency says what it takes. The default is created if missing.
    #[arg(long, value_name = "DIR", conflicts_with = "sync_latency")]
    data_dir: Option<PathBuf>,
}

fn parse_cost(text: &str) -> Result<Duration, String> {
    parse_duration_within(
        text,
        Duration::ZERO..=LONGEST,
        "write a duration of at most 60s",
    )
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = parse_number(text).filter(|rate| *rate > 0.0 && *rate <= 1e9);
    rate.ok_or_else(|| "write transfers per second above 0, such as 500, 5k or 1M".to_owned())
}

/// Where the sync time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum SyncSource {
    Given,
    /// Mean of write + fdatasync, measured just now.
    Measured,
    /// Mean of the row's syncs.
    Recorded,
    /// The durability makes no syncs at a commit.
    None,
}

/// All syncs of one commit.
#[derive(Debug, Clone, Copy)]
struct SyncTime {
    us: f64,
    source: SyncSource,
}

/// One choice from each list.
#[derive(Debug, Clone, Copy)]
struct Combination {
    sync: SyncTime,
    connector: ConnectorKind,
    concurrency: u32,
    inflight: usize,
    batch_size: usize,
    batch_timeout: Duration,
    offered_tps: Option<f64>,
}

/// Each of `all` with each of its `values`.
fn vary<T>(
    all: &[Combination],
    values: impl Fn(&Combination) -> Vec<T>,
    set: impl Fn(&mut Combination, T),
) -> Vec<Combination> {
    let mut varied = Vec::new();
    for one in all {
        for value in values(one) {
            let mut other = *one;
            set(&mut other, value);
            varied.push(other);
        }
    }
    varied
}

/// One combination, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Answer {
    #[serde(flatten)]
    prediction: Prediction,
    /// Lowest and highest of predicted ÷ measured p50 − 1, on the rows of docs/model.md.
    p50_error: (f64, f64),
    sync_source: SyncSource,
    inputs: ModelInputs,
}

pub(crate) fn run(args: &PredictArgs) -> anyhow::Result<ExitCode> {
    if let Some(warning) = args.mode().and_then(|mode| mode.warning) {
        verbosity::warning(warning);
    }
    let row = args.row.map(usize::from);
    let basis = args.from.as_deref().map(|record| Basis::read(record, row));
    let basis = basis.transpose()?;
    let answers = args.answers(basis.as_ref())?;
    if args.json {
        let text = match answers.as_slice() {
            [one] => serde_json::to_string_pretty(one)?,
            many => serde_json::to_string_pretty(many)?,
        };
        print(&text);
    } else {
        show(&text::document(&answers, basis.as_ref()));
    }
    Ok(ExitCode::from(VALID))
}

impl PredictArgs {
    fn mode(&self) -> Option<Mode> {
        self.server.durability.or(self.server.env_mode)
    }

    fn durability(&self, basis: Option<&Basis>) -> String {
        let asked = || self.mode().map_or(Durability::WalFull, |m| m.durability);
        basis.map_or_else(|| asked().to_string(), |basis| basis.durability.clone())
    }

    fn concurrencies(&self, basis: Option<&Basis>) -> Vec<u32> {
        if !self.concurrency.is_empty() {
            return self.concurrency.clone();
        }
        vec![basis.map_or(DEFAULT_CONCURRENCY, |basis| basis.inputs.concurrency)]
    }

    fn batch_sizes(&self, basis: Option<&Basis>) -> Vec<usize> {
        if !self.server.batch_size.is_empty() {
            return self.server.batch_size.clone();
        }
        if let Some(size) = basis.and_then(|basis| basis.inputs.batch_size.try_into().ok()) {
            return vec![size];
        }
        let from_env = self.server.batch_environment.batch_size();
        vec![from_env.unwrap_or(DEFAULT_BATCH_SIZE)]
    }

    fn batch_timeouts(&self, basis: Option<&Basis>) -> Vec<Duration> {
        if !self.server.batch_timeout.is_empty() {
            return self.server.batch_timeout.clone();
        }
        if let Some(basis) = basis {
            return vec![Duration::from_secs_f64(basis.inputs.batch_timeout_us / 1e6)];
        }
        let from_env = self.server.batch_environment.batch_timeout();
        vec![from_env.unwrap_or_default()]
    }

    fn inflights(&self, connector: ConnectorKind, basis: Option<&Basis>) -> Vec<usize> {
        if !self.max_inflight_per_worker.is_empty() {
            return self.max_inflight_per_worker.clone();
        }
        if let Some(basis) = basis {
            return vec![basis.inputs.max_inflight_per_worker];
        }
        let default = if self.rate.is_empty() {
            connector.default_inflight()
        } else {
            connector.default_inflight_at_a_rate()
        };
        vec![self.env_max_inflight.unwrap_or(default)]
    }

    fn sync_times(&self, basis: Option<&Basis>) -> anyhow::Result<Vec<SyncTime>> {
        let of_row = basis.and_then(|basis| basis.costs(1.0));
        if of_row.is_some_and(|costs| costs.is_database_elsewhere) && !self.sync_latency.is_empty()
        {
            return Err(usage(
                "the row's ledger is in a database, which does not tell its syncs: leave out \
                 --sync-latency",
            ));
        }
        if let Some(costs) = of_row.filter(|_| self.sync_latency.is_empty()) {
            return Ok(vec![SyncTime {
                us: costs.sync_us,
                source: SyncSource::Recorded,
            }]);
        }
        let durability = self.durability(basis);
        let syncs = PipelinedCosts::syncs_per_commit(&durability);
        let appending = PipelinedCosts::appending_syncs_per_commit(&durability);
        if syncs == 0.0 {
            return Ok(vec![SyncTime {
                us: 0.0,
                source: SyncSource::None,
            }]);
        }
        if self.sync_latency.is_empty() {
            let us = measured_sync(self.server.data_dir.as_deref(), syncs, appending)?;
            return Ok(vec![SyncTime {
                us,
                source: SyncSource::Measured,
            }]);
        }
        let given = self.sync_latency.iter();
        Ok(given
            .map(|latency| SyncTime {
                us: syncs * micros(*latency),
                source: SyncSource::Given,
            })
            .collect())
    }

    /// One combination per choice from each list, the last list varying fastest.
    fn combinations(&self, basis: Option<&Basis>) -> anyhow::Result<Vec<Combination>> {
        let of_row = basis.map(|basis| vec![basis.connector]);
        let connectors = of_row.as_ref().unwrap_or(&self.connector);
        let foreign = connectors.iter().find(|it| !it.speaks_transfer_protocol());
        if let Some(foreign) = foreign {
            return Err(UsageError(format!(
                "the model is of servers of the transfer protocol, and {foreign} has its own: leave \
                 it out of --connector"
            ))
            .into());
        }
        let rates: Vec<Option<f64>> = if self.rate.is_empty() {
            vec![basis.and_then(|basis| basis.inputs.offered_tps)]
        } else {
            self.rate.iter().copied().map(Some).collect()
        };
        let (sizes, timeouts) = (self.batch_sizes(basis), self.batch_timeouts(basis));
        let concurrencies = self.concurrencies(basis);
        let counts = [
            self.sync_latency.len().max(1),
            connectors.len(),
            concurrencies.len(),
            self.max_inflight_per_worker.len().max(1),
            sizes.len(),
            timeouts.len(),
            rates.len(),
        ];
        let product = |product: usize, count: &usize| product.checked_mul(*count);
        let count = counts.iter().try_fold(1, product);
        if count.is_none_or(|count| count > MAX_COMBINATIONS) {
            return Err(UsageError(format!(
                "these lists make more than {} combinations: shorten some",
                grouped(MAX_COMBINATIONS as u64)
            ))
            .into());
        }
        let syncs = self.sync_times(basis)?;
        let first = Combination {
            sync: syncs[0],
            connector: connectors[0],
            concurrency: concurrencies[0],
            inflight: 0,
            batch_size: sizes[0],
            batch_timeout: timeouts[0],
            offered_tps: None,
        };
        let all = vary(&[first], |_| syncs.clone(), |one, sync| one.sync = sync);
        let all = vary(
            &all,
            |_| connectors.clone(),
            |one, kind| one.connector = kind,
        );
        let all = vary(
            &all,
            |_| concurrencies.clone(),
            |one, workers| one.concurrency = workers,
        );
        let all = vary(
            &all,
            |one| self.inflights(one.connector, basis),
            |one, inflight| one.inflight = inflight,
        );
        let all = vary(&all, |_| sizes.clone(), |one, size| one.batch_size = size);
        let all = vary(
            &all,
            |_| timeouts.clone(),
            |one, timeout| one.batch_timeout = timeout,
        );
        Ok(vary(
            &all,
            |_| rates.clone(),
            |one, rate| one.offered_tps = rate,
        ))
    }

    fn answers(&self, basis: Option<&Basis>) -> anyhow::Result<Vec<Answer>> {
        let all = self.combinations(basis)?;
        Ok(all.iter().map(|one| self.answer(one, basis)).collect())
    }

    fn answer(&self, one: &Combination, basis: Option<&Basis>) -> Answer {
        let inputs = ModelInputs {
            concurrency: one.concurrency,
            max_inflight_per_worker: one.inflight,
            batch_size: one.batch_size as u64,
            batch_timeout_us: micros(one.batch_timeout),
            offered_tps: one.offered_tps,
            costs: self.costs(one, basis),
        };
        Answer {
            prediction: predict(&inputs),
            p50_error: inputs.p50_error(),
            sync_source: one.sync.source,
            inputs,
        }
    }

    fn costs(&self, one: &Combination, basis: Option<&Basis>) -> Costs {
        if self.shared_thread {
            return Costs::SharedThread(SharedThreadCosts {
                sync_us: one.sync.us,
                cpu_us: self.cpu_per_transfer.map_or(ARTICLE_CPU_US, micros),
                transport_us: self.transport_cpu_per_transfer.map_or(0.0, micros),
            });
        }
        let per_message = u32::try_from(one.inflight.min(one.batch_size)).unwrap_or(u32::MAX);
        let per_message = f64::from(per_message);
        let of_row = basis.and_then(|basis| basis.costs(per_message));
        let mut costs = of_row.unwrap_or_else(|| {
            let durability = self.durability(None);
            let transport = one.connector.transport();
            PipelinedCosts::reference(transport, &durability, one.sync.us, per_message)
        });
        if one.sync.source != SyncSource::Recorded {
            costs.sync_us = one.sync.us;
            costs.sync_us_per_page = PipelinedCosts::sync_us_per_page_at(one.sync.us);
        }
        if let Some(given) = self.cpu_per_transfer {
            costs.writer_us_per_transfer = micros(given);
        }
        if let Some(given) = self.transport_cpu_per_transfer {
            costs.transport.per_transfer_us = micros(given);
        }
        if let Some(given) = self.client_cpu_per_transfer {
            costs.client.per_transfer_us = micros(given);
        }
        if let Some(threads) = self.server.io_threads {
            costs.transport.threads = threads.into();
        }
        if let Some(threads) = self.threads {
            costs.client.threads = threads.into();
        }
        let here = || std::thread::available_parallelism().map(NonZero::get).ok();
        let here = || here().and_then(|cores| u32::try_from(cores).ok());
        let own = basis.map_or_else(here, |_| costs.cores);
        costs.cores = self.cores.or(own);
        Costs::Pipelined(costs)
    }
}

/// What the syncs of one commit take here, so many of them at the cost of an append.
fn measured_sync(named: Option<&Path>, syncs: f64, appending: f64) -> anyhow::Result<f64> {
    let dir = named.unwrap_or(Path::new(DEFAULT_DATA_DIR));
    make_data_dir(dir)?;
    let baseline = disk::measure_short(dir)?;
    fsync::warn(&fsync::doubts(&baseline, &Environment::capture(dir)));
    let ceilings =
        Ceilings::new(&baseline).context("the method by which SQLite syncs was not measured")?;
    Ok(appending * ceilings.append_us + (syncs - appending) * ceilings.overwrite_us)
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
