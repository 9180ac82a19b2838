//! Who keeps the write-ahead log short.

use std::fmt;
use std::str::FromStr;

/// Who copies the log into the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CheckpointMode {
    /// A thread of its own, and the writer only the rest.
    Background,
    /// The writer, all of it between two batches.
    BetweenBatches,
}

impl CheckpointMode {
    /// Every mode.
    pub const ALL: [Self; 2] = [Self::Background, Self::BetweenBatches];

    /// The name on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Background => "background",
            Self::BetweenBatches => "between-batches",
        }
    }
}

impl fmt::Display for CheckpointMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CheckpointMode {
    type Err = UnknownCheckpointMode;

    fn from_str(text: &str) -> Result<Self, UnknownCheckpointMode> {
        Self::ALL
            .into_iter()
            .find(|mode| mode.as_str() == text)
            .ok_or_else(|| UnknownCheckpointMode(text.to_owned()))
    }
}

/// The text names no way to checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no way to checkpoint '{0}': use background or between-batches")]
pub struct UnknownCheckpointMode(String);
