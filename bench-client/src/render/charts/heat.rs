//! TPS over batch size and transfers in flight, as a map.

use super::groups::{distinct, groups, median};
use super::{Axis, Chart, Ink, Mark, Panel, Side, short, to_f64};
use crate::figures::rate;
use crate::record::Knob;
use crate::record::load_record::{Shown, Standing};
use crate::render::table::Table;

const TPS: Ink = Ink::Series(0);

/// A knob of a row.
type Setting = fn(&crate::record::Row) -> f64;

/// A cell of a heat map that was measured.
struct HeatCell {
    /// Its column and line on the map, from 0.
    at: (f64, f64),
    in_flight: f64,
    batch: f64,
    tps: f64,
    /// To be read as "at least".
    bound: bool,
}

/// TPS over batch size and transfers in flight, where at least half of the map was measured.
pub(in crate::render) fn heat_maps(rows: &[Shown<'_>]) -> Vec<Chart> {
    let in_flight: Setting = |row| {
        f64::from(row.config.load.concurrency) * to_f64(row.config.load.max_inflight_per_worker)
    };
    let batch: Setting = |row| Knob::BatchSize.of_row(row).unwrap_or(0.0);
    let known = rows
        .iter()
        .filter(|one| one.row.batch_size.is_some() && one.row.valid);
    let known: Vec<Shown<'_>> = known.copied().collect();
    let mut charts = Vec::new();
    for (what, members) in groups(&known, &["batch-size", "in-flight"]) {
        let across = distinct(members.iter().map(|one| in_flight(one.row)));
        let down = distinct(members.iter().map(|one| batch(one.row)));
        let mut cells = Vec::new();
        for (column, &flight) in across.iter().enumerate() {
            for (line, &size) in down.iter().enumerate() {
                let is_here = |one: &&Shown<'_>| {
                    in_flight(one.row).total_cmp(&flight).is_eq()
                        && batch(one.row).total_cmp(&size).is_eq()
                };
                let here = || members.iter().filter(is_here);
                if let Some(tps) = median(here().map(|one| one.row.tps)) {
                    cells.push(HeatCell {
                        at: (to_f64(column), to_f64(line)),
                        in_flight: flight,
                        batch: size,
                        tps,
                        bound: here().any(|one| one.standing() == Standing::AtLeast),
                    });
                }
            }
        }
        if across.len() < 2 || down.len() < 2 || cells.len() * 2 < across.len() * down.len() {
            continue;
        }
        charts.push(heat_map(&what, &cells, &across, &down));
    }
    charts
}

fn heat_map(what: &str, cells: &[HeatCell], across: &[f64], down: &[f64]) -> Chart {
    let most = cells.iter().map(|cell| cell.tps).fold(1.0, f64::max);
    let axis = |label: &str, values: &[f64]| {
        let ticks = values.iter().enumerate();
        let ticks = ticks.map(|(place, value)| (to_f64(place) + 0.5, short(*value)));
        Axis::with_ticks(label, (0.0, to_f64(values.len())), ticks.collect())
    };
    let mut marks = Vec::new();
    for cell in cells {
        let (column, line) = cell.at;
        let (from, to) = ((column + 0.03, line + 0.04), (column + 0.97, line + 0.96));
        marks.push(Mark::Bar(from, to, TPS, 0.08 + 0.62 * cell.tps / most));
        let words = if cell.bound { "≥ " } else { "" };
        let words = format!("{words}{}", short(cell.tps));
        let middle = (column + 0.5, line + 0.5);
        marks.push(Mark::Words(middle, words, Ink::Text, Side::Center));
    }
    let panel = Panel::new(
        axis("transfers in flight", across),
        axis("batch size", down),
        130 + 90 * u32::try_from(down.len()).unwrap_or(10),
        marks,
    );
    let data = Table::of("", cells)
        .number(0, "batch size", |cell| rate(cell.batch))
        .number(0, "in flight", |cell| rate(cell.in_flight))
        .number(0, "TPS", |cell| {
            let bound = if cell.bound { "at least " } else { "" };
            format!("{bound}{}", rate(cell.tps))
        });
    Chart::new(
        "Batch size and transfers in flight",
        format!("{what}. Median TPS of the valid rows; the stronger the colour, the more."),
        vec![panel],
        data,
    )
}
