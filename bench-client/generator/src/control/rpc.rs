//! The control plane of the transfer protocol, over any transport that carries its calls.

use std::time::Duration;

use busload_wire::control::{Account, Info, Stats, Verification};
use busload_wire::json::{ControlAnswer, decode_control, encode_request};
use busload_wire::{Call, ErrorCode, Request, RequestId, Transfer};
use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use http::StatusCode;
use serde::de::DeserializeOwned;

use super::{Asked, ControlError, ControlPlane, Exchange, fields};
use crate::connector::http::{Head, Lane};
use crate::connector::{Endpoint, shorten};

/// Longest wait for an answer. Seeding ten million accounts takes the longest.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(2);
/// Longest wait for the answer that tells whether a server speaks the protocol.
const FIRST_ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest wait for what a server calls itself, which no figure depends on.
const NAME_TIMEOUT: Duration = Duration::from_secs(2);
/// What is kept of it.
const NAME_CHARS_MAX: usize = 100;

/// What carries one call at a time to a server and its answer back.
pub(super) trait Transport: Default + Send + 'static {
    /// `http` or `ws`: half of the scheme of the server's URL.
    const NAME: &'static str;

    /// The number of the next request, where requests have one.
    fn next_id(&mut self) -> Option<RequestId> {
        None
    }

    /// The answer's text, and its status where the transport has one; else why there is none.
    /// `first` until a server has answered: then it is not known whether it speaks what it is
    /// spoken to in.
    fn exchange(
        &mut self,
        server: &Endpoint,
        text: Bytes,
        first: bool,
    ) -> impl Future<Output = Result<(Option<StatusCode>, Bytes), NoAnswer>> + Send;

    /// Says goodbye, if there is a connection and a word for it.
    fn close(&mut self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// Why a call got no answer.
pub(super) enum NoAnswer {
    /// No connection.
    Connect(crate::connector::ConnectError),
    /// The connection broke.
    Broken(String),
}

impl From<crate::connector::ConnectError> for NoAnswer {
    fn from(error: crate::connector::ConnectError) -> Self {
        Self::Connect(error)
    }
}

/// A client of the transfer protocol's control plane.
pub(super) struct Rpc<T> {
    target: Endpoint,
    transport: T,
    /// Longer once the server has answered.
    timeout: Duration,
    last: Option<Last>,
}

/// The last call, as it was sent and answered.
struct Last {
    method: &'static str,
    id: Option<RequestId>,
    sent: Bytes,
    came: Option<(Option<StatusCode>, Bytes)>,
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

impl<T: Transport> Rpc<T> {
    pub(super) const fn new(target: Endpoint, transport: T) -> Self {
        Self {
            target,
            transport,
            timeout: FIRST_ANSWER_TIMEOUT,
            last: None,
        }
    }

    async fn call<A: DeserializeOwned>(&mut self, call: Call) -> Result<A, ControlError> {
        let method = method_of(&call);
        let timeout = self.timeout;
        let first = timeout == FIRST_ANSWER_TIMEOUT;
        let id = self.transport.next_id();
        let mut sent = BytesMut::new();
        encode_request(&mut sent, &Request { id, call });
        let sent = sent.freeze();
        let last = self.last.insert(Last {
            method,
            id,
            sent: sent.clone(),
            came: None,
        });
        let exchange = self.transport.exchange(&self.target, sent, first);
        let answered = tokio::time::timeout(timeout, exchange).await;
        let url = self.target.url(T::NAME);
        let answered =
            answered.unwrap_or_else(|_| Err(NoAnswer::Broken(format!("none within {timeout:?}"))));
        let (status, text) = answered.map_err(|none| match none {
            NoAnswer::Connect(error) => ControlError::Connect(error),
            NoAnswer::Broken(why) => ControlError::NoAnswer {
                url: url.clone(),
                method,
                why,
            },
        })?;
        let protocol = |why: String| ControlError::Protocol {
            url: url.clone(),
            method,
            why,
        };
        last.came = Some((status, text.clone()));
        let not_its = |text: &[u8]| protocol(format!("is {}", shorten(text)));
        let answer = decode_control(&text).map_err(|_| not_its(&text))?;
        self.timeout = ANSWER_TIMEOUT;
        if let Some(why) = contradiction(status, &answer) {
            return Err(ControlError::Contradiction { url, method, why });
        }
        if answer.ok {
            let result = answer.result.map_or("null", |raw| raw.get());
            return serde_json::from_str(result).map_err(|_| match fields::wrong::<A>(result) {
                // A server may do without these as a whole.
                Some(fields) if matches!(method, "info" | "stats") => protocol(format!(
                    "is not as it must be: {fields}; or answer {} to it, and the row does without",
                    ErrorCode::UnknownMethod
                )),
                Some(fields) => protocol(format!("is not as it must be: {fields}")),
                None => not_its(result.as_bytes()),
            });
        }
        let error = answer.error.unwrap_or_default().into_owned();
        // Ours says it with a code, the original's servers with a text.
        let unknown = error.parse() == Ok(ErrorCode::UnknownMethod)
            || error.to_ascii_lowercase().starts_with("unknown method");
        Err(match error.parse() {
            _ if unknown => ControlError::UnknownMethod(method),
            Ok(ErrorCode::Unauthorized) => self.target.unauthorized(T::NAME).into(),
            Ok(ErrorCode::Forbidden) if method == "seed" => ControlError::MayNotSeed { url },
            Ok(ErrorCode::Forbidden) => self.target.forbidden(T::NAME).into(),
            _ => ControlError::Refused { method, error },
        })
    }
}

impl<T: Transport> ControlPlane for Rpc<T> {
    fn url(&self) -> String {
        self.target.url(T::NAME)
    }

    fn another(&self) -> Box<dyn ControlPlane> {
        Box::new(Self::new(self.target.clone(), T::default()))
    }

    fn health(&mut self) -> Asked<'_, ()> {
        Box::pin(async {
            self.call::<serde_json::Value>(Call::Health)
                .await
                .map(|_| ())
        })
    }

    fn info(&mut self) -> Asked<'_, Info> {
        Box::pin(self.call(Call::Info))
    }

    fn stats(&mut self, balances: bool, histograms: bool) -> Asked<'_, Stats> {
        Box::pin(self.call(Call::Stats {
            balances,
            histograms,
        }))
    }

    fn seed(&mut self, accounts: i64, initial_balance: i64) -> Asked<'_, ()> {
        let call = Call::Seed {
            accounts,
            initial_balance,
        };
        Box::pin(async { self.call::<serde_json::Value>(call).await.map(|_| ()) })
    }

    fn verify(&mut self) -> Asked<'_, Verification> {
        Box::pin(self.call(Call::Verify))
    }

    fn balance(&mut self, account: i64) -> Asked<'_, Option<i64>> {
        Box::pin(async move {
            let found: Option<Account> = self.call(Call::GetAccount { id: account }).await?;
            let Some(found) = found else { return Ok(None) };
            found
                .balance
                .parse()
                .map(Some)
                .map_err(|_| ControlError::Protocol {
                    url: self.url(),
                    method: "getAccount",
                    why: format!(
                        "has the balance {}, and must have a decimal string",
                        shorten(found.balance.as_bytes())
                    ),
                })
        })
    }

    fn transfer(&mut self, transfer: Transfer) -> Asked<'_, ()> {
        let call = Call::Transfer(transfer);
        Box::pin(async { self.call::<serde_json::Value>(call).await.map(|_| ()) })
    }

    fn last_exchange(&self) -> Option<Exchange> {
        let Last {
            method,
            id,
            sent,
            came,
        } = self.last.as_ref()?;
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        let came = came.as_ref().map(|(status, body)| match status {
            Some(status) if !status.is_success() => format!("HTTP {status}: {}", text(body)),
            _ => text(body),
        });
        Some(Exchange {
            method,
            sent: text(sent),
            id: *id,
            came,
        })
    }

    /// The header `Server`, or `X-Powered-By`, of an answer over HTTP.
    fn said_name(&self) -> BoxFuture<'_, Option<String>> {
        Box::pin(said_name(&self.target))
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(self.transport.close())
    }
}

/// What a server without `info` calls itself: the header `Server`, or `X-Powered-By`, of an
/// answer over HTTP. `None` when it does not say so, or not soon.
async fn said_name(target: &Endpoint) -> Option<String> {
    let mut text = BytesMut::new();
    let call = Call::Health;
    encode_request(&mut text, &Request { id: None, call });
    let request = Head::of(target).with(&text);
    let mut said = None;
    let see = |headers: &[httparse::Header<'_>]| {
        let named = |name: &str| headers.iter().find(|it| it.name.eq_ignore_ascii_case(name));
        // A value that is no plain text has nothing to say to people.
        let plain = |name| {
            str::from_utf8(named(name)?.value)
                .ok()
                .filter(|it| it.is_ascii())
        };
        said = plain("server")
            .or_else(|| plain("x-powered-by"))
            .map(str::to_owned);
    };
    let asked = async {
        let lane = Lane::open(target).await.ok()?;
        lane.exchange_seeing(&request, see).await;
        Some(())
    };
    tokio::time::timeout(NAME_TIMEOUT, asked).await.ok()??;
    Some(said?.chars().take(NAME_CHARS_MAX).collect())
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::super::ws::Ws;
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
        let control = Rpc::new(Endpoint::plain(&authority), Ws::default());
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
}
