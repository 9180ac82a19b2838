//! The ledger check: what was acknowledged against what was applied.

use super::Sample;

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

/// Sampled balances against the client's own net changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeltaCheck {
    /// Accounts compared.
    pub checked: u64,
    /// Accounts that differ.
    pub mismatches: u64,
    /// The first that differs.
    pub first: Option<Sample>,
}

/// Compares every sampled account. A balance may be off by `slack`: what the transfers of
/// unknown outcome could move, all of them on one account.
#[must_use]
pub fn check_deltas(samples: &[Sample], slack: u128) -> DeltaCheck {
    let mut check = DeltaCheck::default();
    for sample in samples {
        check.checked += 1;
        let change = i128::from(sample.after) - i128::from(sample.before);
        if change.abs_diff(i128::from(sample.acknowledged_delta)) > slack {
            check.mismatches += 1;
            check.first.get_or_insert(*sample);
        }
    }
    check
}
