//! Comparisons whose figures are made up.

use bench_client::record::Row;
use bench_client::record::comparison::{
    COMPARISON_VERSION, Calibration, Change, ComparisonRecord, Difference, GateOutcome, GateResult,
    Metric, MetricComparison, NoiseFloor, Round, Side, Stopped,
};
use bench_client::statistics::Estimate;

use super::rows;

pub(crate) const ROUNDS: usize = 8;

fn estimate(values: &[f64]) -> Estimate {
    Estimate::of(values).expect("there are values")
}

/// The runs, in turn, and how they are paired.
fn rounds() -> (Vec<Row>, Vec<Round>) {
    let mut runs: Vec<Row> = Vec::new();
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let drift = 1.0 + 0.02 * (round % 3) as f64;
        let base_first = round % 2 == 0;
        let mut base = rows::row(300_000.0 * drift, 2_500_000);
        base.batch_size = Some(1_000);
        let candidate = rows::row(273_000.0 * drift, 2_400_000 + 10_000 * round as u64);
        let first = runs.len();
        let (base_row, candidate_row) = if base_first {
            runs.extend([base, candidate]);
            (first, first + 1)
        } else {
            runs.extend([candidate, base]);
            (first + 1, first)
        };
        rounds.push(Round {
            base_row,
            candidate_row,
            base_first,
        });
    }
    (runs, rounds)
}

/// One gate of each outcome.
fn gates() -> Vec<GateResult> {
    let gate = |gate: &str, metric, outcome, message: &str| GateResult {
        gate: gate.to_owned(),
        metric,
        outcome,
        message: message.to_owned(),
        rows: Vec::new(),
    };
    vec![
        gate(
            "tps<-5%",
            Metric::Tps,
            GateOutcome::Failed,
            "the whole interval (-10.5 % to -7.9 %) is below -5 %",
        ),
        gate(
            "p99>+10%",
            Metric::P99,
            GateOutcome::Undecided,
            "+10 % is inside the interval (-7.0 % to +17.0 %)",
        ),
        gate(
            "tps<100000",
            Metric::Tps,
            GateOutcome::Passed,
            "274,000 is above 100000 & <fine>",
        ),
    ]
}

/// Eight rounds in which B has 9 % less TPS. Every kind of change and of outcome is there.
pub(crate) fn comparison(environment: &str) -> ComparisonRecord {
    let (runs, rounds) = rounds();
    let values = |metric: Metric, place: fn(&Round) -> usize| -> Vec<f64> {
        let places = rounds.iter().map(place);
        places
            .map(|place| metric.of(&runs[place]).expect("enough transfers"))
            .collect()
    };
    let metric =
        |metric: Metric, (low, ratio, high): (f64, f64, f64), change: Change| MetricComparison {
            metric,
            base: estimate(&values(metric, |round| round.base_row)),
            candidate: estimate(&values(metric, |round| round.candidate_row)),
            ratio,
            low,
            high,
            confidence: 0.9875,
            change,
        };
    let metrics = vec![
        metric(Metric::Tps, (0.895, 0.91, 0.921), Change::Slower),
        metric(Metric::P50, (0.95, 0.97, 0.988), Change::Faster),
        metric(
            Metric::P95,
            (0.994, 1.002, 1.012),
            Change::NoDifference { within: 0.012 },
        ),
        metric(
            Metric::P99,
            (0.93, 1.04, 1.17),
            Change::Inconclusive {
                more_rounds: Some(25),
            },
        ),
    ];
    // A compared with itself: the same ratios, but nothing is said.
    let calibration = Calibration {
        label: "sqlite_ws_rpc,batch-size=1000".to_owned(),
        rounds: 8,
        metrics: Metric::ALL
            .into_iter()
            .map(|one| {
                let same = Change::NoDifference { within: 0.031 };
                metric(one, (0.969, 1.004, 1.031), same)
            })
            .collect(),
    };
    ComparisonRecord {
        naming: bench_client::record::naming::Naming::default(),
        comparison_version: COMPARISON_VERSION,
        environment: serde_json::from_str(environment).expect("it is an environment"),
        base: Side {
            label: "sqlite_ws_rpc,batch-size=1000".to_owned(),
            fingerprint: "aaaa".to_owned(),
            baseline: None,
        },
        candidate: Side {
            label: format!("sqlite_ws_rpc,batch-size=4096,server-bin={}", rows::HOSTILE),
            fingerprint: "bbbb".to_owned(),
            baseline: None,
        },
        differences: vec![Difference {
            field: "batch-size".to_owned(),
            base: "1000".to_owned(),
            candidate: "4096".to_owned(),
        }],
        rounds,
        metrics,
        not_compared: Vec::new(),
        noise_floor: vec![
            NoiseFloor {
                metric: Metric::Tps,
                pairs: 14,
                typical: 0.021,
                smallest_effect: Some(0.013),
            },
            NoiseFloor {
                metric: Metric::P99,
                pairs: 14,
                typical: 0.09,
                smallest_effect: Some(0.12),
            },
        ],
        gates: gates(),
        stopped: Stopped::Rounds,
        precision: None,
        calibration: Some(calibration),
        rows: runs,
        valid: true,
    }
}

/// The candidate's second run is fake, which ended the comparison.
pub(crate) fn invalid(environment: &str) -> ComparisonRecord {
    let mut record = comparison(environment);
    record.rows.truncate(4);
    record.rounds.truncate(2);
    record.metrics.clear();
    record.noise_floor.clear();
    record.calibration = None;
    record.gates.clear();
    record.stopped = Stopped::Invalid;
    record.valid = false;
    let row = &mut record.rows[2];
    row.valid = false;
    row.verify.fake = true;
    row.verify.ledger_ok = Some(false);
    row.verify.conserved = None;
    row.verify.acknowledged = 11;
    row.verify.applied = Some(7);
    row.verdicts = vec![rows::verdict("fake", true, "0 syncs \u{1}at <commit>")];
    record
}
