//! Axes: how far they reach, and what is written beside them.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// One axis: what it is of, how far it reaches, and what is written beside it.
#[derive(Debug, Clone)]
pub(in crate::render) struct Axis {
    pub(in crate::render) label: String,
    low: f64,
    high: f64,
    pub(in crate::render) ticks: Vec<(f64, String)>,
    log: bool,
}

impl Axis {
    /// From 0 or the least value to the largest.
    pub(in crate::render) fn linear(label: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let (least, most) = bounds(values).unwrap_or((0.0, 1.0));
        let low = least.min(0.0);
        let span = if most > low { most - low } else { 1.0 };
        let step = nice_step(span / 4.0);
        let high = (most / step).ceil().max(1.0) * step;
        let low = (low / step).floor() * step;
        Self::with_ticks(label, (low, high), steps(low, high, step))
    }

    /// From 0 or the least value to the largest, with a tick at every multiple of `step`.
    pub(in crate::render) fn tight(
        label: &str,
        values: impl IntoIterator<Item = f64>,
        step: f64,
    ) -> Self {
        let (least, most) = bounds(values).unwrap_or((0.0, step));
        let (low, high) = (least.min(0.0), most.max(step));
        Self::with_ticks(label, (low, high), steps(low, high, step))
    }

    /// Over whole decades; values that are not above 0 do not count.
    pub(in crate::render) fn log(label: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let positive = values.into_iter().filter(|value| *value > 0.0);
        let (least, most) = bounds(positive).unwrap_or((1.0, 10.0));
        let low = least.log10().floor();
        let high = most.log10().ceil().max(low + 1.0);
        let every = ((high - low) / 6.0).ceil().max(1.0);
        let ticks = steps(0.0, high - low, every).into_iter();
        let ticks = ticks.map(|(decade, _)| (low + decade, short(10_f64.powf(low + decade))));
        Self {
            log: true,
            ..Self::with_ticks(label, (low, high), ticks.collect())
        }
    }

    /// From `low` to `high` as they are, with about five round ticks between.
    pub(in crate::render) fn within(label: &str, low: f64, high: f64) -> Self {
        let step = nice_step((high - low).max(f64::MIN_POSITIVE) / 5.0);
        Self::with_ticks(label, (low, high), steps(low, high, step))
    }

    /// With ticks of one's own, in the axis' own coordinates.
    pub(in crate::render) fn with_ticks(
        label: &str,
        (low, high): (f64, f64),
        ticks: Vec<(f64, String)>,
    ) -> Self {
        Self {
            label: label.to_owned(),
            low,
            high,
            ticks,
            log: false,
        }
    }

    /// Places for `count` things, from the top down, with nothing written beside them.
    pub(in crate::render) fn places(count: f64) -> Self {
        Self::with_ticks("", (count, 0.0), Vec::new())
    }

    /// Where a value is.
    pub(in crate::render) fn at(&self, value: f64) -> f64 {
        if self.log {
            value.max(f64::MIN_POSITIVE).log10().max(self.low)
        } else {
            value
        }
    }

    /// The axis' beginning, in its own coordinates.
    pub(in crate::render) fn low(&self) -> f64 {
        self.low
    }

    /// The axis' end, in its own coordinates.
    pub(in crate::render) fn high(&self) -> f64 {
        self.high
    }

    fn text_of(&self, at: f64) -> String {
        let near = (self.high - self.low).abs() * 1e-6;
        let found = self
            .ticks
            .iter()
            .find(|(tick, _)| (tick - at).abs() <= near);
        found.map_or_else(String::new, |(_, text)| text.clone())
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    #[expect(clippy::cast_possible_truncation, reason = "places on a drawing")]
    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let share = (value - self.low) / (self.high - self.low);
        let length = f64::from(to) - f64::from(from);
        // Not a number becomes the beginning.
        (f64::from(from) + share * length).round().clamp(-1e6, 1e6) as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.ticks.iter().map(|(at, _)| *at).collect()
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format(at: &f64) -> String {
        short(*at)
    }

    fn format_ext(&self, at: &f64) -> String {
        self.text_of(*at)
    }
}

fn bounds(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let finite = values.into_iter().filter(|value| value.is_finite());
    finite.fold(None, |known, value| match known {
        None => Some((value, value)),
        Some((low, high)) => Some((f64::min(low, value), f64::max(high, value))),
    })
}

/// The multiples of a step that lie between two ends.
fn steps(low: f64, high: f64, step: f64) -> Vec<(f64, String)> {
    let mut ticks = Vec::new();
    let mut at = (low / step).ceil() * step;
    // Rounding must not cost the last one.
    while at <= high + step * 1e-3 {
        // Not minus zero.
        ticks.push((at, short(at + 0.0)));
        at += step;
    }
    ticks
}

/// 1, 2 or 5 times a power of ten, at least `least`.
fn nice_step(least: f64) -> f64 {
    let decade = 10_f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * decade);
    let fitting = steps.into_iter().find(|step| *step >= least * 0.999);
    fitting.unwrap_or(10.0 * decade)
}

/// A number in few characters: 1500 is 1.5k.
pub(in crate::render) fn short(value: f64) -> String {
    let trimmed = |number: f64| {
        let text = format!("{number:.2}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match value.abs() {
        size if size >= 999_999.5 => format!("{}M", trimmed(value / 1e6)),
        size if size >= 999.95 => format!("{}k", trimmed(value / 1e3)),
        size if size >= 0.01 => trimmed(value),
        size if size < 1e-12 => "0".to_owned(),
        _ => {
            let text = format!("{value:.6}");
            text.trim_end_matches('0').to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.001, "0.001"),
            (0.25, "0.25"),
            (999.0, "999"),
            (1_500.0, "1.5k"),
            (163_070.0, "163.07k"),
            (1e6, "1M"),
            (-50.0, "-50"),
        ] {
            assert_eq!(short(value), text);
        }
    }

    fn texts(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn axes_reach_over_all_values() {
        let linear = Axis::linear("", [3.0, 970.0]);
        assert_eq!(texts(&linear), ["0", "500", "1k"]);
        assert_eq!((linear.low, linear.high), (0.0, 1_000.0));
        let log = Axis::log("", [0.0, 360.0, 163_075.0]);
        assert_eq!(texts(&log), ["100", "1k", "10k", "100k", "1M"]);
        assert_eq!((log.at(1_000.0), log.at(0.0)), (3.0, 2.0));
        let tight = Axis::tight("", [-12.0, 112.0], 25.0);
        assert_eq!(texts(&tight), ["0", "25", "50", "75", "100"]);
        assert_eq!((tight.low, tight.high), (-12.0, 112.0));
        // Nothing to show is no reason to fail.
        assert_eq!(texts(&Axis::linear("", [0.0])), ["0", "0.5"]);
        assert_eq!(texts(&Axis::log("", [])), ["1", "10"]);
    }
}
