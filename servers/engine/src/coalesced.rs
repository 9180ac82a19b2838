//! A batch decided in memory: each account is read once before the first transfer and written
//! once after the last.
//!
//! **Architecture invariants**
//! - The answers, the balances and the remembered ids are those of [`PerTransfer`], transfer by
//!   transfer (`tests/coalesced.rs` holds them equal).
//! - Nothing is kept from batch to batch but room in memory, at most that of the largest batch:
//!   what SQLite holds is the ledger.
//!
//! [`PerTransfer`]: crate::Apply::PerTransfer

use busload_wire::Transfer;
use rusqlite::{Connection, Statement};

use crate::ledger::{Changes, Outcome, Rejection, is_invalid};
use crate::queue::{Reply, Work};
use crate::transfer_ids::IdBook;

pub(crate) struct Coalesced<'c> {
    read: Statement<'c>,
    write: Statement<'c>,
    touches: Vec<Touch>,
    /// By the place of the touch: which of `accounts` it is.
    slots: Vec<u32>,
    accounts: Vec<Account>,
    pub(crate) changes: Changes,
}

/// A transfer names an account.
#[derive(Clone, Copy)]
struct Touch {
    id: i64,
    /// Twice the transfer's number in the batch, and one more for the receiver.
    place: u32,
}

/// An account of the batch, in the order of their ids: that of the tree.
struct Account {
    id: i64,
    /// None when it does not exist.
    balance: Option<Balance>,
}

#[derive(Clone, Copy)]
struct Balance {
    before: i64,
    now: i64,
}

impl<'c> Coalesced<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            read: connection.prepare("SELECT balance FROM accounts WHERE id = ?1")?,
            write: connection.prepare("UPDATE accounts SET balance = ?1 WHERE id = ?2")?,
            touches: Vec::new(),
            slots: Vec::new(),
            accounts: Vec::new(),
            changes: Changes::default(),
        })
    }

    pub(crate) fn apply_all<A>(
        &mut self,
        batch: &mut [Reply<A>],
        ids: &mut IdBook<'_>,
    ) -> Result<(), rusqlite::Error> {
        self.read_accounts(batch.iter().flat_map(|reply| &reply.work))?;
        let mut applied = 0;
        let work = batch.iter_mut().flat_map(|reply| &mut reply.work);
        for (one, slots) in work.zip(self.slots.chunks_exact(2)) {
            let accounts = &mut self.accounts;
            let mut decide = |transfer: &Transfer| {
                let outcome = decide(transfer, slots, accounts);
                applied += u64::from(outcome == Outcome::Committed);
                outcome
            };
            one.outcome = match one.transfer.transfer_id {
                Some(id) => ids.once(id, &one.transfer, || Ok(decide(&one.transfer)))?,
                None => decide(&one.transfer),
            };
        }
        self.changes.coalesced = Some(applied);
        self.write_accounts()
    }

    /// Reads every account that a transfer which can be made names, in the order of the tree.
    fn read_accounts<'w>(
        &mut self,
        batch: impl Iterator<Item = &'w Work>,
    ) -> Result<(), rusqlite::Error> {
        self.touches.clear();
        self.accounts.clear();
        let mut place = 0;
        for one in batch {
            if !is_invalid(&one.transfer) {
                let Transfer { from, to, .. } = one.transfer;
                self.touches.push(Touch { id: from, place });
                self.touches.push(Touch {
                    id: to,
                    place: place + 1,
                });
            }
            place += 2;
        }
        self.slots.clear();
        self.slots.resize(place as usize, 0);
        self.touches.sort_unstable_by_key(|touch| touch.id);
        for touch in &self.touches {
            if self.accounts.last().is_none_or(|last| last.id != touch.id) {
                let mut rows = self.read.query([touch.id])?;
                let balance = rows.next()?.map(|row| row.get(0)).transpose()?;
                self.accounts.push(Account {
                    id: touch.id,
                    balance: balance.map(|now| Balance { before: now, now }),
                });
            }
            self.slots[touch.place as usize] =
                u32::try_from(self.accounts.len() - 1).unwrap_or(u32::MAX);
        }
        Ok(())
    }

    /// Writes what is another than it was: a batch that takes back what it gave writes nothing.
    fn write_accounts(&mut self) -> Result<(), rusqlite::Error> {
        let moved = self.accounts.iter().filter_map(|account| account.balance);
        debug_assert_eq!(
            moved
                .map(|one| i128::from(one.now) - i128::from(one.before))
                .sum::<i128>(),
            0,
            "a batch makes no money"
        );
        for account in &self.accounts {
            let Some(Balance { before, now }) = account.balance else {
                continue;
            };
            if now == before {
                continue;
            }
            self.write.raw_bind_parameter(1, now)?;
            self.write.raw_bind_parameter(2, account.id)?;
            let rows = self.write.raw_execute()?;
            if rows != 1 {
                return Err(rusqlite::Error::StatementChangedRows(rows));
            }
            self.changes.rows += 1;
        }
        Ok(())
    }
}

/// The rules once more, in the order of their reasons in `PerTransfer`.
fn decide(transfer: &Transfer, slots: &[u32], accounts: &mut [Account]) -> Outcome {
    if is_invalid(transfer) {
        return Outcome::Rejected(Rejection::InvalidTransfer);
    }
    let (from, to) = (slots[0] as usize, slots[1] as usize);
    let (Some(payer), Some(receiver)) = (accounts[from].balance, accounts[to].balance) else {
        return Outcome::Rejected(Rejection::AccountMissing);
    };
    if payer.now < transfer.amount {
        return Outcome::Rejected(Rejection::InsufficientFunds);
    }
    let Some(received) = receiver.now.checked_add(transfer.amount) else {
        return Outcome::Rejected(Rejection::BalanceOverflow);
    };
    accounts[from].balance = Some(Balance {
        now: payer.now - transfer.amount,
        ..payer
    });
    accounts[to].balance = Some(Balance {
        now: received,
        ..receiver
    });
    Outcome::Committed
}
