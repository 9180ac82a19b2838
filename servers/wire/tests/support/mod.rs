//! Strategies for everything that can be said over the wire.

#![allow(dead_code, reason = "each test crate uses its own part")]

use busload_wire::message::REQUEST_ID_MAX;
use busload_wire::{Call, ErrorCode, Request, RequestId, Transfer, TransferId};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;

/// The same cases in every run, unless `PROPTEST_RNG_SEED` says otherwise.
pub(crate) fn same_cases() -> ProptestConfig {
    let mut config = ProptestConfig::default();
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(360);
    }
    config
}

pub(crate) type Outcome = Result<(), ErrorCode>;

pub(crate) fn request_id(id: u64) -> RequestId {
    RequestId::new(id).expect("the test's ids are in range")
}

/// Any request id, the limits more often than chance would have it.
pub(crate) fn request_ids() -> impl Strategy<Value = RequestId> {
    prop_oneof![
        1 => Just(request_id(0)),
        1 => Just(request_id(REQUEST_ID_MAX)),
        8 => (0..=REQUEST_ID_MAX).prop_map(request_id),
    ]
}

/// Any number, whatever the ledger may think of it.
pub(crate) fn numbers() -> impl Strategy<Value = i64> {
    prop_oneof![
        1 => select(vec![0, 1, -1, i64::MAX, i64::MIN]),
        4 => any::<i64>(),
    ]
}

pub(crate) fn transfers(
    transfer_ids: impl Strategy<Value = Option<u128>>,
) -> impl Strategy<Value = Transfer> {
    (numbers(), numbers(), numbers(), transfer_ids).prop_map(|(from, to, amount, id)| Transfer {
        from,
        to,
        amount,
        transfer_id: id.map(TransferId::from_u128),
    })
}

pub(crate) fn calls() -> impl Strategy<Value = Call> {
    prop_oneof![
        Just(Call::Health),
        Just(Call::Verify),
        Just(Call::Info),
        any::<(bool, bool)>().prop_map(|(balances, histograms)| Call::Stats {
            balances,
            histograms
        }),
        numbers().prop_map(|id| Call::GetAccount { id }),
        (numbers(), numbers()).prop_map(|(accounts, initial_balance)| Call::Seed {
            accounts,
            initial_balance
        }),
        transfers(any::<Option<u128>>()).prop_map(Call::Transfer),
    ]
}

pub(crate) fn requests() -> impl Strategy<Value = Request> {
    (proptest::option::of(request_ids()), calls()).prop_map(|(id, call)| Request { id, call })
}

pub(crate) fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![Just(Ok(())), select(ErrorCode::ALL).prop_map(Err)]
}
