//! What was seen of a row, as plain data: measuring code fills it in once, in one place, and
//! everything that a row says follows from it and from the configuration.
//!
//! Three parts, by what becomes of them when several machines put load on one server: what the
//! load came to adds up ([`LoadObservation`]), what a load machine says of itself stays apart
//! ([`LoadMachine`]), and the server is seen once ([`SystemObservation`]). Quantities are integers
//! in nanoseconds, so that adding them up loses nothing.

#[cfg(any(test, feature = "fixtures"))]
#[allow(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "for tests, which panic"
)]
pub mod fixtures;
mod ledger;
mod load;
mod machine;
mod merge;
mod shard;
mod system;
#[cfg(test)]
mod tests;
mod times;

pub use ledger::{CheckedBalances, LedgerObservation, OwnVerified, Sample};
pub use load::{AccountChange, Counts, Edges, LoadObservation, Moves, Offered, Tally, Ticks};
pub use machine::{LoadMachine, PacedNullServer, ShardPart};
pub use merge::{MergeError, WINDOW_SKEW_SHARE};
pub use shard::{SHARD_VERSION, ShardFile, ShardRecord, Shards, ShardsError};
pub use system::{BeforeAndAfterStats, ServerProcess, SystemObservation, WindowCounters};
pub use times::Times;

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Everything that was seen of a row.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Observation {
    /// What the load came to.
    pub load: LoadObservation,
    /// The machines that put it on: one, unless observations were merged.
    pub machines: Vec<LoadMachine>,
    /// The server, its disk and its ledger; absent from a machine that left them to another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<SystemObservation>,
}

impl Observation {
    /// How the server ended although it was not told to, or how it could not be talked to any
    /// more.
    #[must_use]
    pub fn server_died(&self) -> Option<Cow<'_, str>> {
        let system = self.system.as_ref();
        if let Some(how) = system.and_then(|system| system.died.as_deref()) {
            return Some(how.into());
        }
        if system.is_some_and(|system| system.replaced) {
            return Some("another process answers at its address".into());
        }
        if self.load.gave_up > 0 {
            let reason = self.load.errors.first();
            return Some(reason.map_or("", String::as_str).into());
        }
        Some(system?.stop_error.as_deref()?.into())
    }
}
