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
//! run 1 SEED ACCOUNTS INITIAL-BALANCE
//! balances CYCLE BALANCE…                         read before that cycle; - for a missing account
//! cycle CYCLE FAULT
//! sent WORKER NUMBER FROM TO AMOUNT TRANSFER-ID   - for no transfer id
//! answer WORKER NUMBER ANSWER                     ok, unknown, rejected:CODE, failed:CODE, failed
//! ```

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use busload_wire::{ErrorCode, OutcomeClass, Transfer, TransferId};
use tokio::sync::watch;

use super::fault::FaultKind;
use super::ledger::Balances;
use crate::connector::Outcome;

/// The version of the file's form.
const VERSION: u32 = 1;

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// The first one.
    Run {
        /// The seed of the run.
        seed: u64,
        /// How many accounts there are.
        accounts: u64,
        /// What each of them had at first.
        initial_balance: i64,
    },
    /// All balances, read when nobody was writing.
    Balances {
        /// The cycle that comes next, from 1.
        cycle: u32,
        /// By account.
        balances: Balances,
    },
    /// A cycle begins.
    Cycle {
        /// From 1.
        number: u32,
        /// What will happen in it.
        fault: FaultKind,
    },
    /// A request is about to be sent.
    Sent {
        /// Whose.
        worker: u32,
        /// Which of the worker's.
        number: u64,
        /// What is asked.
        transfer: Transfer,
    },
    /// An answer was read.
    Answer {
        /// Whose.
        worker: u32,
        /// To which request.
        number: u64,
        /// What it says.
        outcome: Outcome,
    },
}

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
    #[error("{path} is no journal of this version")]
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
    pub fn append(&self, record: &Record) -> Position {
        let mut line = record.words();
        let crc = crc32fast::hash(line.as_bytes());
        let _ = writeln!(line, " {crc:08x}");
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
        let Some(record) = parse_line(&left[..end]) else {
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

fn parse_line(line: &[u8]) -> Option<Record> {
    let line = std::str::from_utf8(line).ok()?;
    let (words, crc) = line.rsplit_once(' ')?;
    (crc.len() == 8 && u32::from_str_radix(crc, 16).ok()? == crc32fast::hash(words.as_bytes()))
        .then(|| Record::parse(words))?
}

impl Record {
    /// The line without its checksum.
    fn words(&self) -> String {
        match self {
            Self::Run {
                seed,
                accounts,
                initial_balance,
            } => format!("run {VERSION} {seed} {accounts} {initial_balance}"),
            Self::Balances { cycle, balances } => {
                let mut line = format!("balances {cycle}");
                for balance in balances {
                    let _ = match balance {
                        Some(balance) => write!(line, " {balance}"),
                        None => write!(line, " -"),
                    };
                }
                line
            }
            Self::Cycle { number, fault } => format!("cycle {number} {fault}"),
            Self::Sent {
                worker,
                number,
                transfer:
                    Transfer {
                        from,
                        to,
                        amount,
                        transfer_id,
                    },
            } => {
                let id = transfer_id.map_or("-".to_owned(), |id| format!("{:032x}", id.to_u128()));
                format!("sent {worker} {number} {from} {to} {amount} {id}")
            }
            Self::Answer {
                worker,
                number,
                outcome,
            } => format!("answer {worker} {number} {}", answer_word(*outcome)),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let kind = words.next()?;
        let mut next = || words.next();
        let record = match kind {
            "run" => {
                if next()?.parse() != Ok(VERSION) {
                    return None;
                }
                Self::Run {
                    seed: next()?.parse().ok()?,
                    accounts: next()?.parse().ok()?,
                    initial_balance: next()?.parse().ok()?,
                }
            }
            "balances" => Self::Balances {
                cycle: next()?.parse().ok()?,
                balances: words
                    .by_ref()
                    .map(|word| match word {
                        "-" => Some(None),
                        number => number.parse().ok().map(Some),
                    })
                    .collect::<Option<_>>()?,
            },
            "cycle" => Self::Cycle {
                number: next()?.parse().ok()?,
                fault: next()?.parse().ok()?,
            },
            "sent" => Self::Sent {
                worker: next()?.parse().ok()?,
                number: next()?.parse().ok()?,
                transfer: Transfer {
                    from: next()?.parse().ok()?,
                    to: next()?.parse().ok()?,
                    amount: next()?.parse().ok()?,
                    transfer_id: match next()? {
                        "-" => None,
                        id => Some(TransferId::from_u128(u128::from_str_radix(id, 16).ok()?)),
                    },
                },
            },
            "answer" => Self::Answer {
                worker: next()?.parse().ok()?,
                number: next()?.parse().ok()?,
                outcome: parse_answer(next()?)?,
            },
            _ => return None,
        };
        words.next().is_none().then_some(record)
    }
}

/// An answer in one word, as the journal and findings show it.
#[must_use]
pub fn answer_word(outcome: Outcome) -> String {
    match outcome {
        Outcome::Committed => "ok".to_owned(),
        Outcome::Unknown => "unknown".to_owned(),
        Outcome::Rejected(code) => format!("rejected:{}", code.as_str()),
        Outcome::Failed(Some(code)) => format!("failed:{}", code.as_str()),
        Outcome::Failed(None) => "failed".to_owned(),
    }
}

fn parse_answer(word: &str) -> Option<Outcome> {
    let coded = |name: &str, class| {
        let code: ErrorCode = name.parse().ok()?;
        (code.class() == class).then_some(code)
    };
    match word.split_once(':') {
        None if word == "ok" => Some(Outcome::Committed),
        None if word == "unknown" => Some(Outcome::Unknown),
        None if word == "failed" => Some(Outcome::Failed(None)),
        Some(("rejected", name)) => coded(name, OutcomeClass::Rejected).map(Outcome::Rejected),
        Some(("failed", name)) => {
            coded(name, OutcomeClass::Failed).map(|code| Outcome::Failed(Some(code)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Vec<Record> {
        let transfer = Transfer {
            from: 4,
            to: 5,
            amount: 1 << 40,
            transfer_id: None,
        };
        let mut records = vec![
            Record::Run {
                seed: u64::MAX,
                accounts: 32,
                initial_balance: 7,
            },
            Record::Balances {
                cycle: 1,
                balances: vec![Some(0), None, Some(-5)],
            },
            Record::Balances {
                cycle: 2,
                balances: Vec::new(),
            },
            Record::Sent {
                worker: 2,
                number: 9,
                transfer,
            },
            Record::Sent {
                worker: 2,
                number: 10,
                transfer: Transfer {
                    transfer_id: Some(TransferId::from_u128(u128::MAX - 1)),
                    ..transfer
                },
            },
        ];
        records.extend(FaultKind::ALL.map(|fault| Record::Cycle { number: 3, fault }));
        let rejected = Outcome::Rejected(ErrorCode::InsufficientFunds);
        let full = Outcome::Failed(Some(ErrorCode::StorageFull));
        for outcome in [
            Outcome::Committed,
            Outcome::Unknown,
            Outcome::Failed(None),
            rejected,
            full,
        ] {
            records.push(Record::Answer {
                worker: 0,
                number: 1,
                outcome,
            });
        }
        records
    }

    fn written() -> Vec<u8> {
        let mut bytes = Vec::new();
        for record in records() {
            let words = record.words();
            let line = format!("{words} {:08x}\n", crc32fast::hash(words.as_bytes()));
            bytes.extend_from_slice(line.as_bytes());
        }
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        let contents = parse(&written());
        assert_eq!(contents.records, records());
        assert_eq!(contents.torn_bytes, 0);
    }

    /// However short the file was cut, its whole records are read and nothing else.
    #[test]
    fn a_torn_end_is_ignored() {
        let bytes = written();
        let all = records();
        for cut in 0..bytes.len() {
            let contents = parse(&bytes[..cut]);
            let whole = bytes[..cut].iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(contents.records, all[..whole], "{cut}");
            let torn = bytes[..cut]
                .iter()
                .rev()
                .take_while(|b| **b != b'\n')
                .count();
            assert_eq!(contents.torn_bytes, torn, "{cut}");
        }
    }

    /// A crash may leave a hole of zeros or garbage before records that did reach the disk.
    #[test]
    fn nothing_behind_a_damaged_record_is_believed() {
        let bytes = written();
        let ends: Vec<_> = (0..bytes.len()).filter(|at| bytes[*at] == b'\n').collect();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            let whole = ends.iter().filter(|end| **end < at).count();
            assert_eq!(parse(&damaged).records, records()[..whole], "{at}");
        }
    }

    #[test]
    fn a_file_that_is_no_journal_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hello\n").unwrap();
        assert!(matches!(
            read(file.path()),
            Err(JournalError::NotOne { .. })
        ));
    }

    #[tokio::test]
    async fn what_is_durable_is_in_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let journal = Journal::create(&path).unwrap();
        let mut handle = journal.handle();
        for (number, record) in records().iter().enumerate() {
            let position = handle.append(record);
            handle.durable(position).await.unwrap();
            assert_eq!(read(&path).unwrap().records, records()[..=number]);
        }
        drop((journal, handle));
        assert!(
            matches!(Journal::create(&path), Err(JournalError::Io { .. })),
            "evidence is never overwritten"
        );
    }
}
