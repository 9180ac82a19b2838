//! A model of a ledger, for any database's to be held against, and what to hold it with.

#![allow(dead_code, reason = "each test crate uses its own part")]

use std::collections::BTreeMap;

use busload_engine::{Outcome, Rejection};
use busload_wire::Transfer;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// The rules once more, as simple as can be.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) balances: Vec<i64>,
    pub(crate) committed: u64,
    pub(crate) rejected: BTreeMap<&'static str, u64>,
    pub(crate) row_changes: u64,
    pub(crate) refunds: u64,
    pub(crate) batches: u64,
    pub(crate) batches_that_wrote: u64,
}

impl Model {
    fn account(&self, id: i64) -> Option<usize> {
        usize::try_from(id)
            .ok()
            .filter(|id| *id < self.balances.len())
    }

    fn judge(&self, one: &Transfer) -> Result<(usize, usize), Rejection> {
        if one.amount < 1 || one.from == one.to {
            return Err(Rejection::InvalidTransfer);
        }
        let (Some(from), Some(to)) = (self.account(one.from), self.account(one.to)) else {
            return Err(Rejection::AccountMissing);
        };
        if self.balances[from] < one.amount {
            return Err(Rejection::InsufficientFunds);
        }
        if self.balances[to].checked_add(one.amount).is_none() {
            return Err(Rejection::BalanceOverflow);
        }
        Ok((from, to))
    }

    /// Whether the debit goes through before the credit fails.
    fn has_to_refund(&self, one: &Transfer, rejection: Rejection) -> bool {
        let payer_can = self
            .account(one.from)
            .is_some_and(|from| self.balances[from] >= one.amount);
        match rejection {
            Rejection::BalanceOverflow => true,
            Rejection::AccountMissing => payer_can,
            Rejection::InvalidTransfer | Rejection::InsufficientFunds | Rejection::Conflict => {
                false
            }
        }
    }

    pub(crate) fn batch(&mut self, transfers: &[Transfer]) -> Vec<Outcome> {
        let (mut applied, mut refunds) = (0, 0);
        let mut outcomes = Vec::new();
        for one in transfers {
            let verdict = self.judge(one);
            match verdict {
                Ok((from, to)) => {
                    self.balances[from] -= one.amount;
                    self.balances[to] += one.amount;
                    applied += 1;
                    outcomes.push(Outcome::Committed);
                }
                Err(rejection) => {
                    refunds += u64::from(self.has_to_refund(one, rejection));
                    let code = match rejection {
                        Rejection::InvalidTransfer => "invalid_transfer",
                        Rejection::AccountMissing => "account_missing",
                        Rejection::InsufficientFunds => "insufficient_funds",
                        Rejection::BalanceOverflow => "balance_overflow",
                        Rejection::Conflict => "conflict",
                    };
                    *self.rejected.entry(code).or_default() += 1;
                    outcomes.push(Outcome::Rejected(rejection));
                }
            }
        }
        self.committed += applied;
        self.batches += 1;
        // What was only taken back is rolled back as a whole.
        if applied > 0 {
            self.row_changes += 2 * (applied + refunds);
            self.refunds += refunds;
            self.batches_that_wrote += 1;
        }
        outcomes
    }
}

const LIMIT: i64 = i64::MAX;

pub(crate) fn balances() -> impl Strategy<Value = Vec<i64>> {
    vec(
        select(vec![0, 1, 5, 100, 1 << 40, LIMIT / 2, LIMIT - 5, LIMIT]),
        2..7,
    )
}

pub(crate) fn transfers() -> impl Strategy<Value = Transfer> {
    // Some accounts are missing, some transfers are to oneself, most amounts are small.
    let accounts = || prop_oneof![9 => 0..6_i64, 1 => select(vec![-1, 6, 7, LIMIT, i64::MIN])];
    let amounts = prop_oneof![
        8 => 1..8_i64,
        2 => select(vec![0, -1, i64::MIN, 100, 1 << 40, LIMIT / 2, LIMIT - 5, LIMIT]),
    ];
    (accounts(), accounts(), amounts).prop_map(|(from, to, amount)| Transfer {
        from,
        to,
        amount,
        transfer_id: None,
    })
}

/// Rounds of vectors; the vectors of a round are all queued before the writer looks.
pub(crate) fn rounds() -> impl Strategy<Value = Vec<Vec<Vec<Transfer>>>> {
    vec(vec(vec(transfers(), 0..12), 1..6), 1..4)
}
