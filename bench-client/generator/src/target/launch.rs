//! From a configuration to a process: the one place where it becomes arguments.

use std::path::{Path, PathBuf};
use std::time::Duration;

use busload_frontend::cli::ServerConfig;

use super::run_folder::RunFolder;
use super::{ServerProcess, ServerSpec, Stop, TargetError, Waiting, endpoint, vacant};
use crate::config::target_file::{
    ACCOUNTS, DATA_DIR, DATABASE, INITIAL_BALANCE, PORT, Ready, Start,
};
use crate::config::{ConnectorKind, Private, Program, RunConfig, Target};
use crate::connector::{Endpoint, parse_url};

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
    /// How it is spoken to.
    pub connector: ConnectorKind,
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
            connector: config.connector,
            accounts: config.workload.accounts,
            initial_balance: config.workload.initial_balance,
            database: config.target.database().unwrap_or(Path::new("")),
            fresh: true,
            connections: Some(config.connections() + OTHER_CONNECTIONS),
        }
    }
}

/// A server that is about to be started for the load of a row.
#[derive(Debug)]
pub struct Launch {
    spec: ServerSpec,
    /// Where it will listen, unless it says so itself.
    place: Option<Endpoint>,
    folder: Option<RunFolder>,
}

impl Launch {
    /// How the target of a row is started; `None` for one that runs already. A server that
    /// somebody else wrote gets a fresh folder, and a free port where it does not name one.
    ///
    /// # Errors
    /// This program's own file cannot be found, the folder cannot be made, or there is no port.
    pub fn of(config: &RunConfig) -> Result<Option<Self>, TargetError> {
        let mut target = config.target.clone();
        choose_port(&mut target)?;
        let folder = match &target {
            Target::Command {
                about,
                data_dir,
                keep_db,
                ..
            } => Some(RunFolder::make(&data_dir.0, &about.name, *keep_db)?),
            _ => None,
        };
        let place = endpoint(&target)?;
        let fresh = folder.as_ref().map(RunFolder::database);
        let mut serving = Serving::of(config);
        if let Some(fresh) = &fresh {
            serving.database = fresh;
        }
        let spec = ServerSpec::start(&target, &serving).map_err(|source| TargetError::Spawn {
            program: "this program's own file".to_owned(),
            source,
        })?;
        Ok(spec.map(|spec| Self {
            spec: ServerSpec {
                output: folder.as_ref().map(|folder| folder.output().to_owned()),
                cpus: config.server_cpus.clone(),
                ..spec
            },
            place,
            folder,
        }))
    }

    /// Starts it and waits until it is ready. Whoever stops waiting for it has it killed.
    ///
    /// # Errors
    /// It cannot be run, or does not get ready; or there is a server already, which is left alone.
    pub async fn start(self, waiting: &mut dyn Waiting) -> Result<ServerProcess, TargetError> {
        let place = self.place.as_ref();
        let started = match vacant(place).await {
            Ok(()) => ServerProcess::start_at(&self.spec, place, waiting).await,
            Err(occupied) => Err(occupied),
        };
        match started {
            Ok(server) => Ok(ServerProcess {
                folder: self.folder,
                ..server
            }),
            Err(error) => {
                if let Some(folder) = self.folder {
                    folder.close(false);
                }
                Err(error)
            }
        }
    }
}

/// Puts a free port of the loopback address where the URL of a target has none yet.
///
/// # Errors
/// There is none.
pub fn choose_port(target: &mut Target) -> Result<(), TargetError> {
    let Target::Command { url, .. } = target else {
        return Ok(());
    };
    if url.0.contains(PORT) {
        let bound = std::net::TcpListener::bind(("127.0.0.1", 0));
        let port = bound.and_then(|listener| Ok(listener.local_addr()?.port()));
        let port = port.map_err(|source| TargetError::NoPort { source })?;
        url.0 = url.0.replace(PORT, &port.to_string());
    }
    Ok(())
}

impl ServerSpec {
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
            Target::Command {
                start: Private(start),
                url: Private(url),
                ..
            } => Ok(Self::foreign(start, url, serving)),
            Target::Url { .. } => Ok(None),
        }
    }

    /// How a server that somebody else wrote is started, at a URL that names its port; `None`
    /// without a command.
    fn foreign(start: &Start, url: &str, serving: &Serving<'_>) -> Option<Self> {
        let port = parse_url(url).ok().and_then(|endpoint| {
            let (_, port) = endpoint.authority.rsplit_once(':')?;
            Some(port.to_owned())
        });
        let directory = &start.directory;
        // Where it is started somewhere else, a path from here leads elsewhere.
        let database = if directory.as_os_str().is_empty() {
            serving.database.to_owned()
        } else {
            std::path::absolute(serving.database).unwrap_or_else(|_| serving.database.to_owned())
        };
        let folder = database.parent().unwrap_or(Path::new(""));
        let values = [
            (PORT, port.unwrap_or_default()),
            (DATA_DIR, folder.display().to_string()),
            (DATABASE, database.display().to_string()),
            (ACCOUNTS, serving.accounts.to_string()),
            (INITIAL_BALANCE, serving.initial_balance.to_string()),
        ];
        let filled = |text: &String| {
            let values = values.iter();
            values.fold(text.clone(), |text, (name, value)| {
                text.replace(name, value)
            })
        };
        let (program, args) = start.command.split_first()?;
        let environment = start.environment.iter();
        Some(Self {
            program: program_in(directory, &filled(program)),
            args: args.iter().map(filled).collect(),
            environment: environment
                .map(|(name, value)| (name.clone(), filled(value)))
                .collect(),
            directory: (!directory.as_os_str().is_empty()).then(|| directory.clone()),
            health_of: (start.ready == Ready::Health).then_some(serving.connector),
            start_timeout: (!start.start_timeout.is_zero()).then_some(start.start_timeout),
            stop: Stop::Signal {
                signal: start.stop_signal.0,
                limit: start.stop_timeout,
            },
            ..Self::default()
        })
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
        let spec = Self::null_server(server, &Serving::of(config), pauses)?;
        Ok(Self {
            cpus: config.server_cpus.clone(),
            ..spec
        })
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
            args.extend(["serve", serving.connector.transport()].map(str::to_owned));
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
        Ok(Self {
            program,
            args,
            ..Self::default()
        })
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
            ..self
        }
    }
}

/// The program of a command: a path with a folder in it is seen from where it is started.
fn program_in(directory: &Path, program: &str) -> PathBuf {
    let path = Path::new(program);
    if path.components().count() > 1 {
        directory.join(path)
    } else {
        path.to_owned()
    }
}
