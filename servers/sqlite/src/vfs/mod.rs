//! Disk syncs counted and timed, and bytes written counted, where SQLite makes them.
//!
//! An [`IoMeter`] is a virtual file system (VFS) registered with SQLite under a name of its own.
//! It hands every call to SQLite's default VFS and takes notes on the way; a connection opened
//! through it behaves like any other. Connections on one meter share its counts, connections on
//! two meters may share a database file: a meter per connection tells the commits' syncs from the
//! checkpoints'.
//!
//! What is counted are the calls to `fsync` or `fdatasync` that SQLite asks for, one for one, those
//! that failed included. The directory's are among them although SQLite makes them
//! inside other calls. `tests/sync_count_strace.rs` holds the counts against the kernel's.
//!
//! **Architecture Invariant**: nothing here changes what is written or synced, nor the order. Frames
//! of the log are written together, at the latest when their transaction commits (`log_buffer.rs`),
//! and files are synced by `fdatasync` however SQLite was compiled (`data_sync.rs`).
//! One thing is told that SQLite would pass over: a directory that cannot be opened or synced is an
//! I/O error of the call that was to sync it (docs/adr/0019-delete-full-is-not-durable.md).

mod data_sync;
mod directory;
mod log_buffer;
mod shim;
mod system_call;
#[cfg(test)]
mod tests;

use std::ffi::{CStr, CString};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use busload_wire::control::{BytesByFile, SyncsByFile};

/// The most [`SyncSample`]s a meter holds between two [`IoMeter::take_sync_samples`].
pub const SYNC_SAMPLES_MAX: usize = 4_096;

/// Why an [`IoMeter`] could not be registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VfsError {
    /// SQLite could not be initialised, or was built without a VFS.
    #[error("sqlite has no default virtual file system")]
    NoDefault,
    /// The default VFS cannot open or delete files.
    #[error("sqlite's default virtual file system lacks a required method")]
    Incomplete,
    /// SQLite refused the registration.
    #[error("sqlite refused to register a virtual file system (code {code})")]
    Refused {
        /// SQLite's result code.
        code: i32,
    },
}

/// What a sync made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SyncKind {
    /// The main file of a database.
    Database,
    /// The write-ahead log.
    Wal,
    /// A rollback journal: of a database, of a savepoint, or the one that joins several databases.
    Journal,
    /// The directory that holds a file just created or deleted.
    Directory,
    /// Temporary files.
    Other,
}

impl SyncKind {
    const COUNT: usize = 5;
}

/// One sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyncSample {
    /// What was synced.
    pub kind: SyncKind,
    /// How long the caller waited for it.
    pub latency_ns: u64,
}

/// What a meter has seen: totals since it was registered, or, by [`IoCounts::since`], between two
/// readings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IoCounts {
    /// Syncs, by what was synced; those of the directory are 0 where they cannot be seen
    /// ([`IoMeter::sees_directory_syncs`]), those of other files are of temporary ones.
    pub syncs: SyncsByFile,
    /// Bytes written, by file. What SQLite stores through the shared memory of the WAL index is
    /// not among them.
    pub bytes_written: BytesByFile,
    /// Syncs that failed; each is also counted in its kind, but for a directory that could not be
    /// opened: that sync was not made.
    pub sync_errors: u64,
    /// Time spent waiting for syncs, summed over threads.
    pub sync_ns: u64,
}

impl IoCounts {
    /// The sum of two meters' counts.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        self.with(other, |one, more| one + more)
    }

    /// What came after `earlier`, a reading of the same meter. No field goes below 0.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        self.with(earlier, u64::saturating_sub)
    }

    fn with(&self, other: &Self, field: fn(u64, u64) -> u64) -> Self {
        let (syncs, more) = (&self.syncs, &other.syncs);
        let (bytes, more_bytes) = (&self.bytes_written, &other.bytes_written);
        Self {
            syncs: SyncsByFile {
                database: field(syncs.database, more.database),
                wal: field(syncs.wal, more.wal),
                journal: field(syncs.journal, more.journal),
                directory: field(syncs.directory, more.directory),
                other: field(syncs.other, more.other),
            },
            bytes_written: BytesByFile {
                database: field(bytes.database, more_bytes.database),
                wal: field(bytes.wal, more_bytes.wal),
                journal: field(bytes.journal, more_bytes.journal),
                other: field(bytes.other, more_bytes.other),
            },
            sync_errors: field(self.sync_errors, other.sync_errors),
            sync_ns: field(self.sync_ns, other.sync_ns),
        }
    }
}

/// A handle on one registered VFS and its counts. Clones read the same counts.
///
/// SQLite keeps pointers into a VFS for as long as any connection is open, and there is no asking
/// whether one is. So a registration lasts as long as the process and its memory (about a
/// kilobyte, and up to 64 KiB of samples that nobody takes) is never freed: register one meter per
/// engine or per connection, not one per transaction.
#[derive(Clone)]
pub struct IoMeter {
    tally: &'static Tally,
}

impl IoMeter {
    /// Registers a new VFS over SQLite's default one, under a name that no other meter has.
    ///
    /// The first call in a process also hooks the functions by which SQLite's unix VFS opens files
    /// and directories, and has SQLite keep no statistics of its memory if nothing has used it yet.
    /// Make it before other threads use SQLite.
    ///
    /// # Errors
    /// When SQLite has no usable default VFS or refuses the new one.
    pub fn register() -> Result<Self, VfsError> {
        let tally = Box::leak(Box::new(Tally::new()));
        shim::register(tally)?;
        Ok(Self { tally })
    }

    /// The name to open connections with:
    /// `Connection::open_with_flags_and_vfs(path, flags, meter.vfs_name())`.
    #[must_use]
    pub fn vfs_name(&self) -> &CStr {
        &self.tally.name
    }

    /// Whether syncs of directories are seen. They are on SQLite's unix VFS.
    #[must_use]
    pub fn sees_directory_syncs(&self) -> bool {
        directory::is_hooked()
    }

    /// The counts so far. They hold all that this thread has caused; while other threads write,
    /// the fields need not be of the same instant.
    #[must_use]
    pub fn counts(&self) -> IoCounts {
        let syncs = |kind: SyncKind| self.tally.syncs[kind as usize].load(Relaxed);
        let written_bytes = |kind: SyncKind| self.tally.written_bytes[kind as usize].load(Relaxed);
        IoCounts {
            syncs: SyncsByFile {
                database: syncs(SyncKind::Database),
                wal: syncs(SyncKind::Wal),
                journal: syncs(SyncKind::Journal),
                directory: syncs(SyncKind::Directory),
                other: syncs(SyncKind::Other),
            },
            bytes_written: BytesByFile {
                database: written_bytes(SyncKind::Database),
                wal: written_bytes(SyncKind::Wal),
                journal: written_bytes(SyncKind::Journal),
                other: written_bytes(SyncKind::Other),
            },
            sync_errors: self.tally.sync_errors.load(Relaxed),
            sync_ns: self.tally.sync_ns.load(Relaxed),
        }
    }

    /// Moves the samples gathered since the last call to the end of `out`, oldest first, and
    /// returns how many were missed because [`SYNC_SAMPLES_MAX`] were waiting already. A missed
    /// sample's sync is still in [`IoMeter::counts`].
    pub fn take_sync_samples(&self, out: &mut Vec<SyncSample>) -> u64 {
        let mut samples = self.tally.samples();
        out.append(&mut samples.waiting);
        std::mem::take(&mut samples.missed_count)
    }
}

/// The counters that the shim adds to: only statistics, so every access is relaxed.
struct Tally {
    name: CString,
    /// By [`SyncKind`].
    syncs: [AtomicU64; SyncKind::COUNT],
    sync_errors: AtomicU64,
    sync_ns: AtomicU64,
    /// By [`SyncKind`]; nothing is written to a directory.
    written_bytes: [AtomicU64; SyncKind::COUNT],
    samples: Mutex<Samples>,
}

#[derive(Default)]
struct Samples {
    /// At most [`SYNC_SAMPLES_MAX`].
    waiting: Vec<SyncSample>,
    missed_count: u64,
}

impl Tally {
    fn new() -> Self {
        Self {
            name: fresh_name(),
            syncs: Default::default(),
            sync_errors: AtomicU64::new(0),
            sync_ns: AtomicU64::new(0),
            written_bytes: Default::default(),
            samples: Mutex::default(),
        }
    }

    fn record_sync(&self, kind: SyncKind, latency: Duration) {
        let latency_ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.syncs[kind as usize].fetch_add(1, Relaxed);
        self.sync_ns.fetch_add(latency_ns, Relaxed);
        let mut samples = self.samples();
        if samples.waiting.len() < SYNC_SAMPLES_MAX {
            samples.waiting.push(SyncSample { kind, latency_ns });
        } else {
            samples.missed_count += 1;
        }
    }

    fn record_sync_error(&self) {
        self.sync_errors.fetch_add(1, Relaxed);
    }

    fn record_write(&self, kind: SyncKind, written_bytes: u64) {
        self.written_bytes[kind as usize].fetch_add(written_bytes, Relaxed);
    }

    fn samples(&self) -> MutexGuard<'_, Samples> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `busload-1`, `busload-2` and so on.
fn fresh_name() -> CString {
    static REGISTERED_COUNT: AtomicU64 = AtomicU64::new(0);
    let number = REGISTERED_COUNT.fetch_add(1, Relaxed) + 1;
    CString::new(format!("busload-{number}")).expect("letters and digits hold no nul")
}
