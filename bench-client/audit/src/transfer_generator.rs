//! What one worker sends: whole amounts that tell transfers apart, never more than it has.

use busload_wire::{Transfer, TransferId};

use super::draw::Draw;
use super::ledger::{Entry, Pair, Standing};

/// All money of a run together: below 2^53, so that servers that keep numbers as JavaScript
/// does stay exact.
const ALL_MONEY: i64 = 1 << 52;
/// Fewest values that amounts are drawn from: with fewer, sums of different transfers could be
/// equal by chance (see [`super::reconstruct`]).
const AMOUNTS_MIN: i64 = 1 << 32;
/// How many times the largest amount, times what may be in flight, an account starts with.
const RESERVE: i64 = 4;
/// Streams of the run's seed below this one do not belong to workers.
const FIRST_STREAM: u32 = 16;

/// How much money there is and how it is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amounts {
    /// Accounts of the run, two for each connection.
    pub accounts: i64,
    /// What each account starts with.
    pub initial_balance: i64,
    /// Amounts are drawn from 1 to this.
    pub largest_amount: i64,
}

impl Amounts {
    /// Shares the money out; `None` when there are so many connections, or so many transfers in
    /// flight on each, that amounts would not tell transfers apart.
    #[must_use]
    pub fn share_out(connections: u32, window: u32) -> Option<Self> {
        let accounts = 2 * i64::from(connections);
        let initial_balance = ALL_MONEY.checked_div(accounts)?;
        let largest_amount = (initial_balance / RESERVE).checked_div(i64::from(window))?;
        (largest_amount >= AMOUNTS_MIN).then_some(Self {
            accounts,
            initial_balance,
            largest_amount,
        })
    }
}

/// The side of one connection that outlives it: its pair, and what it may still spend.
#[derive(Debug, Clone)]
pub struct TransferGenerator {
    pair: Pair,
    draw: Draw,
    largest_amount: u64,
    next: u64,
    /// What the two accounts have at the least, whatever became of what is not answered.
    at_least: [i64; 2],
    /// Which of the two pays at the moment.
    payer: usize,
    /// The upper half of transfer ids, when transfers carry them.
    ids: Option<u64>,
}

impl TransferGenerator {
    /// The generator of one worker. With `ids`, a number of the run's, every transfer carries a
    /// transfer id of its own.
    #[must_use]
    pub fn new(worker: u32, seed: u64, means: Amounts, ids: Option<u64>) -> Self {
        Self {
            pair: Pair(worker),
            draw: Draw::new(seed, FIRST_STREAM.saturating_add(worker)),
            largest_amount: means.largest_amount.unsigned_abs(),
            next: 1,
            at_least: [0; 2],
            payer: 0,
            ids,
        }
    }

    /// Its accounts.
    #[must_use]
    pub fn pair(&self) -> Pair {
        self.pair
    }

    /// The balances are known, and nothing is in flight.
    pub fn settle(&mut self, first: i64, second: i64) {
        self.at_least = [first, second];
    }

    /// The next transfer. The payer has the money for it, whatever became of those before it;
    /// `None` when neither account is sure to have it.
    pub fn next_entry(&mut self) -> Option<Entry> {
        let drawn = self.draw.within(1, self.largest_amount);
        let amount = i64::try_from(drawn).unwrap_or(i64::MAX);
        if self.at_least[self.payer] < amount {
            self.payer = 1 - self.payer;
            if self.at_least[self.payer] < amount {
                return None;
            }
        }
        self.at_least[self.payer] -= amount;
        let (first, second) = (self.pair.first(), self.pair.second());
        let (from, to) = if self.payer == 0 {
            (first, second)
        } else {
            (second, first)
        };
        let number = self.next;
        self.next += 1;
        // Run, worker and number: no other transfer of this or another run has it.
        let transfer_id = self.ids.map(|run| {
            let low = u128::from(self.pair.0) << 44 | u128::from(number);
            TransferId::from_u128(u128::from(run) << 64 | low)
        });
        Some(Entry {
            number,
            transfer: Transfer {
                from,
                to,
                amount,
                transfer_id,
            },
            answer: None,
        })
    }

    /// One of its transfers was answered, for the first time.
    pub fn answered(&mut self, entry: &Entry) {
        let whose = match entry.standing() {
            Standing::Acknowledged => entry.transfer.to,
            Standing::Refused => entry.transfer.from,
            Standing::Open => return,
        };
        self.at_least[usize::from(whose == self.pair.second())] += entry.transfer.amount;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::Outcome;

    #[test]
    fn money_is_shared_out_within_what_every_server_can_count() {
        for (connections, window) in [(16, 8), (128, 1), (1, 1), (16, 1024), (256, 64)] {
            let means = Amounts::share_out(connections, window).unwrap();
            assert!(means.accounts * means.initial_balance <= 1 << 53);
            assert!(means.largest_amount >= AMOUNTS_MIN);
        }
        for (connections, window) in [(0, 1), (1, 0), (1 << 20, 1), (16, 1 << 20)] {
            assert_eq!(Amounts::share_out(connections, window), None);
        }
    }

    #[test]
    fn a_seed_replays_the_amounts() {
        let means = Amounts::share_out(4, 2).unwrap();
        let amounts = |seed, worker| {
            let mut generator = TransferGenerator::new(worker, seed, means, None);
            generator.settle(means.initial_balance, 0);
            [(); 4].map(|()| generator.next_entry().unwrap().transfer.amount)
        };
        assert_eq!(amounts(1, 0), amounts(1, 0));
        assert_ne!(amounts(1, 0), amounts(1, 1));
        assert_ne!(amounts(1, 0), amounts(2, 0));
    }

    /// With a full window in flight there is always money for one more, and never a balance
    /// below 0, whatever is answered.
    #[test]
    fn it_never_spends_what_it_may_not_have() {
        for window in [1, 8, 64] {
            let means = Amounts::share_out(2, window).unwrap();
            let mut generator = TransferGenerator::new(1, 7, means, None);
            generator.settle(means.initial_balance, means.initial_balance);
            let mut draw = Draw::new(3, 3);
            let mut balances = [means.initial_balance; 2];
            let mut flying: Vec<Entry> = Vec::new();
            for _ in 0..20_000 {
                while flying.len() < usize::try_from(window).unwrap() {
                    let entry = generator.next_entry().expect("there is always enough");
                    flying.push(entry);
                }
                let mut entry = flying.remove(0);
                let applied = draw.within(0, 9) > 0;
                entry.answer = Some(if applied {
                    Outcome::Committed
                } else {
                    Outcome::Failed(None)
                });
                if applied {
                    let payer = usize::from(entry.transfer.from == generator.pair().second());
                    balances[payer] -= entry.transfer.amount;
                    balances[1 - payer] += entry.transfer.amount;
                }
                assert!(balances.iter().all(|balance| *balance >= 0));
                generator.answered(&entry);
            }
        }
    }

    #[test]
    fn ids_are_used_once() {
        let means = Amounts::share_out(2, 1).unwrap();
        let mut seen = std::collections::HashSet::new();
        for worker in 0..2 {
            let mut generator = TransferGenerator::new(worker, 1, means, Some(9));
            generator.settle(means.initial_balance, 0);
            for _ in 0..4 {
                let id = generator
                    .next_entry()
                    .unwrap()
                    .transfer
                    .transfer_id
                    .unwrap();
                assert!(seen.insert(id));
                assert_eq!(id.to_u128() >> 64, 9);
            }
        }
    }
}
