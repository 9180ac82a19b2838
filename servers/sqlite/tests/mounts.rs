//! A file that is bound to a second name, as `docker -v FILE:FILE` does it: log and lock have the
//! name of the database, so what is acknowledged under one name is not there under the other
//! (docs/reliability-evidence.md, case 14).

#![cfg(target_os = "linux")]

#[path = "support/namespace.rs"]
mod namespace;
mod support;

use std::path::Path;

use busload_engine::{EngineError, Outcome};
use busload_sqlite::Durability;
use namespace::{bind, in_mount_namespace, run};
use support::{Bank, Config, config, transfer};

/// A ledger in `real`, of which two transfers are acknowledged, and its file bound to the same
/// name in `bound`.
fn bound(directory: &Path) -> (Config, Config) {
    let [real, bound] = ["real", "bound"].map(|name| {
        let directory = directory.join(name);
        std::fs::create_dir(&directory).expect("it is new");
        config(&directory, Durability::WalFull)
    });
    let bank = Bank::start(&real);
    assert_eq!(bank.apply(&[transfer(0, 1, 1)]), [Outcome::Committed]);
    bank.stop_cleanly();
    std::fs::write(&bound.database, "").expect("it is new");
    bind(&real.database, &bound.database);
    (real, bound)
}

fn refused(config: &Config) -> String {
    match Bank::open(config) {
        Ok(_) => panic!("it starts"),
        Err(error) => error.to_string(),
    }
}

/// Issue 10: all of a second server's 176 transfers were gone.
#[test]
fn case_14_a_second_server_on_a_bound_file_is_refused() {
    let name = "case_14_a_second_server_on_a_bound_file_is_refused";
    in_mount_namespace(name, |directory| {
        let (real, bound) = bound(directory);
        let bank = Bank::start(&real);
        for fresh in [false, true] {
            let said = refused(&Config {
                fresh,
                ..bound.clone()
            });
            assert!(
                said.contains("bound/ledger.sqlite: it is itself a mount point"),
                "{said}"
            );
            assert!(said.contains("mount the directory"), "{said}");
        }
        assert_eq!(bank.apply(&[transfer(0, 1, 1)]), [Outcome::Committed]);
        bank.stop_cleanly();
        let bank = Bank::start(&real);
        assert_eq!(bank.balances(2), [998, 1002]);
        bank.stop_cleanly();
    });
}

/// Issue 10: a server on the mount, killed and started again on the real path, lost all of its
/// 31,143 transfers. It is refused before it takes the first, also when nobody else has the file,
/// and through a symbolic link.
#[test]
fn case_14_a_bound_file_is_refused_before_it_takes_a_transfer() {
    let name = "case_14_a_bound_file_is_refused_before_it_takes_a_transfer";
    in_mount_namespace(name, |directory| {
        let (real, bound) = bound(directory);
        let link = directory.join("link.sqlite");
        std::os::unix::fs::symlink(&bound.database, &link).expect("it is new");
        for database in [bound.database.clone(), link] {
            let said = refused(&Config {
                database,
                ..bound.clone()
            });
            assert!(said.contains("mount point"), "{said}");
        }
        // Nothing is left in the way when the mount is gone.
        run(&["umount", bound.database.to_str().expect("UTF-8")]);
        for config in [real, bound] {
            Bank::start(&config).stop_cleanly();
        }
    });
}

/// One file's log must not be another one's.
#[test]
fn case_14_a_bound_log_or_journal_is_refused() {
    let name = "case_14_a_bound_log_or_journal_is_refused";
    in_mount_namespace(name, |directory| {
        let config = config(directory, Durability::WalFull);
        Bank::start(&config).stop_cleanly();
        for suffix in ["-wal", "-shm", "-journal"] {
            let file = directory.join(format!("ledger.sqlite{suffix}"));
            let elsewhere = directory.join(format!("elsewhere{suffix}"));
            for file in [&file, &elsewhere] {
                std::fs::write(file, "").expect("it is new");
            }
            bind(&elsewhere, &file);
            let said = refused(&config);
            let named = format!("ledger.sqlite{suffix}: it is itself a mount point");
            assert!(said.contains(&named), "{said}");
            run(&["umount", file.to_str().expect("UTF-8")]);
            std::fs::remove_file(&file).expect("it is there");
        }
        Bank::start(&config).stop_cleanly();
    });
}

/// What is to be done instead: the directory is bound, and log and lock with it.
#[test]
fn case_14_a_bound_directory_is_one_ledger_by_both_names() {
    let name = "case_14_a_bound_directory_is_one_ledger_by_both_names";
    in_mount_namespace(name, |directory| {
        let [real, bound] = ["real", "bound"].map(|name| {
            let directory = directory.join(name);
            std::fs::create_dir(&directory).expect("it is new");
            config(&directory, Durability::WalFull)
        });
        bind(&directory.join("real"), &directory.join("bound"));
        let bank = Bank::start(&bound);
        assert_eq!(bank.apply(&[transfer(0, 1, 1)]), [Outcome::Committed]);
        let refusal = Bank::open(&real).err();
        assert!(matches!(refusal, Some(EngineError::Busy(_))), "{refusal:?}");
        bank.stop_cleanly();
        let bank = Bank::start(&real);
        assert_eq!(bank.balances(2), [999, 1001]);
        bank.stop_cleanly();
    });
}
