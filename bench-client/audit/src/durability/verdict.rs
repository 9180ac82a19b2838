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

/// What was seen in the traces of a server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    /// One transfer in flight.
    pub(super) coverage: &'a Coverage,
    /// Whether anything was written in the run that ended with a signal to stop; absent when
    /// there was none.
    pub(super) writes_at_the_end: Option<bool>,
    /// Why traces of this server show nothing.
    pub(super) unseen: Option<&'a str>,
    /// The user has ended the audit.
    pub(super) interrupted: bool,
}

/// Of a server that was traced.
pub(super) fn of_trace(
    plan: &Plan,
    seen: Seen<'_>,
    checks: &[Check],
) -> (DurabilityVerdict, String) {
    let Seen { coverage, .. } = seen;
    let nothing = coverage.gaps.get(&Gap::NothingWritten).copied();
    let writes_nothing = coverage.acknowledged > 0
        && nothing == Some(coverage.acknowledged)
        && coverage.bytes_in_all == 0
        && !coverage.mapped;
    // It keeps in memory what it writes later.
    let writes_later = writes_nothing && seen.writes_at_the_end != Some(false);
    if let Some(gone) = checks.iter().find(|check| is_all_gone(check)) {
        let verdict = if writes_later || seen.unseen.is_some() {
            DurabilityVerdict::NotDurable
        } else {
            of_nothing_stored(plan.promise)
        };
        return (verdict, gone.message.clone());
    }
    if let Some(why) = seen.unseen {
        return (DurabilityVerdict::CannotTell, why.to_owned());
    }
    if writes_nothing && !writes_later {
        let why = format!(
            "{} transfers were acknowledged and not a byte was written to any file",
            coverage.acknowledged
        );
        return (of_nothing_stored(plan.promise), why);
    }
    let mut failed = checks
        .iter()
        .filter(|check| check.outcome == CheckOutcome::Failed);
    if let Some(first) = failed.next() {
        return (DurabilityVerdict::NotDurable, first.message.clone());
    }
    if let Some(memory) = &plan.memory {
        let why = format!("its files are on {memory}, which is memory: no sync makes them durable");
        return (DurabilityVerdict::NotDurable, why);
    }
    if seen.interrupted {
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
                "without strace nothing shows what is written and synced before an answer: install \
                 strace, or allow ptrace"
            };
            (DurabilityVerdict::CannotTell, why.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{ConnectorKind, Encoding, Target};
    use crate::server_command::{ServerCommand, Wire};

    fn plan(promise: Promise, memory: bool) -> Plan {
        Plan {
            command: ServerCommand {
                target: Target::default(),
                place: None,
                output: None,
                wire: Wire {
                    connector: ConnectorKind::SqliteWsRpc,
                    encoding: Encoding::Json,
                },
                accounts: 0,
                initial_balance: 0,
            },
            database: "ledger".into(),
            directory: None,
            scratch: "scratch".into(),
            transfers: 200,
            seed: 1,
            promise,
            memory: memory.then(|| "tmpfs".to_owned()),
        }
    }

    fn covered(acknowledged: u64) -> Coverage {
        Coverage {
            acknowledged,
            covered: acknowledged,
            bytes_in_all: 1,
            ..Coverage::default()
        }
    }

    fn seen(coverage: &Coverage) -> Seen<'_> {
        Seen {
            coverage,
            writes_at_the_end: Some(false),
            unseen: None,
            interrupted: false,
        }
    }

    fn checks(changed: Option<(CheckKind, CheckOutcome)>) -> Vec<Check> {
        let all = [
            CheckKind::SyncedBeforeAnswer,
            CheckKind::Restart,
            CheckKind::SharedSyncs,
            CheckKind::SlowedSync,
            CheckKind::FailedSync,
        ];
        let outcome = |kind| match changed {
            Some((other, outcome)) if other == kind => outcome,
            _ => CheckOutcome::Passed,
        };
        all.map(|kind| Check::new(kind, outcome(kind), "so it is"))
            .into()
    }

    #[track_caller]
    fn verdict(changed: Option<(CheckKind, CheckOutcome)>) -> DurabilityVerdict {
        let plan = plan(Promise::NotTold, false);
        of_trace(&plan, seen(&covered(50)), &checks(changed)).0
    }

    #[test]
    fn durable_is_what_has_passed_all() {
        use CheckOutcome::{Failed, ShowsNothing, Skipped};
        assert_eq!(verdict(None), DurabilityVerdict::Durable);
        for kind in [
            CheckKind::SyncedBeforeAnswer,
            CheckKind::Restart,
            CheckKind::SharedSyncs,
            CheckKind::SlowedSync,
            CheckKind::FailedSync,
        ] {
            let failed = verdict(Some((kind, Failed)));
            assert_eq!(failed, DurabilityVerdict::NotDurable, "{kind:?}");
            for outcome in [ShowsNothing, Skipped] {
                let expected = if MUST_PASS.contains(&kind) {
                    DurabilityVerdict::CannotTell
                } else {
                    DurabilityVerdict::Durable
                };
                let found = verdict(Some((kind, outcome)));
                assert_eq!(found, expected, "{kind:?} {outcome:?}");
            }
        }
    }

    #[test]
    fn what_is_not_seen_or_too_little_cannot_be_told() {
        let plan_of = |memory| plan(Promise::NotTold, memory);
        let told = |memory, acknowledged, unseen, interrupted| {
            let coverage = covered(acknowledged);
            let seen = Seen {
                unseen,
                interrupted,
                ..seen(&coverage)
            };
            of_trace(&plan_of(memory), seen, &checks(None)).0
        };
        assert_eq!(told(false, 20, None, false), DurabilityVerdict::Durable);
        assert_eq!(told(false, 19, None, false), DurabilityVerdict::CannotTell);
        assert_eq!(told(false, 20, None, true), DurabilityVerdict::CannotTell);
        let uring = told(false, 20, Some("io_uring"), false);
        assert_eq!(uring, DurabilityVerdict::CannotTell);
        assert_eq!(told(true, 20, None, false), DurabilityVerdict::NotDurable);
    }

    #[test]
    fn who_stores_nothing_is_a_fake_unless_that_is_what_it_promises() {
        let nothing = Coverage {
            acknowledged: 30,
            gaps: BTreeMap::from([(Gap::NothingWritten, 30)]),
            ..Coverage::default()
        };
        let failed = Some((CheckKind::SyncedBeforeAnswer, CheckOutcome::Failed));
        let of = |promise, coverage: &Coverage| {
            of_trace(&plan(promise, false), seen(coverage), &checks(failed)).0
        };
        for (promise, expected) in [
            (Promise::NotTold, DurabilityVerdict::Fake),
            (Promise::Durable, DurabilityVerdict::Fake),
            (Promise::NotDurable, DurabilityVerdict::NotDurable),
        ] {
            assert_eq!(of(promise, &nothing), expected);
        }
        // It writes when it is told to stop, or nobody has seen whether it does.
        for at_the_end in [Some(true), None] {
            let seen = Seen {
                writes_at_the_end: at_the_end,
                ..seen(&nothing)
            };
            let found = of_trace(&plan(Promise::NotTold, false), seen, &checks(failed));
            assert_eq!(found.0, DurabilityVerdict::NotDurable);
        }
        let later = Coverage {
            bytes_in_all: 1,
            ..nothing.clone()
        };
        let mapped = Coverage {
            mapped: true,
            ..nothing
        };
        for coverage in [later, mapped] {
            assert_eq!(
                of(Promise::NotTold, &coverage),
                DurabilityVerdict::NotDurable
            );
        }
    }

    #[test]
    fn counters_never_say_durable() {
        let restart = |outcome, there: f64| {
            Check::new(CheckKind::Restart, outcome, "so it is").with([("amount_there", there)])
        };
        let of = |found, restart: &Check| {
            of_counters(&plan(Promise::NotTold, false), found, restart, false).0
        };
        let passed = restart(CheckOutcome::Passed, 5.0);
        assert_eq!(of(None, &passed), DurabilityVerdict::CannotTell);
        for found in [DurabilityVerdict::NotDurable, DurabilityVerdict::Fake] {
            assert_eq!(of(Some(found), &passed), found);
        }
        let some = restart(CheckOutcome::Failed, 5.0);
        assert_eq!(of(None, &some), DurabilityVerdict::NotDurable);
        let gone = restart(CheckOutcome::Failed, 0.0);
        assert_eq!(of(None, &gone), DurabilityVerdict::Fake);
    }
}
