use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::super::{
    Envelope, RequestText, TransferArgs, decode_answer, decode_request, encode_outcome,
    encode_transfer,
};
use super::*;
use crate::message::REQUEST_ID_MAX;

fn same_cases() -> ProptestConfig {
    let mut config = ProptestConfig::with_cases(2_000);
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(167_915);
    }
    config
}

fn ids() -> impl Strategy<Value = Option<RequestId>> {
    prop_oneof![
        Just(None),
        Just(RequestId::new(0)),
        Just(RequestId::new(REQUEST_ID_MAX)),
        (0..=REQUEST_ID_MAX).prop_map(RequestId::new),
    ]
}

fn numbers() -> impl Strategy<Value = i64> {
    prop_oneof![
        proptest::sample::select(vec![0, 1, -1, i64::MAX, i64::MIN, 999_999_999_999_999_999]),
        any::<i64>(),
        0..100_000_i64,
    ]
}

fn transfers() -> impl Strategy<Value = Transfer> {
    (numbers(), numbers(), numbers()).prop_map(|(from, to, amount)| Transfer {
        from,
        to,
        amount,
        transfer_id: None,
    })
}

/// The library's reading: white space in front keeps the canonical reader out.
fn by_the_library(text: &[u8]) -> Vec<u8> {
    [b" ", text].concat()
}

/// A text, and what a hostile or careless writer makes of it: a byte put in place of another,
/// put in, left out, or everything from there on cut off.
fn damaged(text: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop_oneof![
        proptest::sample::select(b"{}:,\"0123456789-+.eE_ \\tfidarnmou\t\n\xff\x00".to_vec()),
        any::<u8>(),
    ];
    (0..=text.len(), 0..4_u8, bytes).prop_map(move |(at, what, byte)| {
        let mut text = text.clone();
        match what {
            0 => text.insert(at, byte),
            1 => text.truncate(at),
            2 if at < text.len() => text[at] = byte,
            _ if at < text.len() => drop(text.remove(at)),
            _ => text.push(byte),
        }
        text
    })
}

/// A transfer in the key orders and spellings that clients use.
fn request_texts() -> impl Strategy<Value = Vec<u8>> {
    let keys = Just(vec!["from_id", "to_id", "amount"]).prop_shuffle();
    (ids(), transfers(), keys, any::<bool>()).prop_map(|(id, transfer, keys, short)| {
        let value = |key: &str| match key {
            "from_id" => transfer.from,
            "to_id" => transfer.to,
            _ => transfer.amount,
        };
        let args: Vec<String> = keys
            .iter()
            .map(|key| {
                let written = if short {
                    key.trim_end_matches("_id")
                } else {
                    key
                };
                format!("\"{written}\":{}", value(key))
            })
            .collect();
        let id = id.map_or(String::new(), |id| format!("\"id\":{},", id.get()));
        format!(
            "{{{id}\"name\":\"transfer\",\"args\":{{{}}}}}",
            args.join(",")
        )
        .into_bytes()
    })
}

proptest! {
    #![proptest_config(same_cases())]

    #[test]
    fn a_transfer_is_written_as_the_library_writes_it(id in ids(), transfer in transfers()) {
        let mut ours = BytesMut::new();
        encode_transfer(&mut ours, id, &transfer);
        let theirs = serde_json::to_vec(&RequestText {
            id: id.map(RequestId::get),
            name: "transfer",
            args: Some(TransferArgs {
                from_id: transfer.from,
                to_id: transfer.to,
                amount: transfer.amount,
                transfer_id: None,
            }),
        })
        .unwrap();
        prop_assert_eq!(&ours[..], &theirs[..]);
    }

    #[test]
    fn an_outcome_is_written_as_the_library_writes_it(
        id in ids(),
        named in any::<bool>(),
        code in proptest::option::of(proptest::sample::select(ErrorCode::ALL)),
    ) {
        let id = if named { AnswerId::Echo(id) } else { AnswerId::Absent };
        let mut ours = BytesMut::new();
        encode_outcome(&mut ours, id, code.map_or(Ok(()), Err));
        let theirs = serde_json::to_vec(&Envelope::<()> {
            id,
            ok: code.is_none(),
            result: None,
            error: code.map(ErrorCode::as_str),
            detail: None,
        })
        .unwrap();
        prop_assert_eq!(&ours[..], &theirs[..]);
    }

    #[test]
    fn what_is_read_here_is_what_the_library_reads(text in request_texts()) {
        let ours = read_transfer(&text);
        let theirs = decode_request(&by_the_library(&text));
        if let Some(ours) = ours {
            prop_assert_eq!(Ok(ours), theirs);
        }
    }

    #[test]
    fn a_damaged_transfer_is_read_as_the_library_reads_it(
        text in request_texts().prop_flat_map(damaged)
    ) {
        prop_assert_eq!(decode_request(&text), decode_request(&by_the_library(&text)));
    }

    #[test]
    fn a_damaged_answer_is_read_as_the_library_reads_it(
        text in ids()
            .prop_map(|id| {
                let mut text = BytesMut::new();
                let id = id.map_or(AnswerId::Absent, |id| AnswerId::Echo(Some(id)));
                encode_outcome(&mut text, id, Ok(()));
                text.to_vec()
            })
            .prop_flat_map(damaged)
    ) {
        prop_assert_eq!(decode_answer(&text), decode_answer(&by_the_library(&text)));
    }

    #[test]
    fn a_load_is_read_without_the_library(
        id in ids(),
        from in 0..1_000_000_000_000_000_000_i64,
        to in 0..10_000_000_i64,
    ) {
        let transfer = Transfer { from, to, amount: 1, transfer_id: None };
        let mut text = BytesMut::new();
        encode_transfer(&mut text, id, &transfer);
        prop_assert_eq!(
            read_transfer(&text),
            Some(Request { id, call: Call::Transfer(transfer) })
        );
        text.clear();
        let echo = id.map_or(AnswerId::Absent, |id| AnswerId::Echo(Some(id)));
        encode_outcome(&mut text, echo, Ok(()));
        prop_assert_eq!(read_success(&text), Some(Answer { id, result: Ok(()) }));
    }
}

#[test]
fn numbers_that_are_not_canonical_are_left_to_the_library() {
    for number in [
        "-1",
        "-0",
        "01",
        "1.0",
        "1e3",
        "",
        "9223372036854775807",
        "1 ",
        "\"1\"",
    ] {
        let text = format!(
            "{{\"name\":\"transfer\",\"args\":{{\"from_id\":1,\"to_id\":2,\"amount\":{number}}}}}"
        );
        assert_eq!(read_transfer(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn a_key_that_comes_twice_is_left_to_the_library() {
    let text = br#"{"name":"transfer","args":{"from_id":1,"from_id":2,"amount":3}}"#;
    assert_eq!(read_transfer(text), None);
}
