//! The system under test: the server, what it runs on, and what it said of itself. It is seen
//! once, however many machines put load on it.

use std::time::Duration;

use busload_wire::control::{Info, Stats};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::LedgerObservation;
use crate::host::environment::Storage;
use crate::record::{BeforeAndAfter, Device, ServerEnd, Throttled};

/// The server, its disk and its ledger.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct SystemObservation {
    /// Where it listened, without credentials and query.
    pub url: Option<String>,
    /// What it calls itself.
    pub name: Option<String>,
    /// What it says it is, as its `info` answered; absent of one that does not know the method.
    #[schemars(with = "Option<serde_json::Value>")]
    pub info: Option<Info>,
    /// Its counters before and after the whole load, with all balances where the ledger is
    /// verified.
    pub run: BeforeAndAfterStats,
    /// Its counters at both ends of the window; absent when the window did not open.
    pub window: Option<WindowCounters>,
    /// Its process, as far as this machine can look at it.
    pub process: ServerProcess,
    /// What its database is stored on, where that is not among the load machine's own storage.
    pub storage: Option<Storage>,
    /// What the block device that holds the database wrote over the whole run, for everybody.
    pub device: Option<Device>,
    /// Sync latency of the database's directory before and after.
    pub sync_baseline: BeforeAndAfter,
    /// The ledger.
    pub ledger: LedgerObservation,
    /// How it ended although it was not told to, or why it told nothing after the load.
    pub died: Option<String>,
    /// After the load another process answered at its address.
    pub replaced: bool,
    /// How it ended when it was told to, if that was not as it should.
    pub stop_error: Option<String>,
    /// How it ended when it was told to; absent of one that runs on.
    pub end: Option<ServerEnd>,
}

impl SystemObservation {
    /// Counters before and after the whole load, if they are of one process: another one counts
    /// from its own beginning.
    #[must_use]
    pub fn run_stats(&self) -> Option<(&Stats, &Stats)> {
        let both = self.run.before.as_ref().zip(self.run.after.as_ref());
        both.filter(|_| !self.replaced)
    }

    /// Counters at both ends of the window, likewise, and the time between them.
    #[must_use]
    pub fn window_stats(&self) -> Option<(&Stats, &Stats, Duration)> {
        let window = self.window.as_ref().filter(|_| !self.replaced)?;
        let (before, after) = window.before.as_ref().zip(window.after.as_ref())?;
        Some((before, after, Duration::from_nanos(window.between_ns)))
    }
}

/// Counters before and after a load.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BeforeAndAfterStats {
    /// Before it, as `stats` answered; absent of a server that does not know the method.
    #[schemars(with = "Option<serde_json::Value>")]
    pub before: Option<Stats>,
    /// After it; absent as well when it could not be asked.
    #[schemars(with = "Option<serde_json::Value>")]
    pub after: Option<Stats>,
}

/// Counters at both ends of the window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WindowCounters {
    /// When it opened.
    #[schemars(with = "Option<serde_json::Value>")]
    pub before: Option<Stats>,
    /// When it closed.
    #[schemars(with = "Option<serde_json::Value>")]
    pub after: Option<Stats>,
    /// Time between the two readings, in nanoseconds.
    pub between_ns: u64,
}

/// The server process as seen from outside.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerProcess {
    /// Processor time over the window, in nanoseconds.
    pub cpu_ns: Option<u64>,
    /// What CPU quotas did to it in the window; absent where no CPU controller is in sight.
    pub throttled: Option<Throttled>,
    /// Largest resident set, in bytes.
    pub peak_memory_bytes: Option<u64>,
    /// Bytes that it caused to be written to storage over the whole run.
    pub storage_bytes: Option<u64>,
    /// Libraries that are loaded before the C library into it: file names; absent where nothing
    /// tells.
    pub preload: Option<Vec<String>>,
}
