//! The targets inside of this program: the folders of `servers/peers`, put here by the build
//! script.

use std::path::Path;

use crate::config::target_file::TARGET_FILE;

/// Path in its folder, and what is in the file.
pub(super) type File = (&'static str, &'static [u8]);

static SHIPPED: &[(&str, &[File])] = &include!(concat!(env!("OUT_DIR"), "/peers.rs"));

/// Their names, in alphabetical order.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    SHIPPED.iter().map(|(name, _)| *name)
}

/// The files of one; `None` when there is none with this name.
pub(super) fn files(name: &str) -> Option<&'static [File]> {
    let found = SHIPPED.iter().find(|(other, _)| *other == name)?;
    Some(found.1)
}

/// The target file of one.
pub(super) fn text(name: &str) -> Option<&'static str> {
    let (_, bytes) = files(name)?.iter().find(|(path, _)| *path == TARGET_FILE)?;
    std::str::from_utf8(bytes).ok()
}

/// Whether the files in a folder are those that ship.
pub(super) fn is_same(name: &str, folder: &Path) -> bool {
    let is_there =
        |(path, bytes): &File| std::fs::read(folder.join(path)).is_ok_and(|found| found == *bytes);
    files(name).is_some_and(|files| files.iter().all(is_there))
}
