//! What is warned of, and what is not.

use crate::host::environment::{EnvironmentWarning, EnvironmentWarningCode};
use crate::judge::evidence::Evidence;
use crate::judge::fake::SyncEvidence;
use crate::judge::fixtures::{
    apart, around, baseline, claim, codes, edges, gap, honest, of_seconds, open_loop, refuse,
    speed, throttled,
};
use crate::judge::generator::GeneratorEvidence;
use crate::judge::{is_valid, judge_evidence};
use crate::record::{LittlesLaw, VerdictCode};

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
    evidence.durability = Some("wal-normal");
    let syncs = evidence.syncs.as_mut().expect("honest() has it");
    syncs.syncs_promised_per_batch = 0;
    syncs.commit_syncs = Some(0);
    let (_, verdicts) = judge_evidence(&evidence);
    assert!(is_valid(&verdicts));
    assert_eq!(verdicts[0].code, VerdictCode::NotDurable);
}

#[test]
fn a_rollback_journal_is_durable_only_when_its_removal_is_synced() {
    let declared = |mode: &'static str| Evidence {
        durability: Some(mode),
        ..honest()
    };
    assert_eq!(judge_evidence(&declared("delete-extra")).1, []);
    let (_, verdicts) = judge_evidence(&declared("delete-full"));
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
            durability: Some(declared),
            ..honest()
        };
        assert_eq!(codes(&evidence), [VerdictCode::NotDurable], "{declared}");
    }
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
    evidence.durability = Some("wal-normal");
    assert_eq!(codes(&evidence), [VerdictCode::NotDurable]);
}

/// A disk that others kept busy while it was measured has quick writes as well.
#[test]
fn a_sync_is_too_fast_below_the_quickest_write_alone() {
    let told = |quickest_us, p50_us| {
        let busy = || {
            let mut baseline = baseline(717.0);
            baseline.methods[0].latency_us.min = quickest_us;
            baseline
        };
        let mut evidence = honest();
        claim(&mut evidence, 1_000, Some(p50_us), Some(1_000));
        evidence.baselines = Some(around(busy(), busy()));
        codes(&evidence)
    };
    assert_eq!(told(53.0, 163.0), []);
    assert_eq!(told(53.0, 52.0), [VerdictCode::SyncTooFast]);
    assert_eq!(told(700.0, 163.0), [VerdictCode::SyncTooFast]);
}

/// More threads help a generator that computes, and none that waits for a processor.
#[test]
fn a_generator_that_waited_is_advised_to_wait_for_a_quieter_machine() {
    let remedy = |thread_cpu: f64| {
        let mut evidence = honest();
        evidence.generator = Some(GeneratorEvidence {
            thread_cpu: vec![thread_cpu],
            tps: 900.0,
            ceiling_tps: Some(1_000.0),
            committed: 1_000,
            ..GeneratorEvidence::default()
        });
        let (_, verdicts) = judge_evidence(&evidence);
        assert_eq!(verdicts[0].code, VerdictCode::GeneratorBound);
        verdicts[0].remedy.clone()
    };
    assert!(remedy(0.95).contains("--threads"));
    assert!(remedy(0.2).contains("quieter"));
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
    evidence.baselines = Some(around(swallowed(), swallowed()));
    let (_, verdicts) = judge_evidence(&evidence);
    assert_eq!(verdicts.len(), 1, "{verdicts:?}");
    assert_eq!(verdicts[0].code, VerdictCode::SyncDoesNothing);
    assert!(
        verdicts[0]
            .message
            .contains("0.60 µs through the C library")
    );
    evidence.baselines = Some(around(apart(), apart()));
    assert_eq!(codes(&evidence), [VerdictCode::SyncMethodsApart]);
}

#[test]
fn a_quota_that_kept_somebody_from_running_is_told_of() {
    let told = |client: Option<u64>, server: Option<u64>| {
        let mut evidence = honest();
        evidence.throttled = [client, server].map(|periods| periods.map(throttled));
        judge_evidence(&evidence).1
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

#[test]
fn answers_held_back_into_the_window_are_no_remark_about_littles_law() {
    let mut evidence = honest();
    evidence.littles_law = Some(LittlesLaw {
        in_flight: 10.0,
        throughput_times_latency: Some(1.0),
    });
    assert_eq!(codes(&evidence), [VerdictCode::LittlesLaw]);
    evidence.edges = Some(edges(300.0));
    let (_, verdicts) = judge_evidence(&evidence);
    assert_eq!(verdicts.len(), 1);
    assert_eq!(verdicts[0].code, VerdictCode::HeldBack);
    assert_eq!(
        verdicts[0].message,
        "400 of the 800 transfers that the window counts (50 %) began before it: they had waited \
         for 900 ms on average when it opened, and were answered 5.00 ms later; those that began \
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
    let (_, verdicts) = judge_evidence(&evidence);
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
        let (_, verdicts) = judge_evidence(&evidence);
        assert!(is_valid(&verdicts) && verdicts[0].code == VerdictCode::StandStill);
        verdicts[0].message.clone()
    };
    for generator in [true, false] {
        let said = said(generator);
        assert!(said.starts_with("nothing was committed for 3.0 s from 4.1 s on: the "));
        assert_eq!(
            said.contains("the generator or the whole machine stalled"),
            generator
        );
    }
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
        judge_evidence(&evidence).1
    };
    assert_eq!(with(&[("overloaded", 9)]), []);
    let told = with(&[("overloaded", 4), ("insufficient_funds", 6)]);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].code, VerdictCode::NotCommitted);
    assert_eq!(
        told[0].message,
        "10 of 1,000 answered transfers were not committed: insufficient_funds 6, overloaded 4"
    );
    assert!(told[0].remedy.contains("--queue") && told[0].remedy.contains("--initial-balance"));
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
