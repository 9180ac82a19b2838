//! What PostgreSQL says no with, and what follows from it.

use std::error::Error as _;
use std::path::PathBuf;
use std::sync::Arc;

use busload_engine::EngineError;
use tokio_postgres::Error;
use tokio_postgres::error::{Severity, SqlState};

/// Why a URL cannot be used. Says nothing of what is in it.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// Anybody on the machine can read arguments.
    #[error(
        "the URL of the database has a password, which others can read there: take it out, and put \
         it into the variable PGPASSWORD or a passfile (PGPASSFILE, ~/.pgpass)"
    )]
    Password,
    /// It is none.
    #[error("cannot use the URL of the database: {0}; write postgres://USER@HOST:PORT/DATABASE")]
    Malformed(String),
    /// A way to encrypt that is not spoken.
    #[error(
        "sslmode must be disable, prefer, require, verify-ca or verify-full; all but disable check \
         the certificate of whoever speaks TLS"
    )]
    SslMode,
    /// Certificates to trust.
    #[error("cannot read the certificates of sslrootcert: {0}")]
    Certificates(#[from] busload_net::tls::TlsError),
    /// The system has none.
    #[error("this system has no certificates to trust: name a file with sslrootcert=FILE")]
    NoCertificates,
    /// The library was built without what is needed.
    #[error("no TLS to the database: {0}")]
    Tls(String),
}

/// What went wrong in talking to the database.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Fault {
    /// The connection is of no use any more, and nothing that was asked over it is committed.
    #[error("the connection to the database was lost: {0}")]
    Lost(String),
    /// The transaction was rolled back for another one's sake: the same may succeed now.
    #[error("the transaction met another one: {0}")]
    Conflict(String),
    /// No room; rolled back.
    #[error("the database has no room: {0}")]
    Full(String),
    /// Rolled back for what will not change by itself.
    #[error("the database refuses: {0}")]
    Refused(String),
    /// It may have been committed, or is committed without what it was to wait for.
    #[error("the outcome of a COMMIT is open: {0}")]
    InDoubt(String),
}

impl Fault {
    /// An error before COMMIT was sent.
    pub(crate) fn before_commit(error: &Error) -> Self {
        Self::of(error, false)
    }

    /// An error of a statement after which COMMIT was sent as well, without waiting. What the
    /// database itself says of the statement is that nothing after it is committed; a connection
    /// that breaks says nothing.
    pub(crate) fn with_commit_sent(error: &Error) -> Self {
        Self::of(error, error.as_db_error().is_none())
    }

    /// An error of COMMIT itself.
    pub(crate) fn at_commit(error: &Error) -> Self {
        Self::of(error, true)
    }

    /// BEGIN failed, and statements that change something were sent after it.
    pub(crate) fn without_begin(error: &Error) -> Self {
        Self::InDoubt(describe(error))
    }

    fn of(error: &Error, may_be_committed: bool) -> Self {
        let text = describe(error);
        let Some(db) = error.as_db_error() else {
            return if may_be_committed {
                Self::InDoubt(text)
            } else {
                Self::Lost(text)
            };
        };
        let code = db.code();
        // What a distributed database says when it does not know.
        if *code == SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN {
            return Self::InDoubt(text);
        }
        if *code == SqlState::T_R_SERIALIZATION_FAILURE || *code == SqlState::T_R_DEADLOCK_DETECTED
        {
            return Self::Conflict(text);
        }
        let ends_the_connection = !matches!(db.parsed_severity(), Some(Severity::Error))
            || ["08", "57P", "XX", "58"]
                .iter()
                .any(|class| code.code().starts_with(class));
        if ends_the_connection && may_be_committed {
            return Self::InDoubt(text);
        }
        // A standby takes no transfers: whoever connects anew may find who does.
        if ends_the_connection || *code == SqlState::READ_ONLY_SQL_TRANSACTION {
            return Self::Lost(text);
        }
        if *code == SqlState::DISK_FULL {
            return Self::Full(text);
        }
        Self::Refused(text)
    }

    /// Whether the connection can be used no more. A transaction that was rolled back leaves it
    /// as it was.
    pub(crate) const fn ends_the_session(&self) -> bool {
        matches!(self, Self::Lost(_) | Self::InDoubt(_))
    }
}

impl From<Fault> for EngineError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Full(_) => Self::StorageFull,
            Fault::InDoubt(_) => Self::InDoubt(Arc::new(fault)),
            _ => Self::Storage(Arc::new(fault)),
        }
    }
}

/// The library's own text is "db error" where the database said something.
fn describe(error: &Error) -> String {
    if let Some(db) = error.as_db_error() {
        return format!("{} (SQLSTATE {})", db.message(), db.code().code());
    }
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// The ledger cannot be opened in the database.
pub(crate) fn cannot_open(database: &str, fault: &dyn std::fmt::Display) -> EngineError {
    EngineError::CannotOpen {
        database: PathBuf::from(database),
        why: fault.to_string(),
        remedy: "check that it runs and lets this user in (--engine, PGPASSWORD, PGPASSFILE)",
    }
}
