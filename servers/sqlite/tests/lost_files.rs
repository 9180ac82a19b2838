//! The files of a ledger are removed, renamed or replaced while it is served: noticed within a
//! second, and no answer says more than is known.

#![cfg(target_os = "linux")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use busload_engine::{ControlCall, EngineError, Failure, Outcome};
use busload_sqlite::Durability;
use rusqlite::Connection;
use support::{Bank, Config, Mail, config, transfer};

/// What is done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Removed,
    Renamed,
    Replaced,
}

const DEEDS: [Deed; 3] = [Deed::Removed, Deed::Renamed, Deed::Replaced];

fn kept(file: &Path) -> PathBuf {
    file.with_extension("kept")
}

impl Deed {
    fn to(self, file: &Path) {
        match self {
            Self::Removed => fs::remove_file(file),
            Self::Renamed => fs::rename(file, kept(file)),
            Self::Replaced => {
                let new = file.with_extension("new");
                fs::copy(file, &new).expect("it is readable");
                fs::rename(new, file)
            }
        }
        .expect("the file is there");
    }
}

fn of(config: &Config, suffix: &str) -> PathBuf {
    let mut name = config.database.clone().into_os_string();
    name.push(suffix);
    name.into()
}

/// Transfers of 1, one after the other, until one is not acknowledged; how many were.
fn until_noticed(bank: &Bank) -> i64 {
    let began = Instant::now();
    for acknowledged in 0.. {
        if !bank.submit(1, &[transfer(0, 1, 1)]).is_empty() {
            return acknowledged;
        }
        match bank.outcomes(1)[..] {
            [Outcome::Committed] => {}
            // Noticed with the batch, or between two.
            [Outcome::InDoubt | Outcome::Failed(Failure::ShuttingDown)] => return acknowledged,
            ref other => panic!("{other:?}"),
        }
        // A second is promised; a busy machine may take its time for one transfer.
        assert!(began.elapsed() < Duration::from_secs(30), "never noticed");
    }
    unreachable!("it goes on")
}

/// The server has ended for `file`; what it says to do.
fn assert_gone(bank: Bank, file: &Path) -> &'static str {
    assert!(matches!(bank.next_mail(), Mail::Stopped));
    let late = bank.submit(1, &[transfer(0, 1, 1)]);
    assert_eq!(late[0].outcome, Outcome::Failed(Failure::ShuttingDown));
    match bank.writer.join() {
        Err(EngineError::FileGone {
            file: told, remedy, ..
        }) => {
            assert_eq!(told, file);
            remedy
        }
        other => panic!("{other:?}"),
    }
}

fn served(durability: Durability) -> (tempfile::TempDir, Config, Bank) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let place = directory.path().canonicalize().expect("it exists");
    let mut config = config(&place, durability);
    config.seed_balance = 1_000_000;
    let bank = Bank::start(&config);
    assert_eq!(bank.apply(&[transfer(0, 1, 1)]), [Outcome::Committed]);
    (directory, config, bank)
}

/// Every mode has a file. The batch that is being committed then is in doubt.
#[test]
fn a_database_that_is_removed_renamed_or_replaced_is_noticed_in_every_mode() {
    let notice = |durability: Durability, deed: Deed| {
        let (_directory, config, bank) = served(durability);
        let hold = bank.hold();
        assert_eq!(bank.submit(1, &[transfer(0, 1, 1)]).len(), 0);
        deed.to(&config.database);
        // Longer than answers may leave without a look.
        thread::sleep(Duration::from_millis(600));
        drop(hold);
        assert_eq!(
            bank.outcomes(1),
            [Outcome::InDoubt],
            "{durability} {deed:?}"
        );
        let remedy = assert_gone(bank, &config.database);
        let is_moved = deed == Deed::Renamed;
        let wanted = if is_moved {
            "move it back"
        } else {
            "it was removed"
        };
        assert!(remedy.contains(wanted), "{durability} {deed:?}: {remedy}");
    };
    thread::scope(|scope| {
        for durability in Durability::ALL {
            for deed in DEEDS {
                scope.spawn(move || notice(durability, deed));
            }
        }
    });
}

/// What was acknowledged until it was noticed is in the file that has another name now, or in the
/// database whose log is gone.
#[test]
fn what_was_acknowledged_meanwhile_is_in_the_file_that_was_open() {
    let lose = |durability: Durability, suffix: &str, deed: Deed| {
        let (_directory, config, bank) = served(durability);
        let file = of(&config, suffix);
        deed.to(&file);
        let acknowledged = until_noticed(&bank);
        let remedy = assert_gone(bank, &file);
        assert!(remedy.contains("everything acknowledged"), "{remedy}");
        if suffix.is_empty() {
            fs::rename(kept(&config.database), &config.database).expect("it is there");
        } else if deed == Deed::Replaced {
            // A copy of the log of a moment ago, which a restart would play back.
            fs::remove_file(&file).expect("it is there");
        }
        let bank = Bank::start(&config);
        // The first one, and perhaps the one that was not answered.
        let applied = bank.balance(1).expect("there") - 1_000_000;
        let known = acknowledged + 1;
        assert!(
            (known..=known + 1).contains(&applied),
            "{durability} {deed:?} {suffix}: {known} acknowledged, {applied} there"
        );
        bank.stop_cleanly();
    };
    thread::scope(|scope| {
        for durability in [Durability::WalFull, Durability::WalNormal] {
            scope.spawn(move || lose(durability, "", Deed::Renamed));
            for suffix in ["-wal", "-shm"] {
                for deed in DEEDS {
                    scope.spawn(move || lose(durability, suffix, deed));
                }
            }
        }
    });
}

/// A process that reads from the log keeps it from being copied to its end.
#[test]
fn a_log_that_cannot_be_copied_is_told_and_stays() {
    let (_directory, config, bank) = served(Durability::WalFull);
    let reader = Connection::open(&config.database).expect("it is there");
    let reading = reader.unchecked_transaction().expect("nobody locks it");
    let first = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
    let one = "SELECT balance FROM accounts WHERE id = 1";
    assert_eq!(reading.query_row(one, [], first), Ok(1_000_001));
    assert_eq!(bank.apply(&[transfer(0, 1, 1)]), [Outcome::Committed]);
    Deed::Renamed.to(&config.database);
    let acknowledged = until_noticed(&bank) + 2;
    let remedy = assert_gone(bank, &config.database);
    assert!(remedy.contains("could not be copied"), "{remedy}");
    drop(reading);
    // Without its own checkpoint at the end, which is not the server's doing.
    let keep_log = rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
    reader.set_db_config(keep_log, true).expect("a setting");
    drop(reader);
    fs::rename(kept(&config.database), &config.database).expect("it is there");
    let bank = Bank::start(&config);
    let applied = bank.balance(1).expect("there") - 1_000_000;
    assert!((acknowledged..=acknowledged + 1).contains(&applied));
    bank.stop_cleanly();
}

/// The log that stays behind is not played back into another database.
#[test]
fn a_database_that_is_put_in_its_place_is_what_the_next_server_finds() {
    let (directory, config, bank) = served(Durability::WalFull);
    let other = Config {
        database: directory.path().join("other.sqlite"),
        seed_balance: 7,
        ..config.clone()
    };
    Bank::start(&other).stop_cleanly();
    fs::rename(&other.database, &config.database).expect("it is there");
    until_noticed(&bank);
    assert_gone(bank, &config.database);
    let bank = Bank::start(&config);
    assert_eq!(bank.balances(10), [7; 10]);
    bank.stop_cleanly();
}

#[test]
fn a_server_without_work_notices_too_and_one_that_is_told_to_stop() {
    let (_directory, config, bank) = served(Durability::WalFull);
    Deed::Removed.to(&config.database);
    assert_gone(bank, &config.database);

    let (_directory, config, bank) = served(Durability::DeleteExtra);
    Deed::Renamed.to(&config.database);
    let (_, result) = bank.stop();
    assert!(
        matches!(result, Err(EngineError::FileGone { .. })),
        "{result:?}"
    );
}

/// A seeding is a COMMIT as well.
#[test]
fn a_seeding_of_a_database_that_is_gone_is_not_answered_as_done() {
    let (_directory, config, bank) = served(Durability::WalFull);
    Deed::Removed.to(&config.database);
    let seed = bank.call(ControlCall::Seed {
        may_wipe: true,
        accounts: 5,
        initial_balance: 5,
    });
    // Or the writer, which looks by itself, was first.
    let told = matches!(
        seed,
        Err(EngineError::FileGone { .. } | EngineError::ShuttingDown)
    );
    assert!(told, "{seed:?}");
    assert_gone(bank, &config.database);
}

/// By its new name it is still this server's, as long as this server has it open.
#[test]
fn case_14_a_renamed_database_is_refused_by_its_new_name() {
    let (directory, config, bank) = served(Durability::WalFull);
    let hold = bank.hold();
    let renamed = Config {
        database: directory.path().join("renamed.sqlite"),
        ..config.clone()
    };
    fs::rename(&config.database, &renamed.database).expect("it is there");
    for fresh in [false, true] {
        let refusal = Bank::open(&Config {
            fresh,
            ..renamed.clone()
        });
        let Err(EngineError::Busy(error)) = refusal else {
            panic!("not refused");
        };
        let said = error.to_string();
        assert!(said.contains("another server has"), "{said}");
        assert!(said.contains("under another name"), "{said}");
    }
    fs::rename(&renamed.database, &config.database).expect("it is there");
    drop(hold);
    assert_eq!(bank.apply(&[transfer(0, 1, 1)]), [Outcome::Committed]);
    bank.stop_cleanly();
}
