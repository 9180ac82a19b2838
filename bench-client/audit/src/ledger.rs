//! The client's own ledger: what it sent and what was answered.

use crate::record::torture::SuspectTransfer;
use busload_wire::Transfer;

use crate::connector::{Outcome, Reason};

/// The two accounts that belong to one worker, and to nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pair(pub u32);

impl Pair {
    /// The first account, an even number.
    #[must_use]
    pub fn first(self) -> i64 {
        2 * i64::from(self.0)
    }

    /// The second account.
    #[must_use]
    pub fn second(self) -> i64 {
        self.first() + 1
    }

    /// How much a transfer moves from the first account to the second; negative for one that
    /// goes the other way.
    #[must_use]
    pub fn moved(self, transfer: &Transfer) -> i64 {
        if transfer.from == self.first() {
            transfer.amount
        } else {
            -transfer.amount
        }
    }
}

/// One transfer as the client knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Counts the worker's transfers over the whole run, from 1. Also its request id.
    pub number: u64,
    /// What was asked.
    pub transfer: Transfer,
    /// What was answered, the first time; `None` when no answer came.
    pub answer: Option<Outcome>,
}

/// What may be concluded from an answer, or from its absence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Acknowledged: it must be there, once.
    Acknowledged,
    /// Not known: it may be there, at most once.
    Open,
    /// Refused: it must not be there.
    Refused,
}

impl Entry {
    /// What may be concluded.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match self.answer {
            Some(Outcome::Committed) => Standing::Acknowledged,
            Some(Outcome::Unknown) | None => Standing::Open,
            Some(Outcome::Rejected(_) | Outcome::Failed(_)) => Standing::Refused,
        }
    }
}

/// The transfers of one worker between two readings of the balances: those of one connection,
/// in the order in which they were sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sequence {
    /// In the order in which they were sent.
    pub entries: Vec<Entry>,
}

impl Sequence {
    /// Whether the server refused one for a reason that passes (a full disk, a full queue), after
    /// which it took others.
    #[must_use]
    pub fn has_passing_refusals(&self) -> bool {
        self.entries.iter().any(|entry| match entry.answer {
            Some(Outcome::Failed(Some(reason))) => reason != Reason::ShuttingDown,
            _ => false,
        })
    }
}

/// The balances of all accounts, by account; `None` for one that is not there.
pub type Balances = Vec<Option<i64>>;

/// A transfer of the ledger.
#[must_use]
pub fn suspect(entry: &Entry, applied: Option<u8>) -> SuspectTransfer {
    SuspectTransfer {
        number: entry.number,
        from: entry.transfer.from,
        to: entry.transfer.to,
        amount: entry.transfer.amount,
        answer: entry.answer.map(answer_word),
        applied,
    }
}
/// An answer in one word, as the journal and findings show it.
#[must_use]
pub(crate) fn answer_word(outcome: Outcome) -> String {
    match outcome {
        Outcome::Committed => "ok".to_owned(),
        Outcome::Unknown => "unknown".to_owned(),
        Outcome::Rejected(reason) => format!("rejected:{}", reason.as_str()),
        Outcome::Failed(Some(reason)) => format!("failed:{}", reason.as_str()),
        Outcome::Failed(None) => "failed".to_owned(),
    }
}
