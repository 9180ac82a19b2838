//! What a recording says of each transfer: was what was written for it synced when its answer
//! left?
//!
//! With one transfer in flight, what is written between the reading of its request and the
//! writing of its answer is written for it, with two exceptions: a file that is written during
//! less than half of the transfers is a checkpoint's or another job's, as long as one that is
//! written during most of them is among those of this transfer; and what is outside of the
//! directory that the server was given is no ledger, unless nothing is written in there. A file
//! that is created during a transfer is always among those that must be synced.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::recording::{FileId, Recording, Renamed, Sync, Synced};
use crate::record::durability::FileTally;

/// Why a transfer was not durable when it was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Gap {
    /// A sync of it came after the answer.
    Late,
    /// No sync of it came.
    Never,
    /// It was covered by `sync_file_range` only, which flushes no disk.
    RangeOnly,
    /// The sync that should have covered it failed.
    SyncFailed,
    /// A file was removed or renamed, or was new, and its directory was not synced.
    Name,
    /// Nothing was written when the answer left.
    NothingWritten,
}

impl Gap {
    /// What the transfers have in common, after their number.
    pub(super) const fn in_words(self) -> &'static str {
        match self {
            Self::Late => "answered before the sync of what was written for them",
            Self::Never => "answered, and no sync of what was written for them followed",
            Self::RangeOnly => {
                "answered after sync_file_range only, which does not flush the disk's cache"
            }
            Self::SyncFailed => "acknowledged although the sync that covers them had failed",
            Self::Name => "answered before a removed or renamed file's directory was synced",
            Self::NothingWritten => "answered before anything was written",
        }
    }
}

/// What became of the acknowledged transfers of a recording.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Coverage {
    /// Acknowledged.
    pub(super) acknowledged: u64,
    /// Of those, durable when the answer left.
    pub(super) covered: u64,
    /// The others.
    pub(super) gaps: BTreeMap<Gap, u64>,
    /// The files of the gaps, each with the number of transfers.
    pub(super) gap_files: BTreeMap<String, u64>,
    /// Transfers during which a sync failed, and how many of them were acknowledged.
    pub(super) failed_syncs: u64,
    pub(super) acknowledged_after_failure: u64,
    /// Syncs that succeeded between the first request and the last answer, by call.
    pub(super) syncs: BTreeMap<String, u64>,
    /// Bytes written between them.
    pub(super) bytes: u64,
    /// Bytes that were written from the first request on, also after the last answer.
    pub(super) bytes_in_all: u64,
    /// Something was written through a mapping, or can have been: bytes say little.
    pub(super) mapped: bool,
    /// By file.
    pub(super) files: Vec<FileTally>,
}

impl Coverage {
    /// Syncs by all calls.
    pub(super) fn syncs_in_all(&self) -> u64 {
        self.syncs.values().sum()
    }
}

/// What happens to files of the ledger.
struct Ledger<'a> {
    recording: &'a Recording,
    /// Its files.
    files: BTreeSet<FileId>,
    /// Those that are written during most transfers.
    usual: BTreeSet<FileId>,
}

/// Looks at every acknowledged transfer, of which one at a time was in flight. `directory` is what
/// the server was given for its data.
pub(super) fn one_at_a_time(recording: &Recording, directory: Option<&Path>) -> Coverage {
    let ledger = Ledger::of(recording, directory);
    let mut coverage = ledger.figures();
    let mut tallies: BTreeMap<FileId, FileTally> = BTreeMap::new();
    for transfer in &recording.transfers {
        let until = transfer.answered.map_or(u64::MAX, |(line, _)| line);
        let during = (transfer.asked, until);
        let failed = ledger.failed_during(during);
        coverage.failed_syncs += u64::from(failed);
        let Some((_, true)) = transfer.answered else {
            continue;
        };
        coverage.acknowledged += 1;
        let written = ledger.written(during);
        for (file, bytes) in &written {
            let tally = tallies.entry(*file).or_insert_with(|| ledger.tally(*file));
            tally.transfers += 1;
            tally.bytes += bytes;
            tally.not_synced += u64::from(ledger.gap_of_file(*file, during).is_some());
        }
        match ledger.gap(&written, during) {
            None => coverage.covered += 1,
            Some((gap, file)) => {
                coverage.acknowledged_after_failure += u64::from(failed);
                *coverage.gaps.entry(gap).or_default() += 1;
                if let Some(file) = file {
                    let name = name_of(&recording.files[file]);
                    *coverage.gap_files.entry(name).or_default() += 1;
                }
            }
        }
    }
    coverage.files = tallies.into_values().collect();
    coverage.files.sort_by(|a, b| {
        let by_use = b.transfers.cmp(&a.transfers);
        by_use.then_with(|| a.file.cmp(&b.file))
    });
    coverage
}

/// The same of many in flight, where nobody can say for which of them something was written: an
/// acknowledged transfer is covered when something was written after its request and synced
/// before its answer.
pub(super) fn many_at_a_time(recording: &Recording, directory: Option<&Path>) -> Coverage {
    let ledger = Ledger::of(recording, directory);
    let mut coverage = ledger.figures();
    for transfer in &recording.transfers {
        let Some((until, true)) = transfer.answered else {
            continue;
        };
        coverage.acknowledged += 1;
        if ledger.some_is_synced((transfer.asked, until)) {
            coverage.covered += 1;
        } else {
            *coverage.gaps.entry(Gap::Never).or_default() += 1;
        }
    }
    coverage
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// Lines of a trace, both ends excluded.
type Lines = (u64, u64);

const fn within(line: u64, (from, until): Lines) -> bool {
    from < line && line < until
}

impl<'a> Ledger<'a> {
    fn of(recording: &'a Recording, directory: Option<&Path>) -> Self {
        let inside = |id: FileId| match directory {
            Some(directory) => recording.files[id].starts_with(directory),
            None => true,
        };
        let begun = recording.load().map_or(u64::MAX, |(from, _)| from);
        let later = recording.writes.iter().filter(|(line, ..)| *line > begun);
        let touched: BTreeSet<FileId> = later
            .map(|(_, file, _)| *file)
            .chain(recording.mapped.iter().copied())
            .collect();
        let within_it: BTreeSet<FileId> =
            touched.iter().copied().filter(|id| inside(*id)).collect();
        let files = if within_it.is_empty() {
            touched
        } else {
            within_it
        };
        let mut ledger = Self {
            recording,
            files,
            usual: BTreeSet::new(),
        };
        let mut during: BTreeMap<FileId, usize> = BTreeMap::new();
        let mut acknowledged = 0;
        for transfer in &recording.transfers {
            if let Some((until, true)) = transfer.answered {
                acknowledged += 1;
                for (file, _) in ledger.written((transfer.asked, until)) {
                    *during.entry(file).or_default() += 1;
                }
            }
        }
        let usual = during
            .into_iter()
            .filter(|(_, times)| times * 2 >= acknowledged);
        ledger.usual = usual.map(|(file, _)| file).collect();
        ledger
    }

    fn figures(&self) -> Coverage {
        let recording = self.recording;
        let (from, until) = recording.load().unwrap_or((u64::MAX, 0));
        let mut coverage = Coverage {
            mapped: self
                .files
                .iter()
                .any(|file| recording.mapped.contains(file)),
            ..Coverage::default()
        };
        let bytes = |during| self.writes(during).map(|(.., bytes)| bytes).sum();
        coverage.bytes = bytes((from, until));
        coverage.bytes_in_all = bytes((from, u64::MAX));
        for sync in self.syncs((from, until)) {
            if sync.done && self.is_of_it(sync) {
                *coverage.syncs.entry(sync.call.clone()).or_default() += 1;
            }
        }
        coverage
    }

    fn tally(&self, file: FileId) -> FileTally {
        let (from, _) = self.recording.load().unwrap_or((u64::MAX, 0));
        let of_file = Synced::File(file);
        let syncs = self.recording.syncs.iter().filter(|sync| {
            let of_it = sync.what == of_file || sync.what == Synced::Everything;
            of_it && sync.done && sync.began > from
        });
        FileTally {
            file: name_of(&self.recording.files[file]),
            transfers: 0,
            bytes: 0,
            syncs: syncs.count() as u64,
            not_synced: 0,
        }
    }

    /// Whether a sync is one of the ledger's.
    fn is_of_it(&self, sync: &Sync) -> bool {
        match &sync.what {
            Synced::File(file) => self.files.contains(file),
            Synced::Directory(directory) => {
                let mut files = self.files.iter().map(|file| &self.recording.files[*file]);
                files.any(|file| file.parent() == Some(directory))
            }
            Synced::Everything => true,
        }
    }

    /// The writes to files of the ledger during these lines.
    fn writes(&self, (from, until): Lines) -> impl Iterator<Item = (u64, FileId, u64)> {
        let all = &self.recording.writes;
        let first = all.partition_point(|(line, ..)| *line <= from);
        let writes = all[first..].iter().copied();
        let writes = writes.take_while(move |(line, ..)| *line < until);
        writes.filter(|(_, file, _)| self.files.contains(file))
    }

    /// The files that were written, each with its bytes.
    fn written(&self, during: Lines) -> BTreeMap<FileId, u64> {
        let mut written = BTreeMap::new();
        for (_, file, bytes) in self.writes(during) {
            *written.entry(file).or_default() += bytes;
        }
        written
    }

    /// The syncs that returned during these lines.
    fn syncs(&self, (from, until): Lines) -> impl Iterator<Item = &'a Sync> {
        let all = &self.recording.syncs;
        let first = all.partition_point(|sync| sync.ended <= from);
        all[first..]
            .iter()
            .take_while(move |sync| sync.ended < until)
    }

    fn syncs_of(&self, file: FileId) -> impl Iterator<Item = &'a Sync> {
        let syncs = self.recording.syncs.iter();
        syncs.filter(move |sync| match sync.what {
            Synced::File(other) => other == file,
            Synced::Directory(_) => false,
            Synced::Everything => true,
        })
    }

    fn failed_during(&self, during: Lines) -> bool {
        let mut syncs = self.syncs(during);
        syncs.any(|sync| !sync.done && self.is_of_it(sync))
    }

    /// What an answer at the end of these lines was too early for; and which file's.
    fn gap(&self, written: &BTreeMap<FileId, u64>, during: Lines) -> Option<(Gap, Option<FileId>)> {
        let names = self.recording.names.iter();
        let names = names.filter(|(line, _)| within(*line, during));
        let (mut removed, mut created) = (BTreeSet::new(), BTreeSet::new());
        let mut unsynced_name = None;
        for (line, renamed) in names {
            let (file, place) = match renamed {
                Renamed::Created(file) => {
                    created.insert(*file);
                    continue;
                }
                Renamed::Removed(file) => {
                    removed.insert(*file);
                    (*file, self.recording.files[*file].as_path())
                }
                Renamed::Moved(file, to) => (*file, to.as_path()),
            };
            let takes_part = written.contains_key(&file) || self.usual.contains(&file);
            if takes_part && !self.directory_is_synced(place, (*line, during.1)) {
                unsynced_name = Some((Gap::Name, Some(file)));
            }
        }
        let left: Vec<FileId> = written
            .keys()
            .copied()
            .filter(|file| !removed.contains(file))
            .collect();
        let has_usual = left.iter().any(|file| self.usual.contains(file));
        let must =
            |file: &FileId| !has_usual || self.usual.contains(file) || created.contains(file);
        let gaps = left.iter().copied().filter(must).filter_map(|file| {
            let gap = self.gap_of_file(file, during)?;
            Some((gap, Some(file)))
        });
        if let Some(gap) = gaps.max_by_key(|(gap, _)| *gap) {
            return Some(gap);
        }
        if unsynced_name.is_some() {
            return unsynced_name;
        }
        // What is written through a mapping is not seen, and its sync is.
        let by_mapping = || {
            let mut mapped = self.files.intersection(&self.recording.mapped);
            mapped.any(|file| {
                let mut syncs = self.syncs_of(*file);
                syncs.any(|sync| sync.reaches_the_disk() && inside(sync, during))
            })
        };
        let synced = !left.is_empty() || !removed.is_empty() || by_mapping();
        (!synced).then_some((Gap::NothingWritten, None))
    }

    /// Why what was written to a file during these lines is not durable at their end.
    fn gap_of_file(&self, file: FileId, during: Lines) -> Option<Gap> {
        let writes = self.writes(during).filter(|(_, of, _)| *of == file);
        let last = writes.map(|(line, ..)| line).max()?;
        let mut after = None;
        let mut failed = false;
        for sync in self.syncs_of(file) {
            if within(sync.ended, during) && sync.began >= last {
                if !sync.done {
                    // A later one proves nothing: the kernel has marked the pages clean.
                    failed = true;
                } else if sync.reaches_the_disk() {
                    return failed.then_some(Gap::SyncFailed);
                } else {
                    after = Some(Gap::RangeOnly);
                }
            } else if sync.done && sync.began >= last {
                after.get_or_insert(Gap::Late);
            }
        }
        if failed {
            return Some(Gap::SyncFailed);
        }
        Some(after.unwrap_or(Gap::Never))
    }

    fn directory_is_synced(&self, place: &Path, during: Lines) -> bool {
        let directory = place.parent();
        let mut syncs = self.syncs(during);
        syncs.any(|sync| {
            let covers = match &sync.what {
                Synced::Directory(synced) => Some(synced.as_path()) == directory,
                Synced::Everything => true,
                Synced::File(_) => false,
            };
            covers && sync.reaches_the_disk() && inside(sync, during)
        })
    }

    fn some_is_synced(&self, during: Lines) -> bool {
        let written = |file: FileId, sync: &Sync| {
            let mut writes = self.writes((during.0, sync.began + 1));
            self.recording.mapped.contains(&file) || writes.any(|(_, of, _)| of == file)
        };
        let syncs = self.syncs(during);
        let mut syncs = syncs.filter(|sync| sync.reaches_the_disk() && inside(sync, during));
        syncs.any(|sync| match &sync.what {
            Synced::File(file) => self.files.contains(file) && written(*file, sync),
            Synced::Directory(_) => false,
            Synced::Everything => self.files.iter().any(|file| written(*file, sync)),
        })
    }
}

/// Whether a sync began and returned between these lines.
const fn inside(sync: &Sync, (from, until): Lines) -> bool {
    from < sync.began && sync.ended < until
}
