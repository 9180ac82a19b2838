//! The journal read back from its file and judged once more, from nothing but what is in it.

use std::collections::BTreeMap;

use super::journal::Record;
use super::judge::{Circumstances, History, Judgement, judge};
use super::ledger::{Balances, Entry, Pair, Sequence};
use crate::connector::Outcome;
use crate::record::torture::Counts;

/// What a journal says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replay {
    /// What became of all transfers, by class.
    pub counts: Counts,
    /// What the accounts should have at the end: what they had at first, and every transfer that
    /// is said to have been applied. Absent where that cannot be told.
    pub expected: Vec<Option<i128>>,
    /// What they had when they were read last.
    pub last: Balances,
    /// Transfers sent after the last reading: what became of them is not known yet.
    pub unsettled: u64,
}

impl Replay {
    /// Whether the ledger gives the balances.
    #[must_use]
    pub fn matches(&self) -> bool {
        let mut pairs = self.expected.iter().zip(&self.last);
        self.expected.len() == self.last.len()
            && pairs.all(|(expected, last)| match (expected, last) {
                (Some(expected), Some(last)) => *expected == i128::from(*last),
                (None, _) => true,
                (Some(_), None) => false,
            })
    }
}

/// The transfers of one cycle by worker.
type Sequences = BTreeMap<u32, Sequence>;

/// Judges what is in a journal. `ordered` is whether the server keeps the order of a connection;
/// `earlier` is what had been applied before, by worker, as far as it is known.
#[must_use]
pub fn replay(records: &[Record], ordered: bool, earlier: &[History]) -> Replay {
    let mut replay = Replay::default();
    let mut histories: BTreeMap<u32, History> = (0..).zip(earlier.iter().cloned()).collect();
    let mut sequences = Sequences::new();
    // A refusal that does not count leaves what looks like a gap.
    let mut keeps_order = ordered;
    for record in records {
        match record {
            Record::Run { .. } | Record::Cycle { .. } => {}
            Record::Balances { balances, .. } => {
                if replay.last.is_empty() {
                    let first = balances.iter().map(|balance| balance.map(i128::from));
                    replay.expected = first.collect();
                } else {
                    replay.settle(&sequences, balances, &mut histories, keeps_order);
                }
                replay.last.clone_from(balances);
                sequences.clear();
                keeps_order = ordered;
            }
            Record::Sent {
                worker,
                number,
                transfer,
            } => {
                let sequence = sequences.entry(*worker).or_default();
                sequence.entries.push(Entry {
                    number: *number,
                    transfer: *transfer,
                    answer: None,
                });
            }
            Record::Answer {
                worker,
                number,
                outcome,
            } => {
                let entries = sequences.get_mut(worker).map(|one| &mut one.entries);
                // Late ones are near the end, so it is found from there.
                let entry = entries.and_then(|all| all.iter_mut().rfind(|e| e.number == *number));
                if let Some(entry) = entry {
                    entry.answer.get_or_insert(*outcome);
                }
            }
            // The request stays without an answer.
            Record::Late { outcome, .. } => {
                keeps_order &= !matches!(outcome, Outcome::Rejected(_) | Outcome::Failed(_));
            }
        }
    }
    let unsettled = sequences.values().map(|one| one.entries.len() as u64);
    replay.unsettled = unsettled.sum();
    replay
}

impl Replay {
    fn settle(
        &mut self,
        sequences: &Sequences,
        after: &Balances,
        histories: &mut BTreeMap<u32, History>,
        ordered: bool,
    ) {
        let all: Vec<_> = sequences.values().collect();
        let circumstances = Circumstances::of(&all, ordered);
        let nothing = Sequence::default();
        for worker in 0..u32::try_from(after.len() / 2).unwrap_or(u32::MAX) {
            let pair = Pair(worker);
            let Judgement { counts, moved, .. } = judge(
                pair,
                sequences.get(&worker).unwrap_or(&nothing),
                &self.last,
                after,
                histories.entry(worker).or_default(),
                circumstances,
            );
            self.counts.add(&counts);
            for (account, sign) in [(pair.first(), -1), (pair.second(), 1)] {
                let place = usize::try_from(account).unwrap_or(usize::MAX);
                let Some(expected) = self.expected.get_mut(place) else {
                    continue;
                };
                let found = after.get(place).copied().flatten().map(i128::from);
                // Where nothing can be told, what is found is where it goes on from.
                *expected = match (*expected, moved) {
                    (Some(before), Some(moved)) => Some(before + sign * moved),
                    _ => found,
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use busload_wire::Transfer;

    use super::*;
    use crate::connector::Outcome;
    use crate::record::torture::FaultKind;

    const AMOUNTS: [i64; 3] = [1_000_003, 2_000_081, 4_000_037];

    fn sent(number: u64) -> Record {
        let place = usize::try_from(number - 1).unwrap();
        Record::Sent {
            worker: 0,
            number,
            transfer: Transfer {
                from: 0,
                to: 1,
                amount: AMOUNTS[place],
                transfer_id: None,
            },
        }
    }

    fn balances(cycle: u32, moved: i64) -> Record {
        Record::Balances {
            cycle,
            balances: vec![
                Some(1 << 40).map(|b: i64| b - moved),
                Some((1 << 40) + moved),
            ],
        }
    }

    fn journal(last_moved: i64) -> Vec<Record> {
        vec![
            Record::Run {
                seed: 1,
                accounts: 2,
                initial_balance: 1 << 40,
            },
            balances(1, 0),
            Record::Cycle {
                number: 1,
                fault: FaultKind::Kill,
            },
            sent(1),
            sent(2),
            Record::Answer {
                worker: 0,
                number: 1,
                outcome: Outcome::Committed,
            },
            balances(2, AMOUNTS[0] + AMOUNTS[1]),
            sent(3),
            Record::Answer {
                worker: 0,
                number: 3,
                outcome: Outcome::Committed,
            },
            balances(3, last_moved),
        ]
    }

    #[test]
    fn the_ledger_gives_the_balances() {
        let replay = replay(&journal(AMOUNTS.iter().sum()), true, &[]);
        assert!(replay.matches(), "{replay:?}");
        let Counts {
            sent,
            acknowledged,
            unknown_present,
            lost,
            ..
        } = replay.counts;
        assert_eq!((sent, acknowledged, unknown_present, lost), (3, 2, 1, 0));
        assert_eq!(replay.unsettled, 0);
    }

    #[test]
    fn a_loss_is_in_the_journal_for_everybody_to_see() {
        let replay = replay(&journal(AMOUNTS[0] + AMOUNTS[1]), true, &[]);
        assert_eq!(replay.counts.lost, 1);
        assert!(replay.matches(), "what is there is explained");
    }

    fn late(number: u64, outcome: Outcome) -> Record {
        Record::Late {
            worker: 0,
            number,
            outcome,
        }
    }

    #[test]
    fn an_answer_that_came_too_late_is_none() {
        for (there, present) in [(AMOUNTS[0], 0), (AMOUNTS[0] + AMOUNTS[1], 1)] {
            let mut records = journal(0);
            records.truncate(6);
            records.extend([late(2, Outcome::Committed), balances(2, there)]);
            let replay = replay(&records, true, &[]);
            let expected = Counts {
                sent: 2,
                acknowledged: 1,
                unknown: 1,
                unknown_present: present,
                unknown_absent: 1 - present,
                ..Counts::default()
            };
            assert_eq!(replay.counts, expected);
            assert!(replay.matches() && replay.unsettled == 0);
        }
    }

    /// A refusal that does not count looks like a gap, and is none.
    #[test]
    fn a_refusal_that_came_too_late_is_no_hole() {
        for (answer, gaps) in [
            (late(2, Outcome::Failed(None)), 0),
            (late(2, Outcome::Committed), 1),
        ] {
            let mut records = journal(0);
            records.truncate(6);
            records.extend([answer, sent(3), balances(2, AMOUNTS[0] + AMOUNTS[2])]);
            let replay = replay(&records, true, &[]);
            assert_eq!((replay.counts.gaps, replay.counts.lost), (gaps, 0));
        }
    }

    #[test]
    fn a_journal_that_ends_early_says_what_it_has() {
        let mut records = journal(0);
        records.truncate(5);
        let replay = replay(&records, true, &[]);
        assert_eq!((replay.unsettled, replay.counts.sent), (2, 0));
    }
}
