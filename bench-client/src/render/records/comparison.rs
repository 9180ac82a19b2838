//! A comparison: the conclusion first, then what it rests on.

use std::collections::BTreeMap;

use super::comparison_headline::{gates, headline, stopped, tone_of};
use super::environment;
use super::gates::{outcome, tone_of_gate};
use super::row::describe_knobs;
use super::unlike_loads::{is_judged, load_knobs, unjudged};
use super::words::{audited, closed_loop, verdict_on};
use crate::figures::{UNKNOWN, counted, known};
use crate::record::comparison::{
    Calibration, Change, ComparisonRecord, Difference, GateOutcome, GateResult, Metric,
    MetricComparison, NoiseFloor, NotCompared, Side, Stopped,
};
use crate::record::sides::{Which, runs_of, side_of};
use crate::record::{Row, Verdict};
use crate::render::charts;
use crate::render::document::{Block, Depth, Document, Facts, Line, Table, Tone};
use crate::render::ratios::{change, effect, level, more, percent, share, times};

/// The hidden first line of a comment, by which a script finds the one that it is to replace.
pub const MARKER: &str = "<!-- bench-client compare -->";

/// All of it.
#[must_use]
pub fn document(record: &ComparisonRecord) -> Document {
    let mut document = Document::new("Comparison");
    document.push(Block::Marker(MARKER));
    document.verdict(Line::default().mark(tone_of(record), headline(record)));
    if let Some(gates) = gates(record) {
        let failed = record
            .gates
            .iter()
            .any(|gate| gate.outcome == GateOutcome::Failed);
        document.conclude(if failed {
            Line::default().mark(Tone::Bad, gates)
        } else {
            Line::default().strong(gates)
        });
    }
    if record.valid
        && let Some(first) = record.metrics.first()
    {
        document.table(metrics_of(record));
        let of_pairs = match record.base.baseline {
            None => "B ÷ A is estimated from the two runs of each round, and not B's median ÷ A's",
            Some(_) => "The two were not measured in turn",
        };
        let promise = if first.confidence > 0.0 {
            format!(
                " Each interval of B ÷ A holds with {}, corrected for looking at {} metrics.",
                level(first.confidence),
                Metric::ALL.len()
            )
        } else {
            String::new()
        };
        document.say(format!(
            "A and B are medians of the runs. {of_pairs}.{promise}"
        ));
    }
    document.list(below_metrics(record));
    document.list(invalid(&record.rows));
    document.facts(facts(record));
    document.table(gate_table(&record.gates));
    document.list(notes(record).into_iter().map(Line::from).collect());
    match record.noise_floor.as_slice() {
        [] => {
            document.say("Noise floor: not known, too few runs of the same side.");
        }
        floors => {
            document.fold(noise(floors), Depth::Folded);
        }
    }
    if let Some(calibration) = &record.calibration {
        document.fold(calibrated(calibration), Depth::Folded);
    }
    document.pictures(
        "Ratios and rounds",
        charts::comparison::charts(record).collect(),
    );
    let mut measured = Document::new("Machine, program and command");
    measured.facts(environment::facts(&record.environment));
    if record.rows.iter().any(|row| row.open_loop.is_none()) {
        measured.say(closed_loop());
    }
    document.fold(measured, Depth::Later);
    document
}

/// What the figures' columns are called: of pairs the ratio is no quotient of the medians.
pub(super) fn metrics_of(record: &ComparisonRecord) -> Table {
    let ratio = match record.base.baseline {
        None => "B ÷ A, paired",
        Some(_) => "B ÷ A",
    };
    let sides = ["A, median", "B, median"];
    metrics(
        "Metrics",
        sides,
        ratio,
        &record.metrics,
        &record.not_compared,
        |metric| is_judged(record, metric),
    )
}

fn metrics(
    name: &str,
    sides: [&str; 2],
    ratio: &str,
    found: &[MetricComparison],
    not_compared: &[NotCompared],
    is_judged: impl Fn(Metric) -> bool,
) -> Table {
    let rows: Vec<(Metric, Option<&MetricComparison>)> = Metric::ALL
        .into_iter()
        .map(|metric| (metric, found.iter().find(|one| one.metric == metric)))
        .filter(|(metric, one)| {
            one.is_some() || not_compared.iter().any(|one| one.metric == *metric)
        })
        .collect();
    let confidence = found.first().map_or(0.0, |one| one.confidence);
    let interval = if confidence > 0.0 {
        format!("{} interval", level(confidence))
    } else {
        "interval".to_owned()
    };
    let shown = |one: Option<&MetricComparison>, show: &dyn Fn(&MetricComparison) -> String| {
        one.map_or_else(|| UNKNOWN.to_owned(), show)
    };
    // All of it fits 80 columns.
    Table::of(name, &rows)
        .words(0, "metric", |(metric, _)| metric.with_unit())
        .number(0, sides[0], |(metric, one)| {
            shown(*one, &|one| metric.show(one.base.median))
        })
        .number(0, sides[1], |(metric, one)| {
            shown(*one, &|one| metric.show(one.candidate.median))
        })
        .number(0, ratio, |(_, one)| {
            shown(*one, &|one| match one.ratio {
                // Beyond twice as much a percentage says less than the ratio.
                ratio if ratio >= 2.0 => times(ratio),
                ratio => format!("{} ({})", times(ratio), percent(ratio)),
            })
        })
        .number(1, interval, |(_, one)| {
            let one = one.filter(|one| one.confidence > 0.0);
            shown(one, &|one| {
                format!("{} to {}", times(one.low), times(one.high))
            })
        })
        .words(0, "verdict", |(metric, one)| {
            let line = Line::default();
            match one.map(|one| one.change) {
                Some(Change::Slower | Change::Faster) if !is_judged(*metric) => {
                    shown(*one, &|one| unjudged(one.ratio).to_owned()).into()
                }
                Some(Change::Slower) => line.mark(Tone::Bad, change(Change::Slower)),
                Some(Change::Faster) => line.mark(Tone::Good, change(Change::Faster)),
                Some(other) => change(other).into(),
                None => "not compared".into(),
            }
        })
        .into()
}

/// What belongs below the figures: what it takes to tell more, and why a metric is missing.
pub(super) fn below_metrics(record: &ComparisonRecord) -> Vec<Line> {
    let needed = record.metrics.iter().filter_map(|one| match one.change {
        Change::Inconclusive {
            more_rounds: Some(count),
        } => Some((count, one.metric.title())),
        _ => None,
    });
    let mut by_count: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for (count, metric) in needed {
        by_count.entry(count).or_default().push(metric);
    }
    let needed = by_count.iter();
    let needed = needed
        .map(|(count, metrics)| format!("{} for {}", more(*count, record), metrics.join(", ")));
    let needed: Vec<String> = needed.collect();
    // One count for all that is open is in the headline, where nothing changed.
    let changed = |one: &MetricComparison| matches!(one.change, Change::Faster | Change::Slower);
    let is_said = needed.len() == 1 && !record.metrics.iter().any(changed);
    let needed =
        (!needed.is_empty() && !is_said).then(|| format!("Inconclusive: {}.", needed.join("; ")));
    let missing = record.not_compared.iter();
    let missing = missing.map(|one| format!("{} {UNKNOWN}: {}.", one.metric.title(), one.why));
    let unlike = load_knobs(record).map(|knobs| {
        format!(
            "The sides differ in load ({knobs}): latency follows from that, so TPS alone is judged."
        )
    });
    let below = unlike.into_iter().chain(needed).chain(missing);
    let below = below.chain(imprecise(record));
    below.map(Line::from).collect()
}

/// That the precision that was asked for was not reached.
fn imprecise(record: &ComparisonRecord) -> Option<String> {
    let asked = record
        .precision
        .filter(|_| record.stopped == Stopped::TimeLimit)?;
    let counts = |metric: Metric| {
        metric == Metric::Tps || record.gates.iter().any(|gate| gate.metric == metric)
    };
    let widths = record.metrics.iter().filter(|one| counts(one.metric));
    let widths = widths.map(|one| format!("{} ± {}", one.metric.title(), share(one.half_width())));
    let reached = widths.collect::<Vec<_>>().join(", ");
    Some(format!(
        "--until-precision {} was not reached before the time was over: {reached}.",
        share(asked)
    ))
}

pub(super) fn invalid(rows: &[Row]) -> Vec<Line> {
    let numbered = (1..).zip(rows).flat_map(|(number, row)| {
        let verdicts = row.verdicts.iter().filter(|one| one.invalidates);
        verdicts.map(move |one| verdict_on(Some(&format!("run {number}")), one))
    });
    numbered.collect()
}

fn facts(record: &ComparisonRecord) -> Facts {
    let mut facts = Facts::default();
    for (which, one) in [
        (Which::Base, &record.base),
        (Which::Candidate, &record.candidate),
    ] {
        facts.add(which.in_words(), Line::default().code(side(one)));
    }
    let label = if record.base.baseline.is_some() {
        "unlike"
    } else {
        "compared"
    };
    for (place, one) in record.differences.iter().enumerate() {
        let line = Line::from(format!("{} ", one.field)).code(&one.base);
        facts.add(
            if place == 0 { label } else { "" },
            line.plain(" → ").code(&one.candidate),
        );
    }
    if record.differences.is_empty() {
        facts.add("compared", alike(record));
    }
    let knobs = [Which::Base, Which::Candidate].map(|which| {
        let row = runs_of(record, which).next()?;
        let audit = audited(row).map_or("not audited".to_owned(), |it| format!("audited: {it}"));
        Some(format!("{}; {audit}", describe_knobs(row)))
    });
    match knobs {
        [Some(base), Some(candidate)] if base == candidate => {
            facts.add("knobs", base);
        }
        [base, candidate] => {
            facts.add_known("knobs of A", base);
            facts.add_known("knobs of B", candidate);
        }
    }
    let runs = format!("{}; {}", in_turn(record), stopped(record.stopped));
    facts.add("runs", runs);
    facts
}

/// That no flag differs. What programs do with the same flags may, unless they are the same.
pub(super) fn alike(record: &ComparisonRecord) -> &'static str {
    if record.base.label == record.candidate.label {
        "nothing is set differently: both sides are alike"
    } else {
        "no flag is set differently; what the sides run may differ"
    }
}

/// How many runs there were of either side, and how long each was.
pub(super) fn in_turn(record: &ComparisonRecord) -> String {
    let runs = |which| {
        let count = runs_of(record, which).count();
        counted(u64::try_from(count).unwrap_or(u64::MAX), "run")
    };
    let [base, candidate] = [Which::Base, Which::Candidate].map(runs);
    let count = match (&record.base.baseline, &record.candidate.baseline) {
        (None, _) => match record.rounds.len() {
            1 => "1 round of both sides".to_owned(),
            rounds => format!("{rounds} rounds of both sides in turn"),
        },
        (Some(_), None) => format!("{base} recorded, {candidate} measured now"),
        (Some(_), Some(_)) => format!("{base} of A and {candidate} of B, recorded earlier"),
    };
    let seconds = record.rows.last().map_or(0.0, |row| row.seconds);
    format!("{count}, {seconds:.1} s each")
}

/// `batch-size: 1 (base), 4096 (candidate)`.
#[must_use]
pub fn describe_difference(difference: &Difference) -> String {
    let Difference {
        field,
        base,
        candidate,
    } = difference;
    format!("{field}: {base} (base), {candidate} (candidate)")
}

fn gate_table(gates: &[GateResult]) -> Table {
    Table::of("Gates", gates)
        .words(0, "gate", |gate| gate.gate.as_str())
        .words(0, "result", |gate| {
            // In a table what failed is to be found.
            let tone = Some(tone_of_gate(gate.outcome)).filter(|tone| *tone == Tone::Bad);
            Line::default().mark(tone.unwrap_or_default(), outcome(gate.outcome))
        })
        .prose(0, "found", |gate| gate.message.as_str())
        .into()
}

fn noise(floors: &[NoiseFloor]) -> Document {
    let mut document = Document::new(
        "Noise floor: by how much neighbouring runs of one side differ, and what can be seen",
    );
    document.table(
        Table::of("Noise floor", floors)
            .words(0, "metric", |floor| floor.metric.with_unit())
            .number(1, "pairs", |floor| floor.pairs)
            .number(0, "typical difference", |floor| {
                effect(floor.typical.exp_m1())
            })
            .number(0, "smallest effect seen", |floor| {
                known(floor.smallest_effect, effect)
            }),
    );
    if floors.iter().any(|floor| floor.smallest_effect.is_none()) {
        document.say(format!(
            "{UNKNOWN}: this comparison saw less than these runs let expect."
        ));
    }
    document
}

fn calibrated(calibration: &Calibration) -> Document {
    let mut document = Document::new("Calibration: one side compared with itself");
    document.say(Line::default().code(&calibration.label).plain(format!(
        " against itself in {} rounds. Whatever differs here, the machine does.",
        calibration.rounds
    )));
    document.table(metrics(
        "Calibration",
        ["first, median", "second, median"],
        "ratio, paired",
        &calibration.metrics,
        &[],
        |_| true,
    ));
    document
}

/// What the runs that were measured now say about themselves, each thing once.
pub(super) fn notes(record: &ComparisonRecord) -> Vec<String> {
    let is_recorded = |which| match which {
        Some(Which::Base) => record.base.baseline.is_some(),
        Some(Which::Candidate) => record.candidate.baseline.is_some(),
        None => false,
    };
    let rows = record.rows.iter().enumerate();
    let rows = rows.map(|(place, row)| (side_of(record, place), row));
    let rows: Vec<_> = rows.filter(|(which, _)| !is_recorded(*which)).collect();
    let mut found: Vec<(&Verdict, Vec<Option<Which>>, bool)> = Vec::new();
    for (which, row) in &rows {
        for verdict in &row.verdicts {
            match found
                .iter_mut()
                .find(|(same, ..)| same.code == verdict.code)
            {
                Some((first, sides, alike)) => {
                    sides.push(*which);
                    *alike &= first.message == verdict.message;
                }
                None => found.push((verdict, vec![*which], true)),
            }
        }
    }
    let said = found.into_iter().map(|(verdict, sides, alike)| {
        let count = |which| sides.iter().filter(|one| **one == Some(which)).count();
        let of = match (count(Which::Base), count(Which::Candidate)) {
            (0, 0) => String::new(),
            (_, 0) => " (all of A)".to_owned(),
            (0, _) => " (all of B)".to_owned(),
            (base, candidate) => format!(" ({base} of A, {candidate} of B)"),
        };
        let example = if alike { "" } else { "e.g. " };
        format!(
            "{} of {} runs{of}: {example}{}.",
            sides.len(),
            rows.len(),
            verdict.message
        )
    });
    said.collect()
}

/// A side with where its figures are from.
#[must_use]
pub fn side(side: &Side) -> String {
    match &side.baseline {
        Some(baseline) if *baseline != side.label => {
            format!("{} (baseline {baseline})", side.label)
        }
        _ => side.label.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_read_as_signed_percentages() {
        for (ratio, text) in [
            (0.902, "-9.8 %"),
            (1.0, "0.00 %"),
            (0.999_99, "0.00 %"),
            (1.004, "+0.40 %"),
            (1.5, "+50.0 %"),
        ] {
            assert_eq!(percent(ratio), text);
        }
        for (effect_size, text) in [
            (0.013, "1.3 %"),
            (0.5, "+50.0 % or -33.3 %"),
            (1.676, "2.68 times"),
        ] {
            assert_eq!(effect(effect_size), text);
        }
        assert_eq!(share(0.021), "2.1 %");
        assert_eq!(share(0.0042), "0.42 %");
        assert_eq!(level(0.9875), "98.75 %");
        assert_eq!(level(0.95), "95 %");
    }

    #[test]
    fn a_change_is_short() {
        let open = Change::Inconclusive {
            more_rounds: Some(9),
        };
        assert_eq!(change(open), "inconclusive");
        let same = change(Change::NoDifference { within: 0.02 });
        assert_eq!(same, "within 2.0 %");
    }
}
