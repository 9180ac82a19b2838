//! Which files the engine opens, which it refuses and leaves as they are, and who may have
//! one open.

mod support;

use std::error::Error as _;
use std::path::Path;

use busload_engine::{ControlCall, ControlReply, EngineError, Outcome};
use busload_sqlite::Durability;
use busload_wire::control::Verification;
use rusqlite::Connection;
use support::{Bank, Config, balances_in, config, original_file, snapshot, strict_file, transfer};

fn refused(config: &Config) -> EngineError {
    refused_as("it", config)
}

fn refused_as(what: &str, config: &Config) -> EngineError {
    match Bank::open(config) {
        Err(error) => error,
        Ok(bank) => {
            bank.stop_cleanly();
            panic!("{what} was opened");
        }
    }
}

fn sql(path: &Path, statements: &str) {
    let connection = Connection::open(path).expect("a database");
    connection
        .execute_batch(statements)
        .expect("valid statements");
}

type Make = fn(&Path);

const FOREIGN: [(&str, Make); 12] = [
    ("text", |path| {
        std::fs::write(path, "a letter\n".repeat(500)).expect("written");
    }),
    ("two bytes", |path| {
        std::fs::write(path, "x\n").expect("written");
    }),
    ("zeros", |path| {
        std::fs::write(path, [0; 8192]).expect("written");
    }),
    ("another program's", |path| {
        sql(
            path,
            "CREATE TABLE songs(id INTEGER PRIMARY KEY, title TEXT)",
        );
    }),
    ("another bank's", |path| {
        sql(
            path,
            "CREATE TABLE accounts(id INTEGER PRIMARY KEY, owner TEXT, balance INTEGER NOT NULL);
                   INSERT INTO accounts VALUES (1, 'Ada', 5)",
        );
    }),
    ("another bank's, with money in text", |path| {
        sql(
            path,
            "CREATE TABLE accounts(id INTEGER PRIMARY KEY, balance TEXT)",
        );
    }),
    ("another bank's, by name", |path| {
        sql(path, "CREATE TABLE accounts(id INTEGER, balance INTEGER)");
    }),
    ("a bigger bank's", |path| {
        original_file(path, &[5, 5]);
        sql(
            path,
            "CREATE TABLE customers(id INTEGER PRIMARY KEY, name TEXT)",
        );
    }),
    ("a bank with a trigger", |path| {
        original_file(path, &[5, 5]);
        sql(
            path,
            "CREATE TRIGGER tax AFTER UPDATE ON accounts BEGIN DELETE FROM accounts; END",
        );
    }),
    ("a view", |path| {
        sql(path, "CREATE VIEW accounts AS SELECT 1 AS id, 2 AS balance");
    }),
    ("a table that sounds like sqlite's", |path| {
        sql(path, "CREATE TABLE sqlitebrowser(x)");
    }),
    ("another program's, with a log", |path| {
        sql(path, "CREATE TABLE songs(title)");
        // A log is left behind only by a program that dies: so take it while one lives.
        let connection = Connection::open(path).expect("a database");
        connection
            .execute_batch("PRAGMA journal_mode = WAL; INSERT INTO songs VALUES ('Hey Jude')")
            .expect("valid statements");
        let log = path.with_extension("sqlite-wal");
        let files = [path, &log].map(|file| (file, std::fs::read(file).expect("readable")));
        drop(connection);
        for (file, content) in files {
            assert!(!content.is_empty());
            std::fs::write(file, content).expect("written");
        }
    }),
];

#[test]
fn what_is_no_ledger_is_refused_and_stays_as_it_was() {
    for (what, make) in FOREIGN {
        for fresh in [false, true] {
            for mode in [
                Durability::WalFull,
                Durability::DeleteFull,
                Durability::DeleteExtra,
            ] {
                let directory = tempfile::tempdir().unwrap();
                let config = Config {
                    fresh,
                    ..config(directory.path(), mode)
                };
                make(&config.database);
                let before = snapshot(directory.path());
                let error = refused_as(what, &config);
                assert!(
                    matches!(error, EngineError::NotALedger { .. }),
                    "{what}: {error}"
                );
                let after: Vec<_> = snapshot(directory.path())
                    .into_iter()
                    .filter(|(path, _)| path.extension().is_none_or(|name| name != "sqlite-shm"))
                    .collect();
                assert!(after == before, "{what} was changed: {after:?}");
                // Nor is it kept locked.
                refused(&config);
            }
        }
    }
}

#[test]
fn a_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    for fresh in [false, true] {
        let config = Config {
            fresh,
            ..config(directory.path(), Durability::WalFull)
        };
        std::fs::create_dir_all(config.database.join("full of things")).unwrap();
        assert!(matches!(refused(&config), EngineError::NotALedger { .. }));
        assert!(config.database.join("full of things").is_dir());
    }
}

#[test]
fn a_missing_directory_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(&directory.path().join("missing"), Durability::WalFull);
    assert!(matches!(refused(&config), EngineError::CannotServe(_)));
    assert!(!directory.path().join("missing").exists());
}

#[test]
fn a_damaged_ledger_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path(), Durability::WalFull);
    Bank::start(&config).stop_cleanly();
    let mut bytes = std::fs::read(&config.database).unwrap();
    bytes[100..].fill(0xAA);
    std::fs::write(&config.database, &bytes).unwrap();
    assert!(matches!(refused(&config), EngineError::NotALedger { .. }));
    assert_eq!(std::fs::read(&config.database).unwrap(), bytes);
}

#[test]
fn an_empty_file_becomes_a_ledger() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path(), Durability::WalFull);
    std::fs::write(&config.database, "").unwrap();
    let bank = Bank::start(&config);
    assert_eq!(bank.balances(10), [1000; 10]);
    assert_eq!((bank.balance(10), bank.balance(-1)), (None, None));
    bank.stop_cleanly();
}

/// design.md: a file that the original tool seeded opens and serves.
#[test]
fn a_file_of_the_original_tool_is_compared_with_its_opening() {
    let directory = tempfile::tempdir().unwrap();
    for mode in Durability::ALL {
        let config = Config {
            database: directory.path().join(format!("{mode}.sqlite")),
            ..config(directory.path(), mode)
        };
        original_file(&config.database, &[50; 5]);
        let bank = Bank::start(&config);
        let verified = |changed: i64| Verification::Verified {
            accounts: "5".to_owned(),
            total: "250".to_owned(),
            changed: changed.to_string(),
            compared_with: Some("opening".to_owned()),
        };
        assert_eq!(bank.verify().unwrap(), verified(0), "{mode}");
        assert_eq!(bank.balances(5), [50; 5], "nothing is seeded over it");
        assert_eq!(
            bank.apply(&[transfer(0, 4, 50), transfer(0, 4, 1)])[0],
            Outcome::Committed
        );
        let writes = mode != Durability::DiscardWrites;
        let changed = 2 * i64::from(writes);
        assert_eq!(bank.verify().unwrap(), verified(changed), "{mode}");
        bank.stop_cleanly();
        let moved = 50 * i64::from(writes);
        assert_eq!(
            balances_in(&config.database),
            [50 - moved, 50, 50, 50, 50 + moved],
            "{mode}"
        );
    }
}

/// Somebody else writes to the file while it is served.
#[test]
fn a_ledger_that_is_not_what_it_was_at_opening_fails_verification() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path(), Durability::WalFull);
    original_file(&config.database, &[50; 5]);
    let bank = Bank::start(&config);
    sql(
        &config.database,
        "UPDATE accounts SET balance = balance + 1 WHERE id = 2",
    );
    assert!(matches!(
        bank.verify(),
        Err(EngineError::NotConserved {
            total: 251,
            expected: 250
        })
    ));
    sql(
        &config.database,
        "UPDATE accounts SET balance = 50; INSERT INTO accounts(id, balance) VALUES (5, 0)",
    );
    assert!(matches!(
        bank.verify(),
        Err(EngineError::AccountsChanged {
            accounts: 6,
            expected: 5
        })
    ));
    bank.stop_cleanly();
}

/// Where nothing may be wiped, a seeding succeeds that has nothing to do, and no other.
#[test]
fn a_seeding_that_has_nothing_to_do_needs_no_leave_to_wipe() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path(), Durability::WalFull);
    original_file(&config.database, &[50; 5]);
    let bank = Bank::start(&config);
    let seed = |accounts, initial_balance| {
        bank.call(ControlCall::Seed {
            accounts,
            initial_balance,
            may_wipe: false,
        })
    };
    assert!(matches!(seed(5, 50), Ok(ControlReply::Seeded)));
    for (accounts, balance) in [(5, 51), (4, 50), (6, 50)] {
        let refused = seed(accounts, balance);
        assert!(
            matches!(refused, Err(EngineError::MustNotWipe)),
            "{refused:?}"
        );
    }
    assert_eq!(bank.balances(5), [50; 5]);
    // Touched: also when the balances are back, but an id is remembered.
    bank.apply(&[transfer(0, 4, 7)]);
    assert!(matches!(seed(5, 50), Err(EngineError::MustNotWipe)));
    bank.apply(&[transfer(4, 0, 7)]);
    assert!(matches!(seed(5, 50), Ok(ControlReply::Seeded)));
    let named = |id, from, to| busload_wire::Transfer {
        transfer_id: Some(busload_wire::TransferId::from_u128(id)),
        ..transfer(from, to, 3)
    };
    bank.apply(&[named(1, 1, 2), named(2, 2, 1)]);
    assert_eq!(bank.balances(5), [50; 5]);
    assert!(matches!(seed(5, 50), Err(EngineError::MustNotWipe)));
    bank.stop_cleanly();
}

#[test]
fn with_its_initial_balance_a_foreign_ledger_is_verified() {
    let directory = tempfile::tempdir().unwrap();
    let plain = config(directory.path(), Durability::WalFull);
    let told = Config {
        initial_balance: Some(50),
        ..plain.clone()
    };
    original_file(&plain.database, &[50; 5]);

    let bank = Bank::start(&told);
    assert!(matches!(bank.verify(), Err(EngineError::NothingChanged)));
    bank.apply(&[transfer(0, 4, 7)]);
    let verified = Verification::Verified {
        accounts: "5".to_owned(),
        total: "250".to_owned(),
        changed: "2".to_owned(),
        compared_with: None,
    };
    assert_eq!(bank.verify().unwrap(), verified);
    bank.stop_cleanly();

    // It is remembered, like that of a seeding.
    let bank = Bank::start(&plain);
    assert_eq!(bank.verify().unwrap(), verified);
    bank.stop_cleanly();

    sql(
        &plain.database,
        "UPDATE accounts SET balance = balance + 1 WHERE id = 2",
    );
    let bank = Bank::start(&plain);
    let error = bank.verify().unwrap_err();
    assert!(
        matches!(
            error,
            EngineError::NotConserved {
                total: 251,
                expected: 250
            }
        ),
        "{error}"
    );
    // Back where it began: conserved, and yet nothing to show.
    bank.apply(&[transfer(4, 0, 7)]);
    assert!(matches!(
        bank.verify(),
        Err(EngineError::NotConserved { .. })
    ));
    bank.stop_cleanly();
}

/// As the original's tool does while a server has the file open: the server still knows of its own
/// seeding, and says what is likely.
#[test]
fn a_file_that_another_program_has_seeded_meanwhile_is_called_so() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path(), Durability::WalFull);
    let bank = Bank::start(&config);
    let known = config.seed_balance;
    sql(
        &config.database,
        "UPDATE accounts SET balance = 1000000000 + (id = 0) - (id = 1)",
    );
    match bank.verify() {
        Err(EngineError::SeededElsewhere {
            accounts,
            found,
            expected,
        }) => {
            assert_eq!(accounts, config.seed_accounts.unsigned_abs());
            assert_eq!((found, expected), (1_000_000_000, known));
        }
        other => panic!("{other:?}"),
    }
    bank.stop_cleanly();
}

#[test]
fn a_total_above_64_bits_is_verified_too() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config {
        initial_balance: Some(i64::MAX),
        ..config(directory.path(), Durability::WalFull)
    };
    strict_file(&config.database, &[i64::MAX - 1, i64::MAX, i64::MAX]);
    let bank = Bank::start(&config);
    let total = 3 * i128::from(i64::MAX);
    match bank.verify() {
        Err(EngineError::NotConserved {
            total: found,
            expected,
        }) => {
            assert_eq!((found, expected), (total - 1, total));
        }
        other => panic!("{other:?}"),
    }
    bank.stop_cleanly();
}

#[test]
fn equal_ledgers_have_equal_digests_and_others_do_not() {
    let directory = tempfile::tempdir().unwrap();
    let digest = |name: &str, balances: &[i64]| {
        let database = directory.path().join(name);
        original_file(&database, balances);
        let bank = Bank::start(&Config {
            database,
            ..config(directory.path(), Durability::Memory)
        });
        let balances = bank.stats().balances.expect("asked for");
        bank.stop_cleanly();
        balances.digest
    };
    let first = digest("first", &[1, 2, 3]);
    assert_eq!(first, digest("same", &[1, 2, 3]));
    // As that of the null ledger (busload-engine's tests/null.rs).
    assert_eq!(digest("ten", &[1000; 10]), "a519151ba92a468f");
    assert_ne!(first, digest("exchanged", &[2, 1, 3]));
    assert_ne!(first, digest("moved", &[0, 3, 3]));
    assert_ne!(first, digest("more", &[1, 2, 3, 0]));
}

#[test]
fn fresh_starts_anew_on_a_ledger_and_keeps_nothing_of_it() {
    for mode in Durability::ALL {
        let directory = tempfile::tempdir().unwrap();
        let first = config(directory.path(), mode);
        let bank = Bank::start(&first);
        bank.apply(&[transfer(0, 1, 5)]);
        bank.stop_cleanly();
        let fresh = Config {
            fresh: true,
            seed_accounts: 3,
            seed_balance: 7,
            ..first
        };
        for _ in 0..2 {
            let bank = Bank::start(&fresh);
            assert_eq!(bank.balances(3), [7; 3]);
            assert_eq!(bank.balance(3), None);
            bank.apply(&[transfer(0, 1, 5)]);
            bank.stop_cleanly();
        }
    }
}

#[test]
fn fresh_replaces_what_the_original_tool_seeded() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config {
        fresh: true,
        ..config(directory.path(), Durability::WalFull)
    };
    original_file(&config.database, &[50; 20]);
    let bank = Bank::start(&config);
    assert_eq!(
        (bank.balances(10), bank.balance(10)),
        (vec![1000; 10], None)
    );
    assert!(matches!(bank.verify(), Err(EngineError::NothingChanged)));
    bank.stop_cleanly();
}

#[test]
fn a_seeding_that_cannot_be_is_refused_before_anything_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let good = config(directory.path(), Durability::WalFull);
    for (seed_accounts, seed_balance) in [(1, 5), (10_000_001, 5), (2, -1)] {
        let bad = Config {
            fresh: true,
            seed_accounts,
            seed_balance,
            ..good.clone()
        };
        assert!(matches!(refused(&bad), EngineError::SeedOutOfRange { .. }));
        assert_eq!(snapshot(directory.path()), [], "no file is left behind");
        Bank::start(&good).stop_cleanly();
        assert!(matches!(refused(&bad), EngineError::SeedOutOfRange { .. }));
        assert_eq!(balances_in(&good.database), [1000; 10]);
        std::fs::remove_file(&good.database).unwrap();
    }
}

/// docs/reliability-evidence.md, case 14.
#[test]
fn a_second_engine_is_refused_while_the_first_runs() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path(), Durability::WalFull);
    let bank = Bank::start(&config);
    bank.apply(&[transfer(0, 1, 5)]);
    for fresh in [false, true] {
        let second = Config {
            fresh,
            ..config.clone()
        };
        let error = refused(&second);
        assert!(matches!(error, EngineError::Busy(_)), "{error}");
        assert!(error.to_string().contains("another server has"), "{error}");
    }
    assert_eq!(bank.apply(&[transfer(0, 1, 5)]), [Outcome::Committed]);
    bank.stop_cleanly();
    let bank = Bank::start(&config);
    assert_eq!(bank.balances(2), [990, 1010]);
    bank.stop_cleanly();
}

#[cfg(unix)]
#[test]
fn a_second_name_of_the_file_is_no_way_round_the_lock() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path(), Durability::WalFull);
    let bank = Bank::start(&config);
    let link = directory.path().join("link.sqlite");
    std::os::unix::fs::symlink(&config.database, &link).unwrap();
    let by_link = Config {
        database: link.clone(),
        ..config.clone()
    };
    assert!(matches!(refused(&by_link), EngineError::Busy(_)));
    bank.stop_cleanly();

    // Starting anew by the other name replaces the ledger, not the name.
    let bank = Bank::start(&Config {
        fresh: true,
        seed_accounts: 2,
        ..by_link
    });
    bank.stop_cleanly();
    assert!(link.is_symlink());
    assert_eq!(balances_in(&config.database), [1000; 2]);
}

/// Lock, log and journal have the name of the database: a hard link would have its own.
#[cfg(unix)]
#[test]
fn case_14_a_hard_link_is_no_way_round_the_lock() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path(), Durability::WalFull);
    let bank = Bank::start(&config);
    let link = directory.path().join("link.sqlite");
    std::fs::hard_link(&config.database, &link).unwrap();
    for fresh in [false, true] {
        let by_link = Config {
            database: link.clone(),
            fresh,
            ..config.clone()
        };
        let error = refused(&by_link).to_string();
        assert!(error.contains("link.sqlite"), "{error}");
        assert!(error.contains("2 names (hard links)"), "{error}");
        assert!(error.contains("remove the other name"), "{error}");
    }
    assert!(!directory.path().join("link.sqlite.lock").exists());
    assert_eq!(
        bank.apply(&[transfer(0, 1, 5)]),
        [Outcome::Committed],
        "who has it open goes on"
    );
    bank.stop_cleanly();

    // By either name it is refused, as long as there are two.
    assert!(matches!(refused(&config), EngineError::CannotOpen { .. }));
    std::fs::remove_file(&link).unwrap();
    let bank = Bank::start(&config);
    assert_eq!(bank.balances(2), [995, 1005]);
    bank.stop_cleanly();
}

/// `--database Cargo` beside a `Cargo.lock`.
#[test]
fn a_lock_file_of_somebody_elses_is_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config {
        database: directory.path().join("Cargo"),
        ..config(directory.path(), Durability::WalFull)
    };
    let lock = directory.path().join("Cargo.lock");
    std::fs::write(&lock, "version = 4\n").unwrap();
    let error = refused(&config);
    let source = error.source().expect("why");
    assert!(source.to_string().contains("not a lock file"), "{source}");
    assert_eq!(std::fs::read_to_string(&lock).unwrap(), "version = 4\n");
    assert!(!config.database.exists());
}

/// One engine's ledger is nobody else's: two run side by side in one process.
#[test]
fn two_engines_on_two_files_do_not_meet() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = Bank::start(&config(one.path(), Durability::WalFull));
    let second = Bank::start(&config(two.path(), Durability::WalFull));
    first.apply(&[transfer(0, 1, 5)]);
    let before = second.stats();
    first.apply(&[transfer(0, 1, 5)]);
    let after = second.stats();
    assert_eq!(
        (before.syncs, before.balances),
        (after.syncs, after.balances)
    );
    first.stop_cleanly();
    assert_eq!(second.balances(2), [1000; 2]);
    second.stop_cleanly();
}
