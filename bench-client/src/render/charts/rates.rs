//! What an offered rate does: how much of it is achieved, how long it takes, and where the knee is.

use super::groups::{Figure, groups, over, sorted, values_of};
use super::{Axis, Chart, Ink, Mark, Panel, Size};
use crate::figures::{self, known, ms};
use crate::record::OpenLoop;
use crate::record::load_record::{Report, Shown};
use crate::render::records::words::verdict;
use crate::render::table::{Line, Table};

const TPS: Ink = Ink::Series(0);
const P99: Ink = Ink::Series(1);
const IDEAL: Ink = Ink::Muted;
const KNEE: Ink = Ink::Series(2);

/// Achieved rate and p99 over the offered rate: where the knee is.
pub(in crate::render) fn rates(report: &Report, rows: &[Shown<'_>]) -> Vec<Chart> {
    let offered: Figure = |row| Some(row.open_loop.as_ref()?.offered_tps);
    let achieved: Figure = |row| Some(row.open_loop.as_ref()?.achieved_tps);
    let p99: Figure = |row| row.latency_ms.p99;
    let open = rows.iter().filter(|one| one.row.open_loop.is_some());
    let open: Vec<Shown<'_>> = open.copied().collect();
    let mut charts = Vec::new();
    for (what, members) in groups(&open, &["rate"]) {
        let asked = values_of(&members, offered);
        if asked.len() < 2 {
            continue;
        }
        let most = asked.last().copied().unwrap_or(0.0);
        let x = || Axis::from_zero("offered TPS", [most]);
        let (first, second) = (x(), x());
        let reached = members.iter().filter_map(|one| achieved(one.row));
        let y = Axis::from_zero("achieved TPS", reached.chain([most]));
        let slow = members.iter().filter_map(|one| p99(one.row));
        let knee = members.first().and_then(|one| {
            let knee = report.records[one.record].record.knee.as_ref()?;
            Some((knee.passes.as_ref()?.rate, knee.p99_limit_ms))
        });
        let slow = Axis::log("p99 in ms (log)", slow.chain(knee.map(|(_, limit)| limit)));
        let mut marks = vec![Mark::Line(vec![(0.0, 0.0), (most, most)], IDEAL, 2)];
        let mut slowness = Vec::new();
        if let Some((rate, limit)) = knee {
            let up = |y: &Axis| Mark::Line(vec![(rate, y.low()), (rate, y.high())], KNEE, 3);
            let across = vec![
                (second.low(), slow.at(limit)),
                (second.high(), slow.at(limit)),
            ];
            marks.push(up(&y));
            slowness.extend([up(&slow), Mark::Line(across, IDEAL, 2)]);
        }
        marks.extend(over(&members, (&first, offered), (&y, achieved), TPS));
        slowness.extend(over(&members, (&second, offered), (&slow, p99), P99));
        let panels = vec![
            Panel::new(first, y, 420, marks),
            Panel::new(second, slow, 420, slowness),
        ];
        let of =
            |of: fn(&OpenLoop) -> Line| move |one: &Shown<'_>| one.row.open_loop.as_ref().map(of);
        let sorted = sorted(&members, offered);
        let data = Table::of("", &sorted)
            .number(
                0,
                "offered TPS",
                of(|open| figures::rate(open.offered_tps).into()),
            )
            .number(
                0,
                "achieved TPS",
                of(|open| figures::rate(open.achieved_tps).into()),
            )
            .number(0, "p50 ms", |one| known(one.row.latency_ms.p50, ms))
            .number(0, "p99 ms", |one| known(one.row.latency_ms.p99, ms))
            .number(0, "service p99 ms", |one| {
                known(one.row.service_ms.and_then(|service| service.p99), ms)
            })
            .number(0, "late", of(|open| open.late.into()))
            .number(0, "skipped", of(|open| open.skipped.into()))
            .number(0, "dropped", of(|open| open.dropped.into()))
            .words(0, "verdict", verdict);
        let about = format!("{what}. Past the knee, TPS leaves the line and latency climbs.");
        let legend = [
            (TPS, "achieved TPS"),
            (IDEAL, "all that was offered"),
            (P99, "p99 from the intended start"),
        ];
        let knee = knee.map(|(rate, limit)| {
            let limit = format!("{} ms", ms(limit));
            (
                KNEE,
                format!(
                    "the knee, {}/s, and the p99 limit of {limit}",
                    figures::rate(rate)
                ),
            )
        });
        let chart = Chart::new("Offered rate and latency", about, panels, data);
        charts.push(
            chart
                .with_legend(legend)
                .with_legend(knee)
                .with_invalid(members.iter().any(|one| !one.row.valid))
                .sized(Size::Full),
        );
    }
    charts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::load_record::AnyRecord;

    #[test]
    fn the_knee_of_a_search_is_a_line_in_both_panels() {
        let text = include_str!("../../../tests/records/knee.json");
        let record = AnyRecord::parse("knee.json".to_owned(), text).unwrap();
        let passes = record.record.knee.as_ref().unwrap().passes.as_ref();
        let rate = passes.unwrap().rate;
        let report = Report::new(vec![record]);
        let charts = rates(&report, &report.rows());
        let [chart] = charts.as_slice() else {
            panic!("one search: {charts:?}");
        };
        for panel in &chart.panels {
            let at_the_knee = panel.marks.iter().any(|mark| match mark {
                Mark::Line(points, KNEE, _) => {
                    points.iter().all(|(x, _)| x.total_cmp(&rate).is_eq())
                }
                _ => false,
            });
            assert!(at_the_knee, "{panel:?}");
        }
        let named = chart
            .legend
            .iter()
            .any(|(ink, what)| *ink == KNEE && what.contains("489,722/s"));
        assert!(named, "{:?}", chart.legend);
    }
}
