//! Whether load and window were what they were meant to be.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Spread;

/// How busy the load generator was, and what it can do at best.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Generator {
    /// Share of the window that each client thread was on a processor, from 0 to 1.
    pub thread_cpu: Vec<f64>,
    /// How late the event loops of the client threads were, in microseconds: a timer of each,
    /// from its expiry until it was handled.
    pub event_loop_lag_us: Option<Spread>,
    /// TPS of the same load on the null server, which answers without a database; absent when
    /// it was not asked, and when the row itself was faster.
    pub ceiling_tps: Option<f64>,
    /// What the null server reached, when the row was so much faster that this is no ceiling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceiling_refuted: Option<f64>,
}

/// Little's law over the window: what is in flight is throughput times time in the system. Under
/// `--rate` that time is the service time: what waits to be sent is not in flight.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LittlesLaw {
    /// Transfers in flight: mean over time, counted by the load loop.
    pub in_flight: f64,
    /// Answers per second times their mean service time in seconds; absent of a window that is
    /// too short for that time, where the law says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throughput_times_latency: Option<f64>,
}

/// Transfers that crossed the ends of the window. An answer counts in the window in which it
/// arrives, so a steady load gains at the opening what it loses at the closing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WindowEdges {
    /// Committed in the window, with their intended start before it opened.
    pub began_before: u64,
    /// How long those had waited when it opened: their mean, in milliseconds.
    pub waited_before_ms: f64,
    /// How long they waited after it opened: their mean, in milliseconds.
    pub waited_within_ms: f64,
    /// TPS of the transfers that began in the window and were committed in it.
    pub tps_begun_within: f64,
    /// Committed after the window closed, with their intended start in it.
    pub answered_after: u64,
    /// By how many transfers the window counts more than took place in it, when each transfer
    /// that crosses an end counts by the share of its time inside; below 0 it counts fewer.
    pub excess: f64,
}

/// The longest time in the window in which nothing was committed and transfers were in flight.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StandStill {
    /// When it began, in seconds since the window opened.
    pub from_seconds: f64,
    /// How long it was, in seconds.
    pub seconds: f64,
    /// The generator's own timers stood still for most of it: it was this process, or the whole
    /// machine, and not the server.
    pub generator: bool,
    /// Gaps that are as notable, this one among them.
    pub gaps: u32,
}
