//! One connection: made, spoken over, given up.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio_postgres::error::Severity;
use tokio_postgres::{AsyncMessage, Client, Statement};

use crate::address::Address;
use crate::error::Fault;
use crate::ids;
use crate::sql::{LOCK, MOVE, WRITE};
use crate::wal;

/// Longest wait for what one batch asks the database in one go: after it the connection is given
/// up. A COMMIT that waits for a standby which is gone waits so long.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the database lets a statement wait for rows that another transaction has locked, and
/// how often it looks whether this program is still there. A database that knows one of them not
/// goes on without.
const SESSION_SETTINGS: [&str; 3] = [
    "SET lock_timeout = '10s'",
    "SET client_connection_check_interval = '2s'",
    "SET idle_in_transaction_session_timeout = '60s'",
];

/// A connection and what is prepared over it. Dropping it closes it.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) statements: Statements,
    warnings: Arc<AtomicU64>,
    driver: AbortHandle,
}

/// Prepared once a connection, when the tables are there.
pub(crate) struct Statements {
    pub(crate) lock: Statement,
    pub(crate) write: Statement,
    pub(crate) transfer: Statement,
    pub(crate) ids: ids::Statements,
    pub(crate) wal: Option<wal::Statements>,
}

/// A connection over which nothing is prepared yet.
pub(crate) struct Bare {
    pub(crate) client: Client,
    warnings: Arc<AtomicU64>,
    driver: AbortHandle,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Waits, but not for ever.
pub(crate) async fn within<T>(
    limit: Duration,
    asked: impl Future<Output = Result<T, Fault>>,
    otherwise: fn(String) -> Fault,
) -> Result<T, Fault> {
    match tokio::time::timeout(limit, asked).await {
        Ok(answered) => answered,
        Err(_) => Err(otherwise(format!("no answer within {limit:?}"))),
    }
}

/// Waits for an answer to a batch.
pub(crate) async fn answered<T>(
    asked: impl Future<Output = Result<T, Fault>>,
    otherwise: fn(String) -> Fault,
) -> Result<T, Fault> {
    within(ANSWER_TIMEOUT, asked, otherwise).await
}

impl Bare {
    /// Connects. What the connection says meanwhile is read by a task of the runtime that this is
    /// called in.
    pub(crate) async fn connect(address: &Address) -> Result<Self, Fault> {
        // On the heap: it is large, and part of all that wait for it.
        let connected = Box::pin(address.connect.connect(address.tls.clone()));
        let connected = async { connected.await.map_err(|e| Fault::before_commit(&e)) };
        let (client, mut connection) = answered(connected, Fault::Lost).await?;
        let warnings = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&warnings);
        // In the order in which the database says it: a warning before a COMMIT's answer is
        // counted when that is there.
        let driver = tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notice(notice) = message
                    && notice.parsed_severity() == Some(Severity::Warning)
                {
                    counted.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        let driver = driver.abort_handle();
        for setting in SESSION_SETTINGS {
            if let Err(error) = client.batch_execute(setting).await
                && error.as_db_error().is_none()
            {
                return Err(Fault::before_commit(&error));
            }
        }
        Ok(Self {
            client,
            warnings,
            driver,
        })
    }

    pub(crate) async fn prepare(self) -> Result<Session, Fault> {
        let client = &self.client;
        let prepare = |sql: &'static str| async move {
            client
                .prepare(sql)
                .await
                .map_err(|e| Fault::before_commit(&e))
        };
        let statements = Statements {
            lock: prepare(LOCK).await?,
            write: prepare(WRITE).await?,
            transfer: prepare(MOVE).await?,
            ids: ids::Statements::prepare(client).await?,
            wal: wal::Statements::prepare(client).await,
        };
        let Self {
            client,
            warnings,
            driver,
        } = self;
        Ok(Session {
            client,
            statements,
            warnings,
            driver,
        })
    }
}

impl Session {
    /// Has the log's counts begin.
    pub(crate) async fn begin(&self, wal: &wal::WalMeter) {
        wal.begin(&self.client, self.statements.wal.as_ref()).await;
    }

    /// Has the log's counts read over this connection.
    pub(crate) async fn refresh(&self, wal: &wal::WalMeter) {
        wal.refresh(&self.client, self.statements.wal.as_ref())
            .await;
    }

    pub(crate) async fn connect(address: &Address) -> Result<Self, Fault> {
        Bare::connect(address).await?.prepare().await
    }

    /// Warnings of the database so far.
    pub(crate) fn warnings(&self) -> u64 {
        self.warnings.load(Ordering::SeqCst)
    }
}
