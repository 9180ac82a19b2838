//! The clocks and counters at the two ends of the window.

use std::time::{Duration, Instant};

use busload_wire::control::Stats;

use crate::control::ControlClient;
use crate::host::cgroup::Throttling;
use crate::host::pressure::Pressure;
use crate::host::process::{CpuTimes, steal_time};
use crate::observation::WindowCounters;
use crate::record::{Stalls, Throttled};

/// Clocks and counters as they were read at one time.
#[derive(Debug)]
pub(super) struct CounterSample {
    pub(super) at: Instant,
    /// The server's counters, if it has them.
    pub(super) stats: Option<Stats>,
    /// Processor time of this process.
    pub(super) client: Option<CpuTimes>,
    /// Processor time of the server.
    pub(super) server: Option<CpuTimes>,
    /// Time that the hypervisor took.
    steal: Option<Duration>,
    /// What the CPU quota of this process's control group has done.
    client_throttling: Option<Throttling>,
    /// What that of the server's has done.
    server_throttling: Option<Throttling>,
    /// For how long work had to wait.
    pressure: Option<Pressure>,
}

impl CounterSample {
    /// Reads them; `pid` is the server's process.
    pub(super) async fn take(control: &mut ControlClient, pid: Option<u32>) -> Self {
        Self {
            at: Instant::now(),
            // A server without stats, or gone: the row says so elsewhere.
            stats: control.stats(false).await.ok().flatten(),
            client: CpuTimes::of_this_process(),
            server: pid.and_then(CpuTimes::of_tree),
            steal: steal_time(),
            client_throttling: Throttling::of_process(std::process::id()),
            server_throttling: pid.and_then(Throttling::of_process),
            pressure: Pressure::now(),
        }
    }
}

/// The samples at the opening and at the closing of the window.
#[derive(Debug)]
pub(super) struct WindowSamples {
    pub(super) opened: CounterSample,
    pub(super) closed: CounterSample,
}

impl WindowSamples {
    /// The server's counters, if it has them.
    pub(super) fn stats(&self) -> Option<(&Stats, &Stats)> {
        self.opened.stats.as_ref().zip(self.closed.stats.as_ref())
    }

    /// Processor time of this process.
    pub(super) fn client_cpu_ns(&self) -> Option<u64> {
        cpu_ns(self.opened.client, self.closed.client)
    }

    /// Processor time of the server.
    pub(super) fn server_cpu_ns(&self) -> Option<u64> {
        cpu_ns(self.opened.server, self.closed.server)
    }

    /// Processor time that the hypervisor took.
    pub(super) fn steal_ns(&self) -> Option<u64> {
        let both = self.opened.steal.zip(self.closed.steal);
        both.map(|(earlier, later)| nanos(later.saturating_sub(earlier)))
    }

    /// What CPU quotas did to this process.
    pub(super) fn client_throttled(&self) -> Option<Throttled> {
        throttled(self.opened.client_throttling, self.closed.client_throttling)
    }

    /// What they did to the server.
    pub(super) fn server_throttled(&self) -> Option<Throttled> {
        throttled(self.opened.server_throttling, self.closed.server_throttling)
    }

    /// For how long something on this machine had to wait.
    pub(super) fn stalls(&self) -> Option<Stalls> {
        let added = self.closed.pressure?.since(self.opened.pressure?);
        Some(Stalls {
            cpu_some_s: added.cpu_some.as_secs_f64(),
            io_some_s: added.io_some.as_secs_f64(),
            io_full_s: added.io_full.as_secs_f64(),
            memory_some_s: added.memory_some.as_secs_f64(),
        })
    }

    /// The server's counters, with the time between the two readings.
    pub(super) fn counters(&self) -> WindowCounters {
        let between = self.closed.at.saturating_duration_since(self.opened.at);
        WindowCounters {
            before: self.opened.stats.clone(),
            after: self.closed.stats.clone(),
            between_ns: nanos(between),
        }
    }
}

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn cpu_ns(earlier: Option<CpuTimes>, later: Option<CpuTimes>) -> Option<u64> {
    Some(nanos(later?.since(earlier?).total))
}

fn throttled(earlier: Option<Throttling>, later: Option<Throttling>) -> Option<Throttled> {
    let added = later?.since(earlier?);
    Some(Throttled {
        periods: added.periods,
        throttled_periods: added.throttled_periods,
        seconds: added.throttled.as_secs_f64(),
    })
}
