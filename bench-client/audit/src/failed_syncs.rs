//! Which syncs of a server were made to fail, read from the log of `strace`.
//!
//! After one the kernel may have dropped what was to be written, and nobody can tell: a server
//! that goes on acknowledges what may not be on the disk. Of a checkpoint's, with a write-ahead
//! log, that holds only if an earlier pass has copied pages without a sync.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// What SQLite appends to the name of a database for its write-ahead log.
const LOG_SUFFIX: &str = "-wal";

/// The thread of this program's own servers that does nothing but checkpoints. Its first sync of
/// a log is followed by one of the directory.
const CHECKPOINTER: &str = "checkpointer";

/// What a sync was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncOf {
    /// A database beside which there is a write-ahead log, or anything by the thread that does
    /// checkpoints: a checkpoint.
    Checkpoint,
    /// A write-ahead log: a commit, or the beginning of a checkpoint.
    Log,
    /// Anything else, such as a journal, its directory, or a database without a log: a commit.
    Commit,
}

impl SyncOf {
    /// Tells it by the thread, the file and what is beside it now.
    fn tell(thread: &str, file: &Path) -> Self {
        let name = file.as_os_str().to_string_lossy();
        let mut log = file.as_os_str().to_owned();
        log.push(LOG_SUFFIX);
        if thread == CHECKPOINTER || Path::new(&log).exists() {
            Self::Checkpoint
        } else if name.ends_with(LOG_SUFFIX) {
            Self::Log
        } else {
            Self::Commit
        }
    }
}

/// A sync that was made to fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedSync {
    /// What was to be synced; empty when `strace` could not tell.
    pub file: PathBuf,
    /// What for.
    pub of: SyncOf,
    /// Syncs of the same thread that came after it and succeeded.
    pub later: usize,
}

impl FailedSync {
    /// The file's name, for people.
    #[must_use]
    pub fn name(&self) -> String {
        let name = self.file.file_name().unwrap_or(self.file.as_os_str());
        let name = name.to_string_lossy();
        if name.is_empty() {
            "a file without a name".to_owned()
        } else if self.file.is_dir() {
            format!("the directory {name}")
        } else {
            name.into_owned()
        }
    }
}

/// The failed syncs that a log tells of, in the order in which they returned. What is appended
/// to the log later changes nothing but how many syncs came after them.
#[must_use]
pub fn failed_syncs(log: &[u8]) -> Vec<FailedSync> {
    let log = String::from_utf8_lossy(log);
    // Each with its thread.
    let mut failed: Vec<(&str, FailedSync)> = Vec::new();
    // The files of calls that have not returned, by thread.
    let mut begun: HashMap<&str, PathBuf> = HashMap::new();
    for line in log.lines() {
        let Some((thread, name, call)) = thread_of(line) else {
            continue;
        };
        if call.ends_with("<unfinished ...>") {
            begun.insert(thread, file_of(call));
            continue;
        }
        let resumed = call.starts_with("<... ");
        let Some((_, result)) = call.rsplit_once(" = ") else {
            continue;
        };
        let file = if resumed {
            begun.remove(thread).unwrap_or_default()
        } else {
            file_of(call)
        };
        if result.ends_with("(INJECTED)") {
            let of = SyncOf::tell(name, &file);
            failed.push((thread, FailedSync { file, of, later: 0 }));
        } else if result.starts_with('0') {
            let mine = failed.iter_mut().filter(|(whose, _)| *whose == thread);
            for (_, one) in mine {
                one.later += 1;
            }
        }
    }
    failed.into_iter().map(|(_, one)| one).collect()
}

/// The thread of a line, by its number and its name if that is there; and the rest of the line.
fn thread_of(line: &str) -> Option<(&str, &str, &str)> {
    let (thread, call) = match line.split_once('<') {
        // With a name: `strace -Y`.
        Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            let (name, call) = rest.split_once("> ")?;
            ((number, name), call)
        }
        _ => {
            let (number, call) = line.split_once(' ')?;
            ((number, ""), call)
        }
    };
    Some((thread.0, thread.1, call.trim_start()))
}

/// The path that `strace -y` puts between angle brackets; those in a path it writes as numbers.
fn file_of(call: &str) -> PathBuf {
    let path = call.split_once('<').map_or("", |(_, rest)| rest);
    let path = path.split_once('>').map_or("", |(path, _)| path);
    PathBuf::from(OsString::from_vec(unescaped(path)))
}

/// Undoes what `strace` does to bytes that cannot be printed: up to three octal digits.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        let digits = tail.iter().take(3);
        let digits = digits.take_while(|digit| (b'0'..=b'7').contains(digit));
        let digits = digits.count();
        let number = tail[..digits]
            .iter()
            .fold(0_u32, |sum, digit| sum * 8 + u32::from(digit - b'0'));
        match (digits, tail) {
            (0, []) => bytes.push(b'\\'),
            (0, [letter, tail @ ..]) => {
                bytes.push(match letter {
                    b'n' => b'\n',
                    b't' => b'\t',
                    other => *other,
                });
                rest = tail;
            }
            _ => {
                bytes.push(u8::try_from(number).unwrap_or(b'?'));
                rest = &tail[digits..];
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_sync_is_told_by_its_file_and_what_followed() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).display().to_string();
        for name in ["wal.db", "wal.db-wal", "rollback.db"] {
            std::fs::write(at(name), "").unwrap();
        }
        let (wal, log, rollback) = (at("wal.db"), at("wal.db-wal"), at("rollback.db"));
        let text = format!(
            "101 fdatasync(4<{log}>)        = 0\n\
             101 fdatasync(4<{log}>) = -1 EIO (Input/output error) (INJECTED)\n\
             102   fsync(9<{wal}> <unfinished ...>\n\
             101 fdatasync(4<{log}>) = 0\n\
             102 <... fsync resumed>) = -1 EIO (Input/output error) (INJECTED)\n\
             101 fdatasync(4<{log}>) = 0\n\
             103 fdatasync(5<{rollback}>) = -1 EIO (Input/output error) (INJECTED)\n\
             103 fdatasync(5<{}>) = -1 EIO (Input/output error) (INJECTED)\n\
             103 fdatasync(5</gone/x-journal>(deleted)) = 0\n\
             105<checkpointer> fdatasync(4<{log}>) = -1 EIO (Input/output error) (INJECTED)\n\
             106<a writer> fdatasync(4<{log}> <unfinished ...>\n\
             105<checkpointer> fdatasync(4<{log}>) = 0\n\
             106<a writer> <... fdatasync resumed>) = -1 EIO (Input/output error) (INJECTED)\n\
             104 fdatasync(5</cut",
            directory.path().display(),
        );
        let found = failed_syncs(text.as_bytes());
        let found: Vec<_> = found
            .iter()
            .map(|one| (one.file.display().to_string(), one.of, one.later))
            .collect();
        let whole = directory.path().display().to_string();
        assert_eq!(
            found,
            [
                (log.clone(), SyncOf::Log, 2),
                (wal, SyncOf::Checkpoint, 0),
                (rollback, SyncOf::Commit, 1),
                (whole, SyncOf::Commit, 1),
                (log.clone(), SyncOf::Checkpoint, 1),
                (log, SyncOf::Log, 0),
            ]
        );
        assert_eq!(failed_syncs(b""), []);
    }

    #[test]
    fn names_are_read_as_strace_writes_them() {
        let call = r"fsync(4</a b/\303\266\76x\\y\n>) = 0";
        assert_eq!(file_of(call), PathBuf::from("/a b/ö>x\\y\n"));
        assert_eq!(file_of("fsync(4) = 0"), PathBuf::new());
    }
}
