//! From a side as it is written to what is measured.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bench_client::compare::{Conditions, SideText};
use bench_client::connector::ConnectorKind;
use bench_client::host::environment::Environment;
use bench_client::record::comparison::Difference;
use bench_client::row::{RowPlan, ServerChoice};

use super::flags::{SharedFlags, keys};
use super::usage;

/// The key for the program of the server.
const SERVER_BIN: &str = "server-bin";
/// Longest wait for a program to tell its version.
const VERSION_TIMEOUT: Duration = Duration::from_secs(10);

/// A side that can be measured.
pub(super) struct Side {
    /// As it was given.
    pub(super) label: String,
    pub(super) plan: RowPlan,
    /// Of its data directory; without storage for a server at a URL.
    pub(super) environment: Environment,
    pub(super) conditions: Conditions,
    /// What its rows will not name.
    pub(super) settings: BTreeMap<String, String>,
    /// Another program than this one, as it was given.
    server_bin: Option<String>,
}

/// Takes a side apart.
pub(super) fn parse(text: &str) -> anyhow::Result<SideText> {
    let mut keys = keys();
    keys.push(SERVER_BIN.to_owned());
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    SideText::parse(text, &keys).map_err(|error| usage(&error.to_string()))
}

impl Side {
    /// What a side amounts to with the flags beside it; `defaults` are for those that are not
    /// given at all.
    pub(super) fn new(
        mut text: SideText,
        shared: &SharedFlags,
        defaults: &[(String, String)],
    ) -> anyhow::Result<Self> {
        let label = text.text.clone();
        let wrong = |error: bench_client::compare::SideError| usage(&error.to_string());
        let server_bin = text.take(SERVER_BIN).map_err(wrong)?;
        let load = shared.load(&text, defaults).map_err(wrong)?;
        let in_side = |error: anyhow::Error| {
            // What a side cannot do is said with the flag that forbids it.
            usage(&format!("side '{label}': {error:#}"))
        };
        let mut plans = load.plans().map_err(in_side)?;
        let (Some(mut plan), true) = (plans.pop(), plans.is_empty()) else {
            return Err(usage(
                "a side has one value of each knob: lists are for run and sweep",
            ));
        };
        if let Some(program) = &server_bin {
            use_program(&mut plan, program).map_err(|why| usage(&text.error(why).to_string()))?;
        }
        let environment = load.environment(std::slice::from_ref(&plan));
        let settings = Conditions::settings(&plan);
        let conditions = Conditions::of_plan(&plan, &environment).with_settings(&settings);
        Ok(Self {
            label,
            plan,
            environment,
            conditions,
            settings,
            server_bin,
        })
    }

    pub(super) fn is_own(&self) -> bool {
        matches!(self.plan.server, ServerChoice::Own { .. })
    }

    /// The same plan with this seed.
    pub(super) fn seeded(&self, seed: u64) -> RowPlan {
        let plan = self.plan.clone();
        RowPlan { seed, ..plan }
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
        let urls = [base, self].map(|side| side.settings.get("url"));
        add("url", urls, "not set");
        differences
    }
}

/// What a program of a server takes.
enum Program {
    /// `PROGRAM serve TRANSPORT FLAGS`.
    BenchClient,
    /// `PROGRAM FLAGS`.
    Server,
}

/// Has the server started from another program.
fn use_program(plan: &mut RowPlan, program: &str) -> Result<(), String> {
    let ServerChoice::Own { spec, .. } = &mut plan.server else {
        return Err(format!(
            "{SERVER_BIN} is for a server that this program starts, not for one at a URL"
        ));
    };
    let path = Path::new(program);
    if let Program::Server = program_at(path)? {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let other = match plan.connector {
            ConnectorKind::SqliteRpc => "sqlite-ws-rpc-server",
            ConnectorKind::SqliteWsRpc => "sqlite-rpc-server",
        };
        if name == other {
            return Err(format!(
                "{SERVER_BIN}={program} does not serve {}",
                plan.connector.as_str()
            ));
        }
        // The verb and the transport.
        spec.args.drain(..2);
    }
    path.clone_into(&mut spec.program);
    Ok(())
}

/// What `PROGRAM --version` says it is.
fn program_at(path: &Path) -> Result<Program, String> {
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
    match said.split_whitespace().next() {
        Some("bench-client") => Ok(Program::BenchClient),
        // The two servers are of one package, whose name older ones tell.
        Some("busload-frontend" | "sqlite-rpc-server" | "sqlite-ws-rpc-server") => {
            Ok(Program::Server)
        }
        _ => Err(format!(
            "{SERVER_BIN}={shown} is neither bench-client nor sqlite-rpc-server nor \
             sqlite-ws-rpc-server, as --version tells"
        )),
    }
}
