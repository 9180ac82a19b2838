//! The binary encoding: what is written is read back, and nothing else gets through.

mod support;

use busload_wire::binary::{
    BinaryError, HEADER_BYTES, MessageBuilder, NO_REQUEST, OUTCOME_BYTES, TRANSFER_BYTES,
    decode_outcomes, decode_transfers,
};
use busload_wire::message::REQUEST_ID_MAX;
use busload_wire::{Answer, ErrorCode, RequestId, Transfer};
use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;
use support::{Outcome, outcomes, request_id, request_ids, same_cases, transfers};

/// What is in the reader's vector before it reads; it must still be there afterwards.
const EARLIER: Transfer = Transfer {
    from: 11,
    to: 12,
    amount: 13,
    transfer_id: None,
};

type Transfers = Vec<(RequestId, Transfer)>;
type Outcomes = Vec<(Option<RequestId>, Outcome)>;

/// Either all with transfer ids or all without: that is what one message holds.
fn messages() -> impl Strategy<Value = Transfers> {
    prop_oneof![
        vec((request_ids(), transfers(Just(None))), 1..50),
        vec(
            (request_ids(), transfers(any::<u128>().prop_map(Some))),
            1..50
        ),
    ]
}

fn outcome_messages() -> impl Strategy<Value = Outcomes> {
    vec((proptest::option::of(request_ids()), outcomes()), 1..50)
}

fn build(transfers: &Transfers) -> BytesMut {
    let mut builder = MessageBuilder::new();
    for (id, transfer) in transfers {
        builder.push_transfer(*id, transfer);
    }
    builder.finish()
}

fn build_outcomes(outcomes: &Outcomes) -> BytesMut {
    let mut builder = MessageBuilder::new();
    for (id, result) in outcomes {
        builder.push_outcome(*id, *result);
    }
    builder.finish()
}

/// Reads after something that was read before, which must stay whatever happens.
fn read(message: &[u8]) -> Result<Transfers, BinaryError> {
    let mut out = vec![(request_id(1), EARLIER)];
    let result = decode_transfers(message, &mut out);
    assert_eq!(out.remove(0), (request_id(1), EARLIER));
    match result {
        Ok(()) => Ok(out),
        Err(error) => {
            assert_eq!(out, [], "nothing is added when {error}");
            Err(error)
        }
    }
}

fn read_outcomes(message: &[u8]) -> Result<Vec<Answer>, BinaryError> {
    let earlier = Answer {
        id: Some(request_id(1)),
        result: Ok(()),
    };
    let mut out = vec![earlier.clone()];
    let result = decode_outcomes(message, &mut out);
    assert_eq!(out.remove(0), earlier);
    match result {
        Ok(()) => Ok(out),
        Err(error) => {
            assert_eq!(out, [], "nothing is added when {error}");
            Err(error)
        }
    }
}

proptest! {
    #![proptest_config(same_cases())]

    #[test]
    fn every_transfer_survives(transfers in messages()) {
        prop_assert_eq!(read(&build(&transfers)), Ok(transfers));
    }

    #[test]
    fn every_outcome_survives(outcomes in outcome_messages()) {
        let answers: Vec<_> = outcomes
            .iter()
            .map(|&(id, result)| Answer { id, result: result.map_err(Some) })
            .collect();
        prop_assert_eq!(read_outcomes(&build_outcomes(&outcomes)), Ok(answers));
    }

    #[test]
    fn a_builder_starts_anew_after_each_message(first in messages(), second in messages()) {
        let mut builder = MessageBuilder::new();
        for message in [&first, &second] {
            prop_assert!(builder.is_empty());
            for (id, transfer) in message {
                prop_assert!(builder.accepts(transfer));
                builder.push_transfer(*id, transfer);
            }
            prop_assert_eq!(builder.len(), message.len());
            prop_assert_eq!(builder.finish(), build(message));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_never_leave_half_a_message(
        mut bytes in vec(any::<u8>(), 0..400),
        header in any::<bool>(),
        kind in prop::sample::select(vec![1_u8, 2, 129]),
        count in 0..12_u8,
    ) {
        if header && bytes.len() >= HEADER_BYTES {
            bytes[..HEADER_BYTES].copy_from_slice(&[kind, 0, 0, 0, count, 0, 0, 0]);
        }
        let _ = read(&bytes);
        let _ = read_outcomes(&bytes);
    }

    #[test]
    fn a_message_with_one_byte_more_or_less_is_refused(
        transfers in messages(),
        cut in any::<prop::sample::Index>(),
        extra in vec(any::<u8>(), 1..60),
    ) {
        let mut message = build(&transfers);
        let shorter = &message[..cut.index(message.len())];
        prop_assert_eq!(read(shorter), Err(BinaryError::Length));
        message.extend_from_slice(&extra);
        prop_assert_eq!(read(&message), Err(BinaryError::Length));
    }

    /// The last record of many is wrong: the good ones before it must not get through.
    #[test]
    fn one_bad_record_spoils_its_message(
        transfers in messages(),
        bad in (REQUEST_ID_MAX + 1)..=u64::MAX,
        place in any::<prop::sample::Index>(),
    ) {
        let mut message = build(&transfers);
        let record_bytes = (message.len() - HEADER_BYTES) / transfers.len();
        let at = HEADER_BYTES + place.index(transfers.len()) * record_bytes;
        message[at..at + 8].copy_from_slice(&bad.to_le_bytes());
        prop_assert_eq!(read(&message), Err(BinaryError::RequestId));
    }
}

#[test]
fn a_header_must_be_that_of_the_direction() {
    let plain = (request_id(1), EARLIER);
    let transfers = build(&vec![plain]);
    let outcomes = build_outcomes(&vec![(Some(request_id(1)), Ok(()))]);
    assert_eq!(read(&outcomes), Err(BinaryError::Kind(129)));
    assert_eq!(read_outcomes(&transfers), Err(BinaryError::Kind(1)));
    for kind in [0, 3, 127, 128, 130, 255] {
        let (mut transfers, mut outcomes) = (transfers.clone(), outcomes.clone());
        (transfers[0], outcomes[0]) = (kind, kind);
        assert_eq!(read(&transfers), Err(BinaryError::Kind(kind)));
        assert_eq!(read_outcomes(&outcomes), Err(BinaryError::Kind(kind)));
    }
    for reserved in 1..4 {
        let (mut transfers, mut outcomes) = (transfers.clone(), outcomes.clone());
        (transfers[reserved], outcomes[reserved]) = (1, 128);
        assert_eq!(read(&transfers), Err(BinaryError::Reserved));
        assert_eq!(read_outcomes(&outcomes), Err(BinaryError::Reserved));
    }
    // A transfer with an id is as long as none of the others.
    let mut with_ids = transfers.clone();
    with_ids[0] = 2;
    assert_eq!(read(&with_ids), Err(BinaryError::Length));
}

#[test]
fn the_record_count_is_not_believed() {
    let message = build(&vec![(request_id(1), EARLIER)]);
    for count in [0_u32, 2, 3, 0x0100_0000, u32::MAX] {
        let mut message = message.clone();
        message[4..8].copy_from_slice(&count.to_le_bytes());
        assert_eq!(read(&message), Err(BinaryError::Length), "{count}");
    }
    for length in 0..=HEADER_BYTES {
        assert_eq!(read(&message[..length]), Err(BinaryError::Length));
    }
}

#[test]
fn an_outcome_has_a_known_code_and_nothing_reserved() {
    let message = build_outcomes(&vec![(None, Ok(())), (Some(request_id(2)), Ok(()))]);
    assert_eq!(message.len(), HEADER_BYTES + 2 * OUTCOME_BYTES);
    let second = HEADER_BYTES + OUTCOME_BYTES;
    for code in (0..=u16::MAX).filter(|code| ErrorCode::from_number(*code).is_none()) {
        let mut message = message.clone();
        message[second + 8..second + 10].copy_from_slice(&code.to_le_bytes());
        let expected = if code == 0 {
            Ok(2)
        } else {
            Err(BinaryError::Code(code))
        };
        assert_eq!(
            read_outcomes(&message).map(|answers| answers.len()),
            expected
        );
    }
    for reserved in 10..OUTCOME_BYTES {
        let mut message = message.clone();
        message[second + reserved] = 1;
        assert_eq!(read_outcomes(&message), Err(BinaryError::Reserved));
    }
    for id in [REQUEST_ID_MAX + 1, NO_REQUEST - 1] {
        let mut message = message.clone();
        message[second..second + 8].copy_from_slice(&id.to_le_bytes());
        assert_eq!(read_outcomes(&message), Err(BinaryError::RequestId));
    }
}

#[test]
fn a_message_holds_one_kind_of_record() {
    let with_id = Transfer {
        transfer_id: Some(busload_wire::TransferId::from_u128(5)),
        ..EARLIER
    };
    let mut builder = MessageBuilder::new();
    assert!(builder.accepts(&EARLIER) && builder.accepts(&with_id));
    builder.push_transfer(request_id(1), &EARLIER);
    assert!(builder.accepts(&EARLIER) && !builder.accepts(&with_id));
    assert_eq!(builder.finish().len(), HEADER_BYTES + TRANSFER_BYTES);
    builder.push_transfer(request_id(1), &with_id);
    assert!(!builder.accepts(&EARLIER) && builder.accepts(&with_id));
    builder.finish();
    builder.push_outcome(None, Ok(()));
    assert!(!builder.accepts(&EARLIER) && !builder.accepts(&with_id));
}

#[test]
fn nothing_makes_no_message() {
    let mut builder = MessageBuilder::new();
    assert_eq!(builder.finish().len(), 0);
    assert_eq!(read(&[]), Err(BinaryError::Length));
}
