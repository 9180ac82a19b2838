//! Against the library on the other side, in every mixture and cut.

use futures_util::{SinkExt as _, StreamExt as _};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};

use super::*;

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .write_buffer_size(16 * 1024)
        .max_write_buffer_size(1024 * 1024)
        .max_message_size(Some(256 * 1024))
        .max_frame_size(Some(256 * 1024))
}

/// What one side says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    Text(String),
    Binary(Vec<u8>),
    /// Text in several frames, with a ping between them.
    Fragments(Vec<String>),
    Ping(Vec<u8>),
}

fn said() -> impl Strategy<Value = Said> {
    let size = prop_oneof![
        6 => 0..130_usize,
        1 => 120..140_usize,
        1 => PAYLOAD_MAX_BYTES - 2..PAYLOAD_MAX_BYTES + 3,
        1 => 65_530..65_540_usize,
    ];
    let text = size.prop_map(|size| {
        "añ7{\"ok\":true}"
            .chars()
            .cycle()
            .take(size)
            .collect::<String>()
    });
    prop_oneof![
        6 => text.clone().prop_map(Said::Text),
        2 => text.clone().prop_map(|text| Said::Binary(text.into_bytes())),
        1 => proptest::collection::vec("[a-zé]{0,9}", 2..5).prop_map(Said::Fragments),
        1 => proptest::collection::vec(any::<u8>(), 0..125).prop_map(Said::Ping),
    ]
}

/// What a reader is to see of it.
fn seen(said: &[Said]) -> Vec<Said> {
    said.iter()
        .flat_map(|said| match said {
            Said::Fragments(parts) => {
                vec![Said::Ping(b"between".to_vec()), Said::Text(parts.concat())]
            }
            other => vec![other.clone()],
        })
        .collect()
}

/// Through the library, frame by frame.
async fn say(socket: &mut WebSocketStream<DuplexStream>, said: &[Said]) {
    for said in said {
        match said {
            Said::Text(text) => socket.feed(Message::text(text.clone())).await.unwrap(),
            Said::Binary(bytes) => socket.feed(Message::binary(bytes.clone())).await.unwrap(),
            Said::Ping(bytes) => socket
                .feed(Message::Ping(bytes.clone().into()))
                .await
                .unwrap(),
            Said::Fragments(parts) => {
                for (at, part) in parts.iter().enumerate() {
                    let code = if at == 0 { Data::Text } else { Data::Continue };
                    let last = at == parts.len() - 1;
                    let frame = Frame::message(part.clone(), OpCode::Data(code), last);
                    if last {
                        let between = Message::Ping(Bytes::from_static(b"between"));
                        socket.feed(between).await.unwrap();
                    }
                    socket.feed(Message::Frame(frame)).await.unwrap();
                }
            }
        }
    }
    socket.flush().await.unwrap();
}

/// Reads until the other side closes; pongs are not counted.
async fn hear(socket: &mut FrameSocket<DuplexStream>) -> Vec<Said> {
    let mut heard = Vec::new();
    loop {
        let incoming = poll_fn(|cx| {
            let incoming = socket.poll_next(cx);
            // As a connection does: what the library answers leaves in between.
            let _ = socket.poll_flush(cx);
            incoming
        })
        .await;
        let utf8 = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        heard.push(match incoming {
            None => return heard,
            Some(Ok(Incoming::Text(payload))) => Said::Text(utf8(socket.payload(&payload))),
            Some(Ok(Incoming::Binary(payload))) => Said::Binary(socket.payload(&payload).to_vec()),
            Some(Ok(Incoming::Message(Message::Text(text)))) => Said::Text(text.to_string()),
            Some(Ok(Incoming::Message(Message::Binary(bytes)))) => Said::Binary(bytes.to_vec()),
            Some(Ok(Incoming::Message(Message::Ping(bytes)))) => Said::Ping(bytes.to_vec()),
            Some(Ok(Incoming::Message(_))) => continue,
            Some(Err(error)) => panic!("{error}"),
        });
    }
}

async fn say_by_frames(socket: &mut FrameSocket<DuplexStream>, said: &[Said]) {
    for said in said {
        poll_fn(|cx| socket.poll_ready(cx)).await.unwrap();
        match said {
            Said::Text(text) => socket.put_text(|out| out.extend_from_slice(text.as_bytes())),
            Said::Binary(bytes) => socket.put_binary(|out| out.extend_from_slice(bytes)),
            Said::Ping(bytes) => socket.start_send(Message::Ping(bytes.clone().into())),
            Said::Fragments(parts) => socket.start_send(Message::text(parts.concat())),
        }
        .unwrap();
    }
    poll_fn(|cx| socket.poll_flush(cx)).await.unwrap();
}

/// Reads by the library until the other side closes; `None` in place of what is out of order.
async fn hear_by_library(socket: &mut WebSocketStream<DuplexStream>) -> (Vec<Said>, Option<u16>) {
    let mut heard = Vec::new();
    let mut code = None;
    while let Some(message) = socket.next().await {
        match message.unwrap() {
            Message::Text(text) => heard.push(Said::Text(text.to_string())),
            Message::Binary(bytes) => heard.push(Said::Binary(bytes.to_vec())),
            Message::Ping(bytes) => heard.push(Said::Ping(bytes.to_vec())),
            Message::Close(frame) => code = frame.map(|frame| frame.code.into()),
            Message::Pong(_) | Message::Frame(_) => {}
        }
    }
    (heard, code)
}

fn frame() -> CloseFrame {
    CloseFrame {
        code: CloseCode::Away,
        reason: Utf8Bytes::from_static(""),
    }
}

/// Both directions at once over a pipe of so many bytes, until both have closed.
async fn exchange(
    mut ours: FrameSocket<DuplexStream>,
    mut theirs: WebSocketStream<DuplexStream>,
    to_us: &[Said],
    to_them: &[Said],
) {
    // Each drops its side when it has heard all: the other may wait for that.
    let library = async move {
        say(&mut theirs, to_us).await;
        hear_by_library(&mut theirs).await
    };
    let frames = async move {
        // The pipe holds little: whoever writes must be read.
        say_by_frames(&mut ours, to_them).await;
        ours.close(Some(frame())).await.unwrap();
        hear(&mut ours).await
    };
    let ((by_library, code), by_frames) = tokio::join!(library, frames);
    // Pings that the library sends need not keep their place among other frames.
    let (pings, rest): (Vec<_>, Vec<_>) = by_library
        .into_iter()
        .partition(|said| matches!(said, Said::Ping(_)));
    let whole = |said: &Said| match said {
        Said::Fragments(parts) => Said::Text(parts.concat()),
        other => other.clone(),
    };
    let (expected_pings, expected): (Vec<_>, Vec<_>) = to_them
        .iter()
        .map(whole)
        .partition(|said| matches!(said, Said::Ping(_)));
    assert_eq!(pings, expected_pings);
    let mut rest = rest;
    let mut expected = expected;
    rest.sort_by_key(|said| format!("{said:?}"));
    expected.sort_by_key(|said| format!("{said:?}"));
    assert!(rest == expected, "what we said");
    assert_eq!(code, Some(1001));
    assert!(by_frames == seen(to_us), "what we heard");
}

fn block_on(future: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(future);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_server_hears_and_says_what_the_library_would(
        to_us in proptest::collection::vec(said(), 0..20),
        to_them in proptest::collection::vec(said(), 0..20),
        cut in 0..200_usize,
    ) {
        block_on(async {
            // All of it fits, so that neither side waits for the other to read.
            let (ours, theirs) = duplex(4 * 1024 * 1024);
            let theirs = WebSocketStream::from_raw_socket(theirs, Role::Client, Some(config())).await;
            let ours = cut_up(ours, cut);
            let ours = FrameSocket::server(ours, &[], config()).await;
            exchange(ours, theirs, &to_us, &to_them).await;
        });
    }

    #[test]
    fn a_client_hears_and_says_what_the_library_would(
        to_us in proptest::collection::vec(said(), 0..20),
        to_them in proptest::collection::vec(said(), 0..20),
        cut in 0..200_usize,
    ) {
        block_on(async {
            let (ours, theirs) = duplex(4 * 1024 * 1024);
            let theirs = WebSocketStream::from_raw_socket(theirs, Role::Server, Some(config())).await;
            let ours = Tap::after_handshake(cut_up(ours, cut), &[], config().write_buffer_size);
            let library = WebSocketStream::from_raw_socket(ours, Role::Client, Some(config())).await;
            exchange(FrameSocket::client(library, 7), theirs, &to_us, &to_them).await;
        });
    }
}

/// The same stream through a pipe that brings so many bytes at a time; as it is for 0.
fn cut_up(stream: DuplexStream, bytes: usize) -> DuplexStream {
    if bytes == 0 {
        return stream;
    }
    let (near, far) = duplex(4 * 1024 * 1024);
    let (mut stream_reads, mut stream_writes) = tokio::io::split(stream);
    let (mut far_reads, mut far_writes) = tokio::io::split(far);
    tokio::spawn(async move {
        let mut piece = vec![0; bytes];
        while let Ok(read @ 1..) = stream_reads.read(&mut piece).await {
            if far_writes.write_all(&piece[..read]).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let _ = far_writes.shutdown().await;
    });
    tokio::spawn(async move {
        let _ = tokio::io::copy(&mut far_reads, &mut stream_writes).await;
        let _ = stream_writes.shutdown().await;
    });
    near
}

async fn next(socket: &mut FrameSocket<DuplexStream>) -> Option<Result<Incoming, WsError>> {
    poll_fn(|cx| socket.poll_next(cx)).await
}

async fn server() -> (FrameSocket<DuplexStream>, DuplexStream) {
    let (ours, theirs) = duplex(64 * 1024);
    (FrameSocket::server(ours, &[], config()).await, theirs)
}

#[tokio::test(flavor = "current_thread")]
async fn a_frame_that_breaks_a_rule_is_an_error_of_the_protocol() {
    for frame in [
        &[0x81, 0x02, b'h', b'i'][..],                     // not masked
        &[0xc1, 0x80, 0, 0, 0, 0],                         // a reserved bit
        &[0x83, 0x80, 0, 0, 0, 0],                         // an opcode that is none
        &[0x80, 0x80, 0, 0, 0, 0],                         // nothing to continue
        &[0x09, 0x80, 0, 0, 0, 0],                         // a ping in parts
        &[0x01, 0x80, 0, 0, 0, 0, 0x81, 0x80, 0, 0, 0, 0], // a message within a message
    ] {
        let (mut socket, mut peer) = server().await;
        peer.write_all(frame).await.unwrap();
        let error = next(&mut socket).await.unwrap().unwrap_err();
        assert!(matches!(error, WsError::Protocol(_)), "{frame:x?}: {error}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_message_above_the_limit_is_refused_from_its_header() {
    let (mut socket, mut peer) = server().await;
    let mut frame = vec![0x81, 0xff];
    frame.extend_from_slice(&(256 * 1024 + 1_u64).to_be_bytes());
    frame.extend_from_slice(&[0; 4]);
    peer.write_all(&frame).await.unwrap();
    let error = next(&mut socket).await.unwrap().unwrap_err();
    assert!(matches!(error, WsError::Capacity(_)), "{error}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_limit_below_the_usual_holds_for_ordinary_frames_too() {
    let (ours, mut peer) = duplex(64 * 1024);
    let config = config().max_message_size(Some(10));
    let mut socket = FrameSocket::server(ours, &[], config).await;
    peer.write_all(&[0x81, 0x80 | 0x0a, 0, 0, 0, 0])
        .await
        .unwrap();
    peer.write_all(b"just right").await.unwrap();
    assert!(matches!(
        next(&mut socket).await,
        Some(Ok(Incoming::Text(_)))
    ));
    peer.write_all(&[0x81, 0x80 | 0x0b, 0, 0, 0, 0])
        .await
        .unwrap();
    peer.write_all(b"one too far").await.unwrap();
    let error = next(&mut socket).await.unwrap().unwrap_err();
    assert!(matches!(error, WsError::Capacity(_)), "{error}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_peer_that_goes_away_without_a_word_is_an_error_also_within_a_frame() {
    for sent in [&[][..], &[0x81], &[0x81, 0x85, 1, 2, 3, 4, 5]] {
        let (mut socket, mut peer) = server().await;
        peer.write_all(sent).await.unwrap();
        drop(peer);
        assert!(next(&mut socket).await.unwrap().is_err(), "{sent:x?}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn pings_of_a_peer_that_does_not_read_are_answered_within_a_bound() {
    let (ours, mut peer) = duplex(1024);
    let config = config().write_buffer_size(2048).max_write_buffer_size(4096);
    let mut socket = FrameSocket::server(ours, &[], config).await;
    let ping = [&[0x89, 0x80 | 0x64, 0, 0, 0, 0][..], &[7; 100]].concat();
    for _ in 0..500 {
        peer.write_all(&ping).await.unwrap();
        assert!(matches!(
            next(&mut socket).await,
            Some(Ok(Incoming::Message(Message::Ping(_))))
        ));
        poll_fn(|cx| {
            let _ = socket.poll_flush(cx);
            Poll::Ready(())
        })
        .await;
        assert!(socket.tap().unwritten() <= 2048 + 102);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn what_nobody_reads_is_not_buffered_beyond_the_bound() {
    let (mut socket, _peer) = server().await;
    let put = |socket: &mut FrameSocket<DuplexStream>| {
        socket.put_text(|out| out.extend_from_slice(&[b'x'; 1000]))
    };
    let taken = (0..10_000).take_while(|_| put(&mut socket).is_ok()).count();
    assert!((1_000..1_100).contains(&taken), "{taken}");
    assert!(matches!(put(&mut socket), Err(WsError::WriteBufferFull(_))));
}

/// The first frames may come in one read with the answer to the handshake.
#[tokio::test(flavor = "current_thread")]
async fn frames_that_come_with_the_handshake_are_not_lost() {
    let (ours, mut peer) = duplex(64 * 1024);
    let server = async {
        let mut request = vec![0; 4096];
        let read = peer.read(&mut request).await.unwrap();
        let request = String::from_utf8(request[..read].to_vec()).unwrap();
        let key = request
            .lines()
            .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
            .unwrap();
        let accept =
            tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.trim().as_bytes());
        let mut answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        )
        .into_bytes();
        answer.extend_from_slice(&[0x81, 2, b'h', b'i', 0x89, 1, b'p', 0x81, 1, b'!']);
        peer.write_all(&answer).await.unwrap();
        peer
    };
    let client = async {
        let tap = FrameSocket::before_handshake(ours, &config());
        let (library, _) =
            tokio_tungstenite::client_async_with_config("ws://localhost/rpc", tap, Some(config()))
                .await
                .unwrap();
        FrameSocket::client(library, 7)
    };
    let (_peer, mut socket) = tokio::join!(server, client);
    let mut texts = Vec::new();
    for _ in 0..3 {
        match next(&mut socket).await {
            Some(Ok(Incoming::Text(payload))) => texts.push(socket.payload(&payload).to_vec()),
            Some(Ok(Incoming::Message(Message::Ping(_)))) => texts.push(b"ping".to_vec()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(texts, [&b"hi"[..], b"ping", b"!"]);
}

#[tokio::test(flavor = "current_thread")]
async fn what_was_read_with_the_upgrade_comes_first() {
    let (ours, _theirs) = duplex(1024);
    let mut socket =
        FrameSocket::server(ours, &[0x81, 0x82, 0, 0, 0, 0, b'h', b'i'], config()).await;
    let Some(Ok(Incoming::Text(payload))) = next(&mut socket).await else {
        panic!("no text");
    };
    assert_eq!((payload.len(), payload.is_empty()), (2, false));
    assert_eq!(socket.payload(&payload), b"hi");
}

/// Also when nobody flushes any more: the reader is told that it is over, and goes.
#[tokio::test(flavor = "current_thread")]
async fn a_close_is_answered_before_the_reader_is_told_of_the_end() {
    let (mut socket, mut peer) = server().await;
    peer.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8])
        .await
        .unwrap();
    let first = next(&mut socket).await;
    assert!(matches!(
        first,
        Some(Ok(Incoming::Message(Message::Close(_))))
    ));
    assert!(next(&mut socket).await.is_none());
    drop(socket);
    let mut answer = Vec::new();
    peer.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, [0x88, 2, 0x03, 0xe8]);
}
