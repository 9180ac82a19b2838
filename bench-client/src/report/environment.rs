//! Where a run took place: what a reader needs to judge its figures or to repeat it.

use std::{ffi::OsString, fs, path::Path, thread};

use jiff::{Timestamp, Unit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Machine, storage and program of a run. Holds neither this machine's host name nor the user's
/// name nor the database directory, so that records can be published; the command line is as it
/// was typed, without tokens and passwords.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Environment {
    /// When the environment was captured, at the start of the run: RFC 3339, UTC.
    #[schemars(extend("format" = "date-time"))]
    pub started_at: String,
    /// The program's file name and its arguments. Values of flags whose name contains "token",
    /// and user information in URLs, are replaced by "***".
    pub command_line: Vec<String>,
    /// The program that measured.
    pub program: Program,
    /// The machine it ran on.
    pub machine: Machine,
    /// What the database directory is stored on.
    pub storage: Storage,
    /// The SQLite of the server, as the first row found it; absent for a server that does not
    /// tell. A row whose durability differs has its own pragmas.
    pub sqlite: Option<Sqlite>,
    /// What about this environment makes figures less meaningful, each with a remedy.
    pub warnings: Vec<EnvironmentWarning>,
}

/// The SQLite behind a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sqlite {
    /// Its version.
    pub version: String,
    /// The pragmas as read back from the writing connection.
    pub pragmas: BTreeMap<String, String>,
}

/// The program that measured, as it was built.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Program {
    /// Version of the package.
    pub version: String,
    /// Git commit of the sources, with "-dirty" appended when they differed from it; "unknown"
    /// when not built from a git checkout.
    pub git_revision: String,
    /// Cargo's base profile, "release" or "debug", and its optimisation level.
    pub profile: String,
    /// Target triple it was compiled for.
    pub target: String,
    /// Version of the compiler.
    pub rustc: String,
    /// Memory allocator of the program; "unknown" when it does not say.
    pub allocator: String,
}

/// The machine of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// Name of the CPU as it gives it itself.
    pub cpu_model: Option<String>,
    /// Logical cores of the machine.
    pub logical_cores: Option<u32>,
    /// Logical cores that this program may use: fewer under a CPU affinity or a container's quota.
    pub usable_cores: Option<u32>,
    /// Physical memory, in bytes.
    pub memory_bytes: Option<u64>,
    /// Load average over the minute before the run: well above 0, something else was running.
    pub load_average_1m: Option<f32>,
    /// Name and version of the operating system's distribution.
    pub os: Option<String>,
    /// Kernel name and release.
    pub kernel: Option<String>,
}

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

/// Something about the environment that makes figures less meaningful.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EnvironmentWarning {
    /// Which warning.
    pub code: EnvironmentWarningCode,
    /// What is the matter.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

/// Identifies a warning about the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EnvironmentWarningCode {
    /// The database is in memory: a sync does nothing.
    Tmpfs,
    /// The database is in a container's overlay: another file system does the work.
    Overlay,
    /// The database is on a network or host share: a sync ends somewhere else.
    RemoteFileSystem,
    /// The file system is mounted without write barriers: a sync does not reach the medium.
    BarriersOff,
    /// The program is built without optimisation.
    DebugBuild,
}

impl EnvironmentWarningCode {
    fn warning(self) -> EnvironmentWarning {
        const OTHER_DIRECTORY: &str = "choose a directory on a local disk with --data-dir";
        let (message, remedy) = match self {
            Self::Tmpfs => (
                "the database is in memory (tmpfs), where a sync does nothing",
                OTHER_DIRECTORY,
            ),
            Self::Overlay => (
                "the database is on a container's overlay file system, which adds work of its own",
                "mount a volume into the container and choose it with --data-dir",
            ),
            Self::RemoteFileSystem => (
                "the database is on a network or shared file system, so a sync crosses to another \
                 system",
                OTHER_DIRECTORY,
            ),
            Self::BarriersOff => (
                "the file system is mounted without write barriers, so a sync does not flush the \
                 disk's cache",
                "remount it with barriers on, or choose another one with --data-dir",
            ),
            Self::DebugBuild => (
                "the program is built without optimisation, so the CPU limits more than it should",
                "build with --release",
            ),
        };
        EnvironmentWarning {
            code: self,
            message: message.into(),
            remedy: remedy.into(),
        }
    }
}

impl Environment {
    /// Captures the environment of this process, with a database in `database_dir` (where that
    /// does not exist yet, in the nearest directory above it that does). Never fails: what cannot
    /// be found out is `None` or "unknown".
    #[must_use]
    pub fn capture(database_dir: &Path) -> Self {
        let storage = Storage::of_directory(database_dir);
        let mut warnings = storage.warnings();
        if cfg!(debug_assertions) {
            warnings.push(EnvironmentWarningCode::DebugBuild);
        }
        Self {
            started_at: now(),
            command_line: redacted(std::env::args_os()),
            program: Program::of_this_build(),
            machine: Machine::of_this_process(),
            storage,
            sqlite: None,
            warnings: warnings
                .into_iter()
                .map(EnvironmentWarningCode::warning)
                .collect(),
        }
    }

    /// Forgets the storage and what was said about it: the database of a server at a URL is
    /// somewhere else.
    pub fn forget_storage(&mut self) {
        self.storage = Storage::default();
        self.warnings
            .retain(|warning| warning.code == EnvironmentWarningCode::DebugBuild);
    }

    /// Records the memory allocator. It is chosen in a binary, so only that can say which it is.
    #[must_use]
    pub fn with_allocator(mut self, allocator: &str) -> Self {
        allocator.clone_into(&mut self.program.allocator);
        self
    }
}

/// RFC 3339 in UTC, to the millisecond.
fn now() -> String {
    let now = Timestamp::now();
    now.round(Unit::Millisecond).unwrap_or(now).to_string()
}

/// Arguments as text, the first cut down to its file name, without what must not be published.
fn redacted(arguments: impl Iterator<Item = OsString>) -> Vec<String> {
    let mut hide_next = false;
    arguments
        .enumerate()
        .map(|(position, argument)| {
            let hide = std::mem::take(&mut hide_next);
            let text = argument.to_string_lossy();
            if position == 0 {
                let name = Path::new(&argument).file_name().unwrap_or(&argument);
                return name.to_string_lossy().into_owned();
            }
            if hide {
                return "***".to_owned();
            }
            let (name, value) = text
                .split_once('=')
                .map_or((&*text, None), |(name, value)| (name, Some(value)));
            if name.starts_with('-') && name.to_ascii_lowercase().contains("token") {
                hide_next = value.is_none();
                return value.map_or(name.to_owned(), |_| format!("{name}=***"));
            }
            without_user_information(&text)
        })
        .collect()
}

/// `http://user:password@host/` becomes `http://***@host/`; also several, separated by commas.
fn without_user_information(text: &str) -> String {
    let mut parts = text.split("://");
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let authority = part.find(['/', '?', '#']).unwrap_or(part.len());
        result.push_str("://");
        match part[..authority].rfind('@') {
            Some(at) => {
                result.push_str("***");
                result.push_str(&part[at..]);
            }
            None => result.push_str(part),
        }
    }
    result
}

impl Program {
    /// Everything `build.rs` left.
    fn of_this_build() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            git_revision: env!("BUSLOAD_GIT_REVISION").into(),
            profile: concat!(
                env!("BUSLOAD_PROFILE"),
                ", opt-level ",
                env!("BUSLOAD_OPT_LEVEL")
            )
            .into(),
            target: env!("BUSLOAD_TARGET").into(),
            rustc: env!("BUSLOAD_RUSTC_VERSION").into(),
            allocator: "unknown".into(),
        }
    }
}

impl Machine {
    fn of_this_process() -> Self {
        let usable = thread::available_parallelism().ok();
        Self {
            cpu_model: platform::cpu_model(),
            logical_cores: platform::logical_cores(),
            usable_cores: usable.and_then(|cores| u32::try_from(cores.get()).ok()),
            memory_bytes: platform::memory_bytes(),
            load_average_1m: platform::load_average_1m(),
            os: os_name(),
            kernel: nix::sys::utsname::uname()
                .ok()
                .map(|name| format!("{} {}", name.sysname().display(), name.release().display())),
        }
    }
}

/// `PRETTY_NAME` of os-release(5).
fn os_name() -> Option<String> {
    let text = ["/etc/os-release", "/usr/lib/os-release"]
        .iter()
        .find_map(|path| fs::read_to_string(path).ok())?;
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches(['"', '\'']).to_owned())
}

impl Storage {
    fn of_directory(directory: &Path) -> Self {
        std::path::absolute(directory)
            .ok()
            .and_then(|path| path.ancestors().find_map(|path| path.canonicalize().ok()))
            .and_then(|directory| platform::storage(&directory))
            .unwrap_or_default()
    }

    fn warnings(&self) -> Vec<EnvironmentWarningCode> {
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

#[cfg(target_os = "linux")]
mod platform {
    use std::{
        collections::BTreeSet,
        fs::{self, File},
        os::{
            fd::AsRawFd,
            unix::fs::{FileTypeExt, MetadataExt},
        },
        path::{Path, PathBuf},
    };

    use procfs::{
        CpuInfo, Current, LoadAverage, Meminfo,
        process::{MountInfo, Process},
    };

    use super::{BlockDevice, Storage};

    /// Most layers of partitions, LVM, encryption and RAID to follow down.
    const DEVICE_LAYERS_MAX: u32 = 8;

    pub(super) fn cpu_model() -> Option<String> {
        let info = CpuInfo::current().ok()?;
        if let Some(name) = info.model_name(0) {
            return Some(name.to_owned());
        }
        // ARM gives numbers only.
        let implementer = info.get_field(0, "CPU implementer")?;
        let part = info.get_field(0, "CPU part")?;
        Some(format!("implementer {implementer} part {part}"))
    }

    pub(super) fn logical_cores() -> Option<u32> {
        u32::try_from(CpuInfo::current().ok()?.num_cores()).ok()
    }

    pub(super) fn memory_bytes() -> Option<u64> {
        Some(Meminfo::current().ok()?.mem_total)
    }

    pub(super) fn load_average_1m() -> Option<f32> {
        Some(LoadAverage::current().ok()?.one)
    }

    pub(super) fn storage(directory: &Path) -> Option<Storage> {
        let mount = mount_of(directory)?;
        let device_number = device_number(&mount);
        Some(Storage {
            mount_options: mount_options(&mount),
            file_system: Some(mount.fs_type),
            mount_source: mount.mount_source,
            block_devices: device_number
                .map(|number| block_devices(Path::new("/sys"), &number))
                .unwrap_or_default(),
        })
    }

    /// The mount that `directory` is in, by the mount's id. Not by its path or device number: one
    /// mount can hide another's, and btrfs gives files other device numbers than the mount.
    fn mount_of(directory: &Path) -> Option<MountInfo> {
        let file = File::open(directory).ok()?;
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).ok()?;
        let id: i32 = info
            .lines()
            .find_map(|line| line.strip_prefix("mnt_id:"))?
            .trim()
            .parse()
            .ok()?;
        let mounts = Process::myself().ok()?.mountinfo().ok()?;
        mounts.into_iter().find(|mount| mount.mnt_id == id)
    }

    fn mount_options(mount: &MountInfo) -> Vec<String> {
        /// Addresses and names, which do not belong into a published record.
        const PRIVATE: [&str; 6] = [
            "addr",
            "clientaddr",
            "mountaddr",
            "username",
            "domain",
            "srcaddr",
        ];
        let options: BTreeSet<String> = mount
            .mount_options
            .iter()
            .chain(&mount.super_options)
            .filter(|(name, _)| !PRIVATE.contains(&name.as_str()))
            .map(|(name, value)| {
                value
                    .as_ref()
                    .map_or_else(|| name.clone(), |value| format!("{name}={value}"))
            })
            .collect();
        options.into_iter().collect()
    }

    /// "major:minor" of the mounted block device. Major 0 is no device: btrfs has such numbers of
    /// its own and its device is the mount's source.
    fn device_number(mount: &MountInfo) -> Option<String> {
        if !mount.majmin.starts_with("0:") {
            return Some(mount.majmin.clone());
        }
        let metadata = fs::metadata(mount.mount_source.as_deref()?).ok()?;
        let number = metadata.rdev();
        metadata.file_type().is_block_device().then(|| {
            format!(
                "{}:{}",
                nix::sys::stat::major(number),
                nix::sys::stat::minor(number)
            )
        })
    }

    /// The disks below the block device with the number `device_number` ("major:minor"), where `sys`
    /// is the place of `/sys`.
    pub(super) fn block_devices(sys: &Path, device_number: &str) -> Vec<BlockDevice> {
        let mut devices = Vec::new();
        if let Ok(path) = sys.join("dev/block").join(device_number).canonicalize() {
            collect_disks(path, DEVICE_LAYERS_MAX, &mut devices);
        }
        devices.sort_by(|a, b| a.name.cmp(&b.name));
        devices.dedup();
        devices
    }

    fn collect_disks(mut path: PathBuf, layers: u32, devices: &mut Vec<BlockDevice>) {
        // A partition is a directory within its disk's.
        if path.join("partition").exists() {
            path.pop();
        }
        let lower: Vec<PathBuf> = fs::read_dir(path.join("slaves"))
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.path().canonicalize().ok())
            .collect();
        if lower.is_empty() || layers == 0 {
            devices.push(disk(&path));
        } else {
            for path in lower {
                collect_disks(path, layers - 1, devices);
            }
        }
    }

    fn disk(path: &Path) -> BlockDevice {
        let read = |name: &str| {
            let text = fs::read_to_string(path.join(name)).ok()?;
            Some(text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        // "[none] mq-deadline": the one in brackets is in use; "none" alone comes without.
        let scheduler = read("queue/scheduler").map(|all| {
            let in_use = all
                .split_once('[')
                .and_then(|(_, rest)| rest.split_once(']'));
            in_use.map_or(all.as_str(), |(name, _)| name).to_owned()
        });
        BlockDevice {
            name: path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            // SD cards have a name where others have a model.
            model: read("device/model").or_else(|| read("device/name")),
            rotational: read("queue/rotational").map(|flag| flag != "0"),
            scheduler,
            write_cache: read("queue/write_cache"),
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use std::path::Path;

    use super::Storage;

    pub(super) fn cpu_model() -> Option<String> {
        None
    }

    pub(super) fn logical_cores() -> Option<u32> {
        None
    }

    pub(super) fn memory_bytes() -> Option<u64> {
        None
    }

    pub(super) fn load_average_1m() -> Option<f32> {
        None
    }

    pub(super) fn storage(directory: &Path) -> Option<Storage> {
        let status = nix::sys::statfs::statfs(directory).ok()?;
        let file_system = Some(status.filesystem_type_name().to_owned());
        Some(Storage {
            file_system,
            ..Storage::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redact(arguments: &[&str]) -> Vec<String> {
        redacted(arguments.iter().map(OsString::from))
    }

    #[test]
    fn secrets_are_not_recorded() {
        let arguments = redact(&[
            "/home/user/bin/bench-client",
            "run",
            "--token",
            "secret",
            "--auth-Token=secret",
            "--seed",
            "1",
            "--url",
            "http://user:secret@host/rpc",
            "--urls=ws://host/a@b,ws://secret@host",
        ]);
        let expected = [
            "bench-client",
            "run",
            "--token",
            "***",
            "--auth-Token=***",
            "--seed",
            "1",
            "--url",
            "http://***@host/rpc",
            "--urls=ws://host/a@b,ws://***@host",
        ];
        assert_eq!(arguments, expected);
    }

    #[test]
    fn arguments_without_secrets_stay() {
        for argument in [
            "--batch-timeout=2ms",
            "a://",
            "://",
            "",
            "x@y",
            "--concurrency=50",
        ] {
            assert_eq!(redact(&["x", argument]), ["x", argument]);
        }
    }

    #[test]
    fn capture_is_complete_enough_and_survives_json() {
        let directory = tempfile::tempdir().unwrap();
        let environment =
            Environment::capture(&directory.path().join("not/yet/there")).with_allocator("system");
        let json = serde_json::to_string(&environment).unwrap();
        assert_eq!(
            serde_json::from_str::<Environment>(&json).unwrap(),
            environment
        );
        assert_eq!(environment.program.allocator, "system");
        assert!(environment.program.rustc.starts_with("rustc "), "{json}");
        assert!(environment.storage.file_system.is_some(), "{json}");
        assert!(environment.machine.usable_cores > Some(0), "{json}");
        assert!(
            environment.started_at.parse::<Timestamp>().is_ok(),
            "{json}"
        );
        assert!(environment.started_at.ends_with('Z'), "{json}");
        let host = nix::sys::utsname::uname()
            .unwrap()
            .nodename()
            .display()
            .to_string();
        assert!(host.len() < 5 || !json.contains(&host), "{json}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_file_system_is_warned_of() {
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

    /// A partition of a disk below an encrypted volume, as in most laptops, and a RAID beside.
    #[cfg(target_os = "linux")]
    #[test]
    fn disks_are_found_below_partitions_and_mappings() {
        use super::platform::block_devices;
        use std::os::unix::fs::symlink;

        let sys = tempfile::tempdir().unwrap();
        let devices = sys.path().join("devices");
        let write = |path: &str, text: &str| {
            let path = devices.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("nvme0n1/device/model", "Fast Disk 1TB            \n");
        write("nvme0n1/queue/rotational", "0\n");
        write("nvme0n1/queue/scheduler", "[none] mq-deadline \n");
        write("nvme0n1/queue/write_cache", "write back\n");
        write("nvme0n1/nvme0n1p2/partition", "2\n");
        write("sda/queue/rotational", "1\n");
        write("sda/queue/scheduler", "none\n");
        for (upper, lower) in [
            ("dm-0", "nvme0n1/nvme0n1p2"),
            ("md0", "dm-0"),
            ("md0", "sda"),
            ("md0", "nvme0n1"),
        ] {
            let slaves = devices.join(upper).join("slaves");
            fs::create_dir_all(&slaves).unwrap();
            symlink(devices.join(lower), slaves.join(lower.replace('/', "-"))).unwrap();
        }
        fs::create_dir_all(sys.path().join("dev/block")).unwrap();
        for (number, device) in [
            ("253:0", "dm-0"),
            ("9:0", "md0"),
            ("259:2", "nvme0n1/nvme0n1p2"),
        ] {
            symlink(
                devices.join(device),
                sys.path().join("dev/block").join(number),
            )
            .unwrap();
        }
        let nvme = BlockDevice {
            name: "nvme0n1".into(),
            model: Some("Fast Disk 1TB".into()),
            rotational: Some(false),
            scheduler: Some("none".into()),
            write_cache: Some("write back".into()),
        };
        assert_eq!(
            block_devices(sys.path(), "259:2"),
            std::slice::from_ref(&nvme)
        );
        assert_eq!(
            block_devices(sys.path(), "253:0"),
            std::slice::from_ref(&nvme)
        );
        let raid = block_devices(sys.path(), "9:0");
        assert_eq!(raid.len(), 2, "the disk reached on two ways counts once");
        assert_eq!(raid[0], nvme);
        assert_eq!(
            (raid[1].name.as_str(), raid[1].rotational),
            ("sda", Some(true))
        );
        assert_eq!(raid[1].scheduler.as_deref(), Some("none"));
        assert_eq!(block_devices(sys.path(), "1:1"), []);
    }

    #[test]
    fn schema_describes_every_field() {
        let schema = schemars::schema_for!(Environment);
        let text = serde_json::to_string(&schema).unwrap();
        assert!(text.contains("Git commit of the sources"));
        assert!(text.contains("date-time"));
    }
}
