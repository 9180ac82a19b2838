//! The time series of the load loop: its intervals are the window, cut into pieces. Nothing is
//! lost, nothing counted twice, and no piece is longer or shorter than it was.

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use bench_client::config::Arrival;
use bench_client::config::{Measure, Pace};
use bench_client::connector::{MockAnswer, MockConnector, Outcome};
use bench_client::load::{Load, LoadPlan, LoadResult, Tally, ThreadInterval};
use common::within;

const MS: Duration = Duration::from_millis(1);
const INTERVAL: Duration = Duration::from_millis(100);

fn plan() -> LoadPlan {
    LoadPlan {
        warmup: 50 * MS,
        measure: Measure::For(350 * MS),
        interval: Some(INTERVAL),
        ..common::small_load()
    }
}

fn mock(script: impl Fn(u64) -> MockAnswer + Send + Sync + 'static) -> MockConnector {
    MockConnector::new(Arc::new(move |number, _| script(number)))
}

fn commits(after: Duration) -> MockConnector {
    mock(move |_| MockAnswer::After(after, Outcome::Committed))
}

/// Runs a load to its end, or until so many were committed, and keeps what the client threads
/// told on the way.
fn series(
    connector: MockConnector,
    plan: LoadPlan,
    stop_after: Option<u64>,
) -> (LoadResult, Vec<ThreadInterval>) {
    within(async {
        let mut load = Load::connect(connector, plan).await.expect("it connects");
        let mut messages = load.intervals().expect("asked for once");
        assert!(load.intervals().is_none());
        let (stopper, progress) = (load.stopper(), load.progress());
        let _ = load.start();
        if let Some(count) = stop_after {
            thread::spawn(move || {
                while progress.committed() < count {
                    thread::sleep(MS);
                }
                stopper.store(true, Ordering::Relaxed);
            });
        }
        let result = load.finish().await.expect("it ends");
        let mut all = Vec::new();
        while let Ok(message) = messages.try_recv() {
            all.push(message);
        }
        (result, all)
    })
}

/// All intervals together are the window.
#[track_caller]
fn make_up_the_window(result: &LoadResult, intervals: &[ThreadInterval]) {
    let window = &result.window;
    let mut sum: Option<Tally> = None;
    for interval in intervals {
        match &mut sum {
            Some(sum) => sum.merge(&interval.tally),
            None => sum = Some(interval.tally.clone()),
        }
    }
    let sum = sum.expect("there are intervals");
    assert_eq!(sum.counts.committed, window.counts.committed);
    assert_eq!(sum.counts.total(), window.counts.total());
    assert_eq!(sum.counts.rejected(), window.counts.rejected());
    assert_eq!(sum.latency.ns, window.latency.ns, "value by value");
    assert_eq!(sum.latency.sum_ns, window.latency.sum_ns);
    assert_eq!(sum.service_sum_ns, window.service_sum_ns);
    let inflight: u128 = intervals.iter().map(|interval| interval.inflight_ns).sum();
    let of_the_window = result.mean_inflight * result.window_length.as_secs_f64() * 1e9;
    #[expect(clippy::cast_precision_loss, reason = "a comparison up to rounding")]
    let inflight = inflight as f64;
    assert!(
        (inflight - of_the_window).abs() <= 1e-6 * of_the_window.max(1.0),
        "{inflight} {of_the_window}"
    );
}

/// Messages per interval, and the end of each.
fn by_number(intervals: &[ThreadInterval]) -> BTreeMap<u32, (usize, Duration)> {
    let mut all = BTreeMap::new();
    for interval in intervals {
        let (messages, end) = all.entry(interval.number).or_insert((0, Duration::ZERO));
        *messages += 1;
        *end = interval.end.max(*end);
    }
    all
}

/// By how many nanoseconds the loop's own counting misses Little's law: transfers in flight over
/// time are the service times of those transfers, but for what crosses an end of the window.
fn beside_littles_law(result: &LoadResult) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds far below 2^52")]
    let served = result.window.all_service_sum_ns as f64;
    let inflight = result.mean_inflight * result.window_length.as_secs_f64() * 1e9;
    (served - inflight).abs()
}

#[test]
fn a_window_of_any_length_is_the_sum_of_its_intervals() {
    for threads in [1, 3] {
        for length in [300, 350, 401, 70] {
            let plan = LoadPlan {
                threads,
                measure: Measure::For(length * MS),
                ..plan()
            };
            // Twelve in flight, of some milliseconds each, cross an end. Should the machine stand
            // still at one, they are longer; a wrong count is wrong every time.
            let near = (0..5).any(|_| {
                let (result, intervals) = series(commits(MS), plan.clone(), None);
                make_up_the_window(&result, &intervals);
                let numbers = by_number(&intervals);
                assert_eq!(numbers.len(), length.div_ceil(100) as usize);
                for (number, (messages, end)) in numbers {
                    assert_eq!(messages, threads, "one of each thread");
                    assert_eq!(end, (INTERVAL * (number + 1)).min(length * MS));
                }
                beside_littles_law(&result) <= 12.0 * 50e6
            });
            assert!(near, "{threads} threads, {length} ms");
        }
    }
}

#[test]
fn an_open_loop_has_the_same_intervals() {
    let plan = LoadPlan {
        threads: 2,
        max_inflight: 16,
        pace: Pace::Open {
            rate: 1_000.0,
            arrival: Arrival::Poisson,
            latency_limit: Some(20 * MS),
        },
        ..plan()
    };
    let (result, intervals) = series(commits(3 * MS), plan, None);
    make_up_the_window(&result, &intervals);
    assert_eq!(by_number(&intervals).len(), 4);
}

#[test]
fn ticks_are_the_committed_transfers_of_each_tenth_of_a_second() {
    for threads in [1, 3] {
        for (length, whole) in [(400, 4), (450, 4), (90, 0)] {
            let plan = LoadPlan {
                threads,
                interval: None,
                measure: Measure::For(length * MS),
                ..plan()
            };
            let (result, intervals) = series(commits(MS), plan, None);
            assert_eq!(intervals.len(), 0, "none asked for, none told");
            let ticks = &result.ticks;
            assert_eq!((ticks.length, ticks.committed.len()), (100 * MS, whole));
            let sum: u64 = ticks.committed.iter().sum();
            let committed = result.window.counts.committed;
            if length == 400 {
                assert_eq!(sum, committed);
            } else {
                assert!(sum <= committed);
            }
            assert!(ticks.committed.iter().all(|count| *count > 0));
        }
    }
}

/// Nothing is answered from 100 ms to 700 ms after the first transfer: an interval from 400 ms
/// to 600 ms lies in the stall, even should the machine have been 250 ms late with the first.
#[test]
fn a_stall_over_an_end_leaves_an_interval_without_answers() {
    let interval = 200 * MS;
    for threads in [1, 3] {
        let began = OnceLock::new();
        let connector = mock(move |_| {
            let since = began.get_or_init(Instant::now).elapsed();
            let left = match (700 * MS).checked_sub(since) {
                Some(left) if since >= 100 * MS => left,
                _ => MS,
            };
            MockAnswer::After(left, Outcome::Committed)
        });
        let plan = LoadPlan {
            threads,
            warmup: Duration::ZERO,
            interval: Some(interval),
            measure: Measure::For(1_050 * MS),
            ..plan()
        };
        let (result, intervals) = series(connector, plan, None);
        make_up_the_window(&result, &intervals);
        let mut committed = BTreeMap::<u32, u64>::new();
        for interval in &intervals {
            *committed.entry(interval.number).or_default() += interval.tally.counts.committed;
        }
        let committed: Vec<u64> = committed.into_values().collect();
        assert_eq!(committed.len(), 6);
        assert_eq!(committed[2], 0, "{committed:?}");
        assert!(committed[0] > 0 && committed[4] > 0, "{committed:?}");
        // In the stall all twelve are in flight, over the whole interval.
        let stalled: u128 = intervals
            .iter()
            .filter(|interval| interval.number == 2)
            .map(|interval| interval.inflight_ns)
            .sum();
        assert_eq!(stalled, 12 * interval.as_nanos());
        for (number, (messages, end)) in by_number(&intervals) {
            assert_eq!(messages, threads);
            assert_eq!(end, (interval * (number + 1)).min(1_050 * MS));
        }
    }
}

/// Ends of intervals, which must not go back, and stay inside the window.
#[track_caller]
fn ends_inside(result: &LoadResult, intervals: &[ThreadInterval], slack: Duration) {
    let mut last = Duration::ZERO;
    for (number, (_, end)) in by_number(intervals) {
        assert!(end >= last, "interval {number} ends before it begins");
        assert!(
            end <= result.window_length + slack,
            "interval {number} ends at {end:?}, the window at {:?}",
            result.window_length
        );
        last = end;
    }
}

#[test]
fn a_counted_window_is_the_sum_of_its_intervals() {
    for (threads, workers, transfers) in [(1, 4, 500), (3, 4, 500), (3, 7, 1003), (2, 4, 2)] {
        let plan = LoadPlan {
            threads,
            workers,
            measure: Measure::Transfers(transfers),
            ..plan()
        };
        let (result, intervals) = series(commits(2 * MS), plan, None);
        assert_eq!(result.window.counts.committed, transfers);
        make_up_the_window(&result, &intervals);
        ends_inside(&result, &intervals, Duration::ZERO);
    }
}

/// The window of a counted run ends with the last one that counts. What was sent besides, to
/// keep the server as busy until then, takes its time: that is no part of it.
#[test]
fn what_comes_after_the_counted_transfers_is_outside_of_the_window() {
    // Of each worker's first eight, two are fast and so are all that follow them. Fast is slow
    // enough for both workers to have sent their eight before the first answer.
    let connector = mock(|number| {
        let slow = number < 16 && number % 8 >= 2;
        MockAnswer::After(if slow { 700 * MS } else { 100 * MS }, Outcome::Committed)
    });
    let plan = LoadPlan {
        workers: 2,
        max_inflight: 8,
        measure: Measure::Transfers(4),
        ..plan()
    };
    let (result, intervals) = series(connector, plan, None);
    assert_eq!(result.window.counts.committed, 4);
    assert_eq!(result.drain.counts.committed, 12, "those in flight besides");
    assert!(
        result.window_length < 500 * MS,
        "the window ended with the fourth answer, not after {:?}",
        result.window_length
    );
    assert!(result.mean_inflight <= 16.0, "{}", result.mean_inflight);
    let committed: u64 = intervals
        .iter()
        .map(|interval| interval.tally.counts.committed)
        .sum();
    assert_eq!(committed, 4);
}

/// Stopped while the server stands still: the window ends with the stop, and so do its
/// intervals, ticks and what is in flight, however long the answers take.
#[test]
fn a_stopped_window_is_the_sum_of_its_intervals() {
    for threads in [1, 3] {
        let connector = mock(move |number| {
            let slow = number >= 60;
            MockAnswer::After(if slow { 600 * MS } else { MS }, Outcome::Committed)
        });
        let plan = LoadPlan {
            threads,
            warmup: Duration::ZERO,
            measure: Measure::For(Duration::from_mins(10)),
            ..plan()
        };
        let (result, intervals) = series(connector, plan, Some(60));
        assert!(result.drain.counts.committed > 0, "some were in flight");
        assert!(result.window_length < 500 * MS);
        // A thread notices the stop within a tick of its own.
        ends_inside(&result, &intervals, 60 * MS);
        let committed: u64 = intervals
            .iter()
            .map(|interval| interval.tally.counts.committed)
            .sum();
        assert_eq!(committed, result.window.counts.committed);
        assert!(
            result.ticks.committed.len() <= 5,
            "no ticks after the stop: {:?}",
            result.ticks
        );
        let most = 12.0 * (1.0 + 0.06 / result.window_length.as_secs_f64());
        assert!(result.mean_inflight <= most, "{}", result.mean_inflight);
    }
}

/// A timeout ends a time in flight as an answer does.
#[test]
fn what_times_out_was_in_flight_until_then() {
    let connector = mock(|_| MockAnswer::Silence);
    let plan = LoadPlan {
        workers: 2,
        max_inflight: 2,
        warmup: Duration::ZERO,
        op_timeout: 400 * MS,
        measure: Measure::For(1000 * MS),
        ..plan()
    };
    let (result, intervals) = series(connector, plan, None);
    make_up_the_window(&result, &intervals);
    assert!(result.window.counts.unknown > 0);
    // All four places are taken at any time: a timeout is as good as an answer.
    assert!(result.mean_inflight > 3.9, "{}", result.mean_inflight);
}

/// However short they are asked for, there are no more than 3,600 of them; the load tells how
/// long they really are.
#[test]
fn there_are_only_so_many_intervals() {
    let window = 360 * MS;
    within(async {
        let interval = |asked, measure| async move {
            let plan = LoadPlan {
                interval: asked,
                measure,
                ..plan()
            };
            let load = Load::connect(commits(MS), plan).await;
            load.expect("it connects").interval()
        };
        let timed = Measure::For(window);
        assert_eq!(interval(None, timed).await, None);
        assert_eq!(interval(Some(MS), timed).await, Some(MS));
        let short = interval(Some(Duration::from_nanos(1)), timed).await;
        assert_eq!(short, Some(MS / 10));
        let counted = interval(Some(MS), Measure::Transfers(5)).await;
        assert_eq!(counted, Some(MS));
    });
    let plan = LoadPlan {
        interval: Some(Duration::from_nanos(1)),
        measure: Measure::For(window),
        threads: 2,
        ..plan()
    };
    let (result, intervals) = series(commits(MS), plan, None);
    make_up_the_window(&result, &intervals);
    assert_eq!(by_number(&intervals).len(), 3_600);
}
