//! WebSocket: a connection from its upgrade to its farewell.

mod connection;

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};

use crate::guarded::Guarded;
use crate::limits::{LONGEST_ANSWER_BYTES, Limits, READ_BUFFER_BYTES, WRITE_BUFFER_BYTES};
use crate::shared::{Client, Shared};
use crate::stream::Stream as Wire;
use connection::{Connection, End};

/// How long a close frame may take to be written before the socket is dropped.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

pub(crate) fn config(limits: &Limits) -> WebSocketConfig {
    // Answers are written only while the buffer is below its target size.
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_BYTES + 2 * LONGEST_ANSWER_BYTES)
        .max_message_size(Some(limits.message_bytes))
        .max_frame_size(Some(limits.message_bytes))
        .accept_unmasked_frames(false)
}

/// Serves one upgraded connection until either side closes it.
pub(crate) async fn serve(
    stream: Guarded<Wire>,
    already_read: Bytes,
    binary: bool,
    shared: Arc<Shared>,
    client: Arc<Client>,
) {
    let config = config(&shared.limits);
    // An echo is as long as a message, which answers are not.
    #[cfg(feature = "echo")]
    let config = config.max_write_buffer_size(usize::MAX);
    let socket = WebSocketStream::from_partially_read(
        stream,
        already_read.to_vec(),
        Role::Server,
        Some(config),
    )
    .await;
    let mailbox = Arc::clone(&client.mailbox);
    let mut connection = Connection::new(socket, binary, shared, mailbox);
    let end = poll_fn(|cx| connection.poll(cx)).await;
    let (code, reason) = match end {
        End::PeerLeft => return,
        End::Stopping => (CloseCode::Away, ""),
        End::Idle => (CloseCode::Away, "idle"),
        End::Gone => (CloseCode::Policy, "no answer to a ping"),
        End::Refused(code) => (code, ""),
    };
    let frame = CloseFrame {
        code,
        reason: Utf8Bytes::from_static(reason),
    };
    let socket = &mut connection.socket;
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, async {
        // TLS has an end of its own to be told.
        let _ = socket.close(Some(frame)).await;
        socket.get_mut().shutdown().await
    })
    .await;
}
