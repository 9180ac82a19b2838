//! The progress line on a terminal; silence everywhere else.

use std::time::Duration;

use bench_client::report::table;
use bench_client::row::Progress;
use indicatif::{ProgressBar, ProgressStyle};

/// A line on standard error that is redrawn in place.
pub(crate) struct ProgressLine {
    bar: ProgressBar,
    title: String,
}

impl ProgressLine {
    /// `title` names the row. Hidden when standard error is no terminal.
    pub(crate) fn new(title: String) -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        Self { bar, title }
    }
}

impl Progress for ProgressLine {
    fn stage(&self, what: &str) {
        self.bar.set_message(format!("{}: {what}", self.title));
        self.bar.tick();
    }

    fn load(&self, phase: &str, elapsed: Duration, tps: f64) {
        let seconds = elapsed.as_secs_f64();
        let tps = table::rate(tps);
        self.bar
            .set_message(format!("{}: {phase} {seconds:.1} s, {tps} TPS", self.title));
        self.bar.tick();
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
