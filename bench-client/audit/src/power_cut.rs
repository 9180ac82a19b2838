//! Power cuts by stopping a file system: what it has not given to its device is gone.
//!
//! The database lies on a file system of its own, in a file, on a loop device. The shutdown
//! call of ext4 and XFS stops it in the middle of its work, without a flush of its log or of
//! data; after the server is killed the file system is unmounted and mounted again, which
//! replays its log as after a power cut.
//!
//! The call takes a while (1.5 ms on ext4), and a sync that returns in that while may have lost
//! what it says is durable. A power cut has no such while, so an answer counts only when it was
//! read before the call began ([`Onset`]); `docs/reliability-power-cut.md` has the figures.
//!
//! What this does not do: it does not lose what the file system had given to the device and
//! not flushed. A sync that forgets the device's cache is not caught, and writes are not torn
//! below the size of a block; [`images`](super::crash_states) is for those.

mod files;
mod ioctl;

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use tempfile::TempDir;

use self::files::Files;
use super::draw::Draw;
use super::fault::{Fault, FaultError, Onset, Schedule};
use crate::config::target_file::DATABASE;
use crate::record::torture::FaultKind;
use crate::target::ServerProcess;
use crate::target::descendants::{Role, Spared, spare};

/// Longest wait for a file system to let go of what a killed server had open.
const UNMOUNT_TIMEOUT: Duration = Duration::from_secs(10);
const UNMOUNT_PAUSE: Duration = Duration::from_millis(20);
/// Shortest time from the start of the load to a cut, in milliseconds.
const EARLIEST_CUT_MS: u64 = 50;

/// Unmounts when its standard input ends, as it does however this process ends; `$1` is the
/// mount point, `$2` the image, `$3` the directory of both.
const KEEPER: &str = "read -r _; umount -l \"$1\"; rm -f \"$2\"; rmdir \"$1\" \"$3\"";

/// A file system that can be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileSystem {
    /// ext4.
    Ext4,
    /// XFS.
    Xfs,
}

impl FileSystem {
    /// The name, as `mount` knows it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        }
    }

    /// The command that makes one, and its options.
    const fn maker(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Ext4 => ("mkfs.ext4", &["-F", "-q"]),
            Self::Xfs => ("mkfs.xfs", &["-f", "-q"]),
        }
    }

    /// Of the image; a sparse file. XFS is not made below 300 MiB.
    const fn size_bytes(self) -> u64 {
        match self {
            Self::Ext4 => 128 * 1024 * 1024,
            Self::Xfs => 320 * 1024 * 1024,
        }
    }

    /// Whether power cuts with it can be made here.
    ///
    /// # Errors
    /// What is missing.
    pub fn available(self) -> Result<(), String> {
        if !geteuid().is_root() {
            return Err("only root may mount a file system".to_owned());
        }
        if !Path::new("/dev/loop-control").exists() {
            return Err("there is no /dev/loop-control: load the module loop".to_owned());
        }
        let (maker, _) = self.maker();
        for tool in [maker, "mount", "umount"] {
            let found = Command::new(tool)
                .arg("--version")
                .stdin(Stdio::null())
                .output();
            // What is there may not know the option.
            if let Err(error) = found {
                return Err(format!("{tool} cannot be started: {error}"));
            }
        }
        Ok(())
    }
}

/// A disk could not be made, cut or brought back.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// A command failed.
    #[error("{command} failed: {said}")]
    Command {
        /// Which, with its arguments.
        command: String,
        /// Its last words.
        said: String,
    },
    /// A file could not be made or opened.
    #[error("cannot use {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file system does not stop.
    #[error("the file system refuses to be shut down")]
    Refused(#[source] nix::Error),
}

/// A file system in a file, mounted. It is unmounted, its loop device detached and its file
/// removed when this is dropped, and also when this process is killed.
#[derive(Debug)]
pub struct LoopDisk {
    image: PathBuf,
    mount_point: PathBuf,
    directory: Option<TempDir>,
    keeper: Option<(Child, Spared)>,
}

impl LoopDisk {
    /// Makes one of this kind, with its image in a directory of its own below `below`.
    ///
    /// # Errors
    /// It cannot be made or mounted.
    pub fn create(below: &Path, kind: FileSystem) -> Result<Self, DiskError> {
        let directory = tempfile::Builder::new()
            .prefix("busload-disk-")
            .tempdir_in(below)
            .map_err(|source| cannot_use(below, source))?;
        // What mounts and unmounts may run elsewhere.
        let root = directory
            .path()
            .canonicalize()
            .map_err(|source| cannot_use(directory.path(), source))?;
        let mut disk = Self {
            image: root.join("image"),
            mount_point: root.join("mounted"),
            directory: Some(directory),
            keeper: None,
        };
        let file = File::create(&disk.image);
        file.and_then(|file| file.set_len(kind.size_bytes()))
            .map_err(|source| cannot_use(&disk.image, source))?;
        std::fs::create_dir(&disk.mount_point)
            .map_err(|source| cannot_use(&disk.mount_point, source))?;
        let (maker, options) = kind.maker();
        run(Command::new(maker).args(options).arg(&disk.image))?;
        disk.keeper = Some(disk.start_keeper(&root)?);
        disk.mount()?;
        Ok(disk)
    }

    fn start_keeper(&self, root: &Path) -> Result<(Child, Spared), DiskError> {
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, "sh"]);
        keeper.args([&self.mount_point, &self.image]).arg(root);
        keeper
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A Ctrl-C at the terminal must not end it first.
            .process_group(0);
        let spawned = spare(Role::Helper, || {
            let child = keeper.spawn()?;
            let pid = child.id();
            Ok((child, pid))
        });
        spawned.map_err(|source| cannot_use(Path::new("sh"), source))
    }

    /// The directory that is on it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.mount_point
    }

    fn mount(&self) -> Result<(), DiskError> {
        run(Command::new("mount")
            .args(["-o", "loop"])
            .args([&self.image, &self.mount_point]))
    }

    /// Stops the file system: when this returns, nothing reaches its image any more. What is
    /// synced while it runs may be gone although the sync says that it is not, so `onset` comes
    /// before it begins.
    ///
    /// # Errors
    /// It cannot be stopped.
    pub fn cut(&self, onset: &Onset) -> Result<(), DiskError> {
        let directory = File::open(&self.mount_point);
        let directory = directory.map_err(|source| cannot_use(&self.mount_point, source))?;
        onset.come();
        ioctl::stop_file_system(&directory).map_err(DiskError::Refused)
    }

    /// Mounts it anew, as after a power cut. Nobody may have a file on it open; one that is
    /// being killed is waited for.
    ///
    /// # Errors
    /// It cannot be unmounted or mounted.
    pub fn revive(&self) -> Result<(), DiskError> {
        let deadline = Instant::now() + UNMOUNT_TIMEOUT;
        while let Err(error) = run(Command::new("umount").arg(&self.mount_point)) {
            if Instant::now() > deadline {
                return Err(error);
            }
            std::thread::sleep(UNMOUNT_PAUSE);
        }
        self.mount()
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        let Some((mut keeper, _spared)) = self.keeper.take() else {
            return;
        };
        // Its standard input ends: it unmounts, whether or not somebody has a file open.
        drop(keeper.stdin.take());
        let _ = keeper.wait();
        drop(self.directory.take());
    }
}

fn cannot_use(path: &Path, source: io::Error) -> DiskError {
    let path = path.to_owned();
    DiskError::Io { path, source }
}

fn run(command: &mut Command) -> Result<(), DiskError> {
    let shown = || {
        let name = command.get_program().to_string_lossy();
        let words = command.get_args().map(|word| word.to_string_lossy());
        words.fold(name.into_owned(), |text, word| format!("{text} {word}"))
    };
    let shown = shown();
    let failed = |said: String| DiskError::Command {
        command: shown.clone(),
        said,
    };
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rfind(|line| !line.trim().is_empty());
    let last = last.map_or_else(|| output.status.to_string(), str::to_owned);
    Err(failed(last))
}

/// Cuts the power under a server, whose database is on a [`LoopDisk`].
#[derive(Debug)]
pub struct PowerCut {
    disk: LoopDisk,
    /// The power was cut in this cycle.
    cut: bool,
    /// From here on the cut of this cycle is under way.
    onset: Onset,
    /// What was on the disk before the load; absent when it could not be read.
    before: Option<Files>,
    /// Nothing was written to the disk from then to the cut.
    untouched: bool,
}

impl PowerCut {
    /// The fault with a disk of this kind, whose image is below `below`.
    ///
    /// # Errors
    /// It is not to be had here, or making it fails.
    pub fn new(below: &Path, kind: FileSystem) -> Result<Self, FaultError> {
        let unavailable = |why| FaultError::Unavailable {
            fault: FaultKind::PowerCut,
            why,
        };
        kind.available().map_err(unavailable)?;
        let disk = LoopDisk::create(below, kind);
        // A container may have root without the right to mount.
        let disk = disk.map_err(|error| unavailable(crate::with_causes(&error)))?;
        Ok(Self {
            disk,
            cut: false,
            onset: Onset::default(),
            before: None,
            untouched: false,
        })
    }
}

fn failed(error: &DiskError) -> FaultError {
    FaultError::Failed {
        fault: FaultKind::PowerCut,
        why: crate::with_causes(error),
    }
}

impl Fault for PowerCut {
    fn kind(&self) -> FaultKind {
        FaultKind::PowerCut
    }

    fn directory(&self) -> Option<&Path> {
        Some(self.disk.path())
    }

    fn schedule(&mut self, draw: &mut Draw, cycle: Duration) -> Schedule {
        let latest = u64::try_from(cycle.as_millis()).unwrap_or(u64::MAX);
        self.cut = false;
        self.onset = Onset::default();
        self.before = Files::below(self.disk.path()).ok();
        self.untouched = false;
        let after = draw.within(EARLIEST_CUT_MS.min(latest), latest);
        Schedule::after(Duration::from_millis(after))
    }

    fn inject<'a>(
        &'a mut self,
        server: &'a mut ServerProcess,
    ) -> BoxFuture<'a, Result<(), FaultError>> {
        let now = Files::below(self.disk.path()).ok();
        self.untouched = now.is_some() && now == self.before;
        let result = self.disk.cut(&self.onset).map_err(|error| failed(&error));
        self.cut = result.is_ok();
        // Its writes fail from now on. That it sees them fail is no part of a power cut.
        if let Ok(pid) = i32::try_from(server.pid())
            && pid > 0
        {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        Box::pin(std::future::ready(result))
    }

    fn onset(&self) -> Onset {
        self.onset.clone()
    }

    fn missed(&self) -> Option<String> {
        (self.cut && self.untouched).then(|| {
            format!(
                "nothing was written to the file system that was cut, and all that was \
                 acknowledged is there: the ledger is elsewhere, and the cut shows nothing; the \
                 server must keep it in the file that {DATABASE} in --server-command names"
            )
        })
    }

    fn was_injected(&self, _by_itself: bool) -> bool {
        self.cut
    }

    fn restore(&mut self) -> BoxFuture<'_, Result<(), FaultError>> {
        let result = self.disk.revive().map_err(|error| failed(&error));
        Box::pin(std::future::ready(result))
    }
}
