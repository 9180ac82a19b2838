//! The progress line on a terminal, and a line per interval where it is asked for.

use std::cell::Cell;
use std::io::Write as _;
use std::time::Duration;

use bench_client::figures;
use bench_client::measure::Progress;
use bench_client::record::series::Interval;
use bench_client::render::records::row::interval_line;
use indicatif::{ProgressBar, ProgressStyle};

/// A line on standard error that is redrawn in place.
pub(crate) struct ProgressLine {
    bar: ProgressBar,
    title: String,
    print_intervals: bool,
    /// The title is still to be printed above the intervals.
    untitled: Cell<bool>,
}

impl ProgressLine {
    /// `title` names the row. Hidden when standard error is no terminal; intervals are printed
    /// there all the same when `print_intervals`, below the title when `print_title`.
    pub(crate) fn new(title: String, print_intervals: bool, print_title: bool) -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        Self {
            bar,
            title,
            print_intervals,
            untitled: Cell::new(print_title),
        }
    }
}

impl Progress for ProgressLine {
    fn stage(&self, what: &str) {
        self.bar.set_message(format!("{}: {what}", self.title));
        self.bar.tick();
    }

    fn notice(&self, what: &str) {
        // A reader that has gone away is no reason to stop.
        self.bar
            .suspend(|| drop(writeln!(std::io::stderr(), "{}: {what}", self.title)));
    }

    fn load(&self, phase: &str, elapsed: Duration, tps: f64) {
        let seconds = elapsed.as_secs_f64();
        let tps = figures::rate(tps);
        self.bar
            .set_message(format!("{}: {phase} {seconds:.1} s, {tps} TPS", self.title));
        self.bar.tick();
    }

    fn interval(&self, interval: &Interval) {
        if !self.print_intervals {
            return;
        }
        let mut text = String::new();
        if self.untitled.replace(false) {
            text = format!("{}\n", self.title);
        }
        text.push_str(&interval_line(interval));
        // A reader that has gone away is no reason to stop.
        self.bar
            .suspend(|| drop(writeln!(std::io::stderr(), "{text}")));
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
