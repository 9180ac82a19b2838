//! Was the generator the limit?

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::report::record::Spread;

/// How busy the load generator was, and what it can do at best.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Generator {
    /// Share of the window that each client thread was on a processor, from 0 to 1.
    pub thread_cpu: Vec<f64>,
    /// How late the event loops of the client threads were, in microseconds: a timer of each,
    /// from its expiry until it was handled.
    pub event_loop_lag_us: Option<Spread>,
    /// TPS of the same load on the null server, which answers without a database; absent when
    /// it was not asked.
    pub ceiling_tps: Option<f64>,
}

/// Little's law over the window: what is in flight is throughput times time in the system.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LittlesLaw {
    /// Transfers in flight: mean over time, counted by the load loop.
    pub in_flight: f64,
    /// Answers per second times their mean service time in seconds.
    pub throughput_times_latency: f64,
}
