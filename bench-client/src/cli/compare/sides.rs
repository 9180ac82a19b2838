//! From a side as it is written to what is measured.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bench_client::compare::{Conditions, SideText};
use bench_client::config::{ConnectorKind, Flag, Private, Program, RunConfig, Target};
use bench_client::host::environment::Environment;
use bench_client::record::comparison::Difference;

use super::flags::{SharedFlags, keys};
use super::usage;
use crate::cli::load_flags::{environment, warn_of_servers};

/// The key for the program of the server.
const SERVER_BIN: &str = "server-bin";
/// Longest wait for a program to tell its version.
const VERSION_TIMEOUT: Duration = Duration::from_secs(10);

/// A side that can be measured.
pub(super) struct Side {
    /// As it was given.
    pub(super) label: String,
    pub(super) plan: RunConfig,
    /// Of its data directory; without storage for a server at a URL.
    pub(super) environment: Environment,
    pub(super) conditions: Conditions,
    /// Another program than this one, as it was given.
    server_bin: Option<String>,
    /// Of the program that serves, where it is known.
    revision: Option<String>,
}

/// Takes a side apart.
pub(super) fn parse(text: &str) -> anyhow::Result<SideText> {
    with_keys(|keys| SideText::parse(text, keys))
}

/// The two sides in a file.
pub(super) fn read(path: &Path) -> anyhow::Result<[SideText; 2]> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| usage(&format!("cannot read {shown}: {error}")))?;
    let read = with_keys(|keys| SideText::read_both(&text, keys));
    read.map_err(|error| usage(&format!("{shown}: {error:#}")))
}

fn with_keys<T>(
    parse: impl FnOnce(&[&str]) -> Result<T, bench_client::compare::SideError>,
) -> anyhow::Result<T> {
    let mut keys = keys();
    keys.push(SERVER_BIN.to_owned());
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    parse(&keys).map_err(|error| usage(&error.to_string()))
}

impl Side {
    /// What a side amounts to with the flags beside it; `defaults` are for those that are not
    /// given at all.
    pub(super) fn new(
        mut text: SideText,
        shared: &SharedFlags,
        defaults: Vec<Flag>,
    ) -> anyhow::Result<Self> {
        let label = text.text.clone();
        let wrong = |error: bench_client::compare::SideError| usage(&error.to_string());
        let server_bin = text.take(SERVER_BIN).map_err(wrong)?;
        let mut plan = shared.load(&text, defaults).map_err(wrong)?;
        let mut revision = text.revision.clone();
        if let Some(program) = &server_bin {
            let told = use_program(&mut plan, program)
                .map_err(|why| usage(&text.error(why).to_string()))?;
            revision = revision.or(told);
        }
        // The label is in the record, where nobody's database is named.
        let engine = plan.target.server().map(|server| &server.engine);
        let label = engine.map_or(label.clone(), |engine| engine.hide_in(&label));
        warn_of_servers(std::slice::from_ref(&plan));
        let environment = environment(std::slice::from_ref(&plan));
        let conditions = Conditions::of_plan(&plan, &environment);
        Ok(Self {
            label,
            plan,
            environment,
            conditions,
            server_bin,
            revision,
        })
    }

    pub(super) fn is_own(&self) -> bool {
        self.plan.target.is_built_in()
    }

    /// The same plan with this seed.
    pub(super) fn seeded(&self, seed: u64) -> RunConfig {
        let mut plan = self.plan.clone();
        plan.workload.seed = seed;
        plan
    }

    /// Where it is, if at a URL.
    fn url(&self) -> Option<String> {
        match &self.plan.target {
            Target::Url { url, .. } => Some(url.0.clone()),
            _ => None,
        }
    }

    /// What this side sets differently from that base. `conditions` are those of the two sides,
    /// as far as they are known.
    pub(super) fn differences(&self, base: &Self, known: [&Conditions; 2]) -> Vec<Difference> {
        let mut differences = known[0].differences(known[1]);
        let mut add = |field: &str, [one, other]: [Option<&String>; 2], absent: &str| {
            let is_named = differences.iter().any(|found| found.field == field);
            if one != other && !is_named {
                let shown =
                    |value: Option<&String>| value.map_or(absent, String::as_str).to_owned();
                differences.push(Difference {
                    field: field.to_owned(),
                    base: shown(one),
                    candidate: shown(other),
                });
            }
        };
        let programs = [base, self].map(|side| side.server_bin.as_ref());
        add(SERVER_BIN, programs, "this program");
        let revisions = [base, self].map(|side| side.revision.as_ref());
        if revisions.iter().all(Option::is_some) {
            add("revision", revisions, "");
        }
        let urls = [base, self].map(Self::url);
        add("url", urls.each_ref().map(Option::as_ref), "not set");
        differences
    }
}

/// What a program of a server takes.
#[derive(PartialEq)]
enum Kind {
    /// `PROGRAM serve TRANSPORT FLAGS`.
    BenchClient,
    /// `PROGRAM FLAGS`.
    Server,
}

/// Has the server started from another program, and returns its revision.
fn use_program(plan: &mut RunConfig, program: &str) -> Result<Option<String>, String> {
    let Target::BuiltIn {
        program: Private(started),
        ..
    } = &mut plan.target
    else {
        return Err(format!(
            "{SERVER_BIN} is for a server that this program starts, not for one at a URL"
        ));
    };
    let path = Path::new(program);
    let (kind, revision) = program_at(path)?;
    let serves_only = kind == Kind::Server;
    if serves_only {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let other = match plan.connector {
            ConnectorKind::SqliteRpc => "sqlite-ws-rpc-server",
            ConnectorKind::SqliteWsRpc | ConnectorKind::SpacetimeDb => "sqlite-rpc-server",
        };
        if name == other {
            return Err(format!(
                "{SERVER_BIN}={program} does not serve {}",
                plan.connector.as_str()
            ));
        }
    }
    *started = Program {
        file: Some(path.to_owned()),
        serves_only,
    };
    Ok(revision)
}

/// What `PROGRAM --version` says it is, and of which revision.
fn program_at(path: &Path) -> Result<(Kind, Option<String>), String> {
    let shown = path.display();
    let started = Command::new(path)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child =
        started.map_err(|error| format!("{SERVER_BIN}={shown} cannot be started: {error}"))?;
    let deadline = Instant::now() + VERSION_TIMEOUT;
    // What it says fits the pipe, so that it can be read after the end.
    while child.try_wait().is_ok_and(|status| status.is_none()) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
    let mut said = String::new();
    if let Some(stdout) = child.stdout.take() {
        // Anything but text is no version.
        let _ = stdout.take(4096).read_to_string(&mut said);
    }
    let revision = said.split_once("(revision ");
    let revision = revision.and_then(|(_, rest)| rest.split([',', ')']).next());
    let revision = revision.filter(|it| *it != "unknown").map(str::to_owned);
    match said.split_whitespace().next() {
        Some("bench-client" | "busload") => Ok((Kind::BenchClient, revision)),
        // The two servers are of one package, whose name older ones tell.
        Some("busload-frontend" | "sqlite-rpc-server" | "sqlite-ws-rpc-server") => {
            Ok((Kind::Server, revision))
        }
        _ => Err(format!(
            "{SERVER_BIN}={shown} is none of busload, bench-client, sqlite-rpc-server \
             and sqlite-ws-rpc-server, as its --version tells"
        )),
    }
}
