//! The servers' command line and environment, shared by both binaries and by
//! `bench-client serve`.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use busload_engine::{CheckpointMode, Config, Durability, EngineError, MAX_ACCOUNTS, MIN_ACCOUNTS};
use busload_wire::control::Info;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Command, Parser};

use crate::access_args::AccessArgs;
use crate::limit_args::LimitArgs;
use crate::null_args::NullArgs;
use crate::server::{NULL_DURABILITY, ServeError, Server, Settings, Transport};
use crate::{descriptors, signals};

/// Accounts of a new ledger.
pub const DEFAULT_ACCOUNTS: i64 = 100_000;
/// What each account of a new ledger starts with.
pub const DEFAULT_INITIAL_BALANCE: i64 = 10_000_000;
/// Most transfers in one transaction.
pub const DEFAULT_BATCH_SIZE: usize = 4_096;
/// The largest batch size that can be set.
pub const MAX_BATCH_SIZE: usize = 1_048_576;
/// Most transfers waiting for the writer.
pub const DEFAULT_QUEUE: usize = 1_048_576;
/// How long the ids of transfers are remembered.
pub const DEFAULT_ID_HORIZON: &str = "10min";
/// Most ids that are remembered.
pub const DEFAULT_MAX_IDS: usize = 16_777_216;
/// The directory of databases that nobody named, below the current directory: the file
/// system is what is measured, so never a temporary directory.
pub const DEFAULT_DATA_DIR: &str = ".data";
/// Longest batch timeout.
const MAX_BATCH_TIMEOUT: Duration = Duration::from_mins(1);

/// The flags of the HTTP server.
#[derive(Debug, Args)]
pub struct HttpArgs {
    /// Port to listen on; 0 takes a free one
    #[arg(long, env = "SQLITE_RPC_PORT", default_value_t = 4103)]
    port: u16,
    #[command(flatten)]
    common: CommonArgs,
    /// Most transfers in one transaction [1 … 1048576]
    #[arg(long, default_value_t = DEFAULT_BATCH_SIZE, value_parser = parse_batch_size)]
    batch_size: usize,
    /// How long the oldest waiting transfer waits for its batch to fill, such as 2ms or 0.5ms;
    /// 0ms commits whatever waits the moment the writer is free
    #[arg(long, default_value = "0ms", value_parser = parse_batch_timeout)]
    batch_timeout: Duration,
}

/// The flags of the WebSocket server.
#[derive(Debug, Args)]
pub struct WsArgs {
    /// Port to listen on; 0 takes a free one
    #[arg(long, env = "SQLITE_WS_RPC_PORT", default_value_t = 4107)]
    port: u16,
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    batch: WsBatchArgs,
}

/// The batch knobs with the environment variables of the article's server.
#[derive(Debug, Args)]
struct WsBatchArgs {
    /// Most transfers in one transaction [1 … 1048576, default 4096; env: SQLITE_WS_RPC_BATCH_SIZE]
    #[arg(long, value_parser = parse_batch_size)]
    batch_size: Option<usize>,
    /// How long the oldest waiting transfer waits for its batch to fill, such as 2ms or 0.5ms;
    /// 0ms, the default, commits whatever waits the moment the writer is free
    /// [env: SQLITE_WS_RPC_BATCH_MS, in milliseconds]
    #[arg(long, value_parser = parse_batch_timeout)]
    batch_timeout: Option<Duration>,
    #[command(flatten)]
    environment: BatchEnvironment,
}

impl WsBatchArgs {
    /// Flags go before the environment, the environment before the defaults.
    fn resolve(&self) -> (usize, Duration) {
        let from_env = &self.environment;
        let size = self.batch_size.or(from_env.batch_size());
        let timeout = self.batch_timeout.or(from_env.batch_timeout());
        (
            size.unwrap_or(DEFAULT_BATCH_SIZE),
            timeout.unwrap_or_default(),
        )
    }
}

/// The batch knobs as the environment of the article's server has them.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_field_names,
    reason = "clap names an argument by its field, and batch_size is the flag's"
)]
pub struct BatchEnvironment {
    #[arg(long, hide = true, env = "SQLITE_WS_RPC_BATCH_SIZE", value_parser = parse_env_batch_size)]
    env_batch_size: Option<usize>,
    #[arg(long, hide = true, env = "SQLITE_WS_RPC_BATCH_MS", value_parser = parse_milliseconds)]
    env_batch_ms: Option<Duration>,
    #[arg(long, hide = true, env = "SQLITE_WS_RPC_BATCHING", value_parser = parse_switch)]
    env_batching: Option<bool>,
    #[arg(long, hide = true, env = "SQLITE_WS_RPC_GROUP_COMMIT", value_parser = parse_switch)]
    env_group_commit: Option<bool>,
}

impl BatchEnvironment {
    /// The batch size, 1 when batching or group commit is switched off.
    #[must_use]
    pub fn batch_size(&self) -> Option<usize> {
        let off = self.env_batching == Some(false) || self.env_group_commit == Some(false);
        if off { Some(1) } else { self.env_batch_size }
    }

    /// The batch timeout.
    #[must_use]
    pub fn batch_timeout(&self) -> Option<Duration> {
        self.env_batch_ms
    }
}

#[derive(Debug, Args)]
struct CommonArgs {
    /// Address to listen on; another than loopback needs --token-file or
    /// --allow-unauthenticated
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    listen: IpAddr,
    /// Database file [default: busload-http.sqlite or busload-ws.sqlite in the data directory]
    #[arg(long, env = "SQLITE_FILE", value_name = "FILE")]
    database: Option<PathBuf>,
    /// Throw away the ledger that the file holds and seed anew
    #[arg(long)]
    fresh: bool,
    /// Directory of the database when no file is named
    #[arg(long, default_value = DEFAULT_DATA_DIR, value_name = "DIR")]
    data_dir: PathBuf,
    /// What survives what: delete-extra and wal-full a power cut, delete-full (SQLite's default)
    /// and wal-normal a killed process, memory neither; discard-writes reads and answers, never
    /// writes (for testing the judge)
    #[arg(long, env = "SQLITE_MODE", default_value = "wal-full", value_parser = parse_durability)]
    durability: Mode,
    /// Most transfers waiting for the writer; further ones are answered overloaded
    #[arg(long, value_name = "TRANSFERS", default_value_t = DEFAULT_QUEUE, value_parser = parse_queue)]
    queue: usize,
    /// Accounts to create when the file holds no ledger
    #[arg(long, env = "SEED_ACCOUNTS", default_value_t = DEFAULT_ACCOUNTS, value_parser = parse_accounts)]
    seed_accounts: i64,
    /// Balance of each account created [default: 10000000]; for a file that another tool
    /// seeded, what verify compares with
    #[arg(long, env = "SEED_INITIAL_BALANCE", value_parser = clap::value_parser!(i64).range(0..))]
    initial_balance: Option<i64>,
    #[command(flatten)]
    limits: LimitArgs,
    /// Checkpoint when the write-ahead log has grown by this many pages
    #[arg(long, default_value_t = 4_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    checkpoint_pages: u32,
    /// Who checkpoints: background (a thread of its own, the writer only the rest) or
    /// between-batches (the writer all of it)
    #[arg(long, value_name = "MODE", default_value_t = CheckpointMode::Background)]
    checkpoint: CheckpointMode,
    /// Refuse transfers as on a full disk while the write-ahead log is this long, because another
    /// process reads from it [default: 16384, or more for many --checkpoint-pages]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    log_limit_mib: Option<u64>,
    /// On a full disk, how long to wait between two tries to write, such as 100ms
    #[arg(long, value_name = "DURATION", default_value = "100ms", value_parser = parse_probe_interval)]
    probe_interval: Duration,
    /// SQLite's page cache, in KiB
    #[arg(long, default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(64..=16_777_216))]
    cache_kib: u32,
    /// How long the outcome of a transfer with an id is remembered, at least [1s … 168h]
    #[arg(long, default_value = DEFAULT_ID_HORIZON, value_parser = parse_id_horizon)]
    id_horizon: Duration,
    /// Most ids remembered, at most 58 bytes of memory each; when all are younger than the
    /// horizon, transfers with new ids are answered overloaded
    #[arg(long, value_name = "IDS", default_value_t = DEFAULT_MAX_IDS, value_parser = parse_max_ids)]
    max_ids: usize,
    /// Threads that read requests and write answers
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    io_threads: u16,
    #[command(flatten)]
    access: AccessArgs,
    #[command(flatten)]
    null: NullArgs,
    /// Leaves the stages in the answer of stats empty: for measuring what the timings cost
    #[arg(long)]
    no_stage_timings: bool,
    /// Waste this much of a processor per transfer: a slower server, to test what a comparison
    /// sees
    #[arg(long, hide = true, default_value = "0ns", value_parser = parse_duration)]
    busy_wait: Duration,
    /// Stop when standard input ends: how a server dies with the program that started it
    #[arg(long, hide = true)]
    until_stdin_ends: bool,
}

/// A durability mode and what the person who asked for it should be told.
#[derive(Debug, Clone, Copy)]
pub struct Mode {
    /// The mode.
    pub durability: Durability,
    /// It was asked for by a name that promises something else.
    pub warning: Option<&'static str>,
}

/// A durability mode by our name, or by the original benchmark's (`SQLITE_MODE`).
///
/// # Errors
/// It is neither.
pub fn parse_durability(text: &str) -> Result<Mode, String> {
    let plain = |durability| {
        Ok(Mode {
            durability,
            warning: None,
        })
    };
    match text.to_ascii_lowercase().as_str() {
        "baseline" | "default" => plain(Durability::DeleteFull),
        "realistic" => plain(Durability::WalFull),
        "realistic_fast" => plain(Durability::WalNormal),
        "fastest" => plain(Durability::Memory),
        "realistic_cached" => Ok(Mode {
            durability: Durability::WalNormal,
            warning: Some(
                "SQLITE_MODE=realistic_cached sets synchronous=MEMORY, which sqlite does not know \
                 and takes as NORMAL: no sync at commit, so this runs as wal-normal",
            ),
        }),
        other => other
            .parse()
            .map_err(|error| format!("{error}"))
            .and_then(plain),
    }
}

/// A duration with a unit: `2ms`, `0.5ms`, `683us`, `15s`.
///
/// # Errors
/// It is not, or it is negative.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let help =
        || format!("'{text}' is no duration: write a number with a unit, such as 2ms or 15s");
    let friendly = text.replace('µ', "u");
    let duration: jiff::SignedDuration = friendly.parse().map_err(|_| help())?;
    Duration::try_from(duration).map_err(|_| help())
}

/// A batch timeout: a duration of at most a minute.
///
/// # Errors
/// It is no duration, or longer.
pub fn parse_batch_timeout(text: &str) -> Result<Duration, String> {
    let timeout = parse_duration(text)?;
    if timeout > MAX_BATCH_TIMEOUT {
        return Err("a batch timeout is at most 60s".to_owned());
    }
    Ok(timeout)
}

/// How long to wait between two tries to write: from 1 ms to a minute.
///
/// # Errors
/// It is no duration, or out of range.
fn parse_probe_interval(text: &str) -> Result<Duration, String> {
    let interval = parse_duration(text)?;
    if (Duration::from_millis(1)..=Duration::from_mins(1)).contains(&interval) {
        Ok(interval)
    } else {
        Err("a probe interval is from 1ms to 60s".to_owned())
    }
}

/// Milliseconds without a unit, as the environment variables of the original have them.
///
/// # Errors
/// It is no number, negative, or more than a minute.
fn parse_milliseconds(text: &str) -> Result<Duration, String> {
    let help = || format!("'{text}' is no number of milliseconds between 0 and 60000");
    let milliseconds: f64 = text.parse().map_err(|_| help())?;
    let timeout = Duration::try_from_secs_f64(milliseconds / 1e3).map_err(|_| help())?;
    if timeout > MAX_BATCH_TIMEOUT {
        Err(help())
    } else {
        Ok(timeout)
    }
}

/// A whole number within bounds.
///
/// # Errors
/// It is not.
pub fn parse_within(text: &str, lowest: usize, highest: usize) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if (lowest..=highest).contains(&n) => Ok(n),
        _ => Err(format!(
            "'{text}' is no whole number from {lowest} to {highest}"
        )),
    }
}

/// A batch size.
///
/// # Errors
/// It is out of range.
pub fn parse_batch_size(text: &str) -> Result<usize, String> {
    parse_within(text, 1, MAX_BATCH_SIZE)
}

/// A batch size of the original's environment, where 0 means no limit.
///
/// # Errors
/// It is out of range.
fn parse_env_batch_size(text: &str) -> Result<usize, String> {
    parse_within(text, 0, MAX_BATCH_SIZE).map(|n| if n == 0 { MAX_BATCH_SIZE } else { n })
}

/// A switch of the original's environment.
///
/// # Errors
/// It is neither `0`/`false` nor `1`/`true`.
fn parse_switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "0" | "false" => Ok(false),
        "1" | "true" => Ok(true),
        _ => Err(format!("'{text}' is neither 0 nor 1")),
    }
}

/// The queue's length.
///
/// # Errors
/// It is out of range.
pub fn parse_queue(text: &str) -> Result<usize, String> {
    parse_within(text, 1, 16_777_216)
}

/// Transfers in flight on a connection.
///
/// # Errors
/// It is out of range.
pub fn parse_inflight(text: &str) -> Result<usize, String> {
    parse_within(text, 1, 16_384)
}

/// How long ids are remembered: from a second to a week.
///
/// # Errors
/// It is no duration, or out of range.
pub fn parse_id_horizon(text: &str) -> Result<Duration, String> {
    let horizon = parse_duration(text)?;
    if (Duration::from_secs(1)..=Duration::from_hours(168)).contains(&horizon) {
        Ok(horizon)
    } else {
        Err("ids are remembered from 1s to 168h".to_owned())
    }
}

/// How many ids are remembered.
///
/// # Errors
/// It is out of range.
pub fn parse_max_ids(text: &str) -> Result<usize, String> {
    parse_within(text, 1, 1 << 28)
}

/// The number of accounts.
///
/// # Errors
/// It is out of range.
pub fn parse_accounts(text: &str) -> Result<i64, String> {
    match text.parse() {
        Ok(n) if (MIN_ACCOUNTS..=MAX_ACCOUNTS).contains(&n) => Ok(n),
        _ => Err(format!(
            "'{text}' is no whole number from {MIN_ACCOUNTS} to {MAX_ACCOUNTS}"
        )),
    }
}

impl HttpArgs {
    /// What the flags say, for a server in this process.
    ///
    /// # Errors
    /// They contradict each other, or the directory of the database cannot be created.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        let batch = (self.batch_size, self.batch_timeout);
        let allowed = descriptors::connections_within(descriptors::raise_limit());
        self.common
            .settings(Transport::Http, self.port, batch, allowed)
    }

    /// Runs the server until it is told to stop.
    ///
    /// # Errors
    /// It could not start, or its engine failed.
    pub fn serve(&self) -> anyhow::Result<()> {
        let batch = (self.batch_size, self.batch_timeout);
        self.common.serve(Transport::Http, self.port, batch)
    }
}

impl WsArgs {
    /// What the flags say, for a server in this process.
    ///
    /// # Errors
    /// They contradict each other, or the directory of the database cannot be created.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        let batch = self.batch.resolve();
        let allowed = descriptors::connections_within(descriptors::raise_limit());
        self.common
            .settings(Transport::Ws, self.port, batch, allowed)
    }

    /// Runs the server until it is told to stop.
    ///
    /// # Errors
    /// It could not start, or its engine failed.
    pub fn serve(&self) -> anyhow::Result<()> {
        self.common
            .serve(Transport::Ws, self.port, self.batch.resolve())
    }
}

impl CommonArgs {
    fn settings(
        &self,
        transport: Transport,
        port: u16,
        (batch_size, batch_timeout): (usize, Duration),
        connections_allowed: usize,
    ) -> anyhow::Result<Settings> {
        let listen = SocketAddr::new(self.listen, port);
        // First of all: nothing is created for a server that must not start.
        let access = self.access.access(listen)?;
        let log_limit_mib = self.log_limit_mib()?;
        let database = if let Some(file) = &self.database {
            file.clone()
        } else if self.null.pace().is_some() {
            PathBuf::new()
        } else {
            std::fs::create_dir_all(&self.data_dir).with_context(|| {
                format!(
                    "cannot create the data directory {}",
                    self.data_dir.display()
                )
            })?;
            self.data_dir
                .join(format!("busload-{}.sqlite", transport.as_str()))
        };
        Ok(Settings {
            transport,
            listen,
            engine: Config {
                database,
                fresh: self.fresh,
                durability: self.durability.durability,
                batch_size,
                batch_timeout,
                queue_transfers: self.queue,
                seed_accounts: self.seed_accounts,
                seed_balance: self.initial_balance.unwrap_or(DEFAULT_INITIAL_BALANCE),
                initial_balance: self.initial_balance,
                cache_kib: self.cache_kib,
                checkpoint_pages: self.checkpoint_pages,
                checkpoint_mode: self.checkpoint,
                log_limit_bytes: log_limit_mib * 1024 * 1024,
                probe_interval: self.probe_interval,
                id_horizon: self.id_horizon,
                max_ids: self.max_ids,
                stage_timings: !self.no_stage_timings,
                busy_wait: self.busy_wait,
            },
            null: self.null.pace(),
            limits: self.limits.limits(connections_allowed),
            access,
        })
    }

    /// A log that reaches its limit in the ordinary course of checkpoints would refuse transfers
    /// for no reason.
    fn log_limit_mib(&self) -> anyhow::Result<u64> {
        // Eight times the pages of 4 KiB between two checkpoints.
        let lowest = u64::from(self.checkpoint_pages).div_ceil(32);
        let limit = self.log_limit_mib.unwrap_or(lowest.max(16_384));
        anyhow::ensure!(
            limit >= lowest,
            "--log-limit-mib {limit} is too low for --checkpoint-pages {}: use {lowest} or more, \
             or fewer pages",
            self.checkpoint_pages
        );
        Ok(limit)
    }

    fn serve(
        &self,
        transport: Transport,
        port: u16,
        batch: (usize, Duration),
    ) -> anyhow::Result<()> {
        let has_database = self.null.pace().is_none();
        if let Some(warning) = self.durability.warning.filter(|_| has_database) {
            eprintln!("warning: {warning}");
        }
        let descriptors = descriptors::raise_limit();
        let connections_allowed = descriptors::connections_within(descriptors);
        if let Some(limit) = descriptors
            && self.limits.asks_for_more_than(connections_allowed)
        {
            eprintln!(
                "warning: at most {connections_allowed} connections at the same time, because at \
                 most {limit} files may be open: raise it (ulimit -n) or set --max-connections"
            );
        }
        let settings = self.settings(transport, port, batch, connections_allowed)?;
        let mut builder = if self.io_threads == 1 {
            tokio::runtime::Builder::new_current_thread()
        } else {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(usize::from(self.io_threads));
            builder
        };
        let runtime = builder
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        runtime.block_on(async {
            let stop = signals::stop_signal(self.until_stdin_ends)?;
            signals::survive_file_size_limit()?;
            let server = Server::start(&settings)?;
            announce(&server.url(), server.info())?;
            let dropped = server.run(stop).await?.dropped;
            if dropped > 0 {
                let limit = settings.limits.shutdown_timeout;
                eprintln!(
                    "warning: {dropped} connections had not taken all their answers after \
                     {limit:?} and were dropped"
                );
            }
            Ok(())
        })
    }
}

/// Reads the command line. What cannot be read is said in one line that names what the
/// person wrote, a flag or an environment variable; the exit code is 2.
#[must_use]
pub fn parse_arguments<P: Parser>() -> P {
    P::try_parse().unwrap_or_else(|error| {
        // Help and version go to standard output, or are all that can be said.
        let is_page = !error.use_stderr()
            || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
        if is_page {
            error.exit();
        }
        let mut command = P::command();
        command.build();
        eprintln!("{}", in_one_line(&error, &command));
        std::process::exit(2)
    })
}

/// clap's message without its usage and its pointer to the help.
#[must_use]
pub fn in_one_line(error: &clap::Error, command: &Command) -> String {
    let text = error.render().to_string();
    let lines = text.lines().map(str::trim).take_while(|line| {
        !line.starts_with("Usage:") && !line.starts_with("For more information")
    });
    let line = lines
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else {
        return line;
    };
    match environment_variable_of(command, shown) {
        Some(variable) => line.replace(&format!("'{shown}'"), &variable),
        None => line,
    }
}

/// The environment variable from which a flag, as clap shows it, has its value; `None`
/// when the flag was written.
fn environment_variable_of(command: &Command, shown: &str) -> Option<String> {
    let argument = command.get_arguments().find(|argument| {
        let flag = argument.get_long().map(|long| format!("--{long}"));
        let written = flag.is_some_and(|flag| {
            let with_value = format!("{flag}=");
            std::env::args().any(|word| word == flag || word.starts_with(&with_value))
        });
        !written && argument.to_string() == shown
    });
    let variable = argument.and_then(|argument| argument.get_env());
    match variable.filter(|variable| std::env::var_os(variable).is_some()) {
        Some(variable) => Some(variable.to_string_lossy().into_owned()),
        None => command
            .get_subcommands()
            .find_map(|sub| environment_variable_of(sub, shown)),
    }
}

/// The exit code of a server that could not start or had to stop: 2 when what it was told
/// cannot be done, 5 when it failed at it.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    let stopped = error.downcast_ref::<ServeError>().is_some_and(|error| {
        matches!(
            error,
            ServeError::Engine(EngineError::OutcomeUnknown(_) | EngineError::Writer(_))
        )
    });
    if stopped {
        ExitCode::from(5)
    } else {
        ExitCode::from(2)
    }
}

/// The one line that says what runs. The first word that starts with the scheme is the
/// URL: programs that start a server read it.
fn announce(url: &str, info: &Info) -> anyhow::Result<()> {
    let pragma = |name: &str| info.pragmas.get(name).map_or("?", String::as_str);
    let why = if info.durability == NULL_DURABILITY {
        "answers without a database".to_owned()
    } else {
        format!(
            "read back: journal_mode={}, synchronous={}",
            pragma("journal_mode"),
            pragma("synchronous")
        )
    };
    let line = format!(
        "{} listening on {url} | durability {} ({why}) | \
         batch size {}, timeout {} ms | queue {} | sqlite {}\n",
        info.server,
        info.durability,
        info.batch_size,
        info.batch_timeout_us / 1e3,
        info.queue_transfers,
        info.sqlite_version,
    );
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.flush().context("cannot print the start-up line")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration("2ms"), Ok(Duration::from_millis(2)));
        assert_eq!(parse_duration("0.5ms"), Ok(Duration::from_micros(500)));
        assert_eq!(parse_duration("683us"), Ok(Duration::from_micros(683)));
        assert_eq!(parse_duration("3.86ms"), Ok(Duration::from_micros(3860)));
        assert_eq!(parse_duration("0ms"), Ok(Duration::ZERO));
        for bad in ["2", "", "-2ms", "ms", "2 parsecs"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[derive(Parser)]
    struct Server {
        #[command(flatten)]
        http: HttpArgs,
    }

    #[test]
    fn the_logs_limit_leaves_room_for_checkpoints() {
        let limit = |flags: &[&str]| {
            let words = ["server"].iter().chain(flags);
            let server = Server::try_parse_from(words).unwrap();
            server.http.common.log_limit_mib()
        };
        assert_eq!(limit(&[]).unwrap(), 16_384);
        assert_eq!(limit(&["--checkpoint-pages=3200000"]).unwrap(), 100_000);
        assert_eq!(limit(&["--log-limit-mib=125"]).unwrap(), 125);
        assert!(limit(&["--log-limit-mib=124"]).is_err());
        assert!(limit(&["--log-limit-mib=124", "--checkpoint-pages=100"]).is_ok());
    }

    #[test]
    fn the_originals_modes_are_understood_and_others_refused() {
        let mode = |text| parse_durability(text).map(|mode| mode.durability);
        assert_eq!(mode("baseline"), Ok(Durability::DeleteFull));
        assert_eq!(mode("DEFAULT"), Ok(Durability::DeleteFull));
        assert_eq!(mode("realistic"), Ok(Durability::WalFull));
        assert_eq!(mode("fastest"), Ok(Durability::Memory));
        assert_eq!(mode("delete-extra"), Ok(Durability::DeleteExtra));
        assert!(
            parse_durability("realistic_cached")
                .unwrap()
                .warning
                .is_some()
        );
        assert!(mode("fast").is_err());
    }
}
