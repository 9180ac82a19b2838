//! Messages made from the fuzzer's bytes, for the direction from a message to its encoding.

use busload_wire::{Answer, Call, ErrorCode, Request, RequestId, Transfer, TransferId};
use libfuzzer_sys::arbitrary::{Result, Unstructured};

/// Most records in a message: more of the same shows nothing new.
const MOST_RECORDS: usize = 64;

/// A request id from its whole range, 0 to 2^53.
pub fn request_id(bytes: &mut Unstructured<'_>) -> Result<RequestId> {
    let id = bytes.int_in_range(0..=1 << 53)?;
    Ok(RequestId::new(id).expect("it is in range"))
}

/// A transfer, with a transfer id if asked for.
pub fn transfer(bytes: &mut Unstructured<'_>, with_id: bool) -> Result<Transfer> {
    Ok(Transfer {
        from: bytes.arbitrary()?,
        to: bytes.arbitrary()?,
        amount: bytes.arbitrary()?,
        transfer_id: if with_id {
            Some(TransferId::from_u128(bytes.arbitrary()?))
        } else {
            None
        },
    })
}

/// The transfers of one message: all with transfer ids, or none.
pub fn transfers(bytes: &mut Unstructured<'_>) -> Result<Vec<(RequestId, Transfer)>> {
    let with_ids = bytes.arbitrary()?;
    (0..bytes.int_in_range(1..=MOST_RECORDS)?)
        .map(|_| Ok((request_id(bytes)?, transfer(bytes, with_ids)?)))
        .collect()
}

/// Success or an error code.
pub fn result(bytes: &mut Unstructured<'_>) -> Result<std::result::Result<(), ErrorCode>> {
    Ok(if bytes.arbitrary()? {
        Ok(())
    } else {
        Err(*bytes.choose(ErrorCode::ALL)?)
    })
}

/// An answer to a transfer.
pub fn answer(bytes: &mut Unstructured<'_>) -> Result<Answer> {
    let id = if bytes.arbitrary()? {
        Some(request_id(bytes)?)
    } else {
        None
    };
    let result = result(bytes)?.map_err(Some);
    Ok(Answer { id, result })
}

/// The outcomes of one message.
pub fn answers(bytes: &mut Unstructured<'_>) -> Result<Vec<Answer>> {
    (0..bytes.int_in_range(1..=MOST_RECORDS)?)
        .map(|_| answer(bytes))
        .collect()
}

/// Any request.
pub fn request(bytes: &mut Unstructured<'_>) -> Result<Request> {
    let id = if bytes.arbitrary()? {
        Some(request_id(bytes)?)
    } else {
        None
    };
    let call = match bytes.int_in_range(0..=7)? {
        0 => Call::Health,
        1 => Call::Verify,
        2 => Call::Info,
        3 => Call::GetAccount {
            id: bytes.arbitrary()?,
        },
        4 => Call::Seed {
            accounts: bytes.arbitrary()?,
            initial_balance: bytes.arbitrary()?,
        },
        5 => Call::Stats {
            balances: bytes.arbitrary()?,
            histograms: bytes.arbitrary()?,
        },
        with_id => Call::Transfer(transfer(bytes, with_id == 6)?),
    };
    Ok(Request { id, call })
}
