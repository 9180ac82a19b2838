//! The exchange of one of the functions through which SQLite's unix VFS calls the system.

#![allow(
    unsafe_code,
    reason = "SQLite's unix VFS keeps its system calls as C function pointers"
)]

use std::ffi::CStr;

use libsqlite3_sys as ffi;

/// As SQLite keeps them, whatever they take and answer.
pub(super) type SystemCall = unsafe extern "C" fn();

/// Puts `ours` in the place of the base's function of that name, after `keep` was given the base's.
/// True when done, false when the base has no such functions.
///
/// # Safety
/// `base` is a registered VFS that is never freed; `ours` is of the type that the base has under
/// this name and serves from any thread as soon as `keep` has returned.
pub(super) unsafe fn replace(
    base: *mut ffi::sqlite3_vfs,
    name: &CStr,
    keep: impl FnOnce(SystemCall),
    ours: SystemCall,
) -> bool {
    // SAFETY: by the contract; the link to the next VFS is not read.
    let (version, get, set) = unsafe {
        (
            (*base).iVersion,
            (*base).xGetSystemCall,
            (*base).xSetSystemCall,
        )
    };
    let (3.., Some(get), Some(set)) = (version, get, set) else {
        return false;
    };
    // SAFETY: the base's own function and a name that ends in a nul.
    let Some(original) = (unsafe { get(base, name.as_ptr()) }) else {
        return false;
    };
    keep(original);
    // SAFETY: the base's own function. It stores one aligned pointer in a table of C; a thread that
    // is just reading it finds the old or the new function, and both serve.
    let code = unsafe { set(base, name.as_ptr(), Some(ours)) };
    code == ffi::SQLITE_OK
}
