//! What the view looks like. Colours only repeat what words and positions say.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bench_client::figures;
use bench_client::record::series::Interval;
use bench_client::render::records::row::interval_line;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::Sparkline;

use super::state::{Doing, State};

/// How often the measurement tells its TPS.
const TICK: Duration = Duration::from_millis(200);
/// Most columns that one value of a short series is drawn over.
const WIDEST: usize = 8;
/// Columns of a bar that fills up.
const BAR: u16 = 30;

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
    Checkpoints,
    Batch,
    Sync,
    Load,
    Gap,
    Intervals,
    Keys,
}

/// The parts from top to bottom: which, and how many lines it can use.
const PARTS: [(Part, u16); 17] = [
    (Part::Head, 1),
    (Part::Planned, 1),
    (Part::Client, 1),
    (Part::Server, 1),
    (Part::Tps, 1),
    (Part::TpsBars, 6),
    (Part::P50, 1),
    (Part::P50Bars, 3),
    (Part::P99, 1),
    (Part::P99Bars, 4),
    (Part::Checkpoints, 1),
    (Part::Batch, 1),
    (Part::Sync, 1),
    (Part::Load, 1),
    (Part::Gap, 1),
    (Part::Intervals, u16::MAX),
    (Part::Keys, 1),
];

/// Who gets the lines of a small terminal first, one each; a second mention is one more line.
const FIRST_COME: [Part; 27] = [
    Part::Head,
    Part::Tps,
    Part::P99,
    Part::P50,
    Part::Keys,
    Part::Batch,
    Part::Sync,
    Part::Load,
    Part::TpsBars,
    Part::P99Bars,
    Part::P50Bars,
    Part::Planned,
    Part::Checkpoints,
    Part::Client,
    Part::Server,
    Part::TpsBars,
    Part::P99Bars,
    Part::Gap,
    Part::Intervals,
    Part::Intervals,
    Part::P50Bars,
    Part::TpsBars,
    Part::Intervals,
    Part::P99Bars,
    Part::TpsBars,
    Part::Intervals,
    Part::P50Bars,
];

/// How many lines each of [`PARTS`] gets.
fn heights(lines: u16) -> [u16; PARTS.len()] {
    let mut heights = [0; PARTS.len()];
    let mut left = lines;
    let rest = [Part::P99Bars, Part::TpsBars, Part::TpsBars];
    let last = std::iter::repeat(Part::Intervals);
    for part in FIRST_COME.into_iter().chain(rest).chain(last) {
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
    let mut y = area.y;
    for ((part, _), height) in PARTS.into_iter().zip(heights(area.height)) {
        let place = Rect { y, height, ..area };
        y += height;
        if height > 0 && area.width > 0 {
            draw_part(frame, part, place, state, look);
        }
    }
}

fn draw_part(frame: &mut Frame<'_>, part: Part, place: Rect, state: &State, look: Look) {
    let plain = Style::new();
    let width = usize::from(place.width);
    let mut line = |text: String, style| frame.render_widget(Line::styled(text, style), place);
    match part {
        Part::Head => line(head(state, look, width), plain.add_modifier(Modifier::BOLD)),
        Part::Planned => line(planned(state), plain),
        Part::Client => line(state.client.clone(), plain),
        Part::Server => line(state.server.clone().unwrap_or_default(), plain),
        Part::Tps => line(tps(state), look.in_colour(Color::Green)),
        Part::P50 => line(
            latency(state, "p50", |i| i.p50_ms, state.slowest_p50_ms),
            look.in_colour(Color::Cyan),
        ),
        Part::P99 => line(
            latency(state, "p99", |i| i.p99_ms, state.slowest_p99_ms),
            look.in_colour(Color::Yellow),
        ),
        Part::Checkpoints => line(checkpoints(state, width), plain),
        Part::Batch => line(batch(state), plain),
        Part::Sync => line(sync(state), plain),
        Part::Load => line(load(state), plain),
        Part::Gap => {}
        Part::Keys => line(keys(look), plain.add_modifier(Modifier::DIM)),
        Part::TpsBars => {
            let values = &state.tps.latest;
            let planned = state
                .tps
                .planned
                .map(|time| (time.as_nanos() / TICK.as_nanos()) as usize);
            let bars = bars(values.iter().copied(), width, planned);
            sparkline(frame, place, &bars, look.in_colour(Color::Green));
        }
        Part::P50Bars => {
            let bars = of_intervals(state, width, |i| i.p50_ms);
            sparkline(frame, place, &bars, look.in_colour(Color::Cyan));
        }
        Part::P99Bars => {
            let bars = of_intervals(state, width, |i| i.p99_ms);
            sparkline(frame, place, &bars, look.in_colour(Color::Yellow));
        }
        Part::Intervals => {
            let height = usize::from(place.height);
            let hidden = state.intervals.len().saturating_sub(height);
            let latest = state.intervals.iter().skip(hidden);
            for (row, interval) in place.rows().zip(latest) {
                frame.render_widget(Line::raw(interval_line(interval)), row);
            }
        }
    }
}

fn sparkline(frame: &mut Frame<'_>, place: Rect, bars: &[u64], style: Style) {
    frame.render_widget(Sparkline::default().data(bars).style(style), place);
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
fn planned(state: &State) -> String {
    let (Doing::Load { elapsed, .. }, Some(planned)) = (&state.doing, state.tps.planned) else {
        return String::new();
    };
    let part = elapsed.as_secs_f64() / planned.as_secs_f64().max(f64::EPSILON);
    let left = planned.saturating_sub(*elapsed).as_secs_f64();
    format!("{} {left:.1} s left", filled(part))
}

/// A bar that is filled to this part.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and the bar's length"
)]
fn filled(part: f64) -> String {
    let full = (part.clamp(0.0, 1.0) * f64::from(BAR)).round() as usize;
    let empty = usize::from(BAR) - full;
    format!("{}{}", "█".repeat(full), "░".repeat(empty))
}

fn tps(state: &State) -> String {
    let tps = &state.tps;
    let Some(now) = tps.latest.back() else {
        return "TPS".to_owned();
    };
    format!(
        "TPS  now {}   mean {}   max {}   (of {:.1} s each)",
        figures::rate(*now),
        figures::rate(tps.mean()),
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

/// A mark below each interval in which there was a checkpoint.
fn checkpoints(state: &State, width: usize) -> String {
    let told: Option<u64> = state.intervals.iter().map(|i| i.checkpoints).sum();
    match told {
        None => "checkpoints: the server does not tell".to_owned(),
        Some(0) => String::new(),
        Some(_) => {
            let had = |interval: &Interval| interval.checkpoints.is_some_and(|count| count > 0);
            let marks = state.intervals.iter().map(had);
            let marks = spread(marks, width, state.planned_intervals());
            let mut text: String = marks.iter().map(|&m| if m { '^' } else { ' ' }).collect();
            if text.len() + LEGEND.len() <= width {
                text.push_str(LEGEND);
            }
            text
        }
    }
}

/// What the marks mean.
const LEGEND: &str = " ^ checkpoint";

#[expect(clippy::cast_precision_loss, reason = "batch sizes are far below 2^52")]
fn batch(state: &State) -> String {
    let latest = state.intervals.back().and_then(|i| i.mean_batch);
    match (latest, state.batch_size) {
        (Some(mean), Some(most)) => {
            let part = mean / (most.max(1) as f64);
            format!(
                "batch {mean:.1} of {} ({:.1} %)  {}",
                figures::grouped(most),
                part * 100.0,
                filled(part)
            )
        }
        (Some(mean), None) => format!("batch {mean:.1}"),
        (None, _) => "batch -".to_owned(),
    }
}

fn sync(state: &State) -> String {
    let latest = state.intervals.back();
    match latest.and_then(|i| i.sync_us.zip(i.syncs_per_second)) {
        Some((us, per_second)) => format!(
            "sync  {us:.0} µs, {}/s: {:.0} ms of each second",
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

fn of_intervals(state: &State, width: usize, of: fn(&Interval) -> Option<f64>) -> Vec<u64> {
    // Microseconds: bars are whole numbers. What is not known has none.
    let value = |interval: &Interval| of(interval).unwrap_or(0.0) * 1e3;
    let values = state.intervals.iter().map(value);
    bars(values, width, state.planned_intervals())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates and times are not negative and far below 2^63"
)]
fn bars(values: impl Iterator<Item = f64>, width: usize, planned: Option<usize>) -> Vec<u64> {
    let bars = values.map(|value| value.round() as u64);
    let bars: VecDeque<_> = spread(bars, width, planned);
    bars.into()
}

/// The latest values that fit, each over as many columns as all that are planned leave it.
fn spread<T: Copy>(
    values: impl Iterator<Item = T>,
    width: usize,
    planned: Option<usize>,
) -> VecDeque<T> {
    let columns = planned.map_or(1, |planned| (width / planned.max(1)).clamp(1, WIDEST));
    let mut spread: VecDeque<_> = values
        .flat_map(|value| std::iter::repeat_n(value, columns))
        .collect();
    spread.drain(..spread.len().saturating_sub(width));
    spread
}

#[cfg(test)]
mod tests;
