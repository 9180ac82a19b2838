//! HTTP: `POST /rpc`, the pages that people and monitors look at, and the upgrade to a
//! WebSocket.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use busload_engine::{Outcome, Work};
use busload_net::Stream;
use busload_wire::json::{AnswerId, decode_request, encode_outcome, encode_refusal, encode_result};
use busload_wire::{Call, ErrorCode, binary};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::server::create_response;

use crate::access::{cors, is_preflight};
use crate::answers::{self, Route};
use crate::mailbox::{ControlAnswer, Mailbox};
use crate::settings::Transport;
use crate::shared::{Client, Shared};
use crate::timeouts::WriteTimeout;
use crate::{metrics, ws};

type Answer = Response<Full<Bytes>>;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Answers one request of one connection, if it is let in.
pub(crate) async fn handle(
    request: Request<Incoming>,
    shared: Arc<Shared>,
    client: Arc<Client>,
) -> Result<Answer, Infallible> {
    if !names_its_host(&request) {
        return Ok(invalid("a request needs exactly one header host"));
    }
    let page = match shared.access.admit(&request) {
        Ok(page) => page,
        Err(code) => return Ok(turn_away(code)),
    };
    let mut answer = if page.is_some() && is_preflight(&request) {
        let mut answer = Answer::default();
        *answer.status_mut() = StatusCode::NO_CONTENT;
        cors::let_ask(answer.headers_mut());
        answer
    } else {
        respond(request, shared, client).await
    };
    if let Some(page) = page {
        cors::let_read(answer.headers_mut(), page);
    }
    Ok(answer)
}

/// One `Host`, which HTTP/1.0 may leave out (RFC 9112, 3.2): of none or of two, whoever is
/// between the client and here may have understood another host than we would.
fn names_its_host<B>(request: &Request<B>) -> bool {
    let named = request.headers().get_all(header::HOST).iter().count();
    named == 1 || (named == 0 && request.version() < Version::HTTP_11)
}

fn turn_away(code: ErrorCode) -> Answer {
    let mut answer = refusal(code);
    if code == ErrorCode::Unauthorized {
        let challenge = HeaderValue::from_static("Bearer");
        answer
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, challenge);
    }
    answer
}

async fn respond(request: Request<Incoming>, shared: Arc<Shared>, client: Arc<Client>) -> Answer {
    let path = request.uri().path();
    let upgradable = shared.transport == Transport::Ws && matches!(path, "/rpc" | "/");
    match (request.method(), path) {
        (&Method::GET, "/rpc" | "/") if upgradable && wants_upgrade(request.headers()) => {
            upgrade(request, shared, client)
        }
        (&Method::GET | &Method::HEAD, "/" | "/health") => {
            let mut body = BytesMut::new();
            answers::encode_health(&mut body, AnswerId::Absent, &shared.engine.health());
            answer(StatusCode::OK, JSON, body.freeze())
        }
        (&Method::GET, "/metrics") => {
            // Boxed, as all that waits for something else than a transfer: the library copies
            // the future of every request, whatever it turns out to be.
            let body = metrics::render(&Box::pin(shared.histograms()).await);
            let text = HeaderValue::from_static(metrics::CONTENT_TYPE);
            answer(StatusCode::OK, text, Bytes::from(body))
        }
        (&Method::POST, "/rpc") if shared.transport == Transport::Http => {
            rpc(request, &shared, &client).await
        }
        _ => refusal(ErrorCode::UnknownMethod),
    }
}

fn answer(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Answer {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

fn close_after(answer: &mut Answer) {
    let close = HeaderValue::from_static("close");
    answer.headers_mut().insert(header::CONNECTION, close);
}

fn status_of(code: ErrorCode) -> StatusCode {
    StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn refusal(code: ErrorCode) -> Answer {
    outcome(Err(code))
}

/// What is wrong is not in the body, and so not to be seen in it: the answer says it.
fn invalid(detail: &str) -> Answer {
    let code = ErrorCode::InvalidRequest;
    let mut body = BytesMut::with_capacity(256);
    encode_refusal(&mut body, AnswerId::Absent, code, detail);
    answer(status_of(code), JSON, body.freeze())
}

fn outcome(result: Result<(), ErrorCode>) -> Answer {
    let mut body = BytesMut::with_capacity(64);
    encode_outcome(&mut body, AnswerId::Absent, result);
    let status = result.map_or_else(status_of, |()| StatusCode::OK);
    answer(status, JSON, body.freeze())
}

/// Reads the body within its bounds of size, time and memory.
async fn read_body(body: Incoming, shared: &Shared, client: &Client) -> Result<Bytes, ErrorCode> {
    let limit = shared.limits.body_bytes;
    // One that says that it is too large is not waited for.
    if body.size_hint().lower() > limit as u64 {
        return Err(ErrorCode::TooLarge);
    }
    let body = tokio::select! {
        biased;
        body = collect(body, limit) => body,
        // Nothing of it was queued.
        () = client.input.refused() => Err(ErrorCode::Overloaded),
        // A body that is there already, as nearly all are, costs no timer.
        () = async { tokio::time::sleep(shared.limits.body_timeout).await } => {
            Err(ErrorCode::InvalidRequest)
        }
    };
    if client.input.is_refused() {
        client.input.leave();
    }
    client.input.whole(0);
    body
}

/// The whole body in one piece. One of many small pieces takes no more memory than one of few.
async fn collect(mut body: Incoming, limit: usize) -> Result<Bytes, ErrorCode> {
    let mut gathered = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ErrorCode::InvalidRequest)?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if data.len() > limit - gathered.len() {
            return Err(ErrorCode::TooLarge);
        }
        if gathered.is_empty() && body.is_end_stream() {
            return Ok(data);
        }
        gathered.extend_from_slice(&data);
    }
    Ok(gathered.freeze())
}

/// What is wrong with the content type. Of two headers, whoever is between the client and here
/// may have gone by the other.
fn content_type_fault(headers: &HeaderMap) -> Option<&'static str> {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(first), second) = (types.next(), types.next()) else {
        return Some("the header content-type is missing: send content-type: application/json");
    };
    if second.is_some() {
        return Some("a request needs exactly one header content-type");
    }
    let essence = first
        .to_str()
        .ok()
        .and_then(|value| value.split(';').next());
    let is_json = essence.is_some_and(|it| it.trim().eq_ignore_ascii_case("application/json"));
    (!is_json).then_some("the content-type must be application/json")
}

async fn rpc(request: Request<Incoming>, shared: &Arc<Shared>, client: &Client) -> Answer {
    let began = shared.front.timings.now();
    if let Some(wrong) = content_type_fault(request.headers()) {
        return invalid(wrong);
    }
    let body = match read_body(request.into_body(), shared, client).await {
        Ok(body) => body,
        Err(code) => {
            let mut answer = refusal(code);
            if client.input.is_refused() {
                close_after(&mut answer);
            }
            return answer;
        }
    };
    match decode_request(&body) {
        Ok(request) => call(request.call, began, shared, &client.mailbox).await,
        Err(error) => refusal(error.code),
    }
}

/// `began` is when the request began to be read, if stages are timed.
async fn call(
    call: Call,
    began: Option<Instant>,
    shared: &Arc<Shared>,
    mailbox: &Arc<Mailbox>,
) -> Answer {
    let mut body = BytesMut::new();
    match answers::route(call, shared.may_seed) {
        Route::Transfer(transfer) => {
            let work = vec![Work::new(None, transfer)];
            let took = began.map(|began| began.elapsed());
            let refused = shared.engine.submit(Arc::clone(mailbox), work);
            let (posted, done) = if let Some(work) = refused.first() {
                (None, work.outcome)
            } else {
                shared.front.timings.read(took, 1);
                transferred(mailbox).await
            };
            let answer = outcome(done.code());
            if let Some(posted) = posted {
                shared.front.timings.replied(&[(posted, 1)]);
            }
            return answer;
        }
        Route::Control(call) => {
            let reply = match shared.engine.control(Arc::clone(mailbox), None, call) {
                Ok(()) => controlled(mailbox).await.1,
                Err(error) => Err(error),
            };
            if let Some(code) = answers::encode_control(&mut body, AnswerId::Absent, &reply) {
                return answer(status_of(code), JSON, body.freeze());
            }
        }
        Route::Health => {
            answers::encode_health(&mut body, AnswerId::Absent, &shared.engine.health());
        }
        Route::Info => encode_result(&mut body, AnswerId::Absent, &shared.info_now()),
        Route::Totals => encode_result(&mut body, AnswerId::Absent, &shared.totals()),
        Route::Histograms => {
            let stats = Box::pin(shared.histograms()).await;
            encode_result(&mut body, AnswerId::Absent, &stats);
        }
    }
    answer(StatusCode::OK, JSON, body.freeze())
}

/// The outcome of the one transfer that this connection has in flight, and when it was
/// posted, if that is timed.
async fn transferred(mailbox: &Mailbox) -> (Option<Instant>, Outcome) {
    poll_fn(|cx| {
        mailbox.register(cx.waker());
        let done = mailbox.take_transfer();
        let done = done.and_then(|it| Some((it.posted, it.work.first()?.outcome)));
        done.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// The answer to the one control call that this connection has in flight.
async fn controlled(mailbox: &Mailbox) -> ControlAnswer {
    poll_fn(|cx| {
        mailbox.register(cx.waker());
        mailbox.take_control().map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

fn wants_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(header::UPGRADE)
}

fn offers_binary(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|protocol| protocol.trim() == binary::SUBPROTOCOL)
}

/// Answers the handshake; the connection goes on as a WebSocket in a task of its own.
fn upgrade(mut request: Request<Incoming>, shared: Arc<Shared>, client: Arc<Client>) -> Answer {
    // To a proxy the body is a body; here it would be frames.
    if !request.body().is_end_stream() {
        let mut answer = invalid("a websocket handshake has no body");
        close_after(&mut answer);
        return answer;
    }
    let upgraded = hyper::upgrade::on(&mut request);
    let (parts, _) = request.into_parts();
    let binary = offers_binary(&parts.headers);
    let Ok(response) = create_response(&Request::from_parts(parts, ())) else {
        return invalid("this is not a websocket handshake: its headers are incomplete");
    };
    let mut response = response.map(|()| Full::default());
    if binary {
        let protocol = HeaderValue::from_static(binary::SUBPROTOCOL);
        response
            .headers_mut()
            .insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    let tracker = Arc::clone(&shared);
    tracker.spawn(async move {
        let Ok(upgraded) = upgraded.await else { return };
        let Ok(parts) = upgraded.downcast::<TokioIo<WriteTimeout<Stream>>>() else {
            return;
        };
        ws::serve(
            parts.io.into_inner(),
            parts.read_buf,
            binary,
            shared,
            client,
        )
        .await;
    });
    response
}
