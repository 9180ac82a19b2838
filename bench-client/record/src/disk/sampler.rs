//! One file, written and synced block by block with a clock around each.

use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tempfile::NamedTempFile;

use super::{BaselineConfig, DiskError, Method, Pattern, SyncMeasurement, kernel};

/// The region that overwriting goes round and round in, at most: what SQLite's write-ahead log
/// grows to by default before it is reused (1,000 pages of 4 KiB). Smaller would let a drive
/// absorb all of it in a cache line or two; larger would measure a log that nobody has.
const REGION_BYTES_MAX: u64 = 4 << 20;

/// An appended file is cut back to nothing, off the clock, before it would outgrow this, so that
/// no count fills a disk.
const APPEND_BYTES_MAX: u64 = 256 << 20;

/// The region is made in pieces of this size (or of a block, when that is larger), so that a slow
/// disk can end the preparation early.
const PREPARE_BYTES: u64 = 256 << 10;

/// Of the time limit, what may go into making the region.
const PREPARE_SHARE: f64 = 0.5;

/// Latencies above this are recorded as this.
const LATENCY_MAX: Duration = Duration::from_hours(1);

/// Who makes the sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// This program, by a system call of its own.
    Kernel,
    /// The C library, as for SQLite.
    CLibrary,
}

/// What one method and pattern has given, round by round.
pub(super) struct Samples {
    pub(super) method: Method,
    pub(super) pattern: Pattern,
    latency_ns: Histogram<u64>,
    round_p50_us: Vec<f64>,
}

impl Samples {
    pub(super) fn of(method: Method, pattern: Pattern) -> Self {
        Self {
            method,
            pattern,
            latency_ns: histogram(),
            round_p50_us: Vec::new(),
        }
    }

    /// Those of one more round.
    pub(super) fn add(&mut self, round_ns: &Histogram<u64>) {
        // Of few samples, too: rounds are compared by their direction.
        let p50 = Duration::from_nanos(round_ns.value_at_quantile(0.5));
        self.round_p50_us.push(p50.as_secs_f64() * 1e6);
        self.latency_ns
            .add(round_ns)
            .expect("the bounds are the same");
    }

    pub(super) fn measurement(self) -> SyncMeasurement {
        let found = SyncMeasurement::from_nanoseconds(self.method, self.pattern, &self.latency_ns);
        SyncMeasurement {
            round_p50_us: self.round_p50_us,
            ..found
        }
    }
}

/// The latencies of one method and pattern, in nanoseconds.
pub(super) fn samples(
    config: &BaselineConfig,
    caller: Caller,
    method: Method,
    pattern: Pattern,
    keep_going: &dyn Fn() -> bool,
) -> Result<Histogram<u64>, DiskError> {
    Prepared::new(config, caller, method, pattern)?.measure(keep_going, &|| true)
}

/// A file that is ready for its first sample.
pub(super) struct Prepared<'a> {
    target: Target<'a>,
    pattern: Pattern,
    /// Where writing starts anew.
    end: u64,
    started: Instant,
}

impl<'a> Prepared<'a> {
    pub(super) fn new(
        config: &'a BaselineConfig,
        caller: Caller,
        method: Method,
        pattern: Pattern,
    ) -> Result<Self, DiskError> {
        let started = Instant::now();
        let mut target = Target::create(config, caller, method)?;
        let end = match pattern {
            Pattern::Append => APPEND_BYTES_MAX,
            Pattern::Overwrite => target.make_region(started)?,
        };
        Ok(Self {
            target,
            pattern,
            end,
            started,
        })
    }

    /// Takes samples, at least one, while `wanted`.
    pub(super) fn measure(
        mut self,
        keep_going: &dyn Fn() -> bool,
        wanted: &dyn Fn() -> bool,
    ) -> Result<Histogram<u64>, DiskError> {
        let config = self.target.config;
        let block_bytes = u64::from(config.block.bytes());
        let mut latency_ns = histogram();
        let mut offset = 0;
        while latency_ns.is_empty()
            || latency_ns.len() < config.count
                && self.started.elapsed() < config.time_limit
                && wanted()
        {
            if !keep_going() {
                return Err(DiskError::Interrupted);
            }
            if offset + block_bytes > self.end {
                offset = 0;
                if self.pattern == Pattern::Append {
                    self.target.cut_back()?;
                }
            }
            let latency = self.target.write_durably(offset)?;
            latency_ns.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
            offset += block_bytes;
        }
        Ok(latency_ns)
    }
}

/// The file that is measured. It has a name, unlike a file that is unlinked while open, since a
/// file system need not log what no name leads to (btrfs does not): its syncs would be too cheap.
struct Target<'a> {
    config: &'a BaselineConfig,
    caller: Caller,
    method: Method,
    file: NamedTempFile,
    block: Vec<u8>,
}

impl<'a> Target<'a> {
    fn create(
        config: &'a BaselineConfig,
        caller: Caller,
        method: Method,
    ) -> Result<Self, DiskError> {
        let create = || {
            let file = create_in(&config.dir, method)?;
            // So that the first sample does not pay for what came before: the freeing of the last
            // measurement's blocks, say, which a file system may discard at its next commit.
            kernel::sync(file.as_file(), Method::Fsync)?;
            Ok(file)
        };
        let file = create().map_err(|source| DiskError::Create {
            dir: config.dir.clone(),
            source,
        })?;
        Ok(Self {
            config,
            caller,
            method,
            file,
            block: incompressible(config.block.bytes()),
        })
    }

    /// Writes and syncs the blocks to be overwritten, and says how many bytes they are: no more
    /// than the samples need, at least one block, and fewer when time runs out.
    ///
    /// The region is written and not just allocated, because the first write to a block that is
    /// merely allocated changes metadata and is as slow as appending.
    fn make_region(&mut self, started: Instant) -> Result<u64, DiskError> {
        let block_bytes = u64::from(self.config.block.bytes());
        let wanted = block_bytes
            .saturating_mul(self.config.count)
            .min(REGION_BYTES_MAX)
            .max(block_bytes);
        let piece = incompressible(
            u32::try_from(PREPARE_BYTES.min(wanted))
                .unwrap_or(u32::MAX)
                .max(self.config.block.bytes()),
        );
        let mut made = 0;
        while made == 0
            || made < wanted && started.elapsed() < self.config.time_limit.mul_f64(PREPARE_SHARE)
        {
            let written = self.file.as_file().write_all_at(&piece, made);
            written
                .and_then(|()| kernel::sync(self.file.as_file(), Method::Fsync))
                .map_err(|e| self.failed(e))?;
            made += piece.len() as u64;
        }
        Ok(made)
    }

    fn cut_back(&mut self) -> Result<(), DiskError> {
        let file = self.file.as_file();
        file.set_len(0)
            .and_then(|()| kernel::sync(file, Method::Fsync))
            .map_err(|source| self.failed(source))
    }

    /// Writes one block, and returns how long it took until it was durable.
    fn write_durably(&mut self, offset: u64) -> Result<Duration, DiskError> {
        // Every block differs, or a file system that deduplicates would write it once.
        for (byte, stamp) in self.block.iter_mut().zip(offset.to_le_bytes()) {
            *byte = byte.wrapping_add(stamp).wrapping_add(1);
        }
        let file = self.file.as_file();
        let started = Instant::now();
        let written = file.write_all_at(&self.block, offset);
        let synced = written.and_then(|()| match (self.caller, self.method) {
            (Caller::CLibrary, Method::Fdatasync) => file.sync_data(),
            (Caller::CLibrary, Method::Fsync) => file.sync_all(),
            (Caller::CLibrary, Method::ODsync) | (Caller::Kernel, _) => {
                kernel::sync(file, self.method)
            }
        });
        let latency = started.elapsed();
        synced
            .map(|()| latency)
            .map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> DiskError {
        DiskError::Write {
            dir: self.config.dir.clone(),
            block_bytes: self.config.block.bytes(),
            source,
        }
    }
}

/// Creates a file of a name of its own, which goes when the value is dropped.
fn create_in(dir: &Path, method: Method) -> io::Result<NamedTempFile> {
    tempfile::Builder::new()
        .prefix(".busload-sync-")
        .make_in(dir, |path| kernel::create_new(path, method))
}

/// Bytes as a database's are: neither holes nor squeezed to nothing by a file system that
/// compresses.
fn incompressible(bytes: u32) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..bytes.div_ceil(8))
        .flat_map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        })
        .collect()
}

pub(super) fn histogram() -> Histogram<u64> {
    let highest = u64::try_from(LATENCY_MAX.as_nanos()).unwrap_or(u64::MAX);
    Histogram::new_with_max(highest, 3).expect("the bounds are constants and in range")
}
