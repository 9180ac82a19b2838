//! The Go benchmark format ("Proposal: Go Benchmark Data Format", golang/proposal 14313), which
//! benchstat reads: a line for each run.
//!
//! benchstat compares lines whose configuration (`key: value`) is the same. So only what must
//! not differ is written as configuration: neither the program's revision nor, in a file of its
//! own, the side.

use std::fmt::Write as _;

use crate::host::environment::Environment;
use crate::record::Row;
use crate::record::comparison::ComparisonRecord;
use crate::record::load_record::Report;
use crate::record::sides::Which;
use crate::render::forms::Form;
use crate::render::forms::tracked::{Kind, UnfitError, configuration, kind, plain, valid_runs};

/// For benchstat.
pub const FORM: Form = Form {
    options: &["side", "output-dir"],
    pair: Some(|report| {
        let [base, candidate] = [Which::Base, Which::Candidate]
            .map(|side| Ok::<_, UnfitError>((file_name(side), of_report(report, Some(side))?)));
        Ok([base?, candidate?])
    }),
    ..Form::plain(
        "gobench",
        "Go benchmark lines for benchstat, one per run",
        |report, options| Ok(of_report(report, options.side)?),
    )
};

/// The units, and whether more is better: benchstat marks by it.
const UNITS: &str = "Unit ns/op better=lower\nUnit TPS better=higher\nUnit p50-ns better=lower\n\
                     Unit p95-ns better=lower\nUnit p99-ns better=lower\n";

/// What the file of a side is called by default.
#[must_use]
pub const fn file_name(side: Which) -> &'static str {
    match side {
        Which::Base => "base.txt",
        Which::Candidate => "head.txt",
    }
}

/// The value of the key `side`.
const fn label(side: Which) -> &'static str {
    match side {
        Which::Base => "base",
        Which::Candidate => "head",
    }
}

fn side_lines(record: &ComparisonRecord, side: Which) -> Result<String, UnfitError> {
    let runs = valid_runs(record, side);
    let other = match side {
        Which::Base => Which::Candidate,
        Which::Candidate => Which::Base,
    };
    let others = valid_runs(record, other);
    let shared = |row: &Row| {
        let theirs = others.first().map(|row| configuration(row));
        let mut parts = configuration(row);
        if let Some(theirs) = theirs {
            parts.retain(|part| theirs.contains(part));
        }
        parts
    };
    let lines: Vec<String> = runs
        .iter()
        .filter_map(|row| line(row, None, &shared(row)))
        .collect();
    if lines.is_empty() {
        return Err(UnfitError::NoValidRow);
    }
    Ok(lines.concat())
}

/// One side of a comparison as a file of its own: `benchstat base.txt head.txt` compares the
/// two. What the sides set differently is no part of the benchmarks' names, as benchstat
/// compares those of one name.
///
/// # Errors
/// The side has no valid run.
pub fn of_side(record: &ComparisonRecord, side: Which) -> Result<String, UnfitError> {
    Ok(head(&record.environment, "") + &side_lines(record, side)?)
}

/// Both sides in one file: `benchstat -col side FILE` compares them.
///
/// # Errors
/// A side has no valid run.
pub fn of_comparison(record: &ComparisonRecord) -> Result<String, UnfitError> {
    let mut out = String::new();
    for side in [Which::Base, Which::Candidate] {
        let lines = side_lines(record, side)?;
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&head(
            &record.environment,
            &format!("side: {}\n", label(side)),
        ));
        out.push_str(&lines);
    }
    Ok(out)
}

/// The valid rows of runs, or a comparison.
///
/// # Errors
/// No row is valid, or there are several comparisons, or comparisons and runs, or a side is
/// asked of runs.
pub fn of_report(report: &Report, side: Option<Which>) -> Result<String, UnfitError> {
    match (kind(report)?, side) {
        (Kind::Comparison(comparison), Some(side)) => of_side(comparison, side),
        (Kind::Comparison(comparison), None) => of_comparison(comparison),
        (Kind::Runs, Some(_)) => Err(UnfitError::NoSides),
        (Kind::Runs, None) => {
            let mut out = String::new();
            for one in &report.records {
                let rows = one.record.rows.iter().filter(|row| row.valid);
                let lines: Vec<String> = rows
                    .filter_map(|row| line(row, row.config.name.as_deref(), &configuration(row)))
                    .collect();
                if lines.is_empty() {
                    continue;
                }
                if !out.is_empty() {
                    out.push('\n');
                }
                out.push_str(&head(&one.record.environment, ""));
                out.push_str(&lines.concat());
            }
            if out.is_empty() {
                Err(UnfitError::NoValidRow)
            } else {
                Ok(out)
            }
        }
    }
}

/// Configuration lines and units.
fn head(environment: &Environment, more: &str) -> String {
    let value = |text: &str| text.replace(['\n', '\r'], " ");
    let mut out = String::from("pkg: bench-client\n");
    let known = [
        ("cpu", &environment.machine.cpu_model),
        ("file-system", &environment.storage.file_system),
    ];
    for (key, text) in known {
        if let Some(text) = text {
            let _ = writeln!(out, "{key}: {}", value(text));
        }
    }
    out.push_str(more);
    out.push_str(UNITS);
    out.push('\n');
    out
}

/// The line of a run; `None` for one that committed nothing.
fn line(row: &Row, called: Option<&str>, parts: &[(&str, String)]) -> Option<String> {
    if row.committed == 0 || row.tps <= 0.0 {
        return None;
    }
    let mut name = "BenchmarkTransfers".to_owned();
    if let Some(called) = called {
        let _ = write!(name, "/row={}", plain(called));
    }
    for (key, value) in parts {
        let _ = write!(name, "/{key}={}", plain(value));
    }
    let ns = |milliseconds: f64| milliseconds * 1e6;
    let latency = &row.latency_ms;
    let mut line = format!(
        "{name} {} {:.1} ns/op {:.1} TPS",
        row.committed,
        1e9 / row.tps,
        row.tps,
    );
    for (unit, percentile) in [
        ("p50-ns", latency.p50),
        ("p95-ns", latency.p95),
        ("p99-ns", latency.p99),
    ] {
        // benchstat takes a unit that is not there for not measured.
        if let Some(percentile) = percentile {
            let _ = write!(line, " {:.0} {unit}", ns(percentile));
        }
    }
    Some(line + "\n")
}
