//! What turning a knob does: contention, offered rate, and batch size against in flight.

use super::groups::{distinct, groups, median};
use super::{Axis, Chart, Ink, Mark, Panel, Side, short, to_f64};
use crate::figures::{known, ms, rate};
use crate::record::load_record::{Shown, Standing};
use crate::record::{self, OpenLoop, Row};
use crate::render::records::words::{mean_batch, tps, verdict};
use crate::render::table::{Line, Table};

const TPS: Ink = Ink::Series(0);
const P99: Ink = Ink::Series(1);
const COLLISIONS: Ink = Ink::Series(2);
const IDEAL: Ink = Ink::Muted;

/// A knob of a row.
type Setting = fn(&Row) -> f64;
/// A figure of a row.
/// `None` where it is not known.
type Figure = fn(&Row) -> Option<f64>;

/// One figure over a knob: every row as a dot, a line through the medians of the valid ones.
fn over(
    members: &[Shown<'_>],
    (x, knob): (&Axis, Setting),
    (y, figure): (&Axis, Figure),
    paint: Ink,
) -> Vec<Mark> {
    let mut marks: Vec<Mark> = members
        .iter()
        .filter_map(|one| {
            let at = (x.at(knob(one.row)), y.at(figure(one.row)?));
            Some(Mark::Dot(at, paint.of(one)))
        })
        .collect();
    let valid = || members.iter().filter(|one| one.row.valid);
    let line: Vec<(f64, f64)> = distinct(valid().map(|one| knob(one.row)))
        .into_iter()
        .filter_map(|value| {
            let here = valid().filter(|one| knob(one.row).total_cmp(&value).is_eq());
            let middle = median(here.filter_map(|one| figure(one.row)))?;
            Some((x.at(value), y.at(middle)))
        })
        .collect();
    if line.len() > 1 {
        marks.push(Mark::Line(line, paint, 4));
    }
    marks
}

/// Members in the order of a knob.
fn sorted<'a>(members: &[Shown<'a>], knob: impl Fn(&Row) -> f64) -> Vec<Shown<'a>> {
    let mut sorted = members.to_vec();
    sorted.sort_by(|a, b| knob(a.row).total_cmp(&knob(b.row)));
    sorted
}

fn any_invalid(members: &[Shown<'_>]) -> bool {
    members.iter().any(|one| !one.row.valid)
}

/// How the contention of accounts moves TPS, latency and collisions.
pub(in crate::render) fn contention(rows: &[Shown<'_>]) -> Vec<Chart> {
    let alpha: Setting = |row| row.config.workload.alpha;
    let mut charts = Vec::new();
    for (what, members) in groups(rows, &["alpha"]) {
        let alphas = distinct(members.iter().map(|one| alpha(one.row)));
        if alphas.len() < 2 {
            continue;
        }
        let panel = |label: &str, last: bool, paint: Ink, figure: Figure| {
            let title = if last { "alpha (0 is uniform)" } else { "" };
            let x = Axis::linear(title, alphas.iter().copied());
            let y = Axis::linear(label, members.iter().filter_map(|one| figure(one.row)));
            let marks = over(&members, (&x, alpha), (&y, figure), paint);
            Panel::new(x, y, if last { 370 } else { 300 }, marks)
        };
        let panels = vec![
            panel("TPS", false, TPS, |row| Some(row.tps)),
            panel("p99 in ms", false, P99, |row| row.latency_ms.p99),
            panel("collisions in %", true, COLLISIONS, |row| {
                Some(row.collision_rate * 100.0)
            }),
        ];
        let sorted = sorted(&members, alpha);
        let data = Table::of("", &sorted)
            .number(0, "alpha", |one| alpha(one.row).to_string())
            .number(0, "TPS", tps)
            .number(0, "p50 ms", |one| known(one.row.latency_ms.p50, ms))
            .number(0, "p99 ms", |one| known(one.row.latency_ms.p99, ms))
            .number(0, "collisions", |one| {
                format!("{:.2} %", one.row.collision_rate * 100.0)
            })
            .words(0, "counted", |one| one.row.collision_scope.as_str())
            .number(0, "mean batch", |one| mean_batch(one.row));
        let about = format!("{what}. The larger alpha, the more transfers name the same accounts.");
        let legend = [
            (TPS, "TPS"),
            (P99, "p99"),
            (COLLISIONS, "transfers that named an account in flight"),
        ];
        let chart = Chart::new("Contention sweep", about, panels, data);
        charts.push(
            chart
                .with_legend(legend)
                .with_invalid(any_invalid(&members)),
        );
    }
    charts
}

/// Achieved rate and p99 over the offered rate: where the knee is.
pub(in crate::render) fn rates(rows: &[Shown<'_>]) -> Vec<Chart> {
    let offered: Setting = |row| row.open_loop.as_ref().map_or(0.0, |open| open.offered_tps);
    let achieved: Figure = |row| Some(row.open_loop.as_ref()?.achieved_tps);
    let p99: Figure = |row| row.latency_ms.p99;
    let open = rows.iter().filter(|one| one.row.open_loop.is_some());
    let open: Vec<Shown<'_>> = open.copied().collect();
    let mut charts = Vec::new();
    for (what, members) in groups(&open, &["rate"]) {
        let asked = distinct(members.iter().map(|one| offered(one.row)));
        if asked.len() < 2 {
            continue;
        }
        let most = asked.last().copied().unwrap_or(0.0);
        let x = |label: &str| Axis::linear(label, asked.iter().copied());
        let (first, second) = (x(""), x("offered TPS"));
        let reached = members.iter().filter_map(|one| achieved(one.row));
        let y = Axis::linear("achieved TPS", reached.chain([most]));
        let slow = members.iter().filter_map(|one| p99(one.row));
        let slow = Axis::log("p99 in ms (log)", slow);
        let mut marks = vec![Mark::Line(vec![(0.0, 0.0), (most, most)], IDEAL, 2)];
        marks.extend(over(&members, (&first, offered), (&y, achieved), TPS));
        let below = over(&members, (&second, offered), (&slow, p99), P99);
        let panels = vec![
            Panel::new(first, y, 370, marks),
            Panel::new(second, slow, 400, below),
        ];
        let of =
            |of: fn(&OpenLoop) -> Line| move |one: &Shown<'_>| one.row.open_loop.as_ref().map(of);
        let sorted = sorted(&members, offered);
        let data = Table::of("", &sorted)
            .number(0, "offered TPS", of(|open| rate(open.offered_tps).into()))
            .number(0, "achieved TPS", of(|open| rate(open.achieved_tps).into()))
            .number(0, "p50 ms", |one| known(one.row.latency_ms.p50, ms))
            .number(0, "p99 ms", |one| known(one.row.latency_ms.p99, ms))
            .number(0, "service p99 ms", |one| {
                known(one.row.service_ms.and_then(|service| service.p99), ms)
            })
            .number(0, "late", of(|open| open.late.into()))
            .number(0, "skipped", of(|open| open.skipped.into()))
            .number(0, "dropped", of(|open| open.dropped.into()))
            .words(0, "verdict", verdict);
        let about = format!("{what}. Past the knee, TPS leaves the line and latency climbs.");
        let legend = [
            (TPS, "achieved TPS"),
            (IDEAL, "all that was offered"),
            (P99, "p99 from the intended start"),
        ];
        let chart = Chart::new("Offered rate and latency", about, panels, data);
        charts.push(
            chart
                .with_legend(legend)
                .with_invalid(any_invalid(&members)),
        );
    }
    charts
}

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
    let batch: Setting = |row| record::Knob::BatchSize.of_row(row).unwrap_or(0.0);
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
