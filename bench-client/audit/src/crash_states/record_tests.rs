//! What is read from a trace, call by call.

use std::fmt::Write as _;
use std::path::Path;

use super::record::{Event, Recording, Role, Synced};
use super::trace::TraceError;

const DATABASE: &str = "/d/a.db";

fn hex(text: &str) -> String {
    text.bytes().fold(String::new(), |mut shown, byte| {
        let _ = write!(shown, "\\x{byte:02x}");
        shown
    })
}

/// A trace of these calls, where `<path>` is the name of a file and `"text"` a string.
fn trace(lines: &[&str]) -> String {
    lines.iter().fold(String::new(), |mut trace, line| {
        let mut quoted = false;
        for part in line.split_inclusive(['"', '<', '>']) {
            let (text, mark) =
                part.split_at(part.len() - usize::from(part.ends_with(['"', '<', '>'])));
            let is_path = text.starts_with('/') && mark == ">";
            trace.push_str(&if quoted || is_path {
                hex(text)
            } else {
                text.to_owned()
            });
            trace.push_str(mark);
            quoted ^= mark == "\"";
        }
        trace.push('\n');
        trace
    })
}

fn read(lines: &[&str]) -> Result<Vec<(u64, Event)>, TraceError> {
    let trace = trace(lines);
    Ok(Recording::read(trace.as_bytes(), Path::new(DATABASE))?.events)
}

#[test]
fn what_is_done_to_the_files_of_the_database_is_seen() {
    let events = read(&[
        r#"1 openat(AT_FDCWD</x>, "/d/a.db-journal", O_RDWR|O_CREAT|O_CLOEXEC, 0644) = 6</d/a.db-journal>"#,
        r#"1 openat(AT_FDCWD</x>, "/d/a.db", O_RDWR|O_CLOEXEC) = 5</d/a.db>"#,
        r#"1 pwrite64(6</d/a.db-journal>, "abc", 3, 512) = 3"#,
        // Short.
        r#"1 pwrite64(6</d/a.db-journal>, "abc", 3, 7) = 2"#,
        r#"1 pwritev(5</d/a.db>, [{iov_base="a", iov_len=1}, {iov_base="b", iov_len=1}], 2, 9) = 2"#,
        r#"1 pwrite64(5</d/a.db>, "abc", 3, 0) = -1 EIO (Input/output error)"#,
        // Another thread's write returns while this sync goes on.
        "1 fdatasync(6</d/a.db-journal> <unfinished ...>",
        r#"2 pwrite64(5</d/a.db>, "z", 1, 4) = 1"#,
        "1 <... fdatasync resumed>) = 0",
        "1 fsync(7</d>) = 0",
        "1 fsync(7</elsewhere>) = 0",
        "1 fdatasync(5</d/a.db>) = -1 EIO (Input/output error)",
        "1 fdatasync(6</d/a.db-journal>(deleted)) = 0",
        "1 ftruncate(5</d/a.db>, 8192) = 0",
        r#"1 unlink("/d/a.db-journal") = 0"#,
        r#"1 unlinkat(AT_FDCWD</x>, "a.db-wal", 0) = 0"#,
        r#"1 unlink("/d/other") = 0"#,
        r#"1 pwrite64(9</d/a.db-shm>, "abc", 3, 0) = 3"#,
        "1 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 9</d/a.db-shm>, 0) = 0x7f00",
        "1 sync() = 0",
    ])
    .unwrap();
    let written = |role, offset, data: &str| Event::Written {
        role,
        offset,
        data: data.as_bytes().to_vec(),
    };
    let (database, journal) = (Role::Database, Role::Journal);
    assert_eq!(
        events,
        [
            (1, Event::Created(journal)),
            (3, written(journal, 512, "abc")),
            (4, written(journal, 7, "ab")),
            (5, written(database, 9, "ab")),
            (
                7,
                Event::SyncBegan {
                    sync: 0,
                    what: Synced::File(journal)
                }
            ),
            (8, written(database, 4, "z")),
            (9, Event::SyncEnded { sync: 0 }),
            (
                10,
                Event::SyncBegan {
                    sync: 1,
                    what: Synced::Directory
                }
            ),
            (10, Event::SyncEnded { sync: 1 }),
            (
                14,
                Event::Truncated {
                    role: database,
                    length: 8192
                }
            ),
            (15, Event::Removed(journal)),
            (16, Event::Removed(Role::Log)),
            (
                20,
                Event::SyncBegan {
                    sync: 2,
                    what: Synced::Everything
                }
            ),
            (20, Event::SyncEnded { sync: 2 }),
        ]
    );
}

#[test]
fn what_is_said_is_seen_when_it_was_read_and_before_it_was_written() {
    let events = read(&[
        r#"1 recvfrom(9<TCP:[a:1->b:2]>, "asked", 4096, 0, NULL, NULL) = 5"#,
        "1 recvfrom(9<TCP:[a:1->b:2]>, 0x7f00, 4096, 0, NULL, NULL) = -1 EAGAIN (Resource temporarily unavailable)",
        r#"1 sendto(9<TCP:[a:1->b:2]>, "answered", 8, MSG_NOSIGNAL, NULL, 0 <unfinished ...>"#,
        r#"2 writev(8<TCP:[a:1->b:3]>, [{iov_base="x", iov_len=1}, {iov_base="y", iov_len=1}], 2) = 2"#,
        "1 <... sendto resumed>) = 6",
        r#"1 sendmsg(8<TCP:[a:1->b:3]>, {msg_name=NULL, msg_iov=[{iov_base="z", iov_len=1}], msg_iovlen=1}, 0) = 1"#,
        r#"1 write(2</dev/pts/0<char 136:0>>, "log", 3) = 3"#,
        "1 close(9<TCP:[a:1->b:2]>) = 0",
        r#"1 read(9<TCP:[a:1->b:2]>, "again", 4096) = 5"#,
    ])
    .unwrap();
    let shown: Vec<_> = events
        .iter()
        .map(|(line, event)| match event {
            Event::Received { connection, bytes } => (
                *line,
                *connection,
                format!("< {}", String::from_utf8_lossy(bytes)),
            ),
            Event::Sent { connection, bytes } => (
                *line,
                *connection,
                format!("> {}", String::from_utf8_lossy(bytes)),
            ),
            Event::Closed { connection } => (*line, *connection, "closed".to_owned()),
            other => panic!("{other:?}"),
        })
        .collect();
    let (first, second, third) = (shown[0].1, shown[2].1, shown[5].1);
    let wanted = [
        (1, first, "< asked"),
        (3, first, "> answer"),
        (4, second, "> xy"),
        (6, second, "> z"),
        (8, first, "closed"),
        // The same addresses, another connection.
        (9, third, "< again"),
    ];
    assert_eq!(
        shown,
        wanted.map(|(line, number, text)| (line, number, text.to_owned()))
    );
    assert!(first != second && second != third && first != third);
}

#[test]
fn what_the_model_does_not_know_is_refused() {
    for line in [
        r#"1 write(5</d/a.db>, "abc", 3) = 3"#,
        r#"1 rename("/d/x", "/d/a.db") = 0"#,
        r#"1 renameat2(AT_FDCWD</d>, "/d/a.db-wal", AT_FDCWD</d>, "/d/x", 0) = 0"#,
        "1 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 5</d/a.db>, 0) = 0x7f00",
        r#"1 openat(AT_FDCWD</x>, "/d/a.db", O_RDWR|O_DSYNC) = 5</d/a.db>"#,
        "1 io_uring_setup(8, {flags=0}) = 5",
        "1 fallocate(5</d/a.db>, 0, 0, 4096) = 0",
        "1 sendfile(9<TCP:[a:1->b:2]>, 5</d/a.db>, NULL, 10) = 10",
        r#"1 pwrite64(5</d/a.db>, "abc"..., 30000, 0) = 30000"#,
        r#"1 pwrite64(5</d/a.db>, "abc", 9, 0) = 9"#,
    ] {
        match read(&["1 close(3) = 0", line]) {
            Err(TraceError::Line { line: 2, .. }) => {}
            other => panic!("{line}: {other:?}"),
        }
    }
}
