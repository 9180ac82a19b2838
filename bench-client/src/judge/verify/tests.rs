//! Each way to cheat with the ledger is caught by what it leaves behind.

use std::borrow::Cow;

use crate::config::About;
use crate::config::target_file::Promise;
use crate::judge::evidence::Evidence;
use crate::judge::fake::SyncEvidence;
use crate::judge::fixtures::{codes, honest};
use crate::judge::own_verify::Seeding;
use crate::judge::{is_valid, judge_evidence};
use crate::observation::{OwnVerified, Sample};
use crate::record::{AppliedBy, VerdictCode};

fn invalidated_by(change: impl FnOnce(&mut Evidence<'static>), code: VerdictCode) {
    let mut evidence = honest();
    change(&mut evidence);
    let (_, verdicts) = judge_evidence(&evidence);
    assert!(!is_valid(&verdicts));
    assert!(
        verdicts
            .iter()
            .any(|verdict| verdict.invalidates && verdict.code == code),
        "{code:?} not among {verdicts:?}"
    );
}

#[test]
fn each_lie_is_caught() {
    invalidated_by(
        |e| e.totals = Some((500, 499)),
        VerdictCode::MoneyNotConserved,
    );
    invalidated_by(
        |e| e.lowest_balance = Some(-1),
        VerdictCode::MoneyNotConserved,
    );
    invalidated_by(
        |e| {
            e.own_verify = Some(Err("off".to_owned()));
            e.checked.to_mut().samples[0].after = Some(6);
        },
        VerdictCode::MoneyNotConserved,
    );
    invalidated_by(
        |e| e.digests = Some(("a", "a")),
        VerdictCode::NothingChanged,
    );
    invalidated_by(|e| e.applied = Some(999), VerdictCode::LedgerMismatch);
    invalidated_by(|e| e.applied = Some(1001), VerdictCode::LedgerMismatch);
    invalidated_by(
        |e| e.checked.to_mut().samples[0].after = Some(8),
        VerdictCode::LedgerMismatch,
    );
    invalidated_by(
        |e| e.checked.to_mut().samples[0].after = None,
        VerdictCode::LedgerMismatch,
    );
    invalidated_by(|e| e.accounts = Some((9, 8)), VerdictCode::LedgerMismatch);
    let seeded = Some(Seeding {
        accounts: 9,
        balance: 10,
    });
    for told in [Some((9, 10)), Some((10, 10))] {
        invalidated_by(
            |e| (e.seeded, e.accounts) = (seeded, told),
            VerdictCode::LedgerMismatch,
        );
    }
    invalidated_by(
        |e| (e.seeded, e.checked.to_mut().more_than_seeded) = (seeded, true),
        VerdictCode::LedgerMismatch,
    );
    let own = OwnVerified {
        accounts: Some(8),
        changed: 1,
    };
    invalidated_by(
        |e| (e.seeded, e.own_verify) = (seeded, Some(Ok(own))),
        VerdictCode::LedgerMismatch,
    );
    invalidated_by(|e| e.unexpected_answers = 1, VerdictCode::LedgerMismatch);
    invalidated_by(|e| e.applied = Some(0), VerdictCode::Fake);
    invalidated_by(
        |e| e.committed_in_window = 0,
        VerdictCode::NoCommittedTransfer,
    );
    invalidated_by(
        |e| e.server_died = Some("signal 9".into()),
        VerdictCode::ServerDied,
    );
    let syncs = |change: fn(&mut SyncEvidence)| {
        move |e: &mut Evidence<'static>| change(e.syncs.as_mut().expect("honest() has it"))
    };
    invalidated_by(syncs(|s| s.commit_syncs = Some(9)), VerdictCode::Fake);
    invalidated_by(syncs(|s| s.bytes_written = Some(0)), VerdictCode::Fake);
    invalidated_by(syncs(|s| s.storage_bytes = Some(100)), VerdictCode::Fake);
    invalidated_by(syncs(|s| s.batches_that_wrote = 0), VerdictCode::Fake);
}

/// What a server counts for itself can speak against it; for it only the balances can.
#[test]
fn a_server_that_coalesces_is_judged_by_its_balances() {
    let mut evidence = honest();
    evidence.applied_by = Some(AppliedBy::OwnCount);
    let (verification, verdicts) = judge_evidence(&evidence);
    assert!(is_valid(&verdicts));
    assert_eq!(verification.ledger_ok, Some(true));
    assert_eq!(verification.applied_by, Some(AppliedBy::OwnCount));
    for applied in [0, 999, 1001] {
        evidence.applied = Some(applied);
        assert!(!is_valid(&judge_evidence(&evidence).1), "{applied}");
    }
    evidence.applied = Some(1000);
    evidence.checked.to_mut().samples[0].after = Some(6);
    assert_eq!(codes(&evidence), [VerdictCode::LedgerMismatch]);
    evidence.checked = Cow::default();
    let (verification, verdicts) = judge_evidence(&evidence);
    assert_eq!(verification.ledger_ok, None, "nothing else was looked at");
    assert_eq!(verdicts[0].code, VerdictCode::Unverified);
}

/// Only where every balance may be back where it was may nothing have been written.
#[test]
fn a_server_that_coalesces_may_have_nothing_to_write() {
    let mut evidence = honest();
    evidence.applied_by = Some(AppliedBy::OwnCount);
    evidence.syncs = Some(SyncEvidence {
        syncs_promised_per_batch: 1,
        page_bytes: 4096,
        ..SyncEvidence::default()
    });
    assert!(codes(&evidence).contains(&VerdictCode::Fake));
    evidence.must_differ = false;
    assert_eq!(codes(&evidence), []);
    evidence.applied_by = Some(AppliedBy::RowChanges);
    assert!(codes(&evidence).contains(&VerdictCode::Fake));
}

#[test]
fn a_foreign_server_without_stats_is_judged_by_its_balances() {
    let mut evidence = Evidence {
        applied: None,
        totals: None,
        digests: None,
        lowest_balance: None,
        syncs: None,
        durability: None,
        own_verify: Some(Ok(OwnVerified {
            accounts: None,
            changed: 5,
        })),
        ..honest()
    };
    assert_eq!(codes(&evidence), [VerdictCode::DurabilityUnknown]);
    let about = |durability| About {
        durability,
        ..About::default()
    };
    for (promise, code) in [
        (Promise::Durable, VerdictCode::DurabilityUnknown),
        (Promise::NotTold, VerdictCode::DurabilityUnknown),
        (Promise::NotDurable, VerdictCode::NotDurable),
    ] {
        let about = about(promise);
        let promised = Evidence {
            about: Some(&about),
            ..evidence.clone()
        };
        assert_eq!(codes(&promised), [code], "{promise}");
    }
    evidence.checked.to_mut().samples[0].after = Some(evidence.checked.samples[0].before);
    assert!(codes(&evidence).contains(&VerdictCode::LedgerMismatch));
}

/// A sample that a transfer of unknown outcome names proves nothing, unless it is wrong by more
/// than that can explain.
#[test]
fn unknown_outcomes_widen_the_ledger_and_the_balances_that_they_name() {
    let mut evidence = honest();
    evidence.unknown = 5;
    evidence.applied = Some(1003);
    evidence.checked.to_mut().samples[0].unknown_debits = 5;
    for (after, fits) in [(8, false), (7, true), (2, true), (1, false)] {
        evidence.checked.to_mut().samples[0].after = Some(after);
        let (verification, verdicts) = judge_evidence(&evidence);
        assert_eq!(is_valid(&verdicts), fits, "{after}");
        assert_eq!(verification.sampled_accounts, u64::from(!fits));
    }
    evidence.checked.to_mut().samples[0].after = Some(5);
    evidence.applied = Some(1006);
    assert!(!is_valid(&judge_evidence(&evidence).1));
}

/// Answers dropped on purpose must not hide what happened to accounts that they do not name.
#[test]
fn unknown_outcomes_excuse_no_other_account() {
    let mut evidence = honest();
    evidence.unknown = 5;
    evidence.applied = None;
    let (verification, verdicts) = judge_evidence(&evidence);
    assert!(is_valid(&verdicts));
    assert_eq!(verification.ledger_ok, Some(true));
    evidence.checked.to_mut().samples[0].after = Some(6);
    invalidated_by(|e| *e = evidence.clone(), VerdictCode::LedgerMismatch);
}

/// A foreign server may compare with an initial balance of its own.
#[test]
fn a_server_that_finds_fault_with_a_right_ledger_is_warned_of() {
    let verdict = |seeded: Option<Seeding>, error: &str| {
        let evidence = Evidence {
            totals: None,
            lowest_balance: None,
            seeded,
            own_verify: Some(Err(error.to_owned())),
            ..honest()
        };
        let (_, verdicts) = judge_evidence(&evidence);
        assert!(is_valid(&verdicts));
        let found = verdicts
            .iter()
            .find(|verdict| verdict.code == VerdictCode::OwnVerifyFailed);
        found.expect("it is warned of").clone()
    };
    let seeded = Some(Seeding {
        accounts: 1000,
        balance: 10,
    });
    let told = verdict(
        seeded,
        "verify failed: accounts=1000 total=10000 expected=77000",
    );
    assert!(
        told.message.contains("compare with 77,"),
        "{}",
        told.message
    );
    assert!(
        told.message.contains("seeded it with 10"),
        "{}",
        told.message
    );
    assert!(
        told.remedy.contains("SEED_INITIAL_BALANCE=10"),
        "{}",
        told.remedy
    );
    assert!(
        told.remedy.contains("--initial-balance 77"),
        "{}",
        told.remedy
    );
    assert!(!told.remedy.contains("--reseed"), "{}", told.remedy);
    assert!(verdict(None, "internal error").remedy.contains("--reseed"));
}

/// Whoever has seeded is not told to.
#[test]
fn a_remedy_is_not_what_was_done_already() {
    let evidence = |seeded: Option<Seeding>| Evidence {
        totals: None,
        lowest_balance: None,
        seeded,
        ..honest()
    };
    let remedy = |evidence: &Evidence<'_>| {
        let (_, verdicts) = judge_evidence(evidence);
        let found = verdicts
            .iter()
            .find(|verdict| verdict.code == VerdictCode::Unverified);
        found.expect("it is unverified").remedy.clone()
    };
    let seeded = Some(Seeding {
        accounts: 1000,
        balance: 10,
    });
    assert!(remedy(&evidence(None)).contains("--reseed"));
    let done = remedy(&evidence(seeded));
    assert!(!done.contains("--reseed"), "{done}");
    assert!(done.contains("SEED_INITIAL_BALANCE=10"), "{done}");
    assert!(done.contains("--verify-accounts 1000"), "{done}");
    let mut whole = evidence(seeded);
    whole.checked.to_mut().are_whole = true;
    assert_eq!(judge_evidence(&whole).0.conserved, Some(true));
}

/// What was not read before was what all others were, but for an odd one.
#[test]
fn it_takes_three_balances_to_contradict_what_was_inferred() {
    let mut evidence = honest();
    let wrong = Sample {
        after: Some(10),
        inferred: true,
        ..evidence.checked.samples[0]
    };
    for (odd, valid) in [(1, true), (2, true), (3, false)] {
        evidence.checked.to_mut().samples.truncate(1);
        evidence.checked.to_mut().samples.extend(vec![wrong; odd]);
        assert_eq!(is_valid(&judge_evidence(&evidence).1), valid, "{odd}");
    }
}

#[test]
fn balances_that_may_be_back_prove_nothing() {
    let mut evidence = honest();
    evidence.must_differ = false;
    evidence.digests = Some(("a", "a"));
    assert_eq!(codes(&evidence), []);
    evidence.must_differ = true;
    assert_eq!(codes(&evidence), [VerdictCode::NothingChanged]);
}

/// What never left an account cannot be missing: its own verification fails of that alone.
#[test]
fn a_server_that_moves_nothing_is_not_said_to_lose_money() {
    let mut evidence = Evidence {
        applied: None,
        totals: None,
        digests: None,
        lowest_balance: None,
        syncs: None,
        own_verify: Some(Err("verify_failed".to_owned())),
        ..honest()
    };
    let sample = &mut evidence.checked.to_mut().samples[0];
    sample.after = Some(sample.before);
    let found = [
        VerdictCode::NothingChanged,
        VerdictCode::LedgerMismatch,
        VerdictCode::Unverified,
    ];
    assert_eq!(codes(&evidence), found);
    let (verification, verdicts) = judge_evidence(&evidence);
    assert_eq!(verification.conserved, None);
    let said = "no balance changed: the server did not apply the 1,000 transfers that it answered";
    assert_eq!(verdicts[0].message, said);
    // Its sum speaks for itself.
    evidence.totals = Some((500, 499));
    assert!(codes(&evidence).contains(&VerdictCode::MoneyNotConserved));
}

#[test]
fn the_share_of_the_money_that_was_checked_is_told() {
    let mut evidence = honest();
    assert_eq!(judge_evidence(&evidence).0.checked_share, Some(0.25));
    evidence.checked.to_mut().samples.clear();
    assert_eq!(judge_evidence(&evidence).0.checked_share, None);
}
