//! The audit of a run: thousands of power cuts that might have been.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

use super::event_history::{EventHistory, Step};
use super::expected_ledger::{Entry, ExpectedLedger, Faults, Progress};
use super::record::{Event, Role};
use super::replay_error::ReplayError;
use super::scratch_directory::ScratchDirectory;
use super::state::{Disk, Fate, Image, Model};
use crate::record::crash_states::{ReplayReport, Replayed};

/// Most faulty states that a report tells in words.
const MAX_EXAMPLES: usize = 10;

/// How much is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// How many crash states.
    pub states: u64,
    /// What they are drawn from.
    pub seed: u64,
    /// What the disk is taken to do.
    pub model: Model,
    /// Whether every acknowledgement is held against what was durable when it left: as much
    /// work again as there are syncs, and the same for sectors of all sizes.
    pub check_answers: bool,
}

/// What is recorded of a replay with this model.
#[must_use]
pub fn replayed(model: Model, report: ReplayReport) -> Replayed {
    Replayed {
        sector_bytes: u32::try_from(model.sector_bytes).unwrap_or(u32::MAX),
        removals_may_come_back: model.removals_need_sync,
        report,
    }
}

/// Counts a state; what is wrong with it, if anything is.
fn take<'f>(report: &mut ReplayReport, found: &'f Found) -> Option<Cow<'f, str>> {
    report.states += 1;
    match found {
        Found::Unsound(why) => {
            report.integrity += 1;
            Some(Cow::Borrowed(why))
        }
        Found::Judged(faults) => {
            report.lost += u64::from(faults.lost > 0);
            report.lost_transfers_max = report.lost_transfers_max.max(faults.lost);
            report.twice += u64::from(faults.twice > 0);
            report.gaps += u64::from(faults.gaps > 0);
            report.torn += u64::from(faults.torn > 0);
            let first = faults.first.as_deref()?;
            // What comes first may be something else, and a loss is what matters.
            Some(match faults.lost {
                0 => Cow::Borrowed(first),
                lost => Cow::Owned(format!("{first} ({lost} acknowledged lost in all)")),
            })
        }
    }
}

/// Reads the files of a database that nobody has open: what a run begins with.
///
/// # Errors
/// They cannot be read.
pub fn read_image(database: &Path) -> Result<Image, ReplayError> {
    let mut image = Image::default();
    for role in Role::ALL {
        let path = role.path(database);
        image[role.index()] = match std::fs::read(&path) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(ReplayError::Read { path, source }),
        };
    }
    Ok(image)
}

/// Replays a run that began with `base`, cuts the power at `plan.states` moments of it, and
/// judges what each cut would leave behind.
///
/// And it holds every acknowledgement against what was durable when it was about to be
/// written: no answer may leave before the sync that its transfer needs.
///
/// # Errors
/// The run does not belong to `base`, or images cannot be written.
pub fn audit(
    history: &EventHistory,
    base: &Image,
    plan: Plan,
) -> Result<ReplayReport, ReplayError> {
    audit_watched(history, base, plan, &mut Unwatched)
}

/// Follows an audit, state by state.
pub trait Watch {
    /// A state was judged; `why` says what is wrong with it. False ends the audit here: its
    /// report is of what was judged so far.
    fn judged(&mut self, image: &Image, why: Option<&str>) -> bool;
}

struct Unwatched;

impl Watch for Unwatched {
    fn judged(&mut self, _: &Image, _: Option<&str>) -> bool {
        true
    }
}

/// As [`audit`], with somebody who looks on.
///
/// # Errors
/// As those of [`audit`].
pub fn audit_watched(
    history: &EventHistory,
    base: &Image,
    plan: Plan,
    watch: &mut dyn Watch,
) -> Result<ReplayReport, ReplayError> {
    let mut scratch = ScratchDirectory::new()?;
    let before = scratch.open(base)?.map_err(ReplayError::Base)?.balances;
    if let Some(missing) = history
        .ledger
        .accounts()
        .find(|id| !before.contains_key(id))
    {
        return Err(ReplayError::Account(missing));
    }
    let mut random = Xoshiro256PlusPlus::seed_from_u64(plan.seed);
    let steps = history.steps.len() as u64;
    // After how many steps each cut comes: in order, since the run is replayed once.
    let mut cuts: Vec<u64> = (0..plan.states)
        .map(|_| random.next_u64() % (steps + 1))
        .collect();
    cuts.sort_unstable();
    let mut audit = Audit {
        ledger: &history.ledger,
        before,
        scratch,
        report: ReplayReport {
            seed: plan.seed,
            acknowledged: history.acknowledged,
            ..ReplayReport::default()
        },
        shown: 0,
        random,
    };
    let mut disk = Disk::new(plan.model, base);
    let mut progress = Progress::new(&history.ledger);
    let mut order = Order::default();
    let mut cuts = cuts.into_iter().peekable();
    for (number, (line, step)) in (0_u64..).zip(&history.steps) {
        while cuts.next_if_eq(&number).is_some() {
            if !audit.cut(&disk, &progress, *line, watch)? {
                return Ok(audit.report);
            }
        }
        match step {
            Step::Asked(entry) => {
                progress.asked(*entry);
                order.asked.entry(*entry).or_insert(number);
            }
            Step::Acknowledged(entry) => {
                progress.acknowledged(*entry);
                audit.report.unsynced_answers += u64::from(!order.is_synced(*entry));
                order.fresh.push(*entry);
            }
            Step::File(event) => {
                if plan.check_answers && disk.is_sync(event) {
                    audit.answers_of_an_epoch(&disk, &progress, &mut order.fresh)?;
                }
                order.take(event, number);
                disk.apply(event);
            }
        }
    }
    let last = history.steps.last().map_or(0, |(line, _)| *line);
    for _ in cuts {
        if !audit.cut(&disk, &progress, last + 1, watch)? {
            return Ok(audit.report);
        }
    }
    if plan.check_answers {
        audit.answers_of_an_epoch(&disk, &progress, &mut order.fresh)?;
    }
    Ok(audit.report)
}

/// Which sync came between which request and answer.
#[derive(Default)]
struct Order {
    asked: BTreeMap<Entry, u64>,
    begun: BTreeMap<u32, u64>,
    /// The latest beginning of a sync that has returned.
    synced: Option<u64>,
    /// Acknowledged since more became durable.
    fresh: Vec<Entry>,
}

impl Order {
    fn take(&mut self, event: &Event, number: u64) {
        match event {
            Event::SyncBegan { sync, .. } => {
                self.begun.insert(*sync, number);
            }
            Event::SyncEnded { sync } => self.synced = self.synced.max(self.begun.remove(sync)),
            _ => {}
        }
    }

    fn is_synced(&self, entry: Entry) -> bool {
        self.synced > self.asked.get(&entry).copied()
    }
}

/// What a state turned out to be.
enum Found {
    Unsound(String),
    Judged(Faults),
}

impl Found {
    /// A bit for each class of what is wrong.
    fn classes(&self) -> u8 {
        match self {
            Self::Unsound(_) => 1,
            Self::Judged(faults) => [faults.lost, faults.twice, faults.gaps, faults.torn]
                .iter()
                .zip(1..)
                .map(|(count, bit)| u8::from(*count > 0) << bit)
                .sum(),
        }
    }
}

struct Audit<'a> {
    ledger: &'a ExpectedLedger,
    before: BTreeMap<i64, i64>,
    scratch: ScratchDirectory,
    report: ReplayReport,
    /// Classes of which there is an example.
    shown: u8,
    random: Xoshiro256PlusPlus,
}

impl Audit<'_> {
    /// One state; false when the audit is to end.
    fn cut(
        &mut self,
        disk: &Disk,
        progress: &Progress,
        line: u64,
        watch: &mut dyn Watch,
    ) -> Result<bool, ReplayError> {
        let fate = self.draw_fate(&disk.pending());
        let image = disk.image(fate, &mut self.random);
        let found = self.judge(&image, progress)?;
        let why = take(&mut self.report, &found).map(|why| {
            let cut = in_words(fate);
            format!("a cut before line {line}, {cut}: {why}")
        });
        let news = found.classes() & !self.shown;
        if let Some(why) = &why
            && (self.report.examples.len() < MAX_EXAMPLES || news != 0)
        {
            self.shown |= news;
            self.report.examples.push(why.clone());
        }
        Ok(watch.judged(&image, why.as_deref()))
    }

    /// Half of the cuts are of the kinds that find most, half leave it all to chance.
    fn draw_fate(&mut self, pending: &[u64]) -> Fate {
        let kind = self.random.next_u64() % 12;
        let one = self.random.next_u64() % (pending.len() as u64).max(1);
        let one = usize::try_from(one)
            .ok()
            .and_then(|at| pending.get(at).copied());
        match (kind, one) {
            (_, None) | (0, _) => Fate::None,
            (1, _) => Fate::All,
            (2, Some(one)) => Fate::First(one),
            (3, Some(one)) => Fate::Torn(one),
            (4, Some(one)) => Fate::But(one),
            (5, Some(_)) => pending.last().map_or(Fate::None, |last| Fate::Only(*last)),
            _ => Fate::Each,
        }
    }

    fn judge(&mut self, image: &Image, progress: &Progress) -> Result<Found, ReplayError> {
        let found = match self.scratch.open(image)? {
            Err(error) => return Ok(Found::Unsound(error.to_string())),
            Ok(found) => found,
        };
        if let Some(complaint) = found.complaints.first() {
            return Ok(Found::Unsound(format!("integrity_check: {complaint}")));
        }
        let faults = self.ledger.judge(&self.before, &found.balances, progress);
        Ok(Found::Judged(faults))
    }

    /// All that was acknowledged since more became durable must be in what is durable now.
    fn answers_of_an_epoch(
        &mut self,
        disk: &Disk,
        progress: &Progress,
        fresh: &mut Vec<Entry>,
    ) -> Result<(), ReplayError> {
        if fresh.is_empty() {
            return Ok(());
        }
        let image = disk.image(Fate::None, &mut self.random);
        let fresh = std::mem::take(fresh);
        self.report.early_answers += match self.judge(&image, progress)? {
            Found::Unsound(_) => fresh.len() as u64,
            // What was lost of earlier answers was counted when they were given.
            Found::Judged(faults) => faults.lost.min(fresh.len() as u64),
        };
        Ok(())
    }
}

fn in_words(fate: Fate) -> String {
    match fate {
        Fate::All => "all unsynced changes kept".to_owned(),
        Fate::None => "no unsynced change kept".to_owned(),
        Fate::First(last) => format!("unsynced changes kept up to number {last}"),
        Fate::Torn(last) => format!("unsynced changes kept up to number {last}, which is torn"),
        Fate::Only(one) => format!("of the unsynced changes only number {one} kept"),
        Fate::But(one) => format!("all unsynced changes kept but number {one}"),
        Fate::Each => "each unsynced change kept, dropped or torn".to_owned(),
    }
}
