//! Whether there is room to write: a full disk makes the ledger read-only until a probe write
//! succeeds.

use std::time::{Duration, Instant};

use rusqlite::ErrorCode;

use crate::checkpoint::Checkpointer;
use crate::engine::EngineError;
use crate::place;
use crate::queue::ReplyPort;
use crate::store::Store;
use crate::trouble::{Reporter, Trouble};

/// Room on the disk, as far as is known.
pub(crate) struct Room {
    probe_interval: Duration,
    /// When to try again; none while there is room.
    next_probe: Option<Instant>,
}

impl Room {
    pub(crate) fn new(probe_interval: Duration) -> Self {
        Self {
            probe_interval,
            next_probe: None,
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.next_probe.is_some()
    }

    pub(crate) fn is_due(&self) -> bool {
        self.next_probe.is_some_and(|at| at <= Instant::now())
    }

    /// How long the writer may sleep without work; for ever while there is room.
    pub(crate) fn look_again(&self) -> Option<Duration> {
        let at = self.next_probe?;
        Some(at.saturating_duration_since(Instant::now()))
    }

    /// A write found no room, or the log has reached its limit.
    pub(crate) fn is_gone<P: ReplyPort>(&mut self, reporter: &mut Reporter<'_, P>) {
        self.next_probe = Some(Instant::now() + self.probe_interval);
        reporter.began(Trouble::StorageFull, || {
            "no room to write; transfers are refused until there is".to_owned()
        });
    }

    /// Tries to make room, and to write.
    ///
    /// # Errors
    /// A write that may or may not be durable: the engine must stop, as after a batch.
    pub(crate) fn probe<P: ReplyPort>(
        &mut self,
        store: &Store,
        checkpointer: &mut Checkpointer<'_>,
        reporter: &mut Reporter<'_, P>,
    ) -> Result<(), EngineError> {
        self.next_probe = Some(Instant::now() + self.probe_interval);
        // What is in the database can be overwritten in the log.
        checkpointer.make_room(reporter)?;
        if checkpointer.is_at_limit() {
            return Ok(());
        }
        match store.probe() {
            Ok(()) => {
                self.next_probe = None;
                reporter.over(Trouble::StorageFull);
                Ok(())
            }
            Err(error) => {
                // Rolled back, when the transaction was dropped at the latest.
                let rolled_back = store.connection.is_autocommit();
                let passes = matches!(
                    error.sqlite_error_code(),
                    Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
                ) || place::is_disk_full(&error, &store.connection);
                if rolled_back && passes {
                    Ok(())
                } else {
                    Err(EngineError::OutcomeUnknown(error))
                }
            }
        }
    }
}
