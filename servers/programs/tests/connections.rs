//! How many connections there may be, what happens beyond, and connections that are reset.

#![cfg(target_os = "linux")]

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;
use socket2::SockRef;
use support::{
    FIN, FLAT_KIB, HTTP, INITIAL_BALANCE, Server, TEXT, WS, ask, balances, books, directory,
    eventually, frame, http_request, is_full_size, post, prepare, read_response, skip, socket,
    tell, transfer, transfer_between, works,
};

/// Descriptors that a server keeps for its ledger.
const SPARE: usize = 48;
const HEALTH: &[u8] = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n";

/// Whether an answer to `HEALTH` comes within `patience`.
fn is_served(stream: &mut TcpStream, patience: Duration) -> bool {
    stream
        .set_read_timeout(Some(patience))
        .expect("it can be set");
    let response = read_response(stream);
    prepare(stream);
    response.is_some_and(|response| response.status == 200)
}

/// Connects and asks, whether or not there is somebody to answer.
fn knock(server: &Server) -> TcpStream {
    let mut stream = server.connect();
    stream.write_all(HEALTH).expect("the kernel takes it");
    stream
}

const A_MOMENT: Duration = Duration::from_millis(300);

/// Fails if a server of which nothing is asked does something all the same.
#[track_caller]
fn rests(server: &Server) {
    let used = server.cpu();
    thread::sleep(Duration::from_secs(1));
    let used = server.cpu().saturating_sub(used);
    assert!(
        used < Duration::from_millis(300),
        "it spins: {used:?} in 1 s"
    );
}

/// A server under `ulimit -n`.
fn with_descriptors(program: &str, limit: usize, flags: &[&str]) -> Server {
    let script = format!("ulimit -n {limit} && exec \"$0\" \"$@\"");
    let wrapper = ["sh", "-c", &script];
    Server::start_under(&wrapper, program, Arc::new(directory()), flags)
}

#[test]
fn connections_beyond_the_limit_wait_their_turn() {
    let server = Server::start(HTTP, &["--max-connections=3"]);
    let mut inside: Vec<_> = (0..3).map(|_| knock(&server)).collect();
    for stream in &mut inside {
        assert!(is_served(stream, support::ANSWER_TIMEOUT));
    }
    let mut waiting = knock(&server);
    assert!(!is_served(&mut waiting, A_MOMENT));
    for stream in &mut inside {
        stream.write_all(HEALTH).expect("it reads");
        assert!(
            is_served(stream, support::ANSWER_TIMEOUT),
            "the others go on"
        );
    }
    inside.pop();
    assert!(is_served(&mut waiting, support::ANSWER_TIMEOUT));
}

/// Clients cannot take the descriptors that the ledger needs: in this mode every COMMIT opens
/// a journal.
#[test]
fn case_29_clients_leave_descriptors_for_the_ledger() {
    const LIMIT: usize = 80;
    let server = with_descriptors(HTTP, LIMIT, &["--durability=delete-full"]);
    let said = server.said();
    assert!(said.contains("at most 32 connections"), "{said}");
    let mut inside: Vec<_> = (0..LIMIT - SPARE).map(|_| knock(&server)).collect();
    for stream in &mut inside {
        assert!(is_served(stream, support::ANSWER_TIMEOUT));
    }
    let mut waiting: Vec<_> = (0..LIMIT).map(|_| knock(&server)).collect();
    for _ in 0..20 {
        let answer = post(&mut inside[0], transfer("1").as_bytes());
        assert_eq!(answer.json(), json!({"ok": true}));
    }
    rests(&server);
    assert!(!is_served(&mut waiting[0], A_MOMENT));
    drop(inside);
    for stream in waiting.iter_mut().take(LIMIT - SPARE) {
        assert!(is_served(stream, support::ANSWER_TIMEOUT), "it recovers");
    }
}

/// Descriptors that run out all the same, here because the limit falls under a running server:
/// accepting fails, the server rests and tries again.
#[test]
fn case_29_a_server_out_of_descriptors_neither_spins_nor_dies_and_recovers() {
    const NAME: &str = "connections::\
        case_29_a_server_out_of_descriptors_neither_spins_nor_dies_and_recovers";
    if !works(&["prlimit", "--version"]) {
        return skip(NAME, "there is no prlimit");
    }
    let server = Server::http();
    let limit = |files: usize| {
        let done = Command::new("prlimit")
            .args(["--pid", &server.child.id().to_string()])
            .arg(format!("--nofile={files}:"))
            .status();
        assert!(
            done.expect("it starts").success(),
            "prlimit works on a child"
        );
    };
    let mut inside = knock(&server);
    assert!(is_served(&mut inside, support::ANSWER_TIMEOUT));
    let open = server.descriptors();
    // Until there is nothing in between that is free.
    limit(server.next_descriptor());
    let mut waiting: Vec<_> = (0..10).map(|_| knock(&server)).collect();
    assert!(
        !is_served(&mut waiting[0], A_MOMENT),
        "there is no descriptor left"
    );
    let used = server.cpu();
    let until = Instant::now() + Duration::from_secs(2);
    let mut answered = 0;
    while Instant::now() < until {
        let answer = post(&mut inside, transfer("1").as_bytes());
        assert_eq!(answer.json(), json!({"ok": true}));
        answered += 1;
        thread::sleep(Duration::from_millis(100));
    }
    let used = server.cpu().saturating_sub(used);
    assert!(answered >= 5, "those that are connected are served");
    assert!(
        used < Duration::from_millis(600),
        "it spins: {used:?} in 2 s"
    );
    assert_eq!(server.descriptors(), open);
    limit(4096);
    for stream in &mut waiting {
        assert!(is_served(stream, support::ANSWER_TIMEOUT), "it recovers");
    }
}

/// Where the server of a test is, in the process that holds connections for it.
const HELD_AT: &str = "BUSLOAD_HELD_AT";
/// How many it is to hold.
const HELD: &str = "BUSLOAD_HELD";

/// Connections that another process has open: this test, run again, for what its own limit of
/// descriptors has no room for. They are closed when this is dropped.
struct Elsewhere(Child);

impl Elsewhere {
    /// Makes `count` connections that were served.
    fn hold(name: &str, server: &Server, count: usize) -> Self {
        let itself = std::env::current_exe().expect("the test knows its own path");
        let mut child = Command::new(itself)
            .args(["--exact", name, "--nocapture"])
            .env(HELD_AT, server.address.to_string())
            .env(HELD, count.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let stdout = child.stdout.take().expect("it is piped");
        let mut lines = BufReader::new(stdout).lines();
        let done = lines.any(|line| line.expect("text").ends_with("all are served"));
        assert!(done, "as many as it was told to make");
        Self(child)
    }

    /// What the other process does; whether this is it.
    fn is_here() -> bool {
        let (Ok(address), Ok(count)) = (std::env::var(HELD_AT), std::env::var(HELD)) else {
            return false;
        };
        let count = count.parse().expect("a number");
        let mut streams = Vec::new();
        while streams.len() < count {
            let mut stream = TcpStream::connect(&address).expect("it listens");
            prepare(&stream);
            stream.write_all(HEALTH).expect("the kernel takes it");
            assert!(is_served(&mut stream, support::ANSWER_TIMEOUT));
            streams.push(stream);
        }
        let mut stdout = std::io::stdout();
        stdout
            .write_all(b"all are served\n")
            .and_then(|()| stdout.flush())
            .expect("somebody reads it");
        // Until the other end is closed.
        let _ = std::io::stdin().read(&mut [0]);
        true
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// As many connections as this machine's limit allows, up to 20,000. In full size there must be
/// 20,000, the last of which wait when the limit has room for fewer.
#[test]
fn case_29_as_many_connections_as_there_are_descriptors() {
    const NAME: &str = "case_29_as_many_connections_as_there_are_descriptors";
    const MOST: usize = 20_000;
    /// For what the test itself has open, and for the connections that are too many.
    const OWN: usize = 300;
    const BEYOND: usize = 50;
    /// Of a connection at rest, with room for what the allocator keeps.
    const KIB_PER_CONNECTION: u64 = 26;
    if Elsewhere::is_here() {
        return;
    }
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("there is a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("it can be raised to the hard one");
    let hard = usize::try_from(hard).expect("it fits");
    let own = hard - OWN;
    let limit = if is_full_size() {
        hard.min(MOST + SPARE)
    } else {
        own.min(MOST)
    };
    let flags = ["--max-connections=1000000", "--idle-timeout=1h"];
    let server = with_descriptors(HTTP, limit, &flags);
    let peak = server.peak_kib();
    let connections = limit - SPARE;
    let held = connections.saturating_sub(own);
    let elsewhere = (held > 0).then(|| Elsewhere::hold(NAME, &server, held));
    let mut streams = Vec::new();
    for _ in held..connections {
        streams.push(knock(&server));
        // No faster than they are accepted: the backlog is short.
        if streams.len() % 50 == 0 {
            let last = streams.last_mut().expect("there is one");
            assert!(is_served(last, support::ANSWER_TIMEOUT));
            last.write_all(HEALTH).expect("it reads");
        }
    }
    for stream in &mut streams {
        assert!(is_served(stream, support::ANSWER_TIMEOUT));
    }
    let grown = server.peak_kib().saturating_sub(peak);
    let bound = KIB_PER_CONNECTION * connections as u64;
    assert!(grown < bound, "memory grew by {grown} KiB of {bound}");
    let mut waiting: Vec<_> = (0..BEYOND).map(|_| knock(&server)).collect();
    let made = held + streams.len() + waiting.len();
    tell(
        &format!("connections::{NAME}"),
        &format!("{made} connections, {connections} of them served, {limit} descriptors"),
    );
    assert!(
        !is_full_size() || made >= MOST,
        "{made} connections are not {MOST}: raise the hard limit of open files"
    );
    assert!(!is_served(&mut waiting[0], A_MOMENT));
    rests(&server);
    let answer = post(&mut streams[0], transfer("1").as_bytes());
    assert_eq!(answer.json(), json!({"ok": true}));
    drop((streams, elsewhere));
    for stream in &mut waiting {
        assert!(is_served(stream, support::ANSWER_TIMEOUT), "it recovers");
    }
    eventually("the descriptors are free", || {
        server.descriptors() < SPARE + BEYOND
    });
}

/// The peer throws the connection away with a reset, at any moment after sending.
#[test]
fn case_31_a_reset_after_sending_means_applied_or_not_and_never_half() {
    const ROUNDS: usize = 45;
    /// Of one connection, all from the same payer to the same receiver.
    const TRANSFERS: i64 = 20;
    for program in [HTTP, WS] {
        let server = Server::start(program, &[]);
        let before = books(&server)["total"].clone();
        for round in (0..).take(ROUNDS) {
            let (payer, receiver) = (2 * round, 2 * round + 1);
            let mut stream = if server.is_ws {
                socket(&server)
            } else {
                server.connect()
            };
            for id in 0..TRANSFERS {
                let request = transfer_between(id.unsigned_abs(), payer, receiver);
                let bytes = if server.is_ws {
                    frame(FIN | TEXT, request.as_bytes())
                } else {
                    http_request(&request)
                };
                stream.write_all(&bytes).expect("it reads");
            }
            // From not at all to long enough for some of them.
            thread::sleep(Duration::from_micros(100 * round));
            let linger = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            linger.expect("it can be set");
        }
        // The last ones are still on their way through the queue, which `balances` waits for
        // only when they are in it.
        thread::sleep(Duration::from_millis(200));
        let balances = balances(&server);
        let mut applied = 0;
        for pair in balances.chunks(2).take(ROUNDS) {
            let (paid, received) = (INITIAL_BALANCE - pair[0], pair[1] - INITIAL_BALANCE);
            assert_eq!(paid, received, "never half");
            assert!((0..=TRANSFERS).contains(&paid), "never twice: {paid}");
            applied += paid;
        }
        assert!(applied > 0, "some had come through");
        assert_eq!(books(&server)["total"], before);
        if server.is_ws {
            let health = b"{\"id\":1,\"name\":\"health\"}";
            assert_eq!(ask(&mut socket(&server), health)["ok"], true);
        }
        eventually("their descriptors are free", || {
            server.descriptors() < SPARE
        });
        assert!(server.resident_kib() < server.peak_kib() + FLAT_KIB);
    }
}
