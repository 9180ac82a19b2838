//! What makes a row: the connector, the server, the load.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::balances::VerifyPlan;
use crate::connector::{ConnectorKind, Encoding, HttpConnector, Target, WsConnector};
use crate::control::ControlClient;
use crate::load::{Load, LoadError, LoadPlan, Measure, Pace, Resolve};
use crate::target::ServerSpec;
use crate::workload::Zipf;

impl ConnectorKind {
    /// The calls that are not transfers, on the same transport.
    pub(super) fn control(self, target: Target) -> ControlClient {
        match self {
            Self::SqliteRpc => ControlClient::http(target),
            Self::SqliteWsRpc => ControlClient::ws(target),
        }
    }
}

/// Whose server is measured.
#[derive(Debug, Clone)]
pub enum ServerChoice {
    /// One that this program starts, on a database of its own.
    Own {
        /// How to start it.
        spec: ServerSpec,
        /// Its database.
        database: PathBuf,
        /// The durability mode asked for.
        durability: String,
        /// Leave the database there after the run.
        keep_db: bool,
    },
    /// One without a database, that this program starts.
    Null {
        /// How to start it.
        spec: ServerSpec,
    },
    /// One that runs already.
    Url {
        /// Where.
        target: Target,
        /// Wipe and seed it first.
        reseed: bool,
    },
}

/// Everything that makes a row.
#[derive(Debug, Clone)]
pub struct RowPlan {
    /// The row's name, where rows have names.
    pub name: Option<String>,
    /// How requests travel.
    pub connector: ConnectorKind,
    /// How they are written.
    pub encoding: Encoding,
    /// Whose server.
    pub server: ServerChoice,
    /// Sessions.
    pub concurrency: u32,
    /// Transfers in flight per session.
    pub max_inflight: usize,
    /// Client threads.
    pub threads: usize,
    /// How load is offered.
    pub pace: Pace,
    /// The distribution of accounts.
    pub zipf: Arc<Zipf>,
    /// What each account starts with, if this program seeds.
    pub initial_balance: i64,
    /// What each transfer moves.
    pub amount: i64,
    /// The random seed.
    pub seed: u64,
    /// Load before the window.
    pub warmup: Duration,
    /// How much is measured.
    pub measure: Measure,
    /// After this long the outcome of a transfer is unknown.
    pub op_timeout: Duration,
    /// Give every transfer an id, and find out what became of those of unknown outcome.
    pub exactly_once: Option<Resolve>,
    /// Length of an interval of the time series; `None` records none.
    pub interval: Option<Duration>,
    /// How the ledger is checked; `None` leaves it alone.
    pub verify: Option<VerifyPlan>,
    /// How to start the null server that the row is held against; `None` to do without.
    pub null_server: Option<ServerSpec>,
}

impl RowPlan {
    /// Where the database of a server of our own is.
    pub(super) fn directory(&self) -> Option<&Path> {
        match &self.server {
            ServerChoice::Own { database, .. } => database.parent(),
            ServerChoice::Null { .. } | ServerChoice::Url { .. } => None,
        }
    }
}

/// Connects all workers of the load.
pub(super) async fn connect(plan: &RowPlan, target: Target) -> Result<Load, LoadError> {
    let load = LoadPlan {
        workers: plan.concurrency,
        max_inflight: plan.max_inflight,
        threads: plan.threads,
        pace: plan.pace,
        zipf: Arc::clone(&plan.zipf),
        amount: plan.amount,
        seed: plan.seed,
        warmup: plan.warmup,
        measure: plan.measure,
        op_timeout: plan.op_timeout,
        exactly_once: plan.exactly_once,
        interval: plan.interval,
    };
    match plan.connector {
        ConnectorKind::SqliteRpc => Load::connect(HttpConnector::new(target), load).await,
        ConnectorKind::SqliteWsRpc => {
            Load::connect(WsConnector::new(target, plan.encoding), load).await
        }
    }
}
