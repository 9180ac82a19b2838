//! The connectors by name: the one place that knows them all. A new one is a file beside this
//! one, a name in `record::config::ConnectorKind`, and a line here.

use crate::config::{ConfirmedReads, Encoding, RunConfig};

/// How transfers are asked for on the wire, whatever carries them.
#[derive(Debug, Clone, Copy)]
pub struct Wire {
    /// How they are written.
    pub encoding: Encoding,
    /// Whether a server that leaves the choice to its clients answers only what is durable.
    pub confirmed_reads: ConfirmedReads,
}

impl From<Encoding> for Wire {
    fn from(encoding: Encoding) -> Self {
        Self {
            encoding,
            confirmed_reads: ConfirmedReads::On,
        }
    }
}

impl From<&RunConfig> for Wire {
    fn from(config: &RunConfig) -> Self {
        Self {
            encoding: config.encoding,
            confirmed_reads: config.confirmed_reads.unwrap_or(ConfirmedReads::On),
        }
    }
}

/// Evaluates an expression with the connector of this kind, whatever its type is; `$wire` becomes
/// a [`Wire`](crate::connector::Wire). `await` in it belongs to the caller.
#[macro_export]
macro_rules! with_connector {
    ($kind:expr, $wire:expr, $endpoint:expr, |$connector:ident| $then:expr) => {{
        let wire = $crate::connector::Wire::from($wire);
        match $kind {
            $crate::connector::ConnectorKind::SqliteRpc => {
                let $connector = $crate::connector::HttpConnector::new($endpoint);
                $then
            }
            $crate::connector::ConnectorKind::SqliteWsRpc => {
                let $connector = $crate::connector::WsConnector::new($endpoint, wire.encoding);
                $then
            }
            $crate::connector::ConnectorKind::SpacetimeDb => {
                let $connector = $crate::connector::SpacetimeDbConnector::new($endpoint, wire);
                $then
            }
        }
    }};
}
