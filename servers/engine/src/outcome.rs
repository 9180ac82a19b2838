//! One transfer on its way through the engine, and what became of it.

use busload_wire::{ErrorCode, RequestId, Transfer};

/// Why a transfer was refused. Nothing of it was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// The amount is below one, or the account pays itself.
    InvalidTransfer,
    /// An account does not exist.
    AccountMissing,
    /// The payer has less than the amount.
    InsufficientFunds,
    /// The receiver's balance would not fit 64 bits.
    BalanceOverflow,
    /// Another transfer had the same id.
    Conflict,
}

/// Why a transfer was not committed, through no fault of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The queue was full, or there was no room to remember the transfer's id.
    Overloaded,
    /// The engine stops, or stopped.
    ShuttingDown,
    /// The disk is full; the batch was rolled back.
    StorageFull,
}

/// What became of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Not decided yet. Never leaves the engine.
    Pending,
    /// Committed at the durability of the ledger.
    Committed,
    /// Refused.
    Rejected(Rejection),
    /// Known not to be committed.
    Failed(Failure),
    /// May or may not be committed: an I/O error at COMMIT.
    InDoubt,
}

impl Outcome {
    /// The wire's word for it, in answers, in counters and wherever outcomes are stored.
    ///
    /// # Errors
    /// The code of everything but a committed transfer.
    #[inline]
    pub const fn code(self) -> Result<(), ErrorCode> {
        Err(match self {
            Self::Committed => return Ok(()),
            Self::Rejected(Rejection::InvalidTransfer) => ErrorCode::InvalidTransfer,
            Self::Rejected(Rejection::AccountMissing) => ErrorCode::AccountMissing,
            Self::Rejected(Rejection::InsufficientFunds) => ErrorCode::InsufficientFunds,
            Self::Rejected(Rejection::BalanceOverflow) => ErrorCode::BalanceOverflow,
            Self::Rejected(Rejection::Conflict) => ErrorCode::Conflict,
            Self::Failed(Failure::Overloaded) => ErrorCode::Overloaded,
            Self::Failed(Failure::ShuttingDown) => ErrorCode::ShuttingDown,
            Self::Failed(Failure::StorageFull) => ErrorCode::StorageFull,
            Self::InDoubt => ErrorCode::UnknownOutcome,
            Self::Pending => ErrorCode::Internal,
        })
    }
}

/// The outcomes that are remembered of an id.
const FIRST: [Outcome; 5] = [
    Outcome::Committed,
    Outcome::Rejected(Rejection::InvalidTransfer),
    Outcome::Rejected(Rejection::AccountMissing),
    Outcome::Rejected(Rejection::InsufficientFunds),
    Outcome::Rejected(Rejection::BalanceOverflow),
];

impl Outcome {
    /// As the first outcome of an id is stored: 0 for committed, else the number of its code on
    /// the wire; `None` for one that is not remembered.
    #[must_use]
    pub fn first_number(self) -> Option<u16> {
        let number = self.code().map_or_else(ErrorCode::number, |()| 0);
        FIRST.contains(&self).then_some(number)
    }

    /// The outcome that is stored so.
    #[must_use]
    pub fn from_first_number(number: u16) -> Option<Self> {
        let mut all = FIRST.into_iter();
        all.find(|outcome| outcome.first_number() == Some(number))
    }
}

/// One transfer on its way through the engine and, with its outcome, back.
#[derive(Debug, Clone)]
pub struct Work {
    /// What the answer is to carry, if the transport has ids.
    pub id: Option<RequestId>,
    /// What to do.
    pub transfer: Transfer,
    /// What became of it.
    pub outcome: Outcome,
}

impl Work {
    /// Work that is still to be done.
    #[must_use]
    pub fn new(id: Option<RequestId>, transfer: Transfer) -> Self {
        Self {
            id,
            transfer,
            outcome: Outcome::Pending,
        }
    }
}

/// What no ledger would do, whatever its balances are.
#[must_use]
#[inline]
pub fn is_invalid(transfer: &Transfer) -> bool {
    transfer.amount < 1 || transfer.from == transfer.to
}
