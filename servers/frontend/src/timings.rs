//! The stages of a transfer that only the front end sees: reading it and sending its answer.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use busload_wire::control::Stats;
use busload_wire::histogram::Recorded;

#[derive(Clone, Default)]
struct Stages {
    read: Recorded,
    reply: Recorded,
}

/// What the connections measured. Locked once per vector of transfers, not per transfer.
///
/// When switched off, it hands out no moments, and without a moment nothing is recorded.
pub(crate) struct Timings(Option<Mutex<Stages>>);

impl Timings {
    /// Empty; records nothing when not `on`.
    pub(crate) fn new(on: bool) -> Self {
        Self(on.then(Mutex::default))
    }

    pub(crate) fn now(&self) -> Option<Instant> {
        self.0.as_ref().map(|_| Instant::now())
    }

    fn lock(&self) -> Option<MutexGuard<'_, Stages>> {
        let stages = self.0.as_ref()?;
        Some(stages.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// It took that long to read so many transfers, which are queued now.
    pub(crate) fn read(&self, took: Option<Duration>, transfers: usize) {
        if let Some(took) = took
            && let Some(mut stages) = self.lock()
        {
            stages.read.record_n(nanos(took), transfers as u64);
        }
    }

    /// The answers of so many transfers, posted at those moments, have left.
    pub(crate) fn replied(&self, answered: &[(Instant, usize)]) {
        if answered.is_empty() {
            return;
        }
        let now = Instant::now();
        if let Some(mut stages) = self.lock() {
            for (posted, transfers) in answered {
                let took = nanos(now.saturating_duration_since(*posted));
                stages.reply.record_n(took, *transfers as u64);
            }
        }
    }

    /// Adds these stages to the engine's, with their histograms or without.
    pub(crate) fn add(&self, stats: &mut Stats, histograms: bool) {
        let Some(stages) = self.lock() else { return };
        let how = if histograms {
            Recorded::to_wire
        } else {
            Recorded::totals
        };
        let show = |stages: &Stages| (how(&stages.read), how(&stages.reply));
        let shown = if histograms {
            // A copy, because packing takes a while, for which the connections would wait.
            let copy = stages.clone();
            drop(stages);
            show(&copy)
        } else {
            show(&stages)
        };
        (
            stats.transfer_stages.read_ns,
            stats.transfer_stages.reply_ns,
        ) = shown;
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_count_once_per_transfer() {
        let timings = Timings::new(true);
        timings.read(Some(Duration::from_micros(7)), 3);
        let posted = timings.now().expect("it is on");
        timings.replied(&[(posted, 2), (posted, 5)]);
        let mut stats = Stats::default();
        timings.add(&mut stats, false);
        let stages = &stats.transfer_stages;
        assert_eq!((stages.read_ns.count, stages.reply_ns.count), (3, 7));
        assert_eq!(stages.read_ns.sum, 21_000);
        assert!(stages.read_ns.histogram.is_empty());
        let sums = (stages.read_ns.sum, stages.reply_ns.sum);
        timings.add(&mut stats, true);
        let stages = &stats.transfer_stages;
        assert_eq!((stages.read_ns.sum, stages.reply_ns.sum), sums);
        let read = busload_wire::histogram::decode(&stages.read_ns);
        assert_eq!(read.expect("it is sent").len(), 3);
    }

    #[test]
    fn switched_off_nothing_is_recorded() {
        let timings = Timings::new(false);
        assert_eq!(timings.now(), None);
        timings.read(Some(Duration::from_micros(7)), 3);
        timings.replied(&[(Instant::now(), 2)]);
        let mut stats = Stats::default();
        timings.add(&mut stats, true);
        assert_eq!(stats, Stats::default());
    }
}
