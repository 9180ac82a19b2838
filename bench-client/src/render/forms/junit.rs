//! `JUnit` XML: a test case for each gate, and for each run whether money was conserved,
//! whether what was acknowledged was applied, and whether the run is valid.

use std::time::Duration;

use jiff::Timestamp;
use quick_junit::{
    NonSuccessKind, Report as Suites, SerializeError, TestCase, TestCaseStatus, TestSuite,
};

use crate::host::environment::Environment;
use crate::record::comparison::{ComparisonRecord, GateOutcome, GateResult};
use crate::record::load_record::{Report, Shown};
use crate::record::{AppliedBy, Row};
use crate::render::forms::Form;
use crate::render::records::comparison_headline::{gates, headline};
use crate::render::records::gates::named;

/// For Jenkins, GitLab and test reporters.
pub const FORM: Form = Form::plain(
    "junit",
    "JUnit XML: gates, and what was verified of each run",
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
