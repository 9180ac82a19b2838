//! What a server does with what it should never have been sent: every malformed request gets
//! its error code, the ledger stays as it was, memory stays flat, the others are served.
//!
//! Everything is written to bare sockets: a client library would refuse to be this wrong.

#![cfg(target_os = "linux")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::thread;

use serde_json::{Value, json};
use support::{
    BINARY, CLOSE, FIN, FLAT_KIB, HTTP, PING, PONG, Server, TEXT, WS, ask, binary_socket, books,
    close_code, frame, header, http_request, post, read_answer, read_frame, read_head,
    read_response, socket, transfer, transfer_between, upgrade,
};

/// Texts that are no request.
const INVALID: &[&str] = &[
    "",
    " ",
    "{",
    "}",
    "[]",
    "[1,2]",
    "null",
    "true",
    "1",
    "\"transfer\"",
    "{}",
    "nonsense",
    "{\"name\":1}",
    "{\"name\":null}",
    "{\"name\":[\"transfer\"]}",
    "{\"name\":\"transfer\"}",
    "{'name':'health'}",
    "{\"name\":\"health\"",
    "{\"name\":\"health\"}}",
    "{\"name\":\"health\"} x",
    "{\"name\":\"health\",}",
    "{\"name\":\"health\",\"args\":7}",
    "{\"name\":\"transfer\",\"args\":null}",
    "{\"name\":\"transfer\",\"args\":{}}",
    "{\"name\":\"transfer\",\"args\":[0,1,5]}",
    "{\"name\":\"transfer\",\"args\":\"0,1,5\"}",
    "{\"name\":\"health\",\"name\":\"transfer\",\"args\":{\"from_id\":0,\"to_id\":1,\"amount\":1}}",
    "{\"name\":\"transfer\",\"args\":{\"from_id\":0,\"to_id\":1,\"amount\":1,\"amount\":2}}",
    "{\"name\":\"transfer\",\"args\":{\"from_id\":0,\"from\":3,\"to_id\":1,\"amount\":1}}",
    "{\"name\":\"transfer\",\"args\":{\"from_id\":0,\"to_id\":1,\"amount\":1},\"args\":{}}",
    "{\"name\":\"transfer\",\"args\":{\"from_id\":0,\"amount\":1}}",
    "{\"name\":\"transfer\",\"args\":{\"from_id\":\"0\",\"to_id\":1,\"amount\":1}}",
    "{\"name\":\"transfer\",\"args\":{\"from_id\":0.0,\"to_id\":1,\"amount\":1}}",
    "{\"name\":\"getAccount\"}",
    "{\"name\":\"getAccount\",\"args\":{\"id\":\"1\"}}",
    "{\"name\":\"getAccount\",\"args\":{\"id\":1.5}}",
    "{\"name\":\"seed\"}",
    "{\"name\":\"seed\",\"args\":{\"accounts\":10}}",
    "{\"name\":\"seed\",\"args\":{\"accounts\":1,\"initialBalance\":5}}",
    "{\"name\":\"seed\",\"args\":{\"accounts\":0,\"initialBalance\":5}}",
    "{\"name\":\"seed\",\"args\":{\"accounts\":-4,\"initialBalance\":5}}",
    "{\"name\":\"seed\",\"args\":{\"accounts\":10000001,\"initialBalance\":5}}",
    "{\"name\":\"seed\",\"args\":{\"accounts\":10,\"initialBalance\":-5}}",
    "{\"name\":\"seed\",\"args\":{\"accounts\":10,\"initialBalance\":\"many\"}}",
    "{\"name\":\"stats\",\"args\":{\"balances\":\"yes\"}}",
];

/// Amounts that are no integers of 64 bits.
const NO_AMOUNTS: &[&str] = &[
    "9223372036854775808",
    "1e3",
    "1.0",
    "0.5",
    "\"1\"",
    "null",
    "true",
    "NaN",
    "-",
    "0x10",
    "01",
    "[1]",
    "{}",
    "99999999999999999999999999999999999999999999",
];

/// Requests that are JSON objects or nearly so, each with its error code.
fn malformed() -> Vec<(String, &'static str)> {
    let mut cases: Vec<_> = INVALID
        .iter()
        .map(|text| ((*text).to_owned(), "invalid_request"))
        .collect();
    cases.extend(
        NO_AMOUNTS
            .iter()
            .map(|amount| (transfer(amount), "invalid_request")),
    );
    cases.push((
        format!("{{\"name\":{}", "[".repeat(10_000)),
        "invalid_request",
    ));
    let args = format!(
        "{{\"amount\":{}1{}}}",
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    cases.push((
        format!("{{\"name\":\"transfer\",\"args\":{args}}}"),
        "invalid_request",
    ));
    cases.extend(["0", "-1", "-9223372036854775808"].map(|n| (transfer(n), "invalid_transfer")));
    let pair = |from: i64, to: i64| {
        format!(
            "{{\"name\":\"transfer\",\"args\":{{\"from_id\":{from},\"to_id\":{to},\"amount\":1}}}}"
        )
    };
    cases.push((pair(5, 5), "invalid_transfer"));
    cases.push((pair(500, 500), "invalid_transfer"));
    for (from, to) in [(0, 100), (100, 0), (-1, 0), (0, i64::MIN), (i64::MAX, 0)] {
        cases.push((pair(from, to), "account_missing"));
    }
    cases.push((transfer("10000001"), "insufficient_funds"));
    cases.push((transfer("9223372036854775807"), "insufficient_funds"));
    for name in [
        "",
        "no_such_method",
        "Transfer",
        "transfer ",
        "getaccount",
        "\\u0000",
    ] {
        cases.push((
            format!("{{\"name\":\"{name}\",\"args\":{{}}}}"),
            "unknown_method",
        ));
    }
    cases
}

fn status_of(code: &str) -> u16 {
    match code {
        "invalid_request" | "invalid_transfer" => 400,
        "account_missing" | "unknown_method" => 404,
        "insufficient_funds" | "balance_overflow" | "conflict" => 409,
        "too_large" => 413,
        other => panic!("no status for {other}"),
    }
}

#[test]
fn malformed_requests_over_http() {
    let server = Server::http();
    let before = books(&server);
    let mut stream = server.connect();
    for (body, code) in malformed() {
        let shown = &body[..body.len().min(100)];
        let response = post(&mut stream, body.as_bytes());
        assert_eq!(
            response.json(),
            json!({"ok": false, "error": code}),
            "{shown}"
        );
        assert_eq!(response.status, status_of(code), "{shown}");
        assert!(
            response.head.contains("content-type: application/json"),
            "{shown}"
        );
    }
    for body in [
        &b"\xff\xfe"[..],
        b"{\"name\":\"hea\xffth\"}",
        b"{\"name\":\"\xed\xa0\x80\"}",
    ] {
        let response = post(&mut stream, body);
        assert_eq!(
            response.json(),
            json!({"ok": false, "error": "invalid_request"})
        );
    }
    assert_eq!(books(&server), before);
}

#[test]
fn malformed_requests_over_websocket() {
    let server = Server::ws();
    let before = books(&server);
    let mut stream = socket(&server);
    for (number, (body, code)) in (1..).zip(malformed()) {
        let shown = &body[..body.len().min(100)];
        // The id first, the id last, and no id.
        let answer = ask(&mut stream, body.as_bytes());
        // The missing id is what is wrong first, unless nobody knows the method.
        let is_json = serde_json::from_str::<Value>(&body).is_ok();
        let anonymous = if is_json && code == "unknown_method" {
            code
        } else {
            "invalid_request"
        };
        assert_eq!(
            answer,
            json!({"id": null, "ok": false, "error": anonymous}),
            "{shown}"
        );
        let Some(rest) = body.strip_prefix("{\"name\"") else {
            continue;
        };
        let first = format!("{{\"id\":{number},\"name\"{rest}");
        let expected = json!({"id": number, "ok": false, "error": code});
        assert_eq!(ask(&mut stream, first.as_bytes()), expected, "{shown}");
        if let (true, Some(inside)) = (is_json, body.strip_suffix('}')) {
            let last = format!("{inside},\"id\":{number}}}");
            assert_eq!(
                ask(&mut stream, last.as_bytes()),
                expected,
                "the id comes last: {shown}"
            );
        }
    }
    assert_eq!(books(&server), before);
}

#[test]
fn ids_are_whole_numbers_up_to_two_to_the_53() {
    let server = Server::ws();
    let mut stream = socket(&server);
    for id in [
        "0",
        "1",
        "4294967296",
        "9007199254740991",
        "9007199254740992",
    ] {
        for name in [
            "health",
            "verify",
            "getAccount",
            "nope",
            "transfer",
            "info",
            "stats",
        ] {
            let request = format!("{{\"name\":\"{name}\",\"id\":{id},\"args\":{{\"id\":3}}}}");
            let answer = ask(&mut stream, request.as_bytes());
            assert_eq!(answer["id"].to_string(), id, "{answer}");
        }
    }
    for id in [
        "9007199254740993",
        "-1",
        "1.5",
        "1e3",
        "\"7\"",
        "null",
        "[]",
        "18446744073709551616",
    ] {
        let request = format!("{{\"id\":{id},\"name\":\"health\"}}");
        let answer = ask(&mut stream, request.as_bytes());
        assert_eq!(
            answer,
            json!({"id": null, "ok": false, "error": "invalid_request"}),
            "{id}"
        );
    }
    let twice = ask(&mut stream, b"{\"id\":1,\"id\":2,\"name\":\"health\"}");
    assert_eq!(twice["ok"], false);
}

#[test]
fn a_receiver_that_would_overflow_is_refused() {
    for program in [HTTP, WS] {
        let server = Server::start(program, &["--initial-balance=5000000000000000000"]);
        let before = books(&server);
        let request = |amount: &str| serde_json::from_str(&transfer(amount)).expect("JSON");
        let answer = ask_anew_any(&server, &request("4300000000000000000"));
        assert_eq!(answer["error"], "balance_overflow");
        assert_eq!(books(&server), before, "the debit was taken back");
        let answer = ask_anew_any(&server, &request("4200000000000000000"));
        assert_eq!(answer["ok"], true, "{answer}");
    }
}

/// As [`ask_anew`], whatever the answer is.
fn ask_anew_any(server: &Server, request: &Value) -> Value {
    let response = post(&mut server.connect(), request.to_string().as_bytes());
    if response.json()["error"] == "unknown_method" {
        let mut request = request.clone();
        request["id"] = json!(1);
        return ask(&mut socket(server), request.to_string().as_bytes());
    }
    response.json()
}

/// One bad transfer among good ones, in one batch: it alone is refused.
#[test]
fn one_bad_transfer_spares_its_batch() {
    let server = Server::start(WS, &["--batch-timeout=100ms"]);
    let mut stream = socket(&server);
    let mut bytes = Vec::new();
    for id in 0..30 {
        let amount = if id % 10 == 7 { "99999999999" } else { "1" };
        let request = transfer(amount).replacen('{', &format!("{{\"id\":{id},"), 1);
        bytes.extend(frame(FIN | TEXT, request.as_bytes()));
    }
    stream.write_all(&bytes).expect("it reads");
    for _ in 0..30 {
        let answer = read_answer(&mut stream);
        let is_bad = answer["id"].as_u64().expect("an id") % 10 == 7;
        assert_eq!(answer["ok"], !is_bad, "{answer}");
    }
    let account = ask(
        &mut stream,
        b"{\"id\":99,\"name\":\"getAccount\",\"args\":{\"id\":1}}",
    );
    assert_eq!(account["result"], json!({"id": 1, "balance": "10000027"}));
    let stats = ask(&mut stream, b"{\"id\":100,\"name\":\"stats\"}");
    assert_eq!(stats["result"]["batches"], 1, "it was one batch");
}

#[test]
fn pages_for_people_and_monitors() {
    for server in [Server::http(), Server::ws()] {
        let mut stream = server.connect();
        for path in ["/", "/health"] {
            let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
            stream.write_all(request.as_bytes()).expect("it reads");
            let response = read_response(&mut stream).expect("an answer");
            assert_eq!(response.status, 200);
            assert_eq!(
                response.json(),
                json!({"ok": true, "result": {"status": "ok"}})
            );
        }
        stream
            .write_all(b"HEAD /health HTTP/1.1\r\nhost: x\r\n\r\n")
            .expect("it reads");
        assert_eq!(read_head(&mut stream).expect("an answer").status, 200);
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
            .expect("it reads");
        let metrics = read_response(&mut stream).expect("an answer");
        assert_eq!(metrics.status, 200);
        assert!(
            metrics
                .head
                .contains("content-type: text/plain; version=0.0.4"),
            "{}",
            metrics.head
        );
        let text = String::from_utf8(metrics.body).expect("text");
        for name in [
            "busload_transfers_total",
            "busload_syncs_total",
            "busload_batch_size_bucket",
        ] {
            assert!(text.contains(name), "no {name} in {text}");
        }
    }
}

#[test]
fn unknown_paths_methods_and_content_types() {
    let server = Server::http();
    let before = books(&server);
    let good = transfer("1");
    let length = good.len();
    let json = "content-type: application/json";
    let cases = [
        ("POST /nope", json, 404, "unknown_method"),
        ("POST /", json, 404, "unknown_method"),
        ("POST /rpc/", json, 404, "unknown_method"),
        ("POST /RPC", json, 404, "unknown_method"),
        ("PUT /rpc", json, 404, "unknown_method"),
        ("DELETE /rpc", json, 404, "unknown_method"),
        ("BREW /rpc", json, 404, "unknown_method"),
        ("GET /rpc", json, 404, "unknown_method"),
        ("POST /metrics", json, 404, "unknown_method"),
        (
            "POST /rpc",
            "content-type: text/plain",
            400,
            "invalid_request",
        ),
        (
            "POST /rpc",
            "content-type: application/x-www-form-urlencoded",
            400,
            "invalid_request",
        ),
        (
            "POST /rpc",
            "content-type: application/jsonx",
            400,
            "invalid_request",
        ),
        ("POST /rpc", "x-nothing: x", 400, "invalid_request"),
    ];
    for (line, header, status, code) in cases {
        let mut stream = server.connect();
        let request = format!(
            "{line} HTTP/1.1\r\nhost: x\r\n{header}\r\ncontent-length: {length}\r\n\r\n{good}"
        );
        stream.write_all(request.as_bytes()).expect("it reads");
        let response = read_response(&mut stream).expect("an answer");
        assert_eq!(
            (response.status, response.json()),
            (status, json!({"ok": false, "error": code})),
            "{line} {header}"
        );
    }
    assert_eq!(books(&server), before);
    // What is only unusual is understood.
    for header in [
        "Content-Type: application/json; charset=utf-8",
        "CONTENT-TYPE: Application/JSON",
    ] {
        let mut stream = server.connect();
        let request = format!(
            "POST /rpc?who=cares HTTP/1.1\r\nhost: x\r\n{header}\r\ncontent-length: {length}\r\n\r\n{good}"
        );
        stream.write_all(request.as_bytes()).expect("it reads");
        assert_eq!(
            read_response(&mut stream).expect("an answer").json(),
            json!({"ok": true})
        );
    }
    assert_ne!(books(&server), before);
    // A WebSocket server takes no transfers over plain HTTP.
    let server = Server::ws();
    let response = post(&mut server.connect(), good.as_bytes());
    assert_eq!(
        (response.status, response.json()["error"].clone()),
        (404, json!("unknown_method"))
    );
}

/// What is not HTTP is refused and the connection closed; nothing of it is executed.
#[test]
fn broken_http() {
    let server = Server::http();
    let before = books(&server);
    let good = transfer("1");
    let head = "POST /rpc HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    let headers = "x: y\r\n".repeat(200);
    let long = format!("x: {}\r\n", "y".repeat(1_000_000));
    let cases = [
        "nonsense\r\n\r\n".to_owned(),
        "\0\0\0\0\0\0\0\0\r\n\r\n".to_owned(),
        "POST /rpc HTTP/9.9\r\n\r\n".to_owned(),
        format!("{head}content-length: x\r\n\r\n{good}"),
        format!("{head}content-length: -1\r\n\r\n{good}"),
        format!("{head}content-length: 5\r\ncontent-length: 70\r\n\r\n{good}"),
        format!("{head}transfer-encoding: chunked\r\n\r\nZZ\r\n{good}\r\n0\r\n\r\n"),
        format!("{head}transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n{good}"),
        format!(
            "{head}{headers}content-length: {}\r\n\r\n{good}",
            good.len()
        ),
        format!("{head}{long}content-length: {}\r\n\r\n{good}", good.len()),
        // Cut off.
        format!("{head}content-length: {}\r\n\r\n{good}", good.len() + 5),
        format!("{head}transfer-encoding: chunked\r\n\r\n5\r\n{{\"nam"),
    ];
    for case in cases {
        let mut stream = server.connect();
        // It may be closed before all of it is written.
        let _ = stream.write_all(case.as_bytes());
        let _ = stream.shutdown(Shutdown::Write);
        let shown = &case[..case.len().min(200)];
        if let Some(response) = read_response(&mut stream) {
            assert!(
                [400, 413, 431].contains(&response.status),
                "{shown}: {response:?}"
            );
        }
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty(), "{shown}: it went on");
    }
    assert_eq!(books(&server), before);
}

/// Requests one behind the other, and byte by byte.
#[test]
fn unusual_but_right_http() {
    let server = Server::http();
    let mut stream = server.connect();
    let good = transfer("1");
    let request = String::from_utf8(http_request(&good)).expect("it is text");
    stream
        .write_all(request.repeat(3).as_bytes())
        .expect("it reads");
    for _ in 0..3 {
        assert_eq!(
            read_response(&mut stream).expect("an answer").json(),
            json!({"ok": true})
        );
    }
    for byte in request.bytes() {
        stream.write_all(&[byte]).expect("it reads");
    }
    assert_eq!(read_response(&mut stream).expect("an answer").status, 200);
    let (start, end) = good.split_at(10);
    let chunked = format!(
        "POST /rpc HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\n{:x}\r\n{start}\r\n{:x};ext=1\r\n{end}\r\n0\r\n\r\n",
        start.len(),
        end.len()
    );
    stream.write_all(chunked.as_bytes()).expect("it reads");
    assert_eq!(read_response(&mut stream).expect("an answer").status, 200);
    let mut old = server.connect();
    old.write_all(request.replace("HTTP/1.1", "HTTP/1.0").as_bytes())
        .expect("it reads");
    assert_eq!(read_response(&mut old).expect("an answer").status, 200);
    assert!(
        read_response(&mut old).is_none(),
        "HTTP/1.0 ends after one answer"
    );
    let account = post(
        &mut stream,
        b"{\"name\":\"getAccount\",\"args\":{\"id\":1}}",
    );
    assert_eq!(account.json()["result"]["balance"], "10000006");
    let missing = post(
        &mut stream,
        b"{\"name\":\"getAccount\",\"args\":{\"id\":100}}",
    );
    assert_eq!(
        (missing.status, missing.json()),
        (200, json!({"ok": true, "result": null}))
    );
}

/// Pushes up to 100 MB and reads meanwhile; what was answered.
fn flood(mut stream: TcpStream, head: &[u8], chunk: &[u8]) -> Vec<u8> {
    stream.write_all(head).expect("it reads the beginning");
    let mut reader = stream.try_clone().expect("it can be cloned");
    let answered = thread::spawn(move || {
        let mut answer = Vec::new();
        // What came before a reset counts.
        let _ = reader.read_to_end(&mut answer);
        answer
    });
    let mut sent = 0;
    while sent < 100_000_000 && stream.write_all(chunk).is_ok() {
        sent += chunk.len();
    }
    let _ = stream.shutdown(Shutdown::Write);
    answered.join().expect("the reader ends")
}

#[test]
fn case_20_a_body_of_100_megabytes_is_too_large() {
    let server = Server::http();
    let before = books(&server);
    let peak = server.peak_kib();
    let head = "POST /rpc HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    let plain = format!("{head}content-length: 100000000\r\n\r\n");
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n");
    let block = vec![b' '; 0x10000];
    let chunk = [b"10000\r\n", &block[..], b"\r\n"].concat();
    for (head, chunk) in [(&plain, &block), (&chunked, &chunk)] {
        let answer = flood(server.connect(), head.as_bytes(), chunk);
        let response = read_response(&mut &answer[..]);
        let response = response.unwrap_or_else(|| panic!("no answer to {head}"));
        assert_eq!(response.status, 413);
        assert_eq!(response.json(), json!({"ok": false, "error": "too_large"}));
    }
    // One that announces it and sends nothing is told at once.
    let mut stream = server.connect();
    stream.write_all(plain.as_bytes()).expect("it reads");
    assert_eq!(read_response(&mut stream).expect("an answer").status, 413);
    let grown = server.peak_kib().saturating_sub(peak);
    assert!(grown < FLAT_KIB, "memory grew by {grown} KiB");
    assert_eq!(books(&server), before);
}

#[test]
fn case_20_and_24_a_message_of_100_megabytes_and_endless_fragments_are_too_large() {
    let server = Server::ws();
    let before = books(&server);
    let peak = server.peak_kib();
    let block = vec![b' '; 0x10000];
    // One frame; and fragments without an end.
    let whole = [header(FIN | TEXT, 100_000_000, 0x80), vec![0; 4]].concat();
    let fragment = frame(0, &block);
    for (head, chunk) in [(whole, block.clone()), (frame(TEXT, b" "), fragment)] {
        let answer = flood(socket(&server), &head, &chunk);
        assert_eq!(close_code(&mut &answer[..]), Some(1009));
    }
    let endless = flood(
        binary_socket(&server),
        &frame(BINARY, b" "),
        &frame(0, &block),
    );
    assert_eq!(close_code(&mut &endless[..]), Some(1009));
    let grown = server.peak_kib().saturating_sub(peak);
    assert!(grown < FLAT_KIB, "memory grew by {grown} KiB");
    assert_eq!(books(&server), before);
}

/// Breaches of the WebSocket protocol, with the code to close with.
#[test]
fn case_24_broken_websocket() {
    let server = Server::ws();
    let before = books(&server);
    let good = transfer_between(1, 0, 1);
    let unmasked = [header(FIN | TEXT, good.len(), 0), good.clone().into_bytes()].concat();
    let cases: Vec<(&str, Vec<u8>, &[u16])> = vec![
        ("unmasked", unmasked, &[1002]),
        (
            "reserved bit",
            frame(FIN | 0x40 | TEXT, good.as_bytes()),
            &[1002],
        ),
        ("unknown opcode", frame(FIN | 0x3, good.as_bytes()), &[1002]),
        ("unknown control opcode", frame(FIN | 0xB, b""), &[1002]),
        ("long ping", frame(FIN | PING, &[0; 126]), &[1002]),
        ("fragmented ping", frame(PING, b"x"), &[1002]),
        (
            "continuation of nothing",
            frame(FIN, good.as_bytes()),
            &[1002],
        ),
        (
            "text inside a text",
            [frame(TEXT, b"{"), frame(FIN | TEXT, good.as_bytes())].concat(),
            &[1002],
        ),
        ("close of one byte", frame(FIN | CLOSE, &[3]), &[1002]),
        (
            "reserved close code",
            frame(FIN | CLOSE, &1005_u16.to_be_bytes()),
            &[1002],
        ),
        (
            "invalid UTF-8",
            frame(FIN | TEXT, b"{\"id\":1,\"name\":\"\xff\"}"),
            &[1007],
        ),
        ("cut UTF-8", frame(FIN | TEXT, b"\xf0\x9f"), &[1007]),
        (
            "invalid UTF-8 in fragments",
            [frame(TEXT, b"\xf0"), frame(FIN, b"\x28")].concat(),
            &[1007],
        ),
        ("2 MiB", frame(FIN | TEXT, &vec![b' '; 2 << 20]), &[1009]),
        (
            "2 MiB in fragments",
            [
                frame(TEXT, &vec![b' '; 1 << 20]),
                frame(FIN, &vec![b' '; 1 << 20]),
            ]
            .concat(),
            &[1009],
        ),
        (
            "length above 2^63",
            [vec![FIN | TEXT, 0xFF], vec![0xFF; 8], vec![0; 4]].concat(),
            &[1002, 1009],
        ),
        (
            "a good close",
            frame(FIN | CLOSE, &1000_u16.to_be_bytes()),
            &[1000],
        ),
    ];
    for (what, bytes, expected) in cases {
        let mut stream = socket(&server);
        let _ = stream.write_all(&bytes);
        let code = close_code(&mut stream);
        assert!(
            code.is_some_and(|code| expected.contains(&code)),
            "{what}: {code:?}"
        );
    }
    assert_eq!(books(&server), before);
}

#[test]
fn unusual_but_right_websocket() {
    let server = Server::ws();
    let mut stream = socket(&server);
    // Fragments with a ping in between; an empty ping; an unasked pong.
    let health = b"{\"id\":5,\"name\":\"health\"}";
    let bytes = [
        frame(TEXT, &health[..7]),
        frame(FIN | PING, b"are you there"),
        frame(0, b""),
        frame(FIN, &health[7..]),
        frame(FIN | PONG, b"by the way"),
    ];
    stream.write_all(&bytes.concat()).expect("it reads");
    let mut seen =
        [read_frame(&mut stream), read_frame(&mut stream)].map(|f| f.expect("two frames"));
    seen.sort();
    assert_eq!(seen[0].0, TEXT);
    assert_eq!(seen[1], (PONG, b"are you there".to_vec()));
    // The path / is as good as /rpc, others are not; a query does not matter.
    for (path, status) in [
        ("/", 101),
        ("/rpc?a=b", 101),
        ("/other", 404),
        ("/rpc/", 404),
    ] {
        assert_eq!(upgrade(&server, path, "").1.status, status, "{path}");
    }
    let (_, response) = upgrade(&server, "/rpc", "sec-websocket-protocol: chat, soap\r\n");
    assert_eq!(response.status, 101);
    assert!(
        !response.head.contains("sec-websocket-protocol"),
        "none that it does not speak"
    );
    // The platform's clients offer compression; it is not taken.
    let offer = "sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n";
    let (_, response) = upgrade(&server, "/rpc", offer);
    assert!(response.status == 101 && !response.head.contains("sec-websocket-extensions"));
}

#[test]
fn broken_handshakes() {
    let server = Server::ws();
    let full = "GET /rpc HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
                sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n";
    for (what, with) in [
        ("sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""),
        ("sec-websocket-version: 13\r\n", ""),
        ("sec-websocket-version: 13", "sec-websocket-version: 8"),
        ("connection: Upgrade", "connection: close"),
        ("upgrade: websocket", "upgrade: h2c"),
        ("GET", "POST"),
    ] {
        let mut stream = server.connect();
        stream
            .write_all(full.replace(what, with).as_bytes())
            .expect("it reads");
        let status = read_response(&mut stream).expect("an answer").status;
        assert!((400..500).contains(&status), "without {what}: {status}");
    }
    // An HTTP server upgrades to nothing.
    assert_eq!(upgrade(&Server::http(), "/rpc", "").1.status, 404);
}

#[test]
fn broken_binary_messages() {
    let server = Server::ws();
    let before = books(&server);
    // On a connection that did not agree on it: an error, in the encoding that it has.
    let record = [[1, 0, 0, 0, 1, 0, 0, 0].to_vec(), vec![0; 32]].concat();
    let mut plain = socket(&server);
    plain
        .write_all(&frame(FIN | BINARY, &record))
        .expect("it reads");
    let answer = read_answer(&mut plain);
    assert_eq!(
        answer,
        json!({"id": null, "ok": false, "error": "invalid_request"})
    );
    assert_eq!(
        ask(&mut plain, b"{\"id\":3,\"name\":\"health\"}")["id"],
        3,
        "and it goes on"
    );

    let mut stream = binary_socket(&server);
    let header = |kind: u8, count: u32| [&[kind, 0, 0, 0][..], &count.to_le_bytes()].concat();
    let one = |id: u64, from: i64, to: i64, amount: i64| {
        [
            id.to_le_bytes(),
            from.to_le_bytes(),
            to.to_le_bytes(),
            amount.to_le_bytes(),
        ]
        .concat()
    };
    let good = one(1, 0, 1, 1);
    let malformed = [
        Vec::new(),
        vec![1],
        header(1, 0),
        header(1, 1),
        [header(1, 2), good.clone()].concat(),
        [header(1, 1), good.clone(), vec![0]].concat(),
        [header(1, u32::MAX), good.clone()].concat(),
        [header(0, 1), good.clone()].concat(),
        [header(129, 1), vec![0; 16]].concat(),
        [vec![1, 1, 0, 0, 1, 0, 0, 0], good.clone()].concat(),
        [header(1, 2), good.clone(), one(1 << 54, 0, 1, 1)].concat(),
        [header(1, 1), one(u64::MAX, 0, 1, 1)].concat(),
    ];
    // One outcome: no request, code 1 (invalid_request).
    let refused = [
        header(129, 1),
        u64::MAX.to_le_bytes().to_vec(),
        vec![1, 0, 0, 0, 0, 0, 0, 0],
    ];
    for message in malformed {
        stream
            .write_all(&frame(FIN | BINARY, &message))
            .expect("it reads");
        let (opcode, payload) = read_frame(&mut stream).expect("an answer");
        assert_eq!((opcode, payload), (BINARY, refused.concat()), "{message:?}");
    }
    let rejected = [
        (0, 0, 1, 2),
        (0, 1, 0, 2),
        (0, 1, -5, 2),
        (0, 100, 1, 5),
        (0, 1, i64::MAX, 7),
    ];
    for (id, (from, to, amount, code)) in (10_u64..).zip(rejected) {
        let message = [header(1, 1), one(id, from, to, amount)].concat();
        stream
            .write_all(&frame(FIN | BINARY, &message))
            .expect("it reads");
        let (_, payload) = read_frame(&mut stream).expect("an answer");
        assert_eq!(payload[8..16], id.to_le_bytes());
        assert_eq!(
            payload[16..18],
            u16::to_le_bytes(code),
            "{from} to {to}: {amount}"
        );
    }
    assert_eq!(books(&server), before);
    // Calls that are not transfers are JSON on the same connection.
    assert_eq!(ask(&mut stream, b"{\"id\":9,\"name\":\"health\"}")["id"], 9);
}
