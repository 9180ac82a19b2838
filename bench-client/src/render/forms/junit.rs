//! `JUnit` XML: a test case for each gate, and for each run whether money was conserved,
//! whether what was acknowledged was applied, and whether the run is valid. Of `torture` a case for
//! each kind of fault.

use std::time::Duration;

use jiff::Timestamp;
use quick_junit::{
    NonSuccessKind, Report as Suites, SerializeError, TestCase, TestCaseStatus, TestSuite,
};

use crate::figures::counted;
use crate::host::environment::Environment;
use crate::record::comparison::{ComparisonRecord, GateOutcome, GateResult};
use crate::record::load_record::{Report, Shown};
use crate::record::torture::{Counts, FaultKind, FaultRow, Finding, TortureRecord};
use crate::record::{AppliedBy, Row};
use crate::render::forms::Form;
use crate::render::records::comparison_headline::{gates, headline};
use crate::render::records::gates::named;
use crate::render::records::torture::{finding, found_in, verdict};

/// For Jenkins, GitLab and test reporters.
pub const FORM: Form = Form::plain(
    "junit",
    "JUnit XML: gates, and what was verified of each run; or the faults of torture",
    |report, _| Ok(to_xml(report)?),
);

/// How a case ended.
enum Outcome {
    Passed,
    /// Why.
    Failed(String),
    /// Why it could not be found out.
    Error(String),
    /// What is not known.
    Skipped(String),
}

fn suite(
    name: String,
    environment: &Environment,
    cases: impl IntoIterator<Item = TestCase>,
) -> TestSuite {
    let mut suite = TestSuite::new(name);
    let cases: Vec<TestCase> = cases.into_iter().collect();
    suite.set_time(cases.iter().filter_map(|case| case.time).sum());
    suite.add_test_cases(cases);
    if let Ok(started) = environment.started_at.parse::<Timestamp>() {
        // UTC, without a zone, as the format's readers have it.
        let started = started.strftime("%Y-%m-%dT%H:%M:%S").to_string();
        suite.extra.insert("timestamp".into(), started.into());
    }
    suite
}

fn case(class: &str, name: String, outcome: Outcome) -> TestCase {
    let status = match outcome {
        Outcome::Passed => TestCaseStatus::success(),
        Outcome::Failed(ref why) | Outcome::Error(ref why) => {
            let kind = match outcome {
                Outcome::Error(_) => NonSuccessKind::Error,
                _ => NonSuccessKind::Failure,
            };
            let mut status = TestCaseStatus::non_success(kind);
            status.set_message(why.as_str());
            status.set_type(class);
            status.set_description(why.as_str());
            status
        }
        Outcome::Skipped(why) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(why);
            status
        }
    };
    let mut case = TestCase::new(name, status);
    case.set_classname(class);
    case.set_time(Duration::ZERO);
    case
}

/// The file. A gate that is undecided, and a check that was not made, is a skipped case; that
/// nothing could be compared is an error.
///
/// # Errors
/// A value cannot be written as XML.
pub fn to_xml(report: &Report) -> Result<String, SerializeError> {
    let rows = report.rows();
    let mut suites = Suites::new("bench-client");
    for (place, one) in report.records.iter().enumerate() {
        let rows = rows.iter().filter(|shown| shown.record == place);
        let rows: Vec<Shown<'_>> = rows.copied().collect();
        if let Some(comparison) = &one.comparison {
            suites.add_test_suites(gate_suite(&one.file, comparison));
        }
        if !one.record.gates.is_empty() {
            let cases = one.record.gates.iter().map(|gate| gate_case(gate, &rows));
            let name = format!("{}: gates", one.file);
            suites.add_test_suite(suite(name, &one.record.environment, cases));
        }
        let cases = rows.iter().flat_map(run_cases);
        let name = format!("{}: runs", one.file);
        suites.add_test_suite(suite(name, &one.record.environment, cases));
    }
    let times = suites.test_suites.iter().filter_map(|suite| suite.time);
    suites.set_time(times.sum());
    suites.to_string()
}

/// The file of an audit by `torture`. A fault that was not injected is a skipped case.
///
/// # Errors
/// A value cannot be written as XML.
pub fn of_torture(file: &str, record: &TortureRecord) -> Result<String, SerializeError> {
    let mut suites = Suites::new("bench-client");
    suites.add_test_suite(fault_suite(file, record));
    suites.set_time(Duration::ZERO);
    suites.to_string()
}

fn fault_suite(file: &str, record: &TortureRecord) -> TestSuite {
    let mut cases: Vec<TestCase> = record
        .faults
        .iter()
        .map(|row| fault_case(row.fault.as_str(), of_fault(record, row)))
        .collect();
    let skipped = record
        .skipped
        .iter()
        .map(|one| (one.fault, one.why.clone()));
    let without = record
        .not_injected
        .iter()
        .map(|fault| (*fault, "it had no cycle".to_owned()));
    cases.extend(
        skipped
            .chain(without)
            .map(|(fault, why)| fault_case(fault.as_str(), Outcome::Skipped(why))),
    );
    cases.extend(record.crash_states.as_ref().map(|states| {
        let found = found_in(&states.counts);
        let is_clean = states.counts.is_clean();
        let outcome = if is_clean {
            Outcome::Passed
        } else {
            Outcome::Failed(found)
        };
        fault_case("power-cut, crash states", outcome)
    }));
    let other = failing(record, None);
    let other = (!other.is_empty()).then(|| Outcome::Failed(other.join("\n")));
    cases.extend(other.map(|outcome| fault_case("before the first fault", outcome)));
    let mut faults = suite(format!("{file}: faults"), &record.environment, cases);
    faults.set_system_out(format!(
        "{}: {}",
        verdict::word(record),
        verdict::found(record)
    ));
    faults
}

fn fault_case(name: &str, outcome: Outcome) -> TestCase {
    case("torture.faults", name.to_owned(), outcome)
}

/// What a kind of fault came to.
fn of_fault(record: &TortureRecord, row: &FaultRow) -> Outcome {
    let found = failing(record, Some(row.fault));
    let Counts {
        acknowledged,
        lost,
        unverified,
        ..
    } = row.counts;
    if !found.is_empty() || row.counts.has_damage() {
        let counts = format!("{acknowledged} acknowledged, {lost} lost, {unverified} unverified");
        return Outcome::Failed(
            std::iter::once(counts)
                .chain(found)
                .collect::<Vec<_>>()
                .join("\n"),
        );
    }
    if row.injected == 0 {
        let cycles = counted(row.cycles, "cycle");
        return Outcome::Skipped(format!("its moment came in none of its {cycles}"));
    }
    Outcome::Passed
}

/// The findings that fail, of those that are listed.
fn failing(record: &TortureRecord, fault: Option<FaultKind>) -> Vec<String> {
    // What crash states show has a case of its own.
    let of_it =
        |one: &&Finding| one.fails && one.fault == fault && (one.cycle > 0 || fault.is_none());
    let found = record.findings.iter().filter(of_it);
    found.map(|one| finding(one).to_string()).collect()
}

fn gate_suite(file: &str, comparison: &ComparisonRecord) -> Option<TestSuite> {
    let said = headline(comparison);
    // An invalid run has a case of its own that fails.
    let nothing = comparison.valid && comparison.metrics.is_empty();
    let nothing = nothing.then(|| {
        let (class, name) = ("gates.compared", "something was compared".to_owned());
        case(class, name, Outcome::Error(said.clone()))
    });
    if nothing.is_none() {
        gates(comparison)?;
    }
    let cases = comparison.gates.iter().map(|gate| {
        let mut case = gate_case(gate, &[]);
        case.set_system_out(format!("{}\n{said}", gate.message));
        case
    });
    Some(suite(
        format!("{file}: gates"),
        &comparison.environment,
        nothing.into_iter().chain(cases),
    ))
}

/// `rows` are those of the record, where gates are of single rows.
fn gate_case(gate: &GateResult, rows: &[Shown<'_>]) -> TestCase {
    let outcome = match gate.outcome {
        GateOutcome::Failed => Outcome::Failed(gate.message.clone()),
        GateOutcome::Passed => Outcome::Passed,
        GateOutcome::Undecided => Outcome::Skipped(format!("undecided: {}", gate.message)),
    };
    let class = format!("gates.{}", gate.metric.as_str());
    // Gates are judged from the runs, whose cases have the time.
    case(&class, named(gate, rows), outcome)
}

fn run_cases(shown: &Shown<'_>) -> [TestCase; 3] {
    let row = shown.row;
    let verify = &row.verify;
    let named = |name: &str| format!("{}: {name}", shown.label);
    let checked = |holds: Option<bool>, broken: String| match holds {
        Some(true) => Outcome::Passed,
        Some(false) => Outcome::Failed(broken),
        None => Outcome::Skipped("not checked: the server does not tell".to_owned()),
    };
    let applied = verify
        .applied
        .map_or_else(|| "unknown".to_owned(), |count| count.to_string());
    let conserved = checked(
        verify.conserved,
        "the balances do not sum up to what they did before".to_owned(),
    );
    // Balances alone do not tell what was applied.
    let holds = verify
        .ledger_ok
        .filter(|holds| !holds || verify.applied.is_some());
    let ledger = checked(
        holds,
        format!(
            "acknowledged {}, unknown {}, applied {applied}{}, {} of {} sampled balances wrong",
            verify.acknowledged,
            verify.unknown,
            verify.applied_by.map_or("", AppliedBy::remark),
            verify.sample_mismatches,
            verify.sampled_accounts
        ),
    );
    // The checks are of the same run, so that its time is counted once.
    let mut valid = case("runs.validity", named("valid"), validity(row));
    let window = Duration::try_from_secs_f64(row.seconds).unwrap_or_default();
    valid.set_time(row.config.load.warmup + window);
    [
        case("runs.conservation", named("money conserved"), conserved),
        case("runs.ledger", named("acknowledged = applied"), ledger),
        valid,
    ]
}

fn validity(row: &Row) -> Outcome {
    if row.valid {
        return Outcome::Passed;
    }
    let why: Vec<String> = row
        .verdicts
        .iter()
        .filter(|verdict| verdict.invalidates)
        .map(|verdict| format!("{}: {}", verdict.message, verdict.remedy))
        .collect();
    Outcome::Failed(if why.is_empty() {
        "the run is invalid".to_owned()
    } else {
        why.join("; ")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::torture::Skipped;

    /// The cases of a record with a status: passed, failed, skipped.
    fn cases(record: &TortureRecord) -> [Vec<String>; 3] {
        let mut cases = [const { Vec::new() }; 3];
        for case in fault_suite("a.json", record).test_cases {
            let place = match case.status {
                TestCaseStatus::Success { .. } => 0,
                TestCaseStatus::NonSuccess { .. } => 1,
                TestCaseStatus::Skipped { .. } => 2,
            };
            cases[place].push(case.name.to_string());
        }
        cases
    }

    #[test]
    fn each_kind_of_fault_is_a_case() {
        let text = include_str!("../../../tests/records/torture.json");
        let mut record: TortureRecord = serde_json::from_str(text).unwrap();
        let count = record.faults.len();
        let [passed, failed, skipped] = cases(&record);
        assert_eq!((passed.len(), failed.len(), skipped.len()), (count, 0, 0));
        record.faults[0].counts.lost = 1;
        record.faults[1].counts.unverified = 1;
        record.faults[2].injected = 0;
        record.skipped.push(Skipped {
            fault: FaultKind::PowerCut,
            why: "only root may mount".to_owned(),
        });
        let [passed, failed, skipped] = cases(&record);
        assert_eq!(
            (passed.len(), failed.len(), skipped.len()),
            (count - 3, 2, 2)
        );
        assert_eq!(failed[0], record.faults[0].fault.as_str());
        assert_eq!(skipped[1], "power-cut");
    }
}
