//! An audit of durability as people read it: the verdict, a line per check, what it means.

use comfy_table::{Table, presets};

use crate::figures::grouped;
use crate::record::durability::{AuditRecord, DurabilityVerdict, WatchedWith};

/// All of it.
#[must_use]
pub fn describe(record: &AuditRecord) -> String {
    let target = &record.target;
    let durability = target.durability.as_deref();
    let said = durability.map_or_else(String::new, |mode| format!(", durability {mode}"));
    let mut parts = vec![format!(
        "{}: {}{said}",
        record.verdict.as_str().to_uppercase(),
        target.name
    )];
    parts.push(checks(record).trim_fmt());
    if !record.files.is_empty() {
        parts.push(files(record).trim_fmt());
    }
    if let Some(per_sync) = record.transfers_per_sync {
        parts.push(format!(
            "{per_sync:.1} transfers share a sync when many are in flight"
        ));
    }
    parts.push(match (record.watched_with, &record.not_traced) {
        (WatchedWith::Counters, Some(why)) => format!("watched with counters only: {why}"),
        (WatchedWith::Counters, None) => "watched with counters only".to_owned(),
        (WatchedWith::Strace, _) => "watched with strace".to_owned(),
    });
    parts.push(format!("because {}", record.because));
    parts.push(meaning(record.verdict).to_owned());
    if record.interrupted {
        parts.push("interrupted before all was checked".to_owned());
    }
    parts.extend(record.kept.iter().map(|path| format!("kept {path}")));
    parts.join("\n")
}

/// What a reader may conclude.
const fn meaning(verdict: DurabilityVerdict) -> &'static str {
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

fn checks(record: &AuditRecord) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    for check in &record.checks {
        let outcome = check.outcome.in_words();
        table.add_row([outcome, check.check.as_str(), check.message.as_str()]);
    }
    table
}

fn files(record: &AuditRecord) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header([
        "file",
        "written during transfers",
        "bytes",
        "syncs",
        "not synced at the answer",
    ]);
    for file in &record.files {
        table.add_row([
            file.file.clone(),
            grouped(file.transfers),
            grouped(file.bytes),
            grouped(file.syncs),
            grouped(file.not_synced),
        ]);
    }
    table
}
