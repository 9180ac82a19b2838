//! A sweep: its points one below the other, two knobs against each other, and the knee.

use crate::figures::{known, ms, rate, shared};
use crate::record::standing::verdict;
use crate::record::{Axis, Knob, Record, Row};
use crate::render::document::{Block, Document, Line, Table, Tone};
use crate::render::records::closing;
use crate::render::records::repetitions::widest;
use crate::render::records::warnings::said_of;
use crate::render::records::words::{FITTED, marked};
use crate::statistics::Estimate;

/// All of it: what was measured so far.
#[must_use]
pub fn document(record: &Record) -> Document {
    let sweep = record.sweep.as_ref();
    let over = sweep.map_or(&[][..], |sweep| &sweep.over);
    let points = points(&record.rows, over);
    let mut document = Document::default();
    document.table(table(&points, over));
    document.blocks.extend(
        matrices(&points, over)
            .into_iter()
            .flat_map(|(title, table)| [Block::Subheading(title), Block::Table(table)]),
    );
    let despite = sweep.into_iter().flat_map(|sweep| &sweep.resumed_despite);
    let warning = |difference: &String| {
        let warning = Line::default().mark(Tone::Warn, "warning");
        warning.plain(format!(": rows of different conditions: {difference}"))
    };
    let warnings = widest(&record.summaries).into_iter();
    document.list(warnings.chain(despite.map(warning)).collect());
    document.facts(said_of(&record.rows.iter().collect::<Vec<_>>()));
    if let Some(knee) = closing::knee(record) {
        document.verdict(knee);
    }
    document
}

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

    fn is_invalid(&self) -> bool {
        self.counted.iter().any(|row| !row.valid)
    }

    fn standing(&self) -> Line {
        let verdict = verdict(&self.counted);
        let others = self.counted.len() < self.rows.len();
        marked(verdict + if others { ", others not" } else { "" })
    }
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

/// All points, one line each: the swept knobs, then what was measured, contention and batch
/// fill beside throughput and latency. Repeated points show their medians.
fn table(points: &[Point<'_>], over: &[Axis]) -> Table {
    let median = |show: fn(f64) -> String, of: fn(&Row) -> Option<f64>| {
        move |point: &Point<'_>| point.median(of).map(show)
    };
    let repeated = points.iter().any(|point| point.rows.len() > 1);
    let open = points
        .iter()
        .flat_map(|point| &point.rows)
        .any(|row| row.open_loop.is_some());
    let connector = |point: &Point<'_>| {
        let config = &point.rows[0].config;
        format!("{} {}", config.subject(), config.encoding)
    };
    // Where there are several, nothing else tells their rows apart.
    let first = points.first().map(connector);
    let several = points.iter().any(|point| Some(connector(point)) != first);
    let rank = if several { 0 } else { 6 };
    let table = Table::of("Sweep", points).words(rank, "connector", connector);
    let mut table = over.iter().fold(table, |table, axis| {
        table.number(0, axis.knob.name(), |point| {
            let value = axis.knob.of_row(point.rows[0]);
            value.map_or_else(
                || "not reported".to_owned(),
                |value| value_of(axis.knob, value),
            )
        })
    });
    if open && !over.iter().any(|axis| axis.knob == Knob::Rate) {
        table = table.number(0, "rate", |point| {
            let offered = Knob::Rate.of_row(point.rows[0]);
            offered.map_or_else(|| "closed loop".to_owned(), rate)
        });
    }
    table
        .number(0, "TPS", |point| {
            let tps = known(point.median(|row| Some(row.tps)), rate);
            if point.is_invalid() {
                Line::default().void(tps)
            } else {
                tps.into()
            }
        })
        .number(4, "±", |point| {
            let tps = point.estimate(|row| Some(row.tps))?;
            (point.counted.len() > 1).then(|| rate((tps.high - tps.low) / 2.0))
        })
        .number(5, "runs", |point| repeated.then_some(point.counted.len()))
        .number(
            0,
            "of offered",
            median(percent, |row| {
                let open = row.open_loop.as_ref()?;
                Some(open.achieved_tps / open.offered_tps)
            }),
        )
        .number(
            5,
            FITTED,
            median(rate, |row| Some(row.prediction.as_ref()?.tps)),
        )
        .number(2, "p50 ms", median(ms, |row| row.latency_ms.p50))
        .number(1, "p99 ms", median(ms, |row| row.latency_ms.p99))
        .number(
            7,
            "collisions",
            median(percent, |row| Some(row.collision_rate)),
        )
        .number(
            3,
            "per commit",
            median(shared, |row| Some(row.server.as_ref()?.mean_batch)),
        )
        .words(1, "limit", |point| {
            point.counted[0].prediction.as_ref()?.limit_in_short()
        })
        .words(0, "verdict", Point::standing)
        .invalid(Point::is_invalid)
        .into()
}

/// A knob's value as tables have it.
fn value_of(knob: Knob, value: f64) -> String {
    match knob {
        Knob::Alpha | Knob::BatchTimeout => knob.show(value),
        _ => rate(value),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// TPS of two swept knobs against each other, one table per connector; none with another number
/// of knobs.
fn matrices(points: &[Point<'_>], over: &[Axis]) -> Vec<(String, Table)> {
    let [down, across] = over else {
        return Vec::new();
    };
    let mut connectors: Vec<_> = points
        .iter()
        .map(|point| point.rows[0].config.subject())
        .collect();
    connectors.dedup();
    let tables = connectors.into_iter().map(|connector| {
        let cell = |value: f64, other: f64| {
            let point = points.iter().find(|point| {
                let row = point.rows[0];
                row.config.subject() == *connector
                    && is_at(down.knob, row, value)
                    && is_at(across.knob, row, other)
            })?;
            let tps = known(point.median(|row| Some(row.tps)), rate);
            Some(if point.is_invalid() {
                Line::default().void(tps).plain(" ").mark(Tone::Bad, "!")
            } else {
                tps.into()
            })
        };
        let corner = format!("{} \\ {}", down.knob.name(), across.knob.name());
        let title = format!("TPS, {connector} (! is invalid)");
        let table = Table::of(title.as_str(), &down.values)
            .number(0, corner, |value| value_of(down.knob, *value));
        let table = across.values.iter().fold(table, |table, &other| {
            let title = value_of(across.knob, other);
            table.number(0, title, |&value| cell(value, other).unwrap_or_default())
        });
        (title, table.into())
    });
    tables.collect()
}

fn is_at(knob: Knob, row: &Row, value: f64) -> bool {
    let near = |at: f64| (at - value).abs() <= 1e-9 * at.abs().max(value.abs());
    knob.of_row(row).is_some_and(near)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::record::Repetition;
    use crate::record::fixtures::row;
    use crate::render::write::text::{Layout, write};

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

    fn shown(rows: Vec<Row>, over: Vec<Axis>) -> String {
        let environment = crate::host::environment::Environment::capture(Path::new("."));
        let mut record = Record::new(environment);
        record.rows = rows;
        record.sweep = Some(crate::record::Sweep {
            over,
            settings: std::collections::BTreeMap::new(),
            resumed_despite: Vec::new(),
        });
        write(&document(&record), Layout::default())
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
        let text = shown(rows.into(), axes(&["alpha=0,1,2"]));
        for word in [
            "alpha",
            "TPS",
            "p50 ms",
            "p99 ms",
            "collisions",
            "per commit",
        ] {
            assert!(text.contains(word), "no {word} in {text}");
        }
        let places = ["9,000", "4,000", "500"].map(|tps| text.find(tps).unwrap());
        assert!(places.is_sorted(), "{text}");
        assert!(text.contains("25.0 %") && text.contains("50.0 %"), "{text}");
        assert!(!text.contains("! is invalid"), "one knob makes no matrix");
    }

    #[test]
    fn a_search_is_shown_by_rate() {
        let mut rows = vec![at(0.0, 1, 9.0), at(0.0, 1, 70.0), at(0.0, 1, 50.0)];
        for (row, rate) in rows[1..].iter_mut().zip([700.0, 500.0]) {
            row.config.load.rate = Some(rate);
            row.open_loop = Some(crate::record::fixtures::open(rate));
        }
        let text = shown(rows, Vec::new());
        let places = ["closed loop", "500", "700"].map(|rate| text.find(rate).unwrap());
        assert!(places.is_sorted(), "{text}");
    }

    #[test]
    fn two_knobs_make_a_matrix() {
        let mut rows = vec![at(0.0, 1, 100.0), at(0.0, 8, 200.0), at(1.0, 1, 300.0)];
        rows[1].valid = false;
        let text = shown(rows, axes(&["alpha=0,1", "inflight=1,8"]));
        assert_eq!(line(&text, &["0"]), ["0", "100", "(200)", "!"]);
        assert_eq!(line(&text, &["1"]), ["1", "300"], "one is not measured yet");
    }

    #[test]
    fn repetitions_show_their_median() {
        let mut rows: Vec<Row> = [100.0, 300.0, 110.0, 1.0].map(|tps| at(0.0, 1, tps)).into();
        for (number, row) in (1..).zip(&mut rows) {
            row.repetition = Some(Repetition { number, of: 4 });
        }
        rows[3].valid = false;
        let connector = rows[0].config.subject();
        let text = shown(rows, axes(&["alpha=0"]));
        let cells = line(&text, &[connector.as_str()]);
        assert_eq!(cells[3..6], ["110", "100", "3"], "{text}");
        assert!(text.contains("valid, others not"), "{text}");
    }
}
