//! What a database must hold, from what was asked and answered.
//!
//! Every pair of accounts is private: nobody else moves money of either. When all transfers of
//! a pair came over one connection, a server applies them in the order in which they came, and
//! what has moved from the first account to the second is one of the prefix sums of what they
//! move: with the `k`-th of them, exactly the first `k` are applied. Where several `k` have
//! the same sum the largest is taken, the one that is best for the server; amounts that make
//! the sums differ make the judgement exact. Transfers of a pair that came over several
//! connections have no order, and only bounds of what must have moved can be held against it.

use std::collections::BTreeMap;

use busload_wire::{Transfer, TransferId};

/// One transfer: its pair, and its place among the pair's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Which pair.
    pub pair: usize,
    /// Which of its transfers, from 0.
    pub number: usize,
}

/// Two accounts and all that was moved between them.
#[derive(Debug, Clone)]
struct Pair {
    first: i64,
    second: i64,
    /// What each transfer moves from the first account to the second; negative for one that
    /// goes the other way.
    moves: Vec<i64>,
    /// Answered as not applied.
    refused: Vec<bool>,
    connection: u32,
    /// All of them came over one connection.
    ordered: bool,
}

/// The transfers of a run cannot be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpectedLedgerError {
    /// An account has two partners.
    #[error("account {0} is in more than one pair: give every worker two accounts of its own")]
    Shared(i64),
    /// An amount is not above zero.
    #[error("a transfer of {0} cannot be judged: amounts must be 1 or more")]
    Amount(i64),
}

/// All transfers of a run.
#[derive(Debug, Clone, Default)]
pub struct ExpectedLedger {
    pairs: Vec<Pair>,
    /// Which pair an account is in.
    accounts: BTreeMap<i64, usize>,
    /// One that was asked for again is the same transfer.
    named: BTreeMap<u128, Entry>,
}

impl ExpectedLedger {
    /// Writes down a transfer that a connection asked for.
    ///
    /// # Errors
    /// It is not between two accounts of its own.
    pub fn ask(
        &mut self,
        connection: u32,
        transfer: &Transfer,
    ) -> Result<Entry, ExpectedLedgerError> {
        let Transfer {
            from,
            to,
            amount,
            transfer_id,
        } = *transfer;
        if amount < 1 {
            return Err(ExpectedLedgerError::Amount(amount));
        }
        let name = transfer_id.map(TransferId::to_u128);
        if let Some(known) = name.and_then(|name| self.named.get(&name)) {
            return Ok(*known);
        }
        let pair = match (self.accounts.get(&from), self.accounts.get(&to)) {
            (Some(&pair), Some(&same)) if pair == same && from != to => pair,
            (None, None) if from != to => {
                self.pairs.push(Pair {
                    first: from,
                    second: to,
                    moves: Vec::new(),
                    refused: Vec::new(),
                    connection,
                    ordered: true,
                });
                let pair = self.pairs.len() - 1;
                self.accounts.extend([(from, pair), (to, pair)]);
                pair
            }
            (Some(_), _) => return Err(ExpectedLedgerError::Shared(from)),
            (None, _) => return Err(ExpectedLedgerError::Shared(to)),
        };
        let entry = Entry {
            pair,
            number: self.pairs[pair].moves.len(),
        };
        let pair = &mut self.pairs[pair];
        pair.ordered &= pair.connection == connection;
        pair.moves
            .push(if from == pair.first { amount } else { -amount });
        pair.refused.push(false);
        self.named.extend(name.map(|name| (name, entry)));
        Ok(entry)
    }

    /// Writes down that a transfer was answered as not applied.
    pub fn refuse(&mut self, entry: Entry) {
        self.pairs[entry.pair].refused[entry.number] = true;
    }

    /// How many pairs there are.
    #[must_use]
    pub fn pair_count(&self) -> usize {
        self.pairs.len()
    }

    /// Accounts that move money.
    pub(super) fn accounts(&self) -> impl Iterator<Item = i64> {
        self.accounts.keys().copied()
    }
}

/// How far a run has come: what was asked and what was acknowledged.
#[derive(Debug, Clone)]
pub struct Progress {
    pairs: Vec<PairProgress>,
}

#[derive(Debug, Clone, Default)]
struct PairProgress {
    asked: usize,
    /// In the order of the answers.
    acknowledged: Vec<usize>,
}

impl Progress {
    /// The beginning of a run.
    #[must_use]
    pub fn new(ledger: &ExpectedLedger) -> Self {
        let pairs = vec![PairProgress::default(); ledger.pairs.len()];
        Self { pairs }
    }

    /// A transfer was asked for.
    pub fn asked(&mut self, entry: Entry) {
        let pair = &mut self.pairs[entry.pair];
        pair.asked = pair.asked.max(entry.number + 1);
    }

    /// A transfer was acknowledged.
    pub fn acknowledged(&mut self, entry: Entry) {
        self.pairs[entry.pair].acknowledged.push(entry.number);
    }
}

/// What is wrong with a database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Faults {
    /// Acknowledged transfers that are not there.
    pub lost: u64,
    /// Pairs in which more is applied than was asked for by then: something twice, or
    /// something that nobody asked for.
    pub twice: u64,
    /// Pairs in which a transfer is applied and an earlier one of the same connection is not.
    pub gaps: u64,
    /// Pairs in which not all that was paid was received, and a total that is off.
    pub torn: u64,
    /// The first of them, in words.
    pub first: Option<String>,
}

impl Faults {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn none(&self) -> bool {
        let Self {
            lost,
            twice,
            gaps,
            torn,
            first: _,
        } = self;
        lost + twice + gaps + torn == 0
    }

    pub(super) fn note(&mut self, what: impl FnOnce() -> String) {
        self.first.get_or_insert_with(what);
    }
}

impl ExpectedLedger {
    /// Holds the balances of a database against a run that has come to `progress`, given the
    /// balances that it began with. An account that is missing has a balance of 0.
    #[must_use]
    pub fn judge(
        &self,
        before: &BTreeMap<i64, i64>,
        after: &BTreeMap<i64, i64>,
        progress: &Progress,
    ) -> Faults {
        let mut faults = Faults::default();
        let total = |balances: &BTreeMap<i64, i64>| -> i128 {
            balances.values().copied().map(i128::from).sum()
        };
        let (wanted, found) = (total(before), total(after));
        if wanted != found {
            faults.torn += 1;
            faults.note(|| format!("the balances sum up to {found}, not {wanted}"));
        }
        for (pair, progress) in self.pairs.iter().zip(&progress.pairs) {
            let moved = |account: &i64| {
                let balance = |of: &BTreeMap<i64, i64>| of.get(account).copied().unwrap_or(0);
                i128::from(balance(after)) - i128::from(balance(before))
            };
            let (first, second) = (moved(&pair.first), moved(&pair.second));
            if first + second != 0 {
                faults.torn += 1;
                let (one, other) = (pair.first, pair.second);
                faults
                    .note(|| format!("accounts {one} and {other} changed by {first} and {second}"));
                continue;
            }
            pair.judge(progress, second, &mut faults);
        }
        faults
    }
}

impl Pair {
    /// What a transfer moves when it is applied.
    fn moves(&self, number: usize) -> i128 {
        if self.refused[number] {
            0
        } else {
            i128::from(self.moves[number])
        }
    }

    fn judge(&self, progress: &PairProgress, moved: i128, faults: &mut Faults) {
        if self.ordered {
            self.judge_order(progress, moved, faults);
        } else {
            self.judge_bounds(progress, moved, faults);
        }
    }

    fn judge_order(&self, progress: &PairProgress, moved: i128, faults: &mut Faults) {
        let shown = format!("accounts {} and {}", self.first, self.second);
        // After how many transfers the sum is what was moved; of those that were not asked
        // for yet the first.
        let (mut applied, mut early, mut sum) = (None, None, 0);
        for number in 0..=self.moves.len() {
            if sum == moved {
                if number <= progress.asked {
                    applied = Some(number);
                } else {
                    early.get_or_insert(number);
                }
            }
            sum += self.moves.get(number).map_or(0, |_| self.moves(number));
        }
        let Some(applied) = applied else {
            if early.is_some() || self.explained_by_one_more(progress, moved) {
                faults.twice += 1;
                faults.note(|| format!("{shown}: {moved} moved, more than was asked for"));
            } else {
                faults.gaps += 1;
                faults.note(|| format!("{shown}: {moved} moved, which no first transfers make"));
            }
            return;
        };
        let acknowledged = &progress.acknowledged;
        let missing = |&&number: &&usize| number >= applied;
        let lost = acknowledged.iter().filter(missing).count();
        if lost > 0 {
            faults.lost += lost as u64;
            let all = acknowledged.len();
            faults
                .note(|| format!("{shown}: {lost} of {all} acknowledged lost, {applied} applied"));
        }
    }

    /// Whether the first transfers and one of them again have moved this.
    fn explained_by_one_more(&self, progress: &PairProgress, moved: i128) -> bool {
        let mut sum = 0;
        (0..progress.asked).any(|last| {
            sum += self.moves(last);
            let again = |number| self.moves(number) != 0 && sum + self.moves(number) == moved;
            (0..=last).any(again)
        })
    }

    fn judge_bounds(&self, progress: &PairProgress, moved: i128, faults: &mut Faults) {
        let mut acknowledged = vec![false; progress.asked];
        for &number in &progress.acknowledged {
            acknowledged[number] = true;
        }
        let (mut least, mut most) = (0, 0);
        for (number, acknowledged) in acknowledged.into_iter().enumerate() {
            let amount = self.moves(number);
            least += if acknowledged { amount } else { amount.min(0) };
            most += if acknowledged { amount } else { amount.max(0) };
        }
        let shown = || format!("accounts {} and {}: {moved} moved", self.first, self.second);
        // Money that only goes one way tells losing from repeating.
        let forwards = self.moves.iter().all(|amount| *amount > 0);
        if moved < least && forwards {
            faults.lost += 1;
            faults.note(|| format!("{}, {least} acknowledged", shown()));
        } else if moved > most && forwards {
            faults.twice += 1;
            faults.note(|| format!("{}, {most} asked for", shown()));
        } else if !(least..=most).contains(&moved) {
            faults.gaps += 1;
            faults.note(|| format!("{}, not between {least} and {most}", shown()));
        }
    }
}
