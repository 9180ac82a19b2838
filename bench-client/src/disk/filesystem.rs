//! File systems on which a sync says nothing about a disk.

use std::fmt;
use std::io;
use std::path::Path;

use nix::sys::statfs::{FsType, OVERLAYFS_SUPER_MAGIC, TMPFS_MAGIC, statfs};

/// `RAMFS_MAGIC` of `linux/magic.h`, which nix does not have.
const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);

/// Why the syncs of a directory are not those of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FilesystemWarning {
    /// Held in memory: a sync does nothing.
    Memory,
    /// The layers of a container: a sync may be forwarded, or skipped (`volatile`).
    Overlay,
}

impl fmt::Display for FilesystemWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => {
                "is in memory (tmpfs), where a sync does nothing: name a directory on a disk"
            }
            Self::Overlay => {
                "is on an overlay file system, whose syncs need not be those of a disk: \
                 name a directory on a mounted volume"
            }
        })
    }
}

/// Says what is wrong with measuring syncs in `dir`, if anything is.
///
/// # Errors
/// When the file system of `dir` cannot be asked for its type.
pub fn filesystem_warning(dir: &Path) -> io::Result<Option<FilesystemWarning>> {
    Ok(warning_of(statfs(dir)?.filesystem_type()))
}

fn warning_of(kind: FsType) -> Option<FilesystemWarning> {
    if kind == TMPFS_MAGIC || kind == RAMFS_MAGIC {
        Some(FilesystemWarning::Memory)
    } else if kind == OVERLAYFS_SUPER_MAGIC {
        Some(FilesystemWarning::Overlay)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_overlay_are_told_from_disks() {
        assert_eq!(warning_of(TMPFS_MAGIC), Some(FilesystemWarning::Memory));
        assert_eq!(warning_of(RAMFS_MAGIC), Some(FilesystemWarning::Memory));
        assert_eq!(
            warning_of(OVERLAYFS_SUPER_MAGIC),
            Some(FilesystemWarning::Overlay)
        );
        assert_eq!(warning_of(nix::sys::statfs::EXT4_SUPER_MAGIC), None);
    }

    #[test]
    fn a_missing_directory_is_an_error() {
        assert!(filesystem_warning(Path::new("/no/such/directory")).is_err());
    }
}
