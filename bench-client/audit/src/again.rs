//! Exactly once: what is of unknown outcome after a restart is sent again, with the same id and
//! the same payload, and then has one.
//!
//! A server that remembers ids answers `ok`, and the balances say whether it may move money: a
//! transfer that is there already moves nothing, one that is not is applied now, once.

use std::time::Duration;

use busload_wire::RequestId;
use futures_util::future::join_all;

use busload_generator::with_connector;

use super::judge::{Circumstances, History, judge};
use super::ledger::{Balances, Entry, Pair, Sequence, Standing};
use super::server_command::Wire;
use crate::connector::{Connector, Endpoint, Outcome, Reply, Session, WorkerId};
use crate::judge::Anomaly;
use crate::ledger;
use crate::record::torture::{FindingKind, Resolved};

/// A transfer of unknown outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    /// As it was sent.
    pub entry: Entry,
    /// Whether the balances say that it is there.
    pub there: bool,
}

/// The transfers of a worker whose outcome is not known; `times` is how often each was applied,
/// as its judgement has it, empty where that cannot be told.
#[must_use]
pub fn open(sequence: &Sequence, times: &[u8]) -> Vec<Open> {
    let all = sequence.entries.iter().zip(times);
    all.filter(|(entry, _)| entry.standing() == Standing::Open)
        .map(|(entry, times)| Open {
            entry: *entry,
            there: *times > 0,
        })
        .collect()
}

/// Sends the open transfers of all workers again, at most `window` at a time on each connection.
/// Their answers, in the same order; none where no answer came in time.
pub async fn send(
    wire: Wire,
    target: &Endpoint,
    open: &[Vec<Open>],
    window: usize,
    answer_timeout: Duration,
) -> Vec<Vec<Option<Outcome>>> {
    let how = (window, answer_timeout);
    with_connector!(wire.connector, wire.encoding, target.clone(), |connector| {
        all(&connector, open, how).await
    })
}

async fn all<C: Connector>(
    connector: &C,
    open: &[Vec<Open>],
    how: (usize, Duration),
) -> Vec<Vec<Option<Outcome>>> {
    let workers = (0..).zip(open);
    join_all(workers.map(|(worker, open)| one(connector, worker, open, how))).await
}

async fn one<C: Connector>(
    connector: &C,
    worker: u32,
    open: &[Open],
    (window, answer_timeout): (usize, Duration),
) -> Vec<Option<Outcome>> {
    let mut answers = vec![None; open.len()];
    if open.is_empty() {
        return answers;
    }
    let Ok(mut session) = connector.connect(WorkerId(worker)).await else {
        return answers;
    };
    let (mut next, mut inflight) = (0, 0);
    let mut replies = Vec::new();
    loop {
        while inflight < window && next < open.len() {
            let Entry {
                number, transfer, ..
            } = open[next].entry;
            let submitted = RequestId::new(number).map(|id| session.submit(id, transfer));
            if !matches!(submitted, Some(Ok(()))) {
                return answers;
            }
            (next, inflight) = (next + 1, inflight + 1);
        }
        if inflight == 0 {
            return answers;
        }
        let waited = tokio::time::timeout(answer_timeout, session.replies(&mut replies)).await;
        for Reply { id, outcome } in replies.drain(..) {
            inflight = inflight.saturating_sub(1);
            let place = open.iter().position(|one| one.entry.number == id.get());
            if let Some(place) = place {
                answers[place].get_or_insert(outcome);
            }
        }
        if !matches!(waited, Ok(Ok(()))) {
            return answers;
        }
    }
}

/// Holds the answers of one worker's open transfers against the balances before and after they
/// were sent again. What was applied is added to the history.
#[must_use]
pub fn check(
    pair: Pair,
    open: &[Open],
    answers: &[Option<Outcome>],
    (before, after): (&Balances, &Balances),
    history: &mut History,
) -> (Resolved, Vec<Anomaly>) {
    let mut resolved = Resolved::default();
    let mut suspicions = Vec::new();
    let mut suspect = |kind, open: &Open, applied, message: &str| {
        suspicions.push(Anomaly {
            kind,
            transfer: Some(ledger::suspect(&open.entry, applied)),
            message: message.to_owned(),
        });
    };
    let mut sent_again = Sequence::default();
    for (open, answer) in open.iter().zip(answers) {
        if *answer == Some(Outcome::Committed) {
            resolved.resolved += 1;
            if open.there {
                resolved.resolved_committed += 1;
            } else {
                resolved.resolved_applied += 1;
            }
        } else {
            resolved.unresolved += 1;
            let message = match (answer, open.there) {
                (Some(_), true) => "sent again with its id it was not answered ok, and it is there",
                (Some(_), false) => "sent again with its id it was not answered ok",
                (None, _) => "sent again with its id it was not answered",
            };
            suspect(FindingKind::NotResolved, open, None, message);
        }
        let mut entry = open.entry;
        // What is there must move nothing more, whatever was answered.
        entry.answer = if open.there {
            Some(Outcome::Failed(None))
        } else {
            *answer
        };
        sent_again.entries.push(entry);
    }
    for mut found in judged(pair, open, sent_again, (before, after), history) {
        if found.kind == FindingKind::RefusedPresent {
            let number = found.transfer.as_ref().map(|transfer| transfer.number);
            let there = |open: &&Open| open.there && Some(open.entry.number) == number;
            if open.iter().any(|one| there(&one)) {
                found.kind = FindingKind::AppliedTwice;
                "applied, and again when it was sent again with its id"
                    .clone_into(&mut found.message);
                let applied = found.transfer.as_mut().and_then(|one| one.applied.as_mut());
                if let Some(times) = applied {
                    *times = times.saturating_add(1);
                }
            }
        }
        suspicions.push(found);
    }
    (resolved, suspicions)
}

/// Judges what was sent again. What was there counts as refused: it may not move anything. Where
/// that explains nothing, any part of what was there may have moved once more.
fn judged(
    pair: Pair,
    open: &[Open],
    mut sent_again: Sequence,
    (before, after): (&Balances, &Balances),
    history: &mut History,
) -> Vec<Anomaly> {
    let whatever_order = Circumstances { ordered: false };
    let mut as_refused = history.clone();
    let judgement = judge(
        pair,
        &sent_again,
        before,
        after,
        &mut as_refused,
        whatever_order,
    );
    let unexplained = judgement.suspicions.iter();
    if !unexplained
        .map(|one| one.kind)
        .any(|kind| kind == FindingKind::Unexplained)
    {
        *history = as_refused;
        return judgement.suspicions;
    }
    let there = open.iter().zip(&mut sent_again.entries);
    for (_, entry) in there.filter(|(open, _)| open.there) {
        entry.answer = None;
    }
    let mut again = judge(pair, &sent_again, before, after, history, whatever_order);
    let all = open.iter().zip(&sent_again.entries).zip(&again.applied);
    let twice = all.filter(|((open, _), times)| open.there && **times > 0);
    let twice = twice.map(|((_, entry), times)| Anomaly {
        kind: FindingKind::AppliedTwice,
        transfer: Some(ledger::suspect(entry, Some(times.saturating_add(1)))),
        message: "applied, and again when it was sent again with its id".to_owned(),
    });
    again.suspicions.extend(twice);
    for found in &mut again.suspicions {
        if found.kind == FindingKind::Unexplained
            && let Some(more) = moved_again(pair, open, &sent_again, before, after)
        {
            found.kind = FindingKind::AppliedTwice;
            found.message = format!(
                "{more} more has moved than what was not there: of what was there, and was sent \
                 again with its id, some was applied again; the balances do not say which"
            );
        }
    }
    again.suspicions
}

/// How much has moved besides what was not there and is answered ok, if that may be some of what
/// was there before.
fn moved_again(
    pair: Pair,
    open: &[Open],
    sent_again: &Sequence,
    before: &Balances,
    after: &Balances,
) -> Option<i128> {
    let at = |balances: &Balances| {
        let first = usize::try_from(pair.first()).ok()?;
        balances.get(first).copied().flatten().map(i128::from)
    };
    let mut more = at(before)? - at(after)?;
    let (mut least, mut most) = (0, 0);
    for (open, entry) in open.iter().zip(&sent_again.entries) {
        let moved = i128::from(pair.moved(&entry.transfer));
        if open.there {
            least += moved.min(0);
            most += moved.max(0);
        } else if entry.answer == Some(Outcome::Committed) {
            more -= moved;
        }
    }
    (more != 0 && (least..=most).contains(&more)).then_some(more)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use busload_wire::{Transfer, TransferId};

    use super::*;
    use crate::connector::{MockAnswer, MockConnector, Reason};

    const AMOUNTS: [i64; 3] = [1_000_003, 2_000_081, 4_000_037];

    /// Three transfers without an answer, of which the first is there.
    fn three() -> Vec<Open> {
        let entries = (1_u64..).zip(AMOUNTS).map(|(number, amount)| Entry {
            number,
            transfer: Transfer {
                from: 0,
                to: 1,
                amount,
                transfer_id: Some(TransferId::from_u128(number.into())),
            },
            answer: None,
        });
        let sequence = Sequence {
            entries: entries.collect(),
        };
        assert_eq!(open(&sequence, &[]), [], "where nothing can be told");
        open(&sequence, &[1, 0, 0])
    }

    /// What is found when this much has moved since, with these answers.
    fn found(moved: i64, answers: [Option<Outcome>; 3]) -> (Resolved, Vec<FindingKind>, History) {
        let balances = |moved| vec![Some((1 << 40) - moved), Some((1 << 40) + moved)];
        let mut history = vec![AMOUNTS[0]];
        let around = (&balances(0), &balances(moved));
        let (resolved, suspicions) = check(Pair(0), &three(), &answers, around, &mut history);
        let kinds = suspicions.iter().map(|one| one.kind).collect();
        (resolved, kinds, history)
    }

    const OK: Option<Outcome> = Some(Outcome::Committed);

    #[test]
    fn what_was_not_there_is_applied_and_what_was_is_not_applied_again() {
        let (resolved, kinds, history) = found(AMOUNTS[1] + AMOUNTS[2], [OK; 3]);
        assert_eq!(kinds, []);
        let Resolved {
            resolved,
            resolved_committed,
            resolved_applied,
            unresolved,
        } = resolved;
        assert_eq!(
            (resolved, resolved_committed, resolved_applied, unresolved),
            (3, 1, 2, 0)
        );
        assert_eq!(history, AMOUNTS);
    }

    #[test]
    fn a_server_that_forgot_an_id_is_caught() {
        let (_, kinds, _) = found(AMOUNTS.iter().sum(), [OK; 3]);
        assert_eq!(kinds, [FindingKind::AppliedTwice]);
    }

    /// So many transfers, all there; every second is applied again.
    fn every_second_again(count: u64) -> Vec<Anomaly> {
        let mut draw = super::super::draw::Draw::new(5, 5);
        let entries = (1..=count).map(|number| Entry {
            number,
            transfer: Transfer {
                from: 0,
                to: 1,
                amount: i64::try_from(draw.within(1, 1 << 40)).unwrap(),
                transfer_id: None,
            },
            answer: None,
        });
        let all: Vec<_> = entries.map(|entry| Open { entry, there: true }).collect();
        let again = all.iter().filter(|open| open.entry.number % 2 == 0);
        let moved: i64 = again.map(|open| open.entry.transfer.amount).sum();
        let balances = |moved| vec![Some((1 << 50) - moved), Some((1 << 50) + moved)];
        let around = (&balances(0), &balances(moved));
        let answers = vec![OK; all.len()];
        check(Pair(0), &all, &answers, around, &mut History::new()).1
    }

    #[test]
    fn a_server_that_forgot_some_ids_is_caught_by_that_name() {
        let found = every_second_again(12);
        let numbers: Vec<_> = found
            .iter()
            .filter(|one| one.kind == FindingKind::AppliedTwice)
            .map(|one| one.transfer.as_ref().unwrap().number)
            .collect();
        assert_eq!(numbers, [2, 4, 6, 8, 10, 12]);
        assert_eq!(found.len(), 6);
        // So many that it cannot be said which.
        let found = every_second_again(40);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].kind, FindingKind::AppliedTwice);
        assert!(found[0].message.contains("do not say which"), "{found:?}");
    }

    #[test]
    fn an_ok_for_what_is_still_not_there_is_a_loss() {
        let (_, kinds, _) = found(AMOUNTS[1], [OK; 3]);
        assert_eq!(kinds, [FindingKind::Lost]);
    }

    #[test]
    fn another_answer_is_a_finding() {
        let (resolved, kinds, _) = found(AMOUNTS[1], [OK, OK, None]);
        assert_eq!(kinds, [FindingKind::NotResolved]);
        assert_eq!((resolved.resolved, resolved.unresolved), (2, 1));
        let conflict = Some(Outcome::Rejected(Reason::Conflict));
        let (_, kinds, _) = found(AMOUNTS[1] + AMOUNTS[2], [conflict, OK, OK]);
        assert_eq!(kinds, [FindingKind::NotResolved]);
    }

    #[tokio::test]
    async fn everything_is_sent_once_more_with_its_id() {
        let connector = MockConnector::new(Arc::new(|_, transfer: &Transfer| {
            let id = transfer.transfer_id.map(TransferId::to_u128);
            match id {
                Some(2) => MockAnswer::Silence,
                Some(1 | 3) => MockAnswer::After(Duration::from_millis(1), Outcome::Committed),
                _ => MockAnswer::Disconnect,
            }
        }));
        let how = (2, Duration::from_millis(100));
        let answers = all(&connector, &[three(), Vec::new()], how).await;
        assert_eq!(answers, [vec![OK, None, OK], vec![]]);
    }
}
