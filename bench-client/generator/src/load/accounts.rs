//! What is kept of every account: what is in flight on it, and what the transfers that named it
//! came to. All accounts are kept, so that which of them are checked can be decided when the
//! load is over.

use std::collections::BTreeMap;

use crate::workload::AccountPair;

/// How many transfers took money from an account, and how many brought it some.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moves {
    /// Transfers that it paid.
    pub debits: u64,
    /// Transfers that it was paid by.
    pub credits: u64,
}

impl Moves {
    fn add(&mut self, other: Self) {
        self.debits += other.debits;
        self.credits += other.credits;
    }

    /// Transfers that named the account.
    #[must_use]
    pub fn count(self) -> u64 {
        self.debits + self.credits
    }
}

/// Small, since there are up to ten million of them per client thread.
#[derive(Debug, Clone, Copy, Default)]
struct Account {
    inflight: u32,
    /// Acknowledged, as are credits; what no longer fits is carried to [`Accounts::carried`].
    debits: u32,
    credits: u32,
}

/// The accounts of a load as a client thread, or all of them together, saw them.
#[derive(Debug)]
pub struct Accounts {
    table: Vec<Account>,
    carried: BTreeMap<u32, Moves>,
    /// Transfers of unknown outcome; few, or there is nothing to be said anyway.
    unknown: BTreeMap<u32, Moves>,
}

/// What a carried counter stands for.
const CARRY: u64 = 1 << 32;

impl Accounts {
    pub(super) fn new(count: u32) -> Self {
        Self {
            table: vec![Account::default(); count as usize],
            carried: BTreeMap::new(),
            unknown: BTreeMap::new(),
        }
    }

    /// The same of a load that is over: accounts with what acknowledged transfers, and those of
    /// unknown outcome, did with them. Accounts that the load has not are left out.
    #[must_use]
    pub fn of_changes(count: u32, changes: impl IntoIterator<Item = (u32, Moves, Moves)>) -> Self {
        let mut accounts = Self::new(count);
        for (account, acknowledged, unknown) in changes {
            if account >= count {
                continue;
            }
            if acknowledged != Moves::default() {
                // All of it may be carried: what the table has is added.
                accounts.carried.insert(account, acknowledged);
            }
            if unknown != Moves::default() {
                accounts.unknown.insert(account, unknown);
            }
        }
        accounts
    }

    /// A transfer is about to be sent; whether one of its accounts is in flight already.
    pub(super) fn enter(&mut self, pair: AccountPair) -> bool {
        let from = &mut self.table[pair.from as usize];
        let mut collides = from.inflight > 0;
        from.inflight += 1;
        let to = &mut self.table[pair.to as usize];
        collides |= to.inflight > 0;
        to.inflight += 1;
        collides
    }

    /// A transfer that was acknowledged is no longer in flight.
    pub(super) fn commit(&mut self, pair: AccountPair) {
        let from = &mut self.table[pair.from as usize];
        debug_assert!(from.inflight > 0, "what leaves has entered");
        from.inflight -= 1;
        let (debits, carry_debit) = from.debits.overflowing_add(1);
        from.debits = debits;
        let to = &mut self.table[pair.to as usize];
        debug_assert!(to.inflight > 0, "what leaves has entered");
        to.inflight -= 1;
        let (credits, carry_credit) = to.credits.overflowing_add(1);
        to.credits = credits;
        if carry_debit | carry_credit {
            self.carry(pair.from, u64::from(carry_debit), 0);
            self.carry(pair.to, 0, u64::from(carry_credit));
        }
    }

    /// A transfer that was not acknowledged is no longer in flight.
    #[cold]
    pub(super) fn leave(&mut self, pair: AccountPair, is_unknown: bool) {
        for account in [pair.from, pair.to] {
            let account = &mut self.table[account as usize];
            debug_assert!(account.inflight > 0, "what leaves has entered");
            account.inflight -= 1;
        }
        if is_unknown {
            self.unknown.entry(pair.from).or_default().debits += 1;
            self.unknown.entry(pair.to).or_default().credits += 1;
        }
    }

    #[cold]
    fn carry(&mut self, account: u32, debits: u64, credits: u64) {
        let carried = Moves {
            debits: debits * CARRY,
            credits: credits * CARRY,
        };
        self.carried.entry(account).or_default().add(carried);
    }

    /// Adds what another client thread saw of the same accounts.
    pub(super) fn merge(&mut self, other: &Self) {
        debug_assert_eq!(self.table.len(), other.table.len());
        for (account, theirs) in (0..).zip(&other.table) {
            let ours = &mut self.table[account as usize];
            let (debits, carry_debit) = ours.debits.overflowing_add(theirs.debits);
            let (credits, carry_credit) = ours.credits.overflowing_add(theirs.credits);
            ours.debits = debits;
            ours.credits = credits;
            if carry_debit | carry_credit {
                self.carry(account, u64::from(carry_debit), u64::from(carry_credit));
            }
        }
        for (all, theirs) in [
            (&mut self.carried, &other.carried),
            (&mut self.unknown, &other.unknown),
        ] {
            for (account, moves) in theirs {
                all.entry(*account).or_default().add(*moves);
            }
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.table.len()).unwrap_or(u32::MAX)
    }

    /// What acknowledged transfers did with this account, over the whole run.
    #[must_use]
    pub fn acknowledged(&self, account: u32) -> Moves {
        let mut moves = self.carried.get(&account).copied().unwrap_or_default();
        if let Some(counted) = self.table.get(account as usize) {
            moves.add(Moves {
                debits: u64::from(counted.debits),
                credits: u64::from(counted.credits),
            });
        }
        moves
    }

    /// What transfers of unknown outcome may have done with it.
    #[must_use]
    pub fn unknown(&self, account: u32) -> Moves {
        self.unknown.get(&account).copied().unwrap_or_default()
    }

    /// Whether some balance must differ from before, whatever became of the transfers of unknown
    /// outcome.
    #[must_use]
    pub fn must_differ(&self) -> bool {
        (0..self.count()).any(|account| {
            let (moves, unknown) = (self.acknowledged(account), self.unknown(account));
            moves.credits > moves.debits + unknown.debits
                || moves.debits > moves.credits + unknown.credits
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(from: u32, to: u32) -> AccountPair {
        AccountPair { from, to }
    }

    fn commit(accounts: &mut Accounts, from: u32, to: u32) {
        let _ = accounts.enter(pair(from, to));
        accounts.commit(pair(from, to));
    }

    fn moves(debits: u64, credits: u64) -> Moves {
        Moves { debits, credits }
    }

    #[test]
    fn counters_that_are_full_are_carried() {
        let mut accounts = Accounts::new(3);
        accounts.table[0].debits = u32::MAX;
        accounts.table[1].credits = u32::MAX;
        commit(&mut accounts, 0, 1);
        commit(&mut accounts, 0, 1);
        assert_eq!(accounts.acknowledged(0), moves(CARRY + 1, 0));
        assert_eq!(accounts.acknowledged(1), moves(0, CARRY + 1));
        let mut other = Accounts::new(3);
        other.table[0].debits = u32::MAX;
        commit(&mut other, 2, 0);
        accounts.merge(&other);
        assert_eq!(accounts.acknowledged(0), moves(2 * CARRY, 1));
        assert_eq!(accounts.acknowledged(2), moves(1, 0));
    }

    #[test]
    fn changes_of_a_load_that_is_over_are_what_its_accounts_were() {
        let none = moves(0, 0);
        let changes = [(0, moves(CARRY + 1, 2), none), (2, none, moves(0, 1))];
        let accounts = Accounts::of_changes(3, changes.into_iter().chain([(3, none, none)]));
        assert_eq!(accounts.count(), 3);
        assert_eq!(accounts.acknowledged(0), moves(CARRY + 1, 2));
        assert_eq!(accounts.acknowledged(2), none);
        assert_eq!(accounts.unknown(2), moves(0, 1));
        assert!(accounts.must_differ());
    }

    #[test]
    fn accounts_in_flight_collide_until_they_leave() {
        let mut accounts = Accounts::new(4);
        assert!(!accounts.enter(pair(0, 1)));
        assert!(accounts.enter(pair(1, 2)));
        accounts.leave(pair(0, 1), false);
        accounts.commit(pair(1, 2));
        assert!(!accounts.enter(pair(0, 1)));
        assert_eq!(accounts.acknowledged(1), moves(1, 0));
        assert_eq!(accounts.unknown(1), moves(0, 0));
    }

    #[test]
    fn balances_may_be_back_where_they_were() {
        let mut accounts = Accounts::new(3);
        commit(&mut accounts, 0, 1);
        assert!(accounts.must_differ());
        let _ = accounts.enter(pair(1, 0));
        accounts.leave(pair(1, 0), true);
        assert!(
            !accounts.must_differ(),
            "the unknown one may be the way back"
        );
        assert_eq!(accounts.unknown(0), moves(0, 1));
        commit(&mut accounts, 0, 1);
        assert!(accounts.must_differ());
        commit(&mut accounts, 1, 2);
        commit(&mut accounts, 2, 0);
        commit(&mut accounts, 1, 0);
        let mut others = Accounts::new(3);
        commit(&mut others, 1, 2);
        assert!(others.must_differ());
    }
}
