//! `bench-client merge`: the parts that several load machines measured, judged as one row.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

use std::path::PathBuf;
use std::process::ExitCode;

use bench_client::config::heading::TARGET;
use bench_client::config::target_file::Choices;
use bench_client::config::{Private, RunConfig, Target};
use bench_client::measure::{self, Surroundings};
use bench_client::observation::{ShardFile, Shards};
use bench_client::record::Record;
use bench_client::target::endpoint;
use clap::Args;

use super::compare::save::SaveArgs;
use super::fail_on::{Ending, FailOnArgs};
use super::gates::GateArgs;
use super::interrupt::watch_signals;
use super::load_flags::choose;
use super::output::OutputArgs;
use super::progress::{Detail, ProgressLine};
use super::run::{judged, runtime, show_end};
use super::usage;
use super::verbosity::VerbosityArgs;

#[derive(Debug, Args)]
pub(crate) struct MergeArgs {
    /// The files that run --shard left, of all shards of one run, in any order
    #[arg(required = true, value_name = "FILE")]
    shards: Vec<PathBuf>,
    /// The server that was measured, as it is reached from here: its ledger is read
    #[arg(long, help_heading = TARGET, value_name = "URL", required_unless_present = "targets")]
    url: Option<String>,
    /// The target that was measured, if it was one: a name or a file
    #[arg(long = "target", help_heading = TARGET, value_name = "NAME|FILE")]
    targets: Option<String>,
    /// File that holds the token which the server wants
    #[arg(long, help_heading = TARGET, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// PEM file with the only authorities to believe [default: the system's]
    ///
    /// At a URL of https:// or wss://.
    #[arg(long, help_heading = TARGET, value_name = "PEM")]
    ca: Option<PathBuf>,
    #[command(flatten)]
    verbosity: VerbosityArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    save: SaveArgs,
    #[command(flatten)]
    gates: GateArgs,
    #[command(flatten)]
    fail_on: FailOnArgs,
}

pub(crate) fn run(args: &MergeArgs) -> anyhow::Result<ExitCode> {
    let files: Result<Vec<_>, _> = { &args.shards }
        .iter()
        .map(|it| ShardFile::read(it))
        .collect();
    let mut shards = Shards::merge(files?)?;
    args.aim(&mut shards.config)?;
    let plans = [shards.config];
    let [config] = &plans;
    let baseline = args.save.check(&plans)?;
    let environment = shards.environment;
    let path = args.output.checked("merge", &environment)?;
    let VerbosityArgs { verbose, quiet } = args.verbosity;
    let detail = if quiet { Detail::Nothing } else { Detail::Line };
    let reading = async {
        let progress = ProgressLine::new("merge".to_owned(), config, None, detail);
        let around = Surroundings {
            interrupted: watch_signals()?,
            progress: &progress,
            environment: &environment,
        };
        let complete = Box::pin(measure::complete(config, shards.observation, &around)).await;
        Ok::<_, anyhow::Error>(complete?)
    };
    let observation = runtime()?.block_on(reading)?;
    let mut record = Record::new(environment.clone());
    args.output.naming.put(&mut record.naming);
    record.push(judged(config, &observation, &environment));
    args.gates.judge(&mut record);
    path.write(&record)?;
    show_end(&record, &path, (args.output.json, verbose, quiet))?;
    if let Some(baseline) = baseline {
        baseline.save(&record, args.output.json)?;
    }
    let row = &record.rows[0];
    let ending = Ending {
        found: !row.valid,
        interrupted: row.interrupted,
        failed: args.fail_on.names(row.verdicts.iter()) | args.gates.fail(&record, &args.fail_on),
    };
    Ok(ending.code())
}

impl MergeArgs {
    /// Where the server is, which no file of a shard says.
    fn aim(&self, config: &mut RunConfig) -> anyhow::Result<()> {
        let Target::Url { reseed, .. } = config.target else {
            return Err(usage(
                "these shards were not measured at a URL: merge reads the ledger of a server that \
                 runs on",
            ));
        };
        if let Some(name) = &self.targets {
            let choices = Choices {
                reseed,
                ..Choices::default()
            };
            if let Some(target) = choose(name)?.target(choices)? {
                config.target = target;
            }
        }
        if let Target::Url {
            url,
            token_file,
            ca,
            ..
        } = &mut config.target
        {
            *url = Private(self.url.clone().unwrap_or_else(|| url.0.clone()));
            token_file.0 = self.token_file.clone().or_else(|| token_file.0.clone());
            ca.0 = self.ca.clone().or_else(|| ca.0.clone());
        }
        let endpoint = endpoint(&config.target).map_err(|error| usage(&error.to_string()))?;
        let checked = endpoint.map_or(Ok(()), |endpoint| endpoint.check_for(config.connector));
        checked.map_err(|error| usage(&format!("--url: {error}")))
    }
}
