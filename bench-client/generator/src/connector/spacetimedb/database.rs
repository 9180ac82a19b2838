//! Where a database of SpacetimeDB is reached.

use crate::config::ConfirmedReads;
use crate::connector::Endpoint;

/// Most bytes of a name: that of an identity in hexadecimal has 64.
const NAME_BYTES_MAX: usize = 255;

/// A database at a server.
#[derive(Debug, Clone)]
pub struct Database {
    /// The server; its path is the name of the database, for messages.
    pub(crate) endpoint: Endpoint,
    name: String,
}

/// The URL does not name a database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the path '{path}' names no database: write its name behind the host, such as \
     ws://127.0.0.1:3000/test-1"
)]
pub struct NoDatabase {
    /// The path as it was written.
    path: String,
}

impl Database {
    /// The database that the path of a URL names: `/NAME`, or any path of the server's own that
    /// begins with `/v1/database/NAME`.
    #[must_use]
    pub fn at(mut endpoint: Endpoint) -> Self {
        let path = endpoint.written_path.trim_matches('/');
        let path = path.strip_prefix("v1/database/").map_or(path, |path| {
            path.split_once('/').map_or(path, |(name, _)| name)
        });
        let name = path.to_owned();
        endpoint.path = format!("/{name}");
        Self { endpoint, name }
    }

    /// Whether there is a name that a database can have.
    ///
    /// # Errors
    /// There is none.
    pub fn check(&self) -> Result<(), NoDatabase> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let length = self.name.len();
        if (1..=NAME_BYTES_MAX).contains(&length) && self.name.chars().all(is_plain) {
            return Ok(());
        }
        Err(NoDatabase {
            path: self.endpoint.written_path.clone(),
        })
    }

    /// The URL for messages and records.
    pub(crate) fn url(&self, transport: &str) -> String {
        self.endpoint.url(transport)
    }

    /// The name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A path of the server that concerns the database.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/v1/database/{}/{rest}", self.name)
    }

    /// The path of the WebSocket. The server's own default is to compress.
    pub(crate) fn subscribe_path(&self, confirmed: ConfirmedReads) -> String {
        let confirmed = confirmed == ConfirmedReads::On;
        self.path(&format!(
            "subscribe?compression=None&light=true&confirmed={confirmed}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::parse_url;

    #[test]
    fn the_path_of_the_url_names_the_database() {
        for url in [
            "ws://127.0.0.1:3000/test-1",
            "http://127.0.0.1:3000/test-1/",
            "ws://127.0.0.1:3000/v1/database/test-1",
            "ws://127.0.0.1:3000/v1/database/test-1/subscribe?compression=Gzip",
        ] {
            let database = Database::at(parse_url(url).unwrap());
            assert_eq!(database.check(), Ok(()), "{url}");
            assert_eq!(database.url("ws"), "ws://127.0.0.1:3000/test-1");
            assert_eq!(
                database.subscribe_path(ConfirmedReads::Off),
                "/v1/database/test-1/subscribe?compression=None&light=true&confirmed=false"
            );
        }
        let long = format!("ws://h/{}", "x".repeat(256));
        for url in [
            "ws://h",
            "ws://h/",
            "ws://h/a/b",
            "ws://h/a%20b",
            "ws://h/v1/database/",
            &long,
        ] {
            let database = Database::at(parse_url(url).unwrap());
            assert!(database.check().is_err(), "{url}");
        }
    }
}
