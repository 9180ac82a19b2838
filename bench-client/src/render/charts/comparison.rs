//! Charts of a comparison: the ratios with their intervals, and the rounds they are made of.

use super::{Axis, Chart, Ink, Mark, Panel, Size, to_f64};
use crate::figures::known;
use crate::record::Row;
use crate::record::comparison::{Change, ComparisonRecord, Metric, MetricComparison, Round};
use crate::record::sides::Which;
use crate::render::ratios::{change, level, percent, share};
use crate::render::records::unlike_loads::{is_judged, unjudged};
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
fn ink(record: &ComparisonRecord, one: &MetricComparison) -> Ink {
    match one.change {
        _ if !is_judged(record, one.metric) => PLAIN,
        Change::Faster => BETTER,
        Change::Slower => Ink::Bad,
        Change::NoDifference { .. } | Change::Inconclusive { .. } => PLAIN,
    }
}

/// The forest plot.
fn ratios(record: &ComparisonRecord) -> Chart {
    let metrics = &record.metrics;
    let x = Axis::of_ratios(
        "B ÷ A (log)",
        metrics
            .iter()
            .flat_map(|one| [one.low, one.ratio, one.high]),
    );
    let bottom = to_f64(metrics.len());
    let equal = x.at(1.0);
    let mut marks = vec![Mark::Line(
        vec![(equal, 0.0), (equal, bottom)],
        Ink::Muted,
        3,
    )];
    let words = |one: &MetricComparison, say: &dyn Fn(Change) -> String| match one.change {
        Change::Faster | Change::Slower if !is_judged(record, one.metric) => {
            unjudged(one.ratio).to_owned()
        }
        what => say(what),
    };
    for (place, one) in metrics.iter().enumerate() {
        let top = to_f64(place);
        let at = top + 0.7;
        let paint = ink(record, one);
        let figure = format!("{}, {}", percent(one.ratio), words(one, &short));
        let figure_ink = if paint == Ink::Bad { paint } else { Ink::Text };
        let title = one.metric.title().to_owned();
        marks.push(Mark::Title(top + 0.28, title, (figure, figure_ink)));
        let [low, ratio, high] = [one.low, one.ratio, one.high].map(|ratio| x.at(ratio));
        marks.push(Mark::Line(vec![(low, at), (high, at)], paint, 6));
        marks.extend(
            [low, high].map(|end| Mark::Line(vec![(end, at - 0.1), (end, at + 0.1)], paint, 6)),
        );
        marks.push(Mark::Dot((ratio, at), paint));
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
        .words(0, "verdict", |one| words(one, &change));
    let legend = [
        (BETTER, "faster"),
        (Ink::Bad, "slower"),
        (PLAIN, "no difference shown, or not judged"),
    ];
    let there = |paint: Ink| metrics.iter().any(|one| ink(record, one) == paint);
    let about = "Candidate ÷ base with its interval. An interval left of the line at 1 is less, \
                 right of it more: more TPS is better, and less latency.";
    Chart::new("B ÷ A with its interval", about, vec![panel], data)
        .with_legend(legend.into_iter().filter(|(ink, _)| there(*ink)))
        .sized(Size::Full)
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
    let y = Axis::around(metric.with_unit(), &values);
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
