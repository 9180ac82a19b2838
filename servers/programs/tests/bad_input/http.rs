//! What is no HTTP, and HTTP that is only unusual.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;

use serde_json::json;

use crate::support::{Server, books, http_request, post, read_head, read_response, transfer};

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

/// RFC 9112, 3.2: HTTP/1.1 names its host, once. HTTP/1.0 need not.
#[test]
fn case_23_a_request_names_its_host_once() {
    for server in [Server::http(), Server::ws()] {
        let before = books(&server);
        let good = transfer("1");
        let length = good.len();
        let content = format!("content-type: application/json\r\ncontent-length: {length}\r\n");
        let websocket = "upgrade: websocket\r\nconnection: Upgrade\r\n\
                         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                         sec-websocket-version: 13\r\n";
        let status = |line: &str, headers: &str, body: &str| {
            let mut stream = server.connect();
            let request = format!("{line}\r\n{headers}\r\n{body}");
            stream.write_all(request.as_bytes()).expect("it reads");
            let response = read_response(&mut stream).expect("an answer");
            if response.status == 400 {
                let said = response.json();
                assert_eq!(said["error"], "invalid_request", "{line}");
                assert!(said["detail"].is_string(), "{line}: {said}");
            }
            response.status
        };
        let two = "host: x\r\nhost: x\r\n";
        for hosts in ["", two] {
            for (line, headers, body) in [
                ("POST /rpc", &*content, &*good),
                ("POST http://x/rpc", &content, &good),
                ("GET /rpc", websocket, ""),
                ("GET /health", "", ""),
                ("GET /metrics", "", ""),
            ] {
                let line = format!("{line} HTTP/1.1");
                let headers = format!("{hosts}{headers}");
                assert_eq!(status(&line, &headers, body), 400, "{line} {hosts:?}");
            }
        }
        assert_eq!(status("GET /health HTTP/1.0", two, ""), 400);
        assert_eq!(books(&server), before);
        assert_eq!(status("GET /health HTTP/1.0", "", ""), 200);
        assert_eq!(status("GET /health HTTP/1.1", "host: x\r\n", ""), 200);
        if !server.is_ws {
            assert_eq!(status("POST /rpc HTTP/1.0", &content, &good), 200);
            assert_ne!(books(&server), before);
        }
    }
}

#[test]
fn case_19_unknown_paths_methods_and_content_types() {
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
        (
            "POST /rpc",
            "content-type: application/json\r\ncontent-type: text/plain",
            400,
            "invalid_request",
        ),
        (
            "POST /rpc",
            "content-type: text/plain\r\ncontent-type: application/json",
            400,
            "invalid_request",
        ),
    ];
    for (line, header, status, code) in cases {
        let mut stream = server.connect();
        let request = format!(
            "{line} HTTP/1.1\r\nhost: x\r\n{header}\r\ncontent-length: {length}\r\n\r\n{good}"
        );
        stream.write_all(request.as_bytes()).expect("it reads");
        let response = read_response(&mut stream).expect("an answer");
        let said = response.json();
        assert_eq!(
            (response.status, &said["ok"], &said["error"]),
            (status, &json!(false), &json!(code)),
            "{line} {header}"
        );
        // What is wrong is not in the body, so the answer says it.
        let detail = said["detail"].as_str();
        let is_told = detail.is_some_and(|detail| detail.contains("content-type"));
        assert_eq!(is_told, code == "invalid_request", "{said}");
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
fn case_23_broken_http() {
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
