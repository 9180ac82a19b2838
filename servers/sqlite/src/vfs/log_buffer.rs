//! The frames of a write-ahead log, gathered until somebody could look at the file.
//!
//! SQLite writes each frame by two calls, its header of 24 bytes and its page, and nobody reads
//! them before the transaction commits. So they are put together here and written in pieces of
//! many frames. What must not change is what is in the file when it matters, hence:
//!
//! - Only whole new frames, each where the last one ended, are gathered. Every other write (the
//!   log's header, a page overwritten in place, a frame header with another checksum) empties the
//!   buffer first and goes straight through, so writes reach the file in SQLite's order.
//! - The page of a commit frame empties the buffer inside its own write: an error is that write's,
//!   the COMMIT fails, and nothing is published in the log's index that is not in the file.
//! - Reads, syncs and questions for the size empty it; its owner calls [`LogBuffer::flush`].
//! - What could not be written, or belongs to a transaction that gave up the log's write lock, is
//!   dropped ([`LogBuffer::discard`]) and never written later: by then the place may be another's.
//!
//! The format is SQLite's "WAL-mode File Format" (<https://sqlite.org/walformat.html>).

use std::ffi::c_int;

use libsqlite3_sys as ffi;

/// Bytes of the log's own header, at its beginning.
const LOG_HEADER_BYTES: usize = 32;
/// Bytes of the header of a frame.
const FRAME_HEADER_BYTES: usize = 24;
const PAGE_MAX_BYTES: usize = 65_536;
/// Bytes that are gathered at most. SQLite's unix VFS masks the length of a write with `0x1ffff`;
/// of more than 128 KiB - 1 the rest would be reported as a full disk.
const BUFFER_MAX_BYTES: usize = 124 * 1024;
const _: () = assert!(FRAME_HEADER_BYTES + PAGE_MAX_BYTES <= BUFFER_MAX_BYTES);
const _: () = assert!(BUFFER_MAX_BYTES < 0x1_ffff);

/// Where the bytes go: writes all of them at the offset, and returns SQLite's result code.
pub(super) trait LogFile {
    fn write(&mut self, bytes: &[u8], offset: i64) -> c_int;
}

/// What the next write is if it goes on where the last one ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// Not known: the log was just opened, or something was dropped.
    Anything,
    /// The header of a new frame.
    Header { at: i64 },
    /// The page of a frame whose header was just written, or gathered.
    Page {
        at: i64,
        commit: bool,
        gathered: bool,
    },
}

/// One connection's frames that are not in the file yet.
#[derive(Debug)]
pub(super) struct LogBuffer {
    /// At most [`BUFFER_MAX_BYTES`].
    bytes: Vec<u8>,
    /// Where in the file they belong, if there are any.
    start: i64,
    expected: Expected,
}

impl LogBuffer {
    pub(super) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            start: 0,
            expected: Expected::Anything,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes a write of SQLite's. The code is `SQLITE_OK` also when the bytes are only gathered.
    pub(super) fn write(&mut self, data: &[u8], offset: i64, file: &mut impl LogFile) -> c_int {
        match self.expected {
            Expected::Header { at } if at == offset && data.len() == FRAME_HEADER_BYTES => {
                if self.bytes.len() + FRAME_HEADER_BYTES + PAGE_MAX_BYTES > BUFFER_MAX_BYTES {
                    let code = self.flush(file);
                    if code != ffi::SQLITE_OK {
                        return code;
                    }
                }
                self.append(data, offset);
                self.expected = Expected::Page {
                    at: end(data, offset),
                    commit: is_commit(data),
                    gathered: true,
                };
                ffi::SQLITE_OK
            }
            Expected::Page {
                at,
                commit,
                gathered: true,
            } if at == offset && data.len() <= PAGE_MAX_BYTES => {
                self.append(data, offset);
                self.expected = Expected::Header {
                    at: end(data, offset),
                };
                if commit {
                    self.flush(file)
                } else {
                    ffi::SQLITE_OK
                }
            }
            _ => self.write_through(data, offset, file),
        }
    }

    fn append(&mut self, data: &[u8], offset: i64) {
        if self.bytes.is_empty() {
            // Once: the memory is kept.
            self.bytes.reserve_exact(BUFFER_MAX_BYTES);
            self.start = offset;
        }
        debug_assert_eq!(
            end(&self.bytes, self.start),
            offset,
            "what is gathered is one piece of the file"
        );
        self.bytes.extend_from_slice(data);
        debug_assert!(self.bytes.len() <= BUFFER_MAX_BYTES);
    }

    fn write_through(&mut self, data: &[u8], offset: i64, file: &mut impl LogFile) -> c_int {
        let code = self.flush(file);
        if code != ffi::SQLITE_OK {
            return code;
        }
        let code = file.write(data, offset);
        let next = end(data, offset);
        self.expected = match self.expected {
            _ if code != ffi::SQLITE_OK => Expected::Anything,
            _ if data.len() == LOG_HEADER_BYTES && offset == 0 => Expected::Header { at: next },
            _ if data.len() == FRAME_HEADER_BYTES => Expected::Page {
                at: next,
                commit: is_commit(data),
                gathered: false,
            },
            Expected::Page { at, .. } if at == offset => Expected::Header { at: next },
            Expected::Page { .. } => Expected::Anything,
            // A page overwritten in place: the log still ends where it did.
            known => known,
        };
        code
    }

    /// Writes what is gathered. After an error it is dropped: the caller is told, and SQLite gives
    /// the transaction up.
    pub(super) fn flush(&mut self, file: &mut impl LogFile) -> c_int {
        if self.bytes.is_empty() {
            return ffi::SQLITE_OK;
        }
        let code = file.write(&self.bytes, self.start);
        self.bytes.clear();
        if code != ffi::SQLITE_OK {
            self.expected = Expected::Anything;
        }
        code
    }

    pub(super) fn discard(&mut self) {
        if !self.bytes.is_empty() {
            self.bytes.clear();
            self.expected = Expected::Anything;
        }
    }
}

/// Whether a frame's header says that its transaction ends with it: the second word is the size
/// of the database after the commit, and 0 in all other frames.
fn is_commit(header: &[u8]) -> bool {
    header[4..8] != [0; 4]
}

fn end(data: &[u8], offset: i64) -> i64 {
    // A Vec or slice is never longer than `isize::MAX`.
    offset.saturating_add(i64::try_from(data.len()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 4_096;
    const FRAME: i64 = 24 + 4_096;

    /// A file in memory, and the calls that made it.
    #[derive(Default)]
    struct Disk {
        content: Vec<u8>,
        calls: Vec<(i64, usize)>,
        /// The call, counted from 0, that fails.
        fails_at: Option<usize>,
    }

    impl LogFile for Disk {
        fn write(&mut self, bytes: &[u8], offset: i64) -> c_int {
            self.calls.push((offset, bytes.len()));
            if self.fails_at == Some(self.calls.len() - 1) {
                return ffi::SQLITE_IOERR_WRITE;
            }
            let offset = usize::try_from(offset).unwrap();
            let length = self.content.len().max(offset + bytes.len());
            self.content.resize(length, 0);
            self.content[offset..offset + bytes.len()].copy_from_slice(bytes);
            ffi::SQLITE_OK
        }
    }

    fn header(commit: bool, tag: u8) -> Vec<u8> {
        let mut header = vec![tag; FRAME_HEADER_BYTES];
        header[4..8].copy_from_slice(&u32::from(commit).to_be_bytes());
        header
    }

    /// Writes frame number `frame` as SQLite does, by two calls.
    fn write_frame(log: &mut LogBuffer, disk: &mut Disk, frame: i64, commit: bool) -> c_int {
        let tag = u8::try_from(frame % 251).unwrap();
        let at = 32 + frame * FRAME;
        match log.write(&header(commit, tag), at, disk) {
            ffi::SQLITE_OK => log.write(&[tag; PAGE], at + 24, disk),
            code => code,
        }
    }

    fn started() -> (LogBuffer, Disk) {
        let (mut log, mut disk) = (LogBuffer::new(), Disk::default());
        assert_eq!(log.write(&[7; 32], 0, &mut disk), ffi::SQLITE_OK);
        assert_eq!(
            disk.calls,
            [(0, 32)],
            "the log's header goes straight through"
        );
        (log, disk)
    }

    #[test]
    fn a_transaction_is_one_write_that_ends_with_its_commit_frame() {
        let (mut log, mut disk) = started();
        for frame in 0..4 {
            assert_eq!(
                write_frame(&mut log, &mut disk, frame, false),
                ffi::SQLITE_OK
            );
        }
        assert_eq!(disk.calls.len(), 1, "nothing was written yet");
        assert!(!log.is_empty());
        assert_eq!(write_frame(&mut log, &mut disk, 4, true), ffi::SQLITE_OK);
        assert!(log.is_empty());
        assert_eq!(disk.calls[1..], [(32, 5 * 4_120)]);
        // And the next one goes on where it ended.
        assert_eq!(write_frame(&mut log, &mut disk, 5, true), ffi::SQLITE_OK);
        assert_eq!(disk.calls[2..], [(32 + 5 * FRAME, 4_120)]);
    }

    #[test]
    fn the_file_is_what_direct_writes_would_have_made_it() {
        let (mut log, mut disk) = started();
        let mut direct = Disk::default();
        direct.write(&[7; 32], 0);
        for frame in 0..100 {
            let commit = frame % 33 == 32;
            write_frame(&mut log, &mut disk, frame, commit);
            let tag = u8::try_from(frame % 251).unwrap();
            direct.write(&header(commit, tag), 32 + frame * FRAME);
            direct.write(&[tag; PAGE], 32 + frame * FRAME + 24);
        }
        assert_eq!(log.flush(&mut disk), ffi::SQLITE_OK);
        assert!(disk.content == direct.content);
        assert!(disk.calls.len() < 15, "{:?}", disk.calls);
        assert!(disk.calls.iter().all(|call| call.1 <= BUFFER_MAX_BYTES));
    }

    #[test]
    fn any_other_write_comes_after_what_is_gathered_and_goes_straight_through() {
        for (data, offset) in [
            (vec![1; PAGE], 32 + 24),           // a page overwritten in place
            (header(false, 1), 32),             // a rewritten frame header
            (vec![1; LOG_HEADER_BYTES], 0),     // the log starts again
            (header(false, 1), 32 + 9 * FRAME), // a frame that is not the next
        ] {
            let (mut log, mut disk) = started();
            write_frame(&mut log, &mut disk, 0, false);
            write_frame(&mut log, &mut disk, 1, false);
            assert_eq!(log.write(&data, offset, &mut disk), ffi::SQLITE_OK);
            assert!(log.is_empty());
            assert_eq!(disk.calls[1..], [(32, 2 * 4_120), (offset, data.len())]);
        }
    }

    #[test]
    fn the_first_frame_of_a_log_that_was_there_goes_straight_through() {
        let (mut log, mut disk) = (LogBuffer::new(), Disk::default());
        write_frame(&mut log, &mut disk, 7, false);
        assert_eq!(disk.calls.len(), 2);
        write_frame(&mut log, &mut disk, 8, false);
        assert_eq!(disk.calls.len(), 2, "the second is gathered");
    }

    #[test]
    fn what_could_not_be_written_fails_its_commit_and_is_dropped() {
        let (mut log, mut disk) = started();
        write_frame(&mut log, &mut disk, 0, false);
        disk.fails_at = Some(1);
        assert_eq!(
            write_frame(&mut log, &mut disk, 1, true),
            ffi::SQLITE_IOERR_WRITE
        );
        assert!(log.is_empty());
        assert_eq!(log.flush(&mut disk), ffi::SQLITE_OK);
        assert_eq!(disk.calls.len(), 2, "it is not tried again");
        assert_eq!(disk.content.len(), 32);
    }

    #[test]
    fn what_is_discarded_is_never_written() {
        let (mut log, mut disk) = started();
        write_frame(&mut log, &mut disk, 0, false);
        log.discard();
        assert!(log.is_empty());
        // The next transaction begins at the same place.
        assert_eq!(write_frame(&mut log, &mut disk, 0, true), ffi::SQLITE_OK);
        assert_eq!(disk.calls[1..], [(32, 24), (32 + 24, PAGE)]);
    }

    #[test]
    fn a_page_that_follows_a_flushed_header_still_commits_in_its_own_write() {
        let (mut log, mut disk) = started();
        log.write(&header(true, 3), 32, &mut disk);
        assert_eq!(
            log.flush(&mut disk),
            ffi::SQLITE_OK,
            "a read came in between"
        );
        assert_eq!(log.write(&[3; PAGE], 32 + 24, &mut disk), ffi::SQLITE_OK);
        assert!(log.is_empty());
        assert_eq!(disk.calls[1..], [(32, 24), (32 + 24, PAGE)]);
    }
}
