//! What clients asked of a server and what it answered, from the bytes of its connections.

use std::collections::{BTreeMap, VecDeque};
use std::io::Cursor;

use busload_wire::{Answer, Call, OutcomeClass, RequestId, Transfer, binary, json};
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// Largest message or body that is waited for.
const MESSAGE_LIMIT_BYTES: usize = 16 * 1024 * 1024;
/// Most header fields of a request or response.
const MAX_HEADERS: usize = 128;

/// Something that was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// A client asked for this transfer.
    Asked(Transfer),
    /// A transfer was answered: the `n`th that this connection asked for.
    Answered(usize, Verdict),
}

/// What an answer claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is durable.
    Committed,
    /// It is not applied and will not be.
    Refused,
    /// Nobody knows.
    Unknown,
}

impl Verdict {
    fn of(answer: &Answer) -> Self {
        match answer.result {
            Ok(()) => Self::Committed,
            Err(Some(code)) if code.class() != OutcomeClass::Unknown => Self::Refused,
            Err(_) => Self::Unknown,
        }
    }
}

/// One connection.
#[derive(Debug, Default)]
pub(crate) struct ProtocolDecoder {
    requests: Stream,
    answers: Stream,
    asked: usize,
    /// WebSocket: transfers that are not answered yet, by request id.
    by_id: BTreeMap<RequestId, usize>,
    /// HTTP: requests that are not answered yet; `None` is none of a transfer.
    in_order: VecDeque<Option<usize>>,
}

impl ProtocolDecoder {
    /// Takes bytes from the client.
    pub(crate) fn received(&mut self, bytes: &[u8]) -> Result<Vec<Said>, String> {
        self.requests.bytes.extend_from_slice(bytes);
        let mut said = Vec::new();
        while let Some(message) = self.requests.next(Side::Client)? {
            let mut transfers = Vec::new();
            match message {
                Message::Head => self.requests.framed = true,
                Message::Body(body) => {
                    let transfer = transfer_in(&body).map(|(_, transfer)| transfer);
                    let number = transfer.map(|_| self.asked);
                    self.in_order.push_back(number);
                    transfers.extend(transfer.map(|transfer| (None, transfer)));
                }
                Message::Text(text) => {
                    transfers.extend(transfer_in(&text));
                }
                Message::Binary(bytes) => {
                    let mut records = Vec::new();
                    // One that cannot be read is refused as a whole.
                    let _ = binary::decode_transfers(&bytes, &mut records);
                    transfers.extend(records.into_iter().map(|(id, one)| (Some(id), one)));
                }
            }
            for (id, transfer) in transfers {
                if let Some(id) = id {
                    self.by_id.insert(id, self.asked);
                }
                self.asked += 1;
                said.push(Said::Asked(transfer));
            }
        }
        Ok(said)
    }

    /// Takes bytes for the client.
    pub(crate) fn sent(&mut self, bytes: &[u8]) -> Result<Vec<Said>, String> {
        self.answers.bytes.extend_from_slice(bytes);
        let mut said = Vec::new();
        while let Some(message) = self.answers.next(Side::Server)? {
            match message {
                Message::Head => self.answers.framed = true,
                Message::Body(body) => {
                    let number = self.in_order.pop_front();
                    let number = number.ok_or("a response without a request")?;
                    if let (Some(number), Ok(answer)) = (number, json::decode_answer(&body)) {
                        said.push(Said::Answered(number, Verdict::of(&answer)));
                    }
                }
                Message::Text(text) => {
                    let answer = json::decode_answer(&text);
                    said.extend(answer.ok().and_then(|answer| self.answered(&answer)));
                }
                Message::Binary(bytes) => {
                    let mut answers = Vec::new();
                    binary::decode_outcomes(&bytes, &mut answers).map_err(|why| why.to_string())?;
                    said.extend(answers.iter().filter_map(|answer| self.answered(answer)));
                }
            }
        }
        Ok(said)
    }

    fn answered(&mut self, answer: &Answer) -> Option<Said> {
        let number = self.by_id.remove(&answer.id?)?;
        Some(Said::Answered(number, Verdict::of(answer)))
    }
}

fn transfer_in(text: &[u8]) -> Option<(Option<RequestId>, Transfer)> {
    match json::decode_request(text) {
        Ok(request) => match request.call {
            Call::Transfer(transfer) => Some((request.id, transfer)),
            _ => None,
        },
        Err(_) => None,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

#[derive(Debug, PartialEq, Eq)]
enum Message {
    /// The head of an upgrade: WebSocket frames follow.
    Head,
    /// The body of an HTTP request or response.
    Body(Vec<u8>),
    Text(Vec<u8>),
    Binary(Vec<u8>),
}

/// One direction of a connection.
#[derive(Debug, Default)]
struct Stream {
    bytes: Vec<u8>,
    /// WebSocket frames, not HTTP.
    framed: bool,
    /// A message whose last frame has not come, and its kind.
    partial: Option<(Data, Vec<u8>)>,
}

impl Stream {
    /// The next whole message, when it is there.
    fn next(&mut self, side: Side) -> Result<Option<Message>, String> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        if self.framed {
            self.next_framed()
        } else {
            self.next_plain(side)
        }
    }

    fn next_plain(&mut self, side: Side) -> Result<Option<Message>, String> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let no_http = |error: httparse::Error| format!("no HTTP: {error}");
        let (head, upgraded) = match side {
            Side::Client => {
                let mut request = httparse::Request::new(&mut headers);
                let head = request.parse(&self.bytes).map_err(no_http)?;
                let upgraded = field(request.headers, "upgrade").is_some();
                (head, upgraded)
            }
            Side::Server => {
                let mut response = httparse::Response::new(&mut headers);
                let head = response.parse(&self.bytes).map_err(no_http)?;
                (head, response.code == Some(101))
            }
        };
        let httparse::Status::Complete(head) = head else {
            return Ok(None);
        };
        if upgraded {
            self.bytes.drain(..head);
            return Ok(Some(Message::Head));
        }
        if let Some(encoding) = field(&headers, "transfer-encoding") {
            if !encoding.eq_ignore_ascii_case("chunked") {
                return Err(format!("a body in {encoding} cannot be read"));
            }
            return self.next_chunked(head);
        }
        let length = match field(&headers, "content-length") {
            None => 0,
            Some(length) => length.parse().map_err(|_| "no content-length".to_owned())?,
        };
        let end = message_end(head, length)?;
        if self.bytes.len() < end {
            return Ok(None);
        }
        let body = self.bytes[head..end].to_vec();
        self.bytes.drain(..end);
        Ok(Some(Message::Body(body)))
    }

    /// A body in chunks, which begins at `start`.
    fn next_chunked(&mut self, start: usize) -> Result<Option<Message>, String> {
        let (mut at, mut body) = (start, Vec::new());
        loop {
            let rest = self.bytes.get(at..).unwrap_or_default();
            let size = httparse::parse_chunk_size(rest).map_err(|_| "no chunk".to_owned())?;
            let httparse::Status::Complete((header, length)) = size else {
                return Ok(None);
            };
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            let end = message_end(at + header, length)?;
            if length == 0 {
                // Fields may follow, and an empty line does.
                let rest = self.bytes.get(end..).unwrap_or_default();
                let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
                let fields = httparse::parse_headers(rest, &mut fields);
                let httparse::Status::Complete((trailer, _)) =
                    fields.map_err(|error| format!("no HTTP: {error}"))?
                else {
                    return Ok(None);
                };
                self.bytes.drain(..end + trailer);
                return Ok(Some(Message::Body(body)));
            }
            let Some(chunk) = self.bytes.get(at + header..end + 2) else {
                return Ok(None);
            };
            body.extend_from_slice(&chunk[..length]);
            if body.len() > MESSAGE_LIMIT_BYTES {
                return Err("a message is too long".to_owned());
            }
            at = end + 2;
        }
    }

    fn next_framed(&mut self) -> Result<Option<Message>, String> {
        loop {
            let mut cursor = Cursor::new(&self.bytes);
            let header = FrameHeader::parse(&mut cursor).map_err(|error| error.to_string())?;
            let Some((header, length)) = header else {
                return Ok(None);
            };
            let start = usize::try_from(cursor.position()).map_err(|_| "too long".to_owned())?;
            let length = usize::try_from(length).map_err(|_| "too long".to_owned())?;
            let end = message_end(start, length)?;
            if self.bytes.len() < end {
                return Ok(None);
            }
            let mut payload = self.bytes[start..end].to_vec();
            self.bytes.drain(..end);
            if let Some(mask) = header.mask {
                for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
                    *byte ^= mask;
                }
            }
            let OpCode::Data(kind) = header.opcode else {
                continue;
            };
            let (kind, whole) = match (kind, self.partial.take()) {
                (Data::Continue, Some((kind, mut begun))) => {
                    begun.extend_from_slice(&payload);
                    (kind, begun)
                }
                (kind, _) => (kind, payload),
            };
            if whole.len() > MESSAGE_LIMIT_BYTES {
                return Err("a message is too long".to_owned());
            }
            if !header.is_final {
                self.partial = Some((kind, whole));
                continue;
            }
            return Ok(Some(match kind {
                Data::Text => Message::Text(whole),
                _ => Message::Binary(whole),
            }));
        }
    }
}

fn message_end(start: usize, length: usize) -> Result<usize, String> {
    if length > MESSAGE_LIMIT_BYTES {
        return Err("a message is too long".to_owned());
    }
    Ok(start + length)
}

fn field<'h>(headers: &'h [httparse::Header<'_>], name: &str) -> Option<&'h str> {
    let found = headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(found.value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPGRADE: &[u8] =
        b"GET /rpc HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";

    fn transfer(amount: i64) -> Transfer {
        Transfer {
            from: 0,
            to: 1,
            amount,
            transfer_id: None,
        }
    }

    /// A masked text frame.
    fn asks(text: &str, first_byte: u8) -> Vec<u8> {
        let mask = [1_u8, 2, 3, 4];
        let mut frame = vec![first_byte, 0x80 | u8::try_from(text.len()).unwrap()];
        frame.extend(mask);
        frame.extend(
            text.bytes()
                .zip(mask.iter().cycle())
                .map(|(byte, mask)| byte ^ mask),
        );
        frame
    }

    fn answers(text: &str) -> Vec<u8> {
        [&[0x81, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
    }

    fn one(id: u64, amount: i64) -> String {
        format!(
            r#"{{"id":{id},"name":"transfer","args":{{"from_id":0,"to_id":1,"amount":{amount}}}}}"#
        )
    }

    /// However the bytes are cut, the same is said.
    fn in_pieces(requests: &[u8], replies: &[u8], size: usize) -> (Vec<Said>, Vec<Said>) {
        let mut conversation = ProtocolDecoder::default();
        let mut asked = Vec::new();
        for piece in requests.chunks(size) {
            asked.extend(conversation.received(piece).unwrap());
        }
        let mut answered = Vec::new();
        for piece in replies.chunks(size) {
            answered.extend(conversation.sent(piece).unwrap());
        }
        (asked, answered)
    }

    #[test]
    fn answers_over_a_websocket_are_matched_by_id() {
        let requests = [
            UPGRADE,
            &asks(r#"{"id":3,"name":"health"}"#, 0x81),
            &asks(&one(7, 1), 0x81),
            // In two frames, with a ping between them.
            &asks(&one(8, 2)[..20], 0x01),
            &asks("", 0x89),
            &asks(&one(8, 2)[20..], 0x80),
            &asks(&one(9, 3), 0x81),
        ]
        .concat();
        let replies = [
            SWITCHING,
            &answers(r#"{"id":9,"ok":true}"#),
            &answers(r#"{"id":3,"ok":true,"result":{"status":"ok"}}"#),
            &answers(r#"{"id":7,"ok":false,"error":"insufficient_funds"}"#),
            &answers(r#"{"id":8,"ok":false,"error":"unknown_outcome"}"#),
        ]
        .concat();
        for size in [1, 3, 50, 10_000] {
            let (asked, answered) = in_pieces(&requests, &replies, size);
            assert_eq!(asked, [1, 2, 3].map(|n| Said::Asked(transfer(n))));
            assert_eq!(
                answered,
                [
                    Said::Answered(2, Verdict::Committed),
                    Said::Answered(0, Verdict::Refused),
                    Said::Answered(1, Verdict::Unknown),
                ]
            );
        }
    }

    #[test]
    fn answers_over_http_are_matched_by_order() {
        let post = |body: &str| {
            let length = body.len();
            format!("POST /rpc HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}")
        };
        let reply = |status: u16, body: &str| {
            let length = body.len();
            format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n\r\n{body}")
        };
        let ask = |n: i64| {
            post(&format!(
                r#"{{"name":"transfer","args":{{"from_id":0,"to_id":1,"amount":{n}}}}}"#
            ))
        };
        let requests = [ask(1), "GET / HTTP/1.1\r\n\r\n".to_owned(), ask(2)].concat();
        let in_chunks = "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n\
             6\r\n{\"ok\":\r\n5;a=b\r\ntrue}\r\n0\r\n\r\n";
        let replies = [
            in_chunks.to_owned(),
            reply(200, r#"{"ok":true,"result":{"status":"ok"}}"#),
            reply(503, r#"{"ok":false,"error":"overloaded"}"#),
        ]
        .concat();
        for size in [1, 7, 10_000] {
            let (asked, answered) = in_pieces(requests.as_bytes(), replies.as_bytes(), size);
            assert_eq!(asked, [1, 2].map(|n| Said::Asked(transfer(n))));
            assert_eq!(
                answered,
                [
                    Said::Answered(0, Verdict::Committed),
                    Said::Answered(1, Verdict::Refused),
                ]
            );
        }
    }

    #[test]
    fn records_are_read_like_text() {
        let mut builder = binary::MessageBuilder::new();
        for n in 1..=2_i64 {
            builder.push_transfer(RequestId::new(n.unsigned_abs()).unwrap(), &transfer(n));
        }
        let message = builder.finish();
        let mut frame = vec![
            0x82,
            0x80 | u8::try_from(message.len()).unwrap(),
            0,
            0,
            0,
            0,
        ];
        frame.extend_from_slice(&message);
        builder.push_outcome(RequestId::new(2), Ok(()));
        let outcome = builder.finish();
        let mut reply = vec![0x82, u8::try_from(outcome.len()).unwrap()];
        reply.extend_from_slice(&outcome);
        let requests = [UPGRADE, &frame].concat();
        let (asked, answered) = in_pieces(&requests, &[SWITCHING, &reply].concat(), 5);
        assert_eq!(asked, [1, 2].map(|n| Said::Asked(transfer(n))));
        assert_eq!(answered, [Said::Answered(1, Verdict::Committed)]);
    }

    #[test]
    fn what_is_no_protocol_is_an_error() {
        let mut conversation = ProtocolDecoder::default();
        assert!(conversation.received(b"\0\0\0\0").is_err());
        let mut conversation = ProtocolDecoder::default();
        assert!(
            conversation
                .sent(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
                .is_err()
        );
    }
}
