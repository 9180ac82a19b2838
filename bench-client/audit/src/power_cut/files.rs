//! What is on a disk, so that it can be told whether anything was written to it.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Most files that are looked at: more than a disk of [`FileSystem::size_bytes`] has room for.
///
/// [`FileSystem::size_bytes`]: super::FileSystem
const FILES_MAX: usize = 400_000;

/// The files of a disk, each with what changes when it is written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Files(BTreeMap<PathBuf, State>);

#[derive(Debug, PartialEq, Eq)]
struct State {
    inode: u64,
    length: u64,
    /// Seconds and nanoseconds of the last write.
    written: (i64, i64),
}

impl Files {
    /// All below this directory. Files may come and go meanwhile.
    ///
    /// # Errors
    /// A directory cannot be read, or there are too many files.
    pub(super) fn below(directory: &Path) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        let mut left = vec![directory.to_owned()];
        while let Some(directory) = left.pop() {
            for entry in std::fs::read_dir(directory)? {
                let entry = entry?;
                let metadata = match entry.metadata() {
                    Ok(metadata) => metadata,
                    Err(gone) if gone.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                };
                if metadata.is_dir() {
                    left.push(entry.path());
                    continue;
                }
                let state = State {
                    inode: metadata.ino(),
                    length: metadata.len(),
                    written: (metadata.mtime(), metadata.mtime_nsec()),
                };
                files.insert(entry.path(), state);
                if files.len() > FILES_MAX {
                    return Err(io::Error::other("there are too many files"));
                }
            }
        }
        Ok(Self(files))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, create_dir, remove_file, write};
    use std::io::{Seek as _, Write as _};
    use std::time::Duration;

    use super::*;

    #[test]
    fn whatever_is_written_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name| directory.path().join(name);
        let look = || Files::below(directory.path()).unwrap();
        create_dir(at("ledger")).unwrap();
        write(at("a"), "long before").unwrap();
        write(at("ledger/b"), "long before").unwrap();
        assert_eq!(look(), look());
        let mut file = File::options().write(true).open(at("ledger/b")).unwrap();
        let mut last = look();
        let mut differs = |what: &str| {
            let now = look();
            assert_ne!(now, last, "{what}");
            last = now;
        };
        // The clock of some file systems has steps of several milliseconds.
        std::thread::sleep(Duration::from_millis(50));
        file.rewind().unwrap();
        file.write_all(b"just now...").unwrap();
        differs("overwritten");
        file.set_len(3).unwrap();
        differs("truncated");
        write(at("ledger/c"), "").unwrap();
        differs("created");
        remove_file(at("a")).unwrap();
        differs("removed");
    }
}
