//! `bench-client`: parse, dispatch, exit code.

mod cli;

use std::process::ExitCode;

use clap::Parser as _;
use cli::{Cli, Command};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(args) => cli::run::run(&args),
        Command::Reproduce(args) => cli::reproduce::run(&args),
        Command::Fsync(args) => cli::fsync::run(args),
        Command::Serve(args) => cli::serve::run(&args),
    };
    result.unwrap_or_else(|error| cli::report_error(&error))
}
