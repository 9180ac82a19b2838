//! Axes: how far they reach, and what is written beside them.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// Up to so many decades of a logarithmic axis have ticks between their ends.
const FEW_DECADES: f64 = 1.7;
/// More ticks than this are thinned out.
const TICKS_MAX: usize = 7;
/// Figures that differ by less are of one magnitude.
const MAGNITUDE: f64 = 12.0;

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

    /// From 0 to a little above the largest value.
    pub(in crate::render) fn from_zero(label: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let (_, most) = bounds(values).unwrap_or((0.0, 1.0));
        Self::within(label, 0.0, most * 1.04)
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

    /// A logarithmic axis to the next round values; what is not above 0 does not count. Over many
    /// decades these are powers of ten, over few 1, 2 and 5 times them.
    pub(in crate::render) fn log(label: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let positive = values.into_iter().filter(|value| *value > 0.0);
        let (least, most) = bounds(positive).unwrap_or((1.0, 10.0));
        let (least, most) = (least.log10(), most.log10());
        let factors: &[f64] = if most - least > FEW_DECADES {
            &[1.0]
        } else {
            &[1.0, 2.0, 5.0]
        };
        let decades = steps(least.floor(), most.ceil() + 1.0, 1.0).into_iter();
        let round =
            decades.flat_map(|(decade, _)| factors.iter().map(move |by| decade + by.log10()));
        let mut round: Vec<f64> = round.collect();
        // Rounding must not put a value outside.
        let below = round
            .iter()
            .rposition(|at| *at <= least + 1e-9)
            .unwrap_or(0);
        let above = round.iter().position(|at| *at >= most - 1e-9);
        let above = above.unwrap_or(round.len() - 1).max(below + 1);
        round = round[below..=above].to_vec();
        let ends = (round[0], round[round.len() - 1]);
        let every = round.len().div_ceil(TICKS_MAX);
        let ticks = round.into_iter().step_by(every);
        let ticks = ticks.map(|at| (at, short(10_f64.powf(at))));
        Self {
            log: true,
            ..Self::with_ticks(label, ends, ticks.collect())
        }
    }

    /// From 0 for values of one magnitude, else logarithmic.
    pub(in crate::render) fn of_figures(label: &str, values: &[f64]) -> Self {
        let positive = values.iter().copied().filter(|value| *value > 0.0);
        match bounds(positive) {
            Some((least, most)) if most > least * MAGNITUDE => {
                Self::log(&format!("{label} (log)"), values.iter().copied())
            }
            _ => Self::linear(label, values.iter().copied()),
        }
    }

    /// A knob's axis: its values are what is written beside it, as far as there is room. It is
    /// logarithmic where they are all above 0 and not of one magnitude.
    pub(in crate::render) fn of_knob(label: &str, values: &[f64]) -> Self {
        let (least, most) = bounds(values.iter().copied()).unwrap_or((0.0, 1.0));
        let log = least > 0.0 && most > least * 4.0;
        let at = |value: f64| if log { value.log10() } else { value };
        let (low, high) = (at(least), at(most));
        let span = if high > low { high - low } else { 1.0 };
        let mut ticks: Vec<(f64, String)> = Vec::new();
        for value in values {
            let place = at(*value);
            let room = ticks
                .last()
                .is_none_or(|(last, _)| place - last >= span * 0.1);
            if room {
                ticks.push((place, short(*value)));
            }
        }
        let label = if log {
            format!("{label} (log)")
        } else {
            label.to_owned()
        };
        let ends = (low - span * 0.03, high + span * 0.03);
        Self {
            log,
            ..Self::with_ticks(&label, ends, ticks)
        }
    }

    /// A logarithmic axis of ratios with 1 in its middle: twice and half are as far from it.
    pub(in crate::render) fn of_ratios(label: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let positive = values.into_iter().filter(|value| *value > 0.0);
        let (least, most) = bounds(positive).unwrap_or((1.0, 1.0));
        let far = f64::max(-least.log10(), most.log10()).max(1.005_f64.log10());
        let steps = [0.005_f64, 0.01, 0.02, 0.05, 0.1, 0.2];
        let near = steps
            .into_iter()
            .find(|step| far <= (1.0 + 2.2 * step).log10());
        let places = -2..=2;
        let ratios: Vec<f64> = if let Some(step) = near {
            let off = |place: i32| 1.0 + f64::from(place) * step;
            places.map(off).collect()
        } else {
            let factors = [1.5_f64, 2.0, 5.0, 10.0, 100.0];
            let factor = factors.into_iter().find(|by| far <= by.log10() * 2.2);
            let factor = factor.unwrap_or_else(|| 10_f64.powf((far / 2.0).ceil()));
            places.map(|power| factor.powi(power)).collect()
        };
        let widest = ratios.iter().map(|ratio| ratio.log10().abs());
        let end = widest.fold(far, f64::max) * 1.04;
        let digits = near.map_or(2, |step| if step < 0.01 { 3 } else { 2 });
        let ticks = ratios.into_iter().map(|ratio| {
            let text = if ratio < 0.1 || near.is_none() {
                short(ratio)
            } else {
                format!("{ratio:.digits$}")
            };
            (ratio.log10(), text)
        });
        Self {
            log: true,
            ..Self::with_ticks(label, (-end, end), ticks.collect())
        }
    }

    /// Over the values and a little more: what is looked at is how they differ.
    pub(in crate::render) fn around(label: &str, values: &[f64]) -> Self {
        let (least, most) = bounds(values.iter().copied()).unwrap_or((0.0, 1.0));
        let room = ((most - least) * 0.08).max(most.abs() * 0.005).max(1e-9);
        Self::within(label, least - room, most + room)
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
        let log = Axis::log("", [2.2, 31.0]);
        assert_eq!(texts(&log), ["2", "5", "10", "20", "50"]);
        let log = Axis::log("", [1.0, 10.0]);
        assert_eq!(texts(&log), ["1", "2", "5", "10"]);
        let tight = Axis::tight("", [-12.0, 112.0], 25.0);
        assert_eq!(texts(&tight), ["0", "25", "50", "75", "100"]);
        assert_eq!((tight.low, tight.high), (-12.0, 112.0));
        // Nothing to show is no reason to fail.
        assert_eq!(texts(&Axis::linear("", [0.0])), ["0", "0.5"]);
        assert_eq!(texts(&Axis::log("", [])), ["1", "2", "5", "10"]);
        assert_eq!(texts(&Axis::log("", [7.0])), ["5", "10"]);
        assert_eq!(texts(&Axis::log("", [1.0])), ["1", "2"]);
    }

    #[test]
    fn a_knobs_axis_has_its_values_as_far_as_there_is_room() {
        let sizes = [1.0, 10.0, 100.0, 4_096.0];
        let axis = Axis::of_knob("batch size", &sizes);
        assert_eq!(texts(&axis), ["1", "10", "100", "4.1k"]);
        assert_eq!(axis.label, "batch size (log)");
        assert!(sizes.iter().all(|size| axis.at(*size) > axis.low()));
        let crowded: Vec<f64> = (0..=100).map(f64::from).collect();
        assert!(texts(&Axis::of_knob("", &crowded)).len() <= 11);
        assert_eq!(texts(&Axis::of_knob("", &[0.0, 1.0, 2.0])), ["0", "1", "2"]);
        assert_eq!(texts(&Axis::of_knob("", &[5.0])), ["5"]);
    }

    #[test]
    fn the_axis_of_ratios_has_one_in_its_middle_and_reaches_over_all() {
        let texts = |values: &[f64]| -> Vec<String> {
            let axis = Axis::of_ratios("", values.iter().copied());
            for value in values {
                assert!(
                    (axis.low()..=axis.high()).contains(&axis.at(*value)),
                    "{value}"
                );
            }
            assert!(
                (axis.low() + axis.high()).abs() < 1e-9,
                "1 is in the middle"
            );
            axis.ticks.into_iter().map(|(_, text)| text).collect()
        };
        assert_eq!(
            texts(&[0.93, 1.01]),
            ["0.90", "0.95", "1.00", "1.05", "1.10"]
        );
        assert_eq!(texts(&[]), ["0.990", "0.995", "1.000", "1.005", "1.010"]);
        assert_eq!(texts(&[3.1]), ["0.25", "0.5", "1", "2", "4"]);
        assert_eq!(texts(&[0.001, 3.0]), ["0.0001", "0.01", "1", "100", "10k"]);
    }
}
