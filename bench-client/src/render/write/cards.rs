//! Charts on a page: each on a card with its legend and the table of its data, and the cards beside
//! each other so that no hole is left.

use maud::{Markup, PreEscaped, html};

use super::svg::{DrawError, draw};
use super::table::table;
use crate::render::charts::{Chart, Ink, SERIES, Size};

/// Charts of one size beside each other. Half a width that nothing stands beside takes all of it,
/// so that no hole is left.
pub(super) fn arranged(charts: &[Chart]) -> Result<Markup, DrawError> {
    let mut parts = Vec::new();
    for run in charts.chunk_by(|a, b| a.size == b.size) {
        let (rows, alone) = match (run[0].size, run) {
            (Size::Half, [pairs @ .., last]) if run.len() % 2 == 1 => {
                (pairs, Some((last, Size::Full)))
            }
            (Size::Small, [last]) => (&run[..0], Some((last, Size::Full))),
            // What makes neither rows of two nor of three.
            (Size::Small, [rows @ .., last]) if columns(run.len()) == 1 => {
                (rows, Some((last, Size::Full)))
            }
            _ => (run, None),
        };
        let of = |(chart, size): (&Chart, Size)| figure(chart, size);
        let rows = rows.iter().map(|chart| of((chart, chart.size)));
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        let alone = alone.map(of).transpose()?;
        parts.push(html! {
            @if !rows.is_empty() {
                div class={ "charts " (size_class(run[0].size)) " of-" (columns(rows.len())) } { @for one in rows { (one) } }
            }
            @if let Some(one) = alone { div class="charts" { (one) } }
        });
    }
    Ok(html! { @for part in parts { (part) } })
}

/// In how many columns small charts leave no hole.
const fn columns(count: usize) -> usize {
    match count {
        count if count.is_multiple_of(3) => 3,
        count if count.is_multiple_of(4) => 4,
        count if count.is_multiple_of(2) => 2,
        _ => 1,
    }
}

const fn size_class(size: Size) -> &'static str {
    match size {
        Size::Half => "half",
        Size::Full => "full",
        Size::Small => "small",
        Size::Multiples => "multiples",
    }
}

/// A chart with its legend and the table of its data, at a size.
fn figure(chart: &Chart, size: Size) -> Result<Markup, DrawError> {
    let drawings = draw(chart)?;
    let one = if drawings.len() == 1 { " one" } else { "" };
    Ok(html! {
        figure class={ (size_class(size)) (one) } {
            h3 { (chart.title) }
            p { (chart.about) }
            div class="body" {
                div class="panels" {
                    @for (panel, svg) in chart.panels.iter().zip(drawings) {
                        div {
                            @if !panel.name.is_empty() { p { (panel.name) } }
                            (PreEscaped(svg))
                        }
                    }
                }
                @if !chart.legend.is_empty() { (legend(chart)) }
            }
            details {
                summary { "Data: " (chart.title) }
                (table(&chart.data))
            }
        }
    })
}

fn legend(chart: &Chart) -> Markup {
    let can_be_switched = |(ink, _): &(Ink, String)| ink.class().is_some();
    let curves = chart
        .legend
        .iter()
        .filter(|one| can_be_switched(one))
        .count();
    html! {
        form class="legend" {
            @for one @ (ink, what) in &chart.legend {
                @match ink.class().filter(|_| curves > 1) {
                    Some(class) => label class=(class) {
                        input type="checkbox" class=(class) checked;
                        (swatch(one)) (what)
                    },
                    None => span { (swatch(one)) (what) },
                }
            }
            @if curves > 2 { button type="reset" { "Show all" } }
        }
    }
}

/// A piece of what is drawn in this ink.
fn swatch((ink, _): &(Ink, String)) -> Markup {
    let colour = format!("--ink:{}", ink.css());
    let class = match ink {
        Ink::Curve(place) | Ink::BadCurve(place) => match usize::from(*place) / SERIES {
            0 => "swatch line",
            1 => "swatch line dashed",
            _ => "swatch line dotted",
        },
        Ink::Stall => "swatch bar",
        _ => "swatch",
    };
    html! { span class=(class) style=(colour) {} }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::charts::{Axis, Panel};
    use crate::render::document::Table;

    fn chart(size: Size) -> Chart {
        let axis = || Axis::linear("", [1.0]);
        let chart = Chart::new(
            "A chart",
            "",
            vec![Panel::new(axis(), axis(), 300, Vec::new())],
            Table::default(),
        );
        Chart { size, ..chart }
    }

    #[test]
    fn half_a_width_alone_takes_all_of_it() {
        let classes = |charts: &[Chart]| {
            let page = arranged(charts).unwrap().into_string();
            let figures = page.split("<figure class=\"").skip(1);
            let classes = figures.map(|rest| rest.split('"').next().unwrap().to_owned());
            classes.collect::<Vec<_>>()
        };
        let half = || chart(Size::Half);
        assert_eq!(classes(&[half()]), ["full one"]);
        assert_eq!(classes(&[half(), half()]), ["half one", "half one"]);
        assert_eq!(
            classes(&[half(), half(), half(), chart(Size::Small)]),
            ["half one", "half one", "full one", "full one"]
        );
    }

    #[test]
    fn a_curve_has_a_switch_where_there_are_several() {
        let with = |count: u8| {
            let curves = (0..count).map(|place| (Ink::Curve(place), format!("curve {place}")));
            let mut chart = chart(Size::Full);
            chart.legend = curves.collect();
            legend(&chart).into_string()
        };
        assert!(!with(1).contains("<input"), "{}", with(1));
        let several = with(9);
        assert_eq!(several.matches("<input").count(), 9, "{several}");
        assert_eq!(
            several.matches("swatch line dashed").count(),
            1,
            "{several}"
        );
        assert!(several.contains("type=\"reset\""), "{several}");
    }

    #[test]
    fn small_cards_leave_no_hole() {
        let small = |count: usize| {
            let charts = vec![chart(Size::Small); count];
            let page = arranged(&charts).unwrap().into_string();
            let of = (1..=4).find(|of| page.contains(&format!("charts small of-{of}")));
            (of, page.matches("<figure class=\"small").count())
        };
        assert_eq!(small(1), (None, 0), "alone it takes the whole width");
        assert_eq!(small(4), (Some(4), 4));
        assert_eq!(small(5), (Some(4), 4), "and one below");
        assert_eq!(small(6), (Some(3), 6));
    }
}
