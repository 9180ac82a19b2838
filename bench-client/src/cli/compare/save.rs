//! `run --save-baseline`.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

use std::path::PathBuf;

use anyhow::Context as _;
use bench_client::compare::{Baseline, named_path};
use bench_client::config::RunConfig;
use bench_client::config::heading::OUTPUT;
use bench_client::record::Record;
use bench_client::statistics::RUNS_MIN;
use clap::Args;

use super::usage;
use crate::cli::print;
use crate::cli::verbosity;

#[derive(Debug, Args)]
pub(crate) struct SaveArgs {
    /// Keep the record as results/baselines/NAME.json, for compare --baseline NAME
    ///
    /// --runs 6 or more make it worth comparing with.
    #[arg(long, help_heading = OUTPUT, value_name = "NAME")]
    save_baseline: Option<String>,
}

/// A record that is to be kept.
pub(crate) struct ToSave {
    name: String,
    path: PathBuf,
}

impl SaveArgs {
    /// Whether a record is to be kept.
    pub(crate) fn is_asked_for(&self) -> bool {
        self.save_baseline.is_some()
    }

    /// What is to be kept of these plans, if anything.
    pub(crate) fn check(&self, plans: &[RunConfig]) -> anyhow::Result<Option<ToSave>> {
        let Some(name) = &self.save_baseline else {
            return Ok(None);
        };
        let path = named_path(name).map_err(|error| usage(&error.to_string()))?;
        let [plan] = plans else {
            return Err(usage(
                "a baseline is of one row: leave out lists, or save each by a run of its own",
            ));
        };
        if plan.target.is_null() {
            return Err(usage(
                "--save-baseline is for run: compare has no null server to hold against it",
            ));
        }
        Ok(Some(ToSave {
            name: name.clone(),
            path,
        }))
    }
}

impl ToSave {
    /// Keeps the record, unless a run of it is invalid or was cut short: that is said, and
    /// nothing changes.
    pub(crate) fn save(&self, record: &Record, json: bool) -> anyhow::Result<()> {
        let name = &self.name;
        let whole = record.rows.iter().all(|row| {
            let of = row.repetition.map_or(1, |repetition| repetition.of);
            row.valid && !row.interrupted && record.rows.len() == of as usize
        });
        if !whole {
            eprintln!(
                "baseline {name} is not saved: a run is invalid or was interrupted; measure again"
            );
            return Ok(());
        }
        let replaced = Baseline::save(&self.path, record)
            .with_context(|| format!("cannot write the baseline {}", self.path.display()))?;
        let how = if replaced {
            ", replaces the earlier one"
        } else {
            ""
        };
        let said = format!("{:<10} {}{how}", "baseline", self.path.display());
        if json {
            eprintln!("{said}");
        } else {
            print(&said);
        }
        if record.rows.len() < RUNS_MIN as usize {
            verbosity::warning(&format!(
                "a baseline of {} runs allows no verdict from as few runs of a \
                 candidate: --runs {RUNS_MIN} are the fewest",
                record.rows.len()
            ));
        }
        Ok(())
    }
}
