//! Distributions: the latency percentile spectrum, and how long syncs took.

use hdrhistogram::Histogram;

use super::{Axis, CURVES, Chart, Ink, Mark, Panel, Size};
use crate::figures::{known, ms, significant};
use crate::record::load_record::{ReadError, Report, Shown};
use crate::render::table::Table;
use crate::statistics::Percentile;

/// Steps in each half of the distance to 100 %.
const STEPS: u32 = 10;
/// Nanoseconds in a millisecond and in a microsecond.
const NS_PER_MS: f64 = 1e6;
const NS_PER_US: f64 = 1e3;

/// A distribution as a curve: 1/(1-percentile) against milliseconds.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts and nanoseconds far below 2^53"
)]
fn curve(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    let most = histogram.len() as f64;
    let steps = histogram.iter_quantiles(STEPS).map(|step| {
        // Of so many values none lies beyond this percentile.
        let inverse = (1.0 / (1.0 - step.quantile_iterated_to())).min(most);
        let value = step.value_iterated_to().min(histogram.max());
        (inverse.max(1.0), value as f64 / NS_PER_MS)
    });
    let mut points: Vec<(f64, f64)> = steps.filter(|(_, value)| *value > 0.0).collect();
    points.dedup_by(|a, b| a.0.total_cmp(&b.0).is_eq());
    points
}

/// 90 %, 99 %, 99.9 % … as far as there are values.
fn percentile_axis(most: f64) -> Axis {
    let end = most.log10().clamp(1.0, 7.0);
    let mut ticks = vec![(0.0, "0 %".to_owned())];
    for (decade, digits) in [0, 0, 0, 1, 2, 3, 4, 5].into_iter().enumerate().skip(1) {
        let at = super::to_f64(decade);
        let percent = 100.0 - 10_f64.powf(2.0 - at);
        // A share of as many values as there are.
        if at <= end + 1e-9 {
            ticks.push((at, format!("{percent:.digits$} %")));
        }
    }
    Axis::with_ticks("percentile", (0.0, end), ticks)
}

/// A distribution with its name.
struct Distribution {
    name: String,
    valid: bool,
    histogram: Histogram<u64>,
}

/// The latencies of all rows, and the service times of those of an open loop.
fn distributions(report: &Report, rows: &[Shown<'_>]) -> Result<Vec<Distribution>, ReadError> {
    let mut out = Vec::new();
    for shown in rows {
        let row = shown.row;
        let service = row.service_histogram.as_ref();
        let suffix = if service.is_some() { ": response" } else { "" };
        let texts = [
            Some((suffix, &row.latency_histogram)),
            service.map(|text| (": service", text)),
        ];
        for (suffix, text) in texts.into_iter().flatten() {
            if text.is_empty() {
                continue;
            }
            let histogram = report.histogram(shown, text)?;
            if !histogram.is_empty() {
                out.push(Distribution {
                    name: format!("{}{suffix}", shown.name()),
                    valid: row.valid,
                    histogram,
                });
            }
        }
    }
    Ok(out)
}

/// Charts of so many things each, with a name for each part where there are several.
fn in_parts<T>(all: &[T], most: usize, chart: impl Fn(&[T], &str) -> Chart) -> Vec<Chart> {
    let parts = all.len().div_ceil(most);
    let named = all
        .chunks(most)
        .enumerate()
        .map(|(place, part)| match parts {
            1 => chart(part, ""),
            _ => chart(part, &format!(", part {} of {parts}", place + 1)),
        });
    named.collect()
}

/// One chart for every few distributions.
pub(in crate::render) fn spectra(
    report: &Report,
    rows: &[Shown<'_>],
) -> Result<Vec<Chart>, ReadError> {
    Ok(in_parts(&distributions(report, rows)?, CURVES, spectrum))
}

fn spectrum(part: &[Distribution], suffix: &str) -> Chart {
    let curves: Vec<(Ink, Vec<(f64, f64)>)> = part
        .iter()
        .enumerate()
        .map(|(place, one)| (Ink::curve(place, one.valid), curve(&one.histogram)))
        .collect();
    let all = || curves.iter().flat_map(|(_, points)| points.iter());
    let x = percentile_axis(all().map(|(inverse, _)| *inverse).fold(10.0, f64::max));
    let y = Axis::log("latency in ms (log)", all().map(|(_, value)| *value));
    let mut marks = Vec::new();
    for (ink, points) in &curves {
        let points: Vec<(f64, f64)> = points
            .iter()
            .map(|(inverse, value)| (inverse.log10().min(x.high()), y.at(*value)))
            .collect();
        if let [only] = points[..] {
            marks.push(Mark::Dot(only, *ink));
        }
        marks.push(Mark::Line(points, *ink, 4));
    }
    let at = |percentile: Percentile| {
        move |one: &Distribution| {
            known(
                percentile
                    .of(&one.histogram)
                    .map(|ns| to_f64(ns) / NS_PER_MS),
                ms,
            )
        }
    };
    let data = Table::of("", part)
        .words(0, "row", |one| one.name.as_str())
        .number(0, "p50 ms", at(Percentile::P50))
        .number(0, "p95 ms", at(Percentile::P95))
        .number(0, "p99 ms", at(Percentile::P99))
        .number(0, "p99.9 ms", at(Percentile::P999))
        .number(0, "max ms", |one| {
            ms(to_f64(one.histogram.max()) / NS_PER_MS)
        });
    // One curve is what the page is of.
    let named = part.iter().filter(|_| part.len() > 1);
    let legend = named
        .zip(&curves)
        .map(|(one, (ink, _))| (*ink, one.name.clone()));
    let size = if part.len() > 1 {
        Size::Full
    } else {
        Size::Half
    };
    let panel = Panel::new(x, y, 620, marks);
    Chart::new(
        format!("Latency percentile spectrum{suffix}"),
        "How long the given share of committed transfers took at most. Each step to the right is \
         ten times rarer.",
        vec![panel],
        data,
    )
    .with_legend(legend)
    .sized(size)
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds far below 2^53")]
fn to_f64(nanoseconds: u64) -> f64 {
    nanoseconds as f64
}

/// Bars in each factor of ten.
const BARS_PER_DECADE: f64 = 12.0;

/// How long the syncs at COMMIT took, row by row.
pub(in crate::render) fn syncs(
    report: &Report,
    rows: &[Shown<'_>],
) -> Result<Option<Chart>, ReadError> {
    let mut with = Vec::new();
    for shown in rows {
        let server = shown.row.server.as_ref();
        if let Some(text) = server.and_then(|server| server.sync_histogram.as_ref()) {
            let histogram = report.histogram(shown, text)?;
            if !histogram.is_empty() {
                with.push((*shown, histogram));
            }
        }
    }
    Ok((!with.is_empty()).then(|| sync_chart(&with)))
}

/// At least what a logarithmic axis can show.
fn us(ns: u64) -> f64 {
    (to_f64(ns) / NS_PER_US).max(0.1)
}

fn sync_chart(part: &[(Shown<'_>, Histogram<u64>)]) -> Chart {
    let is_one = part.len() == 1;
    let reach = || {
        part.iter()
            .flat_map(|(_, histogram)| [us(histogram.min_nz()), us(histogram.max())])
    };
    // One scale for all of them.
    let most = |(_, histogram): &(Shown<'_>, Histogram<u64>)| {
        let bars = bars(histogram).into_iter();
        bars.map(|(_, share)| share).fold(0.0, f64::max)
    };
    let most = part.iter().map(most).fold(1.0, f64::max) * 1.05;
    let panels = part.iter().map(|(shown, histogram)| {
        let x = Axis::log("sync in µs (log)", reach());
        let bars = bars(histogram);
        let y = Axis::within("% of syncs", 0.0, most);
        let marks: Vec<Mark> = bars
            .iter()
            .map(|(from, share)| {
                let to = from + 0.85 / BARS_PER_DECADE;
                Mark::Bar((*from, 0.0), (to, *share), Ink::Series(4).of(shown), 0.85)
            })
            .collect();
        let panel = Panel::new(x, y, if is_one { 620 } else { 360 }, marks);
        if is_one {
            panel
        } else {
            panel.named(shown.name())
        }
    });
    let panels: Vec<Panel> = panels.collect();
    let at = |percentile: Percentile| {
        move |(_, histogram): &(Shown<'_>, Histogram<u64>)| {
            known(percentile.of(histogram).map(us), significant)
        }
    };
    let data = Table::of("", part)
        .words(0, "row", |(shown, _)| shown.name())
        .number(0, "syncs", |(_, histogram)| histogram.len())
        .number(0, "min µs", |(_, histogram)| {
            significant(us(histogram.min()))
        })
        .number(0, "p50 µs", at(Percentile::P50))
        .number(0, "p99 µs", at(Percentile::P99))
        .number(0, "p99.9 µs", at(Percentile::P999))
        .number(0, "max µs", |(_, histogram)| {
            significant(us(histogram.max()))
        });
    Chart::new(
        "Sync latency",
        "How long each sync at COMMIT took, as the server counted it.",
        panels,
        data,
    )
    .sized(if is_one { Size::Half } else { Size::Multiples })
}

/// Where each bar begins, as a power of ten of microseconds, and its share in percent.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts and nanoseconds far below 2^53"
)]
fn bars(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    let mut bars: Vec<(f64, f64)> = Vec::new();
    let all = histogram.len() as f64;
    for step in histogram.iter_recorded() {
        let us = (step.value_iterated_to() as f64 / NS_PER_US).max(0.1);
        let from = (us.log10() * BARS_PER_DECADE).floor() / BARS_PER_DECADE;
        let share = step.count_at_value() as f64 / all * 100.0;
        match bars.last_mut() {
            Some((known, total)) if known.total_cmp(&from).is_eq() => *total += share,
            _ => bars.push((from, share)),
        }
    }
    bars
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_have_one_style_and_end_with_the_values() {
        let axis = percentile_axis(710_144.0);
        let texts: Vec<&str> = axis.ticks.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(
            texts,
            ["0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"]
        );
        assert!(axis.high() < 6.0, "no decade without values");
        assert_eq!(percentile_axis(1e9).ticks.len(), 8);
    }
}
