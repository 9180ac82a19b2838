//! The size of one write, as given on a command line.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

const MIN_BYTES: u32 = 512;
const MAX_BYTES: u32 = 16 << 20;

/// The size of one write: a power of two from 512 bytes, which is one sector, to 16 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSize(u32);

impl BlockSize {
    /// One page of SQLite and of most file systems.
    pub const PAGE: Self = Self(4096);

    /// The size in bytes.
    #[must_use]
    pub const fn bytes(self) -> u32 {
        self.0
    }
}

/// Why a text is not a block size.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BlockSizeError {
    /// Not a number with one of the units.
    #[error(
        "expected a number of bytes with an optional unit k, KiB, M or MiB, such as 512, 4k or 1MiB"
    )]
    Malformed,
    /// A number, but not a size that can be measured.
    #[error("expected a power of two from 512 to 16M")]
    OutOfRange,
}

impl FromStr for BlockSize {
    type Err = BlockSizeError;

    /// Reads `512`, `4k`, `4KiB`, `1M`. `kB`, which is 1000 bytes to some and 1024 to others, is
    /// refused.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let factor: u64 = match unit.trim_start() {
            "" | "B" => 1,
            "k" | "K" | "Ki" | "KiB" | "kiB" | "kib" => 1 << 10,
            "m" | "M" | "Mi" | "MiB" | "mib" => 1 << 20,
            _ => return Err(BlockSizeError::Malformed),
        };
        if number.is_empty() {
            return Err(BlockSizeError::Malformed);
        }
        let bytes = number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(factor))
            .and_then(|bytes| u32::try_from(bytes).ok())
            .ok_or(BlockSizeError::OutOfRange)?;
        if bytes.is_power_of_two() && (MIN_BYTES..=MAX_BYTES).contains(&bytes) {
            Ok(Self(bytes))
        } else {
            Err(BlockSizeError::OutOfRange)
        }
    }
}

impl fmt::Display for BlockSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes.is_multiple_of(1 << 20) => write!(f, "{}M", bytes >> 20),
            bytes if bytes.is_multiple_of(1 << 10) => write!(f, "{}k", bytes >> 10),
            bytes => write!(f, "{bytes}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_bytes_and_binary_units() {
        for (text, bytes) in [
            ("512", 512),
            ("512B", 512),
            ("4096", 4096),
            ("4k", 4096),
            ("4K", 4096),
            ("4KiB", 4096),
            ("4 KiB", 4096),
            ("64k", 65_536),
            ("1M", 1 << 20),
            ("1MiB", 1 << 20),
            ("16M", 16 << 20),
        ] {
            assert_eq!(text.parse(), Ok(BlockSize(bytes)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_not_a_number_with_a_unit() {
        for text in [
            "", "k", "four", "-4k", "+4k", "4kB", "4x", "4.5k", "0x200", "4k4", " 4k",
        ] {
            assert_eq!(
                text.parse::<BlockSize>(),
                Err(BlockSizeError::Malformed),
                "{text:?}"
            );
        }
    }

    #[test]
    fn refuses_sizes_that_are_no_block() {
        for text in [
            "0",
            "1",
            "256",
            "513",
            "1000",
            "3k",
            "12k",
            "32M",
            "99999999999999999999M",
        ] {
            assert_eq!(
                text.parse::<BlockSize>(),
                Err(BlockSizeError::OutOfRange),
                "{text:?}"
            );
        }
    }

    #[test]
    fn display_is_read_back() {
        for text in ["512", "1k", "4k", "1M", "16M"] {
            assert_eq!(text.parse::<BlockSize>().unwrap().to_string(), text);
        }
    }
}
