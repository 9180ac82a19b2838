use std::path::Path;
use std::thread;

use proptest::prelude::*;
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use super::*;

const COMMIT_COUNT: u64 = 10;

struct Metered {
    meter: IoMeter,
    connection: Connection,
    directory: TempDir,
}

fn open(path: &Path, meter: &IoMeter) -> Connection {
    Connection::open_with_flags_and_vfs(path, OpenFlags::default(), meter.vfs_name()).unwrap()
}

fn metered(pragmas: &str) -> Metered {
    let directory = tempfile::tempdir().unwrap();
    let meter = IoMeter::register().unwrap();
    let connection = open(&directory.path().join("ledger.sqlite"), &meter);
    connection.execute_batch(pragmas).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE accounts(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
             INSERT INTO accounts VALUES (1, 0);",
        )
        .unwrap();
    Metered {
        meter,
        connection,
        directory,
    }
}

fn commit(connection: &Connection) {
    connection
        .execute("UPDATE accounts SET balance = balance + 1", [])
        .unwrap();
}

/// What `COMMIT_COUNT` commits cost on a database that is already warm.
fn cost_of_commits(pragmas: &str) -> IoCounts {
    let Metered {
        meter,
        connection,
        directory: _directory,
    } = metered(pragmas);
    let before = meter.counts();
    for _ in 0..COMMIT_COUNT {
        commit(&connection);
    }
    meter.counts().since(&before)
}

/// Syncs per commit: database, WAL, journal, directory.
fn syncs_per_commit(pragmas: &str) -> [u64; 4] {
    let cost = cost_of_commits(pragmas);
    assert_eq!(cost.syncs.other, 0);
    assert_eq!(cost.sync_errors, 0);
    assert_eq!(cost.sync_ns > 0, cost.syncs.total() > 0);
    [
        cost.syncs.database,
        cost.syncs.wal,
        cost.syncs.journal,
        cost.syncs.directory,
    ]
    .map(|syncs| {
        assert_eq!(
            syncs % COMMIT_COUNT,
            0,
            "{syncs} syncs in {COMMIT_COUNT} commits"
        );
        syncs / COMMIT_COUNT
    })
}

#[test]
fn rollback_journal_commits() {
    let delete = "PRAGMA journal_mode=DELETE; PRAGMA synchronous";
    assert_eq!(syncs_per_commit(&format!("{delete}=OFF")), [0, 0, 0, 0]);
    assert_eq!(syncs_per_commit(&format!("{delete}=NORMAL")), [1, 0, 1, 1]);
    assert_eq!(syncs_per_commit(&format!("{delete}=FULL")), [1, 0, 2, 1]);
    assert_eq!(syncs_per_commit(&format!("{delete}=EXTRA")), [1, 0, 2, 2]);
}

#[test]
fn journals_that_are_kept_cost_more_than_those_deleted() {
    // SQLite opens even a kept journal anew for every transaction, and syncs the directory for it.
    let full = "PRAGMA synchronous=FULL; PRAGMA journal_mode";
    assert_eq!(syncs_per_commit(&format!("{full}=PERSIST")), [1, 0, 3, 1]);
    assert_eq!(syncs_per_commit(&format!("{full}=TRUNCATE")), [1, 0, 3, 1]);
    assert_eq!(syncs_per_commit(&format!("{full}=MEMORY")), [1, 0, 0, 0]);
}

#[test]
fn wal_commits() {
    let wal = "PRAGMA journal_mode=WAL; PRAGMA synchronous";
    assert_eq!(syncs_per_commit(&format!("{wal}=OFF")), [0, 0, 0, 0]);
    assert_eq!(syncs_per_commit(&format!("{wal}=NORMAL")), [0, 0, 0, 0]);
    assert_eq!(syncs_per_commit(&format!("{wal}=FULL")), [0, 1, 0, 0]);
    assert_eq!(syncs_per_commit(&format!("{wal}=EXTRA")), [0, 1, 0, 0]);
}

#[test]
fn memory_without_synchronous_never_syncs() {
    assert_eq!(
        syncs_per_commit("PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF"),
        [0, 0, 0, 0]
    );
}

#[test]
fn a_checkpoint_syncs_the_wal_then_the_database() {
    let Metered {
        meter,
        connection,
        directory: _directory,
    } = metered("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL");
    commit(&connection);
    meter.take_sync_samples(&mut Vec::new());
    let before = meter.counts();
    connection
        .execute_batch("PRAGMA wal_checkpoint(PASSIVE)")
        .unwrap();
    let cost = meter.counts().since(&before);

    let mut samples = Vec::new();
    assert_eq!(meter.take_sync_samples(&mut samples), 0);
    let kinds: Vec<_> = samples.iter().map(|sample| sample.kind).collect();
    assert_eq!(kinds, [SyncKind::Wal, SyncKind::Database]);
    assert_eq!(
        samples.iter().map(|sample| sample.latency_ns).sum::<u64>(),
        cost.sync_ns
    );
    assert!(cost.bytes_written.database >= 2 * 4_096);
}

#[test]
fn a_wal_that_starts_over_syncs_its_header_and_a_new_one_the_directory_too() {
    let Metered {
        meter,
        connection,
        directory: _directory,
    } = metered("PRAGMA synchronous=NORMAL");
    connection.execute_batch("PRAGMA journal_mode=WAL").unwrap();
    let kinds_of = |work: &str| {
        meter.take_sync_samples(&mut Vec::new());
        connection.execute_batch(work).unwrap();
        let mut samples = Vec::new();
        meter.take_sync_samples(&mut samples);
        samples
            .into_iter()
            .map(|sample| sample.kind)
            .collect::<Vec<_>>()
    };
    let update = "UPDATE accounts SET balance = balance + 1";
    assert_eq!(kinds_of(update), [SyncKind::Wal, SyncKind::Directory]);
    assert_eq!(kinds_of(update), []);
    kinds_of("PRAGMA wal_checkpoint(RESTART)");
    assert_eq!(kinds_of(update), [SyncKind::Wal]);
    assert_eq!(kinds_of(update), []);
}

#[test]
fn bytes_written_are_the_frames_of_the_wal() {
    let cost = cost_of_commits("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL");
    assert_eq!(cost.bytes_written.wal, COMMIT_COUNT * (24 + 4_096));
    assert_eq!(cost.bytes_written.database + cost.bytes_written.journal, 0);
    assert_eq!(cost.bytes_written.other, 0);
}

#[test]
fn bytes_written_are_told_apart_by_file() {
    let cost = cost_of_commits("PRAGMA journal_mode=DELETE; PRAGMA synchronous=FULL");
    // The page changed, and the first page with its change counter.
    assert_eq!(cost.bytes_written.database, COMMIT_COUNT * 2 * 4_096);
    assert!(cost.bytes_written.journal > cost.bytes_written.database);
    assert_eq!(cost.bytes_written.wal, 0);
}

#[test]
fn meters_do_not_mix() {
    let one = metered("PRAGMA journal_mode=WAL");
    let two = metered("PRAGMA journal_mode=WAL");
    assert_ne!(one.meter.vfs_name(), two.meter.vfs_name());
    let before = (one.meter.counts(), two.meter.counts());
    commit(&one.connection);
    assert_eq!(one.meter.counts().since(&before.0).syncs.wal, 1);
    assert_eq!(two.meter.counts(), before.1);
}

#[test]
fn connections_on_one_database_may_each_have_a_meter() {
    let writer = metered("PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0");
    let meter = IoMeter::register().unwrap();
    let checkpointer = open(&writer.directory.path().join("ledger.sqlite"), &meter);
    commit(&writer.connection);
    let before = writer.meter.counts();
    checkpointer
        .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    assert_eq!(writer.meter.counts(), before);
    assert_eq!(meter.counts().syncs.database, 1);

    commit(&writer.connection);
    let balance: i64 = checkpointer
        .query_row("SELECT balance FROM accounts", [], |row| row.get(0))
        .unwrap();
    assert_eq!(balance, 2);
}

#[test]
fn concurrent_connections_add_up() {
    const WRITER_COUNT: u64 = 2;
    let Metered {
        meter,
        connection,
        directory,
    } = metered("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0");
    let path = directory.path().join("ledger.sqlite");
    let before = meter.counts();
    meter.take_sync_samples(&mut Vec::new());
    thread::scope(|scope| {
        for _ in 0..WRITER_COUNT {
            scope.spawn(|| {
                let connection = open(&path, &meter);
                connection
                    .execute_batch("PRAGMA wal_autocheckpoint=0; PRAGMA busy_timeout=60000")
                    .unwrap();
                for _ in 0..COMMIT_COUNT {
                    commit(&connection);
                }
            });
        }
    });
    let cost = meter.counts().since(&before);
    let commit_count = WRITER_COUNT * COMMIT_COUNT;
    // Each connection syncs the directory with its own first sync.
    assert_eq!(
        (cost.syncs.wal, cost.syncs.directory),
        (commit_count, WRITER_COUNT)
    );
    assert_eq!(cost.bytes_written.wal, commit_count * (24 + 4_096));
    let mut samples = Vec::new();
    assert_eq!(meter.take_sync_samples(&mut samples), 0);
    assert_eq!(samples.len() as u64, cost.syncs.total());

    let balance: i64 = connection
        .query_row("SELECT balance FROM accounts", [], |row| row.get(0))
        .unwrap();
    assert_eq!(u64::try_from(balance), Ok(commit_count));
}

#[test]
fn samples_that_nobody_takes_are_missed_not_hoarded() {
    let meter = IoMeter::register().unwrap();
    for _ in 0..SYNC_SAMPLES_MAX + 3 {
        meter
            .tally
            .record_sync(SyncKind::Wal, Duration::from_micros(683));
    }
    let mut samples = Vec::new();
    assert_eq!(meter.take_sync_samples(&mut samples), 3);
    assert_eq!(samples.len(), SYNC_SAMPLES_MAX);
    assert_eq!(
        samples[0],
        SyncSample {
            kind: SyncKind::Wal,
            latency_ns: 683_000
        }
    );
    assert_eq!(meter.counts().syncs.wal, SYNC_SAMPLES_MAX as u64 + 3);
    assert_eq!(meter.take_sync_samples(&mut samples), 0);
    assert_eq!(samples.len(), SYNC_SAMPLES_MAX);
}

#[test]
fn memory_maps_and_shared_memory_work_through_a_meter() {
    let Metered {
        meter: _meter,
        connection,
        directory: _directory,
    } = metered("PRAGMA journal_mode=WAL");
    let mapped_bytes: i64 = connection
        .query_row("PRAGMA mmap_size=1048576", [], |row| row.get(0))
        .unwrap();
    assert_eq!(mapped_bytes, 1_048_576);
    commit(&connection);
    connection
        .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    let verdict: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(verdict, "ok");
}

#[test]
fn directory_syncs_are_seen_on_the_unix_vfs() {
    assert!(IoMeter::register().unwrap().sees_directory_syncs());
}

#[test]
fn meters_cross_threads() {
    fn crosses<T: Clone + Send + Sync + 'static>() {}
    crosses::<IoMeter>();
}

proptest! {
    #[test]
    fn counts_add_up_again_after_a_difference(
        earlier in any::<[u32; 3]>(),
        added in any::<[u32; 3]>(),
    ) {
        let counts = |[database, wal, bytes]: [u64; 3]| IoCounts {
            syncs: SyncsByFile {
                database,
                wal,
                ..SyncsByFile::default()
            },
            bytes_written: BytesByFile {
                wal: bytes,
                ..BytesByFile::default()
            },
            ..IoCounts::default()
        };
        let earlier = earlier.map(u64::from);
        let added = added.map(u64::from);
        let later = counts(std::array::from_fn(|i| earlier[i] + added[i]));
        prop_assert_eq!(later.since(&counts(earlier)), counts(added));
        prop_assert_eq!(later.since(&later), IoCounts::default());
        prop_assert_eq!(IoCounts::default().since(&later), IoCounts::default());
    }
}
