//! docs/reliability-evidence.md, cases 36 and 9, the honesty of the harness: servers that cheat,
//! each in its own way, audited by the real program. Every one is caught with exit code 4, under the name of what
//! it does and as often as it admits, and the honest ones are not.

mod audited;
mod bank;
mod elsewhere;
mod front;
mod server;
mod snapshots;
mod tally;

use std::collections::BTreeSet;

use crate::common::{can_trace, count, directory};
use audited::{Audited, audit, had_its_chance, kinds};
use bank::Lie;
use serde_json::{Value, json};
use tally::Moved;

/// Not a test but the liar itself, for the audit to start: does nothing by itself.
#[test]
fn the_liar_itself() {
    server::run();
}

/// The books stay with the client's beliefs only until the first lie: money that moved without
/// its knowledge can bring a balance below 0.
const IN_DEBT: &str = "negative_balance";

/// Audits a liar until it is caught, or had its chance and is not.
fn audited(lie: Lie) -> Audited {
    Audited::until(lie, &["--faults=kill", "--keep"], |audited| {
        audited.ended.code() != Some(0) || !had_its_chance(&audited.record).is_empty()
    })
}

/// What is found is what the client heard, and at the most what the liar told: of a lie whose
/// answer was cut off by the kill only the damage can be seen.
#[track_caller]
fn within_what_was_told<T: Ord + std::fmt::Debug>(
    found: &BTreeSet<T>,
    heard: &BTreeSet<T>,
    told: &BTreeSet<T>,
) {
    assert!(heard.is_subset(found), "{heard:?} is not in {found:?}");
    assert!(found.is_subset(told), "{found:?} is not in {told:?}");
    assert!(!found.is_empty());
}

/// Without it the others would prove nothing.
#[test]
fn case_36_an_honest_server_is_believed() {
    let Audited { ended, record, .. } = audited(Lie::None);
    ended.expect_code(0);
    assert_eq!(record["findings"], json!([]));
    assert!(!had_its_chance(&record).is_empty(), "{record:#}");
    assert_eq!(record["replay_matches"], true);
    assert_eq!(record["snapshots"], 0, "it has no stats");
}

/// A server of other people may end as it likes, as long as nothing is lost.
#[test]
fn an_end_without_grace_is_a_warning() {
    let directory = directory();
    let ended = audit(directory.path(), Lie::None, &["--faults=term"], 1);
    ended.expect_code(0);
    let record = ended.json();
    assert_eq!(
        kinds(&record),
        BTreeSet::from(["unexpected_end".to_owned()])
    );
    assert_eq!(
        (&record["valid"], &record["lost"]),
        (&json!(true), &json!(0))
    );
}

/// What was acknowledged and is not in the liar's ledger is lost: as much, and the end of every
/// connection only.
#[test]
fn case_36_an_answer_faked_early() {
    let audited = audited(Lie::AnswersEarly).caught(&["lost"]);
    let written = audited.ledger();
    let sent = audited.sent();
    let lost = sent
        .iter()
        .filter(|(moved, one)| one.answer.is_some() && !written.contains(moved));
    audited.counts(&[("lost", lost.count())]);
    let finding = &audited.record["findings"][0]["transfer"];
    assert_eq!(
        (&finding["answer"], &finding["applied"]),
        (&json!("ok"), &json!(0))
    );
}

/// Found where the client waited long enough to give up before the kill.
#[test]
fn case_36_an_answer_dropped() {
    // What is never answered must also be waited for in vain, for some part of a cycle.
    let audited = Audited::until(Lie::DropsAnswers, &["--faults=kill"], |audited| {
        audited.ended.code() != Some(0)
    });
    // Killed a moment before it gives up, it has at least seen others answered.
    let audited = audited.caught(&["unanswered", "starved"]);
    let given_up = audited.tally.transfers("given_up");
    within_what_was_told(&audited.named("unanswered"), &given_up, &audited.told());
    audited.counts(&[]);
}

/// Found, too, where the client has not waited for long: others that it sent later were answered.
/// A server that is not this program's own may answer in any order, so that it is a warning.
#[test]
fn case_36_an_answer_overtaken() {
    let audited = Audited::until(Lie::NeverAnswers, &["--faults=kill", "--keep"], |audited| {
        !audited.kinds().is_empty()
    });
    audited.ended.expect_code(0);
    assert_eq!(audited.kinds(), BTreeSet::from(["starved".to_owned()]));
    assert!(audited.named("starved").is_subset(&audited.told()));
    audited.counts(&[]);
}

/// Whether a fault was injected in a cycle, and the messages of what was found.
fn struck_and_said(record: &Value) -> (u64, Vec<String>) {
    let cycles = record["cycles"].as_array().expect("a list");
    let injected = cycles.iter().filter(|cycle| cycle["injected"] == true);
    let findings = record["findings"].as_array().expect("a list");
    let said = findings.iter().map(|one| one["message"].as_str());
    let said = said.map(|one| one.expect("a text").to_owned());
    (injected.count() as u64, said.collect())
}

/// It goes on as if nothing had been: a warning, since it is not this program's own.
#[test]
fn case_36_a_sync_error_ignored() {
    if !can_trace("case_36_a_sync_error_ignored") {
        return;
    }
    for (lie, caught) in [
        (Lie::IgnoresSyncErrors, true),
        (Lie::MindsSyncErrors, false),
    ] {
        let audited = Audited::until(lie, &["--faults=eio"], |audited| {
            let (injected, said) = struck_and_said(&audited.record);
            injected > 0 && (!caught || !said.is_empty())
        });
        audited.ended.expect_code(0);
        let (injected, said) = struck_and_said(&audited.record);
        assert!(injected > 0, "{lie:?}: {:#}", audited.record);
        let kinds = audited.kinds();
        assert!(
            kinds.iter().all(|kind| kind == "unexpected_end"),
            "{kinds:?}"
        );
        let went_on = said.iter().filter(|one| {
            one.starts_with("answered on after a sync that failed: of ledger.sqlite, and ")
        });
        let went_on = went_on.count() as u64;
        assert_eq!(went_on > 0, caught, "{lie:?}: {said:?}");
        assert!(went_on <= injected);
    }
}

/// That it came back in the end does not hide it.
#[test]
fn a_start_that_failed_is_told_of() {
    let directory = directory();
    let ended = audit(
        directory.path(),
        Lie::StartsAtTheSecondTry,
        &["--faults=kill"],
        1,
    );
    let record = ended.expect_code(0).json();
    assert_eq!(kinds(&record), BTreeSet::from(["failed_start".to_owned()]));
    let (_, said) = struck_and_said(&record);
    assert_eq!(said.len(), 3, "once in each cycle: {record:#}");
    for message in said {
        assert!(message.contains("once more") && message.contains("not yet"));
    }
    let found = json!([{"kind": "failed_start", "failing": 0, "warnings": 3}]);
    assert_eq!(record["found"], found);
    let lines = ended.stderr.lines();
    let told = lines.filter(|line| line.contains("warning: failed_start in cycle "));
    assert_eq!(told.count(), 3, "{}", ended.stderr);
}

/// A later one of the same connection is there, so that most are gaps as well; one that was
/// not heard of is nothing but that.
#[test]
fn case_36_an_error_swallowed() {
    let audited = audited(Lie::SwallowsErrors).caught(&["lost", "gap", IN_DEBT]);
    let heard = audited.heard();
    assert_eq!(audited.named("lost"), heard);
    let (sent, written) = (audited.sent(), audited.ledger());
    let is_gap = |moved: &Moved| {
        let gone = &sent[moved];
        written.iter().map(|later| &sent[later]).any(|later| {
            (later.cycle, later.worker) == (gone.cycle, gone.worker) && later.number > gone.number
        })
    };
    let gaps: BTreeSet<_> = audited.told().into_iter().filter(is_gap).collect();
    assert_eq!(audited.named("gap"), gaps);
    audited.counts(&[("lost", heard.len()), ("gaps", gaps.len())]);
    audited.debts_are_told();
}

#[test]
fn case_36_refused_and_applied() {
    let audited = audited(Lie::RefusesAndApplies).caught(&["refused_present", IN_DEBT]);
    let heard = audited.heard();
    assert_eq!(audited.named("refused_present"), heard);
    audited.counts(&[("refused_present", heard.len())]);
    audited.debts_are_told();
}

/// A whole batch fails at once, and its transfers stand in a row.
#[test]
fn case_36_a_batch_refused_and_applied() {
    let audited = audited(Lie::RefusesABatch).caught(&["refused_present", IN_DEBT]);
    let heard = audited.heard();
    assert_eq!(audited.named("refused_present"), heard);
    audited.counts(&[("refused_present", heard.len())]);
    audited.debts_are_told();
}

#[test]
fn case_36_applied_twice() {
    let audited = audited(Lie::AppliesTwice).caught(&["applied_twice", IN_DEBT]);
    let found = audited.named("applied_twice");
    within_what_was_told(&found, &audited.heard(), &audited.told());
    audited.counts(&[("applied_twice", found.len())]);
    audited.debts_are_told();
}

#[test]
fn case_36_answered_twice() {
    let audited = audited(Lie::AnswersTwice).caught(&["answered_twice"]);
    let sent = audited.sent();
    let connection = |moved: &Moved| (sent[moved].cycle, sent[moved].worker);
    let told = audited.told();
    // The second answer has arrived where one to a later request has.
    let heard = told.iter().filter(|moved| {
        let answered = sent.values().filter(|one| one.answer.is_some());
        let mut later = answered.filter(|one| one.number > sent[moved].number);
        later.any(|one| (one.cycle, one.worker) == connection(moved))
    });
    let heard = heard.map(connection).collect();
    let told = told.iter().map(connection).collect();
    within_what_was_told(&audited.connections("answered_twice"), &heard, &told);
    audited.counts(&[]);
}

#[test]
fn case_36_a_ledger_in_memory_only() {
    let audited = audited(Lie::OnlyInMemory).caught(&["lost"]);
    let heard = audited.heard().len();
    assert_eq!(audited.record["acknowledged"], heard, "all of them");
    audited.counts(&[("lost", heard)]);
    assert_eq!(audited.record["unknown_present"], 0);
}

/// What it forgot and had acknowledged is lost, and nothing else.
#[test]
fn case_36_a_ledger_that_forgets_its_end() {
    // With a handful of transfers in a cycle it would forget some of the cycle before.
    let audited = Audited::until(
        Lie::ForgetsTheEnd,
        &["--faults=kill", "--keep"],
        |audited| had_its_chance(&audited.record).len() == 3,
    );
    let audited = audited.caught(&["lost"]);
    let heard = audited.heard();
    assert_eq!(audited.named("lost"), heard);
    audited.counts(&[("lost", heard.len())]);
}

/// Every transfer is there by the account that it left: nothing else is said of any.
#[test]
fn case_36_money_that_arrives_nowhere() {
    let broken = ["wrong_total", "pair_not_conserved", IN_DEBT];
    let audited = audited(Lie::LosesMoney).caught(&broken);
    let sent = audited.sent();
    let connections = |all: BTreeSet<Moved>| {
        let all = all
            .iter()
            .map(|moved| (sent[moved].cycle, sent[moved].worker));
        all.collect::<BTreeSet<_>>()
    };
    let (heard, told) = (connections(audited.heard()), connections(audited.told()));
    let pairs = audited.connections("pair_not_conserved");
    within_what_was_told(&pairs, &heard, &told);
    let cycles: BTreeSet<_> = pairs.iter().map(|(cycle, _)| *cycle).collect();
    let totals = audited.findings("wrong_total");
    let totals: Vec<_> = totals.iter().map(|one| count(&one["cycle"])).collect();
    assert_eq!(totals, Vec::from_iter(cycles), "once for each cycle");
    audited.counts(&[]);
    audited.debts_are_told();
}

/// What is of unknown outcome is sent again with its id: that this moves nothing twice is seen
/// in the balances.
#[test]
fn case_36_ids_that_are_forgotten() {
    let flags = ["--faults=kill", "--exactly-once"];
    let audited = Audited::until(Lie::ForgetsIds, &flags, |audited| {
        audited.ended.code() != Some(0)
    });
    let audited = audited.caught(&["applied_twice", IN_DEBT]);
    let told = audited.told();
    assert_eq!(audited.named("applied_twice"), told);
    let resolved = &audited.record["exactly_once"];
    assert_eq!(resolved["resolved_committed"], told.len());
    // Without ids it would have been believed.
    let directory = directory();
    let ended = audit(directory.path(), Lie::ForgetsIds, &["--faults=kill"], 1);
    ended.expect_code(0);
    assert_eq!(ended.json()["exactly_once"], Value::Null);
}

#[test]
fn a_server_that_knows_no_ids_is_refused() {
    let directory = directory();
    let flags = ["--faults=kill", "--exactly-once"];
    let ended = audit(directory.path(), Lie::None, &flags, 1);
    ended.expect_code(2);
    let errors = ended
        .stderr
        .lines()
        .filter(|line| line.starts_with("error: "));
    assert_eq!(errors.count(), 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("--exactly-once"), "{}", ended.stderr);
}

#[test]
fn case_36_a_rejection_without_a_reason() {
    let audited = audited(Lie::RejectsWrongly).caught(&["wrong_rejection"]);
    let heard = audited.heard();
    assert_eq!(audited.named("wrong_rejection"), heard);
    assert_eq!(audited.record["refused"], heard.len());
    audited.counts(&[]);
}
