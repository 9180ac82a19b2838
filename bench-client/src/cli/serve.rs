//! `bench-client serve`: the same servers as the two binaries.

use std::process::ExitCode;

use busload_frontend::cli::ending;
use busload_frontend::{HttpArgs, WsArgs};
use clap::{Args, Command, FromArgMatches as _, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// How to serve [default: ws]
    #[command(subcommand)]
    transport: Option<Transport>,
}

#[derive(Debug, Subcommand)]
enum Transport {
    /// Transfers over HTTP/1.1, as sqlite-rpc-server
    Http(HttpArgs),
    /// Transfers over WebSocket, as sqlite-ws-rpc-server
    Ws(WsArgs),
}

/// The WebSocket server as it is without flags: by its environment.
fn by_default() -> WsArgs {
    let command = WsArgs::augment_args(Command::new("serve"));
    let parsed = command.try_get_matches_from(["serve"]);
    let parsed = parsed.and_then(|matches| WsArgs::from_arg_matches(&matches));
    parsed.unwrap_or_else(|error| error.exit())
}

pub(crate) fn run(args: &ServeArgs) -> ExitCode {
    ending(match &args.transport {
        Some(Transport::Http(args)) => args.serve(),
        Some(Transport::Ws(args)) => args.serve(),
        None => by_default().serve(),
    })
}
