//! One suite for every connector: what the load loop relies on, whatever the transport.
//!
//! A connector that is not in the list at the end does not count.

#![cfg(target_os = "linux")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bench_client::connector::{
    Connector, Encoding, HttpConnector, MockAnswer, MockConnector, Outcome, Reply, Session, Target,
    TransportError, WorkerId, WsConnector, parse_url,
};
use bench_client::control::ControlClient;
use busload_frontend::{Settings, Transport};
use busload_wire::{ErrorCode, RequestId, Transfer};
use common::{InProcess, directory, settings, within};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

/// What the suite must know about a connector besides how to make it.
struct Subject<C> {
    transport: Transport,
    /// Transfers in flight that are many for it: over HTTP each one is a connection.
    many: u64,
    make: fn(Target) -> C,
}

const HTTP: Subject<HttpConnector> = Subject {
    transport: Transport::Http,
    many: 256,
    make: HttpConnector::new,
};
const WS_JSON: Subject<WsConnector> = Subject {
    transport: Transport::Ws,
    many: 16_384,
    make: |target| WsConnector::new(target, Encoding::Json),
};
const WS_BINARY: Subject<WsConnector> = Subject {
    transport: Transport::Ws,
    many: 16_384,
    make: |target| WsConnector::new(target, Encoding::Binary),
};

impl<C: Connector> Subject<C> {
    /// Runs `test` on a session with a server whose settings `change` has changed.
    fn with<F: AsyncFnOnce(C::Session, InProcess)>(&self, change: fn(&mut Settings), test: F) {
        let directory = directory();
        let mut settings = settings(directory.path(), self.transport);
        change(&mut settings);
        let server = InProcess::start(settings);
        let connector = (self.make)(server.target.clone());
        within(async {
            let session = connector
                .connect(WorkerId(0))
                .await
                .expect("the server is there");
            test(session, server).await;
        });
    }

    fn control(&self, server: &InProcess) -> ControlClient {
        match self.transport {
            Transport::Http => ControlClient::http(server.target.clone()),
            Transport::Ws => ControlClient::ws(server.target.clone()),
        }
    }

    /// Every kind of answer finds its request, once, and says what the ledger did.
    fn every_answer_is_matched(&self) {
        self.with(
            |_| {},
            async |mut session, server| {
                let mut expected = BTreeMap::new();
                let mut out = Vec::new();
                for number in 1..=2_000_u64 {
                    let (transfer, outcome) = of_every_kind(number);
                    session.submit(id(number), transfer).expect("it is taken");
                    expected.insert(id(number), outcome);
                    if number % self.many.min(500) == 0 {
                        collect(&mut session, &mut out, expected.len()).await;
                    }
                }
                collect(&mut session, &mut out, expected.len()).await;
                each_once(&out, &expected);
                let committed = expected
                    .values()
                    .filter(|o| **o == Outcome::Committed)
                    .count() as u64;
                let stats = self
                    .control(&server)
                    .stats(true)
                    .await
                    .expect("an answer")
                    .expect("stats");
                assert_eq!((stats.applied, stats.committed), (committed, committed));
                assert_eq!(stats.balances.expect("asked for").total, "1000000000");
                assert_eq!(session.late_answers(), 0);
            },
        );
    }

    /// A pacer's timer may drop the future at any moment; no answer may go with it.
    fn no_answer_is_lost_to_a_dropped_future(&self) {
        self.with(
            |_| {},
            async |mut session, _server| {
                let mut expected = BTreeMap::new();
                let (mut out, mut drops) = (Vec::new(), 0);
                let mut number = 0;
                while number < 3_000 || out.len() < expected.len() {
                    while number < 3_000
                        && ((expected.len() - out.len()) as u64) < self.many.min(64)
                    {
                        number += 1;
                        session
                            .submit(id(number), small(number))
                            .expect("it is taken");
                        expected.insert(id(number), Outcome::Committed);
                    }
                    // Not polled at all; polled once; cut off by a timer.
                    drop(session.replies(&mut out));
                    match session.replies(&mut out).now_or_never() {
                        Some(ended) => ended.expect("the server lives"),
                        None => drops += 1,
                    }
                    let patience = Duration::from_micros(37 * (number % 11));
                    match tokio::time::timeout(patience, session.replies(&mut out)).await {
                        Ok(ended) => ended.expect("the server lives"),
                        Err(_) => drops += 1,
                    }
                }
                assert!(drops > 0, "no wait was cut off: this tested nothing");
                each_once(&out, &expected);
            },
        );
    }

    /// As much in flight as can be, both pipes filling while nobody reads; more than once.
    fn full_pipelines_do_not_wait_for_each_other(&self) {
        let narrow = |settings: &mut Settings| {
            settings.limits.inflight_per_connection = 64;
            settings.engine.batch_size = 100;
        };
        for change in [|_: &mut Settings| {}, narrow] {
            self.with(change, async |mut session, _server| {
                let mut expected = BTreeMap::new();
                let mut out = Vec::new();
                for round in 0..2 {
                    for place in 1..=self.many {
                        let number = round * self.many + place;
                        session
                            .submit(id(number), small(number))
                            .expect("it is taken");
                        expected.insert(id(number), Outcome::Committed);
                    }
                    if let Some(ended) = session.replies(&mut out).now_or_never() {
                        ended.expect("the server lives");
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    collect(&mut session, &mut out, expected.len()).await;
                }
                each_once(&out, &expected);
            });
        }
    }

    fn a_forgotten_request_is_answered_in_vain(&self) {
        // Nothing is committed before the oldest has waited this long.
        let slow = |settings: &mut Settings| {
            settings.engine.batch_timeout = Duration::from_millis(200);
        };
        self.with(slow, async |mut session, _server| {
            let mut out = Vec::new();
            for number in 1..=10 {
                session
                    .submit(id(number), small(number))
                    .expect("it is taken");
            }
            assert!(session.replies(&mut out).now_or_never().is_none());
            for number in 1..=5 {
                session.forget(id(number));
            }
            collect(&mut session, &mut out, 5).await;
            // The slots are free: their successors have other ids.
            for number in 11..=15 {
                session
                    .submit(id(number), small(number))
                    .expect("it is taken");
            }
            collect(&mut session, &mut out, 10).await;
            let expected = (6..=15)
                .map(|number| (id(number), Outcome::Committed))
                .collect();
            each_once(&out, &expected);
            assert_eq!(session.late_answers(), 5, "dropped, and counted");
        });
    }

    /// What was in flight is unknown, what comes later fails; nothing hangs.
    fn a_dead_server_is_noticed(&self) {
        let never = |settings: &mut Settings| {
            settings.engine.batch_timeout = Duration::from_secs(50);
        };
        self.with(never, async |mut session, server| {
            let mut out = Vec::new();
            for number in 1..=8 {
                session
                    .submit(id(number), small(number))
                    .expect("it is taken");
            }
            let early = tokio::time::timeout(Duration::from_millis(300), session.replies(&mut out));
            assert!(early.await.is_err(), "no answer before the COMMIT");
            let target = server.target.clone();
            tokio::task::spawn_blocking(|| server.die())
                .await
                .expect("it dies");
            let mut next = 9;
            // A session over several connections may find out one by one.
            let ended = loop {
                if let Err(error) = session.replies(&mut out).await {
                    break error;
                }
                if session.submit(id(next), small(next)).is_err() {
                    break TransportError::Closed;
                }
                next += 1;
                assert!(
                    next < 100,
                    "a dead server is a dead session in the end: {out:?}"
                );
            };
            assert!(!ended.to_string().is_empty());
            let mut seen = BTreeSet::new();
            for Reply {
                id: answered,
                outcome,
            } in &out
            {
                assert!(seen.insert(*answered), "twice: {answered:?}");
                let is_fair = match answered.get() {
                    1..=8 => *outcome == Outcome::Unknown,
                    _ => matches!(outcome, Outcome::Unknown | Outcome::Failed(_)),
                };
                assert!(
                    is_fair,
                    "{answered:?}: {outcome:?} of a server that is dead"
                );
            }
            let connector = (self.make)(target);
            assert!(
                connector.connect(WorkerId(1)).await.is_err(),
                "nobody is there"
            );
        });
    }

    /// A server that stops answers first what it has taken.
    fn a_graceful_stop_answers_what_was_taken(&self) {
        let slow = |settings: &mut Settings| {
            settings.engine.batch_timeout = Duration::from_millis(400);
        };
        self.with(slow, async |mut session, server| {
            let mut out = Vec::new();
            for number in 1..=20 {
                session
                    .submit(id(number), small(number))
                    .expect("it is taken");
            }
            let early = tokio::time::timeout(Duration::from_millis(100), session.replies(&mut out));
            assert!(early.await.is_err());
            let stopping = tokio::task::spawn_blocking(|| server.stop());
            // The end may come with the answers, but not before them.
            while out.len() < 20 && session.replies(&mut out).await.is_ok() {}
            let expected = (1..=20)
                .map(|number| (id(number), Outcome::Committed))
                .collect();
            each_once(&out, &expected);
            // Only then does it go; an idle session ends with it.
            stopping.await.expect("it stops");
        });
    }
}

fn id(number: u64) -> RequestId {
    RequestId::new(number).expect("it is small")
}

/// A transfer that can be made.
fn small(number: u64) -> Transfer {
    let account = i64::try_from(number % 999).expect("it is small");
    Transfer {
        from: account,
        to: account + 1,
        amount: 1,
        transfer_id: None,
    }
}

/// Transfers that can be made and transfers that cannot, and what becomes of them.
fn of_every_kind(number: u64) -> (Transfer, Outcome) {
    let good = small(number);
    let refused = |code, transfer| (transfer, Outcome::Rejected(code));
    match number % 8 {
        0 => refused(
            ErrorCode::InvalidTransfer,
            Transfer {
                to: good.from,
                ..good
            },
        ),
        1 => refused(ErrorCode::AccountMissing, Transfer { to: 1000, ..good }),
        2 => refused(ErrorCode::AccountMissing, Transfer { from: -1, ..good }),
        3 => refused(
            ErrorCode::InsufficientFunds,
            Transfer {
                amount: 900_000_000,
                ..good
            },
        ),
        4 => refused(ErrorCode::InvalidTransfer, Transfer { amount: 0, ..good }),
        5 => refused(
            ErrorCode::InvalidTransfer,
            Transfer {
                amount: i64::MIN,
                ..good
            },
        ),
        _ => (good, Outcome::Committed),
    }
}

async fn collect<S: Session>(session: &mut S, out: &mut Vec<Reply>, count: usize) {
    while out.len() < count {
        let before = out.len();
        session.replies(out).await.expect("the server lives");
        assert!(out.len() > before, "it came back with nothing");
    }
}

#[track_caller]
fn each_once(out: &[Reply], expected: &BTreeMap<RequestId, Outcome>) {
    assert_eq!(out.len(), expected.len());
    let got: BTreeMap<_, _> = out.iter().map(|reply| (reply.id, reply.outcome)).collect();
    assert_eq!(got.len(), expected.len(), "an answer came twice");
    for (id, outcome) in expected {
        assert_eq!(got.get(id), Some(outcome), "{id:?}");
    }
}

macro_rules! conforms {
    ($($subject:ident as $name:ident: $($test:ident)*;)*) => {
        $(mod $name {
            $(#[test]
            fn $test() {
                super::$subject.$test();
            })*
        })*
    };
}

macro_rules! each_conforms {
    ($($subject:ident as $name:ident),*) => {
        conforms! {$(
            $subject as $name:
                every_answer_is_matched
                no_answer_is_lost_to_a_dropped_future
                full_pipelines_do_not_wait_for_each_other
                a_forgotten_request_is_answered_in_vain
                a_dead_server_is_noticed
                a_graceful_stop_answers_what_was_taken;
        )*}
    };
}

each_conforms!(HTTP as http, WS_JSON as ws_json, WS_BINARY as ws_binary);

/// The mock stands in for all of them: the same promises, without a server.
mod mock {
    use super::*;

    fn answering(delay: Duration) -> MockConnector {
        MockConnector::new(Arc::new(move |number, transfer| {
            let code = (transfer.from == transfer.to).then_some(ErrorCode::InvalidTransfer);
            let outcome = code.map_or(Outcome::Committed, Outcome::Rejected);
            MockAnswer::After(delay * u32::try_from(number % 7).expect("small"), outcome)
        }))
    }

    #[test]
    fn no_answer_is_lost_to_a_dropped_future() {
        within(async {
            let connector = answering(Duration::from_micros(200));
            let mut session = connector
                .connect(WorkerId(0))
                .await
                .expect("it always opens");
            let mut expected = BTreeMap::new();
            let mut out = Vec::new();
            for number in 1..=500 {
                let transfer = small(number);
                let to = if number % 5 == 0 {
                    transfer.from
                } else {
                    transfer.to
                };
                session
                    .submit(id(number), Transfer { to, ..transfer })
                    .expect("it is taken");
                let refused = Outcome::Rejected(ErrorCode::InvalidTransfer);
                expected.insert(
                    id(number),
                    if number % 5 == 0 {
                        refused
                    } else {
                        Outcome::Committed
                    },
                );
                drop(session.replies(&mut out));
                let patience = Duration::from_micros(90);
                let _ = tokio::time::timeout(patience, session.replies(&mut out)).await;
            }
            collect(&mut session, &mut out, 500).await;
            each_once(&out, &expected);
            assert_eq!(connector.seen(), 500);
        });
    }

    #[test]
    fn a_forgotten_request_is_answered_in_vain() {
        within(async {
            let connector = answering(Duration::from_millis(5));
            let mut session = connector
                .connect(WorkerId(0))
                .await
                .expect("it always opens");
            let mut out = Vec::new();
            for number in 1..=14 {
                session
                    .submit(id(number), small(number))
                    .expect("it is taken");
            }
            for number in 1..=7 {
                session.forget(id(number));
            }
            collect(&mut session, &mut out, 7).await;
            each_once(
                &out,
                &(8..=14).map(|n| (id(n), Outcome::Committed)).collect(),
            );
            assert_eq!(session.late_answers(), 7);
        });
    }

    #[test]
    fn a_disconnect_ends_the_session() {
        within(async {
            let connector = MockConnector::new(Arc::new(|_, _| MockAnswer::Disconnect));
            let mut session = connector
                .connect(WorkerId(0))
                .await
                .expect("it always opens");
            session.submit(id(1), small(1)).expect("it is taken");
            assert!(session.replies(&mut Vec::new()).await.is_err());
        });
    }
}

/// Peers that misbehave in ways that our servers do not.
mod against_strange_peers {
    use super::*;

    async fn listen() -> (TcpListener, Target) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        (
            listener,
            parse_url(&format!("http://{address}")).expect("a URL"),
        )
    }

    fn answer(request: &str, padding: usize) -> Message {
        let request: serde_json::Value = serde_json::from_str(request).expect("JSON");
        let text = format!(
            "{{\"id\":{},\"ok\":true{}}}",
            request["id"],
            " ".repeat(padding)
        );
        Message::text(text)
    }

    /// It reads the next request only when its answer to the last one is out, through
    /// buffers that hold little: a client that writes before it reads waits for ever.
    #[test]
    fn writing_does_not_stop_reading() {
        within(async {
            let socket = TcpSocket::new_v4().expect("a socket");
            socket.set_recv_buffer_size(4096).expect("it can be set");
            socket.set_send_buffer_size(4096).expect("it can be set");
            socket
                .bind(([127, 0, 0, 1], 0).into())
                .expect("a free port");
            let listener = socket.listen(1).expect("it listens");
            let address = listener.local_addr().expect("it is bound");
            let peer = tokio::spawn(async move {
                let (stream, _) = listener.accept().await.expect("the client comes");
                let mut socket = accept_async(stream).await.expect("a handshake");
                while let Some(Ok(Message::Text(request))) = socket.next().await {
                    socket
                        .send(answer(&request, 1000))
                        .await
                        .expect("the client reads");
                }
            });
            let target = parse_url(&format!("ws://{address}")).expect("a URL");
            let connector = WsConnector::new(target, Encoding::Json);
            let mut session = connector
                .connect(WorkerId(0))
                .await
                .expect("the peer is there");
            for number in 1..=16_384 {
                session
                    .submit(id(number), small(number))
                    .expect("it is taken");
            }
            let mut out = Vec::new();
            collect(&mut session, &mut out, 16_384).await;
            each_once(
                &out,
                &(1..=16_384).map(|n| (id(n), Outcome::Committed)).collect(),
            );
            drop(session);
            peer.await.expect("the peer is content");
        });
    }

    /// Answers that arrived before the connection broke are answers, also when the client
    /// has something to write that nobody will read.
    #[test]
    fn what_was_answered_before_the_end_counts() {
        within(async {
            for breaks_hard in [false, true] {
                let (listener, target) = listen().await;
                let peer = tokio::spawn(async move {
                    let (stream, _) = listener.accept().await.expect("the client comes");
                    let mut socket = accept_async(stream).await.expect("a handshake");
                    for _ in 0..3 {
                        let Some(Ok(Message::Text(request))) = socket.next().await else {
                            return;
                        };
                        socket
                            .send(answer(&request, 0))
                            .await
                            .expect("the client is there");
                    }
                    if breaks_hard {
                        // The answers are there; then a reset.
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        socket.get_ref().set_zero_linger().expect("it can be set");
                    }
                });
                let connector = WsConnector::new(target, Encoding::Json);
                let mut session = connector
                    .connect(WorkerId(0))
                    .await
                    .expect("the peer is there");
                for number in 1..=3 {
                    session
                        .submit(id(number), small(number))
                        .expect("it is taken");
                }
                let mut out = Vec::new();
                assert!(session.replies(&mut out).now_or_never().is_none());
                peer.await.expect("it answers and goes");
                tokio::time::sleep(Duration::from_millis(50)).await;
                for number in 4..=6 {
                    session
                        .submit(id(number), small(number))
                        .expect("it is taken");
                }
                let error = loop {
                    if let Err(error) = session.replies(&mut out).await {
                        break error;
                    }
                };
                each_once(
                    &out,
                    &(1..=3).map(|n| (id(n), Outcome::Committed)).collect(),
                );
                assert!(!error.to_string().is_empty());
            }
        });
    }

    /// Whatever is not of the protocol ends the session: nothing is guessed.
    #[test]
    fn a_breach_of_the_protocol_ends_a_websocket_session() {
        let breaches = [
            Message::text("gibberish"),
            Message::text("{\"ok\":true}"),
            Message::text("{\"id\":null,\"ok\":true}"),
            Message::text("{\"id\":-1,\"ok\":true}"),
            Message::text("{\"id\":1}"),
            Message::binary(vec![129, 0, 0, 0, 9, 0, 0, 0]),
            Message::binary(Vec::new()),
        ];
        within(async {
            for breach in breaches {
                for encoding in [Encoding::Json, Encoding::Binary] {
                    let (listener, target) = listen().await;
                    let breach = breach.clone();
                    let peer = tokio::spawn(async move {
                        let (stream, _) = listener.accept().await.expect("the client comes");
                        let mut socket = accept_async(stream).await.expect("a handshake");
                        let _ = socket.next().await;
                        let _ = socket.send(breach).await;
                        while let Some(Ok(_)) = socket.next().await {}
                    });
                    let connector = WsConnector::new(target, encoding);
                    let connected = connector.connect(WorkerId(0)).await;
                    if encoding == Encoding::Binary {
                        let refused = connected.err().expect("the subprotocol was not agreed on");
                        assert!(refused.to_string().contains("--encoding json"), "{refused}");
                        peer.abort();
                        continue;
                    }
                    let mut session = connected.expect("the peer is there");
                    session.submit(id(1), small(1)).expect("it is taken");
                    let mut out = Vec::new();
                    let ended = session.replies(&mut out).await;
                    assert!(ended.is_err(), "{out:?}");
                    assert!(out.is_empty(), "{out:?}");
                    drop(session);
                    peer.await.expect("the peer is content");
                }
            }
        });
    }

    /// Error answers that are not ours prove nothing, those that are ours prove what they say.
    #[test]
    fn an_error_that_is_not_understood_is_unknown() {
        let cases = [
            ("200 OK", "{\"ok\":true}", Outcome::Committed),
            (
                "200 OK",
                "{\"ok\":true,\"result\":null}",
                Outcome::Committed,
            ),
            (
                "500 Oops",
                "{\"ok\":false,\"error\":\"internal error\"}",
                Outcome::Unknown,
            ),
            ("500 Oops", "{\"ok\":false}", Outcome::Unknown),
            ("503 Busy", "busy", Outcome::Unknown),
            ("200 OK", "<html>", Outcome::Unknown),
            ("200 OK", "", Outcome::Unknown),
            (
                "409 No",
                "{\"ok\":false,\"error\":\"insufficient_funds\"}",
                Outcome::Rejected(ErrorCode::InsufficientFunds),
            ),
            (
                "503 Busy",
                "{\"ok\":false,\"error\":\"overloaded\"}",
                Outcome::Failed(Some(ErrorCode::Overloaded)),
            ),
            (
                "500 Oops",
                "{\"ok\":false,\"error\":\"unknown_outcome\"}",
                Outcome::Unknown,
            ),
        ];
        within(async {
            let (listener, target) = listen().await;
            let peer = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.expect("the client comes");
                for (status, body, _) in cases {
                    let _ = stream.read(&mut [0; 4096]).await;
                    let length = body.len();
                    let text =
                        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
                    stream
                        .write_all(text.as_bytes())
                        .await
                        .expect("the client is there");
                }
            });
            let connector = HttpConnector::new(target);
            let mut session = connector
                .connect(WorkerId(0))
                .await
                .expect("the peer is there");
            for (number, (_, body, expected)) in (1..).zip(cases) {
                session
                    .submit(id(number), small(number))
                    .expect("it is taken");
                let mut out = Vec::new();
                collect(&mut session, &mut out, 1).await;
                assert_eq!(
                    out,
                    [Reply {
                        id: id(number),
                        outcome: expected
                    }],
                    "{body}"
                );
            }
            peer.await.expect("the peer is content");
        });
    }

    /// One dead connection is not a dead session; nor is one that was closed while idle.
    #[test]
    fn an_http_session_outlives_its_connections() {
        within(async {
            let (listener, target) = listen().await;
            let peer = tokio::spawn(async move {
                for number in 0..6 {
                    let (mut stream, _) = listener.accept().await.expect("the client comes again");
                    if number % 3 == 2 {
                        // Accepted and dropped.
                        continue;
                    }
                    let _ = stream.read(&mut [0; 4096]).await;
                    if number % 3 == 0 {
                        let text = "HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{\"ok\":true}";
                        stream
                            .write_all(text.as_bytes())
                            .await
                            .expect("the client is there");
                    }
                    // Then it is closed, answered or not, without a word.
                }
            });
            let connector = HttpConnector::new(target);
            let mut session = connector
                .connect(WorkerId(0))
                .await
                .expect("the peer is there");
            let mut outcomes = Vec::new();
            for number in 1.. {
                if peer.is_finished() {
                    break;
                }
                session
                    .submit(id(number), small(number))
                    .expect("it is taken");
                let mut out = Vec::new();
                // Once the peer is gone the session may end.
                if session.replies(&mut out).await.is_err() {
                    break;
                }
                outcomes.extend(out.iter().map(|reply| reply.outcome));
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
            peer.await.expect("every connection was asked for");
            assert_eq!(
                outcomes
                    .iter()
                    .filter(|o| **o == Outcome::Committed)
                    .count(),
                2
            );
            assert!(
                outcomes.contains(&Outcome::Unknown),
                "sent and not answered: {outcomes:?}"
            );
        });
    }
}

/// A run asks at its beginning and at its end; in between, the server may close what is idle.
#[test]
fn a_control_connection_outlives_its_idle_timeout() {
    for transport in [Transport::Http, Transport::Ws] {
        let directory = directory();
        let mut settings = settings(directory.path(), transport);
        settings.limits.idle_timeout = Duration::from_millis(50);
        let server = InProcess::start(settings);
        let mut control = match transport {
            Transport::Http => ControlClient::http(server.target.clone()),
            Transport::Ws => ControlClient::ws(server.target.clone()),
        };
        within(async {
            for _ in 0..3 {
                control.health().await.expect("an answer");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
    }
}
