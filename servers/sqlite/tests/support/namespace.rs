//! Tests that mount: each runs itself again in a mount namespace of its own, whose mounts end with
//! it.

#![allow(dead_code, reason = "each test crate uses its own part")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Set in the namespace: the directory to work in.
const DIRECTORY_VARIABLE: &str = "BUSLOAD_MOUNT_DIRECTORY";

/// Does `work` with an empty directory in a mount namespace of its own. Where there can be none,
/// the test `name` says that it is skipped, and why.
pub(crate) fn in_mount_namespace(name: &str, work: impl FnOnce(&Path)) {
    if let Some(directory) = std::env::var_os(DIRECTORY_VARIABLE) {
        return work(&PathBuf::from(directory));
    }
    let unshare = ["--mount", "--propagation", "private"];
    let probe = Command::new("unshare").args(unshare).arg("true").output();
    if !probe.is_ok_and(|output| output.status.success()) {
        return skip(name, "no mount namespace can be made (unshare, as root)");
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let output = Command::new("unshare")
        .args(unshare)
        .arg(std::env::current_exe().expect("the test knows its own path"))
        .args(["--exact", name, "--nocapture"])
        .env(
            DIRECTORY_VARIABLE,
            directory.path().canonicalize().expect("it exists"),
        )
        .stdin(Stdio::null())
        .output()
        .expect("unshare starts");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "the test did not run: {said}");
    for skipped in said.lines().filter(|line| line.starts_with("skipped ")) {
        tell(skipped);
    }
}

/// Not by `eprintln`, which the test harness keeps to itself when a test passes.
pub(crate) fn skip(name: &str, why: &str) {
    tell(&format!(
        "skipped {}::{name}: {why}",
        env!("CARGO_CRATE_NAME")
    ));
}

fn tell(line: &str) {
    std::io::stderr()
        .write_all(format!("{line}\n").as_bytes())
        .expect("stderr takes a line");
}

/// Runs a command that must succeed.
pub(crate) fn run(words: &[&str]) {
    let output = Command::new(words[0]).args(&words[1..]).output();
    let output = output.unwrap_or_else(|error| panic!("{words:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {said}");
}

pub(crate) fn bind(from: &Path, to: &Path) {
    let [from, to] = [from, to].map(|path| path.to_str().expect("UTF-8"));
    run(&["mount", "--bind", from, to]);
}
