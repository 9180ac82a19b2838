//! What a row says about its outcomes, and about a run that did not go to its end.

use std::collections::BTreeMap;

use busload_wire::ErrorCode;

use super::{invalid, warning};
use crate::figures::{counted, grouped};
use crate::record::{Verdict, VerdictCode};

pub(in crate::judge) fn no_committed_transfer(acknowledged: u64) -> Verdict {
    invalid(
        VerdictCode::NoCommittedTransfer,
        format!(
            "no transfer was committed inside the window, {} outside of it",
            grouped(acknowledged)
        ),
        "look at the errors of this row; measure longer with --duration if the server is slow",
    )
}

pub(in crate::judge) fn server_died(how: &str) -> Verdict {
    invalid(
        VerdictCode::ServerDied,
        format!("the server failed during the run: {how}"),
        "look at what the server prints and what `bench-client targets check` says of it, and \
         measure again",
    )
}

pub(in crate::judge) fn interrupted() -> Verdict {
    warning(
        VerdictCode::Interrupted,
        "the measurement was stopped before its end".to_owned(),
        "let it run to its end",
    )
}

pub(in crate::judge) fn unknown_outcomes(count: u64) -> Verdict {
    warning(
        VerdictCode::UnknownOutcomes,
        format!("{} of unknown outcome", counted(count, "transfer")),
        "raise --timeout, lower --inflight, or look at the errors",
    )
}

pub(in crate::judge) fn contradictory_answers(count: u64) -> Verdict {
    warning(
        VerdictCode::ContradictoryAnswers,
        format!(
            "{} answers contradicted themselves (ok with an HTTP status of failure or \
             beside an error, or not ok beside a result): their transfers count as unknown",
            grouped(count)
        ),
        "look at what the server, or a proxy before it, answers: ok goes with a status of 200 \
         and no error",
    )
}

pub(in crate::judge) fn counters_contradict(found: &[String]) -> Verdict {
    warning(
        VerdictCode::CountersContradict,
        format!("the server's counters cannot be true: {}", found.join("; ")),
        "do not trust what only the server says in this row: batches, syncs, its times and \
         what follows from them; TPS, latency and balances are this client's own",
    )
}

pub(in crate::judge) fn not_committed(committed: u64, others: &BTreeMap<String, u64>) -> Verdict {
    let count: u64 = others.values().sum();
    let reasons: Vec<_> = others
        .iter()
        .map(|(reason, count)| format!("{reason} {}", grouped(*count)))
        .collect();
    let mut remedies = Vec::new();
    for (code, remedy) in [
        (
            ErrorCode::Overloaded,
            "lower --inflight or raise the server's --queue",
        ),
        (ErrorCode::StorageFull, "make room on the server's disk"),
        (
            ErrorCode::InsufficientFunds,
            "raise --initial-balance or lower --alpha",
        ),
    ] {
        if others.contains_key(code.as_str()) {
            remedies.push(remedy);
        }
    }
    if remedies.is_empty() {
        remedies.push("look at the reasons; TPS counts what was committed");
    }
    warning(
        VerdictCode::NotCommitted,
        format!(
            "{} of {} answered transfers were not committed: {}",
            grouped(count),
            grouped(committed + count),
            reasons.join(", ")
        ),
        &remedies.join("; "),
    )
}
