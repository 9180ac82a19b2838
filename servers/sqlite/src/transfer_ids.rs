//! Exactly once: the first outcome of every transfer that carries an id.
//!
//! Outcomes are rows of a table that is only appended to, written in the transaction that
//! applied their transfers, and found through an index in memory that is read from the table at
//! start. A table ordered by id would need no index, but ids are random: each transfer would
//! change another page of it. There is no table before the first id, and a transfer without one
//! comes past none of this.
//!
//! **Architecture invariants**
//! - A transfer with an id is applied only if its outcome is stored in the same transaction.
//! - What is in memory is what the table holds: the changes of a transaction that is not
//!   committed are taken back.

mod index;
mod table;

use std::time::{Duration, Instant, SystemTime};

use busload_engine::{Failure, Outcome, Rejection};
use busload_wire::control::TransferIds;
use busload_wire::{Transfer, TransferId};
use rusqlite::Connection;

use index::Index;
pub(crate) use table::{COLUMNS, TABLE};
use table::{CREATE, Statements, id_of, outcome_of};

/// New ids from one look for expired ones to the next.
const LOOK_INTERVAL_IDS: u64 = 512;
/// Most ids that are forgotten at a look: more than come in between, so that forgetting keeps
/// up, and few enough not to be felt.
const FORGOTTEN_MAX: i64 = 1024;

/// The ids that are remembered, as far as they are in memory.
pub(crate) struct Remembered {
    index: Index,
    /// Whether there is a table.
    has_table: bool,
    /// The row for the next new id.
    next_seq: i64,
    /// `at_ms` of the first row.
    oldest_ms: Option<i64>,
    clock: Clock,
    horizon_ms: i64,
    max: usize,
    repeated: u64,
    conflicts: u64,
    /// Since the first id of the batch.
    batch: Option<Batch>,
    /// What the batch changed in the index, to be taken back if it is not committed.
    undo: Vec<Change>,
}

/// What the members of [`Remembered`] were before the batch.
struct Batch {
    now_ms: i64,
    had_table: bool,
    next_seq: i64,
    oldest_ms: Option<i64>,
    added: u64,
    wrote: bool,
}

enum Change {
    Added(TransferId),
    Forgotten(TransferId, i64),
}

/// The ledger's own time, in milliseconds: what has passed while it was served, as far as its ids
/// tell. It begins with the wall clock's time at the first id, only so that no number looks like
/// another, goes on from the latest time in the table at every start, and never looks at the wall
/// clock again: one that is set, or wrong at a start, makes no id older than it is. While nobody
/// serves the ledger its time stands still.
struct Clock {
    started: Instant,
    start_ms: i64,
}

impl Clock {
    fn start(latest_ms: Option<i64>) -> Self {
        Self {
            started: Instant::now(),
            start_ms: latest_ms.unwrap_or_else(wall_ms),
        }
    }

    fn now_ms(&self) -> i64 {
        self.start_ms.saturating_add(millis(self.started.elapsed()))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a number to begin with; nothing is measured by it"
)]
fn wall_ms() -> i64 {
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    millis(wall.unwrap_or_default())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Remembered {
    /// Reads what the table holds and has not expired. It is taken whole, even if it is more
    /// than `max`: none may be forgotten before its time.
    ///
    /// # Errors
    /// SQLite's, or `None` inside when the table holds what this program did not write.
    pub(crate) fn load(
        connection: &Connection,
        horizon: Duration,
        max: usize,
    ) -> Result<Option<Self>, rusqlite::Error> {
        let mut remembered = Self {
            index: Index::new(),
            has_table: connection.table_exists(None, TABLE)?,
            next_seq: 1,
            oldest_ms: None,
            clock: Clock::start(None),
            horizon_ms: millis(horizon),
            max,
            repeated: 0,
            conflicts: 0,
            batch: None,
            undo: Vec::new(),
        };
        if !remembered.has_table {
            return Ok(Some(remembered));
        }
        let latest = "SELECT max(at_ms) FROM (SELECT at_ms FROM transfer_ids
            ORDER BY seq DESC LIMIT 1)";
        let latest = connection.query_row(latest, [], |row| row.get(0))?;
        remembered.clock = Clock::start(latest);
        let now_ms = remembered.clock.now_ms();
        let mut all =
            connection.prepare("SELECT seq, id, at_ms, outcome FROM transfer_ids ORDER BY seq")?;
        let mut rows = all.query([])?;
        while let Some(row) = rows.next()? {
            let (seq, at_ms): (i64, i64) = (row.get(0)?, row.get(2)?);
            let (Some(id), Some(_)) = (id_of(row)?, outcome_of(row.get(3)?)) else {
                return Ok(None);
            };
            remembered.oldest_ms.get_or_insert(at_ms);
            remembered.next_seq = seq + 1;
            if !remembered.has_expired(at_ms, now_ms) {
                remembered.index.insert(id, seq);
            }
        }
        Ok(Some(remembered))
    }

    fn has_expired(&self, at_ms: i64, now_ms: i64) -> bool {
        now_ms.saturating_sub(at_ms) > self.horizon_ms
    }

    fn batch(&mut self) -> &mut Batch {
        self.batch.get_or_insert_with(|| Batch {
            now_ms: self.clock.now_ms(),
            had_table: self.has_table,
            next_seq: self.next_seq,
            oldest_ms: self.oldest_ms,
            added: 0,
            wrote: false,
        })
    }
}

/// The ids as the writing connection uses them, inside an open transaction.
pub(crate) struct IdBook<'c> {
    connection: &'c Connection,
    /// From the first id on.
    statements: Option<Statements<'c>>,
    remembered: &'c mut Remembered,
}

impl<'c> IdBook<'c> {
    pub(crate) fn new(connection: &'c Connection, remembered: &'c mut Remembered) -> Self {
        Self {
            connection,
            statements: None,
            remembered,
        }
    }

    /// The statements, and the table that they need.
    fn statements(&mut self) -> Result<&mut Statements<'c>, rusqlite::Error> {
        if !self.remembered.has_table {
            self.connection.execute_batch(CREATE)?;
            self.remembered.batch().wrote = true;
            self.remembered.has_table = true;
        }
        match &mut self.statements {
            Some(statements) => Ok(statements),
            none => Ok(none.insert(Statements::prepare(self.connection)?)),
        }
    }

    /// The outcome of a transfer with an id: the first one where it was made before, else that of
    /// `anew`, which is stored with it; or there is no room to remember more.
    pub(crate) fn once(
        &mut self,
        id: TransferId,
        transfer: &Transfer,
        anew: impl FnOnce() -> Result<Outcome, rusqlite::Error>,
    ) -> Result<Outcome, rusqlite::Error> {
        let added = self.remembered.batch().added;
        if let Some(seq) = self.remembered.index.get(id) {
            return self.compare(seq, transfer);
        }
        let max = self.remembered.max;
        if added.is_multiple_of(LOOK_INTERVAL_IDS) || self.remembered.index.len() >= max {
            self.forget_expired()?;
        }
        if self.remembered.index.len() >= max {
            return Ok(Outcome::Failed(Failure::Overloaded));
        }
        let outcome = anew()?;
        self.remember(id, transfer, outcome)?;
        Ok(outcome)
    }

    /// What came of the transfer that was made with this id, unless that was another one.
    fn compare(&mut self, seq: i64, transfer: &Transfer) -> Result<Outcome, rusqlite::Error> {
        let select = &mut self.statements()?.select;
        let payload = (transfer.from, transfer.to, transfer.amount);
        let (first, number): ((i64, i64, i64), i64) = select.query_row([seq], |row| {
            Ok(((row.get(0)?, row.get(1)?, row.get(2)?), row.get(3)?))
        })?;
        if first != payload {
            self.remembered.conflicts += 1;
            return Ok(Outcome::Rejected(Rejection::Conflict));
        }
        self.remembered.repeated += 1;
        outcome_of(number).ok_or(rusqlite::Error::IntegralValueOutOfRange(3, number))
    }

    /// Stores the first outcome of a transfer whose id was not known.
    fn remember(
        &mut self,
        id: TransferId,
        transfer: &Transfer,
        outcome: Outcome,
    ) -> Result<(), rusqlite::Error> {
        let Some(number) = outcome.first_number() else {
            return Ok(());
        };
        let (seq, now_ms) = (self.remembered.next_seq, self.remembered.batch().now_ms);
        let insert = &mut self.statements()?.insert;
        insert.raw_bind_parameter(1, seq)?;
        insert.raw_bind_parameter(2, id.to_u128().to_be_bytes())?;
        insert.raw_bind_parameter(3, transfer.from)?;
        insert.raw_bind_parameter(4, transfer.to)?;
        insert.raw_bind_parameter(5, transfer.amount)?;
        insert.raw_bind_parameter(6, number)?;
        insert.raw_bind_parameter(7, now_ms)?;
        insert.raw_execute()?;
        let remembered = &mut *self.remembered;
        remembered.index.insert(id, seq);
        remembered.undo.push(Change::Added(id));
        remembered.next_seq += 1;
        remembered.oldest_ms.get_or_insert(now_ms);
        let batch = remembered.batch();
        batch.added += 1;
        batch.wrote = true;
        Ok(())
    }

    /// Deletes some of the rows whose time is over, the oldest first.
    fn forget_expired(&mut self) -> Result<(), rusqlite::Error> {
        let now_ms = self.remembered.batch().now_ms;
        let oldest_ms = self.remembered.oldest_ms;
        if !oldest_ms.is_some_and(|at_ms| self.remembered.has_expired(at_ms, now_ms)) {
            return Ok(());
        }
        self.statements()?;
        let Some(statements) = &mut self.statements else {
            return Ok(());
        };
        let remembered = &mut *self.remembered;
        let mut last = None;
        remembered.oldest_ms = None;
        // One more than may be deleted tells what comes after them.
        let mut rows = statements.oldest.query([FORGOTTEN_MAX + 1])?;
        let mut seen = 0;
        while let Some(row) = rows.next()? {
            let at_ms = row.get(2)?;
            if seen == FORGOTTEN_MAX || !remembered.has_expired(at_ms, now_ms) {
                remembered.oldest_ms = Some(at_ms);
                break;
            }
            seen += 1;
            let seq = row.get(0)?;
            last = Some(seq);
            // The id may have come again since, and then has another row.
            if let Some(id) = id_of(row)?
                && remembered.index.get(id) == Some(seq)
            {
                remembered.index.remove(id);
                remembered.undo.push(Change::Forgotten(id, seq));
            }
        }
        drop(rows);
        if let Some(last) = last {
            remembered.batch().wrote = true;
            statements.delete.execute([last])?;
        }
        Ok(())
    }

    /// Whether the open transaction changed the table.
    pub(crate) fn wrote(&self) -> bool {
        let batch = self.remembered.batch.as_ref();
        batch.is_some_and(|batch| batch.wrote)
    }

    /// The transaction has ended. Without a commit nothing of it is remembered, and nothing
    /// forgotten.
    pub(crate) fn end_batch(&mut self, committed: bool) {
        let remembered = &mut *self.remembered;
        let Some(batch) = remembered.batch.take() else {
            return;
        };
        if committed {
            remembered.undo.clear();
            return;
        }
        for change in remembered.undo.drain(..).rev() {
            match change {
                Change::Added(id) => remembered.index.remove(id),
                Change::Forgotten(id, seq) => remembered.index.insert(id, seq),
            }
        }
        remembered.next_seq = batch.next_seq;
        remembered.oldest_ms = batch.oldest_ms;
        if remembered.has_table != batch.had_table {
            remembered.has_table = batch.had_table;
            self.statements = None;
        }
    }

    /// Whether a first outcome is stored for this id. After the end of a batch: durably.
    pub(crate) fn is_remembered(&self, id: TransferId) -> bool {
        self.remembered.index.get(id).is_some()
    }

    pub(crate) fn forget_all(&mut self) {
        self.statements = None;
        let remembered = &mut *self.remembered;
        remembered.index = Index::new();
        remembered.has_table = false;
        remembered.next_seq = 1;
        remembered.oldest_ms = None;
    }

    pub(crate) fn counts(&self) -> TransferIds {
        TransferIds {
            remembered: self.remembered.index.len() as u64,
            repeated: self.remembered.repeated,
            conflicts: self.remembered.conflicts,
        }
    }
}
