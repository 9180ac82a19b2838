//! Exactly once: an id for every transfer, and the transfers whose outcome is still to be found
//! out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use busload_wire::TransferId;

use crate::config::Resolve;
use crate::connector::{Outcome, Reason, WorkerId};
use crate::workload::worker_seed;

/// Bits of an id that count the transfers of one worker; those above name the worker.
const COUNTER_BITS: u32 = 40;
/// Pause before the second repetition; doubles up to the longest. The first comes at once.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// Longest pause between repetitions.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The upper half of all ids of one load. Loads with the same seed differ by when they
/// start, and by their process.
#[expect(
    clippy::disallowed_methods,
    reason = "an id must not come back in a later run, which only wall-clock time tells apart"
)]
#[must_use]
pub fn session_half(seed: u64) -> u64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = since_1970.unwrap_or_default();
    let by_second = worker_seed(seed ^ now.as_secs(), now.subsec_nanos());
    worker_seed(by_second, std::process::id())
}

/// A transfer of unknown outcome.
#[derive(Debug)]
struct Open {
    first_sent: Instant,
    /// When its outcome became unknown.
    since: Instant,
    /// How often it was sent again.
    tries: u32,
    /// When it is to be sent again; `None` while it is in flight.
    again_at: Option<Instant>,
}

/// What an answer, or that there is none, says about a transfer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// It has this outcome; if it was open, it was sent at this time first.
    Closed(Outcome, Option<Instant>),
    /// It is to be sent again.
    Open,
}

/// The ids of one worker's transfers, and those that are open, by their slots.
pub(super) struct Resolver {
    bounds: Resolve,
    session: u64,
    last: u64,
    ids: Vec<TransferId>,
    open: BTreeMap<u32, Open>,
    /// Transfers that had an outcome after all.
    pub(super) resolved: u64,
    /// Repetitions sent.
    pub(super) sent_again: u64,
}

impl Resolver {
    pub(super) fn new(
        bounds: Resolve,
        session: u64,
        worker: WorkerId,
        max_inflight: usize,
    ) -> Self {
        Self {
            bounds,
            session,
            last: u64::from(worker.0) << COUNTER_BITS,
            ids: vec![TransferId::from_u128(0); max_inflight],
            open: BTreeMap::new(),
            resolved: 0,
            sent_again: 0,
        }
    }

    /// The id of a new transfer in this slot.
    pub(super) fn name(&mut self, slot: u32) -> TransferId {
        self.last += 1;
        let id = TransferId::from_u128((u128::from(self.session) << 64) | u128::from(self.last));
        self.ids[slot as usize] = id;
        id
    }

    /// Whether there are transfers to be followed.
    pub(super) fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// A transfer that was sent at `sent` came to `outcome`. Of an open one only a commit and
    /// a rejection by the rules of the ledger, which are what the server remembers, say what
    /// became of it: any other refusal is of the repetition alone.
    pub(super) fn judge(
        &mut self,
        slot: u32,
        sent: Instant,
        outcome: Outcome,
        now: Instant,
    ) -> Judged {
        let known = self.open.get_mut(&slot);
        let answered = match outcome {
            Outcome::Committed => true,
            Outcome::Unknown => false,
            Outcome::Rejected(reason) => known.is_none() || is_remembered(reason),
            Outcome::Failed(_) => known.is_none(),
        };
        let Some(open) = known else {
            if answered {
                return Judged::Closed(outcome, None);
            }
            let open = Open {
                first_sent: sent,
                since: now,
                tries: 0,
                again_at: Some(now),
            };
            self.open.insert(slot, open);
            return Judged::Open;
        };
        let first_sent = open.first_sent;
        if answered {
            self.resolved += 1;
        } else if open.tries < self.bounds.tries && now < open.since + self.bounds.timeout {
            open.again_at = Some(now + pause(open.tries));
            return Judged::Open;
        }
        self.open.remove(&slot);
        Judged::Closed(
            if answered { outcome } else { Outcome::Unknown },
            Some(first_sent),
        )
    }

    /// The slots whose transfers are to be sent again by now.
    pub(super) fn due(&self, now: Instant) -> Vec<u32> {
        let due = |open: &&Open| open.again_at.is_some_and(|at| at <= now);
        let waiting = self.open.iter().filter(|(_, open)| due(open));
        waiting.map(|(slot, _)| *slot).collect()
    }

    /// The slots whose transfers wait to be sent again and have waited too long.
    pub(super) fn overdue(&self, now: Instant) -> Vec<u32> {
        let end = |open: &Open| open.since + self.bounds.timeout;
        let waiting = self.open.iter();
        let overdue = waiting.filter(|(_, open)| open.again_at.is_some() && now >= end(open));
        overdue.map(|(slot, _)| *slot).collect()
    }

    /// The slots whose transfers wait to be sent again.
    pub(super) fn waiting(&self) -> Vec<u32> {
        let waiting = self.open.iter();
        let waiting = waiting.filter(|(_, open)| open.again_at.is_some());
        waiting.map(|(slot, _)| *slot).collect()
    }

    /// A transfer is sent again: its id.
    pub(super) fn send_again(&mut self, slot: u32) -> TransferId {
        if let Some(open) = self.open.get_mut(&slot) {
            open.tries += 1;
            open.again_at = None;
            self.sent_again += 1;
        }
        self.ids[slot as usize]
    }

    /// A transfer stays unknown. When it was sent first.
    pub(super) fn give_up(&mut self, slot: u32) -> Option<Instant> {
        self.open.remove(&slot).map(|open| open.first_sent)
    }
}

/// Whether a server remembers this rejection with the id.
fn is_remembered(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::InvalidTransfer
            | Reason::AccountMissing
            | Reason::InsufficientFunds
            | Reason::BalanceOverflow
    )
}

fn pause(tries: u32) -> Duration {
    match tries {
        0 => Duration::ZERO,
        n => FIRST_PAUSE
            .saturating_mul(1 << (n - 1).min(20))
            .min(LONGEST_PAUSE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const FULL: Outcome = Outcome::Failed(Some(Reason::Overloaded));

    fn resolver(tries: u32) -> Resolver {
        let bounds = Resolve {
            timeout: 1000 * MS,
            tries,
        };
        Resolver::new(bounds, 7, WorkerId(3), 2)
    }

    #[test]
    fn ids_differ_by_load_worker_and_transfer() {
        let half = session_half(1);
        std::thread::sleep(MS);
        assert_ne!(half, session_half(1));
        let mut seen = std::collections::HashSet::new();
        for worker in [0, 1, 99_999] {
            let mut ids = Resolver::new(resolver(1).bounds, half, WorkerId(worker), 2);
            for slot in [0, 1, 0, 1] {
                let id = ids.name(slot);
                assert_eq!(ids.send_again(slot), id);
                assert!(seen.insert(id));
                assert_eq!(id.to_u128() >> 64, u128::from(half));
            }
        }
    }

    #[test]
    fn what_is_answered_at_once_never_opens() {
        let (mut resolver, now) = (resolver(3), Instant::now());
        let conflict = Outcome::Rejected(Reason::Conflict);
        for outcome in [Outcome::Committed, FULL, conflict] {
            let judged = resolver.judge(0, now, outcome, now);
            assert_eq!(judged, Judged::Closed(outcome, None));
        }
        assert!(!resolver.has_open());
        assert_eq!(resolver.resolved, 0);
    }

    #[test]
    fn an_open_transfer_is_sent_until_the_ledger_has_spoken() {
        for last in [
            Outcome::Committed,
            Outcome::Rejected(Reason::InsufficientFunds),
        ] {
            let (mut resolver, sent) = (resolver(10), Instant::now());
            let id = resolver.name(1);
            let mut now = sent + 5 * MS;
            assert_eq!(resolver.judge(1, sent, Outcome::Unknown, now), Judged::Open);
            for (number, outcome) in (1..).zip([
                FULL,
                Outcome::Unknown,
                Outcome::Failed(None),
                Outcome::Rejected(Reason::InvalidRequest),
            ]) {
                assert_eq!(resolver.due(now), [1]);
                assert_eq!(resolver.send_again(1), id);
                assert!(resolver.due(now + 1000 * MS).is_empty(), "it is in flight");
                assert_eq!(resolver.judge(1, now, outcome, now), Judged::Open);
                assert!(resolver.due(now).is_empty(), "the next one after a pause");
                assert_eq!(resolver.sent_again, number);
                now += 100 * MS;
            }
            resolver.send_again(1);
            let judged = resolver.judge(1, now, last, now);
            assert_eq!(judged, Judged::Closed(last, Some(sent)));
            assert!(!resolver.has_open());
            assert_eq!((resolver.resolved, resolver.sent_again), (1, 5));
        }
    }

    #[test]
    fn repetitions_end() {
        let (mut few, now) = (resolver(2), Instant::now());
        for _ in 0..2 {
            assert_eq!(few.judge(0, now, Outcome::Unknown, now), Judged::Open);
            few.send_again(0);
        }
        let judged = few.judge(0, now, FULL, now);
        assert_eq!(judged, Judged::Closed(Outcome::Unknown, Some(now)));
        let mut long = resolver(1000);
        assert_eq!(long.judge(0, now, Outcome::Unknown, now), Judged::Open);
        assert!(long.overdue(now + 999 * MS).is_empty());
        assert_eq!(long.overdue(now + 1000 * MS), [0]);
        assert_eq!(long.waiting(), [0]);
        long.send_again(0);
        assert!(long.waiting().is_empty(), "it is in flight");
        assert!(long.overdue(now + 1000 * MS).is_empty(), "it is in flight");
        let judged = long.judge(0, now, Outcome::Unknown, now + 1000 * MS);
        assert_eq!(judged, Judged::Closed(Outcome::Unknown, Some(now)));
        assert_eq!(long.resolved, 0);
    }

    #[test]
    fn pauses_double_and_end_at_a_second() {
        let pauses: Vec<_> = (0..10).map(|tries| pause(tries).as_millis()).collect();
        assert_eq!(pauses, [0, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        assert_eq!(pause(u32::MAX), LONGEST_PAUSE);
    }
}
