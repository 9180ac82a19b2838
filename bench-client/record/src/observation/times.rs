//! Times: a histogram and its exact sum.

use busload_wire::histogram::{decode_text, encode};
use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Times in nanoseconds, with an exact sum beside the histogram, whose mean is rounded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Times {
    /// Their exact sum, in nanoseconds.
    pub sum_ns: u128,
    /// HdrHistogram V2, deflated, base64, in nanoseconds.
    #[serde(serialize_with = "serialize", deserialize_with = "deserialize")]
    #[schemars(with = "String")]
    pub histogram: Histogram<u64>,
}

impl Times {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The arithmetic mean in nanoseconds, 0 of nothing.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds far below 2^52")]
    pub fn mean_ns(&self) -> f64 {
        match self.count() {
            0 => 0.0,
            count => self.sum_ns as f64 / count as f64,
        }
    }

    /// Adds other times to these. `None` when one histogram cannot take the other's values, which
    /// histograms of this program always can.
    pub(super) fn add(&mut self, other: &Self) -> Option<()> {
        self.histogram.auto(true);
        self.histogram.add(&other.histogram).ok()?;
        self.sum_ns += other.sum_ns;
        Some(())
    }
}

fn serialize<S: Serializer>(histogram: &Histogram<u64>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&encode(histogram))
}

fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Histogram<u64>, D::Error> {
    let text = String::deserialize(from)?;
    decode_text(&text).ok_or_else(|| {
        let expected = "an HdrHistogram, V2, deflated, base64";
        de::Error::invalid_value(de::Unexpected::Str("another text"), &expected)
    })
}
