//! What is to be done: stages of faults, and crash states.

use anyhow::Context as _;
use bench_client::record::torture::FaultKind;
use bench_client::record::torture::TortureRecord;
use bench_client::torture::fault::Fault;
use bench_client::torture::plan::{Plan, Stage};
use bench_client::torture::signals::SignalFault;
use bench_client::torture::traced::{TracedFault, Tracer};

use super::place::Place;
use super::power::States;
use super::{TortureArgs, skip, usage};

/// All of it.
#[derive(Default)]
pub(super) struct Work {
    pub(super) stages: Vec<Stage>,
    /// Crash states to be replayed.
    pub(super) states: Option<States>,
}

impl TortureArgs {
    /// One stage for all faults that any directory will do for; power cuts have a file system,
    /// and so a stage, of their own.
    pub(super) fn work(
        &self,
        plan: &Plan,
        place: &Place,
        record: &mut TortureRecord,
    ) -> anyhow::Result<Work> {
        let mut work = Work::default();
        let mut kinds = self.faults.clone();
        kinds.sort_unstable();
        kinds.dedup();
        let mut faults: Vec<Box<dyn Fault>> = Vec::new();
        let mut tracer = None;
        for kind in kinds {
            let fault: Result<Box<dyn Fault>, String> = match kind {
                FaultKind::Kill => Ok(Box::new(SignalFault::kill())),
                FaultKind::Term => Ok(Box::new(SignalFault::term())),
                FaultKind::PowerCut => {
                    let (cuts, states) = self.power(plan, place, record)?;
                    work.stages.extend(cuts);
                    work.states = states;
                    continue;
                }
                _ => tracer
                    .get_or_insert_with(|| Tracer::find(&place.directory))
                    .clone()
                    .and_then(|tracer| {
                        let fault = TracedFault::new(kind, tracer, plan.command.is_own());
                        fault.ok_or_else(|| "it is not made by strace".to_owned())
                    })
                    .map(|fault| Box::new(fault) as Box<dyn Fault>),
            };
            match fault {
                Ok(fault) => faults.push(fault),
                Err(why) => skip(kind, why, record),
            }
        }
        if !faults.is_empty() {
            let named = self.database.clone();
            let database = named.unwrap_or_else(|| place.directory.join("ledger.sqlite"));
            let stage = Stage {
                number: 0,
                faults,
                cycles: self.kills(),
                database: std::path::absolute(database).context("there is no current directory")?,
                journal: place.directory.join("journal"),
            };
            work.stages.insert(0, stage);
        }
        if work.stages.is_empty() && work.states.is_none() {
            place.clear_up(false, record);
            return Err(usage("none of the faults of --faults can be injected here"));
        }
        Ok(work)
    }
}
