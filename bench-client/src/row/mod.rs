//! One row: a server, a load on it, and the judgement.

mod drive;
mod null;
mod series;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use busload_wire::control::{Info, Stats, Verification as OwnVerification};
use tokio::sync::watch;

use crate::compare::Conditions;
use crate::connector::{Encoding, HttpConnector, Target, WsConnector};
use crate::control::{ControlClient, ControlError};
use crate::disk;
use crate::judge::model::{ModelInputs, predict};
use crate::judge::{Evidence, Sample, SyncEvidence};
use crate::load::{
    Load, LoadError, LoadPlan, LoadResult, Measure, Pace, Resolve, sampled_accounts,
};
use crate::report::device::DeviceCounters;
use crate::report::environment::Environment;
use crate::report::process::ProcessUsage;
use crate::report::record::{BeforeAndAfter, Row};
use crate::report::rows::{Measured, Moment, to_row};
use crate::report::series::Interval;
use crate::target::{ServerProcess, ServerSpec, TargetError};
use crate::workload::Zipf;

/// The connectors by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectorKind {
    /// `sqlite_rpc`: HTTP.
    SqliteRpc,
    /// `sqlite_ws_rpc`: WebSocket.
    SqliteWsRpc,
}

impl ConnectorKind {
    /// The name in records and on the command line, the original benchmark's.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SqliteRpc => "sqlite_rpc",
            Self::SqliteWsRpc => "sqlite_ws_rpc",
        }
    }

    /// `http` or `ws`.
    #[must_use]
    pub const fn transport(self) -> &'static str {
        match self {
            Self::SqliteRpc => "http",
            Self::SqliteWsRpc => "ws",
        }
    }

    /// Transfers in flight per worker when nothing else is said.
    #[must_use]
    pub const fn default_inflight(self) -> usize {
        match self {
            Self::SqliteRpc => 1,
            Self::SqliteWsRpc => 16,
        }
    }

    /// The same under an open loop, which should not be held up by its window: a second's
    /// stall at 200,000 TPS still fits 50 windows. Over HTTP each transfer in flight has a
    /// connection of its own.
    #[must_use]
    pub const fn default_inflight_at_a_rate(self) -> usize {
        match self {
            Self::SqliteRpc => 16,
            Self::SqliteWsRpc => 4_096,
        }
    }

    fn control(self, target: Target) -> ControlClient {
        match self {
            Self::SqliteRpc => ControlClient::http(target),
            Self::SqliteWsRpc => ControlClient::ws(target),
        }
    }
}

/// Whose server is measured.
#[derive(Debug, Clone)]
pub enum ServerChoice {
    /// One that this program starts, on a database of its own.
    Own {
        /// How to start it.
        spec: ServerSpec,
        /// Its database.
        database: PathBuf,
        /// The durability mode asked for.
        durability: String,
        /// Leave the database there after the run.
        keep_db: bool,
    },
    /// One without a database, that this program starts.
    Null {
        /// How to start it.
        spec: ServerSpec,
    },
    /// One that runs already.
    Url {
        /// Where.
        target: Target,
        /// Wipe and seed it first.
        reseed: bool,
    },
}

/// Everything that makes a row.
#[derive(Debug, Clone)]
pub struct RowPlan {
    /// The row's name, where rows have names.
    pub name: Option<String>,
    /// How requests travel.
    pub connector: ConnectorKind,
    /// How they are written.
    pub encoding: Encoding,
    /// Whose server.
    pub server: ServerChoice,
    /// Sessions.
    pub concurrency: u32,
    /// Transfers in flight per session.
    pub max_inflight: usize,
    /// Client threads.
    pub threads: usize,
    /// How load is offered.
    pub pace: Pace,
    /// The distribution of accounts.
    pub zipf: Arc<Zipf>,
    /// What each account starts with, if this program seeds.
    pub initial_balance: i64,
    /// What each transfer moves.
    pub amount: i64,
    /// The random seed.
    pub seed: u64,
    /// Load before the window.
    pub warmup: Duration,
    /// How much is measured.
    pub measure: Measure,
    /// After this long the outcome of a transfer is unknown.
    pub op_timeout: Duration,
    /// Give every transfer an id, and find out what became of those of unknown outcome.
    pub exactly_once: Option<Resolve>,
    /// Length of an interval of the time series; `None` records none.
    pub interval: Option<Duration>,
    /// Check the ledger.
    pub verify: bool,
    /// How to start the null server that the row is held against; `None` to do without.
    pub null_server: Option<ServerSpec>,
}

impl RowPlan {
    /// Where the database of a server of our own is.
    fn directory(&self) -> Option<&Path> {
        match &self.server {
            ServerChoice::Own { database, .. } => database.parent(),
            ServerChoice::Null { .. } | ServerChoice::Url { .. } => None,
        }
    }
}

/// Why there is no row.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// The server could not be started.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The server could not be talked to.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The load could not be put on it.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The disk could not be measured.
    #[error(transparent)]
    Disk(#[from] disk::DiskError),
    /// The ledger at the URL is not what the workload needs.
    #[error("{0}")]
    Unsuitable(String),
    /// Stopped before the window opened, or before any transfer had an outcome.
    #[error("interrupted before anything was measured: nothing was recorded")]
    Interrupted,
}

impl RowError {
    /// The server is there, and does not let this client do what was asked for: with other
    /// flags, here or there, it would.
    #[must_use]
    pub fn is_about_access(&self) -> bool {
        match self {
            Self::Control(ControlError::MayNotSeed { .. }) => true,
            Self::Control(ControlError::Connect(error)) | Self::Load(LoadError::Connect(error)) => {
                error.is_about_access()
            }
            _ => false,
        }
    }
}

/// Where a row says how far it is.
pub trait Progress {
    /// What is being done now.
    fn stage(&self, what: &str);
    /// Load is on: the phase, time into it, and committed transfers per second.
    fn load(&self, phase: &str, elapsed: Duration, tps: f64);
    /// The server that is measured has told its knobs.
    fn server(&self, info: &Info) {
        let _ = info;
    }
    /// An interval of the window has ended.
    fn interval(&self, interval: &Interval) {
        let _ = interval;
    }
}

/// What a row needs from its surroundings.
pub struct Surroundings<'a> {
    /// Becomes true when the person wants to stop.
    pub interrupted: watch::Receiver<bool>,
    /// Where to say how far it is.
    pub progress: &'a dyn Progress,
    /// What is measured on.
    pub environment: &'a Environment,
}

/// File systems whose writes the kernel accounts to the process that made them; on others
/// (tmpfs first of all) a count of zero proves nothing.
const ACCOUNTED: [&str; 6] = ["ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs"];

/// Measures one row.
///
/// # Errors
/// There was nothing to measure: the server or the load did not start. A server that dies
/// later is a row that says so.
pub async fn measure(plan: &RowPlan, around: &Surroundings<'_>) -> Result<Row, RowError> {
    let directory = plan.directory();
    let baseline = || directory.map(disk::measure_short).transpose();
    if directory.is_some() {
        around.progress.stage("measuring the disk");
    }
    let before = baseline()?;
    let mut server = match &plan.server {
        ServerChoice::Own { spec, .. } | ServerChoice::Null { spec } => {
            around.progress.stage("starting the server and seeding");
            let start = ServerProcess::start(spec);
            Some(
                or_interrupt(&around.interrupted, start)
                    .await
                    .ok_or(RowError::Interrupted)??,
            )
        }
        ServerChoice::Url { .. } => None,
    };
    let measured = Box::pin(run(plan, around, &mut server)).await;
    let stopped = match server {
        Some(server) => server.stop().await,
        None => Ok(()),
    };
    remove_database(plan);
    let (mut measured, mut evidence) = measured?;
    if let Err(how) = stopped {
        evidence.server_died.get_or_insert(how);
    }
    let after = baseline()?;
    if let (Some(before), Some(after)) = (&before, &after) {
        evidence.baselines = Some((before.clone(), after.clone()));
    }
    evidence
        .environment
        .clone_from(&around.environment.warnings);
    let file_system = around.environment.storage.file_system.as_deref();
    if let Some(syncs) = &mut evidence.syncs
        && !file_system.is_some_and(|name| ACCOUNTED.contains(&name))
    {
        syncs.storage_bytes = None;
    }
    measured.sync_baseline = BeforeAndAfter { before, after };
    if !measured.interrupted && evidence.server_died.is_none() {
        measured.ceiling_tps = null::ceiling(plan, around).await;
        if let Some(pauses) = pauses(measured.moments.as_ref()) {
            measured.wire_us = null::wire_us(plan, around, pauses).await;
        }
    }
    let mut row = to_row(plan, measured, &evidence);
    let conditions = Conditions::of_row(&row, around.environment).lasting(plan.measure);
    row.fingerprint = Some(conditions.fingerprint());
    if matches!(plan.server, ServerChoice::Own { .. }) {
        let cores = around.environment.machine.usable_cores;
        row.prediction = ModelInputs::from_row(&row, cores).map(|inputs| predict(&inputs));
    }
    Ok(row)
}

/// What the server's writer took for a transfer and for a batch in the window.
fn pauses(moments: Option<&(Moment, Moment)>) -> Option<null::Pauses> {
    let (opened, closed) = moments?;
    let (before, after) = opened.stats.as_ref().zip(closed.stats.as_ref())?;
    let sum = |of: fn(&Stats) -> u64| of(after).saturating_sub(of(before));
    let transfers = sum(|stats| stats.stages.batch_size.sum);
    let batches = sum(|stats| stats.stages.batch_size.count);
    let sync = sum(|stats| stats.stages.sync_ns.sum);
    let commit_write = sum(|stats| stats.stages.commit_ns.sum).saturating_sub(sync);
    let apply = sum(|stats| stats.stages.apply_ns.sum);
    (transfers > 0 && batches > 0).then(|| null::Pauses {
        // Writing pages keeps a processor busy like applying does.
        apply: Duration::from_nanos((apply + commit_write) / transfers),
        sync: Duration::from_nanos(sync / batches),
    })
}

/// The future's value, or `None` when the person wants to stop first.
async fn or_interrupt<T>(
    interrupted: &watch::Receiver<bool>,
    future: impl Future<Output = T>,
) -> Option<T> {
    let mut interrupted = interrupted.clone();
    tokio::select! {
        value = future => Some(value),
        _ = interrupted.wait_for(|stop| *stop) => None,
    }
}

fn remove_database(plan: &RowPlan) {
    let ServerChoice::Own {
        database,
        keep_db: false,
        ..
    } = &plan.server
    else {
        return;
    };
    for suffix in ["", "-wal", "-shm", "-journal", ".lock"] {
        let mut file = database.as_os_str().to_owned();
        file.push(suffix);
        // Gone already, or never made: both are what is wanted.
        let _ = std::fs::remove_file(file);
    }
}

/// What the ledger looked like at one moment.
struct Books {
    stats: Option<Stats>,
    samples: Vec<i64>,
    usage: ProcessUsage,
    device: Option<DeviceCounters>,
}

async fn run(
    plan: &RowPlan,
    around: &Surroundings<'_>,
    server: &mut Option<ServerProcess>,
) -> Result<(Measured, Evidence), RowError> {
    let target = match (&plan.server, &*server) {
        (_, Some(server)) => server.target().clone(),
        (ServerChoice::Url { target, .. }, None) => target.clone(),
        (ServerChoice::Own { .. } | ServerChoice::Null { .. }, None) => {
            return Err(RowError::Interrupted);
        }
    };
    let pid = server.as_ref().map(ServerProcess::pid);
    let mut control = plan.connector.control(target.clone());
    let info = prepare(plan, around, &mut control).await?;
    if let Some(info) = &info {
        around.progress.server(info);
    }
    let accounts = sampled_accounts(plan.zipf.account_count());
    around.progress.stage("reading the books");
    let opening = open_books(plan, &mut control, &accounts, pid).await?;
    around.progress.stage("connecting");
    let connecting = connect(plan, target);
    let load = or_interrupt(&around.interrupted, connecting)
        .await
        .ok_or(RowError::Interrupted)??;
    let watched = drive::drive(around, load, &mut control, server, pid).await?;
    let drive::Watched {
        result,
        mut moments,
        intervals,
        interrupted,
    } = watched;
    around.progress.stage("verifying");
    // A process that is gone tells nothing any more.
    let mut died = server.as_mut().and_then(ServerProcess::ended);
    let closing = match open_books(plan, &mut control, &accounts, pid).await {
        Ok(books) => Some(books),
        Err(error) => {
            if died.is_none() {
                // The connection may break a moment before the process is seen to end.
                tokio::time::sleep(drive::LOOK_EVERY).await;
                died = server.as_mut().and_then(ServerProcess::ended);
            }
            died.get_or_insert(crate::with_causes(&error));
            None
        }
    };
    let pid_now = control.info().await.ok().flatten().map(|info| info.pid);
    let replaced = pid_now.is_some() && pid_now != info.as_ref().map(|info| info.pid);
    if replaced {
        died.get_or_insert_with(|| "another process answers at its address".to_owned());
    }
    let own_verify = own_verification(plan, &mut control, info.as_ref(), died.is_some()).await;
    let mut evidence = weigh(
        plan,
        &result,
        &accounts,
        &opening,
        closing.as_ref(),
        info.as_ref(),
    );
    if replaced {
        // Another process counts from its own beginning. The balances are the ledger's.
        (evidence.applied, evidence.syncs) = (None, None);
        if let Some((_, closed)) = &mut moments {
            closed.stats = None;
        }
    }
    evidence.own_verify = own_verify;
    evidence.interrupted = interrupted;
    if result.gave_up > 0 {
        let reason = result.errors.first().cloned().unwrap_or_default();
        died.get_or_insert(reason);
    }
    evidence.server_died = died;
    let device = closing
        .as_ref()
        .and_then(|closing| device(&opening, closing));
    let usage = closing.map_or_else(ProcessUsage::default, |books| books.usage);
    let measured = Measured {
        info,
        result,
        moments,
        intervals,
        opening_usage: opening.usage,
        closing_usage: usage,
        device,
        ceiling_tps: None,
        wire_us: None,
        interrupted,
        sync_baseline: BeforeAndAfter {
            before: None,
            after: None,
        },
    };
    Ok((measured, evidence))
}

/// Makes sure that there is a ledger with the accounts that the workload names.
async fn prepare(
    plan: &RowPlan,
    around: &Surroundings<'_>,
    control: &mut ControlClient,
) -> Result<Option<Info>, RowError> {
    let info = control.info().await?;
    remembers_ids(plan, info.as_ref())?;
    let accounts = i64::from(plan.zipf.account_count());
    if let ServerChoice::Url { reseed, .. } = plan.server {
        if info.is_none() {
            control.health().await?;
        }
        if reseed {
            around.progress.stage("seeding");
            control.seed(accounts, plan.initial_balance).await?;
        } else if control.balance(accounts - 1).await?.is_none() {
            return Err(RowError::Unsuitable(format!(
                "the server has no account {}: use --reseed to wipe and seed it, \
                 or --accounts with the number that it has",
                accounts - 1
            )));
        }
    }
    Ok(info)
}

/// With `--exactly-once` a server that forgets is refused: a repetition would be a second
/// transfer. (The null server applies nothing.)
fn remembers_ids(plan: &RowPlan, info: Option<&Info>) -> Result<(), RowError> {
    let Some(resolve) = plan.exactly_once else {
        return Ok(());
    };
    if matches!(plan.server, ServerChoice::Null { .. }) {
        return Ok(());
    }
    let info = info.filter(|info| info.exactly_once == Some(true));
    let Some(info) = info else {
        return Err(RowError::Unsuitable(
            "the server does not say that it applies a transfer with an id once: leave out \
             --exactly-once, or use a server whose info has exactly_once true"
                .to_owned(),
        ));
    };
    let needed = (plan.op_timeout + resolve.timeout).as_secs_f64();
    match info.id_horizon_seconds {
        Some(horizon) if horizon <= needed => Err(RowError::Unsuitable(format!(
            "the server remembers ids for {horizon} s, and a transfer may be sent again for \
             {needed} s: lower --op-timeout or --resolve-timeout, or raise the server's \
             --id-horizon"
        ))),
        _ => Ok(()),
    }
}

async fn connect(plan: &RowPlan, target: Target) -> Result<Load, LoadError> {
    let load = LoadPlan {
        workers: plan.concurrency,
        max_inflight: plan.max_inflight,
        threads: plan.threads,
        pace: plan.pace,
        zipf: Arc::clone(&plan.zipf),
        amount: plan.amount,
        seed: plan.seed,
        warmup: plan.warmup,
        measure: plan.measure,
        op_timeout: plan.op_timeout,
        exactly_once: plan.exactly_once,
        interval: plan.interval,
    };
    match plan.connector {
        ConnectorKind::SqliteRpc => Load::connect(HttpConnector::new(target), load).await,
        ConnectorKind::SqliteWsRpc => {
            Load::connect(WsConnector::new(target, plan.encoding), load).await
        }
    }
}

async fn open_books(
    plan: &RowPlan,
    control: &mut ControlClient,
    accounts: &[u32],
    pid: Option<u32>,
) -> Result<Books, ControlError> {
    let stats = control.stats(plan.verify).await?;
    let mut samples = Vec::new();
    if plan.verify {
        samples.reserve(accounts.len());
        for account in accounts {
            samples.push(control.balance(i64::from(*account)).await?.unwrap_or(0));
        }
    }
    let usage = pid.map_or_else(ProcessUsage::default, ProcessUsage::of_process);
    Ok(Books {
        stats,
        samples,
        usage,
        device: plan.directory().and_then(DeviceCounters::of_path),
    })
}

/// A server that is not ours verifies itself; ours has told its balances already.
async fn own_verification(
    plan: &RowPlan,
    control: &mut ControlClient,
    info: Option<&Info>,
    died: bool,
) -> Option<Result<u64, String>> {
    if !plan.verify || info.is_some() || died {
        return None;
    }
    match control.verify().await {
        Ok(OwnVerification::Verified { changed, .. }) => Some(Ok(changed.parse().unwrap_or(0))),
        Ok(OwnVerification::Skipped { .. }) => None,
        Err(error) => Some(Err(error.to_string())),
    }
}

/// Gathers what the row is judged by.
fn weigh(
    plan: &RowPlan,
    result: &LoadResult,
    accounts: &[u32],
    opening: &Books,
    closing: Option<&Books>,
    info: Option<&Info>,
) -> Evidence {
    let whole = result.whole_run();
    let mut evidence = Evidence {
        acknowledged: whole.committed,
        committed_in_window: result.window.counts.committed,
        unknown: whole.unknown,
        amount: plan.amount.unsigned_abs(),
        unexpected_answers: result.unexpected_answers,
        durability: info.map(|info| info.durability.clone()),
        not_verified: !plan.verify,
        ..Evidence::default()
    };
    let Some(closing) = closing else {
        return evidence;
    };
    let samples = opening
        .samples
        .iter()
        .zip(&closing.samples)
        .zip(&result.deltas);
    evidence.samples = accounts
        .iter()
        .zip(samples)
        .map(
            |(&account, ((&before, &after), &(_, acknowledged_delta)))| Sample {
                account,
                before,
                after,
                acknowledged_delta,
            },
        )
        .collect();
    if let (Some(before), Some(after)) = (&opening.stats, &closing.stats)
        && plan.verify
    {
        evidence.applied = Some(after.applied.saturating_sub(before.applied));
        if let (Some(before), Some(after)) = (&before.balances, &after.balances) {
            evidence.totals = before.total.parse().ok().zip(after.total.parse().ok());
            evidence.lowest_balance = after.lowest.parse().ok();
            evidence.digests = Some((before.digest.clone(), after.digest.clone()));
        }
        evidence.syncs = Some(sync_evidence(before, after, opening, closing, info));
    }
    evidence
}

/// What the block device did over the whole run.
fn device(opening: &Books, closing: &Books) -> Option<DeviceCounters> {
    let (before, after) = opening.device.as_ref().zip(closing.device.as_ref())?;
    Some(after.since(before))
}

fn sync_evidence(
    before: &Stats,
    after: &Stats,
    opening: &Books,
    closing: &Books,
    info: Option<&Info>,
) -> SyncEvidence {
    let promises_sync =
        info.is_some_and(|info| matches!(info.durability.as_str(), "wal-full" | "delete-full"));
    let page_size = info.and_then(|info| info.pragmas.get("page_size"));
    let storage = |books: &Books| books.usage.written.map(|written| written.to_storage);
    SyncEvidence {
        syncs_promised_per_batch: u64::from(promises_sync),
        batches_that_wrote: after
            .batches_that_wrote
            .saturating_sub(before.batches_that_wrote),
        commit_syncs: after.commit_syncs.saturating_sub(before.commit_syncs),
        bytes_written: after
            .bytes_written
            .total()
            .saturating_sub(before.bytes_written.total()),
        storage_bytes: storage(closing)
            .zip(storage(opening))
            .map(|(a, b)| a.saturating_sub(b)),
        device_bytes: device(opening, closing).map(|device| device.bytes_written),
        page_bytes: page_size.and_then(|size| size.parse().ok()).unwrap_or(4096),
        sync_p50_us: None,
    }
}
