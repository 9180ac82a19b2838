//! The ledger check: what was acknowledged against what was applied.

use busload_engine::Apply;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Evidence;

/// `acknowledged ≤ applied ≤ acknowledged + unknown`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppliedCheck {
    /// It holds.
    Holds,
    /// Transfers were acknowledged that were not applied.
    Lost(u64),
    /// Transfers were applied that nobody was told of, beyond those of unknown outcome.
    Extra(u64),
    /// The server does not say what it applied.
    Unchecked,
}

impl AppliedCheck {
    /// Whether nothing speaks against the ledger.
    #[must_use]
    pub fn is_ok(self) -> bool {
        matches!(self, Self::Holds | Self::Unchecked)
    }
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

/// Holds the client's count against the server's.
#[must_use]
pub fn check_applied(acknowledged: u64, unknown: u64, applied: Option<u64>) -> AppliedCheck {
    match applied {
        None => AppliedCheck::Unchecked,
        Some(applied) if applied < acknowledged => AppliedCheck::Lost(acknowledged - applied),
        Some(applied) if applied > acknowledged + unknown => {
            AppliedCheck::Extra(applied - acknowledged - unknown)
        }
        Some(_) => AppliedCheck::Holds,
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

/// What is known of the balances after the load.
#[derive(Debug, Clone, Default)]
pub struct CheckedBalances {
    /// Those that were read.
    pub samples: Vec<Sample>,
    /// They are all accounts of the workload.
    pub are_whole: bool,
    /// How they are known to have been before; `None` where nothing is checked.
    pub before: Option<BalancesBefore>,
    /// The ledger was seeded, and has an account more than that.
    pub more_than_seeded: bool,
}

/// One account whose balance was checked after the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// The account.
    pub account: u32,
    /// Its balance before.
    pub before: i64,
    /// Its balance after; `None` when the account is gone.
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

    /// No transfer of unknown outcome names it: its balance can only be one.
    fn is_exact(&self) -> bool {
        self.unknown_debits == 0 && self.unknown_credits == 0
    }

    fn is_right(&self) -> bool {
        let least = self.acknowledged_delta - self.unknown_debits;
        let most = self.acknowledged_delta + self.unknown_credits;
        self.change()
            .is_some_and(|change| (least..=most).contains(&change))
    }

    /// It must have another balance than before.
    pub(super) fn must_differ(&self) -> bool {
        self.acknowledged_delta > self.unknown_debits
            || -self.acknowledged_delta > self.unknown_credits
    }
}

/// Checked balances against the client's own net changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeltaCheck {
    /// Accounts compared: those that no transfer of unknown outcome names, and those that are
    /// wrong all the same.
    pub checked: u64,
    /// Accounts that differ.
    pub mismatches: u64,
    /// The first that differs.
    pub first: Option<Sample>,
    /// How often acknowledged transfers named the accounts compared.
    pub transfers: u64,
}

/// Fewer inferred balances than this prove nothing when they are wrong: in a ledger in which
/// nothing but one or two accounts had another balance than all the rest, those may be they.
const INFERRED_MIN: usize = 3;

/// Compares every sample. A balance may be off by what the transfers of unknown outcome that
/// name its account could move; one that agrees within that proves nothing and is not counted.
#[must_use]
pub fn check_deltas(samples: &[Sample]) -> DeltaCheck {
    let mut check = DeltaCheck::default();
    let inferred = samples.iter().filter(|sample| sample.inferred);
    let proved = inferred.filter(|sample| !sample.is_right()).count() >= INFERRED_MIN;
    for sample in samples {
        let right = sample.is_right();
        if right && !sample.is_exact() || !right && sample.inferred && !proved {
            continue;
        }
        check.checked += 1;
        check.transfers += sample.transfers;
        if !right {
            check.mismatches += 1;
            check.first.get_or_insert(*sample);
        }
    }
    check
}

/// What is wrong with the number of accounts; `Ok(false)` where nobody tells it.
pub(super) fn check_accounts(evidence: &Evidence) -> Result<bool, String> {
    if evidence.checked.more_than_seeded
        && let Some(seeded) = &evidence.seeded
    {
        return Err(format!(
            "there are more accounts than the {} that were seeded",
            seeded.accounts
        ));
    }
    let expected = match (&evidence.seeded, evidence.accounts) {
        (Some(seeded), _) => seeded.accounts,
        (None, Some((before, _))) => before,
        (None, None) => return Ok(false),
    };
    let by_server = evidence.accounts.into_iter().flat_map(|(a, b)| [a, b]);
    let own = evidence
        .own_verify
        .as_ref()
        .and_then(|own| own.as_ref().ok());
    let told: Vec<u64> = by_server.chain(own.and_then(|own| own.accounts)).collect();
    match told.iter().find(|found| **found != expected) {
        Some(found) => Err(format!("there are {found} accounts instead of {expected}")),
        None => Ok(!told.is_empty() || !evidence.checked.samples.is_empty()),
    }
}
