//! The ledger on disk: an append-only file that survives the program that writes it.
//!
//! **Invariant**: no byte of a request is given to a socket before the record of the request is
//! durable in the journal, and no further request of a worker before the answers that the worker
//! had seen until then are. So whatever a server may have received is in the journal, and a
//! journal that ends in the middle of a record has lost nothing that a server knows of: the torn
//! end, and everything behind it, is ignored.
//!
//! Records of all workers are written and synced in groups: the file has the same group commit
//! as the server that it judges.
//!
//! A record is a line of words and their CRC-32 in hexadecimal:
//!
//! ```text
//! run 2 SEED ACCOUNTS INITIAL-BALANCE
//! balances CYCLE BALANCE…                         read before that cycle; - for a missing account
//! cycle CYCLE FAULT
//! sent WORKER NUMBER FROM TO AMOUNT TRANSFER-ID   - for no transfer id
//! answer WORKER NUMBER ANSWER                     ok, unknown, rejected:CODE, failed:CODE, failed
//! late WORKER NUMBER ANSWER                       read after the onset of the fault: does not count
//! ```

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::watch;

mod record;

pub use record::Record;

/// The journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It cannot be made, written or read.
    #[error("cannot use the journal {path}: choose another place with --data-dir")]
    Io {
        /// The file.
        path: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// It could not be written: an error of an earlier write, told to all who wait.
    #[error("the journal cannot be written: {0}")]
    Broken(String),
    /// It does not begin as a journal does.
    #[error("{path} is not a journal of this version")]
    NotOne {
        /// The file.
        path: String,
    },
}

struct Pending {
    /// Encoded and not taken by the writing thread. Bounded by what workers may have in flight:
    /// each waits until its records are durable before it adds more than its window.
    bytes: Vec<u8>,
    /// Bytes ever appended.
    position: u64,
    closed: bool,
}

struct Shared {
    pending: Mutex<Pending>,
    arrived: Condvar,
}

impl Shared {
    /// The state is valid after every statement under the lock.
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far the file is durable, or why it is not.
type Durable = Result<u64, String>;

/// The journal of a run. Ends, with everything written, when the last handle is dropped.
pub struct Journal {
    handle: JournalHandle,
    path: PathBuf,
    writer: Option<JoinHandle<()>>,
}

/// A place in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(u64);

/// Appends to the journal and waits for its syncs; one per worker.
#[derive(Clone)]
pub struct JournalHandle {
    shared: Arc<Shared>,
    durable: watch::Receiver<Durable>,
}

impl Journal {
    /// Makes a new file and a thread that writes it.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create(path: &Path) -> Result<Self, JournalError> {
        let failed = |source| JournalError::Io {
            path: path.display().to_string(),
            source,
        };
        let file = File::create_new(path).map_err(failed)?;
        // The name must be as durable as what is in the file.
        let directory = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))
            .and_then(|directory| directory.sync_all())
            .map_err(failed)?;
        let shared = Arc::new(Shared {
            pending: Mutex::new(Pending {
                bytes: Vec::new(),
                position: 0,
                closed: false,
            }),
            arrived: Condvar::new(),
        });
        let (publish, durable) = watch::channel(Ok(0));
        let pending = Arc::clone(&shared);
        let writer = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || write_groups(file, &pending, &publish))
            .map_err(failed)?;
        Ok(Self {
            handle: JournalHandle { shared, durable },
            path: path.to_owned(),
            writer: Some(writer),
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A handle for one more worker.
    #[must_use]
    pub fn handle(&self) -> JournalHandle {
        self.handle.clone()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.handle.shared.lock().closed = true;
        self.handle.shared.arrived.notify_one();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl JournalHandle {
    /// Adds a record; it is not durable yet.
    #[expect(
        clippy::must_use_candidate,
        reason = "only the last of several records is waited for"
    )]
    pub fn append(&self, record: &Record) -> Position {
        let line = record.line();
        let mut pending = self.shared.lock();
        pending.bytes.extend_from_slice(line.as_bytes());
        pending.position += line.len() as u64;
        let position = Position(pending.position);
        drop(pending);
        self.shared.arrived.notify_one();
        position
    }

    /// Waits until everything up to `position` is durable. Cancel-safe.
    ///
    /// # Errors
    /// It never will be.
    pub async fn durable(&mut self, position: Position) -> Result<(), JournalError> {
        let reached = |durable: &Durable| durable.as_ref().map_or(true, |at| *at >= position.0);
        match self.durable.wait_for(reached).await {
            Ok(durable) => durable.clone().map(|_| ()).map_err(JournalError::Broken),
            Err(_) => Err(JournalError::Broken("it is closed".to_owned())),
        }
    }
}

/// Writes and syncs whatever has gathered, again and again.
fn write_groups(mut file: File, shared: &Shared, publish: &watch::Sender<Durable>) {
    let mut group = Vec::new();
    loop {
        let mut pending = shared.lock();
        while pending.bytes.is_empty() && !pending.closed {
            pending = shared
                .arrived
                .wait(pending)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if pending.bytes.is_empty() {
            return;
        }
        group.clear();
        std::mem::swap(&mut group, &mut pending.bytes);
        let position = pending.position;
        drop(pending);
        if let Err(error) = file.write_all(&group).and_then(|()| file.sync_data()) {
            // After a failed sync nothing more can be said about the file.
            let _ = publish.send_replace(Err(error.to_string()));
            return;
        }
        let _ = publish.send_replace(Ok(position));
    }
}

/// What a journal holds, and how much of its end was torn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// Up to the first one that is not whole.
    pub records: Vec<Record>,
    /// Bytes behind them.
    pub torn_bytes: usize,
}

/// Reads a journal, also one whose program was killed.
///
/// # Errors
/// It cannot be read, or is not a journal.
pub fn read(path: &Path) -> Result<Contents, JournalError> {
    let bytes = std::fs::read(path).map_err(|source| JournalError::Io {
        path: path.display().to_string(),
        source,
    })?;
    let contents = parse(&bytes);
    match contents.records.first() {
        Some(Record::Run { .. }) => Ok(contents),
        _ => Err(JournalError::NotOne {
            path: path.display().to_string(),
        }),
    }
}

fn parse(bytes: &[u8]) -> Contents {
    let mut records = Vec::new();
    let mut left = bytes;
    while let Some(end) = left.iter().position(|byte| *byte == b'\n') {
        let Some(record) = record::parse_line(&left[..end]) else {
            break;
        };
        records.push(record);
        left = &left[end + 1..];
    }
    Contents {
        records,
        torn_bytes: left.len(),
    }
}

#[cfg(test)]
mod tests;
