//! A comparison that ends before its rounds are over.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, killpg};
use serde_json::json;

use super::{INVALID, TINY, compare, compared, comparison};
use crate::common::{Running, bench_client, directory, rows, server_of, until};

#[test]
fn an_invalid_run_ends_the_comparison() {
    let directory = directory();
    let words = [
        "sqlite_ws_rpc",
        "sqlite_ws_rpc,durability=discard-writes",
        "--rounds=10",
        "--fail-if=tps<-5%",
        "--json",
    ];
    let ended = compare(directory.path(), &words);
    ended.expect_code(INVALID);
    assert!(
        ended
            .stderr
            .contains("candidate (sqlite_ws_rpc,durability=discard-writes) is invalid")
    );
    let record = comparison(directory.path(), &ended);
    assert_eq!(
        (&record["stopped"], &record["valid"]),
        (&json!("invalid"), &json!(false))
    );
    assert_eq!((rows(&record).len(), &record["rounds"]), (2, &json!([])));
}

#[test]
fn an_interrupted_comparison_keeps_its_rounds() {
    let directory = directory();
    let mut command = bench_client(directory.path());
    let words = [
        "compare",
        "sqlite_ws_rpc",
        "sqlite_ws_rpc",
        "--rounds=99",
        "--json",
    ];
    let client = Running::start(command.args(words).args(TINY));
    until("two rounds are recorded", || {
        let text = std::fs::read_to_string(compared(directory.path()).pop()?).ok()?;
        (text.matches("\"base_first\"").count() >= 2).then_some(())
    });
    client.signal(Signal::SIGINT);
    let ended = client.wait();
    ended.expect_code(130);
    let record = comparison(directory.path(), &ended);
    assert_eq!(record["stopped"], "interrupted");
    let rounds = record["rounds"].as_array().expect("rounds").len();
    assert!((2..10).contains(&rounds), "{rounds}");
    assert!(rows(&record).iter().all(|row| row["interrupted"] == false));
}

/// As by Ctrl-C on a terminal, which tells every process of the script.
#[test]
fn an_interrupted_script_reports_the_rounds_that_it_has() {
    let directory = directory();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/compare-servers.sh");
    let mut command = Command::new("bash");
    command
        .arg(script)
        .args(["--program", env!("CARGO_BIN_EXE_bench-client")])
        .args([
            "--base-target",
            "sqlite_ws_rpc",
            "--head-target",
            "sqlite_ws_rpc",
        ])
        .args(["--output", "out", "--", "--rounds=99"])
        .args(TINY)
        .current_dir(directory.path())
        .env_remove("GITHUB_STEP_SUMMARY")
        .process_group(0);
    let script = Running::start(&mut command);
    let record = directory.path().join("out/comparison.json");
    until("two rounds are recorded", || {
        let text = std::fs::read_to_string(&record).ok()?;
        (text.matches("\"base_first\"").count() >= 2).then_some(())
    });
    killpg(script.pid(), Signal::SIGINT).expect("it runs");
    let ended = script.wait();
    ended.expect_code(130);
    let report = std::fs::read_to_string(directory.path().join("out/comparison.md"));
    let report = report.expect("it is there");
    assert!(report.contains("stopped from outside"), "{report}");
    assert!(
        ended.stderr.contains("results are in out"),
        "{}",
        ended.stderr
    );
}

#[test]
fn interrupted_before_anything_is_compared_is_130() {
    let directory = directory();
    let mut command = bench_client(directory.path());
    let words = ["compare", "sqlite_ws_rpc", "sqlite_ws_rpc", "--duration=30"];
    let client = Running::start(command.args(words));
    let _server = server_of(&client);
    client.signal(Signal::SIGINT);
    client.wait().expect_code(130);
    assert!(compared(directory.path()).is_empty());
}

#[test]
fn the_time_limit_ends_a_search_for_precision() {
    let directory = directory();
    let words = [
        "sqlite_ws_rpc",
        "sqlite_ws_rpc",
        "--until-precision=0.1%",
        "--time-limit=4s",
        "--json",
    ];
    let ended = compare(directory.path(), &words);
    ended.expect_code(0);
    let record = comparison(directory.path(), &ended);
    assert_eq!(record["stopped"], "time_limit");
    assert!(!record["rounds"].as_array().expect("rounds").is_empty());
}
