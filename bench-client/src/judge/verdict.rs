//! Verdicts: what a row says about itself, each with what to do about it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use busload_wire::ErrorCode;

use super::own_verify::initial_balance;
use super::{DeltaCheck, Evidence};
use crate::disk::{SYNC_MIN_US, SyncMeasurement};
use crate::host::environment::{
    EnvironmentWarning, EnvironmentWarningCode, WITHOUT_PRELOAD, preloaded_message,
};
use crate::record::{
    LittlesLaw, OpenLoop, ProcessorSpeed, StandStill, Throttled, Verdict, VerdictCode,
    Verification, WindowEdges,
};
use crate::statistics::{CONFIDENCE, Estimate, SteadyState, VARIATION_MAX};

fn invalid(code: VerdictCode, message: String, remedy: &str) -> Verdict {
    Verdict {
        code,
        invalidates: true,
        message,
        remedy: remedy.to_owned(),
    }
}

fn warning(code: VerdictCode, message: String, remedy: &str) -> Verdict {
    Verdict {
        code,
        invalidates: false,
        message,
        remedy: remedy.to_owned(),
    }
}

pub(super) fn money_not_conserved(evidence: &Evidence) -> Verdict {
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

pub(super) fn nothing_changed() -> Verdict {
    invalid(
        VerdictCode::NothingChanged,
        "transfers were acknowledged and no balance differs from before".to_owned(),
        "check that the server executes its UPDATEs",
    )
}

/// `accounts`: what is wrong with their number.
pub(super) fn ledger_mismatch(
    evidence: &Evidence,
    deltas: &DeltaCheck,
    accounts: Option<String>,
) -> Verdict {
    let mut found = Vec::new();
    if let Some(applied) = evidence.applied {
        found.push(format!(
            "{} acknowledged, {applied} applied, {} unknown",
            evidence.acknowledged, evidence.unknown
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
            deltas.mismatches, deltas.checked, first.account, first.acknowledged_delta
        ));
    }
    found.extend(accounts);
    if evidence.unexpected_answers > 0 {
        found.push(format!(
            "{} answers to nothing in flight",
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

pub(super) fn fake(reasons: &[String]) -> Verdict {
    invalid(
        VerdictCode::Fake,
        reasons.join("; "),
        "the answers were not made durable as declared: do not quote this row",
    )
}

pub(super) fn no_committed_transfer(acknowledged: u64) -> Verdict {
    invalid(
        VerdictCode::NoCommittedTransfer,
        format!("no transfer was committed inside the window, {acknowledged} outside of it"),
        "look at the errors of this row; measure longer with --seconds if the server is slow",
    )
}

pub(super) fn server_died(how: &str) -> Verdict {
    invalid(
        VerdictCode::ServerDied,
        format!("the server ended in mid-run: {how}"),
        "look at what the server prints, and measure again",
    )
}

pub(super) fn not_durable(mode: &str) -> Verdict {
    warning(
        VerdictCode::NotDurable,
        format!("durability {mode}: a power cut may lose acknowledged transfers"),
        "compare only with rows of the same durability, or use --durability wal-full",
    )
}

/// It syncs at COMMIT, and what commits is not among what it has synced.
pub(super) fn delete_full() -> Verdict {
    warning(
        VerdictCode::NotDurable,
        "durability delete-full, SQLite's default: acknowledged transfers survive a killed \
         process, but a power cut may take the last of them back, since the removal of the \
         journal is not synced"
            .to_owned(),
        "compare only with rows of the same durability, or use --durability delete-extra \
         or wal-full",
    )
}

/// The client has asked to be answered before it is durable.
pub(super) fn unconfirmed_reads() -> Verdict {
    warning(
        VerdictCode::NotDurable,
        "confirmed reads are off: the server answers before its commit log is synced, and a power \
         cut may lose acknowledged transfers"
            .to_owned(),
        "compare only with rows of the same, or use --confirmed-reads on",
    )
}

pub(super) fn durability_unknown() -> Verdict {
    warning(
        VerdictCode::DurabilityUnknown,
        "the server does not tell its durability".to_owned(),
        "state it beside the number, or measure a server that has the method info",
    )
}

pub(super) fn not_verified() -> Verdict {
    warning(
        VerdictCode::NotVerified,
        "nothing was verified".to_owned(),
        "leave out --no-verify",
    )
}

pub(super) fn unverified(evidence: &Evidence, verification: &Verification) -> Verdict {
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
        remedies.push("raise --op-timeout, so that fewer outcomes are unknown".to_owned());
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

/// `checked` balances are right, and the server says that its ledger is not.
pub(super) fn own_verify_failed(evidence: &Evidence, error: &str, checked: u64) -> Verdict {
    let own = initial_balance(error);
    let theirs = match own {
        Some(own) => format!("{own}, an initial balance of its own"),
        None => "an initial balance of its own, which it does not tell".to_owned(),
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

pub(super) fn unknown_outcomes(count: u64) -> Verdict {
    warning(
        VerdictCode::UnknownOutcomes,
        format!("{count} transfers have no known outcome"),
        "raise --op-timeout, lower --max-inflight-per-worker, or look at the errors",
    )
}

pub(super) fn contradictory_answers(count: u64) -> Verdict {
    warning(
        VerdictCode::ContradictoryAnswers,
        format!(
            "{count} answers contradicted themselves (ok with an HTTP status of failure or \
             beside an error, or not ok beside a result): their transfers count as unknown"
        ),
        "look at what the server, or a proxy before it, answers: ok goes with a status of 200 \
         and no error",
    )
}

pub(super) fn counters_contradict(found: &[String]) -> Verdict {
    warning(
        VerdictCode::CountersContradict,
        format!("the server's counters cannot be true: {}", found.join("; ")),
        "believe nothing of this row that only the server says: batches, syncs, its times and \
         what follows from them; TPS, latency and balances are this client's own",
    )
}

pub(super) fn not_committed(committed: u64, others: &BTreeMap<String, u64>) -> Verdict {
    let count: u64 = others.values().sum();
    let reasons: Vec<_> = others
        .iter()
        .map(|(reason, count)| format!("{reason} {count}"))
        .collect();
    let mut remedies = Vec::new();
    for (code, remedy) in [
        (
            ErrorCode::Overloaded,
            "lower --max-inflight-per-worker or raise the server's --queue",
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
            "{count} of {} answered transfers were not committed: {}",
            committed + count,
            reasons.join(", ")
        ),
        &remedies.join("; "),
    )
}

pub(super) fn interrupted() -> Verdict {
    warning(
        VerdictCode::Interrupted,
        "the measurement was stopped before its end".to_owned(),
        "let it run to its end",
    )
}

pub(super) fn unstable(before_us: f64, after_us: f64) -> Verdict {
    warning(
        VerdictCode::Unstable,
        format!(
            "the disk's sync p50 was {before_us:.0} us before and {after_us:.0} us after the run"
        ),
        "stop other users of the disk and repeat; compare rows as ratios only",
    )
}

pub(super) fn sync_too_fast(sync_us: f64, baseline_us: f64) -> Verdict {
    warning(
        VerdictCode::SyncTooFast,
        format!(
            "the server's sync p50 is {sync_us:.0} us, the disk's fastest is {baseline_us:.0} us"
        ),
        "check that the database is on the disk that was measured",
    )
}

pub(super) fn sync_does_nothing(what: &str) -> Verdict {
    warning(
        VerdictCode::SyncDoesNothing,
        format!(
            "{what}: no medium makes a write durable in less than {SYNC_MIN_US:.0} us, so \
             its syncs do nothing"
        ),
        "do not quote it as durable: start it without LD_PRELOAD and eatmydata, on a file \
         system and a virtual disk that honour syncs",
    )
}

pub(super) fn sync_swallowed(by_c_library_us: f64, by_kernel_us: f64) -> Verdict {
    warning(
        VerdictCode::SyncDoesNothing,
        format!(
            "fdatasync takes {by_c_library_us:.1} us through the C library and \
             {by_kernel_us:.0} us by system call: what is between them swallows the syncs of \
             SQLite"
        ),
        WITHOUT_PRELOAD,
    )
}

pub(super) fn sync_methods_apart(fast: &SyncMeasurement, slow: &SyncMeasurement) -> Verdict {
    warning(
        VerdictCode::SyncMethodsApart,
        format!(
            "a durable write ({}) takes {:.1} us by {} and {:.1} us by {}: ten times apart, \
             they are not both syncs",
            fast.pattern,
            fast.typical_us(),
            fast.method,
            slow.typical_us(),
            slow.method
        ),
        "find out which of them reaches the medium; measure on another disk or file system \
         with --data-dir",
    )
}

pub(super) fn flushes_missing(claimed: u64, flushes: u64) -> Verdict {
    warning(
        VerdictCode::FlushesMissing,
        format!(
            "the server claims {claimed} syncs at COMMIT, the disk below its database \
             flushed its cache {flushes} times meanwhile, for everybody"
        ),
        "do not quote it as durable: look for what swallows syncs (LD_PRELOAD, eatmydata, a \
         file system without barriers)",
    )
}

pub(super) fn preloaded(libraries: &[&str]) -> Verdict {
    warning(
        VerdictCode::Preloaded,
        preloaded_message(libraries, "the server"),
        WITHOUT_PRELOAD,
    )
}

/// Client and server in the same control group are told of once.
pub(super) fn throttled(client: Option<Throttled>, server: Option<Throttled>) -> Verdict {
    let told = |who: &str, one: Throttled| {
        format!(
            "the CPU quota kept {who} from running in {} of {} periods, for {:.2} s summed \
             over cores",
            one.throttled_periods, one.periods, one.seconds
        )
    };
    let found = match (client, server) {
        (Some(client), Some(server)) if client == server => {
            vec![told("client and server", client)]
        }
        (client, server) => {
            let client = client.map(|one| told("the client", one));
            let server = server.map(|one| told("the server", one));
            client.into_iter().chain(server).collect()
        }
    };
    warning(
        VerdictCode::Throttled,
        found.join("; "),
        "raise or remove the quota of the container (docker --cpus, a CPU limit of \
         Kubernetes), or compare only with rows under the same one",
    )
}

pub(super) fn processor_slowed(speed: &ProcessorSpeed) -> Verdict {
    let share = |of: f64| of / speed.best * 100.0;
    warning(
        VerdictCode::ProcessorSlowed,
        format!(
            "a processor computed at {:.0} % of its best before the row and at {:.0} % after \
             it: something else used the same core (a neighbour of this virtual machine, \
             another program), or its clock was lower",
            share(speed.before),
            share(speed.after)
        ),
        "repeat when the machine is quieter, or compare sides in turn (compare)",
    )
}

pub(super) fn null_server() -> Verdict {
    warning(
        VerdictCode::NullServer,
        "the null server answered: nothing was stored, this is what the generator and the \
         wire can do"
            .to_owned(),
        "hold it against a row of the same load; it is no server's TPS",
    )
}

pub(super) fn generator_bound(reasons: &[String]) -> Verdict {
    warning(
        VerdictCode::GeneratorBound,
        format!(
            "the generator may be the limit, the server may do more: {}",
            reasons.join("; ")
        ),
        "do not quote this as the server's limit: raise --threads, use --encoding binary, \
         or run the generator on another machine",
    )
}

pub(super) fn offered_not_achieved(open: &OpenLoop) -> Verdict {
    warning(
        VerdictCode::OfferedNotAchieved,
        format!(
            "{:.0} of {:.0} offered transfers per second were committed ({} late, {} skipped, \
             {} dropped)",
            open.achieved_tps, open.offered_tps, open.late, open.skipped, open.dropped
        ),
        "the latency of an overloaded server grows with the length of the run: lower --rate, \
         or find what it keeps up with by sweep --find-knee",
    )
}

pub(super) fn littles_law(law: &LittlesLaw) -> Verdict {
    warning(
        VerdictCode::LittlesLaw,
        format!(
            "{:.1} transfers were in flight, throughput times latency makes {:.1}",
            law.in_flight, law.throughput_times_latency
        ),
        "the window is too short for what is in flight, or time is counted wrongly: measure \
         longer with --seconds",
    )
}

pub(super) fn not_steady(steady: &SteadyState) -> Verdict {
    warning(
        VerdictCode::NotSteady,
        format!(
            "the first {:.1} s of the window ran at {:.0} % of the TPS of the rest: the \
             warm-up had not ended",
            steady.transient_seconds,
            steady.transient_ratio * 100.0
        ),
        "raise --warmup, or measure longer with --seconds",
    )
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub(super) fn held_back(edges: &WindowEdges, committed: u64) -> Verdict {
    warning(
        VerdictCode::HeldBack,
        format!(
            "{} of the {committed} transfers that the window counts ({:.0} %) began before it: \
             they had waited for {:.1} ms in the mean when it opened, and were answered \
             {:.1} ms later; those that began in it make {:.0} TPS",
            edges.began_before,
            edges.began_before as f64 / committed as f64 * 100.0,
            edges.waited_before_ms,
            edges.waited_within_ms,
            edges.tps_begun_within
        ),
        "do not quote this TPS: find out why answers were held back during the warm-up, \
         raise --warmup, and measure longer with --seconds",
    )
}

/// `too_short` are its seconds, if they are too few of themselves; `cut_off` is what crossed
/// its ends, if it lost a notable share by that.
pub(super) fn short_window(too_short: Option<f64>, cut_off: Option<&WindowEdges>) -> Verdict {
    let mut found = Vec::new();
    if let Some(seconds) = too_short {
        found.push(format!(
            "the window was {seconds:.3} s long, in which a few commits make the TPS"
        ));
    }
    if let Some(edges) = cut_off {
        found.push(format!(
            "{} transfers began in the window and were answered after it: TPS is too low by \
             what was done for them in it, as much as {:.0} transfers",
            edges.answered_after, -edges.excess
        ));
    }
    warning(
        VerdictCode::ShortWindow,
        found.join("; "),
        "measure longer with --seconds or --transfers",
    )
}

pub(super) fn stand_still(gap: &StandStill) -> Verdict {
    let mut message = format!(
        "nothing was committed for {:.1} s from {:.1} s on",
        gap.seconds, gap.from_seconds
    );
    if gap.gaps > 1 {
        let _ = write!(message, ", the longest of {} such gaps", gap.gaps);
    }
    let (whose, remedy) = if gap.generator {
        (
            ": the generator stood still, or the whole machine, since its own timers did not \
             run either",
            "this is not the server's: find out what stopped or starved this process, and \
             measure again",
        )
    } else {
        (
            ": the server answered nothing, while the generator's own timers ran",
            "look at what the server and its disk did then: TPS and latency contain the gap",
        )
    };
    message.push_str(whose);
    warning(VerdictCode::StandStill, message, remedy)
}

pub(super) fn of_environment(found: &EnvironmentWarning) -> Verdict {
    let code = match found.code {
        EnvironmentWarningCode::Tmpfs => VerdictCode::Tmpfs,
        EnvironmentWarningCode::Overlay => VerdictCode::Overlay,
        EnvironmentWarningCode::Preloaded => VerdictCode::Preloaded,
        _ => VerdictCode::Environment,
    };
    warning(code, found.message.clone(), &found.remedy)
}

/// The named estimates are too wide.
pub(crate) fn wide_spread(wide: &[(&str, &Estimate)]) -> Verdict {
    const QUIETER: &str = "stop what else runs on the machine, or measure longer windows \
                           with --seconds";
    let found: Vec<String> = wide
        .iter()
        .map(|(name, estimate)| match estimate.count {
            1 => format!("{name} was measured once"),
            _ => format!(
                "{name} ± {:.1} % at {:.0} % confidence, coefficient of variation {:.1} %",
                estimate.half_width() * 100.0,
                CONFIDENCE * 100.0,
                estimate.variation * 100.0
            ),
        })
        .collect();
    let needed = wide.iter().map(|(_, estimate)| estimate.runs_needed());
    let needed = needed.collect::<Option<Vec<_>>>();
    let most = needed.into_iter().flatten().max();
    let done = wide.iter().map(|(_, estimate)| estimate.count).max();
    let varies = wide
        .iter()
        .any(|(_, estimate)| estimate.variation > VARIATION_MAX);
    let remedy = match most {
        Some(runs) if Some(runs) > done && varies => {
            format!("{QUIETER}; at this variation it takes some --runs {runs}")
        }
        Some(runs) if Some(runs) > done => format!("use --runs {runs}, or {QUIETER}"),
        _ => QUIETER.to_owned(),
    };
    warning(VerdictCode::WideSpread, found.join("; "), &remedy)
}
