//! Files that this program writes for people: one way for all of them.
//!
//! What stands at a place decides what writing there means. A regular file, or none, is replaced
//! as a whole: it is complete at every moment, and keeps its mode and its owner. A symbolic link
//! is followed. A device, a FIFO or a socket's end is written into, as a shell's redirection would
//! do it.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use tempfile::NamedTempFile;

/// What is written is for everybody to read.
const MODE: u32 = 0o644;
/// As many links in a row as the kernel follows.
const LINKS_MAX: usize = 40;

/// Whether something may stand at the place already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It is replaced.
    Replaced,
    /// It is an error: nobody has named the place.
    Refused,
}

/// Whether what is written there goes on to somebody who reads it once: a device, a FIFO or a
/// socket, and no file that can be replaced.
#[must_use]
pub fn is_stream(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|there| !there.is_file() && !there.is_dir())
}

/// The place behind all symbolic links; it may not exist.
///
/// # Errors
/// There are too many links, or one cannot be read.
pub fn followed(path: &Path) -> io::Result<PathBuf> {
    let mut place = path.to_owned();
    for _ in 0..LINKS_MAX {
        if !place.is_symlink() {
            return Ok(place);
        }
        let target = place.read_link()?;
        place = directory_of(&place).join(target);
    }
    Err(io::Error::other("too many symbolic links"))
}

/// The directory in which a file is.
#[must_use]
pub fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(directory) if directory != Path::new("") => directory,
        _ => Path::new("."),
    }
}

/// Writes `contents` to a place; directories that are missing are made.
///
/// # Errors
/// It cannot be written. A file that was there is as it was.
pub fn write(path: &Path, contents: &[u8], existing: Existing) -> io::Result<()> {
    if existing == Existing::Replaced && is_stream(path) {
        return OpenOptions::new()
            .write(true)
            .open(path)?
            .write_all(contents);
    }
    let place = match existing {
        Existing::Replaced => followed(path)?,
        Existing::Refused => path.to_owned(),
    };
    let directory = directory_of(&place);
    std::fs::create_dir_all(directory)?;
    let mut file = new_in(directory)?;
    file.write_all(contents)?;
    be_like(file.as_file(), &place)?;
    let written = match existing {
        Existing::Replaced => file.persist(&place),
        Existing::Refused => file.persist_noclobber(&place),
    };
    written.map(drop).map_err(|error| error.error)
}

/// A file in a directory that takes another's place, or is removed. Why there is none does not name
/// it: nobody has asked for that name.
///
/// # Errors
/// It cannot be made.
pub fn new_in(directory: &Path) -> io::Result<NamedTempFile> {
    let make = |path: &Path| {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        options.open(path)
    };
    tempfile::Builder::new().make_in(directory, make)
}

/// Writes a value as JSON, as [`write()`] does.
///
/// # Errors
/// It cannot be written.
pub fn write_json<T: Serialize>(path: &Path, value: &T, existing: Existing) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    write(path, &text, existing)
}

/// Gives a new file the mode and the owner of the one that it replaces.
fn be_like(file: &File, place: &Path) -> io::Result<()> {
    let Ok(there) = place.metadata() else {
        return file.set_permissions(Permissions::from_mode(MODE));
    };
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (there.uid(), there.gid()) {
        // Only root may give files away; the file is this user's then, as a new one would be.
        let _ = std::os::unix::fs::fchown(file, Some(there.uid()), Some(there.gid()));
    }
    file.set_permissions(Permissions::from_mode(there.mode() & 0o7777))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::{FileTypeExt as _, symlink};

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    fn replace(path: &Path, text: &str) -> io::Result<()> {
        write(path, text.as_bytes(), Existing::Replaced)
    }

    #[test]
    fn an_error_does_not_name_the_file_that_was_to_take_the_place() {
        let missing = tempfile::tempdir().unwrap().path().join("missing");
        let error = new_in(&missing).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(!error.to_string().contains("missing"), "{error}");
    }

    fn names(directory: &Path) -> usize {
        std::fs::read_dir(directory).unwrap().count()
    }

    #[test]
    fn a_file_is_replaced_whole_and_keeps_its_mode() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/er/file");
        replace(&path, "one").unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, MODE);
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let before = path.metadata().unwrap().ino();
        // Who has it open goes on reading what was there.
        let mut open = File::open(&path).unwrap();
        replace(&path, "two").unwrap();
        let mut read = String::new();
        open.read_to_string(&mut read).unwrap();
        assert_eq!(read, "one");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two");
        let after = path.metadata().unwrap();
        assert_eq!(after.mode() & 0o777, 0o600);
        assert_ne!(after.ino(), before);
        assert_eq!(names(path.parent().unwrap()), 1);
    }

    #[test]
    fn links_are_followed_and_stay() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::create_dir(at("below")).unwrap();
        // Two links in a row, the second to a file that is not there yet.
        symlink("below/link", at("link")).unwrap();
        symlink("file", at("below/link")).unwrap();
        for text in ["one", "two"] {
            replace(&at("link"), text).unwrap();
            assert!(at("link").is_symlink() && at("below/link").is_symlink());
            assert_eq!(std::fs::read_to_string(at("below/file")).unwrap(), text);
        }
        assert_eq!((names(directory.path()), names(&at("below"))), (2, 2));
        symlink("round", at("round")).unwrap();
        replace(&at("round"), "never").unwrap_err();
        assert!(at("round").is_symlink());
    }

    #[test]
    fn a_fifo_is_written_into() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        mkfifo(&path, Mode::S_IRWXU).unwrap();
        assert!(is_stream(&path));
        let reader = path.clone();
        let reading = std::thread::spawn(move || std::fs::read_to_string(reader).unwrap());
        replace(&path, "a record").unwrap();
        assert_eq!(reading.join().unwrap(), "a record");
        assert!(path.metadata().unwrap().file_type().is_fifo());
        assert_eq!(names(directory.path()), 1);
    }

    #[test]
    fn a_name_that_nobody_gave_replaces_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let new = |text: &str| write(&path, text.as_bytes(), Existing::Refused);
        new("one").unwrap();
        let error = new("two").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");
        let link = directory.path().join("link");
        symlink("nowhere", &link).unwrap();
        write(&link, b"x", Existing::Refused).unwrap_err();
        assert!(!directory.path().join("nowhere").exists());
        assert_eq!(names(directory.path()), 2, "nothing is left");
    }
}
