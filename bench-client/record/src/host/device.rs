//! What a block device has written so far: the view from outside of every program.

use std::path::Path;

#[cfg(target_os = "linux")]
use super::environment::Storage;

/// Counters of a block device since boot (`/proc/diskstats`), over everybody that uses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceCounters {
    /// Name, such as `nvme0n1p2`.
    pub name: String,
    /// Writes completed.
    pub writes: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Flushes completed by the disks below it, each counted; `None` before Linux 5.5 and where
    /// a sync need not flush (no volatile write cache) or flushes are not counted.
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
        let all = procfs::diskstats().ok()?;
        let disk = all.iter().find(|disk| {
            u64::try_from(disk.major) == Ok(major) && u64::try_from(disk.minor) == Ok(minor)
        })?;
        // Partitions, LVM and encryption have no count of their own: the kernel counts a flush
        // at the disk that carries it out.
        let below = Storage::of_directory(path).block_devices;
        let flushes = below.iter().map(|device| {
            let disk = all.iter().find(|disk| disk.name == device.name)?;
            disk.flushes.filter(|_| device.must_be_flushed())
        });
        Some(Self {
            name: disk.name.clone(),
            writes: disk.writes as u64,
            bytes_written: disk.sectors_written as u64 * SECTOR_BYTES,
            // None at all since boot: they are not counted.
            flushes: flushes.sum::<Option<u64>>().filter(|count| *count > 0),
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
                "skipped host::device::tests::a_synced_write_reaches_the_counters: \
                 the file system has no block device of its own"
            );
            return;
        };
        let mut file = tempfile::NamedTempFile::new_in(directory).unwrap();
        file.write_all(&vec![1; 1 << 20]).unwrap();
        file.as_file().sync_all().unwrap();
        let done = DeviceCounters::of_path(directory).unwrap().since(&before);
        assert!(done.writes > 0 && done.bytes_written >= 1 << 20, "{done:?}");
        // Not every disk needs flushes; one that does has flushed.
        assert!(done.flushes != Some(0), "{done:?}");
    }
}
