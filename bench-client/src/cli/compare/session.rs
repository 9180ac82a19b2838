//! One comparison, from its first run to its exit code.

use std::process::ExitCode;

use bench_client::compare::{Baseline, Conditions};
use bench_client::judge::compare::{
    compare_all, compare_all_unpaired, hold_against, is_precise, noise_floor, noise_floors,
    not_compared,
};
use bench_client::judge::gate::{fails, judge_gates};
use bench_client::record::Row;
use bench_client::record::comparison::{
    COMPARISON_VERSION, Calibration, ComparisonRecord, Difference, Metric, MetricComparison,
    NoiseFloor, Side as SideRecord, Stopped,
};
use bench_client::render::records::comparison::{self, describe_difference};
use tokio::sync::watch;

use super::measure::{Measured, Rounds, Seeds, Turns};
use super::sides::Side;
use super::{CompareArgs, LEVEL, end, usage};
use crate::cli::fail_on::Ending;
use crate::cli::interrupt::watch_signals;
use crate::cli::output::{RecordFile, summarise_step};
use crate::cli::run::runtime;
use crate::cli::verbosity;
use crate::cli::{INTERRUPTED, UsageError, VALID, print, show};

/// What is compared with.
pub(super) enum Base {
    /// A side that is measured now.
    Live(Box<Side>),
    /// Rows that were measured earlier.
    Recorded {
        /// As it was given.
        label: String,
        baseline: Box<Baseline>,
    },
}

impl Base {
    fn recorded(&self) -> &[Row] {
        match self {
            Self::Live(_) => &[],
            Self::Recorded { baseline, .. } => &baseline.rows,
        }
    }
}

pub(super) struct Session<'a> {
    args: &'a CompareArgs,
    base: Base,
    candidate: Side,
    record: ComparisonRecord,
    path: RecordFile,
}

impl<'a> Session<'a> {
    pub(super) fn new(args: &'a CompareArgs, base: Base, candidate: Side) -> Self {
        let environment = match &base {
            Base::Live(base) if base.is_own() || !candidate.is_own() => &base.environment,
            _ => &candidate.environment,
        };
        let environment = environment.clone();
        let path = RecordFile::choose(args.output.file.as_deref(), "compare", &environment);
        let record = ComparisonRecord {
            comparison_version: COMPARISON_VERSION,
            naming: args.output.naming.naming(),
            environment,
            base: SideRecord {
                label: match &base {
                    Base::Live(side) => side.label.clone(),
                    Base::Recorded { label, .. } => label.clone(),
                },
                fingerprint: String::new(),
                baseline: match &base {
                    Base::Live(_) => None,
                    Base::Recorded { baseline, .. } => Some(baseline.path.display().to_string()),
                },
            },
            candidate: SideRecord {
                label: candidate.label.clone(),
                fingerprint: String::new(),
                baseline: None,
            },
            differences: Vec::new(),
            rounds: Vec::new(),
            metrics: Vec::new(),
            not_compared: Vec::new(),
            noise_floor: Vec::new(),
            gates: Vec::new(),
            stopped: Stopped::Interrupted,
            precision: args.until_precision,
            calibration: None,
            rows: Vec::new(),
            valid: true,
        };
        Self {
            args,
            base,
            candidate,
            record,
            path,
        }
    }

    pub(super) fn run(mut self) -> anyhow::Result<ExitCode> {
        self.differences_of(&Measured::default())?;
        self.path.check_replacing("compare")?;
        for difference in &self.record.differences {
            let said = describe_difference(difference);
            match &self.base {
                Base::Live(_) => eprintln!("compared: {said}"),
                Base::Recorded { .. } => {
                    verbosity::warning(&format!("not as in the baseline: {said}"));
                }
            }
        }
        let mut measured = Measured::default();
        let ended = runtime()?.block_on(self.measure(&mut measured));
        if let Err(error) = &ended
            && error.is::<UsageError>()
        {
            return ended.map(|_| ExitCode::from(VALID));
        }
        if measured.rows.is_empty() && self.record.calibration.is_none() {
            return ended.map(|_| ExitCode::from(INTERRUPTED));
        }
        // What was measured before an error is recorded and shown all the same.
        if let Ok(stopped) = &ended {
            self.record.stopped = *stopped;
        }
        self.judge(&measured);
        self.record = self.with(&measured);
        let written = self.path.write(&self.record);
        summarise_step(&comparison::document(&self.record));
        if self.record.metrics.is_empty() && ended.is_err() {
            return ended.map(|_| ExitCode::from(VALID));
        }
        if self.args.output.json {
            print(&serde_json::to_string_pretty(&self.record)?);
        } else {
            show(&end(&self.record, &self.path, self.args.verbosity));
        }
        ended?;
        written?;
        let named = measured.rows.iter().flat_map(|row| &row.verdicts);
        let named = self.args.fail_on.names(named);
        let ending = Ending {
            found: !self.record.valid
                || self.record.metrics.is_empty() && self.record.stopped != Stopped::Interrupted,
            interrupted: self.record.stopped == Stopped::Interrupted
                || self.record.metrics.is_empty(),
            failed: named || fails(&self.record.gates, self.args.undecided_fails()),
        };
        Ok(ending.code())
    }

    async fn measure(&mut self, measured: &mut Measured) -> anyhow::Result<Stopped> {
        let interrupted = watch_signals()?;
        if self.args.calibrate {
            let stopped = self.calibrate(&interrupted).await?;
            if matches!(stopped, Stopped::Interrupted | Stopped::Invalid) {
                self.record.valid = stopped != Stopped::Invalid;
                return Ok(stopped);
            }
        }
        let seed = self.candidate.plan.workload.seed;
        let this = &*self;
        let (turns, seeds) = match &this.base {
            Base::Live(base) => (Turns::Both(base, &this.candidate), Seeds::From(seed)),
            Base::Recorded { baseline, .. } => (
                Turns::Candidate(&this.candidate),
                if this.args.shared.0.has("seed") {
                    Seeds::From(seed)
                } else {
                    Seeds::Recorded(&baseline.rows)
                },
            ),
        };
        let rounds = Rounds {
            turns,
            schedule: this.args.schedule(&this.base),
            title: "round",
            seeds,
            detail: this.args.detail(),
            gates: &this.args.fail_if,
        };
        let precise = |measured: &Measured| this.is_precise(|| this.compare(measured));
        let keep = |measured: &Measured| {
            // What a server at a URL is set to is known from its rows only.
            if measured.rows.len() == 1 {
                this.refuse_unlike(&this.differences(measured))?;
            }
            // Not judged yet: for the case that this is its end.
            this.path.write_so_far(&this.with(measured))
        };
        rounds.measure(measured, &interrupted, precise, keep).await
    }

    /// Compares a side with itself.
    async fn calibrate(&mut self, interrupted: &watch::Receiver<bool>) -> anyhow::Result<Stopped> {
        let side = match &self.base {
            Base::Live(base) => base,
            Base::Recorded { .. } => &self.candidate,
        };
        let rounds = Rounds {
            turns: Turns::Both(side, side),
            schedule: self.args.schedule(&self.base),
            title: "A/A round",
            seeds: Seeds::From(side.plan.workload.seed),
            detail: self.args.detail(),
            gates: &self.args.fail_if,
        };
        let compare = |measured: &Measured| {
            let Measured { rows, rounds, .. } = measured;
            compare_all(rows, rounds, LEVEL, self.args.equivalence())
        };
        let precise = |measured: &Measured| self.is_precise(|| compare(measured));
        let mut measured = Measured::default();
        let ended = rounds.measure(&mut measured, interrupted, precise, |_| Ok(()));
        let stopped = ended.await?;
        let calibration = Calibration {
            label: side.label.clone(),
            rounds: u32::try_from(measured.rounds.len()).unwrap_or(u32::MAX),
            metrics: compare(&measured),
        };
        self.record.calibration = Some(calibration);
        Ok(stopped)
    }

    /// Whether what stops the rounds is known well enough: the ratio of TPS, and of what gates
    /// are about.
    fn is_precise(&self, metrics: impl Fn() -> Vec<MetricComparison>) -> bool {
        let Some(precision) = self.args.until_precision else {
            return false;
        };
        let counts = |metric: Metric| {
            let gates = &self.args.fail_if;
            metric == Metric::Tps || gates.iter().any(|gate| gate.metric() == metric)
        };
        let mut metrics = metrics();
        metrics.retain(|found| counts(found.metric));
        is_precise(&metrics, precision, LEVEL)
    }

    fn compare(&self, measured: &Measured) -> Vec<MetricComparison> {
        let equivalence = self.args.equivalence();
        let Measured { rows, rounds, .. } = measured;
        match &self.base {
            Base::Live(_) => compare_all(rows, rounds, LEVEL, equivalence),
            Base::Recorded { baseline, .. } => {
                let rows: Vec<Row> = rows.iter().filter(|row| row.valid).cloned().collect();
                compare_all_unpaired(&baseline.rows, &rows, LEVEL, equivalence)
            }
        }
    }

    /// What the sides differ in, as far as it is known.
    fn differences(&self, measured: &Measured) -> Vec<Difference> {
        let [base, candidate] = self.known(measured);
        match &self.base {
            Base::Live(side) => {
                let known = [&base, &candidate];
                self.candidate.differences(side, known)
            }
            Base::Recorded { .. } => base.differences(&candidate),
        }
    }

    /// The conditions of both sides: of their first rows, before these of their plans.
    fn known(&self, measured: &Measured) -> [Conditions; 2] {
        let of_side = |side: &Side, row: Option<&Row>| {
            row.map_or_else(
                || side.conditions.clone(),
                |row| Conditions::of_row(row, &side.environment),
            )
        };
        let round = measured.rounds.first();
        match &self.base {
            Base::Live(base) => [
                of_side(base, round.map(|round| &measured.rows[round.base_row])),
                of_side(
                    &self.candidate,
                    round.map(|round| &measured.rows[round.candidate_row]),
                ),
            ],
            Base::Recorded { baseline, .. } => {
                let candidate = of_side(&self.candidate, measured.rows.first());
                let base = baseline.conditions();
                [base.unwrap_or_else(|| candidate.clone()), candidate]
            }
        }
    }

    /// Takes the differences down, and refuses those that must not be.
    fn differences_of(&mut self, measured: &Measured) -> anyhow::Result<()> {
        let differences = self.differences(measured);
        self.refuse_unlike(&differences)?;
        self.record.differences = differences;
        Ok(())
    }

    fn refuse_unlike(&self, differences: &[Difference]) -> anyhow::Result<()> {
        let Base::Recorded { label, .. } = &self.base else {
            return Ok(());
        };
        if differences.is_empty() || self.args.allow_unlike {
            return Ok(());
        }
        let named: Vec<String> = differences.iter().map(describe_difference).collect();
        Err(usage(&format!(
            "baseline {label} was measured under other conditions ({}): measure the same, or \
             compare all the same with --allow-unlike",
            named.join("; ")
        )))
    }

    fn judge(&mut self, measured: &Measured) {
        self.record.metrics = self.compare(measured);
        self.record.noise_floor = match &self.base {
            Base::Live(_) => noise_floors(&measured.rows, &measured.rounds, LEVEL),
            Base::Recorded { baseline, .. } => floors_of_runs(&[&baseline.rows, &measured.rows]),
        };
        hold_against(&mut self.record.noise_floor, &self.record.metrics);
        let candidates: Vec<&Row> = match &self.base {
            Base::Live(_) => {
                let rounds = measured.rounds.iter();
                rounds
                    .map(|round| &measured.rows[round.candidate_row])
                    .collect()
            }
            Base::Recorded { .. } => measured.rows.iter().filter(|row| row.valid).collect(),
        };
        let bases: Vec<&Row> = match &self.base {
            Base::Live(_) => {
                let rounds = measured.rounds.iter();
                rounds.map(|round| &measured.rows[round.base_row]).collect()
            }
            Base::Recorded { baseline, .. } => baseline.rows.iter().collect(),
        };
        // Without a round there is nothing yet to compare.
        self.record.not_compared = if bases.is_empty() || candidates.is_empty() {
            Vec::new()
        } else {
            not_compared([&bases, &candidates])
        };
        let gates = &self.args.fail_if;
        self.record.gates = judge_gates(
            gates,
            &self.record.metrics,
            &self.record.not_compared,
            &candidates,
            LEVEL,
        );
        self.record.differences = self.differences(measured);
        let [base, candidate] = self.known(measured);
        let recorded = self.base.recorded().first();
        let recorded = recorded.and_then(|row| row.fingerprint.clone());
        self.record.base.fingerprint = recorded.unwrap_or_else(|| base.fingerprint());
        self.record.candidate.fingerprint = candidate.fingerprint();
    }

    /// The record with these runs.
    fn with(&self, measured: &Measured) -> ComparisonRecord {
        let mut record = self.record.clone();
        let rows = self.base.recorded().iter().chain(&measured.rows);
        record.rows = rows.cloned().collect();
        record.rounds.clone_from(&measured.rounds);
        record.valid &= measured.rows.iter().all(|row| row.valid);
        record
    }
}

/// The noise of each metric between neighbouring runs of a side that was measured alone. Every
/// second pair is turned around, as in rounds.
pub(super) fn floors_of_runs(series: &[&[Row]]) -> Vec<NoiseFloor> {
    let floor = |metric: Metric| {
        let mut pairs = Vec::new();
        for rows in series {
            for (number, pair) in rows.chunks_exact(2).enumerate() {
                let (first, second) = (metric.of(&pair[0])?, metric.of(&pair[1])?);
                pairs.push(if number.is_multiple_of(2) {
                    (first, second)
                } else {
                    (second, first)
                });
            }
        }
        let runs = series.iter().map(|rows| rows.len()).min().unwrap_or(0);
        noise_floor(metric, &pairs, runs, LEVEL)
    };
    Metric::ALL.into_iter().filter_map(floor).collect()
}
