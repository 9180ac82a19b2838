//! However a run ends, nothing of the server is left.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::common::{Running, is_alive, row, run, until};
use crate::targets::servers::Folder;

/// A child that hears no SIGTERM either, in a session of its own or not.
const STUBBORN: &str = "trap '' TERM; sleep 1000 & echo $! >> ../pids; setsid sleep 1000 & true";

#[test]
fn a_failed_start_names_the_output_and_shows_its_end() {
    let Some(folder) = Folder::with_python("a_failed_start_names_the_output") else {
        return;
    };
    let noisy = "sleep 1000 & echo $! >> ../pids; echo one; echo 'no such module' >&2; exit 7";
    folder.write_python("ends", noisy, "");
    folder.write_python(
        "hangs",
        "echo waiting; sleep 1000",
        "start_timeout = \"1s\"\n",
    );
    for (name, says) in [
        (
            "ends",
            "it ended (exit status: 7) before anything accepted connections",
        ),
        ("hangs", "nothing accepted connections at 127.0.0.1:"),
    ] {
        let ended = folder.run(&["--target", name]);
        ended.expect_code(5);
        let error = &ended.stderr;
        assert!(error.contains(says), "no '{says}' in {error}");
        let (_, rest) = error.split_once("its output is in ").expect("it is named");
        let (file, rest) = rest
            .split_once(" and ends with: ")
            .expect("its end is shown");
        let output = std::fs::read_to_string(file).expect("it can be read");
        let last = output.lines().last().expect("a line");
        assert!(rest.contains(last), "{rest}");
        folder.expect_nothing_left();
    }
    let folders = folder.data().into_iter().filter(|path| path.is_dir());
    assert_eq!(folders.count(), 0, "{:?}", folder.data());
}

/// Its start has a minute, in which nobody should have to guess what it says.
#[test]
fn an_error_that_health_answers_is_told_while_it_is_waited_for() {
    let Some(folder) = Folder::with_python("an_error_that_health_answers_is_told") else {
        return;
    };
    folder.write_changed_python("unwell", "lambda: {\"status\": \"ok\"}", "unwell");
    let server = folder.path().join("unwell/server.py");
    let text = std::fs::read_to_string(&server).expect("text");
    let unwell = "def unwell(): raise ValueError('still loading')\n\nMETHODS = {";
    std::fs::write(server, text.replace("METHODS = {", unwell)).expect("written");
    let file = folder.path().join("unwell/target.toml");
    let text = std::fs::read_to_string(&file).expect("text");
    std::fs::write(file, text + "start_timeout = \"7s\"\n").expect("written");
    for words in [
        &["run", "--target=unwell"][..],
        &["targets", "check", "unwell"],
        &["torture", "--target=unwell", "--faults=kill"],
    ] {
        let ended = run(&mut folder.bench_client(words));
        ended.expect_code(5);
        let said = &ended.stderr;
        let health = [
            "the server is not ready: health at 127.0.0.1:",
            "still loading",
        ];
        let told = |line: &&str| health.iter().all(|part| line.contains(part));
        assert_eq!(said.lines().filter(told).count(), 1, "{words:?}: {said}");
        let error = said.lines().find(|line| line.starts_with("error: "));
        let error = error.expect("an error");
        assert!(error.contains("not ready within 7s: health at"), "{error}");
        assert!(error.contains("still loading"), "{error}");
        if words[0] != "torture" {
            assert!(said.contains("waiting for the server: health at"), "{said}");
        }
    }
}

/// As of run: all that it said is in a file, also where its start failed.
#[test]
fn torture_keeps_the_output_of_a_server_that_somebody_else_wrote() {
    let folder = Folder::new();
    let server = "--server-command=sh -c 'echo one; echo two >&2; exit 7' {port}";
    let flags = ["torture", "--faults=kill", "--reseed", server];
    let ended = run(&mut folder.bench_client(&flags));
    ended.expect_code(5);
    let (_, rest) = ended
        .stderr
        .split_once("its output is in ")
        .expect("it is named");
    let (file, rest) = rest
        .split_once(" and ends with: ")
        .expect("its end is shown");
    assert!(rest.starts_with("one | two"), "{rest}");
    let output = std::fs::read_to_string(folder.path().join(file)).expect("it is there");
    assert_eq!(output, "one\ntwo\n");
}

#[test]
fn a_server_that_does_not_stop_is_killed_and_the_record_says_so() {
    let Some(folder) = Folder::with_python("a_server_that_does_not_stop_is_killed") else {
        return;
    };
    folder.write_python("stubborn", STUBBORN, "stop_timeout = \"500ms\"\n");
    let ended = folder.run(&["--target=stubborn", "--json"]);
    ended.expect_code(0);
    assert!(
        ended.stderr.contains("0 s after SIGTERM") || ended.stderr.contains("1 s after SIGTERM"),
        "{}",
        ended.stderr
    );
    let record = ended.json();
    let end = &row(&record)["server_end"];
    assert_eq!(
        (&end["asked_by"], &end["signal"]),
        (&json!("SIGTERM"), &json!("SIGKILL"))
    );
    assert_eq!(end["killed_after_seconds"], 0.5);
    let left = end["left"].as_array().expect("what was left");
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(
        left.iter()
            .all(|one| one.as_str().is_some_and(|one| one.contains("(sleep)")))
    );
    folder.expect_nothing_left();
}

#[test]
fn a_stop_signal_is_the_one_of_the_file() {
    let Some(folder) = Folder::with_python("a_stop_signal_is_the_one_of_the_file") else {
        return;
    };
    // A shell that starts this in the background has SIGINT and SIGQUIT ignored for all below it.
    folder.write_python("mine", "trap '' TERM", "stop_signal = \"SIGUSR1\"\n");
    let ended = folder.run(&["--target=mine", "--json"]);
    ended.expect_code(0);
    let record = ended.json();
    let end = &row(&record)["server_end"];
    assert_eq!(
        (&end["asked_by"], &end["signal"]),
        (&json!("SIGUSR1"), &json!("SIGUSR1"))
    );
    assert_eq!(end["killed_after_seconds"], json!(null));
}

fn long_run(folder: &Folder, name: &str) -> Running {
    let words = [
        "run",
        "--duration=600",
        "--warmup=0.1",
        "--accounts=1000",
        "--target",
        name,
    ];
    Running::start(&mut folder.bench_client(&words))
}

#[test]
fn an_interrupted_run_leaves_nothing() {
    let Some(folder) = Folder::with_python("an_interrupted_run_leaves_nothing") else {
        return;
    };
    folder.write_python("stubborn", STUBBORN, "stop_timeout = \"500ms\"\n");
    let client = long_run(&folder, "stubborn");
    folder.until_started(2);
    // Into the window, so that there is a row.
    std::thread::sleep(Duration::from_secs(4));
    client.signal(Signal::SIGINT);
    client.wait().expect_code(130);
    folder.expect_nothing_left();
    // While it starts.
    folder.write_python("slow", "sleep 1000 & echo $! >> ../pids; wait", "");
    let client = long_run(&folder, "slow");
    folder.until_started(4);
    client.signal(Signal::SIGINT);
    client.wait().expect_code(130);
    folder.expect_nothing_left();
}

#[test]
fn a_client_that_is_killed_takes_the_server_with_it() {
    let Some(folder) = Folder::with_python("a_client_that_is_killed_takes_the_server_with_it")
    else {
        return;
    };
    folder.write_python("mine", "sleep 1000 & echo $! >> ../pids; true", "");
    let client = long_run(&folder, "mine");
    folder.until_started(2);
    std::thread::sleep(Duration::from_secs(1));
    client.signal(Signal::SIGKILL);
    until("the group is killed", || {
        folder
            .pids()
            .iter()
            .all(|pid| !is_alive(*pid))
            .then_some(())
    });
}
