//! What a row is warned of without being invalid.

use busload_frontend::promise;
use busload_sqlite::Durability;

use super::counters;
use super::edges::{TimeOfTransfer, is_cut_off, is_held_back};
use super::evidence::{Evidence, UNCONFIRMED_READS};
use super::generator::{generator_bound_reasons, littles_law_broken};
use super::syncs::{doubtful_baseline, doubtful_server};
use super::verdict;
use crate::disk::{Baseline, SYNC_MIN_US};
use crate::host::environment::EnvironmentWarningCode;
use crate::record::{Throttled, Verdict, Verification};
use crate::statistics::SPEED_SAMPLES_MIN;

#[cfg(test)]
mod tests;

/// What the null server declares as its durability.
const NULL_SERVER: &str = "null";

/// Baselines that differ by more than this factor: the disk was not the same.
const UNSTABLE_FACTOR: f64 = 1.5;
/// A sync at COMMIT below this share of the fastest baseline is suspicious.
const TOO_FAST_SHARE: f64 = 0.5;

/// The quickest write of any method, in microseconds: what an honest sync may take on this disk,
/// also where most samples of the baseline were slowed by others.
fn quickest_us(baseline: &Baseline) -> f64 {
    let quickest = baseline.methods.iter().map(|method| method.latency_us.min);
    quickest.fold(f64::INFINITY, f64::min)
}

/// The fastest method's median, in microseconds.
fn fastest_p50_us(baseline: &Baseline) -> Option<f64> {
    baseline
        .methods
        .iter()
        .filter_map(|method| method.latency_us.p50)
        .reduce(f64::min)
}

/// What does not make a row invalid.
pub(super) fn warn(
    evidence: &Evidence<'_>,
    verification: &Verification,
    verdicts: &mut Vec<Verdict>,
) {
    if evidence.durability == Some(NULL_SERVER) {
        verdicts.push(verdict::null_server());
        warn_of_the_processor(evidence, verdicts);
        warn_of_the_outcomes(evidence, verdicts);
        warn_of_the_load(evidence, verdicts);
        return;
    }
    if evidence.not_verified {
        verdicts.push(verdict::not_verified());
    } else if verification.conserved.is_none() || verification.ledger_ok.is_none() {
        verdicts.push(verdict::unverified(evidence, verification));
    }
    match evidence.durability {
        Some(UNCONFIRMED_READS) => verdicts.push(verdict::unconfirmed_reads()),
        Some(name) => match promise(name).map(|promise| promise.survives_power_cut) {
            Some(Some(true)) => {}
            Some(None) => verdicts.push(verdict::durability_not_told(evidence.about)),
            Some(Some(false)) if name == Durability::DeleteFull.as_str() => {
                verdicts.push(verdict::delete_full());
            }
            Some(Some(false)) | None => verdicts.push(verdict::not_durable(name)),
        },
        None => verdicts.push(verdict::durability_not_told(evidence.about)),
    }
    for warning in &evidence.environment {
        verdicts.push(verdict::of_environment(warning));
    }
    warn_of_syncs(evidence, verdicts);
    warn_of_the_processor(evidence, verdicts);
    warn_of_the_outcomes(evidence, verdicts);
    warn_of_the_load(evidence, verdicts);
    if let Some((first, last)) = evidence.baselines
        && let (Some(before), Some(after)) = (fastest_p50_us(first), fastest_p50_us(last))
    {
        if before.max(after) > UNSTABLE_FACTOR * before.min(after) {
            verdicts.push(verdict::unstable(before, after));
        }
        let fastest = before.min(after);
        if let Some(p50) = evidence.syncs.as_ref().and_then(|syncs| syncs.sync_p50_us)
            && p50 < TOO_FAST_SHARE * fastest
            && p50 < quickest_us(first).min(quickest_us(last))
            && p50 >= SYNC_MIN_US
        {
            verdicts.push(verdict::sync_too_fast(p50, fastest));
        }
    }
}

/// A processor that computes at less than this share of its best was shared with a neighbour or
/// ran at a lower clock. What a quiet one varies by is a hundredth.
const SLOW_SHARE: f64 = 0.8;

/// What kept client and server from computing.
fn warn_of_the_processor(evidence: &Evidence<'_>, verdicts: &mut Vec<Verdict>) {
    let kept = |throttled: Option<Throttled>| throttled.filter(|one| one.throttled_periods > 0);
    let [client, server] = evidence.throttled.map(kept);
    if client.is_some() || server.is_some() {
        verdicts.push(verdict::throttled(client, server));
    }
    if let Some(speed) = evidence.processor_speed
        && speed.before.min(speed.after) < SLOW_SHARE * speed.best
    {
        verdicts.push(verdict::processor_slowed(&speed));
    }
}

/// What is called a sync, and may be none.
fn warn_of_syncs(evidence: &Evidence<'_>, verdicts: &mut Vec<Verdict>) {
    if !evidence.preloaded.is_empty() {
        verdicts.push(verdict::preloaded(&evidence.preloaded));
    }
    // That of memory says so, and its syncs take no time by right.
    let in_memory = evidence
        .environment
        .iter()
        .any(|warning| warning.code == EnvironmentWarningCode::Tmpfs);
    if in_memory {
        return;
    }
    let mut doubts = evidence
        .syncs
        .as_ref()
        .map_or_else(Vec::new, doubtful_server);
    if let Some((before, after)) = evidence.baselines {
        doubts.extend(doubtful_baseline(before));
        doubts.extend(doubtful_baseline(after));
    }
    for doubt in doubts {
        // Once each: before and after are the same disk.
        if !verdicts.iter().any(|verdict| verdict.code == doubt.code) {
            verdicts.push(doubt);
        }
    }
}

/// From this share of the answered transfers on, those that were not committed are told of.
const NOT_COMMITTED_SHARE: f64 = 0.01;

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn warn_of_the_outcomes(evidence: &Evidence<'_>, verdicts: &mut Vec<Verdict>) {
    if evidence.unknown > 0 {
        verdicts.push(verdict::unknown_outcomes(evidence.unknown));
    }
    let others: u64 = evidence.not_committed_in_window.values().sum();
    let answered = evidence.committed_in_window + others;
    if others > 0 && others as f64 >= NOT_COMMITTED_SHARE * answered as f64 {
        verdicts.push(verdict::not_committed(
            evidence.committed_in_window,
            &evidence.not_committed_in_window,
        ));
    }
    if evidence.contradictory_answers > 0 {
        let count = evidence.contradictory_answers;
        verdicts.push(verdict::contradictory_answers(count));
    }
    if let Some(counters) = &evidence.counters {
        let found = counters::contradictions(counters, evidence.acknowledged);
        if !found.is_empty() {
            verdicts.push(verdict::counters_contradict(&found));
        }
    }
    if evidence.interrupted {
        verdicts.push(verdict::interrupted());
    }
}

/// What the load itself says about the numbers.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn warn_of_the_load(evidence: &Evidence<'_>, verdicts: &mut Vec<Verdict>) {
    if let Some(generator) = &evidence.generator {
        let reasons = generator_bound_reasons(generator);
        if !reasons.is_empty() {
            verdicts.push(verdict::generator_bound(&reasons, generator.was_idle()));
        }
        if let Some(open) = &generator.open_loop
            && open.offered >= SPEED_SAMPLES_MIN
            && open.achieved_tps * generator.seconds < ACHIEVED_SHARE * open.offered as f64
        {
            verdicts.push(verdict::offered_not_achieved(open));
        }
    }
    warn_of_the_window(evidence, verdicts);
    // Of too few transfers one that was late decides.
    if let Some(steady) = evidence.steady_state
        && !steady.steady
        && evidence.committed_in_window >= SPEED_SAMPLES_MIN
    {
        verdicts.push(verdict::not_steady(&steady));
    }
}

/// A window below this is as long as a few commits, or a few hiccups of the machine.
const WINDOW_MIN_SECONDS: f64 = 0.5;

/// What makes the window another one than it looks.
fn warn_of_the_window(evidence: &Evidence<'_>, verdicts: &mut Vec<Verdict>) {
    let generator = evidence.generator.as_ref();
    let seconds = generator.map(|generator| generator.seconds);
    let unsent = generator.and_then(|generator| Some(generator.open_loop.as_ref()?.dropped));
    let committed = evidence.committed_in_window;
    let edges = evidence.edges.as_ref();
    let held_back = edges.filter(|edges| is_held_back(edges, committed, unsent.unwrap_or(0)));
    let cut_off = edges.filter(|edges| is_cut_off(edges, committed));
    let too_short = seconds.filter(|seconds| *seconds < WINDOW_MIN_SECONDS && committed > 0);
    if let Some(edges) = held_back {
        verdicts.push(verdict::held_back(edges, committed));
    }
    if too_short.is_some() || cut_off.is_some() {
        verdicts.push(verdict::short_window(too_short, cut_off));
    }
    if let Some(time) = evidence.time_of_transfer.filter(TimeOfTransfer::outlasts) {
        verdicts.push(verdict::short_for_latency(&time));
    }
    if let Some(gap) = &evidence.stand_still {
        verdicts.push(verdict::stand_still(gap));
    }
    // Transfers that cross the ends break the law as well: they are told of as what they are.
    if let Some(law) = evidence.littles_law
        && let Some(product) = littles_law_broken(&law)
        && committed >= SPEED_SAMPLES_MIN
        && held_back.or(cut_off).is_none()
    {
        verdicts.push(verdict::littles_law(law.in_flight, product));
    }
}

/// Less than this share of what was offered inside the window committed (Poisson arrivals
/// offer more or less than their rate there): the server, or the generator, did not
/// keep up.
const ACHIEVED_SHARE: f64 = 0.99;
