//! Transfers as calls of a reducer of SpacetimeDB, over one WebSocket per worker.
//!
//! Written from a description of the wire and recordings of version 2.8.3
//! (`bench-client/tests/spacetimedb/frames`); `docs/spacetimedb.md` says what that leaves open.

pub mod bsatn;
mod database;
mod in_flight;
pub mod messages;

pub use database::{Database, NoDatabase};

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use busload_net::frames::Incoming;
use busload_wire::{RequestId, Transfer};
use bytes::BytesMut;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::config::{ConfirmedReads, Encoding};

use super::ws::{self, Socket, dead};
use super::{
    ConnectError, Connector, Endpoint, Forgotten, Outcome, Reason, Reply, Session, TransportError,
    Wire, WorkerId, shorten,
};
use in_flight::InFlight;
use messages::{
    MessageError, ReducerError, ReducerOutcome, ServerMessage, Version, messages, put_transfer,
};

/// What is spoken, for messages to people.
pub(crate) const PROTOCOL: &str = "SpacetimeDB";
/// Longest wait for the server's first message after the upgrade.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);
/// Calls in one message of v3: a server takes 32 MiB.
const CALLS_PER_MESSAGE: usize = 4096;
/// The first request id; the next ones count from it.
const FIRST_REQUEST_ID: u32 = 1;

/// Opens sessions with a database of SpacetimeDB.
#[derive(Debug, Clone)]
pub struct SpacetimeDbConnector {
    database: Database,
    version: Version,
    confirmed: ConfirmedReads,
    first_request_id: u32,
}

impl SpacetimeDbConnector {
    /// Sessions with the database that the endpoint's path names.
    #[must_use]
    pub fn new(endpoint: Endpoint, wire: Wire) -> Self {
        Self {
            database: Database::at(endpoint),
            version: match wire.encoding {
                Encoding::BsatnV2 => Version::V2,
                _ => Version::V3,
            },
            confirmed: wire.confirmed_reads,
            first_request_id: FIRST_REQUEST_ID,
        }
    }

    /// The same with other request ids, for what depends on them: they wrap at 32 bits.
    #[must_use]
    pub fn counting_from(self, first_request_id: u32) -> Self {
        Self {
            first_request_id,
            ..self
        }
    }
}

/// Opens a WebSocket and waits until it can be used; shared with the control plane.
pub(crate) async fn open(
    database: &Database,
    version: Version,
    confirmed: ConfirmedReads,
) -> Result<Socket, ConnectError> {
    let foreign = |why: String| ConnectError::Foreign {
        url: database.url("ws"),
        protocol: PROTOCOL,
        why,
    };
    database
        .check()
        .map_err(|error| foreign(error.to_string()))?;
    let path = database.subscribe_path(confirmed);
    let subprotocol = version.subprotocol();
    let upgraded = ws::upgrade(
        &database.endpoint,
        &path,
        Some(subprotocol),
        ws::Remedies::default(),
    )
    .await;
    let mut socket = upgraded.map_err(|error| match error {
        ConnectError::Protocol { why, .. } => foreign(format!(
            "asked for GET {path} with the subprotocol {subprotocol}, {why}{}",
            upgrade_remedy(&why, database)
        )),
        other => other,
    })?;
    let greeted = tokio::time::timeout(GREETING_TIMEOUT, greeting(&mut socket, version)).await;
    let greeted = greeted.unwrap_or_else(|_| Err(format!("nothing within {GREETING_TIMEOUT:?}")));
    greeted.map_err(|came| {
        foreign(format!(
            "expected InitialConnection after the upgrade to {subprotocol}, came {came}"
        ))
    })?;
    Ok(socket)
}

/// What to do when the upgrade came to nothing.
fn upgrade_remedy(why: &str, database: &Database) -> String {
    if why.contains("404") {
        format!(
            "; publish the module under the name {}, or write another name behind the host of the \
             URL",
            database.name()
        )
    } else if why.contains("400") || why.to_ascii_lowercase().contains("subprotocol") {
        "; a server without this version of the protocol may have the other one: --encoding \
         bsatn_v2 or bsatn_v3"
            .to_owned()
    } else {
        String::new()
    }
}

/// Waits for the first message; what came instead.
async fn greeting(socket: &mut Socket, version: Version) -> Result<(), String> {
    loop {
        let read = |payload: &[u8]| {
            let first = messages(payload, version).and_then(|mut all| {
                let first = all.next().unwrap_or(Err(MessageError::Empty))?;
                // Nothing has been asked for yet.
                all.next()
                    .map_or(Ok(first), |_| Err(MessageError::Trailing(payload.len())))
            });
            match first {
                Ok(ServerMessage::InitialConnection) => Ok(()),
                Ok(other) => Err(other.to_string()),
                Err(error) => Err(error.to_string()),
            }
        };
        match socket.next().await {
            Some(Ok(Incoming::Binary(payload))) => return read(socket.payload(&payload)),
            Some(Ok(Incoming::Message(Message::Binary(payload)))) => return read(&payload),
            Some(Ok(Incoming::Message(Message::Close(frame)))) => {
                return Err(closed(frame.as_ref()).to_string());
            }
            // A ping may come first. It is answered with whatever is written next.
            Some(Ok(Incoming::Message(Message::Ping(_) | Message::Pong(_)))) => {}
            Some(Ok(Incoming::Text(_) | Incoming::Message(_))) => {
                return Err("a text message".to_owned());
            }
            Some(Err(error)) => return Err(error.to_string()),
            None => return Err("the end of the connection".to_owned()),
        }
    }
}

/// Why the server closes the connection.
pub(crate) fn closed(frame: Option<&CloseFrame>) -> TransportError {
    let Some(frame) = frame else {
        return TransportError::Closed;
    };
    let code = u16::from(frame.code);
    let mut reason = shorten(frame.reason.as_bytes());
    if code == 1013 {
        reason.push_str("; lower --inflight");
    }
    TransportError::ClosedFor { code, reason }
}

impl Connector for SpacetimeDbConnector {
    type Session = SpacetimeDbSession;
    const TRANSPORT: &'static str = "spacetimedb";

    async fn connect(&self, _worker: WorkerId) -> Result<SpacetimeDbSession, ConnectError> {
        Ok(SpacetimeDbSession {
            socket: open(&self.database, self.version, self.confirmed).await?,
            answers: Answers {
                version: self.version,
                in_flight: InFlight::counting_from(self.first_request_id),
                forgotten: Forgotten::default(),
                remark: None,
            },
            calls: BytesMut::new(),
            // The greeting's ping has an answer that waits to be written.
            dirty: true,
        })
    }
}

/// One WebSocket.
pub struct SpacetimeDbSession {
    socket: Socket,
    answers: Answers,
    /// Calls of this turn, in v3, that are to be one message.
    calls: BytesMut,
    /// Something was submitted that is not flushed.
    dirty: bool,
}

/// From messages to replies.
struct Answers {
    version: Version,
    in_flight: InFlight,
    forgotten: Forgotten,
    /// The first refusal that has no reason of its own.
    remark: Option<String>,
}

impl SpacetimeDbSession {
    fn send_calls(&mut self) -> Result<(), TransportError> {
        if self.calls.is_empty() {
            return Ok(());
        }
        self.dirty = true;
        let Self { calls, socket, .. } = self;
        socket
            .put_binary(|out| out.extend_from_slice(calls))
            .map_err(dead)?;
        calls.clear();
        Ok(())
    }

    fn poll_replies(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut Vec<Reply>,
    ) -> Poll<Result<(), TransportError>> {
        // An error in writing waits until what was answered before it has been read.
        let mut broken = self.send_calls().err();
        let before = out.len();
        loop {
            if self.dirty && broken.is_none() {
                match self.socket.poll_flush(cx) {
                    Poll::Ready(Ok(())) => self.dirty = false,
                    Poll::Ready(Err(error)) => broken = Some(dead(error)),
                    // The read below goes on; the waker is registered for both.
                    Poll::Pending => {}
                }
            }
            let mut was_pinged = false;
            let error = loop {
                let taken = match self.socket.poll_next(cx) {
                    Poll::Ready(Some(Ok(Incoming::Binary(payload)))) => {
                        self.answers.take(self.socket.payload(&payload), out)
                    }
                    Poll::Ready(Some(Ok(Incoming::Message(message)))) => {
                        was_pinged |= message.is_ping();
                        self.answers.take_message(&message, out)
                    }
                    Poll::Ready(Some(Ok(Incoming::Text(_)))) => Err(not_binary()),
                    Poll::Ready(Some(Err(error))) => Err(dead(error)),
                    Poll::Ready(None) => Err(TransportError::Closed),
                    Poll::Pending => break None,
                };
                if let Err(error) = taken {
                    break Some(error);
                }
            };
            match error.or(broken.take()) {
                Some(error) => return Poll::Ready(Err(error)),
                // A server that waits for the answer to its ping gives up in the end.
                None if was_pinged && !self.dirty => self.dirty = true,
                None if out.len() > before => return Poll::Ready(Ok(())),
                None => return Poll::Pending,
            }
        }
    }
}

fn not_binary() -> TransportError {
    TransportError::Protocol("a text message, where all are binary".to_owned())
}

impl Answers {
    /// A message that came through the library: fragments, and control frames.
    fn take_message(
        &mut self,
        message: &Message,
        out: &mut Vec<Reply>,
    ) -> Result<(), TransportError> {
        match message {
            Message::Binary(payload) => self.take(payload, out),
            Message::Close(frame) => Err(closed(frame.as_ref())),
            Message::Text(_) => Err(not_binary()),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(()),
        }
    }

    fn take(&mut self, payload: &[u8], out: &mut Vec<Reply>) -> Result<(), TransportError> {
        let broke = |error: MessageError| TransportError::Protocol(error.to_string());
        for message in messages(payload, self.version).map_err(broke)? {
            match message.map_err(broke)? {
                ServerMessage::InitialConnection => {
                    let twice = "a second InitialConnection".to_owned();
                    return Err(TransportError::Protocol(twice));
                }
                ServerMessage::ReducerResult {
                    request_id,
                    outcome,
                } => self.answer(request_id, outcome, out)?,
            }
        }
        Ok(())
    }

    fn answer(
        &mut self,
        request_id: u32,
        outcome: ReducerOutcome<'_>,
        out: &mut Vec<Reply>,
    ) -> Result<(), TransportError> {
        let Some(id) = self.in_flight.take(request_id) else {
            return Err(TransportError::Protocol(format!(
                "a ReducerResult for request {request_id}, which is not in flight"
            )));
        };
        let outcome = match outcome {
            ReducerOutcome::Ok => Outcome::Committed,
            refused => self.refusal(refused),
        };
        if !self.forgotten.is_late(id) {
            out.push(Reply { id, outcome });
        }
        Ok(())
    }

    /// Why a call is not committed. The names are those of the benchmark's own module.
    #[cold]
    fn refusal(&mut self, refused: ReducerOutcome<'_>) -> Outcome {
        let (outcome, said) = match refused {
            ReducerOutcome::Ok => (Outcome::Committed, String::new()),
            ReducerOutcome::Err(ReducerError::Text(text)) => match text {
                "insufficient_funds" => return Outcome::Rejected(Reason::InsufficientFunds),
                "account_missing" => return Outcome::Rejected(Reason::AccountMissing),
                "same_account" | "non_positive_amount" => {
                    return Outcome::Rejected(Reason::InvalidTransfer);
                }
                text => (Outcome::Rejected(Reason::Other), shorten(text.as_bytes())),
            },
            ReducerOutcome::Err(ReducerError::Value(value)) => {
                (Outcome::Rejected(Reason::Other), format!("{value:02x?}"))
            }
            ReducerOutcome::InternalError(text) => {
                let outcome = if text.starts_with("no such reducer") {
                    Outcome::Rejected(Reason::UnknownMethod)
                } else if text.starts_with("invalid arguments") {
                    Outcome::Rejected(Reason::InvalidRequest)
                } else {
                    Outcome::Failed(Some(Reason::Other))
                };
                (outcome, shorten(text.as_bytes()))
            }
        };
        self.remark.get_or_insert_with(|| {
            format!(
                "asked for transfer(from: u32, to: u32, amount: i64), came the error {said}: \
                 publish the benchmark's own module"
            )
        });
        outcome
    }
}

impl Session for SpacetimeDbSession {
    /// A transfer between accounts that do not fit 32 bits cannot be written.
    fn submit(&mut self, id: RequestId, transfer: Transfer) -> Result<(), TransportError> {
        let account = |account: i64| {
            u32::try_from(account).map_err(|_| {
                TransportError::Protocol(format!("account {account} is not a u32 of a call"))
            })
        };
        let (from, to) = (account(transfer.from)?, account(transfer.to)?);
        let request_id = self.answers.in_flight.add(id)?;
        let put = |out: &mut BytesMut| put_transfer(out, request_id, from, to, transfer.amount);
        match self.answers.version {
            Version::V2 => {
                self.dirty = true;
                self.socket.put_binary(put).map_err(dead)
            }
            Version::V3 => {
                put(&mut self.calls);
                if self.calls.len() >= CALLS_PER_MESSAGE * CALL_BYTES {
                    self.send_calls()?;
                }
                Ok(())
            }
        }
    }

    fn forget(&mut self, id: RequestId) {
        self.answers.forgotten.forget(id);
    }

    fn late_answers(&self) -> u64 {
        self.answers.forgotten.late
    }

    fn remark(&self) -> Option<String> {
        self.answers.remark.clone()
    }

    async fn replies(&mut self, out: &mut Vec<Reply>) -> Result<(), TransportError> {
        poll_fn(|cx| self.poll_replies(cx, out)).await
    }

    async fn close(&mut self) {
        self.socket.close().await;
    }
}

/// Length of a call of the reducer `transfer`, in bytes.
const CALL_BYTES: usize = 38;
