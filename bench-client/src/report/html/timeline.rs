//! The window of a row, interval by interval, with the checkpoints marked.

use super::axis::{Axis, short};
use super::canvas::{DrawError, Ink, Mark, Panel};
use super::chart::{Chart, ink};
use crate::figures::{known, ms, rate};
use crate::record::load_record::Shown;
use crate::record::series::Interval;

const TPS: Ink = Ink::Series(0);
const P99: Ink = Ink::Series(1);
const P50: Ink = Ink::Series(2);

/// Thinnest mark of a stall that can be seen, as a share of the axis.
const THINNEST: f64 = 0.004;
/// More intervals than this are a line without dots.
const DOTS: usize = 60;

/// A chart for each row with a series.
pub(super) fn timelines(rows: &[Shown<'_>]) -> Result<Vec<Chart>, DrawError> {
    rows.iter()
        .filter(|shown| shown.row.intervals.len() > 1)
        .map(timeline)
        .collect()
}

fn checkpoints(interval: &Interval) -> u64 {
    interval.checkpoints.unwrap_or(0)
}

/// Seconds of the interval in which a checkpoint kept the writer from committing.
fn stalled_s(interval: &Interval) -> f64 {
    let stalled = interval.checkpoint_stalled_ms.or(interval.checkpoint_ms);
    stalled.unwrap_or(0.0) / 1e3
}

/// What a line shows.
/// `None` where it is not known.
type Figure = fn(&Interval) -> Option<f64>;

fn panel(intervals: &[Interval], title: &str, last: bool, lines: &[(Ink, Figure)]) -> Panel {
    let ends = intervals.iter().map(|one| one.start_s + one.seconds);
    let x = Axis::linear(if last { "seconds of the window" } else { "" }, ends);
    let values = intervals
        .iter()
        .flat_map(|one| lines.iter().filter_map(|(_, value)| value(one)));
    let y = Axis::linear(title, values);
    let mut marks = Vec::new();
    for stall in intervals.iter().filter(|one| checkpoints(one) > 0) {
        let middle = stall.start_s + stall.seconds / 2.0;
        let half = stalled_s(stall).max(THINNEST * x.high()) / 2.0;
        let (from, to) = (middle - half, middle + half);
        marks.push(Mark::Bar((from, y.low()), (to, y.high()), Ink::Stall, 0.4));
    }
    for (ink, value) in lines {
        let points: Vec<(f64, f64)> = intervals
            .iter()
            .filter_map(|one| Some((one.start_s + one.seconds / 2.0, value(one)?)))
            .collect();
        if points.len() <= DOTS {
            marks.extend(points.iter().map(|at| Mark::Dot(*at, *ink)));
        }
        marks.push(Mark::Line(points, *ink, 4));
    }
    Panel {
        x,
        y,
        marks,
        height: if last { 400 } else { 330 },
    }
}

fn timeline(shown: &Shown<'_>) -> Result<Chart, DrawError> {
    let intervals = &shown.row.intervals;
    let tps = ink(shown, TPS);
    let panels = [
        panel(intervals, "TPS", false, &[(tps, |one| Some(one.tps))]),
        panel(
            intervals,
            "latency in ms",
            true,
            &[(P50, |one| one.p50_ms), (P99, |one| one.p99_ms)],
        ),
    ];
    let maybe = |value: Option<f64>| value.map_or_else(String::new, short);
    let table = intervals
        .iter()
        .map(|one| {
            vec![
                format!("{:.1}", one.start_s),
                rate(one.tps),
                known(one.p50_ms, ms),
                known(one.p95_ms, ms),
                known(one.p99_ms, ms),
                ms(one.max_ms),
                short(one.in_flight),
                maybe(one.mean_batch),
                one.syncs_per_second.map_or_else(String::new, rate),
                maybe(one.sync_us),
                one.checkpoints.map_or_else(String::new, |n| n.to_string()),
                maybe(one.checkpoint_ms),
                maybe(one.checkpoint_stalled_ms),
                maybe(one.client_cpu),
                maybe(one.server_cpu),
            ]
        })
        .collect();
    let mut legend = vec![
        (tps, "TPS".to_owned()),
        (P50, "p50".to_owned()),
        (P99, "p99".to_owned()),
    ];
    let count: u64 = intervals.iter().map(checkpoints).sum();
    let stalls = intervals.iter().filter(|one| checkpoints(one) > 0).count();
    let about = if stalls == 0 {
        let told = intervals.iter().any(|one| one.checkpoints.is_some());
        let about = if told {
            "No checkpoint fell into the window."
        } else {
            "Checkpoints are not known."
        };
        about.to_owned()
    } else {
        legend.push((Ink::Stall, "stalled by checkpoints".to_owned()));
        let time: f64 = intervals.iter().map(stalled_s).sum();
        format!(
            "Checkpoints in {stalls} of {} intervals, {count} in all. The shade in the middle of an \
             interval is as wide as the time in which they kept the writer: {} ms together.",
            intervals.len(),
            ms(time * 1e3)
        )
    };
    let header = [
        "second",
        "TPS",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "max ms",
        "in flight",
        "mean batch",
        "syncs/s",
        "sync µs",
        "checkpoints",
        "in them ms",
        "stalled ms",
        "client cores",
        "server cores",
    ];
    let title = format!("Time series: {}", shown.name());
    Ok(Chart::new(title, about, &panels, &header, table)?.with_legend(legend))
}
