//! Every way in which a database may differ from what was asked and answered.

use busload_wire::{Transfer, TransferId};

use super::expected_ledger::{Entry, ExpectedLedger, ExpectedLedgerError, Faults, Progress};

const START: i64 = 1000;

/// A pair that was asked for transfers of these amounts; those in `acknowledged` were
/// answered.
fn run(amounts: &[i64], acknowledged: &[usize]) -> (ExpectedLedger, Progress) {
    let mut ledger = ExpectedLedger::default();
    let entries: Vec<_> = amounts
        .iter()
        .map(|&amount| ledger.ask(1, &transfer(0, 1, amount)).unwrap())
        .collect();
    let mut progress = Progress::new(&ledger);
    for &entry in &entries {
        progress.asked(entry);
    }
    for &number in acknowledged {
        progress.acknowledged(entries[number]);
    }
    (ledger, progress)
}

fn transfer(from: i64, to: i64, amount: i64) -> Transfer {
    Transfer {
        from,
        to,
        amount,
        transfer_id: None,
    }
}

fn judged(ledger: &ExpectedLedger, progress: &Progress, payer: i64, receiver: i64) -> [u64; 4] {
    let before = [(0, START), (1, START)].into();
    let after = [(0, payer), (1, receiver)].into();
    let Faults {
        lost,
        twice,
        gaps,
        torn,
        ..
    } = ledger.judge(&before, &after, progress);
    [lost, twice, gaps, torn]
}

#[test]
fn every_kind_of_fault_is_told() {
    let (ledger, progress) = run(&[1, 10, 100, 300], &[0, 1]);
    let paid = |n: i64| judged(&ledger, &progress, START - n, START + n);
    for fine in [11, 111, 411] {
        assert_eq!(paid(fine), [0; 4], "{fine}");
    }
    assert_eq!(paid(0), [2, 0, 0, 0], "both acknowledged ones are lost");
    assert_eq!(paid(1), [1, 0, 0, 0]);
    assert_eq!(paid(101), [0, 0, 1, 0], "the first and the third");
    assert_eq!(paid(412), [0, 1, 0, 0], "the first twice");
    assert_eq!(paid(21), [0, 1, 0, 0], "the second twice");
    assert_eq!(paid(410), [0, 0, 1, 0], "all but the first");
    assert_eq!(
        judged(&ledger, &progress, START - 11, START + 1),
        [0, 0, 0, 2]
    );
    assert_eq!(paid(-1), [0, 0, 1, 0], "money went the other way");
}

#[test]
fn one_that_was_refused_must_not_be_there() {
    let (mut ledger, progress) = run(&[1, 2, 4], &[2]);
    ledger.refuse(Entry { pair: 0, number: 1 });
    assert_eq!(judged(&ledger, &progress, START - 5, START + 5), [0; 4]);
    assert_eq!(
        judged(&ledger, &progress, START - 3, START + 3),
        [0, 0, 1, 0]
    );
}

#[test]
fn money_may_go_both_ways() {
    let mut ledger = ExpectedLedger::default();
    let entries = [transfer(0, 1, 5), transfer(1, 0, 2), transfer(0, 1, 9)];
    let entries = entries.map(|transfer| ledger.ask(1, &transfer).unwrap());
    let mut progress = Progress::new(&ledger);
    for entry in entries {
        progress.asked(entry);
        progress.acknowledged(entry);
    }
    let moved = |n: i64| judged(&ledger, &progress, START - n, START + n);
    assert_eq!(moved(12), [0; 4]);
    assert_eq!(moved(3), [1, 0, 0, 0]);
    assert_eq!(moved(5), [2, 0, 0, 0]);
    assert_eq!(moved(14), [0, 0, 1, 0]);
    assert_eq!(moved(1), [0, 1, 0, 0], "the second twice");
}

#[test]
fn what_was_not_asked_for_yet_cannot_be_there() {
    let (ledger, _) = run(&[1, 2], &[]);
    let mut progress = Progress::new(&ledger);
    progress.asked(Entry { pair: 0, number: 0 });
    assert_eq!(judged(&ledger, &progress, START - 1, START + 1), [0; 4]);
    assert_eq!(
        judged(&ledger, &progress, START - 3, START + 3),
        [0, 1, 0, 0]
    );
}

#[test]
fn over_two_connections_only_the_bounds_hold() {
    let (mut ledger, mut progress) = run(&[1, 2], &[1]);
    progress.asked(ledger.ask(2, &transfer(0, 1, 4)).unwrap());
    assert_eq!(judged(&ledger, &progress, START - 6, START + 6), [0; 4]);
    assert_eq!(
        judged(&ledger, &progress, START - 1, START + 1),
        [1, 0, 0, 0]
    );
    assert_eq!(
        judged(&ledger, &progress, START - 8, START + 8),
        [0, 1, 0, 0]
    );
}

#[test]
fn accounts_are_private() {
    let (mut ledger, _) = run(&[1], &[]);
    assert_eq!(
        ledger.ask(1, &transfer(2, 1, 1)),
        Err(ExpectedLedgerError::Shared(1))
    );
    assert_eq!(
        ledger.ask(1, &transfer(0, 2, 1)),
        Err(ExpectedLedgerError::Shared(0))
    );
    assert_eq!(
        ledger.ask(1, &transfer(0, 0, 1)),
        Err(ExpectedLedgerError::Shared(0))
    );
    assert_eq!(
        ledger.ask(1, &transfer(2, 3, 0)),
        Err(ExpectedLedgerError::Amount(0))
    );
}

#[test]
fn one_that_is_asked_for_again_by_its_id_is_the_same() {
    let mut ledger = ExpectedLedger::default();
    let named = Transfer {
        transfer_id: Some(TransferId::from_u128(7)),
        ..transfer(0, 1, 1)
    };
    assert_eq!(ledger.ask(1, &named), ledger.ask(1, &named));
}
