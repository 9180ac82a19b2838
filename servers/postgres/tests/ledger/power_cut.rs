//! The power of the database's disk is cut: a file system of the test's own is stopped under it,
//! as root, and what was not synced is gone. `fsync=off` is the control that must lose.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use busload_engine::Apply;
use nix::unistd::geteuid;
use tempfile::TempDir;

use crate::load::{Load, PLENTY};
use crate::support::database::{Programs, give, programs};
use crate::support::{Bank, Database, config, is_full_size, tell};

/// Cuts of each way of applying, scaled down in CI.
fn cuts() -> u64 {
    if is_full_size() { 20 } else { 1 }
}

/// How long a database that may have lost too much is given to start.
const CONTROL_TIMEOUT: Duration = Duration::from_secs(15);

/// An ext4 file system in a file.
struct Disk {
    directory: TempDir,
    is_mounted: bool,
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

impl Disk {
    /// Why it cannot be made, where it cannot.
    fn make() -> Result<Self, &'static str> {
        if !geteuid().is_root() {
            return Err("needs root");
        }
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut disk = Self {
            directory,
            is_mounted: false,
        };
        let image = std::fs::File::create(disk.image()).expect("a file");
        image.set_len(768 << 20).expect("a sparse file");
        std::fs::create_dir(disk.mount_point()).expect("a new directory");
        let image = disk.image().display().to_string();
        if !succeeds("mkfs.ext4", &["-F", "-q", &image]) {
            return Err("no mkfs.ext4");
        }
        if !succeeds("xfs_io", &["-V"]) {
            return Err("no xfs_io");
        }
        if !disk.mount() {
            return Err("no file system can be mounted from a file");
        }
        give(&disk.mount_point());
        Ok(disk)
    }

    fn image(&self) -> PathBuf {
        self.directory.path().join("image")
    }

    fn mount_point(&self) -> PathBuf {
        self.directory.path().join("mounted")
    }

    fn mount(&mut self) -> bool {
        let (image, at) = (self.image(), self.mount_point());
        let [image, at] = [image, at].map(|path| path.display().to_string());
        self.is_mounted = succeeds("mount", &["-o", "loop", &image, &at]);
        self.is_mounted
    }

    /// What was written so far is durable, whoever wrote it.
    fn sync(&self) {
        let at = self.mount_point().display().to_string();
        assert!(succeeds("sync", &["--file-system", &at]));
    }

    /// Without a flush of the file system's log: from here on nothing reaches the disk.
    fn cut(at: &Path) {
        assert!(succeeds(
            "xfs_io",
            &["-x", "-c", "shutdown", &at.display().to_string()]
        ));
    }

    /// When nobody uses it any more.
    fn unmount(&mut self) {
        let at = self.mount_point().display().to_string();
        for _ in 0..200 {
            if !self.is_mounted || succeeds("umount", &[&at]) {
                self.is_mounted = false;
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        // So that nothing stays behind of a test that failed.
        self.is_mounted = !succeeds("umount", &["--lazy", &at]);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.unmount();
    }
}

/// Puts a load on a database and cuts its disk off; what was acknowledged, and the database,
/// which must start again with it unless it is the control.
fn cut(
    disk: &mut Disk,
    programs: &Programs,
    settings: &[&str],
    apply: Apply,
    after: Duration,
) -> (Load, Option<Database>) {
    let at = disk.mount_point();
    let mut database = Database::start_on(programs, at.join("data"), settings);
    let mut config = config(&database);
    config.postgres.apply = apply;
    config.postgres.seed_balance = PLENTY;
    let bank = Bank::start(&config);
    database.ask("CHECKPOINT");
    disk.sync();
    let mut load = Load::default();
    thread::scope(|scope| {
        let cutting = scope.spawn(move || {
            thread::sleep(after);
            Disk::cut(&at);
        });
        while load.open.is_empty() {
            load.batch(&bank);
        }
        cutting.join().expect("it was cut");
    });
    database.kill();
    let _ = bank.stop();
    disk.unmount();
    assert!(disk.mount(), "its log is replayed");
    let is_control = !settings.is_empty();
    if is_control {
        let runs = database.runs_within(CONTROL_TIMEOUT);
        return (load, runs.then_some(database));
    }
    database.run();
    (load, Some(database))
}

#[test]
fn case_02_a_power_cut_of_the_databases_disk_loses_nothing_that_was_synced() {
    let name = "case_02_a_power_cut_of_the_databases_disk_loses_nothing_that_was_synced";
    let Some(programs) = programs(name) else {
        return;
    };
    let mut acknowledged = 0;
    for apply in Apply::ALL {
        for number in 0..cuts() {
            let mut disk = match Disk::make() {
                Ok(disk) => disk,
                Err(why) => {
                    let skipped = format!("skipped {}::{name}: {why}\n", env!("CARGO_CRATE_NAME"));
                    std::io::stderr()
                        .write_all(skipped.as_bytes())
                        .expect("stderr takes a line");
                    return;
                }
            };
            let after = Duration::from_millis(150 + 41 * (number % 9));
            let (mut load, database) = cut(&mut disk, &programs, &[], apply, after);
            let database = database.expect("it recovers");
            load.nothing_is_lost(&database);
            let bank = Bank::start(&config(&database));
            load.resolve(&bank);
            load.nothing_is_lost(&database);
            bank.stop_cleanly();
            acknowledged += load.acknowledged.len();
        }
    }
    // The control: it has to be seen to lose.
    let mut disk = Disk::make().expect("the others were made");
    let after = Duration::from_millis(400);
    let (load, database) = cut(
        &mut disk,
        &programs,
        &["fsync=off"],
        Apply::Coalesced,
        after,
    );
    let found = database.map(|database| {
        let found = database.ask("SELECT count(*) FROM busload.transfer_ids");
        found.parse::<usize>().expect("a count")
    });
    let lost = found.is_none_or(|found| found < load.acknowledged.len());
    assert!(
        lost,
        "fsync=off lost nothing: {found:?} of {}",
        load.acknowledged.len()
    );
    let what = format!(
        "{} cuts, {acknowledged} acknowledged, 0 lost; fsync=off kept {} of {}",
        2 * cuts(),
        found.map_or("nothing".to_owned(), |found| found.to_string()),
        load.acknowledged.len()
    );
    tell(name, &what);
}
