//! A WebSocket of the client that says when it is done, however it ends.

use std::future::{Future as _, poll_fn};
use std::ops::{Deref, DerefMut};
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use busload_net::Stream as Wire;
use busload_net::frames::{FrameSocket, Incoming};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as WsError, Utf8Bytes};

/// From the close frame until the server has closed the connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A WebSocket that ends with a close frame, code 1000.
pub(crate) struct Socket(FrameSocket<Wire>);

impl Socket {
    pub(super) fn new(open: FrameSocket<Wire>) -> Self {
        Self(open)
    }

    /// The next message; see [`FrameSocket::poll_next`].
    pub(crate) async fn next(&mut self) -> Option<Result<Incoming, WsError>> {
        poll_fn(|cx| self.0.poll_next(cx)).await
    }

    /// Says that it is done and reads until the server has closed, for at most a second. A socket
    /// that is closed while there is something to read resets its peer, which may then lose the
    /// close frame.
    pub(crate) async fn close(&mut self) {
        let orderly = async {
            self.0.close(Some(done())).await?;
            while let Some(incoming) = self.next().await {
                incoming?;
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
    type Target = FrameSocket<Wire>;

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
