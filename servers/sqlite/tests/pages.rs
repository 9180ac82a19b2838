//! Pages of a ledger: chosen when it is made, kept ever after.

mod support;

use std::path::Path;

use busload_engine::{ControlCall, ControlReply, EngineError, Outcome};
use busload_sqlite::{Durability, PAGE_BYTES, default_page_bytes};
use support::{Bank, Config, balances_in, config, strict_file, transfer};

fn with_pages(directory: &Path, durability: Durability, page_bytes: Option<u32>) -> Config {
    Config {
        page_bytes,
        ..config(directory, durability)
    }
}

/// As the header of the database says, at offset 16 (<https://sqlite.org/fileformat.html>).
fn pages_of(database: &Path) -> u32 {
    let file = std::fs::read(database).expect("it is there");
    match u16::from_be_bytes([file[16], file[17]]) {
        1 => 65_536,
        bytes => u32::from(bytes),
    }
}

fn read_back(bank: &Bank) -> u32 {
    let pages = bank.engine.about().settings.get("page_size");
    pages.and_then(|text| text.parse().ok()).expect("a number")
}

/// Whether it says that the ledger has other pages than were asked for.
fn keeps(bank: &Bank, kept: u32, asked: u32) -> bool {
    let said = &bank.engine.about().warnings;
    said.len() == 1
        && said[0].contains(&format!("keeps its pages of {kept} bytes"))
        && said[0].contains(&format!("--page-size {asked}"))
}

#[test]
fn every_page_size_holds_a_ledger_in_every_mode() {
    for durability in Durability::ALL {
        let mut page_bytes = *PAGE_BYTES.start();
        while page_bytes <= *PAGE_BYTES.end() {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let config = with_pages(directory.path(), durability, Some(page_bytes));
            let bank = Bank::start(&config);
            assert_eq!(read_back(&bank), page_bytes, "{durability}");
            assert_eq!(bank.engine.about().warnings, [""; 0]);
            assert_eq!(bank.apply(&[transfer(0, 1, 5)]), [Outcome::Committed]);
            bank.stop_cleanly();
            assert_eq!(pages_of(&config.database), page_bytes, "{durability}");
            page_bytes *= 2;
        }
    }
}

#[test]
fn a_ledger_that_is_there_keeps_its_pages_and_says_so() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let asked = |page_bytes| with_pages(directory.path(), Durability::WalFull, page_bytes);
    let bank = Bank::start(&asked(Some(1024)));
    assert_eq!(bank.apply(&[transfer(0, 1, 5)]), [Outcome::Committed]);
    bank.stop_cleanly();

    let bank = Bank::start(&asked(Some(8192)));
    assert!(keeps(&bank, 1024, 8192));
    assert_eq!(read_back(&bank), 1024);
    assert_eq!(bank.balance(1), Some(1005), "nothing else has changed");
    bank.stop_cleanly();

    // The default is for a new ledger: what nobody asked for is no difference.
    let bank = Bank::start(&asked(None));
    assert_eq!(bank.engine.about().warnings, [""; 0]);
    assert_eq!(read_back(&bank), 1024);
    bank.stop_cleanly();

    let fresh = Config {
        fresh: true,
        ..asked(Some(8192))
    };
    let bank = Bank::start(&fresh);
    assert_eq!(bank.engine.about().warnings, [""; 0]);
    assert_eq!(read_back(&bank), 8192);
    bank.stop_cleanly();
}

/// A file of somebody else's tool is served with the pages that it has.
#[test]
fn a_ledger_of_another_tool_keeps_its_pages() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let config = with_pages(directory.path(), Durability::WalFull, Some(512));
    strict_file(&config.database, &[1000; 10]);
    let bank = Bank::start(&config);
    assert_eq!(read_back(&bank), 4096);
    assert!(keeps(&bank, 4096, 512));
    bank.stop_cleanly();
}

/// In bytes, whatever the pages are, and never so much that the log's limit would be in the way.
#[test]
fn checkpoints_are_by_the_size_of_the_database() {
    let mib = |bytes: u64| bytes << 20;
    for (accounts, page_bytes, limit, wanted) in [
        (10, 512, mib(16_384), mib(16)),
        (10, 65_536, mib(16_384), mib(16)),
        (300_000, 512, mib(16_384), mib(256)),
        (300_000, 4096, mib(16_384), mib(256)),
        (300_000, 4096, mib(80), mib(10)),
    ] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let config = Config {
            seed_accounts: accounts,
            checkpoint_kib: None,
            log_limit_bytes: limit,
            ..with_pages(directory.path(), Durability::WalFull, Some(page_bytes))
        };
        for opened in ["made", "opened again"] {
            let bank = Bank::start(&config);
            let chosen = bank.engine.about().checkpoint_bytes;
            assert_eq!(chosen, Some(wanted), "{opened}: {accounts} of {page_bytes}");
            bank.stop_cleanly();
        }
        let asked = Config {
            checkpoint_kib: Some(80),
            ..config
        };
        let bank = Bank::start(&asked);
        assert_eq!(bank.engine.about().checkpoint_bytes, Some(80 * 1024));
        bank.stop_cleanly();
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let bank = Bank::start(&config(directory.path(), Durability::DeleteFull));
    assert_eq!(
        bank.engine.about().checkpoint_bytes,
        None,
        "there is no log"
    );
    bank.stop_cleanly();
}

/// A commit is not padded to a sector: small pages rest on what every log rests on
/// (docs/adr/0025-page-cache-checkpoint.md).
#[test]
fn a_commit_is_as_long_as_its_frames() {
    const FRAME_BYTES: u64 = 512 + 24;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let bank = Bank::start(&with_pages(
        directory.path(),
        Durability::WalFull,
        Some(512),
    ));
    bank.apply(&[transfer(0, 1, 1)]);
    let before = bank.stats().bytes_written.wal;
    assert_eq!(bank.apply(&[transfer(0, 1, 1)]), [Outcome::Committed]);
    assert_eq!(bank.stats().bytes_written.wal - before, FRAME_BYTES);
    bank.stop_cleanly();
}

/// Wiping a ledger over the wire leaves its file.
#[test]
fn seeding_anew_keeps_the_pages() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let config = with_pages(directory.path(), Durability::WalFull, Some(512));
    let bank = Bank::start(&config);
    let seeding = ControlCall::Seed {
        accounts: 2_000,
        initial_balance: 7,
        may_wipe: true,
    };
    let seeded = bank.call(seeding).expect("it can be seeded");
    assert!(matches!(seeded, ControlReply::Seeded));
    assert_eq!(bank.balance(1_999), Some(7));
    bank.stop_cleanly();
    assert_eq!(pages_of(&config.database), 512);
    assert_eq!(balances_in(&config.database).len(), 2_000);
}

#[test]
fn what_is_no_page_size_is_refused_before_anything_is_made() {
    for page_bytes in [0, 256, 1000, 131_072] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let config = with_pages(directory.path(), Durability::WalFull, Some(page_bytes));
        let refused = Bank::open(&config).err().expect("it is refused");
        assert!(
            matches!(&refused, EngineError::CannotServe(error)
                if error.to_string().contains(&format!("a page cannot have {page_bytes} bytes"))),
            "{refused}"
        );
        assert!(!config.database.exists());
    }
}

#[test]
fn the_default_is_by_the_accounts_that_a_ledger_is_made_with() {
    for accounts in [10, 100_000, 1_000_000] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for durability in [Durability::WalFull, Durability::DeleteFull] {
            let config = Config {
                seed_accounts: accounts,
                fresh: true,
                ..with_pages(directory.path(), durability, None)
            };
            let bank = Bank::start(&config);
            let wanted = default_page_bytes(durability, accounts);
            assert_eq!(read_back(&bank), wanted, "{durability}, {accounts}");
            bank.stop_cleanly();
        }
    }
    let pages = |accounts| default_page_bytes(Durability::WalFull, accounts);
    assert_eq!((pages(100_000), pages(10_000_000)), (4096, 512));
    // A block of the disk that is being written holds nothing but the page, of which the journal
    // has the old content.
    let of_journal = |accounts| default_page_bytes(Durability::DeleteExtra, accounts);
    assert_eq!((of_journal(10), of_journal(10_000_000)), (4096, 4096));
}
