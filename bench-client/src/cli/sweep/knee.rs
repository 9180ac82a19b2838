//! `--find-knee`: the highest offered rate that the server keeps up with.

use std::process::ExitCode;
use std::time::Duration;

use bench_client::config::{Measure, RunConfig, parse_rate};
use bench_client::figures;
use bench_client::measure::RowError;
use bench_client::record::Knee;
use bench_client::render::records::summary::row_line;
use bench_client::statistics::Percentile;
use bench_client::sweep::{KneeSearch, Next, Recorded, Trial};
use busload_frontend::cli::{count, parse_duration_within};
use clap::Args;
use tokio::sync::watch;

use super::{HEADING, Sweeping, usage};
use crate::cli::VALID;
use crate::cli::interrupt::watch_signals;
use crate::cli::load_flags::LoadFlags;
use crate::cli::progress::Detail;
use crate::cli::run::{Titled, measure_one, runtime};

/// Rates tried between the ends of the range when nothing else is said: two ends a factor of 60
/// apart come to within 2 % of each other.
const STEPS: u32 = 8;
/// How far above the TPS of a closed loop the search begins. What saturates a closed loop is
/// behind at a quarter more.
const ABOVE_CLOSED_LOOP: f64 = 1.25;
/// How far below its upper end the search begins. The sync alone then decides the latency.
const BELOW_UPPER_END: f64 = 50.0;

/// Poisson arrivals offer now more and now less than their rate.
const MORE_THAN_NEEDED: f64 = 1.1;

#[derive(Debug, Args)]
pub(super) struct KneeArgs {
    /// Instead, search the highest rate that holds
    ///
    /// The one that keeps p99 under --p99-limit with 99 % of the offered transfers committed.
    #[arg(long, help_heading = HEADING, conflicts_with = "over")]
    find_knee: bool,
    /// Lowest rate to try [default: a fiftieth of --to]
    ///
    /// In transfers per second. By default no less than a p99 needs in the time that is measured.
    #[arg(long, help_heading = HEADING, value_name = "RATE", value_parser = parse_rate)]
    from: Option<f64>,
    /// Highest rate to try [default: 1.25 of a closed loop]
    ///
    /// 1.25 times the TPS that a closed loop reaches.
    #[arg(long, help_heading = HEADING, value_name = "RATE", value_parser = parse_rate)]
    to: Option<f64>,
    /// Highest p99 that is good enough [1us … 60s] [default: 10ms]
    ///
    /// Of the response time.
    #[arg(long, help_heading = HEADING, value_name = "TIME", value_parser = parse_limit)]
    p99_limit: Option<Duration>,
    /// Most rates tried between the lowest and the highest [1 … 32] [default: 8]
    #[arg(long, help_heading = HEADING, value_name = "N", value_parser = count::<u32>(1..=32))]
    steps: Option<u32>,
}

impl KneeArgs {
    pub(super) fn is_asked_for(&self) -> bool {
        self.find_knee
    }

    /// A rate that will be tried, or one like it.
    pub(super) fn first_rate(&self) -> f64 {
        self.from.or(self.to).unwrap_or(1.0)
    }

    /// A flag that makes no sense without a search. (clap's `requires` does not see it, since
    /// `--over` excludes the search.)
    pub(super) fn without_search(&self) -> Option<&'static str> {
        [
            (self.from.is_some(), "--from"),
            (self.to.is_some(), "--to"),
            (self.p99_limit.is_some(), "--p99-limit"),
            (self.steps.is_some(), "--steps"),
        ]
        .into_iter()
        .find_map(|(given, flag)| (given && !self.find_knee).then_some(flag))
    }
}

fn parse_limit(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_micros(1)..=Duration::from_mins(1);
    parse_duration_within(text, bounds, "write a duration from 1us to 60s")
}

/// The rows of a search: in a closed loop, and at its first rate.
pub(super) fn rows(load: &LoadFlags, rate: f64) -> anyhow::Result<[RunConfig; 2]> {
    super::refuse_lists(load)?;
    Ok([at_rate(load, None)?, at_rate(load, Some(rate))?])
}

/// The one row at this rate; in a closed loop without one.
fn at_rate(load: &LoadFlags, rate: Option<f64>) -> anyhow::Result<RunConfig> {
    let load = match rate {
        Some(rate) => load.with([("rate".to_owned(), Some(rate.to_string()))]),
        // What is about an open loop only.
        None => load.without("arrival").without("latency-limit"),
    };
    let mut rows = load.rows()?.into_iter();
    match (rows.next(), rows.next()) {
        (Some(row), None) => Ok(row),
        _ => Err(usage(
            "--find-knee searches for one connector: name it with --connector",
        )),
    }
}

pub(super) fn run(
    args: &KneeArgs,
    [closed, open]: [&RunConfig; 2],
    mut sweeping: Sweeping,
) -> anyhow::Result<ExitCode> {
    if let (Some(from), Some(to)) = (args.from, args.to)
        && from >= to
    {
        return Err(usage("--from must be below --to"));
    }
    // One that was found before is found again from its rows.
    sweeping.record.knee = None;
    let mut search = Search {
        args,
        closed,
        open,
        recorded: Recorded::default(),
        skipped: 0,
    };
    let ended = runtime()?.block_on(search.run(&mut sweeping));
    sweeping.say_skipped(search.skipped, sweeping.record.rows.len());
    if sweeping.record.rows.is_empty() {
        return ended.map(|_| ExitCode::from(VALID));
    }
    if let Ok(Some(knee)) = &ended {
        sweeping.record.knee = Some(knee.clone());
    }
    let written = sweeping.path.write(&sweeping.record);
    sweeping.show()?;
    let ended = ended?;
    written?;
    if ended.is_none() {
        eprintln!(
            "interrupted: the search is not at its end; go on with --output {}",
            sweeping.path.display()
        );
    }
    Ok(sweeping.ending(ended.is_none()).code())
}

struct Search<'a> {
    args: &'a KneeArgs,
    closed: &'a RunConfig,
    /// At some rate.
    open: &'a RunConfig,
    recorded: Recorded,
    /// Measurements that were recorded already.
    skipped: usize,
}

impl Search<'_> {
    /// `None` when it was interrupted.
    async fn run(&mut self, sweeping: &mut Sweeping) -> anyhow::Result<Option<Knee>> {
        let interrupted = watch_signals()?;
        let to = if let Some(to) = self.args.to {
            to
        } else {
            let closed = self.measure(None, sweeping, &interrupted);
            let Some(measured) = closed.await? else {
                return Ok(None);
            };
            let row = &sweeping.record.rows[measured];
            if !row.valid {
                return Err(usage(
                    "the row of the closed loop is invalid, so where to search is not known: \
                     name the highest rate with --to",
                ));
            }
            // Whole rates: they stand in commands and records.
            (row.tps * ABOVE_CLOSED_LOOP).ceil()
        };
        let lowest = self.lowest_rate()?;
        if let Some(from) = self.args.from.filter(|from| *from < lowest) {
            return Err(usage(&format!(
                "a p99 needs {} transfers, and {from} per second are fewer: raise --duration, or \
                 --from to {lowest}",
                figures::grouped(Percentile::P99.samples_min())
            )));
        }
        let from = self
            .args
            .from
            .unwrap_or_else(|| (to / BELOW_UPPER_END).max(lowest));
        if from >= to {
            return Err(usage(&format!(
                "the search would go from {from} to {to} transfers per second: lower --from, \
                 raise its end with --to, or measure longer with --duration"
            )));
        }
        let limit = self.args.p99_limit.unwrap_or(Duration::from_millis(10));
        let limit_ms = limit.as_secs_f64() * 1e3;
        let steps = self.args.steps.unwrap_or(STEPS);
        let mut search = KneeSearch::new(from, to, limit_ms, steps);
        loop {
            let rate = match search.next() {
                Next::Done(knee) => return Ok(Some(knee)),
                Next::Measure(rate) => rate,
            };
            let measured = self.measure(Some(rate), sweeping, &interrupted);
            let Some(measured) = measured.await? else {
                return Ok(None);
            };
            let trial = Trial::of_row(&sweeping.record.rows[measured], measured, limit_ms);
            sweeping.say(&match &trial.fails {
                Some(why) => format!("  fails: {why}"),
                None => "  passes".to_owned(),
            });
            search.tell(rate, trial);
        }
    }

    /// The lowest rate of which a p99 can be told, in transfers per second.
    ///
    /// # Errors
    /// So few transfers are measured that no rate has one.
    fn lowest_rate(&mut self) -> anyhow::Result<f64> {
        let needed = Percentile::P99.samples_min();
        match self.closed.load.measure() {
            Measure::Transfers(count) if count < needed => Err(usage(&format!(
                "a p99 needs {} transfers: raise --transfers",
                figures::grouped(needed)
            ))),
            Measure::Transfers(_) => Ok(0.0),
            #[expect(clippy::cast_precision_loss, reason = "a thousand")]
            Measure::For(window) => {
                // Whole rates: they stand in commands and records.
                Ok((MORE_THAN_NEEDED * needed as f64 / window.as_secs_f64()).ceil())
            }
        }
    }

    /// The place of a row at this rate, or in a closed loop: recorded already, or measured now;
    /// `None` when interrupted.
    async fn measure(
        &mut self,
        rate: Option<f64>,
        sweeping: &mut Sweeping,
        interrupted: &watch::Receiver<bool>,
    ) -> anyhow::Result<Option<usize>> {
        let mut plan = rate.map_or(self.closed, |_| self.open).clone();
        plan.load.rate = rate;
        let label = rate.map_or_else(
            || "closed loop".to_owned(),
            |rate| format!("rate {}", figures::rate(rate)),
        );
        let rows = &sweeping.record.rows;
        if let Some(row) = self.recorded.take(rows, &plan, None) {
            self.skipped += 1;
            sweeping.say(&row_line(&rows[row], None, &label));
            return Ok(Some(row));
        }
        let title = match rate {
            Some(_) => format!("searching the knee, {label}"),
            None => label.clone(),
        };
        let environment = sweeping.environment.clone();
        let detail = if sweeping.verbosity.quiet {
            Detail::Nothing
        } else {
            Detail::Line
        };
        let told = Titled {
            title,
            detail,
            later: None,
        };
        let row = match measure_one(&plan, told, interrupted, &environment).await {
            Ok(row) => row,
            // The rows before it are worth their record.
            Err(RowError::Interrupted) if !rows.is_empty() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let stopped = row.interrupted || *interrupted.borrow();
        let added = sweeping.push(row, None, (None, &label))?;
        // Or it would be taken for one that was there before.
        self.recorded.measured(added);
        Ok((!stopped).then_some(added))
    }
}
