//! The seam between the load loop and a transport.
//!
//! A connector knows how to open sessions; a session knows how to put transfers on the
//! wire and get answers off it. Windows, clocks, timeouts and reconnects live in the
//! worker, never here: that is what makes connectors interchangeable. A connector counts
//! only when it passes the conformance suite in `tests/conformance/`.

mod credentials;
pub(crate) mod http;
mod mock;
mod reason;
mod registry;
pub mod spacetimedb;
pub(crate) mod ws;

pub use busload_record::config::ConnectorKind;
pub use credentials::{Credentials, Trust, TrustError};
pub use http::HttpConnector;
pub use mock::{MockAnswer, MockConnector, MockScript};
pub use reason::Reason;
pub use registry::Wire;
pub use spacetimedb::SpacetimeDbConnector;
pub use ws::WsConnector;

use std::collections::BTreeSet;
use std::io;

use busload_net::Stream;
use busload_net::token::Token;
use busload_wire::{Answer, ErrorCode, OutcomeClass, RequestId, Transfer};

/// Which worker a session belongs to, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WorkerId(pub u32);

/// What became of a transfer, as far as the client can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Acknowledged. Only this counts as throughput.
    Committed,
    /// Understood and refused.
    Rejected(Reason),
    /// Known not to be committed; `None` when it never left the client.
    Failed(Option<Reason>),
    /// May or may not be committed.
    Unknown,
}

impl Outcome {
    /// What an answer of the transfer protocol says about its transfer.
    #[must_use]
    pub fn of(result: Result<(), Option<ErrorCode>>) -> Self {
        match result {
            Ok(()) => Self::Committed,
            Err(None) => Self::Unknown,
            Err(Some(code)) => match code.class() {
                OutcomeClass::Rejected => Self::Rejected(code.into()),
                OutcomeClass::Failed => Self::Failed(Some(code.into())),
                OutcomeClass::Unknown => Self::Unknown,
            },
        }
    }
}

/// One answer, matched to its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// Which request.
    pub id: RequestId,
    /// What became of it.
    pub outcome: Outcome,
}

impl Reply {
    fn from_answer(answer: &Answer) -> Option<Self> {
        Some(Self {
            id: answer.id?,
            outcome: Outcome::of(answer.result),
        })
    }
}

/// Why a session could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No connection.
    #[error("cannot connect to {url}{}", remedy(source))]
    Io {
        /// Where to.
        url: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// There is a server, but it does not speak the protocol.
    #[error("{url} does not speak the transfer protocol: {why}")]
    Protocol {
        /// Where.
        url: String,
        /// What it did instead.
        why: String,
    },
    /// There is a server, and it does not do what a protocol of somebody else's asks of it.
    #[error("{url} does not speak {protocol} as this program does: {why}")]
    Foreign {
        /// Where.
        url: String,
        /// What was spoken.
        protocol: &'static str,
        /// What was asked, what came instead, and what to do.
        why: String,
    },
    /// Its certificate is not to be trusted.
    #[error("{url} shows a certificate that cannot be trusted: {why}")]
    Untrusted {
        /// Where.
        url: String,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// There is a server, and no TLS with it.
    #[error("cannot speak TLS with {url}: does it serve http:// or ws://?")]
    NoTls {
        /// Where.
        url: String,
        /// What went wrong.
        source: io::Error,
    },
    /// It wants a token, and got none or another.
    #[error(
        "{url} {}",
        if *shown { "does not take this token: give the file of its own with --token-file" }
        else { "wants a token: give the file that holds it with --token-file" }
    )]
    Unauthorized {
        /// Where.
        url: String,
        /// It was shown a token.
        shown: bool,
    },
    /// It does not serve under this name.
    #[error(
        "{url} does not serve under this name: use its address in the URL, or start it with \
         --token-file or --allow-unauthenticated"
    )]
    Forbidden {
        /// Where.
        url: String,
    },
}

/// What to do when nobody listens there.
fn remedy(source: &io::Error) -> &'static str {
    if source.kind() == io::ErrorKind::ConnectionRefused {
        " (start a server there, or leave --url out to have one started)"
    } else {
        ""
    }
}

impl ConnectError {
    /// The server is there, and what it was shown is not enough: nothing that trying again
    /// would change.
    #[must_use]
    pub fn is_about_access(&self) -> bool {
        match self {
            Self::Io { .. } | Self::Protocol { .. } | Self::Foreign { .. } => false,
            Self::Untrusted { .. }
            | Self::NoTls { .. }
            | Self::Unauthorized { .. }
            | Self::Forbidden { .. } => true,
        }
    }
}

/// Why a session is dead. What it had in flight is of unknown outcome.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The connection broke.
    #[error("connection lost: {0}")]
    Io(#[from] io::Error),
    /// The server closed the connection.
    #[error("the server closed the connection")]
    Closed,
    /// The server closed the connection and said why.
    #[error("the server closed the connection with code {code}: {reason}")]
    ClosedFor {
        /// The code of its close frame.
        code: u16,
        /// Its words, and what to do.
        reason: String,
    },
    /// The server said something that is not of the protocol.
    #[error("the server broke the protocol: {0}")]
    Protocol(String),
}

/// Opens sessions.
pub trait Connector: Send + Sync + 'static {
    /// What it opens.
    type Session: Session;
    /// `http`, `ws`, `spacetimedb` or `mock`.
    const TRANSPORT: &'static str;

    /// Opens the session of one worker.
    fn connect(
        &self,
        worker: WorkerId,
    ) -> impl Future<Output = Result<Self::Session, ConnectError>> + Send;
}

/// Puts transfers on the wire and gets answers off it.
pub trait Session: Send {
    /// Takes one transfer for sending; nothing is written before [`replies`](Self::replies).
    /// The id was never used on this session before.
    ///
    /// # Errors
    /// It was not taken and will not be sent: the transfer has failed, the session is dead.
    fn submit(&mut self, id: RequestId, transfer: Transfer) -> Result<(), TransportError>;

    /// The worker has given this request up: a late answer is dropped and counted.
    fn forget(&mut self, id: RequestId);

    /// Answers that came for forgotten requests.
    fn late_answers(&self) -> u64;

    /// Answers that contradicted themselves: their transfers are of unknown outcome.
    fn contradictory_answers(&self) -> u64 {
        0
    }

    /// Connections that the server had closed while nothing was asked on them, and that were
    /// replaced before anything was sent: no transfer is lost by that.
    fn idle_reconnects(&self) -> u64 {
        0
    }

    /// What a person should read about its answers, that the outcomes do not say.
    fn remark(&self) -> Option<String> {
        None
    }

    /// Writes what was submitted and waits for at least one answer, reading and writing
    /// together: a blocked write never stops reading. Appends to `out`, which is valid
    /// even on an error. Cancel-safe.
    ///
    /// # Errors
    /// The session is dead. One failed request is a [`Reply`], never an error.
    fn replies(
        &mut self,
        out: &mut Vec<Reply>,
    ) -> impl Future<Output = Result<(), TransportError>> + Send;

    /// Says that nothing more will come, where the transport has a way to say so, and waits a
    /// bounded time for the server's own farewell.
    fn close(&mut self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// Requests whose answers nobody waits for any more.
#[derive(Debug, Default)]
struct Forgotten {
    ids: BTreeSet<u64>,
    late: u64,
}

impl Forgotten {
    fn forget(&mut self, id: RequestId) {
        self.ids.insert(id.get());
    }

    /// Whether this answer comes too late; counts it if so.
    fn is_late(&mut self, id: RequestId) -> bool {
        let late = !self.ids.is_empty() && self.ids.remove(&id.get());
        self.late += u64::from(late);
        late
    }
}

/// The beginning of an answer, for an error message.
pub(crate) fn shorten(text: &[u8]) -> String {
    format!("'{}'", beginning(&String::from_utf8_lossy(text), 60))
}

/// The beginning of a text as it is, but on one line, and without what a terminal would obey.
#[must_use]
pub fn beginning(text: &str, chars_max: usize) -> String {
    let mut plain = String::new();
    for character in text.chars().take(chars_max) {
        if character.is_control() {
            plain.extend(character.escape_debug());
        } else {
            plain.push(character);
        }
    }
    if text.chars().nth(chars_max).is_some() {
        plain.push('…');
    }
    plain
}

/// Splits a URL of the protocol into what to connect to and what to ask for. No token is
/// shown; whom the operating system believes is believed.
///
/// The path is replaced by `/rpc`, whatever it was, as the original's clients do.
///
/// # Errors
/// It is no URL, its scheme is not one of `http`, `ws`, `https` and `wss`, or the operating
/// system believes nobody.
pub fn parse_url(url: &str) -> Result<Endpoint, String> {
    parse_with(url, &Credentials::default())
}

fn parse_with(url: &str, credentials: &Credentials) -> Result<Endpoint, String> {
    let uri: ::http::Uri = url.parse().map_err(|_| format!("'{url}' is not a URL"))?;
    let (secure, usual_port) = match uri.scheme_str() {
        Some("http" | "ws") => (false, 80),
        Some("https" | "wss") => (true, 443),
        _ => return Err(format!("{url}: the scheme must be http, ws, https or wss")),
    };
    let host = uri.host().ok_or_else(|| format!("{url} has no host"))?;
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let place = authority
        .rsplit_once('@')
        .map_or(authority, |(_, place)| place);
    // What is no port must not become the usual one: somebody else may listen there.
    let port = match place.strip_prefix(host) {
        None | Some("") => usual_port,
        Some(_) => uri
            .port_u16()
            .filter(|port| *port > 0)
            .ok_or_else(|| format!("{url}: the port must be a number from 1 to 65535"))?,
    };
    let trust = secure.then(|| credentials.trust()).transpose();
    Ok(Endpoint {
        authority: format!("{host}:{port}"),
        path: RPC_PATH.to_owned(),
        written_path: uri.path().to_owned(),
        tls: trust.map_err(|error| crate::with_causes(&error))?,
        token: credentials.token.clone(),
        subprotocol: None,
    })
}

/// Where the transfer protocol is spoken.
const RPC_PATH: &str = "/rpc";

/// Where a server listens, and how it is approached.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Host and port.
    pub authority: String,
    /// What is asked for there: `/rpc`, what a target file says, or what another protocol makes of
    /// the path as written.
    pub path: String,
    /// The path of the URL as it was written.
    pub written_path: String,
    /// Whose certificates are believed; `None` connects in plain text.
    pub tls: Option<Trust>,
    /// What is shown to be let in.
    pub token: Option<Token>,
    /// WebSocket subprotocol that is asked for in place of the connector's own.
    pub subprotocol: Option<String>,
}

impl Endpoint {
    /// A server in plain text that wants no token.
    #[must_use]
    pub fn plain(authority: &str) -> Self {
        Self {
            authority: authority.to_owned(),
            path: RPC_PATH.to_owned(),
            written_path: String::new(),
            tls: None,
            token: None,
            subprotocol: None,
        }
    }

    /// The URL for messages to people.
    #[must_use]
    pub fn url(&self, transport: &str) -> String {
        let secure = if self.tls.is_some() { "s" } else { "" };
        format!("{transport}{secure}://{}{}", self.authority, self.path)
    }

    /// The URL as this connector understands it, for messages and records.
    #[must_use]
    pub fn url_for(&self, connector: ConnectorKind) -> String {
        let transport = connector.transport();
        match connector {
            ConnectorKind::SqliteRpc | ConnectorKind::SqliteWsRpc => self.url(transport),
            ConnectorKind::SpacetimeDb => spacetimedb::Database::at(self.clone()).url(transport),
        }
    }

    /// Whether the URL says all that this connector needs.
    ///
    /// # Errors
    /// It names no database, and the connector needs one.
    pub fn check_for(&self, connector: ConnectorKind) -> Result<(), spacetimedb::NoDatabase> {
        match connector {
            ConnectorKind::SqliteRpc | ConnectorKind::SqliteWsRpc => Ok(()),
            ConnectorKind::SpacetimeDb => spacetimedb::Database::at(self.clone()).check(),
        }
    }

    pub(crate) fn unauthorized(&self, transport: &str) -> ConnectError {
        ConnectError::Unauthorized {
            url: self.url(transport),
            shown: self.token.is_some(),
        }
    }

    /// What to try when what came from there is no HTTP, or nothing came; empty when TLS is
    /// spoken already.
    pub(crate) fn tls_remedy(&self, transport: &str) -> String {
        match self.tls {
            Some(_) => String::new(),
            None => format!(": if it serves {transport}s://, write so in the URL"),
        }
    }

    pub(crate) fn forbidden(&self, transport: &str) -> ConnectError {
        ConnectError::Forbidden {
            url: self.url(transport),
        }
    }

    /// A connection without Nagle's delay, under TLS if it is to be.
    pub(crate) async fn connect(&self, transport: &str) -> Result<Stream, ConnectError> {
        let failed = |source| ConnectError::Io {
            url: self.url(transport),
            source,
        };
        let stream = tokio::net::TcpStream::connect(&self.authority)
            .await
            .map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        match &self.tls {
            None => Ok(Stream::Plain(stream)),
            Some(trust) => {
                let url = self.url(transport);
                trust.connect(&self.authority, &url, stream).await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_url_does_not_matter() {
        for url in [
            "ws://127.0.0.1:4107",
            "http://127.0.0.1:4107/x?y#z",
            "ws://127.0.0.1:4107/rpc",
        ] {
            assert_eq!(parse_url(url).unwrap().authority, "127.0.0.1:4107");
        }
        for bad in ["127.0.0.1:4107", "ftp://a", "ws://", ""] {
            assert!(parse_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_no_port_is_not_taken_for_the_usual_one() {
        for (url, authority) in [
            ("ws://host", "host:80"),
            ("wss://80", "80:443"),
            ("ws://80:80", "80:80"),
            ("http://[::1]:4107", "[::1]:4107"),
            ("http://[::1]", "[::1]:80"),
            ("ws://me:pass@host:4107/rpc", "host:4107"),
            ("ws://me:99999@host", "host:80"),
        ] {
            assert_eq!(parse_url(url).unwrap().authority, authority, "{url}");
        }
        for bad in [
            "ws://host:99999",
            "ws://host:65536/rpc",
            "ws://host:0",
            "ws://host:abc",
            "ws://host:",
            "http://[::1]:99999",
            "ws://host:-1",
        ] {
            assert!(parse_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_unknown_error_text_proves_nothing() {
        assert_eq!(Outcome::of(Err(None)), Outcome::Unknown);
        assert_eq!(
            Outcome::of(Err(Some(ErrorCode::Internal))),
            Outcome::Unknown
        );
        assert_eq!(
            Outcome::of(Err(Some(ErrorCode::Overloaded))),
            Outcome::Failed(Some(Reason::Overloaded))
        );
    }

    #[test]
    fn a_late_answer_is_late_once() {
        let id = RequestId::new(7).unwrap();
        let mut forgotten = Forgotten::default();
        assert!(!forgotten.is_late(id));
        forgotten.forget(id);
        assert!(forgotten.is_late(id));
        assert!(!forgotten.is_late(id));
        assert_eq!(forgotten.late, 1);
    }

    #[test]
    fn a_bad_answer_is_shown_as_it_is() {
        assert_eq!(
            shorten(b"{\"exactly_once\": true}"),
            "'{\"exactly_once\": true}'"
        );
        assert_eq!(shorten(b"a\x1b[2J\nb"), "'a\\u{1b}[2J\\nb'");
        let long = shorten("\u{e4}".repeat(100).as_bytes());
        assert_eq!(long.chars().count(), 63);
    }
}
