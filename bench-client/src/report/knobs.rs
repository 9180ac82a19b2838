//! What makes two rows the same row, measured twice.

use std::time::Duration;

use super::record::Row;
use crate::load::{Arrival, Measure, Pace};
use crate::row::{RowPlan, ServerChoice};

/// The knobs of a row, whether it was measured or is planned.
#[derive(Debug, Clone, PartialEq)]
pub struct Knobs {
    /// The row's name, where rows have names.
    name: Option<String>,
    connector: String,
    encoding: String,
    /// `None` for a server at a URL.
    durability_requested: Option<String>,
    /// What a server at a URL is set to is known from its rows only.
    batch: Option<Batch>,
    concurrency: u32,
    max_inflight: usize,
    threads: usize,
    alpha: Number,
    accounts: u32,
    amount: i64,
    seed: u64,
    warmup_seconds: Number,
    op_timeout_seconds: Number,
    open_loop: Option<OpenLoop>,
}

#[derive(Debug, Clone, PartialEq)]
struct Batch {
    size: Number,
    timeout_us: Number,
}

#[derive(Debug, Clone, PartialEq)]
struct OpenLoop {
    rate: Number,
    arrival: Arrival,
    latency_limit_ms: Option<Number>,
}

/// A number that may have been through decimal notation.
#[derive(Debug, Clone, Copy)]
struct Number(f64);

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        (self.0 - other.0).abs() <= 1e-9 * self.0.abs().max(other.0.abs())
    }
}

fn in_ms(time: Duration) -> Number {
    Number(time.as_secs_f64() * 1e3)
}

impl Knobs {
    /// Of a row that was measured.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "batch sizes are below 2^52")]
    pub fn of_row(row: &Row) -> Self {
        let own = row.durability_requested.is_some();
        let batch = row
            .batch_size
            .zip(row.batch_timeout_us)
            .map(|(size, timeout)| Batch {
                size: Number(size as f64),
                timeout_us: Number(timeout),
            });
        Self {
            name: row.name.clone(),
            connector: row.connector.clone(),
            encoding: row.encoding.clone(),
            durability_requested: row.durability_requested.clone(),
            batch: batch.filter(|_| own),
            concurrency: row.concurrency,
            max_inflight: row.max_inflight_per_worker,
            threads: row.threads,
            alpha: Number(row.alpha),
            accounts: row.accounts,
            amount: row.amount,
            seed: row.seed,
            warmup_seconds: Number(row.warmup_seconds),
            op_timeout_seconds: Number(row.op_timeout_seconds),
            open_loop: row.open_loop.as_ref().map(|open| OpenLoop {
                rate: Number(open.offered_tps),
                arrival: open.arrival,
                latency_limit_ms: open.latency_limit_ms.map(Number),
            }),
        }
    }

    /// Of a row that is planned.
    #[must_use]
    pub fn of_plan(plan: &RowPlan) -> Self {
        let (durability_requested, batch) = match &plan.server {
            ServerChoice::Own {
                spec, durability, ..
            } => (Some(durability.clone()), batch_flags(&spec.args)),
            ServerChoice::Null { spec } => (None, batch_flags(&spec.args)),
            ServerChoice::Url { .. } => (None, None),
        };
        Self {
            name: plan.name.clone(),
            connector: plan.connector.as_str().to_owned(),
            encoding: plan.encoding.as_str().to_owned(),
            durability_requested,
            batch,
            concurrency: plan.concurrency,
            max_inflight: plan.max_inflight,
            threads: plan.threads,
            alpha: Number(plan.zipf.alpha()),
            accounts: plan.zipf.account_count(),
            amount: plan.amount,
            seed: plan.seed,
            warmup_seconds: Number(plan.warmup.as_secs_f64()),
            op_timeout_seconds: Number(plan.op_timeout.as_secs_f64()),
            open_loop: match plan.pace {
                Pace::Closed => None,
                Pace::Open {
                    rate,
                    arrival,
                    latency_limit,
                } => Some(OpenLoop {
                    rate: Number(rate),
                    arrival,
                    latency_limit_ms: latency_limit.map(in_ms),
                }),
            },
        }
    }
}

/// The batch knobs as the server is told them.
fn batch_flags(args: &[String]) -> Option<Batch> {
    let flag = |name: &str| args.iter().find_map(|arg| arg.strip_prefix(name));
    let size = flag("--batch-size=")?.parse().ok()?;
    let timeout = flag("--batch-timeout=")?.strip_suffix("us")?.parse().ok()?;
    Some(Batch {
        size: Number(size),
        timeout_us: Number(timeout),
    })
}

/// Whether a row measured as much as is planned.
#[must_use]
pub fn measured_as_long(row: &Row, measure: Measure) -> bool {
    match measure {
        // Windows end with a turn of the load loop, and are as long as they were.
        Measure::For(time) => (row.seconds - time.as_secs_f64()).abs() <= 0.01 * row.seconds,
        Measure::Transfers(count) => {
            row.committed + row.rejected + row.failed + row.unknown == count
        }
    }
}
