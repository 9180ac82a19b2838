//! The one system call of a power cut.

#![allow(
    unsafe_code,
    reason = "an ioctl is a call into the kernel with a pointer, and no crate wraps this one"
)]
#![allow(
    missing_docs,
    unreachable_pub,
    reason = "the macro writes a public function without documentation"
)]

use std::fs::File;
use std::os::fd::AsRawFd as _;

/// Neither the log nor data are flushed (`EXT4_GOING_FLAGS_NOLOGFLUSH`,
/// `XFS_FSOP_GOING_FLAGS_NOLOGFLUSH`).
static NO_FLUSH: u32 = 2;

// `_IOR('X', 125, __u32)`: `XFS_IOC_GOINGDOWN`, which ext4 took over as `EXT4_IOC_SHUTDOWN`.
nix::ioctl_write_ptr_bad!(going_down, 0x8004_587d, u32);

/// Stops the file system that `file` is on: from now on nothing reaches its device.
pub(super) fn stop_file_system(file: &File) -> nix::Result<()> {
    // SAFETY: the descriptor is open, and the kernel reads four bytes at the address of a
    // `u32` that lives as long as the program.
    unsafe { going_down(file.as_raw_fd(), &raw const NO_FLUSH) }?;
    Ok(())
}
