//! Drawing: axes and marks in, an inline `<svg>` out.
//!
//! The plotting library writes fixed colours. It is given placeholders here, which the
//! finished text exchanges for CSS variables: so one drawing is right in light and in dark.
//! It also rounds to whole pixels, so everything is drawn at twice its size and shown through
//! a `viewBox`.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::element::{Circle, PathElement, Rectangle, Text};
use plotters::prelude::{ChartBuilder, Color as _, IntoDrawingArea as _, SVGBackend};
use plotters::style::colors::TRANSPARENT;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{IntoFont as _, RGBColor, ShapeStyle, TextStyle};

/// Why there is no drawing.
#[derive(Debug, thiserror::Error)]
#[error("cannot draw the chart \"{title}\": {reason}")]
pub struct DrawError {
    /// Which chart.
    pub title: String,
    /// What the plotting library says.
    pub reason: String,
}

/// Width of every drawing, in half CSS pixels.
pub(super) const WIDTH: u32 = 1_000;
/// Size of all text, in the same.
const FONT: f64 = 28.0;
/// The library divides sizes by this when it writes SVG.
const SVG_FONT_FACTOR: f64 = 1.24;
/// About how wide a character is, against the size of the text.
const CHARACTER: f64 = 0.56;

/// What a mark is painted with: a role, and the style sheet has the colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    /// Text.
    Text,
    /// Less important text and marks.
    Muted,
    /// Lines behind the marks.
    Grid,
    /// What is invalid.
    Bad,
    /// A checkpoint.
    Stall,
    /// One of [`SERIES`] colours.
    Series(u8),
}

/// How many series can be told apart in one chart.
pub(super) const SERIES: usize = 8;

impl Ink {
    /// The series at this place, from 0.
    pub(super) fn series(place: usize) -> Self {
        Self::Series(u8::try_from(place % SERIES).unwrap_or(0))
    }

    const ALL: [Self; 5] = [Self::Text, Self::Muted, Self::Grid, Self::Bad, Self::Stall];

    /// A colour that no drawing has otherwise.
    fn placeholder(self) -> RGBColor {
        match self {
            Self::Text => RGBColor(1, 2, 0),
            Self::Muted => RGBColor(1, 2, 1),
            Self::Grid => RGBColor(1, 2, 2),
            Self::Bad => RGBColor(1, 2, 3),
            Self::Stall => RGBColor(1, 2, 4),
            Self::Series(place) => RGBColor(1, 3, place),
        }
    }

    /// The CSS variable.
    pub(super) fn css(self) -> String {
        match self {
            Self::Text => "var(--text)".to_owned(),
            Self::Muted => "var(--muted)".to_owned(),
            Self::Grid => "var(--grid)".to_owned(),
            Self::Bad => "var(--bad)".to_owned(),
            Self::Stall => "var(--stall)".to_owned(),
            Self::Series(place) => format!("var(--s{place})"),
        }
    }

    fn themed(svg: &str) -> String {
        let series = (0..SERIES).map(Self::series);
        let mut out = svg.to_owned();
        for ink in Self::ALL.into_iter().chain(series) {
            let RGBColor(red, green, blue) = ink.placeholder();
            out = out.replace(&format!("#{red:02X}{green:02X}{blue:02X}"), &ink.css());
        }
        out
    }
}

/// One axis: what it is of, how far it reaches, and what is written beside it.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    label: String,
    low: f64,
    high: f64,
    ticks: Vec<(f64, String)>,
    log: bool,
}

impl Axis {
    /// From 0 or the least value to the largest.
    pub(super) fn linear(label: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let (least, most) = bounds(values).unwrap_or((0.0, 1.0));
        let low = least.min(0.0);
        let span = if most > low { most - low } else { 1.0 };
        let step = nice_step(span / 4.0);
        let high = (most / step).ceil().max(1.0) * step;
        let low = (low / step).floor() * step;
        let mut ticks = Vec::new();
        let mut at = low;
        while at <= high + step / 2.0 {
            ticks.push((at, short(at)));
            at += step;
        }
        Self {
            label: label.to_owned(),
            low,
            high,
            ticks,
            log: false,
        }
    }

    /// From 0 or the least value to the largest, with a tick at every multiple of `step`.
    pub(super) fn tight(label: &str, values: impl IntoIterator<Item = f64>, step: f64) -> Self {
        let (least, most) = bounds(values).unwrap_or((0.0, step));
        let (low, high) = (least.min(0.0), most.max(step));
        let mut ticks = Vec::new();
        let mut at = (low / step).ceil() * step;
        // Rounding must not cost the last one.
        while at <= high * 1.001 {
            // Not minus zero.
            ticks.push((at, short(at + 0.0)));
            at += step;
        }
        Self {
            label: label.to_owned(),
            low,
            high,
            ticks,
            log: false,
        }
    }

    /// Over whole decades; values that are not above 0 do not count.
    pub(super) fn log(label: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let positive = values.into_iter().filter(|value| *value > 0.0);
        let (least, most) = bounds(positive).unwrap_or((1.0, 10.0));
        let low = least.log10().floor();
        let high = most.log10().ceil().max(low + 1.0);
        let every = ((high - low) / 6.0).ceil().max(1.0);
        let mut ticks = Vec::new();
        let mut decade = low;
        while decade <= high + 0.5 {
            ticks.push((decade, short(10_f64.powf(decade))));
            decade += every;
        }
        Self {
            label: label.to_owned(),
            low,
            high,
            ticks,
            log: true,
        }
    }

    /// With ticks of one's own, in the axis' own coordinates.
    pub(super) fn with_ticks(
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
    pub(super) fn places(count: f64) -> Self {
        Self::with_ticks("", (count, 0.0), Vec::new())
    }

    /// Where a value is.
    pub(super) fn at(&self, value: f64) -> f64 {
        if self.log {
            value.max(f64::MIN_POSITIVE).log10().max(self.low)
        } else {
            value
        }
    }

    /// The axis' beginning, in its own coordinates.
    pub(super) fn low(&self) -> f64 {
        self.low
    }

    /// The axis' end, in its own coordinates.
    pub(super) fn high(&self) -> f64 {
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

/// 1, 2 or 5 times a power of ten, at least `least`.
fn nice_step(least: f64) -> f64 {
    let decade = 10_f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * decade);
    let fitting = steps.into_iter().find(|step| *step >= least * 0.999);
    fitting.unwrap_or(10.0 * decade)
}

/// A number in few characters: 1500 is 1.5k.
pub(super) fn short(value: f64) -> String {
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

/// Something drawn, in the coordinates of the axes ([`Axis::at`]).
#[derive(Clone)]
pub(super) enum Mark {
    /// A line through points.
    Line(Vec<(f64, f64)>, Ink, u32),
    /// A filled circle.
    Dot((f64, f64), Ink),
    /// A diamond's outline.
    Diamond((f64, f64), Ink),
    /// A filled rectangle, with its opacity.
    Bar((f64, f64), (f64, f64), Ink, f64),
    /// A rectangle's outline.
    Frame((f64, f64), (f64, f64), Ink),
    /// Text beside a point.
    Words((f64, f64), String, Ink, HPos),
}

/// A drawing of one pair of axes.
#[derive(Clone)]
pub(super) struct Panel {
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) marks: Vec<Mark>,
    /// In half CSS pixels.
    pub(super) height: u32,
}

fn font(ink: Ink) -> TextStyle<'static> {
    let color = ink.placeholder();
    ("sans-serif", FONT * SVG_FONT_FACTOR)
        .into_font()
        .color(&color)
}

/// How wide a text is drawn, at most, in half CSS pixels.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "labels have some tens of characters"
)]
fn width_of(text: &str) -> u32 {
    (text.chars().count() as f64 * FONT * CHARACTER).ceil() as u32
}

/// As much of a name as fits above a bar, beside its figure.
pub(super) fn beside(name: &str, figure: &str) -> String {
    let room = (WIDTH - 80).saturating_sub(width_of(figure));
    if width_of(name) <= room {
        return name.to_owned();
    }
    let mut out = String::new();
    for character in name.chars() {
        out.push(character);
        if width_of(&out) + width_of("…") > room {
            break;
        }
    }
    out.push('…');
    out
}

/// Draws panels below each other.
pub(super) fn draw(title: &str, about: &str, panels: &[Panel]) -> Result<String, DrawError> {
    let height = panels.iter().map(|panel| panel.height).sum();
    // Panels below each other share their axis.
    let left = panels.iter().map(room_left).max().unwrap_or(0);
    let mut svg = String::new();
    let failed = |reason: &dyn std::fmt::Display| DrawError {
        title: title.to_owned(),
        reason: reason.to_string(),
    };
    {
        let mut rest = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        for panel in panels {
            let (area, below) = rest.split_vertically(panel.height);
            rest = below;
            draw_panel(panel, left, &area).map_err(|error| failed(&error))?;
        }
        rest.present().map_err(|error| failed(&error))?;
    }
    let body = svg
        .find(">\n")
        .map(|end| &svg[end + 2..])
        .ok_or_else(|| failed(&"no svg was written"))?;
    let label = escape(&format!("{title}. {about}"));
    Ok(format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{label}\">\
         <title>{}</title>\n{}",
        escape(title),
        Ink::themed(body)
    ))
}

fn escape(text: &str) -> String {
    use maud::Render as _;
    text.render().into_string()
}

type Area<'a> = plotters::drawing::DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// Room left of a panel, for what is written there.
fn room_left(panel: &Panel) -> u32 {
    let Panel { x, y, .. } = panel;
    let widest = y.ticks.iter().map(|(_, text)| width_of(text)).max();
    let named = if y.label.is_empty() { 0 } else { 44 };
    // Half of the first tick's text stands left of the axis.
    let outside = x.ticks.first().map_or(4, |(_, text)| width_of(text) / 2);
    widest.map_or(outside, |widest| widest + 22 + named)
}

fn draw_panel(panel: &Panel, left: u32, area: &Area<'_>) -> Result<(), Box<dyn std::error::Error>> {
    let Panel { x, y, marks, .. } = panel;
    let line = |ink: Ink, width: u32| ShapeStyle {
        color: ink.placeholder().to_rgba(),
        filled: false,
        stroke_width: width,
    };
    let bottom = if x.label.is_empty() { 46 } else { 88 };
    // Half of the last tick's text stands right of the axis.
    let right = x
        .ticks
        .last()
        .map_or(12, |(_, text)| 12 + width_of(text) / 2);
    let mut chart = ChartBuilder::on(area)
        .margin_top(20)
        .margin_right(right)
        .margin_left(8)
        .margin_bottom(6)
        .x_label_area_size(bottom)
        .y_label_area_size(left)
        .build_cartesian_2d(x.clone(), y.clone())?;
    let mut mesh = chart.configure_mesh();
    mesh.max_light_lines(0)
        .light_line_style(TRANSPARENT)
        .bold_line_style(line(Ink::Grid, 2))
        .axis_style(line(Ink::Grid, 2))
        .x_labels(x.ticks.len().max(1))
        .y_labels(y.ticks.len().max(1))
        .label_style(font(Ink::Muted))
        .axis_desc_style(font(Ink::Muted))
        .set_all_tick_mark_size(6);
    if !x.label.is_empty() {
        mesh.x_desc(&x.label);
    }
    if !y.label.is_empty() {
        mesh.y_desc(&y.label);
    }
    if y.ticks.is_empty() {
        mesh.disable_y_mesh().disable_y_axis();
    }
    mesh.draw()?;
    let fill = |ink: Ink, opacity: f64| ink.placeholder().mix(opacity).filled();
    for mark in marks {
        match mark {
            Mark::Line(points, ink, width) => {
                chart.draw_series([PathElement::new(points.clone(), line(*ink, *width))])?;
            }
            Mark::Dot(at, ink) => {
                chart.draw_series([Circle::new(*at, 7, fill(*ink, 1.0))])?;
            }
            Mark::Diamond(at, ink) => {
                let corners = [(0, -12), (12, 0), (0, 12), (-12, 0), (0, -12)];
                let shape = plotters::element::EmptyElement::at(*at)
                    + PathElement::new(corners.to_vec(), line(*ink, 4));
                chart.draw_series([shape])?;
            }
            Mark::Bar(from, to, ink, opacity) => {
                chart.draw_series([Rectangle::new([*from, *to], fill(*ink, *opacity))])?;
            }
            Mark::Frame(from, to, ink) => {
                chart.draw_series([Rectangle::new([*from, *to], line(*ink, 3))])?;
            }
            Mark::Words(at, words, ink, side) => {
                let style = font(*ink).pos(Pos::new(*side, VPos::Center));
                chart.draw_series([Text::new(words.clone(), *at, style)])?;
            }
        }
    }
    Ok(())
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

    #[test]
    fn a_drawing_has_the_style_sheets_colours_and_no_other() {
        let panel = Panel {
            x: Axis::linear("x", [1.0]),
            y: Axis::linear("y", [1.0]),
            marks: vec![
                Mark::Dot((0.5, 0.5), Ink::Series(7)),
                Mark::Line(vec![(0.0, 0.0), (1.0, 1.0)], Ink::Bad, 2),
                Mark::Words((0.5, 0.5), "a < b".to_owned(), Ink::Text, HPos::Left),
            ],
            height: 300,
        };
        let svg = draw("T & T", "\"about\"", &[panel]).unwrap();
        for expected in [
            "var(--s7)",
            "var(--bad)",
            "var(--text)",
            "a &lt; b",
            "T &amp; T. &quot;",
        ] {
            assert!(svg.contains(expected), "{expected}: {svg}");
        }
        assert!(!svg.contains('#'), "{svg}");
        assert!(svg.starts_with("<svg viewBox=") && svg.trim_end().ends_with("</svg>"));
    }
}
