//! Peers that misbehave in ways that our servers do not.

use std::time::Duration;

use bench_client::config::Encoding;
use bench_client::connector::{
    Connector as _, Endpoint, HttpConnector, Outcome, Reason, Reply, Session as _, WorkerId,
    WsConnector, parse_url,
};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

use crate::common::within;
use crate::subject::{collect, each_once, id, open, small, submit};

async fn listen() -> (TcpListener, Endpoint) {
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
        let mut session = open(&connector).await;
        submit(&mut session, 1..=16_384);
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
            let mut session = open(&connector).await;
            submit(&mut session, 1..=3);
            let mut out = Vec::new();
            assert!(session.replies(&mut out).now_or_never().is_none());
            peer.await.expect("it answers and goes");
            tokio::time::sleep(Duration::from_millis(50)).await;
            submit(&mut session, 4..=6);
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
            Outcome::Rejected(Reason::InsufficientFunds),
        ),
        (
            "503 Busy",
            "{\"ok\":false,\"error\":\"overloaded\"}",
            Outcome::Failed(Some(Reason::Overloaded)),
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
                let text = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
                stream
                    .write_all(text.as_bytes())
                    .await
                    .expect("the client is there");
            }
        });
        let connector = HttpConnector::new(target);
        let mut session = open(&connector).await;
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
        let mut session = open(&connector).await;
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

/// A connection that was closed while idle has taken nothing: the transfer goes by another one. One
/// on which a request was read may have: the transfer is in doubt, and is sent once.
#[test]
fn a_transfer_is_sent_again_only_when_nothing_of_it_has_left() {
    within(async {
        let (listener, target) = listen().await;
        let peer = tokio::spawn(async move {
            let mut requests = 0;
            for answered in [true, true, false] {
                let (mut stream, _) = listener.accept().await.expect("the client comes again");
                requests += usize::from(stream.read(&mut [0; 4096]).await.is_ok_and(|n| n > 0));
                if answered {
                    let text = "HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{\"ok\":true}";
                    let written = stream.write_all(text.as_bytes()).await;
                    written.expect("the client is there");
                    // The client is to have it among those that it can use again.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                // Closed: while idle, or in the middle of a request.
            }
            let late = tokio::time::timeout(Duration::from_millis(300), listener.accept());
            assert!(late.await.is_err(), "nothing comes again");
            requests
        });
        let connector = HttpConnector::new(target);
        let mut session = open(&connector).await;
        for (number, expected) in [
            (1, Outcome::Committed),
            (2, Outcome::Committed),
            (3, Outcome::Unknown),
        ] {
            session
                .submit(id(number), small(number))
                .expect("it is taken");
            let mut out = Vec::new();
            session.replies(&mut out).await.expect("the session lives");
            let outcomes: Vec<_> = out.iter().map(|reply| reply.outcome).collect();
            assert_eq!(outcomes, [expected], "{number}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(session.idle_reconnects(), 2);
        assert_eq!(peer.await.expect("the peer is content"), 3);
    });
}

/// Whatever a server of HTTP says to an upgrade that it does not know.
#[test]
fn an_answer_of_http_to_the_handshake_is_told_from_others() {
    within(async {
        for (said, is_http) in [
            ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", true),
            ("HTTP/1.0 501 Unsupported method\r\n\r\n", true),
            ("HTTP/1.1 101 Switching Protocols\r\n\r\n", false),
            ("-ERR unknown command\r\n\r\n", false),
        ] {
            let (listener, target) = listen().await;
            let peer = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.expect("the client comes");
                assert!(stream.read(&mut [0; 4096]).await.is_ok_and(|n| n > 0));
                let written = stream.write_all(said.as_bytes()).await;
                written.expect("the client is there");
            });
            let connector = WsConnector::new(target, Encoding::Json);
            let error = connector
                .connect(WorkerId(0))
                .await
                .err()
                .expect("no WebSocket");
            let error = error.to_string();
            assert_eq!(error.contains("--connector sqlite_rpc"), is_http, "{error}");
            peer.await.expect("the peer is content");
        }
    });
}
