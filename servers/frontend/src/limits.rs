//! Bounds of everything that a client can make the front end hold.

use std::time::Duration;

/// What one client, or all of them together, may use.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Transfers in flight on one connection. Past it the server stops reading from the
    /// connection until answers have been written.
    pub inflight_per_connection: usize,
    /// Connections at the same time; further ones wait in the listen backlog.
    pub connections: usize,
    /// Bytes of an HTTP body.
    pub body_bytes: usize,
    /// Bytes of a WebSocket message, and of a single frame.
    pub message_bytes: usize,
    /// From accepting a connection, or finishing a request, until the next request's
    /// headers are complete.
    pub header_timeout: Duration,
    /// Until an HTTP body is complete.
    pub body_timeout: Duration,
    /// From the signal to stop until everything queued is answered and written.
    pub shutdown_timeout: Duration,
}

impl Limits {
    /// The limits that the server has when nothing else is said.
    #[must_use]
    pub const fn standard() -> Self {
        Self {
            inflight_per_connection: 16_384,
            connections: 16_384,
            body_bytes: 64 * 1024,
            message_bytes: 1024 * 1024,
            header_timeout: Duration::from_mins(1),
            body_timeout: Duration::from_secs(10),
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}

/// Requests that one connection may bring in before the others get their turn.
pub(crate) const REQUESTS_PER_TURN: usize = 1024;

/// Read buffer of a WebSocket. Small on purpose: the library zero-fills it before every
/// read.
pub(crate) const READ_BUFFER_BYTES: usize = 4 * 1024;

/// Written to the socket when this much has gathered, or at the end of a turn.
pub(crate) const WRITE_BUFFER_BYTES: usize = 64 * 1024;

/// Answers in one binary message: keeps it below every client's message limit.
pub(crate) const OUTCOMES_PER_MESSAGE: usize = 4096;
