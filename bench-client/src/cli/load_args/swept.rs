//! The plans of a sweep: the flags with one or two of them replaced by many values.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bench_client::record::{Axis, Knob};
use bench_client::row::RowPlan;

use super::LoadArgs;
use crate::cli::usage;

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
            for (knob, value) in point {
                self.set(knob, value);
            }
            self.check_open_loop()?;
            for mut plan in self.combinations()? {
                let table = tables.entry(plan.zipf.alpha().to_bits());
                plan.zipf = Arc::clone(table.or_insert(plan.zipf));
                plans.push(plan);
            }
        }
        self.check(&plans)?;
        Ok(plans)
    }

    /// The plans of a search by rate: in a closed loop, and at its first rate.
    pub(crate) fn searched(&mut self, rate: f64) -> anyhow::Result<[RowPlan; 2]> {
        self.refuse_lists()?;
        let plans = [self.at_rate(None)?, self.at_rate(Some(rate))?];
        self.check(&plans)?;
        Ok(plans)
    }

    /// The one plan at this rate; in a closed loop without one.
    pub(crate) fn at_rate(&mut self, rate: Option<f64>) -> anyhow::Result<RowPlan> {
        self.rate = rate.into_iter().collect();
        let mut plans = self.combinations()?.into_iter();
        match (plans.next(), plans.next()) {
            (Some(plan), None) => Ok(plan),
            _ => Err(usage(
                "--find-knee searches for one connector: name it with --connectors",
            )),
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
            Knob::Rate => self.rate = vec![value],
        }
    }

    fn refuse_lists(&self) -> anyhow::Result<()> {
        let lists = [
            (self.alpha.len(), "alpha"),
            (self.rate.len(), "rate"),
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
