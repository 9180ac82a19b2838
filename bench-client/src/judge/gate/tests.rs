use proptest::prelude::*;

use super::*;
use crate::judge::compare::{EQUIVALENCE, compare_metric};

const LEVEL: Level = Level::METRICS;

fn gate(text: &str) -> Gate {
    text.parse().unwrap()
}

fn problem(text: &str) -> String {
    text.parse::<Gate>().unwrap_err().to_string()
}

/// Twenty pairs of this metric around 1,000 and `ratio` times that, and the outcome.
fn judged(text: &str, ratio: f64, spread: f64, rounds: u32) -> GateResult {
    let gate = gate(text);
    let pair = |round: u32| {
        let off = f64::from(round) / f64::from(rounds.max(2) - 1) - 0.5;
        (1000.0, 1000.0 * ratio * (spread * off).exp())
    };
    let pairs: Vec<(f64, f64)> = (0..rounds).map(pair).collect();
    let comparison = compare_metric(gate.metric(), &pairs, LEVEL, EQUIVALENCE);
    let candidate: Vec<f64> = pairs.iter().map(|(_, candidate)| *candidate).collect();
    gate.judge(comparison.as_ref(), Some(&candidate), LEVEL)
}

#[test]
fn a_throughput_may_be_written_in_thousands_and_millions() {
    let threshold = |text: &str| text.parse::<Gate>().unwrap().threshold;
    assert_eq!(threshold("tps<100k"), threshold("tps<100000"));
    assert_eq!(threshold("tps<1.5M"), threshold("tps<1_500_000"));
}

#[test]
fn gates_are_read() {
    for (text, metric, threshold) in [
        ("tps<-5%", Metric::Tps, Threshold::Ratio(0.95)),
        ("TPS < -5 %", Metric::Tps, Threshold::Ratio(0.95)),
        ("p99>+10%", Metric::P99, Threshold::Ratio(1.1)),
        ("p99>10%", Metric::P99, Threshold::Ratio(1.1)),
        ("p50>0%", Metric::P50, Threshold::Ratio(1.0)),
        ("tps<0%", Metric::Tps, Threshold::Ratio(1.0)),
        ("p95>+150%", Metric::P95, Threshold::Ratio(2.5)),
        ("tps<100000", Metric::Tps, Threshold::Value(100_000.0)),
        ("tps<100_000", Metric::Tps, Threshold::Value(100_000.0)),
        ("p99>5ms", Metric::P99, Threshold::Value(5.0)),
        ("P99 > 0.5 MS", Metric::P99, Threshold::Value(0.5)),
        ("p50>800us", Metric::P50, Threshold::Value(0.8)),
    ] {
        let gate = gate(text);
        assert_eq!(gate.metric(), metric, "{text}");
        assert_eq!(gate.as_str(), text);
        let parts = |threshold| match threshold {
            Threshold::Ratio(ratio) => ("ratio", ratio),
            Threshold::Value(value) => ("value", value),
        };
        let (found, expected) = (parts(gate.threshold), parts(threshold));
        assert_eq!(found.0, expected.0, "{text}");
        assert!((found.1 - expected.1).abs() < 1e-9, "{text}: {found:?}");
    }
}

#[test]
fn what_is_no_gate_is_refused_with_what_to_write() {
    for (text, expected) in [
        ("tps", "such as tps<-5% or p99>5ms"),
        ("", "such as"),
        ("tps<", "such as"),
        ("tps<=5%", "such as"),
        (
            "p999>5ms",
            "no metric `p999`; there are tps, p50, p95 and p99",
        ),
        ("<5", "no metric ``"),
        ("tps<much", "`much` is not a number"),
        ("tps<inf", "not a number"),
        ("p99>nan%", "not a number"),
        (
            "p99>5",
            "`5` is not a time; write it as in p99>+10%, p99>5ms",
        ),
        ("tps<5ms", "`5ms` is not a throughput"),
        ("p99>5s", "not a number; write it as in p99>+10% or p99>5ms"),
        // Would fail equal sides.
        ("tps<5%", "fails when nothing changed; write tps<-5%"),
        ("p99>-10%", "fails when nothing changed; write p99>+10%"),
        ("p99>0ms", "fails when nothing changed; write p99>5ms"),
        // Would fail what is better.
        (
            "tps>5%",
            "fails when tps is better; to fail when it is worse, write tps<-5%",
        ),
        ("tps>-5%", "write tps<-5%"),
        ("p99<-10%", "write p99>+10%"),
        ("tps>100000", "write tps<100000"),
        ("p99<5ms", "write p99>5ms"),
        // Could not fail.
        ("tps<-100%", "can never fail"),
        ("tps<0", "can never fail"),
        ("tps<-5", "can never fail; write tps<-5%"),
    ] {
        let message = problem(text);
        assert!(
            message.starts_with(&format!("gate `{text}`: ")),
            "{message}"
        );
        assert!(message.contains(expected), "{text}: {message}");
        assert!(!message.contains('\n'));
    }
}

#[test]
fn a_gate_fails_only_when_the_whole_interval_is_beyond() {
    let outcome = |text, ratio| judged(text, ratio, 0.06, 20).outcome;
    assert_eq!(outcome("tps<-5%", 0.8), GateOutcome::Failed);
    assert_eq!(outcome("tps<-5%", 0.94), GateOutcome::Undecided);
    assert_eq!(outcome("tps<-5%", 0.95), GateOutcome::Undecided);
    assert_eq!(outcome("tps<-5%", 1.0), GateOutcome::Passed);
    assert_eq!(outcome("tps<-5%", 1.5), GateOutcome::Passed);
    assert_eq!(outcome("p99>+10%", 1.3), GateOutcome::Failed);
    assert_eq!(outcome("p99>+10%", 1.1), GateOutcome::Undecided);
    assert_eq!(outcome("p99>+10%", 0.7), GateOutcome::Passed);
    assert_eq!(outcome("tps<0%", 1.0), GateOutcome::Undecided);
    assert_eq!(outcome("tps<900", 0.8), GateOutcome::Failed);
    assert_eq!(outcome("tps<900", 0.9), GateOutcome::Undecided);
    assert_eq!(outcome("tps<900", 1.0), GateOutcome::Passed);
    assert_eq!(outcome("p99>900ms", 1.0), GateOutcome::Failed);
    assert_eq!(outcome("p99>1000000us", 1.0), GateOutcome::Undecided);
    assert_eq!(outcome("p99>1100ms", 1.0), GateOutcome::Passed);
}

#[test]
fn a_point_on_the_threshold_is_undecided() {
    assert_eq!(
        judged("tps<1000", 1.0, 0.0, 20).outcome,
        GateOutcome::Undecided
    );
    assert_eq!(
        judged("p99>0%", 1.0, 0.0, 20).outcome,
        GateOutcome::Undecided
    );
}

#[test]
fn too_few_runs_decide_nothing() {
    for text in ["tps<-5%", "tps<900"] {
        let few = judged(text, 0.1, 0.01, 9);
        assert_eq!(few.outcome, GateOutcome::Undecided);
        assert!(
            few.message.contains("too few runs for 99.75 %"),
            "{}",
            few.message
        );
        assert_eq!(judged(text, 0.1, 0.01, 10).outcome, GateOutcome::Failed);
    }
    let nothing = gate("tps<-5%").judge(None, Some(&[]), LEVEL);
    assert_eq!(nothing.outcome, GateOutcome::Undecided);
    assert_eq!(
        gate("tps<5").judge(None, Some(&[]), LEVEL).outcome,
        GateOutcome::Undecided
    );
}

#[test]
fn undecided_gates_fail_strict_builds_only() {
    let failed = judged("tps<-5%", 0.5, 0.01, 20);
    let passed = judged("tps<-5%", 1.0, 0.01, 20);
    let undecided = judged("tps<-5%", 0.95, 0.01, 20);
    for (gates, lenient, strict) in [
        (vec![], false, false),
        (vec![passed.clone()], false, false),
        (vec![passed.clone(), undecided], false, true),
        (vec![passed, failed], true, true),
    ] {
        assert_eq!(
            (fails(&gates, false), fails(&gates, true)),
            (lenient, strict)
        );
    }
}

#[test]
fn messages_say_what_was_found() {
    let failed = judged("tps<-5%", 0.8, 0.0, 20);
    assert_eq!(failed.gate, "tps<-5%");
    assert_eq!(
        failed.message,
        "TPS -20.0 % (-20.0 % to -20.0 % at 99.75 %), all of it worse than -5.0 %"
    );
    let passed = judged("p99>2000ms", 1.0, 0.0, 20);
    let message = passed.message;
    assert!(
        message.ends_with(", all of it better than 2,000 ms"),
        "{message}"
    );
    let failed = judged("tps<1M", 1.0, 0.0, 20).message;
    assert!(
        failed.starts_with("TPS 1,000 (1,000 to 1,000 at "),
        "{failed}"
    );
    assert!(
        failed.ends_with(", all of it worse than 1,000,000"),
        "{failed}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn far_away_decides(ratio in 0.5..2.0_f64, spread in 0.0..0.2_f64, rounds in 10..16_u32) {
        let at = |percent: f64| format!("tps<{percent}%");
        let lowest = 100.0 * (ratio * (-spread).exp() - 1.0) - 2.0;
        if lowest < 0.0 && lowest > -100.0 {
            prop_assert_eq!(judged(&at(lowest), ratio, spread, rounds).outcome, GateOutcome::Passed);
        }
        let highest = 1000.0 * ratio * spread.exp() + 1.0;
        let absolute = judged(&format!("tps<{highest}"), ratio, spread, rounds);
        prop_assert_eq!(absolute.outcome, GateOutcome::Failed);
        let late = judged(&format!("p95>{highest}ms"), ratio, spread, rounds);
        prop_assert_eq!(late.outcome, GateOutcome::Passed);
    }

    #[test]
    fn a_stricter_gate_never_passes_where_a_looser_fails(
        ratio in 0.7..1.3_f64, spread in 0.0..0.2_f64, loose in 0.0..50.0_f64, less in 0.0..1.0_f64,
    ) {
        let strict = loose * less;
        let rank = |percent: f64| match judged(&format!("p50>{percent}%"), ratio, spread, 12).outcome {
            GateOutcome::Passed => 0,
            GateOutcome::Undecided => 1,
            GateOutcome::Failed => 2,
        };
        prop_assert!(rank(loose) <= rank(strict));
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC*", rest in "(tps|p50|p99)[<>][-+0-9.%msu_ ]*") {
        let _ = text.parse::<Gate>();
        let _ = rest.parse::<Gate>();
    }
}
