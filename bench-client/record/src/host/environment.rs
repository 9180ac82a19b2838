//! Where a run took place: what a reader needs to judge its figures or to repeat it.

mod command_line;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;
mod storage;
mod warning;

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, thread};

use jiff::{Timestamp, Unit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{cgroup, preload};
#[cfg(not(target_os = "linux"))]
use elsewhere as platform;
#[cfg(target_os = "linux")]
use linux as platform;
pub use storage::{BlockDevice, Storage};
pub use warning::{EnvironmentWarning, EnvironmentWarningCode};
pub use warning::{WITHOUT_PRELOAD, preloaded_message};

/// Machine, storage and program of a run. Holds neither this machine's host name nor the user's
/// name nor the database directory, so that records can be published; the command line is as it
/// was typed, without tokens and passwords.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Environment {
    /// When the environment was captured, at the start of the run: RFC 3339, UTC.
    #[schemars(extend("format" = "date-time"))]
    pub started_at: String,
    /// The program's file name and its arguments. Values of flags whose name contains "token",
    /// and user information in URLs, are replaced by "***".
    pub command_line: Vec<String>,
    /// The program that measured.
    pub program: Program,
    /// The machine it ran on.
    pub machine: Machine,
    /// What the database directory is stored on.
    pub storage: Storage,
    /// The SQLite of the server, as the first row found it; absent for a server that does not
    /// tell. A row whose durability differs has its own pragmas.
    pub sqlite: Option<Sqlite>,
    /// Libraries that are loaded before the C library into this program and the servers that it
    /// starts (`LD_PRELOAD`, `/etc/ld.so.preload`): file names. Empty in records of earlier
    /// versions.
    #[serde(default)]
    pub preload: Vec<String>,
    /// What about this environment makes figures less meaningful, each with a remedy.
    pub warnings: Vec<EnvironmentWarning>,
}

/// The SQLite behind a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sqlite {
    /// Its version.
    pub version: String,
    /// The pragmas as read back from the writing connection.
    pub pragmas: BTreeMap<String, String>,
}

/// The program that measured, as it was built.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Program {
    /// Version of the package.
    pub version: String,
    /// Git commit of the sources, with "-dirty" appended when they differed from it; "unknown"
    /// when not built from a git checkout.
    pub git_revision: String,
    /// Cargo's base profile, "release" or "debug", and its optimisation level.
    pub profile: String,
    /// Target triple it was compiled for.
    pub target: String,
    /// Version of the compiler.
    pub rustc: String,
    /// Memory allocator of the program; "unknown" when it does not say.
    pub allocator: String,
}

/// The machine of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// Name of the CPU as it gives it itself.
    pub cpu_model: Option<String>,
    /// Logical cores of the machine.
    pub logical_cores: Option<u32>,
    /// Logical cores that this program may use: fewer under a CPU affinity or a container's quota.
    pub usable_cores: Option<u32>,
    /// Cores' worth of time that the quota of this program's control group allows; absent without
    /// one, and in records of earlier versions.
    #[serde(default)]
    pub cpu_quota_cores: Option<f64>,
    /// What sets the clock of the cores (cpufreq), such as "performance"; several with "+". Absent
    /// where this machine has no say, as in most virtual ones, and in records of earlier versions.
    #[serde(default)]
    pub cpu_governor: Option<String>,
    /// Whether the clock may rise above its nominal value (turbo, boost); absent like the governor.
    #[serde(default)]
    pub cpu_boost: Option<bool>,
    /// Physical memory, in bytes.
    pub memory_bytes: Option<u64>,
    /// Load average over the minute before the run: well above 0, something else was running.
    pub load_average_1m: Option<f32>,
    /// Name and version of the operating system's distribution.
    pub os: Option<String>,
    /// Kernel name and release.
    pub kernel: Option<String>,
}

impl Environment {
    /// Captures the environment of this process, with a database in `database_dir` (where that
    /// does not exist yet, in the nearest directory above it that does). Never fails: what cannot
    /// be found out is `None` or "unknown".
    #[must_use]
    pub fn capture(database_dir: &Path) -> Self {
        let storage = Storage::of_directory(database_dir);
        let mut warnings = storage.environment_warnings();
        if cfg!(debug_assertions) {
            warnings.push(EnvironmentWarningCode::DebugBuild.warning());
        }
        let preload = preload::of_this_process();
        let suspects = preload::suspects(&preload);
        if !suspects.is_empty() {
            warnings.push(EnvironmentWarning::preloaded(&suspects));
        }
        Self {
            started_at: now(),
            command_line: command_line::of_this_process(),
            program: Program::default(),
            machine: Machine::of_this_process(),
            storage,
            sqlite: None,
            preload,
            warnings,
        }
    }

    /// Forgets the storage and what was said about it: the database of a server at a URL is
    /// somewhere else.
    pub fn forget_storage(&mut self) {
        self.storage = Storage::default();
        self.warnings.retain(EnvironmentWarning::is_of_program);
    }

    /// Records the program: only the one that is run knows how it was built.
    #[must_use]
    pub fn with_program(mut self, program: Program) -> Self {
        self.program = program;
        self
    }
}

/// RFC 3339 in UTC, to the millisecond.
fn now() -> String {
    let now = Timestamp::now();
    now.round(Unit::Millisecond).unwrap_or(now).to_string()
}

impl Default for Program {
    /// One that does not say what it is.
    fn default() -> Self {
        let unknown = || "unknown".to_owned();
        Self {
            version: unknown(),
            git_revision: unknown(),
            profile: unknown(),
            target: unknown(),
            rustc: unknown(),
            allocator: unknown(),
        }
    }
}

impl Machine {
    fn of_this_process() -> Self {
        let usable = thread::available_parallelism().ok();
        Self {
            cpu_model: platform::cpu_model(),
            logical_cores: platform::logical_cores(),
            usable_cores: usable.and_then(|cores| u32::try_from(cores.get()).ok()),
            cpu_quota_cores: cgroup::quota_cores(std::process::id()),
            cpu_governor: platform::cpu_governor(),
            cpu_boost: platform::cpu_boost(),
            memory_bytes: platform::memory_bytes(),
            load_average_1m: platform::load_average_1m(),
            os: os_name(),
            kernel: nix::sys::utsname::uname()
                .ok()
                .map(|name| format!("{} {}", name.sysname().display(), name.release().display())),
        }
    }
}

/// `PRETTY_NAME` of os-release(5).
fn os_name() -> Option<String> {
    let text = ["/etc/os-release", "/usr/lib/os-release"]
        .iter()
        .find_map(|path| fs::read_to_string(path).ok())?;
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches(['"', '\'']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capture_is_complete_enough_and_survives_json() {
        let directory = tempfile::tempdir().unwrap();
        let environment = Environment::capture(&directory.path().join("not/yet/there"));
        let json = serde_json::to_string(&environment).unwrap();
        assert_eq!(
            serde_json::from_str::<Environment>(&json).unwrap(),
            environment
        );
        assert!(environment.storage.file_system.is_some(), "{json}");
        assert!(environment.machine.usable_cores > Some(0), "{json}");
        assert!(
            environment.started_at.parse::<Timestamp>().is_ok(),
            "{json}"
        );
        assert!(environment.started_at.ends_with('Z'), "{json}");
        let host = nix::sys::utsname::uname()
            .unwrap()
            .nodename()
            .display()
            .to_string();
        assert!(host.len() < 5 || !json.contains(&host), "{json}");
    }

    #[test]
    fn schema_describes_every_field() {
        let schema = schemars::schema_for!(Environment);
        let text = serde_json::to_string(&schema).unwrap();
        assert!(text.contains("Git commit of the sources"));
        assert!(text.contains("date-time"));
    }
}
