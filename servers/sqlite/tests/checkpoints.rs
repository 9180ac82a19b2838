//! The write-ahead log stays bounded, whoever copies it, and says so when somebody keeps it from
//! being.

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use busload_engine::{ControlCall, Degradation, EngineError, Failure, Outcome};
use busload_sqlite::{CheckpointMode, Durability};
use busload_wire::Transfer;
use rusqlite::Connection;
use support::{Bank, Config, balances_in, config, is_full_size, tell, transfer};

const PAGE_BYTES: u32 = 4096;
const FRAME_BYTES: u64 = PAGE_BYTES as u64 + 24;

fn log_length(directory: &Path) -> u64 {
    let log = directory.join("ledger.sqlite-wal");
    log.metadata().map_or(0, |log| log.len())
}

fn checkpointing(directory: &Path, mode: CheckpointMode, pages: u32) -> Config {
    Config {
        checkpoint_mode: mode,
        page_bytes: Some(PAGE_BYTES),
        checkpoint_kib: Some(pages * PAGE_BYTES / 1024),
        batch_size: 1,
        ..config(directory, Durability::WalFull)
    }
}

/// There and back, so that nobody runs out of money.
fn there_and_back(pairs: usize) -> Vec<Transfer> {
    [transfer(0, 1, 1), transfer(1, 0, 1)].repeat(pairs)
}

fn all_committed(bank: &Bank, transfers: &[Transfer]) {
    let outcomes = bank.apply(transfers);
    let other = outcomes.iter().find(|it| **it != Outcome::Committed);
    assert_eq!(other, None);
}

/// A process that reads and does not stop.
fn pinned_reader(directory: &Path) -> Connection {
    let reader = Connection::open(directory.join("ledger.sqlite")).expect("it is there");
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM accounts;")
        .expect("readable");
    reader
}

#[test]
fn the_log_starts_again_while_the_writer_never_rests() {
    for mode in CheckpointMode::ALL {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let bank = Bank::start(&checkpointing(directory.path(), mode, 100));
        all_committed(&bank, &there_and_back(3_000));
        let stats = bank.stats();
        let checkpoints = stats.checkpoints;
        assert!(checkpoints.count >= 4, "{mode}: {checkpoints:?}");
        assert_eq!(checkpoints.errors, 0, "{mode}");
        assert!(
            stats.syncs.database >= checkpoints.count,
            "{mode}: {stats:?}"
        );
        assert!(
            (1..=checkpoints.duration_ns).contains(&checkpoints.stalled_ns()),
            "{mode}: {checkpoints:?}"
        );
        // Six thousand transactions wrote a frame each, at least.
        let bound = 2_000 * FRAME_BYTES;
        assert!(stats.bytes_written.wal > 2 * bound, "{mode}: {stats:?}");
        assert!(
            checkpoints.log_peak_bytes < bound,
            "{mode}: {checkpoints:?}"
        );
        assert!(log_length(directory.path()) < bound, "{mode}");
        assert_eq!(bank.notices(), [], "{mode}");
        bank.stop_cleanly();
        assert_eq!(
            balances_in(&directory.path().join("ledger.sqlite")),
            [1000; 10]
        );
    }
}

#[test]
fn checkpoints_between_batches_are_all_stall() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mode = CheckpointMode::BetweenBatches;
    let bank = Bank::start(&checkpointing(directory.path(), mode, 10));
    all_committed(&bank, &there_and_back(50));
    let checkpoints = bank.stats().checkpoints;
    assert!(checkpoints.count > 0);
    assert_eq!(checkpoints.stalled_ns, Some(checkpoints.duration_ns));
    bank.stop_cleanly();
}

/// Whoever asks for what is refused must not put checkpoints off.
#[test]
fn a_seeding_that_is_refused_leaves_the_log_as_long_as_it_is() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mode = CheckpointMode::BetweenBatches;
    let bank = Bank::start(&checkpointing(directory.path(), mode, 10));
    for _ in 0..50 {
        all_committed(&bank, &there_and_back(1));
        let refused = bank.call(ControlCall::Seed {
            accounts: 1,
            initial_balance: 1,
            may_wipe: true,
        });
        assert!(matches!(refused, Err(EngineError::SeedOutOfRange { .. })));
    }
    assert!(bank.stats().checkpoints.count > 0);
    bank.stop_cleanly();
}

/// Writes as long as the reader is there, and a minute in full size; the longest log then.
fn write_under(bank: &Bank, directory: &Path, pinned: Duration) -> u64 {
    let began = Instant::now();
    let (mut rounds, mut told) = (0, Vec::new());
    while told.is_empty() || began.elapsed() < pinned {
        all_committed(bank, &there_and_back(50));
        told.extend(bank.notices());
        rounds += 1;
        assert!(rounds < 1_000, "nothing was told, or far too much written");
        // No faster than about a thousand transfers in a second: a disk has an end.
        if !pinned.is_zero() {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    assert_eq!(told, [(Degradation::LogGrowing, true)], "once");
    assert_eq!(bank.engine.health(), [Degradation::LogGrowing]);
    log_length(directory)
}

/// docs/reliability-evidence.md, case 12: for as long as it takes, and for a minute in full size.
#[test]
fn case_12_a_pinned_reader_is_told_of_and_fails_no_write() {
    const NAME: &str = "case_12_a_pinned_reader_is_told_of_and_fails_no_write";
    let pinned = Duration::from_secs(if is_full_size() { 60 } else { 0 });
    for mode in CheckpointMode::ALL {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let bank = Bank::start(&checkpointing(directory.path(), mode, 10));
        let reader = pinned_reader(directory.path());
        let longest = write_under(&bank, directory.path(), pinned);
        assert!(longest > 80 * FRAME_BYTES, "{mode}: {longest}");

        drop(reader);
        let (mut rounds, mut told) = (0, Vec::new());
        while told.is_empty() {
            all_committed(&bank, &there_and_back(50));
            told = bank.notices();
            rounds += 1;
            assert!(rounds < 1_000, "{mode}: it is not over");
        }
        assert_eq!(told, [(Degradation::LogGrowing, false)], "{mode}");
        assert!(
            log_length(directory.path()) < longest,
            "{mode}: the room is given back"
        );
        if !pinned.is_zero() {
            // As much as under a writer that never rests and nobody who reads, and far less
            // than what was written under the reader.
            let bound = 2_000 * FRAME_BYTES;
            assert!(longest > 2 * bound, "{mode}: {longest}");
            all_committed(&bank, &there_and_back(3_000));
            assert!(log_length(directory.path()) < bound, "{mode}");
            assert_eq!(bank.engine.health(), [], "{mode}");
            let lengths = format!("{longest} bytes of log, then less than {bound}");
            tell(NAME, &format!("{mode}, pinned for {pinned:?}: {lengths}"));
        }
        bank.stop_cleanly();
        assert_eq!(
            balances_in(&directory.path().join("ledger.sqlite")),
            [1000; 10],
            "{mode}: there and back"
        );
    }
}

#[test]
fn at_its_limit_the_log_refuses_transfers_and_loses_none() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mode = CheckpointMode::Background;
    let bank = Bank::start(&Config {
        log_limit_bytes: 300 * FRAME_BYTES,
        ..checkpointing(directory.path(), mode, 10)
    });
    let reader = pinned_reader(directory.path());
    let full = Outcome::Failed(Failure::StorageFull);
    let mut committed = 0;
    let mut refused = false;
    for _ in 0..100 {
        let outcomes = bank.apply(&[transfer(0, 1, 1); 10]);
        committed += outcomes
            .iter()
            .filter(|it| **it == Outcome::Committed)
            .count();
        refused |= outcomes.contains(&full);
    }
    assert!(refused, "the limit was never reached");
    assert!(bank.engine.health().contains(&Degradation::StorageFull));
    assert!(log_length(directory.path()) < 600 * FRAME_BYTES);

    drop(reader);
    let mut tries = 0;
    while bank.apply(&[transfer(0, 1, 1)]) != [Outcome::Committed] {
        std::thread::sleep(Duration::from_millis(5));
        tries += 1;
        assert!(tries < 2_000, "it never recovered");
    }
    let applied = i64::try_from(committed + 1).expect("small");
    assert_eq!(bank.balance(1), Some(1000 + applied));
    bank.stop_cleanly();
}

/// Nobody needs to send anything for health to return.
#[test]
fn an_idle_ledger_finds_out_by_itself_that_there_is_room() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let bank = Bank::start(&Config {
        log_limit_bytes: 30 * FRAME_BYTES,
        ..checkpointing(directory.path(), CheckpointMode::BetweenBatches, 10)
    });
    let reader = pinned_reader(directory.path());
    while !bank.engine.health().contains(&Degradation::StorageFull) {
        bank.apply(&[transfer(0, 1, 1)]);
    }
    drop(reader);
    let mut tries = 0;
    while !bank.engine.health().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
        tries += 1;
        assert!(tries < 2_000, "it never found out");
    }
    bank.stop_cleanly();
}
