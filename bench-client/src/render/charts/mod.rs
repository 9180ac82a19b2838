//! Charts as data: axes with marks, a legend and the table of what is shown. The page draws them,
//! other forms have the table where nothing else says what is in it.

mod axis;
pub(super) mod budget;
pub(super) mod comparison;
mod groups;
pub(super) mod heat;
pub(super) mod history;
pub(super) mod knobs;
pub(super) mod ladder;
pub(super) mod latency;
pub(super) mod rates;
pub(super) mod syncs;
pub(super) mod timeline;

use super::table::Table;
use crate::record::load_record::Shown;
pub(super) use axis::{Axis, short};

/// A picture and the table of what it shows.
#[derive(Debug, Clone)]
pub struct Chart {
    /// What it is.
    pub title: String,
    /// How to read it, in a sentence or two.
    pub about: String,
    /// How much room it takes.
    pub size: Size,
    /// Pairs of axes, beside each other where there is room, else below each other.
    pub panels: Vec<Panel>,
    /// Colours and what they are of. A [`Ink::Curve`] can be switched off.
    pub legend: Vec<(Ink, String)>,
    /// What is shown.
    pub data: Table,
}

impl Chart {
    pub(super) fn new(
        title: impl Into<String>,
        about: impl Into<String>,
        panels: Vec<Panel>,
        data: impl Into<Table>,
    ) -> Self {
        let title = title.into();
        Self {
            data: Table {
                name: format!("Data: {title}"),
                ..data.into()
            },
            title,
            about: about.into(),
            size: Size::Half,
            panels,
            legend: Vec::new(),
        }
    }

    fn with_legend(mut self, legend: impl IntoIterator<Item = (Ink, impl Into<String>)>) -> Self {
        let legend = legend.into_iter().map(|(ink, what)| (ink, what.into()));
        self.legend.extend(legend);
        self
    }

    fn sized(self, size: Size) -> Self {
        Self { size, ..self }
    }

    /// With the colour of what is invalid in the legend, where something is.
    fn with_invalid(self, there_is: bool) -> Self {
        self.with_legend(there_is.then_some((Ink::Bad, "INVALID: not to be quoted")))
    }
}

/// How much room a chart takes where there is much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Two of them stand beside each other.
    Half,
    /// The whole width: its panels stand beside each other, or its legend beside its panel.
    Full,
    /// One of many of its kind that are compared with each other.
    Small,
    /// The whole width, for many small panels.
    Multiples,
}

/// What a mark is painted with: a role, and the style sheet has the colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
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
    /// One of [`CURVES`] curves that a reader may switch off: a colour and a kind of line.
    Curve(u8),
    /// The same of a row that is invalid.
    BadCurve(u8),
}

/// How many colours can be told apart in one chart.
pub(super) const SERIES: usize = 8;
/// How many curves can: each colour solid, dashed and dotted.
pub(super) const CURVES: usize = 3 * SERIES;

impl Ink {
    /// The series at this place, from 0.
    pub(super) fn series(place: usize) -> Self {
        Self::Series(u8::try_from(place % SERIES).unwrap_or(0))
    }

    /// The curve at this place, from 0.
    pub(super) fn curve(place: usize, valid: bool) -> Self {
        let place = u8::try_from(place % CURVES).unwrap_or(0);
        if valid {
            Self::Curve(place)
        } else {
            Self::BadCurve(place)
        }
    }

    /// This, unless the row is invalid.
    fn of(self, shown: &Shown<'_>) -> Self {
        match self {
            _ if shown.row.valid => self,
            Self::Curve(place) => Self::BadCurve(place),
            _ => Self::Bad,
        }
    }
}

/// Which end of a text stands at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Center,
    Right,
}

/// Something drawn, in the coordinates of the axes ([`Axis::at`]).
#[derive(Debug, Clone)]
pub(super) enum Mark {
    /// A line through points.
    Line(Vec<(f64, f64)>, Ink, u32),
    /// A filled circle.
    Dot((f64, f64), Ink),
    /// A circle's outline.
    Ring((f64, f64), Ink),
    /// A diamond's outline.
    Diamond((f64, f64), Ink),
    /// A filled rectangle, with its opacity.
    Bar((f64, f64), (f64, f64), Ink, f64),
    /// Text beside a point.
    Words((f64, f64), String, Ink, Side),
    /// A name to the left of a line and a figure to its right, the name cut where there is no
    /// room for both.
    Title(f64, String, (String, Ink)),
}

/// A drawing of one pair of axes.
#[derive(Debug, Clone)]
pub struct Panel {
    /// What it is of, where it is one of several of a kind; else empty.
    pub(super) name: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) marks: Vec<Mark>,
    /// In half CSS pixels.
    pub(super) height: u32,
}

/// Height of a line with its name above it, and of what is around all of them.
const LINE_HEIGHT: u32 = 78;
const AROUND_LINES: u32 = 120;

impl Panel {
    /// Marks between axes. Those whose places depend on the axes are made with them.
    pub(super) fn new(x: Axis, y: Axis, height: u32, marks: Vec<Mark>) -> Self {
        Self {
            name: String::new(),
            x,
            y,
            marks,
            height,
        }
    }

    /// With a name, which stands above it.
    fn named(self, name: String) -> Self {
        Self { name, ..self }
    }

    /// What it is of, among the panels of its chart.
    pub(super) fn what(&self) -> &str {
        if self.name.is_empty() {
            &self.y.label
        } else {
            &self.name
        }
    }

    /// Lines below each other, each of height 1.
    fn of_lines(x: Axis, count: usize, marks: Vec<Mark>) -> Self {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        Self {
            name: String::new(),
            x,
            y: Axis::places(f64::from(count)),
            marks,
            height: LINE_HEIGHT
                .saturating_mul(count)
                .saturating_add(AROUND_LINES),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn to_f64(count: usize) -> f64 {
    count as f64
}
