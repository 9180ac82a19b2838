//! How far a measurement is: a line on a terminal that is redrawn in place, a line every few
//! seconds where there is none, and a line per interval where it is asked for.

use std::cell::Cell;
use std::io::{IsTerminal as _, Write as _, stderr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bench_client::config::RunConfig;
use bench_client::figures;
use bench_client::measure::{Progress, TpsSoFar};
use bench_client::record::series::Interval;
use bench_client::render::records::row::interval_line;
use indicatif::{ProgressBar, ProgressStyle};

use super::screen;

/// Without a terminal a line is printed this often, so that a log shows that it goes on.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Between two looks at the clock where nothing else changes what is shown.
const TICK: Duration = Duration::from_millis(500);

/// When a line was last printed on standard error, of which there is one.
static PRINTED: Mutex<Option<Instant>> = Mutex::new(None);

/// Notes that a line is printed now.
fn note_printed() {
    *PRINTED.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
}

/// Whether it is time for another line. The first call only starts the clock.
fn is_due() -> bool {
    let mut printed = PRINTED.lock().unwrap_or_else(PoisonError::into_inner);
    printed.get_or_insert_with(Instant::now).elapsed() >= LINE_INTERVAL
}

/// Prints a line of progress. A reader that has gone away is no reason to stop. While the
/// terminal shows a view, which has it too, it is left out.
pub(crate) fn say(line: &str) {
    if !screen::is_open() {
        drop(writeln!(stderr(), "{line}"));
        note_printed();
    }
}

/// Prints a line of progress, unless there was one a moment ago.
pub(crate) fn say_when_due(line: &str) {
    if is_due() {
        say(line);
    }
}

/// What is shown of the progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Nothing but what a person should read now.
    Nothing,
    /// How far it is.
    Line,
    /// Each interval as well.
    Intervals,
    /// Each interval, below the row's title.
    TitledIntervals,
}

/// A line on standard error that a terminal shows redrawn in place; without one it is printed now
/// and then.
pub(crate) struct StatusLine {
    bar: ProgressBar,
    /// Printed where nothing can be redrawn.
    printed: bool,
}

impl StatusLine {
    pub(crate) fn new(detail: Detail) -> Self {
        let bar = if detail == Detail::Nothing {
            ProgressBar::hidden()
        } else {
            ProgressBar::new_spinner()
        };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        Self {
            bar,
            printed: detail == Detail::Line,
        }
    }

    pub(crate) fn show(&self, what: String) {
        if self.printed && !stderr().is_terminal() {
            say_when_due(&what);
        }
        self.bar.set_message(what);
        self.bar.tick();
    }

    /// Shows a text that changes with time until the work is done.
    pub(crate) async fn while_doing<T>(
        &self,
        text: impl Fn() -> String,
        work: impl Future<Output = T>,
    ) -> T {
        let ticking = async {
            loop {
                tokio::time::sleep(TICK).await;
                self.show(text());
            }
        };
        tokio::select! {
            done = work => done,
            never = ticking => never,
        }
    }

    /// Prints a line that stays, above this one.
    pub(crate) fn say(&self, what: &str) {
        self.bar.suspend(|| say(what));
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// What is left when so many of all took so long; `None` before the first.
pub(crate) fn remaining(done: u64, of: u64, took: Duration) -> Option<Duration> {
    let each = took / u32::try_from(done).ok().filter(|done| *done > 0)?;
    each.checked_mul(u32::try_from(of.saturating_sub(done)).ok()?)
}

/// `, about 40 s left`.
pub(crate) fn left(time: Duration) -> String {
    format!(
        ", about {} s left",
        figures::rate(time.as_secs_f64().ceil())
    )
}

/// How long a row takes by its configuration, where that says it.
pub(crate) fn asked_for(plan: &RunConfig) -> Option<Duration> {
    let window = plan.load.window.filter(|_| plan.load.transfers.is_none());
    Some(plan.load.warmup + window?)
}

/// How far a measurement is, on standard error.
pub(crate) struct ProgressLine {
    status: StatusLine,
    title: String,
    detail: Detail,
    /// The title is still to be printed above the intervals.
    untitled: Cell<bool>,
    warmup: Duration,
    window: Option<Duration>,
    /// How long the rows after this one take, as far as it is known.
    later: Option<Duration>,
}

impl ProgressLine {
    /// `title` names the row, `later` is what the rows after it will take.
    pub(crate) fn new(
        title: String,
        plan: &RunConfig,
        later: Option<Duration>,
        detail: Detail,
    ) -> Self {
        Self {
            status: StatusLine::new(detail),
            title,
            detail,
            untitled: Cell::new(detail == Detail::TitledIntervals),
            warmup: plan.load.warmup,
            window: plan.load.window.filter(|_| plan.load.transfers.is_none()),
            later,
        }
    }
}

/// `2 of 6 s`, whole seconds where there are many.
fn of_total(elapsed: Duration, total: Option<Duration>) -> String {
    let seconds = |time: Duration| time.as_secs_f64();
    let Some(total) = total else {
        return format!("{:.1} s", seconds(elapsed));
    };
    let elapsed = seconds(elapsed.min(total));
    if seconds(total) < 3.0 {
        format!("{elapsed:.1} of {:.1} s", seconds(total))
    } else {
        format!("{elapsed:.0} of {:.0} s", seconds(total))
    }
}

impl Progress for ProgressLine {
    fn stage(&self, what: &str) {
        self.status.show(format!("{}: {what}", self.title));
    }

    fn notice(&self, what: &str) {
        self.status.say(&format!("{}: {what}", self.title));
    }

    fn load(&self, phase: &str, elapsed: Duration, tps: TpsSoFar) {
        // The null server's windows are of other lengths than the row's.
        let is_warmup = phase.starts_with("warming");
        let total = if is_warmup {
            Some(self.warmup)
        } else {
            self.window
        };
        let total = total.filter(|total| elapsed <= *total + Duration::from_secs(1));
        let left = total.zip(self.later).map(|(total, later)| {
            let window = self.window.filter(|_| is_warmup).unwrap_or_default();
            left(total.saturating_sub(elapsed) + window + later)
        });
        let (place, tps) = (of_total(elapsed, total), figures::rate(tps.mean));
        let left = left.unwrap_or_default();
        let said = format!("{}: {phase} {place}, {tps} TPS{left}", self.title);
        self.status.show(said);
    }

    fn interval(&self, interval: &Interval) {
        if !matches!(self.detail, Detail::Intervals | Detail::TitledIntervals) {
            return;
        }
        let mut text = String::new();
        if self.untitled.replace(false) {
            text = format!("{}\n", self.title);
        }
        text.push_str(&interval_line(interval));
        self.status.say(&text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_not_known_before_the_first() {
        assert_eq!(remaining(0, 9, Duration::from_secs(1)), None);
        let some = remaining(3, 9, Duration::from_secs(3));
        assert_eq!(some, Some(Duration::from_secs(6)));
        assert_eq!(some.map(left).unwrap(), ", about 6 s left");
    }

    #[test]
    fn a_total_is_said_where_it_is_known() {
        let seconds = Duration::from_secs_f64;
        assert_eq!(of_total(seconds(2.04), None), "2.0 s");
        assert_eq!(of_total(seconds(2.04), Some(seconds(6.0))), "2 of 6 s");
        assert_eq!(
            of_total(seconds(7.0), Some(seconds(6.0))),
            "6 of 6 s",
            "what is drained is not measured"
        );
        assert_eq!(of_total(seconds(0.2), Some(seconds(0.5))), "0.2 of 0.5 s");
    }
}
