//! Tells the program what it was built from: git revision, profile, target and compiler; and puts
//! the targets of `servers/peers` into it.

use std::{
    env,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use busload_revision::{output, set};

/// Where the targets are that ship, one in each folder: a link to `servers/peers`, so that a package
/// of this crate has them, too.
const PEERS: &str = "peers";

/// Folders that a setup makes.
const MADE_BY_SETUP: [&str; 3] = ["dist", "node_modules", "target"];

fn main() -> io::Result<()> {
    let workspace = Path::new("..");
    busload_revision::emit(workspace);
    let rustc = env::var("RUSTC").ok();
    let rustc_version = rustc.and_then(|rustc| output(Command::new(rustc).arg("-V")));
    set("RUSTC_VERSION", rustc_version.as_deref());
    for name in ["OPT_LEVEL", "PROFILE", "TARGET"] {
        set(name, env::var(name).ok().as_deref());
    }
    embed_peers(Path::new(PEERS))
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
