//! When the next transfer is meant to start.

use std::time::Instant;

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
