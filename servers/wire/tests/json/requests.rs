//! What a request may leave out, and what its refusal keeps.

use busload_wire::json::decode_request;
use busload_wire::{Call, ErrorCode, Request};

use crate::refused;
use crate::support::request_id;

/// A client that gets an answer without its id waits for ever, or drops all that it has
/// pending. So the id is kept when the request is wrong before the id is reached.
#[test]
fn the_id_is_kept_wherever_it_stands() {
    for (name, args, code) in [
        (
            "\"transfer\"",
            r#"{"from":1,"to":2,"amount":1e3}"#,
            ErrorCode::InvalidRequest,
        ),
        (
            "\"transfer\"",
            r#"{"from":1,"from_id":1,"to":2,"amount":3}"#,
            ErrorCode::InvalidRequest,
        ),
        ("\"transfer\"", "[1,2,3]", ErrorCode::InvalidRequest),
        ("\"transfer\"", "7", ErrorCode::InvalidRequest),
        ("\"transfer\"", "null", ErrorCode::InvalidRequest),
        ("5", "{}", ErrorCode::InvalidRequest),
        ("null", "{}", ErrorCode::InvalidRequest),
        ("[]", "{}", ErrorCode::InvalidRequest),
        ("\"Transfer\"", "{}", ErrorCode::UnknownMethod),
        (
            "\"withdraw\"",
            r#"{"amount":"all of it","from":[1]}"#,
            ErrorCode::UnknownMethod,
        ),
        ("\"withdraw\"", "[1,2]", ErrorCode::UnknownMethod),
        ("\"\"", "null", ErrorCode::UnknownMethod),
        ("\"trans\\u0066er \"", "null", ErrorCode::UnknownMethod),
    ] {
        let (id, name, args) = (
            "\"id\":7".to_owned(),
            format!("\"name\":{name}"),
            format!("\"args\":{args}"),
        );
        for parts in [
            [&id, &name, &args],
            [&name, &args, &id],
            [&args, &id, &name],
            [&args, &name, &id],
        ] {
            let text = format!("{{{}}}", parts.map(String::as_str).join(","));
            assert_eq!(refused(&text), code, "{text}");
        }
    }
}

/// docs/reliability-evidence.md, case 19.
#[test]
fn case_19_an_unknown_method_is_told_from_a_bad_request() {
    for name in [
        "Transfer",
        "transfer ",
        "TRANSFER",
        "getaccount",
        "",
        "__proto__",
        "stat\u{0}s",
    ] {
        let name = serde_json::to_string(name).unwrap();
        assert_eq!(
            refused(format!(r#"{{"id":7,"name":{name}}}"#)),
            ErrorCode::UnknownMethod
        );
    }
}

#[test]
fn args_may_be_absent_where_nothing_is_needed() {
    for (name, call) in [
        ("health", Call::Health),
        ("verify", Call::Verify),
        ("info", Call::Info),
        (
            "stats",
            Call::Stats {
                balances: false,
                histograms: true,
            },
        ),
    ] {
        for args in [
            "",
            r#","args":null"#,
            r#","args":{}"#,
            r#","args":{"verbose":1.5}"#,
        ] {
            let text = format!(r#"{{"id":7,"name":"{name}"{args}}}"#);
            let request = decode_request(text.as_bytes()).expect(&text);
            assert_eq!(
                request,
                Request {
                    id: Some(request_id(7)),
                    call: call.clone()
                },
                "{text}"
            );
        }
    }
    for name in ["transfer", "getAccount", "seed"] {
        for args in [
            "",
            r#","args":null"#,
            r#","args":{}"#,
            r#","args":{"id":null}"#,
        ] {
            let text = format!(r#"{{"id":7,"name":"{name}"{args}}}"#);
            assert_eq!(refused(&text), ErrorCode::InvalidRequest, "{text}");
        }
    }
}

#[test]
fn histograms_are_sent_unless_they_are_declined() {
    for (args, balances, histograms) in [
        (r#"{"histograms":false}"#, false, false),
        (r#"{"histograms":null}"#, false, true),
        (r#"{"histograms":true,"balances":true}"#, true, true),
        (r#"{"balances":true,"histograms":false}"#, true, false),
    ] {
        let text = format!(r#"{{"id":7,"name":"stats","args":{args}}}"#);
        let call = decode_request(text.as_bytes()).unwrap().call;
        let wanted = Call::Stats {
            balances,
            histograms,
        };
        assert_eq!(call, wanted, "{text}");
    }
    for value in ["0", r#""no""#, "[]"] {
        let text = format!(r#"{{"id":7,"name":"stats","args":{{"histograms":{value}}}}}"#);
        assert_eq!(refused(&text), ErrorCode::InvalidRequest, "{text}");
    }
}
