//! A whole server without a ledger: connection, queue, writer thread and the way back.
//!
//! The client sends the same bytes in every turn, in one system call, and waits until all of them
//! are answered. So there is one vector of transfers in a turn, one batch and one wake-up.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bench_client::config::Encoding;
use busload_frontend::{HttpArgs, Server, Settings, WsArgs};
use busload_wire::binary::SUBPROTOCOL;
use busload_wire::json::encode_transfer;
use bytes::BytesMut;
use clap::Parser;
use tokio::sync::oneshot;

use super::HotPath;
use super::messages;

/// A server on any port, whose batches sleep so long.
fn flags(null_sync: Duration) -> Vec<String> {
    let null_sync = format!("{}ns", null_sync.as_nanos());
    let flags = [
        "server",
        "--port",
        "0",
        "--null-server",
        "--null-sync",
        &null_sync,
    ];
    flags.map(str::to_owned).to_vec()
}

#[derive(Parser)]
struct Http {
    #[command(flatten)]
    args: HttpArgs,
}

#[derive(Parser)]
struct Ws {
    #[command(flatten)]
    args: WsArgs,
}

pub(super) fn paths() -> Vec<HotPath> {
    vec![
        ws(Encoding::Json, 1),
        ws(Encoding::Json, 16),
        ws(Encoding::Binary, 16),
        http(),
    ]
}

/// A server in a thread, which ends with it, and a client's connection.
struct Connected {
    stream: TcpStream,
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<()>>,
}

impl Connected {
    fn new(settings: Settings) -> Self {
        let (address, started) = std::sync::mpsc::sync_channel(1);
        let (stop, stopped) = oneshot::channel::<()>();
        let server = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let server = Server::start(&settings).expect("a port is free");
                address.send(server.address()).expect("awaited");
                let ended = server.run(async {
                    let _ = stopped.await;
                });
                ended.await.expect("nothing to fail at");
            });
        });
        let address = started.recv().expect("a server");
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        Self {
            stream,
            stop: Some(stop),
            server: Some(server),
        }
    }

    /// Reads to the end of a response's head.
    fn read_head(&mut self) -> String {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            self.stream.read_exact(&mut byte).expect("a response");
            head.push(byte[0]);
        }
        String::from_utf8(head).expect("HTTP")
    }

    fn exchange(&mut self, requests: &[u8], answers: &mut [u8]) {
        self.stream.write_all(requests).expect("open");
        self.stream.read_exact(answers).expect("answers");
    }
}

fn ws(encoding: Encoding, count: usize) -> HotPath {
    let name = format!("server/{}/{count}", encoding.as_str());
    HotPath::new(name, count, move |setup| {
        ws_turn(encoding, count, setup.null_sync)
    })
}

fn http() -> HotPath {
    HotPath::new("server/http/1".to_owned(), 1, |setup| {
        http_turn(setup.null_sync)
    })
}

fn ws_turn(encoding: Encoding, count: usize, null_sync: Duration) -> impl FnMut() {
    let args = Ws::try_parse_from(flags(null_sync)).expect("flags").args;
    let mut connected = Connected::new(args.settings().expect("flags that agree"));
    let protocol = match encoding {
        Encoding::BsatnV2 | Encoding::BsatnV3 => {
            unreachable!("the benches are of the transfer protocol")
        }
        Encoding::Json => String::new(),
        Encoding::Binary => format!("Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n"),
    };
    let handshake = format!(
        "GET /rpc HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         {protocol}\r\n"
    );
    let written = connected.stream.write_all(handshake.as_bytes());
    written.expect("open");
    let head = connected.read_head();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let transfers = messages::transfers(count);
    let requests = messages::requests(encoding, &transfers);
    let expected = messages::answers(encoding, &transfers);
    let mut answers = vec![0; expected.len()];
    move || {
        connected.exchange(&requests, &mut answers);
        assert!(answers == expected, "each transfer was committed");
    }
}

fn http_turn(null_sync: Duration) -> impl FnMut() {
    let args = Http::try_parse_from(flags(null_sync)).expect("flags").args;
    let mut connected = Connected::new(args.settings().expect("flags that agree"));
    let (_, transfer) = messages::transfers(1)[0];
    let mut body = BytesMut::new();
    encode_transfer(&mut body, None, &transfer);
    let mut request = format!(
        "POST /rpc HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(&body);
    // All responses are as long as the first.
    connected.stream.write_all(&request).expect("open");
    let head = connected.read_head();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let length: usize = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, length)| length.parse().ok())
        .expect("a length");
    let mut response = vec![0; head.len() + length];
    let (_, body) = response.split_at_mut(head.len());
    connected.stream.read_exact(body).expect("a body");
    let expected = body.to_vec();
    // Two connections in turn: on one, the server would find the next request before it has
    // finished with the last, or not, as the threads happen to run.
    let address = connected.stream.peer_addr().expect("connected");
    let mut other = TcpStream::connect(address).expect("it listens");
    other.set_nodelay(true).expect("a socket");
    move || {
        std::mem::swap(&mut connected.stream, &mut other);
        connected.exchange(&request, &mut response);
        assert!(response.ends_with(&expected), "the transfer was committed");
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.stop = None;
        // It would wait for its connection.
        let _ = self.stream.shutdown(Shutdown::Both);
        if let Some(server) = self.server.take() {
            server.join().expect("it stops");
        }
    }
}
