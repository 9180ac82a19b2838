//! What a row is: workload, load, verification and target, as plain data. The command line
//! becomes this once, and the record has it as it is.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

mod compared;
mod cpus;
mod kinds;
mod load;
mod nearest;
mod shard;
mod target;
pub mod target_file;
mod values;

use std::collections::BTreeMap;

use busload_frontend::cli::ServerConfig;
use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use heading::{LOAD, SERVER, TARGET, VERIFICATION};

pub use compared::{Flag, flag_of, setting_in_words};
pub use cpus::Cpus;
pub use kinds::{Arrival, ConfirmedReads, ConnectorKind, Encoding};
pub use load::{LoadConfig, Measure, Pace, Resolve, VerifyConfig, WorkloadConfig};
pub use nearest::did_you_mean;
pub use shard::{Shard, ShardError};
pub use target::{Private, Program, Target};
pub use target_file::{About, Promise, TargetFile};
pub use values::{
    parse_env_inflight, parse_interval, parse_op_timeout, parse_rate, parse_seconds, parse_warmup,
};

/// The headings above the flags in help texts, by their subjects.
pub mod heading {
    /// Whose server.
    pub const TARGET: &str = "Target";
    /// What transfers there are.
    pub const WORKLOAD: &str = "Workload";
    /// How they are offered.
    pub const LOAD: &str = "Load";
    /// The server that this program starts.
    pub const SERVER: &str = "Server (of this program)";
    /// How what was measured is checked.
    pub const VERIFICATION: &str = "Verification";
    /// What is printed and written.
    pub const OUTPUT: &str = "Output";
    /// What a verb ends with.
    pub const EXIT_CODE: &str = "Exit code";
}

/// Everything that makes a row.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize, JsonSchema)]
pub struct RunConfig {
    /// What the row is called, where rows have names (`reproduce`).
    #[arg(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-compared" = false))]
    pub name: Option<String>,
    /// sqlite_ws_rpc (WebSocket) or sqlite_rpc (HTTP)
    ///
    /// How to speak to the server; the short names are ws and http. spacetimedb is SpacetimeDB's own
    /// protocol over WebSocket, at a --url. [default: sqlite_ws_rpc]
    #[arg(
        long, alias = "connectors", help_heading = TARGET, value_name = "NAME", value_enum,
        hide_possible_values = true, hide_default_value = true, default_value = "sqlite_ws_rpc"
    )]
    pub connector: ConnectorKind,
    /// How transfers are written: json or binary; bsatn_v3 or bsatn_v2 for spacetimedb
    ///
    /// binary is fixed-width records, many per message, over WebSocket only. spacetimedb has
    /// bsatn_v3 as its default.
    #[arg(
        long, help_heading = TARGET, value_name = "ENCODING", value_enum,
        hide_possible_values = true, default_value = "json"
    )]
    pub encoding: Encoding,
    /// Whether SpacetimeDB answers only what is durable [default: on]
    #[arg(long, help_heading = TARGET, value_enum, hide_possible_values = true, value_name = "ON|OFF")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_reads: Option<ConfirmedReads>,
    /// What transfers there are.
    #[command(flatten)]
    #[serde(flatten)]
    pub workload: WorkloadConfig,
    /// How they are offered.
    #[command(flatten)]
    #[serde(flatten)]
    pub load: LoadConfig,
    /// How the ledger is checked.
    #[command(flatten)]
    #[serde(flatten)]
    pub verification: VerifyConfig,
    /// Skip the comparison with the null server
    ///
    /// It saves some seconds, and leaves open whether the generator was the limit and what the wire
    /// takes.
    #[arg(long, help_heading = VERIFICATION)]
    #[schemars(extend("x-compared" = false))]
    pub no_null_server: bool,
    /// CPUs that the server may run on, such as 0-2,5 [default: all]
    #[arg(long, help_heading = SERVER, value_name = "CPUS")]
    #[serde(default)]
    pub server_cpus: Option<Cpus>,
    /// CPUs that this program may run on while it measures, such as 3 [default: all]
    #[arg(long, help_heading = LOAD, value_name = "CPUS")]
    #[serde(default)]
    pub client_cpus: Option<Cpus>,
    /// Whose server is measured.
    #[arg(skip)]
    #[schemars(extend("x-compared" = false))]
    pub target: Target,
}

impl RunConfig {
    /// Connections that the load opens.
    #[must_use]
    pub fn connections(&self) -> usize {
        let load = &self.load;
        let inflight = load.max_inflight_per_worker;
        self.connector.connections(load.concurrency, inflight)
    }

    /// What tables and records call what is measured: the name of its target, else of its
    /// connector.
    #[must_use]
    pub fn subject(&self) -> String {
        let about = self.target.about();
        about.map_or_else(|| self.connector.to_string(), About::label)
    }

    /// How the ledger is checked; `None` leaves it alone.
    #[must_use]
    pub fn verification(&self) -> Option<&VerifyConfig> {
        let verification = Some(&self.verification);
        verification.filter(|it| !it.no_verify && !self.target.is_null())
    }

    /// The null server that the row is held against: with the knobs of the server that concern
    /// it. `None` to do without.
    #[must_use]
    pub fn null_server(&self) -> Option<ServerConfig> {
        // It speaks the transfer protocol and no other.
        let spoken = self.connector.speaks_transfer_protocol();
        if self.no_null_server || self.target.is_null() || !spoken {
            return None;
        }
        let like = self.target.server().cloned().unwrap_or_default();
        Some(
            ServerConfig {
                batch_size: like.batch_size,
                batch_timeout: like.batch_timeout,
                io_threads: like.io_threads,
                ..ServerConfig::default()
            }
            .with_batches(),
        )
    }

    /// What makes this row comparable with another, by the names of the fields: workload, load
    /// and the knobs of a server of this project. `null` is known to be absent.
    #[must_use]
    pub fn compared(&self) -> BTreeMap<String, serde_json::Value> {
        compared::compared(self)
    }

    /// The flags of `run` that make this row, but for its name and what is private.
    #[must_use]
    pub fn to_flags(&self) -> Vec<Flag> {
        compared::to_flags(self)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Flags {
        #[command(flatten)]
        config: RunConfig,
    }

    #[test]
    fn defaults_are_those_of_the_flags() {
        let flags = ["row", "--inflight=16", "--duration=10"];
        let parsed = Flags::try_parse_from(flags).unwrap().config;
        assert_eq!(parsed, RunConfig::default());
    }

    #[test]
    fn a_record_leads_back_to_the_configuration_and_shows_nothing_private() {
        let mut config = RunConfig::default();
        config.load.rate = Some(1e4);
        config.load.arrival = Some(Arrival::Poisson);
        let targets = [
            Target::default(),
            Target::BuiltIn {
                server: ServerConfig::default().with_batches(),
                program: Program {
                    file: Some("/home/somebody/server".into()),
                    serves_only: true,
                }
                .into(),
                database: Private("/home/somebody/ledger.sqlite".into()),
                keep_db: true,
            },
            Target::Command {
                about: About {
                    name: "a".to_owned(),
                    ..About::default()
                },
                start: Private(target_file::Start {
                    command: vec!["/home/somebody/server".to_owned()],
                    ..target_file::Start::default()
                }),
                url: Private("ws://somebody.example:4107".to_owned()),
                approach: Private::default(),
                data_dir: Private("/home/somebody".into()),
                keep_db: false,
            },
            Target::Url {
                about: None,
                url: Private("wss://somebody.example".to_owned()),
                approach: Private::default(),
                token_file: Private(Some("/home/somebody/token".into())),
                ca: Private(None),
                reseed: true,
            },
        ];
        for target in targets {
            config.target = target;
            let text = serde_json::to_string(&config).unwrap();
            assert!(!text.contains("somebody"), "{text}");
            let read: RunConfig = serde_json::from_str(&text).unwrap();
            assert_eq!(read, config);
        }
    }
}
