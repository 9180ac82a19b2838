//! Moves the write-ahead log into the database, so that no COMMIT pays for it, its errors are
//! seen and the log stays bounded.
//!
//! A second connection copies most of the log on a thread of its own while the writer commits.
//! Under constant writes it never reaches the log's end, so the log would never start again from
//! its beginning: the writer copies the short rest itself between two batches. That is the only
//! time in which it stands still.
//!
//! SQLite resets a log only when all of it is in the database and nobody reads from it, so a
//! process that keeps a read transaction open makes it grow. That is told ([`Degradation::LogGrowing`])
//! and ends at the limit, where transfers are refused.
//!
//! A pass that does not reach the end of the log copies pages without a sync and notes them as
//! copied. After a sync that failed the kernel may have dropped such pages, and no later
//! checkpoint would copy them again before the log is overwritten. So the engine stops: a recovery
//! copies all of the log anew.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use busload_engine::{CheckpointRecord, Degradation, EngineError, Monitor};
use rusqlite::{Connection, ffi};

use crate::config::Config;
use crate::store::{BUSY_TIMEOUT, Store};
use crate::vfs::IoMeter;

/// Bytes that a frame of the write-ahead log has besides its page.
const FRAME_HEADER_BYTES: u64 = 24;

/// The log may become this many times as long as a checkpoint should leave it before health
/// is degraded: a checkpoint takes its time, in which the log grows.
const GROWING_FACTOR: u64 = 8;

/// Passes over the log in the background before the writer copies the rest: the first one takes
/// long enough for the rest to be long again, the second one does not.
const BACKGROUND_PASSES: u32 = 2;

/// How far a pass over the log got.
#[derive(Debug, Clone, Copy)]
struct Progress {
    /// Frames in the log.
    log_frames: u64,
    /// Of them, those that are in the database.
    copied_frames: u64,
}

/// Copies what nobody needs in the log any more; waits for nobody.
fn pass(connection: &Connection) -> Result<Progress, rusqlite::Error> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        // Both are -1 without a log.
        let frames = |n: i64| u64::try_from(n).unwrap_or(0);
        Ok(Progress {
            log_frames: frames(row.get(1)?),
            copied_frames: frames(row.get(2)?),
        })
    })
}

/// Whether the kernel may have dropped what SQLite had written before.
fn is_failed_sync(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|it| it.extended_code);
    matches!(
        code,
        Some(ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC)
    )
}

fn unsynced(error: rusqlite::Error) -> EngineError {
    EngineError::CheckpointUnsynced(Arc::new(error))
}

/// What the thread of the second connection did.
struct Copied {
    duration: Duration,
    syncs: u64,
    result: Result<(), rusqlite::Error>,
}

impl Copied {
    const NOTHING: Self = Self {
        duration: Duration::ZERO,
        syncs: 0,
        result: Ok(()),
    };
}

/// What the other thread does.
enum Other {
    /// Nothing, or there is none.
    Idle,
    AtWork,
    Done(Copied),
}

struct Background {
    /// None while it is told to end.
    requests: Option<SyncSender<()>>,
    results: Receiver<Copied>,
    thread: Option<JoinHandle<()>>,
    at_work: bool,
}

impl Background {
    /// None when the thread cannot be started: the writer does its work then.
    fn start(connection: Connection, meter: IoMeter) -> Option<Self> {
        let (requests, wanted) = sync_channel::<()>(1);
        let (done, results) = sync_channel(1);
        let run = move || {
            for () in wanted {
                let (began, syncs) = (Instant::now(), meter.counts().syncs.total());
                let result = (0..BACKGROUND_PASSES).try_for_each(|_| pass(&connection).map(drop));
                let copied = Copied {
                    duration: began.elapsed(),
                    syncs: meter.counts().syncs.total() - syncs,
                    result,
                };
                if done.send(copied).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("checkpointer".to_owned());
        Some(Self {
            requests: Some(requests),
            results,
            thread: Some(thread.spawn(run).ok()?),
            at_work: false,
        })
    }
}

impl Drop for Background {
    /// Its connection is closed before the writer's, whose closing ends the log.
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The writer's side. Looked at after every batch.
pub(crate) struct Checkpointer<'a> {
    store: &'a Store,
    has_log: bool,
    background: Option<Background>,
    frame_bytes: u64,
    /// A checkpoint is due when the log has grown by this much.
    every_bytes: u64,
    limit_bytes: u64,
    /// Bytes written to the log in all at which the next checkpoint is due.
    due_at: u64,
    /// What was in the log when `counted_from` bytes had been written to it in all.
    log_bytes: u64,
    counted_from: u64,
}

impl<'a> Checkpointer<'a> {
    /// `second` is a connection to the same database and what counts its syncs; without, the
    /// writer's connection does everything.
    pub(crate) fn new(
        store: &'a Store,
        config: &Config,
        second: Option<(Connection, IoMeter)>,
    ) -> Self {
        let frame_bytes = u64::from(store.page_bytes) + FRAME_HEADER_BYTES;
        let mut checkpointer = Self {
            background: second.and_then(|(connection, meter)| Background::start(connection, meter)),
            frame_bytes,
            every_bytes: store.checkpoint_bytes.max(1),
            limit_bytes: config.log_limit_bytes,
            due_at: 0,
            log_bytes: 0,
            counted_from: 0,
            has_log: config.durability.has_wal(),
            store,
        };
        checkpointer.count_from_here(0);
        checkpointer
    }

    fn written_bytes(&self) -> u64 {
        self.store.meter.counts().bytes_written.wal
    }

    fn count_from_here(&mut self, log_bytes: u64) {
        self.counted_from = self.written_bytes();
        self.log_bytes = log_bytes;
        self.due_at = self.counted_from + self.every_bytes;
    }

    /// A seeding has emptied the log.
    pub(crate) fn seeded(&mut self) {
        self.count_from_here(0);
    }

    /// Whether the log has reached its limit, at most one checkpoint's worth too late: that it
    /// could not start again shows at the next one.
    pub(crate) fn is_at_limit(&self) -> bool {
        let grown = self.written_bytes() - self.counted_from;
        self.log_bytes + grown >= self.limit_bytes
    }

    /// Whether the log has grown enough for a checkpoint, and none is under way.
    pub(crate) fn is_due(&self) -> bool {
        let at_work = self.background.as_ref().is_some_and(|it| it.at_work);
        self.has_log && !at_work && self.written_bytes() >= self.due_at
    }

    /// Begins, goes on with or ends a checkpoint when it is time.
    ///
    /// # Errors
    /// [`EngineError::CheckpointUnsynced`], after which the engine must stop.
    pub(crate) fn after_batch(&mut self, monitor: &mut Monitor) -> Result<(), EngineError> {
        match self.other_thread() {
            Other::Idle => {}
            Other::AtWork => return Ok(()),
            Other::Done(copied) => return self.finish(copied, monitor),
        }
        if !self.is_due() || self.ask_other_thread() {
            return Ok(());
        }
        self.finish(Copied::NOTHING, monitor)
    }

    /// Copies now what can be copied, so that on a full disk the log can be overwritten.
    pub(crate) fn free_log(&mut self, monitor: &mut Monitor) -> Result<(), EngineError> {
        if !self.has_log {
            return Ok(());
        }
        match self.other_thread() {
            Other::Idle => self.finish(Copied::NOTHING, monitor),
            Other::AtWork => Ok(()),
            Other::Done(copied) => self.finish(copied, monitor),
        }
    }

    /// Waits for the other thread, then copies all that is left.
    pub(crate) fn run_last(&mut self, monitor: &mut Monitor) -> Result<(), EngineError> {
        if !self.has_log {
            return Ok(());
        }
        let at_work = self.background.take().filter(|it| it.at_work);
        let copied = at_work.and_then(|it| it.results.recv().ok());
        self.finish(copied.unwrap_or(Copied::NOTHING), monitor)
    }

    fn other_thread(&mut self) -> Other {
        let Some(background) = self.background.as_mut().filter(|it| it.at_work) else {
            return Other::Idle;
        };
        match background.results.try_recv() {
            Ok(copied) => {
                background.at_work = false;
                Other::Done(copied)
            }
            Err(TryRecvError::Empty) => Other::AtWork,
            Err(TryRecvError::Disconnected) => {
                self.background = None;
                Other::Idle
            }
        }
    }

    /// Whether there is one that does it.
    fn ask_other_thread(&mut self) -> bool {
        let Some(background) = &mut self.background else {
            return false;
        };
        let asked = background.requests.as_ref().map(|it| it.try_send(()));
        background.at_work = matches!(asked, Some(Ok(())));
        background.at_work
    }

    /// Gives the room of a log back that had grown too long. False while somebody reads from it.
    fn shorten(&self) -> Result<bool, rusqlite::Error> {
        let connection = &self.store.connection;
        // Else it would wait for the reader, and the writer with it.
        let at_once = connection.busy_timeout(Duration::ZERO);
        let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
            row.get::<_, i64>(0)
        });
        let patient = connection.busy_timeout(BUSY_TIMEOUT);
        match at_once.and(patient).and(busy) {
            Ok(busy) => Ok(busy == 0),
            Err(error) if is_failed_sync(&error) => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// Copies what the other thread could not, after which the next COMMIT starts the log again
    /// from its beginning: overwriting it is cheaper than growing or truncating it.
    fn finish(&mut self, copied: Copied, monitor: &mut Monitor) -> Result<(), EngineError> {
        let (began, syncs) = (Instant::now(), self.store.meter.counts().syncs.total());
        let finished = copied.result.and_then(|()| pass(&self.store.connection));
        let stalled = began.elapsed();
        let log_bytes = match &finished {
            Ok(progress) => progress.log_frames * self.frame_bytes,
            Err(_) => self.log_bytes + (self.written_bytes() - self.counted_from),
        };
        monitor.checkpoint(&CheckpointRecord {
            duration: copied.duration + stalled,
            stalled,
            syncs: copied.syncs + (self.store.meter.counts().syncs.total() - syncs),
            ok: finished.is_ok(),
            log_bytes,
        });
        match finished {
            Ok(progress) => {
                let is_long = log_bytes > GROWING_FACTOR * self.every_bytes;
                let all_copied = progress.copied_frames == progress.log_frames;
                let starts_again = all_copied && (!is_long || self.shorten().map_err(unsynced)?);
                self.count_from_here(if starts_again { 0 } else { log_bytes });
                monitor.over(Degradation::CheckpointFailed);
                if is_long && !starts_again {
                    monitor.began(Degradation::LogGrowing, || {
                        format!(
                            "the write-ahead log has {log_bytes} bytes, since another process \
                             reads from it; it may not grow above {} bytes",
                            self.limit_bytes
                        )
                    });
                } else {
                    monitor.over(Degradation::LogGrowing);
                }
                Ok(())
            }
            Err(error) if is_failed_sync(&error) => Err(unsynced(error)),
            Err(error) => {
                self.count_from_here(log_bytes);
                monitor.began(Degradation::CheckpointFailed, || error.to_string());
                Ok(())
            }
        }
    }
}
