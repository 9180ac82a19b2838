//! Committed transfers that cross an end of the window.

use std::time::{Duration, Instant};

use super::tally::Timing;

/// What crossed the two ends of the window, each transfer also counted by the share of its time
/// (from the intended start to the answer) that lay on one side.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Edges {
    /// Due before the window opened, committed in it.
    pub began_before: u64,
    /// Their time before it opened, summed up in nanoseconds.
    pub before_ns: u128,
    /// Their time after it opened, likewise.
    pub within_ns: u128,
    /// Their shares of time before it opened, summed up.
    pub shares_before: f64,
    /// Due in the window, committed after it closed.
    pub answered_after: u64,
    /// Their shares of time before it closed, summed up.
    pub shares_within: f64,
}

/// The time until `edge` and the whole time; the edge lies in between.
fn split(timing: &Timing, edge: Instant) -> (Duration, Duration) {
    debug_assert!(timing.intended <= edge && edge <= timing.answered);
    (
        edge.saturating_duration_since(timing.intended),
        timing.answered.saturating_duration_since(timing.intended),
    )
}

fn share(part: Duration, whole: Duration) -> f64 {
    if whole.is_zero() {
        0.0
    } else {
        part.as_secs_f64() / whole.as_secs_f64()
    }
}

impl Edges {
    /// A transfer was due before the window opened and is committed in it.
    pub(super) fn cross_opening(&mut self, timing: &Timing, opening: Instant) {
        let (before, whole) = split(timing, opening);
        self.began_before += 1;
        self.before_ns += before.as_nanos();
        self.within_ns += whole.saturating_sub(before).as_nanos();
        self.shares_before += share(before, whole);
    }

    /// A transfer was due in the window and is committed after it closed.
    pub(super) fn cross_closing(&mut self, timing: &Timing, closing: Instant) {
        let (within, whole) = split(timing, closing);
        self.answered_after += 1;
        self.shares_within += share(within, whole);
    }

    /// Adds another thread's.
    pub(super) fn merge(&mut self, other: &Self) {
        self.began_before += other.began_before;
        self.before_ns += other.before_ns;
        self.within_ns += other.within_ns;
        self.shares_before += other.shares_before;
        self.answered_after += other.answered_after;
        self.shares_within += other.shares_within;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_counts_by_the_share_of_its_time_on_either_side() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let timing = |intended, answered| Timing {
            intended: at(intended),
            sent: at(intended),
            answered: at(answered),
        };
        let mut edges = Edges::default();
        edges.cross_opening(&timing(0, 100), at(75));
        edges.cross_opening(&timing(50, 100), at(75));
        edges.cross_closing(&timing(190, 200), at(199));
        let mut sum = Edges::default();
        sum.merge(&edges);
        sum.merge(&edges);
        assert_eq!((sum.began_before, sum.answered_after), (4, 2));
        assert_eq!((sum.before_ns, sum.within_ns), (200_000_000, 100_000_000));
        assert!((sum.shares_before - 2.5).abs() < 1e-9, "{sum:?}");
        assert!((sum.shares_within - 1.8).abs() < 1e-9, "{sum:?}");
    }
}
