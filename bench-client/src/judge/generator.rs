//! Was the generator the limit?

use super::figures::Figures;
use crate::figures::{in_us, rate};
use crate::observation::LoadObservation;
use crate::record::{Generator, Latency, LittlesLaw, OpenLoop, Spread};
use crate::statistics::SPEED_SAMPLES_MIN;

/// Takes what the null server reached for the ceiling, unless the row of so many TPS
/// refutes it.
#[must_use]
pub(super) fn with_null_server(
    mut generator: Generator,
    reached: Option<f64>,
    tps: f64,
) -> Generator {
    let refutes = |reached: &f64| tps > ABOVE_THE_CEILING * reached;
    generator.ceiling_refuted = reached.filter(refutes);
    generator.ceiling_tps = reached.filter(|reached| !refutes(reached));
    generator
}

/// Little's law holds exactly over a window that begins and ends with nothing in flight. Here
/// transfers cross both ends, so it holds up to those: to the share of the window that a transfer
/// takes. Where that is more than this, the law says nothing.
const LITTLES_TOLERANCE: f64 = 0.1;

/// Both sides of the law, as far as the window allows; `None` of one without length.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "nanoseconds far below 2^52")]
pub(super) fn littles_law(load: &LoadObservation, seconds: f64) -> Option<LittlesLaw> {
    let (served_s, answers) = (
        load.window.all_service_sum_ns as f64 / 1e9,
        load.window.counts.total() as f64,
    );
    let is_long_enough = served_s <= LITTLES_TOLERANCE * seconds * answers && answers > 0.0;
    (seconds > 0.0).then(|| LittlesLaw {
        in_flight: load.mean_inflight,
        throughput_times_latency: is_long_enough.then(|| served_s / seconds),
    })
}

/// What throughput times latency makes, where that is not what was in flight.
#[must_use]
pub(super) fn littles_law_broken(law: &LittlesLaw) -> Option<f64> {
    let product = law.throughput_times_latency?;
    let difference = (law.in_flight - product).abs();
    (difference > LITTLES_TOLERANCE * law.in_flight.max(product)).then_some(product)
}

/// What the judgement needs to know of the generator.
#[derive(Debug, Clone, Default)]
pub(super) struct GeneratorEvidence {
    /// Share of the window that each client thread was on a processor.
    pub(super) thread_cpu: Vec<f64>,
    /// How late the event loops were, in microseconds.
    pub(super) event_loop_lag_us: Option<Spread>,
    /// TPS of the row.
    pub(super) tps: f64,
    /// Transfers committed inside the window.
    pub(super) committed: u64,
    /// TPS of the same load on the null server.
    pub(super) ceiling_tps: Option<f64>,
    /// Latency of the row.
    pub(super) latency_ms: Option<Latency>,
    /// The offered load, if there was one.
    pub(super) open_loop: Option<OpenLoop>,
    /// Length of the window in seconds.
    pub(super) seconds: f64,
}

impl GeneratorEvidence {
    pub(super) fn of(load: &LoadObservation, figures: &Figures, generator: &Generator) -> Self {
        Self {
            thread_cpu: generator.thread_cpu.clone(),
            event_loop_lag_us: generator.event_loop_lag_us,
            tps: figures.tps,
            committed: load.window.counts.committed,
            ceiling_tps: generator.ceiling_tps,
            latency_ms: (load.latency().count() > 0).then_some(figures.latency_ms),
            open_loop: figures.open_loop.clone(),
            seconds: figures.seconds,
        }
    }
}

impl GeneratorEvidence {
    /// Whether no client thread computed for half of the window: what it was late by, it waited
    /// for a processor.
    pub(super) fn was_idle(&self) -> bool {
        let mut threads = self.thread_cpu.iter();
        !self.thread_cpu.is_empty() && threads.all(|share| *share < IDLE_THREAD)
    }
}

/// A client thread that is on a processor for less than this share of the window has time left.
const IDLE_THREAD: f64 = 0.5;
/// A client thread that is on a processor for more than this share of the window has nothing
/// left: what it does not send, the server cannot answer.
const BUSY_THREAD: f64 = 0.9;
/// TPS above this share of what the null server allows says more about the generator and the
/// wire than about the server.
const NEAR_THE_CEILING: f64 = 0.8;
/// A row above this multiple of what the null server reached shows that it was no ceiling:
/// something else slowed the null server down. Two runs of the same load differ by less.
const ABOVE_THE_CEILING: f64 = 1.1;
/// An event loop that is late by more than this share of the mean latency makes that latency.
const LAG_SHARE: f64 = 0.5;
/// Schedule lag at p99 that nobody needs to be warned of, in microseconds: the least that a
/// busy machine's scheduler makes of it.
const LAG_OF_NO_CONCERN_US: f64 = 1_000.0;

/// Every reason why the generator may have been the limit; empty is good. Of fewer transfers than
/// [`SPEED_SAMPLES_MIN`] nothing is said, and a reason that rests on a percentile needs the samples
/// of that percentile.
#[must_use]
pub(super) fn generator_bound_reasons(generator: &GeneratorEvidence) -> Vec<String> {
    let mut reasons = Vec::new();
    if generator.committed < SPEED_SAMPLES_MIN {
        return reasons;
    }
    let busiest = generator.thread_cpu.iter().copied().fold(0.0, f64::max);
    if busiest >= BUSY_THREAD {
        reasons.push(format!(
            "a client thread was busy for {:.0} % of the window",
            busiest * 100.0
        ));
    }
    if let Some(ceiling) = generator.ceiling_tps
        && ceiling > 0.0
        && generator.tps >= NEAR_THE_CEILING * ceiling
    {
        reasons.push(format!(
            "{} TPS is {:.0} % of the {} that the same load reaches on a server without a database",
            rate(generator.tps),
            generator.tps / ceiling * 100.0,
            rate(ceiling)
        ));
    }
    if let (Some(lag), Some(latency)) = (&generator.event_loop_lag_us, &generator.latency_ms)
        && lag.count >= SPEED_SAMPLES_MIN
        && lag.mean > LAG_SHARE * latency.mean * 1e3
        && latency.mean > 0.0
    {
        reasons.push(format!(
            "the event loop was {} late on average, the mean latency is {}",
            in_us(Some(lag.mean)),
            in_us(Some(latency.mean * 1e3))
        ));
    }
    if let Some(open) = &generator.open_loop
        && let Some(lag) = open.schedule_lag_us.and_then(|lag| lag.p99)
        && let Some(latency) = generator.latency_ms.and_then(|latency| latency.p99)
        && lag > LAG_OF_NO_CONCERN_US.max(LAG_SHARE * latency * 1e3)
    {
        reasons.push(format!(
            "transfers were sent up to {} (p99) after they were due although there was room",
            in_us(Some(lag))
        ));
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::fixtures::{Outcome, Transfer, observe};

    fn lag(mean: f64, p99: f64) -> Spread {
        Spread {
            count: 100,
            mean,
            p50: Some(mean),
            p99: Some(p99),
            max: p99,
        }
    }

    fn latency(mean: f64, p99: f64) -> Latency {
        Latency {
            p50: Some(mean),
            p95: Some(p99),
            p99: Some(p99),
            p999: Some(p99),
            max: p99,
            mean,
        }
    }

    fn open(lag_p99: f64) -> OpenLoop {
        OpenLoop {
            arrival: crate::config::Arrival::Constant,
            offered_tps: 100.0,
            offered: 100,
            achieved_tps: 100.0,
            latency_limit_ms: None,
            late: 0,
            skipped: 0,
            dropped: 0,
            schedule_lag_us: Some(lag(10.0, lag_p99)),
        }
    }

    fn idle() -> GeneratorEvidence {
        GeneratorEvidence {
            thread_cpu: vec![0.3, 0.4],
            event_loop_lag_us: Some(lag(20.0, 90.0)),
            tps: 100.0,
            committed: 1_000,
            ceiling_tps: Some(1_000.0),
            latency_ms: Some(latency(1.0, 3.0)),
            open_loop: Some(open(90.0)),
            seconds: 1.0,
        }
    }

    #[test]
    fn an_idle_generator_is_no_limit() {
        assert_eq!(generator_bound_reasons(&idle()), Vec::<String>::new());
        assert_eq!(
            generator_bound_reasons(&GeneratorEvidence::default()),
            Vec::<String>::new()
        );
    }

    #[test]
    fn each_sign_alone_is_enough() {
        let signs = [
            GeneratorEvidence {
                thread_cpu: vec![0.2, 0.95],
                ..idle()
            },
            GeneratorEvidence {
                tps: 810.0,
                ..idle()
            },
            GeneratorEvidence {
                event_loop_lag_us: Some(lag(600.0, 900.0)),
                ..idle()
            },
            GeneratorEvidence {
                open_loop: Some(open(1_600.0)),
                ..idle()
            },
        ];
        for sign in signs {
            assert_eq!(generator_bound_reasons(&sign).len(), 1, "{sign:?}");
        }
    }

    #[test]
    fn a_handful_of_transfers_says_nothing_of_the_generator() {
        let late = GeneratorEvidence {
            thread_cpu: vec![0.95],
            event_loop_lag_us: Some(lag(600.0, 900.0)),
            tps: 810.0,
            open_loop: Some(open(1_600.0)),
            ..idle()
        };
        assert_eq!(generator_bound_reasons(&late).len(), 4);
        let few = GeneratorEvidence {
            committed: 15,
            ..late.clone()
        };
        assert_eq!(generator_bound_reasons(&few), Vec::<String>::new());
        // Enough for a mean and not for a p99.
        let mut hundred = late;
        hundred.committed = 100;
        hundred.open_loop.as_mut().unwrap().schedule_lag_us = Some(Spread {
            p99: None,
            ..lag(10.0, 1_600.0)
        });
        assert_eq!(generator_bound_reasons(&hundred).len(), 3);
    }

    #[test]
    fn a_row_above_its_ceiling_refutes_the_ceiling() {
        let found = |reached, tps| {
            let generator = Generator {
                thread_cpu: Vec::new(),
                event_loop_lag_us: None,
                ceiling_tps: None,
                ceiling_refuted: None,
            };
            let found = with_null_server(generator, reached, tps);
            (found.ceiling_tps, found.ceiling_refuted)
        };
        assert_eq!(found(Some(35_691.0), 130_272.0), (None, Some(35_691.0)));
        assert_eq!(found(Some(125_000.0), 130_272.0), (Some(125_000.0), None));
        assert_eq!(found(None, 130_272.0), (None, None));
    }

    #[test]
    fn littles_law_allows_for_the_ends_of_the_window_only() {
        let broken = |in_flight, product: f64| {
            littles_law_broken(&LittlesLaw {
                in_flight,
                throughput_times_latency: Some(product),
            })
        };
        assert_eq!(broken(100.0, 95.0), None);
        assert_eq!(broken(0.0, 0.0), None);
        assert_eq!(broken(100.0, 80.0), Some(80.0));
        assert_eq!(broken(80.0, 100.0), Some(100.0));
    }

    #[test]
    fn a_window_that_is_short_beside_the_service_time_says_nothing_of_littles_law() {
        let transfer = Transfer {
            tick: 0,
            outcome: Outcome::Committed,
            latency_ns: 200_000_000,
            accounts: (0, 1),
        };
        let mut load = observe(&[transfer; 50]).load;
        load.mean_inflight = 50.0;
        let short = littles_law(&load, 1.0).unwrap();
        assert_eq!(short.throughput_times_latency, None);
        assert_eq!(littles_law_broken(&short), None);
        let long = littles_law(&load, 4.0).unwrap();
        assert_eq!(long.throughput_times_latency, Some(2.5));
        assert_eq!(littles_law_broken(&long), Some(2.5));
        assert_eq!(littles_law(&load, 0.0), None);
        let mut silent = observe(&[]).load;
        silent.mean_inflight = 50.0;
        let silent = littles_law(&silent, 4.0).unwrap();
        assert_eq!(silent.throughput_times_latency, None, "answered later");
    }
}
