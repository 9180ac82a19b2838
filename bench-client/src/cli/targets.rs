//! `bench-client targets`: servers that somebody else wrote.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

mod check;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bench_client::config::ConnectorKind;
use bench_client::config::target_file::PORT;
use bench_client::targets::{self, Found, Origin};
use clap::{Args, Subcommand};
use comfy_table::Table;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;

use super::{print, usage};

#[derive(Debug, Args)]
pub(crate) struct TargetsArgs {
    /// What to do [default: list]
    #[command(subcommand)]
    verb: Option<Verb>,
}

/// Where installed targets are.
#[derive(Debug, Default, Args)]
struct DirectoryArgs {
    /// Folder of installed targets [default: ~/.local/share/busload/targets]
    ///
    /// [default: $BUSLOAD_TARGETS_DIR, else busload/targets in $XDG_DATA_HOME or ~/.local/share]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl DirectoryArgs {
    fn directory(&self) -> anyhow::Result<PathBuf> {
        match &self.dir {
            Some(directory) => Ok(directory.clone()),
            None => targets::directory().map_err(|error| usage(&error.to_string())),
        }
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the targets that ship, those that are installed, and these files
    List {
        /// Target files, or folders with one
        #[arg(value_name = "FILE")]
        files: Vec<String>,
        #[command(flatten)]
        directory: DirectoryArgs,
        /// Print the list as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print a target file
    Show {
        /// A name, or a file
        #[arg(value_name = "NAME|FILE")]
        target: String,
        #[command(flatten)]
        directory: DirectoryArgs,
    },
    /// Write a target that ships to a folder, and run its setup commands there
    Install {
        /// Names; of a file, its setup is run
        #[arg(value_name = "NAME|FILE", required = true)]
        targets: Vec<String>,
        #[command(flatten)]
        directory: DirectoryArgs,
    },
    /// Write a target file to begin with, for a server of your own
    Init {
        /// Lower-case letters, digits and hyphens
        name: String,
        /// sqlite_rpc (HTTP) or sqlite_ws_rpc (WebSocket)
        #[arg(
            long,
            value_name = "NAME",
            value_enum,
            hide_possible_values = true,
            default_value = "sqlite_rpc"
        )]
        connector: ConnectorKind,
        /// What starts the server, such as "python3 server.py {port} {database}"
        #[arg(long, value_name = "CMD")]
        command: Option<String>,
        /// Folder in which one of this name is made
        #[arg(long, value_name = "DIR", default_value = ".")]
        dir: PathBuf,
    },
    /// Start a target, and hold it against the protocol, method by method
    #[command(
        after_help = "Exit codes: 0 rows of it can be measured, 1 it does not speak the \
                            protocol, 2 bad arguments or target file, 5 it could not be started, \
                            130 interrupted"
    )]
    Check(check::CheckArgs),
}

pub(crate) fn run(args: &TargetsArgs) -> anyhow::Result<ExitCode> {
    let listing = Verb::List {
        files: Vec::new(),
        directory: DirectoryArgs::default(),
        json: false,
    };
    match args.verb.as_ref().unwrap_or(&listing) {
        Verb::List {
            files,
            directory,
            json,
        } => list(files, directory, *json)?,
        Verb::Show { target, directory } => {
            let found = find(target, directory)?;
            print(found.text.trim_end());
        }
        Verb::Install {
            targets: names,
            directory,
        } => {
            let directory = directory.directory()?;
            for name in names {
                let folder = targets::install(name, &directory, &mut |step| eprintln!("{step}"))
                    .map_err(|error| usage(&bench_client::with_causes(&error)))?;
                print(&folder.display().to_string());
            }
        }
        Verb::Init {
            name,
            connector,
            command,
            dir,
        } => init(name, *connector, command.as_deref(), dir)?,
        Verb::Check(args) => return check::run(args),
    }
    Ok(ExitCode::SUCCESS)
}

fn init(
    name: &str,
    connector: ConnectorKind,
    command: Option<&str>,
    directory: &Path,
) -> anyhow::Result<()> {
    let words = command.map(|command| shlex::split(command).unwrap_or_default());
    if words
        .as_ref()
        .is_some_and(|words| !words.iter().any(|word| word.contains(PORT)))
    {
        return Err(usage(
            "--command needs {port} in it, where the server must listen: of one that reads it from \
             its environment, leave --command out and edit the file",
        ));
    }
    let path = targets::init(name, connector, words.as_deref(), directory)
        .map_err(|error| usage(&bench_client::with_causes(&error)))?;
    print(&path.display().to_string());
    eprintln!(
        "edit it, then: {} targets check {}",
        bench_client::called(),
        path.display()
    );
    Ok(())
}

fn find(name: &str, directory: &DirectoryArgs) -> anyhow::Result<Found> {
    targets::find(name, &directory.directory()?).map_err(|error| usage(&error.to_string()))
}

fn list(files: &[String], directory: &DirectoryArgs, json: bool) -> anyhow::Result<()> {
    let names = targets::names(&directory.directory()?);
    let mut all = Vec::new();
    for name in names.iter().chain(files) {
        all.push(find(name, directory)?);
    }
    if json {
        let all: Vec<_> = all
            .iter()
            .map(|found| {
                serde_json::json!({
                    "name": found.file.name,
                    "summary": found.file.summary,
                    "connector": found.file.connector,
                    "encoding": found.file.encoding,
                    "durability": found.file.durability,
                    "untested": found.file.untested,
                    "labels": found.file.labels,
                    "origin": found.origin.as_str(),
                    "folder": found.folder,
                })
            })
            .collect();
        print(&serde_json::to_string_pretty(&all)?);
        return Ok(());
    }
    if all.is_empty() {
        print(
            "no target ships with this program or is installed; docs/own-server.md says how to write one",
        );
        return Ok(());
    }
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY);
    table.set_header(["name", "connector", "promises", "is", "what it is"]);
    for Found { file, origin, .. } in &all {
        let untested = if file.untested { ", untested" } else { "" };
        table.add_row([
            file.name.clone(),
            file.connector.to_string(),
            file.durability.to_string(),
            format!("{}{untested}", state(*origin, file.start.is_some())),
            file.summary.clone(),
        ]);
    }
    print(&table.to_string());
    Ok(())
}

/// One that is only approached needs no installing.
fn state(origin: Origin, is_started: bool) -> &'static str {
    match origin {
        Origin::Shipped if !is_started => "ready",
        origin => origin.as_str(),
    }
}
