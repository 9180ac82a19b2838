//! `bench-client torture`, refused: wrong flags, a server that does not start, a record that has
//! nowhere to go.

use std::path::Path;

use crate::common::{
    Ended, Running, bench_client, directory, free_port, journals, left_behind, records, run, until,
};

fn torture(directory: &Path, flags: &[&str]) -> Ended {
    run(bench_client(directory).arg("torture").args(flags))
}

#[test]
fn bad_input_is_refused() {
    let directory = directory();
    std::fs::write(directory.path().join("there.sqlite"), "").expect("it can be written");
    for (flags, expected) in [
        (
            vec!["--faults=flood"],
            "'flood' is not a fault: choose from kill",
        ),
        (vec!["--kills=0"], "from 1 to 1,000,000"),
        (
            vec!["--faults=power-cut", "--kills=5"],
            "--kills is for the faults other than power-cut",
        ),
        (
            vec!["--faults=kill", "--cuts=10"],
            "--cuts without power-cut among --faults does nothing",
        ),
        (
            vec!["--cuts=0", "--states=2000", "--file-system=ext4"],
            "--cuts and --states and --file-system without power-cut",
        ),
        (
            vec!["--faults=power-cut", "--cuts=0", "--file-system=xfs"],
            "--file-system with --cuts 0 does nothing",
        ),
        (
            vec![
                "--faults=kill,power-cut",
                "--server-command=server --file elsewhere",
                "--url=ws://127.0.0.1:1",
                "--reseed",
            ],
            "power-cut needs the word {database} in --server-command",
        ),
        (vec!["--cycle-time=0"], "from 50ms to 1h"),
        (vec!["--url=ws://127.0.0.1:1"], "--server-command"),
        (
            vec!["--server-command=true", "--reseed"],
            "--server-command needs --url with the place where it listens, or {port} in it",
        ),
        (
            vec!["--server-command=x {port}", "--url=ws://h:1", "--reseed"],
            "leave out --url",
        ),
        (
            vec![
                "--server-command=x",
                "--url=ws://h:1",
                "--connector=http",
                "--reseed",
            ],
            "--url ws://… is for --connector sqlite_ws_rpc",
        ),
        (
            vec!["--server-command=true", "--url=ws://127.0.0.1:1"],
            "--reseed",
        ),
        (
            vec!["--server-command=a 'b", "--url=ws://h:1", "--reseed"],
            "quotation mark",
        ),
        (vec!["--database=there.sqlite"], "there.sqlite exists"),
        (
            vec!["--connector=http", "--encoding=binary"],
            "binary is an encoding of ws only",
        ),
        (
            vec!["--concurrency=4096", "--inflight=4096"],
            "lower --concurrency or --inflight",
        ),
    ] {
        let ended = torture(directory.path(), &flags);
        ended.expect_code(2);
        assert!(
            ended.stderr.contains(expected),
            "{flags:?}: {}",
            ended.stderr
        );
    }
    assert_eq!(records(directory.path()).len(), 0);
}

#[test]
fn the_help_says_what_is_allowed() {
    let directory = directory();
    let ended = run(bench_client(directory.path()).args(["torture", "--help"]));
    let help: Vec<_> = ended.expect_code(0).stdout.split_whitespace().collect();
    let help = help.join(" ");
    for expected in [
        "[1 … 1000000] [default: 20] Over those other than power-cut",
        "0 for none [0 … 10000000]",
        "before an interruption [50ms … 1h]",
        "two accounts each [1 … 4096]",
        "in flight per worker [1 … 4096]",
        "discard-writes reads and answers and never writes",
    ] {
        assert!(help.contains(expected), "{expected}: {help}");
    }
}

#[test]
fn a_server_that_cannot_be_started() {
    let directory = directory();
    let port = free_port();
    let url = format!("--url=ws://127.0.0.1:{port}");
    for command in ["false", "/nonexistent/server"] {
        let command = format!("--server-command={command}");
        torture(
            directory.path(),
            &["--faults=kill", &command, &url, "--reseed"],
        )
        .expect_code(5);
    }
}

#[test]
fn a_record_that_cannot_be_written_is_refused_before_anything_starts() {
    let directory = directory();
    let side = "sqlite_ws_rpc";
    for verb in [
        &["run"][..],
        &["ceiling"],
        &["sweep", "--over=alpha=0"],
        &["compare", side, side],
        &["reproduce"],
        &["torture"],
    ] {
        for output in ["--output=/proc/none/a.json", "--output=/proc/a.json"] {
            let ended = run(bench_client(directory.path()).args(verb).arg(output));
            ended.expect_code(2);
            assert_eq!(ended.stdout, "", "{verb:?}");
            let errors = ended
                .stderr
                .lines()
                .filter(|line| line.starts_with("error: "));
            let errors: Vec<_> = errors.collect();
            assert!(
                errors.len() == 1 && errors[0].contains("--output"),
                "{verb:?}: {}",
                ended.stderr
            );
        }
    }
    assert_eq!(left_behind(directory.path()), 0);
}

/// What was judged is shown all the same.
#[test]
fn a_record_that_cannot_be_written_after_all() {
    let directory = directory();
    let audit = Running::start(bench_client(directory.path()).args([
        "torture",
        "--faults=kill",
        "--kills=1",
        "--output=made/a.json",
    ]));
    until("the load is on", || {
        (!journals(directory.path()).is_empty()).then_some(())
    });
    std::fs::write(directory.path().join("made"), "a file").expect("it can be written");
    let ended = audit.wait();
    ended.expect_code(2);
    assert!(ended.stdout.contains("NOTHING LOST"), "{}", ended.stdout);
    assert!(!ended.stdout.contains("made/a.json"), "{}", ended.stdout);
    let error = "error: cannot write the record made/a.json";
    assert!(ended.stderr.contains(error), "{}", ended.stderr);
}
