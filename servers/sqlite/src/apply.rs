//! How a batch is applied.

use std::fmt;
use std::str::FromStr;

/// How the transfers of a batch become changes of the ledger. The answers are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Apply {
    /// Two statements for each transfer: SQLite checks it and changes both rows.
    PerTransfer,
    /// The rules are applied in memory, in order: each account that the batch names is read once,
    /// and written once where it has another balance then.
    Coalesced,
}

impl Apply {
    /// Every way.
    pub const ALL: [Self; 2] = [Self::PerTransfer, Self::Coalesced];

    /// The name on the command line and in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PerTransfer => "per-transfer",
            Self::Coalesced => "coalesced",
        }
    }
}

impl fmt::Display for Apply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Apply {
    type Err = UnknownApply;

    fn from_str(text: &str) -> Result<Self, UnknownApply> {
        Self::ALL
            .into_iter()
            .find(|apply| apply.as_str() == text)
            .ok_or_else(|| UnknownApply(text.to_owned()))
    }
}

/// The text names no way to apply a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no way to apply a batch '{0}': use per-transfer or coalesced")]
pub struct UnknownApply(String);
