//! Drawing: axes and marks in, an inline `<svg>` out.
//!
//! The plotting library writes fixed colours. It is given placeholders here, which the
//! finished text exchanges for CSS variables: so one drawing is right in light and in dark.
//! It also rounds to whole pixels, so everything is drawn at twice its size and shown through
//! a `viewBox`.

use plotters::element::{Circle, PathElement, Rectangle, Text};
use plotters::prelude::{ChartBuilder, Color as _, IntoDrawingArea as _, SVGBackend};
use plotters::style::colors::TRANSPARENT;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{IntoFont as _, RGBColor, ShapeStyle, TextStyle};

use crate::render::charts::{Axis, CURVES, Chart, Ink, Mark, Panel, SERIES, Side, Size};

/// Why there is no drawing.
#[derive(Debug, thiserror::Error)]
#[error("cannot draw the chart \"{title}\": {reason}")]
pub struct DrawError {
    /// Which chart.
    pub title: String,
    /// What the plotting library says.
    pub reason: String,
}

/// Width of a drawing in half CSS pixels; small ones are shown as many beside each other.
const WIDTH: u32 = 1_000;
const WIDTH_SMALL: u32 = 640;
/// Size of all text, in the same.
const FONT: f64 = 30.0;
/// The library divides sizes by this when it writes SVG.
const SVG_FONT_FACTOR: f64 = 1.24;
/// About how wide a character is, against the size of the text.
const CHARACTER: f64 = 0.56;

impl Ink {
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
            Self::Curve(place) => RGBColor(1, 4, place),
            Self::BadCurve(place) => RGBColor(1, 5, place),
        }
    }

    /// The CSS variable.
    pub(super) fn css(self) -> String {
        match self {
            Self::Text => "var(--text)".to_owned(),
            Self::Muted => "var(--muted)".to_owned(),
            Self::Grid => "var(--grid)".to_owned(),
            Self::Bad | Self::BadCurve(_) => "var(--bad)".to_owned(),
            Self::Stall => "var(--stall)".to_owned(),
            Self::Series(place) => format!("var(--s{place})"),
            Self::Curve(place) => format!("var(--s{})", usize::from(place) % SERIES),
        }
    }

    /// By which the style sheet finds what is drawn of a curve, and its switch.
    pub(super) fn class(self) -> Option<String> {
        match self {
            Self::Curve(place) | Self::BadCurve(place) => Some(format!("k{place}")),
            _ => None,
        }
    }

    fn themed(svg: &str) -> String {
        let series = (0..SERIES).map(Self::series);
        let curves =
            (0..CURVES).flat_map(|place| [true, false].map(|valid| Self::curve(place, valid)));
        let mut out = svg.to_owned();
        for ink in Self::ALL.into_iter().chain(series).chain(curves) {
            let RGBColor(red, green, blue) = ink.placeholder();
            let class = ink.class();
            let class = class.map_or_else(String::new, |class| format!(" class=\"{class}\""));
            // An element has one colour: what is filled has no stroke.
            let placeholder = format!("\"#{red:02X}{green:02X}{blue:02X}\"");
            out = out.replace(&placeholder, &format!("\"{}\"{class}", ink.css()));
        }
        out
    }
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
fn beside(name: &str, figure: &str, room: u32) -> String {
    let room = room.saturating_sub(width_of(figure));
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

/// Draws the panels of a chart, each by itself.
pub(super) fn draw(chart: &Chart) -> Result<Vec<String>, DrawError> {
    let Chart {
        title,
        about,
        panels,
        ..
    } = chart;
    let width = match chart.size {
        Size::Full if panels.len() > 2 => WIDTH_SMALL,
        Size::Half | Size::Full => WIDTH,
        Size::Small | Size::Multiples => WIDTH_SMALL,
    };
    // Panels of one chart have their axes at the same place.
    let left = panels.iter().map(room_left).max().unwrap_or(0);
    let drawn = panels.iter().map(|panel| {
        let failed = |reason: &dyn std::fmt::Display| DrawError {
            title: title.clone(),
            reason: reason.to_string(),
        };
        let height = panel.height;
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
            draw_panel(panel, left, width, &area).map_err(|error| failed(&error))?;
            area.present().map_err(|error| failed(&error))?;
        }
        let body = svg
            .find(">\n")
            .map(|end| &svg[end + 2..])
            .ok_or_else(|| failed(&"no svg was written"))?;
        let of = if panels.len() > 1 { panel.what() } else { "" };
        let what = if of.is_empty() {
            title.clone()
        } else {
            format!("{title}: {of}")
        };
        let label = escape(&format!("{what}. {about}"));
        Ok(format!(
            "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{label}\">\
             <title>{}</title>\n{}",
            escape(&what),
            Ink::themed(body)
        ))
    });
    drawn.collect()
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

/// Without the texts that would touch the one before; their lines stay.
fn without_touching(mut axis: Axis, room: f64) -> Axis {
    let per_unit = room / (axis.high() - axis.low()).abs();
    let mut free_from = f64::NEG_INFINITY;
    for (at, text) in &mut axis.ticks {
        let (middle, half) = (*at * per_unit, f64::from(width_of(text)) / 2.0);
        if middle - half < free_from {
            text.clear();
        } else {
            free_from = middle + half + FONT / 2.0;
        }
    }
    axis
}

fn draw_panel(
    panel: &Panel,
    left: u32,
    width: u32,
    area: &Area<'_>,
) -> Result<(), Box<dyn std::error::Error>> {
    let Panel { y, marks, .. } = panel;
    let line = |ink: Ink, width: u32| ShapeStyle {
        color: ink.placeholder().to_rgba(),
        filled: false,
        stroke_width: width,
    };
    let x = &panel.x;
    let bottom = if x.label.is_empty() { 46 } else { 88 };
    // Half of the last tick's text stands right of the axis.
    let right = x
        .ticks
        .last()
        .map_or(12, |(_, text)| 12 + width_of(text) / 2);
    let room = width.saturating_sub(left + right + 40);
    // The marks know the axis: only what is written beside it is thinned out.
    let x = &without_touching(x.clone(), f64::from(width.saturating_sub(left + right + 8)));
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
    // Above whatever else is there.
    let mut texts = Vec::new();
    for mark in marks {
        match mark {
            Mark::Line(points, ink, width) => {
                chart.draw_series([PathElement::new(points.clone(), line(*ink, *width))])?;
            }
            Mark::Dot(at, ink) => {
                chart.draw_series([Circle::new(*at, 8, fill(*ink, 1.0))])?;
            }
            Mark::Ring(at, ink) => {
                chart.draw_series([Circle::new(*at, 8, line(*ink, 4))])?;
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
            Mark::Words(at, words, ink, side) => texts.push((*at, words.clone(), *ink, *side)),
            Mark::Title(at, name, (figure, ink)) => texts.extend([
                (
                    (x.low(), *at),
                    beside(name, figure, room),
                    Ink::Text,
                    Side::Left,
                ),
                ((x.high(), *at), figure.clone(), *ink, Side::Right),
            ]),
        }
    }
    for (at, words, ink, side) in texts.into_iter().filter(|text| !text.1.is_empty()) {
        let side = match side {
            Side::Left => HPos::Left,
            Side::Center => HPos::Center,
            Side::Right => HPos::Right,
        };
        let style = font(ink).pos(Pos::new(side, VPos::Center));
        chart.draw_series([Text::new(words, at, style)])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::table::Table;

    #[test]
    fn a_drawing_has_the_style_sheets_colours_and_no_other() {
        let panel = Panel::new(
            Axis::linear("x", [1.0]),
            Axis::linear("y", [1.0]),
            300,
            vec![
                Mark::Dot((0.5, 0.5), Ink::Series(7)),
                Mark::Line(vec![(0.0, 0.0), (1.0, 1.0)], Ink::Bad, 2),
                Mark::Words((0.5, 0.5), "a < b".to_owned(), Ink::Text, Side::Left),
                Mark::Line(vec![(0.0, 0.0), (1.0, 1.0)], Ink::Curve(9), 2),
                Mark::Dot((0.5, 0.5), Ink::BadCurve(23)),
            ],
        );
        let chart = Chart::new("T & T", "\"about\"", vec![panel], Table::default());
        let [svg] = draw(&chart).unwrap().try_into().unwrap();
        for expected in [
            "var(--s7)",
            "var(--bad)",
            "var(--text)",
            "stroke=\"var(--s1)\" class=\"k9\"",
            "fill=\"var(--bad)\" class=\"k23\"",
            "a &lt; b",
            "T &amp; T. &quot;",
        ] {
            assert!(svg.contains(expected), "{expected}: {svg}");
        }
        assert!(!svg.contains('#'), "{svg}");
        assert!(svg.starts_with("<svg viewBox=") && svg.trim_end().ends_with("</svg>"));
    }

    #[test]
    fn a_label_that_would_touch_the_one_before_is_left_out() {
        let ticks = [0.0, 1.0, 2.0].map(|at| (at, "99.99 %".to_owned()));
        let axis = || Axis::with_ticks("", (0.0, 2.0), ticks.to_vec());
        let shown = |room| {
            let ticks = without_touching(axis(), room).ticks.into_iter();
            ticks.filter(|(_, text)| !text.is_empty()).count()
        };
        assert_eq!([600.0, 200.0, 50.0].map(shown), [3, 2, 1]);
    }
}
