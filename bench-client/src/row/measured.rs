//! From what was measured in memory to a row of the record.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use busload_wire::control::{Info, Stats};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};

use crate::config::{Measure, Pace, RunConfig};
use crate::host::cgroup::Throttling;
use crate::host::device::DeviceCounters;
use crate::host::pressure::Pressure;
use crate::host::process::{CpuTimes, ProcessUsage};
use crate::judge::{
    BudgetEvidence, Evidence, GeneratorEvidence, budget, is_valid, judge, stand_still,
    window_edges, with_null_server,
};
use crate::load::Times;
use crate::load::{LoadResult, Ticks};
use crate::record::series::Interval;
use crate::record::{
    BeforeAndAfter, Budget, Cpu, Device, ExactlyOnce, Generator, Latency, LittlesLaw, OpenLoop,
    ProcessorSpeed, Row, ServerRow, Spread, Stalls, Throttled, between, difference,
};
use crate::statistics::Percentile;
use crate::statistics::SteadyState;

/// The clocks and counters at one end of the window.
#[derive(Debug)]
pub struct Moment {
    /// When it was read.
    pub at: Instant,
    /// The server's counters, if it has them.
    pub stats: Option<Stats>,
    /// Processor time of this process.
    pub client: Option<CpuTimes>,
    /// Processor time of the server.
    pub server: Option<CpuTimes>,
    /// Time that the hypervisor took.
    pub steal: Option<Duration>,
    /// What the CPU quota of this process's control group has done.
    pub client_throttling: Option<Throttling>,
    /// What that of the server's has done.
    pub server_throttling: Option<Throttling>,
    /// For how long work had to wait.
    pub pressure: Option<Pressure>,
}

/// Everything that was measured for a row.
#[derive(Debug)]
pub struct Measured {
    /// What the server says it is.
    pub info: Option<Info>,
    /// Where it listened.
    pub server_url: String,
    /// What it calls itself.
    pub server_name: Option<String>,
    /// What the load saw.
    pub result: LoadResult,
    /// The two ends of the window.
    pub moments: Option<(Moment, Moment)>,
    /// The window, interval by interval.
    pub intervals: Vec<Interval>,
    /// The server process before the load.
    pub opening_usage: ProcessUsage,
    /// The server process after the load.
    pub closing_usage: ProcessUsage,
    /// Libraries preloaded into the server; `None` where nobody tells.
    pub server_preload: Option<Vec<String>>,
    /// How fast a processor computed before and after.
    pub processor_speed: Option<ProcessorSpeed>,
    /// What the block device did over the whole run.
    pub device: Option<DeviceCounters>,
    /// TPS of the same load on the null server.
    pub ceiling_tps: Option<f64>,
    /// Mean time of a transfer on the wire, in microseconds.
    pub wire_us: Option<f64>,
    /// Stopped from outside.
    pub interrupted: bool,
    /// The disk around the run.
    pub sync_baseline: BeforeAndAfter,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts and nanoseconds far below 2^52"
)]
/// The quantiles of what was recorded.
#[must_use]
pub fn latency_of(times: &Times) -> Latency {
    let ms = |percentile: Percentile| Some(percentile.of(&times.ns)? as f64 / 1e6);
    Latency {
        p50: ms(Percentile::P50),
        p95: ms(Percentile::P95),
        p99: ms(Percentile::P99),
        p999: ms(Percentile::P999),
        max: times.ns.max() as f64 / 1e6,
        mean: times.mean_ns() / 1e6,
    }
}

/// The spread of what was recorded; `unit` is what one of the record's units is in
/// nanoseconds.
#[must_use]
pub fn spread_of(times: &Times, unit: f64) -> Option<Spread> {
    Spread::of(
        &times.ns,
        u64::try_from(times.sum_ns).unwrap_or(u64::MAX),
        unit,
    )
}

/// Judges what was measured and writes it down.
#[must_use]
#[expect(clippy::too_many_lines, reason = "one field after another")]
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub fn to_row(config: &RunConfig, measured: Measured, evidence: &Evidence) -> Row {
    let server = server_row(&measured);
    let seconds = measured.result.window_length.as_secs_f64();
    let tps = measured.result.tps();
    let generator = with_null_server(generator(&measured, seconds), measured.ceiling_tps, tps);
    let littles_law = littles_law(&measured.result, seconds);
    let steady_state = steady_state(&measured.result.ticks);
    let budget = time_budget(&measured);
    let open_loop = open_loop(config, &measured.result, seconds);
    let offered = measured.result.offered.as_deref();
    let latency = offered.map_or(&measured.result.window.latency, |offered| &offered.response);
    let latency_ms = latency_of(latency);
    let mut evidence = evidence.clone();
    if let Some(syncs) = &mut evidence.syncs {
        syncs.sync_p50_us = server.as_ref().and_then(|server| server.sync_us?.p50);
    }
    evidence.generator = Some(GeneratorEvidence {
        thread_cpu: generator.thread_cpu.clone(),
        event_loop_lag_us: generator.event_loop_lag_us,
        tps,
        committed: measured.result.window.counts.committed,
        ceiling_tps: generator.ceiling_tps,
        latency_ms: (!latency.ns.is_empty()).then_some(latency_ms),
        open_loop: open_loop.clone(),
        seconds,
    });
    let cpu = cpu(measured.moments.as_ref());
    evidence.throttled = [cpu.client_throttled, cpu.server_throttled];
    evidence.processor_speed = measured.processor_speed;
    let edges = window_edges(
        &measured.result.edges,
        measured.result.window.counts.committed,
        seconds,
        matches!(config.load.measure(), Measure::Transfers(_)),
    );
    let gap = stand_still(&measured.result.ticks, measured.result.stalled);
    evidence.edges = edges;
    evidence.stand_still = gap;
    evidence.littles_law = littles_law;
    evidence.steady_state = steady_state;
    let (verify, verdicts) = judge(&evidence);
    let valid = is_valid(&verdicts);
    let Measured {
        info,
        server_url,
        server_name,
        result,
        moments,
        intervals,
        server_preload,
        processor_speed,
        device,
        interrupted,
        sync_baseline,
        ..
    } = measured;
    let info = info.as_ref();
    let window = &result.window.counts;
    let offered = result.offered.as_deref();
    let latency = offered.map_or(&result.window.latency, |offered| &offered.response);
    let share = |part: u64, whole: u64| {
        if whole == 0 {
            0.0
        } else {
            part as f64 / whole as f64
        }
    };
    let total = |by_reason: &std::collections::BTreeMap<String, u64>| by_reason.values().sum();
    Row {
        config: config.clone(),
        transport: config.connector.transport().to_owned(),
        server_url: Some(server_url),
        server_name,
        durability: info
            .map_or("unknown", |info| info.durability.as_str())
            .to_owned(),
        apply: info.and_then(|info| info.apply.clone()),
        batch_size: info.map(|info| info.batch_size),
        batch_timeout_us: info.map(|info| info.batch_timeout_us),
        page_size: info.and_then(Info::page_bytes),
        seconds,
        tps,
        committed: window.committed,
        rejected: total(&window.rejected()),
        rejected_by_reason: window.rejected(),
        failed: total(&window.failed()),
        failed_by_reason: window.failed(),
        unknown: window.unknown,
        latency_ms,
        latency_histogram: encode(&latency.ns),
        service_ms: offered.map(|offered| latency_of(&offered.service)),
        response_ms: offered.map(|offered| latency_of(&offered.response)),
        service_histogram: offered.map(|offered| encode(&offered.service.ns)),
        open_loop,
        repetition: None,
        fingerprint: None,
        audit: None,
        intervals,
        collision_rate: share(result.collisions, result.submitted),
        collision_scope: if config.load.threads == 1 {
            "global"
        } else {
            "per client thread"
        }
        .to_owned(),
        server,
        server_preload,
        cpu,
        stalls: stalls(moments.as_ref()),
        processor_speed,
        device: device.map(|device| Device {
            name: device.name,
            writes: device.writes,
            bytes_written: device.bytes_written,
            flushes: device.flushes,
        }),
        sync_baseline,
        verify,
        reconnects: result.reconnects,
        late_answers: result.late_answers,
        contradictory_answers: result.contradictory_answers,
        idle_reconnects: result.idle_reconnects,
        exactly_once: config.load.resolve().map(|resolve| ExactlyOnce {
            resolve_timeout_seconds: resolve.timeout.as_secs_f64(),
            resolve_tries: resolve.tries,
            resolved: result.resolved,
            unknown: result.whole_run().unknown,
            sent_again: result.sent_again,
        }),
        errors: result.errors.clone(),
        interrupted,
        budget,
        prediction: None,
        generator: Some(generator),
        littles_law,
        steady_state,
        window_edges: edges,
        stand_still: gap,
        verdicts,
        valid,
    }
}

pub(crate) fn encode(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    match V2DeflateSerializer::new().serialize(histogram, &mut bytes) {
        Ok(_) => BASE64_STANDARD.encode(&bytes),
        Err(_) => String::new(),
    }
}

fn generator(measured: &Measured, seconds: f64) -> Generator {
    let result = &measured.result;
    let share = |cpu: &Duration| {
        if seconds > 0.0 {
            cpu.as_secs_f64() / seconds
        } else {
            0.0
        }
    };
    Generator {
        thread_cpu: result.thread_cpu.iter().map(share).collect(),
        event_loop_lag_us: spread_of(&result.loop_lag, US),
        ceiling_tps: None,
        ceiling_refuted: None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn steady_state(ticks: &Ticks) -> Option<SteadyState> {
    let seconds = ticks.length.as_secs_f64();
    let series: Vec<f64> = ticks
        .committed
        .iter()
        .map(|committed| *committed as f64 / seconds)
        .collect();
    SteadyState::of(&series, seconds)
}

fn time_budget(measured: &Measured) -> Option<Budget> {
    let (opened, closed) = measured.moments.as_ref()?;
    let (mean_us, queue_us) = measured.result.mean_and_queue_us();
    budget(&BudgetEvidence {
        mean_us,
        queue_us,
        wire_us: measured.wire_us,
        before: opened.stats.as_ref()?,
        after: closed.stats.as_ref()?,
        between: closed.at.saturating_duration_since(opened.at),
    })
}

/// What was offered, and what became of it.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn open_loop(config: &RunConfig, result: &LoadResult, seconds: f64) -> Option<OpenLoop> {
    let offered = result.offered.as_deref()?;
    let Pace::Open {
        rate,
        arrival,
        latency_limit,
    } = config.load.pace()
    else {
        return None;
    };
    Some(OpenLoop {
        arrival,
        offered_tps: rate,
        offered: offered.due,
        achieved_tps: if seconds > 0.0 {
            offered.response.ns.len() as f64 / seconds
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

#[expect(clippy::cast_precision_loss, reason = "nanoseconds far below 2^52")]
fn littles_law(result: &LoadResult, seconds: f64) -> Option<LittlesLaw> {
    (seconds > 0.0).then(|| LittlesLaw {
        in_flight: result.mean_inflight,
        throughput_times_latency: result.window.all_service_sum_ns as f64 / 1e9 / seconds,
    })
}

fn cpu(moments: Option<&(Moment, Moment)>) -> Cpu {
    let Some((opened, closed)) = moments else {
        return Cpu::default();
    };
    let since = |later: Option<CpuTimes>, earlier: Option<CpuTimes>| {
        later
            .zip(earlier)
            .map(|(later, earlier)| later.since(earlier).total.as_secs_f64())
    };
    Cpu {
        client_s: since(closed.client, opened.client),
        server_s: since(closed.server, opened.server),
        steal_s: closed
            .steal
            .zip(opened.steal)
            .map(|(later, earlier)| later.saturating_sub(earlier).as_secs_f64()),
        client_throttled: throttled(closed.client_throttling, opened.client_throttling),
        server_throttled: throttled(closed.server_throttling, opened.server_throttling),
    }
}

fn throttled(later: Option<Throttling>, earlier: Option<Throttling>) -> Option<Throttled> {
    let added = later?.since(earlier?);
    Some(Throttled {
        periods: added.periods,
        throttled_periods: added.throttled_periods,
        seconds: added.throttled.as_secs_f64(),
    })
}

fn stalls(moments: Option<&(Moment, Moment)>) -> Option<Stalls> {
    let (opened, closed) = moments?;
    let added = closed.pressure?.since(opened.pressure?);
    Some(Stalls {
        cpu_some_s: added.cpu_some.as_secs_f64(),
        io_some_s: added.io_some.as_secs_f64(),
        io_full_s: added.io_full.as_secs_f64(),
        memory_some_s: added.memory_some.as_secs_f64(),
    })
}

/// Nanoseconds in a microsecond, the record's unit.
const US: f64 = 1e3;

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn server_row(measured: &Measured) -> Option<ServerRow> {
    let (opened, closed) = measured.moments.as_ref()?;
    let (before, after) = (opened.stats.as_ref()?, closed.stats.as_ref()?);
    let info = measured.info.as_ref()?;
    let (from, to) = (&before.stages, &after.stages);
    let commits = after.batches.saturating_sub(before.batches);
    // Both from the timings: a batch is counted before its answers leave, and timed after them.
    let transfers = to.batch_size.sum.saturating_sub(from.batch_size.sum);
    let batches = to.batch_size.count.saturating_sub(from.batch_size.count);
    let storage = |usage: &ProcessUsage| usage.written.map(|written| written.to_storage);
    Some(ServerRow {
        commits,
        commits_that_wrote: after
            .batches_that_wrote
            .saturating_sub(before.batches_that_wrote),
        syncs: after.syncs.total().saturating_sub(before.syncs.total()),
        commit_syncs: after.commit_syncs.saturating_sub(before.commit_syncs),
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
        bytes_written: after
            .bytes_written
            .total()
            .saturating_sub(before.bytes_written.total()),
        checkpoints: after
            .checkpoints
            .count
            .saturating_sub(before.checkpoints.count),
        checkpoint_ms: (after
            .checkpoints
            .duration_ns
            .saturating_sub(before.checkpoints.duration_ns)) as f64
            / 1e6,
        checkpoint_stalled_ms: Some(
            (after
                .checkpoints
                .stalled_ns()
                .saturating_sub(before.checkpoints.stalled_ns())) as f64
                / 1e6,
        ),
        queue_peak: after.queue.peak,
        listen_overflows: after.network.and_then(|network| network.listen_overflows),
        peak_memory_bytes: measured.closing_usage.peak_memory_bytes,
        storage_bytes_written: storage(&measured.closing_usage)
            .zip(storage(&measured.opening_usage))
            .map(|(later, earlier)| later.saturating_sub(earlier)),
        checkpoint_bytes: info.checkpoint_bytes,
        sqlite_version: info.sqlite_version.clone(),
        pragmas: info.pragmas.clone(),
    })
}
