//! The C side: a VFS that calls SQLite's default VFS and tells a [`Tally`] about it.
//!
//! The default VFS opens every file itself, in SQLite's own buffer; only then is the file's method
//! table exchanged for a copy in which `xRead`, `xSync` and `xWrite` are ours. Locks, shared memory and
//! memory maps are therefore the base's own functions on the base's own files, and connections
//! through several meters, or through none, share a database as ever.
//!
//! That is sound because SQLite's core reaches a file only through its table and never asks which
//! table it is, except to know its in-memory journals and databases, which are not ours. The unix
//! VFS asks once: for its proxy locking on macOS, whose table replaces ours when it is switched on
//! and is undone by calling ours again on close; in between such a file goes uncounted.
//!
//! The unix VFS syncs a directory inside the first `xSync` of a newly created journal or WAL, and
//! inside `xDelete` when asked to. [`super::directory`] makes that sync in its place; the `xSync`
//! or `xDelete` around it counts it, and reports `SQLITE_IOERR_DIR_FSYNC` when it failed or the
//! directory could not be opened. Files are synced by [`super::data_sync`] where it knows how.

#![allow(
    unsafe_code,
    reason = "a SQLite VFS is an interface of C functions and pointers"
)]

use std::ffi::{c_char, c_int, c_void};
use std::io;
use std::mem;
use std::os::fd::RawFd;
use std::ptr;
use std::sync::{Mutex, Once, PoisonError};
use std::time::Instant;

use libsqlite3_sys as ffi;

use super::data_sync;
use super::directory::{self, Directory};
use super::log_buffer::{LogBuffer, LogFile};
use super::{SyncKind, Tally, VfsError};
use crate::ledger_files::is_storage_full;

type OpenFn = unsafe extern "C" fn(
    *mut ffi::sqlite3_vfs,
    ffi::sqlite3_filename,
    *mut ffi::sqlite3_file,
    c_int,
    *mut c_int,
) -> c_int;
type DeleteFn = unsafe extern "C" fn(*mut ffi::sqlite3_vfs, *const c_char, c_int) -> c_int;
type ReadFn =
    unsafe extern "C" fn(*mut ffi::sqlite3_file, *mut c_void, c_int, ffi::sqlite3_int64) -> c_int;
type SyncFn = unsafe extern "C" fn(*mut ffi::sqlite3_file, c_int) -> c_int;
type WriteFn =
    unsafe extern "C" fn(*mut ffi::sqlite3_file, *const c_void, c_int, ffi::sqlite3_int64) -> c_int;

/// The lock of SQLite's shared memory that the writer of a log holds (`WAL_WRITE_LOCK`).
const LOG_WRITE_LOCK: c_int = 0;

/// The newest layouts of `sqlite3_vfs` and `sqlite3_io_methods` that the bindings know.
const VFS_VERSION_MAX: c_int = 3;
const IO_METHODS_VERSION_MAX: c_int = 3;

/// Registers a VFS that reports to `tally`, under its name. On success it lives as long as the
/// process.
pub(super) fn register(tally: &'static Tally) -> Result<(), VfsError> {
    keep_no_memory_statistics();
    // SAFETY: a null name asks for the default VFS; SQLite initialises itself when needed.
    let base = unsafe { ffi::sqlite3_vfs_find(ptr::null()) };
    if base.is_null() {
        return Err(VfsError::NoDefault);
    }
    // SAFETY: SQLite's built-in VFSs are static. Only the link to the next VFS ever changes, under
    // SQLite's own lock, and it is the one field not read, here and in `Shim::new`.
    let (open, delete, file_size) = unsafe { ((*base).xOpen, (*base).xDelete, (*base).szOsFile) };
    let (Some(open), Some(delete)) = (open, delete) else {
        return Err(VfsError::Incomplete);
    };
    // SQLite puts files one behind the other, so their size is a multiple of the alignment, too.
    let extra_offset = usize::try_from(file_size)
        .map_err(|_| VfsError::Incomplete)?
        .next_multiple_of(align_of::<Extra>());
    let file_size =
        c_int::try_from(extra_offset + size_of::<Extra>()).map_err(|_| VfsError::Incomplete)?;
    // SAFETY: `base` is the default VFS found above.
    unsafe {
        directory::hook(base);
        data_sync::hook(base);
    }

    let wiring = Wiring {
        base,
        open,
        delete,
        extra_offset,
        tally,
        tables: Mutex::default(),
    };
    // SAFETY: `base` is the default VFS found above.
    let shim = Box::into_raw(Box::new(unsafe { Shim::new(wiring, file_size) }));
    // SAFETY: the pointer is to the shim's first field, and the shim is not touched from here on
    // except by SQLite and through `wiring`. It is freed only when SQLite has not taken it.
    match unsafe { ffi::sqlite3_vfs_register(shim.cast(), 0) } {
        ffi::SQLITE_OK => Ok(()),
        code => {
            // SAFETY: from `into_raw` above; SQLite refuses before it keeps the pointer.
            drop(unsafe { Box::from_raw(shim) });
            Err(VfsError::Refused { code })
        }
    }
}

/// They are a lock and some counts at each of SQLite's allocations, and nobody reads them. Does
/// nothing when SQLite is in use already.
fn keep_no_memory_statistics() {
    static ONCE: Once = Once::new();
    // SAFETY: this option takes one integer. SQLite refuses it once it is initialised; that no
    // other thread initialises it just now is the contract of `IoMeter::register`.
    ONCE.call_once(|| unsafe {
        ffi::sqlite3_config(ffi::SQLITE_CONFIG_MEMSTATUS, 0 as c_int);
    });
}

/// What SQLite is given to register: it changes `vfs` (the link to the next VFS), never `wiring`.
#[repr(C)]
struct Shim {
    vfs: ffi::sqlite3_vfs,
    wiring: Wiring,
}

struct Wiring {
    base: *mut ffi::sqlite3_vfs,
    open: OpenFn,
    delete: DeleteFn,
    /// Where in a file's memory its [`Extra`] is.
    extra_offset: usize,
    tally: &'static Tally,
    /// One per kind of file and table of the base: the unix VFS has a handful, one for each way of
    /// locking. Never freed, since open files point to them.
    tables: Mutex<Vec<&'static Table>>,
}

/// A file's methods. SQLite sees the first field and hands it back with the file.
#[repr(C)]
struct Table {
    methods: ffi::sqlite3_io_methods,
    base: &'static ffi::sqlite3_io_methods,
    read: ReadFn,
    sync: SyncFn,
    write: WriteFn,
    /// Where in a file's memory its [`Extra`] is.
    extra_offset: usize,
    kind: SyncKind,
    tally: &'static Tally,
}

/// What a file has in addition to the base's, in the same memory, behind it.
#[repr(C)]
struct Extra {
    /// Of a log: its frames that are not written yet. Of a database: those of its log while that
    /// is open. Null otherwise. Owned by the log's file.
    ///
    /// A connection and its files are used by one thread at a time, so what this points to is too.
    frames: *mut LogBuffer,
    /// Of a log: the file of its database. Null otherwise.
    database: *mut ffi::sqlite3_file,
    /// What the base has opened the file with, where it has said so.
    descriptor: Option<RawFd>,
    /// Of a new journal or log that was not synced yet: its name, whose directory is to be synced
    /// with it. Null otherwise.
    unsynced_name: *const c_char,
}

impl Extra {
    /// # Safety
    /// `file` is memory of a file that a [`Shim`] over a base with files of `offset` bytes opens or
    /// has opened.
    unsafe fn of(file: *mut ffi::sqlite3_file, offset: usize) -> *mut Self {
        // SAFETY: SQLite gives a file as many bytes as `szOsFile` of its VFS says, aligned to 8.
        unsafe { file.byte_add(offset).cast() }
    }
}

impl Shim {
    /// A copy of the base that opens and deletes files our way. The base's other functions are
    /// called with the copy and find in it all that the base has, but for the name: the unix VFS
    /// looks at its name only when it opens a file, and then it is given the base.
    ///
    /// # Safety
    /// `wiring.base` is a registered VFS that is never freed.
    unsafe fn new(wiring: Wiring, file_size: c_int) -> Self {
        let base = wiring.base;
        // SAFETY: by the contract; the base's link to the next VFS, which other threads may be
        // changing, is not read.
        let vfs = unsafe {
            ffi::sqlite3_vfs {
                iVersion: (*base).iVersion.min(VFS_VERSION_MAX),
                szOsFile: file_size,
                pNext: ptr::null_mut(),
                zName: wiring.tally.name.as_ptr(),
                xOpen: Some(open),
                xDelete: Some(delete),
                ..*base
            }
        };
        Self { vfs, wiring }
    }
}

impl Wiring {
    /// # Safety
    /// `vfs` is the first field of a [`Shim`] that [`register`] gave to SQLite.
    unsafe fn of(vfs: *mut ffi::sqlite3_vfs) -> &'static Self {
        // SAFETY: by the contract. The shim is never freed once registered and nobody changes its
        // wiring; no reference is made to the part that SQLite changes.
        unsafe { &(*vfs.cast::<Shim>()).wiring }
    }

    /// The counting version of `base` for files of one kind.
    fn table(
        &self,
        base: &'static ffi::sqlite3_io_methods,
        kind: SyncKind,
    ) -> Option<&'static Table> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = tables
            .iter()
            .find(|t| ptr::eq(t.base, base) && t.kind == kind)
        {
            return Some(known);
        }
        let counted = ffi::sqlite3_io_methods {
            iVersion: base.iVersion.min(IO_METHODS_VERSION_MAX),
            xRead: Some(read),
            xSync: Some(sync),
            xWrite: Some(write),
            ..*base
        };
        let methods = match kind {
            SyncKind::Wal => ffi::sqlite3_io_methods {
                xClose: base.xClose.and(Some(close_log)),
                xTruncate: base.xTruncate.and(Some(truncate_log)),
                xFileSize: base.xFileSize.and(Some(log_size)),
                ..counted
            },
            SyncKind::Database => ffi::sqlite3_io_methods {
                xShmLock: base.xShmLock.and(Some(lock_shared_memory)),
                xShmBarrier: base.xShmBarrier.and(Some(shared_memory_barrier)),
                ..counted
            },
            SyncKind::Journal | SyncKind::Directory | SyncKind::Other => counted,
        };
        let table = Box::leak(Box::new(Table {
            methods,
            base,
            read: base.xRead?,
            sync: base.xSync?,
            write: base.xWrite?,
            extra_offset: self.extra_offset,
            kind,
            tally: self.tally,
        }));
        tables.push(table);
        Some(table)
    }
}

impl Table {
    /// # Safety
    /// `file` is open and its methods are a [`Table`]'s.
    unsafe fn of(file: *mut ffi::sqlite3_file) -> &'static Self {
        // SAFETY: by the contract; tables are never freed or changed, and the pointer that `open`
        // stored was made from a reference to the whole table.
        unsafe { &*(*file).pMethods.cast::<Self>() }
    }

    /// The frames of a log that are not written yet: those of the log that `file` is, or of the
    /// log of the database that `file` is.
    ///
    /// # Safety
    /// `file` is open, its methods are this table's, and its connection is used by this thread,
    /// which has no other reference to them.
    unsafe fn frames<'a>(&self, file: *mut ffi::sqlite3_file) -> Option<&'a mut LogBuffer> {
        // SAFETY: `open` has set the extra of every file, and `close_log` takes the pointer out
        // of both files before it frees what it points to.
        unsafe { (*Extra::of(file, self.extra_offset)).frames.as_mut() }
    }

    /// Makes the file durable, and the directory of a new journal or log, as the unix VFS does where
    /// it is compiled with `fdatasync` (`unixSync`). To be called under [`directory::watch`].
    ///
    /// # Safety
    /// As [`Table::frames`].
    unsafe fn sync_file(&self, file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
        // SAFETY: `open` has set the extra of every file.
        let extra = unsafe { &mut *Extra::of(file, self.extra_offset) };
        let Some(descriptor) = extra.descriptor else {
            // SAFETY: SQLite's own arguments, for the function that the base gave this file.
            return unsafe { (self.sync)(file, flags) };
        };
        // SAFETY: the base keeps it open as long as the file.
        let code = unsafe { data_sync::sync(descriptor) };
        if code == ffi::SQLITE_OK && !extra.unsynced_name.is_null() {
            // SAFETY: SQLite keeps the name that it opens a file by until it has closed it.
            unsafe { directory::sync(extra.unsynced_name) };
            extra.unsynced_name = ptr::null();
        }
        code
    }

    /// Writes the frames that are not written yet, if `file` is a log.
    ///
    /// # Safety
    /// As [`Table::frames`].
    unsafe fn flush(&'static self, file: *mut ffi::sqlite3_file) -> c_int {
        if self.kind != SyncKind::Wal {
            return ffi::SQLITE_OK;
        }
        // SAFETY: by the contract.
        match unsafe { self.frames(file) } {
            Some(frames) => frames.flush(&mut Base { table: self, file }),
            None => ffi::SQLITE_OK,
        }
    }
}

/// The base's own writing to a file, counted.
struct Base {
    table: &'static Table,
    /// Open, with the methods of `table`.
    file: *mut ffi::sqlite3_file,
}

impl LogFile for Base {
    fn write(&mut self, bytes: &[u8], offset: i64) -> c_int {
        let Ok(size_bytes) = c_int::try_from(bytes.len()) else {
            return ffi::SQLITE_IOERR_WRITE;
        };
        // SAFETY: an open file of this table, for the function that the base gave it, and as many
        // bytes as there are.
        let code =
            unsafe { (self.table.write)(self.file, bytes.as_ptr().cast(), size_bytes, offset) };
        if code == ffi::SQLITE_OK {
            let written = u64::from(size_bytes.unsigned_abs());
            self.table.tally.record_write(self.table.kind, written);
        } else if code == ffi::SQLITE_IOERR_WRITE && is_storage_full(&io::Error::last_os_error()) {
            // Of a full disk SQLite says so itself, of a quota that is used up it does not.
            return ffi::SQLITE_FULL;
        }
        code
    }
}

/// `xOpen`.
unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite calls this with the VFS it was found in.
    let wiring = unsafe { Wiring::of(vfs) };
    let (code, descriptor) = data_sync::watch(name, || {
        // SAFETY: SQLite's own arguments, and the VFS that the base's function belongs to.
        unsafe { (wiring.open)(wiring.base, name, file, flags, out_flags) }
    });
    if code != ffi::SQLITE_OK {
        return code;
    }
    // SAFETY: the base has opened the file, so its methods are set, to one of the base's tables,
    // which are static. Null, as for a file without methods, gives `None`.
    let base: Option<&'static ffi::sqlite3_io_methods> = unsafe { (*file).pMethods.as_ref() };
    let extra = Extra {
        frames: ptr::null_mut(),
        database: ptr::null_mut(),
        // Who syncs the file syncs its directory, too.
        descriptor: descriptor.filter(|_| directory::is_hooked()),
        unsynced_name: if creates_journal(flags) {
            name
        } else {
            ptr::null()
        },
    };
    // SAFETY: the file's memory ends with an extra, which is this call's alone.
    unsafe { Extra::of(file, wiring.extra_offset).write(extra) };
    if let Some(table) = base.and_then(|base| wiring.table(base, kind_of(flags))) {
        // SAFETY: the file is still this call's alone, and the new table answers for every method
        // of the old one, of the same version.
        unsafe { (*file).pMethods = ptr::from_ref(table).cast() };
        if table.kind == SyncKind::Wal && !name.is_null() {
            // SAFETY: the file was opened just above, under a name that SQLite made for a log.
            unsafe { open_log(table, name, file) };
        }
    }
    code
}

/// Gives a log its buffer, and lets its database's file know of it.
///
/// # Safety
/// `file` is open with the methods of `table`; `name` is what SQLite opened it by, as a log.
unsafe fn open_log(
    table: &'static Table,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
) {
    // SAFETY: SQLite has put the database's file where this finds it for every name of a log.
    let database = unsafe { ffi::sqlite3_database_file_object(name) };
    let frames = Box::into_raw(Box::new(LogBuffer::new()));
    // SAFETY: both files are open, by the same VFS: a connection has one for all its files.
    unsafe {
        let extra = Extra::of(file, table.extra_offset);
        (*extra).frames = frames;
        (*extra).database = database;
        if !database.is_null() {
            (*Extra::of(database, table.extra_offset)).frames = frames;
        }
    }
}

/// `xDelete`.
unsafe extern "C" fn delete(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    sync_directory: c_int,
) -> c_int {
    // SAFETY: SQLite calls this with the VFS it was found in.
    let wiring = unsafe { Wiring::of(vfs) };
    let (code, directory) = directory::watch(|| {
        // SAFETY: SQLite's own arguments, and the VFS that the base's function belongs to.
        unsafe { (wiring.delete)(wiring.base, name, sync_directory) }
    });
    if let Directory::Tried { began_at, .. } = directory {
        wiring
            .tally
            .record_sync(SyncKind::Directory, began_at.elapsed());
    }
    if code == ffi::SQLITE_IOERR_DIR_FSYNC {
        wiring.tally.record_sync_error();
    }
    code
}

/// `xSync`.
unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: this function is reached only through a `Table`.
    let table = unsafe { Table::of(file) };
    // SAFETY: SQLite's own file, in a call of its connection.
    let code = unsafe { table.flush(file) };
    if code != ffi::SQLITE_OK {
        return code;
    }
    let started_at = Instant::now();
    let (code, directory) = directory::watch(|| {
        // SAFETY: SQLite's own arguments, in a call of the file's connection.
        unsafe { table.sync_file(file, flags) }
    });
    let ended_at = Instant::now();
    let file_ended_at = match directory {
        Directory::Tried { began_at, .. } => began_at,
        Directory::NotAsked | Directory::NotOpened => ended_at,
    };
    table
        .tally
        .record_sync(table.kind, file_ended_at.duration_since(started_at));
    if let Directory::Tried { began_at, .. } = directory {
        table
            .tally
            .record_sync(SyncKind::Directory, ended_at.duration_since(began_at));
    }
    if code != ffi::SQLITE_OK {
        table.tally.record_sync_error();
    }
    code
}

/// `xRead`.
unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    data: *mut c_void,
    size_bytes: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: this function is reached only through a `Table`.
    let table = unsafe { Table::of(file) };
    // SAFETY: SQLite's own file, in a call of its connection.
    let code = unsafe { table.flush(file) };
    if code != ffi::SQLITE_OK {
        return code;
    }
    // SAFETY: SQLite's own arguments, for the function that the base gave this file.
    match unsafe { (table.read)(file, data, size_bytes, offset) } {
        // That the disk cannot read it, SQLite would call a malformed database.
        ffi::SQLITE_IOERR_CORRUPTFS => ffi::SQLITE_IOERR_READ,
        code => code,
    }
}

/// `xWrite`.
unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    data: *const c_void,
    size_bytes: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: this function is reached only through a `Table`.
    let table = unsafe { Table::of(file) };
    let Ok(length) = usize::try_from(size_bytes) else {
        return ffi::SQLITE_IOERR_WRITE;
    };
    // SAFETY: SQLite hands over as many bytes as it says, for the time of this call.
    let data = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), length) };
    let mut base = Base { table, file };
    if table.kind == SyncKind::Wal
        // SAFETY: SQLite's own file, in a call of its connection.
        && let Some(frames) = unsafe { table.frames(file) }
    {
        return frames.write(data, offset, &mut base);
    }
    base.write(data, offset)
}

/// `xFileSize` of a log.
unsafe extern "C" fn log_size(
    file: *mut ffi::sqlite3_file,
    size_bytes: *mut ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: this function is reached only through a `Table`.
    let table = unsafe { Table::of(file) };
    // SAFETY: SQLite's own file, in a call of its connection.
    let code = unsafe { table.flush(file) };
    match table.base.xFileSize {
        // SAFETY: SQLite's own arguments, for the function that the base gave this file.
        Some(size) if code == ffi::SQLITE_OK => unsafe { size(file, size_bytes) },
        Some(_) => code,
        None => ffi::SQLITE_IOERR_FSTAT,
    }
}

/// `xTruncate` of a log: what is not written yet was to be cut off.
unsafe extern "C" fn truncate_log(
    file: *mut ffi::sqlite3_file,
    size_bytes: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: this function is reached only through a `Table`.
    let table = unsafe { Table::of(file) };
    // SAFETY: SQLite's own file, in a call of its connection.
    if let Some(frames) = unsafe { table.frames(file) } {
        frames.discard();
    }
    match table.base.xTruncate {
        // SAFETY: SQLite's own arguments, for the function that the base gave this file.
        Some(truncate) => unsafe { truncate(file, size_bytes) },
        None => ffi::SQLITE_IOERR_TRUNCATE,
    }
}

/// `xClose` of a log. What is not written yet was never committed.
unsafe extern "C" fn close_log(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: this function is reached only through a `Table`.
    let table = unsafe { Table::of(file) };
    // SAFETY: SQLite closes a log before its database, so both files are still open, and nothing
    // else refers to the frames. They were made by `open_log`, from a box.
    unsafe {
        let extra = &mut *Extra::of(file, table.extra_offset);
        let database = mem::replace(&mut extra.database, ptr::null_mut());
        if !database.is_null() {
            (*Extra::of(database, table.extra_offset)).frames = ptr::null_mut();
        }
        let frames = mem::replace(&mut extra.frames, ptr::null_mut());
        if !frames.is_null() {
            drop(Box::from_raw(frames));
        }
    }
    match table.base.xClose {
        // SAFETY: SQLite's own argument, for the function that the base gave this file.
        Some(close) => unsafe { close(file) },
        None => ffi::SQLITE_OK,
    }
}

/// `xShmLock` of a database. A connection that gives up the log's write lock has committed, and
/// then nothing is left to be written, or has given its transaction up.
unsafe extern "C" fn lock_shared_memory(
    file: *mut ffi::sqlite3_file,
    first: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    const RELEASE: c_int = ffi::SQLITE_SHM_UNLOCK | ffi::SQLITE_SHM_EXCLUSIVE;
    // SAFETY: this function is reached only through a `Table`.
    let table = unsafe { Table::of(file) };
    if flags & RELEASE == RELEASE
        && first <= LOG_WRITE_LOCK
        && LOG_WRITE_LOCK < first + count
        // SAFETY: SQLite's own file, in a call of its connection.
        && let Some(frames) = unsafe { table.frames(file) }
    {
        frames.discard();
    }
    match table.base.xShmLock {
        // SAFETY: SQLite's own arguments, for the function that the base gave this file.
        Some(lock) => unsafe { lock(file, first, count, flags) },
        None => ffi::SQLITE_IOERR_SHMLOCK,
    }
}

/// `xShmBarrier` of a database: what comes before it is seen by whoever sees what comes after it.
/// SQLite publishes a commit in the log's index around one.
unsafe extern "C" fn shared_memory_barrier(file: *mut ffi::sqlite3_file) {
    // SAFETY: this function is reached only through a `Table`.
    let table = unsafe { Table::of(file) };
    debug_assert!(
        // SAFETY: SQLite's own file, in a call of its connection.
        unsafe { table.frames(file) }.is_none_or(|frames| frames.is_empty()),
        "nothing is published that is not in the file"
    );
    if let Some(barrier) = table.base.xShmBarrier {
        // SAFETY: SQLite's own argument, for the function that the base gave this file.
        unsafe { barrier(file) };
    }
}

/// Whether a file that is opened may be a new one whose name must be durable before what is in it is
/// relied on (`isNewJrnl` of `unixOpen`).
fn creates_journal(open_flags: c_int) -> bool {
    const NAMED: c_int =
        ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL | ffi::SQLITE_OPEN_WAL;
    open_flags & ffi::SQLITE_OPEN_CREATE != 0 && open_flags & NAMED != 0
}

fn kind_of(open_flags: c_int) -> SyncKind {
    const JOURNAL: c_int = ffi::SQLITE_OPEN_MAIN_JOURNAL
        | ffi::SQLITE_OPEN_SUPER_JOURNAL
        | ffi::SQLITE_OPEN_SUBJOURNAL;
    if open_flags & ffi::SQLITE_OPEN_MAIN_DB != 0 {
        SyncKind::Database
    } else if open_flags & ffi::SQLITE_OPEN_WAL != 0 {
        SyncKind::Wal
    } else if open_flags & JOURNAL != 0 {
        SyncKind::Journal
    } else {
        SyncKind::Other
    }
}

#[cfg(all(test, target_os = "linux"))]
#[path = "../../tests/support/nobody.rs"]
mod nobody;

#[cfg(test)]
mod tests {
    use std::ffi::{CStr, CString};

    use rusqlite::{Connection, OpenFlags};

    use super::super::IoMeter;
    use super::*;

    #[test]
    fn tables_are_made_once_however_often_files_are_opened() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger.sqlite");
        let meter = IoMeter::register().unwrap();
        for round in 0..20 {
            let connection =
                Connection::open_with_flags_and_vfs(&path, OpenFlags::default(), meter.vfs_name())
                    .unwrap();
            connection
                .execute_batch(&format!(
                    "CREATE TABLE t{round}(x); CREATE TEMP TABLE u(x);"
                ))
                .unwrap();
        }
        // SAFETY: the name ends in a nul, and the meter's VFS is a shim's.
        let wiring = unsafe { Wiring::of(ffi::sqlite3_vfs_find(meter.vfs_name().as_ptr())) };
        let table_count = wiring.tables.lock().unwrap().len();
        assert!((2..=4).contains(&table_count), "{table_count} tables");
    }

    /// What SQLite does with it is in `tests/unopened_directory.rs`.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_removal_whose_directory_cannot_be_opened_is_an_error_if_it_was_to_be_synced() {
        let name = "a_removal_whose_directory_cannot_be_opened_is_an_error";
        let Some(directory) = super::nobody::Restricted::make(name) else {
            return;
        };
        let meter = IoMeter::register().unwrap();
        let path = directory.path().join("journal");
        let c_path = CString::new(path.to_str().unwrap()).unwrap();
        let delete = |sync_directory| {
            // SAFETY: the name ends in a nul, the meter's VFS is a shim's and has `xDelete`, which
            // is given itself and a path that ends in a nul.
            unsafe {
                let vfs = ffi::sqlite3_vfs_find(meter.vfs_name().as_ptr());
                (*vfs).xDelete.unwrap()(vfs, c_path.as_ptr(), sync_directory)
            }
        };
        let counted = || {
            let counts = meter.counts();
            (counts.syncs.directory, counts.sync_errors)
        };
        for (readable, sync_directory, code, counts) in [
            (true, 1, ffi::SQLITE_OK, (1, 0)),
            (false, 0, ffi::SQLITE_OK, (1, 0)),
            (false, 1, ffi::SQLITE_IOERR_DIR_FSYNC, (1, 1)),
            (true, 1, ffi::SQLITE_OK, (2, 1)),
        ] {
            std::fs::write(&path, "").unwrap();
            directory.readable(readable);
            assert_eq!(delete(sync_directory), code);
            assert!(!path.exists(), "it is removed all the same");
            assert_eq!(counted(), counts);
        }
        directory.readable(false);
        assert_eq!(delete(1), ffi::SQLITE_IOERR_DELETE_NOENT);
        assert_eq!(counted(), (2, 1), "there was nothing to be synced");
    }

    #[test]
    fn the_default_vfs_stays_the_default() {
        let meter = IoMeter::register().unwrap();
        // SAFETY: a null name asks for the default VFS, whose name ends in a nul.
        let default = unsafe { CStr::from_ptr((*ffi::sqlite3_vfs_find(ptr::null())).zName) };
        assert_ne!(default, meter.vfs_name());
    }
}
