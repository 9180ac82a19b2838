//! Honest rows pass; each way to cheat is caught by what it leaves behind.

use super::*;

fn honest() -> Evidence {
    Evidence {
        acknowledged: 1000,
        amount: 1,
        committed_in_window: 800,
        applied: Some(1000),
        totals: Some((500, 500)),
        lowest_balance: Some(0),
        digests: Some(("a".to_owned(), "b".to_owned())),
        samples: vec![Sample {
            account: 0,
            before: 10,
            after: 7,
            acknowledged_delta: -3,
        }],
        syncs: Some(SyncEvidence {
            syncs_promised_per_batch: 1,
            batches_that_wrote: 10,
            commit_syncs: 10,
            bytes_written: 40_960,
            storage_bytes: Some(40_960),
            device_bytes: None,
            page_bytes: 4096,
            sync_p50_us: Some(100.0),
        }),
        durability: Some("wal-full".to_owned()),
        ..Evidence::default()
    }
}

fn codes(evidence: &Evidence) -> Vec<VerdictCode> {
    judge(evidence)
        .1
        .iter()
        .map(|verdict| verdict.code)
        .collect()
}

fn invalidated_by(change: impl FnOnce(&mut Evidence), code: VerdictCode) {
    let mut evidence = honest();
    change(&mut evidence);
    let (_, verdicts) = judge(&evidence);
    assert!(!is_valid(&verdicts));
    assert!(
        verdicts
            .iter()
            .any(|verdict| verdict.invalidates && verdict.code == code),
        "{code:?} not among {verdicts:?}"
    );
}

#[test]
fn an_honest_row_has_no_verdict() {
    let (verification, verdicts) = judge(&honest());
    assert_eq!(verdicts, []);
    assert_eq!(verification.ledger_ok, Some(true));
    assert_eq!(
        (verification.conserved, verification.changed),
        (Some(true), Some(true))
    );
    assert!(!verification.fake);
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
        |e| e.own_verify = Some(Err("off".to_owned())),
        VerdictCode::MoneyNotConserved,
    );
    invalidated_by(
        |e| e.digests = Some(("a".to_owned(), "a".to_owned())),
        VerdictCode::NothingChanged,
    );
    invalidated_by(|e| e.applied = Some(999), VerdictCode::LedgerMismatch);
    invalidated_by(|e| e.applied = Some(1001), VerdictCode::LedgerMismatch);
    invalidated_by(|e| e.samples[0].after = 8, VerdictCode::LedgerMismatch);
    invalidated_by(|e| e.unexpected_answers = 1, VerdictCode::LedgerMismatch);
    invalidated_by(|e| e.applied = Some(0), VerdictCode::Fake);
    invalidated_by(
        |e| e.committed_in_window = 0,
        VerdictCode::NoCommittedTransfer,
    );
    invalidated_by(
        |e| e.server_died = Some("signal 9".to_owned()),
        VerdictCode::ServerDied,
    );
    let syncs = |change: fn(&mut SyncEvidence)| {
        move |e: &mut Evidence| change(e.syncs.as_mut().expect("honest() has it"))
    };
    invalidated_by(syncs(|s| s.commit_syncs = 9), VerdictCode::Fake);
    invalidated_by(syncs(|s| s.bytes_written = 0), VerdictCode::Fake);
    invalidated_by(syncs(|s| s.storage_bytes = Some(100)), VerdictCode::Fake);
    invalidated_by(syncs(|s| s.batches_that_wrote = 0), VerdictCode::Fake);
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
        own_verify: Some(Ok(5)),
        ..honest()
    };
    assert_eq!(codes(&evidence), [VerdictCode::DurabilityUnknown]);
    evidence.samples[0].after = evidence.samples[0].before;
    assert!(codes(&evidence).contains(&VerdictCode::LedgerMismatch));
}

#[test]
fn unknown_outcomes_widen_the_ledger_and_silence_the_sample() {
    let mut evidence = honest();
    evidence.unknown = 5;
    evidence.applied = Some(1003);
    evidence.samples[0].after = 5;
    let (verification, verdicts) = judge(&evidence);
    assert!(is_valid(&verdicts));
    assert_eq!(verification.sampled_accounts, 0);
    evidence.applied = Some(1006);
    assert!(!is_valid(&judge(&evidence).1));
}

/// One answer dropped on purpose must not hide a thousand that were never applied.
#[test]
fn unknown_outcomes_explain_no_more_than_they_can() {
    let mut evidence = honest();
    evidence.unknown = 5;
    evidence.applied = None;
    evidence.samples[0].after = evidence.samples[0].before - 8;
    assert!(is_valid(&judge(&evidence).1), "off by five");
    evidence.samples[0].after -= 1;
    invalidated_by(|e| *e = evidence.clone(), VerdictCode::LedgerMismatch);
}

#[test]
fn a_weaker_durability_is_valid_and_labelled() {
    let mut evidence = honest();
    evidence.durability = Some("wal-normal".to_owned());
    let syncs = evidence.syncs.as_mut().expect("honest() has it");
    syncs.syncs_promised_per_batch = 0;
    syncs.commit_syncs = 0;
    let (_, verdicts) = judge(&evidence);
    assert!(is_valid(&verdicts));
    assert_eq!(verdicts[0].code, VerdictCode::NotDurable);
}

#[test]
fn a_run_in_which_nothing_happened_is_invalid() {
    let evidence = Evidence {
        samples: Vec::new(),
        ..Evidence::default()
    };
    assert!(codes(&evidence).contains(&VerdictCode::NoCommittedTransfer));
}
