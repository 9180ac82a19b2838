//! Which server is audited, and how it is started.

use anyhow::Context as _;
use bench_client::config::{ConnectorKind, Encoding, Private, Target};
use bench_client::target::endpoint;
use bench_client::torture::plan::{Plan, connections};
use bench_client::torture::server_command::{ServerCommand, Wire};
use bench_client::torture::transfer_generator::Amounts;
use busload_frontend::cli::ServerConfig;

/// A checkpoint of this program's own server is due after so many KiB of log, so that checkpoints
/// are interrupted too.
const CHECKPOINT_KIB: u32 = 800;

use super::{TortureArgs, TransportArg, usage};

impl TortureArgs {
    pub(super) fn plan(&self) -> anyhow::Result<Plan> {
        let command = match &self.server_command {
            Some(command) => self.foreign(command)?,
            None => self.own()?,
        };
        let (connections, window) = connections(command.wire, self.workers, self.inflight);
        raise_descriptors(connections)?;
        Ok(Plan {
            command,
            connections,
            window,
            seed: self.seed,
            cycle: self.seconds_per_cycle,
            answer_timeout: self.answer_timeout,
            ordered: !self.unordered,
            transfer_ids: self.exactly_once,
            wipe: self.reseed,
            keep: self.keep,
        })
    }

    fn wire(&self, http: bool) -> anyhow::Result<Wire> {
        let connector = if http {
            ConnectorKind::SqliteRpc
        } else {
            ConnectorKind::SqliteWsRpc
        };
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
    fn own(&self) -> anyhow::Result<ServerCommand> {
        if let Some(file) = self.database.as_ref().filter(|file| file.exists())
            && !self.reseed
        {
            return Err(usage(format!(
                "{} exists: name another file, or allow with --reseed that its ledger is wiped",
                file.display()
            )));
        }
        self.server
            .check()
            .map_err(|error| usage(error.to_string()))?;
        let wire = self.wire(self.transport == Some(TransportArg::Http))?;
        let (connections, window) = connections(wire, self.workers, self.inflight);
        let means = Amounts::share_out(connections, window)
            .ok_or_else(|| usage("lower --workers or --inflight: amounts must differ"))?;
        let accounts = u32::try_from(means.accounts).unwrap_or(u32::MAX);
        Ok(serve(self.server(), wire, accounts, means.initial_balance))
    }

    /// The knobs of this program's own server.
    pub(super) fn server(&self) -> ServerConfig {
        let mut server = self.server.clone();
        server.checkpoint_kib.get_or_insert(CHECKPOINT_KIB);
        server
    }

    fn foreign(&self, command: &str) -> anyhow::Result<ServerCommand> {
        if self.server != ServerConfig::default() {
            return Err(usage(
                "--server-command says itself how its server is started: leave out the flags of \
                 this program's own",
            ));
        }
        let words = shlex::split(command)
            .ok_or_else(|| usage("--server-command has a quotation mark without its other half"))?;
        if words.is_empty() {
            return Err(usage("--server-command is empty"));
        }
        let url = self.url.clone().unwrap_or_default();
        let wire = self.wire(url.starts_with("http"))?;
        let target = Target::Command {
            words: Private(words),
            url: Private(url),
            database: Private::default(),
        };
        let place = endpoint(&target).map_err(|error| usage(error.to_string()))?;
        Ok(ServerCommand {
            target,
            place,
            wire,
            accounts: 0,
            initial_balance: 0,
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
            "the load needs {needed} descriptors and the limit is {hard}: lower --workers or \
             --inflight, or raise ulimit -n"
        )));
    }
    Ok(())
}
