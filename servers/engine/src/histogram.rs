//! Histograms of the engine: how they are kept and how they travel.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use busload_wire::control::Distribution;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};

/// 60 s in nanoseconds; longer values are counted as this one.
const HIGHEST: u64 = 60_000_000_000;

/// A distribution with an exact sum beside the histogram: means must add up.
#[derive(Clone)]
pub(crate) struct Recorded {
    histogram: Histogram<u64>,
    sum: u64,
}

impl Recorded {
    pub(crate) fn new() -> Self {
        let histogram = Histogram::new_with_max(HIGHEST, 3).expect("constant bounds are valid");
        Self { histogram, sum: 0 }
    }

    pub(crate) fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    pub(crate) fn record_n(&mut self, value: u64, count: u64) {
        self.histogram.saturating_record_n(value, count);
        self.sum = self.sum.saturating_add(value.saturating_mul(count));
    }

    pub(crate) fn to_wire(&self) -> Distribution {
        let mut bytes = Vec::new();
        let histogram = match V2DeflateSerializer::new().serialize(&self.histogram, &mut bytes) {
            Ok(_) => BASE64_STANDARD.encode(&bytes),
            Err(_) => String::new(),
        };
        Distribution {
            count: self.histogram.len(),
            sum: self.sum,
            histogram,
        }
    }
}

/// Reads the histogram of a [`Distribution`]; `None` if it is not one.
#[must_use]
pub fn decode(distribution: &Distribution) -> Option<Histogram<u64>> {
    let bytes = BASE64_STANDARD.decode(&distribution.histogram).ok()?;
    Deserializer::new().deserialize(&mut bytes.as_slice()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_survives_the_wire() {
        let mut recorded = Recorded::new();
        recorded.record_n(250_000, 3);
        recorded.record(HIGHEST * 2);
        let wire = recorded.to_wire();
        let read = decode(&wire).unwrap();
        assert_eq!((wire.count, read.len()), (4, 4));
        assert_eq!(wire.sum, 3 * 250_000 + HIGHEST * 2);
        assert!(read.value_at_quantile(0.5).abs_diff(250_000) < 500);
        assert_eq!(decode(&Distribution::default()), None);
    }
}
