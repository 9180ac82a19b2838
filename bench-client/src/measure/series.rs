//! The time series of a row, put together from what the client threads and the server tell.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::{Duration, Instant};

use busload_wire::control::Stats;
use tokio::sync::mpsc;

use super::LOOK_INTERVAL;
use super::Surroundings;
use super::counters::CounterSample;
use crate::control::ControlClient;
use crate::host::process::CpuTimes;
use crate::load::{Schedule, Tally, ThreadInterval};
use crate::record::series::Interval;

/// Counters and clocks between two intervals.
#[derive(Debug, Clone)]
struct Reading {
    at: Instant,
    counters: Option<Counters>,
    client: Option<CpuTimes>,
    server: Option<CpuTimes>,
}

/// What the series needs of the server's counters.
#[derive(Debug, Clone, Copy)]
struct Counters {
    batches: u64,
    transfers: u64,
    /// `None` of a server that cannot count its writes.
    writes: Option<WriteCounters>,
}

/// What only a server knows that counts its syncs and makes its checkpoints itself.
#[derive(Debug, Clone, Copy)]
struct WriteCounters {
    syncs: u64,
    sync_ns: u64,
    checkpoints: u64,
    checkpoint_ns: u64,
    checkpoint_stalled_ns: u64,
}

impl Counters {
    fn of(stats: &Stats) -> Self {
        Self {
            batches: stats.batches,
            transfers: stats.stages.batch_size.sum,
            writes: stats.commit_syncs.map(|syncs| WriteCounters {
                syncs,
                sync_ns: stats.stages.sync_ns.sum,
                checkpoints: stats.checkpoints.count,
                checkpoint_ns: stats.checkpoints.duration_ns,
                checkpoint_stalled_ns: stats.checkpoints.stalled_ns(),
            }),
        }
    }
}

impl Reading {
    fn of(sample: &CounterSample, at: Instant) -> Self {
        Self {
            at,
            counters: sample.stats.as_ref().map(Counters::of),
            client: sample.client,
            server: sample.server,
        }
    }
}

/// What all client threads together saw in an interval whose last message is still to come.
struct Gathered {
    tally: Tally,
    inflight_ns: u128,
    end: Duration,
    threads: usize,
}

impl Gathered {
    fn of(message: ThreadInterval) -> Self {
        Self {
            tally: message.tally,
            inflight_ns: message.inflight_ns,
            end: message.end,
            threads: 1,
        }
    }

    fn add(&mut self, message: &ThreadInterval) {
        self.tally.merge(&message.tally);
        self.inflight_ns += message.inflight_ns;
        self.end = self.end.max(message.end);
        self.threads += 1;
    }
}

/// Puts the intervals together from what the client threads and the server tell.
pub(super) struct SeriesBuilder {
    length: Option<Duration>,
    window_start: Instant,
    threads: usize,
    pid: Option<u32>,
    messages: Option<mpsc::Receiver<ThreadInterval>>,
    /// One more than there are intervals, when the window is over.
    readings: Vec<Reading>,
    gathered: BTreeMap<u32, Gathered>,
    intervals: Vec<Interval>,
    previous_end: Duration,
    has_stats: bool,
    /// Every client thread has ended: there are no messages to come.
    over: bool,
}

impl SeriesBuilder {
    pub(super) fn new(
        length: Option<Duration>,
        schedule: &Schedule,
        threads: usize,
        messages: Option<mpsc::Receiver<ThreadInterval>>,
        pid: Option<u32>,
    ) -> Self {
        Self {
            length,
            window_start: schedule.window_start,
            threads,
            pid,
            messages,
            readings: Vec::new(),
            gathered: BTreeMap::new(),
            intervals: Vec::new(),
            previous_end: Duration::ZERO,
            has_stats: false,
            over: false,
        }
    }

    pub(super) fn open(&mut self, sample: Option<&CounterSample>) {
        if let (Some(_), Some(sample)) = (self.length, sample) {
            self.has_stats = sample.stats.is_some();
            self.readings.push(Reading::of(sample, Instant::now()));
        }
    }

    /// When the next interval ends; far away when there are none.
    pub(super) fn next_reading(&self, now: Instant) -> Instant {
        let count = u32::try_from(self.readings.len()).unwrap_or(u32::MAX);
        match self.length {
            Some(length) if count > 0 => self.window_start + length * count,
            _ => now + LOOK_INTERVAL,
        }
    }

    pub(super) async fn read(&mut self, control: &mut ControlClient, now: Instant) {
        if self.length.is_none() || self.readings.is_empty() {
            return;
        }
        let counters = if self.has_stats {
            let stats = control.totals().await.ok().flatten();
            stats.as_ref().map(Counters::of)
        } else {
            None
        };
        self.readings.push(Reading {
            at: now,
            counters,
            client: CpuTimes::of_this_process(),
            server: self.pid.and_then(CpuTimes::of_tree),
        });
    }

    /// The window is over: its last interval ends with it.
    pub(super) fn close(&mut self, sample: Option<&CounterSample>, window_length: Duration) {
        self.over = true;
        if let (Some(length), Some(sample)) = (self.length, sample) {
            let whole = (window_length.as_nanos() / length.as_nanos().max(1)) as usize;
            let rest = !window_length
                .as_nanos()
                .is_multiple_of(length.as_nanos().max(1));
            let needed = whole + usize::from(rest) + 1;
            // The reading at the very end is the sample's.
            self.readings.truncate(needed.saturating_sub(1).max(1));
            let reading = Reading::of(sample, Instant::now());
            while self.readings.len() < needed {
                self.readings.push(reading.clone());
            }
        }
    }

    /// The intervals of a window of this length.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub(super) fn into_intervals(mut self, window_length: Duration) -> Vec<Interval> {
        let end_s = window_length.as_secs_f64();
        // A thread may have gone on for a moment: after a stop until it saw it, after the last
        // answer that counts until the others were there.
        while self
            .intervals
            .pop_if(|last| last.start_s >= end_s && last.committed == 0)
            .is_some()
        {}
        if let Some(last) = self.intervals.last_mut()
            && last.start_s + last.seconds > end_s
        {
            last.seconds = (end_s - last.start_s).max(f64::EPSILON);
            last.tps = last.committed as f64 / last.seconds;
        }
        self.intervals
    }

    /// Takes what the client threads have sent and closes every interval that is complete.
    pub(super) fn collect(&mut self, around: &Surroundings<'_>) {
        while let Some(message) = self
            .messages
            .as_mut()
            .and_then(|messages| messages.try_recv().ok())
        {
            match self.gathered.entry(message.number) {
                Entry::Occupied(mut entry) => entry.get_mut().add(&message),
                Entry::Vacant(entry) => {
                    entry.insert(Gathered::of(message));
                }
            }
        }
        while let Some(gathered) = self.complete() {
            let number = self.intervals.len();
            let interval = self.interval(&gathered, number);
            self.previous_end = gathered.end;
            around.progress.interval(&interval);
            self.intervals.push(interval);
        }
    }

    /// The next interval, if every thread has told of it, or has ended before it, and the
    /// server was read after it.
    fn complete(&mut self) -> Option<Gathered> {
        let number = self.intervals.len();
        let first = self.gathered.first_entry()?;
        let told = self.over || first.get().threads == self.threads;
        let read = self.readings.len() > number + 1 || (self.over && !self.readings.is_empty());
        (told && read).then(|| first.remove())
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "counts and nanoseconds far below 2^52"
    )]
    fn interval(&self, gathered: &Gathered, number: usize) -> Interval {
        let seconds = gathered
            .end
            .saturating_sub(self.previous_end)
            .as_secs_f64()
            .max(f64::EPSILON);
        let last = self.readings.len() - 1;
        let before = &self.readings[number.min(last)];
        let after = &self.readings[(number + 1).min(last)];
        let between = after.at.saturating_duration_since(before.at).as_secs_f64();
        let counters = before.counters.zip(after.counters);
        let difference = |of: fn(&Counters) -> u64| {
            counters.map(|(before, after)| of(&after).saturating_sub(of(&before)))
        };
        let writes = counters.and_then(|(before, after)| before.writes.zip(after.writes));
        let written = |of: fn(&WriteCounters) -> u64| {
            writes.map(|(before, after)| of(&after).saturating_sub(of(&before)))
        };
        let cores = |later: Option<CpuTimes>, earlier: Option<CpuTimes>| {
            let used = later.zip(earlier).map(|(a, b)| a.since(b).total)?;
            (between > 0.0).then(|| used.as_secs_f64() / between)
        };
        let over = |part: Option<u64>, whole: Option<u64>| {
            let (part, whole) = part.zip(whole)?;
            (whole > 0).then(|| part as f64 / whole as f64)
        };
        let syncs = written(|c| c.syncs);
        let committed = gathered.tally.counts.committed;
        Interval {
            start_s: self.previous_end.as_secs_f64(),
            seconds,
            committed,
            tps: committed as f64 / seconds,
            in_flight: gathered.inflight_ns as f64 / 1e9 / seconds,
            mean_batch: over(difference(|c| c.transfers), difference(|c| c.batches)),
            syncs_per_second: syncs
                .filter(|_| between > 0.0)
                .map(|syncs| syncs as f64 / between),
            sync_us: over(written(|c| c.sync_ns), syncs).map(|ns| ns / 1e3),
            checkpoints: written(|c| c.checkpoints),
            checkpoint_ms: written(|c| c.checkpoint_ns).map(|ns| ns as f64 / 1e6),
            checkpoint_stalled_ms: written(|c| c.checkpoint_stalled_ns).map(|ns| ns as f64 / 1e6),
            client_cpu: cores(after.client, before.client),
            server_cpu: cores(after.server, before.server),
            ..Interval::default()
        }
        .with_latencies(&gathered.tally.latency.ns)
    }
}
