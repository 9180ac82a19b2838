//! `--runs`: the same rows several times.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

use bench_client::config::{RunConfig, Target};
use bench_client::judge::summarise;
use bench_client::record::{Record, Repetition, Row};
use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct RunsArgs {
    /// Measure every row this many times, each on a fresh database, and give medians with
    /// confidence intervals: 6 are the fewest that allow one of 95 %
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
}

/// Which repetitions are to be measured, and in which order.
pub(crate) struct Repetitions {
    /// One per repetition: the first of all rows, then the second of all rows. So whatever
    /// drifts while they run, such as a disk that fills up, hits all rows alike.
    pub(crate) plans: Vec<RunConfig>,
    rows: usize,
    runs: u32,
}

impl RunsArgs {
    pub(crate) fn repeat(&self, plans: &[RunConfig]) -> Repetitions {
        let keeps = |plan: &RunConfig| matches!(plan.target, Target::Url { reseed: false, .. });
        if self.runs > 1 && plans.iter().any(keeps) {
            eprintln!(
                "warning: a server at a URL keeps its database from one run to the next: \
                 --reseed gives each a fresh one"
            );
        }
        Repetitions {
            plans: (0..self.runs).flat_map(|_| plans.iter().cloned()).collect(),
            rows: plans.len(),
            runs: self.runs,
        }
    }
}

impl Repetitions {
    /// Which repetition the plan at this place is; `None` when nothing is repeated.
    pub(crate) fn number(&self, place: usize) -> Option<Repetition> {
        let number = u32::try_from(place / self.rows.max(1)).unwrap_or(u32::MAX);
        (self.runs > 1).then(|| Repetition {
            number: number.saturating_add(1),
            of: self.runs,
        })
    }
}

/// Adds a row, and brings the summaries up to date.
pub(crate) fn push(record: &mut Record, row: Row) {
    record.push(row);
    record.summaries = summarise(&record.rows);
}
