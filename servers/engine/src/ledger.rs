//! The rules of a transfer, applied in SQL inside an open transaction.

use busload_wire::control::TransferIds;
use busload_wire::{Transfer, TransferId};
use rusqlite::{Connection, Statement};

use crate::transfer_ids::{IdBook, Known, Remembered};

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
    /// Committed at the durability of the engine.
    Committed,
    /// Refused.
    Rejected(Rejection),
    /// Known not to be committed.
    Failed(Failure),
    /// May or may not be committed: an I/O error at COMMIT.
    Unknown,
}

/// The held statements of the writing connection and what they changed.
///
/// A transfer is two conditional UPDATEs: each one reads, checks and writes its row in one
/// statement. Only when one of them finds no row is the reason looked up. A debit whose
/// credit turns out to be impossible is taken back at once, so that a rejected transfer
/// leaves the batch as it was without a savepoint per transfer.
pub(crate) struct Ledger<'c> {
    debit: Statement<'c>,
    credit: Statement<'c>,
    refund: Statement<'c>,
    balance: Statement<'c>,
    ids: IdBook<'c>,
    discard_writes: bool,
    /// Row changes that SQLite reported since the last [`take_changes`](Self::take_changes).
    changes: Changes,
}

/// Row changes as SQLite reports them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) rows: u64,
    pub(crate) refunds: u64,
}

impl Changes {
    /// Transfers that these changes amount to: each one changes two rows, and a debit
    /// that was taken back changed two rows for nothing.
    pub(crate) fn applied(self) -> u64 {
        (self.rows - 2 * self.refunds) / 2
    }
}

impl<'c> Ledger<'c> {
    pub(crate) fn prepare(
        connection: &'c Connection,
        ids: &'c mut Remembered,
        discard_writes: bool,
    ) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            debit: connection.prepare(
                "UPDATE accounts SET balance = balance - ?1 WHERE id = ?2 AND balance >= ?1",
            )?,
            credit: connection.prepare(
                "UPDATE accounts SET balance = balance + ?1 WHERE id = ?2 AND balance <= ?3",
            )?,
            refund: connection
                .prepare("UPDATE accounts SET balance = balance + ?1 WHERE id = ?2")?,
            balance: connection.prepare("SELECT balance FROM accounts WHERE id = ?1")?,
            ids: IdBook::new(connection, ids),
            discard_writes,
            changes: Changes::default(),
        })
    }

    /// Applies one transfer inside the open transaction; one whose id is known already is
    /// answered as it was the first time.
    pub(crate) fn apply(&mut self, transfer: &Transfer) -> Result<Outcome, rusqlite::Error> {
        match transfer.transfer_id {
            Some(id) if !self.discard_writes => self.apply_once(id, transfer),
            _ => self.apply_anew(transfer),
        }
    }

    fn apply_once(
        &mut self,
        id: TransferId,
        transfer: &Transfer,
    ) -> Result<Outcome, rusqlite::Error> {
        Ok(match self.ids.look_up(id, transfer)? {
            Known::First(outcome) => outcome,
            Known::Conflict => Outcome::Rejected(Rejection::Conflict),
            Known::Full => Outcome::Failed(Failure::Overloaded),
            Known::No => {
                let outcome = self.apply_anew(transfer)?;
                self.ids.remember(id, transfer, outcome)?;
                outcome
            }
        })
    }

    fn apply_anew(&mut self, transfer: &Transfer) -> Result<Outcome, rusqlite::Error> {
        if transfer.amount < 1 || transfer.from == transfer.to {
            return Ok(Outcome::Rejected(Rejection::InvalidTransfer));
        }
        if self.discard_writes {
            return self.read_only(transfer);
        }
        self.debit.raw_bind_parameter(1, transfer.amount)?;
        self.debit.raw_bind_parameter(2, transfer.from)?;
        if self.debit.raw_execute()? == 0 {
            return self.why_not(transfer, Rejection::InsufficientFunds);
        }
        self.credit.raw_bind_parameter(1, transfer.amount)?;
        self.credit.raw_bind_parameter(2, transfer.to)?;
        self.credit
            .raw_bind_parameter(3, i64::MAX - transfer.amount)?;
        if self.credit.raw_execute()? == 0 {
            self.refund.raw_bind_parameter(1, transfer.amount)?;
            self.refund.raw_bind_parameter(2, transfer.from)?;
            let refunded = self.refund.raw_execute()? as u64;
            self.changes.rows += 1 + refunded;
            self.changes.refunds += refunded;
            return self.why_not(transfer, Rejection::BalanceOverflow);
        }
        self.changes.rows += 2;
        Ok(Outcome::Committed)
    }

    /// The article's fake row: everything but the UPDATEs.
    fn read_only(&mut self, transfer: &Transfer) -> Result<Outcome, rusqlite::Error> {
        let (Some(from), Some(to)) = (
            self.balance_of(transfer.from)?,
            self.balance_of(transfer.to)?,
        ) else {
            return Ok(Outcome::Rejected(Rejection::AccountMissing));
        };
        Ok(if from < transfer.amount {
            Outcome::Rejected(Rejection::InsufficientFunds)
        } else if to.checked_add(transfer.amount).is_none() {
            Outcome::Rejected(Rejection::BalanceOverflow)
        } else {
            Outcome::Committed
        })
    }

    /// A missing account goes before every other reason.
    fn why_not(
        &mut self,
        transfer: &Transfer,
        otherwise: Rejection,
    ) -> Result<Outcome, rusqlite::Error> {
        let both =
            self.balance_of(transfer.from)?.is_some() && self.balance_of(transfer.to)?.is_some();
        Ok(Outcome::Rejected(if both {
            otherwise
        } else {
            Rejection::AccountMissing
        }))
    }

    /// The balance of an account, `None` when it does not exist.
    pub(crate) fn balance_of(&mut self, account: i64) -> Result<Option<i64>, rusqlite::Error> {
        let mut rows = self.balance.query([account])?;
        rows.next()?.map(|row| row.get(0)).transpose()
    }

    /// Whether rows were changed since the last [`take_changes`](Self::take_changes), and
    /// every change was undone by a later one. A remembered id is never undone.
    pub(crate) fn took_everything_back(&self) -> bool {
        self.changes.refunds > 0 && self.changes.applied() == 0 && !self.ids.wrote()
    }

    /// The transaction of a batch has ended. Tells whether it changed what is remembered of
    /// ids.
    pub(crate) fn end_batch(&mut self, committed: bool) -> bool {
        let wrote = self.ids.wrote();
        self.ids.end_batch(committed);
        wrote
    }

    /// Whether this outcome stands although the batch was not committed: it applied nothing
    /// and nobody has to remember it, or it is remembered since an earlier batch.
    pub(crate) fn stands(&self, transfer: &Transfer, outcome: Outcome) -> bool {
        match (outcome, transfer.transfer_id) {
            (Outcome::Pending, _) => false,
            (_, Some(id)) if !self.discard_writes => self.ids.is_remembered(id),
            (outcome, _) => outcome != Outcome::Committed,
        }
    }

    /// What is remembered of ids; `None` when nothing ever is.
    pub(crate) fn id_counts(&self) -> Option<TransferIds> {
        (!self.discard_writes).then(|| self.ids.counts())
    }

    /// The ledger was wiped, and the ids with it.
    pub(crate) fn forget_ids(&mut self) {
        self.ids.forget_all();
    }

    /// The changes since the last call.
    pub(crate) fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }
}
