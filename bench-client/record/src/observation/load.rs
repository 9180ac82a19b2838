//! What a load came to: everything here adds up over client threads and load machines.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Times;
use crate::record::series::Interval;

/// What the transfers of a load came to.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LoadObservation {
    /// When the window opened, in microseconds since 1970 by the load machine's clock, of one
    /// machine of several by the server's.
    pub window_start_unix_us: u64,
    /// The window's length as it was, in nanoseconds.
    pub window_ns: u64,
    /// Answers before the window.
    pub warmup: Counts,
    /// Answers inside the window.
    pub window: Tally,
    /// Answers after the window.
    pub drain: Counts,
    /// What an open loop has besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered: Option<Offered>,
    /// Transfers in flight: mean over the window.
    pub mean_inflight: f64,
    /// Committed transfers of the window, tick by tick.
    pub ticks: Ticks,
    /// The window, interval by interval.
    pub intervals: Vec<Interval>,
    /// How late the event loops were inside the window.
    pub loop_lag: Times,
    /// From when to when the event loops of all client threads stood still together for the
    /// longest time, in nanoseconds since the window opened; what lies before is cut off.
    pub stalled_ns: Option<(u64, u64)>,
    /// What crossed the ends of the window.
    pub edges: Edges,
    /// Transfers submitted inside the window.
    pub submitted: u64,
    /// Of those, how many named an account that was in flight on the same client thread.
    pub collisions: u64,
    /// Sessions opened again after one broke.
    pub reconnects: u64,
    /// Answers that came after their transfer's timeout.
    pub late_answers: u64,
    /// Answers that contradicted themselves: their transfers are of unknown outcome.
    pub contradictory_answers: u64,
    /// Answers to nothing that was asked: a breach of the protocol.
    pub unexpected_answers: u64,
    /// Connections that the server had closed while they were idle, and that were replaced.
    pub idle_reconnects: u64,
    /// Transfers of unknown outcome that had one when they were sent again, over the whole run.
    pub resolved: u64,
    /// How often transfers were sent again.
    pub sent_again: u64,
    /// Workers that gave up because the server was gone.
    pub gave_up: u32,
    /// Why sessions broke, or could not be opened again: the first few reasons.
    pub errors: Vec<String>,
    /// The load was stopped from outside.
    pub interrupted: bool,
    /// What the transfers of the whole run did with each account that they named; absent where
    /// the machine that put the load on checks the ledger itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_changes: Option<BTreeMap<u32, AccountChange>>,
}

impl LoadObservation {
    /// The window's length as it was.
    #[must_use]
    pub fn window_length(&self) -> Duration {
        Duration::from_nanos(self.window_ns)
    }

    /// Committed transfers per second of the window.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a count far below 2^52")]
    pub fn tps(&self) -> f64 {
        let seconds = self.window_length().as_secs_f64();
        if seconds > 0.0 {
            self.window.counts.committed as f64 / seconds
        } else {
            0.0
        }
    }

    /// Mean latency of what was committed in the window, and the part of it before it was sent,
    /// in microseconds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds far below 2^52")]
    pub fn mean_and_queue_us(&self) -> (f64, f64) {
        let committed = self.window.counts.committed;
        if committed == 0 {
            return (0.0, 0.0);
        }
        let latency = self.window.latency.sum_ns;
        let queue = latency.saturating_sub(self.window.service_sum_ns);
        let mean = |sum: u128| sum as f64 / committed as f64 / 1e3;
        (mean(latency), mean(queue))
    }

    /// Latencies of the row: of an open loop those of the transfers that were due in the window.
    #[must_use]
    pub fn latency(&self) -> &Times {
        let offered = self.offered.as_ref();
        offered.map_or(&self.window.latency, |offered| &offered.response)
    }

    /// The counts of the whole run: warm-up, window and drain.
    #[must_use]
    pub fn whole_run(&self) -> Counts {
        let mut counts = self.warmup.clone();
        counts.add(&self.window.counts);
        counts.add(&self.drain);
        counts
    }
}

/// Outcomes of transfers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Acknowledged.
    pub committed: u64,
    /// Outcome unknown.
    pub unknown: u64,
    /// Rejected, by error code.
    pub rejected: BTreeMap<String, u64>,
    /// Known not to be committed, by error code.
    pub failed: BTreeMap<String, u64>,
}

impl Counts {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        let others = self.rejected.values().chain(self.failed.values());
        self.committed + self.unknown + others.sum::<u64>()
    }

    /// Adds other counts to these.
    pub fn add(&mut self, other: &Self) {
        self.committed += other.committed;
        self.unknown += other.unknown;
        for (sums, counts) in [
            (&mut self.rejected, &other.rejected),
            (&mut self.failed, &other.failed),
        ] {
            for (reason, count) in counts {
                *sums.entry(reason.clone()).or_default() += count;
            }
        }
    }
}

/// What was answered in the window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tally {
    /// Outcomes.
    pub counts: Counts,
    /// Latency of committed transfers: from the intended start to the answer.
    pub latency: Times,
    /// Time of committed transfers from being sent to the answer: summed up, in nanoseconds.
    pub service_sum_ns: u128,
    /// The same of all transfers, whatever became of them.
    pub all_service_sum_ns: u128,
}

/// What an open loop has besides: of the transfers whose intended start was inside the window,
/// whenever they were answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Offered {
    /// Transfers that were due.
    pub due: u64,
    /// From the intended start to the answer, of committed ones.
    pub response: Times,
    /// From being sent to the answer, of committed ones.
    pub service: Times,
    /// How late those were sent for which there was room when they were due.
    pub schedule_lag: Times,
    /// Committed, and later than the limit.
    pub late: u64,
    /// Not sent, because the limit had passed before there was room.
    pub skipped: u64,
    /// Never sent: no room until the window ended.
    pub dropped: u64,
}

/// Committed transfers of the window tick by tick.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ticks {
    /// Length of a tick in nanoseconds.
    pub length_ns: u64,
    /// Committed transfers per tick; only whole ticks.
    pub committed: Vec<u64>,
    /// Transfers in flight at the end of each of these ticks.
    pub inflight: Vec<u64>,
}

impl Ticks {
    /// Length of a tick in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        Duration::from_nanos(self.length_ns).as_secs_f64()
    }
}

/// What crossed the two ends of the window, each transfer also counted by the share of its time
/// (from the intended start to the answer) that lay on one side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Edges {
    /// Due before the window opened, committed in it.
    pub began_before: u64,
    /// Their time before it opened, summed up in nanoseconds.
    pub before_ns: u128,
    /// Their time after it opened, likewise.
    pub within_ns: u128,
    /// Their shares of time before it opened, summed up.
    pub shares_before: f64,
    /// Due in the window, committed after it closed.
    pub answered_after: u64,
    /// Their shares of time before it closed, summed up.
    pub shares_within: f64,
}

/// What transfers did with one account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccountChange {
    /// Those that were acknowledged.
    #[serde(default, skip_serializing_if = "Moves::is_none")]
    pub acknowledged: Moves,
    /// Those of unknown outcome.
    #[serde(default, skip_serializing_if = "Moves::is_none")]
    pub unknown: Moves,
}

/// How many transfers took money from an account, and how many brought it some: in this order, as
/// a list of two, since there may be millions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "(u64, u64)", into = "(u64, u64)")]
#[schemars(with = "(u64, u64)")]
pub struct Moves {
    /// Transfers that it paid.
    pub debits: u64,
    /// Transfers that it was paid by.
    pub credits: u64,
}

impl Moves {
    /// There were none.
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl From<(u64, u64)> for Moves {
    fn from((debits, credits): (u64, u64)) -> Self {
        Self { debits, credits }
    }
}

impl From<Moves> for (u64, u64) {
    fn from(moves: Moves) -> Self {
        (moves.debits, moves.credits)
    }
}
