//! Methods and patterns in turn, round by round, by one stream of syncs or several: so that what
//! the disk does meanwhile falls on all of them, and each figure has an interval.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::baseline::{OF_C_LIBRARY, check_directory};
use super::sampler::{Caller, Prepared, Samples, histogram, samples};
use super::{BaselineConfig, DiskError, Method, Pattern, SyncMeasurement};
use crate::statistics::Estimate;

/// Most streams of syncs at once: each is a thread.
pub const STREAMS_MAX: u32 = 256;

/// What is measured in rounds.
#[derive(Clone, Debug)]
pub struct RoundsConfig {
    /// The directory, and what every stream takes of each method and pattern in all rounds
    /// together.
    pub all: BaselineConfig,
    /// Rounds, 1 or more.
    pub rounds: u32,
    /// How many streams sync at once, each a file of its own: one series for each of these.
    pub concurrency: Vec<u32>,
}

/// One method and pattern with so many streams, over all rounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SyncSeries {
    /// All rounds together. The latency is that of one sync; `syncs_per_second` is that of all
    /// streams together.
    #[serde(flatten)]
    pub all: SyncMeasurement,
    /// How many streams synced at once, each a file of its own.
    pub concurrency: u32,
    /// Round by round, in the order in which they were made.
    pub rounds: Vec<SyncRound>,
    /// The interval of the median of the rounds' syncs per second.
    pub syncs_per_second_interval: Estimate,
}

/// One method and pattern in one round.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SyncRound {
    /// Mean latency of a sync, in microseconds.
    pub mean_us: f64,
    /// Syncs per second of all streams together.
    pub syncs_per_second: f64,
}

/// What rounds gave.
#[derive(Clone, Debug)]
pub struct Rounds {
    /// How many are whole: fewer than asked for when they were interrupted.
    pub whole: u32,
    /// Every method and pattern with every number of streams.
    pub methods: Vec<SyncSeries>,
    /// The C library's syncs, a few in each round.
    pub by_c_library: SyncMeasurement,
}

/// What one series has gathered so far.
struct Gathered {
    samples: Samples,
    concurrency: u32,
    /// While its streams synced.
    time: Duration,
    rounds: Vec<SyncRound>,
}

/// What one series gave in one round.
type OfRound = (Histogram<u64>, Duration);

/// Measures every method and pattern with every number of streams, all of them in each round,
/// and every second round backwards. When `keep_going` says no, which is asked before each sample,
/// what the whole rounds gave is kept.
///
/// # Errors
/// A file cannot be created in the directory, written or synced, or not one round is whole. No
/// file stays behind.
pub fn measure_rounds(
    config: &RoundsConfig,
    keep_going: &(dyn Fn() -> bool + Sync),
) -> Result<Rounds, DiskError> {
    check_directory(&config.all.dir)?;
    debug_assert!(config.rounds > 0, "a round at least");
    let rounds = config.rounds.max(1);
    let each = BaselineConfig {
        count: config.all.count.div_ceil(u64::from(rounds)),
        time_limit: config.all.time_limit / rounds,
        ..config.all.clone()
    };
    let check = config.all.of_check();
    let mut gathered = Vec::new();
    for concurrency in &config.concurrency {
        for method in Method::ALL {
            gathered.extend(Pattern::ALL.map(|pattern| Gathered {
                samples: Samples::of(method, pattern),
                concurrency: *concurrency,
                time: Duration::ZERO,
                rounds: Vec::new(),
            }));
        }
    }
    let (method, pattern) = OF_C_LIBRARY;
    let mut by_c_library = Samples::of(method, pattern);
    let mut whole = 0;
    for round in 0..rounds {
        let mut order: Vec<&Gathered> = gathered.iter().collect();
        let backwards = !round.is_multiple_of(2);
        if backwards {
            order.reverse();
        }
        let check = check.of_round(u64::from(round), u64::from(rounds));
        let measured = || -> Result<(Vec<OfRound>, Histogram<u64>), DiskError> {
            let found = order.iter().map(|series| series.measure(&each, keep_going));
            let found = found.collect::<Result<Vec<_>, _>>()?;
            let checked = samples(&check, Caller::CLibrary, method, pattern, keep_going)?;
            Ok((found, checked))
        };
        let (mut found, checked) = match measured() {
            Err(DiskError::Interrupted) if whole > 0 => break,
            measured => measured?,
        };
        if backwards {
            found.reverse();
        }
        for (series, one) in gathered.iter_mut().zip(found) {
            series.add(one);
        }
        by_c_library.add(&checked);
        whole += 1;
    }
    Ok(Rounds {
        whole,
        methods: gathered.into_iter().map(Gathered::finish).collect(),
        by_c_library: by_c_library.measurement(),
    })
}

impl Gathered {
    fn measure(
        &self,
        config: &BaselineConfig,
        keep_going: &(dyn Fn() -> bool + Sync),
    ) -> Result<OfRound, DiskError> {
        let (method, pattern) = (self.samples.method, self.samples.pattern);
        let files = (0..self.concurrency)
            .map(|_| Prepared::new(config, Caller::Kernel, method, pattern))
            .collect::<Result<Vec<_>, _>>()?;
        // What is said of several streams holds while all of them sync: the first that is done
        // ends the others.
        let done = AtomicBool::new(false);
        let start = Barrier::new(files.len());
        let stream = |file: Prepared<'_>| {
            start.wait();
            let started = Instant::now();
            let found = file.measure(&|| keep_going(), &|| !done.load(Ordering::Relaxed));
            done.store(true, Ordering::Relaxed);
            found.map(|latency_ns| (latency_ns, started, Instant::now()))
        };
        let found = std::thread::scope(|scope| {
            let streams: Vec<_> = files
                .into_iter()
                .map(|file| scope.spawn(|| stream(file)))
                .collect();
            let ended = streams.into_iter().map(|stream| match stream.join() {
                Ok(found) => found,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            ended.collect::<Result<Vec<_>, _>>()
        })?;
        let mut latency_ns = histogram();
        for (one, ..) in &found {
            // Both have the same bounds.
            latency_ns.add(one).expect("the bounds are the same");
        }
        let began = found.iter().map(|(_, began, _)| *began).min();
        let ended = found.iter().map(|(.., ended)| *ended).max();
        let time = ended
            .zip(began)
            .map_or(Duration::ZERO, |(to, from)| to - from);
        Ok((latency_ns, time))
    }

    fn add(&mut self, (latency_ns, time): OfRound) {
        self.rounds.push(SyncRound {
            mean_us: latency_ns.mean().round() / 1e3,
            syncs_per_second: per_second(latency_ns.len(), time),
        });
        self.time += time;
        self.samples.add(&latency_ns);
    }

    fn finish(self) -> SyncSeries {
        let rates: Vec<f64> = self
            .rounds
            .iter()
            .map(|round| round.syncs_per_second)
            .collect();
        let mut all = self.samples.measurement();
        all.syncs_per_second = per_second(all.count, self.time);
        SyncSeries {
            all,
            concurrency: self.concurrency,
            syncs_per_second_interval: Estimate::of(&rates).expect("a round, and it took time"),
            rounds: self.rounds,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn per_second(count: u64, time: Duration) -> f64 {
    // A clock that has not moved says nothing; a sync takes longer than its tick.
    count as f64 / time.max(Duration::from_nanos(1)).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::super::BlockSize;
    use super::*;

    fn config(dir: &std::path::Path, concurrency: &[u32]) -> RoundsConfig {
        RoundsConfig {
            all: BaselineConfig {
                dir: dir.to_owned(),
                count: 10,
                block: BlockSize::PAGE,
                time_limit: Duration::from_secs(10),
            },
            rounds: 3,
            concurrency: concurrency.to_vec(),
        }
    }

    #[test]
    fn every_series_has_every_round_and_no_file_stays() {
        let dir = tempfile::tempdir().unwrap();
        let measured = measure_rounds(&config(dir.path(), &[1, 3]), &|| true).unwrap();
        assert_eq!(measured.whole, 3);
        assert_eq!(measured.by_c_library.round_p50_us.len(), 3);
        let found = measured.methods;
        assert_eq!(found.len(), 12);
        for series in &found {
            assert_eq!(series.rounds.len(), 3);
            assert_eq!(series.syncs_per_second_interval.count, 3);
            let (least, most) = match series.concurrency {
                1 => (12, 12),
                // One of three takes its four in each round, the others one at least.
                _ => (3 * (4 + 2), 3 * 12),
            };
            assert!((least..=most).contains(&series.all.count), "{series:?}");
            let interval = series.syncs_per_second_interval;
            assert!(interval.low <= interval.median && interval.median <= interval.high);
        }
        assert_eq!(dir.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn rounds_that_are_whole_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let asked = std::sync::atomic::AtomicU32::new(0);
        // A round is six times four samples, and four of the C library.
        let keep_going = || asked.fetch_add(1, Ordering::Relaxed) < 40;
        let measured = measure_rounds(&config(dir.path(), &[1]), &keep_going).unwrap();
        assert_eq!(measured.whole, 1);
        for series in &measured.methods {
            assert_eq!((series.all.count, series.rounds.len()), (4, 1));
        }
        assert_eq!(dir.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn an_interrupted_round_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let asked = std::sync::atomic::AtomicU32::new(0);
        let keep_going = || asked.fetch_add(1, Ordering::Relaxed) < 5;
        let stopped = measure_rounds(&config(dir.path(), &[2]), &keep_going);
        assert!(matches!(stopped, Err(DiskError::Interrupted)));
        assert_eq!(dir.path().read_dir().unwrap().count(), 0);
    }
}
