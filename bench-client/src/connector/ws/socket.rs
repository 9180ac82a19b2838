//! A WebSocket of the client that says when it is done, however it ends.

use std::future::Future as _;
use std::ops::{Deref, DerefMut};
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use busload_frontend::stream::Stream as Wire;
use futures_util::StreamExt as _;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as WsError, Utf8Bytes};

/// From the close frame until the server has closed the connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A WebSocket that ends with a close frame, code 1000.
pub(crate) struct Socket(WebSocketStream<Wire>);

impl Socket {
    pub(super) fn new(open: WebSocketStream<Wire>) -> Self {
        Self(open)
    }

    /// Says that it is done and reads until the server has closed, for at most a second. A socket
    /// that is closed while there is something to read resets its peer, which may then lose the
    /// close frame.
    pub(crate) async fn close(&mut self) {
        let orderly = async {
            self.0.close(Some(done())).await?;
            while let Some(message) = self.0.next().await {
                message?;
            }
            Ok::<(), WsError>(())
        };
        // A server that does not answer it is gone all the same.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, orderly).await;
    }
}

fn done() -> CloseFrame {
    CloseFrame {
        code: CloseCode::Normal,
        reason: Utf8Bytes::default(),
    }
}

impl Deref for Socket {
    type Target = WebSocketStream<Wire>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Socket {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl Drop for Socket {
    /// What the kernel does not take at once is not waited for. After [`Socket::close`], or the
    /// server's own close frame, there is nothing left to say, and the library says nothing.
    fn drop(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        let _ = pin!(self.0.close(Some(done()))).poll(&mut cx);
    }
}
