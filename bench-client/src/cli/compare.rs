//! `bench-client compare`: base and candidate, measured in turn, and what that allows to say.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

mod flags;
mod measure;
mod records;
pub(crate) mod save;
mod session;
mod sides;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use bench_client::compare::{Baseline, LEAST_ROUNDS, Schedule, SideText};
use bench_client::config::heading::EXIT_CODE;
use bench_client::judge::compare::{EQUIVALENCE, ROUNDS_MAX};
use bench_client::judge::gate::Gate;
use bench_client::record::comparison::ComparisonRecord;
use bench_client::render::document::{Document, Facts};
use bench_client::render::records::{comparison, comparison_headline, comparison_summary};
use bench_client::statistics::{Level, RUNS_MIN};
use busload_frontend::cli::{count, parse_time_within};
use clap::Args;

use super::fail_on::FailOnArgs;
use super::output::OutputArgs;
use super::progress::Detail;
use super::usage;
use super::verbosity::VerbosityArgs;
use flags::SharedFlags;
use session::{Base, Session};
use sides::Side;

/// How long a comparison takes when nothing else is said.
const TIME: Duration = Duration::from_mins(2);
/// How long it may take to reach a precision when nothing else is said.
const TIME_FOR_PRECISION: Duration = Duration::from_mins(10);
/// Most runs of a candidate that a baseline of few runs is made up for with by itself.
const MAKE_UP: u32 = 20;

/// The confidence of all metrics together.
const LEVEL: Level = Level::METRICS;

pub(crate) const AFTER: &str = "A side is CONNECTOR|TARGET[,key=value…], such \
as sqlite_ws_rpc,batch-size=1k. It begins with sqlite_rpc, sqlite_ws_rpc, spacetimedb or a target \
(a name that `targets list` shows, or a file). The keys are the names of flags, and go before flags \
beside the sides. Further keys: server-command='COMMAND' measures the server that a command \
starts, server-bin=PATH starts the server from another program (busload, bench-client, \
sqlite-rpc-server or sqlite-ws-rpc-server), url=URL measures one that runs. Every ratio is B ÷ A.\n\n\
Exit codes: 0 no gate failed, 2 bad arguments, or a baseline of other conditions, 3 a gate \
failed, or a warning by --fail-on or --strict, 4 a run is invalid or nothing could be compared, 5 could not connect or start, \
130 interrupted: what was compared until then is recorded";

/// Above the flags of a comparison, in the help text.
const HEADING: &str = "Comparison";

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// A, the base, and B, the candidate: CONNECTOR|TARGET[,key=value…]
    ///
    /// With --baseline only B, or neither to measure the baseline's knobs again.
    #[arg(value_name = "SIDE", num_args = 0..=2)]
    sides: Vec<String>,
    /// Read A and B from this TOML file, whose values may hold commas and spaces
    ///
    /// It has the tables base and candidate, each with connector or target, knobs under their flag
    /// names, label, and revision.
    #[arg(long, help_heading = HEADING, value_name = "FILE", conflicts_with_all = ["sides", "baseline", "records"])]
    side_file: Option<PathBuf>,
    /// Compare with a saved baseline, or a record
    ///
    /// NAME is that of run --save-baseline NAME.
    #[arg(long, help_heading = HEADING, value_name = "NAME|FILE")]
    baseline: Option<String>,
    /// Compare two records, and measure nothing
    ///
    /// Of run or sweep, or two of fsync. What the machine did between the two is not known.
    #[arg(long, help_heading = HEADING, value_name = "FILE", num_args = 2, conflicts_with_all = ["sides", "baseline"])]
    #[arg(conflicts_with_all = ["rounds", "until_precision", "time_limit", "calibrate"])]
    records: Vec<PathBuf>,
    /// Compare although workload, knobs, storage or machine are not the same
    ///
    /// With --baseline or --records.
    #[arg(long, help_heading = HEADING)]
    allow_unlike: bool,
    /// Rounds of A and B [default: by the time]
    ///
    /// [default: as many as take 2 minutes, 10 or more] With --baseline, runs of B [default: as many as were recorded].
    #[arg(long, help_heading = HEADING, value_name = "N", conflicts_with = "until_precision")]
    #[arg(value_parser = count::<u32>(1..=u64::from(ROUNDS_MAX)))]
    rounds: Option<u32>,
    /// Measure until intervals are this narrow
    ///
    /// Until the interval of the ratio reaches no further to either side, such as 2%: the ratio of TPS, and of each metric that a gate is about.
    #[arg(long, help_heading = HEADING, value_name = "SHARE", value_parser = parse_share)]
    until_precision: Option<f64>,
    /// How long to measure at most [default: 2m]
    ///
    /// A round that would not end in time is not begun. [default: none with --rounds, 10m with --until-precision]
    #[arg(long, help_heading = HEADING, value_name = "TIME", value_parser = parse_time_limit)]
    time_limit: Option<Duration>,
    /// Largest difference that counts as none, such as 5%
    #[arg(long, help_heading = HEADING, value_name = "SHARE", value_parser = parse_share)]
    equivalence: Option<f64>,
    /// First compare A with itself
    ///
    /// In as many rounds, to see what differs by chance.
    #[arg(long, help_heading = HEADING)]
    calibrate: bool,
    #[command(flatten)]
    shared: SharedFlags,
    /// Exit with 3 when this is proven: 'tps<-5%', 'p99>5ms'
    ///
    /// Also 'p99>+10%' or 'tps<100k'; as often as needed. A percentage is relative to A, any other number is B's own value. It
    /// takes 10 rounds or more.
    #[arg(long, help_heading = EXIT_CODE, value_name = "GATE")]
    fail_if: Vec<Gate>,
    /// Exit with 3 also when a gate is undecided, as --strict does
    #[arg(long, help_heading = EXIT_CODE, requires = "fail_if")]
    fail_undecided: bool,
    #[command(flatten)]
    fail_on: FailOnArgs,
    #[command(flatten)]
    verbosity: VerbosityArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// The end of a comparison: all that was found, or its conclusion alone, as was asked for.
pub(super) fn end(record: &ComparisonRecord, path: &Path, verbosity: VerbosityArgs) -> Document {
    let mut document = Document::default();
    if verbosity.verbose {
        let mut kept = Facts::default();
        kept.add("record", path.display().to_string());
        document = comparison::document(record);
        document.called(&record.naming);
        document.facts(kept);
    } else if verbosity.quiet {
        document.say(comparison_headline::headline(record));
    } else {
        document = comparison_summary::closing(record, Some(path));
    }
    document
}

/// A percentage as a share.
fn parse_share(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').map(str::trim_end);
    let percent = number.and_then(|number| number.parse::<f64>().ok());
    match percent {
        Some(percent) if (0.1..=50.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err("write a percentage from 0.1% to 50%".to_owned()),
    }
}

fn parse_time_limit(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_nanos(1)..=Duration::from_hours(24);
    parse_time_within(
        text,
        bounds,
        "write a time above 0, up to 24h, such as 90s or 10m",
    )
}

pub(crate) fn run(args: &CompareArgs) -> anyhow::Result<ExitCode> {
    for flag in ["connector", "target"] {
        if args.shared.0.has(flag) {
            return Err(usage(&format!(
                "--{flag} is what a side begins with: leave it out"
            )));
        }
    }
    if let [base, candidate] = args.records.as_slice() {
        return records::run(args, base, candidate);
    }
    if args.allow_unlike && args.baseline.is_none() {
        return Err(usage("--allow-unlike goes with --baseline or --records"));
    }
    let live = |sides: [SideText; 2]| -> anyhow::Result<(Base, Side)> {
        let [base, candidate] = sides.map(|side| Side::new(side, &args.shared, Vec::new()));
        Ok((Base::Live(Box::new(base?)), candidate?))
    };
    let (base, candidate) = match (&args.baseline, args.sides.as_slice()) {
        (None, []) if args.side_file.is_some() => live(sides::read(
            args.side_file.as_deref().unwrap_or(Path::new("")),
        )?)?,
        (None, [base, candidate]) => live([sides::parse(base)?, sides::parse(candidate)?])?,
        (Some(baseline), sides) if sides.len() < 2 => {
            against_baseline(args, baseline, sides.first())?
        }
        (None, _) => {
            return Err(usage(
                "compare needs two sides, A and B: or one, with --baseline for the other; or two \
                 records, with --records",
            ));
        }
        (Some(_), _) => {
            return Err(usage(
                "the baseline is A: give one side, B, or leave out --baseline",
            ));
        }
    };
    args.refuse_undecidable(&base)?;
    Session::new(args, base, candidate).run()
}

/// The baseline, and the side that is held against it.
fn against_baseline(
    args: &CompareArgs,
    name_or_file: &str,
    side: Option<&String>,
) -> anyhow::Result<(Base, Side)> {
    let open = |like: Option<&Side>| {
        Baseline::open(name_or_file, like.map(|side| &side.conditions))
            .map_err(|error| usage(&error.to_string()))
    };
    let (baseline, candidate) = if let Some(side) = side {
        let text = sides::parse(side)?;
        // Which of its rows are meant is known from the side, how long runs are from the rows.
        let like = Side::new(text.clone(), &args.shared, Vec::new())?;
        let baseline = open(Some(&like))?;
        let candidate = Side::new(text, &args.shared, baseline.times())?;
        (baseline, candidate)
    } else {
        let baseline = open(None)?;
        let mut flags = baseline.flags();
        let is_subject = |name: &str| ["connector", "target"].contains(&name);
        let subject = flags.iter().position(|(name, _)| is_subject(name));
        let subject = subject.and_then(|place| flags.remove(place).1);
        let text = sides::parse(&subject.unwrap_or_default())?;
        let mut candidate = Side::new(text, &args.shared, flags)?;
        candidate.label = format!("the knobs of {name_or_file} again");
        (baseline, candidate)
    };
    let base = Base::Recorded {
        label: name_or_file.to_owned(),
        baseline: Box::new(baseline),
    };
    Ok((base, candidate))
}

impl CompareArgs {
    /// What is said while rounds are measured.
    fn detail(&self) -> Detail {
        if self.verbosity.quiet {
            Detail::Nothing
        } else {
            Detail::Line
        }
    }

    fn schedule(&self, base: &Base) -> Schedule {
        let unlimited = Schedule {
            rounds: self.rounds,
            limit: self.time_limit,
            least: 1,
        };
        if self.rounds.is_some() || self.time_limit.is_some() {
            return unlimited;
        }
        match (base, self.until_precision) {
            (_, Some(_)) => Schedule {
                limit: Some(TIME_FOR_PRECISION),
                least: LEAST_ROUNDS,
                ..unlimited
            },
            (Base::Live(_), None) => Schedule {
                limit: Some(TIME),
                least: LEAST_ROUNDS,
                ..unlimited
            },
            (Base::Recorded { baseline, .. }, None) => {
                let recorded = baseline.count();
                let gates = self.fail_if.iter();
                let needed = gates
                    .map(|gate| gate.runs_min(Some(recorded), LEVEL, MAKE_UP))
                    .chain([LEVEL.runs_min(recorded, MAKE_UP)]);
                Schedule {
                    rounds: needed.flatten().chain([recorded]).max(),
                    ..unlimited
                }
            }
        }
    }

    /// Refuses gates that so many runs can never decide: they would pass whatever was measured.
    fn refuse_undecidable(&self, base: &Base) -> anyhow::Result<()> {
        let rounds = self.schedule(base).rounds.unwrap_or(ROUNDS_MAX);
        let (recorded, against) = match base {
            Base::Live(_) => (None, String::new()),
            Base::Recorded { label, baseline } => {
                let count = baseline.count();
                (
                    Some(count),
                    format!(" against the {count} of baseline {label}"),
                )
            }
        };
        for gate in &self.fail_if {
            let remedy = match gate.runs_min(recorded, LEVEL, ROUNDS_MAX) {
                Some(needed) if needed <= rounds => continue,
                // A baseline of few runs asks for more of the candidate than one of enough.
                Some(needed) if needed > MAKE_UP => format!(
                    "it takes --rounds {needed} or more, or a baseline of --runs {RUNS_MIN} or more"
                ),
                Some(needed) => format!("it takes --rounds {needed} or more"),
                None => format!("it takes a baseline of --runs {RUNS_MIN} or more"),
            };
            let (gate, s) = (gate.as_str(), if rounds == 1 { "" } else { "s" });
            return Err(usage(&format!(
                "--fail-if '{gate}' can never be decided in {rounds} round{s}{against}: {remedy}"
            )));
        }
        Ok(())
    }

    /// Whether a gate that is undecided fails.
    fn undecided_fails(&self) -> bool {
        self.fail_undecided || self.fail_on.is_strict()
    }

    fn equivalence(&self) -> f64 {
        self.equivalence.unwrap_or(EQUIVALENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_percentages_and_limits_are_times() {
        assert_eq!(parse_share("2%"), Ok(0.02));
        assert_eq!(parse_share("2.5 %"), Ok(0.025));
        for wrong in ["2", "0%", "51%", "-1%", "nan%", "%"] {
            assert!(parse_share(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_time_limit("10m"), Ok(Duration::from_mins(10)));
        assert_eq!(parse_time_limit("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_time_limit("90"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_time_limit("500ms"), Ok(Duration::from_millis(500)));
        for wrong in ["0s", "0m", "25h", "m", "nanm", "-1m", "1500m", "soon"] {
            assert!(parse_time_limit(wrong).is_err(), "{wrong}");
        }
    }
}
