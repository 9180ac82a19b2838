//! The one map from engine errors to what is said on the wire; outcomes know their code.

use busload_engine::{ControlCall, ControlReply, Degradation, EngineError};
use busload_wire::control::{Health, Stats};
use busload_wire::json::{AnswerId, encode_outcome, encode_refusal, encode_result};
use busload_wire::{Call, ErrorCode, Transfer};
use bytes::BytesMut;

/// The wire's word for a control call that failed.
pub(crate) const fn of_error(error: &EngineError) -> ErrorCode {
    match error {
        EngineError::NotConserved { .. }
        | EngineError::SeededElsewhere { .. }
        | EngineError::AccountsChanged { .. }
        | EngineError::NothingChanged => ErrorCode::VerifyFailed,
        EngineError::MustNotWipe => ErrorCode::Forbidden,
        EngineError::SeedOutOfRange { .. } => ErrorCode::InvalidRequest,
        EngineError::Overloaded => ErrorCode::Overloaded,
        EngineError::ShuttingDown => ErrorCode::ShuttingDown,
        EngineError::StorageFull => ErrorCode::StorageFull,
        EngineError::InDoubt(_)
        | EngineError::CheckpointUnsynced(_)
        | EngineError::FileGone { .. } => ErrorCode::UnknownOutcome,
        EngineError::Busy(_)
        | EngineError::NotALedger { .. }
        | EngineError::CannotOpen { .. }
        | EngineError::CannotServe(_)
        | EngineError::DurabilityChanged { .. }
        | EngineError::Writer(_)
        | EngineError::Storage(_) => ErrorCode::Internal,
    }
}

/// Beside `verify_failed`, without the digits that an error text must not have.
const SEEDED_ELSEWHERE: &str = "the total is that of another initial balance: another program has \
    seeded this file; start the server with --initial-balance, or seed through it";

/// What a request needs: the writer's queue, or nothing but words.
pub(crate) enum Route {
    /// To be batched.
    Transfer(Transfer),
    /// To be answered by the engine, in order.
    Control(ControlCall),
    /// Answered by the front end.
    Health,
    /// Answered by the front end.
    Info,
    /// Counters without histograms: answered by the front end, out of turn.
    Totals,
    /// Counters with histograms: answered by the front end, out of turn, by a thread that has
    /// the time to pack them.
    Histograms,
}

/// Where a call goes. Where clients may not seed, a seeding succeeds that has nothing to do.
#[expect(
    clippy::needless_pass_by_value,
    reason = "calls are consumed where they are routed"
)]
pub(crate) fn route(call: Call, may_seed: bool) -> Route {
    match call {
        Call::Transfer(transfer) => Route::Transfer(transfer),
        Call::GetAccount { id } => Route::Control(ControlCall::GetAccount { id }),
        Call::Seed {
            accounts,
            initial_balance,
        } => Route::Control(ControlCall::Seed {
            accounts,
            initial_balance,
            may_wipe: may_seed,
        }),
        Call::Verify => Route::Control(ControlCall::Verify),
        Call::Stats {
            balances: true,
            histograms,
        } => Route::Control(ControlCall::Stats { histograms }),
        Call::Stats { histograms, .. } if histograms => Route::Histograms,
        Call::Stats { .. } => Route::Totals,
        Call::Health => Route::Health,
        Call::Info => Route::Info,
    }
}

pub(crate) fn encode_health(out: &mut BytesMut, id: AnswerId, degradations: &[Degradation]) {
    encode_result(
        out,
        id,
        &Health {
            status: if degradations.is_empty() {
                "ok"
            } else {
                "degraded"
            }
            .to_owned(),
            troubles: degradations
                .iter()
                .map(|one| one.as_str().to_owned())
                .collect(),
        },
    );
}

/// Appends the answer to a control call and says which code it was, if an error.
pub(crate) fn encode_control(
    out: &mut BytesMut,
    id: AnswerId,
    reply: &Result<ControlReply<Box<Stats>>, EngineError>,
) -> Option<ErrorCode> {
    match reply {
        Ok(ControlReply::Account(Some(account))) => encode_result(out, id, account),
        Ok(ControlReply::Account(None)) => encode_result(out, id, &()),
        Ok(ControlReply::Seeded) => encode_outcome(out, id, Ok(())),
        Ok(ControlReply::Verified(verification)) => encode_result(out, id, verification),
        Ok(ControlReply::Stats(stats)) => encode_result(out, id, stats),
        Err(error) => {
            let code = of_error(error);
            if let EngineError::SeededElsewhere { .. } = error {
                encode_refusal(out, id, code, SEEDED_ELSEWHERE);
            } else {
                encode_outcome(out, id, Err(code));
            }
            return Some(code);
        }
    }
    None
}
