//! The original benchmark on the wire: its client drives our servers, our client drives its
//! servers, and a file that its tools seeded opens and serves. The peers are in `interop/`,
//! written from the facts in `interop/FACTS.md`.
//!
//! They need Node and `npm ci` in that folder. Without, each test is skipped by name, with
//! the reason; with `BUSLOAD_REQUIRE_INTEROP=1` that is a failure.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::{Ended, Served, bench_client, directory, machine, row, run, skipped, verdicts};
use serde_json::{Value, json};

fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop")
}

/// Why the peers cannot be run, if they cannot.
fn missing() -> Option<String> {
    let version = Command::new("node")
        .arg("--version")
        .stderr(Stdio::null())
        .output();
    match version {
        Ok(version) if version.status.success() => {}
        _ => return Some("node is not installed".to_owned()),
    }
    let works = Command::new("node")
        .current_dir(peers())
        .args(["--input-type=module", "--eval"])
        .arg("import 'ws'; import D from 'better-sqlite3'; new D(':memory:').close()")
        .output();
    match works {
        Ok(works) if works.status.success() => None,
        _ => Some(format!(
            "the peers' packages are missing: npm ci in {}",
            peers().display()
        )),
    }
}

/// Whether the test named `name` can run; says so if not.
fn can_run(name: &str) -> bool {
    let Some(why) = missing() else { return true };
    let required = std::env::var_os("BUSLOAD_REQUIRE_INTEROP").is_some_and(|value| value == "1");
    assert!(!required, "{name} cannot run: {why}");
    skipped(name, &why);
    false
}

macro_rules! needs_peers {
    ($name:literal) => {
        if !can_run($name) {
            return;
        }
    };
}

/// One of the peers, with none of the tester's settings.
fn peer(script: &str, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new("node");
    command
        .arg(peers().join(script))
        .env_clear()
        .stdin(Stdio::null());
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.envs(variables.iter().copied());
    command
}

/// The original's client on a server at `url`; what it reports.
fn original_client(
    transport: &str,
    url: &str,
    accounts: u32,
    inflight: u32,
    variables: &[(&str, &str)],
) -> (Ended, Value) {
    let mut command = peer("original-client.mjs", variables);
    let (accounts, inflight) = (accounts.to_string(), inflight.to_string());
    let ended = run(command.args([transport, url, &accounts, "4", &inflight, "0.5"]));
    let report = ended.json();
    (ended, report)
}

/// The original's server; the port is in its first line.
struct OriginalServer {
    served: Served,
    transport: &'static str,
}

impl OriginalServer {
    fn start(transport: &'static str, file: &Path, variables: &[(&str, &str)]) -> Self {
        let mut command = peer("original-server.mjs", variables);
        let served = Served::start(command.args([transport, "0"]).arg(file));
        Self { served, transport }
    }

    fn url(&self) -> String {
        let port = self.served.announced.trim().strip_prefix("listening ");
        format!(
            "{}://127.0.0.1:{}",
            self.transport,
            port.expect("it says its port")
        )
    }
}

fn connector(transport: &str) -> &'static str {
    if transport == "http" {
        "sqlite_rpc"
    } else {
        "sqlite_ws_rpc"
    }
}

/// Our client on the server at `url`; its row, and the exit code.
fn our_client(directory: &Path, transport: &str, url: &str, flags: &[&str]) -> (Ended, Value) {
    let mut command = bench_client(directory);
    command.args([
        "run",
        "--json",
        "--duration=0.5",
        "--warmup=0.2",
        "--concurrency=4",
    ]);
    command.args([
        &format!("--url={url}"),
        &format!("--connector={}", connector(transport)),
    ]);
    let ended = run(command.args(flags));
    let row = if ended.stdout.is_empty() {
        Value::Null
    } else {
        row(&ended.json()).clone()
    };
    (ended, row)
}

#[test]
fn the_originals_client_drives_our_servers() {
    needs_peers!("the_originals_client_drives_our_servers");
    for (transport, inflight) in [("http", 1), ("http", 4), ("ws", 1), ("ws", 16)] {
        let directory = directory();
        let served = Served::bench_client(directory.path(), transport, &["--accounts=10"]);
        // Whatever path its URL has is replaced.
        let url = served.url().replace("/rpc", "/ignored?yes");
        let (ended, report) = original_client(transport, &url, 300, inflight, &[]);
        ended.expect_code(0);
        assert_eq!(report["breaches"], json!({}), "{report:#}");
        assert_eq!(
            (&report["errors"], &report["retries"]),
            (&json!(0), &json!(0)),
            "{report:#}"
        );
        assert_eq!(report["ledger"], "match");
        assert_eq!(
            report["verify"]["total"],
            (300_u64 * 10_000_000).to_string()
        );
        assert!(report["completed"].as_u64().expect("a count") > 0);
        assert_eq!(served.terminate(), Some(0));
    }
}

/// Also in the article's configuration: a batch size and a batch timeout.
#[test]
fn the_originals_client_drives_our_group_commit() {
    needs_peers!("the_originals_client_drives_our_group_commit");
    let directory = directory();
    let flags = ["--accounts=10", "--batch-size=10", "--batch-timeout=2ms"];
    let served = Served::bench_client(directory.path(), "ws", &flags);
    let (ended, report) = original_client("ws", &served.url(), 200, 8, &[]);
    ended.expect_code(0);
    assert_eq!(
        (&report["breaches"], &report["ledger"]),
        (&json!({}), &json!("match"))
    );
}

#[test]
fn the_originals_client_catches_our_fake() {
    needs_peers!("the_originals_client_catches_our_fake");
    for transport in ["http", "ws"] {
        let directory = directory();
        let flags = ["--accounts=10", "--durability=discard-writes"];
        let served = Served::bench_client(directory.path(), transport, &flags);
        let (ended, report) = original_client(transport, &served.url(), 200, 1, &[]);
        assert_eq!(ended.code(), Some(3), "{report:#}");
        assert!(
            report["ledger"]
                .as_str()
                .expect("a word")
                .starts_with("mismatch")
        );
    }
}

#[test]
fn our_client_drives_the_originals_servers() {
    needs_peers!("our_client_drives_the_originals_servers");
    let told = [
        ("SQLITE_MODE", "realistic"),
        ("SEED_INITIAL_BALANCE", "10000000"),
    ];
    for (transport, inflight) in [("http", "1"), ("http", "4"), ("ws", "1"), ("ws", "16")] {
        let directory = directory();
        let file = directory.path().join("original.sqlite");
        let server = OriginalServer::start(transport, &file, &told);
        let inflight = format!("--inflight={inflight}");
        let flags = ["--accounts=300", "--reseed", &inflight];
        let (ended, row) = our_client(directory.path(), transport, &server.url(), &flags);
        ended.expect_code(0);
        let verify = &row["verify"];
        assert_eq!(
            (&row["valid"], &verify["ledger_ok"]),
            (&json!(true), &json!(true)),
            "{row:#}"
        );
        assert_eq!(
            (&verify["conserved"], &verify["changed"]),
            (&json!(true), &json!(true))
        );
        assert!(verify["applied"].is_null(), "it has no stats");
        assert!(
            verify["sampled_accounts"].as_u64().expect("a count") >= 64,
            "{verify:#}"
        );
        assert_eq!(
            (&verify["sample_mismatches"], &verify["unknown"]),
            (&json!(0), &json!(0))
        );
        assert!(row["committed"].as_u64().expect("a count") > 0);
        assert_eq!(row["errors"], json!([]), "{row:#}");
        assert_eq!(
            (&row["durability"], &row["server"]),
            (&json!("unknown"), &Value::Null)
        );
        assert!(verdicts(&row, false).contains(&"durability_unknown".to_owned()));
        // A second time, on what is there, and without wiping it.
        let flags = ["--accounts=300", &inflight];
        let (ended, row) = our_client(directory.path(), transport, &server.url(), &flags);
        ended.expect_code(0);
        assert_eq!(row["verify"]["ledger_ok"], true, "{row:#}");
        // Not as many accounts as the load names.
        let (ended, _) = our_client(
            directory.path(),
            transport,
            &server.url(),
            &["--accounts=301"],
        );
        ended.expect_code(2);
    }
}

/// It skips its own verification when nobody told it the initial balance.
#[test]
fn an_original_that_cannot_verify_is_judged_by_its_balances() {
    needs_peers!("an_original_that_cannot_verify_is_judged_by_its_balances");
    let directory = directory();
    let file = directory.path().join("original.sqlite");
    let server = OriginalServer::start("ws", &file, &[("SQLITE_MODE", "realistic")]);
    // A small ledger is checked whole, of a larger one nobody can tell.
    for (accounts, conserved) in [
        ("--accounts=300", json!(true)),
        ("--accounts=3000", json!(null)),
    ] {
        let flags = [accounts, "--reseed"];
        let (ended, row) = our_client(directory.path(), "ws", &server.url(), &flags);
        ended.expect_code(0);
        let verify = &row["verify"];
        assert_eq!(
            (&verify["ledger_ok"], &verify["changed"]),
            (&json!(true), &json!(true))
        );
        assert_eq!(verify["conserved"], conserved, "{accounts}");
        let unverified = verdicts(&row, false).contains(&"unverified".to_owned());
        assert_eq!(unverified, conserved.is_null(), "{accounts}");
    }
}

#[test]
fn the_originals_fake_is_invalid() {
    needs_peers!("the_originals_fake_is_invalid");
    for transport in ["http", "ws"] {
        for told in [&[("SEED_INITIAL_BALANCE", "10000000")][..], &[]] {
            let directory = directory();
            let file = directory.path().join("original.sqlite");
            let variables = [
                &[("SQLITE_MODE", "realistic"), ("ORIGINAL_FAKE", "1")],
                told,
            ]
            .concat();
            let server = OriginalServer::start(transport, &file, &variables);
            let flags = ["--accounts=300", "--reseed"];
            let (ended, row) = our_client(directory.path(), transport, &server.url(), &flags);
            ended.expect_code(4);
            let codes = verdicts(&row, true);
            for code in ["ledger_mismatch", "nothing_changed"] {
                assert!(codes.contains(&code.to_owned()), "{codes:?}");
            }
            assert!(
                row["committed"].as_u64().expect("a count") > 0,
                "it said so"
            );
        }
    }
}

/// It does not speak the binary encoding; it has no server at /, and says so with a 404.
#[test]
fn what_the_original_does_not_speak_is_said() {
    needs_peers!("what_the_original_does_not_speak_is_said");
    let directory = directory();
    let server = OriginalServer::start("ws", &directory.path().join("a.sqlite"), &[]);
    let flags = ["--accounts=300", "--reseed", "--encoding=binary"];
    let (ended, _) = our_client(directory.path(), "ws", &server.url(), &flags);
    ended.expect_code(5);
    assert!(ended.stderr.contains("--encoding json"), "{}", ended.stderr);
    let (ended, _) = our_client(directory.path(), "http", &server.url(), &[]);
    ended.expect_code(2);
    let as_http = server.url().replacen("ws://", "http://", 1);
    let (ended, _) = our_client(directory.path(), "http", &as_http, &[]);
    ended.expect_code(5);
}

#[test]
fn a_file_that_the_original_seeded_opens_and_serves() {
    needs_peers!("a_file_that_the_original_seeded_opens_and_serves");
    for (way, transport) in [("prep", "http"), ("docker", "ws")] {
        for mode in ["baseline", "realistic"] {
            let directory = directory();
            let file = directory.path().join("accounts.sqlite");
            let mut seeder = peer("original-seed.mjs", &[("SQLITE_MODE", mode)]);
            run(seeder.arg(&file).args(["1234", "1000000", way])).expect_code(0);
            // Told the initial balance, as the original's server would be.
            let flags = ["--database=accounts.sqlite", "--initial-balance=1000000"];
            let served = Served::bench_client(directory.path(), transport, &flags);
            let variables = [("SKIP_SEED", "1"), ("SEED_INITIAL_BALANCE", "1000000")];
            let (ended, report) = original_client(transport, &served.url(), 1234, 4, &variables);
            ended.expect_code(0);
            assert_eq!(
                (&report["ledger"], &report["breaches"]),
                (&json!("match"), &json!({}))
            );
            assert_eq!(
                report["verify"]["total"],
                (1234_u64 * 1_000_000).to_string(),
                "{report:#}"
            );
            let flags = ["--accounts=1234"];
            let (ended, row) = our_client(directory.path(), transport, &served.url(), &flags);
            ended.expect_code(0);
            assert_eq!(row["verify"]["ledger_ok"], true);
            assert_eq!(served.terminate(), Some(0));
            // And back: the original opens what we have written.
            let told = [("SQLITE_MODE", mode), ("SEED_INITIAL_BALANCE", "1000000")];
            let original = OriginalServer::start(transport, &file, &told);
            let variables = [("SKIP_SEED", "1"), ("SEED_INITIAL_BALANCE", "1000000")];
            let (ended, report) = original_client(transport, &original.url(), 1234, 1, &variables);
            ended.expect_code(0);
            assert_eq!(report["ledger"], "match");
        }
    }
}

/// Nobody told it the initial balance: `verify` says that it cannot tell.
#[test]
fn a_foreign_file_of_unknown_seeding_is_not_judged_by_a_guess() {
    needs_peers!("a_foreign_file_of_unknown_seeding_is_not_judged_by_a_guess");
    let directory = directory();
    let file = directory.path().join("accounts.sqlite");
    run(peer("original-seed.mjs", &[])
        .arg(&file)
        .args(["200", "1000000", "prep"]))
    .expect_code(0);
    let served = Served::bench_client(directory.path(), "ws", &["--database=accounts.sqlite"]);
    let variables = [("SKIP_SEED", "1")];
    let (ended, report) = original_client("ws", &served.url(), 200, 4, &variables);
    ended.expect_code(0);
    assert_eq!(
        (&report["verify"]["compared_with"], &report["ledger"]),
        (&json!("opening"), &json!("match"))
    );
}

/// The peers are held against each other, and against servers that break rules on purpose.
#[test]
fn the_peers_keep_their_own_rules() {
    needs_peers!("the_peers_keep_their_own_rules");
    let _machine = machine();
    let mut command = Command::new("node");
    command
        .current_dir(peers())
        .args(["--test", "--test-concurrency=1", "peers.test.mjs"]);
    let ended = run(command.stdin(Stdio::null()));
    assert_eq!(ended.code(), Some(0), "{}", ended.stdout);
}
