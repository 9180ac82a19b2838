//! The frames of the log are gathered before they are written: nobody who looks at the files may
//! see the difference. Every script is run through a meter while a stranger, with SQLite's own
//! VFS, reads along, and while the process might be killed after any statement.

#![allow(
    clippy::unwrap_used,
    reason = "all of this file is tests and their helpers"
)]

use std::path::Path;

use busload_sqlite::vfs::IoMeter;
use proptest::prelude::*;
use rusqlite::{Connection, OpenFlags};

const ROWS: i64 = 400;

#[derive(Debug, Clone)]
enum Step {
    /// Adds to the balances of a range of rows.
    Add {
        first: i64,
        count: i64,
        amount: i64,
    },
    Savepoint,
    RollbackToSavepoint,
    Begin,
    Commit,
    Rollback,
    Checkpoint(&'static str),
    /// Another connection commits.
    Stranger,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let add = (0..ROWS, 1..ROWS, 1..1_000_i64).prop_map(|(first, count, amount)| Step::Add {
        first,
        count,
        amount,
    });
    let step = prop_oneof![
        8 => add,
        2 => Just(Step::Savepoint),
        2 => Just(Step::RollbackToSavepoint),
        3 => Just(Step::Begin),
        3 => Just(Step::Commit),
        2 => Just(Step::Rollback),
        1 => proptest::sample::select(vec!["PASSIVE", "RESTART", "TRUNCATE"])
            .prop_map(Step::Checkpoint),
        1 => Just(Step::Stranger),
    ];
    proptest::collection::vec(step, 1..40)
}

/// Rows so wide that a page holds few of them, and a cache so small that transactions spill.
fn open(path: &Path, vfs: Option<&IoMeter>, synchronous: &str) -> Connection {
    let flags = OpenFlags::default();
    let connection = match vfs {
        Some(meter) => Connection::open_with_flags_and_vfs(path, flags, meter.vfs_name()),
        None => Connection::open_with_flags(path, flags),
    }
    .unwrap();
    connection
        .execute_batch(&format!(
            "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; PRAGMA synchronous={synchronous};
             PRAGMA cache_size=10; PRAGMA cache_spill=5;"
        ))
        .unwrap();
    connection
}

fn balances(connection: &Connection) -> Vec<i64> {
    let mut statement = connection
        .prepare("SELECT balance FROM accounts ORDER BY id")
        .unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

/// What a restart would find if the process were killed now: the files as they are.
fn after_a_kill(path: &Path) -> Vec<i64> {
    let copy = tempfile::tempdir().unwrap();
    let to = copy.path().join("ledger.sqlite");
    std::fs::copy(path, &to).unwrap();
    let log = |path: &Path| {
        let mut name = path.as_os_str().to_owned();
        name.push("-wal");
        name
    };
    if Path::new(&log(path)).exists() {
        std::fs::copy(log(path), log(&to)).unwrap();
    }
    let connection = Connection::open(&to).unwrap();
    let verdict: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(verdict, "ok");
    balances(&connection)
}

/// The ledger as it ought to be.
#[derive(Clone)]
struct Model {
    committed: Vec<i64>,
    current: Vec<i64>,
    savepoint: Option<Vec<i64>>,
    in_transaction: bool,
}

impl Model {
    fn end(&mut self, committed: bool) {
        if committed {
            self.committed.clone_from(&self.current);
        } else {
            self.current.clone_from(&self.committed);
        }
        self.savepoint = None;
        self.in_transaction = false;
    }
}

fn run(script: &[Step], synchronous: &str) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.sqlite");
    let meter = IoMeter::register().unwrap();
    let ours = open(&path, Some(&meter), synchronous);
    ours.execute_batch(&format!(
        "CREATE TABLE accounts(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL, ballast BLOB);
         WITH RECURSIVE n(x) AS (SELECT 0 UNION ALL SELECT x+1 FROM n LIMIT {ROWS})
         INSERT INTO accounts SELECT x, 0, zeroblob(700) FROM n;"
    ))
    .unwrap();
    let stranger = open(&path, None, "FULL");
    let rows = vec![0; usize::try_from(ROWS).unwrap()];
    let mut model = Model {
        committed: rows.clone(),
        current: rows,
        savepoint: None,
        in_transaction: false,
    };
    for step in script {
        match step {
            Step::Add {
                first,
                count,
                amount,
            } => {
                ours.execute(
                    "UPDATE accounts SET balance = balance + ?1 WHERE id >= ?2 AND id < ?3",
                    [*amount, *first, first + count],
                )
                .unwrap();
                let range = usize::try_from(*first).unwrap()
                    ..usize::try_from((first + count).min(ROWS)).unwrap();
                for balance in &mut model.current[range] {
                    *balance += amount;
                }
                if !model.in_transaction {
                    model.end(true);
                }
            }
            Step::Begin if !model.in_transaction => {
                ours.execute_batch("BEGIN IMMEDIATE").unwrap();
                model.in_transaction = true;
            }
            Step::Commit if model.in_transaction => {
                ours.execute_batch("COMMIT").unwrap();
                model.end(true);
            }
            Step::Rollback if model.in_transaction => {
                ours.execute_batch("ROLLBACK").unwrap();
                model.end(false);
            }
            Step::Savepoint if model.in_transaction && model.savepoint.is_none() => {
                ours.execute_batch("SAVEPOINT s").unwrap();
                model.savepoint = Some(model.current.clone());
            }
            Step::RollbackToSavepoint => {
                if let Some(kept) = &model.savepoint {
                    ours.execute_batch("ROLLBACK TO s").unwrap();
                    model.current.clone_from(kept);
                }
            }
            Step::Checkpoint(mode) if !model.in_transaction => {
                ours.execute_batch(&format!("PRAGMA wal_checkpoint({mode})"))
                    .unwrap();
            }
            Step::Stranger if !model.in_transaction => {
                stranger
                    .execute("UPDATE accounts SET balance = balance + 1", [])
                    .unwrap();
                for balance in &mut model.current {
                    *balance += 1;
                }
                model.end(true);
            }
            _ => continue,
        }
        assert!(balances(&ours) == model.current, "after {step:?}");
        assert!(balances(&stranger) == model.committed, "after {step:?}");
        assert!(after_a_kill(&path) == model.committed, "after {step:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn nobody_sees_that_frames_were_gathered(
        script in steps(),
        synchronous in proptest::sample::select(vec!["FULL", "NORMAL", "OFF"]),
    ) {
        run(&script, synchronous);
    }
}

/// A transaction larger than the cache, given up: what had spilled is not there, and what comes
/// next is written over it.
#[test]
fn what_spilled_and_was_rolled_back_does_not_come_back() {
    let add = |amount| Step::Add {
        first: 0,
        count: ROWS,
        amount,
    };
    let mut script = vec![add(1)];
    for _ in 0..5 {
        script.extend([Step::Begin, add(7), add(9), Step::Rollback]);
        script.extend([Step::Begin, add(2), Step::Commit]);
    }
    run(&script, "NORMAL");
}

/// A transaction that writes its pages again and again in place, so that its checksums are
/// written anew at the COMMIT.
#[test]
fn pages_overwritten_in_the_log_are_committed_with_their_new_checksums() {
    let add = |amount| Step::Add {
        first: 0,
        count: ROWS,
        amount,
    };
    let mut script = vec![Step::Begin];
    script.extend((1..8).map(add));
    script.extend([Step::Savepoint, add(100), Step::RollbackToSavepoint, add(5)]);
    script.push(Step::Commit);
    script.push(add(1));
    run(&script, "FULL");
}

/// Frames of a transaction that was given up must not land on those that another connection has
/// committed in their place since.
#[test]
fn frames_given_up_are_not_written_over_those_of_another_connection() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.sqlite");
    let meter = IoMeter::register().unwrap();
    let ours = open(&path, Some(&meter), "FULL");
    ours.execute_batch(&format!(
        "CREATE TABLE accounts(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL, ballast BLOB);
         WITH RECURSIVE n(x) AS (SELECT 0 UNION ALL SELECT x+1 FROM n LIMIT {ROWS})
         INSERT INTO accounts SELECT x, 0, zeroblob(700) FROM n;
         PRAGMA wal_checkpoint(TRUNCATE);
         UPDATE accounts SET balance = 1 WHERE id = 0;"
    ))
    .unwrap();
    let before = meter.counts().bytes_written.wal;
    ours.execute_batch("BEGIN IMMEDIATE; UPDATE accounts SET balance = 7 WHERE id < 80; ROLLBACK")
        .unwrap();
    let spilled = meter.counts().bytes_written.wal - before;
    assert_eq!(spilled, 0, "the frames that spilled were only gathered");
    open(&path, None, "FULL")
        .execute_batch("UPDATE accounts SET balance = balance + 1")
        .unwrap();
    ours.execute(
        "UPDATE accounts SET balance = balance + 1 WHERE id = 399",
        [],
    )
    .unwrap();
    let mut expected = vec![1; usize::try_from(ROWS).unwrap()];
    (expected[0], expected[399]) = (2, 2);
    assert!(after_a_kill(&path) == expected);
    assert!(balances(&ours) == expected);
}
