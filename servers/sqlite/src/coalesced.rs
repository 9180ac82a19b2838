//! A batch decided in memory: each account that it names is read once and written once.
//!
//! It is tried first as if every transfer could be made: then an account's share of the batch is
//! one sum, and a statement that writes it also checks what the rules ask of the balance. Where
//! one does not hold the transaction is begun anew and the batch decided with the balances read
//! before, as are the next ones, and every batch with ids.
//!
//! **Architecture invariants**
//! - The answers, the balances and the remembered ids are those of [`PerTransfer`], transfer by
//!   transfer (`tests/coalesced.rs` holds them equal).
//! - Nothing is kept from batch to batch but room in memory, at most that of the largest batch:
//!   what SQLite holds is the ledger.
//!
//! [`PerTransfer`]: crate::Apply::PerTransfer

use busload_engine::{Outcome, Rejection, Work, is_invalid};
use busload_wire::Transfer;
use rusqlite::{Connection, Statement};

use crate::changes::RowChanges;
use crate::transfer_ids::IdBook;

/// Batches that are decided with the balances read before, after one in which a transfer was
/// refused for a balance: where some are, more will be.
const CAREFUL_BATCHES: u32 = 32;

pub(crate) struct Coalesced<'c> {
    /// Adds a sum, if the balance is within bounds.
    add: Statement<'c>,
    read: Statement<'c>,
    write: Statement<'c>,
    touches: Vec<Touch>,
    /// By the place of the touch: which of `accounts` it is.
    slots: Vec<u32>,
    /// In the order of their ids, which is that of the tree.
    accounts: Vec<Account>,
    careful_batches: u32,
    pub(crate) changes: RowChanges,
}

/// A transfer names an account.
#[derive(Clone, Copy)]
struct Touch {
    id: i64,
    /// Twice the transfer's number in the batch, and one more for the receiver.
    place: u32,
}

struct Account {
    id: i64,
    share: Share,
    /// As it was read. None when the account does not exist.
    balance: Option<Balance>,
}

/// What the transfers of a batch make of a balance, if every one of them can be made.
struct Share {
    net: i64,
    /// The lowest sum after a debit: the balance must make up for it.
    lowest: i64,
    /// The highest sum after a credit: the balance must have room for it.
    highest: i64,
}

#[derive(Clone, Copy)]
struct Balance {
    before: i64,
    now: i64,
}

impl Share {
    const NONE: Self = Self {
        net: 0,
        lowest: i64::MAX,
        highest: i64::MIN,
    };

    /// False when the sum does not fit.
    fn debit(&mut self, amount: i64) -> bool {
        let net = self.net.checked_sub(amount);
        self.net = net.unwrap_or(0);
        self.lowest = self.lowest.min(self.net);
        net.is_some()
    }

    /// False when the sum does not fit.
    fn credit(&mut self, amount: i64) -> bool {
        let net = self.net.checked_add(amount);
        self.net = net.unwrap_or(0);
        self.highest = self.highest.max(self.net);
        net.is_some()
    }

    /// The balances with which every transfer can be made.
    fn bounds(&self) -> [i64; 2] {
        let lowest = 0_i64.saturating_sub(self.lowest);
        [
            // Without a debit, any.
            if self.lowest == i64::MAX {
                i64::MIN
            } else {
                lowest
            },
            // A sum below zero leaves room for any.
            i64::MAX.saturating_sub(self.highest),
        ]
    }
}

impl<'c> Coalesced<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            add: connection.prepare(
                "UPDATE accounts SET balance = balance + ?1
                 WHERE id = ?2 AND balance BETWEEN ?3 AND ?4",
            )?,
            read: connection.prepare("SELECT balance FROM accounts WHERE id = ?1")?,
            write: connection.prepare("UPDATE accounts SET balance = ?1 WHERE id = ?2")?,
            touches: Vec::new(),
            slots: Vec::new(),
            accounts: Vec::new(),
            careful_batches: 0,
            changes: RowChanges::default(),
        })
    }

    /// False when the transaction must be begun anew and the batch applied again: then it will not
    /// be false a second time.
    pub(crate) fn apply_all(
        &mut self,
        batch: &mut [Vec<Work>],
        ids: &mut IdBook<'_>,
    ) -> Result<bool, rusqlite::Error> {
        self.find_accounts(batch.iter().flatten());
        if self.careful_batches == 0
            && let Some(applied) = self.sum_up(batch)
        {
            if self.add_shares()? {
                self.changes.coalesced = Some(applied);
                return Ok(true);
            }
            self.careful_batches = CAREFUL_BATCHES;
            return Ok(false);
        }
        self.careful_batches = self.careful_batches.saturating_sub(1);
        self.read_accounts()?;
        let mut applied = 0;
        let work = batch.iter_mut().flatten();
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
        self.write_accounts()?;
        Ok(true)
    }

    /// Every account that a transfer which a ledger can make names, once. They are sorted, not
    /// hashed, so that no choice of ids makes a batch slow.
    fn find_accounts<'w>(&mut self, batch: impl Iterator<Item = &'w Work>) {
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
        let mut next = 0;
        for touch in &self.touches {
            if self.accounts.last().is_none_or(|last| last.id != touch.id) {
                self.accounts.push(Account {
                    id: touch.id,
                    share: Share::NONE,
                    balance: None,
                });
                next += 1;
            }
            self.slots[touch.place as usize] = next - 1;
        }
    }

    /// Each account's share of the batch, and how many transfers make it. None where ids have to
    /// be looked up first, or a sum does not fit.
    fn sum_up(&mut self, batch: &mut [Vec<Work>]) -> Option<u64> {
        let mut applied = 0;
        let work = batch.iter_mut().flatten();
        for (one, slots) in work.zip(self.slots.chunks_exact(2)) {
            let Transfer { amount, .. } = one.transfer;
            if one.transfer.transfer_id.is_some() {
                return None;
            }
            if is_invalid(&one.transfer) {
                one.outcome = Outcome::Rejected(Rejection::InvalidTransfer);
                continue;
            }
            let fits = self.accounts[slots[0] as usize].share.debit(amount)
                && self.accounts[slots[1] as usize].share.credit(amount);
            if !fits {
                return None;
            }
            applied += 1;
            one.outcome = Outcome::Committed;
        }
        Some(applied)
    }

    /// False where a balance is not what a transfer needs, or there is none.
    fn add_shares(&mut self) -> Result<bool, rusqlite::Error> {
        debug_assert_eq!(
            self.accounts
                .iter()
                .map(|account| i128::from(account.share.net))
                .sum::<i128>(),
            0,
            "a batch makes no money"
        );
        for Account { id, share, .. } in &self.accounts {
            let [least, most] = share.bounds();
            if share.net == 0 {
                let balance = balance_of(&mut self.read, *id)?;
                if balance.is_none_or(|balance| !(least..=most).contains(&balance)) {
                    return Ok(false);
                }
                continue;
            }
            self.add.raw_bind_parameter(1, share.net)?;
            self.add.raw_bind_parameter(2, *id)?;
            self.add.raw_bind_parameter(3, least)?;
            self.add.raw_bind_parameter(4, most)?;
            if self.add.raw_execute()? == 0 {
                return Ok(false);
            }
            self.changes.rows += 1;
        }
        Ok(true)
    }

    fn read_accounts(&mut self) -> Result<(), rusqlite::Error> {
        for account in &mut self.accounts {
            let balance = balance_of(&mut self.read, account.id)?;
            account.balance = balance.map(|now| Balance { before: now, now });
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

fn balance_of(read: &mut Statement<'_>, id: i64) -> Result<Option<i64>, rusqlite::Error> {
    let mut rows = read.query([id])?;
    rows.next()?.map(|row| row.get(0)).transpose()
}

/// The rules once more, in the order of their reasons in `PerTransfer`.
fn decide(transfer: &Transfer, slots: &[u32], accounts: &mut [Account]) -> Outcome {
    if is_invalid(transfer) {
        return Outcome::Rejected(Rejection::InvalidTransfer);
    }
    let (from, to) = (slots[0] as usize, slots[1] as usize);
    let (Some(source), Some(target)) = (accounts[from].balance, accounts[to].balance) else {
        return Outcome::Rejected(Rejection::AccountMissing);
    };
    if source.now < transfer.amount {
        return Outcome::Rejected(Rejection::InsufficientFunds);
    }
    let Some(received) = target.now.checked_add(transfer.amount) else {
        return Outcome::Rejected(Rejection::BalanceOverflow);
    };
    accounts[from].balance = Some(Balance {
        now: source.now - transfer.amount,
        ..source
    });
    accounts[to].balance = Some(Balance {
        now: received,
        ..target
    });
    Outcome::Committed
}
