use std::sync::Arc;

use super::*;
use crate::connector::{MockAnswer, MockConnector, Reason};
use crate::journal::{self, Journal};
use crate::ledger::Standing;
use crate::transfer_generator::Amounts;

const HABITS: Habits = Habits {
    window: 4,
    answer_timeout: Duration::from_millis(200),
};

/// Works against a history; what was seen, and what the journal says.
async fn worked(
    history: impl Fn(u64) -> MockAnswer + Send + Sync + 'static,
) -> (Seen, Vec<Record>) {
    worked_until(HABITS, u64::MAX, history).await
}

/// The same with other habits; the onset of a fault comes with the request `cut_at`.
async fn worked_until(
    habits: Habits,
    cut_at: u64,
    history: impl Fn(u64) -> MockAnswer + Send + Sync + 'static,
) -> (Seen, Vec<Record>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let journal = Journal::create(&path).unwrap();
    let handle = journal.handle();
    let position = handle.append(&Record::Run {
        seed: 1,
        accounts: 2,
        initial_balance: 5,
    });
    handle.clone().durable(position).await.unwrap();
    let means = Amounts::share_out(1, 4).unwrap();
    let mut generator = TransferGenerator::new(0, 1, means, None);
    generator.settle(means.initial_balance, means.initial_balance);
    let (_alive, gone) = watch::channel(false);
    let onset = Onset::default();
    let cut = onset.clone();
    let sent = path.clone();
    let connector = MockConnector::new(Arc::new(move |number, transfer| {
        let durable = journal::read(&sent).unwrap().records;
        let is_there = durable
            .iter()
            .any(|one| matches!(one, Record::Sent { transfer: t, .. } if t == transfer));
        assert!(is_there, "sent before it was durable");
        if number == cut_at {
            cut.come();
        }
        history(number)
    }));
    let ends = Ends { gone, onset };
    let seen = work(&connector, &mut generator, handle, habits, ends)
        .await
        .unwrap();
    drop(journal);
    (seen, journal::read(&path).unwrap().records)
}

fn soon(outcome: Outcome) -> MockAnswer {
    MockAnswer::After(Duration::from_millis(1), outcome)
}

/// Everything seen is in the journal, in the order in which it happened.
fn check(seen: &Seen, records: &[Record]) {
    let sent: Vec<_> = records
        .iter()
        .filter_map(|record| match record {
            Record::Sent {
                number, transfer, ..
            } => Some((*number, *transfer)),
            _ => None,
        })
        .collect();
    let entries = &seen.sequence.entries;
    let of_worker: Vec<_> = entries.iter().map(|e| (e.number, e.transfer)).collect();
    assert_eq!(sent, of_worker);
    for entry in entries {
        let answer = records.iter().find_map(|record| match record {
            Record::Answer {
                number, outcome, ..
            } if *number == entry.number => Some(*outcome),
            _ => None,
        });
        assert_eq!(answer, entry.answer, "{}", entry.number);
    }
}

#[tokio::test]
async fn works_until_the_connection_ends() {
    let (seen, records) = worked(|number| match number {
        0..50 => soon(Outcome::Committed),
        _ => MockAnswer::Disconnect,
    })
    .await;
    check(&seen, &records);
    let entries = &seen.sequence.entries;
    assert!(
        entries[..46]
            .iter()
            .all(|e| e.answer == Some(Outcome::Committed))
    );
    assert!(entries.iter().any(|e| e.answer.is_none()));
    assert!(seen.unanswered.is_empty(), "the connection was not open");
}

#[tokio::test]
async fn sends_nothing_after_an_unknown_outcome() {
    let (seen, records) = worked(|number| match number {
        9 => soon(Outcome::Unknown),
        _ => soon(Outcome::Committed),
    })
    .await;
    check(&seen, &records);
    assert!((10..=13).contains(&seen.sequence.entries.len()), "{seen:?}");
    assert_eq!(seen.said_unknown, 1);
    assert!(seen.sequence.entries.iter().all(|e| e.answer.is_some()));
}

#[tokio::test]
async fn goes_on_after_a_refusal_that_passes() {
    let (seen, records) = worked(|number| match number {
        9 => soon(Outcome::Failed(Some(Reason::StorageFull))),
        30 => soon(Outcome::Failed(Some(Reason::ShuttingDown))),
        _ => soon(Outcome::Committed),
    })
    .await;
    check(&seen, &records);
    assert!(seen.sequence.has_passing_refusals());
    assert!((31..=34).contains(&seen.sequence.entries.len()), "{seen:?}");
}

/// What was answered while a fault was under way is in the journal and counts for nothing,
/// acknowledgement or refusal; what was answered before counts.
#[tokio::test]
async fn what_comes_after_the_onset_does_not_count() {
    for outcome in [
        Outcome::Committed,
        Outcome::Unknown,
        Outcome::Failed(Some(Reason::StorageFull)),
    ] {
        let (seen, records) = worked_until(HABITS, 20, move |number| match number {
            0..20 => soon(Outcome::Committed),
            _ => soon(outcome),
        })
        .await;
        check(&seen, &records);
        let entries = &seen.sequence.entries;
        let counted = entries
            .iter()
            .filter(|entry| entry.answer.is_some())
            .count();
        assert!((10..=20).contains(&counted), "{counted}");
        let (before, after) = entries.split_at(counted);
        assert!(
            before
                .iter()
                .all(|e| e.standing() == Standing::Acknowledged)
        );
        assert!(after.iter().all(|e| e.standing() == Standing::Open));
        let late: Vec<_> = records
            .iter()
            .filter_map(|record| match record {
                Record::Late {
                    number, outcome, ..
                } => Some((*number, *outcome)),
                _ => None,
            })
            .collect();
        assert!(late.contains(&(21, outcome)), "{late:?}");
        assert_eq!(late.len(), after.len(), "each of them, and no other");
        let refused = late.iter().filter(|(_, o)| matches!(o, Outcome::Failed(_)));
        assert_eq!(seen.late_refusals, refused.count() as u64);
        assert_eq!(seen.said_unknown, 0);
        assert!(entries.len() <= 24, "nothing is sent any more");
        assert!(seen.unanswered.is_empty());
    }
}

#[tokio::test]
async fn an_answer_that_never_comes_is_seen() {
    let (seen, records) = worked(|number| match number {
        9 => MockAnswer::Silence,
        _ => soon(Outcome::Committed),
    })
    .await;
    check(&seen, &records);
    assert_eq!(seen.unanswered, [10], "the tenth");
    assert_eq!(seen.starved, [], "it is named once");
}

/// What is found when the tenth is never answered and `later` ones are, the last of them when
/// the tenth is old; then the connection ends.
async fn starved(later: u64, outcome: Outcome) -> Vec<Starved> {
    let patient = Habits {
        answer_timeout: Duration::from_mins(10),
        ..HABITS
    };
    let last = 9 + later;
    let (seen, records) = worked_until(patient, u64::MAX, move |number| match number {
        0..9 => soon(Outcome::Committed),
        9 => MockAnswer::Silence,
        _ if number < last => soon(outcome),
        _ if number == last => MockAnswer::After(OVERTAKEN_AGE, outcome),
        // The window is full with them until then.
        _ if number <= last + 2 => MockAnswer::Silence,
        _ => MockAnswer::Disconnect,
    })
    .await;
    check(&seen, &records);
    assert_eq!(seen.unanswered, [0_u64; 0]);
    seen.starved
}

#[tokio::test]
async fn an_answer_that_many_later_ones_have_overtaken_is_seen() {
    let full = Outcome::Failed(Some(Reason::StorageFull));
    for (later, outcome, found) in [
        (100, Outcome::Committed, true),
        (99, Outcome::Committed, false),
        (100, full, false),
    ] {
        let expected = Starved {
            place: 9,
            later: 100,
        };
        let expected = found.then_some(expected);
        let seen = starved(later, outcome).await;
        assert_eq!(seen, Vec::from_iter(expected), "{later} {outcome:?}");
    }
}
