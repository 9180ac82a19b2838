//! While the load is on: when the window opens and closes, and what may end it early.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::series::SeriesBuilder;
use super::{RowError, Surroundings};
use crate::control::ControlClient;
use crate::host::cgroup::Throttling;
use crate::host::pressure::Pressure;
use crate::host::process::{CpuTimes, steal_time};
use crate::load::{Load, LoadResult, Progress, Schedule};
use crate::record::series::Interval;
use crate::row::measured::Moment;
use crate::target::ServerProcess;

/// How often the progress line is updated and the server looked after.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What came of a load.
pub(super) struct Watched {
    pub(super) result: LoadResult,
    /// The two ends of the window.
    pub(super) moments: Option<(Moment, Moment)>,
    pub(super) intervals: Vec<Interval>,
    pub(super) interrupted: bool,
}

/// Puts the load on and watches it.
pub(super) async fn drive(
    around: &Surroundings<'_>,
    mut load: Load,
    control: &mut ControlClient,
    server: &mut Option<ServerProcess>,
    pid: Option<u32>,
) -> Result<Watched, RowError> {
    let progress = load.progress();
    let stopper = load.stopper();
    let end = End {
        stop: load.stopper(),
        gone: load.forsaker(),
        sends_again: load.sends_again(),
    };
    let threads = load.threads();
    let (interval, messages) = (load.interval(), load.intervals());
    let began = Instant::now();
    let schedule = load.start();
    let finish = load.finish();
    tokio::pin!(finish);
    let mut series = SeriesBuilder::new(interval, &schedule, threads, messages, pid);
    let mut line = ProgressLine::new(progress, schedule, began);
    let mut interrupted = false;
    let mut opened: Option<Moment> = None;
    if Instant::now() >= schedule.window_start {
        // No warm-up: the window is open already.
        opened = Some(moment(control, pid).await);
        series.open(opened.as_ref());
    }
    let (result, closed) = loop {
        let now = Instant::now();
        let next = match schedule.window_end {
            _ if now < schedule.window_start => schedule.window_start,
            Some(end) if now < end => end.min(series.next_reading(now)),
            _ => series.next_reading(now),
        };
        let until = next.min(now + LOOK_EVERY);
        tokio::select! {
            biased;
            result = &mut finish => {
                // A counted window, or one that was stopped, ends with the load.
                let closed = match opened { Some(_) => Some(moment(control, pid).await), None => None };
                break (result?, closed);
            }
            () = stopped(&around.interrupted), if !interrupted => {
                interrupted = true;
                stopper.store(true, Ordering::Relaxed);
            }
            () = tokio::time::sleep_until(until.into()) => {}
        }
        let now = Instant::now();
        if opened.is_none() && now >= schedule.window_start && !interrupted {
            opened = Some(moment(control, pid).await);
            series.open(opened.as_ref());
        }
        end.look(server, around);
        if schedule.window_end.is_some_and(|end| now >= end) {
            let closed = moment(control, pid).await;
            around.progress.stage("draining");
            let result = loop {
                tokio::select! {
                    result = &mut finish => break result?,
                    () = tokio::time::sleep(LOOK_EVERY) => end.look(server, around),
                }
            };
            break (result, Some(closed));
        }
        if opened.is_some() && now >= series.next_reading(now) {
            tokio::select! {
                () = series.read(control, now) => {}
                // A server that stands still must not keep anybody waiting.
                () = stopped(&around.interrupted), if !interrupted => {}
            }
        }
        series.collect(around);
        line.update(around);
    };
    if interrupted && (opened.is_none() || !result.saw_an_outcome()) {
        return Err(RowError::Interrupted);
    }
    series.close(closed.as_ref(), result.window_length);
    series.collect(around);
    Ok(Watched {
        intervals: series.into_intervals(result.window_length),
        moments: opened.zip(closed),
        result,
        interrupted,
    })
}

/// Ends the load with the server, if that is a process of our own.
struct End {
    stop: Arc<AtomicBool>,
    gone: Arc<AtomicBool>,
    sends_again: bool,
}

impl End {
    fn look(&self, server: &mut Option<ServerProcess>, around: &Surroundings<'_>) {
        let Some(how) = server.as_mut().and_then(ServerProcess::ended) else {
            return;
        };
        self.stop.store(true, Ordering::Relaxed);
        // Nobody starts it again.
        if !self.gone.swap(true, Ordering::Relaxed) && self.sends_again {
            around.progress.notice(&format!(
                "the server has ended ({how}): transfers of unknown outcome stay unknown, since \
                 nobody is left to be asked about them"
            ));
        }
    }
}

async fn stopped(interrupted: &watch::Receiver<bool>) {
    let mut interrupted = interrupted.clone();
    // A sender that is gone asks for nothing any more.
    if interrupted.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The clocks and counters at one end of the window.
async fn moment(control: &mut ControlClient, pid: Option<u32>) -> Moment {
    Moment {
        at: Instant::now(),
        // A server without stats, or gone: the row says so elsewhere.
        stats: control.stats(false).await.ok().flatten(),
        client: CpuTimes::of_this_process(),
        server: pid.and_then(CpuTimes::of_tree),
        steal: steal_time(),
        client_throttling: Throttling::of_process(std::process::id()),
        server_throttling: pid.and_then(Throttling::of_process),
        pressure: Pressure::now(),
    }
}

/// Committed transfers per second since the last look.
struct ProgressLine {
    progress: Arc<Progress>,
    schedule: Schedule,
    began: Instant,
    last: (Instant, u64),
}

impl ProgressLine {
    fn new(progress: Arc<Progress>, schedule: Schedule, began: Instant) -> Self {
        Self {
            progress,
            schedule,
            began,
            last: (began, 0),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a progress line")]
    fn update(&mut self, around: &Surroundings<'_>) {
        let now = Instant::now();
        let committed = self.progress.committed();
        let seconds = now.duration_since(self.last.0).as_secs_f64();
        if seconds > 0.0 {
            let tps = (committed - self.last.1) as f64 / seconds;
            let (phase, since) = if now < self.schedule.window_start {
                ("warming up", self.began)
            } else {
                ("measuring", self.schedule.window_start)
            };
            around.progress.load(phase, now.duration_since(since), tps);
        }
        self.last = (now, committed);
    }
}
