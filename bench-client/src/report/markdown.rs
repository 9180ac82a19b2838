//! A report in Markdown that can be pasted into a comment.

use std::fmt::Write as _;

use super::compare_markdown;
use crate::figures::{known, ms, rate};
use crate::host::environment::Environment;
use crate::record::load_record::{AnyRecord, Report, Shown, Standing};
use crate::record::{Prediction, Row, Stage};
use crate::report::forms::Form;
use crate::report::table::CLOSED_LOOP;

/// For a comment, a step's summary.
pub const FORM: Form = Form::plain("md", "Markdown for a comment", |report, _| {
    Ok(to_markdown(report))
});

/// A cell that has nothing to say.
const NOTHING: &str = "–";

/// The report: comparisons first, and nothing else when there are only comparisons.
#[must_use]
pub fn to_markdown(report: &Report) -> String {
    let records = report.records.iter();
    let comparisons: Vec<String> = records
        .filter_map(|one| one.comparison.as_ref().map(compare_markdown::to_markdown))
        .collect();
    let mut out = comparisons.join("\n");
    if !comparisons.is_empty() && comparisons.len() == report.records.len() {
        return out;
    }
    let rows = report.rows();
    out.push_str("# Durable transfers per second\n\n");
    for record in &report.records {
        let _ = writeln!(out, "{}\n", environment(record));
    }
    out.push_str(&row_table(&rows));
    if rows.iter().any(|shown| shown.row.open_loop.is_none()) {
        let _ = writeln!(out, "\n{CLOSED_LOOP}");
    }
    for part in [
        open_loop_table(&rows),
        summaries(report),
        verdicts(&rows),
        budgets(&rows),
    ] {
        if !part.is_empty() {
            out.push('\n');
            out.push_str(&part);
        }
    }
    out
}

fn environment(record: &AnyRecord) -> String {
    format!(
        "**{}**: {}",
        text(&record.file),
        described(&record.record.environment)
    )
}

/// Machine, storage, program and command of a record, in one paragraph.
pub(super) fn described(environment: &Environment) -> String {
    let machine = &environment.machine;
    let storage = &environment.storage;
    let known = |value: &Option<String>, otherwise: &str| {
        text(value.as_deref().unwrap_or(otherwise).trim())
    };
    let mut out = format!(
        "{}, {} cores, {}, {} on {}. Program {} ({}), {}. Command: {}",
        known(&machine.cpu_model, "unknown processor"),
        machine
            .logical_cores
            .map_or_else(|| "?".to_owned(), |n| n.to_string()),
        known(&machine.kernel, "unknown kernel"),
        known(&storage.file_system, "unknown file system"),
        known(&storage.mount_source, "unknown device"),
        text(&environment.program.version),
        text(&environment.program.git_revision),
        text(&environment.started_at),
        code(&environment.command_line.join(" ")),
    );
    for warning in &environment.warnings {
        let _ = write!(
            out,
            "\n\nWarning: {}: {}.",
            text(&warning.message),
            text(&warning.remedy)
        );
    }
    out
}

/// Text that Markdown leaves as it is, also inside a table.
pub(super) fn text(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for character in raw.chars() {
        match character {
            '\n' | '\r' => out.push(' '),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '#' => {
                out.push('\\');
                out.push(character);
            }
            other => out.push(other),
        }
    }
    out
}

/// Text as code, whatever backticks it holds.
pub(super) fn code(raw: &str) -> String {
    let raw = raw.replace(['\n', '\r'], " ");
    let longest = raw
        .split(|character| character != '`')
        .map(str::len)
        .max()
        .unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    if longest == 0 {
        format!("{fence}{raw}{fence}")
    } else {
        format!("{fence} {raw} {fence}")
    }
}

/// The batch knobs.
#[must_use]
pub fn batch_knobs(row: &Row) -> String {
    match (row.batch_size, row.batch_timeout_us) {
        (Some(size), Some(wait)) if wait > 0.0 => format!("{size} / {} ms", wait / 1e3),
        (Some(size), _) => size.to_string(),
        (None, _) => NOTHING.to_owned(),
    }
}

fn or_nothing(value: Option<String>) -> String {
    value.unwrap_or_else(|| NOTHING.to_owned())
}

fn row_table(rows: &[Shown<'_>]) -> String {
    let mut out = String::from(
        "| row | transport | durability | batch | in flight | alpha | TPS | predicted TPS \
         | p50 ms | p95 ms | p99 ms | mean batch | bottleneck | verdict |\n\
         | --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- |\n",
    );
    for shown in rows {
        let row = shown.row;
        let prediction = row.prediction.as_ref();
        let tps = shown.tps();
        let _ = writeln!(
            out,
            "| {} | {} {} | {} | {} | {}×{} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            text(shown.label),
            text(&row.transport),
            text(row.config.encoding.as_str()),
            text(&row.durability_and_apply()),
            batch_knobs(row),
            row.config.load.concurrency,
            row.config.load.max_inflight_per_worker,
            row.config.workload.alpha,
            if matches!(shown.standing(), Standing::AtLeast | Standing::Plain) {
                format!("**{tps}**")
            } else {
                tps
            },
            or_nothing(prediction.map(|model| rate(model.tps))),
            known(row.latency_ms.p50, ms),
            known(row.latency_ms.p95, ms),
            known(row.latency_ms.p99, ms),
            or_nothing(
                row.server
                    .as_ref()
                    .map(|server| format!("{:.1}", server.mean_batch))
            ),
            prediction.map_or(NOTHING, Prediction::limit_in_words),
            shown.verdict(),
        );
    }
    out
}

fn open_loop_table(rows: &[Shown<'_>]) -> String {
    let mut out = String::new();
    for shown in rows {
        let Some(open) = &shown.row.open_loop else {
            continue;
        };
        if out.is_empty() {
            out.push_str(
                "## Open loop\n\nLatency counts from the intended start. Service time counts from \
                 sending.\n\n\
                 | row | offered TPS | achieved TPS | late | skipped | dropped | response p99 ms \
                 | service p99 ms | schedule lag p99 us |\n\
                 | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
            );
        }
        let p99 = |latency: Option<crate::record::Latency>| {
            known(latency.and_then(|latency| latency.p99), ms)
        };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            text(shown.label),
            rate(open.offered_tps),
            rate(open.achieved_tps),
            open.late,
            open.skipped,
            open.dropped,
            p99(shown.row.response_ms),
            p99(shown.row.service_ms),
            known(open.schedule_lag_us.and_then(|lag| lag.p99), |p99| format!(
                "{p99:.0}"
            )),
        );
    }
    out
}

fn summaries(report: &Report) -> String {
    let rows = report.rows();
    let mut out = String::new();
    let mut first = 0;
    for record in &report.records {
        for summary in &record.record.summaries {
            if out.is_empty() {
                out.push_str(
                    "## Repetitions\n\n\
                     | row | runs | median TPS | interval | variation | median p99 ms | conclusion |\n\
                     | --- | ---: | ---: | --- | ---: | ---: | --- |\n",
                );
            }
            let label = summary
                .rows
                .first()
                .and_then(|place| rows.get(first + place))
                .map_or(NOTHING, |shown| shown.label);
            let tps = &summary.tps;
            let _ = writeln!(
                out,
                "| {} | {} | {} | {:.0} %: {} to {} | {:.1} % | {} | {} |",
                text(label),
                tps.count,
                rate(tps.median),
                tps.confidence * 100.0,
                rate(tps.low),
                rate(tps.high),
                tps.variation * 100.0,
                known(summary.p99_ms.map(|one| one.median), ms),
                summary.warning.as_ref().map_or_else(
                    || "none withheld".to_owned(),
                    |warning| format!("{}: {}", text(&warning.message), text(&warning.remedy))
                ),
            );
        }
        first += record.record.rows.len();
    }
    out
}

fn verdicts(rows: &[Shown<'_>]) -> String {
    let mut out = String::new();
    for shown in rows {
        for verdict in &shown.row.verdicts {
            if out.is_empty() {
                out.push_str("## Verdicts\n\n");
            }
            let kind = if verdict.invalidates {
                "INVALID"
            } else {
                "warning"
            };
            let _ = writeln!(
                out,
                "- **{kind}**, {}: {}. Remedy: {}.",
                text(shown.label),
                text(&verdict.message),
                text(&verdict.remedy)
            );
        }
        if let Some(prediction) = &shown.row.prediction {
            if out.is_empty() {
                out.push_str("## Verdicts\n\n");
            }
            let said = match &prediction.remedy {
                Some(remedy) => format!("next knob, {}: {}", text(shown.label), text(remedy)),
                None => format!(
                    "prediction failed, {}: {}",
                    text(shown.label),
                    text(&prediction.refuted.join("; "))
                ),
            };
            let _ = writeln!(out, "- {said}.");
        }
    }
    out
}

fn budgets(rows: &[Shown<'_>]) -> String {
    let with: Vec<_> = rows
        .iter()
        .filter_map(|shown| Some((shown, shown.row.budget.as_ref()?)))
        .collect();
    if with.is_empty() {
        return String::new();
    }
    let mut stages: Vec<Stage> = Vec::new();
    for (_, budget) in &with {
        for time in &budget.stages {
            if !stages.contains(&time.stage) {
                stages.push(time.stage);
            }
        }
    }
    let mut out = String::from(
        "## Time budget\n\nMeans per transfer in microseconds: the stages add up to the mean \
         latency.\n\n| row | mean |",
    );
    for one in &stages {
        let _ = write!(out, " {} |", one.in_words());
    }
    let _ = writeln!(out, "\n| --- | ---: |{}", " ---: |".repeat(stages.len()));
    for (shown, budget) in &with {
        let _ = write!(out, "| {} | {:.1} |", text(shown.label), budget.mean_us);
        for one in &stages {
            let time = budget.stages.iter().find(|time| time.stage == *one);
            let cell = or_nothing(time.map(|time| format!("{:.1}", time.mean_us)));
            let _ = write!(out, " {cell} |");
        }
        out.push('\n');
    }
    out.push_str(
        "\nA second of the writer in milliseconds.\n\n\
         | row | in the sync | commit write | apply | answer | checkpoint | idle |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for (shown, budget) in &with {
        let Some(second) = &budget.second else {
            continue;
        };
        let _ = writeln!(
            out,
            "| {} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} |",
            text(shown.label),
            second.sync_ms,
            second.commit_write_ms,
            second.apply_ms,
            second.answer_ms,
            second.checkpoint_ms,
            second.idle_ms
        );
    }
    for (shown, budget) in &with {
        for what in &budget.withheld {
            let _ = writeln!(out, "\nWithheld, {}: {}.", text(shown.label), text(what));
        }
    }
    out
}
