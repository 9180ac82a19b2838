//! Syncs that do nothing, as in CI images: a library that is loaded before the C library makes
//! nothing of `fsync` and `fdatasync`, for this program, for its servers, or for a server at a
//! URL. Each is told.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{Ended, Served, bench_client, directory, machine, row, run, skipped, verdicts};
use serde_json::Value;

/// Returns at once, as eatmydata does, but leaves `open` alone.
const FAKE: &str = "int fsync(int fd) { (void)fd; return 0; }\n\
                    int fdatasync(int fd) { (void)fd; return 0; }\n";

/// The library, made anew; without a C compiler the test says that it was passed over.
fn fake_library(directory: &Path, name: &str) -> Option<PathBuf> {
    let (source, library) = (directory.join("fake.c"), directory.join("fakesync.so"));
    std::fs::write(&source, FAKE).expect("the source can be written");
    let compiler = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .output();
    if compiler.is_ok_and(|output| output.status.success()) {
        return Some(library);
    }
    skipped(name, "there is no C compiler");
    None
}

/// Debian's library, where it is installed.
fn eatmydata(name: &str) -> Option<PathBuf> {
    let library = Path::new("libeatmydata.so");
    let installed = Command::new("eatmydata").arg("true").status();
    if installed.is_ok_and(|status| status.success()) {
        return Some(library.to_owned());
    }
    skipped(name, "eatmydata is not installed");
    None
}

fn loaded_with(mut command: Command, library: &Path) -> Command {
    command.env("LD_PRELOAD", library);
    command
}

const SHORT: [&str; 8] = [
    "--accounts=1000",
    "--warmup=0.1",
    "--duration=0.6",
    "--concurrency=4",
    "--inflight=4",
    "--connector=sqlite_ws_rpc",
    "--no-null-server",
    "--json",
];

/// On tmpfs a sync does nothing by right.
fn on_a_disk(directory: &Path, name: &str) -> bool {
    let found = nix::sys::statfs::statfs(directory).expect("it is there");
    let disk = found.filesystem_type() != nix::sys::statfs::TMPFS_MAGIC;
    if !disk {
        skipped(name, "the build is on tmpfs");
    }
    disk
}

fn fsync_under(library: &Path, directory: &Path) -> (Value, String) {
    let mut command = loaded_with(bench_client(directory), library);
    command.args(["fsync", "--data-dir", ".", "--count", "50", "--json"]);
    let ended = run(&mut command);
    ended.expect_code(0);
    (ended.json(), ended.stderr.clone())
}

fn p50_us(measurement: &Value) -> f64 {
    measurement["latency_us"]["p50"].as_f64().expect("a median")
}

/// The disk is measured past the library; what the library does is said, and no ceiling comes
/// of it.
fn is_told_by_fsync(library: &Path, directory: &Path) {
    let (report, said) = fsync_under(library, directory);
    for measurement in report["methods"].as_array().expect("methods") {
        assert!(p50_us(measurement) > 3.0, "past the library: {measurement}");
    }
    // The write remains, of what is a write and a sync.
    assert!(p50_us(&report["by_c_library"]) < 30.0, "{report}");
    let codes: Vec<_> = report["warnings"]
        .as_array()
        .expect("warnings")
        .iter()
        .map(|warning| warning["code"].as_str().expect("a code"))
        .collect();
    assert!(codes.contains(&"sync_does_nothing"), "{codes:?}");
    assert!(said.contains("swallows the syncs"), "{said}");
    let name = library.file_name().and_then(|name| name.to_str());
    assert!(said.contains(name.expect("a name")), "{said}");
    for ceiling in report["ceilings"]["rows"].as_array().expect("ceilings") {
        // A thousand transfers share a sync: none takes less than 3 us.
        let tps = ceiling["tps"].as_f64().expect("the disk's own");
        assert!(tps < 1e9 / 3.0, "{ceiling}");
    }
}

#[test]
fn the_disk_is_measured_past_a_library_that_swallows_syncs() {
    let _machine = machine();
    let directory = directory();
    let name = "the_disk_is_measured_past_a_library_that_swallows_syncs";
    if !on_a_disk(directory.path(), name) {
        return;
    }
    if let Some(library) = fake_library(directory.path(), name) {
        is_told_by_fsync(&library, directory.path());
    }
    if let Some(library) = eatmydata(name) {
        is_told_by_fsync(&library, directory.path());
    }
}

/// What a row of a server whose syncs do nothing says, whoever started it: as a warning, or as
/// `fake` when the device wrote too little as well.
fn is_told_by_row(ended: &Ended, library: &Path) {
    let code = ended.code();
    assert!(code == Some(0) || code == Some(4), "{}", ended.stderr);
    let record = ended.json();
    let row = row(&record);
    let name = library.file_name().and_then(|name| name.to_str());
    assert_eq!(row["server_preload"], serde_json::json!([name]));
    let invalid = verdicts(row, true);
    assert!(invalid.is_empty() || invalid == ["fake"], "{invalid:?}");
    let warnings = verdicts(row, false);
    let warned = |code: &str| warnings.contains(&code.to_owned());
    assert!(warned("preloaded"), "{warnings:?}");
    let p50 = row["server"]["sync_us"]["p50"].as_f64().expect("a median");
    assert_eq!(warned("sync_does_nothing"), p50 < 3.0 || swallowed(row));
    // Where the disk counts flushes, they are missing, unless others flush all the time.
    let claimed = row["server"]["commit_syncs"].as_u64().expect("a count");
    let flushes = row["device"]["flushes"].as_u64();
    if let Some(flushes) = flushes {
        let device = &row["device"];
        assert!(
            warned("flushes_missing") || flushes * 2 >= claimed,
            "{device}"
        );
    }
    assert!(
        warned("sync_does_nothing") || warned("flushes_missing"),
        "{warnings:?}"
    );
}

fn swallowed(row: &Value) -> bool {
    !row["sync_baseline"]["before"].is_null()
}

#[test]
fn a_server_whose_syncs_do_nothing_is_told_of_by_run() {
    let _machine = machine();
    let directory = directory();
    let name = "a_server_whose_syncs_do_nothing_is_told_of_by_run";
    if !on_a_disk(directory.path(), name) {
        return;
    }
    for library in [fake_library(directory.path(), name), eatmydata(name)] {
        let Some(library) = library else { continue };
        let mut command = loaded_with(bench_client(directory.path()), &library);
        let ended = run(command.arg("run").args(SHORT));
        is_told_by_row(&ended, &library);
        let name = library.file_name().and_then(|name| name.to_str());
        assert_eq!(
            ended.json()["environment"]["preload"],
            serde_json::json!([name])
        );
    }
}

/// Nothing is preloaded into the client: what it knows, it knows from outside of the server.
#[test]
fn a_server_at_a_url_whose_syncs_do_nothing_is_told_of() {
    let _machine = machine();
    let directory = directory();
    let name = "a_server_at_a_url_whose_syncs_do_nothing_is_told_of";
    if !on_a_disk(directory.path(), name) {
        return;
    }
    for library in [fake_library(directory.path(), name), eatmydata(name)] {
        let Some(library) = library else { continue };
        let mut serve = loaded_with(bench_client(directory.path()), &library);
        serve.args(["serve", "ws", "--port=0", "--reseed", "--accounts=1000"]);
        let server = Served::start(&mut serve);
        let mut command = bench_client(directory.path());
        command.args(["run", "--url", &server.url()]).args(SHORT);
        let ended = run(&mut command);
        server.kill();
        is_told_by_row(&ended, &library);
        let record = ended.json();
        assert_eq!(record["environment"]["preload"], serde_json::json!([]));
        // The process behind the address was found.
        assert!(row(&record)["cpu"]["server_s"].as_f64() > Some(0.0));
    }
}

#[test]
fn an_honest_server_at_a_url_is_not_accused() {
    let directory = directory();
    let server = Served::bench_client(directory.path(), "ws", &["--reseed", "--accounts=1000"]);
    let mut command = bench_client(directory.path());
    command.args(["run", "--url", &server.url()]).args(SHORT);
    let ended = run(&mut command);
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let record = ended.json();
    let row = row(&record);
    assert_eq!(row["server_preload"], serde_json::json!([]));
    let warnings = verdicts(row, false);
    for code in ["preloaded", "flushes_missing"] {
        assert!(!warnings.contains(&code.to_owned()), "{warnings:?}");
    }
    if let Some(flushes) = row["device"]["flushes"].as_u64() {
        let claimed = row["server"]["commit_syncs"].as_u64().expect("a count");
        assert!(flushes >= claimed, "{} and {claimed} syncs", row["device"]);
    }
}
