//! What a client thread saw over time: intervals of the window, ticks of committed transfers,
//! what was in flight, and the thread's own processor time.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::tally::Tally;
use super::{Measure, Schedule};

/// Most intervals of a window: a day's run has longer ones instead of more.
const MOST_INTERVALS: u32 = 3_600;
/// Length of a tick, the finest that TPS is looked at in.
const TICK: Duration = Duration::from_millis(100);
/// Most ticks of a window, likewise.
const MOST_TICKS: u32 = 6_000;

/// What one client thread saw in one interval.
#[derive(Debug)]
pub struct ThreadInterval {
    /// The interval, from 0.
    pub number: u32,
    /// Its end, since the window opened.
    pub end: Duration,
    /// What was answered in it.
    pub tally: Tally,
    /// Transfers in flight, summed up over time: in transfer-nanoseconds.
    pub inflight_ns: u128,
}

/// Committed transfers of the window tick by tick.
#[derive(Debug, Clone, Default)]
pub struct Ticks {
    /// Length of a tick.
    pub length: Duration,
    /// Committed transfers per tick; only whole ticks.
    pub committed: Vec<u64>,
    /// Transfers in flight at the end of each of these ticks.
    pub inflight: Vec<u64>,
}

/// The series of one client thread.
pub(super) struct Series {
    schedule: Schedule,
    /// `None` when the window is one interval.
    interval: Option<Duration>,
    /// What is recorded now; joins the window when its interval ends.
    pub(super) current: Tally,
    number: u32,
    interval_start: Instant,
    next_interval: Option<Instant>,
    to: mpsc::Sender<ThreadInterval>,
    ticks: Ticks,
    tick_end: Instant,
    tick_began_at: u64,
    inflight: u64,
    looked_at: Instant,
    inflight_ns: u128,
    interval_inflight_ns: u128,
    /// What was in flight until the last answer that counts.
    marked_inflight_ns: u128,
    opened: bool,
    closed: bool,
    cpu_at_start: Option<Duration>,
    cpu: Option<Duration>,
}

/// How long the intervals of a window are, so that there are not too many of them.
pub(super) fn interval_length(asked: Option<Duration>, measure: Measure) -> Option<Duration> {
    let least = match measure {
        Measure::For(window) => window / MOST_INTERVALS,
        Measure::Transfers(_) => Duration::ZERO,
    };
    asked.map(|asked| asked.max(least))
}

/// Messages of one thread that may wait to be read: all of a window of known length.
pub(super) fn messages(interval: Option<Duration>, measure: Measure) -> usize {
    match (interval, measure) {
        (Some(interval), Measure::For(window)) => {
            let count = window.as_secs_f64() / interval.as_secs_f64();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "bounded by MOST_INTERVALS"
            )]
            let count = count.ceil() as usize;
            count + 2
        }
        _ => MOST_INTERVALS as usize,
    }
}

/// Processor time of the calling thread.
fn thread_cpu() -> Option<Duration> {
    use nix::time::{ClockId, clock_gettime};
    #[cfg(target_os = "linux")]
    let clock = ClockId::CLOCK_THREAD_CPUTIME_ID;
    #[cfg(not(target_os = "linux"))]
    let clock = ClockId::CLOCK_PROCESS_CPUTIME_ID;
    clock_gettime(clock).ok().map(Duration::from)
}

impl Series {
    pub(super) fn new(
        schedule: Schedule,
        interval: Option<Duration>,
        measure: Measure,
        to: mpsc::Sender<ThreadInterval>,
    ) -> Self {
        let start = schedule.window_start;
        let length = match measure {
            Measure::For(window) => TICK.max(window / MOST_TICKS),
            Measure::Transfers(_) => TICK,
        };
        Self {
            schedule,
            interval,
            current: Tally::new(),
            number: 0,
            interval_start: start,
            next_interval: interval.map(|interval| start + interval),
            to,
            ticks: Ticks {
                length,
                committed: Vec::new(),
                inflight: Vec::new(),
            },
            tick_end: start + length,
            tick_began_at: 0,
            inflight: 0,
            looked_at: Instant::now(),
            inflight_ns: 0,
            interval_inflight_ns: 0,
            marked_inflight_ns: 0,
            opened: false,
            closed: false,
            cpu_at_start: None,
            cpu: None,
        }
    }

    pub(super) fn enter(&mut self) {
        self.inflight += 1;
    }

    pub(super) fn leave(&mut self) {
        self.inflight -= 1;
    }

    /// Committed transfers of the window so far.
    fn committed(&self, window: &Tally) -> u64 {
        window.counts.committed + self.current.counts.committed
    }

    /// Closes every tick and interval that ended before `now`.
    pub(super) fn turn(&mut self, now: Instant, window: &mut Tally) {
        if self.closed || now < self.schedule.window_start {
            return;
        }
        if !self.opened {
            self.opened = true;
            self.looked_at = self.schedule.window_start;
            self.cpu_at_start = thread_cpu();
        }
        while now >= self.tick_end
            && self
                .schedule
                .window_end
                .is_none_or(|end| self.tick_end <= end)
        {
            self.end_tick(window);
        }
        while let Some(end) = self.next_interval.filter(|end| now >= *end) {
            if self.schedule.window_end.is_some_and(|last| end >= last) {
                break;
            }
            self.end_interval(end, window);
            self.next_interval = self.interval.map(|interval| end + interval);
        }
        match self.schedule.window_end.filter(|end| now >= *end) {
            Some(end) => self.finish(end, window),
            None => self.advance(now),
        }
    }

    /// The window ends at `end`, which is not in the future.
    pub(super) fn finish(&mut self, end: Instant, window: &mut Tally) {
        if self.closed {
            return;
        }
        self.closed = true;
        if !self.opened {
            return;
        }
        if self.schedule.window_end.is_none() {
            // What was in flight after the last answer that counts is not the window's.
            let beyond = self.inflight_ns - self.marked_inflight_ns;
            self.inflight_ns = self.marked_inflight_ns;
            self.interval_inflight_ns = self.interval_inflight_ns.saturating_sub(beyond);
            self.looked_at = self.looked_at.max(end);
        }
        self.end_interval(end.max(self.interval_start), window);
        self.cpu = thread_cpu()
            .zip(self.cpu_at_start)
            .map(|(now, start)| now.saturating_sub(start));
    }

    /// An answer counts that was taken at the time of the last turn.
    pub(super) fn mark(&mut self) {
        self.marked_inflight_ns = self.inflight_ns;
    }

    fn advance(&mut self, to: Instant) {
        let passed = to.saturating_duration_since(self.looked_at).as_nanos();
        let inflight_ns = u128::from(self.inflight) * passed;
        self.inflight_ns += inflight_ns;
        self.interval_inflight_ns += inflight_ns;
        self.looked_at = self.looked_at.max(to);
    }

    fn end_tick(&mut self, window: &Tally) {
        let committed = self.committed(window);
        self.ticks.committed.push(committed - self.tick_began_at);
        self.ticks.inflight.push(self.inflight);
        self.tick_began_at = committed;
        self.tick_end += self.ticks.length;
    }

    fn end_interval(&mut self, end: Instant, window: &mut Tally) {
        self.advance(end);
        window.merge(&self.current);
        let tally = std::mem::replace(&mut self.current, Tally::new());
        if self.interval.is_some() {
            // Nobody reads any more: the run is being given up.
            let _ = self.to.try_send(ThreadInterval {
                number: self.number,
                end: end.saturating_duration_since(self.schedule.window_start),
                tally,
                inflight_ns: self.interval_inflight_ns,
            });
        }
        self.interval_inflight_ns = 0;
        self.interval_start = end;
        self.number += 1;
    }

    /// Transfer-nanoseconds in flight inside the window.
    pub(super) fn inflight_ns(&self) -> u128 {
        self.inflight_ns
    }

    /// Processor time of this thread inside the window.
    pub(super) fn cpu(&self) -> Option<Duration> {
        self.cpu
    }

    pub(super) fn ticks(&self) -> &Ticks {
        &self.ticks
    }

    /// Adds another thread's; processor times stay apart.
    pub(super) fn merge(&mut self, other: &Self) {
        self.inflight_ns += other.inflight_ns;
        let (mine, theirs) = (&mut self.ticks, &other.ticks);
        for (mine, theirs) in [
            (&mut mine.committed, &theirs.committed),
            (&mut mine.inflight, &theirs.inflight),
        ] {
            mine.truncate(theirs.len());
            for (sum, of_other) in mine.iter_mut().zip(theirs) {
                *sum += of_other;
            }
        }
    }
}
