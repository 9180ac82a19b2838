//! What became of every transfer of a connection, and what of it a server must not do.

use crate::ledger;
use crate::record::torture::{Counts, FindingKind, SuspectTransfer};

use super::ledger::{Balances, Entry, Pair, Sequence, Standing};
use super::reconstruct::{Explanation, Item, reconstruct};

/// Something wrong with the transfers of one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anomaly {
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
    pub suspicions: Vec<Anomaly>,
    /// How often each transfer of the sequence was applied; empty when that cannot be told.
    pub applied: Vec<u8>,
    /// How much the transfers that are there moved from the first account to the second, less
    /// those that vanished; absent when that cannot be told.
    pub moved: Option<i128>,
}

/// Transfers of one worker that were there at a restart, in order: how much each moved.
pub type History = Vec<i64>;
/// Most transfers of earlier cycles that are remembered per worker, in case they vanish.
const HISTORY_MAX: usize = 100_000;

/// What is known of the cycle as a whole.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances {
    /// Whether transfers of one connection are applied in the order in which they were sent.
    pub ordered: bool,
}

impl Circumstances {
    /// Of a cycle with these sequences. `ordered` is whether the server keeps the order at all:
    /// it cannot be asked for in a cycle in which transfers were refused for a reason that
    /// passes, since a refusal whose answer was cut off looks like a gap.
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
        if has_either(pair, before) && !has_either(pair, after) {
            counts.lost += counts.acknowledged + history.len() as u64;
            history.clear();
        } else {
            counts.unexplained += u64::from(!sequence.entries.is_empty());
        }
        return judgement;
    };
    if left != gained {
        judgement.suspicions.push(Anomaly {
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
    match explain_pair(&items, history, left, gained) {
        Explanation::Times(times) => {
            classify(&sequence.entries, &times, circumstances, &mut judgement);
            let began = history.len();
            for (item, times) in items.iter().zip(&times) {
                history.extend((0..*times).map(|_| item.moved));
            }
            judgement.applied = times;
            judgement.moved = Some(sum(&history[began..]));
        }
        Explanation::Vanished(count) => {
            let none = vec![0; sequence.entries.len()];
            classify(&sequence.entries, &none, circumstances, &mut judgement);
            let gone = history.split_off(history.len() - count);
            judgement.moved = Some(-sum(&gone));
            judgement.applied = none;
            judgement.counts.lost += count as u64;
            judgement.suspicions.push(Anomaly {
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
            judgement.suspicions.push(Anomaly {
                kind: FindingKind::Unexplained,
                transfer: None,
                message: unexplained(&items, left),
            });
        }
    }
    if left != gained {
        judgement.moved = None;
    }
    if history.len() > HISTORY_MAX {
        history.drain(..history.len() - HISTORY_MAX);
    }
    judgement
}

/// Either account tells; where they differ, one of them is the damaged one. That which is as it
/// was answered is not: of a transfer that only left, or only arrived, nothing more is said than
/// that, whichever account it left.
fn explain_pair(items: &[Item], history: &History, left: i128, gained: i128) -> Explanation {
    let explanation = reconstruct(items, history, left);
    if left == gained || is_as_answered(&explanation, items) {
        return explanation;
    }
    let other = reconstruct(items, history, gained);
    if explanation == Explanation::Unexplained || is_as_answered(&other, items) {
        other
    } else {
        explanation
    }
}

/// Whether this is what the answers say, without any damage to whole transfers.
fn is_as_answered(explanation: &Explanation, items: &[Item]) -> bool {
    let Explanation::Times(times) = explanation else {
        return false;
    };
    let mut each = items.iter().zip(times);
    each.all(|(item, times)| match item.standing {
        Standing::Acknowledged => *times == 1,
        Standing::Open => *times <= 1,
        Standing::Refused => *times == 0,
    })
}

/// Whether the ledger has one of the two accounts.
fn has_either(pair: Pair, balances: &Balances) -> bool {
    let has = |account| at(balances, account).is_some();
    has(pair.first()) || has(pair.second())
}

fn at(balances: &Balances, account: i64) -> Option<i128> {
    let account = usize::try_from(account).ok()?;
    balances.get(account).copied().flatten().map(i128::from)
}

fn sum(moved: &[i64]) -> i128 {
    moved.iter().map(|moved| i128::from(*moved)).sum()
}

/// How much left the first account, and how much the second one gained.
fn deltas(pair: Pair, before: &Balances, after: &Balances) -> Option<(i128, i128)> {
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
            suspicions.push(Anomaly {
                kind,
                transfer: Some(ledger::suspect(entry, Some(*times))),
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
            counts.gaps += 1;
            suspect(
                FindingKind::Gap,
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
mod tests;
