//! Repetitions of the same row, taken together.

use super::verdict;
use crate::config::RunConfig;
use crate::record::{Row, Summary, Verdict};
use crate::statistics::Estimate;

/// One summary per row that was repeated, in the order of their first repetitions. Invalid
/// and interrupted repetitions are left out; a row without any other has none.
#[must_use]
pub fn summarise(rows: &[Row]) -> Vec<Summary> {
    let mut groups: Vec<(&RunConfig, Vec<usize>)> = Vec::new();
    for (place, row) in rows.iter().enumerate() {
        if row.repetition.is_none() || !row.valid || row.interrupted {
            continue;
        }
        let config = &row.config;
        match groups.iter_mut().find(|(others, _)| *others == config) {
            Some((_, places)) => places.push(place),
            None => groups.push((config, vec![place])),
        }
    }
    let summaries = groups
        .into_iter()
        .map(|(_, places)| of_places(rows, places));
    summaries.flatten().collect()
}

fn of_places(rows: &[Row], places: Vec<usize>) -> Option<Summary> {
    let estimate = |value: fn(&Row) -> Option<f64>| {
        let values = places.iter().map(|&place| value(&rows[place]));
        Estimate::of(&values.collect::<Option<Vec<f64>>>()?)
    };
    let tps = estimate(|row| Some(row.tps))?;
    let p50_ms = estimate(|row| row.latency_ms.p50);
    Some(Summary {
        tps,
        p50_ms,
        p95_ms: estimate(|row| row.latency_ms.p95),
        p99_ms: estimate(|row| row.latency_ms.p99),
        warning: warning(&tps, p50_ms.as_ref()),
        rows: places,
    })
}

/// Judged by TPS and the median. A p99 rests on the few transfers of a few stalls and often
/// spreads: its interval says that.
fn warning(tps: &Estimate, p50_ms: Option<&Estimate>) -> Option<Verdict> {
    let wide: Vec<_> = [("TPS", Some(tps)), ("p50", p50_ms)]
        .into_iter()
        .filter_map(|(name, estimate)| Some((name, estimate?)))
        .filter(|(_, estimate)| !estimate.is_conclusive())
        .collect();
    (!wide.is_empty()).then(|| verdict::wide_spread(&wide))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Repetition;
    use crate::record::VerdictCode;
    use crate::record::fixtures::row;

    /// Repetitions of a row at these TPS; its latencies go the other way.
    fn repeated(tps: &[f64]) -> Vec<Row> {
        let of = u32::try_from(tps.len()).unwrap();
        let rows = (1..).zip(tps).map(|(number, &tps)| {
            let mut row = row();
            row.tps = tps;
            row.latency_ms.p50 = Some(1e5 / tps);
            row.repetition = Some(Repetition { number, of });
            row
        });
        rows.collect()
    }

    #[test]
    fn each_row_that_was_repeated_has_its_median() {
        let slow = repeated(&[1000.0, 1010.0, 990.0, 1005.0, 995.0, 1002.0]);
        let mut fast = repeated(&[9000.0, 9010.0, 8990.0, 9005.0, 8995.0, 9002.0]);
        for row in &mut fast {
            row.config.workload.alpha += 1.0;
        }
        // Round robin, as they are measured.
        let rows: Vec<Row> = slow
            .into_iter()
            .zip(fast)
            .flat_map(|(a, b)| [a, b])
            .collect();
        let summaries = summarise(&rows);
        assert_eq!(summaries.len(), 2);
        assert_eq!(summaries[0].rows, [0, 2, 4, 6, 8, 10]);
        assert_eq!(summaries[1].rows, [1, 3, 5, 7, 9, 11]);
        assert!((summaries[0].tps.median - 1001.0).abs() < 1e-9);
        assert!((summaries[1].tps.median - 9001.0).abs() < 1e-9);
        assert!(summaries.iter().all(|summary| summary.warning.is_none()));
    }

    #[test]
    fn invalid_and_interrupted_repetitions_are_left_out() {
        let mut rows = repeated(&[1000.0, 5.0, 7.0, 1002.0]);
        rows[1].valid = false;
        rows[2].interrupted = true;
        let summaries = summarise(&rows);
        assert_eq!(summaries[0].rows, [0, 3]);
        rows[0].valid = false;
        rows[3].valid = false;
        assert_eq!(summarise(&rows), []);
    }

    #[test]
    fn rows_that_were_not_repeated_have_no_summary() {
        assert_eq!(summarise(&[row(), row()]), []);
    }

    #[test]
    fn a_wide_spread_is_warned_of_with_a_remedy() {
        let rows = repeated(&[1000.0, 1150.0, 1080.0, 1010.0, 1160.0, 1090.0, 1100.0]);
        let summaries = summarise(&rows);
        let warning = summaries[0].warning.as_ref().unwrap();
        assert_eq!(
            (warning.code, warning.invalidates),
            (VerdictCode::WideSpread, false)
        );
        assert!(warning.message.contains("TPS ± "), "{warning:?}");
        assert!(warning.remedy.starts_with("use --runs "), "{warning:?}");
        // Whatever the number of runs, their differences stay.
        let rows = repeated(&[1000.0, 2000.0, 500.0, 3000.0, 800.0, 2500.0, 4000.0]);
        let warning = summarise(&rows)[0].warning.clone().unwrap();
        assert!(
            warning.remedy.starts_with("stop what else runs"),
            "{warning:?}"
        );
        let rows = repeated(&[1000.0]);
        let warning = summarise(&rows)[0].warning.clone().unwrap();
        assert!(warning.remedy.contains("--runs 6"), "{warning:?}");
    }
}
