//! One answer of HTTP/1.1, out of the bytes of a connection (RFC 9112).

use std::mem::MaybeUninit;

use bytes::{Buf as _, Bytes, BytesMut};
use http::StatusCode;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use httparse::{EMPTY_HEADER, Header, Status};

/// Most headers of an answer, and of what follows its last chunk.
const HEADERS_MAX: usize = 100;
/// Most bytes of a head, of a chunk's size and of what follows the last chunk.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is no answer of HTTP.
    NotHttp,
    /// Its body is longer than an answer may be.
    TooLong,
}

/// A whole answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    /// The server keeps the connection for another request.
    pub(super) keeps: bool,
}

/// An answer that is being read.
#[derive(Debug, Default)]
pub(super) enum Reading {
    /// Its head has not come whole.
    #[default]
    Head,
    Body(Body),
}

#[derive(Debug)]
pub(super) struct Body {
    status: StatusCode,
    keeps: bool,
    framing: Framing,
    /// Of the chunks that have come.
    gathered: BytesMut,
}

/// How far the body goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(usize),
    UntilTheEnd,
    Chunks(Chunk),
}

/// What comes next of a body in chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunk {
    Size,
    /// This much of a chunk is left.
    Data(usize),
    /// The end of the line after a chunk's data.
    LineEnd,
    Trailers,
}

impl Reading {
    /// Takes from `input` what belongs to the answer; `None` when more has to come. `ended`: nothing
    /// will. The head goes to `see` once, that of an interim answer too.
    pub(super) fn advance(
        &mut self,
        input: &mut BytesMut,
        ended: bool,
        body_max: usize,
        mut see: impl FnMut(&[Header<'_>]),
    ) -> Result<Option<Response>, Fault> {
        loop {
            match self {
                Self::Head => {
                    let Some((head, body)) = read_head(input, body_max, &mut see)? else {
                        return Ok(None);
                    };
                    input.advance(head);
                    // An interim answer: the one that is waited for follows.
                    if let Some(body) = body {
                        *self = Self::Body(body);
                    }
                }
                Self::Body(body) => return body.advance(input, ended, body_max),
            }
        }
    }
}

/// The length of the head and what it says of the body, which an interim answer does not have.
fn read_head(
    input: &[u8],
    body_max: usize,
    see: &mut impl FnMut(&[Header<'_>]),
) -> Result<Option<(usize, Option<Body>)>, Fault> {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut head,
        input,
        &mut headers,
    );
    let length = match parsed.map_err(|_| Fault::NotHttp)? {
        Status::Complete(length) => length,
        Status::Partial if input.len() >= HEAD_BYTES_MAX => return Err(Fault::NotHttp),
        Status::Partial => return Ok(None),
    };
    let (Some(version), Some(code)) = (head.version, head.code) else {
        return Err(Fault::NotHttp);
    };
    let status = StatusCode::from_u16(code).map_err(|_| Fault::NotHttp)?;
    see(head.headers);
    if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(Some((length, None)));
    }
    let body = Body::announced(status, version, head.headers, body_max)?;
    Ok(Some((length, Some(body))))
}

impl Body {
    /// Where the body ends (RFC 9112, 6.3) and whether the connection outlives it (9.3).
    fn announced(
        status: StatusCode,
        version: u8,
        headers: &[Header<'_>],
        body_max: usize,
    ) -> Result<Self, Fault> {
        let mut length = None;
        let mut is_chunked = None;
        let mut keeps = version > 0;
        for header in headers {
            let is = |name: &http::HeaderName| header.name.eq_ignore_ascii_case(name.as_str());
            if is(&CONTENT_LENGTH) {
                for value in words(header.value).map(decimal) {
                    // Of two that differ, whoever is between may have gone by the other one.
                    let agrees = length.is_none_or(|before| before == value);
                    length = Some(if agrees { value } else { Err(Fault::NotHttp) });
                }
            } else if is(&TRANSFER_ENCODING) {
                let last = words(header.value).last().unwrap_or_default();
                is_chunked = Some(last.eq_ignore_ascii_case(b"chunked"));
            } else if is(&CONNECTION) {
                for word in words(header.value) {
                    if word.eq_ignore_ascii_case(b"close") {
                        keeps = false;
                    } else if version == 0 && word.eq_ignore_ascii_case(b"keep-alive") {
                        keeps = true;
                    }
                }
            }
        }
        let is_bodiless = matches!(
            status,
            StatusCode::SWITCHING_PROTOCOLS | StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        );
        let framing = match (is_bodiless, is_chunked, length) {
            (true, ..) => Framing::Length(0),
            (_, Some(_), _) if version == 0 => return Err(Fault::NotHttp),
            (_, Some(true), _) => Framing::Chunks(Chunk::Size),
            (_, None, Some(length)) => {
                let length = usize::try_from(length?).map_err(|_| Fault::TooLong)?;
                Framing::Length(length)
            }
            (_, Some(false), _) | (_, None, None) => Framing::UntilTheEnd,
        };
        if matches!(framing, Framing::Length(length) if length > body_max) {
            return Err(Fault::TooLong);
        }
        // By a length beside chunks somebody between may have gone: the next answer may not be
        // where we look for it (RFC 9112, 6.1).
        let is_clear =
            framing != Framing::UntilTheEnd && (is_chunked.is_none() || length.is_none());
        Ok(Self {
            status,
            keeps: keeps && is_clear && status != StatusCode::SWITCHING_PROTOCOLS,
            framing,
            gathered: BytesMut::new(),
        })
    }

    fn advance(
        &mut self,
        input: &mut BytesMut,
        ended: bool,
        body_max: usize,
    ) -> Result<Option<Response>, Fault> {
        let body = match self.framing {
            Framing::Length(length) if input.len() >= length => input.split_to(length),
            Framing::UntilTheEnd if input.len() > body_max => return Err(Fault::TooLong),
            Framing::UntilTheEnd if ended => input.split(),
            Framing::Length(_) | Framing::UntilTheEnd => return Ok(None),
            Framing::Chunks(mut next) => {
                let whole = self.gather(&mut next, input, body_max)?;
                self.framing = Framing::Chunks(next);
                if !whole {
                    return Ok(None);
                }
                self.gathered.split()
            }
        };
        Ok(Some(Response {
            status: self.status,
            body: body.freeze(),
            keeps: self.keeps,
        }))
    }

    /// Whether the last chunk and what follows it have come.
    fn gather(
        &mut self,
        next: &mut Chunk,
        input: &mut BytesMut,
        body_max: usize,
    ) -> Result<bool, Fault> {
        loop {
            match *next {
                Chunk::Size => match httparse::parse_chunk_size(input) {
                    Ok(Status::Complete((read, size))) => {
                        input.advance(read);
                        let size = usize::try_from(size).map_err(|_| Fault::TooLong)?;
                        if size > body_max - self.gathered.len() {
                            return Err(Fault::TooLong);
                        }
                        *next = if size == 0 {
                            Chunk::Trailers
                        } else {
                            Chunk::Data(size)
                        };
                    }
                    Ok(Status::Partial) if input.len() < HEAD_BYTES_MAX => return Ok(false),
                    Ok(Status::Partial) | Err(_) => return Err(Fault::NotHttp),
                },
                Chunk::Data(left) => {
                    let come = left.min(input.len());
                    self.gathered.extend_from_slice(&input.split_to(come));
                    if come < left {
                        *next = Chunk::Data(left - come);
                        return Ok(false);
                    }
                    *next = Chunk::LineEnd;
                }
                Chunk::LineEnd => {
                    if !b"\r\n".starts_with(&input[..input.len().min(2)]) {
                        return Err(Fault::NotHttp);
                    }
                    if input.len() < 2 {
                        return Ok(false);
                    }
                    input.advance(2);
                    *next = Chunk::Size;
                }
                Chunk::Trailers => {
                    let mut trailers = [EMPTY_HEADER; HEADERS_MAX];
                    return match httparse::parse_headers(input, &mut trailers) {
                        Ok(Status::Complete((read, _))) => {
                            input.advance(read);
                            Ok(true)
                        }
                        Ok(Status::Partial) if input.len() < HEAD_BYTES_MAX => Ok(false),
                        Ok(Status::Partial) | Err(_) => Err(Fault::NotHttp),
                    };
                }
            }
        }
    }
}

/// The parts of a value that is a list.
fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

/// A number of digits alone.
fn decimal(digits: &[u8]) -> Result<u64, Fault> {
    let text = str::from_utf8(digits).map_err(|_| Fault::NotHttp)?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::NotHttp);
    }
    text.parse().map_err(|_| Fault::NotHttp)
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full};
    use hyper::client::conn::http1;
    use hyper_util::rt::TokioIo;
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    const BODY_MAX: usize = 1024;

    /// What is read of these bytes, of which so many come at once, before the connection ends.
    fn read(bytes: &[u8], at_once: usize) -> Result<Option<Response>, Fault> {
        let mut reading = Reading::default();
        let mut input = BytesMut::new();
        for piece in bytes.chunks(at_once) {
            input.extend_from_slice(piece);
            let read = reading.advance(&mut input, false, BODY_MAX, |_| {})?;
            if read.is_some() {
                return Ok(read);
            }
        }
        reading.advance(&mut input, true, BODY_MAX, |_| {})
    }

    fn whole(text: &str) -> Response {
        read(text.as_bytes(), usize::MAX)
            .expect("it is HTTP")
            .expect("it is whole")
    }

    /// What hyper's client reads of them.
    async fn read_by_hyper(bytes: &[u8]) -> Option<(StatusCode, Bytes)> {
        let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
        let (mut sender, connection) = http1::handshake(TokioIo::new(ours)).await.unwrap();
        let driving = tokio::spawn(connection);
        let request = hyper::Request::post("/rpc").body(Full::new(Bytes::new()));
        let asked = async {
            let response = sender.send_request(request.unwrap()).await.ok()?;
            let status = response.status();
            let body = response.into_body().collect().await.ok()?.to_bytes();
            Some((status, body))
        };
        let answers = async {
            // An answer to nothing would be none.
            let mut request = BytesMut::new();
            while !request.ends_with(b"\r\n\r\n") {
                let read = tokio::io::AsyncReadExt::read_buf(&mut theirs, &mut request).await;
                assert!(read.unwrap() > 0);
            }
            theirs.write_all(bytes).await.unwrap();
            drop(theirs);
        };
        let (answer, ()) = tokio::join!(asked, answers);
        driving.abort();
        answer
    }

    #[test]
    fn a_connection_is_kept_where_the_next_answer_is_sure_to_begin() {
        let kept = |head: &str| whole(&format!("{head}\r\n\r\n0\r\n\r\n")).keeps;
        assert!(kept("HTTP/1.1 200 x\r\ncontent-length: 5"));
        assert!(kept("HTTP/1.1 200 x\r\ntransfer-encoding: chunked"));
        assert!(kept("HTTP/1.1 204 x"));
        assert!(kept(
            "HTTP/1.0 200 x\r\nconnection: Keep-Alive\r\ncontent-length: 5"
        ));
        for head in [
            "HTTP/1.0 200 x\r\ncontent-length: 5",
            "HTTP/1.1 200 x\r\ncontent-length: 5\r\nconnection: x, Close",
            "HTTP/1.1 200 x",
            "HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\ncontent-length: 5",
            "HTTP/1.1 101 x",
        ] {
            assert!(!kept(head), "{head}");
        }
    }

    #[test]
    fn an_interim_answer_is_not_the_answer() {
        let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nlink: y\r\n\r\n\
                    HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        let answer = whole(text);
        assert_eq!(
            (answer.status, &answer.body[..]),
            (StatusCode::OK, &b"ok"[..])
        );
    }

    #[test]
    fn what_is_longer_than_an_answer_is_refused_before_it_is_held() {
        let long = "x".repeat(BODY_MAX + 1);
        for text in [
            "HTTP/1.1 200 x\r\ncontent-length: 1025\r\n\r\n".to_owned(),
            "HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n401\r\n".to_owned(),
            format!("HTTP/1.1 200 x\r\n\r\n{long}"),
        ] {
            assert_eq!(read(text.as_bytes(), 100), Err(Fault::TooLong), "{text}");
        }
        let endless = "x".repeat(HEAD_BYTES_MAX);
        for text in [
            format!("HTTP/1.1 200 x\r\na: {endless}"),
            format!("HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n1;{endless}"),
            format!("HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n0\r\na: {endless}"),
        ] {
            assert_eq!(read(text.as_bytes(), 10_000), Err(Fault::NotHttp));
        }
    }

    /// A piece of an answer: sound ones, and such as no server should send.
    fn header() -> impl Strategy<Value = String> {
        prop_oneof![
            6 => (0usize..40).prop_map(|length| format!("content-length: {length}\r\n")),
            4 => Just("Transfer-Encoding: chunked\r\n".to_owned()),
            4 => prop::sample::select(vec![
                "content-length: 5, 5\r\n", "Content-Length: 5,6\r\n", "content-length: +5\r\n",
                "content-length: \r\n", "content-length: 99999999999999999999\r\n",
                "content-length:5\n", "transfer-encoding: gzip\r\n",
                "transfer-encoding: gzip, chunked\r\n", "transfer-encoding: chunked, gzip\r\n",
                "connection: close\r\n", "connection: keep-alive\r\n", "x: y\r\n", "x y: z\r\n",
                "x: \r\n", ": x\r\n", "x: a\r\n b\r\n", "no colon\r\n", "x: \u{e9}\r\n",
            ]).prop_map(str::to_owned),
        ]
    }

    fn body() -> impl Strategy<Value = String> {
        let chunk = (
            "[a-z]{0,20}",
            prop::sample::select(vec!["", ";a=b", " ", "0"]),
        );
        let chunks = prop::collection::vec(chunk, 0..4).prop_map(|chunks| {
            let chunks = chunks.iter().map(|(data, extension)| {
                let extension = if *extension == "0" { "" } else { extension };
                format!("{:X}{extension}\r\n{data}\r\n", data.len())
            });
            chunks.collect::<String>()
        });
        let end = prop::sample::select(vec!["0\r\n\r\n", "0\r\na: b\r\n\r\n", "0\r\n", "", "x"]);
        prop_oneof![
            "[a-z]{0,40}",
            (chunks, end).prop_map(|(chunks, end)| format!("{chunks}{end}")),
        ]
    }

    fn answer() -> impl Strategy<Value = String> {
        let line = prop::sample::select(vec![
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 503 \r\n",
            "HTTP/1.1 200\r\n",
            "HTTP/1.0 200 OK\r\n",
            "HTTP/1.1 204 x\r\n",
            "HTTP/1.1 304 x\r\n",
            "HTTP/1.1 400 Bad\n",
            "HTTP/1.1 100 x\r\n\r\nHTTP/1.1 200 OK\r\n",
            "HTTP/1.1 20 OK\r\n",
            "HTTP/2 200\r\n",
            "\r\nHTTP/1.1 200 OK\r\n",
            "HTTP/1.1 999 x\r\n",
            "junk\r\n",
        ]);
        (line, prop::collection::vec(header(), 0..3), body())
            .prop_map(|(line, headers, body)| format!("{line}{}\r\n{body}", headers.concat()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        /// The library is right, however the bytes come.
        #[test]
        fn an_answer_is_what_the_library_reads_of_it(
            text in answer(),
            lost in prop_oneof![4 => Just(0usize), 1 => 0usize..40],
            at_once in 1usize..200,
        ) {
            let bytes = &text.as_bytes()[..text.len().saturating_sub(lost)];
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let theirs = runtime.block_on(read_by_hyper(bytes));
            let ours = read(bytes, at_once).ok().flatten().map(|it| (it.status, it.body));
            prop_assert_eq!(ours, theirs, "{:?}", text);
        }
    }
}
