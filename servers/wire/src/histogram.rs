//! Histograms: how servers keep them and how they travel.

use crate::control::Distribution;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};

/// 60 s in nanoseconds: values up to it find their room, for larger ones it grows.
const EXPECTED: u64 = 60_000_000_000;

/// A distribution with an exact sum beside the histogram: means must add up.
///
/// Takes a few hundred KiB whatever is in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    histogram: Histogram<u64>,
    sum: u64,
}

impl Default for Recorded {
    fn default() -> Self {
        Self::new()
    }
}

impl Recorded {
    /// An empty distribution, with room for values up to 60 s in nanoseconds; it grows for larger
    /// ones, since an exact mean beside a clipped maximum could exceed it.
    ///
    /// # Panics
    /// Never: the bounds are constants that the histogram takes.
    #[must_use]
    pub fn new() -> Self {
        let mut histogram =
            Histogram::new_with_max(EXPECTED, 3).expect("constant bounds are valid");
        histogram.auto(true);
        Self { histogram, sum: 0 }
    }

    /// Counts one value.
    pub fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// Counts a value as if it had come `count` times.
    pub fn record_n(&mut self, value: u64, count: u64) {
        // What grows takes every value.
        let _ = self.histogram.record_n(value, count);
        self.sum = self.sum.saturating_add(value.saturating_mul(count));
    }

    /// Count and sum, without the histogram: two numbers copied.
    #[must_use]
    pub fn totals(&self) -> Distribution {
        Distribution {
            count: self.histogram.len(),
            sum: self.sum,
            histogram: String::new(),
        }
    }

    /// With the histogram as it travels. Takes a good part of a millisecond.
    #[must_use]
    pub fn to_wire(&self) -> Distribution {
        Distribution {
            histogram: encode(&self.histogram),
            ..self.totals()
        }
    }
}

/// A histogram as it travels and is recorded: `HdrHistogram` V2, deflated, base64.
#[must_use]
pub fn encode(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    match V2DeflateSerializer::new().serialize(histogram, &mut bytes) {
        Ok(_) => BASE64_STANDARD.encode(&bytes),
        Err(_) => String::new(),
    }
}

/// Reads what [`encode`] wrote; `None` if it is something else.
#[must_use]
pub fn decode_text(text: &str) -> Option<Histogram<u64>> {
    let bytes = BASE64_STANDARD.decode(text).ok()?;
    Deserializer::new().deserialize(&mut bytes.as_slice()).ok()
}

/// Reads the histogram of a [`Distribution`]; `None` if it is not one, or has none.
#[must_use]
pub fn decode(distribution: &Distribution) -> Option<Histogram<u64>> {
    decode_text(&distribution.histogram)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_survives_the_wire() {
        let mut recorded = Recorded::new();
        recorded.record_n(250_000, 3);
        recorded.record(EXPECTED * 200);
        let wire = recorded.to_wire();
        let read = decode(&wire).unwrap();
        assert_eq!((wire.count, read.len()), (4, 4));
        assert_eq!(wire.sum, 3 * 250_000 + EXPECTED * 200);
        assert!(read.max().abs_diff(EXPECTED * 200) * 1_000 <= EXPECTED * 200);
        let totals = recorded.totals();
        assert_eq!((totals.count, totals.sum), (wire.count, wire.sum));
        assert_eq!(decode(&totals), None);
        assert!(read.value_at_quantile(0.5).abs_diff(250_000) < 500);
        assert_eq!(decode(&Distribution::default()), None);
    }
}
