//! A directory that cannot be opened cannot be synced, and SQLite passes over that in silence:
//! what needed the sync is not answered as done all the same.

#![cfg(target_os = "linux")]

#[path = "support/nobody.rs"]
mod nobody;
mod support;

use busload_engine::{EngineError, Outcome};
use busload_sqlite::Durability;
use nobody::Restricted;
use support::{Bank, balances_in, config, transfer};

const SYNCING: [Durability; 4] = [
    Durability::WalFull,
    Durability::DeleteExtra,
    Durability::DeleteFull,
    Durability::WalNormal,
];

/// The first commit makes the name of a journal or of a log, and syncs the directory for it.
#[test]
fn case_06_a_directory_that_cannot_be_opened_any_more() {
    for durability in SYNCING {
        let name = "case_06_a_directory_that_cannot_be_opened_any_more";
        let Some(directory) = Restricted::make(name) else {
            return;
        };
        let config = config(directory.path(), durability);
        Bank::start(&config).stop_cleanly();
        let bank = Bank::start(&config);
        directory.readable(false);
        let first = bank.apply(&[transfer(0, 1, 1)]);
        assert_eq!(first, [Outcome::InDoubt], "{durability}");
        let error = bank.writer.join().expect_err("it stopped");
        assert!(matches!(error, EngineError::InDoubt(_)), "{error}");
        directory.readable(true);
        Bank::start(&config).stop_cleanly();
        let balances = balances_in(&directory.path().join("ledger.sqlite"));
        assert!((1000..=1001).contains(&balances[1]), "{balances:?}");
        assert_eq!(balances.iter().sum::<i64>(), 10_000, "{durability}");
    }
}

/// Before anything is promised, rather than at the first commit.
#[test]
fn a_directory_that_cannot_be_opened_is_refused_at_the_start() {
    for durability in SYNCING {
        let name = "a_directory_that_cannot_be_opened_is_refused_at_the_start";
        let Some(directory) = Restricted::make(name) else {
            return;
        };
        directory.readable(false);
        let config = config(directory.path(), durability);
        let Err(error) = Bank::open(&config) else {
            panic!("{durability} starts");
        };
        let EngineError::NotALedger { why, .. } = &error else {
            panic!("{error}");
        };
        assert!(why.contains("synced") && why.contains("read"), "{why}");
        assert!(!config.database.exists(), "{durability} left something");
    }
}

#[test]
fn what_never_syncs_needs_no_directory_to_be_opened() {
    let Some(directory) = Restricted::make("what_never_syncs_needs_no_directory_to_be_opened")
    else {
        return;
    };
    directory.readable(false);
    let bank = Bank::start(&config(directory.path(), Durability::Memory));
    assert_eq!(bank.apply(&[transfer(0, 1, 1)]), [Outcome::Committed]);
    bank.stop_cleanly();
}
