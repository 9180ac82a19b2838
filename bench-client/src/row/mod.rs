//! One row: a server, a load on it, and the judgement.

mod balances;
mod books;
mod drive;
mod locate;
pub mod measured;
mod null;
mod plan;
mod prepare;
mod series;

use std::path::Path;
use std::time::Duration;

use busload_wire::control::Info;
use tokio::sync::watch;

use crate::config::{Private, RunConfig, Target};
use crate::control::{ControlClient, ControlError};
use crate::disk;
use crate::host::environment::Environment;
use crate::host::process::ProcessUsage;
use crate::host::spin;
use crate::judge::Evidence;
use crate::judge::model::{ModelInputs, held_against, predict};
use crate::load::{LoadError, LoadResult};
use crate::record::series::Interval;
use crate::record::{BeforeAndAfter, ProcessorSpeed, Row};
use crate::row::measured::{Measured, to_row};
use crate::target::{EndpointError, ServerProcess, ServerSpec, TargetError, endpoint};
use crate::workload::ZipfError;

use balances::Before;
use books::{Books, Closing, own_verification, weigh};
use locate::Location;
use plan::{connect, zipf};
use prepare::prepare;

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

/// Where a row says how far it is.
pub trait Progress {
    /// What is being done now.
    fn stage(&self, what: &str);
    /// Load is on: the phase, time into it, and committed transfers per second.
    fn load(&self, phase: &str, elapsed: Duration, tps: f64);
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

/// File systems whose writes the kernel accounts to the process that made them; on others
/// (tmpfs first of all) a count of zero proves nothing.
const ACCOUNTED: [&str; 6] = ["ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs"];

/// Measures one row.
///
/// # Errors
/// There was nothing to measure: the server or the load did not start. A server that dies
/// later is a row that says so.
pub async fn measure(config: &RunConfig, around: &Surroundings<'_>) -> Result<Row, RowError> {
    let directory = directory(config);
    let baseline = || directory.map(disk::measure_short).transpose();
    if directory.is_some() {
        around.progress.stage("measuring the disk");
    }
    let speed_before = spin::speed();
    let before = baseline()?;
    let mut server = start_server(config, around).await?;
    let measured = Box::pin(run(config, around, &mut server)).await;
    let stopped = match server {
        Some(server) => server.stop().await,
        None => Ok(()),
    };
    remove_database(config);
    let (mut measured, mut evidence, location) = measured?;
    if let Err(how) = stopped {
        evidence.server_died.get_or_insert(how);
    }
    let after = baseline()?;
    measured.processor_speed = processor_speed(speed_before);
    if let (Some(before), Some(after)) = (&before, &after) {
        evidence.baselines = Some((before.clone(), after.clone()));
    }
    location.add_to(&mut evidence, around.environment);
    let file_system = location.file_system(around.environment);
    if let Some(syncs) = &mut evidence.syncs
        && !file_system.is_some_and(|name| ACCOUNTED.contains(&name))
    {
        syncs.storage_bytes = None;
    }
    measured.sync_baseline = BeforeAndAfter { before, after };
    if !measured.interrupted && evidence.server_died.is_none() {
        measured.ceiling_tps = null::ceiling(config, around).await;
        if let Some(pauses) = null::pauses(measured.moments.as_ref()) {
            measured.wire_us = null::wire_us(config, around, pauses).await;
        }
    }
    let mut row = to_row(config, measured, &evidence);
    if config.target.is_built_in() {
        let cores = around.environment.machine.usable_cores;
        row.prediction = ModelInputs::from_row(&row, cores)
            .map(|inputs| held_against(predict(&inputs), &row, cores));
    }
    Ok(row)
}

/// Where the database of a server that this program starts is.
fn directory(config: &RunConfig) -> Option<&Path> {
    config.target.database().and_then(Path::parent)
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
    let Some(spec) = ServerSpec::of(config)? else {
        return Ok(None);
    };
    around.progress.stage("starting the server and seeding");
    let place = endpoint(&config.target)?;
    let starting = ServerProcess::start_at(&spec, place.as_ref());
    let started = or_interrupt(&around.interrupted, starting).await;
    Ok(Some(started.ok_or(RowError::Interrupted)??))
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

/// Puts the load on the server, between two looks at its books.
async fn run(
    config: &RunConfig,
    around: &Surroundings<'_>,
    server: &mut Option<ServerProcess>,
) -> Result<(Measured, Evidence, Location), RowError> {
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
    let server_url = endpoint.url_for(config.connector);
    let server_name = match &info {
        Some(info) => Some(format!("{} {}", info.server, info.version)),
        None => control.said_name().await,
    };
    around.progress.stage("reading the books");
    let opening = Books::read(config, &mut control, &location).await?;
    let before = Before::know(config, &zipf, around, &mut control).await?;
    around.progress.stage("connecting");
    let connecting = connect(config, zipf, endpoint);
    let load = or_interrupt(&around.interrupted, connecting)
        .await
        .ok_or(RowError::Interrupted)??;
    let watched = drive::drive(around, load, &mut control, server, location.pid).await?;
    let drive::Watched {
        result,
        mut moments,
        intervals,
        interrupted,
    } = watched;
    around.progress.stage("verifying");
    let (closing, mut died) = close_books(
        config,
        around,
        &mut control,
        &before,
        &result,
        server,
        &location,
    )
    .await;
    let pid_now = control.info().await.ok().flatten().map(|info| info.pid);
    let replaced = pid_now.is_some() && pid_now != info.as_ref().map(|info| info.pid);
    if replaced {
        died.get_or_insert_with(|| "another process answers at its address".to_owned());
    }
    let own_verify = own_verification(config, &mut control, info.as_ref(), died.is_some()).await;
    control.close().await;
    let mut evidence = weigh(config, &result, &opening, closing.as_ref(), info.as_ref());
    if replaced {
        // Another process counts from its own beginning. The balances are the ledger's.
        (evidence.applied, evidence.syncs, evidence.counters) = (None, None, None);
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
        .and_then(|closing| closing.books.device_since(&opening));
    let usage = closing.map_or_else(ProcessUsage::default, |closing| closing.books.usage);
    let measured = Measured {
        info,
        server_url,
        server_name,
        result,
        moments,
        intervals,
        opening_usage: opening.usage,
        closing_usage: usage,
        server_preload: location.preload.clone(),
        processor_speed: None,
        device,
        ceiling_tps: None,
        wire_us: None,
        interrupted,
        sync_baseline: BeforeAndAfter {
            before: None,
            after: None,
        },
    };
    Ok((measured, evidence, location))
}

/// The books after the load, and how the server died if it did.
async fn close_books(
    config: &RunConfig,
    around: &Surroundings<'_>,
    control: &mut ControlClient,
    before: &Before,
    result: &LoadResult,
    server: &mut Option<ServerProcess>,
    location: &Location,
) -> (Option<Closing>, Option<String>) {
    // A process that is gone tells nothing any more.
    let mut died = server.as_mut().and_then(ServerProcess::ended);
    let closing = async {
        Ok::<_, ControlError>(Closing {
            books: Books::read(config, control, location).await?,
            checked: before
                .check(config, around, control, &result.accounts)
                .await?,
        })
    };
    match closing.await {
        Ok(closing) => (Some(closing), died),
        Err(error) => {
            if died.is_none() {
                // The connection may break a moment before the process is seen to end.
                tokio::time::sleep(drive::LOOK_EVERY).await;
                died = server.as_mut().and_then(ServerProcess::ended);
            }
            died.get_or_insert(crate::with_causes(&error));
            (None, died)
        }
    }
}
