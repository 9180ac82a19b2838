//! Gates: what a comparison must not show.

mod of_rows;

use std::str::FromStr;

use busload_frontend::cli::parse_number as parse_quantity;
pub use of_rows::{judge_rows, of_a_row};
use thiserror::Error;

use super::compare::has_full_confidence;
use crate::figures::{in_ms, rate};
use crate::record::Row;
use crate::record::comparison::{GateOutcome, GateResult, Metric, MetricComparison, NotCompared};
use crate::statistics::{Estimate, Level};

/// A condition under which a build fails: `tps<-5%`, `p99>+10%`, `tps<100000`, `p99>5ms`.
///
/// It names what is bad, so throughput has only `<` and latency only `>`: the other way around
/// a gate would fail builds for being better and pass all that got worse.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    text: String,
    metric: Metric,
    threshold: Threshold,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Threshold {
    /// Candidate ÷ base.
    Ratio(f64),
    /// The candidate's own value: transfers per second, or milliseconds.
    Value(f64),
}

/// Why a gate is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("gate `{gate}`: {problem}")]
pub struct GateError {
    /// As it was given.
    pub gate: String,
    /// What is wrong with it.
    pub problem: GateProblem,
}

/// What is wrong with a gate, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GateProblem {
    /// Not METRIC OP NUMBER.
    #[error("expected a metric, < or >, and a number, such as tps<-5% or p99>5ms")]
    Form,
    /// A metric that is not compared.
    #[error("no metric `{0}`; there are tps, p50, p95 and p99")]
    Metric(String),
    /// Not a number.
    #[error("`{number}` is not a number; write it as in {example}")]
    Number {
        /// What was written.
        number: String,
        /// A gate of this metric.
        example: &'static str,
    },
    /// A unit that the metric does not have, or none where one is needed.
    #[error("`{number}` is not a {quantity}; write it as in {examples}")]
    Unit {
        /// What was written.
        number: String,
        /// What the metric is.
        quantity: &'static str,
        /// Gates of this metric.
        examples: &'static str,
    },
    /// It would fail what is better.
    #[error("fails when {metric} is better; to fail when it is worse, write {instead}")]
    Direction {
        /// The metric.
        metric: &'static str,
        /// The gate that was probably meant.
        instead: String,
    },
    /// It would fail equal sides.
    #[error("fails when nothing changed; write {instead}")]
    Sign {
        /// The gate that was probably meant.
        instead: String,
    },
    /// It is of two sides, and there is one.
    #[error(
        "a share is of another side, which compare measures; write a value, such as tps<50k or p99>5ms"
    )]
    Share,
    /// It can never fail.
    #[error("can never fail; write {0}")]
    Never(&'static str),
}

impl FromStr for Gate {
    type Err = GateError;

    fn from_str(text: &str) -> Result<Self, GateError> {
        let parsed = parse(text).map_err(|problem| GateError {
            gate: text.to_owned(),
            problem,
        });
        let (metric, threshold) = parsed?;
        Ok(Self {
            text: text.to_owned(),
            metric,
            threshold,
        })
    }
}

fn parse(text: &str) -> Result<(Metric, Threshold), GateProblem> {
    let place = text.find(['<', '>']).ok_or(GateProblem::Form)?;
    let (name, rest) = text.split_at(place);
    let (less, number) = (rest.starts_with('<'), rest[1..].trim());
    let metric = metric_of(name.trim())?;
    if number.is_empty() || number.starts_with(['<', '>', '=']) {
        return Err(GateProblem::Form);
    }
    let threshold = if let Some(percent) = number.strip_suffix('%') {
        relative(metric, less, parse_number(metric, percent)?)?
    } else {
        absolute(metric, less, number)?
    };
    Ok((metric, threshold))
}

fn metric_of(name: &str) -> Result<Metric, GateProblem> {
    let mut all = Metric::ALL.into_iter();
    all.find(|metric| metric.as_str().eq_ignore_ascii_case(name))
        .ok_or_else(|| GateProblem::Metric(name.to_owned()))
}

fn parse_number(metric: Metric, text: &str) -> Result<f64, GateProblem> {
    let digits = text.trim().replace('_', "");
    let digits = digits.strip_prefix('+').unwrap_or(&digits);
    // 100k and 1M are counts; a share has a sign.
    let number = parse_quantity(digits).or_else(|| digits.parse().ok());
    number
        .filter(|number| number.is_finite())
        .ok_or_else(|| GateProblem::Number {
            number: text.trim().to_owned(),
            example: if metric.more_is_better() {
                "tps<-5% or tps<100000"
            } else {
                "p99>+10% or p99>5ms"
            },
        })
}

fn relative(metric: Metric, less: bool, percent: f64) -> Result<Threshold, GateProblem> {
    let name = metric.as_str();
    let size = percent.abs();
    let (sign, worse) = if metric.more_is_better() {
        (format!("{name}<-{size}%"), -percent)
    } else {
        (format!("{name}>+{size}%"), percent)
    };
    if less != metric.more_is_better() {
        return Err(GateProblem::Direction {
            metric: name,
            instead: sign,
        });
    }
    if worse < 0.0 {
        return Err(GateProblem::Sign { instead: sign });
    }
    if percent <= -100.0 {
        return Err(GateProblem::Never("tps<-5%, or another share below 100%"));
    }
    Ok(Threshold::Ratio(1.0 + percent / 100.0))
}

fn absolute(metric: Metric, less: bool, number: &str) -> Result<Threshold, GateProblem> {
    let lower = number.to_ascii_lowercase();
    let (digits, unit_ms) = if let Some(digits) = lower.strip_suffix("ms") {
        (digits, Some(1.0))
    } else if let Some(digits) = lower.strip_suffix("us") {
        (digits, Some(0.001))
    } else {
        (number, None)
    };
    let value = parse_number(metric, digits)?;
    if metric.more_is_better() == unit_ms.is_some() {
        return Err(if metric.more_is_better() {
            GateProblem::Unit {
                number: number.to_owned(),
                quantity: "throughput",
                examples: "tps<-5% or tps<100000",
            }
        } else {
            GateProblem::Unit {
                number: number.to_owned(),
                quantity: "time",
                examples: "p99>+10%, p99>5ms or p99>800us",
            }
        });
    }
    let name = metric.as_str();
    if less != metric.more_is_better() {
        let operator = if metric.more_is_better() { '<' } else { '>' };
        return Err(GateProblem::Direction {
            metric: name,
            instead: format!("{name}{operator}{number}"),
        });
    }
    if value <= 0.0 {
        return Err(if metric.more_is_better() {
            GateProblem::Never("tps<-5%, or a throughput above 0")
        } else {
            GateProblem::Sign {
                instead: format!("{name}>5ms or {name}>+10%"),
            }
        });
    }
    Ok(Threshold::Value(value * unit_ms.unwrap_or(1.0)))
}

impl Gate {
    /// As it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What it is about.
    #[must_use]
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// Fewest rounds in which it can be decided; against so many `recorded` runs of a base,
    /// fewest runs of the candidate. `None` when more than `limit` would be needed.
    #[must_use]
    pub fn runs_min(&self, recorded: Option<u32>, level: Level, limit: u32) -> Option<u32> {
        match (self.threshold, recorded) {
            (Threshold::Ratio(_), Some(recorded)) => level.runs_min(recorded, limit),
            // The candidate's own value has no other side.
            (Threshold::Ratio(_), None) | (Threshold::Value(_), _) => {
                Some(level.rounds_min()).filter(|runs| *runs <= limit)
            }
        }
    }

    /// Holds the gate against the comparison of its metric and the candidate's values (transfers
    /// per second, or milliseconds, in the order of the runs; `None` when one of the runs has
    /// too few transfers for the percentile).
    ///
    /// It fails only if the whole interval is beyond the threshold, and passes only if the
    /// whole interval is on the good side; an interval that holds the threshold, or touches it,
    /// leaves it undecided, as do fewer runs than the level needs.
    ///
    /// A relative gate is judged on the interval of the ratio. Those of all metrics together
    /// hold with the level's family error, so however many relative gates there are, one of
    /// them fails wrongly in at most that share of comparisons. An absolute gate is judged on
    /// the interval of the candidate's own median ([`Estimate::at`]) at the same confidence:
    /// these are at most one per metric, and share another such error.
    #[must_use]
    pub fn judge(
        &self,
        comparison: Option<&MetricComparison>,
        candidate: Option<&[f64]>,
        level: Level,
    ) -> GateResult {
        let interval = match self.threshold {
            Threshold::Ratio(limit) => comparison.map(|found| Interval {
                limit,
                value: found.ratio,
                low: found.low,
                high: found.high,
                confidence: found.confidence,
                enough: has_full_confidence(found, level),
            }),
            Threshold::Value(limit) => {
                let estimate = candidate.and_then(|all| Estimate::at(all, level.confidence()));
                estimate.map(|found| Interval {
                    limit,
                    value: found.median,
                    low: found.low,
                    high: found.high,
                    confidence: found.confidence,
                    enough: found.count >= level.rounds_min(),
                })
            }
        };
        let (outcome, message) = match interval {
            Some(interval) => (self.outcome(&interval), self.message(&interval, level)),
            None => (
                GateOutcome::Undecided,
                format!("{} could not be compared", self.metric.title()),
            ),
        };
        GateResult {
            gate: self.text.clone(),
            metric: self.metric,
            outcome,
            message,
            rows: Vec::new(),
        }
    }

    fn outcome(&self, interval: &Interval) -> GateOutcome {
        let below = interval.high < interval.limit;
        let above = interval.low > interval.limit;
        let (bad, good) = if self.metric.more_is_better() {
            (below, above)
        } else {
            (above, below)
        };
        match (interval.enough, bad, good) {
            (true, true, _) => GateOutcome::Failed,
            (true, _, true) => GateOutcome::Passed,
            _ => GateOutcome::Undecided,
        }
    }

    fn message(&self, interval: &Interval, level: Level) -> String {
        let show = |value: f64| match self.threshold {
            Threshold::Ratio(_) => format!("{:+.1} %", 100.0 * (value - 1.0)),
            Threshold::Value(_) => in_its_unit(self.metric, value),
        };
        let name = self.metric.title();
        let found = format!(
            "{name} {} ({} to {} at {:.2} %)",
            show(interval.value),
            show(interval.low),
            show(interval.high),
            100.0 * interval.confidence,
        );
        let limit = show(interval.limit);
        match self.outcome(interval) {
            GateOutcome::Failed => format!("{found}, all of it worse than {limit}"),
            GateOutcome::Passed => format!("{found}, all of it better than {limit}"),
            GateOutcome::Undecided if interval.enough => {
                format!("{found}, which includes {limit}: nothing is proven")
            }
            GateOutcome::Undecided => {
                let confidence = 100.0 * level.confidence();
                format!("{found}: too few runs for {confidence:.2} %, nothing is proven")
            }
        }
    }
}

/// A value of the metric, of which TPS is both name and unit.
fn in_its_unit(metric: Metric, value: f64) -> String {
    if metric.more_is_better() {
        rate(value)
    } else {
        in_ms(Some(value))
    }
}

struct Interval {
    limit: f64,
    value: f64,
    low: f64,
    high: f64,
    confidence: f64,
    /// Whether there were enough runs for the level.
    enough: bool,
}

/// Judges every gate, in order. `candidate` are the candidate's runs. A gate whose metric was
/// not compared is undecided and says why.
#[must_use]
pub fn judge_gates(
    gates: &[Gate],
    metrics: &[MetricComparison],
    not_compared: &[NotCompared],
    candidate: &[&Row],
    level: Level,
) -> Vec<GateResult> {
    let judge = |gate: &Gate| {
        let comparison = metrics.iter().find(|found| found.metric == gate.metric);
        let values = candidate.iter().map(|row| gate.metric.of(row));
        let values: Option<Vec<f64>> = values.collect();
        let mut result = gate.judge(comparison, values.as_deref(), level);
        let missing = not_compared.iter().find(|one| one.metric == gate.metric);
        if let Some(missing) = missing.filter(|_| result.outcome == GateOutcome::Undecided) {
            result.message = format!("{}: {}", result.message, missing.why);
        }
        result
    };
    gates.iter().map(judge).collect()
}

/// Whether these gates fail the build. With `strict`, those that are undecided do so too.
#[must_use]
pub fn fails(gates: &[GateResult], strict: bool) -> bool {
    gates.iter().any(|gate| match gate.outcome {
        GateOutcome::Failed => true,
        GateOutcome::Undecided => strict,
        GateOutcome::Passed => false,
    })
}

#[cfg(test)]
mod tests;
