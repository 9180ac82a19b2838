//! What a row is warned of, in as few lines as a conclusion has room for.

use std::collections::BTreeSet;

use super::repetitions::of_all_runs;
use crate::record::load_record::names;
use crate::record::standing::{DOUBTFUL, NOT_DURABLE};
use crate::record::{Row, Verdict, VerdictCode};
use crate::render::document::{Facts, Line, Tone};

/// Where the rest of the warnings is.
pub(super) const ON_A_SCREEN: &str = "; -v says all";
pub(super) const ON_A_PAGE: &str = "; all below";

/// Most kinds of warnings that are said in full of several rows.
const WARNINGS_MAX: usize = 3;

/// What the headline rests on goes first, what is of the machine alone last.
fn weight(code: VerdictCode) -> u8 {
    match code {
        VerdictCode::GeneratorBound => 0,
        code if NOT_DURABLE.contains(&code) || DOUBTFUL.contains(&code) => 1,
        VerdictCode::Environment => 3,
        _ => 2,
    }
}

/// One warning with its remedy; of others, what they are about. None pushes the figures off the
/// screen.
pub(super) fn warnings(row: &Row, facts: &mut Facts, rest: &str) {
    // Those that the headline has said.
    let said = [VerdictCode::NullServer, VerdictCode::Interrupted];
    let mut verdicts = row.verdicts.iter();
    let warns = |verdict: &&Verdict| !verdict.invalidates && !said.contains(&verdict.code);
    let warnings: Vec<&Verdict> = verdicts.by_ref().filter(warns).collect();
    let name = Line::default().mark(Tone::Warn, "warning");
    if !row.valid {
        // What makes it invalid is what is to be read.
        facts.add_known(name, more(&warnings, rest));
        return;
    }
    let Some(&first) = warnings.iter().min_by_key(|verdict| weight(verdict.code)) else {
        return;
    };
    facts.add(name, first.message.as_str());
    if first.code != VerdictCode::GeneratorBound {
        facts.add("", format!("→ {}", first.remedy));
    }
    let others: Vec<&Verdict> = warnings
        .into_iter()
        .filter(|one| !std::ptr::eq(*one, first))
        .collect();
    facts.add_known("", more(&others, rest));
}

/// What speaks against rows, by name, for a line: of invalid ones what makes them so, else what they
/// are warned of. What the line says otherwise is left out, and what is of the machine alone.
pub(super) fn named(rows: &[&Row]) -> Option<String> {
    let is_invalid = rows.iter().any(|row| !row.valid);
    let said = |code: VerdictCode| {
        let said = [VerdictCode::NullServer, VerdictCode::NotVerified];
        said.contains(&code) || NOT_DURABLE.contains(&code) || DOUBTFUL.contains(&code)
    };
    let verdicts = rows.iter().flat_map(|row| &row.verdicts);
    let verdicts: Vec<&Verdict> = if is_invalid {
        verdicts.filter(|verdict| verdict.invalidates).collect()
    } else {
        let told = verdicts.filter(|verdict| !said(verdict.code));
        told.filter(|verdict| verdict.code != VerdictCode::Environment)
            .collect()
    };
    let kinds = kinds(&verdicts);
    let warning = if is_invalid { "" } else { "warning: " };
    (!kinds.is_empty()).then(|| format!("{warning}{}", kinds.join(", ")))
}

/// What is said of several rows below their table: what makes rows invalid and what they are
/// warned of, once for each kind.
pub(super) fn said_of(rows: &[&Row]) -> Facts {
    let mut facts = Facts::default();
    let names = names(rows);
    // In which rows it is, and the figures of one.
    let in_rows = |verdict: &Verdict| {
        let with = rows.iter().zip(&names).filter_map(|(row, name)| {
            let same = row.verdicts.iter().find(|one| one.code == verdict.code);
            same.map(|one| (name, one))
        });
        let with: Vec<_> = with.collect();
        let alike = with.iter().all(|(_, one)| one.message == verdict.message);
        let example = if alike { "" } else { "e.g. " };
        let whose: Vec<&String> = with.iter().map(|(name, _)| *name).collect();
        format!(
            "{} of {} rows{}: {example}{}",
            with.len(),
            rows.len(),
            if with.len() == rows.len() {
                String::new()
            } else {
                named_rows(&whose)
            },
            verdict.message
        )
    };
    let mut seen: Vec<VerdictCode> = Vec::new();
    let mut verdicts: Vec<&Verdict> = rows.iter().flat_map(|row| &row.verdicts).collect();
    // Otherwise in the order of the rows.
    verdicts.sort_by_key(|verdict| (!verdict.invalidates, weight(verdict.code)));
    let (mut shown, mut others) = (0, Vec::new());
    for verdict in verdicts {
        if seen.contains(&verdict.code) {
            continue;
        }
        seen.push(verdict.code);
        let (tone, word) = if verdict.invalidates {
            (Tone::Bad, "INVALID")
        } else {
            (Tone::Warn, "warning")
        };
        if !verdict.invalidates && shown == WARNINGS_MAX {
            others.push(verdict);
            continue;
        }
        shown += usize::from(!verdict.invalidates);
        facts.add(Line::default().mark(tone, word), in_rows(verdict));
        facts.add("", format!("→ {}", verdict.remedy));
    }
    facts.add_known("", more(&others, ON_A_SCREEN));
    facts
}

/// Characters in which rows are named, the first at any length.
const NAMES_MAX: usize = 60;

/// Which rows, after their number; all runs of a row are one.
pub(super) fn named_rows(names: &[&String]) -> String {
    let mut rows: Vec<&str> = names.iter().map(|name| of_all_runs(name)).collect();
    // Repetitions take turns.
    let mut seen = BTreeSet::new();
    rows.retain(|row| seen.insert(*row));
    let mut said = String::new();
    for row in rows {
        if said.is_empty() {
            said += row;
        } else if said.chars().count() + row.chars().count() > NAMES_MAX {
            said += "; …";
            break;
        } else {
            said += "; ";
            said += row;
        }
    }
    format!(" ({said})")
}

/// What is not said in full, and where it is.
pub(super) fn more(verdicts: &[&Verdict], rest: &str) -> Option<String> {
    let kinds = kinds(verdicts);
    (!kinds.is_empty()).then(|| format!("also: {}{rest}", kinds.join(", ")))
}

/// What they are about, each thing once.
fn kinds(verdicts: &[&Verdict]) -> Vec<&'static str> {
    let mut kinds: Vec<&str> = Vec::new();
    for verdict in verdicts {
        let kind = verdict.code.in_words();
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds
}
