//! What turning a knob does to TPS and latency: batch size, transfers in flight, batch timeout,
//! contention.

use super::groups::{Figure, groups, over, sorted, values_of};
use super::{Axis, CURVES, Chart, Ink, Mark, Panel, Size, to_f64};
use crate::figures::{known, ms, rate};
use crate::record::load_record::{Shown, settings};
use crate::record::{Knob, Row};
use crate::render::records::words::{error_of_tps, mean_batch, tps, verdict};
use crate::render::table::Table;

const TPS: Ink = Ink::Series(0);
const P99: Ink = Ink::Series(1);
const PREDICTED: Ink = Ink::Series(3);
const COLLISIONS: Ink = Ink::Series(2);

/// A knob that is drawn.
struct Turned {
    /// What its chart is called.
    title: &'static str,
    /// What its axis is called.
    label: &'static str,
    /// Its name among the settings of a row.
    setting: &'static str,
    /// Where a row has it.
    value: Figure,
    /// How to read it.
    about: &'static str,
}

const KNOBS: [Turned; 4] = [
    Turned {
        title: "Batch size",
        label: "batch size",
        setting: "batch-size",
        value: |row| Knob::BatchSize.of_row(row),
        about: "Larger batches share a sync among more transfers, as long as there are enough in \
                flight to fill them.",
    },
    Turned {
        title: "Transfers in flight",
        label: "in flight, all workers together",
        setting: "in-flight",
        value: |row| {
            let load = &row.config.load;
            Some(f64::from(load.concurrency) * to_f64(load.max_inflight_per_worker))
        },
        about: "More in flight fill larger batches; what does not fit waits, which is latency and \
                no throughput.",
    },
    Turned {
        title: "Batch timeout",
        label: "batch timeout in ms",
        setting: "batch-timeout",
        value: |row| Some(row.batch_timeout_us? / 1e3),
        about: "How long the oldest transfer of a batch may wait for it to fill.",
    },
    Turned {
        title: "Contention",
        label: "alpha (0 is uniform)",
        setting: "alpha",
        value: |row| Some(row.config.workload.alpha),
        about: "The larger alpha, the more transfers name the same accounts.",
    },
];

/// A chart for each knob that was turned.
pub(in crate::render) fn sweeps(rows: &[Shown<'_>]) -> Vec<Chart> {
    // Rows with names of their own, such as a published table's, were not made by turning a knob.
    let swept = rows.iter().filter(|one| one.row.config.name.is_none());
    let swept: Vec<Shown<'_>> = swept.copied().collect();
    KNOBS
        .iter()
        .filter_map(|knob| sweep(knob, &swept))
        .collect()
}

fn sweep(knob: &Turned, rows: &[Shown<'_>]) -> Option<Chart> {
    let value = knob.value;
    let told = rows.iter().filter(|one| value(one.row).is_some());
    let told: Vec<Shown<'_>> = told.copied().collect();
    let mut curves = groups(&told, &[knob.setting]);
    curves.retain(|(_, members)| values_of(members, value).len() > 1);
    curves.truncate(CURVES);
    let members: Vec<Shown<'_>> = curves.iter().flat_map(|(_, one)| one).copied().collect();
    let [(what, _), rest @ ..] = curves.as_slice() else {
        return None;
    };
    let names = unlike(&members, knob.setting, &curves);
    let is_one = rest.is_empty();
    let values = values_of(&members, value);
    let panel = |label: &str, ink: Ink, figure: Figure, predicted: Option<Figure>| {
        let x = Axis::of_knob(knob.label, &values);
        let all = members.iter().flat_map(|one| {
            let predicted = predicted.and_then(|predicted| predicted(one.row));
            [figure(one.row), predicted].into_iter().flatten()
        });
        let y = Axis::of_figures(label, &all.collect::<Vec<_>>());
        let mut marks = Vec::new();
        for (place, (_, members)) in curves.iter().enumerate() {
            let ink = if is_one { ink } else { Ink::curve(place, true) };
            let diamonds = members.iter().filter_map(|one| {
                let at = (x.at(value(one.row)?), y.at(predicted?(one.row)?));
                Some(Mark::Diamond(at, if is_one { PREDICTED } else { ink }))
            });
            marks.extend(diamonds);
            marks.extend(over(members, (&x, value), (&y, figure), ink));
        }
        Panel::new(x, y, 480, marks)
    };
    let mut panels = vec![
        panel("TPS", TPS, |row| Some(row.tps), Some(predicted)),
        panel("p99 in ms", P99, |row| row.latency_ms.p99, None),
    ];
    let is_predicted = members.iter().any(|one| predicted(one.row).is_some());
    let is_contention = knob.setting == "alpha";
    if is_contention {
        let collisions: Figure = |row| Some(row.collision_rate * 100.0);
        panels.push(panel("collisions in %", COLLISIONS, collisions, None));
    }
    let sorted: Vec<(&str, Shown<'_>)> = curves
        .iter()
        .zip(&names)
        .flat_map(|((_, members), name)| {
            let members = sorted(members, value).into_iter();
            members.map(|one| (name.as_str(), one))
        })
        .collect();
    let data = Table::of("", &sorted)
        .words(0, "of", |(name, _)| (!is_one).then_some(*name))
        .number(0, knob.label, |(_, one)| {
            known(value(one.row), |value| value.to_string())
        })
        .number(0, "TPS", |(_, one)| tps(one))
        .number(0, "fitted TPS", |(_, one)| predicted(one.row).map(rate))
        .number(0, "error", |(_, one)| {
            let model = one.row.prediction.as_ref();
            model.map(|model| error_of_tps(model, one.row))
        })
        .number(0, "p50 ms", |(_, one)| known(one.row.latency_ms.p50, ms))
        .number(0, "p99 ms", |(_, one)| known(one.row.latency_ms.p99, ms))
        .number(0, "per commit", |(_, one)| mean_batch(one.row))
        .number(0, "collisions", |(_, one)| {
            is_contention.then(|| format!("{:.2} %", one.row.collision_rate * 100.0))
        })
        .words(0, "counted", |(_, one)| {
            is_contention.then_some(one.row.collision_scope.as_str())
        })
        .words(0, "verdict", |(_, one)| verdict(one));
    let about = if is_one {
        format!("{what}. {}", knob.about)
    } else {
        knob.about.to_owned()
    };
    let of_one = [(TPS, "TPS"), (P99, "p99")];
    let collisions = (COLLISIONS, "transfers that named an account in flight");
    let of_curves = names.iter().enumerate();
    let of_curves = of_curves.map(|(place, name)| (Ink::curve(place, true), name.as_str()));
    let chart = Chart::new(knob.title, about, panels, data)
        .with_legend(of_one.into_iter().filter(|_| is_one))
        .with_legend((is_one && is_contention).then_some(collisions))
        .with_legend((is_one && is_predicted).then_some((PREDICTED, "fitted TPS (diamond)")))
        .with_legend(of_curves.filter(|_| !is_one))
        .with_legend((!is_one && is_predicted).then_some((Ink::Muted, "diamonds: fitted")))
        .with_invalid(members.iter().any(|one| !one.row.valid));
    Some(chart.sized(Size::Full))
}

fn predicted(row: &Row) -> Option<f64> {
    Some(row.prediction.as_ref()?.tps)
}

/// In what the curves differ from each other.
fn unlike(members: &[Shown<'_>], turned: &str, curves: &[(String, Vec<Shown<'_>>)]) -> Vec<String> {
    let all: Vec<_> = members.iter().map(|one| settings(one.row)).collect();
    let differs = |place: &usize| all.iter().any(|one| one[*place] != all[0][*place]);
    let places = (0..all[0].len()).filter(differs);
    let places: Vec<usize> = places
        .filter(|place| ![turned, "seed"].contains(&all[0][*place].0))
        .collect();
    let name = |(_, members): &(String, Vec<Shown<'_>>)| {
        let set = settings(members[0].row);
        let said = places.iter().map(|place| set[*place].1.clone());
        said.filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join(", ")
    };
    curves.iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::load_record::{AnyRecord, Report};
    use crate::record::{Record, Row, fixtures};
    use crate::render::charts::Mark;

    fn report(rows: Vec<Row>) -> Report {
        let text = include_str!("../../../tests/records/sweep-alpha.json");
        let mut record: Record = serde_json::from_str(text).unwrap();
        record.rows = rows;
        Report::new(vec![AnyRecord::of_record(record)])
    }

    fn at(batch: u64, in_flight: usize, tps: f64) -> Row {
        let mut row = fixtures::row();
        row.batch_size = Some(batch);
        row.config.load.max_inflight_per_worker = in_flight;
        row.tps = tps;
        row
    }

    fn lines(panel: &Panel) -> Vec<usize> {
        let lines = panel.marks.iter().filter_map(|mark| match mark {
            Mark::Line(points, ..) => Some(points.len()),
            _ => None,
        });
        lines.collect()
    }

    #[test]
    fn a_recorded_sweep_has_tps_p99_and_collisions_over_its_knob() {
        let text = include_str!("../../../tests/records/sweep-alpha.json");
        let report = Report::new(vec![AnyRecord::parse("a.json".to_owned(), text).unwrap()]);
        let charts = sweeps(&report.rows());
        let [chart] = charts.as_slice() else {
            panic!("one knob was turned: {charts:?}");
        };
        assert_eq!(
            (chart.title.as_str(), chart.panels.len()),
            ("Contention", 3)
        );
        let shown: Vec<_> = chart.panels.iter().map(lines).collect();
        assert_eq!(shown, [[5], [5], [5]]);
        let diamonds = chart.panels[0].marks.iter();
        let diamonds = diamonds.filter(|mark| matches!(mark, Mark::Diamond(..)));
        assert_eq!(diamonds.count(), 5, "what was predicted");
    }

    #[test]
    fn two_knobs_have_a_chart_each_with_a_curve_for_every_value_of_the_other() {
        let report = report(vec![
            at(1, 1, 10.0),
            at(100, 1, 40.0),
            at(1, 8, 20.0),
            at(100, 8, 900.0),
            // Of this there is nothing to draw a curve of.
            at(1_000, 40, 50.0),
        ]);
        let charts = sweeps(&report.rows());
        let titles: Vec<&str> = charts.iter().map(|chart| chart.title.as_str()).collect();
        assert_eq!(titles, ["Batch size", "Transfers in flight"]);
        for chart in &charts {
            assert_eq!(lines(&chart.panels[0]), [2, 2], "{}", chart.title);
            let curves = chart
                .legend
                .iter()
                .filter(|(ink, _)| matches!(ink, Ink::Curve(_)));
            assert_eq!(curves.count(), 2);
            assert_eq!(chart.data.rows.len(), 4);
        }
        let names = |chart: &Chart| {
            chart.legend[..2]
                .iter()
                .map(|(_, name)| name.clone())
                .collect()
        };
        let of_batch: Vec<String> = names(&charts[0]);
        assert_eq!(of_batch, ["50×1", "50×8"]);
    }

    #[test]
    fn what_is_invalid_is_no_part_of_a_curve_and_repetitions_are_their_median() {
        let mut rows = vec![
            at(1, 1, 10.0),
            at(1, 1, 30.0),
            at(1, 1, 20.0),
            at(100, 1, 40.0),
        ];
        rows.push(at(10, 1, 9_999.0));
        rows[4].valid = false;
        let report = report(rows);
        let charts = sweeps(&report.rows());
        let tps = &charts[0].panels[0];
        let [Mark::Line(line, ..)] = tps
            .marks
            .iter()
            .filter(|mark| matches!(mark, Mark::Line(..)))
            .collect::<Vec<_>>()[..]
        else {
            panic!("{tps:?}");
        };
        let values: Vec<f64> = line.iter().map(|(_, y)| *y).collect();
        let expected = [20.0, 40.0].map(|value| tps.y.at(value));
        assert_eq!(values, expected);
        assert!(charts[0].legend.iter().any(|(ink, _)| *ink == Ink::Bad));
    }

    #[test]
    fn rows_of_a_published_table_were_made_by_turning_no_knob() {
        let mut rows = vec![at(1, 1, 10.0), at(100, 1, 40.0)];
        for (row, name) in rows.iter_mut().zip(["one", "two"]) {
            row.config.name = Some(name.to_owned());
        }
        assert!(sweeps(&report(rows).rows()).is_empty());
    }
}
