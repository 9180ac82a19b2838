//! The header of a WebSocket frame (RFC 6455, section 5.2), and the mask over what follows it.

const FINAL: u8 = 0x80;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;
const LENGTH_IN_2: u8 = 126;

/// A message in one frame: final, no reserved bit, text.
pub(super) const WHOLE_TEXT: u8 = 0x81;
/// The same of binary data.
pub(super) const WHOLE_BINARY: u8 = 0x82;
const TEXT: u8 = 0x01;
const BINARY: u8 = 0x02;
const CONTINUATION: u8 = 0x00;
const CLOSE: u8 = 0x08;

/// What stands at the front of the bytes that were read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Front {
    /// Not even a header.
    Incomplete,
    /// A frame.
    Frame(Header),
}

/// A frame's header, as it is; whether it may be so is the library's to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    first: u8,
    pub(super) mask: Option<[u8; 4]>,
    pub(super) size: usize,
    pub(super) length: u64,
}

impl Header {
    /// A message by itself that needs no look at its frame's bits.
    pub(super) fn is_whole_message(&self) -> bool {
        matches!(self.first, WHOLE_TEXT | WHOLE_BINARY)
    }

    pub(super) fn is_text(&self) -> bool {
        self.first & OPCODE == TEXT
    }

    pub(super) fn is_close(&self) -> bool {
        self.first & OPCODE == CLOSE
    }

    /// Whether a message is unfinished after this frame, if it was before it.
    pub(super) fn leaves_unfinished(&self, unfinished: bool) -> bool {
        match self.first & OPCODE {
            TEXT | BINARY | CONTINUATION => self.first & FINAL == 0,
            // Control frames may stand between fragments.
            _ => unfinished,
        }
    }
}

/// Looks at the front of what was read.
pub(super) fn front(bytes: &[u8]) -> Front {
    let &[first, second, ..] = bytes else {
        return Front::Incomplete;
    };
    let short = second & LENGTH;
    let extended = match short {
        ..LENGTH_IN_2 => 0,
        LENGTH_IN_2 => 2,
        _ => 8,
    };
    let is_masked = second & MASKED != 0;
    let size = 2 + extended + if is_masked { 4 } else { 0 };
    if bytes.len() < size {
        return Front::Incomplete;
    }
    let length = if extended == 0 {
        u64::from(short)
    } else {
        bytes[2..2 + extended]
            .iter()
            .fold(0, |length, byte| length << 8 | u64::from(*byte))
    };
    let mask = is_masked.then(|| [size - 4, size - 3, size - 2, size - 1].map(|at| bytes[at]));
    Front::Frame(Header {
        first,
        mask,
        size,
        length,
    })
}

/// Puts a mask over a payload, or takes it off.
#[inline]
pub(super) fn apply_mask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    // The words before it are whole masks.
    for (byte, mask) in rest.iter_mut().zip([a, b, c, d, a, b, c]) {
        *byte ^= mask;
    }
}

/// The length of a payload as a header has it, in the fewest bytes and without the bit that says
/// that a mask follows: the bytes, and how many of them count.
pub(super) fn length_bytes(length: usize) -> ([u8; 9], usize) {
    let mut bytes = [0; 9];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < LENGTH_IN_2 => {
            bytes[0] = short;
            (bytes, 1)
        }
        (_, Ok(medium)) => {
            bytes[0] = LENGTH_IN_2;
            bytes[1..3].copy_from_slice(&medium.to_be_bytes());
            (bytes, 3)
        }
        _ => {
            bytes[0] = LENGTH;
            bytes[1..9].copy_from_slice(&(length as u64).to_be_bytes());
            (bytes, 9)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_all_lengths_are_read_as_they_are_written() {
        for length in [0_usize, 1, 125, 126, 127, 65_535, 65_536, 1 << 40] {
            let (bytes, size) = length_bytes(length);
            let frame = [&[WHOLE_TEXT], &bytes[..size]].concat();
            let Front::Frame(header) = front(&frame) else {
                panic!("{length}: incomplete");
            };
            assert_eq!((header.size, header.length), (1 + size, length as u64));
            assert!(header.is_whole_message() && header.is_text());
            assert_eq!(header.mask, None);
            for cut in 0..frame.len() {
                assert_eq!(front(&frame[..cut]), Front::Incomplete);
            }
        }
    }

    #[test]
    fn a_masked_header_ends_with_its_mask() {
        let Front::Frame(header) = front(&[WHOLE_BINARY, 0x80 | 3, 9, 8, 7, 6, 1]) else {
            panic!("incomplete");
        };
        assert_eq!(header.mask, Some([9, 8, 7, 6]));
        assert_eq!((header.size, header.length), (6, 3));
        assert!(header.is_whole_message() && !header.is_text());
    }

    #[test]
    fn only_final_frames_without_reserved_bits_are_whole_messages() {
        for first in 0..=u8::MAX {
            let Front::Frame(header) = front(&[first, 0]) else {
                panic!("incomplete");
            };
            assert_eq!(
                header.is_whole_message(),
                first == 0x81 || first == 0x82,
                "{first:x}"
            );
        }
    }

    #[test]
    fn fragments_leave_a_message_unfinished_and_control_frames_change_nothing() {
        let frame = |first| match front(&[first, 0]) {
            Front::Frame(header) => header,
            Front::Incomplete => panic!("incomplete"),
        };
        assert!(frame(0x01).leaves_unfinished(false));
        assert!(frame(0x00).leaves_unfinished(true));
        assert!(!frame(0x80).leaves_unfinished(true));
        for control in [0x88, 0x89, 0x8a] {
            assert!(frame(control).leaves_unfinished(true));
            assert!(!frame(control).leaves_unfinished(false));
        }
    }

    #[test]
    fn a_mask_over_any_length_is_that_of_the_rfc() {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        for length in 0..40 {
            let plain: Vec<u8> = (0..length).collect();
            let mut masked = plain.clone();
            apply_mask(&mut masked, mask);
            for (at, byte) in masked.iter().enumerate() {
                assert_eq!(*byte, plain[at] ^ mask[at % 4]);
            }
            apply_mask(&mut masked, mask);
            assert_eq!(masked, plain);
        }
    }
}
