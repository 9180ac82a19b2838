//! One benchmark over time: each record of it is a place, with its revision beside it.

use super::{Axis, Chart, Ink, Mark, Panel, Size, to_f64};
use crate::figures::{known, ms};
use crate::record::Row;
use crate::render::records::words::tps_of;
use crate::render::table::Table;
use crate::statistics::Estimate;

const TPS: Ink = Ink::Series(0);
const P99: Ink = Ink::Series(1);
/// Revisions beside an axis: more have no room.
const TICKS_MAX: usize = 5;

/// What one record has of a benchmark: its rows, of which there are several when it was repeated.
pub(in crate::render) struct Past<'a> {
    /// When it was measured.
    pub(in crate::render) at: &'a str,
    /// The program's revision, shortened.
    pub(in crate::render) revision: String,
    /// The record's name.
    pub(in crate::render) file: &'a str,
    /// Its rows.
    pub(in crate::render) rows: Vec<&'a Row>,
}

/// TPS and p99 of a benchmark with these knobs, record by record in the order in which they were measured.
pub(in crate::render) fn history(name: &str, knobs: &str, past: &[Past<'_>]) -> Chart {
    let panels = vec![
        panel(past, "TPS", TPS, |row| Some(row.tps)),
        panel(past, "p99 in ms", P99, |row| row.latency_ms.p99),
    ];
    let lines = past
        .iter()
        .flat_map(|one| one.rows.iter().map(move |row| (one, *row)));
    let lines: Vec<_> = lines.collect();
    let data = Table::of("", &lines)
        .words(0, "measured", |(one, _)| one.at)
        .words(0, "revision", |(one, _)| one.revision.as_str())
        .number(0, "TPS", |(_, row)| tps_of(row))
        .number(0, "p99 ms", |(_, row)| known(row.latency_ms.p99, ms))
        .words(0, "record", |(one, _)| one.file)
        .invalid(|(_, row)| !row.valid);
    let about = format!(
        "{knobs}. {} records, oldest first; the axes do not begin at 0.",
        past.len()
    );
    Chart::new(name, about, panels, data)
        .with_legend([(TPS, "TPS"), (P99, "p99")])
        .with_invalid(lines.iter().any(|(_, row)| !row.valid))
        .sized(Size::Small)
}

fn panel(past: &[Past<'_>], label: &str, ink: Ink, figure: fn(&Row) -> Option<f64>) -> Panel {
    let values = past.iter().flat_map(|one| &one.rows);
    let values: Vec<f64> = values.filter_map(|row| figure(row)).collect();
    let y = Axis::around(label, &values);
    let every = past.len().div_ceil(TICKS_MAX);
    let ticks = past.iter().enumerate().step_by(every);
    let ticks = ticks.map(|(place, one)| (to_f64(place), one.revision.clone()));
    let last = to_f64(past.len().saturating_sub(1));
    let x = Axis::with_ticks("revision", (-0.3, last + 0.3), ticks.collect());
    let mut marks = Vec::new();
    let mut line = Vec::new();
    for (place, one) in past.iter().enumerate() {
        let at = to_f64(place);
        let dots = one.rows.iter().filter_map(|row| {
            let ink = if row.valid { ink } else { Ink::Bad };
            Some(Mark::Dot((at, figure(row)?), ink))
        });
        marks.extend(dots);
        let valid = one.rows.iter().filter(|row| row.valid);
        let valid: Vec<f64> = valid.filter_map(|row| figure(row)).collect();
        line.extend(Estimate::of(&valid).map(|estimate| (at, estimate.median)));
    }
    marks.push(Mark::Line(line, ink, 4));
    Panel::new(x, y, 380, marks)
}
