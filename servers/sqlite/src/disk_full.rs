//! Whether there is room to write: a full disk makes the ledger read-only until a probe write
//! succeeds.

use std::time::{Duration, Instant};

use busload_engine::{Degradation, EngineError, Monitor};
use rusqlite::ErrorCode;

use crate::checkpoint::Checkpointer;
use crate::error::in_doubt;
use crate::preflight;
use crate::store::Store;

/// Whether the disk is full, as far as is known.
pub(crate) struct DiskFull {
    probe_interval: Duration,
    /// When to try again; none while there is room.
    next_probe: Option<Instant>,
}

impl DiskFull {
    pub(crate) fn new(probe_interval: Duration) -> Self {
        Self {
            probe_interval,
            next_probe: None,
        }
    }

    pub(crate) fn is_due(&self) -> bool {
        self.next_probe.is_some_and(|at| at <= Instant::now())
    }

    /// How long the writer may sleep without work; for ever while there is room.
    pub(crate) fn next_look(&self) -> Option<Duration> {
        let at = self.next_probe?;
        Some(at.saturating_duration_since(Instant::now()))
    }

    /// A write found no room, or the log has reached its limit.
    pub(crate) fn began(&mut self, monitor: &mut Monitor) {
        self.next_probe = Some(Instant::now() + self.probe_interval);
        monitor.began(Degradation::StorageFull, || {
            "no room to write; transfers are refused until there is".to_owned()
        });
    }

    /// Tries to make room, and to write.
    ///
    /// # Errors
    /// A write that may or may not be durable: the engine must stop, as after a batch.
    pub(crate) fn probe(
        &mut self,
        store: &Store,
        checkpointer: &mut Checkpointer<'_>,
        monitor: &mut Monitor,
    ) -> Result<(), EngineError> {
        self.next_probe = Some(Instant::now() + self.probe_interval);
        // What is in the database can be overwritten in the log.
        checkpointer.free_log(monitor)?;
        if checkpointer.is_at_limit() {
            return Ok(());
        }
        match store.probe() {
            Ok(()) => {
                self.next_probe = None;
                monitor.over(Degradation::StorageFull);
                Ok(())
            }
            Err(error) => {
                // Rolled back, when the transaction was dropped at the latest.
                let rolled_back = store.connection.is_autocommit();
                let passes = matches!(
                    error.sqlite_error_code(),
                    Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
                ) || preflight::is_disk_full(&error, &store.connection);
                if rolled_back && passes {
                    Ok(())
                } else {
                    Err(in_doubt(error))
                }
            }
        }
    }
}
