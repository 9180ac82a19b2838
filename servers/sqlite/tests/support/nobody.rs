//! Directories that cannot be opened, also by root.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, geteuid, setfsuid};
use tempfile::TempDir;

/// The user `nobody` of most systems; any that owns nothing will do.
const NOBODY: u32 = 65_534;
/// Files in it can be made, found and removed, and it cannot be opened.
const UNREADABLE: u32 = 0o300;
const READABLE: u32 = 0o700;

/// A directory whose permissions hold for this thread, and for those that it starts while this
/// lives, whoever they run as.
pub(crate) struct Restricted {
    path: PathBuf,
    _above: TempDir,
    before: Option<Uid>,
}

impl Restricted {
    /// `None`, which the test `name` says, where the temporary directories are root's alone.
    pub(crate) fn make(name: &str) -> Option<Self> {
        let above = tempfile::tempdir().expect("a temporary directory");
        let path = above.path().canonicalize().expect("it exists").join("own");
        fs::create_dir(&path).expect("it is new");
        let before = geteuid().is_root().then(|| {
            let searched = Permissions::from_mode(0o711);
            fs::set_permissions(above.path(), searched).expect("it is root's");
            chown(&path, Some(NOBODY), None).expect("root may");
            setfsuid(Uid::from_raw(NOBODY))
        });
        let made = Self {
            path,
            _above: above,
            before,
        };
        if fs::metadata(&made.path).is_err() {
            // Not by `eprintln`, which the test harness keeps to itself when a test passes.
            let skipped = format!("skipped {name}: nobody gets to the temporary directory\n");
            let mut stderr = std::io::stderr();
            stderr.write_all(skipped.as_bytes()).expect("a line");
            return None;
        }
        Some(made)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// From now on it can be opened, or cannot.
    pub(crate) fn readable(&self, readable: bool) {
        let mode = if readable { READABLE } else { UNREADABLE };
        fs::set_permissions(&self.path, Permissions::from_mode(mode)).expect("it is ours");
        assert_eq!(fs::File::open(&self.path).is_ok(), readable);
    }
}

impl Drop for Restricted {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            setfsuid(before);
        }
        // For whoever is not root: it is to be removed.
        let _ = fs::set_permissions(&self.path, Permissions::from_mode(READABLE));
    }
}
