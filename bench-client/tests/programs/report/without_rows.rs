//! Records of `torture`, `audit` and `fsync`, which have no rows.

use std::path::Path;

use super::{report, shown};
use crate::common::{bench_client, directory, run};

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
    for files in [&both[..1], both] {
        let ended = report(directory.path(), files, &["--format=csv"]);
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

#[test]
fn records_of_all_kinds_share_a_page() {
    let directory = directory();
    let records = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/records");
    let [sweep, torture] = ["sweep-alpha.json", "torture.json"].map(|name| records.join(name));
    let fsync = directory.path().join("fsync.json");
    let measured = run(bench_client(directory.path()).args([
        "fsync",
        "-n12",
        "--rounds=6",
        "--output=fsync.json",
        "--title=The old disk",
        "--note=before the move",
    ]));
    measured.expect_code(0);
    for (records, title) in [
        (&[&*sweep, &fsync, &torture][..], None),
        (&[&fsync, &torture], Some("2 records")),
    ] {
        for format in ["md", "html", "text"] {
            let format = format!("--format={format}");
            let text = shown(directory.path(), records, &[&format]);
            for says in ["NOTHING LOST", "A sync takes", "The old disk: fsync.json"] {
                assert!(text.contains(says), "no {says} in {text}");
            }
            assert!(title.is_none_or(|title| text.contains(title)), "{text}");
        }
    }
    let alone = shown(directory.path(), &[&fsync], &["--format=md"]);
    assert!(alone.starts_with("# The old disk\n\n"), "{alone}");
    assert!(alone.contains("before the move"), "{alone}");
    let renamed = shown(
        directory.path(),
        &[&torture],
        &["--format=md", "--title=Ours"],
    );
    assert!(
        renamed.starts_with("# Ours\n\n## NOTHING LOST: "),
        "{renamed}"
    );
    let page = shown(
        directory.path(),
        &[&torture],
        &["--format=html", "--title=Ours"],
    );
    assert!(page.contains("<title>Ours: NOTHING LOST: "), "{page}");
}
