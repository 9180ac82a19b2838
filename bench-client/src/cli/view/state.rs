//! What the view knows of the row that is measured.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bench_client::config::{Measure, Pace, RunConfig};
use bench_client::figures;
use bench_client::measure::TpsSoFar;
use bench_client::record::series::Interval;
use bench_client::record::with_apply;
use busload_wire::control::Info;

use super::series::{Sample, Series, Together};

/// Intervals that are kept: more than a terminal has lines.
const KEPT: usize = 1_000;
/// Phases of the load, as the driver names them.
const WARMING_UP: &str = "warming up";

/// Committed transfers per second since a phase of the load began.
#[derive(Debug, Clone, Default)]
pub(super) struct Tps {
    /// Each is of a fifth of a second or so.
    pub(super) over_time: Series,
    pub(super) so_far: Option<TpsSoFar>,
    pub(super) max: f64,
    /// How long the phase will be, if that is known.
    pub(super) planned: Option<Duration>,
    until: Duration,
}

impl Tps {
    fn push(&mut self, elapsed: Duration, tps: TpsSoFar) {
        self.over_time.push(Sample {
            from: self.until.as_secs_f64(),
            until: elapsed.as_secs_f64(),
            value: tps.latest,
        });
        self.until = elapsed;
        self.max = self.max.max(tps.latest);
        self.so_far = Some(tps);
    }
}

/// What is being done.
#[derive(Debug, Clone)]
pub(super) enum Doing {
    /// Something before or after the load.
    Stage { what: String, since: Instant },
    /// The load is on.
    Load { phase: String, elapsed: Duration },
}

#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) title: String,
    /// What the client was told.
    pub(super) client: String,
    /// What the server says of itself.
    pub(super) server: Option<String>,
    pub(super) batch_size: Option<u64>,
    /// Most transfers in flight.
    pub(super) inflight_limit: u64,
    pub(super) warmup: Duration,
    pub(super) measure: Measure,
    /// Length of an interval, if there are any.
    pub(super) interval: Option<Duration>,
    pub(super) doing: Doing,
    pub(super) tps: Tps,
    /// The latest intervals of the window, without their histograms.
    pub(super) intervals: VecDeque<Interval>,
    pub(super) p50_ms: Series,
    pub(super) p99_ms: Series,
    /// How many there were; empty while the server tells of none.
    pub(super) checkpoints: Series,
    pub(super) slowest_p50_ms: Option<f64>,
    pub(super) slowest_p99_ms: Option<f64>,
}

impl State {
    /// Before the first row.
    pub(super) fn starting() -> Self {
        Self {
            title: "bench-client".to_owned(),
            client: String::new(),
            server: None,
            batch_size: None,
            inflight_limit: 0,
            warmup: Duration::ZERO,
            measure: Measure::For(Duration::ZERO),
            interval: None,
            doing: Doing::Stage {
                what: "starting".to_owned(),
                since: Instant::now(),
            },
            tps: Tps::default(),
            intervals: VecDeque::new(),
            p50_ms: Series::default(),
            p99_ms: Series::new(Together::Max),
            checkpoints: Series::new(Together::Max),
            slowest_p50_ms: None,
            slowest_p99_ms: None,
        }
    }

    pub(super) fn of_row(title: String, plan: &RunConfig) -> Self {
        let pace = match plan.load.pace() {
            Pace::Closed => String::new(),
            Pace::Open { rate, arrival, .. } => format!(
                "{} per second, {} arrivals, ",
                figures::rate(rate),
                arrival.as_str()
            ),
        };
        Self {
            title,
            client: format!(
                "{pace}{} workers × {} in flight, alpha {}, {} accounts",
                plan.load.concurrency,
                plan.load.max_inflight_per_worker,
                plan.workload.alpha,
                figures::grouped(u64::from(plan.workload.accounts))
            ),
            inflight_limit: u64::from(plan.load.concurrency)
                * plan.load.max_inflight_per_worker as u64,
            warmup: plan.load.warmup,
            measure: plan.load.measure(),
            interval: plan.load.interval(),
            ..Self::starting()
        }
    }

    pub(super) fn stage(&mut self, what: &str, now: Instant) {
        self.doing = Doing::Stage {
            what: what.to_owned(),
            since: now,
        };
    }

    pub(super) fn load(&mut self, phase: &str, elapsed: Duration, tps: TpsSoFar) {
        let same = matches!(&self.doing, Doing::Load { phase: before, .. } if before == phase);
        if !same {
            // Warm-up and window have nothing to do with each other.
            self.tps = Tps {
                planned: if phase == WARMING_UP {
                    Some(self.warmup)
                } else {
                    window(self.measure)
                },
                ..Tps::default()
            };
        }
        self.tps.push(elapsed, tps);
        self.doing = Doing::Load {
            phase: phase.to_owned(),
            elapsed,
        };
    }

    pub(super) fn server(&mut self, info: &Info) {
        let timeout = info.batch_timeout_us / 1e3;
        let wait = if timeout > 0.0 {
            format!("{timeout} ms to fill")
        } else {
            "no wait".to_owned()
        };
        self.batch_size = Some(info.batch_size);
        self.server = Some(format!(
            "durability {}, batch up to {}, {wait}",
            with_apply(&info.durability, info.apply.as_deref()),
            figures::grouped(info.batch_size)
        ));
    }

    pub(super) fn interval(&mut self, interval: &Interval) {
        let slower = |a: Option<f64>, b: Option<f64>| [a, b].into_iter().flatten().reduce(f64::max);
        self.slowest_p50_ms = slower(self.slowest_p50_ms, interval.p50_ms);
        self.slowest_p99_ms = slower(self.slowest_p99_ms, interval.p99_ms);
        let value = |value| Sample {
            from: interval.start_s,
            until: interval.start_s + interval.seconds,
            value,
        };
        #[expect(clippy::cast_precision_loss, reason = "checkpoints of an interval")]
        let checkpoints = interval.checkpoints.map(|count| count as f64);
        for (series, known) in [
            (&mut self.p50_ms, interval.p50_ms),
            (&mut self.p99_ms, interval.p99_ms),
            (&mut self.checkpoints, checkpoints),
        ] {
            if let Some(known) = known {
                series.push(value(known));
            }
        }
        let without_histogram = Interval {
            latency_histogram: String::new(),
            ..interval.clone()
        };
        if self.intervals.len() == KEPT {
            self.intervals.pop_front();
        }
        self.intervals.push_back(without_histogram);
    }
}

/// The planned length of the window; `None` when transfers are counted instead.
fn window(measure: Measure) -> Option<Duration> {
    match measure {
        Measure::For(window) => Some(window),
        Measure::Transfers(_) => None,
    }
}

#[cfg(test)]
impl State {
    /// A row of which this is known.
    pub(super) fn window(title: &str, measure: Measure) -> Self {
        Self {
            title: title.to_owned(),
            measure,
            ..Self::starting()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::series;
    use super::*;

    #[test]
    fn the_window_is_not_mixed_with_the_warm_up() {
        let mut state = State::starting();
        let ms = Duration::from_millis;
        let tps = |mean, latest| TpsSoFar { mean, latest };
        state.load(WARMING_UP, ms(200), tps(5.0, 5.0));
        state.load("measuring", ms(200), tps(100.0, 100.0));
        state.load("measuring", ms(600), tps(300.0, 400.0));
        let values = state.tps.over_time.values().iter();
        let values: Vec<_> = values.map(|one| (one.from, one.until, one.value)).collect();
        assert_eq!(values, [(0.0, 0.2, 100.0), (0.2, 0.6, 400.0)]);
        assert_eq!(state.tps.so_far, Some(tps(300.0, 400.0)));
        assert!((state.tps.max - 400.0).abs() < 1e-9);
    }

    #[test]
    fn a_day_of_values_stays_small() {
        let mut state = State::starting();
        for second in 1..=3_000_u32 {
            let elapsed = Duration::from_secs(second.into());
            let latest = f64::from(second);
            let mean = latest.midpoint(1.0);
            state.load("measuring", elapsed, TpsSoFar { mean, latest });
        }
        let values = state.tps.over_time.values();
        assert!(values.len() <= series::KEPT);
        let ends = (values[0].from, values[values.len() - 1].until);
        assert_eq!(ends, (0.0, 3_000.0), "and has all of it");
        let so_far = state.tps.so_far.expect("it was told");
        assert_eq!((so_far.latest, so_far.mean), (3_000.0, 1_500.5));
    }
}
