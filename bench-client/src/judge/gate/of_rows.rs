//! Gates of rows that were compared with nothing: their own figures.

use super::{Gate, GateProblem, Threshold, in_its_unit};
use crate::figures::grouped;
use crate::record::Row;
use crate::record::comparison::{GateOutcome, GateResult};
use crate::statistics::{Estimate, Percentile, SPEED_SAMPLES_MIN};

/// A gate of a row's own figures. A share would be of another side, which a row does not have.
///
/// # Errors
/// It is no gate, or one of two sides.
pub fn of_a_row(text: &str) -> Result<Gate, super::GateError> {
    let gate: Gate = text.parse()?;
    match gate.threshold {
        Threshold::Value(_) => Ok(gate),
        Threshold::Ratio(_) => Err(super::GateError {
            gate: gate.text,
            problem: GateProblem::Share,
        }),
    }
}

/// Holds every row against every gate; of one that was repeated, its median over the repetitions.
#[must_use]
pub fn judge_rows(gates: &[Gate], rows: &[Row]) -> Vec<GateResult> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (place, row) in rows.iter().enumerate() {
        let is_same = |places: &&mut Vec<usize>| {
            row.repetition.is_some() && rows[places[0]].config == row.config
        };
        match groups.iter_mut().find(is_same) {
            Some(places) => places.push(place),
            None => groups.push(vec![place]),
        }
    }
    let each = groups.into_iter().flat_map(|places| {
        let runs: Vec<&Row> = places.iter().map(|&place| &rows[place]).collect();
        let held = gates.iter().map(|gate| {
            let (outcome, message) = gate.hold_against(&runs);
            GateResult {
                gate: gate.text.clone(),
                metric: gate.metric,
                outcome,
                message,
                rows: places.clone(),
            }
        });
        held.collect::<Vec<_>>()
    });
    each.collect()
}

impl Gate {
    fn hold_against(&self, runs: &[&Row]) -> (GateOutcome, String) {
        let name = self.metric.title();
        let undecided = |why: String| (GateOutcome::Undecided, format!("{name} {why}"));
        let Threshold::Value(limit) = self.threshold else {
            return undecided("has no other side".to_owned());
        };
        let held: Vec<&&Row> = runs
            .iter()
            .filter(|row| row.valid && !row.interrupted)
            .collect();
        if held.is_empty() {
            return undecided("is of no valid run that ended".to_owned());
        }
        let value = |row: &&&Row| {
            let is_enough = row.committed >= SPEED_SAMPLES_MIN;
            self.metric.of(row).filter(|_| is_enough)
        };
        let values: Option<Vec<f64>> = held.iter().map(value).collect();
        let Some(found) = values.and_then(|values| Estimate::of(&values)) else {
            let percentile = self.metric.percentile();
            let needed = percentile.map_or(SPEED_SAMPLES_MIN, Percentile::samples_min);
            return undecided(format!(
                "needs {} committed transfers in each run: measure longer with --duration",
                grouped(needed)
            ));
        };
        let show = |value| in_its_unit(self.metric, value);
        let runs = if found.count > 1 {
            format!(
                " in the median of {} runs ({} to {})",
                found.count,
                show(found.low),
                show(found.high)
            )
        } else {
            String::new()
        };
        let is_worse = if self.metric.more_is_better() {
            found.median < limit
        } else {
            found.median > limit
        };
        let (outcome, than) = if is_worse {
            (GateOutcome::Failed, "worse than")
        } else {
            (GateOutcome::Passed, "no worse than")
        };
        let (value, limit) = (show(found.median), show(limit));
        (outcome, format!("{name} {value}{runs}, {than} {limit}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Repetition;
    use crate::record::fixtures::row;

    fn at(tps: f64) -> Row {
        let mut row = row();
        (row.tps, row.latency_ms.p99) = (tps, Some(5.0));
        row
    }

    fn judged(text: &str, rows: &[Row]) -> Vec<(GateOutcome, String)> {
        let gate = of_a_row(text).unwrap();
        let results = judge_rows(&[gate], rows).into_iter();
        results.map(|one| (one.outcome, one.message)).collect()
    }

    #[test]
    fn a_row_fails_a_gate_that_it_is_worse_than() {
        let rows = [at(45_000.0), at(50_000.0)];
        let found = judged("tps<50k", &rows);
        assert_eq!(
            found,
            [
                (
                    GateOutcome::Failed,
                    "TPS 45,000, worse than 50,000".to_owned()
                ),
                (
                    GateOutcome::Passed,
                    "TPS 50,000, no worse than 50,000".to_owned()
                ),
            ]
        );
        let late = &judged("p99>4ms", &rows)[0];
        assert_eq!(late.0, GateOutcome::Failed);
        assert_eq!(late.1, "p99 5.00 ms, worse than 4.00 ms");
        assert_eq!(judged("p99>5ms", &rows)[0].0, GateOutcome::Passed);
    }

    #[test]
    fn of_repetitions_the_median_is_held_against_it() {
        let repeated = [40_000.0, 52_000.0, 53_000.0].map(|tps| {
            let mut row = at(tps);
            row.repetition = Some(Repetition { number: 1, of: 3 });
            row
        });
        let [(outcome, message)] = &judged("tps<50k", &repeated)[..] else {
            panic!("one row");
        };
        assert_eq!(*outcome, GateOutcome::Passed);
        assert!(message.contains("in the median of 3 runs"), "{message}");
        let all = judge_rows(&[of_a_row("tps<1").unwrap()], &repeated);
        assert_eq!(all[0].rows, [0, 1, 2]);
    }

    #[test]
    fn what_is_not_known_is_undecided() {
        let mut few = at(1.0);
        few.latency_ms.p99 = None;
        let mut invalid = at(1.0);
        invalid.valid = false;
        let mut interrupted = at(1.0);
        interrupted.interrupted = true;
        for (row, says) in [
            (few, "p99 needs 1,000 committed transfers in each run"),
            (invalid, "p99 is of no valid run"),
            (interrupted, "p99 is of no valid run"),
        ] {
            let found = judged("p99>5ms", &[row]);
            assert_eq!(found[0].0, GateOutcome::Undecided);
            assert!(found[0].1.starts_with(says), "{found:?}");
        }
    }

    #[test]
    fn a_share_is_of_two_sides() {
        let error = of_a_row("tps<-5%").unwrap_err().to_string();
        assert!(error.contains("compare"), "{error}");
        assert!(
            of_a_row("tps>50k")
                .unwrap_err()
                .to_string()
                .contains("tps<50k")
        );
    }
}
