//! One connection under load, with its ledger.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use busload_wire::{ErrorCode, RequestId};
use tokio::sync::watch;

use super::desk::Desk;
use super::fault::Onset;
use super::journal::{JournalError, JournalHandle, Position, Record};
use super::ledger::Sequence;
use crate::connector::{Connector, Outcome, Reply, Session, WorkerId};

/// How often a worker looks for answers that do not come.
const TICK: Duration = Duration::from_millis(50);
/// Pause after a refusal that passes, such as a full disk: it would be asked again at once.
const REFUSED_PAUSE: Duration = Duration::from_millis(2);

/// What a worker does.
#[derive(Debug, Clone, Copy)]
pub struct Habits {
    /// Transfers in flight.
    pub window: usize,
    /// A request that is not answered for this long, on a connection that is open, is a finding.
    pub answer_timeout: Duration,
}

/// What a worker is told of the server's end.
#[derive(Debug, Clone)]
pub struct Ends {
    /// Becomes true when the server is dead, for connections that do not notice.
    pub gone: watch::Receiver<bool>,
    /// From then on answers come too late to count.
    pub onset: Onset,
}

/// What a worker saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// Everything it sent and what was answered first.
    pub sequence: Sequence,
    /// Transfers without an answer on a connection that stayed open.
    pub unanswered: Vec<u64>,
    /// Answers to requests that were not in flight.
    pub surplus_answers: u64,
    /// The server said itself that it does not know an outcome.
    pub said_unknown: u64,
    /// Refusals that came too late to count. The sequence has them as unanswered.
    pub late_refusals: u64,
}

/// Sends transfers over one connection until it ends, or until the server says that an outcome
/// is unknown or that it stops. What is then in flight is waited for.
///
/// There is no second connection: the transfers of a cycle are those of one connection, in the
/// order in which they were sent. That is what the judge rests on.
///
/// # Errors
/// The journal is broken. Nothing was sent that is not in it.
pub async fn work<C: Connector>(
    connector: &C,
    desk: &mut Desk,
    mut journal: JournalHandle,
    habits: Habits,
    Ends { mut gone, onset }: Ends,
) -> Result<Seen, JournalError> {
    let worker = desk.pair().0;
    let connected = tokio::select! {
        connected = connector.connect(WorkerId(worker)) => connected,
        _ = gone.wait_for(|gone| *gone) => return Ok(Seen::default()),
    };
    let Ok(session) = connected else {
        return Ok(Seen::default());
    };
    let mut connection = Connection {
        session,
        desk,
        inflight: HashMap::new(),
        seen: Seen::default(),
        appended: None,
        sends: true,
    };
    let mut replies = Vec::new();
    loop {
        // Whoever answers when the server is gone is not sent more.
        connection.sends &= !*gone.borrow();
        let fresh = connection.fill(habits.window, &journal);
        // The invariant of the journal: first durable, then sent.
        if let Some(position) = connection.appended.take() {
            journal.durable(position).await?;
        }
        let mut open = connection.submit(fresh, &journal);
        if connection.inflight.is_empty() && open {
            if !connection.sends || *gone.borrow() {
                break;
            }
            tokio::time::sleep(REFUSED_PAUSE).await;
            continue;
        }
        let waited = tokio::time::timeout(TICK, connection.session.replies(&mut replies)).await;
        open &= !matches!(waited, Ok(Err(_)));
        // What a dead server had sent before is still read.
        open &= waited.is_ok() || !*gone.borrow();
        // Asked after the reading: whatever was read before the onset had left before it.
        let late = onset.has_come();
        let refused = connection.take(&mut replies, late, &journal);
        if !open || connection.gives_up(habits.answer_timeout) {
            break;
        }
        if refused {
            tokio::time::sleep(REFUSED_PAUSE).await;
        }
    }
    // The last answers as well, though nothing follows them.
    if let Some(position) = connection.appended.take() {
        journal.durable(position).await?;
    }
    Ok(connection.seen)
}

struct Connection<'a, S> {
    session: S,
    desk: &'a mut Desk,
    /// Where in the sequence a request is, and when it was sent.
    inflight: HashMap<u64, (usize, Instant)>,
    seen: Seen,
    /// The last record that was appended to the journal and not waited for.
    appended: Option<Position>,
    /// Whether more is sent.
    sends: bool,
}

impl<S: Session> Connection<'_, S> {
    /// Draws transfers until the window is full; returns where in the sequence they begin.
    fn fill(&mut self, window: usize, journal: &JournalHandle) -> usize {
        let entries = &mut self.seen.sequence.entries;
        let begin = entries.len();
        while self.sends && self.inflight.len() + entries.len() - begin < window {
            let Some(entry) = self.desk.next_entry() else {
                break;
            };
            self.appended = Some(journal.append(&Record::Sent {
                worker: self.desk.pair().0,
                number: entry.number,
                transfer: entry.transfer,
            }));
            entries.push(entry);
        }
        begin
    }

    /// Gives the new transfers to the session; false when it does not take them.
    fn submit(&mut self, begin: usize, journal: &JournalHandle) -> bool {
        let now = Instant::now();
        let mut open = true;
        for place in begin..self.seen.sequence.entries.len() {
            let entry = self.seen.sequence.entries[place];
            let submitted = RequestId::new(entry.number)
                .filter(|_| open)
                .is_some_and(|id| self.session.submit(id, entry.transfer).is_ok());
            if submitted {
                self.inflight.insert(entry.number, (place, now));
            } else {
                open = false;
                self.answer(place, Outcome::Failed(None), journal);
            }
        }
        open
    }

    fn answer(&mut self, place: usize, outcome: Outcome, journal: &JournalHandle) {
        let entry = &mut self.seen.sequence.entries[place];
        entry.answer = Some(outcome);
        self.desk.answered(entry);
        self.appended = Some(journal.append(&Record::Answer {
            worker: self.desk.pair().0,
            number: entry.number,
            outcome,
        }));
    }

    /// An answer that came too late to count: as if none had come.
    fn answer_late(&mut self, place: usize, outcome: Outcome, journal: &JournalHandle) {
        let refused = matches!(outcome, Outcome::Rejected(_) | Outcome::Failed(_));
        self.seen.late_refusals += u64::from(refused);
        self.sends = false;
        self.appended = Some(journal.append(&Record::Late {
            worker: self.desk.pair().0,
            number: self.seen.sequence.entries[place].number,
            outcome,
        }));
    }

    /// Takes answers, which do not count when they are `late`; true when there was a refusal
    /// that passes.
    fn take(&mut self, replies: &mut Vec<Reply>, late: bool, journal: &JournalHandle) -> bool {
        let mut refused = false;
        for Reply { id, outcome } in replies.drain(..) {
            let Some((place, _)) = self.inflight.remove(&id.get()) else {
                self.seen.surplus_answers += 1;
                continue;
            };
            if late {
                self.answer_late(place, outcome, journal);
                continue;
            }
            self.answer(place, outcome, journal);
            match outcome {
                Outcome::Unknown => {
                    self.seen.said_unknown += 1;
                    self.sends = false;
                }
                Outcome::Failed(None | Some(ErrorCode::ShuttingDown)) => self.sends = false,
                Outcome::Failed(Some(_)) => refused = true,
                Outcome::Committed | Outcome::Rejected(_) => {}
            }
        }
        refused
    }

    /// Whether an answer is overdue: the connection is then given up.
    fn gives_up(&mut self, answer_timeout: Duration) -> bool {
        let overdue = self.inflight.iter();
        let overdue = overdue.filter(|(_, (_, sent))| sent.elapsed() > answer_timeout);
        self.seen.unanswered = overdue.map(|(number, _)| *number).collect();
        self.seen.unanswered.sort_unstable();
        !self.seen.unanswered.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::connector::{MockAnswer, MockConnector};
    use crate::torture::desk::Means;
    use crate::torture::journal::{self, Journal};
    use crate::torture::ledger::Standing;

    const HABITS: Habits = Habits {
        window: 4,
        answer_timeout: Duration::from_millis(200),
    };

    /// Works against a script; what was seen, and what the journal says.
    async fn worked(
        script: impl Fn(u64) -> MockAnswer + Send + Sync + 'static,
    ) -> (Seen, Vec<Record>) {
        worked_until(u64::MAX, script).await
    }

    /// The same; the onset of a fault comes with this request.
    async fn worked_until(
        cut_at: u64,
        script: impl Fn(u64) -> MockAnswer + Send + Sync + 'static,
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
        let means = Means::share_out(1, 4).unwrap();
        let mut desk = Desk::new(0, 1, means, None);
        desk.settle(means.initial_balance, means.initial_balance);
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
            script(number)
        }));
        let ends = Ends { gone, onset };
        let seen = work(&connector, &mut desk, handle, HABITS, ends)
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
            9 => soon(Outcome::Failed(Some(ErrorCode::StorageFull))),
            30 => soon(Outcome::Failed(Some(ErrorCode::ShuttingDown))),
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
            Outcome::Failed(Some(ErrorCode::StorageFull)),
        ] {
            let (seen, records) = worked_until(20, move |number| match number {
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
    }
}
