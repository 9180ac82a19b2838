//! Published tables, measured for moments: every row is there, and only the fake one is invalid.

use std::path::Path;

use crate::common::{bench_client, directory, rows, run};
use serde_json::{Value, json};

#[test]
fn every_row_is_measured_and_exactly_the_fake_one_is_invalid() {
    let directory = directory();
    let mut command = bench_client(directory.path());
    command.args(["reproduce", "--duration=0.4", "--warmup=0.1", "--json"]);
    command.args(["--output", "out/table.json"]);
    command.args(["--fail-on", "short_window"]);
    let ended = run(&mut command);
    // Not 4: exactly the fake one is invalid. Windows of 0.4 s are warned of, which is named.
    let printed = ended.expect_code(3).json();
    let written = std::fs::read(directory.path().join("out/table.json")).expect("the record");
    let written: Value = serde_json::from_slice(&written).expect("the record is JSON");
    assert_eq!(printed, written, "--json prints what is recorded");

    assert_eq!(printed["edition"], "2026-03");
    let rows = rows(&printed);
    let article = printed["article"].as_array().expect("compared");
    assert_eq!((rows.len(), article.len()), (11, 11));
    let invalid: Vec<_> = rows.iter().filter(|row| row["valid"] == false).collect();
    assert_eq!(invalid.len(), 1);
    assert_eq!(invalid[0]["name"], "fake (updates never run)");
    assert_eq!(invalid[0]["verify"]["fake"], true);
    for (row, compared) in rows.iter().zip(article) {
        assert_eq!(row["name"], compared["name"]);
        assert!(compared["article_tps"].as_f64() > Some(0.0), "{compared}");
        // A disk that was slowed when it was measured is refuted by the row, and has none.
        let allowed = [
            &compared["ceiling"]["tps"],
            &compared["ceiling_refuted_tps"],
        ];
        let allowed = allowed.iter().find_map(|tps| tps.as_f64());
        assert!(allowed > Some(0.0), "{compared}");
        assert!(row["tps"].as_f64() > Some(0.0), "{row}");
    }

    // What each row is, from top to bottom, as the article has it.
    let set: Vec<_> = rows
        .iter()
        .map(|row| {
            json!([
                row["transport"],
                row["target"]["server"]["durability"],
                row["batch_size"],
                row["max_inflight_per_worker"],
            ])
        })
        .collect();
    assert_eq!(set[0], json!(["http", "discard-writes", 1, 1]));
    assert_eq!(set[1], json!(["http", "delete-full", 1, 1]));
    assert_eq!(set[2], json!(["http", "wal-full", 1, 1]));
    assert_eq!(set[3], json!(["ws", "wal-full", 1, 1]));
    assert_eq!(set[4], json!(["ws", "wal-full", 10, 1]));
    assert_eq!(set[10], json!(["ws", "wal-full", 4000, 120]));
    let syncs_per_commit = |row: &Value| {
        let server = &row["server"];
        server["commit_syncs"].as_f64().unwrap_or(0.0)
            / server["commits_that_wrote"].as_f64().unwrap_or(1.0)
    };
    assert!(
        syncs_per_commit(&rows[1]) > 2.0,
        "a rollback journal syncs several times per commit"
    );
    assert!(syncs_per_commit(&rows[2]) < 1.5, "a log syncs once");

    let vendor = printed["vendor"].as_array().expect("quoted");
    assert_eq!(vendor.len(), 2, "quoted, and not among the rows");
    let table = std::fs::read_to_string(directory.path().join("out/table.md")).expect("a table");
    // Every row's TPS, and the verdict on the fake one.
    assert_eq!(table.matches("| **").count(), 11 + 1, "{table}");
    assert!(table.contains("INVALID: fake"), "{table}");
}

#[test]
fn the_original_of_august_has_deviations_and_published_figures() {
    let directory = directory();
    let mut command = bench_client(directory.path());
    command.args(["reproduce", "--edition=2026-08", "--duration=2.7", "--json"]);
    command.args(["--output", "august.json"]);
    let ended = run(&mut command);
    let printed = ended.expect_code(0).json();
    assert_eq!(printed["edition"], "2026-08");
    let rows = rows(&printed);
    let set: Vec<_> = rows
        .iter()
        .map(|row| {
            json!([
                row["transport"],
                row["alpha"],
                row["max_inflight_per_worker"],
                row["concurrency"],
                row["initial_balance"],
                row["warmup_seconds"],
            ])
        })
        .collect();
    let mut expected = Vec::new();
    for (transport, inflight) in [("http", 1), ("http", 40), ("ws", 1), ("ws", 40)] {
        for alpha in [0.0, 1.5] {
            expected.push(json!([transport, alpha, inflight, 64, 1_000_000_000, 0.3]));
        }
    }
    assert_eq!(set, expected);
    let compared = printed["article"].as_array().expect("compared");
    let published: Vec<_> = compared
        .iter()
        .map(|one| one["article_tps"].as_f64())
        .collect();
    assert_eq!(published[..3], [Some(3_121.0), Some(3_188.0), None]);
    for (row, one) in rows.iter().zip(compared) {
        // Two whole seconds and a rest, which is no second.
        let intervals = row["intervals"].as_array().expect("a series");
        let tps = [0, 1].map(|place| intervals[place]["tps"].as_f64().expect("TPS"));
        let deviation = one["tps_deviation"].as_f64().expect("a deviation");
        let expected = (tps[0] - tps[1]).abs() / 2.0_f64.sqrt();
        assert!(
            (deviation - expected).abs() <= 1e-9 * tps[0].max(1.0),
            "{one}: {tps:?}"
        );
    }
    let vendor = printed["vendor"].as_array().expect("quoted");
    assert_eq!(vendor[0]["tps"], 279_024.0);
    assert_eq!(vendor[1]["tps_deviation"], 4_712.0);
    assert_eq!(
        (&vendor[2]["p50_ms"], &vendor[2]["transport"]),
        (&json!(722.0), &json!("http"))
    );

    let table = std::fs::read_to_string(directory.path().join("august.md")).expect("a table");
    assert!(table.contains("279,024 ± 4,763"), "{table}");
    let measured = table
        .lines()
        .filter(|line| line.contains("** | ") && line.contains(" ± "));
    assert_eq!(measured.count(), rows.len(), "{table}");
    let mut report = bench_client(directory.path());
    report.args(["report", "august.json", "--format=csv"]);
    let csv = run(&mut report);
    csv.expect_code(0);
    assert_eq!(csv.stdout.lines().count(), 1 + rows.len());
}

/// A server in Python stands for the peer over HTTP, and notes the flags that it was given.
#[test]
fn the_ladder_is_measured_on_peers_with_the_flags_of_each_rung() {
    let python = std::process::Command::new("python3")
        .args(["-c", "import sqlite3"])
        .output();
    if !python.is_ok_and(|output| output.status.success()) {
        crate::common::skipped(
            "the_ladder_is_measured_on_peers_with_the_flags_of_each_rung",
            "there is no python3 with sqlite3",
        );
        return;
    }
    let directory = directory();
    let targets = directory.path().join("targets");
    write_peer(&targets, "node-sqlite-http");
    let mut command = bench_client(directory.path());
    command.env("BUSLOAD_TARGETS_DIR", &targets);
    command.args([
        "reproduce",
        "--peers",
        "--duration=0.3",
        "--warmup=0.1",
        "--json",
    ]);
    command.args(["--output", "peers.json"]);
    let ended = run(&mut command);
    let printed = ended.expect_code(0).json();
    let (rows, compared) = (
        rows(&printed),
        printed["article"].as_array().expect("compared"),
    );
    // The other one is not installed.
    assert_eq!((rows.len(), compared.len()), (13, 13));
    assert_eq!(printed["skipped"].as_array().map(Vec::len), Some(1));
    let skipped = &printed["skipped"][0];
    assert_eq!(skipped["name"], "node-sqlite-ws");
    let install = "run bench-client targets install node-sqlite-ws";
    for said in [skipped["why"].as_str().unwrap_or_default(), &ended.stderr] {
        assert!(said.contains(install), "{said}");
    }
    for (place, rung, journal, promise) in [
        (2, "true default", "DELETE", "not durable"),
        (4, "WAL", "WAL", "durable"),
    ] {
        let (row, one) = (&rows[place], &compared[place]);
        assert_eq!(one["rung"], rung);
        assert_eq!(one["article_tps"], compared[place - 1]["article_tps"]);
        assert_eq!(row["name"], format!("{rung}, node-sqlite-http"));
        let about = &row["target"]["about"];
        let flags = json!(["--journal-mode", journal, "--batch-size", "1"]);
        assert_eq!(
            (&about["arguments"], &about["durability"]),
            (&flags, &json!(promise))
        );
        assert_ne!(row["fingerprint"], rows[place - 1]["fingerprint"]);
    }
    assert_ne!(
        rows[2]["fingerprint"], rows[4]["fingerprint"],
        "arguments are compared"
    );
    let given = std::fs::read_to_string(targets.join("given")).expect("it was started");
    let given: Vec<&str> = given.lines().collect();
    let flags = [
        "--journal-mode DELETE --batch-size 1",
        "--journal-mode WAL --batch-size 1",
    ];
    assert_eq!(given, flags, "the server was started with them");

    let table = std::fs::read_to_string(directory.path().join("peers.md")).expect("a table");
    assert!(table.contains("On its own technology"), "{table}");
    assert!(table.contains("Skipped, node-sqlite-ws"), "{table}");
}

/// A target with the name of a peer: the Python example, which notes what else it was given.
fn write_peer(targets: &Path, name: &str) {
    let folder = targets.join(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/own-server/python/server.py");
    let (given, server) = (
        targets.join("given"),
        server.canonicalize().expect("it is there"),
    );
    let script = format!(
        "port=$1; database=$2; shift 2; echo \"$*\" >> {}; exec python3 {} $port $database",
        given.display(),
        server.display()
    );
    let script = serde_json::to_string(&script).expect("text is text");
    let text = format!(
        "name = \"{name}\"\nsummary = \"a server of the tests\"\nconnector = \"sqlite_rpc\"\n\
         durability = \"durable\"\n[start]\n\
         command = [\"sh\", \"-c\", {script}, \"sh\", \"{{port}}\", \"{{database}}\"]\n"
    );
    std::fs::write(folder.join("target.toml"), text).expect("written");
}
