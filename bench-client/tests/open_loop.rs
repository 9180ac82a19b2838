//! The open loop against servers in memory: what its latency counts from, and what becomes of
//! a load that the server does not keep up with.
//!
//! The servers here say when they answer, so that what must come out can be calculated.
//! Bounds that a slow machine could break are generous; the others are exact.

mod common;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use bench_client::config::Arrival;
use bench_client::config::{Measure, Pace};
use bench_client::connector::{
    ConnectError, Connector, MockAnswer, MockConnector, Outcome, Reply, Session, TransportError,
    WorkerId,
};
use bench_client::load::{Load, LoadPlan, LoadResult, Offered, Times};
use busload_wire::{RequestId, Transfer};
use common::{load, within};

const MS: Duration = Duration::from_millis(1);

fn plan() -> LoadPlan {
    LoadPlan {
        workers: 1,
        max_inflight: 1,
        measure: Measure::For(500 * MS),
        op_timeout: Duration::from_secs(20),
        ..common::small_load()
    }
}

fn constant(rate: f64, latency_limit: Option<Duration>) -> Pace {
    Pace::Open {
        rate,
        arrival: Arrival::Constant,
        latency_limit,
    }
}

fn mock(script: impl Fn(u64) -> Duration + Send + Sync + 'static) -> MockConnector {
    MockConnector::new(Arc::new(move |number, _| {
        MockAnswer::After(script(number), Outcome::Committed)
    }))
}

fn offered(result: &LoadResult) -> &Offered {
    result.offered.as_deref().expect("an open loop")
}

fn quantile(times: &Times, quantile: f64) -> Duration {
    Duration::from_nanos(times.ns.value_at_quantile(quantile))
}

fn p99(times: &Times) -> Duration {
    quantile(times, 0.99)
}

/// What holds for every open loop whose transfers are all committed: none is lost between
/// what was offered and what is written down, and none takes less than its service.
#[track_caller]
fn adds_up(result: &LoadResult) {
    let offered = offered(result);
    assert_eq!(
        offered.due,
        offered.response.ns.len() + offered.skipped + offered.dropped,
        "offered = committed + skipped + dropped"
    );
    assert_eq!(offered.response.ns.len(), offered.service.ns.len());
    assert!(offered.response.sum_ns >= offered.service.sum_ns);
    for at in [0.0, 0.01, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1.0] {
        let (response, service) = (
            quantile(&offered.response, at),
            quantile(&offered.service, at),
        );
        assert!(response >= service, "{response:?} < {service:?} at {at}");
    }
    assert!(offered.late <= offered.response.ns.len());
    assert!(offered.schedule_lag.ns.len() <= offered.due);
}

/// A server that answers after a millisecond and stands still for `stall` in every `period`,
/// first at its middle.
fn stalling(stall: Duration, period: Duration) -> MockConnector {
    let began = OnceLock::new();
    mock(move |_| {
        let since = began.get_or_init(Instant::now).elapsed();
        let periods = since.div_duration_f64(period);
        let into = period.mul_f64(periods.fract()).checked_sub(period / 2);
        into.and_then(|into| stall.checked_sub(into)).unwrap_or(MS)
    })
}

/// Coordinated omission. `rate` transfers per second come at their own time; a share
/// `stall / period` of them comes while the server stands still, and waits for what is left
/// of the stall: uniformly distributed from nothing to all of it. So the slowest hundredth of
/// all waits for at least `stall - period / 100`. The few transfers in flight are all that
/// knows of the stall in a closed loop, and all that has a long service time in an open one.
#[track_caller]
fn shows_the_stall(stall: Duration, period: Duration, periods: u32) {
    let plan = LoadPlan {
        max_inflight: 4,
        measure: Measure::For(period * periods),
        ..plan()
    };
    let open = LoadPlan {
        pace: constant(500.0, None),
        ..plan.clone()
    };
    let open = thread::spawn(move || load(stalling(stall, period), open));
    let closed = load(stalling(stall, period), plan);
    let open = open.join().expect("it ends");
    adds_up(&open);
    let offered = offered(&open);
    let least = stall.saturating_sub(period / 100);
    // A hundredth less: the stall begins a moment before the first transfer after it is due.
    let least = least.mul_f64(0.99);
    let response = p99(&offered.response);
    assert!(response >= least, "{response:?}, calculated {least:?}");
    // Not the stall alone but what waited behind it: a share of the transfers, not a few.
    let share = stall.as_secs_f64() / period.as_secs_f64();
    let waited = quantile(&offered.response, 1.0 - share / 2.0);
    assert!(waited >= stall * 2 / 5, "{waited:?} at half of the stall");
    let hidden = [&offered.service, &closed.window.latency];
    for times in hidden {
        assert!(p99(times) < stall / 2, "{:?}", p99(times));
        let longest = quantile(times, 1.0);
        assert!(longest >= least, "there was a stall: {longest:?}");
    }
    assert!(closed.offered.is_none());
}

#[test]
fn an_open_loop_shows_a_stall_and_a_closed_one_does_not() {
    shows_the_stall(300 * MS, 1500 * MS, 2);
}

#[test]
fn a_second_of_stall_in_ten_shows() {
    shows_the_stall(Duration::from_secs(1), Duration::from_secs(10), 1);
}

/// Each transfer takes 100 ms, one at a time; they are due every 10 ms.
#[test]
fn latency_counts_from_the_intended_start() {
    let connector = mock(|_| 100 * MS);
    let result = load(
        connector.clone(),
        LoadPlan {
            pace: constant(100.0, None),
            ..plan()
        },
    );
    adds_up(&result);
    let offered = offered(&result);
    let sent = connector.seen();
    assert!((2..=5).contains(&sent), "{sent}");
    assert_eq!(offered.due, 50);
    assert_eq!(offered.response.ns.len(), sent, "also the one in the drain");
    assert_eq!(offered.dropped, 50 - sent, "no room for the others");
    assert_eq!(offered.skipped, 0);
    // The k-th is due at 10 k and answered at 100 (k + 1) or later.
    let response: u64 = (0..sent).map(|k| 100 + 90 * k).sum();
    let service = 100 * sent;
    let sum = |times: &Times| Duration::from_nanos(u64::try_from(times.sum_ns).expect("small"));
    assert!(sum(&offered.response) >= u32::try_from(response).expect("small") * MS);
    assert!(sum(&offered.service) >= u32::try_from(service).expect("small") * MS);
    assert!(
        sum(&offered.response).saturating_sub(sum(&offered.service))
            >= u32::try_from(response - service).expect("small") * MS / 2,
        "service time does not count from the intended start"
    );
    // The window's own latency is of what was answered in it, from the intended start too.
    assert!(quantile(&result.window.latency, 1.0) >= 180 * MS);
    assert_eq!(
        offered.schedule_lag.ns.len(),
        1,
        "all but the first waited for a slot: that is no lag of the generator"
    );
    let window = &result.window;
    let service = window.service_sum_ns / u128::from(window.counts.committed);
    assert!(service >= 99_000_000, "{service}");
    assert!(window.latency.sum_ns > window.service_sum_ns, "some waited");
}

/// Nothing is answered before the window is over: what fits is sent, the rest is dropped.
#[test]
fn what_finds_no_room_is_dropped() {
    for (threads, warmup) in [(1, 0), (2, 0), (1, 200)] {
        let connector = mock(|_| 900 * MS);
        let plan = LoadPlan {
            workers: 2,
            max_inflight: 3,
            threads,
            pace: constant(1000.0, None),
            warmup: warmup * MS,
            measure: Measure::For(300 * MS),
            ..plan()
        };
        let result = load(connector.clone(), plan);
        adds_up(&result);
        let offered = offered(&result);
        assert_eq!(connector.seen(), 6);
        assert_eq!((offered.skipped, offered.late), (0, 0), "without a limit");
        assert_eq!(result.window.counts.total(), 0);
        if warmup > 0 {
            // Those six were the warm-up's.
            assert_eq!((offered.due, offered.dropped), (300, 300));
            continue;
        }
        assert_eq!((offered.due, offered.dropped), (300, 294));
        assert_eq!(offered.schedule_lag.ns.len(), 6);
        assert_eq!(
            offered.response.ns.len(),
            6,
            "due in the window and answered in the drain"
        );
        assert!(quantile(&offered.response, 0.0) >= 890 * MS);
    }
}

/// The first answer takes 200 ms, the others none. Transfers are due every 10 ms, and worth
/// nothing 55 ms later.
#[test]
fn what_is_over_the_limit_before_it_is_sent_is_skipped() {
    // A busy machine skips more. It is not busy ten times in a row.
    let as_calculated = (0..10).any(|_| {
        let connector = mock(|number| {
            if number == 0 {
                200 * MS
            } else {
                Duration::ZERO
            }
        });
        let result = load(
            connector.clone(),
            LoadPlan {
                pace: constant(100.0, Some(55 * MS)),
                measure: Measure::For(400 * MS),
                ..plan()
            },
        );
        adds_up(&result);
        let offered = offered(&result);
        assert_eq!(offered.due, 40);
        assert_eq!(connector.seen(), 40 - offered.skipped - offered.dropped);
        assert!(offered.late >= 1, "the first one");
        assert!(offered.skipped >= 14, "due at 10, 20 … 140");
        let found = (offered.skipped, offered.late, offered.dropped);
        found == (14, 1, 0)
    });
    assert!(as_calculated);
}

#[test]
fn what_is_answered_over_the_limit_is_late() {
    let run = |limit| {
        let connector = mock(|_| 30 * MS);
        let plan = LoadPlan {
            max_inflight: 64,
            pace: constant(200.0, Some(limit)),
            ..plan()
        };
        let result = load(connector.clone(), plan);
        adds_up(&result);
        let offered = offered(&result).clone();
        assert_eq!(offered.due, 100);
        assert_eq!(connector.seen(), 100 - offered.dropped - offered.skipped);
        (connector.seen(), offered)
    };
    let (sent, offered) = run(29 * MS);
    assert!(sent >= 50, "{sent}");
    assert_eq!(offered.late, sent, "every one that was sent");
    let (_, offered) = run(Duration::from_secs(15));
    assert_eq!((offered.late, offered.skipped), (0, 0));
}

/// What was due before the window opened belongs to the warm-up, whenever it is answered.
#[test]
fn the_window_is_one_of_intended_starts() {
    let connector = mock(|_| 150 * MS);
    let result = load(
        connector.clone(),
        LoadPlan {
            max_inflight: 256,
            pace: constant(200.0, None),
            warmup: 300 * MS,
            ..plan()
        },
    );
    adds_up(&result);
    let offered = offered(&result);
    assert_eq!(offered.due, 100, "of the 160 that were due in all");
    assert_eq!(connector.seen(), 160 - offered.dropped);
    assert!(result.warmup.counts.committed > 0, "answered before it");
    assert!(
        result.drain.counts.committed > 0,
        "answered after it, and in the response times"
    );
    let answered_inside = result.window.counts.committed;
    assert!(answered_inside > 0 && answered_inside <= 130);
}

/// Twenty milliseconds each, one at a time: no more than 50 per second.
#[test]
fn an_overloaded_server_achieves_less_than_is_offered() {
    let connector = mock(|_| 20 * MS);
    let result = load(
        connector.clone(),
        LoadPlan {
            pace: constant(400.0, None),
            measure: Measure::For(Duration::from_secs(1)),
            ..plan()
        },
    );
    adds_up(&result);
    let offered = offered(&result);
    assert_eq!(offered.due, 400);
    let achieved = offered.response.ns.len();
    assert!((5..=51).contains(&achieved), "{achieved}");
    assert_eq!(offered.dropped, 400 - achieved);
    // It falls behind by the whole window: the last one sent was due long before.
    assert!(quantile(&offered.response, 1.0) >= 800 * MS);
    assert_eq!(offered.schedule_lag.ns.len(), 1);
}

/// A counted window is as long as it takes; what was due meanwhile was offered.
#[test]
fn an_overloaded_counted_window_drops_too() {
    let result = load(
        mock(|_| 20 * MS),
        LoadPlan {
            workers: 2,
            pace: constant(400.0, None),
            measure: Measure::Transfers(30),
            ..plan()
        },
    );
    adds_up(&result);
    let offered = offered(&result);
    assert_eq!(result.window.counts.committed, 30);
    assert_eq!(offered.response.ns.len(), 30);
    let due = f64::from(u32::try_from(offered.due).expect("small"));
    let expected = 400.0 * result.window_length.as_secs_f64();
    // The second worker may end an answer earlier than the first.
    assert!(due <= expected + 1.0, "{due} of {expected}");
    assert!(due >= expected * 0.8, "{due} of {expected}");
}

/// Windows that fill up, limits that pass, several threads, both kinds of arrivals: whatever
/// happens, nothing that was offered is lost or counted twice.
#[test]
fn the_offered_load_is_conserved() {
    let (rate, window) = (2_000.0, 400 * MS);
    let cases = [Arrival::Constant, Arrival::Poisson]
        .into_iter()
        .flat_map(|arrival| [1, 3].map(|threads| (arrival, threads)))
        .flat_map(|(arrival, threads)| {
            [None, Some(15 * MS)].map(|limit| (arrival, threads, limit))
        });
    for (arrival, threads, latency_limit) in cases {
        for (workers, max_inflight, warmup) in [(1, 2, 0), (7, 3, 0), (5, 2, 100), (4, 512, 50)] {
            // Now and then everybody waits.
            let connector = mock(|number| if number % 50 < 3 { 40 * MS } else { MS });
            let plan = LoadPlan {
                workers,
                max_inflight,
                threads,
                warmup: warmup * MS,
                measure: Measure::For(window),
                pace: Pace::Open {
                    rate,
                    arrival,
                    latency_limit,
                },
                ..plan()
            };
            let result = load(connector.clone(), plan);
            adds_up(&result);
            assert_eq!(result.whole_run().committed, connector.seen());
            let offered = offered(&result);
            match arrival {
                Arrival::Constant => assert_eq!(offered.due, 800),
                // Five standard deviations of a Poisson count.
                Arrival::Poisson => assert!(offered.due.abs_diff(800) < 5 * 29, "{}", offered.due),
            }
            if warmup == 0 {
                let kept = offered.due - offered.skipped - offered.dropped;
                assert_eq!(
                    connector.seen(),
                    kept,
                    "what is not sent is not counted as sent"
                );
            }
            if latency_limit.is_none() {
                assert_eq!((offered.late, offered.skipped), (0, 0));
            }
        }
    }
}

/// Rates that do not divide: the arrivals of all workers are still one sequence.
#[test]
fn constant_arrivals_are_exact_for_any_number_of_workers() {
    for (rate, workers, threads) in [(1_000.0, 13, 3), (333.0, 50, 2), (77.7, 100, 4)] {
        let result = load(
            mock(|_| Duration::ZERO),
            LoadPlan {
                workers,
                max_inflight: 16,
                threads,
                pace: constant(rate, None),
                ..plan()
            },
        );
        adds_up(&result);
        let expected = (rate * 0.5_f64).ceil();
        let due = f64::from(u32::try_from(offered(&result).due).expect("small"));
        assert!((due - expected).abs() < 0.5, "{due} of {expected}");
    }
}

/// Between the stop and the planned end nothing is offered any more.
#[test]
fn a_stopped_open_loop_offers_nothing_after_the_stop() {
    for threads in [1, 2] {
        let connector = mock(|_| 5 * MS);
        let plan = LoadPlan {
            workers: 2,
            max_inflight: 1,
            threads,
            pace: constant(1_000.0, None),
            measure: Measure::For(Duration::from_mins(10)),
            ..plan()
        };
        let result = within(async {
            let load = Load::connect(connector.clone(), plan)
                .await
                .expect("it connects");
            let (stopper, progress) = (load.stopper(), load.progress());
            let _ = load.start();
            thread::spawn(move || {
                while progress.committed() < 40 {
                    thread::sleep(MS);
                }
                stopper.store(true, Ordering::Relaxed);
            });
            load.finish().await.expect("it ends")
        });
        adds_up(&result);
        let offered = offered(&result);
        assert!(offered.dropped > 0, "it was overloaded");
        let length = result.window_length.as_secs_f64();
        let due = f64::from(u32::try_from(offered.due).expect("small"));
        // Each thread notices within a tick of 50 ms at the latest.
        assert!(
            (due - 1_000.0 * length).abs() <= 60.0,
            "{due} in {length} s"
        );
    }
}

/// Breaks its first session at once, and takes its time with the next.
#[derive(Clone, Default)]
struct SlowToReturn {
    sessions: Arc<AtomicU64>,
}

struct Fragile {
    breaks: bool,
    taken: Vec<RequestId>,
}

const AWAY: Duration = Duration::from_millis(300);

impl Connector for SlowToReturn {
    type Session = Fragile;
    const TRANSPORT: &'static str = "fragile";

    async fn connect(&self, _: WorkerId) -> Result<Fragile, ConnectError> {
        let number = self.sessions.fetch_add(1, Ordering::Relaxed);
        if number > 0 {
            tokio::time::sleep(AWAY).await;
        }
        Ok(Fragile {
            breaks: number == 0,
            taken: Vec::new(),
        })
    }
}

impl Session for Fragile {
    fn submit(&mut self, id: RequestId, _: Transfer) -> Result<(), TransportError> {
        self.taken.push(id);
        Ok(())
    }

    fn forget(&mut self, _: RequestId) {}

    fn late_answers(&self) -> u64 {
        0
    }

    async fn replies(&mut self, out: &mut Vec<Reply>) -> Result<(), TransportError> {
        if self.taken.is_empty() {
            return std::future::pending().await;
        }
        if self.breaks {
            return Err(TransportError::Closed);
        }
        out.extend(self.taken.drain(..).map(|id| Reply {
            id,
            outcome: Outcome::Committed,
        }));
        Ok(())
    }
}

/// Without a session there is no room: the server's absence is response time, not lag of the
/// generator.
#[test]
fn a_broken_session_is_no_lag_of_the_generator() {
    let result = load(
        SlowToReturn::default(),
        LoadPlan {
            max_inflight: 1024,
            pace: constant(500.0, None),
            measure: Measure::For(Duration::from_secs(1)),
            ..plan()
        },
    );
    let unknown = result.whole_run().unknown;
    assert_eq!(result.reconnects, 1);
    assert!(unknown >= 1, "what was in flight when it broke");
    let offered = offered(&result);
    assert_eq!(
        offered.due,
        offered.response.ns.len() + unknown + offered.dropped
    );
    assert!(quantile(&offered.response, 1.0) + 10 * MS >= AWAY);
    let waited = 140;
    assert!(
        offered.schedule_lag.ns.len() <= offered.due - waited,
        "{} of {} had room",
        offered.schedule_lag.ns.len(),
        offered.due
    );
}
