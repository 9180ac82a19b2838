//! An audit of durability: the verdict, a line per check, what it means.

use crate::record::durability::{AuditRecord, DurabilityVerdict, WatchedWith};
use crate::render::document::{Document, Table, Tone};

/// All of it.
#[must_use]
pub fn document(record: &AuditRecord) -> Document {
    let target = &record.target;
    let durability = target.durability.as_deref();
    let said = durability.map_or_else(String::new, |mode| format!(", durability {mode}"));
    let mut document = Document::new(&format!(
        "{}: {}{said}",
        record.verdict.as_str().to_uppercase(),
        target.name
    ));
    document.tone = match record.verdict {
        DurabilityVerdict::Durable => Tone::Good,
        DurabilityVerdict::NotDurable | DurabilityVerdict::CannotTell => Tone::Warn,
        DurabilityVerdict::Fake => Tone::Bad,
    };
    document.table(
        Table::of("Checks", &record.checks)
            .words(0, "outcome", |check| check.outcome.in_words())
            .words(0, "check", |check| check.check.as_str())
            .prose(0, "what was seen", |check| check.message.clone()),
    );
    if !record.files.is_empty() {
        document.table(
            Table::of("Files", &record.files)
                .words(0, "file", |file| file.file.clone())
                .number(1, "written during transfers", |file| file.transfers)
                .number(2, "bytes", |file| file.bytes)
                .number(0, "syncs", |file| file.syncs)
                .number(0, "not synced at the answer", |file| file.not_synced),
        );
    }
    if let Some(per_sync) = record.transfers_per_sync {
        document.say(format!(
            "{per_sync:.1} transfers share a sync when many are in flight"
        ));
    }
    document.say(match (record.watched_with, &record.not_traced) {
        (WatchedWith::Counters, Some(why)) => format!("watched with counters only: {why}"),
        (WatchedWith::Counters, None) => "watched with counters only".to_owned(),
        (WatchedWith::Strace, _) => "watched with strace".to_owned(),
    });
    document.say(format!("because {}", record.because));
    document.say(meaning(record.verdict));
    if record.interrupted {
        document.say("interrupted before all was checked");
    }
    if let Some(path) = &record.kept {
        document.say(format!("kept {path}"));
    }
    document
}

/// What a reader may conclude.
pub(super) const fn meaning(verdict: DurabilityVerdict) -> &'static str {
    match verdict {
        DurabilityVerdict::Durable => {
            "so what it acknowledges survives a power cut, as far as its disk keeps what it was told \
             to sync"
        }
        DurabilityVerdict::NotDurable => {
            "so a power cut may take back what it has acknowledged: do not compare its rows with \
             those of a durable server"
        }
        DurabilityVerdict::Fake => {
            "so its rows measure how fast it says yes: it stores nothing of what it acknowledges"
        }
        DurabilityVerdict::CannotTell => {
            "so nothing is known of what survives a power cut: do not call it durable"
        }
    }
}
