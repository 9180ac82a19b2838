//! Tables of a page, and the lines in their cells.

use maud::{Markup, html};

use crate::render::document::{Column, Kind, Line, Span, Table, Tag, Tone};

/// Columns of a higher rank are shown on a narrow page only when they are asked for.
const RANK_OF_FEW: u8 = 1;

/// By which the style sheet finds the rows that have this tag.
pub(super) fn tag_class((facet, value): Tag) -> String {
    format!("t{facet}-{value}")
}

/// A line of a page.
pub(super) fn inline(line: &Line) -> Markup {
    html! { @for span in &line.0 {
        @match span {
            Span::Plain(text) => (with_flags(text)),
            // A flag is not broken.
            Span::Code(text) => code class=[(!text.contains(' ')).then_some("flag")] { (text) },
            Span::Strong(text) => b { (text) },
            Span::Mark(tone, text) => span class=(class(*tone)) { (text) },
            Span::Void(figure) => { "(" s { (figure) } ")" }
            Span::Link(text, address) => a href=(address) { (text) },
        }
    } }
}

/// Words, of which a flag is not broken after its hyphens.
fn with_flags(text: &str) -> Markup {
    html! { @for word in text.split_inclusive(' ') {
        @if word.starts_with("--") { span class="flag" { (word) } } @else { (word) }
    } }
}

fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "",
        Tone::Good => "mark good",
        Tone::Warn => "mark warn",
        Tone::Bad => "mark bad",
    }
}

/// A table that scrolls where it is wider than the page.
pub(super) fn table(table: &Table) -> Markup {
    let class = |place: usize| {
        let Column { kind, rank, .. } = &table.columns[place];
        let kind = match kind {
            Kind::Words => Some("words"),
            Kind::Number => None,
            Kind::Prose => Some("wrap"),
        };
        let rest = (*rank > RANK_OF_FEW).then_some("rest");
        let all: Vec<&str> = kind.into_iter().chain(rest).collect();
        (!all.is_empty()).then(|| all.join(" "))
    };
    let has_more = table.columns.iter().any(|one| one.rank > RANK_OF_FEW);
    html! {
        @if has_more {
            label class="all" { input type="checkbox"; "all columns" }
        }
        div class="scroll" tabindex="0" role="region" aria-label=(table.name) {
            table {
                thead { tr { @for (place, column) in table.columns.iter().enumerate() {
                    th scope="col" class=[class(place)] { (column.title) }
                } } }
                tbody { @for (place, row) in table.rows.iter().enumerate() {
                    tr class=[row_class(table, place)] id=[row_id(table, place)] {
                        @for (place, cell) in row.iter().enumerate() {
                            td class=[class(place)] { (inline(cell)) }
                        }
                    }
                } }
            }
        }
    }
}

fn row_class(table: &Table, row: usize) -> Option<String> {
    let invalid = table.invalid.contains(&row).then(|| "invalid".to_owned());
    let tags = table.tags.get(row);
    let tags = tags.map(|tags| {
        let each = tags.iter().map(|tag| format!(" {}", tag_class(*tag)));
        format!("tagged{}", each.collect::<String>())
    });
    let all: Vec<String> = invalid.into_iter().chain(tags).collect();
    (!all.is_empty()).then(|| all.join(" "))
}

fn row_id(table: &Table, row: usize) -> Option<String> {
    Some(format!("{}{}", table.anchor?, row + 1))
}
