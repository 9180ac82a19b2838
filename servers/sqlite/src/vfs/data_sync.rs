//! Files of a meter are synced by `fdatasync`, however SQLite was compiled.
//!
//! SQLite's unix VFS calls `fsync` unless it is compiled with `HAVE_FDATASYNC`, which only a build
//! with that flag in its environment is (docs/adr/0041-the-same-program-from-everywhere.md). It
//! opens files through a function that `xSetSystemCall` can replace; ours notes the descriptor, and
//! `xSync` calls `fdatasync` with it: what SQLite itself would call, with the descriptor that it
//! would use.
//!
//! Where the descriptor is not known, SQLite syncs the file by itself: it may use one again that it
//! kept open for the sake of its locks.

#![allow(
    unsafe_code,
    reason = "SQLite's unix VFS keeps its system calls as C function pointers"
)]

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int};
use std::fs::File;
use std::mem::ManuallyDrop;
use std::os::fd::{FromRawFd as _, RawFd};
use std::ptr;
use std::sync::OnceLock;

use libsqlite3_sys as ffi;

use super::system_call::{self, SystemCall};

type OpenFn = unsafe extern "C" fn(*const c_char, c_int, c_int) -> c_int;

/// The name under which the unix VFS lists the function that opens files.
const OPEN_NAME: &CStr = c"open";

/// The unix VFS keeps no file open under a lower descriptor (`SQLITE_MINIMUM_FILE_DESCRIPTOR`).
const DESCRIPTOR_MIN: RawFd = 3;

/// The base's function, set before ours takes its place.
static BASE_OPEN: OnceLock<OpenFn> = OnceLock::new();
/// Whether ours is in place.
static HOOKED: OnceLock<bool> = OnceLock::new();

thread_local! {
    /// The name that the call of [`watch`] that this thread is in opens, and its descriptor.
    static WATCHED: Cell<Option<(*const c_char, Option<RawFd>)>> = const { Cell::new(None) };
}

/// Puts our function in the place of the base's, if the base has it and this was not done before.
/// Only on Linux: elsewhere `fdatasync` may be missing, or promise less.
///
/// # Safety
/// `base` is a registered VFS that is never freed, the same in every call.
pub(super) unsafe fn hook(base: *mut ffi::sqlite3_vfs) {
    let keep = |original: SystemCall| {
        // SAFETY: SQLite keeps these functions as `void (*)(void)`; of this name it is, by its
        // documentation in os_unix.c, `int (*)(const char*, int, int)`.
        let original = unsafe { std::mem::transmute::<SystemCall, OpenFn>(original) };
        BASE_OPEN.get_or_init(|| original);
    };
    // SAFETY: the same type in the other direction.
    let ours = unsafe { std::mem::transmute::<OpenFn, SystemCall>(open) };
    HOOKED.get_or_init(|| {
        // SAFETY: by the contract; ours calls the base's.
        cfg!(target_os = "linux") && unsafe { system_call::replace(base, OPEN_NAME, keep, ours) }
    });
}

/// Runs one call of the base that opens the file `name`, and says by which descriptor, where the
/// base has opened it just now. If the call failed, that means nothing.
pub(super) fn watch(name: *const c_char, call: impl FnOnce() -> c_int) -> (c_int, Option<RawFd>) {
    WATCHED.set(Some((name, None)));
    let code = call();
    let descriptor = WATCHED.take().and_then(|(_, descriptor)| descriptor);
    (code, descriptor)
}

/// `fdatasync`, by the C library as SQLite calls it.
///
/// # Safety
/// `descriptor` is open, and stays so during the call.
pub(super) unsafe fn sync(descriptor: RawFd) -> c_int {
    // SAFETY: by the contract; not closed here.
    let file = ManuallyDrop::new(unsafe { File::from_raw_fd(descriptor) });
    match file.sync_data() {
        Ok(()) => ffi::SQLITE_OK,
        Err(_) => ffi::SQLITE_IOERR_FSYNC,
    }
}

/// Stands in for the unix VFS's `open`, for every connection of the process.
unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: c_int) -> c_int {
    let Some(base) = BASE_OPEN.get() else {
        return -1; // never: it is set before this function can be reached
    };
    // SAFETY: SQLite's own arguments for the function that this one stands in for.
    let descriptor = unsafe { base(path, flags, mode) };
    // The unix VFS hands the name that it was given to this function, the pointer itself. It may
    // call more than once, until one serves: the last is the one that it keeps.
    if let Some((name, _)) = WATCHED.get()
        && ptr::eq(name, path)
    {
        WATCHED.set(Some((
            name,
            (descriptor >= DESCRIPTOR_MIN).then_some(descriptor),
        )));
    }
    descriptor
}
