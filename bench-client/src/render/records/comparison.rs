//! A comparison: the conclusion first, then what it rests on.

use super::environment;
use super::words::{closed_loop, verdict_on};
use crate::figures::{UNKNOWN, known};
use crate::record::comparison::{
    Calibration, Change, ComparisonRecord, Difference, GateOutcome, GateResult, Metric,
    MetricComparison, NoiseFloor, Side, Stopped,
};
use crate::record::sides::Which;
use crate::record::{Row, Verdict};
use crate::render::charts;
use crate::render::document::{Block, Depth, Document, Facts, Line, Table, Tone};
use crate::render::ratios::{change, level, percent, rounds, share};

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
        document.append(both_sides(record));
        document.say(format!(
            "Medians of the runs. Each interval of B ÷ A holds with {}, corrected for looking at \
             {} metrics.",
            level(first.confidence),
            record.metrics.len()
        ));
    }
    let not_compared = record.not_compared.iter();
    let why = |title: &str, why: &str| format!("{title} {UNKNOWN}: {why}.").into();
    document.list(
        not_compared
            .map(|one| why(one.metric.title(), &one.why))
            .collect(),
    );
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

/// Knobs of the load, as differences name them: with more in flight or more arrivals every
/// transfer waits longer, which says nothing of the server.
const LOAD: [&str; 3] = ["concurrency", "inflight", "rate"];

/// Those of them that were turned; `None` where both sides were loaded alike.
fn load_knobs(record: &ComparisonRecord) -> Option<String> {
    let differences = record.differences.iter();
    let loads = differences.filter(|one| LOAD.contains(&one.field.as_str()));
    let each = loads.map(|one| format!("{} {} → {}", one.field, one.base, one.candidate));
    let each = each.collect::<Vec<_>>().join(", ");
    (!each.is_empty()).then_some(each)
}

/// Whether a change of this is better or worse: not latency of sides that were loaded differently.
pub(in crate::render) fn is_judged(record: &ComparisonRecord, metric: Metric) -> bool {
    metric == Metric::Tps || load_knobs(record).is_none()
}

/// The metrics of both sides, and what is said where these were loaded differently.
pub(super) fn both_sides(record: &ComparisonRecord) -> Document {
    let columns = [Which::Base, Which::Candidate].map(Which::in_words);
    let is_judged = |metric| is_judged(record, metric);
    let mut document = Document::default();
    document.table(metrics(
        "Metrics",
        columns,
        "B ÷ A",
        &record.metrics,
        is_judged,
    ));
    if let Some(knobs) = load_knobs(record) {
        document.say(format!(
            "The sides differ in load ({knobs}): latency follows from that, so TPS alone is judged."
        ));
    }
    document
}

/// How the conclusion is coloured: green says that something became faster and nothing slower.
pub(super) fn tone_of(record: &ComparisonRecord) -> Tone {
    let judged = |one: &&MetricComparison| is_judged(record, one.metric);
    let has = |wanted| {
        let mut metrics = record.metrics.iter().filter(judged);
        metrics.any(|one| one.change == wanted)
    };
    if !record.valid || has(Change::Slower) {
        Tone::Bad
    } else if has(Change::Faster) {
        Tone::Good
    } else {
        Tone::Plain
    }
}

fn metrics(
    name: &str,
    sides: [&str; 2],
    ratio: &str,
    metrics: &[MetricComparison],
    is_judged: impl Fn(Metric) -> bool,
) -> Table {
    let confidence = metrics.first().map_or(0.0, |one| one.confidence);
    Table::of(name, metrics)
        .words(0, "metric", |one| one.metric.with_unit())
        .number(2, sides[0], |one| one.metric.show(one.base.median))
        .number(2, sides[1], |one| one.metric.show(one.candidate.median))
        .number(0, ratio, |one| {
            format!("{:.3} ({})", one.ratio, percent(one.ratio))
        })
        .number(1, format!("{} interval", level(confidence)), |one| {
            format!("{:.3} to {:.3}", one.low, one.high)
        })
        .words(0, "verdict", |one| {
            let line = Line::default();
            match one.change {
                Change::Slower | Change::Faster if !is_judged(one.metric) => {
                    unjudged(one.ratio).into()
                }
                Change::Slower => line.mark(Tone::Bad, change(one.change)),
                Change::Faster => line.mark(Tone::Good, change(one.change)),
                Change::NoDifference { .. } | Change::Inconclusive { .. } => {
                    change(one.change).into()
                }
            }
        })
        .into()
}

/// A change of what is not judged.
pub(in crate::render) fn unjudged(ratio: f64) -> &'static str {
    if ratio > 1.0 { "higher" } else { "lower" }
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
        facts.add(
            "compared",
            "nothing is set differently: both sides are alike",
        );
    }
    let runs = format!("{}; {}", in_turn(record), stopped(record.stopped));
    facts.add("runs", runs);
    facts
}

/// How many runs there were of either side, and how long each was.
pub(super) fn in_turn(record: &ComparisonRecord) -> String {
    let count = match (&record.base.baseline, record.metrics.first()) {
        (None, _) => match record.rounds.len() {
            1 => "1 round of both sides".to_owned(),
            rounds => format!("{rounds} rounds of both sides in turn"),
        },
        (Some(_), metric) => {
            let count = |of: fn(&MetricComparison) -> u32| metric.map_or(0, of);
            format!(
                "{} recorded, {} measured now",
                count(|metric| metric.base.count),
                count(|metric| metric.candidate.count)
            )
        }
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
            .number(0, "typical difference", |floor| share(floor.typical))
            .number(0, "smallest effect seen", |floor| {
                known(floor.smallest_effect, share)
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
        ["first", "second"],
        "ratio",
        &calibration.metrics,
        |_| true,
    ));
    document
}

/// What the runs that were measured now say about themselves, each thing once.
pub(super) fn notes(record: &ComparisonRecord) -> Vec<String> {
    let recorded = match (&record.base.baseline, record.metrics.first()) {
        (Some(_), Some(metric)) => metric.base.count as usize,
        _ => 0,
    };
    let rows = record.rows.get(recorded..).unwrap_or_default();
    let mut found: Vec<(&Verdict, usize)> = Vec::new();
    for verdict in rows.iter().flat_map(|row| &row.verdicts) {
        match found.iter_mut().find(|(same, _)| same.code == verdict.code) {
            Some((_, count)) => *count += 1,
            None => found.push((verdict, 1)),
        }
    }
    let all = rows.len();
    let said = found.into_iter();
    let said = said.map(|(verdict, count)| format!("{count} of {all} runs: {}.", verdict.message));
    said.collect()
}

/// How a gate ended.
#[must_use]
pub const fn outcome(outcome: GateOutcome) -> &'static str {
    match outcome {
        GateOutcome::Failed => "FAILED",
        GateOutcome::Passed => "passed",
        GateOutcome::Undecided => "undecided",
    }
}

pub(super) const fn tone_of_gate(outcome: GateOutcome) -> Tone {
    match outcome {
        GateOutcome::Failed => Tone::Bad,
        GateOutcome::Passed => Tone::Good,
        GateOutcome::Undecided => Tone::Warn,
    }
}

/// Why no further round was measured.
#[must_use]
pub const fn stopped(why: Stopped) -> &'static str {
    match why {
        Stopped::Rounds => "all rounds that were asked for",
        Stopped::Precision => "until the asked precision was reached",
        Stopped::TimeLimit => "until the time was over",
        Stopped::Interrupted => "stopped from outside",
        Stopped::Invalid => "stopped by an invalid run",
    }
}

/// What is said of the metrics with such a change: `TPS -9.8 %, p99 +11.2 %`.
pub(super) fn listed(metrics: &[&MetricComparison]) -> String {
    let each = metrics
        .iter()
        .map(|one| format!("{} {}", one.metric.title(), percent(one.ratio)));
    each.collect::<Vec<_>>().join(", ")
}

/// The conclusion in one line.
#[must_use]
pub fn headline(record: &ComparisonRecord) -> String {
    let invalid = record.rows.iter().filter(|row| !row.valid).count();
    if !record.valid {
        return format!(
            "INVALID: {invalid} of {} runs cannot be trusted, so nothing is concluded",
            record.rows.len()
        );
    }
    if record.metrics.is_empty() {
        return match (record.not_compared.first(), record.stopped) {
            (Some(first), _) => format!("Nothing was compared: {}", first.why),
            // As a record has it while rounds are measured.
            (None, Stopped::Interrupted) => format!(
                "Unfinished, {} so far: it is still running, or was stopped from outside",
                rounds(u32::try_from(record.rounds.len()).unwrap_or(u32::MAX))
            ),
            (None, why) => format!("Nothing was compared: {}", stopped(why)),
        };
    }

    let with = |wanted: fn(&Change) -> bool| -> Vec<&MetricComparison> {
        let metrics = record.metrics.iter();
        let judged = metrics.filter(|one| is_judged(record, one.metric));
        judged.filter(|one| wanted(&one.change)).collect()
    };
    let slower = with(|change| matches!(change, Change::Slower));
    let faster = with(|change| matches!(change, Change::Faster));
    let open = with(|change| matches!(change, Change::Inconclusive { .. }));
    let said = match (slower.is_empty(), faster.is_empty()) {
        (false, true) => format!("Slower: {}", listed(&slower)),
        (true, false) => format!("Faster: {}", listed(&faster)),
        (false, false) => format!(
            "Mixed: slower in {}; faster in {}",
            listed(&slower),
            listed(&faster)
        ),
        (true, true) if open.is_empty() => {
            let within = record.metrics.iter().filter_map(|one| match one.change {
                Change::NoDifference { within } => Some(within),
                _ => None,
            });
            format!(
                "No difference larger than {}",
                share(within.fold(0.0, f64::max))
            )
        }
        (true, true) => {
            let names: Vec<&str> = open.iter().map(|one| one.metric.title()).collect();
            let more = open.iter().filter_map(|one| match one.change {
                Change::Inconclusive { more_rounds } => more_rounds,
                _ => None,
            });
            let remedy = more.max().map_or_else(String::new, |more| {
                format!(" (about {} more)", rounds(more))
            });
            format!("Inconclusive in {}{remedy}", names.join(", "))
        }
    };
    let others = record.metrics.iter();
    let others: Vec<_> = others
        .filter(|one| !is_judged(record, one.metric))
        .collect();
    match load_knobs(record) {
        Some(knobs) if !others.is_empty() => format!("{said}; {} with {knobs}", listed(&others)),
        _ => said,
    }
}

/// How the gates ended, in one line; `None` without gates.
#[must_use]
pub fn gates(record: &ComparisonRecord) -> Option<String> {
    let count = |outcome| {
        let gates = record.gates.iter();
        gates.filter(|gate| gate.outcome == outcome).count()
    };
    let all = record.gates.len();
    let failed = count(GateOutcome::Failed);
    let undecided = count(GateOutcome::Undecided);
    let rest = if undecided > 0 {
        format!(", {undecided} undecided")
    } else {
        String::new()
    };
    match (all, failed) {
        (0, _) => None,
        (_, 0) => Some(format!(
            "no gate failed: {} of {all} passed{rest}",
            count(GateOutcome::Passed)
        )),
        (_, failed) => Some(format!("{failed} of {all} gates FAILED{rest}")),
    }
}

/// A side with where its figures are from.
#[must_use]
pub fn side(side: &Side) -> String {
    match &side.baseline {
        Some(baseline) => format!("{} (baseline {baseline})", side.label),
        None => side.label.clone(),
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
        assert_eq!(share(0.021), "2.1 %");
        assert_eq!(share(0.0042), "0.42 %");
        assert_eq!(level(0.9875), "98.75 %");
        assert_eq!(level(0.95), "95 %");
    }

    #[test]
    fn a_change_says_what_it_would_take() {
        let inconclusive = |more_rounds| change(Change::Inconclusive { more_rounds });
        assert_eq!(inconclusive(None), "inconclusive");
        assert_eq!(inconclusive(Some(1)), "inconclusive: about 1 round more");
        assert_eq!(inconclusive(Some(9)), "inconclusive: about 9 rounds more");
        let same = change(Change::NoDifference { within: 0.02 });
        assert_eq!(same, "no difference larger than 2.0 %");
    }
}
