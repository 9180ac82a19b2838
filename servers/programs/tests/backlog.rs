//! Connections that come all at once, and where those are counted that find no room.
//!
//! A program of its own: next door all descriptors that there are get used up.

#![cfg(target_os = "linux")]

mod support;

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use support::{HTTP, Server, counters, read_response, skip};

/// As many connections as a load generator opens at once find room in the backlog while the
/// server does something else.
#[test]
fn thousands_of_connections_at_once_find_room_in_the_backlog() {
    const AT_ONCE: usize = 2000;
    let name = "backlog::thousands_of_connections_at_once_find_room_in_the_backlog";
    let allowed = std::fs::read_to_string("/proc/sys/net/core/somaxconn").expect("it is told");
    if allowed.trim().parse::<usize>().expect("a number") < AT_ONCE {
        return skip(name, "net.core.somaxconn is lower");
    }
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("it is told");
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("it can be raised");
    }
    if hard < 2 * AT_ONCE as u64 {
        return skip(name, "too few files may be open");
    }
    let server = Server::http();
    server.signal(Signal::SIGSTOP);
    // A handshake that finds no room is repeated after a second.
    let patience = Duration::from_millis(900);
    let streams: Vec<_> = (0..AT_ONCE)
        .map(|_| TcpStream::connect_timeout(&server.address, patience).expect("there is room"))
        .collect();
    server.signal(Signal::SIGCONT);
    let overflows = counters(&server)["network"]["listen_overflows"].as_u64();
    drop(streams);
    assert!(overflows.is_some(), "they are counted");
}

/// With a backlog that is too short, they are counted, for whoever looks.
#[test]
fn connections_that_find_no_room_in_the_backlog_are_counted() {
    let server = Server::start(HTTP, &["--listen-backlog=2"]);
    server.signal(Signal::SIGSTOP);
    let patience = Duration::from_millis(200);
    let connect = || TcpStream::connect_timeout(&server.address, patience);
    let streams: Vec<_> = (0..8).filter_map(|_| connect().ok()).collect();
    server.signal(Signal::SIGCONT);
    assert!(streams.len() < 8, "there is no room for all");
    let overflows = counters(&server)["network"]["listen_overflows"].as_u64();
    assert!(overflows.expect("they are counted") > 0);
    let mut probe = server.connect();
    probe
        .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
        .expect("it reads");
    let metrics = read_response(&mut probe).expect("metrics").body;
    let metrics = String::from_utf8(metrics).expect("text");
    let counted = metrics
        .lines()
        .find_map(|line| line.strip_prefix("busload_listen_overflows_total "));
    assert!(counted.expect("a metric").parse::<u64>().expect("a count") > 0);
}
