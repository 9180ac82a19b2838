//! Documents as one page that needs nothing else: no script, no network, charts as inline
//! `<svg>`, each with the table of its data. All text is escaped by the templates.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::svg::{DrawError, draw};
use crate::render::charts::Chart;
use crate::render::document::{Block, Document, Facts, Kind, Line, Span, Table, Tone};
use crate::render::form::Form;

/// For a browser.
pub const FORM: Form = Form::of_document(
    "html",
    "One page with charts that needs nothing else",
    &[],
    |document, _| Ok(write(document)?),
);

const STYLE: &str = include_str!("style.css");

/// The page.
///
/// # Errors
/// A chart cannot be drawn.
pub fn write(document: &Document) -> Result<String, DrawError> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                // Nothing is fetched, not even an icon.
                link rel="icon" href="data:,";
                title { (document.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (document.title) }
                (blocks(&document.blocks)?)
            }
        }
    };
    Ok(page.into_string())
}

fn blocks(all: &[Block]) -> Result<Markup, DrawError> {
    let parts = all.iter().map(block).collect::<Result<Vec<_>, _>>()?;
    Ok(html! { @for part in parts { (part) } })
}

fn block(block: &Block) -> Result<Markup, DrawError> {
    Ok(match block {
        Block::Marker(_) => html! {},
        Block::Verdict(line) => html! { p class="verdict" { (inline(line)) } },
        Block::Heading(title) => html! { h2 { (title) } },
        Block::Subheading(title) => html! { h3 { (title) } },
        Block::Paragraph(line) | Block::Conclusion(line) => html! { p { (inline(line)) } },
        Block::Command(label, command) => html! { p { (label) ": " code { (command) } } },
        Block::Facts(list) => facts(list),
        Block::List(items) => html! {
            ul class="verdicts" { @for item in items { li { (inline(item)) } } }
        },
        Block::Table(one) => table(one),
        Block::Pictures(heading, charts) => {
            let figures = charts.iter().map(figure).collect::<Result<Vec<_>, _>>()?;
            html! {
                h2 { (heading) }
                div class="charts" { @for figure in figures { (figure) } }
            }
        }
        Block::Chart(chart) => html! { div class="charts" { (figure(chart)?) } },
        Block::Details(inner) => html! {
            details { summary { (inner.summary) } (blocks(&inner.blocks)?) }
        },
    })
}

fn inline(line: &Line) -> Markup {
    html! { @for span in &line.0 {
        @match span {
            Span::Plain(text) => (text),
            // A flag is not broken.
            Span::Code(text) => code class=[(!text.contains(' ')).then_some("flag")] { (text) },
            Span::Strong(text) => b { (text) },
            Span::Mark(tone, text) => span class=(class(*tone)) { (text) },
            Span::Void(figure) => { "(" s { (figure) } ")" }
        }
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

fn facts(facts: &Facts) -> Markup {
    html! { dl { @for (name, lines) in &facts.0 {
        dt { (inline(name)) }
        dd { @for line in lines { div { (inline(line)) } } }
    } } }
}

fn table(table: &Table) -> Markup {
    let class = |place: usize| match table.columns[place].kind {
        Kind::Words => Some("words"),
        Kind::Number => None,
        Kind::Prose => Some("wrap"),
    };
    html! {
        div class="scroll" tabindex="0" role="region" aria-label=(table.name) {
            table {
                thead { tr { @for (place, column) in table.columns.iter().enumerate() {
                    th scope="col" class=[class(place)] { (column.title) }
                } } }
                tbody { @for (place, row) in table.rows.iter().enumerate() {
                    tr class=[table.invalid.contains(&place).then_some("invalid")] {
                        @for (place, cell) in row.iter().enumerate() {
                            td class=[class(place)] { (inline(cell)) }
                        }
                    }
                } }
            }
        }
    }
}

fn figure(chart: &Chart) -> Result<Markup, DrawError> {
    let svg = draw(&chart.title, &chart.about, &chart.panels)?;
    Ok(html! {
        figure {
            h3 { (chart.title) }
            p { (chart.about) }
            (PreEscaped(svg))
            @if !chart.legend.is_empty() {
                ul class="legend" { @for (ink, what) in &chart.legend {
                    li { span class="swatch" style=(format!("background:{}", ink.css())) {} (what) }
                } }
            }
            details {
                summary { "Data: " (chart.title) }
                (table(&chart.data))
            }
        }
    })
}
