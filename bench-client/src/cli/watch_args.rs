//! How a person follows a measurement: a line per interval, or a view of the terminal.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

use std::cell::Cell;
use std::time::{Duration, Instant};

use bench_client::config::heading::OUTPUT;
use bench_client::config::{RunConfig, parse_interval};
use bench_client::measure::Progress;
use clap::Args;
use tokio::sync::watch;

use super::UsageError;
use super::progress::{Detail, ProgressLine, asked_for};
use super::verbosity;
use super::view::View;

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct WatchArgs {
    /// Print each interval of the time series as it ends
    ///
    /// On standard error. With a time, in seconds or with a unit, intervals are that long, whatever
    /// --interval says.
    #[arg(short = 'P', long, value_name = "TIME", value_parser = parse_interval)]
    #[arg(conflicts_with = "tui", help_heading = OUTPUT)]
    #[expect(
        clippy::option_option,
        reason = "how clap tells no flag, a bare one, and one with a value"
    )]
    print_intervals: Option<Option<Duration>>,
    /// Show a live view on the terminal
    ///
    /// q or Ctrl-C stops; what was measured until then is recorded. The terminal is that of standard error; reports
    /// come after the view. Without a terminal there are a warning and lines as of
    /// --print-intervals.
    #[arg(long, help_heading = OUTPUT)]
    tui: bool,
}

impl WatchArgs {
    /// Whether a person wants to follow.
    pub(crate) fn is_asked_for(&self) -> bool {
        self.tui || self.print_intervals.is_some()
    }

    /// Whether a view is to take the terminal.
    pub(crate) fn takes_the_terminal(&self) -> bool {
        self.tui
    }

    /// Makes the intervals as long as was asked for.
    pub(crate) fn set_intervals(&self, plans: &mut [RunConfig]) -> Result<(), UsageError> {
        let Some(length) = self.print_intervals else {
            return Ok(());
        };
        for plan in plans {
            if plan.load.interval().is_none() {
                return Err(UsageError(
                    "--print-intervals needs a time series: leave out --no-intervals".to_owned(),
                ));
            }
            plan.load.interval = length.unwrap_or(plan.load.interval);
        }
        Ok(())
    }

    /// Takes the terminal over, if that was asked for and is possible. `interrupted` is shown.
    /// Without it, `quiet` shows nothing.
    pub(crate) fn start(&self, interrupted: &watch::Receiver<bool>, quiet: bool) -> Watcher {
        let mut print_intervals = self.print_intervals.is_some();
        let view = if self.tui {
            View::open(interrupted.clone())
                .inspect_err(|why| {
                    print_intervals = true;
                    verbosity::warning(&format!(
                        "no terminal view: {why}; printing the intervals instead"
                    ));
                })
                .ok()
        } else {
            None
        };
        Watcher {
            print_intervals,
            quiet,
            view,
            began: Instant::now(),
            done: Cell::new(0),
        }
    }
}

/// Follows the rows of a run; gives the terminal back when dropped.
pub(crate) struct Watcher {
    print_intervals: bool,
    quiet: bool,
    view: Option<View>,
    began: Instant,
    /// Rows that have ended.
    done: Cell<u32>,
}

impl Watcher {
    /// Where the row that begins now says how far it is. `place` is its number and of how many.
    pub(crate) fn row(&self, place: (usize, usize), plan: &RunConfig) -> Box<dyn Progress + '_> {
        let name = plan.name.clone().unwrap_or_else(|| plan.subject());
        let title = match place {
            (_, 1) => name,
            (number, of) => format!("row {number} of {of}, {name}"),
        };
        let detail = match (self.print_intervals, self.quiet) {
            (true, _) if place.1 > 1 => Detail::TitledIntervals,
            (true, _) => Detail::Intervals,
            (false, true) => Detail::Nothing,
            (false, false) => Detail::Line,
        };
        let later = self.each_takes(plan).map(|each| {
            let rows = place.1.saturating_sub(place.0);
            each * u32::try_from(rows).unwrap_or(u32::MAX)
        });
        self.done.set(self.done.get() + 1);
        match &self.view {
            Some(view) => Box::new(view.row(title, plan)),
            None => Box::new(ProgressLine::new(title, plan, later, detail)),
        }
    }

    /// How long a row takes: as long as those before it did, or what was asked for.
    fn each_takes(&self, plan: &RunConfig) -> Option<Duration> {
        match self.done.get() {
            0 => asked_for(plan),
            rows => Some(self.began.elapsed() / rows),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        watch: WatchArgs,
    }

    fn parse(flags: &[&str]) -> Result<WatchArgs, clap::Error> {
        let words = ["program"].iter().chain(flags);
        Command::try_parse_from(words).map(|command| command.watch)
    }

    #[test]
    fn a_number_is_seconds() {
        let length = |flags: &[&str]| parse(flags).unwrap().print_intervals;
        assert_eq!(length(&[]), None);
        assert_eq!(length(&["-P"]), Some(None));
        assert_eq!(length(&["-P", "1"]), Some(Some(Duration::from_secs(1))));
        assert_eq!(
            length(&["--print-intervals=0.5"]),
            Some(Some(Duration::from_millis(500)))
        );
        assert_eq!(
            length(&["-P", "250ms"]),
            Some(Some(Duration::from_millis(250)))
        );
        for wrong in ["0", "-1", "0.01", "7200", "nan", "inf", "often"] {
            let flag = format!("--print-intervals={wrong}");
            assert!(parse(&[&flag]).is_err(), "{wrong}");
        }
        assert!(parse(&["-P", "--tui"]).is_err(), "one terminal, one way");
    }
}
