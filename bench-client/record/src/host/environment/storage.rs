//! What a database directory is stored on, and which file systems are warned of.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::platform;
use super::warning::{EnvironmentWarning, EnvironmentWarningCode};

/// What the database directory is stored on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Storage {
    /// File system type, such as "ext4".
    pub file_system: Option<String>,
    /// What is mounted: a device for a local file system.
    pub mount_source: Option<String>,
    /// Options of the mount and of the file system, sorted.
    pub mount_options: Vec<String>,
    /// The disks below, after following partitions, LVM, encryption and RAID. Empty when there is
    /// none, or when the kernel does not show it.
    pub block_devices: Vec<BlockDevice>,
}

/// A disk as the kernel sees it (`/sys/block`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BlockDevice {
    /// Kernel name, such as "nvme0n1".
    pub name: String,
    /// Model, where the device has one: virtual disks do not.
    pub model: Option<String>,
    /// Whether it is a spinning disk. Virtual disks often say so without being one.
    pub rotational: Option<bool>,
    /// I/O scheduler in use.
    pub scheduler: Option<String>,
    /// "write back" when the device has a volatile cache that a sync must flush, "write through"
    /// when a completed write is durable, as far as the kernel knows.
    pub write_cache: Option<String>,
}

impl BlockDevice {
    /// Whether a sync must flush its cache.
    pub(in crate::host) fn must_be_flushed(&self) -> bool {
        self.write_cache.as_deref() == Some("write back")
    }
}

impl Storage {
    /// What this directory is stored on, or the nearest one above that exists.
    #[must_use]
    pub fn of_directory(directory: &Path) -> Self {
        std::path::absolute(directory)
            .ok()
            .and_then(|path| path.ancestors().find_map(|path| path.canonicalize().ok()))
            .and_then(|directory| platform::storage(&directory))
            .unwrap_or_default()
    }

    /// What about it makes figures less meaningful.
    pub fn environment_warnings(&self) -> Vec<EnvironmentWarning> {
        let codes = self.warnings().into_iter();
        codes.map(EnvironmentWarningCode::warning).collect()
    }

    pub(super) fn warnings(&self) -> Vec<EnvironmentWarningCode> {
        let file_system = self.file_system.as_deref().unwrap_or_default();
        let kind = match file_system {
            "tmpfs" | "ramfs" => Some(EnvironmentWarningCode::Tmpfs),
            "overlay" | "aufs" | "fuse.fuse-overlayfs" => Some(EnvironmentWarningCode::Overlay),
            "9p" | "afs" | "ceph" | "cifs" | "lustre" | "nfs" | "nfs4" | "smb3" | "smbfs"
            | "vboxsf" | "virtiofs" | "fuse.sshfs" | "fuse.glusterfs" | "fuse.s3fs"
            | "fuse.grpcfuse" | "fakeowner" => Some(EnvironmentWarningCode::RemoteFileSystem),
            _ => None,
        };
        let without_barriers = self
            .mount_options
            .iter()
            .any(|option| option == "nobarrier" || option == "barrier=0");
        let barriers = without_barriers.then_some(EnvironmentWarningCode::BarriersOff);
        kind.into_iter().chain(barriers).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_file_system_is_warned_of() {
        use crate::host::environment::Environment;

        let shared = Path::new("/dev/shm");
        if !shared.is_dir() {
            return;
        }
        let environment = Environment::capture(shared);
        assert_eq!(environment.storage.file_system.as_deref(), Some("tmpfs"));
        assert_eq!(environment.warnings[0].code, EnvironmentWarningCode::Tmpfs);
        assert!(environment.storage.block_devices.is_empty());
    }

    #[test]
    fn file_systems_have_the_right_warnings() {
        let warnings = |file_system: &str, options: &[&str]| {
            Storage {
                file_system: Some(file_system.into()),
                mount_options: options.iter().map(ToString::to_string).collect(),
                ..Storage::default()
            }
            .warnings()
        };
        assert_eq!(warnings("ext4", &["rw", "noatime"]), []);
        assert_eq!(
            warnings("ext4", &["nobarrier"]),
            [EnvironmentWarningCode::BarriersOff]
        );
        assert_eq!(warnings("overlay", &[]), [EnvironmentWarningCode::Overlay]);
        assert_eq!(
            warnings("9p", &[]),
            [EnvironmentWarningCode::RemoteFileSystem]
        );
        assert_eq!(Storage::default().warnings(), []);
    }
}
