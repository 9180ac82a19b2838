//! A row of the record: configuration, figures and judgement.

use busload_wire::control::Info;
use busload_wire::histogram::encode;

use super::figures::{Figures, latency_of};
use super::model::{ModelInputs, held_against, predict};
use super::{Judgement, judge_figures};
use crate::config::RunConfig;
use crate::observation::{LoadMachine, Observation, ShardPart, SystemObservation};
use crate::record::{ExactlyOnce, Row, ShardRow};

#[cfg(test)]
mod tests;

/// Judges what was seen and writes it down.
#[must_use]
pub fn row(config: &RunConfig, observation: &Observation) -> Row {
    let figures = Figures::of(config, observation);
    let judgement = judge_figures(config, observation, &figures);
    let mut row = write(config, observation, figures, judgement);
    if config.target.is_built_in() {
        let machine = observation.machines.first();
        let cores = machine.and_then(|machine| machine.environment.machine.usable_cores);
        row.prediction = ModelInputs::from_row(&row, cores)
            .map(|inputs| held_against(predict(&inputs), &row, cores));
    }
    row
}

fn write(
    config: &RunConfig,
    observation: &Observation,
    figures: Figures,
    judgement: Judgement,
) -> Row {
    let Observation {
        load,
        machines,
        system,
    } = observation;
    let nothing = SystemObservation::default();
    let system = system.as_ref().unwrap_or(&nothing);
    let info = system.info.as_ref();
    let (window, offered) = (&load.window.counts, load.offered.as_ref());
    let is_one_thread = config.load.threads == 1 && machines.len() <= 1;
    Row {
        config: config.clone(),
        transport: config.connector.transport().to_owned(),
        server_url: system.url.clone(),
        server_name: system.name.clone(),
        durability: info
            .map_or("unknown", |info| info.durability.as_str())
            .to_owned(),
        apply: info.and_then(|info| info.apply.clone()),
        batch_size: info.map(|info| info.batch_size),
        batch_timeout_us: info.map(|info| info.batch_timeout_us),
        page_size: info.and_then(Info::page_bytes),
        seconds: figures.seconds,
        tps: figures.tps,
        committed: window.committed,
        rejected: window.rejected.values().sum(),
        rejected_by_reason: window.rejected.clone(),
        failed: window.failed.values().sum(),
        failed_by_reason: window.failed.clone(),
        unknown: window.unknown,
        latency_ms: figures.latency_ms,
        latency_histogram: encode(&load.latency().histogram),
        service_ms: offered.map(|offered| latency_of(&offered.service)),
        response_ms: offered.map(|offered| latency_of(&offered.response)),
        service_histogram: offered.map(|offered| encode(&offered.service.histogram)),
        open_loop: figures.open_loop,
        repetition: None,
        fingerprint: None,
        audit: None,
        shards: shards(machines),
        intervals: load.intervals.clone(),
        collision_rate: share(load.collisions, load.submitted),
        collision_scope: if is_one_thread {
            "global"
        } else {
            "per client thread"
        }
        .to_owned(),
        server: figures.server,
        server_preload: system.process.preload.clone(),
        server_end: system.end.clone(),
        cpu: figures.cpu,
        stalls: figures.stalls,
        processor_speed: figures.processor_speed,
        device: system.device.clone(),
        sync_baseline: system.sync_baseline.clone(),
        verify: judgement.verify,
        reconnects: load.reconnects,
        late_answers: load.late_answers,
        contradictory_answers: load.contradictory_answers,
        idle_reconnects: load.idle_reconnects,
        exactly_once: config.load.resolve().map(|resolve| ExactlyOnce {
            resolve_timeout_seconds: resolve.timeout.as_secs_f64(),
            resolve_tries: resolve.tries,
            resolved: load.resolved,
            unknown: load.whole_run().unknown,
            sent_again: load.sent_again,
        }),
        errors: load.errors.clone(),
        interrupted: load.interrupted,
        budget: judgement.budget,
        prediction: None,
        generator: Some(judgement.generator),
        littles_law: judgement.littles_law,
        steady_state: judgement.steady_state,
        window_edges: judgement.window_edges,
        stand_still: judgement.stand_still,
        verdicts: judgement.verdicts,
        valid: judgement.valid,
    }
}

/// The machines that put on a load together.
fn shards(machines: &[LoadMachine]) -> Vec<ShardRow> {
    let parts = || machines.iter().filter_map(|machine| machine.shard.as_ref());
    let opened = |part: &ShardPart| part.window_start_unix_us;
    let first = parts().map(opened).min().unwrap_or_default();
    let of = |machine: &LoadMachine| {
        let part = machine.shard.as_ref()?;
        Some(ShardRow {
            shard: part.shard,
            machine: machine.environment.machine.clone(),
            committed: part.committed,
            opened_after_us: part.window_start_unix_us - first,
            clock: part.clock,
            processor_speed: machine.processor_speed,
        })
    };
    machines.iter().filter_map(of).collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}
