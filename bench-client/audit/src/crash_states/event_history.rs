//! What is replayed: the writes and syncs of a server with what it was asked and answered
//! between them.

use std::collections::BTreeMap;

use super::expected_ledger::{Entry, ExpectedLedger, ExpectedLedgerError};
use super::protocol_decoder::{ProtocolDecoder, Said, Verdict};
use super::record::{Event, Recording};

/// One step of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Something was done to a file.
    File(Event),
    /// A request for a transfer was read.
    Asked(Entry),
    /// The answer that acknowledges a transfer was about to be written, whole.
    Acknowledged(Entry),
}

/// A run.
#[derive(Debug, Clone, Default)]
pub struct EventHistory {
    /// Its steps, each with its line in the trace.
    pub steps: Vec<(u64, Step)>,
    /// Every transfer in it.
    pub ledger: ExpectedLedger,
    /// How many transfers were acknowledged.
    pub acknowledged: u64,
}

/// A trace does not give a run that can be judged.
#[derive(Debug, thiserror::Error)]
pub enum EventHistoryError {
    /// What went over a connection is not understood.
    #[error("line {line} of the trace: {why}")]
    ProtocolDecoder {
        /// Where.
        line: u64,
        /// What is wrong.
        why: String,
    },
    /// The transfers cannot be judged.
    #[error(transparent)]
    ExpectedLedger(#[from] ExpectedLedgerError),
}

impl EventHistory {
    /// Understands what was said.
    ///
    /// # Errors
    /// A connection did not speak the protocol, or transfers shared accounts.
    pub fn new(recording: Recording) -> Result<Self, EventHistoryError> {
        let mut history = Self::default();
        let mut open: BTreeMap<u32, (ProtocolDecoder, Vec<Entry>)> = BTreeMap::new();
        for (line, event) in recording.events {
            let misunderstood = |why| EventHistoryError::ProtocolDecoder { line, why };
            let (connection, said) = match event {
                Event::Received { connection, bytes } => {
                    let (conversation, _) = open.entry(connection).or_default();
                    (
                        connection,
                        conversation.received(&bytes).map_err(misunderstood)?,
                    )
                }
                Event::Sent { connection, bytes } => {
                    let (conversation, _) = open.entry(connection).or_default();
                    (
                        connection,
                        conversation.sent(&bytes).map_err(misunderstood)?,
                    )
                }
                Event::Closed { connection } => {
                    open.remove(&connection);
                    continue;
                }
                file => {
                    history.steps.push((line, Step::File(file)));
                    continue;
                }
            };
            let (_, entries) = open.entry(connection).or_default();
            for said in said {
                match said {
                    Said::Asked(transfer) => {
                        let entry = history.ledger.ask(connection, &transfer)?;
                        entries.push(entry);
                        history.steps.push((line, Step::Asked(entry)));
                    }
                    Said::Answered(number, Verdict::Committed) => {
                        history.acknowledged += 1;
                        history
                            .steps
                            .push((line, Step::Acknowledged(entries[number])));
                    }
                    Said::Answered(number, Verdict::Refused) => {
                        history.ledger.refuse(entries[number]);
                    }
                    Said::Answered(_, Verdict::Unknown) => {}
                }
            }
        }
        Ok(history)
    }
}
