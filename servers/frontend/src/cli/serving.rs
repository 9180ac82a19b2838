//! A server from its flags to its end.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use busload_engine::NULL;
use busload_wire::control::Info;

use super::messages::say;
use super::{CommonArgs, ServerConfig};
use crate::process::{allocator, descriptors, signals};
use crate::server::{ServeError, Server};
use crate::settings::Transport;

impl CommonArgs {
    pub(super) fn serve(
        &self,
        transport: Transport,
        port: u16,
        config: &ServerConfig,
    ) -> anyhow::Result<()> {
        allocator::use_small_pages();
        let is_file = self.null.pace().is_none() && config.engine.is_file();
        if let Some(warning) = config.durability.warning.filter(|_| is_file) {
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
        let io_threads = usize::from(config.io_threads);
        let settings = self.settings(transport, port, config, connections_allowed)?;
        let mut builder = if io_threads == 1 {
            tokio::runtime::Builder::new_current_thread()
        } else {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(io_threads);
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
            for warning in server.warnings() {
                eprintln!("warning: {warning}");
            }
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

/// What a server came to, as the exit code; an error is said on standard error. 2 when what it
/// was told cannot be done, 5 when it failed at it.
#[must_use]
pub fn ending(served: anyhow::Result<()>) -> ExitCode {
    let Err(error) = served else {
        return ExitCode::SUCCESS;
    };
    say(&format!("error: {error:#}"));
    let stopped = error.downcast_ref::<ServeError>().is_some_and(
        |error| matches!(error, ServeError::Engine(error) if error.stops_the_engine()),
    );
    if stopped {
        ExitCode::from(5)
    } else {
        ExitCode::from(2)
    }
}

/// The one line that says what runs. The first word that starts with the scheme is the
/// URL: programs that start a server read it.
fn announce(url: &str, info: &Info) -> anyhow::Result<()> {
    let told = info.engine.as_ref();
    let setting = |name: &str| {
        let settings = told.map(|engine| &engine.settings);
        settings
            .and_then(|all| all.get(name))
            .map_or("?", String::as_str)
    };
    let is_sqlite = told.is_none_or(|engine| engine.name == "sqlite");
    let why = if info.durability == NULL {
        "answers without a database".to_owned()
    } else if !is_sqlite {
        let standbys = setting("synchronous_standby_names");
        format!(
            "read back: synchronous_commit={}, fsync={}, full_page_writes={}, \
             synchronous_standby_names={}",
            setting("synchronous_commit"),
            setting("fsync"),
            setting("full_page_writes"),
            if standbys.is_empty() {
                "none"
            } else {
                standbys
            },
        )
    } else {
        format!(
            "read back: journal_mode={}, synchronous={}, page_size={}, cache_size={}",
            setting("journal_mode"),
            setting("synchronous"),
            setting("page_size"),
            setting("cache_size"),
        )
    };
    let checkpoints = info.checkpoint_bytes.map_or_else(String::new, |bytes| {
        format!(" | checkpoints every {} KiB of log", bytes / 1024)
    });
    let coalesced = match info.apply.as_deref() {
        Some("coalesced") => ", apply: coalesced",
        _ => "",
    };
    let writers = match info.writers {
        Some(writers) if writers > 1 => format!(", {writers} writers: order is not kept"),
        _ => String::new(),
    };
    let (name, version) = match told.filter(|_| !is_sqlite && info.durability != NULL) {
        Some(engine) => (engine.name.as_str(), engine.version.as_str()),
        None => ("sqlite", info.sqlite_version.as_str()),
    };
    let line = format!(
        "{} listening on {url} | durability {} ({why}){checkpoints} | \
         batch size {}, timeout {} ms{coalesced}{writers} | queue {} | {name} {version}\n",
        info.server,
        info.durability,
        info.batch_size,
        info.batch_timeout_us / 1e3,
        info.queue_transfers,
    );
    let mut out = std::io::stdout().lock();
    match out.write_all(line.as_bytes()).and_then(|()| out.flush()) {
        // Nobody reads it.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed.context("cannot print the start-up line to standard output"),
    }
}
