//! What a server says of files that it cannot have or cannot write.

#![cfg(target_os = "linux")]

mod support;

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use support::{
    FIN, HTTP, INITIAL_BALANCE, Server, TEXT, WS, balances, command, directory, frame, post,
    read_frame, skip, socket, transfer, transfer_between,
};

/// The same within one process is in the engine's tests.
#[test]
fn case_14_a_second_process_on_the_same_database_is_refused_at_start() {
    let first = Server::http();
    for program in [HTTP, WS] {
        let mut second = command(&[], program, &first.directory, &["--reseed"]);
        let output = second.stderr(Stdio::piped()).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.starts_with("error: another server has "), "{said}");
        assert!(said.contains("/a.sqlite open"), "{said}");
        assert_eq!(output.stdout, b"", "it announces nothing");
    }
    let mut stream = first.connect();
    assert_eq!(post(&mut stream, transfer("1").as_bytes()).status, 200);
    assert_eq!(
        balances(&first)[1],
        INITIAL_BALANCE + 1,
        "nothing was thrown away"
    );
}

/// Pages are chosen once. The start-up line says what there is, and a warning why.
#[test]
fn a_ledger_keeps_its_pages_and_whoever_asks_for_others_is_told() {
    let directory = Arc::new(directory());
    let first = Server::start_in(WS, Arc::clone(&directory), &["--page-size=1KiB"]);
    assert!(
        first.announced.contains("page_size=1024"),
        "{}",
        first.announced
    );
    assert!(
        first.announced.contains("checkpoints every 16384 KiB"),
        "{}",
        first.announced
    );
    let (code, said) = first.stop();
    assert_eq!((code, said.contains("warning")), (Some(0), false), "{said}");
    let second = Server::start_in(HTTP, Arc::clone(&directory), &["--page-size=8192"]);
    assert!(
        second.announced.contains("page_size=1024"),
        "{}",
        second.announced
    );
    let (code, said) = second.stop();
    assert_eq!(code, Some(0));
    assert!(
        said.contains("warning: the ledger keeps its pages of 1024 bytes"),
        "{said}"
    );
    assert!(
        said.contains("--page-size 8192") && said.contains("--reseed"),
        "{said}"
    );
    // Nobody is told of a default.
    let third = Server::start_in(WS, Arc::clone(&directory), &[]);
    // What all of them have said is in one file.
    let (code, said) = third.stop();
    assert_eq!(
        (code, said.matches("warning").count()),
        (Some(0), 1),
        "{said}"
    );
    for wrong in ["1000", "256", "128KiB", "4kb", "-1"] {
        let mut server = command(&[], WS, &directory, &[&format!("--page-size={wrong}")]);
        let output = server.stderr(Stdio::piped()).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("a power of two from 512 to 65,536"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

/// A user that may write nowhere.
const NOBODY: u32 = 65_534;

/// Permissions do not bind root, who becomes somebody else for this.
#[test]
fn case_15_a_read_only_directory_is_a_clear_error() {
    const NAME: &str = "storage::case_15_a_read_only_directory_is_a_clear_error";
    let directory = directory();
    // What `command` appends to is there before nobody may write.
    let mut server = command(&[], WS, &directory, &[]);
    std::fs::set_permissions(directory.path(), Permissions::from_mode(0o555)).expect("it is ours");
    let me = std::fs::metadata("/proc/self").expect("it is there").uid();
    if me == 0 {
        let mut probe = Command::new(WS);
        probe.arg("--version").uid(NOBODY).gid(NOBODY);
        let reached = probe.current_dir(directory.path()).output();
        if !reached.is_ok_and(|output| output.status.success()) {
            return skip(NAME, "root cannot start the server as another user here");
        }
        server.uid(NOBODY).gid(NOBODY);
    }
    let output = server.stderr(Stdio::piped()).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("a.sqlite") && said.contains("ermission denied"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(!directory.path().join("a.sqlite").exists());
}

/// A server that may write so many KiB to a file.
fn limited_to(kib: u64) -> [String; 3] {
    let script = format!("ulimit -f {kib} && exec \"$0\" \"$@\"");
    ["bash".to_owned(), "-c".to_owned(), script]
}

/// The log outgrows what the process may write. It does not die of the signal; what it answers
/// with `ok` is there afterwards, and it says what happened.
#[test]
fn case_15_a_short_write_at_a_file_size_limit_is_a_clear_error_and_loses_nothing() {
    const LIMIT_KIB: u64 = 1024;
    let directory = Arc::new(directory());
    // Without checkpoints the log grows by every batch.
    let flags = ["--checkpoint-kib=16777216", "--batch-size=1"];
    drop(Server::start_in(WS, Arc::clone(&directory), &flags));
    let wrapper = limited_to(LIMIT_KIB);
    let wrapper = wrapper.each_ref().map(String::as_str);
    let mut server = Server::start_under(&wrapper, WS, Arc::clone(&directory), &flags);
    let mut stream = socket(&server);
    let (mut committed, mut failed) = (0_i64, 0_i64);
    'asking: for id in 0.. {
        let request = frame(FIN | TEXT, transfer_between(id, 0, 1).as_bytes());
        if stream.write_all(&request).is_err() {
            break;
        }
        let Some((TEXT, payload)) = read_frame(&mut stream) else {
            break;
        };
        let answer: serde_json::Value = serde_json::from_slice(&payload).expect("JSON");
        match (answer["ok"] == true, answer["error"].as_str()) {
            (true, _) => committed += 1,
            (false, Some("unknown_outcome" | "shutting_down" | "storage_full")) => failed += 1,
            other => panic!("{other:?}"),
        }
        if failed == 3 {
            break 'asking;
        }
        assert!(id < 100_000, "the limit is never reached");
    }
    assert!(
        committed > 0 && failed > 0,
        "{committed} committed, {failed} failed"
    );
    // A frame of the log has 24 bytes and a page of 4,096, and the log a head of 32: the limit
    // is within a frame, and the write that met it was short.
    let log = directory.path().join("a.sqlite-wal").metadata();
    assert_eq!(log.expect("the log is there").len(), LIMIT_KIB * 1024);
    assert_ne!((LIMIT_KIB * 1024 - 32) % (24 + 4096), 0);
    let ended = server.child.try_wait().expect("our child").is_some() || failed < 3;
    if ended {
        // The writer latches an error of COMMIT.
        assert_eq!(
            server.ended(),
            Some(5),
            "not by a signal: {}",
            server.said()
        );
        assert!(server.said().contains("error: "), "{}", server.said());
    }
    drop(server);
    let again = Server::start_in(WS, directory, &flags);
    let balances = balances(&again);
    let applied = INITIAL_BALANCE - balances[0];
    assert_eq!(balances[1], INITIAL_BALANCE + applied);
    assert!(
        (committed..=committed + failed).contains(&applied),
        "{committed} committed, {failed} failed, {applied} applied"
    );
}

/// There is not even room for the ledger.
#[test]
fn case_15_a_file_size_limit_below_the_ledger_is_refused_at_start() {
    let directory = directory();
    let wrapper = limited_to(2);
    let wrapper = wrapper.each_ref().map(String::as_str);
    let mut server = command(&wrapper, WS, &directory, &[]);
    let output = server.stderr(Stdio::piped()).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "not by a signal: {said}");
    assert!(said.starts_with("error: cannot open "), "{said}");
    assert!(
        said.contains("a.sqlite: ") && said.contains("ulimit -f"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
}

/// Each limit is one at which something else cannot be opened, until there is enough.
#[test]
fn case_15_a_limit_of_open_files_below_the_ledger_is_refused_at_start() {
    let mut refused = 0;
    // How many are enough depends on what is inherited as well.
    for limit in 10..100 {
        let directory = directory();
        let script = format!("ulimit -n {limit} && exec \"$0\" \"$@\"");
        let mut server = command(
            &["bash", "-c", &script],
            WS,
            &directory,
            &["--until-stdin-ends"],
        );
        server.stdin(Stdio::null());
        let output = server.stderr(Stdio::piped()).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        let mut errors = said.lines().filter(|line| !line.starts_with("warning: "));
        let Some(error) = errors.next() else {
            assert_eq!(output.status.code(), Some(0), "{limit}: {said}");
            assert!(refused > 0, "no limit was low enough");
            return;
        };
        if !error.contains("a.sqlite") {
            continue; // The program itself did not get that far.
        }
        assert_eq!(output.status.code(), Some(2), "{limit}: {said}");
        assert_eq!(errors.next(), None, "{limit}: {said}");
        assert!(!error.contains("  "), "{limit}: {said}");
        refused += 1;
        assert!(
            error.contains("ulimit -n") || error.contains("oo many open files"),
            "{limit}: {said}"
        );
    }
    panic!("no limit was high enough");
}

/// As the original's server does, and whoever mistyped the path reads where it is.
#[test]
fn the_directory_of_the_database_is_made_and_told() {
    for (program, by_flag) in [(HTTP, true), (WS, false)] {
        let directory = directory();
        let file = "./.data/deep/accounts.sqlite";
        let mut server = Command::new(program);
        server
            .args(["--port=0", "--accounts=100", "--until-stdin-ends"])
            .current_dir(directory.path())
            .env_remove("SQLITE_FILE")
            .stdin(Stdio::null());
        if by_flag {
            server.arg(format!("--database={file}"));
        } else {
            server.env("SQLITE_FILE", file);
        }
        let output = server.output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert_eq!(said, "note: made the directory ./.data/deep\n");
        assert!(directory.path().join(file).is_file());
    }
    // One that cannot be made is named.
    let directory = directory();
    std::fs::write(directory.path().join("taken"), "").expect("it is new");
    let output = Command::new(WS)
        .args(["--port=0", "--database=taken/below/a.sqlite"])
        .current_dir(directory.path())
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("cannot create the directory taken/below"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
}

/// Issue 10: it went on acknowledging, 52,880 transfers, and ended with 0. The same in every
/// durability mode, for log and database, is in the engine's tests (`lost_files`).
#[test]
fn a_server_whose_database_is_renamed_ends_with_5_and_loses_nothing() {
    let directory = Arc::new(directory());
    let mut server = Server::start_in(WS, Arc::clone(&directory), &[]);
    let [database, renamed] = ["a.sqlite", "b.sqlite"].map(|name| directory.path().join(name));
    let mut stream = socket(&server);
    let (mut committed, mut in_doubt) = (0_i64, 0_i64);
    for id in 0.. {
        if id == 10 {
            std::fs::rename(&database, &renamed).expect("it is there");
        }
        let request = frame(FIN | TEXT, transfer_between(id, 0, 1).as_bytes());
        if stream.write_all(&request).is_err() {
            break;
        }
        let Some((TEXT, payload)) = read_frame(&mut stream) else {
            in_doubt += 1;
            break;
        };
        let answer: serde_json::Value = serde_json::from_slice(&payload).expect("JSON");
        match (answer["ok"] == true, answer["error"].as_str()) {
            (true, _) => committed += 1,
            (false, Some("unknown_outcome")) => in_doubt += 1,
            // Noticed between two transfers.
            (false, Some("shutting_down")) => break,
            other => panic!("{other:?}"),
        }
        assert!(id < 1_000_000, "it is never noticed");
    }
    assert_eq!(server.ended(), Some(5), "{}", server.said());
    let said = server.said();
    assert!(
        said.contains("a.sqlite: it is gone, although this server has it open"),
        "{said}"
    );
    assert!(said.contains("move it back"), "{said}");
    drop(server);
    std::fs::rename(&renamed, &database).expect("it is there");
    let again = Server::start_in(WS, directory, &[]);
    let applied = balances(&again)[1] - INITIAL_BALANCE;
    assert!(
        committed >= 10 && (committed..=committed + in_doubt).contains(&applied),
        "{committed} committed, {in_doubt} in doubt, {applied} applied"
    );
}
