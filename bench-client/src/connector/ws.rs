//! Transfers over one WebSocket per worker.

mod socket;

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use busload_wire::binary::{self, MessageBuilder};
use busload_wire::json::{encode_transfer, read_answer};
use busload_wire::{Answer, RequestId, Transfer};
use bytes::BytesMut;
use futures_util::{Sink, Stream};
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message, Utf8Bytes};

use super::{
    ConnectError, Connector, Encoding, Forgotten, Reply, Session, Target, TransportError, WorkerId,
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
    target: Target,
    encoding: Encoding,
}

impl WsConnector {
    /// Sessions with the server at `target`.
    #[must_use]
    pub fn new(target: Target, encoding: Encoding) -> Self {
        Self { target, encoding }
    }
}

/// Opens a WebSocket; shared with the control plane.
pub(crate) async fn open(target: &Target, encoding: Encoding) -> Result<Socket, ConnectError> {
    let url = target.url("ws");
    let not_ours = |why: String| ConnectError::Protocol {
        url: url.clone(),
        why,
    };
    let stream = target.connect("ws").await?;
    let mut request = url
        .as_str()
        .into_client_request()
        .map_err(|error| not_ours(error.to_string()))?;
    if encoding == Encoding::Binary {
        let protocol = HeaderValue::from_static(binary::SUBPROTOCOL);
        request
            .headers_mut()
            .insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    if let Some(token) = &target.token {
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, token.header_value());
    }
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(MAX_WRITE_BUFFER_BYTES)
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES));
    match client_async_with_config(request, stream, Some(config)).await {
        Ok((socket, _)) => Ok(Socket::new(socket)),
        Err(WsError::Io(source)) => Err(ConnectError::Io { url, source }),
        Err(WsError::Http(response)) if response.status() == StatusCode::UNAUTHORIZED => {
            Err(target.unauthorized("ws"))
        }
        Err(WsError::Http(response)) if response.status() == StatusCode::FORBIDDEN => {
            Err(target.forbidden("ws"))
        }
        Err(WsError::Http(response)) => Err(not_ours(format!(
            "it answered {} to the handshake",
            response.status()
        ))),
        Err(WsError::Protocol(ProtocolError::HttparseError(_))) => Err(not_ours(format!(
            "its answer is not HTTP{}",
            target.tls_remedy("ws")
        ))),
        Err(WsError::Protocol(ProtocolError::HandshakeIncomplete)) => Err(not_ours(format!(
            "it closed the connection without an answer{}",
            target.tls_remedy("ws")
        ))),
        Err(WsError::Protocol(error)) if encoding == Encoding::Binary => Err(not_ours(format!(
            "{error}; it may lack the binary encoding, use --encoding json"
        ))),
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
            scratch: BytesMut::new(),
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
    scratch: BytesMut,
    builder: MessageBuilder,
    answers: Vec<Answer>,
    forgotten: Forgotten,
    contradictory: u64,
    /// Something was submitted that is not flushed.
    dirty: bool,
}

impl WsSession {
    fn send(&mut self, message: Message) -> Result<(), TransportError> {
        self.dirty = true;
        Pin::new(&mut *self.socket)
            .start_send(message)
            .map_err(dead)
    }

    fn send_records(&mut self) -> Result<(), TransportError> {
        if self.builder.is_empty() {
            return Ok(());
        }
        let message = self.builder.finish().freeze();
        self.send(Message::Binary(message))
    }

    fn poll_replies(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut Vec<Reply>,
    ) -> Poll<Result<(), TransportError>> {
        // An error in writing waits until what was answered before it has been read.
        let mut broken = self.send_records().err();
        if self.dirty && broken.is_none() {
            match Pin::new(&mut *self.socket).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.dirty = false,
                Poll::Ready(Err(error)) => broken = Some(dead(error)),
                // The read below goes on; the waker is registered for both.
                Poll::Pending => {}
            }
        }
        let before = out.len();
        loop {
            let error = match Pin::new(&mut *self.socket).poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => match self.take(&message, out) {
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

    fn take(&mut self, message: &Message, out: &mut Vec<Reply>) -> Result<(), TransportError> {
        let broken = |why: String| TransportError::Protocol(why);
        match message {
            Message::Text(text) => {
                let (answer, consistent) =
                    read_answer(text.as_bytes()).map_err(|error| broken(error.to_string()))?;
                self.contradictory += u64::from(!consistent);
                self.answers.push(answer);
            }
            Message::Binary(bytes) => {
                binary::decode_outcomes(bytes, &mut self.answers)
                    .map_err(|error| broken(error.to_string()))?;
            }
            // The library answers pings and closes by itself.
            _ => self.dirty = true,
        }
        for answer in self.answers.drain(..) {
            let reply = Reply::from_answer(&answer)
                .ok_or_else(|| broken("an answer without an id".to_owned()))?;
            if !self.forgotten.is_late(reply.id) {
                out.push(reply);
            }
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
        encode_transfer(&mut self.scratch, Some(id), &transfer);
        let text = Utf8Bytes::try_from(self.scratch.split().freeze())
            .map_err(|error| TransportError::Protocol(error.to_string()))?;
        self.send(Message::Text(text))
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

fn dead(error: WsError) -> TransportError {
    match error {
        WsError::ConnectionClosed | WsError::AlreadyClosed => TransportError::Closed,
        WsError::Io(error) => TransportError::Io(error),
        other => TransportError::Protocol(other.to_string()),
    }
}
