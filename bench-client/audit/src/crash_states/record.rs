//! What a server did to its database's files and said on its connections, from a trace.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::{Path, PathBuf};

use super::arguments::{Arguments, Descriptor};
use super::trace::{Call, Calls, Outcome, TraceError};

/// A file of a database. The index of the write-ahead log (`-shm`) is not one of them: SQLite
/// builds it anew when it recovers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The database itself.
    Database,
    /// Its write-ahead log.
    Log,
    /// Its rollback journal.
    Journal,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Database, Self::Log, Self::Journal];

    /// What is appended to the database's name.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Database => "",
            Self::Log => "-wal",
            Self::Journal => "-journal",
        }
    }

    /// The file's path, given the database's.
    #[must_use]
    pub fn path(self, database: &Path) -> PathBuf {
        let mut path = database.as_os_str().to_owned();
        path.push(self.suffix());
        path.into()
    }

    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

/// What a sync makes durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synced {
    /// One file, and that it is there.
    File(Role),
    /// The names in the database's directory.
    Directory,
    /// Both, of all files.
    Everything,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A write has returned.
    Written {
        /// The file.
        role: Role,
        /// Where.
        offset: u64,
        /// What was written.
        data: Vec<u8>,
    },
    /// A file was given a length.
    Truncated {
        /// The file.
        role: Role,
        /// Its new length in bytes.
        length: u64,
    },
    /// A file was opened that is created when it is not there.
    Created(Role),
    /// A file was removed.
    Removed(Role),
    /// A sync began.
    SyncBegan {
        /// Which one.
        sync: u32,
        /// Of what.
        what: Synced,
    },
    /// A sync has returned without an error.
    SyncEnded {
        /// Which one.
        sync: u32,
    },
    /// Bytes came from a client.
    Received {
        /// From which connection.
        connection: u32,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Bytes were about to be given to the operating system for a client, which took them.
    Sent {
        /// To which connection.
        connection: u32,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A connection was closed.
    Closed {
        /// Which one.
        connection: u32,
    },
}

/// All that happened, by the line of the trace.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    /// In the order of the lines.
    pub events: Vec<(u64, Event)>,
}

impl Recording {
    /// Reads the trace of one server with its database at `database`.
    ///
    /// # Errors
    /// A line is not understood, or the server did something to its files that this model
    /// does not know: wrote them through a mapping or without an offset, renamed them.
    pub fn read(trace: impl BufRead, database: &Path) -> Result<Self, TraceError> {
        let mut reader = Reader {
            names: Names::of(database),
            connections: BTreeMap::new(),
            syncs: 0,
            events: Vec::new(),
        };
        for call in Calls::new(trace) {
            let call = call?;
            let line = call.began;
            reader
                .take(&call)
                .map_err(|why| format!("{}: {why}", call.name))
                .map_err(|why| TraceError::Line { line, why })?;
        }
        let mut events = reader.events;
        events.sort_by_key(|(line, _)| *line);
        Ok(Self { events })
    }
}

/// The names of the files of one database.
struct Names {
    directory: PathBuf,
    files: [(Role, PathBuf); 3],
}

impl Names {
    fn of(database: &Path) -> Self {
        // The trace names files as the kernel does.
        let directory = database
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        let directory = directory
            .canonicalize()
            .unwrap_or_else(|_| directory.to_owned());
        let database = directory.join(database.file_name().unwrap_or_default());
        Self {
            files: Role::ALL.map(|role| (role, role.path(&database))),
            directory,
        }
    }

    /// A relative path is taken to be in the database's directory.
    fn role(&self, path: &Path) -> Option<Role> {
        let of = |(role, file): &(Role, PathBuf)| {
            let same = file == path || path.is_relative() && file.file_name() == path.file_name();
            same.then_some(*role)
        };
        self.files.iter().find_map(of)
    }

    fn role_of(&self, descriptor: &Descriptor) -> Option<Role> {
        match descriptor {
            Descriptor::Path(path) => self.role(path),
            _ => None,
        }
    }
}

struct Reader {
    names: Names,
    /// Those that are open, by what strace calls them.
    connections: BTreeMap<String, u32>,
    syncs: u32,
    events: Vec<(u64, Event)>,
}

impl Reader {
    fn take(&mut self, call: &Call) -> Result<(), String> {
        let Outcome::Returned(returned) = call.outcome else {
            // What failed, or was never seen to return, changed nothing.
            return Ok(());
        };
        let mut arguments = Arguments::new(&call.arguments);
        let arguments = &mut arguments;
        match call.name.as_str() {
            "openat" => {
                arguments.descriptor()?;
                let path = arguments.path()?;
                self.opened(call, &path, arguments.word())
            }
            "open" => {
                let path = arguments.path()?;
                self.opened(call, &path, arguments.word())
            }
            "creat" => {
                let path = arguments.path()?;
                self.opened(call, &path, "O_CREAT|O_TRUNC")
            }
            "pwrite64" | "pwritev" | "pwritev2" | "write" | "writev" | "sendto" | "sendmsg"
            | "sendmmsg" | "sendfile" | "splice" | "fallocate" => {
                self.written(call, returned, arguments)
            }
            "read" | "readv" | "recvfrom" | "recvmsg" => self.received(call, returned, arguments),
            "fsync" | "fdatasync" | "sync" | "syncfs" => self.synced(call, arguments),
            "ftruncate" => {
                let file = arguments.descriptor()?;
                self.truncated(call, self.names.role_of(&file), arguments.number()?);
                Ok(())
            }
            "truncate" => {
                let path = arguments.path()?;
                self.truncated(call, self.names.role(&path), arguments.number()?);
                Ok(())
            }
            "unlink" => {
                let path = arguments.path()?;
                self.removed(call, &path);
                Ok(())
            }
            "unlinkat" => {
                arguments.descriptor()?;
                let path = arguments.path()?;
                self.removed(call, &path);
                Ok(())
            }
            "rename" => {
                let paths = [arguments.path()?, arguments.path()?];
                self.renamed(&paths)
            }
            "renameat" | "renameat2" => {
                arguments.descriptor()?;
                let from = arguments.path()?;
                arguments.descriptor()?;
                self.renamed(&[from, arguments.path()?])
            }
            "close" => {
                if let Descriptor::Connection(shown) = arguments.descriptor()?
                    && let Some(connection) = self.connections.remove(&shown)
                {
                    self.push(call.ended, Event::Closed { connection });
                }
                Ok(())
            }
            "mmap" => self.mapped(arguments),
            "io_uring_setup" => Err("what goes through io_uring is not traced".to_owned()),
            _ => Ok(()),
        }
    }

    fn push(&mut self, line: u64, event: Event) {
        self.events.push((line, event));
    }

    fn connection(&mut self, shown: String) -> u32 {
        // Never used twice: an address may be.
        let next = self.events.len();
        let next = u32::try_from(next).unwrap_or(u32::MAX);
        *self.connections.entry(shown).or_insert(next)
    }

    fn opened(&mut self, call: &Call, path: &Path, flags: &str) -> Result<(), String> {
        let Some(role) = self.names.role(path) else {
            return Ok(());
        };
        let has = |flag: &str| flags.split('|').any(|found| found == flag);
        if has("O_SYNC") || has("O_DSYNC") {
            return Err("files opened with O_SYNC or O_DSYNC are not replayed".to_owned());
        }
        if has("O_CREAT") {
            self.push(call.ended, Event::Created(role));
        }
        if has("O_TRUNC") {
            self.truncated(call, Some(role), 0);
        }
        Ok(())
    }

    fn written(
        &mut self,
        call: &Call,
        returned: i64,
        arguments: &mut Arguments<'_>,
    ) -> Result<(), String> {
        let target = arguments.descriptor()?;
        let role = self.names.role_of(&target);
        match (call.name.as_str(), target, role) {
            ("pwrite64" | "pwritev" | "pwritev2", _, Some(role)) => {
                let data = arguments.transferred(&call.name, returned)?;
                // The length of the buffer or the number of buffers.
                arguments.number()?;
                let offset = arguments.number()?;
                self.push(call.ended, Event::Written { role, offset, data });
            }
            (_, _, Some(_)) => {
                return Err("a file of the database is written without an offset".to_owned());
            }
            ("sendmmsg" | "sendfile" | "splice", Descriptor::Connection(_), _) => {
                return Err("it is not known how to read what it sent".to_owned());
            }
            ("write" | "writev" | "sendto" | "sendmsg", Descriptor::Connection(shown), _) => {
                let connection = self.connection(shown);
                let bytes = arguments.transferred(&call.name, returned)?;
                self.push(call.began, Event::Sent { connection, bytes });
            }
            _ => {}
        }
        Ok(())
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
        if returned <= 0 {
            return Ok(());
        }
        let bytes = arguments.transferred(&call.name, returned)?;
        let connection = self.connection(shown);
        self.push(call.ended, Event::Received { connection, bytes });
        Ok(())
    }

    fn synced(&mut self, call: &Call, arguments: &mut Arguments<'_>) -> Result<(), String> {
        let what = if call.name.starts_with("sync") {
            Synced::Everything
        } else {
            match arguments.descriptor()? {
                Descriptor::Path(path) if path == self.names.directory => Synced::Directory,
                file => match self.names.role_of(&file) {
                    Some(role) => Synced::File(role),
                    None => return Ok(()),
                },
            }
        };
        let sync = self.syncs;
        self.syncs += 1;
        self.push(call.began, Event::SyncBegan { sync, what });
        self.push(call.ended, Event::SyncEnded { sync });
        Ok(())
    }

    fn truncated(&mut self, call: &Call, role: Option<Role>, length: u64) {
        if let Some(role) = role {
            self.push(call.ended, Event::Truncated { role, length });
        }
    }

    fn removed(&mut self, call: &Call, path: &Path) {
        if let Some(role) = self.names.role(path) {
            self.push(call.ended, Event::Removed(role));
        }
    }

    fn renamed(&self, paths: &[PathBuf]) -> Result<(), String> {
        if paths.iter().any(|path| self.names.role(path).is_some()) {
            return Err("renaming a file of the database is not replayed".to_owned());
        }
        Ok(())
    }

    fn mapped(&self, arguments: &mut Arguments<'_>) -> Result<(), String> {
        let (_address, _length) = (arguments.word(), arguments.word());
        let (protection, flags) = (arguments.word(), arguments.word());
        let writable = protection.contains("PROT_WRITE") && flags.contains("MAP_SHARED");
        if writable && self.names.role_of(&arguments.descriptor()?).is_some() {
            return Err("a file of the database is written through a mapping".to_owned());
        }
        Ok(())
    }
}
