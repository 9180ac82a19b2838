//! One thread for everything: while it sleeps in a sync, nothing is read, applied or answered.
//! The article's Node.js server.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Expected, ModelInputs, limit};
use crate::record::{Bottleneck, Limit};

/// Predicted ÷ measured p50 − 1 on the article's ten durable rows, with its 683 µs and 6.1 µs
/// (`docs/model.md`, held by a test).
pub(super) const P50_ERROR: (f64, f64) = (0.0, 0.5);

/// CPU per transfer of the article's Node.js server, in microseconds. At batch 4000 its 163,075
/// TPS leave 5.97 of a second less 27 ms in syncs; the article's own budget is 6.25.
pub const ARTICLE_CPU_US: f64 = 6.1;

/// What the shared thread does, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SharedThreadCosts {
    /// All syncs of one commit together.
    pub sync_us: f64,
    /// CPU per transfer.
    pub cpu_us: f64,
    /// CPU per transfer for its transport, on top.
    pub transport_us: f64,
}

/// A chunk of one batch size leaves as soon as it is there. What is left over of the messages
/// that filled it is committed alone, with a sync of its own.
pub(super) fn expect(inputs: &ModelInputs, costs: &SharedThreadCosts) -> Expected {
    let in_flight = inputs.in_flight();
    let per_transfer = costs.cpu_us + costs.transport_us;
    let is_short = in_flight < inputs.seats();
    let (moved, syncs, wait) = if is_short {
        (in_flight, 1.0, inputs.batch_timeout_us)
    } else {
        let leftover = leftover(inputs);
        let syncs = if leftover > 0.0 { 2.0 } else { 1.0 };
        (inputs.seats() + leftover, syncs, 0.0)
    };
    let sync = syncs * costs.sync_us;
    let cycle = (wait + sync + moved * per_transfer).max(f64::MIN_POSITIVE);
    let capacity = moved / cycle;
    let parts = [
        (Bottleneck::DiskSync, sync),
        (Bottleneck::WriterCpu, moved * costs.cpu_us),
        (Bottleneck::TransportCpu, moved * costs.transport_us),
        (Bottleneck::EmptyBusStop, wait),
    ];
    let longest = parts.iter().max_by(|a, b| a.1.total_cmp(&b.1));
    let limits: Vec<Limit> = parts
        .iter()
        .filter_map(|&(what, us)| limit(what, us / moved))
        .collect();
    let offered = inputs.offered_tps.map(|tps| tps / super::SECOND_US);
    match offered.filter(|offered| *offered < capacity) {
        // What arrives while the thread is busy waits for half of that on average.
        Some(offered) => Expected {
            per_us: offered,
            capacity_per_us: capacity,
            mean_batch: (offered * cycle).clamp(1.0, moved / syncs),
            latency_us: (cycle * (1.0 + 0.5 * offered / capacity)).min(in_flight / offered),
            bottleneck: Bottleneck::OfferedRate,
            limits,
        },
        None => Expected {
            per_us: capacity,
            capacity_per_us: capacity,
            mean_batch: moved / syncs,
            latency_us: in_flight / capacity,
            bottleneck: longest.map_or(Bottleneck::DiskSync, |part| part.0),
            limits,
        },
    }
}

/// (−B) mod in flight: transfers of the last message that the chunk had no room for.
#[expect(clippy::cast_precision_loss, reason = "below 2^52")]
fn leftover(inputs: &ModelInputs) -> f64 {
    let message = inputs.max_inflight_per_worker.max(1) as u64;
    let past = inputs.batch_size.max(1) % message;
    if past == 0 {
        0.0
    } else {
        (message - past) as f64
    }
}
