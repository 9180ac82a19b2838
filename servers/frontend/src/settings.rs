//! Everything a server can be told.

use std::net::SocketAddr;

use busload_engine::Config;

use crate::access::Access;
use crate::ledgers::LedgerConfig;
use crate::limits::Limits;

/// How requests travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// HTTP/1.1 with keep-alive.
    Http,
    /// WebSocket.
    Ws,
}

impl Transport {
    /// `http` or `ws`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Ws => "ws",
        }
    }
}

/// Everything a server can be told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How requests travel.
    pub transport: Transport,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How transfers are gathered.
    pub engine: Config,
    /// What stores them.
    pub ledger: LedgerConfig,
    /// What clients may use.
    pub limits: Limits,
    /// Who may connect.
    pub access: Access,
}
