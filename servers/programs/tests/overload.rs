//! More than a server can do: its queue and its memory are bounded, and what it refuses it
//! refuses at once.

#![cfg(target_os = "linux")]

mod support;

use std::io::{BufReader, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use busload_wire::binary::{MessageBuilder, decode_outcomes};
use busload_wire::{RequestId, Transfer};
use serde_json::json;
use support::{
    ANSWER_TIMEOUT, BINARY, FIN, FLAT_KIB, HTTP, INITIAL_BALANCE, PING, Server, TEXT, WS, ask,
    ask_anew, balances, binary_socket, close_code, counters, directory, eventually, frame,
    http_request, is_full_size, read_answer, read_frame, read_response, skip, socket, tell,
    transfer_between, transfer_frames, works,
};

const QUEUE: usize = 30;
const ASKED: usize = 80;
/// A batch that never fills and waits for longer than the test: what is queued stays queued
/// until it is [`released`].
const HELD: [&str; 3] = ["--queue=30", "--batch-timeout=60s", "--batch-size=1000"];

/// A control call ends the waiting: it sees every transfer before it.
fn released(server: &Server) {
    let account = json!({"name": "getAccount", "args": {"id": 0}});
    assert_eq!(ask_anew(server, &account)["ok"], true);
}

/// Client i pays 1 from account i + 1 to account 0: the ledger must hold exactly the transfers
/// that were answered `ok`, by name.
fn check_balances(server: &Server, outcomes: &[Option<bool>]) {
    let balances = balances(server);
    assert_eq!(balances[0], INITIAL_BALANCE + 30);
    for (client, outcome) in outcomes.iter().enumerate() {
        let paid = i64::from(outcome.expect("every request is answered"));
        assert_eq!(
            balances[client + 1],
            INITIAL_BALANCE - paid,
            "client {client}"
        );
    }
    let stats = counters(server);
    assert_eq!(stats["queue"]["peak"], QUEUE);
    assert_eq!(stats["queue"]["overloaded"], ASKED - QUEUE);
    assert_eq!(stats["committed"], QUEUE);
}

#[test]
fn case_26_a_full_queue_refuses_at_once_and_never_applies_over_websocket() {
    let server = Server::start(WS, &HELD);
    let mut stream = socket(&server);
    let all: Vec<u8> = (0..ASKED as u64)
        .flat_map(|id| frame(FIN | TEXT, transfer_between(id, id + 1, 0).as_bytes()))
        .collect();
    stream.write_all(&all).expect("it reads");
    let mut outcomes = vec![None; ASKED];
    for answers in 0..ASKED {
        let refused = answers < ASKED - QUEUE;
        if answers == ASKED - QUEUE {
            released(&server);
        }
        let answer = read_answer(&mut stream);
        let id = usize::try_from(answer["id"].as_u64().expect("an id")).expect("small");
        assert_eq!(answer["ok"], !refused, "the queue waits, nobody else does");
        if refused {
            assert_eq!(answer["error"], "overloaded");
        }
        let before = outcomes[id].replace(!refused);
        assert_eq!(before, None, "answered twice");
    }
    check_balances(&server, &outcomes);
}

#[test]
fn case_26_a_full_queue_refuses_at_once_and_never_applies_over_http() {
    let server = Server::start(HTTP, &HELD);
    let (send, answered) = sync_channel(ASKED);
    for client in 0..ASKED {
        let (mut stream, send) = (server.connect(), send.clone());
        thread::spawn(move || {
            let request = http_request(transfer_between(0, client as u64 + 1, 0));
            stream.write_all(&request).expect("it reads");
            let response = read_response(&mut stream).expect("an answer");
            let answer = (response.status, response.json());
            send.send((client, answer)).expect("the test waits");
        });
    }
    let mut outcomes = vec![None; ASKED];
    for answers in 0..ASKED {
        let expected = if answers < ASKED - QUEUE {
            (503, json!({"ok": false, "error": "overloaded"}))
        } else {
            (200, json!({"ok": true}))
        };
        if answers == ASKED - QUEUE {
            released(&server);
        }
        let (client, answer) = answered
            .recv_timeout(ANSWER_TIMEOUT)
            .expect("all are answered");
        assert_eq!(answer, expected, "the queue waits, nobody else does");
        outcomes[client] = Some(answer.0 == 200);
    }
    check_balances(&server, &outcomes);
}

/// How slow syncs are, and what follows from it for the bounds.
struct Slow {
    sync: Duration,
    /// How often the queue is filled.
    rounds: u64,
    /// Longest wait for what was taken in, in syncs: a queue has four batches, or five when the
    /// first one left early; the first commit after a start makes two syncs more, of the log's
    /// header and of the directory. The rest is for a busy machine.
    longest_syncs: u32,
    /// Longest time until the first refusal.
    at_once: Duration,
}

const SYNC_50_MS: Slow = Slow {
    sync: Duration::from_millis(50),
    rounds: 5,
    longest_syncs: 40,
    at_once: Duration::from_secs(1),
};

/// Refused before a single sync is over.
const SYNC_5_S: Slow = Slow {
    sync: Duration::from_secs(5),
    rounds: 1,
    longest_syncs: 10,
    at_once: Duration::from_secs(4),
};

/// Every sync takes 50 ms, and 5 s in full size. Within the queue's bound everything is served,
/// and waits no longer than the queue is long; past it, transfers are refused at once.
#[test]
fn case_13_slow_syncs_mean_a_bounded_queue_and_then_overloaded() {
    const NAME: &str = "overload::case_13_slow_syncs_mean_a_bounded_queue_and_then_overloaded";
    if !works(&["strace", "-D", "-qq", "-e", "trace=none", "true"]) {
        return skip(NAME, "strace cannot trace");
    }
    slow_syncs(&SYNC_50_MS);
    if is_full_size() {
        let answered = slow_syncs(&SYNC_5_S);
        tell(NAME, &format!("syncs of {:?}: {answered}", SYNC_5_S.sync));
    }
}

/// Reads `count` answers: how many of them were `ok`, how many `overloaded`, after which time the
/// first of those came, and the last of all.
fn read_answers(stream: &mut TcpStream, count: usize) -> (i64, i64, Option<Duration>, Duration) {
    let began = Instant::now();
    let (mut committed, mut overloaded, mut first_refusal) = (0, 0, None);
    for _ in 0..count {
        let answer = read_answer(stream);
        if answer["ok"] == true {
            committed += 1;
        } else {
            assert_eq!(answer["error"], "overloaded");
            first_refusal.get_or_insert(began.elapsed());
            overloaded += 1;
        }
    }
    (committed, overloaded, first_refusal, began.elapsed())
}

/// What was answered, in words.
fn slow_syncs(slow: &Slow) -> String {
    const FLOOD: usize = 5000;
    // A client that waits is not pinged meanwhile.
    const FLAGS: [&str; 3] = ["--queue=200", "--batch-size=50", "--ping-interval=1h"];
    let directory = Arc::new(directory());
    // The ledger is made by a server whose syncs are not slow.
    let (code, _) = Server::start_in(WS, Arc::clone(&directory), &FLAGS).terminate();
    assert_eq!(code, Some(0));
    let calls = "fdatasync,fsync";
    let trace = format!("trace={calls}");
    let delay = format!("inject={calls}:delay_exit={}", slow.sync.as_micros());
    let wrapper = ["strace", "-D", "-f", "-qq", "-o", "trace"];
    let wrapper = [&wrapper[..], &["-e", &trace, "-e", &delay]].concat();
    let server = Server::start_under(&wrapper, WS, directory, &FLAGS);
    let peak = server.peak_kib();
    let mut stream = socket(&server);
    let request = |id| frame(FIN | TEXT, transfer_between(id, 0, 1).as_bytes());
    // Never more than the queue holds: all are served.
    let mut committed = 0;
    let mut longest = Duration::ZERO;
    for round in 0..slow.rounds {
        let all: Vec<u8> = (0..200).flat_map(|id| request(round * 200 + id)).collect();
        stream.write_all(&all).expect("it reads");
        let (ok, overloaded, _, took) = read_answers(&mut stream, 200);
        assert_eq!((ok, overloaded), (200, 0));
        committed += ok;
        longest = longest.max(took);
    }
    let bound = slow.longest_syncs * slow.sync;
    assert!(
        longest >= 4 * slow.sync,
        "the syncs are slow: {longest:?} for four of {:?}",
        slow.sync
    );
    assert!(longest < bound, "no wait beyond the queue: {longest:?}");
    // Far more than that.
    let all: Vec<u8> = (0..FLOOD as u64)
        .flat_map(|id| request(1000 + id))
        .collect();
    let mut writer = stream.try_clone().expect("it can be cloned");
    let writing = thread::spawn(move || writer.write_all(&all).expect("it reads"));
    let (ok, overloaded, first_refusal, took) = read_answers(&mut stream, FLOOD);
    writing.join().expect("all was written");
    committed += ok;
    let first_refusal = first_refusal.expect("the queue was full");
    assert!(
        first_refusal < slow.at_once,
        "refused at once: {first_refusal:?}"
    );
    if slow.sync > Duration::from_secs(1) {
        // The flood is in long before a sync is over: it fills the queue once.
        assert!(ok <= 200 + 50, "the queue and a batch: {ok}");
        assert!(took < bound, "no wait beyond the queue: {took:?}");
    }
    let stats = counters(&server);
    assert_eq!(stats["queue"]["overloaded"], overloaded);
    assert!(
        stats["queue"]["peak"].as_u64().expect("a count") <= 200,
        "{stats}"
    );
    let balances = balances(&server);
    assert_eq!(
        balances[0],
        INITIAL_BALANCE - committed,
        "only what was answered ok"
    );
    assert_eq!(balances[1], INITIAL_BALANCE + committed);
    let grown = server.peak_kib().saturating_sub(peak);
    assert!(grown < FLAT_KIB, "memory grew by {grown} KiB");
    format!(
        "200 answered within {longest:.1?}; of {FLOOD} at once {ok} within {took:.1?}, the others \
         refused, the first after {first_refusal:.3?}"
    )
}

/// 819,200 transfers wait at the same time, because their batch does; then all are answered.
#[test]
fn case_35_fifty_connections_with_16384_in_flight_each_are_served_in_bounded_memory() {
    const CONNECTIONS: usize = 50;
    const IN_FLIGHT: usize = 16_384;
    const PER_MESSAGE: usize = 4096;
    /// Queued, each is less than 100 bytes, of which there may be two when a vector grows; the
    /// rest is for the page cache and the outcomes on their way.
    const BOUND_KIB: u64 = (CONNECTIONS * IN_FLIGHT) as u64 * 400 / 1024;
    let server = Server::start(WS, &["--batch-size=1048576", "--batch-timeout=60s"]);
    let mut streams: Vec<_> = (0..CONNECTIONS).map(|_| binary_socket(&server)).collect();
    let mut builder = MessageBuilder::new();
    for stream in &mut streams {
        for message in 0..IN_FLIGHT / PER_MESSAGE {
            for (at, from) in (0..PER_MESSAGE).zip((2..100).cycle()) {
                let id = RequestId::new((message * PER_MESSAGE + at) as u64).expect("small");
                let transfer = Transfer {
                    from,
                    to: 0,
                    amount: 1,
                    transfer_id: None,
                };
                builder.push_transfer(id, &transfer);
            }
            let bytes = frame(FIN | BINARY, &builder.finish());
            stream.write_all(&bytes).expect("it reads");
        }
    }
    let depth = || counters(&server)["queue"]["depth"].as_u64();
    eventually("all are in flight", || {
        depth() == Some((CONNECTIONS * IN_FLIGHT) as u64)
    });
    // A control call ends the waiting: it sees every transfer before it.
    let account = json!({"name": "getAccount", "args": {"id": 0}});
    let account = thread::scope(|scope| {
        let account = scope.spawn(|| ask_anew(&server, &account));
        for stream in &mut streams {
            let mut answered = vec![false; IN_FLIGHT];
            let mut answers = Vec::new();
            let mut reader = BufReader::new(stream);
            for _ in 0..IN_FLIGHT / PER_MESSAGE {
                let (opcode, payload) = read_frame(&mut reader).expect("an answer");
                assert_eq!(opcode, BINARY);
                decode_outcomes(&payload, &mut answers).expect("well formed");
            }
            for answer in &answers {
                assert_eq!(answer.result, Ok(()));
                let id = answer.id.expect("an id").get();
                let id = usize::try_from(id).expect("small");
                assert!(
                    !std::mem::replace(&mut answered[id], true),
                    "answered twice"
                );
            }
            assert!(answered.iter().all(|answered| *answered));
        }
        account.join().expect("it is answered")
    });
    let moved = INITIAL_BALANCE + i64::try_from(CONNECTIONS * IN_FLIGHT).expect("small");
    assert_eq!(account["result"]["balance"], moved.to_string());
    let peak = server.peak_kib();
    assert!(peak < BOUND_KIB, "memory reached {peak} KiB of {BOUND_KIB}");
}

/// Past the cap a connection is not read from until something was answered.
#[test]
fn a_connection_has_only_so_much_in_flight() {
    let flags = ["--max-inflight-per-connection=10", "--batch-timeout=15ms"];
    let server = Server::start(WS, &flags);
    let mut stream = socket(&server);
    let all = transfer_frames(0..500, 0, 1);
    stream.write_all(&all).expect("it reads");
    for _ in 0..500 {
        assert_eq!(read_answer(&mut stream)["ok"], true);
    }
    let stats = ask(&mut stream, b"{\"id\":500,\"name\":\"stats\"}");
    let (peak, batches) = (
        &stats["result"]["queue"]["peak"],
        &stats["result"]["batches"],
    );
    assert_eq!(peak, 10, "never more were taken in");
    assert!(batches.as_u64().expect("a count") >= 50, "{batches}");
}

/// The same with requests that are answered without a batch.
#[test]
fn a_flood_of_small_talk_is_bounded() {
    let server = Server::ws();
    let mut rude = socket(&server);
    rude.set_write_timeout(Some(Duration::from_secs(2)))
        .expect("it can be set");
    let peak = server.peak_kib();
    let block = frame(FIN | TEXT, b"{\"id\":1,\"name\":\"info\"}").repeat(1000);
    // Until it is not read any more, or cut off.
    for _ in 0..1000 {
        if rude.write_all(&block).is_err() {
            break;
        }
    }
    let pings = frame(FIN | PING, &[7; 125]).repeat(1000);
    let mut ruder = socket(&server);
    ruder
        .set_write_timeout(Some(Duration::from_secs(2)))
        .expect("it can be set");
    for _ in 0..1000 {
        if ruder.write_all(&pings).is_err() {
            break;
        }
    }
    let mut other = socket(&server);
    assert_eq!(
        ask(&mut other, b"{\"id\":1,\"name\":\"health\"}")["ok"],
        true
    );
    let grown = server.peak_kib().saturating_sub(peak);
    assert!(grown < FLAT_KIB, "memory grew by {grown} KiB");
}

/// 100 headers, and as many bytes of them as the flag says.
#[test]
fn headers_are_bounded_in_number_and_bytes() {
    let server = Server::start(HTTP, &["--max-header-bytes=8192"]);
    let status = |headers: &str| {
        let mut stream = server.connect();
        let head = format!("GET /health HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).expect("it reads");
        read_response(&mut stream).expect("an answer").status
    };
    assert_eq!(status(&"x: y\r\n".repeat(99)), 200);
    assert_eq!(status(&"x: y\r\n".repeat(100)), 431);
    assert_eq!(status(&format!("x: {}\r\n", "y".repeat(8000))), 200);
    assert_eq!(status(&format!("x: {}\r\n", "y".repeat(8192))), 431);
    assert_eq!(status(&format!("x: {}\r\n", "y".repeat(60_000))), 431);
}

#[test]
fn bodies_and_messages_are_as_long_as_the_flags_say() {
    let padded = |bytes: usize| format!("{:bytes$}", transfer_between(1, 0, 1));
    let server = Server::start(HTTP, &["--max-body-bytes=2000"]);
    let status = |bytes| {
        let mut stream = server.connect();
        let request = http_request(padded(bytes));
        stream.write_all(&request).expect("it reads");
        read_response(&mut stream).expect("an answer").status
    };
    assert_eq!((status(2000), status(2001)), (200, 413));
    let server = Server::start(WS, &["--max-message-bytes=2000"]);
    let mut stream = socket(&server);
    assert_eq!(ask(&mut stream, padded(2000).as_bytes())["ok"], true);
    let long = frame(FIN | TEXT, padded(2001).as_bytes());
    stream.write_all(&long).expect("it reads");
    assert_eq!(close_code(&mut stream), Some(1009));
    // An answer is not bounded by it: this one is some hundred KiB long.
    let answer = ask(&mut socket(&server), b"{\"id\":1,\"name\":\"stats\"}");
    assert_eq!(answer["ok"], true);
}
