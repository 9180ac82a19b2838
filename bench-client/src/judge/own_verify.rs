//! What a foreign server's own verification says, and why an honest one may say that its ledger
//! is wrong: it compares with an initial balance of its own.

/// What this program seeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seeding {
    /// Accounts.
    pub(super) accounts: u64,
    /// The balance that each started with.
    pub(super) balance: i64,
}

/// The initial balance that a failed verification compared with, where its text shows the
/// accounts and the total that it expected (`accounts=2 total=5 expected=6`).
pub(super) fn initial_balance(error: &str) -> Option<u128> {
    let number = |name: &str| -> Option<u128> {
        let (_, rest) = error.split_once(name)?;
        let end = rest.find(|c: char| !c.is_ascii_digit());
        rest[..end.unwrap_or(rest.len())].parse().ok()
    };
    let (accounts, expected) = (number("accounts=")?, number("expected=")?);
    (accounts > 0 && expected.is_multiple_of(accounts)).then(|| expected / accounts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_balance_that_was_expected_is_found() {
        let text = "verify failed: accounts=100 total=1000 expected=100000000000";
        assert_eq!(initial_balance(text), Some(1_000_000_000));
        for other in [
            "internal error",
            "accounts=0 total=0 expected=0",
            "accounts=3 total=3 expected=4",
            "accounts=x expected=1",
        ] {
            assert_eq!(initial_balance(other), None, "{other}");
        }
    }
}
