//! A chart with what belongs to it: what it shows in a sentence, its legend and its data.

use super::canvas::{DrawError, Ink, Panel, draw};
use crate::record::Row;
use crate::record::load_record::Shown;

/// A picture and the table of what it shows.
#[derive(Debug, Clone)]
pub(super) struct Chart {
    /// What it is.
    pub(super) title: String,
    /// How to read it, in a sentence or two.
    pub(super) about: String,
    /// The picture.
    pub(super) svg: String,
    /// Colours and what they are of.
    pub(super) legend: Vec<(Ink, String)>,
    /// Names of the table's columns.
    pub(super) header: Vec<String>,
    /// The table: text first, then numbers.
    pub(super) rows: Vec<Vec<String>>,
}

impl Chart {
    /// Draws it.
    pub(super) fn new(
        title: impl Into<String>,
        about: impl Into<String>,
        panels: &[Panel],
        header: &[&str],
        rows: Vec<Vec<String>>,
    ) -> Result<Self, DrawError> {
        let (title, about) = (title.into(), about.into());
        Ok(Self {
            svg: draw(&title, &about, panels)?,
            title,
            about,
            legend: Vec::new(),
            header: header.iter().map(|&name| name.to_owned()).collect(),
            rows,
        })
    }

    /// With a legend.
    pub(super) fn with_legend(mut self, legend: Vec<(Ink, String)>) -> Self {
        self.legend = legend;
        self
    }
}

/// The colour of a row: that of its series, unless it is invalid.
pub(super) fn ink(shown: &Shown<'_>, otherwise: Ink) -> Ink {
    if shown.row.valid { otherwise } else { Ink::Bad }
}

/// A knob that a sweep turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Knob {
    Alpha,
    BatchSize,
    InFlight,
    Rate,
}

/// Rows that differ in nothing but these knobs (and the repetition), in order of appearance.
pub(super) fn groups<'a>(rows: &[Shown<'a>], turned: &[Knob]) -> Vec<(String, Vec<Shown<'a>>)> {
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
fn configuration(row: &Row, turned: &[Knob]) -> String {
    let mut parts = vec![
        row.config.subject(),
        row.config.encoding.to_string(),
        row.durability_and_apply(),
    ];
    if row.config.target.durability() != Some(row.durability.as_str())
        && let Some(requested) = &row.config.target.durability()
    {
        parts.push(format!("asked for {requested}"));
    }
    // What all had before it could be chosen goes without saying.
    if let Some(bytes) = row.page_size.filter(|bytes| *bytes != 4096) {
        parts.push(format!("pages of {bytes} bytes"));
    }
    if !turned.contains(&Knob::BatchSize)
        && let Some(size) = row.batch_size
    {
        parts.push(format!("batch {size}"));
    }
    if let Some(wait) = row.batch_timeout_us
        && wait > 0.0
    {
        parts.push(format!("{} ms", wait / 1e3));
    }
    if !turned.contains(&Knob::InFlight) {
        parts.push(format!(
            "{}×{} in flight",
            row.config.load.concurrency, row.config.load.max_inflight_per_worker
        ));
    }
    if !turned.contains(&Knob::Alpha) {
        parts.push(format!("alpha {}", row.config.workload.alpha));
    }
    parts.push(format!("{} accounts", row.config.workload.accounts));
    match (&row.open_loop, turned.contains(&Knob::Rate)) {
        (Some(open), false) => parts.push(format!("{}/s offered", open.offered_tps)),
        (Some(_), true) => parts.push("open loop".to_owned()),
        (None, _) => {}
    }
    parts.join(", ")
}

/// The middle one; `None` of nothing.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        return sorted.get(middle).copied();
    }
    let (low, high) = (sorted.get(middle.checked_sub(1)?)?, sorted.get(middle)?);
    Some(f64::midpoint(*low, *high))
}

/// Values in order, each once.
pub(super) fn distinct(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted.dedup();
    sorted
}
