//! `bench-client targets check`: a target against the protocol.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

use std::path::PathBuf;
use std::process::ExitCode;

use bench_client::config::{RunConfig, Target};
use bench_client::conformance::{
    self, ACCOUNTS, Exchange, INITIAL_BALANCE, Line, Subject, Verdict,
};
use bench_client::connector::Endpoint;
use bench_client::measure::RowError;
use bench_client::target::{Launch, ServerProcess, Waiting, endpoint};
use clap::Args;
use tokio::sync::watch;

use crate::cli::interrupt::watch_signals;
use crate::cli::load_flags::{LoadFlags, connector_of, warn_of_servers};
use crate::cli::run::runtime;
use crate::cli::{INTERRUPTED, print, progress, usage, width};

/// Stands before what is said of a line, where that takes several.
const WHY: &str = "                                  ";
/// Rows of the target could not be measured.
const DOES_NOT_CONFORM: u8 = 1;

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// A name, a file, sqlite_rpc or sqlite_ws_rpc [default: as --url says]
    #[arg(value_name = "NAME|FILE", required_unless_present = "url")]
    target: Option<String>,
    /// Where the server runs already, instead of what the target's file says
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Allow the ledger of a running target to be wiped and seeded
    #[arg(long)]
    reseed: bool,
    /// File with the token that the server at --url requires
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificate authorities to trust, and no others: a PEM file
    #[arg(long, value_name = "PEM")]
    ca: Option<PathBuf>,
    /// Directory below which a folder for its data is made [default: .data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Keep data and output
    #[arg(long, alias = "keep-db")]
    keep: bool,
    /// Print the lines as JSON
    #[arg(long)]
    json: bool,
}

impl CheckArgs {
    /// A server at a URL speaks the protocol of the transfer servers, unless a target says otherwise.
    fn protocol_of_url(&self) -> Option<String> {
        let connector = connector_of(self.url.as_ref()?);
        Some(connector.unwrap_or_default().as_str().to_owned())
    }

    /// As `run` has it.
    fn config(&self) -> anyhow::Result<RunConfig> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|it| it.display().to_string());
        let values = [
            (
                "target",
                self.target.clone().or_else(|| self.protocol_of_url()),
            ),
            ("url", self.url.clone()),
            ("token-file", path(&self.token_file)),
            ("ca", path(&self.ca)),
            ("data-dir", path(&self.data_dir)),
            ("accounts", Some(ACCOUNTS.to_string())),
            ("initial-balance", Some(INITIAL_BALANCE.to_string())),
        ];
        let values = values.into_iter().filter(|(_, value)| value.is_some());
        let switches = [("reseed", self.reseed), ("keep", self.keep)];
        let switches = switches.into_iter().filter(|(_, is_set)| *is_set);
        let flags = LoadFlags::default()
            .with(values.map(|(name, value)| (name.to_owned(), value)))
            .with(switches.map(|(name, _)| (name.to_owned(), None)));
        let mut rows = flags.rows()?;
        match (rows.pop(), rows.pop()) {
            (Some(row), None) => Ok(row),
            _ => Err(usage("one target at a time")),
        }
    }
}

pub(super) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let config = args.config()?;
    warn_of_servers(std::slice::from_ref(&config));
    runtime()?.block_on(async {
        let interrupted = watch_signals()?;
        check(args, &config, &interrupted).await
    })
}

async fn check(
    args: &CheckArgs,
    config: &RunConfig,
    interrupted: &watch::Receiver<bool>,
) -> anyhow::Result<ExitCode> {
    let Some(server) = start(config, interrupted).await? else {
        return Ok(ExitCode::from(INTERRUPTED));
    };
    let place = match &server {
        Some(server) => Some(server.target().clone()),
        None => endpoint(&config.target).map_err(RowError::from)?,
    };
    let Some(place) = place else {
        return Err(usage("it does not say where it listens"));
    };
    let ended = tokio::select! {
        lines = conform(args, config, place) => Some(lines),
        () = stopped(interrupted) => None,
    };
    let end = match server {
        Some(server) => Some(stop(args, server).await),
        None => None,
    };
    let Some(mut lines) = ended else {
        return Ok(ExitCode::from(INTERRUPTED));
    };
    lines.extend(end);
    if args.json {
        let shown: Vec<_> = lines.iter().map(as_json).collect();
        print(&serde_json::to_string_pretty(&shown)?);
    } else {
        let name = config.subject();
        print(&if conformance::conforms(&lines) {
            let missing = |line: &&Line| matches!(line.verdict, Verdict::Missing(_));
            match lines.iter().filter(missing).count() {
                0 => format!("{name} has all of the protocol"),
                count => format!("{name} can be measured; {count} of the protocol missing"),
            }
        } else {
            format!("{name} does not speak the protocol")
        });
    }
    Ok(if conformance::conforms(&lines) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(DOES_NOT_CONFORM)
    })
}

/// The server, if it is one that is started; `None` when the user does not want to wait.
async fn start(
    config: &RunConfig,
    interrupted: &watch::Receiver<bool>,
) -> anyhow::Result<Option<Option<ServerProcess>>> {
    let Some(launch) = Launch::of(config).map_err(RowError::from)? else {
        return Ok(Some(None));
    };
    let mut told = Told;
    tokio::select! {
        started = launch.start(&mut told) => Ok(Some(Some(started.map_err(RowError::from)?))),
        () = stopped(interrupted) => Ok(None),
    }
}

/// A start is followed on standard error.
struct Told;

impl Waiting for Told {
    fn still(&mut self, what: &str) {
        progress::say_when_due(&format!("waiting for the server: {what}"));
    }

    fn notice(&mut self, what: &str) {
        progress::say(what);
    }
}

async fn stopped(interrupted: &watch::Receiver<bool>) {
    // A sender that is gone asks for nothing any more.
    if interrupted.clone().wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn conform(args: &CheckArgs, config: &RunConfig, endpoint: Endpoint) -> Vec<Line> {
    let subject = Subject {
        connector: config.connector,
        encoding: config.encoding,
        endpoint,
        may_wipe: !matches!(config.target, Target::Url { reseed: false, .. }),
    };
    conformance::check(&subject, &mut |line| tell(args, line)).await
}

fn tell(args: &CheckArgs, line: &Line) {
    if args.json {
        return;
    }
    let text = line.to_string();
    print(&match width() {
        Some(width) => textwrap::fill(&text, textwrap::Options::new(width).subsequent_indent(WHY)),
        None => text,
    });
    for (what, text) in line.exchange.iter().flat_map(Exchange::lines) {
        print(&format!("  {what:<8} {text}"));
    }
}

/// Whether it stops when it is told to.
async fn stop(args: &CheckArgs, server: ServerProcess) -> Line {
    let output = server.output().map(|file| file.display().to_string());
    let stopped = server.finish().await;
    let output = output.map_or_else(String::new, |file| format!("; its output is in {file}"));
    let verdict = match (stopped.failed, stopped.end.remark()) {
        (None, None) => Verdict::Passed,
        (Some(how), _) => Verdict::Failed(format!("it did not end well: {how}{output}")),
        (None, Some(_)) => Verdict::Missing(
            "it was killed, since it did not stop when it was told to: each run waits for that, \
             and what it does at its end is not seen",
        ),
    };
    let line = Line {
        what: "stop",
        verdict,
        exchange: None,
    };
    tell(args, &line);
    line
}

fn as_json(line: &Line) -> serde_json::Value {
    let (verdict, why) = match &line.verdict {
        Verdict::Passed => ("pass", None),
        Verdict::Missing(cost) => ("missing", Some(*cost)),
        Verdict::Failed(why) => ("fail", Some(why.as_str())),
        Verdict::Skipped(why) => ("skipped", Some(why.as_str())),
    };
    let mut shown = serde_json::json!({ "line": line.what, "verdict": verdict, "why": why });
    for (what, text) in line.exchange.iter().flat_map(Exchange::lines) {
        shown[what] = text.into();
    }
    shown
}
