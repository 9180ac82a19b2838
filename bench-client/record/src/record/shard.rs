//! One load machine of several.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ProcessorSpeed;
use crate::config::Shard;
use crate::host::environment::Machine;

/// What one machine put on, of a load that several put on together (`run --shard`, `merge`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShardRow {
    /// Which one.
    #[serde(flatten)]
    pub shard: Shard,
    /// The machine.
    pub machine: Machine,
    /// Transfers acknowledged to it inside its window.
    pub committed: u64,
    /// When its window opened, in microseconds after that of the first one, by the server's clock
    /// as it was read after the load.
    pub opened_after_us: u64,
    /// How its clock stood to the server's before the load, which it began by; absent where the server does not tell the time: then
    /// the machines' own clocks are believed.
    pub clock: Option<ClockOffset>,
    /// How fast a processor of it computed before and after.
    pub processor_speed: Option<ProcessorSpeed>,
}

/// How much a server's clock is ahead of a load machine's, by the shortest of many questions for
/// its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClockOffset {
    /// By how much the server's clock is ahead, in microseconds.
    pub offset_us: i64,
    /// The shortest round trip, in microseconds: the offset is known to half of it.
    pub round_trip_us: u64,
    /// How many round trips there were.
    pub round_trips: u32,
}
