//! The stream under the WebSocket library: it hands the library just what is the library's.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

/// Read at a time, when a frame may begin with it.
const READ_BYTES: usize = 16 * 1024;
/// The end of the head of an HTTP message.
const HEAD_END: &[u8] = b"\r\n\r\n";
/// A head longer than this is handed on as it is; the library refuses it.
const HEAD_MAX_BYTES: usize = 64 * 1024;

/// What the library may read.
#[derive(Debug, PartialEq, Eq)]
enum Grant {
    /// The answer to the handshake, to the end of its head.
    Head,
    /// So many bytes.
    Bytes(u64),
}

/// A stream, what was read of it beyond what its reader has taken, and what is to be written.
#[derive(Debug)]
pub struct Tap<S> {
    stream: S,
    input: BytesMut,
    /// Where in `input` the next frame begins.
    at: usize,
    ended: bool,
    grant: Grant,
    output: BytesMut,
    /// How much of `output` is written.
    written: usize,
    /// From this much on that is not written, the library has to wait.
    output_target: usize,
}

impl<S> Tap<S> {
    /// A stream on which frames come next; `already_read` are its first bytes.
    pub(super) fn after_handshake(stream: S, already_read: &[u8], output_target: usize) -> Self {
        Self {
            stream,
            input: BytesMut::from(already_read),
            at: 0,
            ended: false,
            grant: Grant::Bytes(0),
            output: BytesMut::new(),
            written: 0,
            output_target,
        }
    }

    /// A stream on which the library makes a client's handshake.
    pub(super) fn before_handshake(stream: S, output_target: usize) -> Self {
        Self {
            grant: Grant::Head,
            ..Self::after_handshake(stream, &[], output_target)
        }
    }

    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    pub(super) fn get_ref(&self) -> &S {
        &self.stream
    }

    /// What was read and not taken.
    pub(super) fn unread(&self) -> &[u8] {
        &self.input[self.at..]
    }

    /// Takes `size` bytes of what was read; where they are until the next read.
    pub(super) fn take(&mut self, size: usize) -> std::ops::Range<usize> {
        debug_assert!(size <= self.input.len() - self.at, "it was read");
        let taken = self.at..self.at + size;
        self.at = taken.end;
        taken
    }

    pub(super) fn taken(&self, range: std::ops::Range<usize>) -> &[u8] {
        &self.input[range]
    }

    pub(super) fn taken_mut(&mut self, range: std::ops::Range<usize>) -> &mut [u8] {
        &mut self.input[range]
    }

    /// Lets the library read so many bytes more.
    pub(super) fn grant(&mut self, bytes: u64) {
        self.grant = match self.grant {
            Grant::Head => Grant::Bytes(bytes),
            Grant::Bytes(left) => Grant::Bytes(left.saturating_add(bytes)),
        };
    }

    /// Whether the library may still read something.
    pub(super) fn is_granted(&self) -> bool {
        self.grant != Grant::Bytes(0)
    }

    /// The peer will send nothing more.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    pub(super) fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// Bytes that are not written yet.
    pub(super) fn unwritten(&self) -> usize {
        self.output.len() - self.written
    }

    /// Whether as much waits to be written as should.
    pub(super) fn is_full(&self) -> bool {
        self.unwritten() >= self.output_target
    }
}

impl<S: AsyncRead + Unpin> Tap<S> {
    /// Reads once, after what was read and not taken. Nothing was read when the peer has ended.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What was taken is not needed any more.
        self.input.advance(self.at);
        self.at = 0;
        self.input.reserve(READ_BYTES);
        let reading = pin!(self.stream.read_buf(&mut self.input));
        reading.poll(cx).map_ok(|read| self.ended |= read == 0)
    }

    /// Hands out the head of the handshake's answer, and keeps what comes after it.
    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let unread = self.unread();
            let end = unread
                .windows(HEAD_END.len())
                .position(|window| window == HEAD_END)
                .map(|at| at + HEAD_END.len());
            let size = match end {
                Some(end) => end,
                None if self.ended || unread.len() > HEAD_MAX_BYTES => unread.len(),
                None => {
                    std::task::ready!(self.poll_fill(cx))?;
                    continue;
                }
            };
            let given = size.min(buffer.remaining());
            buffer.put_slice(&self.unread()[..given]);
            self.take(given);
            if end.is_some() {
                self.grant = Grant::Bytes((size - given) as u64);
            }
            return Poll::Ready(Ok(()));
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let granted = match this.grant {
            Grant::Head => return this.poll_head(cx, buffer),
            Grant::Bytes(granted) => granted,
        };
        let most = usize::try_from(granted)
            .unwrap_or(usize::MAX)
            .min(buffer.remaining());
        if granted == 0 && !this.ended {
            // Whoever polls reads on by itself.
            return Poll::Pending;
        }
        let given = if granted == 0 || this.ended && this.unread().is_empty() {
            return Poll::Ready(Ok(()));
        } else if !this.unread().is_empty() {
            let given = most.min(this.unread().len());
            buffer.put_slice(&this.unread()[..given]);
            this.take(given);
            given
        } else {
            // Straight into the library's buffer: a large message is not held twice.
            let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
            std::task::ready!(Pin::new(&mut this.stream).poll_read(cx, &mut part))?;
            let read = part.filled().len();
            buffer.advance(read);
            this.ended |= read == 0 && most > 0;
            read
        };
        this.grant = Grant::Bytes(granted - given as u64);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Tap<S> {
    /// Writes what is to be written and flushes the stream.
    pub(super) fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.unwritten() > 0 {
            let bytes = &self.output[self.written..];
            let written = std::task::ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
        }
        self.output.clear();
        self.written = 0;
        Pin::new(&mut self.stream).poll_flush(cx)
    }
}

/// The library's writing: behind what is to be written already, frame by frame and never in parts.
impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.grant == Grant::Head {
            return Pin::new(&mut this.stream).poll_write(cx, bytes);
        }
        if this.is_full() {
            // Whoever polls writes out and comes again.
            return Poll::Pending;
        }
        this.output.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match this.grant {
            Grant::Head => Pin::new(&mut this.stream).poll_flush(cx),
            Grant::Bytes(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        std::task::ready!(this.poll_write_out(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}
