//! `bench-client ceiling`: the load on a server without a database.

use std::process::ExitCode;

use bench_client::config::{RunConfig, Target};
use clap::Args;

use super::run::{RunArgs, run_plans};
use super::{UsageError, usage};

#[derive(Debug, Args)]
pub(crate) struct CeilingArgs {
    #[command(flatten)]
    run: RunArgs,
}

pub(crate) fn run(args: &CeilingArgs) -> anyhow::Result<ExitCode> {
    if args.run.shard.plan().is_some() {
        return Err(usage(
            "--shard is for run: each machine finds its own ceiling there",
        ));
    }
    let plans = args.run.load.rows()?;
    let plans: Result<Vec<_>, _> = plans.into_iter().map(on_null_server).collect();
    run_plans(&args.run, &plans?, "ceiling")
}

fn on_null_server(mut config: RunConfig) -> Result<RunConfig, UsageError> {
    let refuse = |why: &str| Err(UsageError(why.to_owned()));
    if config.target.is_url() {
        return refuse("ceiling starts a null server of its own: leave out --url");
    }
    if config.target.about().is_some() {
        return refuse(
            "ceiling starts a null server of its own: leave out --target and --server-command",
        );
    }
    let Some(server) = config.null_server() else {
        return refuse("ceiling is about the null server: leave out --no-null-server");
    };
    config.target = Target::Null { server };
    Ok(config)
}
