//! A sweep as people read it.

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{Cell, CellAlignment, Table};

use crate::figures::{known, ms, rate};
use crate::record::{Axis, Knob, Prediction, Row, VerdictCode};
use crate::statistics::Estimate;

/// The measurements of one combination of knobs.
struct Point<'a> {
    rows: Vec<&'a Row>,
    /// Those that count: valid and not interrupted. All, when there are none such.
    counted: Vec<&'a Row>,
}

impl Point<'_> {
    fn estimate(&self, value: impl Fn(&Row) -> Option<f64>) -> Option<Estimate> {
        let values: Option<Vec<f64>> = self.counted.iter().map(|row| value(row)).collect();
        Estimate::of(&values?)
    }

    fn median(&self, value: impl Fn(&Row) -> Option<f64>) -> Option<f64> {
        self.estimate(value).map(|estimate| estimate.median)
    }

    fn standing(&self) -> &'static str {
        match self.counted.last() {
            Some(row) if !row.valid => "INVALID",
            Some(row) if row.interrupted => "interrupted",
            _ if self.counted.iter().any(|row| is_generator_bound(row)) => {
                "valid, at least (GENERATOR-BOUND)"
            }
            _ if self.counted.len() < self.rows.len() => "valid, others not",
            _ => "valid",
        }
    }
}

fn is_generator_bound(row: &Row) -> bool {
    let mut codes = row.verdicts.iter().map(|verdict| verdict.code);
    codes.any(|code| code == VerdictCode::GeneratorBound)
}

/// The rows by their knobs, in the order of connector and swept values.
fn points<'a>(rows: &'a [Row], over: &[Axis]) -> Vec<Point<'a>> {
    let mut groups: Vec<Vec<&Row>> = Vec::new();
    for row in rows {
        // A server at a URL may have other batch knobs than it had.
        let same = |members: &&mut Vec<&Row>| {
            members[0].config == row.config && members[0].batch_size == row.batch_size
        };
        match groups.iter_mut().find(same) {
            Some(members) => members.push(row),
            None => groups.push(vec![row]),
        }
    }
    let mut points: Vec<Point<'a>> = groups
        .into_iter()
        .map(|rows| {
            let counts = |row: &&&Row| row.valid && !row.interrupted;
            let counted: Vec<&Row> = rows.iter().filter(counts).copied().collect();
            let counted = if counted.is_empty() {
                rows.clone()
            } else {
                counted
            };
            Point { rows, counted }
        })
        .collect();
    let place = |point: &Point| {
        let row = point.rows[0];
        // A search has no swept knob and many rates.
        let knobs = over.iter().map(|axis| axis.knob).chain([Knob::Rate]);
        let values = knobs.map(|knob| knob.of_row(row));
        (
            row.config.subject(),
            values.map(|value| value.unwrap_or(0.0)).collect::<Vec<_>>(),
        )
    };
    points.sort_by(|a, b| {
        let (a, b) = (place(a), place(b));
        a.0.cmp(&b.0)
            .then(a.1.partial_cmp(&b.1).unwrap_or(std::cmp::Ordering::Equal))
    });
    points
}

fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

fn swept(knob: Knob, row: &Row) -> String {
    knob.of_row(row)
        .map_or_else(|| "not told".to_owned(), |value| knob.show(value))
}

/// All points, one line each: the swept knobs, then what was measured, contention and batch
/// fill beside throughput and latency. Repeated points show their medians.
#[must_use]
pub fn table(rows: &[Row], over: &[Axis]) -> String {
    let points = points(rows, over);
    let repeated = points.iter().any(|point| point.rows.len() > 1);
    let open = rows.iter().any(|row| row.open_loop.is_some());
    let mut header = vec!["connector"];
    header.extend(over.iter().map(|axis| axis.knob.name()));
    if open && !over.iter().any(|axis| axis.knob == Knob::Rate) {
        header.push("rate");
    }
    header.push("TPS");
    if repeated {
        header.extend(["±", "runs"]);
    }
    if open {
        header.push("achieved");
    }
    let predicted = rows.iter().any(|row| row.prediction.is_some());
    if predicted {
        header.push("predicted");
    }
    header.extend(["p50 ms", "p99 ms", "collisions", "mean batch"]);
    if predicted {
        header.push("limit");
    }
    header.push("verdict");
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY);
    table.set_header(header.clone());
    for point in &points {
        let first = point.rows[0];
        let mut cells = vec![Cell::new(format!(
            "{} {}",
            first.config.subject(),
            first.config.encoding
        ))];
        cells.extend(over.iter().map(|axis| right(swept(axis.knob, first))));
        if header.contains(&"rate") && !over.iter().any(|axis| axis.knob == Knob::Rate) {
            let closed = || "closed loop".to_owned();
            let offered = Knob::Rate.of_row(first);
            cells.push(right(offered.map_or_else(closed, rate)));
        }
        let tps = point.estimate(|row| Some(row.tps));
        cells.push(right(tps.map_or_else(String::new, |tps| rate(tps.median))));
        if repeated {
            let half = tps.map_or(0.0, |tps| (tps.high - tps.low) / 2.0);
            cells.push(right(if point.counted.len() > 1 {
                rate(half)
            } else {
                String::new()
            }));
            cells.push(right(point.counted.len().to_string()));
        }
        if open {
            let achieved = point.median(|row| Some(row.open_loop.as_ref()?.achieved_tps));
            cells.push(right(achieved.map_or_else(String::new, rate)));
        }
        if predicted {
            let tps = point.median(|row| Some(row.prediction.as_ref()?.tps));
            cells.push(right(tps.map_or_else(String::new, rate)));
        }
        let p50 = point.median(|row| row.latency_ms.p50);
        let p99 = point.median(|row| row.latency_ms.p99);
        let collisions = point.median(|row| Some(row.collision_rate));
        let batch = point.median(|row| Some(row.server.as_ref()?.mean_batch));
        cells.push(right(known(p50, ms)));
        cells.push(right(known(p99, ms)));
        cells.push(right(collisions.map_or_else(String::new, |share| {
            format!("{:.1} %", share * 100.0)
        })));
        cells.push(right(
            batch.map_or_else(String::new, |size| format!("{size:.1}")),
        ));
        if predicted {
            let limit = point.counted[0].prediction.as_ref();
            cells.push(Cell::new(limit.map_or("", Prediction::limit_in_words)));
        }
        cells.push(Cell::new(point.standing()));
        table.add_row(cells);
    }
    table.to_string()
}

/// TPS of two swept knobs against each other, one table per connector; `None` with another
/// number of knobs.
#[must_use]
pub fn matrix(rows: &[Row], over: &[Axis]) -> Option<String> {
    let [down, across] = over else {
        return None;
    };
    let points = points(rows, over);
    let mut connectors: Vec<_> = points
        .iter()
        .map(|point| point.rows[0].config.subject())
        .collect();
    connectors.dedup();
    let tables = connectors.into_iter().map(|connector| {
        let mut table = Table::new();
        table.load_preset(UTF8_HORIZONTAL_ONLY);
        let corner = format!("{} \\ {}", down.knob.name(), across.knob.name());
        let shown = across.values.iter().map(|value| across.knob.show(*value));
        table.set_header(std::iter::once(corner).chain(shown));
        for &value in &down.values {
            let cells = across.values.iter().map(|&other| {
                let point = points.iter().find(|point| {
                    let row = point.rows[0];
                    row.config.subject() == connector
                        && is_at(down.knob, row, value)
                        && is_at(across.knob, row, other)
                });
                right(point.map_or_else(String::new, |point| {
                    let tps = point
                        .median(|row| Some(row.tps))
                        .map_or_else(String::new, rate);
                    if point.standing() == "INVALID" {
                        format!("{tps} !")
                    } else {
                        tps
                    }
                }))
            });
            let label = Cell::new(down.knob.show(value));
            table.add_row(std::iter::once(label).chain(cells));
        }
        format!("TPS, {connector} (! is invalid)\n{table}")
    });
    Some(tables.collect::<Vec<_>>().join("\n\n"))
}

fn is_at(knob: Knob, row: &Row, value: f64) -> bool {
    let near = |at: f64| (at - value).abs() <= 1e-9 * at.abs().max(value.abs());
    knob.of_row(row).is_some_and(near)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Repetition;
    use crate::record::fixtures::row;

    fn at(alpha: f64, max_inflight: usize, tps: f64) -> Row {
        let mut row = row();
        row.config.workload.alpha = alpha;
        row.config.load.max_inflight_per_worker = max_inflight;
        row.tps = tps;
        row.collision_rate = alpha / 4.0;
        row
    }

    fn axes(specs: &[&str]) -> Vec<Axis> {
        specs.iter().map(|spec| spec.parse().unwrap()).collect()
    }

    /// The cells of the line that begins with these.
    #[track_caller]
    fn line(table: &str, begins: &[&str]) -> Vec<String> {
        let lines = table
            .lines()
            .map(|line| line.split_whitespace().map(str::to_owned).collect());
        let mut lines = lines.filter(|cells: &Vec<String>| {
            cells.starts_with(&begins.iter().map(ToString::to_string).collect::<Vec<_>>())
        });
        lines
            .next()
            .unwrap_or_else(|| panic!("no line {begins:?} in {table}"))
    }

    #[test]
    fn contention_stands_beside_throughput_in_the_order_of_the_knob() {
        // As a sweep that was gone on with may have them.
        let rows = [at(2.0, 1, 500.0), at(0.0, 1, 9_000.0), at(1.0, 1, 4_000.0)];
        let text = table(&rows, &axes(&["alpha=0,1,2"]));
        for word in [
            "alpha",
            "TPS",
            "p50 ms",
            "p99 ms",
            "collisions",
            "mean batch",
        ] {
            assert!(text.contains(word), "no {word} in {text}");
        }
        let places = ["9,000", "4,000", "500"].map(|tps| text.find(tps).unwrap());
        assert!(places.is_sorted(), "{text}");
        assert!(text.contains("25.0 %") && text.contains("50.0 %"), "{text}");
        assert_eq!(matrix(&rows, &axes(&["alpha=0,1,2"])), None);
    }

    #[test]
    fn a_search_is_shown_by_rate() {
        let mut rows = vec![at(0.0, 1, 9.0), at(0.0, 1, 70.0), at(0.0, 1, 50.0)];
        for (row, rate) in rows[1..].iter_mut().zip([700.0, 500.0]) {
            row.config.load.rate = Some(rate);
            row.open_loop = Some(crate::record::fixtures::open(rate));
        }
        let text = table(&rows, &[]);
        let places = ["closed loop", "500", "700"].map(|rate| text.find(rate).unwrap());
        assert!(places.is_sorted(), "{text}");
    }

    #[test]
    fn two_knobs_make_a_matrix() {
        let mut rows = vec![at(0.0, 1, 100.0), at(0.0, 8, 200.0), at(1.0, 1, 300.0)];
        rows[1].valid = false;
        let text = matrix(&rows, &axes(&["alpha=0,1", "inflight=1,8"])).unwrap();
        assert_eq!(line(&text, &["0"]), ["0", "100", "200", "!"]);
        assert_eq!(line(&text, &["1"]), ["1", "300"], "one is not measured yet");
    }

    #[test]
    fn repetitions_show_their_median() {
        let mut rows: Vec<Row> = [100.0, 300.0, 110.0, 1.0].map(|tps| at(0.0, 1, tps)).into();
        for (number, row) in (1..).zip(&mut rows) {
            row.repetition = Some(Repetition { number, of: 4 });
        }
        rows[3].valid = false;
        let text = table(&rows, &axes(&["alpha=0"]));
        let cells = line(&text, &[rows[0].config.connector.as_str()]);
        assert_eq!(cells[3..6], ["110", "100", "3"], "{text}");
        assert!(text.contains("valid, others not"), "{text}");
    }
}
