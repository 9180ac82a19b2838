//! The load loop against servers in memory: phases, slots, timeouts and reconnects without a
//! network.
//!
//! Nothing here depends on how fast the machine is, only on what comes before what.

mod common;

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bench_client::connector::{
    ConnectError, Connector, MockAnswer, MockConnector, Outcome, Reply, Session, TransportError,
    WorkerId,
};
use bench_client::load::{Load, LoadError, LoadPlan, Measure};
use bench_client::workload::Zipf;
use busload_wire::{ErrorCode, RequestId, Transfer};
use common::{PATIENCE, load, within};

const MS: Duration = Duration::from_millis(1);

fn plan() -> LoadPlan {
    common::small_load()
}

fn mock(script: impl Fn(u64, &Transfer) -> MockAnswer + Send + Sync + 'static) -> MockConnector {
    MockConnector::new(Arc::new(script))
}

/// Commits everything after this long.
fn commits(after: Duration) -> MockConnector {
    mock(move |_, _| MockAnswer::After(after, Outcome::Committed))
}

#[test]
fn every_transfer_is_counted_once() {
    for threads in [1, 2, 4, 9] {
        let connector = commits(MS);
        let result = load(
            connector.clone(),
            LoadPlan {
                threads,
                warmup: 20 * MS,
                ..plan()
            },
        );
        assert_eq!(
            result.whole_run().total(),
            connector.seen(),
            "none lost, none twice"
        );
        assert_eq!(result.whole_run().committed, connector.seen());
        assert_eq!(result.window_length, 100 * MS);
        assert!(result.window.counts.committed > 0 && result.warmup.counts.committed > 0);
        assert_eq!(
            (result.reconnects, result.gave_up, result.unexpected_answers),
            (0, 0, 0)
        );
    }
}

/// Warm-up answers are slow, those of the window fast: were a histogram shared, it showed.
#[test]
fn warm_up_and_window_never_share_a_histogram() {
    let began = Instant::now();
    let warmup = 200 * MS;
    let connector = mock(move |_, _| {
        let slow = began.elapsed() < warmup / 2;
        MockAnswer::After(if slow { 60 * MS } else { MS }, Outcome::Committed)
    });
    let result = load(
        connector,
        LoadPlan {
            warmup,
            measure: Measure::For(300 * MS),
            ..plan()
        },
    );
    let longest = |histogram: &hdrhistogram::Histogram<u64>| Duration::from_nanos(histogram.max());
    assert!(longest(&result.warmup.latency.ns) >= 59 * MS);
    for tally in [&result.warmup, &result.window, &result.drain] {
        assert_eq!(
            tally.latency.ns.len(),
            tally.counts.committed,
            "each in its own"
        );
    }
    // What began in the warm-up may end in the window, and counts where it arrives; but the
    // slow ones arrived 40 ms before it opened.
    let median = Duration::from_nanos(result.window.latency.ns.value_at_quantile(0.5));
    assert!(median < 59 * MS, "{median:?}");
}

/// Everything takes as long: what is sent in the warm-up is answered in the window, what is
/// sent in the window is answered in the drain.
#[test]
fn an_answer_counts_where_it_arrives() {
    let plan = LoadPlan {
        workers: 2,
        max_inflight: 5,
        warmup: 200 * MS,
        measure: Measure::For(800 * MS),
        ..plan()
    };
    // In flight at the start: ten; answered at 600 ms (window), their successors at 1200.
    let result = load(commits(600 * MS), plan);
    let counts = [&result.warmup, &result.window, &result.drain].map(|t| t.counts.committed);
    assert_eq!(counts, [0, 10, 10]);
    assert_eq!(
        result.submitted, 10,
        "those of the warm-up were not submitted in the window"
    );
}

#[test]
fn what_is_in_flight_at_the_end_is_awaited() {
    let connector = commits(250 * MS);
    let result = load(
        connector.clone(),
        LoadPlan {
            measure: Measure::For(50 * MS),
            ..plan()
        },
    );
    assert_eq!(result.window.counts.total(), 0);
    assert_eq!(
        result.drain.counts.committed, 12,
        "the windows of all workers"
    );
    assert_eq!(connector.seen(), 12);
    assert_eq!(
        result.window_length,
        50 * MS,
        "draining does not lengthen it"
    );
}

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

#[test]
fn outcomes_are_kept_apart() {
    let connector = mock(|number, _| {
        let outcome = match number % 6 {
            0 => Outcome::Rejected(ErrorCode::InsufficientFunds),
            1 => Outcome::Rejected(ErrorCode::AccountMissing),
            2 => Outcome::Failed(Some(ErrorCode::Overloaded)),
            3 => Outcome::Failed(None),
            4 => Outcome::Unknown,
            _ => Outcome::Committed,
        };
        MockAnswer::After(MS, outcome)
    });
    let plan = LoadPlan {
        measure: Measure::Transfers(600),
        workers: 1,
        max_inflight: 6,
        ..plan()
    };
    let result = load(connector, plan);
    let counts = &result.window.counts;
    let named = |pairs: [(&str, u64); 2]| -> BTreeMap<String, u64> {
        pairs.map(|(name, count)| (name.to_owned(), count)).into()
    };
    assert_eq!(
        (counts.committed, counts.unknown, counts.total()),
        (100, 100, 600)
    );
    assert_eq!(
        counts.rejected(),
        named([("insufficient_funds", 100), ("account_missing", 100)])
    );
    assert_eq!(
        counts.failed(),
        named([("overloaded", 100), ("not_sent", 100)])
    );
    assert_eq!(
        result.window.latency.ns.len(),
        100,
        "only what was committed has a latency"
    );
}

/// The client's own books: what was acknowledged, and nothing else.
#[test]
fn only_acknowledged_transfers_move_money() {
    let moved = Arc::new(Mutex::new(BTreeMap::<u32, i64>::new()));
    let books = Arc::clone(&moved);
    let connector = mock(move |number, transfer| {
        if number % 3 > 0 {
            let refused = Outcome::Rejected(ErrorCode::InsufficientFunds);
            return MockAnswer::After(
                MS,
                if number % 3 == 1 {
                    refused
                } else {
                    Outcome::Unknown
                },
            );
        }
        let mut books = books.lock().expect("nobody panicked");
        for (account, delta) in [
            (transfer.from, -transfer.amount),
            (transfer.to, transfer.amount),
        ] {
            *books
                .entry(u32::try_from(account).expect("small"))
                .or_default() += delta;
        }
        MockAnswer::After(MS, Outcome::Committed)
    });
    let zipf = Arc::new(Zipf::new(100, 1.5).expect("a distribution"));
    let plan = LoadPlan {
        threads: 2,
        amount: 7,
        zipf,
        warmup: 20 * MS,
        ..plan()
    };
    let result = load(connector, plan);
    let moved = moved.lock().expect("nobody panicked");
    assert_eq!(
        result.deltas.len(),
        100,
        "all of so few accounts are in the sample"
    );
    for (account, delta) in &result.deltas {
        assert_eq!(
            *delta,
            moved.get(account).copied().unwrap_or(0),
            "account {account}"
        );
    }
}

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

/// Answers whatever is in flight, all at once.
#[derive(Debug, Clone, Default)]
struct Waves;

#[derive(Default)]
struct WaveSession(Vec<RequestId>);

impl Connector for Waves {
    type Session = WaveSession;
    const TRANSPORT: &'static str = "waves";

    async fn connect(&self, _worker: WorkerId) -> Result<WaveSession, ConnectError> {
        Ok(WaveSession::default())
    }
}

impl Session for WaveSession {
    fn submit(&mut self, id: RequestId, _transfer: Transfer) -> Result<(), TransportError> {
        self.0.push(id);
        Ok(())
    }

    fn forget(&mut self, _id: RequestId) {}

    fn late_answers(&self) -> u64 {
        0
    }

    async fn replies(&mut self, out: &mut Vec<Reply>) -> Result<(), TransportError> {
        if self.0.is_empty() {
            return pending().await;
        }
        out.extend(self.0.drain(..).map(|id| Reply {
            id,
            outcome: Outcome::Committed,
        }));
        Ok(())
    }
}

#[test]
fn the_stop_flag_ends_the_run() {
    for warmup in [Duration::ZERO, Duration::from_mins(10)] {
        let connector = commits(MS);
        let plan = LoadPlan {
            warmup,
            measure: Measure::For(Duration::from_mins(10)),
            threads: 2,
            ..plan()
        };
        let result = within(async {
            let load = Load::connect(connector.clone(), plan)
                .await
                .expect("it connects");
            let stopper = load.stopper();
            let progress = load.progress();
            let _ = load.start();
            thread::spawn(move || {
                while progress.committed() < 20 {
                    thread::sleep(MS);
                }
                stopper.store(true, Ordering::Relaxed);
            });
            load.finish().await.expect("it ends")
        });
        assert_eq!(
            result.whole_run().committed,
            connector.seen(),
            "what is in flight is awaited"
        );
        assert!(
            result.window_length < Duration::from_mins(1),
            "as long as it was"
        );
        assert_eq!(result.window_length.is_zero(), !warmup.is_zero());
    }
}

/// A load that is dropped before it starts leaves no thread waiting.
#[test]
fn a_load_that_never_starts_ends() {
    let connector = commits(MS);
    within(async {
        drop(
            Load::connect(connector.clone(), plan())
                .await
                .expect("it connects"),
        );
    });
    assert_eq!(connector.seen(), 0);
}

#[test]
fn collisions_are_exact_with_one_thread() {
    // Two accounts: with several in flight every transfer but the first collides.
    let zipf = Arc::new(Zipf::new(2, 0.0).expect("a distribution"));
    let measure = Measure::Transfers(500);
    let alone = LoadPlan {
        workers: 1,
        max_inflight: 1,
        zipf,
        measure,
        ..plan()
    };
    let result = load(commits(MS), alone.clone());
    assert_eq!(
        (result.submitted, result.collisions),
        (500, 0),
        "alone, nothing collides"
    );
    let result = load(
        Waves,
        LoadPlan {
            max_inflight: 5,
            ..alone
        },
    );
    assert_eq!(
        (result.submitted, result.collisions),
        (500, 400),
        "all but the first of each wave"
    );
}

#[test]
fn the_seed_fixes_the_transfers_of_each_worker() {
    let drawn = |seed: u64, threads: usize| {
        let connector = Recording::default();
        let plan = LoadPlan {
            seed,
            threads,
            workers: 3,
            max_inflight: 1,
            measure: Measure::Transfers(300),
            ..plan()
        };
        load(connector.clone(), plan);
        let drawn = connector.drawn.lock().expect("nobody panicked").clone();
        assert_eq!(drawn.len(), 3);
        drawn
    };
    let first = drawn(5, 1);
    assert_eq!(drawn(5, 1), first);
    assert_eq!(drawn(5, 3), first, "threads do not matter");
    assert_ne!(drawn(6, 1), first);
    let mut streams = first.values();
    assert_ne!(
        streams.next(),
        streams.next(),
        "workers have streams of their own"
    );
}

/// The pairs of accounts that each worker drew.
type Drawn = BTreeMap<u32, Vec<(i64, i64)>>;

/// Notes what each worker submits; answers at once.
#[derive(Clone, Default)]
struct Recording {
    drawn: Arc<Mutex<Drawn>>,
}

struct RecordingSession {
    connector: Recording,
    worker: u32,
    waves: WaveSession,
}

impl Connector for Recording {
    type Session = RecordingSession;
    const TRANSPORT: &'static str = "recording";

    async fn connect(&self, worker: WorkerId) -> Result<RecordingSession, ConnectError> {
        let (connector, waves) = (self.clone(), WaveSession::default());
        Ok(RecordingSession {
            connector,
            worker: worker.0,
            waves,
        })
    }
}

impl Session for RecordingSession {
    fn submit(&mut self, id: RequestId, transfer: Transfer) -> Result<(), TransportError> {
        let mut drawn = self.connector.drawn.lock().expect("nobody panicked");
        drawn
            .entry(self.worker)
            .or_default()
            .push((transfer.from, transfer.to));
        self.waves.submit(id, transfer)
    }

    fn forget(&mut self, _id: RequestId) {}

    fn late_answers(&self) -> u64 {
        0
    }

    async fn replies(&mut self, out: &mut Vec<Reply>) -> Result<(), TransportError> {
        self.waves.replies(out).await
    }
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

/// Answers everything twice.
struct Babbling;

struct BabblingSession(WaveSession);

impl Connector for Babbling {
    type Session = BabblingSession;
    const TRANSPORT: &'static str = "babbling";

    async fn connect(&self, _worker: WorkerId) -> Result<BabblingSession, ConnectError> {
        Ok(BabblingSession(WaveSession::default()))
    }
}

impl Session for BabblingSession {
    fn submit(&mut self, id: RequestId, transfer: Transfer) -> Result<(), TransportError> {
        self.0.submit(id, transfer)
    }

    fn forget(&mut self, _id: RequestId) {}

    fn late_answers(&self) -> u64 {
        0
    }

    async fn replies(&mut self, out: &mut Vec<Reply>) -> Result<(), TransportError> {
        self.0.replies(out).await?;
        out.extend_from_within(..);
        Ok(())
    }
}

/// An answer to a request that is not in flight is a breach, and counted as one.
#[test]
fn answers_to_nothing_are_counted() {
    let result = load(
        Babbling,
        LoadPlan {
            measure: Measure::Transfers(120),
            ..plan()
        },
    );
    assert_eq!(
        result.window.counts.committed, 120,
        "the first answer counts"
    );
    assert_eq!(result.unexpected_answers, 120);
}
