//! The result of a comparison for people.

use std::fmt::Write as _;
use std::path::Path;

use bench_client::report::comparison::{
    Change, ComparisonRecord, Difference, GateOutcome, Metric, MetricComparison, NoiseFloor, Side,
    Stopped,
};
use bench_client::report::table;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

/// What is said, from the sides to the file.
pub(super) fn describe(record: &ComparisonRecord, path: &Path) -> String {
    let mut text = String::new();
    let mut line = |label: &str, what: &str| {
        let _ = writeln!(text, "{label:<10} {what}");
    };
    line("base", &side(&record.base));
    line("candidate", &side(&record.candidate));
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
        let outcome = match gate.outcome {
            GateOutcome::Failed => "FAILED",
            GateOutcome::Passed => "passed",
            GateOutcome::Undecided => "undecided",
        };
        line(
            "gate",
            &format!("{} {outcome}: {}", gate.gate, gate.message),
        );
    }
    if !record.valid {
        line(
            "INVALID",
            "a run is invalid: nothing of this should be quoted",
        );
    }
    text.push_str(&table::record_line(path));
    text
}

fn side(side: &Side) -> String {
    match &side.baseline {
        Some(file) => format!("{} (recorded in {file})", side.label),
        None => side.label.clone(),
    }
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
    let stopped = match record.stopped {
        Stopped::Rounds => "all that were to be",
        Stopped::Precision => "the precision is reached",
        Stopped::TimeLimit => "the time is over",
        Stopped::Interrupted => "interrupted",
        Stopped::Invalid => "a run is invalid",
    };
    format!("{count}, {seconds:.1} s each; {stopped}")
}

fn metrics(metrics: &[MetricComparison]) -> String {
    if metrics.is_empty() {
        return "nothing was compared\n".to_owned();
    }
    let mut table = Table::new();
    table.load_preset(NOTHING);
    let confidence = metrics.first().map_or(0.0, |metric| metric.confidence);
    let interval = format!("{:.2} % interval", confidence * 100.0);
    table.set_header(["", "base", "candidate", "ratio", &interval, "verdict"]);
    for metric in metrics {
        let shown = |value: f64| match metric.metric {
            Metric::Tps => table::rate(value),
            Metric::P50 | Metric::P95 | Metric::P99 => table::ms(value),
        };
        table.add_row([
            match metric.metric {
                Metric::Tps => "TPS".to_owned(),
                latency => format!("{} ms", latency.as_str()),
            },
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

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// What can be said of a metric, in words.
fn verdict(metric: &MetricComparison) -> String {
    let by = || {
        let signed = |ratio: f64| format!("{:+.1} %", (ratio - 1.0) * 100.0);
        format!("{} to {}", signed(metric.low), signed(metric.high))
    };
    match metric.change {
        Change::Faster => format!("faster ({})", by()),
        Change::Slower => format!("SLOWER ({})", by()),
        Change::NoDifference { within } => {
            format!("no difference larger than {}", percent(within))
        }
        Change::Inconclusive {
            more_rounds: Some(more),
        } => format!("inconclusive: about {more} more rounds"),
        Change::Inconclusive { more_rounds: None } => {
            "inconclusive: more rounds would not do".to_owned()
        }
    }
}

fn noise(floor: &NoiseFloor) -> String {
    format!(
        "{}: neighbouring runs of one side differ by {}; less than {} cannot be seen",
        floor.metric.as_str(),
        percent(floor.typical),
        percent(floor.smallest_effect),
    )
}
