//! Rounds: the runs of the sides, in turn.

use std::time::{Duration, Instant};

use bench_client::compare::{Schedule, base_first, round_seed};
use bench_client::config::RunConfig;
use bench_client::figures::{self, known};
use bench_client::judge::gate::Gate;
use bench_client::measure::RowError;
use bench_client::record::comparison::{Metric, Round, Stopped};
use bench_client::record::{Row, Verdict};
use tokio::sync::watch;

use super::sides::Side;
use crate::cli::progress::{Detail, asked_for};
use crate::cli::run::{Titled, measure_one};

/// Who is measured.
#[derive(Clone, Copy)]
pub(super) enum Turns<'a> {
    /// Base and candidate.
    Both(&'a Side, &'a Side),
    /// The candidate alone: the base was measured earlier.
    Candidate(&'a Side),
}

/// What was measured so far.
#[derive(Default)]
pub(super) struct Measured {
    pub(super) rows: Vec<Row>,
    /// The complete pairs; none of a candidate alone.
    pub(super) rounds: Vec<Round>,
    /// Complete rounds.
    done: u32,
}

/// How rounds are measured.
pub(super) struct Rounds<'a> {
    pub(super) turns: Turns<'a>,
    pub(super) schedule: Schedule,
    /// What they are called in progress lines.
    pub(super) title: &'a str,
    /// The seed of a round.
    pub(super) seeds: Seeds<'a>,
    /// What is said while they are measured.
    pub(super) detail: Detail,
    /// What gates are about.
    pub(super) gates: &'a [Gate],
}

/// Where the seeds of rounds come from.
#[derive(Clone, Copy)]
pub(super) enum Seeds<'a> {
    /// This one and those after it.
    From(u64),
    /// Those of the base's rows, over and over.
    Recorded(&'a [Row]),
}

impl Seeds<'_> {
    fn of(self, round: u32) -> u64 {
        match self {
            Self::From(seed) => round_seed(seed, round),
            Self::Recorded(rows) => {
                let seed = |row: &Row| row.config.workload.seed;
                let mut rows = rows.iter().cycle().map(seed);
                rows.nth(round as usize).unwrap_or_default()
            }
        }
    }
}

impl Rounds<'_> {
    /// Measures until there is enough, or something is in the way. `is_precise` tells whether
    /// there is enough already; `keep` is told after each run.
    pub(super) async fn measure(
        &self,
        measured: &mut Measured,
        interrupted: &watch::Receiver<bool>,
        is_precise: impl Fn(&Measured) -> bool,
        mut keep: impl FnMut(&Measured) -> anyhow::Result<()>,
    ) -> anyhow::Result<Stopped> {
        let began = Instant::now();
        let before = measured.rows.len();
        loop {
            let round = measured.done;
            let precise = is_precise(measured);
            if let Some(stopped) = self.schedule.stop(round, began.elapsed(), precise) {
                return Ok(stopped);
            }
            let mut places = Vec::new();
            for (name, side) in self.order(round) {
                let plan = side.seeded(self.seeds.of(round));
                let runs = measured.rows.len() - before;
                let told = Titled {
                    title: self.title_of(round, name, side),
                    detail: self.detail,
                    later: self.later(runs, began.elapsed(), &plan),
                };
                let row = measure_one(&plan, told, interrupted, &side.environment).await;
                let row = match row {
                    Ok(row) if row.interrupted => return Ok(Stopped::Interrupted),
                    Ok(row) => row,
                    Err(RowError::Interrupted) => return Ok(Stopped::Interrupted),
                    Err(error) => return Err(error.into()),
                };
                let valid = row.valid;
                if !valid {
                    eprintln!("{name} ({}) is invalid: {}", side.label, why(&row));
                }
                measured.rows.push(row);
                places.push(measured.rows.len() - 1);
                keep(measured)?;
                if !valid {
                    return Ok(Stopped::Invalid);
                }
                // The last round may be complete, and counts then.
                if *interrupted.borrow() && places.len() < self.runs() {
                    return Ok(Stopped::Interrupted);
                }
            }
            self.complete(measured, &places);
            keep(measured)?;
            if *interrupted.borrow() {
                return Ok(Stopped::Interrupted);
            }
        }
    }

    /// What the runs after the next one take, when those before it took so long; `None` when it is
    /// not known how many there will be.
    fn later(&self, runs: usize, took: Duration, plan: &RunConfig) -> Option<Duration> {
        let of = self.schedule.rounds? as usize * self.runs();
        let each = match u32::try_from(runs).ok()? {
            0 => asked_for(plan)?,
            runs => took / runs,
        };
        each.checked_mul(u32::try_from(of.saturating_sub(runs + 1)).ok()?)
    }

    /// Runs in a round.
    const fn runs(&self) -> usize {
        match self.turns {
            Turns::Both(..) => 2,
            Turns::Candidate(_) => 1,
        }
    }

    fn order(&self, round: u32) -> Vec<(&'static str, &Side)> {
        match self.turns {
            Turns::Both(base, candidate) => {
                let mut order = vec![("base", base), ("candidate", candidate)];
                if !base_first(round) {
                    order.reverse();
                }
                order
            }
            Turns::Candidate(candidate) => vec![("candidate", candidate)],
        }
    }

    fn title_of(&self, round: u32, name: &str, side: &Side) -> String {
        let of = self
            .schedule
            .rounds
            .map_or_else(String::new, |rounds| format!(" of {rounds}"));
        let number = round + 1;
        format!("{} {number}{of}, {name} ({})", self.title, side.label)
    }

    /// Counts a round whose runs are at these places, and tells of it on standard error.
    fn complete(&self, measured: &mut Measured, places: &[usize]) {
        let told = self.detail != Detail::Nothing;
        let rows = &measured.rows;
        let tps = |place: usize| figures::rate(rows[place].tps);
        let number = measured.done + 1;
        let title = self.title;
        match *places {
            [first, second] => {
                let base_first = base_first(measured.done);
                let (base_row, candidate_row) = if base_first {
                    (first, second)
                } else {
                    (second, first)
                };
                if told {
                    eprintln!(
                        "{title} {number}: base {} TPS, candidate {} TPS, ratio {:.3}{}",
                        tps(base_row),
                        tps(candidate_row),
                        rows[candidate_row].tps / rows[base_row].tps,
                        self.gated(&[&rows[base_row], &rows[candidate_row]]),
                    );
                }
                measured.rounds.push(Round {
                    base_row,
                    candidate_row,
                    base_first,
                });
            }
            [only] if told => eprintln!(
                "{title} {number}: candidate {} TPS{}",
                tps(only),
                self.gated(&[&rows[only]])
            ),
            _ => {}
        }
        measured.done += 1;
    }

    /// The percentiles that gates are about, of the runs of a round: `, p99 3.1 and 2.9 ms`.
    fn gated(&self, rows: &[&Row]) -> String {
        let gated = |metric: &Metric| self.gates.iter().any(|gate| gate.metric() == *metric);
        let percentiles = Metric::ALL
            .into_iter()
            .filter(|metric| *metric != Metric::Tps);
        let shown = percentiles.filter(gated).map(|metric| {
            let values = rows.iter().map(|row| known(metric.of(row), figures::ms));
            let values: Vec<String> = values.collect();
            format!(", {} {} ms", metric.as_str(), values.join(" and "))
        });
        shown.collect()
    }
}

fn why(row: &Row) -> String {
    let invalidating = row.verdicts.iter().filter(|verdict| verdict.invalidates);
    let messages: Vec<&str> = invalidating
        .map(|Verdict { message, .. }| message.as_str())
        .collect();
    messages.join("; ")
}
