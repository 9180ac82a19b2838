//! Transfers with ids from account 0 to account 1, and what was answered.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use busload_engine::Outcome;

use crate::support::{Bank, Database, once};

/// What account 0 starts with.
pub(crate) const PLENTY: i64 = 1 << 40;
/// Transfers of a batch.
const BATCH: u128 = 20;
/// Far longer than a database takes to recover here.
const RESOLVE_TIMEOUT: Duration = Duration::from_mins(2);

#[derive(Debug, Default)]
pub(crate) struct Load {
    next: u128,
    pub(crate) acknowledged: BTreeSet<u128>,
    /// In doubt, or not applied when they were asked for.
    pub(crate) open: BTreeSet<u128>,
    pub(crate) in_doubt: usize,
}

impl Load {
    /// One batch of new ids.
    pub(crate) fn batch(&mut self, bank: &Bank) {
        let ids: Vec<u128> = (self.next..self.next + BATCH).collect();
        self.next += BATCH;
        self.ask(bank, &ids);
    }

    fn ask(&mut self, bank: &Bank, ids: &[u128]) {
        let transfers: Vec<_> = ids.iter().map(|id| once(*id, 0, 1, 1)).collect();
        for (id, outcome) in ids.iter().zip(bank.apply(&transfers)) {
            match outcome {
                Outcome::Committed => {
                    self.acknowledged.insert(*id);
                    self.open.remove(id);
                }
                Outcome::InDoubt => {
                    self.in_doubt += 1;
                    self.open.insert(*id);
                }
                Outcome::Failed(_) => {
                    self.open.insert(*id);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// Asks again for what is open, with the same ids, until it is answered.
    pub(crate) fn resolve(&mut self, bank: &Bank) {
        let began = Instant::now();
        while !self.open.is_empty() {
            assert!(
                began.elapsed() < RESOLVE_TIMEOUT,
                "{} are open",
                self.open.len()
            );
            let ids: Vec<u128> = self.open.iter().copied().collect();
            for some in ids.chunks(100) {
                self.ask(bank, some);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// What was acknowledged is in the database, which adds up: each id that it has was applied
    /// once.
    pub(crate) fn nothing_is_lost(&self, database: &Database) {
        let found = database.ask("SELECT id FROM busload.transfer_ids WHERE outcome = 0");
        let found: BTreeSet<u128> = found
            .lines()
            .map(|id| u128::from_str_radix(&id.replace('-', ""), 16).expect("a uuid"))
            .collect();
        let lost: Vec<_> = self.acknowledged.difference(&found).collect();
        assert!(
            lost.is_empty(),
            "{} acknowledged are lost: {lost:?}",
            lost.len()
        );
        let moved = database.ask("SELECT balance FROM busload.accounts WHERE id = 1");
        let moved = moved.parse::<i64>().expect("a balance") - PLENTY;
        assert_eq!(
            moved,
            i64::try_from(found.len()).expect("few"),
            "each was applied once"
        );
    }
}
