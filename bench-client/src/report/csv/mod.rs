//! Rows, or their intervals, as CSV with a header row. A cell without a value is empty.
//!
//! The columns do not depend on what was measured, so that files of several runs can be put
//! together.

mod columns;

use self::columns::{INTERVAL_COLUMNS, Line, ROW_COLUMNS};
use crate::record::load_record::Report;

fn lines(report: &Report) -> Vec<Line<'_>> {
    let rows = report.rows().into_iter();
    rows.map(|shown| {
        let record = &report.records[shown.record];
        Line {
            file: &record.file,
            started_at: &record.record.environment.started_at,
            shown,
        }
    })
    .collect()
}

/// One line for each row, with every single figure of it.
///
/// # Errors
/// A line cannot be put together.
pub fn to_csv(report: &Report) -> Result<String, csv::Error> {
    let lines = lines(report);
    let cells = lines
        .iter()
        .map(|line| ROW_COLUMNS.iter().map(|(_, cell)| cell(line)).collect());
    write(ROW_COLUMNS.iter().map(|(name, _)| *name), cells)
}

/// One line for each interval of each row.
///
/// # Errors
/// A line cannot be put together.
pub fn series_to_csv(report: &Report) -> Result<String, csv::Error> {
    let lines = lines(report);
    let cells = lines.iter().flat_map(|line| {
        line.row().intervals.iter().map(move |interval| {
            INTERVAL_COLUMNS
                .iter()
                .map(|(_, cell)| cell(line, interval))
                .collect()
        })
    });
    write(INTERVAL_COLUMNS.iter().map(|(name, _)| *name), cells)
}

fn write(
    header: impl Iterator<Item = &'static str>,
    lines: impl Iterator<Item = Vec<String>>,
) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(header)?;
    for line in lines {
        writer.write_record(line)?;
    }
    let bytes = writer
        .into_inner()
        .map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
