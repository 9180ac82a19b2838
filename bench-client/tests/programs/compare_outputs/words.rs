//! The conclusion in words, and which run is of which side.

use bench_client::record::comparison::{
    Change, ComparisonRecord, Difference, GateOutcome, Stopped,
};
use bench_client::record::sides::{Which, rows_by_side, side_of};
use bench_client::record::{Verdict, VerdictCode};
use bench_client::render::records::comparison::document;
use bench_client::render::records::comparison_headline::{gates, headline};
use bench_client::render::write::markdown;

use super::{environment, fixture};

/// A comparison whose metrics changed like that.
fn with(changes: [Change; 4]) -> ComparisonRecord {
    let mut record = fixture::comparison(&environment());
    for (metric, change) in record.metrics.iter_mut().zip(changes) {
        metric.change = change;
    }
    record
}

const fn same(within: f64) -> Change {
    Change::NoDifference { within }
}

const fn open(more_rounds: Option<u32>) -> Change {
    Change::Inconclusive { more_rounds }
}

#[test]
fn latency_of_unlike_loads_is_not_judged() {
    let mut record = with([Change::Faster, Change::Slower, Change::Slower, same(0.1)]);
    record.differences = vec![Difference {
        field: "inflight".to_owned(),
        base: "16".to_owned(),
        candidate: "64".to_owned(),
    }];
    let said = headline(&record);
    assert!(said.contains("in TPS with inflight 16 → 64"), "{said}");
    assert!(!said.contains("p50"), "{said}");
    let text = markdown::write(&document(&record));
    assert!(
        text.contains("| higher |") || text.contains("| lower |"),
        "{text}"
    );
    assert!(text.contains("TPS alone is judged"), "{text}");
}

#[test]
fn the_headline_says_what_was_found_and_no_more() {
    use Change::{Faster, Slower};
    for (changes, expected) in [
        (
            [Slower, Faster, open(None), same(0.01)],
            "B is 7.9 to 10.5 % slower than A in TPS, p50 1.2 to 5.0 % shorter (98.75 %)",
        ),
        (
            [same(0.01), Faster, open(None), same(0.1)],
            "B's p50 is 1.2 to 5.0 % shorter than A's (98.75 %)",
        ),
        (
            [same(0.004), same(0.021), same(0.01), same(0.02)],
            "No difference larger than 2.1 % between A and B in TPS, p50, p95, p99 (98.75 %)",
        ),
        (
            [same(0.01), open(Some(4)), open(None), open(Some(30))],
            "Inconclusive between A and B in p50, p95, p99 (about 30 rounds more)",
        ),
        (
            [open(None), same(0.01), same(0.01), same(0.01)],
            "Inconclusive between A and B in TPS",
        ),
    ] {
        assert_eq!(headline(&with(changes)), expected);
    }
    let mut record = with([same(0.01); 4]);
    record.metrics.clear();
    record.stopped = Stopped::Interrupted;
    let rounds = record.rounds.len();
    assert_eq!(
        headline(&record),
        format!(
            "Unfinished, {rounds} rounds so far: it is still running, or was stopped from outside"
        )
    );
    record.stopped = Stopped::TimeLimit;
    assert_eq!(
        headline(&record),
        "Nothing was compared: until the time was over"
    );
}

#[test]
fn a_side_that_is_not_durable_is_called_so_in_the_headline() {
    let mut record = with([Change::Faster, same(0.01), same(0.01), same(0.01)]);
    assert!(headline(&record).ends_with("(98.75 %)"));
    let candidates: Vec<usize> = record.rounds.iter().map(|one| one.candidate_row).collect();
    for place in candidates {
        record.rows[place].verdicts.push(Verdict {
            code: VerdictCode::NotDurable,
            invalidates: false,
            message: "it forgets".to_owned(),
            remedy: "none".to_owned(),
        });
    }
    let said = headline(&record);
    assert!(said.ends_with("(98.75 %); B is not durable"), "{said}");
}

#[test]
fn sides_are_named_by_what_tells_them_apart() {
    for (base, candidate, expected) in [
        ("py", "node", ["py", "node"]),
        ("a/t.toml at main", "a/t.toml at HEAD", ["main", "HEAD"]),
        (
            "sqlite_rpc,batch-size=1",
            "sqlite_rpc,batch-size=7",
            ["batch-size=1", "batch-size=7"],
        ),
        (
            "sqlite_rpc",
            "sqlite_rpc,apply=coalesced",
            ["sqlite_rpc", "sqlite_rpc,apply=coalesced"],
        ),
        ("targets/py.toml", "targets/node.toml", ["py", "node"]),
        ("py", "py", ["A", "B"]),
        (
            "py",
            "a name that is longer than a line of text",
            ["A", "B"],
        ),
    ] {
        let mut record = with([same(0.01); 4]);
        record.base.label = base.to_owned();
        record.candidate.label = candidate.to_owned();
        let [base, candidate] = expected;
        let said = headline(&record);
        let between = format!(" between {base} and {candidate} in ");
        assert!(said.contains(&between), "{said}");
    }
}

#[test]
fn a_gate_that_was_not_decided_has_not_passed() {
    let mut record = with([same(0.01); 4]);
    for gate in &mut record.gates {
        gate.outcome = GateOutcome::Undecided;
    }
    assert_eq!(
        gates(&record).as_deref(),
        Some("no gate could be decided: 3 undecided")
    );
}

#[test]
fn gates_are_counted() {
    let mut record = with([same(0.01); 4]);
    assert_eq!(
        gates(&record).as_deref(),
        Some("1 of 3 gates FAILED, 1 undecided")
    );
    for gate in &mut record.gates {
        gate.outcome = GateOutcome::Passed;
    }
    assert_eq!(gates(&record).as_deref(), Some("3 of 3 gates passed"));
    record.gates.clear();
    assert_eq!(gates(&record), None);
}

#[test]
fn runs_are_named_after_their_sides() {
    let mut record = with([same(0.01); 4]);
    // The third round was interrupted between its two runs.
    record.rounds.truncate(2);
    record.rows.truncate(5);
    let named: Vec<String> = rows_by_side(&record)
        .into_iter()
        .map(|row| {
            let number = row.repetition.expect("it is numbered").number;
            format!("{} {number}", row.config.name.expect("it is named"))
        })
        .collect();
    let expected = [
        "A (base) 1",
        "B (candidate) 1",
        "B (candidate) 2",
        "A (base) 2",
        "not paired 1",
    ];
    assert_eq!(named, expected);
    // Runs of a baseline that were not paired are the first.
    record.rounds.clear();
    assert_eq!(side_of(&record, 0), None);
    record.base.baseline = Some("main".to_owned());
    for metric in &mut record.metrics {
        metric.base.count = 3;
    }
    let sides: Vec<_> = (0..5).filter_map(|place| side_of(&record, place)).collect();
    let (base, candidate) = (Which::Base, Which::Candidate);
    assert_eq!(sides, [base, base, base, candidate, candidate]);
}
