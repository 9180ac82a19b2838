//! A window of so many transfers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bench_client::config::Measure;
use bench_client::connector::{
    ConnectError, Connector, MockAnswer, Outcome, Reply, Session, TransportError, WorkerId,
};
use bench_client::load::LoadPlan;
use busload_wire::{RequestId, Transfer};

use crate::common::{PATIENCE, load};
use crate::waves::WaveSession;
use crate::{MS, commits, mock, plan};

#[test]
fn a_counted_window_has_exactly_as_many() {
    for (transfers, workers, max_inflight, threads) in [
        (1, 1, 1, 1),
        (1, 8, 4, 2),
        (7, 8, 4, 1),
        (1000, 3, 16, 3),
        (1003, 7, 2, 1),
        (50, 1, 64, 1),
    ] {
        for warmup in [Duration::ZERO, 20 * MS] {
            let connector = commits(MS);
            let plan = LoadPlan {
                workers,
                max_inflight,
                threads,
                warmup,
                measure: Measure::Transfers(transfers),
                ..plan()
            };
            let result = load(connector.clone(), plan);
            assert_eq!(result.window.counts.total(), transfers);
            assert_eq!(result.whole_run().total(), connector.seen());
            assert!(result.window_length > Duration::ZERO);
            if warmup.is_zero() {
                assert_eq!(
                    connector.seen(),
                    transfers,
                    "not one more than needed is sent"
                );
            }
        }
    }
}

/// Timeouts, broken sessions and transfers that could not be sent count too, once.
#[test]
fn a_counted_window_counts_what_goes_wrong() {
    let connector = mock(|number, _| match number % 10 {
        3 => MockAnswer::Silence,
        7 => MockAnswer::Disconnect,
        _ => MockAnswer::After(MS, Outcome::Committed),
    });
    let plan = LoadPlan {
        measure: Measure::Transfers(203),
        op_timeout: 30 * MS,
        interval: None,
        workers: 3,
        max_inflight: 2,
        ..plan()
    };
    let result = load(connector.clone(), plan.clone());
    assert_eq!(result.window.counts.total(), 203);
    assert_eq!(connector.seen(), 203);
    assert!(result.reconnects > 0 && result.window.counts.unknown > 0);

    let connector = Clumsy::default();
    let result = load(
        connector.clone(),
        LoadPlan {
            op_timeout: PATIENCE,
            interval: None,
            ..plan
        },
    );
    assert_eq!(result.window.counts.total(), 203);
    let not_sent = result.window.counts.failed().get("not_sent").copied();
    assert_eq!(not_sent, Some(connector.refused.load(Ordering::Relaxed)));
}

/// Every tenth transfer cannot be taken; the session is dead then.
#[derive(Debug, Clone, Default)]
struct Clumsy {
    seen: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
}

struct ClumsySession {
    connector: Clumsy,
    taken: WaveSession,
}

impl Connector for Clumsy {
    type Session = ClumsySession;
    const TRANSPORT: &'static str = "clumsy";

    async fn connect(&self, _worker: WorkerId) -> Result<ClumsySession, ConnectError> {
        Ok(ClumsySession {
            connector: self.clone(),
            taken: WaveSession::default(),
        })
    }
}

impl Session for ClumsySession {
    fn submit(&mut self, id: RequestId, transfer: Transfer) -> Result<(), TransportError> {
        if self.connector.seen.fetch_add(1, Ordering::Relaxed) % 10 == 9 {
            self.connector.refused.fetch_add(1, Ordering::Relaxed);
            return Err(TransportError::Closed);
        }
        self.taken.submit(id, transfer)
    }

    fn forget(&mut self, _id: RequestId) {}

    fn late_answers(&self) -> u64 {
        0
    }

    async fn replies(&mut self, out: &mut Vec<Reply>) -> Result<(), TransportError> {
        self.taken.replies(out).await
    }
}
