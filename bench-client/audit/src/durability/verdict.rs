//! What follows from the checks: a pure function.

use super::Plan;
use super::coverage::{Coverage, Gap};
use crate::record::durability::{Check, CheckKind, CheckOutcome, DurabilityVerdict, Promise};

/// Fewest transfers one after another that a server is called durable for.
pub(super) const ACKNOWLEDGED_MIN: u64 = 20;

/// Checks that a durable server must have passed; of the others it must not have failed one.
const MUST_PASS: [CheckKind; 3] = [
    CheckKind::SyncedBeforeAnswer,
    CheckKind::SlowedSync,
    CheckKind::FailedSync,
];

/// A server that acknowledges and stores nothing: a fake, unless it says so.
pub(super) const fn of_nothing_stored(promise: Promise) -> DurabilityVerdict {
    match promise {
        Promise::NotDurable => DurabilityVerdict::NotDurable,
        Promise::Durable | Promise::NotTold => DurabilityVerdict::Fake,
    }
}

/// Whether nothing of what was acknowledged is there.
fn is_all_gone(check: &Check) -> bool {
    check.check == CheckKind::Restart
        && check.outcome == CheckOutcome::Failed
        && check.figures.get("amount_there") == Some(&0.0)
}

/// Of a server that was traced. `unseen` is why its trace shows nothing.
pub(super) fn of_trace(
    plan: &Plan,
    coverage: &Coverage,
    checks: &[Check],
    unseen: Option<&str>,
    interrupted: bool,
) -> (DurabilityVerdict, String) {
    let failed: Vec<&Check> = of_outcome(checks, CheckOutcome::Failed);
    if failed.iter().any(|check| is_all_gone(check)) {
        let verdict = of_nothing_stored(plan.promise);
        return (verdict, sentences(&failed));
    }
    if let Some(why) = unseen {
        return (DurabilityVerdict::CannotTell, why.to_owned());
    }
    let nothing = coverage.gaps.get(&Gap::NothingWritten).copied();
    let stores_nothing = coverage.acknowledged > 0
        && nothing == Some(coverage.acknowledged)
        && coverage.bytes_in_all == 0
        && !coverage.mapped;
    if stores_nothing {
        let why = format!(
            "{} transfers were acknowledged and not a byte was written to any file",
            coverage.acknowledged
        );
        return (of_nothing_stored(plan.promise), why);
    }
    if !failed.is_empty() {
        return (DurabilityVerdict::NotDurable, sentences(&failed));
    }
    if let Some(memory) = &plan.memory {
        let why = format!("its files are on {memory}, which is memory: no sync makes them durable");
        return (DurabilityVerdict::NotDurable, why);
    }
    if interrupted {
        let why = "the audit was interrupted before all was checked";
        return (DurabilityVerdict::CannotTell, why.to_owned());
    }
    let missing = MUST_PASS.iter().filter_map(|kind| {
        let check = checks.iter().find(|check| check.check == *kind);
        let passed = check.is_some_and(|check| check.outcome == CheckOutcome::Passed);
        (!passed).then(|| {
            let why = check.map_or("it was not done", |check| check.message.as_str());
            format!("{}: {why}", kind.as_str())
        })
    });
    let missing: Vec<String> = missing.collect();
    if !missing.is_empty() {
        return (DurabilityVerdict::CannotTell, missing.join("; "));
    }
    if coverage.acknowledged < ACKNOWLEDGED_MIN {
        let why = format!(
            "{} transfers were acknowledged one after another, and {ACKNOWLEDGED_MIN} are the \
             fewest to tell: raise --transfers",
            coverage.acknowledged
        );
        return (DurabilityVerdict::CannotTell, why);
    }
    let why = "no answer left before a sync had covered what was written for its transfer, none \
               came sooner than a slowed sync, and nothing was acknowledged whose sync failed";
    (DurabilityVerdict::Durable, why.to_owned())
}

/// Of a server of which there are counters only, which never show that it is durable.
pub(super) fn of_counters(
    plan: &Plan,
    found: Option<DurabilityVerdict>,
    restart: &Check,
    interrupted: bool,
) -> (DurabilityVerdict, String) {
    if is_all_gone(restart) {
        return (of_nothing_stored(plan.promise), restart.message.clone());
    }
    match found {
        Some(DurabilityVerdict::NotDurable) => {
            let why = "the disk was flushed far less often than transfers were acknowledged, one \
                       after another";
            (DurabilityVerdict::NotDurable, why.to_owned())
        }
        Some(verdict) => {
            let why = "transfers were acknowledged and not a byte was sent to storage";
            (verdict, why.to_owned())
        }
        None if restart.outcome == CheckOutcome::Failed => {
            (DurabilityVerdict::NotDurable, restart.message.clone())
        }
        None => {
            let why = if interrupted {
                "the audit was interrupted before all was checked"
            } else {
                "without strace nobody sees what is written and synced before an answer: install \
                 strace, or allow ptrace"
            };
            (DurabilityVerdict::CannotTell, why.to_owned())
        }
    }
}

fn of_outcome(checks: &[Check], outcome: CheckOutcome) -> Vec<&Check> {
    checks
        .iter()
        .filter(|check| check.outcome == outcome)
        .collect()
}

fn sentences(checks: &[&Check]) -> String {
    let messages: Vec<&str> = checks.iter().map(|check| check.message.as_str()).collect();
    messages.join("; ")
}
