//! A server is put under load and interrupted, and must then be gone.

use std::collections::BTreeSet;

use super::super::bank::Snapshots;
use super::super::cycle::{self, End, Happened, Surroundings};
use super::super::fault::{Fault, Schedule};
use super::super::journal::Journal;
use super::super::server_command::VACATING;
use super::super::worker::Habits;
use super::starting::Told;
use super::{Audit, Progress, TortureError, stopped};
use crate::record::torture::FindingKind;
use crate::target::TargetError;
use crate::target::descendants::Survivors;

impl Audit<'_> {
    /// Puts the load on and interrupts. Under a wrapper a server of its own is started for it:
    /// the ledger were read from one without. `None` when the user ends the audit before that one
    /// is there.
    pub(super) async fn interrupt(
        &mut self,
        fault: &mut dyn Fault,
        schedule: &Schedule,
        journal: &Journal,
        progress: &mut dyn Progress,
    ) -> Result<Option<Happened>, TortureError> {
        if !schedule.wrapper.is_empty() {
            let left = self.server.end().await;
            if let Some(why) = self.outlived(left.err()).await {
                let mut happened = struck_at_start("it was never interrupted".to_owned());
                happened.cannot_vouch = Some(why);
                return Ok(Some(happened));
            }
            let command = &self.plan.command;
            let waiting = &mut Told::to(progress);
            let starting = command.start(&schedule.wrapper, &self.database, false, waiting);
            let mut told = self.interrupted.clone();
            let started = tokio::select! {
                started = starting => started,
                () = stopped(&mut told) => return Ok(None),
            };
            match started {
                Ok(server) => self.server = server,
                // The moment came before the server was ready.
                Err(TargetError::NotReady { why, .. }) => return Ok(Some(struck_at_start(why))),
                Err(error) => return Err(error.into()),
            }
        }
        let around = Surroundings {
            wire: self.plan.command.wire,
            habits: Habits {
                window: self.plan.window as usize,
                answer_timeout: self.plan.answer_timeout,
            },
            journal: journal.handle(),
            cycle: self.plan.cycle,
            bank: &self.bank,
            own: self.plan.command.is_own(),
            interrupted: self.interrupted.clone(),
        };
        let happened = cycle::run(
            &mut self.server,
            fault,
            schedule,
            &mut self.generators,
            &around,
        )
        .await?;
        Ok(Some(happened))
    }

    /// The server has ended, with all that it had started but these. When something of it is
    /// still there, or somebody else answers in its place, the text says so.
    pub(super) async fn outlived(
        &self,
        survivors: Option<Survivors>,
    ) -> Option<(FindingKind, String)> {
        if let Some(survivors) = survivors {
            let why = format!(
                "{survivors}: what they hold may be the ledger, and nothing more can \
                               be said of it"
            );
            return Some((FindingKind::StillRuns, why));
        }
        let place = self.plan.command.still_answering().await?;
        let why = format!(
            "{} still accepts connections {VACATING:?} after the end of the server and of all that \
             it had started: what was killed is not what answers there, and nothing more can be \
             said of it; --server-command must start the server itself",
            place.authority
        );
        Some((FindingKind::StillAnswers, why))
    }
}

fn struck_at_start(why: String) -> Happened {
    Happened {
        seen: Vec::new(),
        snapshots: Snapshots::default(),
        end: End::at_start(why),
        outsiders: BTreeSet::new(),
        cannot_vouch: None,
    }
}
