//! TPS row by row: the ladder with the article's figures and the disk's ceilings, and what
//! the model predicts beside what was measured.

use super::{Axis, Chart, Ink, Mark, Panel, Side};
use crate::figures::{known, ms, rate};
use crate::record::load_record::{Report, Shown, Standing};
use crate::render::records::words::{error_of_p50, error_of_tps, tps};
use crate::render::table::Table;

const MEASURED: Ink = Ink::Series(0);
const ARTICLE: Ink = Ink::Series(1);
const CEILING: Ink = Ink::Series(2);
const PREDICTED: Ink = Ink::Series(3);

/// A dot with its name and figure above it, and other marks on its line.
struct Rung {
    name: String,
    figure: String,
    ink: Ink,
    value: f64,
    /// Only quoted, or invalid: a ring.
    hollow: bool,
    /// To be read as "at least".
    open_end: bool,
    /// Drawn as a diamond.
    diamond: Option<(f64, Ink)>,
    /// Drawn as a line across.
    line: Option<(f64, Ink)>,
}

fn rung(shown: &Shown<'_>) -> Rung {
    Rung {
        name: shown.label.to_owned(),
        figure: shown.tps(),
        ink: MEASURED.of(shown),
        value: shown.row.tps,
        hollow: matches!(shown.standing(), Standing::Invalid | Standing::NullServer),
        open_end: shown.standing() == Standing::AtLeast,
        diamond: None,
        line: None,
    }
}

fn panel(rungs: &[Rung]) -> Panel {
    let values = rungs.iter().flat_map(|rung| {
        let marks = [rung.diamond, rung.line].into_iter().flatten();
        marks.map(|(at, _)| at).chain([rung.value])
    });
    let x = Axis::log("TPS (log)", values);
    let mut marks = Vec::new();
    for (place, rung) in rungs.iter().enumerate() {
        let top = super::to_f64(place);
        let (from, to) = (top + 0.44, top + 0.76);
        let middle = f64::midpoint(from, to);
        let end = x.at(rung.value);
        marks.push(Mark::Line(
            vec![(x.low(), middle), (x.high(), middle)],
            Ink::Grid,
            2,
        ));
        if rung.value > 0.0 {
            let at = (end, middle);
            marks.push(if rung.hollow {
                Mark::Ring(at, rung.ink)
            } else {
                Mark::Dot(at, rung.ink)
            });
        }
        if rung.open_end {
            let arrow = "  ▶".to_owned();
            marks.push(Mark::Words((end, middle), arrow, rung.ink, Side::Left));
        }
        if let Some((at, ink)) = rung.line.filter(|(at, _)| *at > 0.0) {
            let at = x.at(at);
            marks.push(Mark::Line(vec![(at, from), (at, to)], ink, 6));
        }
        if let Some((at, ink)) = rung.diamond.filter(|(at, _)| *at > 0.0) {
            marks.push(Mark::Diamond((x.at(at), middle), ink));
        }
        let ink = if rung.ink == Ink::Bad {
            Ink::Bad
        } else {
            Ink::Text
        };
        marks.push(Mark::Title(
            top + 0.22,
            rung.name.clone(),
            (rung.figure.clone(), ink),
        ));
    }
    Panel::of_lines(x, rungs.len(), marks)
}

/// All rows, with the article's figures and the ceilings where a record is a reproduction.
pub(in crate::render) fn ladder(report: &Report, rows: &[Shown<'_>]) -> Option<Chart> {
    if rows.len() < 2 {
        return None;
    }
    let article = |shown: &Shown<'_>| shown.article?.article_tps;
    let ceiling = |shown: &Shown<'_>| shown.article?.ceiling.as_ref()?.tps;
    let mut rungs: Vec<Rung> = rows
        .iter()
        .map(|shown| Rung {
            diamond: article(shown).map(|tps| (tps, ARTICLE)),
            line: ceiling(shown).map(|tps| (tps, CEILING)),
            ..rung(shown)
        })
        .collect();
    let data = Table::of("", rows)
        .words(0, "row", |shown| shown.label)
        .number(0, "TPS", tps)
        .number(0, "article TPS", |shown| article(shown).map(rate))
        .number(0, "ceiling TPS", |shown| ceiling(shown).map(rate));
    let mut data = Table::from(data);
    for figure in report.records.iter().flat_map(|record| &record.vendor) {
        let name = format!("{} (quoted)", figure.name);
        let mut cells = vec![name.as_str().into(), rate(figure.tps).into()];
        cells.resize(data.columns.len(), "".into());
        data.rows.push(cells);
        rungs.push(Rung {
            name,
            figure: rate(figure.tps),
            ink: Ink::Muted,
            value: figure.tps,
            hollow: true,
            open_end: false,
            diamond: None,
            line: None,
        });
    }
    let standing = |standing| rows.iter().any(|one| one.standing() == standing);
    let compared = rows.iter().any(|shown| shown.article.is_some());
    let of_article = [
        (ARTICLE, "as published (diamond)"),
        (CEILING, "this disk's ceiling (line)"),
    ];
    let bound = (MEASURED, "▶ at least: the generator may be the limit");
    let quoted = (Ink::Muted, "vendor's figure, not measured (ring)");
    let about = "Committed transfers per second of each row, on a logarithmic scale.";
    let chart = Chart::new("TPS ladder", about, vec![panel(&rungs)], data)
        .with_legend([(MEASURED, "measured (dot)")])
        .with_invalid(standing(Standing::Invalid))
        .with_legend(standing(Standing::AtLeast).then_some(bound))
        .with_legend(of_article.into_iter().filter(|_| compared))
        .with_legend(
            rungs
                .iter()
                .any(|rung| rung.ink == Ink::Muted)
                .then_some(quoted),
        );
    Some(chart)
}

/// What the model makes of the rows beside what was measured.
pub(in crate::render) fn predictions(rows: &[Shown<'_>]) -> Option<Chart> {
    let with = rows
        .iter()
        .filter_map(|shown| Some((*shown, shown.row.prediction.as_ref()?)));
    let with: Vec<_> = with.collect();
    if with.len() < 2 {
        return None;
    }
    let rungs = with.iter().map(|(shown, model)| Rung {
        diamond: Some((model.tps, PREDICTED)),
        figure: format!("{} (error {})", shown.tps(), error_of_tps(model, shown.row)),
        ..rung(shown)
    });
    let data = Table::of("", &with)
        .words(0, "row", |(shown, _)| shown.label)
        .words(0, "bottleneck", |(_, model)| model.limit_in_words())
        .number(0, "TPS", |(shown, _)| tps(shown))
        .number(0, "fitted TPS", |(_, model)| rate(model.tps))
        .number(0, "error", |(shown, model)| error_of_tps(model, shown.row))
        .number(0, "p50 ms", |(shown, _)| {
            known(shown.row.latency_ms.p50, ms)
        })
        .number(0, "fitted p50 ms", |(_, model)| ms(model.p50_ms))
        .number(0, "error of p50", |(shown, model)| {
            error_of_p50(model, shown.row)
        });
    let about = "What the group-commit model makes of each row's own costs beside what was \
                 measured: a fit, no forecast; in brackets its error: fitted ÷ measured − 1.";
    let panels = vec![panel(&rungs.collect::<Vec<_>>())];
    let chart = Chart::new("Fitted and measured TPS", about, panels, data);
    Some(chart.with_legend([
        (MEASURED, "measured (dot)"),
        (PREDICTED, "fitted (diamond)"),
    ]))
}
