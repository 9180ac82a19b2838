//! A comparison: what is concluded, the ratios with their intervals, and the rounds they are
//! made of.

use maud::{Markup, html};
use plotters::style::text_anchor::HPos;

use super::axis::Axis;
use super::canvas::{DrawError, Ink, Mark, Panel};
use super::chart::Chart;
use super::page::figure;
use crate::figures::{UNKNOWN, known};
use crate::record::Row;
use crate::record::comparison::{
    Change, ComparisonRecord, GateOutcome, Metric, MetricComparison, Round,
};
use crate::record::load_record::Report;
use crate::record::sides::Which;
use crate::report::compare_words::{
    change, gates, headline, level, outcome, percent, share, side, stopped,
};

const BASE: Ink = Ink::Series(0);
const CANDIDATE: Ink = Ink::Series(1);
const BETTER: Ink = Ink::Series(2);
const PLAIN: Ink = Ink::Series(0);

/// A comparison's section: its charts, and the comparison they are of.
pub(super) struct Section<'a> {
    file: &'a str,
    record: &'a ComparisonRecord,
    charts: Vec<Chart>,
}

/// One section for each comparison.
pub(super) fn sections(report: &Report) -> Result<Vec<Section<'_>>, DrawError> {
    let records = report.records.iter();
    let comparisons = records.filter_map(|one| Some((one.file.as_str(), one.comparison.as_ref()?)));
    comparisons
        .map(|(file, record)| {
            let mut charts = Vec::new();
            if record.valid {
                charts.extend(ratios(record)?);
            }
            for metric in Metric::ALL {
                charts.extend(rounds(record, metric)?);
            }
            Ok(Section {
                file,
                record,
                charts,
            })
        })
        .collect()
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
fn ratios(record: &ComparisonRecord) -> Result<Option<Chart>, DrawError> {
    if record.metrics.is_empty() {
        return Ok(None);
    }
    let metrics = record.metrics.iter();
    let x = ratio_axis(metrics.flat_map(|one| [one.low, one.ratio, one.high]));
    let count = record.metrics.len();
    let bottom = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let mut marks = vec![Mark::Line(vec![(1.0, 0.0), (1.0, bottom)], Ink::Muted, 3)];
    let mut top = 0.0;
    for one in &record.metrics {
        let (words, at) = (top + 0.28, top + 0.7);
        let paint = ink(one.change);
        marks.push(Mark::Words(
            (x.low(), words),
            one.metric.title().to_owned(),
            Ink::Text,
            HPos::Left,
        ));
        marks.push(Mark::Words(
            (x.high(), words),
            format!("{}, {}", percent(one.ratio), short(one.change)),
            if paint == Ink::Bad { paint } else { Ink::Text },
            HPos::Right,
        ));
        marks.push(Mark::Line(vec![(one.low, at), (one.high, at)], paint, 6));
        for end in [one.low, one.high] {
            let tick = vec![(end, at - 0.1), (end, at + 0.1)];
            marks.push(Mark::Line(tick, paint, 6));
        }
        marks.push(Mark::Dot((one.ratio, at), paint));
        top += 1.0;
    }
    let panel = Panel {
        x,
        y: Axis::places(bottom),
        marks,
        height: 120 + 90 * u32::try_from(count).unwrap_or(4),
    };
    let table = record.metrics.iter().map(metric_cells).collect();
    let about = "Candidate ÷ base with its interval. An interval left of the line at 1 is less, \
                 right of it more: more TPS is better, and less latency.";
    let header = [
        "metric",
        "A",
        "B",
        "B ÷ A",
        "low",
        "high",
        "confidence",
        "verdict",
    ];
    let chart = Chart::new("B ÷ A with its interval", about, &[panel], &header, table)?;
    let legend = [
        (BETTER, "faster", Change::Faster),
        (Ink::Bad, "slower", Change::Slower),
    ];
    let mut legend: Vec<(Ink, String)> = legend
        .into_iter()
        .filter(|(_, _, change)| record.metrics.iter().any(|one| one.change == *change))
        .map(|(ink, words, _)| (ink, words.to_owned()))
        .collect();
    if record.metrics.iter().any(|one| ink(one.change) == PLAIN) {
        legend.push((PLAIN, "no difference shown".to_owned()));
    }
    Ok(Some(chart.with_legend(legend)))
}

/// What fits beside a figure.
fn short(change: Change) -> String {
    match change {
        Change::Faster => "faster".to_owned(),
        Change::Slower => "slower".to_owned(),
        Change::NoDifference { within } => format!("within {}", share(within)),
        Change::Inconclusive { .. } => "inconclusive".to_owned(),
    }
}

fn metric_cells(one: &MetricComparison) -> Vec<String> {
    vec![
        one.metric.with_unit().to_owned(),
        one.metric.show(one.base.median),
        one.metric.show(one.candidate.median),
        format!("{:.4}", one.ratio),
        format!("{:.4}", one.low),
        format!("{:.4}", one.high),
        level(one.confidence),
        change(one.change),
    ]
}

/// Both runs of a round.
fn runs<'a>(record: &'a ComparisonRecord, round: &Round) -> Option<(&'a Row, &'a Row)> {
    Some((
        record.rows.get(round.base_row)?,
        record.rows.get(round.candidate_row)?,
    ))
}

/// The pairs of one metric, round by round.
fn rounds(record: &ComparisonRecord, metric: Metric) -> Result<Option<Chart>, DrawError> {
    let pairs: Vec<(f64, &Round, &Row, &Row)> = (1_u32..)
        .zip(&record.rounds)
        .filter_map(|(number, round)| {
            let (base, candidate) = runs(record, round)?;
            Some((f64::from(number), round, base, candidate))
        })
        .collect();
    let Some((last, ..)) = pairs.last() else {
        return Ok(None);
    };
    let values: Vec<f64> = pairs
        .iter()
        .flat_map(|(_, _, base, candidate)| [metric.of(base), metric.of(candidate)])
        .flatten()
        .collect();
    if values.is_empty() {
        return Ok(None);
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
    let table = pairs
        .iter()
        .map(|(number, round, base, candidate)| {
            let (from, to) = (metric.of(base), metric.of(candidate));
            let ratio = from.zip(to).map(|(from, to)| to / from);
            let valid = base.valid && candidate.valid;
            vec![
                format!("{number:.0}"),
                if round.base_first { "A" } else { "B" }.to_owned(),
                known(from, |value| metric.show(value)),
                known(to, |value| metric.show(value)),
                known(ratio, percent),
                if valid { "valid" } else { "INVALID" }.to_owned(),
            ]
        })
        .collect();
    let panel = Panel {
        x,
        y,
        marks,
        height: 460,
    };
    let about = "Each round is a pair of runs next to each other in time. The axis does not begin \
                 at 0.";
    let header = ["round", "first", "A", "B", "B against A", "runs"];
    let chart = Chart::new(
        format!("Rounds: {}", metric.title()),
        about,
        &[panel],
        &header,
        table,
    )?;
    let mut legend = vec![
        (BASE, format!("{} (dot)", Which::Base.in_words())),
        (
            CANDIDATE,
            format!("{} (diamond)", Which::Candidate.in_words()),
        ),
    ];
    if pairs.iter().any(|(_, _, a, b)| !(a.valid && b.valid)) {
        legend.push((Ink::Bad, "INVALID: not to be quoted".to_owned()));
    }
    Ok(Some(chart.with_legend(legend)))
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

/// The section's text and charts.
pub(super) fn show(section: &Section<'_>) -> Markup {
    let record = section.record;
    let class = |bad: bool| if bad { "mark bad" } else { "" };
    let slower = record
        .metrics
        .iter()
        .any(|one| one.change == Change::Slower);
    let failed = |outcome| outcome == GateOutcome::Failed;
    let any_failed = record.gates.iter().any(|gate| failed(gate.outcome));
    html! {
        h2 { "Comparison: " (section.file) }
        p class="verdict" { span class=(class(slower || !record.valid)) { (headline(record)) } }
        @if let Some(gates) = gates(record) {
            p { span class=(class(any_failed)) { (gates) } }
        }
        dl {
            dt { "A (base)" } dd { code { (side(&record.base)) } }
            dt { "B (candidate)" } dd { code { (side(&record.candidate)) } }
            dt { "Compared" } dd {
                @if record.differences.is_empty() { "nothing is set differently" }
                @for (place, one) in record.differences.iter().enumerate() {
                    @if place > 0 { ", " }
                    (one.field) " " code { (one.base) } " → " code { (one.candidate) }
                }
            }
            dt { "Rounds" } dd { (record.rounds.len()) ", " (stopped(record.stopped)) }
        }
        @if record.valid { (metric_table("Metrics", ["A (base)", "B (candidate)", "B ÷ A"], &record.metrics)) }
        @for one in &record.not_compared {
            p { (one.metric.title()) " " (UNKNOWN) ": " (one.why) "." }
        }
        @if !record.gates.is_empty() {
            h3 { "Gates" }
            div class="scroll" tabindex="0" role="region" aria-label="Gates" { table {
                thead { tr { @for name in ["gate", "result", "found"] {
                    th scope="col" class="words" { (name) }
                } } }
                tbody { @for gate in &record.gates { tr {
                    td { code { (gate.gate) } }
                    td class="words" { span class=(class(failed(gate.outcome))) {
                        (outcome(gate.outcome))
                    } }
                    td class="wrap" { (gate.message) }
                } } }
            } }
        }
        @if !record.noise_floor.is_empty() {
            h3 { "Noise floor: runs of the same side held against each other" }
            div class="scroll" tabindex="0" role="region" aria-label="Noise floor" { table {
                thead { tr { @for name in [
                    "metric", "pairs", "typical difference", "smallest effect seen",
                ] { th scope="col" { (name) } } } }
                tbody { @for floor in &record.noise_floor { tr {
                    td { (floor.metric.with_unit()) }
                    td { (floor.pairs) }
                    td { (share(floor.typical)) }
                    td { (known(floor.smallest_effect, share)) }
                } } }
            } }
        }
        @if let Some(calibration) = &record.calibration {
            h3 { "Calibration: one side compared with itself" }
            p { code { (calibration.label) } " in " (calibration.rounds) " rounds. Whatever differs \
                here, the machine does." }
            (metric_table("Calibration", ["first", "second", "ratio"], &calibration.metrics))
        }
        @if !section.charts.is_empty() {
            div class="charts" { @for chart in &section.charts { (figure(chart)) } }
        }
    }
}

fn metric_table(what: &str, columns: [&str; 3], metrics: &[MetricComparison]) -> Markup {
    html! { @if !metrics.is_empty() {
        div class="scroll" tabindex="0" role="region" aria-label=(what) { table {
            thead { tr {
                th scope="col" { "metric" }
                @for name in columns.iter().chain(&["interval", "confidence"]) {
                    th scope="col" { (name) }
                }
                th scope="col" class="words" { "verdict" }
            } }
            tbody { @for one in metrics { tr {
                td { (one.metric.with_unit()) }
                td { (one.metric.show(one.base.median)) }
                td { (one.metric.show(one.candidate.median)) }
                td { (format!("{:.3}", one.ratio)) " (" (percent(one.ratio)) ")" }
                td { (format!("{:.3} to {:.3}", one.low, one.high)) }
                td { (level(one.confidence)) }
                td class="words" {
                    span class=(if one.change == Change::Slower { "mark bad" } else { "" }) {
                        (change(one.change))
                    }
                }
            } } }
        } }
    } }
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
