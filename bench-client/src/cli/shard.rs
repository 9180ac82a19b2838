//! `run --shard I/N`: this machine's part of a load that several put on together.

use std::process::ExitCode;

use bench_client::config::{RunConfig, Shard, Target};
use bench_client::figures::{grouped, rate};
use bench_client::measure::{self, ShardPlan, Surroundings};
use bench_client::observation::{Observation, SHARD_VERSION, ShardRecord};
use serde_json::value::{RawValue, to_raw_value};

use super::fail_on::Ending;
use super::interrupt::watch_signals;
use super::load_flags::{environment, warn_of_servers};
use super::run::{RunArgs, runtime};
use super::{print, usage};

/// Measures a part, and leaves it.
pub(crate) fn run(args: &RunArgs, plan: &ShardPlan) -> anyhow::Result<ExitCode> {
    let mut rows = args.load.rows()?;
    check(args, &rows, plan.shard)?;
    args.watch.set_intervals(&mut rows)?;
    let config = &rows[0];
    warn_of_servers(&rows);
    let environment = environment(&rows);
    let verb = format!("shard-{}", plan.shard.index);
    let path = args.output.checked(&verb, &environment)?;
    let start_at = plan.start_at.as_microsecond();
    let record = |observation: Option<Observation>| {
        // In one line: there may be millions of accounts.
        to_raw_value(&ShardRecord {
            shard_version: SHARD_VERSION,
            shard: plan.shard,
            start_at_unix_us: u64::try_from(start_at).unwrap_or_default(),
            environment: environment.clone(),
            config: config.clone(),
            observation,
        })
    };
    // Of a machine that dies this stays, and says which one it was.
    path.write_so_far(&record(None)?)?;
    let quiet = args.verbosity.quiet;
    let measuring = async {
        let interrupted = watch_signals()?;
        let watcher = args.watch.start(&interrupted, quiet);
        let progress = watcher.row((1, 1), config);
        let around = Surroundings {
            interrupted,
            progress: &*progress,
            environment: &environment,
        };
        let observed = Box::pin(measure::measure_shard(config, plan, &around)).await;
        Ok::<_, anyhow::Error>(observed?)
    };
    let observation = runtime()?.block_on(measuring)?;
    let load = &observation.load;
    let ending = Ending {
        found: load.gave_up > 0,
        interrupted: load.interrupted,
        failed: false,
    };
    let told = said(plan.shard, config, &observation);
    let text: Box<RawValue> = record(Some(observation))?;
    path.write(&text)?;
    if args.output.json {
        print(text.get());
    } else {
        print(&told);
        if path.exists() {
            print(&format!("record     {}", path.display()));
        }
    }
    Ok(ending.code())
}

/// The end of a part, which is no result.
fn said(shard: Shard, config: &RunConfig, observation: &Observation) -> String {
    let load = &observation.load;
    let (was, planned) = (load.window_length(), config.load.window.unwrap_or_default());
    let early = (was < planned).then(|| {
        let planned = planned.as_secs_f64();
        format!("           it ended early, of {planned:.2} s: merge refuses it\n")
    });
    format!(
        "{shard}: {} transfers acknowledged in {:.2} s, {}/s as its part; nothing is judged\n{}\
         next       bench-client merge, with the files of all shards and --url",
        grouped(load.window.counts.committed),
        was.as_secs_f64(),
        rate(load.tps()),
        early.unwrap_or_default(),
    )
}

/// There is one row, and a part of it can be measured.
fn check(args: &RunArgs, rows: &[RunConfig], shard: Shard) -> anyhow::Result<()> {
    let [row] = rows else {
        return Err(usage(
            "--shard is a part of one row: leave out lists, and run each row by itself",
        ));
    };
    let refused = [
        (
            args.runs.are_several(),
            "--runs repeats a row on one machine: start each repetition by \
            itself, with a --start-at of its own",
        ),
        (
            args.watch.takes_the_terminal(),
            "--tui shows a whole row, and a shard is a part of one: \
            -P prints its intervals",
        ),
        (
            args.verbosity.verbose,
            "--verbose is about a judged row: give it to merge",
        ),
        (
            args.save.is_asked_for(),
            "--save-baseline keeps a judged row: give it to merge",
        ),
        (
            args.output.naming.is_asked_for(),
            "--title and --note are of a judged row: give them to merge",
        ),
        (
            args.gates.are_asked_for(),
            "--fail-if is about a judged row: give it to merge",
        ),
        (
            args.fail_on.is_asked_for(),
            "--fail-on is about verdicts, and a shard is not judged: \
            give it to merge",
        ),
        (
            row.load.transfers.is_some(),
            "--transfers ends at another time on each machine: give a \
            --duration",
        ),
    ];
    if let Some((_, why)) = refused.iter().find(|(is, _)| *is) {
        return Err(usage(why));
    }
    let Target::Url { reseed, .. } = row.target else {
        return Err(usage(
            "--shard needs a server that outlives all shards: start one, such as bench-client \
             serve --allow-seed, and name it with --url",
        ));
    };
    if !reseed && row.verification().is_some() {
        return Err(usage(
            "--shard needs --reseed: merge holds all balances against what shard 0 has seeded; or \
             leave the ledger unchecked with --no-verify",
        ));
    }
    if shard.workers(row.load.concurrency).next().is_none() {
        return Err(usage(&format!(
            "{shard} has none of the {} workers: raise --concurrency, which is that of the whole \
             load",
            row.load.concurrency
        )));
    }
    Ok(())
}
