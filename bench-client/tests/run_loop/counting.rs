//! Each transfer is counted once, with its outcome, where its answer arrives.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bench_client::config::Measure;
use bench_client::connector::{
    ConnectError, Connector, MockAnswer, Outcome, Reason, Reply, Session, TransportError, WorkerId,
};
use bench_client::load::LoadPlan;
use bench_client::workload::Zipf;
use busload_wire::{RequestId, Transfer};

use crate::common::load;
use crate::waves::WaveSession;
use crate::{MS, commits, mock, plan};

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
fn outcomes_are_kept_apart() {
    let connector = mock(|number, _| {
        let outcome = match number % 6 {
            0 => Outcome::Rejected(Reason::InsufficientFunds),
            1 => Outcome::Rejected(Reason::AccountMissing),
            2 => Outcome::Failed(Some(Reason::Overloaded)),
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
            let refused = Outcome::Rejected(Reason::InsufficientFunds);
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
    for account in 0..100 {
        let count = result.accounts.acknowledged(account);
        let net =
            i64::try_from(count.credits).expect("few") - i64::try_from(count.debits).expect("few");
        assert_eq!(
            net * 7,
            moved.get(&account).copied().unwrap_or(0),
            "account {account}"
        );
    }
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
