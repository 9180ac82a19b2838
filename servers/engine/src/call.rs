//! Calls that are not transfers: what is asked of the writer between two batches.

use busload_wire::control::{Account, Verification};

use crate::error::EngineError;
use crate::stats::Snapshot;

/// Fewest accounts of a ledger: a transfer needs two.
pub const ACCOUNTS_MIN: i64 = 2;
/// Most accounts that a ledger can be seeded with.
pub const ACCOUNTS_MAX: i64 = 10_000_000;

/// Whether a ledger can be seeded so.
///
/// # Errors
/// [`EngineError::SeedOutOfRange`].
pub fn check_seeding(accounts: i64, initial_balance: i64) -> Result<(), EngineError> {
    if !(ACCOUNTS_MIN..=ACCOUNTS_MAX).contains(&accounts) || initial_balance < 0 {
        return Err(EngineError::SeedOutOfRange {
            accounts,
            initial_balance,
        });
    }
    Ok(())
}

/// A call that is not a transfer. It sees every transfer that was submitted before it. A transfer
/// submitted after it may be applied before it all the same: whoever must not have that waits for
/// the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlCall {
    /// Read one balance.
    GetAccount {
        /// The account.
        id: i64,
    },
    /// Wipe and create, or find it done.
    Seed {
        /// How many accounts.
        accounts: i64,
        /// The balance of each.
        initial_balance: i64,
        /// Whether what is there may be wiped. If not, the ledger must be just that already.
        may_wipe: bool,
    },
    /// Compare with the seeding.
    Verify,
    /// All balances, and the counters and timings that go with them. Counters alone are
    /// [`Engine::stats`](crate::Engine::stats) and [`Engine::totals`](crate::Engine::totals), which end no batch.
    Stats {
        /// With the histograms of the timings.
        histograms: bool,
    },
}

/// The answer to a [`ControlCall`]. `S` is the answer to `Stats`, which is packed only
/// after it has left the writer thread.
#[derive(Debug, Clone, PartialEq)]
pub enum ControlReply<S = Box<Snapshot>> {
    /// The account, `None` when there is no such account.
    Account(Option<Account>),
    /// The ledger was seeded.
    Seeded,
    /// The ledger adds up.
    Verified(Verification),
    /// Counters and timings.
    Stats(S),
}
