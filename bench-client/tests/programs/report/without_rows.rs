//! Records of `torture`, `audit` and `fsync`, which have no rows.

use std::path::Path;

use super::report;

#[test]
fn a_record_of_torture_is_shown_as_it_was_printed() {
    let record = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/records/torture.json");
    let directory = tempfile::tempdir().expect("a directory");
    let ended = report(directory.path(), &[&record], &["--format=md"]);
    ended.expect_code(0);
    assert!(
        ended.stdout.starts_with("## NOTHING LOST: "),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.contains("| fault | cycles | injected |"),
        "{}",
        ended.stdout
    );
    for format in ["--format=text", "--format=html"] {
        let ended = report(directory.path(), &[&record], &[format]);
        ended.expect_code(0);
        assert!(ended.stdout.contains("NOTHING LOST: "), "{}", ended.stdout);
    }
    let ended = report(directory.path(), &[&record], &[]);
    let screen = &ended.expect_code(0).stdout;
    let lines = screen.lines().count();
    assert!(
        lines <= 12 && screen.starts_with("NOTHING LOST "),
        "{screen}"
    );
    let ended = report(directory.path(), &[&record], &["-v"]);
    assert!(
        ended.expect_code(0).stdout.contains("findings"),
        "the table"
    );
    let ended = report(directory.path(), &[&record], &["-q"]);
    assert_eq!(ended.expect_code(0).stdout.lines().count(), 1);
    // One that is named twice is one.
    let twice = report(directory.path(), &[&record, &record], &["-q"]);
    assert_eq!(twice.expect_code(0).stdout.lines().count(), 1);
    let ended = report(directory.path(), &[&record], &["--format=junit"]);
    let xml = &ended.expect_code(0).stdout;
    assert!(xml.contains("name=\"torture.json: faults\""), "{xml}");
    for fault in ["kill", "sync-kill", "answer-kill", "eio", "enospc", "term"] {
        let case = format!("<testcase name=\"{fault}\" classname=\"torture.faults\"");
        assert_eq!(xml.matches(&case).count(), 1, "{fault}: {xml}");
    }
    assert!(!xml.contains("<failure"), "{xml}");
    assert!(xml.contains("no power cut was tested"), "{xml}");
    let other = directory.path().join("torture.json");
    std::fs::copy(&record, &other).expect("a copy");
    let both: &[&Path] = &[&record, &other];
    for (files, format) in [(&both[..1], "--format=csv"), (both, "--format=md")] {
        let ended = report(directory.path(), files, &[format]);
        ended.expect_code(2);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        let says = "torture.json is a record of `torture`";
        assert!(ended.stderr.contains(says), "{}", ended.stderr);
    }
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results");
    let older = results.join("2026-11-21-vm-2core-torture/kills-ws.json");
    let ended = report(directory.path(), &[&older], &["--format=md"]);
    ended.expect_code(2);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("torture_version 1"),
        "{}",
        ended.stderr
    );
}
