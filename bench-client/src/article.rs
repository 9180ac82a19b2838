//! The article's table, row by row, and what is expected of a reproduction.
//!
//! Source of every quoted figure: *A closer look at the SpacetimeDB v2 benchmark: Is it
//! really 23x faster than SQLite?* (dev.to, March 2026), 50 workers, alpha 1.5, one `NVMe`
//! disk with 683 µs per sync, a Node.js server.

use std::time::Duration;

use busload_sqlite::Durability;

use crate::config::ConnectorKind;
use crate::disk::Ceiling;
use crate::record::{Comparison, Record, Reproduction, Row, VendorFigure, Verdict};

/// How long one sync took on the article's disk.
pub const ARTICLE_SYNC: Duration = Duration::from_micros(683);
/// Workers in every row of the article.
pub const ARTICLE_WORKERS: u32 = 50;
/// Skew in every row of the article.
pub const ARTICLE_ALPHA: f64 = 1.5;

/// One row of the article.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ArticleRow {
    /// What the row is called.
    pub name: &'static str,
    /// How the server stores.
    pub durability: Durability,
    /// How requests travel.
    pub connector: ConnectorKind,
    /// Transfers per transaction; 1 where the article has no batches.
    pub batch_size: usize,
    /// How long a batch waits to fill.
    pub batch_timeout: Duration,
    /// Transfers in flight per worker.
    pub max_inflight: usize,
    /// The article's TPS.
    pub tps: f64,
    /// The article's median latency, in milliseconds.
    pub p50_ms: f64,
    /// The row that must be found invalid: its UPDATEs never run.
    pub fake: bool,
}

const fn unbatched(
    name: &'static str,
    durability: Durability,
    connector: ConnectorKind,
    tps: f64,
    p50_ms: f64,
) -> ArticleRow {
    ArticleRow {
        name,
        durability,
        connector,
        batch_size: 1,
        batch_timeout: Duration::ZERO,
        max_inflight: 1,
        tps,
        p50_ms,
        fake: matches!(durability, Durability::DiscardWrites),
    }
}

const fn batched(
    name: &'static str,
    batch_size: usize,
    max_inflight: usize,
    tps: f64,
    p50_ms: f64,
) -> ArticleRow {
    ArticleRow {
        name,
        durability: Durability::WalFull,
        connector: ConnectorKind::SqliteWsRpc,
        batch_size,
        batch_timeout: Duration::from_millis(2),
        max_inflight,
        tps,
        p50_ms,
        fake: false,
    }
}

/// The article's rows from top to bottom, but for the vendor's.
pub const ROWS: [ArticleRow; 11] = {
    use ConnectorKind::{SqliteRpc, SqliteWsRpc};
    use Durability::{DeleteFull, DiscardWrites, WalFull};
    [
        unbatched(
            "fake (updates never run)",
            DiscardWrites,
            SqliteRpc,
            12_682.0,
            3.5,
        ),
        unbatched("true default", DeleteFull, SqliteRpc, 360.0, 133.0),
        unbatched("WAL", WalFull, SqliteRpc, 1_201.0, 40.0),
        unbatched("WebSocket", WalFull, SqliteWsRpc, 1_478.0, 32.0),
        batched("batch 10", 10, 1, 13_438.0, 2.9),
        batched("batch 100, in flight 1", 100, 1, 14_467.0, 2.0),
        batched("batch 100", 100, 8, 51_753.0, 6.4),
        batched("batch 200", 200, 40, 109_508.0, 14.8),
        batched("batch 1000", 1000, 80, 137_528.0, 22.3),
        batched("batch 2000", 2000, 80, 157_436.0, 23.1),
        batched("batch 4000", 4000, 120, 163_075.0, 31.9),
    ]
};

fn vendor_figures() -> Vec<VendorFigure> {
    [
        ("SpacetimeDB, JS module", 104_485.0),
        ("SpacetimeDB, Rust module", 167_915.0),
    ]
    .map(|(name, tps)| VendorFigure {
        name: name.to_owned(),
        tps,
        max_inflight_per_worker: 16_384,
    })
    .to_vec()
}

/// A valid row above this share of the disk's ceiling shows that the syncs were slower when they
/// were measured than while it ran. Baselines before and after differ by less.
const CEILING_SHARE_MAX: f64 = 1.1;

/// A reproduction of which nothing is measured yet.
#[must_use]
pub fn reproduction(record: Record) -> Reproduction {
    Reproduction {
        record,
        article: Vec::new(),
        vendor: vendor_figures(),
    }
}

/// Adds a measured row.
pub fn push(
    reproduction: &mut Reproduction,
    article: &ArticleRow,
    row: Row,
    ceiling: Option<Ceiling>,
) {
    let allowed = ceiling.as_ref().and_then(|ceiling| ceiling.tps);
    // An invalid row may be above the ceiling: that is what gives a fake away.
    let refuted = allowed.filter(|allowed| row.valid && row.tps > CEILING_SHARE_MAX * allowed);
    let ceiling = ceiling.filter(|_| refuted.is_none());
    let allowed = allowed.filter(|_| refuted.is_none());
    reproduction.article.push(Comparison {
        name: article.name.to_owned(),
        article_tps: article.tps,
        article_p50_ms: article.p50_ms,
        share_of_ceiling: allowed.map(|allowed| row.tps / allowed),
        ceiling_refuted_tps: refuted,
        ceiling,
    });
    reproduction.record.push(row);
}

/// Whether of the rows that were measured the fake one was caught as a fake, and no other is
/// invalid.
#[must_use]
pub fn is_as_expected(reproduction: &Reproduction) -> bool {
    reproduction
        .record
        .rows
        .iter()
        .zip(&ROWS)
        .all(|(row, article)| {
            if article.fake {
                !row.valid && row.verify.fake
            } else {
                row.valid
            }
        })
}

/// Whether rows are missing, or one of them was cut short.
#[must_use]
pub fn is_unfinished(reproduction: &Reproduction) -> bool {
    let rows = &reproduction.record.rows;
    rows.len() < ROWS.len() || rows.iter().any(|row| row.interrupted)
}

/// The verdicts of all rows but the one that is meant to be caught.
pub fn verdicts(reproduction: &Reproduction) -> impl Iterator<Item = &Verdict> {
    let rows = reproduction.record.rows.iter().zip(&ROWS);
    let honest = rows.filter(|(_, article)| !article.fake);
    honest.flat_map(|(row, _)| &row.verdicts)
}
