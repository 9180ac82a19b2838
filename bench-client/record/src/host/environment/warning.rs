//! What about an environment makes figures less meaningful.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something about the environment that makes figures less meaningful.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EnvironmentWarning {
    /// Which warning.
    pub code: EnvironmentWarningCode,
    /// What is the matter.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

/// Identifies a warning about the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EnvironmentWarningCode {
    /// The database is in memory: a sync does nothing.
    Tmpfs,
    /// The database is in a container's overlay: another file system does the work.
    Overlay,
    /// The database is on a network or host share: a sync ends somewhere else.
    RemoteFileSystem,
    /// The file system is mounted without write barriers: a sync does not reach the medium.
    BarriersOff,
    /// The program is built without optimisation.
    DebugBuild,
    /// Something is loaded before the C library (`LD_PRELOAD`) that may replace syncs.
    Preloaded,
}

/// What preloaded libraries may do to syncs.
#[must_use]
pub fn preloaded_message(libraries: &[&str], into: &str) -> String {
    format!(
        "{} preloaded into {into}, and may replace fsync, fdatasync and open: eatmydata, for \
         one, makes every sync do nothing",
        match libraries {
            [one] => format!("the library {one} is"),
            several => format!("the libraries {} are", several.join(", ")),
        }
    )
}

/// What to do about it.
pub const WITHOUT_PRELOAD: &str = "start it without LD_PRELOAD, /etc/ld.so.preload and eatmydata";

impl EnvironmentWarning {
    /// Nothing of it is about the storage of the database.
    pub(super) fn is_of_program(&self) -> bool {
        matches!(
            self.code,
            EnvironmentWarningCode::DebugBuild | EnvironmentWarningCode::Preloaded
        )
    }

    /// The libraries that are preloaded into this program, and so into the servers it starts.
    pub(super) fn preloaded(libraries: &[&str]) -> Self {
        Self {
            code: EnvironmentWarningCode::Preloaded,
            message: preloaded_message(libraries, "this program and the servers it starts"),
            remedy: WITHOUT_PRELOAD.to_owned(),
        }
    }
}

impl EnvironmentWarningCode {
    pub(super) fn warning(self) -> EnvironmentWarning {
        const OTHER_DIRECTORY: &str = "choose a directory on a local disk with --data-dir";
        let (message, remedy) = match self {
            Self::Tmpfs => (
                "the database is in memory (tmpfs), where a sync does nothing",
                OTHER_DIRECTORY,
            ),
            Self::Overlay => (
                "the database is on a container's overlay file system, which adds work of its own",
                "mount a volume into the container and choose it with --data-dir",
            ),
            Self::RemoteFileSystem => (
                "the database is on a network or shared file system, so a sync crosses to another \
                 system",
                OTHER_DIRECTORY,
            ),
            Self::BarriersOff => (
                "the file system is mounted without write barriers, so a sync does not flush the \
                 disk's cache",
                "remount it with barriers on, or choose another one with --data-dir",
            ),
            Self::DebugBuild => (
                "the program is built without optimisation, so the CPU limits more than it should",
                "build with --release",
            ),
            Self::Preloaded => return EnvironmentWarning::preloaded(&[]),
        };
        EnvironmentWarning {
            code: self,
            message: message.into(),
            remedy: remedy.into(),
        }
    }
}
