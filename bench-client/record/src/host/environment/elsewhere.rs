//! On systems other than Linux: little is known.

use std::path::Path;

use super::Storage;

pub(super) fn cpu_model() -> Option<String> {
    None
}

pub(super) fn logical_cores() -> Option<u32> {
    None
}

pub(super) fn cpu_governor() -> Option<String> {
    None
}

pub(super) fn cpu_boost() -> Option<bool> {
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
