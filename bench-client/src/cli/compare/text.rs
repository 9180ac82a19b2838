//! The result of a comparison for people.

use std::fmt::Write as _;
use std::path::Path;

use bench_client::figures::UNKNOWN;
use bench_client::record::comparison::{
    Change, ComparisonRecord, Difference, MetricComparison, NoiseFloor,
};
use bench_client::record::{Row, Verdict};
use bench_client::report::{compare_words as words, table};
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

/// What is said, from the sides to the file.
pub(super) fn describe(record: &ComparisonRecord, path: &Path) -> String {
    let mut text = String::new();
    let mut line = |label: &str, what: &str| {
        let _ = writeln!(text, "{label:<10} {what}");
    };
    line("base", &words::side(&record.base));
    line("candidate", &words::side(&record.candidate));
    match record.differences.as_slice() {
        [] => line(
            "compared",
            "nothing is set differently: both sides are alike",
        ),
        differences => {
            let label = if record.base.baseline.is_some() {
                "unlike"
            } else {
                "compared"
            };
            for difference in differences {
                line(label, &describe_difference(difference));
            }
        }
    }
    line("runs", &runs(record));
    if let Some(calibration) = &record.calibration {
        let title = format!("\nA/A: {} against itself\n", calibration.label);
        text.push_str(&title);
        text.push_str(&metrics(&calibration.metrics));
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&metrics(&record.metrics));
    text.push('\n');
    for one in &record.not_compared {
        let _ = writeln!(text, "{:<10} {UNKNOWN}: {}", one.metric.title(), one.why);
    }
    let mut line = |label: &str, what: &str| {
        let _ = writeln!(text, "{label:<10} {what}");
    };
    if record.noise_floor.is_empty() {
        line("noise", "not known: too few runs of the same side");
    }
    for floor in &record.noise_floor {
        line("noise", &noise(floor));
    }
    for gate in &record.gates {
        let outcome = words::outcome(gate.outcome);
        line(
            "gate",
            &format!("{} {outcome}: {}", gate.gate, gate.message),
        );
    }
    let recorded = match (&record.base.baseline, record.metrics.first()) {
        (Some(_), Some(metric)) => metric.base.count as usize,
        _ => 0,
    };
    for note in notes(record.rows.get(recorded..).unwrap_or_default()) {
        line("note", &note);
    }
    line("result", &words::headline(record));
    if let Some(gates) = words::gates(record) {
        line("gates", &gates);
    }
    text.push_str(&table::record_line(path));
    text
}

/// `batch-size: 1 (base), 4096 (candidate)`.
pub(super) fn describe_difference(difference: &Difference) -> String {
    let Difference {
        field,
        base,
        candidate,
    } = difference;
    format!("{field}: {base} (base), {candidate} (candidate)")
}

fn runs(record: &ComparisonRecord) -> String {
    let count = if record.base.baseline.is_some() {
        let metric = record.metrics.first();
        let (base, candidate) =
            metric.map_or((0, 0), |metric| (metric.base.count, metric.candidate.count));
        format!("{base} recorded, {candidate} measured now")
    } else {
        format!("{} rounds of both sides in turn", record.rounds.len())
    };
    let seconds = record.rows.last().map_or(0.0, |row| row.seconds);
    let stopped = words::stopped(record.stopped);
    format!("{count}, {seconds:.1} s each; {stopped}")
}

fn metrics(metrics: &[MetricComparison]) -> String {
    if metrics.is_empty() {
        return "nothing was compared\n".to_owned();
    }
    let mut table = Table::new();
    table.load_preset(NOTHING);
    let confidence = metrics.first().map_or(0.0, |metric| metric.confidence);
    let interval = format!("{} interval", words::level(confidence));
    table.set_header(["", "base", "candidate", "ratio", &interval, "verdict"]);
    for metric in metrics {
        let shown = |value: f64| metric.metric.show(value);
        table.add_row([
            metric.metric.with_unit().to_owned(),
            shown(metric.base.median),
            shown(metric.candidate.median),
            format!("{:.3}", metric.ratio),
            format!("{:.3} to {:.3}", metric.low, metric.high),
            verdict(metric),
        ]);
    }
    for (number, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if (1..5).contains(&number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = String::new();
    for row in table.lines() {
        let _ = writeln!(text, "{}", row.trim_end());
    }
    text
}

/// What can be said of a metric, and by how much where that is proven.
fn verdict(metric: &MetricComparison) -> String {
    let what = words::change(metric.change);
    match metric.change {
        Change::Faster | Change::Slower => {
            let [low, high] = [metric.low, metric.high].map(words::percent);
            format!("{what}, by {low} to {high}")
        }
        Change::NoDifference { .. } | Change::Inconclusive { .. } => what,
    }
}

fn noise(floor: &NoiseFloor) -> String {
    let seen = match floor.smallest_effect {
        Some(effect) => format!("less than {} cannot be seen", words::share(effect)),
        None => "this comparison saw less than they let expect".to_owned(),
    };
    format!(
        "{}: neighbouring runs of one side differ by {}; {seen}",
        floor.metric.title(),
        words::share(floor.typical),
    )
}

/// What the runs that were measured now say about themselves, each thing once.
fn notes(rows: &[Row]) -> Vec<String> {
    let mut found: Vec<(&Verdict, usize)> = Vec::new();
    for verdict in rows.iter().flat_map(|row| &row.verdicts) {
        match found.iter_mut().find(|(same, _)| same.code == verdict.code) {
            Some((_, count)) => *count += 1,
            None => found.push((verdict, 1)),
        }
    }
    let all = rows.len();
    let said = found
        .into_iter()
        .map(|(verdict, count)| format!("{count} of {all} runs: {}", verdict.message));
    said.collect()
}
