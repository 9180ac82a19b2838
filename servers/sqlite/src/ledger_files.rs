//! The files of a ledger: what each must be before it is opened, and whether they are still there.
//!
//! SQLite finds log and journal by the name of the database, and the next server finds all of them
//! by their names. So what is committed to a file is lost when the name leads elsewhere: at a
//! mount point or at one of several hard links from the beginning, after a removal or a renaming
//! from then on. The first is refused, the second is noticed ([`OpenFiles`]).

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use busload_engine::EngineError;

/// What SQLite appends to the name of the database: nothing, then its log, that log's index, its
/// rollback journal.
pub(crate) const SUFFIXES: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// Answers leave for this long after the files were last seen in their places. Half a second, so
/// that a removal is noticed within one, whatever a batch takes.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// Symbolic links that are followed to a database that does not exist yet, as many as Linux does.
const LINKS_MAX: usize = 40;

const MOVE_BACK: &str = "everything acknowledged is in the file that was open: move it back, if \
    it was moved, or choose another file";
const REMOVED: &str =
    "it was removed, with all acknowledged transfers: start with a copy, or with a new database";
const LOG_IS_COPIED: &str = "the database holds everything acknowledged: remove what is there now, \
    if anything is";
const LOG_IS_NOT_COPIED: &str = "its log could not be copied into the database: what was \
    acknowledged last is in the log that was open, so put back both if they were moved";

/// The files could not be found when they had just been opened.
pub(crate) fn gone_at_start(database: PathBuf, error: &io::Error) -> EngineError {
    EngineError::FileGone {
        file: database,
        why: format!("it, or a file beside it, cannot be looked at ({error})"),
        remedy: "permit the server to search its directory, and leave its files alone",
    }
}

/// The same error with what to do, now that is known what became of the `database` that was open,
/// and whether it holds what the log held.
pub(crate) fn with_remedy(error: EngineError, database: &File, is_copied: bool) -> EngineError {
    let is_removed = database.metadata().is_ok_and(|file| names_of(&file) == 0);
    match error {
        EngineError::FileGone { file, why, remedy } => EngineError::FileGone {
            file,
            why,
            remedy: match (is_removed, is_copied) {
                (true, _) => REMOVED,
                (false, true) => remedy,
                (false, false) => LOG_IS_NOT_COPIED,
            },
        },
        other => other,
    }
}

/// The file beside the database whose name ends in `suffix`.
pub(crate) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(database);
    name.push(suffix);
    name.into()
}

/// The one name of a database that all its names lead to, whether or not it exists: lock, log and
/// journal are beside it.
pub(crate) fn resolve(database: &Path) -> PathBuf {
    if let Ok(path) = database.canonicalize() {
        return path;
    }
    let mut path = database.to_owned();
    for _ in 0..LINKS_MAX {
        let Ok(target) = path.read_link() else { break };
        path = directory_of(&path).join(target);
    }
    match (directory_of(&path).canonicalize(), path.file_name()) {
        (Ok(directory), Some(name)) => directory.join(name),
        // Whatever is wrong with it shows when it is opened.
        _ => path,
    }
}

pub(crate) fn directory_of(file: &Path) -> &Path {
    let parent = file
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// Whether the operating system says that there is no room, on the disk or in a quota.
pub(crate) fn is_storage_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Refuses a database that is not the one file of its name, and a log or journal that is not.
pub(crate) fn check(database: &Path) -> Result<(), EngineError> {
    SUFFIXES
        .iter()
        .try_for_each(|suffix| check_one(&beside(database, suffix)))
}

fn check_one(file: &Path) -> Result<(), EngineError> {
    // Whatever else is wrong with it shows when it is opened.
    let Ok(found) = fs::symlink_metadata(file) else {
        return Ok(());
    };
    let (why, remedy) = if !found.is_file() {
        (
            "it is not a regular file".to_owned(),
            "choose another place",
        )
    } else if names_of(&found) > 1 {
        (
            format!(
                "it has {} names (hard links), and under another one a second server could open it",
                names_of(&found)
            ),
            "remove the other names, or use a copy (cp) that no server has open",
        )
    } else if is_mount_point(file) {
        (
            "it is itself a mount point, so that the log beside it belongs to another name than \
             the file has elsewhere, and what is acknowledged could be lost"
                .to_owned(),
            "mount the directory that it is in instead (docker: -v DIRECTORY:DIRECTORY)",
        )
    } else {
        return Ok(());
    };
    Err(EngineError::CannotOpen {
        database: file.to_owned(),
        why,
        remedy,
    })
}

#[cfg(unix)]
fn names_of(file: &Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    file.nlink()
}

/// Elsewhere nobody counts them.
#[cfg(not(unix))]
fn names_of(_file: &Metadata) -> u64 {
    1
}

/// The device tells nothing: a file that is bound to another name is on the same one. Linux before
/// 5.8 does not say, and is believed.
#[cfg(target_os = "linux")]
fn is_mount_point(file: &Path) -> bool {
    use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};

    statx(CWD, file, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty())
        .is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Elsewhere only directories are.
#[cfg(not(target_os = "linux"))]
fn is_mount_point(_file: &Path) -> bool {
    false
}

/// What tells one file from another, whatever their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId(u64, u64);

impl FileId {
    #[cfg(unix)]
    fn of(file: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self(file.dev(), file.ino())
    }

    /// Elsewhere an open file cannot be replaced.
    #[cfg(not(unix))]
    fn of(_file: &Metadata) -> Self {
        Self(0, 0)
    }
}

/// The files that are open as long as the ledger is: the database, and with a write-ahead log that
/// and its index. A rollback journal comes and goes with each transaction.
#[derive(Debug)]
pub(crate) struct OpenFiles {
    files: Vec<(PathBuf, FileId)>,
    next_check: Instant,
}

impl OpenFiles {
    /// Of a ledger that SQLite has opened; `database` is a descriptor of its file.
    pub(crate) fn new(path: &Path, database: &File, has_log: bool) -> io::Result<Self> {
        let mut files = vec![(path.to_owned(), FileId::of(&database.metadata()?))];
        if has_log {
            for suffix in ["-wal", "-shm"] {
                let file = beside(path, suffix);
                let id = FileId::of(&fs::symlink_metadata(&file)?);
                files.push((file, id));
            }
        }
        Ok(Self {
            files,
            next_check: Instant::now(),
        })
    }

    /// Whether they were last looked at too long ago for answers to leave.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        now >= self.next_check
    }

    /// How long the writer may sleep without work.
    pub(crate) fn next_look(&self) -> Duration {
        self.next_check.saturating_duration_since(Instant::now())
    }

    /// Looks whether each of them is still the one that its name leads to.
    ///
    /// # Errors
    /// [`EngineError::FileGone`]: what was committed since an unknown moment of the time since the
    /// last look may not be found by the next server.
    pub(crate) fn check(&mut self) -> Result<(), EngineError> {
        for (file, id) in &self.files {
            let why = match fs::symlink_metadata(file) {
                Ok(found) if FileId::of(&found) == *id => continue,
                Ok(_) => "another file is in its place".to_owned(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => "it is gone".to_owned(),
                Err(error) => format!("it cannot be looked at ({error})"),
            };
            let is_database = self
                .files
                .first()
                .is_some_and(|(database, _)| database == file);
            return Err(EngineError::FileGone {
                file: file.clone(),
                why,
                remedy: if is_database {
                    MOVE_BACK
                } else {
                    LOG_IS_COPIED
                },
            });
        }
        self.next_check = Instant::now() + CHECK_INTERVAL;
        Ok(())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_name_leads_to_one_also_before_the_file_exists() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().canonicalize().unwrap();
        fs::create_dir(directory.join("data")).unwrap();
        let target = directory.join("data/a.sqlite");
        symlink("data/b.sqlite", directory.join("link")).unwrap();
        symlink("a.sqlite", directory.join("data/b.sqlite")).unwrap();
        for exists in [false, true] {
            for name in ["data/a.sqlite", "link", "data/../data/b.sqlite"] {
                assert_eq!(resolve(&directory.join(name)), target, "{name} {exists}");
            }
            fs::write(&target, "").unwrap();
        }
    }

    #[test]
    fn what_is_no_one_regular_file_is_refused_by_its_own_name() {
        for suffix in SUFFIXES {
            let directory = tempfile::tempdir().unwrap();
            let database = directory.path().join("a.sqlite");
            fs::write(&database, "").unwrap();
            let file = beside(&database, suffix);
            fs::write(&file, "").unwrap();
            check(&database).unwrap();

            fs::hard_link(&file, directory.path().join("other")).unwrap();
            let said = check(&database).unwrap_err().to_string();
            let name = format!("a.sqlite{suffix}: it has 2 names");
            assert!(said.contains(&name), "{said}");

            fs::remove_file(&file).unwrap();
            symlink("other", &file).unwrap();
            let said = check(&database).unwrap_err().to_string();
            assert!(said.contains("it is not a regular file"), "{said}");
        }
    }

    #[test]
    fn a_file_that_is_not_the_one_that_was_opened_is_told() {
        for lost in ["", "-wal", "-shm"] {
            let directory = tempfile::tempdir().unwrap();
            let database = directory.path().join("a.sqlite");
            for suffix in ["", "-wal", "-shm"] {
                fs::write(beside(&database, suffix), "").unwrap();
            }
            let open = File::open(&database).unwrap();
            let mut files = OpenFiles::new(&database, &open, true).unwrap();
            assert!(files.is_due(Instant::now()), "it was never looked at");
            files.check().unwrap();
            assert!(!files.is_due(Instant::now()));
            assert!(files.next_look() <= CHECK_INTERVAL);

            let (file, kept) = (beside(&database, lost), directory.path().join("kept"));
            fs::rename(&file, &kept).unwrap();
            let said = files.check().unwrap_err().to_string();
            assert!(
                said.contains(&format!("a.sqlite{lost}: it is gone")),
                "{said}"
            );
            fs::write(&file, "").unwrap();
            let said = files.check().unwrap_err().to_string();
            assert!(said.contains("another file is in its place"), "{said}");
            fs::rename(&kept, &file).unwrap();
            files.check().unwrap();
        }
    }
}
