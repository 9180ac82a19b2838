//! What turns an observation into a judgement: pure functions of configuration and observation.
//!
//! Everything is judged against the durability that the server declares, by what was
//! measured: never by the name of a mode. Which verdicts make a row invalid is fixed
//! (`docs/verification.md`): money not conserved, nothing changed, the ledger check, fake,
//! no committed transfer, the server died.

mod budget;
pub mod compare;
mod counters;
mod edges;
mod evidence;
mod fake;
mod figures;
#[cfg(test)]
mod fixtures;
pub mod gate;
mod generator;
mod ledger;
pub mod model;
mod own_verify;
mod repetitions;
mod row;
mod stand_still;
mod syncs;
#[cfg(test)]
mod tests;
pub(crate) mod verdict;
mod verify;
mod warnings;

pub use repetitions::summarise;
pub use row::row;
pub use syncs::{busy_disk, doubtful_baseline};
pub use verdict::of_environment as of_environment_warning;

use std::time::Duration;

use crate::config::{Measure, RunConfig};
use crate::observation::{Observation, Ticks};
use crate::record::durability::{DurabilityVerdict, RowAudit};
use crate::record::{
    Budget, Generator, LittlesLaw, Row, StandStill, Verdict, VerdictCode, Verification, WindowEdges,
};
use crate::statistics::SteadyState;
use budget::{BudgetEvidence, budget, outside_us};
use edges::window_edges;
use evidence::{Evidence, Findings};
use figures::Figures;
use generator::{littles_law, with_null_server};
use stand_still::stand_still;

/// What is to be thought of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// What was checked of the ledger.
    pub verify: Verification,
    /// Where the time went; `None` when the server tells no stages or did nothing.
    pub budget: Option<Budget>,
    /// How busy the load generator was.
    pub generator: Generator,
    /// Throughput, latency and what was in flight, held against each other; `None` of a window
    /// without length.
    pub littles_law: Option<LittlesLaw>,
    /// Whether the warm-up had ended when the window opened; `None` of too short a window.
    pub steady_state: Option<SteadyState>,
    /// What crossed the ends of the window; `None` when nothing was committed in it.
    pub window_edges: Option<WindowEdges>,
    /// The longest time in which nothing was committed, if it was notable.
    pub stand_still: Option<StandStill>,
    /// What the numbers say about themselves.
    pub verdicts: Vec<Verdict>,
    /// Whether the row may be quoted.
    pub valid: bool,
}

/// Adds what the last audit of the row's server came to. It watched from outside: where it says
/// durable nobody need take the server's word for it, and where it says otherwise the row is not
/// durable, whatever the server says.
pub fn hear_audit(row: &mut Row, audit: RowAudit) {
    let verdicts = &mut row.verdicts;
    match audit.verdict {
        DurabilityVerdict::Durable => {
            verdicts.retain(|verdict| verdict.code != VerdictCode::DurabilityUnknown);
        }
        DurabilityVerdict::NotDurable | DurabilityVerdict::Fake => {
            let is_said = |verdict: &Verdict| verdict.code == VerdictCode::NotDurable;
            if !verdicts.iter().any(is_said) {
                verdicts.push(verdict::audit_failed(&audit));
            }
        }
        DurabilityVerdict::CannotTell => {}
    }
    row.audit = Some(audit);
}

/// Judges what was seen of a row with this configuration.
#[must_use]
pub fn judge(config: &RunConfig, observation: &Observation) -> Judgement {
    judge_figures(config, observation, &Figures::of(config, observation))
}

fn judge_figures(config: &RunConfig, observation: &Observation, figures: &Figures) -> Judgement {
    let load = &observation.load;
    let generator = Generator {
        thread_cpu: figures.thread_cpu.clone(),
        event_loop_lag_us: figures.event_loop_lag_us,
        ceiling_tps: None,
        ceiling_refuted: None,
    };
    let findings = Findings {
        generator: with_null_server(generator, figures.ceiling_tps, figures.tps),
        littles_law: littles_law(load, figures.seconds),
        steady_state: steady_state(&load.ticks),
        window_edges: window_edges(
            &load.edges,
            load.window.counts.committed,
            figures.seconds,
            matches!(config.load.measure(), Measure::Transfers(_)),
        ),
        stand_still: stand_still(
            &load.ticks,
            load.stalled_ns
                .map(|(from, to)| (Duration::from_nanos(from), Duration::from_nanos(to))),
        ),
    };
    let evidence = Evidence::of(config, observation, figures, &findings);
    let (verify, verdicts) = judge_evidence(&evidence);
    Judgement {
        verify,
        budget: time_budget(observation),
        generator: findings.generator,
        littles_law: findings.littles_law,
        steady_state: findings.steady_state,
        window_edges: findings.window_edges,
        stand_still: findings.stand_still,
        valid: is_valid(&verdicts),
        verdicts,
    }
}

fn judge_evidence(evidence: &Evidence<'_>) -> (Verification, Vec<Verdict>) {
    let mut verdicts = Vec::new();
    let verification = verify::verify(evidence, &mut verdicts);
    if evidence.committed_in_window == 0 {
        verdicts.push(verdict::no_committed_transfer(evidence.acknowledged));
    }
    if let Some(how) = &evidence.server_died {
        verdicts.push(verdict::server_died(how));
    }
    warnings::warn(evidence, &verification, &mut verdicts);
    (verification, verdicts)
}

/// Whether a row with these verdicts may be quoted.
fn is_valid(verdicts: &[Verdict]) -> bool {
    !verdicts.iter().any(|verdict| verdict.invalidates)
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn steady_state(ticks: &Ticks) -> Option<SteadyState> {
    let seconds = ticks.seconds();
    let series: Vec<f64> = ticks
        .committed
        .iter()
        .map(|committed| *committed as f64 / seconds)
        .collect();
    SteadyState::of(&series, seconds)
}

fn time_budget(observation: &Observation) -> Option<Budget> {
    let (before, after, between) = observation.system.as_ref()?.window_stats()?;
    let (mean_us, queue_us) = observation.load.mean_and_queue_us();
    // Machines have wires of their own: of several none is told, and it stays unexplained.
    let paced = match observation.machines.as_slice() {
        [machine] => machine.paced_null_server.as_ref(),
        _ => None,
    };
    let wire_us =
        paced.and_then(|null| outside_us(null.mean_us, null.queue_us, &null.before, &null.after));
    budget(&BudgetEvidence {
        mean_us,
        queue_us,
        wire_us,
        before,
        after,
        between,
    })
}
