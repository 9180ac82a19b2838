//! Transfers one after another, each with the time that its answer took.

use std::time::{Duration, Instant};

use busload_generator::with_connector;
use busload_wire::RequestId;
use tokio::sync::watch;

use crate::connector::{Connector, Endpoint, Outcome, Session as _, WorkerId};
use crate::crash_states::load::{LARGEST, Load, transfer};
use crate::draw::Draw;

/// When it is enough.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Most transfers.
    pub(super) transfers: u32,
    /// Longest time; the transfer that is in flight then is waited for.
    pub(super) time: Duration,
    /// Between an answer and the next request.
    pub(super) pause: Duration,
    /// The first that is not acknowledged is the last.
    pub(super) until_refused: bool,
}

/// What became of transfers from account 0, in order.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// How long each acknowledgement took.
    pub(super) acknowledged: Vec<Duration>,
    /// The money that they moved.
    pub(super) moved: i64,
    /// Transfers that were not acknowledged.
    pub(super) others: u64,
    /// The money of those that may have been applied all the same.
    pub(super) in_doubt: i64,
}

impl Asked {
    /// The answer that came soonest.
    pub(super) fn soonest(&self) -> Option<Duration> {
        self.acknowledged.iter().min().copied()
    }
}

/// Asks for one transfer after another, with amounts from the load's seed and number `stream`.
pub(super) async fn ask(
    load: &Load,
    stream: u32,
    target: &Endpoint,
    limits: Limits,
    interrupted: &watch::Receiver<bool>,
) -> Asked {
    let wire = load.wire;
    with_connector!(wire.connector, wire.encoding, target.clone(), |connector| {
        ask_over(&connector, load, stream, limits, interrupted).await
    })
}

async fn ask_over<C: Connector>(
    connector: &C,
    load: &Load,
    stream: u32,
    limits: Limits,
    interrupted: &watch::Receiver<bool>,
) -> Asked {
    let mut asked = Asked::default();
    let Ok(mut session) = connector.connect(WorkerId(0)).await else {
        return asked;
    };
    let mut draw = Draw::new(load.seed, stream);
    let begun = Instant::now();
    let mut replies = Vec::new();
    for number in 1..=u64::from(limits.transfers) {
        if begun.elapsed() > limits.time || *interrupted.borrow() {
            break;
        }
        let one = transfer(load, 0, number, draw.within(1, LARGEST));
        let sent = Instant::now();
        let submitted = RequestId::new(number).map(|id| session.submit(id, one));
        let answer = match submitted {
            Some(Ok(())) => {
                let waited =
                    tokio::time::timeout(load.answer_timeout, session.replies(&mut replies));
                waited.await
            }
            _ => break,
        };
        let took = sent.elapsed();
        let outcome = match answer {
            Ok(Ok(())) => replies.drain(..).map(|reply| reply.outcome).next(),
            _ => None,
        };
        if outcome == Some(Outcome::Committed) {
            asked.acknowledged.push(took);
            asked.moved += one.amount;
        } else {
            asked.others += 1;
            if !matches!(outcome, Some(Outcome::Rejected(_) | Outcome::Failed(_))) {
                asked.in_doubt += one.amount;
            }
            // Whoever does not answer one request answers no other on this connection.
            if limits.until_refused || outcome.is_none() {
                break;
            }
        }
        if !limits.pause.is_zero() {
            tokio::time::sleep(limits.pause).await;
        }
    }
    session.close().await;
    asked
}
