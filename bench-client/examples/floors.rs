//! What the pieces of a transfer cost at least on this machine: for each a bare loop, on one
//! thread, that does just that and nothing around it. `docs/performance.md` holds the program
//! against them; the floor of the sockets is `servers/frontend/examples/epoll_echo.rs`.
//!
//! ```text
//! cargo run --release -p bench-client --example floors -- [--accounts N] [--alpha A] [--batch N]
//!     [--seconds S] [--bytes N] [--data-dir DIR]
//! ```
//!
//! - client: draw two accounts and record a latency;
//! - codec: write and read a transfer and its answer, as client and server do together;
//! - apply: two conditional UPDATEs with held statements, in transactions of `--batch` transfers
//!   that are committed without a sync. What SQLite spends on the COMMIT is left out;
//! - commit: append `--bytes` per transfer to a file, `--batch` transfers at a time, and
//!   `fdatasync` it: the time of the whole, and the processor time in it.
#![allow(clippy::print_stdout, reason = "its report")]

use std::hint::black_box;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bench_client::workload::{TransferSource, Zipf};
use busload_wire::json::{
    AnswerId, decode_answer, decode_request, encode_outcome, encode_transfer,
};
use busload_wire::{RequestId, Transfer};
use bytes::BytesMut;
use clap::Parser;
use hdrhistogram::Histogram;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use rusqlite::Connection;

/// The loops run this often between two looks at the clock.
const ROUND: u32 = 4096;
/// A log does not grow for ever either.
const FILE_BYTES_MAX: usize = 64 * 1024 * 1024;

#[derive(Parser)]
struct Arguments {
    /// Number of accounts
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(2..=10_000_000))]
    accounts: u32,
    /// Exponent of the Zipf distribution of accounts; 0 is uniform
    #[arg(long, default_value_t = 1.5)]
    alpha: f64,
    /// Transfers per transaction
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    batch: u32,
    /// Length of each loop, in seconds
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Bytes of log per transfer
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    bytes: u32,
    /// Directory of the files: its file system is what is measured
    #[arg(long, default_value = ".data", value_name = "DIR")]
    data_dir: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    std::fs::create_dir_all(&arguments.data_dir)
        .with_context(|| format!("cannot create {}", arguments.data_dir.display()))?;
    let zipf = Arc::new(Zipf::new(arguments.accounts, arguments.alpha)?);
    let mut source = TransferSource::new(zipf, 1, 0);
    let length = Duration::from_secs(arguments.seconds);
    println!("client  {:.3} us", client(&mut source, length));
    println!("codec   {:.3} us", codec(&mut source, length)?);
    println!("apply   {:.3} us", apply(&arguments, &mut source, length)?);
    let (whole, processor) = commit(&arguments, length)?;
    println!("commit  {whole:.3} us, of it {processor:.3} us of a processor");
    Ok(())
}

/// Microseconds per turn of a loop that goes on for this long.
fn per_turn(length: Duration, mut turn: impl FnMut()) -> f64 {
    let began = Instant::now();
    let mut turns = 0_u64;
    while began.elapsed() < length {
        for _ in 0..ROUND {
            turn();
        }
        turns += u64::from(ROUND);
    }
    per(began.elapsed(), turns)
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn per(time: Duration, count: u64) -> f64 {
    time.as_secs_f64() * 1e6 / count.max(1) as f64
}

fn client(source: &mut TransferSource, length: Duration) -> f64 {
    let mut latencies = Histogram::<u64>::new(3).expect("three digits are allowed");
    let began = Instant::now();
    per_turn(length, || {
        black_box(source.next_pair());
        let passed = began.elapsed().as_nanos();
        latencies.saturating_record(u64::try_from(passed).unwrap_or(u64::MAX));
    })
}

fn codec(source: &mut TransferSource, length: Duration) -> anyhow::Result<f64> {
    let transfers: Vec<Transfer> = (0..ROUND).map(|_| transfer(source)).collect();
    let mut turns = (1..).zip(transfers.iter().cycle());
    let mut out = BytesMut::with_capacity(4096);
    let mut wrong = None;
    let us = per_turn(length, || {
        let Some((id, transfer)) = turns.next() else {
            return;
        };
        let mut there_and_back = || -> anyhow::Result<()> {
            let id = RequestId::new(id).context("ids of requests are below 2^53")?;
            out.clear();
            encode_transfer(&mut out, Some(id), transfer);
            black_box(decode_request(&out).map_err(|_| anyhow::anyhow!("no request"))?);
            out.clear();
            encode_outcome(&mut out, AnswerId::Echo(Some(id)), Ok(()));
            black_box(decode_answer(&out)?);
            Ok(())
        };
        if let Err(error) = there_and_back() {
            wrong = Some(error);
        }
    });
    wrong.map_or(Ok(us), Err)
}

fn transfer(source: &mut TransferSource) -> Transfer {
    let pair = source.next_pair();
    Transfer {
        from: i64::from(pair.from),
        to: i64::from(pair.to),
        amount: 1,
        transfer_id: None,
    }
}

fn apply(
    arguments: &Arguments,
    source: &mut TransferSource,
    length: Duration,
) -> anyhow::Result<f64> {
    let file = Scratch(arguments.data_dir.join("floor.sqlite"));
    file.remove();
    let ledger = Connection::open(&file.0)?;
    ledger.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -524288;
         PRAGMA wal_autocheckpoint = 0;
         CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL) STRICT;",
    )?;
    ledger.execute(
        "WITH RECURSIVE ids (id) AS (SELECT 0 UNION ALL SELECT id + 1 FROM ids WHERE id + 1 < ?)
         INSERT INTO accounts SELECT id, 10000000 FROM ids",
        [arguments.accounts],
    )?;
    let mut debit = ledger
        .prepare("UPDATE accounts SET balance = balance - ?2 WHERE id = ?1 AND balance >= ?2")?;
    let mut credit = ledger.prepare("UPDATE accounts SET balance = balance + ?2 WHERE id = ?1")?;
    let began = Instant::now();
    let (mut applying, mut count) = (Duration::ZERO, 0_u64);
    while began.elapsed() < length {
        let pairs: Vec<_> = (0..arguments.batch).map(|_| source.next_pair()).collect();
        ledger.execute_batch("BEGIN IMMEDIATE")?;
        let since = Instant::now();
        for pair in pairs {
            if debit.execute((pair.from, 1))? == 1 {
                credit.execute((pair.to, 1))?;
            }
        }
        applying += since.elapsed();
        count += u64::from(arguments.batch);
        ledger.execute_batch("COMMIT")?;
        ledger.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()))?;
    }
    Ok(per(applying, count))
}

fn commit(arguments: &Arguments, length: Duration) -> anyhow::Result<(f64, f64)> {
    let path = Scratch(arguments.data_dir.join("floor.log"));
    path.remove();
    let mut file = std::fs::File::create(&path.0)?;
    let batch = vec![0x5a; (arguments.bytes * arguments.batch) as usize];
    let cpu = || -> anyhow::Result<Duration> {
        let usage = getrusage(UsageWho::RUSAGE_THREAD)?;
        let used = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
        Ok(Duration::from_micros(used.unsigned_abs()))
    };
    let (began, cpu_before) = (Instant::now(), cpu()?);
    let (mut count, mut written) = (0_u64, 0_usize);
    while began.elapsed() < length {
        if written > FILE_BYTES_MAX {
            // As after a checkpoint: the log is written over from its start.
            std::io::Seek::rewind(&mut file)?;
            written = 0;
        }
        for piece in batch.chunks(128 * 1024 - 512) {
            file.write_all(piece)?;
        }
        written += batch.len();
        file.sync_data()?;
        count += u64::from(arguments.batch);
    }
    let whole = began.elapsed();
    let processor = cpu()?.saturating_sub(cpu_before);
    Ok((per(whole, count), per(processor, count)))
}

/// A file that is removed in the end, with what SQLite puts beside it.
struct Scratch(PathBuf);

impl Scratch {
    fn remove(&self) {
        for suffix in ["", "-wal", "-shm"] {
            let mut name = self.0.clone().into_os_string();
            name.push(suffix);
            // It may never have been made.
            let _ = std::fs::remove_file(Path::new(&name));
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.remove();
    }
}
