//! What is said over the wire, whatever the encoding.

use crate::ErrorCode;

/// Largest request id: 2^53, the largest integer that every JSON reader keeps exactly.
pub const REQUEST_ID_MAX: u64 = 1 << 53;

/// Names one request on one connection. The client chooses it and never uses it twice
/// on a connection; the answer carries it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(u64);

impl RequestId {
    /// A request id, or `None` above [`REQUEST_ID_MAX`].
    #[must_use]
    pub const fn new(id: u64) -> Option<Self> {
        if id <= REQUEST_ID_MAX {
            Some(Self(id))
        } else {
            None
        }
    }

    /// The id as a number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// Names one transfer for exactly-once processing, across connections and restarts.
///
/// Bytes and not a `u128`, so that `Option<TransferId>` takes 17 bytes and not 32 in
/// every queued transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransferId([u8; 16]);

impl TransferId {
    /// From its 128-bit number.
    #[must_use]
    pub const fn from_u128(id: u128) -> Self {
        Self(id.to_le_bytes())
    }

    /// As a 128-bit number.
    #[must_use]
    pub const fn to_u128(self) -> u128 {
        u128::from_le_bytes(self.0)
    }
}

/// One movement of money between two accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer {
    /// The account that pays (0-based).
    pub from: i64,
    /// The account that receives (0-based).
    pub to: i64,
    /// How much, in the ledger's smallest unit. A valid transfer has at least 1.
    pub amount: i64,
    /// For exactly-once processing.
    pub transfer_id: Option<TransferId>,
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Is the server there?
    Health,
    /// Move money, durably.
    Transfer(Transfer),
    /// Read one balance.
    GetAccount {
        /// The account (0-based).
        id: i64,
    },
    /// Wipe the ledger and create `accounts` accounts of `initial_balance` each.
    Seed {
        /// How many accounts; ids are 0 … accounts-1.
        accounts: i64,
        /// The balance that each starts with.
        initial_balance: i64,
    },
    /// Is the money conserved, and did anything change since the seeding?
    Verify,
    /// What the server is: durability, pragmas read back, batch knobs.
    Info,
    /// Counters and stage timings of the engine.
    Stats {
        /// Also read all balances: count, total and digest.
        balances: bool,
        /// Send the distributions with their histograms, not only count and sum. Without
        /// histograms and balances the server answers at once, not after the transfers
        /// queued before the call.
        histograms: bool,
    },
}

/// One request. Over HTTP there is no id: the connection pairs answers with requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The id to carry back, if the encoding has one.
    pub id: Option<RequestId>,
    /// What is asked.
    pub call: Call,
}

/// The answer to a transfer, as the client reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Which request this answers; `None` over HTTP, or when the server could not tell.
    pub id: Option<RequestId>,
    /// `Ok` for success; else the error code, or `None` for an error text that is not
    /// one of this protocol's (the outcome is then unknown).
    pub result: Result<(), Option<ErrorCode>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queued_transfer_stays_small() {
        // 1,048,576 of these may be queued: a change that doubles it shows here.
        assert!(size_of::<Transfer>() <= 48);
    }

    #[test]
    fn request_ids_end_at_two_to_the_53() {
        assert!(RequestId::new(REQUEST_ID_MAX).is_some());
        assert!(RequestId::new(REQUEST_ID_MAX + 1).is_none());
    }
}
