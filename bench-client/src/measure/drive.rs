//! While the load is on: when the window opens and closes, and what may end it early.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;

use super::LOOK_INTERVAL;
use super::counters::{CounterSample, WindowSamples};
use super::series::SeriesBuilder;
use super::{RowError, Surroundings, TpsSoFar};
use crate::control::ControlClient;
use crate::load::{Load, LoadResult, Progress, Schedule};
use crate::record::series::Interval;
use crate::target::ServerProcess;

/// What a load has come to.
pub(super) struct Watched {
    pub(super) result: LoadResult,
    /// When the window opened.
    pub(super) window_start: Instant,
    /// When the window opened, in microseconds since 1970.
    pub(super) window_start_unix_us: u64,
    /// The two ends of the window; `None` when it did not open.
    pub(super) samples: Option<WindowSamples>,
    pub(super) intervals: Vec<Interval>,
    pub(super) interrupted: bool,
}

/// Puts the load on, from a time on that has come, and watches it.
pub(super) async fn drive(
    around: &Surroundings<'_>,
    mut load: Load,
    start: Instant,
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
    let schedule = load.start_at(start);
    let window_start_unix_us = unix_us(schedule.window_start);
    let finish = load.finish();
    tokio::pin!(finish);
    let mut series = SeriesBuilder::new(interval, &schedule, threads, messages, pid);
    let mut line = ProgressLine::new(progress, schedule, start);
    let mut interrupted = false;
    let mut opened: Option<CounterSample> = None;
    if Instant::now() >= schedule.window_start {
        // No warm-up: the window is open already.
        opened = Some(CounterSample::take(control, pid).await);
        series.open(opened.as_ref());
    }
    let (result, closed) = loop {
        let now = Instant::now();
        let next = match schedule.window_end {
            _ if now < schedule.window_start => schedule.window_start,
            Some(end) if now < end => end.min(series.next_reading(now)),
            _ => series.next_reading(now),
        };
        let until = next.min(now + LOOK_INTERVAL);
        tokio::select! {
            biased;
            result = &mut finish => {
                // A counted window, or one that was stopped, ends with the load.
                let closed = match opened {
                    Some(_) => Some(CounterSample::take(control, pid).await),
                    None => None,
                };
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
            opened = Some(CounterSample::take(control, pid).await);
            series.open(opened.as_ref());
        }
        end.look(server, around);
        if schedule.window_end.is_some_and(|end| now >= end) {
            let closed = CounterSample::take(control, pid).await;
            around.progress.stage("draining");
            let result = loop {
                tokio::select! {
                    result = &mut finish => break result?,
                    () = tokio::time::sleep(LOOK_INTERVAL) => end.look(server, around),
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
        samples: opened
            .zip(closed)
            .map(|(opened, closed)| WindowSamples { opened, closed }),
        window_start: schedule.window_start,
        window_start_unix_us,
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
                 no server is left to ask about them"
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

/// A time that is near on the wall clock, in microseconds since 1970.
fn unix_us(time: Instant) -> u64 {
    let now = Instant::now();
    let (ahead, behind) = (
        time.saturating_duration_since(now),
        now.saturating_duration_since(time),
    );
    let now = u64::try_from(Timestamp::now().as_microsecond()).unwrap_or_default();
    let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    now.saturating_add(us(ahead)).saturating_sub(us(behind))
}

/// Tells how far a row has come, look by look.
struct ProgressLine {
    progress: Arc<Progress>,
    schedule: Schedule,
    began: Instant,
    /// The first look in the window, and what was committed until then.
    opened: Option<(Instant, u64)>,
    /// The last look, and what was committed until then.
    last: (Instant, u64),
}

impl ProgressLine {
    fn new(progress: Arc<Progress>, schedule: Schedule, began: Instant) -> Self {
        Self {
            progress,
            schedule,
            began,
            opened: None,
            last: (began, 0),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a progress line")]
    fn update(&mut self, around: &Surroundings<'_>) {
        let now = Instant::now();
        let committed = self.progress.committed();
        let (phase, since, (from, before)) = if now < self.schedule.window_start {
            ("warming up", self.began, (self.began, 0))
        } else {
            let opened = *self.opened.get_or_insert((now, committed));
            ("measuring", self.schedule.window_start, opened)
        };
        let tps_since = |(from, before): (Instant, u64)| {
            let seconds = now.duration_since(from).as_secs_f64();
            (seconds > 0.0).then(|| (committed - before) as f64 / seconds)
        };
        // Nothing of a look is of the phase before.
        let last = self.last.max((from, before));
        if let (Some(mean), Some(latest)) = (tps_since((from, before)), tps_since(last)) {
            let tps = TpsSoFar { mean, latest };
            around.progress.load(phase, now.duration_since(since), tps);
        }
        self.last = (now, committed);
    }
}
