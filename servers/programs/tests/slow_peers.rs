//! Peers that are slow, silent or gone: each is closed on its own time limit, and the others
//! do not notice.

#![cfg(target_os = "linux")]

mod support;

use std::io::{BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;
use socket2::{Domain, Socket, Type};
use support::{
    CLOSE, FIN, FLAT_KIB, HTTP, INITIAL_BALANCE, PING, PONG, Server, TEXT, WS, ask, balances,
    books, eventually, frame, http_request, is_full_size, post, prepare, read_answer,
    read_answer_and_pong, read_frame, read_response, socket, tell, transfer, transfer_between,
    transfer_frames, upgrade_on,
};

/// For a machine that is busy with other things: only that a time limit may be seen late. None
/// is ever early, whatever the machine does.
const SLACK: Duration = Duration::from_secs(10);

/// A connection whose receive buffer is small, so that it is soon full.
fn narrow(server: &Server) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("it can be set");
    socket.connect(&server.address.into()).expect("it listens");
    let stream = TcpStream::from(socket);
    prepare(&stream);
    stream
}

/// Sends `block` for ever and reads nothing, until the server cuts the connection; how long
/// the server had written nothing then, or longer.
fn never_read(server: &Server, mut stream: TcpStream, block: &[u8]) -> Duration {
    stream
        .set_write_timeout(Some(Duration::from_millis(20)))
        .expect("it can be set");
    let client = stream.local_addr().expect("it is connected");
    let began = Instant::now();
    let (mut unsent, mut at) = (None, 0);
    let (mut looked, mut wrote) = (began, began);
    loop {
        match stream.write(&block[at..]) {
            Ok(bytes) => at = (at + bytes) % block.len(),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
        let (looks, now) = (Instant::now(), server.unsent(client));
        // What waits for the client has grown: the server has written since the last look.
        if now > unsent {
            wrote = looked;
        }
        (looked, unsent) = (looks, now);
        assert!(
            began.elapsed() < support::ANSWER_TIMEOUT,
            "it is never cut off"
        );
    }
    assert_eq!(
        server.unsent(client),
        None,
        "the kernel holds nothing either"
    );
    wrote.elapsed()
}

/// How long one transfer after the other takes, until `over`.
fn latencies(server: &Server, over: impl Fn() -> bool) -> Vec<Duration> {
    let mut took = Vec::new();
    let mut stream = if server.is_ws {
        socket(server)
    } else {
        server.connect()
    };
    while !over() {
        let began = Instant::now();
        let request = transfer_between(1, 2, 3);
        let answer = if server.is_ws {
            ask(&mut stream, request.as_bytes())
        } else {
            post(&mut stream, request.as_bytes()).json()
        };
        assert_eq!(answer["ok"], true, "{answer}");
        took.push(began.elapsed());
        thread::sleep(Duration::from_millis(2));
    }
    took.sort();
    took
}

/// A connection that was served.
fn latest(server: &Server) -> TcpStream {
    if server.is_ws {
        return socket(server);
    }
    let mut stream = server.connect();
    assert_eq!(post(&mut stream, b"{\"name\":\"health\"}").status, 200);
    stream
}

fn case_27(server: &Server, slow: TcpStream, block: &[u8]) {
    let undisturbed = || {
        let until = Instant::now() + Duration::from_millis(500);
        let took = latencies(server, || Instant::now() > until);
        took[took.len() / 2]
    };
    let before = undisturbed();
    // Served after the slow one was accepted: it and this one have a descriptor.
    let other = latest(server);
    let descriptors = server.descriptors() - 2;
    drop(other);
    let peak = server.peak_kib();
    let cut = AtomicBool::new(false);
    let began = Instant::now();
    let (stalled, during) = thread::scope(|scope| {
        let slow = scope.spawn(|| {
            let stalled = never_read(server, slow, block);
            cut.store(true, Ordering::Relaxed);
            stalled
        });
        let during = latencies(server, || cut.load(Ordering::Relaxed));
        (slow.join().expect("it is cut off"), during)
    });
    let lasted = began.elapsed();
    // The write timeout is one second, and is looked at four times.
    assert!(stalled >= Duration::from_secs(1), "too early: {stalled:?}");
    assert!(
        stalled < Duration::from_millis(1250) + SLACK,
        "too late: {stalled:?}"
    );
    // A machine that others use is not as fast at any time: the slower of two.
    let after = undisturbed();
    let bound = 10 * before.max(after) + Duration::from_millis(20);
    let middle = during[during.len() / 2];
    // Had the others waited together with the slow one, it were in this.
    let mean = lasted.div_f64(f64::from(u32::try_from(during.len()).expect("few")));
    assert!(
        middle < bound && mean < bound,
        "the others keep their latency: {before:?} before, {middle:?} and {mean:?} on average \
         during, {after:?} after"
    );
    let grown = server.peak_kib().saturating_sub(peak);
    assert!(grown < 3 * FLAT_KIB, "memory grew by {grown} KiB");
    eventually("its descriptor is free", || {
        server.descriptors() <= descriptors
    });
    let total = books(server)["total"].clone();
    assert_eq!(
        total,
        (100 * INITIAL_BALANCE).to_string(),
        "money is conserved"
    );
}

#[test]
fn case_27_a_websocket_client_that_never_reads_is_cut_off_and_the_others_are_not_slower() {
    let server = Server::start(WS, &["--write-timeout=1s"]);
    let slow = upgrade_on(narrow(&server));
    let block = frame(FIN | TEXT, transfer_between(1, 0, 1).as_bytes()).repeat(1000);
    case_27(&server, slow, &block);
}

#[test]
fn case_27_an_http_client_that_never_reads_is_cut_off_and_the_others_are_not_slower() {
    let server = Server::start(HTTP, &["--write-timeout=1s"]);
    let block = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n".repeat(100);
    case_27(&server, narrow(&server), &block);
}

/// Sends `bytes` one by one until the connection is closed; how long after `began` that was, and
/// what was answered.
fn drip(began: Instant, mut stream: TcpStream, bytes: &[u8]) -> (Duration, Vec<u8>) {
    let mut reader = stream.try_clone().expect("it can be cloned");
    let closed = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&closed);
    let reading = thread::spawn(move || {
        let mut answer = Vec::new();
        let _ = reader.read_to_end(&mut answer);
        seen.store(true, Ordering::Relaxed);
        answer
    });
    for byte in bytes.iter().cycle() {
        if closed.load(Ordering::Relaxed) || stream.write_all(&[*byte]).is_err() {
            break;
        }
        assert!(
            began.elapsed() < support::ANSWER_TIMEOUT,
            "it is never closed"
        );
        thread::sleep(Duration::from_millis(20));
    }
    let lived = began.elapsed();
    (lived, reading.join().expect("the reader ends"))
}

const SHORT: Duration = Duration::from_millis(800);

/// Closed at its time limit, which is looked at four times; `lived` counts from before the server
/// could begin to count, so that it is never too short.
fn on_time_after(limit: Duration, lived: Duration) {
    assert!(lived >= limit, "too early: {lived:?} of {limit:?}");
    assert!(
        lived < limit * 5 / 4 + SLACK,
        "too late: {lived:?} of {limit:?}"
    );
}

fn on_time(lived: Duration) {
    on_time_after(SHORT, lived);
}

#[test]
fn case_28_slow_headers_are_closed_on_time() {
    let flags = ["--header-timeout=800ms", "--idle-timeout=10m"];
    let server = Server::start(HTTP, &flags);
    let endless = b"x: y\r\n";
    let mut stream = server.connect();
    let began = Instant::now();
    stream.write_all(b"GET / HTTP/1.1\r\n").expect("it reads");
    let (lived, answer) = drip(began, stream, endless);
    on_time(lived);
    assert_eq!(answer, b"");
    // Likewise after a request that was answered.
    let mut stream = server.connect();
    assert_eq!(post(&mut stream, transfer("1").as_bytes()).status, 200);
    thread::sleep(SHORT * 2);
    let began = Instant::now();
    stream
        .write_all(b"GET / HTTP/1.1\r\n")
        .expect("idle is not slow");
    let (lived, answer) = drip(began, stream, endless);
    on_time(lived);
    assert_eq!(answer, b"");
}

#[test]
fn case_28_a_slow_body_is_closed_on_time() {
    let server = Server::start(HTTP, &["--body-timeout=800ms"]);
    let before = books(&server);
    let mut stream = server.connect();
    let request = http_request(transfer("1"));
    let head = request.len() - transfer("1").len();
    let began = Instant::now();
    stream.write_all(&request[..head + 5]).expect("it reads");
    let (lived, answer) = drip(began, stream, b" ");
    on_time(lived);
    let response = read_response(&mut &answer[..]).expect("an answer");
    assert_eq!(response.status, 400);
    assert_eq!(books(&server), before);
}

#[test]
fn case_28_a_slow_websocket_handshake_is_closed_on_time() {
    let flags = ["--header-timeout=800ms", "--idle-timeout=10m"];
    let server = Server::start(WS, &flags);
    let mut good = socket(&server);
    let began = Instant::now();
    let mut slow = server.connect();
    slow.write_all(b"GET /rpc HTTP/1.1\r\nupgrade: websocket\r\n")
        .expect("it reads");
    let (lived, answer) = drip(began, slow, b"x: y\r\n");
    on_time(lived);
    assert_eq!(answer, b"");
    // Not a byte is enough to be timed.
    let began = Instant::now();
    let mut silent = server.connect();
    assert_eq!(silent.read(&mut [0]).expect("a close, not a reset"), 0);
    on_time(began.elapsed());
    thread::sleep(SHORT);
    assert_eq!(
        ask(&mut good, b"{\"id\":1,\"name\":\"health\"}")["ok"],
        true
    );
}

/// Also messages without an end are idleness, however much of them comes.
#[test]
fn idle_connections_are_closed_on_time_and_busy_ones_are_not() {
    const HELD: Duration = Duration::from_secs(2);
    let flags = ["--idle-timeout=800ms", "--batch-timeout=2s"];
    for program in [HTTP, WS] {
        let server = Server::start(program, &flags);
        let request = transfer_between(1, 0, 1);
        if !server.is_ws {
            let mut stream = server.connect();
            let began = Instant::now();
            assert_eq!(
                post(&mut stream, request.as_bytes()).json(),
                json!({"ok": true})
            );
            assert_eq!(stream.read(&mut [0]).expect("a close, not a reset"), 0);
            on_time_after(HELD + SHORT, began.elapsed());
            continue;
        }
        let mut stream = socket(&server);
        let began = Instant::now();
        assert_eq!(ask(&mut stream, request.as_bytes())["ok"], true);
        let (opcode, payload) = read_frame(&mut stream).expect("a farewell");
        on_time_after(HELD + SHORT, began.elapsed());
        assert_eq!((opcode, &payload[..]), (CLOSE, &b"\x03\xe9idle"[..]));
        assert_eq!(read_frame(&mut stream), None);
        let began = Instant::now();
        let mut endless = socket(&server);
        endless.write_all(&frame(TEXT, b"{")).expect("it reads");
        let (lived, answer) = drip(began, endless, &frame(0, b" ")[..]);
        on_time(lived);
        assert_eq!(answer, b"\x88\x06\x03\xe9idle");
    }
}

#[test]
fn case_30_a_peer_that_is_cut_off_is_reaped_by_the_ping_timeout() {
    // A peer behind a cut wire and one that answers no ping are the same to the server as long
    // as it has nothing to send.
    const LIMITS: Duration = Duration::from_millis(500 + 2_000);
    let flags = ["--ping-interval=500ms", "--ping-timeout=2s"];
    let server = Server::start(WS, &flags);
    let descriptors = server.descriptors();
    let began = Instant::now();
    let mut gone = socket(&server);
    let mut there = socket(&server);
    assert_eq!(read_frame(&mut gone), Some((PING, Vec::new())));
    let answering = thread::spawn(move || {
        for pings in 0..6 {
            let (opcode, payload) = read_frame(&mut there).expect("another ping");
            assert_eq!(opcode, PING, "after {pings} pings");
            there
                .write_all(&frame(FIN | PONG, &payload))
                .expect("it reads");
        }
        assert_eq!(
            ask(&mut there, b"{\"id\":1,\"name\":\"health\"}")["ok"],
            true
        );
    });
    let (opcode, payload) = read_frame(&mut gone).expect("a farewell");
    assert_eq!(
        (opcode, &payload[..]),
        (CLOSE, &b"\x03\xf0no answer to a ping"[..])
    );
    assert_eq!(read_frame(&mut gone), None);
    on_time_after(LIMITS, began.elapsed());
    answering.join().expect("who answers stays");
    eventually("both are gone", || server.descriptors() == descriptors);
}

/// A server that is frozen for longer than all its time limits: nobody is cut off for it, and
/// whatever is answered afterwards is true. Ten seconds in full size, and then also with the
/// limits that a server has when nobody says anything, of which ten seconds reach two.
#[test]
fn case_33_a_frozen_server_gives_no_false_answer_when_it_thaws() {
    let short = [
        "--ping-interval=1s",
        "--ping-timeout=1s",
        "--write-timeout=1s",
        "--idle-timeout=2s",
        "--header-timeout=1s",
    ];
    if is_full_size() {
        const NAME: &str = "case_33_a_frozen_server_gives_no_false_answer_when_it_thaws";
        const FREEZE: Duration = Duration::from_secs(10);
        for (limits, which) in [
            (&short[..], "of 1 and 2 s"),
            (&[], "as they are by default"),
        ] {
            frozen_and_thawed(FREEZE, limits);
            let text = format!("frozen for {FREEZE:?}, time limits {which}");
            tell(&format!("slow_peers::{NAME}"), &text);
        }
    } else {
        frozen_and_thawed(Duration::from_secs(4), &short);
    }
}

fn frozen_and_thawed(freeze: Duration, limits: &[&str]) {
    const CLIENTS: u64 = 4;
    const WINDOW: u64 = 50;
    let server = Server::start(WS, limits);
    let over = AtomicBool::new(false);
    let ok = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (mut stream, over) = (socket(&server), &over);
                scope.spawn(move || {
                    let request =
                        |id| frame(FIN | TEXT, transfer_between(id, client, 99).as_bytes());
                    let window: Vec<u8> = (0..WINDOW).flat_map(request).collect();
                    stream.write_all(&window).expect("it reads");
                    let (mut ok, mut next) = (0, WINDOW);
                    while ok < next {
                        let answer = read_answer_and_pong(&mut stream).expect("not cut off");
                        assert_eq!(answer["ok"], true, "{answer}");
                        ok += 1;
                        if !over.load(Ordering::Relaxed) {
                            stream.write_all(&request(next)).expect("it reads");
                            next += 1;
                        }
                    }
                    i64::try_from(ok).expect("small")
                })
            })
            .collect();
        thread::sleep(Duration::from_millis(500));
        server.signal(Signal::SIGSTOP);
        // The kernel accepts it.
        let late = server.connect();
        thread::sleep(freeze);
        server.signal(Signal::SIGCONT);
        let mut late = upgrade_on(late);
        let answer = ask(&mut late, transfer_between(1, 50, 99).as_bytes());
        assert_eq!(answer["ok"], true, "{answer}");
        thread::sleep(Duration::from_millis(500));
        over.store(true, Ordering::Relaxed);
        clients
            .into_iter()
            .map(|client| client.join().expect("it is served"))
            .collect::<Vec<i64>>()
    });
    let balances = balances(&server);
    for (client, ok) in ok.iter().enumerate() {
        assert_eq!(balances[client], INITIAL_BALANCE - ok, "client {client}");
    }
    let all: i64 = ok.iter().sum();
    assert_eq!(balances[99], INITIAL_BALANCE + all + 1);
}

/// A client that asks and never reads: its answers wait, its further requests are not read,
/// memory is bounded, and the others do not notice. When it reads at last, all is there.
#[test]
fn a_slow_reader_holds_up_nobody() {
    const REQUESTS: u64 = 200_000;
    let server = Server::start(WS, &["--write-timeout=1m"]);
    let mut slow = socket(&server);
    let mut writer = slow.try_clone().expect("it can be cloned");
    let peak = server.peak_kib();
    let writing = thread::spawn(move || {
        for ids in 0..REQUESTS / 100 {
            let all = transfer_frames(ids * 100..(ids + 1) * 100, 0, 1);
            writer.write_all(&all).expect("it reads in the end");
        }
    });
    let mut other = socket(&server);
    for id in 0..200 {
        let request = format!(
            "{{\"id\":{id},\"name\":\"transfer\",\"args\":{{\"from\":2,\"to\":3,\"amount\":1}}}}"
        );
        assert_eq!(
            ask(&mut other, request.as_bytes()),
            json!({"id": id, "ok": true})
        );
        thread::sleep(Duration::from_millis(5));
    }
    let grown = server.peak_kib().saturating_sub(peak);
    assert!(grown < 3 * FLAT_KIB, "memory grew by {grown} KiB");
    let mut reader = BufReader::new(&mut slow);
    let mut seen = vec![false; usize::try_from(REQUESTS).expect("small")];
    for _ in 0..REQUESTS {
        let answer = read_answer(&mut reader);
        assert_eq!(answer["ok"], true, "{answer}");
        let id = usize::try_from(answer["id"].as_u64().expect("an id")).expect("small");
        assert!(!std::mem::replace(&mut seen[id], true), "answered twice");
    }
    writing.join().expect("all was written");
    let account = ask(
        &mut other,
        b"{\"id\":0,\"name\":\"getAccount\",\"args\":{\"id\":1}}",
    );
    assert_eq!(
        account["result"]["balance"],
        (10_000_000 + REQUESTS).to_string()
    );
}
