//! Rows below each other, and what is set alike in all of them.

use super::words::{FITTED, batch_knobs, in_flight, mean_batch, tps, verdict};
use crate::figures::{UNKNOWN, known, ms, rate};
use crate::record::comparison::Metric;
use crate::record::load_record::Shown;
use crate::record::{Latency, Prediction};
use crate::render::document::{Document, Facts, Line, Table};

/// Columns of rows that are settings, or as good as.
const SETTINGS: [&str; 6] = [
    "transport",
    "durability",
    "batch",
    "in flight",
    "alpha",
    "seconds",
];
/// What is set alike in all rows: said once, and not in each of them.
fn in_common(table: &mut Table) -> Facts {
    let (label, each) = match table.rows.len() {
        1 => ("the row", ""),
        _ => ("all rows", " each"),
    };
    let named = |title: &str, cell: &Line| match title {
        // They say themselves what they are.
        "transport" | "durability" => cell.to_string(),
        "seconds" => format!("{cell} s{each}"),
        title => format!("{title} {cell}"),
    };
    let unknown = Line::from(UNKNOWN);
    let common = table.take_common(&SETTINGS).into_iter();
    let common = common.filter(|(_, cell)| *cell != unknown);
    let said: Vec<String> = common.map(|(title, cell)| named(&title, &cell)).collect();
    let mut facts = Facts::default();
    facts.add_known(label, (!said.is_empty()).then(|| said.join(" · ")));
    facts
}

/// The rows, and what is set alike in all of them above. What one of these metrics says decides
/// over a gate: it stays however narrow the table is.
pub(super) fn row_table(rows: &[Shown<'_>], gated: &[Metric]) -> Document {
    let rank = |metric, otherwise| {
        if gated.contains(&metric) {
            0
        } else {
            otherwise
        }
    };
    let model = |of: fn(&Prediction) -> String| {
        move |shown: &Shown<'_>| shown.row.prediction.as_ref().map(of)
    };
    let latency = |of: fn(&Latency) -> Option<f64>| {
        move |shown: &Shown<'_>| known(of(&shown.row.latency_ms), ms)
    };
    let table = Table::of("Rows", rows)
        .words(0, "row", |shown| shown.label)
        .number(0, "TPS", tps)
        .words(0, "verdict", verdict)
        .number(5, FITTED, model(|model| rate(model.tps)))
        .number(
            rank(Metric::P50, 2),
            "p50 ms",
            latency(|latency| latency.p50),
        )
        .number(
            rank(Metric::P95, 6),
            "p95 ms",
            latency(|latency| latency.p95),
        )
        .number(
            rank(Metric::P99, 1),
            "p99 ms",
            latency(|latency| latency.p99),
        )
        .number(3, "per commit", |shown| mean_batch(shown.row))
        .words(1, "limit", |shown| {
            shown.row.prediction.as_ref()?.limit_in_short()
        })
        .words(3, "transport", |shown| {
            format!("{} {}", shown.row.transport, shown.row.config.encoding)
        })
        .words(3, "durability", |shown| shown.row.durability_and_apply())
        .number(4, "batch", |shown| batch_knobs(shown.row))
        .number(2, "in flight", |shown| in_flight(shown.row))
        .number(6, "alpha", |shown| {
            shown.row.config.workload.alpha.to_string()
        })
        .number(7, "seconds", |shown| format!("{:.1}", shown.row.seconds))
        .invalid(|shown| !shown.row.valid)
        .anchored("row-");
    let mut table = Table::from(table);
    let mut document = Document::default();
    document.facts(in_common(&mut table)).table(table);
    document
}
