//! Baselines: saved, compared with, refused.

use std::path::Path;

use serde_json::{Value, json};

use super::{INVALID, TINY, batch_sizes, compare, comparison, refused, seeds};
use crate::common::{Ended, Served, bench_client, directory, records, run};

fn save(directory: &Path, words: &[&str]) -> Ended {
    let mut command = bench_client(directory);
    let flags = ["--no-null-server", "--batch-size=100", "--queue=6000"];
    run(command.arg("run").args(TINY).args(flags).args(words))
}

#[test]
fn a_baseline_is_saved_and_compared_with() {
    let directory = directory();
    let directory = directory.path();
    let ended = save(directory, &["--runs=2", "--save-baseline=main"]);
    ended.expect_code(0);
    assert!(
        ended.stdout.contains("results/baselines/main.json\n"),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stderr.contains("--runs 6 are the fewest"),
        "{}",
        ended.stderr
    );
    refused(
        directory,
        &["--baseline=main", "--fail-if=tps<-5%"],
        &["in 2 rounds against the 2", "--rounds 39 or", "--runs 6"],
    );
    let ended = save(directory, &["--runs=3", "--save-baseline=main", "--seed=9"]);
    ended.expect_code(0);
    assert!(
        ended.stdout.contains("replaces the earlier one"),
        "{}",
        ended.stdout
    );

    // Gates that so few runs can never decide.
    for (flags, says) in [
        (
            ["--rounds=3", "--fail-if=tps<-5%"],
            "in 3 rounds against the 3 of baseline main: it takes --rounds 15",
        ),
        (
            ["--rounds=9", "--fail-if=tps<1"],
            "it takes --rounds 10 or more",
        ),
    ] {
        let words = ["--baseline=main", flags[0], flags[1]];
        refused(directory, &words, &["can never be decided", says]);
    }

    // The same knobs, all of them from the baseline.
    let mut command = bench_client(directory);
    let words = ["compare", "--baseline=main", "--rounds=2", "--json"];
    let ended = run(command.args(words));
    ended.expect_code(0);
    let record = comparison(directory, &ended);
    assert_eq!(record["differences"], json!([]));
    assert_eq!(seeds(&record), [9; 5]);
    assert_eq!(batch_sizes(&record), [100; 5]);
    assert_eq!(
        (&record["rounds"], &record["stopped"]),
        (&json!([]), &json!("rounds"))
    );
    assert_eq!(record["base"]["baseline"], "results/baselines/main.json");
    assert_eq!(
        record["base"]["fingerprint"],
        record["candidate"]["fingerprint"]
    );
    let tps = &record["metrics"][0];
    assert_eq!(
        (&tps["base"]["count"], &tps["candidate"]["count"]),
        (&json!(3), &json!(2))
    );
}

#[test]
fn an_unlike_baseline_is_refused_before_anything_is_measured() {
    let directory = directory();
    let directory = directory.path();
    save(directory, &["--save-baseline=main"]).expect_code(0);
    let side = "sqlite_ws_rpc,batch-size=7,concurrency=3,queue=5000,cache-kib=1000";
    refused(
        directory,
        &[side, "--baseline=main"],
        &[
            "baseline main was measured under other conditions",
            "batch-size: 100 (base), 7 (candidate)",
            "concurrency: 2 (base), 3 (candidate)",
            "queue: 6000 (base), 5000 (candidate)",
            "cache-kib: 262144 (base), 1000 (candidate)",
            "--allow-unlike",
        ],
    );
    let like = "sqlite_ws_rpc,batch-size=100,queue=6000,seconds=0.5";
    let file = "--baseline=results/baselines/main.json";
    refused(
        directory,
        &[like, file],
        &["duration: 0.4 s (base), 0.5 s (candidate)"],
    );
    let words = [
        side,
        "--baseline=main",
        "--allow-unlike",
        "--rounds=1",
        "--json",
    ];
    let ended = compare(directory, &words);
    ended.expect_code(0);
    let record = comparison(directory, &ended);
    let named = record["differences"].as_array().expect("differences");
    let named: Vec<&Value> = named
        .iter()
        .map(|difference| &difference["field"])
        .collect();
    assert_eq!(named, ["batch-size", "cache-kib", "concurrency", "queue"]);
    assert_ne!(
        record["base"]["fingerprint"],
        record["candidate"]["fingerprint"]
    );
}

#[test]
fn what_a_server_at_a_url_is_set_to_is_held_against_the_baseline() {
    let directory = directory();
    let directory = directory.path();
    let flags = [
        "--accounts=500",
        "--batch-size=9",
        "--database=other.sqlite",
    ];
    let served = Served::bench_client(directory, "ws", &flags);
    save(directory, &["--save-baseline=main"]).expect_code(0);
    let side = format!("sqlite_ws_rpc,url={}", served.url());
    let ended = compare(directory, &[&side, "--baseline=main", "--rounds=3"]);
    ended.expect_code(2);
    let says = "batch-size: 100 (base), 9 (candidate)";
    assert!(ended.stderr.contains(says), "{}", ended.stderr);
}

#[test]
fn what_is_no_baseline_is_not_saved() {
    let directory = directory();
    let directory = directory.path();
    for (words, says) in [
        (["--save-baseline=a/b", "--seed=1"], "'a/b' is not the name"),
        (
            ["--save-baseline=../b", "--seed=1"],
            "'../b' is not the name",
        ),
        (
            ["--save-baseline=b", "--alpha=0,1"],
            "a baseline is of one row",
        ),
    ] {
        let ended = save(directory, &words);
        ended.expect_code(2);
        assert!(ended.stderr.contains(says), "{}", ended.stderr);
    }
    let mut command = bench_client(directory);
    let ended = run(command.args(["ceiling", "--save-baseline=b"]).args(TINY));
    ended.expect_code(2);
    assert!(
        ended.stderr.contains("--save-baseline is for run"),
        "{}",
        ended.stderr
    );
    assert!(records(directory).is_empty(), "nothing is measured before");
    let ended = save(
        directory,
        &["--save-baseline=b", "--durability=discard-writes"],
    );
    ended.expect_code(INVALID);
    assert!(
        ended.stderr.contains("baseline b is not saved"),
        "{}",
        ended.stderr
    );
    assert!(!directory.join("results/baselines/b.json").exists());
}
