//! The article's table beside what this machine measured.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Record;
use crate::disk::Ceiling;

/// A figure of the vendor's, quoted and not measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VendorFigure {
    /// What it is of.
    pub name: String,
    /// Transfers per second, by the vendor's own account.
    pub tps: f64,
    /// Transfers in flight per worker.
    pub max_inflight_per_worker: u32,
}

/// The article's figures for a row that was measured here, and what this disk allows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// The row's name, as in `rows`.
    pub name: String,
    /// The article's TPS.
    pub article_tps: f64,
    /// The article's median latency, in milliseconds.
    pub article_p50_ms: f64,
    /// What this disk allows, with as many transfers per commit as the batch size and the
    /// transfers in flight let be.
    pub ceiling: Option<Ceiling>,
    /// This machine's TPS as a share of the ceiling.
    pub share_of_ceiling: Option<f64>,
    /// What was taken for the ceiling's TPS, when a valid row was so much faster that it is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceiling_refuted_tps: Option<f64>,
}

/// What `bench-client reproduce` writes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Reproduction {
    /// The measured rows: a record like any other.
    #[serde(flatten)]
    pub record: Record,
    /// One entry per row, in the same order.
    pub article: Vec<Comparison>,
    /// Quoted, not measured.
    pub vendor: Vec<VendorFigure>,
}
