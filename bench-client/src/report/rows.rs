//! From what was measured in memory to a row of the record.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use busload_engine::decode_histogram;
use busload_wire::control::{Distribution, Info, Stats};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};

use super::process::{CpuTimes, ProcessUsage};
use super::record::{BeforeAndAfter, Cpu, Latency, Row, ServerRow, Spread};
use crate::judge::{Evidence, is_valid, judge};
use crate::load::LoadResult;
use crate::row::{RowPlan, ServerChoice};

/// The clocks and counters at one end of the window.
#[derive(Debug)]
pub struct Moment {
    /// The server's counters, if it has them.
    pub stats: Option<Stats>,
    /// Processor time of this process.
    pub client: Option<CpuTimes>,
    /// Processor time of the server.
    pub server: Option<CpuTimes>,
    /// Time that the hypervisor took.
    pub steal: Option<Duration>,
}

/// Everything that was measured for a row.
#[derive(Debug)]
pub struct Measured {
    /// What the server says it is.
    pub info: Option<Info>,
    /// What the load saw.
    pub result: LoadResult,
    /// The two ends of the window.
    pub moments: Option<(Moment, Moment)>,
    /// The server process before the load.
    pub opening_usage: ProcessUsage,
    /// The server process after the load.
    pub closing_usage: ProcessUsage,
    /// Stopped from outside.
    pub interrupted: bool,
    /// The disk around the run.
    pub sync_baseline: BeforeAndAfter,
}

/// Judges what was measured and writes it down.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub fn to_row(plan: &RowPlan, measured: Measured, evidence: &Evidence) -> Row {
    let server = server_row(&measured);
    let mut evidence_syncs = evidence.syncs.clone();
    if let Some(syncs) = &mut evidence_syncs {
        syncs.sync_p50_us = server
            .as_ref()
            .and_then(|server| server.sync_us)
            .map(|sync| sync.p50);
    }
    let (verify, verdicts) = judge(&Evidence {
        syncs: evidence_syncs,
        ..evidence.clone()
    });
    let valid = is_valid(&verdicts);
    let Measured {
        info,
        result,
        moments,
        interrupted,
        sync_baseline,
        ..
    } = measured;
    let info = info.as_ref();
    let window = &result.window.counts;
    let seconds = result.window_length.as_secs_f64();
    let share = |part: u64, whole: u64| {
        if whole == 0 {
            0.0
        } else {
            part as f64 / whole as f64
        }
    };
    let total = |by_reason: &std::collections::BTreeMap<String, u64>| by_reason.values().sum();
    Row {
        name: plan.name.clone(),
        connector: plan.connector.as_str().to_owned(),
        transport: plan.connector.transport().to_owned(),
        encoding: plan.encoding.as_str().to_owned(),
        durability: info
            .map_or("unknown", |info| info.durability.as_str())
            .to_owned(),
        durability_requested: match &plan.server {
            ServerChoice::Own { durability, .. } => Some(durability.clone()),
            ServerChoice::Url { .. } => None,
        },
        batch_size: info.map(|info| info.batch_size),
        batch_timeout_us: info.map(|info| info.batch_timeout_us),
        concurrency: plan.concurrency,
        max_inflight_per_worker: plan.max_inflight,
        threads: plan.threads,
        alpha: plan.zipf.alpha(),
        accounts: plan.zipf.account_count(),
        amount: plan.amount,
        seed: plan.seed,
        warmup_seconds: plan.warmup.as_secs_f64(),
        seconds,
        op_timeout_seconds: plan.op_timeout.as_secs_f64(),
        tps: if seconds > 0.0 {
            window.committed as f64 / seconds
        } else {
            0.0
        },
        committed: window.committed,
        rejected: total(&window.rejected()),
        rejected_by_reason: window.rejected(),
        failed: total(&window.failed()),
        failed_by_reason: window.failed(),
        unknown: window.unknown,
        latency_ms: Latency::of(&result.window),
        latency_histogram: encode(&result.window.latency_ns),
        service_ms: None,
        response_ms: None,
        service_histogram: None,
        open_loop: None,
        repetition: None,
        intervals: Vec::new(),
        collision_rate: share(result.collisions, result.submitted),
        collision_scope: if plan.threads == 1 {
            "global"
        } else {
            "per client thread"
        }
        .to_owned(),
        server,
        cpu: cpu(moments.as_ref()),
        sync_baseline,
        verify,
        reconnects: result.reconnects,
        late_answers: result.late_answers,
        errors: result.errors.clone(),
        interrupted,
        budget: None,
        prediction: None,
        generator: None,
        littles_law: None,
        steady_state: None,
        verdicts,
        valid,
    }
}

fn encode(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    match V2DeflateSerializer::new().serialize(histogram, &mut bytes) {
        Ok(_) => BASE64_STANDARD.encode(&bytes),
        Err(_) => String::new(),
    }
}

fn cpu(moments: Option<&(Moment, Moment)>) -> Cpu {
    let Some((opened, closed)) = moments else {
        return Cpu {
            client_s: None,
            server_s: None,
            steal_s: None,
        };
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
    }
}

/// What was counted between two readings of a distribution.
fn difference(later: &Distribution, earlier: &Distribution) -> Option<Histogram<u64>> {
    let mut histogram = decode_histogram(later)?;
    histogram.subtract(&decode_histogram(earlier)?).ok()?;
    Some(histogram)
}

/// What lies between two distributions, in `unit`s.
fn between(later: &Distribution, earlier: &Distribution, unit: f64) -> Option<Spread> {
    let histogram = difference(later, earlier)?;
    Spread::of(&histogram, later.sum.saturating_sub(earlier.sum), unit)
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
    let transfers = to.batch_size.sum.saturating_sub(from.batch_size.sum);
    let storage = |usage: &ProcessUsage| usage.written.map(|written| written.to_storage);
    Some(ServerRow {
        commits,
        commits_that_wrote: after
            .batches_that_wrote
            .saturating_sub(before.batches_that_wrote),
        syncs: after.syncs.total().saturating_sub(before.syncs.total()),
        commit_syncs: after.commit_syncs.saturating_sub(before.commit_syncs),
        mean_batch: if commits == 0 {
            0.0
        } else {
            transfers as f64 / commits as f64
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
        queue_peak: after.queue.peak,
        peak_memory_bytes: measured.closing_usage.peak_memory_bytes,
        storage_bytes_written: storage(&measured.closing_usage)
            .zip(storage(&measured.opening_usage))
            .map(|(later, earlier)| later.saturating_sub(earlier)),
        sqlite_version: info.sqlite_version.clone(),
        pragmas: info.pragmas.clone(),
    })
}
