//! The ways to make a write durable, and where the writes go.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How one block is made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// One `write` to a file opened with `O_DSYNC`: what `dd oflag=dsync` does.
    ODsync,
    /// `write`, then `fdatasync`: what this program's own servers do at a commit.
    Fdatasync,
    /// `write`, then `fsync`, which also makes the file's times durable.
    Fsync,
}

impl Method {
    /// Every method, in the order of the report.
    pub const ALL: [Self; 3] = [Self::ODsync, Self::Fdatasync, Self::Fsync];

    /// The name used in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ODsync => "o_dsync",
            Self::Fdatasync => "fdatasync",
            Self::Fsync => "fsync",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Where the successive blocks go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// Each block lengthens the file, so that the sync must make the new length and the newly
    /// allocated space durable too: a rollback journal, or a write-ahead log that still grows.
    Append,
    /// Each block replaces one that is on the disk already: a write-ahead log being reused, or
    /// the pages of the database itself.
    Overwrite,
}

impl Pattern {
    /// Every pattern, in the order of the report.
    pub const ALL: [Self; 2] = [Self::Append, Self::Overwrite];

    /// The name used in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Overwrite => "overwrite",
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_json_form() {
        for method in Method::ALL {
            assert_eq!(serde_json::to_value(method).unwrap(), method.name());
        }
        for pattern in Pattern::ALL {
            assert_eq!(serde_json::to_value(pattern).unwrap(), pattern.name());
        }
    }
}
