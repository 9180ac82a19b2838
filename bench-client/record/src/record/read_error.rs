//! Why a record cannot be read.

use crate::called;

/// Why a file is not shown.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not there, or not readable.
    #[error("cannot read {file}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// It ends in the middle.
    #[error("{file} is cut off: copy it again, or measure again")]
    CutOff {
        /// The file.
        file: String,
        /// Where it ends.
        source: serde_json::Error,
    },
    /// It is no JSON, or JSON of another kind.
    #[error(
        "{file} is not a record: give a file that `{} run`, `sweep`, `compare`, `reproduce`, \
         `ceiling`, `merge`, `fsync`, `audit` or `torture` wrote",
        called()
    )]
    NotARecord {
        /// The file.
        file: String,
        /// What is missing.
        source: serde_json::Error,
    },
    /// It is what a verb wrote that measures no rows.
    #[error(
        "{file} is a record of `{verb}`, which has no rows: `{} report` shows one such record alone, \
         with --format md",
        called()
    )]
    NoRows {
        /// The file.
        file: String,
        /// Which verb.
        verb: &'static str,
    },
    /// It is one machine's part of a load.
    #[error(
        "{file} is one shard of a run: `{} merge` makes a record of all of them together",
        called()
    )]
    OneShard {
        /// The file.
        file: String,
    },
    /// It is no shard.
    #[error(
        "{file} is not a shard: give the files that `{} run --shard` wrote",
        called()
    )]
    NoShard {
        /// The file.
        file: String,
        /// What is missing.
        source: serde_json::Error,
    },
    /// It was written by a later version of this program.
    #[error(
        "{file} has {kind} {found}, and this program reads {kind} {newest}: use the program that \
         wrote it, or a newer one"
    )]
    Newer {
        /// The file.
        file: String,
        /// Which version that is.
        kind: &'static str,
        /// Its version.
        found: u64,
        /// The last that is read.
        newest: u32,
    },
    /// It was written by an earlier version of this program, whose rows lack their configuration.
    #[error(
        "{file} has {kind} {found}, and this program reads records from {kind} {oldest} on: \
         measure again, or show it with the program that wrote it"
    )]
    Older {
        /// The file.
        file: String,
        /// Which version that is.
        kind: &'static str,
        /// Its version.
        found: u64,
        /// The first that is read.
        oldest: u32,
    },
    /// A histogram inside it cannot be decoded.
    #[error("row {row} of {file} holds a histogram that cannot be decoded: measure it again")]
    Histogram {
        /// The file.
        file: String,
        /// The row, from 1.
        row: usize,
    },
}
