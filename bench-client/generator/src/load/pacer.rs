//! When the next transfer is meant to start.

use std::time::{Duration, Instant};

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

use crate::config::Arrival;
use crate::connector::WorkerId;
use crate::workload::worker_seed;

/// What a pacer says about the next transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// It was meant to start at this time, which is not in the future. Latency counts
    /// from here.
    Now(Instant),
    /// Not before this time.
    At(Instant),
}

/// Gives each transfer its intended start.
pub trait Pacer {
    /// The next transfer's intended start, asked for when a slot is free.
    fn next(&mut self, now: Instant) -> Due;

    /// How many transfers were due from `after` on and before `end` and not asked for. They
    /// are handed out no more.
    fn abandon_before(&mut self, end: Instant, after: Instant) -> u64;

    /// Response time above which a transfer is late.
    fn latency_limit(&self) -> Option<Duration>;
}

/// A closed loop: the next transfer starts when an earlier one was answered. Its latency
/// does not show what would have waited while the server stood still.
#[derive(Debug, Clone, Copy)]
pub struct ClosedLoop;

impl Pacer for ClosedLoop {
    fn next(&mut self, now: Instant) -> Due {
        Due::Now(now)
    }

    fn abandon_before(&mut self, _: Instant, _: Instant) -> u64 {
        0
    }

    fn latency_limit(&self) -> Option<Duration> {
        None
    }
}

/// One worker's share of an open loop.
///
/// Constant arrivals are dealt out to the workers in turn, so that all of them together are
/// at equal distances. Poisson arrivals of the workers are independent, and independent
/// Poisson processes add up to one of the summed rate.
#[derive(Debug, Clone)]
pub struct OpenLoop {
    start: Instant,
    /// Since `start`, in seconds.
    next_s: f64,
    spacing: Spacing,
    latency_limit: Option<Duration>,
}

#[derive(Debug, Clone)]
enum Spacing {
    Constant {
        /// Number of the next arrival among those of all workers.
        number: f64,
        workers: f64,
        rate: f64,
    },
    Poisson {
        random: Xoshiro256PlusPlus,
        mean_s: f64,
    },
}

/// Set apart from the streams that draw accounts from the same seed.
const ARRIVAL_STREAM: u64 = 0xA881_7A15_0000_0000;

impl OpenLoop {
    /// The share of `worker` among `workers` of `rate` transfers per second, from `start` on.
    #[must_use]
    pub fn new(
        rate: f64,
        arrival: Arrival,
        latency_limit: Option<Duration>,
        worker: WorkerId,
        workers: u32,
        seed: u64,
        start: Instant,
    ) -> Self {
        let workers = f64::from(workers.max(1));
        let spacing = match arrival {
            Arrival::Constant => Spacing::Constant {
                number: f64::from(worker.0),
                workers,
                rate,
            },
            Arrival::Poisson => Spacing::Poisson {
                random: Xoshiro256PlusPlus::seed_from_u64(worker_seed(
                    seed ^ ARRIVAL_STREAM,
                    worker.0,
                )),
                mean_s: workers / rate,
            },
        };
        let mut pacer = Self {
            start,
            next_s: 0.0,
            spacing,
            latency_limit,
        };
        pacer.advance();
        pacer
    }

    fn due(&self) -> Instant {
        self.start + Duration::from_secs_f64(self.next_s)
    }

    fn advance(&mut self) {
        match &mut self.spacing {
            Spacing::Constant {
                number,
                workers,
                rate,
            } => {
                // From the number, not by adding up distances: no error adds up either.
                self.next_s = *number / *rate;
                *number += *workers;
            }
            Spacing::Poisson { random, mean_s } => {
                self.next_s -= libm::log(uniform(random)) * *mean_s;
            }
        }
    }
}

/// From (0, 1]: its logarithm is finite.
#[expect(clippy::cast_precision_loss, reason = "53 bits fit exactly")]
fn uniform(random: &mut Xoshiro256PlusPlus) -> f64 {
    ((random.next_u64() >> 11) + 1) as f64 / (1_u64 << 53) as f64
}

impl Pacer for OpenLoop {
    fn next(&mut self, now: Instant) -> Due {
        let due = self.due();
        if due > now {
            return Due::At(due);
        }
        self.advance();
        Due::Now(due)
    }

    fn abandon_before(&mut self, end: Instant, after: Instant) -> u64 {
        let mut abandoned = 0;
        loop {
            let due = self.due();
            if due >= end {
                return abandoned;
            }
            abandoned += u64::from(due >= after);
            self.advance();
        }
    }

    fn latency_limit(&self) -> Option<Duration> {
        self.latency_limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(arrival: Arrival, rate: f64, worker: u32, workers: u32, start: Instant) -> OpenLoop {
        OpenLoop::new(rate, arrival, None, WorkerId(worker), workers, 1, start)
    }

    /// Intended starts in the first second, in seconds since the start.
    fn starts(mut pacer: OpenLoop, start: Instant) -> Vec<f64> {
        let end = start + Duration::from_secs(1);
        let mut all = Vec::new();
        while let Due::Now(due) = pacer.next(end) {
            all.push(due.duration_since(start).as_secs_f64());
        }
        all
    }

    #[test]
    fn constant_arrivals_of_all_workers_are_at_equal_distances() {
        let start = Instant::now();
        let mut all: Vec<f64> = (0..7)
            .flat_map(|worker| starts(share(Arrival::Constant, 1_000.0, worker, 7, start), start))
            .collect();
        all.sort_by(f64::total_cmp);
        assert_eq!(all.len(), 1_001, "from 0 s to 1 s, both included");
        for pair in all.windows(2) {
            assert!((pair[1] - pair[0] - 1e-3).abs() < 2e-9, "{pair:?}");
        }
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_an_exponential_spread() {
        let start = Instant::now();
        let all: Vec<f64> = (0..4)
            .map(|worker| starts(share(Arrival::Poisson, 40_000.0, worker, 4, start), start))
            .flat_map(|starts| {
                starts
                    .windows(2)
                    .map(|pair| pair[1] - pair[0])
                    .collect::<Vec<_>>()
            })
            .collect();
        let count = f64::from(u32::try_from(all.len()).unwrap());
        // Five standard deviations of a Poisson count.
        assert!((count - 40_000.0).abs() < 5.0 * 200.0, "{count}");
        let mean = all.iter().sum::<f64>() / count;
        let variance = all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
        let variation = variance.sqrt() / mean;
        assert!((variation - 1.0).abs() < 0.05, "{variation}");
    }

    #[test]
    fn what_is_due_later_says_when() {
        let start = Instant::now();
        let mut pacer = share(Arrival::Constant, 10.0, 0, 1, start);
        assert_eq!(pacer.next(start), Due::Now(start));
        let Due::At(next) = pacer.next(start) else {
            panic!("the second one is due a tenth of a second later");
        };
        assert_eq!(next - start, Duration::from_millis(100));
        assert_eq!(pacer.next(next), Due::Now(next));
    }

    #[test]
    fn what_was_due_and_not_asked_for_is_counted_once() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut pacer = share(Arrival::Constant, 100.0, 0, 1, start);
        let after = start + second / 2;
        assert_eq!(pacer.abandon_before(start + second, after), 50);
        assert_eq!(pacer.abandon_before(start + second, after), 0);
    }
}
