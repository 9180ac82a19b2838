//! An audit: cycle after cycle on one database, with the ledger read between them.

mod interrupting;
mod judging;
pub(super) mod starting;
mod unread;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::sync::watch;

use super::bank::{Bank, Reading};
use super::cycle::CycleError;
use super::draw::Draw;
use super::fault::{ExpectedExit, Fault, FaultError};
use super::findings::Findings;
use super::journal::{Journal, JournalError, Record};
use super::judge::History;
use super::ledger::Balances;
use super::plan::{Plan, Stage};
use super::transfer_generator::{Amounts, TransferGenerator};
use crate::control::ControlError;
use crate::load::session_half;
use crate::record::torture::{Counts, CycleRow, Finding, FindingKind, SyncCount, TortureRecord};
use crate::record::torture::{FaultKind, Moment};
use crate::target::{ServerProcess, TargetError};
use crate::workload::worker_seed;
use starting::{Back, Told};

/// Longest wait for a server that was told to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// An audit could not be begun, or not be finished.
#[derive(Debug, thiserror::Error)]
pub enum TortureError {
    /// The server could not be started the first time.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// It does not answer.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The ledger cannot be kept.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// An interruption could not be made.
    #[error(transparent)]
    Fault(#[from] FaultError),
    /// The server cannot be audited.
    #[error("{0}")]
    Unsuitable(String),
}

impl From<CycleError> for TortureError {
    fn from(error: CycleError) -> Self {
        match error {
            CycleError::Journal(error) => Self::Journal(error),
            CycleError::Fault(error) => Self::Fault(error),
        }
    }
}

/// Follows an audit.
pub trait Progress {
    /// A cycle begins.
    fn begins(&mut self, number: u32, fault: FaultKind);
    /// A cycle has been judged.
    fn cycle(&mut self, row: &CycleRow, findings: &[Finding]);
    /// Something takes long: what is waited for.
    fn waiting(&mut self, what: &str);
    /// The user has ended the audit before the server of this cycle was back: what it did in the
    /// cycle cannot be judged.
    fn not_judged(&mut self, number: u32);
}

/// Puts a server through the faults of a stage. What was found is in the record, also when the
/// stage ends with an error.
///
/// # Errors
/// The server cannot be started the first time, the ledger cannot be kept, or a fault cannot be
/// made. A server that does not come back after a fault is a finding.
pub async fn run_stage(
    plan: &Plan,
    stage: &mut Stage,
    interrupted: &watch::Receiver<bool>,
    record: &mut TortureRecord,
    progress: &mut dyn Progress,
) -> Result<(), TortureError> {
    let mut told = interrupted.clone();
    let begun = tokio::select! {
        begun = Audit::begin(plan, stage, interrupted, record, progress) => Some(begun?),
        () = stopped(&mut told) => None,
    };
    let Some(mut audit) = begun else {
        record.interrupted = true;
        return Ok(());
    };
    for number in 1..=stage.cycles {
        if *interrupted.borrow() {
            record.interrupted = true;
            break;
        }
        let place = audit.deal(number, stage.faults.len());
        let fault = &mut *stage.faults[place];
        match audit.cycle(number, fault, record, progress).await? {
            After::Serves => {}
            After::Over => return Ok(()),
            After::Interrupted => {
                record.interrupted = true;
                break;
            }
        }
    }
    audit.stop().await;
    Ok(())
}

/// Comes when the user ends the run.
async fn stopped(interrupted: &mut watch::Receiver<bool>) {
    if interrupted.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// What a cycle leaves.
enum After {
    /// A server, for the next one.
    Serves,
    /// None: it did not come back, or was never what was interrupted.
    Over,
    /// The user has ended the audit before the cycle could be judged.
    Interrupted,
}

struct Audit<'a> {
    plan: &'a Plan,
    database: PathBuf,
    seed: u64,
    /// Which of the faults are still to come in this round, last first.
    round: Vec<usize>,
    server: ServerProcess,
    /// The beginning of the name of every journal.
    journals: PathBuf,
    means: Amounts,
    generators: Vec<TransferGenerator>,
    histories: Vec<History>,
    /// Acknowledged so far, and there when the ledger was read last.
    stood: u64,
    balances: Balances,
    bank: Bank,
    /// Whom the server was connected to and no kill reaches, as far as it was told.
    outsiders: BTreeSet<String>,
    interrupted: watch::Receiver<bool>,
}

/// Streams of a stage's seed.
const DEAL_STREAM: u32 = 0;
const AIM_STREAM: u32 = 1;
const DESK_STREAM: u32 = 2;

impl<'a> Audit<'a> {
    /// Starts the server for the first time, seeds it, and opens the ledger.
    async fn begin(
        plan: &'a Plan,
        stage: &Stage,
        interrupted: &watch::Receiver<bool>,
        record: &mut TortureRecord,
        progress: &mut dyn Progress,
    ) -> Result<Self, TortureError> {
        let means = Amounts::share_out(plan.connections, plan.window).ok_or_else(|| {
            let why = "so many connections with so many transfers in flight cannot be told apart \
                       by amounts: lower --concurrency or --inflight";
            TortureError::Unsuitable(why.to_owned())
        })?;
        let waiting = &mut Told::to(progress);
        let starting = plan
            .command
            .start_first(&stage.database, plan.wipe, waiting);
        let server = starting.await?;
        let mut control = plan.command.wire.control(server.target());
        let info = control.info().await?;
        let remembers = info.as_ref().and_then(|info| info.exactly_once);
        if plan.transfer_ids && remembers != Some(true) {
            let why = "the server does not say that it applies a transfer with an id once \
                       (exactly_once in its info): leave out --exactly-once";
            return Err(TortureError::Unsuitable(why.to_owned()));
        }
        if plan.ordered && info.as_ref().and_then(|info| info.ordered) == Some(false) {
            let why = "the server says that it does not keep the order of a connection (ordered \
                       in its info): give --unordered";
            return Err(TortureError::Unsuitable(why.to_owned()));
        }
        if !plan.command.is_own() {
            control.seed(means.accounts, means.initial_balance).await?;
        }
        if let Some(info) = info {
            record.server.durability = Some(info.durability);
            record.server.apply = info.apply;
        }
        let reading = Reading::take(&mut control, means.accounts).await?;
        let seeded = vec![Some(means.initial_balance); reading.balances.len()];
        if reading.balances != seeded || reading.one_more {
            return Err(TortureError::Unsuitable(format!(
                "the server does not have the {} accounts of {} each that it was told to seed",
                means.accounts, means.initial_balance
            )));
        }
        let seed = worker_seed(plan.seed, stage.number);
        let generator_seed = worker_seed(seed, DESK_STREAM);
        let ids = plan.transfer_ids.then(|| session_half(generator_seed));
        let generators = (0..plan.connections)
            .map(|worker| TransferGenerator::new(worker, generator_seed, means, ids));
        let mut audit = Self {
            plan,
            database: stage.database.clone(),
            seed,
            round: Vec::new(),
            server,
            journals: stage.journal.clone(),
            means,
            generators: generators.collect(),
            histories: vec![History::new(); plan.connections as usize],
            stood: 0,
            balances: Balances::new(),
            bank: Bank {
                accounts: means.accounts,
                total: i128::from(means.accounts) * i128::from(means.initial_balance),
            },
            outsiders: BTreeSet::new(),
            interrupted: interrupted.clone(),
        };
        audit.settle(reading.balances);
        Ok(audit)
    }

    /// Which fault comes next: all of them once, in an order of the seed, then all of them again.
    fn deal(&mut self, cycle: u32, faults: usize) -> usize {
        if self.round.is_empty() {
            let mut draw = Draw::new(worker_seed(self.seed, DEAL_STREAM), cycle);
            self.round = (0..faults).collect();
            for last in (1..faults).rev() {
                let other = draw.within(0, last as u64);
                self.round
                    .swap(last, usize::try_from(other).unwrap_or(last));
            }
        }
        self.round.pop().unwrap_or(0)
    }

    /// These are the balances before the next cycle.
    fn settle(&mut self, balances: Balances) {
        for generator in &mut self.generators {
            let at = |account| {
                let place = usize::try_from(account).ok()?;
                balances.get(place).copied().flatten()
            };
            let pair = generator.pair();
            // From an account that is gone nothing can be spent.
            generator.settle(
                at(pair.first()).unwrap_or(0),
                at(pair.second()).unwrap_or(0),
            );
        }
        self.balances = balances;
    }

    /// Opens the journal of a cycle, with everything in it that there is to know before.
    async fn open_journal(&self, number: u32, fault: FaultKind) -> Result<Journal, JournalError> {
        let mut name = self.journals.clone().into_os_string();
        name.push(format!(".{number}"));
        let journal = Journal::create(Path::new(&name))?;
        let mut handle = journal.handle();
        handle.append(&Record::Run {
            seed: self.plan.seed,
            accounts: self.means.accounts.unsigned_abs(),
            initial_balance: self.means.initial_balance,
        });
        handle.append(&Record::Balances {
            cycle: number,
            balances: self.balances.clone(),
        });
        let position = handle.append(&Record::Cycle { number, fault });
        handle.durable(position).await?;
        Ok(journal)
    }

    /// One cycle, from schedule to judgement.
    async fn cycle(
        &mut self,
        number: u32,
        fault: &mut dyn Fault,
        record: &mut TortureRecord,
        progress: &mut dyn Progress,
    ) -> Result<After, TortureError> {
        let mut draw = Draw::new(worker_seed(self.seed, AIM_STREAM), number);
        let schedule = fault.schedule(&mut draw, self.plan.cycle);
        let kind = fault.kind();
        progress.begins(next_row(record), kind);
        let journal = self.open_journal(number, kind).await?;
        let was_stored = unread::holds_data(&self.database);
        let Some(mut happened) = self.interrupt(fault, &schedule, &journal, progress).await? else {
            return Ok(After::Interrupted);
        };
        if happened.cannot_vouch.is_none() {
            happened.cannot_vouch = self.outlived(happened.end.survivors.take()).await;
        }
        let not_yet = happened.end.cut_short && matches!(schedule.moment, Moment::Time { .. });
        let injected = fault.was_injected(happened.end.by_itself)
            && !not_yet
            && happened.cannot_vouch.is_none();
        let mut is_gone = false;
        let back = if let Some(why) = happened.cannot_vouch.take() {
            // Its files are not to be touched, and its ledger say nothing about a restart.
            Err(why)
        } else {
            fault.restore().await?;
            is_gone = was_stored && !unread::holds_data(&self.database);
            let Some(back) = self.restart(progress).await else {
                progress.not_judged(next_row(record));
                return Ok(After::Interrupted);
            };
            back.map_err(|why| (FindingKind::DidNotComeBack, why))
        };
        let mut findings = self.found_under_load(number, fault, &mut happened);
        let mut row = CycleRow {
            number: next_row(record),
            fault: kind,
            moment: schedule.moment.clone(),
            injected,
            ended: happened.end.describe(),
            syncs: happened.snapshots.syncs,
            counts: Counts::default(),
        };
        record.snapshots += happened.snapshots.count;
        let came_back = match back {
            Ok(Back { reading, failed }) => {
                findings.of_starts(failed, self.plan.command.is_own());
                findings.of_bank(self.bank.check(&reading));
                let earlier = self.histories.clone();
                let (counts, open) = self.judge(&happened.seen, &reading.balances, &mut findings);
                row.counts = counts;
                self.stood = (self.stood + counts.acknowledged).saturating_sub(counts.lost);
                self.hold_against(fault, &row.counts, &mut findings);
                let after = reading.balances;
                let settled = if self.plan.transfer_ids {
                    self.send_again(&open, &after, record, &mut findings).await
                } else {
                    Ok(after.clone())
                };
                if let Err(why) = &settled {
                    let message = format!("it did not serve when transfers came again: {why}");
                    findings.add(FindingKind::DidNotComeBack, message, true);
                }
                let matches = self
                    .read_back(journal, number, &after, &row.counts, &earlier, &findings)
                    .await?;
                record.replay_matches = Some(record.replay_matches.unwrap_or(true) && matches);
                if !matches {
                    let message = "the journal, read back from its file and judged once more, does \
                                   not give the balances and counts found";
                    findings.add(FindingKind::ReplayDiffers, message.to_owned(), true);
                }
                let serves = settled.is_ok();
                self.settle(settled.unwrap_or(after));
                serves
            }
            Err((kind, why)) => {
                row.counts = unread::counts(&happened.seen, self.stood, is_gone, &mut findings);
                findings.add(kind, why, true);
                false
            }
        };
        if let Some(syncs) = fault.syncs() {
            let transfers = row.counts.acknowledged;
            row.syncs = Some(SyncCount { syncs, transfers });
        }
        progress.cycle(&row, &findings.list);
        record.push(row, findings.list);
        Ok(if came_back {
            After::Serves
        } else {
            After::Over
        })
    }

    /// What the fault makes of the counts of its cycle.
    fn hold_against(&self, fault: &dyn Fault, counts: &Counts, findings: &mut Findings) {
        if fault.expected_exit() == ExpectedExit::Graceful && counts.unknown_present > 0 {
            let message = format!(
                "{} transfers were applied and not answered, after SIGTERM",
                counts.unknown_present
            );
            let fails = self.plan.command.is_own();
            findings.add(FindingKind::UnexpectedEnd, message, fails);
        }
        let all_there = counts.lost == 0 && counts.unexplained == 0;
        if all_there
            && counts.acknowledged > 0
            && let Some(message) = fault.missed()
        {
            findings.add(FindingKind::LedgerElsewhere, message, true);
        }
    }

    /// Stops the server, if there is one.
    async fn stop(mut self) {
        let _ = self.server.signal(Signal::SIGTERM);
        let _ = tokio::time::timeout(STOP_TIMEOUT, self.server.wait()).await;
        let _ = self.server.end().await;
    }
}

/// The number of the cycle that is recorded next: over all stages, from 1.
fn next_row(record: &TortureRecord) -> u32 {
    u32::try_from(record.cycles.len()).unwrap_or(u32::MAX - 1) + 1
}
