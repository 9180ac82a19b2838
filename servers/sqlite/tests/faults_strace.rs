//! Disk errors at a chosen system call of the writer thread, made by `strace`: each test runs
//! itself again under it. Without a working `strace` it says that it was skipped.

#![cfg(target_os = "linux")]

#[path = "support/strace.rs"]
mod strace;
mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use busload_engine::{ControlCall, Degradation, EngineError, Failure, Outcome};
use busload_sqlite::{CheckpointMode, Durability};
use busload_wire::{Transfer, TransferId};
use strace::can_trace;
use support::{Bank, Config, Mail, balances_in, config, transfer};

/// Set in the run under `strace`: the directory to work in.
const DIRECTORY_VARIABLE: &str = "BUSLOAD_FAULT_DIRECTORY";
const TRANSFERS: usize = 20;
/// Instead of a suffix: the directory of the database.
const NAMES: &str = "/";

fn one_by_one(directory: &Path) -> Config {
    Config {
        batch_size: 1,
        ..config(directory, Durability::WalFull)
    }
}

/// Runs the test `name` under `strace`, which makes `fault` of the calls on the database file
/// with `suffix`, or on its directory ([`NAMES`]); there it does `work`. Then does `check` in the same directory,
/// without faults.
fn with_fault(
    name: &str,
    suffix: &str,
    fault: &str,
    work: impl FnOnce(&Path),
    check: impl FnOnce(&Path),
) {
    if let Some(directory) = std::env::var_os(DIRECTORY_VARIABLE) {
        work(&PathBuf::from(directory));
        return;
    }
    if !can_trace(name) {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory
        .path()
        .canonicalize()
        .expect("the directory exists");
    // Created and seeded before there are faults.
    Bank::start(&one_by_one(&path)).stop_cleanly();
    let faulty = if suffix == NAMES {
        path.clone()
    } else {
        path.join(format!("ledger.sqlite{suffix}"))
    };
    // Every call named here stops the process, whatever the file: no more than it takes.
    let calls = match fault.split([':', '=']).nth(1) {
        Some("openat") => "trace=openat",
        Some("pread64") => "trace=pread64",
        _ => "trace=pwrite64,fsync,fdatasync",
    };
    let output = Command::new("strace")
        .args(["-f", "-qq", "-e", "signal=none", "-o"])
        .arg(path.join("trace"))
        .arg("-P")
        .arg(&faulty)
        .args(["-e", calls, "-e", fault])
        .arg(std::env::current_exe().expect("the test knows its own path"))
        .args(["--exact", name, "--nocapture"])
        .env(DIRECTORY_VARIABLE, &path)
        .stdin(Stdio::null())
        .output()
        .expect("strace starts");
    let trace = std::fs::read_to_string(path.join("trace")).expect("strace wrote its trace");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "the run under strace failed:\n{said}\n{trace}"
    );
    assert!(
        trace.contains("(INJECTED)"),
        "nothing was injected:\n{trace}"
    );
    check(&path);
}

/// Hands the number of transfers acknowledged from one process to the other.
fn acknowledge(directory: &Path, committed: usize, unknown: usize) {
    let counts = format!("{committed} {unknown}");
    std::fs::write(directory.join("acknowledged"), counts).expect("written");
}

fn acknowledged(directory: &Path) -> (i64, i64) {
    let counts = std::fs::read_to_string(directory.join("acknowledged")).expect("work was done");
    let (committed, unknown) = counts.split_once(' ').expect("two counts");
    (
        committed.parse().expect("a count"),
        unknown.parse().expect("a count"),
    )
}

/// Each transfer moved 1 from account 0 to account 1.
fn applied(directory: &Path) -> i64 {
    let balances = balances_in(&directory.join("ledger.sqlite"));
    assert_eq!(balances.iter().sum::<i64>(), 10_000, "money is conserved");
    assert_eq!(balances[2..], [1000; 8]);
    balances[1] - 1000
}

fn holds_what_was_acknowledged(directory: &Path) {
    assert_eq!(applied(directory), acknowledged(directory).0);
}

/// docs/reliability-evidence.md, case 6.
#[test]
fn case_06_eio_at_a_commit_sync() {
    with_fault(
        "case_06_eio_at_a_commit_sync",
        "-wal",
        "inject=fsync,fdatasync:error=EIO:when=8",
        |directory| {
            let bank = Bank::start(&one_by_one(directory));
            let hold = bank.hold();
            assert_eq!(bank.submit(1, &[transfer(0, 1, 1); TRANSFERS]).len(), 0);
            bank.engine
                .control(9, None, ControlCall::Verify)
                .expect("open");
            drop(hold);
            let outcomes = bank.outcomes(TRANSFERS);
            let count = |wanted| {
                outcomes
                    .iter()
                    .filter(|outcome| **outcome == wanted)
                    .count()
            };
            let committed = count(Outcome::Committed);
            assert_eq!(
                count(Outcome::InDoubt),
                1,
                "the batch of the failed sync: {outcomes:?}"
            );
            assert_eq!(outcomes[committed], Outcome::InDoubt, "{outcomes:?}");
            let refused = count(Outcome::Failed(Failure::ShuttingDown));
            assert_eq!(committed + 1 + refused, TRANSFERS, "{outcomes:?}");
            assert!(committed > 0 && refused > 0, "{outcomes:?}");
            let control = bank.next_mail();
            assert!(matches!(
                control,
                Mail::Control(_, Err(EngineError::ShuttingDown))
            ));
            assert!(matches!(bank.next_mail(), Mail::Stopped));
            let late = bank.submit(1, &[transfer(0, 1, 1)]);
            assert_eq!(late[0].outcome, Outcome::Failed(Failure::ShuttingDown));
            let stats = bank.engine.stats();
            assert_eq!(
                (stats.committed, stats.applied),
                (committed as u64, committed as u64)
            );
            assert_eq!(stats.unknown, 1);
            assert_eq!(stats.failed.get("shutting_down"), Some(&(refused as u64)));
            let error = bank.writer.join().expect_err("it stopped");
            assert!(matches!(error, EngineError::InDoubt(_)), "{error}");
            acknowledge(directory, committed, 1);
        },
        |directory| {
            let bank = Bank::start(&one_by_one(directory));
            let (committed, unknown) = acknowledged(directory);
            let applied = bank.balance(1).expect("there") - 1000;
            assert!(
                (committed..=committed + unknown).contains(&applied),
                "{applied}"
            );
            bank.stop_cleanly();
        },
    );
}

/// Transfers until one is of unknown outcome, as one must be, and not the first.
fn until_one_is_unknown(directory: &Path, durability: Durability) {
    let bank = Bank::start(&Config {
        durability,
        ..one_by_one(directory)
    });
    let outcomes = bank.apply(&[transfer(0, 1, 1); TRANSFERS]);
    let committed = outcomes
        .iter()
        .take_while(|outcome| **outcome == Outcome::Committed)
        .count();
    assert!(committed > 0, "{outcomes:?}");
    assert_eq!(outcomes.get(committed), Some(&Outcome::InDoubt));
    let refused = Outcome::Failed(Failure::ShuttingDown);
    let rest = &outcomes[committed + 1..];
    assert!(!rest.is_empty(), "{outcomes:?}");
    assert!(rest.iter().all(|one| *one == refused), "{outcomes:?}");
    let error = bank.writer.join().expect_err("it stopped");
    assert!(matches!(error, EngineError::InDoubt(_)), "{error}");
    acknowledge(directory, committed, 1);
}

fn the_unknown_one_is_there(directory: &Path) {
    let (committed, unknown) = acknowledged(directory);
    assert_eq!(applied(directory), committed + unknown);
}

/// With `delete-extra` a transaction is committed as soon as its journal is gone, and the sync of
/// that can still fail: it is there, and nobody is told so.
#[test]
fn case_06_eio_at_the_sync_of_the_journals_removal() {
    with_fault(
        "case_06_eio_at_the_sync_of_the_journals_removal",
        NAMES,
        // The directory is synced twice for each transfer, for the second time at its end.
        "inject=fsync,fdatasync:error=EIO:when=14",
        |directory| until_one_is_unknown(directory, Durability::DeleteExtra),
        the_unknown_one_is_there,
    );
}

/// Without the name of its journal a power cut might leave half a transaction, and nothing to take
/// it back. SQLite drops the error of this sync.
#[test]
fn case_06_eio_at_the_sync_of_a_new_journals_name() {
    with_fault(
        "case_06_eio_at_the_sync_of_a_new_journals_name",
        NAMES,
        // The first of the two syncs of a transfer.
        "inject=fsync,fdatasync:error=EIO:when=13",
        |directory| until_one_is_unknown(directory, Durability::DeleteExtra),
        holds_what_was_acknowledged,
    );
}

/// Here the removal is not synced.
#[test]
fn case_06_eio_at_the_sync_of_a_new_journals_name_in_delete_full() {
    with_fault(
        "case_06_eio_at_the_sync_of_a_new_journals_name_in_delete_full",
        NAMES,
        "inject=fsync,fdatasync:error=EIO:when=7",
        |directory| until_one_is_unknown(directory, Durability::DeleteFull),
        holds_what_was_acknowledged,
    );
}

/// The first commit syncs the name of the log, without which all that follow are gone after a
/// power cut.
fn eio_at_the_name_of_a_new_log(name: &str, durability: Durability) {
    with_fault(
        name,
        NAMES,
        "inject=fsync,fdatasync:error=EIO:when=1+",
        |directory| {
            let bank = Bank::start(&Config {
                durability,
                ..one_by_one(directory)
            });
            let outcomes = bank.apply(&[transfer(0, 1, 1); TRANSFERS]);
            assert_eq!(outcomes[0], Outcome::InDoubt, "{outcomes:?}");
            let refused = Outcome::Failed(Failure::ShuttingDown);
            let mut rest = outcomes[1..].iter();
            assert!(rest.all(|one| *one == refused), "{outcomes:?}");
            let error = bank.writer.join().expect_err("it stopped");
            assert!(matches!(error, EngineError::InDoubt(_)), "{error}");
        },
        |directory| assert!((0..=1).contains(&applied(directory))),
    );
}

#[test]
fn case_06_eio_at_the_sync_of_a_new_logs_name() {
    eio_at_the_name_of_a_new_log(
        "case_06_eio_at_the_sync_of_a_new_logs_name",
        Durability::WalFull,
    );
}

#[test]
fn case_06_eio_at_the_sync_of_a_new_logs_name_in_wal_normal() {
    eio_at_the_name_of_a_new_log(
        "case_06_eio_at_the_sync_of_a_new_logs_name_in_wal_normal",
        Durability::WalNormal,
    );
}

/// Nobody has been promised anything yet: the server does not start.
#[test]
fn case_06_eio_at_the_sync_of_a_new_ledgers_name() {
    with_fault(
        "case_06_eio_at_the_sync_of_a_new_ledgers_name",
        NAMES,
        "inject=fsync,fdatasync:error=EIO:when=1+",
        |directory| {
            for durability in [
                Durability::WalFull,
                Durability::DeleteExtra,
                Durability::DeleteFull,
                Durability::WalNormal,
            ] {
                let database = directory.join(format!("{durability}.sqlite"));
                let started = Bank::open(&Config {
                    database: database.clone(),
                    durability,
                    ..one_by_one(directory)
                });
                let Err(error) = started else {
                    panic!("{durability} starts");
                };
                let said = error.to_string();
                assert!(said.contains(&format!("{durability}.sqlite")), "{said}");
                assert!(said.contains("its directory cannot be synced"), "{said}");
            }
        },
        |directory| {
            for durability in [Durability::WalFull, Durability::DeleteExtra] {
                let database = directory.join(format!("{durability}.sqlite"));
                Bank::start(&Config {
                    database: database.clone(),
                    durability,
                    ..one_by_one(directory)
                })
                .stop_cleanly();
                assert_eq!(balances_in(&database), [1000; 10], "{durability}");
            }
        },
    );
}

/// Or it cannot even be tried.
#[test]
fn case_06_no_descriptor_for_the_sync_of_the_journals_removal() {
    with_fault(
        "case_06_no_descriptor_for_the_sync_of_the_journals_removal",
        NAMES,
        "inject=openat:error=EMFILE:when=14",
        |directory| until_one_is_unknown(directory, Durability::DeleteExtra),
        the_unknown_one_is_there,
    );
}

/// Without it a power cut might leave half a transaction, and no journal to take it back.
#[test]
fn case_06_no_descriptor_for_the_sync_of_a_new_journal() {
    with_fault(
        "case_06_no_descriptor_for_the_sync_of_a_new_journal",
        NAMES,
        "inject=openat:error=EMFILE:when=13",
        |directory| until_one_is_unknown(directory, Durability::DeleteExtra),
        holds_what_was_acknowledged,
    );
}

/// docs/reliability-evidence.md, case 11.
#[test]
fn case_11_a_full_disk_and_then_room_again() {
    no_room_and_then_room_again("case_11_a_full_disk_and_then_room_again", "ENOSPC");
}

/// The same to whoever writes, but SQLite takes it for an I/O error.
#[test]
fn case_11_a_quota_that_is_used_up_and_then_room_again() {
    no_room_and_then_room_again(
        "case_11_a_quota_that_is_used_up_and_then_room_again",
        "EDQUOT",
    );
}

fn no_room_and_then_room_again(name: &str, error: &str) {
    with_fault(
        name,
        "-wal",
        &format!("inject=pwrite64:error={error}:when=12..17"),
        |directory| {
            let bank = Bank::start(&one_by_one(directory));
            let full = Outcome::Failed(Failure::StorageFull);
            let mut outcomes = bank.apply(&[transfer(0, 1, 1); TRANSFERS]);
            let began = outcomes
                .iter()
                .position(|outcome| *outcome == full)
                .expect("the disk was full");
            assert!(began > 0, "{outcomes:?}");
            assert_eq!(bank.notices()[0], (Degradation::StorageFull, true));
            let mut tries = 0;
            while outcomes.last() == Some(&full) {
                std::thread::sleep(Duration::from_millis(5));
                outcomes.extend(bank.apply(&[transfer(0, 1, 1)]));
                tries += 1;
                assert!(tries < 2_000, "it never recovered");
            }
            let count = |wanted| {
                outcomes
                    .iter()
                    .filter(|outcome| **outcome == wanted)
                    .count()
            };
            let committed = count(Outcome::Committed);
            assert_eq!(committed + count(full), outcomes.len(), "{outcomes:?}");
            assert!(bank.engine.health().is_empty());
            let stats = bank.stats();
            assert_eq!(
                (stats.committed, stats.applied),
                (committed as u64, committed as u64)
            );
            assert_eq!(
                stats.failed.get("storage_full"),
                Some(&(count(full) as u64))
            );
            acknowledge(directory, committed, 0);
            bank.stop_cleanly();
        },
        holds_what_was_acknowledged,
    );
}

/// A disk that cannot read says nothing about what is on it. SQLite calls that a malformed
/// database, and somebody might throw a good one away.
#[test]
fn eio_at_a_read_is_the_disks_and_not_the_ledgers() {
    with_fault(
        "eio_at_a_read_is_the_disks_and_not_the_ledgers",
        "",
        "inject=pread64:error=EIO:when=1+",
        |directory| {
            for fresh in [false, true] {
                let started = Bank::open(&Config {
                    fresh,
                    ..one_by_one(directory)
                });
                let said = started.err().expect("it does not start").to_string();
                assert!(
                    said.contains("ledger.sqlite: the disk failed to read"),
                    "{said}"
                );
                assert!(said.contains("the ledger may be intact: keep it"), "{said}");
                for wrong in ["malformed", "corrupt", "choose another file"] {
                    assert!(!said.contains(wrong), "{said}");
                }
            }
            let found = busload_sqlite::inspect(&directory.join("ledger.sqlite"));
            let said = found.expect_err("it cannot be read").to_string();
            assert!(said.contains("disk I/O error"), "{said}");
        },
        |directory| {
            let balances = balances_in(&directory.join("ledger.sqlite"));
            assert_eq!(balances, [1000; 10], "also `fresh` has left it alone");
        },
    );
}

/// Transfers one by one with a checkpoint due after each, of which no sync succeeds: the engine
/// ends at the first, and nobody is told that an outcome is in doubt.
fn until_a_checkpoint_fails(directory: &Path, mode: CheckpointMode) {
    const TRANSFERS_MAX: usize = 10_000;
    let database = directory.join("ledger.sqlite");
    std::fs::copy(&database, directory.join("synced")).expect("a copy");
    let bank = Bank::start(&Config {
        checkpoint_kib: Some(4),
        checkpoint_mode: mode,
        ..one_by_one(directory)
    });
    let mut committed = 0;
    while bank.apply(&[transfer(0, 1, 1)]) == [Outcome::Committed] {
        committed += 1;
        assert!(committed < TRANSFERS_MAX, "it goes on");
    }
    assert!(committed > 0);
    let stats = bank.engine.stats();
    assert_eq!((stats.committed, stats.unknown), (committed as u64, 0));
    assert_eq!(stats.checkpoints.errors, 1, "{:?}", stats.checkpoints);
    let error = bank.writer.join().expect_err("it stopped");
    assert!(
        matches!(error, EngineError::CheckpointUnsynced(_)),
        "{error}"
    );
    acknowledge(directory, committed, 0);
}

/// What was written to the database since its last good sync is gone, as the kernel may drop it
/// when it cannot write it: everything acknowledged is in the log.
fn the_log_has_what_was_acknowledged(directory: &Path) {
    let database = directory.join("ledger.sqlite");
    std::fs::copy(directory.join("synced"), &database).expect("copied back");
    holds_what_was_acknowledged(directory);
}

/// docs/reliability-evidence.md, case 8, as far as the engine goes.
#[test]
fn case_08_eio_at_a_checkpoint_between_batches() {
    with_fault(
        "case_08_eio_at_a_checkpoint_between_batches",
        "",
        "inject=fsync,fdatasync:error=EIO:when=1+",
        |directory| until_a_checkpoint_fails(directory, CheckpointMode::BetweenBatches),
        the_log_has_what_was_acknowledged,
    );
}

/// The same on the connection beside the writer's, whose passes that did not reach the end of the
/// log have copied pages without a sync.
#[test]
fn case_08_eio_at_a_checkpoint_in_the_background() {
    with_fault(
        "case_08_eio_at_a_checkpoint_in_the_background",
        "",
        "inject=fsync,fdatasync:error=EIO:when=1+",
        |directory| until_a_checkpoint_fails(directory, CheckpointMode::Background),
        the_log_has_what_was_acknowledged,
    );
}

/// A write that fails is another thing: the page is still to be copied, and it is tried again.
#[test]
fn case_08_eio_at_a_write_of_a_checkpoint() {
    with_fault(
        "case_08_eio_at_a_write_of_a_checkpoint",
        "",
        "inject=pwrite64:error=EIO:when=2..4",
        |directory| {
            let bank = Bank::start(&Config {
                checkpoint_kib: Some(4),
                checkpoint_mode: CheckpointMode::BetweenBatches,
                ..one_by_one(directory)
            });
            let outcomes = bank.apply(&[transfer(0, 1, 1); TRANSFERS]);
            assert_eq!(outcomes, [Outcome::Committed; TRANSFERS]);
            let checkpoints = bank.stats().checkpoints;
            assert_eq!(checkpoints.errors, 3, "{checkpoints:?}");
            let told = [true, false].map(|began| (Degradation::CheckpointFailed, began));
            assert_eq!(bank.notices(), told);
            acknowledge(directory, TRANSFERS, 0);
            bank.stop_cleanly();
        },
        holds_what_was_acknowledged,
    );
}

/// The last checkpoint, after which a log would be removed.
#[test]
fn eio_at_the_last_checkpoint() {
    with_fault(
        "eio_at_the_last_checkpoint",
        "",
        "inject=fsync,fdatasync:error=EIO:when=1+",
        |directory| {
            let database = directory.join("ledger.sqlite");
            std::fs::copy(&database, directory.join("synced")).expect("a copy");
            let bank = Bank::start(&one_by_one(directory));
            let outcomes = bank.apply(&[transfer(0, 1, 1); TRANSFERS]);
            assert_eq!(outcomes, [Outcome::Committed; TRANSFERS]);
            acknowledge(directory, TRANSFERS, 0);
            bank.engine.close();
            let error = bank.writer.join().expect_err("its last sync failed");
            assert!(
                matches!(error, EngineError::CheckpointUnsynced(_)),
                "{error}"
            );
        },
        the_log_has_what_was_acknowledged,
    );
}

/// A seeding is a COMMIT as well.
#[test]
fn eio_at_the_sync_of_a_seeding() {
    with_fault(
        "eio_at_the_sync_of_a_seeding",
        "-wal",
        "inject=fsync,fdatasync:error=EIO:when=1+",
        |directory| {
            let bank = Bank::start(&one_by_one(directory));
            let seed = bank.call(ControlCall::Seed {
                accounts: 5,
                initial_balance: 5,
                may_wipe: true,
            });
            assert!(matches!(seed, Err(EngineError::Storage(_))), "{seed:?}");
            assert!(matches!(bank.next_mail(), Mail::Stopped));
            let error = bank.writer.join().expect_err("it stopped");
            assert!(matches!(error, EngineError::InDoubt(_)), "{error}");
        },
        |directory| {
            let balances = balances_in(&directory.join("ledger.sqlite"));
            assert!(balances == [1000; 10] || balances == [5; 5], "{balances:?}");
        },
    );
}

/// Known not to have happened, so nothing stops.
#[test]
fn case_11_a_seeding_on_a_full_disk() {
    with_fault(
        "case_11_a_seeding_on_a_full_disk",
        "-wal",
        "inject=pwrite64:error=ENOSPC:when=1..2",
        |directory| {
            let bank = Bank::start(&one_by_one(directory));
            let seed = || {
                bank.call(ControlCall::Seed {
                    accounts: 5,
                    initial_balance: 5,
                    may_wipe: true,
                })
            };
            for _ in 0..2 {
                let full = seed();
                assert!(matches!(full, Err(EngineError::StorageFull)), "{full:?}");
                assert_eq!(bank.balance(9), Some(1000), "it was rolled back");
            }
            seed().expect("there is room again");
            assert_eq!(bank.apply(&[transfer(0, 1, 1)]), [Outcome::Committed]);
            bank.stop_cleanly();
        },
        |directory| {
            let balances = balances_in(&directory.join("ledger.sqlite"));
            assert_eq!(balances, [4, 6, 5, 5, 5]);
        },
    );
}

/// Transfers with the ids 0, 1, 2 …
fn with_ids() -> Vec<Transfer> {
    let id = |id| Some(TransferId::from_u128(id));
    let one = |n| Transfer {
        transfer_id: id(n),
        ..transfer(0, 1, 1)
    };
    (0..TRANSFERS as u128).map(one).collect()
}

/// Sends the transfers again: each one is applied once then, whatever became of it before.
fn resolve(directory: &Path) {
    let bank = Bank::start(&one_by_one(directory));
    assert_eq!(bank.apply(&with_ids()), [Outcome::Committed; TRANSFERS]);
    let (committed, unknown) = acknowledged(directory);
    let repeated = bank.stats().transfer_ids.expect("it remembers").repeated;
    let repeated = i64::try_from(repeated).expect("a small count");
    assert!(
        (committed..=committed + unknown).contains(&repeated),
        "{repeated}"
    );
    bank.stop_cleanly();
    assert_eq!(
        applied(directory),
        i64::try_from(TRANSFERS).expect("a small count")
    );
}

/// docs/reliability-evidence.md, case 6, its second half.
#[test]
fn case_06_what_eio_left_open_is_resolved_by_its_id() {
    with_fault(
        "case_06_what_eio_left_open_is_resolved_by_its_id",
        "-wal",
        "inject=fsync,fdatasync:error=EIO:when=8",
        |directory| {
            let bank = Bank::start(&one_by_one(directory));
            let hold = bank.hold();
            assert_eq!(bank.submit(1, &with_ids()).len(), 0);
            drop(hold);
            let outcomes = bank.outcomes(TRANSFERS);
            let committed = outcomes.iter().take_while(|it| **it == Outcome::Committed);
            let committed = committed.count();
            assert_eq!(outcomes[committed], Outcome::InDoubt, "{outcomes:?}");
            bank.writer.join().expect_err("it stopped");
            acknowledge(directory, committed, 1);
        },
        resolve,
    );
}

/// What was rolled back for want of room is not remembered.
#[test]
fn a_full_disk_and_ids() {
    with_fault(
        "a_full_disk_and_ids",
        "-wal",
        "inject=pwrite64:error=ENOSPC:when=14..17",
        |directory| {
            let bank = Bank::start(&one_by_one(directory));
            let outcomes = bank.apply(&with_ids());
            let full = Outcome::Failed(Failure::StorageFull);
            let count = |wanted| outcomes.iter().filter(|it| **it == wanted).count();
            let committed = count(Outcome::Committed);
            assert_eq!(committed + count(full), TRANSFERS, "{outcomes:?}");
            assert!(count(full) > 0 && committed > 0, "{outcomes:?}");
            let remembered = bank.stats().transfer_ids.expect("it remembers").remembered;
            assert_eq!(remembered, committed as u64);
            // Also without a restart.
            let mut looks = 0;
            while !bank.engine.health().is_empty() {
                std::thread::sleep(Duration::from_millis(5));
                looks += 1;
                assert!(looks < 2_000, "it never recovered");
            }
            assert_eq!(bank.apply(&with_ids()), [Outcome::Committed; TRANSFERS]);
            acknowledge(directory, TRANSFERS, 0);
            bank.stop_cleanly();
        },
        resolve,
    );
}
