//! What a record says, apart from how it is written: a builder makes a [`Document`] of each kind
//! of record, and each writer writes every document.

use std::fmt::Display;

use super::charts::Chart;
use crate::figures::{UNKNOWN, grouped};

/// How a word is meant. It is never the colour alone: the word says it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Nothing is to be heeded.
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
}

/// Words in a row: a paragraph, an item, a cell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line(pub Vec<Span>);

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
            | Span::Void(text)) = span;
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
}

/// A table that is made column by column, with a row of each thing. The columns of the highest
/// rank are the first to be left out; those of rank 0 stay.
#[derive(Debug)]
pub struct Columns<'i, T> {
    items: &'i [T],
    table: Table,
}

impl Table {
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

    /// The last column is not there when none of its cells has anything to say.
    #[must_use]
    pub fn if_any(mut self) -> Self {
        let cells = self.table.rows.iter().filter_map(|row| row.last());
        let nothing = Line::from(UNKNOWN);
        if !cells
            .into_iter()
            .any(|cell| !cell.is_empty() && *cell != nothing)
        {
            self.table.columns.pop();
            for row in &mut self.table.rows {
                row.pop();
            }
        }
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
    fn from(columns: Columns<'_, T>) -> Self {
        columns.table
    }
}

/// Key figures: a name, and what is said of it, in a line or several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts(pub Vec<(Line, Vec<Line>)>);

impl Facts {
    /// Adds a key figure; without a name it is more of the last one.
    pub fn add(&mut self, name: impl Into<Line>, line: impl Into<Line>) -> &mut Self {
        let name = name.into();
        match self.0.last_mut().filter(|_| name.is_empty()) {
            Some((_, lines)) => lines.push(line.into()),
            None => self.0.push((name, vec![line.into()])),
        }
        self
    }

    /// Adds a key figure, if it is known.
    pub fn add_known(&mut self, name: impl Into<Line>, line: Option<impl Into<Line>>) -> &mut Self {
        match line {
            Some(line) => self.add(name, line),
            None => self,
        }
    }
}

/// A part of a document.
#[derive(Debug, Clone)]
pub enum Block {
    /// By which a script finds this in a form for comments.
    Marker(&'static str),
    /// The conclusion: what is read first, and on a terminal last.
    Verdict(Line),
    /// What belongs to the conclusion and stands with it.
    Conclusion(Line),
    /// Begins a section.
    Heading(String),
    /// Begins a part of a section.
    Subheading(String),
    /// A paragraph, or a remark.
    Paragraph(Line),
    /// A command to be copied, with what it is for.
    Command(String, String),
    /// Names with what is said of each.
    Facts(Facts),
    /// Items, one below the other.
    List(Vec<Line>),
    /// A table.
    Table(Table),
    /// Charts below a heading, for forms with pictures.
    Pictures(&'static str, Vec<Chart>),
    /// A chart whose data nothing else says: forms without pictures have the table.
    Chart(Box<Chart>),
    /// What is looked at when it is asked for.
    Details(Details),
}

/// Who sees details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Everybody: they are folded where that is possible.
    Folded,
    /// Who reads it later: a terminal on which it was just measured does not show them.
    Later,
    /// Only a form that can hold everything.
    Everything,
}

/// Blocks below a summary.
#[derive(Debug, Clone)]
pub struct Details {
    /// What they are of.
    pub summary: String,
    /// Who sees them.
    pub depth: Depth,
    /// They.
    pub blocks: Vec<Block>,
}

/// What is said, from top to bottom.
#[derive(Debug, Clone, Default)]
pub struct Document {
    /// What it is of; empty for a part of something.
    pub title: String,
    /// Its parts.
    pub blocks: Vec<Block>,
}

impl Document {
    /// Nothing yet, with a title or an empty one.
    #[must_use]
    pub fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            blocks: Vec::new(),
        }
    }

    /// Adds a part.
    pub fn push(&mut self, block: Block) -> &mut Self {
        self.blocks.push(block);
        self
    }

    /// Adds the conclusion.
    pub fn verdict(&mut self, line: impl Into<Line>) -> &mut Self {
        self.push(Block::Verdict(line.into()))
    }

    /// Adds to the conclusion.
    pub fn conclude(&mut self, line: impl Into<Line>) -> &mut Self {
        self.push(Block::Conclusion(line.into()))
    }

    /// Begins a section.
    pub fn heading(&mut self, title: impl Into<String>) -> &mut Self {
        self.push(Block::Heading(title.into()))
    }

    /// Begins a part of a section.
    pub fn subheading(&mut self, title: impl Into<String>) -> &mut Self {
        self.push(Block::Subheading(title.into()))
    }

    /// Adds a paragraph.
    pub fn say(&mut self, line: impl Into<Line>) -> &mut Self {
        self.push(Block::Paragraph(line.into()))
    }

    /// Adds key figures, if there are any.
    pub fn facts(&mut self, facts: Facts) -> &mut Self {
        if facts.0.is_empty() {
            return self;
        }
        self.push(Block::Facts(facts))
    }

    /// Adds a list, if it has an item.
    pub fn list(&mut self, items: Vec<Line>) -> &mut Self {
        if items.is_empty() {
            return self;
        }
        self.push(Block::List(items))
    }

    /// Adds a table, if it has a row.
    pub fn table(&mut self, table: impl Into<Table>) -> &mut Self {
        let table = table.into();
        if table.rows.is_empty() {
            return self;
        }
        self.push(Block::Table(table))
    }

    /// Adds charts, if there are any.
    pub fn pictures(&mut self, heading: &'static str, charts: Vec<Chart>) -> &mut Self {
        if charts.is_empty() {
            return self;
        }
        self.push(Block::Pictures(heading, charts))
    }

    /// Folds another document's parts below its title, if it has any.
    pub fn fold(&mut self, document: Self, depth: Depth) -> &mut Self {
        if document.blocks.is_empty() {
            return self;
        }
        self.push(Block::Details(Details {
            summary: document.title,
            depth,
            blocks: document.blocks,
        }))
    }

    /// Adds another document's parts.
    pub fn append(&mut self, document: Self) -> &mut Self {
        self.blocks.extend(document.blocks);
        self
    }
}
