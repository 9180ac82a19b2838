//! Instructions that the hot paths take for a transfer, against those that were recorded.
//!
//! The program runs itself under `valgrind --tool=callgrind`, which counts every instruction of
//! user code. In there each path does some turns, then twice as many: the difference is what
//! these turns take, without what came before and after. A call of [`count_mark`] separates
//! them, at which callgrind writes down what it has counted since the last one.
//!
//! `just bench-instructions` compares with `benches/instructions.json` and ends with code 3 when a path takes another number than it should; `just bench-instructions-record` writes
//! that file. `docs/performance.md` has the rules, `docs/adr/0028-counted-instructions.md` the
//! reasons.

mod baseline;
mod callgrind;
mod environment;

use std::hint::black_box;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use baseline::{Baseline, Comparison};
use busload_benches::Setup;
use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Transfers that are counted of each path, if that is not too many turns.
const COUNTED_TRANSFERS: usize = 8_000;
/// A turn may wait for a disk.
const COUNTED_TURNS_MAX: usize = 1_000;
/// Longer than it takes the threads of a server to go to sleep, also as slow as they are here.
const NULL_SYNC: Duration = Duration::from_millis(1);
/// Turns before them.
const WARM_UP_TURNS: usize = 20;
/// What it ends with when a path takes another number of instructions than was recorded.
const CHANGED: u8 = 3;

/// Count the instructions of the hot paths, and compare with what was recorded.
#[derive(Parser)]
#[command(name = "instructions")]
struct Arguments {
    /// Write the counts into the baseline instead of comparing with it
    #[arg(long)]
    record: bool,
    /// Only paths whose names contain this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// The recorded counts
    #[arg(
        long,
        value_name = "FILE",
        default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.json"),
    )]
    baseline: PathBuf,
    /// Waste this many instructions for each transfer: to see that it is noticed
    #[arg(long, value_name = "INSTRUCTIONS", default_value_t = 0)]
    slowdown: usize,
    /// This process is the one that is counted; its files are in this directory
    #[arg(long, hide = true, value_name = "DIRECTORY")]
    counted: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.counted {
        Some(directory) => be_counted(&arguments, directory).map(|()| ExitCode::SUCCESS),
        None => count(&arguments),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}

/// Counts, then records or compares.
fn count(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut flags = vec![format!("--slowdown={}", arguments.slowdown)];
    flags.extend(arguments.only.iter().map(|only| format!("--only={only}")));
    let paths = callgrind::count(&flags)?;
    anyhow::ensure!(!paths.is_empty(), "no path has such a name");
    let mut out = std::io::stdout().lock();
    let counted = Baseline {
        environment: environment::read()?,
        instructions_per_transfer: paths,
    };
    if arguments.record {
        counted.write(&arguments.baseline)?;
        for (name, count) in &counted.instructions_per_transfer {
            writeln!(out, "{name:28} {count:>10.1}")?;
        }
        writeln!(out, "recorded in {}", arguments.baseline.display())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut recorded = Baseline::read(&arguments.baseline)?;
    if let Some(only) = &arguments.only {
        let is_asked_for = |name: &String, _: &mut f64| name.contains(only);
        recorded.instructions_per_transfer.retain(is_asked_for);
    }
    let comparison = Comparison::new(&recorded, &counted);
    write!(out, "{comparison}")?;
    Ok(if comparison.is_as_recorded() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(CHANGED)
    })
}

/// Says the name of each path and how many transfers its difference is of, in the order of the
/// marks: three for each path.
fn be_counted(arguments: &Arguments, directory: &Path) -> anyhow::Result<()> {
    let only = arguments.only.as_deref().unwrap_or_default();
    let setup = Setup {
        directory: directory.to_owned(),
        null_sync: NULL_SYNC,
    };
    let mut out = std::io::stdout().lock();
    for path in busload_benches::all() {
        if !path.name.contains(only) {
            continue;
        }
        let (name, transfers) = (path.name.clone(), path.transfers);
        let turns = (COUNTED_TRANSFERS / transfers).clamp(1, COUNTED_TURNS_MAX);
        let mut turn = path.open(&setup);
        let mut run = |turns: usize| {
            for _ in 0..turns {
                turn();
                waste(arguments.slowdown * transfers);
            }
            count_mark();
        };
        // Memory grows, caches fill.
        run(turns.min(WARM_UP_TURNS));
        run(turns);
        run(2 * turns);
        writeln!(out, "{name}\t{}", turns * transfers)?;
    }
    Ok(())
}

/// Callgrind writes down what it counted when this is entered.
#[inline(never)]
fn count_mark() {
    black_box(());
}

/// Wastes at least so many instructions.
fn waste(instructions: usize) {
    for n in 0..instructions {
        black_box(n);
    }
}
