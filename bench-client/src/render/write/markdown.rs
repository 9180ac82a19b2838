//! Documents in Markdown, to be pasted into a comment.

use crate::render::document::{Block, Depth, Document, Kind, Line, Span, Table};
use crate::render::form::Form;

/// For a comment, a step's summary.
pub const FORM: Form =
    Form::of_document("md", "Markdown for a comment", &["title"], |document, _| {
        Ok(write(document))
    });

/// The document in Markdown.
#[must_use]
pub fn write(document: &Document) -> String {
    let mut out = String::new();
    if !document.title.is_empty() && (document.is_named || !document.begins_with_verdict()) {
        out = format!("# {}\n\n", escaped(&document.title));
    }
    write_blocks(&document.blocks, &mut out);
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn write_blocks(blocks: &[Block], out: &mut String) {
    for block in blocks {
        let text = match block {
            Block::Marker(marker) => {
                // What follows is to stand right below it.
                out.push_str(marker);
                out.push('\n');
                continue;
            }
            // A heading is strong as it is.
            Block::Verdict(line) => format!("## {}", escaped(&line.to_string())),
            Block::Heading(title) => format!("## {}", escaped(title)),
            Block::Subheading(title) => format!("### {}", escaped(title)),
            Block::Paragraph(line) | Block::Conclusion(line) => inline(line),
            Block::Command(label, command) => format!("{}: {}", escaped(label), code(command)),
            Block::Facts(facts) => list(facts.0.iter().flat_map(|(name, lines)| {
                let first = format!("{}: ", inline(name));
                let rest = std::iter::repeat(String::new());
                let begins = std::iter::once(first).chain(rest);
                lines
                    .iter()
                    .zip(begins)
                    .map(|(line, begin)| begin + &inline(line))
            })),
            Block::List(items) => list(items.iter().map(inline)),
            Block::Table(one) => table(one),
            Block::Pictures(..) => continue,
            Block::Chart(chart) => format!(
                "### {}\n\n{}\n\n{}",
                escaped(&chart.title),
                escaped(&chart.about),
                table(&chart.data)
            ),
            Block::Selection(selection) => {
                write_blocks(&selection.blocks, out);
                continue;
            }
            Block::Details(details) if details.depth == Depth::Everything => continue,
            Block::Details(details) => {
                let mut inner = String::new();
                write_blocks(&details.blocks, &mut inner);
                let summary = escaped(&details.summary);
                format!("<details>\n<summary>{summary}</summary>\n\n{inner}</details>")
            }
        };
        out.push_str(&text);
        out.push_str("\n\n");
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    items
        .map(|item| format!("- {item}"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn table(table: &Table) -> String {
    let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let titles = table.columns.iter().map(|column| escaped(&column.title));
    let rules = table.columns.iter().map(|column| match column.kind {
        Kind::Number => "---:".to_owned(),
        Kind::Words | Kind::Prose => "---".to_owned(),
    });
    let mut lines = vec![line(titles.collect()), line(rules.collect())];
    // A bar ends a cell, inside of code too.
    let cell = |cell: &Line| inline(cell).replace("\\|", "|").replace('|', "\\|");
    lines.extend(
        table
            .rows
            .iter()
            .map(|row| line(row.iter().map(cell).collect())),
    );
    lines.join("\n")
}

fn inline(line: &Line) -> String {
    let spans = line.0.iter().map(|span| match span {
        Span::Plain(text) => escaped(text),
        Span::Code(text) => code(text),
        Span::Strong(text) | Span::Mark(_, text) => format!("**{}**", escaped(text)),
        Span::Void(figure) => format!("({})", escaped(figure)),
        Span::Link(text, address) => format!("[{}](<{address}>)", escaped(text)),
    });
    spans.collect()
}

/// Text that Markdown leaves as it is, also inside a table.
fn escaped(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for character in raw.chars() {
        match character {
            '\n' | '\r' => out.push(' '),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '#' => {
                out.push('\\');
                out.push(character);
            }
            other => out.push(other),
        }
    }
    out
}

/// Text as code, whatever backticks it holds.
fn code(raw: &str) -> String {
    let raw = raw.replace(['\n', '\r'], " ");
    let longest = raw
        .split(|character| character != '`')
        .map(str::len)
        .max()
        .unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    if longest == 0 {
        format!("{fence}{raw}{fence}")
    } else {
        format!("{fence} {raw} {fence}")
    }
}
