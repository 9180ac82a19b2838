//! How a server stores and answers transfers: the flags of the servers themselves, and of every
//! program that starts one.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

use std::time::Duration;

use busload_postgres::{Isolation, WRITERS_MAX};
use busload_sqlite::{Apply, CheckpointMode, DEFAULT_CACHE_KIB, Durability};
use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::{DurationMicroSecondsWithFrac, DurationSecondsWithFrac, serde_as};

use super::quantities::{count, parse_duration};
use super::values::{
    Mode, parse_batch_size, parse_batch_timeout, parse_durability, parse_id_horizon, parse_max_ids,
    parse_page_size, parse_probe_interval, parse_queue,
};
use super::{BatchEnvironment, DEFAULT_BATCH_SIZE, Engine};

/// Most transfers waiting for the writer.
const DEFAULT_QUEUE: usize = 1_048_576;
/// How long the ids of transfers are remembered.
const DEFAULT_ID_HORIZON: &str = "10min";
/// Most ids that are remembered.
const DEFAULT_MAX_IDS: usize = 16_777_216;
/// The log may grow to this many MiB when nothing else is said.
const DEFAULT_LOG_LIMIT_MIB: u64 = 16_384;

/// The knobs of a server. What is absent the server chooses itself, and says when it runs.
///
/// Each field is a flag. In its serialised form `-` is `_`, and a time has its unit in the name:
/// [`to_flags`](Self::to_flags) goes back from there.
#[serde_as]
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// sqlite, or the postgres://… URL of a database
    ///
    /// What stores the transfers. A URL such as postgres://USER@HOST:PORT/DATABASE?sslmode=verify-full leads to any database
    /// that speaks PostgreSQL's protocol, in which the schema busload is made. The password is that
    /// of PGPASSWORD or the passfile (PGPASSFILE).
    #[arg(long, env = "BUSLOAD_ENGINE", value_name = "ENGINE", default_value_t = Engine::Sqlite)]
    #[serde(with = "text", default)]
    #[schemars(with = "String")]
    pub engine: Engine,
    /// Journal and sync mode
    ///
    /// What transfers survive: with wal-full and delete-extra a power cut, with wal-normal and
    /// delete-full (SQLite's default) a killed process, with memory neither. discard-writes reads and answers and never writes: it is for testing the tools that judge servers.
    #[arg(long, value_name = "MODE", env = "SQLITE_MODE", default_value = "wal-full", value_parser = parse_durability)]
    pub durability: Mode,
    /// Most transfers per commit [1 … 1048576] [default: 4096]
    ///
    /// The environment of the WebSocket server: SQLITE_WS_RPC_BATCH_SIZE; 1 where
    /// SQLITE_WS_RPC_BATCHING or SQLITE_WS_RPC_GROUP_COMMIT is 0 or false.
    #[arg(long, value_name = "N", value_parser = parse_batch_size)]
    pub batch_size: Option<usize>,
    /// How long a batch waits to fill [0ms … 60s] [default: 0ms]
    ///
    /// With a unit, such as 2ms. The time of its oldest transfer counts. 0ms commits whatever waits as soon as
    /// the writer is free. The environment of the WebSocket server: SQLITE_WS_RPC_BATCH_MS, in
    /// milliseconds.
    #[arg(long, value_name = "TIME", value_parser = parse_batch_timeout)]
    #[serde_as(as = "Option<DurationMicroSecondsWithFrac<f64>>")]
    #[serde(rename = "batch_timeout_us", default)]
    pub batch_timeout: Option<Duration>,
    /// How a batch is applied: per-transfer or coalesced
    ///
    /// per-transfer: two statements for each transfer. coalesced: decided in memory, each account
    /// read once and written once. The answers are the same.
    #[arg(long, value_name = "HOW", default_value_t = Apply::PerTransfer)]
    #[serde(with = "text")]
    #[schemars(with = "String")]
    pub apply: Apply,
    /// Most transfers that wait for the writer [1 … 16777216]
    ///
    /// Further ones are answered overloaded.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_QUEUE, value_parser = parse_queue)]
    pub queue: usize,
    /// Threads that read requests and write answers [1 … 256]
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = count::<u16>(1..=256))]
    pub io_threads: u16,
    /// Bytes of a page of a new ledger, a power of two [512 … 65536] [default: by its accounts]
    ///
    /// Such as 4096 or 4KiB. An existing ledger keeps its page size.
    #[arg(long, value_name = "BYTES", value_parser = parse_page_size)]
    pub page_size: Option<u32>,
    /// SQLite's page cache, in KiB [64 … 16777216]
    #[arg(long, value_name = "KIB", default_value_t = DEFAULT_CACHE_KIB, value_parser = count::<u32>(64..=16_777_216))]
    pub cache_kib: u32,
    /// Checkpoint when the write-ahead log has grown by this many KiB [1 … 16777216]
    ///
    /// [default: 16384, and 262144 for a database of 3 MiB or more, but at most an eighth of
    /// --log-limit-mib]
    #[arg(long, value_name = "KIB", value_parser = count::<u32>(1..=16_777_216))]
    pub checkpoint_kib: Option<u32>,
    /// Who checkpoints: background or between-batches
    ///
    /// background: a thread of its own, and the writer only the rest. between-batches: the writer
    /// all of it.
    #[arg(long, value_name = "MODE", default_value_t = CheckpointMode::Background)]
    #[serde(with = "text")]
    #[schemars(with = "String")]
    pub checkpoint: CheckpointMode,
    /// Refuse transfers while the write-ahead log is this many MiB long [1 … 1048576]
    ///
    /// As on a full disk. The log grows so long when another process reads from it.
    /// [default: 16384, or more for a high --checkpoint-kib]
    #[arg(long, value_name = "MIB", value_parser = count::<u64>(1..=1_048_576))]
    pub log_limit_mib: Option<u64>,
    /// On a full disk, how long to wait between two tries to write [1ms … 60s]
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = parse_probe_interval)]
    #[serde_as(as = "DurationMicroSecondsWithFrac<f64>")]
    #[serde(rename = "probe_interval_us")]
    pub probe_interval: Duration,
    /// How long the outcome of a transfer with an id is remembered at least [1s … 168h]
    #[arg(long, value_name = "TIME", default_value = DEFAULT_ID_HORIZON, value_parser = parse_id_horizon)]
    #[serde_as(as = "DurationSecondsWithFrac<f64>")]
    #[serde(rename = "id_horizon_seconds")]
    pub id_horizon: Duration,
    /// Most ids that are remembered [1 … 268435456]
    ///
    /// Each takes at most 58 bytes of memory. When all are younger than --id-horizon, transfers
    /// with new ids are answered overloaded.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_MAX_IDS, value_parser = parse_max_ids)]
    pub max_ids: usize,
    /// Connections that write to a postgres://… engine at the same time [1 … 256]
    ///
    /// Each commits its own batches; with more than one the order of a connection is not kept.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = count::<u16>(1..=u64::from(WRITERS_MAX)))]
    #[serde(default = "one")]
    pub writers: u16,
    /// Isolation of a postgres://… engine: read-committed or serializable
    ///
    /// read-committed: rows are locked in the order of their ids. serializable: a transaction that
    /// the database refuses because of another is begun again.
    #[arg(long, value_name = "LEVEL", default_value_t = Isolation::ReadCommitted)]
    #[serde(with = "text", default = "read_committed")]
    #[schemars(with = "String")]
    pub isolation: Isolation,
    /// Measure no stages of a transfer, to find out what the timings cost
    ///
    /// The answer of stats then has no stages.
    #[arg(long)]
    pub no_stage_timings: bool,
    /// Waste this much of a processor per transfer: a slower server, to test what a comparison sees
    #[arg(long, hide = true, default_value = "0ns", value_parser = parse_duration)]
    #[serde_as(as = "DurationMicroSecondsWithFrac<f64>")]
    #[serde(rename = "busy_wait_us")]
    pub busy_wait: Duration,
}

impl Default for ServerConfig {
    /// What the flags are when none is given.
    fn default() -> Self {
        Self {
            engine: Engine::Sqlite,
            writers: 1,
            isolation: Isolation::ReadCommitted,
            durability: Mode::from(Durability::WalFull),
            batch_size: None,
            batch_timeout: None,
            apply: Apply::PerTransfer,
            queue: DEFAULT_QUEUE,
            page_size: None,
            checkpoint_kib: None,
            checkpoint: CheckpointMode::Background,
            log_limit_mib: None,
            probe_interval: Duration::from_millis(100),
            cache_kib: DEFAULT_CACHE_KIB,
            id_horizon: Duration::from_mins(10),
            max_ids: DEFAULT_MAX_IDS,
            io_threads: 1,
            no_stage_timings: false,
            busy_wait: Duration::ZERO,
        }
    }
}

impl ServerConfig {
    /// The batch knobs as they will be: by flag, else by the environment of the article's server,
    /// else the defaults.
    #[must_use]
    pub fn with_batches_of(mut self, environment: &BatchEnvironment) -> Self {
        self.batch_size = self.batch_size.or(environment.batch_size());
        self.batch_timeout = self.batch_timeout.or(environment.batch_timeout());
        self.with_batches()
    }

    /// The batch knobs as they will be: by flag, else the defaults.
    #[must_use]
    pub fn with_batches(mut self) -> Self {
        self.batch_size.get_or_insert(DEFAULT_BATCH_SIZE);
        self.batch_timeout.get_or_insert_default();
        self
    }

    /// The flags that make a server so, without those that say what it does anyway: so one of an
    /// earlier version understands them.
    #[must_use]
    pub fn to_flags(&self) -> Vec<String> {
        let fields = |config: Self| match serde_json::to_value(config.with_batches()) {
            Ok(serde_json::Value::Object(fields)) => fields,
            _ => serde_json::Map::new(),
        };
        let defaults = fields(Self::default());
        let mut flags = Vec::new();
        for (name, value) in fields(self.clone()) {
            if defaults.get(&name) == Some(&value) {
                continue;
            }
            if name == "engine" {
                flags.push(format!("--engine={}", self.engine.argument()));
                continue;
            }
            let (name, unit) = match name.strip_suffix("_us") {
                Some(name) => (name, "us"),
                None => match name.strip_suffix("_seconds") {
                    Some(name) => (name, "s"),
                    None => (name.as_str(), ""),
                },
            };
            let name = name.replace('_', "-");
            flags.push(match value {
                serde_json::Value::Bool(_) => format!("--{name}"),
                serde_json::Value::String(text) => format!("--{name}={text}"),
                number => format!("--{name}={number}{unit}"),
            });
        }
        flags
    }

    /// Whether these go together.
    ///
    /// # Errors
    /// They do not; the text says what to do.
    pub fn check(&self) -> anyhow::Result<()> {
        self.engine.check()?;
        if !self.engine.is_file() {
            return self.check_without_file();
        }
        anyhow::ensure!(
            self.writers == 1 && self.isolation == Isolation::ReadCommitted,
            "--writers and --isolation are for --engine postgres://…: SQLite has one writer"
        );
        let durability = self.durability.durability;
        anyhow::ensure!(
            self.apply == Apply::PerTransfer || durability != Durability::DiscardWrites,
            "--apply {} is for a server that applies transfers, and discard-writes does not: \
             leave it out, or choose another --durability",
            self.apply
        );
        self.log_limit_bytes().map(drop)
    }

    /// What is about SQLite's files has no meaning for a ledger that is none.
    fn check_without_file(&self) -> anyhow::Result<()> {
        let without = Self {
            engine: Engine::Sqlite,
            writers: 1,
            isolation: Isolation::ReadCommitted,
            batch_size: None,
            batch_timeout: None,
            apply: Apply::PerTransfer,
            queue: DEFAULT_QUEUE,
            id_horizon: Self::default().id_horizon,
            io_threads: 1,
            no_stage_timings: false,
            ..self.clone()
        };
        let flags = without.to_flags();
        anyhow::ensure!(
            flags.is_empty(),
            "{} is about SQLite's files: leave it out, or the --engine; the database has its own \
             settings, which can be set for this server by options in its URL",
            flags.join(" ")
        );
        Ok(())
    }

    /// A log that reaches its limit in the ordinary course of checkpoints would refuse transfers
    /// for no reason.
    pub(super) fn log_limit_bytes(&self) -> anyhow::Result<u64> {
        // Eight times what it grows by between two checkpoints.
        let asked = self.checkpoint_kib.unwrap_or(0);
        let lowest = u64::from(asked).div_ceil(128);
        let limit = self.log_limit_mib;
        let limit = limit.unwrap_or(lowest.max(DEFAULT_LOG_LIMIT_MIB));
        anyhow::ensure!(
            limit >= lowest,
            "--log-limit-mib {limit} is too low for --checkpoint-kib {asked}: use {lowest} or more, \
             or a lower --checkpoint-kib"
        );
        Ok(limit * 1024 * 1024)
    }
}

const fn one() -> u16 {
    1
}

const fn read_committed() -> Isolation {
    Isolation::ReadCommitted
}

/// As what it is called on the command line.
mod text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) fn serialize<T: Display, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Flags {
        #[command(flatten)]
        config: ServerConfig,
    }

    fn parse(flags: &[String]) -> ServerConfig {
        let words = std::iter::once("server".to_owned()).chain(flags.iter().cloned());
        Flags::try_parse_from(words).unwrap().config
    }

    /// Each field with another value than its default.
    fn changed() -> ServerConfig {
        ServerConfig {
            engine: Engine::Postgres(Some("postgres://me@localhost/bank".to_owned())),
            writers: 3,
            isolation: Isolation::Serializable,
            durability: Mode::from(Durability::DeleteExtra),
            batch_size: Some(7),
            batch_timeout: Some(Duration::from_nanos(1_500)),
            apply: Apply::Coalesced,
            queue: 9,
            page_size: Some(512),
            checkpoint_kib: Some(11),
            checkpoint: CheckpointMode::BetweenBatches,
            log_limit_mib: Some(13),
            probe_interval: Duration::from_micros(2_500),
            cache_kib: 64,
            id_horizon: Duration::from_millis(1_500),
            max_ids: 17,
            io_threads: 2,
            no_stage_timings: true,
            busy_wait: Duration::from_nanos(720),
        }
    }

    #[test]
    fn defaults_are_those_of_the_flags_and_are_not_said() {
        assert_eq!(parse(&[]), ServerConfig::default());
        let none: Vec<String> = Vec::new();
        assert_eq!(ServerConfig::default().to_flags(), none);
        assert_eq!(ServerConfig::default().with_batches().to_flags(), none);
    }

    #[test]
    fn flags_and_the_recorded_form_lead_back_to_the_same_server() {
        let config = changed();
        let flags = config.to_flags();
        let recorded = serde_json::to_value(&config).unwrap();
        assert_eq!(
            flags.len(),
            recorded.as_object().unwrap().len(),
            "{flags:?}"
        );
        assert_eq!(parse(&flags), config, "{flags:?}");
        let read: ServerConfig = serde_json::from_value(recorded).unwrap();
        assert_eq!(read, config);
    }

    #[test]
    fn each_ledger_has_its_own_knobs() {
        let check = |flags: &[&str]| {
            let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
            parse(&flags).check().map_err(|error| error.to_string())
        };
        let engine = "--engine=postgres://me@localhost/bank";
        for knobs in [
            &["--writers=8", "--batch-size=1", "--isolation=serializable"][..],
            &[
                "--apply=coalesced",
                "--id-horizon=1h",
                "--io-threads=2",
                "--queue=9",
            ],
        ] {
            assert_eq!(check(&[&[engine], knobs].concat()), Ok(()));
        }
        for knob in ["--durability=memory", "--checkpoint-kib=9", "--max-ids=7"] {
            let refused = check(&[engine, knob]).unwrap_err();
            assert!(refused.starts_with(knob), "{refused}");
        }
        assert!(check(&["--writers=2"]).is_err());
        assert!(check(&["--isolation=serializable"]).is_err());
    }

    #[test]
    fn the_logs_limit_leaves_room_for_checkpoints() {
        let limit = |flags: &[&str]| {
            let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
            parse(&flags).log_limit_bytes().map(|bytes| bytes >> 20)
        };
        assert_eq!(limit(&[]).unwrap(), 16_384);
        assert_eq!(limit(&["--checkpoint-kib=12800000"]).unwrap(), 100_000);
        let by = "--checkpoint-kib=16000";
        assert_eq!(limit(&["--log-limit-mib=125", by]).unwrap(), 125);
        assert!(limit(&["--log-limit-mib=124", by]).is_err());
        // What nobody asked for gives way.
        assert!(limit(&["--log-limit-mib=124"]).is_ok());
    }
}
