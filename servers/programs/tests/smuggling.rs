//! Requests whose end can be read in two ways, and what is no HTTP at all: refused or read in
//! one way, the connection closed, and whatever was hidden behind them never run.
//!
//! Each attack has a *carrier*, a transfer of 1 from account 0 to 1, and a *stowaway*, a whole
//! request that moves 1 from account 2 to 3. All balances are compared, so that neither an answer
//! nor its absence is taken for proof.

#![cfg(target_os = "linux")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use support::{
    FIN, INITIAL_BALANCE, Response, Server, TEXT, balances, frame, http_request, post,
    read_response, transfer_between, upgrade,
};

const HEAD: &str = "POST /rpc HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";

/// The body of the carrier.
fn carrier() -> String {
    transfer_between(1, 0, 1)
}

/// The carrier as it should be sent.
fn carrier_request() -> String {
    String::from_utf8(http_request(carrier())).expect("it is text")
}

/// What follows the first line of it.
fn carrier_tail() -> String {
    let request = carrier_request();
    let (_, tail) = request.split_once("\r\n").expect("it has lines");
    tail.to_owned()
}

/// A request that must never run.
fn stowaway() -> String {
    String::from_utf8(http_request(transfer_between(2, 2, 3))).expect("it is text")
}

/// The carrier as chunks.
fn chunked() -> String {
    let body = carrier();
    format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
}

/// The balances after so many transfers from account 0 to 1 and nothing else.
fn after(carriers: i64) -> Vec<i64> {
    let mut balances = vec![INITIAL_BALANCE; 100];
    balances[0] -= carriers;
    balances[1] += carriers;
    balances
}

/// Sends bytes and reads until the server closes the connection: this end never does.
fn until_closed(what: &str, mut stream: TcpStream, bytes: &[u8]) -> Vec<Response> {
    // It may be closed before all of it is written; what was answered before a reset counts.
    let _ = stream.write_all(bytes);
    let mut received = Vec::new();
    if let Err(error) = stream.read_to_end(&mut received) {
        use std::io::ErrorKind::{TimedOut, WouldBlock};
        assert!(
            ![TimedOut, WouldBlock].contains(&error.kind()),
            "{what}: it was not closed, after {:?}",
            String::from_utf8_lossy(&received)
        );
    }
    let mut rest = &received[..];
    let mut responses = Vec::new();
    while let Some(response) = read_response(&mut rest) {
        responses.push(response);
    }
    assert!(rest.is_empty(), "{what}: half an answer");
    responses
}

fn statuses(responses: &[Response]) -> Vec<u16> {
    responses.iter().map(|response| response.status).collect()
}

/// Each case is refused with one answer, the connection closed, nothing applied.
fn refuses(server: &Server, cases: &[(&str, String)]) {
    for (what, request) in cases {
        let bytes = [request, &stowaway()[..]].concat();
        let responses = until_closed(what, server.connect(), bytes.as_bytes());
        let statuses = statuses(&responses);
        assert!(
            matches!(statuses[..], [400 | 413 | 414 | 431]),
            "{what}: {statuses:?}"
        );
        assert_eq!(balances(server), after(0), "{what}");
    }
}

/// The request, sent so many times at once, is served each time.
#[track_caller]
fn serves(stream: &mut TcpStream, request: &str, times: usize) {
    stream
        .write_all(request.repeat(times).as_bytes())
        .expect("it reads");
    for _ in 0..times {
        assert_eq!(read_response(stream).map(|it| it.status), Some(200));
    }
}

/// Of two lengths the chunks count (RFC 9112, 6.1), and the connection ends with that request.
#[test]
fn case_23_with_a_length_and_chunks_nothing_follows() {
    let server = Server::http();
    let (good, chunked) = (carrier(), chunked());
    let all = chunked.len() + stowaway().len();
    let te = "transfer-encoding: chunked\r\n";
    let cl = |length: usize| format!("content-length: {length}\r\n");
    let mut applied = 0;
    for (what, headers, body, runs) in [
        (
            "length, then chunks",
            cl(chunked.len()) + te,
            &chunked[..],
            true,
        ),
        (
            "chunks, then length",
            te.to_owned() + &cl(chunked.len()),
            &chunked,
            true,
        ),
        (
            "a length that covers the stowaway",
            cl(all) + te,
            &chunked,
            true,
        ),
        (
            "the same the other way round",
            te.to_owned() + &cl(all),
            &chunked,
            true,
        ),
        (
            "a length that is too short",
            te.to_owned() + &cl(4),
            &chunked,
            true,
        ),
        ("a length of nothing", cl(0) + te, &chunked, true),
        (
            "two lengths and chunks",
            cl(5) + &cl(6) + te,
            &chunked,
            false,
        ),
        ("no chunks", cl(all) + te, "0\r\n\r\n", false),
        ("a body of the length", cl(good.len()) + te, &good, false),
        (
            "chunked in capitals",
            cl(all) + "Transfer-Encoding: CHUNKED\r\n",
            &chunked,
            true,
        ),
        (
            "chunked by a bare line feed",
            cl(all) + "x: y\ntransfer-encoding: chunked\r\n",
            &chunked,
            true,
        ),
    ] {
        let bytes = format!("{HEAD}{headers}\r\n{body}{}", stowaway());
        let responses = until_closed(what, server.connect(), bytes.as_bytes());
        let expected = if runs { [200] } else { [400] };
        assert_eq!(statuses(&responses), expected, "{what}");
        applied += i64::from(runs);
        assert_eq!(balances(&server), after(applied), "{what}");
    }
}

#[test]
fn case_23_lengths_that_are_none() {
    let server = Server::http();
    let (good, length) = (carrier(), carrier().len());
    let cases = [
        "+5",
        "-5",
        "0x5",
        "5 5",
        "5,5",
        "5;",
        "5.0",
        "",
        "five",
        "\u{662}",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999999999",
    ]
    .map(|value| {
        (
            value,
            format!("{HEAD}content-length: {value}\r\n\r\n{good}"),
        )
    });
    refuses(&server, &cases);
    let differing = [(length, length + 1), (length + 1, length), (0, length)].map(|(one, two)| {
        let lengths = format!("content-length: {one}\r\ncontent-length: {two}\r\n");
        ("two that differ", format!("{HEAD}{lengths}\r\n{good}"))
    });
    refuses(&server, &differing);
}

/// Two lengths that agree are one (RFC 9110, 8.6), and leave the connection as it was.
#[test]
fn two_equal_lengths_are_one() {
    let server = Server::http();
    let mut stream = server.connect();
    let length = format!("content-length: {}\r\n", carrier().len());
    let request = format!("{HEAD}{length}{length}\r\n{}", carrier());
    serves(&mut stream, &request, 2);
    assert_eq!(post(&mut stream, carrier().as_bytes()).status, 200);
    assert_eq!(balances(&server), after(3));
}

#[test]
fn codings_that_are_not_chunked() {
    let server = Server::http();
    let length = format!("content-length: {}\r\n", carrier().len());
    let mut cases = Vec::new();
    for (what, header) in [
        ("unknown", "transfer-encoding: xchunked"),
        ("identity", "transfer-encoding: identity"),
        ("not last", "transfer-encoding: chunked, identity"),
        ("in quotes", "transfer-encoding: \"chunked\""),
        ("empty", "transfer-encoding:"),
        ("vertical tab", "transfer-encoding: \x0bchunked"),
        ("form feed after it", "transfer-encoding: chunked\x0c"),
        (
            "two lines, chunked first",
            "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        ),
        ("space before the colon", "transfer-encoding : chunked"),
        ("tab before the colon", "transfer-encoding\t: chunked"),
        ("folded", "transfer-encoding:\r\n chunked"),
        (
            "first line folded away",
            "x: y\r\n transfer-encoding: chunked",
        ),
        ("name with NUL", "transfer-encoding\0: chunked"),
        ("carriage return", "x: y\rtransfer-encoding: chunked"),
    ] {
        cases.push((what, format!("{HEAD}{header}\r\n\r\n{}", chunked())));
        cases.push((what, format!("{HEAD}{length}{header}\r\n\r\n{}", carrier())));
    }
    let old = HEAD.replace("HTTP/1.1", "HTTP/1.0");
    cases.push((
        "HTTP/1.0",
        format!("{old}transfer-encoding: chunked\r\n\r\n{}", chunked()),
    ));
    refuses(&server, &cases);
}

#[test]
fn case_23_chunks_that_are_none() {
    let server = Server::http();
    let (good, size) = (carrier(), format!("{:x}", carrier().len()));
    let end = "\r\n0\r\n\r\n";
    let long_extension = format!("{size};{}\r\n{good}{end}", "x".repeat(20_000));
    let trailers = format!("{size}\r\n{good}\r\n0\r\n{}", "x: y\r\n".repeat(50_000));
    let cases = [
        ("empty size", format!("\r\n{good}{end}")),
        ("negative", format!("-{size}\r\n{good}{end}")),
        ("with a sign", format!("+{size}\r\n{good}{end}")),
        ("prefixed", format!("0x{size}\r\n{good}{end}")),
        ("space before", format!(" {size}\r\n{good}{end}")),
        ("two numbers", format!("{size} {size}\r\n{good}{end}")),
        ("no digit", format!("g\r\n{good}{end}")),
        ("65 bits", format!("1{:016x}\r\n{good}{end}", good.len())),
        ("size by a line feed", format!("{size}\n{good}{end}")),
        (
            "extension by a line feed",
            format!("{size};a\nb\r\n{good}{end}"),
        ),
        ("size by a carriage return", format!("{size}\r{good}{end}")),
        ("no end of data", format!("{size}\r\n{good}0\r\n\r\n")),
        ("data too long", format!("{size}\r\n{good}x{end}")),
        (
            "data by a line feed",
            format!("{size}\r\n{good}\n0\r\n\r\n"),
        ),
        ("long extension", long_extension),
        ("endless trailers", trailers),
    ]
    .map(|(what, body)| {
        let head = format!("{HEAD}transfer-encoding: chunked\r\n\r\n");
        (what, head + &body)
    });
    refuses(&server, &cases);
}

#[test]
fn case_23_headers_that_are_none() {
    let server = Server::http();
    let tail = format!("content-length: {}\r\n\r\n{}", carrier().len(), carrier());
    let mut cases: Vec<_> = [
        ("space before the colon", "x : y\r\n"),
        ("space in a name", "x y: z\r\n"),
        ("no colon", "nonsense\r\n"),
        ("no name", ": y\r\n"),
        ("folded", "x: y\r\n z\r\n"),
        ("folded by a tab", "x: y\r\n\tz\r\n"),
        ("NUL in a value", "x: y\0z\r\n"),
        ("NUL in a name", "x\0: y\r\n"),
        ("bell in a value", "x: \x07\r\n"),
        ("carriage return in a value", "x: y\rz\r\n"),
        ("carriage return before the end", "x: y\r\r\n"),
        ("not ASCII in a name", "\u{e9}: y\r\n"),
    ]
    .map(|(what, header)| (what, format!("{HEAD}{header}{tail}")))
    .into();
    let many = "x: y\r\n".repeat(101);
    cases.push(("more than 100", format!("{HEAD}{many}{tail}")));
    let long = format!("x: {}\r\n", "y".repeat(1 << 20));
    cases.push(("1 MiB", format!("{HEAD}{long}{tail}")));
    let first = HEAD.replace("\r\nhost", "\r\n host");
    cases.push(("the first folded", format!("{first}{tail}")));
    refuses(&server, &cases);
    // One fewer is served.
    let enough = "x: y\r\n".repeat(96);
    let request = format!("{HEAD}{enough}{tail}");
    serves(&mut server.connect(), &request, 1);
}

#[test]
fn request_lines_that_are_none() {
    let server = Server::http();
    let rest = carrier_tail();
    let huge = format!("POST /rpc?{} HTTP/1.1", "x".repeat(70_000));
    let huger = format!("POST /rpc?{} HTTP/1.1", "x".repeat(1 << 20));
    let cases = [
        ("two spaces", "POST  /rpc HTTP/1.1"),
        ("a tab", "POST\t/rpc HTTP/1.1"),
        ("a space in the path", "POST /rpc /rpc HTTP/1.1"),
        ("NUL in the path", "POST /rpc\0 HTTP/1.1"),
        ("no version", "POST /rpc"),
        ("no path", "POST HTTP/1.1"),
        ("HTTP/1.2", "POST /rpc HTTP/1.2"),
        ("HTTP/0.9", "POST /rpc HTTP/0.9"),
        ("small letters", "POST /rpc http/1.1"),
        ("another protocol", "POST /rpc RTSP/1.1"),
        ("brackets in the method", "P(ST /rpc HTTP/1.1"),
        ("TLS", "\x16\x03\x01\x02\0\x01\0\x01"),
        ("70 kB", &huge),
        ("1 MiB", &huger),
    ]
    .map(|(what, line)| (what, format!("{line}\r\n{rest}")));
    refuses(&server, &cases);
}

/// Closed, perhaps without a word: it would be a word of HTTP/1.1.
#[test]
fn http_2_is_not_spoken() {
    for server in [Server::http(), Server::ws()] {
        let settings = "\0\0\0\x04\0\0\0\0\0";
        for (what, start) in [
            ("preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
            ("version", "POST /rpc HTTP/2.0\r\n\r\n"),
        ] {
            let bytes = [start, settings, &stowaway()].concat();
            let responses = until_closed(what, server.connect(), bytes.as_bytes());
            let statuses = statuses(&responses);
            assert!(matches!(statuses[..], [] | [400]), "{what}: {statuses:?}");
        }
        // Asked for politely it is declined.
        let upgrade = "GET /health HTTP/1.1\r\nhost: x\r\nconnection: Upgrade, HTTP2-Settings, \
                       close\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n";
        let responses = until_closed("h2c", server.connect(), upgrade.as_bytes());
        assert_eq!(statuses(&responses), [200]);
        assert_eq!(balances(&server), after(0));
    }
}

/// Lines may end with a line feed alone (RFC 9112, 2.2): read as if they ended as they should.
#[test]
fn bare_line_feeds_end_lines_and_hide_nothing() {
    let server = Server::http();
    let length = carrier().len();
    let request = format!("{HEAD}content-length: {length}\r\n\r\n").replace('\r', "") + &carrier();
    serves(&mut server.connect(), &request, 2);
    assert_eq!(balances(&server), after(2));
}

/// The whole URL instead of the path, which every server must understand (RFC 9112, 3.2.2).
#[test]
fn absolute_form_is_a_path() {
    let server = Server::http();
    let tail = carrier_tail();
    let mut stream = server.connect();
    for (target, status) in [
        ("http://x/rpc", 200),
        ("http://another:1/rpc?a=b", 200),
        // What the target names goes before the header, and is no name of this machine.
        ("http://another.example:1/rpc", 403),
        ("http://x/other/rpc", 404),
        ("http://x", 404),
        ("http:///rpc", 400),
    ] {
        let request = format!("POST {target} HTTP/1.1\r\n{tail}");
        stream.write_all(request.as_bytes()).expect("it reads");
        let response = read_response(&mut stream).expect("an answer");
        assert_eq!(response.status, status, "{target}");
    }
    assert_eq!(balances(&server), after(2));
}

/// HTTP/1.0 ends with its answer: what follows is not looked at.
#[test]
fn nothing_follows_http_1_0() {
    let server = Server::http();
    let old = carrier_request().replace("HTTP/1.1", "HTTP/1.0");
    let responses = until_closed("1.0", server.connect(), (old + &stowaway()).as_bytes());
    assert_eq!(statuses(&responses), [200]);
    assert_eq!(balances(&server), after(1));
}

/// What follows a body is a request of its own, and when it is none, the last.
#[test]
fn garbage_after_a_body() {
    let server = Server::http();
    let good = carrier_request();
    for (carriers, garbage) in (1..).zip(["}", "\0", "x: y\r\n", "\x16\x03\x01", "0\r\n\r\n"]) {
        let bytes = format!("{good}{garbage}\r\n\r\n{}", stowaway());
        let responses = until_closed(garbage, server.connect(), bytes.as_bytes());
        assert_eq!(statuses(&responses), [200, 400], "{garbage:?}");
        assert_eq!(balances(&server), after(carriers), "{garbage:?}");
    }
}

/// The body of a request that is refused for its path, its type or its size is not taken for the
/// next request.
#[test]
fn the_body_of_a_refused_request_is_no_request() {
    let hidden = stowaway();
    let length = format!("content-length: {}\r\n\r\n{hidden}", hidden.len());
    let chunks = format!(
        "transfer-encoding: chunked\r\n\r\n{:x}\r\n{hidden}\r\n0\r\n\r\n",
        hidden.len()
    );
    let large = "x".repeat(100_000);
    let oversize = format!(
        "content-length: {}\r\n\r\n{large}{hidden}",
        large.len() + hidden.len()
    );
    let last = "GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    for server in [Server::http(), Server::ws()] {
        for line in [
            "POST /nope",
            "PUT /rpc",
            "GET /rpc",
            "GET /health",
            "GET /metrics",
            "POST /rpc",
            "OPTIONS *",
        ] {
            for body in [&length, &chunks, &oversize] {
                let bytes = format!(
                    "{line} HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\n{body}{last}"
                );
                let responses = until_closed(line, server.connect(), bytes.as_bytes());
                let statuses = statuses(&responses);
                // It reads on behind the body, or hangs up.
                assert!(
                    matches!(statuses[..], [_] | [_, 200]),
                    "{line}: {statuses:?}"
                );
                assert_eq!(balances(&server), after(0), "{line}");
            }
        }
    }
}

/// A request that asks for a WebSocket and has a body: to a proxy the body is a body, to a server
/// that looks away it would be frames.
#[test]
fn an_upgrade_with_a_body_is_refused() {
    let server = Server::ws();
    let hidden = frame(FIN | TEXT, transfer_between(2, 2, 3).as_bytes());
    let handshake = "GET /rpc HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
                     sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n";
    let length = format!("content-length: {}\r\n\r\n", hidden.len());
    let size = format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n", hidden.len());
    for (what, start, end) in [
        ("length", &length[..], &b""[..]),
        ("chunks", &size, b"\r\n0\r\n\r\n"),
        (
            "chunked nothing",
            "transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            b"",
        ),
        ("half of it", "content-length: 1000000\r\n\r\n", b""),
        (
            "both",
            "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            b"",
        ),
        ("half of the frame", "content-length: 10\r\n\r\n", b""),
    ] {
        let bytes = [handshake.as_bytes(), start.as_bytes(), &hidden, end].concat();
        let responses = until_closed(what, server.connect(), &bytes);
        assert_eq!(statuses(&responses), [400], "{what}");
        assert_eq!(balances(&server), after(0), "{what}");
    }
    // A body of no bytes is none.
    assert_eq!(
        upgrade(&server, "/rpc", "content-length: 0\r\n").1.status,
        101
    );
    // Nothing of HTTP is read behind a handshake.
    let bytes = format!("{handshake}\r\n{}", stowaway());
    let mut stream = server.connect();
    stream.write_all(bytes.as_bytes()).expect("it reads");
    let mut received = Vec::new();
    let _ = stream.read_to_end(&mut received);
    assert!(received.starts_with(b"HTTP/1.1 101"));
    assert!(
        received.ends_with(&[0x88, 2, 0x03, 0xEA]),
        "closed with 1002"
    );
    // On a server that upgrades nothing the header means nothing.
    let server = Server::http();
    let request = carrier_request().replace(
        "\r\nhost",
        "\r\nconnection: Upgrade, close\r\nupgrade: websocket\r\nhost",
    );
    let responses = until_closed("HTTP server", server.connect(), request.as_bytes());
    assert_eq!(statuses(&responses), [200]);
    assert_eq!(balances(&server), after(1));
}
