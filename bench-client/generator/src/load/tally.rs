//! Outcomes and times of transfers, counted and added up.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::connector::{Outcome, Reason};

/// Latencies up to 60 s find their room; for longer ones it grows.
const EXPECTED_NS: u64 = 60_000_000_000;
/// Places of reasons, and 0.
const REASONS: usize = Reason::ALL.len() + 1;

/// Outcomes of transfers, kept apart.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Acknowledged.
    pub committed: u64,
    /// Outcome unknown.
    pub unknown: u64,
    rejected: [u64; REASONS],
    /// At 0: never left the client.
    failed: [u64; REASONS],
}

/// The place of a reason in the counts.
fn place(reason: Option<Reason>) -> usize {
    reason.map_or(0, |reason| reason.place() + 1)
}

fn by_reason(counts: &[u64; REASONS]) -> BTreeMap<String, u64> {
    let names = std::iter::once("not_sent").chain(Reason::ALL.iter().map(|it| it.as_str()));
    names
        .zip(counts)
        .filter(|(_, n)| **n > 0)
        .map(|(name, n)| (name.to_owned(), *n))
        .collect()
}

impl Counts {
    fn count(&mut self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Committed => &mut self.committed,
            Outcome::Unknown => &mut self.unknown,
            Outcome::Rejected(reason) => &mut self.rejected[place(Some(reason))],
            Outcome::Failed(reason) => &mut self.failed[place(reason)],
        };
        *counter += 1;
    }

    /// Adds other counts to these.
    pub fn add(&mut self, other: &Self) {
        self.committed += other.committed;
        self.unknown += other.unknown;
        for (sum, n) in self.rejected.iter_mut().zip(other.rejected) {
            *sum += n;
        }
        for (sum, n) in self.failed.iter_mut().zip(other.failed) {
            *sum += n;
        }
    }

    /// Rejected transfers by reason.
    #[must_use]
    pub fn rejected(&self) -> BTreeMap<String, u64> {
        by_reason(&self.rejected)
    }

    /// Failed transfers by reason.
    #[must_use]
    pub fn failed(&self) -> BTreeMap<String, u64> {
        by_reason(&self.failed)
    }

    /// All outcomes.
    #[must_use]
    pub fn total(&self) -> u64 {
        let others: u64 = self.rejected.iter().chain(&self.failed).sum();
        self.committed + self.unknown + others
    }
}

/// Times with an exact sum beside the histogram, whose mean is rounded.
#[derive(Debug, Clone)]
pub struct Times {
    /// In nanoseconds.
    pub ns: Histogram<u64>,
    /// Their exact sum, in nanoseconds.
    pub sum_ns: u128,
}

impl Times {
    pub(super) fn new() -> Self {
        let mut ns = Histogram::new_with_max(EXPECTED_NS, 3).expect("constant bounds are valid");
        // An exact mean beside a clipped maximum could exceed it.
        ns.auto(true);
        Self { ns, sum_ns: 0 }
    }

    pub(super) fn record(&mut self, time: Duration) {
        let ns = nanos(time);
        // What grows takes every value.
        self.ns.record(ns).expect("the histogram grows");
        self.sum_ns += u128::from(ns);
    }

    /// Adds what another thread or interval recorded.
    ///
    /// # Panics
    /// Never: the histogram grows to the longest of both.
    pub fn merge(&mut self, other: &Self) {
        self.ns.add(&other.ns).expect("the histogram grows");
        self.sum_ns += other.sum_ns;
    }

    /// The arithmetic mean in nanoseconds, 0 of nothing.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds far below 2^52")]
    pub fn mean_ns(&self) -> f64 {
        match self.ns.len() {
            0 => 0.0,
            count => self.sum_ns as f64 / count as f64,
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// When a transfer was due, sent and answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    pub(super) intended: Instant,
    pub(super) sent: Instant,
    pub(super) answered: Instant,
}

impl Timing {
    pub(super) fn response(&self) -> Duration {
        self.answered.saturating_duration_since(self.intended)
    }

    pub(super) fn service(&self) -> Duration {
        self.answered.saturating_duration_since(self.sent)
    }
}

/// What one phase saw.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Outcomes.
    pub counts: Counts,
    /// Latency of committed transfers: from the intended start to the answer.
    pub latency: Times,
    /// Time of committed transfers from being sent to the answer: summed up, in nanoseconds.
    pub service_sum_ns: u128,
    /// The same of all transfers, whatever became of them.
    pub all_service_sum_ns: u128,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            counts: Counts::default(),
            latency: Times::new(),
            service_sum_ns: 0,
            all_service_sum_ns: 0,
        }
    }

    pub(super) fn record(&mut self, outcome: Outcome, timing: &Timing) {
        self.counts.count(outcome);
        let service = timing.service().as_nanos();
        self.all_service_sum_ns += service;
        if outcome == Outcome::Committed {
            self.latency.record(timing.response());
            self.service_sum_ns += service;
        }
    }

    /// Adds what another thread or interval recorded.
    pub fn merge(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        self.latency.merge(&other.latency);
        self.service_sum_ns += other.service_sum_ns;
        self.all_service_sum_ns += other.all_service_sum_ns;
    }
}

/// What an open loop has besides: of the transfers whose intended start was inside the window,
/// whenever they were answered.
#[derive(Debug, Clone)]
pub struct Offered {
    /// Transfers that were due.
    pub due: u64,
    /// From the intended start to the answer, of committed ones.
    pub response: Times,
    /// From being sent to the answer, of committed ones.
    pub service: Times,
    /// How late those were sent for which there was room when they were due.
    pub schedule_lag: Times,
    /// Committed, and later than the limit.
    pub late: u64,
    /// Not sent, because the limit had passed before there was room.
    pub skipped: u64,
    /// Never sent: no room until the window ended.
    pub dropped: u64,
}

impl Offered {
    pub(super) fn new() -> Self {
        Self {
            due: 0,
            response: Times::new(),
            service: Times::new(),
            schedule_lag: Times::new(),
            late: 0,
            skipped: 0,
            dropped: 0,
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.due += other.due;
        self.response.merge(&other.response);
        self.service.merge(&other.service);
        self.schedule_lag.merge(&other.schedule_lag);
        self.late += other.late;
        self.skipped += other.skipped;
        self.dropped += other.dropped;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From 1 us to 60 s, three significant digits.
    #[test]
    fn times_keep_three_significant_digits_from_a_microsecond_to_a_minute() {
        let mut all = Times::new();
        let mut sum = 0_u128;
        let mut ns = 1_000_u64;
        let mut counts = 0;
        while ns <= EXPECTED_NS {
            let mut times = Times::new();
            times.record(Duration::from_nanos(ns));
            all.record(Duration::from_nanos(ns));
            for told in [
                times.ns.value_at_quantile(0.5),
                times.ns.max(),
                times.ns.min(),
            ] {
                assert!(told.abs_diff(ns) * 1_000 <= ns, "{told} for {ns}");
            }
            assert_eq!(times.sum_ns, u128::from(ns));
            sum += u128::from(ns);
            counts += 1;
            // Steps of 0.37 %, which hit every kind of place in a bucket.
            ns += ns * 37 / 10_000;
        }
        assert!(counts > 4_000);
        assert_eq!((all.ns.len(), all.sum_ns), (counts, sum));
    }

    #[test]
    fn what_takes_longer_than_a_minute_is_told_as_it_is() {
        let mut times = Times::new();
        let hours = Duration::from_hours(30);
        for time in [hours, Duration::from_mins(10), Duration::ZERO] {
            times.record(time);
        }
        let mut merged = Times::new();
        merged.record(Duration::from_secs(1));
        merged.merge(&times);
        for (times, count) in [(times, 3), (merged, 4)] {
            assert_eq!(times.ns.len(), count);
            let longest = nanos(hours);
            assert!(times.ns.max().abs_diff(longest) * 1_000 <= longest);
            assert!(times.sum_ns / u128::from(count) <= u128::from(longest));
        }
        assert!(Times::new().mean_ns().abs() < f64::EPSILON);
    }
}
