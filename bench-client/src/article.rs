//! The published tables, row by row, and what is expected of a reproduction.
//!
//! Sources of the quoted figures:
//!
//! - 2026-03: *A closer look at the SpacetimeDB v2 benchmark: Is it really 23x faster than
//!   SQLite?* (dev.to, March 2026), 50 workers, alpha 1.5, one `NVMe` disk with 683 µs per sync, a
//!   Node.js server.
//! - 2026-08: `templates/keynote-2` in the repository of SpacetimeDB, README and scripts of August
//!   2026: 64 workers, client and server on one machine, 300 s of which the first 30 are dropped.

use std::time::Duration;

use busload_frontend::cli::{DEFAULT_BATCH_SIZE, DEFAULT_INITIAL_BALANCE};
use busload_sqlite::Durability;

use crate::config::{ConnectorKind, Promise};
use crate::disk::Ceiling;
use crate::record::{Comparison, Edition, Record, Reproduction, Row, VendorFigure, Verdict};

/// How long one sync took on the article's disk.
pub const ARTICLE_SYNC: Duration = Duration::from_micros(683);
/// Workers in every row of the article.
pub const ARTICLE_WORKERS: u32 = 50;
/// Skew in every row of the article.
pub const ARTICLE_ALPHA: f64 = 1.5;

/// A published table, and how its rows are measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Table {
    /// What a reproduction of it is called.
    pub title: &'static str,
    /// Workers in every row.
    pub workers: u32,
    /// What each account starts with.
    pub initial_balance: i64,
    /// Length of the measured window.
    pub window: Duration,
    /// Length of the warm-up before it.
    pub warmup: Duration,
    /// The warm-up is a share of the whole row: a shorter window has a shorter one.
    pub warmup_is_share: bool,
    /// The rows from top to bottom, but for those that are quoted only.
    pub rows: &'static [ArticleRow],
    /// What is quoted beside them.
    pub quoted: &'static [Quoted],
}

/// One row of a table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ArticleRow {
    /// What the row is called.
    pub name: &'static str,
    /// How the server stores.
    pub durability: Durability,
    /// How requests travel.
    pub connector: ConnectorKind,
    /// Transfers per transaction; 1 where there are no batches.
    pub batch_size: usize,
    /// How long a batch waits to fill.
    pub batch_timeout: Duration,
    /// Exponent of the Zipf distribution of accounts.
    pub alpha: f64,
    /// Transfers in flight per worker.
    pub max_inflight: usize,
    /// The published TPS; `None` where the table has no such row.
    pub tps: Option<f64>,
    /// The published median latency, in milliseconds.
    pub p50_ms: Option<f64>,
    /// The row that must be found invalid: its UPDATEs never run.
    pub fake: bool,
}

/// A published figure of which nothing is measured here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quoted {
    /// What it is of.
    pub name: &'static str,
    /// Transfers per second.
    pub tps: f64,
    /// Standard deviation from second to second, where it is told.
    pub tps_deviation: Option<f64>,
    /// Median latency in milliseconds, where it is told.
    pub p50_ms: Option<f64>,
    /// Skew, where it is told.
    pub alpha: Option<f64>,
    /// How requests travel.
    pub transport: &'static str,
    /// Transfers in flight per worker.
    pub max_inflight: u32,
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
        alpha: ARTICLE_ALPHA,
        max_inflight: 1,
        tps: Some(tps),
        p50_ms: Some(p50_ms),
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
        alpha: ARTICLE_ALPHA,
        max_inflight,
        tps: Some(tps),
        p50_ms: Some(p50_ms),
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

/// The original's SQLite row: a transaction for every request over HTTP, and SQLite's default
/// mode, since nothing else is said of it.
const fn original(
    name: &'static str,
    alpha: f64,
    max_inflight: usize,
    tps: Option<f64>,
) -> ArticleRow {
    ArticleRow {
        name,
        durability: Durability::DeleteFull,
        connector: ConnectorKind::SqliteRpc,
        batch_size: 1,
        batch_timeout: Duration::ZERO,
        alpha,
        max_inflight,
        tps,
        p50_ms: None,
        fake: false,
    }
}

/// Durable, over WebSocket and with group commit: what the pipelined rows are to be held against.
const fn group_commit(name: &'static str, alpha: f64, max_inflight: usize) -> ArticleRow {
    ArticleRow {
        durability: Durability::WalFull,
        connector: ConnectorKind::SqliteWsRpc,
        batch_size: DEFAULT_BATCH_SIZE,
        ..original(name, alpha, max_inflight, None)
    }
}

const ROWS_OF_AUGUST: [ArticleRow; 8] = [
    original("HTTP, alpha 0", 0.0, 1, Some(3_121.0)),
    original("HTTP, alpha 1.5", 1.5, 1, Some(3_188.0)),
    original("HTTP, alpha 0, in flight 40", 0.0, 40, None),
    original("HTTP, alpha 1.5, in flight 40", 1.5, 40, None),
    group_commit("WebSocket, alpha 0", 0.0, 1),
    group_commit("WebSocket, alpha 1.5", 1.5, 1),
    group_commit("WebSocket, alpha 0, in flight 40", 0.0, 40),
    group_commit("WebSocket, alpha 1.5, in flight 40", 1.5, 40),
];

const fn quoted(name: &'static str, tps: f64, max_inflight: u32) -> Quoted {
    Quoted {
        name,
        tps,
        tps_deviation: None,
        p50_ms: None,
        alpha: None,
        transport: "ws",
        max_inflight,
    }
}

const MARCH: Table = Table {
    title: "The article's table on this machine",
    workers: ARTICLE_WORKERS,
    initial_balance: DEFAULT_INITIAL_BALANCE,
    window: Duration::from_secs(5),
    warmup: Duration::from_secs(2),
    warmup_is_share: false,
    rows: &ROWS,
    quoted: &[
        quoted("SpacetimeDB, JS module", 104_485.0, 16_384),
        quoted("SpacetimeDB, Rust module", 167_915.0, 16_384),
    ],
};

const AUGUST: Table = Table {
    title: "The original benchmark, as of August 2026, on this machine",
    workers: 64,
    initial_balance: 1_000_000_000,
    window: Duration::from_secs(270),
    warmup: Duration::from_secs(30),
    warmup_is_share: true,
    rows: &ROWS_OF_AUGUST,
    quoted: &[
        Quoted {
            tps_deviation: Some(4_763.0),
            alpha: Some(0.0),
            ..quoted("SpacetimeDB, alpha 0", 279_024.0, 40)
        },
        Quoted {
            tps_deviation: Some(4_712.0),
            alpha: Some(1.5),
            ..quoted("SpacetimeDB, alpha 1.5", 303_919.0, 40)
        },
        Quoted {
            p50_ms: Some(722.0),
            transport: "http",
            ..quoted("Node.js + SQLite, in flight 40", 2_977.0, 40)
        },
    ],
};

impl Table {
    /// The table of an edition.
    #[must_use]
    pub const fn of(edition: Edition) -> &'static Self {
        match edition {
            Edition::March2026 => &MARCH,
            Edition::August2026 => &AUGUST,
        }
    }

    /// The warm-up of a row whose window is this long.
    #[must_use]
    pub fn warmup_of(&self, window: Duration) -> Duration {
        if self.warmup_is_share {
            window.mul_f64(self.warmup.as_secs_f64() / self.window.as_secs_f64())
        } else {
            self.warmup
        }
    }

    /// The row that a measured one is, or that a peer's repeats.
    #[must_use]
    pub fn row(&self, compared: &Comparison) -> Option<&'static ArticleRow> {
        let name = compared.rung.as_ref().unwrap_or(&compared.name);
        self.rows.iter().find(|row| row.name == name)
    }
}

/// A row on its own technology: a target of `servers/peers`, and the arguments that make the row
/// of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The name of its target.
    pub target: &'static str,
    /// What is appended to its command, where a later flag replaces an earlier one.
    pub arguments: Vec<String>,
    /// What it promises with them, if not what its file says.
    pub durability: Option<Promise>,
}

impl ArticleRow {
    /// The peer that is this row; none of them is a fake.
    #[must_use]
    pub fn peer(&self) -> Option<Peer> {
        if self.fake {
            return None;
        }
        let target = match self.connector {
            ConnectorKind::SqliteRpc => "node-sqlite-http",
            ConnectorKind::SqliteWsRpc => "node-sqlite-ws",
            ConnectorKind::SpacetimeDb => return None,
        };
        let is_default = self.durability == Durability::DeleteFull;
        let journal = if is_default { "DELETE" } else { "WAL" };
        let mut arguments = vec![
            "--journal-mode".to_owned(),
            journal.to_owned(),
            "--batch-size".to_owned(),
            self.batch_size.to_string(),
        ];
        if self.batch_size > 1 {
            let timeout = self.batch_timeout.as_millis();
            arguments.extend(["--batch-timeout-ms".to_owned(), timeout.to_string()]);
        }
        Some(Peer {
            target,
            arguments,
            // ADR 0019.
            durability: is_default.then_some(Promise::NotDurable),
        })
    }

    /// What the chunk that fills a batch leaves over, in transfers, where the batch size is a
    /// trigger as in the article's server: it is committed alone, with a sync of its own. 0 where
    /// fewer are in flight than a batch needs, so that it leaves by its timeout.
    #[must_use]
    pub fn leftover(&self, workers: u32) -> usize {
        let (batch, inflight) = (self.batch_size, self.max_inflight.max(1));
        if batch <= 1 || inflight.saturating_mul(workers as usize) < batch {
            return 0;
        }
        (inflight - batch % inflight) % inflight
    }
}

fn vendor_figures(table: &Table) -> Vec<VendorFigure> {
    let figure = |quoted: &Quoted| VendorFigure {
        name: quoted.name.to_owned(),
        tps: quoted.tps,
        tps_deviation: quoted.tps_deviation,
        p50_ms: quoted.p50_ms,
        alpha: quoted.alpha,
        transport: Some(quoted.transport.to_owned()),
        max_inflight_per_worker: quoted.max_inflight,
    };
    table.quoted.iter().map(figure).collect()
}

/// A valid row above this share of the disk's ceiling shows that the syncs were slower when they
/// were measured than while it ran. Baselines before and after differ by less.
const CEILING_SHARE_MAX: f64 = 1.1;

/// A reproduction of which nothing is measured yet.
#[must_use]
pub fn reproduction(edition: Edition, record: Record) -> Reproduction {
    Reproduction {
        record,
        edition,
        article: Vec::new(),
        vendor: vendor_figures(Table::of(edition)),
        skipped: Vec::new(),
    }
}

/// Adds a measured row, whose target says whether it is a peer's.
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
    let is_peer = row.config.target.about().is_some();
    let name = row.config.name.clone();
    reproduction.article.push(Comparison {
        name: name.unwrap_or_else(|| article.name.to_owned()),
        rung: is_peer.then(|| article.name.to_owned()),
        article_tps: article.tps,
        article_p50_ms: article.p50_ms,
        tps_deviation: row.tps_deviation(),
        share_of_ceiling: allowed.map(|allowed| row.tps / allowed),
        ceiling_refuted_tps: refuted,
        ceiling,
    });
    reproduction.record.push(row);
}

/// The measured rows, each with what is published of it.
pub fn rows(
    reproduction: &Reproduction,
) -> impl Iterator<Item = (&Row, &Comparison, &'static ArticleRow)> {
    let table = Table::of(reproduction.edition);
    let rows = reproduction.record.rows.iter().zip(&reproduction.article);
    rows.filter_map(|(row, compared)| Some((row, compared, table.row(compared)?)))
}

/// Whether of the rows that were measured the fake one was caught as a fake, and no other is
/// invalid.
#[must_use]
pub fn is_as_expected(reproduction: &Reproduction) -> bool {
    rows(reproduction).all(|(row, _, article)| {
        if article.fake {
            !row.valid && row.verify.fake
        } else {
            row.valid
        }
    })
}

/// Whether rows are missing of so many that were planned, or one of them was cut short.
#[must_use]
pub fn is_unfinished(reproduction: &Reproduction, planned: usize) -> bool {
    let rows = &reproduction.record.rows;
    rows.len() < planned || rows.iter().any(|row| row.interrupted)
}

/// The verdicts of all rows but the one that is meant to be caught.
pub fn verdicts(reproduction: &Reproduction) -> impl Iterator<Item = &Verdict> {
    let honest = rows(reproduction).filter(|(.., article)| !article.fake);
    honest.flat_map(|(row, ..)| &row.verdicts)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As docs/peers.md counts it of node-sqlite-ws.
    #[test]
    fn what_a_full_batch_leaves_over() {
        let left = |name: &str| {
            let row = ROWS.iter().find(|row| row.name == name).unwrap();
            row.leftover(ARTICLE_WORKERS)
        };
        assert_eq!(left("WebSocket"), 0, "no batches");
        assert_eq!(
            left("batch 100, in flight 1"),
            0,
            "it leaves by its timeout"
        );
        assert_eq!(left("batch 100"), 4);
        assert_eq!(left("batch 200"), 0);
        assert_eq!(left("batch 1000"), 40);
    }

    /// The table of flags in servers/peers/README.md.
    #[test]
    fn rungs_are_peers_with_flags() {
        let peer = |place: usize| {
            let peer = ROWS[place].peer()?;
            Some((peer.target, peer.arguments.join(" "), peer.durability))
        };
        let http = "node-sqlite-http";
        let default = "--journal-mode DELETE --batch-size 1".to_owned();
        assert_eq!(peer(0), None, "nothing there is a fake");
        assert_eq!(peer(1), Some((http, default, Some(Promise::NotDurable))));
        let wal = "--journal-mode WAL --batch-size 1".to_owned();
        assert_eq!(peer(2), Some((http, wal.clone(), None)));
        assert_eq!(peer(3), Some(("node-sqlite-ws", wal, None)));
        let batches = "--journal-mode WAL --batch-size 10 --batch-timeout-ms 2".to_owned();
        assert_eq!(peer(4), Some(("node-sqlite-ws", batches, None)));
    }

    /// A row is found again by its name.
    #[test]
    fn names_of_rows_are_unique() {
        for edition in [Edition::March2026, Edition::August2026] {
            let rows = Table::of(edition).rows;
            for (place, row) in rows.iter().enumerate() {
                assert!(rows[..place].iter().all(|other| other.name != row.name));
            }
        }
    }

    #[test]
    fn the_share_that_is_warm_up_stays() {
        let august = Table::of(Edition::August2026);
        let seconds = Duration::from_secs;
        assert_eq!(august.warmup_of(august.window), seconds(30));
        assert_eq!(august.warmup_of(seconds(27)), seconds(3));
        let march = Table::of(Edition::March2026);
        assert_eq!(march.warmup_of(seconds(60)), seconds(2));
    }
}
