//! Texts that are no JSON, or JSON that nobody should guess about.

use busload_wire::json::{decode_answer, decode_control, decode_request};
use busload_wire::{Call, ErrorCode};

use crate::support::request_id;
use crate::{invalid_anonymous, refused, transfer_of};

#[test]
fn a_part_of_a_transfer_may_not_be_missing() {
    for args in [
        "{}",
        r#"{"from_id":1,"to_id":2}"#,
        r#"{"from_id":1,"amount":3}"#,
        r#"{"to":2,"amount":3}"#,
        r#"{"From_id":1,"to_id":2,"amount":3}"#,
    ] {
        let error = transfer_of(args).expect_err(args);
        assert_eq!(error.code, ErrorCode::InvalidRequest, "{args}");
        assert_eq!(error.id, Some(request_id(7)), "{args}");
    }
}

/// docs/reliability-evidence.md, case 18. Which of the two counts is for each reader to guess, so
/// neither does.
#[test]
fn case_18_a_key_that_comes_twice_is_refused() {
    for args in [
        r#"{"from_id":1,"from_id":1,"to_id":2,"amount":3}"#,
        r#"{"from":1,"from_id":1,"to_id":2,"amount":3}"#,
        r#"{"from_id":1,"from":1,"to_id":2,"amount":3}"#,
        r#"{"from":1,"from":9,"to_id":2,"amount":3}"#,
        r#"{"from":1,"to":2,"to_id":3,"amount":3}"#,
        r#"{"from":1,"to":2,"amount":3,"amount":4}"#,
        r#"{"from":null,"from_id":1,"to":2,"amount":3}"#,
        r#"{"from":1,"to":2,"amount":3,"\u0061mount":4}"#,
        r#"{"from":1,"to":2,"amount":3,"transfer_id":1,"transfer_id":1}"#,
    ] {
        let error = transfer_of(args).expect_err(args);
        assert_eq!(error.code, ErrorCode::InvalidRequest, "{args}");
        assert_eq!(error.id, Some(request_id(7)), "{args}");
    }
    for text in [
        r#"{"id":7,"name":"health","name":"health"}"#,
        r#"{"id":7,"name":"health","name":"seed","args":{"accounts":2,"initialBalance":1}}"#,
        r#"{"id":7,"name":"health","args":{},"args":{}}"#,
        r#"{"id":7,"name":"health","args":null,"args":{}}"#,
        r#"{"id":7,"name":"seed","args":{"accounts":2,"initialBalance":1,"initial_balance":1}}"#,
    ] {
        assert_eq!(refused(text), ErrorCode::InvalidRequest, "{text}");
    }
    // Which id to answer is anybody's guess; that it is refused is not.
    for text in [
        r#"{"id":7,"id":8,"name":"health"}"#,
        r#"{"id":7,"name":"health","id":7}"#,
    ] {
        assert_eq!(
            decode_request(text.as_bytes()).unwrap_err().code,
            ErrorCode::InvalidRequest
        );
    }
}

/// docs/reliability-evidence.md, case 18.
#[test]
fn case_18_nesting_without_end_is_refused_without_a_stack_overflow() {
    for levels in [200, 10_000, 1_000_000] {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        let (open_object, close_object) = (r#"{"a":"#.repeat(levels), "}".repeat(levels));
        invalid_anonymous(&open);
        invalid_anonymous(&open_object);
        invalid_anonymous(format!("{open}{close}"));
        invalid_anonymous(format!("{open_object}1{close_object}"));
        for value in [
            format!("{open}{close}"),
            format!("{open_object}1{close_object}"),
        ] {
            for key in [
                "from_id",
                "amount",
                "transfer_id",
                "balances",
                "histograms",
                "initialBalance",
            ] {
                let args = format!(r#"{{"from":1,"to":2,"{key}":{value}}}"#);
                let error = transfer_of(&args).unwrap_err();
                assert_eq!(error.code, ErrorCode::InvalidRequest);
                assert_eq!(error.id, Some(request_id(7)));
            }
            let as_args = format!(r#"{{"id":7,"name":"transfer","args":{value}}}"#);
            let code = decode_request(as_args.as_bytes()).unwrap_err().code;
            assert_eq!(code, ErrorCode::InvalidRequest);
            assert_eq!(
                refused(format!(r#"{{"id":7,"name":{value}}}"#)),
                ErrorCode::InvalidRequest
            );
            invalid_anonymous(format!(r#"{{"id":{value},"name":"health"}}"#));
            // Nobody reads what is under a foreign key, however deep it goes.
            let ignored = format!(r#"{{"id":7,"name":"health","meta":{value}}}"#);
            assert_eq!(
                decode_request(ignored.as_bytes()).map(|r| r.call),
                Ok(Call::Health)
            );
            let _ = decode_answer(format!(r#"{{"ok":true,"result":{value}}}"#).as_bytes());
        }
    }
}

/// docs/reliability-evidence.md, case 18: wherever it is, also where nobody reads.
#[test]
fn case_18_invalid_utf8_is_refused() {
    let bad: [&[u8]; 5] = [
        b"\xff",
        b"\xc3\x28",
        b"\xed\xa0\x80",
        b"\xf5\x80\x80\x80",
        b"\xc0\x80",
    ];
    for bytes in bad {
        let around =
            |before: &str, after: &str| [before.as_bytes(), bytes, after.as_bytes()].concat();
        invalid_anonymous(bytes);
        invalid_anonymous(around(r#"{"id":7,"name":""#, r#""}"#));
        invalid_anonymous(around(r#"{"id":7,"name":"health","x":""#, r#""}"#));
        invalid_anonymous(around(r#"{"id":7,"name":"health",""#, r#"":1}"#));
        invalid_anonymous(around(r#"{"id":7,"name":"stats","args":{"x":""#, r#""}}"#));
        invalid_anonymous(around(r#"{"id":7,"name":"health"}"#, ""));
        assert!(decode_answer(&around(r#"{"id":7,"ok":false,"error":""#, r#""}"#)).is_err());
    }
}

#[test]
fn case_18_malformed_json_is_refused() {
    for text in [
        "",
        " ",
        "{",
        "}",
        "{}",
        "[]",
        "null",
        "true",
        "7",
        "\"health\"",
        "{\"id\"",
        "\u{feff}{}",
        "name=transfer&amount=1",
        "{'name':'health'}",
        "{name:\"health\"}",
        "[{\"name\":\"health\"}]",
        "{\"name\":\"health\"}{\"name\":\"health\"}",
        "{\"name\":\"health\"} x",
        "{\"name\":\"health\",}",
        "{\"name\":\"health\"\0}",
        "{\"name\":\"hea\nlth\"}",
        "{\"name\":\"health\",\"x\":\"\\q\"}",
        "// comment\n{\"name\":\"health\"}",
    ] {
        invalid_anonymous(text);
    }
    // As far as it was read, the id was there.
    for text in [
        r#"{"id":7"#,
        r#"{"id":7}"#,
        r#"{"id":7,"name":"transfer""#,
        r#"{"id":7,"name":"transfer","args":{"from_id":1"#,
        r#"{"id":7,"name":"health"},"#,
        r#"{"id":7,"name":"health"} {}"#,
    ] {
        assert_eq!(refused(text), ErrorCode::InvalidRequest, "{text}");
    }
}

/// A derived struct would also be read from an array, field by field.
#[test]
fn an_array_is_no_object() {
    let nulls = [r#""7""#; 5].join(",");
    for args in [
        "[1,2,3]".to_owned(),
        "[1,2,3,null,null,null,null,null]".to_owned(),
        format!("[1,2,3,{nulls}]"),
        "[]".to_owned(),
    ] {
        let error = transfer_of(&args).expect_err(&args);
        assert_eq!(error.code, ErrorCode::InvalidRequest, "{args}");
    }
    for answer in [
        "[7,true,null]",
        "[7,true,null,null]",
        "[null,true,null]",
        "[]",
    ] {
        assert!(decode_answer(answer.as_bytes()).is_err(), "{answer}");
        assert!(decode_control(answer.as_bytes()).is_err(), "{answer}");
    }
}
