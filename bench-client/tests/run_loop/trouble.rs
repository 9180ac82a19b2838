//! Servers that are silent, late, broken or gone.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bench_client::config::Measure;
use bench_client::connector::{
    ConnectError, Connector, MockAnswer, MockConnector, Outcome, Reply, Session, TransportError,
    WorkerId,
};
use bench_client::load::{Load, LoadError, LoadPlan};
use busload_wire::{RequestId, Transfer};

use crate::common::{load, within};
use crate::{MS, commits, mock, plan};

#[test]
fn a_timeout_is_an_unknown_outcome_and_a_free_slot() {
    let connector = mock(|number, _| match number % 2 {
        0 => MockAnswer::Silence,
        _ => MockAnswer::After(MS, Outcome::Committed),
    });
    let plan = LoadPlan {
        op_timeout: 120 * MS,
        interval: None,
        measure: Measure::For(700 * MS),
        ..plan()
    };
    let slots = u64::from(plan.workers) * plan.max_inflight as u64;
    let result = load(connector.clone(), plan);
    let whole = result.whole_run();
    assert_eq!(whole.total(), connector.seen());
    assert_eq!(whole.unknown, connector.seen().div_ceil(2));
    assert!(
        whole.unknown > slots,
        "slots were used again after their timeout"
    );
    assert_eq!(
        (
            result.late_answers,
            result.unexpected_answers,
            result.reconnects
        ),
        (0, 0, 0)
    );
    assert_eq!(
        result.window.latency.ns.len(),
        result.window.counts.committed
    );
}

#[test]
fn an_answer_after_its_timeout_is_late_and_nothing_else() {
    let connector = mock(|number, _| {
        MockAnswer::After(if number < 6 { 500 * MS } else { MS }, Outcome::Committed)
    });
    let plan = LoadPlan {
        op_timeout: 150 * MS,
        interval: None,
        measure: Measure::For(900 * MS),
        ..plan()
    };
    let result = load(connector.clone(), plan);
    assert_eq!(result.whole_run().unknown, 6, "known too late is unknown");
    assert_eq!(result.whole_run().committed, connector.seen() - 6);
    assert_eq!((result.late_answers, result.unexpected_answers), (6, 0));
}

#[test]
fn a_broken_session_loses_what_was_in_flight_and_is_opened_again() {
    let connector = mock(|number, _| match number {
        // The first window is full and unanswered when the session breaks.
        0..=2 => MockAnswer::Silence,
        3 => MockAnswer::Disconnect,
        _ => MockAnswer::After(MS, Outcome::Committed),
    });
    let plan = LoadPlan {
        workers: 1,
        max_inflight: 4,
        ..plan()
    };
    let result = load(connector.clone(), plan);
    let whole = result.whole_run();
    assert_eq!((whole.unknown, result.reconnects), (4, 1));
    assert_eq!(whole.committed, connector.seen() - 4);
    assert_eq!(result.gave_up, 0);
    assert_eq!(result.errors, ["the server closed the connection"]);
}

/// A server that can be switched off: sessions break and no new one opens, by a refusal or
/// by silence.
#[derive(Clone)]
struct Mortal {
    inner: MockConnector,
    dead: Arc<AtomicBool>,
    hangs: bool,
}

struct MortalSession {
    inner: <MockConnector as Connector>::Session,
    dead: Arc<AtomicBool>,
}

impl Connector for Mortal {
    type Session = MortalSession;
    const TRANSPORT: &'static str = "mortal";

    async fn connect(&self, worker: WorkerId) -> Result<MortalSession, ConnectError> {
        if self.dead.load(Ordering::Relaxed) {
            if self.hangs {
                return pending().await;
            }
            let source = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
            return Err(ConnectError::Io {
                url: "mortal".to_owned(),
                source,
            });
        }
        Ok(MortalSession {
            inner: self.inner.connect(worker).await?,
            dead: Arc::clone(&self.dead),
        })
    }
}

impl Session for MortalSession {
    fn submit(&mut self, id: RequestId, transfer: Transfer) -> Result<(), TransportError> {
        self.inner.submit(id, transfer)
    }

    fn forget(&mut self, id: RequestId) {
        self.inner.forget(id);
    }

    fn late_answers(&self) -> u64 {
        self.inner.late_answers()
    }

    async fn replies(&mut self, out: &mut Vec<Reply>) -> Result<(), TransportError> {
        if self.dead.load(Ordering::Relaxed) {
            return Err(TransportError::Closed);
        }
        self.inner.replies(out).await
    }
}

#[test]
fn a_dead_server_is_given_up() {
    for hangs in [false, true] {
        let dead = Arc::new(AtomicBool::new(false));
        let dies = Arc::clone(&dead);
        let inner = mock(move |number, _| {
            dies.fetch_or(number >= 50, Ordering::Relaxed);
            MockAnswer::After(MS, Outcome::Committed)
        });
        let connector = Mortal {
            inner: inner.clone(),
            dead,
            hangs,
        };
        // Neither the window nor the count would ever end by itself.
        let measure = [
            Measure::For(Duration::from_mins(10)),
            Measure::Transfers(1_000_000),
        ];
        let plan = LoadPlan {
            measure: measure[usize::from(hangs)],
            ..plan()
        };
        let result = load(connector, plan);
        assert_eq!(result.gave_up, 4, "every worker");
        assert_eq!(result.reconnects, 0);
        assert!(!result.errors.is_empty());
        let whole = result.whole_run();
        assert_eq!(whole.total(), inner.seen());
        assert!(
            whole.unknown > 0 && whole.unknown <= 12,
            "what was in flight, and no more"
        );
    }
}

#[test]
fn a_server_that_cannot_be_reached_is_an_error() {
    let dead = |hangs| Mortal {
        inner: commits(MS),
        dead: Arc::new(AtomicBool::new(true)),
        hangs,
    };
    let refused = within(Load::connect(dead(false), plan())).err();
    assert!(
        matches!(refused, Some(LoadError::Connect(_))),
        "{refused:?}"
    );
    let silent = within(Load::connect(dead(true), plan())).err();
    assert!(
        matches!(silent, Some(LoadError::ConnectTimeout { .. })),
        "{silent:?}"
    );
}
