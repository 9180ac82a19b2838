//! Tells the program what it was built from: git revision, profile, target and compiler; and puts
//! the targets of `servers/peers` into it.
//!
//! A build must never fail or slow down for this: whatever cannot be found out is "unknown", and
//! the script runs again only when a file it looked at has changed.

use std::{
    env,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

/// What ends up in the program, relative to the workspace. These are the files that make a
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

/// Where the targets are that ship, one in each folder.
const PEERS: &str = "servers/peers";

/// Folders that a setup makes.
const MADE_BY_SETUP: [&str; 3] = ["dist", "node_modules", "target"];

fn main() -> io::Result<()> {
    // Relative to the package, where cargo runs this: two checkouts that share a target directory
    // share the compiled script, and each must be asked about itself.
    let workspace = Path::new("..");
    for source in SOURCES {
        rerun_if_changed(&workspace.join(source));
    }
    let rustc = env::var("RUSTC").ok();
    let rustc_version = rustc.and_then(|rustc| output(Command::new(rustc).arg("-V")));
    set("GIT_REVISION", git_revision(workspace).as_deref());
    set("RUSTC_VERSION", rustc_version.as_deref());
    for name in ["OPT_LEVEL", "PROFILE", "TARGET"] {
        set(name, env::var(name).ok().as_deref());
    }
    embed_peers(&workspace.join(PEERS))
}

/// Writes `peers.rs`: a list of the targets' folders, each with its files and what is in them.
fn embed_peers(peers: &Path) -> io::Result<()> {
    let mut list = String::from("[\n");
    for folder in entries(peers)?.iter().filter(|folder| folder.is_dir()) {
        if !folder.join("target.toml").is_file() {
            continue;
        }
        let mut files = Vec::new();
        gather(folder, &mut files)?;
        let name = folder.file_name().unwrap_or_default();
        let _ = writeln!(list, "    ({:?}, &[", name.to_string_lossy());
        for file in files {
            let inside = file.strip_prefix(folder).unwrap_or(&file);
            let _ = writeln!(
                list,
                "        ({:?}, include_bytes!({:?}) as &[u8]),",
                inside.to_string_lossy(),
                file.canonicalize()?.to_string_lossy()
            );
        }
        list.push_str("    ] as &[_]),\n");
    }
    list.push_str("]\n");
    let out = env::var_os("OUT_DIR").unwrap_or_default();
    fs::write(Path::new(&out).join("peers.rs"), list)
}

/// The files below a folder of which a target is made. A file that appears in it runs this again.
fn gather(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for path in entries(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // Links are followed: an installed target has the files themselves.
        let kind = fs::metadata(&path)?.file_type();
        if name.starts_with('.') || kind.is_dir() && MADE_BY_SETUP.contains(&name.as_ref()) {
            continue;
        }
        if kind.is_dir() {
            gather(&path, files)?;
        } else if kind.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

/// What is in a folder, by name; nothing of one that is not there.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut entries: Vec<PathBuf> = entries.collect::<io::Result<_>>()?;
    entries.sort();
    Ok(entries)
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

fn output(command: &mut Command) -> Option<String> {
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

#[allow(
    clippy::print_stdout,
    reason = "this is how a build script talks to cargo"
)]
fn set(name: &str, value: Option<&str>) {
    println!(
        "cargo::rustc-env=BUSLOAD_{name}={}",
        value.unwrap_or("unknown")
    );
}
