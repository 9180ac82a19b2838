//! A published table, row by row, beside what this machine measured.

use super::environment;
use super::warnings::said_of;
use crate::article::{self, ARTICLE_SYNC, ARTICLE_WORKERS, ArticleRow, ROWS, Table as Published};
use crate::figures::{known, ms, rate, shared};
use crate::record::{Comparison, Edition, Prediction, Reproduction, Row, VendorFigure};
use crate::render::document::{Document, Line, Table, Tone};

/// A measured row, what is published of it, and how they compare.
type Both<'a> = (&'a Row, &'a Comparison, &'a ArticleRow);

/// The table, and what is said of its rows but the one that is meant to be fake.
#[must_use]
pub fn on_screen(reproduction: &Reproduction) -> Document {
    let mut document = document(reproduction);
    // Of the row that is meant to be caught the sentences below the table say it.
    let honest = article::rows(reproduction).filter(|(.., article)| !article.fake);
    document.facts(said_of(&honest.map(|(row, ..)| row).collect::<Vec<_>>()));
    document
}

/// The table, with what is needed to read it.
#[must_use]
pub fn document(reproduction: &Reproduction) -> Document {
    let published = Published::of(reproduction.edition);
    let mut document = Document::new(published.title);
    document.facts(environment::facts(&reproduction.record.environment));
    let about = match reproduction.edition {
        Edition::March2026 => format!(
            "The article's disk took {} µs per sync. ",
            ARTICLE_SYNC.as_micros()
        ),
        Edition::August2026 => format!(
            "{} workers, accounts of {} each. The published figures are of one machine, client and \
             server together, and do not say how SQLite stored: the HTTP rows have its default \
             (delete-full, which a power cut can undo), the WebSocket rows are durable, with group \
             commit. \"±\" is the standard deviation of TPS from second to second. ",
            published.workers,
            rate(to_f64(published.initial_balance.unsigned_abs())),
        ),
    };
    document.say(Line::from(about + "\"Ceiling\" is what ").strong("this").plain(
        " disk allows a row: transfers per commit (the batch size, or all that is in flight \
             if that is less) divided by what the syncs of one commit take here, at the faster of \
             two baselines measured just before and after the row. \"Predicted\" is what the \
             group-commit model (docs/model.md) makes of the row's own costs.",
    ));
    let both: Vec<Both<'_>> = article::rows(reproduction).collect();
    let mut table = table(reproduction.edition, &both);
    for figure in &reproduction.vendor {
        let cells = table.columns.iter();
        let cells = cells.map(|column| quoted(figure, &column.title));
        let cells = cells.collect();
        table.rows.push(cells);
    }
    document.table(table);
    document.list(reading(reproduction));
    document.append(peers(reproduction, &both));
    document
}

/// What a column says of a figure that is quoted.
fn quoted(figure: &VendorFigure, column: &str) -> Line {
    match column {
        "row" => figure.name.as_str().into(),
        "verdict" => "vendor's, not measured".into(),
        "durability" => "not told".into(),
        "transport" => figure
            .transport
            .as_deref()
            .unwrap_or("ws")
            .to_uppercase()
            .into(),
        "alpha" => figure.alpha.map(|alpha| alpha.to_string()).into(),
        "in flight" => figure.max_inflight_per_worker.into(),
        "article TPS" | "published TPS" => with_deviation(figure.tps, figure.tps_deviation).into(),
        "article p50 ms" | "published p50 ms" => figure.p50_ms.map(|p50| p50.to_string()).into(),
        _ => Line::default(),
    }
}

/// TPS, and its deviation where that is known.
fn with_deviation(tps: f64, deviation: Option<f64>) -> String {
    match deviation {
        Some(deviation) => format!("{} ± {}", rate(tps), rate(deviation)),
        None => rate(tps),
    }
}

/// Rows on the table's own technology: what is left over of full batches, and who is missing.
pub(super) fn of_peers(reproduction: &Reproduction) -> Document {
    peers(
        reproduction,
        &article::rows(reproduction).collect::<Vec<_>>(),
    )
}

fn peers(reproduction: &Reproduction, rows: &[Both<'_>]) -> Document {
    let mut document = Document::default();
    let peers: Vec<_> = rows
        .iter()
        .filter(|(_, one, _)| one.rung.is_some())
        .collect();
    if peers.is_empty() && reproduction.skipped.is_empty() {
        return document;
    }
    document.heading("On its own technology");
    if !peers.is_empty() {
        document.say(
            "In the article's server the batch size is a trigger, and so it is in node-sqlite-ws: \
             the chunk that fills the batch is queued as a whole, and what is more than the batch \
             size is committed alone, with a sync of its own. With so many transfers in flight per \
             worker as come in one chunk, (−batch size) mod in flight are left over.",
        );
        document.table(leftovers(&peers));
    }
    let skipped = reproduction.skipped.iter();
    let skipped = skipped.map(|one| format!("Skipped, {}: {}.", one.name, one.why).into());
    document.list(skipped.collect());
    document
}

/// What the rule says of the peers' rows, and what their servers counted.
fn leftovers(peers: &[&Both<'_>]) -> Table {
    let counted = peers.iter().filter_map(|(row, one, article)| {
        let server = row.server.as_ref()?;
        let counted = server.leftovers.filter(|_| article.batch_size > 1)?;
        let left = article.leftover(row.config.load.concurrency);
        Some((one, article, server, left, counted))
    });
    let counted: Vec<_> = counted.collect();
    Table::of("Left over of full batches", &counted)
        .words(0, "row", |(one, ..)| one.name.as_str())
        .number(0, "batch size", |(_, article, ..)| article.batch_size)
        .number(2, "in flight", |(_, article, ..)| article.max_inflight)
        .number(0, "left over, by the rule", |(.., left, _)| match left {
            0 => "none".to_owned(),
            left => left.to_string(),
        })
        .number(0, "commits", |(_, _, server, ..)| server.commits)
        .number(0, "of them of a leftover", |(.., counted)| *counted)
        .number(1, "per commit", |(_, _, server, ..)| {
            shared(server.mean_batch)
        })
        .into()
}

fn table(edition: Edition, rows: &[Both<'_>]) -> Table {
    let source = match edition {
        Edition::March2026 => "article",
        Edition::August2026 => "published",
    };
    let is_august = edition == Edition::August2026;
    let model =
        |of: fn(&Prediction) -> String| move |(row, ..): &Both<'_>| row.prediction.as_ref().map(of);
    Table::of("Row by row", rows)
        .words(0, "row", |(_, one, _)| one.name.as_str())
        .words(5, "durability", |(row, ..)| row.durability_and_apply())
        .words(6, "transport", |(row, ..)| row.transport.to_uppercase())
        .number(6, "batch / ms", |(.., article)| {
            let wait = article.batch_timeout.as_millis();
            (article.batch_size > 1).then(|| format!("{} / {wait}", article.batch_size))
        })
        .number(6, "in flight", |(row, ..)| {
            row.config.load.max_inflight_per_worker
        })
        .number(6, "alpha", move |(.., article)| {
            is_august.then(|| article.alpha.to_string())
        })
        .number(0, format!("{source} TPS"), |(_, one, _)| {
            known(one.article_tps, rate)
        })
        .number(4, format!("{source} p50 ms"), |(_, one, _)| {
            one.article_p50_ms.map(|p50| p50.to_string())
        })
        .number(0, "TPS here", |(row, one, _)| {
            // Of the article's rows there is none to hold it against.
            let deviation = one.tps_deviation.filter(|_| is_august);
            let tps = with_deviation(row.tps, deviation);
            if row.valid {
                Line::default().strong(tps)
            } else {
                Line::default().void(tps)
            }
        })
        .number(3, "fitted TPS", model(|model| rate(model.tps)))
        .number(4, "p50 ms here", |(row, ..)| known(row.latency_ms.p50, ms))
        .number(5, "fitted p50 ms", model(|model| ms(model.p50_ms)))
        .words(5, "limit", model(Prediction::limit_in_words))
        .number(3, "sync µs here", |(row, ..)| {
            let server = row.server.as_ref()?;
            match server.sync_us {
                Some(sync) => Some(known(sync.p50, |p50| format!("{p50:.0}"))),
                // A server that does not count its syncs may make them.
                None => server.commit_syncs.map(|_| "none made".to_owned()),
            }
        })
        .number(3, "ceiling here", |(_, one, _)| {
            match one.ceiling_refuted_tps {
                Some(tps) => format!("none ({} was measured as one)", rate(tps)),
                None => known(one.ceiling.as_ref().and_then(|ceiling| ceiling.tps), rate),
            }
        })
        .number(1, "of ceiling", |(_, one, _)| {
            let digits = |share| usize::from(share < 0.1);
            one.share_of_ceiling
                .map(|share| format!("{:.*} %", digits(share), share * 100.0))
        })
        .words(0, "verdict", |(row, ..)| {
            match (row.valid, row.verify.fake) {
                (true, _) => match row.durability_doubt() {
                    Some(doubt) => Line::default().mark(Tone::Warn, format!("valid, {doubt}")),
                    None => "valid".into(),
                },
                (false, true) => Line::default().mark(Tone::Bad, "INVALID: fake"),
                (false, false) => Line::default().mark(Tone::Bad, "INVALID"),
            }
        })
        .invalid(|(row, ..)| !row.valid)
        .into()
}

/// What the table says, in sentences made from its figures.
pub(super) fn reading(reproduction: &Reproduction) -> Vec<Line> {
    let mut said: Vec<String> = Vec::new();
    let find = |place: usize| {
        let mut own = article::rows(reproduction).filter(|(_, one, _)| one.rung.is_none());
        let (row, compared, _) = own.find(|(.., article)| article.name == ROWS[place].name)?;
        Some((row, compared))
    };
    if let Some((row, compared)) = find(0) {
        let caught = if row.verify.fake {
            "caught"
        } else {
            "NOT caught"
        };
        let times = compared.share_of_ceiling.map_or_else(String::new, |share| {
            format!(": it answers {share:.1} times what this disk can sync")
        });
        let reasons = row.verify.fake_reasons.join("; ");
        said.push(format!("The fake row was {caught}{times}. {reasons}."));
    }
    if let (Some((delete, _)), Some((wal, _))) = (find(1), find(2))
        && let (Some(a), Some(b)) = (&delete.server, &wal.server)
        && a.commits_that_wrote > 0
        && b.commits_that_wrote > 0
        && let (Some(a_syncs), Some(b_syncs)) = (a.commit_syncs, b.commit_syncs)
    {
        said.push(format!(
            "A commit makes {:.2} syncs with a rollback journal and {:.2} with a write-ahead \
             log, as counted: {} against {} TPS.",
            to_f64(a_syncs) / to_f64(a.commits_that_wrote),
            to_f64(b_syncs) / to_f64(b.commits_that_wrote),
            rate(delete.tps),
            rate(wal.tps)
        ));
    }
    if let Some((row, _)) = find(5) {
        said.push(format!(
            "An empty bus stop: {ARTICLE_WORKERS} transfers are in flight and the bus waits for 100, so each \
             commit waits for its timeout: {} TPS.",
            rate(row.tps)
        ));
    }
    if let Some((row, _)) = find(10)
        && let Some(server) = &row.server
        && let Some(commit) = &server.commit_us
    {
        let seconds = row.seconds.max(f64::MIN_POSITIVE);
        said.push(format!(
            "A full bus: {} transfers per commit, {:.0} ms of each second spent in COMMIT, \
             {} TPS, every one synced before it was answered.",
            shared(server.mean_batch),
            commit.mean * to_f64(commit.count) / 1e3 / seconds,
            rate(row.tps)
        ));
    }
    said.into_iter().map(Line::from).collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn to_f64(n: u64) -> f64 {
    n as f64
}
