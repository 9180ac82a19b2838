//! `HdrHistogram` interval logs.
//!
//! The form is that of the Java `HistogramLogWriter`, version 1.3: what reads its logs reads
//! these. Values are nanoseconds; the third column is in milliseconds, for people.

use std::time::{Duration, SystemTime};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use jiff::Timestamp;

use crate::record::load_record::{ReadError, Report, Shown};
use crate::render::forms::Form;

/// For tools of `HdrHistogram`.
pub const FORM: Form = Form::plain("hlog", "HdrHistogram interval log", |report, _| {
    Ok(to_hlog(report)?)
});

/// Nanoseconds in a millisecond.
const NS_PER_MS: f64 = 1e6;

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A histogram cannot be decoded.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A histogram cannot be written.
    #[error("a histogram cannot be written: {0}")]
    Write(String),
}

/// The log: a line for each interval, or one for the window of a row without intervals.
///
/// # Errors
/// A histogram of the record cannot be decoded.
pub fn to_hlog(report: &Report) -> Result<String, LogError> {
    let starts: Vec<Timestamp> = report
        .records
        .iter()
        .map(|one| {
            let started = &one.record.environment.started_at;
            started.parse().unwrap_or(Timestamp::UNIX_EPOCH)
        })
        .collect();
    let base = starts.iter().min().copied().unwrap_or_default();
    let mut out = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut builder = IntervalLogWriterBuilder::new();
    builder
        .add_comment("[Histogram log format version 1.3]")
        .add_comment("[Values in nanoseconds; Interval_Max in milliseconds]")
        .add_comment(
            "[The rows of a record follow each other; what passed between them is left out]",
        )
        .add_comment(
            "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"",
        )
        .with_start_time(SystemTime::from(base))
        .with_base_time(SystemTime::from(base))
        .with_max_value_divisor(NS_PER_MS);
    let failed = |error: &dyn std::fmt::Display| LogError::Write(error.to_string());
    let mut log = builder
        .begin_log_with(&mut out, &mut serializer)
        .map_err(|error| failed(&error))?;
    let mut record = None;
    let mut clock = 0.0;
    for shown in report.rows() {
        if record != Some(shown.record) {
            record = Some(shown.record);
            clock = starts[shown.record].duration_since(base).as_secs_f64();
        }
        let row = shown.row;
        clock += row.config.load.warmup.as_secs_f64().max(0.0);
        let tag = tag(&shown);
        for (start, length, text) in lines(&shown) {
            let histogram = report.histogram(&shown, text)?;
            log.write_histogram(
                &histogram,
                seconds(clock + start),
                seconds(length),
                Tag::new(&tag),
            )
            .map_err(|error| failed(&error))?;
        }
        clock += row.seconds.max(0.0);
    }
    String::from_utf8(out).map_err(|error| failed(&error))
}

/// Start within the window, length, and histogram.
fn lines<'a>(shown: &Shown<'a>) -> Vec<(f64, f64, &'a str)> {
    let row = shown.row;
    let intervals: Vec<_> = row
        .intervals
        .iter()
        .filter(|interval| !interval.latency_histogram.is_empty())
        .map(|one| (one.start_s, one.seconds, one.latency_histogram.as_str()))
        .collect();
    if intervals.is_empty() {
        vec![(0.0, row.seconds, row.latency_histogram.as_str())]
    } else {
        intervals
    }
}

/// The row's label, without what a tag must not hold.
fn tag(shown: &Shown<'_>) -> String {
    let mut tag = String::new();
    for character in shown.label.chars() {
        if !(character == ',' || character.is_whitespace() || character.is_control()) {
            tag.push(character);
        } else if !tag.ends_with('_') {
            tag.push('_');
        }
    }
    tag
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
