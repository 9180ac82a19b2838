//! What the machine did meanwhile: processor time, quotas, waiting, speed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Processor time over the window, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cpu {
    /// Of this process.
    pub client_s: Option<f64>,
    /// Of the server process, when it runs on this machine.
    pub server_s: Option<f64>,
    /// Taken from this machine by its hypervisor.
    pub steal_s: Option<f64>,
    /// What CPU quotas (cgroups) did to this process; absent where no CPU controller is in sight.
    #[serde(default)]
    pub client_throttled: Option<Throttled>,
    /// What they did to the server process, when it runs on this machine: the same as to this one
    /// if both are in the same control group.
    #[serde(default)]
    pub server_throttled: Option<Throttled>,
}

/// What the CPU quotas over a process did in the window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Throttled {
    /// Periods (of 0.1 s usually) in which there was something to run, of all groups that have a
    /// quota.
    pub periods: u64,
    /// Of these, those in which the quota was used up.
    pub throttled_periods: u64,
    /// Time not allowed to run, summed over cores.
    pub seconds: f64,
}

/// For how long of the window something on the machine had to wait (`/proc/pressure`), in
/// seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stalls {
    /// A task was ready and waited for a processor.
    pub cpu_some_s: f64,
    /// A task waited for I/O.
    pub io_some_s: f64,
    /// All tasks that were not idle waited for I/O.
    pub io_full_s: f64,
    /// A task waited for memory to be made free.
    pub memory_some_s: f64,
}

/// How fast a processor computed around a row: million steps of a fixed sum per second of
/// processor time. It shows neighbours on the same core and lower clocks, which steal does not.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessorSpeed {
    /// Before the server was started.
    pub before: f64,
    /// After it was stopped.
    pub after: f64,
    /// The best that this invocation has seen so far.
    pub best: f64,
}
