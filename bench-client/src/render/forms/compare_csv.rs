//! Comparisons as CSV: a header row, and a line for each metric. A cell without a value is
//! empty.

use crate::record::comparison::{Change, ComparisonRecord};
use crate::render::records::comparison::side;

const COLUMNS: [&str; 27] = [
    "file",
    "started_at",
    "base",
    "candidate",
    "rounds",
    "valid",
    "metric",
    "unit",
    "more_is_better",
    "base_runs",
    "base_median",
    "base_low",
    "base_high",
    "base_variation",
    "candidate_runs",
    "candidate_median",
    "candidate_low",
    "candidate_high",
    "candidate_variation",
    "ratio",
    "ratio_low",
    "ratio_high",
    "confidence",
    "change",
    "within",
    "more_rounds",
    "smallest_effect",
];

/// One line for each metric of each comparison, which come with the names of their files.
///
/// # Errors
/// A line cannot be put together.
pub(super) fn to_csv<'a>(
    comparisons: impl IntoIterator<Item = (&'a str, &'a ComparisonRecord)>,
) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    for (file, record) in comparisons {
        for one in &record.metrics {
            let (change, within, more) = match one.change {
                Change::Faster => ("faster", None, None),
                Change::Slower => ("slower", None, None),
                Change::NoDifference { within } => ("no_difference", Some(within), None),
                Change::Inconclusive { more_rounds } => ("inconclusive", None, more_rounds),
            };
            let floor = record
                .noise_floor
                .iter()
                .find(|floor| floor.metric == one.metric);
            let line: [String; COLUMNS.len()] = [
                file.to_owned(),
                record.environment.started_at.clone(),
                side(&record.base),
                side(&record.candidate),
                record.rounds.len().to_string(),
                record.valid.to_string(),
                one.metric.as_str().to_owned(),
                one.metric.unit().to_owned(),
                one.metric.more_is_better().to_string(),
                one.base.count.to_string(),
                one.base.median.to_string(),
                one.base.low.to_string(),
                one.base.high.to_string(),
                one.base.variation.to_string(),
                one.candidate.count.to_string(),
                one.candidate.median.to_string(),
                one.candidate.low.to_string(),
                one.candidate.high.to_string(),
                one.candidate.variation.to_string(),
                one.ratio.to_string(),
                one.low.to_string(),
                one.high.to_string(),
                one.confidence.to_string(),
                change.to_owned(),
                within.map_or_else(String::new, |within| within.to_string()),
                more.map_or_else(String::new, |more| more.to_string()),
                floor
                    .and_then(|floor| floor.smallest_effect)
                    .map_or_else(String::new, |effect| effect.to_string()),
            ];
            writer.write_record(line)?;
        }
    }
    let bytes = writer
        .into_inner()
        .map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
