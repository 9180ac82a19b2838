//! The ledger check: what was acknowledged against what was applied.

use super::evidence::Evidence;
use crate::observation::Sample;

/// `acknowledged ≤ applied ≤ acknowledged + unknown`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AppliedCheck {
    /// It holds.
    Holds,
    /// Transfers were acknowledged that were not applied.
    Lost(u64),
    /// Transfers were applied that the client was not told of, beyond those of unknown outcome.
    Extra(u64),
    /// The server does not say what it applied.
    Unchecked,
}

impl AppliedCheck {
    /// Whether nothing speaks against the ledger.
    #[must_use]
    pub(super) fn is_ok(self) -> bool {
        matches!(self, Self::Holds | Self::Unchecked)
    }
}

/// Holds the client's count against the server's.
#[must_use]
pub(super) fn check_applied(acknowledged: u64, unknown: u64, applied: Option<u64>) -> AppliedCheck {
    match applied {
        None => AppliedCheck::Unchecked,
        Some(applied) if applied < acknowledged => AppliedCheck::Lost(acknowledged - applied),
        Some(applied) if applied > acknowledged + unknown => {
            AppliedCheck::Extra(applied - acknowledged - unknown)
        }
        Some(_) => AppliedCheck::Holds,
    }
}

/// No transfer of unknown outcome names it: its balance can only be one.
fn is_exact(sample: &Sample) -> bool {
    sample.unknown_debits == 0 && sample.unknown_credits == 0
}

fn is_right(sample: &Sample) -> bool {
    let least = sample.acknowledged_delta - sample.unknown_debits;
    let most = sample.acknowledged_delta + sample.unknown_credits;
    sample
        .change()
        .is_some_and(|change| (least..=most).contains(&change))
}

/// It must have another balance than before.
pub(super) fn must_differ(sample: &Sample) -> bool {
    sample.acknowledged_delta > sample.unknown_debits
        || -sample.acknowledged_delta > sample.unknown_credits
}

/// Checked balances against the client's own net changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct DeltaCheck {
    /// Accounts compared: those that no transfer of unknown outcome names, and those that are
    /// wrong all the same.
    pub(super) checked: u64,
    /// Accounts that differ.
    pub(super) mismatches: u64,
    /// The first that differs.
    pub(super) first: Option<Sample>,
    /// How often acknowledged transfers named the accounts compared.
    pub(super) transfers: u64,
}

/// Fewer inferred balances than this prove nothing when they are wrong: in a ledger in which
/// nothing but one or two accounts had another balance than all the rest, those may be they.
const INFERRED_MIN: usize = 3;

/// Compares every sample. A balance may be off by what the transfers of unknown outcome that
/// name its account could move; one that agrees within that proves nothing and is not counted.
#[must_use]
pub(super) fn check_deltas(samples: &[Sample]) -> DeltaCheck {
    let mut check = DeltaCheck::default();
    let inferred = samples.iter().filter(|sample| sample.inferred);
    let proved = inferred.filter(|sample| !is_right(sample)).count() >= INFERRED_MIN;
    for sample in samples {
        let right = is_right(sample);
        if right && !is_exact(sample) || !right && sample.inferred && !proved {
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

/// What is wrong with the number of accounts; `Ok(false)` where it is not told.
pub(super) fn check_accounts(evidence: &Evidence<'_>) -> Result<bool, String> {
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
