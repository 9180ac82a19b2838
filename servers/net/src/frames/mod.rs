//! A WebSocket whose ordinary messages cost no more than their bytes.
//!
//! A load is short messages, each whole in one frame, many in every read. The WebSocket library
//! splits a buffer of its own off for each of them, checks its text, and queues it; that is most of
//! what a transfer costs once codec and disk are paid for. So frames that are a message by
//! themselves are parsed here, in place, in the buffer that many of them were read into, and
//! written here, into the buffer that many of them are written from.
//!
//! Everything else is the library's, which sees a stream of just those bytes: the handshake,
//! control frames, fragments, large messages, whatever breaks a rule, and the closing. What it
//! writes goes into the same buffer, so frames keep their order and are never mixed.
//!
//! `docs/adr/0023-canonical-messages.md` says what this buys.

mod header;
mod tap;

use std::future::poll_fn;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use header::{Front, WHOLE_BINARY, WHOLE_TEXT, apply_mask, front, length_bytes};
pub use tap::Tap;

/// A frame with a larger payload is the library's.
const PAYLOAD_MAX_BYTES: usize = 8 * 1024;

/// A message that has come.
#[derive(Debug)]
pub enum Incoming {
    /// Text in one frame. It is not known to be UTF-8.
    Text(Payload),
    /// Binary data in one frame.
    Binary(Payload),
    /// Anything else, through the library.
    Message(Message),
}

/// Where the payload of a frame is, until the socket is polled for the next one.
#[derive(Debug)]
pub struct Payload(Range<usize>);

impl Payload {
    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A WebSocket over the stream `S`.
#[derive(Debug)]
pub struct FrameSocket<S> {
    library: WebSocketStream<Tap<S>>,
    /// Masks of the frames that a client writes; a server's have none.
    masks: Option<Masks>,
    payload_max: usize,
    /// Bytes that may wait to be written at all.
    output_max: usize,
    /// A message of several frames has begun.
    unfinished: bool,
    /// One side has said that it closes: all that still comes is the library's.
    closing: bool,
    /// The library may have something to be written.
    library_writes: bool,
}

/// The keys of a client's masks: a generator seeded by the operating system, as the RFC asks for
/// keys that a peer cannot tell in advance.
#[derive(Debug)]
struct Masks(rand_xoshiro::SplitMix64);

impl Masks {
    fn next(&mut self) -> [u8; 4] {
        use rand_xoshiro::rand_core::Rng as _;
        self.0.next_u32().to_ne_bytes()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> FrameSocket<S> {
    /// The server's side after the handshake; `already_read` are the first bytes of the stream.
    pub async fn server(stream: S, already_read: &[u8], config: WebSocketConfig) -> Self {
        let tap = Tap::after_handshake(stream, already_read, config.write_buffer_size);
        let library = WebSocketStream::from_raw_socket(tap, Role::Server, Some(config)).await;
        Self::new(library, None, &config)
    }

    /// The client's side before the handshake: the stream to give to the library for it.
    pub fn before_handshake(stream: S, config: &WebSocketConfig) -> Tap<S> {
        Tap::before_handshake(stream, config.write_buffer_size)
    }

    /// The client's side after the library's handshake. `seed` comes from the operating system.
    pub fn client(library: WebSocketStream<Tap<S>>, seed: u64) -> Self {
        use rand_xoshiro::rand_core::SeedableRng as _;
        let config = *library.get_config();
        let masks = Masks(rand_xoshiro::SplitMix64::seed_from_u64(seed));
        Self::new(library, Some(masks), &config)
    }

    fn new(
        library: WebSocketStream<Tap<S>>,
        masks: Option<Masks>,
        config: &WebSocketConfig,
    ) -> Self {
        let limits = [config.max_message_size, config.max_frame_size];
        let payload_max = limits.into_iter().flatten().min();
        Self {
            library,
            masks,
            payload_max: payload_max.unwrap_or(usize::MAX).min(PAYLOAD_MAX_BYTES),
            output_max: config.max_write_buffer_size,
            unfinished: false,
            closing: false,
            library_writes: false,
        }
    }

    /// The stream below, without what was read of it or is still to be written.
    pub fn into_inner(self) -> S {
        self.library.into_inner().into_inner()
    }

    /// The stream below.
    pub fn get_ref(&self) -> &S {
        self.library.get_ref().get_ref()
    }

    fn tap(&mut self) -> &mut Tap<S> {
        self.library.get_mut()
    }

    /// The bytes of a message that was the last to come.
    #[must_use]
    pub fn payload(&self, payload: &Payload) -> &[u8] {
        self.library.get_ref().taken(payload.0.clone())
    }

    /// The next message. `None` when the connection has been closed as it should.
    ///
    /// # Errors
    /// The stream broke, or the peer breaks the protocol or a limit.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Incoming, WsError>>> {
        loop {
            if self.closing || self.tap().is_granted() || self.tap().has_ended() {
                if self.closing {
                    self.tap().grant(u64::MAX);
                }
                let polled = Pin::new(&mut self.library).poll_next(cx);
                // Whatever it read, it may have an answer to it.
                self.library_writes = true;
                match polled {
                    Poll::Ready(Some(Ok(message))) => {
                        self.closing |= message.is_close();
                        return Poll::Ready(Some(Ok(Incoming::Message(message))));
                    }
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                    Poll::Ready(None) => {
                        // Its answer to the closing is the last thing that leaves.
                        let _ = ready!(self.tap().poll_write_out(cx));
                        return Poll::Ready(None);
                    }
                    Poll::Pending if self.closing || self.tap().is_granted() => {
                        return Poll::Pending;
                    }
                    // The frame was a part of a message.
                    Poll::Pending => {}
                }
            }
            match self.take_frame() {
                Some(incoming) => return Poll::Ready(Some(Ok(incoming))),
                None if self.tap().is_granted() => {}
                None => {
                    let filled = ready!(self.tap().poll_fill(cx));
                    if let Err(error) = filled {
                        return Poll::Ready(Some(Err(WsError::Io(error))));
                    }
                }
            }
        }
    }

    /// Takes the frame at the front if it is whole and ordinary; grants it to the library if it is
    /// anything else.
    fn take_frame(&mut self) -> Option<Incoming> {
        let (unfinished, payload_max) = (self.unfinished, self.payload_max);
        let masked = self.masks.is_none();
        let tap = self.tap();
        let Front::Frame(header) = front(tap.unread()) else {
            return None;
        };
        let ordinary = header.is_whole_message() && !unfinished && header.mask.is_some() == masked;
        let length = usize::try_from(header.length).ok();
        let Some(length) = length.filter(|length| ordinary && *length <= payload_max) else {
            tap.grant((header.size as u64).saturating_add(header.length));
            self.unfinished = header.leaves_unfinished(unfinished);
            self.closing |= header.is_close();
            return None;
        };
        if tap.unread().len() < header.size + length {
            return None;
        }
        tap.take(header.size);
        let payload = tap.take(length);
        if let Some(mask) = header.mask {
            apply_mask(tap.taken_mut(payload.clone()), mask);
        }
        let payload = Payload(payload);
        Some(if header.is_text() {
            Incoming::Text(payload)
        } else {
            Incoming::Binary(payload)
        })
    }

    /// Whether there is room to write; writes out when there is not.
    ///
    /// # Errors
    /// The stream broke.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WsError>> {
        if self.tap().is_full() {
            let written = self.tap().poll_write_out(cx).map_err(WsError::Io)?;
            if written.is_pending() && self.tap().is_full() {
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Puts a text message behind what is to be written: what `write` appends to the buffer.
    ///
    /// # Errors
    /// More waits to be written than may.
    pub fn put_text(&mut self, write: impl FnOnce(&mut BytesMut)) -> Result<(), WsError> {
        self.put(WHOLE_TEXT, write)
    }

    /// Puts a binary message behind what is to be written.
    ///
    /// # Errors
    /// More waits to be written than may.
    pub fn put_binary(&mut self, write: impl FnOnce(&mut BytesMut)) -> Result<(), WsError> {
        self.put(WHOLE_BINARY, write)
    }

    fn put(&mut self, first: u8, write: impl FnOnce(&mut BytesMut)) -> Result<(), WsError> {
        let mask = self.masks.as_mut().map(Masks::next);
        let output_max = self.output_max;
        let tap = self.tap();
        if tap.unwritten() > output_max {
            let message = Message::Binary(Bytes::new());
            return Err(WsError::WriteBufferFull(Box::new(message)));
        }
        let out = tap.output();
        let start = out.len();
        // Room for the shortest header, which nearly every message has.
        out.extend_from_slice(&[first, 0]);
        if let Some(mask) = mask {
            out.extend_from_slice(&mask);
        }
        let header = out.len() - start;
        write(out);
        let length = out.len() - start - header;
        let (bytes, size) = length_bytes(length);
        if size > 1 {
            let grown = size - 1;
            out.resize(out.len() + grown, 0);
            out.copy_within(start + 2..start + header + length, start + 1 + size);
        }
        out[start + 1..start + 1 + size].copy_from_slice(&bytes[..size]);
        if let Some(mask) = mask {
            // A client's frames say so.
            out[start + 1] |= 0x80;
            let payload = out.len() - length;
            apply_mask(&mut out[payload..], mask);
        }
        Ok(())
    }

    /// Sends a message through the library: a ping, say.
    ///
    /// # Errors
    /// The connection is closed, or more waits to be written than may.
    pub fn start_send(&mut self, message: Message) -> Result<(), WsError> {
        self.library_writes = true;
        Pin::new(&mut self.library).start_send(message)
    }

    /// Writes out everything.
    ///
    /// # Errors
    /// The stream broke, or the library's side of the connection is closed.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WsError>> {
        while self.library_writes {
            match Pin::new(&mut self.library).poll_flush(cx) {
                // After the closing it says so, having written all.
                Poll::Ready(Ok(()) | Err(WsError::ConnectionClosed)) => {
                    self.library_writes = false;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                // There was no room for its frame.
                Poll::Pending => ready!(self.tap().poll_write_out(cx)).map_err(WsError::Io)?,
            }
        }
        self.tap().poll_write_out(cx).map_err(WsError::Io)
    }

    /// Says that this side closes, after everything that was put before, and writes it out.
    ///
    /// # Errors
    /// The stream broke, or the connection was closed already.
    pub async fn close(&mut self, frame: Option<CloseFrame>) -> Result<(), WsError> {
        self.closing = true;
        poll_fn(|cx| self.poll_flush(cx)).await?;
        self.library_writes = true;
        // There is room now, so nothing is waited for in the library.
        self.library.close(frame).await?;
        poll_fn(|cx| self.poll_flush(cx)).await
    }
}

#[cfg(test)]
mod tests;
