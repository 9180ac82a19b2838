//! Honest rows pass; each way to cheat is caught by what it leaves behind.

use std::collections::BTreeSet;

use super::*;
use crate::config::Arrival;
use crate::disk::{Baseline, LatencyUs, Method, Pattern, SyncMeasurement};
use crate::host::environment::{EnvironmentWarning, EnvironmentWarningCode};
use crate::record::{OpenLoop, ProcessorSpeed, Throttled, VerdictCode};
use crate::statistics::{Estimate, SteadyState};

fn honest() -> Evidence {
    Evidence {
        acknowledged: 1000,
        committed_in_window: 800,
        applied: Some(1000),
        totals: Some((500, 500)),
        lowest_balance: Some(0),
        digests: Some(("a".to_owned(), "b".to_owned())),
        checked: CheckedBalances {
            samples: vec![Sample {
                account: 0,
                before: 10,
                after: Some(7),
                acknowledged_delta: -3,
                unknown_debits: 0,
                unknown_credits: 0,
                transfers: 500,
                inferred: false,
            }],
            ..CheckedBalances::default()
        },
        must_differ: true,
        syncs: Some(SyncEvidence {
            syncs_promised_per_batch: 1,
            batches_that_wrote: 10,
            commit_syncs: Some(10),
            bytes_written: Some(40_960),
            storage_bytes: Some(40_960),
            device_bytes: None,
            device_flushes: None,
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
        |e| {
            e.own_verify = Some(Err("off".to_owned()));
            e.checked.samples[0].after = Some(6);
        },
        VerdictCode::MoneyNotConserved,
    );
    invalidated_by(
        |e| e.digests = Some(("a".to_owned(), "a".to_owned())),
        VerdictCode::NothingChanged,
    );
    invalidated_by(|e| e.applied = Some(999), VerdictCode::LedgerMismatch);
    invalidated_by(|e| e.applied = Some(1001), VerdictCode::LedgerMismatch);
    invalidated_by(
        |e| e.checked.samples[0].after = Some(8),
        VerdictCode::LedgerMismatch,
    );
    invalidated_by(
        |e| e.checked.samples[0].after = None,
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
        |e| (e.seeded, e.checked.more_than_seeded) = (seeded, true),
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
        |e| e.server_died = Some("signal 9".to_owned()),
        VerdictCode::ServerDied,
    );
    let syncs = |change: fn(&mut SyncEvidence)| {
        move |e: &mut Evidence| change(e.syncs.as_mut().expect("honest() has it"))
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
    let (verification, verdicts) = judge(&evidence);
    assert!(is_valid(&verdicts));
    assert_eq!(verification.ledger_ok, Some(true));
    assert_eq!(verification.applied_by, Some(AppliedBy::OwnCount));
    for applied in [0, 999, 1001] {
        evidence.applied = Some(applied);
        assert!(!is_valid(&judge(&evidence).1), "{applied}");
    }
    evidence.applied = Some(1000);
    evidence.checked.samples[0].after = Some(6);
    assert_eq!(codes(&evidence), [VerdictCode::LedgerMismatch]);
    evidence.checked = CheckedBalances::default();
    let (verification, verdicts) = judge(&evidence);
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
    evidence.checked.samples[0].after = Some(evidence.checked.samples[0].before);
    assert!(codes(&evidence).contains(&VerdictCode::LedgerMismatch));
}

/// A sample that a transfer of unknown outcome names proves nothing, unless it is wrong by more
/// than that can explain.
#[test]
fn unknown_outcomes_widen_the_ledger_and_the_balances_that_they_name() {
    let mut evidence = honest();
    evidence.unknown = 5;
    evidence.applied = Some(1003);
    evidence.checked.samples[0].unknown_debits = 5;
    for (after, fits) in [(8, false), (7, true), (2, true), (1, false)] {
        evidence.checked.samples[0].after = Some(after);
        let (verification, verdicts) = judge(&evidence);
        assert_eq!(is_valid(&verdicts), fits, "{after}");
        assert_eq!(verification.sampled_accounts, u64::from(!fits));
    }
    evidence.checked.samples[0].after = Some(5);
    evidence.applied = Some(1006);
    assert!(!is_valid(&judge(&evidence).1));
}

/// Answers dropped on purpose must not hide what happened to accounts that they do not name.
#[test]
fn unknown_outcomes_excuse_no_other_account() {
    let mut evidence = honest();
    evidence.unknown = 5;
    evidence.applied = None;
    let (verification, verdicts) = judge(&evidence);
    assert!(is_valid(&verdicts));
    assert_eq!(verification.ledger_ok, Some(true));
    evidence.checked.samples[0].after = Some(6);
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
        let (_, verdicts) = judge(&evidence);
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
    let remedy = |evidence: &Evidence| {
        let (_, verdicts) = judge(evidence);
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
    whole.checked.are_whole = true;
    assert_eq!(judge(&whole).0.conserved, Some(true));
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
        evidence.checked.samples.truncate(1);
        evidence.checked.samples.extend(vec![wrong; odd]);
        assert_eq!(is_valid(&judge(&evidence).1), valid, "{odd}");
    }
}

#[test]
fn balances_that_may_be_back_prove_nothing() {
    let mut evidence = honest();
    evidence.must_differ = false;
    evidence.digests = Some(("a".to_owned(), "a".to_owned()));
    assert_eq!(codes(&evidence), []);
    evidence.must_differ = true;
    assert_eq!(codes(&evidence), [VerdictCode::NothingChanged]);
}

#[test]
fn the_share_of_the_money_that_was_checked_is_told() {
    let mut evidence = honest();
    assert_eq!(judge(&evidence).0.checked_share, Some(0.25));
    evidence.checked.samples.clear();
    assert_eq!(judge(&evidence).0.checked_share, None);
}

/// What others count of it is held against it all the same.
#[test]
fn a_server_that_cannot_count_its_syncs_is_no_fake() {
    let uncounted = |change: fn(&mut SyncEvidence)| {
        let mut evidence = honest();
        let syncs = evidence.syncs.as_mut().expect("honest() has it");
        syncs.batches_that_wrote = 20;
        (syncs.commit_syncs, syncs.bytes_written) = (None, None);
        change(syncs);
        codes(&evidence)
    };
    assert_eq!(uncounted(|s| s.device_flushes = Some(20)), []);
    let flushes_missing = uncounted(|s| s.device_flushes = Some(9));
    assert_eq!(flushes_missing, [VerdictCode::FlushesMissing]);
    assert_eq!(
        uncounted(|s| s.storage_bytes = Some(100)),
        [VerdictCode::Fake]
    );
    assert_eq!(uncounted(|s| s.batches_that_wrote = 0), [VerdictCode::Fake]);
}

#[test]
fn a_weaker_durability_is_valid_and_labelled() {
    let mut evidence = honest();
    evidence.durability = Some("wal-normal".to_owned());
    let syncs = evidence.syncs.as_mut().expect("honest() has it");
    syncs.syncs_promised_per_batch = 0;
    syncs.commit_syncs = Some(0);
    let (_, verdicts) = judge(&evidence);
    assert!(is_valid(&verdicts));
    assert_eq!(verdicts[0].code, VerdictCode::NotDurable);
}

#[test]
fn a_rollback_journal_is_durable_only_when_its_removal_is_synced() {
    let declared = |mode: &str| Evidence {
        durability: Some(mode.to_owned()),
        ..honest()
    };
    assert_eq!(judge(&declared("delete-extra")).1, []);
    let (_, verdicts) = judge(&declared("delete-full"));
    assert!(is_valid(&verdicts));
    assert_eq!(verdicts[0].code, VerdictCode::NotDurable);
    for (text, expected) in [
        (&verdicts[0].message, "survive a killed process"),
        (&verdicts[0].message, "power cut"),
        (&verdicts[0].remedy, "--durability delete-extra"),
    ] {
        assert!(text.contains(expected), "no {expected} in {text}");
    }
}

/// What is no mode of ours promises nothing that we know.
#[test]
fn settings_of_no_mode_are_labelled() {
    for declared in ["custom", "discard-writes", "WAL-FULL"] {
        let evidence = Evidence {
            durability: Some(declared.to_owned()),
            ..honest()
        };
        assert_eq!(codes(&evidence), [VerdictCode::NotDurable], "{declared}");
    }
}

#[test]
fn a_run_in_which_nothing_happened_is_invalid() {
    let evidence = Evidence {
        checked: CheckedBalances::default(),
        ..Evidence::default()
    };
    assert!(codes(&evidence).contains(&VerdictCode::NoCommittedTransfer));
}

/// What makes a row invalid, and nothing else does.
fn may_invalidate(code: VerdictCode) -> bool {
    match code {
        VerdictCode::MoneyNotConserved
        | VerdictCode::NothingChanged
        | VerdictCode::LedgerMismatch
        | VerdictCode::Fake
        | VerdictCode::NoCommittedTransfer
        | VerdictCode::ServerDied => true,
        VerdictCode::NotDurable
        | VerdictCode::DurabilityUnknown
        | VerdictCode::Unverified
        | VerdictCode::NotVerified
        | VerdictCode::OwnVerifyFailed
        | VerdictCode::ContradictoryAnswers
        | VerdictCode::CountersContradict
        | VerdictCode::UnknownOutcomes
        | VerdictCode::NotCommitted
        | VerdictCode::Interrupted
        | VerdictCode::Unstable
        | VerdictCode::SyncTooFast
        | VerdictCode::SyncDoesNothing
        | VerdictCode::SyncMethodsApart
        | VerdictCode::FlushesMissing
        | VerdictCode::Preloaded
        | VerdictCode::Throttled
        | VerdictCode::ProcessorSlowed
        | VerdictCode::NullServer
        | VerdictCode::GeneratorBound
        | VerdictCode::OfferedNotAchieved
        | VerdictCode::LittlesLaw
        | VerdictCode::NotSteady
        | VerdictCode::HeldBack
        | VerdictCode::ShortWindow
        | VerdictCode::StandStill
        | VerdictCode::Tmpfs
        | VerdictCode::Overlay
        | VerdictCode::Environment
        | VerdictCode::WideSpread => false,
    }
}

/// Every code that there is, by the names in records.
fn every_code() -> BTreeSet<String> {
    let schema = serde_json::to_value(schemars::schema_for!(VerdictCode)).unwrap();
    let variants = schema["oneOf"].as_array().expect("an enumeration");
    variants
        .iter()
        .map(|variant| variant["const"].as_str().expect("a name").to_owned())
        .collect()
}

fn baseline(p50: f64) -> Baseline {
    Baseline {
        block_bytes: 4096,
        methods: vec![SyncMeasurement {
            method: Method::Fdatasync,
            pattern: Pattern::Overwrite,
            count: 10,
            syncs_per_second: 1e6 / p50,
            latency_us: LatencyUs {
                min: p50,
                p50: Some(p50),
                p99: Some(p50),
                max: p50,
                mean: p50,
            },
        }],
        by_c_library: None,
    }
}

/// A baseline whose methods are ten times apart.
fn apart() -> Baseline {
    let (mut fast, slow) = (baseline(9.0), baseline(90.0));
    fast.methods[0].count = 20;
    fast.methods.push(SyncMeasurement {
        method: Method::Fsync,
        ..slow.methods[0].clone()
    });
    fast
}

/// Claims so many syncs of a length, while the device counted some flushes.
fn claim(evidence: &mut Evidence, syncs: u64, p50_us: Option<f64>, flushes: Option<u64>) {
    let claimed = evidence.syncs.as_mut().expect("there are some");
    claimed.commit_syncs = Some(syncs);
    claimed.sync_p50_us = p50_us;
    claimed.device_flushes = flushes;
}

#[test]
fn a_sync_that_does_nothing_is_warned_of() {
    let told = |syncs, p50_us, flushes| {
        let mut evidence = honest();
        claim(&mut evidence, syncs, Some(p50_us), flushes);
        codes(&evidence)
    };
    assert_eq!(told(1_000, 100.0, Some(1_000)), []);
    // Whatever else uses the device adds to its flushes.
    assert_eq!(told(1_000, 100.0, Some(90_000)), []);
    assert_eq!(told(1_000, 4.0, None), []);
    assert_eq!(told(1_000, 0.0, None), [VerdictCode::SyncDoesNothing]);
    assert_eq!(told(1_000, 100.0, Some(499)), [VerdictCode::FlushesMissing]);
    assert_eq!(
        told(1_000, 2.9, Some(0)),
        [VerdictCode::SyncDoesNothing, VerdictCode::FlushesMissing]
    );
    assert_eq!(told(19, 0.0, Some(0)), [], "too few to judge by");
    let mut evidence = honest();
    claim(&mut evidence, 1_000, Some(0.4), Some(0));
    evidence.environment = vec![EnvironmentWarning {
        code: EnvironmentWarningCode::Tmpfs,
        message: "in memory".to_owned(),
        remedy: "do something".to_owned(),
    }];
    assert_eq!(codes(&evidence), [VerdictCode::Tmpfs], "by right");
    // A mode that promises no sync does not lie about it.
    let mut evidence = honest();
    claim(&mut evidence, 1_000, Some(0.4), Some(0));
    evidence.syncs.as_mut().unwrap().syncs_promised_per_batch = 0;
    evidence.durability = Some("wal-normal".to_owned());
    assert_eq!(codes(&evidence), [VerdictCode::NotDurable]);
}

#[test]
fn a_baseline_without_syncs_is_warned_of_once() {
    let swallowed = || {
        let mut baseline = baseline(96.0);
        let mut by_c_library = baseline.methods[0].clone();
        by_c_library.count = 50;
        by_c_library.latency_us.p50 = Some(0.6);
        baseline.by_c_library = Some(by_c_library);
        baseline
    };
    let mut evidence = honest();
    evidence.baselines = Some((swallowed(), swallowed()));
    let (_, verdicts) = judge(&evidence);
    assert_eq!(verdicts.len(), 1, "{verdicts:?}");
    assert_eq!(verdicts[0].code, VerdictCode::SyncDoesNothing);
    assert!(verdicts[0].message.contains("0.6 us through the C library"));
    evidence.baselines = Some((apart(), apart()));
    assert_eq!(codes(&evidence), [VerdictCode::SyncMethodsApart]);
}

fn throttled(throttled_periods: u64) -> Throttled {
    Throttled {
        periods: 50,
        throttled_periods,
        seconds: 0.25,
    }
}

fn speed(before: f64, after: f64) -> ProcessorSpeed {
    ProcessorSpeed {
        before,
        after,
        best: 730.0,
    }
}

#[test]
fn a_quota_that_kept_somebody_from_running_is_told_of() {
    let told = |client: Option<u64>, server: Option<u64>| {
        let mut evidence = honest();
        evidence.throttled = [client, server].map(|periods| periods.map(throttled));
        judge(&evidence).1
    };
    assert_eq!(told(None, None), []);
    assert_eq!(told(Some(0), Some(0)), []);
    let both = told(Some(3), Some(3));
    assert_eq!(both.len(), 1);
    assert_eq!(both[0].code, VerdictCode::Throttled);
    assert_eq!(
        both[0].message,
        "the CPU quota kept client and server from running in 3 of 50 periods, for 0.25 s summed \
         over cores"
    );
    let server = told(Some(0), Some(7));
    assert!(
        server[0]
            .message
            .contains("kept the server from running in 7 of 50")
    );
    let apart = told(Some(1), Some(7));
    assert!(apart[0].message.contains("the client") && apart[0].message.contains("the server"));
}

#[test]
fn a_processor_that_slows_down_is_told_of() {
    let told = |before, after| {
        let mut evidence = honest();
        evidence.processor_speed = Some(speed(before, after));
        codes(&evidence)
    };
    assert_eq!(told(730.0, 700.0), []);
    assert_eq!(told(730.0, 500.0), [VerdictCode::ProcessorSlowed]);
    assert_eq!(told(500.0, 730.0), [VerdictCode::ProcessorSlowed]);
    // Slow all along, in a row that follows faster ones.
    assert_eq!(told(500.0, 500.0), [VerdictCode::ProcessorSlowed]);
}

/// An open loop that got this many transfers in a second, of which so many were committed.
fn open_loop(rate: f64, offered: u64, achieved_tps: f64) -> GeneratorEvidence {
    GeneratorEvidence {
        open_loop: Some(OpenLoop {
            arrival: Arrival::Poisson,
            offered_tps: rate,
            offered,
            achieved_tps,
            latency_limit_ms: None,
            late: 0,
            skipped: 0,
            dropped: 0,
            schedule_lag_us: None,
        }),
        seconds: 1.0,
        committed: 1_000,
        ..GeneratorEvidence::default()
    }
}

/// 400 of 800 transfers began before the window of 10 s.
fn edges(excess: f64) -> WindowEdges {
    WindowEdges {
        began_before: 400,
        waited_before_ms: 900.0,
        waited_within_ms: 5.0,
        tps_begun_within: 40.0,
        answered_after: 20,
        excess,
    }
}

fn of_seconds(seconds: f64) -> GeneratorEvidence {
    GeneratorEvidence {
        seconds,
        ..GeneratorEvidence::default()
    }
}

fn gap(generator: bool) -> StandStill {
    StandStill {
        from_seconds: 4.1,
        seconds: 3.0,
        generator,
        gaps: 1,
    }
}

#[test]
fn answers_held_back_into_the_window_are_no_remark_about_littles_law() {
    let mut evidence = honest();
    evidence.littles_law = Some(LittlesLaw {
        in_flight: 10.0,
        throughput_times_latency: 1.0,
    });
    assert_eq!(codes(&evidence), [VerdictCode::LittlesLaw]);
    evidence.edges = Some(edges(300.0));
    let (_, verdicts) = judge(&evidence);
    assert_eq!(verdicts.len(), 1);
    assert_eq!(verdicts[0].code, VerdictCode::HeldBack);
    assert_eq!(
        verdicts[0].message,
        "400 of the 800 transfers that the window counts (50 %) began before it: they had waited \
         for 900.0 ms in the mean when it opened, and were answered 5.0 ms later; those that began \
         in it make 40 TPS"
    );
    // An overloaded server of an open loop owes at the end what it carried over.
    evidence.generator = Some(open_loop(80.0, 800, 80.0));
    let open = evidence
        .generator
        .as_mut()
        .and_then(|it| it.open_loop.as_mut());
    open.expect("an open loop").dropped = 400;
    assert!(!codes(&evidence).contains(&VerdictCode::HeldBack));
}

#[test]
fn a_window_is_too_short_below_half_a_second_or_for_what_it_cuts_off() {
    let mut evidence = honest();
    for (seconds, short) in [(0.01, true), (0.49, true), (0.5, false), (10.0, false)] {
        evidence.generator = Some(of_seconds(seconds));
        let codes = codes(&evidence);
        assert_eq!(
            codes.contains(&VerdictCode::ShortWindow),
            short,
            "{seconds}"
        );
    }
    evidence.edges = Some(edges(-300.0));
    let (_, verdicts) = judge(&evidence);
    assert_eq!(verdicts.len(), 1);
    assert_eq!(verdicts[0].code, VerdictCode::ShortWindow);
    assert!(
        verdicts[0].message.contains("as much as 300"),
        "{verdicts:?}"
    );
}

#[test]
fn a_gap_says_when_and_whose() {
    let said = |generator| {
        let mut evidence = honest();
        evidence.stand_still = Some(gap(generator));
        let (_, verdicts) = judge(&evidence);
        assert!(is_valid(&verdicts) && verdicts[0].code == VerdictCode::StandStill);
        verdicts[0].message.clone()
    };
    for generator in [true, false] {
        let said = said(generator);
        assert!(said.starts_with("nothing was committed for 3.0 s from 4.1 s on: the "));
        assert_eq!(said.contains("the generator stood still"), generator);
    }
}

fn refuse(evidence: &mut Evidence, reason: &str, count: u64) {
    evidence
        .not_committed_in_window
        .insert(reason.to_owned(), count);
}

#[test]
fn what_was_not_committed_is_told_from_one_in_a_hundred_on() {
    let with = |reasons: &[(&str, u64)]| {
        let mut evidence = Evidence {
            committed_in_window: 990,
            ..honest()
        };
        for (reason, count) in reasons {
            refuse(&mut evidence, reason, *count);
        }
        judge(&evidence).1
    };
    assert_eq!(with(&[("overloaded", 9)]), []);
    let told = with(&[("overloaded", 4), ("insufficient_funds", 6)]);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].code, VerdictCode::NotCommitted);
    assert_eq!(
        told[0].message,
        "10 of 1000 answered transfers were not committed: insufficient_funds 6, overloaded 4"
    );
    assert!(told[0].remedy.contains("--queue") && told[0].remedy.contains("--initial-balance"));
}

/// Of a server that says nothing of what this client saw.
fn counters() -> ServerCounters {
    ServerCounters {
        before: busload_wire::control::Stats::default(),
        after: busload_wire::control::Stats::default(),
        batch_size: None,
        applied_by: AppliedBy::RowChanges,
    }
}

/// Evidence of everything that there can be a verdict about.
fn all_that_can_be_wrong() -> Vec<Evidence> {
    let changes: [fn(&mut Evidence); 33] = [
        |e| e.totals = Some((500, 499)),
        |e| e.digests = Some(("a".to_owned(), "a".to_owned())),
        |e| e.own_verify = Some(Err("internal error".to_owned())),
        |e| e.contradictory_answers = 1,
        |e| e.counters = Some(Box::new(counters())),
        |e| e.applied = Some(999),
        |e| e.applied = Some(0),
        |e| e.committed_in_window = 0,
        |e| e.server_died = Some("signal 9".to_owned()),
        |e| e.durability = Some("wal-normal".to_owned()),
        |e| e.durability = Some("delete-full".to_owned()),
        |e| e.durability = None,
        |e| (e.applied, e.checked) = (None, CheckedBalances::default()),
        |e| e.not_verified = true,
        |e| e.unknown = 3,
        |e| refuse(e, "overloaded", 100),
        |e| e.interrupted = true,
        |e| e.baselines = Some((baseline(900.0), baseline(100.0))),
        |e| e.baselines = Some((baseline(900.0), baseline(900.0))),
        |e| e.durability = Some("null".to_owned()),
        |e| e.preloaded = vec!["fake.so".to_owned()],
        |e| claim(e, 100, Some(0.4), None),
        |e| claim(e, 100, Some(100.0), Some(3)),
        |e| e.baselines = Some((apart(), apart())),
        |e| e.throttled = [Some(throttled(3)), None],
        |e| e.processor_speed = Some(speed(700.0, 400.0)),
        |e| {
            e.generator = Some(GeneratorEvidence {
                thread_cpu: vec![0.99],
                committed: 1_000,
                ..GeneratorEvidence::default()
            });
        },
        |e| e.generator = Some(open_loop(1_000.0, 1_000, 500.0)),
        |e| {
            e.littles_law = Some(LittlesLaw {
                in_flight: 10.0,
                throughput_times_latency: 1.0,
            });
        },
        |e| {
            e.steady_state = Some(SteadyState {
                transient_seconds: 1.0,
                transient_ratio: 0.5,
                steady: false,
            });
        },
        |e| e.edges = Some(edges(300.0)),
        |e| e.generator = Some(of_seconds(0.4)),
        |e| e.stand_still = Some(gap(true)),
    ];
    let of_environment = [
        EnvironmentWarningCode::Tmpfs,
        EnvironmentWarningCode::Overlay,
        EnvironmentWarningCode::RemoteFileSystem,
        EnvironmentWarningCode::BarriersOff,
        EnvironmentWarningCode::DebugBuild,
        EnvironmentWarningCode::Preloaded,
    ];
    let warned = of_environment.map(|code| Evidence {
        environment: vec![EnvironmentWarning {
            code,
            message: "something".to_owned(),
            remedy: "do something".to_owned(),
        }],
        ..honest()
    });
    let wrong = changes.map(|change| {
        let mut evidence = honest();
        change(&mut evidence);
        evidence
    });
    wrong.into_iter().chain(warned).collect()
}

#[test]
fn six_reasons_make_a_row_invalid_and_no_other() {
    let estimate = Estimate::of(&[1.0, 5.0]).expect("finite numbers");
    let mut found = BTreeSet::new();
    let everything = all_that_can_be_wrong();
    let verdicts = everything.iter().flat_map(|evidence| {
        let (_, verdicts) = judge(evidence);
        assert_eq!(
            is_valid(&verdicts),
            !verdicts.iter().any(|verdict| may_invalidate(verdict.code))
        );
        verdicts
    });
    for verdict in verdicts.chain([verdict::wide_spread(&[("TPS", &estimate)])]) {
        assert_eq!(
            verdict.invalidates,
            may_invalidate(verdict.code),
            "{verdict:?}"
        );
        assert!(!verdict.message.is_empty() && !verdict.remedy.is_empty());
        let name = serde_json::to_value(verdict.code).expect("a name");
        found.insert(name.as_str().expect("a name").to_owned());
    }
    assert_eq!(found, every_code(), "each of them was judged");
}

/// Of a handful of transfers one that was late decides about speed; money is counted one by one.
#[test]
fn a_handful_is_judged_for_its_money_and_not_for_its_speed() {
    let slow = |committed: u32| {
        let mut evidence = Evidence {
            committed_in_window: committed.into(),
            ..honest()
        };
        let late = open_loop(15.0, committed.into(), f64::from(committed) * 0.9);
        evidence.generator = Some(GeneratorEvidence {
            thread_cpu: vec![0.99],
            committed: committed.into(),
            ..late
        });
        evidence.littles_law = Some(LittlesLaw {
            in_flight: 10.0,
            throughput_times_latency: 1.0,
        });
        evidence.steady_state = Some(SteadyState {
            transient_seconds: 1.0,
            transient_ratio: 0.5,
            steady: false,
        });
        evidence
    };
    assert_eq!(codes(&slow(15)), []);
    assert_eq!(codes(&slow(20)).len(), 4, "{:?}", codes(&slow(20)));
    let mut lost = Evidence {
        acknowledged: 15,
        applied: Some(14),
        ..slow(15)
    };
    assert_eq!(codes(&lost), [VerdictCode::LedgerMismatch]);
    (lost.acknowledged, lost.applied) = (1, Some(0));
    assert!(codes(&lost).contains(&VerdictCode::Fake));
    assert!(codes(&lost).contains(&VerdictCode::LedgerMismatch));
}

/// In a window of a second, 500 Poisson arrivals per second are 500 give or take 22.
#[test]
fn fewer_arrivals_than_the_rate_are_not_the_servers_fault() {
    let achieved = |offered, tps| {
        let mut evidence = honest();
        evidence.generator = Some(open_loop(500.0, offered, tps));
        !codes(&evidence).contains(&VerdictCode::OfferedNotAchieved)
    };
    assert!(achieved(470, 470.0), "all that came");
    assert!(achieved(530, 528.0), "a hundredth is no matter");
    assert!(!achieved(530, 500.0), "the rate, but not what came");
    assert!(achieved(0, 0.0), "nothing came");
}
