//! Exactly once: a worker sends transfers of unknown outcome again.

use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use busload_wire::Transfer;

use super::super::Pacer;
use super::super::resolve::{Judged, Resolver};
use super::Worker;
use crate::connector::{Connector, Outcome, Session as _, TransportError};

impl<C: Connector, P: Pacer> Worker<C, P> {
    /// What this outcome of a request says about its transfer, and when that was sent first if
    /// it was sent again since; `None` when it is to be sent again.
    pub(super) fn conclude(
        &mut self,
        slot: u32,
        outcome: Outcome,
        now: Instant,
    ) -> Option<(Outcome, Option<Instant>)> {
        let Some(resolver) = &mut self.resolver else {
            return Some((outcome, None));
        };
        let sent = self.slots.all[slot as usize].sent;
        match resolver.judge(slot, sent, outcome, now) {
            Judged::Closed(outcome, first_sent) => Some((outcome, first_sent)),
            Judged::Open => {
                self.slots.park(slot);
                None
            }
        }
    }

    /// Sends again what is of unknown outcome and due.
    pub(super) fn send_again(&mut self, now: Instant) -> Result<(), TransportError> {
        if !self.has_open() {
            return Ok(());
        }
        self.give_up_overdue(now);
        let due = self.resolver.as_ref().map(|resolver| resolver.due(now));
        for slot in due.unwrap_or_default() {
            let Some(resolver) = &mut self.resolver else {
                break;
            };
            let transfer_id = Some(resolver.send_again(slot));
            let Some(id) = self.slots.renew(slot, now) else {
                break;
            };
            let pair = self.slots.all[slot as usize].pair;
            let transfer = Transfer {
                from: i64::from(pair.from),
                to: i64::from(pair.to),
                amount: self.amount,
                transfer_id,
            };
            // What was not taken is in flight for the recovery that follows, and lost with
            // the session.
            self.session.submit(id, transfer)?;
        }
        Ok(())
    }

    pub(super) fn has_open(&self) -> bool {
        self.resolver.as_ref().is_some_and(Resolver::has_open)
    }

    /// What could not be sent again in time stays unknown, and so does what nobody is left to be
    /// asked about.
    pub(super) fn give_up_overdue(&mut self, now: Instant) {
        let Some(resolver) = &mut self.resolver else {
            return;
        };
        let overdue = if self.signals.gone.load(Ordering::Relaxed) {
            resolver.waiting()
        } else {
            resolver.overdue(now)
        };
        let overdue: Vec<_> = overdue
            .into_iter()
            .map(|slot| (slot, resolver.give_up(slot)))
            .collect();
        for (slot, first_sent) in overdue {
            let phase = self.phase_for_quota(self.phase(now));
            let recorder = Rc::clone(&self.recorder);
            let recorder = &mut recorder.borrow_mut();
            recorder.turn(now);
            self.close(recorder, slot, Outcome::Unknown, first_sent, now, phase);
        }
    }
}
