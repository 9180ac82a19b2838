//! Exactly once: an id is a row of a table with a unique index over ids, inserted by the
//! transaction that applies its transfer.
//!
//! An id is new if the transaction could insert it, and in no other case: while another
//! transaction has it and is not over, perhaps one whose connection was lost at COMMIT, the insert
//! waits in the index for what becomes of that. That an id is not found says nothing.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as MapEntry;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use busload_engine::{Outcome, Rejection};
use busload_wire::control::TransferIds;
use busload_wire::{Transfer, TransferId};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::error::Fault;

/// New ids from one look for expired ones to the next.
pub(crate) const LOOK_INTERVAL_IDS: u64 = 1_000;
/// Most ids that are forgotten at a look: more than come in between.
const FORGOTTEN_MAX: i64 = 2_000;

/// In the order of their ids, in which they wait for each other.
const INSERT: &str = "INSERT INTO busload.transfer_ids(id, payer, receiver, amount)
    SELECT * FROM unnest($1::uuid[], $2::int8[], $3::int8[], $4::int8[])
    ON CONFLICT (id) DO NOTHING RETURNING id";
const FIND: &str = "SELECT id, payer, receiver, amount, outcome FROM busload.transfer_ids
    WHERE id = ANY($1::uuid[])";
/// An id is inserted as that of a committed transfer, which most are.
const AMEND: &str = "UPDATE busload.transfer_ids AS t SET outcome = u.outcome
    FROM unnest($1::uuid[], $2::int2[]) AS u(id, outcome) WHERE t.id = u.id";
/// Passes over what another writer is at.
const FORGET: &str = "DELETE FROM busload.transfer_ids WHERE id IN (
    SELECT id FROM busload.transfer_ids WHERE at < now() - $1::float8 * interval '1 second'
    ORDER BY at LIMIT $2::int8 FOR UPDATE SKIP LOCKED)";

pub(crate) struct Statements {
    insert: tokio_postgres::Statement,
    find: tokio_postgres::Statement,
    amend: tokio_postgres::Statement,
    forget: tokio_postgres::Statement,
}

impl Statements {
    pub(crate) async fn prepare(client: &Client) -> Result<Self, Fault> {
        let prepare = |sql| async move {
            client
                .prepare(sql)
                .await
                .map_err(|e| Fault::before_commit(&e))
        };
        Ok(Self {
            insert: prepare(INSERT).await?,
            find: prepare(FIND).await?,
            amend: prepare(AMEND).await?,
            forget: prepare(FORGET).await?,
        })
    }
}

/// What all writers of a ledger count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct IdCounts(Arc<[AtomicU64; 3]>);

impl IdCounts {
    /// The number of ids that the table has.
    pub(crate) async fn load(&self, client: &Client) -> Result<(), Fault> {
        let count = client
            .query_one("SELECT count(*) FROM busload.transfer_ids", &[])
            .await;
        let count = count.map_err(|error| Fault::before_commit(&error))?;
        let count = u64::try_from(count.get::<_, i64>(0)).unwrap_or(0);
        self.0[0].store(count, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn seeded(&self) {
        self.0[0].store(0, Ordering::Relaxed);
    }

    /// A batch was committed.
    pub(crate) fn add(&self, changes: &IdChanges) {
        let [remembered, repeated, conflicts] = &*self.0;
        remembered.fetch_add(changes.added, Ordering::Relaxed);
        // Another server may have added what is forgotten here.
        let less = |count: u64| Some(count.saturating_sub(changes.forgotten));
        let _ = remembered.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        repeated.fetch_add(changes.repeated, Ordering::Relaxed);
        conflicts.fetch_add(changes.conflicts, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> TransferIds {
        let [remembered, repeated, conflicts] = &*self.0;
        TransferIds {
            remembered: remembered.load(Ordering::Relaxed),
            repeated: repeated.load(Ordering::Relaxed),
            conflicts: conflicts.load(Ordering::Relaxed),
        }
    }
}

/// What a batch did to ids.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct IdChanges {
    pub(crate) added: u64,
    pub(crate) forgotten: u64,
    repeated: u64,
    conflicts: u64,
}

/// The ids of a batch.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    all: BTreeMap<Uuid, Entry>,
    pub(crate) changes: IdChanges,
}

#[derive(Debug)]
struct Entry {
    /// Which transfer of the batch has it first.
    place: usize,
    /// What it is the id of: that transfer, until the database says another.
    payload: (i64, i64, i64),
    is_new: bool,
    outcome: Option<Outcome>,
}

fn uuid(id: TransferId) -> Uuid {
    Uuid::from_u128(id.to_u128())
}

const fn payload(transfer: &Transfer) -> (i64, i64, i64) {
    (transfer.from, transfer.to, transfer.amount)
}

impl Ids {
    pub(crate) fn of(transfers: &[Transfer]) -> Self {
        let mut all = BTreeMap::new();
        for (place, transfer) in transfers.iter().enumerate() {
            let Some(id) = transfer.transfer_id else {
                continue;
            };
            if let MapEntry::Vacant(vacant) = all.entry(uuid(id)) {
                vacant.insert(Entry {
                    place,
                    payload: payload(transfer),
                    is_new: false,
                    outcome: None,
                });
            }
        }
        let changes = IdChanges::default();
        Self { all, changes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Inserts them, and waits for whoever has one of them. Which of them are new is what comes
    /// back.
    pub(crate) async fn insert(
        &self,
        client: &Client,
        statements: &Statements,
    ) -> Result<Vec<Uuid>, tokio_postgres::Error> {
        if self.all.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<Uuid> = self.all.keys().copied().collect();
        let column = |of: fn((i64, i64, i64)) -> i64| -> Vec<i64> {
            self.all.values().map(|entry| of(entry.payload)).collect()
        };
        let (payers, receivers) = (column(|payload| payload.0), column(|payload| payload.1));
        let amounts = column(|payload| payload.2);
        let rows = client
            .query(&statements.insert, &[&ids, &payers, &receivers, &amounts])
            .await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Notes which are new, and reads what became of the others. Each has a row now that is
    /// committed: the insert has waited for it.
    pub(crate) async fn inserted(
        &mut self,
        new: &[Uuid],
        client: &Client,
        statements: &Statements,
    ) -> Result<(), Fault> {
        for id in new {
            if let Some(entry) = self.all.get_mut(id) {
                entry.is_new = true;
            }
        }
        self.changes.added = new.len() as u64;
        let known = self.all.iter().filter(|(_, entry)| !entry.is_new);
        let known: Vec<Uuid> = known.map(|(id, _)| *id).collect();
        if known.is_empty() {
            return Ok(());
        }
        let rows = client.query(&statements.find, &[&known]).await;
        let rows = rows.map_err(|error| Fault::before_commit(&error))?;
        // One that was forgotten in between is new the next time.
        if rows.len() < known.len() {
            return Err(Fault::Conflict("an id was forgotten meanwhile".to_owned()));
        }
        for row in rows {
            let number = row.get::<_, i16>(4);
            let outcome = u16::try_from(number)
                .ok()
                .and_then(Outcome::from_first_number);
            let Some(entry) = self.all.get_mut(&row.get(0)) else {
                continue;
            };
            entry.payload = (row.get(1), row.get(2), row.get(3));
            entry.outcome = outcome;
            if outcome.is_none() {
                let what =
                    format!("transfer_ids holds the outcome {number}, which no server wrote");
                return Err(Fault::Refused(what));
            }
        }
        Ok(())
    }

    /// Whether the transfer at this place is to be applied: it has no id, or is the first of a new
    /// one.
    pub(crate) fn is_anew(&self, place: usize, transfer: &Transfer) -> bool {
        let Some(id) = transfer.transfer_id else {
            return true;
        };
        let entry = self.all.get(&uuid(id));
        entry.is_some_and(|entry| entry.is_new && entry.place == place)
    }

    /// The outcome of a transfer: the first one of its id, or that of `anew`. In the order of the
    /// batch.
    pub(crate) fn once(&mut self, transfer: &Transfer, anew: impl FnOnce() -> Outcome) -> Outcome {
        let entry = transfer.transfer_id.map(uuid);
        let Some(entry) = entry.and_then(|id| self.all.get_mut(&id)) else {
            return anew();
        };
        let Some(first) = entry.outcome else {
            return *entry.outcome.insert(anew());
        };
        if entry.payload == payload(transfer) {
            self.changes.repeated += 1;
            first
        } else {
            self.changes.conflicts += 1;
            Outcome::Rejected(Rejection::Conflict)
        }
    }

    /// Stores the outcomes of new ids whose transfers were refused.
    pub(crate) async fn amend(
        &self,
        client: &Client,
        statements: &Statements,
    ) -> Result<(), tokio_postgres::Error> {
        let refused = self.all.iter().filter_map(|(id, entry)| {
            let number = entry.outcome?.first_number().filter(|number| *number > 0)?;
            entry.is_new.then_some((*id, i16::try_from(number).ok()?))
        });
        let (ids, numbers): (Vec<Uuid>, Vec<i16>) = refused.unzip();
        if ids.is_empty() {
            return Ok(());
        }
        client
            .execute(&statements.amend, &[&ids, &numbers])
            .await
            .map(drop)
    }
}

/// Deletes some of the rows whose time is over, the oldest first; says how many.
pub(crate) async fn forget(
    client: &Client,
    statements: &Statements,
    horizon: Duration,
) -> Result<u64, tokio_postgres::Error> {
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 2] =
        [&horizon.as_secs_f64(), &FORGOTTEN_MAX];
    client.execute(&statements.forget, &parameters).await
}
