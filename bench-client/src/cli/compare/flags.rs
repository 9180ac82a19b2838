//! The flags of `run` beside the sides, and what they amount to for one side.

use clap::{ArgMatches, Args, Command, Error, FromArgMatches, ValueEnum as _};

use bench_client::compare::{SideError, SideText};
use bench_client::config::{ConnectorKind, Flag, RunConfig};

use crate::cli::load_flags::LoadFlags;

/// Length of a run when nothing else is said. Runs differ more from each other than the seconds
/// within one, so many short ones see more than few long ones in the same time; below a second
/// the p99 gets worse.
const DURATION: &str = "1s";
/// Length of its warm-up.
const WARMUP: &str = "0.5s";

/// Flags that are not for one side alone: what the side begins with, what pairs its runs with
/// those of the other, and what no record may show, as sides are recorded as they are written.
const NOT_OF_A_SIDE: [&str; 5] = [
    "connector",
    "target",
    "seed",
    "no-null-server",
    "token-file",
];

/// The flags of `run` as they were written for both sides.
#[derive(Debug)]
pub(super) struct SharedFlags(pub(super) LoadFlags);

/// What may stand behind the connector of a side, besides `server-bin`.
pub(super) fn keys() -> Vec<String> {
    let mut keys = LoadFlags::names();
    keys.retain(|name| !NOT_OF_A_SIDE.contains(&name.as_str()));
    keys.sort();
    keys
}

impl SharedFlags {
    /// What a side is measured with: its own keys, else the shared flags, else `defaults`.
    pub(super) fn load(
        &self,
        side: &SideText,
        defaults: Vec<Flag>,
    ) -> Result<RunConfig, SideError> {
        let short = [("duration", DURATION), ("warmup", WARMUP)]
            .map(|(name, value)| (name.to_owned(), Some(value.to_owned())));
        let flags = LoadFlags::default().with(short).with(defaults);
        let is_own = ConnectorKind::from_str(&side.subject, false).is_ok();
        let subject = if is_own { "connector" } else { "target" };
        let subject = (subject.to_owned(), Some(side.subject.clone()));
        // It would take longer than a round does, and both sides are held against each other.
        let no_null_server = ("no-null-server".to_owned(), None);
        let flags = self
            .0
            .over(&flags)
            .with(side.keys.iter().cloned())
            .with([subject, no_null_server]);
        if flags.list().is_some() {
            return Err(
                side.error("a side has one value of each knob: lists are for run and sweep")
            );
        }
        let mut rows = flags.rows().map_err(|why| side.error(format!("{why:#}")))?;
        rows.pop().ok_or_else(|| side.error("it makes no row"))
    }
}

impl FromArgMatches for SharedFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        LoadFlags::from_arg_matches(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches(matches)
    }
}

impl Args for SharedFlags {
    fn augment_args(command: Command) -> Command {
        LoadFlags::augment_args(command).mut_args(|arg| match arg.get_id().as_str() {
            "window" => {
                let help = "How long to measure in each run [default: 1s]";
                arg.help(help).long_help(help)
            }
            "warmup" => arg.default_value(WARMUP),
            "connector" | "target" | "no_null_server" => arg.hide(true),
            _ => arg,
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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

    fn load(shared: &SharedFlags, side: &str) -> Result<RunConfig, SideError> {
        let keys = keys();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let side = SideText::parse(side, &keys)?;
        shared.load(&side, Vec::new())
    }

    #[test]
    fn a_sides_keys_come_before_shared_flags_and_these_before_defaults() {
        let short = load(&shared(&[]), "sqlite_rpc").unwrap();
        assert_eq!(short.load.window, Some(Duration::from_secs(1)));
        assert_eq!(short.load.warmup, Duration::from_millis(500));
        let given = shared(&["--duration=3", "--batch-size", "7", "--no-verify"]);
        assert!(given.0.has("batch-size") && !given.0.has("warmup"));
        let both = load(&given, "sqlite_rpc,batch-size=9,inflight=5").unwrap();
        assert_eq!(both.connector, ConnectorKind::SqliteRpc);
        assert_eq!(both.load.window, Some(Duration::from_secs(3)));
        assert_eq!(both.load.max_inflight_per_worker, 5);
        assert!(both.verification.no_verify && both.no_null_server);
        let batch = |side: &str| {
            load(&given, side)
                .unwrap()
                .target
                .server()
                .unwrap()
                .batch_size
        };
        assert_eq!(batch("sqlite_rpc,batch-size=9"), Some(9));
        assert_eq!(batch("sqlite_rpc"), Some(7));
        let counted = load(&given, "sqlite_rpc,transfers=5").unwrap();
        assert_eq!(
            (counted.load.transfers, counted.load.window),
            (Some(5), None)
        );
        let verified = load(&given, "sqlite_rpc,no-verify=false").unwrap();
        assert!(!verified.verification.no_verify);
    }

    #[test]
    fn every_knob_is_a_key() {
        let keys = keys();
        for key in [
            "concurrency",
            "inflight",
            "alpha",
            "batch-size",
            "durability",
            "rate",
            "latency-limit",
            "queue",
            "timeout",
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
        let lists = load(&shared(&["--alpha=0,1"]), "sqlite_rpc").unwrap_err();
        assert!(
            lists.to_string().contains("one value of each knob"),
            "{lists}"
        );
    }
}
