//! The table of ids: its form, and what its rows mean.

use busload_engine::Outcome;
use busload_wire::TransferId;
use rusqlite::{Connection, Statement};

pub(crate) const TABLE: &str = "transfer_ids";

/// Its columns, in their order. `id` has its 16 bytes in the order of its hexadecimal digits;
/// `outcome` is 0 for committed, else the number of the error code; `at_ms` is the
/// ledger's own time, never less than in the row before.
pub(crate) const COLUMNS: &str = "seq id payer receiver amount outcome at_ms";

pub(super) const CREATE: &str = "CREATE TABLE transfer_ids(
    seq INTEGER PRIMARY KEY, id BLOB NOT NULL, payer INTEGER NOT NULL, receiver INTEGER NOT NULL,
    amount INTEGER NOT NULL, outcome INTEGER NOT NULL, at_ms INTEGER NOT NULL) STRICT";

pub(super) fn outcome_of(number: i64) -> Option<Outcome> {
    u16::try_from(number)
        .ok()
        .and_then(Outcome::from_first_number)
}

/// The id in a row, or `None` when it is none of ours.
pub(super) fn id_of(row: &rusqlite::Row<'_>) -> Result<Option<TransferId>, rusqlite::Error> {
    let bytes = row.get_ref(1)?.as_blob().ok();
    let bytes: Option<[u8; 16]> = bytes.and_then(|bytes| bytes.try_into().ok());
    Ok(bytes.map(|bytes| TransferId::from_u128(u128::from_be_bytes(bytes))))
}

pub(super) struct Statements<'c> {
    pub(super) insert: Statement<'c>,
    pub(super) select: Statement<'c>,
    pub(super) oldest: Statement<'c>,
    pub(super) delete: Statement<'c>,
}

impl<'c> Statements<'c> {
    pub(super) fn prepare(connection: &'c Connection) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            insert: connection.prepare(
                "INSERT INTO transfer_ids(seq, id, payer, receiver, amount, outcome, at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?,
            select: connection.prepare(
                "SELECT payer, receiver, amount, outcome FROM transfer_ids WHERE seq = ?1",
            )?,
            oldest: connection
                .prepare("SELECT seq, id, at_ms FROM transfer_ids ORDER BY seq LIMIT ?1")?,
            delete: connection.prepare("DELETE FROM transfer_ids WHERE seq <= ?1")?,
        })
    }
}
