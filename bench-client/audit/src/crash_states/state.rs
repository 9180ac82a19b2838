//! What may be on the disk after a power cut: see [the module](super) for the model.

use std::collections::BTreeMap;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::Rng as _;

use super::record::{Event, Role, Synced};

/// What is taken to be so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Model {
    /// A piece of this size, aligned, is written whole or not at all. In bytes; 512 is what
    /// disks have always promised, 4096 what most keep.
    pub sector_bytes: usize,
    /// The database is written back in pieces of this size, aligned: the page cache knows nothing
    /// smaller. Pages below it share such a block, and what has become of one of them goes to the
    /// disk together with all that is in the block at that moment, torn by sectors or not. In
    /// bytes, a multiple of a sector.
    pub block_bytes: usize,
    /// A file that was removed may come back until its directory is synced. That is what
    /// POSIX allows and what every file system does that keeps its own log in memory for a
    /// while; false takes a removal to be durable at once.
    pub removals_need_sync: bool,
}

impl Model {
    /// Sectors of 512 bytes, blocks of 4 KiB, removals that need a sync.
    pub const STRICT: Self = Self {
        sector_bytes: 512,
        block_bytes: 4096,
        removals_need_sync: true,
    };
}

/// The files of a database, by [`Role`]; `None` for one that is not there.
pub type Image = [Option<Vec<u8>>; 3];

/// A change that no sync has made durable. The number counts all changes of a run.
#[derive(Debug, Clone)]
struct Change<T> {
    number: u64,
    what: T,
}

#[derive(Debug, Clone)]
enum Content {
    Write { offset: usize, data: Vec<u8> },
    Truncate { length: usize },
}

#[derive(Debug, Clone, Default)]
struct File {
    durable: Vec<u8>,
    pending: Vec<Change<Content>>,
}

/// What a name may come to stand for: a file, or none.
#[derive(Debug, Clone, Default)]
struct Name {
    durable: Option<usize>,
    pending: Vec<Change<Option<usize>>>,
}

impl Name {
    fn live(&self) -> Option<usize> {
        self.pending
            .last()
            .map_or(self.durable, |change| change.what)
    }

    fn settle(&mut self, before: u64) {
        let settled = self
            .pending
            .iter()
            .take_while(|change| change.number < before)
            .count();
        for change in self.pending.drain(..settled) {
            self.durable = change.what;
        }
    }
}

/// The disk under a run, as far as it has come.
#[derive(Debug, Clone)]
pub struct Disk {
    model: Model,
    files: Vec<File>,
    names: [Name; 3],
    /// Syncs that have begun: of what, which file had the name, and the number of the first
    /// change that comes too late.
    syncs: BTreeMap<u32, (Synced, [Option<usize>; 3], u64)>,
    changes: u64,
    /// Bytes of a frame of the log, header and page, by the header of the log.
    frame_bytes: Option<usize>,
}

/// Which of the changes that nothing has made durable are on the disk all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// All of them.
    All,
    /// None of them.
    None,
    /// All up to this one, the first being 0.
    First(u64),
    /// All up to this one, which itself is torn.
    Torn(u64),
    /// This one alone.
    Only(u64),
    /// All but this one.
    But(u64),
    /// Each one as it falls: there, not there, or torn.
    Each,
}

/// What becomes of one change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Whole,
    Not,
    /// Some of its sectors.
    Torn,
}

impl Disk {
    /// A disk that holds `base`, durably.
    #[must_use]
    pub fn new(model: Model, base: &Image) -> Self {
        let mut disk = Self {
            model,
            files: Vec::new(),
            names: Default::default(),
            syncs: BTreeMap::new(),
            changes: 0,
            frame_bytes: base[Role::Log.index()].as_deref().and_then(frame_bytes),
        };
        for (name, content) in disk.names.iter_mut().zip(base) {
            if let Some(content) = content {
                name.durable = Some(disk.files.len());
                disk.files.push(File {
                    durable: content.clone(),
                    pending: Vec::new(),
                });
            }
        }
        disk
    }

    /// Whether this event would make more durable than is, or take something away for good.
    #[must_use]
    pub fn is_sync(&self, event: &Event) -> bool {
        match event {
            Event::SyncEnded { .. } => true,
            Event::Removed(_) => !self.model.removals_need_sync,
            _ => false,
        }
    }

    /// Does what the server did. What concerns no file of the database is passed over.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Written { role, offset, data } => {
                let offset = usize::try_from(*offset).unwrap_or(usize::MAX);
                self.write(*role, offset, data);
            }
            Event::Truncated { role, length } => {
                let length = usize::try_from(*length).unwrap_or(usize::MAX);
                self.change(*role, Content::Truncate { length });
            }
            Event::Created(role) => {
                if self.names[role.index()].live().is_none() {
                    let file = self.files.len();
                    self.files.push(File::default());
                    self.rename(*role, Some(file));
                }
            }
            Event::Removed(role) => {
                self.rename(*role, None);
                if !self.model.removals_need_sync {
                    self.names[role.index()].settle(self.changes);
                }
            }
            Event::SyncBegan { sync, what } => {
                let live = self.names.each_ref().map(Name::live);
                self.syncs.insert(*sync, (*what, live, self.changes));
            }
            Event::SyncEnded { sync } => {
                if let Some((what, live, before)) = self.syncs.remove(sync) {
                    self.settle(what, live, before);
                }
            }
            Event::Received { .. } | Event::Sent { .. } | Event::Closed { .. } => {}
        }
    }

    /// A write to the log that holds many frames is a change for each: a power cut may leave any
    /// number of them, and a choice by sectors alone would hardly ever leave exactly the first.
    fn write(&mut self, role: Role, offset: usize, data: &[u8]) {
        if role == Role::Log && offset == 0 {
            self.frame_bytes = frame_bytes(data).or(self.frame_bytes);
        }
        let frame = self.frame_bytes.filter(|_| role == Role::Log);
        let (mut offset, mut left) = (offset, data);
        while !left.is_empty() {
            let to_the_next = frame.map_or(left.len(), |frame| {
                match offset.checked_sub(LOG_HEADER_BYTES) {
                    Some(of_frames) => frame - of_frames % frame,
                    None => LOG_HEADER_BYTES - offset,
                }
            });
            let (piece, rest) = left.split_at(to_the_next.min(left.len()));
            let data = piece.to_vec();
            self.change(role, Content::Write { offset, data });
            offset += piece.len();
            left = rest;
        }
    }

    fn next_number(&mut self) -> u64 {
        self.changes += 1;
        self.changes - 1
    }

    fn change(&mut self, role: Role, what: Content) {
        let number = self.next_number();
        if let Some(file) = self.names[role.index()].live() {
            self.files[file].pending.push(Change { number, what });
        }
    }

    fn rename(&mut self, role: Role, what: Option<usize>) {
        let number = self.next_number();
        self.names[role.index()]
            .pending
            .push(Change { number, what });
    }

    fn settle(&mut self, what: Synced, live: [Option<usize>; 3], before: u64) {
        for role in Role::ALL {
            let (content, name) = match what {
                Synced::File(synced) => (synced == role, synced == role),
                Synced::Directory => (false, true),
                Synced::Everything => (true, true),
            };
            if content && let Some(file) = live[role.index()] {
                self.files[file].settle(before);
            }
            if name {
                self.names[role.index()].settle(before);
            }
        }
        // Nothing leads to a file any more whose name is durably another's.
        let mut reachable = vec![false; self.files.len()];
        for name in &self.names {
            let pending = name.pending.iter().filter_map(|change| change.what);
            for file in name.durable.into_iter().chain(pending) {
                reachable[file] = true;
            }
        }
        for (file, reachable) in self.files.iter_mut().zip(reachable) {
            if !reachable {
                *file = File::default();
            }
        }
    }

    /// The numbers of the changes that nothing has made durable, in their order.
    #[must_use]
    pub fn pending(&self) -> Vec<u64> {
        let mut numbers: Vec<u64> = Vec::new();
        for name in &self.names {
            numbers.extend(name.pending.iter().map(|change| change.number));
            let pending = name.pending.iter().filter_map(|change| change.what);
            for file in name.durable.into_iter().chain(pending) {
                numbers.extend(self.files[file].pending.iter().map(|change| change.number));
            }
        }
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// What is found after a cut here, if that became of the changes.
    pub fn image(&self, fate: Fate, random: &mut Xoshiro256PlusPlus) -> Image {
        Role::ALL.map(|role| {
            let name = &self.names[role.index()];
            // The names of a directory change in order: one change has those before it.
            let mut file = name.durable;
            let mut candidate = Vec::new();
            for change in &name.pending {
                candidate.push(change.what);
                if kept(fate, change.number, random) != Kept::Not
                    && let Some(last) = candidate.last()
                {
                    file = *last;
                }
            }
            let sector = self.model.sector_bytes;
            let block = match role {
                Role::Database => self.model.block_bytes,
                // Of a log the choice by sectors finds more: a frame that is there without the
                // one before it, in the same block.
                Role::Log | Role::Journal => sector,
            };
            file.map(|file| self.files[file].image(fate, (sector, block), random))
        })
    }
}

/// Bytes of the header of a write-ahead log (<https://sqlite.org/walformat.html>).
const LOG_HEADER_BYTES: usize = 32;

/// Bytes of a frame of the log that begins with this header: its own header and a page.
fn frame_bytes(log: &[u8]) -> Option<usize> {
    let header = log.get(..LOG_HEADER_BYTES)?;
    let page = u32::from_be_bytes(header[8..12].try_into().ok()?);
    let page = usize::try_from(page).ok()?;
    (512..=65_536).contains(&page).then_some(24 + page)
}

fn kept(fate: Fate, number: u64, random: &mut Xoshiro256PlusPlus) -> Kept {
    let whole_if = |whole| if whole { Kept::Whole } else { Kept::Not };
    match fate {
        Fate::All => Kept::Whole,
        Fate::None => Kept::Not,
        Fate::First(last) => whole_if(number <= last),
        Fate::Torn(last) if number == last => Kept::Torn,
        Fate::Torn(last) => whole_if(number < last),
        Fate::Only(one) => whole_if(number == one),
        Fate::But(one) => whole_if(number != one),
        Fate::Each => match random.next_u64() % 3 {
            0 => Kept::Not,
            1 => Kept::Whole,
            _ => Kept::Torn,
        },
    }
}

impl File {
    fn settle(&mut self, before: u64) {
        let (settled, pending) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|change: &Change<Content>| change.number < before);
        self.pending = pending;
        for change in settled {
            apply(&mut self.durable, &change.what);
        }
    }

    /// Every sector is as it was at some moment since the last sync: a change that is kept
    /// brings the sectors of its blocks as they were right after it.
    fn image(
        &self,
        fate: Fate,
        (sector, block): (usize, usize),
        random: &mut Xoshiro256PlusPlus,
    ) -> Vec<u8> {
        debug_assert!(block.is_multiple_of(sector), "a block is whole sectors");
        let mut image = self.durable.clone();
        if self.pending.is_empty() || fate == Fate::None {
            return image;
        }
        let mut cache = self.durable.clone();
        let mut longest = 0;
        for change in &self.pending {
            apply(&mut cache, &change.what);
            longest = longest.max(cache.len());
            let kept = kept(fate, change.number, random);
            match &change.what {
                _ if kept == Kept::Not => {}
                // A length has no parts.
                Content::Truncate { length } => image.resize(*length, 0),
                Content::Write { offset, data } => {
                    let of_block = block / sector;
                    let first = offset / block * of_block;
                    let last = (offset + data.len()).div_ceil(block) * of_block;
                    for number in first..last {
                        if kept == Kept::Whole || random.next_u64().is_multiple_of(2) {
                            copy(&cache, &mut image, number * sector, sector);
                        }
                    }
                }
            }
        }
        // The length may be on the disk before what it is for: zeros are read there.
        if fate == Fate::Each && random.next_u64().is_multiple_of(4) && image.len() < longest {
            image.resize(longest, 0);
        }
        image
    }
}

fn apply(content: &mut Vec<u8>, change: &Content) {
    match change {
        Content::Truncate { length } => content.resize(*length, 0),
        Content::Write { offset, data } => {
            let end = offset + data.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            content[*offset..end].copy_from_slice(data);
        }
    }
}

/// Brings one sector of `from` to `to`.
fn copy(from: &[u8], to: &mut Vec<u8>, start: usize, length: usize) {
    let end = (start + length).min(from.len());
    if start >= end {
        return;
    }
    if to.len() < end {
        to.resize(end, 0);
    }
    to[start..end].copy_from_slice(&from[start..end]);
    // What lies beyond the end of a file in its last sector is zeros.
    let rest = to.len().min(start + length);
    to[end..rest].fill(0);
}
