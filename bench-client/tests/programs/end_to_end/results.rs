//! What a run prints and records.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::common::{
    bench_client, count, directory, number, record, records, row, rows, run, verdicts,
};
use crate::end_to_end::{balances, short_run};

/// A coalesced row says so wherever it is shown, and its ledger was checked by balances.
#[test]
fn a_coalesced_row_is_labelled() {
    let directory = directory();
    let ended = short_run(
        directory.path(),
        &["--apply=coalesced", "--no-null-server", "-v"],
    );
    ended.expect_code(0);
    for says in [
        "durability wal-full, apply: coalesced",
        "by the server's own count",
    ] {
        assert!(ended.stdout.contains(says), "no '{says}': {ended:?}");
    }
    let record = record(directory.path());
    let row = row(&record);
    assert_eq!(row["apply"], "coalesced");
    assert_eq!(row["verify"]["applied_by"], "own_count");
    assert_eq!(row["verify"]["ledger_ok"], true);
    assert_eq!(row["verify"]["applied"], row["verify"]["acknowledged"]);
    assert_eq!(row["valid"], true, "{row:#}");
    let file = records(directory.path()).pop().expect("a record");
    for (format, says) in [
        ("md", "wal-full, apply: coalesced"),
        ("csv", ",coalesced,"),
        ("html", "wal-full, apply: coalesced"),
    ] {
        let mut report = bench_client(directory.path());
        report.arg("report").arg("--format").arg(format).arg(&file);
        let shown = run(&mut report);
        shown.expect_code(0);
        assert!(shown.stdout.contains(says), "{format}: {shown:?}");
    }
    let mut discarding = bench_client(directory.path());
    discarding.args(["run", "--apply=coalesced", "--durability=discard-writes"]);
    let refused = run(&mut discarding);
    refused.expect_code(2);
    assert!(
        refused.stderr.contains("discard-writes does not"),
        "{refused:?}"
    );
}

/// Every field that the issue names is there; `null` only where a server cannot tell.
#[track_caller]
fn has_the_promised_fields(row: &Value) {
    for field in [
        "connector",
        "transport",
        "encoding",
        "durability",
        "batch_size",
        "batch_timeout_us",
        "concurrency",
        "max_inflight_per_worker",
        "alpha",
        "accounts",
        "seed",
        "seconds",
        "tps",
        "committed",
        "rejected",
        "failed",
        "unknown",
        "latency_ms",
        "collision_rate",
        "server",
        "cpu",
        "sync_baseline",
        "verify",
        "verdicts",
        "valid",
    ] {
        assert!(!row[field].is_null(), "no {field} in {row:#}");
    }
    for field in ["max", "mean"] {
        assert!(number(&row["latency_ms"][field]) > 0.0, "{field}");
    }
    let committed = count(&row["committed"]);
    for (field, needed) in [("p50", 20), ("p95", 200), ("p99", 1_000), ("p999", 10_000)] {
        let percentile = &row["latency_ms"][field];
        assert_eq!(
            committed < needed,
            percentile.is_null(),
            "{field} of {committed}"
        );
    }
    for field in ["commits", "syncs", "mean_batch"] {
        assert!(number(&row["server"][field]) > 0.0, "{field}");
    }
    for field in ["client_s", "server_s", "steal_s"] {
        assert!(number(&row["cpu"][field]) >= 0.0, "{field}");
    }
    for field in [
        "conserved",
        "changed",
        "acknowledged",
        "applied",
        "ledger_ok",
        "fake",
    ] {
        assert!(!row["verify"][field].is_null(), "{field}");
    }
    for moment in ["before", "after"] {
        let methods = row["sync_baseline"][moment]["methods"]
            .as_array()
            .expect("a baseline");
        assert!(
            !methods.is_empty(),
            "the disk was measured {moment} the run"
        );
    }
}

#[test]
fn one_record_with_a_row_per_connector() {
    let directory = directory();
    let ended = short_run(
        directory.path(),
        &["--connector=sqlite_rpc,sqlite_ws_rpc", "--json"],
    );
    ended.expect_code(0);
    let said: Vec<&str> = ended.stderr.lines().collect();
    assert!(
        said.len() == 2 && said[0].starts_with("1 of 2 ") && said[1].starts_with("2 of 2 "),
        "nothing to complain of, a line as each row ends: {said:#?}"
    );
    let printed = ended.json();
    assert_eq!(
        printed,
        record(directory.path()),
        "what is printed is what is recorded"
    );
    assert!(count(&printed["schema_version"]) >= 1);
    let environment = &printed["environment"];
    for pointer in [
        "/started_at",
        "/command_line",
        "/program/version",
        "/program/git_revision",
        "/machine/cpu_model",
        "/machine/logical_cores",
        "/machine/kernel",
        "/storage/file_system",
        "/storage/mount_source",
    ] {
        let value = environment.pointer(pointer).unwrap_or(&Value::Null);
        assert!(!value.is_null(), "no {pointer} in {environment:#}");
    }
    let rows = rows(&printed);
    assert_eq!(rows.len(), 2);
    let expected = [("sqlite_rpc", "http", 1), ("sqlite_ws_rpc", "ws", 16)];
    for (row, (connector, transport, inflight)) in rows.iter().zip(expected) {
        has_the_promised_fields(row);
        assert_eq!(row["connector"], connector);
        assert_eq!(row["transport"], transport);
        assert_eq!(row["max_inflight_per_worker"], inflight);
        assert_eq!(row["encoding"], "json");
        assert_eq!(row["durability"], "wal-full");
        assert_eq!(row["batch_size"], 4096);
        assert_eq!(row["batch_timeout_us"], 0.0);
        assert_eq!(
            (&row["concurrency"], &row["accounts"]),
            (&json!(8), &json!(1000))
        );
        assert_eq!((&row["seed"], &row["alpha"]), (&json!(7), &json!(1.5)));
        assert_eq!(row["seconds"], 0.5);
        let committed = count(&row["committed"]);
        assert!(committed > 0);
        assert!((number(&row["tps"]) - number(&row["committed"]) / 0.5).abs() < 1.0);
        let verify = &row["verify"];
        assert_eq!(
            (&verify["conserved"], &verify["changed"]),
            (&json!(true), &json!(true))
        );
        assert_eq!(
            (&verify["ledger_ok"], &verify["fake"]),
            (&json!(true), &json!(false))
        );
        assert_eq!(verify["acknowledged"], verify["applied"]);
        assert!(
            count(&verify["acknowledged"]) >= committed,
            "warm-up and drain count too"
        );
        assert!(count(&verify["sampled_accounts"]) > 0);
        let server = &row["server"];
        assert_eq!(server["pragmas"]["journal_mode"], "wal");
        assert_eq!(server["pragmas"]["synchronous"], "2");
        assert!(
            server["sqlite_version"]
                .as_str()
                .expect("a version")
                .starts_with('3')
        );
        assert!(
            count(&server["commit_syncs"]) >= count(&server["commits_that_wrote"]),
            "WAL/FULL syncs every batch that wrote: {server:#}"
        );
        assert_eq!(
            (&row["valid"], &row["interrupted"]),
            (&json!(true), &json!(false))
        );
        assert!(verdicts(row, true).is_empty());
    }
    let left: Vec<_> = std::fs::read_dir(directory.path().join(".data"))
        .expect("the data directory stays")
        .map(|entry| entry.expect("it can be listed").file_name())
        .collect();
    assert!(left.is_empty(), "the databases are removed: {left:?}");
}

#[test]
fn people_read_a_table_and_where_the_record_is() {
    let directory = directory();
    let ended = short_run(directory.path(), &["--encoding=binary"]);
    ended.expect_code(0);
    for word in [
        "VALID    ",
        " transfers per second",
        "p50",
        "p95",
        "p99",
        " transfers per sync · ",
        " acknowledged = applied · ",
        "\nrecord   results/runs/",
    ] {
        assert!(ended.stdout.contains(word), "no {word} in {}", ended.stdout);
    }
    assert!(ended.stdout.lines().count() <= 12, "{}", ended.stdout);
    assert!(!ended.stdout.contains('\u{1b}'), "{}", ended.stdout);
    let record = record(directory.path());
    assert_eq!(row(&record)["encoding"], "binary");
}

#[test]
fn a_record_goes_where_it_is_told() {
    let directory = directory();
    short_run(
        directory.path(),
        &["--output=deep/er/a.json", "--no-verify"],
    )
    .expect_code(0);
    assert!(records(directory.path()).is_empty());
    let text = std::fs::read_to_string(directory.path().join("deep/er/a.json"));
    let record: Value = serde_json::from_str(&text.expect("it is there")).expect("it is JSON");
    let row = row(&record);
    assert!(verdicts(row, false).contains(&"not_verified".to_owned()));
    assert_eq!(row["valid"], true);
}

#[test]
fn a_server_that_discards_writes_is_caught_by_what_it_measures() {
    let directory = directory();
    let flags = [
        "--durability=discard-writes",
        "--connector=sqlite_rpc,sqlite_ws_rpc",
    ];
    short_run(directory.path(), &flags).expect_code(4);
    let record = record(directory.path());
    assert_eq!(
        rows(&record).len(),
        2,
        "an invalid row does not stop the others"
    );
    for row in rows(&record) {
        assert_eq!(row["valid"], false);
        assert_eq!(row["target"]["server"]["durability"], "discard-writes");
        assert_eq!(
            row["durability"], "discard-writes",
            "what a row is called is what the server runs, not what its pragmas look like"
        );
        assert!(
            count(&row["committed"]) > 0,
            "it answers as if nothing was the matter"
        );
        let verify = &row["verify"];
        assert_eq!(
            (&verify["fake"], &verify["changed"]),
            (&json!(true), &json!(false))
        );
        assert_eq!(
            (&verify["ledger_ok"], &verify["applied"]),
            (&json!(false), &json!(0))
        );
        let codes: BTreeSet<_> = verdicts(row, true).into_iter().collect();
        for code in ["fake", "ledger_mismatch", "nothing_changed"] {
            assert!(codes.contains(code), "{codes:?}");
        }
    }
}

#[test]
fn weaker_durability_is_valid_and_labelled() {
    let modes = [
        ("wal-normal", "wal", "1"),
        ("memory", "memory", "0"),
        ("delete-full", "delete", "2"),
        ("delete-extra", "delete", "3"),
    ];
    for (mode, journal, synchronous) in modes {
        let directory = directory();
        short_run(directory.path(), &["--durability", mode]).expect_code(0);
        let record = record(directory.path());
        let row = row(&record);
        assert_eq!(
            (&row["durability"], &row["valid"]),
            (&json!(mode), &json!(true))
        );
        assert_eq!(row["server"]["pragmas"]["journal_mode"], journal);
        assert_eq!(row["server"]["pragmas"]["synchronous"], synchronous);
        let labelled = verdicts(row, false).contains(&"not_durable".to_owned());
        assert_eq!(labelled, mode != "delete-extra", "{mode}");
    }
}

#[test]
fn every_help_names_every_durability() {
    let directory = directory();
    let modes = busload_sqlite::Durability::ALL.map(busload_sqlite::Durability::as_str);
    for verb in [
        &["run"][..],
        &["predict"],
        &["torture"],
        &["serve", "http"],
        &["serve", "ws"],
    ] {
        let help = run(bench_client(directory.path()).args(verb).arg("--help"));
        help.expect_code(0);
        for mode in modes {
            // There is nothing to audit in what never writes.
            let named =
                help.stdout.contains(mode) || (verb[0], mode) == ("torture", "discard-writes");
            assert!(named, "no {mode} in the help of {verb:?}");
        }
    }
}

#[test]
fn lists_give_one_row_per_combination() {
    let directory = directory();
    let ended = run(bench_client(directory.path()).arg("run").args([
        "--duration=0.4",
        "--warmup=0",
        "--accounts=500",
        "--concurrency=2",
        "--alpha=0,1",
        "--inflight=1,3",
        "--batch-size=1,64",
    ]));
    ended.expect_code(0);
    let record = record(directory.path());
    let combinations: BTreeSet<_> = rows(&record)
        .iter()
        .map(|row| {
            format!(
                "{} {} {}",
                row["alpha"], row["max_inflight_per_worker"], row["batch_size"]
            )
        })
        .collect();
    assert_eq!(rows(&record).len(), 8);
    assert_eq!(combinations.len(), 8, "{combinations:?}");
    for row in rows(&record) {
        let server = &row["server"];
        assert!(
            count(&server["commits"]) > 0,
            "a short window without warm-up has its counters"
        );
        if row["batch_size"] == 1 {
            assert_eq!(server["mean_batch"], 1.0, "a transaction per transfer");
        }
    }
}

/// More connections than the limit of the server's flag, were each transfer one.
#[test]
fn many_transfers_in_flight_over_websocket_need_few_connections() {
    let directory = directory();
    let flags = [
        "--concurrency=70",
        "--inflight=16384",
        "--transfers=2000",
        "--warmup=0",
        "--accounts=1000",
    ];
    run(bench_client(directory.path()).arg("run").args(flags)).expect_code(0);
}

#[test]
fn a_counted_run_measures_exactly_as_many_as_asked() {
    let flags: [&[&str]; 3] = [
        &["--transfers=5000", "--warmup=0.2"],
        &[
            "--transfers=777",
            "--warmup=0",
            "--threads=3",
            "--inflight=5",
        ],
        &["--transfers=3", "--warmup=0.1", "--connector=sqlite_rpc"],
    ];
    for flags in flags {
        let directory = directory();
        let base = ["run", "--accounts=1000", "--concurrency=8"];
        run(bench_client(directory.path()).args(base).args(flags)).expect_code(0);
        let record = record(directory.path());
        let row = row(&record);
        let asked: u64 = flags[0]["--transfers=".len()..].parse().expect("a number");
        let others = ["rejected", "failed", "unknown"].map(|field| count(&row[field]));
        assert_eq!((count(&row["committed"]), others), (asked, [0, 0, 0]));
        let tps = number(&row["committed"]) / number(&row["seconds"]);
        assert!((number(&row["tps"]) / tps - 1.0).abs() < 1e-6);
    }
}

#[test]
fn a_run_is_the_same_at_any_seed_but_its_own() {
    let draw = |seed: &str| {
        let directory = directory();
        let flags = [
            "run",
            "--transfers=300",
            "--warmup=0",
            "--concurrency=1",
            "--accounts=50",
            "--alpha=1",
            "--keep",
            "--seed",
            seed,
            "--inflight=1",
        ];
        run(bench_client(directory.path()).args(flags)).expect_code(0);
        balances(&directory.path().join(".data/busload-ws.sqlite"))
    };
    let first = draw("11");
    assert_eq!(first, draw("11"));
    assert_ne!(first, draw("12"));
}

/// A title and a note go wherever a record is shown, and are no part of what makes rows alike.
#[test]
fn a_record_has_a_title_and_a_note() {
    let directory = directory();
    let quick = ["--connector=sqlite_ws_rpc", "--no-null-server", "-v"];
    let plain = short_run(directory.path(), &quick);
    plain.expect_code(0);
    let without = record(directory.path());
    std::fs::remove_dir_all(directory.path().join("results")).expect("there was one");
    let given = ["--title=Before <the> move", "--note=on the old disk"];
    let ended = short_run(directory.path(), &[&quick[..], &given].concat());
    ended.expect_code(0);
    assert!(
        ended
            .stdout
            .starts_with("title    Before <the> move\nnote     on the old disk\n\nrow "),
        "{ended:?}"
    );
    assert!(plain.stdout.starts_with("row "), "{plain:?}");
    let with = record(directory.path());
    assert_eq!(with["title"], "Before <the> move");
    assert_eq!(with["note"], "on the old disk");
    assert!(without.get("title").is_none() && without.get("note").is_none());
    assert_eq!(row(&with)["fingerprint"], row(&without)["fingerprint"]);
    let shown = |flags: &[&str]| {
        let mut report = bench_client(directory.path());
        let shown = run(report.arg("report").args(flags));
        shown.expect_code(0);
        shown.stdout
    };
    let page = shown(&["--format=html"]);
    assert!(
        page.contains("<title>Before &lt;the&gt; move</title>"),
        "{page}"
    );
    assert!(page.contains("on the old disk"), "{page}");
    let text = shown(&["--format=md"]);
    assert!(text.starts_with("# Before &lt;the&gt; move\n"), "{text}");
    assert!(text.contains("durable transfers per second") && text.contains("on the old disk"));
    assert!(shown(&["-v"]).starts_with("title    Before <the> move\n"));
    let index = shown(&["results/runs", "--format=html"]);
    assert!(index.contains("Before &lt;the&gt; move: "), "{index}");
    let long = format!("--title={}", "x".repeat(81));
    let refused = short_run(directory.path(), &[&long]);
    refused.expect_code(2);
    assert!(refused.stderr.contains("1 to 80 characters"), "{refused:?}");
}
