//! The flags of exactly once.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

use std::time::Duration;

use bench_client::load::Resolve;
use busload_frontend::cli::{parse_duration_within, parse_id_horizon, parse_max_ids};
use clap::Args;

/// How long a transfer is sent again when nothing else is said.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(30);
/// How often.
const RESOLVE_TRIES: u32 = 100;

/// What the client does.
#[derive(Debug, Args)]
pub(crate) struct OnceArgs {
    /// Give every transfer an id, and send those of unknown outcome again with the same id until
    /// they have one. The server must say that it applies them once
    #[arg(long)]
    exactly_once: bool,
    /// How long a transfer of unknown outcome is sent again [10ms … 1h, default 30s]; with
    /// --op-timeout less than the server's --id-horizon
    #[arg(long, requires = "exactly_once", value_name = "DURATION", value_parser = parse_resolve_timeout)]
    resolve_timeout: Option<Duration>,
    /// How often a transfer of unknown outcome is sent again at most [default: 100]
    #[arg(long, requires = "exactly_once", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    resolve_tries: Option<u32>,
}

impl OnceArgs {
    pub(super) fn resolve(&self) -> Option<Resolve> {
        self.exactly_once.then(|| Resolve {
            timeout: self.resolve_timeout.unwrap_or(RESOLVE_TIMEOUT),
            tries: self.resolve_tries.unwrap_or(RESOLVE_TRIES),
        })
    }
}

/// What a server of our own remembers.
#[derive(Debug, Args)]
pub(crate) struct IdArgs {
    /// How long the server remembers the outcome of a transfer with an id [default: 10min]
    #[arg(long, value_name = "DURATION", value_parser = parse_id_horizon)]
    pub(super) id_horizon: Option<Duration>,
    /// Most ids that the server remembers, at most 58 bytes of memory each [default: 16777216]
    #[arg(long, value_name = "IDS", value_parser = parse_max_ids)]
    pub(super) max_ids: Option<usize>,
}

impl IdArgs {
    /// As the server's flag has it.
    pub(super) fn horizon(&self) -> Option<String> {
        self.id_horizon
            .map(|horizon| format!("{}ms", horizon.as_millis()))
    }
}

fn parse_resolve_timeout(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_millis(10)..=Duration::from_hours(1);
    parse_duration_within(text, bounds, "from 10ms to 1h")
}
