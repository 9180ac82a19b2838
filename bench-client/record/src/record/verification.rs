//! What was checked of the ledger.

use busload_sqlite::Apply;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was checked of a row, over warm-up, window, drain and late answers together.
/// `null` is "could not be checked".
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verification {
    /// The sum of all balances is what it was.
    pub conserved: Option<bool>,
    /// At least one balance differs from before.
    pub changed: Option<bool>,
    /// Transfers that the server acknowledged to this client.
    pub acknowledged: u64,
    /// Transfers of unknown outcome.
    pub unknown: u64,
    /// Transfers applied by the server's account.
    pub applied: Option<u64>,
    /// What that account rests on; absent in records of earlier versions, where it is row changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_by: Option<AppliedBy>,
    /// `acknowledged ≤ applied ≤ acknowledged + unknown`, and the sampled balances agree. With
    /// `own_count` the balances alone can show it.
    pub ledger_ok: Option<bool>,
    /// Balances read back and compared with this client's own net changes.
    pub sampled_accounts: u64,
    /// How many of them differ.
    pub sample_mismatches: u64,
    /// The part of the acknowledged money's ways, in and out, that went through the accounts
    /// compared, from 0 to 1.
    #[serde(default)]
    pub checked_share: Option<f64>,
    /// How their balances before the load are known.
    #[serde(default)]
    pub balances_before: Option<BalancesBefore>,
    /// There are as many accounts as were seeded, or as there were before.
    #[serde(default)]
    pub accounts_ok: Option<bool>,
    /// The answers cannot have been durable as declared.
    pub fake: bool,
    /// Why, if so.
    pub fake_reasons: Vec<String>,
}

/// What a server's account of the transfers that it applied rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AppliedBy {
    /// The row changes that SQLite reported.
    RowChanges,
    /// Its own count: it coalesces, and rows do not tell how many transfers changed them.
    OwnCount,
}

impl AppliedBy {
    /// As records have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RowChanges => "row_changes",
            Self::OwnCount => "own_count",
        }
    }

    /// What is said behind the count.
    #[must_use]
    pub const fn remark(self) -> &'static str {
        match self {
            Self::RowChanges => "",
            Self::OwnCount => " by the server's own count",
        }
    }

    /// By how the server says that it applies a batch.
    #[must_use]
    pub fn of(apply: Option<&str>) -> Self {
        match apply {
            Some(apply) if apply == Apply::Coalesced.as_str() => Self::OwnCount,
            _ => Self::RowChanges,
        }
    }
}

/// How the balances before the load are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BalancesBefore {
    /// This program has seeded the ledger.
    Seeded,
    /// They were read, of all accounts or of many more than were checked: the server may have
    /// known those.
    Read,
}
