//! What a sync costs by each method: the median round with its interval.

use super::{Axis, Chart, Ink, Mark, Panel, Size, to_f64};
use crate::disk::SyncSeries;
use crate::render::records::sync_figures::{in_interval, median_round, methods_table, name};

const SYNC: Ink = Ink::Series(0);

/// A dot for each method and pattern.
pub(in crate::render) fn syncs(methods: &[SyncSeries]) -> Option<Chart> {
    let with = methods.iter().map(|it| (it, median_round(it)));
    let with: Vec<_> = with.collect();
    let ends = with.iter().flat_map(|(_, it)| [it.low, it.high]);
    let x = Axis::log("µs of a sync (log)", ends);
    let mut marks = Vec::new();
    for (place, (series, mean)) in with.iter().enumerate() {
        let (top, at) = (to_f64(place), to_f64(place) + 0.7);
        let figure = format!("{} µs", in_interval(mean, |it| it.median));
        marks.push(Mark::Title(top + 0.28, name(series), (figure, Ink::Text)));
        let [low, middle, high] = [mean.low, mean.median, mean.high].map(|us| x.at(us));
        marks.push(Mark::Line(vec![(low, at), (high, at)], SYNC, 4));
        marks.push(Mark::Dot((middle, at), SYNC));
    }
    let chart = Chart::new(
        "A sync by each method",
        "The median round, and the interval of that.",
        vec![Panel::of_lines(x, with.len(), marks)],
        methods_table(methods),
    );
    (!with.is_empty()).then(|| chart.sized(Size::Full))
}
