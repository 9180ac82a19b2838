//! A prediction held against the row that it is of.

use crate::figures::rate;
use crate::record::{Bottleneck, Prediction, Row, SecondBudget};

/// A prediction whose TPS is off by more than this factor, either way, has failed. Where its
/// costs hold it is off by 1.2 at most on nine rows of ten (`docs/model.md`).
const FACTOR_MAX: f64 = 1.5;
/// What is busy for less than this share of the time does not limit anything.
const BUSY_SHARE_MIN: f64 = 0.5;
/// "All cores are busy" when they are for at least this share of the time.
const CORES_SHARE_MIN: f64 = 0.75;
/// A writer that waits for a batch to fill waits for at least this share of the time.
const WAITING_SHARE_MIN: f64 = 0.25;
/// A server that does all that is offered commits at least this share of it.
const ACHIEVED_SHARE_MIN: f64 = 0.99;

/// Holds the prediction against its row. One that the row refutes keeps the figures that
/// failed, says why, and names neither a limit nor a remedy. `cores` are those that client
/// and server shared.
#[must_use]
pub fn held_against(mut prediction: Prediction, row: &Row, cores: Option<u32>) -> Prediction {
    prediction.refuted = off(&prediction, row).into_iter().collect();
    if let Some(bottleneck) = prediction.bottleneck {
        prediction
            .refuted
            .extend(contradiction(bottleneck, row, cores));
    }
    if !prediction.refuted.is_empty() {
        prediction.bottleneck = None;
        prediction.remedy = None;
        prediction.limits.clear();
    }
    prediction
}

fn off(prediction: &Prediction, row: &Row) -> Option<String> {
    let factor = prediction.tps / row.tps;
    (factor.is_nan() || !(1.0 / FACTOR_MAX..=FACTOR_MAX).contains(&factor)).then(|| {
        format!(
            "{} TPS were measured and {} fitted",
            rate(row.tps),
            rate(prediction.tps)
        )
    })
}

/// What the row says against its being limited by this.
fn contradiction(bottleneck: Bottleneck, row: &Row, cores: Option<u32>) -> Option<String> {
    let second = row.budget.as_ref().and_then(|budget| budget.second);
    let idle = |second: SecondBudget| second.idle_ms / 1e3;
    let cores_used = |seconds: Option<f64>| Some(seconds? / row.seconds);
    match bottleneck {
        Bottleneck::DiskSync | Bottleneck::WriterCpu | Bottleneck::Database => {
            let idle = idle(second?);
            (idle > 1.0 - BUSY_SHARE_MIN).then(|| {
                format!(
                    "the writer was idle for {:.0} ms of each second",
                    idle * 1e3
                )
            })
        }
        Bottleneck::EmptyBusStop => {
            let idle = idle(second?);
            (idle < WAITING_SHARE_MIN)
                .then(|| format!("the writer waited for {:.0} ms of each second", idle * 1e3))
        }
        Bottleneck::TransportCpu => {
            let writer = second?;
            let writer = writer.apply_ms + writer.commit_write_ms + writer.answer_ms;
            let busy = cores_used(row.cpu.server_s)? - writer / 1e3;
            (busy < BUSY_SHARE_MIN).then(|| {
                format!(
                    "besides its writer the server used {:.2} cores",
                    busy.max(0.0)
                )
            })
        }
        Bottleneck::Generator => {
            let threads = &row.generator.as_ref()?.thread_cpu;
            let busiest = threads.iter().copied().reduce(f64::max)?;
            (busiest < BUSY_SHARE_MIN).then(|| {
                format!(
                    "the busiest client thread was busy for {:.0} % of the window",
                    busiest * 100.0
                )
            })
        }
        Bottleneck::Cores => {
            let cores = f64::from(cores?);
            let steal = row.cpu.steal_s.unwrap_or(0.0);
            let used = cores_used(Some(row.cpu.client_s? + row.cpu.server_s? + steal))?;
            (used < CORES_SHARE_MIN * cores)
                .then(|| format!("client and server used {used:.2} of {cores:.0} cores"))
        }
        Bottleneck::OfferedRate => {
            let open = row.open_loop.as_ref()?;
            #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
            let offered = open.offered as f64;
            (open.achieved_tps * row.seconds < ACHIEVED_SHARE_MIN * offered).then(|| {
                format!(
                    "{} of {} offered transfers per second were committed",
                    rate(open.achieved_tps),
                    rate(offered / row.seconds)
                )
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fixtures::{open, row};
    use crate::record::{Budget, Generator};

    fn prediction(tps: f64, bottleneck: Bottleneck) -> Prediction {
        Prediction {
            tps,
            p50_ms: 1.0,
            mean_batch: 1.0,
            bottleneck: Some(bottleneck),
            remedy: Some("turn a knob".to_owned()),
            limits: Vec::new(),
            refuted: Vec::new(),
        }
    }

    /// A row of 1,000 TPS over 2 s, whose writer was idle for so long of each second.
    fn measured(idle_ms: f64) -> Row {
        let mut row = row();
        (row.tps, row.seconds) = (1_000.0, 2.0);
        row.cpu.client_s = Some(0.6);
        row.cpu.server_s = Some(1.0);
        row.cpu.steal_s = None;
        row.budget = Some(Budget {
            mean_us: 1_000.0,
            stages: Vec::new(),
            second: Some(SecondBudget {
                sync_ms: 0.0,
                commit_write_ms: 100.0,
                apply_ms: 1_000.0 - 100.0 - idle_ms,
                answer_ms: 0.0,
                checkpoint_ms: 0.0,
                idle_ms,
            }),
            withheld: Vec::new(),
        });
        row.generator = Some(Generator {
            thread_cpu: vec![0.3, 0.1],
            event_loop_lag_us: None,
            ceiling_tps: None,
            ceiling_refuted: None,
        });
        row
    }

    /// What the row says against a prediction that is right about TPS.
    fn refuted(bottleneck: Bottleneck, row: &Row) -> Vec<String> {
        let held = held_against(prediction(1_000.0, bottleneck), row, Some(2));
        assert_eq!(held.bottleneck.is_none(), !held.refuted.is_empty());
        assert_eq!(held.remedy.is_none(), !held.refuted.is_empty());
        held.refuted
    }

    #[test]
    fn a_busy_writer_is_refuted_by_an_idle_one() {
        for bottleneck in [
            Bottleneck::WriterCpu,
            Bottleneck::DiskSync,
            Bottleneck::Database,
        ] {
            assert_eq!(
                refuted(bottleneck, &measured(608.0)),
                ["the writer was idle for 608 ms of each second"]
            );
            assert_eq!(refuted(bottleneck, &measured(20.0)), Vec::<String>::new());
        }
        assert_eq!(
            refuted(Bottleneck::EmptyBusStop, &measured(20.0)),
            ["the writer waited for 20 ms of each second"]
        );
        assert!(refuted(Bottleneck::EmptyBusStop, &measured(800.0)).is_empty());
    }

    #[test]
    fn whatever_is_said_to_be_busy_is_refuted_by_its_idleness() {
        // 0.5 cores of the server, all of them the writer's.
        let idle = measured(500.0);
        assert!(refuted(Bottleneck::TransportCpu, &idle)[0].contains("used 0.00 cores"));
        assert!(refuted(Bottleneck::Generator, &idle)[0].contains("30 %"));
        assert!(refuted(Bottleneck::Cores, &idle)[0].contains("0.80 of 2 cores"));
        let mut busy = measured(500.0);
        busy.cpu.server_s = Some(2.8);
        busy.generator.as_mut().unwrap().thread_cpu = vec![0.95];
        for bottleneck in [
            Bottleneck::TransportCpu,
            Bottleneck::Generator,
            Bottleneck::Cores,
        ] {
            assert_eq!(refuted(bottleneck, &busy), Vec::<String>::new());
        }
    }

    #[test]
    fn a_server_that_falls_behind_refutes_that_it_can_do_more() {
        let mut behind = measured(100.0);
        let mut offered = open(1_000.0);
        (offered.offered, offered.achieved_tps) = (2_000, 900.0);
        behind.open_loop = Some(offered.clone());
        assert!(
            refuted(Bottleneck::OfferedRate, &behind)[0]
                .contains("900 of 1,000 offered transfers per second")
        );
        offered.achieved_tps = 999.0;
        behind.open_loop = Some(offered);
        assert!(refuted(Bottleneck::OfferedRate, &behind).is_empty());
    }

    #[test]
    fn tps_that_are_far_off_leave_no_limit_and_no_remedy() {
        for (predicted, fails) in [
            (1_400.0, false),
            (700.0, false),
            (1_600.0, true),
            (600.0, true),
        ] {
            let held = held_against(
                prediction(predicted, Bottleneck::WriterCpu),
                &measured(20.0),
                Some(2),
            );
            assert_eq!(!held.refuted.is_empty(), fails, "{predicted}");
            assert_eq!(held.bottleneck.is_none(), fails, "{predicted}");
            assert!((held.tps - predicted).abs() < 1e-9, "what failed is kept");
        }
    }

    #[test]
    fn an_error_above_zero_promised_too_much() {
        assert!((Prediction::error(93.0, 100.0).unwrap() + 0.07).abs() < 1e-9);
        assert!((Prediction::error(107.0, 100.0).unwrap() - 0.07).abs() < 1e-9);
        assert_eq!(Prediction::error(100.0, 0.0), None);
    }
}
