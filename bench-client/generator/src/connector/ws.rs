//! Transfers over one WebSocket per worker.

mod socket;

use std::future::poll_fn;
use std::hash::{BuildHasher as _, RandomState};
use std::task::{Context, Poll};

use busload_net::frames::{FrameSocket, Incoming};
use busload_wire::binary::{self, MessageBuilder};
use busload_wire::json::{AnswerError, encode_transfer, read_answer};
use busload_wire::{Answer, RequestId, Transfer};
use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::config::Encoding;

use super::{
    ConnectError, Connector, ConnectorKind, Endpoint, Forgotten, Reply, Session, TransportError,
    WorkerId, shorten,
};

pub(crate) use socket::Socket;

/// Small on purpose: the library zero-fills it before every read.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// Written when this much has gathered, or at the end of a turn.
const WRITE_BUFFER_BYTES: usize = 64 * 1024;
/// Holds 16,384 JSON transfers that the server does not read, with room to spare.
const MAX_WRITE_BUFFER_BYTES: usize = 8 * 1024 * 1024;
/// Answers are short; what is longer is no answer.
const MAX_MESSAGE_BYTES: usize = 1024 * 1024;
/// Transfers in one binary message: stays below the server's message limit.
const TRANSFERS_PER_MESSAGE: usize = 4096;

/// Opens WebSocket sessions.
#[derive(Debug, Clone)]
pub struct WsConnector {
    target: Endpoint,
    encoding: Encoding,
}

impl WsConnector {
    /// Sessions with the server at `target`.
    #[must_use]
    pub fn new(target: Endpoint, encoding: Encoding) -> Self {
        Self { target, encoding }
    }
}

/// Opens a WebSocket of the transfer protocol; shared with the control plane.
pub(crate) async fn open(target: &Endpoint, encoding: Encoding) -> Result<Socket, ConnectError> {
    let (own, remedy) = match encoding {
        Encoding::Binary => (
            Some(binary::SUBPROTOCOL),
            "; it may lack the binary encoding, use --encoding json",
        ),
        _ => (None, ""),
    };
    let subprotocol = target.subprotocol.as_deref().or(own);
    let secure = if target.tls.is_some() { "s" } else { "" };
    let http = ConnectorKind::SqliteRpc;
    let remedies = Remedies {
        is_not_upgraded: &format!(
            "; if it speaks HTTP, its connector is {http}: --connector {http}, and http{secure}:// \
             in a URL"
        ),
        is_only_upgraded: remedy,
    };
    upgrade(target, &target.path, subprotocol, remedies).await
}

/// What to try, as the end of a message.
#[derive(Clone, Copy, Default)]
pub(crate) struct Remedies<'a> {
    /// For a server that answers by HTTP, and not to the upgrade.
    is_not_upgraded: &'a str,
    /// For one that agrees to be upgraded, and to nothing else that was asked.
    is_only_upgraded: &'a str,
}

/// Opens a WebSocket at this path and query of the server.
pub(crate) async fn upgrade(
    target: &Endpoint,
    path: &str,
    subprotocol: Option<&str>,
    remedies: Remedies<'_>,
) -> Result<Socket, ConnectError> {
    let stream = target.connect("ws").await?;
    let stream = FrameSocket::before_handshake(stream, &config());
    let open = shake_hands(target, path, subprotocol, remedies, stream).await?;
    // The standard library's way to the operating system's randomness.
    let seed = RandomState::new().hash_one(0);
    Ok(Socket::new(FrameSocket::client(open, seed)))
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(MAX_WRITE_BUFFER_BYTES)
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES))
}

async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(
    target: &Endpoint,
    path: &str,
    subprotocol: Option<&str>,
    remedies: Remedies<'_>,
    stream: S,
) -> Result<WebSocketStream<S>, ConnectError> {
    let url = target.url("ws");
    let not_ours = |why: String| ConnectError::Protocol {
        url: url.clone(),
        why,
    };
    let mut request = format!("ws://{}{path}", target.authority)
        .into_client_request()
        .map_err(|error| not_ours(error.to_string()))?;
    let headers = request.headers_mut();
    if let Some(protocol) = subprotocol {
        let protocol = HeaderValue::from_str(protocol)
            .map_err(|error| not_ours(format!("'{protocol}' is not a subprotocol: {error}")))?;
        headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    if let Some(token) = &target.token {
        headers.insert(AUTHORIZATION, token.header_value());
    }
    match client_async_with_config(request, stream, Some(config())).await {
        Ok((socket, _)) => Ok(socket),
        Err(WsError::Io(source)) => Err(ConnectError::Io { url, source }),
        Err(WsError::Http(response)) if response.status() == StatusCode::UNAUTHORIZED => {
            Err(target.unauthorized("ws"))
        }
        Err(WsError::Http(response)) if response.status() == StatusCode::FORBIDDEN => {
            Err(target.forbidden("ws"))
        }
        Err(WsError::Http(response)) => {
            let body = response.body().as_deref().unwrap_or_default();
            let said = match body {
                [] => String::new(),
                _ => format!(": {}", shorten(body)),
            };
            Err(not_ours(format!(
                "it answered {} to the WebSocket handshake{said}{}",
                response.status(),
                remedies.is_not_upgraded
            )))
        }
        Err(WsError::Protocol(ProtocolError::HttparseError(_))) => Err(not_ours(format!(
            "its answer is not HTTP{}",
            target.tls_remedy("ws")
        ))),
        Err(WsError::Protocol(ProtocolError::HandshakeIncomplete)) => Err(not_ours(format!(
            "it closed the connection without an answer{}",
            target.tls_remedy("ws")
        ))),
        Err(WsError::Protocol(error @ ProtocolError::WrongHttpVersion)) => {
            Err(not_ours(format!("{error}{}", remedies.is_not_upgraded)))
        }
        Err(WsError::Protocol(error)) => {
            Err(not_ours(format!("{error}{}", remedies.is_only_upgraded)))
        }
        Err(error) => Err(not_ours(error.to_string())),
    }
}

impl Connector for WsConnector {
    type Session = WsSession;
    const TRANSPORT: &'static str = "ws";

    async fn connect(&self, _worker: WorkerId) -> Result<WsSession, ConnectError> {
        Ok(WsSession {
            socket: open(&self.target, self.encoding).await?,
            encoding: self.encoding,
            builder: MessageBuilder::new(),
            answers: Vec::new(),
            forgotten: Forgotten::default(),
            contradictory: 0,
            dirty: false,
        })
    }
}

/// One WebSocket.
pub struct WsSession {
    socket: Socket,
    encoding: Encoding,
    builder: MessageBuilder,
    answers: Vec<Answer>,
    forgotten: Forgotten,
    contradictory: u64,
    /// Something was submitted that is not flushed.
    dirty: bool,
}

impl WsSession {
    fn send_records(&mut self) -> Result<(), TransportError> {
        if self.builder.is_empty() {
            return Ok(());
        }
        self.dirty = true;
        let message = self.builder.finish();
        let put = |out: &mut bytes::BytesMut| out.extend_from_slice(&message);
        self.socket.put_binary(put).map_err(dead)
    }

    fn poll_replies(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut Vec<Reply>,
    ) -> Poll<Result<(), TransportError>> {
        // An error in writing waits until what was answered before it has been read.
        let mut broken = self.send_records().err();
        if self.dirty && broken.is_none() {
            match self.socket.poll_flush(cx) {
                Poll::Ready(Ok(())) => self.dirty = false,
                Poll::Ready(Err(error)) => broken = Some(dead(error)),
                // The read below goes on; the waker is registered for both.
                Poll::Pending => {}
            }
        }
        let before = out.len();
        loop {
            let error = match self.socket.poll_next(cx) {
                Poll::Ready(Some(Ok(incoming))) => match self.take(&incoming, out) {
                    Ok(()) => continue,
                    Err(error) => error,
                },
                Poll::Ready(Some(Err(error))) => dead(error),
                Poll::Ready(None) => TransportError::Closed,
                Poll::Pending => match broken {
                    Some(error) => error,
                    None if out.len() > before => return Poll::Ready(Ok(())),
                    None => return Poll::Pending,
                },
            };
            return Poll::Ready(Err(error));
        }
    }

    fn take(&mut self, incoming: &Incoming, out: &mut Vec<Reply>) -> Result<(), TransportError> {
        match incoming {
            Incoming::Text(text) => {
                let read = read_answer(self.socket.payload(text));
                self.push_text(read, out)
            }
            Incoming::Message(Message::Text(text)) => {
                let read = read_answer(text.as_bytes());
                self.push_text(read, out)
            }
            Incoming::Binary(payload) => {
                binary::decode_outcomes(self.socket.payload(payload), &mut self.answers)
                    .map_err(|error| TransportError::Protocol(error.to_string()))?;
                self.push_all(out)
            }
            Incoming::Message(Message::Binary(bytes)) => {
                binary::decode_outcomes(bytes, &mut self.answers)
                    .map_err(|error| TransportError::Protocol(error.to_string()))?;
                self.push_all(out)
            }
            // The library answers pings and closes by itself.
            Incoming::Message(_) => {
                self.dirty = true;
                Ok(())
            }
        }
    }

    fn push_text(
        &mut self,
        read: Result<(Answer, bool), AnswerError>,
        out: &mut Vec<Reply>,
    ) -> Result<(), TransportError> {
        let (answer, consistent) =
            read.map_err(|error| TransportError::Protocol(error.to_string()))?;
        self.contradictory += u64::from(!consistent);
        self.push(&answer, out)
    }

    fn push_all(&mut self, out: &mut Vec<Reply>) -> Result<(), TransportError> {
        let mut answers = std::mem::take(&mut self.answers);
        let pushed = answers
            .drain(..)
            .try_for_each(|answer| self.push(&answer, out));
        self.answers = answers;
        pushed
    }

    fn push(&mut self, answer: &Answer, out: &mut Vec<Reply>) -> Result<(), TransportError> {
        let reply = Reply::from_answer(answer)
            .ok_or_else(|| TransportError::Protocol("an answer without an id".to_owned()))?;
        if !self.forgotten.is_late(reply.id) {
            out.push(reply);
        }
        Ok(())
    }
}

impl Session for WsSession {
    fn submit(&mut self, id: RequestId, transfer: Transfer) -> Result<(), TransportError> {
        if self.encoding == Encoding::Binary {
            if self.builder.len() == TRANSFERS_PER_MESSAGE || !self.builder.accepts(&transfer) {
                self.send_records()?;
            }
            self.builder.push_transfer(id, &transfer);
            return Ok(());
        }
        self.dirty = true;
        self.socket
            .put_text(|out| encode_transfer(out, Some(id), &transfer))
            .map_err(dead)
    }

    fn forget(&mut self, id: RequestId) {
        self.forgotten.forget(id);
    }

    fn late_answers(&self) -> u64 {
        self.forgotten.late
    }

    fn contradictory_answers(&self) -> u64 {
        self.contradictory
    }

    async fn replies(&mut self, out: &mut Vec<Reply>) -> Result<(), TransportError> {
        poll_fn(|cx| self.poll_replies(cx, out)).await
    }

    async fn close(&mut self) {
        self.socket.close().await;
    }
}

pub(super) fn dead(error: WsError) -> TransportError {
    match error {
        WsError::ConnectionClosed | WsError::AlreadyClosed => TransportError::Closed,
        WsError::Io(error) => TransportError::Io(error),
        other => TransportError::Protocol(other.to_string()),
    }
}
