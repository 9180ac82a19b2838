//! Evidence for tests: of an honest row, and of what can be wrong with one.

use std::borrow::Cow;
use std::sync::LazyLock;

use busload_wire::control::Stats;

use super::counters::ServerCounters;
use super::evidence::Evidence;
use super::fake::SyncEvidence;
use super::generator::GeneratorEvidence;
use super::judge_evidence;
use crate::config::Arrival;
use crate::disk::{Baseline, LatencyUs, Method, Pattern, SyncMeasurement};
use crate::observation::{CheckedBalances, Sample};
use crate::record::{
    AppliedBy, OpenLoop, ProcessorSpeed, StandStill, Throttled, VerdictCode, WindowEdges,
};

pub(super) fn honest() -> Evidence<'static> {
    Evidence {
        acknowledged: 1000,
        committed_in_window: 800,
        applied: Some(1000),
        totals: Some((500, 500)),
        lowest_balance: Some(0),
        digests: Some(("a", "b")),
        checked: Cow::Owned(CheckedBalances {
            samples: vec![Sample {
                account: 0,
                before: 10,
                after: Some(7),
                acknowledged_delta: -3,
                unknown_debits: 0,
                unknown_credits: 0,
                transfers: 500,
                inferred: false,
            }],
            ..CheckedBalances::default()
        }),
        must_differ: true,
        syncs: Some(SyncEvidence {
            syncs_promised_per_batch: 1,
            batches_that_wrote: 10,
            commit_syncs: Some(10),
            bytes_written: Some(40_960),
            storage_bytes: Some(40_960),
            device_bytes: None,
            device_flushes: None,
            page_bytes: 4096,
            sync_p50_us: Some(100.0),
        }),
        durability: Some("wal-full"),
        ..Evidence::default()
    }
}

pub(super) fn codes(evidence: &Evidence<'_>) -> Vec<VerdictCode> {
    judge_evidence(evidence)
        .1
        .iter()
        .map(|verdict| verdict.code)
        .collect()
}

pub(super) fn baseline(p50: f64) -> Baseline {
    Baseline {
        block_bytes: 4096,
        methods: vec![SyncMeasurement {
            method: Method::Fdatasync,
            pattern: Pattern::Overwrite,
            count: 10,
            syncs_per_second: 1e6 / p50,
            round_p50_us: Vec::new(),
            latency_us: LatencyUs {
                min: p50,
                p50: Some(p50),
                p99: Some(p50),
                max: p50,
                mean: p50,
            },
        }],
        by_c_library: None,
    }
}

/// A baseline whose methods are ten times apart.
pub(super) fn apart() -> Baseline {
    let (mut fast, slow) = (baseline(9.0), baseline(90.0));
    fast.methods[0].count = 20;
    fast.methods.push(SyncMeasurement {
        method: Method::Fsync,
        ..slow.methods[0].clone()
    });
    fast
}

/// Baselines before and after, kept until the tests end.
pub(super) fn around(before: Baseline, after: Baseline) -> (&'static Baseline, &'static Baseline) {
    (Box::leak(Box::new(before)), Box::leak(Box::new(after)))
}

/// Claims so many syncs of a length, while the device counted some flushes.
pub(super) fn claim(
    evidence: &mut Evidence<'static>,
    syncs: u64,
    p50_us: Option<f64>,
    flushes: Option<u64>,
) {
    let claimed = evidence.syncs.as_mut().expect("there are some");
    claimed.commit_syncs = Some(syncs);
    claimed.sync_p50_us = p50_us;
    claimed.device_flushes = flushes;
}

pub(super) fn throttled(throttled_periods: u64) -> Throttled {
    Throttled {
        periods: 50,
        throttled_periods,
        seconds: 0.25,
    }
}

pub(super) fn speed(before: f64, after: f64) -> ProcessorSpeed {
    ProcessorSpeed {
        before,
        after,
        best: 730.0,
    }
}

/// An open loop that got this many transfers in a second, of which so many were committed.
pub(super) fn open_loop(rate: f64, offered: u64, achieved_tps: f64) -> GeneratorEvidence {
    GeneratorEvidence {
        open_loop: Some(OpenLoop {
            arrival: Arrival::Poisson,
            offered_tps: rate,
            offered,
            achieved_tps,
            latency_limit_ms: None,
            late: 0,
            skipped: 0,
            dropped: 0,
            schedule_lag_us: None,
        }),
        seconds: 1.0,
        committed: 1_000,
        ..GeneratorEvidence::default()
    }
}

/// 400 of 800 transfers began before the window of 10 s.
pub(super) fn edges(excess: f64) -> WindowEdges {
    WindowEdges {
        began_before: 400,
        waited_before_ms: 900.0,
        waited_within_ms: 5.0,
        tps_begun_within: 40.0,
        answered_after: 20,
        excess,
    }
}

pub(super) fn of_seconds(seconds: f64) -> GeneratorEvidence {
    GeneratorEvidence {
        seconds,
        ..GeneratorEvidence::default()
    }
}

pub(super) fn gap(generator: bool) -> StandStill {
    StandStill {
        from_seconds: 4.1,
        seconds: 3.0,
        generator,
        gaps: 1,
    }
}

pub(super) fn refuse(evidence: &mut Evidence<'static>, reason: &str, count: u64) {
    evidence
        .not_committed_in_window
        .insert(reason.to_owned(), count);
}

/// Of a server that says nothing of what this client saw.
pub(super) fn counters() -> ServerCounters<'static> {
    static NOTHING: LazyLock<Stats> = LazyLock::new(Stats::default);
    ServerCounters {
        before: &NOTHING,
        after: &NOTHING,
        batch_size: None,
        applied_by: AppliedBy::RowChanges,
    }
}
