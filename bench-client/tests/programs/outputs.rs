//! Where records and reports go: files that are replaced, links, devices and FIFOs that are not,
//! and a standard output that takes nothing.

use std::fs::File;
use std::os::unix::fs::{FileTypeExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::{Ended, bench_client, directory, records, run, skipped};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use serde_json::Value;

/// A row that takes a moment.
const TINY: [&str; 8] = [
    "run",
    "--connector=sqlite_ws_rpc",
    "--accounts=1000",
    "--concurrency=1",
    "--inflight=2",
    "--warmup=0.1",
    "--duration=0.6",
    "--no-null-server",
];

const PREDICT: [&str; 4] = [
    "predict",
    "--sync-latency=683us",
    "--cpu-per-transfer=6.1us",
    "--json",
];

fn bench(directory: &Path, words: &[&str]) -> Ended {
    run(bench_client(directory).args(words))
}

/// A node of the null device in a directory of the test's own; `None` where none can be used.
fn null_node(directory: &Path) -> Option<std::path::PathBuf> {
    let node = directory.join("node");
    let made = mknod(
        &node,
        SFlag::S_IFCHR,
        Mode::from_bits_truncate(0o666),
        makedev(1, 3),
    );
    let usable = made.is_ok() && File::options().write(true).open(&node).is_ok();
    usable.then_some(node)
}

#[test]
fn a_device_is_written_into_and_stays() {
    let directory = directory();
    let Some(node) = null_node(directory.path()) else {
        let why = "no device can be made and opened here: it needs root";
        return skipped("a_device_is_written_into_and_stays", why);
    };
    bench(
        directory.path(),
        &[&TINY[..], &["--output=record.json"]].concat(),
    )
    .expect_code(0);
    let before = directory
        .path()
        .read_dir()
        .expect("it can be listed")
        .count();
    let report = ["report", "record.json", "--format=md", "--output=node"];
    bench(directory.path(), &report).expect_code(0);
    // Every row would be a record of its own to somebody who reads: it is written once.
    let rows = ["--batch-size=10,20", "--output=node"];
    bench(directory.path(), &[&TINY[..], &rows].concat()).expect_code(0);
    let device = node.metadata().expect("it is there").file_type();
    assert!(device.is_char_device());
    let after = directory.path().read_dir().expect("it can be listed");
    assert_eq!(after.count(), before, "and nothing beside it");
}

#[test]
fn a_link_is_followed() {
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    std::fs::create_dir(at("kept")).expect("it can be made");
    symlink("kept/record.json", at("latest")).expect("it can be made");
    for _ in 0..2 {
        bench(
            directory.path(),
            &[&TINY[..], &["--output=latest"]].concat(),
        )
        .expect_code(0);
        assert!(at("latest").is_symlink());
        let text = std::fs::read_to_string(at("kept/record.json")).expect("it is there");
        let record: Value = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!(record["rows"].as_array().map(Vec::len), Some(1));
    }
}

/// Before anything is measured: a record of the same verb is replaced, and nothing else.
#[test]
fn only_a_record_of_the_same_verb_is_replaced() {
    let directory = directory();
    let file = |name: &str| directory.path().join(name);
    let fsync = ["fsync", "--count=20", "-q", "--output=new/disk.json"];
    let first = bench(directory.path(), &fsync);
    first.expect_code(0);
    assert!(
        first.stderr.contains("the directory new is not there"),
        "{}",
        first.stderr
    );
    let second = bench(directory.path(), &fsync);
    second.expect_code(0);
    let says = "new/disk.json is replaced: a record of fsync of 2";
    assert!(second.stderr.contains(says), "{}", second.stderr);

    let diary = "dear diary";
    for name in ["diary", "diary.json"] {
        std::fs::write(file(name), diary).expect("it can be written");
    }
    let page = "write it to new/page.json, then";
    for (output, says) in [
        ("new/disk.json", "is a record of fsync of 2"),
        ("diary", "is there, and is no record"),
        ("diary.json", "is there, and is no record"),
        ("new/page.html", page),
        ("new/page.md", page),
    ] {
        let before = std::fs::read(file(output)).ok();
        let ended = bench(
            directory.path(),
            &[&TINY[..], &["--output", output]].concat(),
        );
        ended.expect_code(2);
        assert!(ended.stderr.contains(says), "{output}: {}", ended.stderr);
        assert_eq!(std::fs::read(file(output)).ok(), before, "{output}");
    }

    let run = [&TINY[..], &["--output=run.json"]].concat();
    bench(directory.path(), &run).expect_code(0);
    let again = bench(directory.path(), &run);
    again.expect_code(0);
    let says = "run.json is replaced: a record of run of 2";
    assert!(
        again.stderr.contains(says) && again.stderr.contains(" TPS\n"),
        "{}",
        again.stderr
    );

    std::fs::write(file("table.md"), diary).expect("it can be written");
    let reproduce = bench(directory.path(), &["reproduce", "--output=table.json"]);
    reproduce.expect_code(2);
    assert!(
        reproduce.stderr.contains("table.md is there"),
        "{}",
        reproduce.stderr
    );
}

#[test]
fn a_name_that_nobody_gave_is_of_no_process_id() {
    let directory = directory();
    for runs in 1..=2 {
        bench(directory.path(), &TINY).expect_code(0);
        let files = records(directory.path());
        assert_eq!(files.len(), runs);
        for file in files {
            let name = file
                .file_stem()
                .expect("it has a name")
                .to_string_lossy()
                .into_owned();
            let (_, random) = name.split_once("-run-").expect("it is of a run");
            assert_eq!(random.len(), 16, "{name}");
            assert!(
                random.bytes().all(|digit| digit.is_ascii_hexdigit()),
                "{name}"
            );
        }
    }
}

/// What a program says whose standard output is this file.
fn printing_to(directory: &Path, words: &[&str], stdout: Stdio) -> (Option<i32>, String) {
    let mut command: Command = bench_client(directory);
    let output = command.args(words).stdout(stdout).stderr(Stdio::piped());
    let output = output.spawn().expect("it starts").wait_with_output();
    let output = output.expect("it ends");
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn what_cannot_be_printed_is_an_error() {
    let directory = directory();
    bench(
        directory.path(),
        &[&TINY[..], &["--output=record.json"]].concat(),
    )
    .expect_code(0);
    let report = ["report", "record.json", "--format=md"];
    let run = [&TINY[..], &["--output=record.json"]].concat();
    let serve = ["serve", "ws", "--port=0", "--null-server"];
    let verbs: [&[&str]; 7] = [
        &report,
        &PREDICT,
        &PREDICT[..3],
        &run,
        &["--help"],
        &["--version"],
        &serve,
    ];
    for words in verbs {
        let full = File::options()
            .write(true)
            .open("/dev/full")
            .expect("a full device");
        let (code, said) = printing_to(directory.path(), words, full.into());
        assert_eq!(code, Some(2), "{words:?}: {said}");
        let errors = said.lines().filter(|line| line.starts_with("error: "));
        let errors: Vec<_> = errors.collect();
        assert_eq!(errors.len(), 1, "{words:?}: {said}");
        assert!(errors[0].contains("standard output"), "{words:?}: {said}");
        if words[0] != "run" {
            assert_eq!(said.lines().count(), 1, "{words:?}: {said}");
        }
    }
}

/// As in `| head -1`: it has read enough.
#[test]
fn a_reader_that_has_gone_away_is_no_error() {
    let directory = directory();
    bench(
        directory.path(),
        &[&TINY[..], &["--output=record.json"]].concat(),
    )
    .expect_code(0);
    let report = ["report", "record.json", "--format=md"];
    for words in [&report[..], &PREDICT, &["--help"], &["--version"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let (code, said) = printing_to(directory.path(), words, writer.into());
        assert_eq!((code, said.as_str()), (Some(0), ""), "{words:?}");
    }
}

/// A line, a screen, or everything; of several rows the table alone, with the rows as they end on
/// standard error.
#[test]
fn as_much_is_printed_as_was_asked_for() {
    let directory = directory();
    let printed = |flags: &[&str]| {
        let ended = bench(
            directory.path(),
            &[&TINY[..], &["--output=record.json"], flags].concat(),
        );
        ended.expect_code(0);
        (ended.stdout, ended.stderr)
    };
    let (line, _) = printed(&["-q"]);
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(
        line.starts_with("VALID ") && line.contains("/s  p99 "),
        "{line}"
    );
    assert!(line.ends_with("  record.json\n"), "{line}");

    let (screen, _) = printed(&[]);
    let (everything, _) = printed(&["-v"]);
    for block in ["row ", "server ", "verified ", "verdict "] {
        let has = |text: &str| text.lines().any(|line| line.starts_with(block));
        assert!(has(&everything) && !has(&screen), "{block}: {everything}");
    }
    assert!(
        everything.ends_with("record   record.json\n"),
        "{everything}"
    );

    let (coloured, _) = printed(&["--color=always"]);
    assert!(coloured.contains("VALID\x1b[0m "), "{coloured:?}");
    let (plain, _) = printed(&["--color=never"]);
    assert!(
        plain.starts_with("VALID ") && !plain.contains('\x1b'),
        "{plain:?}"
    );

    let (table, said) = printed(&["--batch-size=1,2"]);
    let replaced = |line: &&str| !line.contains("is replaced");
    let rows: Vec<&str> = said.lines().filter(replaced).collect();
    assert_eq!(rows.len(), 2, "{said}");
    for (row, label) in rows.iter().zip(["1 of 2 ", "2 of 2 "]) {
        assert!(row.starts_with(label), "{said}");
    }
    assert!(rows[1].contains("  batch-size 2"), "{said}");
    assert!(
        table.contains("p50 ms") && !table.contains("1 of 2  "),
        "{table}"
    );
    let (_, nothing) = printed(&["--batch-size=1,2", "-q"]);
    assert_eq!(nothing.lines().find(replaced), None, "{nothing}");
    bench(directory.path(), &["run", "-q", "-v"]).expect_code(2);
}

/// A measurement of the disk has a line as well, when it is made and when it is shown again.
#[test]
fn fsync_is_said_in_a_line() {
    let directory = directory();
    let printed = |words: &[&str]| {
        let ended = bench(directory.path(), words);
        ended.expect_code(0);
        ended.stdout
    };
    let line = printed(&["fsync", "--count=20", "-q", "--output=record.json"]);
    assert_eq!(line.lines().count(), 1, "{line}");
    assert_eq!(printed(&["report", "record.json", "-q"]), line);
    let screen = printed(&["report", "record.json"]);
    assert!(
        screen.starts_with(&line) && screen.lines().count() > 10,
        "{screen}"
    );
}
