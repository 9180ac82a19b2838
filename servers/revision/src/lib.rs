//! For build scripts: the git revision that a program is built from.
//!
//! A build must never fail or slow down for this: whatever cannot be found out is "unknown", and
//! the script runs again only when a file it looked at has changed. Only packages of programs ask:
//! a library that did would be built anew for every commit, and all that depends on it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What ends up in a program, relative to the workspace. These are the files that make a
/// revision `-dirty`, and those whose change runs this script again: so the mark is never stale,
/// and editing a document neither sets it nor rebuilds anything.
const SOURCES: [&str; 11] = [
    ".cargo",
    "Cargo.lock",
    "Cargo.toml",
    "bench-client/Cargo.toml",
    "bench-client/audit",
    "bench-client/build.rs",
    "bench-client/generator",
    "bench-client/record",
    "bench-client/src",
    "rust-toolchain.toml",
    "servers",
];

/// Where a commit or a checkout shows.
const GIT_PATHS: [&str; 3] = ["HEAD", "packed-refs", "refs/heads"];

/// Hands the revision to the program as the environment variable `BUSLOAD_GIT_REVISION` of the
/// compiler, and has cargo run the script again when it changes. `workspace` is relative to the
/// package, where cargo runs build scripts: two checkouts that share a target directory share the
/// compiled script, and each must be asked about itself.
pub fn emit(workspace: &Path) {
    for source in SOURCES {
        rerun_if_changed(&workspace.join(source));
    }
    let revision = git_revision(workspace);
    set("GIT_REVISION", revision.as_deref());
}

/// The commit, with `-dirty` when a source differs from it. None outside a git checkout, before
/// the first commit, without git, and in a checkout that is not this workspace's own (sources
/// unpacked somewhere inside another project).
fn git_revision(workspace: &Path) -> Option<String> {
    let top = PathBuf::from(git(workspace, &["rev-parse", "--show-toplevel"])?);
    if top.canonicalize().ok()? != workspace.canonicalize().ok()? {
        return None;
    }
    for path in GIT_PATHS {
        // Asked of git, because in a linked worktree they are in two places.
        if let Some(path) = git(workspace, &["rev-parse", "--git-path", path]) {
            rerun_if_changed(&workspace.join(path));
        }
    }
    let commit = git(workspace, &["rev-parse", "--verify", "--quiet", "HEAD"])?;
    let status = [&["status", "--porcelain", "--"][..], &SOURCES].concat();
    let dirty = !git(workspace, &status)?.is_empty();
    Some(if dirty {
        format!("{commit}-dirty")
    } else {
        commit
    })
}

fn git(directory: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    // Set when cargo runs from a git hook, and then not about this directory.
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(variable);
    }
    // A build must not take the index lock from under a commit.
    command
        .env("GIT_OPTIONAL_LOCKS", "0")
        .arg("-C")
        .arg(directory)
        .args(arguments);
    output(&mut command)
}

/// What a command prints; `None` when it fails.
#[must_use]
pub fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

#[allow(
    clippy::print_stdout,
    reason = "this is how a build script talks to cargo"
)]
fn rerun_if_changed(path: &Path) {
    // A path that does not exist would run the script at every build.
    if path.exists() {
        println!("cargo::rerun-if-changed={}", path.display());
    }
}

/// Hands a value to the program as the environment variable `BUSLOAD_<name>` of the compiler.
#[allow(
    clippy::print_stdout,
    reason = "this is how a build script talks to cargo"
)]
pub fn set(name: &str, value: Option<&str>) {
    println!(
        "cargo::rustc-env=BUSLOAD_{name}={}",
        value.unwrap_or("unknown")
    );
}
