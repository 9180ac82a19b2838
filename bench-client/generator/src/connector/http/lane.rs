//! One keep-alive connection of HTTP/1.1, and one exchange at a time on it.
//!
//! Written here and not left to the library, whose client costs several times as much per
//! transfer: `docs/adr/0043-the-loads-own-http.md`.

use std::fmt::Write as _;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use busload_net::Stream;
use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode};
use httparse::Header;
use tokio::io::{AsyncReadExt as _, AsyncWrite as _};

use super::response::{Fault, Reading, Response};
use crate::connector::{ConnectError, Endpoint};

/// Answers are short; what is longer is no answer.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// The least room that is read into. An answer with its head is far shorter.
const READ_BYTES_MIN: usize = 1024;

/// One keep-alive connection.
pub(crate) struct Lane {
    stream: Stream,
    /// What has been read and belongs to no answer yet.
    input: BytesMut,
    /// The longest answer.
    body_max: usize,
}

/// What one HTTP exchange came to.
pub(crate) enum Exchange {
    /// An answer arrived whole.
    Answered(StatusCode, Bytes),
    /// No byte of the request was given to the operating system: the connection was closed
    /// before. This is what was wrong with it.
    NotSent(String),
    /// It was sent, or may have been, and no answer came.
    Lost(String),
    /// It was sent, or may have been, and what came is no answer of HTTP.
    NotHttp,
    /// It was sent, or may have been, and the connection was closed.
    Closed,
}

impl Lane {
    pub(crate) async fn open(target: &Endpoint) -> Result<Self, ConnectError> {
        Ok(Self {
            stream: target.connect("http").await?,
            input: BytesMut::new(),
            body_max: BODY_BYTES_MAX,
        })
    }

    /// The same for answers up to this length in bytes.
    pub(crate) fn with_body_max(self, body_max: usize) -> Self {
        Self { body_max, ..self }
    }

    /// Sends one request and reads its answer. Returns the lane if it can be used again.
    pub(crate) async fn exchange(self, request: &[u8]) -> (Option<Self>, Exchange) {
        self.exchange_seeing(request, |_| {}).await
    }

    /// The same, and shows the headers of the answer.
    pub(crate) async fn exchange_seeing(
        mut self,
        request: &[u8],
        mut see: impl FnMut(&[Header<'_>]),
    ) -> (Option<Self>, Exchange) {
        debug_assert!(self.input.is_empty(), "a lane is kept only when it is");
        let mut sending = Sending::new(request);
        let mut reading = Reading::default();
        let ended = poll_fn(|cx| self.poll_exchange(cx, &mut sending, &mut reading, &mut see));
        match ended.await {
            Ok(Response {
                status,
                body,
                keeps,
            }) => {
                // What has come beyond the answer nobody has asked for.
                let keeps = keeps && sending.is_done && self.input.is_empty();
                (keeps.then_some(self), Exchange::Answered(status, body))
            }
            Err(failed) => (None, failed),
        }
    }

    fn poll_exchange(
        &mut self,
        cx: &mut Context<'_>,
        sending: &mut Sending<'_>,
        reading: &mut Reading,
        see: &mut impl FnMut(&[Header<'_>]),
    ) -> Poll<Result<Response, Exchange>> {
        if !std::mem::replace(&mut sending.was_looked_at, true)
            && let Poll::Ready(read) = self.poll_read(cx)
        {
            return Poll::Ready(Err(Exchange::NotSent(match read {
                Ok(0) => "the server had closed the connection".to_owned(),
                Ok(_) => "the server had sent something that nobody asked for".to_owned(),
                Err(error) => error.to_string(),
            })));
        }
        // A server may answer before it has read the whole request, and close: what it says is
        // worth more than what became of the writing.
        let wrote = sending.poll(&mut self.stream, cx);
        if let Poll::Ready(Err(error)) = &wrote
            && sending.sent == 0
        {
            return Poll::Ready(Err(Exchange::NotSent(error.to_string())));
        }
        let lost = |error: io::Error| Poll::Ready(Err(Exchange::Lost(error.to_string())));
        loop {
            match ready!(self.poll_read(cx)) {
                Ok(0) => {
                    let is_head = matches!(reading, Reading::Head);
                    return Poll::Ready(match self.advance(reading, true, see)? {
                        Some(response) => Ok(response),
                        None if is_head => Err(Exchange::Closed),
                        None => Err(Exchange::Lost(
                            "the server closed the connection within its answer".to_owned(),
                        )),
                    });
                }
                Ok(_) => {
                    if let Some(response) = self.advance(reading, false, see)? {
                        return Poll::Ready(Ok(response));
                    }
                }
                Err(error) => {
                    return lost(match wrote {
                        Poll::Ready(Err(first)) => first,
                        _ => error,
                    });
                }
            }
        }
    }

    fn advance(
        &mut self,
        reading: &mut Reading,
        ended: bool,
        see: &mut impl FnMut(&[Header<'_>]),
    ) -> Result<Option<Response>, Exchange> {
        let advanced = reading.advance(&mut self.input, ended, self.body_max, see);
        advanced.map_err(|fault| match fault {
            Fault::NotHttp => Exchange::NotHttp,
            Fault::TooLong => Exchange::Lost("the answer is too long".to_owned()),
        })
    }

    /// How many bytes were read; 0 at the end of the connection.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.reserve(READ_BYTES_MIN);
        pin!(self.stream.read_buf(&mut self.input)).poll(cx)
    }
}

/// A request on its way.
struct Sending<'a> {
    request: &'a [u8],
    sent: usize,
    is_done: bool,
    /// The connection was looked at before the first byte.
    was_looked_at: bool,
}

impl<'a> Sending<'a> {
    fn new(request: &'a [u8]) -> Self {
        Self {
            request,
            sent: 0,
            is_done: false,
            was_looked_at: false,
        }
    }

    fn poll(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.request.len() {
            let left = &self.request[self.sent..];
            let written = ready!(Pin::new(&mut *stream).poll_write(cx, left))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += written;
        }
        if !self.is_done {
            ready!(Pin::new(stream).poll_flush(cx))?;
            self.is_done = true;
        }
        Poll::Ready(Ok(()))
    }
}

/// What every request of one kind begins with: a copy is cheaper than putting it together.
pub(crate) struct Head {
    text: Vec<u8>,
    /// The method expects a body, so that the length of an empty one is said (RFC 9110, 8.6).
    expects_body: bool,
}

impl Head {
    /// The head of a request with a JSON body to the path of `target`.
    pub(crate) fn of(target: &Endpoint) -> Self {
        let json = Some("application/json");
        Self::new(&Method::POST, target, &target.path, json)
    }

    /// The head of any request.
    pub(crate) fn new(
        method: &Method,
        target: &Endpoint,
        path: &str,
        content_type: Option<&str>,
    ) -> Self {
        let authority = &target.authority;
        let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {authority}\r\n").into_bytes();
        if let Some(token) = &target.token {
            text.extend_from_slice(b"authorization: ");
            text.extend_from_slice(token.header_value().as_bytes());
            text.extend_from_slice(b"\r\n");
        }
        if let Some(content_type) = content_type {
            text.extend_from_slice(format!("content-type: {content_type}\r\n").as_bytes());
        }
        Self {
            text,
            expects_body: method != Method::GET,
        }
    }

    /// The whole request.
    pub(crate) fn with(&self, body: &[u8]) -> Bytes {
        // The length with its name, and the line ends.
        const MORE: usize = 16 + 20 + 4;
        let mut request = BytesMut::with_capacity(self.text.len() + MORE + body.len());
        request.extend_from_slice(&self.text);
        if self.expects_body || !body.is_empty() {
            // Writing to memory does not fail.
            let _ = write!(request, "content-length: {}\r\n", body.len());
        }
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(body);
        request.freeze()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

    /// A lane, and the server's end of it.
    async fn lane() -> (Lane, Endpoint, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Endpoint::plain(&listener.local_addr().unwrap().to_string());
        let (lane, accepted) = tokio::join!(Lane::open(&target), listener.accept());
        (lane.unwrap(), target, accepted.unwrap().0)
    }

    /// What comes of a request that is answered so. The connection is closed after it.
    async fn exchanged(answer: &[u8]) -> (Option<Lane>, Exchange) {
        let (lane, target, mut server) = lane().await;
        let request = Head::of(&target).with(b"{}");
        let serve = async {
            let mut read = vec![0; request.len()];
            server.read_exact(&mut read).await.unwrap();
            assert_eq!(read, request);
            server.write_all(answer).await.unwrap();
            drop(server);
        };
        tokio::join!(lane.exchange(&request), serve).0
    }

    #[tokio::test]
    async fn one_lane_has_many_exchanges() {
        let (lane, target, mut server) = lane().await;
        let request = Head::of(&target).with(b"{}");
        let mut lane = Some(lane);
        for _ in 0..3 {
            let serve = async {
                let mut read = vec![0; request.len()];
                server.read_exact(&mut read).await.unwrap();
                // In two pieces.
                server.write_all(&OK[..20]).await.unwrap();
                tokio::task::yield_now().await;
                server.write_all(&OK[20..]).await.unwrap();
            };
            let ((kept, exchange), ()) =
                tokio::join!(lane.take().expect("it is kept").exchange(&request), serve);
            assert!(
                matches!(&exchange, Exchange::Answered(StatusCode::OK, body) if body == "ok"),
                "an answer"
            );
            lane = kept;
        }
    }

    #[tokio::test]
    async fn a_lane_with_more_than_the_answer_is_not_used_again() {
        let (kept, exchange) = exchanged(&[OK, b"H"].concat()).await;
        assert!(matches!(exchange, Exchange::Answered(..)));
        assert!(kept.is_none());
    }

    #[tokio::test]
    async fn what_is_no_answer_is_named() {
        assert!(matches!(exchanged(b"").await.1, Exchange::Closed));
        assert!(matches!(
            exchanged(b"HTTP/1.1 20").await.1,
            Exchange::Closed
        ));
        assert!(matches!(
            exchanged(&OK[..OK.len() - 1]).await.1,
            Exchange::Lost(_)
        ));
        assert!(matches!(
            exchanged(b"SSH-2.0-x\r\n").await.1,
            Exchange::NotHttp
        ));
    }

    /// Or a transfer that may have been made would be sent again.
    #[tokio::test]
    async fn only_a_request_of_which_nothing_has_left_is_called_not_sent() {
        let (lane, target, server) = lane().await;
        let request = Head::of(&target).with(b"{}");
        drop(server);
        // Until the end has come.
        lane.stream.socket().readable().await.unwrap();
        assert!(matches!(
            lane.exchange(&request).await.1,
            Exchange::NotSent(_)
        ));
        assert!(!matches!(exchanged(b"").await.1, Exchange::NotSent(_)));
    }

    /// What a server says of a request that it does not want is worth reading, and the rest of
    /// the request can only be in the way of the next one.
    #[tokio::test]
    async fn an_answer_may_come_before_the_request_has_left() {
        let (lane, target, mut server) = lane().await;
        let request = Head::of(&target).with(&vec![b' '; 64 * 1024 * 1024]);
        let early_answer = async {
            let mut some = [0; 1];
            server.read_exact(&mut some).await.unwrap();
            server.write_all(OK).await.unwrap();
            // Open, and nothing more is read.
            std::future::pending::<()>().await;
        };
        let (kept, exchange) = tokio::select! {
            biased;
            ended = lane.exchange(&request) => ended,
            () = early_answer => unreachable!("it waits for ever"),
        };
        assert!(matches!(exchange, Exchange::Answered(StatusCode::OK, _)));
        assert!(kept.is_none());
    }
}
