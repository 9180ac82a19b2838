//! The control plane of SpacetimeDB: its SQL over HTTP, and the module's reducer that seeds.
//!
//! Its protocol has neither `info` nor `stats`: it tells no version, no durability and no counters.

mod sql;

use std::time::Duration;

use busload_net::frames::Incoming;
use busload_wire::control::Verification;
use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use http::{Method, StatusCode};
use std::future::poll_fn;
use tokio_tungstenite::tungstenite::Message;

use super::{Asked, ControlError, ControlPlane};
use crate::config::ConfirmedReads;
use crate::connector::http::{Exchange, Head, Lane};
use crate::connector::spacetimedb::messages::{
    ReducerError, ReducerOutcome, ServerMessage, Version, messages, put_seed,
};
use crate::connector::spacetimedb::{Database, PROTOCOL, closed, open};
use crate::connector::ws::Socket;
use crate::connector::{ConnectError, Endpoint, shorten};

/// Longest wait for an answer. Reading and seeding ten million accounts take the longest.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(2);
/// Longest answer: ten million accounts.
const BODY_BYTES_MAX: usize = 256 * 1024 * 1024;
/// The request id of the only call on a connection.
const SEED_REQUEST: u32 = 1;

/// A client of one database.
pub(super) struct SpacetimeDb {
    database: Database,
    lane: Option<Lane>,
    /// The module was looked at and is the benchmark's.
    is_checked: bool,
    /// What was seeded: accounts, and what each had.
    seeded: Option<(i64, i64)>,
}

impl SpacetimeDb {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        Self {
            database: Database::at(endpoint),
            lane: None,
            is_checked: false,
            seeded: None,
        }
    }

    fn foreign(&self, why: String) -> ControlError {
        ControlError::Connect(ConnectError::Foreign {
            url: self.url(),
            protocol: PROTOCOL,
            why,
        })
    }

    /// One HTTP exchange, whose answer must be a success. Everything that is asked so can be asked
    /// twice.
    async fn ask(
        &mut self,
        what: &'static str,
        (method, path, body): (Method, String, String),
    ) -> Result<Bytes, ControlError> {
        self.database
            .check()
            .map_err(|error| self.foreign(error.to_string()))?;
        let asked = format!("{method} {path}");
        let head = Head::new(&method, &self.database.endpoint, &path, None);
        let request = head.with(body.as_bytes());
        let exchange = async {
            if let Some(used) = self.lane.take()
                && let (Some(used), Exchange::Answered(status, body)) =
                    used.exchange(&request).await
            {
                return Ok((Some(used), Exchange::Answered(status, body)));
            }
            // Not connected yet, or idle for so long that the server has closed it.
            let fresh = Lane::open(&self.database.endpoint).await?;
            let fresh = fresh.with_body_max(BODY_BYTES_MAX);
            Ok(fresh.exchange(&request).await)
        };
        let answered = tokio::time::timeout(ANSWER_TIMEOUT, exchange).await;
        let no_answer = |why: String| ControlError::NoAnswer {
            url: self.database.url("ws"),
            method: what,
            why: format!("asked for {asked}, {why}"),
        };
        let none = |_| no_answer(format!("nothing came within {ANSWER_TIMEOUT:?}"));
        let (lane, exchange) = answered.map_err(none)?.map_err(ControlError::Connect)?;
        let remedy = self.database.endpoint.tls_remedy("ws");
        let (status, body) = match exchange {
            Exchange::Answered(status, body) => (status, body),
            Exchange::NotSent(why) | Exchange::Lost(why) => return Err(no_answer(why)),
            Exchange::NotHttp => return Err(no_answer(format!("what came is not HTTP{remedy}"))),
            Exchange::Closed => return Err(no_answer(format!("it closed the connection{remedy}"))),
        };
        self.lane = lane;
        if status.is_success() {
            return Ok(body);
        }
        if status == StatusCode::UNAUTHORIZED {
            return Err(self.database.endpoint.unauthorized("ws").into());
        }
        let remedy = match status {
            StatusCode::NOT_FOUND => format!(
                "; publish the module under the name {}, or write another name behind the host of \
                 the URL",
                self.database.name()
            ),
            StatusCode::BAD_REQUEST => {
                "; publish the benchmark's own module, whose table accounts is public".to_owned()
            }
            _ => String::new(),
        };
        Err(self.foreign(format!(
            "asked for {asked}, it answered {status}: {}{remedy}",
            shorten(&body)
        )))
    }

    /// The accounts that a query finds.
    async fn accounts(
        &mut self,
        what: &'static str,
        query: String,
    ) -> Result<Vec<sql::Account>, ControlError> {
        let path = self.database.path("sql?confirmed=true");
        let body = self.ask(what, (Method::POST, path, query.clone())).await?;
        sql::read_accounts(&body).map_err(|why| {
            self.foreign(format!("asked for {query}, came {}: {why}", shorten(&body)))
        })
    }

    /// Whether the module has the table and the reducers that the load needs.
    async fn check_module(&mut self) -> Result<(), ControlError> {
        if self.is_checked {
            return Ok(());
        }
        let path = self.database.path("schema?version=9");
        let body = self
            .ask("schema", (Method::GET, path, String::new()))
            .await?;
        sql::check_schema(&body).map_err(|why| {
            self.foreign(format!(
                "asked for the schema of {}, {why}; publish the benchmark's own module \
                 (templates/keynote-2, the Rust one)",
                self.database.name()
            ))
        })?;
        self.is_checked = true;
        Ok(())
    }

    async fn call_seed(&mut self, accounts: i64, initial_balance: i64) -> Result<(), ControlError> {
        let method = "seed";
        let count = u32::try_from(accounts).map_err(|_| ControlError::Refused {
            method,
            error: format!("{accounts} accounts are more than a u32 of its reducer"),
        })?;
        self.check_module().await?;
        // A single call is the same in both versions.
        let version = Version::V2;
        let socket = match open(&self.database, version, ConfirmedReads::On).await {
            Ok(socket) => Ok((socket, version)),
            Err(ConnectError::Foreign { .. }) => {
                let version = Version::V3;
                let socket = open(&self.database, version, ConfirmedReads::On).await;
                socket.map(|socket| (socket, version))
            }
            Err(error) => Err(error),
        };
        let (mut socket, version) = socket?;
        let called = call(&mut socket, version, |out| {
            put_seed(out, SEED_REQUEST, count, initial_balance);
        });
        let called = tokio::time::timeout(ANSWER_TIMEOUT, called).await;
        socket.close().await;
        let called =
            called.unwrap_or_else(|_| Err(format!("nothing came within {ANSWER_TIMEOUT:?}")));
        match called {
            Ok(Ok(())) => {
                self.seeded = Some((accounts, initial_balance));
                Ok(())
            }
            Ok(Err(error)) => Err(ControlError::Refused { method, error }),
            Err(why) => Err(ControlError::NoAnswer {
                url: self.url(),
                method,
                why: format!("asked for {method}({count}, {initial_balance}), {why}"),
            }),
        }
    }

    /// The sum of all balances, held against what was seeded; without that there is nothing to
    /// hold it against.
    async fn check_total(&mut self) -> Result<Verification, ControlError> {
        let Some((count, initial_balance)) = self.seeded else {
            return Ok(Verification::Skipped { skipped: true });
        };
        let found = self.all("verify").await?;
        let sum = |balances: &mut dyn Iterator<Item = i64>| balances.map(i128::from).sum::<i128>();
        let total = sum(&mut found.iter().map(|(_, balance)| *balance));
        let expected = i128::from(count) * i128::from(initial_balance);
        if total != expected {
            return Err(ControlError::Refused {
                method: "verify",
                error: format!("the balances sum up to {total}, {expected} were seeded"),
            });
        }
        let is_changed = |(_, balance): &&sql::Account| *balance != initial_balance;
        Ok(Verification::Verified {
            accounts: found.len().to_string(),
            total: total.to_string(),
            changed: found.iter().filter(is_changed).count().to_string(),
            compared_with: None,
        })
    }

    async fn all(&mut self, what: &'static str) -> Result<Vec<sql::Account>, ControlError> {
        self.accounts(what, "SELECT * FROM accounts".to_owned())
            .await
    }
}

/// One call of a reducer on a connection that has no other: whether it is committed, and the
/// error of one that is not; or else what came instead.
async fn call(
    socket: &mut Socket,
    version: Version,
    put: impl FnOnce(&mut BytesMut),
) -> Result<Result<(), String>, String> {
    let broken = |error: tokio_tungstenite::tungstenite::Error| error.to_string();
    let read = |payload: &[u8]| {
        let first = messages(payload, version).and_then(|mut all| all.next().transpose());
        match first.map_err(|error| format!("came {error}"))? {
            Some(ServerMessage::ReducerResult {
                request_id: SEED_REQUEST,
                outcome,
            }) => Ok(match outcome {
                ReducerOutcome::Ok => Ok(()),
                ReducerOutcome::Err(ReducerError::Text(text))
                | ReducerOutcome::InternalError(text) => Err(shorten(text.as_bytes())),
                ReducerOutcome::Err(ReducerError::Value(value)) => Err(format!("{value:02x?}")),
            }),
            Some(other) => Err(format!("came {other}")),
            None => Err("came an empty message".to_owned()),
        }
    };
    socket.put_binary(put).map_err(broken)?;
    loop {
        // Also what the library answers to a ping.
        poll_fn(|cx| socket.poll_flush(cx)).await.map_err(broken)?;
        match socket.next().await {
            Some(Ok(Incoming::Binary(payload))) => return read(socket.payload(&payload)),
            Some(Ok(Incoming::Message(Message::Binary(payload)))) => return read(&payload),
            Some(Ok(Incoming::Message(Message::Close(frame)))) => {
                return Err(closed(frame.as_ref()).to_string());
            }
            Some(Ok(Incoming::Text(_) | Incoming::Message(Message::Text(_)))) => {
                return Err("came a text message".to_owned());
            }
            Some(Ok(Incoming::Message(_))) => {}
            Some(Err(error)) => return Err(broken(error)),
            None => return Err("the connection was closed".to_owned()),
        }
    }
}

impl ControlPlane for SpacetimeDb {
    fn url(&self) -> String {
        self.database.url("ws")
    }

    fn another(&self) -> Box<dyn ControlPlane> {
        Box::new(Self {
            database: self.database.clone(),
            lane: None,
            is_checked: self.is_checked,
            seeded: self.seeded,
        })
    }

    /// That the module is the benchmark's, the first time; then its ping.
    fn health(&mut self) -> Asked<'_, ()> {
        Box::pin(async {
            self.check_module().await?;
            let ping = (Method::GET, "/v1/ping".to_owned(), String::new());
            self.ask("ping", ping).await.map(|_| ())
        })
    }

    fn seed(&mut self, accounts: i64, initial_balance: i64) -> Asked<'_, ()> {
        Box::pin(self.call_seed(accounts, initial_balance))
    }

    fn verify(&mut self) -> Asked<'_, Verification> {
        Box::pin(self.check_total())
    }

    fn balance(&mut self, account: i64) -> Asked<'_, Option<i64>> {
        Box::pin(async move {
            // The rest are no numbers of accounts, and no SQL that is known to be understood.
            let Ok(account) = u32::try_from(account) else {
                return Ok(None);
            };
            let query = format!("SELECT * FROM accounts WHERE id = {account}");
            let found = self.accounts("getAccount", query).await?;
            match found[..] {
                [] => Ok(None),
                [(id, balance)] if id == account => Ok(Some(balance)),
                _ => Err(self.foreign(format!(
                    "asked for account {account}, came {} rows, the first of account {}",
                    found.len(),
                    found[0].0
                ))),
            }
        })
    }

    fn reads_all_balances(&self) -> bool {
        true
    }

    fn all_balances(&mut self) -> Asked<'_, Vec<(u32, i64)>> {
        Box::pin(self.all("getAccount"))
    }

    fn said_name(&self) -> BoxFuture<'_, Option<String>> {
        Box::pin(std::future::ready(Some(format!(
            "{PROTOCOL} (it does not say its version)"
        ))))
    }
}
