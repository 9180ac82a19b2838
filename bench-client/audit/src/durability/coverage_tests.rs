//! Traces as `strace` writes them, a few lines each, and what is to be said of their transfers.

use std::fmt::Write as _;
use std::path::Path;

use super::coverage::{Coverage, Gap, many_at_a_time, one_at_a_time};
use super::recording::Recording;

const DIRECTORY: &str = "/d";
const CLIENT: &str = "TCP:[127.0.0.1:4107->127.0.0.1:50000]";

/// A trace under construction.
#[derive(Default)]
struct Trace {
    text: String,
    transfers: u32,
}

fn hex(text: &str) -> String {
    text.bytes().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "\\x{byte:02x}");
        hex
    })
}

impl Trace {
    fn line(mut self, line: &str) -> Self {
        let _ = writeln!(self.text, "7 {line}");
        self
    }

    fn open(self, descriptor: u32, file: &str, flags: &str) -> Self {
        let path = hex(&format!("{DIRECTORY}/{file}"));
        self.line(&format!(
            "openat(AT_FDCWD<{}>, \"{path}\", {flags}, 0644) = {descriptor}<{path}>",
            hex("/")
        ))
    }

    fn on(self, call: &str, descriptor: u32, file: &str, rest: &str) -> Self {
        let path = hex(&format!("{DIRECTORY}/{file}"));
        self.line(&format!("{call}({descriptor}<{path}>{rest}"))
    }

    fn write(self, descriptor: u32, file: &str) -> Self {
        self.on(
            "pwrite64",
            descriptor,
            file,
            ", \"\\x61\"..., 100, 0) = 100",
        )
    }

    fn sync(self, descriptor: u32, file: &str) -> Self {
        self.on("fdatasync", descriptor, file, ") = 0")
    }

    fn sync_directory(self) -> Self {
        self.line(&format!("fsync(9<{}>) = 0", hex(DIRECTORY)))
    }

    fn unlink(self, file: &str) -> Self {
        self.line(&format!(
            "unlink(\"{}\") = 0",
            hex(&format!("{DIRECTORY}/{file}"))
        ))
    }

    fn ask(mut self) -> Self {
        self.transfers += 1;
        let body = r#"{"name":"transfer","args":{"from_id":0,"to_id":1,"amount":1}}"#;
        let text = format!(
            "POST /rpc HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let line = format!(
            "recvfrom(8<{CLIENT}>, \"{}\", 16384, 0, NULL, NULL) = {}",
            hex(&text),
            text.len()
        );
        self.line(&line)
    }

    fn answer(self, body: &str) -> Self {
        let text = format!(
            "HTTP/1.1 200 x\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let line = format!(
            "sendto(8<{CLIENT}>, \"{}\", {}, 0, NULL, 0) = {}",
            hex(&text),
            text.len(),
            text.len()
        );
        self.line(&line)
    }

    fn acknowledge(self) -> Self {
        self.answer(r#"{"ok":true}"#)
    }

    fn refuse(self) -> Self {
        self.answer(r#"{"ok":false,"error":"unknown_outcome"}"#)
    }

    #[track_caller]
    fn read(&self) -> Recording {
        let recording = Recording::read(self.text.as_bytes(), Some(4107)).unwrap();
        assert_eq!(recording.misunderstood, None);
        assert_eq!(recording.transfers.len(), self.transfers as usize);
        recording
    }

    #[track_caller]
    fn judged(&self) -> Coverage {
        one_at_a_time(&self.read(), Some(Path::new(DIRECTORY)))
    }

    /// What the one gap is, if there is one.
    #[track_caller]
    fn gap(&self) -> Option<Gap> {
        let coverage = self.judged();
        assert!(coverage.acknowledged > 0);
        assert!(coverage.gaps.len() <= 1, "{coverage:?}");
        coverage.gaps.keys().next().copied()
    }
}

fn opened() -> Trace {
    Trace::default().open(3, "log", "O_RDWR|O_CREAT|O_CLOEXEC")
}

#[test]
fn a_write_must_be_synced_when_the_answer_leaves() {
    let written = || opened().ask().write(3, "log");
    assert_eq!(written().sync(3, "log").acknowledge().gap(), None);
    assert_eq!(written().acknowledge().gap(), Some(Gap::Never));
    assert_eq!(
        written().acknowledge().sync(3, "log").gap(),
        Some(Gap::Late)
    );
    let before = opened().ask().sync(3, "log").write(3, "log").acknowledge();
    assert_eq!(before.gap(), Some(Gap::Never), "a sync before the write");
    let range = written().on("sync_file_range", 3, "log", ", 0, 0, 7) = 0");
    assert_eq!(range.acknowledge().gap(), Some(Gap::RangeOnly));
    let all = written().line("sync() = 0").acknowledge();
    assert_eq!(all.gap(), None);
    assert_eq!(
        opened().ask().acknowledge().gap(),
        Some(Gap::NothingWritten)
    );
}

#[test]
fn a_sync_that_another_thread_began_too_early_covers_nothing() {
    let path = hex("/d/log");
    let trace = opened()
        .ask()
        .line(&format!("fdatasync(3<{path}> <unfinished ...>"))
        .line("close(77) = 0");
    // Lines of two threads, of which the other writes while the sync is under way.
    let text = trace.text.replace("7 fdatasync", "9 fdatasync");
    let trace = Trace { text, ..trace }.write(3, "log");
    let text = format!("{}9 <... fdatasync resumed>) = 0\n", trace.text);
    let trace = Trace { text, ..trace }.acknowledge();
    assert_eq!(trace.gap(), Some(Gap::Never));
}

#[test]
fn a_sync_that_failed_covers_nothing_not_even_when_a_later_one_succeeds() {
    let failed = || {
        let written = opened().ask().write(3, "log");
        written.on(
            "fdatasync",
            3,
            "log",
            ") = -1 EIO (Input/output error) (INJECTED)",
        )
    };
    assert_eq!(failed().acknowledge().gap(), Some(Gap::SyncFailed));
    let again = failed().sync(3, "log").acknowledge().judged();
    assert_eq!(again.gaps.keys().next(), Some(&Gap::SyncFailed));
    assert_eq!(
        (again.failed_syncs, again.acknowledged_after_failure),
        (1, 1)
    );
    let anew = failed().write(3, "log").sync(3, "log").acknowledge();
    assert_eq!(anew.gap(), None, "it was written again");
    let refused = failed().refuse().judged();
    assert_eq!((refused.failed_syncs, refused.acknowledged), (1, 0));
    assert_eq!(refused.acknowledged_after_failure, 0);
}

#[test]
fn writes_sync_by_the_flags_of_their_descriptor_or_their_own() {
    let trace = |flags: &str| {
        let trace = Trace::default().open(3, "log", flags);
        trace.ask().write(3, "log").acknowledge()
    };
    assert_eq!(trace("O_RDWR|O_DSYNC").gap(), None);
    assert_eq!(trace("O_RDWR|O_SYNC|O_CLOEXEC").gap(), None);
    assert_eq!(trace("O_RDWR").gap(), Some(Gap::Never));
    let both = Trace::default()
        .open(3, "log", "O_RDWR|O_DSYNC")
        .open(4, "log", "O_RDWR");
    let syncs = |descriptor| {
        let trace = Trace {
            text: both.text.clone(),
            ..Trace::default()
        };
        trace.ask().write(descriptor, "log").acknowledge().gap()
    };
    assert_eq!((syncs(3), syncs(4)), (None, Some(Gap::Never)));
    let by_call = opened().ask().on(
        "pwritev2",
        3,
        "log",
        ", [{iov_base=\"\\x61\", iov_len=1}], 1, 0, RWF_DSYNC) = 1",
    );
    let coverage = by_call.acknowledge().judged();
    assert_eq!(coverage.covered, 1);
    assert_eq!(coverage.syncs["O_DSYNC"], 1);
}

#[test]
fn a_removed_journal_needs_a_sync_of_its_directory() {
    let committed = || {
        opened()
            .ask()
            .open(4, "log-journal", "O_RDWR|O_CREAT")
            .write(4, "log-journal")
            .sync(4, "log-journal")
            .write(3, "log")
            .sync(3, "log")
            .unlink("log-journal")
    };
    assert_eq!(committed().acknowledge().gap(), Some(Gap::Name));
    assert_eq!(committed().sync_directory().acknowledge().gap(), None);
    let late = committed().acknowledge().sync_directory();
    assert_eq!(late.gap(), Some(Gap::Name));
}

#[test]
fn a_renamed_file_needs_a_sync_of_its_directory() {
    let (from, to) = (hex("/d/new"), hex("/d/log"));
    let renamed = || {
        Trace::default()
            .ask()
            .open(4, "new", "O_RDWR|O_CREAT|O_TRUNC")
            .write(4, "new")
            .sync(4, "new")
            .line(&format!("rename(\"{from}\", \"{to}\") = 0"))
    };
    assert_eq!(renamed().acknowledge().gap(), Some(Gap::Name));
    assert_eq!(renamed().sync_directory().acknowledge().gap(), None);
}

#[test]
fn a_mapping_is_written_unseen_and_its_sync_is_seen() {
    let mapped = opened()
        .on("ftruncate", 3, "log", ", 4096) = 0")
        .line(&format!(
            "mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 3<{}>, 0) = 0x7f0000001000",
            hex("/d/log")
        ));
    let trace = |sync: &str| {
        let trace = Trace {
            text: mapped.text.clone(),
            ..Trace::default()
        };
        trace.ask().line(sync).acknowledge().judged()
    };
    let synced = trace("msync(0x7f0000001000, 4096, MS_SYNC) = 0");
    assert_eq!((synced.covered, synced.syncs["msync"]), (1, 1));
    assert!(synced.mapped, "it is no fake that writes nothing");
    assert_eq!(
        trace("msync(0x7f0000001000, 4096, MS_ASYNC) = 0").covered,
        0
    );
    assert_eq!(trace("msync(0x7f0000009000, 4096, MS_SYNC) = 0").covered, 0);
}

/// A checkpoint writes to the database during a few transfers, and syncs it later.
#[test]
fn what_is_written_during_few_transfers_is_another_jobs() {
    let mut trace = opened().open(4, "database", "O_RDWR");
    for number in 0..5 {
        trace = trace.ask().write(3, "log");
        if number == 2 {
            trace = trace.write(4, "database");
        }
        trace = trace.sync(3, "log").acknowledge();
    }
    let coverage = trace.judged();
    assert_eq!((coverage.acknowledged, coverage.covered), (5, 5));
    let database = coverage.files.iter().find(|one| one.file == "database");
    let database = database.unwrap();
    assert_eq!((database.transfers, database.not_synced), (1, 1));
    // One whose log is not synced once is found.
    let unsynced = trace.ask().write(3, "log").acknowledge().judged();
    assert_eq!(unsynced.gaps[&Gap::Never], 1);
    assert_eq!(unsynced.gap_files["log"], 1);
}

/// What a server writes outside of the directory that it was given is no ledger, unless nothing
/// is written in there.
#[test]
fn a_log_for_people_elsewhere_is_no_ledger() {
    let elsewhere = format!("write(5<{}>, \"\\x61\", 1) = 1", hex("/var/log/server"));
    let both = opened()
        .ask()
        .line(&elsewhere)
        .write(3, "log")
        .sync(3, "log");
    assert_eq!(both.acknowledge().gap(), None);
    let only = opened().ask().line(&elsewhere).acknowledge();
    assert_eq!(only.gap(), Some(Gap::Never));
}

#[test]
fn many_in_flight_share_a_sync() {
    let second = "TCP:[127.0.0.1:4107->127.0.0.1:50001]";
    let on_second = |trace: Trace, before: &str| {
        let from = before.len();
        let text = format!("{before}{}", trace.text[from..].replace(CLIENT, second));
        Trace { text, ..trace }
    };
    let shared = |synced: bool| {
        let trace = opened().ask();
        let before = trace.text.clone();
        let mut trace = on_second(trace.ask(), &before).write(3, "log");
        if synced {
            trace = trace.sync(3, "log");
        }
        let trace = trace.acknowledge();
        let before = trace.text.clone();
        let trace = on_second(trace.acknowledge(), &before);
        many_at_a_time(&trace.read(), Some(Path::new(DIRECTORY)))
    };
    let coverage = shared(true);
    assert_eq!((coverage.acknowledged, coverage.covered), (2, 2));
    assert_eq!(coverage.syncs_in_all(), 1);
    assert_eq!(shared(false).covered, 0);
}

#[test]
fn io_uring_and_what_is_cut_are_told() {
    let uring = opened()
        .line("io_uring_setup(8, {}) = 5")
        .ask()
        .acknowledge();
    assert!(uring.read().io_uring);
    let refused = opened().line("io_uring_setup(8, {}) = -1 ENOSYS (Function not implemented)");
    assert!(!refused.ask().acknowledge().read().io_uring);
    let cut = opened().ask().line(&format!(
        "sendto(8<{CLIENT}>, \"\\x61\"..., 99999, 0, NULL, 0) = 99999"
    ));
    let recording = Recording::read(cut.text.as_bytes(), Some(4107)).unwrap();
    assert!(recording.misunderstood.is_some());
    // A connection of somebody else's, and one without a transfer, may say what they like.
    let others = opened().line(&format!(
        "sendto(8<{}>, \"\\x61\", 1, 0, NULL, 0) = 1",
        CLIENT.replace("4107", "5432")
    ));
    let others = others.line(&format!(
        "sendto(6<{CLIENT}>, \"\\x61\", 1, 0, NULL, 0) = 1"
    ));
    let recording = Recording::read(others.text.as_bytes(), Some(4107)).unwrap();
    assert_eq!(recording.misunderstood, None);
}

#[test]
fn the_syncs_of_the_start_are_counted_by_thread_and_call() {
    let trace = opened()
        .sync(3, "log")
        .sync(3, "log")
        .sync_directory()
        .ask()
        .write(3, "log")
        .sync(3, "log")
        .acknowledge();
    assert_eq!(trace.read().syncs_at_start, 2);
}
