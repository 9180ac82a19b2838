//! What a row says about its ledger: money, balances, and what could not be checked.

use super::{invalid, warning};
use crate::figures::{counted, grouped};
use crate::judge::evidence::Evidence;
use crate::judge::ledger::DeltaCheck;
use crate::judge::own_verify::initial_balance;
use crate::record::{Verdict, VerdictCode, Verification};

pub(in crate::judge) fn money_not_conserved(evidence: &Evidence<'_>) -> Verdict {
    let mut found = Vec::new();
    if let Some((before, after)) = evidence.totals
        && before != after
    {
        found.push(format!(
            "the balances summed up to {before} before and {after} after"
        ));
    }
    if let Some(lowest) = evidence.lowest_balance
        && lowest < 0
    {
        found.push(format!("a balance is {lowest}"));
    }
    if let Some(Err(error)) = &evidence.own_verify {
        found.push(format!("the server's own verification says: {error}"));
    }
    invalid(
        VerdictCode::MoneyNotConserved,
        found.join("; "),
        "the server applies transfers wrongly: do not quote this row",
    )
}

pub(in crate::judge) fn nothing_changed(acknowledged: u64) -> Verdict {
    invalid(
        VerdictCode::NothingChanged,
        format!(
            "no balance changed: the server did not apply the {} that it answered",
            counted(acknowledged, "transfer")
        ),
        "check that the server executes its UPDATEs and commits them",
    )
}

/// `accounts`: what is wrong with their number.
pub(in crate::judge) fn ledger_mismatch(
    evidence: &Evidence<'_>,
    deltas: &DeltaCheck,
    accounts: Option<String>,
) -> Verdict {
    let mut found = Vec::new();
    if let Some(applied) = evidence.applied {
        found.push(format!(
            "{} acknowledged, {} applied, {} unknown",
            grouped(evidence.acknowledged),
            grouped(applied),
            grouped(evidence.unknown)
        ));
    }
    if let Some(first) = deltas.first {
        let changed = match first.change() {
            Some(change) => format!("it changed by {change}"),
            None => "it is gone".to_owned(),
        };
        found.push(format!(
            "{} of {} sampled balances are wrong, account {} first: {changed}, acknowledged \
             transfers make {}",
            grouped(deltas.mismatches),
            grouped(deltas.checked),
            first.account,
            first.acknowledged_delta
        ));
    }
    found.extend(accounts);
    if evidence.unexpected_answers > 0 {
        found.push(format!(
            "{} answers to no request in flight",
            evidence.unexpected_answers
        ));
    }
    invalid(
        VerdictCode::LedgerMismatch,
        found.join("; "),
        "the server loses, repeats or invents transfers, or another client used it \
         at the same time: do not quote this row",
    )
}

/// `checked` balances are right, and the server says that its ledger is not.
pub(in crate::judge) fn own_verify_failed(
    evidence: &Evidence<'_>,
    error: &str,
    checked: u64,
) -> Verdict {
    let own = initial_balance(error);
    let theirs = match own {
        Some(own) => format!("{own}, an initial balance of its own"),
        None => "an initial balance of its own, which it does not say".to_owned(),
    };
    let (ours, remedy) = match evidence.seeded {
        Some(seeded) => (
            format!("this program seeded it with {}", seeded.balance),
            format!(
                "start the server with SEED_INITIAL_BALANCE={}, or seed with its own: \
                 --initial-balance {}",
                seeded.balance,
                own.map_or_else(|| "N".to_owned(), |own| own.to_string())
            ),
        ),
        None => (
            "the ledger may have been seeded with another".to_owned(),
            "start the server with the balance that its ledger was seeded with in \
             SEED_INITIAL_BALANCE, or let this program seed it with the server's: --reseed \
             --initial-balance"
                .to_owned(),
        ),
    };
    warning(
        VerdictCode::OwnVerifyFailed,
        format!(
            "the server's own verification fails ({error}), and all {checked} balances that \
             this client checked are right: it seems to compare with {theirs}, and {ours}"
        ),
        &remedy,
    )
}

pub(in crate::judge) fn not_verified() -> Verdict {
    warning(
        VerdictCode::NotVerified,
        "nothing was verified".to_owned(),
        "leave out --no-verify",
    )
}

pub(in crate::judge) fn unverified(
    evidence: &Evidence<'_>,
    verification: &Verification,
) -> Verdict {
    let mut missing = Vec::new();
    let mut remedies = Vec::new();
    if verification.conserved.is_none() {
        missing.push("conservation");
        remedies.push(match evidence.seeded {
            Some(seeded) => format!(
                "tell the server SEED_INITIAL_BALANCE={}, or compare the whole ledger with \
                 --verify-accounts {}",
                seeded.balance, seeded.accounts
            ),
            None => "seed through this program (--reseed), or tell the server \
                     SEED_INITIAL_BALANCE"
                .to_owned(),
        });
    }
    if verification.ledger_ok.is_none() {
        missing.push("acknowledged against applied");
    }
    if evidence.unknown > 0 {
        remedies.push("raise --timeout, so that fewer outcomes are unknown".to_owned());
    }
    if remedies.is_empty() {
        remedies.push("compare more accounts with --verify-accounts".to_owned());
    }
    warning(
        VerdictCode::Unverified,
        format!("could not be checked: {}", missing.join(", ")),
        &remedies.join("; "),
    )
}
