//! What makes two rows the same row, measured twice.

use super::{Arrival, Row};

/// The knobs of a row, whether it was measured or is planned.
#[derive(Debug, Clone, PartialEq)]
pub struct Knobs {
    /// The row's name, where rows have names.
    pub(crate) name: Option<String>,
    pub(crate) connector: String,
    pub(crate) encoding: String,
    /// `None` for a server at a URL.
    pub(crate) durability_requested: Option<String>,
    /// `None` for a server at a URL.
    pub(crate) apply: Option<String>,
    /// What a server at a URL is set to is known from its rows only.
    pub(crate) batch: Option<Batch>,
    pub(crate) concurrency: u32,
    pub(crate) max_inflight: usize,
    pub(crate) threads: usize,
    pub(crate) alpha: Number,
    pub(crate) accounts: u32,
    pub(crate) amount: i64,
    pub(crate) seed: u64,
    pub(crate) warmup_seconds: Number,
    pub(crate) op_timeout_seconds: Number,
    pub(crate) exactly_once: bool,
    pub(crate) open_loop: Option<OpenLoop>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Batch {
    pub(crate) size: Number,
    pub(crate) timeout_us: Number,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OpenLoop {
    pub(crate) rate: Number,
    pub(crate) arrival: Arrival,
    pub(crate) latency_limit_ms: Option<Number>,
}

/// A number that may have been through decimal notation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Number(pub(crate) f64);

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        (self.0 - other.0).abs() <= 1e-9 * self.0.abs().max(other.0.abs())
    }
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
            apply: row.apply_or_default().filter(|_| own).map(str::to_owned),
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
            exactly_once: row.exactly_once.is_some(),
            open_loop: row.open_loop.as_ref().map(|open| OpenLoop {
                rate: Number(open.offered_tps),
                arrival: open.arrival,
                latency_limit_ms: open.latency_limit_ms.map(Number),
            }),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A row as a record has it.
    pub(crate) fn row() -> Row {
        let text = include_str!("../../../results/2026-11-21-vm-2core/reproduce.json");
        let record: serde_json::Value = serde_json::from_str(text).unwrap();
        let mut rows = record["rows"].as_array().unwrap().iter();
        let valid = rows.find(|row| row["valid"] == true && row["connector"] == "sqlite_ws_rpc");
        let mut row: Row = serde_json::from_value(valid.unwrap().clone()).unwrap();
        row.name = None;
        row
    }

    /// All that was unknown was resolved.
    pub(crate) fn once() -> crate::record::ExactlyOnce {
        crate::record::ExactlyOnce {
            resolve_timeout_seconds: 30.0,
            resolve_tries: 100,
            resolved: 1,
            unknown: 0,
            sent_again: 1,
        }
    }

    /// An open loop at this rate that kept up.
    pub(crate) fn open(rate: f64) -> crate::record::OpenLoop {
        crate::record::OpenLoop {
            arrival: Arrival::Poisson,
            offered_tps: rate,
            offered: 0,
            achieved_tps: rate,
            latency_limit_ms: Some(10.0),
            late: 0,
            skipped: 0,
            dropped: 0,
            schedule_lag_us: None,
        }
    }
}
