//! What each durability mode writes and syncs, as the engine counts it; that what was
//! committed is there after a restart; and that the log is kept short.

mod support;

use busload_engine::{Outcome, Rejection};
use busload_sqlite::{CheckpointMode, Durability};
use busload_wire::control::{Stats, SyncsByFile};
use support::{Bank, Config, balances_in, config, transfer};

const BATCHES: u64 = 6;
/// The first commits of a log also sync its header and its directory.
const WARM_UP: usize = 3;

/// What `BATCHES` batches of three transfers cost, each submitted after the last was answered.
fn cost(durability: Durability) -> (Stats, Stats) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let bank = Bank::start(&config(directory.path(), durability));
    for _ in 0..WARM_UP {
        bank.apply(&[transfer(0, 1, 1)]);
    }
    let before = bank.stats();
    for _ in 0..BATCHES {
        let outcomes = bank.apply(&[transfer(0, 1, 1), transfer(1, 2, 1), transfer(0, 0, 1)]);
        let rejected = Outcome::Rejected(Rejection::InvalidTransfer);
        assert_eq!(outcomes, [Outcome::Committed, Outcome::Committed, rejected]);
    }
    let after = bank.stats();
    assert_eq!(after.batches - before.batches, BATCHES);
    assert_eq!(after.committed - before.committed, 2 * BATCHES);
    bank.stop_cleanly();
    (before, after)
}

fn syncs(before: &Stats, after: &Stats) -> SyncsByFile {
    let (a, b) = (after.syncs, before.syncs);
    SyncsByFile {
        database: a.database - b.database,
        wal: a.wal - b.wal,
        journal: a.journal - b.journal,
        directory: a.directory - b.directory,
        other: a.other - b.other,
    }
}

fn commit_syncs(stats: &Stats) -> u64 {
    stats.commit_syncs.expect("this server counts its syncs")
}

#[test]
fn wal_full_syncs_the_log_once_per_batch() {
    let (before, after) = cost(Durability::WalFull);
    let once = SyncsByFile {
        wal: BATCHES,
        ..SyncsByFile::default()
    };
    assert_eq!(syncs(&before, &after), once);
    assert_eq!(commit_syncs(&after) - commit_syncs(&before), BATCHES);
    assert_eq!(
        after.stages.sync_ns.count - before.stages.sync_ns.count,
        BATCHES
    );
    assert!(after.stages.sync_ns.sum > before.stages.sync_ns.sum);
    assert_eq!(
        after.batches_that_wrote - before.batches_that_wrote,
        BATCHES
    );
    assert_eq!(after.applied - before.applied, 2 * BATCHES);
    assert!(after.bytes_written.wal > before.bytes_written.wal);
}

#[test]
fn delete_full_syncs_journal_directory_and_database() {
    let (before, after) = cost(Durability::DeleteFull);
    let counted = syncs(&before, &after);
    assert_eq!((counted.database, counted.journal), (BATCHES, 2 * BATCHES));
    assert_eq!((counted.wal, counted.other), (0, 0));
    assert_eq!(
        commit_syncs(&after) - commit_syncs(&before),
        counted.total()
    );
    if cfg!(target_os = "linux") {
        assert_eq!(counted.directory, BATCHES);
    }
}

/// The directory is synced again when the journal is removed, inside of the COMMIT, and its time
/// counts as a sync's.
#[test]
fn delete_extra_syncs_the_directory_once_more() {
    let (before, after) = cost(Durability::DeleteExtra);
    let counted = syncs(&before, &after);
    assert_eq!((counted.database, counted.journal), (BATCHES, 2 * BATCHES));
    assert_eq!((counted.wal, counted.other), (0, 0));
    assert_eq!(
        commit_syncs(&after) - commit_syncs(&before),
        counted.total()
    );
    assert_eq!(
        after.stages.sync_ns.count - before.stages.sync_ns.count,
        counted.total()
    );
    if cfg!(target_os = "linux") {
        assert_eq!(counted.directory, 2 * BATCHES);
    }
}

#[test]
fn wal_normal_and_memory_sync_nothing_at_commit() {
    for mode in [Durability::WalNormal, Durability::Memory] {
        let (before, after) = cost(mode);
        assert_eq!(syncs(&before, &after), SyncsByFile::default(), "{mode}");
        assert_eq!(after.commit_syncs, before.commit_syncs, "{mode}");
        assert_eq!(after.applied - before.applied, 2 * BATCHES, "{mode}");
    }
}

/// The article's fake row, as the counts show it.
#[test]
fn discard_writes_answers_committed_and_does_nothing() {
    let (before, after) = cost(Durability::DiscardWrites);
    assert_eq!(syncs(&before, &after), SyncsByFile::default());
    assert_eq!(
        (after.applied, after.row_changes, commit_syncs(&after)),
        (0, 0, 0)
    );
    assert_eq!(after.batches_that_wrote, 0);
    assert_eq!(after.bytes_written, before.bytes_written);
    assert_eq!(after.balances, before.balances);

    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path(), Durability::DiscardWrites);
    let bank = Bank::start(&config);
    let outcomes = bank.apply(&[
        transfer(0, 1, 1000),
        transfer(0, 1, 1001),
        transfer(0, 10, 1),
        transfer(0, 0, 1),
        transfer(0, 1, 0),
    ]);
    let rejections = outcomes[1..].iter().map(|outcome| match outcome {
        Outcome::Rejected(rejection) => *rejection,
        other => panic!("{other:?}"),
    });
    assert_eq!(outcomes[0], Outcome::Committed);
    assert_eq!(
        rejections.collect::<Vec<_>>(),
        [
            Rejection::InsufficientFunds,
            Rejection::AccountMissing,
            Rejection::InvalidTransfer,
            Rejection::InvalidTransfer
        ]
    );
    assert!(bank.verify().is_err(), "nothing changed");
    bank.stop_cleanly();
    assert_eq!(balances_in(&config.database), [1000; 10]);
}

/// design.md: syncs can be held against the batches that wrote.
#[test]
fn a_batch_of_rejections_syncs_nothing() {
    for mode in [
        Durability::WalFull,
        Durability::DeleteFull,
        Durability::DeleteExtra,
    ] {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path(), mode);
        support::strict_file(&config.database, &[100, i64::MAX - 5]);
        let bank = Bank::start(&config);
        bank.apply(&[transfer(0, 1, 1)]);
        let before = bank.stats();
        for rejected in [
            transfer(0, 1, 0),
            transfer(0, 0, 1),
            transfer(7, 0, 1),
            transfer(0, 1, 100),
            // The debit of these goes through and has to be taken back.
            transfer(0, 7, 1),
            transfer(0, 1, 5),
        ] {
            let outcomes = bank.apply(&[rejected, rejected]);
            assert!(
                outcomes.iter().all(|o| matches!(o, Outcome::Rejected(_))),
                "{rejected:?}"
            );
        }
        let after = bank.stats();
        assert_eq!(after.batches - before.batches, 6);
        // Two of the batches had a journal, whose removal this mode syncs also at a ROLLBACK.
        let mut expected = before.syncs;
        if mode == Durability::DeleteExtra && cfg!(target_os = "linux") {
            expected.directory += 2;
        }
        assert_eq!(after.syncs, expected, "{mode}");
        let (bytes, earlier) = (after.bytes_written, before.bytes_written);
        assert_eq!(
            (bytes.database, bytes.wal),
            (earlier.database, earlier.wal),
            "{mode}"
        );
        assert_eq!(after.commit_syncs, before.commit_syncs, "{mode}");
        assert_eq!(after.batches_that_wrote, 1, "{mode}");
        assert_eq!((after.row_changes, after.applied), (2, 1), "{mode}");
        assert_eq!(after.balances, before.balances, "{mode}");

        // One good one among them, and the batch is written.
        let outcomes = bank.apply(&[transfer(0, 7, 1), transfer(0, 1, 1), transfer(0, 1, 99)]);
        assert_eq!(outcomes[1], Outcome::Committed);
        let last = bank.stats();
        assert_eq!(last.batches_that_wrote, 2);
        assert_eq!(
            (last.row_changes, last.refunds, last.applied),
            (2 + 4, 1, 2)
        );
        bank.stop_cleanly();
        assert_eq!(balances_in(&config.database), [98, i64::MAX - 3]);
    }
}

#[test]
fn batch_size_one_is_a_transaction_per_transfer() {
    const TRANSFERS: usize = 25;
    let directory = tempfile::tempdir().unwrap();
    let config = Config {
        batch_size: 1,
        ..config(directory.path(), Durability::WalFull)
    };
    let bank = Bank::start(&config);
    bank.apply(&[transfer(0, 1, 1); WARM_UP]);
    let before = bank.stats();
    assert_eq!(
        bank.apply(&[transfer(0, 1, 1); TRANSFERS]),
        [Outcome::Committed; TRANSFERS]
    );
    let after = bank.stats();
    assert_eq!(after.batches - before.batches, TRANSFERS as u64);
    assert_eq!(
        commit_syncs(&after) - commit_syncs(&before),
        TRANSFERS as u64
    );
    assert_eq!(after.stages.batch_size.sum, after.stages.batch_size.count);
    bank.stop_cleanly();
}

#[test]
fn what_was_committed_is_there_after_closing_and_opening_again_in_any_mode() {
    let directory = tempfile::tempdir().unwrap();
    let mut expected = [1000_i64; 10];
    for mode in Durability::ALL.into_iter().cycle().take(12) {
        let config = config(directory.path(), mode);
        let bank = Bank::start(&config);
        assert_eq!(bank.engine.about().durability, mode.as_str());
        assert_eq!(bank.balances(10), expected, "{mode}");
        for to in 1..6 {
            assert_eq!(
                bank.apply(&[transfer(0, to, 1), transfer(to, 9, 2)]),
                [Outcome::Committed; 2]
            );
            if mode != Durability::DiscardWrites {
                let to = usize::try_from(to).unwrap();
                (expected[0], expected[to], expected[9]) =
                    (expected[0] - 1, expected[to] - 1, expected[9] + 2);
            }
        }
        assert_eq!(bank.balances(10), expected, "{mode}");
        bank.stop_cleanly();
        assert_eq!(balances_in(&config.database), expected, "{mode}");
    }
}

/// Whoever asks for balances all the time must not keep the log from being emptied.
#[test]
fn the_log_stays_short_whatever_is_asked_in_between() {
    const PAGES: u32 = 10;
    let directory = tempfile::tempdir().unwrap();
    let config = Config {
        batch_size: 1,
        page_bytes: Some(4096),
        checkpoint_kib: Some(4 * PAGES),
        checkpoint_mode: CheckpointMode::BetweenBatches,
        ..config(directory.path(), Durability::WalNormal)
    };
    let bank = Bank::start(&config);
    for _ in 0..100 {
        assert_eq!(bank.apply(&[transfer(0, 1, 1)]), [Outcome::Committed]);
        assert!(bank.balance(0).is_some());
    }
    let stats = bank.stats();
    assert!(stats.checkpoints.count >= 5, "{:?}", stats.checkpoints);
    assert_eq!(stats.checkpoints.errors, 0);
    let log = std::fs::metadata(directory.path().join("ledger.sqlite-wal")).unwrap();
    assert!(
        log.len() < 3 * u64::from(PAGES) * 4200,
        "{} bytes",
        log.len()
    );
    bank.stop_cleanly();
}

#[test]
fn checkpoint_syncs_are_not_commit_syncs() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config {
        checkpoint_kib: Some(4),
        checkpoint_mode: CheckpointMode::BetweenBatches,
        ..config(directory.path(), Durability::WalNormal)
    };
    let bank = Bank::start(&config);
    for _ in 0..5 {
        bank.apply(&[transfer(0, 1, 1)]);
    }
    let stats = bank.stats();
    assert_eq!(stats.checkpoints.count, 5);
    assert!(
        stats.checkpoints.syncs >= 10,
        "log and database: {:?}",
        stats.checkpoints
    );
    assert!(stats.checkpoints.duration_ns > 0);
    // A log that is used again has its header synced by the commit that begins it.
    assert!(commit_syncs(&stats) <= 5, "{}", commit_syncs(&stats));
    bank.stop_cleanly();
}
