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
    #[value(alias = "http")]
    SqliteRpc,
    /// WebSocket
    #[default]
    #[value(alias = "ws")]
    SqliteWsRpc,
    /// SpacetimeDB's own protocol over WebSocket
    #[serde(rename = "spacetimedb")]
    #[value(name = "spacetimedb")]
    SpacetimeDb,
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
            Self::SpacetimeDb => "spacetimedb",
        }
    }

    /// `http` or `ws`: half of the scheme of its URLs.
    #[must_use]
    pub const fn transport(self) -> &'static str {
        match self {
            Self::SqliteRpc => "http",
            Self::SqliteWsRpc | Self::SpacetimeDb => "ws",
        }
    }

    /// Whether it speaks the transfer protocol, as the servers of this program do. The others
    /// measure servers that run already.
    #[must_use]
    pub const fn speaks_transfer_protocol(self) -> bool {
        match self {
            Self::SqliteRpc | Self::SqliteWsRpc => true,
            Self::SpacetimeDb => false,
        }
    }

    /// How it can write transfers; the first when nothing else is said.
    #[must_use]
    pub const fn encodings(self) -> &'static [Encoding] {
        match self {
            Self::SqliteRpc => &[Encoding::Json],
            Self::SqliteWsRpc => &[Encoding::Json, Encoding::Binary],
            Self::SpacetimeDb => &[Encoding::BsatnV3, Encoding::BsatnV2],
        }
    }

    /// What is asked for when nothing else is said, where the client chooses when a server
    /// answers.
    #[must_use]
    pub const fn confirmed_reads(self) -> Option<ConfirmedReads> {
        match self {
            Self::SqliteRpc | Self::SqliteWsRpc => None,
            Self::SpacetimeDb => Some(ConfirmedReads::On),
        }
    }

    /// Transfers in flight per worker when nothing else is said: the original benchmark's, for
    /// those that it has.
    #[must_use]
    pub const fn default_inflight(self) -> usize {
        match self {
            Self::SqliteRpc => 1,
            Self::SqliteWsRpc => 16,
            Self::SpacetimeDb => 16_384,
        }
    }

    /// The same under an open loop, which should not be held up by its window: a second's
    /// stall at 200,000 TPS still fits 50 windows. Over HTTP each transfer in flight has a
    /// connection of its own.
    #[must_use]
    pub const fn default_inflight_at_a_rate(self) -> usize {
        match self {
            Self::SqliteRpc => 16,
            Self::SqliteWsRpc | Self::SpacetimeDb => 4_096,
        }
    }

    /// Connections that so many workers open: over HTTP each transfer in flight has one of its
    /// own.
    #[must_use]
    pub const fn connections(self, workers: u32, max_inflight: usize) -> usize {
        let each = match self {
            Self::SqliteRpc => max_inflight,
            Self::SqliteWsRpc | Self::SpacetimeDb => 1,
        };
        workers as usize * each
    }
}

/// How a transfer is written on the wire.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Encoding {
    /// One JSON object per transfer
    #[default]
    Json,
    /// Fixed-width records, many per message (WebSocket only)
    Binary,
    /// SpacetimeDB's protocol v2: one call per message
    BsatnV2,
    /// SpacetimeDB's protocol v3: many calls per message
    BsatnV3,
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Encoding {
    /// The name in records and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Binary => "binary",
            Self::BsatnV2 => "bsatn_v2",
            Self::BsatnV3 => "bsatn_v3",
        }
    }
}

/// Whether SpacetimeDB answers a transfer when it is durable or before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum ConfirmedReads {
    /// When its commit log is synced
    On,
    /// When it is committed in memory
    Off,
}

impl ConfirmedReads {
    /// `on` or `off`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
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
