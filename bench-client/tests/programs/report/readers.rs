//! Programs by others that read what is written here. Without them a test is skipped by name,
//! with the reason; with `BUSLOAD_REQUIRE_INTEROP=1` that is a failure.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::common::{run, skipped};

pub(crate) fn readers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser")
}

/// Whether the test named `name` can run, which needs `node` and what `missing` finds.
pub(crate) fn can_run(name: &str, missing: impl Fn() -> Option<String>) -> bool {
    let node = Command::new("node").arg("--version").output();
    let why = if node.is_ok_and(|node| node.status.success()) {
        missing()
    } else {
        Some("node is not installed".to_owned())
    };
    let Some(why) = why else { return true };
    let required = std::env::var_os("BUSLOAD_REQUIRE_INTEROP").is_some_and(|value| value == "1");
    assert!(!required, "{name} cannot run: {why}");
    skipped(name, &why);
    false
}

/// What another reader of a file says about it.
#[track_caller]
pub(crate) fn read_by(script: &str, arguments: &[&str]) -> Value {
    let ended = run(Command::new("node")
        .arg(readers().join(script))
        .args(arguments)
        .stdin(Stdio::null()));
    ended.expect_code(0);
    ended.json()
}

/// The name by which this machine has Chromium.
pub(crate) fn chromium() -> Option<&'static str> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    names.into_iter().find(|name| {
        let version = Command::new(name).arg("--version").output();
        version.is_ok_and(|version| version.status.success())
    })
}

pub(crate) fn no_chromium() -> Option<String> {
    let why = "chromium is not installed: apt-get install chromium";
    chromium().is_none().then(|| why.to_owned())
}

/// A package of `tests/browser` that is missing.
pub(crate) fn no_package(name: &str) -> Option<String> {
    let there = readers().join("node_modules").join(name).is_dir();
    (!there).then(|| format!("{name} is missing: npm ci in {}", readers().display()))
}

/// What is printed is as wide as the paper, and dark text is on white whatever the screen has.
#[track_caller]
pub(crate) fn on_paper(view: &Value) {
    let printed = &view["printed"];
    assert_eq!(printed["overflow"], 0, "{printed:#}");
    assert_eq!(printed["background"], "rgb(255, 255, 255)", "{printed:#}");
}
