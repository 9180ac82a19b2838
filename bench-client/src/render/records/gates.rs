//! What gates came to.

use super::repetitions::of_all_runs;
use crate::figures::counted;
use crate::record::comparison::{GateOutcome, GateResult, Metric};
use crate::record::load_record::Shown;
use crate::render::document::{Facts, Line, Tone};

/// How a gate ended, in a word.
#[must_use]
pub(super) const fn outcome(outcome: GateOutcome) -> &'static str {
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

/// What gates are about.
pub(super) fn metrics(gates: &[GateResult]) -> Vec<Metric> {
    gates.iter().map(|gate| gate.metric).collect()
}

/// How a gate ended, as a name of what is said of it.
pub(super) fn marked(gate: &GateResult) -> Line {
    Line::default().mark(tone_of_gate(gate.outcome), outcome(gate.outcome))
}

/// A gate by the row that was held against it, where there are several. `rows` are those of its
/// record.
pub(in crate::render) fn named(gate: &GateResult, rows: &[Shown<'_>]) -> String {
    let first = gate.rows.first().and_then(|place| rows.get(*place));
    match first.filter(|_| rows.len() > gate.rows.len()) {
        Some(shown) => format!("{}, {}", gate.gate, of_all_runs(shown.label)),
        None => gate.gate.clone(),
    }
}

/// What a gate came to, in a line.
pub(super) fn said(gate: &GateResult, rows: &[Shown<'_>]) -> String {
    format!("{}: {}", named(gate, rows), gate.message)
}

/// What the gates of a record came to; of many, those that passed are counted.
pub(super) fn facts(gates: &[GateResult], rows: &[Shown<'_>]) -> Facts {
    let mut facts = Facts::default();
    let passed = |gate: &&GateResult| gate.outcome == GateOutcome::Passed;
    let is_short = gates.len() <= GATES_MAX;
    for gate in gates.iter().filter(|gate| is_short || !passed(gate)) {
        facts.add(marked(gate), said(gate, rows));
    }
    let count = gates.iter().filter(passed).count() as u64;
    let name = Line::default().mark(Tone::Good, outcome(GateOutcome::Passed));
    let all = (!is_short && count > 0).then(|| counted(count, "gate"));
    facts.add_known(name, all);
    facts
}

/// Most gates that are said one by one although they passed.
const GATES_MAX: usize = 4;
