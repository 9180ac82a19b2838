//! What was checked of the ledger, and what is to be said of it.

use super::evidence::Evidence;
use super::fake::fake_reasons;
use super::ledger::{
    AppliedCheck, DeltaCheck, check_accounts, check_applied, check_deltas, must_differ,
};
use super::verdict;
use crate::observation::Sample;
use crate::record::{Verdict, Verification};

#[cfg(test)]
mod tests;

pub(super) fn verify(evidence: &Evidence<'_>, verdicts: &mut Vec<Verdict>) -> Verification {
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
    verification.changed = changed(evidence);
    let is_unmoved = verification.changed == Some(false) && evidence.must_differ;
    // What its own verification finds fault with is then that nothing moved.
    verification.conserved = conserved(evidence, seen_right || is_unmoved, seen_whole);
    if is_unmoved {
        verdicts.push(verdict::nothing_changed(evidence.acknowledged));
    }
    if verification.conserved == Some(false) {
        verdicts.push(verdict::money_not_conserved(evidence));
    }
    if let Some(Err(error)) = &evidence.own_verify
        && seen_right
    {
        verdicts.push(verdict::own_verify_failed(evidence, error, deltas.checked));
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

/// `adds_up`: all that this client has compared is right, or as it was before; `seen_whole`: that
/// is the whole ledger.
fn conserved(evidence: &Evidence<'_>, adds_up: bool, seen_whole: bool) -> Option<bool> {
    let by_total = evidence.totals.map(|(before, after)| before == after);
    let no_debt = evidence.lowest_balance.map(|lowest| lowest >= 0);
    // A server that compares with another initial balance than it was seeded with finds fault
    // with a ledger that is right.
    let own = evidence.own_verify.as_ref().map(Result::is_ok);
    let by_server = own.filter(|ok| *ok || !adds_up);
    // What each transfer takes from one account it brings to another.
    let by_balances = (adds_up && seen_whole).then_some(true);
    [by_total, no_debt, by_server, by_balances]
        .into_iter()
        .flatten()
        .reduce(|a, b| a && b)
}

fn changed(evidence: &Evidence<'_>) -> Option<bool> {
    if let Some((before, after)) = evidence.digests {
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
    evidence
        .checked
        .samples
        .iter()
        .any(must_differ)
        .then_some(false)
}
