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
    /// Bytes of a request line and headers; of these there are at most 100.
    pub header_bytes: usize,
    /// Bytes of an HTTP body.
    pub body_bytes: usize,
    /// Bytes of a WebSocket message, and of a single frame.
    pub message_bytes: usize,
    /// Bytes of memory for what all connections together have sent of requests that are not whole
    /// yet, and for the buffers that large ones came through.
    pub input_memory: usize,
    /// Connections that the kernel has accepted and the server has not, as far as the operating
    /// system allows so many.
    pub backlog: u32,
    /// From the first byte of a request until its headers are complete; on a WebSocket server
    /// the first one's, which is the handshake, from the accepting of the connection. Where the
    /// first bytes were read together with the request before, they are in the HTTP library's
    /// buffer, unseen, and the idle limit is the one that counts.
    pub header_timeout: Duration,
    /// Until an HTTP body is complete.
    pub body_timeout: Duration,
    /// How long a connection may be open without a request, and without an answer under way.
    pub idle_timeout: Duration,
    /// How long a peer may take no byte while answers wait.
    pub write_timeout: Duration,
    /// Silence after which the peer of a WebSocket is pinged.
    pub ping_interval: Duration,
    /// From the ping until anything must have come.
    pub ping_timeout: Duration,
    /// From the close frame that the server sends until the peer has closed its side.
    pub close_timeout: Duration,
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
            header_bytes: 32 * 1024,
            body_bytes: 64 * 1024,
            message_bytes: 1024 * 1024,
            input_memory: 256 * 1024 * 1024,
            backlog: 4_096,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(20),
            ping_timeout: Duration::from_secs(20),
            close_timeout: Duration::from_secs(1),
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}

/// How long a request whose headers are incomplete may hold up a stop.
pub(crate) const STOP_HEADER_TIMEOUT: Duration = Duration::from_secs(1);

/// The smallest bound of what an HTTP connection may have buffered in each direction.
pub(crate) const HTTP_BUFFER_BYTES: usize = 64 * 1024;

/// Room for the longest answer, that of `stats` with histograms, in a WebSocket's buffer.
pub(crate) const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Requests that one connection may bring in before the others get their turn.
pub(crate) const REQUESTS_PER_TURN: usize = 1024;

/// Read buffer of a WebSocket. Small on purpose: the library zero-fills it before every
/// read.
pub(crate) const READ_BUFFER_BYTES: usize = 4 * 1024;

/// Written to the socket when this much has gathered, or at the end of a turn.
pub(crate) const WRITE_BUFFER_BYTES: usize = 64 * 1024;

/// Answers in one binary message: keeps it below every client's message limit.
pub(crate) const OUTCOMES_PER_MESSAGE: usize = 4096;
