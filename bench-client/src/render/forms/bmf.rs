//! Bencher Metric Format: benchmark, measure, value with the interval in its bounds.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::record::comparison::Metric;
use crate::render::forms::Form;
use crate::render::forms::tracked;
use crate::render::forms::tracked::Tracked;

/// For Bencher.
pub const FORM: Form = Form::plain(
    "bmf",
    "Bencher Metric Format, the intervals as bounds",
    |report, _| Ok(to_json(&tracked::of_report(report)?)?),
);

/// A value and its interval, if it has one: bounds that equal the value would call it exact.
#[derive(Debug, Serialize)]
struct Measure {
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lower_value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upper_value: Option<f64>,
}

/// The slug of a measure. It carries the unit: Bencher makes measures that it does not know
/// without one.
const fn slug(metric: Metric) -> &'static str {
    match metric {
        Metric::Tps => "tps",
        Metric::P50 => "p50-ms",
        Metric::P95 => "p95-ms",
        Metric::P99 => "p99-ms",
    }
}

/// The file.
///
/// # Errors
/// A value cannot be written as JSON.
pub fn to_json(tracked: &[Tracked]) -> serde_json::Result<String> {
    let mut benchmarks: BTreeMap<&str, BTreeMap<&str, Measure>> = BTreeMap::new();
    for one in tracked {
        let measure = Measure {
            value: one.value,
            lower_value: one.interval.map(|[low, _]| low),
            upper_value: one.interval.map(|[_, high]| high),
        };
        let benchmark = benchmarks.entry(&one.name).or_default();
        benchmark.insert(slug(one.metric), measure);
    }
    Ok(serde_json::to_string_pretty(&benchmarks)? + "\n")
}
