//! Values over time as bars between two axes, whose scale of time all charts share.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::widgets::Sparkline;

use super::axis;
use super::series::Series;

/// What all charts of a view have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    /// Columns of the labels at the left.
    pub(super) labels: u16,
    /// Where the axis of time ends, in seconds.
    pub(super) end: f64,
}

/// Columns that the labels of a series need.
pub(super) fn labels_width(series: &Series, unit: fn(f64) -> String) -> u16 {
    let top = axis::round_up(series.max());
    let widths = [top, top / 2.0].map(|at| unit(at).chars().count());
    u16::try_from(widths[0].max(widths[1])).unwrap_or(u16::MAX)
}

impl Scale {
    /// Columns in which there are bars.
    fn plot(self, place: Rect) -> Rect {
        let left = (self.labels + 1).min(place.width);
        Rect {
            x: place.x + left,
            width: place.width - left,
            ..place
        }
    }

    /// The bars, with labels of the axis at its top and its middle; 0 is at the axis of time.
    pub(super) fn bars(
        self,
        frame: &mut Frame<'_>,
        place: Rect,
        (series, unit): (&Series, fn(f64) -> String),
        style: Style,
    ) {
        let top = axis::round_up(series.max());
        // In the middle of a line, its bars are half of it above the axis.
        let middle =
            (place.height >= 4 && place.height.is_multiple_of(2)).then_some(place.height / 2);
        let width = usize::from(self.labels);
        for (line, row) in (0..).zip(place.rows()) {
            let label = match line {
                0 => unit(top),
                line if Some(line) == middle => unit(top / 2.0),
                _ => String::new(),
            };
            let tick = if label.is_empty() { '│' } else { '┤' };
            frame.render_widget(Line::raw(format!("{label:>width$}{tick}")), row);
        }
        let plot = self.plot(place);
        let columns = series.columns(self.end, plot.width).into_iter();
        let bars: Vec<Option<u64>> = columns
            .map(|value| value.map(|value| parts(value / top)))
            .collect();
        let bars = Sparkline::default().data(bars).max(PARTS).style(style);
        frame.render_widget(bars, plot);
    }

    /// The axis of time, with a mark in the middle of each interval in which the series has
    /// something: when in it, is not known.
    pub(super) fn time_axis(
        self,
        frame: &mut Frame<'_>,
        place: Rect,
        marked: &Series,
        mark: Style,
    ) {
        let plot = self.plot(place);
        let mut line: Vec<char> = vec!['─'; usize::from(plot.width)];
        for (at, _) in axis::times(self.end, plot.width) {
            if let Some(cell) = line.get_mut(self.column(at, plot.width)) {
                *cell = '┴';
            }
        }
        let corner = format!("{:>width$}└", "0", width = usize::from(self.labels));
        frame.render_widget(Line::raw(corner), place);
        frame.render_widget(Line::raw(line.into_iter().collect::<String>()), plot);
        for had in marked.values().iter().filter(|had| had.value > 0.0) {
            let column = self.column(f64::midpoint(had.from, had.until), plot.width);
            let cell = Rect {
                x: plot.x + u16::try_from(column).unwrap_or(plot.width),
                width: 1.min(plot.width),
                ..plot
            };
            frame.render_widget(Line::styled(MARK, mark), cell);
        }
    }

    /// The times below the axis.
    pub(super) fn times(self, frame: &mut Frame<'_>, place: Rect) {
        let plot = self.plot(place);
        for (at, label) in axis::times(self.end, plot.width) {
            let width = u16::try_from(label.chars().count()).unwrap_or(u16::MAX);
            let column = u16::try_from(self.column(at, plot.width)).unwrap_or(u16::MAX);
            // The last is not cut off.
            let column = column.min(plot.width.saturating_sub(width));
            let cell = Rect {
                x: plot.x + column,
                width: width.min(plot.width - column),
                ..plot
            };
            frame.render_widget(Line::raw(label), cell);
        }
    }

    /// The column of a time; the end is the last one.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and a terminal's width"
    )]
    fn column(self, at: f64, columns: u16) -> usize {
        let column = (at / self.end * f64::from(columns)).floor() as usize;
        column.min(usize::from(columns).saturating_sub(1))
    }
}

/// A checkpoint on the axis of time.
pub(super) const MARK: &str = "▲";

/// Bars are of whole numbers.
const PARTS: u64 = 10_000;

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and the number of parts"
)]
fn parts(share: f64) -> u64 {
    (share.clamp(0.0, 1.0) * 1e4).round() as u64
}
