//! What an audit is to do.

use std::path::PathBuf;
use std::time::Duration;

use super::fault::Fault;
use super::server_command::{ServerCommand, Wire};
use crate::config::ConnectorKind;

/// What all stages of an audit share.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a decision of its own"
)]
pub struct Plan {
    /// How the server is started.
    pub command: ServerCommand,
    /// Connections, each with a pair of accounts.
    pub connections: u32,
    /// Transfers in flight on each.
    pub window: u32,
    /// The random seed.
    pub seed: u64,
    /// Longest time from the start of the load to the interruption.
    pub cycle: Duration,
    /// A request without an answer for this long is a finding.
    pub answer_timeout: Duration,
    /// Whether the server applies transfers of one connection in the order in which they came.
    pub ordered: bool,
    /// Whether transfers carry transfer ids.
    pub transfer_ids: bool,
    /// Whether the first start may wipe the ledger.
    pub wipe: bool,
    /// Whether the journals of cycles in which nothing was found are kept.
    pub keep: bool,
}

/// One database, the faults it is put through, and how often.
pub struct Stage {
    /// From 0; every stage draws from a seed of its own.
    pub number: u32,
    /// What is done to the server, in turn.
    pub faults: Vec<Box<dyn Fault>>,
    /// How many interruptions.
    pub cycles: u32,
    /// The database file.
    pub database: PathBuf,
    /// The journals: each cycle has one, whose name is this one's and the cycle's number. It is
    /// removed when nothing was found in the cycle, so that what they take up is bounded by the
    /// length of a cycle.
    pub journal: PathBuf,
}

/// How many connections a load has, and how many transfers are in flight on each: over HTTP a
/// connection carries one request at a time.
#[must_use]
pub fn connections(wire: Wire, workers: u32, inflight: u32) -> (u32, u32) {
    match wire.connector {
        ConnectorKind::SqliteRpc => (workers.saturating_mul(inflight), 1),
        ConnectorKind::SqliteWsRpc | ConnectorKind::SpacetimeDb => (workers, inflight),
    }
}
