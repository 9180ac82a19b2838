//! `bench-client`: parse, dispatch, exit code.

mod cli;

use std::process::ExitCode;

use cli::{Cli, Command};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Servers that are started leave nothing behind.
    bench_client::target::descendants::adopt();
    let result = match Cli::parse().command() {
        Command::Run(args) => match args.shard.plan() {
            Some(part) => cli::shard::run(&args, &part),
            None => cli::run::run(&args),
        },
        Command::Merge(args) => cli::merge::run(&args),
        Command::Sweep(args) => cli::sweep::run(&args),
        Command::Compare(args) => cli::compare::run(&args),
        Command::Reproduce(args) => cli::reproduce::run(&args),
        Command::Ceiling(args) => cli::ceiling::run(&args),
        Command::Fsync(args) => cli::fsync::run(&args),
        Command::Report(args) => cli::report::run(&args),
        Command::Predict(args) => cli::predict::run(&args),
        Command::Torture(args) => cli::torture::run(&args),
        Command::Targets(args) => cli::targets::run(&args),
        Command::Audit(args) => cli::audit::run(&args),
        Command::Serve(args) => Ok(cli::serve::run(&args)),
        Command::Completions(args) => cli::generate::completions(&args),
        Command::Man(args) => cli::generate::man(&args),
    };
    cli::conclude(result)
}
