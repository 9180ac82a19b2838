//! An audit: what was injected, what was found, and what follows.

pub(in crate::render) mod verdict;

use std::fmt::Write as _;

use super::words::shell_line;
use crate::figures::{counted, grouped, shared};
use crate::record::crash_states::{CrashStates, StateCounts};
use crate::record::torture::{
    Counts, CycleRow, FaultRow, Finding, Resolved, SyncCount, TortureRecord,
};
use crate::record::torture::{FaultKind, Moment};
use crate::render::document::{Block, Document, Line, Table, Tone};
use verdict::{found, word};

/// Findings that are shown one by one; the record has more.
const SHOWN: usize = 20;

/// All of it: the table, what was found, and what follows.
#[must_use]
pub fn document(record: &TortureRecord) -> Document {
    let mut document = Document::new("Audit");
    let tone = if record.valid { Tone::Plain } else { Tone::Bad };
    let verdict = format!("{}: {}", word(record), found(record));
    document.verdict(Line::default().mark(tone, verdict));
    if !record.faults.is_empty() {
        document.table(table(record)).say(summary(record));
        let syncs = syncs(record).map(|syncs| format!("syncs: {syncs}").into());
        document.list(syncs.into_iter().collect());
    }
    if let Some(once) = &record.exactly_once {
        document.say(resolved(once));
    }
    if let Some(all) = &record.crash_states {
        document.list(states(all).into_iter().map(Line::from).collect());
    }
    let skipped = record.skipped.iter();
    let skipped = skipped.map(|one| format!("skipped {}: {}", one.fault, one.why).into());
    let left_out = left_out(record).map(|said| format!("no cycle of {said}").into());
    document.list(skipped.chain(left_out).collect());
    let mut findings: Vec<Line> = record.findings.iter().take(SHOWN).map(finding).collect();
    findings.extend(more(record).map(Line::from));
    document.list(findings);
    let warnings = record.warnings.iter();
    let warned = |warning: &String| {
        Line::default()
            .mark(Tone::Warn, "warning")
            .plain(format!(": {warning}"))
    };
    document.list(warnings.map(warned).collect());
    if !record.valid {
        document.push(Block::Command(
            format!("to replay (seed {})", record.seed),
            shell_line(&record.environment.command_line),
        ));
    }
    document.list(
        record
            .kept
            .iter()
            .map(|path| format!("kept {path}").into())
            .collect(),
    );
    document
}

/// Findings that are not shown: how many of them are in the record.
fn more(record: &TortureRecord) -> Option<String> {
    let listed = record.findings.len().saturating_sub(SHOWN) as u64;
    Some(match (listed, record.findings_not_listed) {
        (0, 0) => return None,
        (listed, 0) => format!("… and {} more, in the record", grouped(listed)),
        (listed, others) => format!(
            "… and {} more: {} in the record, and {} only counted there",
            grouped(listed + others),
            grouped(listed),
            grouped(others)
        ),
    })
}

/// How often the server synced, and how many transfers shared a sync.
pub(super) fn syncs(record: &TortureRecord) -> Option<String> {
    let all = record.syncs?;
    let SyncCount { syncs, transfers } = all;
    let each = all.transfers_each();
    let each = each.map_or_else(String::new, |each| format!(", {} per sync", shared(each)));
    // Fewer than were acknowledged: what came after the last look before a kill is not in it.
    let transfers = counted(transfers, "transfer");
    Some(format!(
        "{} for {transfers} that were counted beside them{each}",
        grouped(syncs)
    ))
}

/// A cycle in one line.
#[must_use]
pub fn cycle_line(row: &CycleRow, of: u32, findings: &[Finding]) -> String {
    let Counts {
        acknowledged,
        lost,
        unverified,
        unknown,
        unknown_present,
        ..
    } = row.counts;
    let [acknowledged, unknown, unknown_present] =
        [acknowledged, unknown, unknown_present].map(grouped);
    let lost = match (lost, unverified) {
        (0, 0) => String::new(),
        (0, unverified) => format!(", {} unverified", grouped(unverified)),
        (lost, _) => format!(", {} lost", grouped(lost)),
    };
    let found = match findings {
        [] => "nothing wrong".to_owned(),
        [first, rest @ ..] => {
            let more = if rest.is_empty() {
                String::new()
            } else {
                format!(" (and {} more)", rest.len())
            };
            format!("{}{more}", finding(first))
        }
    };
    format!(
        "cycle {} of {}, {} {}{}: {}; {acknowledged} acknowledged{lost}, {unknown} unknown of which \
         {unknown_present} there; {found}",
        grouped(row.number.into()),
        grouped(of.into()),
        row.fault,
        moment(&row.moment),
        if row.injected { "" } else { ", not reached" },
        row.ended,
    )
}

fn moment(moment: &Moment) -> String {
    match moment {
        Moment::Time { after_ms } => format!("after {after_ms} ms"),
        Moment::Call { calls, first, last } => match last {
            Some(last) if last == first => format!("at {calls} {first}"),
            Some(last) => format!("at {calls} {first} to {last}"),
            None => format!("at {calls} from {first} on"),
        },
    }
}

fn table(record: &TortureRecord) -> Table {
    let mut rows: Vec<(&str, &FaultRow)> = Vec::new();
    rows.extend(record.faults.iter().map(|row| (row.fault.as_str(), row)));
    let sum = |of: fn(&FaultRow) -> u64| record.faults.iter().map(of).sum();
    let all = record.faults.first().map(|first| FaultRow {
        fault: first.fault,
        cycles: sum(|row| row.cycles),
        injected: sum(|row| row.injected),
        counts: record.counts,
        findings: record.findings.len() as u64 + record.findings_not_listed,
    });
    let all = all.iter().filter(|_| record.faults.len() > 1);
    rows.extend(all.map(|row| ("all", row)));
    let count = |of: fn(&Counts) -> u64| move |(_, row): &(&str, &FaultRow)| of(&row.counts);
    let table = Table::of("Faults", &rows)
        .words(0, "fault", |(fault, _)| *fault)
        .number(0, "cycles", |(_, row)| row.cycles)
        .number(2, "injected", |(_, row)| row.injected)
        .number(0, "acknowledged", count(|counts| counts.acknowledged))
        .number(0, "lost", count(|counts| counts.lost));
    let table = if record.counts.unverified > 0 {
        table.number(0, "unverified", count(|counts| counts.unverified))
    } else {
        table
    };
    table
        .number(1, "twice", count(|counts| counts.applied_twice))
        .number(1, "gaps", count(|counts| counts.gaps))
        .number(2, "unknown", count(|counts| counts.unknown))
        .number(2, "there", count(|counts| counts.unknown_present))
        .number(3, "refused", count(|counts| counts.refused))
        .number(0, "findings", |(_, row)| row.findings)
        .into()
}

fn resolved(once: &Resolved) -> String {
    let Resolved {
        resolved,
        resolved_committed,
        resolved_applied,
        unresolved,
    } = once;
    let mut text = format!(
        "{} of unknown outcome were sent again with their ids: {} had been applied, {} were \
         applied then",
        counted(resolved + unresolved, "transfer"),
        grouped(*resolved_committed),
        grouped(*resolved_applied)
    );
    if *unresolved > 0 {
        let _ = write!(text, ", {} were not answered ok", grouped(*unresolved));
    }
    text
}

/// One line, or two with an example, about crash states.
fn states(states: &CrashStates) -> Vec<String> {
    let said = format!(
        "{} with {}: {}",
        of_runs(states),
        counted(states.counts.acknowledged, "acknowledged transfer"),
        found_in(&states.counts)
    );
    let example = states
        .example()
        .map(|example| format!("for example {example}"));
    std::iter::once(said).chain(example).collect()
}

/// How many crash states there were, and of what.
pub(super) fn of_runs(states: &CrashStates) -> String {
    let distinct = states.distinct_images.map_or_else(String::new, |distinct| {
        format!(" ({} different)", grouped(distinct))
    });
    let runs = counted(states.runs.len() as u64, "recorded run");
    let judged = counted(states.counts.states, "crash state");
    format!("{judged}{distinct} of {runs}")
}

/// What is wrong with crash states, if anything is.
pub(in crate::render) fn found_in(states: &StateCounts) -> String {
    if states.is_clean() {
        "nothing wrong".to_owned()
    } else {
        verdict::of_states(states)
    }
}

/// What the journals say when they are judged once more.
pub(super) const fn replayed(record: &TortureRecord) -> &'static str {
    match record.replay_matches {
        Some(true) => "the journals, read back, give the balances",
        Some(false) => "the journals, read back, do NOT give the balances",
        None => "no journal was read back",
    }
}

fn summary(record: &TortureRecord) -> String {
    let disk = match (&record.file_system, record.cuts) {
        (Some(kind), 1..) => format!(" of {kind}"),
        _ => String::new(),
    };
    format!(
        "{}, {}{disk}, {} of all balances; {}",
        counted(record.kills, "kill"),
        counted(record.cuts, "power cut"),
        counted(record.snapshots, "snapshot"),
        replayed(record)
    )
}

/// The faults that had no cycle, and what gives them one.
pub(super) fn left_out(record: &TortureRecord) -> Option<String> {
    let without = record.not_injected.iter().map(|kind| kind.as_str());
    let without = without.collect::<Vec<_>>().join(", ");
    let kinds = record.faults.iter().map(|row| &row.fault);
    let kinds = kinds.chain(&record.not_injected);
    let count = kinds.filter(|kind| **kind != FaultKind::PowerCut).count();
    let why = if record.interrupted || !record.valid {
        "the audit ended before".to_owned()
    } else {
        format!("--kills {count} has them all")
    };
    (!without.is_empty()).then(|| format!("{without}: {why}"))
}

/// Something that is wrong, or odd.
pub(in crate::render) fn finding(finding: &Finding) -> Line {
    let mark = if finding.fails {
        Line::default().mark(Tone::Bad, finding.kind.as_str())
    } else {
        let mark = Line::default().mark(Tone::Warn, "warning");
        mark.plain(format!(": {}", finding.kind.as_str()))
    };
    let mut text = match (finding.fault, finding.cycle) {
        (Some(_), 0) => " in crash states".to_owned(),
        (Some(fault), cycle) => format!(" in cycle {cycle} ({fault})"),
        (None, _) => String::new(),
    };
    if let Some(worker) = finding.worker {
        let _ = write!(text, ", worker {worker}");
    }
    if let Some(transfer) = &finding.transfer {
        let _ = write!(
            text,
            ", transfer {} ({} from {} to {}, answered {})",
            transfer.number,
            transfer.amount,
            transfer.from,
            transfer.to,
            transfer.answer.as_deref().unwrap_or("nothing"),
        );
    }
    mark.plain(format!("{text}: {}", finding.message))
}

#[cfg(test)]
pub(super) mod tests;
