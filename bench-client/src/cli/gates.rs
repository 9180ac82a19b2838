//! `--fail-if` of rows that are compared with nothing.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

use bench_client::config::heading::EXIT_CODE;
use bench_client::judge::gate::{Gate, fails, judge_rows, of_a_row};
use bench_client::record::Record;
use bench_client::record::load_record::{AnyRecord, Report};
use bench_client::render::records::report;
use clap::Args;

use super::fail_on::FailOnArgs;
use super::output::summarise_step;

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct GateArgs {
    /// Exit with 3 when a row shows this: 'tps<50k', 'p99>5ms'
    ///
    /// Also p50 and p95, and times in us; as often as needed. Each row is held against it, of
    /// repetitions (--runs) their median. What changed by how much is compare's to say.
    #[arg(long, help_heading = EXIT_CODE, value_name = "GATE", value_parser = of_a_row)]
    fail_if: Vec<Gate>,
    /// Exit with 3 also when a gate is undecided, as --strict does
    ///
    /// As one on a percentile is, of a row with too few transfers.
    #[arg(long, help_heading = EXIT_CODE, requires = "fail_if")]
    fail_undecided: bool,
}

impl GateArgs {
    /// Whether there is one.
    pub(crate) fn are_asked_for(&self) -> bool {
        !self.fail_if.is_empty()
    }

    /// Holds the rows that are in the record against every gate.
    pub(crate) fn judge(&self, record: &mut Record) {
        record.gates = judge_rows(&self.fail_if, &record.rows);
    }

    /// Whether what the gates came to fails the verb. Where it runs in a step of GitHub Actions,
    /// its summary has them.
    pub(crate) fn fail(&self, record: &Record, fail_on: &FailOnArgs) -> bool {
        if self.are_asked_for() {
            let mut one = AnyRecord::of_record(record.clone());
            "this step".clone_into(&mut one.file);
            let report = Report::new(vec![one]);
            // A histogram that cannot be read is no reason to end otherwise.
            let _ = report::document(&report).map(|document| summarise_step(&document));
        }
        fails(&record.gates, self.fail_undecided || fail_on.is_strict())
    }
}
