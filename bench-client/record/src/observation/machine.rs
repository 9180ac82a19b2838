//! What a load machine says of itself.

use busload_wire::control::Stats;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::host::environment::Environment;
use crate::record::{ProcessorSpeed, Stalls, Throttled};

/// One machine that put load on the server, over the window.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LoadMachine {
    /// What it is.
    pub environment: Environment,
    /// Processor time of the load generator, in nanoseconds.
    pub cpu_ns: Option<u64>,
    /// Processor time of each of its client threads, in nanoseconds, where the operating system
    /// tells.
    pub thread_cpu_ns: Vec<u64>,
    /// Processor time that the hypervisor took from the machine, in nanoseconds.
    pub steal_ns: Option<u64>,
    /// What CPU quotas did to the load generator; absent where no CPU controller is in sight.
    pub throttled: Option<Throttled>,
    /// For how long something on the machine had to wait; absent where the kernel does not count
    /// it.
    pub stalls: Option<Stalls>,
    /// How fast a processor computed before and after.
    pub processor_speed: Option<ProcessorSpeed>,
    /// TPS that the same load reached on a server without a database.
    pub ceiling_tps: Option<f64>,
    /// The same load on a server without a database that took as long as the measured one.
    pub paced_null_server: Option<PacedNullServer>,
}

/// A load on a server without a database that took as long for each transfer and batch as the
/// measured server: what is left of the latency is the wire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PacedNullServer {
    /// Mean latency of committed transfers, in microseconds.
    pub mean_us: f64,
    /// The part of it before they were sent, likewise.
    pub queue_us: f64,
    /// Its counters when its window opened, as its `stats` answered.
    #[schemars(with = "serde_json::Value")]
    pub before: Stats,
    /// The same when it closed.
    #[schemars(with = "serde_json::Value")]
    pub after: Stats,
}
