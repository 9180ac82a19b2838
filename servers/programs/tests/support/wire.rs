//! HTTP and WebSocket written to bare sockets.

use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::ops::Range;

use serde_json::{Value, json};

use super::Server;

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }
}

/// Reads one answer; `None` when the connection ends before it.
pub(crate) fn read_response(stream: &mut impl Read) -> Option<Response> {
    let mut response = read_head(stream)?;
    let length = response
        .head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let length = length.map_or(0, |length| length.trim().parse().expect("a length"));
    response.body = vec![0; length];
    stream.read_exact(&mut response.body).ok()?;
    Some(response)
}

/// As [`read_response`], for an answer to HEAD: whatever length it names, there is no body.
pub(crate) fn read_head(stream: &mut impl Read) -> Option<Response> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head)
        .expect("heads are text")
        .to_ascii_lowercase();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .expect("a status");
    Some(Response {
        status,
        head,
        body: Vec::new(),
    })
}

/// A request of HTTP with this body.
pub(crate) fn http_request(body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!(
        "POST /rpc HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

pub(crate) fn post(stream: &mut TcpStream, body: &[u8]) -> Response {
    stream.write_all(&http_request(body)).expect("it reads");
    read_response(stream).expect("an answer")
}

pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// A frame of a client.
pub(crate) fn frame(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x12, 0x34, 0x56, 0x78];
    let mut bytes = header(first_byte, payload.len(), 0x80);
    bytes.extend(mask);
    bytes.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    bytes
}

pub(crate) fn header(first_byte: u8, length: usize, masked: u8) -> Vec<u8> {
    let mut bytes = vec![first_byte];
    match length {
        0..126 => bytes.push(masked | u8::try_from(length).expect("it fits")),
        126..0x1_0000 => {
            bytes.push(masked | 0x7E);
            bytes.extend(u16::try_from(length).expect("it fits").to_be_bytes());
        }
        _ => {
            bytes.push(masked | 0x7F);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes
}

pub(crate) const FIN: u8 = 0x80;

/// Opens a WebSocket by hand.
pub(crate) fn upgrade(server: &Server, path: &str, further: &str) -> (TcpStream, Response) {
    let mut stream = server.connect();
    let response = handshake(&mut stream, path, further);
    (stream, response)
}

fn handshake(stream: &mut TcpStream, path: &str, further: &str) -> Response {
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n{further}\r\n"
    );
    stream.write_all(request.as_bytes()).expect("it reads");
    read_response(stream).expect("an answer")
}

/// Makes a WebSocket of a connection.
pub(crate) fn upgrade_on(mut stream: TcpStream) -> TcpStream {
    let response = handshake(&mut stream, "/rpc", "");
    assert_eq!(response.status, 101, "{response:?}");
    stream
}

pub(crate) fn socket(server: &Server) -> TcpStream {
    let (stream, response) = upgrade(server, "/rpc", "");
    assert_eq!(response.status, 101, "{response:?}");
    assert!(
        !response.head.contains("sec-websocket-protocol"),
        "nothing was offered"
    );
    stream
}

pub(crate) const OFFER: &str = "sec-websocket-protocol: transfer.binary.v1\r\n";

pub(crate) fn binary_socket(server: &Server) -> TcpStream {
    let (stream, response) = upgrade(server, "/rpc", OFFER);
    assert_eq!(response.status, 101, "{response:?}");
    assert!(
        response
            .head
            .contains("sec-websocket-protocol: transfer.binary.v1")
    );
    stream
}

/// The next frame of the server: opcode and payload; `None` at the end.
pub(crate) fn read_frame(stream: &mut impl Read) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).ok()?;
    assert_eq!(head[0] & 0xF0, FIN, "the server sends whole, plain frames");
    assert_eq!(head[1] & 0x80, 0, "a server does not mask");
    let length = match head[1] {
        126 => {
            let mut bytes = [0; 2];
            stream.read_exact(&mut bytes).ok()?;
            usize::from(u16::from_be_bytes(bytes))
        }
        127 => {
            let mut bytes = [0; 8];
            stream.read_exact(&mut bytes).ok()?;
            usize::try_from(u64::from_be_bytes(bytes)).expect("it fits")
        }
        short => usize::from(short),
    };
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).ok()?;
    Some((head[0] & 0x0F, payload))
}

/// The next frame of the server, which must be a text.
pub(crate) fn read_text(stream: &mut impl Read) -> Vec<u8> {
    let (opcode, payload) = read_frame(stream).expect("an answer");
    assert_eq!(opcode, TEXT, "{payload:?}");
    payload
}

pub(crate) fn read_answer(stream: &mut impl Read) -> Value {
    serde_json::from_slice(&read_text(stream)).expect("answers are JSON")
}

pub(crate) fn ask(stream: &mut TcpStream, request: &[u8]) -> Value {
    stream
        .write_all(&frame(FIN | TEXT, request))
        .expect("it reads");
    read_answer(stream)
}

/// The close code with which the server ends the connection, and that it ends it.
pub(crate) fn close_code(stream: &mut impl Read) -> Option<u16> {
    let mut code = None;
    while let Some((opcode, payload)) = read_frame(stream) {
        if opcode == CLOSE {
            code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
        }
    }
    code
}

/// Asks a server of either kind on a connection of its own.
pub(crate) fn ask_anew(server: &Server, request: &Value) -> Value {
    let mut probe = server.connect();
    probe
        .write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        .expect("it reads");
    assert_eq!(read_response(&mut probe).expect("an answer").status, 200);
    let response = post(&mut probe, request.to_string().as_bytes());
    if response.status == 200 {
        return response.json();
    }
    let mut request = request.clone();
    request["id"] = json!(1);
    ask(&mut socket(server), request.to_string().as_bytes())
}

/// Number, sum and digest of all balances.
pub(crate) fn books(server: &Server) -> Value {
    let answer = ask_anew(
        server,
        &json!({"name": "stats", "args": {"balances": true}}),
    );
    assert_eq!(answer["ok"], true, "{answer}");
    answer["result"]["balances"].clone()
}

pub(crate) fn transfer(amount: &str) -> String {
    format!("{{\"name\":\"transfer\",\"args\":{{\"from_id\":0,\"to_id\":1,\"amount\":{amount}}}}}")
}

/// A transfer of 1 as a request over WebSocket, or over HTTP, where the id is ignored.
pub(crate) fn transfer_between(id: u64, from: u64, to: u64) -> String {
    format!(
        "{{\"id\":{id},\"name\":\"transfer\",\"args\":{{\"from_id\":{from},\"to_id\":{to},\"amount\":1}}}}"
    )
}

/// Transfers of 1 with these ids, a frame each.
pub(crate) fn transfer_frames(ids: Range<u64>, from: u64, to: u64) -> Vec<u8> {
    let one = |id| frame(FIN | TEXT, transfer_between(id, from, to).as_bytes());
    ids.flat_map(one).collect()
}

/// The balances of accounts 0 to 99, once everything queued before is committed.
pub(crate) fn balances(server: &Server) -> Vec<i64> {
    let balance = |answer: Value| {
        let balance = answer["result"]["balance"].as_str().map(str::parse);
        balance.expect("a balance").expect("a number")
    };
    let request =
        |id: u64| format!("{{\"id\":{id},\"name\":\"getAccount\",\"args\":{{\"id\":{id}}}}}");
    if server.is_ws {
        let mut stream = socket(server);
        let one = |id| balance(ask(&mut stream, request(id).as_bytes()));
        (0..100).map(one).collect()
    } else {
        let mut stream = server.connect();
        let one = |id| balance(post(&mut stream, request(id).as_bytes()).json());
        (0..100).map(one).collect()
    }
}

/// The counters, at once.
pub(crate) fn counters(server: &Server) -> Value {
    let request = json!({"name": "stats", "args": {"histograms": false}});
    ask_anew(server, &request)["result"].clone()
}

/// Answers pings until there is a text, or the end.
pub(crate) fn read_answer_and_pong(stream: &mut TcpStream) -> Option<Value> {
    loop {
        match read_frame(stream)? {
            (TEXT, payload) => {
                return Some(serde_json::from_slice(&payload).expect("answers are JSON"));
            }
            (PING, payload) => stream.write_all(&frame(FIN | PONG, &payload)).ok()?,
            (opcode, _) => assert_eq!(opcode, CLOSE),
        }
    }
}
