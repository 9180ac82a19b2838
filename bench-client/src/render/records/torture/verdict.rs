//! What follows from an audit, in one line.

use crate::record::crash_states::StateCounts;
use crate::record::torture::{Counts, FindingKind, Found, TortureRecord};
use crate::record::with_apply;

/// Whether anything was lost, or everything that failed, each class with its count.
pub(super) fn verdict(record: &TortureRecord) -> String {
    let cut_short = if record.interrupted {
        " (interrupted before all was done)"
    } else {
        ""
    };
    let server = &record.server;
    let said = server.durability.as_deref().unwrap_or("unknown");
    let said = with_apply(said, server.apply.as_deref());
    let acknowledged = record.counts.acknowledged;
    let states = record.crash_states.as_ref().map(|states| states.counts);
    let states = states.filter(|states| states.states > 0);
    let has_cycles = !record.cycles.is_empty() || states.is_none();
    let mut parts = Vec::new();
    let word = if record.valid {
        if has_cycles {
            parts.push(format!(
                "{acknowledged} acknowledged transfers are all there, once"
            ));
        }
        if let Some(states) = states {
            parts.push(format!(
                "all {} crash states have what was acknowledged by then, once",
                states.states
            ));
        }
        "NOTHING LOST"
    } else {
        if has_cycles {
            let failed = failed(record);
            parts.push(match &failed[..] {
                [] => format!("nothing wrong with {acknowledged} acknowledged"),
                failed => format!("{} ({acknowledged} acknowledged)", failed.join(", ")),
            });
        }
        parts.extend(states.map(|states| of_states(&states)));
        "FAILED"
    };
    let parts = parts.join("; ");
    format!("{word}: {parts}, with durability {said}{cut_short}")
}

/// The classes that make the cycles fail, each with its count: of transfers where these are
/// counted, else of findings.
fn failed(record: &TortureRecord) -> Vec<String> {
    let transfers = |kind| {
        let Counts {
            lost,
            applied_twice,
            gaps,
            refused_present,
            unexplained,
            ..
        } = record.counts;
        match kind {
            FindingKind::Lost => lost,
            FindingKind::AppliedTwice => applied_twice,
            FindingKind::Gap => gaps,
            FindingKind::RefusedPresent => refused_present,
            FindingKind::Unexplained => unexplained,
            _ => 0,
        }
    };
    let failing = record.found.iter().filter(|found| found.failing > 0);
    let mut classes: Vec<_> = failing
        .map(|Found { kind, failing, .. }| (*kind, transfers(*kind).max(*failing)))
        .collect();
    classes.sort_unstable();
    let words = classes.iter();
    words
        .map(|(kind, count)| format!("{count} {}", kind.as_str()))
        .collect()
}

pub(super) fn of_states(counts: &StateCounts) -> String {
    let StateCounts {
        states,
        lost,
        twice,
        gaps,
        torn,
        integrity,
        early_answers,
        unsynced_answers,
        ..
    } = *counts;
    let classes = [
        (lost, "have lost acknowledged transfers"),
        (twice, "applied something twice"),
        (gaps, "have gaps"),
        (torn, "have a torn transfer"),
        (integrity, "are unsound"),
    ];
    let bad = classes.into_iter().filter(|(count, _)| *count > 0);
    let mut parts: Vec<_> = bad
        .map(|(count, what)| format!("{count} of {states} crash states {what}"))
        .collect();
    let early = early_answers.max(unsynced_answers);
    if early > 0 {
        parts.push(format!("{early} answers were too early"));
    }
    if parts.is_empty() {
        parts.push(format!("nothing wrong with {states} crash states"));
    }
    parts.join(", ")
}
