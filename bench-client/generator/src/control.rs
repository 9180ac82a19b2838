//! The control plane: everything that is asked of a server besides transfers.

mod balances;
mod fields;
mod http;
mod rpc;
mod spacetimedb;
mod ws;

use busload_wire::control::{Info, Stats, Verification};
use busload_wire::{RequestId, Transfer};
use futures_util::future::BoxFuture;

use crate::config::ConnectorKind;
use crate::connector::{ConnectError, Endpoint};

/// Why a control call gave no result.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The server does not know the method: it is not ours.
    #[error("the server does not know the method {0}")]
    UnknownMethod(&'static str),
    /// The server refused.
    #[error("{method} failed: {error}")]
    Refused {
        /// What was asked.
        method: &'static str,
        /// The server's error text.
        error: String,
    },
    /// The server is not there to be wiped.
    #[error(
        "{url} does not let clients wipe its ledger: start it with --allow-seed or --reseed, or leave \
         out --reseed"
    )]
    MayNotSeed {
        /// Where.
        url: String,
    },
    /// The connection broke, or no answer came in time.
    #[error("{url} gave no answer to {method}: {why}")]
    NoAnswer {
        /// Where.
        url: String,
        /// What was asked.
        method: &'static str,
        /// What happened.
        why: String,
    },
    /// The answer says that it was done and that it was not.
    #[error("{url} contradicts itself in its answer to {method}: {why}")]
    Contradiction {
        /// Where.
        url: String,
        /// What was asked.
        method: &'static str,
        /// What does not agree.
        why: String,
    },
    /// The answer is not of the protocol.
    #[error("{url} does not speak the transfer protocol: its answer to {method} {why}")]
    Protocol {
        /// Where.
        url: String,
        /// What was asked.
        method: &'static str,
        /// What is wrong with the answer.
        why: String,
    },
}

/// A call as it went over the wire, for whoever writes the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// What was asked.
    pub method: &'static str,
    /// The request.
    pub sent: String,
    /// Its number, which the answer has to carry, where the transport has one.
    pub id: Option<RequestId>,
    /// The answer as it came, after its HTTP status where that is not of success; `None` when
    /// none came.
    pub came: Option<String>,
}

/// An answer that is on its way.
pub type Asked<'a, T> = BoxFuture<'a, Result<T, ControlError>>;

/// The seam of the control plane: what can be asked of a server over its protocol. What a
/// protocol does not have it leaves out, and the caller is told that the method is not known.
pub trait ControlPlane: Send {
    /// Where the server is, for messages.
    fn url(&self) -> String;

    /// Another client of the same server, with a connection of its own.
    fn another(&self) -> Box<dyn ControlPlane>;

    /// A sign of life.
    fn health(&mut self) -> Asked<'_, ()>;

    /// What the server is.
    fn info(&mut self) -> Asked<'_, Info> {
        not_offered("info")
    }

    /// The server's counters, with all balances and with whole distributions if asked for.
    fn stats(&mut self, balances: bool, histograms: bool) -> Asked<'_, Stats> {
        let _ = (balances, histograms);
        not_offered("stats")
    }

    /// Wipes the ledger and creates accounts from 0 on.
    fn seed(&mut self, accounts: i64, initial_balance: i64) -> Asked<'_, ()> {
        let _ = (accounts, initial_balance);
        not_offered("seed")
    }

    /// The server verifies its own ledger.
    fn verify(&mut self) -> Asked<'_, Verification> {
        not_offered("verify")
    }

    /// One balance; `None` when there is no such account.
    fn balance(&mut self, account: i64) -> Asked<'_, Option<i64>> {
        let _ = account;
        not_offered("getAccount")
    }

    /// Makes one transfer, whose answer is to be looked at: a load has sessions.
    fn transfer(&mut self, transfer: Transfer) -> Asked<'_, ()> {
        let _ = transfer;
        not_offered("transfer")
    }

    /// The last call as it went over the wire; `None` before the first, and where it is not kept.
    fn last_exchange(&self) -> Option<Exchange> {
        None
    }

    /// Whether all balances can be read at once, as of one moment.
    fn reads_all_balances(&self) -> bool {
        false
    }

    /// All balances at once, in any order.
    fn all_balances(&mut self) -> Asked<'_, Vec<(u32, i64)>> {
        not_offered("getAccount")
    }

    /// What a server without `info` calls itself; `None` when it does not say so, or not soon.
    fn said_name(&self) -> BoxFuture<'_, Option<String>> {
        Box::pin(std::future::ready(None))
    }

    /// Says goodbye where the protocol has a word for it. The next call connects again.
    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

fn not_offered<'a, T: Send + 'a>(method: &'static str) -> Asked<'a, T> {
    Box::pin(std::future::ready(Err(ControlError::UnknownMethod(method))))
}

/// A client of one server's control plane. It connects at the first call.
pub struct ControlClient(Box<dyn ControlPlane>);

impl ControlClient {
    /// The control plane that goes with a connector.
    #[must_use]
    pub fn new(connector: ConnectorKind, target: Endpoint) -> Self {
        Self(match connector {
            ConnectorKind::SqliteRpc => Box::new(rpc::Rpc::new(target, http::Http::default())),
            ConnectorKind::SqliteWsRpc => Box::new(rpc::Rpc::new(target, ws::Ws::default())),
            ConnectorKind::SpacetimeDb => Box::new(spacetimedb::SpacetimeDb::new(target)),
        })
    }

    /// One that knows nobody to ask: every question is one that is not known. For a load machine
    /// that leaves the server to another one.
    #[must_use]
    pub fn of_nobody() -> Self {
        Self(Box::new(Nobody))
    }

    /// Says that it is done, and waits for the server's word, for a second at most. The next
    /// call connects again.
    pub async fn close(&mut self) {
        self.0.close().await;
    }

    /// Asks what the server is; `None` for a server that does not tell.
    ///
    /// # Errors
    /// No connection, or no answer of the protocol.
    pub async fn info(&mut self) -> Result<Option<Info>, ControlError> {
        if_known(self.0.info().await)
    }

    /// Reads the server's counters; `None` for a server that has none.
    ///
    /// # Errors
    /// No connection, or no answer of the protocol.
    pub async fn stats(&mut self, balances: bool) -> Result<Option<Stats>, ControlError> {
        if_known(self.0.stats(balances, true).await)
    }

    /// Reads the server's counters without histograms, which costs it next to nothing:
    /// every distribution has its count and sum. An older server sends the histograms all
    /// the same. `None` for a server that has none.
    ///
    /// # Errors
    /// No connection, or no answer of the protocol.
    pub async fn totals(&mut self) -> Result<Option<Stats>, ControlError> {
        if_known(self.0.stats(false, false).await)
    }

    /// Wipes and creates accounts.
    ///
    /// # Errors
    /// The server refused, or is gone.
    pub async fn seed(&mut self, accounts: i64, initial_balance: i64) -> Result<(), ControlError> {
        self.0.seed(accounts, initial_balance).await
    }

    /// Asks the server to verify its ledger.
    ///
    /// # Errors
    /// The ledger is wrong, or the server is gone.
    pub async fn verify(&mut self) -> Result<Verification, ControlError> {
        self.0.verify().await
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// There is none.
    pub async fn health(&mut self) -> Result<(), ControlError> {
        self.0.health().await
    }

    /// Reads one balance; `None` when there is no such account.
    ///
    /// # Errors
    /// No connection, or no answer of the protocol.
    pub async fn balance(&mut self, account: i64) -> Result<Option<i64>, ControlError> {
        self.0.balance(account).await
    }

    /// Makes one transfer, whose answer is to be looked at: a load has sessions.
    ///
    /// # Errors
    /// It was refused, or there is no answer of the protocol.
    pub async fn transfer(&mut self, transfer: Transfer) -> Result<(), ControlError> {
        self.0.transfer(transfer).await
    }

    /// The last call as it went over the wire; `None` before the first, and where it is not kept.
    #[must_use]
    pub fn last_exchange(&self) -> Option<Exchange> {
        self.0.last_exchange()
    }

    /// Whether all balances can be read at once: then reading all costs little more than reading
    /// some.
    #[must_use]
    pub fn reads_all_balances(&self) -> bool {
        self.0.reads_all_balances()
    }

    /// What a server without `info` calls itself. `None` when it does not say so, or not soon.
    pub async fn said_name(&self) -> Option<String> {
        self.0.said_name().await
    }
}

/// A control plane without a server behind it.
struct Nobody;

impl ControlPlane for Nobody {
    fn url(&self) -> String {
        String::new()
    }

    fn another(&self) -> Box<dyn ControlPlane> {
        Box::new(Self)
    }

    fn health(&mut self) -> Asked<'_, ()> {
        not_offered("health")
    }
}

fn if_known<T>(result: Result<T, ControlError>) -> Result<Option<T>, ControlError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(ControlError::UnknownMethod(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
