//! The texts that make up a load, read and written without a JSON library: a transfer without
//! a `transfer_id`, and an answer without a result.
//!
//! What is written is byte for byte what `serde_json` writes of the same message. What is read
//! is the canonical form alone: no white space, no escapes, the keys of the envelope in the
//! order that this program and the original benchmark write them in, those of `args` in any
//! order. Of everything else nothing is concluded: the reader returns `None`, and `serde_json`
//! decides. Why this is worth a second way: `docs/adr/0023-canonical-messages.md`.

use bytes::BytesMut;

use super::AnswerId;
use crate::ErrorCode;
use crate::message::{Answer, Call, Request, RequestId, Transfer};

/// The digits of a number that fits an `i64` whatever they are; longer ones are not canonical.
const DIGITS_MAX: usize = 18;

/// What is left of a text.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    /// Steps over `literal`; `None`, and nothing is read, if the text goes on otherwise.
    #[inline]
    fn literal(&mut self, literal: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(literal)?;
        Some(())
    }

    /// A number as JSON writes it: no sign, no leading zero, no fraction.
    #[inline]
    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        let mut length = 0;
        while let Some(digit) = self.0.get(length).map(|byte| byte.wrapping_sub(b'0'))
            && digit <= 9
        {
            // Wraps only past the length that is refused below.
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
            length += 1;
        }
        let canonical = length == 1 || (2..=DIGITS_MAX).contains(&length) && self.0[0] != b'0';
        if !canonical {
            return None;
        }
        self.0 = &self.0[length..];
        Some(number)
    }

    fn request_id(&mut self) -> Option<RequestId> {
        RequestId::new(self.number()?)
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// A transfer in its canonical form.
#[inline]
pub(super) fn read_transfer(text: &[u8]) -> Option<Request> {
    let mut reader = Reader(text);
    let id = if reader.literal(b"{\"id\":").is_some() {
        let id = reader.request_id()?;
        reader.literal(b",\"name\":\"transfer\",\"args\":{")?;
        Some(id)
    } else {
        reader.literal(b"{\"name\":\"transfer\",\"args\":{")?;
        None
    };
    let (mut from, mut to, mut amount) = (None, None, None);
    for place in 0..3 {
        if place > 0 {
            reader.literal(b",")?;
        }
        let value = if reader.literal(b"\"from_id\":").is_some() {
            &mut from
        } else if reader.literal(b"\"to_id\":").is_some() {
            &mut to
        } else {
            reader.literal(b"\"amount\":")?;
            &mut amount
        };
        // Of a key that comes twice another is missing.
        *value = Some(reader.number()?.cast_signed());
    }
    reader.literal(b"}}")?;
    reader.end()?;
    Some(Request {
        id,
        call: Call::Transfer(Transfer {
            from: from?,
            to: to?,
            amount: amount?,
            transfer_id: None,
        }),
    })
}

/// The answer to a transfer that was committed, in its canonical form.
#[inline]
pub(super) fn read_success(text: &[u8]) -> Option<Answer> {
    let mut reader = Reader(text);
    let id = if reader.literal(b"{\"id\":").is_some() {
        let id = reader.request_id()?;
        reader.literal(b",\"ok\":true}")?;
        Some(id)
    } else {
        reader.literal(b"{\"ok\":true}")?;
        None
    };
    reader.end()?;
    Some(Answer { id, result: Ok(()) })
}

/// A text that is put together on the stack and copied out once.
struct Writer<const N: usize> {
    text: [u8; N],
    length: usize,
}

impl<const N: usize> Writer<N> {
    fn new() -> Self {
        Self {
            text: [0; N],
            length: 0,
        }
    }

    /// The caller has made `N` large enough for the longest text.
    #[inline]
    fn put(&mut self, piece: &[u8]) {
        self.text[self.length..self.length + piece.len()].copy_from_slice(piece);
        self.length += piece.len();
    }

    #[inline]
    fn number(&mut self, number: impl itoa::Integer) {
        self.put(itoa::Buffer::new().format(number).as_bytes());
    }

    fn written(&self) -> &[u8] {
        &self.text[..self.length]
    }
}

/// Of the fixed parts, an id of 16 digits, and three numbers of 20 characters.
const TRANSFER_LENGTH_MAX: usize = 144;
/// Of the fixed parts, an id of 16 digits, and the longest error code.
const OUTCOME_LENGTH_MAX: usize = 72;

/// Appends a transfer without a `transfer_id`.
#[inline]
pub(super) fn write_transfer(out: &mut BytesMut, id: Option<RequestId>, transfer: &Transfer) {
    debug_assert!(transfer.transfer_id.is_none(), "written by serde_json");
    let mut text = Writer::<TRANSFER_LENGTH_MAX>::new();
    if let Some(id) = id {
        text.put(b"{\"id\":");
        text.number(id.get());
        text.put(b",\"name\":\"transfer\",\"args\":{\"from_id\":");
    } else {
        text.put(b"{\"name\":\"transfer\",\"args\":{\"from_id\":");
    }
    text.number(transfer.from);
    text.put(b",\"to_id\":");
    text.number(transfer.to);
    text.put(b",\"amount\":");
    text.number(transfer.amount);
    text.put(b"}}");
    out.extend_from_slice(text.written());
}

/// Appends an answer without a result.
#[inline]
pub(super) fn write_outcome(out: &mut BytesMut, id: AnswerId, result: Result<(), ErrorCode>) {
    let mut text = Writer::<OUTCOME_LENGTH_MAX>::new();
    match id {
        AnswerId::Absent => text.put(b"{\"ok\":"),
        AnswerId::Echo(None) => text.put(b"{\"id\":null,\"ok\":"),
        AnswerId::Echo(Some(id)) => {
            text.put(b"{\"id\":");
            text.number(id.get());
            text.put(b",\"ok\":");
        }
    }
    match result {
        Ok(()) => text.put(b"true}"),
        Err(code) => {
            text.put(b"false,\"error\":\"");
            // Codes are letters and underscores: nothing to escape.
            text.put(code.as_str().as_bytes());
            text.put(b"\"}");
        }
    }
    out.extend_from_slice(text.written());
}

#[cfg(test)]
mod tests;
