//! The end of a comparison, as a person reads it: the conclusion, the figures of both sides, and
//! what each gate came to. Everything else is in [`comparison`](super::comparison).

use std::path::Path;

use super::comparison::{alike, below_metrics, in_turn, invalid, metrics_of, notes, side};
use super::comparison_headline::{headline, listed, tone_of};
use super::gates;
use super::words::joined;
use crate::figures::known;
use crate::record::comparison::ComparisonRecord;
use crate::record::sides::Which;
use crate::render::document::{Document, Facts, Line, Tone};
use crate::render::ratios::effect;

/// Most differences of the sides, and most invalid runs, that are said one by one.
const LISTED_MAX: usize = 3;

/// The end of a comparison. `path` is where the record is, if it stays.
#[must_use]
pub fn closing(record: &ComparisonRecord, path: Option<&Path>) -> Document {
    let mut document = Document::default();
    document.say(Line::default().mark(tone_of(record), headline(record)));
    let mut sides = Facts::default();
    for (which, one) in [
        (Which::Base, &record.base),
        (Which::Candidate, &record.candidate),
    ] {
        sides.add(which.in_words(), Line::default().code(side(one)));
    }
    let differ = record.differences.iter().take(LISTED_MAX);
    let differ: Vec<String> = differ
        .map(|one| format!("{} {} → {}", one.field, one.base, one.candidate))
        .collect();
    let others = record.differences.len().saturating_sub(LISTED_MAX);
    let others = (others > 0).then(|| format!("{others} more"));
    let differ = if differ.is_empty() {
        alike(record).to_owned()
    } else {
        differ.join(", ")
    };
    sides.add(
        "measured",
        joined(" · ", [Some(in_turn(record)), Some(differ), others]),
    );
    document.facts(sides);
    if record.valid && !record.metrics.is_empty() {
        document.table(metrics_of(record));
    }
    document.list(below_metrics(record));
    document.facts(found(record, path));
    document
}

fn found(record: &ComparisonRecord, path: Option<&Path>) -> Facts {
    let mut facts = Facts::default();
    for one in invalid(&record.rows).into_iter().take(LISTED_MAX) {
        facts.add(Line::default().mark(Tone::Bad, "INVALID"), one);
    }
    let floors = record.noise_floor.iter();
    let seen: Vec<String> = floors
        .filter(|floor| floor.smallest_effect.is_some())
        .map(|floor| {
            format!(
                "{} {}",
                floor.metric.title(),
                known(floor.smallest_effect, effect)
            )
        })
        .collect();
    if !seen.is_empty() {
        let what = "differences below these would not be seen";
        facts.add("noise", format!("{what}: {}", seen.join(", ")));
    }
    if let Some(one) = &record.calibration {
        let what = format!("{} against itself in {} rounds", one.label, one.rounds);
        facts.add("machine", format!("{what}: {}", listed(&one.metrics)));
    }
    for gate in &record.gates {
        facts.add(gates::marked(gate), gates::said(gate, &[]));
    }
    let mut notes = notes(record).into_iter();
    if let Some(first) = notes.next() {
        facts.add(Line::default().mark(Tone::Warn, "warning"), first);
    }
    let others = notes.count();
    facts.add_known(
        "",
        (others > 0).then(|| format!("and {others} more; -v says all")),
    );
    facts.add_known("record", path.map(|path| path.display().to_string()));
    facts
}
