//! Transfers over HTTP/1.1 keep-alive connections, one request at a time on each.
//!
//! A session owns several connections (lanes) and their futures: as many as the worker
//! has transfers in flight. Lanes are opened when they are first needed and polled only
//! while a request is on them. One dead lane is not a dead session.

mod lane;
mod response;

pub(crate) use lane::{Exchange, Head, Lane};

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use busload_wire::json::{encode_transfer, read_answer};
use busload_wire::{RequestId, Transfer};
use bytes::{Bytes, BytesMut};
use futures_util::Stream as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use http::StatusCode;

use super::{
    ConnectError, Connector, Endpoint, Forgotten, Outcome, Reply, Session, TransportError, WorkerId,
};

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

async fn call(lane: Option<Lane>, target: Arc<Endpoint>, request: Bytes, id: RequestId) -> Done {
    let mut replaced_idle = false;
    if let Some(lane) = lane {
        match lane.exchange(&request).await {
            // The server has closed the connection while nothing was asked on it. Nothing of the
            // request has left, so that it may go by another one.
            (_, Exchange::NotSent(_)) => replaced_idle = true,
            (lane, exchange) => return Done::of(id, lane, exchange, replaced_idle),
        }
    }
    match Lane::open(&target).await {
        Ok(lane) => {
            let (lane, exchange) = lane.exchange(&request).await;
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
            Exchange::NotSent(_) => (Outcome::Failed(None), false),
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
        while let Some((id, request)) = self.waiting.pop_front() {
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
        self.scratch.clear();
        encode_transfer(&mut self.scratch, None, &transfer);
        self.waiting.push_back((id, self.head.with(&self.scratch)));
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
