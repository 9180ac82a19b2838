//! A server's frames and codec without a socket: the frames of requests parsed in place, decoded,
//! answered, and the answers written as frames.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bench_client::config::Encoding;
use busload_net::frames::{FrameSocket, Incoming};
use busload_wire::binary::{self, MessageBuilder};
use busload_wire::json::{AnswerId, decode_request, encode_outcome};
use busload_wire::{RequestId, Transfer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::HotPath;
use super::messages;

const TRANSFERS: usize = 16;

pub(super) fn paths() -> Vec<HotPath> {
    vec![path(Encoding::Json), path(Encoding::Binary)]
}

/// A stream that has the same bytes in every turn, and takes whatever is written.
struct Canned {
    input: Vec<u8>,
    progress: Rc<Progress>,
}

#[derive(Default)]
struct Progress {
    read: Cell<usize>,
    written: Cell<usize>,
}

impl AsyncRead for Canned {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left = &self.input[self.progress.read.get()..];
        if left.is_empty() {
            // Nobody has to be woken: the next turn polls again.
            return Poll::Pending;
        }
        let length = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..length]);
        let read = self.progress.read.get() + length;
        self.progress.read.set(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Canned {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.progress.written.get() + bytes.len();
        self.progress.written.set(written);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// As much of a server's connection as there is without a ledger.
struct Server {
    socket: FrameSocket<Canned>,
    progress: Rc<Progress>,
    decoded: Vec<(RequestId, Transfer)>,
    ids: Vec<RequestId>,
    builder: MessageBuilder,
}

impl Server {
    fn turn(&mut self, encoding: Encoding) {
        self.progress.read.set(0);
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(incoming) = self.socket.poll_next(&mut cx) {
            match incoming
                .expect("open")
                .expect("frames as a client writes them")
            {
                Incoming::Text(payload) => {
                    let request = decode_request(self.socket.payload(&payload));
                    let request = request.expect("a transfer");
                    self.ids.push(request.id.expect("transfers have ids"));
                }
                Incoming::Binary(payload) => {
                    let payload = self.socket.payload(&payload);
                    binary::decode_transfers(payload, &mut self.decoded).expect("transfers");
                    self.ids.extend(self.decoded.drain(..).map(|(id, _)| id));
                }
                Incoming::Message(message) => panic!("not in place: {message}"),
            }
        }
        match encoding {
            Encoding::BsatnV2 | Encoding::BsatnV3 => {
                unreachable!("the benches are of the transfer protocol")
            }
            Encoding::Json => {
                for id in self.ids.drain(..) {
                    let id = AnswerId::Echo(Some(id));
                    let put = self.socket.put_text(|out| encode_outcome(out, id, Ok(())));
                    put.expect("there is room");
                }
            }
            Encoding::Binary => {
                for id in self.ids.drain(..) {
                    self.builder.push_outcome(Some(id), Ok(()));
                }
                let message = self.builder.finish();
                let put = self
                    .socket
                    .put_binary(|out| out.extend_from_slice(&message));
                put.expect("there is room");
            }
        }
        let flushed = self.socket.poll_flush(&mut cx);
        assert!(
            matches!(flushed, Poll::Ready(Ok(()))),
            "it takes everything"
        );
    }
}

fn path(encoding: Encoding) -> HotPath {
    let name = format!("frames/{}/{TRANSFERS}", encoding.as_str());
    HotPath::new(name, TRANSFERS, move |_| turn(encoding))
}

fn turn(encoding: Encoding) -> impl FnMut() {
    let transfers = messages::transfers(TRANSFERS);
    let answer_bytes = messages::answers(encoding, &transfers).len();
    let progress = Rc::new(Progress::default());
    let stream = Canned {
        input: messages::requests(encoding, &transfers),
        progress: Rc::clone(&progress),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let config = WebSocketConfig::default();
    let mut server = Server {
        socket: runtime.block_on(FrameSocket::server(stream, &[], config)),
        progress,
        decoded: Vec::new(),
        ids: Vec::new(),
        builder: MessageBuilder::new(),
    };
    move || {
        server.turn(encoding);
        let written = server.progress.written.take();
        assert_eq!(written, answer_bytes, "every transfer was answered");
    }
}
