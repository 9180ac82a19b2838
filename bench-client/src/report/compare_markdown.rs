//! A comparison in Markdown, to be posted as a comment: the conclusion first, the machine
//! folded.

use std::fmt::Write as _;

use crate::figures::{UNKNOWN, known};
use crate::record::comparison::{Change, ComparisonRecord, GateOutcome, MetricComparison};
use crate::record::sides::Which;
use crate::report::compare_words::{
    change, gates, headline, level, outcome, percent, share, side, stopped,
};
use crate::report::markdown::{code, described, text};
use crate::report::table::CLOSED_LOOP;

/// The hidden first line, by which a script finds the comment that it is to replace.
pub const MARKER: &str = "<!-- bench-client compare -->";

/// The comment.
#[must_use]
pub fn to_markdown(record: &ComparisonRecord) -> String {
    let mut out = format!("{MARKER}\n## {}\n", text(&headline(record)));
    if let Some(gates) = gates(record) {
        let _ = writeln!(out, "\n**{}**", text(&gates));
    }
    if record.valid && !record.metrics.is_empty() {
        out.push_str(&metrics(record));
    }
    out.push_str(&invalid(record));
    out.push_str(&sides(record));
    out.push_str(&gate_table(record));
    out.push_str(&noise(record));
    out.push_str(&calibration(record));
    let _ = write!(
        out,
        "\n<details>\n<summary>Machine, program and command</summary>\n\n{}\n",
        described(&record.environment)
    );
    if record.rows.iter().any(|row| row.open_loop.is_none()) {
        let _ = writeln!(out, "\n{CLOSED_LOOP}");
    }
    out.push_str("\n</details>\n");
    out
}

fn metrics(record: &ComparisonRecord) -> String {
    let mut out = format!(
        "\n| metric | {} | {} | B ÷ A | interval | verdict |\n\
         | --- | ---: | ---: | ---: | :---: | --- |\n",
        Which::Base.in_words(),
        Which::Candidate.in_words()
    );
    out.push_str(&metric_lines(&record.metrics));
    for one in &record.not_compared {
        let title = one.metric.with_unit();
        let _ = writeln!(
            out,
            "| {title} | {UNKNOWN} | {UNKNOWN} | {UNKNOWN} | {UNKNOWN} | {} |",
            text(&one.why)
        );
    }
    if let Some(first) = record.metrics.first() {
        let _ = writeln!(
            out,
            "\nMedians of the runs. Each interval of B ÷ A holds with {}, corrected for looking \
             at {} metrics.",
            level(first.confidence),
            record.metrics.len()
        );
    }
    out
}

fn metric_lines(metrics: &[MetricComparison]) -> String {
    let mut out = String::new();
    for one in metrics {
        let verdict = match one.change {
            Change::Slower | Change::Faster => format!("**{}**", change(one.change)),
            Change::NoDifference { .. } | Change::Inconclusive { .. } => change(one.change),
        };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {:.3} ({}) | {:.3} to {:.3} | {verdict} |",
            one.metric.with_unit(),
            one.metric.show(one.base.median),
            one.metric.show(one.candidate.median),
            one.ratio,
            percent(one.ratio),
            one.low,
            one.high,
        );
    }
    out
}

fn invalid(record: &ComparisonRecord) -> String {
    let mut out = String::new();
    for (place, row) in record.rows.iter().enumerate() {
        for verdict in row.verdicts.iter().filter(|one| one.invalidates) {
            let _ = writeln!(
                out,
                "- **INVALID**, run {}: {}. Remedy: {}.",
                place + 1,
                text(&verdict.message),
                text(&verdict.remedy)
            );
        }
    }
    if out.is_empty() {
        out
    } else {
        format!("\n{out}")
    }
}

fn sides(record: &ComparisonRecord) -> String {
    let mut out = format!(
        "\nA is {}, B is {}.",
        code(&side(&record.base)),
        code(&side(&record.candidate))
    );
    if record.differences.is_empty() {
        out.push_str(" They are set alike.");
    } else {
        out.push_str(" Compared:");
        for (place, one) in record.differences.iter().enumerate() {
            let _ = write!(
                out,
                "{} {} {} → {}",
                if place == 0 { "" } else { "," },
                text(&one.field),
                code(&one.base),
                code(&one.candidate)
            );
        }
        out.push('.');
    }
    let seconds = record
        .rows
        .first()
        .map_or_else(String::new, |row| format!(" of {:.1} s a run", row.seconds));
    let _ = writeln!(
        out,
        " {} rounds{seconds}: {}.",
        record.rounds.len(),
        stopped(record.stopped)
    );
    out
}

fn gate_table(record: &ComparisonRecord) -> String {
    if record.gates.is_empty() {
        return String::new();
    }
    let mut out = String::from("\n| gate | result | found |\n| --- | --- | --- |\n");
    for gate in &record.gates {
        let result = outcome(gate.outcome);
        let result = if gate.outcome == GateOutcome::Failed {
            format!("**{result}**")
        } else {
            result.to_owned()
        };
        let _ = writeln!(
            out,
            "| {} | {result} | {} |",
            text(&gate.gate),
            text(&gate.message)
        );
    }
    out
}

fn noise(record: &ComparisonRecord) -> String {
    if record.noise_floor.is_empty() {
        return String::new();
    }
    let mut out = String::from(
        "\n<details>\n<summary>Noise floor: what this machine does between runs of the same \
         side</summary>\n\n\
         | metric | pairs | typical difference | smallest effect seen |\n\
         | --- | ---: | ---: | ---: |\n",
    );
    for floor in &record.noise_floor {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} |",
            floor.metric.with_unit(),
            floor.pairs,
            share(floor.typical),
            known(floor.smallest_effect, share)
        );
    }
    out.push_str("\n</details>\n");
    out
}

fn calibration(record: &ComparisonRecord) -> String {
    let Some(calibration) = &record.calibration else {
        return String::new();
    };
    format!(
        "\n<details>\n<summary>Calibration: one side compared with itself</summary>\n\n\
         {} in {} rounds. Whatever differs here, the machine does.\n\n\
         | metric | first | second | ratio | interval | verdict |\n\
         | --- | ---: | ---: | ---: | :---: | --- |\n{}\n</details>\n",
        code(&calibration.label),
        calibration.rounds,
        metric_lines(&calibration.metrics)
    )
}
