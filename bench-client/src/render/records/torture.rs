//! An audit: what was injected, what was found, and what follows.

mod verdict;

use std::fmt::Write as _;

use crate::record::crash_states::{CrashStates, StateCounts};
use crate::record::torture::Moment;
use crate::record::torture::{Counts, CycleRow, FaultRow, Finding, Resolved, TortureRecord};
use crate::render::document::{Block, Document, Line, Table, Tone};
use verdict::verdict;

/// Findings that are shown one by one; the record has more.
const SHOWN: usize = 20;

/// All of it: the table, what was found, and what follows.
#[must_use]
pub fn document(record: &TortureRecord) -> Document {
    let mut document = Document::new("Audit");
    let tone = if record.valid { Tone::Plain } else { Tone::Bad };
    document.verdict(Line::default().mark(tone, verdict(record)));
    if !record.faults.is_empty() {
        document.table(table(record)).say(summary(record));
    }
    if let Some(once) = &record.exactly_once {
        document.say(resolved(once));
    }
    if let Some(all) = &record.crash_states {
        document.list(states(all).into_iter().map(Line::from).collect());
    }
    let skipped = record.skipped.iter();
    let skipped = skipped.map(|one| format!("skipped {}: {}", one.fault, one.why).into());
    document.list(skipped.collect());
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
    let listed = record.findings.len().saturating_sub(SHOWN);
    Some(match (listed, record.findings_not_listed) {
        (0, 0) => return None,
        (listed, 0) => format!("… and {listed} more, in the record"),
        (listed, counted) => format!(
            "… and {} more: {listed} in the record, and {counted} only counted there",
            listed as u64 + counted
        ),
    })
}

/// A command as a shell reads it.
fn shell_line(words: &[String]) -> String {
    // Nothing but a zero byte cannot be quoted, and no argument has one.
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
}

/// One line about one cycle.
#[must_use]
pub fn progress(row: &CycleRow, of: u32, findings: &[Finding]) -> String {
    let Counts {
        acknowledged,
        unknown,
        unknown_present,
        ..
    } = row.counts;
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
        "{}/{of} {} {}{}: {}; {acknowledged} acknowledged, {unknown} unknown of which \
         {unknown_present} there; {found}",
        row.number,
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
    Table::of("Faults", &rows)
        .words(0, "fault", |(fault, _)| *fault)
        .number(0, "cycles", |(_, row)| row.cycles)
        .number(2, "injected", |(_, row)| row.injected)
        .number(0, "acknowledged", count(|counts| counts.acknowledged))
        .number(0, "lost", count(|counts| counts.lost))
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
        "{} transfers of unknown outcome were sent again with their ids: {resolved_committed} had \
         been applied, {resolved_applied} were applied then",
        resolved + unresolved
    );
    if *unresolved > 0 {
        let _ = write!(text, ", {unresolved} were not answered ok");
    }
    text
}

/// One line, or two with an example, about crash states.
fn states(states: &CrashStates) -> Vec<String> {
    let StateCounts {
        states: judged,
        acknowledged,
        ..
    } = states.counts;
    let distinct = states
        .distinct_images
        .map_or_else(String::new, |distinct| format!(" ({distinct} different)"));
    let runs = states.runs.len();
    let found = if states.counts.is_clean() {
        "nothing wrong".to_owned()
    } else {
        verdict::of_states(&states.counts)
    };
    let said = format!(
        "{judged} crash states{distinct} of {runs} recorded runs with {acknowledged} acknowledged \
         transfers: {found}"
    );
    let example = states
        .example()
        .map(|example| format!("for example {example}"));
    std::iter::once(said).chain(example).collect()
}

fn summary(record: &TortureRecord) -> String {
    let replay = match record.replay_matches {
        Some(true) => "the journals, read back, give the balances",
        Some(false) => "the journals, read back, do NOT give the balances",
        None => "no journal was read back",
    };
    let disk = match (&record.file_system, record.cuts) {
        (Some(kind), 1..) => format!(" of {kind}"),
        _ => String::new(),
    };
    format!(
        "{} kills, {} power cuts{disk}, {} snapshots of all balances; {replay}",
        record.kills, record.cuts, record.snapshots
    )
}

fn finding(finding: &Finding) -> Line {
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
mod tests;
