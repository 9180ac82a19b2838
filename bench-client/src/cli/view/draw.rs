//! What the view looks like. Colours only repeat what words and positions say.

use std::time::{Duration, Instant};

use bench_client::figures;
use bench_client::record::series::Interval;
use bench_client::render::records::row::interval_line;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;

use super::axis;
use super::chart::{self, MARK, Scale};
use super::state::{Doing, State};

/// How often the measurement tells its TPS.
const TICK: Duration = Duration::from_millis(200);
/// Columns of a bar that fills up.
const BAR: usize = 30;

/// What a drawing depends on besides the state.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) colour: bool,
    /// Somebody has asked for the end.
    pub(super) stopping: bool,
    pub(super) now: Instant,
}

impl Look {
    fn in_colour(self, colour: Color) -> Style {
        if self.colour {
            Style::new().fg(colour)
        } else {
            Style::new()
        }
    }
}

/// Parts of the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Head,
    Planned,
    Client,
    Server,
    Tps,
    TpsBars,
    P50,
    P50Bars,
    P99,
    P99Bars,
    TimeAxis,
    Times,
    Needs,
    Batch,
    Sync,
    Load,
    Gap,
    Intervals,
    Keys,
}

/// The parts from top to bottom: which, and how many lines it can use.
const PARTS: [(Part, u16); 19] = [
    (Part::Head, 1),
    (Part::Planned, 1),
    (Part::Client, 1),
    (Part::Server, 1),
    (Part::Tps, 1),
    (Part::TpsBars, 8),
    (Part::P50, 1),
    (Part::P50Bars, 4),
    (Part::P99, 1),
    (Part::P99Bars, 6),
    (Part::TimeAxis, 1),
    (Part::Times, 1),
    (Part::Needs, 1),
    (Part::Batch, 1),
    (Part::Sync, 1),
    (Part::Load, 1),
    (Part::Gap, 1),
    (Part::Intervals, u16::MAX),
    (Part::Keys, 1),
];

/// The smallest terminal that has charts, in columns and lines.
const CHARTS_MIN: (u16, u16) = (60, 16);

/// Who gets the lines of a terminal without charts first, one each.
const WITHOUT_CHARTS: [Part; 12] = [
    Part::Head,
    Part::Tps,
    Part::P99,
    Part::P50,
    Part::Keys,
    Part::Needs,
    Part::Batch,
    Part::Sync,
    Part::Load,
    Part::Planned,
    Part::Client,
    Part::Server,
];

/// The same with charts; a second mention is one more line.
const WITH_CHARTS: [Part; 34] = [
    Part::Head,
    Part::Tps,
    Part::TpsBars,
    Part::P50,
    Part::P50Bars,
    Part::P99,
    Part::P99Bars,
    Part::TimeAxis,
    Part::Times,
    Part::Batch,
    Part::Sync,
    Part::Load,
    Part::Keys,
    Part::TpsBars,
    Part::P50Bars,
    Part::P99Bars,
    Part::Planned,
    Part::TpsBars,
    Part::Client,
    Part::Server,
    Part::P99Bars,
    Part::TpsBars,
    Part::P99Bars,
    Part::Gap,
    Part::Intervals,
    Part::Intervals,
    Part::P50Bars,
    Part::Intervals,
    Part::P50Bars,
    Part::Intervals,
    Part::TpsBars,
    Part::TpsBars,
    Part::Intervals,
    Part::Intervals,
];

/// How many lines each of [`PARTS`] gets.
fn heights(columns: u16, lines: u16) -> [u16; PARTS.len()] {
    let mut heights = [0; PARTS.len()];
    let mut left = lines;
    let has_charts = columns >= CHARTS_MIN.0 && lines >= CHARTS_MIN.1;
    let (first, rest): (&[Part], &[Part]) = if has_charts {
        let rest = &[Part::P99Bars, Part::TpsBars, Part::P99Bars, Part::TpsBars];
        (&WITH_CHARTS, rest)
    } else {
        (&WITHOUT_CHARTS, &[Part::Gap])
    };
    let last = std::iter::repeat(Part::Intervals);
    for part in first.iter().chain(rest).copied().chain(last) {
        if left == 0 {
            break;
        }
        for (height, (which, most)) in heights.iter_mut().zip(PARTS) {
            if which == part && *height < most {
                *height += 1;
                left -= 1;
            }
        }
    }
    heights
}

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, state: &State, look: Look) {
    let area = frame.area();
    let scale = scale(state);
    let mut y = area.y;
    for ((part, _), height) in PARTS.into_iter().zip(heights(area.width, area.height)) {
        let place = Rect { y, height, ..area };
        y += height;
        if height > 0 && area.width > 0 {
            draw_part(frame, part, place, (state, scale), look);
        }
    }
}

/// What the charts have in common, so that what happens at one time stands below each other.
fn scale(state: &State) -> Scale {
    let labels = [
        chart::labels_width(&state.tps.over_time, axis::rate),
        chart::labels_width(&state.p50_ms, axis::ms),
        chart::labels_width(&state.p99_ms, axis::ms),
    ];
    let elapsed = match &state.doing {
        Doing::Load { elapsed, .. } => elapsed.as_secs_f64(),
        Doing::Stage { .. } => 0.0,
    };
    let known = [&state.tps.over_time, &state.p99_ms];
    let known = known.map(|series| series.values().last().map_or(0.0, |last| last.until));
    let elapsed = known.into_iter().fold(elapsed, f64::max);
    let planned = state.tps.planned.map(|planned| planned.as_secs_f64());
    Scale {
        labels: labels.into_iter().fold(0, u16::max),
        end: axis::end(planned, elapsed),
    }
}

fn draw_part(
    frame: &mut Frame<'_>,
    part: Part,
    place: Rect,
    (state, scale): (&State, Scale),
    look: Look,
) {
    let plain = Style::new();
    let (area, width) = (frame.area(), usize::from(place.width));
    let mut line = |text: String, style| {
        frame.render_widget(Line::styled(clipped(&text, width), style), place);
    };
    let (green, cyan) = (look.in_colour(Color::Green), look.in_colour(Color::Cyan));
    let yellow = look.in_colour(Color::Yellow);
    match part {
        Part::Head => line(head(state, look, width), plain.add_modifier(Modifier::BOLD)),
        Part::Planned => line(planned(state, width), plain),
        Part::Client => line(state.client.clone(), plain),
        Part::Server => line(state.server.clone().unwrap_or_default(), plain),
        Part::Tps => line(tps(state), green),
        Part::P50 => line(
            latency(state, "p50", |i| i.p50_ms, state.slowest_p50_ms),
            cyan,
        ),
        Part::P99 => {
            let p99 = latency(state, "p99", |i| i.p99_ms, state.slowest_p99_ms);
            line(format!("{p99}{}", checkpoints(state)), yellow);
        }
        Part::Needs => line(needs(area), plain.add_modifier(Modifier::DIM)),
        Part::Batch => line(batch(state, width), plain),
        Part::Sync => line(sync(state), plain),
        Part::Load => line(load(state), plain),
        Part::Gap => {}
        Part::Keys => line(keys(look), plain.add_modifier(Modifier::DIM)),
        Part::TpsBars => {
            let charted = (&state.tps.over_time, axis::rate as fn(f64) -> String);
            scale.bars(frame, place, charted, green);
        }
        Part::P50Bars => scale.bars(frame, place, (&state.p50_ms, axis::ms), cyan),
        Part::P99Bars => scale.bars(frame, place, (&state.p99_ms, axis::ms), yellow),
        Part::TimeAxis => scale.time_axis(frame, place, &state.checkpoints, yellow),
        Part::Times => scale.times(frame, place),
        Part::Intervals => {
            let height = usize::from(place.height);
            let hidden = state.intervals.len().saturating_sub(height);
            let latest = state.intervals.iter().skip(hidden);
            for (row, interval) in place.rows().zip(latest) {
                let text = clipped(&interval_line(interval), width);
                frame.render_widget(Line::raw(text), row);
            }
        }
    }
}

/// As many of a line's parts, or words, as there is room for.
fn clipped(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    // One more, since the end of a part may be the last column.
    let room: String = text.chars().take(width + 1).collect();
    let parts = ["  ", ", "].into_iter();
    let mut ends = parts.filter_map(|between| room.rfind(between));
    let end = ends.find(|end| *end > room.len() / 2);
    let end = end.or_else(|| room.rfind(' ')).unwrap_or(0);
    room[..end].trim_end().to_owned()
}

/// What charts need, where there are none.
fn needs(area: Rect) -> String {
    let (columns, lines) = CHARTS_MIN;
    format!(
        "charts need {columns} × {lines}, here {} × {}",
        area.width, area.height
    )
}

/// What is done and for how long on the right, where there is room the title on the left.
fn head(state: &State, look: Look, width: usize) -> String {
    let doing = match &state.doing {
        Doing::Stage { what, since } => {
            let elapsed = look.now.saturating_duration_since(*since);
            format!("{what} {:.1} s", elapsed.as_secs_f64())
        }
        Doing::Load { phase, elapsed } => match state.tps.planned {
            Some(planned) => format!(
                "{phase} {:.1} of {:.1} s",
                elapsed.min(&planned).as_secs_f64(),
                planned.as_secs_f64()
            ),
            None => format!("{phase} {:.1} s", elapsed.as_secs_f64()),
        },
    };
    let doing = if look.stopping {
        format!("STOPPING: {doing}")
    } else {
        doing
    };
    let room = width.saturating_sub(doing.chars().count());
    let title: String = state.title.chars().take(room.saturating_sub(1)).collect();
    format!("{title:<room$}{doing}")
}

/// How much of the phase is over.
fn planned(state: &State, width: usize) -> String {
    let (Doing::Load { elapsed, .. }, Some(planned)) = (&state.doing, state.tps.planned) else {
        return String::new();
    };
    let part = elapsed.as_secs_f64() / planned.as_secs_f64().max(f64::EPSILON);
    let left = planned.saturating_sub(*elapsed).as_secs_f64();
    with_bar(part, &format!("{left:.1} s left"), width)
}

/// A bar that is filled to this part, as long as there is room for it, before a text.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "between 0 and the bar's length"
)]
fn with_bar(part: f64, text: &str, width: usize) -> String {
    let room = width.saturating_sub(text.chars().count() + 1).min(BAR);
    let full = (part.clamp(0.0, 1.0) * room as f64).round() as usize;
    let bar = format!("{}{}", "█".repeat(full), "░".repeat(room - full));
    format!("{bar} {text}").trim_start().to_owned()
}

fn tps(state: &State) -> String {
    let tps = &state.tps;
    let Some(so_far) = tps.so_far else {
        return "TPS".to_owned();
    };
    format!(
        "TPS  now {}   mean {}   max {}   (of {:.1} s each)",
        figures::rate(so_far.latest),
        figures::rate(so_far.mean),
        figures::rate(tps.max),
        TICK.as_secs_f64()
    )
}

fn latency(
    state: &State,
    name: &str,
    of: fn(&Interval) -> Option<f64>,
    slowest: Option<f64>,
) -> String {
    match state.intervals.back() {
        Some(latest) => format!(
            "{name}  now {}   max {}",
            figures::in_ms(of(latest)),
            figures::in_ms(slowest)
        ),
        None if state.interval.is_none() => format!("{name}  no intervals are recorded"),
        None => name.to_owned(),
    }
}

/// What the marks on the axis of time mean.
fn checkpoints(state: &State) -> String {
    match state.intervals.back().map(|latest| latest.checkpoints) {
        None => String::new(),
        Some(None) => "   checkpoints: the server does not tell".to_owned(),
        Some(_) => format!("   {MARK} checkpoint"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "batch sizes are far below 2^52")]
fn batch(state: &State, width: usize) -> String {
    let latest = state.intervals.back().and_then(|i| i.mean_batch);
    match (latest, state.batch_size) {
        (Some(mean), Some(most)) => {
            let part = mean / (most.max(1) as f64);
            let text = format!(
                "batch {mean:.1} of {} ({:.1} %)",
                figures::grouped(most),
                part * 100.0
            );
            let room = width.saturating_sub(text.chars().count() + 2);
            format!("{text}  {}", with_bar(part, "", room))
        }
        (Some(mean), None) => format!("batch {mean:.1}"),
        (None, _) => "batch -".to_owned(),
    }
}

fn sync(state: &State) -> String {
    let latest = state.intervals.back();
    match latest.and_then(|i| i.sync_us.zip(i.syncs_per_second)) {
        Some((us, per_second)) => format!(
            "sync  {}, {}/s: {:.0} ms of each second",
            figures::in_us(Some(us)),
            figures::rate(per_second),
            us * per_second / 1e3
        ),
        None => "sync  -".to_owned(),
    }
}

fn load(state: &State) -> String {
    let Some(latest) = state.intervals.back() else {
        return "load  -".to_owned();
    };
    let cores = |cores: Option<f64>| cores.map_or_else(|| "-".to_owned(), |n| format!("{n:.2}"));
    format!(
        "load  in flight {:.0} of {}   cores: client {}, server {}",
        latest.in_flight,
        figures::grouped(state.inflight_limit),
        cores(latest.client_cpu),
        cores(latest.server_cpu)
    )
}

fn keys(look: Look) -> String {
    if look.stopping {
        "q or Ctrl-C again: quit at once, without a record of this row".to_owned()
    } else {
        "q or Ctrl-C: stop and record what was measured".to_owned()
    }
}

#[cfg(test)]
mod tests;
