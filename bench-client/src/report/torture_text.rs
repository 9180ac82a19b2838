//! An audit as people read it.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};

use crate::record::crash_states::{CrashStates, StateCounts};
use crate::record::torture::Moment;
use crate::record::torture::{Counts, CycleRow, FaultRow, Finding, Resolved, TortureRecord};
use crate::report::torture_verdict::verdict;

/// Findings that are shown one by one; the record has more.
const SHOWN: usize = 20;

/// All of it: the table, what was found, and what follows.
#[must_use]
pub fn describe(record: &TortureRecord) -> String {
    let mut parts = Vec::new();
    if !record.faults.is_empty() {
        parts.extend([table(record).to_string(), summary(record)]);
    }
    parts.extend(record.exactly_once.as_ref().map(resolved));
    parts.extend(record.crash_states.as_ref().map(states));
    for skipped in &record.skipped {
        parts.push(format!("skipped {}: {}", skipped.fault, skipped.why));
    }
    parts.extend(record.findings.iter().take(SHOWN).map(finding));
    parts.extend(more(record));
    let warnings = record.warnings.iter();
    parts.extend(warnings.map(|warning| format!("warning: {warning}")));
    parts.push(verdict(record));
    if !record.valid {
        parts.push(format!(
            "to replay (seed {}): {}",
            record.seed,
            shell_line(&record.environment.command_line)
        ));
    }
    parts.extend(record.kept.iter().map(|path| format!("kept {path}")));
    parts.join("\n")
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
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header([
        "fault",
        "cycles",
        "injected",
        "acknowledged",
        "lost",
        "twice",
        "gaps",
        "unknown",
        "there",
        "refused",
        "findings",
    ]);
    for FaultRow {
        fault,
        cycles,
        injected,
        counts,
        findings,
    } in &record.faults
    {
        table.add_row(cells(fault.as_str(), *cycles, *injected, counts, *findings));
    }
    if record.faults.len() > 1 {
        let sum = |of: fn(&FaultRow) -> u64| record.faults.iter().map(of).sum();
        table.add_row(cells(
            "all",
            sum(|row| row.cycles),
            sum(|row| row.injected),
            &record.counts,
            record.findings.len() as u64 + record.findings_not_listed,
        ));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn cells(name: &str, cycles: u64, injected: u64, counts: &Counts, findings: u64) -> Vec<String> {
    let numbers = [
        cycles,
        injected,
        counts.acknowledged,
        counts.lost,
        counts.applied_twice,
        counts.gaps,
        counts.unknown,
        counts.unknown_present,
        counts.refused,
        findings,
    ];
    let numbers = numbers.map(|number| number.to_string());
    [name.to_owned()].into_iter().chain(numbers).collect()
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
#[must_use]
pub fn states(states: &CrashStates) -> String {
    let StateCounts {
        states: judged,
        acknowledged,
        lost,
        twice,
        gaps,
        torn,
        integrity,
        early_answers,
        unsynced_answers,
        lost_transfers_max: _,
    } = states.counts;
    let distinct = match states.distinct_images {
        Some(distinct) => format!(" ({distinct} different)"),
        None => String::new(),
    };
    let runs = states.runs.len();
    let found = if states.counts.is_clean() {
        "nothing wrong".to_owned()
    } else {
        format!(
            "{lost} have lost something, {twice} applied something twice, {gaps} have gaps, \
             {torn} a torn transfer, {integrity} are unsound; {} answers too early",
            early_answers.max(unsynced_answers)
        )
    };
    let mut text = format!(
        "{judged} crash states{distinct} of {runs} recorded runs with {acknowledged} acknowledged \
         transfers: {found}"
    );
    if let Some(example) = states.example() {
        let _ = write!(text, "\nfor example {example}");
    }
    text
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

fn finding(finding: &Finding) -> String {
    let mut text = finding.kind.as_str().to_owned();
    if !finding.fails {
        text.insert_str(0, "warning: ");
    }
    match (finding.fault, finding.cycle) {
        (Some(_), 0) => text.push_str(" in crash states"),
        (Some(fault), cycle) => {
            let _ = write!(text, " in cycle {cycle} ({fault})");
        }
        (None, _) => {}
    }
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
    text.push_str(": ");
    text.push_str(&finding.message);
    text
}

#[cfg(test)]
mod tests;
