//! The flags of `run` beside the sides, and what they amount to for one side.

use busload_frontend::cli::in_one_line;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};

use bench_client::compare::{SideError, SideText};

use crate::cli::load_args::LoadArgs;

/// Length of a run when nothing else is said. Runs differ more from each other than the seconds
/// within one, so many short ones see more than few long ones in the same time; below a second
/// the p99 gets worse.
const SECONDS: &str = "1";
/// Length of its warm-up.
const WARMUP: &str = "0.5";

/// Flags that are not for one side alone: what the side begins with, what pairs its runs with
/// those of the other, and what no record may show, as sides are recorded as they are written.
const NOT_OF_A_SIDE: [&str; 4] = ["connectors", "seed", "no-null-server", "token-file"];

/// A flag and its value; none for a switch.
type Flag = (String, Option<String>);

/// The flags of `run` as they were written for both sides.
#[derive(Debug)]
pub(super) struct SharedFlags(Vec<Flag>);

#[derive(Debug, Args)]
struct OfOneSide {
    #[command(flatten)]
    load: LoadArgs,
}

fn command() -> Command {
    OfOneSide::augment_args(Command::new("side").no_binary_name(true))
}

fn is_switch(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

/// Not a variable of the environment, which is a hidden argument.
fn is_flag(arg: &Arg) -> bool {
    !arg.is_hide_set() || arg.get_id() == "busy_wait"
}

/// What may stand behind the connector of a side, besides `server-bin`.
pub(super) fn keys() -> Vec<String> {
    let command = command();
    let shown = command.get_arguments().filter(|arg| is_flag(arg));
    let names = shown.filter_map(Arg::get_long).map(str::to_owned);
    let mut keys: Vec<String> = names
        .filter(|name| !NOT_OF_A_SIDE.contains(&name.as_str()))
        .collect();
    keys.sort();
    keys
}

/// Two flags of which the later one replaces the other.
fn excludes(one: &str, other: &str) -> bool {
    const EITHER_OR: [[&str; 2]; 2] = [["seconds", "transfers"], ["interval", "no-intervals"]];
    one == other || EITHER_OR.contains(&[one, other]) || EITHER_OR.contains(&[other, one])
}

fn replace(flags: &mut Vec<Flag>, by: impl IntoIterator<Item = Flag>) {
    for flag in by {
        flags.retain(|(name, _)| !excludes(name, &flag.0));
        flags.push(flag);
    }
}

impl SharedFlags {
    pub(super) fn has(&self, flag: &str) -> bool {
        self.0.iter().any(|(name, _)| name == flag)
    }

    /// What a side is measured with: its own keys, else the shared flags, else `defaults`.
    pub(super) fn load(
        &self,
        side: &SideText,
        defaults: &[(String, String)],
    ) -> Result<LoadArgs, SideError> {
        let mut command = command();
        let mut flags: Vec<Flag> = [("seconds", SECONDS), ("warmup", WARMUP)]
            .map(|(name, value)| (name.to_owned(), Some(value.to_owned())))
            .to_vec();
        let defaults = defaults.iter().map(|(name, value)| {
            let value = Some(value.clone());
            (name.clone(), value)
        });
        replace(&mut flags, defaults);
        replace(&mut flags, self.0.iter().cloned());
        replace(&mut flags, side.keys.iter().cloned());
        let connector = Some(side.connector.clone());
        replace(&mut flags, [("connectors".to_owned(), connector)]);
        // It would take longer than a round does, and both sides are held against each other.
        replace(&mut flags, [("no-null-server".to_owned(), None)]);
        let mut words = Vec::new();
        for (name, value) in flags {
            let found = command
                .get_arguments()
                .find(|arg| arg.get_long() == Some(&name));
            let switch = found.is_some_and(is_switch);
            match value.as_deref() {
                Some("false") if switch => {}
                None | Some("true") if switch => words.push(format!("--{name}")),
                Some(value) if !value.is_empty() => words.push(format!("--{name}={value}")),
                _ => return Err(side.error(format!("{name} needs a value: {name}=…"))),
            }
        }
        let parsed = command.try_get_matches_from_mut(words);
        let parsed = parsed.and_then(|matches| OfOneSide::from_arg_matches(&matches));
        parsed.map(|side| side.load).map_err(|error| {
            let line = in_one_line(&error, &command);
            side.error(line.strip_prefix("error: ").unwrap_or(&line))
        })
    }
}

impl FromArgMatches for SharedFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut flags = Vec::new();
        for arg in command().get_arguments() {
            let id = arg.get_id().as_str();
            let Some(name) = arg.get_long().filter(|_| is_flag(arg)) else {
                continue;
            };
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

impl Args for SharedFlags {
    fn augment_args(command: Command) -> Command {
        OfOneSide::augment_args(command)
            .mut_arg("seconds", |arg| arg.default_value(SECONDS))
            .mut_arg("warmup", |arg| arg.default_value(WARMUP))
            .mut_arg("connectors", |arg| arg.hide(true))
            .mut_arg("no_null_server", |arg| arg.hide(true))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        shared: SharedFlags,
    }

    fn shared(words: &[&str]) -> SharedFlags {
        let words = ["program"].iter().chain(words);
        Program::try_parse_from(words).unwrap().shared
    }

    fn load(shared: &SharedFlags, side: &str) -> Result<LoadArgs, SideError> {
        let keys = keys();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        shared.load(&SideText::parse(side, &keys)?, &[])
    }

    fn shown(shared: &SharedFlags, side: &str) -> String {
        format!("{:?}", load(shared, side).unwrap())
    }

    #[test]
    fn a_sides_keys_come_before_shared_flags_and_these_before_defaults() {
        let none = shared(&[]);
        assert!(shown(&none, "sqlite_rpc").contains("seconds: 1.0, warmup: 0.5"));
        let given = shared(&["--seconds=3", "--batch-size", "7", "--no-verify"]);
        assert!(given.has("batch-size") && !given.has("warmup"));
        let both = shown(&given, "sqlite_rpc,batch-size=9,inflight=5");
        for says in [
            "SqliteRpc",
            "seconds: 3.0",
            "batch_size: [9]",
            "max_inflight_per_worker: [5]",
            "no_verify: true",
            "no_null_server: true",
        ] {
            assert!(both.contains(says), "no '{says}' in {both}");
        }
        assert!(shown(&given, "sqlite_rpc").contains("batch_size: [7]"));
        assert!(shown(&given, "sqlite_rpc,transfers=5").contains("transfers: Some(5)"));
        assert!(shown(&given, "sqlite_rpc,no-verify=false").contains("no_verify: false"));
    }

    #[test]
    fn every_knob_of_the_issue_is_a_key() {
        let keys = keys();
        for key in [
            "concurrency",
            "max-inflight-per-worker",
            "alpha",
            "accounts",
            "batch-size",
            "batch-timeout",
            "durability",
            "encoding",
            "threads",
            "rate",
            "arrival",
            "latency-limit",
            "amount",
            "queue",
            "page-size",
            "checkpoint-kib",
            "cache-kib",
            "io-threads",
            "op-timeout",
            "url",
            "reseed",
            "data-dir",
            "busy-wait",
        ] {
            assert!(keys.iter().any(|other| other == key), "{key}");
        }
        assert!(
            !keys
                .iter()
                .any(|key| key == "seed" || key.starts_with("env"))
        );
    }

    #[test]
    fn a_wrong_value_is_said_in_one_line_with_its_key() {
        for (side, says) in [
            ("sqlite_rpc,batch-size=none", "--batch-size"),
            ("sqlite_rpc,durability=rock", "--durability"),
            ("sqlite_rpc,alpha", "alpha needs a value"),
            ("sqlite_rpc,reseed=perhaps", "--reseed"),
        ] {
            let error = load(&shared(&[]), side).unwrap_err().to_string();
            assert!(error.contains(says), "no '{says}' in {error}");
            assert!(error.starts_with("side 'sqlite_rpc"), "{error}");
            assert!(
                !error.contains('\n') && !error.contains("error:"),
                "{error}"
            );
        }
    }
}
