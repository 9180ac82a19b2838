//! `--runs`: the same rows several times.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

use std::collections::{BTreeMap, BTreeSet};

use bench_client::config::heading::LOAD;
use bench_client::config::{RunConfig, Target, flag_of};
use bench_client::judge::summarise;
use bench_client::record::{Record, Repetition, Row};
use busload_frontend::cli::count;
use clap::Args;
use serde_json::Value;

use super::verbosity;

#[derive(Debug, Args)]
pub(crate) struct RunsArgs {
    /// Repeat every row, and give medians [1 … 1000]
    ///
    /// With their intervals. Each time on a fresh database. 6 are the fewest that allow a confidence interval of 95 %.
    #[arg(long, help_heading = LOAD, value_name = "N", default_value_t = 1, value_parser = count::<u32>(1..=1000))]
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
    /// Whether rows are measured more than once.
    pub(crate) fn are_several(&self) -> bool {
        self.runs > 1
    }

    pub(crate) fn repeat(&self, plans: &[RunConfig]) -> Repetitions {
        let keeps = |plan: &RunConfig| matches!(plan.target, Target::Url { reseed: false, .. });
        if self.runs > 1 && plans.iter().any(keeps) {
            verbosity::warning(
                "a server at a URL keeps its database from one run to the next: \
                 --reseed gives each a fresh one",
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

/// What rows that are still to be measured are called: by the settings in which they differ, or by
/// their names.
pub(crate) fn labels(plans: &[RunConfig]) -> Vec<String> {
    let set: Vec<_> = plans.iter().map(RunConfig::compared).collect();
    let differs = |key: &String| set.iter().any(|one| one.get(key) != set[0].get(key));
    let keys: BTreeSet<&String> = set.iter().flat_map(BTreeMap::keys).collect();
    let keys: Vec<&String> = keys.into_iter().filter(|key| differs(key)).collect();
    let label = |(plan, set): (&RunConfig, &BTreeMap<String, Value>)| {
        let value = |key: &&&String| {
            let value = match set.get(**key)? {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            Some(match flag_of(key).as_str() {
                "connector" | "durability" => value,
                flag => format!("{flag} {value}"),
            })
        };
        let parts: Vec<String> = keys.iter().filter_map(|key| value(&key)).collect();
        match &plan.name {
            Some(name) => name.clone(),
            None if parts.is_empty() => plan.subject(),
            None => parts.join(", "),
        }
    };
    plans.iter().zip(&set).map(label).collect()
}

/// Adds a row, and brings the summaries up to date.
pub(crate) fn push(record: &mut Record, row: Row) {
    record.push(row);
    record.summaries = summarise(&record.rows);
}
