//! TPS row by row: the ladder with the article's figures and the disk's ceilings, and what
//! the model predicts beside what was measured.

use plotters::style::text_anchor::HPos;

use super::axis::Axis;
use super::canvas::{DrawError, Ink, Mark, Panel, beside};
use super::chart::{Chart, ink};
use crate::figures::{known, rate};
use crate::record::load_record::{Report, Shown, Standing};
use crate::report::table::prediction_error;

/// Height of a row with its text, and of what is around all of them.
const ROW: u32 = 78;
const AROUND: u32 = 120;
const MEASURED: Ink = Ink::Series(0);
const ARTICLE: Ink = Ink::Series(1);
const CEILING: Ink = Ink::Series(2);
const PREDICTED: Ink = Ink::Series(3);

/// A bar with its name and figure above it, and marks on its line.
struct Rung {
    name: String,
    figure: String,
    ink: Ink,
    value: f64,
    /// Only quoted, or invalid: an outline.
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
        ink: ink(shown, MEASURED),
        value: shown.row.tps,
        hollow: matches!(shown.standing(), Standing::Invalid | Standing::NullServer),
        open_end: shown.standing() == Standing::AtLeast,
        diamond: None,
        line: None,
    }
}

fn panel(rungs: &[Rung]) -> Panel {
    let values = rungs.iter().flat_map(|rung| {
        [
            Some(rung.value),
            rung.diamond.map(|(at, _)| at),
            rung.line.map(|(at, _)| at),
        ]
    });
    // The least bar is to be seen too.
    let values = values.flatten().flat_map(|value| [value, value * 0.7]);
    let x = Axis::log("TPS (log scale)", values);
    let mut marks = Vec::new();
    let mut top = 0.0;
    for rung in rungs {
        let (words, from, to) = (top + 0.26, top + 0.52, top + 0.92);
        let end = x.at(rung.value);
        if rung.value > 0.0 {
            if rung.hollow {
                marks.push(Mark::Frame((x.low(), from), (end, to), rung.ink));
            } else {
                marks.push(Mark::Bar((x.low(), from), (end, to), rung.ink, 0.85));
            }
        }
        if rung.open_end {
            let middle = f64::midpoint(from, to);
            marks.push(Mark::Words(
                (end, middle),
                " ▶".to_owned(),
                rung.ink,
                HPos::Left,
            ));
        }
        if let Some((at, ink)) = rung.line.filter(|(at, _)| *at > 0.0) {
            let at = x.at(at);
            marks.push(Mark::Line(vec![(at, from), (at, to)], ink, 6));
        }
        if let Some((at, ink)) = rung.diamond.filter(|(at, _)| *at > 0.0) {
            marks.push(Mark::Diamond((x.at(at), f64::midpoint(from, to)), ink));
        }
        let name = beside(&rung.name, &rung.figure);
        marks.push(Mark::Words((x.low(), words), name, Ink::Text, HPos::Left));
        let ink = if rung.ink == Ink::Bad {
            Ink::Bad
        } else {
            Ink::Text
        };
        marks.push(Mark::Words(
            (x.high(), words),
            rung.figure.clone(),
            ink,
            HPos::Right,
        ));
        top += 1.0;
    }
    let count = u32::try_from(rungs.len()).unwrap_or(u32::MAX);
    Panel {
        x,
        y: Axis::places(top),
        marks,
        height: ROW.saturating_mul(count).saturating_add(AROUND),
    }
}

/// All rows, with the article's figures and the ceilings where a record is a reproduction.
pub(super) fn ladder(report: &Report, rows: &[Shown<'_>]) -> Result<Option<Chart>, DrawError> {
    if rows.is_empty() {
        return Ok(None);
    }
    let mut rungs = Vec::new();
    let mut table = Vec::new();
    for shown in rows {
        let article = shown.article;
        let ceiling = article.and_then(|article| article.ceiling.as_ref()?.tps);
        rungs.push(Rung {
            diamond: article.map(|article| (article.article_tps, ARTICLE)),
            line: ceiling.map(|tps| (tps, CEILING)),
            ..rung(shown)
        });
        table.push(vec![
            shown.label.to_owned(),
            shown.tps(),
            article.map_or_else(String::new, |article| rate(article.article_tps)),
            ceiling.map_or_else(String::new, rate),
        ]);
    }
    for figure in report.records.iter().flat_map(|record| &record.vendor) {
        let name = format!("{} (quoted)", figure.name);
        table.push(vec![
            name.clone(),
            rate(figure.tps),
            String::new(),
            String::new(),
        ]);
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
    let compared = rows.iter().any(|shown| shown.article.is_some());
    let mut legend = vec![(MEASURED, "measured".to_owned())];
    if rows.iter().any(|shown| !shown.row.valid) {
        legend.push((Ink::Bad, "INVALID: not to be quoted".to_owned()));
    }
    if rows.iter().any(|one| one.standing() == Standing::AtLeast) {
        legend.push((
            MEASURED,
            "▶ at least: the generator may be the limit".to_owned(),
        ));
    }
    if compared {
        legend.push((ARTICLE, "the article (diamond)".to_owned()));
        legend.push((CEILING, "this disk's ceiling (line)".to_owned()));
    }
    if rungs.iter().any(|rung| rung.ink == Ink::Muted) {
        legend.push((Ink::Muted, "vendor's figure, not measured".to_owned()));
    }
    let about = "Committed transfers per second of each row, on a logarithmic scale.";
    let header = ["row", "TPS", "article TPS", "ceiling TPS"];
    let columns = if compared { 4 } else { 2 };
    for line in &mut table {
        line.truncate(columns);
    }
    let chart = Chart::new(
        "TPS ladder",
        about,
        &[panel(&rungs)],
        &header[..columns],
        table,
    )?;
    Ok(Some(chart.with_legend(legend)))
}

/// Predicted beside measured.
pub(super) fn predictions(rows: &[Shown<'_>]) -> Result<Option<Chart>, DrawError> {
    let mut rungs = Vec::new();
    let mut table = Vec::new();
    for shown in rows {
        let Some(model) = &shown.row.prediction else {
            continue;
        };
        let error = prediction_error(model.tps, shown.row.tps);
        rungs.push(Rung {
            diamond: Some((model.tps, PREDICTED)),
            figure: format!("{} (error {error})", shown.tps()),
            ..rung(shown)
        });
        table.push(vec![
            shown.label.to_owned(),
            model.limit_in_words().to_owned(),
            shown.tps(),
            rate(model.tps),
            error,
            known(shown.row.latency_ms.p50, |p50| format!("{p50:.2}")),
            format!("{:.2}", model.p50_ms),
        ]);
    }
    if rungs.is_empty() {
        return Ok(None);
    }
    let header = [
        "row",
        "bottleneck",
        "TPS",
        "predicted TPS",
        "error",
        "p50 ms",
        "predicted p50 ms",
    ];
    let about = "What the group-commit model expects of each row beside what was measured; in \
                 brackets its error: predicted ÷ measured − 1.";
    let chart = Chart::new(
        "Predicted and measured TPS",
        about,
        &[panel(&rungs)],
        &header,
        table,
    )?;
    Ok(Some(chart.with_legend(vec![
        (MEASURED, "measured".to_owned()),
        (PREDICTED, "predicted (diamond)".to_owned()),
    ])))
}
