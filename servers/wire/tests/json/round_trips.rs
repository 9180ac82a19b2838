//! What is written is read back, and what is not was never a request.

use busload_wire::control::Account;
use busload_wire::json::{
    AnswerId, decode_answer, decode_control, decode_request, encode_outcome, encode_result,
    encode_transfer,
};
use busload_wire::{Answer, Call, Request, Transfer};
use bytes::BytesMut;
use proptest::prelude::*;

use crate::encoded;
use crate::support::{outcomes, request_id, request_ids, requests, same_cases, transfers};

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
