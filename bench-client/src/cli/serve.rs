//! `bench-client serve`: the same servers as the two binaries.

use std::process::ExitCode;

use busload_frontend::cli::ending;
use busload_frontend::{HttpArgs, WsArgs};
use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(subcommand)]
    transport: Transport,
}

#[derive(Debug, Subcommand)]
enum Transport {
    /// Transfers over HTTP/1.1, as sqlite-rpc-server
    Http(HttpArgs),
    /// Transfers over WebSocket, as sqlite-ws-rpc-server
    Ws(WsArgs),
}

pub(crate) fn run(args: &ServeArgs) -> ExitCode {
    ending(match &args.transport {
        Transport::Http(args) => args.serve(),
        Transport::Ws(args) => args.serve(),
    })
}
