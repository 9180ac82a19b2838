//! The plans of a sweep: the flags with one or two of them replaced by many values.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bench_client::load::{Arrival, Pace};
use bench_client::row::RowPlan;
use bench_client::sweep::{Axis, Knob};

use super::{LoadArgs, usage};

impl LoadArgs {
    /// One plan per combination of swept values and connector, the first knob outermost.
    pub(crate) fn swept(&mut self, over: &[Axis]) -> anyhow::Result<Vec<RowPlan>> {
        self.refuse_lists()?;
        let mut points: Vec<Vec<(Knob, f64)>> = vec![Vec::new()];
        for axis in over {
            let with_each = points.iter().flat_map(|point| {
                axis.values.iter().map(|&value| {
                    let mut point = point.clone();
                    point.push((axis.knob, value));
                    point
                })
            });
            points = with_each.collect();
        }
        let mut plans = Vec::new();
        // A table of accounts is large: one per alpha.
        let mut tables = HashMap::new();
        for point in points {
            let mut pace = None;
            for (knob, value) in point {
                match knob {
                    Knob::Rate => pace = Some(self.open_loop(value)),
                    _ => self.set(knob, value),
                }
            }
            for mut plan in self.combinations()? {
                plan.pace = pace.unwrap_or(plan.pace);
                let table = tables.entry(plan.zipf.alpha().to_bits());
                plan.zipf = Arc::clone(table.or_insert(plan.zipf));
                plans.push(plan);
            }
        }
        self.check(&plans)?;
        Ok(plans)
    }

    /// An open loop at this rate.
    #[expect(
        clippy::unused_self,
        reason = "the other flags of the open loop belong here"
    )]
    pub(crate) fn open_loop(&self, rate: f64) -> Pace {
        Pace::Open {
            rate,
            arrival: Arrival::Constant,
            latency_limit: None,
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts are checked to be whole and within bounds when they are read"
    )]
    fn set(&mut self, knob: Knob, value: f64) {
        match knob {
            Knob::Alpha => self.alpha = vec![value],
            Knob::Concurrency => self.concurrency = value as u32,
            Knob::MaxInflightPerWorker => self.max_inflight_per_worker = vec![value as usize],
            Knob::BatchSize => self.server.batch_size = vec![value as usize],
            Knob::BatchTimeout => {
                self.server.batch_timeout = Some(Duration::from_secs_f64(value / 1e6));
            }
            Knob::Rate => {}
        }
    }

    fn refuse_lists(&self) -> anyhow::Result<()> {
        let lists = [
            (self.alpha.len(), "alpha"),
            (
                self.max_inflight_per_worker.len(),
                "max-inflight-per-worker",
            ),
            (self.server.batch_size.len(), "batch-size"),
        ];
        match lists.into_iter().find(|(values, _)| *values > 1) {
            Some((_, knob)) => Err(usage(&format!(
                "a sweep has one fixed value of --{knob}: give the list as --over {knob}=V,V"
            ))),
            None => Ok(()),
        }
    }
}
