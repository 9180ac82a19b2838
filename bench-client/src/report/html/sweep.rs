//! What turning a knob does: contention, offered rate, and batch size against in flight.

use plotters::style::text_anchor::HPos;

use super::axis::{Axis, short};
use super::canvas::{DrawError, Ink, Mark, Panel};
use super::chart::{Chart, Knob, distinct, groups, ink, median};
use crate::figures::{grouped, known, ms, rate};
use crate::record::Row;
use crate::record::load_record::{Shown, Standing};

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
            Some(Mark::Dot(at, ink(one, paint)))
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

/// How the contention of accounts moves TPS, latency and collisions.
pub(super) fn contention(rows: &[Shown<'_>]) -> Result<Vec<Chart>, DrawError> {
    let alpha: Setting = |row| row.config.workload.alpha;
    let mut charts = Vec::new();
    for (what, members) in groups(rows, &[Knob::Alpha]) {
        let alphas = distinct(members.iter().map(|one| one.row.config.workload.alpha));
        if alphas.len() < 2 {
            continue;
        }
        let panel = |label: &str, last: bool, paint: Ink, figure: Figure| {
            let x = Axis::linear(
                if last { "alpha (0 is uniform)" } else { "" },
                alphas.iter().copied(),
            );
            let y = Axis::linear(label, members.iter().filter_map(|one| figure(one.row)));
            Panel {
                marks: over(&members, (&x, alpha), (&y, figure), paint),
                x,
                y,
                height: if last { 370 } else { 300 },
            }
        };
        let panels = [
            panel("TPS", false, TPS, |row| Some(row.tps)),
            panel("p99 in ms", false, P99, |row| row.latency_ms.p99),
            panel("collisions in %", true, COLLISIONS, |row| {
                Some(row.collision_rate * 100.0)
            }),
        ];
        let mut sorted = members.clone();
        sorted.sort_by(|a, b| {
            a.row
                .config
                .workload
                .alpha
                .total_cmp(&b.row.config.workload.alpha)
        });
        let table = sorted
            .iter()
            .map(|one| {
                vec![
                    one.row.config.workload.alpha.to_string(),
                    one.tps(),
                    known(one.row.latency_ms.p50, ms),
                    known(one.row.latency_ms.p99, ms),
                    format!("{:.2} %", one.row.collision_rate * 100.0),
                    one.row.collision_scope.clone(),
                    mean_batch(one.row),
                ]
            })
            .collect();
        let legend = with_invalid(
            vec![
                (TPS, "TPS".to_owned()),
                (P99, "p99".to_owned()),
                (
                    COLLISIONS,
                    "transfers that named an account in flight".to_owned(),
                ),
            ],
            &members,
        );
        charts.push(
            Chart::new(
                "Contention sweep",
                format!("{what}. The larger alpha, the more transfers name the same accounts."),
                &panels,
                &[
                    "alpha",
                    "TPS",
                    "p50 ms",
                    "p99 ms",
                    "collisions",
                    "counted",
                    "mean batch",
                ],
                table,
            )?
            .with_legend(legend),
        );
    }
    Ok(charts)
}

fn with_invalid(mut legend: Vec<(Ink, String)>, members: &[Shown<'_>]) -> Vec<(Ink, String)> {
    if members.iter().any(|one| !one.row.valid) {
        legend.push((Ink::Bad, "INVALID: not to be quoted".to_owned()));
    }
    legend
}

fn mean_batch(row: &Row) -> String {
    let server = row.server.as_ref();
    server.map_or_else(String::new, |server| format!("{:.1}", server.mean_batch))
}

/// Achieved rate and p99 over the offered rate: where the knee is.
pub(super) fn rates(rows: &[Shown<'_>]) -> Result<Vec<Chart>, DrawError> {
    let offered: Setting = |row| row.open_loop.as_ref().map_or(0.0, |open| open.offered_tps);
    let achieved: Figure = |row| Some(row.open_loop.as_ref()?.achieved_tps);
    let p99: Figure = |row| row.latency_ms.p99;
    let open: Vec<Shown<'_>> = rows
        .iter()
        .filter(|one| one.row.open_loop.is_some())
        .copied()
        .collect();
    let mut charts = Vec::new();
    for (what, members) in groups(&open, &[Knob::Rate]) {
        let asked = distinct(members.iter().map(|one| offered(one.row)));
        if asked.len() < 2 {
            continue;
        }
        let x = |label: &str| Axis::linear(label, asked.iter().copied());
        let first = x("");
        let y = Axis::linear(
            "achieved TPS",
            members
                .iter()
                .filter_map(|one| achieved(one.row))
                .chain(asked.last().copied()),
        );
        let most = asked.last().copied().unwrap_or(0.0);
        let mut marks = vec![Mark::Line(vec![(0.0, 0.0), (most, most)], IDEAL, 2)];
        marks.extend(over(&members, (&first, offered), (&y, achieved), TPS));
        let second = x("offered TPS");
        let slow = Axis::log(
            "p99 in ms (log)",
            members.iter().filter_map(|one| p99(one.row)),
        );
        let panels = [
            Panel {
                x: first,
                y,
                marks,
                height: 370,
            },
            Panel {
                marks: over(&members, (&second, offered), (&slow, p99), P99),
                x: second,
                y: slow,
                height: 400,
            },
        ];
        let mut sorted = members.clone();
        sorted.sort_by(|a, b| offered(a.row).total_cmp(&offered(b.row)));
        let table = sorted
            .iter()
            .filter_map(|one| {
                let open = one.row.open_loop.as_ref()?;
                let service = one.row.service_ms;
                Some(vec![
                    rate(open.offered_tps),
                    rate(open.achieved_tps),
                    known(one.row.latency_ms.p50, ms),
                    known(one.row.latency_ms.p99, ms),
                    service.map_or_else(String::new, |service| known(service.p99, ms)),
                    grouped(open.late),
                    grouped(open.skipped),
                    grouped(open.dropped),
                    one.verdict().to_owned(),
                ])
            })
            .collect();
        let legend = with_invalid(
            vec![
                (TPS, "achieved TPS".to_owned()),
                (IDEAL, "all that was offered".to_owned()),
                (P99, "p99 from the intended start".to_owned()),
            ],
            &members,
        );
        charts.push(
            Chart::new(
                "Offered rate and latency",
                format!("{what}. Past the knee, TPS leaves the line and latency climbs."),
                &panels,
                &[
                    "offered TPS",
                    "achieved TPS",
                    "p50 ms",
                    "p99 ms",
                    "service p99 ms",
                    "late",
                    "skipped",
                    "dropped",
                    "verdict",
                ],
                table,
            )?
            .with_legend(legend),
        );
    }
    Ok(charts)
}

/// TPS over batch size and transfers in flight, where at least half of the map was measured.
pub(super) fn heat_maps(rows: &[Shown<'_>]) -> Result<Vec<Chart>, DrawError> {
    let in_flight: Setting = |row| {
        f64::from(row.config.load.concurrency) * to_f64(row.config.load.max_inflight_per_worker)
    };
    let batch: Setting = |row| row.batch_size.map_or(0.0, count);
    let known: Vec<Shown<'_>> = rows
        .iter()
        .filter(|one| one.row.batch_size.is_some() && one.row.valid)
        .copied()
        .collect();
    let mut charts = Vec::new();
    for (what, members) in groups(&known, &[Knob::BatchSize, Knob::InFlight]) {
        let across = distinct(members.iter().map(|one| in_flight(one.row)));
        let down = distinct(members.iter().map(|one| batch(one.row)));
        let mut cells = Vec::new();
        for (column, flight) in across.iter().enumerate() {
            for (line, size) in down.iter().enumerate() {
                let here: Vec<&Shown<'_>> = members
                    .iter()
                    .filter(|one| {
                        in_flight(one.row).total_cmp(flight).is_eq()
                            && batch(one.row).total_cmp(size).is_eq()
                    })
                    .collect();
                if let Some(tps) = median(here.iter().map(|one| one.row.tps)) {
                    let bound = here.iter().any(|one| one.standing() == Standing::AtLeast);
                    cells.push((to_f64(column), to_f64(line), *flight, *size, tps, bound));
                }
            }
        }
        if across.len() < 2 || down.len() < 2 || cells.len() * 2 < across.len() * down.len() {
            continue;
        }
        let most = cells.iter().map(|cell| cell.4).fold(1.0, f64::max);
        let named = |values: &[f64]| {
            let ticks = values.iter().enumerate();
            ticks
                .map(|(place, value)| (to_f64(place) + 0.5, short(*value)))
                .collect::<Vec<_>>()
        };
        let (columns, lines) = (to_f64(across.len()), to_f64(down.len()));
        let mut marks = Vec::new();
        for &(column, line, _, _, tps, bound) in &cells {
            let from = (column + 0.03, line + 0.04);
            let to = (column + 0.97, line + 0.96);
            marks.push(Mark::Bar(from, to, TPS, 0.08 + 0.62 * tps / most));
            let words = if bound {
                format!("≥ {}", short(tps))
            } else {
                short(tps)
            };
            let middle = (column + 0.5, line + 0.5);
            marks.push(Mark::Words(middle, words, Ink::Text, HPos::Center));
        }
        let panel = Panel {
            x: Axis::with_ticks("transfers in flight", (0.0, columns), named(&across)),
            y: Axis::with_ticks("batch size", (0.0, lines), named(&down)),
            marks,
            height: 130 + 90 * u32::try_from(down.len()).unwrap_or(10),
        };
        let table = cells
            .iter()
            .map(|&(_, _, flight, size, tps, bound)| {
                let figure = if bound {
                    format!("at least {}", rate(tps))
                } else {
                    rate(tps)
                };
                vec![rate(size), rate(flight), figure]
            })
            .collect();
        charts.push(Chart::new(
            "Batch size and transfers in flight",
            format!("{what}. Median TPS of the valid rows; the stronger the colour, the more."),
            &[panel],
            &["batch size", "in flight", "TPS"],
            table,
        )?);
    }
    Ok(charts)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn to_f64(count: usize) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn count(count: u64) -> f64 {
    count as f64
}
