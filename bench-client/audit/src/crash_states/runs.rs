//! Power cuts that might have been: this program's server is recorded under load, and the states
//! in which a power cut could have left its files are built, opened and judged.
//!
//! The work is that of [`super`]; here it is dealt out. Every run is replayed
//! with every model of [`MODELS`], and the states are shared out evenly among these.

mod observer;

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use busload_wire::control::Info;
use tokio::sync::watch;

use self::observer::{Distinct, Observer, Tally};
use super::event_history::Step;
use super::load::{self, Load};
use super::record::Event;
use super::{
    EventHistory, EventHistoryError, Image, Model, Recording, ReplayError, TraceError,
    audit_watched, read_image, traced, write_image,
};
use crate::control::ControlError;
use crate::record::crash_states::{CrashStates, RecordedRun, ReplayReport};
use crate::server_command::ServerCommand;
use crate::target::{ServerProcess, TargetError};
use crate::workload::worker_seed;

/// The models of the disk that every run is replayed with, and whether answers are held against
/// it: what the size of sectors does not change is not asked twice.
pub const MODELS: [(Model, bool); 4] = [
    (Model::STRICT, true),
    (
        Model {
            removals_need_sync: false,
            ..Model::STRICT
        },
        true,
    ),
    (
        Model {
            sector_bytes: 4096,
            ..Model::STRICT
        },
        false,
    ),
    (
        Model {
            sector_bytes: 4096,
            removals_need_sync: false,
            ..Model::STRICT
        },
        false,
    ),
];

/// Longest load of a recorded run: a trace grows with it, and states near each other tell little.
pub const LOAD_MAX: Duration = Duration::from_secs(2);
/// Most transfers of a recorded run.
pub const TRANSFERS_MAX: u32 = 30_000;
/// Most connections of a recorded run: a server under `strace` is slow.
pub const CONNECTIONS_MAX: u32 = 128;
/// A trace of this length is enough: the load ends.
const TRACE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// How often that is looked at, and progress is told.
const TICK: Duration = Duration::from_millis(200);
/// Streams of the seed: those of the loads, and those of the replays behind them.
const LOAD_STREAM: u32 = 0;
const REPLAY_STREAM: u32 = 1 << 16;

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Crash states in all.
    pub states: u64,
    /// What they, and the amounts of the load, are drawn from.
    pub seed: u64,
    /// The load; each run has a seed of its own.
    pub load: Load,
    /// How long it is on.
    pub time: Duration,
    /// Traces, the files that runs began with and images of bad states are put here.
    pub directory: PathBuf,
}

/// A run that is to be recorded.
#[derive(Debug, Clone)]
pub struct Run {
    /// How the server is started. It must seed the accounts of the load, and end when its
    /// standard input does.
    pub command: ServerCommand,
    /// KiB by which its log grows between two checkpoints.
    pub checkpoint_kib: u32,
}

/// Crash states could not be had.
#[derive(Debug, thiserror::Error)]
pub enum CrashStatesError {
    /// The server could not be started.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// It does not answer.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// It did not end as it should.
    #[error("the server that was recorded did not end cleanly: {0}")]
    Ended(String),
    /// A file cannot be written or read.
    #[error("cannot use {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The trace is not understood.
    #[error("the trace {} is not understood", path.display())]
    Trace {
        /// Which.
        path: PathBuf,
        /// Where, and why.
        source: TraceError,
    },
    /// What was said on the connections cannot be judged.
    #[error("the trace {} cannot be judged", path.display())]
    EventHistory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: EventHistoryError,
    },
    /// Images cannot be made.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The trace is not that of the run.
    #[error(
        "the clients have {clients} acknowledgements and the trace {} has {trace}: nothing can be \
         concluded from it", path.display()
    )]
    Disagree {
        /// Which.
        path: PathBuf,
        /// As the clients counted.
        clients: u64,
        /// As the trace has it.
        trace: u64,
    },
    /// Transfers were acknowledged, and no write to the database is in the trace.
    #[error(
        "the trace {} has no write to the database and {acknowledged} acknowledgements: nothing \
         can be concluded from it", path.display()
    )]
    Unwritten {
        /// Which.
        path: PathBuf,
        /// Acknowledged transfers in it.
        acknowledged: u64,
    },
    /// No transfer was acknowledged.
    #[error("nothing was acknowledged while the server was recorded: raise --cycle-time")]
    Nothing,
}

/// Follows the work.
pub trait Progress {
    /// This is being done now.
    fn stage(&mut self, what: &str);
    /// So many states were judged; something is wrong with `bad` of them. Called a few times a
    /// second.
    fn states(&mut self, done: u64, of: u64, bad: u64);
}

/// Records and replays. What was found is in `into`, also after an error. Ends after the state at
/// hand when `interrupted` becomes true.
///
/// # Errors
/// A run cannot be recorded or not be replayed.
pub async fn replay(
    plan: &Plan,
    runs: &[Run],
    interrupted: &watch::Receiver<bool>,
    into: &mut CrashStates,
    progress: &mut dyn Progress,
) -> Result<(), CrashStatesError> {
    let tally = Arc::new(Tally::default());
    let mut distinct = Distinct::default();
    let parts = (runs.len() * MODELS.len()) as u64;
    for (number, run) in (0_u32..).zip(runs) {
        let first = u64::from(number) * MODELS.len() as u64;
        let shares = share_out(plan.states, parts, first);
        if shares.iter().sum::<u64>() == 0 || *interrupted.borrow() {
            continue;
        }
        progress.stage(&format!(
            "recording run {} of {}",
            u64::from(number) + 1,
            runs.len()
        ));
        let place = plan
            .directory
            .join(format!("run-{}", u64::from(number) + 1));
        let (row, recorded) = record(plan, run, number, &place, interrupted).await?;
        into.runs.push(row);
        let recorded = Arc::new(recorded);
        for ((model, check_answers), (states, part)) in
            MODELS.into_iter().zip(shares.into_iter().zip(first..))
        {
            if states == 0 || *interrupted.borrow() {
                continue;
            }
            let stream = u32::try_from(part).unwrap_or(u32::MAX);
            let drawn = super::Plan {
                states,
                seed: worker_seed(plan.seed, REPLAY_STREAM.saturating_add(stream)),
                model,
                check_answers,
            };
            let observer = Observer {
                interrupted: interrupted.clone(),
                tally: Arc::clone(&tally),
                distinct: std::mem::take(&mut distinct),
                evidence: place.clone(),
                images: 0,
                part,
            };
            let task = replay_part(Arc::clone(&recorded), drawn, observer);
            let (report, observer) = follow(task, &tally, plan.states, progress).await?;
            distinct = observer.distinct;
            if let Some(run) = into.runs.last_mut() {
                run.replays.push(super::replay::replayed(model, report));
            }
            into.distinct_images = distinct.count();
            into.sum_up();
        }
    }
    Ok(())
}

/// How many of all states each model of one run gets, whose parts begin with number `first`.
fn share_out(states: u64, parts: u64, first: u64) -> [u64; MODELS.len()] {
    let mut part = first;
    MODELS.map(|_| {
        let share = states / parts + u64::from(part < states % parts);
        part += 1;
        share
    })
}

/// A run that was recorded.
struct Recorded {
    history: EventHistory,
    base: Image,
}

fn cannot_use(path: &Path) -> impl FnOnce(io::Error) -> CrashStatesError {
    let path = path.to_owned();
    move |source| CrashStatesError::Io { path, source }
}

async fn record(
    plan: &Plan,
    run: &Run,
    number: u32,
    place: &Path,
    interrupted: &watch::Receiver<bool>,
) -> Result<(RecordedRun, Recorded), CrashStatesError> {
    std::fs::create_dir_all(place).map_err(cannot_use(place))?;
    let (database, trace) = (place.join("ledger.sqlite"), place.join("trace"));
    // The run begins with a ledger that is durable, and whose files are known.
    let server = run.command.start(&[], &database, true, &mut ()).await?;
    let mut control = run.command.wire.control(server.target());
    let info = control.info().await?;
    let page_bytes = info.as_ref().and_then(Info::page_bytes);
    let apply = info.as_ref().and_then(|info| info.apply.clone());
    let durability = info.map(|info| info.durability);
    drop(control);
    server.stop().await.map_err(CrashStatesError::Ended)?;
    let base = read_image(&database)?;
    let began = place.join("began.sqlite");
    write_image(&base, &began).map_err(cannot_use(&began))?;
    let load = Load {
        seed: worker_seed(plan.seed, LOAD_STREAM + number),
        ..plan.load
    };
    let spec = traced(&run.command.spec(&[], &database, false)?, &trace);
    let server = ServerProcess::start(&spec).await?;
    let (tell, enough) = watch::channel(false);
    let over = async {
        is_enough(plan.time, &trace, interrupted).await;
        tell.send_replace(true);
    };
    let put = load::put(&load, server.target(), &enough);
    let ((), clients) = tokio::join!(over, put);
    server.stop().await.map_err(CrashStatesError::Ended)?;
    let trace_bytes = std::fs::metadata(&trace).map_err(cannot_use(&trace))?.len();
    let path = trace.clone();
    let history = finished(tokio::task::spawn_blocking(move || read(&path, &database))).await?;
    let acknowledged = history.acknowledged;
    if acknowledged != clients {
        return Err(CrashStatesError::Disagree {
            path: trace,
            clients,
            trace: acknowledged,
        });
    }
    // Such a database is not the one that was traced, and no state of it could be bad.
    if acknowledged > 0 && !has_written(&history) {
        return Err(CrashStatesError::Unwritten {
            path: trace,
            acknowledged,
        });
    }
    if acknowledged == 0 && !*interrupted.borrow() {
        return Err(CrashStatesError::Nothing);
    }
    let row = RecordedRun {
        durability,
        apply,
        checkpoint_kib: Some(run.checkpoint_kib),
        checkpoint_pages: None,
        page_bytes,
        accounts: load.accounts(),
        connections: load.connections,
        window: load.window,
        acknowledged,
        steps: history.steps.len() as u64,
        trace_bytes,
        replays: Vec::new(),
    };
    Ok((row, Recorded { history, base }))
}

/// Whether something was written to the files of the database.
fn has_written(history: &EventHistory) -> bool {
    let mut steps = history.steps.iter();
    steps.any(|(_, step)| matches!(step, Step::File(Event::Written { .. })))
}

/// Ends when the time is over, the trace long enough, or the user has had enough.
async fn is_enough(time: Duration, trace: &Path, interrupted: &watch::Receiver<bool>) {
    let over = tokio::time::sleep(time);
    tokio::pin!(over);
    loop {
        tokio::select! {
            () = &mut over => return,
            () = tokio::time::sleep(TICK) => {}
        }
        let length = std::fs::metadata(trace).map_or(0, |trace| trace.len());
        if length > TRACE_BYTES_MAX || *interrupted.borrow() {
            return;
        }
    }
}

fn read(trace: &Path, database: &Path) -> Result<EventHistory, CrashStatesError> {
    let path = trace.to_owned();
    let file = File::open(trace).map_err(cannot_use(trace))?;
    let recording = match Recording::read(BufReader::new(file), database) {
        Ok(recording) => recording,
        Err(source) => return Err(CrashStatesError::Trace { path, source }),
    };
    EventHistory::new(recording).map_err(|source| CrashStatesError::EventHistory { path, source })
}

type Part = (ReplayReport, Observer);
type Task<T> = tokio::task::JoinHandle<Result<T, CrashStatesError>>;

fn replay_part(recorded: Arc<Recorded>, drawn: super::Plan, mut observer: Observer) -> Task<Part> {
    tokio::task::spawn_blocking(move || {
        let Recorded { history, base } = &*recorded;
        let report = audit_watched(history, base, drawn, &mut observer)?;
        Ok((report, observer))
    })
}

/// Waits for a replay, and tells how far it is.
async fn follow(
    mut task: Task<Part>,
    tally: &Tally,
    of: u64,
    progress: &mut dyn Progress,
) -> Result<Part, CrashStatesError> {
    loop {
        let done = tokio::time::timeout(TICK, &mut task).await;
        let judged = tally.done.load(Ordering::Relaxed);
        progress.states(judged, of, tally.bad.load(Ordering::Relaxed));
        if let Ok(done) = done {
            return unwound(done);
        }
    }
}

async fn finished<T>(task: Task<T>) -> Result<T, CrashStatesError> {
    unwound(task.await)
}

/// A panic goes on here.
fn unwound<T>(
    done: Result<Result<T, CrashStatesError>, tokio::task::JoinError>,
) -> Result<T, CrashStatesError> {
    match done {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(CrashStatesError::Ended(error.to_string())),
        },
    }
}

#[cfg(test)]
mod tests;
