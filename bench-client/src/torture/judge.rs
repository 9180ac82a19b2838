//! What became of every transfer of a connection, and what of it a server must not do.

use crate::report::torture::{Counts, FindingKind, SuspectTransfer};

use super::explain::{Explanation, Item, explain};
use super::ledger::{Balances, Entry, Pair, Sequence, Standing};

/// Something wrong with the transfers of one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspicion {
    /// What.
    pub kind: FindingKind,
    /// With which transfer, if that is known.
    pub transfer: Option<SuspectTransfer>,
    /// In words.
    pub message: String,
}

/// What became of the transfers of one worker in one cycle.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judgement {
    /// By class.
    pub counts: Counts,
    /// What is wrong.
    pub suspicions: Vec<Suspicion>,
    /// How much the transfers that are there moved from the first account to the second, less
    /// those that vanished; absent when that cannot be told.
    pub moved: Option<i128>,
}

/// Transfers of one worker that were there at a restart, in order: how much each moved.
pub type History = Vec<i64>;
/// Most transfers of earlier cycles that are remembered per worker, in case they vanish.
const MOST_HISTORY: usize = 100_000;

/// What is known of the cycle as a whole.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances {
    /// Whether transfers of one connection are applied in the order in which they were sent.
    pub ordered: bool,
}

impl Circumstances {
    /// Of a cycle with these sequences. `ordered` is whether the server keeps the order at all:
    /// it cannot be asked for in a cycle in which transfers were refused for a reason that
    /// passes, since a refusal whose answer was cut off looks like a hole.
    #[must_use]
    pub fn of(sequences: &[&Sequence], ordered: bool) -> Self {
        let refused = sequences.iter().any(|one| one.has_passing_refusals());
        Self {
            ordered: ordered && !refused,
        }
    }
}

/// Judges the transfers of one pair by the balances before and after them. What was applied is
/// added to the history.
#[must_use]
pub fn judge(
    pair: Pair,
    sequence: &Sequence,
    before: &Balances,
    after: &Balances,
    history: &mut History,
    circumstances: Circumstances,
) -> Judgement {
    let mut judgement = Judgement::default();
    let counts = &mut judgement.counts;
    for entry in &sequence.entries {
        counts.sent += 1;
        match entry.standing() {
            Standing::Acknowledged => counts.acknowledged += 1,
            Standing::Open => counts.unknown += 1,
            Standing::Refused => counts.refused += 1,
        }
    }
    let Some((left, gained)) = deltas(pair, before, after) else {
        // That accounts are missing is a finding of the bank's rules.
        counts.unexplained += u64::from(!sequence.entries.is_empty());
        return judgement;
    };
    if left != gained {
        judgement.suspicions.push(Suspicion {
            kind: FindingKind::PairNotConserved,
            transfer: None,
            message: format!(
                "account {} lost {left} and account {} gained {gained}",
                pair.first(),
                pair.second()
            ),
        });
    }
    let items: Vec<_> = sequence
        .entries
        .iter()
        .map(|entry| Item {
            moved: pair.moved(&entry.transfer),
            standing: entry.standing(),
        })
        .collect();
    // Either account tells; one of them may be the damaged one.
    let mut explanation = explain(&items, history, left);
    if explanation == Explanation::Unexplained && left != gained {
        explanation = explain(&items, history, gained);
    }
    match explanation {
        Explanation::Times(times) => {
            classify(&sequence.entries, &times, circumstances, &mut judgement);
            let began = history.len();
            for (item, times) in items.iter().zip(times) {
                history.extend((0..times).map(|_| item.moved));
            }
            judgement.moved = Some(sum(&history[began..]));
        }
        Explanation::Vanished(count) => {
            let none = vec![0; sequence.entries.len()];
            classify(&sequence.entries, &none, circumstances, &mut judgement);
            let gone = history.split_off(history.len() - count);
            judgement.moved = Some(-sum(&gone));
            judgement.counts.lost += count as u64;
            judgement.suspicions.push(Suspicion {
                kind: FindingKind::Lost,
                transfer: None,
                message: format!(
                    "{count} transfers of earlier cycles that were there after a restart are gone"
                ),
            });
        }
        Explanation::Unexplained => {
            judgement.counts.unexplained += 1;
            // What is there from here on cannot be told apart any more.
            history.clear();
            judgement.suspicions.push(Suspicion {
                kind: FindingKind::Unexplained,
                transfer: None,
                message: unexplained(&items, left),
            });
        }
    }
    if history.len() > MOST_HISTORY {
        history.drain(..history.len() - MOST_HISTORY);
    }
    judgement
}

fn sum(moved: &[i64]) -> i128 {
    moved.iter().map(|moved| i128::from(*moved)).sum()
}

/// How much left the first account, and how much the second one gained.
fn deltas(pair: Pair, before: &Balances, after: &Balances) -> Option<(i128, i128)> {
    let at = |balances: &Balances, account: i64| -> Option<i128> {
        let account = usize::try_from(account).ok()?;
        balances.get(account).copied().flatten().map(i128::from)
    };
    let left = at(before, pair.first())? - at(after, pair.first())?;
    let gained = at(after, pair.second())? - at(before, pair.second())?;
    Some((left, gained))
}

fn classify(
    entries: &[Entry],
    times: &[u8],
    circumstances: Circumstances,
    judgement: &mut Judgement,
) {
    let last_there = times.iter().rposition(|times| *times > 0);
    for (place, (entry, times)) in entries.iter().zip(times).enumerate() {
        let Judgement {
            counts, suspicions, ..
        } = &mut *judgement;
        let mut suspect = |kind, message: &str| {
            suspicions.push(Suspicion {
                kind,
                transfer: Some(SuspectTransfer::of(entry, Some(*times))),
                message: message.to_owned(),
            });
        };
        match (entry.standing(), times) {
            (Standing::Acknowledged, 0) => {
                counts.lost += 1;
                suspect(FindingKind::Lost, "acknowledged, and not there");
            }
            (Standing::Open, 0) => counts.unknown_absent += 1,
            (Standing::Open, _) => counts.unknown_present += 1,
            (Standing::Refused, 1..) => {
                counts.refused_present += 1;
                suspect(
                    FindingKind::RefusedPresent,
                    "answered as not applied, and there",
                );
            }
            _ => {}
        }
        if *times > 1 {
            counts.applied_twice += 1;
            suspect(FindingKind::AppliedTwice, "applied more than once");
        }
        let missing = *times == 0 && entry.standing() != Standing::Refused;
        if missing && circumstances.ordered && last_there.is_some_and(|last| place < last) {
            counts.holes += 1;
            suspect(
                FindingKind::Hole,
                "not there, and a later one of the same connection is",
            );
        }
    }
}

fn unexplained(items: &[Item], left: i128) -> String {
    let sum = |wanted: Standing| -> i128 {
        let of_kind = items.iter().filter(|item| item.standing == wanted);
        of_kind.map(|item| i128::from(item.moved)).sum()
    };
    format!(
        "{left} has moved; acknowledged is {}, of unknown outcome {} in all",
        sum(Standing::Acknowledged),
        sum(Standing::Open)
    )
}

#[cfg(test)]
mod tests {
    use busload_wire::{ErrorCode, Transfer};

    use super::*;
    use crate::connector::Outcome;
    use crate::torture::draw::Draw;

    const PAIR: Pair = Pair(1);
    const START: i64 = 1 << 48;
    const ORDERED: Circumstances = Circumstances { ordered: true };

    /// A connection's transfers, answered so.
    fn sequence(answers: &[Option<Outcome>]) -> Sequence {
        let mut draw = Draw::new(1, 1);
        let entries = (1..).zip(answers).map(|(number, answer)| Entry {
            number,
            transfer: Transfer {
                from: PAIR.first(),
                to: PAIR.second(),
                amount: i64::try_from(draw.within(1, 1 << 40)).unwrap(),
                transfer_id: None,
            },
            answer: *answer,
        });
        Sequence {
            entries: entries.collect(),
        }
    }

    fn balances(sequence: &Sequence, times: &[i64]) -> Balances {
        let each = sequence.entries.iter().zip(times);
        let moved: i64 = each.map(|(e, times)| e.transfer.amount * times).sum();
        let mut balances = vec![Some(START); 6];
        balances[2] = Some(START - moved);
        balances[3] = Some(START + moved);
        balances
    }

    fn judged(answers: &[Option<Outcome>], times: &[i64]) -> (Counts, Vec<FindingKind>) {
        let sequence = sequence(answers);
        let before = vec![Some(START); 6];
        let after = balances(&sequence, times);
        let mut history = History::new();
        let judgement = judge(PAIR, &sequence, &before, &after, &mut history, ORDERED);
        assert_eq!(
            i64::try_from(history.len()).unwrap(),
            times.iter().sum::<i64>(),
            "the history has what is there"
        );
        let kinds = judgement.suspicions.iter().map(|one| one.kind).collect();
        (judgement.counts, kinds)
    }

    const OK: Option<Outcome> = Some(Outcome::Committed);
    const OPEN: Option<Outcome> = None;
    const UNKNOWN: Option<Outcome> = Some(Outcome::Unknown);
    const FULL: Option<Outcome> = Some(Outcome::Failed(Some(ErrorCode::StorageFull)));

    #[test]
    fn an_honest_server_has_nothing_held_against_it() {
        let (counts, found) = judged(&[OK, FULL, OK, UNKNOWN, OPEN, OPEN], &[1, 0, 1, 1, 1, 0]);
        let expected = Counts {
            sent: 6,
            acknowledged: 2,
            refused: 1,
            unknown: 3,
            unknown_present: 2,
            unknown_absent: 1,
            ..Counts::default()
        };
        assert_eq!((counts, found), (expected, vec![]));
        assert_eq!(judged(&[], &[]), (Counts::default(), vec![]));
    }

    #[test]
    fn acknowledged_and_lost() {
        let (counts, found) = judged(&[OK, OK, OK, OPEN], &[1, 1, 0, 0]);
        assert_eq!((counts.lost, counts.holes), (1, 0));
        assert_eq!(found, [FindingKind::Lost]);
    }

    #[test]
    fn lost_in_the_middle_is_a_hole_as_well() {
        let (counts, found) = judged(&[OK, OK, OK], &[1, 0, 1]);
        assert_eq!((counts.lost, counts.holes), (1, 1));
        assert_eq!(found, [FindingKind::Lost, FindingKind::Hole]);
    }

    #[test]
    fn a_hole_among_those_of_unknown_outcome() {
        let (counts, found) = judged(&[OK, OPEN, OPEN, OPEN], &[1, 1, 0, 1]);
        assert_eq!((counts.lost, counts.holes), (0, 1));
        assert_eq!(counts.unknown_present, 2);
        assert_eq!(found, [FindingKind::Hole]);
    }

    #[test]
    fn an_open_one_before_an_acknowledged_one_must_be_there() {
        let (counts, found) = judged(&[OPEN, OK], &[0, 1]);
        assert_eq!((counts.holes, found), (1, vec![FindingKind::Hole]));
        assert_eq!(judged(&[OPEN, OK], &[1, 1]).1, []);
    }

    #[test]
    fn applied_twice() {
        let (counts, found) = judged(&[OK, OK, OPEN], &[1, 2, 1]);
        assert_eq!((counts.applied_twice, counts.lost), (1, 0));
        assert_eq!(found, [FindingKind::AppliedTwice]);
        let (counts, found) = judged(&[OK, OPEN], &[1, 2]);
        assert_eq!(
            (counts.applied_twice, found),
            (1, vec![FindingKind::AppliedTwice])
        );
    }

    #[test]
    fn refused_and_there() {
        let (counts, found) = judged(&[OK, FULL, OK], &[1, 1, 1]);
        assert_eq!((counts.refused_present, counts.lost), (1, 0));
        assert_eq!(found, [FindingKind::RefusedPresent]);
    }

    #[test]
    fn without_order_there_are_no_holes_and_still_losses() {
        let sequence = sequence(&[OK, OPEN, OK, OPEN]);
        let before = vec![Some(START); 6];
        let unordered = Circumstances { ordered: false };
        for (times, kinds) in [
            ([1, 0, 1, 1], vec![]),
            ([1, 0, 0, 0], vec![FindingKind::Lost]),
        ] {
            let after = balances(&sequence, &times);
            let mut history = History::new();
            let judgement = judge(PAIR, &sequence, &before, &after, &mut history, unordered);
            let found: Vec<_> = judgement.suspicions.iter().map(|one| one.kind).collect();
            assert_eq!(found, kinds, "{times:?}");
        }
    }

    #[test]
    fn what_cannot_be_explained_is_said_so() {
        let sequence = sequence(&[OK; 5]);
        let before = vec![Some(START); 6];
        let mut after = balances(&sequence, &[1; 5]);
        after[2] = after[2].map(|balance| balance - 1);
        after[3] = after[3].map(|balance| balance + 1);
        let mut history = History::new();
        let judgement = judge(PAIR, &sequence, &before, &after, &mut history, ORDERED);
        assert_eq!(judgement.counts.unexplained, 1);
        assert_eq!(judgement.suspicions[0].kind, FindingKind::Unexplained);
    }

    #[test]
    fn money_that_left_and_did_not_arrive() {
        let sequence = sequence(&[OK; 5]);
        let before = vec![Some(START); 6];
        let mut after = balances(&sequence, &[1; 5]);
        after[3] = Some(START);
        let mut history = History::new();
        let judgement = judge(PAIR, &sequence, &before, &after, &mut history, ORDERED);
        assert_eq!(judgement.suspicions.len(), 1);
        assert_eq!(judgement.suspicions[0].kind, FindingKind::PairNotConserved);
        after[3] = None;
        let judgement = judge(PAIR, &sequence, &before, &after, &mut history, ORDERED);
        assert_eq!(judgement.counts.unexplained, 1);
    }

    #[test]
    fn what_was_there_and_vanishes_later_is_lost() {
        let mut history = History::new();
        let first = sequence(&[OK, OK, OPEN]);
        let before = vec![Some(START); 6];
        let after = balances(&first, &[1, 1, 1]);
        let clean = judge(PAIR, &first, &before, &after, &mut history, ORDERED);
        assert_eq!(clean.suspicions, []);
        let nothing = Sequence::default();
        let older = balances(&first, &[1, 0, 0]);
        let judgement = judge(PAIR, &nothing, &after, &older, &mut history, ORDERED);
        assert_eq!(judgement.counts.lost, 2);
        assert_eq!(judgement.suspicions[0].kind, FindingKind::Lost);
        assert_eq!(history.len(), 1);
    }
}
