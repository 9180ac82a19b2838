//! The sync of a directory, made and judged here, because SQLite does not say whether it failed.
//!
//! The unix VFS opens a directory that it is to sync through a function that `xSetSystemCall` can
//! replace. What follows it does by itself: it passes over a directory that it cannot open, and in
//! `xSync`, after a new journal or log, over the error of the sync too (`os_unix.c`: `unixSync` and
//! `unixDelete`, the two callers). So our replacement opens the directory, syncs and closes it, and
//! answers that it cannot be opened: nothing is left to be done, and there is one sync as before.
//! [`watch`], which is around the call, knows how it went.
//!
//! Where `xSync` does not call the base (`data_sync.rs`), it asks for the directory by [`sync`].
//!
//! That is for files of a meter. Calls of other connections find the base's own function.

#![allow(
    unsafe_code,
    reason = "SQLite's unix VFS keeps its system calls as C function pointers"
)]

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int};
use std::fs::File;
use std::os::fd::FromRawFd as _;
use std::sync::OnceLock;
use std::time::Instant;

use libsqlite3_sys as ffi;

use super::system_call::{self, SystemCall};

type OpenDirectoryFn = unsafe extern "C" fn(*const c_char, *mut c_int) -> c_int;

/// The name under which the unix VFS lists the function that opens directories.
const OPEN_DIRECTORY_NAME: &CStr = c"openDirectory";

/// The base's function, set before ours takes its place.
static BASE_OPEN_DIRECTORY: OnceLock<OpenDirectoryFn> = OnceLock::new();
/// Whether ours is in place.
static HOOKED: OnceLock<bool> = OnceLock::new();

/// What became of the directory in one call of the base.
#[derive(Debug, Clone, Copy)]
pub(super) enum Directory {
    /// It was not to be synced, or the base is none that syncs directories.
    NotAsked,
    /// It was to be synced and could not be opened.
    NotOpened,
    /// It was opened, from this moment on, and a sync was made.
    Tried {
        /// Before it was opened.
        began_at: Instant,
        /// Whether the sync succeeded.
        synced: bool,
    },
}

thread_local! {
    /// What the call of [`watch`] that this thread is in has seen; `None` outside of it.
    static WATCHED: Cell<Option<Directory>> = const { Cell::new(None) };
}

/// Puts our function in the place of the base's, if the base has it and this was not done before.
///
/// # Safety
/// `base` is a registered VFS that is never freed, the same in every call.
pub(super) unsafe fn hook(base: *mut ffi::sqlite3_vfs) {
    let keep = |original: SystemCall| {
        // SAFETY: SQLite keeps these functions as `void (*)(void)`; of this name it is, by its
        // documentation in os_unix.c, `int (*)(const char*, int*)`.
        let original = unsafe { std::mem::transmute::<SystemCall, OpenDirectoryFn>(original) };
        BASE_OPEN_DIRECTORY.get_or_init(|| original);
    };
    // SAFETY: the same type in the other direction.
    let ours = unsafe { std::mem::transmute::<OpenDirectoryFn, SystemCall>(open_directory) };
    // SAFETY: by the contract; ours calls the base's.
    HOOKED.get_or_init(|| unsafe { system_call::replace(base, OPEN_DIRECTORY_NAME, keep, ours) });
}

/// See [`super::IoMeter::sees_directory_syncs`].
pub(super) fn is_hooked() -> bool {
    HOOKED.get().copied().unwrap_or(false)
}

/// Runs one call of the base, which syncs at most one directory, and says what became of that. A
/// call that went well but for a directory that was not synced has not gone well.
pub(super) fn watch(call: impl FnOnce() -> c_int) -> (c_int, Directory) {
    WATCHED.set(Some(Directory::NotAsked));
    let code = call();
    let directory = WATCHED.take().unwrap_or(Directory::NotAsked);
    let synced = match directory {
        Directory::NotAsked => true,
        Directory::NotOpened => false,
        Directory::Tried { synced, .. } => synced,
    };
    if code == ffi::SQLITE_OK && !synced {
        return (ffi::SQLITE_IOERR_DIR_FSYNC, directory);
    }
    (code, directory)
}

/// Syncs the directory of a file, as the base asks for it in `xSync`. To be called under [`watch`],
/// which knows how it went, and only if [`is_hooked`].
///
/// # Safety
/// `path` ends in a nul.
pub(super) unsafe fn sync(path: *const c_char) {
    debug_assert!(WATCHED.get().is_some(), "it would hand out a descriptor");
    let mut descriptor = -1;
    // SAFETY: by the contract; the descriptor is closed there.
    unsafe { open_directory(path, &raw mut descriptor) };
}

/// Stands in for the unix VFS's `openDirectory`, for every connection of the process. Under
/// [`watch`] it never hands out a descriptor.
unsafe extern "C" fn open_directory(path: *const c_char, descriptor: *mut c_int) -> c_int {
    let began_at = Instant::now();
    let Some(base) = BASE_OPEN_DIRECTORY.get() else {
        return ffi::SQLITE_CANTOPEN; // never: it is set before this function can be reached
    };
    // SAFETY: SQLite's own arguments for the function that this one stands in for.
    let code = unsafe { base(path, descriptor) };
    if WATCHED.get().is_none() {
        return code;
    }
    if code != ffi::SQLITE_OK {
        WATCHED.set(Some(Directory::NotOpened));
        return code;
    }
    // SAFETY: the base has just opened it and stored it there. SQLite, told that it was not opened,
    // does not look at it again: it is this call's alone.
    let directory = unsafe { File::from_raw_fd(*descriptor) };
    // The call that SQLite makes where it has one; on macOS one that reaches the medium.
    let synced = directory.sync_data().is_ok();
    WATCHED.set(Some(Directory::Tried { began_at, synced }));
    ffi::SQLITE_CANTOPEN
}
