//! The HTTP transfer server.

use std::process::ExitCode;

use busload_frontend::HttpArgs;
use busload_frontend::cli::{Page, ending, parse_arguments};
use clap::{CommandFactory as _, Parser};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Durable transfers over HTTP, on SQLite with group commit
#[derive(Parser)]
#[command(name = "sqlite-rpc-server")]
struct Cli {
    #[command(flatten)]
    args: HttpArgs,
}

fn main() -> ExitCode {
    let command = Cli::command().version(busload_frontend::version(env!("BUSLOAD_GIT_REVISION")));
    let command = Page::SERVER.of(command);
    ending(parse_arguments::<Cli>(command).args.serve())
}
