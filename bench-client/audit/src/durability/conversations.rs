//! What clients and a server said to each other, by connection.

use std::collections::BTreeMap;

use crate::crash_states::protocol_decoder::{ProtocolDecoder, Said, Verdict};

/// A transfer, as it went over a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Transfer {
    /// The line on which its request had been read.
    pub(super) asked: u64,
    /// The line on which its answer was about to be written, and whether it acknowledges.
    pub(super) answered: Option<(u64, bool)>,
}

/// Something that went over a connection.
pub(super) enum Heard {
    /// Bytes from a client.
    Request(Vec<u8>),
    /// Bytes for it.
    Answer(Vec<u8>),
    /// They are not all in the trace.
    Lost(String),
    /// It was closed.
    Closed,
}

/// What was heard, each with its line and its connection: halves of calls come out of order.
pub(super) type Conversations = Vec<(u64, String, Heard)>;

/// The transfers that were said, in the order of their requests, and why something was not
/// understood. A connection without a transfer may say what it likes.
pub(super) fn transfers(mut all: Conversations) -> (Vec<Transfer>, Option<String>) {
    all.sort_by_key(|(line, ..)| *line);
    let mut open: BTreeMap<String, (ProtocolDecoder, Vec<usize>, bool)> = BTreeMap::new();
    let mut transfers: Vec<Transfer> = Vec::new();
    let mut misunderstood = None;
    for (line, connection, heard) in all {
        let (decoder, own, lost) = open.entry(connection.clone()).or_default();
        let said = match heard {
            Heard::Closed => {
                open.remove(&connection);
                continue;
            }
            _ if *lost => continue,
            Heard::Request(bytes) => decoder.received(&bytes),
            Heard::Answer(bytes) => decoder.sent(&bytes),
            Heard::Lost(why) => Err(why),
        };
        let said = said.unwrap_or_else(|why| {
            *lost = true;
            if !own.is_empty() {
                misunderstood.get_or_insert(why);
            }
            Vec::new()
        });
        for said in said {
            match said {
                Said::Asked(_) => {
                    own.push(transfers.len());
                    transfers.push(Transfer {
                        asked: line,
                        answered: None,
                    });
                }
                Said::Answered(number, verdict) => {
                    let acknowledged = verdict == Verdict::Committed;
                    if let Some(place) = own.get(number) {
                        transfers[*place].answered = Some((line, acknowledged));
                    }
                }
            }
        }
    }
    (transfers, misunderstood)
}
