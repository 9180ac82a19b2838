//! The window of a row, interval by interval, with the checkpoints marked.

use super::{Axis, Chart, Ink, Mark, Panel, Size, short};
use crate::figures::{known, ms, rate, shared, significant};
use crate::record::load_record::Shown;
use crate::record::series::Interval;
use crate::render::table::Table;

const TPS: Ink = Ink::Series(0);
const P99: Ink = Ink::Series(3);
const P50: Ink = Ink::Series(2);

/// Thinnest mark of a stall that can be seen, as a share of the axis.
const THINNEST: f64 = 0.004;
/// More intervals than this are a line without dots.
const DOTS: usize = 60;

/// A chart for each row with a series: of one row alone large, of several small.
pub(in crate::render) fn timelines(rows: &[Shown<'_>]) -> Vec<Chart> {
    let with = rows.iter().filter(|shown| shown.row.intervals.len() > 1);
    let charts: Vec<Chart> = with.map(timeline).collect();
    let size = if charts.len() == 1 {
        Size::Full
    } else {
        Size::Small
    };
    charts.into_iter().map(|chart| chart.sized(size)).collect()
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

fn panel(intervals: &[Interval], title: &str, lines: &[(Ink, Figure)]) -> Panel {
    let end = intervals.iter().map(|one| one.start_s + one.seconds);
    let x = Axis::within("seconds of the window", 0.0, end.fold(0.0, f64::max));
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
    Panel::new(x, y, 400, marks)
}

fn timeline(shown: &Shown<'_>) -> Chart {
    let intervals = &shown.row.intervals;
    let tps = TPS.of(shown);
    let panels = vec![
        panel(intervals, "TPS", &[(tps, |one| Some(one.tps))]),
        panel(
            intervals,
            "latency in ms",
            &[(P50, |one| one.p50_ms), (P99, |one| one.p99_ms)],
        ),
    ];
    let data = Table::of("", intervals)
        .number(0, "second", |one| format!("{:.1}", one.start_s))
        .number(0, "TPS", |one| rate(one.tps))
        .number(0, "p50 ms", |one| known(one.p50_ms, ms))
        .number(0, "p95 ms", |one| known(one.p95_ms, ms))
        .number(0, "p99 ms", |one| known(one.p99_ms, ms))
        .number(0, "max ms", |one| ms(one.max_ms))
        .number(0, "in flight", |one| shared(one.in_flight))
        .number(0, "per commit", |one| one.mean_batch.map(shared))
        .number(0, "syncs/s", |one| one.syncs_per_second.map(rate))
        .number(0, "sync µs", |one| one.sync_us.map(significant))
        .number(0, "checkpoints", |one| one.checkpoints)
        .number(0, "in them ms", |one| one.checkpoint_ms.map(short))
        .number(0, "stalled ms", |one| one.checkpoint_stalled_ms.map(short))
        .number(0, "client cores", |one| one.client_cpu.map(short))
        .number(0, "server cores", |one| one.server_cpu.map(short));
    let count: u64 = intervals.iter().map(checkpoints).sum();
    let stalls = intervals.iter().filter(|one| checkpoints(one) > 0).count();
    let about = match stalls {
        0 if intervals.iter().any(|one| one.checkpoints.is_some()) => {
            "No checkpoint fell into the window.".to_owned()
        }
        0 => "Checkpoints are not known.".to_owned(),
        _ => format!(
            "Checkpoints in {stalls} of {} intervals, {count} in all. The shade in the middle of an \
             interval is as wide as the time in which they kept the writer: {} ms together.",
            intervals.len(),
            ms(intervals.iter().map(stalled_s).sum::<f64>() * 1e3)
        ),
    };
    let stalled = (stalls > 0).then_some((Ink::Stall, "stalled by checkpoints"));
    Chart::new(
        format!("Time series: {}", shown.name()),
        about,
        panels,
        data,
    )
    .with_legend([(tps, "TPS"), (P50, "p50"), (P99, "p99")])
    .with_legend(stalled)
}
