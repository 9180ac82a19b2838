//! BSATN, the encoding of SpacetimeDB, as far as a load needs it: little-endian integers of fixed
//! width, and strings and byte arrays behind their length.

use bytes::{BufMut as _, BytesMut};

/// Why bytes are not what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BsatnError {
    /// They end too early.
    #[error("{wanted} bytes were expected and {left} are left")]
    Short {
        /// How many were to come.
        wanted: usize,
        /// How many there are.
        left: usize,
    },
    /// A string is none.
    #[error("a string is not UTF-8")]
    NotUtf8,
}

/// Reads values one after the other. What cannot be read leaves it where it was.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// A reader from the beginning of these bytes.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// How many bytes are left.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.0.len()
    }

    fn short(&self, wanted: usize) -> BsatnError {
        let left = self.left();
        debug_assert!(wanted > left);
        BsatnError::Short { wanted, left }
    }

    /// As many bytes as the array has.
    ///
    /// # Errors
    /// There are fewer.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], BsatnError> {
        let split = self.0.split_first_chunk();
        let (array, rest) = split.ok_or_else(|| self.short(N))?;
        self.0 = rest;
        Ok(*array)
    }

    /// A byte, such as the tag of a sum.
    ///
    /// # Errors
    /// There is none.
    pub fn u8(&mut self) -> Result<u8, BsatnError> {
        self.array().map(u8::from_le_bytes)
    }

    /// An unsigned integer of 32 bits.
    ///
    /// # Errors
    /// The bytes end before.
    pub fn u32(&mut self) -> Result<u32, BsatnError> {
        self.array().map(u32::from_le_bytes)
    }

    /// A signed integer of 64 bits.
    ///
    /// # Errors
    /// The bytes end before.
    pub fn i64(&mut self) -> Result<i64, BsatnError> {
        self.array().map(i64::from_le_bytes)
    }

    /// A byte array: nothing is set aside for a length that is only claimed.
    ///
    /// # Errors
    /// The bytes end before.
    pub fn bytes(&mut self) -> Result<&'a [u8], BsatnError> {
        let mut ahead = *self;
        let length = usize::try_from(ahead.u32()?).unwrap_or(usize::MAX);
        let (bytes, rest) = ahead
            .0
            .split_at_checked(length)
            .ok_or_else(|| ahead.short(length))?;
        self.0 = rest;
        Ok(bytes)
    }

    /// A string.
    ///
    /// # Errors
    /// The bytes end before, or it is not UTF-8.
    pub fn string(&mut self) -> Result<&'a str, BsatnError> {
        let mut ahead = *self;
        let text = str::from_utf8(ahead.bytes()?).map_err(|_| BsatnError::NotUtf8)?;
        *self = ahead;
        Ok(text)
    }
}

/// Appends a byte array, or a string as its bytes.
///
/// # Panics
/// It has more than 4 GiB.
pub fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("what this program writes is short");
    out.put_u32_le(length);
    out.put_slice(bytes);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    enum Value {
        U8(u8),
        U32(u32),
        I64(i64),
        Bytes(Vec<u8>),
        String(String),
    }

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<u8>().prop_map(Value::U8),
            any::<u32>().prop_map(Value::U32),
            any::<i64>().prop_map(Value::I64),
            any::<Vec<u8>>().prop_map(Value::Bytes),
            any::<String>().prop_map(Value::String),
        ]
    }

    fn put(out: &mut BytesMut, value: &Value) {
        match value {
            Value::U8(value) => out.put_u8(*value),
            Value::U32(value) => out.put_u32_le(*value),
            Value::I64(value) => out.put_i64_le(*value),
            Value::Bytes(value) => put_bytes(out, value),
            Value::String(value) => put_bytes(out, value.as_bytes()),
        }
    }

    /// Reads a value of the same kind.
    fn read(reader: &mut Reader<'_>, like: &Value) -> Result<Value, BsatnError> {
        Ok(match like {
            Value::U8(_) => Value::U8(reader.u8()?),
            Value::U32(_) => Value::U32(reader.u32()?),
            Value::I64(_) => Value::I64(reader.i64()?),
            Value::Bytes(_) => Value::Bytes(reader.bytes()?.to_vec()),
            Value::String(_) => Value::String(reader.string()?.to_owned()),
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(values in prop::collection::vec(value(), 0..8)) {
            let mut out = BytesMut::new();
            for value in &values {
                put(&mut out, value);
            }
            let mut reader = Reader::new(&out);
            for value in &values {
                prop_assert_eq!(read(&mut reader, value), Ok(value.clone()));
            }
            prop_assert_eq!(reader.left(), 0);
        }

        #[test]
        fn what_is_cut_off_is_an_error_and_moves_nothing(value in value(), cut: prop::sample::Index) {
            let mut out = BytesMut::new();
            put(&mut out, &value);
            let cut = cut.index(out.len());
            let mut reader = Reader::new(&out[..cut]);
            let is_short = matches!(read(&mut reader, &value), Err(BsatnError::Short { .. }));
            prop_assert!(is_short);
            prop_assert_eq!(reader.left(), cut);
        }

        #[test]
        fn arbitrary_bytes_are_read_or_refused(bytes: Vec<u8>, likes in prop::collection::vec(value(), 0..8)) {
            let mut reader = Reader::new(&bytes);
            for like in &likes {
                let before = reader.left();
                let is_read = read(&mut reader, like).is_ok();
                prop_assert_eq!(reader.left() < before, is_read);
                prop_assert!(reader.left() <= before);
            }
        }
    }

    /// A length is not believed before its bytes are there.
    #[test]
    fn a_claimed_length_sets_nothing_aside() {
        let mut reader = Reader::new(&[0xff; 12]);
        let short = BsatnError::Short {
            wanted: 0xffff_ffff,
            left: 8,
        };
        assert_eq!(reader.bytes(), Err(short));
        assert_eq!(
            Reader::new(&[1, 0, 0, 0, 0xff]).string(),
            Err(BsatnError::NotUtf8)
        );
    }
}
