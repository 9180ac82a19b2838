//! The transaction of a batch: BEGIN, every transfer, COMMIT, and what an error in it means.

use busload_engine::{Ended, Failure, Work};
use rusqlite::{Connection, ErrorCode, Statement};

use crate::applier::Applier;
use crate::error::in_doubt;
use crate::preflight;

/// BEGIN, COMMIT and ROLLBACK, prepared once.
pub(crate) struct Transaction<'c> {
    begin: Statement<'c>,
    commit: Statement<'c>,
    rollback: Statement<'c>,
    connection: &'c Connection,
}

impl<'c> Transaction<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            begin: connection.prepare("BEGIN IMMEDIATE")?,
            commit: connection.prepare("COMMIT")?,
            rollback: connection.prepare("ROLLBACK")?,
            connection,
        })
    }

    pub(crate) fn apply(
        &mut self,
        applier: &mut Applier<'_>,
        batch: &mut [Vec<Work>],
    ) -> Result<(), rusqlite::Error> {
        loop {
            self.begin.raw_execute()?;
            if applier.apply_all(batch)? {
                return Ok(());
            }
            self.rollback.raw_execute()?;
            applier.take_changes();
        }
    }

    /// COMMIT, unless all that was written was taken back: a batch of rejections syncs
    /// nothing.
    pub(crate) fn end(&mut self, applier: &mut Applier<'_>) -> Result<(), rusqlite::Error> {
        if applier.is_noop() {
            self.rollback.raw_execute()?;
            applier.take_changes();
        } else {
            self.commit.raw_execute()?;
        }
        Ok(())
    }

    /// Ends the transaction that `error` broke, and judges it: after an I/O error `SQLite` would
    /// reuse the place in the log, and the kernel has marked the pages clean.
    pub(crate) fn give_up(&mut self, error: rusqlite::Error) -> Ended {
        let rolled_back =
            self.connection.is_autocommit() || self.connection.execute_batch("ROLLBACK").is_ok();
        if rolled_back && preflight::is_disk_full(&error, self.connection) {
            return Ended::RolledBack(Failure::StorageFull);
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) if rolled_back => {
                Ended::RolledBack(Failure::Overloaded)
            }
            _ => Ended::InDoubt(in_doubt(error)),
        }
    }
}
