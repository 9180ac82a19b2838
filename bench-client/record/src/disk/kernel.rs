//! Opening and syncing by system calls made here, past the C library.
//!
//! `LD_PRELOAD` replaces functions of the C library: eatmydata takes `O_SYNC` and `O_DSYNC` from
//! `open` and makes of `fsync` and `fdatasync` nothing. What is measured through these functions
//! is then the library, and not the disk.

use std::fs::File;
use std::io;
use std::path::Path;

use super::Method;

/// Creates a file for writing, whose writes are durable each if the method says so.
#[cfg(target_os = "linux")]
pub(super) fn create_new(path: &Path, method: Method) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    let mut flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    if method == Method::ODsync {
        flags |= OFlags::DSYNC;
    }
    let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?;
    Ok(File::from(file))
}

/// Makes what was written durable as the method says.
#[cfg(target_os = "linux")]
pub(super) fn sync(file: &File, method: Method) -> io::Result<()> {
    match method {
        Method::ODsync => Ok(()),
        Method::Fdatasync => Ok(rustix::fs::fdatasync(file)?),
        Method::Fsync => Ok(rustix::fs::fsync(file)?),
    }
}

/// Elsewhere there are no system calls but the C library's.
#[cfg(not(target_os = "linux"))]
pub(super) fn create_new(path: &Path, method: Method) -> io::Result<File> {
    use nix::fcntl::OFlag;
    use std::os::unix::fs::OpenOptionsExt as _;
    let flags = match method {
        Method::ODsync => OFlag::O_DSYNC,
        Method::Fdatasync | Method::Fsync => OFlag::empty(),
    };
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .custom_flags(flags.bits())
        .open(path)
}

/// Elsewhere there are no system calls but the C library's.
#[cfg(not(target_os = "linux"))]
pub(super) fn sync(file: &File, method: Method) -> io::Result<()> {
    match method {
        Method::ODsync => Ok(()),
        Method::Fdatasync => file.sync_data(),
        Method::Fsync => file.sync_all(),
    }
}
