//! Documents as one page that needs nothing else: no script, no network, charts as inline
//! `<svg>`, each with the table of its data. All text is escaped by the templates.

use std::fmt::Write as _;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::cards::arranged;
use super::svg::DrawError;
use super::table::{inline, table, tag_class};
use crate::render::charts::{CURVES, Chart};
use crate::render::document::{Block, Document, Facet, Facts, Selection, Tone};
use crate::render::form::Form;

/// For a browser.
pub const FORM: Form = Form::of_document(
    "html",
    "One page with charts that needs nothing else",
    &["output-dir", "title"],
    |document, _| Ok(write(document)?),
);

const STYLE: &str = include_str!("style.css");

/// The page.
///
/// # Errors
/// A chart cannot be drawn.
pub fn write(document: &Document) -> Result<String, DrawError> {
    // A conclusion is what a page is about, and its title says of what it is one.
    let concluded = document.blocks.iter().find_map(|block| match block {
        Block::Verdict(line) if document.begins_with_verdict() => Some(line),
        _ => None,
    });
    let after = document
        .blocks
        .iter()
        .position(|block| matches!(block, Block::Verdict(_)));
    let after = after
        .filter(|_| concluded.is_some())
        .map_or(0, |place| place + 1);
    let rest = &document.blocks[after..];
    let title = concluded.map_or_else(
        || document.title.clone(),
        |line| format!("{}: {}", document.title, line),
    );
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                // Nothing is fetched, not even an icon.
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) (PreEscaped(switches())) }
            }
            body {
                @if !document.links.is_empty() {
                    nav { @for (name, address) in &document.links { a href=(address) { (name) } } }
                }
                @if let Some(line) = concluded {
                    p class="kicker" { (document.title) }
                    h1 { (inline(line)) }
                } @else {
                    h1 class=[heading_class(document.tone)] { (document.title) }
                }
                (blocks(rest)?)
            }
        }
    };
    Ok(page.into_string())
}

const fn heading_class(tone: Tone) -> Option<&'static str> {
    match tone {
        Tone::Plain => None,
        Tone::Good => Some("good"),
        Tone::Warn => Some("warn"),
        Tone::Bad => Some("bad"),
    }
}

/// What a curve's switch does, and what pointing at its name does.
fn switches() -> String {
    let mut rules = String::new();
    for place in 0..CURVES {
        let _ = write!(
            rules,
            "figure:has(input.k{place}:not(:checked)) svg .k{place}{{display:none}}\
             figure:has(label.k{place}:hover) svg [class]:not(.k{place}){{opacity:.15}}",
        );
    }
    rules
}

fn blocks(all: &[Block]) -> Result<Markup, DrawError> {
    let mut parts = Vec::new();
    // Charts that follow each other are arranged together.
    for run in all.chunk_by(|a, b| charts_of(a).is_some() && charts_of(b).is_some()) {
        let charts: Option<Vec<&[Chart]>> = run.iter().map(charts_of).collect();
        match charts {
            Some(charts) => parts.push(arranged(&charts.concat())?),
            None => parts.push(block(&run[0])?),
        }
    }
    Ok(html! { @for part in parts { (part) } })
}

/// The charts of a block that has nothing else.
fn charts_of(block: &Block) -> Option<&[Chart]> {
    match block {
        Block::Pictures("", charts) => Some(charts),
        Block::Chart(chart) => Some(std::slice::from_ref(chart)),
        _ => None,
    }
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
        Block::Pictures(heading, charts) => html! { h2 { (heading) } (arranged(charts)?) },
        Block::Chart(chart) => arranged(std::slice::from_ref(&**chart))?,
        Block::Selection(one) => selection(one)?,
        Block::Details(inner) => html! {
            details { summary { (inner.summary) } (blocks(&inner.blocks)?) }
        },
    })
}

/// What is chosen hides the rows that are not of it: by the style sheet alone, so that the page
/// needs no script.
fn selection(selection: &Selection) -> Result<Markup, DrawError> {
    let mut rules = String::new();
    for (facet, Facet { values, .. }) in selection.facets.iter().enumerate() {
        for value in 0..values.len() {
            let tag = tag_class((facet, value));
            let _ = write!(
                rules,
                ".selection:has(option.{tag}:checked) tr.tagged:not(.{tag}){{display:none}}"
            );
        }
    }
    Ok(html! {
        form class="selection" {
            style { (PreEscaped(rules)) }
            div class="facets" {
                @for (facet, Facet { name, values }) in selection.facets.iter().enumerate() {
                    label {
                        (name)
                        select {
                            option { "all" }
                            @for (value, text) in values.iter().enumerate() {
                                option class=(tag_class((facet, value))) { (text) }
                            }
                        }
                    }
                }
                button type="reset" { "Show all" }
            }
            (blocks(&selection.blocks)?)
        }
    })
}

fn facts(facts: &Facts) -> Markup {
    html! { dl { @for (name, lines) in &facts.0 {
        dt { (inline(name)) }
        dd { @for line in lines { div { (inline(line)) } } }
    } } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::charts::SERIES;
    use crate::render::document::{Line, Table};

    #[test]
    fn rows_are_chosen_by_the_style_sheet() {
        let things = [("a", 0), ("b", 1)];
        let table = Table::of("Things", &things).words(0, "thing", |(name, _)| *name);
        let table = table
            .tagged(|(_, value)| vec![(0, *value)])
            .anchored("thing-");
        let mut document = Document::new("Things");
        document.push(Block::Selection(Selection {
            facets: vec![Facet {
                name: "kind",
                values: vec!["one".to_owned(), "<other>".to_owned()],
            }],
            blocks: vec![Block::Table(table.into())],
        }));
        let page = write(&document).unwrap();
        for expected in [
            ".selection:has(option.t0-1:checked) tr.tagged:not(.t0-1){display:none}",
            "<option class=\"t0-1\">&lt;other&gt;</option>",
            "<tr class=\"tagged t0-0\" id=\"thing-1\">",
        ] {
            assert!(page.contains(expected), "{expected}: {page}");
        }
    }

    #[test]
    fn a_conclusion_is_the_heading() {
        let mut document = Document::new("Comparison");
        document.verdict(Line::default().mark(Tone::Bad, "Slower: TPS"));
        let page = write(&document).unwrap();
        assert!(
            page.contains("<title>Comparison: Slower: TPS</title>"),
            "{page}"
        );
        assert_eq!(page.matches("Slower: TPS").count(), 2, "{page}");
        assert!(page.contains("<h1><span class=\"mark bad\">"), "{page}");
    }

    /// How much lighter one colour is than the other, as WCAG 2 defines it: 1 to 21.
    fn contrast(a: &str, b: &str) -> f64 {
        let luminance = |hex: &str| {
            let channel = |place: usize| {
                let value = u8::from_str_radix(&hex[place..place + 2], 16).unwrap();
                let share = f64::from(value) / 255.0;
                if share <= 0.040_45 {
                    share / 12.92
                } else {
                    ((share + 0.055) / 1.055).powf(2.4)
                }
            };
            0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5) + 0.05
        };
        let (a, b) = (luminance(a), luminance(b));
        f64::max(a, b) / f64::min(a, b)
    }

    #[test]
    fn text_and_curves_can_be_told_from_what_is_behind_them() {
        // On screen in light and in dark, and on paper.
        let schemes: Vec<&str> = STYLE.split(":root {").skip(1).collect();
        assert_eq!(schemes.len(), 3);
        for scheme in schemes {
            let colour = |name: &str| {
                let begin = scheme.split(&format!("--{name}: ")).nth(1);
                &begin.unwrap_or_else(|| panic!("no {name}"))[..7]
            };
            let legible = |text: &str, back: &str, least: f64| {
                let found = contrast(colour(text), colour(back));
                assert!(found >= least, "{text} on {back}: {found:.2} in {scheme}");
            };
            for back in ["page", "card"] {
                for text in ["text", "muted", "good", "bad", "warn", "link"] {
                    legible(text, back, 4.5);
                }
                legible("stall", back, 3.0);
                for place in 0..SERIES {
                    legible(&format!("s{place}"), back, 3.0);
                }
            }
            for tone in ["good", "bad", "warn"] {
                legible(tone, &format!("{tone}-back"), 4.5);
            }
        }
    }
}
