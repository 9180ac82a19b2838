//! What was seen of the ledger.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record::BalancesBefore;

/// The ledger around the load. The sums over all balances are in the server's counters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LedgerObservation {
    /// This program seeded it, as the workload says.
    pub seeded: bool,
    /// By the transfers that were acknowledged some balance must differ from before.
    pub must_differ: bool,
    /// Balances that were read after the load.
    pub checked: CheckedBalances,
    /// What a foreign server's own `verify` said, or its error; absent where it was not asked or
    /// cannot say.
    pub own_verify: Option<Result<OwnVerified, String>>,
}

/// What is known of the balances after the load.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckedBalances {
    /// Those that were read.
    pub samples: Vec<Sample>,
    /// They are all accounts of the workload.
    pub are_whole: bool,
    /// How they are known to have been before; absent where nothing is checked.
    pub before: Option<BalancesBefore>,
    /// The ledger was seeded, and has an account more than that.
    pub more_than_seeded: bool,
}

/// One account whose balance was read after the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    /// The account.
    pub account: u32,
    /// Its balance before.
    pub before: i64,
    /// Its balance after; absent when the account is gone.
    pub after: Option<i64>,
    /// Net change by the transfers that were acknowledged to this client.
    pub acknowledged_delta: i128,
    /// The most that transfers of unknown outcome may have taken.
    pub unknown_debits: i128,
    /// The most that they may have brought.
    pub unknown_credits: i128,
    /// Acknowledged transfers that named it.
    pub transfers: u64,
    /// Its balance before was not read: all that were read were the same, so it was, most likely.
    pub inferred: bool,
}

impl Sample {
    /// By how much the balance changed; `None` when the account is gone.
    #[must_use]
    pub fn change(&self) -> Option<i128> {
        Some(i128::from(self.after?) - i128::from(self.before))
    }
}

/// A server's own verification found nothing wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OwnVerified {
    /// How many accounts it has; absent if it does not tell.
    pub accounts: Option<u64>,
    /// How many balances differ from its initial balance.
    pub changed: u64,
}
