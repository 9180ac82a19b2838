//! `bench-client` as a user has it, on a ledger in PostgreSQL that the test starts. Without
//! PostgreSQL each test says by name that it was passed over; with `BUSLOAD_REQUIRE_INTEROP=1`
//! that is a failure.

#[path = "../../../servers/postgres/tests/support/database.rs"]
mod database;

use std::path::Path;

use crate::common::{Ended, bench_client, count, directory, machine, run};
use database::{Database, programs};
use serde_json::{Value, json};

/// What nothing may show.
const PASSWORD: &str = "hunter2-of-the-database";

/// Runs that take a moment.
const TINY: [&str; 5] = [
    "--duration=0.6",
    "--warmup=0.1",
    "--accounts=500",
    "--concurrency=4",
    "--inflight=10",
];

fn bench(directory: &Path, words: &[&str]) -> Ended {
    let mut command = bench_client(directory);
    run(command.args(words).env("PGPASSWORD", PASSWORD))
}

/// Neither what is printed nor what is recorded has the password, or says whose database it is.
#[track_caller]
fn nothing_is_told(directory: &Path, ended: &Ended) {
    let mut told = vec![ended.stdout.clone(), ended.stderr.clone()];
    for file in walk(directory) {
        told.push(std::fs::read_to_string(file).unwrap_or_default());
    }
    for text in &told {
        assert!(!text.contains(PASSWORD), "{text}");
        assert!(!text.contains("bank@"), "{text}");
    }
}

fn walk(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).expect("it is there").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(walk(&path));
        } else {
            files.push(path);
        }
    }
    files
}

#[track_caller]
fn measured(directory: &Path, engine: &str, flags: &[&str]) -> Value {
    let words = [&["run", "--json"], &TINY[..], &[engine], flags].concat();
    let ended = bench(directory, &words);
    ended.expect_code(0);
    nothing_is_told(directory, &ended);
    let record = ended.json();
    let row = record["rows"][0].clone();
    assert_eq!(row["valid"], true, "{row:#}");
    assert_eq!(row["server"]["engine"]["name"], "postgresql");
    assert_eq!(row["target"]["server"]["engine"], "postgres");
    assert!(count(&row["committed"]) > 0, "{row:#}");
    row
}

fn codes(row: &Value) -> Vec<&str> {
    let verdicts = row["verdicts"].as_array().expect("a list");
    verdicts
        .iter()
        .filter_map(|verdict| verdict["code"].as_str())
        .collect()
}

#[test]
fn rows_in_both_modes_say_what_stores_them_and_how_durably() {
    let Some(programs) = programs("rows_in_both_modes_say_what_stores_them_and_how_durably") else {
        return;
    };
    let _alone = machine();
    let place = directory();
    let database = Database::start(&programs, &[]);
    database.want_password(PASSWORD);
    let engine = format!("--engine={}", database.url());
    let row = measured(
        place.path(),
        &engine,
        &["--apply=coalesced", "--connector=sqlite_ws_rpc"],
    );
    assert_eq!(
        (&row["durability"], &row["apply"]),
        (&json!("postgres-local"), &json!("coalesced"))
    );
    assert_eq!(row["server"]["engine"]["settings"]["fsync"], "on");
    assert_eq!(row["server"]["ordered"], true);
    assert_eq!(row["server"]["pragmas"], json!({}));
    assert!(!codes(&row).contains(&"not_durable"), "{:?}", codes(&row));
    let several = ["--batch-size=1", "--writers=4", "--isolation=serializable"];
    let row = measured(place.path(), &engine, &several);
    assert_eq!(
        (&row["server"]["ordered"], &row["server"]["writers"]),
        (&json!(false), &json!(4))
    );
    assert!(
        count(&row["server"]["retries"]) > 0,
        "accounts are hot: {row:#}"
    );
    // Another side of a comparison is another ledger.
    let side = format!("sqlite_ws_rpc,engine={},apply=coalesced", database.url());
    let words = [
        &["compare", "sqlite_ws_rpc", &side, "--rounds=2", "--json"],
        &TINY[..],
    ]
    .concat();
    let ended = bench(place.path(), &words);
    nothing_is_told(place.path(), &ended);
    assert!(ended.stdout.contains("engine=postgres"), "{}", ended.stdout);
    ended.expect_code(0);
    drop(database);

    let database = Database::start(&programs, &["fsync=off"]);
    let row = measured(
        place.path(),
        &format!("--engine={}", database.url()),
        &["--apply=coalesced"],
    );
    assert_eq!(row["durability"], "postgres-fsync-off");
    assert!(codes(&row).contains(&"not_durable"), "{:?}", codes(&row));
}

#[test]
fn a_password_in_a_url_is_refused_and_not_repeated() {
    let place = directory();
    for url in [
        "postgres://bank:PASSWORD@127.0.0.1/x",
        "mysql://bank:PASSWORD@127.0.0.1/x",
    ] {
        let engine = format!("--engine={}", url.replace("PASSWORD", PASSWORD));
        for verb in [&["run"][..], &["serve", "ws"], &["torture"]] {
            let ended = bench(place.path(), &[verb, &[&engine]].concat());
            ended.expect_code(2);
            nothing_is_told(place.path(), &ended);
            assert!(
                ended.stderr.contains("postgres://USER@HOST")
                    || ended.stderr.contains("PGPASSWORD")
            );
        }
    }
}

#[test]
fn an_audit_of_either_mode_finds_nothing() {
    let Some(programs) = programs("an_audit_of_either_mode_finds_nothing") else {
        return;
    };
    let _alone = machine();
    let place = directory();
    let database = Database::start(&programs, &[]);
    let engine = format!("--engine={}", database.url());
    for mode in [
        &["--apply=coalesced"][..],
        &["--batch-size=1", "--writers=4", "--exactly-once"],
    ] {
        let words = [
            "torture",
            "--json",
            "--kills=4",
            "--faults=kill,term",
            "--reseed",
        ];
        let words = [&words[..], &["--cycle-time=0.8", &engine], mode].concat();
        let ended = bench(place.path(), &words);
        ended.expect_code(0);
        nothing_is_told(place.path(), &ended);
        let record = ended.json();
        assert_eq!(record["findings"], json!([]), "{record:#}");
        assert_eq!(
            (&record["lost"], &record["applied_twice"]),
            (&json!(0), &json!(0))
        );
        assert!(count(&record["acknowledged"]) > 50, "{record:#}");
        assert_eq!(record["server"]["durability"], "postgres-local");
    }
}
