//! The highest offered rate that a server keeps up with: which rate to try next.

use crate::figures;
use crate::record::{Knee, KneeOutcome, KneePoint, Row, Verdict, VerdictCode};
use crate::statistics::Percentile;

/// Least share of the offered transfers that must be committed: a server that is behind by
/// more does not keep up, whatever the latency of what it answers.
pub const ACHIEVED_SHARE_MIN: f64 = 0.99;

/// Rates closer together than this ratio are not told apart any more: runs differ by as much.
const RATIO_MIN: f64 = 1.02;

/// One measurement at one rate.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// 99th percentile of the response time, in milliseconds; absent below 1,000 transfers.
    pub p99_ms: Option<f64>,
    /// Committed transfers per second.
    pub achieved_tps: f64,
    /// Its place among the record's rows.
    pub row: usize,
    /// Why it does not keep up; `None` when it does.
    pub fails: Option<String>,
}

impl Trial {
    /// Judges a row of an open loop.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub fn of_row(row: &Row, place: usize, p99_limit_ms: f64) -> Self {
        let p99_ms = row.response_ms.unwrap_or(row.latency_ms).p99;
        let mut trial = Self {
            p99_ms,
            achieved_tps: row.tps,
            row: place,
            fails: None,
        };
        let Some(open) = &row.open_loop else {
            trial.fails = Some("the row was not measured in an open loop".to_owned());
            return trial;
        };
        trial.achieved_tps = open.achieved_tps;
        // What was due, not what was asked for: Poisson arrivals are now more and now fewer.
        let due = open.offered as f64 / row.seconds;
        let share = open.achieved_tps / due;
        trial.fails = if !row.valid {
            let first = row.verdicts.iter().find(|verdict| verdict.invalidates);
            let why = first.map_or("", |verdict| &verdict.message);
            Some(format!("the row is invalid: {why}"))
        } else if let Some(p99_ms) = p99_ms.filter(|p99_ms| *p99_ms > p99_limit_ms) {
            Some(format!(
                "p99 {} ms is above {} ms",
                figures::ms(p99_ms),
                figures::ms(p99_limit_ms)
            ))
        } else if share.is_nan() || share < ACHIEVED_SHARE_MIN {
            // Also when nothing was due, where the share is no number.
            Some(format!(
                "achieved {} of {} transfers per second",
                figures::rate(open.achieved_tps),
                figures::rate(due)
            ))
        } else if p99_ms.is_none() {
            Some(format!(
                "{} transfers are too few for a p99, which needs {}: measure longer with --duration",
                figures::grouped(row.committed),
                figures::grouped(Percentile::P99.samples_min())
            ))
        } else {
            None
        };
        let generator_bound = |verdict: &Verdict| verdict.code == VerdictCode::GeneratorBound;
        if let Some(why) = &mut trial.fails
            && row.verdicts.iter().any(generator_bound)
        {
            why.push_str("; the load generator may have been the limit");
        }
        trial
    }
}

/// What the search wants.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// A measurement at this rate, told by [`KneeSearch::tell`].
    Measure(f64),
    /// Nothing more.
    Done(Knee),
}

/// Bisection on a geometric scale, against noise.
///
/// The ends of the range come first: if the lower one fails or the upper one passes, there is
/// no knee to be found between them, and none is made up. Then the range is halved by ratio, as
/// often as was asked for or until its ends are within 2 %. A rate that fails is
/// measured again, and if that passes a third time: the majority counts. The rate that would
/// be the knee is confirmed in the same way, since a lucky pass would move the knee for good.
///
/// A server that passes, fails and passes again as the rate rises has several knees; what is
/// found is one of them, and that the next rate above it which was tried fails is still true.
#[derive(Debug, Clone)]
pub struct KneeSearch {
    from: f64,
    to: f64,
    p99_limit_ms: f64,
    steps_left: u32,
    tried: Vec<Tried>,
}

#[derive(Debug, Clone)]
struct Tried {
    rate: f64,
    trials: Vec<Trial>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Undecided,
    /// Passed at the first measurement, and not measured again.
    PassedOnce,
    Passed,
    Failed,
}

impl Tried {
    fn standing(&self) -> Standing {
        let failed = self.trials.iter().filter(|trial| trial.fails.is_some());
        let failed = failed.count();
        match (self.trials.len() - failed, failed) {
            (_, 2..) => Standing::Failed,
            (2.., _) => Standing::Passed,
            (1, 0) => Standing::PassedOnce,
            _ => Standing::Undecided,
        }
    }

    fn passes(&self) -> bool {
        matches!(self.standing(), Standing::Passed | Standing::PassedOnce)
    }

    /// As the last measurement that agrees with the majority found it.
    fn point(&self) -> Option<KneePoint> {
        let failed = self.standing() == Standing::Failed;
        let mut trials = self.trials.iter().rev();
        let trial = trials.find(|trial| trial.fails.is_some() == failed)?;
        Some(KneePoint {
            rate: self.rate,
            p99_ms: trial.p99_ms,
            achieved_tps: trial.achieved_tps,
            why: trial.fails.clone(),
            rows: self.trials.iter().map(|trial| trial.row).collect(),
        })
    }
}

impl KneeSearch {
    /// A search between two rates above 0 in transfers per second, the first below the second,
    /// with at most `steps` rates tried between them.
    #[must_use]
    pub fn new(from: f64, to: f64, p99_limit_ms: f64, steps: u32) -> Self {
        Self {
            from,
            to,
            p99_limit_ms,
            steps_left: steps,
            tried: Vec::new(),
        }
    }

    /// What to do next.
    #[must_use]
    pub fn next(&self) -> Next {
        let undecided = |tried: &&Tried| tried.standing() == Standing::Undecided;
        if let Some(tried) = self.tried.iter().find(undecided) {
            return Next::Measure(tried.rate);
        }
        // Between them the two ends settle whether there is anything to search.
        let Some(lowest) = self.at(self.from) else {
            return Next::Measure(self.from);
        };
        if !lowest.passes() {
            return self.done(KneeOutcome::LowestFails, None, Some(lowest));
        }
        let Some(highest) = self.at(self.to) else {
            return Next::Measure(self.to);
        };
        if highest.passes() {
            // Higher than it was asked for nothing is claimed, so a lucky pass matters less.
            return self.done(KneeOutcome::AllPass, Some(highest), None);
        }
        let by_rate = |a: &&Tried, b: &&Tried| a.rate.total_cmp(&b.rate);
        let fails = self.tried.iter().filter(|tried| !tried.passes());
        let fails = fails.min_by(by_rate).unwrap_or(highest);
        let below = |tried: &&Tried| tried.passes() && tried.rate < fails.rate;
        let passes = self.tried.iter().filter(below).max_by(by_rate);
        let passes = passes.unwrap_or(lowest);
        if self.steps_left > 0 && fails.rate / passes.rate > RATIO_MIN {
            return Next::Measure((fails.rate * passes.rate).sqrt());
        }
        if passes.standing() == Standing::PassedOnce {
            return Next::Measure(passes.rate);
        }
        self.done(KneeOutcome::Found, Some(passes), Some(fails))
    }

    /// What was measured at a rate that [`next`](Self::next) asked for.
    pub fn tell(&mut self, rate: f64, trial: Trial) {
        let same = |tried: &&mut Tried| tried.rate.total_cmp(&rate).is_eq();
        if let Some(tried) = self.tried.iter_mut().find(same) {
            tried.trials.push(trial);
            return;
        }
        if rate > self.from && rate < self.to {
            self.steps_left = self.steps_left.saturating_sub(1);
        }
        let trials = vec![trial];
        self.tried.push(Tried { rate, trials });
    }

    fn at(&self, rate: f64) -> Option<&Tried> {
        self.tried
            .iter()
            .find(|tried| tried.rate.total_cmp(&rate).is_eq())
    }

    fn done(&self, outcome: KneeOutcome, passes: Option<&Tried>, fails: Option<&Tried>) -> Next {
        Next::Done(Knee {
            from_tps: self.from,
            to_tps: self.to,
            p99_limit_ms: self.p99_limit_ms,
            achieved_share_min: ACHIEVED_SHARE_MIN,
            outcome,
            passes: passes.and_then(Tried::point),
            fails: fails.and_then(Tried::point),
        })
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "rates that come through unchanged")]
mod tests {
    use proptest::prelude::*;
    use rand_distr::{Distribution, Normal};
    use rand_xoshiro::Xoshiro256PlusPlus;
    use rand_xoshiro::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn a_row_is_judged_by_latency_by_what_was_achieved_and_by_its_verdicts() {
        let open = |offered, achieved| {
            let mut row = crate::record::fixtures::row();
            let mut open = crate::record::fixtures::open(1_000.0);
            row.seconds = 2.0;
            row.latency_ms.p99 = Some(4.0);
            (open.offered, open.achieved_tps) = (offered, achieved);
            row.open_loop = Some(open);
            row
        };
        let fails = |row: &Row| Trial::of_row(row, 0, 10.0).fails;
        // 1,980 of 2,000 is just enough; so is all of what Poisson arrivals made of it.
        assert_eq!(fails(&open(2_000, 990.0)), None);
        assert_eq!(fails(&open(1_900, 950.0)), None);
        assert!(
            fails(&open(2_000, 989.0))
                .unwrap()
                .contains("achieved 989 of 1,000")
        );
        assert!(fails(&open(0, 0.0)).is_some(), "nothing was due");
        let mut slow = open(2_000, 1_000.0);
        slow.response_ms = Some(crate::record::Latency {
            p99: Some(10.1),
            ..slow.latency_ms
        });
        assert!(
            fails(&slow)
                .unwrap()
                .contains("p99 10.1 ms is above 10.0 ms")
        );
        let mut few = open(1_000, 500.0);
        few.latency_ms.p99 = None;
        assert!(fails(&few).unwrap().contains("too few for a p99"));
        let mut invalid = open(2_000, 1_000.0);
        invalid.valid = false;
        assert!(fails(&invalid).unwrap().contains("invalid"));
        assert!(
            fails(&crate::record::fixtures::row())
                .unwrap()
                .contains("open loop")
        );
    }

    /// Searches a server that `keeps_up` describes; gives the result and the rates measured.
    fn search(
        (from, to, steps): (f64, f64, u32),
        mut keeps_up: impl FnMut(f64) -> bool,
    ) -> (Knee, Vec<f64>) {
        let mut search = KneeSearch::new(from, to, 10.0, steps);
        let mut measured = Vec::new();
        loop {
            match search.next() {
                Next::Done(knee) => return (knee, measured),
                Next::Measure(rate) => {
                    assert!(
                        measured.len() <= 3 * (steps as usize + 2),
                        "no end in sight"
                    );
                    let fails = (!keeps_up(rate)).then(|| "p99 20 ms is above 10 ms".to_owned());
                    search.tell(
                        rate,
                        Trial {
                            p99_ms: Some(if fails.is_some() { 20.0 } else { 5.0 }),
                            achieved_tps: rate,
                            row: measured.len(),
                            fails,
                        },
                    );
                    measured.push(rate);
                }
            }
        }
    }

    fn rate(point: Option<&KneePoint>) -> f64 {
        point.unwrap().rate
    }

    #[test]
    fn the_knee_of_a_steady_server_is_found() {
        let (knee, _) = search((1_000.0, 64_000.0, 8), |rate| rate <= 23_456.0);
        assert_eq!(knee.outcome, KneeOutcome::Found);
        let (passes, fails) = (rate(knee.passes.as_ref()), rate(knee.fails.as_ref()));
        assert!(passes <= 23_456.0 && 23_456.0 < fails, "{passes} {fails}");
        assert!(fails / passes < 1.02, "64^(1/256) after eight halvings");
        assert!(
            knee.passes.as_ref().unwrap().rows.len() == 2,
            "it was confirmed"
        );
        let text = knee.to_string();
        assert!(
            text.starts_with("knee: 23,") && text.contains("fails at 23,"),
            "{text}"
        );
    }

    #[test]
    fn a_server_that_never_fails_has_no_knee() {
        let (knee, measured) = search((100.0, 1_000.0, 8), |_| true);
        assert_eq!(knee.outcome, KneeOutcome::AllPass);
        assert_eq!(measured, [100.0, 1_000.0]);
        assert_eq!((rate(knee.passes.as_ref()), &knee.fails), (1_000.0, &None));
        let text = knee.to_string();
        assert!(
            text.starts_with("no knee found between 100 and 1,000: all pass"),
            "{text}"
        );
    }

    #[test]
    fn a_server_that_always_fails_has_none_either() {
        let (knee, measured) = search((100.0, 1_000.0, 8), |_| false);
        assert_eq!(knee.outcome, KneeOutcome::LowestFails);
        assert_eq!(
            measured,
            [100.0, 100.0],
            "failed twice, and nothing above is tried"
        );
        assert_eq!((&knee.passes, rate(knee.fails.as_ref())), (&None, 100.0));
        let text = knee.to_string();
        assert!(
            text.contains("the lowest fails already, 100/s (p99 20 ms"),
            "{text}"
        );
    }

    #[test]
    fn one_unlucky_measurement_is_outvoted() {
        let mut number = 0;
        let (knee, _) = search((1_000.0, 64_000.0, 8), |rate| {
            number += 1;
            // A stall of the machine in every fifth.
            rate <= 23_456.0 && number % 5 != 1
        });
        assert_eq!(knee.outcome, KneeOutcome::Found);
        let passes = rate(knee.passes.as_ref());
        assert!((23_000.0..=23_456.0).contains(&passes), "{passes}");
    }

    #[test]
    fn one_lucky_measurement_does_not_make_a_knee() {
        let mut at_middle = 0;
        let (knee, _) = search((1_000.0, 4_000.0, 1), |rate| {
            if (1_990.0..2_010.0).contains(&rate) {
                at_middle += 1;
                return at_middle == 1;
            }
            rate < 1_500.0
        });
        assert_eq!(rate(knee.passes.as_ref()), 1_000.0);
        assert!((rate(knee.fails.as_ref()) - 2_000.0).abs() < 1.0);
    }

    /// The rate that a server keeps up with moves by 5 % from one measurement to the next.
    #[test]
    fn a_noisy_server_has_its_knee_within_its_noise() {
        let noise = Normal::new(20_000.0, 1_000.0).unwrap();
        let mut off = 0;
        for seed in 0..200 {
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
            let (knee, _) = search((500.0, 50_000.0, 10), |rate| rate < noise.sample(&mut rng));
            assert_eq!(knee.outcome, KneeOutcome::Found);
            let passes = rate(knee.passes.as_ref());
            off += u32::from(!(18_000.0..22_000.0).contains(&passes));
        }
        assert!(
            off <= 10,
            "{off} of 200 are off by more than two deviations"
        );
    }

    #[test]
    fn a_server_that_recovers_at_higher_rates_gives_one_of_its_knees() {
        let keeps_up = |rate: f64| rate < 2_000.0 || (5_000.0..9_000.0).contains(&rate);
        let (knee, _) = search((1_000.0, 20_000.0, 8), keeps_up);
        assert_eq!(knee.outcome, KneeOutcome::Found);
        let (passes, fails) = (rate(knee.passes.as_ref()), rate(knee.fails.as_ref()));
        assert!(passes < fails && keeps_up(passes) && !keeps_up(fails));
    }

    proptest! {
        #[test]
        fn what_is_said_was_measured(
            limit in 1.0..1e6_f64,
            from in 1.0..1e4_f64,
            ratio in 1.01..1e3_f64,
            steps in 0..16_u32,
        ) {
            let to = from * ratio;
            let (knee, measured) = search((from, to, steps), |rate| rate <= limit);
            let expected = match limit {
                _ if limit < from => KneeOutcome::LowestFails,
                _ if limit >= to => KneeOutcome::AllPass,
                _ => KneeOutcome::Found,
            };
            prop_assert_eq!(knee.outcome, expected);
            prop_assert!(measured.len() <= 2 * (steps as usize + 2) + 1);
            for point in knee.passes.iter().chain(&knee.fails) {
                prop_assert!(point.rows.iter().all(|&row| measured[row] == point.rate));
                prop_assert_eq!(point.why.is_none(), point.rate <= limit);
            }
        }
    }
}
