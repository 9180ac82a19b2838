//! The JSON encoding: what is written is read back, and nothing else gets through.

mod support;

use busload_wire::control::{Account, Info, Stats, TransferIds, Verification};
use busload_wire::json::{
    AnswerId, RequestError, decode_answer, decode_control, decode_request, encode_outcome,
    encode_request, encode_result, encode_transfer,
};
use busload_wire::{Answer, Call, ErrorCode, Request, Transfer, TransferId};
use bytes::BytesMut;
use proptest::prelude::*;
use support::{outcomes, request_id, request_ids, requests, same_cases, transfers};

fn encoded(request: &Request) -> BytesMut {
    let mut text = BytesMut::new();
    encode_request(&mut text, request);
    text
}

/// What must come of a text that names request 7.
fn refused(text: impl AsRef<[u8]>) -> ErrorCode {
    let text = text.as_ref();
    let shown = String::from_utf8_lossy(&text[..text.len().min(200)]).into_owned();
    let error = decode_request(text).expect_err(&shown);
    assert_eq!(error.id, Some(request_id(7)), "the id of {shown}");
    error.code
}

fn invalid_anonymous(text: impl AsRef<[u8]>) {
    let text = text.as_ref();
    let expected = RequestError {
        id: None,
        code: ErrorCode::InvalidRequest,
    };
    let shown = String::from_utf8_lossy(&text[..text.len().min(200)]).into_owned();
    assert_eq!(decode_request(text), Err(expected), "{shown}");
}

fn transfer_of(args: &str) -> Result<Transfer, RequestError> {
    let text = format!(r#"{{"id":7,"name":"transfer","args":{args}}}"#);
    decode_request(text.as_bytes()).map(|request| match request.call {
        Call::Transfer(transfer) => transfer,
        other => panic!("{other:?}"),
    })
}

const PLAIN: Transfer = Transfer {
    from: 1,
    to: 2,
    amount: 3,
    transfer_id: None,
};

proptest! {
    #![proptest_config(same_cases())]

    #[test]
    fn every_request_survives(request in requests()) {
        prop_assert_eq!(decode_request(&encoded(&request)), Ok(request));
    }

    #[test]
    fn a_transfer_is_written_the_same_by_both_encoders(
        id in proptest::option::of(request_ids()),
        transfer in transfers(any::<Option<u128>>()),
    ) {
        let mut text = BytesMut::new();
        encode_transfer(&mut text, id, &transfer);
        prop_assert_eq!(text, encoded(&Request { id, call: Call::Transfer(transfer) }));
    }

    #[test]
    fn every_outcome_survives(id in proptest::option::of(request_ids()), result in outcomes()) {
        let mut text = BytesMut::new();
        encode_outcome(&mut text, AnswerId::Echo(id), result);
        let answer = Answer { id, result: result.map_err(Some) };
        prop_assert_eq!(decode_answer(&text), Ok(answer.clone()));

        text.clear();
        encode_outcome(&mut text, AnswerId::Absent, result);
        prop_assert_eq!(decode_answer(&text), Ok(Answer { id: None, ..answer }));
    }

    #[test]
    fn an_answer_with_a_result_reads_as_success_and_as_its_result(
        id in request_ids(),
        account in any::<i64>(),
        balance in any::<i64>(),
    ) {
        let account = Account { id: account, balance: balance.to_string() };
        let mut text = BytesMut::new();
        encode_result(&mut text, AnswerId::Echo(Some(id)), &account);
        prop_assert_eq!(decode_answer(&text), Ok(Answer { id: Some(id), result: Ok(()) }));
        let control = decode_control(&text).unwrap();
        prop_assert!(control.ok && control.error.is_none());
        prop_assert_eq!(control.id, Some(id.get()));
        let read: Account = serde_json::from_str(control.result.unwrap().get()).unwrap();
        prop_assert_eq!(read, account);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_request(&bytes);
        let _ = decode_answer(&bytes);
        let _ = decode_control(&bytes);
    }

    /// Bytes at random hardly ever come near a request; a request with a few bytes wrong does.
    #[test]
    fn a_damaged_request_never_panics_and_what_is_accepted_is_a_request(
        request in requests(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let mut text = encoded(&request).to_vec();
        for (place, byte) in damage {
            let place = place.index(text.len());
            text[place] = byte;
        }
        if let Some(cut) = cut {
            text.truncate(cut.index(text.len()));
        }
        if let Ok(read) = decode_request(&text) {
            prop_assert_eq!(decode_request(&encoded(&read)), Ok(read));
        }
    }

    #[test]
    fn a_request_is_read_whatever_the_order_of_its_keys(
        order in Just(["id", "name", "args", "extra"]).prop_shuffle(),
        args in Just(["from", "to_id", "amount", "extra"]).prop_shuffle(),
    ) {
        let args = args.map(|key| match key {
            "from" => r#""from": 1"#,
            "to_id" => "\"to_id\" :2",
            "amount" => "\t\"amount\":\n3",
            _ => r#""constructor": {"amount": 9, "from": [1, 2]}"#,
        });
        let parts = order.map(|key| match key {
            "id" => r#""id": 7"#.to_owned(),
            "name" => r#""n\u0061me": "transfer""#.to_owned(),
            "args" => format!(r#""args": {{{}}}"#, args.join(",")),
            _ => r#""jsonrpc": "2.0""#.to_owned(),
        });
        let request = decode_request(format!(" {{ {} }} ", parts.join(" , ")).as_bytes());
        let call = Call::Transfer(PLAIN);
        prop_assert_eq!(request, Ok(Request { id: Some(request_id(7)), call }));
    }
}

/// reliability.md C 16: each as a transfer's amount, from and to.
#[test]
fn a_number_is_an_integer_of_64_bits_and_nothing_like_one() {
    let bad = [
        "1e3",
        "1E3",
        "1e0",
        "1.0",
        "0.5",
        "-0.0",
        "NaN",
        "Infinity",
        "-Infinity",
        "\"1\"",
        "\"\"",
        "null",
        "true",
        "[1]",
        "{}",
        "0x10",
        "01",
        "+1",
        "1_000",
        "--1",
        "1n",
        "",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "18446744073709551616",
        "1e400",
        "99999999999999999999999999999999999999999999999999999999999999999999",
    ];
    for value in bad {
        for key in ["from_id", "to_id", "amount"] {
            let number = |name| if name == key { value } else { "1" };
            let (from, to, amount) = (number("from_id"), number("to_id"), number("amount"));
            let args = format!(r#"{{"from_id":{from},"to_id":{to},"amount":{amount}}}"#);
            let error = transfer_of(&args).expect_err(&args);
            assert_eq!(error.code, ErrorCode::InvalidRequest, "{args}");
            assert_eq!(error.id, Some(request_id(7)), "{args}");
        }
    }
    for amount in [0, -1, i64::MIN, i64::MAX] {
        let args = format!(r#"{{"from_id":1,"to_id":1,"amount":{amount}}}"#);
        let read = transfer_of(&args).expect("for the ledger to judge");
        assert_eq!((read.from, read.to, read.amount), (1, 1, amount));
    }
}

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

/// reliability.md C 18. Which of the two counts is for each reader to guess, so neither does.
#[test]
fn a_key_that_comes_twice_is_refused() {
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

/// reliability.md C 18.
#[test]
fn nesting_without_end_is_refused_without_a_stack_overflow() {
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

/// reliability.md C 18: wherever it is, also where nobody reads.
#[test]
fn invalid_utf8_is_refused() {
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
fn malformed_json_is_refused() {
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

#[test]
fn an_id_is_an_integer_up_to_two_to_the_53() {
    let id_of = |id: &str| {
        decode_request(format!(r#"{{"id":{id},"name":"health"}}"#).as_bytes()).map(|r| r.id)
    };
    assert_eq!(id_of("0"), Ok(Some(request_id(0))));
    assert_eq!(id_of("9007199254740992"), Ok(Some(request_id(1 << 53))));
    for id in [
        "9007199254740993",
        "18446744073709551615",
        "18446744073709551616",
        "-1",
        "7.0",
        "7e0",
        "1e400",
        "\"7\"",
        "null",
        "true",
        "[7]",
        "{}",
    ] {
        invalid_anonymous(format!(r#"{{"id":{id},"name":"health"}}"#));
        invalid_anonymous(format!(r#"{{"name":"health","id":{id}}}"#));
    }
    assert_eq!(
        decode_request(br#"{"name":"health"}"#).map(|r| r.id),
        Ok(None)
    );
}

/// reliability.md C 19.
#[test]
fn an_unknown_method_is_told_from_a_bad_request() {
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

#[test]
fn a_transfer_id_is_a_number_or_hexadecimal_digits() {
    let id_of = |id: &str| {
        let args = format!(r#"{{"from":1,"to":2,"amount":3,"transfer_id":{id}}}"#);
        transfer_of(&args).map(|transfer| transfer.transfer_id.map(TransferId::to_u128))
    };
    assert_eq!(id_of("0"), Ok(Some(0)));
    assert_eq!(
        id_of("18446744073709551615"),
        Ok(Some(u128::from(u64::MAX)))
    );
    assert_eq!(id_of("18446744073709551616"), Ok(Some(1 << 64)));
    assert_eq!(
        id_of("340282366920938463463374607431768211455"),
        Ok(Some(u128::MAX))
    );
    assert_eq!(id_of(r#""ff""#), Ok(Some(255)));
    assert_eq!(id_of(r#""\u0066f""#), Ok(Some(255)), "JSON's escapes");
    assert_eq!(
        id_of(r#""000000000000000000000000000000FF""#),
        Ok(Some(255))
    );
    assert_eq!(
        id_of(r#""ffffffffffffffffffffffffffffffff""#),
        Ok(Some(u128::MAX))
    );
    assert_eq!(id_of("null"), Ok(None));
    for id in [
        "-1",
        "1.0",
        "1e3",
        "-0",
        "340282366920938463463374607431768211456",
        "true",
        "[]",
        "{}",
        r#""""#,
        r#""+1""#,
        r#""-1""#,
        r#"" 1""#,
        r#""0x1""#,
        r#""g""#,
        r#""é""#,
        r#""0000000000000000000000000000000001""#,
        r#""100000000000000000000000000000000""#,
        r#""b0e42fe7-31a5-4894-a441-007e5256afea""#,
    ] {
        assert!(id_of(id).is_err(), "{id}");
    }
}

#[test]
fn a_seeding_takes_its_balance_as_number_or_text() {
    let seed = |balance: &str, key: &str| {
        let text = format!(r#"{{"id":7,"name":"seed","args":{{"accounts":5,"{key}":{balance}}}}}"#);
        decode_request(text.as_bytes()).map(|request| request.call)
    };
    let call = |initial_balance| {
        Ok(Call::Seed {
            accounts: 5,
            initial_balance,
        })
    };
    assert_eq!(seed("10", "initialBalance"), call(10));
    assert_eq!(seed("10", "initial_balance"), call(10));
    assert_eq!(
        seed(r#""9223372036854775807""#, "initialBalance"),
        call(i64::MAX)
    );
    assert_eq!(seed("-1", "initialBalance"), call(-1));
    for bad in [
        r#""""#,
        r#""1e3""#,
        r#""1.0""#,
        r#""1n""#,
        r#"" 1""#,
        "1.0",
        "1e3",
        "null",
        "9223372036854775808",
        r#""9223372036854775808""#,
        "[]",
    ] {
        assert!(seed(bad, "initialBalance").is_err(), "{bad}");
    }
}

/// Whatever else is not ours is an unknown outcome, never a success.
#[test]
fn a_foreign_answer_is_success_only_if_it_says_so() {
    let result = |text: &str| decode_answer(text.as_bytes()).map(|answer| answer.result);
    assert_eq!(result(r#"{"ok":true}"#), Ok(Ok(())));
    assert_eq!(result(r#"{"id":1,"ok":true,"result":null}"#), Ok(Ok(())));
    assert_eq!(result(r#"{"ok":false}"#), Ok(Err(None)));
    assert_eq!(result(r#"{"ok":false,"error":null}"#), Ok(Err(None)));
    assert_eq!(
        result(r#"{"ok":false,"error":"internal error"}"#),
        Ok(Err(None))
    );
    assert_eq!(
        result(r#"{"ok":false,"error":"Insufficient_funds"}"#),
        Ok(Err(None))
    );
    assert_eq!(
        result(r#"{"ok":false,"error":"insufficient\u005ffunds"}"#),
        Ok(Err(Some(ErrorCode::InsufficientFunds)))
    );
    for text in [
        "",
        "{}",
        "null",
        "ok",
        r#"{"ok":1}"#,
        r#"{"ok":"true"}"#,
        r#"{"ok":null}"#,
        r#"{"ok":true,"ok":false}"#,
        r#"{"id":"7","ok":true}"#,
        r#"{"id":7.0,"ok":true}"#,
        r#"{"id":-7,"ok":true}"#,
        r#"{"id":9007199254740993,"ok":true}"#,
        r#"{"ok":true}}"#,
        r#"{"ok":false,"error":5}"#,
        "<html>502 Bad Gateway</html>",
    ] {
        assert!(decode_answer(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn answers_of_the_control_plane_survive() {
    let mut text = BytesMut::new();
    encode_result(
        &mut text,
        AnswerId::Absent,
        &Verification::Skipped { skipped: true },
    );
    let read = decode_control(&text).unwrap();
    let verification: Verification = serde_json::from_str(read.result.unwrap().get()).unwrap();
    assert_eq!(verification, Verification::Skipped { skipped: true });

    let mut stats = Stats {
        committed: u64::MAX,
        ..Stats::default()
    };
    stats.transfer_stages.sync_ns.sum = 7;
    text.clear();
    encode_result(&mut text, AnswerId::Absent, &stats);
    let read = decode_control(&text).unwrap();
    assert_eq!(
        serde_json::from_str::<Stats>(read.result.unwrap().get()).unwrap(),
        stats
    );
}

#[test]
fn stats_of_a_server_without_transfer_stages_are_read() {
    let mut stats = serde_json::to_value(Stats::default()).unwrap();
    stats
        .as_object_mut()
        .and_then(|fields| fields.remove("transfer_stages"))
        .expect("it is written");
    assert_eq!(
        serde_json::from_value::<Stats>(stats).unwrap(),
        Stats::default()
    );
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

/// Servers and clients of different versions: what the other does not know is absent.
#[test]
fn what_an_older_server_does_not_tell_is_absent() {
    let mut stats = serde_json::to_value(Stats::default()).unwrap();
    assert_eq!(stats.get("transfer_ids"), None);
    let read: Stats = serde_json::from_value(stats.clone()).unwrap();
    assert_eq!(read.transfer_ids, None);
    stats["transfer_ids"] = serde_json::json!({"remembered": 3, "repeated": 2, "conflicts": 1});
    let read: Stats = serde_json::from_value(stats.clone()).unwrap();
    let ids = TransferIds {
        remembered: 3,
        repeated: 2,
        conflicts: 1,
    };
    assert_eq!(read.transfer_ids, Some(ids));
    assert_eq!(serde_json::to_value(read).unwrap(), stats);
    let mut info = serde_json::json!({
        "server": "s", "version": "0", "transport": "ws", "encodings": ["json"],
        "durability": "wal-full", "pragmas": {}, "sqlite_version": "3", "database": "d",
        "batch_size": 1, "batch_timeout_us": 0.0, "queue_transfers": 1,
        "max_inflight_per_connection": 1, "pid": 1
    });
    let read: Info = serde_json::from_value(info.clone()).unwrap();
    assert_eq!((read.exactly_once, read.id_horizon_seconds), (None, None));
    assert_eq!(serde_json::to_value(read).unwrap(), info);
    info["exactly_once"] = true.into();
    info["id_horizon_seconds"] = 600.0.into();
    let read: Info = serde_json::from_value(info.clone()).unwrap();
    assert_eq!(
        (read.exactly_once, read.id_horizon_seconds),
        (Some(true), Some(600.0))
    );
    assert_eq!(serde_json::to_value(read).unwrap(), info);
}
