//! When the next transfer is meant to start.

use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the intended starts of an open loop are spaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Arrival {
    /// At equal distances.
    Constant,
    /// At exponentially distributed distances: as independent users arrive.
    Poisson,
}

/// How load is offered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// A closed loop: the next transfer starts when an earlier one was answered.
    Closed,
    /// An open loop: transfers start when they are due, whatever the server does.
    Open {
        /// Transfers per second over all workers.
        rate: f64,
        /// How their intended starts are spaced.
        arrival: Arrival,
        /// Response time above which a transfer is late, and above which it is not sent any
        /// more.
        latency_limit: Option<Duration>,
    },
}

/// What a pacer says about the next transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// It was meant to start at this time, which is not in the future. Latency counts
    /// from here.
    Now(Instant),
    /// Not before this time.
    At(Instant),
}

/// Gives each transfer its intended start.
pub trait Pacer {
    /// The next transfer's intended start, asked for when a slot is free.
    fn next(&mut self, now: Instant) -> Due;
}

/// A closed loop: the next transfer starts when an earlier one was answered. Its latency
/// does not show what would have waited while the server stood still.
#[derive(Debug, Clone, Copy)]
pub struct ClosedLoop;

impl Pacer for ClosedLoop {
    fn next(&mut self, now: Instant) -> Due {
        Due::Now(now)
    }
}
