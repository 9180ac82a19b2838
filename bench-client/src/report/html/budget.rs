//! Where the time of a transfer and of a second goes, as stacked bars.

use std::fmt::Write as _;

use plotters::style::text_anchor::HPos;

use super::axis::{Axis, short};
use super::canvas::{DrawError, Ink, Mark, Panel, beside};
use super::chart::Chart;
use crate::figures::{known, ms};
use crate::record::load_record::Shown;
use crate::record::{Budget, SecondBudget, Stage};

const ROW: u32 = 78;
const AROUND: u32 = 120;

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
    let mut top = 0.0;
    for stack in stacks {
        let (words, from, to) = (top + 0.26, top + 0.52, top + 0.92);
        let (mut right, mut left) = (0.0, 0.0);
        for &(ink, part) in &stack.parts {
            let end = if part < 0.0 { &mut left } else { &mut right };
            let begin = *end;
            *end += part;
            if part != 0.0 {
                let (low, high) = (begin.min(*end), begin.max(*end));
                marks.push(Mark::Bar((low, from), (high, to), ink, 0.85));
            }
        }
        let name = beside(&stack.name, &stack.figure);
        marks.push(Mark::Words((x.low(), words), name, Ink::Text, HPos::Left));
        let figure = stack.figure.clone();
        marks.push(Mark::Words(
            (x.high(), words),
            figure,
            Ink::Text,
            HPos::Right,
        ));
        top += 1.0;
    }
    let count = u32::try_from(stacks.len()).unwrap_or(u32::MAX);
    Panel {
        x,
        y: Axis::places(top),
        marks,
        height: ROW.saturating_mul(count).saturating_add(AROUND),
    }
}

fn with_budget<'a>(rows: &[Shown<'a>]) -> Vec<(Shown<'a>, &'a Budget)> {
    rows.iter()
        .filter_map(|shown| Some((*shown, shown.row.budget.as_ref()?)))
        .filter(|(_, budget)| budget.mean_us > 0.0)
        .collect()
}

fn time_of(budget: &Budget, stage: Stage) -> f64 {
    let found = budget.stages.iter().find(|time| time.stage == stage);
    found.map_or(0.0, |time| time.mean_us)
}

/// What is said of a chart, and what of it was withheld.
fn about(words: &str, rows: &[(Shown<'_>, &Budget)]) -> String {
    let mut about = words.to_owned();
    for (shown, budget) in rows {
        for what in &budget.withheld {
            let _ = write!(about, " Withheld of {}, {what}.", shown.name());
        }
    }
    about
}

/// The stages of a transfer.
pub(super) fn transfers(rows: &[Shown<'_>]) -> Result<Option<Chart>, DrawError> {
    let with = with_budget(rows);
    let all = with.clone();
    let with: Vec<_> = with
        .into_iter()
        .filter(|(_, one)| !one.stages.is_empty())
        .collect();
    if with.is_empty() {
        return Ok(None);
    }
    let stacks: Vec<Stack> = with
        .iter()
        .map(|(shown, budget)| Stack {
            name: shown.name(),
            figure: format!("mean {} ms", ms(budget.mean_us / 1e3)),
            parts: STAGES
                .iter()
                .map(|(stage, ink)| (*ink, time_of(budget, *stage) / budget.mean_us * 100.0))
                .collect(),
        })
        .collect();
    let mut table = Vec::new();
    for (shown, budget) in &with {
        for time in &budget.stages {
            let maybe = |value: Option<f64>| known(value, short);
            table.push(vec![
                shown.name(),
                time.stage.in_words().to_owned(),
                format!("{:.1}", time.mean_us),
                format!("{:.1} %", time.mean_us / budget.mean_us * 100.0),
                maybe(time.p50_us),
                maybe(time.p99_us),
            ]);
        }
    }
    let legend = STAGES
        .iter()
        .filter(|(one, _)| with.iter().any(|(_, budget)| time_of(budget, *one) != 0.0))
        .map(|(one, ink)| (*ink, one.in_words().to_owned()))
        .collect();
    let chart = Chart::new(
        "Time budget of a transfer",
        about(
            "Where the mean latency goes: the stages add up to 100 %. What is unexplained and \
             below zero lies left of zero.",
            &all,
        ),
        &[panel("% of the mean latency", &stacks, 100.0)],
        &["row", "stage", "mean µs", "share", "p50 µs", "p99 µs"],
        table,
    )?;
    Ok(Some(chart.with_legend(legend)))
}

/// A second of the writer.
pub(super) fn seconds(rows: &[Shown<'_>]) -> Result<Option<Chart>, DrawError> {
    let with: Vec<(Shown<'_>, SecondBudget)> = with_budget(rows)
        .into_iter()
        .filter_map(|(shown, budget)| Some((shown, budget.second?)))
        .collect();
    if with.is_empty() {
        return Ok(None);
    }
    let parts = |second: &SecondBudget| {
        [
            (SYNC, "asleep in the sync", second.sync_ms),
            (COMMIT_WRITE, "commit write", second.commit_write_ms),
            (APPLY, "applying", second.apply_ms),
            (ANSWER, "answering", second.answer_ms),
            (Ink::Stall, "checkpoint", second.checkpoint_ms),
            (Ink::Grid, "idle", second.idle_ms),
        ]
    };
    let stacks: Vec<Stack> = with
        .iter()
        .map(|(shown, second)| Stack {
            name: shown.name(),
            figure: format!("{:.0} ms in the sync", second.sync_ms),
            parts: parts(second).map(|(ink, _, part)| (ink, part)).to_vec(),
        })
        .collect();
    let table = with
        .iter()
        .map(|(shown, second)| {
            let mut line = vec![shown.name()];
            line.extend(parts(second).map(|(_, _, part)| format!("{part:.1}")));
            line
        })
        .collect();
    let legend = with.first().map(|(_, second)| {
        parts(second)
            .map(|(ink, what, _)| (ink, what.to_owned()))
            .to_vec()
    });
    let chart = Chart::new(
        "A second of the writer",
        "What the one writing thread does with 1,000 ms.",
        &[panel("ms of each second", &stacks, 1_000.0)],
        &[
            "row",
            "sync ms",
            "commit write ms",
            "apply ms",
            "answer ms",
            "checkpoint ms",
            "idle ms",
        ],
        table,
    )?;
    Ok(Some(chart.with_legend(legend.unwrap_or_default())))
}
