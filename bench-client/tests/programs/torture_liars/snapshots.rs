//! Case 9: books that are right at rest, and under load are shown as they never were. Only
//! snapshots under load can tell.

use std::collections::BTreeSet;

use super::audited::{Audited, had_its_chance};
use super::bank::Lie;
use crate::common::count;

/// Audits a server with `stats`.
fn audited(lie: Lie, enough: impl Fn(&Audited) -> bool) -> Audited {
    Audited::until(lie, &["--faults=kill"], enough)
}

/// How many answers to `stats` the liar gave that the audit did not get to see, since the server
/// was killed on the way.
#[track_caller]
fn unseen(audited: &Audited) -> u64 {
    let words = ["idle", "whole", "torn"];
    let told: u64 = words.iter().map(|word| audited.tally.count(word)).sum();
    let seen = count(&audited.record["snapshots"]);
    let unseen = told.checked_sub(seen);
    unseen.expect("no snapshot is counted that was not shown")
}

/// A liar is caught by this rule, in each cycle in which it showed what breaks it, and nothing is
/// said of its books at rest.
#[track_caller]
fn caught_by(rule: &str, lie: Lie) {
    let audited = audited(lie, |audited| audited.ended.code() != Some(0));
    let audited = audited.caught(&[rule]);
    assert_eq!(audited.kinds(), BTreeSet::from([rule.to_owned()]));
    let findings = audited.findings(rule);
    let cycles: BTreeSet<_> = findings.iter().map(|one| count(&one["cycle"])).collect();
    assert_eq!(cycles.len(), findings.len(), "once in a cycle");
    let (found, torn) = (findings.len() as u64, audited.tally.count("torn"));
    assert!(found <= torn, "{found} found, {torn} shown");
    assert!(torn - found <= unseen(&audited), "{found} of {torn} found");
    audited.counts(&[]);
    assert_eq!(audited.record["replay_matches"], true);
}

/// The control.
#[test]
fn case_09_books_that_are_shown_as_they_are() {
    let audited = audited(Lie::ShowsTheBooks, |audited| {
        let under_load = audited.tally.count("whole") > unseen(audited);
        audited.ended.code() != Some(0) || under_load && !had_its_chance(&audited.record).is_empty()
    });
    audited.ended.expect_code(0);
    assert!(audited.kinds().is_empty(), "{:#}", audited.record);
    assert!(
        count(&audited.record["snapshots"]) > 0,
        "{:#}",
        audited.record
    );
    assert!(
        audited.tally.count("whole") > unseen(&audited),
        "under load"
    );
    assert_eq!(audited.tally.count("torn"), 0);
}

#[test]
fn case_09_money_debited_and_not_yet_credited() {
    caught_by("wrong_total", Lie::ShowsHalf);
}

#[test]
fn case_09_a_payer_with_less_than_nothing() {
    caught_by("negative_balance", Lie::ShowsDebt);
}

#[test]
fn case_09_an_account_that_is_not_there() {
    caught_by("missing_account", Lie::ShowsFewer);
}

#[test]
fn case_09_an_account_that_was_never_made() {
    caught_by("unexpected_account", Lie::ShowsMore);
}
