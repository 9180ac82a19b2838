//! What a batch is applied by, inside its open transaction: the rules in SQL or, for a coalesced
//! batch, in memory; the ids; and the changes that came of it.

use busload_wire::Transfer;
use busload_wire::control::TransferIds;
use rusqlite::{Connection, Statement};

use crate::apply::Apply;
use crate::coalesced::Coalesced;
use crate::queue::Reply;
use crate::transfer_ids::{IdBook, Remembered};

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

/// Row changes as SQLite reports them, since they were last taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) rows: u64,
    pub(crate) refunds: u64,
    /// Transfers that were decided in memory: the rows do not tell how many they were.
    pub(crate) coalesced: Option<u64>,
}

impl Changes {
    /// Transfers that these changes amount to: each one changes two rows, and a debit
    /// that was taken back changed two rows for nothing. Of a coalesced batch it is the count of
    /// who decided it.
    pub(crate) fn applied(self) -> u64 {
        self.coalesced.unwrap_or((self.rows - 2 * self.refunds) / 2)
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.refunds += other.refunds;
        if let Some(more) = other.coalesced {
            *self.coalesced.get_or_insert(0) += more;
        }
    }
}

/// The held statements of the writing connection and what they changed.
///
/// A transfer is two conditional UPDATEs: each one reads, checks and writes its row in one
/// statement. Only when one of them finds no row is the reason looked up. A debit whose
/// credit turns out to be impossible is taken back at once, so that a rejected transfer
/// leaves the batch as it was without a savepoint per transfer.
struct PerTransfer<'c> {
    debit: Statement<'c>,
    credit: Statement<'c>,
    refund: Statement<'c>,
    balance: Statement<'c>,
    changes: Changes,
}

/// The ledger as the writer thread has it.
pub(crate) struct Ledger<'c> {
    sql: PerTransfer<'c>,
    /// In place of `sql`, where batches are coalesced.
    coalesced: Option<Coalesced<'c>>,
    ids: IdBook<'c>,
    discard_writes: bool,
}

impl<'c> PerTransfer<'c> {
    fn prepare(connection: &'c Connection) -> Result<Self, rusqlite::Error> {
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
            changes: Changes::default(),
        })
    }

    fn apply(&mut self, transfer: &Transfer) -> Result<Outcome, rusqlite::Error> {
        if is_invalid(transfer) {
            return Ok(Outcome::Rejected(Rejection::InvalidTransfer));
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
        if is_invalid(transfer) {
            return Ok(Outcome::Rejected(Rejection::InvalidTransfer));
        }
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
    fn balance_of(&mut self, account: i64) -> Result<Option<i64>, rusqlite::Error> {
        let mut rows = self.balance.query([account])?;
        rows.next()?.map(|row| row.get(0)).transpose()
    }
}

/// What no ledger would do.
pub(crate) fn is_invalid(transfer: &Transfer) -> bool {
    transfer.amount < 1 || transfer.from == transfer.to
}

impl<'c> Ledger<'c> {
    /// What discards its writes has none to coalesce.
    pub(crate) fn prepare(
        connection: &'c Connection,
        ids: &'c mut Remembered,
        apply: Apply,
        discard_writes: bool,
    ) -> Result<Self, rusqlite::Error> {
        let coalesces = apply == Apply::Coalesced && !discard_writes;
        Ok(Self {
            sql: PerTransfer::prepare(connection)?,
            coalesced: coalesces
                .then(|| Coalesced::prepare(connection))
                .transpose()?,
            ids: IdBook::new(connection, ids),
            discard_writes,
        })
    }

    /// Applies the transfers of a batch in their order, inside the open transaction, and says what
    /// became of each; one whose id is known already is answered as it was the first time. False
    /// when the transaction must be begun anew for that, once.
    pub(crate) fn apply_all<A>(&mut self, batch: &mut [Reply<A>]) -> Result<bool, rusqlite::Error> {
        if let Some(coalesced) = &mut self.coalesced {
            return coalesced.apply_all(batch, &mut self.ids);
        }
        for one in batch.iter_mut().flat_map(|reply| &mut reply.work) {
            let transfer = &one.transfer;
            one.outcome = match transfer.transfer_id {
                _ if self.discard_writes => self.sql.read_only(transfer)?,
                Some(id) => self.ids.once(id, transfer, || self.sql.apply(transfer))?,
                None => self.sql.apply(transfer)?,
            };
        }
        Ok(true)
    }

    /// The balance of an account, `None` when it does not exist.
    pub(crate) fn balance_of(&mut self, account: i64) -> Result<Option<i64>, rusqlite::Error> {
        self.sql.balance_of(account)
    }

    fn changes(&mut self) -> &mut Changes {
        match &mut self.coalesced {
            Some(coalesced) => &mut coalesced.changes,
            None => &mut self.sql.changes,
        }
    }

    /// Whether rows were changed since the last [`take_changes`](Self::take_changes), and
    /// every change was undone by a later one. A remembered id is never undone.
    pub(crate) fn took_everything_back(&mut self) -> bool {
        let changes = *self.changes();
        changes.refunds > 0 && changes.applied() == 0 && !self.ids.wrote()
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
        std::mem::take(self.changes())
    }
}
