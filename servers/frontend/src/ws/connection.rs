//! One WebSocket connection: every buffered frame in, one submission; every outcome that
//! has arrived out, one flush.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Instant;

use busload_engine::{ControlReply, Work};
use busload_wire::binary::{self, MessageBuilder};
use busload_wire::json::{AnswerId, decode_request, encode_outcome};
use busload_wire::{ErrorCode, Request, RequestId};
use bytes::{Bytes, BytesMut};
use futures_util::{Sink, Stream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WsError, Message, Utf8Bytes};

use crate::answers::{self, Route};
use crate::guarded::Guarded;
use crate::limits::{OUTCOMES_PER_MESSAGE, REQUESTS_PER_TURN};
use crate::mailbox::{ControlAnswer, Delivery, Mailbox};
use crate::shared::{Client, Shared};
use crate::stream::Stream as Wire;
use crate::watch::{Due, Watch};

/// Bytes of a control frame before its payload.
const CONTROL_HEADER_BYTES: usize = 6;

/// Why a connection ended.
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
    socket: WebSocketStream<Guarded<Wire>>,
    watch: Watch,
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
    scratch: BytesMut,
    builder: MessageBuilder,
    /// The socket holds something that was not flushed.
    dirty: bool,
    input: Input,
}

impl Connection {
    pub(super) fn new(
        socket: WebSocketStream<Guarded<Wire>>,
        binary: bool,
        shared: Arc<Shared>,
        client: Arc<Client>,
    ) -> Self {
        Self {
            socket,
            watch: Watch::new(&shared.limits),
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
            scratch: BytesMut::new(),
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
        let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
        Self {
            socket,
            input: Input::Closed,
            ..self
        }
    }

    pub(super) fn into_socket(self) -> WebSocketStream<Guarded<Wire>> {
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
            self.watch.asked();
        }
        if self.dirty || !self.may_read() || self.input == Input::Closed {
            self.watch.heard();
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
        if self.dirty && Pin::new(&mut self.socket).poll_flush(cx)?.is_ready() {
            self.dirty = false;
            self.shared.front.timings.replied(&self.answered);
            self.answered.clear();
        }
        Ok(())
    }

    /// Pings a peer that is silent; ends the connection of one that is gone or idle.
    fn look_after_peer(&mut self, cx: &mut Context<'_>) -> Result<Option<End>, WsError> {
        while let Poll::Ready(due) = self.watch.poll(cx) {
            match due {
                Due::Gone => return Ok(Some(End::Gone)),
                Due::Idle => return Ok(Some(End::Idle)),
                Due::Ping => {
                    self.dirty = true;
                    Pin::new(&mut self.socket).start_send(Message::Ping(Bytes::new()))?;
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
            match Pin::new(&mut self.socket).poll_next(cx)? {
                Poll::Ready(Some(message)) => self.take(message)?,
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
    fn take(&mut self, message: Message) -> Result<(), WsError> {
        self.watch.heard();
        let input = &self.client.input;
        match &message {
            Message::Text(_) | Message::Binary(_) => {
                input.whole(message.len());
                self.watch.asked();
            }
            _ => input.aside(message.len() + CONTROL_HEADER_BYTES),
        }
        #[cfg(feature = "echo")]
        if self.shared.echo.load(Ordering::Acquire) && (message.is_text() || message.is_binary()) {
            self.dirty = true;
            return Pin::new(&mut self.socket).start_send(message);
        }
        match message {
            Message::Text(text) => self.take_json(text.as_bytes()),
            Message::Binary(bytes) if self.binary => self.take_binary(&bytes),
            Message::Binary(_) => self.answer_now(None, Err(ErrorCode::InvalidRequest)),
            // The library answers pings and closes by itself, at the next flush.
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {
                self.dirty = true;
                Ok(())
            }
        }
    }

    fn take_json(&mut self, text: &[u8]) -> Result<(), WsError> {
        match decode_request(text) {
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
                    let troubles = self.shared.engine.troubles();
                    answers::encode_health(&mut self.scratch, AnswerId::Echo(id), &troubles);
                    self.send_scratch()
                }
                Route::Info => {
                    let shared = Arc::clone(&self.shared);
                    answers::encode_info(&mut self.scratch, AnswerId::Echo(id), &shared.info);
                    self.send_scratch()
                }
                Route::Totals => {
                    // What was read before it is queued when it looks.
                    self.submit();
                    let totals = self.shared.totals();
                    answers::encode_stats(&mut self.scratch, AnswerId::Echo(id), &totals);
                    self.send_scratch()
                }
                Route::Histograms => {
                    self.inflight += 1;
                    self.calling = true;
                    self.submit();
                    let (shared, mailbox) = (Arc::clone(&self.shared), Arc::clone(&self.mailbox));
                    tokio::spawn(async move {
                        let stats = Box::new(shared.histograms().await);
                        mailbox.post((id, Ok(ControlReply::Stats(stats))));
                    });
                    Ok(())
                }
            },
            Err(error) => self.answer_now(error.id, Err(error.code)),
        }
    }

    fn take_binary(&mut self, bytes: &[u8]) -> Result<(), WsError> {
        let mut decoded = std::mem::take(&mut self.decoded);
        if binary::decode_transfers(bytes, &mut decoded).is_err() {
            self.decoded = decoded;
            self.builder
                .push_outcome(None, Err(ErrorCode::InvalidRequest));
            return self.send_binary();
        }
        self.inflight += decoded.len();
        self.incoming
            .extend(decoded.drain(..).map(|(id, t)| Work::new(Some(id), t)));
        self.decoded = decoded;
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
            if Pin::new(&mut self.socket).poll_ready(cx)?.is_pending() {
                self.controls.push((id, reply));
                return Ok(());
            }
            answers::encode_control(&mut self.scratch, AnswerId::Echo(id), &reply);
            self.inflight -= 1;
            self.calling = false;
            self.send_scratch()?;
        }
        while let Some(mut arrived) = self.arrived.pop_front() {
            while arrived.left.len() > 0 {
                if Pin::new(&mut self.socket).poll_ready(cx)?.is_pending() {
                    self.arrived.push_front(arrived);
                    return Ok(());
                }
                if self.binary {
                    for one in arrived.left.by_ref().take(OUTCOMES_PER_MESSAGE) {
                        self.builder
                            .push_outcome(one.id, answers::of_outcome(one.outcome));
                        self.inflight -= 1;
                    }
                    self.send_binary()?;
                } else if let Some(Work { id, outcome, .. }) = arrived.left.next() {
                    self.inflight -= 1;
                    self.answer_now(id, answers::of_outcome(outcome))?;
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
        encode_outcome(&mut self.scratch, AnswerId::Echo(id), result);
        self.send_scratch()
    }

    fn send_scratch(&mut self) -> Result<(), WsError> {
        self.dirty = true;
        let text = self.scratch.split().freeze();
        let text = Utf8Bytes::try_from(text).map_err(|error| WsError::Utf8(error.to_string()))?;
        Pin::new(&mut self.socket).start_send(Message::Text(text))
    }

    fn send_binary(&mut self) -> Result<(), WsError> {
        self.dirty = true;
        let message = self.builder.finish().freeze();
        Pin::new(&mut self.socket).start_send(Message::Binary(message))
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
