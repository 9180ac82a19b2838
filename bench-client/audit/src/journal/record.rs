//! The lines of a journal: words and their CRC-32.

use std::fmt::Write as _;

use busload_wire::{ErrorCode, OutcomeClass, Transfer, TransferId};

use crate::connector::Outcome;
use crate::ledger::{Balances, answer_word};
use crate::record::torture::FaultKind;

/// The version of the file's form.
const VERSION: u32 = 2;

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// The first one.
    Run {
        /// The seed of the run.
        seed: u64,
        /// How many accounts there are.
        accounts: u64,
        /// What each of them had at first.
        initial_balance: i64,
    },
    /// All balances, read when nobody was writing.
    Balances {
        /// The cycle that comes next, from 1.
        cycle: u32,
        /// By account.
        balances: Balances,
    },
    /// A cycle begins.
    Cycle {
        /// From 1.
        number: u32,
        /// What will happen in it.
        fault: FaultKind,
    },
    /// A request is about to be sent.
    Sent {
        /// Whose.
        worker: u32,
        /// Which of the worker's.
        number: u64,
        /// What is asked.
        transfer: Transfer,
    },
    /// An answer was read.
    Answer {
        /// Whose.
        worker: u32,
        /// To which request.
        number: u64,
        /// What it says.
        outcome: Outcome,
    },
    /// An answer was read when the fault had begun to take effect: it proves nothing, and the
    /// request stands as one without an answer.
    Late {
        /// Whose.
        worker: u32,
        /// To which request.
        number: u64,
        /// What it says.
        outcome: Outcome,
    },
}

/// The record of a line without its end; `None` when it is not whole.
pub(super) fn parse_line(line: &[u8]) -> Option<Record> {
    let line = std::str::from_utf8(line).ok()?;
    let (words, crc) = line.rsplit_once(' ')?;
    (crc.len() == 8 && u32::from_str_radix(crc, 16).ok()? == crc32fast::hash(words.as_bytes()))
        .then(|| Record::parse(words))?
}

impl Record {
    /// The whole line, with its checksum and its end.
    pub(super) fn line(&self) -> String {
        let mut line = self.words();
        let crc = crc32fast::hash(line.as_bytes());
        let _ = writeln!(line, " {crc:08x}");
        line
    }

    /// The line without its checksum.
    fn words(&self) -> String {
        match self {
            Self::Run {
                seed,
                accounts,
                initial_balance,
            } => format!("run {VERSION} {seed} {accounts} {initial_balance}"),
            Self::Balances { cycle, balances } => {
                let mut line = format!("balances {cycle}");
                for balance in balances {
                    let _ = match balance {
                        Some(balance) => write!(line, " {balance}"),
                        None => write!(line, " -"),
                    };
                }
                line
            }
            Self::Cycle { number, fault } => format!("cycle {number} {fault}"),
            Self::Sent {
                worker,
                number,
                transfer:
                    Transfer {
                        from,
                        to,
                        amount,
                        transfer_id,
                    },
            } => {
                let id = transfer_id.map_or("-".to_owned(), |id| format!("{:032x}", id.to_u128()));
                format!("sent {worker} {number} {from} {to} {amount} {id}")
            }
            Self::Answer {
                worker,
                number,
                outcome,
            } => format!("answer {worker} {number} {}", answer_word(*outcome)),
            Self::Late {
                worker,
                number,
                outcome,
            } => format!("late {worker} {number} {}", answer_word(*outcome)),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let kind = words.next()?;
        let mut next = || words.next();
        let record = match kind {
            "run" => {
                if next()?.parse() != Ok(VERSION) {
                    return None;
                }
                Self::Run {
                    seed: next()?.parse().ok()?,
                    accounts: next()?.parse().ok()?,
                    initial_balance: next()?.parse().ok()?,
                }
            }
            "balances" => Self::Balances {
                cycle: next()?.parse().ok()?,
                balances: words
                    .by_ref()
                    .map(|word| match word {
                        "-" => Some(None),
                        number => number.parse().ok().map(Some),
                    })
                    .collect::<Option<_>>()?,
            },
            "cycle" => Self::Cycle {
                number: next()?.parse().ok()?,
                fault: next()?.parse().ok()?,
            },
            "sent" => Self::Sent {
                worker: next()?.parse().ok()?,
                number: next()?.parse().ok()?,
                transfer: Transfer {
                    from: next()?.parse().ok()?,
                    to: next()?.parse().ok()?,
                    amount: next()?.parse().ok()?,
                    transfer_id: match next()? {
                        "-" => None,
                        id => Some(TransferId::from_u128(u128::from_str_radix(id, 16).ok()?)),
                    },
                },
            },
            "answer" => Self::Answer {
                worker: next()?.parse().ok()?,
                number: next()?.parse().ok()?,
                outcome: parse_answer(next()?)?,
            },
            "late" => Self::Late {
                worker: next()?.parse().ok()?,
                number: next()?.parse().ok()?,
                outcome: parse_answer(next()?)?,
            },
            _ => return None,
        };
        words.next().is_none().then_some(record)
    }
}

fn parse_answer(word: &str) -> Option<Outcome> {
    let coded = |name: &str, class| {
        let code: ErrorCode = name.parse().ok()?;
        (code.class() == class).then(|| code.into())
    };
    match word.split_once(':') {
        None if word == "ok" => Some(Outcome::Committed),
        None if word == "unknown" => Some(Outcome::Unknown),
        None if word == "failed" => Some(Outcome::Failed(None)),
        Some(("rejected", name)) => coded(name, OutcomeClass::Rejected).map(Outcome::Rejected),
        Some(("failed", name)) => {
            coded(name, OutcomeClass::Failed).map(|code| Outcome::Failed(Some(code)))
        }
        _ => None,
    }
}
