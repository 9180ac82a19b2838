//! `bench-client predict`: what is expected of the article's rows and of lists of knobs, and
//! what is refused. Nothing is run.

mod common;

use std::path::Path;

use common::{Ended, bench_client, directory, run};
use serde_json::Value;

fn predict(flags: &[&str]) -> Ended {
    let directory = directory();
    let mut command = bench_client(directory.path());
    let ended = run(command.arg("predict").args(flags));
    let left = directory.path().read_dir().expect("it can be listed");
    assert_eq!(left.count(), 0, "nothing is written unless it is measured");
    ended
}

fn json(flags: &[&str]) -> Value {
    predict(&[flags, &["--json"]].concat())
        .expect_code(0)
        .json()
}

fn near(found: &Value, expected: f64, share: f64) {
    let found = found.as_f64().expect("a number");
    assert!((found / expected - 1.0).abs() < share, "{found}");
}

const ARTICLE: [&str; 4] = [
    "--sync-latency=683us",
    "--cpu-per-transfer=6.1us",
    "--shared-thread",
    "--batch-timeout=2ms",
];

#[test]
fn the_articles_rows() {
    let row = |batch: &str, inflight: &str| {
        let batch = format!("--batch-size={batch}");
        let inflight = format!("--inflight={inflight}");
        json(&[&ARTICLE[..], &[&batch, &inflight]].concat())
    };
    for (batch, inflight, tps, bottleneck) in [
        ("10", "1", 13_438.0, "disk_sync"),
        ("100", "1", 14_467.0, "empty_bus_stop"),
        ("100", "8", 51_753.0, "disk_sync"),
        ("200", "40", 109_508.0, "writer_cpu"),
        ("1000", "80", 137_528.0, "writer_cpu"),
        ("4000", "120", 163_075.0, "writer_cpu"),
    ] {
        let found = row(batch, inflight);
        near(&found["tps"], tps, 0.2);
        assert_eq!(found["bottleneck"], bottleneck, "{batch} x {inflight}");
        assert!(found["remedy"].as_str().expect("a text").len() > 20);
    }
    // A rollback journal makes four syncs, and HTTP costs a request per transfer.
    let found = json(&[
        "--sync-latency=683us",
        "--shared-thread",
        "--connector=sqlite_rpc",
        "--durability=delete-full",
        "--batch-size=1",
        "--transport-cpu-per-transfer=150us",
    ]);
    near(&found["tps"], 360.0, 0.05);
    near(&found["inputs"]["costs"]["sync_us"], 4.0 * 683.0, 1e-9);
    // Five, when its removal is synced too.
    let found = json(&["--sync-latency=683us", "--durability=delete-extra"]);
    near(&found["inputs"]["costs"]["sync_us"], 5.0 * 683.0, 1e-9);
}

#[test]
fn one_object_or_an_array_in_the_order_of_the_lists() {
    let one = json(&["--sync-latency=76us"]);
    for key in [
        "tps",
        "p50_ms",
        "mean_batch",
        "bottleneck",
        "remedy",
        "limits",
        "inputs",
        "p50_error",
    ] {
        assert!(!one[key].is_null(), "{key}");
    }
    assert_eq!(one["inputs"]["concurrency"], 50);
    assert_eq!(one["inputs"]["max_inflight_per_worker"], 16);
    assert_eq!(one["inputs"]["batch_size"], 4096);
    assert_eq!(one["sync_source"], "given");

    let many = json(&[
        "--sync-latency=76us,683us",
        "--concurrency=10,20",
        "--batch-size=1,100",
    ]);
    let many = many.as_array().expect("an array");
    let knobs: Vec<_> = many
        .iter()
        .map(|one| {
            (
                one["inputs"]["costs"]["sync_us"].as_f64(),
                one["inputs"]["concurrency"].as_u64(),
                one["inputs"]["batch_size"].as_u64(),
            )
        })
        .collect();
    assert_eq!(knobs.len(), 8);
    assert_eq!(knobs[0], (Some(76.0), Some(10), Some(1)));
    assert_eq!(knobs[1], (Some(76.0), Some(10), Some(100)));
    assert_eq!(knobs[2], (Some(76.0), Some(20), Some(1)));
    assert_eq!(knobs[7], (Some(683.0), Some(20), Some(100)));
    // A bus carries more than bicycles do.
    assert!(many[1]["tps"].as_f64() > many[0]["tps"].as_f64());
}

#[test]
fn an_offered_rate_below_capacity_is_what_is_done() {
    let found = json(&["--sync-latency=76us", "--rate=5000"]);
    assert_eq!(found["tps"], 5000.0);
    assert_eq!(found["bottleneck"], "offered_rate");
}

#[test]
fn without_syncs_none_is_paid_for() {
    let found = json(&["--durability=memory", "--sync-latency=3.86ms"]);
    assert_eq!(found["sync_source"], "none");
    let limits = found["limits"].as_array().expect("limits");
    assert!(
        limits
            .iter()
            .all(|limit| limit["bottleneck"] != "disk_sync")
    );
}

#[test]
fn the_sync_is_measured_when_it_is_not_given() {
    let directory = directory();
    let mut command = bench_client(directory.path());
    let ended = run(command.args(["predict", "--json"]));
    let found = ended.expect_code(0).json();
    assert_eq!(found["sync_source"], "measured");
    assert!(found["inputs"]["costs"]["sync_us"].as_f64() > Some(0.0));
    let data = directory.path().join(".data");
    assert_eq!(data.read_dir().expect("it was made").count(), 0);
}

#[test]
fn people_read_a_table_with_the_bottleneck_and_what_to_do() {
    let ended = predict(&[&ARTICLE[..], &["--batch-size=100", "--inflight=1"]].concat());
    let text = &ended.expect_code(0).stdout;
    for part in [
        "16,7",
        "empty bus stop",
        "try --batch-timeout 0ms",
        "limits:",
        "p50 was",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_in_one_line() {
    for (flags, said) in [
        (&["--sync-latency=5"][..], "--sync-latency"),
        (&["--sync-latency=2h"], "at most 60s"),
        (&["--cpu-per-transfer=-1us"], "--cpu-per-transfer"),
        (&["--sync-latency=1ms", "--rate=0"], "per second above 0"),
        (&["--sync-latency=1ms", "--concurrency=0"], "--concurrency"),
        (&["--sync-latency=1ms", "--batch-size=0"], "--batch-size"),
        (&["--sync-latency=1ms", "--durability=fast"], "--durability"),
        (
            &["--sync-latency=1ms", "--shared-thread", "--cores=2"],
            "--cores",
        ),
        (&["--sync-latency=1ms", "--data-dir=."], "--data-dir"),
        (&["--data-dir=/dev/null/below"], "--data-dir"),
    ] {
        let ended = predict(flags);
        ended.expect_code(2);
        assert!(ended.stdout.is_empty(), "{ended:#?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:#?}");
        assert!(ended.stderr.contains(said), "{said}: {}", ended.stderr);
    }
}

#[test]
fn lists_too_long_to_read_are_refused() {
    let list = |flag: &str| {
        let values: Vec<_> = (1..=200).map(|n| n.to_string()).collect();
        format!("--{flag}={}", values.join(","))
    };
    let flags = [
        "--sync-latency=1ms",
        &list("concurrency"),
        &list("batch-size"),
    ];
    let ended = predict(&flags);
    ended.expect_code(2);
    assert!(
        ended.stderr.contains("more than 10,000 combinations"),
        "{ended:#?}"
    );
}

/// A row that was measured, at its own knobs and at others.
#[test]
fn costs_come_from_a_record() {
    let records = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/records");
    let file = records.join("reproduce.json");
    let from = format!("--from={}", file.display());
    let text = std::fs::read_to_string(&file).expect("it is there");
    let record: Value = serde_json::from_str(&text).expect("it is JSON");
    let row = &record["rows"][8];
    let own = json(&[&from, "--row=9"]);
    for key in ["concurrency", "max_inflight_per_worker", "batch_size"] {
        assert_eq!(own["inputs"][key], row[key], "{key}");
    }
    assert_eq!(own["sync_source"], "recorded");
    near(&own["tps"], row["tps"].as_f64().expect("TPS"), 0.2);

    let other = json(&[&from, "--row=9", "--batch-size=10", "--concurrency=7"]);
    assert_eq!(other["inputs"]["concurrency"], 7);
    let cost = |of: &Value| of["inputs"]["costs"]["transport"]["per_transfer_us"].as_f64();
    assert!(cost(&other) > cost(&own), "fewer transfers share a message");
    let disk = json(&[&from, "--row=9", "--sync-latency=20ms"]);
    assert_eq!(disk["bottleneck"], "disk_sync");
    let text = predict(&[&from, "--row=9"]).expect_code(0).stdout.clone();
    assert!(
        text.contains("What no flag gives is of row 9 of "),
        "{text}"
    );

    let torture = format!("--from={}", records.join("torture.json").display());
    for (flags, says) in [
        (&[from.as_str()][..], "rows of several settings"),
        (&[&from, "--row=1"], "row 1 of "),
        (&[&from, "--row=99"], "has 11 rows"),
        (&[&from, "--row=9", "--shared-thread"], "--shared-thread"),
        (&[&torture], "is a record of torture, which has no rows"),
        (&["--from=nothing.json"], "cannot read nothing.json"),
        (&["--row=1"], "--from"),
    ] {
        let ended = predict(flags);
        ended.expect_code(2);
        assert!(ended.stderr.contains(says), "{flags:?}: {}", ended.stderr);
    }
}
