//! The client's session over a WebSocket: transfers submitted and flushed, answers read.
//!
//! The other end of the socket is this thread too: it writes the answers, always the same bytes,
//! before the session looks for them, and takes what the session wrote. So both ends have one
//! system call each in a turn, and nobody waits for another thread.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

use bench_client::config::Encoding;
use bench_client::connector::{
    Connector as _, Endpoint, Reply, Session as _, WorkerId, WsConnector,
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
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
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
