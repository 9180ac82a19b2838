//! What a block device has written so far: the view from outside of every program.

use std::path::Path;

/// Counters of a block device since boot (`/proc/diskstats`), over everybody that uses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceCounters {
    /// Name, such as `nvme0n1p2`.
    pub name: String,
    /// Writes completed.
    pub writes: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Flushes completed; `None` before Linux 5.5. A device without a write cache, and writes
    /// that force unit access, need none.
    pub flushes: Option<u64>,
}

/// Bytes in a sector of the counters, whatever the device's own are (Linux,
/// `Documentation/ABI/stable/sysfs-block`).
#[cfg(target_os = "linux")]
const SECTOR_BYTES: u64 = 512;

impl DeviceCounters {
    /// Of the device that holds this path; `None` where the file system has none of its own
    /// (tmpfs, overlay, btrfs) or the operating system does not tell.
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn of_path(path: &Path) -> Option<Self> {
        use nix::sys::stat::{major, minor};
        use std::os::unix::fs::MetadataExt as _;
        let device = std::fs::metadata(path).ok()?.dev();
        let (major, minor) = (major(device), minor(device));
        let disk = procfs::diskstats().ok()?.into_iter().find(|disk| {
            u64::try_from(disk.major) == Ok(major) && u64::try_from(disk.minor) == Ok(minor)
        })?;
        Some(Self {
            name: disk.name,
            writes: disk.writes as u64,
            bytes_written: disk.sectors_written as u64 * SECTOR_BYTES,
            flushes: disk.flushes,
        })
    }

    /// Not told by this operating system.
    #[cfg(not(target_os = "linux"))]
    #[must_use]
    pub fn of_path(_: &Path) -> Option<Self> {
        None
    }

    /// What was done between an earlier reading and this one.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            name: self.name.clone(),
            writes: self.writes.saturating_sub(earlier.writes),
            bytes_written: self.bytes_written.saturating_sub(earlier.bytes_written),
            flushes: self
                .flushes
                .zip(earlier.flushes)
                .map(|(later, earlier)| later.saturating_sub(earlier)),
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_synced_write_reaches_the_counters() {
        // Not a temporary directory, which may be in memory.
        let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
        let Some(before) = DeviceCounters::of_path(directory) else {
            eprintln!(
                "skipped report::device::tests::a_synced_write_reaches_the_counters: \
                 the file system has no block device of its own"
            );
            return;
        };
        let mut file = tempfile::NamedTempFile::new_in(directory).unwrap();
        file.write_all(&vec![1; 1 << 20]).unwrap();
        file.as_file().sync_all().unwrap();
        let done = DeviceCounters::of_path(directory).unwrap().since(&before);
        assert!(done.writes > 0 && done.bytes_written >= 1 << 20, "{done:?}");
    }
}
