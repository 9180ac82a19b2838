//! Syncs and bytes of the write-ahead log, as the database counts them: of all who write to it.

use std::sync::{Arc, Mutex, PoisonError};

use busload_engine::{Io, IoReader};
use tokio_postgres::{Client, Statement};

/// Counts that a connection has not reported yet are reported first; PostgreSQL 15 and later can
/// be told to.
const FLUSH: &str = "SELECT pg_stat_force_next_flush()";
const READ: &str = "SELECT wal_sync, wal_bytes::int8 FROM pg_stat_wal";

pub(crate) struct Statements {
    flush: Option<Statement>,
    read: Statement,
}

impl Statements {
    /// `None` where the database does not count.
    pub(crate) async fn prepare(client: &Client) -> Option<Self> {
        let read = client.prepare(READ).await.ok()?;
        let flush = client.prepare(FLUSH).await.ok();
        Some(Self { flush, read })
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    syncs: u64,
    bytes: u64,
}

/// What was counted since the ledger was opened.
#[derive(Debug, Clone, Default)]
pub(crate) struct WalMeter(Arc<Mutex<(Option<Counts>, Counts)>>);

impl WalMeter {
    pub(crate) fn reader(&self) -> IoReader {
        let meter = self.clone();
        Box::new(move || {
            let counts = meter.0.lock().unwrap_or_else(PoisonError::into_inner);
            let (opening, now) = *counts;
            let opening = opening.unwrap_or_default();
            let mut io = Io::default();
            // The counts begin anew when somebody resets them, or another database takes over.
            io.syncs.wal = now.syncs.saturating_sub(opening.syncs);
            io.bytes_written.wal = now.bytes.saturating_sub(opening.bytes);
            io
        })
    }

    /// Asks, if this database counts. Without an answer the counts stay: they are no reason to
    /// stop.
    pub(crate) async fn refresh(&self, client: &Client, statements: Option<&Statements>) {
        let Some(statements) = statements else {
            return;
        };
        if let Some(flush) = &statements.flush {
            let _ = client.query(flush, &[]).await;
        }
        let Ok(row) = client.query_one(&statements.read, &[]).await else {
            return;
        };
        let count = |column| u64::try_from(row.get::<_, i64>(column)).unwrap_or(0);
        let now = Counts {
            syncs: count(0),
            bytes: count(1),
        };
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.0.get_or_insert(now);
        counts.1 = now;
    }
}
