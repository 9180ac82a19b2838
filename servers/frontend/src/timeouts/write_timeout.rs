//! A connection with a write timeout.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use busload_net::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection_state::ConnectionState;
use super::timer::Timer;
use crate::input_memory::Input;

/// A connection that can be told to go without a farewell.
pub(crate) trait Reset {
    /// What the socket has not sent is thrown away when it is closed, and the peer is reset:
    /// a peer that reads nothing would keep megabytes of the kernel's memory for minutes.
    fn reset_on_close(&self);
}

impl Reset for Stream {
    fn reset_on_close(&self) {
        // Best effort: a socket that has no such option is gone already.
        let _ = self.socket().set_zero_linger();
    }
}

/// A connection whose writes fail when the peer has taken nothing for too long, and that notes
/// what comes and goes.
///
/// There is a timer only while a write waits: a connection whose peer reads has none.
pub(crate) struct WriteTimeout<S> {
    stream: S,
    state: Arc<ConnectionState>,
    input: Arc<Input>,
    limit: Duration,
    stall: Option<Stall>,
}

/// The peer takes nothing.
struct Stall {
    timer: Timer,
    lasted: Duration,
}

impl<S> WriteTimeout<S> {
    pub(crate) fn new(
        stream: S,
        state: Arc<ConnectionState>,
        input: Arc<Input>,
        limit: Duration,
    ) -> Self {
        Self {
            stream,
            state,
            input,
            limit,
            stall: None,
        }
    }
}

impl<S> Drop for WriteTimeout<S> {
    fn drop(&mut self) {
        self.input.leave();
    }
}

impl<S: Reset> WriteTimeout<S> {
    /// The write timeout, on what a write, a flush or a shutdown came to.
    fn time_out<T>(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.stall = None;
            return result;
        }
        let timeout = self.limit;
        let stall = self.stall.get_or_insert_with(|| Stall {
            timer: Timer::new(timeout),
            lasted: Duration::ZERO,
        });
        while let Poll::Ready(tick) = stall.timer.poll(cx) {
            stall.lasted += tick;
            if stall.lasted >= timeout {
                self.stream.reset_on_close();
                let why = "the peer reads nothing";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, why)));
            }
        }
        Poll::Pending
    }

    fn wrote(&self, result: &Poll<io::Result<usize>>) {
        if result.is_ready() {
            self.state.wrote();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeout<S> {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.input.must_wait() {
            // Behind those that have memory to drop.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let result = Pin::new(&mut this.stream).poll_read(cx, buffer);
        let read = buffer.filled().len() - before;
        if read > 0 {
            this.state.heard();
            this.input.read(read);
        }
        result
    }
}

impl<S: AsyncWrite + Reset + Unpin> AsyncWrite for WriteTimeout<S> {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.wrote(&result);
        this.time_out(cx, result)
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write_vectored(cx, buffers);
        this.wrote(&result);
        this.time_out(cx, result)
    }

    #[inline]
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_flush(cx);
        this.time_out(cx, result)
    }

    #[inline]
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_shutdown(cx);
        this.time_out(cx, result)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::time::{Instant, sleep, timeout};

    use super::*;
    use crate::input_memory::InputMemory;
    use crate::mailbox::Mailbox;

    impl Reset for DuplexStream {
        fn reset_on_close(&self) {}
    }

    const WRITE_TIMEOUT: Duration = Duration::from_millis(100);
    const END_TIMEOUT: Duration = Duration::from_secs(30);

    fn pair(buffered: usize) -> (WriteTimeout<DuplexStream>, DuplexStream) {
        let (server, peer) = duplex(buffered);
        let state = Arc::new(ConnectionState::new(false));
        let input = InputMemory::new(0).connection(Mailbox::new());
        (WriteTimeout::new(server, state, input, WRITE_TIMEOUT), peer)
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_peer_that_reads_nothing_is_given_up() {
        let (mut server, _peer) = pair(16);
        let began = Instant::now();
        let written = timeout(END_TIMEOUT, server.write_all(&[0; 17])).await;
        let error = written.expect("it does not wait for ever").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= WRITE_TIMEOUT, "{:?}", began.elapsed());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_peer_that_reads_slowly_is_waited_for() {
        let (mut server, mut peer) = pair(4);
        let reading = tokio::spawn(async move {
            let mut taken = [0; 4];
            for _ in 0..8 {
                sleep(WRITE_TIMEOUT / 2).await;
                peer.read_exact(&mut taken).await.expect("there is more");
            }
        });
        // Four times the timeout in all, and never the whole of it without a byte.
        let written = timeout(END_TIMEOUT, server.write_all(&[0; 32])).await;
        written.expect("it ends").expect("it is taken");
        reading.await.expect("all is read");
    }
}
