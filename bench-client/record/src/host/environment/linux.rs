//! The machine and its storage, as Linux tells of them.

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

/// Where the kernel shows the processors.
const CPUS: &str = "/sys/devices/system/cpu";

pub(super) fn cpu_governor() -> Option<String> {
    governors(Path::new(CPUS))
}

pub(super) fn cpu_boost() -> Option<bool> {
    boost(Path::new(CPUS))
}

/// The governors of all cores, each once.
fn governors(cpus: &Path) -> Option<String> {
    let governor = |entry: fs::DirEntry| {
        let text = fs::read_to_string(entry.path().join("cpufreq/scaling_governor")).ok()?;
        Some(text.trim().to_owned())
    };
    let entries = fs::read_dir(cpus).ok()?.flatten();
    let all: BTreeSet<String> = entries.filter_map(governor).collect();
    let all: Vec<String> = all.into_iter().collect();
    (!all.is_empty()).then(|| all.join("+"))
}

/// `cpufreq/boost` of most drivers, `intel_pstate/no_turbo` of Intel's.
fn boost(cpus: &Path) -> Option<bool> {
    let flag = |file: &str| {
        let text = fs::read_to_string(cpus.join(file)).ok()?;
        Some(text.trim() == "1")
    };
    flag("cpufreq/boost").or_else(|| flag("intel_pstate/no_turbo").map(|off| !off))
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
fn block_devices(sys: &Path, device_number: &str) -> Vec<BlockDevice> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn governors_and_boost_are_read_as_both_drivers_show_them() {
        let cpus = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = cpus.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        // As in a virtual machine.
        write("cpu0/topology/core_id", "0\n");
        assert_eq!((governors(cpus.path()), boost(cpus.path())), (None, None));
        write("cpu0/cpufreq/scaling_governor", "powersave\n");
        write("cpu1/cpufreq/scaling_governor", "powersave\n");
        assert_eq!(governors(cpus.path()).as_deref(), Some("powersave"));
        write("cpu1/cpufreq/scaling_governor", "performance\n");
        assert_eq!(
            governors(cpus.path()).as_deref(),
            Some("performance+powersave")
        );
        write("intel_pstate/no_turbo", "0\n");
        assert_eq!(boost(cpus.path()), Some(true));
        write("intel_pstate/no_turbo", "1\n");
        assert_eq!(boost(cpus.path()), Some(false));
        write("cpufreq/boost", "1\n");
        assert_eq!(boost(cpus.path()), Some(true));
    }

    /// A partition of a disk below an encrypted volume, as in most laptops, and a RAID beside.
    #[test]
    fn disks_are_found_below_partitions_and_mappings() {
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
}
