//! Words in a row, and tables of them: what a document is made of.

use std::fmt::{self, Display};

use crate::figures::{UNKNOWN, grouped};

/// How a word is meant. It is never the colour alone: the word says it too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing is to be heeded.
    #[default]
    Plain,
    /// It holds.
    Good,
    /// To be read with care.
    Warn,
    /// Not to be trusted, or worse than it was.
    Bad,
}

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Span {
    /// Words.
    Plain(String),
    /// A command, a flag, a value as it is written.
    Code(String),
    /// What the eye is to find.
    Strong(String),
    /// A word that says how the rest is to be read.
    Mark(Tone, String),
    /// A figure that is not to be quoted.
    Void(String),
    /// Words that lead to another page, whose address is relative to this one.
    Link(String, String),
}

/// Words in a row: a paragraph, an item, a cell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line(pub Vec<Span>);

impl fmt::Display for Line {
    /// As plain text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|span| match span {
            Span::Plain(text)
            | Span::Code(text)
            | Span::Strong(text)
            | Span::Mark(_, text)
            | Span::Link(text, _) => f.write_str(text),
            Span::Void(figure) => write!(f, "({figure})"),
        })
    }
}

impl Line {
    fn with(mut self, span: Span) -> Self {
        self.0.push(span);
        self
    }

    /// With words after it.
    #[must_use]
    pub fn plain(self, text: impl Display) -> Self {
        self.with(Span::Plain(text.to_string()))
    }

    /// With code after it.
    #[must_use]
    pub fn code(self, text: impl Display) -> Self {
        self.with(Span::Code(text.to_string()))
    }

    /// With strong words after it.
    #[must_use]
    pub fn strong(self, text: impl Display) -> Self {
        self.with(Span::Strong(text.to_string()))
    }

    /// With a mark after it; a plain one is words.
    #[must_use]
    pub fn mark(self, tone: Tone, text: impl Display) -> Self {
        match tone {
            Tone::Plain => self.plain(text),
            tone => self.with(Span::Mark(tone, text.to_string())),
        }
    }

    /// With a figure after it that is not to be quoted.
    #[must_use]
    pub fn void(self, text: impl Display) -> Self {
        self.with(Span::Void(text.to_string()))
    }

    /// With words after it that lead to the page at `address`.
    #[must_use]
    pub fn link(self, text: impl Display, address: impl Display) -> Self {
        self.with(Span::Link(text.to_string(), address.to_string()))
    }

    /// With another line after it.
    #[must_use]
    pub fn then(mut self, other: impl Into<Self>) -> Self {
        self.0.extend(other.into().0);
        self
    }

    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|span| {
            let (Span::Plain(text)
            | Span::Code(text)
            | Span::Strong(text)
            | Span::Mark(_, text)
            | Span::Void(text)
            | Span::Link(text, _)) = span;
            text.is_empty()
        })
    }
}

impl From<&str> for Line {
    fn from(text: &str) -> Self {
        Self::default().plain(text)
    }
}

impl From<String> for Line {
    fn from(text: String) -> Self {
        Self(vec![Span::Plain(text)])
    }
}

impl From<u64> for Line {
    fn from(count: u64) -> Self {
        grouped(count).into()
    }
}

impl From<u32> for Line {
    fn from(count: u32) -> Self {
        grouped(u64::from(count)).into()
    }
}

impl From<usize> for Line {
    fn from(count: usize) -> Self {
        grouped(count as u64).into()
    }
}

impl<T: Into<Line>> From<Option<T>> for Line {
    fn from(known: Option<T>) -> Self {
        known.map_or_else(|| UNKNOWN.into(), Into::into)
    }
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Names and words: to the left, on one line.
    Words,
    /// Figures of the unit in the title: to the right.
    Number,
    /// Sentences: to the left, on several lines.
    Prose,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// What it is of, with the unit.
    pub title: String,
    /// What it holds.
    pub kind: Kind,
    /// Columns of a higher rank are left out first where there is no room; 0 never is.
    pub rank: u8,
}

/// A table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// What it is of, for who cannot see where it stands.
    pub name: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, each with a cell per column.
    pub rows: Vec<Vec<Line>>,
    /// Places of the rows that are not to be quoted.
    pub invalid: Vec<usize>,
    /// Of each row, by which values of which facets a reader may choose it: places in a
    /// [`Selection`](super::document::Selection). Empty where nothing can be chosen.
    pub tags: Vec<Vec<Tag>>,
    /// What the rows are called in addresses, before their numbers from 1; `None` where no other
    /// page leads to them.
    pub anchor: Option<&'static str>,
}

/// A facet and one of its values, by their places.
pub type Tag = (usize, usize);

/// A table that is made column by column, with a row of each thing. The columns of the highest
/// rank are the first to be left out; those of rank 0 stay.
#[derive(Debug)]
pub struct Columns<'i, T> {
    items: &'i [T],
    table: Table,
}

impl Table {
    /// Takes those of these columns out that say the same of every row: their titles, and what
    /// they say.
    #[must_use]
    pub fn take_common(&mut self, titles: &[&str]) -> Vec<(String, Line)> {
        let mut common = Vec::new();
        for title in titles {
            let place = self
                .columns
                .iter()
                .position(|column| column.title == *title);
            let Some(place) = place else { continue };
            let mut cells = self.rows.iter().map(|row| &row[place]);
            let Some(first) = cells.next().cloned() else {
                continue;
            };
            if cells.all(|cell| *cell == first) {
                self.columns.remove(place);
                for row in &mut self.rows {
                    row.remove(place);
                }
                common.push(((*title).to_owned(), first));
            }
        }
        common
    }

    /// A table with a row of each thing, and no column yet.
    pub fn of<T>(name: impl Into<String>, items: &[T]) -> Columns<'_, T> {
        let table = Self {
            name: name.into(),
            rows: vec![Vec::new(); items.len()],
            ..Self::default()
        };
        Columns { items, table }
    }
}

impl<'i, T> Columns<'i, T> {
    fn with<L: Into<Line>>(
        mut self,
        kind: Kind,
        rank: u8,
        title: impl Into<String>,
        cell: impl Fn(&'i T) -> L,
    ) -> Self {
        self.table.columns.push(Column {
            title: title.into(),
            kind,
            rank,
        });
        for (row, item) in self.table.rows.iter_mut().zip(self.items) {
            row.push(cell(item).into());
        }
        self
    }

    /// With a column of names.
    #[must_use]
    pub fn words<L: Into<Line>>(
        self,
        rank: u8,
        title: impl Into<String>,
        cell: impl Fn(&'i T) -> L,
    ) -> Self {
        self.with(Kind::Words, rank, title, cell)
    }

    /// With a column of figures.
    #[must_use]
    pub fn number<L: Into<Line>>(
        self,
        rank: u8,
        title: impl Into<String>,
        cell: impl Fn(&'i T) -> L,
    ) -> Self {
        self.with(Kind::Number, rank, title, cell)
    }

    /// With a column of sentences.
    #[must_use]
    pub fn prose<L: Into<Line>>(
        self,
        rank: u8,
        title: impl Into<String>,
        cell: impl Fn(&'i T) -> L,
    ) -> Self {
        self.with(Kind::Prose, rank, title, cell)
    }

    /// Other pages may lead to the rows.
    #[must_use]
    pub fn anchored(mut self, anchor: &'static str) -> Self {
        self.table.anchor = Some(anchor);
        self
    }

    /// By what a reader may choose the row of each thing.
    #[must_use]
    pub fn tagged(mut self, tags: impl Fn(&T) -> Vec<Tag>) -> Self {
        self.table.tags = self.items.iter().map(tags).collect();
        self
    }

    /// The rows of such things are not to be quoted.
    #[must_use]
    pub fn invalid(mut self, is_invalid: impl Fn(&T) -> bool) -> Self {
        let places = self.items.iter().enumerate();
        let bad = places.filter(|(_, item)| is_invalid(item));
        self.table.invalid = bad.map(|(place, _)| place).collect();
        self
    }
}

impl<T> From<Columns<'_, T>> for Table {
    /// Without the columns that have nothing to say of any row.
    fn from(Columns { mut table, .. }: Columns<'_, T>) -> Self {
        let unknown = Line::from(UNKNOWN);
        let says = |place: &usize| {
            let mut cells = table.rows.iter().map(|row| &row[*place]);
            cells.any(|cell| !cell.is_empty() && *cell != unknown)
        };
        let silent: Vec<usize> = (0..table.columns.len()).filter(|at| !says(at)).collect();
        // From the last on, so that places before it stay.
        for place in silent.into_iter().rev() {
            table.columns.remove(place);
            for row in &mut table.rows {
                row.remove(place);
            }
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_that_says_nothing_of_any_row_is_left_out() {
        let items = [(1_u32, None), (2, None)];
        let table: Table = Table::of("Things", &items)
            .number(0, "count", |(count, _)| *count)
            .number(1, "unknown", |(_, known): &(u32, Option<u32>)| *known)
            .words(1, "empty", |_| "")
            .words(1, "some", |(count, _)| if *count == 2 { "b" } else { "" })
            .into();
        let titles: Vec<&str> = table.columns.iter().map(|one| one.title.as_str()).collect();
        assert_eq!(titles, ["count", "some"]);
        assert_eq!(table.rows[1].len(), 2);
    }
}
