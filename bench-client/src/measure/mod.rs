//! One row, from the server's start to its end: everything that there is to see of it becomes one
//! [`Observation`]. What is to be thought of it, `judge` says.

mod balances;
mod clock;
mod collect;
mod counters;
mod drive;
mod locate;
mod merged;
mod null;
mod plan;
mod prepare;
mod series;
mod shard;
mod snapshot;

pub use merged::complete;
pub use shard::{ShardPlan, measure_shard};

use std::time::{Duration, Instant};

use busload_wire::control::Info;
use tokio::sync::watch;

use crate::config::{Private, RunConfig, Shard, Target};
use crate::control::{ControlClient, ControlError};
use crate::disk;
use crate::host::environment::Environment;
use crate::host::spin;
use crate::load::{LoadError, LoadResult};
use crate::observation::{
    CheckedBalances, LedgerObservation, LoadMachine, LoadObservation, Observation,
    SystemObservation,
};
use crate::record::series::Interval;
use crate::record::{BeforeAndAfter, ProcessorSpeed};
use crate::target::cpus::Pinned;
use crate::target::{
    EndpointError, Launch, Pauses, ServerProcess, Stopped, TargetError, Waiting, endpoint,
};
use crate::workload::ZipfError;

use balances::Before;
use locate::Location;
use plan::{connect, zipf};
use prepare::prepare;
use snapshot::{ServerSnapshot, own_verification};

/// How often the progress line is updated and the server looked after.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

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
    /// The server's address cannot be had.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// This program cannot be kept on the CPUs that were chosen.
    #[error("cannot run on the CPUs of --client-cpus")]
    Cpus(#[source] std::io::Error),
    /// This program's own file cannot be found, to be started as a server.
    #[error("cannot find this program's own file")]
    Program(#[from] std::io::Error),
    /// The accounts cannot be drawn.
    #[error(transparent)]
    Workload(#[from] ZipfError),
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

/// Committed transfers per second of a phase that is not over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TpsSoFar {
    /// Since the phase began: what its result will be, as far as it has come.
    pub mean: f64,
    /// Since the last time that it was told.
    pub latest: f64,
}

/// Where a row says how far it is.
pub trait Progress {
    /// What is being done now.
    fn stage(&self, what: &str);
    /// Load is on: the phase, time into it, and what was committed.
    fn load(&self, phase: &str, elapsed: Duration, tps: TpsSoFar);
    /// Something happened that a person should read now, and not only in the row.
    fn notice(&self, what: &str) {
        self.stage(what);
    }
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

/// Measures one row.
///
/// # Errors
/// There was nothing to measure: the server or the load did not start. A server that dies
/// later is an observation that says so.
pub async fn measure(
    config: &RunConfig,
    around: &Surroundings<'_>,
) -> Result<Observation, RowError> {
    // What is started from here on shares it; a server has a set of its own.
    let _pinned = Pinned::to(config.client_cpus.as_ref()).map_err(RowError::Cpus)?;
    let directory = config.target.data_place();
    let directory = directory.as_deref();
    let baseline = || directory.map(disk::measure_short).transpose();
    if directory.is_some() {
        around.progress.stage("measuring the disk");
    }
    let speed_before = spin::speed();
    let before = baseline()?;
    let mut server = start_server(config, around).await?;
    let seen = Box::pin(run(config, around, &mut server)).await;
    let stopped = match server {
        Some(server) => Some(finish(server, around).await),
        None => None,
    };
    remove_database(config);
    let seen = seen?;
    let after = baseline()?;
    let processor_speed = processor_speed(speed_before);
    let mut observation = Observation {
        load: seen.load,
        machines: Vec::new(),
        system: Some(SystemObservation {
            stop_error: stopped.as_ref().and_then(|end| end.failed.clone()),
            end: stopped.map(|stopped| stopped.end),
            sync_baseline: BeforeAndAfter { before, after },
            ..seen.system
        }),
    };
    let (mut ceiling_tps, mut paced_null_server) = (None, None);
    if !observation.load.interrupted && observation.server_died().is_none() {
        ceiling_tps = null::ceiling(config, Shard::WHOLE, around).await;
        if let Some(pauses) = seen.pauses {
            paced_null_server = null::paced(config, around, pauses).await;
        }
    }
    observation.machines.push(LoadMachine {
        processor_speed,
        ceiling_tps,
        paced_null_server,
        ..seen.machine
    });
    Ok(observation)
}

/// Stops the server, and says what a person should know of its end.
async fn finish(server: ServerProcess, around: &Surroundings<'_>) -> Stopped {
    around.progress.stage("stopping the server");
    let output = server.output().map(|file| file.display().to_string());
    let stopped = server.finish().await;
    let failed = stopped.failed.as_ref();
    let failed = failed.map(|how| format!("the server did not end cleanly: {how}"));
    if let Some(remark) = failed.or_else(|| stopped.end.remark()) {
        let output = output.map_or_else(String::new, |file| format!("; its output is in {file}"));
        around.progress.notice(&format!("{remark}{output}"));
    }
    stopped
}

/// Measured once more, and held against what was before.
fn processor_speed(before: Option<f64>) -> Option<ProcessorSpeed> {
    Some(ProcessorSpeed {
        before: before?,
        after: spin::speed()?,
        best: spin::best_speed()?,
    })
}

/// The server, if it is one that this program starts.
async fn start_server(
    config: &RunConfig,
    around: &Surroundings<'_>,
) -> Result<Option<ServerProcess>, RowError> {
    let Some(launch) = Launch::of(config)? else {
        return Ok(None);
    };
    around.progress.stage("starting the server and seeding");
    let mut waiting = Told(around.progress);
    let started = or_interrupt(&around.interrupted, launch.start(&mut waiting)).await;
    Ok(Some(started.ok_or(RowError::Interrupted)??))
}

/// A start is followed as the row is.
struct Told<'a>(&'a dyn Progress);

impl Waiting for Told<'_> {
    fn still(&mut self, what: &str) {
        self.0.stage(&format!("waiting for the server: {what}"));
    }

    fn notice(&mut self, what: &str) {
        self.0.notice(what);
    }
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

fn remove_database(config: &RunConfig) {
    let Target::BuiltIn {
        database: Private(database),
        keep_db: false,
        ..
    } = &config.target
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

/// What was seen while the server ran.
struct Seen {
    load: LoadObservation,
    machine: LoadMachine,
    system: SystemObservation,
    /// How long the server took; `None` where it does not tell.
    pauses: Option<Pauses>,
}

/// Puts the load on the server, between two snapshots of it.
async fn run(
    config: &RunConfig,
    around: &Surroundings<'_>,
    server: &mut Option<ServerProcess>,
) -> Result<Seen, RowError> {
    let endpoint = match &*server {
        Some(server) => server.target().clone(),
        None => endpoint(&config.target)?.ok_or(RowError::Interrupted)?,
    };
    let zipf = zipf(config)?;
    let mut control = ControlClient::new(config.connector, endpoint.clone());
    let info = prepare(config, around, &mut control).await?;
    let location = Location::of(config, &endpoint, server.as_ref(), info.as_ref());
    if let Some(info) = &info {
        around.progress.server(info);
    }
    let url = endpoint.url_for(config.connector);
    let name = match &info {
        Some(info) => Some(format!("{} {}", info.server, info.version)),
        None => control.said_name().await,
    };
    around
        .progress
        .stage("reading the server's counters and balances");
    let opening = ServerSnapshot::take(config, &mut control, &location).await?;
    let before = Before::know(config, &zipf, around, &mut control).await?;
    around.progress.stage("connecting");
    let connecting = connect(config, Shard::WHOLE, zipf, endpoint);
    let load = or_interrupt(&around.interrupted, connecting)
        .await
        .ok_or(RowError::Interrupted)??;
    let pid = location.pid;
    let start = Instant::now();
    let mut watched = drive::drive(around, load, start, &mut control, server, pid).await?;
    around.progress.stage("verifying");
    let closing = close(
        config,
        around,
        &mut control,
        &before,
        &watched.result,
        server,
        &location,
    );
    let closing = closing.await;
    let pid_now = control.info().await.ok().flatten().map(|info| info.pid);
    let replaced = pid_now.is_some() && pid_now != info.as_ref().map(|info| info.pid);
    let is_gone = closing.died.is_some() || replaced;
    let own_verify = own_verification(config, &mut control, info.as_ref(), is_gone).await;
    control.close().await;
    let samples = watched.samples.take();
    let samples = samples.as_ref();
    let ledger = LedgerObservation {
        seeded: balances::seeded(config),
        must_differ: watched.result.accounts.must_differ(),
        checked: closing.checked,
        own_verify,
    };
    Ok(Seen {
        machine: collect::machine(around, &watched.result, samples),
        pauses: samples.and_then(null::pauses),
        system: SystemObservation {
            url: Some(url),
            name,
            info,
            ledger,
            died: closing.died,
            replaced,
            ..collect::system(location, samples, opening, closing.snapshot)
        },
        load: collect::load(watched),
    })
}

/// What is known when the load is over.
#[derive(Default)]
struct Closing {
    snapshot: ServerSnapshot,
    checked: CheckedBalances,
    /// How the server died, if it did.
    died: Option<String>,
}

/// The server after the load.
async fn close(
    config: &RunConfig,
    around: &Surroundings<'_>,
    control: &mut ControlClient,
    before: &Before,
    result: &LoadResult,
    server: &mut Option<ServerProcess>,
    location: &Location,
) -> Closing {
    // A process that is gone tells nothing any more.
    let died = server.as_mut().and_then(ServerProcess::ended);
    let told = async {
        let snapshot = ServerSnapshot::take(config, control, location).await?;
        let moved = &result.accounts;
        let checked = before.check(config, around, control, moved).await?;
        Ok::<_, ControlError>((snapshot, checked))
    };
    match told.await {
        Ok((snapshot, checked)) => Closing {
            snapshot,
            checked,
            died,
        },
        Err(error) => {
            let mut died = died;
            if died.is_none() {
                // The connection may break a moment before the process is seen to end.
                tokio::time::sleep(LOOK_INTERVAL).await;
                died = server.as_mut().and_then(ServerProcess::ended);
            }
            Closing {
                died: died.or_else(|| Some(crate::with_causes(&error))),
                ..Closing::default()
            }
        }
    }
}
