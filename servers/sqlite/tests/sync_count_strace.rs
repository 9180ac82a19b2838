//! The meter's counts against the kernel's: each test runs itself again under `strace`, does its
//! work there from opening to closing the database, and must have counted every `fsync` and
//! `fdatasync` that `strace` saw, file by file, and those that `strace` made fail.

#![cfg(target_os = "linux")]

#[path = "support/strace.rs"]
mod strace;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use busload_sqlite::vfs::{IoCounts, IoMeter};
use rusqlite::{Connection, OpenFlags};
use strace::can_trace;
use tempfile::TempDir;

/// Set in the run under `strace`: the directory to work in.
const DIRECTORY_VARIABLE: &str = "BUSLOAD_SYNC_COUNT_DIRECTORY";
const COMMIT_COUNT: u64 = 25;

#[test]
fn delete_full() {
    compare("delete_full", |directory, meter| {
        commits(
            directory,
            meter,
            "PRAGMA journal_mode=DELETE; PRAGMA synchronous=FULL",
        );
    });
}

#[test]
fn delete_extra() {
    compare("delete_extra", |directory, meter| {
        commits(
            directory,
            meter,
            "PRAGMA journal_mode=DELETE; PRAGMA synchronous=EXTRA",
        );
    });
}

#[test]
fn persist_full() {
    compare("persist_full", |directory, meter| {
        commits(
            directory,
            meter,
            "PRAGMA journal_mode=PERSIST; PRAGMA synchronous=FULL",
        );
    });
}

#[test]
fn wal_full() {
    compare("wal_full", |directory, meter| {
        commits(
            directory,
            meter,
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL",
        );
    });
}

/// The meter's VFS syncs by `fdatasync` (`src/vfs/data_sync.rs`), and what it syncs is, one by one,
/// what SQLite's own syncs: the directory of a new journal or log among them.
#[test]
fn syncs_by_fdatasync_what_sqlite_syncs() {
    const MODES: [&str; 4] = [
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL",
        "PRAGMA journal_mode=DELETE; PRAGMA synchronous=FULL",
        "PRAGMA journal_mode=DELETE; PRAGMA synchronous=EXTRA",
        "PRAGMA journal_mode=PERSIST; PRAGMA synchronous=FULL",
    ];
    let name = "syncs_by_fdatasync_what_sqlite_syncs";
    let run = run_with(name, &[], |directory, meter| {
        for (number, pragmas) in MODES.into_iter().enumerate() {
            let metered = directory.join(format!("metered-{number}"));
            let plain = directory.join(format!("plain-{number}"));
            for place in [&metered, &plain] {
                fs::create_dir(place).expect("a new directory");
            }
            commits(&metered, meter, pragmas);
            let connection = Connection::open(plain.join("ledger.sqlite")).expect("a new file");
            fill(&connection, pragmas);
            for _ in 0..COMMIT_COUNT {
                commit(&connection);
            }
        }
    });
    let Some(Run { trace, path, .. }) = run else {
        return;
    };
    for (number, pragmas) in MODES.into_iter().enumerate() {
        let [metered, plain] = ["metered", "plain"].map(|side| {
            let place = path.join(format!("{side}-{number}"));
            let place = place.to_str().expect("the path is utf-8");
            let lines = trace.lines().filter(|line| line.contains(place));
            lines
                .map(|line| line.split_once('(').expect("a call").1)
                .map(|after| after.split(['<', '>']).nth(1).expect("the file's name"))
                .map(|file| file.replace(place, ""))
                .collect::<Vec<_>>()
        });
        assert!(metered.len() as u64 >= COMMIT_COUNT, "{pragmas}: {trace}");
        assert!(metered.iter().any(String::is_empty), "{pragmas}: {trace}");
        assert_eq!(metered, plain, "{pragmas}");
    }
    let by_fsync = |line: &&str| line.contains("/metered-") && line.contains(" fsync(");
    assert_eq!(trace.lines().find(by_fsync), None);
}

#[test]
fn wal_normal() {
    compare("wal_normal", |directory, meter| {
        commits(
            directory,
            meter,
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
        );
    });
}

#[test]
fn memory() {
    compare("memory", |directory, meter| {
        commits(
            directory,
            meter,
            "PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF",
        );
    });
}

#[test]
fn checkpoints() {
    compare("checkpoints", |directory, meter| {
        let connection = ledger(directory, meter, "PRAGMA journal_mode=WAL");
        for mode in ["PASSIVE", "FULL", "RESTART", "TRUNCATE"] {
            commit(&connection);
            let checkpoint = format!("PRAGMA wal_checkpoint({mode})");
            connection
                .execute_batch(&checkpoint)
                .expect("the checkpoint runs");
        }
    });
}

#[test]
fn joined_databases() {
    compare("joined_databases", |directory, meter| {
        let connection = ledger(
            directory,
            meter,
            "PRAGMA journal_mode=DELETE; PRAGMA synchronous=FULL",
        );
        let second = directory.join("second.sqlite");
        connection
            .execute(
                "ATTACH ?1 AS second",
                [second.to_str().expect("the path is utf-8")],
            )
            .expect("a second database attaches");
        connection
            .execute_batch(
                "CREATE TABLE second.t(x);
                 BEGIN; INSERT INTO t VALUES (1); UPDATE accounts SET balance = 0; COMMIT;",
            )
            .expect("one transaction changes both");
    });
}

#[test]
fn concurrent_writers() {
    compare("concurrent_writers", |directory, meter| {
        let first = ledger(
            directory,
            meter,
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL",
        );
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let connection = open(directory, meter);
                    connection
                        .execute_batch("PRAGMA wal_autocheckpoint=8; PRAGMA busy_timeout=60000")
                        .expect("the pragmas are accepted");
                    for _ in 0..COMMIT_COUNT {
                        commit(&connection);
                    }
                });
            }
        });
        drop(first);
    });
}

#[test]
fn failed_wal_sync() {
    let failure = ["-e", "inject=fsync,fdatasync:error=EIO:when=20"];
    compare_with("failed_wal_sync", &failure, |directory, meter| {
        let wal_full = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL";
        commits_of_which_one_fails(directory, meter, wal_full);
    });
}

#[test]
fn failed_directory_sync() {
    // Every fifth sync is that of the directory after the journal is deleted.
    let failure = ["-e", "inject=fsync,fdatasync:error=EIO:when=30"];
    compare_with("failed_directory_sync", &failure, |directory, meter| {
        let delete_extra = "PRAGMA journal_mode=DELETE; PRAGMA synchronous=EXTRA";
        commits_of_which_one_fails(directory, meter, delete_extra);
    });
}

#[test]
fn failed_sync_of_the_directory_of_a_new_journal() {
    // The second of those five.
    let failure = ["-e", "inject=fsync,fdatasync:error=EIO:when=27"];
    let name = "failed_sync_of_the_directory_of_a_new_journal";
    compare_with(name, &failure, |directory, meter| {
        let delete_extra = "PRAGMA journal_mode=DELETE; PRAGMA synchronous=EXTRA";
        commits_of_which_one_fails(directory, meter, delete_extra);
    });
}

#[test]
fn failed_sync_of_the_directory_of_a_log() {
    // Those of another thread: strace counts by thread. First the log, then its name.
    let failure = ["-e", "inject=fsync,fdatasync:error=EIO:when=2"];
    let name = "failed_sync_of_the_directory_of_a_log";
    compare_with(name, &failure, |directory, meter| {
        // Makes no sync that fails.
        let without = "PRAGMA synchronous=OFF; PRAGMA journal_mode=WAL";
        let first = ledger(directory, meter, without);
        thread::scope(|scope| {
            scope.spawn(|| {
                let connection = open(directory, meter);
                connection
                    .execute_batch("PRAGMA synchronous=FULL")
                    .expect("the pragma is accepted");
                let before = meter.counts();
                let error = connection
                    .execute("UPDATE accounts SET balance = 1", [])
                    .expect_err("its log's name is not durable");
                let code = error.sqlite_error().map(|error| error.extended_code);
                assert_eq!(code, Some(rusqlite::ffi::SQLITE_IOERR_DIR_FSYNC), "{error}");
                let counts = meter.counts().since(&before);
                assert_eq!((counts.syncs.directory, counts.sync_errors), (1, 1));
            });
        });
        drop(first);
    });
}

/// What a connection without a meter does is as it was, its errors too.
#[test]
fn connections_without_a_meter_keep_sqlites_own_rules() {
    let failure = ["-e", "inject=fsync,fdatasync:error=EIO:when=30"];
    let name = "connections_without_a_meter_keep_sqlites_own_rules";
    let run = run_with(name, &failure, |directory, _| {
        let connection = Connection::open(directory.join("ledger.sqlite")).expect("a new file");
        let delete_extra = "PRAGMA journal_mode=DELETE; PRAGMA synchronous=EXTRA";
        fill(&connection, delete_extra);
        one_commit_fails(&connection);
    });
    if let Some(Run { trace, path, .. }) = run {
        assert_eq!(traced(&trace, &path).failed, 1, "{trace}");
        assert_eq!(read_counted(&path), Syncs::default(), "none is a meter's");
    }
}

fn open(directory: &Path, meter: &IoMeter) -> Connection {
    let path = directory.join("ledger.sqlite");
    Connection::open_with_flags_and_vfs(path, OpenFlags::default(), meter.vfs_name())
        .expect("the database opens through the meter")
}

fn ledger(directory: &Path, meter: &IoMeter, pragmas: &str) -> Connection {
    let connection = open(directory, meter);
    fill(&connection, pragmas);
    connection
}

fn fill(connection: &Connection, pragmas: &str) {
    connection
        .execute_batch(pragmas)
        .expect("the pragmas are accepted");
    connection
        .execute_batch(
            "CREATE TABLE accounts(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
             INSERT INTO accounts VALUES (1, 0);",
        )
        .expect("the table is created");
}

fn commit(connection: &Connection) {
    connection
        .execute("UPDATE accounts SET balance = balance + 1", [])
        .expect("a transaction commits");
}

fn commits(directory: &Path, meter: &IoMeter, pragmas: &str) {
    let connection = ledger(directory, meter, pragmas);
    for _ in 0..COMMIT_COUNT {
        commit(&connection);
    }
}

fn commits_of_which_one_fails(directory: &Path, meter: &IoMeter, pragmas: &str) {
    one_commit_fails(&ledger(directory, meter, pragmas));
}

fn one_commit_fails(connection: &Connection) {
    let failed_count = (0..COMMIT_COUNT)
        .filter(|_| {
            connection
                .execute("UPDATE accounts SET balance = balance + 1", [])
                .is_err()
        })
        .count();
    assert_eq!(failed_count, 1);
}

/// Syncs by file, from either witness.
#[derive(Debug, Default, PartialEq, Eq)]
struct Syncs {
    database: u64,
    wal: u64,
    journal: u64,
    directory: u64,
    failed: u64,
}

fn compare(name: &str, work: impl FnOnce(&Path, &IoMeter)) {
    compare_with(name, &[], work);
}

/// Runs the test `name` under `strace` with more options, where it does `work`, and compares what
/// was counted.
fn compare_with(name: &str, strace_options: &[&str], work: impl FnOnce(&Path, &IoMeter)) {
    if let Some(Run { trace, path, .. }) = run_with(name, strace_options, work) {
        let counted = read_counted(&path);
        let traced = traced(&trace, &path);
        assert_eq!(counted, traced, "counted, then traced:\n{trace}");
    }
}

/// What a run under `strace` left.
struct Run {
    trace: String,
    /// As the kernel names it, by which syncs are told apart.
    path: PathBuf,
    _directory: TempDir,
}

/// `None` in that run, and where there can be none.
fn run_with(
    name: &str,
    strace_options: &[&str],
    work: impl FnOnce(&Path, &IoMeter),
) -> Option<Run> {
    if let Some(directory) = std::env::var_os(DIRECTORY_VARIABLE) {
        let directory = PathBuf::from(directory);
        let meter = IoMeter::register().expect("the meter registers");
        work(&directory, &meter);
        write_counted(&directory, &meter.counts());
        return None;
    }
    if !can_trace(name) {
        return None;
    }

    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory
        .path()
        .canonicalize()
        .expect("the directory exists");
    let trace = path.join("trace");
    let status = Command::new("strace")
        .args([
            "-f",
            "-qq",
            "-y",
            "-e",
            "trace=fsync,fdatasync",
            "-e",
            "signal=none",
            "-o",
        ])
        .arg(&trace)
        .args(strace_options)
        .arg(std::env::current_exe().expect("the test knows its own path"))
        .args(["--exact", name])
        .env(DIRECTORY_VARIABLE, &path)
        .stdout(Stdio::null())
        .status()
        .expect("strace starts");
    assert!(status.success(), "the run under strace failed: {status}");

    let trace = fs::read_to_string(trace).expect("strace wrote its trace");
    Some(Run {
        trace,
        path,
        _directory: directory,
    })
}

fn write_counted(directory: &Path, counts: &IoCounts) {
    assert_eq!(counts.syncs.other, 0);
    let (syncs, errors) = (&counts.syncs, counts.sync_errors);
    let line = format!(
        "{} {} {} {} {errors}",
        syncs.database, syncs.wal, syncs.journal, syncs.directory
    );
    fs::write(directory.join("counted"), line).expect("the counts are handed over");
}

fn read_counted(directory: &Path) -> Syncs {
    let line = fs::read_to_string(directory.join("counted")).expect("the work was done");
    let mut numbers = line
        .split(' ')
        .map(|number| number.parse().expect("a count"));
    let mut next = || numbers.next().expect("five counts");
    Syncs {
        database: next(),
        wal: next(),
        journal: next(),
        directory: next(),
        failed: next(),
    }
}

/// Reads lines like `4242 fdatasync(5</tmp/x/ledger.sqlite-wal>) = 0`. A call that was interrupted
/// by another thread's has a second line, which has no `(` after the name.
fn traced(trace: &str, directory: &Path) -> Syncs {
    let mut syncs = Syncs::default();
    for line in trace.lines() {
        syncs.failed += u64::from(line.contains(" = -1 "));
        if !line.contains("sync(") {
            continue;
        }
        let path = line
            .split(['<', '>'])
            .nth(1)
            .expect("strace names the file");
        let path = Path::new(path.trim_end_matches(" (deleted)"));
        if path == directory {
            syncs.directory += 1;
            continue;
        }
        assert_eq!(path.parent(), Some(directory), "a sync elsewhere: {line}");
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a file's name");
        if name.ends_with("-wal") {
            syncs.wal += 1;
        } else if name.ends_with(".sqlite") {
            syncs.database += 1;
        } else {
            syncs.journal += 1; // `-journal`, or the one that joins two databases: `-mjHEX`
        }
    }
    syncs
}
