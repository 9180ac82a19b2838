//! The article's table, row by row, beside what this machine measured.
//!
//! Source of every quoted figure: *A closer look at the SpacetimeDB v2 benchmark: Is it
//! really 23x faster than SQLite?* (dev.to, March 2026), 50 workers, alpha 1.5, one `NVMe`
//! disk with 683 µs per sync, a Node.js server.

use std::fmt::Write as _;
use std::time::Duration;

use busload_sqlite::Durability;

use crate::config::ConnectorKind;
use crate::disk::Ceiling;
use crate::figures::{known, ms, rate};
use crate::record::{Comparison, Reproduction, VendorFigure};
use crate::record::{Prediction, Record, Row, Verdict};

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

/// The table in Markdown, with what is needed to read it.
#[must_use]
pub fn to_markdown(reproduction: &Reproduction) -> String {
    let mut out = String::from("# The article's table on this machine\n\n");
    let environment = &reproduction.record.environment;
    let _ = writeln!(
        out,
        "{}, {} cores, {}, {} on {}. Command: `{}`. Program {} ({}), {}.\n",
        environment
            .machine
            .cpu_model
            .as_deref()
            .unwrap_or("unknown processor"),
        environment
            .machine
            .logical_cores
            .map_or_else(|| "?".to_owned(), |n| n.to_string()),
        environment
            .machine
            .kernel
            .as_deref()
            .unwrap_or("unknown kernel"),
        environment
            .storage
            .file_system
            .as_deref()
            .unwrap_or("unknown file system"),
        environment
            .storage
            .mount_source
            .as_deref()
            .unwrap_or("unknown device"),
        environment.command_line.join(" "),
        environment.program.version,
        environment.program.git_revision,
        environment.started_at,
    );
    let _ = writeln!(
        out,
        "The article's disk took {} us per sync. \"Ceiling\" is what **this** disk allows a \
         row: transfers per commit (the batch size, or all that is in flight if that is \
         less) divided by what the syncs of one commit take here, at the faster of two baselines \
         measured just before and after the row. \"Predicted\" is what the group-commit model \
         (docs/model.md) makes of the row's own costs.\n",
        ARTICLE_SYNC.as_micros()
    );
    out.push_str(
        "| row | durability | transport | batch / ms | in flight | article TPS | article p50 ms \
         | TPS here | predicted | p50 ms here | predicted | limit | sync us here | ceiling here \
         | of ceiling | verdict |\n\
         | --- | --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- | ---: \
         | ---: | ---: | --- |\n",
    );
    for ((row, compared), article) in reproduction
        .record
        .rows
        .iter()
        .zip(&reproduction.article)
        .zip(&ROWS)
    {
        out.push_str(&markdown_row(row, compared, article));
    }
    for figure in &reproduction.vendor {
        let _ = writeln!(
            out,
            "| {} (vendor's figure, not measured) | not told | WS | – | {} | {} | – | | | | | | | | | |",
            figure.name,
            figure.max_inflight_per_worker,
            rate(figure.tps)
        );
    }
    out.push('\n');
    out.push_str(&reading(reproduction));
    out
}

/// What the table says, in sentences made from its figures.
fn reading(reproduction: &Reproduction) -> String {
    let mut out = String::new();
    let find = |name: &str| {
        reproduction
            .record
            .rows
            .iter()
            .zip(&reproduction.article)
            .find(|(row, _)| row.config.name.as_deref() == Some(name))
    };
    if let Some((row, compared)) = find(ROWS[0].name) {
        let caught = if row.verify.fake {
            "caught"
        } else {
            "NOT caught"
        };
        let _ = write!(out, "- The fake row was {caught}");
        if let Some(share) = compared.share_of_ceiling {
            let _ = write!(out, ": it answers {share:.1} times what this disk can sync");
        }
        let _ = writeln!(out, ". {}.", row.verify.fake_reasons.join("; "));
    }
    if let (Some((delete, _)), Some((wal, _))) = (find(ROWS[1].name), find(ROWS[2].name))
        && let (Some(a), Some(b)) = (&delete.server, &wal.server)
        && a.commits_that_wrote > 0
        && b.commits_that_wrote > 0
        && let (Some(a_syncs), Some(b_syncs)) = (a.commit_syncs, b.commit_syncs)
    {
        let _ = writeln!(
            out,
            "- A commit makes {:.2} syncs with a rollback journal and {:.2} with a write-ahead \
             log, as counted: {} against {} TPS.",
            per(a_syncs, a.commits_that_wrote),
            per(b_syncs, b.commits_that_wrote),
            rate(delete.tps),
            rate(wal.tps)
        );
    }
    if let Some((row, _)) = find(ROWS[5].name) {
        let _ = writeln!(
            out,
            "- An empty bus stop: 50 transfers are in flight and the bus waits for 100, so each \
             commit waits for its timeout: {} TPS.",
            rate(row.tps)
        );
    }
    if let Some((row, _)) = find(ROWS[10].name)
        && let Some(server) = &row.server
        && let Some(commit) = &server.commit_us
    {
        let seconds = row.seconds.max(f64::MIN_POSITIVE);
        let _ = writeln!(
            out,
            "- A full bus: {:.0} transfers per commit, {:.0} ms of each second spent in COMMIT, \
             {} TPS, every one synced before it was answered.",
            server.mean_batch,
            commit.mean * to_f64(commit.count) / 1e3 / seconds,
            rate(row.tps)
        );
    }
    out
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn to_f64(n: u64) -> f64 {
    n as f64
}

fn per(part: u64, whole: u64) -> f64 {
    to_f64(part) / to_f64(whole)
}

fn markdown_row(row: &Row, compared: &Comparison, article: &ArticleRow) -> String {
    let batch = if article.batch_size == 1 {
        "–".to_owned()
    } else {
        format!(
            "{} / {}",
            article.batch_size,
            article.batch_timeout.as_millis()
        )
    };
    let sync = row
        .server
        .as_ref()
        .and_then(|server| server.sync_us)
        .map_or_else(
            || "none made".to_owned(),
            |sync| known(sync.p50, |p50| format!("{p50:.0}")),
        );
    let allowed = compared.ceiling.as_ref().and_then(|ceiling| ceiling.tps);
    let allowed = match compared.ceiling_refuted_tps {
        Some(tps) => format!("none ({} was measured as one)", rate(tps)),
        None => known(allowed, rate),
    };
    let predicted = |of: &dyn Fn(&Prediction) -> String| {
        row.prediction.as_ref().map_or_else(|| "–".to_owned(), of)
    };
    let verdict = match (row.valid, row.verify.fake) {
        (true, _) => "valid",
        (false, true) => "INVALID: fake",
        (false, false) => "INVALID",
    };
    format!(
        "| {} | {} | {} | {batch} | {} | {} | {} | **{}** | {} | {} | {} | {} | {sync} | {} | {} \
         | {verdict} |\n",
        article.name,
        row.durability_and_apply(),
        row.transport.to_uppercase(),
        row.config.load.max_inflight_per_worker,
        rate(article.tps),
        article.p50_ms,
        rate(row.tps),
        predicted(&|prediction| rate(prediction.tps)),
        known(row.latency_ms.p50, ms),
        predicted(&|prediction| ms(prediction.p50_ms)),
        predicted(&|prediction| prediction.limit_in_words().to_owned()),
        allowed,
        compared.share_of_ceiling.map_or_else(
            || "–".to_owned(),
            |share| if share < 0.1 {
                format!("{:.1} %", share * 100.0)
            } else {
                format!("{:.0} %", share * 100.0)
            }
        ),
    )
}
