//! `JUnit` XML, by a schema and by asking it.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use super::{Files, fixture, here};
use crate::common::run;
use crate::report::readers::can_run;

fn no_xmllint() -> Option<String> {
    let there = Command::new("xmllint").arg("--version").output();
    let why = "xmllint is not installed: apt-get install libxml2-utils";
    there.is_err().then(|| why.to_owned())
}

#[test]
fn junit_follows_its_schema_and_has_a_case_for_each_gate_and_check() {
    let name = "junit::junit_follows_its_schema_and_has_a_case_for_each_gate_and_check";
    if !can_run(name, no_xmllint) {
        return;
    }
    let files = Files::new();
    let lint = |arguments: &[&str]| {
        run(Command::new("xmllint")
            .args(["--nonet", "--noout"])
            .args(arguments)
            .current_dir(files.path())
            .stdin(Stdio::null()))
    };
    let schema = here("junit.xsd");
    let schema = schema.to_str().expect("a path");
    let asked = |xpath: &str| {
        let ended = lint(&["--xpath", xpath, "a.xml"]);
        ended.expect_code(0);
        ended.stdout.trim().to_owned()
    };
    let runs = 2 * fixture::ROUNDS;
    for (record, tests, failures, skipped) in [
        (&files.comparison, 3 + 3 * runs, 1, 1),
        (&files.invalid, 3 * 4, 2, 1),
        (&files.runs, 3 * 22, 1, 0),
    ] {
        files.shown(record, &["--format=junit", "--output=a.xml"]);
        lint(&["--schema", schema, "a.xml"]).expect_code(0);
        for (what, count) in [
            ("count(//testcase)", tests),
            ("number(/testsuites/@tests)", tests),
            ("sum(//testsuite/@tests)", tests),
            ("count(//failure)", failures),
            ("number(/testsuites/@failures)", failures),
            ("count(//skipped)", skipped),
            ("number(/testsuites/@skipped)", skipped),
        ] {
            assert_eq!(
                asked(what),
                count.to_string(),
                "{what} of {}",
                record.display()
            );
        }
    }
    // A run's time is its warm-up and window, once; its suite has the sum and the start, in UTC.
    files.shown(&files.comparison, &["--format=junit", "--output=a.xml"]);
    let of_runs = "//testsuite[contains(@name, ': runs')]";
    assert_eq!(
        asked(&format!("string({of_runs}/testcase[3]/@time)")),
        "10.000"
    );
    let sum = asked(&format!("number({of_runs}/@time)"));
    assert_eq!(sum, (10 * runs).to_string());
    assert_eq!(asked(&format!("sum({of_runs}/testcase/@time)")), sum);
    assert_eq!(asked("number(/testsuites/@time)"), sum);
    let record = std::fs::read_to_string(&files.comparison).expect("it is there");
    let record: serde_json::Value = serde_json::from_str(&record).expect("it is JSON");
    let started = record["environment"]["started_at"]
        .as_str()
        .expect("a time");
    assert_eq!(
        asked(&format!("string({of_runs}/@timestamp)")),
        started[..19]
    );
    files.shown(&files.invalid, &["--format=junit", "--output=a.xml"]);
    assert!(asked("string(//failure[1])").starts_with("acknowledged 11, unknown 0, applied 7"));
    assert!(asked("string(//failure[contains(., 'syncs')])").starts_with("0 syncs at <commit>: "));
    files.shown(&files.comparison, &["--format=junit", "--output=a.xml"]);
    assert_eq!(asked("string(//testcase[failure]/@name)"), "tps<-5%");
    assert_eq!(asked("string(//testcase[skipped]/@name)"), "p99>+10%");
    let names = asked("//testcase/@name");
    let names: Vec<_> = names.lines().collect();
    let distinct: BTreeSet<_> = names.iter().collect();
    assert_eq!(distinct.len(), names.len());
    // What a server does not tell was not checked.
    let mut record = fixture::comparison(&super::environment());
    record.rows[0].verify.applied = None;
    let path = files.path().join("untold.json");
    bench_client::record::write_json(&path, &record).expect("it can be written");
    files.shown(&path, &["--format=junit", "--output=a.xml"]);
    let untold = asked("string(//testcase[@classname='runs.ledger'][skipped]/@name)");
    assert!(
        untold.ends_with("run 1: acknowledged = applied"),
        "{untold}"
    );
    // And the schema refuses what is wrong.
    let text = files.shown(&files.comparison, &["--format=junit"]);
    let wrong = text
        .replacen("<testcase", "<test", 1)
        .replacen("</testcase", "</test", 1);
    std::fs::write(files.path().join("a.xml"), wrong).expect("it can be written");
    assert_ne!(lint(&["--schema", schema, "a.xml"]).code(), Some(0));
}
