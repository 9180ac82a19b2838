//! What makes a planned row the same row as one that was measured.

use std::time::Duration;

use busload_sqlite::Apply;

use super::{RowPlan, ServerChoice};
use crate::load::{Measure, Pace};
use crate::record::Row;
use crate::record::knobs::{Batch, Knobs, Number, OpenLoop};

impl Knobs {
    /// Of a row that is planned.
    #[must_use]
    pub fn of_plan(plan: &RowPlan) -> Self {
        let (durability_requested, apply, batch) = match &plan.server {
            ServerChoice::Own {
                spec, durability, ..
            } => (
                Some(durability.clone()),
                Some(apply_flag(&spec.args)),
                batch_flags(&spec.args),
            ),
            ServerChoice::Null { spec } => (None, None, batch_flags(&spec.args)),
            ServerChoice::Url { .. } => (None, None, None),
        };
        Self {
            name: plan.name.clone(),
            connector: plan.connector.as_str().to_owned(),
            encoding: plan.encoding.as_str().to_owned(),
            durability_requested,
            apply,
            batch,
            concurrency: plan.concurrency,
            max_inflight: plan.max_inflight,
            threads: plan.threads,
            alpha: Number(plan.zipf.alpha()),
            accounts: plan.zipf.account_count(),
            amount: plan.amount,
            seed: plan.seed,
            warmup_seconds: Number(plan.warmup.as_secs_f64()),
            op_timeout_seconds: Number(plan.op_timeout.as_secs_f64()),
            exactly_once: plan.exactly_once.is_some(),
            open_loop: match plan.pace {
                Pace::Closed => None,
                Pace::Open {
                    rate,
                    arrival,
                    latency_limit,
                } => Some(OpenLoop {
                    rate: Number(rate),
                    arrival,
                    latency_limit_ms: latency_limit.map(in_ms),
                }),
            },
        }
    }
}

/// How a server that is told this applies its batches.
pub(crate) fn apply_flag(args: &[String]) -> String {
    let flag = args.iter().find_map(|arg| arg.strip_prefix("--apply="));
    flag.unwrap_or(Apply::PerTransfer.as_str()).to_owned()
}

/// The batch knobs as the server is told them.
fn batch_flags(args: &[String]) -> Option<Batch> {
    let flag = |name: &str| args.iter().find_map(|arg| arg.strip_prefix(name));
    let size = flag("--batch-size=")?.parse().ok()?;
    let timeout = flag("--batch-timeout=")?.strip_suffix("us")?.parse().ok()?;
    Some(Batch {
        size: Number(size),
        timeout_us: Number(timeout),
    })
}

fn in_ms(time: Duration) -> Number {
    Number(time.as_secs_f64() * 1e3)
}

/// Whether a row measured as much as is planned.
#[must_use]
pub fn measured_as_long(row: &Row, measure: Measure) -> bool {
    match measure {
        // Windows end with a turn of the load loop, and are as long as they were.
        Measure::For(time) => (row.seconds - time.as_secs_f64()).abs() <= 0.01 * row.seconds,
        Measure::Transfers(count) => {
            row.committed + row.rejected + row.failed + row.unknown == count
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::connector::ConnectorKind;
    use crate::connector::{Encoding, Target};
    use crate::record::Arrival;
    use crate::record::knobs::tests::{once, open, row};
    use crate::target::ServerSpec;
    use crate::workload::Zipf;

    /// The plan that [`row`] could have been measured by.
    pub(crate) fn plan() -> RowPlan {
        let row = row();
        let args = vec![
            "serve".to_owned(),
            format!("--batch-size={}", row.batch_size.unwrap()),
            format!("--batch-timeout={}us", row.batch_timeout_us.unwrap()),
            "--queue=1000".to_owned(),
        ];
        RowPlan {
            name: None,
            connector: match row.connector.as_str() {
                "sqlite_rpc" => ConnectorKind::SqliteRpc,
                _ => ConnectorKind::SqliteWsRpc,
            },
            encoding: Encoding::Json,
            server: ServerChoice::Own {
                spec: ServerSpec {
                    program: "bench-client".into(),
                    args,
                },
                database: "a.sqlite".into(),
                durability: row.durability_requested.unwrap(),
                keep_db: false,
            },
            concurrency: row.concurrency,
            max_inflight: row.max_inflight_per_worker,
            threads: row.threads,
            pace: Pace::Closed,
            zipf: Arc::new(Zipf::new(row.accounts, row.alpha).unwrap()),
            initial_balance: 1000,
            amount: row.amount,
            seed: row.seed,
            warmup: Duration::from_secs_f64(row.warmup_seconds),
            measure: Measure::For(Duration::from_secs_f64(row.seconds)),
            op_timeout: Duration::from_secs_f64(row.op_timeout_seconds),
            exactly_once: None,
            interval: None,
            verify: None,
            null_server: None,
        }
    }

    #[test]
    fn a_row_has_the_knobs_of_its_plan() {
        assert_eq!(Knobs::of_row(&row()), Knobs::of_plan(&plan()));
        assert!(measured_as_long(&row(), plan().measure));
    }

    #[test]
    fn each_knob_tells_rows_apart() {
        let changes: [fn(&mut Row); 17] = [
            |row| row.connector.push('x'),
            |row| row.encoding.push('x'),
            |row| row.durability_requested = Some("memory".to_owned()),
            |row| row.apply = Some("coalesced".to_owned()),
            |row| row.batch_size = Some(7),
            |row| row.batch_timeout_us = Some(7.0),
            |row| row.concurrency += 1,
            |row| row.max_inflight_per_worker += 1,
            |row| row.threads += 1,
            |row| row.alpha += 0.01,
            |row| row.accounts += 1,
            |row| row.amount += 1,
            |row| row.seed += 1,
            |row| row.warmup_seconds += 0.1,
            |row| row.op_timeout_seconds += 1.0,
            |row| row.exactly_once = Some(once()),
            |row| row.open_loop = Some(open(5.0)),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut row = row();
            change(&mut row);
            assert_ne!(
                Knobs::of_row(&row),
                Knobs::of_plan(&plan()),
                "change {number}"
            );
        }
        let mut longer = row();
        longer.seconds *= 1.5;
        assert!(!measured_as_long(&longer, plan().measure));
        let counted = row().committed;
        assert!(measured_as_long(&row(), Measure::Transfers(counted)));
        assert!(!measured_as_long(&row(), Measure::Transfers(counted + 1)));
    }

    #[test]
    fn an_open_loop_is_known_by_rate_arrival_and_limit() {
        let mut row = row();
        row.open_loop = Some(open(1e4));
        let planned = |rate, arrival, limit| {
            let mut plan = plan();
            plan.pace = Pace::Open {
                rate,
                arrival,
                latency_limit: limit,
            };
            Knobs::of_plan(&plan)
        };
        let limit = Some(Duration::from_millis(10));
        let knobs = Knobs::of_row(&row);
        assert_eq!(knobs, planned(1e4, Arrival::Poisson, limit));
        assert_ne!(knobs, planned(1.01e4, Arrival::Poisson, limit));
        assert_ne!(knobs, planned(1e4, Arrival::Constant, limit));
        assert_ne!(knobs, planned(1e4, Arrival::Poisson, None));
    }

    #[test]
    fn a_server_at_a_url_sets_its_batches_itself() {
        let mut plan = plan();
        plan.server = ServerChoice::Url {
            target: Target::plain("127.0.0.1:1"),
            reseed: false,
        };
        let mut row = row();
        assert_ne!(Knobs::of_row(&row), Knobs::of_plan(&plan));
        row.durability_requested = None;
        assert_eq!(Knobs::of_row(&row), Knobs::of_plan(&plan));
    }
}
