//! Transfers of every kind, and driving a session with them.

use std::collections::BTreeMap;

use busload_wire::{RequestId, Transfer};

use super::{ACCOUNTS, INITIAL_BALANCE};
use crate::connector::{Connector, Outcome, Reason, Reply, Session, WorkerId};

/// The id of a request.
///
/// # Panics
/// Never for numbers from 1 to 2^53.
#[must_use]
pub fn id(number: u64) -> RequestId {
    RequestId::new(number.clamp(1, 1 << 53)).unwrap_or_else(|| unreachable!("it is in range"))
}

/// A transfer that can be made.
#[must_use]
pub fn small(number: u64) -> Transfer {
    let last = u64::from(ACCOUNTS) - 1;
    let account = i64::try_from(number % last).unwrap_or(0);
    Transfer {
        from: account,
        to: account + 1,
        amount: 1,
        transfer_id: None,
    }
}

/// Transfers that can be made and transfers that cannot, and what becomes of them in a ledger of
/// [`ACCOUNTS`] with [`INITIAL_BALANCE`] each.
#[must_use]
pub fn of_every_kind(number: u64) -> (Transfer, Outcome) {
    let good = small(number);
    let refused = |code, transfer| (transfer, Outcome::Rejected(code));
    match number % 8 {
        0 => refused(
            Reason::InvalidTransfer,
            Transfer {
                to: good.from,
                ..good
            },
        ),
        1 => refused(
            Reason::AccountMissing,
            Transfer {
                to: i64::from(ACCOUNTS),
                ..good
            },
        ),
        2 => refused(Reason::AccountMissing, Transfer { from: -1, ..good }),
        3 => refused(
            Reason::InsufficientFunds,
            Transfer {
                amount: INITIAL_BALANCE * 900,
                ..good
            },
        ),
        4 => refused(Reason::InvalidTransfer, Transfer { amount: 0, ..good }),
        5 => refused(
            Reason::InvalidTransfer,
            Transfer {
                amount: i64::MIN,
                ..good
            },
        ),
        _ => (good, Outcome::Committed),
    }
}

/// Puts the transfers on a session of this connector, all of them in flight at the same time, and
/// gives the outcome of each; the text says why it cannot.
pub(super) async fn outcomes<C: Connector>(
    connector: C,
    transfers: &BTreeMap<u64, Transfer>,
) -> Result<BTreeMap<u64, Outcome>, String> {
    let connected = connector.connect(WorkerId(0)).await;
    let mut session = connected.map_err(|error| crate::with_causes(&error))?;
    let lost = |error: &dyn std::error::Error| format!("the connection broke: {error}");
    for (number, transfer) in transfers {
        let submitted = session.submit(id(*number), *transfer);
        submitted.map_err(|error| lost(&error))?;
    }
    let mut replies: Vec<Reply> = Vec::new();
    let mut outcomes = BTreeMap::new();
    while outcomes.len() < transfers.len() {
        let waited = session.replies(&mut replies).await;
        for reply in replies.drain(..) {
            let number = reply.id.get();
            if !transfers.contains_key(&number) {
                return Err(format!("an answer to request {number}, which was not sent"));
            }
            if outcomes.insert(number, reply.outcome).is_some() {
                return Err(format!("two answers to request {number}"));
            }
        }
        waited.map_err(|error| lost(&error))?;
    }
    session.close().await;
    Ok(outcomes)
}
