//! A target file: a server that somebody else wrote, as data. `docs/own-server.md` is its manual.

mod check;
mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ConnectorKind, Encoding, Private, Target};
pub use check::TargetFileError;
pub use values::{Promise, Ready, StopSignal};

/// How long a server may take to get ready of which nothing is known but its command.
const START_TIMEOUT_OF_COMMAND: Duration = Duration::from_mins(3);

/// What a target file is called in its folder.
pub const TARGET_FILE: &str = "target.toml";

/// A free port of the loopback address.
pub const PORT: &str = "{port}";
/// A folder that is made for the run.
pub const DATA_DIR: &str = "{data_dir}";
/// A file in that folder.
pub const DATABASE: &str = "{database}";
/// Accounts that the workload has.
pub const ACCOUNTS: &str = "{accounts}";
/// What each of them starts with.
pub const INITIAL_BALANCE: &str = "{initial_balance}";
/// Everything that is filled in where a server is started.
pub const PLACEHOLDERS: [&str; 5] = [PORT, DATA_DIR, DATABASE, ACCOUNTS, INITIAL_BALANCE];

/// A server that somebody else wrote: what it is, how it is installed and started, or where it
/// runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetFile {
    /// How tables and records call it: lower-case letters, digits and hyphens.
    pub name: String,
    /// What it is, in one line.
    pub summary: String,
    /// How it is spoken to.
    pub connector: ConnectorKind,
    /// How transfers are written.
    #[serde(default)]
    pub encoding: Encoding,
    /// What it promises of an answered transfer.
    pub durability: Promise,
    /// Whoever wrote this file could not run it.
    #[serde(default)]
    pub untested: bool,
    /// Free words that go into the record.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// How it is installed.
    #[serde(default)]
    pub setup: Setup,
    /// Which version of it this is.
    #[serde(default)]
    pub version: Option<Version>,
    /// How it is started. Without it, `connect` has a URL.
    #[serde(default)]
    pub start: Option<Start>,
    /// Where it runs, or how it is approached once it is started.
    #[serde(default)]
    pub connect: Connect,
}

/// How a server is installed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// Programs with their arguments, run in this order in the folder of the file. No shell
    /// reads them.
    pub commands: Vec<Vec<String>>,
}

/// Which version of a server this is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// A program with its arguments, run in the folder of the file; the first line that it
    /// prints is the version.
    pub command: Vec<String>,
}

/// How a server is started and stopped.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// The program and its arguments, with placeholders. No shell reads them.
    pub command: Vec<String>,
    /// Variables of its environment, with placeholders.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Where it is started, seen from the folder of the file.
    #[serde(default)]
    pub directory: PathBuf,
    /// When it is ready.
    #[serde(default)]
    pub ready: Ready,
    /// It must be ready after this long.
    #[serde(default = "values::start_timeout", with = "values::duration")]
    #[schemars(with = "String")]
    pub start_timeout: Duration,
    /// What tells it to stop.
    #[serde(default)]
    pub stop_signal: StopSignal,
    /// After this long its whole process group is killed.
    #[serde(default = "values::stop_timeout", with = "values::duration")]
    #[schemars(with = "String")]
    pub stop_timeout: Duration,
    /// File or folder where its data lies, with placeholders: what the disk baseline and the
    /// device counters are taken of. What is left out is the folder of the run, where the command
    /// or the environment names it.
    #[serde(default)]
    pub data: Option<String>,
}

impl Start {
    /// Its ledger is in the folder of the run, as far as its command and environment tell. Of
    /// others it is somewhere else, and may be that of an earlier run.
    #[must_use]
    pub fn names_run_folder(&self) -> bool {
        let words = self.command.iter().chain(self.environment.values());
        let mut places = words.map(|word| [DATABASE, DATA_DIR].map(|place| word.contains(place)));
        places.any(|named| named.contains(&true))
    }
}

/// Where a server runs, or how it is approached.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connect {
    /// Of a server that runs already.
    #[serde(default)]
    pub url: Option<String>,
    /// Path that requests go to, if not the connector's own.
    #[serde(default)]
    pub path: Option<String>,
    /// WebSocket subprotocol that it wants to hear, if not the connector's own.
    #[serde(default)]
    pub subprotocol: Option<String>,
    /// File with the token that it wants, seen from the folder of the file.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// PEM file with the authorities to believe, seen from the folder of the file.
    #[serde(default)]
    pub ca: Option<PathBuf>,
}

/// What is known of a server that somebody else wrote, besides how it is reached: part of the
/// record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct About {
    /// How it is called.
    pub name: String,
    /// What it is, in one line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// Which version of it, as its `version` command says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What was appended to its command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// What it promises of an answered transfer.
    pub durability: Promise,
    /// Whoever wrote its target file could not run it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untested: bool,
    /// Free words.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// How requests get to a server, where that is not as the connector has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Approach {
    /// Path that requests go to.
    pub path: Option<String>,
    /// WebSocket subprotocol.
    pub subprotocol: Option<String>,
}

/// What the command line adds to a target file.
#[derive(Debug, Clone, Default)]
pub struct Choices {
    /// What its `version` command said.
    pub version: Option<String>,
    /// What is appended to its command; nothing is done with them where it has none.
    pub arguments: Vec<String>,
    /// What it promises with these arguments, where that is not what the file says.
    pub durability: Option<Promise>,
    /// Folder in which the folders of runs are made.
    pub data_dir: PathBuf,
    /// The data of a run stays there.
    pub keep_db: bool,
    /// A server that runs already is wiped and seeded first.
    pub reseed: bool,
}

impl TargetFile {
    /// Understands the text of a target file; `path` is for messages.
    ///
    /// # Errors
    /// It is no TOML, a key is unknown or missing, or a value makes no sense; the message names
    /// file and key.
    pub fn parse(text: &str, path: &Path) -> Result<Self, TargetFileError> {
        let file: Self = toml::from_str(text).map_err(|error| {
            let at = error.span().map(|span| span.start);
            TargetFileError::new(path, line_of(text, at), &values::plain(error.message()))
        })?;
        file.check()
            .map_err(|problem| TargetFileError::new(path, None, &problem))?;
        Ok(file)
    }

    /// The target that a bare command amounts to: nothing is known of it but its name, and it is
    /// ready when it accepts connections.
    ///
    /// # Errors
    /// The command makes no sense; the text says why.
    pub fn of_command(
        name: &str,
        command: Vec<String>,
        connector: ConnectorKind,
    ) -> Result<Self, String> {
        let file = Self {
            name: name.to_owned(),
            summary: "a command".to_owned(),
            connector,
            encoding: Encoding::default(),
            durability: Promise::NotTold,
            untested: false,
            labels: BTreeMap::new(),
            setup: Setup::default(),
            version: None,
            start: Some(Start {
                command,
                ready: Ready::Port,
                start_timeout: START_TIMEOUT_OF_COMMAND,
                stop_timeout: values::stop_timeout(),
                ..Start::default()
            }),
            connect: Connect::default(),
        };
        file.check()?;
        Ok(file)
    }

    /// Reads a target file.
    ///
    /// # Errors
    /// It cannot be read, or as of [`parse`](Self::parse).
    pub fn read(path: &Path) -> Result<Self, TargetFileError> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            TargetFileError::new(path, None, &format!("cannot be read: {error}"))
        })?;
        Self::parse(&text, path)
    }

    /// What a row carries of it; `folder` is the file's.
    #[must_use]
    pub fn target(&self, folder: &Path, choices: Choices) -> Target {
        let about = About {
            name: self.name.clone(),
            summary: self.summary.clone(),
            version: choices.version,
            arguments: choices.arguments.clone(),
            durability: choices.durability.unwrap_or(self.durability),
            untested: self.untested,
            labels: self.labels.clone(),
        };
        let connect = &self.connect;
        let approach = Approach {
            path: connect.path.clone(),
            subprotocol: connect.subprotocol.clone(),
        };
        let beside = |file: &Option<PathBuf>| file.as_ref().map(|file| folder.join(file));
        match &self.start {
            Some(start) => Target::Command {
                about,
                url: Private(format!("{}://127.0.0.1:{PORT}", self.connector.transport())),
                approach: Private(approach),
                start: Private(Start {
                    command: [start.command.clone(), choices.arguments].concat(),
                    directory: folder.join(&start.directory),
                    ..start.clone()
                }),
                data_dir: Private(choices.data_dir),
                keep_db: choices.keep_db,
            },
            None => Target::Url {
                about: Some(about),
                url: Private(connect.url.clone().unwrap_or_default()),
                approach: Private(approach),
                token_file: Private(beside(&connect.token_file)),
                ca: Private(beside(&connect.ca)),
                reseed: choices.reseed,
            },
        }
    }
}

impl Start {
    /// Everything in which placeholders are filled in.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let texts = self.command.iter().chain(self.environment.values());
        texts.chain(&self.data).map(String::as_str)
    }

    /// Where its data lies, for a run in a folder below `data_dir`: a folder that is there before
    /// the run. `None` when that is not known.
    #[must_use]
    pub fn data_place(&self, data_dir: &Path) -> Option<PathBuf> {
        let in_run = |text: &str| text.contains(DATA_DIR) || text.contains(DATABASE);
        match &self.data {
            Some(data) if !in_run(data) => {
                let place = self.directory.join(data);
                let folder = if place.is_dir() {
                    Some(place.as_path())
                } else {
                    place.parent()
                };
                folder.filter(|folder| folder.is_dir()).map(Path::to_owned)
            }
            Some(_) => Some(data_dir.to_owned()),
            None => self.texts().any(in_run).then(|| data_dir.to_owned()),
        }
    }
}

impl About {
    /// How it is called where people read it.
    #[must_use]
    pub fn label(&self) -> String {
        if self.untested {
            format!("{} (untested)", self.name)
        } else {
            self.name.clone()
        }
    }
}

/// The number of the line with the byte at this place.
fn line_of(text: &str, at: Option<usize>) -> Option<usize> {
    let before = text.get(..at?)?;
    Some(before.matches('\n').count() + 1)
}

#[cfg(test)]
mod tests;
