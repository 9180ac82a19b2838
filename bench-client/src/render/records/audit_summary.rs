//! The end of an audit of durability, as a person reads it: the verdict, what was seen of each
//! check, and what follows. Everything else is in [`audit`](super::audit).

use std::path::Path;

use super::audit::meaning;
use crate::record::durability::{
    AuditRecord, CheckKind, CheckOutcome, DurabilityVerdict, WatchedWith,
};
use crate::render::document::{Document, Facts, Line, Tone};

/// The end of an audit. `path` is where the record is, if it stays.
#[must_use]
pub fn closing(record: &AuditRecord, path: Option<&Path>) -> Document {
    let mut facts = Facts::default();
    let tone = match record.verdict {
        DurabilityVerdict::Durable => Tone::Good,
        DurabilityVerdict::NotDurable | DurabilityVerdict::Fake => Tone::Bad,
        DurabilityVerdict::CannotTell => Tone::Warn,
    };
    let declared = record.target.durability.as_deref();
    let declared = declared.map_or_else(String::new, |mode| format!(", durability {mode}"));
    facts.add(
        Line::default().mark(tone, record.verdict.as_str().to_uppercase()),
        Line::default()
            .strong(record.target.name.clone())
            .plain(declared),
    );
    for check in &record.checks {
        let line = Line::default();
        let line = match check.outcome {
            CheckOutcome::Passed => line,
            CheckOutcome::Failed => line.mark(Tone::Bad, "FAILED").plain(" "),
            CheckOutcome::ShowsNothing | CheckOutcome::Skipped => {
                line.mark(Tone::Warn, check.outcome.in_words()).plain(": ")
            }
        };
        facts.add(name(check.check), line.plain(check.message.clone()));
    }
    facts.add("so", meaning(record.verdict).trim_start_matches("so "));
    let counters = match (record.watched_with, &record.not_traced) {
        (WatchedWith::Strace, _) => None,
        (WatchedWith::Counters, None) => Some("the counters of processes and device".to_owned()),
        (WatchedWith::Counters, Some(why)) => {
            Some(format!("the counters of processes and device: {why}"))
        }
    };
    facts.add_known("seen by", counters);
    if record.interrupted {
        facts.add(
            Line::default().mark(Tone::Warn, "warning"),
            "interrupted before all was checked",
        );
    }
    facts.add_known("kept", record.kept.clone());
    facts.add_known("record", path.map(|path| path.display().to_string()));
    let mut document = Document::default();
    document.facts(facts);
    document
}

/// The verdict alone.
#[must_use]
pub fn in_a_line(record: &AuditRecord) -> String {
    format!(
        "{}  {}",
        record.verdict.as_str().to_uppercase(),
        record.target.name
    )
}

/// A check in a word or two.
const fn name(check: CheckKind) -> &'static str {
    match check {
        CheckKind::SyncedBeforeAnswer => "synced",
        CheckKind::SlowedSync => "slow sync",
        CheckKind::FailedSync => "failed sync",
        CheckKind::SharedSyncs => "shared syncs",
        CheckKind::Restart => "kill -9",
        CheckKind::Counters => "counters",
    }
}
