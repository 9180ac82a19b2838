//! Whole runs against a small server of the protocol.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{Ended, bench_client, count, directory, record, row, run, verdicts};
use crate::server::{Habits, Server};

/// A load that takes a moment and not seconds.
const SHORT: [&str; 7] = [
    "--connector=spacetimedb",
    "--duration=0.6",
    "--warmup=0.2",
    "--accounts=1000",
    "--initial-balance=100000",
    "--concurrency=4",
    "--inflight=40",
];

fn short_run(directory: &Path, server: &Server, flags: &[&str]) -> Ended {
    let url = format!("--url={}", server.url);
    run(bench_client(directory)
        .arg("run")
        .args(SHORT)
        .arg(url)
        .args(flags))
}

/// The row of a run that is valid and verified whole.
#[track_caller]
fn verified(directory: &Path, server: &Server, flags: &[&str]) -> Value {
    short_run(directory, server, flags).expect_code(0);
    let record = record(directory);
    let row = row(&record);
    let verify = &row["verify"];
    assert_eq!(row["valid"], true, "{row:#}");
    assert_eq!(
        [
            &verify["conserved"],
            &verify["changed"],
            &verify["ledger_ok"]
        ],
        [true, true, true],
        "{verify:#}"
    );
    assert_eq!(verify["sampled_accounts"], 1000, "{verify:#}");
    assert!(verify["applied"].is_null(), "nobody tells");
    assert_eq!(count(&verify["acknowledged"]), server.ledger().committed);
    assert!(count(&row["committed"]) > 100);
    row.clone()
}

#[test]
fn a_run_seeds_loads_and_verifies() {
    for (encoding, protocol) in [("bsatn_v3", "v3"), ("bsatn_v2", "v2")] {
        let server = Server::start(10, Habits::default());
        let directory = directory();
        let encoding_flag = format!("--encoding={encoding}");
        let row = verified(directory.path(), &server, &["--reseed", &encoding_flag]);
        assert_eq!(row["connector"], "spacetimedb");
        assert_eq!(
            (&row["encoding"], &row["transport"]),
            (&json!(encoding), &json!("ws"))
        );
        assert_eq!(row["confirmed_reads"], "on");
        assert_eq!(row["server_url"], server.url.as_str());
        // What it cannot tell.
        assert_eq!(row["durability"], "unknown");
        assert!(row["server"].is_null() && row["batch_size"].is_null());
        let warnings = verdicts(&row, false);
        assert!(
            warnings.contains(&"durability_unknown".to_owned()),
            "{warnings:?}"
        );
        assert!(
            !warnings.contains(&"not_verified".to_owned()),
            "{warnings:?}"
        );
        assert!(!warnings.contains(&"unverified".to_owned()), "{warnings:?}");
        let upgrades = server.ledger().upgrades.clone();
        // That of the seeding, and those of the workers.
        assert_eq!(upgrades.len(), 1 + 4);
        for (query, subprotocol) in &upgrades[1..] {
            assert_eq!(query, "compression=None&light=true&confirmed=true");
            assert_eq!(subprotocol, &format!("{protocol}.bsatn.spacetimedb"));
        }
    }
}

/// Without seeding, what was there before is read first.
#[test]
fn a_ledger_that_is_not_seeded_is_compared_with_what_it_was() {
    let server = Server::start(1000, Habits::default());
    let directory = directory();
    let row = verified(directory.path(), &server, &[]);
    assert_eq!(row["verify"]["balances_before"], "read");
    let total: i64 = server.ledger().balances.iter().sum();
    assert_eq!(total, 1_000_000_000);
}

#[test]
fn unconfirmed_reads_are_asked_for_recorded_and_labelled() {
    let server = Server::start(1000, Habits::default());
    let directory = directory();
    let row = verified(directory.path(), &server, &["--confirmed-reads=off"]);
    assert_eq!(row["confirmed_reads"], "off");
    let warnings = verdicts(&row, false);
    assert!(warnings.contains(&"not_durable".to_owned()), "{warnings:?}");
    let (query, _) = server.ledger().upgrades[0].clone();
    assert!(query.ends_with("confirmed=false"), "{query}");
}

/// Transfers that are acknowledged and not applied are found by its SQL.
#[test]
fn a_server_that_forgets_is_found_out() {
    let habits = Habits {
        forgets_every: Some(50),
        ..Habits::default()
    };
    let server = Server::start(10, habits);
    let directory = directory();
    short_run(directory.path(), &server, &["--reseed"]).expect_code(4);
    let record = record(directory.path());
    assert_eq!(row(&record)["valid"], false);
    let found = verdicts(row(&record), true);
    assert!(found.contains(&"ledger_mismatch".to_owned()), "{found:?}");
}

/// A refusal in words that are not known is counted, and quoted.
#[test]
fn a_refusal_that_is_not_known_is_quoted() {
    let habits = Habits {
        refuses_with: Some("closed_on_sundays"),
        ..Habits::default()
    };
    let server = Server::start(1000, habits);
    let directory = directory();
    short_run(directory.path(), &server, &[]).expect_code(4);
    let record = record(directory.path());
    let row = row(&record);
    assert!(count(&row["rejected_by_reason"]["other"]) > 0, "{row:#}");
    let errors = row["errors"].to_string();
    assert!(errors.contains("closed_on_sundays"), "{errors}");
}

#[test]
fn a_token_lets_in() {
    let token = "a-token-of-the-test-1234";
    let habits = Habits {
        token: Some(token),
        answers_after: Duration::from_millis(1),
        ..Habits::default()
    };
    let server = Server::start(1000, habits);
    let directory = directory();
    let file = directory.path().join("token");
    std::fs::write(&file, token).expect("it can be written");
    let refused = short_run(directory.path(), &server, &[]);
    refused.expect_code(2);
    assert!(
        refused.stderr.contains("--token-file"),
        "{}",
        refused.stderr
    );
    let flag = format!("--token-file={}", file.display());
    let row = verified(directory.path(), &server, &[&flag]);
    assert!(!row.to_string().contains(token));
}

#[test]
fn a_module_that_is_another_is_refused_before_the_load() {
    let habits = Habits {
        transfer: "move_money",
        ..Habits::default()
    };
    let server = Server::start(1000, habits);
    let directory = directory();
    let refused = short_run(directory.path(), &server, &["--reseed"]);
    assert_ne!(refused.code(), Some(0));
    for says in [
        "no reducer transfer",
        "move_money",
        "publish the benchmark's own module",
    ] {
        assert!(refused.stderr.contains(says), "{}", refused.stderr);
    }
    assert_eq!(server.ledger().balances.len(), 1000, "nothing was wiped");
}

#[test]
fn what_it_cannot_do_is_refused_in_one_line() {
    let directory = directory();
    let url = "--url=ws://127.0.0.1:1/test-1";
    for (flags, says) in [
        (
            &["--connector=spacetimedb"][..],
            "say where it is with --url",
        ),
        (
            &["--connector=spacetimedb", "--url=ws://127.0.0.1:3000"],
            "names no database",
        ),
        (
            &["--connector=spacetimedb", url, "--encoding=json"],
            "--encoding json needs --connector",
        ),
        (
            &["--connector=spacetimedb", url, "--exactly-once"],
            "transfer ids, which spacetimedb does not have",
        ),
        (
            &["--connector=sqlite_ws_rpc", "--confirmed-reads=off"],
            "--confirmed-reads is for --connector spacetimedb",
        ),
        (
            &["--connector=sqlite_ws_rpc", "--encoding=bsatn_v3"],
            "--encoding bsatn_v3 needs --connector spacetimedb",
        ),
    ] {
        let ended = run(bench_client(directory.path()).arg("run").args(flags));
        ended.expect_code(2);
        ended.expect_one_line(says);
    }
    let predict = ["predict", "--connector=spacetimedb", "--sync-latency=80us"];
    let ended = run(bench_client(directory.path()).args(predict));
    ended.expect_code(2);
    ended.expect_one_line("leave it out of --connector");
}

/// The comparison of the documentation, on a server that is small.
#[test]
fn it_is_a_side_of_a_comparison() {
    let server = Server::start(1000, Habits::default());
    let directory = directory();
    let side = format!("spacetimedb,url={},reseed", server.url);
    let ended = run(bench_client(directory.path())
        .args(["compare", "sqlite_ws_rpc", &side])
        .args([
            "--rounds=2",
            "--duration=0.3",
            "--warmup=0.1",
            "--accounts=1000",
        ])
        .args([
            "--initial-balance=100000",
            "--concurrency=4",
            "--inflight=40",
        ]));
    ended.expect_code(0);
    assert!(ended.stdout.contains("spacetimedb"), "{}", ended.stdout);
}
