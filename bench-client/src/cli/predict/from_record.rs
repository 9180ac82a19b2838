//! `predict --from RECORD`: the costs of a row that was measured, at other knobs.

use std::path::Path;

use bench_client::config::ConnectorKind;
use bench_client::judge::model::{Costs, ModelInputs, PipelinedCosts};
use bench_client::record::Row;
use bench_client::record::load_record::{AnyRecord, ReadError, Report};

use crate::cli::{usage, verbosity};

/// A row that was measured: its knobs, and what things cost in it.
#[derive(Debug, Clone)]
pub(super) struct Basis {
    /// Its knobs and costs.
    pub(super) inputs: ModelInputs,
    pub(super) connector: ConnectorKind,
    /// The mode that its server had.
    pub(super) durability: String,
    /// Which row, of which file.
    pub(super) called: String,
}

impl Basis {
    /// Reads the row with this number, from 1; without one the only one, or of repetitions of one
    /// the median.
    ///
    /// # Errors
    /// There is none that has costs, or several.
    pub(super) fn read(path: &Path, number: Option<usize>) -> anyhow::Result<Self> {
        let shown = path.display();
        let read = AnyRecord::read(path).map_err(|error| match error {
            ReadError::NoRows { verb, .. } => usage(&format!(
                "{shown} is a record of {verb}, which has no rows: give one of run or sweep"
            )),
            error => usage(&format!("{:#}", anyhow::Error::from(error))),
        })?;
        let cores = read.record.environment.machine.usable_cores;
        let report = Report::new(vec![read]);
        let rows = report.rows();
        if let Some(number) = number.filter(|number| *number > rows.len()) {
            return Err(usage(&format!(
                "--row {number}: {shown} has {} rows",
                rows.len()
            )));
        }
        let asked = rows
            .iter()
            .filter(|one| number.is_none_or(|number| one.number == number));
        let with_costs = asked.filter_map(|one| {
            let counts = one.row.valid && !one.row.interrupted;
            let inputs = ModelInputs::from_row(one.row, cores).filter(|_| counts)?;
            Some((one.number, one.row, inputs))
        });
        let mut with_costs: Vec<(usize, &Row, ModelInputs)> = with_costs.collect();
        let Some((_, first, _)) = with_costs.first() else {
            let which =
                number.map_or_else(|| "no row".to_owned(), |number| format!("row {number}"));
            let not = number.map_or("", |_| " not");
            return Err(usage(&format!(
                "{which} of {shown} does{not} tell costs: it takes a valid row that was measured to \
                 its end, of a server that this program started and that tells the times of its \
                 stages"
            )));
        };
        if with_costs
            .iter()
            .any(|(_, row, _)| row.config != first.config)
        {
            let numbers: Vec<String> = with_costs.iter().map(|(it, ..)| it.to_string()).collect();
            return Err(usage(&format!(
                "{shown} has rows of several settings, each with its own costs: name one with \
                 --row, of {}",
                numbers.join(", ")
            )));
        }
        with_costs.sort_by(|(_, a, _), (_, b, _)| a.tps.total_cmp(&b.tps));
        let (number, row, inputs) = with_costs.swap_remove(with_costs.len() / 2);
        if let Some(model) = &row.prediction
            && !model.refuted.is_empty()
        {
            verbosity::warning(&format!(
                "the model does not fit row {number} of {shown}, whose costs these are: {}",
                model.refuted.join("; ")
            ));
        }
        Ok(Self {
            inputs,
            connector: row.config.connector,
            durability: row.durability.clone(),
            called: format!("row {number} of {shown}"),
        })
    }

    /// What things cost where a message carries so many transfers.
    pub(super) fn costs(&self, per_message: f64) -> Option<PipelinedCosts> {
        let Costs::Pipelined(costs) = self.inputs.costs else {
            return None;
        };
        Some(costs.with_messages(self.connector.transport(), self.per_message(), per_message))
    }

    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    fn per_message(&self) -> f64 {
        let inputs = &self.inputs;
        (inputs.max_inflight_per_worker as f64).min(inputs.batch_size as f64)
    }
}
