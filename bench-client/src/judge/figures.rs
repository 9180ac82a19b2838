//! The figures of a row that follow from the observation alone, in the record's units.

use std::time::Duration;

use busload_wire::control::{Checkpoints, Stats};
use busload_wire::histogram::encode;

use crate::config::{Pace, RunConfig};
use crate::observation::{LoadMachine, LoadObservation, Observation, SystemObservation, Times};
use crate::record::{
    Cpu, Engine, Latency, OpenLoop, ProcessorSpeed, ServerRow, Spread, Stalls, Throttled, between,
    difference,
};
use crate::statistics::Percentile;

/// Nanoseconds in a microsecond, the record's unit of stages.
const US: f64 = 1e3;

/// What a row shows and what its judgement rests on.
#[derive(Debug)]
pub(super) struct Figures {
    /// Length of the window.
    pub(super) seconds: f64,
    pub(super) tps: f64,
    pub(super) latency_ms: Latency,
    pub(super) open_loop: Option<OpenLoop>,
    pub(super) server: Option<ServerRow>,
    pub(super) cpu: Cpu,
    pub(super) stalls: Option<Stalls>,
    pub(super) processor_speed: Option<ProcessorSpeed>,
    /// Share of the window that each client thread was on a processor.
    pub(super) thread_cpu: Vec<f64>,
    pub(super) event_loop_lag_us: Option<Spread>,
    /// What the machines together reached on the null server, if each has asked.
    pub(super) ceiling_tps: Option<f64>,
}

impl Figures {
    pub(super) fn of(config: &RunConfig, observation: &Observation) -> Self {
        let Observation {
            load,
            machines,
            system,
        } = observation;
        let system = system.as_ref();
        let seconds = load.window_length().as_secs_f64();
        debug_assert_eq!(load.window.latency.count(), load.window.counts.committed);
        let share = |cpu: &u64| {
            if seconds > 0.0 {
                in_seconds(*cpu) / seconds
            } else {
                0.0
            }
        };
        let threads = machines.iter().flat_map(|machine| &machine.thread_cpu_ns);
        Self {
            seconds,
            tps: load.tps(),
            latency_ms: latency_of(load.latency()),
            open_loop: open_loop(config, load, seconds),
            server: system.and_then(server_row),
            cpu: cpu(machines, system),
            stalls: machines
                .iter()
                .filter_map(|machine| machine.stalls)
                .reduce(longest),
            processor_speed: slowest(machines),
            thread_cpu: threads.map(share).collect(),
            event_loop_lag_us: spread_of(&load.loop_lag, US),
            ceiling_tps: machines.iter().map(|machine| machine.ceiling_tps).sum(),
        }
    }
}

fn in_seconds(ns: u64) -> f64 {
    Duration::from_nanos(ns).as_secs_f64()
}

/// The quantiles of what was recorded.
#[expect(clippy::cast_precision_loss, reason = "nanoseconds far below 2^52")]
pub(super) fn latency_of(times: &Times) -> Latency {
    let ms = |percentile: Percentile| Some(percentile.of(&times.histogram)? as f64 / 1e6);
    Latency {
        p50: ms(Percentile::P50),
        p95: ms(Percentile::P95),
        p99: ms(Percentile::P99),
        p999: ms(Percentile::P999),
        max: times.histogram.max() as f64 / 1e6,
        mean: times.mean_ns() / 1e6,
    }
}

/// The spread of what was recorded; `unit` is what one of the record's units is in nanoseconds.
fn spread_of(times: &Times, unit: f64) -> Option<Spread> {
    let sum = u64::try_from(times.sum_ns).unwrap_or(u64::MAX);
    Spread::of(&times.histogram, sum, unit)
}

/// What was offered, and what became of it.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn open_loop(config: &RunConfig, load: &LoadObservation, seconds: f64) -> Option<OpenLoop> {
    let offered = load.offered.as_ref()?;
    let Pace::Open {
        rate,
        arrival,
        latency_limit,
    } = config.load.pace()
    else {
        return None;
    };
    debug_assert_eq!(offered.response.count(), offered.service.count());
    Some(OpenLoop {
        arrival,
        offered_tps: rate,
        offered: offered.due,
        achieved_tps: if seconds > 0.0 {
            offered.response.count() as f64 / seconds
        } else {
            0.0
        },
        latency_limit_ms: latency_limit.map(|limit| limit.as_secs_f64() * 1e3),
        late: offered.late,
        skipped: offered.skipped,
        dropped: offered.dropped,
        schedule_lag_us: spread_of(&offered.schedule_lag, US),
    })
}

/// Processor time and what quotas did, over all load machines together.
fn cpu(machines: &[LoadMachine], system: Option<&SystemObservation>) -> Cpu {
    let total = |of: fn(&LoadMachine) -> Option<u64>| machines.iter().map(of).sum::<Option<u64>>();
    let server = system.map(|system| &system.process);
    Cpu {
        client_s: total(|machine| machine.cpu_ns).map(in_seconds),
        server_s: server.and_then(|server| server.cpu_ns).map(in_seconds),
        steal_s: total(|machine| machine.steal_ns).map(in_seconds),
        client_throttled: machines
            .iter()
            .filter_map(|machine| machine.throttled)
            .reduce(|a, b| Throttled {
                periods: a.periods + b.periods,
                throttled_periods: a.throttled_periods + b.throttled_periods,
                seconds: a.seconds + b.seconds,
            }),
        server_throttled: server.and_then(|server| server.throttled),
    }
}

/// What waited at the same time on two machines waited once.
fn longest(a: Stalls, b: Stalls) -> Stalls {
    Stalls {
        cpu_some_s: a.cpu_some_s.max(b.cpu_some_s),
        io_some_s: a.io_some_s.max(b.io_some_s),
        io_full_s: a.io_full_s.max(b.io_full_s),
        memory_some_s: a.memory_some_s.max(b.memory_some_s),
    }
}

/// Of the machine that fell furthest below its best.
fn slowest(machines: &[LoadMachine]) -> Option<ProcessorSpeed> {
    let share = |speed: &ProcessorSpeed| speed.before.min(speed.after) / speed.best;
    let speeds = machines
        .iter()
        .filter_map(|machine| machine.processor_speed);
    speeds.min_by(|a, b| share(a).total_cmp(&share(b)))
}

/// What a counter grew by; `None` of a server that does not have it.
pub(super) fn growth(before: &Stats, after: &Stats, of: fn(&Stats) -> Option<u64>) -> Option<u64> {
    Some(of(after)?.saturating_sub(of(before)?))
}

/// Bytes written to all files, by the server's own count.
pub(super) fn bytes_written(stats: &Stats) -> Option<u64> {
    stats.commit_syncs.map(|_| stats.bytes_written.total())
}

/// The checkpoints of a server that counts its writes.
fn checkpoints(stats: &Stats) -> Option<&Checkpoints> {
    stats.commit_syncs.map(|_| &stats.checkpoints)
}

/// What the server counted over the window.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn server_row(system: &SystemObservation) -> Option<ServerRow> {
    let (before, after, _) = system.window_stats()?;
    let info = system.info.as_ref()?;
    let (from, to) = (&before.stages, &after.stages);
    let commits = after.batches.saturating_sub(before.batches);
    // Both from the timings: a batch is counted before its answers leave, and timed after them.
    let transfers = to.batch_size.sum.saturating_sub(from.batch_size.sum);
    let batches = to.batch_size.count.saturating_sub(from.batch_size.count);
    let grown = |of: fn(&Stats) -> Option<u64>| growth(before, after, of);
    let ms = |ns: u64| ns as f64 / 1e6;
    Some(ServerRow {
        commits,
        commits_that_wrote: after
            .batches_that_wrote
            .saturating_sub(before.batches_that_wrote),
        syncs: grown(|stats| stats.commit_syncs.map(|_| stats.syncs.total())),
        commit_syncs: grown(|stats| stats.commit_syncs),
        mean_batch: if batches == 0 {
            0.0
        } else {
            transfers as f64 / batches as f64
        },
        batch: between(&to.batch_size, &from.batch_size, 1.0),
        wait_us: between(&to.wait_ns, &from.wait_ns, US),
        apply_us: between(&to.apply_ns, &from.apply_ns, US),
        commit_us: between(&to.commit_ns, &from.commit_ns, US),
        answer_us: between(&to.answer_ns, &from.answer_ns, US),
        sync_us: between(&to.sync_ns, &from.sync_ns, US),
        sync_histogram: difference(&to.sync_ns, &from.sync_ns)
            .filter(|histogram| !histogram.is_empty())
            .map(|histogram| encode(&histogram)),
        bytes_written: grown(bytes_written),
        checkpoints: grown(|stats| Some(checkpoints(stats)?.count)),
        checkpoint_ms: grown(|stats| Some(checkpoints(stats)?.duration_ns)).map(ms),
        checkpoint_stalled_ms: grown(|stats| Some(checkpoints(stats)?.stalled_ns())).map(ms),
        queue_peak: after.queue.peak,
        listen_overflows: after.network.and_then(|network| network.listen_overflows),
        peak_memory_bytes: system.process.peak_memory_bytes,
        storage_bytes_written: system.process.storage_bytes,
        checkpoint_bytes: info.checkpoint_bytes,
        sqlite_version: info.sqlite_version.clone(),
        pragmas: info.pragmas.clone(),
        engine: info.engine.as_ref().map(|engine| Engine {
            name: engine.name.clone(),
            version: engine.version.clone(),
            settings: engine.settings.clone(),
        }),
        writers: info.writers,
        ordered: info.ordered,
        retries: after.retries.saturating_sub(before.retries),
        leftovers: grown(|stats| stats.leftovers),
    })
}
