//! `JUnit` XML: a test case for each gate, and for each run whether money was conserved,
//! whether what was acknowledged was applied, and whether the run is valid.

use jiff::Timestamp;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

use crate::host::environment::Environment;
use crate::record::comparison::{ComparisonRecord, GateOutcome};
use crate::record::load_record::{Report, Shown};
use crate::record::{AppliedBy, Row};
use crate::report::compare_words::{gates, headline};

/// How a case ended.
enum Outcome {
    Passed,
    /// Why.
    Failed(String),
    /// What is not known.
    Skipped(String),
}

struct Case {
    class: String,
    name: String,
    outcome: Outcome,
    /// What else there is to say.
    said: Option<String>,
    /// How long it was measured, in seconds.
    seconds: f64,
}

struct Suite {
    name: String,
    /// When its record was begun: UTC, without a zone, as the format's readers have it.
    started_at: Option<String>,
    cases: Vec<Case>,
}

impl Suite {
    fn new(name: String, environment: &Environment, cases: Vec<Case>) -> Self {
        let started: Option<Timestamp> = environment.started_at.parse().ok();
        Self {
            name,
            started_at: started.map(|at| at.strftime("%Y-%m-%dT%H:%M:%S").to_string()),
            cases,
        }
    }
}

/// The file. A gate that is undecided, and a check that was not made, is a skipped case.
///
/// # Errors
/// A value cannot be written as XML.
pub fn to_xml(report: &Report) -> std::io::Result<String> {
    let rows = report.rows();
    let mut suites = Vec::new();
    for (place, one) in report.records.iter().enumerate() {
        if let Some(comparison) = &one.comparison {
            suites.extend(gate_suite(&one.file, comparison));
        }
        let cases = rows
            .iter()
            .filter(|shown| shown.record == place)
            .flat_map(run_cases);
        suites.push(Suite::new(
            format!("{}: runs", one.file),
            &one.record.environment,
            cases.collect(),
        ));
    }
    write(&suites)
}

fn gate_suite(file: &str, comparison: &ComparisonRecord) -> Option<Suite> {
    gates(comparison)?;
    let said = headline(comparison);
    let cases = comparison.gates.iter().map(|gate| Case {
        class: format!("gates.{}", gate.metric.as_str()),
        name: gate.gate.clone(),
        outcome: match gate.outcome {
            GateOutcome::Failed => Outcome::Failed(gate.message.clone()),
            GateOutcome::Passed => Outcome::Passed,
            GateOutcome::Undecided => Outcome::Skipped(format!("undecided: {}", gate.message)),
        },
        said: Some(format!("{}\n{said}", gate.message)),
        // Gates are judged from the runs, whose cases have the time.
        seconds: 0.0,
    });
    Some(Suite::new(
        format!("{file}: gates"),
        &comparison.environment,
        cases.collect(),
    ))
}

fn run_cases(shown: &Shown<'_>) -> [Case; 3] {
    let row = shown.row;
    let verify = &row.verify;
    let case = |class: &str, name: &str, outcome| Case {
        class: format!("runs.{class}"),
        name: format!("{}: {name}", shown.label),
        outcome,
        said: None,
        seconds: 0.0,
    };
    let checked = |holds: Option<bool>, broken: String| match holds {
        Some(true) => Outcome::Passed,
        Some(false) => Outcome::Failed(broken),
        None => Outcome::Skipped("not checked".to_owned()),
    };
    let applied = verify
        .applied
        .map_or_else(|| "unknown".to_owned(), |count| count.to_string());
    [
        case(
            "conservation",
            "money conserved",
            checked(
                verify.conserved,
                "the balances do not sum up to what they did before".to_owned(),
            ),
        ),
        case(
            "ledger",
            "acknowledged = applied",
            checked(
                verify.ledger_ok,
                format!(
                    "acknowledged {}, unknown {}, applied {applied}{}, {} of {} sampled balances \
                     wrong",
                    verify.acknowledged,
                    verify.unknown,
                    verify.applied_by.map_or("", AppliedBy::remark),
                    verify.sample_mismatches,
                    verify.sampled_accounts
                ),
            ),
        ),
        // The checks are of the same run, so that its time is counted once.
        Case {
            seconds: row.config.load.warmup.as_secs_f64() + row.seconds,
            ..case("validity", "valid", validity(row))
        },
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

/// Text that XML 1.0 can hold (section 2.2): control characters become spaces.
fn allowed(text: &str) -> String {
    let refused = |c: char| {
        (c.is_control() && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}')
    };
    text.replace(refused, " ")
}

#[derive(Default)]
struct Counts {
    tests: usize,
    failures: usize,
    skipped: usize,
    seconds: f64,
}

fn counts<'a>(cases: impl Iterator<Item = &'a Case>) -> Counts {
    let mut counts = Counts::default();
    for case in cases {
        counts.tests += 1;
        counts.seconds += case.seconds;
        match case.outcome {
            Outcome::Passed => {}
            Outcome::Failed(_) => counts.failures += 1,
            Outcome::Skipped(_) => counts.skipped += 1,
        }
    }
    counts
}

fn element(name: &'static str, attributes: &[(&str, &str)]) -> BytesStart<'static> {
    let mut start = BytesStart::new(name);
    for (key, value) in attributes {
        start.push_attribute((*key, allowed(value).as_str()));
    }
    start
}

fn write(suites: &[Suite]) -> std::io::Result<String> {
    let mut out = Writer::new_with_indent(Vec::new(), b' ', 2);
    out.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let all = counts(suites.iter().flat_map(|suite| &suite.cases));
    out.write_event(Event::Start(counted("testsuites", "bench-client", &all)))?;
    for suite in suites {
        let counts = counts(suite.cases.iter());
        let mut start = counted("testsuite", &suite.name, &counts);
        if let Some(started_at) = &suite.started_at {
            start.push_attribute(("timestamp", started_at.as_str()));
        }
        out.write_event(Event::Start(start))?;
        for case in &suite.cases {
            write_case(&mut out, case)?;
        }
        out.write_event(Event::End(BytesEnd::new("testsuite")))?;
    }
    out.write_event(Event::End(BytesEnd::new("testsuites")))?;
    let mut text = String::from_utf8_lossy(&out.into_inner()).into_owned();
    text.push('\n');
    Ok(text)
}

/// Seconds, as the format has them.
fn time(seconds: f64) -> String {
    format!("{seconds:.3}")
}

fn counted(element_name: &'static str, name: &str, counts: &Counts) -> BytesStart<'static> {
    element(
        element_name,
        &[
            ("name", name),
            ("tests", &counts.tests.to_string()),
            ("failures", &counts.failures.to_string()),
            ("errors", "0"),
            ("skipped", &counts.skipped.to_string()),
            ("time", &time(counts.seconds)),
        ],
    )
}

fn write_case(out: &mut Writer<Vec<u8>>, case: &Case) -> std::io::Result<()> {
    let start = element(
        "testcase",
        &[
            ("classname", &case.class),
            ("name", &case.name),
            ("time", &time(case.seconds)),
        ],
    );
    out.write_event(Event::Start(start))?;
    match &case.outcome {
        Outcome::Passed => {}
        Outcome::Failed(message) => {
            let start = element("failure", &[("message", message), ("type", &case.class)]);
            out.write_event(Event::Start(start))?;
            out.write_event(Event::Text(BytesText::new(&allowed(message))))?;
            out.write_event(Event::End(BytesEnd::new("failure")))?;
        }
        Outcome::Skipped(message) => {
            out.write_event(Event::Empty(element("skipped", &[("message", message)])))?;
        }
    }
    if let Some(said) = &case.said {
        out.write_event(Event::Start(BytesStart::new("system-out")))?;
        out.write_event(Event::Text(BytesText::new(&allowed(said))))?;
        out.write_event(Event::End(BytesEnd::new("system-out")))?;
    }
    out.write_event(Event::End(BytesEnd::new("testcase")))
}
