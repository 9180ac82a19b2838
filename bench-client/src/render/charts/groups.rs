//! Rows that differ in nothing but the knobs that were turned, and a figure of them over a knob.

use std::cmp::Ordering;

use super::{Axis, Ink, Mark};
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

/// A knob or a figure of a row; `None` where it is not known.
pub(super) type Figure = fn(&Row) -> Option<f64>;

/// One figure over a knob: every row as a dot, a line through the medians of the valid ones.
pub(super) fn over(
    members: &[Shown<'_>],
    (x, knob): (&Axis, Figure),
    (y, figure): (&Axis, Figure),
    paint: Ink,
) -> Vec<Mark> {
    let mut marks: Vec<Mark> = members
        .iter()
        .filter_map(|one| {
            let at = (x.at(knob(one.row)?), y.at(figure(one.row)?));
            Some(Mark::Dot(at, paint.of(one)))
        })
        .collect();
    let valid = || members.iter().filter(|one| one.row.valid);
    let line: Vec<(f64, f64)> = values_of(valid(), knob)
        .into_iter()
        .filter_map(|value| {
            let here = valid().filter(|one| knob(one.row) == Some(value));
            let middle = median(here.filter_map(|one| figure(one.row)))?;
            Some((x.at(value), y.at(middle)))
        })
        .collect();
    if line.len() > 1 {
        marks.push(Mark::Line(line, paint, 4));
    }
    marks
}

/// All values of a knob, in order.
pub(super) fn values_of<'a, 'r: 'a>(
    rows: impl IntoIterator<Item = &'a Shown<'r>>,
    knob: Figure,
) -> Vec<f64> {
    distinct(rows.into_iter().filter_map(|one| knob(one.row)))
}

/// Members in the order of a knob.
pub(super) fn sorted<'a>(members: &[Shown<'a>], knob: Figure) -> Vec<Shown<'a>> {
    let mut sorted = members.to_vec();
    sorted.sort_by(|a, b| {
        knob(a.row)
            .partial_cmp(&knob(b.row))
            .unwrap_or(Ordering::Equal)
    });
    sorted
}
