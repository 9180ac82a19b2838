//! `bench-client run`: one row per combination of knobs.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use bench_client::compare::Conditions;
use bench_client::config::RunConfig;
use bench_client::host::environment::Environment;
use bench_client::judge;
use bench_client::measure::{self, Progress, RowError, Surroundings};
use bench_client::observation::Observation;
use bench_client::record::{AuditKey, Record, Row, last_audit};
use bench_client::render::records::{closing, row as shown, summary};
use clap::Args;
use tokio::sync::watch;

use super::compare::save::SaveArgs;
use super::fail_on::{Ending, FailOnArgs};
use super::gates::GateArgs;
use super::interrupt::watch_signals;
use super::load_flags::{LoadFlags, environment, warn_of_servers};
use super::output::{OutputArgs, RUNS};
use super::progress::{self, Detail, ProgressLine};
use super::runs::{self, RunsArgs};
use super::shard_args::ShardArgs;
use super::title::show_title;
use super::verbosity::VerbosityArgs;
use super::watch_args::WatchArgs;
use super::{VALID, print, show};

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) load: LoadFlags,
    #[command(flatten)]
    pub(crate) shard: ShardArgs,
    #[command(flatten)]
    pub(super) runs: RunsArgs,
    #[command(flatten)]
    pub(super) watch: WatchArgs,
    #[command(flatten)]
    pub(super) verbosity: VerbosityArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
    #[command(flatten)]
    pub(super) save: SaveArgs,
    #[command(flatten)]
    pub(super) gates: GateArgs,
    #[command(flatten)]
    pub(super) fail_on: FailOnArgs,
}

pub(crate) fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    run_plans(args, &args.load.rows()?, "run")
}

/// Measures, prints and records.
pub(crate) fn run_plans(
    args: &RunArgs,
    plans: &[RunConfig],
    what: &str,
) -> anyhow::Result<ExitCode> {
    warn_of_servers(plans);
    let environment = environment(plans);
    let baseline = args.save.check(plans)?;
    let path = args.output.checked(what, &environment)?;
    let mut record = Record::new(environment);
    args.output.naming.put(&mut record.naming);
    let runtime = runtime()?;
    let environment = record.environment.clone();
    let mut repetitions = args.runs.repeat(plans);
    args.watch.set_intervals(&mut repetitions.plans)?;
    let VerbosityArgs { verbose, quiet } = args.verbosity;
    let (labels, of) = (runs::labels(plans), repetitions.plans.len());
    if verbose {
        show_title(&record.naming);
    }
    let each = |mut row: Row| {
        let place = record.rows.len();
        row.repetition = repetitions.number(place);
        if verbose {
            show(&shown::document(&row));
            print("");
        } else if of > 1 && !quiet {
            let label = &labels[place % labels.len()];
            progress::say(&summary::row_line(&row, Some((place + 1, of)), label));
        }
        runs::push(&mut record, row);
        args.gates.judge(&mut record);
        path.write_so_far(&record)
    };
    let all = measure_watched(&repetitions.plans, &environment, (&args.watch, quiet), each);
    let ended = runtime.block_on(all);
    // What was measured before an error is recorded and shown all the same.
    if record.rows.is_empty() {
        return ended.map(|()| ExitCode::from(VALID));
    }
    let written = path.finish(&record);
    // Each row has been shown.
    show_end(&record, &path, (args.output.json, false, quiet))?;
    ended?;
    written?;
    if let Some(baseline) = baseline {
        baseline.save(&record, args.output.json)?;
    }
    let rows = &record.rows;
    let missing = rows.len() < repetitions.plans.len();
    let of_rows = rows.iter().flat_map(|row| &row.verdicts);
    let of_all = record
        .summaries
        .iter()
        .filter_map(|all| all.warning.as_ref());
    let ending = Ending {
        found: rows.iter().any(|row| !row.valid),
        interrupted: missing || rows.iter().any(|row| row.interrupted),
        failed: args.fail_on.names(of_rows.chain(of_all)) | args.gates.fail(&record, &args.fail_on),
    };
    Ok(ending.code())
}

/// Prints a whole record: as JSON, everything about its rows, or their end.
pub(crate) fn show_end(
    record: &Record,
    path: &Path,
    (json, verbose, quiet): (bool, bool, bool),
) -> anyhow::Result<()> {
    if json {
        print(&serde_json::to_string_pretty(record)?);
        return Ok(());
    }
    if verbose {
        show_title(&record.naming);
    }
    for row in record.rows.iter().filter(|_| verbose) {
        show(&shown::document(row));
        print("");
    }
    let kept = path.exists().then_some(path);
    show(&if quiet {
        closing::in_lines(record, kept)
    } else {
        closing::rows(record, kept)
    });
    Ok(())
}

/// The runtime of everything but the load: control plane, child process, signals.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

/// Measures the rows one after another; each is handed on as it ends, since a later one
/// may fail. An interruption ends the row and the run.
pub(crate) async fn measure_all(
    plans: &[RunConfig],
    environment: &Environment,
    quiet: bool,
    ended: impl FnMut(Row) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let watch = (&WatchArgs::default(), quiet);
    measure_watched(plans, environment, watch, ended).await
}

/// The same, followed as `watch` says, or quietly.
pub(crate) async fn measure_watched(
    plans: &[RunConfig],
    environment: &Environment,
    (watch, quiet): (&WatchArgs, bool),
    mut ended: impl FnMut(Row) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let interrupted = watch_signals()?;
    let watcher = watch.start(&interrupted, quiet);
    for (number, plan) in (1..).zip(plans) {
        let progress = watcher.row((number, plans.len()), plan);
        let row = match measure_with(plan, &*progress, &interrupted, environment).await {
            Ok(row) => row,
            // The rows before it are worth their record.
            Err(RowError::Interrupted) if number > 1 => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        drop(progress);
        ended(row)?;
        if *interrupted.borrow() {
            return Ok(());
        }
    }
    Ok(())
}

/// How the progress of a row is told.
pub(crate) struct Titled {
    /// What the row is called.
    pub(crate) title: String,
    pub(crate) detail: Detail,
    /// What is measured after it takes so long, as far as that is known.
    pub(crate) later: Option<Duration>,
}

/// Measures one row.
pub(crate) async fn measure_one(
    plan: &RunConfig,
    told: Titled,
    interrupted: &watch::Receiver<bool>,
    environment: &Environment,
) -> Result<Row, RowError> {
    let progress = ProgressLine::new(told.title, plan, told.later, told.detail);
    measure_with(plan, &progress, interrupted, environment).await
}

async fn measure_with(
    plan: &RunConfig,
    progress: &dyn Progress,
    interrupted: &watch::Receiver<bool>,
    environment: &Environment,
) -> Result<Row, RowError> {
    let around = Surroundings {
        interrupted: interrupted.clone(),
        progress,
        environment,
    };
    let observation = Box::pin(measure::measure(plan, &around)).await?;
    Ok(judged(plan, &observation, environment))
}

/// What was seen as a row of the record.
pub(crate) fn judged(
    plan: &RunConfig,
    observation: &Observation,
    environment: &Environment,
) -> Row {
    let mut row = judge::row(plan, observation);
    let conditions = Conditions::of_row(&row, environment);
    row.fingerprint = Some(conditions.fingerprint());
    let key = AuditKey::of(&plan.target, plan.connector, &environment.program);
    if let Some(audit) = key.and_then(|key| last_audit(Path::new(RUNS), &key)) {
        judge::hear_audit(&mut row, audit);
    }
    row
}
