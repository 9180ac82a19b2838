//! Group commit: the thread that writes, or one of several.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::batch::{Batch, Ended, OutcomeCounts};
use crate::call::{ControlCall, ControlReply, check_seeding};
use crate::error::EngineError;
use crate::failpoint;
use crate::health::Degradation;
use crate::ledger::{IoReader, Ledger, Storage};
use crate::monitor::Monitor;
use crate::outcome::{Failure, Outcome};
use crate::port::{Reply, ReplyPort};
use crate::queue::{Control, Job, Queue, Taken, Turn};
use crate::stats::SharedStats;

/// Gives a turn back, also when the writer's loop ends with an error or a panic: the others wait
/// for it.
struct UntilDone<A: Clone>(Arc<Queue<A>>, Turn);

impl<A: Clone> Drop for UntilDone<A> {
    fn drop(&mut self) {
        self.0.done(self.1);
    }
}

pub(crate) struct Writer<P: ReplyPort> {
    queue: Arc<Queue<P::Address>>,
    stats: Arc<SharedStats>,
    monitor: Monitor,
    io: Arc<IoReader>,
    port: P,
    batch_timeout: Duration,
    /// Those of several writers that have not ended; `None` is one that is alone.
    several: Option<Arc<AtomicUsize>>,
    /// Kept from batch to batch for the room that they have, as the next two are.
    batch: Batch,
    addresses: Vec<P::Address>,
    replies: Vec<Reply<P::Address>>,
}

impl<P: ReplyPort> Writer<P> {
    pub(crate) fn new(
        queue: Arc<Queue<P::Address>>,
        monitor: Monitor,
        io: Arc<IoReader>,
        port: P,
        batch_timeout: Duration,
        several: Option<Arc<AtomicUsize>>,
    ) -> Self {
        failpoint::arm();
        Self {
            queue,
            stats: Arc::clone(&monitor.stats),
            monitor,
            io,
            port,
            batch_timeout,
            several,
            batch: Batch::new(),
            addresses: Vec::new(),
            replies: Vec::new(),
        }
    }

    /// Works until the queue is closed and empty or an error stops the engine, and sees to it that
    /// everybody is answered whatever ends it. Closes the ledger after that.
    pub(crate) fn run(mut self, mut storage: Box<dyn Storage>) -> Result<(), EngineError> {
        let result = catch_unwind(AssertUnwindSafe(|| {
            storage.with_ledger(&mut |ledger| self.serve(ledger))
        }));
        // Nobody may go on queueing for a dead writer, whatever it died of.
        self.queue.close();
        if !matches!(result, Ok(Ok(()))) {
            self.refuse_the_rest();
        }
        let others = self.several.as_ref();
        if others.is_none_or(|left| left.fetch_sub(1, Ordering::SeqCst) == 1) {
            self.port.stopped();
        }
        result.unwrap_or_else(|panic| resume_unwind(panic))
    }

    fn serve(&mut self, ledger: &mut dyn Ledger) -> Result<(), EngineError> {
        self.stats.record_transfer_ids(ledger.transfer_ids());
        if self.several.is_some() {
            while let Some((taken, turn)) =
                (self.queue).take_turn(self.batch_timeout, ledger.next_look())
            {
                let _until_dropped = UntilDone(Arc::clone(&self.queue), turn);
                self.turn(ledger, taken)?;
            }
        } else {
            while let Some(taken) = self.queue.take(self.batch_timeout, ledger.next_look()) {
                self.turn(ledger, taken)?;
            }
        }
        let closed = ledger.close(&mut self.monitor);
        self.tell(closed)
    }

    fn turn(
        &mut self,
        ledger: &mut dyn Ledger,
        Taken { work, control }: Taken<P::Address>,
    ) -> Result<(), EngineError> {
        let is_idle = work.is_empty() && control.is_none();
        let looked = ledger.look(is_idle, &mut self.monitor);
        self.tell(looked)?;
        if self.monitor.health.has(Degradation::StorageFull) {
            self.refuse(work, Failure::StorageFull);
        } else if !work.is_empty() {
            self.transfers(ledger, work)?;
        }
        if let Some(control) = control {
            self.call(ledger, control)?;
        }
        Ok(())
    }

    /// Passes on what a call of the ledger had to tell.
    fn tell(&mut self, called: Result<(), EngineError>) -> Result<(), EngineError> {
        for notice in self.monitor.take_news() {
            self.port.notice(notice);
        }
        called
    }

    fn transfers(
        &mut self,
        ledger: &mut dyn Ledger,
        jobs: Vec<Job<P::Address>>,
    ) -> Result<(), EngineError> {
        let batch = &mut self.batch;
        batch.renew();
        for Job {
            to,
            work,
            queued_at,
        } in jobs
        {
            self.addresses.push(to);
            batch.push(work, queued_at);
        }
        let ended = ledger.commit(batch);
        failpoint::reach(failpoint::AFTER_COMMIT);
        batch.is_committed = matches!(ended, Ended::Committed);
        batch.transfer_ids = ledger.transfer_ids();
        batch.count();
        self.stats.count(batch);
        let answering = Instant::now();
        let answered = self.addresses.drain(..).zip(batch.work.drain(..));
        self.replies
            .extend(answered.map(|(to, work)| Reply { to, work }));
        self.port.transfers(&mut self.replies);
        batch.answer = answering.elapsed();
        self.stats.time(batch);
        failpoint::reach(failpoint::AFTER_ANSWER);
        if let Ended::InDoubt(error) = ended {
            return Err(error);
        }
        let seen_to = ledger.after_write(&mut self.monitor);
        self.tell(seen_to)
    }

    fn call(
        &mut self,
        ledger: &mut dyn Ledger,
        control: Control<P::Address>,
    ) -> Result<(), EngineError> {
        let Control { to, id, call } = control;
        let reply = self.answer(ledger, &call);
        self.port.control(to, id, reply);
        if matches!(call, ControlCall::Seed { may_wipe: true, .. }) {
            // A COMMIT as well, of which the same must be known.
            let seen_to = ledger.after_write(&mut self.monitor);
            return self.tell(seen_to);
        }
        Ok(())
    }

    fn answer(
        &self,
        ledger: &mut dyn Ledger,
        call: &ControlCall,
    ) -> Result<ControlReply, EngineError> {
        match *call {
            ControlCall::GetAccount { id } => Ok(ControlReply::Account(ledger.account(id)?)),
            ControlCall::Seed {
                accounts,
                initial_balance,
                may_wipe,
            } => {
                check_seeding(accounts, initial_balance)?;
                if may_wipe {
                    ledger.seed(accounts, initial_balance)?;
                    self.stats.record_transfer_ids(ledger.transfer_ids());
                } else if !ledger.is_just_seeded(accounts, initial_balance)? {
                    return Err(EngineError::MustNotWipe);
                }
                Ok(ControlReply::Seeded)
            }
            ControlCall::Verify => Ok(ControlReply::Verified(ledger.verify()?)),
            ControlCall::Stats { histograms } => {
                // First: a ledger that is told of its syncs by a database asks for them here.
                let balances = ledger.balances()?.balances();
                let (io, queue) = ((self.io)(), self.queue.counts());
                let snapshot = self.stats.snapshot(io, queue, histograms);
                let snapshot = snapshot.with_balances(balances);
                Ok(ControlReply::Stats(Box::new(snapshot)))
            }
        }
    }

    /// What was queued and not started when the writer stopped was not applied. Other writers
    /// that go on to the end of the queue may yet apply some of it: each transfer is taken once.
    fn refuse_the_rest(&mut self) {
        while let Some(Taken { work, control }) = self.queue.take(Duration::ZERO, None) {
            self.refuse(work, Failure::ShuttingDown);
            if let Some(Control { to, id, .. }) = control {
                self.port.control(to, id, Err(EngineError::ShuttingDown));
            }
        }
    }

    /// Answers what was never begun.
    fn refuse(&mut self, jobs: Vec<Job<P::Address>>, failure: Failure) {
        if jobs.is_empty() {
            return;
        }
        let mut outcomes = OutcomeCounts::default();
        let mut replies = Vec::with_capacity(jobs.len());
        for Job { to, mut work, .. } in jobs {
            for one in &mut work {
                one.outcome = Outcome::Failed(failure);
                outcomes.count(one.outcome);
            }
            replies.push(Reply { to, work });
        }
        self.stats.record_refused(&outcomes);
        self.port.transfers(&mut replies);
    }
}
