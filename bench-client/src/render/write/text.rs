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
    &["width"],
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
    let concludes = begins_with_verdict(document);
    if !document.title.is_empty() && !concludes {
        parts.push(wrapped(&document.title, "", "", layout));
    }
    write_blocks(&document.blocks, layout, &mut parts);
    parts.join("\n\n")
}

/// Whether a document has its conclusion for a title.
pub(super) fn begins_with_verdict(document: &Document) -> bool {
    let mut blocks = document.blocks.iter();
    let first = blocks.find(|block| !matches!(block, Block::Marker(_)));
    matches!(first, Some(Block::Verdict(_)))
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

fn write_table(table: &Table, layout: Layout) -> String {
    let mut shown: Vec<usize> = (0..table.columns.len()).collect();
    let least: Vec<usize> = shown.iter().map(|&place| least(table, place)).collect();
    let width = layout.width.unwrap_or(usize::MAX);
    let rank = |place: &usize| table.columns[*place].rank;
    let mut left_out = Vec::new();
    while shown.iter().map(|&place| least[place]).sum::<usize>() > width {
        let highest = shown.iter().map(rank).max().unwrap_or(0);
        if highest == 0 {
            return stacked(table, layout);
        }
        left_out.extend(shown.extract_if(.., |place| rank(place) == highest));
    }
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
        left_out.sort_unstable();
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
mod tests {
    use super::*;

    fn at(width: usize) -> Layout {
        Layout {
            width: Some(width),
            verbose: false,
            colour: false,
        }
    }

    fn document() -> Document {
        let rows = [("one", 1_234_567_u64), ("another", 89)];
        let mut document = Document::new("Title");
        document.verdict("Slower: it took longer than it did before by quite a bit");
        let mut facts = Facts::default();
        facts.add("machine", "of a name that is longer than a line of 40 µs");
        facts.add("two", "first").add("", "second");
        document.facts(facts);
        document.table(
            Table::of("Rows", &rows)
                .words(0, "row", |row| row.0)
                .number(0, "TPS", |row| row.1)
                .number(2, "a column of less weight", |row| row.1)
                .number(3, "another such", |row| row.1)
                .prose(1, "found", |_| "a sentence that is wrapped")
                .number(0, "nothing", |_| None::<u64>),
        );
        document
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_no_word_is_broken() {
        let whole = write(&document(), Layout::default());
        for width in [40, 60, 80, 100, 160] {
            let text = write(&document(), at(width));
            for line in text.lines() {
                assert!(display_width(line) <= width, "{width}: {line:?}\n{text}");
            }
            for word in text
                .split_whitespace()
                .filter(|word| !word.starts_with('─'))
            {
                assert!(
                    whole.split([' ', '\n']).any(|known| known == word)
                        || text.contains("Not shown at this width"),
                    "{word} in\n{text}"
                );
            }
            // A terminal shows its end.
            assert!(
                text.lines()
                    .last()
                    .is_some_and(|line| whole.contains(line.trim()))
            );
            let (_, below) = text.split_once("TPS").expect("it is never left out");
            assert!(below.contains("1,234,567"), "{text}");
        }
        assert!(!whole.contains("nothing"), "{whole}");
    }

    /// Takes the colours out of a text again.
    fn plain(text: &str) -> String {
        let mut parts = text.split('\u{1b}');
        let first = parts.next().unwrap_or_default().to_owned();
        let rest = parts.map(|part| part.split_once('m').map_or(part, |(_, text)| text));
        first + &rest.collect::<String>()
    }

    #[test]
    fn a_coloured_table_is_the_plain_one_with_colours() {
        let verdict = |place: &usize| match place {
            0 => Line::default().mark(Tone::Bad, "INVALID: fake"),
            1 => Line::default().mark(Tone::Warn, "at least").plain(" this"),
            2 => Line::default().mark(Tone::Good, "faster"),
            _ => "as before".into(),
        };
        let table: Table = Table::of("Rows", &[0, 1, 2, 3])
            .words(0, "row", |place| format!("row {place}"))
            .number(0, "TPS", |place| Line::default().strong(1_000 * place))
            .words(0, "verdict", verdict)
            .prose(1, "found", |_| {
                let word = Line::default().mark(Tone::Bad, "slower by more than it was before");
                word.plain(", and wrapped")
            })
            .into();
        for width in [18, 40, 60, 80, 160] {
            let coloured = Layout {
                colour: true,
                ..at(width)
            };
            let text = write_table(&table, coloured);
            // The rule may be longer, within the width.
            let rows = |text: &str| -> Vec<String> {
                let lines = text.lines().filter(|line| !line.starts_with('─'));
                lines.map(str::to_owned).collect()
            };
            let shown = plain(&text);
            assert_eq!(
                rows(&shown),
                rows(&write_table(&table, at(width))),
                "{width}"
            );
            let widest = shown.lines().map(display_width).max();
            assert!(widest <= Some(width), "{width}\n{shown}");
            assert!(text.contains("\u{1b}[31mINVALID:"), "{width}\n{text}");
            assert!(
                text.contains("\u{1b}[32mfaster\u{1b}[0m"),
                "{width}\n{text}"
            );
            let odd = |it: char| it == END || STAND_INS.iter().any(|(mark, _)| *mark == it);
            assert!(!text.contains(odd), "{text:?}");
        }
    }

    #[test]
    fn columns_are_left_out_by_rank_and_named() {
        let text = write(&document(), at(70));
        assert!(
            text.contains("Not shown at this width: another such."),
            "{text}"
        );
        let text = write(&document(), at(40));
        let said = "a column of\nless weight, another such, found.";
        assert!(text.contains(said), "{text}");
    }

    #[test]
    fn figures_stand_to_the_right_and_what_does_not_fit_at_all_is_stacked() {
        let text = write(&document(), at(60));
        let ends = |figure: &str| {
            let mut lines = text.lines();
            let line = lines
                .find(|line| line.contains(figure))
                .expect("it is there");
            line.find(figure).expect("it is there") + figure.len()
        };
        assert_eq!(ends("1,234,567"), ends(" 89"), "{text}");
        let text = write(&document(), at(18));
        let mut lines = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        assert!(lines.any(|words| words == ["TPS", "1,234,567"]), "{text}");
        assert!(!text.contains("Not shown"), "{text}");
    }
}
