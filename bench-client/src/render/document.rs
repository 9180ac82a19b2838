//! What a record says, apart from how it is written: a builder makes a [`Document`] of each kind
//! of record, and each writer writes every document.

use super::charts::Chart;
pub use super::table::{Column, Columns, Kind, Line, Span, Table, Tag, Tone};
use crate::record::naming::Naming;

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
    /// Charts below a heading, for forms with pictures; without a heading they belong to what
    /// stands above them.
    Pictures(&'static str, Vec<Chart>),
    /// A chart whose data nothing else says: forms without pictures have the table.
    Chart(Box<Chart>),
    /// Tables whose rows can be chosen by what they are of.
    Selection(Selection),
    /// What is looked at when it is asked for.
    Details(Details),
}

/// Tables of which a reader may look at some rows only; forms on paper have them all.
#[derive(Debug, Clone)]
pub struct Selection {
    /// By what they can be chosen.
    pub facets: Vec<Facet>,
    /// What the choice goes for: tables whose rows have tags, and what stands between them.
    pub blocks: Vec<Block>,
}

/// Something by which rows can be told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facet {
    /// What it is.
    pub name: &'static str,
    /// All that it is, each once.
    pub values: Vec<String>,
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
    /// What it is of, or what was found; empty for a part of something.
    pub title: String,
    /// The title is a person's: it stands above the conclusion, too.
    pub is_named: bool,
    /// Other pages, by name and address, which only a page has above its title.
    pub links: Vec<(&'static str, String)>,
    /// How the title is meant.
    pub tone: Tone,
    /// Its parts.
    pub blocks: Vec<Block>,
}

impl Document {
    /// Nothing yet, with a title or an empty one.
    #[must_use]
    pub fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            ..Self::default()
        }
    }

    /// Gives it the title that a person gave its record, and the note below what was found.
    pub fn called(&mut self, naming: &Naming) {
        if let Some(title) = &naming.title {
            self.name(title);
        }
        if let Some(note) = &naming.note {
            let found = self
                .blocks
                .iter()
                .position(|one| matches!(one, Block::Verdict(_)));
            let place = found.map_or(usize::from(self.is_named), |place| place + 1);
            let place = place.min(self.blocks.len());
            self.blocks
                .insert(place, Block::Paragraph(note.as_str().into()));
        }
    }

    /// Gives it a person's title; what was found stands below it.
    pub fn name(&mut self, title: &str) {
        let found = std::mem::replace(&mut self.title, title.to_owned());
        let tone = std::mem::take(&mut self.tone);
        if !self.is_named && !self.begins_with_verdict() && !found.is_empty() {
            let found = Line::default().mark(tone, found);
            self.blocks.insert(0, Block::Paragraph(found));
        }
        self.is_named = true;
    }

    /// Whether it has its conclusion for a title.
    pub(super) fn begins_with_verdict(&self) -> bool {
        let mut blocks = self.blocks.iter();
        let first = blocks.find(|block| !matches!(block, Block::Marker(_)));
        matches!(first, Some(Block::Verdict(_)))
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
