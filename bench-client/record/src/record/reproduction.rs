//! A published table beside what this machine measured.

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Record;
use crate::disk::Ceiling;

/// Which published table is reproduced.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize, JsonSchema,
)]
pub enum Edition {
    /// The article's table
    #[default]
    #[value(name = "2026-03")]
    #[serde(rename = "2026-03")]
    March2026,
    /// The original benchmark as it stood in August 2026
    #[value(name = "2026-08")]
    #[serde(rename = "2026-08")]
    August2026,
}

/// A figure of the vendor's, quoted and not measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VendorFigure {
    /// What it is of.
    pub name: String,
    /// Transfers per second, by the vendor's own account.
    pub tps: f64,
    /// Standard deviation of its TPS from second to second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tps_deviation: Option<f64>,
    /// Median latency, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<f64>,
    /// Exponent of the Zipf distribution of accounts; absent where that is not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// `http` or `ws`; absent in records of earlier versions, where all are `ws`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<String>,
    /// Transfers in flight per worker.
    pub max_inflight_per_worker: u32,
}

/// The published figures for a row that was measured here, and what this disk allows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// The row's name, as in `rows`.
    pub name: String,
    /// Of the row of a peer (`--peers`): the row of the table that it repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rung: Option<String>,
    /// The TPS of the article, or of the edition; absent where none is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub article_tps: Option<f64>,
    /// The median latency published with it, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub article_p50_ms: Option<f64>,
    /// Standard deviation of this machine's TPS from interval to interval (a second each), with
    /// n − 1; absent with fewer than two whole intervals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tps_deviation: Option<f64>,
    /// What this disk allows, with as many transfers per commit as the batch size and the
    /// transfers in flight let be.
    pub ceiling: Option<Ceiling>,
    /// This machine's TPS as a share of the ceiling.
    pub share_of_ceiling: Option<f64>,
    /// What was taken for the ceiling's TPS, when a valid row was so much faster that it is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceiling_refuted_tps: Option<f64>,
}

/// A peer that was asked for and is not in the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SkippedPeer {
    /// The name of its target.
    pub name: String,
    /// Why, and what to do about it.
    pub why: String,
}

/// What `bench-client reproduce` writes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Reproduction {
    /// The measured rows: a record like any other.
    #[serde(flatten)]
    pub record: Record,
    /// Which table it is; the article's in records of earlier versions.
    #[serde(default)]
    pub edition: Edition,
    /// One entry per row, in the same order.
    pub article: Vec<Comparison>,
    /// Quoted, not measured.
    pub vendor: Vec<VendorFigure>,
    /// Peers that were asked for (`--peers`) and not measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<SkippedPeer>,
}
