//! The HTTP transfer server.

use std::process::ExitCode;

use busload_frontend::HttpArgs;
use busload_frontend::cli::{ending, parse_arguments};
use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Durable transfers over HTTP, on SQLite with group commit.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(flatten)]
    args: HttpArgs,
}

fn main() -> ExitCode {
    ending(parse_arguments::<Cli>().args.serve())
}
