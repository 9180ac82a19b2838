//! The control plane: everything that is asked of a server besides transfers.

mod balances;

use std::future::poll_fn;
use std::time::Duration;

use busload_net::frames::Incoming;
use busload_wire::control::{Account, Info, Stats, Verification};
use busload_wire::json::{ControlAnswer, decode_control, encode_request};
use busload_wire::{Call, ErrorCode, Request, RequestId};
use bytes::{Bytes, BytesMut};
use hyper::StatusCode;
use hyper::client::conn::http1;
use hyper::header::{HeaderName, SERVER};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use crate::config::{ConnectorKind, Encoding};
use crate::connector::http::{Exchange, Head, Lane, post};
use crate::connector::{ConnectError, Endpoint, ws};

/// Longest wait for an answer. Seeding ten million accounts takes the longest.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(2);
/// Longest wait for the answer that tells whether a server speaks the protocol.
const FIRST_ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest wait for what a server calls itself, which no figure depends on.
const NAME_TIMEOUT: Duration = Duration::from_secs(2);
/// What is kept of it.
const NAME_CHARS_MAX: usize = 100;

/// Why a control call gave no result.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The server does not know the method: it is not ours.
    #[error("the server does not know the method {0}")]
    UnknownMethod(&'static str),
    /// The server refused.
    #[error("{method} failed: {error}")]
    Refused {
        /// What was asked.
        method: &'static str,
        /// The server's error text.
        error: String,
    },
    /// The server is not there to be wiped.
    #[error(
        "{url} lets no client wipe its ledger: start it with --allow-seed or --fresh, or leave \
         out --reseed"
    )]
    MayNotSeed {
        /// Where.
        url: String,
    },
    /// The connection broke, or no answer came in time.
    #[error("{url} gave no answer to {method}: {why}")]
    NoAnswer {
        /// Where.
        url: String,
        /// What was asked.
        method: &'static str,
        /// What happened.
        why: String,
    },
    /// The answer says that it was done and that it was not.
    #[error("{url} contradicts itself in its answer to {method}: {why}")]
    Contradiction {
        /// Where.
        url: String,
        /// What was asked.
        method: &'static str,
        /// What does not agree.
        why: String,
    },
    /// The answer is not of the protocol.
    #[error("{url} does not speak the transfer protocol: its answer to {method} is {why}")]
    Protocol {
        /// Where.
        url: String,
        /// What was asked.
        method: &'static str,
        /// What is wrong with the answer.
        why: String,
    },
}

/// A connection of its own to one server.
pub struct ControlClient {
    target: Endpoint,
    transport: ControlTransport,
    timeout: Duration,
}

#[expect(clippy::large_enum_variant, reason = "one per run")]
enum ControlTransport {
    Http {
        head: Head,
        lane: Option<Lane>,
    },
    Ws {
        socket: Option<ws::Socket>,
        next_id: u64,
    },
}

fn method_of(call: &Call) -> &'static str {
    match call {
        Call::Health => "health",
        Call::Transfer(_) => "transfer",
        Call::GetAccount { .. } => "getAccount",
        Call::Seed { .. } => "seed",
        Call::Verify => "verify",
        Call::Info => "info",
        Call::Stats { .. } => "stats",
    }
}

impl ControlClient {
    /// The control plane that goes with a connector; connects at the first call.
    #[must_use]
    pub fn new(connector: ConnectorKind, target: Endpoint) -> Self {
        match connector {
            ConnectorKind::SqliteRpc => Self::http(target),
            ConnectorKind::SqliteWsRpc => Self::ws(target),
        }
    }

    /// A control plane over HTTP; connects at the first call.
    #[must_use]
    pub fn http(target: Endpoint) -> Self {
        let head = Head::of(&target);
        let transport = ControlTransport::Http { head, lane: None };
        Self {
            target,
            transport,
            timeout: FIRST_ANSWER_TIMEOUT,
        }
    }

    /// A control plane over WebSocket; connects at the first call.
    #[must_use]
    pub fn ws(target: Endpoint) -> Self {
        let transport = ControlTransport::Ws {
            socket: None,
            next_id: 1,
        };
        Self {
            target,
            transport,
            timeout: FIRST_ANSWER_TIMEOUT,
        }
    }

    /// Says that it is done, over WebSocket, and waits for the server's word, for a second at
    /// most. The next call connects again.
    pub async fn close(&mut self) {
        if let ControlTransport::Ws { socket, .. } = &mut self.transport
            && let Some(mut socket) = socket.take()
        {
            socket.close().await;
        }
    }

    fn transport(&self) -> &'static str {
        match self.transport {
            ControlTransport::Http { .. } => "http",
            ControlTransport::Ws { .. } => "ws",
        }
    }

    fn url(&self) -> String {
        self.target.url(self.transport())
    }

    /// Asks what the server is; `None` for a server that is not ours.
    ///
    /// # Errors
    /// No connection, or no answer of the protocol.
    pub async fn info(&mut self) -> Result<Option<Info>, ControlError> {
        foreign(self.call(Call::Info).await)
    }

    /// Reads the server's counters; `None` for a server that is not ours.
    ///
    /// # Errors
    /// No connection, or no answer of the protocol.
    pub async fn stats(&mut self, balances: bool) -> Result<Option<Stats>, ControlError> {
        let call = Call::Stats {
            balances,
            histograms: true,
        };
        foreign(self.call(call).await)
    }

    /// Reads the server's counters without histograms, which costs it next to nothing:
    /// every distribution has its count and sum. An older server sends the histograms all
    /// the same. `None` for a server that is not ours.
    ///
    /// # Errors
    /// No connection, or no answer of the protocol.
    pub async fn totals(&mut self) -> Result<Option<Stats>, ControlError> {
        let call = Call::Stats {
            balances: false,
            histograms: false,
        };
        foreign(self.call(call).await)
    }

    /// Wipes and creates accounts.
    ///
    /// # Errors
    /// The server refused, or is gone.
    pub async fn seed(&mut self, accounts: i64, initial_balance: i64) -> Result<(), ControlError> {
        let call = Call::Seed {
            accounts,
            initial_balance,
        };
        self.call::<serde_json::Value>(call).await.map(|_| ())
    }

    /// Asks the server to verify its ledger.
    ///
    /// # Errors
    /// The ledger is wrong, or the server is gone.
    pub async fn verify(&mut self) -> Result<Verification, ControlError> {
        self.call(Call::Verify).await
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// There is none.
    pub async fn health(&mut self) -> Result<(), ControlError> {
        self.call::<serde_json::Value>(Call::Health)
            .await
            .map(|_| ())
    }

    /// Reads one balance; `None` when there is no such account.
    ///
    /// # Errors
    /// No connection, or no answer of the protocol.
    pub async fn balance(&mut self, account: i64) -> Result<Option<i64>, ControlError> {
        let found: Option<Account> = self.call(Call::GetAccount { id: account }).await?;
        let Some(found) = found else { return Ok(None) };
        found
            .balance
            .parse()
            .map(Some)
            .map_err(|_| ControlError::Protocol {
                url: self.url(),
                method: "getAccount",
                why: "a balance that is no decimal string".to_owned(),
            })
    }

    /// What a server without `info` calls itself: the header `Server`, or `X-Powered-By`, of an
    /// answer over HTTP. `None` when it does not say so, or not soon.
    pub async fn said_name(&self) -> Option<String> {
        let mut text = BytesMut::new();
        let call = Call::Health;
        encode_request(&mut text, &Request { id: None, call });
        let request = post(&Head::of(&self.target), text.freeze());
        let asked = async {
            let stream = self.target.connect("http").await.ok()?;
            let (mut sender, driver) = http1::handshake(TokioIo::new(stream)).await.ok()?;
            let driver = tokio::spawn(driver);
            let response = sender.send_request(request).await;
            driver.abort();
            let headers = response.ok()?.headers().clone();
            // A value that is no plain text has nothing to say to people.
            let said = |name| headers.get(name)?.to_str().ok().map(str::to_owned);
            said(SERVER).or_else(|| said(HeaderName::from_static("x-powered-by")))
        };
        let said = tokio::time::timeout(NAME_TIMEOUT, asked).await.ok()??;
        Some(said.chars().take(NAME_CHARS_MAX).collect())
    }

    async fn call<T: DeserializeOwned>(&mut self, call: Call) -> Result<T, ControlError> {
        let method = method_of(&call);
        let timeout = self.timeout;
        let answered = tokio::time::timeout(timeout, self.exchange(call, method)).await;
        let (status, text) = answered.unwrap_or_else(|_| {
            let why = format!("none within {timeout:?}");
            Err(ControlError::NoAnswer {
                url: self.url(),
                method,
                why,
            })
        })?;
        let url = self.url();
        let protocol = |why: String| ControlError::Protocol {
            url: url.clone(),
            method,
            why,
        };
        let answer = decode_control(&text).map_err(|_| protocol(shorten(&text)))?;
        self.timeout = ANSWER_TIMEOUT;
        if let Some(why) = contradiction(status, &answer) {
            return Err(ControlError::Contradiction { url, method, why });
        }
        if answer.ok {
            let result = answer.result.map_or("null", |raw| raw.get());
            return serde_json::from_str(result).map_err(|_| protocol(shorten(result.as_bytes())));
        }
        let error = answer.error.unwrap_or_default().into_owned();
        // Ours says it with a code, the original's servers with a text.
        let unknown = error.parse() == Ok(ErrorCode::UnknownMethod)
            || error.to_ascii_lowercase().starts_with("unknown method");
        Err(match error.parse() {
            _ if unknown => ControlError::UnknownMethod(method),
            Ok(ErrorCode::Unauthorized) => self.target.unauthorized(self.transport()).into(),
            Ok(ErrorCode::Forbidden) if method == "seed" => ControlError::MayNotSeed { url },
            Ok(ErrorCode::Forbidden) => self.target.forbidden(self.transport()).into(),
            _ => ControlError::Refused { method, error },
        })
    }

    /// The answer's text, and over HTTP its status.
    async fn exchange(
        &mut self,
        call: Call,
        method: &'static str,
    ) -> Result<(Option<StatusCode>, Bytes), ControlError> {
        let url = self.url();
        let no_answer = |why: String| ControlError::NoAnswer {
            url: url.clone(),
            method,
            why,
        };
        let mut text = BytesMut::new();
        match &mut self.transport {
            ControlTransport::Http { head, lane } => {
                encode_request(&mut text, &Request { id: None, call });
                let text = text.freeze();
                if let Some(used) = lane.take() {
                    let (used, exchange) = used.exchange(post(head, text.clone())).await;
                    if let Exchange::Answered(status, body) = exchange {
                        *lane = used;
                        return Ok((Some(status), body));
                    }
                    // It was idle for so long that the server has closed it. Every call of
                    // the control plane can be asked twice.
                }
                let fresh = Lane::open(&self.target).await?;
                let (fresh, exchange) = fresh.exchange(post(head, text)).await;
                *lane = fresh;
                // A server that has answered before speaks what it is spoken to in.
                let remedy = if self.timeout == FIRST_ANSWER_TIMEOUT {
                    self.target.tls_remedy("http")
                } else {
                    String::new()
                };
                match exchange {
                    Exchange::Answered(status, body) => Ok((Some(status), body)),
                    Exchange::NotSent { why, .. } | Exchange::Lost(why) => Err(no_answer(why)),
                    Exchange::NotHttp => Err(no_answer(format!("what came is not HTTP{remedy}"))),
                    Exchange::Closed => Err(no_answer(format!(
                        "it closed the connection without one{remedy}"
                    ))),
                }
            }
            ControlTransport::Ws { socket, next_id } => {
                let id = RequestId::new(*next_id);
                *next_id += 1;
                encode_request(&mut text, &Request { id, call });
                if let Some(used) = socket.take()
                    && let Ok((used, answer)) = ask(used, &text).await
                {
                    *socket = Some(used);
                    return Ok((None, answer));
                }
                // Not connected yet, or idle for so long that the server has closed it: as above.
                let fresh = ws::open(&self.target, Encoding::Json).await?;
                let (fresh, answer) = ask(fresh, &text).await.map_err(no_answer)?;
                *socket = Some(fresh);
                Ok((None, answer))
            }
        }
    }
}

/// One request and its answer on a connection that has no other in flight. Gives the
/// connection back when it can be used again.
async fn ask(mut open: ws::Socket, text: &[u8]) -> Result<(ws::Socket, Bytes), String> {
    let broken = |error: WsError| error.to_string();
    open.put_text(|out| out.extend_from_slice(text))
        .map_err(broken)?;
    loop {
        // Also what the library answers to a ping.
        poll_fn(|cx| open.poll_flush(cx)).await.map_err(broken)?;
        match open.next().await {
            Some(Ok(Incoming::Text(answer))) => {
                let answer = Bytes::copy_from_slice(open.payload(&answer));
                return Ok((open, answer));
            }
            Some(Ok(Incoming::Message(Message::Text(answer)))) => {
                return Ok((open, Bytes::from(answer)));
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(broken(error)),
            None => return Err("the connection was closed".to_owned()),
        }
    }
}

/// What in an answer does not agree with the rest of it, as for transfers.
fn contradiction(status: Option<StatusCode>, answer: &ControlAnswer<'_>) -> Option<String> {
    match (answer.ok, &answer.error, status) {
        (true, Some(error), _) => Some(format!("ok beside the error '{error}'")),
        (true, None, Some(status)) if !status.is_success() => {
            Some(format!("ok with the HTTP status {status}"))
        }
        (false, ..) if answer.result.is_some() => Some("not ok beside a result".to_owned()),
        _ => None,
    }
}

fn foreign<T>(result: Result<T, ControlError>) -> Result<Option<T>, ControlError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(ControlError::UnknownMethod(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The beginning of an answer, for an error message.
fn shorten(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    // As it is, but on one line, and without what a terminal would obey.
    let mut plain = String::with_capacity(short.len());
    for character in short.chars() {
        if character.is_control() {
            plain.extend(character.escape_debug());
        } else {
            plain.push(character);
        }
    }
    format!("'{plain}'")
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// What is read of a server that answers one request like this.
    async fn said(answer: &'static str) -> Option<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            stream.write_all(answer.as_bytes()).await.unwrap();
        };
        let control = ControlClient::ws(Endpoint::plain(&authority));
        tokio::join!(serve, control.said_name()).1
    }

    #[tokio::test]
    async fn a_server_without_info_is_called_what_its_headers_say() {
        let found =
            "HTTP/1.1 404 x\r\nserver: demo/1.2\r\nx-powered-by: y\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(said(found).await.as_deref(), Some("demo/1.2"));
        let powered = "HTTP/1.1 200 x\r\nx-powered-by: Express\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(said(powered).await.as_deref(), Some("Express"));
        assert_eq!(
            said("HTTP/1.1 200 x\r\ncontent-length: 0\r\n\r\n").await,
            None
        );
        assert_eq!(said("what?\r\n\r\n").await, None);
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
