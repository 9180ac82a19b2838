//! The grammar of `--over KNOB=SPEC`.

use std::str::FromStr;

use busload_frontend::cli::{parse_duration, parse_number};

use super::{Axis, Knob};

/// Most values of one knob.
pub const VALUES_MAX: usize = 1_000;

/// Why a text is no swept knob.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SpecError {
    /// No `=`.
    #[error("write KNOB=SPEC, such as alpha=0,0.5,1,1.5,2")]
    NoKnob,
    /// No knob of this name.
    #[error(
        "'{0}' cannot be swept: choose alpha, concurrency, inflight, batch-size, \
         batch-timeout or rate; of what else has lists, such as --durability, run measures a row \
         for each value"
    )]
    UnknownKnob(String),
    /// Not one of the forms.
    #[error(
        "'{0}' is none of: a list 1,2,4, a range FROM..TO/STEP, linear:FROM:TO:COUNT, \
         geometric:FROM:TO:COUNT"
    )]
    Form(String),
    /// Not a value of the knob.
    #[error("'{text}' is not a value of {knob}: {why}")]
    Value {
        /// What was written.
        text: String,
        /// The knob.
        knob: &'static str,
        /// What it should be.
        why: String,
    },
    /// A range that goes nowhere.
    #[error("'{0}' must go from a lower to a higher value, by a step above 0")]
    Direction(String),
    /// A geometric range from 0.
    #[error("'{0}': a geometric range starts above 0")]
    GeometricFromZero(String),
    /// Too few or too many values.
    #[error("'{0}' has fewer than 2 or more than {VALUES_MAX} values")]
    Count(String),
    /// A value that comes twice.
    #[error("'{0}' has a value twice")]
    Twice(String),
}

impl FromStr for Axis {
    type Err = SpecError;

    /// `KNOB=SPEC`, where SPEC is
    /// - a list `V,V,…` of one value or more;
    /// - `FROM..TO/STEP`: FROM, FROM + STEP, … up to TO, which is included when it is met;
    /// - `linear:FROM:TO:COUNT`: COUNT values at equal distances, both ends included;
    /// - `geometric:FROM:TO:COUNT`: COUNT values at equal ratios, both ends included; for a
    ///   knob that counts something, rounded to whole numbers, each once.
    ///
    /// Batch timeouts carry a unit: `batch-timeout=0ms,500us,2ms`.
    fn from_str(text: &str) -> Result<Self, SpecError> {
        let (knob, spec) = text.split_once('=').ok_or(SpecError::NoKnob)?;
        let knob = knob_named(knob)?;
        let values = if let Some(range) = spec.strip_prefix("linear:") {
            let (from, to, count) = from_to_count(knob, spec, range)?;
            spread(count, |share| from + (to - from) * share)
        } else if let Some(range) = spec.strip_prefix("geometric:") {
            let (from, to, count) = from_to_count(knob, spec, range)?;
            if from <= 0.0 {
                return Err(SpecError::GeometricFromZero(spec.to_owned()));
            }
            let mut values = spread(count, |share| from * (to / from).powf(share));
            if knob.counts() {
                for value in &mut values {
                    *value = value.round();
                }
                values.dedup();
            }
            values
        } else if let Some((from, rest)) = spec.split_once("..") {
            by_step(knob, spec, from, rest)?
        } else if spec.contains(':') || spec.is_empty() {
            return Err(SpecError::Form(spec.to_owned()));
        } else {
            let values = spec.split(',').map(|value| knob.parse(value));
            values.collect::<Result<_, _>>()?
        };
        if values.len() > VALUES_MAX {
            return Err(SpecError::Count(spec.to_owned()));
        }
        for (place, value) in values.iter().enumerate() {
            // A linear range of a knob that counts may fall between whole numbers.
            knob.check(*value).map_err(|why| SpecError::Value {
                text: knob.show(*value),
                knob: knob.name(),
                why,
            })?;
            if values[..place].contains(value) {
                return Err(SpecError::Twice(spec.to_owned()));
            }
        }
        Ok(Self { knob, values })
    }
}

fn knob_named(name: &str) -> Result<Knob, SpecError> {
    let named = Knob::ALL.into_iter().find(|knob| knob.name() == name);
    // The name of an earlier version.
    let alias = || (name == "max-inflight-per-worker").then_some(Knob::MaxInflightPerWorker);
    named
        .or_else(alias)
        .ok_or_else(|| SpecError::UnknownKnob(name.to_owned()))
}

fn from_to_count(knob: Knob, spec: &str, range: &str) -> Result<(f64, f64, usize), SpecError> {
    let parts: Vec<&str> = range.split(':').collect();
    let &[from, to, count] = parts.as_slice() else {
        return Err(SpecError::Form(spec.to_owned()));
    };
    let (from, to) = (knob.parse(from)?, knob.parse(to)?);
    let count: usize = count
        .parse()
        .map_err(|_| SpecError::Form(spec.to_owned()))?;
    if !(2..=VALUES_MAX).contains(&count) {
        return Err(SpecError::Count(spec.to_owned()));
    }
    if from >= to {
        return Err(SpecError::Direction(spec.to_owned()));
    }
    Ok((from, to, count))
}

fn by_step(knob: Knob, spec: &str, from: &str, rest: &str) -> Result<Vec<f64>, SpecError> {
    let (to, step) = rest
        .split_once('/')
        .ok_or_else(|| SpecError::Form(spec.to_owned()))?;
    let (from, to, step) = (knob.parse(from)?, knob.parse(to)?, knob.number(step)?);
    if from >= to || step <= 0.0 {
        return Err(SpecError::Direction(spec.to_owned()));
    }
    // A hair more, so that 0..1/0.1 includes 1.
    let steps = ((to - from) / step * (1.0 + 1e-12)).floor();
    #[expect(clippy::cast_precision_loss, reason = "a small bound")]
    if steps >= VALUES_MAX as f64 {
        return Err(SpecError::Count(spec.to_owned()));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked: from 0 to the bound"
    )]
    let steps = steps as u32;
    Ok((0..=steps)
        .map(|i| tidy(from + f64::from(i) * step))
        .collect())
}

/// `count` values, both ends included, at shares of the way from 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "at most VALUES_MAX")]
fn spread(count: usize, value: impl Fn(f64) -> f64) -> Vec<f64> {
    let last = (count - 1) as f64;
    (0..count).map(|i| tidy(value(i as f64 / last))).collect()
}

/// 0.3 for 0.30000000000000004: at most twelve significant digits.
fn tidy(value: f64) -> f64 {
    format!("{value:.11e}").parse().unwrap_or(value)
}

impl Knob {
    /// Whether its values are whole numbers.
    const fn counts(self) -> bool {
        matches!(
            self,
            Self::Concurrency | Self::MaxInflightPerWorker | Self::BatchSize
        )
    }

    /// A number in the knob's unit, whether or not the knob may have that value.
    fn number(self, text: &str) -> Result<f64, SpecError> {
        let number = match self {
            Self::BatchTimeout => parse_duration(text).map(|time| time.as_secs_f64() * 1e6),
            _ => parse_number(text).ok_or_else(|| "write a number from 0".to_owned()),
        };
        number.map(tidy).map_err(|why| self.no_value(text, why))
    }

    fn parse(self, text: &str) -> Result<f64, SpecError> {
        let value = self.number(text)?;
        self.check(value).map_err(|why| self.no_value(text, why))?;
        Ok(value)
    }

    fn no_value(self, text: &str, why: String) -> SpecError {
        SpecError::Value {
            text: text.to_owned(),
            knob: self.name(),
            why,
        }
    }

    /// The bounds are those of the flags of the same names.
    fn check(self, value: f64) -> Result<(), String> {
        let (bounds, text) = match self {
            Self::Alpha => (0.0..=f64::MAX, "a number from 0"),
            Self::Concurrency => (1.0..=1e5, "a whole number from 1 to 100,000"),
            Self::MaxInflightPerWorker => (1.0..=16_384.0, "a whole number from 1 to 16,384"),
            Self::BatchSize => (1.0..=1_048_576.0, "a whole number from 1 to 1,048,576"),
            Self::BatchTimeout => (0.0..=6e7, "a duration from 0ms to 60s"),
            Self::Rate => (0.1..=1e7, "a number from 0.1 to 10M"),
        };
        let fits = bounds.contains(&value) && !(self.counts() && value.fract() != 0.0);
        if fits { Ok(()) } else { Err(text.to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn values(text: &str) -> Vec<f64> {
        text.parse::<Axis>()
            .unwrap_or_else(|why| panic!("{text}: {why}"))
            .values
    }

    #[test]
    fn each_form_gives_its_values() {
        assert_eq!(values("alpha=0,0.5,1,1.5,2"), [0.0, 0.5, 1.0, 1.5, 2.0]);
        assert_eq!(values("alpha=1.5"), [1.5]);
        assert_eq!(values("rate=5k,0.1M"), [5e3, 1e5]);
        assert_eq!(values("batch-size=1k..3k/1k"), [1e3, 2e3, 3e3]);
        assert_eq!(
            values("concurrency=8,2"),
            [8.0, 2.0],
            "in the order written"
        );
        assert_eq!(values("alpha=0..0.5/0.1"), [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]);
        assert_eq!(values("inflight=1..10/4"), [1.0, 5.0, 9.0]);
        assert_eq!(values("alpha=linear:0:2:5"), [0.0, 0.5, 1.0, 1.5, 2.0]);
        assert_eq!(
            values("rate=geometric:100:10000:3"),
            [100.0, 1000.0, 10_000.0]
        );
        assert_eq!(
            values("batch-size=geometric:1:8:7"),
            [1.0, 2.0, 3.0, 4.0, 6.0, 8.0],
            "1.41 and 1 are both 1, and once is enough"
        );
        assert_eq!(values("batch-timeout=0ms,500us,2ms"), [0.0, 500.0, 2000.0]);
        assert_eq!(values("batch-timeout=0ms..4ms/2ms"), [0.0, 2000.0, 4000.0]);
        for name in ["inflight", "max-inflight-per-worker"] {
            let axis: Axis = format!("{name}=1").parse().unwrap();
            assert_eq!(axis.knob, Knob::MaxInflightPerWorker);
        }
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_would_do() {
        for (text, says) in [
            ("alpha", "KNOB=SPEC"),
            ("colour=1,2", "batch-timeout"),
            ("alpha=", "FROM..TO/STEP"),
            ("alpha=1,,2", "''"),
            ("alpha=x", "'x'"),
            ("alpha=-1", "from 0"),
            ("alpha=NaN", "NaN"),
            ("alpha=inf", "inf"),
            ("alpha=1,1", "twice"),
            ("alpha=0..1", "FROM..TO/STEP"),
            ("alpha=0..1/0", "step above 0"),
            ("alpha=0..1/-1", "from 0"),
            ("alpha=2..1/0.5", "lower to a higher"),
            ("alpha=0..1/0.0000001", "1000 values"),
            ("alpha=0..1e308/1e-308", "1000 values"),
            ("alpha=linear:0:1", "linear:FROM:TO:COUNT"),
            ("alpha=linear:0:1:1", "fewer than 2"),
            ("alpha=linear:0:1:1001", "1000"),
            ("alpha=linear:0:1:x", "COUNT"),
            ("alpha=linear:1:1:3", "lower to a higher"),
            ("alpha=cubic:0:1:3", "geometric:FROM:TO:COUNT"),
            ("rate=0", "0.1"),
            ("batch-timeout=geometric:0ms:2ms:3", "above 0"),
            ("alpha=geometric:0:1:3", "above 0"),
            ("concurrency=0", "from 1"),
            ("concurrency=1.5", "whole"),
            ("concurrency=linear:1:2:3", "whole"),
            ("inflight=16385", "16,384"),
            ("batch-size=1048577", "1,048,576"),
            ("batch-timeout=2", "unit"),
            ("batch-timeout=0..4ms/1ms", "unit"),
            ("batch-timeout=61s", "60s"),
        ] {
            let error = text.parse::<Axis>().expect_err(text).to_string();
            assert!(error.contains(says), "{text}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn values_are_shown_as_they_are_written() {
        for text in ["0ms", "500µs", "2ms", "2.5ms"] {
            let value = Knob::BatchTimeout.parse(text).unwrap();
            assert_eq!(Knob::BatchTimeout.show(value), text);
        }
        assert_eq!(Knob::Alpha.show(1.5), "1.5");
        assert_eq!(Knob::Rate.show(20_000.0), "20000");
    }
}
