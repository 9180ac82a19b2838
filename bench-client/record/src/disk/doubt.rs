//! Whether what took so little time can have been a sync.

use super::{Baseline, Method, SyncMeasurement};

/// No medium behind a file system makes a write durable in less: the system call, the block
/// layer and the fastest device (battery-backed memory on the bus) take more. In microseconds.
pub const SYNC_MIN_US: f64 = 3.0;

/// Two ways to make the same write durable that are this far apart are not both syncs. (A
/// `fsync` that also commits a journal costs two to four times an `fdatasync`.)
const APART_FACTOR: f64 = 10.0;

/// Rounds in which two methods were measured in turn, from which on each must be so far apart.
const ROUNDS_MIN: usize = 3;

/// Within a round methods are measured one after another, and meanwhile others may keep the disk busy. So even
/// the quickest sample of the slow one must be so many times the median of the fast one.
const NEVER_AS_FAST_FACTOR: f64 = 3.0;

/// Why a baseline is not one of syncs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Doubt<'a> {
    /// Faster than any medium is.
    TooFast(&'a SyncMeasurement),
    /// The same writes take ten times as long by another method, in each round.
    Apart {
        /// The method that may not be a sync.
        fast: &'a SyncMeasurement,
        /// The one that may be.
        slow: &'a SyncMeasurement,
    },
    /// The C library's `fdatasync`, by which SQLite syncs, is no sync, and the kernel's is.
    Swallowed {
        /// Through the C library.
        by_c_library: &'a SyncMeasurement,
        /// By system call.
        by_kernel: &'a SyncMeasurement,
    },
}

impl Baseline {
    /// Every reason to doubt that these are the times of syncs; none is good. In memory (tmpfs)
    /// they are in doubt by right.
    #[must_use]
    pub fn doubts(&self) -> Vec<Doubt<'_>> {
        let mut doubts: Vec<_> = self
            .methods
            .iter()
            .filter(|entry| is_too_fast(entry))
            .map(Doubt::TooFast)
            .collect();
        for fast in &self.methods {
            let slowest = self
                .methods
                .iter()
                .filter(|other| other.pattern == fast.pattern && are_apart(fast, other))
                .max_by(|a, b| a.typical_us().total_cmp(&b.typical_us()));
            doubts.extend(slowest.map(|slow| Doubt::Apart { fast, slow }));
        }
        if let Some(by_c_library) = &self.by_c_library
            && let Some(by_kernel) = self.find(by_c_library.method, by_c_library.pattern)
            && are_apart(by_c_library, by_kernel)
        {
            doubts.push(Doubt::Swallowed {
                by_c_library,
                by_kernel,
            });
        }
        doubts
    }

    /// Whether what this method did may not have been a sync.
    pub(super) fn is_doubtful(&self, method: Method) -> bool {
        self.doubts().iter().any(|doubt| match doubt {
            Doubt::TooFast(entry) | Doubt::Apart { fast: entry, .. } => entry.method == method,
            Doubt::Swallowed { .. } => false,
        })
    }
}

fn is_too_fast(entry: &SyncMeasurement) -> bool {
    entry.latency_us.p50.is_some_and(|p50| p50 < SYNC_MIN_US)
}

fn are_apart(fast: &SyncMeasurement, slow: &SyncMeasurement) -> bool {
    fast.latency_us.p50.is_some_and(|fast_us| {
        slow.typical_us() >= APART_FACTOR * fast_us
            && slow.latency_us.min >= NEVER_AS_FAST_FACTOR * fast_us
            && are_apart_in_each_round(fast, slow)
    })
}

/// What is between two methods is there in every round; what others do to the disk is not. Records
/// of earlier versions have no rounds.
fn are_apart_in_each_round(fast: &SyncMeasurement, slow: &SyncMeasurement) -> bool {
    let rounds = fast.round_p50_us.iter().zip(&slow.round_p50_us);
    let mut apart = rounds.map(|(fast_us, slow_us)| *slow_us >= APART_FACTOR * fast_us);
    apart.len() < ROUNDS_MIN || apart.all(|is_apart| is_apart)
}

#[cfg(test)]
mod tests {
    use super::super::{LatencyUs, Pattern};
    use super::*;
    use crate::statistics::Percentile;

    fn entry(method: Method, us: f64, count: u64) -> SyncMeasurement {
        SyncMeasurement {
            method,
            pattern: Pattern::Overwrite,
            count,
            latency_us: LatencyUs {
                min: us,
                mean: us,
                p50: Percentile::P50.is_known_from(count).then_some(us),
                p99: Percentile::P99.is_known_from(count).then_some(us),
                max: us,
            },
            syncs_per_second: 1e6 / us,
            round_p50_us: Vec::new(),
        }
    }

    fn baseline(o_dsync: f64, fdatasync: f64, by_c_library: f64) -> Baseline {
        Baseline {
            block_bytes: 4096,
            methods: vec![
                entry(Method::ODsync, o_dsync, 200),
                entry(Method::Fdatasync, fdatasync, 200),
            ],
            by_c_library: Some(entry(Method::Fdatasync, by_c_library, 50)),
        }
    }

    #[test]
    fn a_disk_is_not_doubted() {
        for (o_dsync, fdatasync) in [(96.0, 100.0), (12.0, 60.0), (4.0, 4.0), (9_000.0, 8_000.0)] {
            assert_eq!(baseline(o_dsync, fdatasync, fdatasync).doubts(), []);
        }
    }

    #[test]
    fn a_sync_that_returns_at_once_is_doubted() {
        let all_in_memory = baseline(1.1, 1.2, 1.2);
        assert_eq!(all_in_memory.doubts().len(), 2);
        let one = baseline(96.0, 0.6, 0.6);
        assert!(matches!(
            one.doubts()[..],
            [
                Doubt::TooFast(SyncMeasurement {
                    method: Method::Fdatasync,
                    ..
                }),
                Doubt::Apart { .. }
            ]
        ));
        assert!(one.is_doubtful(Method::Fdatasync) && !one.is_doubtful(Method::ODsync));
        assert!(matches!(
            baseline(96.0, 9.0, 9.0).doubts()[..],
            [Doubt::Apart { .. }]
        ));
    }

    #[test]
    fn a_c_library_that_swallows_syncs_is_told_from_the_disk() {
        let swallowed = baseline(96.0, 100.0, 0.6);
        assert!(matches!(swallowed.doubts()[..], [Doubt::Swallowed { .. }]));
        assert!(!swallowed.is_doubtful(Method::Fdatasync));
    }

    #[test]
    fn a_disk_that_others_kept_busy_for_a_while_is_not_doubted() {
        let mut busy = baseline(160.0, 3_300.0, 170.0);
        busy.methods[1].latency_us.min = 40.0;
        assert_eq!(busy.doubts(), []);
    }

    #[test]
    fn methods_that_are_not_apart_in_each_round_are_not_doubted() {
        let with_rounds = |slow: [f64; 3]| {
            let mut all = baseline(96.0, 41_288.0, 190.6);
            let fast = all.by_c_library.as_mut().unwrap();
            fast.round_p50_us = vec![190.6, 150.0, 200.0];
            all.methods[0].round_p50_us = slow.to_vec();
            all.methods[1].round_p50_us = slow.to_vec();
            all.methods.remove(0);
            all
        };
        assert_eq!(with_rounds([41_288.0, 180.0, 50_000.0]).doubts(), []);
        let apart = with_rounds([41_288.0, 1_500.0, 50_000.0]);
        assert!(matches!(apart.doubts()[..], [Doubt::Swallowed { .. }]));
    }

    #[test]
    fn a_handful_of_samples_is_not_judged() {
        let mut few = baseline(96.0, 0.6, 0.6);
        for entry in few.methods.iter_mut().chain(&mut few.by_c_library) {
            entry.count = 19;
            entry.latency_us.p50 = None;
        }
        assert_eq!(few.doubts(), []);
        // A slow disk gives few samples, the library that skips it many.
        let mut slow = baseline(9_000.0, 9_000.0, 0.6);
        slow.methods[1].count = 5;
        slow.methods[1].latency_us.p50 = None;
        assert!(matches!(slow.doubts()[..], [Doubt::Swallowed { .. }]));
    }
}
