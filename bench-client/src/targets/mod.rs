//! Target files by name: those that ship inside of this program, those that were installed from
//! there, and any file.

mod init;
mod install;
mod shipped;
mod version;

use std::path::{Path, PathBuf};

use crate::config::did_you_mean;
use crate::config::target_file::{TARGET_FILE, TargetFile, TargetFileError};

pub use init::init;
pub use install::install;
pub use version::version;

/// Names the folder of installed targets.
pub const DIRECTORY_VARIABLE: &str = "BUSLOAD_TARGETS_DIR";

/// Why there is no target.
#[derive(Debug, thiserror::Error)]
pub enum TargetsError {
    /// The file is not what it should be.
    #[error(transparent)]
    File(#[from] TargetFileError),
    /// Nothing has this name.
    #[error(
        "there is no target '{name}'{}: write the path of its file, or one of {}",
        did_you_mean(name, .known.iter().map(String::as_str)),
        .known.join(", ")
    )]
    Unknown {
        /// As it was given.
        name: String,
        /// Names that are known.
        known: Vec<String>,
    },
    /// It ships, and must be installed before it can be started.
    #[error(
        "target {name} is not installed: run {} targets install {name}",
        crate::called()
    )]
    NotInstalled {
        /// Its name.
        name: String,
    },
    /// Nobody knows where targets are installed.
    #[error("there is no folder for targets: set HOME, or name one in {DIRECTORY_VARIABLE}")]
    NoDirectory,
    /// There is a target file already.
    #[error("{} exists: edit it, or give another name or --dir", path.display())]
    Exists {
        /// Which.
        path: PathBuf,
    },
    /// A file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A command of the target cannot be run.
    #[error("target {name}: cannot run {}: {why}", shown(.command))]
    Command {
        /// The target.
        name: String,
        /// Program and arguments.
        command: Vec<String>,
        /// What happened.
        why: String,
    },
}

fn shown(command: &[String]) -> String {
    shlex::try_join(command.iter().map(String::as_str)).unwrap_or_default()
}

/// Where a target comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It is inside of this program.
    Shipped,
    /// It was installed from there, and its files are the same.
    Installed,
    /// It was installed, and this program has other files of it.
    Outdated,
    /// Somebody wrote it.
    Own,
}

impl Origin {
    /// For people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shipped => "shipped",
            Self::Installed => "installed",
            Self::Outdated => "installed, other than shipped",
            Self::Own => "own file",
        }
    }
}

/// A target that was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// What its file says.
    pub file: TargetFile,
    /// Its text.
    pub text: String,
    /// Its folder; `None` while it is only inside of this program.
    pub folder: Option<PathBuf>,
    /// Where it comes from.
    pub origin: Origin,
}

impl Found {
    /// Its folder, for what runs there.
    ///
    /// # Errors
    /// It is not installed.
    pub fn folder(&self) -> Result<&Path, TargetsError> {
        self.folder.as_deref().ok_or_else(|| {
            let name = self.file.name.clone();
            TargetsError::NotInstalled { name }
        })
    }
}

/// The folder of installed targets: what the environment variable names, else the folder for data
/// that a user's programs share.
///
/// # Errors
/// The environment says nothing.
pub fn directory() -> Result<PathBuf, TargetsError> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(named) = variable(DIRECTORY_VARIABLE) {
        return Ok(named.into());
    }
    // A relative one is not to be heeded, says the XDG specification.
    let shared = variable("XDG_DATA_HOME").map(PathBuf::from);
    let shared = shared.filter(|folder| folder.is_absolute());
    let of_home = || Some(std::env::home_dir()?.join(".local/share"));
    let shared = shared.or_else(of_home).ok_or(TargetsError::NoDirectory)?;
    Ok(shared.join("busload/targets"))
}

/// The target with this name, or in this file or folder. A name is looked for in `directory`
/// first.
///
/// # Errors
/// There is none, or its file is not what it should be.
pub fn find(name: &str, directory: &Path) -> Result<Found, TargetsError> {
    if is_path(name) {
        return in_file(Path::new(name), Origin::Own);
    }
    let installed = directory.join(name).join(TARGET_FILE);
    let ships = shipped::names().any(|other| other == name);
    if installed.is_file() {
        let origin = match ships {
            true if shipped::is_same(name, &directory.join(name)) => Origin::Installed,
            true => Origin::Outdated,
            false => Origin::Own,
        };
        return in_file(&installed, origin);
    }
    if let Some(text) = shipped::text(name) {
        let path = Path::new(name).join(TARGET_FILE);
        return Ok(Found {
            file: TargetFile::parse(text, &path)?,
            text: text.to_owned(),
            folder: None,
            origin: Origin::Shipped,
        });
    }
    let mut known: Vec<String> = ["sqlite_rpc", "sqlite_ws_rpc"].map(str::to_owned).into();
    known.extend(names(directory));
    Err(TargetsError::Unknown {
        name: name.to_owned(),
        known,
    })
}

/// The names of all that ship or are installed in `directory`.
#[must_use]
pub fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let installed = entries
        .filter(|entry| entry.path().join(TARGET_FILE).is_file())
        .filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = installed
        .chain(shipped::names().map(str::to_owned))
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Whether it is a path and no name.
fn is_path(text: &str) -> bool {
    let path = Path::new(text);
    text.contains('/') || path.extension().is_some_and(|ending| ending == "toml") || path.is_dir()
}

fn in_file(path: &Path, origin: Origin) -> Result<Found, TargetsError> {
    let path = if path.is_dir() {
        path.join(TARGET_FILE)
    } else {
        path.to_owned()
    };
    let file = TargetFile::read(&path)?;
    // What it starts is started elsewhere.
    let whole = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
    let folder = whole.parent().map(Path::to_owned);
    Ok(Found {
        file,
        text: std::fs::read_to_string(&path).unwrap_or_default(),
        folder,
        origin,
    })
}

#[cfg(test)]
mod tests {
    use busload_frontend::cli::ServerConfig;
    use clap::{Args as _, FromArgMatches as _};

    use super::*;
    use crate::config::target_file::{PORT, Promise};

    /// A target that ships and cannot be read would be found out by its user.
    #[test]
    fn every_target_that_ships_is_in_a_folder_of_its_name_and_can_be_read() {
        let nowhere = Path::new("/nowhere");
        for name in shipped::names() {
            let found = find(name, nowhere).unwrap();
            assert_eq!(found.file.name, name);
            assert_eq!(found.origin, Origin::Shipped);
        }
        assert_eq!(names(nowhere).len(), shipped::names().count());
    }

    /// Over databases that nobody here could start: at least what is written can be read.
    #[test]
    fn what_ships_over_a_database_is_untested_and_has_no_password() {
        let over: Vec<_> = shipped::names()
            .filter(|name| name.ends_with("-postgres"))
            .collect();
        let vendors = [
            "aurora-dsql",
            "cockroachdb",
            "planetscale",
            "supabase",
            "yugabytedb",
        ];
        assert_eq!(over, vendors.map(|vendor| format!("{vendor}-postgres")));
        for name in over {
            let found = find(name, Path::new("/nowhere")).unwrap();
            assert!(found.file.untested, "{name}");
            assert_eq!(found.file.durability, Promise::NotTold, "{name}");
            let command = found.file.start.unwrap().command;
            let (program, knobs) = command.split_at(6);
            let server = [
                "bench-client",
                "serve",
                "ws",
                "--port",
                PORT,
                "--allow-seed",
            ];
            assert_eq!(program, server, "{name}");
            let parser = clap::Command::new("server").no_binary_name(true);
            let parsed = ServerConfig::augment_args(parser).get_matches_from(knobs);
            let server = ServerConfig::from_arg_matches(&parsed).unwrap();
            assert!(!server.engine.is_file(), "{name}");
            // Refuses a password, and options that it does not know.
            server.check().unwrap();
        }
    }

    #[test]
    fn a_file_is_found_by_its_path_and_by_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let text = "name = \"mine\"\nsummary = \"x\"\nconnector = \"sqlite_rpc\"\n\
                    durability = \"durable\"\n[start]\ncommand = [\"x\"]\n";
        let own = folder.path().join("mine");
        std::fs::create_dir(&own).unwrap();
        std::fs::write(own.join(TARGET_FILE), text).unwrap();
        for name in ["mine/target.toml", "mine", "mine/"] {
            let found = find(folder.path().join(name).to_str().unwrap(), folder.path()).unwrap();
            assert_eq!(
                (found.file.name.as_str(), found.origin),
                ("mine", Origin::Own)
            );
            assert_eq!(found.folder().unwrap(), own);
        }
        let found = find("mine", folder.path()).unwrap();
        assert_eq!(found.text, text, "also by its name, where it is installed");
        let error = find("yours", folder.path()).unwrap_err().to_string();
        assert!(error.contains("no target 'yours': "), "{error}");
        let slip = find("node-sqlite-w", folder.path())
            .unwrap_err()
            .to_string();
        assert!(slip.contains("(did you mean node-sqlite-ws?)"), "{slip}");
        for known in ["sqlite_ws_rpc,", " mine,"] {
            assert!(error.contains(known), "{error}");
        }
        let error = find("./yours.toml", folder.path()).unwrap_err().to_string();
        assert!(error.starts_with("./yours.toml: cannot be read"), "{error}");
    }
}
