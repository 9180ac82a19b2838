//! What one load machine of several leaves behind, and whether what all of them left is one load.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{MergeError, Observation};
use crate::config::{RunConfig, Shard, flag_of, setting_in_words};
use crate::host::environment::Environment;
use crate::record::load_record::ReadError;

#[cfg(test)]
mod tests;

/// The version of this form.
pub const SHARD_VERSION: u32 = 1;

/// What `run --shard` writes: when the machine begins, and again at its end, with what it saw.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ShardRecord {
    /// The version of this form.
    pub shard_version: u32,
    /// Which shard it is.
    pub shard: Shard,
    /// When the load was to begin by the server's clock, in microseconds since 1970.
    pub start_at_unix_us: u64,
    /// Where and by what it was measured.
    pub environment: Environment,
    /// The whole load, of which it is a part.
    pub config: RunConfig,
    /// What it saw; absent as long as it has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observation: Option<Observation>,
}

/// A file that was named as that of a shard.
#[derive(Debug, Clone)]
pub struct ShardFile {
    /// The file as it was named.
    pub name: String,
    /// What it holds; `None` where there is no such file.
    pub record: Option<ShardRecord>,
}

/// All shards of one load.
#[derive(Debug, Clone)]
pub struct Shards {
    /// The load.
    pub config: RunConfig,
    /// The machine of shard 0.
    pub environment: Environment,
    /// What all of them saw together.
    pub observation: Observation,
}

/// Why files are not all the shards of one load.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ShardsError {
    /// Some are not there.
    #[error(
        "{which} missing{why}: what was acknowledged there is in the ledger, and nobody \
         else has counted it; name the files of all shards of the run"
    )]
    Missing {
        /// Which, and of how many, in words.
        which: String,
        /// Files that were named and are not there.
        why: String,
    },
    /// One is there twice.
    #[error("shard {index} is in {first} and in {other}: name the file of each shard once")]
    Doubled {
        /// Which one.
        index: u32,
        /// A file that has it.
        first: String,
        /// Another one.
        other: String,
    },
    /// They are not of one run.
    #[error(
        "shards {first} and {other} differ in {what}: start all shards with the same flags, by \
         the same program"
    )]
    Unlike {
        /// The one that is compared with.
        first: u32,
        /// One that differs.
        other: u32,
        /// In what.
        what: String,
    },
    /// One began, and nothing says that it ended.
    #[error(
        "{shard} did not end ({file} was written when it began): its process died or still runs. \
         What was acknowledged to it is not known, so there is no figure: measure again"
    )]
    DidNotEnd {
        /// Which one.
        shard: Shard,
        /// Its file.
        file: String,
    },
    /// One stopped before its window was over.
    #[error(
        "{shard} ended early, after {after_s:.1} of {of_s:.1} s{why}: the others put on another \
         load from then on, so there is no figure: measure again"
    )]
    EndedEarly {
        /// Which one.
        shard: Shard,
        /// How long its window was.
        after_s: f64,
        /// How long it was to be.
        of_s: f64,
        /// For what reason.
        why: String,
    },
    /// What they saw is not of one window.
    #[error(transparent)]
    Merge(#[from] MergeError),
}

impl ShardsError {
    /// The run itself failed: no other choice of files makes a row of it.
    #[must_use]
    pub fn is_of_the_run(&self) -> bool {
        matches!(self, Self::DidNotEnd { .. } | Self::EndedEarly { .. })
    }
}

impl ShardFile {
    /// Reads a file.
    ///
    /// # Errors
    /// It is there, and holds no shard or one of another version.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let name = path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self { name, record: None });
            }
            Err(source) => return Err(ReadError::Io { file: name, source }),
        };
        Self::parse(name, &text)
    }

    fn parse(name: String, text: &str) -> Result<Self, ReadError> {
        let file = name.clone();
        let value: Value = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(source) if source.is_eof() => return Err(ReadError::CutOff { file, source }),
            Err(source) => return Err(ReadError::NoShard { file, source }),
        };
        let version = value.get("shard_version").and_then(Value::as_u64);
        if let Some(found) = version.filter(|found| *found > u64::from(SHARD_VERSION)) {
            return Err(ReadError::Newer {
                file,
                kind: "shard_version",
                found,
                newest: SHARD_VERSION,
            });
        }
        let record = ShardRecord::deserialize(value);
        let record = record.map_err(|source| ReadError::NoShard { file, source })?;
        Ok(Self {
            name,
            record: Some(record),
        })
    }
}

impl Shards {
    /// Makes one load of them.
    ///
    /// # Errors
    /// They are not all the shards of one load, or one of them failed.
    pub fn merge(files: Vec<ShardFile>) -> Result<Self, ShardsError> {
        let mut not_there = Vec::new();
        let mut shards: BTreeMap<u32, (String, ShardRecord)> = BTreeMap::new();
        for ShardFile { name, record } in files {
            let Some(record) = record else {
                not_there.push(name);
                continue;
            };
            let index = record.shard.index;
            if let Some((first, _)) = shards.get(&index) {
                return Err(ShardsError::Doubled {
                    index,
                    first: first.clone(),
                    other: name,
                });
            }
            shards.insert(index, (name, record));
        }
        let Some((_, (_, first))) = shards.first_key_value() else {
            return Err(MergeError::Empty.into());
        };
        for (_, other) in shards.values() {
            check_alike(first, other)?;
        }
        check_all_there(first.shard.of, &shards, &not_there)?;
        for (name, record) in shards.values() {
            check_ended(name, record)?;
        }
        let first = first.clone();
        let all = shards.into_values();
        let observations: Vec<Observation> =
            all.filter_map(|(_, record)| record.observation).collect();
        check_clocks(&observations)?;
        Ok(Self {
            config: first.config,
            environment: first.environment,
            observation: Observation::merge(&observations)?,
        })
    }
}

/// They have the same of everything that must be the same.
fn check_alike(first: &ShardRecord, other: &ShardRecord) -> Result<(), ShardsError> {
    let unlike = |what: String| {
        Err(ShardsError::Unlike {
            first: first.shard.index,
            other: other.shard.index,
            what,
        })
    };
    if first.shard.of != other.shard.of {
        return unlike(format!(
            "--shard (of {} and {})",
            first.shard.of, other.shard.of
        ));
    }
    if first.start_at_unix_us != other.start_at_unix_us {
        return unlike("--start-at".to_owned());
    }
    let (ours, theirs) = (fields(&first.config), fields(&other.config));
    let differs = |name: &&String| ours.get(*name) != theirs.get(*name);
    if let Some(name) = ours.keys().chain(theirs.keys()).find(differs) {
        let shown = |fields: &Map<String, Value>| {
            setting_in_words(name, fields.get(name).unwrap_or(&Value::Null))
        };
        return unlike(match name.as_str() {
            "target" => "targets (--targets, --url, --reseed)".to_owned(),
            _ => format!(
                "--{} ({} and {})",
                flag_of(name),
                shown(&ours),
                shown(&theirs)
            ),
        });
    }
    let program = |record: &ShardRecord| {
        let program = &record.environment.program;
        (program.version.clone(), program.git_revision.clone())
    };
    if program(first) != program(other) {
        return unlike("versions of bench-client".to_owned());
    }
    Ok(())
}

fn fields(config: &RunConfig) -> Map<String, Value> {
    match serde_json::to_value(config) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

fn check_all_there(
    of: u32,
    shards: &BTreeMap<u32, (String, ShardRecord)>,
    not_there: &[String],
) -> Result<(), ShardsError> {
    let missing: Vec<String> = (0..of)
        .filter(|index| !shards.contains_key(index))
        .map(|index| index.to_string())
        .collect();
    let which = match missing.as_slice() {
        // A file too many that is not there changes nothing.
        [] => return Ok(()),
        [one] => format!("shard {one} of {of} is"),
        several => format!("shards {} of {of} are", several.join(", ")),
    };
    let why = match not_there {
        [] => String::new(),
        files => format!(" (there is no file {})", files.join(", ")),
    };
    Err(ShardsError::Missing { which, why })
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds far below 2^52")]
fn check_ended(name: &str, record: &ShardRecord) -> Result<(), ShardsError> {
    let shard = record.shard;
    let Some(observation) = &record.observation else {
        let file = name.to_owned();
        return Err(ShardsError::DidNotEnd { shard, file });
    };
    let load = &observation.load;
    let planned = record.config.load.window.unwrap_or_default();
    if u128::from(load.window_ns) >= planned.as_nanos() && !load.interrupted {
        return Ok(());
    }
    let reason = load.errors.first().map_or("", String::as_str);
    Err(ShardsError::EndedEarly {
        shard,
        after_s: load.window_ns as f64 / 1e9,
        of_s: planned.as_secs_f64(),
        why: match load.gave_up {
            _ if load.interrupted => " (it was interrupted)".to_owned(),
            0 => String::new(),
            workers => format!(" ({workers} of its workers gave up: {reason})"),
        },
    })
}

/// All went by the server's clock, or none did.
fn check_clocks(observations: &[Observation]) -> Result<(), ShardsError> {
    let parts = observations.iter().flat_map(|it| &it.machines);
    let parts = parts.filter_map(|machine| machine.shard.as_ref());
    let mut told = parts.map(|part| (part.clock.is_some(), part.shard.index));
    let Some((first_told, first)) = told.next() else {
        return Ok(());
    };
    match told.find(|(told, _)| *told != first_told) {
        None => Ok(()),
        Some((_, other)) => Err(ShardsError::Unlike {
            first,
            other,
            what: "clocks (one knows the server's, one only its own)".to_owned(),
        }),
    }
}
