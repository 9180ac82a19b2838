//! The WebSocket transfer server.

use std::process::ExitCode;

use busload_frontend::WsArgs;
use busload_frontend::cli::{ending, parse_arguments};
use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Durable transfers over WebSocket, on SQLite with group commit.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(flatten)]
    args: WsArgs,
}

fn main() -> ExitCode {
    ending(parse_arguments::<Cli>().args.serve())
}
