//! Transfers over HTTP/1.1 keep-alive connections, one request at a time on each.
//!
//! A session owns several connections (lanes) and their futures: as many as the worker
//! has transfers in flight. Lanes are opened when they are first needed and polled only
//! while a request is on them. One dead lane is not a dead session.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use busload_net::Stream;
use busload_wire::json::{encode_transfer, read_answer};
use busload_wire::{RequestId, Transfer};
use bytes::{Bytes, BytesMut};
use futures_util::Stream as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;

use super::{
    ConnectError, Connector, Endpoint, Forgotten, Outcome, Reply, Session, TransportError, WorkerId,
};

/// Answers are short; what is longer is no answer.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Opens HTTP sessions.
#[derive(Debug, Clone)]
pub struct HttpConnector {
    target: Endpoint,
}

impl HttpConnector {
    /// Sessions with the server at `target`.
    #[must_use]
    pub fn new(target: Endpoint) -> Self {
        Self { target }
    }
}

impl Connector for HttpConnector {
    type Session = HttpSession;
    const TRANSPORT: &'static str = "http";

    async fn connect(&self, _worker: WorkerId) -> Result<HttpSession, ConnectError> {
        let lane = Lane::open(&self.target).await?;
        Ok(HttpSession {
            target: Arc::new(self.target.clone()),
            head: Head::of(&self.target),
            idle: vec![lane],
            waiting: VecDeque::new(),
            calls: Calls::default(),
            scratch: BytesMut::new(),
            forgotten: Forgotten::default(),
            contradictory: 0,
            idle_reconnects: 0,
        })
    }
}

/// One keep-alive connection.
pub(crate) struct Lane {
    sender: SendRequest<Full<Bytes>>,
    driver: Driver,
    /// The longest answer.
    body_max: usize,
}

/// Boxed once per connection: it is large, and moves with every request.
type Driver = Pin<Box<Connection<TokioIo<Stream>, Full<Bytes>>>>;

/// What one HTTP exchange came to.
pub(crate) enum Exchange {
    /// An answer arrived whole.
    Answered(StatusCode, Bytes),
    /// No byte of the request was given to the operating system: the connection was closed
    /// before, or ended before it began with the request. Here it is again.
    NotSent {
        /// What was wrong with the connection.
        why: String,
        /// For another connection.
        request: Box<Request<Full<Bytes>>>,
    },
    /// It was sent, or may have been, and no answer came.
    Lost(String),
    /// It was sent, or may have been, and what came is no answer of HTTP.
    NotHttp,
    /// It was sent, or may have been, and the connection was closed.
    Closed,
}

impl Exchange {
    fn without_answer(error: &hyper::Error) -> Self {
        if error.is_parse() {
            Self::NotHttp
        } else if error.is_incomplete_message() {
            Self::Closed
        } else {
            Self::Lost(error.to_string())
        }
    }
}

impl Lane {
    pub(crate) async fn open(target: &Endpoint) -> Result<Self, ConnectError> {
        let stream = target.connect("http").await?;
        // One buffer and `send` cost less than two and `writev`: requests are short.
        let (sender, driver) = http1::Builder::new()
            .writev(false)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| ConnectError::Protocol {
                url: target.url("http"),
                why: error.to_string(),
            })?;
        let driver = Box::pin(driver);
        Ok(Self {
            sender,
            driver,
            body_max: MAX_BODY_BYTES,
        })
    }

    /// The same for answers up to this length in bytes.
    pub(crate) fn with_body_max(self, body_max: usize) -> Self {
        Self { body_max, ..self }
    }

    /// Sends one request and reads its answer, driving the connection meanwhile. Returns
    /// the lane if it can be used again.
    pub(crate) async fn exchange(self, request: Request<Full<Bytes>>) -> (Option<Self>, Exchange) {
        let Self {
            mut sender,
            driver,
            body_max,
        } = self;
        let mut driver = Some(driver);
        // Then the request is given to the driver before it is driven, once instead of twice. It
        // looks for the end of the connection before it begins with it.
        let mut can_send = sender.is_ready();
        let exchange = {
            let call = async {
                if let Err(error) = sender.ready().await {
                    return Exchange::NotSent {
                        why: error.to_string(),
                        request: Box::new(request),
                    };
                }
                let response = match sender.try_send_request(request).await {
                    Ok(response) => response,
                    // It is given back only when it was not begun with.
                    Err(mut error) => match error.take_message() {
                        Some(request) => {
                            return Exchange::NotSent {
                                why: error.error().to_string(),
                                request: Box::new(request),
                            };
                        }
                        None => return Exchange::without_answer(error.error()),
                    },
                };
                let status = response.status();
                match collect(response.into_body(), body_max).await {
                    Ok(body) => Exchange::Answered(status, body),
                    Err(why) => Exchange::Lost(why),
                }
            };
            tokio::pin!(call);
            poll_fn(|cx| {
                // The driver first: it moves the bytes that the call waits for.
                if !std::mem::take(&mut can_send) {
                    drive(&mut driver, cx);
                }
                let called = call.as_mut().poll(cx);
                // The call may have given the driver something to write.
                if called.is_pending() && drive(&mut driver, cx) {
                    return call.as_mut().poll(cx);
                }
                called
            })
            .await
        };
        let answered = matches!(exchange, Exchange::Answered(..));
        let reusable = driver.filter(|_| answered && !sender.is_closed());
        let lane = reusable.map(|driver| Self {
            sender,
            driver,
            body_max,
        });
        (lane, exchange)
    }
}

/// Moves bytes; true when the connection has just ended. It is dropped then: only that tells
/// its sender, which would wait for ever on an idle connection that the server has closed.
fn drive(driver: &mut Option<Driver>, cx: &mut Context<'_>) -> bool {
    let ended = driver
        .as_mut()
        .is_some_and(|driver| driver.as_mut().poll(cx).is_ready());
    if ended {
        *driver = None;
    }
    ended
}

/// The whole body, up to the longest that an answer may have. It is nearly always in one piece.
async fn collect(mut body: Incoming, body_max: usize) -> Result<Bytes, String> {
    let mut gathered = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| error.to_string())?.into_data() else {
            continue;
        };
        if data.len() > body_max - gathered.len() {
            return Err("the answer is too long".to_owned());
        }
        if gathered.is_empty() && body.is_end_stream() {
            return Ok(data);
        }
        gathered.extend_from_slice(&data);
    }
    Ok(gathered.freeze())
}

/// What every request to one server begins with: a copy is cheaper than putting it together.
pub(crate) struct Head(Parts);

impl Head {
    pub(crate) fn of(target: &Endpoint) -> Self {
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = hyper::Method::POST;
        // A path is checked where it is read.
        parts.uri = target
            .path
            .parse()
            .unwrap_or_else(|_| hyper::Uri::from_static("/rpc"));
        // An authority out of a URL is ASCII.
        let host = HeaderValue::from_str(&target.authority)
            .unwrap_or_else(|_| HeaderValue::from_static("localhost"));
        parts.headers.insert(HOST, host);
        if let Some(token) = &target.token {
            parts.headers.insert(AUTHORIZATION, token.header_value());
        }
        let json = HeaderValue::from_static("application/json");
        parts.headers.insert(CONTENT_TYPE, json);
        Self(parts)
    }
}

/// A JSON request.
pub(crate) fn post(head: &Head, body: Bytes) -> Request<Full<Bytes>> {
    Request::from_parts(head.0.clone(), Full::new(body))
}

/// What became of one request and of its lane.
struct Done {
    lane: Option<Lane>,
    reply: Reply,
    /// The answer contradicts itself.
    contradicts: bool,
    /// Another connection was taken for one that the server had closed while it was idle.
    replaced_idle: bool,
    /// No new connection could be had: the server is gone.
    unreachable: Option<std::io::Error>,
}

type Call = BoxFuture<'static, Done>;

/// Calls under way. The first one is polled whenever the session is: most sessions have no other,
/// and it saves the bookkeeping of who was woken.
#[derive(Default)]
struct Calls {
    first: Option<Call>,
    others: FuturesUnordered<Call>,
}

impl Calls {
    fn push(&mut self, call: Call) {
        if self.first.is_none() {
            self.first = Some(call);
        } else {
            self.others.push(call);
        }
    }

    /// The next one that is done; `None` when there is none.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Done>> {
        if let Some(first) = &mut self.first
            && let Poll::Ready(done) = first.as_mut().poll(cx)
        {
            self.first = None;
            return Poll::Ready(Some(done));
        }
        if self.others.is_empty() {
            return match self.first {
                Some(_) => Poll::Pending,
                None => Poll::Ready(None),
            };
        }
        Pin::new(&mut self.others).poll_next(cx)
    }
}

/// The keep-alive connections of one worker.
pub struct HttpSession {
    target: Arc<Endpoint>,
    head: Head,
    idle: Vec<Lane>,
    /// Submitted and not started.
    waiting: VecDeque<(RequestId, Bytes)>,
    calls: Calls,
    scratch: BytesMut,
    forgotten: Forgotten,
    contradictory: u64,
    idle_reconnects: u64,
}

async fn call(
    lane: Option<Lane>,
    target: Arc<Endpoint>,
    mut request: Request<Full<Bytes>>,
    id: RequestId,
) -> Done {
    let mut replaced_idle = false;
    if let Some(lane) = lane {
        match lane.exchange(request).await {
            // The server has closed the connection while nothing was asked on it. Nothing of the
            // request has left, so that it may go by another one.
            (_, Exchange::NotSent { request: back, .. }) => {
                replaced_idle = true;
                request = *back;
            }
            (lane, exchange) => return Done::of(id, lane, exchange, replaced_idle),
        }
    }
    match Lane::open(&target).await {
        Ok(lane) => {
            let (lane, exchange) = lane.exchange(request).await;
            Done::of(id, lane, exchange, replaced_idle)
        }
        Err(error) => Done {
            lane: None,
            reply: Reply {
                id,
                outcome: Outcome::Failed(None),
            },
            contradicts: false,
            replaced_idle: false,
            unreachable: Some(std::io::Error::other(crate::with_causes(&error))),
        },
    }
}

impl Done {
    fn of(id: RequestId, lane: Option<Lane>, exchange: Exchange, replaced_idle: bool) -> Self {
        let (outcome, contradicts) = match exchange {
            Exchange::Answered(status, body) => outcome(status, &body),
            Exchange::NotSent { .. } => (Outcome::Failed(None), false),
            Exchange::Lost(_) | Exchange::NotHttp | Exchange::Closed => (Outcome::Unknown, false),
        };
        Self {
            lane,
            reply: Reply { id, outcome },
            contradicts,
            replaced_idle,
            unreachable: None,
        }
    }
}

/// What an answer says about its transfer, and whether it contradicts itself.
///
/// The status has to agree about success only: the original's servers answer every refusal with
/// one status, and others answer 200 to whatever they have understood. What went wrong is said by
/// the error's text.
fn outcome(status: StatusCode, body: &[u8]) -> (Outcome, bool) {
    match read_answer(body) {
        Ok((answer, consistent)) => {
            let contradicts = !consistent || answer.result.is_ok() && !status.is_success();
            let told = Outcome::of(answer.result);
            (
                if contradicts { Outcome::Unknown } else { told },
                contradicts,
            )
        }
        Err(_) => (Outcome::Unknown, false),
    }
}

impl HttpSession {
    fn start_waiting(&mut self) {
        while let Some((id, body)) = self.waiting.pop_front() {
            let request = post(&self.head, body);
            self.calls.push(Box::pin(call(
                self.idle.pop(),
                Arc::clone(&self.target),
                request,
                id,
            )));
        }
    }

    fn poll_replies(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut Vec<Reply>,
    ) -> Poll<Result<(), TransportError>> {
        self.start_waiting();
        let before = out.len();
        loop {
            match self.calls.poll_next(cx) {
                Poll::Ready(Some(Done {
                    lane,
                    reply,
                    contradicts,
                    replaced_idle,
                    unreachable,
                })) => {
                    self.contradictory += u64::from(contradicts);
                    self.idle_reconnects += u64::from(replaced_idle);
                    self.idle.extend(lane);
                    if !self.forgotten.is_late(reply.id) {
                        out.push(reply);
                    }
                    if let Some(error) = unreachable {
                        return Poll::Ready(Err(TransportError::Io(error)));
                    }
                }
                Poll::Ready(None) | Poll::Pending if out.len() > before => {
                    return Poll::Ready(Ok(()));
                }
                // Nothing is in flight: nothing will come, as the worker knows.
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Session for HttpSession {
    fn submit(&mut self, id: RequestId, transfer: Transfer) -> Result<(), TransportError> {
        encode_transfer(&mut self.scratch, None, &transfer);
        self.waiting.push_back((id, self.scratch.split().freeze()));
        Ok(())
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

    fn idle_reconnects(&self) -> u64 {
        self.idle_reconnects
    }

    async fn replies(&mut self, out: &mut Vec<Reply>) -> Result<(), TransportError> {
        poll_fn(|cx| self.poll_replies(cx, out)).await
    }
}
