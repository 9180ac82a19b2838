//! `--runs`: the same rows several times.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

use std::collections::{BTreeMap, BTreeSet};

use bench_client::config::heading::LOAD;
use bench_client::config::{RunConfig, Target, flag_of, setting_in_words};
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

/// What rows that are still to be measured are called: by their names, or by what is measured,
/// where that differs, and the settings in which rows of it differ. Servers of two makers have no
/// knob in common, and none of them tells one row from another.
pub(crate) fn labels(plans: &[RunConfig]) -> Vec<String> {
    let set: Vec<_> = plans.iter().map(RunConfig::compared).collect();
    let subjects: Vec<String> = plans.iter().map(RunConfig::subject).collect();
    let mut first_of: BTreeMap<&String, &BTreeMap<String, Value>> = BTreeMap::new();
    let mut differing: BTreeSet<&String> = BTreeSet::new();
    for (subject, set) in subjects.iter().zip(&set) {
        let first = *first_of.entry(subject).or_insert(set);
        let keys = set.keys().chain(first.keys());
        differing.extend(keys.filter(|key| set.get(*key) != first.get(*key)));
    }
    let several = first_of.len() > 1;
    let label = |((plan, subject), set): ((&RunConfig, &String), &BTreeMap<String, Value>)| {
        let value = |key: &&String| {
            let value = setting_in_words(key, set.get(*key)?);
            Some(match flag_of(key).as_str() {
                "connector" | "durability" => value,
                flag => format!("{flag} {value}"),
            })
        };
        let subject = (several || differing.is_empty()).then(|| subject.clone());
        let parts = subject
            .into_iter()
            .chain(differing.iter().filter_map(value));
        let by_settings = || parts.collect::<Vec<_>>().join(", ");
        plan.name.clone().unwrap_or_else(by_settings)
    };
    let subjects = plans.iter().zip(&subjects);
    subjects.zip(&set).map(label).collect()
}

/// Adds a row, and brings the summaries up to date.
pub(crate) fn push(record: &mut Record, row: Row) {
    record.push(row);
    record.summaries = summarise(&record.rows);
}

#[cfg(test)]
mod tests {
    use bench_client::config::{About, Private, Target};

    use super::*;

    #[test]
    fn rows_are_called_by_what_tells_them_apart() {
        let own = |window| {
            let mut plan = RunConfig::default();
            plan.load.max_inflight_per_worker = window;
            plan
        };
        let theirs = |window| RunConfig {
            target: Target::Url {
                about: Some(About {
                    name: "theirs".to_owned(),
                    ..About::default()
                }),
                url: Private("ws://127.0.0.1:9".to_owned()),
                approach: Private::default(),
                token_file: Private::default(),
                ca: Private::default(),
                reseed: false,
            },
            ..own(window)
        };
        let subject = own(1).subject();
        assert_eq!(labels(&[own(1)]), std::slice::from_ref(&subject));
        let windows = ["inflight 1", "inflight 8"];
        assert_eq!(labels(&[own(1), own(8)]), windows);
        let mut late = own(1);
        late.load.rate = Some(5_000.0);
        let rates = ["rate closed loop", "rate 5000"];
        assert_eq!(labels(&[own(1), late]), rates);
        assert_eq!(
            labels(&[own(1), own(8), theirs(1), theirs(8)]),
            [
                format!("{subject}, {}", windows[0]),
                format!("{subject}, {}", windows[1]),
                format!("theirs, {}", windows[0]),
                format!("theirs, {}", windows[1]),
            ]
        );
    }
}
