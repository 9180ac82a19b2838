//! File systems that are stopped under a real server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bench_client::target::ServerProcess;
use bench_client::torture::crash_states::expected_ledger::{ExpectedLedger, Faults, Progress};
use bench_client::torture::fault::Onset;
use bench_client::torture::power_cut::{FileSystem, LoopDisk};
use busload_sqlite::inspect;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::{Directory, PATIENCE, directory, skipped, within};
use crate::load::{Kept, Sent, Wire, acknowledged, kept, load, seed, server};

/// A loop device with a ledger on it, and what its power cuts came to.
struct Bench {
    disk: LoopDisk,
    _directory: Directory,
    kept: Kept,
}

impl Bench {
    /// `None` when `test` must be skipped.
    fn new(test: &str, kept: Kept) -> Option<Self> {
        let kind = FileSystem::Ext4;
        if let Err(why) = kind.available() {
            skipped(test, &why);
            return None;
        }
        let directory = directory();
        let disk = match LoopDisk::create(directory.path(), kind) {
            Ok(disk) => disk,
            Err(why) => {
                skipped(test, &why.to_string());
                return None;
            }
        };
        let bench = Self {
            disk,
            _directory: directory,
            kept,
        };
        within(seed(&bench.database(), Wire::Json, kept));
        Some(bench)
    }

    fn database(&self) -> PathBuf {
        self.disk.path().join("a.sqlite")
    }

    /// One cut under load: how many were acknowledged, and what is wrong.
    fn cut(&self, after: Duration) -> (u64, Faults) {
        let before = inspect(&self.database()).expect("a sound ledger").balances;
        let sent = within(self.load_and_cut(after));
        self.disk.revive().expect("it can be mounted again");
        let found = inspect(&self.database()).expect("a ledger after the cut");
        assert!(found.complaints.is_empty(), "{:?}", found.complaints);
        let mut ledger = ExpectedLedger::default();
        let mut entries = Vec::new();
        for (connection, (transfer, acknowledged)) in (0..)
            .zip(&sent)
            .flat_map(|(n, sent)| sent.iter().map(move |one| (n, one)))
        {
            let entry = ledger.ask(connection, transfer).expect("private pairs");
            entries.push((entry, *acknowledged));
        }
        let mut progress = Progress::new(&ledger);
        for (entry, acknowledged) in entries {
            progress.asked(entry);
            if acknowledged {
                progress.acknowledged(entry);
            }
        }
        (
            acknowledged(&sent),
            ledger.judge(&before, &found.balances, &progress),
        )
    }

    async fn load_and_cut(&self, after: Duration) -> Vec<Sent> {
        let spec = server(&self.database(), Wire::Json, self.kept);
        let mut server = ServerProcess::start(&spec).await.expect("it starts");
        let target = server.target().clone();
        let pid = Pid::from_raw(i32::try_from(server.pid()).expect("process ids fit"));
        let onset = Onset::default();
        let cutter = async {
            tokio::time::sleep(after).await;
            self.disk
                .cut(&onset)
                .expect("the file system can be stopped");
            kill(pid, Signal::SIGKILL).expect("it runs");
        };
        let (sent, ()) = tokio::join!(load(&target, Wire::Json, PATIENCE, &onset), cutter);
        while server.ended().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        sent
    }
}

/// How long the load is on before cut number `n`.
fn patience(n: u64) -> Duration {
    Duration::from_millis(120 + 61 * (n * 5 % 8))
}

#[test]
fn case_02_power_cuts_lose_nothing() {
    let small = [512, 1024].map(|page_size| Kept {
        page_size,
        ..kept("wal-full")
    });
    for kept in [kept("wal-full"), kept("delete-extra")]
        .into_iter()
        .chain(small)
    {
        let Some(bench) = Bench::new("case_02_power_cuts_lose_nothing", kept) else {
            return;
        };
        for n in 0..4 {
            let (acknowledged, faults) = bench.cut(patience(n));
            assert!(faults.none(), "{kept:?}, cut {n}: {faults:?}");
            assert!(acknowledged > 0, "{kept:?}, cut {n}: too little");
        }
    }
}

/// The positive control of the power cuts.
#[test]
fn case_02_power_cuts_of_wal_normal_must_lose() {
    let test = "case_02_power_cuts_of_wal_normal_must_lose";
    let Some(bench) = Bench::new(test, kept("wal-normal")) else {
        return;
    };
    // A cut right after a checkpoint finds all of it synced.
    let lost = (0..12).any(|n| {
        let (_, faults) = bench.cut(patience(n));
        assert_eq!(
            (faults.twice, faults.gaps, faults.torn),
            (0, 0, 0),
            "{faults:?}"
        );
        faults.lost > 0
    });
    assert!(
        lost,
        "12 power cuts have lost nothing of a server that does not sync at commit"
    );
}

/// However its owner goes, nothing stays mounted.
#[test]
fn a_loop_disk_leaves_nothing_behind() {
    let Some(bench) = Bench::new("a_loop_disk_leaves_nothing_behind", kept("wal-full")) else {
        return;
    };
    let mounted = |path: &Path| {
        let mounts = std::fs::read_to_string("/proc/self/mounts").expect("they can be listed");
        mounts.contains(&path.display().to_string())
    };
    let path = bench.disk.path().to_owned();
    assert!(mounted(&path));
    // A process that still has a file open, as a server that does not die.
    let held = std::fs::File::open(bench.database()).expect("it is there");
    let cut = bench.disk.cut(&Onset::default());
    cut.expect("the file system can be stopped");
    let Bench { disk, .. } = bench;
    let panicked = std::panic::catch_unwind(move || {
        let _disk = disk;
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    assert!(panicked.is_err());
    assert!(!mounted(&path) && !path.exists());
    drop(held);
}
