//! Figures for tools that follow a benchmark over time: what each is called, its value and
//! its interval.
//!
//! The name of a benchmark is made of what makes rows comparable and of nothing else, so that
//! it stays the same from one commit to the next.

use crate::record::Row;
use crate::record::comparison::{ComparisonRecord, Metric};
use crate::record::load_record::{Report, Shown, Standing};
use crate::record::sides::{Which, runs_of, side_of};
use crate::render::ratios::percent;
use crate::statistics::Estimate;

/// Why records cannot be shown in a form.
#[derive(Debug, thiserror::Error)]
pub enum UnfitError {
    /// Several comparisons, or comparisons and runs.
    #[error("this form holds either one comparison or any number of runs: give one kind at a time")]
    Mixed,
    /// One table has one kind of line.
    #[error(
        "a CSV table has a line for each row of runs or for each metric of comparisons: give \
         one kind at a time"
    )]
    MixedTable,
    /// The comparison holds an invalid run.
    #[error("the comparison holds an invalid run: there is nothing to track, measure again")]
    Invalid,
    /// The comparison ended before anything could be said.
    #[error("the comparison has no metrics: there is nothing to track, measure again")]
    Empty,
    /// No row is valid.
    #[error("no row is valid: there is nothing to track, measure again")]
    NoValidRow,
    /// Only a comparison has sides.
    #[error("runs have no sides: leave --side and --output-dir out, or give a comparison")]
    NoSides,
}

/// A figure of a benchmark.
#[derive(Debug, Clone, PartialEq)]
pub struct Tracked {
    /// The benchmark: `sqlite_ws_rpc/json/wal-full/…`.
    pub name: String,
    /// What of it.
    pub metric: Metric,
    /// Transfers per second, or milliseconds.
    pub value: f64,
    /// Lower and upper end of its interval, which one run does not have.
    pub interval: Option<[f64; 2]>,
    /// What else a reader should know.
    pub extra: String,
}

/// What a report is of.
#[derive(Debug, Clone, Copy)]
pub enum Kind<'a> {
    /// One comparison.
    Comparison(&'a ComparisonRecord),
    /// Runs.
    Runs,
}

/// What a report is of, for forms that hold one kind.
///
/// # Errors
/// There are several comparisons, or comparisons and runs.
pub fn kind(report: &Report) -> Result<Kind<'_>, UnfitError> {
    let mut comparisons = report
        .records
        .iter()
        .filter_map(|one| one.comparison.as_ref());
    match (comparisons.next(), report.records.len()) {
        (None, _) => Ok(Kind::Runs),
        (Some(comparison), 1) => Ok(Kind::Comparison(comparison)),
        (Some(_), _) => Err(UnfitError::Mixed),
    }
}

/// What makes rows comparable: names as of the flags, in an order that never changes. The
/// last one is a number with no hyphen before it: Go takes `-8` at the end of a name for the
/// number of processors.
pub(super) fn configuration(row: &Row) -> Vec<(&'static str, String)> {
    let mut parts = vec![
        ("connector", row.config.subject()),
        ("encoding", row.config.encoding.to_string()),
        ("durability", row.durability.clone()),
    ];
    if let Some(apply) = row.apply.as_ref().filter(|apply| *apply != "per-transfer") {
        parts.push(("apply", apply.clone()));
    }
    if let Some(size) = row.batch_size {
        parts.push(("batch-size", size.to_string()));
    }
    if let Some(wait) = row.batch_timeout_us.filter(|wait| *wait > 0.0) {
        parts.push(("batch-timeout-us", wait.to_string()));
    }
    parts.push((
        "in-flight",
        format!(
            "{}x{}",
            row.config.load.concurrency, row.config.load.max_inflight_per_worker
        ),
    ));
    parts.push(("accounts", row.config.workload.accounts.to_string()));
    if let Some(open) = &row.open_loop {
        parts.push(("rate", open.offered_tps.to_string()));
    }
    parts.push(("alpha", row.config.workload.alpha.to_string()));
    parts
}

/// A part of a name: no separator and no space in it.
pub(super) fn plain(part: &str) -> String {
    let separates = |c: char| c.is_whitespace() || c.is_control() || c == '/' || c == '=';
    part.replace(separates, "_")
}

fn name(row: &Row, called: Option<&str>) -> String {
    let called = called.map(plain);
    let parts = configuration(row)
        .into_iter()
        .map(|(key, value)| match key {
            "connector" | "encoding" | "durability" => plain(&value),
            _ => format!("{key}={}", plain(&value)),
        });
    called
        .into_iter()
        .chain(parts)
        .collect::<Vec<_>>()
        .join("/")
}

fn interval(estimate: &Estimate) -> Option<[f64; 2]> {
    (estimate.count > 1).then_some([estimate.low, estimate.high])
}

/// The candidate's figures.
///
/// # Errors
/// A run was invalid, or nothing was compared.
pub fn of_comparison(record: &ComparisonRecord) -> Result<Vec<Tracked>, UnfitError> {
    if !record.valid {
        return Err(UnfitError::Invalid);
    }
    let row = runs_of(record, Which::Candidate)
        .next()
        .ok_or(UnfitError::Empty)?;
    if record.metrics.is_empty() {
        return Err(UnfitError::Empty);
    }
    let name = name(row, None);
    let metrics = record.metrics.iter();
    Ok(metrics
        .map(|one| Tracked {
            name: name.clone(),
            metric: one.metric,
            value: one.candidate.median,
            interval: interval(&one.candidate),
            extra: format!(
                "median of {} runs; against the base {} ({} to {})",
                one.candidate.count,
                percent(one.ratio),
                percent(one.low),
                percent(one.high)
            ),
        })
        .collect())
}

/// The figures of every row, repetitions taken together; invalid rows are left out.
///
/// # Errors
/// No row is valid.
pub fn of_rows(rows: &[Shown<'_>]) -> Result<Vec<Tracked>, UnfitError> {
    let mut groups: Vec<(String, Vec<&Shown<'_>>)> = Vec::new();
    for shown in rows.iter().filter(|shown| shown.row.valid) {
        let name = name(shown.row, shown.row.config.name.as_deref());
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, members)) => members.push(shown),
            None => groups.push((name, vec![shown])),
        }
    }
    let mut tracked = Vec::new();
    for (name, members) in &groups {
        for metric in Metric::ALL {
            // A percentile that one of the runs is too short for is left out.
            let values: Option<Vec<f64>> =
                members.iter().map(|shown| metric.of(shown.row)).collect();
            let Some(estimate) = values.and_then(|values| Estimate::of(&values)) else {
                continue;
            };
            let standing = members
                .iter()
                .map(|shown| shown.standing())
                .find_map(|one| match one {
                    Standing::NullServer => Some("; null server: nothing stored"),
                    Standing::AtLeast => Some("; at least: the generator may be the limit"),
                    Standing::Invalid | Standing::Plain => None,
                });
            tracked.push(Tracked {
                name: name.clone(),
                metric,
                value: estimate.median,
                interval: interval(&estimate),
                extra: format!(
                    "median of {} run{}{}",
                    estimate.count,
                    if estimate.count == 1 { "" } else { "s" },
                    standing.unwrap_or_default()
                ),
            });
        }
    }
    if tracked.is_empty() {
        return Err(UnfitError::NoValidRow);
    }
    Ok(tracked)
}

/// The figures of a report: those of the candidate when it is a comparison.
///
/// # Errors
/// There is nothing to track, or several comparisons, or comparisons and runs.
pub fn of_report(report: &Report) -> Result<Vec<Tracked>, UnfitError> {
    match kind(report)? {
        Kind::Comparison(comparison) => of_comparison(comparison),
        Kind::Runs => of_rows(&report.rows()),
    }
}

/// The runs of a side that were paired, valid ones only.
pub(super) fn valid_runs(record: &ComparisonRecord, side: Which) -> Vec<&Row> {
    let rows = record.rows.iter().enumerate();
    rows.filter(|(place, row)| row.valid && side_of(record, *place) == Some(side))
        .map(|(_, row)| row)
        .collect()
}
