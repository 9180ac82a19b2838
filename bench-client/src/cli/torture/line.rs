//! How far an audit is, on standard error.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use bench_client::figures::grouped;
use bench_client::record::torture::{CycleRow, FaultKind, Finding};
use bench_client::render::records::torture::cycle_line;
use bench_client::torture::{audit, crash_states};

use super::VerbosityArgs;
use crate::cli::progress::{self, Detail, StatusLine, remaining};

/// One line that says how far the audit is. What was found stays above it, and so does every cycle
/// where that is asked for.
pub(super) struct TortureLine {
    status: StatusLine,
    verbosity: VerbosityArgs,
    /// Cycles of all stages.
    of: u32,
    /// How long one is at most, without the restart.
    cycle: Duration,
    told: RefCell<Told>,
}

/// What is known.
struct Told {
    doing: String,
    cycles: u32,
    acknowledged: u64,
    lost: u64,
    began: Instant,
    /// When the last cycle, or the first crash state, was over.
    since: Instant,
    /// Judged, of how many, something is wrong with.
    states: Option<[u64; 3]>,
}

impl TortureLine {
    pub(super) fn new(of: u32, cycle: Duration, verbosity: VerbosityArgs) -> Self {
        let now = Instant::now();
        let detail = if verbosity.quiet {
            Detail::Nothing
        } else {
            Detail::Line
        };
        Self {
            status: StatusLine::new(detail),
            verbosity,
            of,
            cycle,
            told: RefCell::new(Told {
                doing: "starting the server".to_owned(),
                cycles: 0,
                acknowledged: 0,
                lost: 0,
                began: now,
                since: now,
                states: None,
            }),
        }
    }

    /// Shows how far it is while it goes on.
    pub(super) async fn while_doing<T>(&self, work: impl Future<Output = T>) -> T {
        self.status
            .while_doing(|| self.text(Instant::now()), work)
            .await
    }

    fn show(&self) {
        self.status.show(self.text(Instant::now()));
    }

    fn text(&self, now: Instant) -> String {
        let told = self.told.borrow();
        if let Some([done, of, bad]) = told.states {
            let left = remaining(done, of, now - told.since);
            let left = left.map(progress::left).unwrap_or_default();
            return format!(
                "crash states: {} of {}, {} with something wrong{left}",
                grouped(done),
                grouped(of),
                grouped(bad)
            );
        }
        let (done, of) = (told.cycles.into(), self.of.into());
        let left = remaining(done, of, told.since - told.began);
        let left = left.or_else(|| self.cycle.checked_mul(self.of));
        // What the cycle has taken until now is over.
        let left = left
            .filter(|_| done < of)
            .map(|left| progress::left(left.saturating_sub(now - told.since)));
        format!(
            "{}: {} acknowledged, {} lost{}",
            told.doing,
            grouped(told.acknowledged),
            grouped(told.lost),
            left.unwrap_or_default()
        )
    }

    fn say(&self, what: &str) {
        if !self.verbosity.quiet {
            self.status.say(what);
        }
    }
}

impl audit::Progress for &TortureLine {
    fn begins(&mut self, number: u32, fault: FaultKind) {
        let (number, of) = (grouped(number.into()), grouped(self.of.into()));
        self.told.borrow_mut().doing = format!("cycle {number} of {of}, {fault}");
        self.show();
    }

    fn cycle(&mut self, row: &CycleRow, findings: &[Finding]) {
        let mut told = self.told.borrow_mut();
        told.cycles += 1;
        told.acknowledged += row.counts.acknowledged;
        told.lost += row.counts.lost;
        told.since = Instant::now();
        drop(told);
        if self.verbosity.verbose || !findings.is_empty() {
            self.say(&cycle_line(row, self.of, findings));
        }
        self.show();
    }

    fn waiting(&mut self, what: &str) {
        self.say(what);
    }

    fn not_judged(&mut self, number: u32) {
        self.say(&format!(
            "cycle {number} is not judged, and not in the record: the audit was ended before the \
             server was back"
        ));
    }
}

impl crash_states::runs::Progress for &TortureLine {
    fn stage(&mut self, what: &str) {
        self.status.show(format!("crash states: {what}"));
    }

    fn states(&mut self, done: u64, of: u64, bad: u64) {
        let mut told = self.told.borrow_mut();
        if told.states.is_none() {
            told.since = Instant::now();
        }
        told.states = Some([done, of, bad]);
        drop(told);
        self.show();
    }
}

#[cfg(test)]
mod tests {
    use bench_client::record::torture::{Counts, Moment};
    use bench_client::torture::audit::Progress as _;

    use super::*;

    #[test]
    fn the_line_says_what_is_done_of_how_much_and_what_is_left() {
        let quiet = VerbosityArgs {
            verbose: false,
            quiet: true,
        };
        let line = TortureLine::new(14, Duration::from_secs(2), quiet);
        let began = line.told.borrow().began;
        (&line).begins(1, FaultKind::Kill);
        let after = |seconds| line.text(began + Duration::from_secs(seconds));
        assert_eq!(
            after(1),
            "cycle 1 of 14, kill: 0 acknowledged, 0 lost, about 27 s left"
        );
        let row = CycleRow {
            number: 1,
            fault: FaultKind::Kill,
            moment: Moment::Time { after_ms: 81 },
            injected: true,
            ended: "SIGKILL".to_owned(),
            syncs: None,
            counts: Counts {
                acknowledged: 12_345,
                lost: 1,
                ..Counts::default()
            },
        };
        (&line).cycle(&row, &[]);
        // The first took three seconds.
        line.told.borrow_mut().since = began + Duration::from_secs(3);
        (&line).begins(2, FaultKind::Term);
        assert_eq!(
            after(4),
            "cycle 2 of 14, term: 12,345 acknowledged, 1 lost, about 38 s left"
        );
    }
}
