//! What a load machine says of itself.

use busload_wire::control::Stats;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::Shard;
use crate::host::environment::Environment;
use crate::record::{ClockOffset, ProcessorSpeed, Stalls, Throttled};

/// One machine that put load on the server, over the window.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LoadMachine {
    /// What it is.
    pub environment: Environment,
    /// Which part of the load it put on; absent of one that put on all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<ShardPart>,
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

/// What one machine of several did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShardPart {
    /// Which one.
    pub shard: Shard,
    /// When its window opened, in microseconds since 1970 by the server's clock as it was read
    /// after the load.
    pub window_start_unix_us: u64,
    /// Transfers acknowledged to it inside its window.
    pub committed: u64,
    /// How its clock stood to the server's before the load, which it began by; absent where the server does not tell the time.
    pub clock: Option<ClockOffset>,
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
