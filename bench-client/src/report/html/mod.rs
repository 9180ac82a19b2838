//! One page that needs nothing else: no script, no network, charts as inline `<svg>`, each
//! with the table of its data.

mod axis;
mod budget;
mod canvas;
mod chart;
mod compare;
mod ladder;
mod latency;
mod page;
mod sweep;
mod timeline;

pub use canvas::DrawError;

use crate::record::load_record::{ReadError, Report, Shown};
use crate::report::forms::Form;

/// For a browser.
pub const FORM: Form = Form::plain(
    "html",
    "One page with charts that needs nothing else",
    |report, _| Ok(to_html(report)?),
);

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum HtmlError {
    /// A record's histogram cannot be decoded.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A chart cannot be drawn.
    #[error(transparent)]
    Draw(#[from] DrawError),
}

/// The page.
///
/// # Errors
/// A record's histogram cannot be decoded, or a chart cannot be drawn.
pub fn to_html(report: &Report) -> Result<String, HtmlError> {
    let all = report.rows();
    let sections = compare::sections(report)?;
    // Runs of a comparison are shown round by round: charts of each alone would bury that.
    let compared = |record: usize| report.records[record].comparison.is_some();
    let rows: Vec<Shown<'_>> = all
        .iter()
        .filter(|shown| !compared(shown.record))
        .copied()
        .collect();
    let mut charts = Vec::new();
    charts.extend(ladder::ladder(report, &rows)?);
    charts.extend(ladder::predictions(&rows)?);
    charts.extend(latency::spectra(report, &rows)?);
    charts.extend(sweep::rates(&rows)?);
    charts.extend(sweep::contention(&rows)?);
    charts.extend(sweep::heat_maps(&rows)?);
    charts.extend(budget::transfers(&rows)?);
    charts.extend(budget::seconds(&rows)?);
    charts.extend(timeline::timelines(&rows)?);
    charts.extend(latency::syncs(report, &rows)?);
    Ok(page::page(report, &all, &sections, &charts).into_string())
}
