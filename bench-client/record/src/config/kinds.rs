//! What is chosen by name.

use std::fmt;

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How requests travel: the connectors by name.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, ValueEnum, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum ConnectorKind {
    /// HTTP
    SqliteRpc,
    /// WebSocket
    #[default]
    SqliteWsRpc,
}

impl fmt::Display for ConnectorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
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

    /// Connections that so many workers open: over HTTP each transfer in flight has one of its
    /// own.
    #[must_use]
    pub const fn connections(self, workers: u32, max_inflight: usize) -> usize {
        let each = match self {
            Self::SqliteRpc => max_inflight,
            Self::SqliteWsRpc => 1,
        };
        workers as usize * each
    }
}

/// How a transfer is written on the wire.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// One JSON object per transfer
    #[default]
    Json,
    /// Fixed-width records, many per message (WebSocket only)
    Binary,
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Encoding {
    /// `json` or `binary`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Binary => "binary",
        }
    }
}

/// How the intended starts of an open loop are spaced.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Arrival {
    /// At equal distances
    Constant,
    /// At exponentially distributed distances, as independent users arrive
    Poisson,
}

impl Arrival {
    /// `constant` or `poisson`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Poisson => "poisson",
        }
    }
}
