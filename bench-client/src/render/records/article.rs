//! The article's table, row by row, beside what this machine measured.

use super::environment;
use crate::article::{ARTICLE_SYNC, ArticleRow, ROWS};
use crate::figures::{known, ms, rate};
use crate::record::{Comparison, Prediction, Reproduction, Row};
use crate::render::document::{Document, Line, Table, Tone};

/// A measured row, what the article has of it, and how they compare.
type Both<'a> = (&'a Row, &'a Comparison, &'a ArticleRow);

/// The table, with what is needed to read it.
#[must_use]
pub fn document(reproduction: &Reproduction) -> Document {
    let mut document = Document::new("The article's table on this machine");
    document.facts(environment::facts(&reproduction.record.environment));
    document.say(
        Line::from(format!(
            "The article's disk took {} µs per sync. \"Ceiling\" is what ",
            ARTICLE_SYNC.as_micros()
        ))
        .strong("this")
        .plain(
            " disk allows a row: transfers per commit (the batch size, or all that is in flight \
             if that is less) divided by what the syncs of one commit take here, at the faster of \
             two baselines measured just before and after the row. \"Predicted\" is what the \
             group-commit model (docs/model.md) makes of the row's own costs.",
        ),
    );
    let rows = reproduction.record.rows.iter();
    let both = rows.zip(&reproduction.article).zip(&ROWS);
    let both: Vec<Both<'_>> = both
        .map(|((row, one), article)| (row, one, article))
        .collect();
    let mut table = table(&both);
    for figure in &reproduction.vendor {
        let cell = |title: &str| match title {
            "row" => format!("{} (vendor's figure, not measured)", figure.name).into(),
            "durability" => "not told".into(),
            "transport" => "WS".into(),
            "in flight" => figure.max_inflight_per_worker.into(),
            "article TPS" => rate(figure.tps).into(),
            _ => Line::default(),
        };
        let cells = table.columns.iter().map(|column| cell(&column.title));
        let cells = cells.collect();
        table.rows.push(cells);
    }
    document.table(table);
    document.list(reading(reproduction));
    document
}

fn table(rows: &[Both<'_>]) -> Table {
    let model =
        |of: fn(&Prediction) -> String| move |(row, ..): &Both<'_>| row.prediction.as_ref().map(of);
    Table::of("The article's table", rows)
        .words(0, "row", |(.., article)| article.name)
        .words(5, "durability", |(row, ..)| row.durability_and_apply())
        .words(6, "transport", |(row, ..)| row.transport.to_uppercase())
        .number(6, "batch / ms", |(.., article)| {
            let wait = article.batch_timeout.as_millis();
            (article.batch_size > 1).then(|| format!("{} / {wait}", article.batch_size))
        })
        .number(6, "in flight", |(row, ..)| {
            row.config.load.max_inflight_per_worker
        })
        .number(0, "article TPS", |(.., article)| rate(article.tps))
        .number(4, "article p50 ms", |(.., article)| {
            article.p50_ms.to_string()
        })
        .number(0, "TPS here", |(row, ..)| {
            Line::default().strong(rate(row.tps))
        })
        .number(3, "predicted TPS", model(|model| rate(model.tps)))
        .number(4, "p50 ms here", |(row, ..)| known(row.latency_ms.p50, ms))
        .number(5, "predicted p50 ms", model(|model| ms(model.p50_ms)))
        .words(5, "limit", model(|model| model.limit_in_words().to_owned()))
        .number(3, "sync µs here", |(row, ..)| {
            let sync = row.server.as_ref().and_then(|server| server.sync_us);
            sync.map_or_else(
                || "none made".to_owned(),
                |sync| known(sync.p50, |p50| format!("{p50:.0}")),
            )
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
                (true, _) => "valid".into(),
                (false, true) => Line::default().mark(Tone::Bad, "INVALID: fake"),
                (false, false) => Line::default().mark(Tone::Bad, "INVALID"),
            }
        })
        .invalid(|(row, ..)| !row.valid)
        .into()
}

/// What the table says, in sentences made from its figures.
fn reading(reproduction: &Reproduction) -> Vec<Line> {
    let mut said: Vec<String> = Vec::new();
    let find = |place: usize| {
        let rows = reproduction.record.rows.iter();
        let mut named = rows.zip(&reproduction.article);
        named.find(|(row, _)| row.config.name.as_deref() == Some(ROWS[place].name))
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
            "An empty bus stop: 50 transfers are in flight and the bus waits for 100, so each \
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
            "A full bus: {:.0} transfers per commit, {:.0} ms of each second spent in COMMIT, \
             {} TPS, every one synced before it was answered.",
            server.mean_batch,
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
