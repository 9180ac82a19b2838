//! All balances of a ledger, and whether they add up.

use busload_wire::control::{Balances, Verification};

use crate::error::EngineError;

/// All balances together, in whatever order they are read.
#[derive(Debug, Clone, Default)]
pub struct BalanceSum {
    accounts: u64,
    total: i128,
    lowest: Option<i64>,
    digest: u64,
}

impl BalanceSum {
    /// One more account.
    pub fn add(&mut self, id: i64, balance: i64) {
        self.accounts += 1;
        self.total += i128::from(balance);
        self.lowest = Some(self.lowest.map_or(balance, |lowest| lowest.min(balance)));
        self.digest = self.digest.wrapping_add(mix(id, balance));
    }

    /// As `stats` answers them.
    #[must_use]
    pub fn balances(&self) -> Balances {
        Balances {
            accounts: self.accounts,
            total: self.total.to_string(),
            lowest: self.lowest.unwrap_or(0).to_string(),
            digest: format!("{:016x}", self.digest),
        }
    }

    /// Compares them with a seeding of `initial` for each account, from which so many differ.
    ///
    /// # Errors
    /// The total is another, or nothing has changed.
    pub fn verify(&self, initial: i64, changed: u64) -> Result<Verification, EngineError> {
        let (accounts, total) = (i128::from(self.accounts), self.total);
        let expected = i128::from(initial) * accounts;
        // Many balances that are off by chance hardly sum up to the same for each account.
        if total != expected && accounts > 0 && total % accounts == 0 {
            return Err(EngineError::SeededElsewhere {
                accounts: self.accounts,
                found: total / accounts,
                expected: initial,
            });
        }
        if total != expected {
            return Err(EngineError::NotConserved { total, expected });
        }
        if changed == 0 {
            return Err(EngineError::NothingChanged);
        }
        Ok(self.verified(changed, None))
    }

    /// Compares them with what they were when the ledger was opened. That nothing changed since
    /// is no fault: it may have been opened a moment ago.
    ///
    /// # Errors
    /// There are other accounts, or the total is another.
    pub fn verify_since(&self, opening: &Self) -> Result<Verification, EngineError> {
        if self.accounts != opening.accounts {
            return Err(EngineError::AccountsChanged {
                accounts: self.accounts,
                expected: opening.accounts,
            });
        }
        if self.total != opening.total {
            return Err(EngineError::NotConserved {
                total: self.total,
                expected: opening.total,
            });
        }
        // Money that went from one account has come to another.
        let changed = if self.digest == opening.digest { 0 } else { 2 };
        Ok(self.verified(changed, Some("opening".to_owned())))
    }

    fn verified(&self, changed: u64, compared_with: Option<String>) -> Verification {
        Verification::Verified {
            accounts: self.accounts.to_string(),
            total: self.total.to_string(),
            changed: changed.to_string(),
            compared_with,
        }
    }
}

/// Mixes one (id, balance) so that the sum over all accounts tells ledgers apart whatever
/// the order: the finaliser of `SplitMix64` (Steele, Lea, Flood 2014).
fn mix(id: i64, balance: i64) -> u64 {
    let mut z = id.cast_unsigned().wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ balance.cast_unsigned();
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
