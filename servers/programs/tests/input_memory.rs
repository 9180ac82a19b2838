//! The memory for unfinished requests of all connections together.

#![cfg(target_os = "linux")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use serde_json::json;
use support::{
    BINARY, FIN, HTTP, Server, TEXT, WS, ask, binary_socket, books, close_code, counters,
    eventually, frame, header, http_request, post, read_answer, read_response, socket,
    transfer_between,
};

/// A budget far below what the clients send.
const BUDGET: &str = "--input-memory=16MiB";
const BUDGET_KIB: u64 = 16 * 1024;
const CLIENTS: usize = 120;
/// What each client sends of its message, in bytes.
const SENT: usize = 1_000_000;

fn refused(server: &Server) -> u64 {
    let refused = counters(server)["network"]["refused_inputs"].as_u64();
    refused.expect("it is counted")
}

/// Sends from a thread of its own each: the server stops reading those that it has closed.
fn send_all(streams: &[TcpStream], bytes: &[u8]) {
    thread::scope(|scope| {
        for mut stream in streams {
            scope.spawn(move || {
                let _ = stream.write_all(bytes);
            });
        }
    });
}

/// Messages that do not end: as fragments, or as one frame.
fn a_flood_is_refused(open: fn(&Server) -> TcpStream, bytes: &[u8]) {
    // However slow a busy machine is, a farewell is not cut short.
    let server = Server::start(WS, &[BUDGET, "--close-timeout=1m"]);
    let before = books(&server);
    let resident = server.resident_kib();
    let mut streams: Vec<_> = (0..CLIENTS).map(|_| open(&server)).collect();
    send_all(&streams, bytes);
    // At least those for which there can be no room, if nothing were held twice.
    let room = BUDGET_KIB * 1024 / SENT as u64;
    eventually("the others are told to go", || {
        refused(&server) >= CLIENTS as u64 - room
    });
    let peak = server.peak_kib() - resident;
    assert!(peak < 5 * BUDGET_KIB, "memory grew by {peak} KiB");
    let told = refused(&server);
    let mut waiting: Vec<_> = streams.iter_mut().collect();
    eventually("every one of them is told", || {
        waiting.retain_mut(|stream| {
            let patience = Some(Duration::from_millis(5));
            stream.set_read_timeout(patience).expect("it can be set");
            let code = close_code_within(stream);
            assert!(
                matches!(code, None | Some(1013)),
                "come back later: {code:?}"
            );
            code.is_none()
        });
        CLIENTS - waiting.len() >= usize::try_from(told).expect("few")
    });
    // Those that ask in one piece are served all the while.
    let answer = ask(&mut socket(&server), transfer_between(1, 0, 1).as_bytes());
    assert_eq!(answer["ok"], true, "{answer}");
    drop(streams);
    eventually(
        "memory is given back, though nobody asks for anything",
        || server.resident_kib() < resident + 12 * 1024,
    );
    assert_eq!(
        books(&server)["total"],
        before["total"],
        "money is conserved"
    );
}

/// The code of a close frame that is there, or comes before the read timeout.
fn close_code_within(stream: &mut TcpStream) -> Option<u16> {
    let mut first = [0; 4];
    stream.read_exact(&mut first).ok()?;
    assert_eq!(first[0], 0x88, "a close frame");
    Some(u16::from_be_bytes([first[2], first[3]]))
}

#[test]
fn messages_in_fragments_without_an_end_share_one_budget() {
    let block = vec![b' '; 0x10000];
    let mut bytes = frame(TEXT, &block);
    while bytes.len() < SENT {
        bytes.extend(frame(0, &block));
    }
    a_flood_is_refused(socket, &bytes);
}

#[test]
fn binary_messages_of_one_unfinished_frame_share_one_budget() {
    let head = [header(FIN | BINARY, SENT + 1000, 0x80), vec![0; 4]].concat();
    let bytes = [head, vec![0; SENT]].concat();
    a_flood_is_refused(binary_socket, &bytes);
}

/// The largest goes: small messages that are unfinished too stay, and so does what is in flight.
#[test]
fn what_is_in_flight_is_answered_before_the_largest_is_told_to_go() {
    let server = Server::start(WS, &["--input-memory=4MiB", "--batch-timeout=1s"]);
    let mut small = socket(&server);
    small
        .write_all(&frame(TEXT, &vec![b' '; 20_000]))
        .expect("it reads");
    let mut large = socket(&server);
    large
        .write_all(&frame(FIN | TEXT, transfer_between(7, 0, 1).as_bytes()))
        .expect("it reads");
    large
        .write_all(&frame(TEXT, &vec![b' '; 1_000_000]))
        .expect("it reads");
    let mut second = socket(&server);
    second
        .write_all(&frame(TEXT, &vec![b' '; 1_040_000]))
        .expect("it reads");
    let mut others = [socket(&server), socket(&server)];
    for stream in &mut others {
        stream
            .write_all(&frame(TEXT, &vec![b' '; 900_000]))
            .expect("it reads");
    }
    eventually("two are told to go", || refused(&server) == 2);
    assert_eq!(close_code(&mut second), Some(1013), "the largest");
    assert_eq!(read_answer(&mut large), json!({"id": 7, "ok": true}));
    assert_eq!(close_code(&mut large), Some(1013), "the largest then");
    // The others are served when their messages are whole.
    let rest = [b" ".repeat(10).as_slice(), br#"{"id":1,"name":"health"}"#].concat();
    for stream in others.iter_mut().chain([&mut small]) {
        stream.write_all(&frame(FIN, &rest)).expect("it reads");
        assert_eq!(read_answer(stream)["ok"], true);
    }
}

/// A body of which only a part has come: `overloaded`, so it was never queued.
#[test]
fn bodies_share_the_budget_too() {
    const LIMIT: &str = "--max-body-bytes=1048576";
    const BODIES: usize = 40;
    let server = Server::start(HTTP, &[BUDGET, LIMIT]);
    let before = books(&server);
    let mut streams: Vec<_> = (0..BODIES).map(|_| server.connect()).collect();
    let whole = http_request(vec![b' '; SENT]);
    send_all(&streams, &whole[..SENT]);
    eventually("some are refused", || refused(&server) >= 25);
    let mut waiting: Vec<_> = streams.iter_mut().collect();
    // More may be refused while these are read: a server on a busy machine has bytes left to read.
    eventually("every one that is refused is told", || {
        waiting.retain_mut(|stream| {
            let patience = Some(Duration::from_millis(20));
            stream.set_read_timeout(patience).expect("it can be set");
            let Some(response) = read_response(stream) else {
                return true;
            };
            assert_eq!(response.status, 503);
            assert_eq!(response.json()["error"], "overloaded");
            assert!(
                response.head.contains("connection: close"),
                "{}",
                response.head
            );
            false
        });
        (BODIES - waiting.len()) as u64 == refused(&server)
    });
    // And one that is not the largest is served.
    let mut stream = server.connect();
    assert_eq!(post(&mut stream, br#"{"name":"health"}"#).status, 200);
    assert_eq!(books(&server), before);
}

/// Headers count as well; there is nothing to answer yet.
#[test]
fn headers_share_the_budget_too() {
    let server = Server::start(HTTP, &["--input-memory=4MiB"]);
    let head = format!(
        "GET /health HTTP/1.1\r\nhost: x\r\nx: {}",
        "y".repeat(30_000)
    );
    let streams: Vec<_> = (0..100).map(|_| server.connect()).collect();
    send_all(&streams, head.as_bytes());
    eventually("some are closed", || refused(&server) >= 25);
    let mut closed = 0;
    for mut stream in &streams {
        let patience = Some(Duration::from_millis(20));
        stream.set_read_timeout(patience).expect("it can be set");
        let ended = stream.read(&mut [0; 1]).is_ok_and(|read| read == 0);
        closed += usize::from(ended);
    }
    assert!((25..100).contains(&closed), "{closed}");
}
