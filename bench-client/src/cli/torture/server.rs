//! Which server is audited, and how it is started.

use anyhow::Context as _;
use bench_client::config::target_file::Choices;
use bench_client::config::{ConnectorKind, Encoding, Private, Target};
use bench_client::target::{choose_port, endpoint};
use bench_client::torture::plan::{Plan, connections};
use bench_client::torture::server_command::{ServerCommand, Wire};
use bench_client::torture::transfer_generator::Amounts;
use busload_frontend::cli::ServerConfig;

/// A checkpoint of this program's own server is due after so many KiB of log, so that checkpoints
/// are interrupted too.
const CHECKPOINT_KIB: u32 = 800;

use super::{TortureArgs, usage};
use crate::cli::load_flags::{Chosen, choose};

impl TortureArgs {
    pub(super) fn plan(&self) -> anyhow::Result<Plan> {
        let chosen = self.target.name().map(choose).transpose()?;
        let command = match (chosen, self.target.command()?) {
            (Some(chosen @ Chosen::File(_)), _) => self.target(&chosen)?,
            (Some(Chosen::Own(connector)), _) => self.own(connector)?,
            (None, Some(target)) => {
                self.refuse_knobs("--server-command")?;
                self.server_command_of(target, self.wire(self.target.connector()?)?)?
            }
            (None, None) => self.own(self.target.connector()?)?,
        };
        if self.unordered && command.is_own() {
            return Err(usage(
                "--unordered goes with --target or --server-command: this program's own server \
                 keeps the order of a connection",
            ));
        }
        let (connections, window) = connections(command.wire, self.concurrency, self.inflight);
        raise_descriptors(connections)?;
        Ok(Plan {
            command,
            connections,
            window,
            seed: self.seed,
            cycle: self.cycle_time,
            answer_timeout: self.timeout,
            // Several writers keep no connection's order, and `info` says so.
            ordered: !self.unordered && self.server.writers == 1,
            transfer_ids: self.exactly_once,
            wipe: self.reseed,
            keep: self.keep,
        })
    }

    fn wire(&self, connector: ConnectorKind) -> anyhow::Result<Wire> {
        if !connector.encodings().contains(&self.encoding) {
            let able = match self.encoding {
                Encoding::Json | Encoding::Binary => ConnectorKind::SqliteWsRpc.transport(),
                Encoding::BsatnV2 | Encoding::BsatnV3 => ConnectorKind::SpacetimeDb.as_str(),
            };
            return Err(usage(format!(
                "{} is an encoding of {able} only",
                self.encoding
            )));
        }
        Ok(Wire {
            connector,
            encoding: self.encoding,
        })
    }

    /// This same program, told to serve.
    fn own(&self, connector: ConnectorKind) -> anyhow::Result<ServerCommand> {
        if let Some(file) = self.database.as_ref().filter(|file| file.exists())
            && !self.reseed
        {
            return Err(usage(format!(
                "{} exists: name another file, or allow its ledger to be wiped with --reseed",
                file.display()
            )));
        }
        self.server
            .check()
            .map_err(|error| usage(error.to_string()))?;
        let wire = self.wire(connector)?;
        let (connections, window) = connections(wire, self.concurrency, self.inflight);
        let means = Amounts::share_out(connections, window)
            .ok_or_else(|| usage("lower --concurrency or --inflight: amounts must differ"))?;
        let accounts = u32::try_from(means.accounts).unwrap_or(u32::MAX);
        Ok(serve(self.server(), wire, accounts, means.initial_balance))
    }

    /// The knobs of this program's own server.
    pub(super) fn server(&self) -> ServerConfig {
        let mut server = self.server.clone();
        if server.engine.is_file() {
            server.checkpoint_kib.get_or_insert(CHECKPOINT_KIB);
        }
        server
    }

    /// A server of somebody else has its own way of being started.
    fn refuse_knobs(&self, flag: &str) -> anyhow::Result<()> {
        if self.server == ServerConfig::default() {
            return Ok(());
        }
        Err(usage(format!(
            "{flag} says itself how its server is started: leave out the flags of this program's \
             own"
        )))
    }

    fn target(&self, chosen: &Chosen) -> anyhow::Result<ServerCommand> {
        self.refuse_knobs("--target")?;
        let choices = Choices {
            data_dir: self.data_dir.clone(),
            ..Choices::default()
        };
        let Some(mut target @ Target::Command { .. }) = chosen.target(choices)? else {
            return Err(usage(
                "torture starts its server again and again: give a target with [start]",
            ));
        };
        choose_port(&mut target)?;
        let mut wire = self.wire(chosen.connector())?;
        if let Some(file) = chosen
            .file()
            .filter(|_| wire.encoding == Encoding::default())
        {
            wire.encoding = file.encoding;
        }
        self.server_command_of(target, wire)
    }

    fn server_command_of(&self, target: Target, wire: Wire) -> anyhow::Result<ServerCommand> {
        let place = endpoint(&target).map_err(|error| usage(error.to_string()))?;
        let (connections, window) = connections(wire, self.concurrency, self.inflight);
        let means = Amounts::share_out(connections, window)
            .ok_or_else(|| usage("lower --concurrency or --inflight: amounts must differ"))?;
        Ok(ServerCommand {
            target,
            place,
            output: None,
            wire,
            accounts: u32::try_from(means.accounts).unwrap_or(u32::MAX),
            initial_balance: means.initial_balance,
        })
    }
}

/// This program's own server, on a ledger of so many accounts.
pub(super) fn serve(
    server: ServerConfig,
    wire: Wire,
    accounts: u32,
    initial_balance: i64,
) -> ServerCommand {
    ServerCommand {
        target: Target::BuiltIn {
            server: server.with_batches(),
            program: Private::default(),
            database: Private::default(),
            keep_db: true,
        },
        place: None,
        output: None,
        wire,
        accounts,
        initial_balance,
    }
}

/// Every connection needs a descriptor here.
fn raise_descriptors(connections: u32) -> anyhow::Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    /// Besides those of the load: journal, control plane, standard streams.
    const OTHER_DESCRIPTORS: u64 = 64;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("cannot read ulimit -n")?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("cannot raise ulimit -n")?;
    }
    let needed = u64::from(connections) + OTHER_DESCRIPTORS;
    if needed > hard {
        return Err(usage(format!(
            "the load needs {needed} descriptors and the limit is {hard}: lower --concurrency or \
             --inflight, or raise ulimit -n"
        )));
    }
    Ok(())
}
