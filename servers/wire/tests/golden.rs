//! The bytes on the wire, written out. Other people's clients and servers speak this: a test
//! that fails here means a new version of the protocol, not a new expectation.

mod support;

use busload_wire::binary::{MessageBuilder, SUBPROTOCOL};
use busload_wire::control::{Account, Health, Verification};
use busload_wire::json::{AnswerId, encode_outcome, encode_request, encode_result};
use busload_wire::{Call, ErrorCode, OutcomeClass, Request, RequestId, Transfer, TransferId};
use bytes::BytesMut;
use serde::Serialize;
use support::request_id;

const TRANSFER: Transfer = Transfer {
    from: 1,
    to: 99_999,
    amount: 250,
    transfer_id: None,
};

fn with_id() -> Transfer {
    let transfer_id = Some(TransferId::from_u128(
        0xfeed_0000_0000_0000_0000_0000_0000_0001,
    ));
    Transfer {
        transfer_id,
        ..TRANSFER
    }
}

fn request(id: Option<RequestId>, call: Call) -> String {
    let mut text = BytesMut::new();
    encode_request(&mut text, &Request { id, call });
    String::from_utf8(text.to_vec()).expect("JSON is UTF-8")
}

fn outcome(id: AnswerId, result: Result<(), ErrorCode>) -> String {
    let mut text = BytesMut::new();
    encode_outcome(&mut text, id, result);
    String::from_utf8(text.to_vec()).expect("JSON is UTF-8")
}

fn result<R: Serialize>(id: AnswerId, result: &R) -> String {
    let mut text = BytesMut::new();
    encode_result(&mut text, id, result);
    String::from_utf8(text.to_vec()).expect("JSON is UTF-8")
}

#[test]
fn json_requests() {
    let id = Some(request_id(7));
    for (call, text) in [
        (
            Call::Transfer(TRANSFER),
            r#"{"id":7,"name":"transfer","args":{"from_id":1,"to_id":99999,"amount":250}}"#,
        ),
        (
            Call::Transfer(with_id()),
            concat!(
                r#"{"id":7,"name":"transfer","args":{"from_id":1,"to_id":99999,"amount":250,"#,
                r#""transfer_id":"feed0000000000000000000000000001"}}"#
            ),
        ),
        (Call::Health, r#"{"id":7,"name":"health"}"#),
        (
            Call::GetAccount { id: 3 },
            r#"{"id":7,"name":"getAccount","args":{"id":3}}"#,
        ),
        (
            Call::Seed {
                accounts: 100_000,
                initial_balance: 10_000_000,
            },
            r#"{"id":7,"name":"seed","args":{"accounts":100000,"initialBalance":10000000}}"#,
        ),
        (Call::Verify, r#"{"id":7,"name":"verify"}"#),
        (Call::Info, r#"{"id":7,"name":"info"}"#),
        (
            Call::Stats {
                balances: true,
                histograms: true,
            },
            r#"{"id":7,"name":"stats","args":{"balances":true}}"#,
        ),
        (
            Call::Stats {
                balances: false,
                histograms: false,
            },
            r#"{"id":7,"name":"stats","args":{"balances":false,"histograms":false}}"#,
        ),
    ] {
        assert_eq!(request(id, call.clone()), text);
        assert_eq!(
            request(None, call),
            text.replace(r#""id":7,"name""#, r#""name""#)
        );
    }
}

#[test]
fn json_answers() {
    let echo = AnswerId::Echo(Some(request_id(9_007_199_254_740_992)));
    assert_eq!(outcome(AnswerId::Absent, Ok(())), r#"{"ok":true}"#);
    assert_eq!(
        outcome(echo, Ok(())),
        r#"{"id":9007199254740992,"ok":true}"#
    );
    assert_eq!(
        outcome(echo, Err(ErrorCode::InsufficientFunds)),
        r#"{"id":9007199254740992,"ok":false,"error":"insufficient_funds"}"#
    );
    assert_eq!(
        outcome(AnswerId::Echo(None), Err(ErrorCode::InvalidRequest)),
        r#"{"id":null,"ok":false,"error":"invalid_request"}"#
    );
    assert_eq!(
        outcome(AnswerId::Absent, Err(ErrorCode::StorageFull)),
        r#"{"ok":false,"error":"storage_full"}"#
    );
    let id = AnswerId::Echo(Some(request_id(0)));
    assert_eq!(
        result(
            id,
            &Health {
                troubles: Vec::new(),
                status: "ok".to_owned()
            }
        ),
        r#"{"id":0,"ok":true,"result":{"status":"ok"}}"#
    );
    assert_eq!(
        result(
            AnswerId::Absent,
            &Account {
                id: 1,
                balance: "10000000".to_owned()
            }
        ),
        r#"{"ok":true,"result":{"id":1,"balance":"10000000"}}"#
    );
    // An account that does not exist.
    assert_eq!(result(id, &()), r#"{"id":0,"ok":true,"result":null}"#);
    assert_eq!(
        result(AnswerId::Absent, &Verification::Skipped { skipped: true }),
        r#"{"ok":true,"result":{"skipped":true}}"#
    );
    let verified = Verification::Verified {
        accounts: "2".to_owned(),
        total: "20".to_owned(),
        changed: "1".to_owned(),
        compared_with: None,
    };
    assert_eq!(
        result(AnswerId::Absent, &verified),
        r#"{"ok":true,"result":{"accounts":"2","total":"20","changed":"1"}}"#
    );
}

#[test]
fn binary_transfers() {
    assert_eq!(SUBPROTOCOL, "transfer.binary.v1");
    let mut builder = MessageBuilder::new();
    builder.push_transfer(request_id(7), &TRANSFER);
    let negative = Transfer {
        from: -1,
        to: i64::MIN,
        amount: i64::MAX,
        transfer_id: None,
    };
    builder.push_transfer(request_id(1 << 53), &negative);
    #[rustfmt::skip]
    let expected = [
        1, 0, 0, 0,  2, 0, 0, 0,
        7, 0, 0, 0, 0, 0, 0, 0,
        1, 0, 0, 0, 0, 0, 0, 0,
        0x9f, 0x86, 0x01, 0, 0, 0, 0, 0,
        250, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0x20, 0,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0, 0, 0, 0, 0, 0, 0, 0x80,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ];
    assert_eq!(builder.finish().as_ref(), expected);
}

#[test]
fn binary_transfers_with_ids() {
    let mut builder = MessageBuilder::new();
    builder.push_transfer(request_id(7), &with_id());
    #[rustfmt::skip]
    let expected = [
        2, 0, 0, 0,  1, 0, 0, 0,
        7, 0, 0, 0, 0, 0, 0, 0,
        1, 0, 0, 0, 0, 0, 0, 0,
        0x9f, 0x86, 0x01, 0, 0, 0, 0, 0,
        250, 0, 0, 0, 0, 0, 0, 0,
        1, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0xed, 0xfe,
    ];
    assert_eq!(builder.finish().as_ref(), expected);
}

#[test]
fn binary_outcomes() {
    let mut builder = MessageBuilder::new();
    builder.push_outcome(Some(request_id(7)), Ok(()));
    builder.push_outcome(Some(request_id(258)), Err(ErrorCode::StorageFull));
    builder.push_outcome(None, Err(ErrorCode::InvalidRequest));
    #[rustfmt::skip]
    let expected = [
        129, 0, 0, 0,  3, 0, 0, 0,
        7, 0, 0, 0, 0, 0, 0, 0,  0, 0,  0, 0, 0, 0, 0, 0,
        2, 1, 0, 0, 0, 0, 0, 0,  16, 0,  0, 0, 0, 0, 0, 0,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,  1, 0,  0, 0, 0, 0, 0, 0,
    ];
    assert_eq!(builder.finish().as_ref(), expected);
}

/// design.md's table, with the numbers of the binary encoding.
#[test]
fn error_codes() {
    use OutcomeClass::{Failed, Rejected, Unknown};
    let table = [
        ("invalid_request", 1, 400, Rejected),
        ("invalid_transfer", 2, 400, Rejected),
        ("unauthorized", 3, 401, Failed),
        ("forbidden", 4, 403, Failed),
        ("account_missing", 5, 404, Rejected),
        ("unknown_method", 6, 404, Rejected),
        ("insufficient_funds", 7, 409, Rejected),
        ("balance_overflow", 8, 409, Rejected),
        ("conflict", 9, 409, Rejected),
        ("too_large", 10, 413, Failed),
        ("verify_failed", 11, 500, Unknown),
        ("internal", 12, 500, Unknown),
        ("unknown_outcome", 13, 500, Unknown),
        ("overloaded", 14, 503, Failed),
        ("shutting_down", 15, 503, Failed),
        ("storage_full", 16, 507, Failed),
    ];
    let codes: Vec<_> = ErrorCode::ALL
        .iter()
        .map(|code| {
            (
                code.as_str(),
                code.number(),
                code.http_status(),
                code.class(),
            )
        })
        .collect();
    assert_eq!(codes, table);
}
