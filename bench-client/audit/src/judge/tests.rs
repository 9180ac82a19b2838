use busload_wire::Transfer;

use super::*;
use crate::connector::{Outcome, Reason};
use crate::draw::Draw;

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
const FULL: Option<Outcome> = Some(Outcome::Failed(Some(Reason::StorageFull)));

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
    assert_eq!((counts.lost, counts.gaps), (1, 0));
    assert_eq!(found, [FindingKind::Lost]);
}

/// A server that comes back with an empty ledger has lost everything, also what earlier restarts
/// had shown to be there.
#[test]
fn accounts_that_are_gone_take_all_that_was_acknowledged_with_them() {
    let sequence = sequence(&[OK, OK, OPEN]);
    let before = vec![Some(START); 6];
    let mut history = vec![1, 2, 3];
    let nothing = vec![None; 6];
    let judgement = judge(PAIR, &sequence, &before, &nothing, &mut history, ORDERED);
    let counts = judgement.counts;
    assert_eq!((counts.lost, counts.unexplained), (5, 0));
    assert!(history.is_empty());
    let mut one_left = before.clone();
    one_left[2] = None;
    let judgement = judge(PAIR, &sequence, &before, &one_left, &mut history, ORDERED);
    let counts = judgement.counts;
    assert_eq!((counts.lost, counts.unexplained), (0, 1));
}

#[test]
fn lost_in_the_middle_is_a_hole_as_well() {
    let (counts, found) = judged(&[OK, OK, OK], &[1, 0, 1]);
    assert_eq!((counts.lost, counts.gaps), (1, 1));
    assert_eq!(found, [FindingKind::Lost, FindingKind::Gap]);
}

#[test]
fn a_hole_among_those_of_unknown_outcome() {
    let (counts, found) = judged(&[OK, OPEN, OPEN, OPEN], &[1, 1, 0, 1]);
    assert_eq!((counts.lost, counts.gaps), (0, 1));
    assert_eq!(counts.unknown_present, 2);
    assert_eq!(found, [FindingKind::Gap]);
}

#[test]
fn an_open_one_before_an_acknowledged_one_must_be_there() {
    let (counts, found) = judged(&[OPEN, OK], &[0, 1]);
    assert_eq!((counts.gaps, found), (1, vec![FindingKind::Gap]));
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

/// Whole transfers are all there by one of the accounts, whichever it is: none is called lost or
/// applied twice beside it.
#[test]
fn a_transfer_that_moved_by_half_is_said_to_be_that() {
    let sequence = sequence(&[OK, OK, OK, OPEN]);
    let amount = sequence.entries[1].transfer.amount;
    let before = vec![Some(START); 6];
    for (account, change) in [(2, amount), (2, -amount), (3, amount), (3, -amount)] {
        let mut after = balances(&sequence, &[1; 4]);
        after[account] = after[account].map(|balance| balance + change);
        let mut history = History::new();
        let judgement = judge(PAIR, &sequence, &before, &after, &mut history, ORDERED);
        let found: Vec<_> = judgement.suspicions.iter().map(|one| one.kind).collect();
        assert_eq!(found, [FindingKind::PairNotConserved], "{account} {change}");
        assert_eq!(judgement.counts.unknown_present, 1);
        assert_eq!(judgement.moved, None);
    }
}

#[test]
fn a_batch_that_was_refused_and_applied() {
    let answers = [OK, FULL, FULL, FULL, FULL, OK, OPEN];
    let (counts, found) = judged(&answers, &[1, 1, 1, 1, 1, 1, 0]);
    assert_eq!((counts.refused_present, counts.unexplained), (4, 0));
    assert_eq!(found, [FindingKind::RefusedPresent; 4]);
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
