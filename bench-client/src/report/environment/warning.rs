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
        };
        EnvironmentWarning {
            code: self,
            message: message.into(),
            remedy: remedy.into(),
        }
    }
}
