//! One WebSocket connection: every buffered frame in, one submission; every outcome that
//! has arrived out, one flush.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Instant;

use busload_engine::{ControlReply, Work};
use busload_net::Stream as Wire;
use busload_net::frames::{FrameSocket, Incoming, Payload};
use busload_wire::binary::{self, MessageBuilder};
use busload_wire::json::{AnswerId, RequestError, decode_request, encode_outcome, encode_result};
use busload_wire::{ErrorCode, Request, RequestId};
use bytes::{Bytes, BytesMut};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use crate::answers::{self, Route};
use crate::limits::{OUTCOMES_PER_MESSAGE, REQUESTS_PER_TURN};
use crate::mailbox::{ControlAnswer, Delivery, Mailbox};
use crate::shared::{Client, Shared};
use crate::timeouts::{Due, KeepAlive, WriteTimeout};

/// Bytes of a control frame before its payload.
const CONTROL_HEADER_BYTES: usize = 6;

pub(super) enum End {
    PeerLeft,
    Stopping,
    /// Nothing was asked for too long.
    Idle,
    /// A ping was not answered.
    Gone,
    /// It held the most of a memory that all together have exceeded.
    TooMuchInput,
    Refused(CloseCode),
}

/// Whether requests are still read.
#[derive(PartialEq, Eq, Clone, Copy)]
enum Input {
    Open,
    /// The server stops: what is in flight is still answered.
    Closed,
}

/// How far reading got.
#[derive(PartialEq, Eq, Clone, Copy)]
enum Read {
    /// The socket is empty and will wake the task.
    UpToHere,
    /// Nobody will wake the task for what is buffered.
    MoreMayBeBuffered,
    PeerLeft,
}

/// Outcomes of one vector, to be given to the socket.
struct Arrived {
    posted: Option<Instant>,
    transfers: usize,
    left: std::vec::IntoIter<Work>,
}

impl From<Delivery> for Arrived {
    fn from(Delivery { posted, work }: Delivery) -> Self {
        Self {
            posted,
            transfers: work.len(),
            left: work.into_iter(),
        }
    }
}

pub(super) struct Connection {
    socket: FrameSocket<WriteTimeout<Wire>>,
    keep_alive: KeepAlive,
    shared: Arc<Shared>,
    mailbox: Arc<Mailbox>,
    client: Arc<Client>,
    /// The binary subprotocol was agreed on.
    binary: bool,
    /// Requests read whose answers have not been given to the socket.
    inflight: usize,
    /// One of them is a control call. Nothing is read until it is answered: it costs the writer
    /// a commit of its own at least, for which everybody waits, and what comes after it must not
    /// be queued before it is done.
    calling: bool,
    /// Transfers read in this turn, not submitted yet.
    incoming: Vec<Work>,
    decoded: Vec<(RequestId, busload_wire::Transfer)>,
    /// Outcomes that have arrived, not given to the socket yet.
    arrived: VecDeque<Arrived>,
    /// Only to keep its memory between turns.
    mail: Vec<Delivery>,
    /// When this turn began to read, if stages are timed.
    read_since: Option<Instant>,
    /// Given to the socket and not flushed yet: when posted, and how many.
    answered: Vec<(Instant, usize)>,
    controls: Vec<ControlAnswer>,
    builder: MessageBuilder,
    /// The socket holds something that was not flushed.
    dirty: bool,
    input: Input,
}

impl Connection {
    pub(super) fn new(
        socket: FrameSocket<WriteTimeout<Wire>>,
        binary: bool,
        shared: Arc<Shared>,
        client: Arc<Client>,
    ) -> Self {
        Self {
            socket,
            keep_alive: KeepAlive::new(&shared.limits),
            shared,
            mailbox: Arc::clone(&client.mailbox),
            client,
            binary,
            inflight: 0,
            calling: false,
            incoming: Vec::new(),
            decoded: Vec::new(),
            arrived: VecDeque::new(),
            mail: Vec::new(),
            read_since: None,
            answered: Vec::new(),
            controls: Vec::new(),
            builder: MessageBuilder::new(),
            dirty: false,
            input: Input::Open,
        }
    }

    /// The same connection without what it has of an unfinished message, and without the buffers
    /// of the messages before: what is in flight is still answered, nothing is read any more.
    pub(super) async fn without_input(self, config: WebSocketConfig) -> Self {
        debug_assert!(!self.dirty, "the socket held nothing to be written");
        let stream = self.socket.into_inner();
        self.client.input.leave();
        let socket = FrameSocket::server(stream, &[], config).await;
        Self {
            socket,
            input: Input::Closed,
            ..self
        }
    }

    pub(super) fn into_socket(self) -> FrameSocket<WriteTimeout<Wire>> {
        self.client.input.leave();
        self.socket
    }

    /// Does what can be done now, until the connection ends.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.mailbox.register(cx.waker());
        if self.shared.stopping.load(Ordering::Acquire) {
            self.input = Input::Closed;
        }
        let turn = if self.client.input.is_refused() && self.input == Input::Open {
            self.drop_input(cx)
        } else {
            self.turn(cx)
        };
        match turn {
            Ok(poll) => poll,
            Err(error) => Poll::Ready(end_of(&error)),
        }
    }

    /// The memory of its input is needed now. A peer that does not even take its answers is not
    /// waited for.
    fn drop_input(&mut self, cx: &mut Context<'_>) -> Result<Poll<End>, WsError> {
        self.flush(cx)?;
        let end = if self.dirty {
            End::PeerLeft
        } else {
            End::TooMuchInput
        };
        Ok(Poll::Ready(end))
    }

    /// Writes what can be written, reads what may be read, flushes once.
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<Poll<End>, WsError> {
        if self.inflight > 0 || self.dirty {
            self.keep_alive.asked();
        }
        if self.dirty || !self.may_read() || self.input == Input::Closed {
            self.keep_alive.heard();
        }
        let mut mail = std::mem::take(&mut self.mail);
        self.mailbox.empty_into(&mut mail, &mut self.controls);
        self.arrived.extend(mail.drain(..).map(Arrived::from));
        self.mail = mail;
        self.write_answers(cx)?;
        let read = match self.input {
            Input::Open => self.read_requests(cx)?,
            Input::Closed => Read::UpToHere,
        };
        if read == Read::PeerLeft {
            return Ok(Poll::Ready(End::PeerLeft));
        }
        // Refusals are there at once.
        self.write_answers(cx)?;
        self.flush(cx)?;
        if let Some(end) = self.look_after_peer(cx)? {
            return Ok(Poll::Ready(end));
        }
        if self.input == Input::Closed && self.inflight == 0 && !self.dirty {
            return Ok(Poll::Ready(End::Stopping));
        }
        if read == Read::MoreMayBeBuffered && self.may_read() {
            // The others have their turn first.
            cx.waker().wake_by_ref();
        }
        Ok(Poll::Pending)
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Result<(), WsError> {
        if self.dirty && self.socket.poll_flush(cx)?.is_ready() {
            self.dirty = false;
            self.shared.front.timings.replied(&self.answered);
            self.answered.clear();
        }
        Ok(())
    }

    /// Pings a peer that is silent; ends the connection of one that is gone or idle.
    fn look_after_peer(&mut self, cx: &mut Context<'_>) -> Result<Option<End>, WsError> {
        while let Poll::Ready(due) = self.keep_alive.poll(cx) {
            match due {
                Due::Gone => return Ok(Some(End::Gone)),
                Due::Idle => return Ok(Some(End::Idle)),
                Due::Ping => {
                    self.dirty = true;
                    self.socket.start_send(Message::Ping(Bytes::new()))?;
                    self.flush(cx)?;
                }
            }
        }
        Ok(None)
    }

    fn may_read(&self) -> bool {
        !self.calling && self.inflight < self.shared.limits.inflight_per_connection
    }

    /// Reads until the socket has nothing more, the connection has its fill in flight or a
    /// control call, or its turn is over; then submits all transfers read at once.
    fn read_requests(&mut self, cx: &mut Context<'_>) -> Result<Read, WsError> {
        let mut read = Read::MoreMayBeBuffered;
        self.read_since = self.shared.front.timings.now();
        for _ in 0..REQUESTS_PER_TURN {
            if !self.may_read() {
                break;
            }
            match self.socket.poll_next(cx)? {
                Poll::Ready(Some(incoming)) => self.take(incoming)?,
                Poll::Ready(None) => {
                    read = Read::PeerLeft;
                    break;
                }
                Poll::Pending => {
                    read = Read::UpToHere;
                    break;
                }
            }
        }
        self.submit();
        Ok(read)
    }

    /// One message: a request, or many transfers.
    fn take(&mut self, incoming: Incoming) -> Result<(), WsError> {
        self.keep_alive.heard();
        let whole = match &incoming {
            Incoming::Text(payload) | Incoming::Binary(payload) => Some(payload.len()),
            Incoming::Message(Message::Text(text)) => Some(text.len()),
            Incoming::Message(Message::Binary(bytes)) => Some(bytes.len()),
            Incoming::Message(other) => {
                self.client.input.aside(other.len() + CONTROL_HEADER_BYTES);
                None
            }
        };
        if let Some(bytes) = whole {
            self.client.input.whole(bytes);
            self.keep_alive.asked();
        }
        #[cfg(feature = "echo")]
        if self.shared.echo.load(Ordering::Acquire) && whole.is_some() {
            return self.send_back(incoming);
        }
        match incoming {
            Incoming::Text(payload) => self.take_text(&payload),
            Incoming::Message(Message::Text(text)) => {
                let request = decode_request(text.as_bytes());
                self.take_request(request)
            }
            Incoming::Binary(payload) if self.binary => {
                let bytes = self.socket.payload(&payload);
                let decoded = binary::decode_transfers(bytes, &mut self.decoded);
                self.take_transfers(decoded.is_ok())
            }
            Incoming::Message(Message::Binary(bytes)) if self.binary => {
                let decoded = binary::decode_transfers(&bytes, &mut self.decoded);
                self.take_transfers(decoded.is_ok())
            }
            Incoming::Binary(_) | Incoming::Message(Message::Binary(_)) => {
                self.answer_now(None, Err(ErrorCode::InvalidRequest))
            }
            // The library answers pings and closes by itself, at the next flush.
            Incoming::Message(_) => {
                self.dirty = true;
                Ok(())
            }
        }
    }

    /// Text that nobody has checked yet. What is read as a request is UTF-8.
    fn take_text(&mut self, payload: &Payload) -> Result<(), WsError> {
        let text = self.socket.payload(payload);
        let request = decode_request(text);
        if request.is_err()
            && let Err(error) = std::str::from_utf8(text)
        {
            return Err(WsError::Utf8(error.to_string()));
        }
        self.take_request(request)
    }

    #[cfg(feature = "echo")]
    fn send_back(&mut self, incoming: Incoming) -> Result<(), WsError> {
        self.dirty = true;
        match incoming {
            Incoming::Text(payload) => {
                let text = self.socket.payload(&payload).to_vec();
                if let Err(error) = std::str::from_utf8(&text) {
                    return Err(WsError::Utf8(error.to_string()));
                }
                self.socket.put_text(|out| out.extend_from_slice(&text))
            }
            Incoming::Binary(payload) => {
                let bytes = self.socket.payload(&payload).to_vec();
                self.socket.put_binary(|out| out.extend_from_slice(&bytes))
            }
            Incoming::Message(message) => self.socket.start_send(message),
        }
    }

    fn take_request(&mut self, request: Result<Request, RequestError>) -> Result<(), WsError> {
        match request {
            Ok(Request { id: None, .. }) => self.answer_now(None, Err(ErrorCode::InvalidRequest)),
            Ok(Request { id, call }) => match answers::route(call, self.shared.may_seed) {
                Route::Transfer(transfer) => {
                    self.inflight += 1;
                    self.incoming.push(Work::new(id, transfer));
                    Ok(())
                }
                Route::Control(call) => {
                    self.inflight += 1;
                    self.calling = true;
                    // In order: the call sees every transfer read before it.
                    self.submit();
                    let mailbox = Arc::clone(&self.mailbox);
                    if let Err(error) = self.shared.engine.control(mailbox, id, call) {
                        self.controls.push((id, Err(error)));
                    }
                    Ok(())
                }
                Route::Health => {
                    let degradations = self.shared.engine.health();
                    self.send(|out| answers::encode_health(out, AnswerId::Echo(id), &degradations))
                }
                Route::Info => {
                    let shared = Arc::clone(&self.shared);
                    self.send(|out| encode_result(out, AnswerId::Echo(id), &shared.info_now()))
                }
                Route::Totals => {
                    // What was read before it is queued when it looks.
                    self.submit();
                    let totals = self.shared.totals();
                    self.send(|out| encode_result(out, AnswerId::Echo(id), &totals))
                }
                Route::Histograms => {
                    self.inflight += 1;
                    self.calling = true;
                    self.submit();
                    let (shared, mailbox) = (Arc::clone(&self.shared), Arc::clone(&self.mailbox));
                    tokio::spawn(async move {
                        let stats = Box::new(shared.histograms().await);
                        mailbox.put_control((id, Ok(ControlReply::Stats(stats))));
                        mailbox.wake();
                    });
                    Ok(())
                }
            },
            Err(error) => self.answer_now(error.id, Err(error.code)),
        }
    }

    /// The transfers of a binary message, all of them or none.
    fn take_transfers(&mut self, are_valid: bool) -> Result<(), WsError> {
        if !are_valid {
            self.builder
                .push_outcome(None, Err(ErrorCode::InvalidRequest));
            return self.send_binary();
        }
        self.inflight += self.decoded.len();
        let works = self.decoded.drain(..);
        self.incoming
            .extend(works.map(|(id, transfer)| Work::new(Some(id), transfer)));
        Ok(())
    }

    /// Hands the transfers read so far to the engine; what it refuses is answered at once.
    fn submit(&mut self) {
        if self.incoming.is_empty() {
            return;
        }
        let work = std::mem::take(&mut self.incoming);
        let (took, transfers) = (self.read_since.map(|began| began.elapsed()), work.len());
        let refused = self.shared.engine.submit(Arc::clone(&self.mailbox), work);
        self.shared
            .front
            .timings
            .read(took, transfers - refused.len());
        if !refused.is_empty() {
            self.arrived.push_back(Arrived::from(Delivery {
                posted: None,
                work: refused,
            }));
        }
    }

    /// Gives outcomes to the socket while it takes them.
    fn write_answers(&mut self, cx: &mut Context<'_>) -> Result<(), WsError> {
        while let Some((id, reply)) = self.controls.pop() {
            if self.socket.poll_ready(cx)?.is_pending() {
                self.controls.push((id, reply));
                return Ok(());
            }
            self.inflight -= 1;
            self.calling = false;
            self.send(|out| {
                answers::encode_control(out, AnswerId::Echo(id), &reply);
            })?;
        }
        while let Some(mut arrived) = self.arrived.pop_front() {
            while arrived.left.len() > 0 {
                if self.socket.poll_ready(cx)?.is_pending() {
                    self.arrived.push_front(arrived);
                    return Ok(());
                }
                if self.binary {
                    for one in arrived.left.by_ref().take(OUTCOMES_PER_MESSAGE) {
                        self.builder.push_outcome(one.id, one.outcome.code());
                        self.inflight -= 1;
                    }
                    self.send_binary()?;
                } else if let Some(Work { id, outcome, .. }) = arrived.left.next() {
                    self.inflight -= 1;
                    self.answer_now(id, outcome.code())?;
                }
            }
            if let Some(posted) = arrived.posted {
                self.answered.push((posted, arrived.transfers));
            }
        }
        Ok(())
    }

    fn answer_now(
        &mut self,
        id: Option<RequestId>,
        result: Result<(), ErrorCode>,
    ) -> Result<(), WsError> {
        self.send(|out| encode_outcome(out, AnswerId::Echo(id), result))
    }

    fn send(&mut self, write: impl FnOnce(&mut BytesMut)) -> Result<(), WsError> {
        self.dirty = true;
        self.socket.put_text(write)
    }

    fn send_binary(&mut self) -> Result<(), WsError> {
        self.dirty = true;
        let message = self.builder.finish();
        self.socket
            .put_binary(|out| out.extend_from_slice(&message))
    }
}

/// What to tell the peer, if it can still be told.
fn end_of(error: &WsError) -> End {
    match error {
        WsError::Capacity(_) => End::Refused(CloseCode::Size),
        WsError::Utf8(_) => End::Refused(CloseCode::Invalid),
        WsError::Protocol(protocol) => {
            use tokio_tungstenite::tungstenite::error::ProtocolError;
            match protocol {
                ProtocolError::ResetWithoutClosingHandshake => End::PeerLeft,
                _ => End::Refused(CloseCode::Protocol),
            }
        }
        // The client asks faster than it reads answers that need no batch.
        WsError::WriteBufferFull(_) => End::Refused(CloseCode::Policy),
        _ => End::PeerLeft,
    }
}
