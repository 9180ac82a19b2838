//! Sides of a comparison that were loaded differently: what of them is judged, and what is not.

use crate::record::comparison::{ComparisonRecord, Metric};

/// Knobs of the load, as differences name them: with more in flight or more arrivals every
/// transfer waits longer, which says nothing of the server.
const LOAD: [&str; 3] = ["concurrency", "inflight", "rate"];

/// Those of them that were turned; `None` where both sides were loaded alike.
pub(super) fn load_knobs(record: &ComparisonRecord) -> Option<String> {
    let differences = record.differences.iter();
    let loads = differences.filter(|one| LOAD.contains(&one.field.as_str()));
    let each = loads.map(|one| format!("{} {} → {}", one.field, one.base, one.candidate));
    let each = each.collect::<Vec<_>>().join(", ");
    (!each.is_empty()).then_some(each)
}

/// Whether a change of this is better or worse: not latency of sides that were loaded differently.
pub(in crate::render) fn is_judged(record: &ComparisonRecord, metric: Metric) -> bool {
    metric == Metric::Tps || load_knobs(record).is_none()
}

/// A change of what is not judged.
pub(in crate::render) fn unjudged(ratio: f64) -> &'static str {
    if ratio > 1.0 { "higher" } else { "lower" }
}
