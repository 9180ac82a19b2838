//! Syncs and bytes of the write-ahead log, as the database counts them: of all who write to it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use busload_engine::{Io, IoReader};
use tokio_postgres::{Client, Row, Statement};

/// Counts that a connection has not reported yet are reported first; PostgreSQL 15 and later can
/// be told to.
const FLUSH: &str = "SELECT pg_stat_force_next_flush()";
/// Where syncs are counted: `pg_stat_wal` from PostgreSQL 14 to 17, from 18 on `pg_stat_io` alone,
/// a row for each kind of process and each purpose. A database knows one of them or none.
const READS: [&str; 2] = [
    "SELECT wal_sync::int8, wal_bytes::int8 FROM pg_stat_wal",
    "SELECT (SELECT sum(fsyncs) FROM pg_stat_io WHERE object = 'wal')::int8, wal_bytes::int8
     FROM pg_stat_wal",
];

pub(crate) struct Statements {
    flush: Option<Statement>,
    read: Statement,
}

impl Statements {
    /// `None` where the database does not count.
    pub(crate) async fn prepare(client: &Client) -> Option<Self> {
        let read = first_known(async |sql| client.prepare(sql).await.ok()).await?;
        let flush = client.prepare(FLUSH).await.ok();
        Some(Self { flush, read })
    }
}

/// The first of [`READS`] that the database takes.
async fn first_known<T>(prepare: impl AsyncFn(&'static str) -> Option<T>) -> Option<T> {
    for sql in READS {
        if let Some(prepared) = prepare(sql).await {
            return Some(prepared);
        }
    }
    None
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    syncs: u64,
    bytes: u64,
}

impl Counts {
    /// `None` where a row has no count.
    fn of(row: &Row) -> Option<Self> {
        let count = |column| {
            let counted = row.get::<_, Option<i64>>(column)?;
            u64::try_from(counted).ok()
        };
        Some(Self {
            syncs: count(0)?,
            bytes: count(1)?,
        })
    }
}

/// What was counted when the ledger was opened, and now; nothing where that is not told.
#[derive(Debug, Clone, Default)]
pub(crate) struct WalMeter(Arc<Mutex<Option<(Counts, Counts)>>>);

impl WalMeter {
    pub(crate) fn reader(&self) -> IoReader {
        let meter = self.clone();
        Box::new(move || {
            let (opening, now) = (*meter.counts())?;
            let mut io = Io::default();
            // The counts begin anew when somebody resets them, or another database takes over.
            io.syncs.wal = now.syncs.saturating_sub(opening.syncs);
            io.bytes_written.wal = now.bytes.saturating_sub(opening.bytes);
            Some(io)
        })
    }

    /// Counts from now on, if the database does.
    pub(crate) async fn begin(&self, client: &Client, statements: Option<&Statements>) {
        let read = read(client, statements).await;
        *self.counts() = read.map(|now| (now, now));
    }

    /// Asks again, of a database that counted at first. Without an answer the counts stay: they
    /// are no reason to stop.
    pub(crate) async fn refresh(&self, client: &Client, statements: Option<&Statements>) {
        if self.counts().is_none() {
            return;
        }
        let read = read(client, statements).await;
        if let (Some((_, now)), Some(read)) = (self.counts().as_mut(), read) {
            *now = read;
        }
    }

    fn counts(&self) -> MutexGuard<'_, Option<(Counts, Counts)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read(client: &Client, statements: Option<&Statements>) -> Option<Counts> {
    let statements = statements?;
    if let Some(flush) = &statements.flush {
        let _ = client.query(flush, &[]).await;
    }
    Counts::of(&client.query_one(&statements.read, &[]).await.ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is asked of a database that knows these names.
    fn asked(known: &[&str]) -> Option<&'static str> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let names = ["pg_stat_wal", "pg_stat_io", "wal_sync", "wal_bytes"];
        let takes = |sql: &str| {
            let mut in_it = names.iter().filter(|name| sql.contains(**name));
            in_it.all(|name| known.contains(name))
        };
        runtime.block_on(first_known(async |sql| takes(sql).then_some(sql)))
    }

    #[test]
    fn each_version_is_asked_for_what_it_counts() {
        let older = asked(&["pg_stat_wal", "pg_stat_io", "wal_sync", "wal_bytes"]);
        assert_eq!(older, Some(READS[0]));
        let newer = asked(&["pg_stat_wal", "pg_stat_io", "wal_bytes"]);
        assert_eq!(newer, Some(READS[1]));
        assert_eq!(asked(&[]), None);
    }

    #[test]
    fn what_was_not_told_is_no_count_of_zero() {
        let meter = WalMeter::default();
        assert!(meter.reader()().is_none());
        let counts = |syncs| Counts { syncs, bytes: 0 };
        *meter.counts() = Some((counts(5), counts(8)));
        assert_eq!(meter.reader()().unwrap().syncs.wal, 3);
    }
}
