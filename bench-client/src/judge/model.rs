//! The group-commit model: what TPS and p50 the knobs allow, and which limit binds. Derived in
//! `docs/model.md`, with its errors.
//!
//! Neither a measured TPS nor a measured batch is an input of [`predict`]: both are what it
//! predicts. Costs are inputs, and [`ModelInputs::from_row`] takes them from a recorded row.

mod from_row;
mod pipelined;
mod refute;
mod remedy;
mod shared_thread;
#[cfg(test)]
mod tests;

pub use pipelined::{PipelinedCosts, WireCosts};
pub use refute::held_against;
pub use shared_thread::{ARTICLE_CPU_US, SharedThreadCosts};

use crate::record::{Bottleneck, Limit, Prediction};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Microseconds in a second: costs are in the one, rates in the other.
const SECOND_US: f64 = 1e6;

/// What the model is asked about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelInputs {
    /// Workers (connections), from 1.
    pub concurrency: u32,
    /// Transfers in flight per worker, from 1.
    pub max_inflight_per_worker: usize,
    /// Most transfers in one transaction, from 1. With a shared thread it is what triggers the
    /// commit.
    pub batch_size: u64,
    /// How long the oldest transfer waits for its batch to fill, in microseconds; 0 is natural
    /// batching.
    pub batch_timeout_us: f64,
    /// Transfers per second that are offered over all workers; absent in a closed loop.
    pub offered_tps: Option<f64>,
    /// What things cost.
    pub costs: Costs,
}

/// What things cost, in one of two servers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "server", rename_all = "snake_case")]
pub enum Costs {
    /// The sync blocks all other work.
    SharedThread(SharedThreadCosts),
    /// A writer thread beside transport and client threads.
    Pipelined(PipelinedCosts),
}

impl ModelInputs {
    /// Transfers in flight: workers × in flight per worker.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "both are far below 2^52")]
    pub fn in_flight(&self) -> f64 {
        f64::from(self.concurrency.max(1)) * self.max_inflight_per_worker.max(1) as f64
    }

    /// Transfers that fit on one bus.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn seats(&self) -> f64 {
        self.batch_size.max(1) as f64
    }

    /// The range within which predicted ÷ measured p50 − 1 lies on the rows of `docs/model.md`
    /// that the model was checked on: the recorded rows, or the article's for a shared thread.
    #[must_use]
    pub fn p50_error(&self) -> (f64, f64) {
        match self.costs {
            Costs::SharedThread(_) => shared_thread::P50_ERROR,
            Costs::Pipelined(_) => pipelined::P50_ERROR,
        }
    }
}

/// What to expect of a load on a server.
#[must_use]
pub fn predict(inputs: &ModelInputs) -> Prediction {
    let Expected {
        per_us,
        capacity_per_us,
        mean_batch,
        latency_us,
        bottleneck,
        mut limits,
    } = match &inputs.costs {
        Costs::SharedThread(costs) => shared_thread::expect(inputs, costs),
        Costs::Pipelined(costs) => pipelined::expect(inputs, costs),
    };
    let capacity = capacity_per_us * SECOND_US;
    if let Some(offered) = inputs.offered_tps {
        limits.push(Limit {
            bottleneck: Bottleneck::OfferedRate,
            tps: offered,
        });
    }
    limits.sort_by(|a, b| a.tps.total_cmp(&b.tps));
    Prediction {
        tps: per_us * SECOND_US,
        p50_ms: latency_us / 1e3,
        mean_batch,
        bottleneck: Some(bottleneck),
        remedy: Some(remedy::remedy(inputs, bottleneck, mean_batch, capacity)),
        limits,
        refuted: Vec::new(),
    }
}

/// What one of the two servers is expected to do.
struct Expected {
    /// Transfers per microsecond.
    per_us: f64,
    /// The same if as much were offered as can be done.
    capacity_per_us: f64,
    mean_batch: f64,
    latency_us: f64,
    bottleneck: Bottleneck,
    limits: Vec<Limit>,
}

/// A limit of one transfer per `us_per_transfer`; none when that is nothing.
fn limit(bottleneck: Bottleneck, us_per_transfer: f64) -> Option<Limit> {
    (us_per_transfer > 0.0).then(|| Limit {
        bottleneck,
        tps: SECOND_US / us_per_transfer,
    })
}

/// The largest rate at which no more than `in_flight` transfers are needed; `needed` must not
/// fall as the rate rises.
fn highest_rate(in_flight: f64, ceiling: f64, needed: impl Fn(f64) -> f64) -> f64 {
    if needed(ceiling) <= in_flight {
        return ceiling;
    }
    let (mut low, mut high) = (0.0, ceiling);
    // Each step halves the interval: 80 of them leave less than a rounding error.
    for _ in 0..80 {
        let middle = f64::midpoint(low, high);
        if needed(middle) <= in_flight {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}
