//! Shards of one stream make the observation of the whole.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::observation::SystemObservation;
use crate::observation::fixtures::{Outcome, TICKS, Transfer, observe};
use crate::statistics::Percentile;

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        6 => Just(Outcome::Committed),
        1 => Just(Outcome::Unknown),
        1 => Just(Outcome::Rejected("overloaded")),
        1 => Just(Outcome::Rejected("insufficient_funds")),
    ]
}

/// Latencies from a nanosecond to two minutes: past what a histogram has room for at first.
fn latency_ns() -> impl Strategy<Value = u64> {
    (0_u32..37).prop_flat_map(|bits| (1_u64 << bits)..(2_u64 << bits))
}

fn transfer() -> impl Strategy<Value = Transfer> {
    (0..TICKS, outcome(), latency_ns(), (0_u32..8, 8_u32..16)).prop_map(
        |(tick, outcome, latency_ns, accounts)| Transfer {
            tick,
            outcome,
            latency_ns,
            accounts,
        },
    )
}

const SHARDS: usize = 3;

/// Transfers, and which shard each is of.
fn stream() -> impl Strategy<Value = Vec<(usize, Transfer)>> {
    vec((0..SHARDS, transfer()), 0..300)
}

fn of_shard(stream: &[(usize, Transfer)], shard: usize) -> Observation {
    let its = stream.iter().filter(|(of, _)| *of == shard);
    observe(&its.map(|(_, transfer)| *transfer).collect::<Vec<_>>())
}

/// As equal as sums of floats in another order are.
fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(1.0)
}

proptest! {
    // Each case writes and reads some thirty histograms.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn shards_of_one_stream_are_one_observation_of_the_whole(stream in stream()) {
        let shards: Vec<_> = (0..SHARDS).map(|shard| of_shard(&stream, shard)).collect();
        let whole = observe(&stream.iter().map(|(_, transfer)| *transfer).collect::<Vec<_>>());
        let merged = Observation::merge(&shards).expect("they are of one window");
        prop_assert_eq!(merged.machines.len(), SHARDS);
        let (load, of_whole) = (&merged.load, &whole.load);
        prop_assert_eq!(&load.window, &of_whole.window);
        prop_assert_eq!(&load.offered, &of_whole.offered);
        prop_assert_eq!(&load.loop_lag, &of_whole.loop_lag);
        prop_assert_eq!(&load.ticks, &of_whole.ticks);
        prop_assert_eq!(&load.account_changes, &of_whole.account_changes);
        prop_assert_eq!(load.whole_run(), of_whole.whole_run());
        prop_assert_eq!(load.submitted, of_whole.submitted);
        prop_assert_eq!(load.edges, of_whole.edges);
        prop_assert!(close(load.tps(), of_whole.tps()));
        prop_assert!(close(load.mean_inflight, of_whole.mean_inflight));
        for percentile in Percentile::ALL {
            prop_assert_eq!(
                percentile.of(&load.latency().histogram),
                percentile.of(&of_whole.latency().histogram)
            );
        }
        for (interval, of_whole) in load.intervals.iter().zip(&of_whole.intervals) {
            prop_assert_eq!(interval.committed, of_whole.committed);
            prop_assert_eq!(interval.p50_ms, of_whole.p50_ms);
            prop_assert_eq!(decode_text(&interval.latency_histogram),
                decode_text(&of_whole.latency_histogram));
            prop_assert!(close(interval.in_flight, of_whole.in_flight));
            prop_assert!(close(interval.tps, of_whole.tps));
        }
    }

    #[test]
    fn the_order_of_shards_does_not_matter(stream in stream()) {
        let mut shards: Vec<_> = (0..SHARDS).map(|shard| of_shard(&stream, shard)).collect();
        let merged = Observation::merge(&shards).expect("they are of one window").load;
        shards.reverse();
        let reversed = Observation::merge(&shards).expect("they are of one window").load;
        prop_assert_eq!(&merged.window, &reversed.window);
        prop_assert_eq!(&merged.account_changes, &reversed.account_changes);
        prop_assert_eq!(&merged.ticks, &reversed.ticks);
    }
}

/// `count` transfers of the same latency.
fn steady(count: usize, latency_ns: u64) -> Observation {
    let transfer = Transfer {
        tick: 0,
        outcome: Outcome::Committed,
        latency_ns,
        accounts: (0, 1),
    };
    observe(&vec![transfer; count])
}

/// The p99 of a fast machine and a slow one is in neither's middle.
#[test]
fn percentiles_are_not_averaged() {
    let merged = Observation::merge(&[steady(9_000, 1_000_000), steady(1_000, 100_000_000)])
        .expect("they are of one window");
    let histogram = &merged.load.latency().histogram;
    let p99 = Percentile::P99.of(histogram).expect("there are enough");
    assert!(p99.abs_diff(100_000_000) < 100_000, "{p99}");
    let p50 = Percentile::P50.of(histogram).expect("there are enough");
    assert!(p50.abs_diff(1_000_000) < 1_000, "{p50}");
    assert!(close(merged.load.tps(), 10_000.0));
}

fn refused(change: impl FnOnce(&mut Observation)) -> MergeError {
    let mut other = steady(5, 1_000);
    change(&mut other);
    Observation::merge(&[steady(5, 1_000), other]).expect_err("they are not of one run")
}

#[test]
fn unlike_windows_are_refused() {
    let length = steady(5, 1_000).load.window_ns;
    assert_eq!(
        refused(|other| other.load.window_ns -= 1),
        MergeError::Lengths {
            first_ns: length,
            other_ns: length - 1,
        }
    );
    let apart = |us| move |other: &mut Observation| other.load.window_start_unix_us += us;
    // A hundredth of a second.
    assert_eq!(
        refused(apart(10_001)),
        MergeError::Apart {
            apart_us: 10_001,
            most_us: 10_000,
        }
    );
    let mut late = steady(5, 1_000);
    apart(10_000)(&mut late);
    let start = late.load.window_start_unix_us;
    let merged = Observation::merge(&[steady(5, 1_000), late]).expect("near enough");
    assert_eq!(
        merged.load.window_start_unix_us, start,
        "the common window's"
    );
}

#[test]
fn unlike_loads_are_refused() {
    assert_eq!(refused(|other| other.load.offered = None), MergeError::Pace);
    assert_eq!(
        refused(|other| other.load.account_changes = None),
        MergeError::Accounts
    );
    assert_eq!(
        refused(|other| other.load.intervals.truncate(1)),
        MergeError::Intervals
    );
    assert_eq!(
        refused(|other| other.load.ticks.length_ns *= 2),
        MergeError::Intervals
    );
    assert_eq!(
        refused(|other| other.load.intervals[0].latency_histogram = "none".to_owned()),
        MergeError::Histogram
    );
    assert_eq!(
        refused(|other| other.load.intervals[0].committed += 1),
        MergeError::Histogram
    );
    assert_eq!(
        refused(|other| other.load.window.counts.committed += 1),
        MergeError::Histogram
    );
    assert_eq!(Observation::merge(&[]).err(), Some(MergeError::Empty));
}

#[test]
fn the_server_is_seen_once() {
    let seen = |observation: Observation| Observation {
        system: Some(SystemObservation::default()),
        ..observation
    };
    let shards = vec![steady(1, 1), seen(steady(1, 1)), steady(1, 1)];
    let one = Observation::merge(&shards);
    assert!(one.expect("one looked").system.is_some());
    let both = Observation::merge(&[seen(steady(1, 1)), seen(steady(1, 1))]);
    assert_eq!(both.err(), Some(MergeError::Systems { count: 2 }));
}

#[test]
fn all_stood_still_only_while_each_did() {
    let stalled = |from, to| {
        let mut observation = steady(1, 1);
        observation.load.stalled_ns = Some((from, to));
        observation
    };
    let merged = |a, b| {
        Observation::merge(&[a, b])
            .expect("one window")
            .load
            .stalled_ns
    };
    assert_eq!(merged(stalled(10, 50), stalled(30, 90)), Some((30, 50)));
    assert_eq!(merged(stalled(10, 50), stalled(60, 90)), None);
}

#[test]
fn a_few_reasons_are_kept_and_none_twice() {
    let broken = |reasons: &[&str]| {
        let mut observation = steady(1, 1);
        observation.load.errors = reasons.iter().map(ToString::to_string).collect();
        observation.load.interrupted = reasons.len() > 3;
        observation
    };
    let merged = Observation::merge(&[broken(&["a", "b"]), broken(&["b", "c", "d", "e", "f"])]);
    let load = merged.expect("one window").load;
    assert_eq!(load.errors, ["a", "b", "c", "d", "e"]);
    assert!(load.interrupted);
}
