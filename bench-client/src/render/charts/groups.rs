//! Rows that differ in nothing but the knobs that were turned.

use crate::record::Row;
use crate::record::load_record::{Shown, settings};
use crate::statistics::Estimate;

/// Rows that differ in nothing but these knobs (and the repetition), in order of appearance.
pub(super) fn groups<'a>(rows: &[Shown<'a>], turned: &[&str]) -> Vec<(String, Vec<Shown<'a>>)> {
    let mut groups: Vec<(String, Vec<Shown<'a>>)> = Vec::new();
    for shown in rows {
        let key = configuration(shown.row, turned);
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, members)) => members.push(*shown),
            None => groups.push((key, vec![*shown])),
        }
    }
    groups
}

/// Everything that makes rows unlike, but for the knobs that were turned.
fn configuration(row: &Row, turned: &[&str]) -> String {
    let set = settings(row).into_iter();
    let fixed =
        set.filter(|(knob, text)| *knob != "seed" && !turned.contains(knob) && !text.is_empty());
    let fixed: Vec<String> = fixed.map(|(_, text)| text).collect();
    fixed.join(", ")
}

/// The middle one; `None` of nothing.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.into_iter().collect();
    Some(Estimate::of(&values)?.median)
}

/// Values in order, each once.
pub(super) fn distinct(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted.dedup();
    sorted
}
