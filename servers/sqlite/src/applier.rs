//! What a batch is applied by, inside its open transaction: the rules in SQL or, for a coalesced
//! batch, in memory; the ids; and the changes that came of it.

use busload_engine::{Changes, Outcome, Rejection, Work, is_invalid};
use busload_wire::Transfer;
use busload_wire::control::TransferIds;
use rusqlite::{Connection, Statement};

use crate::changes::RowChanges;
use crate::coalesced::Coalesced;
use crate::transfer_ids::{IdBook, Remembered};
use busload_engine::Apply;

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
    changes: RowChanges,
}

/// What applies batches and knows what came of it.
pub(crate) struct Applier<'c> {
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
            changes: RowChanges::default(),
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

impl<'c> Applier<'c> {
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
    pub(crate) fn apply_all(&mut self, batch: &mut [Vec<Work>]) -> Result<bool, rusqlite::Error> {
        if let Some(coalesced) = &mut self.coalesced {
            return coalesced.apply_all(batch, &mut self.ids);
        }
        for one in batch.iter_mut().flatten() {
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

    fn changes(&mut self) -> &mut RowChanges {
        match &mut self.coalesced {
            Some(coalesced) => &mut coalesced.changes,
            None => &mut self.sql.changes,
        }
    }

    /// Whether rows were changed since the last [`take_changes`](Self::take_changes), and
    /// every change was undone by a later one. A remembered id is never undone.
    pub(crate) fn is_noop(&mut self) -> bool {
        let changes = *self.changes();
        changes.refunds > 0 && changes.applied() == 0 && !self.ids.wrote()
    }

    /// The transaction of a batch has ended; what it changed.
    pub(crate) fn end_batch(&mut self, is_committed: bool) -> Changes {
        let ids = self.ids.wrote();
        self.ids.end_batch(is_committed);
        let changes = self.take_changes();
        Changes {
            applied: changes.applied(),
            rows: changes.rows,
            refunds: changes.refunds,
            ids,
        }
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

    pub(crate) fn forget_ids(&mut self) {
        self.ids.forget_all();
    }

    pub(crate) fn take_changes(&mut self) -> RowChanges {
        std::mem::take(self.changes())
    }
}
