//! From a configuration to a process: the one place where it becomes arguments.

use std::path::{Path, PathBuf};
use std::time::Duration;

use busload_frontend::cli::ServerConfig;

use super::{DATABASE_WORD, ServerSpec};
use crate::config::{Program, RunConfig, Target};

/// Connections that a server keeps besides those of the load: the control plane's.
const OTHER_CONNECTIONS: usize = 64;

/// What a null server does in place of a database.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pauses {
    /// Processor time per transfer.
    pub apply: Duration,
    /// Sleep per batch.
    pub sync: Duration,
}

/// What a server of this project is told besides its knobs.
#[derive(Debug, Clone)]
pub struct Serving<'a> {
    /// `http` or `ws`.
    pub transport: &'a str,
    /// Accounts of a new ledger.
    pub accounts: u32,
    /// What each of them starts with.
    pub initial_balance: i64,
    /// The file of the ledger.
    pub database: &'a Path,
    /// A ledger that is there is thrown away.
    pub fresh: bool,
    /// Most connections; `None` leaves that to the server.
    pub connections: Option<usize>,
}

impl<'a> Serving<'a> {
    /// For the load of a row.
    fn of(config: &'a RunConfig) -> Self {
        Self {
            transport: config.connector.transport(),
            accounts: config.workload.accounts,
            initial_balance: config.workload.initial_balance,
            database: config.target.database().unwrap_or(Path::new("")),
            fresh: true,
            connections: Some(config.connections() + OTHER_CONNECTIONS),
        }
    }
}

impl ServerSpec {
    /// How the target of a row is started; `None` for one that runs already.
    ///
    /// # Errors
    /// This program's own file cannot be found.
    pub fn of(config: &RunConfig) -> std::io::Result<Option<Self>> {
        Self::start(&config.target, &Serving::of(config))
    }

    /// How a target is started; `None` for one that runs already.
    ///
    /// # Errors
    /// This program's own file cannot be found.
    pub fn start(target: &Target, serving: &Serving<'_>) -> std::io::Result<Option<Self>> {
        match target {
            Target::BuiltIn {
                server, program, ..
            } => {
                let mut spec = Self::serve(&program.0, server, serving)?;
                if server.engine.is_file() {
                    let database = serving.database.display();
                    spec.args.push(format!("--database={database}"));
                }
                if serving.fresh {
                    spec.args.push("--fresh".to_owned());
                }
                Ok(Some(spec))
            }
            Target::Null { server } => {
                Self::null_server(server, serving, Pauses::default()).map(Some)
            }
            Target::Command { words, .. } => {
                let database = serving.database.display().to_string();
                let named = |word: &String| word.replace(DATABASE_WORD, &database);
                let spec = words.0.split_first().map(|(program, args)| Self {
                    program: PathBuf::from(program),
                    args: args.iter().map(named).collect(),
                });
                Ok(spec)
            }
            Target::Url { .. } => Ok(None),
        }
    }

    /// How a server without a database is started for the load of a row.
    ///
    /// # Errors
    /// This program's own file cannot be found.
    pub fn null(
        config: &RunConfig,
        server: &ServerConfig,
        pauses: Pauses,
    ) -> std::io::Result<Self> {
        Self::null_server(server, &Serving::of(config), pauses)
    }

    fn null_server(
        server: &ServerConfig,
        serving: &Serving<'_>,
        pauses: Pauses,
    ) -> std::io::Result<Self> {
        let mut spec = Self::serve(&Program::default(), server, serving)?;
        spec.args.extend([
            "--null-server".to_owned(),
            format!("--null-apply={}ns", pauses.apply.as_nanos()),
            format!("--null-sync={}ns", pauses.sync.as_nanos()),
        ]);
        Ok(spec)
    }

    /// A server of this project: this same program, told to serve, or another.
    fn serve(
        program: &Program,
        server: &ServerConfig,
        serving: &Serving<'_>,
    ) -> std::io::Result<Self> {
        let mut args = Vec::new();
        if !program.serves_only {
            args.extend(["serve", serving.transport].map(str::to_owned));
        }
        args.extend(server.to_flags());
        args.extend([
            "--port=0".to_owned(),
            format!("--seed-accounts={}", serving.accounts),
            format!("--initial-balance={}", serving.initial_balance),
            "--until-stdin-ends".to_owned(),
        ]);
        if let Some(connections) = serving.connections {
            args.push(format!("--max-connections={connections}"));
        }
        let program = match &program.file {
            Some(file) => file.clone(),
            None => std::env::current_exe()?,
        };
        Ok(Self { program, args })
    }

    /// The same with the words of a wrapper before it.
    #[must_use]
    pub fn wrapped(self, wrapper: &[String]) -> Self {
        let Some((first, rest)) = wrapper.split_first() else {
            return self;
        };
        let mut args = rest.to_vec();
        args.push(self.program.display().to_string());
        args.extend(self.args);
        Self {
            program: PathBuf::from(first),
            args,
        }
    }
}
