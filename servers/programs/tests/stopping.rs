//! How a server ends: what was taken in is committed and answered, within a limit.

#![cfg(target_os = "linux")]

mod support;

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use busload_frontend::SAME_WISH;
use nix::sys::signal::{Signal, kill};
use serde_json::json;
use support::{
    FIN, HTTP, INITIAL_BALANCE, Server, TEXT, WS, ask, balances, close_code, eventually, frame,
    http_request, read_answer, read_frame, read_response, socket, transfer, transfer_between,
    transfer_frames,
};

/// SIGTERM while work is queued: no more is accepted, what is queued is committed and
/// answered, and the exit code is 0.
#[test]
fn case_32_a_graceful_stop_answers_what_is_queued() {
    let server = Server::start(WS, &["--batch-timeout=700ms"]);
    let directory = Arc::clone(&server.directory);
    let mut stream = socket(&server);
    let all = transfer_frames(0..500, 0, 1);
    stream.write_all(&all).expect("it reads");
    thread::sleep(Duration::from_millis(200));
    let mut idle = socket(&server);
    let address = server.address;
    let stopping = thread::spawn(move || server.terminate());
    let mut seen = vec![false; 500];
    for _ in 0..500 {
        let answer = read_answer(&mut stream);
        assert_eq!(answer["ok"], true, "{answer}");
        let id = usize::try_from(answer["id"].as_u64().expect("an id")).expect("small");
        assert!(!std::mem::replace(&mut seen[id], true), "answered twice");
    }
    assert_eq!(close_code(&mut stream), Some(1001), "going away");
    assert_eq!(
        close_code(&mut idle),
        Some(1001),
        "those that had nothing to wait for too"
    );
    let (code, took) = stopping.join().expect("it stops");
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(9), "within the limit: {took:?}");
    assert!(TcpStream::connect(address).is_err(), "nobody listens");
    // And what was answered is there.
    let again = Server::start_in(WS, directory, &[]);
    let request = b"{\"id\":1,\"name\":\"getAccount\",\"args\":{\"id\":1}}";
    let account = ask(&mut socket(&again), request);
    assert_eq!(account["result"]["balance"], "10000500");
}

#[test]
fn case_32_a_graceful_stop_over_http() {
    let server = Server::start(HTTP, &["--batch-timeout=600ms"]);
    let mut streams: Vec<_> = (0..20).map(|_| server.connect()).collect();
    let request = http_request(transfer("1"));
    for stream in &mut streams {
        stream.write_all(&request).expect("it reads");
    }
    let mut idle = server.connect();
    thread::sleep(Duration::from_millis(150));
    let stopping = thread::spawn(move || server.terminate());
    for stream in &mut streams {
        assert_eq!(
            read_response(stream).expect("an answer").json(),
            json!({"ok": true})
        );
        assert!(read_response(stream).is_none(), "and then it is closed");
    }
    assert!(read_response(&mut idle).is_none());
    assert_eq!(stopping.join().expect("it stops").0, Some(0));
}

/// Many clients ask without a pause while the server is told to stop. Every transfer that was
/// read is answered, the others were never applied: the ledger holds exactly what was answered.
#[test]
fn case_32_a_stop_under_load_answers_what_was_read_and_applies_nothing_else() {
    const CLIENTS: u64 = 8;
    const WINDOW: u64 = 200;
    let server = Server::ws();
    let directory = Arc::clone(&server.directory);
    let answered = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let mut stream = socket(&server);
            let answered = Arc::clone(&answered);
            thread::spawn(move || {
                let request = |id| frame(FIN | TEXT, transfer_between(id, client, 99).as_bytes());
                let window: Vec<u8> = (0..WINDOW).flat_map(request).collect();
                stream.write_all(&window).expect("it reads");
                let (mut ok, mut next, mut code) = (0_i64, WINDOW, None);
                while let Some((opcode, payload)) = read_frame(&mut stream) {
                    if opcode != TEXT {
                        code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                        continue;
                    }
                    let answer: serde_json::Value =
                        serde_json::from_slice(&payload).expect("answers are JSON");
                    assert_eq!(answer["ok"], true, "{answer}");
                    ok += 1;
                    answered.fetch_add(1, Ordering::Relaxed);
                    // Not read any more, or not even taken, once the server stops.
                    let _ = stream.write_all(&request(next));
                    next += 1;
                }
                (ok, code)
            })
        })
        .collect();
    eventually("there is load", || answered.load(Ordering::Relaxed) > 5000);
    let (code, took) = server.terminate();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(9), "within the limit: {took:?}");
    let ended: Vec<_> = clients
        .into_iter()
        .map(|client| client.join().expect("it ends"))
        .collect();
    let again = Server::start_in(WS, directory, &[]);
    let balances = balances(&again);
    for (client, (ok, code)) in ended.iter().enumerate() {
        assert_eq!(balances[client], INITIAL_BALANCE - ok, "client {client}");
        // Though it was still sending when the server closed.
        assert_eq!(*code, Some(1001), "client {client}");
    }
    let all: i64 = ended.iter().map(|(ok, _)| ok).sum();
    assert_eq!(balances[99], INITIAL_BALANCE + all);
}

/// A client that reads nothing does not hold up the end for longer than the limit says.
#[test]
fn case_32_a_stop_does_not_wait_for_a_client_that_never_reads() {
    let flags = ["--shutdown-timeout=1s", "--write-timeout=1h"];
    let mut server = Server::start(WS, &flags);
    let mut rude = socket(&server);
    rude.set_write_timeout(Some(Duration::from_secs(1)))
        .expect("it can be set");
    let block = transfer_frames(0..1000, 0, 1);
    // Until it is not read any more.
    while rude.write_all(&block).is_ok() {}
    let began = Instant::now();
    server.signal(Signal::SIGTERM);
    assert_eq!(server.ended(), Some(0));
    let took = began.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    let said = server.said();
    assert!(said.contains("1 connections had not taken"), "{said}");
}

/// Half a request does not hold it up either: it was never applied.
#[test]
fn case_32_a_stop_does_not_wait_for_half_a_request() {
    let server = Server::http();
    let mut half = server.connect();
    half.write_all(b"POST /rpc HTTP/1.1\r\nhost:")
        .expect("it reads");
    let mut whole = server.connect();
    let request = http_request(transfer("1"));
    whole.write_all(&request).expect("it reads");
    assert_eq!(read_response(&mut whole).expect("an answer").status, 200);
    whole.write_all(&request[..20]).expect("it reads");
    thread::sleep(Duration::from_millis(100));
    let (code, took) = server.terminate();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(5), "{took:?}");
}

/// `timeout(1)` signals its child and the process group that the child is in.
#[test]
fn case_32_two_signals_at_once_are_one_wish() {
    for _ in 0..20 {
        let mut server = Server::ws();
        let pid = server.pid();
        // The second may find that it has ended.
        for _ in 0..2 {
            let _ = kill(pid, Signal::SIGTERM);
        }
        assert_eq!(server.ended(), Some(0), "{}", server.said());
    }
}

#[test]
fn case_32_a_second_signal_ends_at_once() {
    let mut server = Server::start(WS, &["--batch-timeout=60s", "--shutdown-timeout=60s"]);
    let mut stream = socket(&server);
    let request = transfer_between(1, 0, 1);
    stream
        .write_all(&frame(FIN | TEXT, request.as_bytes()))
        .expect("it reads");
    // Answered behind it, so it is queued; and it stays so.
    assert_eq!(ask(&mut stream, b"{\"id\":2,\"name\":\"health\"}")["id"], 2);
    // Twice at once is one wish.
    server.signal(Signal::SIGTERM);
    server.signal(Signal::SIGTERM);
    thread::sleep(SAME_WISH + Duration::from_millis(200));
    assert!(
        server.child.try_wait().expect("our child").is_none(),
        "it waits for the batch"
    );
    let began = Instant::now();
    server.signal(Signal::SIGTERM);
    assert_eq!(server.ended(), Some(5));
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    assert!(server.said().contains("second signal"), "{}", server.said());
}
