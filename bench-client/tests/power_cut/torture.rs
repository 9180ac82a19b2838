//! Power cuts by `torture`, as a user has them.

use serde_json::Value;

use crate::common::{bench_client, count, directory, free_port, run, skipped};

/// A cut of a disk on which the ledger is not shows nothing, and says so.
#[test]
fn case_36_a_ledger_that_is_not_on_the_disk_that_is_cut() {
    let test = "case_36_a_ledger_that_is_not_on_the_disk_that_is_cut";
    let audited = |words: &str| {
        let directory = directory();
        let port = free_port();
        let server = env!("CARGO_BIN_EXE_bench-client");
        let serve = format!("{server} serve ws --port {port} --until-stdin-ends");
        let ended = run(bench_client(directory.path()).args([
            "torture",
            "--faults=power-cut",
            "--cuts=2",
            "--states=0",
            "--cycle-time=1",
            "--concurrency=2",
            "--json",
            "--reseed",
            &format!("--server-command=env NOT_USED={{database}} {serve} {words}"),
            &format!("--url=ws://127.0.0.1:{port}"),
        ]));
        if let Some((_, why)) = ended.stderr.split_once("skipped power-cut: no cuts") {
            skipped(test, why.lines().next().unwrap_or_default());
            return None;
        }
        Some(ended)
    };
    let Some(ended) = audited("--database elsewhere.sqlite") else {
        return;
    };
    ended.expect_code(4);
    let record = ended.json();
    let found = record["findings"].as_array().expect("a list");
    for (finding, cycle) in found.iter().zip(1..) {
        assert_eq!(
            (&finding["kind"], &finding["cycle"], &finding["fails"]),
            (&"ledger_elsewhere".into(), &cycle.into(), &true.into())
        );
    }
    assert_eq!(found.len(), 2, "{record:#}");
    assert!(count(&record["acknowledged"]) > 0, "{record:#}");
    assert_eq!(
        (&record["valid"], &record["lost"]),
        (&false.into(), &0.into())
    );
    // The same with the ledger in its place.
    let ended = audited("--database {database}").expect("as before");
    ended.expect_code(0);
    assert!(count(&ended.json()["acknowledged"]) > 0);
}

/// `bench-client torture` with power cuts alone; `None` when they cannot be made here.
fn audited(
    test: &str,
    file_system: &str,
    durability: &str,
    cuts: u64,
) -> Option<(Option<i32>, Value)> {
    let load = ["--cycle-time=0.5", "--concurrency=4"];
    audited_with(test, file_system, durability, cuts, &load)
}

/// The same with these flags as well.
fn audited_with(
    test: &str,
    file_system: &str,
    durability: &str,
    cuts: u64,
    more: &[&str],
) -> Option<(Option<i32>, Value)> {
    let directory = directory();
    let flags = [
        "torture",
        "--faults=power-cut",
        &format!("--cuts={cuts}"),
        &format!("--file-system={file_system}"),
        "--states=0",
        &format!("--durability={durability}"),
        "--json",
    ];
    let ended = run(bench_client(directory.path()).args(flags).args(more));
    if let Some((_, why)) = ended.stderr.split_once("skipped power-cut: ") {
        skipped(test, why.lines().next().unwrap_or_default());
        return None;
    }
    assert_ne!(ended.code(), Some(2), "{ended:#?}");
    Some((ended.code(), ended.json()))
}

#[test]
fn case_02_torture_finds_nothing_lost_by_power_cuts() {
    let test = "case_02_torture_finds_nothing_lost_by_power_cuts";
    let Some((code, record)) = audited(test, "ext4", "wal-full", 3) else {
        return;
    };
    assert_eq!(record["file_system"], "ext4");
    assert_eq!(record["crash_states"], Value::Null);
    assert_eq!(
        (code, &record["cuts"], &record["lost"]),
        (Some(0), &3.into(), &0.into())
    );
    assert_eq!(count(&record["faults"][0]["injected"]), 3, "{record:#}");
    assert!(count(&record["acknowledged"]) > 100, "{record:#}");
}

/// In short cycles the log is still growing. A sync that returns while the file system is being
/// stopped may have lost what it says is durable: an answer that follows it does not count.
#[test]
fn case_02_torture_finds_nothing_lost_by_power_cuts_of_short_cycles() {
    let test = "case_02_torture_finds_nothing_lost_by_power_cuts_of_short_cycles";
    let load = ["--cycle-time=0.2", "--concurrency=4"];
    let Some((code, record)) = audited_with(test, "ext4", "wal-full", 20, &load) else {
        return;
    };
    assert_eq!(
        (code, &record["lost"], &record["replay_matches"]),
        (Some(0), &0.into(), &true.into()),
        "{record:#}"
    );
    assert_eq!(count(&record["faults"][0]["injected"]), 20, "{record:#}");
    assert!(count(&record["acknowledged"]) > 0, "{record:#}");
}

/// Eight pages share a block of the file system.
#[test]
fn case_02_torture_finds_nothing_lost_by_power_cuts_of_small_pages() {
    let test = "case_02_torture_finds_nothing_lost_by_power_cuts_of_small_pages";
    let load = ["--cycle-time=0.4", "--page-size=512", "--checkpoint-kib=80"];
    let Some((code, record)) = audited_with(test, "ext4", "wal-full", 6, &load) else {
        return;
    };
    assert_eq!(
        (code, &record["lost"], &record["gaps"], &record["valid"]),
        (Some(0), &0.into(), &0.into(), &true.into()),
        "{record:#}"
    );
    assert!(count(&record["acknowledged"]) > 0, "{record:#}");
}

/// What commits with a rollback journal is that it is removed, which `synchronous=FULL` does not
/// sync: with one transfer at a time nothing else does either, until the next one begins.
#[test]
fn case_02_torture_of_delete_full_must_find_losses() {
    let test = "case_02_torture_of_delete_full_must_find_losses";
    let alone = ["--cycle-time=0.3", "--concurrency=1", "--inflight=1"];
    let Some((code, record)) = audited_with(test, "ext4", "delete-full", 20, &alone) else {
        return;
    };
    assert_eq!(code, Some(4), "{record:#}");
    assert!(count(&record["lost"]) > 0, "{record:#}");
}

#[test]
fn case_02_torture_of_wal_normal_must_find_losses() {
    let test = "case_02_torture_of_wal_normal_must_find_losses";
    let Some((code, record)) = audited(test, "ext4", "wal-normal", 10) else {
        return;
    };
    assert_eq!(code, Some(4), "{record:#}");
    assert!(count(&record["lost"]) > 0, "{record:#}");
}

/// The same on another file system, with its own log and its own order of writing back.
#[test]
fn case_02_torture_finds_nothing_lost_by_power_cuts_of_xfs() {
    let test = "case_02_torture_finds_nothing_lost_by_power_cuts_of_xfs";
    let Some((code, record)) = audited(test, "xfs", "wal-full", 3) else {
        return;
    };
    assert_eq!(
        (code, &record["file_system"], &record["lost"]),
        (Some(0), &"xfs".into(), &0.into())
    );
    assert_eq!(count(&record["faults"][0]["injected"]), 3, "{record:#}");
    assert!(count(&record["acknowledged"]) > 100, "{record:#}");
}

#[test]
fn case_02_torture_of_wal_normal_on_xfs_must_find_losses() {
    let test = "case_02_torture_of_wal_normal_on_xfs_must_find_losses";
    let Some((code, record)) = audited(test, "xfs", "wal-normal", 10) else {
        return;
    };
    assert_eq!(code, Some(4), "{record:#}");
    assert!(count(&record["lost"]) > 0, "{record:#}");
}
