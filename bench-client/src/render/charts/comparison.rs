//! Charts of a comparison: the ratios with their intervals, and the rounds they are made of.

use super::{Axis, Chart, Ink, Mark, Panel, to_f64};
use crate::figures::known;
use crate::record::Row;
use crate::record::comparison::{Change, ComparisonRecord, Metric, Round};
use crate::record::sides::Which;
use crate::render::ratios::{change, level, percent, share};
use crate::render::table::Table;

const BASE: Ink = Ink::Series(0);
const CANDIDATE: Ink = Ink::Series(1);
const BETTER: Ink = Ink::Series(2);
const PLAIN: Ink = Ink::Series(0);

/// The forest plot of a valid comparison, and the rounds of each metric.
pub(in crate::render) fn charts(record: &ComparisonRecord) -> impl Iterator<Item = Chart> {
    let ratios = (record.valid && !record.metrics.is_empty()).then(|| ratios(record));
    let rounds = Metric::ALL
        .into_iter()
        .filter_map(|metric| rounds(record, metric));
    ratios.into_iter().chain(rounds)
}

/// The colour of what can be said. It is never alone: the words stand beside it.
fn ink(change: Change) -> Ink {
    match change {
        Change::Faster => BETTER,
        Change::Slower => Ink::Bad,
        Change::NoDifference { .. } | Change::Inconclusive { .. } => PLAIN,
    }
}

/// An axis of ratios, with 1 and what is around it, in round percentages.
fn ratio_axis(values: impl Iterator<Item = f64>) -> Axis {
    let far = values
        .filter(|value| value.is_finite())
        .fold(0.005, |far: f64, value| far.max((value - 1.0).abs()));
    let steps = [
        0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 50.0,
    ];
    let step = steps
        .into_iter()
        .find(|step| step * 2.0 >= far * 0.999)
        .unwrap_or(100.0);
    let ticks = (-2..=2).map(|place| {
        let off = f64::from(place) * step;
        (1.0 + off, format!("{:.*}", decimals(step), 1.0 + off))
    });
    let low = (1.0 - 2.2 * step).min(1.0 - far);
    let high = (1.0 + 2.2 * step).max(1.0 + far);
    let ticks = ticks.filter(|(at, _)| *at >= 0.0).collect();
    Axis::with_ticks("B ÷ A", (low.max(0.0), high), ticks)
}

fn decimals(step: f64) -> usize {
    match step {
        step if step < 0.01 => 3,
        step if step < 0.1 => 2,
        step if step < 1.0 => 1,
        _ => 0,
    }
}

/// The forest plot.
fn ratios(record: &ComparisonRecord) -> Chart {
    let metrics = &record.metrics;
    let x = ratio_axis(
        metrics
            .iter()
            .flat_map(|one| [one.low, one.ratio, one.high]),
    );
    let bottom = to_f64(metrics.len());
    let mut marks = vec![Mark::Line(vec![(1.0, 0.0), (1.0, bottom)], Ink::Muted, 3)];
    for (place, one) in metrics.iter().enumerate() {
        let top = to_f64(place);
        let at = top + 0.7;
        let paint = ink(one.change);
        let figure = format!("{}, {}", percent(one.ratio), short(one.change));
        let figure_ink = if paint == Ink::Bad { paint } else { Ink::Text };
        let title = one.metric.title().to_owned();
        marks.push(Mark::Title(top + 0.28, title, (figure, figure_ink)));
        marks.push(Mark::Line(vec![(one.low, at), (one.high, at)], paint, 6));
        marks.extend(
            [one.low, one.high]
                .map(|end| Mark::Line(vec![(end, at - 0.1), (end, at + 0.1)], paint, 6)),
        );
        marks.push(Mark::Dot((one.ratio, at), paint));
    }
    let panel = Panel {
        height: 120 + 90 * u32::try_from(metrics.len()).unwrap_or(4),
        ..Panel::of_lines(x, metrics.len(), marks)
    };
    let data = Table::of("", metrics)
        .words(0, "metric", |one| one.metric.with_unit())
        .number(0, "A", |one| one.metric.show(one.base.median))
        .number(0, "B", |one| one.metric.show(one.candidate.median))
        .number(0, "B ÷ A", |one| format!("{:.4}", one.ratio))
        .number(0, "low", |one| format!("{:.4}", one.low))
        .number(0, "high", |one| format!("{:.4}", one.high))
        .number(0, "confidence", |one| level(one.confidence))
        .words(0, "verdict", |one| change(one.change));
    let legend = [
        (BETTER, "faster"),
        (Ink::Bad, "slower"),
        (PLAIN, "no difference shown"),
    ];
    let there = |paint: Ink| metrics.iter().any(|one| ink(one.change) == paint);
    let about = "Candidate ÷ base with its interval. An interval left of the line at 1 is less, \
                 right of it more: more TPS is better, and less latency.";
    Chart::new("B ÷ A with its interval", about, vec![panel], data)
        .with_legend(legend.into_iter().filter(|(ink, _)| there(*ink)))
}

/// What fits beside a figure.
fn short(what: Change) -> String {
    match what {
        Change::NoDifference { within } => format!("within {}", share(within)),
        Change::Inconclusive { .. } => "inconclusive".to_owned(),
        Change::Faster | Change::Slower => change(what),
    }
}

/// Both runs of a round.
fn runs<'a>(record: &'a ComparisonRecord, round: &Round) -> Option<(&'a Row, &'a Row)> {
    Some((
        record.rows.get(round.base_row)?,
        record.rows.get(round.candidate_row)?,
    ))
}

/// The pairs of one metric, round by round.
fn rounds(record: &ComparisonRecord, metric: Metric) -> Option<Chart> {
    type Pair<'a> = (f64, &'a Round, &'a Row, &'a Row);
    let pairs: Vec<Pair<'_>> = (1_u32..)
        .zip(&record.rounds)
        .filter_map(|(number, round)| {
            let (base, candidate) = runs(record, round)?;
            Some((f64::from(number), round, base, candidate))
        })
        .collect();
    let (last, ..) = pairs.last()?;
    let values: Vec<f64> = pairs
        .iter()
        .flat_map(|(_, _, base, candidate)| [metric.of(base), metric.of(candidate)])
        .flatten()
        .collect();
    if values.is_empty() {
        return None;
    }
    let y = around(metric.with_unit(), &values);
    let every = (last / 8.0).ceil().max(1.0);
    let mut ticks = Vec::new();
    let mut at = 1.0;
    while at <= *last {
        ticks.push((at, format!("{at:.0}")));
        at += every;
    }
    let x = Axis::with_ticks("round", (0.5, last + 0.5), ticks);
    let mut marks = Vec::new();
    for (number, _, base, candidate) in &pairs {
        let Some((from, to)) = metric.of(base).zip(metric.of(candidate)) else {
            continue;
        };
        let line = vec![(*number, from), (*number, to)];
        marks.push(Mark::Line(line, Ink::Muted, 3));
        let paint = |row: &Row, otherwise| if row.valid { otherwise } else { Ink::Bad };
        marks.push(Mark::Dot((*number, from), paint(base, BASE)));
        marks.push(Mark::Diamond((*number, to), paint(candidate, CANDIDATE)));
    }
    let panel = Panel::new(x, y, 460, marks);
    let shown = |figure: Option<f64>| known(figure, |value| metric.show(value));
    let valid = |(_, _, base, candidate): &Pair<'_>| base.valid && candidate.valid;
    let data = Table::of("", &pairs)
        .number(0, "round", |(number, ..)| format!("{number:.0}"))
        .words(
            0,
            "first",
            |(_, round, ..)| if round.base_first { "A" } else { "B" },
        )
        .number(0, "A", |(_, _, base, _)| shown(metric.of(base)))
        .number(0, "B", |(.., candidate)| shown(metric.of(candidate)))
        .number(0, "B against A", |(_, _, base, candidate)| {
            let both = metric.of(base).zip(metric.of(candidate));
            known(both.map(|(from, to)| to / from), percent)
        })
        .words(
            0,
            "runs",
            move |pair| if valid(pair) { "valid" } else { "INVALID" },
        );
    let about = "Each round is a pair of runs next to each other in time. The axis does not begin \
                 at 0.";
    let legend = [
        (BASE, format!("{} (dot)", Which::Base.in_words())),
        (
            CANDIDATE,
            format!("{} (diamond)", Which::Candidate.in_words()),
        ),
    ];
    let chart = Chart::new(
        format!("Rounds: {}", metric.title()),
        about,
        vec![panel],
        data,
    );
    let all_valid = pairs.iter().all(valid);
    Some(chart.with_legend(legend).with_invalid(!all_valid))
}

/// An axis over the values and a little more: what is looked at is how they differ.
fn around(label: &str, values: &[f64]) -> Axis {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let least = finite().fold(f64::INFINITY, f64::min);
    let most = finite().fold(f64::NEG_INFINITY, f64::max);
    let (least, most) = if least <= most {
        (least, most)
    } else {
        (0.0, 1.0)
    };
    let room = ((most - least) * 0.08).max(most.abs() * 0.005).max(1e-9);
    Axis::within(label, least - room, most + room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_of_ratios_has_one_in_it_and_reaches_over_all() {
        let texts = |values: &[f64]| -> Vec<String> {
            let axis = ratio_axis(values.iter().copied());
            assert!(axis.low() <= values.iter().copied().fold(1.0, f64::min));
            assert!(axis.high() >= values.iter().copied().fold(1.0, f64::max));
            axis.ticks.into_iter().map(|(_, text)| text).collect()
        };
        assert_eq!(
            texts(&[0.93, 1.01]),
            ["0.90", "0.95", "1.00", "1.05", "1.10"]
        );
        assert_eq!(texts(&[]), ["0.990", "0.995", "1.000", "1.005", "1.010"]);
        assert_eq!(texts(&[3.1]), ["1", "3", "5"], "no ratio is below 0");
    }
}
