//! Were the syncs syncs? What the disk's baseline, the server's own times and the device's
//! flushes say about it.

use super::fake::SyncEvidence;
use super::verdict;
use crate::disk::{Baseline, Doubt, SYNC_MIN_US, SyncSeries};
use crate::figures::{counted, in_us};
use crate::record::Verdict;

/// Warnings about a baseline whose times are not those of syncs.
#[must_use]
pub fn doubtful_baseline(baseline: &Baseline) -> Vec<Verdict> {
    let doubts = baseline.doubts();
    let too_fast = doubts.iter().find_map(|doubt| match doubt {
        Doubt::TooFast(entry) => Some(verdict::sync_does_nothing(&format!(
            "a durable write by {} takes {} here",
            entry.method,
            in_us(Some(entry.typical_us()))
        ))),
        _ => None,
    });
    let swallowed = doubts.iter().find_map(|doubt| match doubt {
        Doubt::Swallowed {
            by_c_library,
            by_kernel,
        } => Some(verdict::sync_swallowed(
            by_c_library.typical_us(),
            by_kernel.typical_us(),
        )),
        _ => None,
    });
    let apart = doubts.iter().find_map(|doubt| match doubt {
        Doubt::Apart { fast, slow } => Some(verdict::sync_methods_apart(fast, slow)),
        _ => None,
    });
    [too_fast, swallowed, apart].into_iter().flatten().collect()
}

/// Rounds of one method that are further apart than this say little together.
const ROUNDS_APART: f64 = 3.0;

/// A warning where rounds of one method differ much: of the method whose rounds differ most.
#[must_use]
pub fn busy_disk(methods: &[SyncSeries]) -> Option<Verdict> {
    let spread = |series: &SyncSeries| {
        let means = series.rounds.iter().map(|round| round.mean_us);
        let least = means.clone().fold(f64::INFINITY, f64::min);
        (least, means.fold(0.0, f64::max))
    };
    let spreads = methods.iter().map(|series| (series, spread(series)));
    let apart = |(_, (least, most)): &(&SyncSeries, (f64, f64))| most / least;
    let widest = spreads.max_by(|a, b| apart(a).total_cmp(&apart(b)))?;
    let (series, (least, most)) = widest;
    (apart(&widest) > ROUNDS_APART).then(|| verdict::rounds_apart(&series.all, least, most))
}

/// Fewer syncs at COMMIT than this are too few to judge their time by.
const SYNCS_MIN: u64 = 20;

/// A sync of one thread ends with a flush of its own, so that there are as many flushes as syncs
/// and more with every other user of the device. Less than this share is no accounting error.
const FLUSHES_SHARE: f64 = 0.5;

/// Warnings about the server's own syncs, unless they are too few or it promises none. One that
/// cannot count them is held to what it promises.
pub(super) fn doubtful_server(syncs: &SyncEvidence) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let needed = syncs.batches_that_wrote * syncs.syncs_promised_per_batch;
    let claimed = syncs.commit_syncs.unwrap_or(needed);
    if syncs.syncs_promised_per_batch == 0 || claimed < SYNCS_MIN {
        return verdicts;
    }
    if let Some(p50) = syncs.sync_p50_us
        && p50 < SYNC_MIN_US
    {
        verdicts.push(verdict::sync_does_nothing(&format!(
            "the server says that its sync p50 is {}",
            in_us(Some(p50))
        )));
    }
    if let Some(flushes) = syncs.device_flushes
        && are_missing(flushes, claimed)
    {
        let claim = match syncs.commit_syncs {
            Some(_) => format!("the server claims {} at COMMIT", counted(claimed, "sync")),
            None => format!(
                "the server's batches need {} at COMMIT",
                counted(claimed, "sync")
            ),
        };
        verdicts.push(verdict::flushes_missing(&claim, flushes));
    }
    verdicts
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn are_missing(flushes: u64, syncs: u64) -> bool {
    (flushes as f64) < FLUSHES_SHARE * syncs as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{LatencyUs, Method, Pattern, SyncMeasurement, SyncRound};
    use crate::statistics::Estimate;

    fn series(method: Method, means_us: &[f64]) -> SyncSeries {
        let round = |mean_us: &f64| SyncRound {
            mean_us: *mean_us,
            syncs_per_second: 1e6 / mean_us,
        };
        let rounds: Vec<SyncRound> = means_us.iter().map(round).collect();
        let rates: Vec<f64> = rounds.iter().map(|one| one.syncs_per_second).collect();
        SyncSeries {
            all: SyncMeasurement {
                method,
                pattern: Pattern::Overwrite,
                count: 100,
                latency_us: LatencyUs {
                    min: means_us[0],
                    mean: means_us[0],
                    p50: None,
                    p99: None,
                    max: means_us[0],
                },
                syncs_per_second: rates[0],
                round_p50_us: Vec::new(),
            },
            concurrency: 1,
            rounds,
            syncs_per_second_interval: Estimate::of(&rates).unwrap(),
        }
    }

    #[test]
    fn rounds_that_differ_much_are_those_of_a_busy_disk() {
        let quiet = series(Method::ODsync, &[100.0, 250.0, 120.0]);
        assert_eq!(busy_disk(std::slice::from_ref(&quiet)), None);
        assert_eq!(busy_disk(&[]), None);
        let busy = series(Method::Fdatasync, &[475.0, 3_826.0, 1_268.0]);
        let warning = busy_disk(&[quiet, busy]).unwrap();
        assert_eq!(
            warning.message,
            "the disk was busy: rounds of fdatasync, overwrite, differ 8-fold (475 µs to 3,830 µs)"
        );
    }
}
