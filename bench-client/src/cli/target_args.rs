//! Whose server is audited or tortured, said in one of the ways.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

use bench_client::config::heading::TARGET;
use bench_client::config::target_file::Choices;
use bench_client::config::{ConnectorKind, Target};
use bench_client::target::choose_port;
use clap::Args;

use super::load_flags::{check_scheme, command_target, connector_of};
use super::usage;

#[derive(Debug, Args)]
pub(crate) struct TargetArgs {
    /// Whose server: a target by name or file, or sqlite_rpc or sqlite_ws_rpc
    ///
    /// The last two are this program's own, over HTTP and WebSocket. `targets list` shows the names.
    /// [default: sqlite_ws_rpc]
    #[arg(value_name = "TARGET", conflicts_with = "server_command")]
    target: Option<String>,
    /// The same as TARGET, as of run
    #[arg(
        id = "target_flag", long = "target", help_heading = TARGET, value_name = "NAME|FILE",
        conflicts_with_all = ["target", "server_command"]
    )]
    flag: Option<String>,
    /// Audit the server that this command starts
    ///
    /// No shell reads it; {port} and {database} in it stand for a free port and for the database
    /// file. It is started on the same ledger again and again, and must not wipe it. --url says
    /// where it listens, unless {port} does.
    #[arg(long, help_heading = TARGET, value_name = "CMD")]
    server_command: Option<String>,
    /// Where the server of --server-command listens, without {port} in it
    #[arg(long, help_heading = TARGET, value_name = "URL", requires = "server_command")]
    url: Option<String>,
    /// sqlite_ws_rpc (WebSocket) or sqlite_rpc (HTTP)
    ///
    /// How to speak to the server. [default: sqlite_ws_rpc, or as --url says] The short names are http and ws.
    #[arg(long, alias = "transport", help_heading = TARGET, value_name = "NAME", value_enum, hide_possible_values = true,
          conflicts_with_all = ["target", "target_flag"])]
    connector: Option<ConnectorKind>,
}

impl TargetArgs {
    /// The target that was chosen.
    pub(crate) fn name(&self) -> Option<&str> {
        self.target.as_deref().or(self.flag.as_deref())
    }

    /// The command that starts the server, as it was written.
    pub(crate) fn server_command(&self) -> Option<&str> {
        self.server_command.as_deref()
    }

    /// How the server is spoken to, where no target was chosen.
    pub(crate) fn connector(&self) -> anyhow::Result<ConnectorKind> {
        let url = self.url.as_deref().unwrap_or_default();
        let connector = self.connector.or_else(|| connector_of(url));
        let connector = connector.unwrap_or_default();
        check_scheme(url, connector)?;
        if connector.speaks_transfer_protocol() {
            return Ok(connector);
        }
        Err(usage(&format!(
            "the server is started here, and {connector} is none that this program starts: choose \
             --connector sqlite_rpc or sqlite_ws_rpc"
        )))
    }

    /// The server of --server-command, at a port of its own; `None` where none was given.
    pub(crate) fn command(&self) -> anyhow::Result<Option<Target>> {
        let Some(command) = &self.server_command else {
            return Ok(None);
        };
        let url = self.url.as_deref();
        let mut target = command_target(command, url, self.connector()?, Choices::default())?;
        choose_port(&mut target)?;
        Ok(Some(target))
    }
}
