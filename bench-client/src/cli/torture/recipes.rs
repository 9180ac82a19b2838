//! Which server is audited, and how it is started.

use std::path::PathBuf;

use anyhow::Context as _;
use bench_client::connector::{Encoding, parse_url};
use bench_client::torture::desk::Means;
use bench_client::torture::plan::{Plan, connections};
use bench_client::torture::recipe::{DATABASE_WORD, Recipe, Transport};
use busload_frontend::cli::check_apply;

use super::super::load_args::EncodingArg;
use super::{TortureArgs, TransportArg, usage};

impl TortureArgs {
    pub(super) fn plan(&self) -> anyhow::Result<Plan> {
        let recipe = match &self.server_command {
            Some(command) => self.foreign(command)?,
            None => self.own()?,
        };
        let (connections, window) = connections(recipe.transport, self.workers, self.inflight);
        raise_descriptors(connections)?;
        Ok(Plan {
            recipe,
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

    fn encoding(&self) -> Encoding {
        match self.encoding {
            EncodingArg::Json => Encoding::Json,
            EncodingArg::Binary => Encoding::Binary,
        }
    }

    fn transport(&self, http: bool) -> anyhow::Result<Transport> {
        match (http, self.encoding()) {
            (false, encoding) => Ok(Transport::Ws(encoding)),
            (true, Encoding::Json) => Ok(Transport::Http),
            (true, Encoding::Binary) => Err(usage("binary is an encoding of ws only")),
        }
    }

    /// This same program, told to serve.
    fn own(&self) -> anyhow::Result<Recipe> {
        if let Some(file) = self.database.as_ref().filter(|file| file.exists())
            && !self.reseed
        {
            return Err(usage(format!(
                "{} exists: name another file, or allow with --reseed that its ledger is wiped",
                file.display()
            )));
        }
        check_apply(self.apply, self.durability.durability)
            .map_err(|error| usage(error.to_string()))?;
        let transport = self.transport(self.transport == Some(TransportArg::Http))?;
        let (connections, window) = connections(transport, self.workers, self.inflight);
        let means = Means::share_out(connections, window)
            .ok_or_else(|| usage("lower --workers or --inflight: amounts must differ"))?;
        let balance = means.initial_balance.unsigned_abs();
        let accounts = means.accounts.unsigned_abs();
        self.serve(transport, self.checkpoint_pages, accounts, balance)
    }

    /// The command of this program's own server, on a ledger of so many accounts.
    pub(super) fn serve(
        &self,
        transport: Transport,
        checkpoint_pages: u32,
        accounts: u64,
        initial_balance: u64,
    ) -> anyhow::Result<Recipe> {
        let args = [
            "serve".to_owned(),
            transport.as_str().to_owned(),
            "--port=0".to_owned(),
            format!("--database={DATABASE_WORD}"),
            format!("--durability={}", self.durability.durability),
            format!("--apply={}", self.apply),
            format!("--checkpoint-pages={checkpoint_pages}"),
            format!("--seed-accounts={accounts}"),
            format!("--initial-balance={initial_balance}"),
            "--until-stdin-ends".to_owned(),
        ];
        Ok(Recipe {
            program: std::env::current_exe().context("cannot find this program's own file")?,
            args: args.into(),
            wiping_args: vec!["--fresh".to_owned()],
            place: None,
            transport,
            own: true,
        })
    }

    fn foreign(&self, command: &str) -> anyhow::Result<Recipe> {
        let mut words = shlex::split(command)
            .ok_or_else(|| usage("--server-command has a quotation mark without its other half"))?
            .into_iter();
        let program = words
            .next()
            .ok_or_else(|| usage("--server-command is empty"))?;
        let url = self.url.as_deref().unwrap_or_default();
        let place = parse_url(url).map_err(usage)?;
        Ok(Recipe {
            program: PathBuf::from(program),
            args: words.collect(),
            wiping_args: Vec::new(),
            place: Some(place),
            transport: self.transport(url.starts_with("http"))?,
            own: false,
        })
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
