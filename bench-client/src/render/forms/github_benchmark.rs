//! The custom forms of github-action-benchmark: `customBiggerIsBetter` and
//! `customSmallerIsBetter`. A file has one direction, so there are two.

use serde::Serialize;

pub use crate::render::form::Direction;
use crate::render::form::{Form, FormError};
use crate::render::forms::tracked;
use crate::render::forms::tracked::Tracked;

/// For github-action-benchmark, whose files have one direction each.
pub const FORM: Form = Form {
    options: &["direction", "output-dir"],
    pair: Some(|report| {
        let tracked = tracked::of_report(report)?;
        let [bigger, smaller] = Direction::ALL.map(|direction| {
            Ok::<_, FormError>((direction.file_name(), to_json(&tracked, direction)?))
        });
        Ok([bigger?, smaller?])
    }),
    ..Form::plain(
        "github-benchmark",
        "JSON for github-action-benchmark, two files by direction",
        |report, options| {
            let Some(direction) = options.direction else {
                return Err(
                    "a file of github-action-benchmark has one direction: choose it with \
                     --direction, or have both written with --output-dir"
                        .into(),
                );
            };
            Ok(to_json(&tracked::of_report(report)?, direction)?)
        },
    )
};

/// An entry of the file.
#[derive(Debug, Serialize)]
struct Entry<'a> {
    name: String,
    unit: &'static str,
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<String>,
    extra: &'a str,
}

/// The file of a direction; an empty list when nothing is of it.
///
/// # Errors
/// A value cannot be written as JSON.
pub fn to_json(tracked: &[Tracked], direction: Direction) -> serde_json::Result<String> {
    let entries: Vec<Entry<'_>> = tracked
        .iter()
        .filter(|one| one.metric.more_is_better() == (direction == Direction::Bigger))
        .map(|one| Entry {
            name: format!("{} {}", one.name, one.metric.title()),
            unit: one.metric.unit(),
            value: one.value,
            range: one.interval.map(|ends| {
                let [low, high] = ends.map(|end| one.metric.show(end));
                format!("{low} to {high}")
            }),
            extra: &one.extra,
        })
        .collect();
    Ok(serde_json::to_string_pretty(&entries)? + "\n")
}
