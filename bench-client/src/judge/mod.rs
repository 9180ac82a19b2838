//! What turns numbers into verdicts.
//!
//! Everything is judged against the durability that the server declares, by what was
//! measured: never by the name of a mode. Which verdicts make a row invalid is fixed
//! (`docs/methodology.md`): money not conserved, nothing changed, the ledger check, fake,
//! no committed transfer, the server died.

mod budget;
pub mod compare;
mod counters;
mod edges;
mod fake;
pub mod gate;

mod generator;
mod ledger;
pub mod model;
mod own_verify;
mod stand_still;
mod syncs;
pub(crate) mod verdict;

pub use budget::{BudgetEvidence, budget, outside_us};
pub use counters::ServerCounters;
pub use edges::window_edges;
use edges::{is_cut_off, is_held_back};
pub use fake::{SyncEvidence, fake_reasons};
use generator::littles_law_holds;
pub use generator::{GeneratorEvidence, generator_bound_reasons, with_null_server};
pub use ledger::{AppliedCheck, CheckedBalances, DeltaCheck, Sample, check_applied, check_deltas};
pub use model::{ModelInputs, predict};
pub use own_verify::{OwnVerified, Seeding};
pub use stand_still::stand_still;
pub use syncs::doubtful_baseline;

use std::collections::BTreeMap;

use ledger::check_accounts;

use busload_sqlite::Durability;

use crate::disk::{Baseline, SYNC_MIN_US};
use crate::host::environment::{EnvironmentWarning, EnvironmentWarningCode};
use crate::record::{
    AppliedBy, LittlesLaw, ProcessorSpeed, StandStill, Throttled, Verdict, Verification,
    WindowEdges,
};
use crate::statistics::{SPEED_SAMPLES_MIN, SteadyState};
use syncs::doubtful_server;

/// All that a row is judged by.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// Transfers acknowledged, over the whole run.
    pub acknowledged: u64,
    /// Transfers acknowledged inside the window.
    pub committed_in_window: u64,
    /// Answered inside the window as rejected or failed, by reason.
    pub not_committed_in_window: BTreeMap<String, u64>,
    /// Transfers of unknown outcome, over the whole run.
    pub unknown: u64,
    /// Answers to requests that were not in flight.
    pub unexpected_answers: u64,
    /// Answers that contradicted themselves.
    pub contradictory_answers: u64,
    /// Transfers applied by the server's account.
    pub applied: Option<u64>,
    /// What that account rests on.
    pub applied_by: Option<AppliedBy>,
    /// Its counters.
    pub counters: Option<Box<ServerCounters>>,
    /// Sum of all balances before and after.
    pub totals: Option<(i128, i128)>,
    /// The lowest balance after the run.
    pub lowest_balance: Option<i128>,
    /// Digests of all balances before and after.
    pub digests: Option<(String, String)>,
    /// How many accounts there were before and after, by the server's account.
    pub accounts: Option<(u64, u64)>,
    /// What a foreign server's own `verify` said, or its error.
    pub own_verify: Option<Result<OwnVerified, String>>,
    /// What this program seeded; `None` where it did not.
    pub seeded: Option<Seeding>,
    /// By the transfers that were acknowledged some balance must differ from before.
    pub must_differ: bool,
    /// Balances that were read after the run.
    pub checked: CheckedBalances,
    /// Syncs and bytes, from inside and outside of the server.
    pub syncs: Option<SyncEvidence>,
    /// The durability that the server declares; `None` if it does not tell.
    pub durability: Option<String>,
    /// How the server ended, if it was not told to.
    pub server_died: Option<String>,
    /// The run was stopped from outside.
    pub interrupted: bool,
    /// Verification was switched off.
    pub not_verified: bool,
    /// Libraries preloaded into the server that may replace its syncs, and are not in this
    /// program as well.
    pub preloaded: Vec<String>,
    /// What CPU quotas did to the client and to the server in the window.
    pub throttled: [Option<Throttled>; 2],
    /// How fast a processor computed before and after.
    pub processor_speed: Option<ProcessorSpeed>,
    /// Of the machine and the file system.
    pub environment: Vec<EnvironmentWarning>,
    /// Sync baselines before and after.
    pub baselines: Option<(Baseline, Baseline)>,
    /// How the load generator did.
    pub generator: Option<GeneratorEvidence>,
    /// Throughput, latency and what was in flight.
    pub littles_law: Option<LittlesLaw>,
    /// Whether the warm-up had ended when the window opened.
    pub steady_state: Option<SteadyState>,
    /// What crossed the ends of the window.
    pub edges: Option<WindowEdges>,
    /// The longest time in which nothing was committed.
    pub stand_still: Option<StandStill>,
}

impl Evidence {
    /// The server coalesces: what it applied is its own count.
    fn counts_itself(&self) -> bool {
        self.applied_by == Some(AppliedBy::OwnCount)
    }

    /// It coalesces, says that it wrote nothing, and by the acknowledged transfers every balance
    /// may be what it was: those of each batch may have taken back what others of it gave.
    fn may_have_nothing_to_write(&self, syncs: &SyncEvidence) -> bool {
        self.counts_itself() && !self.must_differ && syncs.batches_that_wrote == 0
    }
}

/// Judges a row.
#[must_use]
pub fn judge(evidence: &Evidence) -> (Verification, Vec<Verdict>) {
    let mut verdicts = Vec::new();
    let verification = verify(evidence, &mut verdicts);
    if evidence.committed_in_window == 0 {
        verdicts.push(verdict::no_committed_transfer(evidence.acknowledged));
    }
    if let Some(how) = &evidence.server_died {
        verdicts.push(verdict::server_died(how));
    }
    warn(evidence, &verification, &mut verdicts);
    (verification, verdicts)
}

/// Whether a row with these verdicts may be quoted.
#[must_use]
pub fn is_valid(verdicts: &[Verdict]) -> bool {
    !verdicts.iter().any(|verdict| verdict.invalidates)
}

fn verify(evidence: &Evidence, verdicts: &mut Vec<Verdict>) -> Verification {
    let mut verification = Verification {
        acknowledged: evidence.acknowledged,
        unknown: evidence.unknown,
        applied: evidence.applied,
        applied_by: evidence.applied.and(evidence.applied_by),
        ..Verification::default()
    };
    let deltas = check_deltas(&evidence.checked.samples);
    let accounts = check_accounts(evidence);
    // All that this client has seen for itself speaks for the ledger.
    let seen_right = deltas.checked > 0
        && deltas.mismatches == 0
        && accounts.is_ok()
        && evidence.unexpected_answers == 0;
    let seen_whole =
        evidence.checked.are_whole && deltas.checked == evidence.checked.samples.len() as u64;
    verification.conserved = conserved(evidence, seen_right, seen_whole);
    if verification.conserved == Some(false) {
        verdicts.push(verdict::money_not_conserved(evidence));
    }
    if let Some(Err(error)) = &evidence.own_verify
        && seen_right
    {
        verdicts.push(verdict::own_verify_failed(evidence, error, deltas.checked));
    }
    verification.changed = changed(evidence);
    if verification.changed == Some(false) && evidence.must_differ {
        verdicts.push(verdict::nothing_changed());
    }
    let applied = check_applied(evidence.acknowledged, evidence.unknown, evidence.applied);
    verification.sampled_accounts = deltas.checked;
    verification.sample_mismatches = deltas.mismatches;
    verification.checked_share = checked_share(&deltas, evidence.acknowledged);
    verification.balances_before = evidence.checked.before;
    verification.accounts_ok = match &accounts {
        Ok(told) => told.then_some(true),
        Err(_) => Some(false),
    };
    verification.ledger_ok = match (applied, deltas.checked) {
        (AppliedCheck::Unchecked, 0) if accounts.is_ok() => None,
        // What a server counts for itself can speak against it, not for it.
        (AppliedCheck::Holds, 0) if accounts.is_ok() && evidence.counts_itself() => None,
        (applied, _) => Some(
            applied.is_ok()
                && deltas.mismatches == 0
                && accounts.is_ok()
                && evidence.unexpected_answers == 0,
        ),
    };
    if verification.ledger_ok == Some(false) {
        verdicts.push(verdict::ledger_mismatch(evidence, &deltas, accounts.err()));
    }
    if let Some(syncs) = &evidence.syncs
        && !evidence.may_have_nothing_to_write(syncs)
    {
        verification.fake_reasons = fake_reasons(evidence.acknowledged, evidence.applied, syncs);
        verification.fake = !verification.fake_reasons.is_empty();
        if verification.fake {
            verdicts.push(verdict::fake(&verification.fake_reasons));
        }
    }
    verification
}

/// Every acknowledged transfer names two accounts.
#[expect(clippy::cast_precision_loss, reason = "a share")]
fn checked_share(deltas: &DeltaCheck, acknowledged: u64) -> Option<f64> {
    (deltas.checked > 0 && acknowledged > 0)
        .then(|| deltas.transfers as f64 / (2 * acknowledged) as f64)
}

/// `seen_right`: all that this client has compared is right; `seen_whole`: that is the whole
/// ledger.
fn conserved(evidence: &Evidence, seen_right: bool, seen_whole: bool) -> Option<bool> {
    let by_total = evidence.totals.map(|(before, after)| before == after);
    let no_debt = evidence.lowest_balance.map(|lowest| lowest >= 0);
    // A server that compares with another initial balance than it was seeded with finds fault
    // with a ledger that is right.
    let own = evidence.own_verify.as_ref().map(Result::is_ok);
    let by_server = own.filter(|ok| *ok || !seen_right);
    // What each transfer takes from one account it brings to another.
    let by_balances = (seen_right && seen_whole).then_some(true);
    [by_total, no_debt, by_server, by_balances]
        .into_iter()
        .flatten()
        .reduce(|a, b| a && b)
}

fn changed(evidence: &Evidence) -> Option<bool> {
    if let Some((before, after)) = &evidence.digests {
        return Some(before != after);
    }
    if let Some(Ok(own)) = evidence.own_verify {
        return Some(own.changed > 0);
    }
    let differs = |sample: &Sample| sample.change() != Some(0);
    if evidence.checked.samples.iter().any(differs) {
        return Some(true);
    }
    // Accounts that nothing happened to say nothing.
    let must_differ = evidence.checked.samples.iter().any(Sample::must_differ);
    must_differ.then_some(false)
}

/// The durability of transfers that the client wants answered before they are durable.
pub const UNCONFIRMED_READS: &str = "unconfirmed-reads";
/// What the null server declares as its durability.
const NULL_SERVER: &str = "null";

/// Baselines that differ by more than this factor: the disk was not the same.
const UNSTABLE_FACTOR: f64 = 1.5;
/// A sync at COMMIT below this share of the fastest baseline is suspicious.
const TOO_FAST_SHARE: f64 = 0.5;

/// The fastest method's median, in microseconds.
fn fastest_p50_us(baseline: &Baseline) -> Option<f64> {
    baseline
        .methods
        .iter()
        .filter_map(|method| method.latency_us.p50)
        .reduce(f64::min)
}

fn warn(evidence: &Evidence, verification: &Verification, verdicts: &mut Vec<Verdict>) {
    if evidence.durability.as_deref() == Some(NULL_SERVER) {
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
    match evidence.durability.as_deref() {
        Some(UNCONFIRMED_READS) => verdicts.push(verdict::unconfirmed_reads()),
        Some(name) => match name.parse::<Durability>() {
            Ok(mode) if mode.survives_power_cut() => {}
            Ok(Durability::DeleteFull) => verdicts.push(verdict::delete_full()),
            _ => verdicts.push(verdict::not_durable(name)),
        },
        None => verdicts.push(verdict::durability_unknown()),
    }
    for warning in &evidence.environment {
        verdicts.push(verdict::of_environment(warning));
    }
    warn_of_syncs(evidence, verdicts);
    warn_of_the_processor(evidence, verdicts);
    warn_of_the_outcomes(evidence, verdicts);
    warn_of_the_load(evidence, verdicts);
    if let Some((before, after)) = &evidence.baselines
        && let (Some(before), Some(after)) = (fastest_p50_us(before), fastest_p50_us(after))
    {
        if before.max(after) > UNSTABLE_FACTOR * before.min(after) {
            verdicts.push(verdict::unstable(before, after));
        }
        let fastest = before.min(after);
        if let Some(p50) = evidence.syncs.as_ref().and_then(|syncs| syncs.sync_p50_us)
            && p50 < TOO_FAST_SHARE * fastest
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
fn warn_of_the_processor(evidence: &Evidence, verdicts: &mut Vec<Verdict>) {
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
fn warn_of_syncs(evidence: &Evidence, verdicts: &mut Vec<Verdict>) {
    if !evidence.preloaded.is_empty() {
        let names: Vec<_> = evidence.preloaded.iter().map(String::as_str).collect();
        verdicts.push(verdict::preloaded(&names));
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
    if let Some((before, after)) = &evidence.baselines {
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
fn warn_of_the_outcomes(evidence: &Evidence, verdicts: &mut Vec<Verdict>) {
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
fn warn_of_the_load(evidence: &Evidence, verdicts: &mut Vec<Verdict>) {
    if let Some(generator) = &evidence.generator {
        let reasons = generator_bound_reasons(generator);
        if !reasons.is_empty() {
            verdicts.push(verdict::generator_bound(&reasons));
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
fn warn_of_the_window(evidence: &Evidence, verdicts: &mut Vec<Verdict>) {
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
    if let Some(gap) = &evidence.stand_still {
        verdicts.push(verdict::stand_still(gap));
    }
    // Transfers that cross the ends break the law as well: they are told of as what they are.
    if let Some(law) = evidence.littles_law
        && !littles_law_holds(&law)
        && committed >= SPEED_SAMPLES_MIN
        && held_back.or(cut_off).is_none()
    {
        verdicts.push(verdict::littles_law(&law));
    }
}

/// Less than this share of what was offered inside the window committed (Poisson arrivals
/// offer more or less than their rate there): the server, or the generator, did not
/// keep up.
const ACHIEVED_SHARE: f64 = 0.99;

#[cfg(test)]
mod tests;
