//! Repetitions of the same row, taken together.

use std::fmt::Write as _;

use super::knobs::Knobs;
use super::record::{Row, Summary};
use super::table::{describe_knobs, ms, rate};
use crate::judge::Verdict;
use crate::statistics::Estimate;

/// One summary per row that was repeated, in the order of their first repetitions. Invalid
/// and interrupted repetitions are left out; a row without any other has none.
#[must_use]
pub fn summarise(rows: &[Row]) -> Vec<Summary> {
    let mut groups: Vec<(Knobs, Vec<usize>)> = Vec::new();
    for (place, row) in rows.iter().enumerate() {
        if row.repetition.is_none() || !row.valid || row.interrupted {
            continue;
        }
        let knobs = Knobs::of_row(row);
        match groups.iter_mut().find(|(others, _)| *others == knobs) {
            Some((_, places)) => places.push(place),
            None => groups.push((knobs, vec![place])),
        }
    }
    let summaries = groups
        .into_iter()
        .map(|(_, places)| of_places(rows, places));
    summaries.flatten().collect()
}

fn of_places(rows: &[Row], places: Vec<usize>) -> Option<Summary> {
    let estimate = |value: fn(&Row) -> f64| {
        let values: Vec<f64> = places.iter().map(|&place| value(&rows[place])).collect();
        Estimate::of(&values)
    };
    let tps = estimate(|row| row.tps)?;
    let p50_ms = estimate(|row| row.latency_ms.p50)?;
    Some(Summary {
        tps,
        p50_ms,
        p95_ms: estimate(|row| row.latency_ms.p95)?,
        p99_ms: estimate(|row| row.latency_ms.p99)?,
        warning: warning(&tps, &p50_ms),
        rows: places,
    })
}

/// Judged by TPS and the median. A p99 rests on the few transfers of a few stalls and often
/// spreads: its interval says that.
fn warning(tps: &Estimate, p50_ms: &Estimate) -> Option<Verdict> {
    let wide: Vec<_> = [("TPS", tps), ("p50", p50_ms)]
        .into_iter()
        .filter(|(_, estimate)| !estimate.is_conclusive())
        .collect();
    (!wide.is_empty()).then(|| Verdict::wide_spread(&wide))
}

/// The summaries as people read them, below their rows.
#[must_use]
pub fn describe(summaries: &[Summary], rows: &[Row]) -> String {
    let blocks: Vec<String> = summaries
        .iter()
        .filter_map(|summary| Some(describe_one(summary, rows.get(*summary.rows.first()?)?)))
        .collect();
    blocks.join("\n\n")
}

fn describe_one(summary: &Summary, first: &Row) -> String {
    let mut text = format!("{:<10} {}", "median of", describe_knobs(first));
    let count = summary.tps.count;
    let left_out = first
        .repetition
        .map_or(0, |repetition| repetition.of.saturating_sub(count));
    let runs = if count == 1 { "run" } else { "runs" };
    let _ = write!(text, "\n{:<10} {count} {runs}", "");
    if left_out > 0 {
        let _ = write!(text, "; {left_out} invalid, interrupted or not done");
    }
    let mut line = |label: &str, estimate: &Estimate, unit: &str, write: fn(f64) -> String| {
        let _ = write!(
            text,
            "\n{label:<10} {}{unit}   {:.0} % interval {} to {}{unit}   variation {:.1} %",
            write(estimate.median),
            // Rounded down: 93.75 % is not 94 %.
            (estimate.confidence * 100.0).floor(),
            write(estimate.low),
            write(estimate.high),
            estimate.variation * 100.0
        );
    };
    line("TPS", &summary.tps, "", rate);
    line("p50", &summary.p50_ms, " ms", ms);
    line("p95", &summary.p95_ms, " ms", ms);
    line("p99", &summary.p99_ms, " ms", ms);
    if let Some(warning) = &summary.warning {
        let _ = write!(text, "\n{:<10} warning: {}", "", warning.message);
        let _ = write!(text, "\n{:<10}          {}", "", warning.remedy);
    }
    text
}
