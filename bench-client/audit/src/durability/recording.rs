//! What a server did to files and said to clients, from a trace: any server and any files, where
//! [`crash_states::record`](crate::crash_states::record) knows those of one SQLite database.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;
use std::path::{Path, PathBuf};

use super::conversations::{self, Conversations, Heard, Transfer};
use crate::crash_states::TraceError;
use crate::crash_states::arguments::{Arguments, Descriptor};
use crate::crash_states::trace::{Call, Calls, Outcome};

/// The calls by which something becomes durable. Which writes do as well is known from the flags
/// that their files were opened with.
pub(super) const SYNC_CALLS: &str = "fsync,fdatasync,msync,sync,syncfs,sync_file_range";
/// The calls that write, which are syncs on files that were opened with `O_DSYNC` or `O_SYNC`.
pub(super) const WRITE_CALLS: &str = "write,pwrite64,writev,pwritev,pwritev2";
/// The other calls that are recorded. Some are none on some processors.
pub(super) const OTHER_CALLS: &str = "openat,?open,?creat,?openat2,sendto,sendmsg,sendmmsg,sendfile,\
     splice,copy_file_range,read,readv,recvfrom,recvmsg,fallocate,ftruncate,truncate,?unlink,\
     unlinkat,?rename,?renameat,renameat2,close,mmap,?io_uring_setup,?io_uring_enter";
/// Bytes of a string that are recorded: more than a message of a load has. What is written to
/// files is not looked at.
pub(super) const STRING_MAX: usize = 16_384;

/// What a sync is counted as when it is a write.
pub(super) const SYNCED_WRITE: &str = "O_DSYNC";
/// It starts the writing of a range, and flushes no disk (`sync_file_range(2)`, Warning).
const RANGE: &str = "sync_file_range";
/// Where nothing is on a disk.
const NO_DISK: [&str; 4] = ["/dev", "/proc", "/sys", "/run"];
/// The index of a write-ahead log of SQLite, which recovery builds anew.
const INDEX_SUFFIX: &str = "-shm";

/// A file, by its place in [`Recording::files`].
pub(super) type FileId = usize;

/// What a sync covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Synced {
    /// A file.
    File(FileId),
    /// The names in a directory.
    Directory(PathBuf),
    /// All files.
    Everything,
}

/// A sync that has returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sync {
    /// The line on which it began.
    pub(super) began: u64,
    /// The line on which it returned.
    pub(super) ended: u64,
    /// Of what.
    pub(super) what: Synced,
    /// The call, or [`SYNCED_WRITE`].
    pub(super) call: String,
    /// It succeeded.
    pub(super) done: bool,
}

impl Sync {
    /// Whether it makes durable what it covers.
    pub(super) fn reaches_the_disk(&self) -> bool {
        self.done && self.call != RANGE
    }
}

/// A change of the names in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Renamed {
    /// A file is new.
    Created(FileId),
    /// A file is gone.
    Removed(FileId),
    /// A file has another name.
    Moved(FileId, PathBuf),
}

/// All that happened, each thing with its line in the trace.
#[derive(Debug, Default)]
pub(super) struct Recording {
    /// Every file that was opened or written.
    pub(super) files: Vec<PathBuf>,
    /// Writes that have returned: line, file, bytes. A new length is a write of no bytes.
    pub(super) writes: Vec<(u64, FileId, u64)>,
    pub(super) names: Vec<(u64, Renamed)>,
    pub(super) syncs: Vec<Sync>,
    pub(super) transfers: Vec<Transfer>,
    /// Files that are written through a mapping.
    pub(super) mapped: BTreeSet<FileId>,
    /// Files of which some descriptor was opened with `O_DSYNC` or `O_SYNC`.
    pub(super) synced_writes: BTreeSet<FileId>,
    /// The server uses `io_uring`, and what goes through that is not seen.
    pub(super) io_uring: bool,
    /// Why something that was said on a connection with transfers was not understood.
    pub(super) misunderstood: Option<String>,
    /// Most syncs that one thread had made by one call before the first transfer.
    pub(super) syncs_at_start: u64,
}

impl Recording {
    /// Reads the trace of a server that listens at `port`.
    ///
    /// # Errors
    /// A line is not understood.
    pub(super) fn read(trace: impl BufRead, port: Option<u16>) -> Result<Self, TraceError> {
        let mut reader = Reader {
            port,
            ..Reader::default()
        };
        for call in Calls::new(trace) {
            let call = call?;
            let line = call.began;
            reader
                .take(&call)
                .map_err(|why| format!("{}: {why}", call.name))
                .map_err(|why| TraceError::Line { line, why })?;
        }
        Ok(reader.finish())
    }

    /// The files that were written through a descriptor that syncs, once the load was on.
    pub(super) fn files_of_synced_writes(&self) -> Vec<&Path> {
        let begun = self.load().map_or(u64::MAX, |(from, _)| from);
        let written = |file: &&FileId| {
            let mut writes = self.writes.iter();
            writes.any(|(line, of, _)| of == *file && *line > begun)
        };
        let files = self.synced_writes.iter().filter(written);
        files.map(|file| self.files[*file].as_path()).collect()
    }

    /// The lines between which the load was on: the first request and the last answer.
    pub(super) fn load(&self) -> Option<(u64, u64)> {
        let asked = self.transfers.iter().map(|one| one.asked).min()?;
        let answers = self.transfers.iter().filter_map(|one| one.answered);
        Some((asked, answers.map(|(line, _)| line).max()?))
    }
}

#[derive(Default)]
struct Reader {
    port: Option<u16>,
    recording: Recording,
    ids: BTreeMap<PathBuf, FileId>,
    /// Whether a descriptor of this number and path syncs its writes.
    descriptors: BTreeMap<(String, FileId), bool>,
    /// Files of which some descriptor for writing does not.
    plain: BTreeSet<FileId>,
    /// Where mappings are, by address.
    mappings: BTreeMap<u64, (u64, FileId)>,
    heard: Conversations,
    /// Syncs of each thread by call, with their lines.
    by_thread: BTreeMap<(u32, String), Vec<u64>>,
}

impl Reader {
    fn take(&mut self, call: &Call) -> Result<(), String> {
        let name = call.name.as_str();
        let arguments = &mut Arguments::new(&call.arguments);
        if SYNC_CALLS.split(',').any(|sync| sync == name) {
            return self.synced(call, arguments);
        }
        if WRITE_CALLS.split(',').any(|write| write == name) {
            return self.written(call, arguments);
        }
        let Outcome::Returned(returned) = call.outcome else {
            // What failed, or was never seen to return, changed nothing.
            return Ok(());
        };
        match name {
            "openat" | "openat2" => {
                let directory = arguments.descriptor()?;
                let path = arguments.path()?;
                self.opened(call, returned, &directory, &path, arguments);
            }
            "open" | "creat" => {
                let path = arguments.path()?;
                self.opened(call, returned, &Descriptor::Other, &path, arguments);
            }
            "sendto" | "sendmsg" => {
                let target = arguments.descriptor()?;
                self.sent(call, returned, target, arguments);
            }
            "sendmmsg" | "sendfile" | "splice" | "copy_file_range" => {
                self.copied(call, returned, arguments)?;
            }
            "read" | "readv" | "recvfrom" | "recvmsg" => {
                self.received(call, returned, arguments)?;
            }
            "fallocate" | "ftruncate" => {
                if let Descriptor::Path(path) = arguments.descriptor()? {
                    self.changed(call.ended, &path, 0);
                }
            }
            "truncate" => {
                let path = arguments.path()?;
                self.changed(call.ended, &path, 0);
            }
            "unlink" => {
                let path = arguments.path()?;
                self.removed(call, &Descriptor::Other, &path);
            }
            "unlinkat" => {
                let directory = arguments.descriptor()?;
                let path = arguments.path()?;
                self.removed(call, &directory, &path);
            }
            "rename" => {
                let (from, to) = (arguments.path()?, arguments.path()?);
                self.moved(call, (&Descriptor::Other, &from), (&Descriptor::Other, &to));
            }
            "renameat" | "renameat2" => {
                let (before, from) = (arguments.descriptor()?, arguments.path()?);
                let (after, to) = (arguments.descriptor()?, arguments.path()?);
                self.moved(call, (&before, &from), (&after, &to));
            }
            "close" => {
                if let Descriptor::Connection(shown) = arguments.descriptor()? {
                    self.heard.push((call.ended, shown, Heard::Closed));
                }
            }
            "mmap" => self.mapped(returned, arguments)?,
            "io_uring_setup" | "io_uring_enter" => self.recording.io_uring = true,
            _ => {}
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) -> Option<FileId> {
        let elsewhere = NO_DISK.iter().any(|place| path.starts_with(place));
        let index = path.to_string_lossy().ends_with(INDEX_SUFFIX);
        // What is no file, such as an eventfd, has a name without a directory.
        if elsewhere || index || !path.is_absolute() {
            return None;
        }
        if let Some(id) = self.ids.get(path) {
            return Some(*id);
        }
        let id = self.recording.files.len();
        self.recording.files.push(path.to_owned());
        self.ids.insert(path.to_owned(), id);
        Some(id)
    }

    /// A path as the kernel has it, where it can be told: a relative one is taken to be one of the
    /// files that are known by its name.
    fn resolved(&self, directory: &Descriptor, path: &Path) -> PathBuf {
        match directory {
            Descriptor::Path(directory) => directory.join(path),
            _ if path.is_relative() => {
                let known = self.recording.files.iter();
                let mut known = known.filter(|file| file.file_name() == path.file_name());
                known.next().cloned().unwrap_or_else(|| path.to_owned())
            }
            _ => path.to_owned(),
        }
    }

    fn opened(
        &mut self,
        call: &Call,
        returned: i64,
        directory: &Descriptor,
        path: &Path,
        arguments: &mut Arguments<'_>,
    ) {
        let path = self.resolved(directory, path);
        let flags = if call.name == "creat" {
            "O_WRONLY|O_CREAT|O_TRUNC"
        } else {
            arguments.word()
        };
        let flags = flags.trim_start_matches("{flags=");
        let has = |flag: &str| flags.split('|').any(|found| found == flag);
        if !has("O_WRONLY") && !has("O_RDWR") {
            return;
        }
        let is_new = !self.ids.contains_key(&path);
        let Some(file) = self.file(&path) else {
            return;
        };
        let syncs = has("O_DSYNC") || has("O_SYNC");
        self.descriptors.insert((returned.to_string(), file), syncs);
        if syncs {
            self.recording.synced_writes.insert(file);
        } else {
            self.plain.insert(file);
        }
        if has("O_CREAT") && is_new {
            let created = Renamed::Created(file);
            self.recording.names.push((call.ended, created));
        }
        if has("O_TRUNC") && !is_new {
            self.recording.writes.push((call.ended, file, 0));
        }
    }

    fn changed(&mut self, line: u64, path: &Path, bytes: u64) {
        if let Some(file) = self.file(path) {
            self.recording.writes.push((line, file, bytes));
        }
    }

    fn written(&mut self, call: &Call, arguments: &mut Arguments<'_>) -> Result<(), String> {
        let number = descriptor_number(&call.arguments).to_owned();
        match arguments.descriptor()? {
            Descriptor::Path(path) => {
                let Some(file) = self.file(&path) else {
                    return Ok(());
                };
                let by_flag =
                    call.arguments.contains("RWF_DSYNC") || call.arguments.contains("RWF_SYNC");
                // One that was inherited or duplicated has a number of its own.
                let every =
                    self.recording.synced_writes.contains(&file) && !self.plain.contains(&file);
                let by_open = self.descriptors.get(&(number, file)).copied();
                let syncs = by_flag || by_open.unwrap_or(every);
                if call.outcome == Outcome::Unseen {
                    return Ok(());
                }
                if let Outcome::Returned(bytes) = call.outcome {
                    let bytes = u64::try_from(bytes).unwrap_or(0);
                    // One that syncs covers itself.
                    let line = if syncs { call.began } else { call.ended };
                    self.recording.writes.push((line, file, bytes));
                }
                if syncs {
                    let done = call.outcome != Outcome::Failed;
                    self.sync(call, Synced::File(file), SYNCED_WRITE, done);
                }
                Ok(())
            }
            target @ Descriptor::Connection(_) => {
                if let Outcome::Returned(returned) = call.outcome {
                    self.sent(call, returned, target, arguments);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn sync(&mut self, call: &Call, what: Synced, name: &str, done: bool) {
        self.recording.syncs.push(Sync {
            began: call.began,
            ended: call.ended,
            what,
            call: name.to_owned(),
            done,
        });
        let of_thread = self.by_thread.entry((call.thread, call.name.clone()));
        of_thread.or_default().push(call.began);
    }

    fn synced(&mut self, call: &Call, arguments: &mut Arguments<'_>) -> Result<(), String> {
        let what = match call.name.as_str() {
            "sync" | "syncfs" => Synced::Everything,
            "msync" => {
                let address = arguments.word().trim_start_matches("0x");
                let address = u64::from_str_radix(address, 16).unwrap_or(0);
                let below = self.mappings.range(..=address).next_back();
                let Some((start, (length, file))) = below else {
                    return Ok(());
                };
                let (inside, file) = (address < start + length, *file);
                if !inside || !call.arguments.contains("MS_SYNC") {
                    return Ok(());
                }
                Synced::File(file)
            }
            _ => match arguments.descriptor()? {
                Descriptor::Path(path) => match self.ids.get(&path) {
                    Some(file) => Synced::File(*file),
                    // Whatever was never opened for writing.
                    None => Synced::Directory(path),
                },
                _ => return Ok(()),
            },
        };
        let done = match call.outcome {
            Outcome::Returned(_) => true,
            Outcome::Failed => false,
            Outcome::Unseen => return Ok(()),
        };
        self.sync(call, what, &call.name, done);
        Ok(())
    }

    fn copied(
        &mut self,
        call: &Call,
        returned: i64,
        arguments: &mut Arguments<'_>,
    ) -> Result<(), String> {
        let first = arguments.descriptor()?;
        // Of the others the target comes later, of `sendfile` it is the first.
        let target = match call.name.as_str() {
            "sendmmsg" | "sendfile" => first,
            _ => {
                arguments.word();
                arguments.descriptor()?
            }
        };
        match target {
            Descriptor::Path(path) => {
                let bytes = u64::try_from(returned).unwrap_or(0);
                self.changed(call.ended, &path, bytes);
            }
            Descriptor::Connection(shown) if self.is_a_client(&shown) => {
                let why = format!("it is not known how to read what {} sent", call.name);
                self.recording.misunderstood.get_or_insert(why);
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether a connection is one that the server has accepted at its own port.
    fn is_a_client(&self, shown: &str) -> bool {
        let local = shown.split("->").next().unwrap_or_default();
        let port: Option<u16> = local.rsplit(':').next().and_then(|port| port.parse().ok());
        match (self.port, port) {
            (Some(own), Some(port)) => own == port,
            _ => true,
        }
    }

    fn sent(
        &mut self,
        call: &Call,
        returned: i64,
        target: Descriptor,
        arguments: &mut Arguments<'_>,
    ) {
        let Descriptor::Connection(shown) = target else {
            return;
        };
        if self.is_a_client(&shown) {
            let heard = arguments
                .transferred(&call.name, returned)
                .map_or_else(Heard::Lost, Heard::Answer);
            // Before it is taken nobody else can have it.
            self.heard.push((call.began, shown, heard));
        }
    }

    fn received(
        &mut self,
        call: &Call,
        returned: i64,
        arguments: &mut Arguments<'_>,
    ) -> Result<(), String> {
        let Descriptor::Connection(shown) = arguments.descriptor()? else {
            return Ok(());
        };
        if returned > 0 && self.is_a_client(&shown) {
            let heard = arguments
                .transferred(&call.name, returned)
                .map_or_else(Heard::Lost, Heard::Request);
            self.heard.push((call.ended, shown, heard));
        }
        Ok(())
    }

    fn removed(&mut self, call: &Call, directory: &Descriptor, path: &Path) {
        let path = self.resolved(directory, path);
        if let Some(file) = self.ids.get(&path) {
            let removed = Renamed::Removed(*file);
            self.recording.names.push((call.ended, removed));
        }
    }

    fn moved(&mut self, call: &Call, from: (&Descriptor, &Path), to: (&Descriptor, &Path)) {
        let (from, to) = (self.resolved(from.0, from.1), self.resolved(to.0, to.1));
        if let Some(file) = self.ids.get(&from) {
            let moved = Renamed::Moved(*file, to);
            self.recording.names.push((call.ended, moved));
        }
    }

    fn mapped(&mut self, returned: i64, arguments: &mut Arguments<'_>) -> Result<(), String> {
        let (_address, length) = (arguments.word(), arguments.word());
        let (protection, flags) = (arguments.word(), arguments.word());
        let shared = flags.contains("MAP_SHARED");
        if !protection.contains("PROT_WRITE") || !shared || flags.contains("MAP_ANONYMOUS") {
            return Ok(());
        }
        if let Descriptor::Path(path) = arguments.descriptor()?
            && let Some(file) = self.file(&path)
        {
            let length = length.parse().unwrap_or(0);
            let start = returned.cast_unsigned();
            self.mappings.insert(start, (length, file));
            self.recording.mapped.insert(file);
        }
        Ok(())
    }

    fn finish(mut self) -> Recording {
        let recording = &mut self.recording;
        let (transfers, misunderstood) = conversations::transfers(self.heard);
        recording.transfers = transfers;
        recording.misunderstood = recording.misunderstood.take().or(misunderstood);
        recording.writes.sort_unstable();
        recording.names.sort_by_key(|(line, _)| *line);
        recording.syncs.sort_by_key(|sync| sync.ended);
        let first = recording.transfers.iter().map(|one| one.asked).min();
        let first = first.unwrap_or(u64::MAX);
        let of_threads = self.by_thread.values();
        let at_start = of_threads.map(|lines| lines.iter().filter(|line| **line < first).count());
        recording.syncs_at_start = at_start.max().unwrap_or(0) as u64;
        self.recording
    }
}

/// The number of the descriptor that is the first argument.
fn descriptor_number(arguments: &str) -> &str {
    let end = arguments.find(|c: char| !c.is_ascii_digit());
    &arguments[..end.unwrap_or(arguments.len())]
}
