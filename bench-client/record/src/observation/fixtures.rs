//! Observations for tests, recorded from transfers as a load generator does it.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::{
    AccountChange, Counts, Edges, LoadMachine, LoadObservation, Observation, Offered, Tally, Ticks,
    Times,
};
use crate::record::series::Interval;

/// Ticks, and intervals, of the window.
pub const TICKS: usize = 4;
/// Length of a tick and of an interval, in nanoseconds.
pub const TICK_NS: u64 = 250_000_000;

/// How a transfer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was acknowledged.
    Committed,
    /// It was rejected for this reason.
    Rejected(&'static str),
    /// Its outcome is unknown.
    Unknown,
}

/// A transfer that was answered in the window.
#[derive(Debug, Clone, Copy)]
pub struct Transfer {
    /// The tick in which it was answered.
    pub tick: usize,
    /// How it ended.
    pub outcome: Outcome,
    /// From the intended start to the answer, in nanoseconds.
    pub latency_ns: u64,
    /// Accounts that paid and were paid.
    pub accounts: (u32, u32),
}

/// No times.
#[must_use]
pub fn no_times() -> Times {
    let mut histogram = Histogram::new_with_max(60_000_000_000, 3).unwrap();
    histogram.auto(true);
    Times {
        sum_ns: 0,
        histogram,
    }
}

fn record(times: &mut Times, ns: u64) {
    times.histogram.record(ns).unwrap();
    times.sum_ns += u128::from(ns);
}

/// What one machine saw of these transfers in a window of [`TICKS`] ticks.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
pub fn observe(transfers: &[Transfer]) -> Observation {
    let mut counts = Counts::default();
    let (mut latency, mut intervals) = (no_times(), vec![no_times(); TICKS]);
    let mut ticks = Ticks {
        length_ns: TICK_NS,
        committed: vec![0; TICKS],
        inflight: vec![0; TICKS],
    };
    let mut all_service_sum_ns = 0_u128;
    let mut changes: BTreeMap<u32, AccountChange> = BTreeMap::new();
    for transfer in transfers {
        all_service_sum_ns += u128::from(transfer.latency_ns);
        ticks.inflight[transfer.tick] += 1;
        let (from, to) = transfer.accounts;
        match transfer.outcome {
            Outcome::Committed => {
                counts.committed += 1;
                ticks.committed[transfer.tick] += 1;
                record(&mut latency, transfer.latency_ns);
                record(&mut intervals[transfer.tick], transfer.latency_ns);
                changes.entry(from).or_default().acknowledged.debits += 1;
                changes.entry(to).or_default().acknowledged.credits += 1;
            }
            Outcome::Rejected(reason) => {
                *counts.rejected.entry(reason.to_owned()).or_default() += 1;
            }
            Outcome::Unknown => {
                counts.unknown += 1;
                changes.entry(from).or_default().unknown.debits += 1;
                changes.entry(to).or_default().unknown.credits += 1;
            }
        }
    }
    let seconds = TICK_NS as f64 / 1e9;
    let interval = |(number, times): (usize, &Times)| {
        Interval {
            start_s: number as f64 * seconds,
            seconds,
            committed: times.count(),
            tps: times.count() as f64 / seconds,
            in_flight: ticks.inflight[number] as f64,
            client_cpu: Some(0.25),
            ..Interval::default()
        }
        .with_latencies(&times.histogram)
    };
    let window_ns = TICKS as u64 * TICK_NS;
    let load = LoadObservation {
        window_start_unix_us: 1_700_000_000_000_000,
        window_ns,
        warmup: counts.clone(),
        drain: Counts::default(),
        offered: Some(Offered {
            due: transfers.len() as u64,
            response: latency.clone(),
            service: latency.clone(),
            schedule_lag: no_times(),
            late: counts.unknown,
            skipped: 0,
            dropped: 0,
        }),
        // By Little's law.
        mean_inflight: all_service_sum_ns as f64 / window_ns as f64,
        intervals: intervals.iter().enumerate().map(interval).collect(),
        loop_lag: latency.clone(),
        stalled_ns: Some((1, 7)),
        edges: Edges {
            began_before: counts.committed,
            ..Edges::default()
        },
        submitted: transfers.len() as u64,
        collisions: counts.unknown,
        reconnects: counts.unknown,
        late_answers: 0,
        contradictory_answers: 0,
        unexpected_answers: 0,
        idle_reconnects: 0,
        resolved: 0,
        sent_again: 0,
        gave_up: 0,
        errors: Vec::new(),
        interrupted: false,
        account_changes: Some(changes),
        window: Tally {
            service_sum_ns: latency.sum_ns,
            counts,
            latency,
            all_service_sum_ns,
        },
        ticks,
    };
    Observation {
        load,
        machines: vec![machine()],
        system: None,
    }
}

/// The machine of a recorded run.
#[must_use]
pub fn machine() -> LoadMachine {
    let text = include_str!("../../../tests/records/reproduce.json");
    let record: serde_json::Value = serde_json::from_str(text).unwrap();
    LoadMachine {
        environment: serde_json::from_value(record["environment"].clone()).unwrap(),
        shard: None,
        cpu_ns: Some(400_000_000),
        thread_cpu_ns: vec![300_000_000],
        steal_ns: Some(0),
        throttled: None,
        stalls: None,
        processor_speed: None,
        ceiling_tps: None,
        paced_null_server: None,
    }
}
