//! What can go wrong while a directory is measured.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a sync baseline could not be taken.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DiskError {
    /// The path does not exist.
    #[error("no such directory: {}: create it, or name another", .0.display())]
    NoSuchDirectory(PathBuf),
    /// The path is something other than a directory.
    #[error("not a directory: {}", .0.display())]
    NotADirectory(PathBuf),
    /// The directory could not be created or inspected.
    #[error("cannot use the directory {}", dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// What the operating system answered.
        source: io::Error,
    },
    /// No file could be created in the directory.
    #[error("cannot create a file in {} (choose another directory with --data-dir)", dir.display())]
    Create {
        /// The directory.
        dir: PathBuf,
        /// What the operating system answered.
        source: io::Error,
    },
    /// A write or a sync failed.
    #[error("cannot write and sync {block_bytes} bytes in {}", dir.display())]
    Write {
        /// The directory.
        dir: PathBuf,
        /// The size of one write.
        block_bytes: u32,
        /// What the operating system answered.
        source: io::Error,
    },
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}
