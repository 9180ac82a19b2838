//! The connectors by name: the one place that knows them all. A new one is a file beside this
//! one, a name in `record::config::ConnectorKind`, and a line here.

/// Evaluates an expression with the connector of this kind, whatever its type is. `await` in it
/// belongs to the caller.
#[macro_export]
macro_rules! with_connector {
    ($kind:expr, $encoding:expr, $endpoint:expr, |$connector:ident| $then:expr) => {
        match $kind {
            $crate::connector::ConnectorKind::SqliteRpc => {
                let $connector = $crate::connector::HttpConnector::new($endpoint);
                $then
            }
            $crate::connector::ConnectorKind::SqliteWsRpc => {
                let $connector = $crate::connector::WsConnector::new($endpoint, $encoding);
                $then
            }
        }
    };
}
