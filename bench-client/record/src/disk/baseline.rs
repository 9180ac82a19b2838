//! Measuring all methods and patterns, at length or in passing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::sampler::{Caller, Samples, samples};
use super::{Baseline, BlockSize, DiskError, Method, Pattern};

/// In passing: at most so many samples for each method and pattern.
const SHORT_COUNT: u64 = 200;

/// In passing: at most so long for each method and pattern, of which there are six.
const SHORT_TIME_LIMIT: Duration = Duration::from_millis(45);

/// Rounds in which methods and patterns are measured in turn: what the disk does meanwhile falls on
/// all of them, and methods that differ by what they do differ in each round.
const ROUNDS: u64 = 3;

/// What SQLite syncs by, through the C library: whether that reaches the disk at all.
pub(super) const OF_C_LIBRARY: (Method, Pattern) = (Method::Fdatasync, Pattern::Overwrite);

/// Samples of it.
const CHECK_COUNT: u64 = 50;

/// Time for these.
const CHECK_TIME_LIMIT: Duration = Duration::from_millis(200);

/// What to measure, and where.
#[derive(Clone, Debug)]
pub struct BaselineConfig {
    /// The directory in which files are created, and from which they are removed again.
    pub dir: PathBuf,
    /// How many samples to take for each method and pattern.
    pub count: u64,
    /// The size of each write.
    pub block: BlockSize,
    /// When to stop taking samples for a method and pattern although there are fewer than
    /// `count`. At least one is always taken, and a sync under way is not cut off.
    pub time_limit: Duration,
}

/// Measures every method and pattern.
///
/// # Errors
/// When a file cannot be created in the directory, written or synced. No file stays behind.
pub fn measure(config: &BaselineConfig) -> Result<Baseline, DiskError> {
    measure_while(config, &|| true)
}

/// Measures every method and pattern in about 0.3 s, with as many samples as that allows.
///
/// # Errors
/// As [`measure`].
pub fn measure_short(dir: &Path) -> Result<Baseline, DiskError> {
    measure(&BaselineConfig {
        dir: dir.to_owned(),
        count: SHORT_COUNT,
        block: BlockSize::PAGE,
        time_limit: SHORT_TIME_LIMIT,
    })
}

impl BaselineConfig {
    /// What the C library's syncs are measured with.
    pub(super) fn of_check(&self) -> Self {
        Self {
            count: self.count.min(CHECK_COUNT),
            time_limit: self.time_limit.min(CHECK_TIME_LIMIT),
            ..self.clone()
        }
    }

    /// Its part of this round of so many, of which the first take what is left over.
    pub(super) fn of_round(&self, round: u64, rounds: u64) -> Self {
        let share = self.count / rounds + u64::from(round < self.count % rounds);
        Self {
            count: share.max(1),
            time_limit: self.time_limit.div_f64(to_f64(rounds)),
            ..self.clone()
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn to_f64(count: u64) -> f64 {
    count as f64
}

/// Measures every method and pattern, asking before each sample whether to go on.
///
/// # Errors
/// As [`measure`], and [`DiskError::Interrupted`] when `keep_going` says no.
pub fn measure_while(
    config: &BaselineConfig,
    keep_going: &dyn Fn() -> bool,
) -> Result<Baseline, DiskError> {
    check_directory(&config.dir)?;
    let all = Method::ALL
        .into_iter()
        .flat_map(|method| Pattern::ALL.map(|pattern| (Caller::Kernel, method, pattern)));
    let all = all.chain([(Caller::CLibrary, OF_C_LIBRARY.0, OF_C_LIBRARY.1)]);
    let mut gathered: Vec<(Caller, Samples)> = all
        .map(|(caller, method, pattern)| (caller, Samples::of(method, pattern)))
        .collect();
    let check = config.of_check();
    let rounds = config.count.clamp(1, ROUNDS);
    for round in 0..rounds {
        for (caller, one) in &mut gathered {
            let whole = match caller {
                Caller::Kernel => config,
                Caller::CLibrary => &check,
            };
            let share = whole.of_round(round, rounds);
            one.add(&samples(
                &share,
                *caller,
                one.method,
                one.pattern,
                keep_going,
            )?);
        }
    }
    let mut methods: Vec<_> = gathered
        .into_iter()
        .map(|(_, one)| one.measurement())
        .collect();
    let by_c_library = methods.pop();
    Ok(Baseline {
        block_bytes: config.block.bytes(),
        methods,
        by_c_library,
    })
}

pub(super) fn check_directory(dir: &Path) -> Result<(), DiskError> {
    match dir.metadata() {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(DiskError::NotADirectory(dir.to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(DiskError::NoSuchDirectory(dir.to_owned()))
        }
        Err(source) => Err(DiskError::Directory {
            dir: dir.to_owned(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Instant;

    use super::*;

    fn config(dir: &Path, count: u64) -> BaselineConfig {
        BaselineConfig {
            dir: dir.to_owned(),
            count,
            block: BlockSize::PAGE,
            time_limit: Duration::from_secs(10),
        }
    }

    fn files_in(dir: &Path) -> usize {
        dir.read_dir().unwrap().count()
    }

    #[test]
    fn every_method_and_pattern_is_measured_and_no_file_stays() {
        let dir = tempfile::tempdir().unwrap();
        let baseline = measure(&config(dir.path(), 5)).unwrap();
        assert_eq!(baseline.methods.len(), 6);
        for method in Method::ALL {
            for pattern in Pattern::ALL {
                let entry = baseline.find(method, pattern).unwrap();
                let latency = entry.latency_us;
                assert_eq!((entry.count, entry.round_p50_us.len()), (5, 3));
                assert!(latency.min > 0.0);
                // Of five writes there is no median.
                assert_eq!((latency.p50, latency.p99), (None, None));
                assert!(latency.min <= latency.mean && latency.mean <= latency.max);
                assert!(entry.syncs_per_second > 0.0);
            }
        }
        assert_eq!(files_in(dir.path()), 0);
    }

    #[test]
    fn the_time_limit_ends_a_measurement_with_fewer_samples() {
        let dir = tempfile::tempdir().unwrap();
        let limit = Duration::from_millis(5);
        let started = Instant::now();
        let endless = BaselineConfig {
            time_limit: limit,
            ..config(dir.path(), u64::MAX)
        };
        let baseline = measure(&endless).unwrap();
        let longest = baseline
            .methods
            .iter()
            .map(|entry| entry.latency_us.max)
            .sum::<f64>();
        assert!(baseline.methods.iter().all(|entry| entry.count >= 1));
        // Generous, for a machine that does other things: what is tested is that it ends.
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "slowest syncs: {longest} µs"
        );
    }

    #[test]
    fn no_time_at_all_still_gives_one_sample_in_each_round() {
        let dir = tempfile::tempdir().unwrap();
        let hasty = BaselineConfig {
            time_limit: Duration::ZERO,
            ..config(dir.path(), 1_000)
        };
        let baseline = measure(&hasty).unwrap();
        assert!(baseline.methods.iter().all(|entry| entry.count == ROUNDS));
    }

    #[test]
    fn files_are_removed_when_interrupted() {
        let dir = tempfile::tempdir().unwrap();
        let calls = Cell::new(0);
        let keep_going = || {
            calls.set(calls.get() + 1);
            assert_eq!(files_in(dir.path()), 1, "the file that is being measured");
            calls.get() < 3
        };
        let result = measure_while(&config(dir.path(), 100), &keep_going);
        assert!(matches!(result, Err(DiskError::Interrupted)));
        assert_eq!(files_in(dir.path()), 0);
    }

    #[test]
    fn files_are_removed_on_a_panic() {
        let dir = tempfile::tempdir().unwrap();
        let keep_going = || panic!("on purpose");
        let result =
            std::panic::catch_unwind(|| measure_while(&config(dir.path(), 100), &keep_going));
        assert!(result.is_err());
        assert_eq!(files_in(dir.path()), 0);
    }

    #[test]
    fn large_blocks_go_round_in_a_bounded_region() {
        let dir = tempfile::tempdir().unwrap();
        let large = BaselineConfig {
            block: "8M".parse().unwrap(),
            ..config(dir.path(), 2)
        };
        assert!(
            measure(&large)
                .unwrap()
                .methods
                .iter()
                .all(|entry| entry.count == 2)
        );
    }

    #[test]
    fn a_path_that_is_no_directory_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(
            measure_short(file.path()),
            Err(DiskError::NotADirectory(_))
        ));
        assert!(matches!(
            measure_short(Path::new("/no/such/directory")),
            Err(DiskError::NoSuchDirectory(_))
        ));
    }
}
