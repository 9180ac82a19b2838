//! One connection under load, with its ledger.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use busload_wire::RequestId;
use tokio::sync::watch;

use super::fault::Onset;
use super::journal::{JournalError, JournalHandle, Position, Record};
use super::ledger::Sequence;
use super::transfer_generator::TransferGenerator;
use crate::connector::{Connector, Outcome, Reason, Reply, Session, WorkerId};

/// How often a worker looks for answers that do not come.
const TICK: Duration = Duration::from_millis(50);
/// Pause after a refusal that passes, such as a full disk: it would be asked again at once.
const REFUSED_PAUSE: Duration = Duration::from_millis(2);

/// A transfer is starved when so many that were sent later on its connection were answered ok,
const STARVED_BY: usize = 100;
/// and the last of these answers came so long after it was sent. Refusals do not count: a server
/// may give them at once.
const OVERTAKEN_AGE: Duration = Duration::from_secs(1);

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
    /// Transfers without an answer that were starved by others, in order.
    pub starved: Vec<Starved>,
    /// Answers to requests that were not in flight.
    pub surplus_answers: u64,
    /// The server said itself that it does not know an outcome.
    pub said_unknown: u64,
    /// Refusals that came too late to count. The sequence has them as unanswered.
    pub late_refusals: u64,
}

/// A transfer that was not answered, though later ones of its connection were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Starved {
    /// Where it is in the sequence.
    pub place: usize,
    /// How many later ones were answered ok.
    pub later: usize,
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
    generator: &mut TransferGenerator,
    mut journal: JournalHandle,
    habits: Habits,
    Ends { mut gone, onset }: Ends,
) -> Result<Seen, JournalError> {
    let worker = generator.pair().0;
    let connected = tokio::select! {
        connected = connector.connect(WorkerId(worker)) => connected,
        _ = gone.wait_for(|gone| *gone) => return Ok(Seen::default()),
    };
    let Ok(session) = connected else {
        return Ok(Seen::default());
    };
    let mut connection = Connection {
        session,
        generator,
        inflight: HashMap::new(),
        seen: Seen::default(),
        appended: None,
        sends: true,
        heard: Instant::now(),
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
    connection.notice_overtaken();
    Ok(connection.seen)
}

struct Connection<'a, S> {
    session: S,
    generator: &'a mut TransferGenerator,
    /// Where in the sequence a request is, and when it was sent.
    inflight: HashMap<u64, (usize, Instant)>,
    seen: Seen,
    /// The last record that was appended to the journal and not waited for.
    appended: Option<Position>,
    /// Whether more is sent.
    sends: bool,
    /// When the last answer ok came.
    heard: Instant,
}

impl<S: Session> Connection<'_, S> {
    /// Draws transfers until the window is full; returns where in the sequence they begin.
    fn fill(&mut self, window: usize, journal: &JournalHandle) -> usize {
        let entries = &mut self.seen.sequence.entries;
        let begin = entries.len();
        while self.sends && self.inflight.len() + entries.len() - begin < window {
            let Some(entry) = self.generator.next_entry() else {
                break;
            };
            self.appended = Some(journal.append(&Record::Sent {
                worker: self.generator.pair().0,
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
        self.generator.answered(entry);
        self.appended = Some(journal.append(&Record::Answer {
            worker: self.generator.pair().0,
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
            worker: self.generator.pair().0,
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
                Outcome::Failed(None | Some(Reason::ShuttingDown)) => self.sends = false,
                Outcome::Failed(Some(_)) => refused = true,
                Outcome::Committed => self.heard = Instant::now(),
                Outcome::Rejected(_) => {}
            }
        }
        refused
    }

    /// Looks for transfers that others have starved, when no answer will come any more.
    fn notice_overtaken(&mut self) {
        let seen = &mut self.seen;
        let entries = &seen.sequence.entries;
        let flying = self.inflight.iter();
        let mut old: Vec<_> = flying
            .filter(|(number, _)| !seen.unanswered.contains(number))
            .filter(|(_, (_, sent))| self.heard.saturating_duration_since(*sent) >= OVERTAKEN_AGE)
            .map(|(_, (place, _))| *place)
            .collect();
        old.sort_unstable();
        let counted = old.into_iter().map(|place| {
            let later = entries[place + 1..].iter();
            let later = later.filter(|later| later.answer == Some(Outcome::Committed));
            Starved {
                place,
                later: later.count(),
            }
        });
        seen.starved = counted.filter(|one| one.later >= STARVED_BY).collect();
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
mod tests;
