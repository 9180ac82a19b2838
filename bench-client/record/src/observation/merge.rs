//! Several machines put load on one server at the same time: what they saw together.
//!
//! Counts and histograms are added, so that a percentile is that of all transfers. Nothing that is
//! a quantile, a rate or a mean is averaged: it follows from what was added.

use busload_wire::histogram::decode_text;

use super::{Edges, LoadObservation, Observation, Offered, Tally, Ticks};
use crate::record::series::Interval;

#[cfg(test)]
mod tests;

/// Windows may begin apart by this share of their length: for so long some machines' load is
/// measured without the others', at the beginning and at the end.
pub const WINDOW_SKEW_SHARE: f64 = 0.01;
/// Reasons why sessions broke that are kept.
const ERRORS_MAX: usize = 5;

/// Why observations are not one.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MergeError {
    /// There is none.
    #[error("there is no observation to merge: name at least one")]
    Empty,
    /// The windows differ in length: one was stopped early, or they count transfers.
    #[error(
        "one window is {first_ns} ns long and another {other_ns} ns: measure all shards for the \
         same time and let each run to its end"
    )]
    Lengths {
        /// Of the first.
        first_ns: u64,
        /// Of the one that differs.
        other_ns: u64,
    },
    /// The windows are not at the same time.
    #[error(
        "the windows began {apart_us} µs apart, and {most_us} µs are one by the hundredth of \
         their length: start all shards at the same time, by clocks that agree"
    )]
    Apart {
        /// Between the first and the last beginning.
        apart_us: u64,
        /// What would be allowed.
        most_us: u64,
    },
    /// The time series do not have the same intervals.
    #[error(
        "the shards have time series of different intervals: measure all with the same --interval"
    )]
    Intervals,
    /// A load is open, another closed.
    #[error("one shard is an open loop and another is not: give all the same --rate")]
    Pace,
    /// Some know what they did with each account, and others do not.
    #[error("some shards do not tell what they did with each account: measure all as shards")]
    Accounts,
    /// More than one looked at the server.
    #[error("{count} observations saw the server: merge the shards of one run")]
    Systems {
        /// How many did.
        count: usize,
    },
    /// A histogram cannot be read, or has not as many transfers as were counted beside it.
    #[error(
        "a histogram cannot be read, or disagrees with the count beside it: take the observations \
         as they were written"
    )]
    Histogram,
}

impl Observation {
    /// What load machines saw that put load on one server at the same time. The server itself is
    /// seen by at most one of them.
    ///
    /// # Errors
    /// They are not of the same window: its length differs, or it began at another time.
    pub fn merge(observations: &[Self]) -> Result<Self, MergeError> {
        let (first, others) = observations.split_first().ok_or(MergeError::Empty)?;
        check_windows(observations)?;
        let mut merged = first.clone();
        for other in others {
            merged.load.add(&other.load)?;
            merged.machines.extend(other.machines.iter().cloned());
        }
        let mut systems = observations
            .iter()
            .filter_map(|observation| observation.system.as_ref());
        merged.system = systems.next().cloned();
        match systems.count() {
            0 => Ok(merged),
            more => Err(MergeError::Systems { count: more + 1 }),
        }
    }
}

fn check_windows(observations: &[Observation]) -> Result<(), MergeError> {
    let loads = || observations.iter().map(|observation| &observation.load);
    let lengths = || loads().map(|load| load.window_ns);
    let first_ns = lengths().next().unwrap_or_default();
    if let Some(other_ns) = lengths().find(|length| *length != first_ns) {
        return Err(MergeError::Lengths { first_ns, other_ns });
    }
    let starts = || loads().map(|load| load.window_start_unix_us);
    let apart_us = starts().max().unwrap_or_default() - starts().min().unwrap_or_default();
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a tolerance"
    )]
    let most_us = (first_ns as f64 / 1e3 * WINDOW_SKEW_SHARE) as u64;
    if apart_us > most_us {
        return Err(MergeError::Apart { apart_us, most_us });
    }
    Ok(())
}

impl LoadObservation {
    /// Adds the load of another machine over the same window.
    fn add(&mut self, other: &Self) -> Result<(), MergeError> {
        // The time in which both were in their window begins with the later one.
        self.window_start_unix_us = self.window_start_unix_us.max(other.window_start_unix_us);
        self.warmup.add(&other.warmup);
        self.window.add(&other.window)?;
        self.drain.add(&other.drain);
        match (&mut self.offered, &other.offered) {
            (Some(sum), Some(offered)) => sum.add(offered)?,
            (None, None) => {}
            _ => return Err(MergeError::Pace),
        }
        self.mean_inflight += other.mean_inflight;
        self.ticks.add(&other.ticks)?;
        if self.intervals.len() != other.intervals.len() {
            return Err(MergeError::Intervals);
        }
        for (sum, interval) in self.intervals.iter_mut().zip(&other.intervals) {
            *sum = both(sum, interval)?;
        }
        self.loop_lag
            .add(&other.loop_lag)
            .ok_or(MergeError::Histogram)?;
        // The time in which all of them stood still.
        self.stalled_ns = self
            .stalled_ns
            .zip(other.stalled_ns)
            .map(|(ours, theirs)| (ours.0.max(theirs.0), ours.1.min(theirs.1)))
            .filter(|(from, to)| from < to);
        self.edges.add(&other.edges);
        self.submitted += other.submitted;
        self.collisions += other.collisions;
        self.reconnects += other.reconnects;
        self.late_answers += other.late_answers;
        self.contradictory_answers += other.contradictory_answers;
        self.unexpected_answers += other.unexpected_answers;
        self.idle_reconnects += other.idle_reconnects;
        self.resolved += other.resolved;
        self.sent_again += other.sent_again;
        self.gave_up += other.gave_up;
        for error in &other.errors {
            if self.errors.len() < ERRORS_MAX && !self.errors.contains(error) {
                self.errors.push(error.clone());
            }
        }
        self.interrupted |= other.interrupted;
        match (&mut self.account_changes, &other.account_changes) {
            (Some(all), Some(theirs)) => {
                for (account, change) in theirs {
                    all.entry(*account).or_default().add(change);
                }
            }
            (None, None) => {}
            _ => return Err(MergeError::Accounts),
        }
        Ok(())
    }
}

impl Tally {
    fn add(&mut self, other: &Self) -> Result<(), MergeError> {
        self.counts.add(&other.counts);
        self.latency
            .add(&other.latency)
            .ok_or(MergeError::Histogram)?;
        self.service_sum_ns += other.service_sum_ns;
        self.all_service_sum_ns += other.all_service_sum_ns;
        // What was read from a file need not be what was written.
        if self.latency.count() != self.counts.committed {
            return Err(MergeError::Histogram);
        }
        Ok(())
    }
}

impl Offered {
    fn add(&mut self, other: &Self) -> Result<(), MergeError> {
        self.due += other.due;
        for (sum, times) in [
            (&mut self.response, &other.response),
            (&mut self.service, &other.service),
            (&mut self.schedule_lag, &other.schedule_lag),
        ] {
            sum.add(times).ok_or(MergeError::Histogram)?;
        }
        self.late += other.late;
        self.skipped += other.skipped;
        self.dropped += other.dropped;
        Ok(())
    }
}

impl Ticks {
    fn add(&mut self, other: &Self) -> Result<(), MergeError> {
        if self.length_ns != other.length_ns {
            return Err(MergeError::Intervals);
        }
        for (sums, counts) in [
            (&mut self.committed, &other.committed),
            (&mut self.inflight, &other.inflight),
        ] {
            // The last may be missing where a machine's last turn was before its end.
            sums.truncate(counts.len());
            for (sum, count) in sums.iter_mut().zip(counts) {
                *sum += count;
            }
        }
        Ok(())
    }
}

impl Edges {
    fn add(&mut self, other: &Self) {
        self.began_before += other.began_before;
        self.before_ns += other.before_ns;
        self.within_ns += other.within_ns;
        self.shares_before += other.shares_before;
        self.answered_after += other.answered_after;
        self.shares_within += other.shares_within;
    }
}

impl super::AccountChange {
    fn add(&mut self, other: &Self) {
        for (sum, moves) in [
            (&mut self.acknowledged, &other.acknowledged),
            (&mut self.unknown, &other.unknown),
        ] {
            sum.debits += moves.debits;
            sum.credits += moves.credits;
        }
    }
}

/// Two machines' interval. What the server counted in it is told by whichever asked.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn both(ours: &Interval, theirs: &Interval) -> Result<Interval, MergeError> {
    let read =
        |interval: &Interval| decode_text(&interval.latency_histogram).ok_or(MergeError::Histogram);
    let mut latencies = read(ours)?;
    latencies.auto(true);
    latencies
        .add(read(theirs)?)
        .map_err(|_| MergeError::Histogram)?;
    let seconds = ours.seconds.max(theirs.seconds);
    let committed = ours.committed + theirs.committed;
    if latencies.len() != committed {
        return Err(MergeError::Histogram);
    }
    let inflight = |interval: &Interval| interval.in_flight * interval.seconds;
    Ok(Interval {
        start_s: ours.start_s.min(theirs.start_s),
        seconds,
        committed,
        tps: committed as f64 / seconds,
        in_flight: (inflight(ours) + inflight(theirs)) / seconds,
        mean_batch: ours.mean_batch.or(theirs.mean_batch),
        syncs_per_second: ours.syncs_per_second.or(theirs.syncs_per_second),
        sync_us: ours.sync_us.or(theirs.sync_us),
        checkpoints: ours.checkpoints.or(theirs.checkpoints),
        checkpoint_ms: ours.checkpoint_ms.or(theirs.checkpoint_ms),
        checkpoint_stalled_ms: ours.checkpoint_stalled_ms.or(theirs.checkpoint_stalled_ms),
        client_cpu: ours
            .client_cpu
            .zip(theirs.client_cpu)
            .map(|(ours, theirs)| ours + theirs),
        server_cpu: ours.server_cpu.or(theirs.server_cpu),
        ..Interval::default()
    }
    .with_latencies(&latencies))
}
