//! Documents as text on a terminal: lines are wrapped between words, tables leave out columns, or
//! put the cells of a row below each other, where there is no room.

use std::path::Path;

use anstyle::{AnsiColor, Style};
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, TableComponent, Width};
use textwrap::core::display_width;
use textwrap::{Options, WordSplitter};

use crate::render::document::{
    Block, Column, Depth, Document, Facts, Kind, Line, Span, Table, Tone,
};
use crate::render::form::Form;

/// For a terminal.
pub const FORM: Form = Form::of_document(
    "text",
    "Text for a terminal, with everything about each row",
    &["width", "title"],
    |document, options| {
        let layout = Layout {
            width: options.width,
            verbose: true,
            colour: false,
        };
        Ok(write(document, layout))
    },
);

/// The names of key figures have at least this much room.
const LABEL: usize = 8;

/// What there is room for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Layout {
    /// Columns of the terminal; `None` where lines may be as long as they are.
    pub width: Option<usize>,
    /// Whether details are shown that only a verbose view has.
    pub verbose: bool,
    /// Whether words that say how the rest is to be read are coloured.
    pub colour: bool,
}

/// The document as text, without a line feed at its end.
#[must_use]
pub fn write(document: &Document, layout: Layout) -> String {
    let mut parts = Vec::new();
    if !document.title.is_empty() && (document.is_named || !document.begins_with_verdict()) {
        parts.push(wrapped(&document.title, "", "", layout));
    }
    write_blocks(&document.blocks, layout, &mut parts);
    parts.join("\n\n")
}

/// A key figure by itself, such as where the record is.
#[must_use]
pub fn fact(name: &str, text: &str) -> String {
    format!("{name:<LABEL$} {text}")
}

/// Where the record is.
#[must_use]
pub fn record_line(path: &Path) -> String {
    fact("record", &path.display().to_string())
}

fn write_blocks(blocks: &[Block], layout: Layout, parts: &mut Vec<String>) {
    // Of a section the end is what a terminal still shows.
    let mut verdicts: Vec<String> = Vec::new();
    for block in blocks {
        match block {
            Block::Verdict(line) | Block::Conclusion(line) => {
                verdicts.push(wrapped(&inked(line, layout), "", "", layout));
            }
            Block::Heading(title) => {
                parts.append(&mut verdicts);
                let rule = "─".repeat(display_width(title).min(layout.width.unwrap_or(usize::MAX)));
                parts.push(format!("{}\n{rule}", wrapped(title, "", "", layout)));
            }
            Block::Subheading(title) => parts.push(wrapped(title, "", "", layout)),
            Block::Paragraph(line) => parts.push(wrapped(&inked(line, layout), "", "", layout)),
            // Not wrapped: it is to be copied.
            Block::Command(label, command) => parts.push(format!("{label}: {command}")),
            Block::Facts(facts) => parts.push(write_facts(facts, layout)),
            Block::List(items) => {
                let items = items
                    .iter()
                    .map(|item| wrapped(&inked(item, layout), "", "  ", layout));
                parts.push(items.collect::<Vec<_>>().join("\n"));
            }
            Block::Table(table) => parts.push(write_table(table, layout)),
            Block::Marker(_) | Block::Pictures(..) => {}
            Block::Chart(chart) => {
                parts.push(wrapped(
                    &format!("{}: {}", chart.title, chart.about),
                    "",
                    "",
                    layout,
                ));
                parts.push(write_table(&chart.data, layout));
            }
            Block::Selection(selection) => write_blocks(&selection.blocks, layout, parts),
            Block::Details(details) if details.depth > Depth::Folded && !layout.verbose => {}
            Block::Details(details) => {
                parts.push(wrapped(&details.summary, "", "", layout));
                write_blocks(&details.blocks, layout, parts);
            }
        }
    }
    if !verdicts.is_empty() {
        parts.push(verdicts.join("\n"));
    }
}

/// A line as the layout has it: its marks are in colour where that is wanted.
fn inked(line: &Line, layout: Layout) -> String {
    if !layout.colour {
        return line.to_string();
    }
    let spans = line.0.iter().map(|span| match ink(span) {
        Some((style, text)) => format!("{style}{text}{style:#}"),
        None => Line(vec![span.clone()]).to_string(),
    });
    spans.collect()
}

/// How a piece of a line is written, if not as the rest.
fn ink(span: &Span) -> Option<(Style, &str)> {
    let (style, text) = match span {
        Span::Mark(tone, text) => (of_tone(*tone), text),
        Span::Strong(text) => (STRONG, text),
        _ => return None,
    };
    Some((style, text))
}

const STRONG: Style = Style::new().bold();

const fn of_tone(tone: Tone) -> Style {
    match tone {
        Tone::Plain => Style::new(),
        Tone::Good => AnsiColor::Green.on_default().bold(),
        Tone::Warn => AnsiColor::Yellow.on_default().bold(),
        Tone::Bad => AnsiColor::Red.on_default().bold(),
    }
}

/// What stands for a style while a table is drawn: characters without a width, since an escape
/// sequence would be counted as columns.
const STAND_INS: [(char, Style); 4] = [
    ('\u{2061}', STRONG),
    ('\u{2062}', of_tone(Tone::Good)),
    ('\u{2063}', of_tone(Tone::Warn)),
    ('\u{2064}', of_tone(Tone::Bad)),
];
/// What stands for its end.
const END: char = '\u{2060}';

/// A cell with stand-ins around each of its words, so that it may be wrapped.
fn stood_in(line: &Line, layout: Layout) -> String {
    let spans = line.0.iter().map(|span| {
        let known = ink(span)
            .filter(|_| layout.colour)
            .and_then(|(style, text)| {
                let mut all = STAND_INS.into_iter();
                all.find(|(_, one)| *one == style)
                    .map(|(mark, _)| (mark, text))
            });
        let Some((mark, text)) = known else {
            return Line(vec![span.clone()]).to_string();
        };
        let words = text.split(' ').map(|word| format!("{mark}{word}{END}"));
        words.collect::<Vec<_>>().join(" ")
    });
    spans.collect()
}

/// A table that is drawn, with its styles.
fn styled(drawn: String, layout: Layout) -> String {
    if !layout.colour {
        return drawn;
    }
    let reset = format!("{STRONG:#}");
    let all = STAND_INS.into_iter();
    let all = all.fold(drawn, |text, (mark, style)| {
        text.replace(mark, &style.to_string())
    });
    all.replace(END, &reset)
}

/// Text on lines of the width, the first after `first`, the others after `rest`.
fn wrapped(text: &str, first: &str, rest: &str, layout: Layout) -> String {
    let Some(width) = layout.width else {
        return format!("{first}{text}").replace('\u{a0}', " ");
    };
    let options = Options::new(width)
        .initial_indent(first)
        .subsequent_indent(rest)
        .break_words(false)
        .word_splitter(WordSplitter::NoHyphenation);
    // A figure stays with its unit.
    let units = ["%", "ms", "µs", "TPS", "cores"];
    let mut kept = text.to_owned();
    for unit in units {
        kept = kept.replace(&format!(" {unit}"), &format!("\u{a0}{unit}"));
    }
    textwrap::fill(&kept, options).replace('\u{a0}', " ")
}

/// A sentence by itself, its further lines after `indent`.
#[must_use]
pub fn sentence(text: &str, indent: &str, width: Option<usize>) -> String {
    let layout = Layout {
        width,
        ..Layout::default()
    };
    wrapped(text, "", indent, layout)
}

fn write_facts(facts: &Facts, layout: Layout) -> String {
    let names = facts
        .0
        .iter()
        .map(|(name, _)| display_width(&name.to_string()));
    let room = names.max().unwrap_or(0).max(LABEL);
    let indent = " ".repeat(room + 1);
    let mut out = Vec::new();
    for (name, lines) in &facts.0 {
        let padding = " ".repeat(room + 1 - display_width(&name.to_string()));
        let name = format!("{}{padding}", inked(name, layout));
        for (place, line) in lines.iter().enumerate() {
            let first = if place == 0 { &name } else { &indent };
            out.push(wrapped(&inked(line, layout), first, &indent, layout));
        }
    }
    out.join("\n")
}

/// Room beside each cell.
const PADDING: usize = 2;
/// Sentences are not wrapped into less.
const PROSE_MIN: usize = 20;

/// How wide a column is at least, with its padding: only sentences are wrapped.
fn least(table: &Table, place: usize) -> usize {
    let Column { title, kind, .. } = &table.columns[place];
    let width = |text: &str| match kind {
        Kind::Words | Kind::Number => display_width(text),
        Kind::Prose => text
            .split(' ')
            .map(display_width)
            .max()
            .unwrap_or(0)
            .max(PROSE_MIN),
    };
    let cells = table.rows.iter().map(|row| width(&row[place].to_string()));
    cells.fold(width(title), usize::max) + PADDING
}

/// The columns that there is room for: those of the lowest rank first, and of a higher rank whatever
/// still fits. `None` where there is none even for those that are never left out.
fn chosen(table: &Table, least: &[usize], width: usize) -> Option<Vec<usize>> {
    let mut by_rank: Vec<usize> = (0..least.len()).collect();
    by_rank.sort_by_key(|&place| table.columns[place].rank);
    let (mut chosen, mut left) = (Vec::new(), width);
    for place in by_rank {
        if let Some(rest) = left.checked_sub(least[place]) {
            left = rest;
            chosen.push(place);
        } else if table.columns[place].rank == 0 {
            return None;
        }
    }
    chosen.sort_unstable();
    Some(chosen)
}

fn write_table(table: &Table, layout: Layout) -> String {
    let least: Vec<usize> = (0..table.columns.len())
        .map(|place| least(table, place))
        .collect();
    let Some(shown) = chosen(table, &least, layout.width.unwrap_or(usize::MAX)) else {
        return stacked(table, layout);
    };
    let left_out: Vec<usize> = (0..table.columns.len())
        .filter(|place| !shown.contains(place))
        .collect();
    let mut drawn = comfy_table::Table::new();
    drawn.load_preset(NOTHING);
    drawn.set_style(TableComponent::HeaderLines, '─');
    drawn.set_header(shown.iter().map(|&place| &table.columns[place].title));
    for row in &table.rows {
        drawn.add_row(shown.iter().map(|&place| stood_in(&row[place], layout)));
    }
    if let Some(width) = layout.width {
        // Columns of sentences share what the others leave.
        drawn.set_content_arrangement(ContentArrangement::Dynamic);
        drawn.set_width(u16::try_from(width).unwrap_or(u16::MAX));
    }
    for (column, &place) in drawn.column_iter_mut().zip(&shown) {
        if table.columns[place].kind == Kind::Number {
            column.set_cell_alignment(CellAlignment::Right);
        }
        column.set_constraint(match table.columns[place].kind {
            Kind::Words | Kind::Number => ColumnConstraint::ContentWidth,
            Kind::Prose => {
                let least = u16::try_from(least[place]).unwrap_or(u16::MAX);
                ColumnConstraint::LowerBoundary(Width::Fixed(least))
            }
        });
    }
    let lines = drawn.lines().map(|line| line.trim_end().to_owned());
    let mut out = styled(lines.collect::<Vec<_>>().join("\n"), layout);
    if !left_out.is_empty() {
        let titles = left_out
            .iter()
            .map(|&place| table.columns[place].title.as_str());
        let said = format!(
            "Not shown at this width: {}.",
            titles.collect::<Vec<_>>().join(", ")
        );
        out = format!("{out}\n{}", wrapped(&said, "", "", layout));
    }
    out
}

/// The cells of each row below each other, with their columns' names.
fn stacked(table: &Table, layout: Layout) -> String {
    let rows = table.rows.iter().map(|row| {
        let named = table.columns.iter().zip(row);
        let facts = named
            .filter(|(_, cell)| !cell.is_empty())
            .map(|(column, cell)| (column.title.as_str().into(), vec![cell.clone()]));
        write_facts(&Facts(facts.collect()), layout)
    });
    rows.collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests;
