//! What follows from an audit, in a line.

use crate::figures::{counted, grouped};
use crate::record::crash_states::StateCounts;
use crate::record::torture::{Counts, FindingKind, Found, TortureRecord};
use crate::record::with_apply;

/// What follows, in two words.
pub(in crate::render) fn word(record: &TortureRecord) -> &'static str {
    match (record.valid, record.shows_nothing()) {
        (true, false) => "NOTHING LOST",
        (true, true) => "CANNOT TELL",
        (false, _) => "FAILED",
    }
}

/// That nothing was lost, or everything that failed, each class with its count.
pub(in crate::render) fn found(record: &TortureRecord) -> String {
    let cut_short = if record.interrupted {
        " (interrupted before all was done)"
    } else {
        ""
    };
    let server = &record.server;
    let said = server.durability.as_deref().unwrap_or("unknown");
    let said = with_apply(said, server.apply.as_deref());
    let acknowledged = grouped(record.counts.acknowledged);
    let states = record.crash_states.as_ref().map(|states| states.counts);
    let states = states.filter(|states| states.states > 0);
    let has_cycles = !record.cycles.is_empty() || states.is_none();
    let mut parts = Vec::new();
    if record.valid {
        if record.shows_nothing() {
            parts.push("nothing was acknowledged, so nothing could be lost".to_owned());
        } else if has_cycles {
            parts.push(format!(
                "{acknowledged} acknowledged transfers are all there, once"
            ));
        }
        if let Some(states) = states {
            parts.push(format!(
                "all {} crash states have what was acknowledged by then, once",
                grouped(states.states)
            ));
        }
    } else {
        if has_cycles {
            let failed = failed(record);
            parts.push(match &failed[..] {
                [] => format!("nothing wrong with {acknowledged} acknowledged"),
                failed => format!("{} ({acknowledged} acknowledged)", failed.join(", ")),
            });
            parts.extend(unverified(record));
        }
        parts.extend(states.map(|states| of_states(&states)));
    }
    let untested = if record.valid && !record.shows_nothing() && !record.has_cut_power() {
        "; no power cut was tested"
    } else {
        ""
    };
    let parts = parts.join("; ");
    format!("{parts}, with durability {said}{untested}{cut_short}")
}

/// How many transfers were acknowledged of which nothing can be said.
fn unverified(record: &TortureRecord) -> Option<String> {
    let Counts {
        acknowledged,
        unverified,
        ..
    } = record.counts;
    let of = match acknowledged - unverified.min(acknowledged) {
        0 => "all".to_owned(),
        _ => format!("{} of the", grouped(unverified)),
    };
    let acknowledged = grouped(acknowledged);
    (unverified > 0).then(|| {
        format!("whether {of} {acknowledged} acknowledged transfers are lost cannot be known")
    })
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
        .map(|(kind, count)| format!("{} {}", grouped(*count), kind.as_str()))
        .collect()
}

/// What is wrong with crash states.
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
    let all = counted(states, "crash state");
    let classes = [
        (lost, "have lost acknowledged transfers"),
        (twice, "applied something twice"),
        (gaps, "have gaps"),
        (torn, "have a torn transfer"),
        (integrity, "are unsound"),
    ];
    let bad = classes.into_iter().filter(|(count, _)| *count > 0);
    let mut parts: Vec<_> = bad
        .map(|(count, what)| format!("{} of {all} {what}", grouped(count)))
        .collect();
    let early = early_answers.max(unsynced_answers);
    if early > 0 {
        let early = grouped(early);
        parts.push(format!("{early} answers were too early"));
    }
    if parts.is_empty() {
        parts.push(format!("nothing wrong with {all}"));
    }
    parts.join(", ")
}
