//! Whose server is measured: how it is started, or where it is.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use busload_frontend::cli::ServerConfig;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::target_file::{About, Approach, Start};

/// What a record shows in place of something private.
const REDACTED: &str = "redacted";

/// Something that says where things are, or lets somebody in: records do not show it, and two
/// configurations that differ in nothing else are the same.
#[derive(Debug, Clone, Default)]
pub struct Private<T>(pub T);

impl<T> PartialEq for Private<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T> From<T> for Private<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T> Serialize for Private<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

impl<'de, T: Default> Deserialize<'de> for Private<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self::default())
    }
}

impl<T> JsonSchema for Private<T> {
    fn schema_name() -> Cow<'static, str> {
        "Private".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "const": REDACTED })
    }
}

/// A server of this project in another file than this program.
#[derive(Debug, Clone, Default)]
pub struct Program {
    /// The file; `None` is this program.
    pub file: Option<PathBuf>,
    /// It is one of the two servers, not a `bench-client` that is told to serve.
    pub serves_only: bool,
}

/// Whose server is measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Target {
    /// A server of this project, started on a ledger of its own.
    BuiltIn {
        /// Its knobs, as they were asked for.
        server: ServerConfig,
        /// What is started.
        program: Private<Program>,
        /// Its database.
        database: Private<PathBuf>,
        /// The database stays there after the run.
        keep_db: bool,
    },
    /// A server of this project without a database, started for the ceiling.
    Null {
        /// Its knobs, of which those about storage have no effect.
        server: ServerConfig,
    },
    /// A command that starts somebody else's server.
    Command {
        /// What is known of it.
        about: About,
        /// Where it listens, with `{port}` where that is chosen for each run.
        url: Private<String>,
        /// How requests get there.
        #[serde(default)]
        approach: Private<Approach>,
        /// How it is started and stopped.
        start: Private<Start>,
        /// Folder in which the folders of runs are made.
        #[serde(default)]
        data_dir: Private<PathBuf>,
        /// The data of a run stays there.
        #[serde(default)]
        keep_db: bool,
    },
    /// A server that runs already.
    Url {
        /// What a target file says of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        about: Option<About>,
        /// Where.
        url: Private<String>,
        /// How requests get there.
        #[serde(default)]
        approach: Private<Approach>,
        /// The file with the token that it wants.
        token_file: Private<Option<PathBuf>>,
        /// The file with the authorities to believe.
        ca: Private<Option<PathBuf>>,
        /// It is wiped and seeded first.
        reseed: bool,
    },
}

impl Default for Target {
    fn default() -> Self {
        Self::BuiltIn {
            server: ServerConfig::default().with_batches(),
            program: Private::default(),
            database: Private::default(),
            keep_db: false,
        }
    }
}

impl Target {
    /// This program's own servers, whose promises are known.
    #[must_use]
    pub fn is_built_in(&self) -> bool {
        matches!(self, Self::BuiltIn { .. })
    }

    /// A server at a URL.
    #[must_use]
    pub fn is_url(&self) -> bool {
        matches!(self, Self::Url { .. })
    }

    /// A server without a database.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null { .. })
    }

    /// The knobs of a server of this project.
    #[must_use]
    pub fn server(&self) -> Option<&ServerConfig> {
        match self {
            Self::BuiltIn { server, .. } | Self::Null { server } => Some(server),
            Self::Command { .. } | Self::Url { .. } => None,
        }
    }

    /// The same, to be changed.
    pub fn server_mut(&mut self) -> Option<&mut ServerConfig> {
        match self {
            Self::BuiltIn { server, .. } | Self::Null { server } => Some(server),
            Self::Command { .. } | Self::Url { .. } => None,
        }
    }

    /// What decides how it stores, by the names of records: the knobs of a server of this project,
    /// of a command a hash, of a server that runs already nothing.
    #[must_use]
    pub fn settings(&self) -> BTreeMap<String, serde_json::Value> {
        super::compared::settings(self)
    }

    /// The durability mode that was asked for, where this program starts the server.
    #[must_use]
    pub fn durability(&self) -> Option<&'static str> {
        match self {
            // Of a database it is its own, and read back.
            Self::BuiltIn { server, .. } if server.engine.is_file() => {
                Some(server.durability.durability.as_str())
            }
            _ => None,
        }
    }

    /// What is known of a server that somebody else wrote.
    #[must_use]
    pub fn about(&self) -> Option<&About> {
        match self {
            Self::Command { about, .. } => Some(about),
            Self::Url { about, .. } => about.as_ref(),
            Self::BuiltIn { .. } | Self::Null { .. } => None,
        }
    }

    /// The file of the ledger of a server of this project.
    #[must_use]
    pub fn database(&self) -> Option<&Path> {
        match self {
            Self::BuiltIn { server, .. } if !server.engine.is_file() => None,
            Self::BuiltIn { database, .. } => {
                Some(database.0.as_path()).filter(|file| !file.as_os_str().is_empty())
            }
            Self::Null { .. } | Self::Command { .. } | Self::Url { .. } => None,
        }
    }

    /// The folder on whose disk a server that is started keeps its data, where that is known: it
    /// is there before the server is.
    #[must_use]
    pub fn data_place(&self) -> Option<PathBuf> {
        match self {
            Self::BuiltIn { .. } => self.database()?.parent().map(Path::to_owned),
            Self::Command {
                start, data_dir, ..
            } => start.0.data_place(&data_dir.0),
            Self::Null { .. } | Self::Url { .. } => None,
        }
    }
}
