//! The HTTP transfer server.

use std::process::ExitCode;

use busload_frontend::HttpArgs;
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
    match busload_frontend::cli::parse_arguments::<Cli>().args.serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            busload_frontend::cli::exit_code(&error)
        }
    }
}
