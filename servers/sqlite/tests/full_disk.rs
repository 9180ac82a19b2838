//! Full disks, real ones: small file systems that are filled up. The kernel and the file system
//! choose which call fails and how (docs/reliability-evidence.md, case 11).

#![cfg(target_os = "linux")]

#[path = "support/namespace.rs"]
mod namespace;
mod support;

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use busload_engine::{ControlCall, Degradation, EngineError, Failure, Outcome};
use busload_sqlite::{Apply, Durability};
use namespace::{in_mount_namespace, run, skip};
use support::{Bank, Config, config, transfer};

const FULL: Outcome = Outcome::Failed(Failure::StorageFull);
const KINDS: [Kind; 3] = [Kind::Tmpfs, Kind::Ext4, Kind::Xfs];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tmpfs,
    Ext4,
    Xfs,
}

impl Kind {
    /// A small file system below `directory`, or why there is none.
    fn mount(self, directory: &Path) -> Result<PathBuf, String> {
        let at = directory.join(format!("{self:?}"));
        fs::create_dir(&at).expect("it is new");
        let (make, size_mib) = match self {
            Self::Tmpfs => {
                let options = "size=8m,nr_inodes=64";
                let to = at.to_str().expect("UTF-8");
                run(&["mount", "-t", "tmpfs", "-o", options, "tmpfs", to]);
                return Ok(at);
            }
            Self::Ext4 => (["mkfs.ext4", "-qFN", "64"].as_slice(), 16),
            Self::Xfs => (["mkfs.xfs", "-q"].as_slice(), 300),
        };
        let image = at.with_extension("img");
        let file = File::create(&image).expect("it is new");
        file.set_len(size_mib << 20).expect("it is sparse");
        let formatted = Command::new(make[0]).args(&make[1..]).arg(&image).output();
        if !formatted.is_ok_and(|output| output.status.success()) {
            return Err(format!("{} cannot be run", make[0]));
        }
        let mounted = Command::new("mount")
            .args(["-o", "loop"])
            .args([&image, &at])
            .output();
        match mounted {
            Ok(output) if output.status.success() => Ok(at),
            _ => Err("a loop device cannot be mounted".to_owned()),
        }
    }
}

/// What takes all the room there is.
struct Filler(PathBuf);

impl Filler {
    fn bytes(directory: &Path) -> Self {
        let filler = Self(directory.join("filler"));
        fs::create_dir(&filler.0).expect("it is new");
        // Some file systems refuse a large write and take a small one, or another file.
        for (number, size) in [1 << 20, 1 << 16, 4096, 512, 1].into_iter().enumerate() {
            let Ok(mut file) = File::create(filler.0.join(number.to_string())) else {
                break;
            };
            while file.write_all(&vec![7; size]).is_ok() {}
            let _ = file.sync_all();
        }
        filler
    }

    fn inodes(directory: &Path) -> Self {
        let filler = Self(directory.join("filler"));
        fs::create_dir(&filler.0).expect("it is new");
        for number in 0.. {
            match File::create(filler.0.join(number.to_string())) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => panic!("{error}"),
            }
        }
        filler
    }

    fn remove(self) {
        fs::remove_dir_all(&self.0).expect("it is ours");
    }
}

fn on_each(name: &str, work: impl Fn(Kind, &Path)) {
    in_mount_namespace(name, |directory| {
        for kind in KINDS {
            match kind.mount(directory) {
                Ok(at) => work(kind, &at),
                Err(why) => skip(&format!("{name} ({kind:?})"), &why),
            }
        }
    });
}

/// Transfers of 1 are refused as long as the disk is full, and not applied; then they are
/// committed again.
fn full_and_room_again(config: &Config, fill: fn(&Path) -> Filler, what: &str) {
    let directory = config.database.parent().expect("it has one");
    let bank = Bank::start(config);
    assert_eq!(bank.apply(&[transfer(0, 1, 1)]), [Outcome::Committed]);
    let filler = fill(directory);
    for _ in 0..3 {
        assert_eq!(bank.apply(&[transfer(0, 1, 1)]), [FULL], "{what}");
    }
    assert_eq!(bank.engine.health(), [Degradation::StorageFull], "{what}");
    let seed = bank.call(ControlCall::Seed {
        may_wipe: true,
        accounts: 5,
        initial_balance: 5,
    });
    assert!(
        matches!(seed, Err(EngineError::StorageFull)),
        "{what}: {seed:?}"
    );
    filler.remove();
    while !bank.engine.health().is_empty() {
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(bank.apply(&[transfer(0, 1, 1)]), [Outcome::Committed]);
    assert_eq!(bank.balances(2), [998, 1002], "{what}");
    bank.stop_cleanly();
}

/// Issue 10: the server ended with code 5.
#[test]
fn case_11_no_room_for_a_journal() {
    on_each("case_11_no_room_for_a_journal", |kind, directory| {
        for (durability, apply) in [
            (Durability::DeleteExtra, Apply::PerTransfer),
            (Durability::DeleteFull, Apply::PerTransfer),
            (Durability::DeleteExtra, Apply::Coalesced),
        ] {
            let config = Config {
                database: directory.join(format!("{durability}-{apply}.sqlite")),
                apply,
                ..config(directory, durability)
            };
            let what = format!("{kind:?} {durability} {apply}");
            full_and_room_again(&config, Filler::bytes, &what);
        }
    });
}

/// XFS makes inodes as long as there are bytes.
#[test]
fn case_11_no_inode_for_a_journal() {
    on_each("case_11_no_inode_for_a_journal", |kind, directory| {
        if kind == Kind::Xfs {
            return;
        }
        let config = config(directory, Durability::DeleteExtra);
        full_and_room_again(&config, Filler::inodes, &format!("{kind:?}"));
    });
}

/// Issue 10: "disk I/O error (4874)". Nothing of the ledger is lost, and it is said what is wrong.
#[test]
fn case_11_a_start_on_a_full_disk() {
    on_each("case_11_a_start_on_a_full_disk", |kind, directory| {
        for durability in [Durability::WalFull, Durability::DeleteExtra] {
            // XFS makes inodes as long as there are bytes.
            let fills: &[fn(&Path) -> Filler] = match kind {
                Kind::Xfs => &[Filler::bytes],
                Kind::Tmpfs | Kind::Ext4 => &[Filler::bytes, Filler::inodes],
            };
            for fill in fills {
                let made = Config {
                    database: directory.join(format!("{durability}.sqlite")),
                    ..config(directory, durability)
                };
                let bank = Bank::start(&made);
                let before = bank.balances(2);
                bank.stop_cleanly();
                // The lock file stays when a server ends; here a new one has no room.
                let _ = fs::remove_file(made.database.with_extension("sqlite.lock"));
                let filler = fill(directory);
                let new = Config {
                    database: directory.join("new.sqlite"),
                    ..made.clone()
                };
                for config in [&made, &new] {
                    let error = match Bank::open(config) {
                        Err(error) => error,
                        // Where a file system has kept some room, it must be room enough.
                        Ok(bank) => {
                            bank.stop_cleanly();
                            continue;
                        }
                    };
                    let said = error.to_string();
                    assert!(said.contains("its disk is full; make room there"), "{said}");
                    assert!(
                        said.contains(config.database.to_str().expect("UTF-8")),
                        "{said}"
                    );
                }
                filler.remove();
                let bank = Bank::start(&made);
                assert_eq!(bank.balances(2), before);
                assert_eq!(bank.apply(&[transfer(0, 1, 1)]), [Outcome::Committed]);
                bank.stop_cleanly();
            }
        }
    });
}
