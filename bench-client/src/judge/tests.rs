//! All verdicts together: which there are, and which of them make a row invalid.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::edges::TimeOfTransfer;
use super::evidence::Evidence;
use super::fixtures::{
    apart, around, baseline, claim, codes, counters, edges, gap, honest, of_seconds, open_loop,
    refuse, speed, throttled,
};
use super::generator::GeneratorEvidence;
use super::*;
use crate::host::environment::{EnvironmentWarning, EnvironmentWarningCode};
use crate::record::VerdictCode;
use crate::statistics::Estimate;

#[test]
fn an_honest_row_has_no_verdict() {
    let (verification, verdicts) = judge_evidence(&honest());
    assert_eq!(verdicts, []);
    assert_eq!(verification.ledger_ok, Some(true));
    assert_eq!(
        (verification.conserved, verification.changed),
        (Some(true), Some(true))
    );
    assert!(!verification.fake);
}

#[test]
fn an_audit_outweighs_what_a_server_says() {
    let unknown = verdict::durability_not_told(None);
    let heard = |verdict, before: &[Verdict]| {
        let mut row = crate::record::fixtures::row();
        row.verdicts = before.to_vec();
        let at = "2026-11-30".to_owned();
        hear_audit(&mut row, RowAudit { verdict, at });
        row.verdicts
    };
    assert_eq!(
        heard(DurabilityVerdict::Durable, std::slice::from_ref(&unknown)),
        []
    );
    let untold = heard(
        DurabilityVerdict::CannotTell,
        std::slice::from_ref(&unknown),
    );
    assert_eq!(untold, [unknown]);
    for verdict in [DurabilityVerdict::NotDurable, DurabilityVerdict::Fake] {
        let once = heard(verdict, &[]);
        assert_eq!(once[0].code, VerdictCode::NotDurable);
        assert!(once[0].message.contains(verdict.as_str()), "{once:?}");
        assert_eq!(heard(verdict, &once), once, "said once");
    }
}

#[test]
fn a_run_in_which_nothing_happened_is_invalid() {
    let evidence = Evidence {
        checked: Cow::default(),
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
        | VerdictCode::ShortForLatency
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

/// Evidence of everything that there can be a verdict about.
fn all_that_can_be_wrong() -> Vec<Evidence<'static>> {
    let changes: [fn(&mut Evidence<'static>); 34] = [
        |e| e.totals = Some((500, 499)),
        |e| e.digests = Some(("a", "a")),
        |e| e.own_verify = Some(Err("internal error".to_owned())),
        |e| e.contradictory_answers = 1,
        |e| {
            e.time_of_transfer = Some(TimeOfTransfer {
                typical: 2.0,
                warmup: 2.0,
                window: 1.0,
            });
        },
        |e| e.counters = Some(counters()),
        |e| e.applied = Some(999),
        |e| e.applied = Some(0),
        |e| e.committed_in_window = 0,
        |e| e.server_died = Some("signal 9".into()),
        |e| e.durability = Some("wal-normal"),
        |e| e.durability = Some("delete-full"),
        |e| e.durability = None,
        |e| (e.applied, e.checked) = (None, Cow::default()),
        |e| e.not_verified = true,
        |e| e.unknown = 3,
        |e| refuse(e, "overloaded", 100),
        |e| e.interrupted = true,
        |e| e.baselines = Some(around(baseline(900.0), baseline(100.0))),
        |e| e.baselines = Some(around(baseline(900.0), baseline(900.0))),
        |e| e.durability = Some("null"),
        |e| e.preloaded = vec!["fake.so"],
        |e| claim(e, 100, Some(0.4), None),
        |e| claim(e, 100, Some(100.0), Some(3)),
        |e| e.baselines = Some(around(apart(), apart())),
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
                throughput_times_latency: Some(1.0),
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
        let (_, verdicts) = judge_evidence(evidence);
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
            throughput_times_latency: Some(1.0),
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
