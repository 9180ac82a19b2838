//! The one place where what was measured in memory becomes an observation.

use super::Surroundings;
use super::counters::{WindowSamples, nanos};
use super::drive::Watched;
use super::locate::Location;
use super::snapshot::ServerSnapshot;
use crate::load::{self, LoadResult};
use crate::observation::{
    BeforeAndAfterStats, Counts, Edges, LoadMachine, LoadObservation, Offered, ServerProcess,
    SystemObservation, Tally, Ticks, Times,
};

/// What the load came to.
pub(super) fn load(watched: Watched) -> LoadObservation {
    let Watched {
        result,
        window_start: _,
        window_start_unix_us,
        samples: _,
        intervals,
        interrupted,
    } = watched;
    let LoadResult {
        warmup,
        window,
        drain,
        offered,
        mean_inflight,
        ticks,
        loop_lag,
        stalled,
        edges,
        thread_cpu: _,
        window_length,
        submitted,
        collisions,
        accounts: _,
        reconnects,
        late_answers,
        contradictory_answers,
        idle_reconnects,
        resolved,
        sent_again,
        unexpected_answers,
        gave_up,
        errors,
    } = result;
    LoadObservation {
        window_start_unix_us,
        window_ns: nanos(window_length),
        warmup: counts(&warmup.counts),
        window: Tally {
            counts: counts(&window.counts),
            latency: times(window.latency),
            service_sum_ns: window.service_sum_ns,
            all_service_sum_ns: window.all_service_sum_ns,
        },
        drain: counts(&drain.counts),
        offered: offered.map(|offered| Offered {
            due: offered.due,
            response: times(offered.response),
            service: times(offered.service),
            schedule_lag: times(offered.schedule_lag),
            late: offered.late,
            skipped: offered.skipped,
            dropped: offered.dropped,
        }),
        mean_inflight,
        ticks: Ticks {
            length_ns: nanos(ticks.length),
            committed: ticks.committed,
            inflight: ticks.inflight,
        },
        intervals,
        loop_lag: times(loop_lag),
        stalled_ns: stalled.map(|(from, to)| (nanos(from), nanos(to))),
        edges: Edges {
            began_before: edges.began_before,
            before_ns: edges.before_ns,
            within_ns: edges.within_ns,
            shares_before: edges.shares_before,
            answered_after: edges.answered_after,
            shares_within: edges.shares_within,
        },
        submitted,
        collisions,
        reconnects,
        late_answers,
        contradictory_answers,
        unexpected_answers,
        idle_reconnects,
        resolved,
        sent_again,
        gave_up,
        errors,
        interrupted,
        account_changes: None,
    }
}

/// The server as it was seen before, during and after the load: what it said and did, and not what
/// is thought of its ledger.
pub(super) fn system(
    location: Location,
    samples: Option<&WindowSamples>,
    opening: ServerSnapshot,
    closing: ServerSnapshot,
) -> SystemObservation {
    SystemObservation {
        process: ServerProcess {
            cpu_ns: samples.and_then(WindowSamples::server_cpu_ns),
            throttled: samples.and_then(WindowSamples::server_throttled),
            peak_memory_bytes: closing.peak_memory_bytes(),
            storage_bytes: closing.storage_bytes_since(&opening),
            preload: location.preload,
        },
        device: closing.device_since(&opening),
        run: BeforeAndAfterStats {
            before: opening.stats,
            after: closing.stats,
        },
        window: samples.map(WindowSamples::counters),
        storage: location.storage,
        ..SystemObservation::default()
    }
}

/// What this machine says of itself over the window.
pub(super) fn machine(
    around: &Surroundings<'_>,
    result: &LoadResult,
    samples: Option<&WindowSamples>,
) -> LoadMachine {
    LoadMachine {
        environment: around.environment.clone(),
        shard: None,
        cpu_ns: samples.and_then(WindowSamples::client_cpu_ns),
        thread_cpu_ns: result.thread_cpu.iter().copied().map(nanos).collect(),
        steal_ns: samples.and_then(WindowSamples::steal_ns),
        throttled: samples.and_then(WindowSamples::client_throttled),
        stalls: samples.and_then(WindowSamples::stalls),
        processor_speed: None,
        ceiling_tps: None,
        paced_null_server: None,
    }
}

fn counts(counts: &load::Counts) -> Counts {
    Counts {
        committed: counts.committed,
        unknown: counts.unknown,
        rejected: counts.rejected(),
        failed: counts.failed(),
    }
}

fn times(times: load::Times) -> Times {
    Times {
        sum_ns: times.sum_ns,
        histogram: times.ns,
    }
}
