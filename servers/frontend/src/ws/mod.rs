//! WebSocket: a connection from its upgrade to its farewell.

mod connection;

use std::future::poll_fn;
use std::sync::Arc;

use busload_net::Stream as Wire;
use busload_net::frames::FrameSocket;
use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};

use crate::limits::{ANSWER_BYTES_MAX, Limits, READ_BUFFER_BYTES, WRITE_BUFFER_BYTES};
use crate::shared::{Client, Shared};
use crate::timeouts::WriteTimeout;
use connection::{Connection, End};

pub(crate) fn config(limits: &Limits) -> WebSocketConfig {
    // Answers are written only while the buffer is below its target size.
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_BYTES + 2 * ANSWER_BYTES_MAX)
        .max_message_size(Some(limits.message_bytes))
        .max_frame_size(Some(limits.message_bytes))
        .accept_unmasked_frames(false)
}

/// Serves one upgraded connection until either side closes it.
pub(crate) async fn serve(
    stream: WriteTimeout<Wire>,
    already_read: Bytes,
    binary: bool,
    shared: Arc<Shared>,
    client: Arc<Client>,
) {
    let config = config(&shared.limits);
    // An echo is as long as a message, which answers are not.
    #[cfg(feature = "echo")]
    let config = config.max_write_buffer_size(usize::MAX);
    let socket = FrameSocket::server(stream, &already_read, config).await;
    let close_timeout = shared.limits.close_timeout;
    let mut connection = Connection::new(socket, binary, shared, client);
    let mut end = poll_fn(|cx| connection.poll(cx)).await;
    if let End::TooMuchInput = end {
        connection = connection.without_input(config).await;
        end = match poll_fn(|cx| connection.poll(cx)).await {
            End::Stopping => End::Refused(CloseCode::Again),
            end => end,
        };
    }
    let (code, reason) = match end {
        End::PeerLeft | End::TooMuchInput => return,
        End::Stopping => (CloseCode::Away, ""),
        End::Idle => (CloseCode::Away, "idle"),
        End::Gone => (CloseCode::Policy, "no answer to a ping"),
        End::Refused(code) => (code, ""),
    };
    let frame = CloseFrame {
        code,
        reason: Utf8Bytes::from_static(reason),
    };
    let mut socket = connection.into_socket();
    let _ = tokio::time::timeout(close_timeout, async {
        let _ = socket.close(Some(frame)).await;
        // What it has of a message is not needed any more.
        let mut stream = socket.into_inner();
        // TLS has an end of its own to be told.
        stream.shutdown().await?;
        // A socket that is closed while there is something to read resets its peer, which then
        // may never see the close frame.
        let mut unread = vec![0; READ_BUFFER_BYTES];
        while stream.read(&mut unread).await? > 0 {}
        std::io::Result::Ok(())
    })
    .await;
}
