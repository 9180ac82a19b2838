//! Whose server is audited or tortured, said either way.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

use bench_client::config::heading::TARGET;
use clap::Args;

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
}

impl TargetArgs {
    /// The target that was chosen.
    pub(crate) fn name(&self) -> Option<&str> {
        self.target.as_deref().or(self.flag.as_deref())
    }
}
