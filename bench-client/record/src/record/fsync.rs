//! The record of a sync baseline: what durable writes cost in a directory, and what that allows.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Verdict;
use super::read_error::ReadError;
use crate::disk::{Baseline, Ceilings, Method, Pattern, SyncMeasurement, SyncRound, SyncSeries};
use crate::host::environment::Environment;
use crate::record::naming::Naming;

/// The version of this form.
pub const FSYNC_VERSION: u32 = 1;

/// What `fsync` writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FsyncRecord {
    /// The version of this form.
    pub fsync_version: u32,
    /// What a person calls it.
    #[serde(flatten)]
    pub naming: Naming,
    /// Where and by what it was measured: file system, mount options, device, kernel, time.
    pub environment: Environment,
    /// The directory, as it was given.
    pub directory: String,
    /// The size of each write.
    pub block_bytes: u32,
    /// Rounds, each of which has every method, pattern and number of streams once.
    pub rounds: u32,
    /// One entry for each method, pattern and number of streams, by system calls of this program.
    pub methods: Vec<SyncSeries>,
    /// `fdatasync` and `overwrite` once more, through the C library as SQLite does it: far
    /// faster than by system call, somebody swallows syncs.
    pub by_c_library: SyncMeasurement,
    /// The most transfers per second that the disk allows.
    pub ceilings: Ceilings,
    /// Why these are not the times of syncs, where they are not, or not to be relied on.
    pub warnings: Vec<Verdict>,
}

impl FsyncRecord {
    /// Reads a file; `None` when it is a record of another kind, or none.
    ///
    /// # Errors
    /// It cannot be read, or is of another version.
    pub fn read(path: &Path) -> Result<Option<Self>, ReadError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| ReadError::Io {
            file: file.clone(),
            source,
        })?;
        // What is no JSON is told of by whoever reads the other kinds.
        let Ok(value) = serde_json::from_str::<serde_json::Value>(&text) else {
            return Ok(None);
        };
        let Some(found) = value
            .get("fsync_version")
            .and_then(serde_json::Value::as_u64)
        else {
            return Ok(None);
        };
        if found > u64::from(FSYNC_VERSION) {
            return Err(ReadError::Newer {
                file,
                kind: "fsync_version",
                found,
                newest: FSYNC_VERSION,
            });
        }
        let record = Self::deserialize(value);
        record
            .map(Some)
            .map_err(|source| ReadError::NotARecord { file, source })
    }
}

/// The figures of one stream, as a baseline of rows has them.
#[must_use]
pub fn baseline_of(
    block_bytes: u32,
    methods: &[SyncSeries],
    by_c_library: &SyncMeasurement,
) -> Baseline {
    let alone = methods.iter().filter(|series| series.concurrency == 1);
    Baseline {
        block_bytes,
        methods: alone.map(|series| series.all.clone()).collect(),
        by_c_library: Some(by_c_library.clone()),
    }
}

/// Round by round what a sync that appends takes and one that overwrites, by this method and in one
/// stream: the time that makes its syncs per second, in microseconds.
#[must_use]
pub fn times_of_rounds(methods: &[SyncSeries], method: Method) -> Vec<(f64, f64)> {
    let rounds_of = |pattern: Pattern| {
        let mut alone = methods.iter().filter(|series| series.concurrency == 1);
        let found = alone.find(|it| it.all.method == method && it.all.pattern == pattern);
        found.map_or(&[][..], |series| &series.rounds)
    };
    let rounds = rounds_of(Pattern::Append)
        .iter()
        .zip(rounds_of(Pattern::Overwrite));
    let us = |round: &SyncRound| 1e6 / round.syncs_per_second;
    rounds
        .map(|(append, overwrite)| (us(append), us(overwrite)))
        .collect()
}
