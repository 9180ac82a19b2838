//! Where the time of a transfer and of a second goes, as stacked bars.

use super::{Axis, Chart, Ink, Mark, Panel};
use crate::figures::{known, ms, significant};
use crate::record::load_record::Shown;
use crate::record::{Budget, SecondBudget, Stage, StageTime};
use crate::render::table::Table;

/// The stages in order, with the colour that each has in both charts.
const STAGES: [(Stage, Ink); 9] = [
    (Stage::ClientQueue, Ink::Series(0)),
    (Stage::Wire, Ink::Series(1)),
    (Stage::Read, Ink::Series(4)),
    (Stage::Wait, Ink::Series(3)),
    (Stage::Apply, APPLY),
    (Stage::CommitWrite, COMMIT_WRITE),
    (Stage::Sync, SYNC),
    (Stage::Answer, ANSWER),
    (Stage::Unexplained, Ink::Muted),
];
const APPLY: Ink = Ink::Series(2);
const COMMIT_WRITE: Ink = Ink::Series(6);
const SYNC: Ink = Ink::Series(5);
const ANSWER: Ink = Ink::Series(7);

/// A part of a second of the writer: its colour, its name and how long it is in milliseconds.
pub(in crate::render) type Part = (Ink, &'static str, fn(&SecondBudget) -> f64);

/// What the writer does with a second.
pub(in crate::render) const SECOND: [Part; 6] = [
    (SYNC, "asleep in the sync", |second| second.sync_ms),
    (COMMIT_WRITE, "commit write", |second| {
        second.commit_write_ms
    }),
    (APPLY, "applying", |second| second.apply_ms),
    (ANSWER, "answering", |second| second.answer_ms),
    (Ink::Stall, "checkpoint", |second| second.checkpoint_ms),
    (Ink::Grid, "idle", |second| second.idle_ms),
];

/// A bar: its name, the figure beside it, and its parts.
struct Stack {
    name: String,
    figure: String,
    parts: Vec<(Ink, f64)>,
}

/// Parts above 0 go to the right, parts below it to the left.
fn panel(label: &str, stacks: &[Stack], whole: f64) -> Panel {
    let sum = |stack: &Stack, sign: f64| -> f64 {
        let parts = stack.parts.iter().map(|(_, part)| (part * sign).max(0.0));
        parts.sum::<f64>() * sign
    };
    let ends = stacks
        .iter()
        .flat_map(|stack| [sum(stack, 1.0), sum(stack, -1.0), whole]);
    let x = Axis::tight(label, ends, whole / 4.0);
    let mut marks = Vec::new();
    for (place, stack) in stacks.iter().enumerate() {
        let top = super::to_f64(place);
        let (mut right, mut left) = (0.0, 0.0);
        for &(ink, part) in &stack.parts {
            let end = if part < 0.0 { &mut left } else { &mut right };
            let begin = *end;
            *end += part;
            if part != 0.0 {
                let (low, high) = (begin.min(*end), begin.max(*end));
                marks.push(Mark::Bar((low, top + 0.52), (high, top + 0.92), ink, 0.85));
            }
        }
        let figure = (stack.figure.clone(), Ink::Text);
        marks.push(Mark::Title(top + 0.26, stack.name.clone(), figure));
    }
    Panel::of_lines(x, stacks.len(), marks)
}

/// Rows of which it is known where the time goes.
pub(in crate::render) fn with_budget<'a>(rows: &[Shown<'a>]) -> Vec<(Shown<'a>, &'a Budget)> {
    rows.iter()
        .filter_map(|shown| Some((*shown, shown.row.budget.as_ref()?)))
        .filter(|(_, budget)| budget.mean_us > 0.0)
        .collect()
}

fn time_of(budget: &Budget, stage: Stage) -> f64 {
    let found = budget.stages.iter().find(|time| time.stage == stage);
    found.map_or(0.0, |time| time.mean_us)
}

/// The stages of a transfer.
pub(in crate::render) fn transfers(rows: &[Shown<'_>]) -> Option<Chart> {
    let mut with = with_budget(rows);
    with.retain(|(_, budget)| !budget.stages.is_empty());
    if with.is_empty() {
        return None;
    }
    let stacks = with.iter().map(|(shown, budget)| Stack {
        name: shown.name(),
        figure: format!("mean {} ms", ms(budget.mean_us / 1e3)),
        parts: STAGES
            .map(|(stage, ink)| (ink, time_of(budget, stage) / budget.mean_us * 100.0))
            .to_vec(),
    });
    let lines: Vec<(String, &StageTime, f64)> = with
        .iter()
        .flat_map(|(shown, budget)| {
            let stages = budget.stages.iter();
            stages.map(|time| (shown.name(), time, time.mean_us / budget.mean_us))
        })
        .collect();
    let data = Table::of("", &lines)
        .words(0, "row", |(name, ..)| name.as_str())
        .words(0, "stage", |(_, time, _)| time.stage.in_words())
        .number(0, "mean µs", |(_, time, _)| significant(time.mean_us))
        .number(0, "share", |(.., share)| format!("{:.1} %", share * 100.0))
        .number(0, "p50 µs", |(_, time, _)| known(time.p50_us, significant))
        .number(0, "p99 µs", |(_, time, _)| known(time.p99_us, significant));
    let there = |stage: Stage| with.iter().any(|(_, budget)| time_of(budget, stage) != 0.0);
    let legend = STAGES.into_iter().filter(|(stage, _)| there(*stage));
    let about = "Where the mean latency goes: the stages add up to 100 %. What is unexplained and \
                 below zero lies left of zero.";
    let panel = panel("% of the mean latency", &stacks.collect::<Vec<_>>(), 100.0);
    let chart = Chart::new("Time budget of a transfer", about, vec![panel], data);
    Some(chart.with_legend(legend.map(|(stage, ink)| (ink, stage.in_words()))))
}

/// A second of the writer.
pub(in crate::render) fn seconds(rows: &[Shown<'_>]) -> Option<Chart> {
    let with = with_budget(rows).into_iter();
    let with: Vec<(Shown<'_>, SecondBudget)> = with
        .filter_map(|(shown, one)| Some((shown, one.second?)))
        .collect();
    if with.is_empty() {
        return None;
    }
    let stacks = with.iter().map(|(shown, second)| Stack {
        name: shown.name(),
        figure: format!("{:.0} ms in the sync", second.sync_ms),
        parts: SECOND.map(|(ink, _, part)| (ink, part(second))).to_vec(),
    });
    let data = Table::of("", &with).words(0, "row", |(shown, _)| shown.name());
    let data = SECOND.into_iter().fold(data, |data, (_, what, part)| {
        data.number(0, format!("{what} ms"), |(_, second)| ms(part(second)))
    });
    let about = "What the one writing thread does with 1,000 ms.";
    let panel = panel("ms of each second", &stacks.collect::<Vec<_>>(), 1_000.0);
    let chart = Chart::new("A second of the writer", about, vec![panel], data);
    Some(chart.with_legend(SECOND.map(|(ink, what, _)| (ink, what))))
}
