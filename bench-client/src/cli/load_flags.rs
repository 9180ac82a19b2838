//! The flags that describe rows: what is put on which server. They are kept as they were written,
//! and become one [`RunConfig`] for each combination of their lists.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

mod check;
mod target;
mod targets;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use bench_client::config::{ConnectorKind, Flag, RunConfig, parse_env_inflight};
use bench_client::host::environment::Environment;
use bench_client::{called, program};
use busload_frontend::cli::{DEFAULT_DATA_DIR, Engine, in_one_line};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches, ValueEnum as _};

pub(crate) use check::check_descriptors;
use target::{OwnFlags, TargetFlags};
pub(crate) use target::{built_in, check_scheme, command_target, connector_of, make_data_dir};
pub(crate) use targets::{Chosen, choose};

use super::usage;
use crate::cli::verbosity;

/// The flags whose lists have had an order for longest: the first is the outermost.
const OUTERMOST: [&str; 6] = [
    "target",
    "connector",
    "alpha",
    "inflight",
    "batch-size",
    "rate",
];
/// Flags whose value may hold a comma, or of which there is one for all rows.
const NO_LIST: [&str; 9] = [
    "target-args",
    "url",
    "token-file",
    "ca",
    "data-dir",
    "busy-wait",
    "server-command",
    "server-cpus",
    "client-cpus",
];
/// Pairs of flags of which the later one replaces the other.
const EITHER_OR: [[&str; 2]; 3] = [
    ["duration", "transfers"],
    ["interval", "no-intervals"],
    ["connector", "target"],
];

/// The flags of one row.
#[derive(Debug, Args)]
struct RowFlags {
    #[command(flatten)]
    target: TargetFlags,
    #[command(flatten)]
    config: RunConfig,
    #[command(flatten)]
    own: OwnFlags,
    #[arg(long, hide = true, env = "MAX_INFLIGHT_PER_WORKER", value_parser = parse_env_inflight)]
    env_max_inflight: Option<usize>,
}

fn is_switch(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

/// Not a variable of the environment, which is a hidden argument.
fn is_flag(arg: &Arg) -> bool {
    !arg.is_hide_set() || arg.get_id() == "busy_wait"
}

fn takes_list(arg: &Arg) -> bool {
    let name = arg.get_long().unwrap_or_default();
    is_flag(arg) && !is_switch(arg) && !NO_LIST.contains(&name)
}

/// The command line of one row.
fn one_row() -> Command {
    RowFlags::augment_args(Command::new("row").no_binary_name(true))
}

/// The values of a flag that takes a list.
fn values<'a>(flag: &str, written: &'a str) -> Vec<&'a str> {
    if flag == "engine" {
        Engine::list(written)
    } else {
        written.split(',').collect()
    }
}

/// The flags as they were written.
#[derive(Debug, Clone, Default)]
pub(crate) struct LoadFlags(Vec<Flag>);

impl FromArgMatches for LoadFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut flags = Vec::new();
        for arg in one_row().get_arguments().filter(|arg| is_flag(arg)) {
            let (id, name) = (arg.get_id().as_str(), arg.get_long().unwrap_or_default());
            if matches.value_source(id) != Some(ValueSource::CommandLine) {
                continue;
            }
            let values = matches.get_raw(id).into_iter().flatten();
            let values: Vec<_> = values.map(|value| value.to_string_lossy()).collect();
            let value = (!is_switch(arg)).then(|| values.join(","));
            flags.push((name.to_owned(), value));
        }
        Ok(Self(flags))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for LoadFlags {
    fn augment_args(command: Command) -> Command {
        let listed: BTreeSet<_> = one_row()
            .get_arguments()
            .filter(|arg| takes_list(arg))
            .map(|arg| arg.get_id().clone())
            .collect();
        // All at once: one by one, each would come to the end of the help.
        RowFlags::augment_args(command).mut_args(|arg| {
            let arg = if arg.get_id() == "max_inflight_per_worker" {
                // The connector chooses, when the row is made.
                arg.required(false)
            } else {
                arg
            };
            if listed.contains(arg.get_id()) {
                arg.action(ArgAction::Append).value_delimiter(',')
            } else {
                arg
            }
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl LoadFlags {
    /// The names of all flags.
    pub(crate) fn names() -> Vec<String> {
        let command = one_row();
        let shown = command.get_arguments().filter(|arg| is_flag(arg));
        shown.filter_map(Arg::get_long).map(str::to_owned).collect()
    }

    /// Whether a flag was written.
    pub(crate) fn has(&self, flag: &str) -> bool {
        self.0.iter().any(|(name, _)| name == flag)
    }

    /// The values of a flag as they were written.
    fn value(&self, flag: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(name, _)| name == flag)?;
        value.as_deref()
    }

    /// Whether a flag has several values.
    fn is_list(&self, flag: &str) -> bool {
        self.value(flag)
            .is_some_and(|written| values(flag, written).len() > 1)
    }

    /// The same with other flags, which replace those of the same name.
    pub(crate) fn with(&self, flags: impl IntoIterator<Item = Flag>) -> Self {
        let mut all = self.0.clone();
        for (name, value) in flags {
            let replaced = |other: &str| {
                other == name
                    || EITHER_OR.contains(&[other, name.as_str()])
                    || EITHER_OR.contains(&[name.as_str(), other])
            };
            all.retain(|(other, _)| !replaced(other));
            all.push((name, value));
        }
        Self(all)
    }

    /// The same without a flag.
    pub(crate) fn without(&self, flag: &str) -> Self {
        let others = self.0.iter().filter(|(name, _)| name != flag);
        Self(others.cloned().collect())
    }

    /// The same, and `defaults` where nothing was written.
    pub(crate) fn over(&self, defaults: &Self) -> Self {
        defaults.with(self.0.iter().cloned())
    }

    /// The first flag but `connector` and `target` that has several values.
    pub(crate) fn list(&self) -> Option<&str> {
        let command = one_row();
        let mut flags = self.0.iter().filter(|(name, _)| self.is_list(name));
        let found = flags.find(|(name, _)| {
            !["connector", "target"].contains(&name.as_str())
                && command
                    .get_arguments()
                    .any(|arg| arg.get_long() == Some(name) && takes_list(arg))
        });
        found.map(|(name, _)| name.as_str())
    }

    /// One row per combination of the lists, in the order in which their values were written.
    pub(crate) fn rows(&self) -> anyhow::Result<Vec<RunConfig>> {
        self.rows_by(&[])
    }

    /// The same, with the values of these flags outermost, the first before the second.
    pub(crate) fn rows_by(&self, outermost: &[&str]) -> anyhow::Result<Vec<RunConfig>> {
        self.check_flags()?;
        let combinations = self.combinations(outermost);
        let rows: anyhow::Result<Vec<RunConfig>> = combinations.iter().map(Self::row).collect();
        let rows = rows?;
        self.check(&rows)?;
        Ok(rows)
    }

    fn combinations(&self, outermost: &[&str]) -> Vec<Self> {
        let command = one_row();
        let lists = command.get_arguments().filter(|arg| takes_list(arg));
        let names = outermost.iter().copied().chain(OUTERMOST);
        let names = names.chain(lists.filter_map(Arg::get_long));
        names.fold(vec![self.clone()], |rows, name| {
            let with_each = rows.into_iter().flat_map(|row| {
                // One that has been taken apart before is no list any more.
                if !row.is_list(name) {
                    return vec![row];
                }
                let values = values(name, row.value(name).unwrap_or_default());
                let flags = values
                    .into_iter()
                    .map(|value| (name.to_owned(), Some(value.to_owned())));
                flags.map(|flag| row.with([flag])).collect()
            });
            with_each.collect()
        })
    }

    /// What these flags amount to, none of which is a list.
    fn row(&self) -> anyhow::Result<RunConfig> {
        let flag = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
        let mut flags = self.clone();
        let chosen = self.value("target").map(targets::choose).transpose()?;
        if let Some(chosen) = &chosen {
            let mut add = |name, value| flags.0.push(flag(name, value));
            add("connector", chosen.connector().as_str());
            if let Some(file) = chosen.file().filter(|_| !self.has("encoding")) {
                add("encoding", file.encoding.as_str());
            }
        }
        if !self.has("duration") && !self.has("transfers") {
            flags = flags.with([flag("duration", "10s")]);
        }
        if self.has("rate") && !self.has("arrival") {
            flags = flags.with([flag("arrival", "constant")]);
        }
        let connector = flags.connector()?;
        let chosen_inflight = self.has("inflight");
        if !chosen_inflight {
            let inflight = if flags.has("rate") {
                connector.default_inflight_at_a_rate()
            } else {
                connector.default_inflight()
            };
            flags = flags.with([flag("inflight", &inflight.to_string())]);
        }
        if !flags.has("encoding") {
            flags = flags.with([flag("encoding", connector.encodings()[0].as_str())]);
        }
        if let Some(confirmed) = connector.confirmed_reads()
            && !flags.has("confirmed-reads")
        {
            flags = flags.with([flag("confirmed-reads", confirmed.as_str())]);
        }
        let mut command = one_row();
        let words = flags.words(&command)?;
        let parsed = command.try_get_matches_from_mut(words);
        let parsed = parsed.and_then(|matches| RowFlags::from_arg_matches(&matches));
        let row = parsed.map_err(|error| {
            let line = in_one_line(&error, &command);
            usage(line.strip_prefix("error: ").unwrap_or(&line))
        })?;
        let mut config = row.config;
        if let Some(inflight) = row.env_max_inflight.filter(|_| !chosen_inflight) {
            config.load.max_inflight_per_worker = inflight;
        }
        config.target = match row.target.target(config.connector, chosen, &row.own)? {
            Some(target) => target,
            None => row.own.target(config.connector, row.target.reseed)?,
        };
        Ok(config)
    }

    /// The connector, whose defaults are those of the row.
    fn connector(&self) -> anyhow::Result<ConnectorKind> {
        let name = self.value("connector");
        let connector = name.map(|name| ConnectorKind::from_str(name, false));
        let connector = connector.transpose().map_err(|error| usage(&error))?;
        Ok(connector.unwrap_or_default())
    }

    fn words(&self, command: &Command) -> anyhow::Result<Vec<String>> {
        let mut words = Vec::new();
        for (name, value) in &self.0 {
            let found = command
                .get_arguments()
                .find(|arg| arg.get_long() == Some(name));
            let switch = found.is_some_and(is_switch);
            match value.as_deref() {
                Some("false") if switch => {}
                None | Some("true") if switch => words.push(format!("--{name}")),
                Some(value) => words.push(format!("--{name}={value}")),
                None => return Err(usage(&format!("{name} needs a value: {name}=…"))),
            }
        }
        Ok(words)
    }
}

/// Says on standard error what a person who asked for such servers should know.
pub(crate) fn warn_of_servers(rows: &[RunConfig]) {
    let servers = rows.iter().filter_map(|row| row.target.server());
    let warnings: BTreeSet<&str> = servers
        .filter_map(|it| it.durability.warning.filter(|_| it.engine.is_file()))
        .collect();
    for warning in warnings {
        verbosity::warning(warning);
    }
    let abouts = rows.iter().filter_map(|row| row.target.about());
    let untested: BTreeSet<&str> = abouts
        .filter(|about| about.untested)
        .map(|about| about.name.as_str())
        .collect();
    for name in untested {
        verbosity::warning(&format!(
            "whoever wrote target {name} could not run it: check it with {} targets check {name}",
            called()
        ));
    }
}

/// Where these rows are measured.
pub(crate) fn environment(rows: &[RunConfig]) -> Environment {
    let directory = rows.iter().find_map(|row| row.target.data_place());
    // Of a database elsewhere this machine's disk says nothing.
    let is_known = directory.is_some();
    let directory = directory.unwrap_or_else(|| DEFAULT_DATA_DIR.into());
    let mut environment = Environment::capture(&directory).with_program(program("mimalloc"));
    if !is_known {
        environment.forget_storage();
    }
    environment
}
