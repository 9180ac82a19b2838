//! The load of a run that is recorded: money that goes one way between private accounts.
//!
//! The two accounts of a connection lie at the two ends of the ledger, so that they are on
//! different pages and a torn transfer can be seen. Money goes one way only, so that every sum
//! is another and the judgement exact. The clients write nothing down: the trace does.

use std::time::Duration;

use busload_wire::{RequestId, Transfer, TransferId};
use futures_util::future::join_all;
use tokio::sync::watch;

use busload_generator::with_connector;

use crate::connector::{Connector, Endpoint, Outcome, Reply, Session, WorkerId};
use crate::draw::Draw;
use crate::server_command::Wire;

/// Largest amount. Amounts differ, so that a sum that is off is not a prefix of others.
pub(crate) const LARGEST: u64 = 997;
/// Fewest accounts: several pages of the table.
const ACCOUNTS_MIN: u32 = 1_000;

/// What is put on a server while it is recorded.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// How requests travel.
    pub wire: Wire,
    /// Connections, each with two accounts of its own.
    pub connections: u32,
    /// Transfers in flight on each.
    pub window: u32,
    /// Most transfers of all connections together.
    pub transfers: u32,
    /// What amounts are drawn from.
    pub seed: u64,
    /// The upper half of transfer ids, when transfers carry them.
    pub ids: Option<u64>,
    /// A connection on which no answer comes for this long is given up.
    pub answer_timeout: Duration,
}

impl Load {
    /// How many accounts the ledger must have, from 0.
    #[must_use]
    pub fn accounts(&self) -> u32 {
        ACCOUNTS_MIN.max(self.connections.saturating_mul(2))
    }

    /// What each of them must have: no transfer is ever refused for want of money.
    #[must_use]
    pub fn initial_balance(&self) -> u64 {
        u64::from(self.transfers).saturating_mul(LARGEST).max(1)
    }

    /// Transfers that one connection may make.
    fn share(&self) -> u64 {
        u64::from(self.transfers.div_ceil(self.connections.max(1)))
    }
}

/// Puts the load on a server until `enough` is true, or its sender is gone, and waits for what
/// is then in flight. How many transfers were acknowledged.
pub async fn put(load: &Load, target: &Endpoint, enough: &watch::Receiver<bool>) -> u64 {
    let Wire {
        connector,
        encoding,
    } = load.wire;
    with_connector!(connector, encoding, target.clone(), |connector| {
        all(&connector, load, enough).await
    })
}

async fn all<C: Connector>(connector: &C, load: &Load, enough: &watch::Receiver<bool>) -> u64 {
    let workers = (0..load.connections).map(|worker| work(connector, load, worker, enough.clone()));
    join_all(workers).await.into_iter().sum()
}

async fn work<C: Connector>(
    connector: &C,
    load: &Load,
    worker: u32,
    enough: watch::Receiver<bool>,
) -> u64 {
    let Ok(mut session) = connector.connect(WorkerId(worker)).await else {
        return 0;
    };
    let mut draw = Draw::new(load.seed, worker);
    let (mut sent, mut inflight, mut acknowledged) = (0_u64, 0_u32, 0);
    let mut replies = Vec::new();
    let mut open = true;
    while open {
        let over = || *enough.borrow() || enough.has_changed().is_err();
        while inflight < load.window && sent < load.share() && !over() {
            sent += 1;
            let transfer = transfer(load, worker, sent, draw.within(1, LARGEST));
            let submitted = RequestId::new(sent).map(|id| session.submit(id, transfer));
            if !matches!(submitted, Some(Ok(()))) {
                return acknowledged;
            }
            inflight += 1;
        }
        if inflight == 0 {
            break;
        }
        let waited = tokio::time::timeout(load.answer_timeout, session.replies(&mut replies));
        open = matches!(waited.await, Ok(Ok(())));
        for Reply { outcome, .. } in replies.drain(..) {
            inflight = inflight.saturating_sub(1);
            acknowledged += u64::from(outcome == Outcome::Committed);
        }
    }
    acknowledged
}

/// The `number`th transfer of a connection.
pub(crate) fn transfer(load: &Load, worker: u32, number: u64, amount: u64) -> Transfer {
    let low = u128::from(worker) << 44 | u128::from(number);
    Transfer {
        from: i64::from(worker),
        to: i64::from(load.accounts() - 1 - worker),
        amount: amount.cast_signed(),
        transfer_id: load
            .ids
            .map(|run| TransferId::from_u128(u128::from(run) << 64 | low)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::config::{ConnectorKind, Encoding};
    use crate::connector::{MockAnswer, MockConnector};
    use crate::crash_states::expected_ledger::ExpectedLedger;

    const LOAD: Load = Load {
        wire: Wire {
            connector: ConnectorKind::SqliteWsRpc,
            encoding: Encoding::Json,
        },
        connections: 3,
        window: 4,
        transfers: 90,
        seed: 7,
        ids: Some(1),
        answer_timeout: Duration::from_millis(200),
    };

    /// What was asked, when this is how every transfer is answered.
    async fn asked(enough: bool, answer: MockAnswer) -> (u64, Vec<Transfer>) {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&heard);
        let connector = MockConnector::new(Arc::new(move |_, transfer| {
            told.lock().unwrap().push(*transfer);
            answer
        }));
        let (_held, enough) = watch::channel(enough);
        let acknowledged = all(&connector, &LOAD, &enough).await;
        let heard = heard.lock().unwrap().clone();
        (acknowledged, heard)
    }

    fn soon() -> MockAnswer {
        MockAnswer::After(Duration::from_millis(1), Outcome::Committed)
    }

    #[tokio::test]
    async fn it_is_bounded_and_can_be_judged() {
        let (acknowledged, asked) = asked(false, soon()).await;
        assert_eq!((acknowledged, asked.len()), (90, 90));
        let mut ledger = ExpectedLedger::default();
        for transfer in &asked {
            ledger.ask(0, transfer).unwrap();
        }
        assert_eq!(ledger.pair_count(), 3);
        let ids: BTreeSet<_> = asked
            .iter()
            .filter_map(|one| one.transfer_id.map(TransferId::to_u128))
            .collect();
        assert_eq!(ids.len(), 90, "no id is used twice");
        let spent: i64 = asked.iter().map(|one| one.amount).sum();
        assert!(spent.unsigned_abs() <= LOAD.initial_balance());
    }

    #[tokio::test]
    async fn it_ends_when_told_and_when_nobody_answers() {
        assert_eq!(asked(true, soon()).await, (0, Vec::new()));
        let (acknowledged, asked) = asked(false, MockAnswer::Silence).await;
        assert_eq!((acknowledged, asked.len()), (0, 12));
    }
}
