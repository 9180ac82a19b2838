//! The client's session: transfers submitted and flushed, answers read.
//!
//! The other end of the socket is this thread too: it writes the answers, always the same bytes,
//! and takes what the session wrote. So both ends have one system call each in a turn, and nobody
//! waits for another thread. Over a WebSocket the answers are there before the session looks for
//! them; over HTTP an answer to nothing would be the end of the connection, so they come after the
//! request.

use std::future::poll_fn;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::pin::pin;
use std::task::Poll;
use std::thread;

use bench_client::config::Encoding;
use bench_client::connector::{
    Connector as _, Endpoint, HttpConnector, Outcome, Reply, Session as _, WorkerId, WsConnector,
};
use busload_wire::binary::SUBPROTOCOL;
use busload_wire::{RequestId, Transfer};
use tokio::runtime::Runtime;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::HotPath;
use super::messages;

pub(super) fn paths() -> Vec<HotPath> {
    vec![
        path(Encoding::Json, 1),
        path(Encoding::Json, 16),
        path(Encoding::Binary, 16),
        HotPath::new("client/http/1".to_owned(), 1, |_| http_turn()),
    ]
}

struct Client {
    runtime: Runtime,
    session: <WsConnector as bench_client::connector::Connector>::Session,
    replies: Vec<Reply>,
    transfers: Vec<(RequestId, Transfer)>,
    server: TcpStream,
    answers: Vec<u8>,
    /// What the session writes in a turn: its length is the same in each.
    requests: Vec<u8>,
}

impl Client {
    fn connect(encoding: Encoding, count: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let accepting = thread::spawn(move || accept(&listener, encoding));
        let runtime = runtime();
        let connector = WsConnector::new(Endpoint::plain(&address), encoding);
        let session = runtime.block_on(connector.connect(WorkerId(0)));
        let transfers = messages::transfers(count);
        Self {
            runtime,
            session: session.expect("a session"),
            replies: Vec::new(),
            server: accepting.join().expect("a handshake"),
            answers: messages::answers(encoding, &transfers),
            requests: messages::requests(encoding, &transfers),
            transfers,
        }
    }

    fn turn(&mut self) {
        for (id, transfer) in &self.transfers {
            let submitted = self.session.submit(*id, *transfer);
            submitted.expect("the session is open");
        }
        self.server.write_all(&self.answers).expect("open");
        while self.replies.len() < self.transfers.len() {
            let read = self.session.replies(&mut self.replies);
            self.runtime.block_on(read).expect("answers");
        }
        self.replies.clear();
        let written = self.server.read_exact(&mut self.requests);
        written.expect("requests");
    }
}

fn runtime() -> Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime")
}

fn path(encoding: Encoding, count: usize) -> HotPath {
    let name = format!("client/{}/{count}", encoding.as_str());
    HotPath::new(name, count, move |_| turn(encoding, count))
}

fn turn(encoding: Encoding, count: usize) -> impl FnMut() {
    let mut client = Client::connect(encoding, count);
    client.turn();
    client.server.set_nonblocking(true).expect("a socket");
    let more = client.server.read(&mut [0]).map_err(|error| error.kind());
    assert_eq!(more, Err(ErrorKind::WouldBlock), "requests as expected");
    client.server.set_nonblocking(false).expect("a socket");
    move || client.turn()
}

fn http_turn() -> impl FnMut() {
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
        content-length: 11\r\ndate: Tue, 01 Dec 2026 00:00:00 GMT\r\n\r\n{\"ok\":true}";
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let runtime = runtime();
    let connector = HttpConnector::new(Endpoint::plain(&address));
    let session = runtime.block_on(connector.connect(WorkerId(0)));
    let mut session = session.expect("a session");
    let (mut server, _) = listener.accept().expect("a client");
    server.set_nodelay(true).expect("a socket");
    let (id, transfer) = messages::transfers(1)[0];
    let mut replies = Vec::new();
    let mut request = [0; 4096];
    move || {
        session.submit(id, transfer).expect("the session is open");
        runtime.block_on(async {
            let mut read = pin!(session.replies(&mut replies));
            let sent = poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx)));
            assert!(sent.await.is_pending(), "there is no answer yet");
            let length = server.read(&mut request).expect("a request");
            assert!(request[..length].ends_with(b"}"), "a whole request");
            server.write_all(ANSWER).expect("open");
            read.await.expect("an answer");
        });
        let reply = replies.pop().expect("a reply");
        assert_eq!(reply.outcome, Outcome::Committed);
    }
}

/// A server's part in the handshake.
fn accept(listener: &TcpListener, encoding: Encoding) -> TcpStream {
    let (mut stream, _) = listener.accept().expect("a client");
    stream.set_nodelay(true).expect("a socket");
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("a request");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("HTTP");
    let key = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"))
        .map(|(_, key)| derive_accept_key(key.as_bytes()))
        .expect("a key");
    let protocol = match encoding {
        Encoding::BsatnV2 | Encoding::BsatnV3 => {
            unreachable!("the benches are of the transfer protocol")
        }
        Encoding::Json => String::new(),
        Encoding::Binary => format!("Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n"),
    };
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {key}\r\n{protocol}\r\n"
    );
    stream.write_all(answer.as_bytes()).expect("open");
    stream
}
