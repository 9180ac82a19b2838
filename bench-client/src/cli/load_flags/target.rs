//! The flags that say whose server is measured.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

use std::path::{Path, PathBuf};

use bench_client::config::heading::{SERVER, TARGET};
use bench_client::config::target_file::{Choices, PORT};
use bench_client::config::{ConnectorKind, Private, Target, TargetFile};
use bench_client::target::endpoint;
use busload_frontend::cli::{BatchEnvironment, DEFAULT_DATA_DIR, ServerConfig};
use clap::Args;

use super::Chosen;
use crate::cli::usage;

/// A server of somebody else.
#[derive(Debug, Args)]
#[command(next_help_heading = TARGET)]
pub(super) struct TargetFlags {
    /// Measure a server that others wrote (see `targets list`)
    ///
    /// A name that `targets list` shows, or a target file. sqlite_rpc and sqlite_ws_rpc are this program's own. Each target says its own connector.
    #[arg(long, alias = "targets", value_name = "NAME|FILE")]
    target: Option<String>,
    /// Measure the server that this command starts
    ///
    /// No shell reads it; {port}, {database}, {data_dir}, {accounts} and {initial_balance} in it are
    /// filled in. The server seeds itself, or is seeded over the wire. --url says where it listens,
    /// unless {port} does.
    #[arg(long, value_name = "CMD", conflicts_with = "target")]
    server_command: Option<String>,
    /// More arguments for the command of --target, such as "--batch-size 1000"
    ///
    /// They are appended to its own. No shell reads them; the record shows them, and they are
    /// compared.
    #[arg(
        long,
        value_name = "ARGUMENTS",
        allow_hyphen_values = true,
        conflicts_with = "server_command"
    )]
    target_args: Option<String>,
    /// Measure the server at this URL
    ///
    /// Instead of starting one.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// First wipe and seed the ledger at --url, or the file that SQLITE_FILE names
    #[arg(long, alias = "fresh")]
    pub(super) reseed: bool,
    /// File with the token that the server at --url requires
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificate authorities to trust, for https:// and wss:// [default: the system's]
    ///
    /// A PEM file. No others are trusted.
    #[arg(long, value_name = "PEM")]
    ca: Option<PathBuf>,
    #[arg(long, hide = true, env = "SQLITE_RPC_URL")]
    env_rpc_url: Option<String>,
    #[arg(long, hide = true, env = "SQLITE_WS_RPC_URL")]
    env_ws_rpc_url: Option<String>,
}

impl TargetFlags {
    /// The server of somebody else that is asked for: the target that was chosen, a command, or
    /// the URL that was given for this connector, by flag or environment. `None` for a server of
    /// this program's own.
    pub(super) fn target(
        &self,
        connector: ConnectorKind,
        chosen: Option<Chosen>,
        own: &OwnFlags,
    ) -> anyhow::Result<Option<Target>> {
        if let Some(url) = &self.url {
            check_scheme(url, connector)?;
        }
        // One like this program's own that runs already is not to be started.
        let chosen = chosen.filter(|chosen| chosen.file().is_some() || self.url.is_none());
        if chosen.is_none() {
            self.arguments(None)?;
        }
        let target = match (chosen, &self.server_command) {
            (Some(chosen), _) => {
                let choices = Choices {
                    arguments: self.arguments(Some(&chosen))?,
                    data_dir: own.data_dir(),
                    keep_db: own.keep_db,
                    reseed: self.reseed,
                    ..Choices::default()
                };
                let Some(mut target) = chosen.target(choices)? else {
                    return Ok(None);
                };
                self.replace_place(&mut target)?;
                target
            }
            (None, Some(command)) => {
                let choices = Choices {
                    data_dir: own.data_dir(),
                    keep_db: own.keep_db,
                    ..Choices::default()
                };
                command_target(command, self.url.as_deref(), connector, choices)?
            }
            (None, None) => {
                let from_env = match connector {
                    ConnectorKind::SqliteRpc => self.env_rpc_url.as_ref(),
                    ConnectorKind::SqliteWsRpc => self.env_ws_rpc_url.as_ref(),
                    ConnectorKind::SpacetimeDb => None,
                };
                let from_env = from_env.filter(|url| !url.is_empty());
                let Some(url) = self.url.as_ref().or(from_env) else {
                    if connector.speaks_transfer_protocol() {
                        return Ok(None);
                    }
                    return Err(usage(&format!(
                        "{connector} is not a server of this program: start it yourself and say where \
                         it is with --url ws://127.0.0.1:3000/test-1, test-1 being the name of the \
                         database"
                    )));
                };
                Target::Url {
                    about: None,
                    url: Private(url.clone()),
                    approach: Private::default(),
                    token_file: Private(self.token_file.clone()),
                    ca: Private(self.ca.clone()),
                    reseed: self.reseed,
                }
            }
        };
        if let Target::Command { data_dir, .. } = &target {
            if self.reseed {
                return Err(usage(
                    "--reseed goes with a URL: a server that this program starts has a fresh \
                     ledger for each run",
                ));
            }
            make_data_dir(&data_dir.0)?;
        }
        // What is wrong with it is to be said before anything is measured.
        match &target {
            Target::Command { url, .. } if url.0.contains(PORT) => {}
            _ => {
                let endpoint = endpoint(&target).map_err(|error| usage(&error.to_string()))?;
                if let Some(endpoint) = endpoint {
                    let checked = endpoint.check_for(connector);
                    checked.map_err(|error| usage(&format!("--url: {error}")))?;
                }
            }
        }
        Ok(Some(target))
    }

    /// What is appended to the command of the target that was chosen.
    fn arguments(&self, chosen: Option<&Chosen>) -> anyhow::Result<Vec<String>> {
        let Some(arguments) = &self.target_args else {
            return Ok(Vec::new());
        };
        let file = chosen.and_then(Chosen::file);
        if file.is_none_or(|file| file.start.is_none()) {
            return Err(usage(
                "--target-args goes with a --target whose file says how the server is started",
            ));
        }
        shlex::split(arguments)
            .ok_or_else(|| usage("--target-args has a quotation mark without its other half"))
    }

    /// Flags go before what a target file says of where its server runs.
    fn replace_place(&self, target: &mut Target) -> anyhow::Result<()> {
        match target {
            Target::Url {
                url,
                token_file,
                ca,
                ..
            } => {
                url.0 = self.url.clone().unwrap_or_else(|| url.0.clone());
                token_file.0 = self.token_file.clone().or_else(|| token_file.0.clone());
                ca.0 = self.ca.clone().or_else(|| ca.0.clone());
                Ok(())
            }
            _ if self.url.is_some() => Err(usage(
                "--url goes with a target that runs already: this one is started, and says \
                 itself where it listens",
            )),
            _ => Ok(()),
        }
    }
}

/// A target without a file: what `command` starts, at `url` unless {port} is in it.
pub(crate) fn command_target(
    command: &str,
    url: Option<&str>,
    connector: ConnectorKind,
    choices: Choices,
) -> anyhow::Result<Target> {
    let words = shlex::split(command)
        .ok_or_else(|| usage("--server-command has a quotation mark without its other half"))?;
    match (words.iter().any(|word| word.contains(PORT)), url) {
        _ if words.is_empty() => return Err(usage("--server-command is empty")),
        (false, None) => {
            return Err(usage(
                "--server-command needs --url with the place where it listens, or {port} in it",
            ));
        }
        (true, Some(_)) => {
            return Err(usage(
                "--server-command has {port}, a free port of this program's choice: leave out --url",
            ));
        }
        _ => {}
    }
    let file = of_command(words, connector).map_err(|why| usage(&why))?;
    let mut target = file.target(Path::new(""), choices);
    if let (Target::Command { url: place, .. }, Some(given)) = (&mut target, url) {
        given.clone_into(&mut place.0);
    }
    Ok(target)
}

/// The target that a command amounts to. It is called after the first file that is named in it,
/// or else after its program, and promises nothing.
fn of_command(words: Vec<String>, connector: ConnectorKind) -> Result<TargetFile, String> {
    let file = words.iter().skip(1).find(|word| Path::new(word).is_file());
    let file = file.or(words.first()).map(Path::new);
    let stem = file.and_then(Path::file_stem).unwrap_or_default();
    let stem = stem.to_string_lossy().to_ascii_lowercase();
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = stem.chars().map(plain).take(64).collect();
    let name = name.trim_matches('-');
    TargetFile::of_command(
        if name.is_empty() { "command" } else { name },
        words,
        connector,
    )
}

/// Which of this protocol's transports a URL names. What is no URL of a server names none: that is
/// said where it is read.
pub(crate) fn connector_of(url: &str) -> Option<ConnectorKind> {
    match url.split_once("://")?.0 {
        "http" | "https" => Some(ConnectorKind::SqliteRpc),
        "ws" | "wss" => Some(ConnectorKind::SqliteWsRpc),
        _ => None,
    }
}

/// A server answers on one transport: on the other, the URL would reach something else or
/// nothing. (In the variables the original's clients replace the scheme by their own.)
pub(crate) fn check_scheme(url: &str, connector: ConnectorKind) -> anyhow::Result<()> {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    if connector == ConnectorKind::SpacetimeDb {
        // It has one port for both.
        return Ok(());
    }
    let Some(of_url) = connector_of(url).filter(|of_url| *of_url != connector) else {
        return Ok(());
    };
    Err(usage(&format!(
        "--url {scheme}://… is for --connector {}, and {} speaks {}: name the other connector, or \
         write the URL that the server announced",
        of_url.as_str(),
        connector.as_str(),
        connector.transport(),
    )))
}

/// A server that this program starts.
#[derive(Debug, Args)]
#[command(next_help_heading = SERVER)]
pub(super) struct OwnFlags {
    #[command(flatten)]
    config: ServerConfig,
    #[command(flatten)]
    batch_environment: BatchEnvironment,
    /// Directory of the database [default: .data]
    ///
    /// Its disk is what is measured.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[arg(long, hide = true, env = "SQLITE_FILE")]
    env_file: Option<PathBuf>,
    /// Keep the database after the run
    #[arg(long = "keep", alias = "keep-db")]
    keep_db: bool,
}

impl OwnFlags {
    pub(super) fn target(self, connector: ConnectorKind, reseed: bool) -> anyhow::Result<Target> {
        let named = self.named_database();
        if let Some(file) = named.as_ref().filter(|file| file.exists() && !reseed) {
            return Err(usage(&format!(
                "SQLITE_FILE names {}, which exists: --reseed wipes it; or unset the variable for \
                 a database of this program's own",
                file.display()
            )));
        }
        if named.is_none() && reseed {
            return Err(usage(
                "--reseed goes with --url: a database of this program's own is always seeded",
            ));
        }
        let directory = self.data_dir();
        let server = self.config.with_batches_of(&self.batch_environment);
        server.check().map_err(|error| usage(&error.to_string()))?;
        // A file that a person named is that person's, also after the run.
        let keep = self.keep_db || named.is_some();
        built_in(server, connector, &directory, named, keep)
    }

    fn data_dir(&self) -> PathBuf {
        let directory = self.data_dir.clone();
        directory.unwrap_or_else(|| PathBuf::from(DEFAULT_DATA_DIR))
    }

    /// The file of the environment variable, unless a directory was given by flag.
    fn named_database(&self) -> Option<PathBuf> {
        let file = self.env_file.as_ref().filter(|_| self.data_dir.is_none())?;
        let bare = file.parent() == Some(Path::new(""));
        Some(if bare {
            Path::new(".").join(file)
        } else {
            file.clone()
        })
    }
}

/// A server of this program's own on a database in this directory, which is made if there is
/// none; `named` is a file that a person named.
pub(crate) fn built_in(
    server: ServerConfig,
    connector: ConnectorKind,
    directory: &Path,
    named: Option<PathBuf>,
    keep_db: bool,
) -> anyhow::Result<Target> {
    let file = || directory.join(format!("busload-{}.sqlite", connector.transport()));
    let database = named.unwrap_or_else(file);
    let directory = database.parent().unwrap_or(directory);
    if server.engine.is_file() {
        make_data_dir(directory)?;
    }
    Ok(Target::BuiltIn {
        server,
        program: Private::default(),
        database: Private(database),
        keep_db,
    })
}

pub(crate) fn make_data_dir(directory: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(directory).map_err(|error| {
        usage(&format!(
            "cannot create the data directory {}: {error}; choose another with --data-dir",
            directory.display()
        ))
    })
}
