//! The rules, in memory, on balances that are locked.

use busload_engine::{Outcome, Rejection, is_invalid};
use busload_wire::Transfer;

/// An account as it was read, and as the batch leaves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) id: i64,
    pub(crate) before: i64,
    pub(crate) now: i64,
}

/// What a transfer comes to between two balances; with `None`, an account that does not exist.
pub(crate) fn verdict(amount: i64, payer: Option<i64>, receiver: Option<i64>) -> Outcome {
    let (Some(payer), Some(receiver)) = (payer, receiver) else {
        return Outcome::Rejected(Rejection::AccountMissing);
    };
    if payer < amount {
        Outcome::Rejected(Rejection::InsufficientFunds)
    } else if receiver.checked_add(amount).is_none() {
        Outcome::Rejected(Rejection::BalanceOverflow)
    } else {
        Outcome::Committed
    }
}

/// Applies one transfer to accounts that are in the order of their ids.
pub(crate) fn decide(transfer: &Transfer, accounts: &mut [Account]) -> Outcome {
    if is_invalid(transfer) {
        return Outcome::Rejected(Rejection::InvalidTransfer);
    }
    let place = |id: i64| {
        accounts
            .binary_search_by_key(&id, |account| account.id)
            .ok()
    };
    let (payer, receiver) = (place(transfer.from), place(transfer.to));
    let now = |place: Option<usize>| place.map(|place| accounts[place].now);
    let outcome = verdict(transfer.amount, now(payer), now(receiver));
    if outcome == Outcome::Committed
        && let (Some(payer), Some(receiver)) = (payer, receiver)
    {
        accounts[payer].now -= transfer.amount;
        accounts[receiver].now += transfer.amount;
    }
    outcome
}
