//! The connectors by name.

/// The connectors by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectorKind {
    /// `sqlite_rpc`: HTTP.
    SqliteRpc,
    /// `sqlite_ws_rpc`: WebSocket.
    SqliteWsRpc,
}

impl ConnectorKind {
    /// The name in records and on the command line, the original benchmark's.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SqliteRpc => "sqlite_rpc",
            Self::SqliteWsRpc => "sqlite_ws_rpc",
        }
    }

    /// `http` or `ws`.
    #[must_use]
    pub const fn transport(self) -> &'static str {
        match self {
            Self::SqliteRpc => "http",
            Self::SqliteWsRpc => "ws",
        }
    }

    /// Transfers in flight per worker when nothing else is said.
    #[must_use]
    pub const fn default_inflight(self) -> usize {
        match self {
            Self::SqliteRpc => 1,
            Self::SqliteWsRpc => 16,
        }
    }

    /// The same under an open loop, which should not be held up by its window: a second's
    /// stall at 200,000 TPS still fits 50 windows. Over HTTP each transfer in flight has a
    /// connection of its own.
    #[must_use]
    pub const fn default_inflight_at_a_rate(self) -> usize {
        match self {
            Self::SqliteRpc => 16,
            Self::SqliteWsRpc => 4_096,
        }
    }
}
