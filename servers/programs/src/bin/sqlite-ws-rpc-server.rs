//! The WebSocket transfer server.

use std::process::ExitCode;

use busload_frontend::WsArgs;
use busload_frontend::cli::{Page, ending, parse_arguments};
use clap::{CommandFactory as _, Parser};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Durable transfers over WebSocket, on SQLite with group commit
#[derive(Parser)]
#[command(name = "sqlite-ws-rpc-server")]
struct Cli {
    #[command(flatten)]
    args: WsArgs,
}

fn main() -> ExitCode {
    let command = Cli::command().version(busload_frontend::version(env!("BUSLOAD_GIT_REVISION")));
    let command = Page::SERVER.of(command);
    ending(parse_arguments::<Cli>(command).args.serve())
}
