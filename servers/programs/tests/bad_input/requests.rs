//! Requests that are no request, or ask for what cannot be, in JSON over HTTP and WebSocket.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::support::{
    FIN, HTTP, Server, TEXT, WS, ask, books, frame, post, read_answer, socket, transfer,
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
    "{\"name\":\"transfer\",\"args\":{\"from_id\":0,\"to_id\":1,\"amount\":1,\"transfer_id\":null}}",
    "{\"name\":\"transfer\",\"args\":{\"transfer_id\":null,\"from_id\":0,\"to_id\":1,\"amount\":1}}",
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
fn case_16_to_18_malformed_requests_over_http() {
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
fn case_16_to_18_malformed_requests_over_websocket() {
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
fn case_17_a_receiver_that_would_overflow_is_refused() {
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
fn case_21_one_bad_transfer_spares_its_batch() {
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
